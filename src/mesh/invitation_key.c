/* The keys of an invitation (invitation.h): the one-time Ed25519 key as OpenSSH writes one, and host keys as text and as bytes (RFC 4253 section 6.6, RFC 8709). Also what names
 * and hosts may be. */
#include <sodium.h>
#include <string.h>

#include "invitation_parts.h"
#include "wgdeck/text.h"

static const char ed25519[] = "ssh-ed25519";
enum { ED25519_BLOB = 4 + sizeof ed25519 - 1 + 4 + crypto_sign_PUBLICKEYBYTES, KEY_TYPE_MAX = 64 };

bool invitation_is_id(const char *text)
{
    return strlen(text) == INVITATION_ID_LENGTH && strspn(text, "0123456789abcdef") == INVITATION_ID_LENGTH;
}

bool invitation_is_user(const char *text)
{
    size_t length = strlen(text);
    return length && length <= 32 && text_is_name(text);
}

bool invitation_is_host(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    struct address address;
    size_t length = strlen(text);
    if (!address_parse(text, &address))
        return true;
    return length && length <= 253 && text[0] != '-' && text[0] != '.' && strspn(text, allowed) == length;
}

/* --- host keys */

static size_t number_at(const unsigned char *bytes)
{
    return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

/* The length of the type's name, which the bytes begin with; 0: they are no key. */
static size_t type_length(const unsigned char *bytes, size_t length)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-@.";
    char type[KEY_TYPE_MAX + 1];
    if (length < 5)
        return 0;
    size_t count = number_at(bytes);
    if (!count || count > KEY_TYPE_MAX || count >= length - 4)
        return 0;
    memcpy(type, bytes + 4, count);
    type[count] = '\0';
    return strspn(type, allowed) == count ? count : 0;
}

size_t invitation_key_bytes(const char *text, unsigned char *bytes, size_t capacity)
{
    const char *gap = strchr(text, ' ');
    size_t length;
    if (!gap || sodium_base642bin(bytes, capacity, gap + 1, strlen(gap + 1), NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL))
        return 0;
    size_t type = type_length(bytes, length);
    return type && type == (size_t)(gap - text) && !memcmp(bytes + 4, text, type) ? length : 0;
}

bool invitation_is_host_key(const char *text)
{
    unsigned char bytes[768];
    return strlen(text) < sizeof ((struct invitation *)0)->host_keys[0] && invitation_key_bytes(text, bytes, sizeof bytes) > 0;
}

bool invitation_is_public_line(const char *text)
{
    unsigned char bytes[ED25519_BLOB + 1];
    return !strncmp(text, ed25519, sizeof ed25519 - 1) && invitation_key_bytes(text, bytes, sizeof bytes) == ED25519_BLOB;
}

bool invitation_key_text(const unsigned char *bytes, size_t length, char *text, size_t capacity)
{
    size_t type = type_length(bytes, length);
    if (!type || type + 1 + sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL) > capacity)
        return false;
    memcpy(text, bytes + 4, type);
    text[type] = ' ';
    sodium_bin2base64(text + type + 1, capacity - type - 1, bytes, length, sodium_base64_VARIANT_ORIGINAL);
    return true;
}

/* --- the one-time key */

static void add_number(struct buf *buf, size_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_add_char(buf, (char)(number >> shift));
}

static void add_string(struct buf *buf, const void *bytes, size_t length)
{
    add_number(buf, length);
    buf_add(buf, bytes, length);
}

static void add_public(struct buf *buf, const unsigned char *public_key)
{
    add_string(buf, ed25519, sizeof ed25519 - 1);
    add_string(buf, public_key, crypto_sign_PUBLICKEYBYTES);
}

void invitation_public(const struct invitation *invitation, struct buf *line)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    struct buf blob = BUF_EMPTY;
    char text[128];
    crypto_sign_seed_keypair(public_key, secret, invitation->seed);
    sodium_memzero(secret, sizeof secret);
    add_public(&blob, public_key);
    if (invitation_key_text((const unsigned char *)blob.data, blob.length, text, sizeof text))
        buf_add_text(line, text);
    buf_free(&blob);
}

/* The part that a passphrase would encrypt: two equal numbers (by which a wrong passphrase shows), the key, a comment, and 1, 2, 3... up to a multiple of 8. */
static void add_secret(struct buf *buf, const struct invitation *invitation, const unsigned char *public_key, const unsigned char *secret)
{
    unsigned char check[crypto_generichash_BYTES];
    size_t begin = buf->length;
    crypto_generichash(check, sizeof check, public_key, crypto_sign_PUBLICKEYBYTES, NULL, 0);
    buf_add(buf, check, 4);
    buf_add(buf, check, 4);
    add_public(buf, public_key);
    add_string(buf, secret, crypto_sign_SECRETKEYBYTES);
    add_string(buf, invitation->id, strlen(invitation->id));
    for (char padding = 1; (buf->length - begin) % 8; padding++)
        buf_add_char(buf, padding);
}

void invitation_private(const struct invitation *invitation, struct buf *text)
{
    static const char magic[] = "openssh-key-v1";
    enum { COLUMNS = 70, ROOM = 1024 };
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    struct buf file = BUF_EMPTY, blob = BUF_EMPTY, hidden = BUF_EMPTY;
    char base64[ROOM];
    buf_reserve(&file, ROOM / 2); /* none of them moves once a secret is in it */
    buf_reserve(&hidden, ROOM / 2);
    buf_reserve(text, ROOM);
    crypto_sign_seed_keypair(public_key, secret, invitation->seed);
    add_public(&blob, public_key);
    add_secret(&hidden, invitation, public_key, secret);
    buf_add(&file, magic, sizeof magic); /* with its NUL */
    add_string(&file, "none", 4);        /* cipher, way to its key, options of that */
    add_string(&file, "none", 4);
    add_string(&file, "", 0);
    add_number(&file, 1);
    add_string(&file, blob.data, blob.length);
    add_string(&file, hidden.data, hidden.length);
    sodium_bin2base64(base64, sizeof base64, (const unsigned char *)file.data, file.length, sodium_base64_VARIANT_ORIGINAL);
    buf_add_text(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0, length = strlen(base64); at < length; at += COLUMNS) {
        buf_add(text, base64 + at, length - at < COLUMNS ? length - at : COLUMNS);
        buf_add_char(text, '\n');
    }
    buf_add_text(text, "-----END OPENSSH PRIVATE KEY-----\n");
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(base64, sizeof base64);
    buf_wipe(&file);
    buf_wipe(&hidden);
    buf_free(&blob);
}
