/* Plots: scales, heights, samples into buckets, gaps; and the canvas of dots below them. */
#include "unit.h"

#include <math.h>

#include "deck/trend_private.h"
#include "tui/canvas.h"
#include "tui/plot.h"
#include "wgdeck/buf.h"

/* ---- scale ------------------------------------------------------------------------------------------------------ */

struct scale_case { double values[6]; size_t count; bool may; double bottom, top; bool logarithmic; };

static const struct scale_case scale_cases[] = {
    {{0}, 1, true, 0, 1, false},
    {{NAN, NAN}, 2, true, 0, 1, false},
    {{3}, 1, true, 0, 5, false},
    {{5}, 1, true, 0, 5, false},
    {{1400, 900, 1100}, 3, true, 0, 2000, false},
    {{16, 16, 16, 16, 4e6, NAN}, 6, true, 1, 1e7, true},       /* keepalives and a burst */
    {{16, 16, 16, 16, 4e6, NAN}, 6, false, 0, 5e6, false},
    {{1e6, 1e6, 1e6, 9e6}, 4, true, 0, 1e7, false},            /* a burst of what is usual */
    {{1e4, 1e4, 1e4, 1e9}, 4, true, 1e3, 1e9, true},
    {{0, 0, 0, INFINITY}, 4, true, 0, 1, false},
};

static void test_scale(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scale_cases); i++) {
        const struct scale_case *row = &scale_cases[i];
        struct plot_scale scale = plot_scale_of(row->values, row->count, row->may);
        CASE_ASSERT(i, scale.logarithmic == row->logarithmic);
        CASE_ASSERT(i, fabs(scale.top - row->top) < row->top * 1e-6);
        CASE_ASSERT(i, fabs(scale.bottom - row->bottom) < 1e-6);
    }
}

static void test_scale_of_time(void **state)
{
    (void)state;
    static const double values[][2] = {{0, 1}, {8, 10}, {119, 120}, {121, 180}, {430, 600}, {3601, 7200}, {1e9, 1e9}};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        CASE_ASSERT(i, plot_scale_of_time(&values[i][0], 1).top == values[i][1]);
}

struct height_case { struct plot_scale scale; double value; int steps, height; };

static const struct height_case height_cases[] = {
    {{0, 100, false}, NAN, 8, 0}, /* unknown: a gap */
    {{0, 100, false}, 0, 8, 1},   /* known to be nothing: the lowest step */
    {{0, 100, false}, 0.1, 8, 2}, /* little, but more than nothing */
    {{0, 100, false}, 50, 8, 4},
    {{0, 100, false}, 100, 8, 8},
    {{0, 100, false}, 1e9, 8, 8},
    {{0, 100, false}, INFINITY, 8, 8},
    {{0, 100, false}, 1, 1, 1},
    {{0, 100, false}, 1, 0, 0},
    {{1, 1e6, true}, 1000, 12, 6},
    {{1, 1e6, true}, 0.001, 12, 2},
    {{1, 1e6, true}, 1e6, 12, 12},
};

static void test_height(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(height_cases); i++) {
        const struct height_case *row = &height_cases[i];
        CASE_ASSERT(i, plot_height(&row->scale, row->value, row->steps) == row->height);
    }
}

/* ---- samples ---------------------------------------------------------------------------------------------------- */

/* Steps FROM to TO have VALUE as rate and age, and STATE. */
static void fill(struct trend *trend, int64_t from, int64_t to, double value, unsigned link_state)
{
    for (int64_t step = from; step < to; step++) {
        struct trend_sample sample = {.state = (uint8_t)link_state};
        for (size_t i = 0; i < TREND_VALUES; i++)
            sample.values[i] = value;
        trend_add(trend, step, &sample, 0);
    }
}

static void test_sample_keeps_gaps_and_bursts(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    fill(trend, 1000, 1100, 16, LINK_LIVE);
    fill(trend, 1110, 1120, NAN, LINK_UNKNOWN);
    fill(trend, 1120, 1121, 5000, LINK_LIVE);
    fill(trend, 1121, 1201, 16, LINK_LIVE);
    double values[100];
    plot_sample(trend, TREND_A_TO_B_RATE, 300, 1200 * TREND_STEP, values, 100);
    assert_true(isnan(values[0]));           /* before it was kept */
    assert_true(fabs(values[60] - 16) < 0.1);
    bool burst = false, gap = false;
    for (size_t i = 60; i < 100; i++) {
        burst |= values[i] > 4000;           /* one sample of three is not averaged away */
        gap |= isnan(values[i]);
    }
    assert_true(burst && gap);
    trend_free(trend);
}

/* A burst stays in its bucket while time goes on, until the buckets move on by one. */
static void test_sample_holds_still(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    fill(trend, 900, 1000, 16, LINK_LIVE);
    fill(trend, 1000, 1001, 5000, LINK_LIVE);
    size_t places[4], count = 0;
    for (int64_t now = 1008; now < 1012; now++) {
        double values[20];
        fill(trend, now == 1008 ? 1001 : now, now + 1, 16, LINK_LIVE);
        plot_sample(trend, TREND_B_TO_A_RATE, 80, now * TREND_STEP, values, 20);
        for (size_t i = 0; i < 20; i++)
            if (values[i] > 4000)
                places[count++] = i;
    }
    assert_int_equal(count, 4);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(places[i], places[0]);
    trend_free(trend);
}

static void test_span(void **state)
{
    (void)state;
    assert_int_equal(plot_span(NULL), 60);
    struct trend *trend = trend_new();
    fill(trend, 1000, 1061, 1, LINK_LIVE);
    assert_int_equal(plot_span(trend), 150);
    fill(trend, 1061, 3000, 1, LINK_LIVE);
    assert_int_equal(plot_span(trend), TREND_SAMPLES);
    trend_free(trend);
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

static void add_number(double value, struct buf *buf)
{
    buf_add_format(buf, "%.0f", value);
}

static char *drawn(const struct trend *trend, int rows, int columns, bool ascii, enum plot_kind kind, int64_t now)
{
    struct surface surface = {.ascii = ascii};
    surface_resize(&surface, rows, columns);
    struct area area = area_whole(&surface);
    struct plot plot = {.trend = trend, .style = STYLE_PLOT_A, .series = TREND_A_TO_B_RATE, .span = 60, .now = now, .label = add_number};
    plot_wanted = kind;
    plot_draw(&plot, &area);
    plot_wanted = PLOT_AUTO;
    struct buf text = BUF_EMPTY;
    surface_to_text(&surface, false, &text);
    surface_free(&surface);
    return buf_take(&text);
}

static void test_drawn(void **state)
{
    (void)state;
    static const struct { int rows; bool ascii; enum plot_kind kind; const char *text; } rows[] = {
        {2, false, PLOT_AUTO, "      100          ⢸⣿\n        0      ⢀⣀⣀⣀⣸⣿⣀\n"},
        {2, false, PLOT_BLOCKS, "      100           █\n        0       ▁▁▁▁█▁\n"},
        {2, true, PLOT_AUTO, "      100           #\n        0       ____#_\n"},
        {1, false, PLOT_AUTO, "      100       ▁▁▁▁█▁\n"},
    };
    struct trend *trend = trend_new();
    fill(trend, 970, 990, 0, LINK_LIVE);
    fill(trend, 990, 995, 100, LINK_LIVE);
    fill(trend, 995, 1000, 0, LINK_LIVE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = drawn(trend, rows[i].rows, PLOT_LABEL + 12, rows[i].ascii, rows[i].kind, 999 * TREND_STEP);
        if (strcmp(text, rows[i].text) != 0)
            print_message("case %zu:\n%s", i, text);
        CASE_ASSERT(i, strcmp(text, rows[i].text) == 0);
        free(text);
    }
    trend_free(trend);
}

static void test_any_size(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    fill(trend, 900, 1000, 100, LINK_DEAD);
    for (int rows = 0; rows < 8; rows++)
        for (int columns = 0; columns < 40; columns++) {
            free(drawn(trend, rows, columns, columns % 2, (enum plot_kind)(rows % 4), 999 * TREND_STEP));
            struct surface surface = {0};
            surface_resize(&surface, rows, columns);
            struct area area = area_whole(&surface);
            plot_states(trend, 60, 999 * TREND_STEP, &area);
            plot_times(60, 999 * TREND_STEP, &area);
            surface_free(&surface);
        }
    trend_free(trend);
}

static void test_states(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    fill(trend, 940, 980, 1, LINK_LIVE);
    fill(trend, 980, 981, 1, LINK_DEAD); /* one sample: it must be seen */
    fill(trend, 981, 1000, 1, LINK_LIVE);
    struct surface surface = {.ascii = true};
    surface_resize(&surface, 1, PLOT_LABEL + 12);
    struct area area = area_whole(&surface);
    plot_states(trend, 60, 999 * TREND_STEP, &area);
    struct buf text = BUF_EMPTY;
    surface_to_text(&surface, false, &text);
    assert_string_equal(buf_text(&text), "          ________X___\n");
    buf_free(&text);
    surface_free(&surface);
    trend_free(trend);
}

/* ---- canvas ----------------------------------------------------------------------------------------------------- */

static void test_canvas(void **state)
{
    (void)state;
    struct canvas canvas = {0};
    canvas_resize(&canvas, 2, 2);
    canvas_dot(&canvas, 0, 0, STYLE_DIM, 1, '.');
    canvas_dot(&canvas, 1, 3, STYLE_DIM, 1, '.');
    assert_int_equal(canvas.cells[0].dots, 0x81);
    canvas_dot(&canvas, 1, 0, STYLE_BAD, 2, 'x'); /* takes the cell */
    assert_int_equal(canvas.cells[0].dots, 0x08);
    assert_int_equal(canvas.cells[0].style, STYLE_BAD);
    canvas_dot(&canvas, 0, 0, STYLE_DIM, 1, '.'); /* does not get it back */
    assert_int_equal(canvas.cells[0].dots, 0x08);
    canvas_dot(&canvas, -1, 0, STYLE_DIM, 9, '.');
    canvas_dot(&canvas, 4, 0, STYLE_DIM, 9, '.');
    canvas_dot(&canvas, 0, 8, STYLE_DIM, 9, '.');
    canvas_line(&canvas, -20, -20, 40, 40, STYLE_DIM, 1, 0);
    assert_int_equal(canvas.cells[1].dots, 0x04 | 0x80); /* the diagonal at (2,2) and (3,3) */
    assert_int_equal(canvas.cells[3].dots, 0);
    canvas_resize(&canvas, -1, 5);
    canvas_line(&canvas, 0, 0, 3, 3, STYLE_DIM, 1, 0);
    canvas_free(&canvas);
}

static void test_slopes(void **state)
{
    (void)state;
    static const struct { int x, y; char ascii; } rows[] = {{19, 0, '-'}, {0, 19, '|'}, {19, 19, '\\'}, {19, 3, '-'}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct canvas canvas = {0};
        canvas_resize(&canvas, 5, 10);
        canvas_line(&canvas, 0, 0, rows[i].x, rows[i].y, STYLE_DIM, 1, 0);
        CASE_ASSERT(i, canvas.cells[0].ascii == rows[i].ascii);
        canvas_free(&canvas);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),    cmocka_unit_test(test_scale_of_time), cmocka_unit_test(test_height), cmocka_unit_test(test_sample_keeps_gaps_and_bursts),
        cmocka_unit_test(test_sample_holds_still), cmocka_unit_test(test_span), cmocka_unit_test(test_drawn), cmocka_unit_test(test_any_size),
        cmocka_unit_test(test_states),   cmocka_unit_test(test_canvas),        cmocka_unit_test(test_slopes),
    };
    return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
