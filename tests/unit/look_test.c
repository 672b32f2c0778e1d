/* The dialogue with a node, from the bootstrap's first line to readings, over a fan-out that is a script: what a node says, in pieces of
 * any size, and what becomes of it. The fan-out's functions are defined here, so the real one is not linked. */
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "unit.h"
#undef EV_NONE /* of elf.h; ev.h has another one */

#include "wgdeck/buf.h"
#include "wgdeck/look.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

struct fanout_request {
    struct fanout_request_events events;
    struct fanout_request_options options;
    void *context;
    const char *command;
    struct buf written;
    bool written_end, cancelled, done;
};

#define REQUESTS_MOST 16
static struct {
    const struct fanout_session_events *events;
    void *context; /* of the last session */
    void *contexts[REQUESTS_MOST];
    size_t opened;
    enum fanout_phase phase;
    struct fanout_request requests[REQUESTS_MOST];
    size_t count;
    size_t taken; /* bytes that the line takes at once; SIZE_MAX: all */
} fake;

struct fanout *fanout_new(struct ev_loop *loop, const struct fanout_options *options)
{
    (void)loop, (void)options;
    return (struct fanout *)(void *)&fake;
}

void fanout_free(struct fanout *fanout)
{
    (void)fanout;
    for (size_t i = 0; i < fake.count; i++)
        buf_free(&fake.requests[i].written);
}

void fanout_answer(struct fanout *fanout, uint64_t question, const char *text)
{
    (void)fanout, (void)question, (void)text;
}

struct fanout_session *fanout_open(struct fanout *fanout, const char *name, const char *target, const char *host_key,
                                   const struct fanout_session_events *events, void *context)
{
    (void)fanout, (void)name, (void)target, (void)host_key;
    fake.events = events;
    fake.context = context;
    assert_true(fake.opened < REQUESTS_MOST);
    fake.contexts[fake.opened++] = context;
    return (struct fanout_session *)(void *)&fake;
}

struct fanout_session *fanout_open_through(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_hop *hops, size_t count,
                                           const struct fanout_session_events *events, void *context)
{
    (void)hops, (void)count;
    return fanout_open(fanout, name, target, host_key, events, context);
}

enum fanout_phase fanout_session_phase(const struct fanout_session *session)
{
    (void)session;
    return fake.phase;
}

const char *fanout_session_address(const struct fanout_session *session)
{
    (void)session;
    return "192.0.2.1";
}

struct fanout_request *fanout_exec(struct fanout_session *session, const char *command, const struct fanout_request_options *options,
                                   const struct fanout_request_events *events, void *context)
{
    (void)session;
    assert_true(fake.count < REQUESTS_MOST);
    struct fanout_request *request = &fake.requests[fake.count++];
    *request = (struct fanout_request){.events = *events, .options = *options, .context = context, .command = command};
    return request;
}

void fanout_write(struct fanout_request *request, const void *bytes, size_t length)
{
    buf_add(&request->written, bytes, length);
}

size_t fanout_queued(const struct fanout_request *request)
{
    return request->written.length > fake.taken ? request->written.length - fake.taken : 0;
}

void fanout_write_end(struct fanout_request *request)
{
    request->written_end = true;
}

void fanout_request_cancel(struct fanout_request *request)
{
    request->cancelled = true;
}

/* What the tests share: a mesh of one node, its look, and a folder with a program for nodes. */

static struct mesh *mesh;
static struct ev_loop *loop;
static struct look *look;
static size_t changes;
static char program_path[] = "/tmp/wgdeck-look-test-XXXXXX";
enum { PROGRAM_SIZE = 700 * 1024 };

static void on_changed(void *context, struct look *of, size_t node)
{
    (void)context, (void)of, (void)node;
    changes++;
}

static void begin(enum look_mode mode, double every)
{
    static const struct look_events events = {.changed = on_changed};
    const struct look_options options = {.mode = mode, .every = every, .helper = program_path};
    struct err err;
    fake.count = fake.opened = 0;
    fake.taken = SIZE_MAX;
    fake.phase = PHASE_OPEN;
    changes = 0;
    look = look_new(loop, mesh, &options, &events, NULL, &err);
    if (!look)
        fail_msg("%s", err.text);
    fake.events->open(fake.context, (struct fanout_session *)(void *)&fake);
}

static void end(void)
{
    look_free(look);
    look = NULL;
}

static struct fanout_request *last(void)
{
    assert_true(fake.count > 0);
    return &fake.requests[fake.count - 1];
}

/* TEXT in pieces of PIECE bytes. */
static void say(const char *text, size_t piece)
{
    struct fanout_request *request = last();
    for (size_t length = strlen(text); length && !request->cancelled;) {
        size_t part = length < piece ? length : piece;
        char *copy = mem_text_part(text, part); /* so that a reader beyond its end is noticed */
        request->events.output(request->context, request, copy, part);
        free(copy);
        text += part;
        length -= part;
    }
}

static void say_end(int status, const char *why)
{
    struct fanout_request *request = last();
    if (request->cancelled || request->done)
        return;
    request->done = true;
    request->events.done(request->context, request, status, why);
}

static const struct observation *seen(void)
{
    return &look_observed(look)->nodes[0];
}

static void assert_failed(enum observed_reach reach, const char *part)
{
    assert_int_equal(seen()->reach, reach);
    assert_non_null(seen()->error);
    if (!strstr(seen()->error, part))
        fail_msg("\"%s\" has no \"%s\"", seen()->error, part);
    assert_int_equal(look_waiting(look), 0);
}

#define ANSWER(id) "{\"id\":" #id ",\"ok\":true,\"observation\":{\"schema\":1,\"node_time\":\"1700000000000000000\",\"hostname\":\"n1\"}}\n"

/* The cases */

static void test_helper_in_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 7, 64, 100000};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        begin(LOOK_AUTO, 0);
        assert_ptr_equal(last()->command, node_bootstrap_command);
        assert_int_equal(strncmp(buf_text(&last()->written), "auto ", 5), 0);
        assert_non_null(strstr(buf_text(&last()->written), "\"op\":\"observe\""));
        assert_true(last()->options.as_root);
        say("Welcome!\r\nLast login: never\nwgdeck helper /root/.cache/wgdeck\n" ANSWER(1), pieces[i]);
        if (seen()->reach != REACH_OK)
            fail_msg("pieces of %zu: %s", pieces[i], seen()->error);
        CASE_ASSERT(i, seen()->hostname && !strcmp(seen()->hostname, "n1"));
        CASE_ASSERT(i, seen()->dialled && !strcmp(seen()->dialled, "192.0.2.1"));
        CASE_ASSERT(i, changes == 1 && look_waiting(look) == 0);
        end();
    }
}

static void test_stream_of_changes(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 2);
    assert_non_null(strstr(buf_text(&last()->written), "\"every\":2"));
    say("wgdeck helper /x\n" ANSWER(1), 10);
    say("{\"id\":1,\"event\":\"same\",\"node_time\":\"1700000002000000000\"}\n", 10);
    assert_true(seen()->node_time == INT64_C(1700000002000000000));
    say("{\"id\":1,\"event\":\"change\",\"change\":{\"hostname\":\"n2\"}}\n{\"id\":1,\"event\":\"of a newer helper\"}\n", 10);
    assert_string_equal(seen()->hostname, "n2");
    assert_int_equal(changes, 3);
    say("{\"id\":1,\"event\":\"change\",\"change\":{\"hostname\":5}}\n", 10);
    assert_failed(REACH_GARBLED, "change");
    assert_true(last()->cancelled);
    end();
}

static void test_refresh_asks_again_on_the_same_channel(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 0);
    say("wgdeck helper /x\n" ANSWER(1), 64);
    look_refresh(look);
    look_refresh(look); /* an answer is awaited already */
    assert_int_equal(fake.count, 1);
    assert_non_null(strstr(buf_text(&last()->written), "\"id\":2"));
    assert_null(strstr(buf_text(&last()->written), "\"id\":3"));
    say(ANSWER(1), 64); /* an old one does not count */
    assert_int_equal(changes, 1);
    say(ANSWER(2), 64);
    assert_int_equal(changes, 2);
    end();
}

static void test_pushes_where_there_is_no_wg(void **state)
{
    (void)state;
    struct utsname system;
    uname(&system);
    char *hello = mem_format("wgdeck system Linux %s\nwgdeck need\n", system.machine);
    begin(LOOK_AUTO, 0);
    fake.taken = 0;
    say(hello, 5);
    assert_int_equal(fake.count, 2);
    assert_true(fake.requests[0].cancelled);
    assert_int_equal(strncmp(buf_text(&last()->written), "helper ", 7), 0);
    size_t first_line = last()->written.length;
    assert_ptr_equal(strchr(buf_text(&last()->written), '\n') + 1, last()->written.data + first_line); /* nothing goes before the program */
    say(hello, 5);
    assert_true(last()->written.length < first_line + PROGRAM_SIZE); /* flow control: a piece, not all */
    while (last()->written.length < first_line + PROGRAM_SIZE) {
        size_t before = last()->written.length;
        fake.taken = before;
        last()->events.writable(last()->context, last());
        assert_true(last()->written.length > before);
    }
    assert_int_equal(last()->written.length, first_line + PROGRAM_SIZE);
    fake.taken = SIZE_MAX;
    say("wgdeck helper /x\n", 5);
    assert_non_null(memmem(last()->written.data, last()->written.length, "\"id\":2", 6));
    say(ANSWER(2), 9);
    assert_int_equal(seen()->reach, REACH_OK);
    free(hello);
    end();
}

static void test_pushes_over_a_line_that_takes_all(void **state)
{
    (void)state;
    struct utsname system;
    uname(&system);
    char *hello = mem_format("wgdeck system Linux %s\nwgdeck need\n", system.machine);
    begin(LOOK_HELPER, 0);
    size_t first_line = last()->written.length;
    say(hello, 1000);
    assert_int_equal(last()->written.length, first_line + PROGRAM_SIZE);
    free(hello);
    end();
}

static void test_a_crash_is_forgiven_once(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 0);
    say("wgdeck helper /x\n{\"id\":1,\"ok\":tr", 8);
    say_end(139, NULL);
    assert_int_equal(fake.count, 2);
    assert_int_equal(look_waiting(look), 1);
    say("wgdeck helper /x\n" ANSWER(2), 8);
    assert_int_equal(seen()->reach, REACH_OK);
    end();

    begin(LOOK_AUTO, 0);
    say("wgdeck helper /x\n", 8);
    say_end(139, NULL);
    say("wgdeck helper /x\n", 8);
    last()->events.problem(last()->context, last(), "some words\nSegmentation fault\n", 30);
    say_end(139, NULL);
    assert_int_equal(fake.count, 2);
    assert_failed(REACH_FAILED, "status 139");
    assert_failed(REACH_FAILED, "Segmentation fault");
    end();
}

static void test_sudo(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 0);
    say_end(-1, "sudo as joe: the password is wrong");
    assert_true(last()->options.as_root); /* it may be typed again */
    say_end(-1, "sudo as joe: joe is not in the sudoers file");
    assert_int_equal(fake.count, 3);
    assert_false(last()->options.as_root);
    say("wgdeck helper /x\n" ANSWER(3), 8);
    assert_int_equal(seen()->reach, REACH_OK);
    end();
}

static void test_bare_mode_copies_nothing(void **state)
{
    (void)state;
    begin(LOOK_BARE, 0);
    assert_ptr_equal(last()->command, node_bare_command);
    assert_int_equal(last()->written.length, 65);
    assert_true(last()->written_end);
    say("motd\nwgdeck bare 1\nt 1700000000.5\nn n1\nu 1\nwgdeck end\n", 3);
    say_end(0, NULL);
    assert_int_equal(seen()->reach, REACH_OK);
    assert_string_equal(seen()->hostname, "n1");
    look_refresh(look);
    assert_int_equal(fake.count, 2);
    end();
}

static const struct {
    const char *says;
    int status; /* -2: it does not end */
    const char *why;
    enum observed_reach reach;
    const char *part;
} failures[] = {
    {"wgdeck error no place for the helper: disk full\n", 1, NULL, REACH_FAILED, "disk full"},
    {"wgdeck helper /x\nnot JSON\n", -2, NULL, REACH_GARBLED, "not JSON"},
    {"wgdeck helper /x\n{\"id\":1,\"ok\":false,\"error\":\"cannot \\u001b[31m read\"}\n", -2, NULL, REACH_GARBLED, "the helper says: cannot \\x1b"},
    {"wgdeck helper /x\n{\"id\":1,\"ok\":true}\n", -2, NULL, REACH_GARBLED, "no observation"},
    {"wgdeck helper /x\n{\"id\":1,\"ok\":true,\"observation\":{\"devices\":7}}\n", -2, NULL, REACH_GARBLED, "cannot be used"},
    {"wgdeck helper /x\n[1,2\n", -2, NULL, REACH_GARBLED, "not JSON"},
    {"This account is currently not available.\n", 1, NULL, REACH_FAILED, "status 1"},
    {"", 127, NULL, REACH_FAILED, "shell"},
    {"", -1, "killed by a signal", REACH_FAILED, "killed by a signal"},
    {"wgdeck system Linux pdp11\nwgdeck need\n", -2, NULL, REACH_FAILED, "pdp11"},
    {"wgdeck system Linux x86_64\nwgdeck bare 1\nn n1\n", 0, NULL, REACH_GARBLED, ""},
    {"wgdeck system Linux x86_64\nwgdeck bare 1\nn n1\nwgdeck error sh has no printf\n", 2, NULL, REACH_FAILED, "sh has no printf"},
    {"wgdeck system Linux x86_64\nwgdeck bare 1\nn n1\n", -1, "connection reset", REACH_FAILED, "connection reset"},
};

static void test_failures_are_one_line_of_that_node(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(failures); i++)
        for (size_t piece = 1; piece < 100; piece += 40) {
            begin(LOOK_AUTO, 0);
            say(failures[i].says, piece);
            if (failures[i].status != -2)
                say_end(failures[i].status, failures[i].why);
            if (seen()->reach != failures[i].reach)
                fail_msg("case %zu: reach %d", i, seen()->reach);
            assert_failed(failures[i].reach, failures[i].part);
            assert_true(text_is_safe(seen()->error, strlen(seen()->error)));
            end();
        }
}

static void flood(const char *line, size_t total)
{
    for (size_t sent = 0; sent < total && !last()->cancelled; sent += strlen(line))
        say(line, SIZE_MAX);
}

static void test_floods_are_cut_off(void **state)
{
    (void)state;
    char *piece = mem_alloc(1 << 20, 1);
    memset(piece, 'x', (1 << 20) - 1);
    begin(LOOK_AUTO, 0);
    flood("an endless login script\n", 1 << 20);
    assert_failed(REACH_GARBLED, "login scripts");
    end();
    begin(LOOK_AUTO, 0);
    say("wgdeck helper /x\n", 100);
    flood(piece, 100 << 20);
    assert_failed(REACH_GARBLED, "32 MiB");
    end();
    begin(LOOK_AUTO, 0);
    say("wgdeck bare 1\n", 100);
    flood(piece, 100 << 20);
    assert_failed(REACH_GARBLED, "32 MiB");
    end();
    free(piece);
}

/* Many nodes that each stay below their own limit must not fill the memory together; a small answer is always taken. */
static void test_answers_together_are_bounded(void **state)
{
    (void)state;
    enum { CROWD = 12, EACH_MIB = 27, FITTING = 9 };
    struct err err;
    const char *targets[CROWD];
    char names[CROWD][8];
    for (size_t i = 0; i < CROWD; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i + 1);
        targets[i] = names[i];
    }
    struct mesh *one = mesh;
    mesh = mesh_from_targets(targets, CROWD, &err);
    assert_non_null(mesh);
    char *piece = mem_alloc(1 << 20, 1);
    memset(piece, 'x', (1 << 20) - 1);
    begin(LOOK_BARE, 0); /* opens the last of them */
    for (size_t i = 0; i < CROWD; i++) {
        const struct observation *of = &look_observed(look)->nodes[CROWD - 1 - i];
        if (i)
            fake.events->open(fake.contexts[CROWD - 1 - i], (struct fanout_session *)(void *)&fake);
        say("wgdeck bare 1\n", 100);
        flood(i == CROWD - 1 ? piece + (100 << 10) : piece, i == CROWD - 1 ? 1 : EACH_MIB << 20); /* the last one is small */
        bool refused = i >= FITTING && i < CROWD - 1;
        assert_int_equal(of->reach, refused ? REACH_GARBLED : REACH_UNKNOWN);
        if (refused)
            assert_non_null(strstr(of->error, "all nodes together"));
    }
    end();
    mesh_free(mesh);
    mesh = one;
    free(piece);
}

static void test_session_failure(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 0);
    fake.phase = PHASE_CLOSED;
    say_end(-1, "connection to n1 lost");
    fake.events->failed(fake.context, (struct fanout_session *)(void *)&fake, FAILURE_LOST, "connection to n1 lost");
    assert_failed(REACH_FAILED, "connection to n1 lost");
    assert_int_equal(changes, 1);
    end();
}

/* While it is held, nothing is written; then all comes in its order. */

static void test_held_readings_wait(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 2);
    say("wgdeck helper /x\n" ANSWER(1), 64);
    look_hold(look, true);
    say("{\"id\":1,\"event\":\"change\",\"change\":{\"hostname\":\"n2\"}}\n{\"id\":1,\"event\":\"ch", 5);
    say("ange\",\"change\":{\"hostname\":\"n3\"}}\n{\"id\":1,", 100);
    assert_string_equal(seen()->hostname, "n1");
    assert_int_equal(changes, 1);
    look_hold(look, false);
    assert_string_equal(seen()->hostname, "n3");
    assert_int_equal(changes, 3);
    say("\"event\":\"change\",\"change\":{\"hostname\":\"n4\"}}\n", 7);
    assert_string_equal(seen()->hostname, "n4");
    end();
}

static void test_held_failures_wait(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 2);
    say("wgdeck helper /x\n" ANSWER(1), 64);
    look_hold(look, true);
    say("{\"id\":1,\"event\":\"change\",\"change\":{\"hostname\":5}}\n", 64); /* asks for a cancel of what is over by then */
    say_end(-1, "connection to n1 lost");
    fake.events->failed(fake.context, (struct fanout_session *)(void *)&fake, FAILURE_LOST, "connection to n1 lost");
    look_refresh(look);
    fake.events->open(fake.context, (struct fanout_session *)(void *)&fake);
    assert_int_equal(seen()->reach, REACH_OK);
    assert_int_equal(fake.count, 1);
    look_hold(look, false);
    assert_int_equal(seen()->reach, REACH_FAILED);
    assert_non_null(strstr(seen()->error, "lost"));
    assert_false(fake.requests[0].cancelled); /* it was over: to cancel it would be a use after free */
    assert_int_equal(fake.count, 2);          /* and the new connection is used */
    assert_true(changes >= 3);
    say("wgdeck helper /x\n" ANSWER(2), 64);
    assert_int_equal(seen()->reach, REACH_OK);
    end();
}

static void test_held_bare_look(void **state)
{
    (void)state;
    begin(LOOK_BARE, 2);
    look_hold(look, true);
    say("wgdeck bare 1\nwgdeck error out of order\n", 9);
    say_end(1, NULL);
    assert_int_equal(seen()->reach, REACH_UNKNOWN);
    look_hold(look, false);
    assert_failed(REACH_FAILED, "out of order");
    look_hold(look, true);
    look_free(look); /* nothing that waits is left behind */
    look = NULL;
}

static void test_held_flood_is_cut_off(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 2);
    say("wgdeck helper /x\n" ANSWER(1), 64);
    look_hold(look, true);
    char *block = mem_alloc(1 << 20, 1);
    memset(block, 'x', (1 << 20) - 1);
    for (int i = 0; i < 40; i++)
        say(block, SIZE_MAX);
    free(block);
    look_hold(look, false);
    assert_failed(REACH_GARBLED, "more than 32 MiB");
    assert_true(last()->cancelled);
    end();
}

static void test_another_interval(void **state)
{
    (void)state;
    begin(LOOK_AUTO, 2);
    say("wgdeck helper /x\n" ANSWER(1), 64);
    look_set_every(look, 5);
    assert_non_null(strstr(buf_text(&last()->written), "\"every\":5"));
    assert_int_equal(fake.count, 1);
    say(ANSWER(2), 64);
    assert_int_equal(changes, 2);
    end();
}

static int set_up(void **state)
{
    static const char *const targets[] = {"root@n1"};
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64}};
    struct utsname system;
    struct err err;
    (void)state;
    uname(&system);
    head.e_machine = !strcmp(system.machine, "aarch64") ? EM_AARCH64 : EM_X86_64;
    int file = mkstemp(program_path);
    if (file < 0 || write(file, &head, sizeof head) != sizeof head || ftruncate(file, PROGRAM_SIZE) < 0)
        return -1;
    close(file);
    loop = ev_loop_new(EVFLAG_AUTO);
    mesh = mesh_from_targets(targets, 1, &err);
    return mesh ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(program_path);
    mesh_free(mesh);
    ev_loop_destroy(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_helper_in_any_pieces),
        cmocka_unit_test(test_stream_of_changes),
        cmocka_unit_test(test_refresh_asks_again_on_the_same_channel),
        cmocka_unit_test(test_pushes_where_there_is_no_wg),
        cmocka_unit_test(test_pushes_over_a_line_that_takes_all),
        cmocka_unit_test(test_a_crash_is_forgiven_once),
        cmocka_unit_test(test_sudo),
        cmocka_unit_test(test_bare_mode_copies_nothing),
        cmocka_unit_test(test_failures_are_one_line_of_that_node),
        cmocka_unit_test(test_floods_are_cut_off), cmocka_unit_test(test_answers_together_are_bounded),
        cmocka_unit_test(test_session_failure),
        cmocka_unit_test(test_held_readings_wait),
        cmocka_unit_test(test_held_failures_wait),
        cmocka_unit_test(test_held_bare_look),
        cmocka_unit_test(test_held_flood_is_cut_off),
        cmocka_unit_test(test_another_interval),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
