/* Time as signed nanoseconds. */
#include "wgdeck/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

int64_t clock_wall(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t clock_steady(void)
{
    return clock_read(CLOCK_BOOTTIME);
}

void clock_text(int64_t wall, char text[static CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(text, CLOCK_TEXT_SIZE, "?");
}

void clock_age_text(int64_t nanoseconds, char text[static CLOCK_TEXT_SIZE])
{
    const char *sign = nanoseconds <= -CLOCK_SECOND ? "in " : "";
    uint64_t seconds = (uint64_t)(nanoseconds < 0 ? -(nanoseconds / CLOCK_SECOND) : nanoseconds / CLOCK_SECOND);
    if (seconds < 1)
        snprintf(text, CLOCK_TEXT_SIZE, "now");
    else if (seconds < 60)
        snprintf(text, CLOCK_TEXT_SIZE, "%s%us", sign, (unsigned)seconds);
    else if (seconds < 3600)
        snprintf(text, CLOCK_TEXT_SIZE, "%s%um%02us", sign, (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    else if (seconds < 86400)
        snprintf(text, CLOCK_TEXT_SIZE, "%s%uh%02um", sign, (unsigned)(seconds / 3600), (unsigned)(seconds % 3600 / 60));
    else
        snprintf(text, CLOCK_TEXT_SIZE, "%s%llud%02uh", sign, (unsigned long long)(seconds / 86400), (unsigned)(seconds % 86400 / 3600));
}

void clock_ago_text(int64_t nanoseconds, char text[static CLOCK_TEXT_SIZE])
{
    clock_age_text(nanoseconds, text);
    size_t length = strlen(text); /* at most "106751d23h" */
    if (nanoseconds > -CLOCK_SECOND && nanoseconds < CLOCK_SECOND)
        snprintf(text, CLOCK_TEXT_SIZE, "just now");
    else if (nanoseconds > 0)
        snprintf(text + length, CLOCK_TEXT_SIZE - length, " ago");
}
