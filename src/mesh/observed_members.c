/* Every member of an observation, one row each; see observed_shape.h for what is made from it. */
#include "observed_shape.h"

#include "wgdeck/mem.h"

enum { MANY = 100000, SOME = 1000 };

#define AT(type, member) .offset = offsetof(type, member)
#define LIST_AT(type, member, counter) .offset = offsetof(type, member), .other = offsetof(type, counter)

static const char *const engine_words[] = {"unknown", "kernel", "embedded", "userspace", NULL};
static const char *const failure_words[] = {"otherwise", "unresolved", "refused", "timed-out", "network", "host-key-unknown", "host-key-changed",
                                            "host-key-revoked", "login", "settings", "after-login", NULL};
static const char *const reach_words[] = {"unknown", "ok", "failed", "garbled", NULL};

static const struct field row_fields[] = {
    {"key", FIELD_KEY, AT(struct device_peer, public_key)},
    {"endpoint", FIELD_ENDPOINT, AT(struct device_peer, endpoint)},
    {"handshake", FIELD_I64, AT(struct device_peer, handshake), .counts = true},
    {"rx", FIELD_U64, AT(struct device_peer, rx_bytes), .counts = true},
    {"tx", FIELD_U64, AT(struct device_peer, tx_bytes), .counts = true},
    {"keepalive", FIELD_U16, AT(struct device_peer, keepalive)},
    {"preshared_hash", FIELD_HASH, LIST_AT(struct device_peer, preshared_hash, has_preshared)},
    {"allowed", FIELD_NETWORKS, LIST_AT(struct device_peer, allowed, allowed_count), .limit = MANY},
};
static const struct shape row_shape = {"a row", sizeof(struct device_peer), row_fields, COUNT_OF(row_fields), 1, false};

static const struct field device_fields[] = {
    {"name", FIELD_NAME, AT(struct device, name)},
    {"engine", FIELD_WORD, AT(struct device, engine), .words = engine_words},
    {"has_private", FIELD_BOOL, AT(struct device, has_private)},
    {"public_key", FIELD_KEY, AT(struct device, public_key)},
    {"listen_port", FIELD_U16, AT(struct device, listen_port)},
    {"fwmark", FIELD_U32, AT(struct device, fwmark)},
    {"peers", FIELD_LIST, LIST_AT(struct device, peers, peer_count), .shape = &row_shape, .limit = OBSERVED_ROWS_MAX},
};
static const struct shape device_shape = {
    "a WireGuard interface", sizeof(struct device), device_fields, COUNT_OF(device_fields), 1, false,
};

static const struct field config_fields[] = {
    {"path", FIELD_TEXT, AT(struct observed_config, path)},
    {"mode", FIELD_U32, AT(struct observed_config, mode)},
    {"folder_mode", FIELD_U32, AT(struct observed_config, folder_mode)},
    {"owner_other", FIELD_BOOL, AT(struct observed_config, owner_other)},
    {"error", FIELD_TEXT, AT(struct observed_config, error)},
    {"device", FIELD_STRUCT, AT(struct observed_config, device), .shape = &device_shape},
    {"endpoint_hosts", FIELD_HOSTS, LIST_AT(struct observed_config, endpoint_hosts, device)},
    {"addresses", FIELD_PREFIXES, LIST_AT(struct observed_config, addresses, address_count), .limit = SOME},
    {"mtu", FIELD_U32, AT(struct observed_config, mtu)},
    {"table_off", FIELD_BOOL, AT(struct observed_config, table_off)},
    {"listen_port_given", FIELD_BOOL, AT(struct observed_config, listen_port_given)},
    {"save_config", FIELD_BOOL, AT(struct observed_config, save_config)},
    {"boot", FIELD_TEXT, AT(struct observed_config, boot)},
};
static const struct shape config_shape = {
    "a configuration", sizeof(struct observed_config), config_fields, COUNT_OF(config_fields), 1, true,
};

static const struct field link_fields[] = {
    {"name", FIELD_NAME, AT(struct observed_link, name)},
    {"kind", FIELD_NAME, AT(struct observed_link, kind)},
    {"mtu", FIELD_U32, AT(struct observed_link, mtu)},
    {"up", FIELD_BOOL, AT(struct observed_link, up)},
    {"rx_packets", FIELD_U64, AT(struct observed_link, rx_packets), .counts = true},
    {"tx_packets", FIELD_U64, AT(struct observed_link, tx_packets), .counts = true},
    {"rx_errors", FIELD_U64, AT(struct observed_link, rx_errors), .counts = true},
    {"tx_errors", FIELD_U64, AT(struct observed_link, tx_errors), .counts = true},
    {"rx_dropped", FIELD_U64, AT(struct observed_link, rx_dropped), .counts = true},
    {"tx_dropped", FIELD_U64, AT(struct observed_link, tx_dropped), .counts = true},
    {"rx_frame_errors", FIELD_U64, AT(struct observed_link, rx_frame_errors), .counts = true},
    {"addresses", FIELD_PREFIXES, LIST_AT(struct observed_link, addresses, address_count), .limit = MANY},
};
static const struct shape link_shape = {
    "a network interface", sizeof(struct observed_link), link_fields, COUNT_OF(link_fields), 1, false,
};

static const struct field route_fields[] = {
    {"to", FIELD_ADDRESS, AT(struct observed_route, to)},
    {"device", FIELD_NAME, AT(struct observed_route, device)},
    {"mtu", FIELD_U32, AT(struct observed_route, mtu)},
};
static const struct shape route_shape = {
    "a route", sizeof(struct observed_route), route_fields, COUNT_OF(route_fields), 1, false,
};

static const struct field table_route_fields[] = {
    {"to", FIELD_PREFIX, AT(struct observed_table_route, to)},
    {"table", FIELD_U32, AT(struct observed_table_route, table)},
    {"metric", FIELD_U32, AT(struct observed_table_route, metric)},
    {"device", FIELD_NAME, AT(struct observed_table_route, device)},
};
static const struct shape table_route_shape = {
    "a table's route", sizeof(struct observed_table_route), table_route_fields, COUNT_OF(table_route_fields), 4, false,
};

/* Counters of an engine: all of them count, none is a setting. */
#define COUNT_ROW(name, words) {#name, FIELD_U64, AT(struct observed_engine, counters.name), .counts = true},
#define PEER_COUNT_ROW(name, words) {#name, FIELD_U64, AT(struct engine_peer_counters, name), .counts = true},

static const struct field engine_peer_fields[] = {
    {"key", FIELD_KEY, AT(struct engine_peer_counters, public_key)},
    ENGINE_PEER_COUNTERS(PEER_COUNT_ROW)
};
static const struct shape engine_peer_shape = {
    "a peer's counters", sizeof(struct engine_peer_counters), engine_peer_fields, COUNT_OF(engine_peer_fields), 1, false,
};

static const struct field stranger_fields[] = {
    {"key", FIELD_KEY, AT(struct engine_stranger, public_key)},
    {"endpoint", FIELD_ENDPOINT, AT(struct engine_stranger, endpoint)},
    {"count", FIELD_U64, AT(struct engine_stranger, count), .counts = true},
    {"last", FIELD_I64, AT(struct engine_stranger, last), .counts = true},
};
static const struct shape stranger_shape = {
    "a stranger", sizeof(struct engine_stranger), stranger_fields, COUNT_OF(stranger_fields), 1, false,
};

static const struct field engine_fields[] = {
    {"name", FIELD_NAME, AT(struct observed_engine, name)},
    ENGINE_COUNTERS(COUNT_ROW)
    {"features", FIELD_TEXT, AT(struct observed_engine, features)},
    {"peers", FIELD_LIST, LIST_AT(struct observed_engine, peers, peer_count), .shape = &engine_peer_shape, .limit = OBSERVED_ROWS_MAX},
    {"strangers", FIELD_LIST, LIST_AT(struct observed_engine, strangers, stranger_count), .shape = &stranger_shape, .limit = ENGINE_STRANGERS},
};
static const struct shape engine_shape = {
    "an engine's counters", sizeof(struct observed_engine), engine_fields, COUNT_OF(engine_fields), 1, false,
};

static const struct field joined_fields[] = {
    {"key", FIELD_KEY, AT(struct observed_joined, key)},
    {"interface", FIELD_NAME, AT(struct observed_joined, interface)},
    {"name", FIELD_LABEL, AT(struct observed_joined, name)},
    {"addresses", FIELD_PREFIXES, LIST_AT(struct observed_joined, addresses, address_count), .limit = SOME},
    {"relay", FIELD_BOOL, AT(struct observed_joined, relay)},
    {"at", FIELD_I64, AT(struct observed_joined, at)},
    {"from", FIELD_LABEL, AT(struct observed_joined, from)},
};
static const struct shape joined_shape = {
    "a node that joined", sizeof(struct observed_joined), joined_fields, COUNT_OF(joined_fields), 2, true,
};

static const char *const way_words[] = {"trying", "direct", "relay", "hub", NULL};
static const struct field path_fields[] = {
    {"interface", FIELD_NAME, AT(struct observed_path, interface)},
    {"key", FIELD_KEY, AT(struct observed_path, key)},
    {"path", FIELD_WORD, AT(struct observed_path, way), .words = way_words},
    {"reason", FIELD_TEXT, AT(struct observed_path, reason)},
    {"since", FIELD_I64, AT(struct observed_path, since)},
};
static const struct shape path_shape = {
    "the way to a node", sizeof(struct observed_path), path_fields, COUNT_OF(path_fields), 2, true,
};

static const struct field observation_fields[] = {
    {"reach", FIELD_WORD, AT(struct observation, reach), .words = reach_words, .deck = true},
    {"failure", FIELD_WORD, AT(struct observation, failure), .words = failure_words, .deck = true},
    {"error", FIELD_TEXT, AT(struct observation, error), .deck = true},
    {"at", FIELD_I64, AT(struct observation, at), .deck = true, .counts = true},
    {"clock_offset", FIELD_I64, AT(struct observation, clock_offset), .deck = true, .counts = true},
    {"clock_uncertainty", FIELD_I64, AT(struct observation, clock_uncertainty), .absent = INT64_MAX, .deck = true, .counts = true},
    {"dialled", FIELD_TEXT, AT(struct observation, dialled), .deck = true},
    {"node_time", FIELD_I64, AT(struct observation, node_time), .silent = true, .counts = true},
    {"hostname", FIELD_TEXT, AT(struct observation, hostname)},
    {"kernel", FIELD_TEXT, AT(struct observation, kernel)},
    {"version", FIELD_TEXT, AT(struct observation, version)},
    {"seen_from", FIELD_TEXT, AT(struct observation, seen_from)},
    {"reached_at", FIELD_TEXT, AT(struct observation, reached_at)},
    {"privileged", FIELD_BOOL, AT(struct observation, privileged)},
    {"skipped", FIELD_TEXTS, LIST_AT(struct observation, skipped, skipped_count), .limit = SOME},
    {"devices", FIELD_LIST, LIST_AT(struct observation, devices, device_count), .shape = &device_shape, .limit = SOME},
    {"engines", FIELD_LIST, LIST_AT(struct observation, engines, engine_count), .shape = &engine_shape, .limit = SOME},
    {"dead_sockets", FIELD_TEXTS, LIST_AT(struct observation, dead_sockets, dead_socket_count), .limit = SOME},
    {"configs", FIELD_LIST, LIST_AT(struct observation, configs, config_count), .shape = &config_shape, .limit = SOME},
    {"links", FIELD_LIST, LIST_AT(struct observation, links, link_count), .shape = &link_shape, .limit = MANY},
    {"routes", FIELD_LIST, LIST_AT(struct observation, routes, route_count), .shape = &route_shape,
     .limit = OBSERVED_ROUTES_MAX},
    {"table_routes", FIELD_LIST, LIST_AT(struct observation, table_routes, table_route_count), .shape = &table_route_shape,
     .limit = OBSERVED_ROUTES_MAX},
    {"kernel_has_wireguard", FIELD_BOOL, AT(struct observation, kernel_has_wireguard)},
    {"forwarding4", FIELD_I32, AT(struct observation, forwarding4), .absent = -1},
    {"forwarding6", FIELD_I32, AT(struct observation, forwarding6), .absent = -1},
    {"generation", FIELD_TEXT, AT(struct observation, generation)},
    {"joined", FIELD_LIST, LIST_AT(struct observation, joined, joined_count), .shape = &joined_shape, .limit = MANY},
    {"paths", FIELD_LIST, LIST_AT(struct observation, paths, path_count), .shape = &path_shape, .limit = OBSERVED_ROWS_MAX},
    {"pending", FIELD_TEXT, AT(struct observation, pending)},
};
const struct shape observation_shape = {
    "an observation", sizeof(struct observation), observation_fields, COUNT_OF(observation_fields), 0, false,
};
