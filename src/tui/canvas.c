/* Dots and lines on a grid of cells: for the map and the plots. */
#include "canvas.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

void canvas_resize(struct canvas *canvas, int rows, int columns)
{
    canvas->rows = rows > 0 ? rows : 0;
    canvas->columns = columns > 0 ? columns : 0;
    size_t count = (size_t)canvas->rows * (size_t)canvas->columns;
    canvas->cells = mem_resize(canvas->cells, count + 1, sizeof *canvas->cells);
    memset(canvas->cells, 0, count * sizeof *canvas->cells);
}

void canvas_free(struct canvas *canvas)
{
    free(canvas->cells);
    *canvas = (struct canvas){0};
}

/* Unicode's order of the dots of a braille cell (U+2800), by column and row. */
static const uint8_t braille[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};

void canvas_dot(struct canvas *canvas, int x, int y, enum style style, uint8_t importance, char ascii)
{
    if (x < 0 || y < 0 || x / 2 >= canvas->columns || y / 4 >= canvas->rows)
        return;
    struct canvas_cell *cell = &canvas->cells[(size_t)(y / 4) * (size_t)canvas->columns + (size_t)(x / 2)];
    if (cell->dots && importance < cell->importance)
        return;
    if (importance > cell->importance)
        cell->dots = 0;
    cell->dots |= braille[x % 2][y % 4];
    cell->style = (uint8_t)style;
    cell->importance = importance;
    cell->ascii = ascii;
}

/* Of a line that runs DX cells across and DY down; cells are twice as high as wide. */
static char slope(int dx, int dy)
{
    int across = abs(dx), down = abs(dy);
    if (across > 2 * down)
        return '-';
    if (down > 2 * across)
        return '|';
    return (dx < 0) == (dy < 0) ? '\\' : '/';
}

void canvas_line(struct canvas *canvas, int x0, int y0, int x1, int y1, enum style style, uint8_t importance, int gap)
{
    int dx = abs(x1 - x0), dy = abs(y1 - y0), step_x = x0 < x1 ? 1 : -1, step_y = y0 < y1 ? 1 : -1, error = dx - dy;
    char ascii = slope(x1 - x0, y1 - y0);
    for (int i = 0;; i++) {
        if (i % (gap + 1) == 0)
            canvas_dot(canvas, x0, y0, style, importance, ascii);
        if (x0 == x1 && y0 == y1)
            return;
        int twice = 2 * error;
        if (twice > -dy) {
            error -= dy;
            x0 += step_x;
        }
        if (twice < dx) {
            error += dx;
            y0 += step_y;
        }
    }
}

void canvas_draw(const struct canvas *canvas, const struct area *area, int row, int column)
{
    for (int i = 0; i < canvas->rows; i++)
        for (int k = 0; k < canvas->columns; k++) {
            const struct canvas_cell *cell = &canvas->cells[(size_t)i * (size_t)canvas->columns + (size_t)k];
            if (cell->dots)
                area_character(area, row + i, column + k, cell->style, area->surface->ascii ? (uint32_t)cell->ascii : 0x2800U + cell->dots);
        }
}
