/* Drawing in dots: braille, 2 x 4 to a cell; in ASCII, characters by a line's slope. A cell has one style, that of the most important thing in it. */
#ifndef WGDECK_TUI_CANVAS_H
#define WGDECK_TUI_CANVAS_H

#include "surface.h"

struct canvas {
    int rows, columns;        /* cells */
    struct canvas_cell { uint8_t dots, style, importance; char ascii; } *cells; /* owned */
};

void canvas_resize(struct canvas *canvas, int rows, int columns); /* and clears; sizes below 0 are 0 */
void canvas_free(struct canvas *canvas);
/* Positions in dots: x of 2 * columns, y of 4 * rows. Outside: nothing. What is more important takes a cell from what is less. */
void canvas_dot(struct canvas *canvas, int x, int y, enum style style, uint8_t importance, char ascii);
/* GAP: dots left out after each dot that is set; 0: none. */
void canvas_line(struct canvas *canvas, int x0, int y0, int x1, int y1, enum style style, uint8_t importance, int gap);
void canvas_draw(const struct canvas *canvas, const struct area *area, int row, int column); /* empty cells are left as they are */

#endif
