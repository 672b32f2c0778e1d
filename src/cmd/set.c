/* wgdeck set: keys of the mesh file, and what follows from them on the nodes. */
#include <stdlib.h>
#include <string.h>

#include "carry_out.h"
#include "commands.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option set_options[] = {
    CARRY_OUT_NO_APPLY_ROW,
    CARRY_OUT_OPTION_ROWS,
    {0},
};

/* "KEY=VALUE", "KEY+=VALUE" (one more line), "KEY=" (no such line any more); "forget" of a removed node. */
static bool take_word(const char *node, const char *word, struct mesh_edits *edits)
{
    size_t length = strcspn(word, "=");
    bool more = length && word[length] && word[length - 1] == '+';
    if (node && !strcmp(word, "forget")) {
        mesh_edits_add(edits, MESH_EDIT_FORGET, node, NULL, NULL);
        return true;
    }
    if (!length || !word[length] || (more && (length == 1 || !word[length + 1])))
        return false;
    char *key = mem_text_part(word, length - more);
    const char *value = word + length + 1;
    mesh_edits_add(edits, more ? MESH_EDIT_ADD_VALUE : MESH_EDIT_SET, node, key, *value ? value : NULL);
    free(key);
    return true;
}

static bool was_removed(const struct mesh *mesh, const char *name)
{
    for (size_t i = 0; i < mesh->removed_count; i++)
        if (!strcmp(mesh->removed[i].name, name))
            return true;
    return false;
}

static int set_keys(struct options *options, struct mesh_file *file, const struct mesh_edits *edits)
{
    struct carry_out wanted;
    const char *name = options->operands[0];
    if (strcmp(name, "mesh") && !was_removed(file->mesh, name) && carry_out_find_node(options, file, name) == SIZE_MAX)
        return CMD_FAILED;
    if (!strcmp(name, "mesh") && mesh_find_node(file->mesh, name) != SIZE_MAX) {
        log_error("set: %s has a node that is called mesh: edit the file itself, then \"wgdeck apply\"", file->path);
        return CMD_FAILED;
    }
    if (!carry_out_read_apply(options, file, &wanted))
        return options->status;
    int status = carry_out_edit(&wanted, edits, options_given(options, "no-apply"));
    carry_out_free(&wanted);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_file file;
    struct mesh_edits edits = {0};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count < 2)
        return options_usage_error(cmd, "what? A node's name, or \"mesh\", then KEY=VALUE, as in \"wgdeck set web MTU=1380\"");
    const char *node = strcmp(options.operands[0], "mesh") ? options.operands[0] : NULL;
    int status = CMD_OK;
    for (int i = 1; i < options.operand_count && !status; i++)
        if (!take_word(node, options.operands[i], &edits))
            status = options_usage_error(cmd, "\"%s\" is no KEY=VALUE, as in MTU=1380", options.operands[i]);
    if (!status && !carry_out_open(&options, &file))
        status = CMD_FAILED;
    else if (!status) {
        status = set_keys(&options, &file, &edits);
        mesh_file_free(&file);
    }
    mesh_edits_free(&edits);
    return status;
}

static const char *const examples[] = {
    "wgdeck set web MTU=1380", "",
    "wgdeck set web Endpoint= AllowedIPs+=192.168.9.0/24", "no Endpoint any more: it is behind NAT; and one more network behind it",
    "wgdeck set mesh PersistentKeepalive=25 PresharedKeys=yes --no-apply", "of the whole mesh; \"wgdeck apply\" carries it out later", NULL};

const struct cmd cmd_set = {
    .name = "set",
    .arguments = "NAME|mesh KEY=VALUE...",
    .summary = "change what the mesh file says of a node, or of the mesh",
    .description = "Sets keys of the mesh file (wgdeck-mesh(5)), in [Node NAME], or in [Mesh] when the name is \"mesh\", and then does what \"wgdeck apply\" does. KEY= takes the key away, "
                   "KEY+=VALUE adds one more line of it. \"wgdeck set NAME forget\" takes the [Removed] section of a node away that was removed: its addresses are free again.\n\n"
                   "Comments, order and unknown keys of the file stay. If the plan is not carried out, or fails and is put back, the mesh file is as before.",
    .options = set_options,
    .examples = examples,
    .run = run,
};
