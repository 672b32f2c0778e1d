/* Matrix: rows hear columns, a cell is one direction. Nodes, or folded to their groups. Drawing is in matrix_draw.c, saving in matrix_save.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix_view.h"
#include "wgdeck/mem.h"

static struct view_matrix *of(struct view *view)
{
    return (struct view_matrix *)view;
}

bool matrix_can_fold(const struct view_matrix *matrix)
{
    return matrix->order.groups.named;
}

struct matrix_axes *matrix_axes(struct view_matrix *matrix)
{
    return matrix->folded ? &matrix->groups : &matrix->nodes;
}

/* The cursor stays on its node; when that is gone, at its place. */
static void axis_take(struct axis *axis, const uint32_t *items, size_t count)
{
    axis->items = items;
    axis->count = count;
    for (size_t i = 0; i < count; i++)
        if (items[i] == axis->selected) {
            axis->at = i;
            return;
        }
    if (axis->at >= count)
        axis->at = count ? count - 1 : 0;
    axis->selected = count ? items[axis->at] : UINT32_MAX;
}

static void axis_to(struct axis *axis, size_t at)
{
    if (axis->count == 0)
        return;
    axis->at = at < axis->count ? at : axis->count - 1;
    axis->selected = axis->items[axis->at];
}

static void axis_move(struct axis *axis, long by)
{
    long at = (long)axis->at + by;
    axis_to(axis, at < 0 ? 0 : (size_t)at);
}

static void axis_find(struct axis *axis, uint32_t item)
{
    for (size_t i = 0; i < axis->count; i++)
        if (axis->items[i] == item)
            axis_to(axis, i);
}

static void take_axes(struct view_matrix *matrix)
{
    const struct matrix_order *order = &matrix->order;
    axis_take(&matrix->nodes.row, order->rows, order->row_count);
    axis_take(&matrix->nodes.column, order->columns, order->column_count);
    axis_take(&matrix->groups.row, order->group_order, order->group_order_count);
    axis_take(&matrix->groups.column, order->group_order, order->group_order_count);
}

static bool is_narrowed(const struct view_matrix *matrix)
{
    return matrix->order.row_group != SIZE_MAX || matrix->order.column_group != SIZE_MAX;
}

static void rebuild(struct view_matrix *matrix, const struct scene *scene)
{
    matrix_order_build(&matrix->order, scene);
    take_axes(matrix);
    matrix_measure(matrix, scene);
}

static void open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    struct view_matrix *matrix = of(view);
    if (!matrix->opened) {
        matrix->order.row_group = matrix->order.column_group = SIZE_MAX;
        matrix->nodes.row.selected = matrix->nodes.column.selected = UINT32_MAX;
        matrix->groups.row.selected = matrix->groups.column.selected = UINT32_MAX;
        matrix->opened = true;
    }
    rebuild(matrix, scene);
    if (!subject || (subject->kind != SUBJECT_NODE && subject->kind != SUBJECT_LINK) || subject->a == SIZE_MAX)
        return;
    axis_find(&matrix->nodes.row, (uint32_t)subject->a);
    if (subject->kind == SUBJECT_LINK && subject->b != SIZE_MAX)
        axis_find(&matrix->nodes.column, (uint32_t)subject->b);
}

static void close_view(struct view *view)
{
    matrix_order_free(&of(view)->order);
}

static void refresh(struct view *view, const struct scene *scene)
{
    rebuild(of(view), scene);
}

static void draw(struct view *view, const struct scene *scene, const struct area *area)
{
    matrix_draw(of(view), scene, area);
}

/* ---- what the cursor is on -------------------------------------------------------------------------------------- */

static bool cursor_nodes(const struct view_matrix *matrix, size_t *to, size_t *from)
{
    if (matrix->folded || matrix->nodes.row.count == 0 || matrix->nodes.column.count == 0)
        return false;
    *to = matrix->nodes.row.selected;
    *from = matrix->nodes.column.selected;
    return true;
}

static bool subject_of(const struct view *view, const struct scene *scene, struct subject *subject)
{
    const struct view_matrix *matrix = (const struct view_matrix *)view;
    size_t to, from;
    if (!cursor_nodes(matrix, &to, &from))
        return false;
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = to, .b = SIZE_MAX};
    if (to != from && link_index_find(&matrix->order.links, scene, to, from)) {
        subject->kind = SUBJECT_LINK;
        subject->a = to < from ? to : from;
        subject->b = to < from ? from : to;
    }
    return true;
}

static void say_no_link(const struct scene *scene, size_t to, size_t from, struct wish *wish)
{
    struct buf one = BUF_EMPTY, other = BUF_EMPTY;
    snprintf(wish->notice, sizeof wish->notice, "%s and %s have no link", scene_name(scene, to, &one), scene_name(scene, from, &other));
    buf_free(&one);
    buf_free(&other);
}

static void enter(struct view_matrix *matrix, const struct scene *scene, struct wish *wish)
{
    if (matrix->folded && matrix->groups.row.count) {
        matrix->order.row_group = matrix->groups.row.selected;
        matrix->order.column_group = matrix->groups.column.selected;
        matrix->nodes.row = matrix->nodes.column = (struct axis){.selected = UINT32_MAX};
        rebuild(matrix, scene);
        return;
    }
    size_t to, from;
    if (!cursor_nodes(matrix, &to, &from))
        return;
    if (to != from && !link_index_find(&matrix->order.links, scene, to, from)) {
        say_no_link(scene, to, from, wish);
        return;
    }
    wish->open = subject_of((const struct view *)matrix, scene, &wish->subject);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static bool leave_narrow(struct view_matrix *matrix, const struct scene *scene)
{
    if (!is_narrowed(matrix))
        return false;
    matrix->order.row_group = matrix->order.column_group = SIZE_MAX;
    rebuild(matrix, scene);
    return true;
}

static void toggle_fold(struct view_matrix *matrix, const struct scene *scene, struct wish *wish)
{
    if (!matrix_can_fold(matrix)) {
        snprintf(wish->notice, sizeof wish->notice, "the nodes of this mesh have no groups to fold to (Group = in the mesh file)");
        return;
    }
    bool narrowed = leave_narrow(matrix, scene);
    matrix->fold = narrowed || !matrix->folded ? FOLD_ON : FOLD_OFF;
}

static void next_sort(struct view_matrix *matrix, const struct scene *scene, struct wish *wish)
{
    matrix->order.sort = (matrix->order.sort + 1) % MATRIX_SORTS;
    if (matrix->order.sort == MATRIX_GROUPS && !matrix_can_fold(matrix))
        matrix->order.sort = MATRIX_FILE;
    rebuild(matrix, scene);
    snprintf(wish->notice, sizeof wish->notice, "order: %s", matrix_sort_names[matrix->order.sort]);
}

static enum course course_at(const struct view_matrix *matrix, const struct scene *scene, uint32_t to, uint32_t from)
{
    if (matrix->folded)
        return matrix_fold(&matrix->order, to, from)->worst;
    if (to == from)
        return COURSE_NONE;
    const struct link *link = link_index_find(&matrix->order.links, scene, to, from);
    return course_of(link, link && from == link->a);
}

/* The next cell that is not well, row by row, and from the end to the beginning. */
static void next_bad(struct view_matrix *matrix, const struct scene *scene, int step, struct wish *wish)
{
    struct matrix_axes *axes = matrix_axes(matrix);
    size_t columns = axes->column.count, total = axes->row.count * columns;
    size_t at = columns ? axes->row.at * columns + axes->column.at : 0;
    for (size_t i = 0; i < total; i++) {
        at = step > 0 ? (at + 1) % total : (at + total - 1) % total;
        if (!course_is_bad(course_at(matrix, scene, axes->row.items[at / columns], axes->column.items[at % columns])))
            continue;
        axis_to(&axes->row, at / columns);
        axis_to(&axes->column, at % columns);
        return;
    }
    snprintf(wish->notice, sizeof wish->notice, "no direction here is late or blocked");
}

static bool move(struct view_matrix *matrix, enum action action)
{
    struct matrix_axes *axes = matrix_axes(matrix);
    long page = axes->row.visible > 1 ? (long)axes->row.visible - 1 : 1;
    switch (action) {
    case ACTION_UP: axis_move(&axes->row, -1); return true;
    case ACTION_DOWN: axis_move(&axes->row, 1); return true;
    case ACTION_LEFT: axis_move(&axes->column, -1); return true;
    case ACTION_RIGHT: axis_move(&axes->column, 1); return true;
    case ACTION_PAGE_UP: axis_move(&axes->row, -page); return true;
    case ACTION_PAGE_DOWN: axis_move(&axes->row, page); return true;
    case ACTION_FIRST: axis_to(&axes->row, 0); axis_to(&axes->column, 0); return true;
    case ACTION_LAST: axis_to(&axes->row, SIZE_MAX); axis_to(&axes->column, SIZE_MAX); return true;
    default: return false;
    }
}

static bool act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct view_matrix *matrix = of(view);
    switch (action) {
    case ACTION_ENTER: enter(matrix, scene, wish); return true;
    case ACTION_BACK: return leave_narrow(matrix, scene);
    case ACTION_PANE: toggle_fold(matrix, scene, wish); return true;
    case ACTION_GROUP: next_sort(matrix, scene, wish); return true;
    case ACTION_NEXT: next_bad(matrix, scene, 1, wish); return true;
    case ACTION_PREVIOUS: next_bad(matrix, scene, -1, wish); return true;
    default: return move(matrix, action);
    }
}

static bool mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    struct view_matrix *matrix = of(view);
    struct matrix_axes *axes = matrix_axes(matrix);
    if (wheel) {
        axis_move(&axes->row, wheel * 3);
        return true;
    }
    if (row < 0 || row >= SURFACE_MOST || column < 0 || column >= SURFACE_MOST)
        return false;
    int32_t row_item = matrix->row_at[row], column_item = matrix->column_at[column];
    if (row_item >= 0)
        axis_to(&axes->row, (size_t)row_item);
    if (column_item >= 0)
        axis_to(&axes->column, (size_t)column_item);
    if (row_item < 0 && column_item < 0)
        return false;
    if (double_click && row_item >= 0 && column_item >= 0)
        enter(matrix, scene, wish);
    return true;
}

static void copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    const struct view_matrix *matrix = (const struct view_matrix *)view;
    size_t to, from;
    if (!cursor_nodes(matrix, &to, &from) || to == from)
        return;
    const struct link *link = link_index_find(&matrix->order.links, scene, to, from);
    course_sentence(scene, from, to, link, buf);
    buf_add_char(buf, '\n');
    course_sentence(scene, to, from, link, buf);
    buf_add_char(buf, '\n');
}

static void save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    matrix_save((const struct view_matrix *)view, scene, format, buf);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_NEXT, ACTION_GROUP, ACTION_PANE, ACTION_FAULTS_ONLY, ACTION_FILTER, ACTION_NONE};

const struct view_ops view_matrix = {
    .name = "matrix",
    .title = "Matrix",
    .help = "Who hears whom. Each row hears each column: the cell in row db and column api is what db hears of api, one direction of their link. "
            "A row that is red all over hears nobody; a column that is red all over is heard by nobody. The line below says in words what the "
            "cursor is on; Enter opens the link. o changes the order: problems first, by group, or as in the mesh file. Tab folds the nodes to their "
            "groups and opens them again; Enter on a folded cell opens these two groups.",
    .action = ACTION_MATRIX,
    .size = sizeof(struct view_matrix),
    .footer = footer,
    .open = open,
    .close = close_view,
    .refresh = refresh,
    .draw = draw,
    .act = act,
    .mouse = mouse,
    .subject = subject_of,
    .copy = copy,
    .save = save,
};
