/* The libssh transport: a session on our own socket, stepped whenever that is ready. libssh is never allowed to wait. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libssh/server.h>

#include "libssh_link.h"
#include "wgdeck/mem.h"

enum {
    ROUNDS = 32,       /* reads of one turn: 128 KiB, then the other sessions */
    READ_SIZE = 4096,  /* what libssh reads at once */
};

/* aes128-gcm first: with AES instructions it is the cheapest (README.md has figures). */
static const char ciphers[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

static void step(struct link *link);

struct ev_loop *link_loop(const struct link *link)
{
    return link->transport.session->fanout->loop;
}

void link_wake(struct link *link)
{
    if (!link->with_worker)
        ev_feed_event(link_loop(link), &link->io, EV_CUSTOM);
}

/* libssh closes the descriptor when the server says goodbye; its number may be another's a moment later. */
static bool socket_is_closed(const struct link *link)
{
    return !link->with_worker && link->has_socket && ssh_get_fd(link->ssh) != link->lent;
}

void link_watch(struct link *link)
{
    if (socket_is_closed(link) || link->with_worker || link->paused || link->stage == STAGE_OVER || link->stage == STAGE_HOST_KEY) {
        ev_io_stop(link_loop(link), &link->io);
        return;
    }
    int flags = ssh_get_poll_flags(link->ssh);
    int wanted = EV_READ | (flags & SSH_WRITE_PENDING ? EV_WRITE : 0);
    if (ev_is_active(&link->io) && link->io.events == wanted)
        return;
    ev_io_stop(link_loop(link), &link->io);
    ev_io_modify(&link->io, wanted);
    ev_io_start(link_loop(link), &link->io);
}

void link_lost(struct link *link, const char *what)
{
    struct fanout_session *session = link->transport.session;
    const char *error = ssh_get_error(link->ssh);
    if (!strncmp(error, "Socket error: ", 14))
        error += 14;
    if (!strcmp(error, "disconnected"))
        error = "the server closed the connection";
    link->stage = STAGE_OVER;
    session_failed(session, FAILURE_LOST, true, "%s %s: %s", what, session_where(session), *error ? error : "the connection is gone");
}

static void set_options(struct link *link)
{
    struct fanout_session *session = link->transport.session;
    ssh_session ssh = link->ssh;
    bool no = false;
    int yes = 1;
    char *algorithms = host_key_algorithms(session->known, session->pinned);
    ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no); /* ssh -G has spoken (trap 11) */
    /* Names are ours to resolve and users' names go into each login request (traps 6 and 13); known_hosts is not libssh's (trap 7). */
    ssh_options_set(ssh, SSH_OPTIONS_HOST, "host");
    ssh_options_set(ssh, SSH_OPTIONS_USER, "user");
    ssh_options_set(ssh, SSH_OPTIONS_SSH_DIR, "/");
    ssh_options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(ssh, SSH_OPTIONS_FD, &link->lent);
    ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &yes);
    ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_C_S, ciphers);
    ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_S_C, ciphers);
    ssh_options_set(ssh, SSH_OPTIONS_COMPRESSION, "no");
    ssh_options_set(ssh, SSH_OPTIONS_HOSTKEYS, algorithms);
    free(algorithms);
}

static void ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop, (void)events;
    struct link *link = watcher->data;
    if (!link->with_worker && link->stage != STAGE_OVER)
        step(link);
}

static struct transport *start(struct fanout_session *session, int descriptor)
{
    struct link *link = mem_alloc(1, sizeof *link);
    link->transport = (struct transport){.ops = &transport_libssh, .session = session};
    link->descriptor = descriptor;
    link->lent = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    LIST_INIT(&link->pipes);
    link->ssh = ssh_new();
    if (!link->ssh)
        abort(); /* no memory */
    set_options(link);
    ssh_set_blocking(link->ssh, 0);
    ssh_set_counters(link->ssh, &link->counter, NULL);
    ev_io_init(&link->io, ready, descriptor, EV_READ);
    link->io.data = link;
    link_wake(link);
    return &link->transport;
}

/* Trap 2: libssh makes the socket blocking when it takes it as connected. */
static void stay_nonblocking(const struct link *link)
{
    int flags = fcntl(link->descriptor, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(link->descriptor, F_SETFL, flags | O_NONBLOCK);
}

static void begin_login(struct link *link)
{
    link->stage = STAGE_LOGIN;
    link->login = login_new(link);
    session_entered(link->transport.session, PHASE_LOGIN);
}

static const char *key_type_name(ssh_key key)
{
    enum ssh_keytypes_e type = ssh_key_type(key);
    const char *curve = type == SSH_KEYTYPE_ECDSA_P256 || type == SSH_KEYTYPE_ECDSA_P384 || type == SSH_KEYTYPE_ECDSA_P521 ||
                        type == SSH_KEYTYPE_ECDSA ? ssh_pki_key_ecdsa_name(key) : NULL;
    return curve ? curve : ssh_key_type_to_char(type);
}

static void check_host_key(struct link *link)
{
    ssh_key key = NULL;
    char *base64 = NULL;
    if (ssh_get_server_publickey(link->ssh, &key) != SSH_OK || ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) {
        ssh_key_free(key);
        session_failed(link->transport.session, FAILURE_PROTOCOL, false, "key exchange with %s: it has shown no usable host key",
                       session_where(link->transport.session));
        link->stage = STAGE_OVER;
        return;
    }
    link->stage = STAGE_HOST_KEY;
    enum host_key_decision decision = session_host_key(link->transport.session, key_type_name(key), base64);
    ssh_string_free_char(base64);
    ssh_key_free(key);
    if (decision == HOST_KEY_TRUSTED)
        begin_login(link);
    else if (decision == HOST_KEY_REFUSED)
        link->stage = STAGE_OVER;
}

static void exchange_failed(struct link *link)
{
    struct fanout_session *session = link->transport.session;
    const char *error = ssh_get_error(link->ssh);
    if (strstr(error, "no match for method") || strstr(error, "did not agree")) {
        session_needs_spawn(session, error);
        session_failed(session, FAILURE_PROTOCOL, false, "key exchange with %s: no common method: %s", session_where(session), error);
    } else if (!strncmp(error, "Socket error", 12) || !*error) {
        link_lost(link, "key exchange with");
    } else {
        session_failed(session, FAILURE_PROTOCOL, false, "key exchange with %s: %s", session_where(session), error);
    }
    link->stage = STAGE_OVER;
}

static void step_exchange(struct link *link)
{
    if (link->lent < 0) {
        session_failed(link->transport.session, FAILURE_NETWORK, true, "connect to %s: too many open files", session_where(link->transport.session));
        link->stage = STAGE_OVER;
        return;
    }
    link->in_library = link->has_socket = true;
    int result = ssh_connect(link->ssh);
    link->in_library = false;
    stay_nonblocking(link);
    if (result == SSH_OK)
        check_host_key(link);
    else if (result != SSH_AGAIN)
        exchange_failed(link);
}

static void step_login(struct link *link)
{
    switch (login_step(link->login)) {
    case LOGIN_DONE:
        login_free(link->login);
        link->login = NULL;
        link->event = ssh_event_new();
        if (!link->event || ssh_event_add_session(link->event, link->ssh) != SSH_OK)
            abort(); /* no memory */
        stay_nonblocking(link);
        link->stage = STAGE_OPEN;
        session_entered(link->transport.session, PHASE_OPEN);
        break;
    case LOGIN_FAILED:
        link->stage = STAGE_OVER;
        break;
    case LOGIN_WAITING:
        link->paused = true;
        break;
    default:
        break;
    }
}

/* One more read is only worth its two system calls when the last one was full. */
static bool pump(struct link *link)
{
    int result = SSH_OK;
    link->in_library = true;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t before = link->counter.in_bytes;
        result = ssh_event_dopoll(link->event, 0);
        if (result == SSH_ERROR || result == SSH_AGAIN || link->counter.in_bytes - before < READ_SIZE)
            break;
    }
    link->in_library = false;
    if (link->counter.in_bytes != link->seen_bytes)
        session_heard(link->transport.session);
    link->seen_bytes = link->counter.in_bytes;
    return result != SSH_ERROR && ssh_is_connected(link->ssh);
}

static void step_open(struct link *link)
{
    bool alive = pump(link);
    pipes_step(link);
    if (!alive && link->stage == STAGE_OPEN)
        link_lost(link, "connection lost to");
}

static void step(struct link *link)
{
    link->paused = false;
    switch (link->stage) {
    case STAGE_KEY_EXCHANGE: step_exchange(link); break;
    case STAGE_LOGIN: break;
    case STAGE_OPEN: step_open(link); break;
    default: break;
    }
    if (link->stage == STAGE_LOGIN && !link->with_worker)
        step_login(link);
    /* Some calls say "again" although the server has gone meanwhile: nothing would ever wake us. */
    if (socket_is_closed(link) && link->stage == STAGE_LOGIN)
        login_lost(link->login);
    else if (socket_is_closed(link) && link->stage != STAGE_OVER)
        link_lost(link, "connection lost to");
    link_watch(link);
}

static void trust(struct transport *transport)
{
    struct link *link = (struct link *)transport;
    begin_login(link);
    link_wake(link);
}

static void answer(struct transport *transport, const char *text)
{
    struct link *link = (struct link *)transport;
    if (link->login)
        login_answer(link->login, text);
    link_wake(link);
}

static void keepalive(struct transport *transport)
{
    struct link *link = (struct link *)transport;
    if (link->stage != STAGE_OPEN || link->with_worker)
        return;
    /* The first call may only take note of the answer to the last one. */
    link->in_library = true;
    ssh_send_keepalive(link->ssh);
    ssh_send_keepalive(link->ssh);
    link->in_library = false;
    link_wake(link);
}

/* Another trap: ssh_disconnect leaves a socket open that was given to it (SSH_OPTIONS_FD), and forgets its number. When the server has said
 * goodbye, or the socket failed, libssh has closed it before. */
void link_release(ssh_session ssh, int lent, bool given)
{
    bool open = lent >= 0 && (!given || ssh_get_fd(ssh) == lent);
    ssh_disconnect(ssh);
    ssh_free(ssh);
    if (open)
        close(lent);
}

static void stop(struct transport *transport)
{
    struct link *link = (struct link *)transport;
    struct ev_loop *loop = link_loop(link);
    ev_io_stop(loop, &link->io);
    ev_clear_pending(loop, &link->io);
    link->stage = STAGE_OVER;
    pipes_free(link);
    bool ours = login_free(link->login);
    if (link->event)
        ssh_event_free(link->event);
    if (ours)
        link_release(link->ssh, link->lent, link->has_socket);
    close(link->descriptor);
    free(link);
}

const struct transport_ops transport_libssh = {
    .name = "libssh", .start = start, .trust = trust, .answer = answer, .exec = pipe_exec, .forward = pipe_forward, .write = pipe_write,
    .write_end = pipe_write_end, .close = pipe_close, .keepalive = keepalive, .stop = stop,
};
