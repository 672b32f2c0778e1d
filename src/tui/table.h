/* A list that scrolls, sorts, marks and chooses its columns: the body of Overview, Links, Faults, Events and of parts of Node. Columns are data. Rows
 * are numbers that only the view understands (an index of links, say); 500,000 of them must be sorted within a frame. */
#ifndef WGDECK_TUI_TABLE_H
#define WGDECK_TUI_TABLE_H

#include "view.h"

struct table_column {
    const char *name;       /* in ":sort", ":columns", deck.conf, JSON and CSV: "handshake" */
    const char *title;      /* "Handshake" */
    const char *help;       /* a few words: help and manual */
    int width;              /* least; 0: as wide as its widest visible cell */
    int most;               /* 0: no limit but the screen's */
    int share;              /* of a sentence (a width, no limit): percent of the screen that it may ask for, before others are dropped; 0: 30 to 45 */
    bool right;
    bool descending;        /* the first sort is the other way round */
    int drop;               /* when it is narrow, columns with the highest go first; 0: never */
    bool hidden;            /* not shown unless chosen */
    enum style (*cell)(const struct scene *scene, uint32_t row, struct buf *buf); /* adds its text; returns its style */
    uint64_t (*order)(const struct scene *scene, uint32_t row); /* smaller comes first; NULL: cannot be sorted */
};

struct table_list {
    const struct table_column *columns; /* ends with a row without name */
    /* Puts the rows to show into ROWS (room for rows_most), in their natural order; returns how many. */
    size_t (*rows)(const struct scene *scene, const void *view, uint32_t *rows, size_t most);
    size_t (*rows_most)(const struct scene *scene, const void *view);
    void (*subject)(const struct scene *scene, uint32_t row, struct subject *subject);
    bool (*is_well)(const struct scene *scene, uint32_t row); /* n and N go to rows that are not; NULL: all are well */
    const char *empty;      /* what is said when there is no row */
    bool follows_top;       /* the cursor on the first row stays on the first row when others come before it */
};

enum { TABLE_COLUMNS_MOST = 32 };

struct table {
    const struct table_list *list;
    const void *view;          /* given to list->rows */
    uint32_t *rows;            /* in the order shown; owned */
    size_t count, capacity;
    size_t cursor, top;        /* positions in rows */
    struct subject selected;   /* the object that the cursor stays on */
    struct subject *marks;     /* owned */
    size_t mark_count, mark_capacity;
    int sort;                  /* index of a column; -1: the natural order */
    bool inverted;
    char columns[160];         /* chosen: "node,state"; "": those not hidden */
    int height;                /* rows of the last draw, for pages and clicks */
    int left;                  /* first column of text shown: scrolled to the right by so many */
    uint32_t selected_row;     /* what selected was in the view's numbers: where to look for it first */
    void *sort_space;          /* kept from one sort to the next; owned */
    size_t sort_room;
    struct subject wanted;     /* the object that the person went to, also while a filter hides it */
    bool quiet;                /* the cursor is not shown while another pane has it */
    int width;                 /* of the last draw */
    int widths[TABLE_COLUMNS_MOST]; /* the widest that each column was, at this width */
    struct { int column, at, width; } placed[TABLE_COLUMNS_MOST]; /* as drawn last: where headings are clicked */
    size_t placed_count;
    int scroll_most;           /* how far left can go */
};

void table_free(struct table *table);
void table_refresh(struct table *table, const struct scene *scene); /* rows, order; the cursor stays on its object, else at its place */
void table_draw(struct table *table, const struct scene *scene, const struct area *area, bool focused); /* heading line and rows */
bool table_act(struct table *table, const struct scene *scene, enum action action, struct wish *wish);
bool table_mouse(struct table *table, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish);
/* By this column (-1: the natural order), as ":sort" does it. */
void table_sort_by(struct table *table, const struct scene *scene, int column, bool inverted);
bool table_subject(const struct table *table, const struct scene *scene, struct subject *subject);
bool table_row_is_marked(const struct table *table, const struct scene *scene, size_t position);
void table_select(struct table *table, const struct scene *scene, const struct subject *subject);
void table_copy(const struct table *table, const struct scene *scene, struct buf *buf);  /* marked or selected rows, tab-separated */
void table_save(const struct table *table, const struct scene *scene, enum save_format format, struct buf *buf); /* all rows */
void table_menu(struct table *table, const struct scene *scene, enum action action, const char *value);
size_t table_values(const struct table *table, enum action action, const char **values, size_t most);

#endif
