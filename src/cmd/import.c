/* wgdeck import: a mesh file from files of other tools. Only this machine is read and written. */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "options.h"
#include "wgdeck/file.h"
#include "wgdeck/import.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

enum { DEPTH_MOST = 6 };

static const struct cmd_option import_options[] = {
    {.letter = 'o', .name = "output", .argument = "FILE", .help = "write the mesh file here", .fallback = "standard output"},
    {.letter = 'f', .name = "force", .help = "replace FILE if it exists"},
    {0},
};

static void print_lines(const struct buf *lines)
{
    for (const char *line = buf_text(lines); *line;) {
        size_t length = strcspn(line, "\n");
        log_notice("import: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static int add_file(struct import *import, const char *path, struct err *err)
{
    struct buf bytes = BUF_EMPTY, warnings = BUF_EMPTY;
    struct stat status;
    if (!stat(path, &status) && S_ISREG(status.st_mode) && status.st_size < IMPORT_BYTES_MAX)
        buf_reserve(&bytes, (size_t)status.st_size + 1); /* keys are in it: no copy is left behind by growing */
    int result = file_read(path, IMPORT_BYTES_MAX, &bytes, err);
    if (!result && !bytes.length)
        result = err_set(err, "%s is empty", path);
    if (!result)
        result = import_add(import, path, bytes.data, bytes.length, &warnings, err);
    print_lines(&warnings);
    buf_wipe(&bytes);
    buf_free(&warnings);
    return result;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && !strcmp(text + length - tail, end);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* A file as it is named; of a folder all that ends in .conf or .json, in the folders below it too. */
static int add_path(struct import *import, char *path, struct err *err)
{
    char *paths[] = {path, NULL};
    FTS *walk = fts_open(paths, FTS_COMFOLLOW | FTS_NOCHDIR | FTS_PHYSICAL, by_name);
    size_t found = 0;
    int result = walk ? 0 : err_set(err, "%s: %s", path, strerror(errno));
    for (FTSENT *entry; !result && (entry = fts_read(walk));) {
        bool named = entry->fts_level == FTS_ROOTLEVEL;
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            result = err_set(err, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_D && entry->fts_level > DEPTH_MOST)
            fts_set(walk, entry, FTS_SKIP);
        else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP &&
                 (named || (entry->fts_info == FTS_F && (ends_with(entry->fts_name, ".conf") || ends_with(entry->fts_name, ".json"))))) {
            result = add_file(import, entry->fts_path, err);
            found++;
        }
    }
    if (!result && !found)
        result = err_set(err, "%s holds no file that ends in .conf or .json", path);
    if (walk)
        fts_close(walk);
    return result;
}

static int write_result(const struct options *options, const struct conf *conf, struct err *err)
{
    const char *path = options_value(options, "output");
    struct buf text = BUF_EMPTY;
    int result = 0;
    conf_write(conf, &text);
    if (!path)
        fwrite(buf_text(&text), 1, text.length, stdout);
    else
        result = file_write(path, 0644, buf_text(&text), text.length, err);
    if (path && !result)
        log_notice("import: %s is written; it holds no secret. Give each node its Ssh line (\"wgdeck -m %s set NODE Ssh=root@HOST\"), then \"wgdeck -m %s plan\" shows what "
                   "differs on the nodes", path, path, path);
    buf_free(&text);
    return result;
}

static int import_all(const struct options *options, struct err *err)
{
    struct import *import = import_new();
    struct conf *conf = conf_new(options_given(options, "output") ? options_value(options, "output") : "mesh.conf");
    struct buf notes = BUF_EMPTY;
    int result = 0;
    for (int i = 0; !result && i < options->operand_count; i++)
        result = add_path(import, options->operands[i], err);
    if (!result)
        result = import_mesh(import, conf, &notes, err);
    if (!result)
        result = write_result(options, conf, err);
    print_lines(&notes);
    buf_free(&notes);
    conf_free(conf);
    import_free(import);
    return result;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct err err;
    struct options options;
    struct stat status;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (!options.operand_count)
        return options_usage_error(cmd, "which files? One wg-quick file for each node, or a folder of them");
    const char *path = options_value(&options, "output");
    if (path && !options_given(&options, "force") && !stat(path, &status)) {
        log_error("import: %s exists (--force replaces it)", path);
        return CMD_FAILED;
    }
    if (!import_all(&options, &err))
        return CMD_OK;
    log_error("import: %s", err.text);
    return CMD_FAILED;
}

static const char *const examples[] = {
    "wgdeck import nodes/ -o mesh.conf", "a folder with api.conf, db.conf, ...; or with api/wg0.conf, db/wg0.conf, ...",
    "wgdeck import hub.conf", "one file: the keys in its rows become nodes without Ssh", NULL};

const struct cmd cmd_import = {
    .name = "import",
    .arguments = "FILE...",
    .summary = "write the mesh file for a mesh that is described by wg-quick files",
    .description = "Reads one wg-quick file for each node (or a folder of them, or what \"wgdeck export --format json\" wrote) and writes the mesh file that describes the mesh. "
                   "Nodes are matched by their keys. Their names are those of the files, of the folders that they stand in, or of comments (\"# api\" in a [Peer]).\n\n"
                   "Private keys in the files only tell the public ones; they go nowhere. What could not be derived is said on standard error. No node is touched.",
    .options = import_options,
    .examples = examples,
    .run = run,
};
