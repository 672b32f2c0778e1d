/* wgdeck init: the mesh file of a new mesh. Only this machine is written to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "wizard.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh_edit.h"
#include "wgdeck/text.h"

#define NETWORK_DEFAULT "10.44.0.0/24"

static const struct cmd_option init_options[] = {
    {.name = "name", .argument = "NAME", .help = "what the mesh is called", .fallback = "mesh"},
    {.name = "network", .argument = "PREFIX,...", .help = "its private networks, IPv4, IPv6 or both; each node gets one address of each", .fallback = NETWORK_DEFAULT},
    {.name = "topology", .argument = "full|hub|groups", .help = "who holds a row for whom: every pair, all with one hub, or groups that meet through gateways", .fallback = "full"},
    {.name = "interface", .argument = "NAME", .help = "the WireGuard interface on the nodes", .fallback = "wg0"},
    {.name = "port", .argument = "PORT", .help = "the UDP port on which the nodes listen", .fallback = "51820"},
    {.name = "preshared-keys", .help = "each pair of nodes has a preshared key of its own, made on a node"},
    {.letter = 'o', .name = "output", .argument = "FILE", .help = "write the mesh file here", .fallback = "what -m says, else mesh.conf"},
    {0},
};

static const char *path_of(const struct options *options)
{
    const char *given = options_value(options, "output");
    if (!given)
        given = options->globals.mesh_file ? options->globals.mesh_file : getenv("WGDECK_MESH");
    return given && *given ? given : "mesh.conf";
}

/* The name is taken first: what another program writes meanwhile is never replaced. */
static int write_new(const char *path, const struct buf *text, struct err *err)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0 && errno == EEXIST)
        return err_set(err, "%s exists and was left alone: \"wgdeck add NAME SSH\" adds a node to it; -o FILE begins another one", path);
    if (descriptor < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    close(descriptor);
    if (!file_write(path, 0644, buf_text(text), text->length, err))
        return 0;
    unlink(path);
    return -1;
}

static int read_start(struct options *options, struct mesh_start *start)
{
    unsigned long long port = 0;
    const char *given = options_value(options, "port"), *network = options_value(options, "network");
    if (given && (text_to_number(given, UINT16_MAX, &port) || !port))
        return options_usage_error(options->cmd, "--port wants a number from 1 to 65535, not \"%s\"", given);
    *start = (struct mesh_start){.name = options_value(options, "name"), .networks = network ? network : NETWORK_DEFAULT,
                                 .topology = options_value(options, "topology"), .interface = options_value(options, "interface"),
                                 .listen_port = (uint16_t)port, .preshared_keys = options_given(options, "preshared-keys")};
    return CMD_OK;
}

/* Of what the mesh is; where its file goes may be said. */
static bool nothing_given(const struct options *options)
{
    static const char *const names[] = {"name", "network", "topology", "interface", "port", "preshared-keys"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (options_given(options, names[i]))
            return false;
    return true;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct err err;
    struct options options;
    struct mesh_start start;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "it takes no argument: the mesh's name is --name %s", options.operands[0]);
    if (nothing_given(&options) && wizard_can_ask())
        return wizard_command(&options, WIZARD_INIT);
    int status = read_start(&options, &start);
    if (status)
        return status;
    const char *path = path_of(&options);
    struct buf text = BUF_EMPTY;
    struct conf *conf = conf_new(path);
    status = mesh_start(&start, conf, &err);
    if (!status) {
        conf_write(conf, &text);
        status = write_new(path, &text, &err);
    }
    if (status)
        log_error("init: %s", err.text);
    else
        log_notice("init: %s is written; \"wgdeck%s%s add NAME SSH\" adds a node to it", path, strcmp(path, "mesh.conf") ? " -m " : "",
                   strcmp(path, "mesh.conf") ? path : "");
    buf_free(&text);
    conf_free(conf);
    return status ? CMD_FAILED : CMD_OK;
}

static const char *const examples[] = {
    "wgdeck init", "mesh.conf for a mesh of the network " NETWORK_DEFAULT ", every pair of nodes linked",
    "wgdeck init --name prod --network 10.44.0.0/24,fd44::/64 --preshared-keys", "with IPv6 too, and a preshared key for each pair", NULL};

const struct cmd cmd_init = {
    .name = "init",
    .arguments = "",
    .summary = "begin a mesh: write its mesh file",
    .description = "On a terminal, and with none of the options that say what the mesh is, it asks for them.\n\n"
                   "Writes a mesh file (wgdeck-mesh(5)) with the mesh's networks and no node yet. A file that is there is never replaced. No node is touched: "
                   "\"wgdeck add\" adds the first one.\n\n"
                   "Choose networks that nothing else uses that the nodes talk to: \"wgdeck plan\" says so when one of them meets a node's own routes or "
                   "Docker's. A mesh that was made by hand is described by \"wgdeck adopt\", wg-quick files by \"wgdeck import\".",
    .options = init_options,
    .examples = examples,
    .run = run,
};
