/* Requests (wgdeck/fanout.h): a command on a channel of its own, its input queued, its deadlines, and sudo before it. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    CHANNELS_MOST = 8,          /* of a session at once: sshd's MaxSessions is 10 */
    SUDO_TEXT_MOST = 64 * 1024,
    OUTPUT_LIMIT = 64 << 20,
};

/* What sudo asks with, and what the wrapped command says on stderr when it begins. Until then stdin is held back, so that a password is sent
 * only to the question and data only to the command. */
#define SUDO_PROMPT "[wgdeck:sudo:password]"
#define SUDO_BEGUN "[wgdeck:sudo:begun]\n"
#define SUDO_BEGUN_PRINTF "[wgdeck:sudo:begun]\\n"

static struct ev_loop *loop_of(const struct fanout_request *request)
{
    return request->session->fanout->loop;
}

static void stop_timers(struct fanout_request *request)
{
    ev_timer_stop(loop_of(request), &request->deadline);
    ev_timer_stop(loop_of(request), &request->silence);
}

/* Out of the session's list; freed, its channel closed, at the next turn of the loop. */
static void retire(struct fanout_request *request)
{
    struct fanout *fanout = request->session->fanout;
    stop_timers(request);
    request->state = REQUEST_OVER;
    TAILQ_REMOVE(&request->session->requests, request, entry);
    TAILQ_INSERT_TAIL(&fanout->over, request, entry);
    fanout_reap_soon(fanout);
}

static void finish(struct fanout_request *request, int status, const char *why)
{
    if (request->state == REQUEST_OVER)
        return;
    retire(request);
    if (request->events.done)
        request->events.done(request->context, request, status, why);
}

static void finish_format(struct fanout_request *request, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void finish_format(struct fanout_request *request, int status, const char *format, ...)
{
    struct buf raw = BUF_EMPTY, safe = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&raw, format, arguments);
    va_end(arguments);
    text_add_safe(&safe, buf_text(&raw), raw.length);
    finish(request, status, buf_text(&safe));
    buf_free(&raw);
    buf_free(&safe);
}

static void deadline_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct fanout_request *request = timer->data;
    finish_format(request, -1, "request: no end within %g s", request->options.deadline);
}

static void silence_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct fanout_request *request = timer->data;
    finish_format(request, -1, "request: silent for %g s", request->options.silence);
}

struct fanout_request *fanout_exec(struct fanout_session *session, const char *command, const struct fanout_request_options *options,
                                   const struct fanout_request_events *events, void *context)
{
    struct fanout_request *request = mem_alloc(1, sizeof *request);
    request->session = session;
    request->command = mem_text(command);
    if (options)
        request->options = *options;
    if (request->options.deadline == 0)
        request->options.deadline = session->fanout->options.deadlines.request;
    if (!request->options.output_limit)
        request->options.output_limit = OUTPUT_LIMIT;
    if (events)
        request->events = *events;
    request->context = context;
    ev_timer_init(&request->deadline, deadline_fired, 0, 0);
    request->deadline.data = request;
    ev_timer_init(&request->silence, silence_fired, 0, request->options.silence);
    request->silence.data = request;
    TAILQ_INSERT_TAIL(&session->requests, request, entry);
    fanout_reap_soon(session->fanout); /* begun there: the caller adds its input first, and no event comes from inside this call */
    return request;
}

/* sudo may need a password or not; with -S it asks on stderr and reads one line of stdin, byte by byte, so what follows is the command's.
 * Nobody has to know beforehand which it is, and a password is never sent where nobody asked for it. */
static char *with_sudo(const char *command)
{
    struct buf inner = BUF_EMPTY, outer = BUF_EMPTY;
    buf_add_text(&inner, "printf '" SUDO_BEGUN_PRINTF "' >&2; ");
    buf_add_text(&inner, command);
    buf_add_text(&outer, "sudo -S -p '" SUDO_PROMPT "' -- sh -c ");
    text_add_quoted(&outer, buf_text(&inner));
    buf_free(&inner);
    return buf_take(&outer);
}

static void push_input(struct fanout_request *request);

static void begin(struct fanout_request *request)
{
    struct fanout_session *session = request->session;
    struct ev_loop *loop = loop_of(request);
    bool sudo = request->options.as_root && !fanout_session_is_root(session);
    char *wrapped = sudo ? with_sudo(request->command) : NULL;
    request->state = REQUEST_RUNNING;
    request->sudo = sudo ? SUDO_STARTING : SUDO_NONE;
    ev_now_update(loop);
    if (request->options.deadline > 0) {
        ev_timer_set(&request->deadline, request->options.deadline, 0);
        ev_timer_start(loop, &request->deadline);
    }
    if (request->options.silence > 0)
        ev_timer_again(loop, &request->silence);
    request->channel = session->ops->exec(session->transport, request, sudo ? wrapped : request->command);
    free(wrapped);
    push_input(request);
}

void requests_start(struct fanout_session *session)
{
    unsigned running = 0;
    struct fanout_request *request, *next;
    TAILQ_FOREACH(request, &session->requests, entry)
        running += request->state == REQUEST_RUNNING;
    for (request = TAILQ_FIRST(&session->requests); request && running < CHANNELS_MOST; request = next) {
        next = TAILQ_NEXT(request, entry);
        if (request->state != REQUEST_WAITING)
            continue;
        begin(request);
        running++;
    }
}

void requests_fail(struct fanout_session *session, const char *why)
{
    struct fanout_request *request;
    char *text = mem_text(why ? why : "the session is closed");
    while ((request = TAILQ_FIRST(&session->requests)))
        finish(request, -1, text);
    free(text);
}

void request_free(struct fanout_request *request)
{
    stop_timers(request);
    if (request->channel)
        request->session->ops->close(request->channel);
    buf_wipe(&request->input);
    buf_free(&request->sudo_text);
    free(request->command);
    free(request);
}

/* --- Input. */

static void push_input(struct fanout_request *request)
{
    if (request->state != REQUEST_RUNNING || !request->channel || request->input_ended)
        return;
    if (request->sudo == SUDO_STARTING || request->sudo == SUDO_ASKING)
        return;
    size_t left = fanout_queued(request);
    if (left) {
        size_t taken = request->session->ops->write(request->channel, request->input.data + request->input_from, left);
        request->input_from += taken;
        if (taken && request->options.silence > 0)
            ev_timer_again(loop_of(request), &request->silence);
        if (taken < left)
            return;
        sodium_memzero(request->input.data, request->input.length); /* it may have been a preshared key */
        buf_clear(&request->input);
        request->input_from = 0;
    }
    if (request->input_end) {
        request->input_ended = true;
        request->session->ops->write_end(request->channel);
    }
}

void fanout_write(struct fanout_request *request, const void *bytes, size_t length)
{
    if (request->state == REQUEST_OVER || request->input_end)
        return;
    buf_add(&request->input, bytes, length);
    request->owes_writable = true;
    push_input(request);
}

size_t fanout_queued(const struct fanout_request *request)
{
    return request->input.length - request->input_from;
}

void fanout_write_end(struct fanout_request *request)
{
    if (request->state == REQUEST_OVER || request->input_end)
        return;
    request->input_end = true;
    push_input(request);
}

void fanout_request_cancel(struct fanout_request *request)
{
    if (request->state != REQUEST_OVER)
        retire(request);
}

void request_writable(struct fanout_request *request)
{
    if (request->state != REQUEST_RUNNING)
        return;
    push_input(request);
    if (!request->owes_writable || fanout_queued(request) || request->input_end)
        return;
    request->owes_writable = false;
    if (request->events.writable)
        request->events.writable(request->context, request);
}

/* --- sudo's own words, before the command begins. */

static void send_password(struct fanout_request *request)
{
    struct fanout_session *session = request->session;
    char *line = sodium_malloc(strlen(session->sudo_password) + 2);
    if (!line)
        abort();
    size_t length = (size_t)sprintf(line, "%s\n", session->sudo_password);
    request->sudo = SUDO_STARTING;
    request->sudo_password_sent = true;
    /* A channel that has just begun takes a line at once; if it does not, the deadline ends the request. */
    session->ops->write(request->channel, line, length);
    sodium_free(line);
}

static void sudo_answered(struct fanout_session *session, const char *text)
{
    session->sudo_asked = false;
    if (session->over || session->closing)
        return;
    secret_free(session->sudo_password);
    session->sudo_password = secret_new(text);
    struct fanout_request *request, *next;
    for (request = TAILQ_FIRST(&session->requests); request; request = next) {
        next = TAILQ_NEXT(request, entry);
        if (request->state != REQUEST_RUNNING || request->sudo != SUDO_ASKING)
            continue;
        if (request->options.deadline > 0) {
            ev_timer_set(&request->deadline, request->options.deadline, 0);
            ev_timer_start(loop_of(request), &request->deadline);
        }
        if (session->sudo_password)
            send_password(request);
        else
            finish_format(request, -1, "sudo as %s: a password is needed, and none was given", session->target->user);
    }
}

static void sudo_asks(struct fanout_request *request)
{
    struct fanout_session *session = request->session;
    buf_clear(&request->sudo_text);
    if (request->sudo_password_sent) {
        secret_free(session->sudo_password);
        session->sudo_password = NULL;
        finish_format(request, -1, "sudo as %s: the password is wrong", session->target->user);
        return;
    }
    if (session->sudo_password) {
        send_password(request);
        return;
    }
    if (!session->fanout->options.ask) {
        finish_format(request, -1, "sudo as %s: a password is needed (log in as root, allow sudo without one, or run this on a terminal)",
                      session->target->user);
        return;
    }
    request->sudo = SUDO_ASKING;
    stop_timers(request); /* a person takes as long as they take */
    if (session->sudo_asked)
        return;
    session->sudo_asked = true;
    char *prompt = mem_format("sudo password of %s at %s", session->target->user, session->name);
    fanout_put_question(session, &(struct fanout_question){.kind = QUESTION_SUDO, .prompt = prompt}, sudo_answered);
    free(prompt);
}

static void sudo_says(struct fanout_request *request, const char *bytes, size_t length)
{
    struct buf *text = &request->sudo_text;
    if (text->length + length > SUDO_TEXT_MOST) {
        finish_format(request, -1, "sudo as %s: it says far too much", request->session->target->user);
        return;
    }
    buf_add(text, bytes, length);
    const char *begun = memmem(text->data, text->length, SUDO_BEGUN, strlen(SUDO_BEGUN));
    if (!begun) {
        if (memmem(text->data, text->length, SUDO_PROMPT, strlen(SUDO_PROMPT)))
            sudo_asks(request);
        return;
    }
    const char *rest = begun + strlen(SUDO_BEGUN);
    size_t rest_length = text->length - (size_t)(rest - text->data);
    request->sudo = SUDO_PASSED;
    if (rest_length && request->events.problem)
        request->events.problem(request->context, request, rest, rest_length);
    if (request->state == REQUEST_OVER)
        return;
    buf_free(text);
    request_writable(request);
}

/* The line of sudo that explains best why the command never began. */
static void sudo_refused(struct fanout_request *request)
{
    char *text = mem_text_part(buf_text(&request->sudo_text), request->sudo_text.length), *rest, *last = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        last = line;
    if (last && !strncmp(last, "sudo: ", 6))
        last += 6;
    finish_format(request, -1, "sudo as %s: %.200s", request->session->target->user, last ? last : "refused");
    free(text);
}

/* --- What the transport tells. */

void request_output(struct fanout_request *request, bool problem, const char *bytes, size_t length)
{
    if (request->state != REQUEST_RUNNING || !length)
        return;
    if (request->options.silence > 0 && request->sudo != SUDO_ASKING)
        ev_timer_again(loop_of(request), &request->silence);
    if (problem) {
        if (request->sudo == SUDO_STARTING)
            sudo_says(request, bytes, length);
        else if (request->events.problem)
            request->events.problem(request->context, request, bytes, length);
        return;
    }
    size_t room = request->options.output_limit - request->output_length;
    size_t part = length < room ? length : room;
    request->output_length += part;
    if (part && request->events.output)
        request->events.output(request->context, request, bytes, part);
    if (part < length)
        finish_format(request, -1, "answered more than %zu bytes", request->options.output_limit);
}

void request_ended(struct fanout_request *request, int status, const char *format, ...)
{
    if (request->state != REQUEST_RUNNING)
        return;
    if (request->sudo == SUDO_STARTING || request->sudo == SUDO_ASKING) {
        sudo_refused(request);
        return;
    }
    if (!format) {
        finish(request, status, NULL);
        return;
    }
    struct buf why = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&why, format, arguments);
    va_end(arguments);
    finish_format(request, status, "%s", buf_text(&why));
    buf_free(&why);
}
