/* What the ladder's machine and its list of places share (ladder.h). */
#ifndef WGDECK_MESH_LADDER_PRIVATE_H
#define WGDECK_MESH_LADDER_PRIVATE_H

#include "wgdeck/ladder.h"

enum { LADDER_TRIES = 8 };

/* Where two ends may find each other; the words stand behind one endpoint, or two, in a sentence. */
#define LADDER_PLACES(X) \
    X(LAST, "where it was found last time", "where they met last time") \
    X(LAN, "in the same network", "in the same network") \
    X(SIX, "by IPv6", "by IPv6") \
    X(SEEN, "where the hub sees it", "where the hub sees them") \
    X(OWN, "its own public address", "their own public addresses") \
    X(FORWARD, "its own port at the address that the hub sees", "their own ports at the addresses that the hub sees") \
    X(ROUTED, "its private address", "their private addresses") \
    X(RELAY, "the relay", "the relay")
enum ladder_place {
#define X(name, one, two) PLACE_##name,
    LADDER_PLACES(X)
#undef X
};
extern const char *const ladder_place_words[][2]; /* of one, of two */

struct ladder_try {
    struct endpoint told[2];  /* [i]: where end i is to look for the other one */
    enum ladder_place place;
};

/* Never: no address, port 0, this host, multicast, broadcast, link-local, reserved, and what is inside the mesh. */
bool ladder_may_try(const struct ladder_options *options, const struct endpoint *endpoint);
/* The pairs to try, best first; LAST (or NULL) is what worked the last time. The relay is not among them. */
size_t ladder_places(const struct ladder_options *options, const struct ladder_end ends[2], const struct ladder_try *last, struct ladder_try tries[static LADDER_TRIES]);
/* Of all that is known of where the ends are; the same whatever the order. */
uint64_t ladder_fingerprint(const struct ladder_options *options, const struct ladder_end *end);

#endif
