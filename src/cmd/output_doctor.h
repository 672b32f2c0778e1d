/* doctor for people, and what it shares with status. */
#ifndef WGDECK_CMD_OUTPUT_DOCTOR_H
#define WGDECK_CMD_OUTPUT_DOCTOR_H

#include "columns.h"
#include "output.h"
#include "wgdeck/clock.h"

void doctor_text(const struct report *report, struct buf *buf);

/* In output_text.c. */
void text_headline(const struct report *report, struct buf *buf);
enum mark text_fault_mark(const struct fault *fault);
void text_link_columns(struct columns *columns, const struct terminal *terminal);
void text_link_row(const struct report *report, const struct link *link, struct columns *columns);

#endif
