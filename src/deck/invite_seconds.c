/* How long an invitation is to hold, as a person writes it (wgdeck/invite.h). */
#include <stdlib.h>
#include <string.h>

#include "wgdeck/invite.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

bool invite_read_seconds(const char *text, int64_t *seconds)
{
    static const struct { char unit; int64_t seconds; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t digits = strspn(text, "0123456789");
    unsigned long long number;
    char *part = mem_text_part(text, digits);
    bool good = digits && text[digits] && !text[digits + 1] && !text_to_number(part, 1000000, &number);
    free(part);
    for (size_t i = 0; good && i < COUNT_OF(units); i++)
        if (text[digits] == units[i].unit) {
            *seconds = (int64_t)number * units[i].seconds;
            return *seconds >= INVITE_SECONDS_LEAST && *seconds <= INVITE_SECONDS_MOST;
        }
    return false;
}
