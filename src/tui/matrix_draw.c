/* Drawing the matrix: how wide and how tall heads, labels and cells are in the room there is, then only what is seen. */
#include <stdio.h>
#include <string.h>

#include "matrix_view.h"
#include "wgdeck/text.h"
#include "words.h"

/* Column heads: names side by side; names from top to bottom; or the nodes' numbers, which stand before the names of the rows as well. */
enum heads { HEADS_FLAT, HEADS_TALL, HEADS_NUMBERS };

struct shape {
    enum heads heads;
    int title, head;       /* rows above the cells */
    int below;             /* rows below: the sentence of the cursor, the other way round, the counts */
    int digits;            /* of the numbers */
    int label;             /* columns left of the cells */
    int cell;              /* columns of a cell */
    int body;              /* rows for cells */
};

enum { TALL_MOST = 14, LABEL_LEAST = 4, HEARS = 7 /* "hears" and an arrow above the labels */ };

static const char *item_name(const struct view_matrix *matrix, const struct scene *scene, uint32_t item, struct buf *buf)
{
    if (!matrix->folded)
        return scene_name(scene, item, buf);
    buf_clear(buf);
    buf_add_format(buf, "%s %zu", node_group_name(&matrix->order.groups, item, scene), matrix->order.groups.list[item].size);
    return buf_text(buf);
}

/* Heads of columns have no room for how many are in a group. */
static const char *head_name(const struct view_matrix *matrix, const struct scene *scene, uint32_t item, struct buf *buf)
{
    if (!matrix->folded)
        return scene_name(scene, item, buf);
    buf_clear(buf);
    buf_add_text(buf, node_group_name(&matrix->order.groups, item, scene));
    return buf_text(buf);
}

static int widest_of(struct view_matrix *matrix, const struct scene *scene, const struct axis *axis, bool head)
{
    struct buf name = BUF_EMPTY;
    size_t widest = 1;
    for (size_t i = 0; i < axis->count; i++) {
        size_t width = text_width((head ? head_name : item_name)(matrix, scene, axis->items[i], &name));
        widest = width > widest ? width : widest;
    }
    buf_free(&name);
    return widest < 64 ? (int)widest : 64;
}

void matrix_measure(struct view_matrix *matrix, const struct scene *scene)
{
    bool folded = matrix->folded;
    matrix->folded = false;
    matrix->nodes.row.widest = widest_of(matrix, scene, &matrix->nodes.row, false);
    matrix->nodes.column.widest = widest_of(matrix, scene, &matrix->nodes.column, true);
    matrix->folded = true;
    matrix->groups.row.widest = widest_of(matrix, scene, &matrix->groups.row, false);
    matrix->groups.column.widest = widest_of(matrix, scene, &matrix->groups.column, true);
    matrix->folded = folded;
}

static bool is_separated(const struct view_matrix *matrix)
{
    return !matrix->folded && matrix->order.sort == MATRIX_GROUPS && matrix->order.groups.named;
}

static bool separates(const struct view_matrix *matrix, const struct axis *axis, size_t i)
{
    const uint32_t *of = matrix->order.groups.of;
    return is_separated(matrix) && i > 0 && of[axis->items[i - 1]] != of[axis->items[i]];
}

/* ---- shape ------------------------------------------------------------------------------------------------------ */

static int digits_of(size_t number)
{
    return number < 10 ? 1 : number < 100 ? 2 : number < 1000 ? 3 : number < 10000 ? 4 : 5;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* The widest cells with which all columns are seen; else the narrowest that can be read while scrolling. */
static int cell_width(const struct view_matrix *matrix, const struct shape *shape, size_t count, int room)
{
    int wide = matrix->folded ? 6 : shape->heads == HEADS_NUMBERS && shape->digits > 1 ? shape->digits + 1 : 2, tight = matrix->folded ? 4 : 1;
    for (int width = wide; width >= tight; width--)
        if ((long)count * width <= room)
            return width;
    return matrix->folded ? 5 : 2;
}

static struct shape shape_with(struct view_matrix *matrix, const struct area *area, int title, int below)
{
    const struct matrix_axes *axes = matrix_axes(matrix);
    struct shape shape = {.title = title, .below = below};
    size_t all = matrix->folded ? matrix->order.groups.count : matrix->order.groups.nodes;
    shape.digits = digits_of(all);
    int name = least(axes->row.widest, most(LABEL_LEAST, area->columns / 3));
    if (area->columns >= 40)
        name = most(name, HEARS);
    int rest = area->rows - shape.title - shape.below, columns = (int)axes->column.count, rows = (int)axes->row.count;
    int flat = least(most(axes->column.widest, 7) + 3, 20), room = area->columns - name - 3;
    int tall = least(axes->column.widest, TALL_MOST);
    if (columns > 0 && columns <= room / flat) {
        shape.heads = HEADS_FLAT;
        shape.head = 1;
        shape.cell = flat;
        shape.label = name + 3;
    } else if (tall + rows <= rest || tall <= rest / 4) {
        shape.heads = HEADS_TALL;
        shape.head = tall;
        shape.label = name + 3;
        shape.cell = cell_width(matrix, &shape, axes->column.count, area->columns - shape.label);
    } else {
        shape.heads = HEADS_NUMBERS;
        shape.label = name + 3 + shape.digits + 1;
        shape.cell = cell_width(matrix, &shape, axes->column.count, area->columns - shape.label);
        shape.head = shape.cell > shape.digits ? 1 : shape.digits;
    }
    if (shape.head > rest - 1)
        shape.head = most(0, rest - 1);
    shape.body = most(0, rest - shape.head);
    return shape;
}

static long rows_needed(struct view_matrix *matrix)
{
    const struct axis *axis = &matrix_axes(matrix)->row;
    long rows = (long)axis->count;
    for (size_t i = 1; i < axis->count; i++)
        rows += separates(matrix, axis, i);
    return rows;
}

/* What stands around the cells gives way when all rows are seen then. */
static struct shape shape_of(struct view_matrix *matrix, const struct area *area)
{
    int title = area->rows >= 8, below = area->rows >= 14 ? 3 : area->rows >= 10 ? 2 : area->rows >= 4 ? 1 : 0;
    struct shape full = shape_with(matrix, area, title, below), shape = full;
    long rows = rows_needed(matrix);
    while (shape.body < rows && (title || below > 1)) {
        if (below > 1)
            below--;
        else
            title = 0;
        shape = shape_with(matrix, area, title, below);
    }
    return shape.body < rows ? full : shape;
}

/* A little scrolling is better than folding; half as much again as there is room for is not little. */
static bool fits(struct view_matrix *matrix, const struct area *area)
{
    matrix->folded = false;
    struct shape shape = shape_of(matrix, area);
    long rows = (long)matrix->nodes.row.count, columns = (long)matrix->nodes.column.count * shape.cell;
    return rows * 2 <= shape.body * 3L && columns * 2 <= (area->columns - shape.label) * 3L;
}

static void choose_folding(struct view_matrix *matrix, const struct area *area)
{
    bool narrowed = matrix->order.row_group != SIZE_MAX || matrix->order.column_group != SIZE_MAX;
    if (!matrix_can_fold(matrix) || narrowed || matrix->fold == FOLD_OFF)
        matrix->folded = false;
    else
        matrix->folded = matrix->fold == FOLD_ON || !fits(matrix, area);
}

/* ---- scrolling -------------------------------------------------------------------------------------------------- */

/* The first item with which everything up to END is seen in ROOM. */
static size_t first_before(const struct view_matrix *matrix, const struct axis *axis, size_t end, int room, int size)
{
    size_t first = end;
    int used = size;
    while (first > 0) {
        used += size + separates(matrix, axis, first);
        if (used > room)
            break;
        first--;
    }
    return first;
}

static void scroll(const struct view_matrix *matrix, struct axis *axis, int room, int size)
{
    if (axis->count == 0 || room <= 0) {
        axis->top = 0;
        return;
    }
    size_t lowest = first_before(matrix, axis, axis->at, room, size), last = first_before(matrix, axis, axis->count - 1, room, size);
    if (axis->top < lowest)
        axis->top = lowest;
    if (axis->top > axis->at)
        axis->top = axis->at;
    if (axis->top > last)
        axis->top = last;
}

/* Where each item of the screen stands: places of the axis by position, -1 where there is none. Returns the end. */
static int lay_out(const struct view_matrix *matrix, struct axis *axis, int begin, int end, int size, int32_t *at)
{
    for (int i = 0; i < SURFACE_MOST; i++)
        at[i] = -1;
    axis->visible = 0;
    int position = begin;
    for (size_t i = axis->top; i < axis->count; i++) {
        if (i > axis->top)
            position += separates(matrix, axis, i);
        if (position + size > end)
            break;
        for (int k = 0; k < size; k++)
            at[position + k] = (int32_t)i;
        position += size;
        axis->visible++;
    }
    return position;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static void draw_title(const struct view_matrix *matrix, const struct scene *scene, const struct area *area)
{
    const struct matrix_order *order = &matrix->order;
    const struct matrix_axes *axes = matrix->folded ? &matrix->groups : &matrix->nodes;
    int column = area_bold(area, 0, 0, STYLE_TITLE, "Rows hear columns");
    const char *dot = area->surface->ascii ? " - " : " · ";
    if (order->row_group != SIZE_MAX && order->column_group != SIZE_MAX) {
        column += area_text(area, 0, column, STYLE_DIM, dot);
        struct buf name = BUF_EMPTY;
        buf_add_format(&name, "%s hears ", node_group_name(&order->groups, order->row_group, scene));
        buf_add_text(&name, node_group_name(&order->groups, order->column_group, scene));
        column += area_text(area, 0, column, STYLE_ACCENT, buf_text(&name));
        buf_free(&name);
    }
    column += area_format(area, 0, column, STYLE_DIM, "%s%s", dot, matrix_sort_names[order->sort]);
    const char *what = matrix->folded ? "groups" : "nodes";
    bool rows_hidden = axes->row.visible < axes->row.count, columns_hidden = axes->column.visible < axes->column.count;
    if (rows_hidden)
        column += area_format(area, 0, column, STYLE_DIM, "%srows %zu-%zu of %zu", dot, axes->row.top + 1, axes->row.top + axes->row.visible, axes->row.count);
    if (columns_hidden)
        column += area_format(area, 0, column, STYLE_DIM, "%scolumns %zu-%zu of %zu", dot, axes->column.top + 1, axes->column.top + axes->column.visible, axes->column.count);
    if (!rows_hidden && !columns_hidden)
        column += area_format(area, 0, column, STYLE_DIM, "%s%zu %s", dot, axes->row.count, what);
    if (matrix->folded && area->columns - column > 24)
        area_format(area, 0, column, STYLE_DIM, "%sfolded; Tab opens", dot);
}

static enum style item_style(const struct view_matrix *matrix, const struct scene *scene, uint32_t item)
{
    if (matrix->folded)
        return STYLE_TEXT;
    enum node_state state = scene->picture.diagnosis->nodes[item].state;
    return state == NODE_UP ? STYLE_TEXT : look_of_node(state).style;
}

/* A name from top to bottom, standing on the cells; too long: its beginning, and a dot. */
static void draw_down(const struct area *area, const struct shape *shape, int column, enum style style, const char *text)
{
    int width = (int)text_width(text), row = most(0, shape->head - width);
    uint32_t character;
    for (size_t used; (used = text_decode(text, strlen(text), &character)) > 0 && row < shape->head; text += used) {
        unsigned wide = text_character_width(character);
        if (wide == 0 || (int)wide > shape->cell)
            continue;
        area_character(area, row, column, style, row == shape->head - 1 && text[used] ? '.' : character);
        row++;
    }
}

/* The number of a node is its place in the mesh file, the same in every order. */
static void draw_head(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, const struct shape *shape, int column, size_t i)
{
    const struct axis *axis = matrix->folded ? &matrix->groups.column : &matrix->nodes.column;
    bool here = i == axis->at;
    enum style style = here ? STYLE_ACCENT : item_style(matrix, scene, axis->items[i]) == STYLE_TEXT ? STYLE_HEADING : item_style(matrix, scene, axis->items[i]);
    struct area on = area_on(area, here ? GROUND_MARKED : area->ground);
    struct buf name = BUF_EMPTY;
    if (shape->heads == HEADS_FLAT) {
        area_field(&on, 0, column + 1, shape->cell - 2, false, style, head_name(matrix, scene, axis->items[i], &name));
    } else if (shape->heads == HEADS_NUMBERS) {
        char text[24];
        int length = snprintf(text, sizeof text, "%u", axis->items[i] + 1);
        if (shape->cell > shape->digits)
            area_text(&on, 0, column, style, text);
        else
            for (int k = 0; k < length && k < shape->head; k++)
                area_character(&on, shape->head - most(length, 1) + k, column, style, (uint32_t)text[k]);
    } else {
        draw_down(&on, shape, column, style, head_name(matrix, scene, axis->items[i], &name));
    }
    buf_free(&name);
}

static void draw_heads(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, const struct shape *shape)
{
    if (shape->head > 0 && shape->label > HEARS + 2) {
        area_field(area, shape->head - 1, 1, shape->label - 4, true, STYLE_DIM, "hears");
        area_glyph(area, shape->head - 1, shape->label - 2, STYLE_DIM, GLYPH_ARROW);
    }
    for (int column = shape->label; column < area->columns; column++)
        if (matrix->column_at[column] >= 0 && matrix->column_at[column] != matrix->column_at[column - 1])
            draw_head(matrix, scene, area, shape, column, (size_t)matrix->column_at[column]);
}

static void draw_label(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, const struct shape *shape, int row, size_t i)
{
    const struct axis *axis = matrix->folded ? &matrix->groups.row : &matrix->nodes.row;
    bool here = i == axis->at;
    enum style style = here ? STYLE_ACCENT : item_style(matrix, scene, axis->items[i]);
    struct area on = area_on(area, here ? GROUND_MARKED : area->ground);
    if (here)
        area_glyph(&on, row, 0, STYLE_ACCENT, GLYPH_CURSOR);
    int column = 1;
    if (shape->heads == HEADS_NUMBERS) {
        char number[16];
        snprintf(number, sizeof number, "%u", axis->items[i] + 1);
        area_field(&on, row, column, shape->digits, true, STYLE_DIM, number);
        column += shape->digits + 1;
    }
    struct buf name = BUF_EMPTY;
    area_field(&on, row, column, shape->label - column - 1, false, style, item_name(matrix, scene, axis->items[i], &name));
    buf_free(&name);
}

/* What stands beside the glyph when a cell is wide enough: how long ago the row heard a handshake; of groups, how many are not well. */
static void cell_text(const struct view_matrix *matrix, uint32_t to, uint32_t from, const struct link *link, int room, struct buf *text)
{
    if (matrix->folded) {
        const struct fold *fold = matrix_fold(&matrix->order, to, from);
        if (fold->bad >= 10000)
            buf_add_format(text, "%uk", fold->bad / 1000);
        else if (fold->bad)
            buf_add_format(text, "%s%u", room >= 12 ? " " : "", fold->bad);
        else if (room >= 12 && fold->directions)
            buf_add_format(text, " %u", fold->directions);
        if (fold->bad && room >= 12)
            buf_add_format(text, " of %u", fold->directions);
        return;
    }
    int64_t age = !link ? -1 : to == link->a ? link->a_age : link->b_age;
    if (age >= 0) {
        buf_add_char(text, ' ');
        words_age(age, text);
    }
}

static void draw_cell(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, const struct shape *shape, int row, int column,
                      uint32_t to, uint32_t from, bool here)
{
    bool flat = shape->heads == HEADS_FLAT;
    struct look_of look = {GLYPH_SELF, STYLE_DIM};
    const struct link *link = NULL;
    if (matrix->folded) {
        look = course_look(matrix_fold(&matrix->order, to, from)->worst);
    } else if (to != from) {
        link = link_index_find(&matrix->order.links, scene, to, from);
        look = course_look(course_of(link, link && from == link->a));
    }
    area_glyph(area, row, column + flat, look.style, look.glyph);
    if (flat || matrix->folded) {
        struct buf text = BUF_EMPTY;
        cell_text(matrix, to, from, link, shape->cell, &text);
        area_field(area, row, column + flat + 1, shape->cell - 2 - flat, false, look.style == STYLE_GOOD ? STYLE_DIM : look.style, buf_text(&text));
        buf_free(&text);
    }
    if (here && shape->cell >= 2) {
        area_character(area, row, flat ? column : column - 1, STYLE_ACCENT, '[');
        area_character(area, row, column + shape->cell - 1 - (flat || shape->cell == 2 || matrix->folded ? 0 : shape->cell - 2), STYLE_ACCENT, ']');
    }
}

static void draw_row(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, const struct shape *shape, int row, size_t i)
{
    const struct matrix_axes *axes = matrix->folded ? &matrix->groups : &matrix->nodes;
    draw_label(matrix, scene, area, shape, row, i);
    int cursor = -1;
    for (int column = shape->label; column < area->columns; column++) {
        int32_t at = matrix->column_at[column];
        if (at < 0 || at == matrix->column_at[column - 1])
            continue;
        bool across = i == axes->row.at, down = (size_t)at == axes->column.at;
        if (across && down) {
            cursor = column;
            continue;
        }
        struct area on = area_on(area, across || down ? GROUND_MARKED : area->ground);
        if (across || down) {
            struct area cell = area_part(&on, row, column, 1, shape->cell - (down && !across && shape->cell > 1 && shape->heads != HEADS_FLAT));
            area_fill(&cell);
        }
        draw_cell(matrix, scene, &on, shape, row, column, axes->row.items[i], axes->column.items[at], false);
    }
    if (cursor < 0)
        return;
    struct area on = area_on(area, GROUND_SELECTED); /* last: its brackets stand in its neighbours' gaps */
    struct area cell = area_part(&on, row, cursor, 1, shape->cell);
    area_fill(&cell);
    draw_cell(matrix, scene, &on, shape, row, cursor, axes->row.items[i], axes->column.items[axes->column.at], true);
}

static void draw_row_separator(const struct view_matrix *matrix, const struct scene *scene, const struct area *area, int row, size_t i)
{
    const struct axis *axis = &matrix->nodes.row;
    area_line(area, row, 0, area->columns, STYLE_BORDER);
    struct buf text = BUF_EMPTY;
    buf_add_format(&text, " %s ", node_group_name(&matrix->order.groups, matrix->order.groups.of[axis->items[i]], scene));
    area_text(area, row, 2, STYLE_DIM, buf_text(&text));
    buf_free(&text);
}

static void draw_column_separators(const struct view_matrix *matrix, const struct area *area, const struct shape *shape, int end)
{
    if (!is_separated(matrix))
        return;
    for (int column = shape->label + 1; column < end; column++)
        if (matrix->column_at[column] < 0)
            area_column(area, 0, column, area->rows, STYLE_BORDER);
}

/* ---- below ------------------------------------------------------------------------------------------------------ */

static void fold_sentence(const struct view_matrix *matrix, const struct scene *scene, uint32_t to, uint32_t from, struct buf *buf)
{
    const struct fold *fold = matrix_fold(&matrix->order, to, from);
    buf_add_format(buf, "%s hears ", node_group_name(&matrix->order.groups, to, scene));
    buf_add_format(buf, "%s: ", node_group_name(&matrix->order.groups, from, scene));
    if (fold->directions == 0)
        buf_add_text(buf, "no links");
    else if (fold->bad == 0)
        buf_add_format(buf, "%u direction%s, none late or blocked", fold->directions, fold->directions == 1 ? "" : "s");
    else
        buf_add_format(buf, "%u of %u directions not well, the worst: %s (Enter shows them)", fold->bad, fold->directions, course_text(fold->worst));
}

static void self_sentence(const struct scene *scene, size_t node, struct buf *buf)
{
    struct buf text = BUF_EMPTY;
    const struct node_summary *summary = &scene->picture.diagnosis->nodes[node];
    buf_add_format(buf, "%s itself: %s", scene_name(scene, node, &text), node_state_text(summary->state));
    if (summary->device)
        buf_add_format(buf, ", %zu of %zu rows live", summary->live, summary->rows);
    const struct fault *fault = scene_fault_of_node(scene, node);
    if (fault)
        buf_add_format(buf, "; %s", scene_text(scene, fault->summary, &text));
    buf_free(&text);
}

static void draw_counts(const struct view_matrix *matrix, const struct area *area, int row)
{
    int column = 0;
    for (unsigned course = COURSE_COUNT; course-- > COURSE_LIVE;) {
        size_t count = matrix->order.trouble.counts[course];
        if (count == 0)
            continue;
        struct look_of look = course_look(course);
        area_glyph(area, row, column, look.style, look.glyph);
        column += 2 + area_format(area, row, column + 2, STYLE_DIM, "%s %zu", course_text(course), count) + 2;
    }
    if (column == 0)
        area_text(area, row, 0, STYLE_DIM, "no links");
}

static void draw_below(const struct view_matrix *matrix, const struct scene *scene, const struct area *area)
{
    const struct matrix_axes *axes = matrix->folded ? &matrix->groups : &matrix->nodes;
    uint32_t to = axes->row.selected, from = axes->column.selected;
    struct buf text = BUF_EMPTY;
    for (int row = 0; row < least(2, area->rows); row++) {
        uint32_t swap = to;
        if (row == 1) {
            to = from;
            from = swap;
        }
        buf_clear(&text);
        if (matrix->folded)
            fold_sentence(matrix, scene, to, from, &text);
        else if (to == from)
            self_sentence(scene, to, &text);
        else
            course_sentence(scene, from, to, link_index_find(&matrix->order.links, scene, to, from), &text);
        area_field(area, row, 0, area->columns, false, row == 0 ? STYLE_TEXT : STYLE_DIM, buf_text(&text));
        if (to == from)
            break;
    }
    buf_free(&text);
    if (area->rows >= 3)
        draw_counts(matrix, area, 2);
}

static void draw_empty(const struct scene *scene, const struct area *area)
{
    const char *text = scene->picture.mesh->node_count == 0 ? "There are no nodes in this mesh."
                       : scene->node_matches && scene->filter && *scene->filter ? "No node matches the filter."
                       : scene->faults_only ? "Nothing is wrong: every direction that can be seen is well (f shows all)."
                                            : "There is nothing to show.";
    area_paragraph(area, area->rows > 2, 1, area->columns - 2, area->rows, STYLE_DIM, text, true);
}

void matrix_draw(struct view_matrix *matrix, const struct scene *scene, const struct area *area)
{
    choose_folding(matrix, area);
    struct matrix_axes *axes = matrix_axes(matrix);
    struct shape shape = shape_of(matrix, area);
    scroll(matrix, &axes->row, shape.body, 1);
    scroll(matrix, &axes->column, area->columns - shape.label, shape.cell);
    int top = shape.title + shape.head;
    lay_out(matrix, &axes->row, top, least(top + shape.body, SURFACE_MOST), 1, matrix->row_at);
    int end = lay_out(matrix, &axes->column, shape.label, least(area->columns, SURFACE_MOST), shape.cell, matrix->column_at);
    if (axes->row.count == 0 || axes->column.count == 0) {
        draw_empty(scene, area);
        return;
    }
    if (shape.title)
        draw_title(matrix, scene, area);
    struct area heads = area_part(area, shape.title, 0, shape.head, area->columns), body = area_part(area, top, 0, shape.body, area->columns);
    int used = (int)axes->row.visible + (int)(is_separated(matrix) ? rows_needed(matrix) - (long)axes->row.count : 0), gap = used < shape.body;
    int under = used + gap < shape.body ? top + used + gap : area->rows - shape.below; /* near the cells that it is about */
    struct area below = area_part(area, under, 0, shape.below, area->columns);
    draw_column_separators(matrix, &body, &shape, end);
    draw_heads(matrix, scene, &heads, &shape);
    for (int row = 0; row < shape.body; row++) {
        int32_t at = matrix->row_at[top + row];
        if (at >= 0)
            draw_row(matrix, scene, &body, &shape, row, (size_t)at);
        else if (is_separated(matrix) && row > 0 && matrix->row_at[top + row + 1] >= 0)
            draw_row_separator(matrix, scene, &body, row, (size_t)matrix->row_at[top + row + 1]);
    }
    draw_below(matrix, scene, &below);
}
