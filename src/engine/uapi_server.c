/* Connections of the control socket: each a talk (uapi_talk.c) with a descriptor. None of them can make another, or the engine, wait. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uapi.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

struct connection {
    struct uapi_server *server;
    ev_io io;
    struct uapi_talk *talk; /* NULL: a free place */
    int64_t last;           /* when it last moved */
};

struct uapi_server {
    struct ev_loop *loop;
    struct engine *engine;
    ev_io listening;
    size_t budget;
    struct connection connections[UAPI_CONNECTIONS];
};

static void hang_up(struct connection *connection)
{
    ev_io_stop(connection->server->loop, &connection->io);
    close(connection->io.fd);
    uapi_talk_free(connection->talk);
    connection->talk = NULL;
}

static void wait_for(struct connection *connection, int events)
{
    struct ev_loop *loop = connection->server->loop;
    if ((connection->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(loop, &connection->io);
    ev_io_set(&connection->io, connection->io.fd, events);
    ev_io_start(loop, &connection->io);
}

/* One portion of what is pending. 1: all is written; 0: there is more; -1: nobody reads it. */
static int write_out(struct connection *connection)
{
    size_t length;
    const char *bytes = uapi_talk_pending(connection->talk, &length);
    if (!bytes)
        return 1;
    ssize_t sent = send(connection->io.fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    uapi_talk_written(connection->talk, (size_t)sent);
    return uapi_talk_pending(connection->talk, &length) ? 0 : 1;
}

/* 1: something came; 0: nothing now; -1: the end. */
static int read_in(struct connection *connection)
{
    size_t room;
    char *space = uapi_talk_space(connection->talk, &room);
    ssize_t got = room ? recv(connection->io.fd, space, room, MSG_DONTWAIT) : -1;
    if (got > 0)
        uapi_talk_read(connection->talk, (size_t)got);
    if (got < 0)
        return !room || errno == EAGAIN || errno == EINTR ? 0 : -1;
    return got > 0 ? 1 : -1;
}

/* One portion in and one out each time, so that all get their turn. */
static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = io->data;
    (void)loop;
    connection->last = clock_steady();
    if (events & EV_READ && read_in(connection) < 0) {
        hang_up(connection);
        return;
    }
    int written = write_out(connection);
    if (written < 0 || (written > 0 && uapi_talk_is_over(connection->talk)))
        hang_up(connection);
    else
        wait_for(connection, written ? EV_READ : EV_WRITE);
}

/* The one that was silent longest, or NULL. */
static struct connection *oldest_of(struct uapi_server *server)
{
    struct connection *oldest = NULL;
    for (size_t i = 0; i < UAPI_CONNECTIONS; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->talk && (!oldest || connection->last < oldest->last))
            oldest = connection;
    }
    return oldest;
}

static struct connection *take_place(struct uapi_server *server)
{
    for (size_t i = 0; i < UAPI_CONNECTIONS; i++)
        if (!server->connections[i].talk)
            return &server->connections[i];
    struct connection *oldest = oldest_of(server);
    hang_up(oldest);
    return oldest;
}

/* No descriptor is free: whoever is silent longest gives his up, and the call is taken in the next turn. */
static void make_room(struct uapi_server *server)
{
    struct connection *oldest = oldest_of(server);
    if ((errno == EMFILE || errno == ENFILE) && oldest)
        hang_up(oldest);
}

static void on_call(struct ev_loop *loop, ev_io *io, int events)
{
    struct uapi_server *server = io->data;
    int descriptor = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    (void)events;
    if (descriptor < 0) {
        make_room(server);
        return;
    }
    struct connection *connection = take_place(server);
    connection->talk = uapi_talk_new(server, server->engine, &server->budget);
    if (!connection->talk) {
        close(descriptor);
        return;
    }
    connection->last = clock_steady();
    ev_io_init(&connection->io, on_ready, descriptor, EV_READ);
    connection->io.data = connection;
    ev_io_start(loop, &connection->io);
}

struct uapi_server *uapi_server_new(struct ev_loop *loop, struct engine *engine, int listening)
{
    struct uapi_server *server = mem_alloc(1, sizeof *server);
    server->loop = loop;
    server->engine = engine;
    server->budget = UAPI_REQUEST;
    for (size_t i = 0; i < UAPI_CONNECTIONS; i++)
        server->connections[i].server = server;
    ev_io_init(&server->listening, on_call, listening, EV_READ);
    server->listening.data = server;
    ev_io_start(loop, &server->listening);
    return server;
}

void uapi_server_free(struct uapi_server *server)
{
    if (!server)
        return;
    ev_io_stop(server->loop, &server->listening);
    for (size_t i = 0; i < UAPI_CONNECTIONS; i++)
        if (server->connections[i].talk)
            hang_up(&server->connections[i]);
    free(server);
}

/* --- answers under way, when peers and rows change */

static struct uapi_cursor *cursor_of(struct uapi_server *server, size_t at)
{
    return server->connections[at].talk ? uapi_talk_cursor(server->connections[at].talk) : NULL;
}

void uapi_server_settle(struct uapi_server *server)
{
    for (size_t i = 0; server && i < UAPI_CONNECTIONS; i++)
        if (cursor_of(server, i))
            uapi_cursor_settle(cursor_of(server, i));
}

void uapi_server_peer_goes(struct uapi_server *server, const struct peer *peer)
{
    for (size_t i = 0; server && i < UAPI_CONNECTIONS; i++)
        if (cursor_of(server, i))
            uapi_cursor_peer_goes(cursor_of(server, i), peer);
}
