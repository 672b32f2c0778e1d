/* One look at a mesh from the command line. */
#include "gather.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "terminal.h"
#include "wgdeck/clock.h"
#include "wgdeck/history.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define TICK 0.05                /* seconds: how often the end of waiting is thought about */
#define PROGRESS_AFTER 0.5       /* seconds before anything is shown of it */
#define PATIENCE_LEAST 0.8
#define PATIENCE_AFTER_QUESTION 3.0 /* what was answered on the terminal has to reach the node first */
#define TIMEOUT_DEFAULT 10.0
#define REFRESH_DEADLINE 10.0

struct gather {
    const struct mesh *mesh;
    const char *nodes;
    struct gather_options wanted;
    struct ev_loop *loop;
    struct look *look;
    struct ask *ask;
    struct ev_timer tick;
    struct ev_signal interrupt, hangup, terminate;
    bool interrupted, show_progress, waiting;
    int64_t started, last_answer, last_question; /* steady clock; 0: none */
    int64_t until;                 /* gather_wait: the end of it; 0 */
    const char *wait_text;
    bool *renewed;                 /* per node: has answered since gather_again */
    struct observed *snapshot;
    void (*changed)(void *context, size_t node, const struct observation *seen);
    void *changed_context;
};

static double seconds_since(int64_t then)
{
    return (double)(clock_steady() - then) / (double)CLOCK_SECOND;
}

static bool is_looked_at(const struct gather *gather, size_t node)
{
    const struct mesh_node *of_mesh = &gather->mesh->nodes[node];
    return of_mesh->ssh && (!gather->nodes || text_matches(gather->nodes, of_mesh->name));
}

static bool is_missing(const struct gather *gather, size_t node)
{
    return is_looked_at(gather, node) && (look_is_waiting(gather->look, node) || !gather->renewed[node]);
}

/* A node that has not had its turn yet is not slow: others are in its way. */
static bool has_had_no_turn(const struct gather *gather, size_t node)
{
    struct fanout_session *session = look_session(gather->look, node);
    return session && fanout_session_phase(session) == PHASE_WAITING && !fanout_session_error(session);
}

static size_t count_missing(const struct gather *gather, size_t *no_turn)
{
    size_t missing = 0;
    *no_turn = 0;
    for (size_t i = 0; i < gather->mesh->node_count; i++)
        if (is_missing(gather, i)) {
            missing++;
            *no_turn += has_had_no_turn(gather, i);
        }
    return missing;
}

static double patience(const struct gather *gather)
{
    if (gather->wanted.patience >= 0)
        return gather->wanted.patience;
    double half = (double)(gather->last_answer - gather->started) / (double)CLOCK_SECOND / 2;
    return half > PATIENCE_LEAST ? half : PATIENCE_LEAST;
}

static bool waited_enough(struct gather *gather)
{
    size_t no_turn, missing = count_missing(gather, &no_turn);
    if (!missing)
        return true;
    if (ask_pending(gather->ask))
        gather->last_question = clock_steady();
    if (ask_pending(gather->ask) || no_turn || !gather->last_answer)
        return false;
    if (gather->last_question && seconds_since(gather->last_question) < PATIENCE_AFTER_QUESTION)
        return false;
    return seconds_since(gather->last_answer) >= patience(gather);
}

static const char *phase_of(const struct gather *gather, size_t node)
{
    struct fanout_session *session = look_session(gather->look, node);
    if (!session)
        return "not begun";
    return fanout_session_phase(session) == PHASE_OPEN ? "logged in, no answer to the request" : fanout_phase_text(fanout_session_phase(session));
}

static void draw_waiting(const struct gather *gather)
{
    size_t no_turn, missing = count_missing(gather, &no_turn), all = 0, named = 0;
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < gather->mesh->node_count; i++)
        all += is_looked_at(gather, i);
    buf_add_format(&text, "%zu of %zu answered; waiting for", all - missing, all);
    for (size_t i = 0; i < gather->mesh->node_count && named < 2; i++)
        if (is_missing(gather, i))
            buf_add_format(&text, "%s %s (%s)", named++ ? "," : "", gather->mesh->nodes[i].name, phase_of(gather, i));
    if (missing > named)
        buf_add_format(&text, " and %zu more", missing - named);
    size_t width = terminal_width(STDERR_FILENO);
    if (text.length >= width) { /* names and phases are ASCII */
        text.length = width - 1;
        text.data[text.length] = '\0';
    }
    progress_show(buf_text(&text));
    buf_free(&text);
}

static void draw_progress(const struct gather *gather)
{
    if (!gather->show_progress || ask_pending(gather->ask) || seconds_since(gather->started) < PROGRESS_AFTER)
        return;
    if (!gather->until) {
        draw_waiting(gather);
    } else if (gather->wait_text) {
        char text[120];
        double left = (double)(gather->until - clock_steady()) / (double)CLOCK_SECOND;
        snprintf(text, sizeof text, "%s in %.0f s", gather->wait_text, left > 0 ? left : 0);
        progress_show(text);
    }
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct gather *gather = timer->data;
    (void)events;
    bool over = gather->until ? clock_steady() >= gather->until : waited_enough(gather);
    if (over)
        ev_break(loop, EVBREAK_ALL);
    else
        draw_progress(gather);
}

static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct gather *gather = watcher->data;
    (void)events;
    gather->interrupted = true;
    ev_break(loop, EVBREAK_ALL);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    struct gather *gather = context;
    gather->renewed[node] = true;
    const struct observation *seen = &look_observed(look)->nodes[node];
    if (seen->reach == REACH_OK)
        gather->last_answer = clock_steady();
    if (gather->changed)
        gather->changed(gather->changed_context, node, seen);
    if (gather->waiting && waited_enough(gather))
        ev_break(gather->loop, EVBREAK_ALL);
}

static void watch_signal(struct gather *gather, struct ev_signal *watcher, int number)
{
    ev_signal_init(watcher, on_signal, number);
    watcher->data = gather;
    ev_signal_start(gather->loop, watcher);
    ev_unref(gather->loop);
}

static void run(struct gather *gather)
{
    ev_timer_init(&gather->tick, on_tick, TICK, TICK);
    gather->tick.data = gather;
    ev_timer_start(gather->loop, &gather->tick);
    if (!gather->interrupted)
        ev_run(gather->loop, 0);
    ev_timer_stop(gather->loop, &gather->tick);
    progress_clear();
}

static void wait_for_answers(struct gather *gather)
{
    gather->until = 0;
    gather->waiting = true;
    if (!waited_enough(gather))
        run(gather);
    gather->waiting = false;
}

struct gather *gather_new(const struct options *options, const struct mesh_choice *choice, const struct gather_options *wanted)
{
    static const struct look_events events = {.changed = on_changed};
    struct err err;
    struct gather *gather = mem_alloc(1, sizeof *gather);
    *gather = (struct gather){.mesh = choice->mesh, .nodes = choice->look, .wanted = *wanted};
    gather->show_progress = isatty(STDERR_FILENO);
    gather->renewed = mem_alloc(choice->mesh->node_count, sizeof *gather->renewed);
    gather->loop = ev_loop_new(EVFLAG_AUTO);
    gather->ask = ask_new(gather->loop);
    struct look_options look_options = {
        .mode = wanted->mode,
        .every = wanted->every,
        .deadline = wanted->timeout + TIMEOUT_DEFAULT,
        .interface = choice->mesh->interface,
        .nodes = choice->look,
        .fanout = {
            .ssh_config = options->globals.ssh_config,
            .deadlines = {.resolve = 5, .connect = wanted->timeout, .key_exchange = wanted->timeout, .login = wanted->timeout},
            .keep = wanted->every > 0,
            .ask = gather->ask ? ask_question : NULL,
            .context = gather->ask,
        },
    };
    gather->started = clock_steady();
    gather->look = look_new(gather->loop, choice->mesh, &look_options, &events, gather, &err);
    if (!gather->look) {
        log_error("%s: %s", options->cmd->name, err.text);
        ask_free(gather->ask);
        ev_loop_destroy(gather->loop);
        free(gather->renewed);
        free(gather);
        return NULL;
    }
    if (gather->ask)
        ask_attach(gather->ask, look_fanout(gather->look));
    watch_signal(gather, &gather->interrupt, SIGINT);
    watch_signal(gather, &gather->hangup, SIGHUP);
    watch_signal(gather, &gather->terminate, SIGTERM);
    return gather;
}

static void unwatch_signal(struct gather *gather, struct ev_signal *watcher)
{
    ev_ref(gather->loop);
    ev_signal_stop(gather->loop, watcher);
}

void gather_free(struct gather *gather)
{
    if (!gather)
        return;
    progress_clear();
    look_free(gather->look);
    ask_free(gather->ask);
    unwatch_signal(gather, &gather->interrupt);
    unwatch_signal(gather, &gather->hangup);
    unwatch_signal(gather, &gather->terminate);
    ev_loop_destroy(gather->loop);
    if (gather->snapshot)
        observed_free(gather->snapshot);
    free(gather->renewed);
    free(gather);
}

void gather_first(struct gather *gather)
{
    memset(gather->renewed, true, gather->mesh->node_count * sizeof *gather->renewed); /* look_is_waiting tells alone */
    wait_for_answers(gather);
}

bool gather_wait(struct gather *gather, double seconds, const char *text)
{
    gather->until = clock_steady() + (int64_t)(seconds * (double)CLOCK_SECOND);
    gather->wait_text = text;
    run(gather);
    gather->until = 0;
    return !gather->interrupted;
}

void gather_again(struct gather *gather)
{
    const struct observed *observed = look_observed(gather->look);
    /* Those that failed are not asked again: they would only be waited for. */
    for (size_t i = 0; i < gather->mesh->node_count; i++)
        gather->renewed[i] = observed->nodes[i].reach != REACH_OK;
    gather->started = clock_steady();
    gather->last_answer = 0;
    look_refresh(gather->look);
    gather->until = 0;
    wait_for_answers(gather);
    memset(gather->renewed, true, gather->mesh->node_count * sizeof *gather->renewed);
}

const struct observed *gather_observed(struct gather *gather)
{
    if (gather->snapshot)
        observed_free(gather->snapshot);
    gather->snapshot = observed_copy(look_observed(gather->look));
    for (size_t i = 0; i < gather->mesh->node_count; i++) {
        struct observation *seen = &gather->snapshot->nodes[i];
        if (!is_looked_at(gather, i) || !look_is_waiting(gather->look, i) || seen->reach != REACH_UNKNOWN)
            continue;
        struct fanout_session *session = look_session(gather->look, i);
        const char *error = session ? fanout_session_error(session) : NULL;
        seen->reach = REACH_FAILED;
        seen->failure = session && fanout_session_phase(session) == PHASE_OPEN ? FAILED_AFTER_LOGIN : FAILED_TIMED_OUT;
        free(seen->error);
        if (error && fanout_session_phase(session) == PHASE_WAITING)
            seen->error = mem_format("no answer yet: %s", error);
        else
            seen->error = mem_format("no answer yet (%s for %.1f s)", phase_of(gather, i), seconds_since(gather->started));
        seen->at = clock_wall();
    }
    return gather->snapshot;
}

struct ev_loop *gather_loop(struct gather *gather)
{
    return gather->loop;
}

bool gather_interrupted(const struct gather *gather)
{
    return gather->interrupted;
}

void gather_on_change(struct gather *gather, void (*changed)(void *context, size_t node, const struct observation *seen), void *context)
{
    gather->changed = changed;
    gather->changed_context = context;
}

bool gather_read_options(struct options *options, struct gather_options *wanted)
{
    *wanted = (struct gather_options){.mode = LOOK_AUTO};
    if (options_given(options, "bare") && options_given(options, "push")) {
        options->status = options_usage_error(options->cmd, "--bare and --push exclude each other");
        return false;
    }
    if (options_given(options, "bare"))
        wanted->mode = LOOK_BARE;
    if (options_given(options, "push"))
        wanted->mode = LOOK_HELPER;
    return options_seconds(options, "patience", 0, 3600, -1, &wanted->patience) &&
           options_seconds(options, "timeout", 0.1, 3600, TIMEOUT_DEFAULT, &wanted->timeout);
}
