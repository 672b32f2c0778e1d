/* The overview's parts: the answer at its top, the nodes, and the pane at the side. */
#ifndef WGDECK_TUI_OVERVIEW_H
#define WGDECK_TUI_OVERVIEW_H

#include "table.h"

extern const struct table_list overview_nodes;

/* How many there are of each. */
struct overview_counts {
    size_t nodes, node_states[NODE_UNREACHABLE + 1], waiting, silent;
    size_t links, link_states[LINK_UNKNOWN + 1], blocked; /* links with a direction that is blocked */
    size_t faults[SEVERITY_ERROR + 1];
};
void overview_count(const struct scene *scene, struct overview_counts *counts);

/* "Is it well?" in words, and below it what that rests on. Draws into AREA's first rows; returns how many, at most MOST. */
int overview_answer(const struct scene *scene, const struct overview_counts *counts, const struct area *area, int most);
/* States of links and nodes as bars, and the newest events. */
void overview_side(const struct scene *scene, const struct overview_counts *counts, const struct area *area);

#endif
