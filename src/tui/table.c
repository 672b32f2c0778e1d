/* A list that scrolls, sorts and marks: its rows, its cursor and what keys do to them. Drawing is in table_draw.c. */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "table_private.h"
#include "wgdeck/mem.h"

void table_free(struct table *table)
{
    free(table->rows);
    free(table->marks);
    free(table->sort_space);
    table->sort_space = NULL;
    table->sort_room = 0;
    table->rows = NULL;
    table->marks = NULL;
    table->count = table->capacity = table->mark_count = table->mark_capacity = 0;
}

size_t table_column_count(const struct table *table)
{
    size_t count = 0;
    while (count < TABLE_COLUMNS_MOST && table->list->columns[count].name)
        count++;
    return count;
}

int table_find_column(const struct table *table, const char *name, size_t length)
{
    for (size_t i = 0; i < table_column_count(table); i++)
        if (strlen(table->list->columns[i].name) == length && !memcmp(table->list->columns[i].name, name, length))
            return (int)i;
    return -1;
}

size_t table_chosen(const struct table *table, int chosen[static TABLE_COLUMNS_MOST])
{
    size_t count = 0, columns = table_column_count(table);
    for (const char *at = table->columns; *at && count < TABLE_COLUMNS_MOST;) {
        size_t length = strcspn(at, ", ");
        int column = table_find_column(table, at, length);
        if (column >= 0)
            chosen[count++] = column;
        at += length;
        at += strspn(at, ", ");
    }
    for (size_t i = 0; !count && i < columns; i++)
        if (!table->list->columns[i].hidden) {
            for (; i < columns; i++)
                if (!table->list->columns[i].hidden)
                    chosen[count++] = (int)i;
        }
    return count;
}

/* ---- the cursor -------------------------------------------------------------------------------------------------- */

int table_page(const struct table *table)
{
    return table->height > 0 ? table->height : 20;
}

static void keep_cursor_seen(struct table *table)
{
    size_t page = (size_t)table_page(table);
    if (table->cursor < table->top)
        table->top = table->cursor;
    if (table->cursor >= table->top + page)
        table->top = table->cursor - page + 1;
    size_t last_top = table->count > page ? table->count - page : 0;
    if (table->top > last_top)
        table->top = last_top;
}

/* What the cursor is on is the selected object from now on. */
static void take_selected(struct table *table, const struct scene *scene)
{
    if (table->cursor >= table->count) {
        table->cursor = table->count ? table->count - 1 : 0;
        if (!table->count) {
            table->selected.kind = SUBJECT_NONE;
            table->top = 0;
            return;
        }
    }
    table->selected_row = table->rows[table->cursor];
    table->list->subject(scene, table->selected_row, &table->selected);
}

void table_move(struct table *table, const struct scene *scene, size_t position)
{
    if (!table->count)
        return;
    table->cursor = position < table->count ? position : table->count - 1;
    take_selected(table, scene);
    table->wanted = table->selected;
    keep_cursor_seen(table);
}

/* Where SUBJECT is among the rows, or SIZE_MAX. Looked for first where it was in the view's own numbers. */
static size_t find_subject(const struct table *table, const struct scene *scene, const struct subject *subject)
{
    struct subject here;
    if (subject->kind == SUBJECT_NONE)
        return SIZE_MAX;
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i] == table->selected_row) {
            table->list->subject(scene, table->rows[i], &here);
            if (subject_equal(&here, subject))
                return i;
            break;
        }
    for (size_t i = 0; i < table->count; i++) {
        table->list->subject(scene, table->rows[i], &here);
        if (subject_equal(&here, subject))
            return i;
    }
    return SIZE_MAX;
}

/* The cursor goes where its object is now, and the rows around it stay where they are on the screen if they can. Before the person has gone
 * anywhere, what is worst comes to the top and is seen. */
static void follow(struct table *table, const struct scene *scene)
{
    size_t offset = table->cursor - table->top, position;
    if ((table->list->follows_top && table->cursor == 0) || table->wanted.kind == SUBJECT_NONE) {
        table->cursor = table->top = 0;
        take_selected(table, scene);
        return;
    }
    position = find_subject(table, scene, &table->wanted);
    if (position == SIZE_MAX && table->wanted.kind != table->selected.kind)
        position = find_subject(table, scene, &table->selected);
    else if (position == SIZE_MAX && !subject_equal(&table->wanted, &table->selected))
        position = find_subject(table, scene, &table->selected);
    if (position != SIZE_MAX) {
        if (position < table->top || position >= table->top + (size_t)table_page(table))
            table->top = position > offset ? position - offset : 0;
        table->cursor = position;
    }
    take_selected(table, scene);
    keep_cursor_seen(table);
}

void table_refresh(struct table *table, const struct scene *scene)
{
    size_t most = table->list->rows_most(scene, table->view);
    if (most > table->capacity || !table->rows) {
        table->capacity = most ? most : 1;
        table->rows = mem_resize(table->rows, table->capacity, sizeof *table->rows);
    }
    table->count = table->list->rows(scene, table->view, table->rows, most);
    if (table->sort >= 0 && (size_t)table->sort < table_column_count(table))
        table_sort_rows(table, scene);
    follow(table, scene);
}

bool table_subject(const struct table *table, const struct scene *scene, struct subject *subject)
{
    (void)scene;
    if (!table->count)
        return false;
    *subject = table->selected;
    return table->selected.kind != SUBJECT_NONE;
}

void table_select(struct table *table, const struct scene *scene, const struct subject *subject)
{
    table->wanted = *subject;
    size_t position = find_subject(table, scene, subject);
    if (position != SIZE_MAX)
        table_move(table, scene, position);
}

/* ---- marks, kept in order ---------------------------------------------------------------------------------------- */

static int compare_subjects(const struct subject *one, const struct subject *other)
{
    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    if (one->kind == SUBJECT_FAULT || one->kind == SUBJECT_EVENT)
        return strcmp(one->identity, other->identity);
    if (one->a != other->a)
        return one->a < other->a ? -1 : 1;
    if (one->kind == SUBJECT_NODE || one->b == other->b)
        return 0;
    return one->b < other->b ? -1 : 1;
}

static size_t mark_place(const struct table *table, const struct subject *subject, bool *there)
{
    size_t low = 0, high = table->mark_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_subjects(&table->marks[middle], subject);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *there = false;
    return low;
}

static bool table_is_marked(const struct table *table, const struct subject *subject)
{
    bool there;
    mark_place(table, subject, &there);
    return there;
}

bool table_row_is_marked(const struct table *table, const struct scene *scene, size_t position)
{
    struct subject subject;
    if (!table->mark_count)
        return false;
    table->list->subject(scene, table->rows[position], &subject);
    return table_is_marked(table, &subject);
}

static void toggle_mark(struct table *table, const struct scene *scene)
{
    bool there;
    if (!table->count)
        return;
    size_t place = mark_place(table, &table->selected, &there);
    if (there) {
        table->mark_count--;
        memmove(&table->marks[place], &table->marks[place + 1], (table->mark_count - place) * sizeof *table->marks);
    } else {
        MEM_GROW(table->marks, table->mark_count, table->mark_capacity);
        memmove(&table->marks[place + 1], &table->marks[place], (table->mark_count - place) * sizeof *table->marks);
        table->marks[place] = table->selected;
        table->mark_count++;
    }
    table_move(table, scene, table->cursor + 1);
}

/* ---- what keys do ------------------------------------------------------------------------------------------------ */

void table_sort_by(struct table *table, const struct scene *scene, int column, bool inverted)
{
    table->sort = column;
    table->inverted = inverted;
    table_refresh(table, scene);
}

/* The natural order (worst first), then each column that is shown and can be sorted by. */
static void sort_by_next(struct table *table, const struct scene *scene, struct wish *wish)
{
    int chosen[TABLE_COLUMNS_MOST], next = -1;
    size_t count = table_chosen(table, chosen), from = 0;
    for (size_t i = 0; i < count; i++)
        if (chosen[i] == table->sort)
            from = i + 1;
    for (size_t i = from; i < count && next < 0; i++)
        if (table->list->columns[chosen[i]].order)
            next = chosen[i];
    table_sort_by(table, scene, next, next >= 0 && table->list->columns[next].descending);
    const char *what = next < 0 ? "as it comes: the worst first" : table->list->columns[next].help;
    snprintf(wish->notice, sizeof wish->notice, "sorted %s%s", next < 0 ? "" : "by ", what);
}

static void invert_sort(struct table *table, const struct scene *scene, struct wish *wish)
{
    if (table->sort >= 0)
        table_sort_by(table, scene, table->sort, !table->inverted);
    else
        snprintf(wish->notice, sizeof wish->notice, "not sorted by a column: choose one with s first");
}

/* The next row that is not well, from the cursor on, round the end. */
static void go_to_trouble(struct table *table, const struct scene *scene, bool forward, struct wish *wish)
{
    for (size_t step = 1; table->list->is_well && step <= table->count; step++) {
        size_t at = forward ? (table->cursor + step) % table->count : (table->cursor + table->count - step) % table->count;
        if (table->list->is_well(scene, table->rows[at]))
            continue;
        bool round = forward ? at <= table->cursor : at >= table->cursor;
        if (round)
            snprintf(wish->notice, sizeof wish->notice, at == table->cursor ? "the only row that is not well" : forward ? "from the top again" : "from the end again");
        table_move(table, scene, at);
        return;
    }
    snprintf(wish->notice, sizeof wish->notice, "every row here is well");
}

static bool scroll_sideways(struct table *table, int columns)
{
    int left = table->left + columns;
    if (left < 0)
        left = 0;
    if (left > table->scroll_most)
        left = table->scroll_most;
    bool moved = left != table->left;
    table->left = left;
    return moved;
}

bool table_act(struct table *table, const struct scene *scene, enum action action, struct wish *wish)
{
    size_t page = (size_t)table_page(table), last = table->count ? table->count - 1 : 0;
    switch (action) {
    case ACTION_UP:
        table_move(table, scene, table->cursor ? table->cursor - 1 : 0);
        return true;
    case ACTION_DOWN:
        table_move(table, scene, table->cursor + 1);
        return true;
    case ACTION_PAGE_UP:
        table->top = table->top > page ? table->top - page : 0;
        table_move(table, scene, table->cursor > page ? table->cursor - page : 0);
        return true;
    case ACTION_PAGE_DOWN:
        table->top = table->top + page;
        table_move(table, scene, table->cursor + page);
        return true;
    case ACTION_FIRST:
        table_move(table, scene, 0);
        return true;
    case ACTION_LAST:
        table_move(table, scene, last);
        return true;
    case ACTION_LEFT:
        return scroll_sideways(table, -8);
    case ACTION_RIGHT:
        return scroll_sideways(table, 8);
    case ACTION_NEXT:
    case ACTION_PREVIOUS:
        go_to_trouble(table, scene, action == ACTION_NEXT, wish);
        return true;
    case ACTION_MARK:
        toggle_mark(table, scene);
        return true;
    case ACTION_SORT:
        sort_by_next(table, scene, wish);
        return true;
    case ACTION_SORT_INVERT:
        invert_sort(table, scene, wish);
        return true;
    case ACTION_ENTER:
        wish->open = table_subject(table, scene, &wish->subject);
        return wish->open;
    default:
        return false;
    }
}
