/* Samples of all nodes, and of links: of all in a small mesh; in a large one of those that are troubled or looked at, as many as the memory for
 * them allows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "trend_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { LINKS_MOST = 1000 }; /* about 16 KiB each, when they are full */

/* How far a counter was, by the clock of the node that counts. */
struct counted {
    bool known;
    int64_t time;
    uint64_t bytes;
    double rate;        /* the last one; NAN: unknown */
    int64_t rate_step;
};

struct link_trend {
    uint32_t a, b;
    struct trend *trend;
    struct counted received[2], sent[2]; /* at a, at b */
    bool watched;
    int64_t useful;     /* step at which it was last troubled or looked at */
};

struct node_trend {
    struct trend *trend;
    struct counted received, sent;
};

struct live_trends {
    struct node_trend *nodes;
    size_t node_count;
    struct link_trend **links; /* by a, then b */
    size_t link_count, link_capacity;
    uint8_t *has_links;        /* per node: it may be the first of a link that is kept; half a million links are asked for */
    int64_t step;              /* of the last sample */
};

struct live_trends *live_trends_new(size_t node_count)
{
    struct live_trends *trends = mem_alloc(1, sizeof *trends);
    trends->nodes = mem_alloc(node_count, sizeof *trends->nodes);
    trends->has_links = mem_alloc(node_count, sizeof *trends->has_links);
    trends->node_count = node_count;
    trends->step = -1;
    for (size_t i = 0; i < node_count; i++)
        trends->nodes[i].trend = trend_new();
    return trends;
}

static void link_trend_free(struct link_trend *link)
{
    trend_free(link->trend);
    free(link);
}

void live_trends_free(struct live_trends *trends)
{
    if (!trends)
        return;
    for (size_t i = 0; i < trends->node_count; i++)
        trend_free(trends->nodes[i].trend);
    for (size_t i = 0; i < trends->link_count; i++)
        link_trend_free(trends->links[i]);
    free(trends->links);
    free(trends->has_links);
    free(trends->nodes);
    free(trends);
}

/* Rates */

/* Bytes a second since the last reading. A counter that went back, or a clock, begins anew. Without a new reading the last rate holds for
 * HOLD steps. */
static double rate_of(struct counted *counted, int64_t time, uint64_t bytes, int64_t step, int64_t hold)
{
    if (counted->known && time == counted->time && bytes == counted->bytes)
        return step - counted->rate_step <= hold ? counted->rate : NAN;
    double rate = NAN;
    if (counted->known && time > counted->time && bytes >= counted->bytes)
        rate = (double)(bytes - counted->bytes) / ((double)(time - counted->time) / (double)CLOCK_SECOND);
    *counted = (struct counted){true, time, bytes, rate, step};
    return rate;
}

static double rate_unknown(struct counted *counted)
{
    counted->known = false;
    return NAN;
}

/* Which links */

static int compare_link(const struct link_trend *link, size_t a, size_t b)
{
    if (link->a != a)
        return link->a < a ? -1 : 1;
    return link->b < b ? -1 : link->b > b;
}

static size_t place_of(const struct live_trends *trends, size_t a, size_t b)
{
    size_t low = 0, high = trends->link_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_link(trends->links[middle], a, b) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct link_trend *find(const struct live_trends *trends, size_t a, size_t b)
{
    if (a >= trends->node_count || !trends->has_links[a])
        return NULL;
    size_t place = place_of(trends, a, b);
    return place < trends->link_count && !compare_link(trends->links[place], a, b) ? trends->links[place] : NULL;
}

static bool is_troubled(const struct link *link)
{
    return link->state == LINK_DEAD || link->state == LINK_HALF || link->state == LINK_NEVER || link->a_to_b == DIRECTION_BLOCKED ||
           link->b_to_a == DIRECTION_BLOCKED;
}

/* Room for one more: the one that was of no use for longest goes. False if all are of use now. */
static bool make_room(struct live_trends *trends, int64_t step)
{
    size_t worst = SIZE_MAX;
    if (trends->link_count < LINKS_MOST)
        return true;
    for (size_t i = 0; i < trends->link_count; i++)
        if (!trends->links[i]->watched && trends->links[i]->useful < step &&
            (worst == SIZE_MAX || trends->links[i]->useful < trends->links[worst]->useful))
            worst = i;
    if (worst == SIZE_MAX)
        return false;
    link_trend_free(trends->links[worst]);
    memmove(&trends->links[worst], &trends->links[worst + 1], (--trends->link_count - worst) * sizeof trends->links[0]);
    return true;
}

static struct link_trend *add(struct live_trends *trends, size_t a, size_t b)
{
    size_t place = place_of(trends, a, b);
    MEM_GROW(trends->links, trends->link_count, trends->link_capacity);
    memmove(&trends->links[place + 1], &trends->links[place], (trends->link_count++ - place) * sizeof trends->links[0]);
    struct link_trend *link = trends->links[place] = mem_alloc(1, sizeof *link);
    trends->has_links[a] = true;
    *link = (struct link_trend){.a = (uint32_t)a, .b = (uint32_t)b, .trend = trend_new()};
    return link;
}

static void choose_links(struct live_trends *trends, const struct diagnosis *diagnosis, int64_t step)
{
    bool all = diagnosis->link_count <= LINKS_MOST, room = true;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        bool troubled = is_troubled(link);
        if (!all && !troubled)
            continue;
        struct link_trend *kept = find(trends, link->a, link->b);
        if (!kept && room && (room = make_room(trends, step)))
            kept = add(trends, link->a, link->b);
        if (kept && (troubled || all))
            kept->useful = step;
    }
}

/* Sampling */

static double age_of(int64_t age)
{
    return age < 0 ? NAN : (double)age / (double)CLOCK_SECOND;
}

/* What flows from one end to the other: what is received there, else what is sent here. */
static double flow(struct counted *received, const struct device_peer *there, int64_t time_there, struct counted *sent,
                   const struct device_peer *here, int64_t time_here, int64_t step, int64_t hold)
{
    double in = there ? rate_of(received, time_there, there->rx_bytes, step, hold) : rate_unknown(received);
    double out = here ? rate_of(sent, time_here, here->tx_bytes, step, hold) : rate_unknown(sent);
    return there ? in : out;
}

static void sample_link(struct link_trend *kept, const struct link *link, const struct observed *observed, int64_t step, size_t fill)
{
    int64_t a_time = observed->nodes[link->a].node_time, b_time = observed->nodes[link->b].node_time, hold = (int64_t)fill + 2;
    struct trend_sample sample = {.state = link->state};
    sample.values[0] = flow(&kept->received[1], link->b_row, b_time, &kept->sent[0], link->a_row, a_time, step, hold);
    sample.values[1] = flow(&kept->received[0], link->a_row, a_time, &kept->sent[1], link->b_row, b_time, step, hold);
    sample.values[2] = age_of(link->a_age);
    sample.values[3] = age_of(link->b_age);
    trend_add(kept->trend, step, &sample, fill);
}

static void sample_node(struct node_trend *kept, const struct node_summary *node, const struct observation *seen, int64_t step, size_t fill)
{
    struct trend_sample sample = {.state = node->state, .values = {NAN, NAN, NAN, NAN}};
    if (seen->reach == REACH_UNKNOWN)
        return;
    if (seen->reach == REACH_OK) {
        int64_t hold = (int64_t)fill + 2;
        sample.values[0] = rate_of(&kept->received, seen->node_time, node->rx_bytes, step, hold);
        sample.values[1] = rate_of(&kept->sent, seen->node_time, node->tx_bytes, step, hold);
        sample.values[2] = (double)node->live;
    } else {
        kept->received.known = kept->sent.known = false;
    }
    trend_add(kept->trend, step, &sample, fill);
}

static const struct link *link_of(const struct diagnosis *diagnosis, size_t a, size_t b, size_t *from)
{
    size_t low = *from, high = diagnosis->link_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct link *link = &diagnosis->links[middle];
        if (link->a < a || (link->a == a && link->b < b))
            low = middle + 1;
        else
            high = middle;
    }
    *from = low;
    return low < diagnosis->link_count && diagnosis->links[low].a == a && diagnosis->links[low].b == b ? &diagnosis->links[low] : NULL;
}

void live_trends_sample(struct live *live)
{
    struct live_trends *trends = live->trends;
    int64_t step = live_now(live) / TREND_STEP;
    size_t fill = (size_t)(live_interval(live) * (double)CLOCK_SECOND / (double)TREND_STEP + 0.5), from = 0;
    if (step == trends->step)
        return;
    trends->step = step;
    choose_links(trends, live->diagnosis, step);
    for (size_t i = 0; i < trends->link_count; i++) {
        struct link_trend *kept = trends->links[i];
        const struct link *link = link_of(live->diagnosis, kept->a, kept->b, &from);
        if (link)
            sample_link(kept, link, live->observed, step, fill);
    }
    for (size_t i = 0; i < trends->node_count; i++)
        sample_node(&trends->nodes[i], &live->diagnosis->nodes[i], &live->observed->nodes[i], step, fill);
}

void live_trends_rewind(struct live *live, int64_t at)
{
    struct live_trends *trends = live->trends;
    int64_t step = at / TREND_STEP;
    trends->step = -1;
    for (size_t i = 0; i < trends->link_count; i++) {
        struct link_trend *kept = trends->links[i];
        trend_rewind(kept->trend, step);
        memset(kept->received, 0, sizeof kept->received);
        memset(kept->sent, 0, sizeof kept->sent);
        if (kept->useful > step)
            kept->useful = step;
    }
    for (size_t i = 0; i < trends->node_count; i++) {
        trend_rewind(trends->nodes[i].trend, step);
        trends->nodes[i].received.known = trends->nodes[i].sent.known = false;
    }
}

/* For who shows them */

static const struct trend *not_empty(const struct trend *trend)
{
    return trend && trend_length(trend) ? trend : NULL;
}

const struct trend *live_link_trend(const struct live *live, size_t a, size_t b)
{
    struct link_trend *kept = a < b ? find(live->trends, a, b) : find(live->trends, b, a);
    if (!kept)
        return NULL;
    kept->useful = live->trends->step;
    return not_empty(kept->trend);
}

const struct trend *live_node_trend(const struct live *live, size_t node)
{
    return node < live->trends->node_count ? not_empty(live->trends->nodes[node].trend) : NULL;
}

void live_watch_link(struct live *live, size_t a, size_t b)
{
    struct live_trends *trends = live->trends;
    size_t first = a < b ? a : b, second = a < b ? b : a, watched = 0;
    struct link_trend *kept = find(trends, first, second);
    if (second >= trends->node_count || first == second)
        return;
    if (!kept) {
        for (size_t i = 0; i < trends->link_count; i++)
            watched += trends->links[i]->watched;
        for (size_t i = 0; i < trends->link_count && watched >= LINKS_MOST / 2; i++)
            watched -= trends->links[i]->watched, trends->links[i]->watched = false; /* nobody looks at that many */
        while (trends->link_count >= LINKS_MOST && !make_room(trends, INT64_MAX))
            ;
        kept = add(trends, first, second);
    }
    kept->watched = true;
    kept->useful = trends->step;
}
