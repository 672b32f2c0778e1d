/* Random observations for property tests and fuzzing: from a seed, valid as a node would send them. */
#ifndef WGDECK_TESTS_OBSERVED_RANDOM_H
#define WGDECK_TESTS_OBSERVED_RANDOM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/observed.h"

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance) /* splitmix64 */
{
    uint64_t z = (chance->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline size_t chance_below(struct chance *chance, size_t limit)
{
    return limit ? (size_t)(chance_next(chance) % limit) : 0;
}

/* Mostly small, sometimes near a limit where JSON numbers become strings. */
static inline uint64_t chance_number(struct chance *chance)
{
    switch (chance_below(chance, 6)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - chance_below(chance, 3);
    case 2:
        return (UINT64_C(1) << 53) - 1 + chance_below(chance, 3);
    default:
        return chance_below(chance, 100000);
    }
}

static inline int64_t chance_signed(struct chance *chance)
{
    int64_t number = (int64_t)(chance_number(chance) >> 1);
    return chance_below(chance, 2) ? number : -number - (int64_t)chance_below(chance, 2);
}

static inline struct address chance_address(struct chance *chance)
{
    struct address address = {.family = chance_below(chance, 3) ? AF_INET : AF_INET6};
    address.bytes[0] = 10;
    address.bytes[3] = (uint8_t)chance_below(chance, 6);
    if (address.family == AF_INET6) {
        address.bytes[0] = 0xfd;
        address.bytes[15] = (uint8_t)chance_below(chance, 6);
    }
    return address;
}

static inline struct prefix chance_prefix(struct chance *chance)
{
    struct prefix prefix = {.address = chance_address(chance)};
    unsigned bits = address_bits(&prefix.address);
    prefix.length = (uint8_t)(chance_below(chance, 2) ? bits : chance_below(chance, bits + 1));
    return prefix;
}

static inline struct prefix *chance_prefixes(struct chance *chance, size_t *count)
{
    *count = chance_below(chance, 4);
    struct prefix *prefixes = *count ? mem_alloc(*count, sizeof *prefixes) : NULL;
    for (size_t i = 0; i < *count; i++)
        prefixes[i] = chance_prefix(chance);
    return prefixes;
}

static inline char *chance_text(struct chance *chance)
{
    static const char *const texts[] = {NULL, "", "a", "wg0: permission denied", "\"quoted\" \\ back", "gr\xc3\xbc\xc3\x9f"};
    return mem_text(texts[chance_below(chance, COUNT_OF(texts))]);
}

static inline char **chance_texts(struct chance *chance, size_t *count)
{
    *count = chance_below(chance, 3);
    char **texts = *count ? mem_alloc(*count, sizeof *texts) : NULL;
    for (size_t i = 0; i < *count; i++) {
        texts[i] = chance_text(chance);
        if (!texts[i])
            texts[i] = mem_text("none");
    }
    return texts;
}

static inline void chance_name(struct chance *chance, char name[IFNAMSIZ])
{
    memset(name, 0, IFNAMSIZ);
    snprintf(name, IFNAMSIZ, "wg%d", (int)chance_below(chance, 5));
}

/* From a small set, so that two observations share rows; one of them is the zero key. */
static inline struct key chance_key(struct chance *chance)
{
    struct key key = {{0}};
    key.bytes[0] = (uint8_t)chance_below(chance, 12);
    key.bytes[31] = key.bytes[0] ? 1 : 0;
    return key;
}

static inline struct device_peer chance_row(struct chance *chance)
{
    struct device_peer row = {.public_key = chance_key(chance), .handshake = chance_signed(chance)};
    if (chance_below(chance, 2))
        row.endpoint = (struct endpoint){chance_address(chance), (uint16_t)(1 + chance_below(chance, 65535)), 0};
    row.rx_bytes = chance_number(chance);
    row.tx_bytes = chance_number(chance);
    row.keepalive = (uint16_t)(chance_below(chance, 2) * 25);
    row.has_preshared = chance_below(chance, 2);
    if (row.has_preshared)
        row.preshared_hash[chance_below(chance, KEY_HASH_SIZE)] = (uint8_t)chance_below(chance, 256);
    row.allowed = chance_prefixes(chance, &row.allowed_count);
    return row;
}

static inline struct device chance_device(struct chance *chance)
{
    struct device device = {.engine = (enum engine_kind)chance_below(chance, 4), .public_key = chance_key(chance)};
    chance_name(chance, device.name);
    device.has_private = chance_below(chance, 2);
    device.listen_port = (uint16_t)chance_below(chance, 65536);
    device.fwmark = (uint32_t)chance_below(chance, 3);
    device.peer_count = chance_below(chance, 9);
    device.peers = device.peer_count ? mem_alloc(device.peer_count, sizeof *device.peers) : NULL;
    for (size_t i = 0; i < device.peer_count; i++)
        device.peers[i] = chance_row(chance);
    return device;
}

static inline struct observed_config chance_config(struct chance *chance)
{
    struct observed_config config = {.path = chance_text(chance), .mode = 0600, .device = chance_device(chance)};
    config.folder_mode = (uint32_t)chance_below(chance, 2) * 0755;
    config.owner_other = chance_below(chance, 2);
    config.error = chance_text(chance);
    if (config.device.peer_count && chance_below(chance, 2)) {
        config.endpoint_hosts = mem_alloc(config.device.peer_count, sizeof *config.endpoint_hosts);
        for (size_t i = 0; i < config.device.peer_count; i++)
            config.endpoint_hosts[i] = mem_format("host%d.example:51820", (int)config.device.peers[i].public_key.bytes[0]);
    }
    config.addresses = chance_prefixes(chance, &config.address_count);
    config.mtu = (uint32_t)chance_number(chance);
    config.table_off = chance_below(chance, 2);
    config.save_config = chance_below(chance, 2);
    config.boot = chance_below(chance, 3) ? chance_text(chance) : mem_text("");
    return config;
}

static inline struct observed_link chance_link(struct chance *chance)
{
    struct observed_link link = {.mtu = 1420, .up = chance_below(chance, 2), .kind = "wireguard"};
    chance_name(chance, link.name);
    link.rx_packets = chance_number(chance);
    link.tx_errors = chance_number(chance);
    link.rx_frame_errors = chance_number(chance);
    link.addresses = chance_prefixes(chance, &link.address_count);
    return link;
}

static inline struct observed_route chance_route(struct chance *chance)
{
    struct observed_route route = {.to = chance_address(chance), .mtu = (uint32_t)chance_below(chance, 3)};
    if (chance_below(chance, 4))
        chance_name(chance, route.device);
    return route;
}

static inline struct observed_table_route chance_table_route(struct chance *chance)
{
    struct observed_table_route route = {.to = chance_prefix(chance), .table = (uint32_t)chance_below(chance, 3)};
    route.metric = (uint32_t)chance_below(chance, 2);
    chance_name(chance, route.device);
    return route;
}

static inline struct engine_peer_counters chance_engine_peer(struct chance *chance)
{
    struct engine_peer_counters peer = {.public_key = chance_key(chance), .bad_data = chance_number(chance)};
    peer.staged_overflow = chance_number(chance);
    return peer;
}

static inline struct engine_stranger chance_stranger(struct chance *chance)
{
    struct engine_stranger stranger = {.public_key = chance_key(chance), .count = chance_number(chance), .last = chance_signed(chance)};
    if (chance_below(chance, 2))
        stranger.endpoint = (struct endpoint){chance_address(chance), (uint16_t)(1 + chance_below(chance, 65535)), 0};
    return stranger;
}

#define CHANCE_LIST(chance, most, list, count, make)                       \
    do {                                                                   \
        (count) = chance_below((chance), (most));                          \
        (list) = (count) ? mem_alloc((count), sizeof *(list)) : NULL;      \
        for (size_t chance_i = 0; chance_i < (count); chance_i++)          \
            (list)[chance_i] = make(chance);                               \
    } while (0)

static inline struct observed_engine chance_engine(struct chance *chance)
{
    struct observed_engine engine = {.features = chance_text(chance)};
    chance_name(chance, engine.name);
    engine.counters.malformed = chance_number(chance);
    engine.counters.tun_offload_off = chance_number(chance);
    CHANCE_LIST(chance, 4, engine.peers, engine.peer_count, chance_engine_peer);
    CHANCE_LIST(chance, 4, engine.strangers, engine.stranger_count, chance_stranger);
    return engine;
}

static inline struct observed_joined chance_joined(struct chance *chance)
{
    struct observed_joined joined = {.key = chance_key(chance), .relay = chance_below(chance, 2), .at = chance_signed(chance)};
    chance_name(chance, joined.interface);
    snprintf(joined.name, sizeof joined.name, "node%d", (int)chance_below(chance, 3));
    joined.addresses = chance_prefixes(chance, &joined.address_count);
    if (chance_below(chance, 2))
        snprintf(joined.from, sizeof joined.from, "198.51.100.%d", (int)chance_below(chance, 256));
    return joined;
}

static inline struct observed_path chance_path(struct chance *chance)
{
    struct observed_path path = {.key = chance_key(chance), .way = (enum observed_way)chance_below(chance, 4), .reason = chance_text(chance), .since = chance_signed(chance)};
    chance_name(chance, path.interface);
    return path;
}

/* As a node sends it, in order; the deck's fields are unset. */
static inline void chance_observation(struct chance *chance, struct observation *o)
{
    memset(o, 0, sizeof *o);
    observation_clear(o);
    o->node_time = chance_signed(chance);
    o->hostname = chance_text(chance);
    o->kernel = chance_text(chance);
    o->version = chance_text(chance);
    o->seen_from = chance_text(chance);
    o->privileged = chance_below(chance, 2);
    o->skipped = chance_texts(chance, &o->skipped_count);
    o->dead_sockets = chance_texts(chance, &o->dead_socket_count);
    CHANCE_LIST(chance, 4, o->devices, o->device_count, chance_device);
    CHANCE_LIST(chance, 4, o->configs, o->config_count, chance_config);
    CHANCE_LIST(chance, 5, o->links, o->link_count, chance_link);
    CHANCE_LIST(chance, 9, o->routes, o->route_count, chance_route);
    CHANCE_LIST(chance, 9, o->table_routes, o->table_route_count, chance_table_route);
    o->kernel_has_wireguard = chance_below(chance, 2);
    o->forwarding4 = (int32_t)chance_below(chance, 3) - 1;
    o->generation = chance_text(chance);
    o->pending = chance_text(chance);
    CHANCE_LIST(chance, 3, o->engines, o->engine_count, chance_engine);
    CHANCE_LIST(chance, 4, o->joined, o->joined_count, chance_joined);
    CHANCE_LIST(chance, 5, o->paths, o->path_count, chance_path);
    observation_sort(o);
}

#endif
