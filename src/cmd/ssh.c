/* wgdeck ssh NODE: OpenSSH itself, with the node's target; nothing stands between the person and it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "mesh_choice.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option none[] = {{0}};

/* user@host:port is not known to ssh(1): "-p port user@host" is. An address in brackets loses them. TARGET is changed. */
static const char *split_port(char *target)
{
    if (!strncmp(target, "ssh://", 6))
        return NULL;
    char *host = strrchr(target, '@') ? strrchr(target, '@') + 1 : target;
    if (*host == '[') {
        char *end = strchr(host, ']');
        if (!end)
            return NULL;
        char *port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        memmove(host, host + 1, strlen(host));
        return port;
    }
    char *colon = strchr(host, ':');
    if (!colon || strchr(colon + 1, ':')) /* none, or an IPv6 address */
        return NULL;
    *colon = '\0';
    return colon + 1;
}

static int start(const struct options *options, const char *ssh)
{
    char *target = mem_text(ssh);
    const char *port = split_port(target);
    const char **words = mem_alloc((size_t)options->operand_count + 9, sizeof *words);
    size_t count = 0;
    words[count++] = "ssh";
    if (options->globals.ssh_config) {
        words[count++] = "-F";
        words[count++] = options->globals.ssh_config;
    }
    if (port) {
        words[count++] = "-p";
        words[count++] = port;
    }
    words[count++] = target;
    for (int i = 1; i < options->operand_count; i++)
        words[count++] = options->operands[i];
    execvp("ssh", (char *const *)(uintptr_t)words);
    log_error("ssh: cannot start ssh: %s%s", strerror(errno), errno == ENOENT ? " (install openssh-client)" : "");
    free(words);
    free(target);
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
    const struct mesh_node *node = &choice.mesh->nodes[choice.named_count ? choice.named[0] : 0];
    int status = CMD_FAILED;
    if (node->ssh)
        status = start(&options, node->ssh);
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
    .description = "Becomes ssh(1) with the SSH target that the mesh file gives for NODE (or with NODE as a target) and the further arguments. "
                   "This is also the way to accept the host key of a node that was never logged in to.",
    .options = none,
    .examples = examples,
    .run = run,
    .options_first = true,
};
