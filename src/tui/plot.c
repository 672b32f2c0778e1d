/* Plots of the last hour: values into dots, axis labels, and the strip of states. */
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "canvas.h"
#include "words.h"

enum plot_kind plot_wanted = PLOT_AUTO;

enum plot_kind plot_kind_for(const struct area *area, int rows)
{
    if (area->surface->ascii)
        return PLOT_ASCII;
    if (plot_wanted != PLOT_AUTO)
        return plot_wanted;
    return rows == 1 ? PLOT_BLOCKS : PLOT_BRAILLE;
}

/* ---- scale ------------------------------------------------------------------------------------------------------ */

/* The next of 1, 2, 5, 10, 20, 50, ... */
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    for (int i = 0; i < 4; i++) {
        static const double steps[] = {1, 2, 5, 10};
        if (value <= steps[i] * power * 1.000001)
            return steps[i] * power;
    }
    return value;
}

static int compare_values(const void *left, const void *right)
{
    const double *one = left, *other = right;
    return (*one > *other) - (*one < *other);
}

/* The middle one of those above 0. */
static double usual(const double *values, size_t count)
{
    static double sorted[PLOT_VALUES]; /* one thread draws */
    size_t known = 0;
    for (size_t i = 0; i < count && known < PLOT_VALUES; i++)
        if (values[i] > 0) /* false for NaN */
            sorted[known++] = values[i];
    qsort(sorted, known, sizeof *sorted, compare_values);
    return known ? sorted[known / 2] : 0;
}

static double largest_of(const double *values, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i] > largest && isfinite(values[i]))
            largest = values[i];
    return largest;
}

struct plot_scale plot_scale_of_time(const double *values, size_t count)
{
    static const double ends[] = {1, 10, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800};
    double largest = largest_of(values, count);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (largest <= ends[i])
            return (struct plot_scale){.top = ends[i]};
    return (struct plot_scale){.top = largest};
}

struct plot_scale plot_scale_of(const double *values, size_t count, bool may_be_logarithmic)
{
    double largest = largest_of(values, count);
    if (largest <= 0)
        return (struct plot_scale){.top = 1};
    double middle = may_be_logarithmic ? usual(values, count) : 0;
    if (!may_be_logarithmic || middle * 30 > largest || largest < 100)
        return (struct plot_scale){.top = round_up(largest)};
    double top = pow(10, ceil(log10(largest) - 0.000001)), bottom = pow(10, floor(log10(middle)) - 1);
    return (struct plot_scale){.bottom = bottom >= 1 ? bottom : 1, .top = top, .logarithmic = true};
}

int plot_height(const struct plot_scale *scale, double value, int steps)
{
    if (isnan(value) || steps <= 0)
        return 0;
    if (value <= 0)
        return 1;
    double part = scale->logarithmic ? log(fmax(value, scale->bottom) / scale->bottom) / log(scale->top / scale->bottom)
                                     : (value - scale->bottom) / (scale->top - scale->bottom);
    int height = part >= 1 ? steps : (int)lround(part * steps), floor_height = steps > 1 ? 2 : 1;
    return height < floor_height ? floor_height : height;
}

/* ---- samples ---------------------------------------------------------------------------------------------------- */

size_t plot_span(const struct trend *trend)
{
    static const size_t minutes[] = {2, 5, 10, 20, 30};
    size_t length = trend ? trend_length(trend) : 0;
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        size_t samples = minutes[i] * 60 * (size_t)CLOCK_SECOND / (size_t)TREND_STEP;
        if (length <= samples)
            return samples;
    }
    return TREND_SAMPLES;
}

/* Bucket I of COUNT holds samples [from, to), counted from the oldest of the span. With fewer samples than buckets, several share one. */
static void bucket_samples(size_t span, size_t count, size_t i, size_t *from, size_t *to)
{
    *from = i * span / count;
    *to = (i + 1) * span / count;
    if (*to <= *from)
        *to = *from + 1;
}

void plot_sample(const struct trend *trend, enum trend_series series, size_t span, int64_t now, double *values, size_t count)
{
    /* Whole samples a bucket would move with each new one; so the span's end is put on a border of buckets. */
    size_t each = count ? (span + count - 1) / count : 1, shift = each > 1 ? each - 1 - (size_t)(now / TREND_STEP) % each : 0;
    for (size_t i = 0; i < count; i++) {
        size_t from, to;
        bucket_samples(span, count, i, &from, &to);
        values[i] = NAN;
        for (size_t k = from; k < to; k++) {
            size_t place = k + shift; /* from the oldest; beyond the newest there is nothing yet */
            double value;
            if (!trend || place >= span || !trend_get(trend, series, span - 1 - place, &value) || isnan(value))
                continue;
            if (isnan(values[i]) || value > values[i])
                values[i] = value;
        }
    }
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

static void draw_braille(const double *values, int count, const struct plot_scale *scale, enum style style, const struct area *area)
{
    struct canvas canvas = {0};
    canvas_resize(&canvas, area->rows, area->columns);
    for (int x = 0; x < count; x++) {
        int height = plot_height(scale, values[x], area->rows * 4);
        for (int y = 0; y < height; y++)
            canvas_dot(&canvas, x, area->rows * 4 - 1 - y, style, 1, '#');
    }
    canvas_draw(&canvas, area, 0, 0);
    canvas_free(&canvas);
}

/* Eighths of a cell: U+2581 to U+2588; in ASCII: three heights. */
static uint32_t part_of_cell(int eighths, bool ascii)
{
    if (!ascii)
        return 0x2580U + (uint32_t)eighths;
    return eighths <= 1 ? '_' : eighths <= 3 ? '.' : eighths <= 6 ? ':' : '#';
}

static void draw_blocks(const double *values, int count, const struct plot_scale *scale, enum style style, const struct area *area, bool ascii)
{
    for (int x = 0; x < count; x++) {
        int height = plot_height(scale, values[x], area->rows * 8);
        for (int row = area->rows - 1; height > 0 && row >= 0; row--, height -= 8)
            area_character(area, row, x, style, part_of_cell(height < 8 ? height : 8, ascii));
    }
}

static void draw_labels(const struct plot *plot, const struct plot_scale *scale, const struct area *area)
{
    struct buf text = BUF_EMPTY;
    plot->label(scale->top, &text);
    area_field(area, 0, 0, PLOT_LABEL - 1, true, STYLE_DIM, buf_text(&text));
    if (area->rows >= 2) {
        buf_clear(&text);
        plot->label(scale->bottom, &text);
        area_field(area, area->rows - 1, 0, PLOT_LABEL - 1, true, STYLE_DIM, buf_text(&text));
    }
    if (area->rows >= 5) {
        buf_clear(&text);
        plot->label(scale->logarithmic ? sqrt(scale->top * scale->bottom) : scale->top / 2, &text);
        area_field(area, (area->rows - 1) / 2, 0, PLOT_LABEL - 1, true, STYLE_DIM, buf_text(&text));
    }
    if (area->rows >= 3 && scale->logarithmic)
        area_field(area, 1, 0, PLOT_LABEL - 1, true, STYLE_DIM, "log");
    buf_free(&text);
}

static bool any_known(const double *values, int count)
{
    for (int i = 0; i < count; i++)
        if (!isnan(values[i]))
            return true;
    return false;
}

void plot_draw(const struct plot *plot, const struct area *area)
{
    static double values[PLOT_VALUES]; /* one thread draws */
    struct area inner = area_part(area, 0, PLOT_LABEL, area->rows, area->columns - PLOT_LABEL);
    if (inner.rows <= 0 || inner.columns <= 0)
        return;
    enum plot_kind kind = plot_kind_for(area, area->rows);
    int count = kind == PLOT_BRAILLE ? inner.columns * 2 : inner.columns;
    plot_sample(plot->trend, plot->series, plot->span, plot->now, values, (size_t)count);
    if (!any_known(values, count)) {
        area_text(&inner, inner.rows / 2, 1, STYLE_DIM, "nothing known yet");
        return;
    }
    struct plot_scale scale = plot->is_time ? plot_scale_of_time(values, (size_t)count) : plot_scale_of(values, (size_t)count, plot->may_be_logarithmic);
    draw_labels(plot, &scale, area);
    if (kind == PLOT_BRAILLE)
        draw_braille(values, count, &scale, plot->style, &inner);
    else
        draw_blocks(values, count, &scale, plot->style, &inner, kind == PLOT_ASCII);
}

/* How a state shows in the strip: height and colour; what is broken fills the row. From best to worst, so that a bucket shows its worst. */
static const struct strip { enum link_state state; enum style style; uint32_t block; char ascii; } strip[] = {
    {LINK_LIVE, STYLE_GOOD, 0x2581, '_'},  {LINK_IDLE, STYLE_IDLE, 0x2581, '.'},     {LINK_UNKNOWN, STYLE_UNKNOWN, 0x2591, '?'},
    {LINK_LATE, STYLE_LATE, 0x2584, '~'},  {LINK_NEVER, STYLE_NEVER, 0x2586, '-'},   {LINK_HALF, STYLE_WARNING, 0x2586, '/'},
    {LINK_DEAD, STYLE_BAD, 0x2588, 'X'},
};

static int strip_rank(double state)
{
    for (size_t i = 0; i < sizeof strip / sizeof *strip; i++)
        if ((double)strip[i].state == state)
            return (int)i;
    return -1;
}

void plot_states(const struct trend *trend, size_t span, int64_t now, const struct area *area)
{
    struct area inner = area_part(area, 0, PLOT_LABEL, 1, area->columns - PLOT_LABEL);
    for (int x = 0; trend && x < inner.columns; x++) {
        size_t count = (size_t)inner.columns, from, to, each = (span + count - 1) / count, shift = each > 1 ? each - 1 - (size_t)(now / TREND_STEP) % each : 0;
        bucket_samples(span, count, (size_t)x, &from, &to);
        int worst = -1;
        for (size_t k = from + shift; k < to + shift && k < span; k++) {
            double value;
            int rank = trend_get(trend, TREND_STATE, span - 1 - k, &value) ? strip_rank(value) : -1;
            worst = rank > worst ? rank : worst;
        }
        if (worst >= 0)
            area_character(&inner, 0, x, strip[worst].style, area->surface->ascii ? (uint32_t)strip[worst].ascii : strip[worst].block);
    }
}

void plot_times(size_t span, int64_t now, const struct area *area)
{
    struct area inner = area_part(area, 0, PLOT_LABEL, 1, area->columns - PLOT_LABEL);
    int marks = inner.columns / 12 < 1 ? 1 : inner.columns / 12 > 6 ? 6 : inner.columns / 12;
    struct buf text = BUF_EMPTY;
    for (int i = 0; i < marks; i++) {
        int column = i * inner.columns / marks;
        buf_clear(&text);
        words_clock(now - (int64_t)span * TREND_STEP * (marks - i) / marks, &text);
        area_format(&inner, 0, column, STYLE_DIM, "%.*s", span > 300 ? 5 : 8, buf_text(&text));
    }
    buf_free(&text);
    if (inner.columns >= 12)
        area_text(&inner, 0, inner.columns - 3, STYLE_DIM, "now");
}
