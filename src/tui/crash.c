/* Fatal signals: the terminal is given back, a report is written with write(2) only, and the signal takes its course. */
#include "crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/version.h"

enum { STACK_SIZE = 64 << 10, FRAMES = 40 };

static const struct fatal { int number; const char *name; } fatal_signals[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"},
};
enum { FATAL_COUNT = sizeof fatal_signals / sizeof fatal_signals[0] };

static struct sigaction previous[FATAL_COUNT];
static void (*restore_terminal)(void);
static volatile sig_atomic_t installed, reporting;

static void say(const char *text)
{
    for (size_t length = strlen(text); length;) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

static void say_address(uintptr_t address)
{
    char text[2 + 2 * sizeof address + 1], *at = text + sizeof text - 1;
    *at = '\0';
    do
        *--at = "0123456789abcdef"[address & 15];
    while (address >>= 4);
    *--at = 'x';
    *--at = '0';
    say(at);
}

static void report(const struct fatal *fatal, const siginfo_t *info)
{
    void *frames[FRAMES];
    say("wgdeck " WGDECK_VERSION ": crashed: ");
    say(fatal->name);
    if (info->si_code > 0 && fatal->number != SIGABRT) {
        say(" at ");
        say_address((uintptr_t)info->si_addr);
    }
    say("; a change of the nodes that was under way puts itself back within its guard's time. Please report these lines:\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        if (fatal_signals[i].number != number)
            continue;
        sigaction(number, &previous[i], NULL); /* also for a second fault, in here */
        if (!reporting) {
            reporting = 1;
            if (restore_terminal)
                restore_terminal();
            report(&fatal_signals[i], info);
        }
        raise(number); /* comes when the handler returns */
        return;
    }
}

void crash_begin(void (*restore)(void))
{
    static char stack[STACK_SIZE];
    void *frame;
    restore_terminal = restore;
    if (installed)
        return;
    backtrace(&frame, 1); /* loads what it needs now: later would be too late */
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FATAL_COUNT; i++)
        sigaction(fatal_signals[i].number, &action, &previous[i]);
    installed = 1;
}

void crash_end(void)
{
    if (!installed)
        return;
    for (size_t i = 0; i < FATAL_COUNT; i++)
        sigaction(fatal_signals[i].number, &previous[i], NULL);
    installed = 0;
    restore_terminal = NULL;
}
