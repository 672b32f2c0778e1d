/* The columns of the screen of all links. */
#include <stdlib.h>
#include <string.h>

#include "links.h"
#include "wgdeck/mem.h"
#include "words.h"

const struct link *links_at(const struct scene *scene, uint32_t row)
{
    return &scene->picture.diagnosis->links[row];
}

unsigned links_urgency(const struct link *link)
{
    static const uint8_t of_state[] = {[LINK_DEAD] = 0, [LINK_HALF] = 1, [LINK_NEVER] = 2, [LINK_LATE] = 3, [LINK_UNKNOWN] = 4, [LINK_LIVE] = 5, [LINK_IDLE] = 5};
    return link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED ? 0 : of_state[link->state];
}

static enum style state_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = links_at(scene, row);
    struct look_of look = look_of_link(link->state);
    words_glyph(look.glyph, buf);
    buf_add_format(buf, " %s", link_state_text(link->state));
    return look.style;
}

static uint64_t state_order(const struct scene *scene, uint32_t row)
{
    const struct link *link = links_at(scene, row);
    return links_urgency(link) * 8 + (link->state == LINK_IDLE);
}

static enum style name_cell(const struct scene *scene, size_t node, struct buf *buf)
{
    struct buf name = BUF_EMPTY;
    buf_add_text(buf, scene_name(scene, node, &name));
    buf_free(&name);
    enum node_state state = scene->picture.diagnosis->nodes[node].state;
    return state == NODE_UP ? STYLE_TEXT : look_of_node(state).style;
}

static enum style a_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return name_cell(scene, links_at(scene, row)->a, buf);
}

static enum style b_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return name_cell(scene, links_at(scene, row)->b, buf);
}

static uint64_t a_order(const struct scene *scene, uint32_t row)
{
    return words_name_rank(scene, links_at(scene, row)->a);
}

static uint64_t b_order(const struct scene *scene, uint32_t row)
{
    return words_name_rank(scene, links_at(scene, row)->b);
}

static enum style direction_cell(const struct link *link, bool a_to_b, struct buf *buf)
{
    struct look_of look = look_of_direction(link, a_to_b);
    buf_add_char(buf, ' ');
    words_glyph(look.glyph, buf);
    words_export(buf);
    buf_add_text(buf, direction_state_text(a_to_b ? link->a_to_b : link->b_to_a));
    return look.style;
}

static enum style a_to_b_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return direction_cell(links_at(scene, row), true, buf);
}

static enum style b_to_a_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return direction_cell(links_at(scene, row), false, buf);
}

static uint64_t direction_order(enum direction_state state)
{
    return state == DIRECTION_BLOCKED ? 0 : state == DIRECTION_UNKNOWN ? 1 : 2;
}

static uint64_t a_to_b_order(const struct scene *scene, uint32_t row)
{
    return direction_order(links_at(scene, row)->a_to_b);
}

static uint64_t b_to_a_order(const struct scene *scene, uint32_t row)
{
    return direction_order(links_at(scene, row)->b_to_a);
}

/* The age of the last handshake as one end has it, or why there is none. */
static enum style age_cell(const struct scene *scene, const struct link *link, size_t node, int64_t age, const struct device_peer *held, struct buf *buf)
{
    if (link->path == PATH_HUB) { /* the links on its way have handshakes */
        buf_add_char(buf, '-');
        return STYLE_DIM;
    }
    if (age >= 0) {
        words_age(age, buf);
        words_export(buf);
        buf_add_format(buf, "%.1f", (double)age / 1e9);
        return link->state == LINK_LIVE || link->state == LINK_IDLE ? STYLE_TEXT : look_of_link(link->state).style;
    }
    buf_add_text(buf, held ? "never" : scene->picture.diagnosis->nodes[node].device ? "no row" : "?");
    return held ? STYLE_NEVER : STYLE_UNKNOWN;
}

static enum style a_age_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = links_at(scene, row);
    return age_cell(scene, link, link->a, link->a_age, link->a_row, buf);
}

static enum style b_age_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = links_at(scene, row);
    return age_cell(scene, link, link->b, link->b_age, link->b_row, buf);
}

/* The end that knows of the later handshake. */
static bool a_is_later(const struct link *link)
{
    return link->a_age >= 0 ? link->b_age < 0 || link->a_age <= link->b_age : link->b_age < 0 && link->a_row;
}

static enum style handshake_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return a_is_later(links_at(scene, row)) ? a_age_cell(scene, row, buf) : b_age_cell(scene, row, buf);
}

static uint64_t age_order(int64_t age)
{
    return age < 0 ? UINT64_MAX : (uint64_t)(age / CLOCK_MILLISECOND);
}

static uint64_t a_age_order(const struct scene *scene, uint32_t row)
{
    return age_order(links_at(scene, row)->a_age);
}

static uint64_t b_age_order(const struct scene *scene, uint32_t row)
{
    return age_order(links_at(scene, row)->b_age);
}

static uint64_t handshake_order(const struct scene *scene, uint32_t row)
{
    const struct link *link = links_at(scene, row);
    return age_order(a_is_later(link) ? link->a_age : link->b_age);
}

static enum style wrong_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = links_at(scene, row);
    const struct fault *fault = words_link_fault(scene, link);
    words_link_trouble(scene, link, buf);
    return fault ? look_of_severity(fault->severity).style : STYLE_DIM;
}

static enum style since_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct fault *fault = words_link_fault(scene, links_at(scene, row));
    if (fault && fault->since)
        words_age(scene->picture.now - fault->since, buf);
    return STYLE_DIM;
}

static uint64_t since_order(const struct scene *scene, uint32_t row)
{
    const struct link *link = links_at(scene, row);
    const struct fault *fault = scene_fault_of_link(scene, link->a, link->b); /* asked of every link: only what is found at once */
    return fault && fault->since ? UINT64_MAX - 1 - (uint64_t)(fault->since / CLOCK_SECOND) : UINT64_MAX;
}

static bool link_rate(const struct scene *scene, const struct link *link, bool a_to_b, double *rate)
{
    const struct trend *trend = scene->live ? live_link_trend(scene->live, link->a, link->b) : NULL;
    return trend && trend_get(trend, a_to_b ? TREND_A_TO_B_RATE : TREND_B_TO_A_RATE, 0, rate);
}

static enum style rate_cell(const struct scene *scene, const struct link *link, bool a_to_b, struct buf *buf)
{
    double rate;
    if (!link_rate(scene, link, a_to_b, &rate))
        return STYLE_DIM;
    words_rate_short(rate, buf);
    words_export(buf);
    buf_add_format(buf, "%.0f", rate);
    return rate >= 0.5 ? STYLE_TEXT : STYLE_DIM;
}

static enum style a_to_b_rate_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return rate_cell(scene, links_at(scene, row), true, buf);
}

static enum style b_to_a_rate_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return rate_cell(scene, links_at(scene, row), false, buf);
}

static uint64_t rate_order(const struct scene *scene, const struct link *link, bool a_to_b)
{
    double rate;
    return link_rate(scene, link, a_to_b, &rate) && rate >= 0 ? (uint64_t)rate : UINT64_MAX;
}

static uint64_t a_to_b_rate_order(const struct scene *scene, uint32_t row)
{
    return rate_order(scene, links_at(scene, row), true);
}

static uint64_t b_to_a_rate_order(const struct scene *scene, uint32_t row)
{
    return rate_order(scene, links_at(scene, row), false);
}

static enum style bytes_cell(const struct device_peer *held, bool received, struct buf *buf)
{
    if (!held)
        return STYLE_DIM;
    words_bytes(received ? held->rx_bytes : held->tx_bytes, buf);
    words_export(buf);
    buf_add_format(buf, "%llu", (unsigned long long)(received ? held->rx_bytes : held->tx_bytes));
    return STYLE_TEXT;
}

static uint64_t bytes_order(const struct device_peer *held, bool received)
{
    return !held ? UINT64_MAX : received ? held->rx_bytes : held->tx_bytes;
}

#define BYTES_COLUMN(end, direction, received) \
    static enum style end##_##direction##_cell(const struct scene *scene, uint32_t row, struct buf *buf) \
    { \
        return bytes_cell(links_at(scene, row)->end##_row, received, buf); \
    } \
    static uint64_t end##_##direction##_order(const struct scene *scene, uint32_t row) \
    { \
        return bytes_order(links_at(scene, row)->end##_row, received); \
    }
BYTES_COLUMN(a, rx, true)
BYTES_COLUMN(a, tx, false)
BYTES_COLUMN(b, rx, true)
BYTES_COLUMN(b, tx, false)

static enum style endpoint_cell(const struct scene *scene, const struct device_peer *held, struct buf *buf)
{
    char text[ENDPOINT_TEXT_SIZE] = "";
    struct buf shown = BUF_EMPTY;
    if (held)
        endpoint_text(&held->endpoint, text);
    buf_add_text(buf, scene_text(scene, text, &shown));
    buf_free(&shown);
    return STYLE_DIM;
}

static enum style a_endpoint_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return endpoint_cell(scene, links_at(scene, row)->a_row, buf);
}

static enum style b_endpoint_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return endpoint_cell(scene, links_at(scene, row)->b_row, buf);
}

static enum style path_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    enum link_path path = links_at(scene, row)->path;
    buf_add_text(buf, link_path_text(path));
    return path == PATH_DIRECT ? STYLE_DIM : STYLE_TEXT;
}

static uint64_t path_order(const struct scene *scene, uint32_t row)
{
    return links_at(scene, row)->path;
}

static enum style rtt_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    int64_t rtt = links_at(scene, row)->rtt;
    words_milliseconds(rtt, buf);
    if (rtt >= 0) {
        words_export(buf);
        buf_add_format(buf, "%.3f", (double)rtt / 1e6);
    }
    return STYLE_TEXT;
}

static uint64_t rtt_order(const struct scene *scene, uint32_t row)
{
    int64_t rtt = links_at(scene, row)->rtt;
    return rtt < 0 ? UINT64_MAX : (uint64_t)(rtt / 1000);
}

static enum style group_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = links_at(scene, row);
    char *a = mem_text(scene_group(scene, link->a));
    const char *b = scene_group(scene, link->b);
    if (*a || *b)
        buf_add_format(buf, !strcmp(a, b) ? "%s" : "%s - %s", *a ? a : "none", *b ? b : "none");
    free(a);
    return STYLE_DIM;
}

const struct table_column links_columns[] = {
    {.name = "state", .title = "LINK", .help = "state", .cell = state_cell, .order = state_order},
    {.name = "a", .title = "A", .help = "the name of A", .width = 10, .most = 24, .cell = a_cell, .order = a_order},
    {.name = "a-to-b", .title = "A→B", .help = "does B hear A", .drop = 20, .cell = a_to_b_cell, .order = a_to_b_order},
    {.name = "b-to-a", .title = "B→A", .help = "does A hear B", .drop = 20, .cell = b_to_a_cell, .order = b_to_a_order},
    {.name = "b", .title = "B", .help = "the name of B", .width = 10, .most = 24, .cell = b_cell, .order = b_order},
    {.name = "handshake", .title = "AGE", .help = "the age of the last handshake", .width = 6, .right = true, .descending = true, .drop = 25, .cell = handshake_cell, .order = handshake_order},
    {.name = "since", .title = "SINCE", .help = "how long the fault is there", .right = true, .drop = 40, .cell = since_cell, .order = since_order},
    {.name = "a-to-b-rate", .title = "A→B/s", .help = "bytes per second from A to B", .width = 5, .right = true, .descending = true, .drop = 50, .cell = a_to_b_rate_cell, .order = a_to_b_rate_order},
    {.name = "b-to-a-rate", .title = "B→A/s", .help = "bytes per second from B to A", .width = 5, .right = true, .descending = true, .drop = 50, .cell = b_to_a_rate_cell, .order = b_to_a_rate_order},
    {.name = "rtt", .title = "RTT", .help = "the round trip", .right = true, .descending = true, .drop = 75, .cell = rtt_cell, .order = rtt_order},
    {.name = "a-age", .title = "AT A", .help = "the age of the handshake as A has it", .right = true, .descending = true, .drop = 60, .cell = a_age_cell, .order = a_age_order},
    {.name = "b-age", .title = "AT B", .help = "the age of the handshake as B has it", .right = true, .descending = true, .drop = 60, .cell = b_age_cell, .order = b_age_order},
    {.name = "path", .title = "PATH", .help = "the path", .drop = 70, .cell = path_cell, .order = path_order},
    {.name = "a-endpoint", .title = "A SEES B AT", .help = "the endpoint in A's row", .drop = 80, .cell = a_endpoint_cell},
    {.name = "b-endpoint", .title = "B SEES A AT", .help = "the endpoint in B's row", .drop = 80, .cell = b_endpoint_cell},
    {.name = "a-rx", .title = "A RX", .help = "what A received in all", .right = true, .descending = true, .drop = 90, .cell = a_rx_cell, .order = a_rx_order},
    {.name = "a-tx", .title = "A TX", .help = "what A sent in all", .right = true, .descending = true, .drop = 91, .cell = a_tx_cell, .order = a_tx_order},
    {.name = "b-rx", .title = "B RX", .help = "what B received in all", .right = true, .descending = true, .drop = 92, .hidden = true, .cell = b_rx_cell, .order = b_rx_order},
    {.name = "b-tx", .title = "B TX", .help = "what B sent in all", .right = true, .descending = true, .drop = 92, .hidden = true, .cell = b_tx_cell, .order = b_tx_order},
    {.name = "group", .title = "GROUP", .help = "the groups of both", .hidden = true, .drop = 30, .cell = group_cell},
    {.name = "wrong", .title = "WHAT IS WRONG", .help = "the worst fault that explains it", .width = 24, .drop = 22, .cell = wrong_cell},
    {0},
};
