/* A state as a text that holds everything, and back: a wg-quick file with a section [State] for what such a file cannot say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "state_parts.h"
#include "wgdeck/conf.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* --- writing */

static size_t text_size(const struct state *state)
{
    size_t size = 4096 + state->address_count * (PREFIX_TEXT_SIZE + 16) + state->route_count * (PREFIX_TEXT_SIZE + 64);
    for (size_t i = 0; i < state->device.peer_count; i++) {
        const char *host = state->endpoint_hosts ? state->endpoint_hosts[i] : NULL;
        size += 512 + state->device.peers[i].allowed_count * (PREFIX_TEXT_SIZE + 16) + (host ? strlen(host) : 0);
    }
    return size;
}

static void add_key(struct buf *text, const char *name, const struct key *key)
{
    char word[KEY_TEXT_SIZE];
    if (!key)
        return;
    key_text(key, word);
    buf_add_format(text, "%s = %s\n", name, word);
    explicit_bzero(word, sizeof word);
}

static void add_prefix(struct buf *text, const char *name, const struct prefix *prefix)
{
    char word[PREFIX_TEXT_SIZE];
    prefix_text(prefix, word);
    buf_add_format(text, "%s = %s\n", name, word);
}

static const char *yes_or_no(bool value)
{
    return value ? "yes" : "no";
}

static void add_state(struct buf *text, const struct state *state)
{
    buf_add_format(text, "[State]\nName = %s\nExists = %s\nEngine = %s\nUp = %s\nForwarding4 = %d\nForwarding6 = %d\n", state->name, yes_or_no(state->exists),
                   engine_kind_text(state->engine), yes_or_no(state->up), state->forwarding4, state->forwarding6);
    for (size_t i = 0; i < state->route_count; i++) {
        char word[PREFIX_TEXT_SIZE];
        prefix_text(&state->routes[i].to, word);
        buf_add_format(text, "Route = %s table %u metric %u\n", word, state->routes[i].table, state->routes[i].metric);
    }
}

static void add_interface(struct buf *text, const struct state *state)
{
    buf_add_text(text, "\n[Interface]\n");
    add_key(text, "PrivateKey", state_private(state));
    buf_add_format(text, "ListenPort = %u\nFwMark = %u\nMTU = %u\n", state->device.listen_port, state->device.fwmark, state->mtu);
    for (size_t i = 0; i < state->address_count; i++)
        add_prefix(text, "Address", &state->addresses[i]);
}

static void add_row(struct buf *text, const struct state *state, size_t index)
{
    const struct device_peer *row = &state->device.peers[index];
    char endpoint[ENDPOINT_TEXT_SIZE];
    buf_add_text(text, "\n[Peer]\n");
    add_key(text, "PublicKey", &row->public_key);
    add_key(text, "PresharedKey", state_preshared(state, &row->public_key));
    for (size_t i = 0; i < row->allowed_count; i++)
        add_prefix(text, "AllowedIPs", &row->allowed[i]);
    endpoint_text(&row->endpoint, endpoint);
    if (*endpoint)
        buf_add_format(text, "Endpoint = %s\n", endpoint);
    if (state->endpoint_hosts && state->endpoint_hosts[index])
        buf_add_format(text, "EndpointName = %s\n", state->endpoint_hosts[index]);
    if (state->endpoints_stay && state->endpoints_stay[index])
        buf_add_text(text, "EndpointStays = yes\n");
    buf_add_format(text, "PersistentKeepalive = %u\n", row->keepalive);
}

void state_write(const struct state *state, struct buf *text)
{
    buf_reserve(text, text_size(state)); /* what moves leaves keys behind */
    add_state(text, state);
    add_interface(text, state);
    for (size_t i = 0; i < state->device.peer_count; i++)
        add_row(text, state, i);
    buf_add_text(text, "\n[End]\n");
}

/* --- reading. Each reader: 0, or -1 when the value is not usable. */

struct row {
    struct device_peer peer;
    size_t capacity; /* of its prefixes */
    char *host;
    bool stays;
};

struct reading {
    struct state *state;
    struct row *rows;
    size_t row_count, row_capacity, address_capacity, route_capacity;
    bool has_name;
};

static int read_flag(const char *value, bool *flag)
{
    *flag = !strcmp(value, "yes");
    return *flag || !strcmp(value, "no") ? 0 : -1;
}

static int read_count(const char *value, unsigned long long maximum, unsigned long long *number)
{
    return text_to_number(value, maximum, number) ? -1 : 0;
}

static int read_name(struct reading *reading, const char *value)
{
    if (!device_name_is_valid(value))
        return -1;
    snprintf(reading->state->name, sizeof reading->state->name, "%s", value);
    snprintf(reading->state->device.name, sizeof reading->state->device.name, "%s", value);
    reading->has_name = true;
    return 0;
}

static int read_exists(struct reading *reading, const char *value)
{
    return read_flag(value, &reading->state->exists);
}

static int read_engine(struct reading *reading, const char *value)
{
    reading->state->engine = reading->state->device.engine = engine_kind_parse(value);
    return strcmp(value, engine_kind_text(reading->state->engine)) ? -1 : 0;
}

static int read_up(struct reading *reading, const char *value)
{
    return read_flag(value, &reading->state->up);
}

static int read_forwarding(const char *value, int *forwarding)
{
    static const char *const words[] = {"-1", "0", "1"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, words[i])) {
            *forwarding = i - 1;
            return 0;
        }
    return -1;
}

static int read_forwarding4(struct reading *reading, const char *value)
{
    return read_forwarding(value, &reading->state->forwarding4);
}

static int read_forwarding6(struct reading *reading, const char *value)
{
    return read_forwarding(value, &reading->state->forwarding6);
}

static int read_route(struct reading *reading, const char *value)
{
    struct state *state = reading->state;
    char to[PREFIX_TEXT_SIZE], table[16], metric[16], more;
    unsigned long long table_number, metric_number;
    struct state_route route = {0};
    if (sscanf(value, "%51s table %15s metric %15s %c", to, table, metric, &more) != 3 || prefix_parse(to, &route.to) ||
        read_count(table, UINT32_MAX, &table_number) || read_count(metric, UINT32_MAX, &metric_number))
        return -1;
    route.to = prefix_network(&route.to);
    route.table = (uint32_t)table_number;
    route.metric = (uint32_t)metric_number;
    MEM_GROW(state->routes, state->route_count, reading->route_capacity);
    state->routes[state->route_count++] = route;
    return 0;
}

static int read_private(struct reading *reading, const char *value)
{
    struct key key;
    int result = key_parse(value, &key);
    if (!result)
        state_set_private(reading->state, &key);
    key_wipe(&key);
    return result;
}

static int read_port(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_count(value, UINT16_MAX, &number))
        return -1;
    reading->state->device.listen_port = (uint16_t)number;
    return 0;
}

static int read_mark(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_count(value, UINT32_MAX, &number))
        return -1;
    reading->state->device.fwmark = (uint32_t)number;
    return 0;
}

static int read_mtu(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_count(value, INT32_MAX, &number))
        return -1;
    reading->state->mtu = (unsigned)number;
    return 0;
}

static int read_address(struct reading *reading, const char *value)
{
    struct state *state = reading->state;
    struct prefix prefix;
    if (prefix_parse(value, &prefix))
        return -1;
    MEM_GROW(state->addresses, state->address_count, reading->address_capacity);
    state->addresses[state->address_count++] = prefix;
    return 0;
}

static struct row *last_row(struct reading *reading)
{
    return &reading->rows[reading->row_count - 1];
}

static int read_public(struct reading *reading, const char *value)
{
    return key_parse(value, &last_row(reading)->peer.public_key);
}

/* Of the key above it: a state's text has PublicKey first. */
static int read_preshared(struct reading *reading, const char *value)
{
    struct device_peer *peer = &last_row(reading)->peer;
    struct key key;
    int result = key_parse(value, &key);
    if (!result && (key_is_zero(&key) || key_is_zero(&peer->public_key)))
        result = -1;
    if (!result) {
        state_set_preshared(reading->state, &peer->public_key, &key);
        peer->has_preshared = true;
    }
    key_wipe(&key);
    return result;
}

static int read_allowed(struct reading *reading, const char *value)
{
    struct row *row = last_row(reading);
    struct prefix prefix;
    if (prefix_parse(value, &prefix))
        return -1;
    MEM_GROW(row->peer.allowed, row->peer.allowed_count, row->capacity);
    row->peer.allowed[row->peer.allowed_count++] = prefix_network(&prefix);
    return 0;
}

static int read_endpoint(struct reading *reading, const char *value)
{
    return endpoint_parse(value, &last_row(reading)->peer.endpoint);
}

static int read_host(struct reading *reading, const char *value)
{
    const char *colon = strrchr(value, ':');
    unsigned long long port;
    if (!colon || colon == value || colon - value > 253 || read_count(colon + 1, UINT16_MAX, &port) || !port || !text_is_safe(value, strlen(value)))
        return -1;
    free(last_row(reading)->host);
    last_row(reading)->host = mem_text(value);
    return 0;
}

static int read_stays(struct reading *reading, const char *value)
{
    return read_flag(value, &last_row(reading)->stays);
}

static int read_keepalive(struct reading *reading, const char *value)
{
    unsigned long long number;
    if (read_count(value, UINT16_MAX, &number))
        return -1;
    last_row(reading)->peer.keepalive = (uint16_t)number;
    return 0;
}

static const struct key_reader {
    const char *section, *key;
    bool secret;
    int (*read)(struct reading *reading, const char *value);
} readers[] = {
    {"State", "Name", false, read_name},
    {"State", "Exists", false, read_exists},
    {"State", "Engine", false, read_engine},
    {"State", "Up", false, read_up},
    {"State", "Forwarding4", false, read_forwarding4},
    {"State", "Forwarding6", false, read_forwarding6},
    {"State", "Route", false, read_route},
    {"Interface", "PrivateKey", true, read_private},
    {"Interface", "ListenPort", false, read_port},
    {"Interface", "FwMark", false, read_mark},
    {"Interface", "MTU", false, read_mtu},
    {"Interface", "Address", false, read_address},
    {"Peer", "PublicKey", false, read_public},
    {"Peer", "PresharedKey", true, read_preshared},
    {"Peer", "AllowedIPs", false, read_allowed},
    {"Peer", "Endpoint", false, read_endpoint},
    {"Peer", "EndpointName", false, read_host},
    {"Peer", "EndpointStays", false, read_stays},
    {"Peer", "PersistentKeepalive", false, read_keepalive},
};

static int read_entry(struct reading *reading, const struct conf_entry *entry, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        const struct key_reader *reader = &readers[i];
        if (strcasecmp(reader->section, entry->section) != 0 || strcasecmp(reader->key, entry->key) != 0)
            continue;
        if (!reader->read(reading, entry->value))
            return 0;
        return err_set(err, "the saved state is garbled: line %zu: %s = %.80s", entry->line, reader->key, reader->secret ? "(not shown)" : entry->value);
    }
    return err_set(err, "the saved state is garbled: line %zu: %.40s is not known in [%.40s]", entry->line, entry->key, entry->section);
}

/* A new [Peer] begins a row. */
static int read_entries(struct reading *reading, const struct conf *conf, struct err *err)
{
    struct conf_entry entry;
    size_t section = SIZE_MAX;
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);) {
        if (entry.section_index != section && !strcasecmp(entry.section, "Peer")) {
            MEM_GROW(reading->rows, reading->row_count, reading->row_capacity);
            reading->rows[reading->row_count++] = (struct row){0};
        }
        section = entry.section_index;
        if (read_entry(reading, &entry, err))
            return -1;
    }
    size_t count = conf_section_count(conf);
    const char *kind = "";
    if (count)
        conf_section(conf, count - 1, &kind, NULL, NULL);
    if (strcmp(kind, "End") != 0 || !reading->has_name)
        return err_set(err, "the saved state is garbled: it is not whole");
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *first = a, *second = b;
    return key_compare(&first->peer.public_key, &second->peer.public_key);
}

/* The rows become the state's. */
static int hand_over(struct reading *reading, struct err *err)
{
    struct state *state = reading->state;
    size_t count = reading->row_count;
    bool any_host = false, any_stays = false;
    if (count > 1)
        qsort(reading->rows, count, sizeof *reading->rows, compare_rows);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &reading->rows[i];
        if (key_is_zero(&row->peer.public_key) || (i && !compare_rows(row, row - 1)))
            return err_set(err, "the saved state is garbled: a row without a key, or one that is there twice");
        any_host = any_host || row->host;
        any_stays = any_stays || row->stays;
    }
    state->device.peers = mem_alloc(count, sizeof *state->device.peers);
    state->device.peer_count = count;
    state->endpoint_hosts = any_host ? mem_alloc(count, sizeof *state->endpoint_hosts) : NULL;
    state->endpoints_stay = any_stays ? mem_alloc(count, sizeof *state->endpoints_stay) : NULL;
    for (size_t i = 0; i < count; i++) {
        struct row *row = &reading->rows[i];
        state->device.peers[i] = row->peer;
        if (any_host)
            state->endpoint_hosts[i] = row->host;
        if (any_stays)
            state->endpoints_stay[i] = row->stays;
        row->peer.allowed = NULL;
        row->host = NULL;
    }
    device_sort(&state->device);
    return 0;
}

int state_parse(const char *bytes, size_t length, struct state *state, struct err *err)
{
    struct reading reading = {.state = state};
    *state = (struct state){.forwarding4 = -1, .forwarding6 = -1};
    struct conf *conf = conf_parse("state", bytes, length, err);
    int result = conf ? read_entries(&reading, conf, err) : -1;
    if (!result)
        result = hand_over(&reading, err);
    for (size_t i = 0; i < reading.row_count; i++) {
        free(reading.rows[i].peer.allowed);
        free(reading.rows[i].host);
    }
    free(reading.rows);
    if (conf)
        conf_free(conf);
    if (result)
        state_free(state);
    return result;
}
