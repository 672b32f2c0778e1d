/* wgdeck relay: on a hub, for those who join through it. */
#include "commands.h"
#include "options.h"
#include "wgdeck/device.h"
#include "wgdeck/log.h"
#include "wgdeck/node.h"
#include "wgdeck/relay.h"
#include "wgdeck/text.h"

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct err err = {{0}};
    unsigned long long port = 0, ready = 0;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count != 1 || !device_name_is_valid(options.operands[0]))
        return options_usage_error(cmd, "say which: one WireGuard interface of this machine");
    if (options_value(&options, "port") && (text_to_number(options_value(&options, "port"), 65535, &port) < 0 || !port))
        return options_usage_error(cmd, "--port is a UDP port, 1 to 65535");
    if (options_value(&options, "ready") && text_to_number(options_value(&options, "ready"), 1 << 20, &ready) < 0)
        return options_usage_error(cmd, "--ready is the number of an open descriptor");
    const char *interface = options.operands[0];
    int result = options_given(&options, "detach") ? node_relay_start(interface, (uint16_t)port, &err) : node_relay(interface, (uint16_t)port, ready ? (int)ready : -1, &err);
    if (result == 0)
        return CMD_OK;
    log_error("relay: %s", err.text);
    return CMD_FAILED;
}

static const struct cmd_option relay_options[] = {
    {.name = "port", .argument = "PORT", .help = "the UDP port on which it forwards", .fallback = "that of the mesh, as the invitation said it, else 51821"},
    {.name = "detach", .help = "go on in the background; when it returns, the relay has its port"},
    {.name = "ready", .argument = "DESCRIPTOR", .help = "write a byte there when it has its port"},
    {0},
};

static const char *const examples[] = {
    "wgdeck relay wg0", "Forward between the nodes that wg0 has rows of, and bring those together that can meet directly.",
    NULL,
};

const struct cmd cmd_relay = {
    .name = "relay",
    .arguments = "IF",
    .summary = "on a hub: forward encrypted packets between nodes that cannot meet, and bring together those that can",
    .description =
        "Two things in one process, for the nodes that IF has rows of. The opaque relay: a node whose row of another one has this machine's address and PORT as its endpoint is "
        "connected with it; the packets are forwarded as they are, and cannot be read here. Both ends are ordinary WireGuard. Nothing is sent that did not come in, and little to "
        "a place that no answer has proven. And the talk with the nodes that have joined by \"wgdeck join\", through the tunnel, UDP port 988 of IF: where each can be reached, so "
        "that two of them find a direct way, or this relay, and come back to this hub when it dies.\n\n"
        "\"wgdeck invite --relay\" starts it on the hub, and has it started at boot. It ends at SIGTERM, and when IF is gone; SIGUSR1 prints its counters.",
    .options = relay_options,
    .examples = examples,
    .run = run,
};
