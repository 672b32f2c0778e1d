/* wgdeck engine: WireGuard without a kernel module. Also what the program is when it is called wgdeck-engine or wireguard-go. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "options.h"
#include "wgdeck/engine.h"
#include "wgdeck/log.h"
#include "wgdeck/text.h"

/* --- the environment, as wireguard-go's */

static bool environment_flag(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, "1") == 0;
}

/* An open descriptor's number, -1 when it is not given. False with a message when it is none. */
static bool environment_descriptor(const char *name, int *descriptor)
{
    const char *value = getenv(name);
    unsigned long long number;
    *descriptor = -1;
    if (!value || !*value)
        return true;
    if (text_to_number(value, 1 << 20, &number) < 0) {
        log_error("%s=%s: it must be the number of an open descriptor", name, value);
        return false;
    }
    *descriptor = (int)number;
    return true;
}

static int environment_level(void)
{
    const char *value = getenv("LOG_LEVEL");
    if (!value)
        return 1;
    return !strcmp(value, "verbose") || !strcmp(value, "debug") ? 2 : !strcmp(value, "silent") ? 0 : 1;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct engine_options engine = {0};
    struct err err = {{0}};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count != 1)
        return options_usage_error(cmd, options.operand_count ? "only one interface can be given" : "the name of the interface is missing");
    engine.interface = options.operands[0];
    engine.foreground = options_given(&options, "foreground") || environment_flag("WG_PROCESS_FOREGROUND");
    engine.log_level = environment_level();
    if (!environment_descriptor("WG_TUN_FD", &engine.tun_descriptor) || !environment_descriptor("WG_UAPI_FD", &engine.uapi_descriptor))
        return CMD_FAILED;
    if (engine_run(&engine, &err) == 0)
        return CMD_OK;
    log_error("%s", err.text);
    return CMD_FAILED;
}

static const struct cmd_option engine_options[] = {
    {.letter = 'f', .name = "foreground", .help = "stay in the foreground", .fallback = "$WG_PROCESS_FOREGROUND"},
    {0},
};

static const char *const examples[] = {
    "wgdeck engine wg0", "Make the interface wg0; \"wg\" and \"ip\" set it up.",
    "WG_QUICK_USERSPACE_IMPLEMENTATION=wgdeck-engine wg-quick up wg0", "Let wg-quick use this engine where the kernel has no WireGuard.",
    NULL,
};

const struct cmd cmd_engine = {
    .name = "engine",
    .arguments = "INTERFACE",
    .summary = "run WireGuard in this process, where the kernel has none",
    .description =
        "WireGuard for a system without the kernel's module: makes the interface INTERFACE and its control socket /var/run/wireguard/INTERFACE.sock, so that wg, "
        "wg-quick and others set it up as they would the kernel's.\n\n"
        "Without --foreground the command ends when the socket answers, and the engine goes on in the background. It ends on SIGTERM or SIGINT, when the interface "
        "is deleted, or when its socket is removed. It needs root, or CAP_NET_ADMIN, and /dev/net/tun; after its start it keeps only CAP_NET_ADMIN and "
        "the system calls that it makes.\n\n"
        "Under the name wgdeck-engine (or wireguard-go) the program is this command. The environment is as wireguard-go's: WG_TUN_FD and WG_UAPI_FD (open "
        "descriptors to take over), WG_PROCESS_FOREGROUND=1, LOG_LEVEL (silent, error, verbose).\n\n"
        "Switches, each 0 or 1: WGDECK_UDP_GSO, WGDECK_UDP_GRO, WGDECK_TUN_OFFLOAD, WGDECK_TUN_USO. WGDECK_SEAL=ipsec-mb or libcrypto chooses who "
        "encrypts, WGDECK_QUEUES=N how many pairs of threads carry traffic.",
    .options = engine_options,
    .examples = examples,
    .run = run,
};
