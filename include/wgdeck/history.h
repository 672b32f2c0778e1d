/* Readings kept long enough to tell what counters did: a diagnosis wants one that is at least 12 seconds older. */
#ifndef WGDECK_HISTORY_H
#define WGDECK_HISTORY_H

#include <stdint.h>

#include "wgdeck/clock.h"
#include "wgdeck/counters.h"

/* Two handshake tries of a peer that has no session (5 s apart, plus jitter) are certain to fall into it. */
#define HISTORY_SPAN (12 * CLOCK_SECOND)

struct history; /* opaque: owns what it keeps */

struct history *history_new(void);
void history_free(struct history *history);
/* Take the counters of NOW, seen at AT (deck's clock), if they will be of use. */
void history_add(struct history *history, const struct observed *now, int64_t at);
/* The newest kept reading that is at least HISTORY_SPAN older than AT, or NULL; borrowed until the next history_add. */
const struct counters *history_before(const struct history *history, int64_t at);

struct observed *observed_copy(const struct observed *observed); /* deep; observed_free */

#endif
