/* The table: order, cursor, marks, what fits, what is saved; with rows of its own, and half a million of them. */
#include "unit.h"

#include "tui/table.h"
#include "tui/words.h"
#include "wgdeck/clock.h"

/* Rows are numbers of an array of items; an item is known by its id. */
struct item { unsigned id, weight; bool bad; };
static struct item *items;
static size_t item_count;

static enum style id_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    (void)scene;
    buf_add_format(buf, "item-%u", items[row].id);
    return STYLE_TEXT;
}

static enum style weight_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    (void)scene;
    buf_add_format(buf, "%u kg", items[row].weight);
    words_export(buf);
    buf_add_format(buf, "%u", items[row].weight);
    return STYLE_TEXT;
}

static enum style note_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    (void)scene;
    words_glyph(items[row].bad ? GLYPH_DEAD : GLYPH_LIVE, buf);
    buf_add_text(buf, items[row].bad ? " broken, \"quite\"" : " fine");
    return items[row].bad ? STYLE_BAD : STYLE_GOOD;
}

static uint64_t id_order(const struct scene *scene, uint32_t row)
{
    (void)scene;
    return items[row].id;
}

static uint64_t weight_order(const struct scene *scene, uint32_t row)
{
    (void)scene;
    return items[row].weight ? items[row].weight : UINT64_MAX; /* 0: not known */
}

static const struct table_column columns[] = {
    {.name = "id", .title = "ID", .help = "name", .cell = id_cell, .order = id_order},
    {.name = "weight", .title = "WEIGHT", .help = "weight", .right = true, .descending = true, .drop = 20, .cell = weight_cell, .order = weight_order},
    {.name = "other", .title = "OTHER", .help = "the other one", .drop = 30, .cell = weight_cell, .order = weight_order},
    {.name = "secret", .title = "SECRET", .help = "nothing", .hidden = true, .cell = id_cell},
    {.name = "note", .title = "NOTE", .help = "note", .width = 10, .cell = note_cell},
    {0},
};

static size_t rows_most(const struct scene *scene, const void *view)
{
    (void)scene;
    (void)view;
    return item_count;
}

static size_t rows(const struct scene *scene, const void *view, uint32_t *out, size_t most)
{
    size_t count = 0;
    (void)view;
    for (size_t i = 0; i < item_count && count < most; i++) {
        char name[32];
        snprintf(name, sizeof name, "item-%u", items[i].id);
        if (scene_matches(scene, name) && (!scene->faults_only || items[i].bad))
            out[count++] = (uint32_t)i;
    }
    return count;
}

static void row_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    (void)scene;
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = items[row].id};
}

static bool row_is_well(const struct scene *scene, uint32_t row)
{
    (void)scene;
    return !items[row].bad;
}

static const struct table_list list = {
    .columns = columns, .rows = rows, .rows_most = rows_most, .subject = row_subject, .is_well = row_is_well, .empty = "Nothing here."};
static struct table_list following;

static struct scene scene;
static struct wish wish;

static struct table begin(const struct table_list *of, size_t count)
{
    struct table table = {.list = of, .sort = -1};
    free(items);
    items = mem_alloc(count ? count : 1, sizeof *items);
    item_count = count;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct item){.id = (unsigned)i, .weight = (unsigned)(i % 3) + 1, .bad = i % 7 == 3};
    scene = (struct scene){.filter = ""};
    wish = (struct wish){.open = false};
    table_refresh(&table, &scene);
    return table;
}

static char *drawn(struct table *table, int height, int width, bool ascii)
{
    struct surface surface = {.ascii = ascii};
    struct buf buf = BUF_EMPTY;
    surface_resize(&surface, height, width);
    struct area area = area_whole(&surface);
    table_draw(table, &scene, &area, true);
    surface_to_text(&surface, false, &buf);
    surface_free(&surface);
    return buf_take(&buf);
}

static void assert_drawn(struct table *table, int height, int width, const char *expected)
{
    char *text = drawn(table, height, width, true);
    assert_string_equal(text, expected);
    free(text);
}

static unsigned selected(const struct table *table)
{
    struct subject subject = {.a = 9999};
    table_subject(table, &scene, &subject);
    return (unsigned)subject.a;
}

static void act(struct table *table, enum action action)
{
    wish = (struct wish){.open = false};
    assert_true(table_act(table, &scene, action, &wish));
}

static void test_sort_is_stable_and_unknown_is_last(void **state)
{
    (void)state;
    struct table table = begin(&list, 8);
    items[4].weight = 0;
    table_sort_by(&table, &scene, 1, false);
    static const uint32_t up[] = {0, 3, 6, 1, 7, 2, 5, 4}, down[] = {2, 5, 1, 7, 0, 3, 6, 4};
    assert_memory_equal(table.rows, up, sizeof up);
    table_sort_by(&table, &scene, 1, true);
    assert_memory_equal(table.rows, down, sizeof down);
    table_free(&table);
}

static void test_sort_of_wide_keys(void **state)
{
    (void)state;
    struct table table = begin(&list, 3000);
    for (size_t i = 0; i < item_count; i++)
        items[i].id = (unsigned)(i * 2654435761u);
    table_sort_by(&table, &scene, 0, false);
    for (size_t i = 1; i < item_count; i++)
        CASE_ASSERT(i, items[table.rows[i - 1]].id < items[table.rows[i]].id);
    table_free(&table);
}

static void test_cursor_stays_on_its_object(void **state)
{
    (void)state;
    struct table table = begin(&list, 30);
    free(drawn(&table, 11, 60, true));
    for (int i = 0; i < 5; i++)
        act(&table, ACTION_DOWN);
    assert_int_equal(selected(&table), 5);
    table_sort_by(&table, &scene, 1, true); /* 5 has weight 3: it comes second */
    assert_int_equal(selected(&table), 5);
    assert_int_equal(table.cursor, 1);
    for (size_t i = 0; i < item_count; i++) /* another picture: the same objects in other places */
        items[i].id = (unsigned)(29 - i);
    table_refresh(&table, &scene);
    assert_int_equal(selected(&table), 5);
    scene.filter = "item-2"; /* hides it; the cursor stands somewhere, and comes back */
    table_refresh(&table, &scene);
    assert_int_not_equal(selected(&table), 5);
    scene.filter = "";
    table_refresh(&table, &scene);
    assert_int_equal(selected(&table), 5);
    items[29 - 5].id = 77; /* it is gone: the cursor stays at its place */
    size_t place = table.cursor;
    table_refresh(&table, &scene);
    assert_int_equal(table.cursor, place);
    table_free(&table);
}

static void test_before_a_move_the_top_stays_seen(void **state)
{
    (void)state;
    struct table table = begin(&list, 30);
    free(drawn(&table, 11, 60, true));
    table_sort_by(&table, &scene, 0, true); /* object 0 is last now: far below what is seen */
    assert_int_equal(table.top, 0);
    assert_int_equal(selected(&table), 29);
    table_free(&table);
}

static void test_following_the_newest(void **state)
{
    (void)state;
    following = list;
    following.follows_top = true;
    struct table table = begin(&following, 10);
    act(&table, ACTION_DOWN);
    act(&table, ACTION_UP);
    for (size_t i = 0; i < item_count; i++)
        items[i].id += 1;
    items[0].id = 500;
    table_refresh(&table, &scene);
    assert_int_equal(selected(&table), 500);
    act(&table, ACTION_DOWN);
    unsigned second = selected(&table);
    items[0].id = 501;
    table_refresh(&table, &scene);
    assert_int_equal(selected(&table), second);
    table_free(&table);
}

static void test_moves(void **state)
{
    (void)state;
    static const struct { enum action action; unsigned expected; } moves[] = {
        {ACTION_UP, 0}, {ACTION_DOWN, 1}, {ACTION_PAGE_DOWN, 11}, {ACTION_PAGE_DOWN, 21}, {ACTION_PAGE_UP, 11}, {ACTION_LAST, 99}, {ACTION_DOWN, 99},
        {ACTION_PAGE_DOWN, 99}, {ACTION_FIRST, 0}, {ACTION_PAGE_UP, 0}, {ACTION_NEXT, 3}, {ACTION_NEXT, 10}, {ACTION_PREVIOUS, 3}, {ACTION_PREVIOUS, 94}, {ACTION_NEXT, 3}};
    struct table table = begin(&list, 100);
    free(drawn(&table, 11, 60, true));
    for (size_t i = 0; i < COUNT_OF(moves); i++) {
        act(&table, moves[i].action);
        CASE_ASSERT(i, selected(&table) == moves[i].expected);
        CASE_ASSERT(i, table.cursor >= table.top && table.cursor < table.top + 10);
    }
    assert_non_null(strstr(wish.notice, "top")); /* the last one went round */
    act(&table, ACTION_ENTER);
    assert_true(wish.open);
    assert_int_equal(wish.subject.a, 3);
    assert_false(table_act(&table, &scene, ACTION_COLUMNS, &wish));
    table_free(&table);
}

static void test_nothing_in_it(void **state)
{
    (void)state;
    struct table table = begin(&list, 0);
    struct subject subject;
    for (int action = 0; action < ACTION_COUNT; action++)
        table_act(&table, &scene, (enum action)action, &wish);
    assert_false(wish.open);
    assert_false(table_subject(&table, &scene, &subject));
    assert_drawn(&table, 4, 40, " IDvWEIGHT OTHER NOTE\n  Nothing here.\n\n\n");
    scene.filter = "x";
    assert_drawn(&table, 4, 60, " IDvWEIGHT OTHER NOTE\n  Nothing matches the filter \"x\". Esc ends it.\n\n\n");
    scene.filter = "";
    scene.faults_only = true;
    char *text = drawn(&table, 4, 80, true);
    assert_non_null(strstr(text, "all is well here"));
    free(text);
    struct buf buf = BUF_EMPTY;
    table_copy(&table, &scene, &buf);
    assert_int_equal(buf.length, 0);
    table_save(&table, &scene, SAVE_JSON, &buf);
    assert_string_equal(buf_text(&buf), "[]\n");
    buf_free(&buf);
    table_free(&table);
}

static void test_marks_are_of_objects(void **state)
{
    (void)state;
    struct table table = begin(&list, 6);
    struct buf buf = BUF_EMPTY;
    act(&table, ACTION_MARK); /* 0, and goes on */
    act(&table, ACTION_DOWN);
    act(&table, ACTION_MARK); /* 2 */
    assert_int_equal(selected(&table), 3);
    table_sort_by(&table, &scene, 0, true);
    table_copy(&table, &scene, &buf);
    assert_string_equal(buf_text(&buf), "ID\tWEIGHT\tOTHER\tNOTE\nitem-2\t3 kg\t3 kg\tfine\nitem-0\t1 kg\t1 kg\tfine\n");
    table_select(&table, &scene, &(struct subject){.kind = SUBJECT_NODE, .a = 2});
    act(&table, ACTION_MARK); /* no longer */
    buf_clear(&buf);
    table_copy(&table, &scene, &buf);
    assert_string_equal(buf_text(&buf), "ID\tWEIGHT\tOTHER\tNOTE\nitem-0\t1 kg\t1 kg\tfine\n");
    buf_free(&buf);
    table_free(&table);
}

static void test_what_is_drawn(void **state)
{
    (void)state;
    struct table table = begin(&list, 5);
    act(&table, ACTION_DOWN);
    act(&table, ACTION_MARK);
    assert_drawn(&table, 6, 40,
                 " ID     WEIGHT OTHER NOTE\n"
                 " item-0   1 kg 1 kg  o fine\n"
                 "*item-1   2 kg 2 kg  o fine\n"
                 ">item-2   3 kg 3 kg  o fine\n"
                 " item-3   1 kg 1 kg  X broken, \"quite\"\n"
                 "                   1 marked  1-4 of 5 v\n");
    table_free(&table);
}

static void test_narrow(void **state)
{
    (void)state;
    struct table table = begin(&list, 2);
    assert_drawn(&table, 3, 30, " ID     WEIGHT OTHER NOTE\n>item-0   1 kg 1 kg  o fine\n item-1   2 kg 2 kg  o fine\n");
    assert_drawn(&table, 3, 25, " ID     WEIGHT NOTE     >\n>item-0   1 kg o fine\n item-1   2 kg o fine\n");
    assert_drawn(&table, 3, 16, " ID     NOTE   >\n>item-0 o fine\n item-1 o fine\n");
    assert_int_equal(table.left, 0); /* to the right: all columns, the first stays */
    act(&table, ACTION_RIGHT);
    assert_true(table.left > 0);
    char *text = drawn(&table, 3, 16, true);
    assert_non_null(strstr(text, "item-0"));
    assert_non_null(strstr(text, "<ID"));
    free(text);
    for (int i = 0; i < 10; i++)
        table_act(&table, &scene, ACTION_RIGHT, &wish);
    text = drawn(&table, 3, 16, true);
    assert_non_null(strstr(text, "o fine"));
    free(text);
    for (int i = 0; i < 10; i++)
        table_act(&table, &scene, ACTION_LEFT, &wish);
    assert_int_equal(table.left, 0);
    for (int height = 0; height < 4; height++) /* too small for anything: nothing breaks */
        for (int width = 0; width < 20; width++)
            free(drawn(&table, height, width, true));
    table_free(&table);
}

static void test_widths_do_not_jump(void **state)
{
    (void)state;
    struct table table = begin(&list, 40);
    for (size_t i = 0; i < item_count; i++)
        items[i].id += 100;
    items[0].weight = 1234567;
    char *before = drawn(&table, 6, 60, true);
    act(&table, ACTION_LAST); /* the wide one is not seen any more */
    char *after = drawn(&table, 6, 60, true);
    before[strcspn(before, "\n")] = after[strcspn(after, "\n")] = '\0';
    char *titles = strstr(before, "NOTE");
    assert_non_null(titles);
    assert_int_equal(titles - before, strstr(after, "NOTE") - after);
    free(before);
    free(after);
    table_free(&table);
}

static void test_positions(void **state)
{
    (void)state;
    struct table table = begin(&list, 1500);
    char *text = drawn(&table, 11, 80, true);
    assert_non_null(strstr(text, "1-10 of 1,500 v\n"));
    free(text);
    act(&table, ACTION_PAGE_DOWN);
    text = drawn(&table, 11, 80, true);
    assert_non_null(strstr(text, "11-20 of 1,500 ^v\n"));
    free(text);
    act(&table, ACTION_LAST);
    text = drawn(&table, 11, 80, true);
    assert_non_null(strstr(text, "1,491-1,500 of 1,500 ^\n"));
    free(text);
    table_free(&table);
}

static void test_mouse(void **state)
{
    (void)state;
    struct table table = begin(&list, 100);
    free(drawn(&table, 11, 60, true));
    table_mouse(&table, &scene, 4, 3, 0, false, &wish);
    assert_int_equal(selected(&table), 3);
    assert_false(wish.open);
    table_mouse(&table, &scene, 5, 3, 0, true, &wish);
    assert_true(wish.open);
    assert_int_equal(wish.subject.a, 4);
    table_mouse(&table, &scene, 5, 3, 1, false, &wish);
    assert_int_equal(selected(&table), 7);
    table_mouse(&table, &scene, 5, 3, -1, false, &wish);
    assert_int_equal(selected(&table), 4);
    table_mouse(&table, &scene, 0, table.placed[1].at, 0, false, &wish); /* the heading of WEIGHT, whose first order is the heaviest */
    assert_int_equal(table.sort, 1);
    assert_true(table.inverted);
    table_mouse(&table, &scene, 0, table.placed[1].at, 0, false, &wish);
    assert_false(table.inverted);
    assert_false(table_mouse(&table, &scene, 50, 3, 0, false, &wish));
    table_free(&table);
}

static void test_sort_by_keys(void **state)
{
    (void)state;
    static const int expected[] = {0, 1, 2, -1, 0};
    struct table table = begin(&list, 10);
    act(&table, ACTION_SORT_INVERT);
    assert_non_null(strstr(wish.notice, "not sorted"));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        act(&table, ACTION_SORT);
        CASE_ASSERT(i, table.sort == expected[i]);
    }
    act(&table, ACTION_SORT_INVERT);
    assert_true(table.inverted);
    char *text = drawn(&table, 5, 80, true);
    assert_non_null(strstr(text, "IDv"));
    free(text);
    table_free(&table);
}

static void test_menu(void **state)
{
    (void)state;
    struct table table = begin(&list, 3);
    const char *values[8];
    assert_int_equal(table_values(&table, ACTION_SORT, values, COUNT_OF(values)), 3);
    assert_int_equal(table_values(&table, ACTION_COLUMNS, values, COUNT_OF(values)), 5);
    assert_string_equal(values[3], "secret");
    table_menu(&table, &scene, ACTION_SORT, "-id");
    assert_int_equal(table.sort, 0);
    assert_true(table.inverted);
    table_menu(&table, &scene, ACTION_SORT, "nonsense");
    assert_int_equal(table.sort, -1);
    table_menu(&table, &scene, ACTION_COLUMNS, "secret, note,nonsense");
    assert_drawn(&table, 3, 60, " SECRET NOTE                                     1-2 of 3 v\n>item-0 o fine\n item-1 o fine\n");
    table_free(&table);
}

static void test_saved(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [SAVE_TEXT] = "ID      WEIGHT  OTHER  NOTE\nitem-3    1 kg  1 kg   broken, \"quite\"\nitem-4    2 kg  2 kg   fine\n",
        [SAVE_JSON] = "[{\"id\":\"item-3\",\"weight\":1,\"other\":1,\"note\":\"broken, \\\"quite\\\"\"},{\"id\":\"item-4\",\"weight\":2,\"other\":2,\"note\":\"fine\"}]\n",
        [SAVE_CSV] = "id,weight,other,note\r\nitem-3,1,1,\"broken, \"\"quite\"\"\"\r\nitem-4,2,2,fine\r\n",
    };
    struct table table = begin(&list, 5);
    memmove(items, items + 3, 2 * sizeof *items);
    item_count = 2;
    table_refresh(&table, &scene);
    for (unsigned format = 0; format < COUNT_OF(expected); format++) {
        struct buf buf = BUF_EMPTY;
        table_save(&table, &scene, (enum save_format)format, &buf);
        assert_string_equal(buf_text(&buf), expected[format]);
        buf_free(&buf);
    }
    table_free(&table);
}

static void test_half_a_million(void **state)
{
    (void)state;
    struct table table = begin(&list, 500000);
    for (size_t i = 0; i < item_count; i++)
        items[i].weight = (unsigned)(i * 2654435761u);
    int64_t start = clock_steady();
    table_sort_by(&table, &scene, 1, false);
    int64_t sorted = clock_steady();
    free(drawn(&table, 60, 200, false));
    int64_t shown = clock_steady();
    act(&table, ACTION_DOWN);
    table_refresh(&table, &scene);
    int64_t again = clock_steady();
    print_message("500,000 rows: sorted in %.1f ms, drawn in %.2f ms, refreshed in %.1f ms (snprintf and filter of each row in both)\n", (double)(sorted - start) / 1e6,
                  (double)(shown - sorted) / 1e6, (double)(again - shown) / 1e6);
    for (size_t i = 1; i < table.count; i++)
        if (items[table.rows[i - 1]].weight > items[table.rows[i]].weight && items[table.rows[i]].weight)
            fail_msg("row %zu is out of order", i);
    table_free(&table);
}

static void test_cell_text(void **state)
{
    (void)state;
    struct buf cell = BUF_EMPTY, plain = BUF_EMPTY;
    words_glyph(GLYPH_DEAD, &cell);
    words_style(STYLE_BAD, &cell);
    buf_add_text(&cell, " caf\xc3\xa9 \xe6\xbc\xa2 ");
    words_export(&cell);
    buf_add_text(&cell, "42");
    assert_int_equal(words_width(buf_text(&cell)), 1 + 1 + 4 + 1 + 2 + 1);
    words_plain(buf_text(&cell), false, &plain);
    assert_string_equal(buf_text(&plain), "caf\xc3\xa9 \xe6\xbc\xa2");
    buf_clear(&plain);
    words_plain(buf_text(&cell), true, &plain);
    assert_string_equal(buf_text(&plain), "42");
    buf_clear(&plain);
    buf_clear(&cell);
    words_glyph(GLYPH_DEAD, &cell); /* only a glyph is shown: its word is what a text has */
    words_export(&cell);
    buf_add_text(&cell, "blocked");
    words_plain(buf_text(&cell), false, &plain);
    assert_string_equal(buf_text(&plain), "blocked");
    buf_free(&cell);
    buf_free(&plain);
}

static void test_cut_text(void **state)
{
    (void)state;
    static const struct { const char *text; int width; bool right; const char *expected; } cases[] = {
        {"abcdef", 6, false, "abcdef|\n"}, {"abcdef", 5, false, "abcd.|\n"}, {"ab", 5, false, "ab   |\n"}, {"ab", 5, true, "   ab|\n"},
        {"abcdef", 1, false, ".|\n"},      {"", 2, false, "  |\n"},          {"a\xe2\x86\x92" "b", 4, false, "a>b |\n"}, {"a\x1b[mb", 6, false, "a?[mb |\n"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct surface surface = {.ascii = true};
        struct buf buf = BUF_EMPTY;
        surface_resize(&surface, 1, 10);
        struct area area = area_whole(&surface);
        int used = words_field(&area, 0, 0, cases[i].width, cases[i].right, STYLE_TEXT, cases[i].text);
        area_text(&area, 0, used, STYLE_TEXT, "|");
        surface_to_text(&surface, false, &buf);
        CASE_ASSERT(i, !strcmp(buf_text(&buf), cases[i].expected));
        buf_free(&buf);
        surface_free(&surface);
    }
}

static int free_items(void **state)
{
    (void)state;
    free(items);
    items = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort_is_stable_and_unknown_is_last), cmocka_unit_test(test_sort_of_wide_keys), cmocka_unit_test(test_cursor_stays_on_its_object),
        cmocka_unit_test(test_before_a_move_the_top_stays_seen), cmocka_unit_test(test_following_the_newest), cmocka_unit_test(test_moves), cmocka_unit_test(test_nothing_in_it),
        cmocka_unit_test(test_marks_are_of_objects), cmocka_unit_test(test_what_is_drawn), cmocka_unit_test(test_narrow), cmocka_unit_test(test_widths_do_not_jump),
        cmocka_unit_test(test_positions), cmocka_unit_test(test_mouse), cmocka_unit_test(test_sort_by_keys), cmocka_unit_test(test_menu), cmocka_unit_test(test_saved),
        cmocka_unit_test(test_half_a_million), cmocka_unit_test(test_cell_text), cmocka_unit_test(test_cut_text),
    };
    return cmocka_run_group_tests(tests, NULL, free_items);
}
