/* What the parts of adopting share. Private to src/mesh. */
#ifndef WGDECK_MESH_ADOPT_PARTS_H
#define WGDECK_MESH_ADOPT_PARTS_H

#include "wgdeck/adopt.h"

struct adopt_prefixes {
    struct prefix *items;
    size_t count, capacity;
};

struct adopt_node {
    const struct mesh_node *target;
    const struct observation *seen;      /* NULL: not reached */
    const char *dialled;                 /* the address the deck tried or used; may be NULL */
    const struct device *device;         /* its interface of the mesh; NULL: none */
    const struct observed_config *config; /* saved, of that interface; NULL: not seen */
    char *name;
    bool has_key;
    struct key key;
    bool included;                       /* enough is known for a [Node] */
    struct adopt_prefixes addresses;     /* as host prefixes */
    struct adopt_prefixes allowed;       /* networks behind it */
    char *endpoint;
    size_t group;                        /* number of its group, with TOPOLOGY_GROUPS */
    enum role role;
};

struct adopt {
    struct adopt_node *nodes;
    size_t count;
    struct adopt_prefixes networks;
    enum topology topology;
    struct buf *notes;
};

void adopt_add(struct adopt_prefixes *list, const struct prefix *prefix);       /* unless it is there */
bool adopt_covered(const struct adopt_prefixes *list, const struct prefix *prefix);
bool adopt_overlaps(const struct adopt_prefixes *list, const struct prefix *prefix);
const struct device_peer *adopt_row(const struct adopt *adopt, size_t a, size_t b);       /* what A runs for B, or NULL */
const struct device_peer *adopt_saved_row(const struct adopt *adopt, size_t a, size_t b, const char **host); /* what A has saved for B */
void adopt_note(struct adopt *adopt, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool adopt_outer_address(const struct adopt_node *node, struct address *address); /* dialled, or the target itself; false: a name */

void adopt_find_devices(struct adopt *adopt);   /* adopt_nodes.c: interface, key, name of each node */
void adopt_find_addresses(struct adopt *adopt); /* adopt_addresses.c: addresses and networks; which nodes are included */
void adopt_find_endpoints(struct adopt *adopt); /* adopt_endpoints.c */
void adopt_find_topology(struct adopt *adopt);  /* adopt_topology.c: also groups and roles */
void adopt_find_allowed(struct adopt *adopt);   /* networks behind the nodes; needs the topology */

#endif
