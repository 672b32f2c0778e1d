/* The token of an invitation (invitation.h): one line that a mail program, a chat or a hand may damage. Its first bytes say how long it is and its last ones what the
 * others add up to, so that what was cut is told from what was altered. All numbers have the high byte first. */
#include "wgdeck/invitation.h"

#include <sodium.h>
#include <string.h>

#include "invitation_parts.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define FAMILY "wgdeck"
#define PREFIX FAMILY "1."
enum {
    PREFIX_LENGTH = sizeof PREFIX - 1,
    BYTES_MAX = (INVITATION_TOKEN_MAX - PREFIX_LENGTH) * 3 / 4,
    HEAD = 3,         /* the length of all, and a check of it alone: 4 characters */
    HEAD_CHARACTERS = 4,
    CHECK = 8,
    KEY_BYTES_MAX = 750, /* what a host key's text of 1023 characters can be */
    FLAG_RELAY = 1,
};

void invitation_wipe(struct invitation *invitation)
{
    sodium_memzero(invitation, sizeof *invitation);
}

/* The first CHECK bytes of BLAKE2b. */
static void check_of(const unsigned char *bytes, size_t length, unsigned char check[static CHECK])
{
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof hash, bytes, length, NULL, 0);
    memcpy(check, hash, CHECK);
}

static unsigned char check_of_length(const unsigned char *head)
{
    unsigned char check[CHECK];
    check_of(head, 2, check);
    return check[0];
}

/* --- out */

struct writer {
    unsigned char bytes[BYTES_MAX];
    size_t length;
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

static void put_number(struct writer *writer, uint64_t number, unsigned size)
{
    while (size--)
        writer->bytes[writer->length++] = (unsigned char)(number >> (8 * size));
}

static void put_text(struct writer *writer, const char *text)
{
    size_t length = strlen(text);
    put_number(writer, length, 1);
    put(writer, text, length);
}

/* So many of the places, and then of the keys, as there is room for; room for one key more is always kept. */
static void put_places(struct writer *writer, const struct invitation *invitation)
{
    size_t count_at = writer->length++, count = 0;
    for (size_t i = 0; i < invitation->place_count; i++) {
        size_t size = strlen(invitation->places[i].host) + 3;
        if (writer->length + size + 3 + KEY_BYTES_MAX + CHECK > sizeof writer->bytes)
            break;
        put_text(writer, invitation->places[i].host);
        put_number(writer, invitation->places[i].port, 2);
        count++;
    }
    writer->bytes[count_at] = (unsigned char)count;
}

static void put_host_keys(struct writer *writer, const struct invitation *invitation)
{
    size_t count_at = writer->length++, count = 0;
    for (size_t i = 0; i < invitation->host_key_count; i++) {
        unsigned char bytes[KEY_BYTES_MAX];
        size_t length = invitation_key_bytes(invitation->host_keys[i], bytes, sizeof bytes);
        if (!length || writer->length + 2 + length + CHECK > sizeof writer->bytes)
            continue;
        put_number(writer, length, 2);
        put(writer, bytes, length);
        count++;
    }
    writer->bytes[count_at] = (unsigned char)count;
}

void invitation_encode(const struct invitation *invitation, struct buf *token)
{
    struct writer writer = {.length = HEAD};
    unsigned char id[INVITATION_ID_LENGTH / 2] = {0}, check[CHECK];
    char text[INVITATION_TOKEN_MAX];
    sodium_hex2bin(id, sizeof id, invitation->id, INVITATION_ID_LENGTH, NULL, NULL, NULL);
    put_number(&writer, invitation->relay ? FLAG_RELAY : 0, 1);
    put(&writer, id, sizeof id);
    put_number(&writer, (uint64_t)invitation->expires, 8);
    put(&writer, invitation->seed, sizeof invitation->seed);
    put_text(&writer, invitation->mesh);
    put_text(&writer, invitation->name);
    put_text(&writer, invitation->hub);
    put_text(&writer, invitation->user);
    put_places(&writer, invitation);
    put_host_keys(&writer, invitation);
    size_t length = writer.length + CHECK;
    writer.bytes[0] = (unsigned char)(length >> 8);
    writer.bytes[1] = (unsigned char)length;
    writer.bytes[2] = check_of_length(writer.bytes);
    check_of(writer.bytes, writer.length, check);
    put(&writer, check, sizeof check);
    sodium_bin2base64(text, sizeof text, writer.bytes, writer.length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    buf_reserve(token, PREFIX_LENGTH + sizeof text); /* it is not moved once the secret is in it */
    buf_add_text(token, PREFIX);
    buf_add_text(token, text);
    sodium_memzero(text, sizeof text);
    sodium_memzero(&writer, sizeof writer);
}

/* --- in */

struct reader {
    unsigned char bytes[BYTES_MAX];
    size_t length, at;
    const char *wrong; /* the member that cannot be right; NULL */
};

static const unsigned char *take(struct reader *reader, size_t length, const char *what)
{
    static const unsigned char nothing[256];
    if (reader->wrong || length > reader->length - reader->at) {
        reader->wrong = reader->wrong ? reader->wrong : what;
        return nothing; /* no caller looks at more than 256 bytes of it: keys ask for wrong first */
    }
    reader->at += length;
    return reader->bytes + reader->at - length;
}

static uint64_t take_number(struct reader *reader, unsigned size, const char *what)
{
    const unsigned char *bytes = take(reader, size, what);
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return number;
}

static void take_text(struct reader *reader, char *text, size_t capacity, bool (*is_right)(const char *), const char *what)
{
    size_t length = (size_t)take_number(reader, 1, what);
    if (length >= capacity) {
        reader->wrong = reader->wrong ? reader->wrong : what;
        return;
    }
    memcpy(text, take(reader, length, what), length);
    text[length] = '\0';
    if (!reader->wrong && (strlen(text) != length || !is_right(text)))
        reader->wrong = what;
}

static size_t take_count(struct reader *reader, size_t most, const char *what)
{
    size_t count = (size_t)take_number(reader, 1, what);
    if (!reader->wrong && (!count || count > most))
        reader->wrong = what;
    return reader->wrong ? 0 : count;
}

static void take_places(struct reader *reader, struct invitation *invitation)
{
    static const char what[] = "where its hub is";
    invitation->place_count = take_count(reader, INVITATION_PLACES, what);
    for (size_t i = 0; i < invitation->place_count; i++) {
        take_text(reader, invitation->places[i].host, sizeof invitation->places[i].host, invitation_is_host, what);
        invitation->places[i].port = (uint16_t)take_number(reader, 2, what);
        if (!reader->wrong && !invitation->places[i].port)
            reader->wrong = what;
    }
}

static void take_host_keys(struct reader *reader, struct invitation *invitation)
{
    static const char what[] = "its hub's host key";
    invitation->host_key_count = take_count(reader, INVITATION_HOST_KEYS, what);
    for (size_t i = 0; i < invitation->host_key_count; i++) {
        size_t length = (size_t)take_number(reader, 2, what);
        const unsigned char *bytes = take(reader, length, what);
        if (!reader->wrong && !invitation_key_text(bytes, length, invitation->host_keys[i], sizeof invitation->host_keys[i]))
            reader->wrong = what;
    }
}

static void take_all(struct reader *reader, struct invitation *invitation)
{
    uint64_t flags = take_number(reader, 1, "its kind");
    invitation->relay = flags & FLAG_RELAY;
    if (!reader->wrong && flags & ~(uint64_t)FLAG_RELAY)
        reader->wrong = "its kind";
    sodium_bin2hex(invitation->id, sizeof invitation->id, take(reader, INVITATION_ID_LENGTH / 2, "its number"), INVITATION_ID_LENGTH / 2);
    uint64_t expires = take_number(reader, 8, "its end");
    if (!reader->wrong && (!expires || expires > INT64_MAX / INT64_C(1000000000)))
        reader->wrong = "its end";
    invitation->expires = (int64_t)expires;
    memcpy(invitation->seed, take(reader, INVITATION_SEED, "its key"), INVITATION_SEED);
    take_text(reader, invitation->mesh, sizeof invitation->mesh, text_is_name, "the mesh's name");
    take_text(reader, invitation->name, sizeof invitation->name, text_is_name, "the node's name");
    take_text(reader, invitation->hub, sizeof invitation->hub, text_is_name, "the hub's name");
    take_text(reader, invitation->user, sizeof invitation->user, invitation_is_user, "the login on its hub");
    take_places(reader, invitation);
    take_host_keys(reader, invitation);
    if (!reader->wrong && reader->at != reader->length)
        reader->wrong = "what stands at its end";
}

/* TEXT without blanks; the number of characters, or SIZE_MAX: more than a token has. */
static size_t strip(const char *text, size_t length, char stripped[static INVITATION_TOKEN_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] && strchr(" \t\r\n\v\f", text[i]))
            continue;
        if (count == INVITATION_TOKEN_MAX)
            return SIZE_MAX;
        stripped[count++] = text[i];
    }
    stripped[count] = '\0';
    return count;
}

static bool is_token_character(char character)
{
    return (character >= 'A' && character <= 'Z') || (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') || character == '-' || character == '_';
}

static int check_prefix(const char *text, size_t length, struct err *err)
{
    if (!length)
        return err_set(err, "there is no token: it is the line that begins with \"%s\", as 'wgdeck invite' printed it", PREFIX);
    if (length < PREFIX_LENGTH && !strncmp(text, PREFIX, length))
        return err_set(err, "the token is cut: only its beginning is there; copy it whole");
    if (!strncmp(text, PREFIX, PREFIX_LENGTH))
        return 0;
    size_t digits = strncmp(text, FAMILY, sizeof FAMILY - 1) ? 0 : strspn(text + sizeof FAMILY - 1, "0123456789");
    if (digits && digits <= 4 && text[sizeof FAMILY - 1 + digits] == '.')
        return err_set(err, "the token is of another version of wgdeck (\"%.*s\"; this one knows \"%s\"): use the same version here as where the invitation was made",
                       (int)(sizeof FAMILY + digits), text, PREFIX);
    return err_set(err, "this is no token of an invitation: one begins with \"%s\"; copy the whole line that 'wgdeck invite' printed", PREFIX);
}

static int check_characters(const char *text, size_t length, struct err *err)
{
    for (size_t i = PREFIX_LENGTH; i < length; i++)
        if (!is_token_character(text[i]))
            return err_set(err, "character %zu of the token is none that stands in one: something else was copied with it, or it was altered; copy it again", i + 1);
    return 0;
}

/* How long a token is that begins so; 0: its length itself was altered. */
static size_t length_told(const char *text)
{
    unsigned char head[HEAD];
    size_t used;
    if (sodium_base642bin(head, sizeof head, text + PREFIX_LENGTH, HEAD_CHARACTERS, NULL, &used, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) || used != HEAD)
        return 0;
    size_t length = (size_t)head[0] << 8 | head[1];
    if (head[2] != check_of_length(head) || length < HEAD + CHECK || length > BYTES_MAX)
        return 0;
    return PREFIX_LENGTH + (length * 4 + 2) / 3;
}

static int check_length(const char *text, size_t length, struct err *err)
{
    if (length < PREFIX_LENGTH + HEAD_CHARACTERS)
        return err_set(err, "the token is cut: only its beginning is there; copy it whole");
    size_t told = length_told(text);
    if (told && length < told)
        return err_set(err, "the token is cut: %zu of %zu characters are there; copy it whole", length, told);
    if (told && length > told)
        return err_set(err, "the token has %zu characters too many (%zu belong to it): something else was copied with it; copy that line alone", length - told, told);
    return told ? 0 : err_set(err, "the token was altered: its beginning is not what 'wgdeck invite' printed; copy it again");
}

static int decode(const char *text, size_t length, struct reader *reader, struct invitation *invitation, struct err *err)
{
    unsigned char check[CHECK];
    if (sodium_base642bin(reader->bytes, sizeof reader->bytes, text + PREFIX_LENGTH, length - PREFIX_LENGTH, NULL, &reader->length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) || reader->length < HEAD + CHECK)
        return err_set(err, "the token was altered: it is not what 'wgdeck invite' printed; copy it again");
    reader->length -= CHECK;
    check_of(reader->bytes, reader->length, check);
    if (sodium_memcmp(check, reader->bytes + reader->length, CHECK) != 0)
        return err_set(err, "the token was altered: it is not what 'wgdeck invite' printed; copy it again");
    reader->at = HEAD;
    take_all(reader, invitation);
    if (reader->wrong)
        return err_set(err, "the token says something about %s that cannot be: it was not made by 'wgdeck invite'; ask for another one", reader->wrong);
    return 0;
}

int invitation_decode(const char *text, size_t length, struct invitation *invitation, struct err *err)
{
    char stripped[INVITATION_TOKEN_MAX + 1];
    struct reader reader = {0};
    sodium_memzero(invitation, sizeof *invitation);
    size_t count = strip(text, length, stripped);
    int result = -1;
    if (count == SIZE_MAX)
        err_set(err, "this is no token of an invitation: it is longer than %d characters; copy the one line that begins with \"%s\"", INVITATION_TOKEN_MAX, PREFIX);
    else if (!check_prefix(stripped, count, err) && !check_characters(stripped, count, err) && !check_length(stripped, count, err))
        result = decode(stripped, count, &reader, invitation, err);
    if (result)
        invitation_wipe(invitation);
    sodium_memzero(stripped, sizeof stripped);
    sodium_memzero(&reader, sizeof reader);
    return result;
}
