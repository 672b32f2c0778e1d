/* What mends a fault, on the screen: each part of it begins a line, a command is never broken, so that it can be copied, and prose is filled. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/diagnosis.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static void add_part(struct buf *buf, const char *part, size_t indent, size_t width)
{
    size_t at = remedy_command(part, strlen(part));
    const char *command = part[at] ? part + at : NULL;
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
        size_t length = remedy_part(remedy);
        char *part = mem_text_part(remedy, length);
        if (!first)
            buf_add_format(buf, "%*s", (int)indent, "");
        add_part(buf, part, indent, width);
        free(part);
        remedy += length + (remedy[length] ? 2 : 0);
    }
}
