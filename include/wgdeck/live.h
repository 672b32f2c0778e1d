/* The live mesh: what is known of it now, what happened to it, and how it was over the last hour. One loop feeds it, from SSH or from a
 * recording; whoever shows it takes a picture (borrowed, cheap) whenever it says that something changed. One thread owns it: diagnosing runs
 * beside the loop, so that a key press never waits for it. */
#ifndef WGDECK_LIVE_H
#define WGDECK_LIVE_H

#include <ev.h>
#include <stdio.h>

#include "wgdeck/conf.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/events.h"
#include "wgdeck/look.h"
#include "wgdeck/trend.h"

struct live; /* opaque */

enum live_change {
    LIVE_PICTURE = 1,   /* a new diagnosis, or newer readings behind the old one */
    LIVE_EVENTS = 2,    /* something happened: the log has grown */
    LIVE_QUESTION = 4,  /* live_question has another answer than before */
    LIVE_REPLAY = 8,    /* position, speed or end of the replay */
};

struct live_callbacks {
    void (*changed)(void *context, unsigned what); /* enum live_change, or-ed; on the loop's thread */
};

/* What stands beside a node's reading. */
struct live_node {
    bool waiting;          /* has neither answered nor failed yet */
    bool silent;           /* logged in, and has said nothing for longer than usual; what is shown of it may be over */
    char phase[40];        /* what its session does when it is not open ("connecting", "logging in"), or "no answer for 12s"; "": nothing */
    int64_t seen_at;       /* deck's wall clock of its newest good reading, also when it cannot be reached now; 0: never */
    const struct observation *last; /* that reading, when observed->nodes[i] is not one; NULL: none. For showing, never for judging */
};

/* The mesh at one moment. Borrowed: holds until the next turn of the loop. */
struct live_picture {
    const struct mesh *mesh;
    const struct observed *observed;
    const struct diagnosis *diagnosis; /* never NULL; faults have their since */
    const struct live_node *nodes;     /* as mesh->nodes */
    int64_t now;                       /* the wall clock that ages are counted from: the replay's own time in a replay */
    bool old;                          /* last known data, of an earlier run; as of diagnosis->at. Nothing was seen in this run yet */
    uint64_t number;                   /* grows with each diagnosis */
};

struct live_options {
    struct look_options look;  /* .every: seconds, above 0; .fanout.ask and .keep are set by live */
    const struct conf *conf;   /* the mesh file, or NULL when the mesh is of targets; borrowed */
    const char *state;         /* folder for the event log and the last readings (made, 0700); NULL: nothing is kept */
};

/* MESH must outlive it. NULL with err. */
struct live *live_new(struct ev_loop *loop, const struct mesh *mesh, const struct live_options *options,
                      const struct live_callbacks *callbacks, void *context, struct err *err);
/* A recording instead of a mesh: FILE (borrowed until live_free; seekable, or it cannot be stepped back). Begins at its first round. */
struct live *live_replay(struct ev_loop *loop, FILE *file, const char *name, const struct live_callbacks *callbacks, void *context, struct err *err);
void live_free(struct live *live); /* keeps the last readings */

struct live_picture live_picture(const struct live *live);
/* A copy that stays as it is (freeze); live_frozen_free. */
struct live_frozen;
struct live_frozen *live_freeze(const struct live *live);
struct live_picture live_frozen_picture(const struct live_frozen *frozen);
void live_frozen_free(struct live_frozen *frozen);

/* What makes a fault the same one in the next diagnosis: "udp-blocked db api db>api". */
void live_fault_identity(const struct mesh *mesh, const struct fault *fault, struct buf *buf);
const struct event_log *live_events(const struct live *live);
/* How a link (A < B), or a node, was; NULL when nothing is kept of it. live_watch_link: keep it from now on, whatever the mesh's size. */
const struct trend *live_link_trend(const struct live *live, size_t a, size_t b);
const struct trend *live_node_trend(const struct live *live, size_t node);
void live_watch_link(struct live *live, size_t a, size_t b);

void live_look_now(struct live *live);                     /* a reading of every node over the live sessions; in a replay: the next step */
double live_interval(const struct live *live);             /* seconds between readings */
void live_set_interval(struct live *live, double seconds); /* 0.5 to 3600 */
bool live_is_root(const struct live *live, size_t node);   /* logged in there as root */

/* The oldest question that waits for a person, or NULL; borrowed until it is answered. */
const struct fanout_question *live_question(const struct live *live);
size_t live_question_count(const struct live *live);     /* that wait */
void live_answer(struct live *live, uint64_t id, const char *text); /* as fanout_answer */

/* Replay. */
struct live_replay_state {
    int64_t start, end, at;  /* wall clock of the recording; end 0: not known */
    double speed;            /* 1: as it was */
    bool paused, at_end;
    const char *problem;     /* why it ends here (a line that cannot be used), or NULL; borrowed */
};
bool live_is_replay(const struct live *live);
struct live_replay_state live_replay_state(const struct live *live);
void live_replay_pause(struct live *live, bool paused);
void live_replay_set_speed(struct live *live, double speed);   /* 0.1 to 1000 */
void live_replay_step(struct live *live, int steps);           /* intervals of the recording, forward or back; pauses */
void live_replay_seek(struct live *live, int64_t at);
/* Wait until all that was fed is diagnosed, and publish it: for tests, and for a picture at a given time. */
void live_settle(struct live *live);

/* $XDG_STATE_HOME/wgdeck/NAME (~/.local/state without it), NAME made from the mesh's name or, without a mesh file, from its targets. malloc'd; NULL without a home. */
char *live_state_folder(const struct mesh *mesh);

#endif
