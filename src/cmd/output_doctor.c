/* doctor for people: each fault with its evidence, the place to look at, what mends it and what it explains; then what could
 * not be looked at, so that silence is never taken for health. */
#include "output_doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { LABEL_COLUMN = 14, CONSEQUENCES_SHOWN = 12 };

static void add_labelled(const struct report *report, const char *label, const char *text, struct buf *buf)
{
    buf_add_format(buf, "    %-*s", LABEL_COLUMN - 4, label);
    add_filled(buf, text, LABEL_COLUMN, LABEL_COLUMN, report->terminal->width);
}

static void add_list(const struct report *report, const char *label, char *const *lines, size_t count, size_t most, struct buf *buf)
{
    for (size_t i = 0; i < count && i < most; i++)
        add_labelled(report, i ? "" : label, lines[i], buf);
    if (count > most) {
        char more[48];
        snprintf(more, sizeof more, "and %zu more", count - most);
        add_labelled(report, "", more, buf);
    }
}

/* "wg0 on api (ssh root@192.0.2.1), /etc/wireguard/wg0.conf" */
static void add_place(const struct report *report, const struct fault *fault, struct buf *buf)
{
    struct buf place = BUF_EMPTY;
    if (fault->nodes[0] >= report->mesh->node_count)
        return;
    const struct mesh_node *node = &report->mesh->nodes[fault->nodes[0]];
    const struct device *device = report->diagnosis->nodes[fault->nodes[0]].device;
    const char *interface = device ? device->name : node->interface;
    if (interface)
        buf_add_format(&place, "%s on ", interface);
    buf_add_text(&place, node->name);
    char *jump = mesh_jump_text(report->mesh, fault->nodes[0]);
    if (node->ssh && strcmp(node->ssh, node->name) != 0)
        buf_add_format(&place, " (ssh %s%s%s%s)", jump ? "-J " : "", jump ? jump : "", jump ? " " : "", node->ssh);
    free(jump);
    const struct observed_config *config =
        interface ? observation_config(&report->observed->nodes[fault->nodes[0]], interface) : NULL;
    if (config && config->path)
        buf_add_format(&place, ", %s", config->path);
    add_labelled(report, "where", buf_text(&place), buf);
    buf_free(&place);
}

static void add_direction(const struct report *report, const struct fault *fault, struct buf *buf)
{
    size_t count = report->mesh->node_count;
    if (!fault->directed || fault->from >= count || fault->to >= count)
        return;
    char *text = mem_format("%s %s %s", report->mesh->nodes[fault->from].name, report->terminal->utf8 ? "\xe2\x86\x92" : "->",
                            report->mesh->nodes[fault->to].name);
    add_labelled(report, "suffers", text, buf);
    free(text);
}

static void add_fault(const struct report *report, const struct fault *fault, struct buf *buf)
{
    enum mark mark = text_fault_mark(fault);
    buf_add_char(buf, '\n');
    add_marked(buf, report->terminal, mark, mark_glyph(report->terminal, mark));
    buf_add_char(buf, ' ');
    add_marked(buf, report->terminal, mark, fault->kind->id);
    buf_add_format(buf, " (%s): ", severity_text(fault->severity));
    add_filled(buf, fault->summary, strlen(fault->kind->id) + strlen(severity_text(fault->severity)) + 7, 4, report->terminal->width);
    add_direction(report, fault, buf);
    add_list(report, "evidence", fault->evidence, fault->evidence_count, SIZE_MAX, buf);
    add_place(report, fault, buf);
    if (fault->remedy && *fault->remedy) {
        buf_add_format(buf, "    %-*s", LABEL_COLUMN - 4, "mend");
        add_remedy(buf, fault->remedy, LABEL_COLUMN, report->terminal->width);
    }
    add_list(report, "explains", fault->consequences, fault->consequence_count, report->all ? SIZE_MAX : CONSEQUENCES_SHOWN, buf);
    if (fault->since) {
        char since[CLOCK_TEXT_SIZE];
        clock_text(fault->since, since);
        add_labelled(report, "since", since, buf);
    }
}

/* By which way each goes that is not simply straight, and why. */
static void add_ways(const struct report *report, struct buf *buf)
{
    static const char *const ways[] = {
        [PATH_DIRECT] = "straight from one to the other",
        [PATH_HUB] = "routed by the hub, which can read what is sent; as good as the links on the way there",
        [PATH_RELAY] = "forwarded by the relay, which cannot read what is sent",
    };
    for (size_t i = 0; i < report->diagnosis->link_count; i++) {
        const struct link *link = &report->diagnosis->links[i];
        if (!report_shows_link(report, link) || (link->path == PATH_DIRECT && !link->path_reason))
            continue;
        struct buf line = BUF_EMPTY;
        buf_add_format(&line, "%s and %s: %s%s%s", report->mesh->nodes[link->a].name, report->mesh->nodes[link->b].name, ways[link->path], link->path_reason ? ": " : "",
                       link->path_reason ? link->path_reason : "");
        buf_add_text(buf, "  ");
        add_filled(buf, buf_text(&line), 2, 4, report->terminal->width);
        buf_free(&line);
    }
}

static void add_asked_links(const struct report *report, struct buf *buf)
{
    struct columns columns;
    text_link_columns(&columns, report->terminal);
    if (report->about[0] == SIZE_MAX)
        return;
    for (size_t i = 0; i < report->diagnosis->link_count; i++)
        if (report_shows_link(report, &report->diagnosis->links[i]))
            text_link_row(report, &report->diagnosis->links[i], &columns);
    if (columns.row_count) {
        buf_add_char(buf, '\n');
        columns_write(&columns, report->terminal, buf);
        add_ways(report, buf);
    }
}

/* The same line said of many nodes is written once, with their names folded. */
static void add_not_seen(const struct report *report, struct buf *buf)
{
    size_t node_count = report->mesh->node_count, line_count = 0, capacity = 0;
    struct {
        const char *text;
        size_t node;
    } *lines = NULL;
    for (size_t i = 0; i < node_count; i++) {
        const struct observation *seen = &report->observed->nodes[i];
        if (!report_shows_node(report, i))
            continue;
        for (size_t s = 0; s <= seen->skipped_count; s++) {
            const char *text = s < seen->skipped_count ? seen->skipped[s] : seen->error;
            if (!text)
                continue;
            MEM_GROW(lines, line_count, capacity);
            lines[line_count].text = text;
            lines[line_count++].node = i;
        }
    }
    const char **names = mem_alloc(node_count, sizeof *names);
    for (size_t i = 0; i < line_count; i++) {
        size_t same = 0;
        struct buf line = BUF_EMPTY;
        if (!lines[i].text)
            continue;
        const char *text = lines[i].text;
        for (size_t k = i; k < line_count; k++)
            if (lines[k].text && !strcmp(lines[k].text, text) && same < node_count) {
                names[same++] = report->mesh->nodes[lines[k].node].name;
                lines[k].text = NULL;
            }
        add_folded_names(&line, names, same);
        buf_add_format(&line, ": %s", text);
        if (i == 0)
            buf_add_text(buf, "\nNot looked at:\n");
        buf_add_text(buf, "  ");
        add_filled(buf, buf_text(&line), 2, 4, report->terminal->width);
        buf_free(&line);
    }
    free(names);
    free(lines);
}

void doctor_text(const struct report *report, struct buf *buf)
{
    size_t shown = 0;
    text_headline(report, buf);
    add_asked_links(report, buf);
    for (size_t i = 0; i < report->diagnosis->fault_count; i++)
        if (report_shows_fault(report, &report->diagnosis->faults[i])) {
            add_fault(report, &report->diagnosis->faults[i], buf);
            shown++;
        }
    if (!shown)
        buf_add_text(buf, "\nNo fault was found in what could be seen.\n");
    add_not_seen(report, buf);
}
