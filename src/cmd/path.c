/* wgdeck path: by which way two nodes reach each other, and a better one where there is one (wgdeck/ladder_run.h). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "carry_out.h"
#include "commands.h"
#include "wgdeck/json.h"
#include "wgdeck/ladder_run.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

#define TIMEOUT_DEFAULT 10.0

static const struct cmd_option path_options[] = {
    {.name = "direct", .help = "direct or not at all: the relay is not tried"},
    {.name = "relay", .help = "by the relay, also where a direct way is possible"},
    {.name = "hub", .help = "back to the hub: nothing is tried"},
    {.name = "json", .help = "what came of it as JSON, schema 1, on standard output"},
    {.name = "timeout", .argument = "SECONDS", .help = "how long to wait for a node that cannot be reached", .fallback = "10"},
    {0},
};

struct finding {
    struct options options;
    struct mesh_file file;
    struct ladder_run_options wanted;
    size_t pair[1][2];
    struct ev_loop *loop;
    struct ask *ask;
    struct ladder_run *run;
    struct ev_signal ended_by[3];
    unsigned signals;
    bool json;
};

static const char *const state_words[] = {
    [LADDER_PAIR_WAITING] = "waiting", [LADDER_PAIR_RUNNING] = "trying", [LADDER_PAIR_CHANGED] = "changed", [LADDER_PAIR_KEPT] = "kept", [LADDER_PAIR_NO_WAY] = "no way", [LADDER_PAIR_FAILED] = "failed",
};

/* --- the command line */

static int read_aim(struct finding *finding, const struct cmd *cmd)
{
    static const struct { const char *option; enum ladder_aim aim; } aims[] = {{"direct", LADDER_AIM_DIRECT}, {"relay", LADDER_AIM_RELAY}, {"hub", LADDER_AIM_HUB}};
    unsigned given = 0;
    for (size_t i = 0; i < COUNT_OF(aims); i++)
        if (options_given(&finding->options, aims[i].option)) {
            finding->wanted.aim = aims[i].aim;
            given++;
        }
    return given <= 1 ? CMD_OK : options_usage_error(cmd, "--direct, --relay and --hub: one of them");
}

static int read_command(struct finding *finding, const struct cmd *cmd)
{
    struct options *options = &finding->options;
    double timeout;
    int status = read_aim(finding, cmd);
    if (status)
        return status;
    if (options->operand_count != 0 && options->operand_count != 2)
        return options_usage_error(cmd, "two nodes, as in \"wgdeck path mail db\"; or none, for every node that joined by the relay");
    if (!options_seconds(options, "timeout", 0.1, 3600, TIMEOUT_DEFAULT, &timeout))
        return options->status;
    finding->json = options_given(options, "json");
    finding->wanted.look = (struct look_options){
        .deadline = 3 * timeout,
        .fanout = {.ssh_config = options->globals.ssh_config, .deadlines = {.connect = timeout, .key_exchange = timeout, .login = timeout}},
    };
    return CMD_OK;
}

static bool find_nodes(struct finding *finding)
{
    if (!finding->options.operand_count)
        return true;
    for (size_t e = 0; e < 2; e++) {
        finding->pair[0][e] = carry_out_find_node(&finding->options, &finding->file, finding->options.operands[e]);
        if (finding->pair[0][e] == SIZE_MAX)
            return false;
    }
    finding->wanted.pairs = finding->pair;
    finding->wanted.pair_count = 1;
    return true;
}

/* --- what is shown */

static void show_line(const struct finding *finding, size_t index)
{
    struct ladder_pair pair = ladder_run_pair(finding->run, index);
    const struct mesh_node *nodes = finding->file.mesh->nodes;
    const char *one = nodes[pair.ends[0]].name, *two = nodes[pair.ends[1]].name;
    bool over = pair.state > LADDER_PAIR_RUNNING;
    if (finding->json)
        return;
    progress_clear();
    if (!over)
        printf("%5.1fs  %s - %s: %s\n", pair.seconds, one, two, pair.text);
    else if (pair.state == LADDER_PAIR_FAILED)
        log_error("path: %s - %s: %s", one, two, pair.text);
    else if (pair.before == pair.now || pair.state == LADDER_PAIR_KEPT)
        printf("%5.1fs  %s - %s: %s: %s\n", pair.seconds, one, two, ladder_words[pair.now], pair.text);
    else
        printf("%5.1fs  %s - %s: %s -> %s: %s\n", pair.seconds, one, two, ladder_words[pair.before], ladder_words[pair.now], pair.text);
    fflush(stdout);
}

static void show_json(const struct finding *finding)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_list(&json, "pairs");
    for (size_t i = 0; i < ladder_run_count(finding->run); i++) {
        struct ladder_pair pair = ladder_run_pair(finding->run, i);
        const struct mesh_node *nodes = finding->file.mesh->nodes;
        json_object(&json, NULL);
        json_list(&json, "nodes");
        json_text(&json, NULL, nodes[pair.ends[0]].name);
        json_text(&json, NULL, nodes[pair.ends[1]].name);
        json_list_end(&json);
        json_text(&json, "hub", nodes[pair.hub].name);
        json_text(&json, "result", state_words[pair.state]);
        json_text(&json, "before", ladder_words[pair.before]);
        json_text(&json, "path", ladder_words[pair.now]);
        json_text(&json, "reason", pair.text);
        json_decimal(&json, "seconds", pair.seconds, 3);
        json_object_end(&json);
    }
    json_list_end(&json);
    json_object_end(&json);
    puts(buf_text(&text));
    buf_free(&text);
}

static int status_of(const struct finding *finding)
{
    for (size_t i = 0; i < ladder_run_count(finding->run); i++) {
        enum ladder_pair_state state = ladder_run_pair(finding->run, i).state;
        if (state != LADDER_PAIR_CHANGED && state != LADDER_PAIR_KEPT)
            return CMD_FAILED;
    }
    return CMD_OK;
}

/* --- while it runs */

static void on_changed(void *context, struct ladder_run *run, size_t pair)
{
    struct finding *finding = context;
    finding->run = run; /* it may be told inside ladder_run_new already */
    show_line(finding, pair);
}

static void on_done(void *context, struct ladder_run *run)
{
    struct finding *finding = context;
    (void)run;
    ev_break(finding->loop, EVBREAK_ALL);
}

/* The first one stops what is tried and waits for the ends to say so, the second one does not wait. */
static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct finding *finding = watcher->data;
    (void)events;
    if (finding->signals++)
        ev_break(loop, EVBREAK_ALL);
    else
        ladder_run_stop(finding->run);
}

static void on_question(void *context, const struct fanout_question *question)
{
    struct finding *finding = context;
    progress_clear();
    ask_question(finding->ask, question);
}

static void watch(struct finding *finding)
{
    static const int signals[COUNT_OF(finding->ended_by)] = {SIGINT, SIGHUP, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&finding->ended_by[i], on_signal, signals[i]);
        finding->ended_by[i].data = finding;
        ev_signal_start(finding->loop, &finding->ended_by[i]);
        ev_unref(finding->loop);
    }
}

static void unwatch(struct finding *finding)
{
    for (size_t i = 0; i < COUNT_OF(finding->ended_by); i++) {
        ev_ref(finding->loop);
        ev_signal_stop(finding->loop, &finding->ended_by[i]);
    }
}

static int run_loop(struct finding *finding)
{
    static const struct ladder_run_callbacks callbacks = {.changed = on_changed, .done = on_done};
    struct err err;
    int status = CMD_FAILED;
    finding->loop = ev_loop_new(EVFLAG_AUTO);
    finding->ask = ask_new(finding->loop);
    finding->wanted.look.fanout.ask = finding->ask ? on_question : NULL;
    finding->wanted.look.fanout.context = finding;
    finding->run = ladder_run_new(finding->loop, finding->file.mesh, &finding->wanted, &callbacks, finding, &err);
    if (!finding->run) {
        log_error("path: %s", err.text);
    } else {
        watch(finding);
        if (finding->ask)
            ask_attach(finding->ask, ladder_run_fanout(finding->run));
        if (isatty(STDERR_FILENO) && !finding->json)
            progress_show("looking at the nodes");
        while (!ladder_run_is_over(finding->run) && finding->signals < 2)
            ev_run(finding->loop, 0);
        progress_clear();
        if (finding->json)
            show_json(finding);
        if (finding->signals)
            log_error("path: interrupted");
        status = finding->signals ? CMD_FAILED : status_of(finding);
        unwatch(finding);
    }
    ladder_run_free(finding->run);
    ask_free(finding->ask);
    ev_loop_destroy(finding->loop);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct finding finding = {0};
    if (!options_parse(cmd, globals, argc, argv, &finding.options))
        return finding.options.status;
    int status = read_command(&finding, cmd);
    if (status)
        return status;
    if (!carry_out_open(&finding.options, &finding.file))
        return CMD_FAILED;
    status = find_nodes(&finding) ? run_loop(&finding) : CMD_FAILED;
    mesh_file_free(&finding.file);
    return status;
}

static const char *const examples[] = {
    "wgdeck path mail db", "look for a direct way between mail and db, else for one by the relay",
    "wgdeck path", "the same for every node that joined by the relay",
    "wgdeck path mail db --hub", "back to the hub's way", NULL};

static const struct cmd_exit exits[] = {{0, "every pair goes the way that was asked for"}, {1, "a pair has no better way, or could not be tried: the line says why"}, {2, "usage error"}, {0, NULL}};

const struct cmd cmd_path = {
    .name = "path",
    .arguments = "[NODE NODE]",
    .summary = "look for a direct way between nodes that the hub connects",
    .description = "A node that joined by the relay reaches all others through the hub, which decrypts and encrypts again. This command looks for something better: it tells both ends in the same "
                   "second where the other one is (in the same network, by IPv6, where the hub sees it), and each tries to reach the other, as WireGuard does it; NATs that allow it open up by that. Where "
                   "nothing answers, both try the opaque relay on the hub (\"wgdeck relay\"), which forwards packets that it cannot read. Where that does not answer either, all stays with the hub.\n\n"
                   "The traffic goes by the hub until a way is proven at both ends, and no saved file is changed: after a boot the way is the hub's. While a better way is used both ends watch it, and go "
                   "back to the hub by themselves within 15 seconds when it dies.\n\n"
                   "Two NATs that give each destination another port (symmetric ones), or such a one and a NAT that lets in known ports only, have no direct way.\n\n"
                   "Between two nodes that have both joined with \"wgdeck join\", the hub does the same by itself, and does it again a while after --hub.\n\n"
                   "^C goes back to the hub where a trial is under way. For two nodes that are members with rows of each other and no Endpoint, it looks for a direct way by a third node that sees both.",
    .options = path_options,
    .examples = examples,
    .run = run,
    .exits = exits,
};
