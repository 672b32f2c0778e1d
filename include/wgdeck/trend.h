/* How a link or a node was over the last hour: one sample every two seconds, in rings of bounded memory. */
#ifndef WGDECK_TREND_H
#define WGDECK_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/clock.h"

enum { TREND_SAMPLES = 1800 };
#define TREND_STEP (2 * CLOCK_SECOND)

/* Of a link: a and b as in struct link. Of a node: NODE_. Rates are bytes per second, ages and round trips seconds. */
enum trend_series {
    TREND_STATE,         /* enum link_state; of a node enum node_state */
    TREND_A_TO_B_RATE,   /* what b received from a; what a sent where b's row is not known */
    TREND_B_TO_A_RATE,
    TREND_A_AGE,         /* of the handshake, at a */
    TREND_B_AGE,
    TREND_RTT,           /* only where something measures it */
    TREND_NODE_RX_RATE, TREND_NODE_TX_RATE, TREND_NODE_LIVE, /* live links of a node */
};

struct trend; /* opaque; one per link or node */

/* SAMPLES_AGO 0: the newest. False: nothing is known of that moment. */
bool trend_get(const struct trend *trend, enum trend_series series, size_t samples_ago, double *value);
size_t trend_length(const struct trend *trend); /* samples since it is kept, at most TREND_SAMPLES */

#endif
