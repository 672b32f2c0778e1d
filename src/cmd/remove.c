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

enum { DATE_SIZE = 16 };

static const struct cmd_option remove_options[] = {
    {.name = "keep-interface", .help = "leave the interface of the node as it is; the others forget it all the same"},
    CARRY_OUT_NO_APPLY_ROW,
    CARRY_OUT_OPTION_ROWS,
    {0},
};

static void date_of_today(char date[static DATE_SIZE])
{
    time_t now = (time_t)(clock_wall() / CLOCK_SECOND);
    struct tm parts;
    strftime(date, DATE_SIZE, "%Y-%m-%d", localtime_r(&now, &parts));
}

static void make_edits(const struct options *options, const struct mesh_file *file, const char *date, struct mesh_edits *edits)
{
    for (int i = 0; i < options->operand_count; i++)
        if (mesh_find_node(file->mesh, options->operands[i]) != SIZE_MAX)
            mesh_edits_add(edits, MESH_EDIT_REMOVE_NODE, options->operands[i], NULL, date);
}

/* The change edits the file when the nodes have done it. Where there was nothing to be done on any node, nobody has. */
static int edit_rest(struct carry_out *wanted, const char *date)
{
    struct err err;
    struct mesh_edits edits = {0};
    make_edits(wanted->options, wanted->file, date, &edits);
    int result = edits.count ? mesh_file_edit(wanted->file, &edits, &err) : 0;
    mesh_edits_free(&edits);
    if (!result) {
        log_notice("remove: %s is edited; what rows need to know of the removed stays in [Removed] sections", wanted->file->path);
        return CMD_OK;
    }
    log_error("remove: the nodes have done it, but the mesh file was not edited: %s", err.text);
    return CMD_FAILED;
}

static int take_out(struct carry_out *wanted, const bool *leaving, const char *date)
{
    struct buf before = BUF_EMPTY;
    buf_add(&before, wanted->file->bytes.data, wanted->file->bytes.length);
    wanted->change.plan.leaving = leaving;
    wanted->change.leaving_date = date;
    int status = carry_out_run(wanted);
    if (wanted->kept && edit_rest(wanted, date))
        status = CMD_FAILED;
    if (!wanted->kept && (before.length != wanted->file->bytes.length || memcmp(before.data, wanted->file->bytes.data, before.length)))
        carry_out_take_back(wanted, &before);
    buf_free(&before);
    return status;
}

static int remove_nodes(struct options *options, struct mesh_file *file, const bool *leaving)
{
    struct carry_out wanted;
    struct mesh_edits edits = {0};
    char date[DATE_SIZE];
    if (!carry_out_read_apply(options, file, &wanted))
        return options->status;
    int status;
    date_of_today(date);
    make_edits(options, file, date, &edits);
    if (options_given(options, "no-apply") || options_given(options, "keep-interface"))
        status = carry_out_edit(&wanted, &edits, options_given(options, "no-apply"));
    else
        status = take_out(&wanted, leaving, date);
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
