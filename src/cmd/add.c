/* wgdeck add: nodes into the mesh file, and from there onto all nodes. */
#include <stdlib.h>
#include <string.h>

#include "carry_out.h"
#include "commands.h"
#include "gather.h"
#include "wizard.h"
#include "wgdeck/endpoint_guess.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define PATIENCE 3600.0 /* each of them is needed: only the deadlines end the waiting */

static const struct cmd_option add_options[] = {
    {.name = "address", .argument = "ADDRESS,...", .help = "its addresses in the mesh, one of each network", .fallback = "the lowest that are free"},
    {.name = "endpoint", .argument = "HOST[:PORT]|none", .help = "where the others send UDP for it; none: it is behind NAT", .fallback = "what the node shows"},
    {.name = "group", .argument = "NAME", .help = "the group that it belongs to"},
    {.name = "role", .argument = "hub|gateway|relay", .help = "what it does for others"},
    {.name = "allowed-ips", .argument = "PREFIX,...", .help = "networks behind it, which the others reach through it"},
    CARRY_OUT_NO_APPLY_ROW,
    CARRY_OUT_OPTION_ROWS,
    {0},
};

struct added {
    const char *name, *ssh;   /* ssh NULL: none */
    char *address, *endpoint; /* as written; endpoint NULL: none. Owned */
};

struct add {
    struct options options;
    struct mesh_file file;
    struct added *nodes;
    size_t count;
    struct prefix *taken;     /* addresses of those that were chosen before */
    size_t taken_count, taken_capacity;
};

static int read_operands(struct add *add, const struct cmd *cmd)
{
    static const char *const of_one[] = {"address", "endpoint", "allowed-ips"};
    int operands = add->options.operand_count;
    if (!operands || operands % 2)
        return options_usage_error(cmd, "which node? Its name and its SSH target, as in \"wgdeck add web root@192.0.2.7\" (a target \"none\" is a node that SSH does not reach, such as a phone)");
    for (size_t i = 0; operands > 2 && i < COUNT_OF(of_one); i++)
        if (options_given(&add->options, of_one[i]))
            return options_usage_error(cmd, "--%s is of one node: add them one after the other", of_one[i]);
    add->count = (size_t)operands / 2;
    add->nodes = mem_alloc(add->count, sizeof *add->nodes);
    for (size_t i = 0; i < add->count; i++) {
        const char *ssh = add->options.operands[2 * i + 1];
        add->nodes[i] = (struct added){.name = add->options.operands[2 * i], .ssh = strcmp(ssh, "none") ? ssh : NULL};
        if (!text_is_name(add->nodes[i].name))
            return options_usage_error(cmd, "\"%s\" is no name of a node: letters, digits, '.', '_' and '-' (the name comes first, then the SSH target)", add->nodes[i].name);
    }
    return CMD_OK;
}

/* Before anything is asked of a node. */
static bool check_names(const struct add *add)
{
    for (size_t i = 0; i < add->count; i++) {
        if (mesh_find_node(add->file.mesh, add->nodes[i].name) != SIZE_MAX) {
            log_error("add: %s has a node %s already: \"wgdeck set %s KEY=VALUE\" changes it", add->file.path, add->nodes[i].name, add->nodes[i].name);
            return false;
        }
        for (size_t j = 0; j < add->file.mesh->node_count; j++)
            if (add->nodes[i].ssh && add->file.mesh->nodes[j].ssh && !strcmp(add->nodes[i].ssh, add->file.mesh->nodes[j].ssh)) {
                log_error("add: %s is the Ssh of %s already, and one host cannot be two nodes", add->nodes[i].ssh, add->file.mesh->nodes[j].name);
                return false;
            }
    }
    return true;
}

static bool choose_address(struct add *add, struct added *node)
{
    struct err err;
    struct prefix *addresses = NULL;
    size_t count = 0;
    const char *given = options_value(&add->options, "address");
    if (given) {
        node->address = mem_text(given);
        return true;
    }
    if (mesh_allocate(add->file.mesh, add->taken, add->taken_count, &addresses, &count, &err)) {
        log_error("add: %s: %s", node->name, err.text);
        return false;
    }
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, address);
        buf_add_format(&text, "%s%s", i ? ", " : "", address);
        MEM_GROW(add->taken, add->taken_count, add->taken_capacity);
        add->taken[add->taken_count++] = addresses[i];
    }
    free(addresses);
    node->address = buf_take(&text);
    log_notice("add: %s: Address = %s (the lowest that %s free)", node->name, node->address, count == 1 ? "is" : "are");
    return true;
}

/* Endpoints */

static struct mesh *targets_of(const struct add *add)
{
    struct err err;
    const char **targets = mem_alloc(add->count, sizeof *targets);
    size_t count = 0;
    for (size_t i = 0; i < add->count; i++)
        if (add->nodes[i].ssh)
            targets[count++] = add->nodes[i].ssh;
    struct mesh *mesh = mesh_from_targets(targets, count, &err);
    if (!mesh)
        log_error("add: %s", err.text);
    for (size_t i = 0, next = 0; mesh && i < add->count; i++)
        if (add->nodes[i].ssh) {
            free(mesh->nodes[next].name); /* questions and messages name the node */
            mesh->nodes[next++].name = mem_text(add->nodes[i].name);
        }
    free(targets);
    return mesh;
}

static bool take_endpoint(struct add *add, struct added *node, const struct observation *seen)
{
    if (seen->reach != REACH_OK) {
        log_error("add: %s: %s", node->name, seen->error ? seen->error : "not reached");
        return false;
    }
    char *why;
    node->endpoint = endpoint_guess(add->file.mesh, seen, add->file.mesh->listen_port, &why);
    log_notice("add: %s: %s%s (%s)", node->name, node->endpoint ? "Endpoint = " : "no Endpoint", node->endpoint ? node->endpoint : "", why);
    free(why);
    return true;
}

/* One look at the new hosts. False with a message when one of them cannot be logged in to: a mistyped target is better found now. */
static bool look_for_endpoints(struct add *add)
{
    struct mesh_choice choice = {.mesh = targets_of(add), .named = {SIZE_MAX, SIZE_MAX}};
    struct gather_options wanted = {.mode = LOOK_AUTO, .patience = PATIENCE};
    if (!choice.mesh)
        return false;
    struct gather *gather = options_seconds(&add->options, "timeout", 0.1, 3600, 10, &wanted.timeout) ? gather_new(&add->options, &choice, &wanted) : NULL;
    bool good = gather != NULL;
    if (gather) {
        gather_first(gather);
        const struct observed *seen = gather_observed(gather);
        for (size_t i = 0, next = 0; i < add->count; i++)
            if (add->nodes[i].ssh)
                good = take_endpoint(add, &add->nodes[i], &seen->nodes[next++]) && good;
        if (!good)
            log_error("add: nothing was changed; --endpoint HOST or --endpoint none, with --no-apply, adds a node that cannot be logged in to now");
        gather_free(gather);
    }
    mesh_choice_free(&choice);
    return good;
}

static bool choose_endpoints(struct add *add)
{
    const char *given = options_value(&add->options, "endpoint");
    bool any = false;
    if (given) {
        add->nodes[0].endpoint = strcmp(given, "none") ? mem_text(given) : NULL;
        return true;
    }
    for (size_t i = 0; i < add->count; i++)
        any = any || add->nodes[i].ssh;
    return !any || look_for_endpoints(add);
}

static void make_edits(const struct add *add, struct mesh_edits *edits)
{
    static const struct {
        const char *option, *key;
    } rows[] = {{"group", "Group"}, {"role", "Role"}, {"allowed-ips", "AllowedIPs"}};
    for (size_t i = 0; i < add->count; i++) {
        const struct added *node = &add->nodes[i];
        mesh_edits_add(edits, MESH_EDIT_ADD_NODE, node->name, NULL, NULL);
        if (node->ssh)
            mesh_edits_add(edits, MESH_EDIT_SET, node->name, "Ssh", node->ssh);
        mesh_edits_add(edits, MESH_EDIT_SET, node->name, "Address", node->address);
        if (node->endpoint)
            mesh_edits_add(edits, MESH_EDIT_SET, node->name, "Endpoint", node->endpoint);
        for (size_t j = 0; j < COUNT_OF(rows); j++)
            if (options_given(&add->options, rows[j].option))
                mesh_edits_add(edits, MESH_EDIT_SET, node->name, rows[j].key, options_value(&add->options, rows[j].option));
    }
}

static int add_nodes(struct add *add)
{
    struct mesh_edits edits = {0};
    struct carry_out wanted;
    if (!check_names(add))
        return CMD_FAILED;
    for (size_t i = 0; i < add->count; i++)
        if (!choose_address(add, &add->nodes[i]))
            return CMD_FAILED;
    if (!choose_endpoints(add))
        return add->options.status ? add->options.status : CMD_FAILED;
    if (!carry_out_read_apply(&add->options, &add->file, &wanted))
        return add->options.status;
    bool any_ssh = false;
    for (size_t i = 0; i < add->count; i++)
        any_ssh = any_ssh || add->nodes[i].ssh;
    make_edits(add, &edits);
    int status = carry_out_edit(&wanted, &edits, options_given(&add->options, "no-apply") || !any_ssh);
    if (status == CMD_OK)
        for (size_t i = 0; i < add->count; i++)
            if (!add->nodes[i].ssh)
                log_notice("add: \"wgdeck export %s --new-key --qr\" makes its key and shows its configuration; \"wgdeck apply\" then makes it known to the others", add->nodes[i].name);
    mesh_edits_free(&edits);
    carry_out_free(&wanted);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct add add = {0};
    if (!options_parse(cmd, globals, argc, argv, &add.options))
        return add.options.status;
    if (!add.options.operand_count && wizard_can_ask())
        return wizard_command(&add.options, WIZARD_ADD);
    int status = read_operands(&add, cmd);
    if (!status) {
        status = carry_out_open(&add.options, &add.file) ? add_nodes(&add) : CMD_FAILED;
        mesh_file_free(&add.file);
    }
    for (size_t i = 0; i < add.count; i++) {
        free(add.nodes[i].address);
        free(add.nodes[i].endpoint);
    }
    free(add.nodes);
    free(add.taken);
    return status;
}

static const char *const examples[] = {
    "wgdeck add web root@192.0.2.7", "address and endpoint are chosen, with the reasons; then the plan is shown",
    "wgdeck add web1 root@192.0.2.7 web2 root@192.0.2.8 --yes", "two at once, without a question",
    "wgdeck add phone none", "a node that SSH does not reach: \"wgdeck export phone --new-key --qr\" comes next", NULL};

const struct cmd cmd_add = {
    .name = "add",
    .arguments = "[NAME SSH]...",
    .summary = "add nodes to the mesh file, and to the mesh",
    .description = "Without arguments, on a terminal, it asks for everything, one step after the other, with a proposal and its reason for each; nothing is changed before the plan is agreed to.\n\n"
                   "Looks at the new hosts, chooses a free address and an endpoint for each and says why, writes them into the mesh file, and then does what \"wgdeck apply\" does: shows the plan for every "
                   "node, asks, and carries it out. The links of the other nodes go on without an interruption.\n\n"
                   "The endpoint is the address that SSH dials when the node has it on an interface of its own, else a public address that the node has; else it is taken to be "
                   "behind NAT and opens its links itself.\n\n"
                   "If the plan is not carried out, or fails and is put back, the mesh file is as before.",
    .options = add_options,
    .examples = examples,
    .run = run,
};
