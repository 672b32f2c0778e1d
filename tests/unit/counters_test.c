/* What is kept of an older reading: the row's counters are found again whatever came, went or was begun anew in between. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/counters.h"
#include "wgdeck/mem.h"

#define HUGE_COUNT (UINT64_C(1) << 47)

struct row { uint8_t first, last; uint64_t rx, tx; };

static struct observed *reading(const char *name, const struct row *rows, size_t count)
{
    struct observed *observed = observed_new(1);
    struct observation *seen = &observed->nodes[0];
    seen->reach = REACH_OK;
    seen->at = 5;
    seen->node_time = 6;
    seen->devices = mem_alloc(1, sizeof *seen->devices);
    seen->device_count = 1;
    snprintf(seen->devices[0].name, sizeof seen->devices[0].name, "%s", name);
    seen->devices[0].peers = mem_alloc(count, sizeof *seen->devices[0].peers);
    seen->devices[0].peer_count = count;
    for (size_t i = 0; i < count; i++) {
        struct device_peer *row = &seen->devices[0].peers[i];
        row->public_key.bytes[0] = rows[i].first;
        row->public_key.bytes[31] = rows[i].last;
        row->rx_bytes = rows[i].rx;
        row->tx_bytes = rows[i].tx;
    }
    observation_sort(seen);
    return observed;
}

enum { MOST = 20 };

static const struct {
    const char *name;
    struct row before[MOST];
    size_t before_count;
    struct row now[MOST];
    size_t now_count;
    const char *found; /* for each row now: number of bytes received more, 'x' begun anew, '-' not there before */
} cases[] = {
    {"nothing before", {{0}}, 0, {{1, 0, 1, 1}}, 1, "-"},
    {"nothing now", {{1, 0, 1, 1}}, 1, {{0}}, 0, ""},
    {"as before", {{1, 0, 1, 1}, {2, 0, 2, 2}, {3, 0, 3, 3}}, 3, {{1, 0, 2, 1}, {2, 0, 4, 2}, {3, 0, 3, 9}}, 3, "120"},
    {"one came in the middle", {{1, 0, 1, 1}, {3, 0, 3, 3}}, 2, {{1, 0, 1, 1}, {2, 0, 4, 2}, {3, 0, 8, 9}}, 3, "0-5"},
    {"one came first and one last", {{2, 0, 1, 1}}, 1, {{1, 0, 1, 1}, {2, 0, 4, 2}, {3, 0, 8, 9}}, 3, "-3-"},
    {"the first and the last went", {{1, 0, 1, 1}, {2, 0, 2, 2}, {3, 0, 3, 3}}, 3, {{2, 0, 4, 2}}, 1, "2"},
    {"received begun anew", {{1, 0, 9, 1}}, 1, {{1, 0, 2, 1}}, 1, "x"},
    {"sent begun anew", {{1, 0, 1, 9}}, 1, {{1, 0, 1, 8}}, 1, "x"},
    {"beyond 32 bits", {{1, 0, UINT32_MAX, 7}}, 1, {{1, 0, UINT32_MAX + UINT64_C(3), 7}}, 1, "3"},
    {"beyond 48 bits", {{1, 0, 2 * HUGE_COUNT - 1, 7}}, 1, {{1, 0, 2 * HUGE_COUNT + 3, 7}}, 1, "4"},
    {"alike in what is kept of the key", {{1, 1, 10, 1}, {1, 2, 20, 1}}, 2, {{1, 1, 11, 1}, {1, 2, 22, 1}, {2, 0, 1, 1}}, 3, "12-"},
    {"alike, and one of them went", {{1, 1, 10, 1}, {1, 2, 20, 1}, {2, 0, 5, 5}}, 3, {{1, 2, 22, 1}, {2, 0, 8, 5}}, 2, "-3"},
    {"alike, and one came", {{1, 1, 10, 1}, {2, 0, 5, 5}}, 2, {{1, 0, 1, 1}, {1, 1, 11, 1}, {2, 0, 8, 5}}, 3, "--3"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct observed *before = reading("wg0", cases[i].before, cases[i].before_count), *now = reading("wg0", cases[i].now, cases[i].now_count);
        struct counters *counters = counters_take(before);
        const struct counted_device *device = counters_device(&counters->nodes[0], "wg0");
        char found[MOST + 1] = "";
        observed_free(before);
        assert_non_null(device);
        for (size_t r = 0; r < cases[i].now_count; r++) {
            const struct counted_row *row = counters_row(device, &now->nodes[0].devices[0], r);
            uint64_t rx = 0, tx = 0;
            bool good = row && counters_difference(row, &now->nodes[0].devices[0].peers[r], &rx, &tx);
            found[r] = !row ? '-' : !good ? 'x' : (char)('0' + rx);
        }
        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, found, cases[i].found);
        counters_free(counters);
        observed_free(now);
    }
}

static void test_whole(void **state)
{
    (void)state;
    struct row row = {1, 0, 1, 1};
    struct observed *observed = reading("wg7", &row, 1);
    struct counters *counters = counters_take(observed);
    assert_int_equal(sizeof(struct counted_row), 16);
    assert_int_equal(counters->node_count, 1);
    assert_int_equal(counters->nodes[0].reach, REACH_OK);
    assert_int_equal(counters->nodes[0].at, 5);
    assert_int_equal(counters->nodes[0].node_time, 6);
    assert_null(counters_device(&counters->nodes[0], "wg0"));
    assert_non_null(counters_device(&counters->nodes[0], "wg7"));
    counters_free(counters);
    counters_free(NULL);
    observed_free(observed);
}

/* Thousands of rows made alike are left alone, quickly. */
static void test_many_alike(void **state)
{
    (void)state;
    struct row rows[MOST];
    for (uint8_t i = 0; i < MOST; i++)
        rows[i] = (struct row){1, i, 1, 1};
    struct observed *observed = reading("wg0", rows, MOST);
    struct counters *counters = counters_take(observed);
    struct device fewer = observed->nodes[0].devices[0];
    fewer.peer_count--;
    for (size_t r = 0; r < fewer.peer_count; r++)
        assert_null(counters_row(&counters->nodes[0].devices[0], &fewer, r));
    counters_free(counters);
    observed_free(observed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_many_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
