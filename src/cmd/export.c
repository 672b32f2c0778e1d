/* wgdeck export: one node in the form of another tool. No node is looked at; with --new-key the mesh file learns the public key. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carry_out.h"
#include "commands.h"
#include "qr.h"
#include "terminal.h"
#include "wgdeck/export.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh_file.h"

static const struct cmd_option export_options[] = {
    {.name = "format", .argument = "wg-quick|networkd|json", .help = "a file for wg-quick(8) and the WireGuard programs of phones and other systems, two files for systemd-networkd, or JSON",
     .fallback = "wg-quick"},
    {.name = "qr", .help = "as a QR code, for a phone; needs --new-key"},
    {.name = "new-key", .help = "make a private key here and write it into the output, once; for a node without Ssh, whose public key is then written into the mesh file"},
    {.letter = 'o', .name = "output", .argument = "FILE", .help = "write it here, mode 0600; networkd: FILE.netdev and FILE.network", .fallback = "standard output"},
    {.letter = 'f', .name = "force", .help = "replace FILE if it exists"},
    {0},
};

struct export {
    struct options options;
    struct mesh_file file;
    size_t node;
    enum export_format format;
    struct key *private_key;   /* in guarded memory; NULL */
    struct buf before;         /* of the mesh file, when it was edited */
};

/* A key of its own, pinned in the mesh file; the one it had before becomes a FormerKey, whose rows apply takes away. */
static int make_key(struct export *export, struct err *err)
{
    const struct mesh_node *node = &export->file.mesh->nodes[export->node];
    struct mesh_edits edits = {0};
    struct key public_key;
    char text[KEY_TEXT_SIZE];
    if (node->ssh)
        return err_set(err, "%s is reached by SSH, and its private key is made there and never leaves it: \"wgdeck apply\" sets it up, \"wgdeck rotate %s\" gives it a new key",
                       node->name, node->name);
    if (sodium_init() < 0 || !(export->private_key = sodium_malloc(sizeof *export->private_key)))
        return err_set(err, "no random numbers, or no memory that can be guarded, on this machine");
    key_make_private(export->private_key);
    key_public(export->private_key, &public_key);
    if (node->has_public_key) {
        key_text(&node->public_key, text);
        mesh_edits_add(&edits, MESH_EDIT_ADD_VALUE, node->name, "FormerKey", text);
    }
    key_text(&public_key, text);
    mesh_edits_add(&edits, MESH_EDIT_SET, node->name, "PublicKey", text);
    buf_add(&export->before, export->file.bytes.data, export->file.bytes.length);
    int result = mesh_file_edit(&export->file, &edits, err);
    mesh_edits_free(&edits);
    return result;
}

/* What the programs of phones know, in few bytes: no comment, no empty line, no space that is not needed. */
static void squeeze(const struct buf *text, struct buf *out)
{
    buf_reserve(out, text->length);
    for (const char *line = buf_text(text); *line;) {
        size_t length = strcspn(line, "\n");
        for (size_t i = 0; *line != '#' && i < length; i++)
            if (line[i] != ' ')
                buf_add_char(out, line[i]);
        if (*line != '#' && length)
            buf_add_char(out, '\n');
        line += length + (line[length] == '\n');
    }
}

static int write_all(const struct buf *text, struct err *err)
{
    if (!file_write_all(STDOUT_FILENO, buf_text(text), text->length))
        return 0;
    return err_set(err, "standard output: %s", strerror(errno));
}

static int write_qr(const struct export *export, const struct exported *exported, struct err *err)
{
    struct terminal terminal = terminal_of(STDOUT_FILENO, &export->options.globals);
    struct buf text = BUF_EMPTY, picture = BUF_EMPTY;
    squeeze(&exported->parts[0].text, &text);
    int result = qr_add(buf_text(&text), &terminal, &picture, err);
    if (!result)
        result = write_all(&picture, err);
    buf_wipe(&text);
    buf_wipe(&picture);
    return result;
}

/* FILE, or FILE.netdev and FILE.network. */
static char *path_of(const struct export *export, const struct export_part *part)
{
    const char *given = options_value(&export->options, "output");
    size_t length = strlen(given);
    for (const char *const *known = (const char *const[]){".netdev", ".network", NULL}; *part->suffix && *known; known++)
        if (length > strlen(*known) && !strcmp(given + length - strlen(*known), *known))
            length -= strlen(*known);
    return mem_format("%.*s%s", (int)length, given, part->suffix);
}

static int check_free(const struct export *export, const struct exported *exported, struct err *err)
{
    struct stat status;
    for (size_t i = 0; i < exported->count; i++) {
        char *path = path_of(export, &exported->parts[i]);
        int result = !options_given(&export->options, "force") && !stat(path, &status) ? err_set(err, "%s exists (--force replaces it)", path) : 0;
        free(path);
        if (result)
            return result;
    }
    return 0;
}

static int write_files(const struct export *export, const struct exported *exported, struct err *err)
{
    if (check_free(export, exported, err))
        return -1;
    for (size_t i = 0; i < exported->count; i++) {
        char *path = path_of(export, &exported->parts[i]);
        int result = file_write(path, 0600, buf_text(&exported->parts[i].text), exported->parts[i].text.length, err);
        if (!result)
            log_notice("export: %s is written", path);
        free(path);
        if (result)
            return result;
    }
    return 0;
}

static int write_streams(const struct exported *exported, struct err *err)
{
    for (size_t i = 0; i < exported->count; i++)
        if ((i && file_write_all(STDOUT_FILENO, "\n", 1)) || write_all(&exported->parts[i].text, err))
            return -1;
    return 0;
}

static void print_notes(const struct exported *exported)
{
    for (const char *line = buf_text(&exported->notes); *line;) {
        size_t length = strcspn(line, "\n");
        log_notice("export: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static int export_it(struct export *export, struct err *err)
{
    struct exported exported;
    if (options_given(&export->options, "new-key") && make_key(export, err))
        return -1;
    const struct mesh *mesh = export->file.mesh;
    struct desired *desired = desired_new(mesh);
    export_node(mesh, desired, export->node, export->format, export->private_key, &exported);
    int result;
    if (options_given(&export->options, "qr"))
        result = write_qr(export, &exported, err);
    else
        result = options_given(&export->options, "output") ? write_files(export, &exported, err) : write_streams(&exported, err);
    if (!result)
        print_notes(&exported);
    if (!result && export->private_key)
        log_notice("export: the public key of %s is in %s now; its private key is kept nowhere but in what was just written. \"wgdeck apply\" makes it known to the other nodes",
                   mesh->nodes[export->node].name, export->file.path);
    struct err undo;
    if (result && export->private_key && mesh_file_undo(&export->file, &export->before, &undo))
        log_error("export: the public key that %s has now in %s belongs to a key that was never shown: export again with --new-key",
                  mesh->nodes[export->node].name, export->file.path);
    exported_free(&exported);
    desired_free(desired);
    return result;
}

static int read_command(struct export *export, const struct cmd *cmd)
{
    const char *format = options_value(&export->options, "format");
    export->format = EXPORT_WG_QUICK;
    if (export->options.operand_count != 1)
        return options_usage_error(cmd, "which node? One name of the mesh file");
    if (format && export_format_parse(format, &export->format))
        return options_usage_error(cmd, "unknown format \"%s\": wg-quick, networkd or json", format);
    if (!options_given(&export->options, "qr"))
        return CMD_OK;
    if (export->format != EXPORT_WG_QUICK || options_given(&export->options, "output"))
        return options_usage_error(cmd, "--qr shows what phones read: the form of wg-quick, on the terminal");
    if (!options_given(&export->options, "new-key"))
        return options_usage_error(cmd, "a QR code needs the private key in it, and wgdeck has none: --new-key makes one here");
    return CMD_OK;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct err err;
    struct export export = {0};
    if (!options_parse(cmd, globals, argc, argv, &export.options))
        return export.options.status;
    int status = read_command(&export, cmd);
    if (status)
        return status;
    if (!carry_out_open(&export.options, &export.file))
        return CMD_FAILED;
    export.node = carry_out_find_node(&export.options, &export.file, export.options.operands[0]);
    status = CMD_FAILED;
    if (export.node != SIZE_MAX) {
        status = export_it(&export, &err) ? CMD_FAILED : CMD_OK;
        if (status)
            log_error("export: %s", err.text);
    }
    if (export.private_key)
        sodium_free(export.private_key);
    buf_free(&export.before);
    mesh_file_free(&export.file);
    return status;
}

static const char *const examples[] = {
    "wgdeck export api -o wg0.conf", "what wg-quick up needs on api; its private key stays there",
    "wgdeck export phone --new-key --qr", "a phone, which has a [Node] without Ssh: scan it, then \"wgdeck apply\"",
    "wgdeck export db --format networkd -o /etc/systemd/network/wg0", "wg0.netdev and wg0.network", NULL};

const struct cmd cmd_export = {
    .name = "export",
    .arguments = "NODE",
    .summary = "one node in the form of wg-quick, systemd-networkd, JSON or a QR code",
    .description = "Writes what the mesh file asks of NODE in the form of another tool. No node is looked at and none is changed.\n\n"
                   "The private key of a node never leaves it: the file says from which file on the node it is read (/etc/wireguard/IF.key). For a node that SSH does not reach, such as a phone, "
                   "--new-key makes a private key here, writes it into the output, and the public key into the mesh file; it is stored nowhere else.",
    .options = export_options,
    .examples = examples,
    .run = run,
};
