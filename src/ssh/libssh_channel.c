/* Channels of the libssh transport: commands, and forwards for jump hosts. libssh's callbacks only take notes and hand on bytes; every call
 * of libssh is made from the link's step. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libssh_link.h"
#include "wgdeck/mem.h"

enum { WRITE_MOST = 256 * 1024, FORWARD_READ = 32 * 1024, FORWARD_HELD = 256 * 1024 };

static void forward_step(struct pipe *pipe);
static void forward_received(struct pipe *pipe, const char *bytes, size_t length);

/* --- What libssh tells. */

static int data_came(ssh_session ssh, ssh_channel channel, void *data, uint32_t length, int is_stderr, void *context)
{
    (void)ssh, (void)channel;
    struct pipe *pipe = context;
    if (pipe->descriptor >= 0 || pipe->host)
        forward_received(pipe, data, length);
    else if (pipe->channel.request && !pipe->told)
        request_output(pipe->channel.request, is_stderr != 0, data, length);
    return (int)length;
}

static void eof_came(ssh_session ssh, ssh_channel channel, void *context)
{
    (void)ssh, (void)channel;
    struct pipe *pipe = context;
    pipe->server_ended = true;
}

static void close_came(ssh_session ssh, ssh_channel channel, void *context)
{
    (void)ssh, (void)channel;
    struct pipe *pipe = context;
    pipe->server_ended = pipe->closed = true;
}

static void exit_status_came(ssh_session ssh, ssh_channel channel, int status, void *context)
{
    (void)ssh, (void)channel;
    struct pipe *pipe = context;
    pipe->exit_status = status & 0xff;
}

static void exit_signal_came(ssh_session ssh, ssh_channel channel, const char *name, int core, const char *text, const char *language,
                             void *context)
{
    (void)ssh, (void)channel, (void)core, (void)text, (void)language;
    struct pipe *pipe = context;
    free(pipe->signal);
    pipe->signal = mem_text(name);
}

/* --- One channel's life. */

static struct pipe *pipe_new(struct link *link)
{
    struct pipe *pipe = mem_alloc(1, sizeof *pipe);
    pipe->channel.transport = &link->transport;
    pipe->link = link;
    pipe->exit_status = -1;
    pipe->descriptor = -1;
    pipe->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = pipe, .channel_data_function = data_came, .channel_eof_function = eof_came, .channel_close_function = close_came,
        .channel_exit_status_function = exit_status_came, .channel_exit_signal_function = exit_signal_came,
    };
    ssh_callbacks_init(&pipe->callbacks);
    LIST_INSERT_HEAD(&link->pipes, pipe, entry);
    link_wake(link);
    return pipe;
}

static void pipe_free(struct pipe *pipe)
{
    LIST_REMOVE(pipe, entry);
    if (pipe->ssh) {
        /* The channel lives on in libssh until the server closes it too, and would call back. */
        ssh_remove_channel_callbacks(pipe->ssh, &pipe->callbacks);
        ssh_channel_free(pipe->ssh);
    }
    if (pipe->descriptor >= 0) {
        ev_io_stop(link_loop(pipe->link), &pipe->io);
        close(pipe->descriptor);
    }
    buf_free(&pipe->to_socket);
    free(pipe->command);
    free(pipe->signal);
    free(pipe->host);
    free(pipe);
}

void pipes_free(struct link *link)
{
    struct pipe *pipe;
    while ((pipe = LIST_FIRST(&link->pipes)))
        pipe_free(pipe);
}

struct channel *pipe_exec(struct transport *transport, struct fanout_request *request, const char *command)
{
    struct pipe *pipe = pipe_new((struct link *)transport);
    pipe->channel.request = request;
    pipe->command = mem_text(command);
    return &pipe->channel;
}

static void tell_end(struct pipe *pipe)
{
    struct fanout_request *request = pipe->channel.request;
    pipe->state = PIPE_ENDED;
    if (!request || pipe->told)
        return;
    pipe->told = true;
    if (pipe->exit_status >= 0)
        request_ended(request, pipe->exit_status, NULL);
    else if (pipe->signal)
        request_ended(request, -1, "the command was killed by SIG%.20s", pipe->signal);
    else
        request_ended(request, -1, "the server closed the channel and gave no exit status");
}

/* "Channel opening failure: channel 73 error (2) Connection refused": the last part is the server's reason. */
static const char *reason_of(const struct pipe *pipe)
{
    const char *error = ssh_get_error(pipe->link->ssh), *number = strstr(error, "error ("), *reason = number ? strstr(number, ") ") : NULL;
    return reason ? reason + 2 : error;
}

static void refuse(struct pipe *pipe, const char *what)
{
    struct fanout_session *behind = pipe->behind;
    pipe->state = PIPE_ENDED;
    pipe->behind = NULL;
    if (behind) {
        session_forwarded(behind, reason_of(pipe));
        return;
    }
    if (!pipe->channel.request || pipe->told)
        return;
    pipe->told = true;
    request_ended(pipe->channel.request, -1, "%s: %s", what, reason_of(pipe));
}

static int open_channel(struct pipe *pipe)
{
    if (pipe->host)
        return ssh_channel_open_forward(pipe->ssh, pipe->host, (int)pipe->port, "127.0.0.1", 0);
    return ssh_channel_open_session(pipe->ssh);
}

static void opened(struct pipe *pipe)
{
    struct fanout_session *behind = pipe->behind;
    pipe->state = pipe->host ? PIPE_RUNNING : PIPE_STARTING;
    pipe->behind = NULL;
    if (behind)
        session_forwarded(behind, NULL);
}

static void step_opening(struct pipe *pipe)
{
    if (!pipe->ssh) {
        pipe->ssh = ssh_channel_new(pipe->link->ssh);
        if (!pipe->ssh) {
            refuse(pipe, "the server has no channel for the request");
            return;
        }
        ssh_add_channel_callbacks(pipe->ssh, &pipe->callbacks);
        pipe->state = PIPE_OPENING;
    }
    int result = open_channel(pipe);
    if (result == SSH_AGAIN)
        return;
    if (result != SSH_OK)
        refuse(pipe, "the server has no channel for the request");
    else
        opened(pipe);
}

static void step_starting(struct pipe *pipe)
{
    int result = ssh_channel_request_exec(pipe->ssh, pipe->command);
    if (result == SSH_AGAIN)
        return;
    if (result != SSH_OK) {
        refuse(pipe, "the server does not run the command");
        return;
    }
    pipe->state = PIPE_RUNNING;
    pipe->wants_write = true; /* what was queued before */
}

static void step_running(struct pipe *pipe)
{
    if (pipe->host) {
        forward_step(pipe);
        return;
    }
    bool room = !(ssh_get_poll_flags(pipe->link->ssh) & SSH_WRITE_PENDING);
    if (pipe->wants_write && room && pipe->channel.request && !pipe->closed) {
        pipe->wants_write = false;
        request_writable(pipe->channel.request);
    }
    if (pipe->wants_end && !pipe->sent_end && !pipe->closed && ssh_channel_send_eof(pipe->ssh) != SSH_ERROR)
        pipe->sent_end = true;
    if (pipe->closed)
        tell_end(pipe);
}

static void pipe_step(struct pipe *pipe)
{
    if (pipe->orphan && pipe->state != PIPE_OPENING) {
        pipe_free(pipe);
        return;
    }
    if (pipe->state == PIPE_NEW || pipe->state == PIPE_OPENING)
        step_opening(pipe);
    if (pipe->state == PIPE_STARTING && !pipe->orphan)
        step_starting(pipe);
    if (pipe->state == PIPE_RUNNING)
        step_running(pipe);
    bool over = pipe->state == PIPE_ENDED && (pipe->host || !pipe->channel.request);
    if (over || (pipe->orphan && pipe->state != PIPE_OPENING))
        pipe_free(pipe);
}

void pipes_step(struct link *link)
{
    struct pipe *pipe, *next;
    for (pipe = LIST_FIRST(&link->pipes); pipe; pipe = next) {
        next = LIST_NEXT(pipe, entry); /* a step frees only its own */
        pipe_step(pipe);
    }
}

size_t pipe_write(struct channel *channel, const void *bytes, size_t length)
{
    struct pipe *pipe = (struct pipe *)channel;
    struct link *link = pipe->link;
    size_t taken = 0;
    pipe->wants_write = true;
    if (pipe->state != PIPE_RUNNING || pipe->closed)
        return 0;
    if (link->in_library) {
        link_wake(link);
        return 0;
    }
    /* Not more than the socket takes: libssh would hold the rest in memory. */
    while (taken < length && taken < WRITE_MOST && !(ssh_get_poll_flags(link->ssh) & SSH_WRITE_PENDING)) {
        size_t part = length - taken < 32768 ? length - taken : 32768;
        link->in_library = true;
        int written = ssh_channel_write(pipe->ssh, (const char *)bytes + taken, (uint32_t)part);
        link->in_library = false;
        if (written <= 0)
            break;
        taken += (size_t)written;
    }
    /* request_writable is told from the step, never from inside fanout_write. When the socket or the window is full the server wakes us;
     * else it was WRITE_MOST, or all is gone. */
    if (taken && !(ssh_get_poll_flags(link->ssh) & SSH_WRITE_PENDING))
        link_wake(link);
    link_watch(link);
    return taken;
}

void pipe_write_end(struct channel *channel)
{
    struct pipe *pipe = (struct pipe *)channel;
    pipe->wants_end = true;
    link_wake(pipe->link);
}

void pipe_close(struct channel *channel)
{
    struct pipe *pipe = (struct pipe *)channel;
    struct link *link = pipe->link;
    pipe->channel.request = NULL;
    pipe->behind = NULL;
    if (pipe->state == PIPE_NEW || pipe->state == PIPE_OPENING) {
        pipe->orphan = true; /* closing a channel that the server is about to open would leave it open there */
        if (pipe->state == PIPE_OPENING)
            return;
    }
    if (pipe->state == PIPE_RUNNING && !pipe->closed && !pipe->host)
        ssh_channel_request_send_signal(pipe->ssh, "TERM"); /* else a command that neither reads nor writes goes on for ever */
    pipe_free(pipe);
    link_wake(link);
}

/* --- Forwards: bytes between the channel and our end of a socket pair. */

static void forward_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop, (void)events;
    struct pipe *pipe = watcher->data;
    if (pipe->state == PIPE_RUNNING)
        link_wake(pipe->link);
    ev_io_stop(link_loop(pipe->link), &pipe->io); /* the step starts it again when there is room */
}

struct channel *pipe_forward(struct transport *transport, struct fanout_session *behind, const char *host, unsigned port, int descriptor)
{
    struct pipe *pipe = pipe_new((struct link *)transport);
    pipe->behind = behind;
    pipe->host = mem_text(host);
    pipe->port = port;
    pipe->descriptor = descriptor;
    ev_io_init(&pipe->io, forward_ready, descriptor, EV_READ);
    pipe->io.data = pipe;
    return &pipe->channel;
}

static void to_socket(struct pipe *pipe)
{
    while (pipe->to_socket.length) {
        ssize_t written = send(pipe->descriptor, pipe->to_socket.data, pipe->to_socket.length, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            if (errno != EAGAIN) {
                pipe->socket_ended = true;
                buf_clear(&pipe->to_socket);
            }
            return;
        }
        buf_drop(&pipe->to_socket, (size_t)written);
    }
}

static void forward_received(struct pipe *pipe, const char *bytes, size_t length)
{
    if (pipe->descriptor < 0 || pipe->socket_ended)
        return;
    buf_add(&pipe->to_socket, bytes, length);
    to_socket(pipe);
    if (pipe->to_socket.length > FORWARD_HELD * 8) /* the session behind does not read: it has its own deadline, this is for memory */
        pipe->socket_ended = true;
}

static void from_socket(struct pipe *pipe)
{
    char bytes[FORWARD_READ];
    while (!pipe->socket_ended && !(ssh_get_poll_flags(pipe->link->ssh) & SSH_WRITE_PENDING)) {
        uint32_t window = ssh_channel_window_size(pipe->ssh);
        if (!window)
            return;
        ssize_t got = read(pipe->descriptor, bytes, window < sizeof bytes ? window : sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            pipe->socket_ended = true;
            return;
        }
        pipe->link->in_library = true;
        int written = ssh_channel_write(pipe->ssh, bytes, (uint32_t)got);
        pipe->link->in_library = false;
        if (written != got) /* the window was asked for: only a dead connection does this */
            pipe->socket_ended = true;
    }
}

static void forward_step(struct pipe *pipe)
{
    struct ev_loop *loop = link_loop(pipe->link);
    to_socket(pipe);
    from_socket(pipe);
    if (pipe->socket_ended || pipe->closed || (pipe->server_ended && !pipe->to_socket.length)) {
        pipe->state = PIPE_ENDED;
        return;
    }
    bool can_send = !(ssh_get_poll_flags(pipe->link->ssh) & SSH_WRITE_PENDING) && ssh_channel_window_size(pipe->ssh) > 0;
    int wanted = (can_send ? EV_READ : 0) | (pipe->to_socket.length ? EV_WRITE : 0);
    ev_io_stop(loop, &pipe->io);
    ev_io_modify(&pipe->io, wanted);
    if (wanted)
        ev_io_start(loop, &pipe->io);
}
