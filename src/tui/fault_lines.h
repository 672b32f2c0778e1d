/* Faults as Node and Link show them: what it is, the evidence, and what to do. */
#ifndef WGDECK_TUI_FAULT_LINES_H
#define WGDECK_TUI_FAULT_LINES_H

#include "scene.h"
#include "surface.h"

/* Does the fault say something about the node; about the link? */
bool fault_is_of_node(const struct fault *fault, size_t node);
bool fault_is_of_link(const struct fault *fault, size_t a, size_t b);
/* How much of it: lines of evidence and parts of the remedy at most. A, B: what only concerns other nodes is left out; SIZE_MAX: nothing is. */
struct fault_extent { int evidence, remedies; size_t a, b; };
/* Into AREA from ROW on; returns the rows used. */
int fault_lines_draw(const struct scene *scene, const struct fault *fault, const struct area *area, int row, const struct fault_extent *extent);

#endif
