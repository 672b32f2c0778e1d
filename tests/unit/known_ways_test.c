/* Which way of a link is cut stays as it was known while the counters say nothing, and no longer: a row for each reading of one story. */
#include "unit.h"

#include "diagnosis_world.h"

enum { NOTHING = 0, TRIES = 444, DATA = 2000 };

struct reading {
    int seconds;                 /* since the one before */
    unsigned sent_by_a, sent_by_b;
    bool arrives_at_b, arrives_at_a;
    bool handshake, anew;        /* one was completed; a's and b's rows were made anew */
    enum direction_state a_to_b, b_to_a;
};

struct story {
    const char *name;
    struct reading readings[6];
    size_t count;
};

#define OK DIRECTION_OK
#define CUT DIRECTION_BLOCKED
#define UNKNOWN DIRECTION_UNKNOWN

static const struct story stories[] = {
    {"between two tries nothing is said", {{12, DATA, 32, false, true, false, false, CUT, OK}, {12, NOTHING, 0, false, true, false, false, CUT, OK},
                                           {12, 148, 32, false, true, false, false, CUT, OK}, {12, DATA, 0, false, true, false, false, CUT, OK}}, 4},
    {"what arrives ends it at once", {{12, DATA, 32, false, true, false, false, CUT, OK}, {12, 32, 0, true, true, false, false, OK, OK}}, 2},
    {"a handshake ends it, also with new counters", {{12, DATA, 32, false, true, false, false, CUT, OK}, {12, 0, 0, false, true, true, true, OK, OK}}, 2},
    {"old evidence counts no more", {{12, DATA, 32, false, true, false, false, CUT, OK}, {50, 0, 0, false, true, false, false, CUT, OK},
                                     {12, 0, 0, false, true, false, false, OK, OK}}, 3},
    {"the other way is cut as well", {{12, DATA, 32, false, true, false, false, CUT, OK}, {12, DATA, DATA, false, false, false, false, CUT, CUT},
                                      {12, 0, 0, false, false, false, false, CUT, CUT}, {12, DATA, DATA, false, true, false, false, CUT, OK}}, 4},
    {"a row made anew has counted up to where the old one was", {{12, DATA, 32, false, true, true, false, OK, OK}}, 1},
    {"the same, and then it is cut", {{12, DATA, 32, false, true, true, false, OK, OK}, {12, DATA, 32, false, true, false, false, CUT, OK}}, 2},
    {"time went back", {{12, DATA, 32, false, true, false, false, CUT, OK}, {-5, 0, 0, false, true, false, false, OK, OK}}, 2},
};

static void step(struct world *world, const struct reading *reading)
{
    int64_t by = reading->seconds * CLOCK_SECOND;
    world_keep_as_before(world);
    for (size_t i = 0; i < world->count; i++) {
        world->now->nodes[i].at += by;
        world->now->nodes[i].node_time += by;
        for (size_t r = 0; r < world->now->nodes[i].devices[0].peer_count; r++)
            world->now->nodes[i].devices[0].peers[r].handshake = world->now->nodes[i].node_time - 20 * CLOCK_SECOND;
    }
    /* The link is as old as the story's beginning. */
    struct device_peer *a = world_row(world, 'a', 'b'), *b = world_row(world, 'b', 'a');
    a->handshake = b->handshake = reading->handshake ? world->now->nodes[0].node_time : WORLD_NOW - 40 * CLOCK_SECOND;
    if (reading->anew)
        a->rx_bytes = a->tx_bytes = b->rx_bytes = b->tx_bytes = 0;
    world_send(world, 'a', 'b', reading->sent_by_a, reading->arrives_at_b);
    world_send(world, 'b', 'a', reading->sent_by_b, reading->arrives_at_a);
}

static void tell(const struct story *story, bool refreshing)
{
    struct world world = world_new(3, true);
    world_sort(&world);
    struct diagnosis *standing = diagnose_after(NULL, world.mesh, world.now, NULL);
    for (size_t i = 0; i < story->count; i++) {
        const struct reading *reading = &story->readings[i];
        step(&world, reading);
        if (!refreshing || !diagnosis_refresh(standing, world.mesh, world.now, world.before)) {
            struct diagnosis *next = diagnose_after(standing, world.mesh, world.now, world.before);
            diagnosis_free(standing);
            standing = next;
        }
        const struct link *link = &standing->links[0];
        if (link->a_to_b != reading->a_to_b || link->b_to_a != reading->b_to_a)
            fail_msg("%s, reading %zu%s: %s and %s", story->name, i, refreshing ? " (refreshed)" : "", direction_state_text(link->a_to_b),
                     direction_state_text(link->b_to_a));
    }
    diagnosis_free(standing);
    world_free(&world);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(stories); i++) {
        tell(&stories[i], false);
        tell(&stories[i], true);
    }
}

/* Without a memory the same reading says what it says. */
static void test_alone(void **state)
{
    (void)state;
    struct world world = world_new(3, true);
    world_sort(&world);
    step(&world, &stories[0].readings[0]);
    step(&world, &stories[0].readings[1]);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, world.before);
    assert_int_equal(diagnosis->links[0].a_to_b, DIRECTION_OK);
    diagnosis_free(diagnosis);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
