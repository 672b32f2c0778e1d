/* The opaque relay (DESIGN section 11): forwards encrypted WireGuard packets between nodes that cannot reach each other, and cannot read them. Stock WireGuard at both ends: each has
 * the relay's address as the endpoint of its row. One UDP port for all.
 *
 * An initiation (whitepaper 5.4.2) is for whoever's public key its mac1 was made with (5.4.4): found by trial over the known keys. It goes to the one place where that node is known, or most likely,
 * to be: a source that an answer has proven, else the newest one that knocked for one of its partners. An answer (5.4.3) or a cookie reply is taken only from where the initiation went,
 * and to whoever sent that; its mac1 says who that is. Then both indices and both sources are latched, and data is forwarded by its receiver index, from the latched source only. One packet
 * in, at most one packet out, of the same length: nothing is amplified; what goes to a place that is not proven is limited, in all and for each place. */
#ifndef WGDECK_RELAY_H
#define WGDECK_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "wgdeck/device.h"
#include "wgdeck/err.h"
#include "wgdeck/json.h"

struct relay; /* opaque; one thread */

enum { RELAY_PORT = 51821 };

struct relay_options {
    uint16_t port;            /* RELAY_PORT by default; 0: any free one (tests) */
    unsigned initiations;     /* a second to places that are not proven, in all; 0: 50. To one place: 2 */
    unsigned sessions;        /* pairs of indices at most; 0: 65536 */
    int64_t idle;             /* a session without a packet for so long is forgotten, ns; 0: 180 s */
};
struct relay *relay_new(const struct relay_options *options, struct err *err);
void relay_free(struct relay *relay);
uint16_t relay_port(const struct relay *relay);
/* Who may use it: every pair of these keys. HINTS: where each is seen by the hub's own WireGuard: nothing is believed of it at another address (the port is another here); NULL or family 0: not known. Copies. Sessions
 * of keys that are no longer there end. */
void relay_set_nodes(struct relay *relay, const struct key *keys, const struct endpoint *hints, size_t count);
/* Forwards until something is to be done at DEADLINE (clock_steady) or a signal has set *STOP. 0, or -1 with err. */
int relay_run(struct relay *relay, int64_t deadline, const volatile int *stop, struct err *err);

/* The same for who has a loop of its own: what is readable (-1: none), and one turn, which never waits. 0, or -1 with err. */
void relay_descriptors(const struct relay *relay, int descriptors[static 2]);
int relay_turn(struct relay *relay, struct err *err);

void relay_contain(void); /* for this process: no capability but CAP_NET_ADMIN, and none ever again */

struct relay_counters {
    uint64_t packets, bytes, sessions, initiations, answers;
    uint64_t unknown_index, unknown_mac1, wrong_source, limited, malformed; /* dropped, and why */
};
void relay_counters(const struct relay *relay, struct relay_counters *counters);

#endif
