/* Themes: what is read and what is warned of; and of each shipped one, that a person can read it on every ground and with every number of colours. */
#include "unit.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tui/theme.h"

static void load(const char *name, struct theme *theme)
{
    struct err err;
    struct buf warnings = BUF_EMPTY;
    if (theme_load(name, theme, &warnings, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buf_text(&warnings), "");
    buf_free(&warnings);
}

static void free_names(char **names)
{
    for (size_t i = 0; names[i]; i++)
        free(names[i]);
    free(names);
}

static bool colour_is(const struct theme_colour *colour, unsigned value)
{
    return colour->given && (unsigned)(colour->red << 16 | colour->green << 8 | colour->blue) == value;
}

static void test_read(void **state)
{
    static const struct { const char *text, *warning; } cases[] = {
        {"text = #010203\n", ""}, {"# comment\n; comment\n\n  \ntext=#010203 bold # why\n", ""}, {"TEXT = #010203 BOLD\r\n", ""}, {"text =\n", ""},
        {"text = # none\n", ""}, {"frame = yes\n", ""}, {"frame = maybe\n", "t.theme:1: frame is yes or no, not 'maybe'\n"},
        {"\ntext = #12345\n", "t.theme:2: '#12345' is no colour: write #rrggbb, as in #ff8800 (a comment has a space after its #)\n"},
        {"text = #12345g", "t.theme:1: '#12345g' is no colour: write #rrggbb, as in #ff8800 (a comment has a space after its #)\n"},
        {"text = red\n", "t.theme:1: 'red' is neither a colour (#rrggbb) nor one of bold, dim, underline, reverse\n"},
        {"selectd = #123456\n", "t.theme:1: unknown key 'selectd' (did you mean selected?)\n"},
        {"zebra = #123456\n", "t.theme:1: unknown key 'zebra' (wgdeck-theme(5) lists them)\n"},
        {"text #123456\n", "t.theme:1: no '=' in 'text #123456': write key = #rrggbb\n"},
        {"\033[2J = 1\n", "t.theme:1: unknown key '\\x1b[2J' (wgdeck-theme(5) lists them)\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct theme theme;
        struct buf warnings = BUF_EMPTY;
        CASE_ASSERT(i, theme_parse("t.theme", cases[i].text, strlen(cases[i].text), &theme, &warnings) == 0);
        if (strcmp(buf_text(&warnings), cases[i].warning) != 0)
            fail_msg("case %zu: %s", i, buf_text(&warnings));
        CASE_ASSERT(i, !strcmp(theme.name, "t"));
        buf_free(&warnings);
    }
}

static void test_values(void **state)
{
    static const char text[] = "text = #0a0B0c dim underline\nselected = reverse\ngood = #zzzzzz\nbad =\nframe = yes\n";
    struct theme theme, standard;
    struct buf warnings = BUF_EMPTY;
    (void)state;
    load("default", &standard);
    theme_parse("/x/own.theme", text, strlen(text), &theme, &warnings);
    assert_true(colour_is(&theme.styles[STYLE_TEXT].colour, 0x0a0b0c));
    assert_true(theme.styles[STYLE_TEXT].dim && theme.styles[STYLE_TEXT].underline && !theme.styles[STYLE_TEXT].bold);
    assert_true(theme.grounds[GROUND_SELECTED].reverse && !theme.grounds[GROUND_SELECTED].colour.given);
    assert_memory_equal(&theme.styles[STYLE_GOOD], &standard.styles[STYLE_GOOD], sizeof theme.styles[0]); /* a wrong line changes nothing */
    assert_memory_equal(&theme.styles[STYLE_KEY], &standard.styles[STYLE_KEY], sizeof theme.styles[0]);   /* nor does none */
    assert_false(theme.styles[STYLE_BAD].colour.given);
    assert_true(theme.framed);
    assert_string_equal(theme.name, "own");
    buf_free(&warnings);
}

static void test_many_warnings(void **state)
{
    struct buf text = BUF_EMPTY, warnings = BUF_EMPTY;
    struct theme theme;
    size_t lines = 0;
    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_add_text(&text, "nonsense\n");
    theme_parse("t", buf_text(&text), text.length, &theme, &warnings);
    for (const char *at = buf_text(&warnings); (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 21);
    buf_free(&text);
    buf_free(&warnings);
}

static void test_finding(void **state)
{
    struct theme theme;
    struct err err;
    char folder[] = "/tmp/wgdeck-theme-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("XDG_CONFIG_HOME", folder, 1);
    snprintf(path, sizeof path, "%s/wgdeck", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/wgdeck/themes", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/wgdeck/themes/mine.theme", folder);
    FILE *file = fopen(path, "w");
    fputs("text = #112233\n", file);
    fclose(file);
    load("mine", &theme);
    assert_true(colour_is(&theme.styles[STYLE_TEXT].colour, 0x112233));
    assert_int_equal(theme_load(path, &theme, NULL, &err), 0);
    char **names = theme_names();
    size_t count = 0;
    while (names[count])
        count++;
    assert_string_equal(names[0], "default");
    assert_string_equal(names[count - 1], "mine");
    free_names(names);
    assert_int_equal(theme_load("nrod", &theme, NULL, &err), -1);
    assert_non_null(strstr(err.text, "did you mean nord?"));
    assert_int_equal(theme_load("zzzzzzzz", &theme, NULL, &err), -1);
    assert_non_null(strstr(err.text, "gruvbox"));
    assert_int_equal(theme_load("/nowhere/x.theme", &theme, NULL, &err), -1);
    assert_int_equal(theme_load("../mine", &theme, NULL, &err), -1);
    unlink(path);
    for (int i = 0; i < 3; i++) {
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
    unsetenv("XDG_CONFIG_HOME");
}

static void test_nearest(void **state)
{
    static const struct { struct theme_colour colour; int of_256, of_16, of_8; } cases[] = {
        {{false, 0, 0, 0}, -1, -1, -1},          {{true, 0, 0, 0}, 16, 0, 0},           {{true, 255, 255, 255}, 231, 15, 7},
        {{true, 255, 0, 0}, 196, 9, 1},          {{true, 128, 0, 0}, 88, 1, 1},         {{true, 95, 215, 135}, 78, 10, 2},
        {{true, 8, 8, 8}, 232, 0, 0},            {{true, 238, 238, 238}, 255, 7, 7},    {{true, 128, 128, 128}, 244, 8, 7},
        {{true, 0, 0, 255}, 21, 12, 4},          {{true, 250, 10, 250}, 201, 13, 5},    {{true, 255, 10, 60}, 197, 9, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CASE_ASSERT(i, theme_nearest(&cases[i].colour, 256) == cases[i].of_256);
        CASE_ASSERT(i, theme_nearest(&cases[i].colour, 16) == cases[i].of_16);
        CASE_ASSERT(i, theme_nearest(&cases[i].colour, 8) == cases[i].of_8);
    }
}

static double least_of(enum style style)
{
    return style == STYLE_DIM || style == STYLE_BORDER || style == STYLE_OLD ? 3.0 : 4.5;
}

/* xterm's, which the 256 are in every terminal. */
static struct theme_colour of_256(int index)
{
    static const uint8_t levels[] = {0, 95, 135, 175, 215, 255};
    if (index >= 232)
        return (struct theme_colour){true, (uint8_t)(8 + 10 * (index - 232)), (uint8_t)(8 + 10 * (index - 232)), (uint8_t)(8 + 10 * (index - 232))};
    index -= 16;
    return (struct theme_colour){true, levels[index / 36], levels[index / 6 % 6], levels[index % 6]};
}

static void assert_readable(const char *name, const struct theme *theme, enum style style, enum ground ground, int colours)
{
    static const struct theme_colour ends[] = {{true, 0, 0, 0}, {true, 255, 255, 255}};
    struct theme_pen pen = theme_pen(theme, style, ground, false, colours);
    struct theme_colour front = pen.foreground, back = pen.background;
    if (colours == 256) {
        front = pen.foreground_index >= 0 ? of_256(pen.foreground_index) : front;
        back = pen.background_index >= 0 ? of_256(pen.background_index) : back;
    }
    if (!front.given && !back.given)
        return; /* the terminal's own on its own */
    if (!front.given)
        fail_msg("%s: style %d on ground %d: unknown text on a known ground", name, (int)style, (int)ground);
    for (size_t i = 0; i < (back.given ? 1 : COUNT_OF(ends)); i++) {
        double contrast = theme_contrast(&front, back.given ? &back : &ends[i]);
        /* A ground that is the terminal's may be black or white: half of it is all that can be had. */
        double least = back.given || colours > 256 ? least_of(style) : least_of(style) * 0.75;
        if (contrast < least)
            fail_msg("%s: style %d on ground %d with %d colours: contrast %.2f", name, (int)style, (int)ground, colours, contrast);
    }
}

static void test_contrast(void **state)
{
    static const int depths[] = {16777216, 256};
    char **names = theme_names();
    (void)state;
    for (size_t i = 0; names[i]; i++) {
        struct theme theme;
        load(names[i], &theme);
        for (size_t depth = 0; depth < COUNT_OF(depths); depth++)
            for (int style = 0; style < STYLE_COUNT; style++)
                for (int ground = 0; ground < GROUND_COUNT; ground++)
                    assert_readable(names[i], &theme, (enum style)style, (enum ground)ground, depths[depth]);
    }
    free_names(names);
}

static bool pens_equal(const struct theme_pen *one, const struct theme_pen *other)
{
    return one->foreground_index == other->foreground_index && one->background_index == other->background_index && one->bold == other->bold &&
           one->dim == other->dim && one->underline == other->underline && one->reverse == other->reverse;
}

/* However few the colours are: what is selected, marked or alarming is seen, and nothing is written in the colour of its ground. */
static void test_told_apart(void **state)
{
    static const int depths[] = {256, 16, 8, 0};
    static const enum ground grounds[] = {GROUND_NORMAL, GROUND_SELECTED, GROUND_MARKED, GROUND_ALARM};
    static const enum style states[] = {STYLE_GOOD, STYLE_LATE, STYLE_WARNING, STYLE_BAD};
    char **names = theme_names();
    (void)state;
    for (size_t i = 0; names[i]; i++)
        for (size_t depth = 0; depth < COUNT_OF(depths); depth++) {
            struct theme theme;
            load(depths[depth] ? names[i] : "mono", &theme);
            for (size_t one = 0; one < COUNT_OF(grounds); one++)
                for (size_t other = 0; other < one; other++) {
                    struct theme_pen a = theme_pen(&theme, STYLE_TEXT, grounds[one], false, depths[depth]);
                    struct theme_pen b = theme_pen(&theme, STYLE_TEXT, grounds[other], false, depths[depth]);
                    if (pens_equal(&a, &b))
                        fail_msg("%s: grounds %d and %d look the same with %d colours", names[i], (int)grounds[one], (int)grounds[other], depths[depth]);
                }
            for (size_t one = 0; one < COUNT_OF(states); one++)
                for (size_t other = 0; other < one; other++) {
                    struct theme_pen a = theme_pen(&theme, states[one], GROUND_NORMAL, false, depths[depth]);
                    struct theme_pen b = theme_pen(&theme, states[other], GROUND_NORMAL, false, depths[depth]);
                    bool yellow = depths[depth] <= 16 && depths[depth] && states[one] == STYLE_WARNING && states[other] == STYLE_LATE;
                    if (pens_equal(&a, &b) && !yellow) /* their glyphs differ */
                        fail_msg("%s: styles %d and %d look the same with %d colours", names[i], (int)states[one], (int)states[other], depths[depth]);
                }
            for (int style = 0; style < STYLE_COUNT; style++)
                for (int ground = 0; ground < GROUND_COUNT && depths[depth]; ground++) {
                    struct theme_pen pen = theme_pen(&theme, (enum style)style, (enum ground)ground, false, depths[depth]);
                    if (pen.foreground_index >= 0 && pen.foreground_index == pen.background_index)
                        fail_msg("%s: style %d on ground %d is written in its ground's colour (%d colours)", names[i], style, ground, depths[depth]);
                }
        }
    free_names(names);
}

/* How a deuteranope sees a colour (Machado, Oliveira, Fernandes 2009, severity 1, in linear light). */
static void as_deuteranope(const struct theme_colour *colour, double seen[static 3])
{
    static const double matrix[3][3] = {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}};
    double parts[3] = {pow(colour->red / 255.0, 2.2), pow(colour->green / 255.0, 2.2), pow(colour->blue / 255.0, 2.2)};
    for (int i = 0; i < 3; i++) {
        double sum = matrix[i][0] * parts[0] + matrix[i][1] * parts[1] + matrix[i][2] * parts[2];
        seen[i] = pow(sum < 0 ? 0 : sum > 1 ? 1 : sum, 1 / 2.2);
    }
}

static void test_deuteranopia(void **state)
{
    static const enum style states[] = {STYLE_GOOD, STYLE_LATE, STYLE_WARNING, STYLE_BAD, STYLE_NEVER};
    struct theme theme;
    (void)state;
    load("deuteranopia", &theme);
    for (size_t one = 0; one < COUNT_OF(states); one++)
        for (size_t other = 0; other < one; other++) {
            double a[3], b[3], distance = 0;
            as_deuteranope(&theme.styles[states[one]].colour, a);
            as_deuteranope(&theme.styles[states[other]].colour, b);
            for (int i = 0; i < 3; i++)
                distance += (a[i] - b[i]) * (a[i] - b[i]);
            if (sqrt(distance) < 0.2)
                fail_msg("styles %d and %d look alike: %.2f", (int)states[one], (int)states[other], sqrt(distance));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),     cmocka_unit_test(test_values),     cmocka_unit_test(test_many_warnings), cmocka_unit_test(test_finding),
        cmocka_unit_test(test_nearest),  cmocka_unit_test(test_contrast),   cmocka_unit_test(test_told_apart),    cmocka_unit_test(test_deuteranopia),
    };
    setenv("HOME", "/nonexistent", 1);
    unsetenv("XDG_CONFIG_HOME");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
