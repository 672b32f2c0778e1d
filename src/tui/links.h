/* Links as rows: a row is an index of the diagnosis's links. */
#ifndef WGDECK_TUI_LINKS_H
#define WGDECK_TUI_LINKS_H

#include "table.h"

extern const struct table_column links_columns[];
const struct link *links_at(const struct scene *scene, uint32_t row);
unsigned links_urgency(const struct link *link); /* how much it wants to be looked at: 0 most, below 8 */

#endif
