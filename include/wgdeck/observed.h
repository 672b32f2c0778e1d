/* What was seen of the nodes: one struct observation per node and reading. Pure values, with their JSON form
 * (the helper's answers and the recordings are the same bytes), changes between two readings, and the text of a bare look. */
#ifndef WGDECK_OBSERVED_H
#define WGDECK_OBSERVED_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/device.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/err.h"
#include "wgdeck/json.h"

/* What a reading may hold at most; a node that has more leaves the rest out and says so in skipped. */
enum {
    OBSERVED_ROWS_MAX = 100000,    /* rows of all running interfaces; and of one saved one */
    OBSERVED_ITEMS_MAX = 1000000,  /* rows, prefixes, routes, interfaces, texts: all lists together */
    OBSERVED_ROUTES_MAX = 200000,  /* of each kind */
    OBSERVED_TEXT_MAX = 4096,      /* bytes of a string */
    OBSERVED_LABEL = 64,           /* of a short one, with its end */
};

/* A network interface of the node, WireGuard or not. */
struct observed_link {
    char name[IFNAMSIZ];
    char kind[16];                /* "wireguard", "tun", "bridge", ""... as ip -d link shows */
    uint32_t mtu;
    bool up;                      /* IFF_UP */
    uint64_t rx_packets, tx_packets, rx_errors, tx_errors, rx_dropped, tx_dropped, rx_frame_errors;
    struct prefix *addresses;     /* with host bits; owned */
    size_t address_count;
};

/* The kernel's answer to "where would a packet to this address go?": one for each row's endpoint and each allowed prefix
 * (its address itself for a host prefix, else the first address inside). */
struct observed_route {
    struct address to;
    char device[IFNAMSIZ];        /* "" when unreachable */
    uint32_t mtu;                 /* of the route, else of the device; 0 unknown */
};

/* A route of the node's tables, to find collisions and shadowing (table all, without local and multicast). */
struct observed_table_route {
    struct prefix to;             /* length 0: default */
    char device[IFNAMSIZ];
    uint32_t table, metric;
};

/* The saved configuration of one interface; no secrets (wgquick.h). */
struct observed_config {
    char *path;                   /* "/etc/wireguard/wg0.conf"; owned */
    uint32_t mode, folder_mode;   /* permission bits; owner must be root: owner_other says otherwise */
    bool owner_other;
    char *error;                  /* could not be read or parsed; then the rest is empty; owned */
    struct device device;         /* without rows when rows_as_running: ask observation_saved */
    bool rows_as_running;         /* its rows are those of the running interface, but for what these count */
    char **endpoint_hosts;        /* as in wgquick.h, per row; may be NULL as a whole; owned */
    struct prefix *addresses;
    size_t address_count;
    uint32_t mtu;
    bool table_off, listen_port_given, save_config;
    char *boot;                   /* what brings it up at boot: "wg-quick@wg0.service", "wgdeck@wg0.service", "cron"; "" nothing; NULL not known. Owned */
};

enum observed_reach {
    REACH_UNKNOWN,  /* not asked yet */
    REACH_OK,
    REACH_FAILED,   /* no SSH, or no answer in time; error says in which phase and why */
    REACH_GARBLED,  /* it answered, and the answer cannot be used */
};

/* Of REACH_FAILED: what kind of failure it was, since each is mended differently. */
enum observed_failure {
    FAILED_OTHERWISE,
    FAILED_UNRESOLVED,       /* no address for its name */
    FAILED_REFUSED,          /* nothing listens where its sshd should */
    FAILED_TIMED_OUT,
    FAILED_NETWORK,          /* no route, host unreachable */
    FAILED_HOST_KEY_UNKNOWN,
    FAILED_HOST_KEY_CHANGED, /* not the known or the pinned one */
    FAILED_HOST_KEY_REVOKED,
    FAILED_LOGIN,            /* no key or password was accepted */
    FAILED_SETTINGS,         /* the SSH configuration, or the target, is wrong */
    FAILED_AFTER_LOGIN,      /* logged in; what ran there failed or hung */
};

/* What an engine of wgdeck dropped, and who knocked (engine_counters.h). */
struct observed_engine {
    char name[IFNAMSIZ];          /* of its interface */
    struct engine_counters counters;
    char *features;               /* words; owned; may be NULL */
    struct engine_peer_counters *peers;  /* those with a count, sorted by key; owned */
    size_t peer_count;
    struct engine_stranger *strangers;   /* sorted by key; owned */
    size_t stranger_count;
};

/* A node that has joined through this one, its hub (invitation.h). */
struct observed_joined {
    struct key key;
    char interface[IFNAMSIZ];     /* of the hub's */
    char name[OBSERVED_LABEL];    /* safe */
    struct prefix *addresses;     /* host prefixes; owned */
    size_t address_count;
    bool relay;
    int64_t at;                   /* Unix seconds */
    char from[OBSERVED_LABEL];    /* the address it joined from, as the hub's sshd saw it; safe */
};

/* By which way the ladder has put a row, beside what the mesh file asks for (ladder.h); from /run/wgdeck/IF.paths. */
struct observed_path {
    char interface[IFNAMSIZ];
    struct key key;
    enum observed_way { WAY_TRYING, WAY_DIRECT, WAY_RELAY, WAY_HUB } way;
    char *reason;                 /* safe; owned; may be NULL */
    int64_t since;                /* Unix seconds */
};

struct observation {
    uint64_t serial;              /* the deck's, in no JSON: grows whenever anything but counters, handshakes and times differs from the
                                   * reading before in this place; kept by observation_merge and observation_replace */
    enum observed_reach reach;
    enum observed_failure failure;
    char *error;                  /* one safe line; NULL when REACH_OK; owned */
    int64_t at;                   /* deck's wall clock when the reading arrived, ns */
    int64_t node_time;            /* node's wall clock in the same reading, ns; ages of handshakes are taken from it */
    int64_t clock_offset;         /* node's clock minus deck's, ns, estimated at the middle of the request */
    int64_t clock_uncertainty;    /* half the round trip, ns; INT64_MAX when unknown */
    char *hostname, *kernel;      /* as the node says; owned; may be NULL */
    char *version;                /* of the helper; NULL after a bare look */
    char *seen_from;              /* the address the node's sshd saw the deck at ($SSH_CONNECTION), or NULL; owned */
    char *reached_at;             /* the node's own address in that connection, or NULL; owned */
    char *dialled;                /* the address the deck connected to, or NULL (through a jump host); owned */
    bool privileged;              /* rows and configurations could be read */
    char **skipped;               /* what could not be looked at and why, one line each; owned */
    size_t skipped_count;
    struct device *devices;       /* running WireGuard interfaces; owned */
    size_t device_count;
    struct observed_engine *engines; /* of devices that are ENGINE_EMBEDDED; owned */
    size_t engine_count;
    char **dead_sockets;          /* names of interfaces with a UAPI socket that nothing answers, or a row of processes gone; owned */
    size_t dead_socket_count;
    struct observed_config *configs;
    size_t config_count;
    struct observed_link *links;
    size_t link_count;
    struct observed_route *routes;            /* sorted by address_compare; see observation_pack */
    size_t route_count;
    struct observed_table_route *table_routes;
    size_t table_route_count;
    bool kernel_has_wireguard;                /* module loaded, or loadable */
    int32_t forwarding4, forwarding6;         /* sysctl; -1 unknown */
    char *generation;                         /* of the state applied there (DESIGN 8): "8-3fa94c12", or NULL */
    struct observed_joined *joined;           /* sorted by key and interface; owned */
    size_t joined_count;
    struct observed_path *paths;              /* sorted by interface and key; owned */
    size_t path_count;
    char *pending;                            /* a change there that is neither confirmed nor put back yet: "alice@laptop, 41 s left"; or NULL; owned */
};

/* All nodes at one time, in the order of the mesh's nodes. */
struct observed {
    struct observation *nodes;
    size_t node_count;
};

struct observed *observed_new(size_t node_count);
void observed_free(struct observed *observed);
void observation_clear(struct observation *observation); /* frees what it owns; REACH_UNKNOWN after */
void observation_copy(struct observation *to, const struct observation *from); /* deep; TO is overwritten */
/* A whole reading in the place of an older one: FRESH, in order and with the deck's fields set, is moved into OBSERVATION. */
void observation_replace(struct observation *observation, struct observation *fresh);
/* Bring everything into the order that changes and lookups rely on (links and devices by name, routes by address, ...), each item once.
 * Who fills an observation by hand calls it last; from_json and merge have done it. */
void observation_sort(struct observation *observation);
bool observation_equal(const struct observation *a, const struct observation *b, bool with_deck_fields); /* both in order */
/* The device to judge by: the one named NAME if given, else the only or the first one; NULL if none. */
const struct device *observation_device(const struct observation *observation, const char *name);
const struct observed_engine *observation_engine(const struct observation *observation, const char *name); /* or NULL */
const struct observed_link *observation_link(const struct observation *observation, const char *name);
const struct observed_config *observation_config(const struct observation *observation, const char *interface);
/* The saved interface with its rows, wherever these are kept; of a row only key, endpoint, keepalive, preshared key and prefixes are saved. */
const struct device *observation_saved(const struct observation *observation, const struct observed_config *config);
/* Saved rows that are like the running ones are not kept twice, nor routes that lead what the rows allow into their interface (then
 * device->routes_as_allowed; endpoints' routes are always in the list). Everything in wgdeck/observed.h takes both forms, and means the same
 * by both. unpack: before rows or routes are changed by hand. */
void observation_pack(struct observation *observation);
void observation_unpack(struct observation *observation);
const struct observed_route *observation_route(const struct observation *observation, const struct address *to);
/* Moves what was read of a wg-quick file into CONFIG (whose path, modes and error stay); WGQUICK is empty after. */
struct wgquick;
void observed_config_take(struct observed_config *config, struct wgquick *wgquick);
/* Which address a route is asked for on behalf of an allowed prefix: itself for a single host, else the first inside (never one that the
 * kernel treats specially: 1.0.0.1 for 0.0.0.0/0, 2000::1 for ::/0). */
struct address observed_route_target(const struct prefix *allowed);

/* JSON form, schema 1; see tests/golden for examples. The deck's own fields (reach, failure, at, clock_*, dialled) are not in what a node sends,
 * and are ignored when a node sends them (from_json with trusted false); recordings carry them (trusted true).
 * Everything is checked: counts, lengths, ranges, names; all strings are made safe. At most 64 MiB and what the limits above say. */
void observation_to_json(const struct observation *observation, bool with_deck_fields, struct json *json, const char *key);
/* OBSERVATION: zeroed or an older one (cleared first). On an error it is cleared, and err names the member. Not trusted: reach is REACH_UNKNOWN
 * after it; the caller sets the deck's fields. */
int observation_from_json(const cJSON *object, bool trusted, struct observation *observation, struct err *err);

/* Changes: an object with only what differs (a row that did not change costs no byte), and its merging into the older reading.
 * Returns true if anything but node_time differs. */
bool observation_change_to_json(const struct observation *before, const struct observation *now, struct json *json, const char *key);
/* Keeps the deck's fields; a packed one stays so where it can. On an error OBSERVATION is cleared (half merged it would mislead): ask for a whole reading. */
int observation_merge(struct observation *observation, const cJSON *change, struct err *err);

/* The answer of a bare look: sections as src/node/bare.sh prints them (their format is documented there). */
int observation_from_bare(const char *bytes, size_t length, struct observation *observation, struct err *err);

/* Replace every key by another one, the same for the same key, derived with SALT; for recordings. */
void observation_hide_keys(struct observation *observation, const char *salt);

#endif
