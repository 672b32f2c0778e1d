/* The live mesh over a fan-out that is a script: three nodes that answer, fail and ask; what is kept for the next run. The fan-out's functions are
 * defined here, so the real one is not linked. */
#include <elf.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "unit.h"
#undef EV_NONE /* of elf.h; ev.h has another one */

#include "diagnosis_world.h"
#include "wgdeck/json.h"
#include "wgdeck/live.h"

enum { NODES = 3 };

struct fanout_request {
    struct fanout_request_events events;
    void *context;
    struct buf written;
    bool cancelled;
    struct fanout_request *next;
};

struct fanout_session {
    struct fanout_session_events events;
    void *context;
    enum fanout_phase phase;
    struct fanout_request *request;
};

static struct {
    struct fanout_session sessions[NODES];
    size_t count;
    struct fanout_request *requests; /* all */
    struct fanout_options options;
    uint64_t answered;
    char answer[32];
} fake;

struct fanout *fanout_new(struct ev_loop *of, const struct fanout_options *options)
{
    (void)of;
    fake.count = 0;
    fake.options = *options;
    return (struct fanout *)(void *)&fake;
}

void fanout_free(struct fanout *fanout)
{
    (void)fanout;
    while (fake.requests) {
        struct fanout_request *request = fake.requests;
        fake.requests = request->next;
        buf_free(&request->written);
        free(request);
    }
}

void fanout_answer(struct fanout *fanout, uint64_t question, const char *text)
{
    (void)fanout;
    fake.answered = question;
    snprintf(fake.answer, sizeof fake.answer, "%s", text ? text : "(none)");
}

struct fanout_session *fanout_open(struct fanout *fanout, const char *name, const char *target, const char *host_key,
                                   const struct fanout_session_events *events, void *context)
{
    (void)fanout, (void)name, (void)target, (void)host_key;
    assert_true(fake.count < NODES);
    struct fanout_session *session = &fake.sessions[fake.count++];
    *session = (struct fanout_session){.events = *events, .context = context, .phase = PHASE_CONNECT};
    return session;
}

struct fanout_session *fanout_open_through(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_hop *hops, size_t count,
                                           const struct fanout_session_events *events, void *context)
{
    (void)hops, (void)count;
    return fanout_open(fanout, name, target, host_key, events, context);
}

enum fanout_phase fanout_session_phase(const struct fanout_session *session)
{
    return session->phase;
}

const char *fanout_phase_text(enum fanout_phase phase)
{
    return phase == PHASE_CONNECT ? "connecting" : "other";
}

const char *fanout_session_address(const struct fanout_session *session)
{
    (void)session;
    return "192.0.2.1";
}

bool fanout_session_is_root(const struct fanout_session *session)
{
    return session == &fake.sessions[0];
}

struct fanout_request *fanout_exec(struct fanout_session *session, const char *command, const struct fanout_request_options *options,
                                   const struct fanout_request_events *events, void *context)
{
    (void)command, (void)options;
    struct fanout_request *request = mem_alloc(1, sizeof *request);
    *request = (struct fanout_request){.events = *events, .context = context, .next = fake.requests};
    fake.requests = session->request = request;
    return request;
}

void fanout_write(struct fanout_request *request, const void *bytes, size_t length)
{
    buf_add(&request->written, bytes, length);
}

size_t fanout_queued(const struct fanout_request *request)
{
    (void)request;
    return 0;
}

void fanout_write_end(struct fanout_request *request)
{
    (void)request;
}

void fanout_request_cancel(struct fanout_request *request)
{
    request->cancelled = true;
}

/* What the tests share */

static struct ev_loop *loop;
static struct live *live;
static struct world world;
static char folder[64] = "/tmp/wgdeck-live-test-XXXXXX";
static char *state, *program;
static unsigned told;
static uint64_t ids[NODES];

static void on_changed(void *context, unsigned what)
{
    (void)context;
    told |= what;
}

static void begin(bool keep)
{
    static const struct live_callbacks callbacks = {.changed = on_changed};
    struct live_options options = {.look = {.mode = LOOK_AUTO, .every = 2, .helper = program}, .state = keep ? state : NULL};
    struct err err;
    memset(ids, 0, sizeof ids);
    told = 0;
    live = live_new(loop, world.mesh, &options, &callbacks, NULL, &err);
    if (!live)
        fail_msg("%s", err.text);
}

static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
    ev_run(loop, EVRUN_NOWAIT);
    live_settle(live);
}

static void say(size_t node, const char *text)
{
    struct fanout_request *request = fake.sessions[node].request;
    assert_false(request->cancelled);
    request->events.output(request->context, request, text, strlen(text));
}

/* The first reading of NODE, as its helper gives it. */
static void answer(size_t node)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    struct fanout_session *session = &fake.sessions[node];
    if (session->phase != PHASE_OPEN) {
        session->phase = PHASE_OPEN;
        session->events.open(session->context, session);
        say(node, "wgdeck helper /x\n");
    }
    const char *id = NULL, *at = buf_text(&session->request->written);
    while ((at = strstr(at, "\"id\":")))
        id = at += 5;
    assert_non_null(id);
    json_object(&json, NULL);
    json_number(&json, "id", atoi(id));
    json_bool(&json, "ok", true);
    observation_to_json(&world.now->nodes[node], false, &json, "observation");
    json_object_end(&json);
    buf_add_char(&text, '\n');
    say(node, buf_text(&text));
    buf_free(&text);
}

static void lose(size_t node)
{
    struct fanout_session *session = &fake.sessions[node];
    struct fanout_request *request = session->request;
    session->phase = PHASE_WAITING;
    if (request && !request->cancelled)
        request->events.done(request->context, request, -1, "connection lost");
    session->events.failed(session->context, session, FAILURE_LOST, "connection lost");
}

static void end(void)
{
    live_free(live);
    live = NULL;
}

static size_t count_events(enum event_kind kind, bool earlier)
{
    size_t count = 0;
    for (size_t i = 0; i < event_log_count(live_events(live)); i++) {
        const struct event *event = event_log_get(live_events(live), i);
        count += event->kind == kind && event->earlier == earlier;
    }
    return count;
}

static int setup(void **unused)
{
    (void)unused;
    world = world_new(NODES, true);
    world_sort(&world);
    for (size_t i = 0; i < NODES; i++)
        for (size_t k = 0; k < 2; k++)
            world.now->nodes[i].devices[0].peers[k].handshake = world.now->nodes[i].node_time - 10 * CLOCK_SECOND;
    char *command = mem_format("rm -rf %s", state);
    assert_int_equal(system(command), 0);
    free(command);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    world_free(&world);
    return 0;
}

/* The cases */

static void test_from_connecting_to_a_picture(void **unused)
{
    (void)unused;
    begin(false);
    struct live_picture picture = live_picture(live);
    assert_non_null(picture.diagnosis);
    assert_false(picture.old);
    assert_true(picture.nodes[0].waiting);
    assert_string_equal(picture.nodes[0].phase, "connecting");
    assert_true(fake.options.keep);
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    picture = live_picture(live);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(picture.diagnosis->nodes[i].state, NODE_UP);
        assert_false(picture.nodes[i].waiting);
        assert_string_equal(picture.nodes[i].phase, "");
        assert_null(picture.nodes[i].last);
        assert_true(picture.nodes[i].seen_at > 0);
    }
    assert_int_equal(picture.diagnosis->links[0].state, LINK_LIVE);
    assert_true(told & LIVE_PICTURE);
    assert_true(live_is_root(live, 0));
    assert_false(live_is_root(live, 1));
    assert_false(live_is_replay(live));
    assert_int_equal(count_events(EVENT_DECK_OPENED, false), 1);
    assert_int_equal(event_log_count(live_events(live)), 1);
    end();
}

static void test_a_lost_node_is_remembered(void **unused)
{
    (void)unused;
    begin(false);
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    lose(1);
    turn();
    struct live_picture picture = live_picture(live);
    assert_int_equal(picture.observed->nodes[1].reach, REACH_FAILED);
    assert_non_null(picture.nodes[1].last);
    assert_int_equal(picture.nodes[1].last->device_count, 1);
    assert_true(picture.nodes[1].seen_at > 0);
    assert_int_equal(count_events(EVENT_NODE_LOST, false), 1);
    assert_int_equal(count_events(EVENT_LINK_BROKEN, false), 0); /* it is not seen, that is all */
    assert_int_equal(picture.diagnosis->nodes[1].state, NODE_UNREACHABLE);
    answer(1);
    turn();
    assert_null(live_picture(live).nodes[1].last);
    assert_int_equal(count_events(EVENT_NODE_BACK, false), 1);
    end();
}

static void test_flapping_stays_bounded(void **unused)
{
    (void)unused;
    begin(true);
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    for (int i = 0; i < 200; i++) {
        lose(1);
        turn();
        answer(1);
        turn();
    }
    for (size_t i = 0; getenv("SHOW") && i < event_log_count(live_events(live)) && i < 20; i++)
        print_message("%u x %s\n", event_log_get(live_events(live), i)->times, event_log_get(live_events(live), i)->text);
    assert_true(event_log_count(live_events(live)) < 20);
    bool counted = false;
    for (size_t i = 0; i < event_log_count(live_events(live)); i++)
        counted |= event_log_get(live_events(live), i)->kind == EVENT_NODE_LOST && event_log_get(live_events(live), i)->times == 200;
    assert_true(counted);
    end();
    struct stat status;
    char *path = mem_format("%s/events.jsonl", state);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < 20000);
    assert_int_equal(status.st_mode & 0777, 0600);
    free(path);
}

static void test_last_known_data(void **unused)
{
    (void)unused;
    struct stat status;
    begin(true);
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    end();
    char *path = mem_format("%s/last.jsonl", state);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(state, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);

    world_row(&world, 'a', 'b')->endpoint = world_endpoint("198.51.100.9:1234");
    world_node(&world, 'c')->devices[0].public_key = world_key(99);
    begin(true);
    struct live_picture picture = live_picture(live);
    assert_true(picture.old);
    assert_int_equal(picture.diagnosis->nodes[0].state, NODE_UP);
    assert_int_equal(picture.diagnosis->links[0].state, LINK_LIVE);
    assert_true(picture.nodes[0].waiting);
    answer(0);
    live_settle(live);
    assert_true(live_picture(live).old); /* the others may answer yet */
    answer(1);
    answer(2);
    turn();
    turn();
    picture = live_picture(live);
    assert_false(picture.old);
    assert_int_equal(count_events(EVENT_DECK_CLOSED, true), 1);
    assert_int_equal(count_events(EVENT_ENDPOINT_MOVED, false), 1);
    assert_int_equal(count_events(EVENT_KEY_CHANGED, false), 1);
    assert_true(count_events(EVENT_FAULT_OPENED, false) >= 1);
    int64_t since = picture.diagnosis->faults[0].since;
    assert_true(since > 0);
    end();

    begin(true); /* since when is kept */
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    turn();
    assert_true(live_picture(live).diagnosis->faults[0].since == since);
    assert_int_equal(count_events(EVENT_FAULT_OPENED, false), 0);
    end();

    for (int i = 0; i < 3; i++) { /* damaged files harm nobody */
        FILE *file = fopen(path, "w");
        fputs(i == 0 ? "" : i == 1 ? "{\"node\":\"a\",\"observation\":{\"schema\":1,\"reach\":\"ok\"" : "\n\n[]\n{\"node\":5}\n", file);
        fclose(file);
        begin(true);
        assert_false(live_picture(live).old);
        end();
    }
    free(path);
}

static void test_nodes_that_are_not_there_now_are_shown_as_they_were(void **unused)
{
    (void)unused;
    begin(true);
    for (size_t i = 0; i < NODES; i++)
        answer(i);
    turn();
    end();
    begin(true);
    answer(0);
    answer(1);
    lose(2);
    turn();
    turn();
    struct live_picture picture = live_picture(live);
    assert_false(picture.old);
    assert_int_equal(picture.observed->nodes[2].reach, REACH_FAILED);
    assert_non_null(picture.nodes[2].last);
    assert_int_equal(count_events(EVENT_NODE_LOST, false), 1);
    end();
    begin(true); /* still lost: no news */
    answer(0);
    answer(1);
    lose(2);
    turn();
    turn();
    assert_int_equal(count_events(EVENT_NODE_LOST, false), 0);
    end();
}

static void test_questions(void **unused)
{
    (void)unused;
    begin(false);
    assert_null(live_question(live));
    char prompt[] = "Password:";
    for (uint64_t i = 1; i <= 3; i++) {
        struct fanout_question question = {.kind = QUESTION_PASSWORD, .session = world.mesh->nodes[i - 1].name, .target = "root@x", .prompt = prompt, .id = i};
        fake.options.ask(fake.options.context, &question);
    }
    memset(prompt, 'x', sizeof prompt - 1); /* what was asked is copied */
    assert_true(told & LIVE_QUESTION);
    assert_int_equal(live_question_count(live), 3);
    assert_int_equal(live_question(live)->id, 1);
    assert_string_equal(live_question(live)->prompt, "Password:");
    live_answer(live, 1, "secret");
    assert_int_equal(fake.answered, 1);
    assert_string_equal(fake.answer, "secret");
    assert_int_equal(live_question(live)->id, 2);
    lose(1); /* whoever asked is gone */
    assert_int_equal(live_question(live)->id, 3);
    live_answer(live, 3, NULL);
    assert_string_equal(fake.answer, "(none)");
    assert_null(live_question(live));
    end();
}

static void test_another_interval(void **unused)
{
    (void)unused;
    begin(false);
    answer(0);
    turn();
    assert_non_null(strstr(buf_text(&fake.sessions[0].request->written), "\"every\":2.000"));
    live_set_interval(live, 5);
    assert_non_null(strstr(buf_text(&fake.sessions[0].request->written), "\"every\":5.000"));
    assert_true(live_interval(live) > 4.9);
    answer(0);
    live_set_interval(live, 0.001);
    assert_true(live_interval(live) > 0.49 && live_interval(live) < 0.51);
    answer(0);
    live_look_now(live);
    turn();
    end();
}

/* Something that looks like the program for nodes. */
static void make_program(void)
{
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64}};
    struct utsname system;
    uname(&system);
    head.e_machine = !strcmp(system.machine, "aarch64") ? EM_AARCH64 : EM_X86_64;
    program = mem_format("%s/program", folder);
    FILE *file = fopen(program, "w");
    fwrite(&head, sizeof head, 1, file);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_connecting_to_a_picture, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_node_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flapping_stays_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_known_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nodes_that_are_not_there_now_are_shown_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_interval, setup, teardown),
    };
    if (!mkdtemp(folder))
        return 1;
    state = mem_format("%s/state", folder);
    make_program();
    loop = ev_loop_new(EVFLAG_AUTO);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ev_loop_destroy(loop);
    char *command = mem_format("rm -rf %s", folder);
    failed += system(command) != 0;
    free(command);
    free(state);
    free(program);
    return failed;
}
