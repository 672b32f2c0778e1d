/* The mesh as its file describes it (DESIGN section 4): nodes, networks, and which pairs should be linked. Pure. */
#ifndef WGDECK_MESH_H
#define WGDECK_MESH_H

#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/conf.h"
#include "wgdeck/device.h"

enum topology { TOPOLOGY_FULL, TOPOLOGY_HUB, TOPOLOGY_GROUPS };
enum role { ROLE_NONE, ROLE_HUB, ROLE_GATEWAY, ROLE_RELAY };
enum keepalive_mode { KEEPALIVE_AUTO, KEEPALIVE_SECONDS, KEEPALIVE_OFF };
enum engine_choice { ENGINE_CHOICE_AUTO, ENGINE_CHOICE_KERNEL, ENGINE_CHOICE_EMBEDDED };

struct mesh_node {
    char *name;
    char *ssh;                    /* target or alias; NULL: not reached by SSH */
    struct prefix *addresses;     /* mesh addresses as host prefixes; owned */
    size_t address_count;
    char *endpoint_host;          /* name or address without the port; NULL: behind NAT */
    struct endpoint endpoint;     /* parsed, when the host is an address */
    uint16_t endpoint_port;       /* 0 without an endpoint */
    bool has_public_key;
    struct key public_key;
    char *host_key;               /* HostKey = ssh-ed25519 AAAA...; NULL */
    char *group;                  /* NULL */
    enum role role;
    struct prefix *allowed;       /* AllowedIPs: networks behind the node; owned */
    size_t allowed_count;
    unsigned mtu;                 /* 0: default */
    uint16_t listen_port;         /* the node's own, else the mesh's */
    char *interface;              /* the node's own, else the mesh's */
    enum engine_choice engine;
    char *jump;                   /* Jump = NODE: its SSH goes through this one, also named in the mesh; NULL */
    struct key *former_keys;      /* FormerKey lines: keys that it had before; rows of them are to go. Owned */
    size_t former_key_count;
    size_t line;                  /* of its section in the file; 0 when there is no file */
};

/* A [Removed NAME] section: a node that was taken out. Rows of its keys are to go, and its addresses are not given away at once. */
struct mesh_removed {
    char *name;
    struct prefix *addresses;     /* owned */
    size_t address_count;
    struct key *keys;             /* PublicKey and FormerKey lines; owned */
    size_t key_count;
    char *date;                   /* "2026-11-23", or NULL; owned */
    size_t line;
};

struct mesh {
    char *name;
    bool from_file;               /* false: a list of SSH targets was given; the mesh is what the nodes' rows say */
    struct prefix *networks;      /* owned */
    size_t network_count;
    char *interface;              /* "wg0" by default; NULL without a file: whatever the nodes have */
    uint16_t listen_port;
    enum topology topology;
    enum keepalive_mode keepalive_mode;
    uint16_t keepalive;           /* with KEEPALIVE_SECONDS */
    bool preshared_keys;
    struct prefix *relay_networks;
    size_t relay_network_count;
    uint16_t relay_port;          /* RelayPort: of the opaque relay on mesh_relay (relay.h); 51821 by default, 51823 where that is its ListenPort */
    struct prefix *reserved;      /* Reserved lines: never given to a node by wgdeck; owned */
    size_t reserved_count;
    struct mesh_node *nodes;      /* in the file's order; owned */
    size_t node_count;
    struct mesh_removed *removed; /* in the file's order; owned */
    size_t removed_count;
};

/* Read the document into a mesh. Duplicate nodes, duplicate or overlapping addresses, addresses outside the networks, two hubs where one is
 * needed, impossible values: err with FILE:LINE, what, and what to write. Unknown keys: a line in WARNINGS ("mesh.conf:9: unknown
 * key Adress: did you mean Address?"), kept in the document. NULL on error. */
struct mesh *mesh_read(const struct conf *conf, struct buf *warnings, struct err *err);
/* A mesh of SSH targets without a file: name = the target as given, shortened to its host part when that stays unique. */
struct mesh *mesh_from_targets(const char *const *targets, size_t count, struct err *err);
void mesh_free(struct mesh *mesh);
size_t mesh_find_node(const struct mesh *mesh, const char *name); /* index, or SIZE_MAX */

/* Should nodes A and B hold rows for each other? (DESIGN section 4, topologies.) Without a file: false for all. */
bool mesh_wants_link(const struct mesh *mesh, size_t a, size_t b);
/* The prefixes that A's row for B should have at least: B's addresses, the networks behind B and, where B is A's hub or gateway,
 * what is reached through it; of the families that A itself has (an address, a network behind it, a part in forwarding). malloc'd, sorted. */
void mesh_wants_allowed(const struct mesh *mesh, size_t a, size_t b, struct prefix **allowed, size_t *count);

/* The node that carries RelayNetwork, when there is one: the first with Role = relay; without one the hub (topology hub) or the first gateway (groups); SIZE_MAX: none. */
size_t mesh_relay(const struct mesh *mesh);
/* Does NODE have all its addresses in RelayNetwork (it joined with --relay)? Then only the relay has a row of it for certain, and it only one for the relay, by which it reaches everything; rows
 * between it and others are the ladder's (ladder.h): mesh_wants_link is false for them, mesh_may_link true, and what is there is left alone. */
bool mesh_joins_by_relay(const struct mesh *mesh, size_t node);
bool mesh_may_link(const struct mesh *mesh, size_t a, size_t b);

/* The nodes through whose SSH NODE is reached (Jump), the first to be gone through first; at most MOST. The file's are at most MESH_JUMPS_MOST, and without circles. */
enum { MESH_JUMPS_MOST = 4 };
size_t mesh_jumps(const struct mesh *mesh, size_t node, size_t *hops, size_t most);
char *mesh_jump_text(const struct mesh *mesh, size_t node); /* their Ssh, as ssh's -J takes them: "root@203.0.113.1,root@10.44.0.3"; malloc'd; NULL: straight */

/* One table for the file's keys: parser, wgdeck-mesh(5) and completions come from it. */
struct mesh_key {
    const char *section; /* "Mesh", "Node" or "Removed" */
    const char *name;
    const char *values;  /* what may stand there, as the manual shows it */
    const char *help;    /* a sentence or two, for the manual */
};
extern const struct mesh_key mesh_keys[];
extern const size_t mesh_key_count;

#endif
