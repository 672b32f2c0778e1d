/* The live mesh from recordings that are made here: what is shown when, what happened, how it was, and every way through a recording. */
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "diagnosis_world.h"
#include "wgdeck/json.h"
#include "wgdeck/live.h"
#include "wgdeck/record.h"

/* A recording: a healthy mesh of three, looked at every two seconds; the script changes it on the way. */

#define STEP_SECONDS 2

struct script {
    int lost_from, lost_to;     /* node c cannot be reached */
    int silent_from, silent_to; /* nothing passes between a and b */
    int down_from, down_to;     /* c has no interface */
    int moved_at;               /* a hears b from elsewhere */
    int key_at;                 /* c has another key */
    int row_at;                 /* a has no row for c any more */
    int reset_at;               /* counters of a begin anew */
    int seconds;
};

static bool within(int second, int from, int to)
{
    return from && second >= from && second < to;
}

static void advance_rows(struct world *world, const struct script *script, int second)
{
    for (char one = 'a'; one <= 'c'; one++)
        for (char two = 'a'; two <= 'c'; two++) {
            struct key key = world_key((unsigned)(two - 'a'));
            struct device_peer *row =
                (struct device_peer *)(uintptr_t)(one == two ? NULL : device_find_peer(&world_node(world, one)->devices[0], &key));
            bool silent = within(second, script->silent_from, script->silent_to) && one != 'c' && two != 'c';
            if (!row)
                continue;
            row->tx_bytes += 2000;
            if (!silent) {
                row->rx_bytes += 2000;
                row->handshake = world_node(world, one)->node_time - (second % 120) * CLOCK_SECOND;
            }
        }
}

static void write_node(struct recorder *recorder, struct world *world, const struct script *script, size_t node, int second)
{
    struct err err;
    struct observation *seen = &world->now->nodes[node], copy = {0};
    if (node == 2 && within(second, script->lost_from, script->lost_to)) {
        copy = (struct observation){.reach = REACH_FAILED, .failure = FAILED_REFUSED, .error = mem_text("connect: refused"), .at = seen->at};
    } else {
        observation_copy(&copy, seen);
        if (node == 2 && within(second, script->down_from, script->down_to)) {
            device_free(&copy.devices[0]);
            copy.device_count = 0;
            free(copy.links[1].addresses);
            copy.link_count = 1;
        }
    }
    assert_int_equal(recorder_add(recorder, node, &copy, &err), 0);
    observation_clear(&copy);
}

static FILE *record(const struct script *script)
{
    struct err err;
    struct world world = world_new(3, false);
    FILE *out = tmpfile();
    for (size_t i = 0; i < 3; i++) { /* targets that are called as the nodes of the world are */
        free(world.mesh->nodes[i].ssh);
        world.mesh->nodes[i].ssh = mem_text(world.mesh->nodes[i].name);
    }
    struct recorder *recorder = recorder_new(out, "test", world.mesh, NULL, &err);
    world_sort(&world);
    for (int second = 0; second <= script->seconds; second += STEP_SECONDS) {
        for (size_t i = 0; i < 3; i++) {
            struct observation *seen = &world.now->nodes[i];
            seen->at = seen->node_time = WORLD_NOW + second * CLOCK_SECOND + (int64_t)i * 10 * CLOCK_MILLISECOND;
        }
        advance_rows(&world, script, second);
        if (script->moved_at && second == script->moved_at)
            world_row(&world, 'a', 'b')->endpoint = world_endpoint("198.51.100.7:4000");
        if (script->key_at && second == script->key_at)
            world_node(&world, 'c')->devices[0].public_key = world_key(77);
        if (script->reset_at && second == script->reset_at)
            for (size_t k = 0; k < 2; k++)
                world.now->nodes[0].devices[0].peers[k].rx_bytes = world.now->nodes[0].devices[0].peers[k].tx_bytes = 10;
        if (script->row_at && second == script->row_at) {
            struct device *device = &world.now->nodes[0].devices[0];
            size_t at = (size_t)(world_row(&world, 'a', 'c') - device->peers);
            free(device->peers[at].allowed);
            memmove(&device->peers[at], &device->peers[at + 1], (--device->peer_count - at) * sizeof device->peers[0]);
        }
        for (size_t i = 0; i < 3; i++)
            write_node(recorder, &world, script, i, second);
    }
    recorder_free(recorder);
    world_free(&world);
    rewind(out);
    return out;
}

/* What is told. */

static unsigned told[4]; /* pictures, events, questions, replay */

static void on_changed(void *context, unsigned what)
{
    (void)context;
    for (unsigned i = 0; i < 4; i++)
        told[i] += what >> i & 1;
}

static const struct live_callbacks callbacks = {.changed = on_changed};
static struct ev_loop *loop;
static FILE *file;
static struct live *live;

static void begin(const struct script *script)
{
    struct err err;
    memset(told, 0, sizeof told);
    file = record(script);
    live = live_replay(loop, file, "test", &callbacks, NULL, &err);
    if (!live)
        fail_msg("%s", err.text);
    live_replay_pause(live, true);
    live_settle(live);
}

static void end(void)
{
    live_free(live);
    fclose(file);
}

static void seek(int second)
{
    live_replay_seek(live, WORLD_NOW + second * CLOCK_SECOND + 500 * CLOCK_MILLISECOND);
    live_settle(live);
}

/* Every pointer of the picture can be followed (for the sanitizers). */
static uint64_t follow(struct live_picture picture)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < picture.diagnosis->link_count; i++) {
        const struct link *link = &picture.diagnosis->links[i];
        sum += link->a_row ? link->a_row->rx_bytes + link->a_row->allowed[0].length : 0;
        sum += link->b_row ? link->b_row->rx_bytes + link->b_row->allowed[0].length : 0;
    }
    for (size_t i = 0; i < picture.mesh->node_count; i++) {
        sum += picture.diagnosis->nodes[i].device ? picture.diagnosis->nodes[i].device->listen_port : 0;
        sum += picture.nodes[i].last ? picture.nodes[i].last->device_count : 0;
    }
    return sum;
}

static size_t count_events(enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < event_log_count(live_events(live)); i++)
        count += event_log_get(live_events(live), i)->kind == kind;
    return count;
}

static const struct event *newest(enum event_kind kind)
{
    for (size_t i = 0; i < event_log_count(live_events(live)); i++)
        if (event_log_get(live_events(live), i)->kind == kind)
            return event_log_get(live_events(live), i);
    fail_msg("no %s", event_kinds[kind].name);
    return NULL;
}

static int second_of(int64_t at)
{
    return (int)((at - WORLD_NOW) / CLOCK_SECOND);
}

/* The cases */

static void test_begins_at_the_first_round(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 60});
    struct live_picture picture = live_picture(live);
    struct live_replay_state at = live_replay_state(live);
    assert_true(live_is_replay(live));
    assert_int_equal(picture.mesh->node_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(picture.observed->nodes[i].reach, REACH_OK);
    assert_int_equal(picture.diagnosis->link_count, 3);
    assert_int_equal(picture.diagnosis->links[0].state, LINK_LIVE);
    assert_int_equal(second_of(picture.now), 0);
    assert_int_equal(second_of(at.start), 0);
    assert_int_equal(second_of(at.end), 60);
    assert_true(at.paused && !at.at_end && !at.problem);
    assert_true(at.speed > 0.99 && at.speed < 1.01);
    assert_true(live_interval(live) > 1.9 && live_interval(live) < 2.1);
    assert_int_equal(event_log_count(live_events(live)), 0);
    assert_false(picture.old);
    follow(picture);
    end();
}

static void test_steps_and_seeks(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 60});
    static const struct { int steps, second; } cases[] = {{1, 2}, {1, 4}, {5, 14}, {-1, 12}, {-3, 6}, {-100, 0}, {3, 6}, {1000, 60}, {-1, 58}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        live_replay_step(live, cases[i].steps);
        live_settle(live);
        struct live_picture picture = live_picture(live);
        CASE_ASSERT(i, second_of(picture.now + 100 * CLOCK_MILLISECOND) == cases[i].second);
        CASE_ASSERT(i, second_of(picture.observed->nodes[0].at) == cases[i].second);
        CASE_ASSERT(i, second_of(picture.diagnosis->at) == cases[i].second);
        CASE_ASSERT(i, live_replay_state(live).paused);
        CASE_ASSERT(i, live_replay_state(live).at_end == (cases[i].second == 60));
        follow(picture);
    }
    seek(30);
    assert_int_equal(second_of(live_picture(live).observed->nodes[2].at), 30);
    seek(-1000);
    assert_int_equal(second_of(live_picture(live).now), 0);
    seek(100000);
    assert_int_equal(second_of(live_picture(live).now), 60);
    live_look_now(live); /* the next step: there is none */
    live_settle(live);
    assert_true(live_replay_state(live).at_end);
    assert_true(told[3] > 5);
    end();
}

static void on_enough(struct ev_loop *of, struct ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(of, EVBREAK_ALL);
}

static void run_loop(double seconds)
{
    struct ev_timer enough;
    ev_now_update(loop);
    ev_timer_init(&enough, on_enough, seconds, 0);
    ev_timer_start(loop, &enough);
    ev_run(loop, 0);
    ev_timer_stop(loop, &enough);
}

static void test_plays(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 600});
    live_replay_set_speed(live, 100);
    live_replay_pause(live, false);
    unsigned pictures = told[0];
    run_loop(0.5);
    int second = second_of(live_picture(live).now);
    assert_in_range(second, 10, 300);
    assert_in_range(second_of(live_picture(live).observed->nodes[0].at), second - 30, second);
    assert_in_range(told[0] - pictures, 1, 15); /* at most ten a second */
    live_replay_pause(live, true);
    second = second_of(live_picture(live).now);
    run_loop(0.1);
    assert_int_equal(second_of(live_picture(live).now), second);
    live_replay_set_speed(live, 1000);
    live_replay_pause(live, false);
    for (int i = 0; i < 20 && !live_replay_state(live).at_end; i++)
        run_loop(0.3);
    live_settle(live);
    assert_true(live_replay_state(live).at_end);
    assert_int_equal(second_of(live_picture(live).observed->nodes[0].at), 600);
    end();
}

static void test_events_of_an_incident(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 900, .lost_from = 40, .lost_to = 60, .down_from = 80, .down_to = 90, .moved_at = 120, .silent_from = 150,
                           .silent_to = 600, .key_at = 700, .row_at = 650});
    live_replay_seek(live, live_replay_state(live).end);
    live_settle(live);
    for (size_t i = event_log_count(live_events(live)); getenv("SHOW") && i-- > 0;) {
        const struct event *event = event_log_get(live_events(live), i);
        print_message("%4d %-16s %s\n", second_of(event->at), event_kinds[event->kind].name, event->text);
    }
    static const struct { enum event_kind kind; size_t count; int from, to; } cases[] = {
        {EVENT_NODE_LOST, 1, 40, 42},       {EVENT_NODE_BACK, 1, 60, 62},      {EVENT_INTERFACE_DOWN, 1, 80, 82},
        {EVENT_INTERFACE_UP, 1, 90, 92},    {EVENT_ENDPOINT_MOVED, 1, 120, 122}, {EVENT_KEY_CHANGED, 1, 700, 702},
        {EVENT_LINK_BROKEN, 0, 0, 0},       {EVENT_LINK_MENDED, 0, 600, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!cases[i].count)
            continue;
        CASE_ASSERT(i, count_events(cases[i].kind) == cases[i].count);
        CASE_ASSERT(i, second_of(newest(cases[i].kind)->at) >= cases[i].from && second_of(newest(cases[i].kind)->at) <= cases[i].to);
    }
    assert_true(count_events(EVENT_LINK_BROKEN) >= 1);
    assert_true(count_events(EVENT_LINK_MENDED) >= 1);
    assert_true(count_events(EVENT_SETTINGS_CHANGED) >= 1);
    assert_string_equal(newest(EVENT_SETTINGS_CHANGED)->text, "a: its row for c was removed");
    assert_non_null(strstr(newest(EVENT_ENDPOINT_MOVED)->text, "198.51.100.7:4000"));
    assert_string_equal(newest(EVENT_NODE_LOST)->nodes[0], "c");
    end();
}

static void test_faults_have_their_since(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 600, .lost_from = 100, .lost_to = 1000});
    seek(300);
    const struct diagnosis *diagnosis = live_picture(live).diagnosis;
    assert_true(diagnosis->fault_count > 0);
    bool found = false;
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        if (!strcmp(diagnosis->faults[i].kind->id, "host-unreachable")) {
            found = true;
            assert_in_range(second_of(diagnosis->faults[i].since), 99, 102);
        }
    assert_true(found);
    assert_true(live_picture(live).nodes[2].last != NULL);
    assert_int_equal(second_of(live_picture(live).nodes[2].seen_at), 98);
    assert_int_equal(live_picture(live).nodes[2].last->device_count, 1);
    seek(50); /* it has not happened yet */
    assert_int_equal(count_events(EVENT_NODE_LOST), 0);
    assert_null(live_picture(live).nodes[2].last);
    seek(300);
    assert_int_equal(count_events(EVENT_NODE_LOST), 1);
    end();
}

static void test_trends(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 600, .reset_at = 400, .silent_from = 500, .silent_to = 9999});
    seek(300);
    const struct trend *trend = live_link_trend(live, 0, 1);
    double value;
    assert_non_null(trend);
    assert_in_range(trend_length(trend), 148, 152);
    assert_true(trend_get(trend, TREND_A_TO_B_RATE, 0, &value));
    assert_true(value > 990 && value < 1010); /* 2000 bytes in two seconds */
    assert_true(trend_get(trend, TREND_STATE, 0, &value));
    assert_int_equal((int)value, LINK_LIVE);
    assert_true(trend_get(trend, TREND_A_AGE, 0, &value));
    assert_true(value >= 0 && value < 130);
    assert_false(trend_get(trend, TREND_RTT, 0, &value));
    assert_false(trend_get(trend, TREND_A_AGE, 5000, &value));
    const struct trend *node = live_node_trend(live, 0);
    assert_non_null(node);
    assert_true(trend_get(node, TREND_NODE_RX_RATE, 0, &value));
    assert_true(value > 1990 && value < 2010);
    assert_true(trend_get(node, TREND_NODE_LIVE, 0, &value));
    assert_int_equal((int)value, 2);
    seek(480);
    for (size_t i = 0; i < 200; i++) /* the reset makes no peak */
        if (trend_get(trend, TREND_B_TO_A_RATE, i, &value))
            CASE_ASSERT(i, value < 1100);
    seek(560);
    assert_true(trend_get(live_link_trend(live, 1, 0), TREND_A_TO_B_RATE, 0, &value));
    assert_true(value < 1);
    seek(100);
    assert_in_range(trend_length(live_link_trend(live, 0, 1)), 48, 52);
    live_watch_link(live, 0, 0);
    live_watch_link(live, 2, 1);
    end();
}

static void test_freeze(void **state)
{
    (void)state;
    begin(&(struct script){.seconds = 100, .lost_from = 20, .lost_to = 1000});
    seek(40);
    struct live_frozen *frozen = live_freeze(live);
    uint64_t sum = follow(live_frozen_picture(frozen));
    int64_t now = live_frozen_picture(frozen).now;
    seek(80);
    assert_true(follow(live_picture(live)) != sum);
    assert_true(follow(live_frozen_picture(frozen)) == sum);
    assert_true(live_frozen_picture(frozen).now == now);
    assert_non_null(live_frozen_picture(frozen).nodes[2].last);
    end();
    assert_true(live_frozen_picture(frozen).diagnosis->link_count > 0);
    live_frozen_free(frozen);
}

static void test_damaged_in_the_middle(void **state)
{
    (void)state;
    struct err err;
    file = record(&(struct script){.seconds = 60});
    char line[65536];
    for (int i = 0; i < 40; i++)
        assert_non_null(fgets(line, sizeof line, file));
    long at = ftell(file);
    fseek(file, at + 5, SEEK_SET);
    fputs("\x01\x02", file);
    rewind(file);
    live = live_replay(loop, file, "test", &callbacks, NULL, &err);
    assert_non_null(live);
    live_settle(live);
    live_replay_seek(live, live_replay_state(live).end);
    live_settle(live);
    struct live_replay_state replay = live_replay_state(live);
    assert_true(replay.at_end);
    assert_non_null(replay.problem);
    assert_non_null(strstr(replay.problem, "test:41"));
    assert_int_equal(second_of(live_picture(live).now), 24);
    seek(10); /* before it all is well */
    assert_null(live_replay_state(live).problem);
    assert_int_equal(second_of(live_picture(live).observed->nodes[0].at), 10);
    end();
}

static void test_no_recording(void **state)
{
    (void)state;
    struct err err;
    FILE *empty = tmpfile();
    assert_null(live_replay(loop, empty, "empty", &callbacks, NULL, &err));
    assert_non_null(strstr(err.text, "empty"));
    fclose(empty);
}

static void test_identity(void **state)
{
    (void)state;
    struct world world = world_new(3, false);
    struct fault fault = {.kind = fault_kind_find("udp-blocked"), .nodes = {1, 0}, .directed = true, .from = 0, .to = 1};
    struct buf text = BUF_EMPTY;
    if (!fault.kind)
        fault.kind = &fault_kinds[0];
    live_fault_identity(world.mesh, &fault, &text);
    char *wanted = mem_format("%s b a a>b", fault.kind->id);
    assert_string_equal(buf_text(&text), wanted);
    buf_clear(&text);
    fault = (struct fault){.kind = fault.kind, .nodes = {2, SIZE_MAX}};
    live_fault_identity(world.mesh, &fault, &text);
    free(wanted);
    wanted = mem_format("%s c -", fault.kind->id);
    assert_string_equal(buf_text(&text), wanted);
    free(wanted);
    buf_free(&text);
    world_free(&world);
}

static void test_state_folder(void **state)
{
    (void)state;
    struct world world = world_new(2, true);
    static const struct { const char *name, *folder; } cases[] = {
        {"prod", "/x/wgdeck/prod"}, {"a.b-c_1", "/x/wgdeck/a.b-c_1"}, {"../etc", NULL}, {"a/b", NULL}, {"", NULL}, {".hidden", NULL}, {"gr\xc3\xbc\xc3\x9f", NULL},
    };
    setenv("XDG_STATE_HOME", "/x", 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        free(world.mesh->name);
        world.mesh->name = mem_text(cases[i].name);
        char *folder = live_state_folder(world.mesh);
        if (cases[i].folder)
            assert_string_equal(folder, cases[i].folder);
        CASE_ASSERT(i, !strncmp(folder, "/x/wgdeck/", 10) && !strchr(folder + 10, '/') && folder[10] != '.' && folder[10]);
        free(folder);
    }
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/x", 1);
    world.mesh->from_file = false;
    char *one = live_state_folder(world.mesh);
    assert_non_null(strstr(one, "/home/x/.local/state/wgdeck/"));
    free(world.mesh->nodes[1].ssh);
    world.mesh->nodes[1].ssh = mem_text("other");
    char *two = live_state_folder(world.mesh);
    assert_string_not_equal(one, two);
    free(one);
    free(two);
    unsetenv("HOME");
    assert_null(live_state_folder(world.mesh));
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_at_the_first_round),
        cmocka_unit_test(test_steps_and_seeks),
        cmocka_unit_test(test_plays),
        cmocka_unit_test(test_events_of_an_incident),
        cmocka_unit_test(test_faults_have_their_since),
        cmocka_unit_test(test_trends),
        cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_damaged_in_the_middle),
        cmocka_unit_test(test_no_recording),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_state_folder),
    };
    loop = ev_loop_new(EVFLAG_AUTO);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ev_loop_destroy(loop);
    return failed;
}
