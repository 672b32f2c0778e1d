/* The helper's side of the SSH channel: JSON lines in, JSON lines out (node.h has the list). It never waits for the deck: while an answer
 * is not read, readings are left out, not queued; and when the deck is gone, it goes too. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "observer.h"
#include "serve.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/version.h"

enum { LINE_MAX_BYTES = 32 << 20, OUTPUT_MAX = 4 << 20, READ_BYTES = 64 << 10 };
static const double every_least = 0.2, every_most = 3600;
static const double notice_pause = 0.2;  /* seconds: the network's changes come in bursts, and each reading costs */
static const double farewell = 10;       /* seconds for the last answers to be read */

/* The observation that is repeated; id 0: none. */
struct watch {
    bool active;
    uint64_t id;
    char salt[65];
    char *interface;
    struct observation last; /* as the deck has it */
    uint64_t facts_version;  /* of the observer, when its lists were made */
    ev_timer timer, early;
    ev_io notices;
    int64_t read_at;
};

struct server {
    struct ev_loop *loop;
    struct node_observer *observer;
    int input, output, output_flags;
    struct buf lines, answers;
    size_t searched; /* so many bytes of the last line hold no end of it */
    ev_io readable, writable;
    ev_timer end;
    ev_signal signals[3];
    struct watch watch;
    struct change_session *change;
    struct serve_links *links;
    bool ending;
    int status;
};

static void run_lines(struct server *server);

/* Output */

static void stop(struct server *server, int status)
{
    server->status = status;
    ev_break(server->loop, EVBREAK_ALL);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct server *server = watcher->data;
    while (server->answers.length) {
        ssize_t length = write(server->output, server->answers.data, server->answers.length);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            stop(server, 1); /* nobody reads any more */
            return;
        }
        if (length <= 0)
            return;
        buf_drop(&server->answers, (size_t)length);
    }
    ev_io_stop(loop, watcher);
    if (server->ending)
        stop(server, server->status);
    else
        ev_io_start(loop, &server->readable);
    run_lines(server); /* what waited for these answers to be read */
}

/* What is in answers goes out as far as it can at once; the rest when the pipe has room. */
static void send_answers(struct server *server)
{
    buf_add_char(&server->answers, '\n');
    ev_io_start(server->loop, &server->writable);
    if (server->answers.length > OUTPUT_MAX) /* no more questions before these answers are read */
        ev_io_stop(server->loop, &server->readable);
}

static void end_soon(struct server *server, int status)
{
    server->ending = true;
    server->status = status;
    ev_io_stop(server->loop, &server->readable);
    ev_timer_stop(server->loop, &server->watch.timer);
    ev_timer_stop(server->loop, &server->watch.early);
    ev_io_stop(server->loop, &server->watch.notices);
    ev_timer_start(server->loop, &server->end);
    ev_io_start(server->loop, &server->writable);
}

struct ev_loop *server_loop(const struct server *server)
{
    return server->loop;
}

struct change_session **server_change(struct server *server)
{
    return &server->change;
}

struct serve_links **server_links(struct server *server)
{
    return &server->links;
}

uint64_t server_request(const cJSON *request)
{
    return json_get_unsigned(request, "id", 0);
}

struct json server_answer(struct server *server, uint64_t id)
{
    struct json json = json_begin(&server->answers);
    json_object(&json, NULL);
    json_unsigned(&json, "id", id);
    json_bool(&json, "ok", true);
    return json;
}

struct json server_event(struct server *server, uint64_t id, const char *event)
{
    struct json json = json_begin(&server->answers);
    json_object(&json, NULL);
    json_unsigned(&json, "id", id);
    json_text(&json, "event", event);
    return json;
}

void server_send(struct server *server, struct json *json)
{
    json_object_end(json);
    send_answers(server);
}

void server_refuse(struct server *server, uint64_t id, const char *code, const char *text, size_t index)
{
    struct json json = json_begin(&server->answers);
    json_object(&json, NULL);
    json_unsigned(&json, "id", id);
    json_bool(&json, "ok", false);
    json_text(&json, "error", text);
    if (code)
        json_text(&json, "code", code);
    if (index != SIZE_MAX)
        json_unsigned(&json, "index", index);
    server_send(server, &json);
}

static void answer_error(struct server *server, const cJSON *request, const char *text)
{
    server_refuse(server, server_request(request), NULL, text, SIZE_MAX);
}

/* Watching */

static void end_watch(struct server *server)
{
    struct watch *watch = &server->watch;
    watch->active = false;
    ev_timer_stop(server->loop, &watch->timer);
    ev_timer_stop(server->loop, &watch->early);
    ev_io_stop(server->loop, &watch->notices);
    observation_clear(&watch->last);
    free(watch->interface);
    watch->interface = NULL;
}

static void write_change(struct server *server, const struct observation *now)
{
    struct json json = server_event(server, server->watch.id, "change");
    if (!observation_change_to_json(&server->watch.last, now, &json, "change")) {
        buf_clear(&server->answers); /* watch_again has seen to it that nothing else is in there */
        json = server_event(server, server->watch.id, "same");
        json_number(&json, "node_time", now->node_time);
    }
    server_send(server, &json);
}

/* A reading for the watch; only what differs from what the deck has is said. */
static void watch_again(struct server *server)
{
    struct watch *watch = &server->watch;
    struct observation now = {0};
    struct err err;
    bool unchanged;
    ev_timer_stop(server->loop, &watch->early);
    if (server->answers.length) /* the deck has not read the last one: it gets the sum of the changes later */
        return;
    node_observer_only(server->observer, watch->interface);
    if (node_observe_again(server->observer, watch->salt, watch->facts_version, &now, &unchanged, &err) != 0)
        return;
    watch->read_at = clock_steady();
    watch->facts_version = server->observer->facts_version;
    struct observed_lists lists = {0};
    if (unchanged)
        lists = observe_take_lists(&watch->last);
    write_change(server, &now);
    observation_clear(&watch->last);
    if (unchanged)
        observe_put_lists(&now, &lists);
    watch->last = now;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    watch_again(timer->data);
}

static void on_notice(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct server *server = watcher->data;
    struct watch *watch = &server->watch;
    if (!node_observer_noticed(server->observer) || ev_is_active(&watch->early))
        return;
    double since = (double)(clock_steady() - watch->read_at) / (double)CLOCK_SECOND;
    ev_timer_set(&watch->early, since < notice_pause ? notice_pause - since : notice_pause / 4, 0.);
    ev_timer_start(loop, &watch->early);
}

/* A new watch takes the place of the one before. */
static void begin_watch(struct server *server, const cJSON *request, const char *salt, double every, struct observation *first)
{
    struct watch *watch = &server->watch;
    end_watch(server);
    watch->active = true;
    watch->id = json_get_unsigned(request, "id", 0);
    memcpy(watch->salt, salt, sizeof watch->salt);
    watch->interface = mem_text(json_get_text(request, "interface", NULL));
    watch->last = *first;
    *first = (struct observation){0};
    watch->facts_version = server->observer->facts_version;
    watch->read_at = clock_steady();
    ev_timer_set(&watch->timer, every, every);
    ev_timer_start(server->loop, &watch->timer);
    int descriptor = node_observer_descriptor(server->observer);
    if (descriptor >= 0) {
        ev_io_set(&watch->notices, descriptor, EV_READ);
        ev_io_start(server->loop, &watch->notices);
    }
}

/* Operations */

static void hello(struct server *server, const cJSON *request)
{
    struct utsname names;
    struct json json = server_answer(server, server_request(request));
    json_text(&json, "version", WGDECK_VERSION);
    json_text(&json, "system", uname(&names) == 0 ? names.machine : NULL);
    server_send(server, &json);
}

static void observe(struct server *server, const cJSON *request)
{
    const char *salt = json_get_text(request, "salt", "");
    const cJSON *every = cJSON_GetObjectItemCaseSensitive(request, "every");
    double seconds = cJSON_IsNumber(every) ? every->valuedouble : 0;
    struct observation now = {0};
    struct err err;
    if (strlen(salt) != 64 || strspn(salt, "0123456789abcdef") != 64) {
        answer_error(server, request, "observe: salt is not 64 hexadecimal digits");
        return;
    }
    if (every && !(seconds >= every_least && seconds <= every_most)) {
        answer_error(server, request, "observe: every is not a number of seconds from 0.2 to 3600");
        return;
    }
    node_observer_only(server->observer, json_get_text(request, "interface", NULL));
    if (node_observe(server->observer, salt, &now, &err) != 0) {
        answer_error(server, request, err.text);
        return;
    }
    struct json json = server_answer(server, server_request(request));
    observation_to_json(&now, false, &json, "observation");
    server_send(server, &json);
    if (every)
        begin_watch(server, request, salt, seconds, &now);
    observation_clear(&now);
}

static void stop_watch(struct server *server, const cJSON *request)
{
    if (!server->watch.active || json_get_unsigned(request, "stop", 0) != server->watch.id) {
        answer_error(server, request, "stop: nothing is watched under this id");
        return;
    }
    end_watch(server);
    struct json json = server_answer(server, server_request(request));
    server_send(server, &json);
}

static const struct server_operation own_operations[] = {
    {"hello", hello},
    {"observe", observe},
    {"stop", stop_watch},
    {0},
};
static const struct server_operation *const tables[] = {own_operations, serve_change_operations, serve_link_operations, serve_invite_operations, serve_path_operations};

static const struct server_operation *find_operation(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const struct server_operation *operation = tables[i]; operation->name; operation++)
            if (!strcmp(operation->name, name))
                return operation;
    return NULL;
}

static void run_line(struct server *server, const char *line, size_t length)
{
    struct err err;
    cJSON *request = json_parse(line, length, &err);
    if (!request || !cJSON_IsObject(request)) {
        answer_error(server, NULL, request ? "not a JSON object" : err.text);
        end_soon(server, 1);
        cJSON_Delete(request);
        return;
    }
    const struct server_operation *operation = find_operation(json_get_text(request, "op", ""));
    if (operation)
        operation->run(server, request);
    else
        answer_error(server, request, "this helper does not know the operation");
    cJSON_Delete(request);
}

/* Input */

static void run_lines(struct server *server)
{
    size_t at = 0;
    bool whole = true;
    while (!server->ending && at < server->lines.length && server->answers.length <= OUTPUT_MAX) {
        const char *line = server->lines.data + at, *end = memchr(line + server->searched, '\n', server->lines.length - at - server->searched);
        whole = end != NULL;
        server->searched = whole ? 0 : server->lines.length - at;
        if (!whole)
            break;
        if (end > line)
            run_line(server, line, (size_t)(end - line));
        at = (size_t)(end - server->lines.data) + 1;
    }
    buf_drop(&server->lines, at);
    if (!server->ending && !whole && server->lines.length > LINE_MAX_BYTES) {
        answer_error(server, NULL, "a line of more than 32 MiB");
        end_soon(server, 1);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct server *server = watcher->data;
    char bytes[READ_BYTES];
    ssize_t length = read(server->input, bytes, sizeof bytes);
    if (length < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (length <= 0) {
        end_soon(server, length < 0);
        return;
    }
    buf_add(&server->lines, bytes, (size_t)length);
    run_lines(server);
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    stop(timer->data, 1);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    stop(watcher->data, 0);
}

static void start_loop(struct server *server)
{
    static const int ended_by[] = {SIGTERM, SIGHUP, SIGINT};
    ev_io_init(&server->readable, on_readable, server->input, EV_READ);
    ev_io_init(&server->writable, on_writable, server->output, EV_WRITE);
    ev_timer_init(&server->end, on_end, farewell, 0.);
    ev_init(&server->watch.timer, on_timer);
    ev_init(&server->watch.early, on_timer);
    ev_init(&server->watch.notices, on_notice);
    server->readable.data = server->writable.data = server->end.data = server;
    server->watch.timer.data = server->watch.early.data = server->watch.notices.data = server;
    for (size_t i = 0; i < COUNT_OF(ended_by); i++) {
        ev_signal_init(&server->signals[i], on_signal, ended_by[i]);
        server->signals[i].data = server;
        ev_signal_start(server->loop, &server->signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    ev_io_start(server->loop, &server->readable);
}

/* A helper that is used stays young: the bootstrap of another version removes those that nobody has started for a week. */
static void refresh_program(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return;
    path[length] = '\0';
    const char *name = strrchr(path, '/');
    if (name && strncmp(name, "/wgdeck-", 8) == 0 && strlen(name + 8) == 64 && strspn(name + 8, "0123456789abcdef") == 64)
        utimensat(AT_FDCWD, path, NULL, 0);
}

int node_serve(int input, int output)
{
    struct server server = {.input = input, .output = output, .output_flags = fcntl(output, F_GETFL)};
    struct err err;
    server.observer = node_observer_new("", &err);
    server.loop = ev_loop_new(EVFLAG_AUTO);
    if (!server.observer || !server.loop)
        return 1;
    refresh_program();
    if (server.output_flags >= 0)
        fcntl(output, F_SETFL, server.output_flags | O_NONBLOCK);
    start_loop(&server);
    ev_run(server.loop, 0);
    if (server.output_flags >= 0)
        fcntl(output, F_SETFL, server.output_flags);
    end_watch(&server);
    serve_links_end(server.links);
    change_session_end(server.change);
    ev_loop_destroy(server.loop);
    node_observer_free(server.observer);
    buf_free(&server.lines);
    buf_free(&server.answers);
    return server.status;
}
