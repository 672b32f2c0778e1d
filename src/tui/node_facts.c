/* What is known of a node: state, faults, how it is reached, interface, addresses, saved file; and its rates of the last hour. */
#include <stddef.h>
#include <string.h>

#include "fault_lines.h"
#include "node_view.h"
#include "plot.h"
#include "words.h"

/* The reading to show: the newest, or the last good one of a node that cannot be reached now. */
static const struct observation *reading(const struct scene *scene, size_t node, bool *old)
{
    const struct observation *seen = &scene->picture.observed->nodes[node];
    *old = false;
    if (seen->reach == REACH_OK)
        return seen;
    *old = true;
    return scene->picture.nodes ? scene->picture.nodes[node].last : NULL;
}

static const struct device *device_of(const struct scene *scene, size_t node, const struct observation *seen)
{
    const struct device *judged = scene->picture.diagnosis->nodes[node].device;
    return judged ? judged : seen ? observation_device(seen, scene->picture.mesh->nodes[node].interface) : NULL;
}

/* ---- heading ---------------------------------------------------------------------------------------------------- */

static int draw_heading(const struct scene *scene, size_t node, const struct area *area)
{
    const struct node_summary *summary = &scene->picture.diagnosis->nodes[node];
    struct look_of look = look_of_node(summary->state);
    struct buf text = BUF_EMPTY;
    const char *dot = area->surface->ascii ? " - " : " · ";
    area_glyph(area, 0, 0, look.style, look.glyph);
    int column = 2 + area_bold(area, 0, 2, STYLE_TITLE, scene_name(scene, node, &text)) + 2;
    column += area_bold(area, 0, column, look.style, node_state_text(summary->state));
    const char *group = scene_group(scene, node);
    if (group && *group)
        column += area_format(area, 0, column, STYLE_DIM, "%sgroup %s", dot, group);
    static const char *const roles[] = {"", "hub", "gateway", "relay"};
    if (scene->picture.mesh->nodes[node].role)
        column += area_format(area, 0, column, STYLE_DIM, "%s%s", dot, roles[scene->picture.mesh->nodes[node].role]);
    buf_clear(&text);
    words_bytes(summary->rx_bytes, &text);
    buf_add_text(&text, " in, ");
    words_bytes(summary->tx_bytes, &text);
    if (summary->device)
        area_format(area, 0, column, STYLE_DIM, "%s%zu of %zu rows live%s%s out", dot, summary->live, summary->rows, dot, buf_text(&text));
    buf_free(&text);
    return 1;
}

static int draw_unreached(const struct scene *scene, size_t node, const struct area *area, int row)
{
    const struct observation *seen = &scene->picture.observed->nodes[node];
    const struct live_node *beside = scene->picture.nodes ? &scene->picture.nodes[node] : NULL;
    struct buf text = BUF_EMPTY, shown = BUF_EMPTY;
    if (seen->reach == REACH_OK && !(beside && beside->silent))
        return 0;
    if (seen->reach == REACH_OK)
        buf_add_format(&text, "Logged in, but %s.", beside->phase);
    else if (beside && beside->waiting)
        buf_add_format(&text, "Not answered yet%s%s", *beside->phase ? ": " : ".", beside->phase);
    else
        buf_add_format(&text, "%s: %s", seen->reach == REACH_GARBLED ? "It answered, and the answer cannot be used" : "Cannot be reached",
                       seen->error ? scene_text(scene, seen->error, &shown) : "no reason known");
    int used = area_paragraph(area, row, 0, area->columns, 3, beside && beside->waiting ? STYLE_INFO : STYLE_UNKNOWN, buf_text(&text), true);
    buf_clear(&text);
    if (beside && beside->seen_at) {
        buf_add_text(&text, "Last seen ");
        words_since(beside->seen_at, scene->picture.now, &text);
        buf_add_text(&text, beside->last || seen->reach == REACH_OK ? ". What stands below is from then: old." : ".");
        used += area_paragraph(area, row + used, 0, area->columns, 2, STYLE_OLD, buf_text(&text), true);
    } else if (beside && !beside->waiting) {
        used += area_paragraph(area, row + used, 0, area->columns, 2, STYLE_OLD, "Not seen since the deck was opened.", true);
    }
    buf_free(&text);
    buf_free(&shown);
    return used;
}

static int draw_faults(const struct scene *scene, size_t node, const struct area *area, int row, bool all)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    int used = 0;
    size_t left_out = 0, count = 0;
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        if (!fault_is_of_node(fault, node))
            continue;
        if (count++ < (all ? 8 : 2))
            used += fault_lines_draw(scene, fault, area, row + used, &(struct fault_extent){.evidence = all ? 4 : 0, .remedies = all ? 12 : 3, .a = SIZE_MAX, .b = SIZE_MAX});
        else
            left_out++;
    }
    if (left_out)
        used += area_format(area, row + used, 2, STYLE_DIM, "and %zu more: the screen Faults has them all", left_out) > 0;
    return used;
}

/* ---- facts ------------------------------------------------------------------------------------------------------ */

struct fact_source {
    const struct scene *scene;
    size_t node;
    const struct mesh_node *wanted;
    const struct observation *seen;   /* or NULL */
    const struct device *device;      /* or NULL */
};
typedef void add_fact(const struct fact_source *from, struct buf *buf);

static void add_shown(const struct fact_source *from, const char *text, struct buf *buf)
{
    struct buf shown = BUF_EMPTY;
    buf_add_text(buf, scene_text(from->scene, text, &shown));
    buf_free(&shown);
}

static void add_ssh(const struct fact_source *from, struct buf *buf)
{
    add_shown(from, from->wanted->ssh ? from->wanted->ssh : "none: not reached by SSH", buf);
    if (from->wanted->ssh && from->scene->live && from->seen)
        buf_add_text(buf, live_is_replay(from->scene->live) ? "" : live_is_root(from->scene->live, from->node) ? ", as root"
                          : from->seen->privileged ? ", not root, with sudo" : ", not root");
}

static void add_interface(const struct fact_source *from, struct buf *buf)
{
    const char *name = from->device ? from->device->name : from->wanted->interface;
    const struct observed_link *link = from->seen && name ? observation_link(from->seen, name) : NULL;
    buf_add_text(buf, name ? name : "");
    if (from->device)
        buf_add_format(buf, ", %s engine", engine_kind_text(from->device->engine));
    if (from->device)
        buf_add_format(buf, ", UDP %u", from->device->listen_port);
    if (link)
        buf_add_format(buf, ", %s, MTU %u", link->up ? "up" : "stopped", link->mtu);
    else if (from->seen && !from->device)
        buf_add_text(buf, " is not there");
}

static void add_key(const struct fact_source *from, struct buf *buf)
{
    char text[KEY_TEXT_SIZE];
    if (from->device && from->device->has_private)
        key_text(&from->device->public_key, text);
    else if (from->wanted->has_public_key)
        key_text(&from->wanted->public_key, text);
    else
        return;
    if (from->scene->privacy)
        buf_add_text(buf, "hidden");
    else
        buf_add_text(buf, text);
    if (!from->device || !from->device->has_private)
        buf_add_text(buf, " (mesh file)");
}

static void add_addresses(const struct fact_source *from, struct buf *buf)
{
    const struct observed_link *link = from->seen && from->device ? observation_link(from->seen, from->device->name) : NULL;
    const struct prefix *list = link ? link->addresses : from->wanted->addresses;
    size_t count = link ? link->address_count : from->wanted->address_count;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < count && i < 8; i++) {
        prefix_text(&list[i], text);
        buf_add_text(buf, i ? ", " : "");
        add_shown(from, text, buf);
    }
}

static void add_endpoint(const struct fact_source *from, struct buf *buf)
{
    struct buf text = BUF_EMPTY;
    if (from->wanted->endpoint_host)
        buf_add_format(&text, strchr(from->wanted->endpoint_host, ':') ? "[%s]:%u" : "%s:%u", from->wanted->endpoint_host, from->wanted->endpoint_port);
    else if (from->scene->picture.mesh->from_file)
        buf_add_text(&text, "none: behind NAT");
    add_shown(from, buf_text(&text), buf);
    buf_free(&text);
}

static void add_saved(const struct fact_source *from, struct buf *buf)
{
    const char *name = from->device ? from->device->name : from->wanted->interface;
    const struct observed_config *config = from->seen && name ? observation_config(from->seen, name) : NULL;
    if (!from->seen)
        return;
    if (!config) {
        buf_add_text(buf, "none: it would be gone after a reboot");
        return;
    }
    buf_add_format(buf, "%s, mode %04o, ", config->path, config->mode & 07777U);
    if (config->error)
        add_shown(from, config->error, buf);
    else
        words_many(observation_saved(from->seen, config)->peer_count, "row", "rows", buf);
}

static void add_system(const struct fact_source *from, struct buf *buf)
{
    if (!from->seen)
        return;
    if (from->seen->hostname && !from->scene->privacy)
        buf_add_format(buf, "%s, ", from->seen->hostname);
    if (from->seen->kernel)
        buf_add_format(buf, "kernel %s, ", from->seen->kernel);
    if (from->seen->version)
        buf_add_format(buf, "helper %s", from->seen->version);
    else
        buf_add_text(buf, "looked at without a helper");
}

static void add_clock(const struct fact_source *from, struct buf *buf)
{
    if (!from->seen || from->seen->clock_uncertainty == INT64_MAX)
        return;
    words_offset(from->seen->clock_offset, buf);
    buf_add_text(buf, " from this machine's, give or take ");
    words_milliseconds(from->seen->clock_uncertainty, buf);
}

static void add_seen_from(const struct fact_source *from, struct buf *buf)
{
    if (!from->seen)
        return;
    if (from->seen->reached_at) {
        buf_add_text(buf, "at ");
        add_shown(from, from->seen->reached_at, buf);
    }
    if (from->seen->seen_from) {
        buf_add_text(buf, from->seen->reached_at ? ", sees the deck as " : "sees the deck as ");
        add_shown(from, from->seen->seen_from, buf);
    }
}

static void add_skipped(const struct fact_source *from, struct buf *buf)
{
    for (size_t i = 0; from->seen && i < from->seen->skipped_count && i < 4; i++) {
        buf_add_text(buf, i ? "; " : "");
        add_shown(from, from->seen->skipped[i], buf);
    }
}

/* What an engine of wgdeck drops: the counters that are not zero, and who knocked without a row. */
static void add_dropped(const struct fact_source *from, struct buf *buf)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
#define ROW(name, words) {#name, offsetof(struct engine_counters, name)},
        ENGINE_COUNTERS(ROW)
#undef ROW
    };
    const struct observed_engine *engine = from->seen && from->device ? observation_engine(from->seen, from->device->name) : NULL;
    for (size_t i = 0; engine && i < sizeof rows / sizeof *rows; i++) {
        uint64_t count = *(const uint64_t *)(const void *)((const char *)&engine->counters + rows[i].offset);
        if (count)
            buf_add_format(buf, "%s%s %llu", buf->length ? ", " : "", rows[i].name, (unsigned long long)count);
    }
    for (size_t i = 0; engine && i < engine->stranger_count && i < 3; i++) {
        char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
        key_text(&engine->strangers[i].public_key, key);
        endpoint_text(&engine->strangers[i].endpoint, endpoint);
        buf_add_format(buf, "%sstranger %.8s… from ", buf->length ? "; " : "", from->scene->privacy ? "hidden" : key);
        add_shown(from, endpoint, buf);
    }
}

static const struct { const char *label; add_fact *add; } facts[] = {
    {"ssh", add_ssh},           {"interface", add_interface}, {"addresses", add_addresses}, {"endpoint", add_endpoint}, {"public key", add_key},
    {"saved", add_saved},       {"system", add_system},       {"clock", add_clock},         {"reached", add_seen_from}, {"not seen", add_skipped},
    {"dropped", add_dropped},
};

enum { FACT_LABEL = 12, FACT_TWO_COLUMNS = 128 };

static int draw_fact_list(const struct scene *scene, size_t node, const struct area *area, int row)
{
    bool old;
    struct fact_source from = {.scene = scene, .node = node, .wanted = &scene->picture.mesh->nodes[node], .seen = reading(scene, node, &old)};
    from.device = device_of(scene, node, from.seen);
    struct buf text = BUF_EMPTY;
    int sides = area->columns >= FACT_TWO_COLUMNS ? 2 : 1, width = area->columns / sides, used[2] = {0, 0}, side = 0;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        buf_clear(&text);
        facts[i].add(&from, &text);
        if (text.length == 0)
            continue;
        int label = area->columns < 40 ? 11 : FACT_LABEL;
        area_text(area, row + used[side], side * width, STYLE_DIM, facts[i].label);
        int lines = area_paragraph(area, row + used[side], side * width + label, width - label - 1, 3, old ? STYLE_OLD : STYLE_TEXT, buf_text(&text), true);
        used[side] += lines > 0 ? lines : 1;
        side = (side + 1) % sides;
    }
    buf_free(&text);
    return used[0] > used[1] ? used[0] : used[1];
}

int node_draw_facts(const struct scene *scene, size_t node, const struct area *area, bool all)
{
    int row = draw_heading(scene, node, area);
    row += draw_unreached(scene, node, area, row);
    row += draw_faults(scene, node, area, row, all);
    if (all)
        row++;
    return row + draw_fact_list(scene, node, area, row);
}

/* ---- plots ------------------------------------------------------------------------------------------------------ */

static void add_rate(double value, struct buf *buf)
{
    words_rate(value, buf);
}

static void draw_plot(const struct scene *scene, const struct trend *trend, enum trend_series series, enum style style, const char *title, const struct area *area)
{
    area_line(area, 0, 0, area->columns, STYLE_BORDER);
    area_format(area, 0, 2, style, " %s ", title);
    struct area curve = area_part(area, 1, 0, area->rows - 2, area->columns), times = area_part(area, area->rows - 1, 0, 1, area->columns);
    size_t span = plot_span(trend);
    struct plot plot = {.trend = trend, .series = series, .style = style, .may_be_logarithmic = true, .span = span, .now = scene->picture.now, .label = add_rate};
    plot_draw(&plot, &curve);
    plot_times(span, scene->picture.now, &times);
}

void node_draw_plots(const struct scene *scene, size_t node, const struct area *area, int row, int rows)
{
    const struct trend *trend = scene->live ? live_node_trend(scene->live, node) : NULL;
    if (!trend)
        return;
    bool beside = area->columns >= 100;
    int width = beside ? (area->columns - 2) / 2 : area->columns, height = beside ? rows : rows / 2;
    struct area one = area_part(area, row, 0, height, width), other = area_part(area, beside ? row : row + height, beside ? width + 2 : 0, height, width);
    draw_plot(scene, trend, TREND_NODE_RX_RATE, STYLE_PLOT_A, "received, all links", &one);
    draw_plot(scene, trend, TREND_NODE_TX_RATE, STYLE_PLOT_B, "sent, all links", &other);
}
