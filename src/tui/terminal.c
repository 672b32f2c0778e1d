/* Taking the terminal and giving it back: its modes, and what must happen to them when the program stops, ends or crashes. */
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "crash.h"
#include "terminal_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define MOUSE_ON "\033[?1000h\033[?1006h"
#define MOUSE_OFF "\033[?1006l\033[?1000l"
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

static struct {
    pid_t owner;                 /* a child that ends must not restore anything */
    volatile sig_atomic_t active; /* the terminal is ours, not the shell's */
    bool taken, mouse, sequences;
    struct termios before, ours;
    char enter[256], modes[128], leave[256]; /* made before they are needed */
    size_t enter_length, modes_length, leave_length;
    struct key_reader keys;
    struct pace pace;
    bool answers;                /* it is of the kind that tells its status when asked */
    bool input_ended, end_told;
} terminal;

bool terminal_is_utf8(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void terminal_size(int *rows, int *columns)
{
    struct winsize size = {0};
    *rows = 24;
    *columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
        return;
    if (size.ws_row && size.ws_col) {
        *rows = size.ws_row < SURFACE_MOST ? size.ws_row : SURFACE_MOST;
        *columns = size.ws_col < SURFACE_MOST ? size.ws_col : SURFACE_MOST;
    }
}

int terminal_output(void)
{
    return line_descriptor();
}

void terminal_sent(size_t bytes, bool frame)
{
    int64_t now = clock_steady();
    pace_sent(&terminal.pace, bytes, now);
    if (frame)
        pace_frame(&terminal.pace, now);
}

void terminal_ask(void)
{
    if (terminal.active && !line_is_dead() && pace_asks(&terminal.pace, clock_steady()))
        line_add(PACE_QUESTION, strlen(PACE_QUESTION));
    terminal.keys.expecting = terminal.pace.asked;
}

int64_t terminal_wait(bool urgent)
{
    return pace_wait(&terminal.pace, urgent, clock_steady());
}

bool terminal_flush(void)
{
    return line_flush();
}

void terminal_raw(const char *bytes, size_t length)
{
    if (!terminal.active)
        return;
    line_add(bytes, length);
    terminal_sent(length, false);
    terminal_ask();
    line_flush();
}

static void raw_modes(struct termios *modes)
{
    modes->c_iflag &= (tcflag_t)~(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON | IXOFF | PARMRK);
    modes->c_oflag &= (tcflag_t)~OPOST;
    modes->c_lflag &= (tcflag_t)~(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    modes->c_cc[VMIN] = 1;
    modes->c_cc[VTIME] = 0;
}

/* tcsetattr, though we may be in the background for a moment, or a signal comes. */
static void set_modes(const struct termios *modes)
{
    for (int tries = 0; tries < 8 && tcsetattr(STDIN_FILENO, TCSANOW, modes) && errno == EINTR; tries++)
        ;
}

static size_t kept(struct buf *buf, char *place, size_t size)
{
    size_t length = buf->length < size ? buf->length : 0;
    memcpy(place, buf_text(buf), length);
    buf_free(buf);
    return length;
}

static void prepare_sequences(const struct terminal_options *options)
{
    struct buf enter = BUF_EMPTY, modes = BUF_EMPTY, leave = BUF_EMPTY, mouse = BUF_EMPTY;
    terminal.mouse = !options->no_mouse && screen_capability("kmous", &mouse);
    buf_free(&mouse);
    screen_capability("cup", &mouse);
    terminal.answers = mouse.length > 1 && !memcmp(mouse.data, "\033[", 2); /* as ECMA-48 has it */
    buf_free(&mouse);
    bool other_screen = screen_capability("smcup", &enter);
    screen_capability("smkx", &modes);
    if (other_screen) /* a terminal with less may print what it does not know */
        buf_add_text(&modes, PASTE_ON);
    if (terminal.mouse)
        buf_add_text(&modes, MOUSE_ON);
    if (terminal.mouse)
        buf_add_text(&leave, MOUSE_OFF);
    if (other_screen)
        buf_add_text(&leave, PASTE_OFF);
    if (!screen_capability("sgr0", &leave))
        buf_add_text(&leave, "\033[m");
    screen_capability("op", &leave);
    screen_capability("rmkx", &leave);
    screen_capability("cnorm", &leave);
    if (!screen_capability("rmcup", &leave)) {
        screen_capability("clear", &leave);
        buf_add_text(&leave, "\r\n");
    }
    terminal.enter_length = kept(&enter, terminal.enter, sizeof terminal.enter);
    terminal.modes_length = kept(&modes, terminal.modes, sizeof terminal.modes);
    terminal.leave_length = kept(&leave, terminal.leave, sizeof terminal.leave);
}

static bool in_foreground(void)
{
    pid_t group = tcgetpgrp(STDIN_FILENO);
    return group < 0 || group == getpgrp();
}

void terminal_modes(void)
{
    if (!terminal.active || !in_foreground())
        return;
    set_modes(&terminal.ours);
    line_add(terminal.modes, terminal.modes_length);
}

static void enter(void)
{
    terminal.active = 1;
    set_modes(&terminal.ours);
    line_add(terminal.enter, terminal.enter_length);
    line_add(terminal.modes, terminal.modes_length);
    pace_begin(&terminal.pace, terminal.answers);
    terminal_sent(terminal.enter_length + terminal.modes_length, false);
    screen_enter();
}

/* Safe in a signal handler, for the copies of the sequences are made. */
static void leave(void)
{
    if (!terminal.active || terminal.owner != getpid())
        return;
    terminal.active = 0;
    line_last(terminal.leave, terminal.leave_length);
    if (in_foreground())
        set_modes(&terminal.before);
}

static bool fill(struct key_reader *keys, int milliseconds);

/* An answer that comes when the shell has the terminal would be typed into it. */
static void wait_for_answer(void)
{
    struct key_event event;
    int64_t now = clock_steady(), end = now + pace_last_wait(&terminal.pace, now);
    if (!terminal.pace.asked || terminal.input_ended || line_is_dead() || !in_foreground())
        return;
    unsigned answers = terminal.keys.answers;
    while (terminal.keys.answers == answers && !terminal.input_ended && (now = clock_steady()) < end) {
        fill(&terminal.keys, (int)((end - now) / CLOCK_MILLISECOND) + 1);
        while (key_reader_next(&terminal.keys, clock_steady(), &event))
            ;
    }
    if (terminal.keys.answers == answers)
        tcflush(STDIN_FILENO, TCIFLUSH);
}

static void leave_in_order(void)
{
    if (!terminal.active)
        return;
    line_drop();
    wait_for_answer();
    leave();
}

static void at_exit(void)
{
    leave();
}

/* The same for a program that has failed, with what is safe in a signal handler: an answer under way, and keys that were meant for the deck, are
 * not for the shell. */
static void leave_after_fault(void)
{
    enum { MOMENT = 200 }; /* milliseconds */
    if (terminal.active && terminal.owner == getpid()) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (terminal.pace.asked)
            poll(&input, 1, MOMENT);
        tcflush(STDIN_FILENO, TCIFLUSH);
    }
    leave();
}

/* ncurses puts handlers of its own in the place of default ones. */
static const int signals_kept[] = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH, SIGCONT, SIGHUP};

int terminal_take(const struct terminal_options *options, struct err *err)
{
    static bool registered;
    struct sigaction actions[COUNT_OF(signals_kept)];
    const char *no_colour = getenv("NO_COLOR");
    struct theme theme;
    if (terminal.taken)
        return err_set(err, "the terminal is in use already");
    if (terminal_check(err) || !line_open(err))
        return -1;
    if (tcgetattr(STDIN_FILENO, &terminal.before)) {
        err_set(err, "cannot read the terminal's modes: %s", strerror(errno));
        line_close();
        return -1;
    }
    for (size_t i = 0; i < COUNT_OF(signals_kept); i++)
        sigaction(signals_kept[i], NULL, &actions[i]);
    int result = screen_begin(options->no_colour || (no_colour && *no_colour) ? 0 : -1, err);
    for (size_t i = 0; i < COUNT_OF(signals_kept); i++)
        sigaction(signals_kept[i], &actions[i], NULL);
    if (result) {
        line_close();
        return -1;
    }
    terminal.ours = terminal.before;
    raw_modes(&terminal.ours);
    prepare_sequences(options);
    memset(&terminal.keys, 0, sizeof terminal.keys);
    terminal.input_ended = terminal.end_told = false;
    terminal.owner = getpid();
    terminal.taken = true;
    crash_begin(leave_after_fault);
    if (!registered)
        registered = !atexit(at_exit);
    if (!theme_load("default", &theme, NULL, err))
        terminal_set_theme(&theme);
    enter();
    return 0;
}

void terminal_give_back(void)
{
    if (!terminal.taken)
        return;
    leave_in_order();
    crash_end();
    screen_end();
    line_close();
    terminal.taken = false;
}

void terminal_pause(void)
{
    leave_in_order();
}

void terminal_resume(void)
{
    if (terminal.taken && !terminal.active)
        enter();
}

void terminal_suspend(void)
{
    struct sigaction before, standard = {.sa_handler = SIG_DFL}, ignored = {.sa_handler = SIG_IGN};
    sigset_t stop, mask;
    if (!terminal.active)
        return;
    leave_in_order();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    /* The others of the group first, then this thread itself: a stop that another thread took would come too late. */
    sigaction(SIGTSTP, &ignored, &before);
    kill(0, SIGTSTP);
    sigaction(SIGTSTP, &standard, NULL);
    pthread_sigmask(SIG_UNBLOCK, &stop, &mask);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &before, NULL);
    enter();
}

/* Keys */

static bool fill(struct key_reader *keys, int milliseconds)
{
    struct pollfd poller = {.fd = STDIN_FILENO, .events = POLLIN};
    if (terminal.input_ended || keys->length == sizeof keys->bytes || poll(&poller, 1, milliseconds) != 1)
        return false;
    ssize_t length = read(STDIN_FILENO, keys->bytes + keys->length, sizeof keys->bytes - keys->length);
    if (length > 0) {
        keys->length += (size_t)length;
        keys->at = clock_steady();
        return true;
    }
    terminal.input_ended = length == 0 || (errno != EINTR && errno != EAGAIN);
    return false;
}

static bool next_key(struct key_reader *keys, struct key_event *event)
{
    unsigned answers = keys->answers;
    bool found = key_reader_next(keys, clock_steady(), event);
    if (keys->answers == answers)
        return found;
    pace_answered(&terminal.pace, clock_steady());
    terminal_ask(); /* about what was sent since */
    line_flush();
    return found;
}

bool terminal_key_begun(void)
{
    return terminal.active && (terminal.keys.length || terminal.keys.pasting);
}

bool terminal_read_key(struct key_event *event)
{
    struct key_reader *keys = &terminal.keys;
    if (!terminal.active)
        return false;
    if (next_key(keys, event) || (fill(keys, 0) && next_key(keys, event)))
        return true;
    if (!terminal.input_ended || terminal.end_told)
        return false;
    terminal.end_told = true;
    *event = (struct key_event){.code = KEY_CODE_END_OF_INPUT};
    return true;
}
