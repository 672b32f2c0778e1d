/* Themes: which colour a style or a ground has. Files of "key = #rrggbb [bold] [dim] [underline] [reverse]"; an empty value is the terminal's own colour. */
#ifndef WGDECK_TUI_THEME_H
#define WGDECK_TUI_THEME_H

#include <stdint.h>

#include "style.h"
#include "wgdeck/buf.h"
#include "wgdeck/err.h"

struct theme_colour { bool given; uint8_t red, green, blue; };
struct theme_look {
    struct theme_colour colour;
    bool bold, dim, underline, reverse; /* of a ground: how it shows where its colour cannot */
};
struct theme {
    char name[64];
    struct theme_look styles[STYLE_COUNT], grounds[GROUND_COUNT];
    bool framed;                   /* frame = yes: a frame of ALARM's colour around everything, for a mesh that must not be mistaken */
};

/* One of the shipped ones (they are in the program, made from themes/), a name in $XDG_CONFIG_HOME/wgdeck/themes, or a path. Lines with errors are added to
 * WARNINGS ("FILE:LINE: what"), and the default's value holds there. 0, or -1 with err when there is no such theme. */
int theme_load(const char *name, struct theme *theme, struct buf *warnings, struct err *err);
int theme_parse(const char *file, const char *bytes, size_t length, struct theme *theme, struct buf *warnings);
/* Names of the shipped ones and of those in the configuration folder; ends with NULL; free each and the array. */
char **theme_names(void);
/* The nearest of 256 (xterm's cube and greys), or of 16 or 8 colours. -1: the terminal's own. */
int theme_nearest(const struct theme_colour *colour, int colours);
double theme_contrast(const struct theme_colour *one, const struct theme_colour *other); /* WCAG 2: 1 to 21 */

/* How a cell is drawn with so many colours (0: none, then the attributes tell the styles apart). On other grounds than NORMAL a foreground that could not be
 * read is made lighter or darker until it can. Exact colours where there are 256 * 256 * 256. */
struct theme_pen {
    struct theme_colour foreground, background;
    int foreground_index, background_index; /* of 256, 16 or 8; -1: the terminal's own */
    bool bold, underline, reverse, dim;
};
struct theme_pen theme_pen(const struct theme *theme, enum style style, enum ground ground, bool bold, int colours);

#endif
