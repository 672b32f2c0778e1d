/* INI as WireGuard's users know it, line by line: what is not changed is written back byte for byte.
 * Serves mesh.conf and the nodes' wg-quick files. Sections may repeat ([Peer]) and may have a name ([Node api]).
 * Keys compare without regard to case; "#" begins a comment anywhere in a line, as in wg-quick. */
#ifndef WGDECK_CONF_H
#define WGDECK_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

struct conf; /* opaque: owns its lines */

/* One "Key = value" line as the reader sees it; all pointers are borrowed until the next change of the document. */
struct conf_entry {
    const char *section;      /* "Interface", "Node"; "" before the first section */
    const char *section_name; /* "api" of [Node api]; "" if none */
    size_t section_index;     /* 0 for the first section of the document, any kind; SIZE_MAX before it */
    const char *key;
    const char *value;        /* trimmed, comment removed */
    size_t line;              /* from 1 */
};

/* Parse. Errors name FILE:LINE, what is wrong and what to write ("mesh.conf:7: no '=' ... write Key = value").
 * NUL bytes, lines over 64 KiB and more than 1,000,000 lines are refused. CRLF is accepted and kept. NULL on error. */
struct conf *conf_parse(const char *file, const char *bytes, size_t length, struct err *err);
struct conf *conf_new(const char *file);
void conf_free(struct conf *conf);
void conf_write(const struct conf *conf, struct buf *buf); /* the document's bytes */
const char *conf_file(const struct conf *conf);

size_t conf_section_count(const struct conf *conf);
/* Kind, name and line of section INDEX. name may be NULL. */
void conf_section(const struct conf *conf, size_t index, const char **kind, const char **name, size_t *line);
/* The next entry after *CURSOR (start with 0). False at the end. Includes entries before any section. */
bool conf_next(const struct conf *conf, size_t *cursor, struct conf_entry *entry);
/* The value of the LAST line with this key in the section (borrowed), or NULL. line may be NULL. */
const char *conf_get(const struct conf *conf, size_t section_index, const char *key, size_t *line);
/* The index of the section of this kind and name (name NULL: any), starting at FROM; SIZE_MAX if none. */
size_t conf_find(const struct conf *conf, const char *kind, const char *name, size_t from);

/* Changes. set: replaces the value in place, keeping indentation, spacing and the line's comment (where the key has several lines,
 * the last; the others are removed); adds the line at the section's end (before trailing blank lines and comments) when there is none.
 * VALUE NULL removes all lines of that key. A value that would not be read back the same (line break, '#', surrounding space, over-long)
 * and a key that is no word are refused (-1, err). add: behind the key's last line, else at the section's end. */
int conf_set(struct conf *conf, size_t section_index, const char *key, const char *value, struct err *err);
/* Line NUMBER (from 0) of the lines with this key in the section gets VALUE; NULL removes the line. No such line is an error. */
int conf_set_line(struct conf *conf, size_t section_index, const char *key, size_t number, const char *value, struct err *err);
int conf_add(struct conf *conf, size_t section_index, const char *key, const char *value, struct err *err); /* one more line of that key */
/* At the end, a blank line before; its index. SIZE_MAX if kind or name cannot stand in a header. name may be NULL. */
size_t conf_add_section(struct conf *conf, const char *kind, const char *name);
void conf_add_comment(struct conf *conf, const char *text); /* "# TEXT" as a line at the end, "" a blank one; control characters become spaces */
void conf_remove_section(struct conf *conf, size_t section_index); /* with the comments directly above it */

#endif
