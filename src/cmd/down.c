/* wgdeck down: takes an interface away that "wgdeck up" or wg-quick brought up. */
#include "commands.h"
#include "up_command.h"

static const struct cmd_option down_options[] = {
    {.name = "dry-run", .help = "only print what would be done"},
    {0},
};

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    return up_command(cmd, globals, argc, argv, down_run);
}

const struct cmd cmd_down = {
    .name = "down",
    .arguments = "IF|FILE",
    .summary = "take an interface away that \"up\" or wg-quick made",
    .description =
        "As wg-quick down: PreDown and PostDown of the file are run by sh, the interface goes, and with it its addresses, routes, rules and its engine. "
        "With SaveConfig = true the file is first rewritten: rows, endpoints, port and addresses as they run; comments, hooks and endpoints that are "
        "given by name stay.\n\n"
        "When a PreDown hook fails, or saving does, the interface stays up. An interface without a file is taken away too.",
    .options = down_options,
    .run = run,
};
