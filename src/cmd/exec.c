/* wgdeck exec: one command on many nodes at once. Nodes that answered the same are shown together, and nobody hides behind another one's hang. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "columns.h"
#include "commands.h"
#include "mesh_choice.h"
#include "wgdeck/clock.h"
#include "wgdeck/fanout.h"
#include "wgdeck/json.h"
#include "wgdeck/log.h"
#include "wgdeck/look.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define TIMEOUT_DEFAULT 60.0
#define CONNECT_DEFAULT 10.0
#define PROGRESS_EVERY 0.25
enum { OUTPUT_LIMIT = 16 << 20, OUTPUT_LIMIT_ALL = 256 << 20 }; /* both streams; of one node, of all of them */

static const struct cmd_option exec_options[] = {
    {.letter = 't', .name = "timeout", .argument = "SECONDS", .help = "end the command on a node after this time; 0: never", .fallback = "60"},
    {.name = "connect-timeout", .argument = "SECONDS", .help = "give a node up that cannot be logged in to", .fallback = "10"},
    {.letter = 's', .name = "sudo", .help = "as root, through sudo where the login is not root"},
    {.name = "json", .help = "as JSON: one object for each node"},
    {.name = "raw", .help = "leave control characters in the output as they are"},
    {0},
};

enum outcome { OUTCOME_RUNNING, OUTCOME_ENDED, OUTCOME_TIMED_OUT, OUTCOME_NOT_REACHED, OUTCOME_LOST };

struct target {
    struct run *run;
    const char *name;
    struct fanout_session *session;
    struct fanout_request *request;
    enum outcome outcome;
    int status;
    int64_t started;
    char *why;
    struct buf output; /* both streams, as they came */
    bool shown;
};

struct run {
    struct options options;
    struct mesh_choice choice;
    struct ev_loop *loop;
    struct fanout *fanout;
    struct ask *ask;
    struct ev_timer tick;
    struct ev_signal ended_by[3]; /* the started ssh and a hidden echo must not outlive the program */
    struct target *targets;
    size_t count, running;
    size_t output_length; /* of all nodes */
    struct fanout_request_options request;
    char *command;
};

static void finish(struct target *target, enum outcome outcome, int status, const char *why)
{
    if (target->outcome != OUTCOME_RUNNING)
        return;
    target->outcome = outcome;
    target->status = status;
    target->why = why ? text_safe(why) : NULL;
    target->request = NULL;
    if (--target->run->running == 0)
        ev_break(target->run->loop, EVBREAK_ALL);
}

/* What was printed until then is kept and shown, with the reason why it ends there. */
static void cut_off(struct target *target, bool by_all)
{
    struct fanout_request *request = target->request;
    char *why = by_all ? mem_format("cut off and ended: all nodes together printed more than %d MiB", OUTPUT_LIMIT_ALL >> 20)
                       : mem_format("cut off and ended: it printed more than %d MiB", OUTPUT_LIMIT >> 20);
    finish(target, OUTCOME_LOST, CMD_FAILED, why);
    fanout_request_cancel(request);
    free(why);
}

static void on_output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct target *target = context;
    size_t room = OUTPUT_LIMIT - target->output.length, room_of_all = OUTPUT_LIMIT_ALL - target->run->output_length;
    if (request != target->request)
        return;
    size_t least = room < room_of_all ? room : room_of_all, part = length < least ? length : least;
    buf_add(&target->output, bytes, part);
    target->run->output_length += part;
    if (part < length)
        cut_off(target, room_of_all < room);
}

static void on_done(void *context, struct fanout_request *request, int status, const char *why)
{
    struct target *target = context;
    double took = (double)(clock_steady() - target->started) / (double)CLOCK_SECOND, limit = target->run->request.deadline;
    (void)request;
    if (status >= 0)
        finish(target, OUTCOME_ENDED, status, NULL);
    else
        finish(target, limit > 0 && took >= limit - 0.05 ? OUTCOME_TIMED_OUT : OUTCOME_LOST, CMD_FAILED, why);
}

static const struct fanout_request_events request_events = {.output = on_output, .problem = on_output, .done = on_done};

static void on_open(void *context, struct fanout_session *session)
{
    struct target *target = context;
    if (target->request || target->outcome != OUTCOME_RUNNING)
        return;
    target->started = clock_steady();
    /* The operator's own command, meant for the nodes' shells: the one place where it is not the program's. */
    target->request = fanout_exec(session, target->run->command, &target->run->request, &request_events, target);
    if (target->request)
        fanout_write_end(target->request);
    else
        finish(target, OUTCOME_LOST, CMD_FAILED, "no request can be made over its connection");
}

static void on_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    struct target *target = context;
    (void)session;
    (void)failure;
    finish(target, target->request ? OUTCOME_LOST : OUTCOME_NOT_REACHED, CMD_FAILED, why);
}

static const struct fanout_session_events session_events = {.open = on_open, .failed = on_failed};

static void on_interrupt(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct run *run = timer->data;
    const char *names[3];
    size_t named = 0;
    (void)loop;
    (void)events;
    if (ask_pending(run->ask))
        return;
    for (size_t i = 0; i < run->count && named < COUNT_OF(names); i++)
        if (run->targets[i].outcome == OUTCOME_RUNNING)
            names[named++] = run->targets[i].name;
    struct buf text = BUF_EMPTY;
    buf_add_format(&text, "%zu of %zu done; waiting for ", run->count - run->running, run->count);
    add_folded_names(&text, names, named);
    if (run->running > named)
        buf_add_format(&text, " and %zu more", run->running - named);
    progress_show(buf_text(&text));
    buf_free(&text);
}

static void open_targets(struct run *run)
{
    const struct mesh *mesh = run->choice.mesh;
    run->targets = mem_alloc(mesh->node_count, sizeof *run->targets);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (!run->choice.show || text_matches(run->choice.show, mesh->nodes[i].name))
            run->targets[run->count++] = (struct target){.run = run, .name = mesh->nodes[i].name};
    run->running = run->count;
    for (size_t i = 0; i < run->count; i++) {
        size_t node = mesh_find_node(mesh, run->targets[i].name);
        if (!mesh->nodes[node].ssh)
            finish(&run->targets[i], OUTCOME_NOT_REACHED, CMD_FAILED, "no Ssh target in the mesh file (add Ssh = user@host)");
        else
            run->targets[i].session = look_open_node(run->fanout, mesh, node, &session_events, &run->targets[i]);
    }
}

static void run_all(struct run *run, double connect)
{
    run->loop = ev_loop_new(EVFLAG_AUTO);
    run->ask = ask_new(run->loop);
    struct fanout_options options = {
        .ssh_config = run->options.globals.ssh_config,
        .deadlines = {.connect = connect, .key_exchange = connect, .login = connect},
        .ask = run->ask ? ask_question : NULL,
        .context = run->ask,
    };
    run->fanout = fanout_new(run->loop, &options);
    if (run->ask)
        ask_attach(run->ask, run->fanout);
    static const int signals[COUNT_OF(run->ended_by)] = {SIGINT, SIGHUP, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&run->ended_by[i], on_interrupt, signals[i]);
        ev_signal_start(run->loop, &run->ended_by[i]);
    }
    ev_timer_init(&run->tick, on_tick, 2 * PROGRESS_EVERY, PROGRESS_EVERY);
    run->tick.data = run;
    if (isatty(STDERR_FILENO))
        ev_timer_start(run->loop, &run->tick);
    open_targets(run);
    if (run->running)
        ev_run(run->loop, 0);
    progress_clear();
    for (size_t i = 0; i < run->count; i++)
        finish(&run->targets[i], OUTCOME_LOST, CMD_FAILED, "interrupted before it was done");
    fanout_free(run->fanout);
    ask_free(run->ask);
    ev_timer_stop(run->loop, &run->tick);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        ev_signal_stop(run->loop, &run->ended_by[i]);
    ev_loop_destroy(run->loop);
}

/* Printing */

enum { PRINTED_AT_ONCE = 1 << 20 };

static void add_output(const struct run *run, const struct buf *output, struct buf *text)
{
    const char *at = buf_text(output), *end = at + output->length;
    if (options_given(&run->options, "raw")) {
        buf_add(text, at, output->length);
        at = end;
    }
    while (at < end) {
        size_t length = 0;
        if (text->length > PRINTED_AT_ONCE) {
            fwrite(text->data, 1, text->length - 1, stdout); /* the last byte tells whether a line is open */
            buf_drop(text, text->length - 1);
        }
        while (at + length < end && at[length] != '\n' && at[length] != '\t')
            length++;
        size_t shown = length && at + length < end && at[length] == '\n' && at[length - 1] == '\r' ? length - 1 : length;
        text_add_safe(text, at, shown);
        at += length;
        if (at < end)
            buf_add_char(text, *at++);
    }
    if (output->length && text->data[text->length - 1] != '\n')
        buf_add_char(text, '\n');
}

static bool same_result(const struct target *a, const struct target *b)
{
    return a->outcome == b->outcome && a->status == b->status && a->output.length == b->output.length &&
           !strcmp(a->why ? a->why : "", b->why ? b->why : "") && !memcmp(buf_text(&a->output), buf_text(&b->output), a->output.length);
}

static void add_outcome(const struct run *run, const struct target *target, struct buf *line)
{
    if (target->outcome == OUTCOME_ENDED && target->status)
        buf_add_format(line, ": exit status %d", target->status);
    else if (target->outcome == OUTCOME_TIMED_OUT)
        buf_add_format(line, ": not done after %g s", run->request.deadline);
    else if (target->outcome == OUTCOME_NOT_REACHED)
        buf_add_format(line, ": not reached: %s", target->why ? target->why : "?");
    else if (target->outcome == OUTCOME_LOST)
        buf_add_format(line, ": %s", target->why ? target->why : "the connection was lost");
}

/* The nodes from FIRST on that answered as it did. */
static void print_group(struct run *run, size_t first, const struct terminal *terminal)
{
    const struct target *like = &run->targets[first];
    const char **names = mem_alloc(run->count, sizeof *names);
    size_t count = 0;
    struct buf line = BUF_EMPTY, text = BUF_EMPTY;
    for (size_t i = first; i < run->count; i++)
        if (!run->targets[i].shown && same_result(like, &run->targets[i])) {
            run->targets[i].shown = true;
            names[count++] = run->targets[i].name;
        }
    add_folded_names(&line, names, count);
    if (count > 1)
        buf_add_format(&line, " (%zu nodes)", count);
    add_outcome(run, like, &line);
    enum mark mark = like->outcome == OUTCOME_ENDED ? like->status ? MARK_BAD : MARK_GOOD : MARK_UNKNOWN;
    add_marked(&text, terminal, mark, mark_glyph(terminal, mark));
    buf_add_char(&text, ' ');
    add_bold(&text, terminal, buf_text(&line));
    buf_add_char(&text, '\n');
    add_output(run, &like->output, &text);
    fwrite(text.data, 1, text.length, stdout);
    buf_free(&line);
    buf_free(&text);
    free(names);
}

static void print_json(const struct run *run)
{
    static const char *const words[] = {[OUTCOME_RUNNING] = "running", [OUTCOME_ENDED] = "ended", [OUTCOME_TIMED_OUT] = "timed-out",
                                        [OUTCOME_NOT_REACHED] = "not-reached", [OUTCOME_LOST] = "lost"};
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_list(&json, "nodes");
    for (size_t i = 0; i < run->count; i++) {
        const struct target *target = &run->targets[i];
        json_object(&json, NULL);
        json_text(&json, "name", target->name);
        json_text(&json, "outcome", words[target->outcome]);
        if (target->outcome == OUTCOME_ENDED)
            json_number(&json, "status", target->status);
        else
            json_null(&json, "status");
        json_text(&json, "error", target->why);
        json_text_part(&json, "output", buf_text(&target->output), target->output.length);
        json_object_end(&json);
        fwrite(text.data, 1, text.length, stdout);
        buf_drop(&text, text.length);
    }
    json_list_end(&json);
    json_object_end(&json);
    buf_add_char(&text, '\n');
    fwrite(text.data, 1, text.length, stdout);
    buf_free(&text);
}

static int print_all(struct run *run)
{
    struct terminal terminal = terminal_of(STDOUT_FILENO, &run->options.globals);
    size_t counts[OUTCOME_LOST + 1] = {0}, good = 0;
    int status = CMD_OK;
    for (size_t i = 0; i < run->count; i++) {
        const struct target *target = &run->targets[i];
        counts[target->outcome]++;
        good += target->outcome == OUTCOME_ENDED && !target->status;
        status = target->status > status ? target->status : status;
    }
    if (options_given(&run->options, "json"))
        print_json(run);
    /* What went well first: the trouble stays on the screen. */
    for (int pass = 0; pass < 2 && !options_given(&run->options, "json"); pass++)
        for (size_t i = 0; i < run->count; i++) {
            bool fine = run->targets[i].outcome == OUTCOME_ENDED && !run->targets[i].status;
            if (!run->targets[i].shown && fine == !pass)
                print_group(run, i, &terminal);
        }
    fflush(stdout);
    if (good < run->count)
        log_notice("exec: %zu nodes: %zu done, %zu with another exit status than 0, %zu timed out, %zu not reached, %zu lost", run->count, good,
                   counts[OUTCOME_ENDED] - good, counts[OUTCOME_TIMED_OUT], counts[OUTCOME_NOT_REACHED], counts[OUTCOME_LOST]);
    return status;
}

static char *join_words(char *const *words, int count)
{
    struct buf command = BUF_EMPTY;
    for (int i = 0; i < count; i++)
        buf_add_format(&command, "%s%s", i ? " " : "", words[i]);
    return buf_take(&command);
}

static int run_exec(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct run run = {0};
    double timeout, connect;
    if (!options_parse(cmd, globals, argc, argv, &run.options) ||
        !options_seconds(&run.options, "timeout", 0, 1e7, TIMEOUT_DEFAULT, &timeout) ||
        !options_seconds(&run.options, "connect-timeout", 0.1, 3600, CONNECT_DEFAULT, &connect))
        return run.options.status;
    if (!run.options.operand_count)
        return options_usage_error(cmd, "which command?");
    struct options without_operands = run.options;
    without_operands.operand_count = 0;
    if (!mesh_choose(&without_operands, &run.choice))
        return CMD_USAGE;
    run.command = join_words(run.options.operands, run.options.operand_count);
    run.request = (struct fanout_request_options){.as_root = options_given(&run.options, "sudo"), .deadline = timeout > 0 ? timeout : -1,
                                                  .output_limit = SIZE_MAX}; /* on_output counts both streams */
    run_all(&run, connect);
    int status = print_all(&run);
    for (size_t i = 0; i < run.count; i++) {
        buf_free(&run.targets[i].output);
        free(run.targets[i].why);
    }
    free(run.targets);
    free(run.command);
    mesh_choice_free(&run.choice);
    return status;
}

static const char *const examples[] = {
    "wgdeck exec uptime", "on every node of the mesh file",
    "wgdeck exec -n 'db*' -- systemctl is-active wg-quick@wg0", "on some of them; what stands behind -- is not read as options",
    "wgdeck exec 'uname -r; df -h /'", "quoted: the nodes' shells read it", NULL,
};

static const struct cmd_exit exits[] = {
    {0, "the command ended with 0 on every node"},
    {1, "a node was not reached or did not end in time, or the command ended with 1 at the most"},
    {2, "the command line was wrong, or as below"},
    {255, "in general, the highest exit status of the command on any node"},
    {0, NULL},
};

const struct cmd cmd_exec = {
    .name = "exec",
    .arguments = "[--] COMMAND...",
    .summary = "one command on all nodes at once, equal answers shown together",
    .description = "Runs COMMAND in the login shell of each node of the mesh file (or of those that --nodes names), all at once, and shows what they printed: nodes "
                   "with the same output and exit status stand together, as n[1-20]; those that did not end in time or were not reached are named and counted. "
                   "COMMAND gets no input. A node that prints more than 16 MiB, or whatever comes when all together have printed 256 MiB, is cut off and said to be.",
    .options = exec_options,
    .examples = examples,
    .exits = exits,
    .run = run_exec,
    .options_first = true,
};
