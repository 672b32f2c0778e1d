/* A table on the screen: which columns fit and how wide they are, the heading, the rows that are seen, and clicks on them. */
#include <stdlib.h>
#include <string.h>

#include "table_private.h"
#include "words.h"

enum { ROOMY = 72 }; /* from this width on there is room for wider gaps */

/* How the columns lie for one draw. */
struct layout {
    int columns[TABLE_COLUMNS_MOST];
    int widths[TABLE_COLUMNS_MOST]; /* as they would like to be, then as they are */
    int least[TABLE_COLUMNS_MOST];
    int full[TABLE_COLUMNS_MOST];   /* what is in them needs no more */
    size_t count;
    int gutter, gap;
    bool scrolled;
};

static const struct table_column *column_of(const struct table *table, const struct layout *layout, size_t i)
{
    return &table->list->columns[layout->columns[i]];
}

/* A sentence: it has no limit, gets what the others leave, and gives way in a narrow terminal before they are dropped for it; the more it has to
 * say, the less. */
static bool is_sentence(const struct table_column *column)
{
    return column->width && !column->most && !column->right;
}

static int least_width(const struct table_column *column, int title, int want, int full, int columns)
{
    int least = column->width ? column->width : want, share = columns * 3 / 10, larger = columns * 9 / 20;
    if (column->share)
        share = columns * column->share / 100;
    else if (full > share)
        share = full < larger ? full : larger;
    if (is_sentence(column) && least > share)
        least = share;
    if (least < title)
        least = title;
    return least < want ? least : want;
}

/* How wide each column would like to be, from the rows that are seen; never less than before at this width. */
static void measure(struct table *table, const struct scene *scene, struct layout *layout, size_t rows)
{
    struct buf buf = BUF_EMPTY;
    for (size_t i = 0; i < layout->count; i++) {
        const struct table_column *column = column_of(table, layout, i);
        int want = table->widths[layout->columns[i]], title = words_width(column->title);
        if (want < title)
            want = title;
        for (size_t row = 0; row < rows; row++) {
            buf_clear(&buf);
            column->cell(scene, table->rows[table->top + row], &buf);
            int width = words_width(buf_text(&buf));
            if (want < width)
                want = width;
        }
        if (column->most && want > column->most)
            want = column->most > title ? column->most : title;
        table->widths[layout->columns[i]] = layout->full[i] = want;
        layout->widths[i] = want = want > column->width ? want : column->width;
        layout->least[i] = least_width(column, title, want, layout->full[i], table->width);
    }
    buf_free(&buf);
}

static int total(const struct layout *layout, const int *widths)
{
    int sum = layout->gutter;
    for (size_t i = 0; i < layout->count; i++)
        sum += widths[i] + (i ? layout->gap : 0);
    return sum;
}

/* Columns of the same weight go together: one direction without the other would mislead. */
static bool drop_next(const struct table *table, struct layout *layout)
{
    int highest = 0;
    size_t kept = 0;
    for (size_t i = 0; i < layout->count; i++)
        if (column_of(table, layout, i)->drop > highest)
            highest = column_of(table, layout, i)->drop;
    for (size_t i = 0; i < layout->count; i++) {
        if (highest && column_of(table, layout, i)->drop == highest)
            continue;
        layout->columns[kept] = layout->columns[i];
        layout->widths[kept] = layout->widths[i];
        layout->least[kept++] = layout->least[i];
    }
    layout->count = kept;
    return highest > 0;
}

/* To each that wants more, a column at a time, so that names at both ends of a link are cut alike. Returns what is left. */
static int give_out(const struct table *table, struct layout *layout, int spare, bool sentences)
{
    for (bool any = true; any && spare > 0;) {
        any = false;
        for (size_t i = 0; i < layout->count && spare > 0; i++)
            if (is_sentence(column_of(table, layout, i)) == sentences && layout->least[i] < layout->widths[i]) {
                layout->least[i]++;
                spare--;
                any = true;
            }
    }
    return spare;
}

/* Columns go until the least fits; then what is left over is given out. What still does not fit is scrolled to. */
static void fit(struct table *table, struct layout *layout, int width)
{
    int full = total(layout, layout->full);
    table->scroll_most = full > width ? full - width : 0;
    if (table->left > table->scroll_most)
        table->left = table->scroll_most;
    if (table->left > 0) { /* all columns, at their full width */
        layout->scrolled = true;
        memcpy(layout->widths, layout->full, sizeof layout->widths);
        return;
    }
    while (total(layout, layout->least) > width && drop_next(table, layout))
        ;
    int spare = width - total(layout, layout->least);
    spare = give_out(table, layout, spare, false);
    give_out(table, layout, spare, true);
    memcpy(layout->widths, layout->least, sizeof layout->widths);
}

/* Where the columns begin, kept for clicks. The first one stays when the others are scrolled. */
static void place(struct table *table, const struct layout *layout)
{
    int at = layout->gutter;
    table->placed_count = layout->count;
    for (size_t i = 0; i < layout->count; i++) {
        table->placed[i].column = layout->columns[i];
        table->placed[i].at = i && layout->scrolled ? at - table->left : at;
        table->placed[i].width = layout->widths[i];
        at += layout->widths[i] + layout->gap;
    }
}

/* The part of the row in which column I may draw, and where it begins in it. */
static struct area cell_area(const struct table *table, const struct layout *layout, const struct area *line, size_t i, int *at)
{
    int pinned = layout->scrolled && i ? table->placed[0].at + table->placed[0].width + 1 : 0;
    *at = table->placed[i].at - pinned;
    return area_part(line, 0, pinned, 1, line->columns - pinned);
}

static int titles_end(const struct table *table)
{
    if (!table->placed_count)
        return 0;
    const struct table_column *last = &table->list->columns[table->placed[table->placed_count - 1].column];
    int at = table->placed[table->placed_count - 1].at, width = table->placed[table->placed_count - 1].width;
    return last->right ? at + width : at + words_width(last->title) + 1;
}

static void draw_heading(const struct table *table, const struct layout *layout, const struct area *line)
{
    struct buf buf = BUF_EMPTY;
    for (size_t i = 0; i < layout->count; i++) {
        const struct table_column *column = column_of(table, layout, i);
        bool sorted = table->sort == layout->columns[i];
        int at;
        struct area part = cell_area(table, layout, line, i, &at);
        enum style style = sorted ? STYLE_ACCENT : STYLE_HEADING;
        words_field(&part, 0, at, layout->widths[i], column->right, style, column->title);
        if (!sorted)
            continue;
        int title = words_width(column->title); /* its direction stands beside it, in the gap if need be */
        enum glyph glyph = table->inverted ? GLYPH_SORT_DOWN : GLYPH_SORT_UP;
        area_glyph(&part, 0, column->right ? at + layout->widths[i] - title - 1 : at + title, style, glyph);
    }
    buf_free(&buf);
    if (layout->scrolled)
        area_glyph(line, 0, 0, STYLE_ACCENT, GLYPH_MORE_LEFT);
    if (table->scroll_most > table->left && titles_end(table) < line->columns)
        area_glyph(line, 0, line->columns - 1, STYLE_DIM, GLYPH_MORE_RIGHT);
}

static void draw_row(const struct table *table, const struct scene *scene, const struct layout *layout, const struct area *area, int row, size_t position, bool focused)
{
    struct buf buf = BUF_EMPTY;
    bool current = position == table->cursor, marked = table_row_is_marked(table, scene, position);
    struct area part = area_part(area, row, 0, 1, area->columns);
    struct area line = area_on(&part, current && focused ? GROUND_SELECTED : marked ? GROUND_MARKED : area->ground);
    area_fill(&line);
    if (marked)
        area_glyph(&line, 0, 0, STYLE_ACCENT, GLYPH_MARK);
    else if (current && (focused || !table->quiet))
        area_glyph(&line, 0, 0, focused ? STYLE_ACCENT : STYLE_DIM, GLYPH_CURSOR);
    for (size_t i = 0; i < layout->count; i++) {
        const struct table_column *column = column_of(table, layout, i);
        int at;
        struct area cell = cell_area(table, layout, &line, i, &at);
        buf_clear(&buf);
        enum style style = column->cell(scene, table->rows[position], &buf);
        words_field(&cell, 0, at, layout->widths[i], column->right, style, buf_text(&buf));
    }
    buf_free(&buf);
}

static void draw_empty(const struct table *table, const struct scene *scene, const struct area *area)
{
    struct buf buf = BUF_EMPTY;
    if (scene->filter && *scene->filter)
        buf_add_format(&buf, "Nothing %s the filter \"%s\". Esc ends it.", scene->filter_not ? "is left by" : "matches", scene->filter);
    else if (scene->faults_only)
        buf_add_text(&buf, "Only what is not well is shown, and all is well here. f shows everything.");
    else
        buf_add_text(&buf, table->list->empty);
    int row = area->rows > 4 ? 2 : 1;
    area_paragraph(area, row, 2, area->columns - 4, area->rows - row, STYLE_DIM, buf_text(&buf), true);
    buf_free(&buf);
}

/* "12-34 of 499,500". At the end of the heading if titles leave room for it, else in a line of its own below. */
static void add_position(const struct table *table, size_t height, struct buf *buf)
{
    size_t last = table->top + height < table->count ? table->top + height : table->count;
    if (table->mark_count)
        buf_add_format(buf, "%zu marked  ", table->mark_count);
    words_count(table->top + 1, buf);
    buf_add_char(buf, '-');
    words_count(last, buf);
    buf_add_text(buf, " of ");
    words_count(table->count, buf);
    buf_add_char(buf, ' ');
    if (table->top > 0)
        words_glyph(GLYPH_MORE_UP, buf);
    if (last < table->count)
        words_glyph(GLYPH_MORE_DOWN, buf);
}

static size_t visible_rows(const struct table *table, int height)
{
    size_t left = table->count - (table->top < table->count ? table->top : table->count);
    return height <= 0 ? 0 : left < (size_t)height ? left : (size_t)height;
}

/* The cursor is seen in HEIGHT rows, and no room is left empty that rows could fill. */
static void settle_top(struct table *table, int height)
{
    size_t room = height > 0 ? (size_t)height : 1, last_top = table->count > room ? table->count - room : 0;
    table->height = (int)room;
    if (table->cursor >= table->top + room)
        table->top = table->cursor - room + 1;
    if (table->cursor < table->top)
        table->top = table->cursor;
    if (table->top > last_top)
        table->top = last_top;
}

void table_draw(struct table *table, const struct scene *scene, const struct area *area, bool focused)
{
    struct layout layout = {.gutter = area->columns >= ROOMY ? 2 : 1, .gap = area->columns >= ROOMY ? 2 : 1};
    int height = area->rows - 1;
    if (area->columns != table->width)
        memset(table->widths, 0, sizeof table->widths);
    table->width = area->columns;
    settle_top(table, height);
    layout.count = table_chosen(table, layout.columns);
    measure(table, scene, &layout, visible_rows(table, height));
    fit(table, &layout, area->columns);
    place(table, &layout);

    struct buf position = BUF_EMPTY;
    bool below = false;
    if (table->mark_count || table->count > (size_t)(height > 0 ? height : 0)) {
        add_position(table, (size_t)(height > 0 ? height : 0), &position);
        below = titles_end(table) + words_width(buf_text(&position)) + 2 > area->columns && area->rows > 4;
        if (below)
            settle_top(table, --height);
    }
    struct area heading = area_part(area, 0, 0, 1, area->columns);
    draw_heading(table, &layout, &heading);
    size_t rows = visible_rows(table, height);
    for (size_t row = 0; row < rows; row++)
        draw_row(table, scene, &layout, area, (int)row + 1, table->top + row, focused);
    if (!table->count)
        draw_empty(table, scene, area);
    if (position.length) {
        buf_clear(&position);
        add_position(table, rows, &position);
        int width = words_width(buf_text(&position));
        if (below || titles_end(table) + width + 1 < area->columns)
            words_draw(area, below ? area->rows - 1 : 0, area->columns - width - 1, STYLE_DIM, buf_text(&position));
    }
    buf_free(&position);
}

static void click_heading(struct table *table, const struct scene *scene, int at)
{
    for (size_t i = 0; i < table->placed_count; i++) {
        const struct table_column *column = &table->list->columns[table->placed[i].column];
        if (at < table->placed[i].at || at >= table->placed[i].at + table->placed[i].width || !column->order)
            continue;
        bool again = table->sort == table->placed[i].column;
        table_sort_by(table, scene, table->placed[i].column, again ? !table->inverted : column->descending);
        return;
    }
}

bool table_mouse(struct table *table, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    if (wheel) {
        size_t position = wheel < 0 ? (table->cursor > 3 ? table->cursor - 3 : 0) : table->cursor + 3;
        table_move(table, scene, position);
        return true;
    }
    if (row == 0) {
        click_heading(table, scene, column);
        return true;
    }
    if (row < 1 || row > table->height || table->top + (size_t)row - 1 >= table->count)
        return false;
    table_move(table, scene, table->top + (size_t)row - 1);
    if (double_click)
        wish->open = table_subject(table, scene, &wish->subject);
    return true;
}
