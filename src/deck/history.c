/* Readings kept for counter differences: a few, spread over the span, so that one of them is old enough and not much older. */
#include "wgdeck/history.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

enum {
    HISTORY_KEPT_SMALL = 13, /* one each twelfth of the span, and the newest: a cut is known that much sooner */
    HISTORY_SMALL = 10000,   /* rows */
    HISTORY_KEPT = 5,        /* one each quarter of the span, and the newest */
    HISTORY_KEPT_LARGE = 2,  /* one each span, for a mesh whose rows take more memory */
    HISTORY_LARGE = 100000,  /* rows */
};

struct kept {
    struct counters *counters;
    int64_t at;
};

struct history {
    struct kept kept[HISTORY_KEPT_SMALL]; /* oldest first */
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
        counters_free(history->kept[i].counters);
    free(history);
}

static size_t most_kept(const struct observed *observed)
{
    size_t rows = 0;
    for (size_t i = 0; i < observed->node_count; i++)
        for (size_t k = 0; k < observed->nodes[i].device_count; k++)
            rows += observed->nodes[i].devices[k].peer_count;
    return rows > HISTORY_LARGE ? HISTORY_KEPT_LARGE : rows > HISTORY_SMALL ? HISTORY_KEPT : HISTORY_KEPT_SMALL;
}

void history_add(struct history *history, const struct observed *now, int64_t at)
{
    size_t most = most_kept(now), gone = 0;
    if (history->count && at - history->kept[history->count - 1].at < HISTORY_SPAN / (int64_t)(most - 1))
        return;
    while (history->count - gone >= most)
        counters_free(history->kept[gone++].counters);
    memmove(history->kept, history->kept + gone, (history->count - gone) * sizeof history->kept[0]);
    history->count -= gone;
    history->kept[history->count++] = (struct kept){counters_take(now), at};
}

const struct counters *history_before(const struct history *history, int64_t at)
{
    for (size_t i = history->count; i-- > 0;)
        if (at - history->kept[i].at >= HISTORY_SPAN)
            return history->kept[i].counters;
    return NULL;
}
