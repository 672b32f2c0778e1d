/* A change of the mesh from the command line: looks, shows the plan, asks, carries it out with live progress, and tells what came of it.
 * Shared by plan, apply, add, remove, set and rotate. */
#ifndef WGDECK_CMD_CARRY_OUT_H
#define WGDECK_CMD_CARRY_OUT_H

#include "options.h"
#include "wgdeck/change.h"

struct carry_out {
    struct options *options;
    struct mesh_file *file;        /* borrowed */
    struct change_options change;  /* .file, .look, .within, .owner and .events are filled by carry_out_read */
    bool only_plan;                /* show the plan and end */
    bool yes;                      /* no question */
    bool json;                     /* the plan, or the report, as JSON on standard output */
    bool all;                      /* say of each node what many have in common */
    const char *question;          /* "Apply?" */
    const char *intro;             /* instead of the plan, which is one of many: what will be done; NULL */
    char *events;                  /* owned; carry_out_free */

    /* Filled by carry_out_run. */
    bool planned;                  /* a plan was there */
    bool something;                /* and had operations */
    bool kept;                     /* the nodes have, or will have, what the mesh file says: an edit of the file made for it stands */
};

/* Rows of the options that they all have, and their reading (into CHANGE and YES). False: options->status holds. */
#define CARRY_OUT_NO_APPLY_ROW {.name = "no-apply", .help = "edit the mesh file only; \"wgdeck apply\" carries it out later"}
#define CARRY_OUT_OPTION_ROWS \
    {.letter = 'y', .name = "yes", .help = "apply without a question"}, \
    {.name = "confirm-within", .argument = "SECONDS", .help = "how long a node waits to be told that all is well before it puts its old state back", \
     .fallback = "60"}, \
    {.name = "timeout", .argument = "SECONDS", .help = "how long to wait for a node that cannot be reached", .fallback = "10"}

/* The mesh file that -m and the usual places give, with a message when there is none or it cannot be read. */
bool carry_out_open(const struct options *options, struct mesh_file *file);
/* The node of that name, or SIZE_MAX with a message that says what may have been meant. */
size_t carry_out_find_node(const struct options *options, const struct mesh_file *file, const char *name);
bool carry_out_read(struct options *options, struct mesh_file *file, struct carry_out *wanted);
bool carry_out_read_apply(struct options *options, struct mesh_file *file, struct carry_out *wanted); /* the same, of those that change nodes */
void carry_out_free(struct carry_out *wanted);

/* The exit status. */
int carry_out_run(struct carry_out *wanted);
/* Does the edits on the mesh file, then carry_out_run (not with NO_APPLY); an edit that the nodes do not follow is taken back. The exit status. */
int carry_out_edit(struct carry_out *wanted, const struct mesh_edits *edits, bool no_apply);
/* The mesh file becomes what it was BEFORE, unless somebody else has edited it; says which. */
void carry_out_take_back(struct carry_out *wanted, const struct buf *before);

/* Progress on standard error while a change runs (carry_out_show.c): lines that are rewritten on a terminal, else plain ones. */
struct carry_out_show;
struct carry_out_show *carry_out_show_new(const struct mesh *mesh, const struct cmd_globals *globals); /* copies the names */
void carry_out_show_free(struct carry_out_show *show); /* what was drawn goes away */
void carry_out_show_draw(struct carry_out_show *show, const struct change *change, bool stopping);
void carry_out_show_clear(struct carry_out_show *show); /* before anything else is written */

#endif
