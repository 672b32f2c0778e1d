/* A real sshd on 127.0.0.1 for the tests of src/ssh: its own keys, configuration and folder, nothing of this machine's. */
#ifndef WGDECK_TESTS_SSHD_FIXTURE_H
#define WGDECK_TESTS_SSHD_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

static char fixture_folder[64];

/* A child that dies with the test, and holds none of its output open. */
static pid_t fixture_fork(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        for (int descriptor = 0; descriptor < 3; descriptor++)
            dup2(null, descriptor);
    }
    return pid;
}

/* As root, the tests run in a process namespace of their own, whose end is the end of all that they started: sshd changes its
 * credentials, and forgets by that whose death it is to follow. Returns in the child; the parent passes its exit status on. */
static void fixture_contain(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
        return;
    pid_t pid = fork();
    if (pid < 0)
        return;
    if (pid > 0) {
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
        fprintf(stderr, "the tests see another /proc: %s\n", strerror(errno));
}

static bool fixture_possible(void)
{
    return access("/usr/sbin/sshd", X_OK) == 0 && access("/usr/bin/ssh-keygen", X_OK) == 0;
}

/* A path in the test's folder; good until the fourth next call. */
static const char *fixture_path(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 128, "%s/%s", fixture_folder, name);
    return path;
}

static void fixture_write(const char *name, const char *text)
{
    struct err err;
    if (file_write(fixture_path(name), 0600, text, strlen(text), &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static char *fixture_read(const char *name)
{
    struct buf buf = BUF_EMPTY;
    struct err err;
    file_read(fixture_path(name), 1 << 20, &buf, &err);
    char *text = mem_text(buf_text(&buf));
    buf_free(&buf);
    return text;
}

static int fixture_run(const char *command)
{
    return system(command); /* fixed texts and our own paths */
}

static void fixture_key(const char *name, const char *type, const char *passphrase)
{
    char command[512];
    snprintf(command, sizeof command, "rm -f %s/%s; ssh-keygen -q -t %s -N '%s' -C test -f %s/%s", fixture_folder, name, type, passphrase,
             fixture_folder, name);
    if (fixture_run(command))
        abort();
}

/* "ssh-ed25519 AAAA..." of NAME.pub, without the comment. Free. */
static char *fixture_public(const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pub", name);
    char *text = fixture_read(file), *space = strchr(text, ' ');
    if (space && (space = strchr(space + 1, ' ')))
        *space = '\0';
    return text;
}

static unsigned fixture_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(descriptor, (struct sockaddr *)&address, size) || getsockname(descriptor, (struct sockaddr *)&address, &size))
        abort();
    close(descriptor);
    return ntohs(address.sin_port);
}

struct sshd {
    pid_t pid;
    unsigned port;
};

static bool fixture_answers(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    bool answers = connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    close(descriptor);
    return answers;
}

/* EXTRA lines come first: sshd takes the first value of each setting. */
static struct sshd sshd_start(const char *extra)
{
    struct sshd sshd = {.port = fixture_free_port()};
    char name[32], text[4096];
    snprintf(name, sizeof name, "sshd-%u", sshd.port);
    snprintf(text, sizeof text,
             "%s\nPort %u\nListenAddress 127.0.0.1\nHostKey %s/host_rsa\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nStrictModes no\n"
             "UsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 200\n"
             "SetEnv HOME=%s\nPrintMotd no\nUseDNS no\n",
             extra ? extra : "", sshd.port, fixture_folder, fixture_folder, fixture_folder, fixture_folder);
    fixture_write(name, text);
    char *path = mem_text(fixture_path(name)), *log = mem_text(fixture_path("sshd.log"));
    char *arguments[] = {(char[]){"/usr/sbin/sshd"}, (char[]){"-D"}, (char[]){"-E"}, log, (char[]){"-f"}, path, NULL};
    mkdir("/run/sshd", 0755); /* its privilege separation wants it; may be there or not be ours to make */
    sshd.pid = fixture_fork();
    if (sshd.pid == 0) {
        execv(arguments[0], arguments);
        _exit(127);
    }
    for (int i = 0; i < 500 && !fixture_answers(sshd.port); i++)
        usleep(10000);
    free(path);
    free(log);
    return sshd;
}

static void sshd_stop(struct sshd *sshd)
{
    if (!sshd->pid)
        return;
    kill(-sshd->pid, SIGCONT);
    kill(sshd->pid, SIGKILL);
    waitpid(sshd->pid, NULL, 0);
    sshd->pid = 0;
}

/* Folder, host keys, one login key, a known_hosts and an SSH configuration that names only these. */
static void fixture_make(void)
{
    snprintf(fixture_folder, sizeof fixture_folder, "/tmp/wgdeck-ssh-test-XXXXXX");
    if (!mkdtemp(fixture_folder))
        abort();
    chmod(fixture_folder, 0755);
    fixture_key("host", "ed25519", "");
    fixture_key("host_rsa", "rsa -b 2048", "");
    fixture_key("id", "ed25519", "");
    char *key = fixture_public("id");
    fixture_write("authorized", key);
    free(key);
    setenv("HOME", fixture_folder, 1);
    unsetenv("SSH_AUTH_SOCK");
}

static void fixture_config(const char *extra)
{
    char text[4096];
    snprintf(text, sizeof text, "%s\nHost *\n User %s\n UserKnownHostsFile %s/known_hosts\n GlobalKnownHostsFile /dev/null\n IdentityFile %s/id\n"
             " IdentitiesOnly yes\n", extra ? extra : "", getenv("USER") ? getenv("USER") : "root", fixture_folder, fixture_folder);
    fixture_write("config", text);
}

/* Add the host key in NAME.pub for 127.0.0.1:PORT. */
static void fixture_know(unsigned port, const char *name)
{
    char *key = fixture_public(name), *line = mem_format("[127.0.0.1]:%u %s\n", port, key);
    int descriptor = open(fixture_path("known_hosts"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    file_write_all(descriptor, line, strlen(line));
    close(descriptor);
    free(line);
    free(key);
}

static void fixture_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_folder);
    if (fixture_folder[0])
        fixture_run(command);
}

#endif
