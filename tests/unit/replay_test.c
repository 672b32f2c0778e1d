/* replay.h: RFC 6479 with a ring of 8192 counters. */
#include "unit.h"

#include "engine/replay.h"

#define WINDOW (REPLAY_BITS - 64) /* one word of the ring is being refilled */

static void test_cases(void **state)
{
    static const struct { bool fresh; uint64_t counter; bool taken; } steps[] = {
        {true, 0, true}, {false, 0, false}, {false, 1, true}, {false, 1, false},
        {true, 1, true}, {false, 0, true}, {false, 0, false},
        {true, 9, true}, {false, 8, true}, {false, 7, true}, {false, 7, false}, {false, 8, false}, {false, 9, false},
        /* the lower edge */
        {true, WINDOW, true}, {false, 0, true}, {false, 0, false},
        {true, WINDOW + 1, true}, {false, 0, false}, {false, 1, true}, {false, 1, false},
        {true, 63, true}, {false, WINDOW + 63, true}, {false, 63, false}, {false, 62, false}, {false, 64, true},
        {true, 64, true}, {false, WINDOW + 64, true}, {false, 64, false}, {false, 63, false}, {false, 65, true},
        /* the ring goes round */
        {true, 5, true}, {false, REPLAY_BITS + 5, true}, {false, REPLAY_BITS + 5, false}, {false, REPLAY_BITS + 4, true}, {false, 5, false},
        {true, 5, true}, {false, 3 * REPLAY_BITS + 5, true}, {false, 2 * REPLAY_BITS + 70, true}, {false, 2 * REPLAY_BITS + 69, true},
        {false, 2 * REPLAY_BITS + 68, false},
        /* a leap over everything */
        {true, 1, true}, {false, UINT64_C(1) << 40, true}, {false, (UINT64_C(1) << 40) - WINDOW, true}, {false, (UINT64_C(1) << 40) - WINDOW - 1, false},
        {false, 2, false},
        /* a first one that is not 0, of any size */
        {true, 64, true}, {false, 0, true}, {false, 63, true}, {false, 0, false},
        {true, UINT64_C(1) << 50, true}, {false, 0, false},
        /* the last one that a key may count */
        {true, REJECT_AFTER_MESSAGES - 1, true}, {false, REJECT_AFTER_MESSAGES - 1, false}, {false, REJECT_AFTER_MESSAGES, false},
        {false, REJECT_AFTER_MESSAGES - 2, true}, {false, UINT64_MAX, false}, {false, REJECT_AFTER_MESSAGES - 1 - WINDOW, true},
        {true, REJECT_AFTER_MESSAGES, false}, {false, 0, true},
        {true, UINT64_MAX, false}, {false, 0, true}, {false, UINT64_MAX, false}, {false, 1, true},
    };
    struct replay replay;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i].fresh)
            memset(&replay, 0, sizeof replay);
        CASE_ASSERT(i, replay_take(&replay, steps[i].counter) == steps[i].taken);
    }
}

/* All that was ever taken, and the highest: what the window may only approximate by its lower edge. */
enum { SPACE = 1 << 20 };
struct slow { bool seen[SPACE]; uint64_t top; bool any; };

static bool slow_take(struct slow *slow, uint64_t counter)
{
    if (slow->seen[counter] || (slow->any && counter + WINDOW < slow->top))
        return false;
    slow->seen[counter] = true;
    if (!slow->any || counter > slow->top)
        slow->top = counter;
    return slow->any = true;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void test_random(void **state)
{
    static const unsigned reach[] = {2, 40, 200, 9000, 20000};
    struct slow *slow = mem_alloc(1, sizeof *slow);
    (void)state;
    for (size_t row = 0; row < COUNT_OF(reach); row++) {
        struct replay replay = {0};
        uint64_t at = random_number() % 100;
        memset(slow, 0, sizeof *slow);
        for (unsigned i = 0; i < 400000 && at < SPACE - 50000; i++) {
            uint64_t back = random_number() % 9000, counter;
            counter = random_number() % 3 == 0 && at > back ? at - back : at + random_number() % reach[row];
            if (replay_take(&replay, counter) != slow_take(slow, counter))
                fail_msg("reach %u, step %u: counter %llu, highest %llu", reach[row], i, (unsigned long long)counter, (unsigned long long)slow->top);
            if (counter > at)
                at = counter - (random_number() % 4 == 0 ? 0 : (counter - at) / 2);
        }
    }
    free(slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
