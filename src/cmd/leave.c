/* wgdeck leave: this machine out of the mesh that it has joined with an invitation. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "wgdeck/join.h"
#include "wgdeck/log.h"

static const struct cmd_option leave_options[] = {
    {.letter = 'y', .name = "yes", .help = "without a question"},
    {0},
};

static const char *const examples[] = {
    "wgdeck leave", "Say what goes, ask, and take it away.",
    "wgdeck leave wg1 --yes", "The one of two meshes, without a question.",
    NULL,
};

static bool ask(void *context, const char *what)
{
    const bool *yes = context;
    char answer[16];
    fprintf(stderr, "This goes:\n%s", what);
    if (*yes)
        return true;
    fputs("Leave? [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct buf said = BUF_EMPTY;
    struct err err = {""};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count > 1)
        return options_usage_error(cmd, "one interface at a time");
    bool yes = options_given(&options, "yes");
    if (!yes && !isatty(STDIN_FILENO))
        return options_usage_error(cmd, "there is no terminal to ask on: --yes leaves without a question");
    signal(SIGHUP, SIG_IGN); /* whoever is logged in through the tunnel loses this terminal in the middle */
    signal(SIGPIPE, SIG_IGN);
    struct leave_options wanted = {.interface = options.operand_count ? options.operands[0] : NULL, .confirm = ask, .context = &yes};
    int result = leave_run(&wanted, &said, &err);
    fwrite(buf_text(&said), 1, said.length, stdout);
    fflush(stdout);
    if (result < 0)
        log_error("leave: %s", err.text);
    else if (result > 0)
        log_notice("leave: nothing was done");
    buf_free(&said);
    return result ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_leave = {
    .name = "leave",
    .arguments = "[IF]",
    .summary = "take this machine out of a mesh that it has joined",
    .description =
        "Takes away what \"wgdeck join\" made here: the interface, its file in /etc/wireguard, what brings it up at boot, what wgdeck keeps of it, and the installed program where no other interface needs "
        "it. What was there before stays.\n\n"
        "The hub is told through the tunnel where it listens for that; else the operator of the mesh takes the node out with \"wgdeck remove NAME\". IF may be left out when this machine has joined "
        "one mesh only.",
    .options = leave_options,
    .examples = examples,
    .run = run,
};
