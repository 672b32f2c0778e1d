/* The libssh transport's inside: one connection (transport_libssh.c), its login (libssh_login.c), its channels (libssh_channel.c). */
#ifndef WGDECK_SSH_LIBSSH_LINK_H
#define WGDECK_SSH_LIBSSH_LINK_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <sys/queue.h>

#include "session.h"

enum link_stage { STAGE_KEY_EXCHANGE, STAGE_HOST_KEY, STAGE_LOGIN, STAGE_OPEN, STAGE_OVER };

enum pipe_state { PIPE_NEW, PIPE_OPENING, PIPE_STARTING, PIPE_RUNNING, PIPE_ENDED };

/* A channel, for a command or a forward. */
struct pipe {
    struct channel channel; /* first; request is NULL when nobody listens any more, and for a forward */
    LIST_ENTRY(pipe) entry;
    struct link *link;
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks; /* outlives the libssh channel (trap 9) */
    enum pipe_state state;
    char *command;
    int exit_status;        /* -1: none came */
    char *signal;
    bool closed;            /* the server closed it */
    bool told;              /* request_ended was called */
    bool orphan;            /* closed by us before it was open: freed when it is */
    bool wants_write, wants_end, sent_end;

    /* A forward: host, port and our end of the socket pair. */
    char *host;
    unsigned port;
    struct fanout_session *behind; /* waits for it to open; NULL then, or when it gave up */
    int descriptor;
    struct ev_io io;
    struct buf to_socket;   /* from the server, not yet taken by the socket */
    bool server_ended, socket_ended;
};
LIST_HEAD(pipe_list, pipe);

struct link {
    struct transport transport; /* first */
    ssh_session ssh;
    ssh_event event;            /* one for each session: two in one and both fail together (trap 1) */
    struct ssh_counter_struct counter;
    uint64_t seen_bytes;
    int descriptor;             /* ours, watched and closed on the loop's thread alone */
    int lent;                   /* a second one of the same socket: libssh's, which closes it when it likes, also in a worker */
    struct ev_io io;
    enum link_stage stage;
    bool has_socket;            /* libssh has the one lent, and may have closed it */
    bool paused;                /* the login waits for something else than the server */
    bool in_library;            /* inside a libssh call: nothing of libssh may be called now */
    bool with_worker;           /* a worker thread has the session: nobody else may touch it */
    struct login *login;
    struct pipe_list pipes;
};

struct ev_loop *link_loop(const struct link *link);
void link_wake(struct link *link);  /* step soon, on the loop */
void link_watch(struct link *link); /* for what libssh waits for now (it changes with every call) */
void link_release(ssh_session ssh, int lent, bool given); /* frees both; GIVEN: libssh has the descriptor. Any thread */
void link_lost(struct link *link, const char *what);

/* libssh_login.c */
enum login_result { LOGIN_AGAIN, LOGIN_WAITING, LOGIN_DONE, LOGIN_FAILED };
struct login *login_new(struct link *link);
enum login_result login_step(struct login *login); /* FAILED: the session has been told */
enum login_result login_lost(struct login *login); /* the connection has gone: tells why, FAILED */
void login_answer(struct login *login, const char *text);
bool login_free(struct login *login); /* false: a worker has the libssh session, and frees it */

/* libssh_channel.c */
struct channel *pipe_exec(struct transport *transport, struct fanout_request *request, const char *command);
struct channel *pipe_forward(struct transport *transport, struct fanout_session *behind, const char *host, unsigned port, int descriptor);
size_t pipe_write(struct channel *channel, const void *bytes, size_t length);
void pipe_write_end(struct channel *channel);
void pipe_close(struct channel *channel);
void pipes_step(struct link *link);   /* go on with each after libssh was at work */
void pipes_free(struct link *link);

#endif
