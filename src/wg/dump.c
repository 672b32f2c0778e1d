/* What "wg show all dump" prints (wg(8), "show"): one line of 5 fields for each interface, then one of 9 for each of its peers,
 * separated by tabs. The text comes from another machine, its secrets already replaced there. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "device_build.h"
#include "wgdeck/clock.h"
#include "wgdeck/device.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { DEVICE_FIELDS = 5, PEER_FIELDS = 9 };

struct dump {
    struct device_build *builds; /* one for each interface; the last one is being filled */
    size_t count, capacity;
    size_t line;
    struct err *err;
};

struct field {
    const char *name;
    bool secret; /* then its value never stands in an error */
    const char *expected;
    int (*read)(char *text, struct dump *dump);
};

static struct device_build *last_build(struct dump *dump)
{
    return &dump->builds[dump->count - 1];
}

static struct device *last_device(struct dump *dump)
{
    return &last_build(dump)->device;
}

static struct device_peer *last_peer(struct dump *dump)
{
    return &last_device(dump)->peers[last_device(dump)->peer_count - 1];
}

static bool is_none(const char *text)
{
    return !strcmp(text, "(none)");
}

static int read_interface(char *text, struct dump *dump)
{
    if (!device_name_is_valid(text))
        return -1;
    for (size_t i = 0; i + 1 < dump->count; i++)
        if (!strcmp(dump->builds[i].device.name, text))
            return -1;
    strcpy(last_device(dump)->name, text);
    return 0;
}

static int read_private(char *text, struct dump *dump)
{
    last_device(dump)->has_private = !strcmp(text, "(hidden)");
    return last_device(dump)->has_private || is_none(text) ? 0 : -1;
}

static int read_public(char *text, struct dump *dump)
{
    if (is_none(text))
        return last_device(dump)->has_private ? -1 : 0;
    if (key_parse(text, &last_device(dump)->public_key))
        return -1;
    last_device(dump)->has_private = true; /* wg derives the public key from the private one, however that was hidden */
    return 0;
}

static int read_listen_port(char *text, struct dump *dump)
{
    unsigned long long number;
    if (text_to_number(text, UINT16_MAX, &number))
        return -1;
    last_device(dump)->listen_port = (uint16_t)number;
    return 0;
}

static int read_fwmark(char *text, struct dump *dump)
{
    if (!strcmp(text, "off"))
        return 0;
    size_t digits = strspn(text + 2 * !strncmp(text, "0x", 2), "0123456789abcdefABCDEF");
    if (strncmp(text, "0x", 2) || !digits || digits > 8 || text[2 + digits])
        return -1;
    last_device(dump)->fwmark = (uint32_t)strtoul(text + 2, NULL, 16);
    return 0;
}

static int read_peer_key(char *text, struct dump *dump)
{
    return key_parse(text, &last_peer(dump)->public_key);
}

static int read_preshared(char *text, struct dump *dump)
{
    size_t length;
    if (is_none(text))
        return 0;
    last_peer(dump)->has_preshared = true;
    if (strlen(text) != 2 * KEY_HASH_SIZE)
        return -1;
    return sodium_hex2bin(last_peer(dump)->preshared_hash, KEY_HASH_SIZE, text, 2 * KEY_HASH_SIZE, NULL, &length, NULL) ||
                   length != KEY_HASH_SIZE ? -1 : 0;
}

static int read_endpoint(char *text, struct dump *dump)
{
    return is_none(text) ? 0 : device_parse_endpoint(text, &last_peer(dump)->endpoint);
}

static int read_allowed(char *text, struct dump *dump)
{
    if (is_none(text))
        return 0;
    for (char *next = text; next;) {
        char *word = strsep(&next, ",");
        struct prefix prefix;
        if (prefix_parse(word, &prefix))
            return -1;
        device_build_allowed(last_build(dump), &prefix);
    }
    return 0;
}

static int read_handshake(char *text, struct dump *dump)
{
    unsigned long long seconds;
    if (text_to_number(text, INT64_MAX / CLOCK_SECOND, &seconds))
        return -1;
    last_peer(dump)->handshake = (int64_t)seconds * CLOCK_SECOND;
    return 0;
}

static int read_bytes(const char *text, uint64_t *bytes)
{
    unsigned long long number;
    if (text_to_number(text, UINT64_MAX, &number))
        return -1;
    *bytes = number;
    return 0;
}

static int read_received(char *text, struct dump *dump)
{
    return read_bytes(text, &last_peer(dump)->rx_bytes);
}

static int read_sent(char *text, struct dump *dump)
{
    return read_bytes(text, &last_peer(dump)->tx_bytes);
}

static int read_keepalive(char *text, struct dump *dump)
{
    unsigned long long seconds;
    if (!strcmp(text, "off"))
        return 0;
    if (text_to_number(text, UINT16_MAX, &seconds))
        return -1;
    last_peer(dump)->keepalive = (uint16_t)seconds;
    return 0;
}

static const struct field device_fields[DEVICE_FIELDS] = {
    {"interface", false, "a new interface name", read_interface},
    {"private key", true, "(none) or (hidden)", read_private},
    {"public key", false, "a key, or (none) without a private key", read_public},
    {"listen port", false, "0 to 65535", read_listen_port},
    {"fwmark", false, "off or 0x...", read_fwmark},
};

static const struct field peer_fields[PEER_FIELDS] = {
    {"interface", false, NULL, NULL}, /* compared before */
    {"public key", false, "a key", read_peer_key},
    {"preshared key", true, "(none) or a hash of 32 hexadecimal digits", read_preshared},
    {"endpoint", false, "(none) or ADDRESS:PORT", read_endpoint},
    {"allowed ips", false, "(none) or prefixes", read_allowed},
    {"latest handshake", false, "seconds", read_handshake},
    {"received bytes", false, "a number", read_received},
    {"sent bytes", false, "a number", read_sent},
    {"persistent keepalive", false, "off or 0 to 65535", read_keepalive},
};

static int read_fields(struct dump *dump, const struct field *fields, size_t count, char **texts)
{
    for (size_t i = 0; i < count; i++) {
        char shown[80] = "(not shown)";
        if (!fields[i].read)
            continue;
        if (!fields[i].secret) /* the reader may cut its text */
            strncpy(shown, texts[i], sizeof shown - 1), shown[sizeof shown - 1] = '\0';
        if (fields[i].read(texts[i], dump))
            return err_set(dump->err, "wg dump line %zu: field %zu (%s) is '%s', not %s", dump->line, i + 1, fields[i].name, shown,
                           fields[i].expected);
    }
    return 0;
}

/* Cut at tabs. Returns how many fields there are; only the first PEER_FIELDS are kept. */
static size_t split(char *line, char *texts[PEER_FIELDS])
{
    size_t count = 0;
    for (char *next = line; next; count++) {
        char *text = strsep(&next, "\t");
        if (count < PEER_FIELDS)
            texts[count] = text;
    }
    return count;
}

static int parse_line(struct dump *dump, char *line)
{
    char *texts[PEER_FIELDS];
    size_t count = split(line, texts);
    if (count == DEVICE_FIELDS) {
        MEM_GROW(dump->builds, dump->count, dump->capacity);
        dump->builds[dump->count++] = (struct device_build){0};
        return read_fields(dump, device_fields, DEVICE_FIELDS, texts);
    }
    if (count != PEER_FIELDS)
        return err_set(dump->err, "wg dump line %zu: %zu fields, not %d (interface) or %d (peer)", dump->line, count, DEVICE_FIELDS,
                       PEER_FIELDS);
    if (!dump->count || strcmp(last_device(dump)->name, texts[0]))
        return err_set(dump->err, "wg dump line %zu: a peer of '%.32s', whose own line is not before it", dump->line, texts[0]);
    device_build_peer(last_build(dump));
    return read_fields(dump, peer_fields, PEER_FIELDS, texts);
}

static int parse_lines(struct dump *dump, const char *bytes, size_t length, struct buf *line)
{
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        dump->line++;
        if (!end)
            return err_set(dump->err, "wg dump line %zu: cut off; the answer is incomplete", dump->line);
        size_t size = (size_t)(end - bytes) - at;
        if (memchr(bytes + at, 0, size))
            return err_set(dump->err, "wg dump line %zu: a NUL byte", dump->line);
        buf_clear(line);
        buf_add(line, bytes + at, size);
        at += size + 1;
        if (parse_line(dump, line->data))
            return -1;
    }
    return 0;
}

static int finish(struct dump *dump, struct device **devices, size_t *count)
{
    struct device *list = mem_alloc(dump->count, sizeof *list);
    for (size_t i = 0; i < dump->count; i++) {
        if (device_build_finish(&dump->builds[i], &list[i], dump->err) == 0)
            continue;
        while (i > 0)
            device_free(&list[--i]);
        free(list);
        return -1;
    }
    *devices = list;
    *count = dump->count;
    return 0;
}

int device_parse_dump(const char *bytes, size_t length, struct device **devices, size_t *count, struct err *err)
{
    struct dump dump = {.err = err};
    struct buf line = BUF_EMPTY;
    int result = parse_lines(&dump, bytes, length, &line);
    if (!result)
        result = finish(&dump, devices, count);
    for (size_t i = 0; i < dump.count; i++)
        device_free(&dump.builds[i].device);
    free(dump.builds);
    buf_wipe(&line); /* a node that did not strip its secrets is refused, and they are not kept */
    return result;
}
