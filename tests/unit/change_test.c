/* A change from look to end, over a fan-out that is a script: each node's helper answers as apply.h says, or goes wrong where a case wants it. What is told must be true, no phase may wait for
 * ever, and it can be stopped and freed at any moment. */
#include <elf.h>
#include <unistd.h>

#include "unit.h"
#undef EV_NONE /* of elf.h; ev.h has another one */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_fanout.h"
#include "wgdeck/change.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { NODES = 3 };

/* What a node does when it is asked OP for the first time. */
enum deed { ANSWERS, REFUSES, GETS_LOST, SAYS_NOT_VERIFIED, SHOWS_OTHERS_KEY, RECOVERS };
struct trouble { size_t node; const char *op; enum deed deed; const char *code; };

static struct {
    const struct trouble *trouble;
    bool troubled;
    struct buf said; /* "a begin", one a line: what nodes were asked for */
} script;

static const char *const names[NODES] = {"a", "b", "c"};
static struct key keys[NODES];
static char folder[] = "/tmp/wgdeck-change-XXXXXX";
static char *program_path, *mesh_path, *events_path;
static struct err err;

/* --- the script */

static char *observation(size_t node)
{
    return mem_format("\"observation\":{\"schema\":1,\"node_time\":\"1700000000000000000\",\"hostname\":\"%s\",\"privileged\":true,\"kernel_has_wireguard\":true,\"forwarding4\":0,\"forwarding6\":0}",
                      names[node]);
}

static void begin_members(size_t node, enum deed deed, struct buf *text)
{
    char key[KEY_TEXT_SIZE];
    key_text(&keys[deed == SHOWS_OTHERS_KEY ? 0 : node], key);
    buf_add_format(text, "\"public_key\":\"%s\",\"next_public_key\":null,\"box\":\"%s\",\"recovered\":%s", key, key, deed == RECOVERS ? "\"something was put back\"" : "null");
}

static void verify_lines(struct fanout_request *request, const cJSON *asked, uint64_t id, enum deed deed, struct buf *failed)
{
    const cJSON *item;
    buf_add_text(failed, "\"failed\":[");
    cJSON_ArrayForEach(item, json_get_list(asked, "links")) {
        const char *key = json_get_text(item, "key", "");
        if (deed == SAYS_NOT_VERIFIED) {
            buf_add_format(failed, "%s{\"key\":\"%s\",\"why\":\"no answer to 3 pings\"}", failed->data[failed->length - 1] == '[' ? "" : ",", key);
            continue;
        }
        char *line = mem_format("{\"id\":%llu,\"event\":\"link\",\"key\":\"%s\",\"rtt\":300,\"age\":10}\n", (unsigned long long)id, key);
        say(request, line);
        free(line);
    }
    buf_add_char(failed, ']');
}

static void fake_answer(struct fanout_request *request, const cJSON *asked)
{
    const char *op = json_get_text(asked, "op", "");
    uint64_t id = json_get_unsigned(asked, "id", 0);
    size_t node = request->session->node;
    const struct trouble *trouble = script.trouble;
    enum deed deed = ANSWERS;
    buf_add_format(&script.said, "%s %s\n", names[node], op);
    if (trouble && !script.troubled && trouble->node == node && !strcmp(trouble->op, op)) {
        deed = trouble->deed;
        script.troubled = true;
    }
    if (deed == GETS_LOST) {
        lose(request);
        return;
    }
    struct buf text = BUF_EMPTY, members = BUF_EMPTY;
    if (deed == REFUSES) {
        buf_add_format(&text, "{\"id\":%llu,\"ok\":false,\"code\":\"%s\",\"error\":\"no, as scripted\"}\n", (unsigned long long)id, trouble->code);
    } else {
        if (!strcmp(op, "observe")) {
            char *seen = observation(node);
            buf_add_text(&members, seen);
            free(seen);
        } else if (!strcmp(op, "begin")) {
            begin_members(node, deed, &members);
        } else if (!strcmp(op, "verify")) {
            verify_lines(request, asked, id, deed, &members);
        } else {
            buf_add_text(&members, !strcmp(op, "confirm") ? "\"warnings\":[]" : "\"restored\":true");
        }
        buf_add_format(&text, "{\"id\":%llu,\"ok\":true,%s}\n", (unsigned long long)id, buf_text(&members));
    }
    say(request, buf_text(&text));
    buf_free(&text);
    buf_free(&members);
}

/* --- one change */

enum { NOWHERE = -1 };

struct run {
    struct ev_loop *loop;
    struct mesh_file file;
    struct change *change;
    int stop_at, free_at; /* phases, or NOWHERE */
    bool planned, done, freed;
    struct ev_timer patience;
};

static void on_planned(void *context, struct change *change)
{
    struct run *run = context;
    run->planned = true;
    change_go(change);
}

static void on_progress(void *context, struct change *change)
{
    struct run *run = context;
    if ((int)change_phase(change) == run->free_at)
        ev_break(run->loop, EVBREAK_ALL);
    if ((int)change_phase(change) == run->stop_at) {
        run->stop_at = NOWHERE;
        change_stop(change);
    }
}

static void on_done(void *context, struct change *change)
{
    struct run *run = context;
    (void)change;
    assert_false(run->done); /* once */
    run->done = true;
    ev_break(run->loop, EVBREAK_ALL);
}

static void on_impatient(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static char *mesh_of(size_t count)
{
    struct buf text = BUF_EMPTY;
    buf_add_text(&text, "[Mesh]\nNetwork = 10.44.0.0/24\n");
    for (size_t i = 0; i < count; i++)
        buf_add_format(&text, "[Node %s]\nSsh = %s\nAddress = 10.44.0.%zu\nEndpoint = 192.0.2.%zu\n", names[i], names[i], i + 1, i + 1);
    return buf_take(&text);
}

static void begin_with(struct run *run, const struct trouble *trouble, size_t nodes)
{
    char *mesh_text = mesh_of(nodes);
    static const struct change_callbacks callbacks = {.planned = on_planned, .progress = on_progress, .done = on_done};
    run->loop = ev_loop_new(EVFLAG_AUTO);
    script.trouble = trouble;
    script.troubled = false;
    buf_clear(&script.said);
    assert_int_equal(file_write(mesh_path, 0600, mesh_text, strlen(mesh_text), &err), 0);
    free(mesh_text);
    assert_int_equal(mesh_file_read(mesh_path, &run->file, NULL, &err), 0);
    const struct change_options options = {.look = {.mode = LOOK_HELPER, .helper = program_path}, .file = &run->file, .owner = "alice@laptop", .events = events_path};
    run->change = change_new(run->loop, &options, &callbacks, run, &err);
    if (!run->change)
        fail_msg("%s", err.text);
    ev_timer_init(&run->patience, on_impatient, 20., 0.);
    ev_timer_start(run->loop, &run->patience);
    ev_run(run->loop, 0);
}

static void begin(struct run *run, const struct trouble *trouble)
{
    begin_with(run, trouble, NODES);
}

static void end(struct run *run)
{
    change_free(run->change);
    ev_timer_stop(run->loop, &run->patience);
    mesh_file_free(&run->file);
    ev_loop_destroy(run->loop);
    unlink(events_path);
}

static size_t times(const char *line)
{
    size_t count = 0;
    for (const char *at = buf_text(&script.said); (at = strstr(at, line)); at += strlen(line))
        count++;
    return count;
}

/* --- cases */

static const struct {
    const char *title;
    struct trouble trouble;
    enum change_result result;
    const char *report;       /* stands in it */
    const char *asked[4];     /* at least once */
    const char *not_asked[3];
} cases[] = {
    {"all is well", {0}, CHANGE_CONFIRMED, "confirmed on 3 nodes; 3 links verified", {"a confirm", "b confirm", "c confirm"}, {"revert"}},
    {"locked by another", {1, "begin", REFUSES, "locked"}, CHANGE_REFUSED, "Nothing was touched", {"b begin"}, {"stage", "revert", "confirm"}},
    {"lost while locking", {1, "begin", GETS_LOST, NULL}, CHANGE_REFUSED, "Nothing was touched", {"b begin"}, {"stage"}},
    {"another node's key", {1, "begin", SHOWS_OTHERS_KEY, NULL}, CHANGE_REFUSED, "a key that another node of the mesh has", {"b begin"}, {"stage"}},
    {"one refuses to stage", {1, "stage", REFUSES, "failed"}, CHANGE_PUT_BACK, "b: no, as scripted", {"a revert", "c revert"}, {"b revert", "finish", "confirm"}},
    {"one cannot go back", {1, "stage", REFUSES, "guarded"}, CHANGE_PUT_BACK, "b: no, as scripted", {"a revert", "b revert", "c revert"}, {"finish", "confirm"}},
    {"lost while staging", {1, "stage", GETS_LOST, NULL}, CHANGE_GUARDED, "b could not be told", {"a revert", "c revert"}, {"finish", "confirm"}},
    {"one fails to finish", {2, "finish", REFUSES, "failed"}, CHANGE_PUT_BACK, "c: no, as scripted", {"a revert", "b revert", "c revert"}, {"verify", "confirm"}},
    {"lost while finishing", {0, "finish", GETS_LOST, NULL}, CHANGE_GUARDED, "a could not be told", {"b revert", "c revert"}, {"verify", "confirm"}},
    {"not verified", {1, "verify", SAYS_NOT_VERIFIED, NULL}, CHANGE_PUT_BACK, "no connection with a: no answer to 3 pings", {"a revert", "b revert", "c revert"}, {"confirm"}},
    {"no way in any more", {1, "verify", GETS_LOST, NULL}, CHANGE_PUT_BACK, "b: cannot be reached again by SSH", {"a revert", "b revert", "c revert"}, {"confirm"}},
    {"one refuses to confirm", {1, "confirm", REFUSES, "failed"}, CHANGE_PARTLY, "The next apply completes it", {"a confirm", "c confirm"}, {"revert"}},
    {"lost while confirming", {1, "confirm", GETS_LOST, NULL}, CHANGE_CONFIRMED, "confirmed on 3 nodes", {"a confirm", "c confirm"}, {"revert"}}, /* asked again over its first connection */
    {"cannot go back after all", {1, "revert", REFUSES, "failed"}, CHANGE_CONFIRMED, "confirmed on 3 nodes", {"a confirm"}, {NULL}},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run = {.stop_at = NOWHERE, .free_at = NOWHERE};
        struct buf report = BUF_EMPTY;
        begin(&run, cases[i].trouble.op ? &cases[i].trouble : NULL);
        if (!run.done)
            fail_msg("%s: it waits for ever in \"%s\"\n%s", cases[i].title, change_phase_text(change_phase(run.change)), buf_text(&script.said));
        change_report(run.change, &report);
        if (change_result(run.change) != cases[i].result || !strstr(buf_text(&report), cases[i].report))
            fail_msg("%s: result %d, wanted %d; no \"%s\" in:\n%s\n%s", cases[i].title, change_result(run.change), cases[i].result, cases[i].report, buf_text(&report), buf_text(&script.said));
        for (size_t k = 0; k < COUNT_OF(cases[i].asked) && cases[i].asked[k]; k++)
            if (!times(cases[i].asked[k]))
                fail_msg("%s: never \"%s\"\n%s", cases[i].title, cases[i].asked[k], buf_text(&script.said));
        for (size_t k = 0; k < COUNT_OF(cases[i].not_asked) && cases[i].not_asked[k]; k++)
            if (times(cases[i].not_asked[k]))
                fail_msg("%s: \"%s\" was asked\n%s", cases[i].title, cases[i].not_asked[k], buf_text(&script.said));
        buf_free(&report);
        end(&run);
    }
}

/* The only node that is changed fails and puts itself back: it was touched nevertheless. */
static void test_one_node(void **state)
{
    static const struct trouble trouble = {0, "stage", REFUSES, "failed"};
    struct run run = {.stop_at = NOWHERE, .free_at = NOWHERE};
    struct buf report = BUF_EMPTY;
    (void)state;
    begin_with(&run, &trouble, 1);
    assert_true(run.done);
    change_report(run.change, &report);
    assert_int_equal(change_result(run.change), CHANGE_PUT_BACK);
    assert_null(strstr(buf_text(&report), "Nothing was touched"));
    assert_int_equal(times("a revert"), 0);
    buf_free(&report);
    end(&run);
}

/* The keys are in the file before anything is staged, and stay there when all is put back: the nodes keep them. */
static void test_keys_are_learned(void **state)
{
    static const struct trouble trouble = {1, "stage", REFUSES, "failed"};
    struct run run = {.stop_at = NOWHERE, .free_at = NOWHERE};
    (void)state;
    begin(&run, &trouble);
    assert_true(run.done);
    for (size_t i = 0; i < NODES; i++) {
        assert_true(run.file.mesh->nodes[i].has_public_key);
        assert_int_equal(key_compare(&run.file.mesh->nodes[i].public_key, &keys[i]), 0);
    }
    end(&run);
}

/* A node that puts back what it had left unfinished is looked at again; one that always says so is not waited for for ever. */
static void test_planned_anew(void **state)
{
    static const struct trouble trouble = {1, "begin", RECOVERS, NULL};
    struct run run = {.stop_at = NOWHERE, .free_at = NOWHERE};
    (void)state;
    begin(&run, &trouble);
    assert_true(run.done);
    assert_int_equal(change_result(run.change), CHANGE_CONFIRMED);
    assert_int_equal(times("b observe"), 2);
    assert_int_equal(times("b begin"), 2);
    assert_int_equal(times("b stage"), 1);
    end(&run);
}

static void test_stopped_in_each_phase(void **state)
{
    (void)state;
    for (int phase = CHANGE_LOOKING; phase < CHANGE_REVERTING; phase++) {
        struct run run = {.stop_at = phase, .free_at = NOWHERE};
        begin(&run, NULL);
        if (!run.done)
            fail_msg("stopped in \"%s\", it waits for ever\n%s", change_phase_text((enum change_phase)phase), buf_text(&script.said));
        enum change_result result = change_result(run.change);
        enum change_result wanted = phase < CHANGE_STAGING ? CHANGE_REFUSED : phase < CHANGE_CONFIRMING ? CHANGE_PUT_BACK : CHANGE_CONFIRMED;
        if (result != wanted)
            fail_msg("stopped in \"%s\": result %d, wanted %d\n%s", change_phase_text((enum change_phase)phase), result, wanted, buf_text(&script.said));
        end(&run);
    }
}

/* Freed while it runs: no call afterwards, nothing leaks (the sanitizers look). */
static void test_freed_in_each_phase(void **state)
{
    (void)state;
    for (int phase = CHANGE_LOOKING; phase < CHANGE_REVERTING; phase++) {
        struct run run = {.stop_at = NOWHERE, .free_at = phase};
        begin(&run, NULL);
        assert_false(run.done);
        end(&run);
    }
}

static void test_log(void **state)
{
    struct run run = {.stop_at = NOWHERE, .free_at = NOWHERE};
    struct buf text = BUF_EMPTY;
    (void)state;
    begin(&run, NULL);
    assert_int_equal(file_read(events_path, 1 << 20, &text, &err), 0);
    assert_non_null(strstr(buf_text(&text), "alice@laptop: a change ("));
    assert_non_null(strstr(buf_text(&text), "on a, b, c: applied"));
    buf_free(&text);
    end(&run);
}

static int make_world(void **state)
{
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64}, .e_machine = EM_X86_64};
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    program_path = mem_format("%s/program", folder);
    mesh_path = mem_format("%s/mesh.conf", folder);
    events_path = mem_format("%s/events", folder);
    for (size_t i = 0; i < NODES; i++)
        memset(keys[i].bytes, (int)i + 1, KEY_SIZE);
    return file_write(program_path, 0700, &head, sizeof head, &err);
}

static int remove_world(void **state)
{
    (void)state;
    unlink(program_path);
    unlink(mesh_path);
    unlink(events_path);
    free(program_path);
    free(mesh_path);
    free(events_path);
    buf_free(&script.said);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),          cmocka_unit_test(test_one_node),           cmocka_unit_test(test_keys_are_learned),   cmocka_unit_test(test_planned_anew),
        cmocka_unit_test(test_stopped_in_each_phase), cmocka_unit_test(test_freed_in_each_phase), cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
