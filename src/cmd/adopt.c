/* wgdeck adopt: from a mesh made by hand to the mesh file that describes it. Only this machine is written to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "gather.h"
#include "wgdeck/adopt.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"

#define PATIENCE_DEFAULT 3600.0 /* all of them are needed: only the deadlines of each end the waiting */

static const struct cmd_option adopt_options[] = {
    {.letter = 'o', .name = "output", .argument = "FILE", .help = "write the mesh file here", .fallback = "standard output"},
    {.letter = 'f', .name = "force", .help = "replace FILE if it exists"},
    {.name = "partial", .help = "write the file also when nodes could not be read; they are left out"},
    GATHER_OPTION_ROWS,
    {0},
};

static void print_notes(const struct buf *notes)
{
    const char *line = buf_text(notes);
    while (*line) {
        size_t length = strcspn(line, "\n");
        log_notice("adopt: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static bool all_read(const struct mesh *mesh, const struct observed *seen, bool partial)
{
    size_t missing = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (seen->nodes[i].reach != REACH_OK) {
            log_error("%s: %s", mesh->nodes[i].name, seen->nodes[i].error ? seen->nodes[i].error : "not reached");
            missing++;
        }
    if (missing && !partial)
        log_error("adopt: %zu of %zu nodes could not be read, and nothing was written (--partial leaves them out)", missing, mesh->node_count);
    return !missing || partial;
}

static int write_result(const struct options *options, const struct buf *text)
{
    struct err err;
    const char *path = options_value(options, "output");
    if (!path) {
        fwrite(buf_text(text), 1, text->length, stdout);
        return CMD_OK;
    }
    if (file_write(path, 0644, buf_text(text), text->length, &err)) {
        log_error("adopt: %s", err.text);
        return CMD_FAILED;
    }
    log_notice("adopt: %s is written; wgdeck -m %s status looks at it", path, path);
    return CMD_OK;
}

static int describe(const struct options *options, const struct mesh *mesh, const struct observed *seen)
{
    struct err err;
    struct buf text = BUF_EMPTY, notes = BUF_EMPTY;
    struct conf *conf = conf_new(options_given(options, "output") ? options_value(options, "output") : "mesh.conf");
    int status = CMD_FAILED;
    if (adopt_mesh(mesh, seen, conf, &notes, &err)) {
        log_error("adopt: %s", err.text);
    } else {
        conf_write(conf, &text);
        status = write_result(options, &text);
    }
    print_notes(&notes);
    buf_free(&text);
    buf_free(&notes);
    conf_free(conf);
    return status;
}

static int adopt(struct options *options, const struct mesh_choice *choice, const struct gather_options *wanted)
{
    struct gather *gather = gather_new(options, choice, wanted);
    int status = CMD_FAILED;
    if (!gather)
        return CMD_FAILED;
    gather_first(gather);
    const struct observed *seen = gather_observed(gather);
    if (all_read(choice->mesh, seen, options_given(options, "partial")))
        status = describe(options, choice->mesh, seen);
    gather_free(gather);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct gather_options wanted;
    struct mesh_choice choice;
    struct stat status;
    if (!options_parse(cmd, globals, argc, argv, &options) || !gather_read_options(&options, &wanted))
        return options.status;
    if (!options.operand_count)
        return options_usage_error(cmd, "which hosts? (SSH targets of the mesh, such as root@192.0.2.1)");
    const char *path = options_value(&options, "output");
    if (path && !options_given(&options, "force") && !stat(path, &status)) {
        log_error("adopt: %s exists (--force replaces it)", path);
        return CMD_FAILED;
    }
    if (wanted.patience < 0)
        wanted.patience = PATIENCE_DEFAULT;
    if (!mesh_choose_targets(&options, &choice))
        return CMD_USAGE;
    int result = adopt(&options, &choice, &wanted);
    mesh_choice_free(&choice);
    return result;
}

static const char *const examples[] = {
    "wgdeck adopt root@192.0.2.1 root@192.0.2.2 web -o mesh.conf", "all nodes of the mesh must be named", NULL};

const struct cmd cmd_adopt = {
    .name = "adopt",
    .arguments = "HOST...",
    .summary = "write the mesh file for a mesh that was made by hand",
    .description = "Reads the WireGuard interfaces of all HOSTs (SSH targets) and writes the mesh file that describes them: names, addresses, public keys, endpoints, topology. "
                   "It holds no secret. What could not be derived is said on standard error. Nothing is changed on the nodes.",
    .options = adopt_options,
    .examples = examples,
    .run = run,
};
