/* What comes and goes while an engine lives: its threads, and the sockets, which are open exactly while the interface is up. Control thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control.h"
#include "wgdeck/log.h"

enum { STACK = 256 << 10 };

/* --- threads */

static int begin_thread(pthread_t *thread, void *(*body)(void *), struct worker *worker, const char *what)
{
    char name[16];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    int result = pthread_create(thread, &attributes, body, worker);
    pthread_attr_destroy(&attributes);
    if (result)
        return result;
    snprintf(name, sizeof name, "wgdeck-%s%u", what, worker->queue);
    pthread_setname_np(*thread, name);
    return 0;
}

static void kick(int descriptor)
{
    const uint64_t one = 1;
    if (write(descriptor, &one, sizeof one) < 0 && errno != EAGAIN)
        log_error("eventfd: %s", strerror(errno));
}

static void kick_all(struct engine *engine)
{
    for (unsigned i = 0; i < engine->queues; i++) {
        kick(engine->workers[i].tx_kick);
        kick(engine->workers[i].rx_kick);
    }
}

static int begin_worker(struct worker *worker, struct err *err)
{
    int error;
    worker->tx_kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->rx_kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->tx_kick < 0 || worker->rx_kick < 0)
        return err_set(err, "eventfd: %s", strerror(errno));
    if ((error = begin_thread(&worker->tx_thread, tx_thread, worker, "tx")))
        return err_set(err, "a thread: %s", strerror(error));
    worker->tx_runs = true;
    if ((error = begin_thread(&worker->rx_thread, rx_thread, worker, "rx")))
        return err_set(err, "a thread: %s", strerror(error));
    worker->rx_runs = true;
    return 0;
}

int workers_start(struct engine *engine, struct err *err)
{
    for (unsigned i = 0; i < engine->queues; i++)
        if (begin_worker(&engine->workers[i], err))
            return -1;
    return 0;
}

void workers_stop(struct engine *engine)
{
    atomic_store(&engine->stopping, true);
    for (unsigned i = 0; i < engine->queues; i++) {
        struct worker *worker = &engine->workers[i];
        if (worker->tx_runs) {
            kick(worker->tx_kick);
            pthread_join(worker->tx_thread, NULL);
        }
        if (worker->rx_runs) {
            kick(worker->rx_kick);
            pthread_join(worker->rx_thread, NULL);
        }
        worker->tx_runs = worker->rx_runs = false;
        if (worker->tx_kick >= 0)
            close(worker->tx_kick);
        if (worker->rx_kick >= 0)
            close(worker->rx_kick);
        worker->tx_kick = worker->rx_kick = -1;
    }
}

/* --- sockets */

static void close_retired(struct epoch_retired *retired)
{
    udp_close((struct udp_sockets *)(void *)((char *)retired - offsetof(struct udp_sockets, retired)));
}

/* SOCKETS (or none) take the place of those that are there; these are closed when no thread can use them. */
static void publish(struct engine *engine, struct udp_sockets *sockets)
{
    struct udp_sockets *old = atomic_exchange(&engine->sockets, sockets);
    if (sockets)
        engine->bound_port = sockets->port;
    kick_all(engine);
    if (old)
        epoch_retire(&engine->epoch, &old->retired, close_retired);
}

static struct udp_sockets *open_port(const struct engine *engine, uint16_t port, uint32_t fwmark, struct err *err)
{
    return udp_open(port, fwmark, engine->queues, engine->switch_segment, engine->switch_gro, err);
}

static void forget_sources(struct engine *engine)
{
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next)
        peer_endpoint_clear_source(peer);
}

bool interface_is_up(const struct engine *engine)
{
    return atomic_load(&engine->sockets) != NULL;
}

int interface_up(struct engine *engine, struct err *err)
{
    struct udp_sockets *sockets = NULL;
    if (!engine->listen_port && engine->bound_port)
        sockets = open_port(engine, engine->bound_port, engine->fwmark, NULL);
    if (!sockets)
        sockets = open_port(engine, engine->listen_port, engine->fwmark, err);
    if (!sockets)
        return -1;
    publish(engine, sockets);
    int64_t now = clock_steady();
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next)
        protocol_keepalive_changed(peer, now);
    log_verbose("%s is up, on UDP port %u", engine->tun.name, sockets->port);
    return 0;
}

/* All that a peer had under way; its endpoint and its counters stay. */
static void quieten(struct peer *peer, int64_t now)
{
    peer_expire(peer);
    staged_drop(peer);
    peer->handshake_started = peer->handshake_sent = 0;
    peer->handshake_tries = 0;
    atomic_store_explicit(&peer->handshake_asked, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->unanswered_since, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
    timers_peer_changed(peer, now);
}

void interface_down(struct engine *engine)
{
    int64_t now = clock_steady();
    if (!interface_is_up(engine))
        return;
    publish(engine, NULL);
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next)
        quieten(peer, now);
    log_verbose("%s is down", engine->tun.name);
}

/* --- another port or mark */

static int negative(void)
{
    return errno > 0 ? -errno : -EIO;
}

/* While the interface is down the port is only tried, so that whoever sets it hears at once that it is taken. */
static int move_to_port(struct engine *engine, uint16_t port, uint32_t fwmark)
{
    struct err err;
    errno = 0;
    if (!port && !interface_is_up(engine)) {
        engine->bound_port = 0;
        return 0;
    }
    struct udp_sockets *sockets = open_port(engine, port, fwmark, &err);
    if (!sockets) {
        int result = negative();
        log_verbose("%s", err.text);
        return result;
    }
    if (interface_is_up(engine)) {
        publish(engine, sockets);
        forget_sources(engine);
    } else {
        udp_close(sockets);
    }
    return 0;
}

static int change_mark(struct engine *engine, uint32_t fwmark)
{
    struct udp_sockets *sockets = atomic_load(&engine->sockets);
    errno = 0;
    if (sockets && udp_set_mark(sockets, fwmark)) {
        int result = negative();
        (void)udp_set_mark(sockets, engine->fwmark);
        return result;
    }
    forget_sources(engine);
    return 0;
}

int interface_configure(struct engine *engine, uint16_t port, uint32_t fwmark)
{
    const struct udp_sockets *sockets = atomic_load(&engine->sockets);
    bool moves = port != engine->listen_port && !(sockets && port == sockets->port);
    int result = 0;
    if (moves)
        result = move_to_port(engine, port, fwmark);
    else if (fwmark != engine->fwmark)
        result = change_mark(engine, fwmark);
    if (result)
        return result;
    engine->listen_port = port;
    engine->fwmark = fwmark;
    return 0;
}
