/* What was seen and concluded, written in one form or another: an ops table per form. */
#ifndef WGDECK_CMD_OUTPUT_H
#define WGDECK_CMD_OUTPUT_H

#include "terminal.h"
#include "wgdeck/buf.h"
#include "wgdeck/diagnosis.h"

struct report {
    const struct mesh *mesh;
    const struct observed *observed;
    const struct diagnosis *diagnosis;
    const struct terminal *terminal;
    const char *nodes;    /* patterns of names to show, or NULL: all */
    size_t about[2];      /* the node, or the two ends, that were asked for; SIZE_MAX: all */
    bool all;             /* list what is fine too, however much it is */
};

struct output {
    const char *name;
    void (*status)(const struct report *report, struct buf *buf);
    void (*doctor)(const struct report *report, struct buf *buf);
};

extern const struct output output_text, output_json, output_prom;

bool report_shows_node(const struct report *report, size_t node);
bool report_shows_link(const struct report *report, const struct link *link);
bool report_shows_fault(const struct report *report, const struct fault *fault);
/* No handshake ever, and nothing that would have asked for one: not worth a line, and no counter will tell more. */
bool report_link_is_quiet(const struct link *link);
/* The exit status that the verdict stands for (STATUS_*). */
int report_exit_status(const struct report *report);
/* "prod: 2 faults: 5 nodes (1 unreachable), 10 links: 8 live, 2 dead" */
void report_headline(const struct report *report, struct buf *buf);
enum verdict report_verdict(const struct report *report);

#endif
