/* The reading of a mesh file: what its parts share. Private to src/mesh. */
#ifndef WGDECK_MESH_READING_H
#define WGDECK_MESH_READING_H

#include "wgdeck/mesh.h"

struct mesh_reading {
    const struct conf *conf;
    struct mesh *mesh;
    struct mesh_node *node;       /* the one whose section is read; NULL in [Mesh] and [Removed] */
    struct mesh_removed *removed; /* the same for [Removed NAME] */
    const char *node_name;        /* of either */
    size_t mesh_section;        /* index of [Mesh] */
    size_t *node_sections;      /* per node: index of its section */
    size_t node_section_capacity;
    struct buf *warnings;       /* may be NULL */
    struct err *err;
};

/* "FILE:LINE: ..." into err; returns -1. */
int mesh_refuse(const struct mesh_reading *reading, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mesh_warn(const struct mesh_reading *reading, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes one entry's value into the mesh or the node; refuses what cannot be. 0, or -1. */
typedef int mesh_key_handler(struct mesh_reading *reading, const struct conf_entry *entry);
mesh_key_handler mesh_take_name, mesh_take_network, mesh_take_interface, mesh_take_listen_port, mesh_take_topology,
    mesh_take_keepalive, mesh_take_preshared_keys, mesh_take_relay_network, mesh_take_ssh, mesh_take_address,
    mesh_take_endpoint, mesh_take_public_key, mesh_take_host_key, mesh_take_group, mesh_take_role, mesh_take_allowed_ips,
    mesh_take_mtu, mesh_take_engine, mesh_take_reserved, mesh_take_former_key, mesh_take_removed_key, mesh_take_removed_address,
    mesh_take_date, mesh_take_jump, mesh_take_relay_port;

/* For mesh_keys[i]: its handler, and whether it is a list, that may stand in several lines. */
extern mesh_key_handler *const mesh_key_handlers[];
extern const bool mesh_key_repeats[];
size_t mesh_find_key(const char *section, const char *name); /* index in mesh_keys, or mesh_key_count; case does not matter */
extern const char *const mesh_sections[];                    /* "Mesh", "Node", "Removed", NULL */

/* Everything that concerns more than one value: duplicates, overlaps, the topology's needs. 0, or -1. */
int mesh_check(struct mesh_reading *reading);

/* "HOST", "HOST:PORT", an address alone or with a port. HOST (malloc'd) and, when it is an address, endpoint->address; port 0: none given.
 * 0, or -1 with nothing allocated. */
int mesh_parse_endpoint(const char *text, char **host, struct endpoint *endpoint);

/* Why TARGET cannot be given to ssh, or NULL when it can. */
const char *mesh_target_fault(const char *target);

#endif
