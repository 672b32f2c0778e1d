/* From a theme's colours to those that a terminal has, and so that a person can read them: pure arithmetic.
 * Contrast as in WCAG 2 (relative luminance of sRGB). */
#include <math.h>
#include <stdlib.h>

#include "theme.h"

#define READABLE 4.5       /* WCAG AA, for text */
#define READABLE_DIM 3.0
#define READABLE_PALETTE 1.5 /* of 16 colours each terminal has its own; these are only near */

/* xterm's first 16. */
static const struct theme_colour palette[16] = {
    {true, 0, 0, 0},       {true, 205, 0, 0}, {true, 0, 205, 0},  {true, 205, 205, 0},  {true, 0, 0, 238},   {true, 205, 0, 205},
    {true, 0, 205, 205},   {true, 229, 229, 229}, {true, 127, 127, 127}, {true, 255, 0, 0}, {true, 0, 255, 0}, {true, 255, 255, 0},
    {true, 92, 92, 255},   {true, 255, 0, 255},   {true, 0, 255, 255},   {true, 255, 255, 255},
};

static const int cube[6] = {0, 95, 135, 175, 215, 255};

static int distance(const struct theme_colour *colour, int red, int green, int blue)
{
    red -= colour->red;
    green -= colour->green;
    blue -= colour->blue;
    return red * red + green * green + blue * blue;
}

static int nearest_level(int value)
{
    int best = 0;
    for (int i = 1; i < 6; i++)
        if (abs(cube[i] - value) < abs(cube[best] - value))
            best = i;
    return best;
}

static int nearest_256(const struct theme_colour *colour)
{
    int red = nearest_level(colour->red), green = nearest_level(colour->green), blue = nearest_level(colour->blue);
    int mean = (colour->red + colour->green + colour->blue) / 3, grey = mean < 8 ? 0 : (mean - 3) / 10;
    grey = grey > 23 ? 23 : grey;
    int level = 8 + 10 * grey;
    bool is_grey = distance(colour, level, level, level) < distance(colour, cube[red], cube[green], cube[blue]);
    return is_grey ? 232 + grey : 16 + 36 * red + 6 * green + blue;
}

/* By hue: a green stays green, however pale it is. */
static int nearest_16(const struct theme_colour *colour)
{
    static const int hues[6] = {1, 3, 2, 6, 4, 5}; /* red, yellow, green, cyan, blue, magenta */
    int red = colour->red, green = colour->green, blue = colour->blue;
    int most = red > green ? (red > blue ? red : blue) : (green > blue ? green : blue);
    int least = red < green ? (red < blue ? red : blue) : (green < blue ? green : blue), chroma = most - least;
    if (most < 64)
        return 0;
    if (chroma * 5 < most)
        return most < 150 ? 8 : most < 240 ? 7 : 15;
    double hue = most == red     ? (double)(green - blue) / chroma
                 : most == green ? 2 + (double)(blue - red) / chroma
                                 : 4 + (double)(red - green) / chroma;
    return hues[((int)floor(hue + 0.5) + 6) % 6] + (most >= 200 ? 8 : 0);
}

int theme_nearest(const struct theme_colour *colour, int colours)
{
    if (!colour->given)
        return -1;
    if (colours >= 256)
        return nearest_256(colour);
    int index = nearest_16(colour);
    if (colours >= 16 || index < 8)
        return index;
    return index == 8 ? 7 : index - 8;
}

static struct theme_colour colour_of(int index)
{
    if (index < 16)
        return palette[index];
    if (index >= 232) {
        uint8_t level = (uint8_t)(8 + 10 * (index - 232));
        return (struct theme_colour){true, level, level, level};
    }
    index -= 16;
    return (struct theme_colour){true, (uint8_t)cube[index / 36], (uint8_t)cube[index / 6 % 6], (uint8_t)cube[index % 6]};
}

/* What a terminal of so many colours shows for it. */
static struct theme_colour shown(const struct theme_colour *colour, int colours)
{
    return colours > 256 ? *colour : colour_of(theme_nearest(colour, colours));
}

static double linear(uint8_t value)
{
    double part = value / 255.0;
    return part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4);
}

static double luminance(const struct theme_colour *colour)
{
    return 0.2126 * linear(colour->red) + 0.7152 * linear(colour->green) + 0.0722 * linear(colour->blue);
}

double theme_contrast(const struct theme_colour *one, const struct theme_colour *other)
{
    double light = luminance(one), dark = luminance(other);
    if (light < dark) {
        double swap = light;
        light = dark;
        dark = swap;
    }
    return (light + 0.05) / (dark + 0.05);
}

static uint8_t between(uint8_t from, uint8_t to, int step, int steps)
{
    return (uint8_t)(from + (to - from) * step / steps);
}

/* Lighter or darker, as far as it must be. */
static struct theme_colour made_readable(struct theme_colour colour, const struct theme_colour *background, double least, int colours)
{
    enum { STEPS = 16 };
    static const struct theme_colour black = {true, 0, 0, 0}, white = {true, 255, 255, 255};
    struct theme_colour behind = shown(background, colours);
    const struct theme_colour *end = theme_contrast(&white, &behind) > theme_contrast(&black, &behind) ? &white : &black;
    if (!colour.given) /* the terminal's own, of which nothing is known */
        return *end;
    for (int step = 0; step <= STEPS; step++) {
        struct theme_colour tried = {true, between(colour.red, end->red, step, STEPS), between(colour.green, end->green, step, STEPS),
                                     between(colour.blue, end->blue, step, STEPS)};
        struct theme_colour seen = shown(&tried, colours);
        if (theme_contrast(&seen, &behind) >= least)
            return tried;
    }
    return *end;
}

static double least_contrast(enum style style, int colours)
{
    bool dim = style == STYLE_DIM || style == STYLE_BORDER || style == STYLE_OLD;
    if (colours < 256)
        return READABLE_PALETTE;
    return dim ? READABLE_DIM : READABLE;
}

static void set_indices(struct theme_pen *pen, int colours)
{
    int wanted = colours == 8 ? 16 : colours;
    pen->foreground_index = theme_nearest(&pen->foreground, wanted);
    pen->background_index = theme_nearest(&pen->background, colours);
    if (colours == 8 && pen->foreground_index >= 8) { /* there, bold is bright */
        pen->bold |= pen->foreground_index != 8;
        pen->foreground_index = theme_nearest(&pen->foreground, 8);
    }
}

struct theme_pen theme_pen(const struct theme *theme, enum style style, enum ground ground, bool bold, int colours)
{
    const struct theme_look *look = &theme->styles[style], *behind = &theme->grounds[ground];
    const struct theme_colour *normal = &theme->grounds[GROUND_NORMAL].colour;
    struct theme_pen pen = {.foreground_index = -1, .background_index = -1, .bold = bold || look->bold, .dim = look->dim,
                            .underline = look->underline, .reverse = look->reverse};
    bool has_colour = colours && behind->colour.given;
    if (has_colour && colours <= 256 && normal->given && theme_nearest(&behind->colour, colours) == theme_nearest(normal, colours))
        has_colour = false;
    if (ground != GROUND_NORMAL && !has_colour) {
        pen.bold |= behind->bold;
        pen.dim |= behind->dim;
        pen.underline |= behind->underline;
        pen.reverse ^= behind->reverse;
    }
    if (!colours)
        return pen;
    pen.background = has_colour || ground == GROUND_NORMAL ? behind->colour : *normal;
    pen.foreground = look->colour;
    if (pen.background.given && (colours <= 256 || ground != GROUND_NORMAL || !pen.foreground.given))
        pen.foreground = made_readable(pen.foreground, &pen.background, least_contrast(style, colours), colours);
    set_indices(&pen, colours);
    return pen;
}
