/* The list of faults, as the overview and the screen of faults show it; and a fault in full, as lines. */
#ifndef WGDECK_TUI_FAULTS_H
#define WGDECK_TUI_FAULTS_H

#include "table.h"

extern const struct table_list faults_list;
void faults_subject(const struct scene *scene, uint32_t row, struct subject *subject);
const struct fault *faults_of(const struct scene *scene, const struct subject *subject); /* NULL: it is no longer there */
/* The node or link that a fault is about; false: neither. */
bool faults_place(const struct scene *scene, const struct fault *fault, struct subject *subject);
void faults_add_remedy(const struct scene *scene, const struct fault *fault, struct buf *buf); /* a line for each part */
void faults_add_whole(const struct scene *scene, const struct fault *fault, struct buf *buf);  /* for a ticket, or a colleague */
/* All of it, on a page that may be longer than the screen; returns the rows used. */
int faults_draw_whole(const struct scene *scene, const struct fault *fault, const struct area *area);
/* Since when nothing is wrong, and what was wrong before. */
void faults_draw_none(const struct scene *scene, const struct area *area);

#endif
