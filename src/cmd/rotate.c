/* wgdeck rotate: new keys, with the old links kept until the new ones work. */
#include <stdlib.h>
#include <string.h>

#include "carry_out.h"
#include "commands.h"
#include "wizard.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option rotate_options[] = {
    {.name = "psk", .help = "new preshared keys for all pairs, instead of new private keys"},
    CARRY_OUT_OPTION_ROWS,
    {0},
};

static int choose(const struct options *options, const struct mesh_file *file, bool *rotate)
{
    const struct mesh *mesh = file->mesh;
    size_t count = 0;
    for (int i = 0; i < options->operand_count; i++) {
        size_t node = carry_out_find_node(options, file, options->operands[i]);
        if (node == SIZE_MAX)
            return CMD_FAILED;
        if (!mesh->nodes[node].ssh) {
            log_error("rotate: %s has no Ssh: \"wgdeck export %s --new-key\" makes a new key for it", options->operands[i], options->operands[i]);
            return CMD_FAILED;
        }
        rotate[node] = true;
        count++;
    }
    for (size_t i = 0; !options->operand_count && i < mesh->node_count; i++)
        count += rotate[i] = mesh->nodes[i].ssh != NULL;
    if (!count)
        log_error("rotate: no node of %s has an Ssh line", file->path);
    return count ? CMD_OK : CMD_FAILED;
}

static char *intro_of(const struct mesh *mesh, const bool *rotate)
{
    struct buf text = BUF_EMPTY;
    size_t named = 0, count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        count += rotate[i];
    buf_add_text(&text, "New keys for ");
    for (size_t i = 0; i < mesh->node_count && named < 8; i++)
        if (rotate[i]) {
            buf_add_format(&text, "%s%s", named ? ", " : "", mesh->nodes[i].name);
            named++;
        }
    if (count > named)
        buf_add_format(&text, " and %zu more", count - named);
    buf_add_text(&text, count > 1 ? ", one node after the other. Each makes its own; its old rows stay at the others until the new ones work."
                                  : ". The node makes it; its old rows stay at the others until the new ones work.");
    return buf_take(&text);
}

static int rotate_keys(struct options *options, struct mesh_file *file)
{
    struct carry_out wanted;
    bool *rotate = mem_alloc(file->mesh->node_count, sizeof *rotate);
    char *intro = NULL;
    int status = options_given(options, "psk") ? CMD_OK : choose(options, file, rotate);
    if (!status && !carry_out_read_apply(options, file, &wanted)) {
        status = options->status;
    } else if (!status) {
        if (options_given(options, "psk")) {
            wanted.change.plan.new_preshared = true;
        } else {
            wanted.change.rotate = rotate;
            wanted.intro = intro = intro_of(file->mesh, rotate);
        }
        wanted.question = "Rotate?";
        status = carry_out_run(&wanted);
        carry_out_free(&wanted);
    }
    free(intro);
    free(rotate);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_file file;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options_given(&options, "psk") && options.operand_count)
        return options_usage_error(cmd, "--psk is for all pairs, and takes no names");
    if (!options.operand_count && !options_given(&options, "psk") && !options_given(&options, "yes") && wizard_can_ask())
        return wizard_command(&options, WIZARD_ROTATE);
    if (!carry_out_open(&options, &file))
        return CMD_FAILED;
    int status = rotate_keys(&options, &file);
    mesh_file_free(&file);
    return status;
}

static const char *const examples[] = {
    "wgdeck rotate", "new keys for all nodes, one after the other",
    "wgdeck rotate web", "of one node",
    "wgdeck rotate --psk", "new preshared keys", NULL};

const struct cmd cmd_rotate = {
    .name = "rotate",
    .arguments = "[NODE...]",
    .summary = "new keys, old links kept until the new ones work",
    .description = "Gives nodes new private keys, one node after the other; without names, all that have an Ssh line (on a terminal it asks which). The node makes the new key itself. The others first learn it as a second row; what the old row allows goes "
                   "to the new one as soon as that has a handshake, and then the old row goes. The mesh file keeps the former public key, so that a node that was not reached can be "
                   "brought up to date later.\n\n"
                   "A node with which it has a live link, and which cannot be reached, would lose that link: then nothing is rotated. Interrupted, run it again: what was begun is finished.",
    .options = rotate_options,
    .examples = examples,
    .run = run,
};
