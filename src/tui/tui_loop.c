/* The deck on a loop. A key is handled and drawn in the same turn; news wait for their turn on the line (terminal_wait), the newest winning, and nothing
 * is drawn while the descriptor is still busy with the last one. */
#include "tui_loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define TICK 1.0          /* ages on the screen */
#define NOTICE_TIME 6.0
#define ESCAPE_TIME 0.025 /* an Esc alone is one after this */

struct tui_loop {
    struct ev_io input, output;
    struct ev_prepare prepare;
    struct ev_timer turn, tick, notice, escape;
    struct ev_signal signals[6];
    size_t signal_count;
    bool paused, running;
};

static void wait_for_output(struct tui *tui)
{
    tui->busy = true;
    ev_io_start(tui->loop, &tui->watchers->output);
}

static void draw_now(struct tui *tui)
{
    bool dirty = tui->dirty, news = tui->news;
    int rows, columns;
    terminal_size(&rows, &columns);
    if (rows != tui->surface.rows || columns != tui->surface.columns)
        surface_resize(&tui->surface, rows, columns);
    tui->surface.ascii = tui->options.ascii || !terminal_is_utf8();
    tui_draw(tui, &tui->surface);
    tui->dirty = tui->news = false;
    if (terminal_show(&tui->surface))
        return;
    tui->dirty |= dirty; /* it may be that nothing of it was sent */
    tui->news |= news;
    wait_for_output(tui);
}

static void on_prepare(struct ev_loop *loop, struct ev_prepare *prepare, int events)
{
    struct tui *tui = prepare->data;
    struct tui_loop *watchers = tui->watchers;
    (void)events;
    if (tui->over || watchers->paused || tui->busy)
        return;
    if (!terminal_flush()) {
        wait_for_output(tui);
        return;
    }
    if (!tui->dirty && !tui->news)
        return;
    int64_t wait = terminal_wait(tui->dirty);
    ev_timer_stop(loop, &watchers->turn);
    if (!wait) {
        draw_now(tui);
        return;
    }
    ev_timer_set(&watchers->turn, (double)wait / (double)CLOCK_SECOND, 0);
    ev_timer_start(loop, &watchers->turn);
}

/* The prepare watcher looks again. */
static void on_turn(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static void on_writable(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct tui *tui = io->data;
    (void)events;
    if (!terminal_flush())
        return;
    ev_io_stop(loop, io);
    tui->busy = false;
}

static void read_keys(struct tui *tui)
{
    struct key_event key;
    while (!tui->over && !tui->watchers->paused && terminal_read_key(&key))
        tui_key(tui, &key);
}

static void await_rest(struct tui *tui)
{
    struct tui_loop *watchers = tui->watchers;
    ev_timer_stop(tui->loop, &watchers->escape);
    if (tui->over || watchers->paused || !terminal_key_begun())
        return;
    ev_timer_set(&watchers->escape, ESCAPE_TIME, 0);
    ev_timer_start(tui->loop, &watchers->escape);
}

static void on_input(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct tui *tui = io->data;
    (void)loop;
    (void)events;
    read_keys(tui);
    await_rest(tui);
}

static void on_escape(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct tui *tui = timer->data;
    (void)loop;
    (void)events;
    if (!tui->watchers->paused)
        read_keys(tui);
    await_rest(tui);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct tui *tui = timer->data;
    (void)loop;
    (void)events;
    tui->news |= !tui->scene.frozen;
}

static void on_notice(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct tui *tui = timer->data;
    (void)loop;
    (void)events;
    buf_clear(&tui->notice);
    tui->dirty = true;
}

static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct tui *tui = watcher->data;
    (void)loop;
    (void)events;
    switch (watcher->signum) {
    case SIGWINCH:
        tui->dirty = true;
        break;
    case SIGCONT:
        tui->dirty = true;
        if (!tui->watchers->paused)
            terminal_redraw();
        break;
    case SIGTSTP:
        if (!tui->watchers->paused)
            tui_act(tui, ACTION_SUSPEND);
        break;
    default:
        tui->signal = watcher->signum;
        tui_leave(tui);
    }
}

void tui_loop_begin(struct tui *tui)
{
    static const int signals[] = {SIGWINCH, SIGCONT, SIGTSTP, SIGTERM, SIGHUP, SIGINT};
    struct tui_loop *watchers = tui->watchers = mem_alloc(1, sizeof *watchers);
    ev_io_init(&watchers->input, on_input, STDIN_FILENO, EV_READ);
    ev_io_init(&watchers->output, on_writable, terminal_output(), EV_WRITE);
    ev_prepare_init(&watchers->prepare, on_prepare);
    ev_timer_init(&watchers->turn, on_turn, 0, 0);
    ev_timer_init(&watchers->tick, on_tick, TICK, TICK);
    ev_timer_init(&watchers->notice, on_notice, NOTICE_TIME, 0);
    ev_timer_init(&watchers->escape, on_escape, ESCAPE_TIME, 0);
    watchers->input.data = watchers->output.data = watchers->prepare.data = watchers->turn.data = watchers->tick.data = tui;
    watchers->notice.data = watchers->escape.data = tui;
    ev_set_priority(&watchers->input, EV_MAXPRI); /* a key before whatever the nodes say */
    ev_io_start(tui->loop, &watchers->input);
    ev_prepare_start(tui->loop, &watchers->prepare);
    ev_timer_start(tui->loop, &watchers->tick);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&watchers->signals[i], on_signal, signals[i]);
        watchers->signals[i].data = tui;
        ev_signal_start(tui->loop, &watchers->signals[i]);
        watchers->signal_count++;
    }
    if (tui->notice.length)
        tui_loop_notice(tui);
}

void tui_loop_free(struct tui *tui)
{
    struct tui_loop *watchers = tui->watchers;
    if (!watchers)
        return;
    ev_io_stop(tui->loop, &watchers->input);
    ev_io_stop(tui->loop, &watchers->output);
    ev_prepare_stop(tui->loop, &watchers->prepare);
    ev_timer_stop(tui->loop, &watchers->turn);
    ev_timer_stop(tui->loop, &watchers->tick);
    ev_timer_stop(tui->loop, &watchers->notice);
    ev_timer_stop(tui->loop, &watchers->escape);
    for (size_t i = 0; i < watchers->signal_count; i++)
        ev_signal_stop(tui->loop, &watchers->signals[i]);
    free(watchers);
    tui->watchers = NULL;
}

void tui_loop_news(struct tui *tui)
{
    tui->news = true; /* the prepare watcher sees it before the loop sleeps */
}

void tui_loop_notice(struct tui *tui)
{
    struct ev_timer *timer = &tui->watchers->notice;
    ev_timer_stop(tui->loop, timer);
    ev_timer_set(timer, NOTICE_TIME, 0);
    ev_timer_start(tui->loop, timer);
}

void tui_loop_end(struct tui *tui)
{
    ev_break(tui->loop, EVBREAK_ALL);
}

void tui_loop_pause(struct tui *tui)
{
    tui->watchers->paused = true;
    ev_io_stop(tui->loop, &tui->watchers->input);
    ev_io_stop(tui->loop, &tui->watchers->output);
    ev_timer_stop(tui->loop, &tui->watchers->escape);
    tui->busy = false;
    terminal_pause();
}

void tui_loop_resume(struct tui *tui)
{
    terminal_resume();
    tui->watchers->paused = false;
    tui->dirty = true;
    ev_io_start(tui->loop, &tui->watchers->input);
}

int tui_run(struct tui *tui)
{
    if (!tui->over)
        ev_run(tui->loop, 0);
    terminal_give_back();
    tui->has_terminal = false;
    if (tui->keep_screen) {
        struct buf text = BUF_EMPTY;
        surface_to_text(&tui->surface, false, &text);
        if (write(STDOUT_FILENO, buf_text(&text), text.length) < 0) {
            /* the person has gone with the terminal */
        }
        buf_free(&text);
    }
    return tui->signal;
}
