/* wgdeck doctor: every fault with its evidence. A second reading is taken only when counters have to tell what configurations cannot. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "gather.h"
#include "output.h"
#include "wgdeck/clock.h"
#include "wgdeck/history.h"
#include "wgdeck/log.h"

#define CLOCK_AHEAD (2 * CLOCK_SECOND)
#define WAIT_DEFAULT 13.0 /* a little more than HISTORY_SPAN: the readings themselves take time */
#define PATIENCE_DEFAULT 5.0

static const struct cmd_option doctor_options[] = {
    {.name = "json", .help = "as JSON, the same schema as status --json"},
    {.letter = 'a', .name = "all", .help = "list every consequence, however many there are"},
    {.name = "wait", .argument = "SECONDS", .help = "time between the two readings, when two are needed; 0: never take a second one", .fallback = "13"},
    GATHER_OPTION_ROWS,
    {0},
};

/* Faults that are concluded from counters, or that two readings can tell apart better. */
static bool rests_on_counters(const struct fault *fault)
{
    return !strncmp(fault->kind->id, "udp-blocked", strlen("udp-blocked")) || fault->severity == SEVERITY_INFO;
}

static bool is_explained(const struct report *report, const struct link *link)
{
    for (size_t i = 0; i < report->diagnosis->fault_count; i++) {
        const struct fault *fault = &report->diagnosis->faults[i];
        size_t first = fault->nodes[0], second = fault->nodes[1];
        bool pair = (first == link->a && second == link->b) || (first == link->b && second == link->a);
        bool one_end = second == SIZE_MAX && (first == link->a || first == link->b) && fault->severity == SEVERITY_ERROR;
        if ((pair || one_end) && !rests_on_counters(fault))
            return true;
    }
    return false;
}

/* A handshake that lies in the future of the node's own clock: the clock was set back since, and whether the link is quiet or refused
 * only what is sent meanwhile can tell. */
static bool is_ahead_of_clock(const struct observation *node, const struct device_peer *row)
{
    return row && node->reach == REACH_OK && node->node_time > 0 && row->handshake > CLOCK_AHEAD && row->handshake - CLOCK_AHEAD > node->node_time;
}

/* The first reading alone hints at a block: the totals of both ends disagree. */
static bool is_suspect(const struct report *report, const struct link *link)
{
    for (size_t i = 0; i < report->diagnosis->fault_count; i++) {
        const struct fault *fault = &report->diagnosis->faults[i];
        bool pair = (fault->nodes[0] == link->a && fault->nodes[1] == link->b) || (fault->nodes[0] == link->b && fault->nodes[1] == link->a);
        if (pair && fault->severity == SEVERITY_INFO && rests_on_counters(fault))
            return true;
    }
    return false;
}

/* Someone asks about just these two: a block on a link that was live some minutes ago shows in counters only. */
static bool is_asked_for(const struct report *report, const struct link *link)
{
    return (report->about[0] == link->a && report->about[1] == link->b) || (report->about[0] == link->b && report->about[1] == link->a);
}

/* Is there a link that is broken, readable at both ends, and not explained by what is configured? */
static bool needs_counters(const struct report *report)
{
    for (size_t i = 0; i < report->diagnosis->link_count; i++) {
        const struct link *link = &report->diagnosis->links[i];
        bool broken = link->state == LINK_DEAD || link->state == LINK_NEVER || link->state == LINK_HALF || link->state == LINK_LATE;
        const struct observation *a = &report->observed->nodes[link->a], *b = &report->observed->nodes[link->b];
        bool readable = a->reach == REACH_OK || b->reach == REACH_OK;
        if (readable && (is_asked_for(report, link) || is_suspect(report, link)) && !is_explained(report, link))
            return true;
        if (link->state == LINK_IDLE && (is_ahead_of_clock(a, link->a_row) || is_ahead_of_clock(b, link->b_row)))
            return true;
        if (broken && readable && !report_link_is_quiet(link) && report_shows_link(report, link) && !is_explained(report, link))
            return true;
    }
    return false;
}

/* Faults of the pair that was asked for, or of the one node. */
static void set_about(struct report *report, const struct mesh_choice *choice)
{
    report->about[0] = report->about[1] = SIZE_MAX;
    report->nodes = choice->show;
    if (choice->named_count == 0 || choice->named_count > 2)
        return;
    report->about[0] = choice->named[0];
    report->about[1] = choice->named[1];
    report->nodes = NULL;
}

/* The second reading, when it would tell more. Returns the newer diagnosis, or the one there is. */
static struct diagnosis *compare_counters(struct gather *gather, struct report *report, struct diagnosis *diagnosis, double wait)
{
    if (wait <= 0 || !needs_counters(report) || gather_interrupted(gather))
        return diagnosis;
    if (!gather_wait(gather, wait, "second reading, to compare counters,"))
        return diagnosis;
    gather_again(gather);
    struct counters *before = counters_take(report->observed);
    report->observed = gather_observed(gather);
    diagnosis_free(diagnosis);
    diagnosis = diagnose(report->mesh, report->observed, before);
    counters_free(before);
    return diagnosis;
}

static int examine(struct options *options, const struct mesh_choice *choice, const struct gather_options *wanted, double wait)
{
    struct gather *gather = gather_new(options, choice, wanted);
    if (!gather)
        return STATUS_COULD_NOT_LOOK;
    gather_first(gather);
    struct observed *first = observed_copy(gather_observed(gather));
    struct diagnosis *diagnosis = diagnose(choice->mesh, first, NULL);
    struct terminal terminal = terminal_of(STDOUT_FILENO, &options->globals);
    struct report report = {.mesh = choice->mesh, .terminal = &terminal, .observed = first, .diagnosis = diagnosis,
                            .all = options_given(options, "all")};
    set_about(&report, choice);
    diagnosis = compare_counters(gather, &report, diagnosis, wait);
    report.diagnosis = diagnosis;
    struct buf text = BUF_EMPTY;
    const struct output *output = options_given(options, "json") ? &output_json : &output_text;
    output->doctor(&report, &text);
    fwrite(buf_text(&text), 1, text.length, stdout);
    int status = report_exit_status(&report);
    buf_free(&text);
    diagnosis_free(diagnosis);
    observed_free(first);
    gather_free(gather);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct gather_options wanted;
    struct mesh_choice choice;
    double wait;
    if (!options_parse(cmd, globals, argc, argv, &options) || !gather_read_options(&options, &wanted) ||
        !options_seconds(&options, "wait", 0, 3600, WAIT_DEFAULT, &wait))
        return options.status;
    if (wanted.patience < 0)
        wanted.patience = PATIENCE_DEFAULT;
    if (!mesh_choose(&options, &choice))
        return STATUS_COULD_NOT_LOOK;
    int status = examine(&options, &choice, &wanted, wait);
    mesh_choice_free(&choice);
    return status;
}

static const char *const examples[] = {
    "wgdeck doctor", "every fault of the mesh",
    "wgdeck doctor api db", "why api and db do not reach each other",
    "wgdeck doctor root@192.0.2.1 root@192.0.2.2", "the same for a mesh without a mesh file", NULL,
};

const struct cmd cmd_doctor = {
    .name = "doctor",
    .arguments = "[NODE | A B | HOST...]",
    .summary = "every fault with its evidence, the place to look and the command that mends it",
    .description =
        "Looks at the mesh as status does, and shows for each fault what it was concluded from, where to look, what mends it and what else it explains; "
        "root causes come first. What could not be looked at is listed at the end. Nothing is changed on the nodes. wgdeck-faults(7) describes each fault.\n\n"
        "When configurations do not explain a broken link, a second reading is taken some seconds later (--wait): what the counters of both ends did "
        "in between tells which direction is blocked. A link that was blocked within the last two or three minutes still looks live in one reading: name "
        "its two nodes, and the second reading is always taken.\n\n"
        "With NODE, only what concerns this node of the mesh file; with A B, only the link between these two. Otherwise the operands are SSH targets, "
        "as with status.",
    .options = doctor_options,
    .examples = examples,
    .run = run,
    .judges = true,
};
