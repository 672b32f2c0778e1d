/* The invitation's line in the hub's dedicated authorized_keys file (invitation.h; sshd(8), AUTHORIZED_KEYS FILE FORMAT), and the file with it or without it. */
#include <stdlib.h>
#include <string.h>

#include "invitation_parts.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define MARK "wgdeck-invitation-" /* begins the comment; the id follows */

static bool is_command(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_.-+: ";
    return text[0] == '/' && strspn(text, allowed) == strlen(text);
}

int invitation_line(const char *id, const char *name, const char *public_line, const char *expires_local, const char *command, struct buf *line, struct err *err)
{
    if (!invitation_is_id(id))
        return err_set(err, "the invitation's number is none");
    if (!text_is_name(name))
        return err_set(err, "the invitation's node has no name that can be one");
    if (!invitation_is_public_line(public_line))
        return err_set(err, "the invitation's key is no Ed25519 key");
    if (strlen(expires_local) != 14 || strspn(expires_local, "0123456789") != 14)
        return err_set(err, "the invitation's end is no time");
    if (!is_command(command))
        return err_set(err, "\"%s\" cannot stand as a command in an authorized_keys file: only letters, digits and / _ . - + : can", command);
    buf_add_format(line, "restrict,expiry-time=\"%s\",command=\"%s\" %s " MARK "%s %s", expires_local, command, public_line, id, name);
    return 0;
}

/* Is this line (without its end) the one of ID: not commented out, with the mark as a word of its own? */
static bool is_line_of(const char *line, size_t length, const char *mark)
{
    size_t size = strlen(mark);
    if (length && line[0] == '#')
        return false;
    for (const char *at = line; (at = memmem(at, length - (size_t)(at - line), mark, size)); at += size) {
        const char *behind = at + size;
        bool begins = at > line && (at[-1] == ' ' || at[-1] == '\t');
        bool ends = behind == line + length || strchr(" \t\r", *behind);
        if (begins && ends)
            return true;
    }
    return false;
}

bool invitation_file_edit(const char *file, size_t length, const char *id, const char *line, struct buf *result)
{
    char *mark = mem_format("%s%s", MARK, id);
    size_t begin = result->length;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(file + at, '\n', length - at);
        size_t size = end ? (size_t)(end - file) + 1 - at : length - at;
        if (!is_line_of(file + at, size - (end ? 1 : 0), mark))
            buf_add(result, file + at, size);
        at += size;
    }
    free(mark);
    if (line) {
        if (result->length > begin && result->data[result->length - 1] != '\n')
            buf_add_char(result, '\n');
        buf_add_text(result, line);
        buf_add_char(result, '\n');
    }
    return result->length - begin != length || (length && memcmp(result->data + begin, file, length) != 0);
}
