/* A table as something to keep: copied, saved as text, JSON or CSV; and what ":sort" and ":columns" do. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "table_private.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "words.h"

static void add_cell(const struct table_column *column, const struct scene *scene, uint32_t row, bool exported, struct buf *buf)
{
    struct buf cell = BUF_EMPTY;
    column->cell(scene, row, &cell);
    words_plain(buf_text(&cell), exported, buf);
    buf_free(&cell);
}

static const char *title_of(const struct table_column *column)
{
    return *column->title ? column->title : column->name;
}

static void copy_row(const struct table *table, const struct scene *scene, uint32_t row, const int *chosen, size_t count, struct buf *buf)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(buf, '\t');
        add_cell(&table->list->columns[chosen[i]], scene, row, false, buf);
    }
    buf_add_char(buf, '\n');
}

void table_copy(const struct table *table, const struct scene *scene, struct buf *buf)
{
    int chosen[TABLE_COLUMNS_MOST];
    size_t count = table_chosen(table, chosen);
    if (!table->count)
        return;
    for (size_t i = 0; i < count; i++)
        buf_add_format(buf, "%s%s", i ? "\t" : "", title_of(&table->list->columns[chosen[i]]));
    buf_add_char(buf, '\n');
    bool any = false;
    for (size_t i = 0; table->mark_count && i < table->count; i++) {
        if (!table_row_is_marked(table, scene, i))
            continue;
        copy_row(table, scene, table->rows[i], chosen, count, buf);
        any = true;
    }
    if (!any)
        copy_row(table, scene, table->rows[table->cursor], chosen, count, buf);
}

/* ---- save -------------------------------------------------------------------------------------------------------- */

static void pad(struct buf *buf, int columns)
{
    for (; columns > 0; columns--)
        buf_add_char(buf, ' ');
}

static void save_line(const struct table *table, const int *chosen, size_t count, const int *widths, char *const *cells, struct buf *buf)
{
    for (size_t i = 0; i < count; i++) {
        int spare = widths[i] - words_width(cells[i]);
        bool right = table->list->columns[chosen[i]].right;
        if (i)
            pad(buf, 2);
        if (right)
            pad(buf, spare);
        buf_add_text(buf, cells[i]);
        if (!right && i + 1 < count)
            pad(buf, spare);
    }
    while (buf->length && buf->data[buf->length - 1] == ' ')
        buf->data[--buf->length] = '\0';
    buf_add_char(buf, '\n');
}

/* Once to measure, once to write: cells of half a million rows are not kept. */
static void save_text(const struct table *table, const struct scene *scene, const int *chosen, size_t count, struct buf *buf)
{
    int widths[TABLE_COLUMNS_MOST];
    struct buf cells[TABLE_COLUMNS_MOST] = {0};
    char *texts[TABLE_COLUMNS_MOST];
    for (size_t i = 0; i < count; i++)
        widths[i] = words_width(title_of(&table->list->columns[chosen[i]]));
    for (int writing = 0; writing < 2; writing++)
        for (size_t line = writing ? 0 : 1; line <= table->count; line++) {
            for (size_t i = 0; i < count; i++) {
                const struct table_column *column = &table->list->columns[chosen[i]];
                buf_clear(&cells[i]);
                if (line)
                    add_cell(column, scene, table->rows[line - 1], false, &cells[i]);
                else
                    buf_add_text(&cells[i], title_of(column));
                buf_add_text(&cells[i], ""); /* never NULL */
                texts[i] = cells[i].data;
                int width = writing ? 0 : words_width(texts[i]);
                if (width > widths[i])
                    widths[i] = width;
            }
            if (writing)
                save_line(table, chosen, count, widths, texts, buf);
        }
    for (size_t i = 0; i < count; i++)
        buf_free(&cells[i]);
}

/* "12", "-3.5"; not "007", which is a name, and nothing that JSON would read in another way. */
static bool is_number(const char *text)
{
    const char *at = text + (*text == '-');
    if (!isdigit((unsigned char)*at) || (*at == '0' && isdigit((unsigned char)at[1])))
        return false;
    size_t digits = strspn(at, "0123456789");
    at += digits;
    if (*at == '.') {
        size_t more = strspn(at + 1, "0123456789");
        digits += more;
        at += more ? 1 + more : 0;
    }
    return !*at && digits <= 15;
}

/* A line that only divides is nothing, and not saved as data. */
static bool is_something(const struct table *table, const struct scene *scene, size_t row)
{
    struct subject subject;
    table->list->subject(scene, table->rows[row], &subject);
    return subject.kind != SUBJECT_NONE;
}

static void save_json(const struct table *table, const struct scene *scene, const int *chosen, size_t count, struct buf *buf)
{
    struct json json = json_begin(buf);
    struct buf cell = BUF_EMPTY;
    json_list(&json, NULL);
    for (size_t row = 0; row < table->count; row++) {
        if (!is_something(table, scene, row))
            continue;
        json_object(&json, NULL);
        for (size_t i = 0; i < count; i++) {
            const struct table_column *column = &table->list->columns[chosen[i]];
            buf_clear(&cell);
            add_cell(column, scene, table->rows[row], true, &cell);
            const char *text = buf_text(&cell);
            if (!is_number(text))
                json_text(&json, column->name, *text ? text : NULL);
            else if (strchr(text, '.'))
                json_decimal(&json, column->name, strtod(text, NULL), (int)strlen(strchr(text, '.') + 1));
            else
                json_number(&json, column->name, strtoll(text, NULL, 10));
        }
        json_object_end(&json);
    }
    json_list_end(&json);
    buf_add_char(buf, '\n');
    buf_free(&cell);
}

/* RFC 4180. */
static void add_csv(struct buf *buf, const char *text, bool first)
{
    if (!first)
        buf_add_char(buf, ',');
    if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
        buf_add_text(buf, text);
        return;
    }
    buf_add_char(buf, '"');
    for (; *text; text++) {
        if (*text == '"')
            buf_add_char(buf, '"');
        buf_add_char(buf, *text);
    }
    buf_add_char(buf, '"');
}

static void save_csv(const struct table *table, const struct scene *scene, const int *chosen, size_t count, struct buf *buf)
{
    struct buf cell = BUF_EMPTY;
    for (size_t i = 0; i < count; i++)
        add_csv(buf, table->list->columns[chosen[i]].name, i == 0);
    buf_add_text(buf, "\r\n");
    for (size_t row = 0; row < table->count; row++) {
        if (!is_something(table, scene, row))
            continue;
        for (size_t i = 0; i < count; i++) {
            buf_clear(&cell);
            add_cell(&table->list->columns[chosen[i]], scene, table->rows[row], true, &cell);
            add_csv(buf, buf_text(&cell), i == 0);
        }
        buf_add_text(buf, "\r\n");
    }
    buf_free(&cell);
}

void table_save(const struct table *table, const struct scene *scene, enum save_format format, struct buf *buf)
{
    static void (*const savers[])(const struct table *, const struct scene *, const int *, size_t, struct buf *) = {
        [SAVE_TEXT] = save_text, [SAVE_JSON] = save_json, [SAVE_CSV] = save_csv};
    int chosen[TABLE_COLUMNS_MOST];
    savers[format](table, scene, chosen, table_chosen(table, chosen), buf);
}

/* ---- ":sort rtt", ":columns a,b" --------------------------------------------------------------------------------- */

void table_menu(struct table *table, const struct scene *scene, enum action action, const char *value)
{
    if (action == ACTION_COLUMNS) {
        snprintf(table->columns, sizeof table->columns, "%s", value);
        memset(table->widths, 0, sizeof table->widths);
        table->left = 0;
        return;
    }
    if (action != ACTION_SORT)
        return;
    bool inverted = *value == '-';
    value += inverted;
    int column = table_find_column(table, value, strlen(value));
    if (column >= 0 && !table->list->columns[column].order)
        column = -1;
    table_sort_by(table, scene, column, column >= 0 && (table->list->columns[column].descending != inverted));
}

size_t table_values(const struct table *table, enum action action, const char **values, size_t most)
{
    size_t count = 0;
    for (size_t i = 0; i < table_column_count(table); i++) {
        const struct table_column *column = &table->list->columns[i];
        if (action == ACTION_SORT && !column->order)
            continue;
        if (count < most)
            values[count] = column->name;
        count++;
    }
    return count < most ? count : most;
}
