/* known_hosts (known_hosts.h). libssh reads the whole file at each connect: 27 ms for 2,000 hashed lines, and leaves out @revoked and
 * @cert-authority without a word (traps 7 and 8). Here plain names are found in a sorted index; hashed lines keep both halves of their
 * HMAC-SHA1 begun, so that a name costs two blocks a line; patterns are tried one by one. */
#define OPENSSL_API_COMPAT 0x10101000L /* SHA1_Update & co.: the only interface that keeps a begun hash in 96 bytes */
#include "known_hosts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { SALT_SIZE = SHA_DIGEST_LENGTH, BLOCK_SIZE = 64, FILE_LIMIT = 64 << 20, BLOB_MAX = 16384, NAME_MAX_LENGTH = 1024 };

struct named {
    const char *name; /* lower case */
    size_t line;
};

struct hashed {
    SHA_CTX inner, outer; /* begun with the salt's pads */
    unsigned char digest[SHA_DIGEST_LENGTH];
    size_t line;
};

struct patterned {
    const char *patterns; /* "a*,!ab", lower case */
    size_t line;
};

struct known_hosts {
    char *text; /* the file, cut into words */
    struct known_line *lines;
    size_t count, capacity;
    struct named *named;
    size_t named_count, named_capacity;
    struct hashed *hashed;
    size_t hashed_count, hashed_capacity;
    struct patterned *patterned;
    size_t patterned_count, patterned_capacity;
};

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* The next word of *AT, ended with a NUL in place, or NULL. */
static char *word(char **at)
{
    char *start = *at + strspn(*at, " \t");
    if (!*start)
        return NULL;
    char *end = start + strcspn(start, " \t");
    *at = *end ? end + 1 : end;
    *end = '\0';
    return start;
}

static bool decode(const char *base64, unsigned char *bytes, size_t size, size_t *length)
{
    return sodium_base642bin(bytes, size, base64, strlen(base64), NULL, length, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
}

/* The blob begins with the type's own name: a line where both differ is none. */
static bool key_is_sound(const char *type, const char *base64)
{
    unsigned char blob[BLOB_MAX];
    size_t length, type_length = strlen(type);
    if (!decode(base64, blob, sizeof blob, &length) || length < 4 + type_length)
        return false;
    size_t said = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
    return said == type_length && memcmp(blob + 4, type, type_length) == 0;
}

static void begin_hmac(struct hashed *hashed, const unsigned char salt[SALT_SIZE])
{
    unsigned char pad[BLOCK_SIZE];
    for (int half = 0; half < 2; half++) {
        memset(pad, half ? 0x5c : 0x36, sizeof pad);
        for (size_t i = 0; i < SALT_SIZE; i++)
            pad[i] = (unsigned char)(pad[i] ^ salt[i]);
        SHA_CTX *begun = half ? &hashed->outer : &hashed->inner;
        SHA1_Init(begun);
        SHA1_Update(begun, pad, sizeof pad);
    }
}

static void end_hmac(const struct hashed *hashed, const char *name, unsigned char digest[SHA_DIGEST_LENGTH])
{
    SHA_CTX inner = hashed->inner, outer = hashed->outer;
    SHA1_Update(&inner, name, strlen(name));
    SHA1_Final(digest, &inner);
    SHA1_Update(&outer, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &outer);
}

/* "|1|salt|digest" */
static bool add_hashed(struct known_hosts *known, char *names, size_t line)
{
    char *digest_text = strchr(names + 3, '|');
    if (strncmp(names, "|1|", 3) != 0 || !digest_text)
        return false;
    *digest_text++ = '\0';
    unsigned char salt[SALT_SIZE];
    size_t salt_length, digest_length;
    MEM_GROW(known->hashed, known->hashed_count, known->hashed_capacity);
    struct hashed *hashed = &known->hashed[known->hashed_count];
    if (!decode(names + 3, salt, sizeof salt, &salt_length) || salt_length != SALT_SIZE ||
        !decode(digest_text, hashed->digest, sizeof hashed->digest, &digest_length) || digest_length != SHA_DIGEST_LENGTH)
        return false;
    begin_hmac(hashed, salt);
    hashed->line = line;
    known->hashed_count++;
    return true;
}

static void add_names(struct known_hosts *known, char *names, size_t line)
{
    lower(names);
    if (strpbrk(names, "*?!")) {
        MEM_GROW(known->patterned, known->patterned_count, known->patterned_capacity);
        known->patterned[known->patterned_count++] = (struct patterned){.patterns = names, .line = line};
        known->lines[line].general = true;
        return;
    }
    char *rest;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        MEM_GROW(known->named, known->named_count, known->named_capacity);
        known->named[known->named_count++] = (struct named){.name = name, .line = line};
    }
}

static bool read_mark(const char *text, enum known_mark *mark)
{
    static const char *const marks[] = {[KNOWN_AUTHORITY] = "@cert-authority", [KNOWN_REVOKED] = "@revoked"};
    for (size_t i = KNOWN_AUTHORITY; i < COUNT_OF(marks); i++)
        if (!strcmp(text, marks[i])) {
            *mark = (enum known_mark)i;
            return true;
        }
    return false;
}

static void add_line(struct known_hosts *known, char *text, size_t number)
{
    enum known_mark mark = KNOWN_KEY;
    char *names = word(&text);
    if (!names || *names == '#')
        return;
    if (*names == '@') {
        if (!read_mark(names, &mark) || !(names = word(&text)))
            return;
    }
    char *type = word(&text), *base64 = type ? word(&text) : NULL;
    if (!base64 || !key_is_sound(type, base64))
        return;
    MEM_GROW(known->lines, known->count, known->capacity);
    known->lines[known->count] = (struct known_line){.mark = mark, .type = type, .base64 = base64, .line = number};
    if (*names != '|')
        add_names(known, names, known->count);
    else if (!add_hashed(known, names, known->count))
        return;
    known->count++;
}

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

struct known_hosts *known_hosts_parse(const char *bytes, size_t length)
{
    struct known_hosts *known = mem_alloc(1, sizeof *known);
    known->text = mem_alloc(length + 1, 1);
    if (length)
        memcpy(known->text, bytes, length);
    char *end = known->text + length;
    size_t number = 0;
    for (char *line = known->text; line < end;) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        char *stop = next ? next : end;
        *stop = '\0';
        size_t width = (size_t)(stop - line);
        if (width && line[width - 1] == '\r')
            line[--width] = '\0';
        number++;
        if (strlen(line) == width) /* a NUL inside: no such line */
            add_line(known, line, number);
        line = stop + 1;
    }
    if (known->named_count)
        qsort(known->named, known->named_count, sizeof *known->named, compare_named);
    return known;
}

struct known_hosts *known_hosts_read(const char *path, struct err *err)
{
    struct buf buf = BUF_EMPTY;
    errno = 0;
    if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
        file_read(path, FILE_LIMIT, &buf, err);
    struct known_hosts *known = known_hosts_parse(buf.data, buf.length);
    buf_free(&buf);
    return known;
}

void known_hosts_free(struct known_hosts *known)
{
    if (!known)
        return;
    free(known->text);
    free(known->lines);
    free(known->named);
    free(known->hashed);
    free(known->patterned);
    free(known);
}

/* ssh's match_pattern_list: any "!x" that matches says no; else any that matches says yes. '[' is an ordinary character in them. */
static bool pattern_matches(const char *pattern, size_t length, const char *name)
{
    const char *end = pattern + length, *star = NULL, *retry = NULL;
    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (pattern < end && (*pattern == '?' || *pattern == *name)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

static bool patterns_match(const char *patterns, const char *name)
{
    bool matched = false;
    for (const char *at = patterns; *at;) {
        size_t length = strcspn(at, ",");
        bool negated = *at == '!';
        if (pattern_matches(at + negated, length - negated, name)) {
            if (negated)
                return false;
            matched = true;
        }
        at += length + (at[length] == ',');
    }
    return matched;
}

struct found {
    const struct known_line **lines;
    size_t most, count;
};

static void found_add(struct found *found, const struct known_line *line)
{
    if (found->count < found->most)
        found->lines[found->count] = line;
    found->count++;
}

static void find_named(const struct known_hosts *known, const char *name, struct found *found)
{
    size_t low = 0, high = known->named_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(known->named[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < known->named_count && !strcmp(known->named[low].name, name); low++)
        found_add(found, &known->lines[known->named[low].line]);
}

size_t known_hosts_find(const struct known_hosts *known, const char *name, const struct known_line **lines, size_t most)
{
    struct found found = {.lines = lines, .most = most};
    find_named(known, name, &found);
    for (size_t i = 0; i < known->hashed_count; i++) {
        unsigned char digest[SHA_DIGEST_LENGTH];
        end_hmac(&known->hashed[i], name, digest);
        if (!memcmp(digest, known->hashed[i].digest, sizeof digest))
            found_add(&found, &known->lines[known->hashed[i].line]);
    }
    for (size_t i = 0; i < known->patterned_count; i++)
        if (patterns_match(known->patterned[i].patterns, name))
            found_add(&found, &known->lines[known->patterned[i].line]);
    return found.count < most ? found.count : most;
}

char *known_hosts_name(const char *host, unsigned port)
{
    char *name = port == 22 ? mem_text(host) : mem_format("[%s]:%u", host, port);
    lower(name);
    return name;
}

void known_hosts_fingerprint(const char *base64, char text[static FINGERPRINT_SIZE])
{
    unsigned char blob[BLOB_MAX], digest[crypto_hash_sha256_BYTES];
    size_t length;
    text[0] = '\0';
    if (!decode(base64, blob, sizeof blob, &length))
        return;
    crypto_hash_sha256(digest, blob, length);
    memcpy(text, "SHA256:", 7);
    sodium_bin2base64(text + 7, FINGERPRINT_SIZE - 7, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

void known_hosts_add_line(struct buf *line, const char *name, const char *type, const char *base64, bool hashed)
{
    if (hashed) {
        struct hashed hash;
        unsigned char salt[SALT_SIZE];
        char text[64];
        randombytes_buf(salt, sizeof salt);
        begin_hmac(&hash, salt);
        end_hmac(&hash, name, hash.digest);
        buf_add_format(line, "|1|%s|", sodium_bin2base64(text, sizeof text, salt, sizeof salt, sodium_base64_VARIANT_ORIGINAL));
        buf_add_text(line, sodium_bin2base64(text, sizeof text, hash.digest, sizeof hash.digest, sodium_base64_VARIANT_ORIGINAL));
    } else {
        buf_add_text(line, name);
    }
    buf_add_format(line, " %s %s\n", type, base64);
}

static bool ends_in_newline(int descriptor)
{
    char last;
    off_t size = lseek(descriptor, 0, SEEK_END);
    return size <= 0 || pread(descriptor, &last, 1, size - 1) != 1 || last == '\n';
}

int known_hosts_append(const char *path, const char *line, struct err *err)
{
    char *copy = mem_text(path);
    int made = file_make_folders(dirname(copy), 0700, err);
    free(copy);
    if (made)
        return -1;
    /* One write with O_APPEND: other programs append to this file too, and none sees half a line. */
    int descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (descriptor < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    struct buf bytes = BUF_EMPTY;
    if (!ends_in_newline(descriptor))
        buf_add_char(&bytes, '\n');
    buf_add_text(&bytes, line);
    int result = file_write_all(descriptor, bytes.data, bytes.length);
    if (result)
        err_set(err, "%s: %s", path, strerror(errno));
    buf_free(&bytes);
    close(descriptor);
    return result;
}
