/* One node's dialogue: from the first line of the bootstrap (src/node/bootstrap.c) to readings, and from every way in which it can
 * go wrong to one line about this node. What comes in is hostile until checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "look_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

enum {
    PRELUDE_LIMIT = 256 << 10, /* what login scripts may print */
    ANSWER_LIMIT = 32 << 20,   /* of one node: 100,000 rows are about 20 MiB */
    ANSWERS_LIMIT = 256 << 20, /* of all nodes together: who makes it more fails, unless its own share is small */
    ANSWER_SMALL = 1 << 20,
    PROBLEM_KEPT = 400,
    PUSH_PIECE = 256 << 10,    /* in flight for one node: the others' pushes share the line */
    CRASHES_FORGIVEN = 1,
    PASSWORD_TRIES = 3,
};
#define HELD_PAUSE 0.05 /* seconds until what is due while the look is held is tried again */
#define SILENCE_INTERVALS 3
#define SILENCE_LEAST (6 * CLOCK_SECOND)
#define CLOCK_STEP (2 * CLOCK_SECOND) /* a stream's times that differ more than this tell of a clock that was set */

static void start(struct look_node *node, bool push);

static struct observation *seen(struct look_node *node)
{
    return &node->look->observed->nodes[node->index];
}

static void stop_request(struct look_node *node)
{
    if (node->request && !node->request_over)
        fanout_request_cancel(node->request);
    node->request = NULL;
    node->request_over = false;
    node->turns++;
    look_held_drop_request(node);
    node->stage = STAGE_IDLE;
    node->asked = false;
    buf_free(&node->input);
    ev_timer_stop(node->look->loop, &node->deadline);
}

static void set_failed(struct look_node *node, enum observed_reach reach, enum observed_failure failure, const char *why)
{
    struct observation fresh = {0};
    observation_clear(&fresh); /* the members whose "unknown" is not zero */
    fresh.reach = reach;
    fresh.failure = failure;
    fresh.error = text_safe(why); /* WHY may be in what is freed here */
    fresh.at = clock_wall();
    stop_request(node);
    node->kept = 0;
    look_node_changing(node, true);
    observation_replace(seen(node), &fresh);
    if (node->look->options.every > 0 && fanout_session_phase(node->session) == PHASE_OPEN)
        ev_timer_again(node->look->loop, &node->again);
    look_node_changed(node);
}

/* What went wrong once it was logged in. */
static void __attribute__((format(printf, 3, 4))) fail(struct look_node *node, enum observed_reach reach, const char *format, ...)
{
    struct buf why = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&why, format, arguments);
    va_end(arguments);
    set_failed(node, reach, reach == REACH_FAILED ? FAILED_AFTER_LOGIN : FAILED_OTHERWISE, buf_text(&why));
    buf_free(&why);
}

/* Readings */

static void take_whole(struct look_node *node, struct observation *observation, int64_t asked_at)
{
    const char *address = fanout_session_address(node->session);
    int64_t now = clock_wall();
    observation->reach = REACH_OK;
    free(observation->error);
    observation->error = NULL;
    observation->at = now;
    observation->clock_uncertainty = (now - asked_at) / 2;
    observation->clock_offset = observation->node_time - (asked_at + observation->clock_uncertainty);
    free(observation->dialled);
    observation->dialled = mem_text(address);
    look_node_changing(node, false);
    observation_pack(observation);
    observation_replace(seen(node), observation);
}

static void reading_arrived(struct look_node *node)
{
    node->crashes = 0;
    node->asked = false;
    ev_timer_stop(node->look->loop, &node->deadline);
    look_node_changed(node);
}

/* A change has no request whose middle could be taken: only a clock that was set meanwhile is noticed. */
static void change_arrived(struct look_node *node)
{
    struct observation *observation = seen(node);
    observation->at = clock_wall();
    int64_t difference = observation->node_time - observation->at;
    if (llabs(difference - observation->clock_offset) > CLOCK_STEP + observation->clock_uncertainty) {
        observation->clock_offset = difference;
        observation->clock_uncertainty = CLOCK_SECOND;
    }
    look_node_changed(node);
}

/* Bare looks */

/* The last line of a look that gave up in the middle: "wgdeck error TEXT". */
static const char *bare_error(struct look_node *node)
{
    static const char word[] = "wgdeck error ";
    struct buf *input = &node->input;
    while (input->length && input->data[input->length - 1] == '\n')
        input->data[--input->length] = '\0';
    const char *line = memrchr(buf_text(input), '\n', input->length);
    line = line ? line + 1 : buf_text(input);
    return strncmp(line, word, strlen(word)) ? NULL : line + strlen(word);
}

static void bare_arrived(struct look_node *node, int status)
{
    struct err err;
    struct observation fresh = {0};
    const char *error = status ? bare_error(node) : NULL;
    if (error) {
        fail(node, REACH_FAILED, "%s", error);
        return;
    }
    if (observation_from_bare(buf_text(&node->input), node->input.length, &fresh, &err)) {
        observation_clear(&fresh);
        fail(node, REACH_GARBLED, "%s", err.text);
        return;
    }
    take_whole(node, &fresh, node->asked_at);
    node->kept = node->input.length;
    buf_free(&node->input);
    node->stage = STAGE_IDLE;
    if (node->look->options.every > 0)
        ev_timer_again(node->look->loop, &node->again);
    reading_arrived(node);
}

/* The helper */

static void ask_helper(struct look_node *node)
{
    if (node->request_over) /* its end waits behind what was just read */
        return;
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    json_object(&json, NULL);
    json_unsigned(&json, "id", ++node->id);
    json_text(&json, "op", "observe");
    json_text(&json, "salt", node->look->salt);
    if (node->look->options.interface)
        json_text(&json, "interface", node->look->options.interface);
    if (node->look->options.every > 0)
        json_decimal(&json, "every", node->look->options.every, 3);
    json_object_end(&json);
    buf_add_char(&line, '\n');
    fanout_write(node->request, line.data, line.length);
    buf_free(&line);
    node->asked_at = clock_wall();
    node->asked = true;
    ev_timer_again(node->look->loop, &node->deadline);
}

static void helper_event(struct look_node *node, const cJSON *object, const char *event)
{
    struct err err;
    const cJSON *change = json_get_object(object, "change");
    if (seen(node)->reach != REACH_OK)
        return;
    if (!strcmp(event, "change") && change) {
        look_node_changing(node, false);
        if (observation_merge(seen(node), change, &err)) {
            fail(node, REACH_GARBLED, "a change cannot be used: %s", err.text);
            return;
        }
    } else if (!strcmp(event, "same")) {
        seen(node)->node_time = json_get_number(object, "node_time", 0, INT64_MAX, seen(node)->node_time);
    } else {
        return; /* an event of a newer helper */
    }
    change_arrived(node);
}

static void helper_answer(struct look_node *node, const cJSON *object)
{
    struct err err;
    struct observation fresh = {0};
    if (json_get_unsigned(object, "id", 0) != node->id)
        return; /* of an older question */
    if (!json_get_bool(object, "ok", false)) {
        fail(node, REACH_GARBLED, "the helper says: %s", json_get_text(object, "error", "no reason"));
        return;
    }
    const cJSON *observation = json_get_object(object, "observation");
    if (!observation || observation_from_json(observation, false, &fresh, &err)) {
        observation_clear(&fresh);
        fail(node, REACH_GARBLED, "the helper's answer cannot be used: %s", observation ? err.text : "no observation in it");
        return;
    }
    take_whole(node, &fresh, node->asked_at);
    reading_arrived(node);
}

static void helper_line(struct look_node *node, const char *line, size_t length)
{
    struct err err;
    cJSON *object = json_parse(line, length, &err);
    if (!object) {
        fail(node, REACH_GARBLED, "the helper's answer is not JSON: %s", err.text);
        return;
    }
    const char *event = json_get_text(object, "event", NULL);
    if (event)
        helper_event(node, object, event);
    else
        helper_answer(node, object);
    if (seen(node)->reach == REACH_OK && (!event || length > node->kept))
        node->kept = length;
    cJSON_Delete(object);
}

/* Pushing */

static void push_more(struct look_node *node)
{
    const struct buf *bytes = &node->look->program.bytes;
    if (node->request_over)
        return;
    while (node->pushed < bytes->length && !fanout_queued(node->request)) {
        size_t left = bytes->length - node->pushed, piece = left < PUSH_PIECE ? left : PUSH_PIECE;
        fanout_write(node->request, bytes->data + node->pushed, piece);
        node->pushed += piece;
    }
    ev_timer_again(node->look->loop, &node->deadline); /* a slow line is no hang: each piece that went out counts */
}

/* Can our program run there? */
static bool system_fits(const struct look_node *node)
{
    char *wanted = mem_format("Linux %s", node->look->program.machine);
    bool fits = node->look->has_program && node->system && !strcmp(node->system, wanted);
    free(wanted);
    return fits;
}

static void needed(struct look_node *node)
{
    if (!system_fits(node)) {
        fail(node, REACH_FAILED, "it has no wg, and there is no helper for its system (%s): install wireguard-tools there, or wgdeck-%s here",
             node->system ? node->system : "unknown", node->system && !strncmp(node->system, "Linux ", 6) ? node->system + 6 : "ITS-MACHINE");
        return;
    }
    if (!node->push) {
        stop_request(node);
        start(node, true);
        return;
    }
    node->stage = STAGE_PUSHING;
    node->pushed = 0;
    push_more(node);
}

/* Lines of the bootstrap */

static bool begins(const char *line, const char *word, const char **rest)
{
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0)
        return false;
    *rest = line + length;
    return true;
}

static void greeting_line(struct look_node *node, const char *line, size_t length)
{
    const char *rest;
    if (begins(line, "wgdeck helper", &rest)) {
        node->stage = STAGE_HELPER;
        if (!node->asked || node->push) /* in auto mode the first question went out together with the first line */
            ask_helper(node);
    } else if (begins(line, "wgdeck system ", &rest)) {
        free(node->system);
        node->system = text_safe(rest);
    } else if (!strcmp(line, "wgdeck bare 1")) {
        node->stage = STAGE_BARE;
    } else if (!strcmp(line, "wgdeck need")) {
        needed(node);
    } else if (begins(line, "wgdeck error ", &rest)) {
        fail(node, REACH_FAILED, "%s", rest);
    } else {
        node->prelude += length + 1;
        if (node->prelude > PRELUDE_LIMIT)
            fail(node, REACH_GARBLED, "its login scripts print more than %d KiB before they let a command run", PRELUDE_LIMIT >> 10);
    }
}

static void one_line(struct look_node *node, char *line, size_t length)
{
    if (node->stage == STAGE_HELPER) {
        if (length)
            helper_line(node, line, length);
    } else {
        if (length && line[length - 1] == '\r')
            line[--length] = '\0';
        greeting_line(node, line, length);
    }
}

/* Whole lines from the input; a bare look stays in it until its end. */
static void take_lines(struct look_node *node)
{
    size_t at = 0;
    while (node->request && node->stage != STAGE_BARE && at < node->input.length) {
        char *line = node->input.data + at, *end = memchr(line, '\n', node->input.length - at);
        if (!end)
            break;
        *end = '\0';
        unsigned turn = node->turns;
        one_line(node, line, (size_t)(end - line));
        if (node->turns != turn)
            return; /* it failed, or began anew: the input is gone */
        if (node->stage == STAGE_BARE) {
            *end = '\n'; /* observation_from_bare wants its first line */
            break;
        }
        at = (size_t)(end - node->input.data) + 1;
    }
    if (node->request)
        buf_drop(&node->input, at);
}

/* Bytes of answers that are in memory for the nodes but ONE: on the way, or as the reading that was made of them. */
static size_t held_for_others(const struct look_node *one)
{
    const struct look *look = one->look;
    size_t held = 0;
    for (size_t i = 0; i < look->mesh->node_count; i++)
        if (&look->nodes[i] != one)
            held += look->nodes[i].input.length + look->nodes[i].kept;
    return held;
}

void look_node_output(struct look_node *node, struct fanout_request *request, const char *bytes, size_t length)
{
    if (request != node->request)
        return;
    node->questioned = false;
    if (length > ANSWER_LIMIT - node->input.length) {
        fail(node, REACH_GARBLED, "it answered more than %d MiB", ANSWER_LIMIT >> 20);
        return;
    }
    size_t own = node->input.length + length;
    if (own > ANSWER_SMALL && own + held_for_others(node) > ANSWERS_LIMIT) {
        fail(node, REACH_GARBLED, "its answer is large (more than %zu MiB), and those of all nodes together are more than %d MiB", own >> 20,
             ANSWERS_LIMIT >> 20);
        return;
    }
    /* Only the new bytes can hold the end of a line. */
    bool line = memchr(bytes, '\n', length) != NULL;
    buf_add(&node->input, bytes, length);
    if (line && node->stage != STAGE_BARE)
        take_lines(node);
}

static void on_output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct look_node *node = context;
    node->heard_at = clock_steady();
    if (node->look->is_held)
        look_held_output(node, request, bytes, length);
    else
        look_node_output(node, request, bytes, length);
}

void look_node_too_much(struct look_node *node)
{
    fail(node, REACH_GARBLED, "it answered more than %d MiB at once", ANSWER_LIMIT >> 20);
}

static void on_problem(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct look_node *node = context;
    if (request != node->request)
        return;
    if (length > PROBLEM_KEPT) {
        bytes += length - PROBLEM_KEPT;
        length = PROBLEM_KEPT;
    }
    buf_add(&node->problem, bytes, length);
    if (node->problem.length > PROBLEM_KEPT)
        buf_drop(&node->problem, node->problem.length - PROBLEM_KEPT);
}

static void on_writable(void *context, struct fanout_request *request)
{
    struct look_node *node = context;
    if (request == node->request && node->stage == STAGE_PUSHING)
        push_more(node);
}

/* The last line that came on stderr, or "". */
static char *last_problem(const struct look_node *node)
{
    size_t end = node->problem.length;
    const char *text = buf_text(&node->problem);
    while (end && (text[end - 1] == '\n' || text[end - 1] == '\r' || text[end - 1] == ' '))
        end--;
    size_t begin = end;
    while (begin && text[begin - 1] != '\n')
        begin--;
    return mem_text_part(text + begin, end - begin);
}

/* sudo said no before anything ran (src/ssh/request.c: "sudo as USER: ..."). A wrong password may be typed again; any other no is
 * final, and the look goes on as who we are: it says itself what it could not see. */
static bool try_after_sudo(struct look_node *node, const char *why)
{
    if (!why || node->without_root || strncmp(why, "sudo as ", strlen("sudo as ")) != 0)
        return false;
    bool wrong = strstr(why, "password is wrong") != NULL;
    node->without_root = !wrong || ++node->wrong_passwords >= PASSWORD_TRIES;
    start(node, node->push);
    return true;
}

static void ended_early(struct look_node *node, enum look_stage stage, int status, const char *why)
{
    static const char *const what[] = {
        [STAGE_IDLE] = "the look", [STAGE_GREETING] = "its shell", [STAGE_BARE] = "the look", [STAGE_PUSHING] = "the copying of the helper",
        [STAGE_HELPER] = "the helper",
    };
    char *problem = last_problem(node);
    const char *colon = *problem ? ": " : "";
    if (status < 0)
        fail(node, REACH_FAILED, "%s%s%s", why ? why : "the connection was lost", colon, problem);
    else if (status == 127 && stage == STAGE_GREETING)
        fail(node, REACH_FAILED, "no POSIX shell there%s%s", colon, problem);
    else
        fail(node, REACH_FAILED, "%s ended with status %d before it had answered%s%s", what[stage], status, colon, problem);
    free(problem);
}

void look_node_done(struct look_node *node, struct fanout_request *request, int status, const char *why)
{
    enum look_stage stage = node->stage;
    if (request != node->request)
        return;
    node->request = NULL;
    node->request_over = false;
    node->turns++;
    node->questioned = false;
    if (stage == STAGE_IDLE || fanout_session_phase(node->session) != PHASE_OPEN)
        return; /* a connection that is gone is told by on_failed */
    if (status < 0 && try_after_sudo(node, why))
        return;
    if (stage == STAGE_BARE) {
        if (status >= 0)
            bare_arrived(node, status);
        else
            ended_early(node, stage, status, why);
        return;
    }
    if (stage == STAGE_HELPER && !node->asked && !(node->look->options.every > 0)) {
        node->stage = STAGE_IDLE; /* it has answered, and nothing more was asked of it */
        return;
    }
    if (stage != STAGE_GREETING && node->crashes++ < CRASHES_FORGIVEN)
        start(node, node->push);
    else
        ended_early(node, stage, status, why);
}

static void on_done(void *context, struct fanout_request *request, int status, const char *why)
{
    struct look_node *node = context;
    if (!node->look->is_held) {
        look_node_done(node, request, status, why);
    } else if (request == node->request) {
        struct look_held *held = look_held_add(node, HELD_DONE, why);
        held->request = request;
        held->status = status;
        node->request_over = true;
    }
}

static const struct fanout_request_events request_events = {
    .output = on_output, .problem = on_problem, .done = on_done, .writable = on_writable};

/* Beginning */

/* The helper, where it is or may come; else the bare look. */
static bool uses_bootstrap(const struct look_node *node)
{
    return node->look->options.mode != LOOK_BARE && node->look->has_program;
}

static void start(struct look_node *node, bool push)
{
    const struct fanout_request_options options = {.as_root = !node->without_root, .deadline = -1, .output_limit = SIZE_MAX};
    const struct look *look = node->look;
    bool bootstrap = uses_bootstrap(node);
    stop_request(node);
    buf_free(&node->problem);
    ev_timer_stop(look->loop, &node->again);
    node->push = push;
    node->prelude = 0;
    node->stage = STAGE_GREETING;
    node->request = fanout_exec(node->session, bootstrap ? node_bootstrap_command : node_bare_command, &options, &request_events, node);
    if (!node->request) {
        fail(node, REACH_FAILED, "no request can be made over its connection");
        return;
    }
    node->asked_at = clock_wall();
    node->heard_at = clock_steady();
    ev_timer_again(look->loop, &node->deadline);
    if (!bootstrap) {
        fanout_write(node->request, look->salt, strlen(look->salt));
        fanout_write(node->request, "\n", 1);
        fanout_write_end(node->request);
        return;
    }
    char *line = mem_format("%s %s %zu %s\n", push ? "helper" : "auto", look->program.sha256, look->program.bytes.length, look->salt);
    fanout_write(node->request, line, strlen(line));
    free(line);
    if (!push)
        ask_helper(node);
}

static void on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct look_node *node = timer->data;
    (void)events;
    if (node->look->is_held) { /* its answer may be waiting */
        ev_timer_stop(loop, timer);
        ev_timer_set(timer, HELD_PAUSE, node->look->options.deadline);
        ev_timer_start(loop, timer);
        return;
    }
    if (node->questioned) { /* a person takes as long as they take */
        ev_timer_again(loop, timer);
        return;
    }
    fail(node, REACH_FAILED, "logged in, but no answer within %.0f s (is the machine overloaded?)", node->look->options.deadline);
}

static void on_again(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct look_node *node = timer->data;
    ev_timer_stop(loop, timer);
    (void)events;
    if (node->look->is_held) {
        ev_timer_set(timer, HELD_PAUSE, node->look->options.every);
        ev_timer_start(loop, timer);
        return;
    }
    if (fanout_session_phase(node->session) == PHASE_OPEN && node->stage == STAGE_IDLE)
        start(node, node->look->options.mode == LOOK_HELPER);
}

void look_node_begin(struct look_node *node)
{
    ev_init(&node->deadline, on_deadline);
    ev_init(&node->again, on_again);
    node->deadline.repeat = node->look->options.deadline;
    node->again.repeat = node->look->options.every;
    node->deadline.data = node->again.data = node;
}

void look_node_end(struct look_node *node)
{
    stop_request(node);
    look_held_drop(node);
    ev_timer_stop(node->look->loop, &node->again);
    buf_free(&node->problem);
    free(node->system);
    node->system = NULL;
}

void look_node_refresh(struct look_node *node)
{
    if (node->look->is_held) {
        node->refresh_wanted = true;
        return;
    }
    if (fanout_session_phase(node->session) != PHASE_OPEN || node->asked)
        return;
    if (node->stage == STAGE_HELPER)
        ask_helper(node);
    else if (node->stage == STAGE_IDLE)
        start(node, node->look->options.mode == LOOK_HELPER);
}

/* It comes long before the connection counts as lost, which takes a minute or so: until then its last reading stands. */
int64_t look_node_silence(const struct look_node *node)
{
    int64_t usual = (int64_t)(SILENCE_INTERVALS * node->look->options.every * (double)CLOCK_SECOND);
    int64_t silence = clock_steady() - node->heard_at;
    if (!node->heard_at || node->questioned || node->stage == STAGE_PUSHING || !(node->look->options.every > 0) ||
        fanout_session_phase(node->session) != PHASE_OPEN || (!node->request && !ev_is_active(&node->again)))
        return 0;
    return silence > (usual > SILENCE_LEAST ? usual : SILENCE_LEAST) ? silence : 0;
}

/* The helper's stream goes on with the new interval; a bare look comes that much later. */
void look_node_set_every(struct look_node *node)
{
    node->again.repeat = node->look->options.every;
    if (node->stage == STAGE_HELPER)
        ask_helper(node);
    else if (ev_is_active(&node->again))
        ev_timer_again(node->look->loop, &node->again);
}

void look_node_open(struct look_node *node, struct fanout_session *session)
{
    node->session = session;
    start(node, node->look->options.mode == LOOK_HELPER);
}

static void on_open(void *context, struct fanout_session *session)
{
    struct look_node *node = context;
    if (node->look->is_held)
        look_held_add(node, HELD_OPEN, NULL)->session = session;
    else
        look_node_open(node, session);
}

static const enum observed_failure failed_as[] = {
    [FAILURE_NONE] = FAILED_OTHERWISE,
    [FAILURE_RESOLVE] = FAILED_UNRESOLVED,
    [FAILURE_REFUSED] = FAILED_REFUSED,
    [FAILURE_TIMEOUT] = FAILED_TIMED_OUT,
    [FAILURE_NETWORK] = FAILED_NETWORK,
    [FAILURE_HOST_KEY_UNKNOWN] = FAILED_HOST_KEY_UNKNOWN,
    [FAILURE_HOST_KEY_CHANGED] = FAILED_HOST_KEY_CHANGED,
    [FAILURE_HOST_KEY_REVOKED] = FAILED_HOST_KEY_REVOKED,
    [FAILURE_LOGIN] = FAILED_LOGIN,
    [FAILURE_PROTOCOL] = FAILED_OTHERWISE,
    [FAILURE_CONFIG] = FAILED_SETTINGS,
    [FAILURE_LOST] = FAILED_OTHERWISE,
    [FAILURE_SUDO] = FAILED_AFTER_LOGIN,
};

void look_node_failed(struct look_node *node, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    node->session = session;
    set_failed(node, REACH_FAILED, failed_as[failure], why ? why : "not reached");
}

static void on_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    struct look_node *node = context;
    if (!node->look->is_held) {
        look_node_failed(node, session, failure, why);
        return;
    }
    struct look_held *held = look_held_add(node, HELD_FAILED, why);
    held->session = session;
    held->failure = failure;
}

const struct fanout_session_events look_session_events = {.open = on_open, .failed = on_failed};
