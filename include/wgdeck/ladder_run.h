/* The ladder (ladder.h) driven by the operator's machine: pairs of nodes that SSH reaches get a better way, once, because somebody asked for it. Views and orders go by the nodes' helpers. One libev loop; used by
 * "wgdeck path" and the deck. What was found stays when this ends: the ends watch it themselves, and go back to the hub when it dies. */
#ifndef WGDECK_LADDER_RUN_H
#define WGDECK_LADDER_RUN_H

#include <ev.h>

#include "wgdeck/ladder.h"
#include "wgdeck/look.h"

enum ladder_aim {
    LADDER_AIM_BEST,    /* direct, else by the relay */
    LADDER_AIM_DIRECT,  /* direct or not at all */
    LADDER_AIM_RELAY,   /* by the relay, also where direct is possible */
    LADDER_AIM_HUB,     /* back to the hub; nothing is tried */
};

struct ladder_run_options {
    struct look_options look;      /* .fanout, .deadline, .helper */
    enum ladder_aim aim;
    size_t (*pairs)[2];            /* indices of the mesh's nodes; NULL: every node that joined by the relay with every other one. Copied */
    size_t pair_count;
    unsigned at_once;              /* pairs; 0: 16 */
};

enum ladder_pair_state {
    LADDER_PAIR_WAITING,
    LADDER_PAIR_RUNNING,
    LADDER_PAIR_CHANGED,    /* now goes the way it says, as asked for */
    LADDER_PAIR_KEPT,       /* went so already */
    LADDER_PAIR_NO_WAY,     /* tried, and stays with the hub (or, when it had something better, goes by the hub again) */
    LADDER_PAIR_FAILED,     /* could not be tried: text says why */
};

struct ladder_pair {
    size_t ends[2], hub;    /* indices of the mesh's nodes; hub: who sees both */
    enum ladder_pair_state state;
    enum ladder_step before, now; /* before: when it was first seen */
    double seconds;         /* since it was begun; when over: how long it took */
    const char *text;       /* safe: what is being tried, or why it is as it is; borrowed */
};

struct ladder_run; /* opaque */

/* Nothing may be freed inside these. */
struct ladder_run_callbacks {
    void (*changed)(void *context, struct ladder_run *run, size_t pair); /* state or text of it; may be NULL */
    void (*done)(void *context, struct ladder_run *run);                 /* all pairs are over */
};

/* Which node sees both A and B and carries their traffic meanwhile; SIZE_MAX with err when the pair is none for the ladder, with the reason. */
size_t ladder_pair_hub(const struct mesh *mesh, size_t a, size_t b, struct err *err);

/* MESH must outlive it. NULL with err when nothing can be tried: no such pair. */
struct ladder_run *ladder_run_new(struct ev_loop *loop, const struct mesh *mesh, const struct ladder_run_options *options, const struct ladder_run_callbacks *callbacks, void *context,
                                  struct err *err);
void ladder_run_free(struct ladder_run *run); /* a trial under way is told to go back where that can still be written; else the ends forget it by themselves */
size_t ladder_run_count(const struct ladder_run *run);
struct ladder_pair ladder_run_pair(const struct ladder_run *run, size_t pair);
bool ladder_run_is_over(const struct ladder_run *run);
void ladder_run_stop(struct ladder_run *run); /* trials under way go back to the hub, then done */
struct fanout *ladder_run_fanout(const struct ladder_run *run); /* to answer questions */

#endif
