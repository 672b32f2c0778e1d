/* The last hour of a link: rates, handshake age and states as plots, and what the event log has about it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "link_view.h"
#include "plot.h"
#include "words.h"

static void add_rate(double value, struct buf *buf)
{
    words_rate(value, buf);
}

static void add_seconds(double value, struct buf *buf)
{
    if (value < 1)
        buf_add_char(buf, '0');
    else
        words_age((int64_t)(value * (double)CLOCK_SECOND), buf);
}

static void add_round_trip(double value, struct buf *buf)
{
    words_milliseconds((int64_t)(value * (double)CLOCK_SECOND), buf);
}

static bool is_measured(const struct trend *trend, enum trend_series series)
{
    double value;
    for (size_t i = 0; trend && i < trend_length(trend); i++)
        if (trend_get(trend, series, i, &value) && !isnan(value))
            return true;
    return false;
}

/* "api → db": direction or node that a plot is about, then what it shows. */
static void draw_caption(const struct area *area, int row, const char *text, enum style style)
{
    area_line(area, row, 0, area->columns, STYLE_BORDER);
    area_format(area, row, 2, style, " %s ", text);
}

struct panel { enum trend_series series; enum style style; bool logarithmic; void (*label)(double, struct buf *); bool backwards; };
static const struct panel panels[] = {
    {TREND_A_TO_B_RATE, STYLE_PLOT_A, true, add_rate, false},
    {TREND_B_TO_A_RATE, STYLE_PLOT_B, true, add_rate, true},
    {TREND_A_AGE, STYLE_PLOT_A, false, add_seconds, false},
    {TREND_B_AGE, STYLE_PLOT_B, false, add_seconds, true},
    {TREND_RTT, STYLE_PLOT_A, false, add_round_trip, false},
};

static int draw_panel(const struct scene *scene, const struct link *link, const struct trend *trend, const struct panel *panel, const struct area *area, int height)
{
    struct buf one = BUF_EMPTY, other = BUF_EMPTY, caption = BUF_EMPTY;
    scene_name(scene, panel->backwards ? link->b : link->a, &one);
    scene_name(scene, panel->backwards ? link->a : link->b, &other);
    if (panel->series == TREND_A_AGE || panel->series == TREND_B_AGE)
        buf_add_format(&caption, "age of the handshake at %s", buf_text(&one));
    else if (panel->series == TREND_RTT)
        buf_add_format(&caption, "round trip between %s and %s", buf_text(&one), buf_text(&other));
    else
        buf_add_format(&caption, "%s to %s", buf_text(&one), buf_text(&other));
    draw_caption(area, 0, buf_text(&caption), panel->style);
    buf_free(&one);
    buf_free(&other);
    buf_free(&caption);
    struct area inner = area_part(area, 1, 0, height, area->columns);
    struct plot plot = {.trend = trend, .series = panel->series, .style = panel->style, .may_be_logarithmic = panel->logarithmic,
                        .is_time = panel->label == add_seconds, .span = plot_span(trend), .now = scene->picture.now, .label = panel->label};
    plot_draw(&plot, &inner);
    return height + 1;
}

enum { BESIDE_COLUMNS = 120 }; /* from here on two plots stand side by side */

int link_plot_rows(int height, int columns)
{
    return (columns >= BESIDE_COLUMNS ? 2 : 3) * (height + 1) + 3;
}

/* Two side by side where there is room. */
static int draw_panels(const struct scene *scene, const struct link *link, const struct trend *trend, const struct area *area, int row, int height)
{
    bool wide = area->columns >= BESIDE_COLUMNS;
    int width = wide ? (area->columns - 2) / 2 : area->columns, used = 0, place = 0;
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++) {
        if (panels[i].series == TREND_RTT && !is_measured(trend, TREND_RTT))
            continue;
        if (panels[i].series == TREND_B_AGE && is_measured(trend, TREND_A_AGE))
            continue; /* both ends know the same handshake */
        if (panels[i].series == TREND_A_AGE && !is_measured(trend, TREND_A_AGE))
            continue;
        struct area part = area_part(area, row + used, wide && place % 2 ? width + 2 : 0, height + 1, width);
        draw_panel(scene, link, trend, &panels[i], &part, height);
        if (!wide || place % 2)
            used += height + 1;
        place++;
    }
    return used + (wide && place % 2 ? height + 1 : 0);
}

int link_draw_plots(const struct scene *scene, const struct link *link, const struct area *area, int row, int height)
{
    const struct trend *trend = scene->live ? live_link_trend(scene->live, link->a, link->b) : NULL;
    if (!trend || trend_length(trend) == 0) {
        draw_caption(area, row, "the last hour", STYLE_DIM);
        area_text(area, row + 1, 2, STYLE_DIM, "kept from now on, one sample every two seconds");
        return 2;
    }
    size_t span = plot_span(trend);
    int used = draw_panels(scene, link, trend, area, row, height);
    draw_caption(area, row + used, "state", STYLE_DIM);
    struct area strip = area_part(area, row + used + 1, 0, 1, area->columns), times = area_part(area, row + used + 2, 0, 1, area->columns);
    plot_states(trend, span, scene->picture.now, &strip);
    plot_times(span, scene->picture.now, &times);
    return used + 3;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static bool is_about(const struct event *event, const char *a, const char *b)
{
    return (strcmp(event->nodes[0], a) == 0 && strcmp(event->nodes[1], b) == 0) || (strcmp(event->nodes[0], b) == 0 && strcmp(event->nodes[1], a) == 0);
}

int link_draw_history(const struct scene *scene, size_t a, size_t b, const struct area *area, int row, int most)
{
    const struct event_log *log = scene->live ? live_events(scene->live) : NULL;
    const struct mesh_node *nodes = scene->picture.mesh->nodes;
    struct buf text = BUF_EMPTY;
    int used = 0;
    for (size_t i = 0; log && i < event_log_count(log) && used < most; i++) {
        const struct event *event = event_log_get(log, i);
        if (!is_about(event, nodes[a].name, nodes[b].name))
            continue;
        if (used == 0)
            draw_caption(area, row + used++, "what happened to it", STYLE_DIM);
        struct look_of look = look_of_severity(event->severity);
        buf_clear(&text);
        words_when(event->at, scene->picture.now, &text);
        int column = 2 + area_text(area, row + used, 2, STYLE_DIM, buf_text(&text)) + 1;
        area_glyph(area, row + used, column, event->severity == SEVERITY_INFO ? STYLE_DIM : look.style, look.glyph);
        area_field(area, row + used, column + 2, area->columns - column - 2, false, STYLE_TEXT, scene_text(scene, event->text, &text));
        used++;
    }
    buf_free(&text);
    return used;
}
