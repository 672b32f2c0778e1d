/* Rates: a pace, the table of addresses, and the timestamps that never go back. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/limiter.h"
#include "engine/protocol.h"

#define S CLOCK_SECOND
#define MS CLOCK_MILLISECOND

static struct udp_endpoint v4(uint32_t address, uint16_t port)
{
    struct udp_endpoint from = {.to.v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)}};
    return from;
}

static struct udp_endpoint v6(uint64_t network, uint64_t host)
{
    struct udp_endpoint from = {.to.v6 = {.sin6_family = AF_INET6}};
    for (unsigned i = 0; i < 8; i++) {
        from.to.v6.sin6_addr.s6_addr[i] = (uint8_t)(network >> (56 - 8 * i));
        from.to.v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(host >> (56 - 8 * i));
    }
    return from;
}

static void test_pace(void **state)
{
    (void)state;
    static const struct { int64_t at; bool taken; } rows[] = {
        {0, true}, {0, true}, {0, true}, {0, false},             /* three at once */
        {99, false}, {100, true}, {100, false}, {250, true},     /* then one each 100 */
        {300, true}, {300, false},
        {10000, true}, {10000, true}, {10000, true}, {10000, false}, /* a rest gives no more than the burst */
    };
    int64_t ready = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CASE_ASSERT(i, pace_take(&ready, 100, 3, rows[i].at) == rows[i].taken);
}

static void test_addresses(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new();
    struct udp_endpoint a = v4(0x0a000001, 1), a_other_port = v4(0x0a000001, 2), b = v4(0x0a000002, 1);
    struct udp_endpoint n1 = v6(0x20010db800000001, 1), n1_other_host = v6(0x20010db800000001, 0xffff), n2 = v6(0x20010db800000002, 1);
    assert_int_equal(limiter_address(limiter, &a), limiter_address(limiter, &a_other_port));
    assert_int_not_equal(limiter_address(limiter, &a), limiter_address(limiter, &b));
    assert_int_equal(limiter_address(limiter, &n1), limiter_address(limiter, &n1_other_host));
    assert_int_not_equal(limiter_address(limiter, &n1), limiter_address(limiter, &n2));
    uint64_t address = limiter_address(limiter, &a);
    int64_t now = 100 * S;
    for (int i = 0; i < LIMITER_BURST; i++)
        assert_true(limiter_take(limiter, address, false, now));
    assert_false(limiter_take(limiter, address, false, now));
    assert_true(limiter_take(limiter, address, true, now)); /* its proved rate is its own */
    assert_true(limiter_take(limiter, limiter_address(limiter, &b), false, now));
    unsigned taken = 0;
    for (int i = 0; i < 1000; i++) /* one a ms for a second */
        taken += limiter_take(limiter, address, false, now += MS);
    assert_in_range(taken, 19, 21);
    limiter_free(limiter);
}

/* However many addresses are invented: one that was not there before is let in, and one that uses its rate up stays limited. */
static void test_no_lockout(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new();
    struct udp_endpoint greedy_from = v4(0x0b000001, 1), newcomer;
    uint64_t greedy = limiter_address(limiter, &greedy_from);
    unsigned greedy_taken = 0, newcomers_taken = 0;
    int64_t now = 5 * S;
    for (uint32_t i = 0; i < 200000; i++) {
        struct udp_endpoint from = v4(0xc0000000 + i, 1);
        limiter_take(limiter, limiter_address(limiter, &from), false, now += 20000);
        greedy_taken += limiter_take(limiter, greedy, false, now);
        if (i % 2000 == 0) {
            newcomer = v4(0x0c000000 + i, 1);
            newcomers_taken += limiter_take(limiter, limiter_address(limiter, &newcomer), false, now);
        }
    }
    assert_int_equal(newcomers_taken, 100);
    assert_in_range(greedy_taken, 80, 90); /* 4 s: 20 a second and the burst */
    limiter_free(limiter);
}

/* --- timestamps */

#define DAY (86400 * S)
#define T0 (INT64_C(1795000000) * S)

static void test_timestamps(void **state)
{
    (void)state;
    /* Wall and steady clock when asked; what is given. */
    static const struct { int64_t wall, steady, given; } rows[] = {
        {T0, 10 * S, T0},
        {T0 + 5 * S, 15 * S, T0 + 5 * S},
        {T0 - DAY, 16 * S, T0 + 6 * S},                       /* set back: it goes on as the steady clock does */
        {T0 - DAY, 16 * S, T0 + 6 * S},
        {T0 + DAY, 20 * S, T0 + DAY},                         /* set forward: believed */
        {T0 + 10 * S, 21 * S, T0 + DAY + S},                  /* set right again: it stays ahead, no peer refuses it */
        {T0 + 20 * 366 * DAY, 22 * S, T0 + DAY + 2 * S},      /* twenty years: not believed */
        {INT64_MAX, 23 * S, T0 + DAY + 3 * S},
    };
    struct timestamp timestamp = {.descriptor = -1};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CASE_ASSERT(i, timestamp_at(&timestamp, rows[i].wall, rows[i].steady) == rows[i].given);
}

static char folder[] = "/tmp/wgdeck-timestamp.XXXXXX";

static void path_of(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s.tai64n", folder, name);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The next start, with a clock that is a year behind. */
static int64_t after_restart(const char *name)
{
    struct timestamp timestamp;
    timestamp_open(&timestamp, name, 500 * S);
    int64_t given = timestamp_at(&timestamp, T0 - 365 * DAY, 500 * S);
    if (timestamp.descriptor >= 0)
        close(timestamp.descriptor); /* a crash */
    return given;
}

static void test_floor_is_kept(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("STATE_DIRECTORY", folder, 1);
    struct timestamp timestamp;
    char path[512];
    struct stat status;
    timestamp_open(&timestamp, "wg0", 1 * S);
    assert_true(timestamp.descriptor >= 0);
    int64_t last = 0;
    for (int i = 0; i < 1000; i++)
        last = timestamp_at(&timestamp, T0 + i * S, (1 + i) * S);
    assert_int_equal(last, T0 + 999 * S);
    close(timestamp.descriptor); /* a crash */
    int64_t next = after_restart("wg0");
    assert_true(next > last && next <= last + 60 * S);
    int64_t again = after_restart("wg0"); /* and again, at once */
    assert_true(again > next && again <= next + 60 * S);

    timestamp_open(&timestamp, "wg0", 1 * S); /* a clean end keeps the exact one */
    last = timestamp_at(&timestamp, T0 + DAY, 2 * S);
    timestamp_close(&timestamp);
    next = after_restart("wg0");
    assert_true(next > last && next < last + S);

    path_of("wg0", path, sizeof path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, 20);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "hello", "99999999999999999999\n", "9223372036854775807\n", "-000000000000000001\n", "0000000000000000000\n"};
    char path[512];
    path_of("wg1", path, sizeof path);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        write_file(path, rows[i]);
        CASE_ASSERT(i, after_restart("wg1") == T0 - 365 * DAY);
    }
    unlink(path); /* a link is not followed */
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(after_restart("wg1"), T0 - 365 * DAY);
    assert_int_equal(after_restart("../wg1"), T0 - 365 * DAY);
    unlink(path);
    path_of("wg0", path, sizeof path);
    unlink(path);
    setenv("STATE_DIRECTORY", "/proc/none", 1);
    assert_int_equal(after_restart("wg1"), T0 - 365 * DAY);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace),          cmocka_unit_test(test_addresses),      cmocka_unit_test(test_no_lockout),
        cmocka_unit_test(test_timestamps),    cmocka_unit_test(test_floor_is_kept), cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
