/* wgdeck remove: nodes out of the mesh, and out of its file. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carry_out.h"
#include "commands.h"
#include "wizard.h"
#include "wgdeck/clock.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option remove_options[] = {
    {.name = "keep-interface", .help = "leave the interface of the node as it is; the others forget it all the same"},
    CARRY_OUT_NO_APPLY_ROW,
    CARRY_OUT_OPTION_ROWS,
    {0},
};

static void make_edits(const struct options *options, struct mesh_edits *edits)
{
    char date[16];
    time_t now = (time_t)(clock_wall() / CLOCK_SECOND);
    struct tm parts;
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &parts));
    for (int i = 0; i < options->operand_count; i++)
        mesh_edits_add(edits, MESH_EDIT_REMOVE_NODE, options->operands[i], NULL, date);
}

/* The nodes have done it; only then does the file forget how they are reached. */
static int edit_after(struct carry_out *wanted, const struct mesh_edits *edits)
{
    struct err err;
    if (!mesh_file_edit(wanted->file, edits, &err)) {
        log_notice("remove: %s is edited; what rows need to know of the removed stays in [Removed] sections", wanted->file->path);
        return CMD_OK;
    }
    log_error("remove: the nodes have done it, but the mesh file was not edited: %s", err.text);
    return CMD_FAILED;
}

static int remove_nodes(struct options *options, struct mesh_file *file, const bool *leaving)
{
    struct carry_out wanted;
    struct mesh_edits edits = {0};
    if (!carry_out_read_apply(options, file, &wanted))
        return options->status;
    int status;
    make_edits(options, &edits);
    if (options_given(options, "no-apply") || options_given(options, "keep-interface")) {
        status = carry_out_edit(&wanted, &edits, options_given(options, "no-apply"));
    } else {
        wanted.change.plan.leaving = leaving;
        status = carry_out_run(&wanted);
        if (wanted.kept && edit_after(&wanted, &edits))
            status = CMD_FAILED;
    }
    mesh_edits_free(&edits);
    carry_out_free(&wanted);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_file file;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (!options.operand_count && wizard_can_ask())
        return wizard_command(&options, WIZARD_REMOVE);
    if (!options.operand_count)
        return options_usage_error(cmd, "which node? Its name in the mesh file");
    if (!carry_out_open(&options, &file))
        return CMD_FAILED;
    bool *leaving = mem_alloc(file.mesh->node_count, sizeof *leaving);
    int status = CMD_OK;
    for (int i = 0; i < options.operand_count && !status; i++) {
        size_t node = carry_out_find_node(&options, &file, options.operands[i]);
        status = node == SIZE_MAX ? CMD_FAILED : leaving[node] ? options_usage_error(cmd, "%s is named twice", options.operands[i]) : CMD_OK;
        if (!status)
            leaving[node] = true;
    }
    if (!status)
        status = remove_nodes(&options, &file, leaving);
    free(leaving);
    mesh_file_free(&file);
    return status;
}

static const char *const examples[] = {
    "wgdeck remove web", "its interface goes, and the others' rows of it",
    "wgdeck remove web --keep-interface", "web is lost or somebody else's now: only the others forget it", NULL};

const struct cmd cmd_remove = {
    .name = "remove",
    .arguments = "[NAME...]",
    .summary = "take nodes out of the mesh and out of its file",
    .description = "Without arguments, on a terminal, it asks which nodes, and shows what the others lose with them.\n\n"
                   "Shows the plan, asks, and carries it out as \"wgdeck apply\" does: the node takes its interface down, and its file and its boot service away, if it can be reached; the others drop their rows of it. "
                   "Then its section in the mesh file becomes a [Removed] one: its keys, so that a node that was not reached drops its row at a later apply, and its addresses, "
                   "which are not given to another node at once. \"wgdeck set NAME forget\" ends that.",
    .options = remove_options,
    .examples = examples,
    .run = run,
};
