/* The control thread: what happens outside of the data path, in portions, so that neither a flood of handshakes nor a slow client keeps anything else waiting. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ev.h>

#include "control.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

#define LOOK_INTERVAL 1.0    /* seconds: the device, where no message tells of it */
#define RECLAIM_SOON 0.05
enum { EVENTS_A_TURN = 64, MANY_ROWS = 4096 };

struct loop {
    struct engine *engine;
    struct uapi_place *place;
    struct uapi_server *server;
    struct ev_loop *events;
    ev_io kick, wheel, links, file, signals, tun;
    ev_timer look, reclaim;
    struct peer *pending;       /* taken from the inbox, not served yet */
    int64_t armed;              /* what the wheel's timer is set to */
    size_t most_rows;           /* of the trie, since memory was last given back */
    bool ends, port_refused;
};

static void end(struct loop *loop, const char *why)
{
    if (!loop->ends)
        log_verbose("%s: the engine ends: %s", loop->engine->tun.name, why);
    loop->ends = true;
}

/* --- the device */

static void look_at_mtu(struct engine *engine)
{
    int mtu = tun_mtu(&engine->tun);
    if (mtu == atomic_load(&engine->mtu) || mtu <= 0)
        return;
    atomic_store(&engine->mtu, mtu);
    tun_fit(&engine->tun, mtu);
}

/* A port that is taken when the interface comes up is tried again each second. */
static void bring_up(struct loop *loop)
{
    struct err err;
    bool refused = interface_up(loop->engine, &err) != 0;
    if (refused && !loop->port_refused)
        log_error("%s is up, but nothing can be sent or received: %s", loop->engine->tun.name, err.text);
    loop->port_refused = refused;
}

static void look(struct loop *loop)
{
    enum tun_state state = tun_state(&loop->engine->tun);
    if (state == TUN_GONE) {
        end(loop, "its interface is gone");
        return;
    }
    if (state == TUN_UP && !interface_is_up(loop->engine))
        bring_up(loop);
    else if (state == TUN_DOWN)
        interface_down(loop->engine);
    if (state == TUN_DOWN)
        ev_io_start(loop->events, &loop->tun); /* it becomes writable when it is up */
    else
        ev_io_stop(loop->events, &loop->tun);
    look_at_mtu(loop->engine);
}

/* --- watchers */

static void drain(int descriptor)
{
    char bytes[8192];
    while (read(descriptor, bytes, sizeof bytes) > 0) {}
}

static void on_drain(struct ev_loop *events, ev_io *io, int what)
{
    (void)events;
    (void)what;
    drain(io->fd);
}

static void on_links(struct ev_loop *events, ev_io *io, int what)
{
    on_drain(events, io, what);
    look(io->data);
}

static void on_tun(struct ev_loop *events, ev_io *io, int what)
{
    (void)events;
    (void)what;
    look(io->data);
}

/* Free small pieces stay with the process until it is told; that pays only where many rows have gone. */
static void give_memory_back(struct loop *loop)
{
    const size_t rows = loop->engine->trie.nodes;
    if (loop->most_rows < MANY_ROWS || rows > loop->most_rows / 2)
        return;
    malloc_trim(0);
    loop->most_rows = rows;
}

static void on_look(struct ev_loop *events, ev_timer *timer, int what)
{
    (void)events;
    (void)what;
    look(timer->data);
    give_memory_back(timer->data);
}

static void on_reclaim(struct ev_loop *events, ev_timer *timer, int what)
{
    (void)events;
    (void)timer;
    (void)what; /* the turn that follows does it */
}

static void on_file(struct ev_loop *events, ev_io *io, int what)
{
    struct loop *loop = io->data;
    on_drain(events, io, what);
    if (!uapi_place_stands(loop->place))
        end(loop, "its control socket was removed");
}

static void on_signal(struct ev_loop *events, ev_io *io, int what)
{
    on_drain(events, io, what);
    end(io->data, "it was told to by a signal");
}

static int watch(struct loop *loop, ev_io *io, int descriptor, void (*called)(struct ev_loop *, ev_io *, int), const char *what, struct err *err)
{
    if (descriptor < 0)
        return err_set(err, "%s: %s", what, strerror(errno));
    ev_io_init(io, called, descriptor, EV_READ);
    io->data = loop;
    ev_io_start(loop->events, io);
    return 0;
}

static int open_links(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (descriptor >= 0 && bind(descriptor, (const struct sockaddr *)&address, sizeof address)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* The folder is watched: the file may be renamed over as well as removed. */
static int open_file_watch(const struct uapi_place *place)
{
    char folder[sizeof place->path];
    int descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor < 0 || !place->path[0])
        return descriptor;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(place->path, '/') - place->path), place->path);
    if (inotify_add_watch(descriptor, folder[0] ? folder : "/", IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

struct loop *loop_new(struct engine *engine, struct uapi_place *place, struct err *err)
{
    struct loop *loop = mem_alloc(1, sizeof *loop);
    loop->engine = engine;
    loop->place = place;
    loop->armed = INT64_MAX;
    loop->events = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOINOTIFY | EVFLAG_NOTIMERFD);
    if (!loop->events) {
        err_set(err, "epoll: %s", strerror(errno));
        free(loop);
        return NULL;
    }
    engine->control_kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch(loop, &loop->kick, engine->control_kick, on_drain, "eventfd", err) ||
        watch(loop, &loop->wheel, timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC), on_drain, "timerfd", err) ||
        watch(loop, &loop->links, open_links(), on_links, "netlink", err) ||
        watch(loop, &loop->file, open_file_watch(place), on_file, "inotify", err) ||
        watch(loop, &loop->signals, open_signals(), on_signal, "signalfd", err)) {
        loop_free(loop);
        return NULL;
    }
    ev_io_init(&loop->tun, on_tun, engine->tun.descriptors[0], EV_WRITE);
    ev_timer_init(&loop->look, on_look, LOOK_INTERVAL, LOOK_INTERVAL);
    ev_timer_init(&loop->reclaim, on_reclaim, RECLAIM_SOON, 0.);
    loop->tun.data = loop->look.data = loop;
    ev_timer_start(loop->events, &loop->look);
    loop->server = uapi_server_new(loop->events, engine, place->listening);
    return loop;
}

void loop_free(struct loop *loop)
{
    ev_io *const watchers[] = {&loop->kick, &loop->wheel, &loop->links, &loop->file, &loop->signals};
    for (struct peer *peer = loop->pending; peer; peer = peer->inbox_next)
        atomic_store(&peer->events, 0);
    uapi_server_free(loop->server);
    loop->engine->control_kick = -1;
    for (size_t i = 0; i < COUNT_OF(watchers); i++) {
        if (!watchers[i]->data)
            continue;
        ev_io_stop(loop->events, watchers[i]);
        close(watchers[i]->fd);
    }
    ev_loop_destroy(loop->events);
    free(loop);
}

/* --- a turn */

/* Some of what data threads have posted. True: more waits. */
static bool serve_events(struct loop *loop)
{
    if (!loop->pending)
        loop->pending = engine_inbox_take(loop->engine);
    int64_t now = clock_steady();
    for (unsigned i = 0; i < EVENTS_A_TURN && loop->pending; i++) {
        struct peer *peer = loop->pending;
        loop->pending = peer->inbox_next;
        protocol_event(loop->engine, peer, atomic_exchange(&peer->events, 0), now);
    }
    return loop->pending != NULL;
}

static bool handshakes_wait(struct handshake_queue *queue)
{
    spin_lock(&queue->lock);
    bool waits = queue->count > 0;
    spin_unlock(&queue->lock);
    return waits;
}

static void arm_wheel(struct loop *loop)
{
    int64_t next = timers_next(loop->engine);
    if (next == loop->armed)
        return;
    loop->armed = next;
    struct itimerspec when = {0};
    if (next != INT64_MAX) {
        int64_t at = next > 0 ? next : 1; /* zero would disarm it */
        when.it_value = (struct timespec){.tv_sec = at / CLOCK_SECOND, .tv_nsec = at % CLOCK_SECOND};
    }
    if (timerfd_settime(loop->wheel.fd, TFD_TIMER_ABSTIME, &when, NULL))
        log_error("timerfd: %s", strerror(errno));
}

/* True: more is to be done at once. */
static bool turn(struct loop *loop)
{
    struct engine *engine = loop->engine;
    bool more = protocol_turn(engine, clock_steady());
    more |= serve_events(loop);
    int64_t now = clock_steady();
    if (timers_next(engine) <= now)
        timers_run(engine, now);
    if (loop->armed <= now)
        loop->armed = INT64_MAX; /* it has gone off */
    if (epoch_reclaim(&engine->epoch) && !ev_is_active(&loop->reclaim)) {
        ev_timer_set(&loop->reclaim, RECLAIM_SOON, 0.);
        ev_timer_start(loop->events, &loop->reclaim);
    }
    if (engine->trie.nodes > loop->most_rows)
        loop->most_rows = engine->trie.nodes;
    arm_wheel(loop);
    return more;
}

/* The last look before sleeping: from now on who posts something wakes this thread. */
static bool may_sleep(struct loop *loop)
{
    struct engine *engine = loop->engine;
    atomic_store(&engine->control_awake, false);
    if (!atomic_load(&engine->inbox) && !handshakes_wait(engine->handshakes))
        return true;
    atomic_store(&engine->control_awake, true);
    return false;
}

void loop_run(struct loop *loop)
{
    look(loop);
    while (!loop->ends) {
        bool more = turn(loop);
        ev_run(loop->events, !more && may_sleep(loop) ? EVRUN_ONCE : EVRUN_NOWAIT);
        atomic_store(&loop->engine->control_awake, true);
    }
}
