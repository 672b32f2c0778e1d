/* wgdeck node: the helper's side of the SSH channel. For the deck, not for people. */
#include <unistd.h>

#include "commands.h"
#include "wgdeck/node.h"

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    (void)cmd;
    (void)globals;
    (void)argc;
    (void)argv;
    return node_serve(STDIN_FILENO, STDOUT_FILENO) == 0 ? CMD_OK : CMD_FAILED;
}

static const struct cmd_option none[] = {{0}};

const struct cmd cmd_node = {
    .name = "node",
    .arguments = "",
    .summary = "answer the deck over standard input and output",
    .description = "The helper that the deck starts on a node over SSH. It reads requests as JSON lines and ends with its input.",
    .options = none,
    .hidden = true,
    .run = run,
};
