/* What the parts of the lint share. Private to src/mesh. */
#ifndef WGDECK_LINT_PARTS_H
#define WGDECK_LINT_PARTS_H

#include "wgdeck/desired.h"

#define NONE SIZE_MAX

struct lint_kind;

/* One claim of the mesh on addresses: a Network (node NONE), or what is at or behind a node. */
struct lint_claim {
    struct prefix prefix;
    size_t node;
};

struct lint_context {
    const struct mesh *mesh;
    const struct desired *desired;
    const struct observed *seen;     /* may be NULL */
    const struct lint_kind *kind;    /* whose turn it is */
    struct lint *lint;
    struct lint_claim *claims;       /* of the whole mesh: Networks, nodes' addresses, networks behind nodes */
    size_t claim_count, claim_capacity;
};

/* A kind of finding: its stable id, whether apply refuses, and who looks for it. */
struct lint_kind {
    const char *id;
    bool error;
    void (*look)(struct lint_context *context);
};

/* One more finding of the kind whose turn it is, about nodes A and B (NONE). lint_warn: only a warning this time, whatever the kind is. */
void lint_find(struct lint_context *context, size_t a, size_t b, const char *format, ...) __attribute__((format(printf, 4, 5)));
void lint_warn(struct lint_context *context, size_t a, size_t b, const char *format, ...) __attribute__((format(printf, 4, 5)));

const char *lint_name(const struct lint_context *context, size_t node);
/* What was seen of it: NULL when it was not, or could not be read. */
const struct observation *lint_seen(const struct lint_context *context, size_t node);
const struct device *lint_device(const struct lint_context *context, size_t node); /* its running interface of the mesh, or NULL */
/* The key by which the others know it, or will: pinned, else seen. False when neither is. */
bool lint_key(const struct lint_context *context, size_t node, struct key *key);

/* Those of lint_file.c need no node; lint_routes.c: routes, addresses and the way of SSH; lint_nodes.c: ports, keys, interfaces, NAT. */
void lint_look_prefix_twice(struct lint_context *context);
void lint_look_endpoint_twice(struct lint_context *context);
void lint_look_ssh_twice(struct lint_context *context);
void lint_look_endpoint_in_mesh(struct lint_context *context);
void lint_look_endpoint_through_tunnel(struct lint_context *context);
void lint_look_mtu_below_ipv6(struct lint_context *context);
void lint_look_role_unreachable(struct lint_context *context);
void lint_look_no_way_between(struct lint_context *context);
void lint_look_preshared_without_ssh(struct lint_context *context);
void lint_look_address_collision(struct lint_context *context);
void lint_look_route_collision(struct lint_context *context);
void lint_look_route_overlap(struct lint_context *context);
void lint_look_docker_pool(struct lint_context *context);
void lint_look_ssh_cut_off(struct lint_context *context);
void lint_look_ssh_through_tunnel(struct lint_context *context);
void lint_look_port_taken(struct lint_context *context);
void lint_look_endpoint_port(struct lint_context *context);
void lint_look_key_twice(struct lint_context *context);
void lint_look_key_differs(struct lint_context *context);
void lint_look_key_gone(struct lint_context *context);
void lint_look_interface_taken(struct lint_context *context);
void lint_look_mtu_too_large(struct lint_context *context);
void lint_look_nat_port_clash(struct lint_context *context);

#endif
