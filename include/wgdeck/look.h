/* Looking at all nodes of a mesh: fan-out, the helper or the bare look, and observations as they come in. */
#ifndef WGDECK_LOOK_H
#define WGDECK_LOOK_H

#include <ev.h>
#include <stdbool.h>

#include "wgdeck/fanout.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

enum look_mode {
    LOOK_AUTO,   /* the helper where it already is; else bare; pushed where a bare look cannot see (no wg there) */
    LOOK_BARE,   /* never copy anything to a node */
    LOOK_HELPER, /* push the helper where it is not */
};

struct look_options {
    enum look_mode mode;
    double every;               /* seconds between readings; 0: once */
    double deadline;            /* seconds for a first answer of each node; 0: 30 */
    const char *helper;         /* path of the static program; NULL: beside the running one, or in its library folder */
    const char *interface;      /* look at this one; NULL: all */
    const char *nodes;          /* patterns of names (text_matches): only these are looked at; NULL: all */
    struct fanout_options fanout;
};

struct look;

struct look_events {
    /* NODE has a new reading, or has failed (observation->reach says). Called on the loop's thread. */
    void (*changed)(void *context, struct look *look, size_t node);
    /* NODE's observation SEEN is about to change. LOST: it is about to be thrown away for a failure; what is moved out of it (leaving it zeroed)
     * is the callee's. May be NULL. */
    void (*changing)(void *context, struct look *look, size_t node, struct observation *seen, bool lost);
    /* Each node has answered or failed once. */
    void (*first_round)(void *context, struct look *look);
};

/* MESH must outlive the look. 0 sessions is fine. NULL with err only when nothing at all can be done. */
struct look *look_new(struct ev_loop *loop, const struct mesh *mesh, const struct look_options *options,
                      const struct look_events *events, void *context, struct err *err);
void look_free(struct look *look);
const struct observed *look_observed(const struct look *look);   /* newest of each node; borrowed */
struct fanout_session *look_session(struct look *look, size_t node); /* for exec; NULL if the node has no SSH target */
/* A session of one's own to NODE, which has Ssh, as the mesh file says: its target, its HostKey, through the nodes that its Jump names. */
struct fanout_session *look_open_node(struct fanout *fanout, const struct mesh *mesh, size_t node, const struct fanout_session_events *events, void *context);
void look_refresh(struct look *look);                            /* a reading of every node now, over the live sessions */
/* While held, nothing is written to the observed (another thread may read it): what comes in waits unread, and is taken when it is let go. */
void look_hold(struct look *look, bool hold);
void look_set_every(struct look *look, double every);            /* seconds between readings, above 0; also for those who stream already */
size_t look_waiting(const struct look *look);                    /* nodes that neither answered nor failed yet */
bool look_is_waiting(const struct look *look, size_t node);      /* is this one of them? */
/* Nanoseconds since a node that is logged in said anything, when that is longer than usual (three intervals and 6 s); 0: it is well, or not open. */
int64_t look_silence(const struct look *look, size_t node);
struct fanout *look_fanout(struct look *look);                   /* to answer questions */

#endif
