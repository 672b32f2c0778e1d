/* Inside the comparing of pictures: nodes and links (live_events.c), who joins and leaves (live_joined.c), faults (live_faults.c). */
#ifndef WGDECK_DECK_LIVE_EVENTS_H
#define WGDECK_DECK_LIVE_EVENTS_H

#include "live_private.h"

/* Log an event of nodes ONE and TWO (indices; SIZE_MAX: none). */
void live_event(struct live *live, enum event_kind kind, size_t one, size_t two, const char *format, ...) __attribute__((format(printf, 5, 6)));

struct live_faults;
struct live_faults *live_faults_new(void);
void live_faults_free(struct live_faults *faults);
void live_faults_compare(struct live *live, struct live_faults *faults, struct diagnosis *diagnosis, const struct observed *observed,
                         enum live_compare how);

/* Who has joined through which node (live_joined.c). */
struct live_joined;
struct live_joined *live_joined_new(size_t node_count);
void live_joined_free(struct live_joined *joined);
void live_joined_compare(struct live *live, struct live_joined *joined, const struct observed *observed, bool tell);

#endif
