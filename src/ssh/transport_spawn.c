/* The spawned-ssh transport, for what libssh cannot do: FIDO keys, SSH CAs, GSSAPI, ProxyCommand, post-quantum key exchange. One ssh is the
 * session (a ControlMaster in a private folder: a token is touched once, not for each request); each request is a small ssh through it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "session.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

enum { ARGUMENTS_MOST = 96, PROBLEM_MOST = 8192, ROUNDS = 8, READ_SIZE = 16384 };

static const char opened_mark[] = "wgdeck:open";

struct spawned {
    struct channel channel; /* first; request is NULL when nobody listens */
    LIST_ENTRY(spawned) entry;
    struct master *master;
    struct process *process; /* NULL: it ended */
    int status;
    int ends[3];
    struct ev_io watchers[3];
    struct ev_timer soon;    /* it could not be started: told on the loop */
    struct buf problem;      /* of ssh itself, when it says 255 */
    bool wants_end;
};

struct master {
    struct transport transport; /* first */
    struct process *process;
    int ends[3];
    struct ev_io watchers[2];
    struct ev_timer soon;
    char folder[64], *socket;
    struct buf output, problem;
    bool open, over;
    char *why;
    LIST_HEAD(, spawned) requests;
};

static struct ev_loop *loop_of(const struct master *master)
{
    return master->transport.session->fanout->loop;
}

struct arguments {
    char *items[ARGUMENTS_MOST];
    size_t count;
};

static void add(struct arguments *arguments, const char *text)
{
    if (arguments->count + 1 >= ARGUMENTS_MOST)
        abort(); /* all are listed in this file */
    arguments->items[arguments->count++] = mem_text(text);
}

static void add_option(struct arguments *arguments, const char *name, const char *value)
{
    char *text = mem_format("%s=%s", name, value);
    add(arguments, "-o");
    add(arguments, text);
    free(text);
}

static void free_arguments(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->items[i]);
}

/* --- The master. */

static const struct {
    const char *said;
    enum fanout_failure failure;
    bool passing;
} sayings[] = {
    {"IDENTIFICATION HAS CHANGED", FAILURE_HOST_KEY_CHANGED, false},
    {"REVOKED HOST KEY", FAILURE_HOST_KEY_REVOKED, false},
    {"Host key verification failed", FAILURE_HOST_KEY_UNKNOWN, false},
    {"Permission denied", FAILURE_LOGIN, false},
    {"Too many authentication failures", FAILURE_LOGIN, false},
    {"Could not resolve", FAILURE_RESOLVE, false},
    {"Connection refused", FAILURE_REFUSED, false},
    {"timed out", FAILURE_TIMEOUT, false},
    {"No route to host", FAILURE_NETWORK, false},
    {"unreachable", FAILURE_NETWORK, false},
    {"Bad configuration option", FAILURE_CONFIG, false},
    {"Connection reset", FAILURE_LOST, true},
    {"Connection closed", FAILURE_LOST, true},
};

/* The line that the failure was found in: behind a jump host the last one says only that the connection was closed. */
static enum fanout_failure failure_of(const char *problem, bool *passing, char **line)
{
    *passing = false;
    *line = NULL;
    for (size_t i = 0; i < COUNT_OF(sayings); i++) {
        const char *at = strstr(problem, sayings[i].said);
        if (!at)
            continue;
        while (at > problem && !strchr("\r\n", at[-1]))
            at--;
        *passing = sayings[i].passing;
        const char *offending = strstr(problem, "Offending "); /* key, file and line: more than ssh's banner says */
        if (*at == '@' && offending)
            at = offending;
        at += strspn(at, "@ ");
        *line = mem_text_part(at, strcspn(at, "@\r\n"));
        return sayings[i].failure;
    }
    return FAILURE_PROTOCOL;
}

/* The last line that says something. */
static char *last_line(const struct buf *problem)
{
    char *text = mem_text(buf_text(problem)), *rest, *last = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        if (strspn(line, " @") < strlen(line))
            last = line;
    char *result = mem_text(last ? last : "ssh ended without a word");
    free(text);
    return result;
}

static void master_failed(struct master *master)
{
    struct fanout_session *session = master->transport.session;
    bool passing;
    char *line;
    enum fanout_failure failure = failure_of(buf_text(&master->problem), &passing, &line);
    if (!line)
        line = last_line(&master->problem);
    if (master->open)
        session_failed(session, FAILURE_LOST, true, "connection lost to %s: %s", session->label, line);
    else if (failure == FAILURE_HOST_KEY_CHANGED)
        session_failed(session, failure, false, "host key of %s: THE HOST KEY HAS CHANGED: %s", session->label, line);
    else
        session_failed(session, failure, passing, "ssh %s: %s", session->label, line);
    free(line);
}

/* What is there is read; false: the end. */
static bool drain(int descriptor, struct buf *buf, size_t most)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = read(descriptor, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN;
        if (got == 0)
            return false;
        size_t room = most - buf->length;
        buf_add(buf, bytes, (size_t)got < room ? (size_t)got : room);
    }
}

static void close_end(struct ev_loop *loop, int *end, struct ev_io *watcher)
{
    if (*end < 0)
        return;
    ev_io_stop(loop, watcher);
    close(*end);
    *end = -1;
}

static void master_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)events;
    struct master *master = watcher->data;
    int which = watcher == &master->watchers[0] ? 1 : 2;
    size_t before = master->problem.length;
    if (!drain(master->ends[which], which == 1 ? &master->output : &master->problem, PROBLEM_MOST))
        close_end(loop, &master->ends[which], watcher);
    if (which == 2 && master->problem.length > before && strstr(buf_text(&master->problem) + before, "Confirm user presence"))
        log_notice("%s: touch the security key", master->transport.session->name);
    if (!master->open && strstr(buf_text(&master->output), opened_mark)) {
        master->open = true;
        session_entered(master->transport.session, PHASE_LOGIN);
        session_entered(master->transport.session, PHASE_OPEN);
    }
}

static void master_exited(void *context, int status)
{
    (void)status;
    struct master *master = context;
    master->process = NULL;
    if (master->ends[2] >= 0)
        drain(master->ends[2], &master->problem, PROBLEM_MOST);
    master_failed(master);
}

static void master_not_started(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct master *master = timer->data;
    session_failed(master->transport.session, FAILURE_CONFIG, false, "%s", master->why);
}

/* A pinned key stands in a file of its own, under a name of its own; ssh's known_hosts are not asked then, but what they revoke stays revoked. */
static int write_pinned(struct master *master, struct arguments *arguments, struct err *err)
{
    const char *pinned = master->transport.session->pinned;
    if (!pinned)
        return 0;
    char *path = mem_format("%s/known_hosts", master->folder);
    struct buf lines = BUF_EMPTY;
    buf_add_format(&lines, "wgdeck-pinned %s\n", pinned);
    host_key_add_revoked(&lines, master->transport.session->known, "wgdeck-pinned");
    int result = file_write(path, 0600, lines.data, lines.length, err);
    add_option(arguments, "UserKnownHostsFile", path);
    add_option(arguments, "GlobalKnownHostsFile", "/dev/null");
    add_option(arguments, "HostKeyAlias", "wgdeck-pinned");
    if (master->transport.session->target->known_hosts_command) /* its keys would count beside the pinned one; ssh before 8.5 has no such word */
        add_option(arguments, "KnownHostsCommand", "none");
    buf_free(&lines);
    free(path);
    return result;
}

/* The ssh that ssh itself starts for a ProxyJump inherits nothing but -F: so what must hold there too stands in a file that includes the
 * user's. The first value of a setting is the one that counts. */
static int write_config(struct master *master, struct arguments *arguments, struct err *err)
{
    const struct fanout_session *session = master->transport.session;
    const char *own = session->fanout->options.ssh_config;
    if (!session->target->jump) {
        if (own) {
            add(arguments, "-F");
            add(arguments, own);
        }
        return 0;
    }
    if (own && strpbrk(own, "\"\\*?[\n"))
        return err_set(err, "%s: this name cannot be included, which ProxyJump needs: give the file a plainer one", own);
    struct buf text = BUF_EMPTY;
    buf_add_text(&text, "StrictHostKeyChecking yes\nBatchMode yes\nLogLevel ERROR\n");
    if (own) {
        char *whole = realpath(own, NULL); /* Include looks for other names in ~/.ssh */
        buf_add_format(&text, "Include \"%s\"\n", whole ? whole : own);
        free(whole);
    } else {
        buf_add_text(&text, "Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n");
    }
    char *path = mem_format("%s/config", master->folder);
    int result = file_write(path, 0600, text.data, text.length, err);
    add(arguments, "-F");
    add(arguments, path);
    free(path);
    buf_free(&text);
    return result;
}

static int master_arguments(struct master *master, struct arguments *arguments, struct err *err)
{
    struct fanout_session *session = master->transport.session;
    const struct fanout_options *options = &session->fanout->options;
    char *user, *host, number[32];
    unsigned port;
    if (ssh_target_parse(session->target_text, &user, &host, &port, err))
        return -1;
    add(arguments, "ssh");
    int result = write_config(master, arguments, err);
    static const char *const fixed[][2] = {
        {"ControlMaster", "yes"}, {"ControlPersist", "no"}, {"BatchMode", "yes"}, {"StrictHostKeyChecking", "yes"}, {"LogLevel", "ERROR"},
        {"PermitLocalCommand", "yes"}, {"ClearAllForwardings", "yes"}, {"ForwardAgent", "no"}, {"ForwardX11", "no"}, {"RemoteCommand", "none"},
        {"RequestTTY", "no"}, {"ServerAliveCountMax", "3"}, {"Tunnel", "no"}, {"EscapeChar", "none"}, {"ForkAfterAuthentication", "no"},
    };
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        add_option(arguments, fixed[i][0], fixed[i][1]);
    char *mark = mem_format("echo %s", opened_mark);
    add_option(arguments, "LocalCommand", mark);
    free(mark);
    snprintf(number, sizeof number, "%.0f", options->deadlines.silence / 3 < 1 ? 1 : options->deadlines.silence / 3);
    add_option(arguments, "ServerAliveInterval", number);
    snprintf(number, sizeof number, "%.0f", options->deadlines.connect < 1 ? 1 : options->deadlines.connect);
    add_option(arguments, "ConnectTimeout", number);
    if (!result)
        result = write_pinned(master, arguments, err);
    add(arguments, "-S");
    add(arguments, master->socket);
    add(arguments, "-N");
    add(arguments, "-T");
    if (user) {
        add(arguments, "-l");
        add(arguments, user);
    }
    if (port) {
        snprintf(number, sizeof number, "%u", port);
        add(arguments, "-p");
        add(arguments, number);
    }
    if (session->hop_count) {
        add(arguments, "-J");
        add(arguments, session->target->jump);
    }
    add(arguments, "--");
    add(arguments, host);
    free(user);
    free(host);
    return result;
}

static int make_folder(struct master *master, struct err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    /* ssh hands the file's name to a shell: a plain one, or none. */
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    if (!runtime || strlen(runtime) > 32 || runtime[strspn(runtime, plain)] || access(runtime, W_OK))
        runtime = "/tmp";
    snprintf(master->folder, sizeof master->folder, "%s/wgdeck-XXXXXX", runtime);
    if (!mkdtemp(master->folder)) {
        err_set(err, "%s: %s", master->folder, strerror(errno));
        master->folder[0] = '\0';
        return -1;
    }
    master->socket = mem_format("%s/ssh", master->folder);
    return 0;
}

static struct transport *start(struct fanout_session *session, int descriptor)
{
    (void)descriptor;
    struct master *master = mem_alloc(1, sizeof *master);
    struct arguments arguments = {0};
    struct err err = {0};
    master->transport = (struct transport){.ops = &transport_spawn, .session = session};
    master->ends[0] = master->ends[1] = master->ends[2] = -1;
    LIST_INIT(&master->requests);
    ev_timer_init(&master->soon, master_not_started, 0, 0);
    master->soon.data = master;
    if (!make_folder(master, &err) && !master_arguments(master, &arguments, &err))
        master->process = process_start(loop_of(master), arguments.items, master->ends, master_exited, master, &err);
    free_arguments(&arguments);
    if (!master->process) {
        master->why = mem_text(err.text);
        ev_timer_start(loop_of(master), &master->soon);
        return &master->transport;
    }
    for (int i = 0; i < 2; i++) {
        ev_io_init(&master->watchers[i], master_ready, master->ends[i + 1], EV_READ);
        master->watchers[i].data = master;
        ev_io_start(loop_of(master), &master->watchers[i]);
    }
    return &master->transport;
}

/* --- Requests. */

static void spawned_free(struct spawned *spawned)
{
    struct ev_loop *loop = loop_of(spawned->master);
    LIST_REMOVE(spawned, entry);
    for (int i = 0; i < 3; i++)
        close_end(loop, &spawned->ends[i], &spawned->watchers[i]);
    ev_timer_stop(loop, &spawned->soon);
    process_end(spawned->process);
    buf_free(&spawned->problem);
    free(spawned);
}

/* When the process has ended and all its output is read. */
static void tell_end(struct spawned *spawned)
{
    struct fanout_request *request = spawned->channel.request;
    if (spawned->process || spawned->ends[1] >= 0 || spawned->ends[2] >= 0 || !request)
        return;
    spawned->channel.request = NULL;
    int status = spawned->status;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 255) {
        request_ended(request, WEXITSTATUS(status), NULL);
        return;
    }
    char *line = last_line(&spawned->problem);
    request_ended(request, -1, "ssh ended with status 255: %s", line);
    free(line);
}

static void spawned_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)events;
    struct spawned *spawned = watcher->data;
    int which = watcher == &spawned->watchers[1] ? 1 : 2;
    char bytes[READ_SIZE];
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t got = read(spawned->ends[which], bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            close_end(loop, &spawned->ends[which], watcher);
            tell_end(spawned);
            return;
        }
        session_heard(spawned->master->transport.session);
        if (which == 2 && spawned->problem.length < PROBLEM_MOST)
            buf_add(&spawned->problem, bytes, (size_t)got);
        if (spawned->channel.request)
            request_output(spawned->channel.request, which == 2, bytes, (size_t)got);
    }
}

static void input_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)events;
    struct spawned *spawned = watcher->data;
    ev_io_stop(loop, watcher);
    if (spawned->channel.request)
        request_writable(spawned->channel.request);
    if (spawned->wants_end)
        close_end(loop, &spawned->ends[0], watcher);
}

static void spawned_exited(void *context, int status)
{
    struct spawned *spawned = context;
    spawned->process = NULL;
    spawned->status = status;
    tell_end(spawned);
}

static void spawned_not_started(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct spawned *spawned = timer->data;
    spawned->status = 255 << 8;
    tell_end(spawned);
}

static struct channel *exec(struct transport *transport, struct fanout_request *request, const char *command)
{
    struct master *master = (struct master *)transport;
    struct spawned *spawned = mem_alloc(1, sizeof *spawned);
    struct arguments arguments = {0};
    struct err err = {0};
    spawned->channel = (struct channel){.transport = transport, .request = request};
    spawned->master = master;
    spawned->ends[0] = spawned->ends[1] = spawned->ends[2] = -1;
    LIST_INSERT_HEAD(&master->requests, spawned, entry);
    ev_timer_init(&spawned->soon, spawned_not_started, 0, 0);
    spawned->soon.data = spawned;
    /* Through the master or not at all: without it, this ssh must not begin to connect by itself. */
    static const char *const words[] = {"ssh", "-F", "none", "-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "BatchMode=yes",
                                        "-o", "LogLevel=ERROR", "-T", "-S"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        add(&arguments, words[i]);
    add(&arguments, master->socket);
    add(&arguments, "--");
    add(&arguments, "node");
    add(&arguments, command);
    spawned->process = process_start(loop_of(master), arguments.items, spawned->ends, spawned_exited, spawned, &err);
    free_arguments(&arguments);
    if (!spawned->process) {
        buf_add_text(&spawned->problem, err.text);
        ev_timer_start(loop_of(master), &spawned->soon);
        return &spawned->channel;
    }
    for (int i = 0; i < 3; i++) {
        ev_io_init(&spawned->watchers[i], i ? spawned_ready : input_ready, spawned->ends[i], i ? EV_READ : EV_WRITE);
        spawned->watchers[i].data = spawned;
        ev_io_start(loop_of(master), &spawned->watchers[i]);
    }
    return &spawned->channel;
}

static size_t write_some(struct channel *channel, const void *bytes, size_t length)
{
    struct spawned *spawned = (struct spawned *)channel;
    if (spawned->ends[0] < 0)
        return 0;
    ssize_t sent = send(spawned->ends[0], bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return 0; /* it reads no more: its end will tell */
    ev_io_start(loop_of(spawned->master), &spawned->watchers[0]);
    return sent < 0 ? 0 : (size_t)sent;
}

static void write_end(struct channel *channel)
{
    struct spawned *spawned = (struct spawned *)channel;
    spawned->wants_end = true;
    if (spawned->ends[0] >= 0)
        ev_io_start(loop_of(spawned->master), &spawned->watchers[0]);
}

static void close_channel(struct channel *channel)
{
    spawned_free((struct spawned *)channel);
}

/* ssh sends its own, and ends when nothing comes back. */
static void keepalive(struct transport *transport)
{
    session_heard(transport->session);
}

static void stop(struct transport *transport)
{
    struct master *master = (struct master *)transport;
    struct ev_loop *loop = loop_of(master);
    struct spawned *spawned;
    while ((spawned = LIST_FIRST(&master->requests)))
        spawned_free(spawned);
    ev_timer_stop(loop, &master->soon);
    for (int i = 0; i < 2; i++)
        close_end(loop, &master->ends[i + 1], &master->watchers[i]);
    if (master->ends[0] >= 0)
        close(master->ends[0]);
    process_end(master->process);
    if (master->folder[0]) {
        static const char *const names[] = {"known_hosts", "config", "ssh"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            char *path = mem_format("%s/%s", master->folder, names[i]);
            unlink(path);
            free(path);
        }
        rmdir(master->folder);
    }
    buf_free(&master->output);
    buf_free(&master->problem);
    free(master->socket);
    free(master->why);
    free(master);
}

const struct transport_ops transport_spawn = {
    .name = "ssh", .dials = true, .start = start, .exec = exec, .write = write_some, .write_end = write_end, .close = close_channel,
    .keepalive = keepalive, .stop = stop,
};
