/* Time as signed nanoseconds. The only place that asks the system what time it is. */
#ifndef WGDECK_CLOCK_H
#define WGDECK_CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_MILLISECOND INT64_C(1000000)

int64_t clock_wall(void);    /* CLOCK_REALTIME, since 1970 */
int64_t clock_steady(void);  /* CLOCK_BOOTTIME: never set, goes on in suspend */

/* "2026-11-22T14:00:00Z" (RFC 3339, UTC, whole seconds) into TEXT. */
#define CLOCK_TEXT_SIZE 32
void clock_text(int64_t wall, char text[static CLOCK_TEXT_SIZE]);

/* An age or a duration for people: "now", "12s", "3m05s", "7h12m", "4d03h"; negative: "in 12s". */
void clock_age_text(int64_t nanoseconds, char text[static CLOCK_TEXT_SIZE]);
/* The same in a sentence: "just now", "12s ago"; negative: "in 12s". */
void clock_ago_text(int64_t nanoseconds, char text[static CLOCK_TEXT_SIZE]);

#endif
