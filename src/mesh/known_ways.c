/* What is known of the directions of links that are cut, from one diagnosis to the next. Counters speak only while somebody sends: between two
 * tries of a handshake, or two keepalives, the same cut would otherwise be judged differently every few seconds. */
#include <stdlib.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* Evidence older than this counts no more. A keepalive comes every 25 s as a rule; who has tried in vain for 90 s rests until the next one. */
#define EVIDENCE_HOLDS (60 * CLOCK_SECOND)

static int64_t time_of(const struct context *context, const struct pair *pair)
{
    int64_t a = context->views[pair->a].seen->at, b = context->views[pair->b].seen->at;
    return a > b ? a : b;
}

static const struct known_way *find(const struct known_ways *ways, const struct pair *pair)
{
    size_t low = 0, high = ways ? ways->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct known_way *way = &ways->items[middle];
        if (way->a == pair->a && way->b == pair->b)
            return way;
        if (way->a < pair->a || (way->a == pair->a && way->b < pair->b))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A handshake later than WHEN: packets went both ways. */
static bool met_after(const struct context *context, const struct pair *pair, int64_t when)
{
    for (int side = 0; side < 2; side++) {
        const struct end *end = &pair->end[side];
        const struct node_view *view = &context->views[side ? pair->b : pair->a];
        if (end->row && end->age >= 0 && !view->skewed && time_between(view->seen->at, end->age) > when)
            return true;
    }
    return false;
}

enum direction_state known_way_of(const struct context *context, const struct pair *pair, size_t from)
{
    const struct known_way *way = context->known ? find(context->known, pair) : NULL;
    int side = from == pair->b;
    if (!way || way->state[side] == DIRECTION_UNKNOWN)
        return DIRECTION_UNKNOWN;
    const struct end *hearer = &pair->end[!side];
    int64_t age = time_between(time_of(context, pair), way->at[side]);
    bool arrives = (hearer->counted && hearer->heard > 0) || met_after(context, pair, way->at[side]);
    if (age < 0 || age > EVIDENCE_HOLDS || (way->state[side] == DIRECTION_BLOCKED && arrives))
        return DIRECTION_UNKNOWN;
    return way->state[side];
}

void known_ways_note(const struct context *context, struct known_ways *ways, const struct pair *pair, const enum direction_state counted[2])
{
    struct known_way way = {.a = pair->a, .b = pair->b};
    const struct known_way *earlier = find(context->known, pair);
    bool blocked = false;
    for (int side = 0; side < 2; side++) {
        way.state[side] = counted[side];
        way.at[side] = time_of(context, pair);
        if (counted[side] == DIRECTION_UNKNOWN && earlier) {
            way.state[side] = known_way_of(context, pair, side ? pair->b : pair->a);
            way.at[side] = earlier->at[side];
        }
        blocked |= way.state[side] == DIRECTION_BLOCKED;
    }
    if (!blocked)
        return;
    MEM_GROW(ways->items, ways->count, ways->capacity);
    ways->items[ways->count++] = way;
}

struct known_ways *known_ways_copy(const struct known_ways *ways)
{
    if (!ways)
        return NULL;
    struct known_ways *copy = mem_alloc(1, sizeof *copy);
    copy->items = mem_copy(ways->items, ways->count, sizeof *copy->items);
    copy->count = copy->capacity = ways->count;
    return copy;
}

void known_ways_free(struct known_ways *ways)
{
    if (!ways)
        return;
    free(ways->items);
    free(ways);
}
