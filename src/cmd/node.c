/* wgdeck node: the helper's side of the SSH channel. For the deck, not for people. */
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "wgdeck/node.h"

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "no operand is wanted");
    const char *guarded = options_value(&options, "guard");
    if (guarded)
        return node_guard(guarded) == 0 ? CMD_OK : CMD_FAILED;
    const char *invited = options_value(&options, "join");
    if (invited)
        return node_join(invited, STDIN_FILENO, STDOUT_FILENO) == 0 ? CMD_OK : CMD_FAILED;
    const char *watched = options_value(&options, "paths");
    if (watched)
        return node_paths(watched) == 0 ? CMD_OK : CMD_FAILED;
    return node_serve(STDIN_FILENO, STDOUT_FILENO) == 0 ? CMD_OK : CMD_FAILED;
}

static const struct cmd_option node_options[] = {
    {.name = "guard", .argument = "INTERFACE", .help = "be the guard of a change that the helper has begun: put the old state back unless it is confirmed"},
    {.name = "join", .argument = "ID", .help = "be the hub of a node that joins by the invitation of this number, as sshd runs it"},
    {.name = "paths", .argument = "INTERFACE", .help = "watch what goes another way than the saved file says, and give it back to the hub's when it dies"},
    {0},
};

const struct cmd cmd_node = {
    .name = "node",
    .arguments = "",
    .summary = "answer the deck over standard input and output",
    .description = "The helper that the deck starts on a node over SSH. It reads requests as JSON lines and ends with its input.",
    .options = node_options,
    .hidden = true,
    .run = run,
};
