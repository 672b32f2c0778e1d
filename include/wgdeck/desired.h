/* What the mesh file asks of each node: its interface, its addresses and its rows; which addresses are free; and a lint of the whole. Pure. */
#ifndef WGDECK_DESIRED_H
#define WGDECK_DESIRED_H

#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* One row that a node should hold. Everything but the key is known from the file. */
struct desired_row {
    size_t peer;                  /* index in mesh->nodes */
    struct prefix *allowed;       /* mesh_wants_allowed; sorted; owned */
    size_t allowed_count;
    char *endpoint;               /* "203.0.113.1:51820", "[2001:db8::1]:51820", "vpn.example.org:51820"; NULL: behind NAT. Owned */
    uint16_t keepalive;           /* seconds; 0: off */
    bool keepalive_exact;         /* false (auto): another value that is there already is left alone, if this one is 0 */
    bool preshared;               /* the pair should have a preshared key, the same at both ends */
};

struct desired_node {
    const char *interface;        /* borrowed from the mesh */
    struct prefix *addresses;     /* with host bits and the length of their Network: 10.44.0.1/24; owned */
    size_t address_count;
    uint16_t listen_port;
    unsigned mtu;                 /* 0: what the node finds fitting when it makes the interface; one that is there is left alone */
    enum engine_choice engine;
    bool forwards4, forwards6;    /* hub, gateway, relay, or it has networks behind it: the kernel must forward */
    struct desired_row *rows;     /* by peer; owned */
    size_t row_count;
};

struct desired {
    struct desired_node *nodes;   /* as mesh->nodes */
    size_t node_count;
};

/* MESH must outlive it, and must be of a file. Rules for keepalive (auto): 25 s at the side without an Endpoint, towards one with an Endpoint (a
 * NAT's way out must stay open); both sides when neither has one. */
struct desired *desired_new(const struct mesh *mesh);
void desired_free(struct desired *desired);
const struct desired_row *desired_row_find(const struct desired_node *node, size_t peer); /* or NULL */

/* The lowest free address of each Network, for one more node; host bits as prefix_host gives. Not free: nodes' addresses, Reserved and RelayNetwork
 * prefixes, the network's own and (v4) its broadcast address, the networks behind nodes, and those of [Removed] sections: these are
 * handed out again only when nothing else is left, the oldest removal first. RESERVED: further ones (of nodes that are about to be added); may be NULL.
 * addresses: malloc'd. 0, or -1 with err ("10.44.0.0/29 is full: ...") */
int mesh_allocate(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err);

/* The same in the RelayNetwork: one address of each of its prefixes, at least one. RESERVED as above (open invitations, rows on the hub). -1 also where there is no RelayNetwork ("... write
 * RelayNetwork = 10.44.0.192/26 in [Mesh], and Role = relay at one node, then apply": with a part of Network that is free, if there is one). */
int mesh_allocate_relay(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err);

/* The lint: what the file itself cannot know is wrong (mesh_read has refused the impossible), and what the nodes' own state says against it.
 * SEEN may be NULL (only the file is judged). Kinds, each a row of a table: a prefix in two rows of one node (theft), a mesh network or AllowedIPs that
 * overlaps a route, an address or a Docker pool of a node, an endpoint that lies inside the mesh's own networks or would be routed into the tunnel, the operator's SSH
 * connection running through the tunnel that is to be changed (seen_from/reached_at inside the mesh networks), a port that another program or interface holds, two
 * nodes behind one NAT (same seen address) with one port, two NATed nodes that can never meet, a hub/gateway that nobody can reach, an interface of that name that is no WireGuard, an MTU larger
 * than the underlay leaves room for, a pinned PublicKey that the node does not have, two nodes that show one key, PresharedKeys with nodes without Ssh. */
struct lint_finding {
    const char *id;               /* "route-collision": of the table */
    bool error;                   /* apply refuses; else a warning that is shown with the plan */
    size_t nodes[2];              /* SIZE_MAX: none */
    char *text;                   /* one safe line: what, where, why, what to do; owned */
};
struct lint {
    struct lint_finding *findings; /* errors first, then by node */
    size_t count, capacity;
};
void lint_mesh(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, struct lint *lint); /* LINT zeroed */
void lint_leave_out(struct lint *lint, const bool *leaving); /* per node: what concerns one that is taken out is no reason to keep it */
/* What those that stay need of those that are taken out: the way of their SSH (Jump), the relay through which they joined. Errors, put before all others. */
void lint_leaving(const struct mesh *mesh, const bool *leaving, struct lint *lint);
void lint_free(struct lint *lint);
bool lint_has_error(const struct lint *lint);

#endif
