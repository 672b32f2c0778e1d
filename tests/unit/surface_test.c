/* Surfaces: what is drawn where, what is cut, and that wide characters are never half there. */
#include "unit.h"

#include "tui/surface.h"
#include "wgdeck/text.h"

static struct surface surface;

static const char *drawn(void)
{
    static struct buf buf;
    buf_clear(&buf);
    surface_to_text(&surface, false, &buf);
    return buf_text(&buf);
}

static struct area begin(int rows, int columns, bool ascii)
{
    surface.ascii = ascii;
    surface_resize(&surface, rows, columns);
    return area_whole(&surface);
}

static void test_text(void **state)
{
    static const struct { int column; const char *text; bool ascii; const char *drawn; int used; } cases[] = {
        {0, "abc", false, "abc\n", 3},
        {2, "abc", false, "  abc\n", 3},
        {8, "abc", false, "        ab\n", 2},
        {10, "abc", false, "\n", 0},
        {99, "abc", false, "\n", 0},
        {-1, "abc", false, "bc\n", 3},
        {-5, "abc", false, "\n", 3},
        {0, "", false, "\n", 0},
        {0, "a\tb\x1b[1m\x7f", false, "a?b?[1m?\n", 8},
        {0, "a\xff\xc3", false, "a??\n", 3},
        {0, "a\xe2\x80\xae" "b", false, "a?b\n", 3},                              /* a bidirectional override */
        {0, "\xe4\xb8\xad\xe6\x96\x87x", false, "\xe4\xb8\xad\xe6\x96\x87x\n", 5},    /* wide */
        {0, "\xe4\xb8\xad\xe6\x96\x87x", true, "????x\n", 5},
        {7, "\xe4\xb8\xad\xe6\x96\x87x", false, "       \xe4\xb8\xad\n", 3},            /* the second one would be cut: a space */
        {-1, "\xe4\xb8\xad" "b", false, " b\n", 3},                                   /* the first half is outside */
        {0, "a\xcc\x81" "b", false, "a\xcc\x81" "b\n", 2},                             /* combining */
        {0, "a\xcc\x81\xcc\x82\xcc\x83\xcc\x84" "b", false, "a\xcc\x81\xcc\x82" "b\n", 2},
        {0, "a\xcc\x81" "b", true, "ab\n", 2},
        {0, "\xcc\x81" "b", false, "b\n", 1},
        {0, "\xe4\xb8\xad\xcc\x81" "b", false, "\xe4\xb8\xad\xcc\x81" "b\n", 3},
        {0, "\xc3\xa9", true, "?\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct area area = begin(1, 10, cases[i].ascii);
        CASE_ASSERT(i, area_text(&area, 0, cases[i].column, STYLE_TEXT, cases[i].text) == cases[i].used);
        if (strcmp(drawn(), cases[i].drawn) != 0)
            fail_msg("case %zu: '%s'", i, drawn());
    }
}

static void test_outside(void **state)
{
    static const int rows[] = {-1, 2, INT32_MIN, INT32_MAX};
    (void)state;
    struct area area = begin(2, 4, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(area_text(&area, rows[i], 0, STYLE_TEXT, "abc"), 3); /* what follows it stands where it would */
        area_glyph(&area, rows[i], 0, STYLE_TEXT, GLYPH_DEAD);
        area_glyph(&area, 0, rows[i] == 2 ? 4 : rows[i], STYLE_TEXT, GLYPH_DEAD);
    }
    assert_string_equal(drawn(), "\n\n");
}

static void test_halves(void **state)
{
    (void)state;
    struct area area = begin(1, 6, false);
    area_text(&area, 0, 0, STYLE_TEXT, "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97");
    area_text(&area, 0, 1, STYLE_TEXT, "xy"); /* the right half of the first, the left half of the second */
    assert_string_equal(drawn(), " xy \xe5\xad\x97\n");
    area_text(&area, 0, 3, STYLE_TEXT, "\xe4\xb8\xad");
    assert_string_equal(drawn(), " xy\xe4\xb8\xad\n");
    struct area part = area_part(&area, 0, 0, 1, 4); /* writing in one area, the other half in the next */
    area_fill(&part);
    assert_string_equal(drawn(), "\n");
}

static void test_field(void **state)
{
    static const struct { int width; bool right, ascii; const char *text, *drawn; } cases[] = {
        {5, false, false, "abc", "abc  |\n"}, {5, true, false, "abc", "  abc|\n"}, {3, false, false, "abc", "abc|\n"},
        {3, false, false, "abcd", "ab\xe2\x80\xa6|\n"}, {3, true, false, "abcd", "ab\xe2\x80\xa6|\n"}, {3, false, true, "abcd", "ab.|\n"},
        {1, false, false, "abcd", "\xe2\x80\xa6|\n"}, {0, false, false, "abcd", "|\n"}, {-3, false, false, "abcd", "|\n"}, {4, false, false, "", "    |\n"},
        {4, false, false, "\xe4\xb8\xad\xe6\x96\x87", "\xe4\xb8\xad\xe6\x96\x87|\n"}, {4, false, false, "\xe4\xb8\xad\xe6\x96\x87x", "\xe4\xb8\xad\xe2\x80\xa6 |\n"},
        {4, true, false, "\xe4\xb8\xad", "  \xe4\xb8\xad|\n"}, {2, false, false, NULL, "  |\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct area area = begin(1, 10, cases[i].ascii);
        int used = area_field(&area, 0, 0, cases[i].width, cases[i].right, STYLE_TEXT, cases[i].text);
        CASE_ASSERT(i, used == (cases[i].width > 0 ? cases[i].width : 0));
        area_text(&area, 0, used, STYLE_TEXT, "|");
        if (strcmp(drawn(), cases[i].drawn) != 0)
            fail_msg("case %zu: '%s'", i, drawn());
    }
    struct area area = begin(1, 4, false); /* over the edge */
    area_field(&area, 0, 2, 10, false, STYLE_TEXT, "abcdef");
    assert_string_equal(drawn(), "  ab\n");
}

static void test_parts(void **state)
{
    static const struct { int row, column, rows, columns, is_row, is_column, is_rows, is_columns; } cases[] = {
        {1, 2, 3, 4, 1, 2, 3, 4},      {-1, -2, 3, 4, 0, 0, 2, 2},  {8, 8, 9, 9, 8, 8, 2, 2}, {20, 20, 1, 1, 10, 10, 0, 0},
        {0, 0, -1, 5, 0, 0, 0, 5},     {5, 5, INT32_MAX, INT32_MAX, 5, 5, 5, 5}, {INT32_MIN, 0, 5, 5, 0, 0, 0, 5},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct area area = begin(10, 10, false);
        struct area part = area_part(&area, cases[i].row, cases[i].column, cases[i].rows, cases[i].columns);
        CASE_ASSERT(i, part.row == cases[i].is_row && part.column == cases[i].is_column);
        CASE_ASSERT(i, part.rows == cases[i].is_rows && part.columns == cases[i].is_columns);
    }
}

static void test_paragraph(void **state)
{
    static const struct { int width, most; const char *text, *drawn; int rows; } cases[] = {
        {10, 9, "one two three four", "one two\nthree four\n\n\n", 2},
        {3, 9, "one two", "one\ntwo\n\n\n", 2},
        {4, 9, "abcdefghij", "abcd\nefgh\nij\n\n", 3},
        {6, 9, "a abcdefghij", "a\nabcdef\nghij\n\n", 3},
        {10, 2, "one two three four five", "one two\nthree fou\xe2\x80\xa6\n\n\n", 2},
        {10, 1, "one\ntwo", "one\xe2\x80\xa6\n\n\n\n", 1},
        {10, 9, "one\n\ntwo", "one\n\ntwo\n\n", 3},
        {5, 9, "  one", "  one\n\n\n\n", 1},
        {3, 9, "\xe4\xb8\xad\xe6\x96\x87", "\xe4\xb8\xad\n\xe6\x96\x87\n\n\n", 2},
        {10, 9, "", "\n\n\n\n", 0},
        {0, 9, "abc", "\n\n\n\n", 0},
        {10, 0, "abc", "\n\n\n\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct area area = begin(4, 12, false);
        CASE_ASSERT(i, area_paragraph(&area, 0, 0, cases[i].width, cases[i].most, STYLE_TEXT, cases[i].text, false) == cases[i].rows);
        CASE_ASSERT(i, !strcmp(drawn(), "\n\n\n\n"));
        CASE_ASSERT(i, area_paragraph(&area, 0, 0, cases[i].width, cases[i].most, STYLE_TEXT, cases[i].text, true) == cases[i].rows);
        if (strcmp(drawn(), cases[i].drawn) != 0)
            fail_msg("case %zu: '%s'", i, drawn());
    }
}

static void test_frame(void **state)
{
    (void)state;
    struct area area = begin(3, 12, true);
    area_frame(&area, STYLE_BORDER, "Faults");
    assert_string_equal(drawn(), "+- Faults -+\n|          |\n+----------+\n");
    area = begin(3, 12, true);
    area_frame(&area, STYLE_BORDER, "Faults of all");
    assert_string_equal(drawn(), "+- Fault. -+\n|          |\n+----------+\n");
    for (int rows = 0; rows < 4; rows++)
        for (int columns = 0; columns < 9; columns++) {
            area = begin(rows, columns, false);
            area_frame(&area, STYLE_BORDER, "title");
        }
}

static void test_styles(void **state)
{
    struct buf buf = BUF_EMPTY;
    (void)state;
    struct area area = begin(2, 8, false), selected = area_part(&area, 1, 0, 1, 4);
    selected.ground = GROUND_SELECTED;
    area_fill(&selected);
    area_text(&area, 0, 0, STYLE_GOOD, "up");
    area_bold(&selected, 0, 0, STYLE_BAD, "no");
    assert_true(surface.cells[8].bold && !surface.cells[0].bold);
    surface_to_text(&surface, true, &buf);
    assert_string_equal(buf_text(&buf), "up\nno\nhh\nLLAA\n");
    buf_free(&buf);
}

static void assert_whole(void)
{
    for (int row = 0; row < surface.rows; row++)
        for (int column = 0; column < surface.columns; column++) {
            const struct cell *cell = &surface.cells[row * surface.columns + column];
            bool second = column + 1 < surface.columns && !cell[1].character;
            if (cell->character)
                assert_int_equal(second, text_character_width(cell->character) == 2);
            else
                assert_true(column > 0 && cell[-1].character);
            assert_true(!surface.ascii || cell->character < 0x80);
        }
}

static void test_random(void **state)
{
    static const char *const pieces[] = {"a", "bc ", "\xe4\xb8\xad", "\xcc\x81", "\xff", "\xf0\x9f\x98\x80", "\n", "\x1b", "word ", "\xe2\x80\x8d", "\xc3"};
    unsigned seed = 7;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct buf text = BUF_EMPTY;
        struct area whole, area;
        if (round % 50 == 0)
            begin(rand_r(&seed) % 12, rand_r(&seed) % 30, rand_r(&seed) % 2);
        whole = area_whole(&surface);
        area = area_part(&whole, rand_r(&seed) % 16 - 4, rand_r(&seed) % 40 - 8, rand_r(&seed) % 14, rand_r(&seed) % 34);
        area.ground = (enum ground)(rand_r(&seed) % GROUND_COUNT);
        for (int i = rand_r(&seed) % 12; i > 0; i--)
            buf_add_text(&text, pieces[rand_r(&seed) % COUNT_OF(pieces)]);
        int row = rand_r(&seed) % 20 - 5, column = rand_r(&seed) % 50 - 12, width = rand_r(&seed) % 30 - 4;
        switch (rand_r(&seed) % 7) {
        case 0:
            area_text(&area, row, column, STYLE_TEXT, buf_text(&text));
            break;
        case 1:
            area_field(&area, row, column, width, rand_r(&seed) % 2, STYLE_BAD, buf_text(&text));
            break;
        case 2: {
            int most = rand_r(&seed) % 6;
            int rows = area_paragraph(&area, row, column, width, most, STYLE_TEXT, buf_text(&text), true);
            assert_int_equal(rows, area_paragraph(&area, row, column, width, most, STYLE_TEXT, buf_text(&text), false));
            break;
        }
        case 3:
            area_frame(&area, STYLE_BORDER, buf_text(&text));
            break;
        case 4:
            area_fill(&area);
            break;
        case 5:
            area_character(&area, row, column, STYLE_TEXT, (uint32_t)rand_r(&seed) % 0x120000);
            break;
        case 6:
            area_line(&area, row, column, width, STYLE_BORDER);
            area_column(&area, row, column, width, STYLE_BORDER);
        }
        assert_whole();
        buf_free(&text);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    surface_resize(&surface, -5, 99999);
    assert_int_equal(surface.rows, 0);
    assert_int_equal(surface.columns, SURFACE_MOST);
    surface_resize(&surface, 0, 0);
    assert_string_equal(drawn(), "");
    surface_free(&surface);
    surface_free(&surface);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),      cmocka_unit_test(test_outside), cmocka_unit_test(test_halves), cmocka_unit_test(test_field),
        cmocka_unit_test(test_parts),     cmocka_unit_test(test_paragraph), cmocka_unit_test(test_frame), cmocka_unit_test(test_styles),
        cmocka_unit_test(test_random),    cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
