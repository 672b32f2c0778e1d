/* The terminal on a pseudo-terminal, with libvterm behind it as the screen that a person sees: what it shows, and what is left when the deck ends, stops,
 * crashes or loses its line. The process under test runs as a shell would run it: in a group of its own, in the foreground. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <vterm.h>

#include "tui/terminal.h"
#include "tui/terminal_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/text.h"

#define DEADLINE (20 * CLOCK_SECOND)

/* --- Keys: bytes to events */

static const struct { const char *bytes; struct key_event event; } key_cases[] = {
    {"a", {.code = 'a'}}, {"\001", {.code = 1}}, {"\032", {.code = 26}}, {"\r", {.code = KEY_CODE_ENTER}}, {"\t", {.code = KEY_CODE_TAB}},
    {"\177", {.code = KEY_CODE_BACKSPACE}}, {"\b", {.code = KEY_CODE_BACKSPACE}}, {"\xc3\xa9", {.code = 0xE9}}, {"\xf0\x9f\x98\x80", {.code = 0x1F600}},
    {"\033", {.code = KEY_CODE_ESCAPE}}, {"\033x", {.code = 'x', .alt = true}}, {"\033\xc3\xa9", {.code = 0xE9, .alt = true}},
    {"\033[", {.code = '[', .alt = true}}, {"\033O", {.code = 'O', .alt = true}}, {"\033]", {.code = ']', .alt = true}},
    {"\033[A", {.code = KEY_CODE_UP}}, {"\033OA", {.code = KEY_CODE_UP}}, {"\033[1;3B", {.code = KEY_CODE_DOWN, .alt = true}},
    {"\033[1;5C", {.code = KEY_CODE_RIGHT}}, {"\033[D", {.code = KEY_CODE_LEFT}}, {"\033[H", {.code = KEY_CODE_HOME}}, {"\033OF", {.code = KEY_CODE_END}},
    {"\033[1~", {.code = KEY_CODE_HOME}}, {"\033[7~", {.code = KEY_CODE_HOME}}, {"\033[4~", {.code = KEY_CODE_END}}, {"\033[3~", {.code = KEY_CODE_DELETE}},
    {"\033[2~", {.code = KEY_CODE_INSERT}}, {"\033[5~", {.code = KEY_CODE_PAGE_UP}}, {"\033[6;5~", {.code = KEY_CODE_PAGE_DOWN}},
    {"\033[Z", {.code = KEY_CODE_BACK_TAB}}, {"\033OP", {.code = KEY_CODE_F1}}, {"\033[11~", {.code = KEY_CODE_F1}}, {"\033[[A", {.code = KEY_CODE_F1}},
    {"\033[[E", {.code = KEY_CODE_F1 + 4}}, {"\033[15~", {.code = KEY_CODE_F1 + 4}}, {"\033[24~", {.code = KEY_CODE_F12}},
    {"\033OM", {.code = KEY_CODE_ENTER}}, {"\033Oq", {.code = '1'}}, {"\033[97;5u", {.code = 1}}, {"\033[27u", {.code = KEY_CODE_ESCAPE}},
    {"\033[<0;5;3M", {.code = KEY_CODE_MOUSE, .row = 2, .column = 4}}, {"\033[<64;1;1M", {.code = KEY_CODE_MOUSE, .wheel = -1}},
    {"\033[<65;300;200M", {.code = KEY_CODE_MOUSE, .row = 199, .column = 299, .wheel = 1}},
    /* Nothing, whole: answers of the terminal, a button let go, moves, other buttons, and what is broken. */
    {"\033[<0;5;3m", {.code = 0}}, {"\033[<2;5;3M", {.code = 0}}, {"\033[<32;5;3M", {.code = 0}}, {"\033[<0;0;0M", {.code = 0}}, {"\033[0n", {.code = 0}},
    {"\033[I", {.code = 0}}, {"\033[24;80R", {.code = 0}}, {"\033[?64;1c", {.code = 0}}, {"\033]11;rgb:0/0/0\033\\", {.code = 0}},
    {"\033]0;x\007", {.code = 0}}, {"\033P1$r0m\033\\", {.code = 0}}, {"\033[M !!", {.code = 0}}, {"\xff", {.code = 0}}, {"\xc3", {.code = 0}},
    {"\033[99999999999999999999~", {.code = 0}}, {"\033[1;2;3;4;5;6;7;8;9;10;11~", {.code = KEY_CODE_HOME}}, {"\033[12", {.code = 0}},
};

static bool events_equal(const struct key_event *one, const struct key_event *other)
{
    return one->code == other->code && one->alt == other->alt && one->row == other->row && one->column == other->column && one->wheel == other->wheel &&
           one->double_click == other->double_click;
}

static void give(struct key_reader *reader, const char *bytes, size_t length, int64_t now)
{
    memcpy(reader->bytes + reader->length, bytes, length);
    reader->length += length;
    reader->at = now;
}

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(key_cases); i++)
        for (int pieces = 0; pieces < 2; pieces++) { /* at once, and byte by byte, as over a slow line */
            struct key_reader reader = {.length = 0};
            struct key_event event = {.code = 0}, extra;
            size_t length = strlen(key_cases[i].bytes);
            int64_t now = CLOCK_SECOND;
            bool found = false;
            for (size_t at = 0; at < length; at += pieces ? 1 : length) {
                give(&reader, key_cases[i].bytes + at, pieces ? 1 : length, now += CLOCK_MILLISECOND);
                if (key_reader_next(&reader, now, &event)) {
                    CASE_ASSERT(i, !found);
                    found = true;
                }
            }
            if (!found)
                found = key_reader_next(&reader, now + CLOCK_SECOND, &event);
            CASE_ASSERT(i, found == (key_cases[i].event.code != 0));
            CASE_ASSERT(i, !found || events_equal(&event, &key_cases[i].event));
            CASE_ASSERT(i, !key_reader_next(&reader, now + CLOCK_SECOND, &extra) && reader.length == 0);
        }
}

static void test_escape_waits(void **state)
{
    struct key_reader reader = {.length = 0};
    struct key_event event;
    (void)state;
    give(&reader, "\033", 1, CLOCK_SECOND);
    assert_false(key_reader_next(&reader, CLOCK_SECOND + 10 * CLOCK_MILLISECOND, &event));
    assert_true(key_reader_next(&reader, CLOCK_SECOND + 25 * CLOCK_MILLISECOND, &event));
    assert_int_equal(event.code, KEY_CODE_ESCAPE);
    give(&reader, "\033[5", 3, CLOCK_SECOND); /* the rest is late, but comes */
    assert_false(key_reader_next(&reader, CLOCK_SECOND + 100 * CLOCK_MILLISECOND, &event));
    give(&reader, "~", 1, CLOCK_SECOND);
    assert_true(key_reader_next(&reader, CLOCK_SECOND, &event));
    assert_int_equal(event.code, KEY_CODE_PAGE_UP);
}

/* The answer to the terminal's status may come in parts, long after each other, and in the middle of what is pasted. */
static void test_answers(void **state)
{
    static const struct { const char *parts[4]; int gap; uint32_t keys[4]; unsigned answers; } cases[] = {
        {{"\033[0n"}, 0, {0}, 1},
        {{"\033", "[0n"}, 100, {0}, 1},
        {{"\033", "[0n"}, 800, {KEY_CODE_ESCAPE}, 1},
        {{"\033", "[", "0n"}, 200, {0}, 1},
        {{"\033[0", "n"}, 2000, {0}, 1},
        {{"a\033[0nb"}, 0, {'a', 'b'}, 1},
        {{"\033\033[0nb"}, 0, {KEY_CODE_ESCAPE, 'b'}, 1},
        {{"\033", "[x"}, 800, {KEY_CODE_ESCAPE, '[', 'x'}, 0},
        {{"\033[200~ab\033[0nc", "\033[201~"}, 10, {KEY_CODE_PASTE, 'a', 'b', 'c'}, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct key_reader reader = {.expecting = true};
        struct key_event event;
        size_t count = 0;
        int64_t now = CLOCK_SECOND;
        for (size_t part = 0; part < COUNT_OF(cases[i].parts) && cases[i].parts[part]; part++) {
            give(&reader, cases[i].parts[part], strlen(cases[i].parts[part]), now);
            for (int64_t end = now + cases[i].gap * CLOCK_MILLISECOND; now <= end; now += 5 * CLOCK_MILLISECOND)
                while (key_reader_next(&reader, now, &event) && event.code != KEY_CODE_PASTE_END) {
                    CASE_ASSERT(i, count < 4 && event.code == cases[i].keys[count]);
                    count++;
                }
        }
        CASE_ASSERT(i, (count == 4 || !cases[i].keys[count]) && reader.answers == cases[i].answers && !reader.length);
    }
}

static void test_double_click(void **state)
{
    struct key_reader reader = {.length = 0};
    struct key_event event;
    static const struct { const char *bytes; int64_t milliseconds; bool twice; } clicks[] = {
        {"\033[<0;5;3M", 1000, false}, {"\033[<0;5;3M", 1200, true}, {"\033[<0;5;3M", 1300, false}, {"\033[<0;6;3M", 1400, false},
        {"\033[<0;6;3M", 2400, false}, {"\033[<0;6;3M", 2500, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(clicks); i++) {
        give(&reader, clicks[i].bytes, strlen(clicks[i].bytes), clicks[i].milliseconds * CLOCK_MILLISECOND);
        CASE_ASSERT(i, key_reader_next(&reader, clicks[i].milliseconds * CLOCK_MILLISECOND, &event));
        CASE_ASSERT(i, event.double_click == clicks[i].twice);
    }
}

static void test_paste(void **state)
{
    struct key_reader reader = {.length = 0};
    struct key_event event;
    static const char pasted[] = "\033[200~q:\033[A\003\r\xc3\xa9\033[201~q";
    /* "[A" is left of the sequence: text, as it is in a paste; the Esc and the ctrl-c are gone. */
    static const uint32_t codes[] = {KEY_CODE_PASTE, 'q', ':', '[', 'A', KEY_CODE_ENTER, 0xE9, KEY_CODE_PASTE_END, 'q'};
    (void)state;
    give(&reader, pasted, sizeof pasted - 1, CLOCK_SECOND);
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        CASE_ASSERT(i, key_reader_next(&reader, CLOCK_SECOND, &event));
        CASE_ASSERT(i, event.code == codes[i]);
    }
    give(&reader, "\033[200~x", 7, CLOCK_SECOND); /* the end never comes */
    assert_true(key_reader_next(&reader, CLOCK_SECOND, &event) && key_reader_next(&reader, CLOCK_SECOND, &event));
    assert_false(key_reader_next(&reader, CLOCK_SECOND + CLOCK_SECOND / 2, &event));
    assert_true(key_reader_next(&reader, 3 * CLOCK_SECOND, &event));
    assert_int_equal(event.code, KEY_CODE_PASTE_END);
}

static void test_random_keys(void **state)
{
    static const char pieces[] = "\033\033\033[[[O]P<;;01269~~MmAu?\\\007\r\xc3\xa9\xf0\x9f\xff x";
    struct key_reader reader = {.length = 0};
    struct key_event event;
    unsigned seed = 1;
    int64_t now = CLOCK_SECOND;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char byte = pieces[rand_r(&seed) % (sizeof pieces - 1)];
        give(&reader, &byte, 1, now += rand_r(&seed) % 3 ? 0 : 30 * CLOCK_MILLISECOND);
        while (key_reader_next(&reader, now, &event))
            assert_true(event.code != 0 && event.code <= KEY_CODE_PASTE_END);
        assert_true(reader.length < sizeof reader.bytes);
    }
    while (key_reader_next(&reader, now += 2 * CLOCK_SECOND, &event))
        ;
    assert_int_equal(reader.length, 0);
}

/* --- The process under test: shows the last key, and does what some keys ask for */

static unsigned news; /* 0: there are none; else they come 20 times a second */

static void draw(struct surface *surface, const char *said)
{
    int rows, columns;
    terminal_size(&rows, &columns);
    surface_resize(surface, rows, columns);
    surface->ascii = !terminal_is_utf8();
    struct area area = area_whole(surface), selected;
    area_fill(&area);
    area_format(&area, 0, 0, STYLE_TEXT, "size %dx%d colours %d", rows, columns, terminal_colours());
    area_text(&area, 1, 0, STYLE_GOOD, "\xe4\xb8\xad\xe6\x96\x87 a\xcc\x81 \xe2\x97\x8f end");
    area_text(&area, 2, 0, STYLE_BAD, "bad");
    selected = area_part(&area, 3, 0, 1, columns);
    selected.ground = GROUND_SELECTED;
    area_fill(&selected);
    area_text(&selected, 0, 0, STYLE_TEXT, "selected");
    area_text(&area, 4, 0, STYLE_TEXT, said);
    area_text(&area, rows - 1, columns - 4, STYLE_TEXT, "last");
    for (int row = 6; news && row < 22; row++)
        area_format(&area, row, row, STYLE_TEXT, "%u %u", news * 7919 % 10007 + (unsigned)row, news * 104729 % 9973);
    if (!strcmp(said, "cursor")) {
        surface->cursor_row = 4;
        surface->cursor_column = 7;
    }
}

static void ended(int number)
{
    exit(128 + number); /* not through terminal_give_back */
}

static const uintptr_t nowhere_at = 16;
static void *volatile nowhere;

static void obey(const struct key_event *key, char *said, size_t size)
{
    snprintf(said, size, "key %x%s", key->code, key->alt ? " alt" : "");
    switch (key->code) {
    case 'q':
        terminal_give_back();
        terminal_give_back();
        exit(0);
    case 'x':
        exit(3);
    case 'c':
        *(volatile int *)nowhere = 1;
        break;
    case 'a':
        abort();
    case 'p':
        terminal_pause();
        if (write(STDOUT_FILENO, "paused\n", 7) < 0 || getchar() == EOF)
            exit(4);
        terminal_resume();
        snprintf(said, size, "resumed");
        break;
    case 26:
        terminal_suspend();
        snprintf(said, size, "continued");
        break;
    case 'u':
        snprintf(said, size, "cursor");
        break;
    case 'N':
        news = 1;
        break;
    case 12:
        terminal_redraw();
        break;
    case KEY_CODE_MOUSE:
        snprintf(said, size, "mouse %d %d wheel %d%s", key->row, key->column, key->wheel, key->double_click ? " twice" : "");
        break;
    case KEY_CODE_END_OF_INPUT:
        exit(5);
    }
}

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

static void deck(const struct terminal_options *options)
{
    struct surface surface = {.rows = 0};
    struct key_event key;
    struct err err;
    char said[128] = "ready";
    nowhere = (void *)nowhere_at;
    setlocale(LC_ALL, "");
    signal(SIGWINCH, on_resize);
    signal(SIGTERM, ended);
    signal(SIGHUP, ended);
    if (terminal_take(options, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(9);
    }
    for (;;) {
        resized = 0;
        draw(&surface, said);
        while (!terminal_show(&surface))
            poll(&(struct pollfd){.fd = terminal_output(), .events = POLLOUT}, 1, 100);
        for (bool any = false, pressed = false; (!any || (news && terminal_wait(pressed))) && !resized;) {
            poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 25);
            any |= news > 0;
            news += news > 0;
            while (terminal_read_key(&key)) {
                any = pressed = true;
                obey(&key, said, sizeof said);
            }
        }
    }
}

/* --- The person's side */

struct seat {
    pid_t leader;
    int master, control;       /* a byte on control: fg */
    VTerm *vterm;
    VTermScreen *screen;
    bool alternate, cursor, gone;
    int mouse;
    size_t bytes;              /* that came from the process */
    struct buf text, raw;
    struct termios before;
};

static int on_property(VTermProp property, VTermValue *value, void *context)
{
    struct seat *seat = context;
    if (property == VTERM_PROP_ALTSCREEN)
        seat->alternate = value->boolean;
    if (property == VTERM_PROP_CURSORVISIBLE)
        seat->cursor = value->boolean;
    if (property == VTERM_PROP_MOUSE)
        seat->mouse = value->number;
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_property};

/* What a shell does: gives the terminal to a job, takes it back when the job stops or ends, with its own modes. */
static void lead(int control, const struct terminal_options *options)
{
    struct termios modes;
    char byte;
    int status, stops = 0;
    signal(SIGTTOU, SIG_IGN);
    tcgetattr(STDIN_FILENO, &modes);
    pid_t job = fork();
    if (!job) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        tcsetpgrp(STDIN_FILENO, getpid());
        for (int number = 1; number < 32; number++) /* also cmocka's own */
            signal(number, SIG_DFL);
        deck(options);
    }
    setpgid(job, job);
    tcsetpgrp(STDIN_FILENO, job);
    while (waitpid(job, &status, WUNTRACED) == job) {
        tcsetpgrp(STDIN_FILENO, getpgrp());
        if (!WIFSTOPPED(status)) {
            printf("ended %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 1000 + WEXITSTATUS(status));
            break;
        }
        printf("\r\nstopped %d\r\n", ++stops);
        fflush(stdout);
        if (read(control, &byte, 1) != 1)
            break;
        tcsetpgrp(STDIN_FILENO, job);
        kill(-job, SIGCONT);
    }
    fflush(stdout);
    if (read(control, &byte, 1) >= 0) /* until the person goes, so that the screen stays */
        _exit(0);
}

static struct seat *volatile taken_seat; /* the child has a copy, which it must not call lost */

static struct seat *sit(const char *term, const char *locale, int rows, int columns, const struct terminal_options *options)
{
    struct seat *seat = taken_seat = mem_alloc(1, sizeof *seat);
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    int control[2];
    assert_int_equal(pipe(control), 0);
    seat->vterm = vterm_new(rows, columns);
    vterm_set_utf8(seat->vterm, 1);
    seat->screen = vterm_obtain_screen(seat->vterm);
    vterm_screen_set_callbacks(seat->screen, &callbacks, seat);
    vterm_screen_enable_altscreen(seat->screen, 1);
    vterm_screen_reset(seat->screen, 1);
    seat->leader = forkpty(&seat->master, NULL, NULL, &size);
    assert_true(seat->leader >= 0);
    if (!seat->leader) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("TERM", term, 1);
        setenv("LC_ALL", locale, 1);
        close(control[1]);
        printf("$ wgdeck\n");
        fflush(stdout);
        lead(control[0], options);
        _exit(0);
    }
    close(control[0]);
    seat->control = control[1];
    tcgetattr(seat->master, &seat->before);
    return seat;
}

static void type(struct seat *seat, const char *bytes)
{
    assert_int_equal(write(seat->master, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
}

/* What the process says goes to the screen; what the screen answers, back. */
static void pump(struct seat *seat, int milliseconds)
{
    char bytes[4096];
    struct pollfd poller = {.fd = seat->master, .events = POLLIN};
    if (poll(&poller, 1, milliseconds) != 1)
        return;
    ssize_t length = read(seat->master, bytes, sizeof bytes);
    if (length <= 0) {
        seat->gone = true;
        return;
    }
    seat->bytes += (size_t)length;
    buf_add(&seat->raw, bytes, (size_t)length);
    vterm_input_write(seat->vterm, bytes, (size_t)length);
    size_t answer = vterm_output_read(seat->vterm, bytes, sizeof bytes);
    if (answer && write(seat->master, bytes, answer) < 0)
        seat->gone = true;
}

/* Between the process and the screen: so many bytes a second, and before them memory of HOLDS bytes (ssh's, a pty's). */
struct slow_line {
    size_t rate, holds;
    struct buf held;
    int64_t at;     /* up to when its bytes were passed on */
};

static void pump_slowly(struct seat *seat, struct slow_line *line)
{
    char bytes[4096];
    struct pollfd poller = {.fd = seat->master, .events = POLLIN};
    size_t room = line->holds > line->held.length ? line->holds - line->held.length : 0;
    if (poll(&poller, room > 0, 5) == 1) {
        ssize_t length = read(seat->master, bytes, room < sizeof bytes ? room : sizeof bytes);
        seat->gone |= length <= 0;
        if (length > 0)
            buf_add(&line->held, bytes, (size_t)length);
    }
    int64_t now = clock_steady(), step = CLOCK_SECOND / (int64_t)line->rate;
    size_t passed = 0;
    if (!line->held.length || line->at < now - CLOCK_SECOND)
        line->at = now;
    for (; line->at + step <= now && passed < line->held.length; line->at += step)
        passed++;
    if (!passed)
        return;
    vterm_input_write(seat->vterm, (const char *)line->held.data, passed);
    memmove(line->held.data, line->held.data + passed, line->held.length -= passed);
    size_t answer = vterm_output_read(seat->vterm, bytes, sizeof bytes);
    if (answer && write(seat->master, bytes, answer) < 0)
        seat->gone = true;
}

static void add_utf8(struct buf *buf, uint32_t character)
{
    char bytes[MB_LEN_MAX + 1];
    int length = wctomb(bytes, (wchar_t)character);
    if (length > 0)
        buf_add(buf, bytes, (size_t)length);
}

static const char *screen_text(struct seat *seat)
{
    int rows, columns;
    VTermScreenCell cell;
    buf_clear(&seat->text);
    vterm_get_size(seat->vterm, &rows, &columns);
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column += cell.width > 1 ? cell.width : 1) {
            vterm_screen_get_cell(seat->screen, (VTermPos){.row = row, .col = column}, &cell);
            if (!cell.chars[0])
                buf_add_char(&seat->text, ' ');
            for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]; i++)
                add_utf8(&seat->text, cell.chars[i]);
        }
        while (seat->text.length && seat->text.data[seat->text.length - 1] == ' ')
            seat->text.length--;
        buf_add_char(&seat->text, '\n');
    }
    return buf_text(&seat->text);
}

static void until(struct seat *seat, const char *wanted)
{
    int64_t deadline = clock_steady() + DEADLINE;
    while (!strstr(screen_text(seat), wanted)) {
        if (clock_steady() > deadline || seat->gone)
            fail_msg("no '%s' on the screen:\n%s", wanted, buf_text(&seat->text));
        pump(seat, 50);
    }
}

static void get_up(struct seat *seat)
{
    close(seat->control);
    kill(seat->leader, SIGKILL);
    close(seat->master);
    waitpid(seat->leader, NULL, 0);
    vterm_free(seat->vterm);
    buf_free(&seat->text);
    buf_free(&seat->raw);
    free(seat);
}

static bool paste_is_on(struct seat *seat)
{
    char bytes[64];
    vterm_keyboard_start_paste(seat->vterm);
    return vterm_output_read(seat->vterm, bytes, sizeof bytes) > 0;
}

/* As before the deck: the shell's screen, its modes, no mouse, a cursor, no colours. */
static void assert_sane(struct seat *seat)
{
    struct termios now;
    VTermScreenCell cell;
    VTermPos at;
    assert_false(seat->alternate);
    assert_true(seat->cursor);
    assert_int_equal(seat->mouse, 0);
    assert_false(paste_is_on(seat));
    assert_int_equal(tcgetattr(seat->master, &now), 0);
    assert_int_equal(now.c_lflag, seat->before.c_lflag);
    assert_int_equal(now.c_iflag, seat->before.c_iflag);
    assert_int_equal(now.c_oflag, seat->before.c_oflag);
    assert_int_equal(now.c_cflag, seat->before.c_cflag);
    assert_memory_equal(now.c_cc, seat->before.c_cc, sizeof now.c_cc);
    assert_non_null(strstr(screen_text(seat), "$ wgdeck"));
    vterm_state_get_cursorpos(vterm_obtain_state(seat->vterm), &at);
    at.row -= 1; /* "ended ..." was written with the attributes that were left */
    at.col = 0;
    vterm_screen_get_cell(seat->screen, at, &cell);
    assert_false(cell.attrs.bold || cell.attrs.reverse || cell.attrs.underline);
}

static const struct terminal_options usual = {.ascii = false};

static struct seat *sit_as_usual(void)
{
    struct seat *seat = sit("xterm-256color", "C.UTF-8", 24, 80, &usual);
    until(seat, "ready");
    return seat;
}

static void test_shows(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    assert_true(seat->alternate);
    assert_false(seat->cursor);
    assert_true(seat->mouse != 0);
    assert_true(paste_is_on(seat));
    assert_non_null(strstr(screen_text(seat), "size 24x80 colours 256\n\xe4\xb8\xad\xe6\x96\x87 a\xcc\x81 \xe2\x97\x8f end\nbad\nselected\nready\n"));
    assert_string_equal(screen_text(seat) + strlen(screen_text(seat)) - 5, "last\n");
    type(seat, "u");
    until(seat, "cursor");
    assert_true(seat->cursor);
    VTermPos at;
    vterm_state_get_cursorpos(vterm_obtain_state(seat->vterm), &at);
    assert_int_equal(at.row, 4);
    assert_int_equal(at.col, 7);
    type(seat, "\033[<0;5;3M");
    until(seat, "mouse 2 4 wheel 0");
    type(seat, "\033");
    char escape[32];
    snprintf(escape, sizeof escape, "key %x\n", KEY_CODE_ESCAPE);
    until(seat, escape);
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

static void test_no_mouse(void **state)
{
    static const struct terminal_options options = {.no_mouse = true};
    (void)state;
    struct seat *seat = sit("xterm-256color", "C.UTF-8", 24, 80, &options);
    until(seat, "ready");
    assert_int_equal(seat->mouse, 0);
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

/* Every way to end. */
static void test_ends(void **state)
{
    static const struct { const char *keys; int signal; const char *seen; } cases[] = {
        {"q", 0, "ended 1000"}, {"x", 0, "ended 1003"}, {"", SIGTERM, "ended 1143"}, {"c", 0, "crashed: SIGSEGV at 0x10"}, {"a", 0, "crashed: SIGABRT"},
        {"", SIGBUS, "crashed: SIGBUS"}, {"", SIGILL, "crashed: SIGILL"}, {"", SIGFPE, "crashed: SIGFPE"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seat *seat = sit_as_usual();
        type(seat, cases[i].keys);
        if (cases[i].signal)
            assert_int_equal(kill(-tcgetpgrp(seat->master), cases[i].signal), 0);
        until(seat, "ended");
        struct buf everything = BUF_EMPTY; /* a long report may have scrolled */
        buf_add(&everything, buf_text(&seat->raw), seat->raw.length);
        CASE_ASSERT(i, memmem(everything.data, everything.length, cases[i].seen, strlen(cases[i].seen)));
        buf_free(&everything);
        if (!strncmp(cases[i].seen, "ended", 5))
            assert_sane(seat);
        CASE_ASSERT(i, !seat->alternate && seat->cursor && !seat->mouse && !paste_is_on(seat));
        struct termios now;
        tcgetattr(seat->master, &now);
        CASE_ASSERT(i, now.c_lflag == seat->before.c_lflag && now.c_oflag == seat->before.c_oflag && now.c_iflag == seat->before.c_iflag);
        get_up(seat);
    }
}

static void go_on(struct seat *seat)
{
    assert_int_equal(write(seat->control, "f", 1), 1);
}

static void test_stops(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    for (int round = 0; round < 3; round++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "stopped %d", round + 1);
        type(seat, "\032");
        until(seat, wanted);
        assert_sane(seat);
        go_on(seat);
        until(seat, "continued\n");
        assert_true(seat->alternate && !seat->cursor && seat->mouse);
        type(seat, "k");
        until(seat, "key 6b");
    }
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

/* SIGSTOP gives no time to give anything back; ctrl-l repairs what the shell changed. */
static void test_stopped_hard(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    struct termios raw;
    assert_int_equal(kill(-tcgetpgrp(seat->master), SIGSTOP), 0);
    until(seat, "stopped");
    tcgetattr(seat->master, &raw);
    tcsetattr(seat->master, TCSANOW, &seat->before); /* as a shell does */
    vterm_input_write(seat->vterm, "\033[?2004l", 8);
    go_on(seat);
    type(seat, "\n\014\n"); /* the line discipline is the shell's: a line at a time */
    until(seat, "key");
    until(seat, "size 24x80");
    type(seat, "k");
    until(seat, "key 6b");
    struct termios now;
    tcgetattr(seat->master, &now);
    assert_int_equal(now.c_lflag, raw.c_lflag);
    assert_true(paste_is_on(seat));
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

static void test_pause(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    type(seat, "p");
    until(seat, "paused");
    assert_sane(seat);
    type(seat, "\n");
    until(seat, "resumed");
    assert_true(seat->alternate);
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

static void test_sizes(void **state)
{
    static const struct { int rows, columns; } sizes[] = {{5, 20}, {100, 400}, {1, 1}, {2, 2}, {24, 80}, {3, 200}, {200, 3}, {24, 81}, {16, 60}};
    (void)state;
    struct seat *seat = sit_as_usual();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct winsize size = {.ws_row = (unsigned short)sizes[i].rows, .ws_col = (unsigned short)sizes[i].columns};
        char wanted[64];
        vterm_set_size(seat->vterm, sizes[i].rows, sizes[i].columns);
        assert_int_equal(ioctl(seat->master, TIOCSWINSZ, &size), 0);
        snprintf(wanted, sizeof wanted, "size %dx%d colours 256", sizes[i].rows, sizes[i].columns);
        if (sizes[i].columns < (int)strlen(wanted))
            wanted[sizes[i].columns] = '\0';
        if (sizes[i].rows > 1 && sizes[i].columns >= 20) {
            until(seat, wanted);
            until(seat, "last");
        } else {
            pump(seat, 300);
        }
    }
    for (int i = 0; i < 100; i++) { /* a window that is dragged about */
        struct winsize size = {.ws_row = (unsigned short)(1 + i * 7 % 60), .ws_col = (unsigned short)(1 + i * 13 % 150)};
        vterm_set_size(seat->vterm, size.ws_row, size.ws_col);
        assert_int_equal(ioctl(seat->master, TIOCSWINSZ, &size), 0);
        pump(seat, 1);
    }
    struct winsize size = {.ws_row = 10, .ws_col = 40};
    vterm_set_size(seat->vterm, 10, 40);
    assert_int_equal(ioctl(seat->master, TIOCSWINSZ, &size), 0);
    until(seat, "size 10x40 colours 256\n");
    type(seat, "q");
    until(seat, "ended 1000");
    get_up(seat);
}

/* What each TERM has of colours, and that states and grounds can still be told apart. */
static void test_colours(void **state)
{
    static const struct { const char *term, *no_colour; int colours; } cases[] = {
        {"xterm-256color", "", 256}, {"tmux-256color", "", 256}, {"xterm", "", 8}, {"linux", "", 8}, {"vt100", "", 0}, {"vt220", "", 0},
        {"xterm-256color", "1", 0}, {"screen", "", 8}, {"rxvt", "", 8},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char wanted[64];
        setenv("NO_COLOR", cases[i].no_colour, 1);
        struct seat *seat = sit(cases[i].term, "C.UTF-8", 24, 80, &usual);
        unsetenv("NO_COLOR");
        snprintf(wanted, sizeof wanted, "size 24x80 colours %d\n", cases[i].colours);
        until(seat, wanted);
        until(seat, "ready");
        VTermScreenCell plain, bad, selected;
        vterm_screen_get_cell(seat->screen, (VTermPos){.row = 0, .col = 0}, &plain);
        vterm_screen_get_cell(seat->screen, (VTermPos){.row = 2, .col = 0}, &bad);
        vterm_screen_get_cell(seat->screen, (VTermPos){.row = 3, .col = 0}, &selected);
        if (cases[i].colours) {
            CASE_ASSERT(i, memcmp(&plain.fg, &bad.fg, sizeof plain.fg) != 0);
            CASE_ASSERT(i, memcmp(&plain.bg, &selected.bg, sizeof plain.bg) != 0 || plain.attrs.reverse != selected.attrs.reverse);
        } else {
            CASE_ASSERT(i, bad.attrs.bold && bad.attrs.reverse && selected.attrs.reverse && !plain.attrs.reverse && !plain.attrs.bold);
            CASE_ASSERT(i, !memcmp(&plain.fg, &bad.fg, sizeof plain.fg));
        }
        type(seat, "q");
        until(seat, "ended 1000");
        get_up(seat);
    }
}

static void test_direct_colour(void **state)
{
    (void)state;
    if (access("/usr/share/terminfo/x/xterm-direct", F_OK) && access("/lib/terminfo/x/xterm-direct", F_OK))
        skip(); /* ncurses-term is not installed */
    struct seat *seat = sit("xterm-direct", "C.UTF-8", 24, 80, &usual);
    until(seat, "colours 16777216");
    until(seat, "ready");
    assert_non_null(memmem(seat->raw.data, seat->raw.length, "38:2::213:218:227", 17)); /* the default theme's text */
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

static void test_not_utf8(void **state)
{
    (void)state;
    struct seat *seat = sit("xterm-256color", "C", 24, 80, &usual);
    until(seat, "ready");
    assert_non_null(strstr(screen_text(seat), "\n???? a ? end\n"));
    for (size_t i = 0; i < seat->raw.length; i++)
        assert_true((unsigned char)seat->raw.data[i] < 0x80);
    type(seat, "q");
    until(seat, "ended 1000");
    get_up(seat);
}

/* Only what changed is sent. */
static void test_few_bytes(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    assert_true(seat->bytes < 2000);
    type(seat, "k");
    until(seat, "key 6b");
    size_t before = seat->bytes;
    type(seat, "l");
    until(seat, "key 6c");
    assert_true(seat->bytes - before < 40);
    before = seat->bytes;
    type(seat, "l"); /* nothing changes */
    type(seat, "m");
    until(seat, "key 6d");
    assert_true(seat->bytes - before < 40);
    type(seat, "q");
    until(seat, "ended 1000");
    get_up(seat);
}

/* The person does not read: the process neither hangs nor fills memory, and ends when the terminal goes. */
static void test_line_that_stands(void **state)
{
    (void)state;
    struct seat *seat = sit_as_usual();
    for (int i = 0; i < 400; i++) /* each: a whole screen anew */
        type(seat, i % 2 ? "\014" : "k");
    int64_t pause = clock_steady() + CLOCK_SECOND / 2;
    while (clock_steady() < pause)
        poll(NULL, 0, 50);
    type(seat, "y");
    until(seat, "key 79"); /* and when they read again, it is the newest */
    type(seat, "q");
    until(seat, "ended 1000");
    assert_sane(seat);
    get_up(seat);
}

static double seconds_until(struct seat *seat, struct slow_line *line, const char *wanted)
{
    int64_t begun = clock_steady();
    while (!strstr(screen_text(seat), wanted)) {
        if (clock_steady() > begun + DEADLINE || seat->gone)
            fail_msg("no '%s' on the screen:\n%s", wanted, buf_text(&seat->text));
        pump_slowly(seat, line);
    }
    return (double)(clock_steady() - begun) / (double)CLOCK_SECOND;
}

/* News 20 times a second over 9,600 baud, with and without much memory in between: a key is not behind them. */
static void test_slow_line(void **state)
{
    static const size_t memory[] = {256, 65536};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(memory); i++) {
        struct slow_line line = {.rate = 960, .holds = memory[i]};
        struct seat *seat = sit("xterm-256color", "C.UTF-8", 24, 80, &usual);
        seconds_until(seat, &line, "ready");
        type(seat, "N");
        for (int64_t end = clock_steady() + 4 * CLOCK_SECOND; clock_steady() < end;)
            pump_slowly(seat, &line);
        for (int key = 0; key < 6; key++) {
            char name[2] = {(char)('f' + key), '\0'}, wanted[16];
            snprintf(wanted, sizeof wanted, "key %x\n", 'f' + key);
            type(seat, name);
            double seconds = seconds_until(seat, &line, wanted);
            if (seconds > 2)
                fail_msg("case %zu: %s is on the screen after %.2f s", i, wanted, seconds);
            for (int64_t end = clock_steady() + (key * 190 + 100) * CLOCK_MILLISECOND; clock_steady() < end;)
                pump_slowly(seat, &line);
        }
        type(seat, "q");
        seconds_until(seat, &line, "ended 1000");
        for (int64_t end = clock_steady() + CLOCK_SECOND; clock_steady() < end;)
            pump_slowly(seat, &line);
        CASE_ASSERT(i, !strstr(screen_text(seat), "[0n"));
        buf_free(&line.held);
        get_up(seat);
    }
}

/* The terminal's answers are for the deck, not for the shell that comes after it. */
static void test_no_answer_left(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        struct seat *seat = sit_as_usual();
        type(seat, i % 3 == 0 ? "\014q" : i % 3 == 1 ? "kk\014\032" : "Nk\014q");
        until(seat, i % 3 == 1 ? "stopped" : "ended 1000");
        for (int more = 0; more < 5; more++)
            pump(seat, 10);
        CASE_ASSERT((size_t)i, !strstr(screen_text(seat), "[0n"));
        get_up(seat);
    }
}

static void test_refuses(void **state)
{
    static const struct { const char *term, *seen; } cases[] = {
        {"dumb", "TERM is 'dumb'"}, {"", "TERM is not set"}, {"no-such-terminal", "terminfo does not know"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seat *seat = sit(cases[i].term, "C.UTF-8", 24, 200, &usual);
        until(seat, "ended 1009");
        CASE_ASSERT(i, strstr(screen_text(seat), cases[i].seen) && strstr(screen_text(seat), "wgdeck status -w 2"));
        assert_sane(seat);
        get_up(seat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_escape_waits), cmocka_unit_test(test_answers),   cmocka_unit_test(test_double_click), cmocka_unit_test(test_paste),
        cmocka_unit_test(test_random_keys),   cmocka_unit_test(test_shows),        cmocka_unit_test(test_no_mouse),     cmocka_unit_test(test_ends),
        cmocka_unit_test(test_stops),         cmocka_unit_test(test_stopped_hard), cmocka_unit_test(test_pause),        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_colours),       cmocka_unit_test(test_direct_colour), cmocka_unit_test(test_not_utf8),    cmocka_unit_test(test_few_bytes),
        cmocka_unit_test(test_line_that_stands), cmocka_unit_test(test_refuses),      cmocka_unit_test(test_slow_line),
        cmocka_unit_test(test_no_answer_left),
    };
    setlocale(LC_ALL, "C.UTF-8");
    unsetenv("NO_COLOR");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
