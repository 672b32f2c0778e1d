/* wgdeck ssh NODE: OpenSSH itself, with the node's target; nothing stands between the person and it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "mesh_choice.h"
#include "wgdeck/log.h"
#include "wgdeck/ssh_command.h"

static const struct cmd_option none[] = {{0}};

static int start(const struct options *options, const struct mesh *mesh, size_t node)
{
    char *jump = mesh_jump_text(mesh, node);
    char **words = ssh_command_words_through(options->globals.ssh_config, jump, mesh->nodes[node].host_key, mesh->nodes[node].ssh, (const char *const *)options->operands + 1, (size_t)options->operand_count - 1);
    free(jump);
    execvp("ssh", words);
    log_error("ssh: cannot start ssh: %s%s", strerror(errno), errno == ENOENT ? " (install openssh-client)" : "");
    ssh_command_free(words);
    return CMD_FAILED;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_choice choice;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (!options.operand_count)
        return options_usage_error(cmd, "which node?");
    struct options first = options; /* only the first operand names a node; the rest is ssh's */
    first.operand_count = 1;
    if (options.operands[0][0] == '-')
        return options_usage_error(cmd, "\"%s\" cannot be a host", options.operands[0]);
    if (!mesh_choose(&first, &choice))
        return CMD_USAGE;
    size_t index = choice.named_count ? choice.named[0] : 0;
    const struct mesh_node *node = &choice.mesh->nodes[index];
    int status = CMD_FAILED;
    if (node->ssh)
        status = start(&options, choice.mesh, index);
    else
        log_error("ssh: %s: the mesh file gives no Ssh target for it (add \"Ssh = user@host\" to [Node %s])", node->name, node->name);
    mesh_choice_free(&choice);
    return status;
}

static const char *const examples[] = {
    "wgdeck ssh api", "a shell on node api", "wgdeck ssh api wg show", "one command there", NULL};

const struct cmd cmd_ssh = {
    .name = "ssh",
    .arguments = "NODE [ARGUMENT...]",
    .summary = "a shell on a node, or one command there, by OpenSSH itself",
    .description = "Becomes ssh(1) with the SSH target that the mesh file gives for NODE (or with NODE as a target), through the nodes that its Jump names, with its HostKey, and the further arguments. "
                   "This is also the way to accept the host key of a node that was never logged in to.",
    .options = none,
    .examples = examples,
    .run = run,
    .options_first = true,
};
