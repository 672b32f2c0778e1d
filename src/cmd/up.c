/* wgdeck up: a WireGuard interface by its wg-quick file. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options.h"
#include "up_command.h"
#include "wgdeck/log.h"

static const struct cmd_option up_command_options[] = {
    {.name = "engine", .argument = "kernel|embedded", .help = "whose WireGuard: the kernel's, or this program's", .fallback = "the kernel's if it has it, else this program's"},
    {.name = "dry-run", .help = "only print what would be done"},
    {0},
};

static const char *const examples[] = {
    "wgdeck up wg0", "Do what /etc/wireguard/wg0.conf says.",
    "wgdeck up ./wg0.conf --engine embedded", "The same from another file, without the kernel's module.",
    "wgdeck up wg0 --dry-run", "Print the steps, and do nothing.",
    NULL,
};

static bool read_options(const struct cmd *cmd, const struct options *options, struct up_options *up)
{
    static const struct {
        const char *name;
        enum up_engine engine;
    } engines[] = {{"kernel", UP_ENGINE_KERNEL}, {"embedded", UP_ENGINE_EMBEDDED}};
    const char *engine = !strcmp(cmd->name, "up") ? options_value(options, "engine") : NULL;
    *up = (struct up_options){.dry_run = options_given(options, "dry-run")};
    if (options->operand_count != 1) {
        options_usage_error(cmd, options->operand_count ? "one interface at a time" : "say which: an interface, or a wg-quick file");
        return false;
    }
    up->target = options->operands[0];
    for (size_t i = 0; engine && i < sizeof engines / sizeof *engines; i++)
        if (!strcmp(engines[i].name, engine))
            up->engine = engines[i].engine;
    if (engine && up->engine == UP_ENGINE_ANY) {
        options_usage_error(cmd, "--engine is kernel or embedded, not '%s'", engine);
        return false;
    }
    return true;
}

int up_command(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv,
               int (*act)(const struct up_options *options, struct buf *said, struct err *err))
{
    struct options options;
    struct up_options up;
    struct buf said = BUF_EMPTY;
    struct err err = {{0}};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (!read_options(cmd, &options, &up))
        return CMD_USAGE;
    int result = act(&up, &said, &err);
    if (result)
        log_error("%s: %s", cmd->name, err.text);
    else if (up.dry_run)
        fwrite(buf_text(&said), 1, said.length, stdout);
    else
        log_notice("%.*s", (int)(said.length ? said.length - 1 : 0), buf_text(&said));
    buf_free(&said);
    return result ? CMD_FAILED : CMD_OK;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    return up_command(cmd, globals, argc, argv, up_run);
}

const struct cmd cmd_up = {
    .name = "up",
    .arguments = "IF|FILE",
    .summary = "bring an interface up by its wg-quick file",
    .description =
        "As wg-quick up, without wg, ip or bash: reads /etc/wireguard/IF.conf, or FILE, whose name is the interface's with .conf behind it. Addresses, MTU, "
        "routes, Table, FwMark, PreUp and PostUp (run by sh) mean what they mean to wg-quick, the rules for a default route too. "
        "DNS is left alone, with a notice.\n\n"
        "The kernel's WireGuard is used when it is there, else the engine of this program; WG_QUICK_USERSPACE_IMPLEMENTATION names another. An engine that "
        "runs already and has no key yet (wgdeck-engine@.service starts such) is used too.\n\n"
        "When a step fails, or at ^C, what was done is undone in reverse; what hooks did stays. With -v each step is shown. Keys go from the file "
        "to the engine directly: they are in no command line. A file that others may read or write is warned of: its hooks run as root.",
    .options = up_command_options,
    .examples = examples,
    .run = run,
};
