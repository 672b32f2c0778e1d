/* The wizard on the command line: one question after the other, on a terminal that stays a terminal (lines are edited as everywhere). */
#include "wizard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "ask.h"
#include "carry_out.h"
#include "mesh_choice.h"
#include "terminal.h"
#include "wgdeck/apply.h"
#include "wgdeck/live.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define TICK 0.2
enum { LINES_MOST = 64, LINE_SIZE = 1024 };

struct talk {
    const struct options *options;
    struct ev_loop *loop;
    struct wizard *wizard;
    struct ask *ask;
    struct carry_out_show *show;
    struct ev_io input;
    struct ev_timer tick;
    struct ev_signal signals[3];
    struct terminal terminal;
    char line[LINE_SIZE];
    size_t length;
    bool too_long;           /* the line that comes in is dropped to its end */
    const char *told;        /* name of the step that stands on the screen; NULL */
    unsigned interrupted;
    bool left, over;
};

bool wizard_can_ask(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* --- what is written */

static void write_wrapped(struct talk *talk, const char *indent, const char *text)
{
    size_t width = talk->terminal.width > 100 ? 100 : talk->terminal.width, column = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        char *word = mem_text_part(text, length);
        size_t wide = text_width(word);
        if (column && column + 1 + wide > width) {
            fputc('\n', stderr);
            column = 0;
        }
        fprintf(stderr, "%s%s", column ? " " : indent, word);
        column += wide + (column ? 1 : strlen(indent));
        free(word);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', stderr);
}

static void write_lines(struct talk *talk)
{
    struct wizard_line lines[LINES_MOST];
    size_t count = wizard_lines(talk->wizard, lines, LINES_MOST);
    for (size_t i = 0; i < count && i < LINES_MOST; i++) {
        char *line = mem_format("%c %s: %s", lines[i].warning ? '!' : ' ', lines[i].label, lines[i].text);
        write_wrapped(talk, "  ", line);
        free(line);
    }
}

static void write_plan(struct talk *talk)
{
    const struct plan *plan = wizard_plan(talk->wizard);
    struct buf text = BUF_EMPTY;
    if (plan)
        plan_to_text(plan, true, &text);
    fprintf(stderr, "%s", buf_text(&text));
    buf_free(&text);
}

static void prompt(struct talk *talk, const struct wizard_step *step)
{
    const char *agreement = wizard_agreement(talk->wizard);
    if (step->way == WIZARD_SHOWS)
        fputs("Enter goes on, < goes back: ", stderr);
    else if (step->way == WIZARD_PLANS && agreement && strcmp(agreement, "yes"))
        fprintf(stderr, "Write %s to take it out: ", agreement);
    else if (step->way == WIZARD_PLANS)
        fputs(agreement ? "Apply now? [yes/N] " : "It cannot be applied (< goes back, ^C leaves): ", stderr);
    else if (step->proposal && *step->proposal)
        fprintf(stderr, "%s [%s] ", step->title, step->proposal);
    else
        fprintf(stderr, "%s: ", step->title);
    fflush(stderr);
}

static void write_problem(const struct wizard_step *step)
{
    if (step->problem)
        fprintf(stderr, "! %s\n", step->problem);
}

static void write_step(struct talk *talk, const struct wizard_step *step)
{
    fprintf(stderr, "\n%s (%zu of %zu)\n", step->title, step->number, step->count);
    if (step->way == WIZARD_PLANS)
        write_plan(talk);
    write_problem(step);
    if (*step->question && step->way != WIZARD_PLANS)
        write_wrapped(talk, "", step->question);
    if (*step->why && step->way != WIZARD_PLANS)
        write_wrapped(talk, "  ", step->why);
    if (step->way == WIZARD_SHOWS)
        write_lines(talk);
    if (step->does && *step->does)
        write_wrapped(talk, "  ", step->does);
    if (step->proposal && *step->proposal && step->reason) {
        char *proposed = mem_format("Proposed: %s (%s)", step->proposal, step->reason);
        write_wrapped(talk, "  ", proposed);
        free(proposed);
    }
    prompt(talk, step);
}

static void write_report(struct talk *talk)
{
    printf("%s", wizard_report(talk->wizard));
    fflush(stdout);
}

/* --- what is read */

static void hear(struct talk *talk, bool on)
{
    if (on == (ev_is_active(&talk->input) != 0))
        return;
    if (on) {
        talk->length = 0;
        tcflush(STDIN_FILENO, TCIFLUSH);
        ev_io_start(talk->loop, &talk->input);
    } else {
        ev_io_stop(talk->loop, &talk->input);
    }
}

static void clear(struct talk *talk)
{
    progress_clear();
    if (talk->show)
        carry_out_show_clear(talk->show);
}

static void show_work(struct talk *talk)
{
    static const char *const frames[] = {"|", "/", "-", "\\"};
    static unsigned turn;
    if (ask_pending(talk->ask))
        return;
    char *line = mem_format("%s %.*s", frames[turn++ % COUNT_OF(frames)], (int)(talk->terminal.width > 4 ? talk->terminal.width - 4 : 1), wizard_working(talk->wizard));
    progress_show(line);
    free(line);
}

static void show_run(struct talk *talk)
{
    struct change *change = wizard_change(talk->wizard);
    if (!change || ask_pending(talk->ask))
        return;
    if (!talk->show)
        talk->show = carry_out_show_new(change_mesh(change), &talk->options->globals);
    carry_out_show_draw(talk->show, change, talk->interrupted > 0);
}

/* Brings the screen to where the wizard is. */
static void update(struct talk *talk)
{
    struct wizard_step step = wizard_step(talk->wizard);
    bool asks = step.way == WIZARD_ASKS || step.way == WIZARD_SHOWS || step.way == WIZARD_PLANS;
    if (talk->told != step.name)
        clear(talk);
    hear(talk, asks && !ask_pending(talk->ask));
    if (step.way == WIZARD_WORKS) {
        show_work(talk);
    } else if (step.way == WIZARD_RUNS) {
        show_run(talk);
    } else if (step.way == WIZARD_ENDS) {
        talk->over = true;
        ev_break(talk->loop, EVBREAK_ALL);
    } else if (talk->told != step.name) {
        write_step(talk, &step);
    }
    talk->told = step.name;
}

static void on_changed(void *context, struct wizard *wizard)
{
    struct talk *talk = context;
    (void)wizard;
    if (talk->wizard)
        update(talk);
}

static void on_question(void *context, struct wizard *wizard, const struct fanout_question *question)
{
    struct talk *talk = context;
    clear(talk);
    if (!talk->ask) {
        fanout_answer(wizard_fanout(wizard), question->id, NULL);
        return;
    }
    ask_attach(talk->ask, wizard_fanout(wizard));
    ask_question(talk->ask, question);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct talk *talk = timer->data;
    struct wizard_step step = wizard_step(talk->wizard);
    (void)loop, (void)events;
    if (step.way == WIZARD_WORKS || step.way == WIZARD_RUNS)
        update(talk);
}

static void leave(struct talk *talk)
{
    talk->left = true;
    ev_break(talk->loop, EVBREAK_ALL);
}

/* An answer that is none: back, what it is about, or the end. */
static bool take_command(struct talk *talk, const char *line)
{
    struct wizard_step step = wizard_step(talk->wizard);
    if (!strcmp(line, "<")) {
        if (!wizard_can_go_back(talk->wizard))
            fputs("! this is the first question\n", stderr);
        talk->told = NULL;
        wizard_back(talk->wizard);
    } else if (!strcmp(line, "?")) {
        talk->told = NULL;
    } else if (!strcasecmp(line, "q") || !strcasecmp(line, "quit")) {
        leave(talk);
        return true;
    } else if (step.way == WIZARD_PLANS && !*line) {
        leave(talk); /* an empty answer to "Apply now?" is no */
        return true;
    } else {
        return false;
    }
    update(talk);
    return true;
}

static void take_line(struct talk *talk, const char *line)
{
    if (take_command(talk, line))
        return;
    const char *before = wizard_step(talk->wizard).name;
    if (!wizard_answer(talk->wizard, line))
        return; /* told by on_changed */
    struct wizard_step step = wizard_step(talk->wizard);
    if (step.name == before) {
        write_problem(&step);
        prompt(talk, &step);
    }
}

static void on_input(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct talk *talk = watcher->data;
    (void)loop, (void)events;
    ssize_t got = read(STDIN_FILENO, talk->line + talk->length, sizeof talk->line - 1 - talk->length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        leave(talk);
        return;
    }
    talk->length += (size_t)got;
    char *end = memchr(talk->line, '\n', talk->length);
    if (!end && talk->length < sizeof talk->line - 1)
        return;
    talk->length = 0;
    bool dropped = talk->too_long;
    talk->too_long = !end;
    if (!end || dropped) {
        if (end)
            fputs("! that is too long to be an answer: write a shorter one\n", stderr);
        return;
    }
    *end = '\0';
    take_line(talk, talk->line);
}

static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct talk *talk = watcher->data;
    (void)loop, (void)events;
    if (wizard_step(talk->wizard).way != WIZARD_RUNS || talk->interrupted++) {
        leave(talk);
        return;
    }
    clear(talk);
    log_notice("%s: putting back what is not confirmed (once more leaves that to the nodes' guards)", talk->options->cmd->name);
    wizard_stop(talk->wizard);
}

/* --- the whole */

static void watch(struct talk *talk)
{
    static const int signals[COUNT_OF(talk->signals)] = {SIGINT, SIGHUP, SIGTERM};
    ev_io_init(&talk->input, on_input, STDIN_FILENO, EV_READ);
    ev_timer_init(&talk->tick, on_tick, TICK, TICK);
    talk->input.data = talk->tick.data = talk;
    ev_timer_start(talk->loop, &talk->tick);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&talk->signals[i], on_signal, signals[i]);
        talk->signals[i].data = talk;
        ev_signal_start(talk->loop, &talk->signals[i]);
    }
}

static void unwatch(struct talk *talk)
{
    ev_io_stop(talk->loop, &talk->input);
    ev_timer_stop(talk->loop, &talk->tick);
    for (size_t i = 0; i < COUNT_OF(talk->signals); i++)
        ev_signal_stop(talk->loop, &talk->signals[i]);
}

static int finish(struct talk *talk)
{
    const char *name = talk->options->cmd->name;
    clear(talk);
    if (talk->over) {
        write_report(talk);
        return wizard_succeeded(talk->wizard) ? CMD_OK : CMD_FAILED;
    }
    fputc('\n', stderr);
    if (wizard_step(talk->wizard).way == WIZARD_RUNS)
        log_error("%s: left before it was over: each node that was being changed puts its old state back by itself; \"wgdeck plan\" shows what stands then", name);
    else
        log_notice("%s: left; nothing was changed%s", name, wizard_kind(talk->wizard) == WIZARD_ADD ? ". What was answered is proposed again next time" : "");
    return CMD_FAILED;
}

static bool has_option(const struct cmd *cmd, const char *name)
{
    for (const struct cmd_option *option = cmd->options; option && option->name; option++)
        if (!strcmp(option->name, name))
            return true;
    return false;
}

static bool read_times(struct options *options, struct wizard_options *wanted)
{
    double timeout = 10;
    if (has_option(options->cmd, "timeout") && !options_seconds(options, "timeout", 0.1, 3600, 10, &timeout))
        return false;
    if (has_option(options->cmd, "confirm-within") &&
        !options_seconds(options, "confirm-within", APPLY_WITHIN_LEAST, APPLY_WITHIN_MOST, APPLY_WITHIN_DEFAULT, &wanted->within))
        return false;
    wanted->look.deadline = 3 * timeout;
    wanted->look.fanout.deadlines = (struct fanout_deadlines){.connect = timeout, .key_exchange = timeout, .login = 6 * timeout};
    return true;
}

static int run(struct options *options, const struct wizard_options *wanted)
{
    struct err err;
    static const struct wizard_callbacks callbacks = {.changed = on_changed, .question = on_question};
    struct talk talk = {.options = options, .loop = ev_loop_new(EVFLAG_AUTO), .terminal = terminal_of(STDERR_FILENO, &options->globals)};
    int status = CMD_FAILED;
    talk.ask = ask_new(talk.loop);
    talk.wizard = wizard_new(talk.loop, wanted, &callbacks, &talk, &err);
    if (talk.wizard) {
        watch(&talk);
        fprintf(stderr, "%s. Enter takes what is proposed; < goes back, ? says it again, ^C leaves with nothing changed.\n", wizard_title(talk.wizard));
        update(&talk);
        while (!talk.left && !talk.over)
            ev_run(talk.loop, 0);
        unwatch(&talk);
        status = finish(&talk);
    } else {
        log_error("%s: %s", options->cmd->name, err.text);
    }
    carry_out_show_free(talk.show);
    wizard_free(talk.wizard);
    ask_free(talk.ask);
    ev_loop_destroy(talk.loop);
    return status;
}

/* Where a new mesh file goes: what -m says, or the environment, or here. */
static const char *new_path(const struct options *options)
{
    const char *path = has_option(options->cmd, "output") ? options_value(options, "output") : NULL;
    if (!path)
        path = options->globals.mesh_file ? options->globals.mesh_file : getenv("WGDECK_MESH");
    return path && *path ? path : "mesh.conf";
}

int wizard_command(const struct options *given, enum wizard_kind kind)
{
    struct options options = *given;
    struct wizard_options wanted = {.kind = kind, .look = {.fanout = {.ssh_config = options.globals.ssh_config}}};
    struct mesh_file file = {0};
    if (!read_times(&options, &wanted))
        return options.status;
    if (kind == WIZARD_INIT) {
        const char *path = new_path(&options);
        if (!access(path, F_OK)) {
            log_error("init: %s exists and was left alone: \"wgdeck add\" adds a node to it; -o FILE begins another one", path);
            return CMD_FAILED;
        }
        wanted.path = path;
        return run(&options, &wanted);
    }
    if (!carry_out_open(&options, &file))
        return CMD_FAILED;
    char *state = live_state_folder(file.mesh);
    wanted.path = file.path;
    wanted.state = state;
    int status = run(&options, &wanted);
    free(state);
    mesh_file_free(&file);
    return status;
}
