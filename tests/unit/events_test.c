/* The event log: in memory and in its file, which other decks write too, and which may be damaged. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "wgdeck/clock.h"
#include "wgdeck/events.h"

static char folder[] = "/tmp/wgdeck-events-test-XXXXXX";
static char *path;
#define NOON (INT64_C(1800000000) * CLOCK_SECOND)

static void add(struct event_log *log, int second, enum event_kind kind, const char *node, const char *identity, const char *text)
{
    char *copies[] = {mem_text(node), mem_text(identity), mem_text(text), mem_text(identity ? "peer-missing" : NULL)};
    event_log_add(log, &(struct event){.at = NOON + second * CLOCK_SECOND, .kind = kind, .severity = event_kinds[kind].severity,
                                       .nodes = {copies[0], NULL}, .identity = copies[1], .text = copies[2], .fault = copies[3], .times = 1});
    for (size_t i = 0; i < COUNT_OF(copies); i++)
        free(copies[i]);
}

static void put_file(const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static int fresh(void **state)
{
    (void)state;
    char *older = mem_format("%s.1", path);
    unlink(path);
    unlink(older);
    free(older);
    return 0;
}

static void test_newest_first(void **state)
{
    (void)state;
    struct event_log *log = event_log_new(NULL);
    assert_int_equal(event_log_count(log), 0);
    assert_null(event_log_get(log, 0));
    add(log, 0, EVENT_NODE_LOST, "a", NULL, "one");
    add(log, 1, EVENT_NODE_BACK, "a", NULL, "two");
    assert_int_equal(event_log_count(log), 2);
    assert_string_equal(event_log_get(log, 0)->text, "two");
    assert_string_equal(event_log_get(log, 1)->nodes[0], "a");
    assert_string_equal(event_log_get(log, 1)->nodes[1], "");
    assert_null(event_log_get(log, 2));
    assert_int_equal(event_log_total(log), 2);
    assert_null(event_log_problem(log));
    event_log_free(log);
}

static void test_repetitions_are_counted(void **state)
{
    (void)state;
    static const struct { int second; enum event_kind kind; const char *node; size_t count; unsigned times; } cases[] = {
        {0, EVENT_NODE_LOST, "a", 1, 1},  {1, EVENT_NODE_BACK, "a", 2, 1},  {5, EVENT_NODE_LOST, "a", 2, 2},  {6, EVENT_NODE_LOST, "b", 3, 1},
        {15, EVENT_NODE_LOST, "a", 3, 3}, {26, EVENT_NODE_LOST, "a", 4, 1}, {27, EVENT_NODE_BACK, "a", 5, 1},
    };
    struct event_log *log = event_log_new(path);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        add(log, cases[i].second, cases[i].kind, cases[i].node, NULL, "x");
        CASE_ASSERT(i, event_log_count(log) == cases[i].count);
        CASE_ASSERT(i, event_log_get(log, 0)->times == cases[i].times);
        CASE_ASSERT(i, event_log_get(log, 0)->at == NOON + cases[i].second * CLOCK_SECOND);
        CASE_ASSERT(i, event_log_total(log) == i + 1);
    }
    event_log_free(log);
    log = event_log_new(path); /* and they are read as they were */
    assert_int_equal(event_log_count(log), 5);
    bool found = false;
    for (size_t i = 0; i < 5; i++)
        found |= event_log_get(log, i)->times == 3 && event_log_get(log, i)->at == NOON + 15 * CLOCK_SECOND;
    assert_true(found);
    assert_true(event_log_get(log, 0)->earlier);
    event_log_free(log);
}

static void test_much_is_bounded(void **state)
{
    (void)state;
    struct event_log *log = event_log_new(NULL);
    for (int i = 0; i < 25000; i++)
        add(log, 20 * i, EVENT_NODE_LOST, "a", NULL, "x");
    assert_in_range(event_log_count(log), 9000, 10000);
    assert_true(event_log_get(log, 0)->at == NOON + 20 * 24999 * CLOCK_SECOND);
    event_log_free(log);
}

static void test_file_and_back(void **state)
{
    (void)state;
    struct stat status;
    struct event_log *log = event_log_new(path);
    assert_null(event_log_problem(log));
    add(log, 0, EVENT_FAULT_OPENED, "a", "peer-missing a b", "a \"quoted\" text");
    add(log, 5, EVENT_KEY_CHANGED, "b", NULL, "text");
    event_log_free(log);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    log = event_log_new(path);
    assert_int_equal(event_log_count(log), 2);
    const struct event *event = event_log_get(log, 1);
    assert_int_equal(event->kind, EVENT_FAULT_OPENED);
    assert_int_equal(event->severity, SEVERITY_ERROR);
    assert_string_equal(event->text, "a \"quoted\" text");
    assert_string_equal(event->identity, "peer-missing a b");
    assert_string_equal(event->fault, "peer-missing");
    assert_true(event->at == NOON && event->earlier && event->times == 1);
    add(log, 20, EVENT_NODE_LOST, "c", NULL, "new");
    assert_false(event_log_get(log, 0)->earlier);
    event_log_free(log);
}

static void test_open_since(void **state)
{
    (void)state;
    struct event_log *log = event_log_new(path);
    add(log, 0, EVENT_FAULT_OPENED, "a", "one", "x");
    add(log, 20, EVENT_FAULT_OPENED, "a", "two", "x");
    add(log, 40, EVENT_FAULT_CLOSED, "a", "one", "x");
    event_log_free(log);
    log = event_log_new(path);
    assert_true(event_log_open_since(log, "one") == 0);
    assert_true(event_log_open_since(log, "two") == NOON + 20 * CLOCK_SECOND);
    assert_true(event_log_open_since(log, "three") == 0);
    event_log_free(log);
}

static void test_damaged_lines_are_skipped(void **state)
{
    (void)state;
    static const char good[] = "{\"at\":\"1800000000000000000\",\"kind\":\"node-lost\",\"nodes\":[\"a\"],\"text\":\"x\"}\n";
    static const struct { const char *before, *after; } cases[] = {
        {"\n", ""}, {"{}\n", ""}, {"[1]\n", ""}, {"{\"at\":5,\"kind\":\"no-such\"}\n", ""}, {"{\"at\":-5,\"kind\":\"node-lost\"}\n", ""},
        {"", "{\"at\":\"18000"}, {"garbage\xff\xfe\n", "more\n"}, {"{\"at\":1e300,\"kind\":\"node-lost\"}\n", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = mem_format("%s%s%s", cases[i].before, good, cases[i].after);
        put_file(text);
        free(text);
        struct event_log *log = event_log_new(path);
        CASE_ASSERT(i, event_log_count(log) == 1);
        CASE_ASSERT(i, event_log_problem(log) && strstr(event_log_problem(log), "damaged"));
        add(log, 100, EVENT_NODE_BACK, "a", NULL, "y"); /* and it is written to all the same */
        event_log_free(log);
        log = event_log_new(path);
        CASE_ASSERT(i, event_log_count(log) == 2);
        event_log_free(log);
    }
}

static void test_hostile_text_is_made_safe(void **state)
{
    (void)state;
    put_file("{\"at\":\"1800000000000000000\",\"kind\":\"node-lost\",\"nodes\":[\"a\\u001b[31m\",5,\"b\",\"c\"],\"text\":\"x\\u009by\\n\"}\n");
    struct event_log *log = event_log_new(path);
    assert_int_equal(event_log_count(log), 1);
    const struct event *event = event_log_get(log, 0);
    assert_null(strchr(event->nodes[0], '\x1b'));
    assert_string_equal(event->nodes[1], "b");
    assert_null(strchr(event->text, '\n'));
    event_log_free(log);
}

static void test_what_cannot_be_written_is_said(void **state)
{
    (void)state;
    char *nowhere = mem_format("%s/none/events", folder);
    const char *const paths[] = {nowhere, folder, "/dev/full"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct event_log *log = event_log_new(paths[i]);
        add(log, 0, EVENT_NODE_LOST, "a", NULL, "x");
        add(log, 100, EVENT_NODE_LOST, "a", NULL, "x");
        CASE_ASSERT(i, event_log_count(log) == 2);
        CASE_ASSERT(i, event_log_problem(log) && strstr(event_log_problem(log), "not kept"));
        event_log_free(log);
    }
    free(nowhere);
}

static void test_grown_file_is_moved_away(void **state)
{
    (void)state;
    struct stat status;
    char text[1500], *older = mem_format("%s.1", path);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct event_log *log = event_log_new(path), *other = event_log_new(path);
    for (int i = 0; i < 3000; i++) {
        add(log, 20 * i, EVENT_NODE_LOST, "a", NULL, text);
        if (i % 100 == 0)
            add(other, 20 * i, EVENT_NODE_LOST, "b", NULL, text);
    }
    assert_null(event_log_problem(log));
    event_log_free(log);
    event_log_free(other);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < 5 << 20);
    assert_int_equal(stat(older, &status), 0);
    assert_true(status.st_size < 5 << 20);
    log = event_log_new(path);
    assert_in_range(event_log_count(log), 300, 2000);
    assert_true(event_log_get(log, 0)->at == NOON + 20 * 2999 * CLOCK_SECOND);
    event_log_free(log);
    free(older);
}

static void test_decks_at_once(void **state)
{
    (void)state;
    for (int child = 0; child < 4; child++)
        if (!fork()) {
            struct event_log *log = event_log_new(path);
            for (int i = 0; i < 200; i++)
                add(log, 1000 * child + 20 * i, EVENT_NODE_LOST, "a", NULL, "some text that is not too short");
            event_log_free(log);
            _exit(0);
        }
    for (int child = 0; child < 4; child++)
        wait(NULL);
    struct event_log *log = event_log_new(path);
    assert_null(event_log_problem(log)); /* no line is damaged */
    assert_int_equal(event_log_count(log), 800);
    event_log_free(log);
}

static void test_a_line_that_was_cut_off_harms_no_other(void **state)
{
    (void)state;
    put_file("{\"at\":\"18000000");
    struct event_log *log = event_log_new(path);
    add(log, 0, EVENT_NODE_LOST, "a", NULL, "x");
    event_log_free(log);
    log = event_log_new(path);
    assert_int_equal(event_log_count(log), 1);
    event_log_free(log);
}

static void test_forget_after(void **state)
{
    (void)state;
    struct event_log *log = event_log_new(NULL);
    for (int i = 0; i < 10; i++)
        add(log, 20 * i, EVENT_NODE_LOST, "a", NULL, "x");
    event_log_forget_after(log, NOON + 70 * CLOCK_SECOND);
    assert_int_equal(event_log_count(log), 4);
    event_log_forget_after(log, 0);
    assert_int_equal(event_log_count(log), 0);
    event_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_newest_first, fresh),
        cmocka_unit_test_setup(test_repetitions_are_counted, fresh),
        cmocka_unit_test_setup(test_much_is_bounded, fresh),
        cmocka_unit_test_setup(test_file_and_back, fresh),
        cmocka_unit_test_setup(test_open_since, fresh),
        cmocka_unit_test_setup(test_damaged_lines_are_skipped, fresh),
        cmocka_unit_test_setup(test_hostile_text_is_made_safe, fresh),
        cmocka_unit_test_setup(test_what_cannot_be_written_is_said, fresh),
        cmocka_unit_test_setup(test_grown_file_is_moved_away, fresh),
        cmocka_unit_test_setup(test_decks_at_once, fresh),
        cmocka_unit_test_setup(test_a_line_that_was_cut_off_harms_no_other, fresh),
        cmocka_unit_test_setup(test_forget_after, fresh),
    };
    if (!mkdtemp(folder))
        return 1;
    path = mem_format("%s/events.jsonl", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fresh(NULL);
    rmdir(folder);
    free(path);
    return failed;
}
