/* A WireGuard interface as one reading of it: no secret in it, only whether there is one. */
#ifndef WGDECK_DEVICE_H
#define WGDECK_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"
#include "wgdeck/key.h"
#include "wgdeck/prefix.h"

enum engine_kind { ENGINE_UNKNOWN, ENGINE_KERNEL, ENGINE_EMBEDDED, ENGINE_USERSPACE };
const char *engine_kind_text(enum engine_kind kind); /* "unknown", "kernel", "embedded", "userspace" */
enum engine_kind engine_kind_parse(const char *text); /* ENGINE_UNKNOWN if it is none of them */

/* One [Peer]: what this node holds about another ("row"). */
struct device_peer {
    struct key public_key;
    struct endpoint endpoint;       /* family 0: none */
    int64_t handshake;              /* wall clock of the node, ns since 1970; 0: never */
    uint64_t rx_bytes, tx_bytes;
    uint16_t keepalive;             /* seconds, 0: off */
    bool has_preshared;
    uint8_t preshared_hash[KEY_HASH_SIZE]; /* key_hash; zero without one */
    bool allowed_shared;            /* the list is one that equal rows share: not to be written, and freed by device_free_allowed */
    struct prefix *allowed;         /* sorted by prefix_compare, host bits clear; owned */
    size_t allowed_count;
};

struct device {
    char name[IFNAMSIZ];
    enum engine_kind engine;
    bool has_private;
    struct key public_key;          /* zero without a private key */
    uint16_t listen_port;
    uint32_t fwmark;
    struct device_peer *peers;      /* sorted by public key; owned */
    size_t peer_count;
    bool routes_as_allowed;         /* of a packed observation: what its rows allow is routed into it, with routes_mtu, and not in the list of routes */
    uint32_t routes_mtu;
};

bool device_name_is_valid(const char *name); /* as the kernel's rule for interface names, and printable ASCII only */

void device_free(struct device *device);              /* what it owns; the struct itself is the caller's */
void device_copy(struct device *to, const struct device *from); /* deep; TO is overwritten */
void device_share_allowed(struct device_peer *peer);  /* its prefixes, in order, are kept once for all rows that have the same; on any thread */
void device_copy_allowed(struct device_peer *to, const struct device_peer *from); /* TO's are overwritten */
void device_free_allowed(struct device_peer *peer);
void device_sort(struct device *device);              /* brings peers and their prefixes into order */
const struct device_peer *device_find_peer(const struct device *device, const struct key *public_key); /* or NULL; needs order */

/* Who is told the secrets of a reading before they are wiped: of PUBLIC_KEY's row the preshared key; of NULL the private key. None is not told. */
struct device_secrets {
    void (*take)(void *context, const struct key *public_key, const struct key *secret);
    void *context;
};

/* Where readings come from: the kernel's netlink, a userspace engine's UAPI socket. */
struct device_source {
    const char *name; /* "netlink", "uapi" */
    /* Names of the WireGuard interfaces it has (malloc'd array of malloc'd strings). 0, or -1 with err. None is not an error. */
    int (*list)(char ***names, size_t *count, struct err *err);
    /* Read one interface. Private keys are turned to public ones and preshared keys to hashes inside, then wiped.
     * 0, or -1 with err; -2 when a UAPI socket is there but nothing answers (the engine is dead). */
    int (*read)(const char *name, const char *salt, struct device *device, struct err *err);
    int (*read_secrets)(const char *name, const struct device_secrets *secrets, struct device *device, struct err *err); /* the same; hashes mean nothing */
};
extern const char device_no_salt[]; /* for hashes that are compared with nobody else's */
extern const struct device_source device_source_netlink;
extern const struct device_source device_source_uapi;
bool device_source_lists(const struct device_source *source, const char *name);
const struct device_source *device_source_find(const char *name); /* the one that lists it, the kernel's first; NULL: none */

/* One request to the userspace engine of interface NAME, as it stands, and its answer up to and with the empty line in ANSWER (emptied first). Both
 * may hold private keys: the caller wipes them. 0, or -1 with err when nothing answers. */
int device_uapi_ask(const char *name, const void *request, size_t length, struct buf *answer, struct err *err);

/* Parse what "wg show all dump" prints (wg(8)), after the shell has replaced the secrets: private key by "(none)" or "(hidden)",
 * preshared key by "(none)" or the 32 hexadecimal digits of key_hash. Every field is checked; err names the line and the field.
 * devices: malloc'd array, each sorted. 0, or -1. */
int device_parse_dump(const char *bytes, size_t length, struct device **devices, size_t *count, struct err *err);

/* The answer of a UAPI get (xplatform specification), from "key=value" lines up to the empty line. Pure; for the client and its fuzzer. */
int device_parse_uapi(const char *name, const char *bytes, size_t length, const char *salt, struct device *device, struct err *err);

#endif
