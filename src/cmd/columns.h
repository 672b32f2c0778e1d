/* Text for people: aligned columns, glyphs with colours, bytes and lists of names in few characters. */
#ifndef WGDECK_CMD_COLUMNS_H
#define WGDECK_CMD_COLUMNS_H

#include <stdint.h>

#include "terminal.h"
#include "wgdeck/buf.h"

/* How something is, as a glyph first and a colour second. */
enum mark { MARK_NONE, MARK_GOOD, MARK_WARNING, MARK_BAD, MARK_UNKNOWN };
const char *mark_glyph(const struct terminal *terminal, enum mark mark);
void add_marked(struct buf *buf, const struct terminal *terminal, enum mark mark, const char *text); /* in the mark's colour */
void add_bold(struct buf *buf, const struct terminal *terminal, const char *text);

#define COLUMNS_MOST 10

/* Rows are gathered and then written, each column as wide as its widest cell. The last column takes what is left of the
 * width: what does not fit goes on in the next line, below its own column, or below the row when the column is narrow.
 * Columns without any text are left out. */
struct columns {
    size_t count;
    const char *titles[COLUMNS_MOST];
    bool right[COLUMNS_MOST]; /* numbers */
    char **cells;             /* row by row; owned */
    enum mark *marks;         /* of each row; owned */
    size_t row_count, row_capacity, mark_capacity;
};
void columns_row(struct columns *columns, enum mark mark, const char *const *cells); /* cells are copied; NULL is empty */
void columns_write(struct columns *columns, const struct terminal *terminal, struct buf *buf); /* and frees the rows */

/* TEXT broken at spaces, and a line end: the cursor is at column AT, further lines begin at column INDENT. */
void add_filled(struct buf *buf, const char *text, size_t at, size_t indent, size_t width);
/* A remedy (struct fault), its parts on lines of their own, from column INDENT on, where the line stands already (remedy.c). */
void add_remedy(struct buf *buf, const char *remedy, size_t indent, size_t width);


/* Names in few characters: runs of numbers folded, "db,n[1-20],n33". NAMES is sorted by it (n2 before n10). */
void add_folded_names(struct buf *buf, const char **names, size_t count);

#endif
