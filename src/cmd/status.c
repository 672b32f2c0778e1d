/* wgdeck status: one look and out, or one after the other with -w. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "gather.h"
#include "output.h"
#include "wgdeck/clock.h"
#include "wgdeck/history.h"
#include "wgdeck/log.h"

static const struct cmd_option status_options[] = {
    {.name = "json", .help = "as JSON, schema 1; with --watch one line each time"},
    {.name = "prom", .help = "in the text format of Prometheus"},
    {.letter = 'w', .name = "watch", .argument = "SECONDS", .help = "look again every SECONDS, until ^C"},
    {.letter = 'a', .name = "all", .help = "list also what is fine, however much it is"},
    GATHER_OPTION_ROWS,
    {0},
};

struct status {
    struct options options;
    struct mesh_choice choice;
    struct gather_options wanted;
    const struct output *output;
    struct terminal terminal;
    struct history *history;
    struct diagnosis *last;    /* what is known of a cut link goes on from one picture to the next */
};

/* Prints one picture; returns its exit status, or -1 when nobody reads any more. */
static int print_once(struct status *status, struct gather *gather)
{
    struct buf text = BUF_EMPTY;
    const struct observed *now = gather_observed(gather);
    int64_t at = clock_steady();
    struct diagnosis *diagnosis = diagnose_after(status->last, status->choice.mesh, now, history_before(status->history, at));
    struct report report = {.mesh = status->choice.mesh, .observed = now, .diagnosis = diagnosis, .terminal = &status->terminal,
                            .nodes = status->choice.show, .about = {status->choice.named_count == 1 ? status->choice.named[0] : SIZE_MAX, SIZE_MAX},
                            .all = options_given(&status->options, "all")};
    if (status->wanted.every > 0 && status->output == &output_text) {
        char time_text[CLOCK_TEXT_SIZE];
        clock_text(clock_wall(), time_text);
        buf_add_format(&text, "%s\n", time_text);
    }
    status->output->status(&report, &text);
    if (status->wanted.every > 0 && status->output != &output_json)
        buf_add_char(&text, '\n');
    int result = report_exit_status(&report);
    size_t written = fwrite(buf_text(&text), 1, text.length, stdout);
    if (written != text.length || fflush(stdout))
        result = -1;
    history_add(status->history, now, at);
    diagnosis_free(status->last);
    status->last = diagnosis;
    buf_free(&text);
    return result;
}

static int look(struct status *status)
{
    struct gather *gather = gather_new(&status->options, &status->choice, &status->wanted);
    if (!gather)
        return STATUS_COULD_NOT_LOOK;
    status->history = history_new();
    gather_first(gather);
    int result = print_once(status, gather), last = result;
    while (status->wanted.every > 0 && result >= 0 && !gather_interrupted(gather))
        if (gather_wait(gather, status->wanted.every, NULL)) {
            result = print_once(status, gather);
            last = result >= 0 ? result : last;
        }
    diagnosis_free(status->last);
    history_free(status->history);
    gather_free(gather);
    return last >= 0 ? last : STATUS_COULD_NOT_LOOK;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct status status = {.output = &output_text};
    if (!options_parse(cmd, globals, argc, argv, &status.options) || !gather_read_options(&status.options, &status.wanted) ||
        !options_seconds(&status.options, "watch", 0.2, 86400, 0, &status.wanted.every))
        return status.options.status;
    if (options_given(&status.options, "json") && options_given(&status.options, "prom"))
        return options_usage_error(cmd, "--json and --prom exclude each other");
    if (options_given(&status.options, "json"))
        status.output = &output_json;
    if (options_given(&status.options, "prom"))
        status.output = &output_prom;
    status.terminal = terminal_of(STDOUT_FILENO, &status.options.globals);
    if (!mesh_choose(&status.options, &status.choice))
        return STATUS_COULD_NOT_LOOK;
    int result = look(&status);
    mesh_choice_free(&status.choice);
    return result;
}

static const char *const examples[] = {
    "wgdeck status", "the mesh of the mesh file",
    "wgdeck status root@192.0.2.1 root@192.0.2.2 web", "a mesh that has no mesh file, by its SSH targets; \"web\" is an alias of ~/.ssh/config",
    "wgdeck status --prom > /var/lib/node_exporter/wgdeck.prom", "for a textfile collector",
    "wgdeck status -w 5 --json | jq -c .verdict", "the verdict every five seconds", NULL,
};

const struct cmd cmd_status = {
    .name = "status",
    .arguments = "[HOST...]",
    .summary = "one look at every node and link, judged from both ends",
    .description =
        "Logs in to all nodes at once over SSH, reads their WireGuard interfaces, compares the two ends of every link, and shows the verdict, "
        "the nodes, the links that are not live and the faults, each with what mends it. Nothing is changed on the nodes.\n\n"
        "HOSTs are SSH targets ([user@]host[:port], or an alias of ~/.ssh/config) of an existing mesh; no mesh file is needed then, and the mesh is what "
        "the rows of the nodes say. Names of nodes in the mesh file choose among them.\n\n"
        "A node that hangs does not hold up the others: once they have answered, it is waited for a moment only (--patience), and shown "
        "with the phase that it hangs in. ^C shows what is known so far.",
    .options = status_options,
    .examples = examples,
    .run = run,
    .judges = true,
};
