/* Programs that "wgdeck up" runs: hooks (by sh), nft where it is, and the engine. None gets a key, in its arguments or otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "up.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

/* --- signals: what was begun is undone */

static volatile sig_atomic_t interrupted;

static void take_signal(int number)
{
    interrupted = number;
}

bool up_interrupted(void)
{
    return interrupted != 0;
}

void up_signals(bool take)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = take ? take_signal : SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

/* --- running */

enum { NOT_THERE = 127 };

/* OUTPUT -1: as this program's own; else it goes there, and the program is of a session of its own. */
static void become(const char *program, char *const *arguments, int input, int output)
{
    up_signals(false);
    signal(SIGPIPE, SIG_DFL);
    if (input < 0)
        input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0)
        _exit(126);
    if (output >= 0 && (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0))
        _exit(126);
    if (output >= 0)
        setsid();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
    execvp(program, arguments);
    _exit(errno == ENOENT ? NOT_THERE : 126);
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Its exit status (128 and more: a signal ended it), or -1 with errno. TEXT (may be NULL) is its standard input; OUTPUT as above. */
static int run_to(const char *program, char *const *arguments, const char *text, int output)
{
    int ends[2] = {-1, -1};
    if (text && pipe2(ends, O_CLOEXEC))
        return -1;
    pid_t child = fork();
    if (child == 0)
        become(program, arguments, ends[0], output);
    if (ends[0] >= 0)
        close(ends[0]);
    if (child > 0 && text)
        (void)file_write_all(ends[1], text, strlen(text)); /* one that does not read says so by its status */
    if (ends[1] >= 0)
        close(ends[1]);
    return child < 0 ? -1 : wait_for(child);
}

static int run(const char *program, char *const *arguments, const char *text)
{
    return run_to(program, arguments, text, -1);
}

static char *const *argument_list(const char *const *words)
{
    return (char *const *)(uintptr_t)words; /* execvp only reads them */
}

int up_hook_run(const char *command, struct err *err)
{
    const char *const words[] = {"sh", "-c", command, NULL};
    int status = run("/bin/sh", argument_list(words), NULL);
    if (!status)
        return 0;
    if (status < 0)
        return err_set(err, "sh cannot be started: %s", strerror(errno));
    return status >= 128 ? err_set(err, "a signal ended it (%d)", status - 128) : err_set(err, "it ended with status %d", status);
}

/* --- wg-quick's own rules against traffic that reaches the tunnel's address from elsewhere, and for replies to keep the mark */

static bool is_there(const char *program)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(folders) && !found; i++) {
        char *path = mem_format("%s/%s", folders[i], program);
        found = access(path, X_OK) == 0;
        free(path);
    }
    return found;
}

int up_firewall(const char *name, int family, uint32_t mark, const struct prefix *addresses, size_t count, struct err *err)
{
    static const char *const words[] = {"nft", "-f", "-", NULL};
    const char *ip = family == AF_INET6 ? "ip6" : "ip";
    struct buf text = BUF_EMPTY;
    if (!is_there("nft"))
        return 1;
    /* One that was left over goes first; to delete it, it must be there. */
    buf_add_format(&text, "add table %s wg-quick-%s\ndelete table %s wg-quick-%s\nadd table %s wg-quick-%s\n", ip, name, ip, name, ip, name);
    buf_add_format(&text, "add chain %s wg-quick-%s preraw { type filter hook prerouting priority -300; }\n", ip, name);
    buf_add_format(&text, "add chain %s wg-quick-%s premangle { type filter hook prerouting priority -150; }\n", ip, name);
    buf_add_format(&text, "add chain %s wg-quick-%s postmangle { type filter hook postrouting priority -150; }\n", ip, name);
    for (size_t i = 0; i < count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, address);
        if (addresses[i].address.family == family)
            buf_add_format(&text, "add rule %s wg-quick-%s preraw iifname != \"%s\" %s daddr %s fib saddr type != local drop\n", ip, name, name, ip, address);
    }
    buf_add_format(&text, "add rule %s wg-quick-%s postmangle meta l4proto udp mark %u ct mark set mark\n", ip, name, mark);
    buf_add_format(&text, "add rule %s wg-quick-%s premangle meta l4proto udp meta mark set ct mark\n", ip, name);
    int status = run("nft", argument_list(words), buf_text(&text));
    buf_free(&text);
    return status ? err_set(err, "nft ended with status %d", status) : 0;
}

void up_firewall_remove(const char *name)
{
    static const char *const families[] = {"ip", "ip6"};
    static const char *const words[] = {"nft", "-f", "-", NULL};
    for (size_t i = 0; i < COUNT_OF(families) && is_there("nft"); i++) {
        /* Added first: what is not there cannot be deleted without an error, and there may be none. */
        char *text = mem_format("add table %s wg-quick-%s\ndelete table %s wg-quick-%s\n", families[i], name, families[i], name);
        run("nft", argument_list(words), text);
        free(text);
    }
}

/* --- the engine */

/* A program whose libraries are missing ends with the same status as one that is missing, but says so. */
static int engine_failed(const char *name, const char *program, int status, const char *said, struct err *err)
{
    if (status < 0 || (status == NOT_THERE && !*said))
        return err_set(err, "%s: the engine %s cannot be started: %s", name, program, status < 0 ? strerror(errno) : "it is not there");
    return err_set(err, "%s: the engine ended with status %d (%s)", name, status, *said ? said : "it said nothing");
}

/* As with wg-quick another engine can be named; one whose start is its name and the interface's. */
static int run_engine(const char *name, int output, const char **program)
{
    const char *other = getenv("WG_QUICK_USERSPACE_IMPLEMENTATION");
    const char *const own_words[] = {"wgdeck", "engine", name, NULL}, *const other_words[] = {other, name, NULL};
    bool is_other = other && *other;
    *program = is_other ? other : "";
    return run_to(is_other ? other : "/proc/self/exe", argument_list(is_other ? other_words : own_words), NULL, output);
}

int up_engine_start(const char *name, struct err *err)
{
    const char *program;
    int status = run_engine(name, -1, &program);
    return status ? engine_failed(name, program, status, status == NOT_THERE ? "" : "see what it says above", err) : 0;
}

/* The last line that it has written. */
static void last_line(int file, char *line, size_t size)
{
    char bytes[1024];
    off_t length = lseek(file, 0, SEEK_END), from = length > (off_t)sizeof bytes - 1 ? length - (off_t)sizeof bytes + 1 : 0;
    ssize_t got = length > 0 ? pread(file, bytes, sizeof bytes - 1, from) : 0;
    while (got > 0 && bytes[got - 1] == '\n')
        got--;
    bytes[got > 0 ? got : 0] = '\0';
    const char *end = strrchr(bytes, '\n');
    snprintf(line, size, "%.200s", end ? end + 1 : bytes);
}

int up_engine_start_apart(const char *name, struct err *err)
{
    char said[256];
    const char *program;
    int file = memfd_create("engine", MFD_CLOEXEC);
    if (file < 0)
        return err_set(err, "%s: the engine cannot be started: %s", name, strerror(errno));
    int status = run_engine(name, file, &program), reason = errno;
    last_line(file, said, sizeof said);
    close(file);
    errno = reason;
    return status ? engine_failed(name, program, status, said, err) : 0;
}

/* An engine ends when its link goes, and takes its socket along: the next one of that name would stumble over it. */
void up_engine_wait_for_end(const char *name)
{
    char *path = mem_format("/var/run/wireguard/%s.sock", name);
    for (int i = 0; i < 200 && access(path, F_OK) == 0; i++)
        poll(NULL, 0, 10);
    free(path);
}
