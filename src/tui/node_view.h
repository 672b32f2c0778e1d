/* The node's screen from inside: what its files share. */
#ifndef WGDECK_TUI_NODE_VIEW_H
#define WGDECK_TUI_NODE_VIEW_H

#include "page.h"
#include "table.h"
#include "view.h"

int node_draw_facts(const struct scene *scene, size_t node, const struct area *area, bool all); /* from row 0 on; rows used */
void node_draw_plots(const struct scene *scene, size_t node, const struct area *area, int row, int rows);

#endif
