/* The joined node's side of the talk with its hub (control.h): says what it sees of its rows, and carries the hub's orders out. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_wire.h"
#include "join_parts.h"
#include "paths.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

static const double calm = 5, busy = 1; /* seconds between two hellos */
enum { ROWS_TOLD = 8, DATAGRAMS_A_TURN = 16, LEAVE_TRIES = 6, LEAVE_PAUSE = 500 /* ms */ };

struct control_agent {
    struct ev_loop *loop;
    char interface[IFNAMSIZ];
    struct join_trace trace;
    int socket;
    struct ev_io readable;
    struct ev_timer timer;
};

static int open_to_hub(const char *interface, const struct join_trace *trace, struct err *err)
{
    struct sockaddr_storage place;
    if (!trace->hub_address.family)
        return err_set(err, "%s: its hub is not known", interface);
    int descriptor = control_socket(interface, trace->hub_address.family, err);
    socklen_t size = control_place(&trace->hub_address, CONTROL_PORT, &place);
    if (descriptor >= 0 && control_bind_reserved(descriptor, trace->hub_address.family, err)) {
        close(descriptor);
        return -1;
    }
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&place, size)) {
        err_set(err, "%s: no way to the hub: %s", interface, strerror(errno));
        close(descriptor);
        return -1;
    }
    return descriptor;
}

/* --- hello */

static size_t add_keys(const struct control_agent *agent, const struct path_notes *notes, struct key keys[static ROWS_TOLD + 1])
{
    size_t count = 0;
    keys[count++] = agent->trace.hub_key;
    for (size_t i = 0; i < notes->count && count <= ROWS_TOLD; i++)
        keys[count++] = notes->notes[i].key;
    return count;
}

static void say_hello(struct control_agent *agent)
{
    struct path_notes notes;
    struct key keys[ROWS_TOLD + 1];
    struct err err;
    double pause = calm;
    path_notes_read(agent->interface, &notes);
    for (size_t i = 0; i < notes.count; i++)
        if (notes.notes[i].way == WAY_TRYING)
            pause = busy;
    for (size_t count = add_keys(agent, &notes, keys); count; count--) { /* fewer rows, until it fits */
        struct buf text = BUF_EMPTY;
        struct json json = json_begin(&text);
        json_object(&json, NULL);
        json_text(&json, "op", "hello");
        json_text(&json, "name", agent->trace.name);
        int result = path_look(agent->interface, keys, count, &json, &err);
        json_object_end(&json);
        bool fits = !result && text.length <= CONTROL_BYTES;
        if (fits && send(agent->socket, text.data, text.length, MSG_DONTWAIT) < 0)
            errno = 0; /* the next one will tell */
        buf_free(&text);
        if (fits || result)
            break;
    }
    path_notes_free(&notes);
    ev_timer_stop(agent->loop, &agent->timer);
    ev_timer_set(&agent->timer, pause, 0.);
    ev_timer_start(agent->loop, &agent->timer);
}

/* --- orders */

static void obey(struct control_agent *agent, cJSON *object)
{
    struct path_order order;
    const char *code;
    struct err err;
    if (strcmp(json_get_text(object, "op", ""), "path") != 0)
        return;
    cJSON_DeleteItemFromObjectCaseSensitive(object, "interface");
    cJSON_AddStringToObject(object, "interface", agent->interface);
    int result = path_order_read(object, &order, &err);
    order.by_hub = true;
    if (!result && !key_compare(&order.hub, &agent->trace.hub_key))
        (void)path_do(&order, &code, &err); /* what came of it stands in the next hello */
    say_hello(agent);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control_agent *agent = watcher->data;
    struct sockaddr_storage from;
    bool more = true;
    (void)loop, (void)events;
    for (int i = 0; i < DATAGRAMS_A_TURN && more; i++) {
        cJSON *object = control_receive(agent->socket, &from, &more);
        if (object)
            obey(agent, object);
        cJSON_Delete(object);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    say_hello(timer->data);
}

struct control_agent *control_agent_new(struct ev_loop *loop, const char *interface, struct err *err)
{
    struct control_agent *agent = mem_alloc(1, sizeof *agent);
    snprintf(agent->interface, sizeof agent->interface, "%s", interface);
    agent->loop = loop;
    agent->socket = -1;
    int result = join_trace_read(interface, &agent->trace, err);
    if (result > 0)
        result = err_set(err, "%s has not joined by an invitation", interface);
    if (!result)
        agent->socket = open_to_hub(interface, &agent->trace, err);
    if (agent->socket < 0) {
        join_trace_free(&agent->trace);
        free(agent);
        return NULL;
    }
    ev_io_init(&agent->readable, on_readable, agent->socket, EV_READ);
    ev_timer_init(&agent->timer, on_timer, 0.1, 0.);
    agent->readable.data = agent->timer.data = agent;
    ev_io_start(loop, &agent->readable);
    ev_timer_start(loop, &agent->timer);
    return agent;
}

void control_agent_free(struct control_agent *agent)
{
    if (!agent)
        return;
    ev_io_stop(agent->loop, &agent->readable);
    ev_timer_stop(agent->loop, &agent->timer);
    close(agent->socket);
    join_trace_free(&agent->trace);
    free(agent);
}

/* --- leaving */

static bool wait_for_left(int descriptor)
{
    struct pollfd poll_descriptor = {.fd = descriptor, .events = POLLIN};
    struct sockaddr_storage from;
    int64_t until = clock_steady() + LEAVE_PAUSE * CLOCK_MILLISECOND;
    bool left = false, more;
    for (int64_t now = clock_steady(); !left && now < until; now = clock_steady()) {
        if (poll(&poll_descriptor, 1, (int)((until - now) / CLOCK_MILLISECOND) + 1) <= 0)
            continue;
        cJSON *object = control_receive(descriptor, &from, &more);
        left = object && !strcmp(json_get_text(object, "op", ""), "left");
        cJSON_Delete(object);
    }
    return left;
}

int control_leave(const char *interface, struct err *err)
{
    static const char leave[] = "{\"op\":\"leave\"}";
    struct join_trace trace = {0};
    int result = join_trace_read(interface, &trace, err), descriptor = -1;
    bool left = false;
    if (result > 0)
        result = err_set(err, "%s has not joined by an invitation", interface);
    if (!result)
        descriptor = open_to_hub(interface, &trace, err);
    for (int i = 0; descriptor >= 0 && i < LEAVE_TRIES && !left; i++) {
        if (send(descriptor, leave, sizeof leave - 1, 0) < 0 && errno != ECONNREFUSED)
            break;
        left = wait_for_left(descriptor);
    }
    if (descriptor >= 0) {
        close(descriptor);
        result = left ? 0 : err_set(err, "the hub did not answer through the tunnel");
    }
    join_trace_free(&trace);
    return result || descriptor < 0 ? -1 : 0;
}
