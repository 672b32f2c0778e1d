/* A screen: one table of functions and a small file each. views.c lists them. */
#ifndef WGDECK_TUI_VIEW_H
#define WGDECK_TUI_VIEW_H

#include "action.h"
#include "scene.h"
#include "surface.h"
#include "terminal.h"

enum save_format { SAVE_TEXT, SAVE_JSON, SAVE_CSV };

/* What a view asks of the deck; the first that is set is done after act or mouse has returned. */
struct wish {
    bool open;               /* subject's screen: node, link, fault */
    const char *screen;      /* a screen by its name, with SUBJECT if it is set */
    struct subject subject;
    char notice[160];        /* one line for the footer */
};

struct view;                 /* each file has its own; the first member is struct view_base */
struct view_base { const struct view_ops *ops; };

struct view_ops {
    const char *name;        /* "matrix": the command, deck.conf's section and the manual */
    const char *title;       /* "Matrix" */
    const char *help;        /* what is seen here, a few sentences: the help screen and the manual */
    enum action action;      /* that opens it; ACTION_NONE: only by Enter */
    size_t size;             /* of the view's struct; zeroed before open */
    const enum action *footer; /* worth showing in the footer here, best first; ends with ACTION_NONE */
    void (*open)(struct view *view, const struct scene *scene, const struct subject *subject); /* also when it is open already */
    void (*close)(struct view *view);                              /* NULL: nothing to free */
    void (*refresh)(struct view *view, const struct scene *scene); /* scene->number has changed: rows anew; the cursor stays on its object */
    void (*draw)(struct view *view, const struct scene *scene, const struct area *area);  /* must be cheap: what is not seen is not drawn */
    bool (*act)(struct view *view, const struct scene *scene, enum action action, struct wish *wish); /* false: not its business */
    /* Screens with a field of their own: each key comes here first. False: not its business. NULL: none. */
    bool (*key)(struct view *view, const struct scene *scene, const struct key_event *key);
    bool (*typing)(const struct view *view, const struct scene *scene); /* does the field take text now? NULL: never */
    /* A click (or the wheel: wheel -1 up, 1 down) at a place of its area; DOUBLE_CLICK opens. NULL: none. */
    bool (*mouse)(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish);
    bool (*subject)(const struct view *view, const struct scene *scene, struct subject *subject); /* what the cursor is on; false: nothing */
    void (*copy)(const struct view *view, const struct scene *scene, struct buf *buf);   /* marked rows, or the one; NULL: as subject says */
    void (*save)(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf); /* NULL: the screen's text only */
    void (*menu)(struct view *view, const struct scene *scene, enum action action, const char *value); /* ":sort rtt", ":columns a,b": NULL: none */
    /* Values that ":sort " and ":columns " can be completed to; COUNT in and out. NULL: none. */
    size_t (*values)(const struct view *view, enum action action, const char **values, size_t most);
};

extern const struct view_ops view_overview, view_matrix, view_links, view_map, view_faults, view_events, view_node, view_link, view_help, view_plan, view_wizard;
extern const struct view_ops *const views[]; /* ends with NULL */
const struct view_ops *view_find(const char *name);

struct view *view_new(const struct view_ops *ops);
void view_free(struct view *view);
const struct view_ops *view_ops_of(const struct view *view);

#endif
