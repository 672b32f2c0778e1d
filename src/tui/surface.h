/* A grid of cells that screens draw into: pure, so that a screen can be drawn without a terminal and compared as text. The terminal
 * (terminal.c) sends what differs from what is there. */
#ifndef WGDECK_TUI_SURFACE_H
#define WGDECK_TUI_SURFACE_H

#include <stdint.h>

#include "style.h"
#include "wgdeck/buf.h"

enum { CELL_MARKS = 2, SURFACE_MOST = 1000 }; /* combining marks of a cell; rows, columns */

struct cell {
    uint32_t character;        /* 0: the second half of a wide one, to its left */
    uint32_t marks[CELL_MARKS];
    uint8_t style, ground;     /* enum style, enum ground */
    bool bold;
};

struct surface {
    int rows, columns;
    struct cell *cells;        /* row by row; owned */
    bool ascii;                /* nothing beyond ASCII is drawn: glyphs by their second form, other characters as "?" */
    int cursor_row, cursor_column; /* where the terminal's cursor stands (text fields); -1: hidden */
};

void surface_resize(struct surface *surface, int rows, int columns); /* and clears; 0..SURFACE_MOST */
void surface_free(struct surface *surface);
void surface_clear(struct surface *surface);
/* Rows of text without trailing spaces, each with a newline. With STYLES, a second block follows in which each cell is the first letter of its style's
 * place in the alphabet ("a" = STYLE_TEXT, ...), upper case on GROUND_SELECTED: for golden files in which colour matters. */
void surface_to_text(const struct surface *surface, bool styles, struct buf *buf);

/* A rectangle of a surface. All positions are relative to it, and what falls outside is cut. */
struct area {
    struct surface *surface;
    int row, column, rows, columns;
    enum ground ground;        /* what is drawn in it stands on this */
};
struct area area_whole(struct surface *surface);
struct area area_part(const struct area *area, int row, int column, int rows, int columns); /* cut to the outer one */
struct area area_on(const struct area *area, enum ground ground);

/* Each returns the columns used. TEXT is UTF-8 and was made safe where it came in; control characters are shown as "?" nevertheless. */
int area_text(const struct area *area, int row, int column, enum style style, const char *text);
int area_bold(const struct area *area, int row, int column, enum style style, const char *text);
int area_format(const struct area *area, int row, int column, enum style style, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Within WIDTH columns: filled with spaces; too long: cut, with an ellipsis. RIGHT: aligned right. */
int area_field(const struct area *area, int row, int column, int width, bool right, enum style style, const char *text);
void area_glyph(const struct area *area, int row, int column, enum style style, enum glyph glyph);
void area_character(const struct area *area, int row, int column, enum style style, uint32_t character);
void area_fill(const struct area *area);                                 /* spaces on the area's ground */
void area_line(const struct area *area, int row, int column, int length, enum style style); /* horizontal */
void area_column(const struct area *area, int row, int column, int length, enum style style); /* vertical */
void area_frame(const struct area *area, enum style style, const char *title);  /* around the area's edge */
/* TEXT broken at spaces into the rows from ROW on, at most MOST of them (the last ends in an ellipsis when cut). Returns the rows used.
 * DRAW false: only counts. */
int area_paragraph(const struct area *area, int row, int column, int width, int most, enum style style, const char *text, bool draw);

#endif
