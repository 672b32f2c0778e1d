/* What mends a fault, on the screen: each part of it begins a line, a command is never broken, so that it can be copied, and prose is filled. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const char *const command_words[] = {"wg",        "wg-quick", "wgdeck",  "ip",          "ssh",   "ssh-keygen", "systemctl",
                                            "tcpdump",   "nft",      "iptables", "timedatectl", "chown", "chmod",      "sysctl"};

static bool begins_command(const char *text)
{
    size_t length = strcspn(text, " ;,)");
    for (size_t i = 0; text[length] == ' ' && i < COUNT_OF(command_words); i++)
        if (strlen(command_words[i]) == length && !strncmp(text, command_words[i], length))
            return true;
    return false;
}

/* How much of TEXT belongs to its first part: up to a "; " that no bracket and no quotes hold. */
static size_t part_length(const char *text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '\'' && (quoted || !i || text[i - 1] == ' '))
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (text[i] == '(')
            depth++;
        else if (text[i] == ')' && depth)
            depth--;
        else if (!depth && text[i] == ';' && text[i + 1] == ' ')
            return i;
    }
    return strlen(text);
}

/* Where the command of a part begins: at its start or behind ": "; NULL: it is prose. */
static const char *command_in(const char *part)
{
    if (begins_command(part))
        return part;
    for (const char *at = part; (at = strstr(at, ": ")); at += 2)
        if (begins_command(at + 2))
            return at + 2;
    return NULL;
}

static void add_part(struct buf *buf, const char *part, size_t indent, size_t width)
{
    const char *command = command_in(part);
    if (!command) {
        add_filled(buf, part, indent, indent, width);
    } else if (command == part || indent + text_width(part) <= width) {
        buf_add_format(buf, "%s\n", part);
    } else {
        char *prose = mem_text_part(part, (size_t)(command - part) - 1);
        add_filled(buf, prose, indent, indent, width);
        buf_add_format(buf, "%*s%s\n", (int)indent + 2, "", command);
        free(prose);
    }
}

void add_remedy(struct buf *buf, const char *remedy, size_t indent, size_t width)
{
    for (bool first = true; *remedy; first = false) {
        size_t length = part_length(remedy);
        char *part = mem_text_part(remedy, length);
        if (!first)
            buf_add_format(buf, "%*s", (int)indent, "");
        add_part(buf, part, indent, width);
        free(part);
        remedy += length + (remedy[length] ? 2 : 0);
    }
}
