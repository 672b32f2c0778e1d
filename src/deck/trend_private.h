/* Inside trends: rings of samples (trend.c), filled by live_trends.c. */
#ifndef WGDECK_DECK_TREND_PRIVATE_H
#define WGDECK_DECK_TREND_PRIVATE_H

#include "wgdeck/trend.h"

enum { TREND_VALUES = 4, TREND_NO_STATE = 255 };

/* Of one step. Of a link: rates a to b and b to a, ages at a and at b; of a node: rates in and out, live links. NAN: unknown. */
struct trend_sample {
    unsigned state;
    double values[TREND_VALUES];
};

struct trend *trend_new(void);
void trend_free(struct trend *trend);
/* STEP: time divided by TREND_STEP. An older one than the newest is dropped, but for a clock that was set back: then all begins anew.
 * The sample stands also for up to FILL steps before it of which nothing is known. */
void trend_add(struct trend *trend, int64_t step, const struct trend_sample *sample, size_t fill);
void trend_rewind(struct trend *trend, int64_t step); /* forget what is newer */

#endif
