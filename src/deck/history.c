/* Readings kept for counter differences: a few, spread over the span, so that one of them is old enough and not much older. */
#include "wgdeck/history.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

enum { HISTORY_KEPT = 5 }; /* one each quarter of the span, and the newest */

struct kept {
    struct observed *observed;
    int64_t at;
};

struct history {
    struct kept kept[HISTORY_KEPT]; /* oldest first */
    size_t count;
};

struct observed *observed_copy(const struct observed *observed)
{
    struct observed *copy = observed_new(observed->node_count);
    for (size_t i = 0; i < observed->node_count; i++)
        observation_copy(&copy->nodes[i], &observed->nodes[i]);
    return copy;
}

struct history *history_new(void)
{
    return mem_alloc(1, sizeof(struct history));
}

void history_free(struct history *history)
{
    if (!history)
        return;
    for (size_t i = 0; i < history->count; i++)
        observed_free(history->kept[i].observed);
    free(history);
}

void history_add(struct history *history, const struct observed *now, int64_t at)
{
    if (history->count && at - history->kept[history->count - 1].at < HISTORY_SPAN / (HISTORY_KEPT - 1))
        return;
    if (history->count == HISTORY_KEPT) {
        observed_free(history->kept[0].observed);
        memmove(history->kept, history->kept + 1, (HISTORY_KEPT - 1) * sizeof history->kept[0]);
        history->count--;
    }
    history->kept[history->count++] = (struct kept){observed_copy(now), at};
}

const struct observed *history_before(const struct history *history, int64_t at)
{
    for (size_t i = history->count; i-- > 0;)
        if (at - history->kept[i].at >= HISTORY_SPAN)
            return history->kept[i].observed;
    return NULL;
}
