/* What is told when the way between two nodes changes (the ladder): once for each pair, with the reason, and nothing where fewer ends are seen than before; and when a machine joins by an
 * invitation, or leaves. */
#include "unit.h"

#include "deck/live_private.h"
#include "wgdeck/clock.h"

static struct mesh_node nodes[12];
static struct mesh mesh = {.nodes = nodes};
static struct observed observed;
static struct observation seen[12];
static struct node_summary summaries[12];
static struct link links[16];
static struct diagnosis diagnosis = {.nodes = summaries, .links = links};
static struct live live = {.mesh = &mesh, .observed = &observed};
static char names[12][8];

static int begin(void **state)
{
    (void)state;
    mesh.node_count = observed.node_count = diagnosis.node_count = 12;
    observed.nodes = seen;
    for (size_t i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        nodes[i].name = names[i];
        seen[i].reach = REACH_OK;
        summaries[i] = (struct node_summary){.state = NODE_UP};
    }
    live.log = event_log_new(NULL);
    live.events = live_events_new(12);
    return 0;
}

static int end(void **state)
{
    (void)state;
    live_events_free(live.events);
    event_log_free(live.log);
    return 0;
}

static size_t told(void)
{
    size_t count = 0;
    for (size_t i = 0; i < event_log_count(live.log); i++)
        count += event_log_get(live.log, i)->kind == EVENT_PATH;
    return count;
}

static void link_is(size_t i, uint32_t a, uint32_t b, enum link_path path, const char *reason)
{
    links[i] = (struct link){.a = a, .b = b, .state = LINK_LIVE, .path = path, .path_reason = reason, .a_age = -1, .b_age = -1, .rtt = -1};
}

static void compare(size_t count)
{
    diagnosis.link_count = count;
    live_events_compare(&live, &diagnosis, &observed, COMPARE_EVENTS);
}

static void test_pair(void **state)
{
    (void)state;
    link_is(0, 1, 2, PATH_HUB, NULL);
    compare(1);
    compare(1);
    assert_int_equal(told(), 0);
    link_is(0, 1, 2, PATH_DIRECT, "handshake by 198.51.100.7:40001, where the hub sees it");
    compare(1);
    compare(1);
    assert_int_equal(told(), 1);
    const struct event *event = event_log_get(live.log, 0);
    assert_string_equal(event->text, "n1 - n2: hub -> direct: handshake by 198.51.100.7:40001, where the hub sees it");
    assert_string_equal(event->nodes[0], "n1");
    assert_string_equal(event->nodes[1], "n2");
    assert_string_equal(event_kinds[event->kind].name, "path");
    seen[2].reach = REACH_FAILED; /* what is concluded from one end alone is no news */
    link_is(0, 1, 2, PATH_HUB, NULL);
    compare(1);
    seen[1].reach = REACH_FAILED;
    compare(1);
    assert_int_equal(told(), 1);
    seen[1].reach = seen[2].reach = REACH_OK;
    link_is(0, 1, 2, PATH_RELAY, "handshake by the relay\n\x1b[31m");
    compare(1);
    assert_non_null(strstr(event_log_get(live.log, 0)->text, "n1 - n2: direct -> relay: handshake by the relay\\x0a\\x1b"));
    for (size_t i = 0; i < event_log_count(live.log); i++)
        assert_null(strchr(event_log_get(live.log, i)->text, '\n'));
}

static void test_a_pair_that_only_one_end_shows(void **state)
{
    (void)state;
    seen[2].reach = REACH_UNKNOWN;
    link_is(0, 1, 2, PATH_HUB, NULL);
    compare(1);
    link_is(0, 1, 2, PATH_DIRECT, "x");
    compare(1);
    assert_int_equal(told(), 1);
}

/* A node whose links all change: told together. */
static void test_many(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 9; i++)
            link_is(i, 0, i + 1, round ? PATH_HUB : PATH_DIRECT, NULL);
        compare(9);
    }
    assert_int_equal(told(), 1);
    assert_string_equal(event_log_get(live.log, 0)->text, "n0: 9 of its links go another way (with n1, n2 and others)");
}

static const struct event *newest(enum event_kind kind)
{
    for (size_t i = 0; i < event_log_count(live.log); i++)
        if (event_log_get(live.log, i)->kind == kind)
            return event_log_get(live.log, i);
    return NULL;
}

static void test_joined(void **state)
{
    struct device_peer rows[2] = {{.public_key = {{1}}}, {.public_key = {{2}}}};
    struct device device = {.name = "wg0", .peers = rows, .peer_count = 1};
    struct observed_joined joined[2] = {{.name = "mail", .interface = "wg0", .key = {{1}}, .from = "198.51.100.7"}, {.name = "n5", .interface = "wg0", .key = {{2}}}};
    (void)state;
    seen[3].devices = &device;
    seen[3].device_count = 1;
    seen[3].joined = joined;
    seen[3].joined_count = 1;
    compare(0);
    assert_null(newest(EVENT_JOINED)); /* it was there before the deck looked */
    seen[3].joined_count = 2;
    compare(0);
    assert_null(newest(EVENT_JOINED)); /* no row of it: it has not come, or has left */
    device.peer_count = 2;
    compare(0);
    compare(0);
    const struct event *event = newest(EVENT_JOINED);
    assert_non_null(event);
    assert_string_equal(event->text, "n5 has joined through n3, by an invitation");
    assert_string_equal(event->nodes[0], "n3");
    assert_string_equal(event->nodes[1], "n5");
    assert_int_equal(event->times, 1);
    seen[3].reach = REACH_FAILED;
    device.peer_count = 0;
    compare(0);
    assert_null(newest(EVENT_LEFT)); /* nothing is known now */
    seen[3].reach = REACH_OK;
    device.peer_count = 1;
    compare(0);
    assert_string_equal(newest(EVENT_LEFT)->text, "n5, which had joined through n3, is gone from there");
    seen[3] = (struct observation){.reach = REACH_OK};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pair, begin, end),
        cmocka_unit_test_setup_teardown(test_a_pair_that_only_one_end_shows, begin, end),
        cmocka_unit_test_setup_teardown(test_many, begin, end),
        cmocka_unit_test_setup_teardown(test_joined, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
