/* The guard: a process of its own session that puts the old state back when nobody confirms in time, whatever becomes of the helper, the connection or the deck. It needs nothing
 * but the journal, and ends when that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"

enum { READY_WITHIN = 5000, LOOK_EVERY = 1000 /* ms; inotify is quicker, where it is to be had */, LOG_MAX = 64 << 10 };
static const double turn_patience = 5;   /* seconds for a confirm that is under way; who takes longer hangs */
static const int64_t try_for = 600 * CLOCK_SECOND, pause_most = 30 * CLOCK_SECOND;

/* --- starting it */

static void close_from(unsigned first)
{
#ifdef SYS_close_range
    if (!syscall(SYS_close_range, first, ~0U, 0))
        return;
#endif
    for (long i = first, most = sysconf(_SC_OPEN_MAX); i < (most > 0 && most < 65536 ? most : 65536); i++)
        close((int)i);
}

/* Descriptors LOCK and PIPE as 3 and 4, the others gone; then this program anew, with nothing of the helper's memory. */
static void become_guard(const char *name, int lock, int ready)
{
    char *const environment[] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    char *const arguments[] = {(char[]){"wgdeck"}, (char[]){"node"}, (char[]){"--guard"}, (char *)(uintptr_t)name, *change_root ? (char *)(uintptr_t)change_root : NULL, NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    int high_lock = fcntl(lock, F_DUPFD, 10), high_ready = fcntl(ready, F_DUPFD, 10);
    if (null < 0 || high_lock < 0 || high_ready < 0)
        _exit(126);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        dup2(null, i);
    if (dup2(high_lock, GUARD_LOCK) < 0 || dup2(high_ready, GUARD_PIPE) < 0 || chdir("/"))
        _exit(126);
    close_from(GUARD_PIPE + 1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

static int wait_ready(int descriptor, struct err *err)
{
    struct pollfd poll_descriptor = {.fd = descriptor, .events = POLLIN};
    char byte = 0;
    int result;
    do
        result = poll(&poll_descriptor, 1, READY_WITHIN);
    while (result < 0 && errno == EINTR);
    if (result > 0 && read(descriptor, &byte, 1) == 1 && byte == 'g')
        return 0;
    return err_set(err, "the guard does not start%s: nothing is touched without it", result ? "" : " within 5 s");
}

int guard_start(const char *name, int lock, struct err *err)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC))
        return err_set(err, "the guard cannot be started: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        /* Twice, so that it is nobody's child and never a session's leader. */
        if (setsid() < 0 || (child = fork()) < 0)
            _exit(126);
        if (child == 0)
            become_guard(name, lock, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0 ? err_set(err, "the guard cannot be started: %s", strerror(errno)) : wait_ready(ends[0], err)) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

int guard_wait_end(int descriptor, double patience)
{
    int64_t until = clock_steady() + (int64_t)(patience * (double)CLOCK_SECOND);
    struct pollfd poll_descriptor = {.fd = descriptor, .events = POLLIN};
    char byte;
    bool ended = false;
    for (int64_t left = 1; descriptor >= 0 && !ended && left > 0;) {
        left = until - clock_steady();
        int result = poll(&poll_descriptor, 1, left > 0 ? (int)(left / CLOCK_MILLISECOND) + 1 : 0);
        ended = result > 0 && read(descriptor, &byte, 1) == 0;
    }
    if (descriptor >= 0)
        close(descriptor);
    return ended || descriptor < 0 ? 0 : -1;
}

/* --- being it */

struct guard {
    const char *name;
    char id[CHANGE_ID_LENGTH + 1];
    int64_t deadline;
    int timer, signals, notices;
    bool now; /* TERM: put back without waiting */
};

static void write_log(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_log(const char *name, const char *format, ...)
{
    char *path = change_path(name, "guard.log"), now[CLOCK_TEXT_SIZE];
    struct buf line = BUF_EMPTY;
    struct stat status;
    va_list arguments;
    clock_text(clock_wall(), now);
    buf_add_format(&line, "%s ", now);
    va_start(arguments, format);
    buf_add_vformat(&line, format, arguments);
    va_end(arguments);
    buf_add_char(&line, '\n');
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor >= 0 && (fstat(descriptor, &status) || status.st_size < LOG_MAX || !ftruncate(descriptor, 0)))
        (void)file_write_all(descriptor, line.data, line.length);
    if (descriptor >= 0)
        close(descriptor);
    buf_free(&line);
    free(path);
}

static void write_to(const char *path, const char *text)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        return;
    if (write(descriptor, text, strlen(text)) < 0)
        errno = 0; /* it is a guard without that, too */
    close(descriptor);
}

/* What ends a login session (systemd with KillUserProcesses) ends all of its control group: the guard asks for one of its own. */
static void leave_session(void)
{
    static const char *const trees[] = {"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    struct buf own = BUF_EMPTY;
    bool in_session = !file_read("/proc/self/cgroup", 65536, &own, NULL) && (strstr(buf_text(&own), "/session-") || strstr(buf_text(&own), "/user.slice"));
    buf_free(&own);
    for (size_t i = 0; in_session && i < COUNT_OF(trees); i++) {
        char *group = mem_format("%s/wgdeck-guard", trees[i]), *processes = mem_format("%s/cgroup.procs", group), *other = mem_format("%s/cgroup.procs", trees[i]);
        if (!access(other, W_OK) && (!mkdir(group, 0755) || errno == EEXIST))
            write_to(processes, "0");
        free(other);
        free(processes);
        free(group);
    }
}

static void prepare_process(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        signal(ignored[i], SIG_IGN);
    umask(077);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "wgdeck-guard");
    write_to("/proc/self/oom_score_adj", "-900");
    leave_session();
}

/* Is the journal (still) this change's? */
static int read_journal(const struct guard *guard, struct change_journal *journal, struct err *err)
{
    int result = change_journal_read(guard->name, journal, err);
    if (!result && strcmp(journal->id, guard->id) != 0) {
        change_journal_free(journal);
        return 1;
    }
    return result;
}

static int prepare_watch(struct guard *guard)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(guard->deadline / CLOCK_SECOND), .tv_nsec = (long)(guard->deadline % CLOCK_SECOND)}};
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    guard->signals = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
    guard->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    guard->notices = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char *folder = change_path(guard->name, "");
    if (guard->notices >= 0)
        inotify_add_watch(guard->notices, folder, IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM);
    free(folder);
    return guard->timer < 0 || timerfd_settime(guard->timer, TFD_TIMER_ABSTIME, &when, NULL) ? -1 : 0;
}

/* At most UNTIL (clock_steady). True: the journal is gone. */
static bool watch(struct guard *guard, int64_t until)
{
    struct pollfd descriptors[] = {{.fd = guard->signals, .events = POLLIN}, {.fd = guard->timer, .events = POLLIN}, {.fd = guard->notices, .events = POLLIN}};
    struct signalfd_siginfo signal_info;
    char notices[4096];
    for (;;) {
        if (!change_journal_is_there(guard->name, guard->id))
            return true;
        int64_t left = until - clock_steady();
        if (guard->now || left <= 0)
            return false;
        poll(descriptors, COUNT_OF(descriptors), left < LOOK_EVERY * CLOCK_MILLISECOND ? (int)(left / CLOCK_MILLISECOND) + 1 : LOOK_EVERY);
        if (guard->signals >= 0 && read(guard->signals, &signal_info, sizeof signal_info) == sizeof signal_info)
            guard->now = true;
        while (guard->notices >= 0 && read(guard->notices, notices, sizeof notices) > 0)
            continue;
    }
}

static bool is_of_wgdeck(pid_t process)
{
    char path[64], program[4096];
    snprintf(path, sizeof path, "/proc/%ld/exe", (long)process);
    ssize_t length = readlink(path, program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    return strstr(program, "wgdeck") != NULL;
}

/* Who has had the turn so long past the time hangs (stopped, or waiting for a dead disk): it must not wake up later, either. */
static int take_turn(const struct guard *guard, struct err *err)
{
    pid_t holder;
    int turn = change_turn(guard->name, turn_patience, &holder, err);
    if (turn >= 0 || holder <= 1 || holder == getpid() || !is_of_wgdeck(holder))
        return turn;
    write_log(guard->name, "process %ld has been at work for too long: it is ended", (long)holder);
    kill(holder, SIGKILL);
    return change_turn(guard->name, turn_patience, NULL, err);
}

/* 0: all is as it should be. */
static int act(const struct guard *guard, struct err *err)
{
    struct change_journal journal;
    struct buf said = BUF_EMPTY;
    int turn = take_turn(guard, err);
    if (turn < 0)
        return -1;
    int result = read_journal(guard, &journal, err);
    if (!result && journal.step == CHANGE_CONFIRMED) {
        change_journal_free(&journal);
        change_turn_end(turn);
        result = change_recover(guard->name, &said, err);
        if (!result)
            write_log(guard->name, "%s", buf_text(&said));
        buf_free(&said);
        return result;
    }
    if (!result) {
        const char *why = guard->now ? "the guard was told to put it back" : "it was not confirmed in time";
        result = change_put_back(&journal, why, err);
        if (!result)
            write_log(guard->name, "change %s of %s: %s; the old state is put back", journal.id, journal.owner, why);
        change_journal_free(&journal);
    }
    change_turn_end(turn);
    return result == 1 ? 0 : result;
}

static int put_back(struct guard *guard)
{
    int64_t began = clock_steady(), pause = CLOCK_SECOND;
    struct err err;
    while (act(guard, &err)) {
        write_log(guard->name, "change %s: %s", guard->id, err.text);
        if (clock_steady() - began > try_for) {
            write_log(guard->name, "change %s: given up; the next change of %s tries again", guard->id, guard->name);
            return 1;
        }
        guard->now = false;
        if (watch(guard, clock_steady() + pause))
            return 0;
        pause = pause * 2 < pause_most ? pause * 2 : pause_most;
    }
    return 0;
}

int node_guard(const char *name)
{
    struct guard guard = {.name = name};
    struct change_journal journal;
    int lock = GUARD_LOCK, result = 0;
    prepare_process();
    if (!device_name_is_valid(name) || fcntl(GUARD_LOCK, F_SETFD, FD_CLOEXEC) || fcntl(GUARD_PIPE, F_SETFD, FD_CLOEXEC) || change_journal_read(name, &journal, NULL))
        return 1;
    snprintf(guard.id, sizeof guard.id, "%s", journal.id);
    guard.deadline = journal.deadline;
    change_journal_free(&journal);
    if (prepare_watch(&guard) || write(GUARD_PIPE, "g", 1) != 1)
        return 1;
    if (!watch(&guard, guard.deadline))
        result = put_back(&guard);
    /* Also for a helper that hangs and has it still. */
    change_unlock(&lock);
    return result;
}
