/* The answer of a UAPI get (wireguard.com/xplatform), parsed as it arrives. The client is in uapi_client.c. */
#include "uapi.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { REFUSED = -2 }; /* of a key's reader: the error is written already */

enum uapi_scope { SCOPE_DEVICE, SCOPE_PEER, SCOPE_ANY };

struct uapi_key {
    const char *key;
    size_t length; /* of its name */
    enum uapi_scope scope;
    bool secret;
    int (*read)(struct uapi_parser *parser, const char *value);
};

static struct device *device_of(struct uapi_parser *parser)
{
    return &parser->build.device;
}

static struct device_peer *last_peer(struct uapi_parser *parser)
{
    return &device_of(parser)->peers[device_of(parser)->peer_count - 1];
}

static int read_private(struct uapi_parser *parser, const char *value)
{
    struct device *device = device_of(parser);
    struct key key;
    if (key_parse_hex(value, &key))
        return -1;
    device->has_private = !key_is_zero(&key);
    if (device->has_private)
        key_public(&key, &device->public_key);
    if (device->has_private && parser->secrets)
        parser->secrets->take(parser->secrets->context, NULL, &key);
    key_wipe(&key);
    return 0;
}

static int read_listen_port(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, UINT16_MAX, &number))
        return -1;
    device_of(parser)->listen_port = (uint16_t)number;
    return 0;
}

static int read_fwmark(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, UINT32_MAX, &number))
        return -1;
    device_of(parser)->fwmark = (uint32_t)number;
    return 0;
}

/* 1 more than the value of a hexadecimal digit; 0 for all else. */
#define LETTERS(a, b, c, d, e, f) [a] = 11, [b] = 12, [c] = 13, [d] = 14, [e] = 15, [f] = 16
static const uint8_t digit_values[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    LETTERS('a', 'b', 'c', 'd', 'e', 'f'), LETTERS('A', 'B', 'C', 'D', 'E', 'F'),
};

/* A public key is no secret, so it need not be read in constant time, which takes long: there is one for each row. */
static int parse_public(const char *value, size_t length, struct key *key)
{
    bool wrong = length != (size_t)2 * KEY_SIZE;
    for (size_t i = 0; i < KEY_SIZE && !wrong; i++) {
        uint8_t high = digit_values[(uint8_t)value[2 * i]], low = digit_values[(uint8_t)value[2 * i + 1]];
        wrong = !high || !low;
        if (!wrong)
            key->bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return wrong ? -1 : 0;
}

/* 64 times the digit 0, as engines say that there is no preshared key. Takes the same time for every key. */
static bool is_no_key(const char *value, size_t length)
{
    static const uint64_t zeros = 0x3030303030303030;
    uint64_t word, differing = 0;
    if (length != (size_t)2 * KEY_SIZE)
        return false;
    for (size_t i = 0; i < length; i += sizeof word) {
        memcpy(&word, value + i, sizeof word);
        differing |= word ^ zeros;
    }
    return !differing;
}

static size_t value_length(const struct uapi_parser *parser, const char *value)
{
    return parser->used - (size_t)(value - parser->line);
}

static int read_public(struct uapi_parser *parser, const char *value)
{
    parser->in_peer = true;
    return parse_public(value, value_length(parser, value), &device_build_peer(&parser->build)->public_key);
}

static int read_preshared(struct uapi_parser *parser, const char *value)
{
    struct device_peer *peer = last_peer(parser);
    struct key key;
    if (is_no_key(value, value_length(parser, value))) {
        peer->has_preshared = false;
        return 0;
    }
    if (key_parse_hex(value, &key))
        return -1;
    peer->has_preshared = !key_is_zero(&key);
    if (peer->has_preshared)
        key_hash(&key, parser->salt, peer->preshared_hash);
    if (peer->has_preshared && parser->secrets)
        parser->secrets->take(parser->secrets->context, &peer->public_key, &key);
    key_wipe(&key);
    return 0;
}

static int read_version(struct uapi_parser *parser, const char *value)
{
    (void)parser;
    return strcmp(value, "1") ? -1 : 0;
}

static int read_endpoint(struct uapi_parser *parser, const char *value)
{
    return device_parse_endpoint(value, &last_peer(parser)->endpoint);
}

static int read_handshake_seconds(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, INT64_MAX / CLOCK_SECOND - 1, &number))
        return -1;
    last_peer(parser)->handshake = last_peer(parser)->handshake % CLOCK_SECOND + (int64_t)number * CLOCK_SECOND;
    return 0;
}

static int read_handshake_nanoseconds(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, CLOCK_SECOND - 1, &number))
        return -1;
    int64_t *handshake = &last_peer(parser)->handshake;
    *handshake = *handshake - *handshake % CLOCK_SECOND + (int64_t)number;
    return 0;
}

static int read_bytes(const char *value, uint64_t *bytes)
{
    unsigned long long number;
    if (text_to_number(value, UINT64_MAX, &number))
        return -1;
    *bytes = number;
    return 0;
}

static int read_received(struct uapi_parser *parser, const char *value)
{
    return read_bytes(value, &last_peer(parser)->rx_bytes);
}

static int read_sent(struct uapi_parser *parser, const char *value)
{
    return read_bytes(value, &last_peer(parser)->tx_bytes);
}

static int read_keepalive(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, UINT16_MAX, &number))
        return -1;
    last_peer(parser)->keepalive = (uint16_t)number;
    return 0;
}

static int read_allowed(struct uapi_parser *parser, const char *value)
{
    struct prefix prefix;
    if (prefix_parse(value, &prefix))
        return -1;
    device_build_allowed(&parser->build, &prefix);
    return 0;
}

/* Engines disagree about the sign of errno in an answer. */
static int read_errno(struct uapi_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value + (*value == '-'), 4095, &number))
        return -1;
    parser->has_errno = true;
    if (!number)
        return 0;
    err_set(parser->err, "%s: the engine refuses to be read: %s", device_of(parser)->name, strerror((int)number));
    return REFUSED;
}

#define KEY(name) (name), sizeof(name) - 1
/* Keys that are not here are skipped: engines and forks add their own. */
static const struct uapi_key uapi_keys[] = {
    {KEY("private_key"), SCOPE_DEVICE, true, read_private},
    {KEY("listen_port"), SCOPE_DEVICE, false, read_listen_port},
    {KEY("fwmark"), SCOPE_DEVICE, false, read_fwmark},
    {KEY("public_key"), SCOPE_ANY, false, read_public},
    {KEY("preshared_key"), SCOPE_PEER, true, read_preshared},
    {KEY("protocol_version"), SCOPE_PEER, false, read_version},
    {KEY("endpoint"), SCOPE_PEER, false, read_endpoint},
    {KEY("last_handshake_time_sec"), SCOPE_PEER, false, read_handshake_seconds},
    {KEY("last_handshake_time_nsec"), SCOPE_PEER, false, read_handshake_nanoseconds},
    {KEY("rx_bytes"), SCOPE_PEER, false, read_received},
    {KEY("tx_bytes"), SCOPE_PEER, false, read_sent},
    {KEY("persistent_keepalive_interval"), SCOPE_PEER, false, read_keepalive},
    {KEY("allowed_ip"), SCOPE_PEER, false, read_allowed},
    {KEY("errno"), SCOPE_ANY, false, read_errno},
};

static const struct uapi_key *find_key(const char *line, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(uapi_keys); i++)
        if (uapi_keys[i].length == length && !memcmp(uapi_keys[i].key, line, length))
            return &uapi_keys[i];
    return NULL;
}

static int wrong_line(struct uapi_parser *parser, const char *what)
{
    return err_set(parser->err, "%s: the engine's answer is garbled: line %zu: %s", device_of(parser)->name, parser->line_number, what);
}

static int parse_line(struct uapi_parser *parser)
{
    char *equals = strchr(parser->line, '='), what[160];
    if (!equals)
        return wrong_line(parser, "no '='");
    const struct uapi_key *key = find_key(parser->line, (size_t)(equals - parser->line));
    if (parser->has_errno)
        return wrong_line(parser, "more behind errno");
    if (!key)
        return 0;
    if (key->scope == SCOPE_PEER && !parser->in_peer)
        snprintf(what, sizeof what, "%s before any public_key", key->key);
    else if (key->scope == SCOPE_DEVICE && parser->in_peer)
        snprintf(what, sizeof what, "%s behind a peer", key->key);
    else if (parser->used >= UAPI_LINE_SIZE)
        snprintf(what, sizeof what, "%s has an over-long value", key->key);
    else {
        int result = key->read(parser, equals + 1);
        if (result == 0 || result == REFUSED)
            return result;
        snprintf(what, sizeof what, "%s = %.80s", key->key, key->secret ? "(not shown, not a key)" : equals + 1);
    }
    return wrong_line(parser, what);
}

static int end_line(struct uapi_parser *parser)
{
    parser->line_number++;
    if (!parser->used) {
        parser->done = true;
        return parser->has_errno ? 1 : wrong_line(parser, "the answer ends without errno");
    }
    size_t kept = parser->used < UAPI_LINE_SIZE ? parser->used : UAPI_LINE_SIZE - 1;
    parser->line[kept] = '\0';
    int result = memchr(parser->line, 0, kept) ? wrong_line(parser, "a NUL byte") : parse_line(parser);
    sodium_memzero(parser->line, kept);
    parser->used = 0;
    return result < 0 ? -1 : 0;
}

void uapi_parser_start(struct uapi_parser *parser, const char *name, const char *salt, struct err *err)
{
    memset(parser, 0, sizeof *parser);
    parser->salt = salt;
    parser->err = err;
    parser->build.device.engine = ENGINE_USERSPACE;
    strncpy(parser->build.device.name, name, IFNAMSIZ - 1);
}

int uapi_parser_feed(struct uapi_parser *parser, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        if (parser->done)
            return wrong_line(parser, "more behind the empty line");
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t part = end ? (size_t)(end - bytes) - at : length - at;
        if (parser->used < UAPI_LINE_SIZE - 1) {
            size_t room = UAPI_LINE_SIZE - 1 - parser->used;
            memcpy(parser->line + parser->used, bytes + at, part < room ? part : room);
        }
        parser->used += part;
        at += part + (end != NULL);
        if (end && end_line(parser) < 0)
            return -1;
    }
    return parser->done ? 1 : 0;
}

int uapi_parser_end(struct uapi_parser *parser, int result, struct device *device)
{
    if (result >= 0 && !parser->done)
        result = wrong_line(parser, "it is incomplete");
    if (result >= 0)
        result = device_build_finish(&parser->build, device, parser->err);
    device_free(&parser->build.device);
    sodium_memzero(parser->line, sizeof parser->line);
    return result < 0 ? -1 : 0;
}

int device_parse_uapi(const char *name, const char *bytes, size_t length, const char *salt, struct device *device, struct err *err)
{
    struct uapi_parser parser;
    uapi_parser_start(&parser, name, salt, err);
    return uapi_parser_end(&parser, uapi_parser_feed(&parser, bytes, length), device);
}
