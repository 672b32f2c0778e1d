/* The answer to "counters=1": good ones, and all that an engine could say wrong. */
#include "unit.h"

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/mem.h"

#define HEX_A "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34a"
#define HEX_B "d9cddeb84dc5d864bc14796984dcc773ce209975f501e1e8476d23d2c0c5fbac"

static const char answer[] = "malformed=1\nwrong_source=18446744073709551615\nsomething_new=7\nfeatures=udp_segment queues=2\n"
                             "stranger=" HEX_A "\nstranger_endpoint=192.0.2.9:51820\nstranger_count=3\nstranger_time=1700000000\nstranger_mood=bad\n"
                             "stranger=" HEX_B "\nstranger_endpoint=[fe80::1%eth0]:5\nstranger_count=1\nstranger_time=0\n"
                             "public_key=" HEX_B "\nbad_data=4\nnew_too=x\npublic_key=" HEX_A "\nbad_data=5\nwrong_source=6\nerrno=0\n\n";

static void test_whole(void **state)
{
    struct engine_report report;
    struct err err = {{0}};
    struct key a;
    (void)state;
    if (engine_report_parse(answer, sizeof answer - 1, &report, &err))
        fail_msg("%s", err.text);
    key_parse_hex(HEX_A, &a);
    assert_true(report.counters.malformed == 1 && report.counters.wrong_source == UINT64_MAX && report.counters.bad_mac1 == 0);
    assert_string_equal(report.features, "udp_segment queues=2");
    assert_int_equal(report.stranger_count, 2);
    assert_true(key_equal(&report.strangers[0].public_key, &a) && report.strangers[0].count == 3 &&
                report.strangers[0].last == 1700000000 * CLOCK_SECOND && report.strangers[0].endpoint.port == 51820);
    assert_int_equal(report.peer_count, 2);
    assert_true(key_equal(&report.peers[0].public_key, &a) && report.peers[0].bad_data == 5 && report.peers[0].wrong_source == 6);
    assert_true(report.peers[1].bad_data == 4 && report.peers[1].wrong_source == 0);
    engine_report_free(&report);
}

/* Every name of the table is read into its own place. */
static void test_each_name(void **state)
{
    struct engine_report report;
    struct err err = {{0}};
    struct buf text = BUF_EMPTY;
    uint64_t number = 1;
    (void)state;
#define WRITE(name, words) buf_add_format(&text, #name "=%llu\n", (unsigned long long)number++);
    ENGINE_COUNTERS(WRITE)
    buf_add_text(&text, "public_key=" HEX_A "\n");
    ENGINE_PEER_COUNTERS(WRITE)
#undef WRITE
    buf_add_text(&text, "errno=0\n\n");
    assert_int_equal(engine_report_parse(text.data, text.length, &report, &err), 0);
    number = 1;
#define CHECK(name, words) assert_true(report.counters.name == number++);
    ENGINE_COUNTERS(CHECK)
#undef CHECK
#define CHECK(name, words) assert_true(report.peers[0].name == number++);
    ENGINE_PEER_COUNTERS(CHECK)
#undef CHECK
    engine_report_free(&report);
    buf_free(&text);
}

#define TAIL "errno=0\n\n"

static void test_refused(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {"", "incomplete"},
        {"errno=0\n", "incomplete"},
        {"errno=0", "incomplete"},
        {"\n", "incomplete"},
        {"errno=0\n\nx=1\n", "more behind the empty line"},
        {"errno=0\nmalformed=1\n\n", "more behind errno"},
        {"errno=22\n\n", "Invalid argument"},
        {"errno=-22\n\n", "Invalid argument"},
        {"errno=x\n\n", "line 1: errno=x"},
        {"garbage\n" TAIL, "no '='"},
        {"malformed=-1\n" TAIL, "line 1: malformed=-1"},
        {"malformed=18446744073709551616\n" TAIL, "line 1: malformed"},
        {"malformed=\n" TAIL, "line 1: malformed="},
        {"features=\x1b[2J\n" TAIL, "line 1: features=\\x1b"},
        {"stranger=" HEX_A "0\n" TAIL, "line 1: stranger"},
        {"stranger_count=1\n" TAIL, "line 1: stranger_count"},
        {"stranger=" HEX_A "\nstranger_endpoint=a.example:5\n" TAIL, "line 2: stranger_endpoint"},
        {"stranger=" HEX_A "\nstranger_time=9223372037\n" TAIL, "line 2: stranger_time"},
        {"public_key=x\n" TAIL, "line 1: public_key=x"},
        {"public_key=" HEX_A "\npublic_key=" HEX_A "\n" TAIL, "twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct engine_report report;
        struct err err = {{0}};
        CASE_ASSERT(i, engine_report_parse(cases[i].text, strlen(cases[i].text), &report, &err) == -1);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, !report.peers && !report.peer_count);
    }
}

static void test_bounds(void **state)
{
    struct engine_report report;
    struct err err = {{0}};
    struct buf text = BUF_EMPTY;
    (void)state;
    for (int i = 0; i < ENGINE_STRANGERS; i++)
        buf_add_text(&text, "stranger=" HEX_A "\n");
    size_t allowed = text.length;
    buf_add_text(&text, TAIL);
    assert_int_equal(engine_report_parse(text.data, text.length, &report, &err), 0);
    assert_int_equal(report.stranger_count, ENGINE_STRANGERS);
    engine_report_free(&report);
    text.length = allowed;
    buf_add_text(&text, "stranger=" HEX_A "\n" TAIL);
    assert_int_equal(engine_report_parse(text.data, text.length, &report, &err), -1);
    buf_clear(&text);
    for (int i = 0; i < 600; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "=1\n" TAIL);
    assert_int_equal(engine_report_parse(text.data, text.length, &report, &err), -1);
    for (size_t cut = 0; cut < sizeof answer - 1; cut++)
        CASE_ASSERT(cut, engine_report_parse(answer, cut, &report, &err) == -1);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_each_name),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
