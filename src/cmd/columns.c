/* Text for people. */
#include "columns.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    NARROW = 44,     /* a last column with less room than this is no place for a sentence: it goes below its row */
    NOTE_INDENT = 6,
};

static const struct {
    const char *utf8, *ascii, *colour;
} mark_looks[] = {
    [MARK_NONE] = {" ", " ", NULL},
    [MARK_GOOD] = {"\xe2\x9c\x93", "+", "32"},
    [MARK_WARNING] = {"!", "!", "33"},
    [MARK_BAD] = {"\xe2\x9c\x97", "x", "31"},
    [MARK_UNKNOWN] = {"?", "?", "35"},
};

const char *mark_glyph(const struct terminal *terminal, enum mark mark)
{
    return terminal->utf8 ? mark_looks[mark].utf8 : mark_looks[mark].ascii;
}

static void add_coloured(struct buf *buf, const struct terminal *terminal, const char *colour, const char *text)
{
    if (terminal->colour && colour && *text)
        buf_add_format(buf, "\033[%sm%s\033[0m", colour, text);
    else
        buf_add_text(buf, text);
}

void add_marked(struct buf *buf, const struct terminal *terminal, enum mark mark, const char *text)
{
    add_coloured(buf, terminal, mark_looks[mark].colour, text);
}

void add_bold(struct buf *buf, const struct terminal *terminal, const char *text)
{
    add_coloured(buf, terminal, "1", text);
}

void columns_row(struct columns *columns, enum mark mark, const char *const *cells)
{
    MEM_GROW(columns->marks, columns->row_count, columns->mark_capacity);
    columns->marks[columns->row_count] = mark;
    size_t needed = (columns->row_count + 1) * columns->count;
    if (needed > columns->row_capacity) {
        columns->row_capacity = needed * 2;
        columns->cells = mem_resize(columns->cells, columns->row_capacity, sizeof *columns->cells);
    }
    for (size_t i = 0; i < columns->count; i++)
        columns->cells[columns->row_count * columns->count + i] = mem_text(cells[i] ? cells[i] : "");
    columns->row_count++;
}

void add_filled(struct buf *buf, const char *text, size_t at, size_t indent, size_t width)
{
    bool first = true;
    if (width < indent + 20)
        width = indent + 20;
    while (*text) {
        size_t length = strcspn(text, " ");
        char *word = mem_text_part(text, length);
        size_t wide = text_width(word);
        if (!first && at + 1 + wide > width) {
            buf_add_format(buf, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_add_char(buf, ' ');
            at++;
        }
        buf_add(buf, word, length);
        free(word);
        at += wide;
        text += length;
        text += strspn(text, " ");
        first = false;
    }
    buf_add_char(buf, '\n');
}

static void measure(const struct columns *columns, size_t widths[COLUMNS_MOST])
{
    for (size_t c = 0; c < columns->count; c++) {
        widths[c] = 0;
        for (size_t r = 0; r < columns->row_count; r++) {
            size_t width = text_width(columns->cells[r * columns->count + c]);
            if (width > widths[c])
                widths[c] = width;
        }
        size_t title = text_width(columns->titles[c]);
        if (widths[c] && title > widths[c])
            widths[c] = title;
    }
}

static void write_cells(const struct columns *columns, const char *const *cells, const size_t widths[COLUMNS_MOST],
                        const struct terminal *terminal, struct buf *buf)
{
    size_t at = 2, last = columns->count - 1;
    size_t gap = 0; /* spaces owed: none are left at the end of a line */
    for (size_t c = 0; c < last; c++) {
        size_t width = text_width(cells[c]), pad = widths[c] - (width < widths[c] ? width : widths[c]);
        if (!widths[c])
            continue;
        gap += columns->right[c] ? pad : 0;
        if (*cells[c]) {
            buf_add_format(buf, "%*s%s", (int)gap, "", cells[c]);
            gap = 0;
        } else {
            gap += width;
        }
        gap += 2 + (columns->right[c] ? 0 : pad);
        at += widths[c] + 2;
    }
    if (*cells[last] && at + text_width(cells[last]) > terminal->width && at + NARROW > terminal->width) {
        buf_add_format(buf, "\n%*s", NOTE_INDENT, "");
        add_filled(buf, cells[last], NOTE_INDENT, NOTE_INDENT, terminal->width);
    } else if (*cells[last]) {
        buf_add_format(buf, "%*s", (int)gap, "");
        add_filled(buf, cells[last], at, at, terminal->width);
    } else {
        buf_add_char(buf, '\n');
    }
}

void columns_write(struct columns *columns, const struct terminal *terminal, struct buf *buf)
{
    size_t widths[COLUMNS_MOST];
    struct buf line = BUF_EMPTY;
    measure(columns, widths);
    const char *titles[COLUMNS_MOST];
    for (size_t c = 0; c < columns->count; c++)
        titles[c] = widths[c] ? columns->titles[c] : "";
    write_cells(columns, titles, widths, terminal, &line);
    while (line.length && (line.data[line.length - 1] == '\n' || line.data[line.length - 1] == ' '))
        line.data[--line.length] = '\0';
    buf_add_text(buf, "  ");
    add_bold(buf, terminal, buf_text(&line));
    buf_add_char(buf, '\n');
    for (size_t r = 0; r < columns->row_count; r++) {
        add_marked(buf, terminal, columns->marks[r], mark_glyph(terminal, columns->marks[r]));
        buf_add_char(buf, ' ');
        const char *row[COLUMNS_MOST];
        for (size_t c = 0; c < columns->count; c++)
            row[c] = columns->cells[r * columns->count + c];
        write_cells(columns, row, widths, terminal, buf);
    }
    buf_free(&line);
    for (size_t i = 0; i < columns->row_count * columns->count; i++)
        free(columns->cells[i]);
    free(columns->cells);
    free(columns->marks);
    columns->cells = NULL;
    columns->marks = NULL;
    columns->row_count = columns->row_capacity = columns->mark_capacity = 0;
}

/* "n007.prod" as stem "n", number 7 of width 3, tail ".prod": the last run of digits counts. */
struct numbered {
    size_t stem, digits;
    unsigned long number;
    const char *tail;
};

static struct numbered split(const char *name)
{
    size_t end = strlen(name);
    while (end && !isdigit((unsigned char)name[end - 1]))
        end--;
    size_t start = end;
    while (start && isdigit((unsigned char)name[start - 1]) && end - start < 9)
        start--;
    return (struct numbered){start, end - start, end > start ? strtoul(name + start, NULL, 10) : 0, name + end};
}

static int compare_names(const void *a, const void *b)
{
    return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

static bool follows(const char *name, const char *next, const struct numbered *here, const struct numbered *there)
{
    return here->digits && there->digits && here->stem == there->stem && !strncmp(name, next, here->stem) &&
           !strcmp(here->tail, there->tail) && there->number == here->number + 1 &&
           (here->digits == there->digits || (name[here->stem] != '0' && next[there->stem] != '0'));
}

void add_folded_names(struct buf *buf, const char **names, size_t count)
{
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count;) {
        struct numbered first = split(names[i]), last = first;
        size_t end = i + 1;
        for (; end < count; end++) {
            struct numbered next = split(names[end]);
            if (!follows(names[end - 1], names[end], &last, &next))
                break;
            last = next;
        }
        buf_add_text(buf, i ? "," : "");
        if (end - i >= 3) {
            buf_add_format(buf, "%.*s[%.*s-%.*s]%s", (int)first.stem, names[i], (int)first.digits, names[i] + first.stem,
                           (int)last.digits, names[end - 1] + last.stem, first.tail);
        } else {
            buf_add_text(buf, names[i]);
            end = i + 1;
        }
        i = end;
    }
}
