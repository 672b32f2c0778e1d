/* By which way two nodes reach each other that no row connects for certain (DESIGN section 11): direct, else the opaque relay, else routed by the hub. A state machine for each pair; pure: whoever
 * drives it (the deck over SSH, or the hub's relay process through the tunnel) brings the views and carries the orders out at both ends in the same second.
 *
 * The ways in terms of rows. Each end has a row of the other, which a trial makes without AllowedIPs, so that nothing changes for the traffic: it gets an endpoint and keepalive 0 -> 25, which makes WireGuard
 * send an initiation at once. When both ends have a handshake, the row is given the other's addresses at both ends ("carry"): the traffic changes over. To go back ("yield"), the addresses go to
 * the hub's row (or just away from the row, where the hub's covers them by a prefix). Only what runs is changed, never the saved file: after a boot the way is the hub's.
 *
 * Node operations (wgdeck node; the same objects go to agents through the tunnel):
 *   {"op":"path","interface":"wg0","key":KEY,"name":"mail","do":"try","endpoint":"198.51.100.7:40001","keepalive":25,"hub":KEY}
 *   {"op":"path",...,"do":"carry","path":"direct|relay","allowed":["10.44.0.193/32"],"hub":KEY,"reason":"..."}
 *   {"op":"path",...,"do":"yield","allowed":[...],"hub":KEY,"reason":"...","forget":false}      forget: a row that a trial has made goes, too
 *   {"op":"path-look","interface":"wg0","keys":[KEY,...]}
 *        -> {"rows":[{"key","endpoint"|null,"age":milliseconds|null,"rx","tx","path":"direct|relay|hub|trying|null","since":UNIX}],"candidates":["192.168.1.5:51820",...],"port":51820}
 * A row that a trial has made is made anew by the next "try": one that is there sends no initiation within 5 s of its last one, whatever its keepalive becomes.
 * What is carried is noted in /run/wgdeck/IF.paths, and shown in the observation ("paths"). While an end carries, a small process there (wgdeck node --paths IF) pings the other end
 * every 5 s and yields by itself when three answers in a row are missing: both ends come to the same within 15 s, also when no deck is there. */
#ifndef WGDECK_LADDER_H
#define WGDECK_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/device.h"

#define LADDER_STEPS(X) \
    X(HUB, "hub", "routed by the hub, which can read it") \
    X(TRYING, "trying", "a way is being tried; the traffic goes by the hub meanwhile") \
    X(DIRECT, "direct", "straight") \
    X(RELAY, "relay", "forwarded by the relay, which cannot read it")
enum ladder_step {
#define X(name, word, title) LADDER_##name,
    LADDER_STEPS(X)
#undef X
};
extern const char *const ladder_words[];

enum { LADDER_CANDIDATES = 12 };

/* What is known of one end now. */
struct ladder_end {
    bool answers;                              /* orders reach it */
    struct endpoint observed;                  /* where the hub sees it (authenticated); family 0: not known */
    struct endpoint candidates[LADDER_CANDIDATES]; /* its own addresses with its port, as it says itself */
    size_t candidate_count;
    struct endpoint row;                       /* the endpoint of its row of the other one; family 0: none */
    int64_t age;                               /* of that row's handshake, ns; -1 never */
    uint64_t rx;                               /* of that row, bytes */
    enum ladder_step carries;                  /* what it does now, by its own word */
};

/* What one end is to do now. */
enum ladder_deed { LADDER_NOTHING, LADDER_TRY, LADDER_CARRY, LADDER_YIELD };
struct ladder_order {
    enum ladder_deed deed;
    struct endpoint endpoint;                  /* TRY: of the other one */
    enum ladder_step way;                      /* CARRY: DIRECT or RELAY */
    bool forget;                               /* YIELD */
    char reason[160];                          /* safe, for people: "handshake by 198.51.100.7:40001, which the hub sees" */
};

struct ladder; /* one pair; opaque */

struct ladder_options {
    struct endpoint relay;                     /* the opaque relay; family 0: none */
    bool direct;                               /* false: not tried (for tests, and where the operator says so) */
    bool lasting_rows;                         /* both ends have rows of each other beside the ladder, which no trial makes anew: WireGuard sends at its own times */
    const struct prefix *never;                /* no endpoint is tried in these: the mesh's own networks. Copied */
    size_t never_count;
};
struct ladder *ladder_new(const struct ladder_options *options);
void ladder_free(struct ladder *ladder);
/* One turn, at least once a second while TRYING, else as often as there are views. NOW: clock_steady, ns; it never goes back. Rules: the candidates in order (both on one LAN: same observed address, then the private ones; public
 * v6; what the hub sees), each pair of them given 3 s from the order on (5 s with lasting rows; 7 s what the hub sees, 6 s more where something was heard by it); both ends are told within half a second, or at once
 * (why: ladder.c); what both ends have a handshake younger than the try on is carried; where no
 * candidate is left the relay is tried the same way; else the hub. After a failure the next climb waits 60 s, twice as long each time, at most an hour; again at once when an observed
 * endpoint or candidate has changed. A way that died within 10 minutes of being carried doubles the wait, so that it does not flap. */
void ladder_turn(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2]);
enum ladder_step ladder_step(const struct ladder *ladder);
const char *ladder_reason(const struct ladder *ladder); /* safe: why it is where it is, and what comes next */
int64_t ladder_next(const struct ladder *ladder);       /* when a turn is due at the latest, clock_steady */
unsigned ladder_climbs(const struct ladder *ladder);    /* how often it has begun to try */

#endif
