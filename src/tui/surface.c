/* A grid of cells, and drawing into rectangles of it. A wide character is in two cells and is never half there: who writes over one half of it
 * leaves a space in the other. */
#include "surface.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const char *const glyphs_utf8[] = {
#define X(name, utf8, ascii) utf8,
    GLYPHS(X)
#undef X
};

static const char glyphs_ascii[] = {
#define X(name, utf8, ascii) ascii[0],
    GLYPHS(X)
#undef X
};

static const struct cell blank = {.character = ' ', .style = STYLE_TEXT, .ground = GROUND_NORMAL};

static int within(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

void surface_resize(struct surface *surface, int rows, int columns)
{
    rows = within(rows, 0, SURFACE_MOST);
    columns = within(columns, 0, SURFACE_MOST);
    if (rows != surface->rows || columns != surface->columns || !surface->cells) {
        free(surface->cells);
        surface->cells = mem_alloc((size_t)rows * (size_t)columns + 1, sizeof *surface->cells);
        surface->rows = rows;
        surface->columns = columns;
    }
    surface_clear(surface);
}

void surface_free(struct surface *surface)
{
    free(surface->cells);
    *surface = (struct surface){.ascii = surface->ascii, .cursor_row = -1, .cursor_column = -1};
}

void surface_clear(struct surface *surface)
{
    size_t count = (size_t)surface->rows * (size_t)surface->columns;
    for (size_t i = 0; i < count; i++)
        surface->cells[i] = blank;
    surface->cursor_row = surface->cursor_column = -1;
}

/* Reading it as text */

static void add_utf8(struct buf *buf, uint32_t character)
{
    if (character < 0x80) {
        buf_add_char(buf, (char)character);
        return;
    }
    if (character >= 0x10000)
        buf_add_char(buf, (char)(0xF0 | character >> 18));
    if (character >= 0x800)
        buf_add_char(buf, (char)(character >= 0x10000 ? 0x80 | (character >> 12 & 0x3F) : 0xE0 | character >> 12));
    buf_add_char(buf, (char)(character >= 0x800 ? 0x80 | (character >> 6 & 0x3F) : 0xC0 | character >> 6));
    buf_add_char(buf, (char)(0x80 | (character & 0x3F)));
}

static void end_line(struct buf *buf, size_t begin)
{
    while (buf->length > begin && buf->data[buf->length - 1] == ' ')
        buf->length--;
    buf_add_char(buf, '\n');
}

static void add_style_letter(struct buf *buf, const struct cell *cell)
{
    if (cell->character == ' ' && cell->ground == GROUND_NORMAL)
        buf_add_char(buf, ' ');
    else
        buf_add_char(buf, (char)((cell->ground == GROUND_SELECTED ? 'A' : 'a') + cell->style));
}

void surface_to_text(const struct surface *surface, bool styles, struct buf *buf)
{
    for (int block = 0; block <= (styles ? 1 : 0); block++)
        for (int row = 0; row < surface->rows; row++) {
            size_t begin = buf->length;
            for (int column = 0; column < surface->columns; column++) {
                const struct cell *cell = &surface->cells[row * surface->columns + column];
                if (block) {
                    add_style_letter(buf, cell);
                    continue;
                }
                if (cell->character)
                    add_utf8(buf, cell->character);
                for (int i = 0; i < CELL_MARKS && cell->character && cell->marks[i]; i++)
                    add_utf8(buf, cell->marks[i]);
            }
            end_line(buf, begin);
        }
}

/* Areas */

struct area area_whole(struct surface *surface)
{
    return (struct area){.surface = surface, .rows = surface->rows, .columns = surface->columns, .ground = GROUND_NORMAL};
}

struct area area_part(const struct area *area, int row, int column, int rows, int columns)
{
    int top = within(row, 0, area->rows), left = within(column, 0, area->columns);
    /* In 64 bits: ROW + ROWS of a careless caller must not run over. */
    int64_t bottom = (int64_t)row + (rows > 0 ? rows : 0), right = (int64_t)column + (columns > 0 ? columns : 0);
    bottom = bottom > area->rows ? area->rows : bottom;
    right = right > area->columns ? area->columns : right;
    return (struct area){.surface = area->surface, .row = area->row + top, .column = area->column + left, .ground = area->ground,
                         .rows = bottom > top ? (int)bottom - top : 0, .columns = right > left ? (int)right - left : 0};
}

struct area area_on(const struct area *area, enum ground ground)
{
    struct area on = *area;
    on.ground = ground;
    return on;
}

/* The cell at a place of the area; NULL outside. */
static struct cell *cell_at(const struct area *area, int row, int column)
{
    struct surface *surface = area->surface;
    if (row < 0 || column < 0 || row >= area->rows || column >= area->columns)
        return NULL;
    row += area->row;
    column += area->column;
    if (row < 0 || column < 0 || row >= surface->rows || column >= surface->columns)
        return NULL;
    return &surface->cells[(size_t)row * (size_t)surface->columns + (size_t)column];
}

/* A wide character of which CELL is one half becomes a space in the other. */
static void part_from_other_half(const struct area *area, struct cell *cell)
{
    const struct surface *surface = area->surface;
    ptrdiff_t index = cell - surface->cells, column = index % surface->columns;
    if (!cell->character && column > 0) {
        cell[-1].character = ' ';
        memset(cell[-1].marks, 0, sizeof cell[-1].marks);
    } else if (cell->character && column + 1 < surface->columns && !cell[1].character) {
        cell[1].character = ' ';
    }
}

static void put_cell(const struct area *area, int row, int column, enum style style, bool bold, uint32_t character)
{
    struct cell *cell = cell_at(area, row, column);
    if (!cell)
        return;
    part_from_other_half(area, cell);
    *cell = (struct cell){.character = character, .style = (uint8_t)style, .ground = (uint8_t)area->ground, .bold = bold};
}

static void put_character(const struct area *area, int row, int column, enum style style, bool bold, uint32_t character, int width)
{
    if (width == 2 && cell_at(area, row, column) && cell_at(area, row, column + 1)) {
        put_cell(area, row, column, style, bold, ' ');
        put_cell(area, row, column + 1, style, bold, ' ');
        struct cell *cell = cell_at(area, row, column);
        cell[0].character = character;
        cell[1].character = 0;
    } else if (width == 2) { /* one half would be outside */
        put_cell(area, row, column, style, bold, ' ');
        put_cell(area, row, column + 1, style, bold, ' ');
    } else {
        put_cell(area, row, column, style, bold, character);
    }
}

/* Joiners and selectors of emoji forms change widths from one terminal to the next: they are left out. */
static bool mark_is_steady(uint32_t mark)
{
    return !(mark >= 0x200B && mark <= 0x200F) && !(mark >= 0x2060 && mark <= 0x2064) && !(mark >= 0xFE00 && mark <= 0xFE0F) &&
           mark < 0xE0000;
}

/* To the character that ends left of COLUMN. */
static void put_mark(const struct area *area, int row, int column, uint32_t mark)
{
    struct cell *cell = cell_at(area, row, column - 1);
    if (cell && !cell->character)
        cell = cell_at(area, row, column - 2);
    if (!cell || !cell->character || !mark_is_steady(mark))
        return;
    for (int i = 0; i < CELL_MARKS; i++)
        if (!cell->marks[i]) {
            cell->marks[i] = mark;
            return;
        }
}

/* Text, one letter after the other */

struct letter { uint32_t character; int width; bool shown; }; /* shown: false: replaced by "?", in its width */

static size_t letter_next(const char *text, size_t length, bool ascii, struct letter *letter)
{
    unsigned char first = (unsigned char)*text;
    if (first >= 0x20 && first < 0x7F) {
        *letter = (struct letter){first, 1, true};
        return 1;
    }
    size_t used = text_decode(text, length, &letter->character);
    if (!used || !text_character_is_safe(letter->character)) {
        *letter = (struct letter){'?', 1, true};
        return used ? used : 1;
    }
    letter->width = (int)text_character_width(letter->character);
    letter->shown = !ascii;
    return used;
}

static int width_of(const char *text, size_t length, int most)
{
    int width = 0;
    struct letter letter;
    for (size_t at = 0; at < length && width <= most; width += letter.width)
        at += letter_next(text + at, length - at, false, &letter);
    return width;
}

static void put_letter(const struct area *area, int row, int column, enum style style, bool bold, const struct letter *letter)
{
    if (letter->shown && letter->width)
        put_character(area, row, column, style, bold, letter->character, letter->width);
    else if (letter->shown)
        put_mark(area, row, column, letter->character);
    else
        for (int i = 0; i < letter->width; i++)
            put_cell(area, row, column + i, style, bold, '?');
}

/* At most MOST columns; a wide character that would be cut is left out. Returns the columns used. */
static int put_text(const struct area *area, int row, int column, int most, enum style style, bool bold, const char *text, size_t length)
{
    int used = 0;
    struct letter letter;
    if (column >= area->columns)
        return 0;
    if (most > area->columns - column && most < INT32_MAX)
        most = area->columns - column;
    for (size_t at = 0; at < length;) {
        at += letter_next(text + at, length - at, area->surface->ascii, &letter);
        if (letter.width > most - used)
            break;
        if (letter.width || used) /* a mark before anything belongs to nothing */
            put_letter(area, row, column + used, style, bold, &letter);
        used += letter.width;
    }
    return used;
}

/* To the area's edge; a wide character there is shown as a space. */
static int put_whole(const struct area *area, int row, int column, enum style style, bool bold, const char *text)
{
    if (!text || column >= area->columns)
        return 0;
    int room = column < -SURFACE_MOST * 4 ? 0 : area->columns - column;
    int used = put_text(area, row, column, room, style, bold, text, strlen(text));
    if (used == room - 1 && width_of(text, strlen(text), room) > room - 1) {
        put_cell(area, row, column + used, style, bold, ' ');
        used++;
    }
    return used;
}

int area_text(const struct area *area, int row, int column, enum style style, const char *text)
{
    return put_whole(area, row, column, style, false, text);
}

int area_bold(const struct area *area, int row, int column, enum style style, const char *text)
{
    return put_whole(area, row, column, style, true, text);
}

int area_format(const struct area *area, int row, int column, enum style style, const char *format, ...)
{
    struct buf buf = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&buf, format, arguments);
    va_end(arguments);
    int used = area_text(area, row, column, style, buf_text(&buf));
    buf_free(&buf);
    return used;
}

static void put_spaces(const struct area *area, int row, int column, int count, enum style style)
{
    int end = within(column + count, 0, area->columns);
    for (int at = within(column, 0, area->columns); at < end; at++)
        put_cell(area, row, at, style, false, ' ');
}

int area_field(const struct area *area, int row, int column, int width, bool right, enum style style, const char *text)
{
    if (width <= 0)
        return 0;
    size_t length = text ? strlen(text) : 0;
    width = within(width, 0, 2 * SURFACE_MOST);
    int needed = width_of(text, length, width);
    put_spaces(area, row, column, width, style);
    if (needed <= width) {
        put_text(area, row, column + (right ? width - needed : 0), needed, style, false, text, length);
    } else {
        /* The ellipsis stands where the field ends, also when the area ends before. */
        int used = put_text(area, row, column, width - 1, style, false, text, length);
        area_glyph(area, row, column + used, style, GLYPH_ELLIPSIS);
    }
    return width;
}

void area_glyph(const struct area *area, int row, int column, enum style style, enum glyph glyph)
{
    uint32_t character = (unsigned char)glyphs_ascii[glyph];
    if (!area->surface->ascii)
        text_decode(glyphs_utf8[glyph], strlen(glyphs_utf8[glyph]), &character);
    put_cell(area, row, column, style, false, character);
}

void area_character(const struct area *area, int row, int column, enum style style, uint32_t character)
{
    struct letter letter = {character, (int)text_character_width(character), character < 0x80 || !area->surface->ascii};
    if (character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF) || !text_character_is_safe(character))
        letter = (struct letter){'?', 1, true};
    put_letter(area, row, column, style, false, &letter);
}

void area_fill(const struct area *area)
{
    for (int row = 0; row < area->rows; row++)
        put_spaces(area, row, 0, area->columns, STYLE_TEXT);
}

void area_line(const struct area *area, int row, int column, int length, enum style style)
{
    for (int i = 0; i < length && column + i < area->columns; i++)
        area_glyph(area, row, column + i, style, GLYPH_HORIZONTAL);
}

void area_column(const struct area *area, int row, int column, int length, enum style style)
{
    for (int i = 0; i < length && row + i < area->rows; i++)
        area_glyph(area, row + i, column, style, GLYPH_VERTICAL);
}

void area_frame(const struct area *area, enum style style, const char *title)
{
    int bottom = area->rows - 1, right = area->columns - 1;
    if (bottom < 0 || right < 0)
        return;
    area_line(area, 0, 0, area->columns, style);
    area_line(area, bottom, 0, area->columns, style);
    if (bottom > 0 && right > 0) {
        area_column(area, 1, 0, bottom - 1, style);
        area_column(area, 1, right, bottom - 1, style);
        area_glyph(area, 0, 0, style, GLYPH_TOP_LEFT);
        area_glyph(area, 0, right, style, GLYPH_TOP_RIGHT);
        area_glyph(area, bottom, 0, style, GLYPH_BOTTOM_LEFT);
        area_glyph(area, bottom, right, style, GLYPH_BOTTOM_RIGHT);
    }
    if (title && *title && area->columns > 6) {
        int width = width_of(title, strlen(title), area->columns - 6);
        width = width > area->columns - 6 ? area->columns - 6 : width;
        area_text(area, 0, 2, style, " ");
        area_field(area, 0, 3, width, false, STYLE_TITLE, title);
        area_text(area, 0, 3 + width, style, " ");
    }
}

/* How many bytes of TEXT go into a row of WIDTH columns; *NEXT: where the following row begins. */
static size_t row_length(const char *text, size_t length, int width, size_t *next)
{
    size_t at = 0, end = 0;
    bool broken = false; /* END is where a space is */
    int used = 0;
    struct letter letter;
    while (at < length && text[at] != '\n') {
        size_t bytes = letter_next(text + at, length - at, false, &letter);
        if (text[at] == ' ') {
            end = at;
            broken = true;
        }
        if (used + letter.width > width && at && text[at] != ' ')
            break;
        if (used + letter.width > width && text[at] == ' ')
            break;
        used += letter.width;
        at += bytes;
    }
    if (at >= length || text[at] == '\n' || !broken)
        end = at;
    *next = end;
    while (*next < length && text[*next] == ' ')
        ++*next;
    if (*next < length && text[*next] == '\n')
        ++*next;
    return end;
}

int area_paragraph(const struct area *area, int row, int column, int width, int most, enum style style, const char *text, bool draw)
{
    size_t length = text ? strlen(text) : 0;
    int rows = 0;
    if (width <= 0)
        return 0;
    for (size_t at = 0; at < length && rows < most; rows++) {
        size_t next, end = row_length(text + at, length - at, width, &next);
        bool last = rows + 1 == most && at + next < length;
        if (draw && last) { /* the field is cut, and says so */
            char *rest = mem_text_part(text + at, length - at);
            rest[strcspn(rest, "\n")] = '\0';
            if (width_of(rest, strlen(rest), width) <= width) {
                int used = put_text(area, row + rows, column, width - 1, style, false, rest, strlen(rest));
                area_glyph(area, row + rows, column + used, style, GLYPH_ELLIPSIS);
            } else {
                area_field(area, row + rows, column, width, false, style, rest);
            }
            free(rest);
        } else if (draw) {
            put_text(area, row + rows, column, width, style, false, text + at, end);
        }
        at += next;
    }
    return rows;
}
