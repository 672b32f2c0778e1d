/* status for Prometheus: the text exposition format, version 0.0.4. Names and labels are a contract. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "wgdeck/clock.h"

static void add_head(struct buf *buf, const char *name, const char *type, const char *help)
{
    buf_add_format(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Label values: backslash, quote and line end are escaped; nothing else is special. */
static void add_label(struct buf *buf, const char *before, const char *name, const char *value)
{
    buf_add_format(buf, "%s%s=\"", before, name);
    for (; value && *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_add_char(buf, '\\');
        if (*value == '\n')
            buf_add_text(buf, "\\n");
        else
            buf_add_char(buf, *value);
    }
    buf_add_char(buf, '"');
}

static const char *node_name(const struct report *report, size_t node)
{
    return report->mesh->nodes[node].name;
}

static void begin_sample(struct buf *buf, const struct report *report, const char *metric)
{
    buf_add_text(buf, metric);
    add_label(buf, "{", "mesh", report->mesh->name ? report->mesh->name : "");
}

static void end_sample(struct buf *buf, double value)
{
    buf_add_format(buf, fabs(value) < 1e15 && value == floor(value) ? "} %.0f\n" : "} %.3f\n", value);
}

struct node_metric {
    const char *name, *type, *help;
    double (*value)(const struct report *report, size_t node); /* NaN: no sample */
};

static double node_up(const struct report *report, size_t node)
{
    return report->diagnosis->nodes[node].state == NODE_UP || report->diagnosis->nodes[node].state == NODE_DEGRADED;
}

static double node_reached(const struct report *report, size_t node)
{
    return report->observed->nodes[node].reach == REACH_OK;
}

static double node_rows(const struct report *report, size_t node)
{
    return report->diagnosis->nodes[node].device ? (double)report->diagnosis->nodes[node].rows : NAN;
}

static double node_live(const struct report *report, size_t node)
{
    return report->diagnosis->nodes[node].device ? (double)report->diagnosis->nodes[node].live : NAN;
}

static double node_clock_offset(const struct report *report, size_t node)
{
    const struct observation *seen = &report->observed->nodes[node];
    if (seen->reach != REACH_OK || seen->clock_uncertainty == INT64_MAX)
        return NAN;
    return (double)seen->clock_offset / (double)CLOCK_SECOND;
}

static const struct node_metric node_metrics[] = {
    {"wgdeck_node_reached", "gauge", "1 if the node could be looked at over SSH.", node_reached},
    {"wgdeck_node_up", "gauge", "1 if the node's WireGuard interface is up.", node_up},
    {"wgdeck_node_peers", "gauge", "Rows that the node holds.", node_rows},
    {"wgdeck_node_peers_live", "gauge", "Links of the node that are live.", node_live},
    {"wgdeck_node_clock_offset_seconds", "gauge", "The node's clock minus the clock of the machine that looked.", node_clock_offset},
};

static void add_nodes(const struct report *report, struct buf *buf)
{
    for (size_t m = 0; m < sizeof node_metrics / sizeof node_metrics[0]; m++) {
        add_head(buf, node_metrics[m].name, node_metrics[m].type, node_metrics[m].help);
        for (size_t i = 0; i < report->mesh->node_count; i++) {
            double value = node_metrics[m].value(report, i);
            if (!report_shows_node(report, i) || isnan(value))
                continue;
            begin_sample(buf, report, node_metrics[m].name);
            add_label(buf, ",", "node", node_name(report, i));
            end_sample(buf, value);
        }
    }
}

/* One end's view of a link: FROM is the node that says it. */
static void add_end(const struct report *report, const char *metric, size_t from, size_t to, const char *direction, double value,
                    struct buf *buf)
{
    begin_sample(buf, report, metric);
    add_label(buf, ",", "from", node_name(report, from));
    add_label(buf, ",", "to", node_name(report, to));
    if (direction)
        add_label(buf, ",", "direction", direction);
    end_sample(buf, value);
}

static void add_link_states(const struct report *report, struct buf *buf)
{
    add_head(buf, "wgdeck_link_state", "gauge", "1 for the state that the link is in: live, late, idle, dead, never, half or unknown.");
    for (size_t i = 0; i < report->diagnosis->link_count; i++) {
        const struct link *link = &report->diagnosis->links[i];
        if (!report_shows_link(report, link))
            continue;
        begin_sample(buf, report, "wgdeck_link_state");
        add_label(buf, ",", "a", node_name(report, link->a));
        add_label(buf, ",", "b", node_name(report, link->b));
        add_label(buf, ",", "state", link_state_text(link->state));
        add_label(buf, ",", "path", link_path_text(link->path));
        end_sample(buf, 1);
    }
}

static void add_link_ages(const struct report *report, struct buf *buf)
{
    static const char name[] = "wgdeck_link_handshake_age_seconds";
    add_head(buf, name, "gauge", "Seconds since the last handshake with TO, by the clock of FROM. No sample: never.");
    for (size_t i = 0; i < report->diagnosis->link_count; i++) {
        const struct link *link = &report->diagnosis->links[i];
        if (!report_shows_link(report, link))
            continue;
        if (link->a_age >= 0)
            add_end(report, name, link->a, link->b, NULL, (double)link->a_age / (double)CLOCK_SECOND, buf);
        if (link->b_age >= 0)
            add_end(report, name, link->b, link->a, NULL, (double)link->b_age / (double)CLOCK_SECOND, buf);
    }
}

static void add_row_bytes(const struct report *report, size_t from, size_t to, const struct device_peer *row, struct buf *buf)
{
    if (!row)
        return;
    add_end(report, "wgdeck_link_bytes_total", from, to, "rx", (double)row->rx_bytes, buf);
    add_end(report, "wgdeck_link_bytes_total", from, to, "tx", (double)row->tx_bytes, buf);
}

static void add_link_bytes(const struct report *report, struct buf *buf)
{
    add_head(buf, "wgdeck_link_bytes_total", "counter", "Bytes that FROM has received from (rx) and sent to (tx) TO, as FROM counts them.");
    for (size_t i = 0; i < report->diagnosis->link_count; i++) {
        const struct link *link = &report->diagnosis->links[i];
        if (!report_shows_link(report, link))
            continue;
        add_row_bytes(report, link->a, link->b, link->a_row, buf);
        add_row_bytes(report, link->b, link->a, link->b_row, buf);
    }
}

static void add_fault_sample(const struct report *report, const struct fault_kind *kind, enum severity severity, size_t count, struct buf *buf)
{
    begin_sample(buf, report, "wgdeck_faults");
    add_label(buf, ",", "id", kind->id);
    add_label(buf, ",", "severity", severity_text(severity));
    end_sample(buf, (double)count);
}

/* Every kind has a sample, also when there is none of it, so that an alert can be written for it. */
static void add_faults(const struct report *report, struct buf *buf)
{
    add_head(buf, "wgdeck_faults", "gauge", "Faults found, by id (wgdeck-faults(7)) and severity.");
    for (size_t k = 0; k < fault_kind_count; k++) {
        size_t counts[SEVERITY_ERROR + 1] = {0};
        for (size_t i = 0; i < report->diagnosis->fault_count; i++) {
            const struct fault *fault = &report->diagnosis->faults[i];
            if (fault->kind == &fault_kinds[k] && report_shows_fault(report, fault))
                counts[fault->severity]++;
        }
        for (int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR; severity++)
            if (counts[severity] || (int)fault_kinds[k].severity == severity)
                add_fault_sample(report, &fault_kinds[k], (enum severity)severity, counts[severity], buf);
    }
}

static void write_prom(const struct report *report, struct buf *buf)
{
    add_head(buf, "wgdeck_verdict", "gauge", "0 healthy, 1 warnings, 2 faults, 3 could not look everywhere: the exit status of wgdeck status.");
    begin_sample(buf, report, "wgdeck_verdict");
    end_sample(buf, report_exit_status(report));
    add_nodes(report, buf);
    add_link_states(report, buf);
    add_link_ages(report, buf);
    add_link_bytes(report, buf);
    add_faults(report, buf);
    add_head(buf, "wgdeck_looked_timestamp_seconds", "gauge", "When the newest reading was taken, since 1970.");
    begin_sample(buf, report, "wgdeck_looked_timestamp_seconds");
    end_sample(buf, (double)(report->diagnosis->at / CLOCK_SECOND));
}

const struct output output_prom = {.name = "prom", .status = write_prom, .doctor = write_prom};
