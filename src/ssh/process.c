/* Child processes (process.h). The default loop of libev reaps all children itself, so there its ev_child must be used; on any other
 * loop a pidfd tells. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wgdeck/mem.h"

extern char **environ;

struct process {
    struct ev_loop *loop;
    pid_t pid;
    int pidfd; /* -1: ev_child watches */
    struct ev_io io;
    struct ev_child child;
    void (*exited)(void *context, int status);
    void *context;
};

static void process_free(struct process *process)
{
    if (process->pidfd < 0) {
        ev_child_stop(process->loop, &process->child);
    } else {
        ev_io_stop(process->loop, &process->io);
        close(process->pidfd);
    }
    free(process);
}

static void tell(struct process *process, int status)
{
    void (*exited)(void *, int) = process->exited;
    void *context = process->context;
    process_free(process);
    exited(context, status);
}

static void child_changed(struct ev_loop *loop, struct ev_child *watcher, int events)
{
    (void)loop, (void)events;
    tell(watcher->data, watcher->rstatus);
}

static void pidfd_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop, (void)events;
    struct process *process = watcher->data;
    int status = 0;
    if (waitpid(process->pid, &status, WNOHANG) != 0)
        tell(process, status);
}

static void close_pairs(int pipes[3][2])
{
    for (int i = 0; i < 3; i++)
        for (int end = 0; end < 2; end++)
            if (pipes[i][end] >= 0)
                close(pipes[i][end]);
}

static int spawn(char *const *arguments, int pipes[3][2], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    /* A session of its own, so without a terminal: the ssh that ssh itself starts for a ProxyJump does not know of BatchMode, and would ask there. */
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, pipes[i][i ? 1 : 0], i);
    int error = posix_spawnp(pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static void watch(struct process *process)
{
    process->pidfd = -1;
    if (!ev_is_default_loop(process->loop))
        process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        ev_child_init(&process->child, child_changed, process->pid, 0);
        process->child.data = process;
        ev_child_start(process->loop, &process->child);
        return;
    }
    ev_io_init(&process->io, pidfd_ready, process->pidfd, EV_READ);
    process->io.data = process;
    ev_io_start(process->loop, &process->io);
}

struct process *process_start(struct ev_loop *loop, char *const *arguments, int ends[3], void (*exited)(void *context, int status),
                              void *context, struct err *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    for (int i = 0; i < 3; i++)
        /* stdin is a socket: writing to a pipe that nobody reads would need SIGPIPE to be ignored */
        if (i ? pipe2(pipes[i], O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipes[i])) {
            err_set(err, "%s: %s", arguments[0], strerror(errno));
            close_pairs(pipes);
            return NULL;
        }
    pid_t pid;
    int error = spawn(arguments, pipes, &pid);
    if (error) {
        err_set(err, "%s: %s", arguments[0], strerror(error));
        close_pairs(pipes);
        return NULL;
    }
    for (int i = 0; i < 3; i++) {
        ends[i] = pipes[i][i ? 0 : 1]; /* a child reads end 0 of its stdin and writes end 1 of the others */
        close(pipes[i][i ? 1 : 0]);
        fcntl(ends[i], F_SETFL, fcntl(ends[i], F_GETFL) | O_NONBLOCK);
    }
    struct process *process = mem_alloc(1, sizeof *process);
    process->loop = loop;
    process->pid = pid;
    process->exited = exited;
    process->context = context;
    watch(process);
    return process;
}

void process_end(struct process *process)
{
    if (!process)
        return;
    kill(process->pid, SIGTERM);
    for (int i = 0; i < 50; i++) {
        if (waitpid(process->pid, NULL, WNOHANG) != 0)
            goto gone;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
gone:
    process_free(process);
}
