/* Accounts of this machine, and programs that are run for an answer: fixed words, no shell, as root or as an account (invite_parts.h). */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "invite_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { OUTPUT_MOST = 1 << 20 };

/* --- accounts: from the files themselves, as the system's own lookups load libraries of the node into a program that has none, and crash there */

int account_find(const char *name, struct account *account)
{
    struct passwd row, *found = NULL;
    char room[16384], *path = mem_format("%s/etc/passwd", change_root);
    FILE *file = fopen(path, "re");
    *account = (struct account){0};
    free(path);
    if (!*name || strlen(name) >= sizeof account->name)
        found = NULL;
    else
        while (file && !fgetpwent_r(file, &row, room, sizeof room, &found) && strcmp(found->pw_name, name) != 0)
            found = NULL;
    if (file)
        fclose(file);
    if (!found || !row.pw_dir || row.pw_dir[0] != '/')
        return 1;
    *account = (struct account){.uid = row.pw_uid, .gid = row.pw_gid, .home = mem_text(row.pw_dir), .shell = mem_text(row.pw_shell && *row.pw_shell ? row.pw_shell : "/bin/sh")};
    snprintf(account->name, sizeof account->name, "%s", name);
    return 0;
}

static bool is_member(const struct group *group, const struct account *account)
{
    bool is = group->gr_gid == account->gid;
    for (char *const *member = group->gr_mem; !is && member && *member; member++)
        is = !strcmp(*member, account->name);
    return is;
}

char **account_groups(const struct account *account, gid_t ids[static ACCOUNT_GROUPS], size_t *count)
{
    enum { ROOM = 1 << 20 };
    struct group row, *found;
    char *path = mem_format("%s/etc/group", change_root), *room = mem_alloc(ROOM, 1), **names = mem_alloc(ACCOUNT_GROUPS + 1, sizeof *names);
    FILE *file = fopen(path, "re");
    ids[0] = account->gid;
    *count = 1;
    for (size_t named = 0; file && named < ACCOUNT_GROUPS && *count < ACCOUNT_GROUPS && !fgetgrent_r(file, &row, room, ROOM, &found);)
        if (is_member(&row, account)) {
            names[named++] = mem_text(row.gr_name);
            if (row.gr_gid != account->gid)
                ids[(*count)++] = row.gr_gid;
        }
    if (file)
        fclose(file);
    free(path);
    free(room);
    return names;
}

void account_free(struct account *account)
{
    free(account->home);
    free(account->shell);
    *account = (struct account){0};
}

int account_become(const struct account *as)
{
    gid_t ids[ACCOUNT_GROUPS];
    size_t count;
    if (!as || as->uid == geteuid())
        return 0;
    char **names = account_groups(as, ids, &count);
    for (char **name = names; *name; name++)
        free(*name);
    free(names);
    if (setgroups(count, ids) || setresgid(as->gid, as->gid, as->gid) || setresuid(as->uid, as->uid, as->uid))
        return -1;
    return setuid(0) == 0 ? -1 : chdir("/"); /* there must be no way back */
}

/* --- programs */

static void become_program(const char *const words[], const struct account *as, int out, int said)
{
    char *environment[8] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, (char[]){"LC_ALL=C"}};
    int null = open("/dev/null", O_RDWR), high_out = fcntl(out, F_DUPFD_CLOEXEC, 10), high_said = fcntl(said, F_DUPFD_CLOEXEC, 10);
    sigset_t none;
    if (as) {
        environment[2] = mem_format("HOME=%s", as->home);
        environment[3] = mem_format("USER=%s", as->name);
        environment[4] = mem_format("LOGNAME=%s", as->name);
    }
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (null < 0 || high_out < 0 || high_said < 0 || dup2(null, 0) < 0 || dup2(high_out, 1) < 0 || dup2(high_said, 2) < 0 || account_become(as))
        _exit(126);
    execve(words[0], (char *const *)(uintptr_t)words, environment);
    _exit(127);
}

/* Reads what comes from the two pipes until both have ended. False: the time is over, or it says too much. */
static bool collect(int pipes[static 2], struct buf *texts[static 2], int64_t until)
{
    for (int open_ones = 2; open_ones > 0;) {
        struct pollfd polled[2] = {{.fd = pipes[0], .events = POLLIN}, {.fd = pipes[1], .events = POLLIN}};
        int64_t left = until - clock_steady();
        if (left <= 0)
            return false;
        if (poll(polled, 2, (int)(left / CLOCK_MILLISECOND) + 1) < 0 && errno != EINTR)
            return false;
        for (int i = 0; i < 2; i++) {
            char bytes[8192];
            ssize_t length = pipes[i] >= 0 && polled[i].revents ? read(pipes[i], bytes, sizeof bytes) : -1;
            if (length > 0 && texts[i])
                buf_add(texts[i], bytes, (size_t)length);
            if (texts[i] && texts[i]->length > OUTPUT_MOST)
                return false;
            if (length == 0) {
                close(pipes[i]);
                pipes[i] = -1;
                open_ones--;
            }
        }
    }
    return true;
}

/* Also one that closes its outputs and goes on. */
static int wait_end(pid_t child, bool whole, int64_t until)
{
    int status = -1;
    for (pid_t ended = 0; ended != child;) {
        ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR))
            break;
        if (!whole || clock_steady() >= until) {
            kill(-child, SIGKILL);
            kill(child, SIGKILL);
            while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                continue;
            return -1;
        }
        poll(NULL, 0, 5);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int invite_run(const char *const words[], const struct account *as, double patience, struct buf *out, struct buf *said, struct err *err)
{
    int first[2] = {-1, -1}, second[2] = {-1, -1};
    int64_t until = clock_steady() + (int64_t)(patience * (double)CLOCK_SECOND);
    struct buf *texts[2] = {out, said};
    if (pipe2(first, O_CLOEXEC))
        return err_set(err, "%s: cannot be run: %s", words[0], strerror(errno));
    if (pipe2(second, O_CLOEXEC)) {
        close(first[0]), close(first[1]);
        return err_set(err, "%s: cannot be run: %s", words[0], strerror(errno));
    }
    pid_t child = fork();
    if (child == 0)
        become_program(words, as, first[1], second[1]);
    int reason = errno, pipes[2] = {first[0], second[0]}, status = -1;
    close(first[1]);
    close(second[1]);
    if (child > 0) {
        bool whole = collect(pipes, texts, until);
        status = wait_end(child, whole, until);
    }
    for (int i = 0; i < 2; i++)
        if (pipes[i] >= 0)
            close(pipes[i]);
    if (child < 0)
        return err_set(err, "%s: cannot be run: %s", words[0], strerror(reason));
    if (status < 0)
        return err_set(err, "%s: does not end within %.0f s", words[0], patience);
    return status;
}
