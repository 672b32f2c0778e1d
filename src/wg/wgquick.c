/* wg-quick's configuration files (wg-quick(8), wg(8) "CONFIGURATION FILE FORMAT"): what is saved on a node. */
#include "wgdeck/wgquick.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device_build.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* A peer being read, with what of it is not in struct device_peer. */
struct saved_peer {
    struct device_peer peer;
    char *endpoint_host;
    bool has_key;
    size_t allowed_capacity;
    size_t section;
};

struct reading {
    struct wgquick *wgquick;
    const struct conf *conf;
    const char *salt;
    struct buf *warnings;
    struct saved_peer *peers;
    size_t peer_count, peer_capacity, address_capacity;
};

struct key_row {
    const char *key;
    bool secret;          /* its value never stands in an error */
    const char *expected; /* what to write */
    int (*read)(struct reading *reading, const char *value);
};

static struct device *device_of(struct reading *reading)
{
    return &reading->wgquick->device;
}

static struct saved_peer *last_peer(struct reading *reading)
{
    return &reading->peers[reading->peer_count - 1];
}

static int read_private(struct reading *reading, const char *value)
{
    struct key key;
    if (key_parse(value, &key))
        return -1;
    device_of(reading)->has_private = !key_is_zero(&key);
    memset(&device_of(reading)->public_key, 0, sizeof(struct key));
    if (device_of(reading)->has_private)
        key_public(&key, &device_of(reading)->public_key);
    key_wipe(&key);
    return 0;
}

static int read_number(const char *value, unsigned long long minimum, unsigned long long maximum, unsigned long long *number)
{
    return text_to_number(value, maximum, number) || *number < minimum ? -1 : 0;
}

static int read_listen_port(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_number(value, 0, UINT16_MAX, &number))
        return -1;
    device_of(reading)->listen_port = (uint16_t)number;
    reading->wgquick->listen_port_given = true;
    return 0;
}

static int read_fwmark(struct reading *reading, const char *value)
{
    unsigned long long number = 0;
    if (!strncasecmp(value, "0x", 2)) {
        size_t digits = strspn(value + 2, "0123456789abcdefABCDEF");
        if (!digits || digits > 8 || value[2 + digits])
            return -1;
        number = strtoul(value + 2, NULL, 16);
    } else if (strcasecmp(value, "off") && read_number(value, 0, UINT32_MAX, &number)) {
        return -1;
    }
    device_of(reading)->fwmark = (uint32_t)number;
    return 0;
}

/* Call ADD for each word of a comma-separated list; empty words are skipped, as wg does. */
static int read_list(struct reading *reading, const char *value, void (*add)(struct reading *, const struct prefix *))
{
    while (*value) {
        size_t length = strcspn(value, ","), start = strspn(value, " \t\r,");
        if (start) {
            value += start;
            continue;
        }
        char word[PREFIX_TEXT_SIZE + 8];
        struct prefix prefix;
        size_t end = length;
        while (end && strchr(" \t\r", value[end - 1]))
            end--;
        if (end >= sizeof word)
            return -1;
        memcpy(word, value, end);
        word[end] = '\0';
        if (prefix_parse(word, &prefix))
            return -1;
        add(reading, &prefix);
        value += length;
    }
    return 0;
}

static void add_address(struct reading *reading, const struct prefix *prefix)
{
    struct wgquick *wgquick = reading->wgquick;
    MEM_GROW(wgquick->addresses, wgquick->address_count, reading->address_capacity);
    wgquick->addresses[wgquick->address_count++] = *prefix;
}

static int read_address(struct reading *reading, const char *value)
{
    return read_list(reading, value, add_address);
}

static int read_mtu(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_number(value, 68, UINT16_MAX, &number)) /* 68: the least an IPv4 link may have (RFC 791) */
        return -1;
    reading->wgquick->mtu = (unsigned)number;
    return 0;
}

static int read_table(struct reading *reading, const char *value)
{
    reading->wgquick->table_off = !strcasecmp(value, "off");
    return *value ? 0 : -1;
}

static int read_save_config(struct reading *reading, const char *value)
{
    reading->wgquick->save_config = !strcmp(value, "true");
    return 0;
}

static int read_hook(struct reading *reading, const char *value)
{
    (void)value;
    reading->wgquick->hooks++;
    return 0;
}

static int read_nothing(struct reading *reading, const char *value)
{
    (void)reading;
    (void)value;
    return 0;
}

static int read_public(struct reading *reading, const char *value)
{
    if (key_parse(value, &last_peer(reading)->peer.public_key))
        return -1;
    last_peer(reading)->has_key = true;
    return 0;
}

static int read_preshared(struct reading *reading, const char *value)
{
    struct device_peer *peer = &last_peer(reading)->peer;
    struct key key;
    if (key_parse(value, &key))
        return -1;
    peer->has_preshared = !key_is_zero(&key);
    memset(peer->preshared_hash, 0, sizeof peer->preshared_hash);
    if (peer->has_preshared)
        key_hash(&key, reading->salt, peer->preshared_hash);
    key_wipe(&key);
    return 0;
}

static void add_allowed(struct reading *reading, const struct prefix *prefix)
{
    struct saved_peer *saved = last_peer(reading);
    MEM_GROW(saved->peer.allowed, saved->peer.allowed_count, saved->allowed_capacity);
    saved->peer.allowed[saved->peer.allowed_count++] = *prefix;
}

static int read_allowed(struct reading *reading, const char *value)
{
    return read_list(reading, value, add_allowed);
}

/* "HOST:PORT" with a host name of letters, digits, '-', '.' and '_'. */
static bool is_host_and_port(const char *value)
{
    size_t length = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._");
    unsigned long long port;
    return length && length <= 253 && value[length] == ':' && !read_number(value + length + 1, 1, UINT16_MAX, &port);
}

static int read_endpoint(struct reading *reading, const char *value)
{
    struct saved_peer *saved = last_peer(reading);
    struct endpoint endpoint = {0};
    char *host = NULL;
    if (device_parse_endpoint(value, &endpoint)) {
        if (!is_host_and_port(value))
            return -1;
        host = mem_text(value);
    }
    free(saved->endpoint_host);
    saved->endpoint_host = host;
    saved->peer.endpoint = endpoint;
    return 0;
}

static int read_keepalive(struct reading *reading, const char *value)
{
    unsigned long long number = 0;
    if (strcasecmp(value, "off") && read_number(value, 0, UINT16_MAX, &number))
        return -1;
    last_peer(reading)->peer.keepalive = (uint16_t)number;
    return 0;
}

static const struct key_row interface_keys[] = {
    {"PrivateKey", true, "a key of 44 characters, as wg genkey prints it", read_private},
    {"ListenPort", false, "0 to 65535", read_listen_port},
    {"FwMark", false, "off, or a number of 32 bits (0x... or decimal)", read_fwmark},
    {"Address", false, "addresses as 10.0.0.1/24, fd00::1/64", read_address},
    {"DNS", false, NULL, read_nothing},
    {"MTU", false, "68 to 65535", read_mtu},
    {"Table", false, "off, auto, or a routing table", read_table},
    {"PreUp", false, NULL, read_hook},
    {"PostUp", false, NULL, read_hook},
    {"PreDown", false, NULL, read_hook},
    {"PostDown", false, NULL, read_hook},
    {"SaveConfig", false, NULL, read_save_config},
};

static const struct key_row peer_keys[] = {
    {"PublicKey", false, "a key of 44 characters", read_public},
    {"PresharedKey", true, "a key of 44 characters, as wg genpsk prints it", read_preshared},
    {"AllowedIPs", false, "prefixes as 10.0.0.2/32, fd00::2/128", read_allowed},
    {"Endpoint", false, "ADDRESS:PORT, [V6ADDRESS]:PORT or NAME:PORT", read_endpoint},
    {"PersistentKeepalive", false, "off, or 1 to 65535 seconds", read_keepalive},
};

struct section_row {
    const char *kind;
    const struct key_row *keys;
    size_t key_count;
};

static const struct section_row sections[] = {
    {"Interface", interface_keys, COUNT_OF(interface_keys)},
    {"Peer", peer_keys, COUNT_OF(peer_keys)},
};

static const struct section_row *find_section(const char *kind)
{
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        if (!strcasecmp(sections[i].kind, kind))
            return &sections[i];
    return NULL;
}

static void warn(struct reading *reading, size_t line, const char *what, const char *word, const char *nearest)
{
    if (!reading->warnings)
        return;
    struct buf raw = BUF_EMPTY;
    buf_add_format(&raw, "%s:%zu: %s '%s' is not known to wg-quick", conf_file(reading->conf), line, what, word);
    if (nearest)
        buf_add_format(&raw, "; did you mean %s?", nearest);
    text_add_safe(reading->warnings, buf_text(&raw), raw.length);
    buf_add_char(reading->warnings, '\n');
    buf_free(&raw);
}

static void warn_key(struct reading *reading, const struct section_row *section, const struct conf_entry *entry)
{
    const char *names[COUNT_OF(interface_keys)];
    for (size_t i = 0; i < section->key_count; i++)
        names[i] = section->keys[i].key;
    warn(reading, entry->line, "the key", entry->key, text_nearest(entry->key, names, section->key_count));
}

static int read_entry(struct reading *reading, const struct section_row *section, const struct conf_entry *entry, struct err *err)
{
    for (size_t i = 0; i < section->key_count; i++) {
        const struct key_row *row = &section->keys[i];
        if (strcasecmp(row->key, entry->key))
            continue;
        if (row->read(reading, entry->value) == 0)
            return 0;
        return err_set(err, "%s:%zu: %s = %.100s is not usable; write %s", conf_file(reading->conf), entry->line, row->key,
                       row->secret ? "(not shown)" : entry->value, row->expected);
    }
    warn_key(reading, section, entry);
    return 0;
}

/* Peers begin when their header does, so that a [Peer] with nothing in it is seen too. */
static void begin_sections(struct reading *reading, size_t *begun, size_t section_index)
{
    for (; section_index != SIZE_MAX && *begun <= section_index; (*begun)++) {
        const char *kind;
        size_t line;
        conf_section(reading->conf, *begun, &kind, NULL, &line);
        const struct section_row *section = find_section(kind);
        if (!section)
            warn(reading, line, "the section", kind, NULL);
        if (section != &sections[1])
            continue;
        MEM_GROW(reading->peers, reading->peer_count, reading->peer_capacity);
        reading->peers[reading->peer_count++] = (struct saved_peer){.section = *begun};
    }
}

static int read_entries(struct reading *reading, struct err *err)
{
    struct conf_entry entry;
    size_t begun = 0;
    for (size_t cursor = 0; conf_next(reading->conf, &cursor, &entry);) {
        begin_sections(reading, &begun, entry.section_index);
        const struct section_row *section = find_section(entry.section);
        if (!*entry.section)
            return err_set(err, "%s:%zu: a line before the first section; write [Interface] above it", conf_file(reading->conf),
                           entry.line);
        if (section && read_entry(reading, section, &entry, err))
            return -1;
    }
    begin_sections(reading, &begun, conf_section_count(reading->conf) - 1);
    for (size_t i = 0; i < reading->peer_count; i++) {
        size_t line;
        conf_section(reading->conf, reading->peers[i].section, NULL, NULL, &line);
        if (!reading->peers[i].has_key)
            return err_set(err, "%s:%zu: a [Peer] without PublicKey; write PublicKey = ... in it", conf_file(reading->conf), line);
    }
    return 0;
}

static int compare_saved(const void *a, const void *b)
{
    const struct saved_peer *first = a, *second = b;
    int order = key_compare(&first->peer.public_key, &second->peer.public_key);
    return order ? order : (first->section > second->section) - (first->section < second->section);
}

/* Two [Peer] sections with one key: wg applies one after the other, so the later's prefixes replace the earlier's, and what
 * the later does not give stays. LATER is emptied. */
static void merge_saved(struct saved_peer *peer, struct saved_peer *later)
{
    free(peer->peer.allowed);
    peer->peer.allowed = later->peer.allowed;
    peer->peer.allowed_count = later->peer.allowed_count;
    if (later->peer.endpoint.address.family || later->endpoint_host) {
        free(peer->endpoint_host);
        peer->endpoint_host = later->endpoint_host;
        peer->peer.endpoint = later->peer.endpoint;
    }
    if (later->peer.keepalive)
        peer->peer.keepalive = later->peer.keepalive;
    if (later->peer.has_preshared) {
        peer->peer.has_preshared = true;
        memcpy(peer->peer.preshared_hash, later->peer.preshared_hash, KEY_HASH_SIZE);
    }
}

static void hand_over(struct reading *reading)
{
    struct wgquick *wgquick = reading->wgquick;
    struct device *device = &wgquick->device;
    if (reading->peer_count > 1)
        qsort(reading->peers, reading->peer_count, sizeof *reading->peers, compare_saved);
    device->peers = mem_alloc(reading->peer_count, sizeof *device->peers);
    wgquick->endpoint_hosts = mem_alloc(reading->peer_count, sizeof *wgquick->endpoint_hosts);
    size_t kept = 0;
    for (size_t i = 0; i < reading->peer_count; i++) {
        if (kept && key_equal(&reading->peers[kept - 1].peer.public_key, &reading->peers[i].peer.public_key))
            merge_saved(&reading->peers[kept - 1], &reading->peers[i]);
        else
            reading->peers[kept++] = reading->peers[i];
    }
    for (size_t i = 0; i < kept; i++) {
        device->peers[i] = reading->peers[i].peer;
        device_peer_sort(&device->peers[i]);
        wgquick->endpoint_hosts[i] = reading->peers[i].endpoint_host;
    }
    device->peer_count = kept;
    reading->peer_count = 0;
}

/* The interface is named as the file: /etc/wireguard/wg0.conf is wg0. */
static void name_device(struct device *device, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *end = strrchr(base, '.');
    size_t length = end && !strcmp(end, ".conf") ? (size_t)(end - base) : strlen(base);
    if (length >= sizeof device->name)
        return;
    memcpy(device->name, base, length);
    if (!device_name_is_valid(device->name))
        memset(device->name, 0, sizeof device->name);
}

int wgquick_read(const struct conf *conf, const char *salt, struct wgquick *wgquick, struct buf *warnings, struct err *err)
{
    struct reading reading = {.wgquick = wgquick, .conf = conf, .salt = salt, .warnings = warnings};
    *wgquick = (struct wgquick){0};
    name_device(&wgquick->device, conf_file(conf));
    int result = read_entries(&reading, err);
    if (!result)
        hand_over(&reading);
    for (size_t i = 0; i < reading.peer_count; i++) {
        free(reading.peers[i].peer.allowed);
        free(reading.peers[i].endpoint_host);
    }
    free(reading.peers);
    if (result)
        wgquick_free(wgquick);
    return result;
}

void wgquick_free(struct wgquick *wgquick)
{
    for (size_t i = 0; wgquick->endpoint_hosts && i < wgquick->device.peer_count; i++)
        free(wgquick->endpoint_hosts[i]);
    free(wgquick->endpoint_hosts);
    free(wgquick->addresses);
    device_free(&wgquick->device);
    *wgquick = (struct wgquick){0};
}
