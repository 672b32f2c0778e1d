/* Which mesh a command is about. */
#include "mesh_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { MESH_FILE_LIMIT = 16 << 20 };

char *mesh_file_path(const struct cmd_globals *globals)
{
    const char *given = globals->mesh_file ? globals->mesh_file : getenv("WGDECK_MESH");
    if (given && *given)
        return mem_text(given);
    if (!access("mesh.conf", F_OK))
        return mem_text("mesh.conf");
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = base && *base ? mem_format("%s/wgdeck/mesh.conf", base) : mem_format("%s/.config/wgdeck/mesh.conf", home ? home : "");
    if (!access(path, F_OK))
        return path;
    free(path);
    return NULL;
}

static void print_warnings(const struct buf *warnings)
{
    const char *line = buf_text(warnings);
    while (*line) {
        size_t length = strcspn(line, "\n");
        log_notice("%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static bool read_mesh(const char *path, struct mesh_choice *choice)
{
    struct err err;
    struct buf bytes = BUF_EMPTY, warnings = BUF_EMPTY;
    if (!file_read(path, MESH_FILE_LIMIT, &bytes, &err))
        choice->conf = conf_parse(path, buf_text(&bytes), bytes.length, &err);
    if (choice->conf)
        choice->mesh = mesh_read(choice->conf, &warnings, &err);
    print_warnings(&warnings);
    if (!choice->mesh)
        log_error("%s", err.text);
    buf_free(&bytes);
    buf_free(&warnings);
    return choice->mesh != NULL;
}

static const char *near_name(const struct mesh *mesh, const char *word)
{
    const char **names = mem_alloc(mesh->node_count, sizeof *names);
    for (size_t i = 0; i < mesh->node_count; i++)
        names[i] = mesh->nodes[i].name;
    const char *near = text_nearest(word, names, mesh->node_count);
    free(names);
    return near;
}

/* Are the operands nodes of the file? 1 yes, 0 no, -1 with a message: some are, or one is misspelt. */
static int take_names(const struct options *options, struct mesh_choice *choice)
{
    const char *stranger = NULL;
    struct buf names = BUF_EMPTY;
    for (int i = 0; i < options->operand_count; i++) {
        size_t node = mesh_find_node(choice->mesh, options->operands[i]);
        if (node == SIZE_MAX) {
            stranger = options->operands[i];
            continue;
        }
        if (choice->named_count < COUNT_OF(choice->named))
            choice->named[choice->named_count] = node;
        choice->named_count++;
        buf_add_format(&names, "%s%s", names.length ? "," : "", choice->mesh->nodes[node].name);
    }
    if (!stranger) {
        if (names.length)
            choice->show = buf_take(&names);
        return 1;
    }
    buf_free(&names);
    const char *near = near_name(choice->mesh, stranger);
    bool mixed = choice->named_count > 0, explicit_file = options->globals.mesh_file != NULL;
    choice->named_count = 0;
    if (!near && !mixed && !explicit_file)
        return 0;
    const char *file = conf_file(choice->conf);
    if (near)
        log_error("%s: no node \"%s\" in %s: did you mean %s?", options->cmd->name, stranger, file, near);
    else
        log_error("%s: no node \"%s\" in %s (give names of its nodes only, or SSH targets only)", options->cmd->name, stranger, file);
    return -1;
}

static bool take_targets(const struct options *options, struct mesh_choice *choice)
{
    struct err err;
    choice->mesh = mesh_from_targets((const char *const *)options->operands, (size_t)options->operand_count, &err);
    if (!choice->mesh)
        log_error("%s: %s", options->cmd->name, err.text);
    return choice->mesh != NULL;
}

static bool check_pattern(const struct options *options, struct mesh_choice *choice)
{
    const char *pattern = options->globals.nodes;
    if (!pattern)
        return true;
    for (size_t i = 0; i < choice->mesh->node_count; i++)
        if (text_matches(pattern, choice->mesh->nodes[i].name)) {
            choice->look = pattern;
            if (!choice->show)
                choice->show = mem_text(pattern);
            return true;
        }
    const char *near = near_name(choice->mesh, pattern);
    if (near)
        log_error("%s: --nodes %s matches no node: did you mean %s?", options->cmd->name, pattern, near);
    else
        log_error("%s: --nodes %s matches none of the %zu nodes", options->cmd->name, pattern, choice->mesh->node_count);
    return false;
}

static void no_mesh_file(const struct options *options)
{
    log_error("%s: no mesh file (looked at $WGDECK_MESH, ./mesh.conf and $XDG_CONFIG_HOME/wgdeck/mesh.conf): name SSH targets instead, as in "
              "\"wgdeck %s HOST HOST\", or write one with \"wgdeck adopt HOST HOST -o mesh.conf\"", options->cmd->name, options->cmd->name);
}

bool mesh_choose(const struct options *options, struct mesh_choice *choice)
{
    *choice = (struct mesh_choice){.named = {SIZE_MAX, SIZE_MAX}};
    char *path = mesh_file_path(&options->globals);
    int names = 0;
    if (!path && !options->operand_count) {
        no_mesh_file(options);
        return false;
    }
    if (path) {
        bool good = read_mesh(path, choice);
        free(path);
        /* A broken ./mesh.conf must not stop a look at given targets. */
        if (!good && (!options->operand_count || options->globals.mesh_file))
            goto failed;
        names = good ? take_names(options, choice) : 0;
        if (names < 0)
            goto failed;
        if (!names) {
            mesh_free(choice->mesh);
            conf_free(choice->conf);
            choice->mesh = NULL;
            choice->conf = NULL;
        }
    }
    if (!names && !take_targets(options, choice))
        goto failed;
    if (check_pattern(options, choice))
        return true;
failed:
    mesh_choice_free(choice);
    return false;
}

bool mesh_choose_targets(const struct options *options, struct mesh_choice *choice)
{
    *choice = (struct mesh_choice){.named = {SIZE_MAX, SIZE_MAX}};
    if (take_targets(options, choice) && check_pattern(options, choice))
        return true;
    mesh_choice_free(choice);
    return false;
}

void mesh_choice_free(struct mesh_choice *choice)
{
    if (choice->mesh)
        mesh_free(choice->mesh);
    if (choice->conf)
        conf_free(choice->conf);
    free(choice->show);
    *choice = (struct mesh_choice){.named = {SIZE_MAX, SIZE_MAX}};
}
