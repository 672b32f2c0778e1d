/* A table from inside: what its files share. */
#ifndef WGDECK_TUI_TABLE_PRIVATE_H
#define WGDECK_TUI_TABLE_PRIVATE_H

#include "table.h"

/* Brings the rows into the order of the sort column's keys; rows with the same key stay as they are. UINT64_MAX (not known) is last either way. */
void table_sort_rows(struct table *table, const struct scene *scene);

size_t table_column_count(const struct table *table);
int table_find_column(const struct table *table, const char *name, size_t length); /* -1: none */
/* Indices of the chosen columns, else of those that are not hidden; returns how many. */
size_t table_chosen(const struct table *table, int chosen[static TABLE_COLUMNS_MOST]);

int table_page(const struct table *table);
void table_move(struct table *table, const struct scene *scene, size_t position); /* as the person does it */

#endif
