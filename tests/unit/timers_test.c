/* Timers: the decision as a table, and the wheel against a slow reference. */
#include "unit.h"

#include "engine/protocol.h"
#include "engine/wheel.h"

#define S CLOCK_SECOND
#define MS CLOCK_MILLISECOND
#define NEVER INT64_MAX
#define J (100 * MS)

static const struct {
    const char *words;
    struct timer_times times; /* seconds and jitter J where they are 0 below */
    int64_t now;
    unsigned actions;
    int64_t next;
} rows[] = {
    {"nothing was ever done", {0}, 1000 * S, 0, NEVER},

    {"an initiation waits", {.handshake_started = 100 * S, .handshake_sent = 100 * S, .handshake_tries = 1}, 101 * S, 0, 105 * S + J},
    {"not at 5 s sharp", {.handshake_started = 100 * S, .handshake_sent = 100 * S, .handshake_tries = 1}, 105 * S, 0, 105 * S + J},
    {"no answer", {.handshake_started = 100 * S, .handshake_sent = 100 * S, .handshake_tries = 1}, 105 * S + J, TIMER_RETRY, NEVER},
    {"a series that may not send yet", {.handshake_started = 102 * S, .handshake_sent = 100 * S}, 102 * S, 0, 105 * S + J},
    {"try 17", {.handshake_started = 100 * S, .handshake_sent = 181 * S, .handshake_tries = 17}, 187 * S, TIMER_RETRY, NEVER},
    {"try 18 was the last", {.handshake_started = 100 * S, .handshake_sent = 180 * S, .handshake_tries = 18}, 186 * S, TIMER_GIVE_UP, NEVER},
    {"and it has its 5 s", {.handshake_started = 100 * S, .handshake_sent = 180 * S, .handshake_tries = 18}, 181 * S, 0, 185 * S + J},
    {"90 s are over", {.handshake_started = 100 * S, .handshake_sent = 186 * S, .handshake_tries = 9}, 192 * S, TIMER_GIVE_UP, NEVER},

    {"data came", {.unacknowledged_since = 100 * S, .last_traffic = 100 * S}, 100 * S, 0, 110 * S},
    {"data came and nothing went", {.unacknowledged_since = 100 * S, .last_traffic = 109 * S}, 110 * S, TIMER_KEEPALIVE, NEVER},
    {"only keepalives came", {.last_traffic = 100 * S, .session = true}, 1000 * S, 0, NEVER},

    {"data went", {.unanswered_since = 100 * S, .last_traffic = 100 * S}, 100 * S, 0, 115 * S + J},
    {"data went and nothing came", {.unanswered_since = 100 * S, .last_traffic = 114 * S}, 115 * S + J, TIMER_NEW_HANDSHAKE, NEVER},
    {"the same, while a handshake is tried", {.unanswered_since = 100 * S, .handshake_started = 114 * S, .handshake_sent = 114 * S, .handshake_tries = 1},
     116 * S, 0, 119 * S + J},

    {"persistent", {.keepalive = 25, .last_traffic = 100 * S, .session = true, .can_send = true}, 110 * S, 0, 125 * S},
    {"persistent is due", {.keepalive = 25, .last_traffic = 100 * S, .session = true, .can_send = true}, 125 * S, TIMER_PERSISTENT, NEVER},
    {"persistent without a session", {.keepalive = 25, .last_traffic = 100 * S, .can_send = true}, 125 * S, TIMER_PERSISTENT, NEVER},
    {"persistent, never any traffic", {.keepalive = 25, .can_send = true}, 100 * S, TIMER_PERSISTENT, NEVER},
    {"persistent waits for the handshake", {.keepalive = 1, .last_traffic = 100 * S, .can_send = true, .handshake_started = 100 * S, .handshake_sent = 100 * S,
     .handshake_tries = 1}, 104 * S, 0, 105 * S + J},
    {"persistent goes on while the next session is made", {.keepalive = 1, .last_traffic = 100 * S, .can_send = true, .session = true,
     .handshake_started = 100 * S, .handshake_sent = 100 * S, .handshake_tries = 1}, 104 * S, TIMER_PERSISTENT, 105 * S + J},
    {"persistent to nowhere", {.keepalive = 25, .last_traffic = 100 * S, .session = true}, 1000 * S, 0, NEVER},
    {"the longest", {.keepalive = 65535, .last_traffic = 100 * S, .session = true, .can_send = true}, 100 * S, 0, 65635 * S},

    {"keys live", {.session_died = 640 * S}, 639 * S, 0, 640 * S},
    {"keys go", {.session_died = 640 * S}, 640 * S, TIMER_WIPE, NEVER},

    {"the earliest is next", {.unacknowledged_since = 100 * S, .unanswered_since = 100 * S, .session_died = 640 * S}, 101 * S, 0, 110 * S},
    {"more than one at once", {.unacknowledged_since = 100 * S, .session_died = 640 * S, .keepalive = 25, .last_traffic = 100 * S, .session = true,
     .can_send = true}, 130 * S, TIMER_KEEPALIVE | TIMER_PERSISTENT, 640 * S},
};

static void test_plan(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct timer_times times = rows[i].times;
        times.jitter = J;
        struct timer_plan plan = timers_plan(&times, rows[i].now);
        if (plan.actions != rows[i].actions || plan.next != rows[i].next)
            fail_msg("case %zu (%s): actions %u, expected %u; next %lld, expected %lld", i, rows[i].words, plan.actions, rows[i].actions,
                     (long long)plan.next, (long long)rows[i].next);
    }
}

/* --- the wheel */

enum { PEERS = 1000 };

static uint64_t random_state = 88172645463325252u;
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* From ms to weeks. */
static int64_t random_wait(void)
{
    return (int64_t)(random_next() >> (14 + random_next() % 40));
}

static void test_wheel(void **state)
{
    (void)state;
    struct peer *peers = mem_alloc(PEERS, sizeof *peers);
    int64_t *deadlines = mem_alloc(PEERS, sizeof *deadlines);
    int64_t now = (INT64_C(1) << 46) - 3 * S; /* many digits turn over at once */
    struct wheel *wheel = wheel_new(now);
    struct peer *peer;
    for (int i = 0; i < PEERS; i++)
        deadlines[i] = NEVER;
    assert_true(wheel_next(wheel) == NEVER);
    size_t fired = 0;
    for (int step = 0; step < 30000; step++) {
        for (int i = 0; i < 3; i++) {
            size_t at = random_next() % PEERS;
            if (random_next() % 4 == 0) {
                wheel_disarm(wheel, &peers[at]);
                deadlines[at] = NEVER;
            } else {
                deadlines[at] = now + random_wait() - (random_next() % 16 == 0 ? S : 0);
                wheel_arm(wheel, &peers[at], deadlines[at]);
            }
        }
        int64_t earliest = NEVER;
        for (int i = 0; i < PEERS; i++)
            earliest = deadlines[i] < earliest ? deadlines[i] : earliest;
        assert_true(earliest == NEVER || wheel_next(wheel) < earliest + 5 * MS); /* never late */
        now += random_next() % 2 ? random_wait() / 64 : 0;
        while ((peer = wheel_fire(wheel, now)) != NULL) {
            size_t at = (size_t)(peer - peers);
            assert_true(deadlines[at] <= now);
            deadlines[at] = NEVER;
            fired++;
        }
        for (int i = 0; i < PEERS; i++)
            assert_true(deadlines[i] > now - 5 * MS);
        assert_true(wheel_next(wheel) > now - 5 * MS);
    }
    assert_true(fired > 10000);
    wheel_free(wheel);
    free(peers);
    free(deadlines);
}

/* Sleeping until wheel_next says and no longer: few turns in vain. */
static void test_wheel_wakes_seldom(void **state)
{
    (void)state;
    struct peer *peer = mem_alloc(1, sizeof *peer);
    int64_t now = 12345 * S + 678 * MS;
    struct wheel *wheel = wheel_new(now);
    wheel_arm(wheel, peer, now + 65535 * S);
    int turns = 0;
    int64_t deadline = now + 65535 * S;
    while (!wheel_fire(wheel, now)) {
        assert_true(wheel_next(wheel) > now);
        now = wheel_next(wheel);
        turns++;
    }
    assert_true(now >= deadline && now < deadline + 5 * MS);
    assert_true(turns <= 7);
    wheel_free(wheel);
    free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_wheel),
        cmocka_unit_test(test_wheel_wakes_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
