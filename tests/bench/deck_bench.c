/* The deck as a person meets it: a program on a pty of its own, pressed and read.
 * deck_bench [OPTION...] keys PRESSES PROGRAM [ARGUMENT...]: from the write of a key to the last byte of the screen that it changed
 * deck_bench [OPTION...] idle SECONDS PROGRAM...: nobody presses; CPU share, memory, bytes sent
 * Options: -s COLUMNSxROWS (120x40)   -w SECONDS before it begins (5)   -b BYTES a second that the line carries (no limit)   -k KEYS to press (below)
 * The screen counts as changed when 10 ms pass without a byte (on a slow line: 400 ms). Prints one line of key=value. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { PRESSES_MOST = 10000, PIECE = 65536, SLOW_STEP_MS = 50 };

/* Every screen, moves, sorting, faults only and a filter. Each of them changes the screen, wherever sorting has left the cursor: a key that does
 * not would be taken for one that waits for the next news. (Esc is not among them: 25 ms go by before it is one.) */
static const char keys_default[] = "2jkjlhkoo3jkjksI4jk51jkj6f3f/a\b\rGgj?q1";

static struct {
    const char *keys;
    int columns, rows, slow; /* bytes a second; 0: no limit */
    double before;
} options = {keys_default, 120, 40, 0, 5};

struct line {
    int descriptor;
    pid_t pid;
    long long bytes, bursts;
    int64_t last;   /* of the last byte */
    int64_t credit; /* of a slow line: up to when it is used up */
    size_t matched; /* of a question to the terminal */
    bool over;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "deck_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void begin(struct line *line, char **argv)
{
    struct winsize size = {.ws_row = (unsigned short)options.rows, .ws_col = (unsigned short)options.columns};
    line->pid = forkpty(&line->descriptor, NULL, NULL, &size);
    if (line->pid < 0)
        die("forkpty");
    if (!line->pid) {
        setenv("TERM", "xterm-256color", 1);
        setenv("LANG", "C.UTF-8", 0);
        execvp(argv[0], argv);
        _exit(127);
    }
    fcntl(line->descriptor, F_SETFL, O_NONBLOCK);
}

/* How many bytes the line may carry now. */
static size_t allowed(struct line *line)
{
    if (!options.slow)
        return PIECE;
    int64_t now = clock_steady();
    if (line->credit < now - SLOW_STEP_MS * CLOCK_MILLISECOND)
        line->credit = now - SLOW_STEP_MS * CLOCK_MILLISECOND;
    int64_t bytes = (now - line->credit) * options.slow / CLOCK_SECOND;
    return bytes > 0 ? (size_t)bytes : 0;
}

/* A terminal answers "ESC [ 5 n" with "ESC [ 0 n", when what came before has come through the line. */
static void answer(struct line *line, const char *bytes, size_t length)
{
    static const char question[] = "\033[5n";
    for (size_t i = 0; i < length; i++) {
        line->matched = bytes[i] == question[line->matched] ? line->matched + 1 : bytes[i] == question[0];
        if (line->matched < sizeof question - 1)
            continue;
        line->matched = 0;
        if (write(line->descriptor, "\033[0n", 4) != 4)
            line->over = true;
    }
}

/* Read for MILLISECONDS at most; with GAP, until so many milliseconds pass without a byte after the first one. */
static bool take(struct line *line, double milliseconds, int gap)
{
    static char piece[PIECE];
    int64_t end = clock_steady() + (int64_t)(milliseconds * 1e6), first = 0;
    while (!line->over) {
        int64_t now = clock_steady();
        if (now >= end || (gap && first && now - line->last > gap * (int64_t)CLOCK_MILLISECOND))
            break;
        size_t most = allowed(line);
        if (!most) {
            poll(NULL, 0, 10);
            continue;
        }
        struct pollfd wait = {.fd = line->descriptor, .events = POLLIN};
        int64_t left = (end - now) / CLOCK_MILLISECOND + 1;
        int patience = gap && first ? gap : 1000;
        if (poll(&wait, 1, left < patience ? (int)left : patience) <= 0)
            continue;
        ssize_t got = read(line->descriptor, piece, most < PIECE ? most : PIECE);
        if (got <= 0) {
            line->over = got == 0 || errno != EAGAIN;
            continue;
        }
        now = clock_steady();
        if (now - line->last > 10 * (int64_t)CLOCK_MILLISECOND)
            line->bursts++;
        line->last = now;
        line->bytes += got;
        if (options.slow)
            line->credit += (int64_t)got * CLOCK_SECOND / options.slow;
        first = first ? first : now;
        answer(line, piece, (size_t)got);
    }
    return first != 0;
}

static double cpu_seconds(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    char *after = strrchr(text, ')');
    if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double memory(pid_t pid, const char *name)
{
    char path[64], text[256];
    unsigned long long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(text, sizeof text, file))
        if (!strncmp(text, name, strlen(name)))
            kilobytes = strtoull(text + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return (double)kilobytes / 1024;
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static void press_keys(struct line *line, long presses)
{
    static double took[PRESSES_MOST];
    size_t count = strlen(options.keys), silent = 0, changed = 0;
    double worst = 0;
    char worst_key = ' ';
    long worst_press = 0;
    long long bytes = 0;
    char silent_keys[64] = "";
    for (long i = 0; i < presses && !line->over; i++) {
        char key = options.keys[(size_t)i % count];
        take(line, options.slow ? 200 : 37, 0); /* whatever comes between two presses */
        long long before = line->bytes;
        int64_t begun = clock_steady();
        if (write(line->descriptor, &key, 1) != 1)
            die("write");
        if (!take(line, options.slow ? 30000 : 500, options.slow ? 400 : 10)) {
            size_t end = strlen(silent_keys);
            snprintf(silent_keys + end, sizeof silent_keys - end, "%s%c@%ld", silent++ ? "," : "", key <= ' ' ? '^' : key, i);
            continue;
        }
        double milliseconds = (double)(line->last - begun) / 1e6;
        if (milliseconds > worst) {
            worst = milliseconds;
            worst_key = key;
            worst_press = i;
        }
        took[changed++] = milliseconds;
        bytes += line->bytes - before;
    }
    if (!changed || line->over) {
        fprintf(stderr, "deck_bench: %s\n", line->over ? "the program ended" : "no key changed the screen");
        exit(1);
    }
    qsort(took, changed, sizeof *took, compare);
    printf("presses=%zu silent=%zu median_ms=%.2f p95_ms=%.2f worst_ms=%.2f worst_key=%c worst_press=%ld bytes_a_press=%lld silent_keys=%s\n", changed, silent,
           took[changed / 2], took[changed * 95 / 100], worst, worst_key <= ' ' ? '^' : worst_key, worst_press, bytes / (long long)changed,
           silent ? silent_keys : "-");
}

static void stay_idle(struct line *line, double seconds)
{
    double cpu = cpu_seconds(line->pid);
    long long bytes = line->bytes, bursts = line->bursts;
    take(line, seconds * 1000, 0);
    cpu = cpu_seconds(line->pid) - cpu;
    bytes = line->bytes - bytes;
    bursts = line->bursts - bursts;
    if (line->over) {
        fprintf(stderr, "deck_bench: the program ended\n");
        exit(1);
    }
    printf("cpu_percent=%.2f rss_mb=%.1f peak_mb=%.1f bytes_a_second=%.0f updates=%lld bytes_an_update=%lld\n", 100 * cpu / seconds,
           memory(line->pid, "VmRSS:"), memory(line->pid, "VmHWM:"), (double)bytes / seconds, bursts, bursts ? bytes / bursts : 0);
}

static void leave(struct line *line)
{
    int status;
    kill(line->pid, SIGTERM);
    options.slow = 0;
    for (int i = 0; i < 50 && waitpid(line->pid, &status, WNOHANG) == 0; i++) {
        take(line, 100, 0);
        if (i == 40)
            kill(line->pid, SIGKILL);
    }
}

int main(int argc, char **argv)
{
    struct line line = {0};
    int option;
    while ((option = getopt(argc, argv, "+s:w:b:k:")) != -1) {
        if (option == 's' && sscanf(optarg, "%dx%d", &options.columns, &options.rows) != 2)
            return 2;
        else if (option == 'w')
            options.before = strtod(optarg, NULL);
        else if (option == 'b')
            options.slow = atoi(optarg);
        else if (option == 'k')
            options.keys = optarg;
        else if (option == '?')
            return 2;
    }
    if (argc - optind < 3)
        return 2;
    const char *what = argv[optind];
    double number = strtod(argv[optind + 1], NULL);
    begin(&line, argv + optind + 2);
    take(&line, options.before * 1000, 0);
    if (!strcmp(what, "keys"))
        press_keys(&line, number < PRESSES_MOST ? (long)number : PRESSES_MOST);
    else
        stay_idle(&line, number);
    leave(&line);
    return 0;
}
