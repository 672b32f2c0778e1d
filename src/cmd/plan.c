/* wgdeck plan: what apply would do, on which node. Nothing is changed. */
#include "carry_out.h"
#include "commands.h"

static const struct cmd_option plan_options[] = {
    {.name = "json", .help = "as JSON, schema 1"},
    {.letter = 'a', .name = "all", .help = "say of each node what many have in common"},
    {.name = "prune", .help = "remove also rows of keys that are in no mesh file"},
    {.name = "detailed-exitcode", .help = "exit status 0: nothing to do, 1: failed, 2: something to do"},
    {.name = "bare", .help = "copy nothing to the nodes: one read-only shell command with what they have"},
    {.name = "timeout", .argument = "SECONDS", .help = "how long to wait for a node that cannot be reached", .fallback = "10"},
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
        return options_usage_error(cmd, "it takes no argument; -n %s looks at some nodes only", options.operands[0]);
    int status = CMD_FAILED;
    if (!carry_out_open(&options, &file))
        return status;
    if (carry_out_read(&options, &file, &wanted)) {
        wanted.only_plan = true;
        wanted.json = options_given(&options, "json");
        wanted.all = options_given(&options, "all");
        wanted.change.plan.prune = options_given(&options, "prune");
        if (options_given(&options, "bare"))
            wanted.change.look.mode = LOOK_BARE;
        status = carry_out_run(&wanted);
        if (status == CMD_OK && wanted.something && options_given(&options, "detailed-exitcode"))
            status = 2;
        carry_out_free(&wanted);
    } else {
        status = options.status;
    }
    mesh_file_free(&file);
    return status;
}

static const char *const examples[] = {
    "wgdeck plan", "what differs, node by node, like a diff",
    "wgdeck plan --detailed-exitcode -q", "for a script that looks whether the mesh is as its file says", NULL};

static const struct cmd_exit exits[] = {
    {0, "the plan was made, whether or not there is something to do"},
    {1, "failed, or something has to be mended first; standard error says what, where and why"},
    {2, "the command line was wrong; with --detailed-exitcode also: there is something to do"},
    {0, NULL},
};

const struct cmd cmd_plan = {
    .name = "plan",
    .arguments = "",
    .summary = "what apply would do on each node; changes nothing",
    .description = "Looks at all nodes and compares what the mesh file asks of each with what runs there and with what is saved there for the next boot. Shows the "
                   "difference as operations, and what stands in the way: networks that overlap, ports in use, a connection that would cut itself off.\n\n"
                   "A node that cannot be reached is pending: its rows on the other nodes stay. Rows of keys that are in no mesh file are left alone and noted, "
                   "unless --prune is given. An endpoint that is live by roaming is left alone.",
    .options = plan_options,
    .examples = examples,
    .run = run,
    .exits = exits,
};
