/* Names to sockets (dial.h), as RFC 8305 proposes: families in turn, the next attempt 250 ms after one that is silent. */
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wgdeck/mem.h"

enum { ADDRESSES_MAX = 8, ADDRESS_SIZE = 80 };
static const double NEXT_ATTEMPT = 0.25;

/* The lookup outlives the dial that asked for it when that is cancelled. */
struct lookup {
    struct worker_job job;
    struct dial *dial;
    char *host, port[8];
    int family, error, system_error;
    struct addrinfo *found;
};

struct attempt {
    struct ev_io watcher;
    struct dial *dial;
    char address[ADDRESS_SIZE];
    int descriptor; /* -1: not begun or over */
};

struct dial {
    struct ev_loop *loop;
    struct ev_timer next;
    const struct dial_events *events;
    void *context;
    char *host;
    unsigned port;
    struct lookup *lookup;        /* under way */
    struct addrinfo *found;       /* what attempts are made of */
    const struct addrinfo *order[ADDRESSES_MAX];
    struct attempt attempts[ADDRESSES_MAX];
    size_t count, begun, over;
    char why[256];                /* of the first attempt that failed */
    enum fanout_failure failure;
};

static void dial_free(struct dial *dial)
{
    ev_timer_stop(dial->loop, &dial->next);
    for (size_t i = 0; i < dial->count; i++) {
        if (dial->attempts[i].descriptor < 0)
            continue;
        ev_io_stop(dial->loop, &dial->attempts[i].watcher);
        close(dial->attempts[i].descriptor);
    }
    if (dial->lookup)
        worker_abandon(&dial->lookup->job);
    if (dial->found)
        freeaddrinfo(dial->found);
    free(dial->host);
    free(dial);
}

static void over(struct dial *dial, enum fanout_failure failure, bool passing, const char *why)
{
    char *text = mem_text(why);
    const struct dial_events *events = dial->events;
    void *context = dial->context;
    dial_free(dial);
    events->failed(context, failure, passing, text);
    free(text);
}

static void begin_next(struct dial *dial);

static enum fanout_failure failure_of(int error)
{
    return error == ECONNREFUSED ? FAILURE_REFUSED : error == ETIMEDOUT ? FAILURE_TIMEOUT : FAILURE_NETWORK;
}

static void attempt_failed(struct attempt *attempt, int error)
{
    struct dial *dial = attempt->dial;
    if (attempt->descriptor >= 0) {
        ev_io_stop(dial->loop, &attempt->watcher);
        close(attempt->descriptor);
        attempt->descriptor = -1;
    }
    dial->over++;
    if (!dial->why[0] || (dial->failure == FAILURE_NETWORK && failure_of(error) != FAILURE_NETWORK)) {
        bool v6 = strchr(attempt->address, ':') != NULL;
        snprintf(dial->why, sizeof dial->why, "connect to %s%s%s:%u: %s", v6 ? "[" : "", attempt->address, v6 ? "]" : "", dial->port,
                 strerror(error));
        dial->failure = failure_of(error);
    }
    if (dial->over == dial->count)
        over(dial, dial->failure, false, dial->why);
    else if (dial->begun < dial->count)
        begin_next(dial);
}

static void attempt_won(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;
    int descriptor = attempt->descriptor, on = 1;
    ev_io_stop(dial->loop, &attempt->watcher);
    attempt->descriptor = -1;
    /* Trap 3: with Nagle's delay a login takes 107 ms instead of 19. libssh's own option does nothing for a socket given to it. */
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char address[ADDRESS_SIZE];
    memcpy(address, attempt->address, sizeof address);
    const struct dial_events *events = dial->events;
    void *context = dial->context;
    dial_free(dial);
    events->connected(context, descriptor, address);
}

static void attempt_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop, (void)events;
    struct attempt *attempt = watcher->data;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(attempt->descriptor, SOL_SOCKET, SO_ERROR, &error, &size))
        error = errno;
    if (error)
        attempt_failed(attempt, error);
    else
        attempt_won(attempt);
}

static void begin_next(struct dial *dial)
{
    struct attempt *attempt = &dial->attempts[dial->begun];
    const struct addrinfo *to = dial->order[dial->begun++];
    ev_timer_stop(dial->loop, &dial->next);
    if (getnameinfo(to->ai_addr, to->ai_addrlen, attempt->address, sizeof attempt->address, NULL, 0, NI_NUMERICHOST))
        snprintf(attempt->address, sizeof attempt->address, "?");
    attempt->descriptor = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (attempt->descriptor < 0 || (connect(attempt->descriptor, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)) {
        attempt_failed(attempt, errno);
        return;
    }
    ev_io_init(&attempt->watcher, attempt_ready, attempt->descriptor, EV_WRITE);
    attempt->watcher.data = attempt;
    ev_io_start(dial->loop, &attempt->watcher);
    if (dial->begun < dial->count) {
        ev_timer_set(&dial->next, NEXT_ATTEMPT, 0);
        ev_timer_start(dial->loop, &dial->next);
    }
}

/* The resolver's order is kept (RFC 6724 sorted it), but the families take turns. */
static void put_in_order(struct dial *dial)
{
    const struct addrinfo *cursor[2] = {dial->found, dial->found};
    int family[2] = {dial->found->ai_family, dial->found->ai_family == AF_INET6 ? AF_INET : AF_INET6};
    for (int turn = 0; dial->count < ADDRESSES_MAX && (cursor[0] || cursor[1]); turn ^= 1) {
        while (cursor[turn] && cursor[turn]->ai_family != family[turn])
            cursor[turn] = cursor[turn]->ai_next;
        if (!cursor[turn])
            continue;
        dial->attempts[dial->count].dial = dial;
        dial->attempts[dial->count].descriptor = -1;
        dial->order[dial->count++] = cursor[turn];
        cursor[turn] = cursor[turn]->ai_next;
    }
}

static void lookup_over(struct dial *dial, int error, int system_error, struct addrinfo *found)
{
    dial->found = found;
    if (error || !found) {
        char why[256];
        snprintf(why, sizeof why, "resolve %s: %s", dial->host,
                 error == EAI_SYSTEM ? strerror(system_error) : error ? gai_strerror(error) : "no address");
        over(dial, FAILURE_RESOLVE, error == EAI_AGAIN, why);
        return;
    }
    put_in_order(dial);
    if (!dial->count) {
        over(dial, FAILURE_RESOLVE, false, "resolve: only addresses of unknown kinds");
        return;
    }
    dial->events->resolved(dial->context);
    begin_next(dial);
}

static void timer_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dial *dial = timer->data;
    if (dial->begun < dial->count) {
        begin_next(dial);
        return;
    }
    /* The first turn after dial_start, for an address that needs no lookup. */
    struct addrinfo *found = dial->found;
    dial->found = NULL;
    lookup_over(dial, 0, 0, found);
}

static struct addrinfo hints(int family, int flags)
{
    return (struct addrinfo){.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
}

static void lookup_free(struct lookup *lookup)
{
    free(lookup->host);
    free(lookup);
}

static void lookup_work(struct worker_job *job)
{
    struct lookup *lookup = (struct lookup *)job;
    struct addrinfo wanted = hints(lookup->family, 0);
    lookup->error = getaddrinfo(lookup->host, lookup->port, &wanted, &lookup->found);
    lookup->system_error = errno;
}

static void lookup_done(struct worker_job *job)
{
    struct lookup *lookup = (struct lookup *)job;
    lookup->dial->lookup = NULL;
    lookup_over(lookup->dial, lookup->error, lookup->system_error, lookup->found);
    lookup_free(lookup);
}

static void lookup_drop(struct worker_job *job)
{
    struct lookup *lookup = (struct lookup *)job;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    lookup_free(lookup);
}

struct dial *dial_start(struct ev_loop *loop, struct worker_pool *pool, const char *host, unsigned port, int family,
                        const struct dial_events *events, void *context)
{
    struct dial *dial = mem_alloc(1, sizeof *dial);
    dial->loop = loop;
    dial->events = events;
    dial->context = context;
    dial->host = mem_text(host);
    dial->port = port;
    ev_timer_init(&dial->next, timer_fired, 0, 0);
    dial->next.data = dial;
    char service[8];
    snprintf(service, sizeof service, "%u", port % 65536);
    struct addrinfo wanted = hints(family, AI_NUMERICHOST);
    if (!getaddrinfo(host, service, &wanted, &dial->found)) {
        ev_timer_start(loop, &dial->next);
        return dial;
    }
    dial->found = NULL;
    struct lookup *lookup = dial->lookup = mem_alloc(1, sizeof *lookup);
    lookup->job = (struct worker_job){.work = lookup_work, .done = lookup_done, .drop = lookup_drop};
    lookup->dial = dial;
    lookup->host = mem_text(host);
    lookup->family = family;
    memcpy(lookup->port, service, sizeof lookup->port);
    worker_run(pool, &lookup->job);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        dial_free(dial);
}

const char *dial_address(const struct dial *dial)
{
    return dial->begun ? dial->attempts[dial->begun - 1].address : NULL;
}
