/* What the parts of state.h share: rows and secrets of a state, routes by netlink, and what is set on an engine. */
#ifndef WGDECK_NODE_STATE_PARTS_H
#define WGDECK_NODE_STATE_PARTS_H

#include "state.h"

struct nl_sock;

/* --- state.c: rows and secrets of a state in memory */

enum { STATE_METRIC_V6 = 1024 /* what the kernel makes of an IPv6 route without one */ };

struct device_peer *state_row(struct state *state, const struct key *public_key); /* or NULL */
struct device_peer *state_row_make(struct state *state, const struct key *public_key); /* found or made; others move */
void state_row_remove(struct state *state, const struct key *public_key);
void state_row_set_host(struct state *state, const struct key *public_key, const char *host); /* NULL: none */
const char *state_row_host(const struct state *state, const struct key *public_key);          /* or NULL */
void state_row_take_allowed(struct state *state, const struct device_peer *row); /* what ROW allows no other row does */
const struct key *state_private(const struct state *state);                      /* or NULL */
void state_set_private(struct state *state, const struct key *private_key);      /* NULL or zero: none */
const struct key *state_preshared(const struct state *state, const struct key *public_key); /* or NULL */
void state_set_preshared(struct state *state, const struct key *public_key, const struct key *preshared); /* NULL: none */
bool state_has_address(const struct state *state, const struct prefix *address);
bool state_has_route(const struct state *state, const struct state_route *route);
bool state_prefix_same(const struct prefix *a, const struct prefix *b); /* host bits and length */
bool state_same_allowed(const struct device_peer *a, const struct device_peer *b);
bool state_same_key(const struct key *a, const struct key *b); /* either may be NULL */
bool state_endpoint_differs(const struct state *from, const struct state *to, const struct device_peer *row); /* ROW of TO gives one that FROM's row has not */

/* --- state_netlink.c */

int state_link_read(struct nl_sock *socket, const char *name, unsigned *mtu, bool *up, struct err *err);
int state_link_mtu(struct nl_sock *socket, const char *name, unsigned mtu, struct err *err);
/* Routes into it of all tables, but for the kernel's own; owned by the caller. */
int state_routes(struct nl_sock *socket, const char *name, struct state_route **routes, size_t *count, struct err *err);

/* --- state_sysctl.c */

int state_forwarding(int family);                             /* 0, 1, or -1 not known */
int state_set_forwarding(int family, bool on, struct err *err);

/* --- state_rows.c: what differs in keys, port, mark and rows */

struct state_change {
    struct up_set set;     /* all that is not removing; borrows from both states */
    struct up_set removal; /* rows that go */
};
/* ENDPOINTS: those of TO's rows, names looked up. */
void state_change_find(const struct state *from, const struct state *to, const struct endpoint *endpoints, struct state_change *change);
bool state_change_is_empty(const struct up_set *set);
void state_change_free(struct state_change *change);

/* --- state_reach.c */

enum { STATE_REACH_STEPS = 13 };
int state_reach_some(const struct state *from, const struct state *to, size_t steps, struct err *err); /* only the first STEPS: a change broken off. For tests */

/* --- state_names.c */

/* The endpoints of STATE's rows, owned by the caller; names are looked up, all within some seconds. 0, or -1 with err that names the first that has no address. */
int state_endpoints(const struct state *state, struct endpoint **endpoints, struct err *err);

/* --- state_link.c: an interface made and taken away */

/* ENGINE: the kind wanted, then the one that it got. */
int state_link_make(struct nl_sock *socket, const char *name, enum engine_kind *engine, struct err *err);
int state_link_delete(struct nl_sock *socket, const char *name, enum engine_kind engine, struct err *err);
int state_port_is_free(const char *name, uint16_t port, struct err *err);

#endif
