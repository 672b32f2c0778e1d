/* A dialogue with "wgdeck node" (helper.h). What comes in is hostile until checked: lines have a limit, answers must be objects with a known id. */
#include "helper.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

enum {
    PRELUDE_LIMIT = 256 << 10, /* what login scripts may print */
    LINE_LIMIT = 8 << 20,
    PUSH_PIECE = 256 << 10,
    PROBLEM_KEPT = 400,
};
#define START_PATIENCE 60.0 /* seconds: the program may have to go over a slow line first; each piece that goes out begins them anew */

struct question {
    struct helper *helper;
    uint64_t id;
    char *line;             /* until it is sent */
    helper_done *done;
    helper_told *told;
    void *context;
    struct ev_timer deadline;
    double seconds;
    struct question *next;
};

struct helper {
    struct ev_loop *loop;
    struct fanout_session *session;
    const struct look_program *program;
    const struct helper_events *events;
    void *context;
    struct fanout_request *request;
    struct buf input, problem;
    size_t prelude, pushed;
    char *system;
    bool pushing, ready, over;
    unsigned inside;        /* calls of ours on the stack */
    bool freed;             /* asked to go while inside */
    struct ev_timer start;
    uint64_t last_id;
    struct question *questions;
};

static void enter(struct helper *helper)
{
    helper->inside++;
}

static void destroy(struct helper *helper)
{
    buf_free(&helper->input);
    buf_free(&helper->problem);
    free(helper->system);
    free(helper);
}

/* False: it is gone. */
static bool leave(struct helper *helper)
{
    if (--helper->inside || !helper->freed)
        return !helper->freed;
    destroy(helper);
    return false;
}

static void free_question(struct question *question)
{
    ev_timer_stop(question->helper->loop, &question->deadline);
    free(question->line);
    free(question);
}

static struct question *take_question(struct helper *helper, uint64_t id)
{
    for (struct question **at = &helper->questions; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct question *found = *at;
            *at = found->next;
            return found;
        }
    return NULL;
}

static void end_question(struct question *question, const cJSON *answer, const char *why, const char *code)
{
    question->done(question->context, answer, why, code);
    free_question(question);
}

static void __attribute__((format(printf, 2, 3))) lose(struct helper *helper, const char *format, ...)
{
    struct buf why = BUF_EMPTY;
    va_list arguments;
    if (helper->over)
        return;
    va_start(arguments, format);
    buf_add_vformat(&why, format, arguments);
    va_end(arguments);
    char *text = text_safe(buf_text(&why));
    buf_free(&why);
    helper->over = true;
    helper->ready = false;
    ev_timer_stop(helper->loop, &helper->start);
    if (helper->request)
        fanout_request_cancel(helper->request);
    helper->request = NULL;
    enter(helper);
    while (helper->questions && !helper->freed) {
        struct question *question = helper->questions;
        helper->questions = question->next;
        end_question(question, NULL, text, "lost");
    }
    if (!helper->freed && helper->events && helper->events->lost)
        helper->events->lost(helper->context, helper, text);
    leave(helper);
    free(text);
}

/* --- questions */

static void on_late(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct question *question = timer->data;
    struct helper *helper = question->helper;
    (void)loop, (void)events;
    take_question(helper, question->id);
    bool lost = helper->over;
    char *why = lost ? mem_text("the connection is lost") : mem_format("no answer within %.0f s", question->seconds);
    enter(helper);
    end_question(question, NULL, why, lost ? "lost" : "late");
    leave(helper);
    free(why);
}

static void send_question(struct question *question)
{
    fanout_write(question->helper->request, question->line, strlen(question->line));
    sodium_memzero(question->line, strlen(question->line));
    free(question->line);
    question->line = NULL;
    ev_timer_set(&question->deadline, question->seconds, 0.);
    ev_timer_start(question->helper->loop, &question->deadline);
}


void helper_ask(struct helper *helper, const char *members, double seconds, helper_done *done, helper_told *told, void *context)
{
    struct question *question = mem_alloc(1, sizeof *question), **end = &helper->questions;
    *question = (struct question){.helper = helper, .id = ++helper->last_id, .done = done, .told = told, .context = context, .seconds = seconds};
    question->line = mem_format("{\"id\":%llu,%s}\n", (unsigned long long)question->id, members);
    ev_init(&question->deadline, on_late);
    question->deadline.data = question;
    while (*end)
        end = &(*end)->next;
    *end = question;
    if (helper->ready) {
        send_question(question);
    } else if (helper->over) { /* told a moment later, as all answers are: never inside this call */
        question->seconds = 0;
        ev_timer_set(&question->deadline, 0., 0.);
        ev_timer_start(helper->loop, &question->deadline);
    }
}

bool helper_is_ready(const struct helper *helper)
{
    return helper->ready;
}

/* --- lines */

static void answer_line(struct helper *helper, const char *line, size_t length)
{
    struct err err;
    cJSON *object = json_parse(line, length, &err);
    if (!object || !cJSON_IsObject(object)) {
        cJSON_Delete(object);
        lose(helper, "its answer is no JSON object");
        return;
    }
    uint64_t id = json_get_unsigned(object, "id", 0);
    if (json_get_text(object, "event", NULL)) {
        for (struct question *question = helper->questions; question; question = question->next)
            if (question->id == id && question->told && !question->line) {
                question->told(question->context, object);
                break;
            }
    } else {
        struct question *question = take_question(helper, id);
        bool good = json_get_bool(object, "ok", false);
        char *why = good ? NULL : text_safe(json_get_text(object, "error", "no reason"));
        char *code = good ? NULL : text_safe(json_get_text(object, "code", "failed"));
        if (question)
            end_question(question, good ? object : NULL, why, code);
        free(why);
        free(code);
    }
    cJSON_Delete(object);
}

static void push_more(struct helper *helper)
{
    const struct buf *bytes = &helper->program->bytes;
    while (helper->pushed < bytes->length && !fanout_queued(helper->request)) {
        size_t left = bytes->length - helper->pushed, piece = left < PUSH_PIECE ? left : PUSH_PIECE;
        fanout_write(helper->request, bytes->data + helper->pushed, piece);
        helper->pushed += piece;
    }
    ev_timer_again(helper->loop, &helper->start);
}

static void begin_push(struct helper *helper)
{
    char *wanted = mem_format("Linux %s", helper->program->machine);
    bool fits = helper->system && !strcmp(helper->system, wanted);
    free(wanted);
    if (!fits) {
        lose(helper, "there is no program for its system (%s): build it with make, and put it beside this one", helper->system ? helper->system : "unknown");
        return;
    }
    helper->pushing = true;
    push_more(helper);
}

static void become_ready(struct helper *helper)
{
    helper->ready = true;
    helper->pushing = false;
    ev_timer_stop(helper->loop, &helper->start);
    for (struct question *question = helper->questions; question; question = question->next)
        send_question(question);
    if (helper->events && helper->events->ready)
        helper->events->ready(helper->context, helper);
}

static void greeting_line(struct helper *helper, const char *line, size_t length)
{
    if (!strncmp(line, "wgdeck helper", 13)) {
        become_ready(helper);
    } else if (!strncmp(line, "wgdeck system ", 14)) {
        free(helper->system);
        helper->system = text_safe(line + 14);
    } else if (!strcmp(line, "wgdeck need")) {
        begin_push(helper);
    } else if (!strncmp(line, "wgdeck error ", 13)) {
        lose(helper, "%s", line + 13);
    } else {
        helper->prelude += length + 1;
        if (helper->prelude > PRELUDE_LIMIT)
            lose(helper, "its login scripts print more than %d KiB before they let a command run", PRELUDE_LIMIT >> 10);
    }
}

static void on_output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct helper *helper = context;
    (void)request;
    if (helper->over)
        return;
    buf_add(&helper->input, bytes, length);
    enter(helper);
    size_t at = 0;
    while (!helper->freed && !helper->over && at < helper->input.length) {
        char *line = helper->input.data + at, *end = memchr(line, '\n', helper->input.length - at);
        if (!end)
            break;
        size_t line_length = (size_t)(end - line);
        *end = '\0';
        at += line_length + 1;
        if (!helper->ready && line_length && line[line_length - 1] == '\r')
            line[--line_length] = '\0';
        if (helper->ready && line_length)
            answer_line(helper, line, line_length);
        else if (!helper->ready)
            greeting_line(helper, line, line_length);
    }
    if (!helper->freed) {
        sodium_memzero(helper->input.data, at);
        buf_drop(&helper->input, at);
        if (helper->input.length > LINE_LIMIT)
            lose(helper, "it answered more than %d MiB in one line", LINE_LIMIT >> 20);
    }
    leave(helper);
}

static void on_problem(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct helper *helper = context;
    (void)request;
    buf_add(&helper->problem, bytes, length);
    if (helper->problem.length > PROBLEM_KEPT)
        buf_drop(&helper->problem, helper->problem.length - PROBLEM_KEPT);
}

static void on_done(void *context, struct fanout_request *request, int status, const char *why)
{
    struct helper *helper = context;
    (void)request;
    helper->request = NULL;
    const char *problem = buf_text(&helper->problem), *last = problem;
    size_t length = helper->problem.length;
    while (length && (problem[length - 1] == '\n' || problem[length - 1] == '\r'))
        length--;
    for (size_t i = 0; i < length; i++)
        if (problem[i] == '\n')
            last = problem + i + 1;
    const char *colon = length ? ": " : "";
    int shown = (int)(length - (size_t)(last - problem));
    if (status < 0)
        lose(helper, "%s%s%.*s", why ? why : "the connection was lost", colon, shown, last);
    else
        lose(helper, "the helper there ended with status %d%s%.*s", status, colon, shown, last);
}

static void on_writable(void *context, struct fanout_request *request)
{
    struct helper *helper = context;
    (void)request;
    if (helper->pushing && !helper->over)
        push_more(helper);
}

static const struct fanout_request_events request_events = {.output = on_output, .problem = on_problem, .done = on_done, .writable = on_writable};

static void on_start_late(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    lose(timer->data, "the helper there did not start within %.0f s", START_PATIENCE);
}

struct helper *helper_new(struct ev_loop *loop, struct fanout_session *session, const struct look_program *program, const struct helper_events *events, void *context)
{
    const struct fanout_request_options options = {.as_root = true, .deadline = -1, .output_limit = SIZE_MAX};
    struct helper *helper = mem_alloc(1, sizeof *helper);
    unsigned char salt[32];
    char hex[65];
    *helper = (struct helper){.loop = loop, .session = session, .program = program, .events = events, .context = context};
    ev_init(&helper->start, on_start_late);
    helper->start.repeat = START_PATIENCE;
    helper->start.data = helper;
    randombytes_buf(salt, sizeof salt);
    sodium_bin2hex(hex, sizeof hex, salt, sizeof salt);
    helper->request = fanout_exec(session, node_bootstrap_command, &options, &request_events, helper);
    ev_timer_again(loop, &helper->start);
    if (!helper->request) { /* told by the timer, at once */
        ev_timer_stop(loop, &helper->start);
        ev_timer_set(&helper->start, 0., 0.);
        ev_timer_start(loop, &helper->start);
        return helper;
    }
    char *line = mem_format("helper %s %zu %s\n", program->sha256, program->bytes.length, hex);
    fanout_write(helper->request, line, strlen(line));
    free(line);
    return helper;
}

void helper_free(struct helper *helper)
{
    if (!helper || helper->freed)
        return;
    helper->over = true;
    helper->freed = true;
    ev_timer_stop(helper->loop, &helper->start);
    if (helper->request)
        fanout_request_cancel(helper->request);
    helper->request = NULL;
    while (helper->questions) {
        struct question *question = helper->questions;
        helper->questions = question->next;
        free_question(question);
    }
    if (!helper->inside)
        destroy(helper);
}
