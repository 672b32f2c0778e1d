/* Child processes (process.h). The default loop of libev reaps all children itself, so there its ev_child must be used; on any other
 * loop a pidfd tells. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wgdeck/mem.h"

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

/* In the child: only what may be called there, until exec. It dies with us, however we end (an ssh that outlives a killed deck is an open
 * login to a node), and has a session of its own, so no terminal: an ssh that ssh starts for a ProxyJump would ask there. */
__attribute__((noreturn))
static void become(char *const *arguments, int pipes[3][2], pid_t parent, int tell)
{
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* ssh tidies its control socket away at this one */
    if (getppid() != parent)
        _exit(127);
    setsid();
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (!sigaction(number, NULL, &action) && (action.sa_handler != SIG_IGN || number == SIGPIPE))
            signal(number, SIG_DFL);
    }
    for (int i = 0; i < 3; i++)
        dup2(pipes[i][i ? 1 : 0], i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(arguments[0], arguments);
    int error = errno;
    while (write(tell, &error, sizeof error) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* 0, or an errno, also when the program could not be run: the pipe closes by itself when it could. */
static int spawn(char *const *arguments, int pipes[3][2], pid_t *pid)
{
    int told[2], error = 0;
    pid_t parent = getpid();
    sigset_t all, before;
    if (pipe2(told, O_CLOEXEC))
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* our handlers must not run in the child */
    *pid = fork();
    if (*pid == 0)
        become(arguments, pipes, parent, told[1]);
    if (*pid < 0)
        error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(told[1]);
    ssize_t got;
    if (*pid > 0) {
        while ((got = read(told[0], &error, sizeof error)) < 0 && errno == EINTR)
            ;
        if (got > 0)
            waitpid(*pid, NULL, 0);
        else
            error = 0;
    }
    close(told[0]);
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
    pid_t pid = -1;
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
