/* Curves over time in a few rows of cells: braille dots, block glyphs or ASCII. What is not known is a gap, never a zero. */
#ifndef WGDECK_TUI_PLOT_H
#define WGDECK_TUI_PLOT_H

#include "surface.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/trend.h"

enum plot_kind { PLOT_AUTO, PLOT_BRAILLE, PLOT_BLOCKS, PLOT_ASCII };
extern enum plot_kind plot_wanted; /* what a person chose; PLOT_AUTO: braille, blocks for plots of one row, ASCII where nothing else is drawn */
enum plot_kind plot_kind_for(const struct area *area, int rows);

struct plot_scale { double bottom, top; bool logarithmic; };
/* For COUNT values (NaN: unknown), so that the small ones show beside the large ones: logarithmic when the largest is far above what is usual. */
struct plot_scale plot_scale_of(const double *values, size_t count, bool may_be_logarithmic);
struct plot_scale plot_scale_of_time(const double *values, size_t count); /* seconds */
/* 0 to STEPS: how high VALUE stands. What is known stands at 1 at least, what is above 0 at 2. */
int plot_height(const struct plot_scale *scale, double value, int steps);

/* The last SPAN samples in COUNT buckets, oldest first, each its largest (NaN: nothing known). NOW keeps the buckets' borders still while time goes on. */
void plot_sample(const struct trend *trend, enum trend_series series, size_t span, int64_t now, double *values, size_t count);
/* Samples worth showing: all there are, rounded up to 2, 5, 10, 20, 30 or 60 minutes. */
size_t plot_span(const struct trend *trend);

enum { PLOT_LABEL = 10, PLOT_VALUES = 2 * SURFACE_MOST };
struct plot {
    const struct trend *trend; /* NULL: nothing is known */
    enum trend_series series;
    enum style style;
    bool may_be_logarithmic;
    bool is_time;              /* seconds: the scale ends at a whole minute, hour, ... */
    size_t span;               /* samples */
    int64_t now;
    void (*label)(double value, struct buf *buf); /* a value with its unit */
};
/* Into the whole area: labels on the left (PLOT_LABEL columns), the curve to the right of them. */
void plot_draw(const struct plot *plot, const struct area *area);
/* One row: the worst state of each moment, broken ones standing out. */
void plot_states(const struct trend *trend, size_t span, int64_t now, const struct area *area);
/* One row: times of day under the curve, "now" at its end. */
void plot_times(size_t span, int64_t now, const struct area *area);

#endif
