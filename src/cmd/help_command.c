/* wgdeck help, wgdeck version. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "terminal.h"
#include "wgdeck/version.h"

static const struct cmd_option none[] = {{0}};

static int run_help(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count > 1)
        return options_usage_error(cmd, "one command at a time");
    const struct cmd *about = NULL;
    if (options.operand_count) {
        about = cmd_find(options.operands[0]);
        if (!about)
            return options_unknown_command(options.operands[0]);
    }
    struct buf text = BUF_EMPTY;
    help_write(about, terminal_width(STDOUT_FILENO), &text);
    fputs(buf_text(&text), stdout);
    buf_free(&text);
    return CMD_OK;
}

const struct cmd cmd_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "show the commands, or one command's options, examples and exit status",
    .description = "",
    .options = none,
    .run = run_help,
};

static int run_version(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "it takes no argument");
    puts("wgdeck " WGDECK_VERSION);
    return CMD_OK;
}

const struct cmd cmd_version = {
    .name = "version",
    .arguments = "",
    .summary = "show the version",
    .description = "",
    .options = none,
    .run = run_version,
};
