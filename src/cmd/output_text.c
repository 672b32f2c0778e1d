/* status for people: the verdict, the nodes, then only the links and faults that are worth looking at, worst first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "output.h"
#include "output_doctor.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    NODES_BEFORE_FOLDING = 40, /* more healthy nodes than this take one line together, unless all are asked for */
    LINKS_SHOWN = 20,
};
#define CLOCK_SKEW_SHOWN (2 * CLOCK_SECOND)

static const enum mark verdict_marks[] = {[VERDICT_OK] = MARK_GOOD, [VERDICT_WARNING] = MARK_WARNING, [VERDICT_FAULT] = MARK_BAD,
                                          [VERDICT_UNKNOWN] = MARK_UNKNOWN};
static const enum mark node_marks[] = {[NODE_UP] = MARK_GOOD, [NODE_DEGRADED] = MARK_WARNING, [NODE_DOWN] = MARK_BAD,
                                       [NODE_UNREACHABLE] = MARK_UNKNOWN};
static const enum mark link_marks[] = {[LINK_LIVE] = MARK_GOOD, [LINK_LATE] = MARK_WARNING, [LINK_IDLE] = MARK_NONE, [LINK_DEAD] = MARK_BAD,
                                       [LINK_NEVER] = MARK_BAD, [LINK_HALF] = MARK_BAD, [LINK_UNKNOWN] = MARK_UNKNOWN};
static const enum mark severity_marks[] = {[SEVERITY_INFO] = MARK_NONE, [SEVERITY_WARNING] = MARK_WARNING, [SEVERITY_ERROR] = MARK_BAD};

void text_headline(const struct report *report, struct buf *buf)
{
    struct buf line = BUF_EMPTY, filled = BUF_EMPTY;
    enum mark mark = verdict_marks[report_verdict(report)];
    report_headline(report, &line);
    add_filled(&filled, buf_text(&line), 2, 2, report->terminal->width);
    filled.data[--filled.length] = '\0'; /* the end of the line is not bold */
    add_marked(buf, report->terminal, mark, mark_glyph(report->terminal, mark));
    buf_add_char(buf, ' ');
    add_bold(buf, report->terminal, buf_text(&filled));
    buf_add_char(buf, '\n');
    buf_free(&filled);
    buf_free(&line);
}

enum mark text_fault_mark(const struct fault *fault)
{
    return severity_marks[fault->severity];
}

/* The first mesh address of the node: what the interface has, else what the mesh file wants. */
static void node_address(const struct report *report, size_t node, char text[static PREFIX_TEXT_SIZE])
{
    const struct device *device = report->diagnosis->nodes[node].device;
    const struct observed_link *link = device ? observation_link(&report->observed->nodes[node], device->name) : NULL;
    text[0] = '\0';
    if (link && link->address_count)
        prefix_text(&link->addresses[0], text);
    else if (report->mesh->nodes[node].address_count)
        address_text(&report->mesh->nodes[node].addresses[0].address, text);
}

static void node_note(const struct report *report, size_t node, struct buf *note)
{
    const struct observation *seen = &report->observed->nodes[node];
    const struct node_summary *summary = &report->diagnosis->nodes[node];
    if (seen->reach == REACH_UNKNOWN)
        buf_add_text(note, seen->error ? seen->error : "not looked at");
    else if (seen->error)
        buf_add_text(note, seen->error);
    else if (!summary->device && !seen->privileged)
        buf_add_text(note, "its WireGuard cannot be read without root");
    else if (!summary->device)
        buf_add_text(note, "no WireGuard interface");
    if (seen->clock_uncertainty >= 0 && llabs(seen->clock_offset) > CLOCK_SKEW_SHOWN + seen->clock_uncertainty / 2 &&
        seen->clock_uncertainty < CLOCK_SKEW_SHOWN) {
        char age[CLOCK_TEXT_SIZE];
        clock_age_text(llabs(seen->clock_offset), age);
        buf_add_format(note, "%sclock %s %s", note->length ? "; " : "", age, seen->clock_offset > 0 ? "ahead" : "behind");
    }
    if (seen->reach == REACH_OK && !seen->privileged && summary->device)
        buf_add_format(note, "%snot seen as root", note->length ? "; " : "");
}

static void add_node_row(const struct report *report, size_t node, struct columns *columns)
{
    const struct node_summary *summary = &report->diagnosis->nodes[node];
    const struct device *device = summary->device;
    char address[PREFIX_TEXT_SIZE], live[32] = "", rx[BYTES_TEXT_SIZE] = "", tx[BYTES_TEXT_SIZE] = "";
    struct buf note = BUF_EMPTY;
    node_address(report, node, address);
    node_note(report, node, &note);
    if (device) {
        snprintf(live, sizeof live, "%zu/%zu", summary->live, summary->rows);
        bytes_text(summary->rx_bytes, rx);
        bytes_text(summary->tx_bytes, tx);
    }
    const char *cells[] = {report->mesh->nodes[node].name, node_state_text(summary->state), device ? device->name : "",
                           device ? engine_kind_text(device->engine) : "", address, live, rx, tx, buf_text(&note)};
    columns_row(columns, node_marks[summary->state], cells);
    buf_free(&note);
}

/* Is there anything about the node that its row would tell? */
static bool node_is_fine(const struct report *report, size_t node)
{
    struct buf note = BUF_EMPTY;
    node_note(report, node, &note);
    bool fine = report->diagnosis->nodes[node].state == NODE_UP && !note.length;
    buf_free(&note);
    return fine;
}

static void add_folded_nodes(const struct report *report, const char **names, size_t count, bool others, struct buf *buf)
{
    struct buf line = BUF_EMPTY;
    buf_add_format(&line, "%zu%s nodes up: ", count, others ? " other" : "");
    add_folded_names(&line, names, count);
    add_marked(buf, report->terminal, MARK_GOOD, mark_glyph(report->terminal, MARK_GOOD));
    buf_add_char(buf, ' ');
    for (size_t i = 0; i < line.length; i++) /* names divided by commas: let lines break behind them */
        if (line.data[i] == ',')
            line.data[i] = '\001';
    struct buf spaced = BUF_EMPTY;
    for (size_t i = 0; i < line.length; i++)
        buf_add_text(&spaced, line.data[i] == '\001' ? ", " : (char[]){line.data[i], '\0'});
    add_filled(buf, buf_text(&spaced), 2, 2, report->terminal->width);
    buf_free(&spaced);
    buf_free(&line);
}

static void add_nodes(const struct report *report, struct buf *buf)
{
    struct columns columns = {.count = 9,
                              .titles = {"NODE", "STATE", "IF", "ENGINE", "ADDRESS", "LIVE", "RX", "TX", ""},
                              .right = {[5] = true, [6] = true, [7] = true}};
    size_t node_count = report->mesh->node_count, fine = 0;
    const char **names = mem_alloc(node_count, sizeof *names);
    for (size_t i = 0; i < node_count; i++)
        if (report_shows_node(report, i) && node_is_fine(report, i))
            names[fine++] = report->mesh->nodes[i].name;
    bool fold = !report->all && fine > NODES_BEFORE_FOLDING;
    for (int healthy = 0; healthy < (fold ? 1 : 2); healthy++)
        for (size_t i = 0; i < node_count; i++)
            if (report_shows_node(report, i) && node_is_fine(report, i) == healthy)
                add_node_row(report, i, &columns);
    buf_add_char(buf, '\n');
    bool rows = columns.row_count > 0;
    if (rows)
        columns_write(&columns, report->terminal, buf);
    if (fold)
        add_folded_nodes(report, names, fine, rows, buf);
    free(names);
}

/* The age of the last handshake as NODE has it, or why there is none. */
static void age_text(const struct report *report, size_t node, const struct link *link, char text[static CLOCK_TEXT_SIZE])
{
    bool looked = report->diagnosis->nodes[node].device != NULL;
    int64_t age = node == link->a ? link->a_age : link->b_age;
    const struct device_peer *row = node == link->a ? link->a_row : link->b_row;
    if (link->path == PATH_HUB)
        text[0] = '\0'; /* it is as good as the links on its way, which have handshakes */
    else if (age >= 0)
        clock_age_text(age, text);
    else
        snprintf(text, CLOCK_TEXT_SIZE, "%s", row ? "never" : looked ? "no row" : "?");
}

static const char *direction(const struct terminal *terminal, enum direction_state state)
{
    static const char *const words[] = {[DIRECTION_OK] = "ok", [DIRECTION_BLOCKED] = "blocked", [DIRECTION_UNKNOWN] = "?"};
    (void)terminal;
    return words[state];
}

void text_link_columns(struct columns *columns, const struct terminal *terminal)
{
    *columns = (struct columns){.count = 8, .titles = {"A", "B", "LINK", terminal->utf8 ? "A\xe2\x86\x92" "B" : "A>B",
                                                       terminal->utf8 ? "B\xe2\x86\x92" "A" : "B>A", "AGE AT A", "AGE AT B", "PATH"},
                                .right = {[5] = true, [6] = true}};
}

void text_link_row(const struct report *report, const struct link *link, struct columns *columns)
{
    char a_age[CLOCK_TEXT_SIZE], b_age[CLOCK_TEXT_SIZE];
    age_text(report, link->a, link, a_age);
    age_text(report, link->b, link, b_age);
    const char *cells[] = {report->mesh->nodes[link->a].name, report->mesh->nodes[link->b].name, link_state_text(link->state),
                           direction(report->terminal, link->a_to_b), direction(report->terminal, link->b_to_a), a_age, b_age,
                           link->path == PATH_DIRECT ? "" : link_path_text(link->path)};
    columns_row(columns, report_link_is_quiet(link) ? MARK_NONE : link_marks[link->state], cells);
}

/* What is wrong with a link to a node that was not reached is told by that node's row, once. */
static bool explained_by_node(const struct report *report, const struct link *link)
{
    return link->state != LINK_LIVE && link->state != LINK_IDLE && (report->diagnosis->nodes[link->a].state == NODE_UNREACHABLE ||
                                                                    report->diagnosis->nodes[link->b].state == NODE_UNREACHABLE);
}

static size_t count_paths(const struct report *report, enum link_path path)
{
    size_t count = 0;
    for (size_t i = 0; i < report->diagnosis->link_count; i++)
        count += report->diagnosis->links[i].path == path && report_shows_link(report, &report->diagnosis->links[i]);
    return count;
}

static void add_links(const struct report *report, struct buf *buf)
{
    static const enum link_state order[] = {LINK_DEAD, LINK_HALF, LINK_NEVER, LINK_LATE, LINK_UNKNOWN, LINK_IDLE, LINK_LIVE};
    struct columns columns;
    size_t left_out = 0, explained = 0;
    text_link_columns(&columns, report->terminal);
    for (size_t rank = 0; rank < COUNT_OF(order); rank++) {
        if (!report->all && (order[rank] == LINK_LIVE || order[rank] == LINK_IDLE))
            continue;
        for (size_t i = 0; i < report->diagnosis->link_count; i++) {
            const struct link *link = &report->diagnosis->links[i];
            if (link->state != order[rank] || !report_shows_link(report, link))
                continue;
            if (!report->all && report_link_is_quiet(link))
                continue;
            if (!report->all && explained_by_node(report, link))
                explained++;
            else if (!report->all && columns.row_count >= LINKS_SHOWN)
                left_out++;
            else
                text_link_row(report, link, &columns);
        }
    }
    size_t by_hub = count_paths(report, PATH_HUB), by_relay = count_paths(report, PATH_RELAY);
    if (columns.row_count || explained || by_hub || by_relay)
        buf_add_char(buf, '\n');
    if (columns.row_count)
        columns_write(&columns, report->terminal, buf);
    if (by_hub)
        buf_add_format(buf, "  %zu link%s routed by the hub, which can read what is sent%s\n", by_hub, by_hub == 1 ? " is" : "s are", report->all ? "" : " (--all lists them)");
    if (by_relay)
        buf_add_format(buf, "  %zu link%s forwarded by the relay, which cannot read what is sent%s\n", by_relay, by_relay == 1 ? " is" : "s are", report->all ? "" : " (--all lists them)");
    if (left_out)
        buf_add_format(buf, "  and %zu more links like these (--all lists them)\n", left_out);
    if (explained)
        buf_add_format(buf, "  %zu link%s not live, and an end that was not reached (--all lists them)\n", explained,
                       explained == 1 ? " is" : "s are");
}

static void add_faults(const struct report *report, struct buf *buf)
{
    const char *arrow = report->terminal->utf8 ? "\xe2\x86\xb3 " : "-> ";
    size_t shown = 0;
    for (size_t i = 0; i < report->diagnosis->fault_count; i++) {
        const struct fault *fault = &report->diagnosis->faults[i];
        if (!report_shows_fault(report, fault))
            continue;
        buf_add_text(buf, shown++ ? "" : "\n");
        enum mark mark = text_fault_mark(fault);
        add_marked(buf, report->terminal, mark, mark_glyph(report->terminal, mark));
        buf_add_char(buf, ' ');
        add_marked(buf, report->terminal, mark, fault->kind->id);
        buf_add_text(buf, ": ");
        add_filled(buf, fault->summary, strlen(fault->kind->id) + 4, 4, report->terminal->width);
        if (fault->remedy && *fault->remedy) {
            buf_add_format(buf, "    %s", arrow);
            add_remedy(buf, fault->remedy, 4 + text_width(arrow), report->terminal->width);
        }
    }
    if (shown)
        buf_add_text(buf, "wgdeck doctor shows the evidence.\n");
}

static bool is_in_mesh(const struct report *report, const struct observed_joined *joined)
{
    for (size_t i = 0; i < report->mesh->node_count; i++) {
        const struct device *device = report->diagnosis->nodes[i].device;
        const struct mesh_node *node = &report->mesh->nodes[i];
        if (strcmp(node->name, joined->name) == 0 || (node->has_public_key && key_equal(&node->public_key, &joined->key)) ||
            (device && device->has_private && key_equal(&device->public_key, &joined->key)))
            return true;
    }
    return false;
}

/* Who has joined by an invitation and has no section yet is in no row of these tables. */
static void add_joined(const struct report *report, struct buf *buf)
{
    for (size_t i = 0; report->mesh->from_file && i < report->mesh->node_count; i++) {
        const struct observation *seen = &report->observed->nodes[i];
        for (size_t j = 0; report_shows_node(report, i) && seen->reach == REACH_OK && j < seen->joined_count; j++) {
            const struct observed_joined *joined = &seen->joined[j];
            if (!text_is_name(joined->name) || strcmp(joined->interface, report->mesh->nodes[i].interface) != 0 || is_in_mesh(report, joined))
                continue;
            struct buf line = BUF_EMPTY;
            buf_add_format(&line, "%s has joined through %s and is not in the mesh file yet: wgdeck invite record %s", joined->name, report->mesh->nodes[i].name, joined->name);
            buf_add_text(buf, "  ");
            add_remedy(buf, buf_text(&line), 2, report->terminal->width);
            buf_free(&line);
        }
    }
}

static void write_status(const struct report *report, struct buf *buf)
{
    text_headline(report, buf);
    add_nodes(report, buf);
    add_links(report, buf);
    add_joined(report, buf);
    add_faults(report, buf);
}

const struct output output_text = {.name = "text", .status = write_status, .doctor = doctor_text};
