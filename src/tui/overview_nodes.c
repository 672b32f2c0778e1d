/* Nodes as rows of the overview: those that are not well first. */
#include <string.h>

#include "overview.h"
#include "words.h"

static const struct live_node *live_of(const struct scene *scene, uint32_t node)
{
    return scene->picture.nodes ? &scene->picture.nodes[node] : NULL;
}

static bool is_waiting(const struct scene *scene, uint32_t node)
{
    const struct live_node *live = live_of(scene, node);
    return live && live->waiting && scene->picture.observed->nodes[node].reach == REACH_UNKNOWN;
}

static const struct observation *reading_of(const struct scene *scene, uint32_t node)
{
    const struct observation *now = &scene->picture.observed->nodes[node];
    const struct live_node *live = live_of(scene, node);
    return now->reach == REACH_OK ? now : live ? live->last : NULL;
}

static const struct node_summary *summary_of(const struct scene *scene, uint32_t node)
{
    return &scene->picture.diagnosis->nodes[node];
}

/* How much a node wants to be looked at: 0 most. */
enum { URGENCY_DOWN, URGENCY_FAULT, URGENCY_UNREACHED, URGENCY_DEGRADED, URGENCY_WARNING, URGENCY_WAITING, URGENCY_WELL, URGENCIES };
static unsigned urgency(const struct scene *scene, uint32_t node)
{
    const struct fault *fault = scene_fault_of_node(scene, node);
    if (is_waiting(scene, node))
        return URGENCY_WAITING;
    switch (summary_of(scene, node)->state) {
    case NODE_DOWN:
        return URGENCY_DOWN;
    case NODE_UNREACHABLE:
        return URGENCY_UNREACHED;
    default:
        if (fault && fault->severity == SEVERITY_ERROR)
            return URGENCY_FAULT;
        if (summary_of(scene, node)->state == NODE_DEGRADED)
            return URGENCY_DEGRADED;
        return scene_is_silent(scene, node) || (fault && fault->severity == SEVERITY_WARNING) ? URGENCY_WARNING : URGENCY_WELL;
    }
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static struct look_of node_look(const struct scene *scene, uint32_t node)
{
    if (is_waiting(scene, node))
        return (struct look_of){GLYPH_ELLIPSIS, STYLE_DIM};
    if (scene_is_silent(scene, node) && summary_of(scene, node)->state == NODE_UP)
        return (struct look_of){GLYPH_ELLIPSIS, STYLE_WARNING};
    return look_of_node(summary_of(scene, node)->state);
}

static enum style name_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    struct buf name = BUF_EMPTY;
    struct look_of look = node_look(scene, node);
    words_style(look.style, buf);
    words_glyph(look.glyph, buf);
    words_style(scene->picture.old ? STYLE_OLD : look.style == STYLE_GOOD ? STYLE_TEXT : look.style, buf);
    buf_add_format(buf, " %s", scene_name(scene, node, &name));
    buf_free(&name);
    return STYLE_TEXT;
}

static uint64_t name_order(const struct scene *scene, uint32_t node)
{
    return words_name_rank(scene, node);
}

static enum style group_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    buf_add_text(buf, scene_group(scene, node));
    return STYLE_DIM;
}

/* Groups in the order of the file: that of the first node that has the name. */
static uint64_t group_order(const struct scene *scene, uint32_t node)
{
    const struct mesh *mesh = scene->picture.mesh;
    const char *group = mesh->nodes[node].group;
    if (!group)
        return UINT64_MAX;
    for (size_t i = 0; i < node; i++)
        if (mesh->nodes[i].group && !strcmp(mesh->nodes[i].group, group))
            return i;
    return node;
}

static enum style state_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    buf_add_text(buf, is_waiting(scene, node) ? "waiting" : scene_is_silent(scene, node) ? "silent" : node_state_text(summary_of(scene, node)->state));
    return node_look(scene, node).style;
}

static uint64_t state_order(const struct scene *scene, uint32_t node)
{
    return urgency(scene, node);
}

/* What its session does while it is not open, why it could not be looked at, or the worst fault that names it. */
static enum style wrong_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct observation *seen = &scene->picture.observed->nodes[node];
    const struct fault *fault = scene_fault_of_node(scene, node);
    const struct live_node *live = live_of(scene, node);
    if (is_waiting(scene, node)) {
        buf_add_text(buf, *live->phase ? live->phase : "waiting for its answer");
        return STYLE_DIM;
    }
    if (seen->reach != REACH_OK && seen->error) {
        struct buf text = BUF_EMPTY;
        buf_add_text(buf, scene_text(scene, seen->error, &text));
        buf_free(&text);
        return STYLE_UNKNOWN;
    }
    if (scene_is_silent(scene, node)) {
        buf_add_text(buf, live->phase);
        return STYLE_WARNING;
    }
    if (fault) {
        words_fault_beside(scene, fault, node, buf);
        return look_of_severity(fault->severity).style;
    }
    if (live)
        buf_add_text(buf, live->phase);
    return STYLE_DIM;
}

static enum style since_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct fault *fault = scene_fault_of_node(scene, node);
    int64_t since = fault ? words_fault_since(scene, fault) : 0;
    if (since)
        words_age(scene->picture.now - since, buf);
    return STYLE_DIM;
}

static uint64_t since_order(const struct scene *scene, uint32_t node)
{
    const struct fault *fault = scene_fault_of_node(scene, node);
    int64_t since = fault ? words_fault_since(scene, fault) : 0;
    return since > 0 ? UINT64_MAX - 1 - (uint64_t)since : UINT64_MAX;
}

static enum style links_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct node_summary *summary = summary_of(scene, node);
    if (summary->device)
        buf_add_format(buf, "%zu/%zu", summary->live, summary->rows);
    return summary->state == NODE_UP ? STYLE_TEXT : STYLE_WARNING;
}

static uint64_t links_order(const struct scene *scene, uint32_t node)
{
    return summary_of(scene, node)->device ? summary_of(scene, node)->live : UINT64_MAX;
}

static bool node_rate(const struct scene *scene, uint32_t node, enum trend_series series, double *rate)
{
    const struct trend *trend = scene->live ? live_node_trend(scene->live, node) : NULL;
    return trend && trend_get(trend, series, 0, rate);
}

static enum style rate_cell(const struct scene *scene, uint32_t node, enum trend_series series, struct buf *buf)
{
    double rate;
    if (!node_rate(scene, node, series, &rate))
        return STYLE_DIM;
    words_rate_short(rate, buf);
    words_export(buf);
    buf_add_format(buf, "%.0f", rate);
    return rate >= 0.5 ? STYLE_TEXT : STYLE_DIM;
}

static uint64_t rate_order(const struct scene *scene, uint32_t node, enum trend_series series)
{
    double rate;
    return node_rate(scene, node, series, &rate) && rate >= 0 ? (uint64_t)rate : UINT64_MAX;
}

static enum style rx_rate_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    return rate_cell(scene, node, TREND_NODE_RX_RATE, buf);
}

static enum style tx_rate_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    return rate_cell(scene, node, TREND_NODE_TX_RATE, buf);
}

static uint64_t rx_rate_order(const struct scene *scene, uint32_t node)
{
    return rate_order(scene, node, TREND_NODE_RX_RATE);
}

static uint64_t tx_rate_order(const struct scene *scene, uint32_t node)
{
    return rate_order(scene, node, TREND_NODE_TX_RATE);
}

static enum style bytes_cell(const struct scene *scene, uint32_t node, uint64_t bytes, struct buf *buf)
{
    if (summary_of(scene, node)->device) {
        words_bytes(bytes, buf);
        words_export(buf);
        buf_add_format(buf, "%llu", (unsigned long long)bytes);
    }
    return STYLE_TEXT;
}

static enum style rx_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    return bytes_cell(scene, node, summary_of(scene, node)->rx_bytes, buf);
}

static enum style tx_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    return bytes_cell(scene, node, summary_of(scene, node)->tx_bytes, buf);
}

static uint64_t rx_order(const struct scene *scene, uint32_t node)
{
    return summary_of(scene, node)->device ? summary_of(scene, node)->rx_bytes : UINT64_MAX;
}

static uint64_t tx_order(const struct scene *scene, uint32_t node)
{
    return summary_of(scene, node)->device ? summary_of(scene, node)->tx_bytes : UINT64_MAX;
}

static enum style engine_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct device *device = summary_of(scene, node)->device;
    if (device)
        buf_add_text(buf, engine_kind_text(device->engine));
    return STYLE_DIM;
}

static uint64_t engine_order(const struct scene *scene, uint32_t node)
{
    const struct device *device = summary_of(scene, node)->device;
    return device ? device->engine : UINT64_MAX;
}

static enum style interface_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct device *device = summary_of(scene, node)->device;
    if (device)
        buf_add_text(buf, device->name);
    return STYLE_DIM;
}

static void add_shown(const struct scene *scene, const char *text, struct buf *buf)
{
    struct buf shown = BUF_EMPTY;
    buf_add_text(buf, scene_text(scene, text, &shown));
    buf_free(&shown);
}

/* Its address in the mesh: the file's, else what its interface has. */
static enum style address_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct mesh_node *of = &scene->picture.mesh->nodes[node];
    const struct device *device = summary_of(scene, node)->device;
    const struct observation *seen = reading_of(scene, node);
    const struct observed_link *link = device && seen ? observation_link(seen, device->name) : NULL;
    char text[ADDRESS_TEXT_SIZE];
    if (!of->address_count && (!link || !link->address_count))
        return STYLE_DIM;
    address_text(of->address_count ? &of->addresses[0].address : &link->addresses[0].address, text);
    add_shown(scene, text, buf);
    return STYLE_TEXT;
}

static uint64_t address_order(const struct scene *scene, uint32_t node)
{
    const struct mesh_node *of = &scene->picture.mesh->nodes[node];
    if (!of->address_count)
        return UINT64_MAX;
    const struct address *address = &of->addresses[0].address;
    size_t from = address->family == AF_INET ? 0 : 9; /* the low bytes tell nodes of one network apart */
    uint64_t order = 0;
    for (size_t i = 0; i < 7; i++)
        order = order << 8 | (from + i < 16 ? address->bytes[from + i] : 0);
    return order;
}

static enum style endpoint_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct mesh_node *of = &scene->picture.mesh->nodes[node];
    if (of->endpoint_host) {
        bool six = strchr(of->endpoint_host, ':') != NULL;
        char text[300];
        snprintf(text, sizeof text, six ? "[%s]:%u" : "%s:%u", of->endpoint_host, of->endpoint_port);
        add_shown(scene, text, buf);
    } else if (scene->picture.mesh->from_file)
        buf_add_text(buf, "behind NAT");
    return STYLE_DIM;
}

/* A clock that is off by more than a second is worth a colour: handshakes are told apart by it. */
static enum style clock_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct observation *seen = reading_of(scene, node);
    if (!seen || seen->clock_uncertainty == INT64_MAX)
        return STYLE_DIM;
    int64_t offset = seen->clock_offset, size = offset < 0 ? -offset : offset;
    words_offset(size <= seen->clock_uncertainty ? 0 : offset, buf);
    words_export(buf);
    buf_add_format(buf, "%.3f", (double)offset / 1e9);
    return size > seen->clock_uncertainty + 2 * CLOCK_SECOND ? STYLE_WARNING : STYLE_DIM;
}

static uint64_t clock_order(const struct scene *scene, uint32_t node)
{
    const struct observation *seen = reading_of(scene, node);
    if (!seen || seen->clock_uncertainty == INT64_MAX)
        return UINT64_MAX;
    return (uint64_t)(seen->clock_offset < 0 ? -seen->clock_offset : seen->clock_offset);
}

static int64_t seen_at(const struct scene *scene, uint32_t node)
{
    const struct live_node *live = live_of(scene, node);
    const struct observation *seen = &scene->picture.observed->nodes[node];
    return live && live->seen_at ? live->seen_at : seen->reach == REACH_OK ? seen->at : 0;
}

/* Younger than two looks is now: seconds that tick say nothing, and over a slow line they would fill it. */
static int64_t fresh(const struct scene *scene)
{
    double interval = scene->live ? live_interval(scene->live) : 2;
    return (int64_t)((2 * interval + 1) * (double)CLOCK_SECOND);
}

static enum style seen_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    int64_t at = seen_at(scene, node), age = scene->picture.now - at;
    if (!at) {
        buf_add_text(buf, is_waiting(scene, node) ? "" : "never");
        return STYLE_UNKNOWN;
    }
    words_age(age < fresh(scene) ? 0 : age, buf);
    words_export(buf);
    buf_add_format(buf, "%.0f", (double)age / 1e9);
    return scene->picture.observed->nodes[node].reach == REACH_OK && !scene->picture.old ? STYLE_DIM : STYLE_OLD;
}

static uint64_t seen_order(const struct scene *scene, uint32_t node)
{
    int64_t at = seen_at(scene, node);
    return at > 0 ? UINT64_MAX - 1 - (uint64_t)at : UINT64_MAX;
}

static enum style how_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct observation *seen = reading_of(scene, node);
    if (seen)
        buf_add_text(buf, !seen->privileged ? "no root" : seen->version ? "helper" : "bare");
    return seen && !seen->privileged ? STYLE_WARNING : STYLE_DIM;
}

static enum style ssh_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    add_shown(scene, scene->picture.mesh->nodes[node].ssh, buf);
    return STYLE_DIM;
}

static enum style kernel_cell(const struct scene *scene, uint32_t node, struct buf *buf)
{
    const struct observation *seen = reading_of(scene, node);
    if (seen)
        add_shown(scene, seen->kernel, buf);
    return STYLE_DIM;
}

static const struct table_column columns[] = {
    {.name = "node", .title = "NODE", .help = "name", .most = 28, .cell = name_cell, .order = name_order},
    {.name = "state", .title = "STATE", .help = "state", .drop = 25, .cell = state_cell, .order = state_order},
    {.name = "links", .title = "LIVE", .help = "live links", .right = true, .drop = 10, .cell = links_cell, .order = links_order},
    {.name = "rx-rate", .title = "RX/s", .help = "bytes received per second", .right = true, .descending = true, .width = 5, .drop = 40, .cell = rx_rate_cell, .order = rx_rate_order},
    {.name = "tx-rate", .title = "TX/s", .help = "bytes sent per second", .right = true, .descending = true, .width = 5, .drop = 40, .cell = tx_rate_cell, .order = tx_rate_order},
    {.name = "seen", .title = "SEEN", .help = "how long ago it was seen", .right = true, .width = 6, .drop = 30, .cell = seen_cell, .order = seen_order},
    {.name = "group", .title = "GROUP", .help = "group", .most = 16, .drop = 50, .cell = group_cell, .order = group_order},
    {.name = "address", .title = "ADDRESS", .help = "address in the mesh", .drop = 60, .cell = address_cell, .order = address_order},
    {.name = "engine", .title = "ENGINE", .help = "engine", .drop = 70, .cell = engine_cell, .order = engine_order},
    {.name = "endpoint", .title = "ENDPOINT", .help = "endpoint", .most = 40, .drop = 80, .cell = endpoint_cell},
    {.name = "clock", .title = "CLOCK", .help = "how far its clock is off", .right = true, .descending = true, .drop = 75, .cell = clock_cell, .order = clock_order},
    {.name = "how", .title = "LOOK", .help = "how it is looked at", .drop = 85, .cell = how_cell},
    {.name = "since", .title = "SINCE", .help = "how long the fault is there", .right = true, .drop = 45, .hidden = true, .cell = since_cell, .order = since_order},
    {.name = "rx", .title = "RX", .help = "bytes received in all", .right = true, .descending = true, .drop = 90, .hidden = true, .cell = rx_cell, .order = rx_order},
    {.name = "tx", .title = "TX", .help = "bytes sent in all", .right = true, .descending = true, .drop = 90, .hidden = true, .cell = tx_cell, .order = tx_order},
    {.name = "interface", .title = "IF", .help = "interface", .drop = 90, .hidden = true, .cell = interface_cell},
    {.name = "ssh", .title = "SSH", .help = "SSH target", .drop = 90, .hidden = true, .cell = ssh_cell},
    {.name = "kernel", .title = "KERNEL", .help = "kernel", .drop = 90, .hidden = true, .cell = kernel_cell},
    {.name = "wrong", .title = "WHAT IS WRONG", .help = "the worst fault that names it", .width = 44, .cell = wrong_cell},
    {0},
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static size_t rows_most(const struct scene *scene, const void *view)
{
    (void)view;
    return scene->picture.mesh->node_count;
}

static size_t rows(const struct scene *scene, const void *view, uint32_t *out, size_t most)
{
    (void)view;
    size_t count = 0;
    for (unsigned level = 0; level < URGENCIES; level++)
        for (size_t i = 0; i < scene->picture.mesh->node_count && count < most; i++)
            if (urgency(scene, (uint32_t)i) == level && scene_shows_node(scene, i))
                out[count++] = (uint32_t)i;
    return count;
}

static void row_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    (void)scene;
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = row, .b = SIZE_MAX};
}

static bool row_is_well(const struct scene *scene, uint32_t row)
{
    return urgency(scene, row) >= URGENCY_WAITING;
}

const struct table_list overview_nodes = {
    .columns = columns,
    .rows = rows,
    .rows_most = rows_most,
    .subject = row_subject,
    .is_well = row_is_well,
    .empty = "The mesh has no nodes yet.",
};
