/* What all forms of output ask of a report: what of it to show, and the verdict in words and as exit status. */
#include <stdio.h>

#include "output.h"
#include "wgdeck/text.h"

bool report_shows_node(const struct report *report, size_t node)
{
    if (node >= report->mesh->node_count)
        return false;
    if (report->about[0] != SIZE_MAX && node != report->about[0] && node != report->about[1])
        return false;
    return !report->nodes || text_matches(report->nodes, report->mesh->nodes[node].name);
}

bool report_shows_link(const struct report *report, const struct link *link)
{
    if (report->about[0] != SIZE_MAX && report->about[1] == SIZE_MAX)
        return link->a == report->about[0] || link->b == report->about[0];
    return report_shows_node(report, link->a) && report_shows_node(report, link->b);
}

bool report_shows_fault(const struct report *report, const struct fault *fault)
{
    bool concerns[2] = {report_shows_node(report, fault->nodes[0]), report_shows_node(report, fault->nodes[1])};
    if (report->about[1] != SIZE_MAX && fault->nodes[1] != SIZE_MAX)
        return concerns[0] && concerns[1];
    if (fault->nodes[0] == SIZE_MAX)
        return report->about[0] == SIZE_MAX;
    return concerns[0] || concerns[1];
}

static bool row_is_quiet(const struct device_peer *row)
{
    return row && !row->tx_bytes && !row->rx_bytes && !row->keepalive;
}

bool report_link_is_quiet(const struct link *link)
{
    return link->state == LINK_NEVER && row_is_quiet(link->a_row) && row_is_quiet(link->b_row);
}

static enum verdict worse(enum verdict a, enum verdict b)
{
    static const int rank[] = {[VERDICT_OK] = 0, [VERDICT_WARNING] = 1, [VERDICT_UNKNOWN] = 2, [VERDICT_FAULT] = 3};
    return rank[a] >= rank[b] ? a : b;
}

enum verdict report_verdict(const struct report *report)
{
    const struct diagnosis *diagnosis = report->diagnosis;
    if (!report->nodes && report->about[0] == SIZE_MAX)
        return diagnosis->verdict;
    enum verdict verdict = VERDICT_OK;
    for (size_t i = 0; i < diagnosis->node_count; i++)
        if (report_shows_node(report, i) && diagnosis->nodes[i].state == NODE_UNREACHABLE)
            verdict = worse(verdict, VERDICT_UNKNOWN);
    for (size_t i = 0; i < diagnosis->link_count; i++)
        if (report_shows_link(report, &diagnosis->links[i]) && diagnosis->links[i].state == LINK_UNKNOWN)
            verdict = worse(verdict, VERDICT_UNKNOWN);
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        if (report_shows_fault(report, fault) && fault->severity != SEVERITY_INFO)
            verdict = worse(verdict, fault->severity == SEVERITY_ERROR ? VERDICT_FAULT : VERDICT_WARNING);
    }
    return verdict;
}

int report_exit_status(const struct report *report)
{
    static const int statuses[] = {[VERDICT_OK] = STATUS_OK, [VERDICT_WARNING] = STATUS_WARNING, [VERDICT_FAULT] = STATUS_FAULT,
                                   [VERDICT_UNKNOWN] = STATUS_COULD_NOT_LOOK};
    return statuses[report_verdict(report)];
}

static void add_count(struct buf *buf, const char *before, size_t count, const char *singular)
{
    buf_add_format(buf, "%s%zu %s%s", before, count, singular, count == 1 ? "" : "s");
}

static void add_nodes_and_links(const struct report *report, struct buf *buf)
{
    size_t nodes = 0, unreachable = 0, links = 0, quiet = 0, by_state[LINK_UNKNOWN + 1] = {0};
    for (size_t i = 0; i < report->diagnosis->node_count; i++)
        if (report_shows_node(report, i)) {
            nodes++;
            unreachable += report->diagnosis->nodes[i].state == NODE_UNREACHABLE;
        }
    for (size_t i = 0; i < report->diagnosis->link_count; i++)
        if (report_shows_link(report, &report->diagnosis->links[i])) {
            links++;
            quiet += report_link_is_quiet(&report->diagnosis->links[i]);
            by_state[report->diagnosis->links[i].state]++;
        }
    add_count(buf, "", nodes, "node");
    if (unreachable)
        buf_add_format(buf, " (%zu unreachable)", unreachable);
    add_count(buf, ", ", links, "link");
    if (links && by_state[LINK_LIVE] == links) {
        buf_add_text(buf, links > 1 ? ", all live" : ", live");
        return;
    }
    const char *before = ": ";
    by_state[LINK_NEVER] -= quiet;
    for (int state = LINK_LIVE; state <= LINK_UNKNOWN; state++)
        if (by_state[state]) {
            buf_add_format(buf, "%s%zu %s", before, by_state[state], link_state_text((enum link_state)state));
            before = ", ";
        }
    if (quiet)
        buf_add_format(buf, "%s%zu never used", before, quiet);
}

void report_headline(const struct report *report, struct buf *buf)
{
    size_t counts[SEVERITY_ERROR + 1] = {0};
    for (size_t i = 0; i < report->diagnosis->fault_count; i++)
        if (report_shows_fault(report, &report->diagnosis->faults[i]))
            counts[report->diagnosis->faults[i].severity]++;
    buf_add_format(buf, "%s: ", report->mesh->name ? report->mesh->name : "mesh");
    if (counts[SEVERITY_ERROR])
        add_count(buf, "", counts[SEVERITY_ERROR], "fault");
    if (counts[SEVERITY_WARNING])
        add_count(buf, counts[SEVERITY_ERROR] ? ", " : "", counts[SEVERITY_WARNING], "warning");
    if (counts[SEVERITY_ERROR] || counts[SEVERITY_WARNING])
        buf_add_text(buf, ": ");
    add_nodes_and_links(report, buf);
}
