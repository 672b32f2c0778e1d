/* wgdeck apply: the nodes become what the mesh file says. */
#include "carry_out.h"
#include "commands.h"

static const struct cmd_option apply_options[] = {
    CARRY_OUT_OPTION_ROWS,
    {.name = "prune", .help = "remove also rows of keys that are in no mesh file"},
    {.letter = 'a', .name = "all", .help = "say of each node what many have in common"},
    {.name = "json", .help = "what came of it as JSON, schema 1; needs --yes"},
    {0},
};

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_file file;
    struct carry_out wanted;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "it takes no argument; -n %s changes some nodes only", options.operands[0]);
    if (!carry_out_open(&options, &file))
        return CMD_FAILED;
    int status;
    if (carry_out_read_apply(&options, &file, &wanted)) {
        wanted.json = options_given(&options, "json");
        wanted.all = options_given(&options, "all");
        wanted.change.plan.prune = options_given(&options, "prune");
        status = carry_out_run(&wanted);
        carry_out_free(&wanted);
    } else {
        status = options.status;
    }
    mesh_file_free(&file);
    return status;
}

static const char *const examples[] = {
    "wgdeck apply", "show the plan, ask, carry it out",
    "wgdeck apply --yes --json", "from a script",
    "wgdeck -n api,db apply", "change these two nodes only; what the others lack stays in the plan", NULL};

const struct cmd cmd_apply = {
    .name = "apply",
    .arguments = "",
    .summary = "make the nodes what the mesh file says, under a guard",
    .description = "Shows the plan, asks, and carries it out on all nodes at once. No interface is restarted: rows that do not change keep their sessions.\n\n"
                   "Each node first writes down its old state and starts a guard, a process that puts the old state back unless it is told in time that all is well "
                   "(--confirm-within). Then all get what is new; when all have it, what is old is removed, both ends of each new link ping each other, and the deck logs in once more. When "
                   "that has succeeded everywhere, the files are written that bring it up at boot, and the guards end. If anything fails everything is put back, and the report says what was "
                   "seen where.\n\n"
                   "^C puts everything back. A second ^C leaves that to the guards, as does a lost connection or the end of this program.\n\n"
                   "A node that cannot be reached stays pending: the next apply brings it up to date. Applied twice, the second finds nothing to do.",
    .options = apply_options,
    .examples = examples,
    .run = run,
};
