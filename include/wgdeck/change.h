/* A change of a mesh, from look to confirmed (DESIGN section 8): reads the nodes, plans, and when told so carries the plan out on all of them at once. One libev loop; used by the
 * commands, the deck's plan screen and the wizard. */
#ifndef WGDECK_CHANGE_H
#define WGDECK_CHANGE_H

#include <ev.h>

#include "wgdeck/look.h"
#include "wgdeck/mesh_file.h"
#include "wgdeck/plan.h"

struct change; /* opaque */

/* In this order. The words are shown. */
#define CHANGE_PHASES(X) \
    X(LOOKING, "looking at the nodes") \
    X(PLANNED, "planned")                   /* waits for change_go */ \
    X(LOCKING, "locking") \
    X(KEYS, "making keys") \
    X(STAGING, "applying under guard") \
    X(FINISHING, "finishing") \
    X(VERIFYING, "verifying from both ends") \
    X(CONFIRMING, "confirming") \
    X(REVERTING, "putting everything back") \
    X(DONE, "done")

enum change_phase {
#define X(name, text) CHANGE_##name,
    CHANGE_PHASES(X)
#undef X
};
const char *change_phase_text(enum change_phase phase);

enum change_result {
    CHANGE_RUNNING,
    CHANGE_NOTHING,     /* the plan is empty */
    CHANGE_CONFIRMED,   /* on all nodes that were reached; pending ones are listed */
    CHANGE_PUT_BACK,    /* failed, and every node that was touched said that it is in its old state again */
    CHANGE_GUARDED,     /* failed, and nodes that could not be told put themselves back within the guard's time: which, in the report */
    CHANGE_REFUSED,     /* nothing was touched: lint, lock, blocked nodes, cannot look */
    CHANGE_PARTLY,      /* some nodes confirmed, then one could not be told: the next apply completes it */
};

struct change_node {
    enum change_phase phase;    /* how far it is */
    bool pending, failed;
    size_t done, operations;    /* of its own */
    size_t verified, links;     /* new or changed links of it that its end has verified */
    char *text;                 /* what it does now, or why it failed: one safe line; NULL */
};

struct change_options {
    struct look_options look;   /* .nodes: only these are changed (all are looked at) */
    struct mesh_file *file;     /* its mesh is applied; learned keys are written into it. Borrowed */
    bool only_plan;             /* nothing will be changed: with LOOK_AUTO nothing is copied to a node that can be seen without */
    double within;              /* of the guard, seconds; 0: APPLY_WITHIN_DEFAULT */
    struct plan_options plan;
    const bool *rotate;         /* per node: its key is rotated, one node after the other; NULL: none. .plan.leaving: these nodes are taken out, also of the file */
    const char *leaving_date;   /* "2026-11-23", for their [Removed] sections */
    const char *owner;          /* "alice@laptop"; NULL: made from the system */
    const char *events;         /* path of the event log, which gets what was done and by whom; NULL */
};

struct change_callbacks {
    void (*planned)(void *context, struct change *change);  /* change_plan() is there; change_go or change_free follows, not inside the call */
    void (*progress)(void *context, struct change *change); /* anything of phase and nodes has changed; at most once a turn of the loop */
    void (*done)(void *context, struct change *change);     /* change_result() says how */
};

struct change *change_new(struct ev_loop *loop, const struct change_options *options, const struct change_callbacks *callbacks, void *context, struct err *err);
void change_free(struct change *change); /* while it runs: as change_stop, without waiting; the guards put back what was not confirmed */
void change_go(struct change *change);
void change_stop(struct change *change); /* the operator asks for the end: put back what is not confirmed, then done */

enum change_phase change_phase(const struct change *change);
enum change_result change_result(const struct change *change);
const struct mesh *change_mesh(const struct change *change);           /* as the file was when the change began; the indices of everything here are its */
const struct plan *change_plan(const struct change *change);           /* from PLANNED on; of a rotation: of the node in hand */
const struct observed *change_observed(const struct change *change);
const struct change_node *change_nodes(const struct change *change);   /* as mesh->nodes */
/* For people, when done: what was done where, what is pending, what failed where and why, in which state each node is, what to do next. Safe lines. */
void change_report(const struct change *change, struct buf *buf);
void change_report_json(const struct change *change, struct json *json);
struct fanout *change_fanout(const struct change *change);             /* to answer questions */

#endif
