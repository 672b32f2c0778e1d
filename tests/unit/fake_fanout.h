/* A fan-out that is a script: sessions open at once, and what a helper there is asked goes to fake_answer, which the test has. The fan-out's functions are defined here, so the real one is not
 * linked. Nodes are named a, b, c... */
#ifndef WGDECK_TESTS_FAKE_FANOUT_H
#define WGDECK_TESTS_FAKE_FANOUT_H

#include "wgdeck/fanout.h"
#include "wgdeck/json.h"

enum { SESSIONS_MOST = 64, REQUESTS_MOST = 64 };

struct fanout_session { size_t node; const struct fanout_session_events *events; void *context; enum fanout_phase phase; bool told, closed; };
struct fanout_request {
    struct fanout_request_events events;
    void *context;
    struct fanout_session *session;
    struct buf written;
    bool greeted, cancelled, done;
};

static struct {
    struct ev_loop *loop;
    struct ev_timer tick;
    struct fanout_session sessions[SESSIONS_MOST];
    size_t session_count;
    struct fanout_request *requests[REQUESTS_MOST];
    size_t request_count;
} fake;

static void fake_answer(struct fanout_request *request, const cJSON *asked);

static void say(struct fanout_request *request, const char *text)
{
    if (!request->cancelled && !request->done)
        request->events.output(request->context, request, text, strlen(text));
}

static void lose(struct fanout_request *request)
{
    request->done = true;
    if (!request->cancelled)
        request->events.done(request->context, request, -1, "connection lost, as scripted");
}

static void take_line(struct fanout_request *request, const char *line, size_t length)
{
    if (!request->greeted) { /* "auto SHA256 SIZE SALT" or "helper ..." */
        request->greeted = true;
        say(request, "wgdeck helper /there\n");
        return;
    }
    struct err err;
    cJSON *asked = json_parse(line, length, &err);
    assert_non_null(asked);
    fake_answer(request, asked);
    cJSON_Delete(asked);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    for (size_t i = 0; i < fake.session_count; i++)
        if (!fake.sessions[i].told && !fake.sessions[i].closed) {
            fake.sessions[i].told = true;
            fake.sessions[i].phase = PHASE_OPEN;
            fake.sessions[i].events->open(fake.sessions[i].context, &fake.sessions[i]);
        }
    for (size_t i = 0; i < fake.request_count; i++) {
        struct fanout_request *request = fake.requests[i];
        char *end;
        while (!request->cancelled && !request->done && request->session->phase == PHASE_OPEN && request->written.length &&
               (end = memchr(request->written.data, '\n', request->written.length))) {
            size_t length = (size_t)(end - request->written.data);
            char *line = mem_text_part(request->written.data, length);
            buf_drop(&request->written, length + 1);
            if (length)
                take_line(request, line, length);
            free(line);
        }
    }
}

/* --- the fan-out */

struct fanout *fanout_new(struct ev_loop *loop, const struct fanout_options *options)
{
    (void)options;
    fake.session_count = fake.request_count = 0;
    fake.loop = loop;
    ev_timer_init(&fake.tick, on_tick, 0.001, 0.001);
    ev_timer_start(loop, &fake.tick);
    return (struct fanout *)(void *)&fake;
}

void fanout_free(struct fanout *fanout)
{
    (void)fanout;
    ev_timer_stop(fake.loop, &fake.tick);
    for (size_t i = 0; i < fake.request_count; i++) {
        buf_free(&fake.requests[i]->written);
        free(fake.requests[i]);
    }
    fake.request_count = 0;
}

void fanout_answer(struct fanout *fanout, uint64_t question, const char *text)
{
    (void)fanout, (void)question, (void)text;
}

struct fanout_session *fanout_open(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_session_events *events, void *context)
{
    (void)fanout, (void)target, (void)host_key;
    assert_true(fake.session_count < SESSIONS_MOST);
    struct fanout_session *session = &fake.sessions[fake.session_count++];
    *session = (struct fanout_session){.node = (size_t)(name[0] - 'a'), .events = events, .context = context, .phase = PHASE_CONNECT};
    return session;
}

struct fanout_session *fanout_open_through(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_hop *hops, size_t count,
                                           const struct fanout_session_events *events, void *context)
{
    (void)hops, (void)count;
    return fanout_open(fanout, name, target, host_key, events, context);
}

void fanout_session_close(struct fanout_session *session)
{
    session->closed = true;
    session->phase = PHASE_CLOSED;
    for (size_t i = 0; i < fake.request_count; i++)
        if (fake.requests[i]->session == session)
            fake.requests[i]->cancelled = true;
}

enum fanout_phase fanout_session_phase(const struct fanout_session *session) { return session->phase; }
const char *fanout_session_address(const struct fanout_session *session) { (void)session; return "192.0.2.1"; }
const char *fanout_session_target(const struct fanout_session *session) { (void)session; return "root@hub.example.org:2222"; }
bool fanout_session_is_root(const struct fanout_session *session) { (void)session; return true; }
const char *fanout_phase_text(enum fanout_phase phase) { (void)phase; return "somewhere"; }

struct fanout_request *fanout_exec(struct fanout_session *session, const char *command, const struct fanout_request_options *options, const struct fanout_request_events *events, void *context)
{
    (void)command, (void)options;
    assert_true(fake.request_count < REQUESTS_MOST);
    struct fanout_request *request = mem_alloc(1, sizeof *request);
    *request = (struct fanout_request){.events = *events, .context = context, .session = session};
    fake.requests[fake.request_count++] = request;
    return request;
}

void fanout_write(struct fanout_request *request, const void *bytes, size_t length) { buf_add(&request->written, bytes, length); }
size_t fanout_queued(const struct fanout_request *request) { (void)request; return 0; }
void fanout_write_end(struct fanout_request *request) { (void)request; }
void fanout_request_cancel(struct fanout_request *request) { request->cancelled = true; }

#endif
