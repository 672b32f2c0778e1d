/* A change of the mesh from the command line. One loop from the look to the report, so that sessions stay alive while a person reads the plan. */
#include "carry_out.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "ask.h"
#include "columns.h"
#include "mesh_choice.h"
#include "terminal.h"
#include "wgdeck/apply.h"
#include "wgdeck/live.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define TICK 0.1              /* seconds between two pictures of the progress */
#define TIMEOUT_DEFAULT 10.0

struct carrying {
    struct carry_out *wanted;
    struct ev_loop *loop;
    struct change *change;
    struct ask *ask;
    struct carry_out_show *show;
    struct ev_timer tick;
    struct ev_io answer;
    struct ev_signal ended_by[3];
    unsigned interrupted;     /* how often the person, or the system, asked for the end */
    bool planned, going, done, agreed;
};

/* Before a change */

bool carry_out_open(const struct options *options, struct mesh_file *file)
{
    struct err err;
    struct buf warnings = BUF_EMPTY;
    char *path = mesh_file_path(&options->globals);
    *file = (struct mesh_file){0};
    if (!path) {
        log_error("%s: no mesh file (looked at $WGDECK_MESH, ./mesh.conf and $XDG_CONFIG_HOME/wgdeck/mesh.conf): \"wgdeck init\" begins a new mesh, "
                  "\"wgdeck adopt HOST HOST -o mesh.conf\" describes one that is there", options->cmd->name);
        return false;
    }
    bool good = !mesh_file_read(path, file, &warnings, &err);
    const char *line = buf_text(&warnings);
    while (*line) {
        size_t length = strcspn(line, "\n");
        log_notice("%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    if (!good)
        log_error("%s", err.text);
    buf_free(&warnings);
    free(path);
    return good;
}

size_t carry_out_find_node(const struct options *options, const struct mesh_file *file, const char *name)
{
    const struct mesh *mesh = file->mesh;
    size_t node = mesh_find_node(mesh, name);
    if (node != SIZE_MAX)
        return node;
    const char **names = mem_alloc(mesh->node_count, sizeof *names);
    for (size_t i = 0; i < mesh->node_count; i++)
        names[i] = mesh->nodes[i].name;
    const char *near = text_nearest(name, names, mesh->node_count);
    if (near)
        log_error("%s: no node \"%s\" in %s: did you mean %s?", options->cmd->name, name, file->path, near);
    else
        log_error("%s: no node \"%s\" in %s", options->cmd->name, name, file->path);
    free(names);
    return SIZE_MAX;
}

static bool matches_a_node(const struct options *options, const struct mesh *mesh)
{
    const char *pattern = options->globals.nodes;
    for (size_t i = 0; pattern && i < mesh->node_count; i++)
        if (text_matches(pattern, mesh->nodes[i].name))
            return true;
    if (pattern)
        log_error("%s: --nodes %s matches none of the %zu nodes", options->cmd->name, pattern, mesh->node_count);
    return !pattern;
}

bool carry_out_read(struct options *options, struct mesh_file *file, struct carry_out *wanted)
{
    double timeout;
    *wanted = (struct carry_out){.options = options, .file = file, .question = "Apply?"};
    if (!options_seconds(options, "timeout", 0.1, 3600, TIMEOUT_DEFAULT, &timeout))
        return false;
    if (!matches_a_node(options, file->mesh)) {
        options->status = CMD_FAILED;
        return false;
    }
    wanted->change = (struct change_options){
        .look = {.mode = LOOK_AUTO, .interface = NULL, .nodes = options->globals.nodes, .deadline = 3 * timeout,
                 .fanout = {.ssh_config = options->globals.ssh_config,
                            .deadlines = {.connect = timeout, .key_exchange = timeout, .login = timeout}}},
        .file = file,
    };
    char *state = live_state_folder(file->mesh);
    wanted->events = state ? mem_format("%s/events.jsonl", state) : NULL;
    wanted->change.events = wanted->events;
    free(state);
    return true;
}

bool carry_out_read_apply(struct options *options, struct mesh_file *file, struct carry_out *wanted)
{
    double within;
    if (!options_seconds(options, "confirm-within", APPLY_WITHIN_LEAST, APPLY_WITHIN_MOST, APPLY_WITHIN_DEFAULT, &within) ||
        !carry_out_read(options, file, wanted))
        return false;
    wanted->change.within = within;
    wanted->yes = options_given(options, "yes");
    return true;
}

void carry_out_free(struct carry_out *wanted)
{
    free(wanted->events);
    wanted->events = NULL;
}

/* While it runs */

static bool can_ask(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static void on_planned(void *context, struct change *change)
{
    struct carrying *carrying = context;
    (void)change;
    carrying->planned = true;
    ev_break(carrying->loop, EVBREAK_ALL);
}

static void draw(struct carrying *carrying)
{
    if (!ask_pending(carrying->ask) && !carrying->done && !ev_is_active(&carrying->answer))
        carry_out_show_draw(carrying->show, carrying->change, carrying->interrupted > 0);
}

static void on_progress(void *context, struct change *change)
{
    struct carrying *carrying = context;
    (void)change;
    if (!ev_is_active(&carrying->tick) && carrying->change)
        draw(carrying);
}

static void on_done(void *context, struct change *change)
{
    struct carrying *carrying = context;
    (void)change;
    carrying->done = true;
    ev_break(carrying->loop, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    draw(timer->data);
}

/* A question about a login: the progress makes room. */
static void on_question(void *context, const struct fanout_question *question)
{
    struct carrying *carrying = context;
    carry_out_show_clear(carrying->show);
    ask_question(carrying->ask, question);
}

static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct carrying *carrying = watcher->data;
    (void)events;
    carrying->interrupted++;
    if (!carrying->going || carrying->interrupted > 1) {
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    carry_out_show_clear(carrying->show);
    log_notice("%s: putting back what is not confirmed (once more leaves that to the nodes' guards)", carrying->wanted->options->cmd->name);
    change_stop(carrying->change);
}

static void on_answer(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct carrying *carrying = watcher->data;
    char line[64];
    (void)events;
    ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
    line[length > 0 ? length : 0] = '\0';
    line[strcspn(line, " \r\n")] = '\0';
    carrying->agreed = !strcasecmp(line, "y") || !strcasecmp(line, "yes");
    ev_io_stop(loop, watcher);
    ev_break(loop, EVBREAK_ALL);
}

/* A turn of the loop may end for another reason: UNTIL says what is waited for. */
static void wait_for(struct carrying *carrying, const bool *until)
{
    while (!*until && !carrying->done && (carrying->going ? carrying->interrupted < 2 : !carrying->interrupted))
        ev_run(carrying->loop, 0);
    carry_out_show_clear(carrying->show);
}

static bool person_agrees(struct carrying *carrying)
{
    const struct carry_out *wanted = carrying->wanted;
    if (wanted->yes)
        return true;
    if (!can_ask()) {
        log_error("%s: nobody can be asked here: --yes applies without a question", wanted->options->cmd->name);
        return false;
    }
    fflush(stdout);
    tcflush(STDIN_FILENO, TCIFLUSH); /* what was typed before it could be read is no answer to it */
    fprintf(stderr, "%s [y/N] ", wanted->question);
    fflush(stderr);
    ev_io_start(carrying->loop, &carrying->answer);
    ev_run(carrying->loop, 0);
    if (ev_is_active(&carrying->answer)) {
        ev_io_stop(carrying->loop, &carrying->answer);
        fputc('\n', stderr);
    }
    return carrying->agreed && !carrying->interrupted;
}

/* What is shown */

static void write_out(struct buf *text)
{
    fwrite(buf_text(text), 1, text->length, stdout);
    fflush(stdout);
    buf_free(text);
}

static size_t count_pending(const struct plan *plan)
{
    size_t pending = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        pending += plan->nodes[i].state == PLAN_PENDING;
    return pending;
}

static void show_plan(const struct carry_out *wanted, const struct plan *plan)
{
    struct buf text = BUF_EMPTY;
    if (wanted->json && wanted->only_plan) {
        struct json json = json_begin(&text);
        plan_to_json(plan, &json);
        buf_add_char(&text, '\n');
    } else if (wanted->intro) { /* a rotation: its plans are made node by node, and what else is open stays so */
        add_filled(&text, wanted->intro, 0, 0, terminal_width(STDOUT_FILENO));
        for (size_t i = 0; i < plan->lint.count; i++)
            buf_add_format(&text, "%s: %s\n", plan->lint.findings[i].error ? "error" : "warning", plan->lint.findings[i].text);
        if (!plan_is_empty(plan))
            buf_add_text(&text, "The mesh differs from its file besides, which is left alone (wgdeck plan).\n");
    } else if (!wanted->json) {
        if (plan->node_count)
            plan_to_text(plan, !wanted->all, &text);
        else
            buf_add_format(&text, "%s has no node yet: \"wgdeck add NAME SSH\" adds one.\n", wanted->file->path);
    }
    write_out(&text);
}

static bool is_success(enum change_result result)
{
    return result == CHANGE_NOTHING || result == CHANGE_CONFIRMED;
}

static void show_report(const struct carrying *carrying)
{
    struct buf text = BUF_EMPTY;
    if (carrying->wanted->json) {
        struct json json = json_begin(&text);
        change_report_json(carrying->change, &json);
        buf_add_char(&text, '\n');
    } else {
        change_report(carrying->change, &text);
    }
    write_out(&text);
}

static void say_left(const struct carrying *carrying)
{
    double within = carrying->wanted->change.within > 0 ? carrying->wanted->change.within : APPLY_WITHIN_DEFAULT;
    log_error("%s: left before it was over: each node that was being changed puts its old state back by itself within %.0f s; "
              "\"wgdeck plan\" shows what stands then", carrying->wanted->options->cmd->name, within);
}

/* Where nothing has to be done, no change runs that would write the keys that were seen for the first time into the mesh file. */
static int learn_keys(const struct carry_out *wanted, const struct plan *plan)
{
    struct err err;
    struct mesh_edits edits = {0};
    for (size_t i = 0; i < plan->node_count; i++) {
        char text[KEY_TEXT_SIZE];
        if (plan->nodes[i].state == PLAN_BLOCKED || !plan->nodes[i].learn_key)
            continue;
        key_text(&plan->nodes[i].public_key, text);
        mesh_edits_add(&edits, MESH_EDIT_SET, plan->mesh->nodes[i].name, "PublicKey", text);
    }
    size_t count = edits.count;
    int result = count ? mesh_file_edit(wanted->file, &edits, &err) : 0;
    mesh_edits_free(&edits);
    if (result)
        log_error("%s: the keys of the nodes cannot be written into the mesh file: %s", wanted->options->cmd->name, err.text);
    else if (count)
        log_notice("%s: %zu public key%s written into %s", wanted->options->cmd->name, count, count == 1 ? " is" : "s are", wanted->file->path);
    return result;
}

/* The whole, in order. Each part returns an exit status, or -1: go on. */

/* Is there anything that apply would refuse? */
static int judge_plan(const struct carry_out *wanted, const struct plan *plan)
{
    const char *name = wanted->options->cmd->name, *nodes = wanted->options->globals.nodes;
    size_t blocked = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        blocked += plan->nodes[i].state == PLAN_BLOCKED && (!nodes || text_matches(nodes, plan->mesh->nodes[i].name));
    if (lint_has_error(&plan->lint) || blocked) {
        if (lint_has_error(&plan->lint))
            log_error("%s: what is marked as an error has to be mended first; nothing was changed", name);
        else
            log_error("%s: the nodes that must not be touched have to be mended first; nothing was changed (to change the others only: -n '!NAME')", name);
        return CMD_FAILED;
    }
    if (plan->node_count && count_pending(plan) == plan->node_count) {
        log_error("%s: no node could be looked at; nothing was changed", name);
        return CMD_FAILED;
    }
    return wanted->only_plan ? CMD_OK : -1;
}

static int look_and_plan(struct carrying *carrying)
{
    struct carry_out *wanted = carrying->wanted;
    wait_for(carrying, &carrying->planned);
    const struct plan *plan = carrying->planned ? change_plan(carrying->change) : NULL;
    if (!plan) {
        if (carrying->done)
            show_report(carrying);
        else
            log_error("%s: interrupted while looking: nothing was changed", wanted->options->cmd->name);
        return CMD_FAILED;
    }
    wanted->planned = true;
    wanted->something = !plan_is_empty(plan);
    show_plan(wanted, plan);
    return wanted->json && !wanted->only_plan ? -1 : judge_plan(wanted, plan); /* the report as JSON says what was refused */
}

static int agree_and_go(struct carrying *carrying)
{
    struct carry_out *wanted = carrying->wanted;
    const struct plan *plan = change_plan(carrying->change);
    bool reached = count_pending(plan) < plan->node_count || !plan->node_count;
    if (!wanted->something && !wanted->change.rotate) {
        wanted->kept = !learn_keys(wanted, plan);
        if (!wanted->json || !wanted->kept)
            return wanted->kept ? CMD_OK : CMD_FAILED;
    }
    if ((wanted->something || wanted->change.rotate) && !person_agrees(carrying)) {
        log_notice("%s: nothing was changed", wanted->options->cmd->name);
        return CMD_FAILED;
    }
    carrying->going = true;
    change_go(carrying->change);
    wait_for(carrying, &carrying->done);
    if (!carrying->done) {
        say_left(carrying);
        return CMD_FAILED;
    }
    enum change_result result = change_result(carrying->change);
    wanted->kept = is_success(result) || result == CHANGE_PARTLY;
    show_report(carrying);
    return is_success(result) && reached ? CMD_OK : CMD_FAILED;
}

static void watch(struct carrying *carrying)
{
    static const int signals[COUNT_OF(carrying->ended_by)] = {SIGINT, SIGHUP, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&carrying->ended_by[i], on_signal, signals[i]);
        carrying->ended_by[i].data = carrying;
        ev_signal_start(carrying->loop, &carrying->ended_by[i]);
        ev_unref(carrying->loop);
    }
    ev_io_init(&carrying->answer, on_answer, STDIN_FILENO, EV_READ);
    ev_timer_init(&carrying->tick, on_tick, TICK, TICK);
    carrying->answer.data = carrying->tick.data = carrying;
    if (isatty(STDERR_FILENO))
        ev_timer_start(carrying->loop, &carrying->tick);
}

static void unwatch(struct carrying *carrying)
{
    ev_timer_stop(carrying->loop, &carrying->tick);
    for (size_t i = 0; i < COUNT_OF(carrying->ended_by); i++) {
        ev_ref(carrying->loop);
        ev_signal_stop(carrying->loop, &carrying->ended_by[i]);
    }
}

int carry_out_run(struct carry_out *wanted)
{
    struct err err;
    struct carrying carrying = {.wanted = wanted};
    static const struct change_callbacks callbacks = {.planned = on_planned, .progress = on_progress, .done = on_done};
    if (wanted->json && !wanted->only_plan && !wanted->yes)
        return options_usage_error(wanted->options->cmd, "--json shows no plan to agree to: give --yes too");
    carrying.loop = ev_loop_new(EVFLAG_AUTO);
    carrying.ask = ask_new(carrying.loop);
    wanted->change.look.fanout.ask = carrying.ask ? on_question : NULL;
    wanted->change.look.fanout.context = &carrying;
    wanted->change.only_plan = wanted->only_plan;
    carrying.show = carry_out_show_new(wanted->file->mesh, &wanted->options->globals);
    watch(&carrying);
    int status = CMD_FAILED;
    carrying.change = change_new(carrying.loop, &wanted->change, &callbacks, &carrying, &err);
    if (!carrying.change)
        log_error("%s: %s", wanted->options->cmd->name, err.text);
    if (carrying.change && carrying.ask)
        ask_attach(carrying.ask, change_fanout(carrying.change));
    if (carrying.change)
        status = look_and_plan(&carrying);
    if (status < 0)
        status = agree_and_go(&carrying);
    carry_out_show_free(carrying.show);
    change_free(carrying.change);
    ask_free(carrying.ask);
    unwatch(&carrying);
    ev_loop_destroy(carrying.loop);
    return status;
}

void carry_out_take_back(struct carry_out *wanted, const struct buf *before)
{
    struct err err;
    const char *name = wanted->options->cmd->name;
    int result = mesh_file_undo(wanted->file, before, &err);
    if (result < 0)
        log_error("%s: the edit of %s could not be taken back: %s", name, wanted->file->path, err.text);
    else if (result > 0)
        log_error("%s: %s was edited by somebody else meanwhile and is left as it is: look at it before the next apply", name, wanted->file->path);
    else
        log_notice("%s: %s is as it was before (--no-apply edits it without touching a node)", name, wanted->file->path);
}

int carry_out_edit(struct carry_out *wanted, const struct mesh_edits *edits, bool no_apply)
{
    struct err err;
    struct buf before = BUF_EMPTY;
    int status = CMD_OK;
    buf_add(&before, wanted->file->bytes.data, wanted->file->bytes.length);
    if (mesh_file_edit(wanted->file, edits, &err)) {
        log_error("%s: %s", wanted->options->cmd->name, err.text);
        status = CMD_FAILED;
    } else if (!no_apply) {
        status = carry_out_run(wanted);
        if (!wanted->kept)
            carry_out_take_back(wanted, &before);
    } else {
        log_notice("%s: %s is edited; \"wgdeck apply\" carries it out", wanted->options->cmd->name, wanted->file->path);
    }
    buf_free(&before);
    return status;
}
