/* Are links alive, seen from this end: pings by the usual routes until an answer comes in through the interface, and the row's handshake (apply.h, "verify"). Private to src/node. */
#ifndef WGDECK_NODE_VERIFY_H
#define WGDECK_NODE_VERIFY_H

#include <ev.h>

#include "wgdeck/device.h"

struct verify; /* opaque */
struct verify_link { struct key key; struct prefix *addresses; size_t address_count; bool lead; /* begins; others wait 2 s for it */ };
struct verify_events {
    void (*link)(void *context, const struct key *key, int64_t rtt, int64_t age);      /* ns; verified */
    void (*failed)(void *context, const struct key *key, const char *why);             /* at the end, for each that was not */
    void (*done)(void *context);
};
/* On the helper's loop; all links at once, a ping each 200 ms and link (ICMP and ICMPv6; thousands of links cost no process). LINKS is copied. NULL with err. */
struct verify *verify_new(struct ev_loop *loop, const char *interface, const struct verify_link *links, size_t count, double within, const struct verify_events *events, void *context, struct err *err);
void verify_free(struct verify *verify);

#endif
