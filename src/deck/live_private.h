/* Inside the live mesh. live.c: the picture and when it is made anew; live_worker.c: the thread that diagnoses; live_look.c and live_replay.c:
 * where readings come from; live_rows.c: links keep pointing to their rows; live_events.c: what happened between two pictures;
 * live_trends.c: how it was; live_state.c: what outlives the run; live_frozen.c: a copy that stays. */
#ifndef WGDECK_DECK_LIVE_PRIVATE_H
#define WGDECK_DECK_LIVE_PRIVATE_H

#include <pthread.h>

#include "wgdeck/history.h"
#include "wgdeck/live.h"
#include "wgdeck/record.h"

#define LIVE_INTERVAL_DEFAULT 2.0
#define LIVE_GAP 0.1 /* seconds between two diagnoses, at least */

struct live_events_state;

/* One thread that diagnoses when asked. Everything but its own state belongs to the loop's thread; what it was given stays unwritten until
 * its answer is taken. */
struct live_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    enum { WORKER_IDLE, WORKER_ASKED, WORKER_ANSWERED, WORKER_ENDS } state;
    const struct mesh *mesh;
    const struct observed *now;
    struct history *history;   /* NOW is added to it, as of AT */
    int64_t at;
    const struct diagnosis *earlier;  /* the one before; NULL: it says nothing of now */
    bool update;               /* it may be brought up to date where that is enough */
    struct live_events_state *events; /* to look for what has happened as well; NULL: not yet */
    struct diagnosis *answer;
    double seconds;            /* that the answer took */
    bool whole;                /* it was diagnosed, not brought up to date */
    struct ev_loop *loop;
    struct ev_async *answered; /* sent when there is an answer */
};
void live_worker_begin(struct live_worker *worker, struct ev_loop *loop, struct ev_async *answered);
void live_worker_end(struct live_worker *worker); /* waits for a run in hand */
void live_worker_ask(struct live_worker *worker, const struct mesh *mesh, const struct observed *now, struct history *history, int64_t at,
                     const struct diagnosis *earlier, bool update, struct live_events_state *events);
/* The answer, or NULL when there is none yet; with WAIT it is waited for. */
struct diagnosis *live_worker_take(struct live_worker *worker, bool wait, double *seconds, bool *whole);

struct live_trends;
struct live_rows;
struct live_replay;
struct live_question;

struct live {
    struct ev_loop *loop;
    struct live_callbacks callbacks;
    void *context;
    const struct mesh *mesh;
    const struct observed *observed;  /* of the look or of the recording */
    struct diagnosis *diagnosis;
    struct history *history;
    struct live_node *nodes;
    struct observation *last;         /* per node: its last good reading while it has none; REACH_UNKNOWN: none */
    uint64_t number;
    double interval;
    char *state;                      /* folder, or NULL */

    struct live_worker worker;
    struct ev_async answered;
    struct ev_timer due;              /* the next diagnosis */
    bool running, dirty;
    enum live_compare { /* what is done with the next diagnosis */
        COMPARE_SINCE,    /* faults get their since, and that is all: not all that can answer has answered */
        COMPARE_REMEMBER, /* and it is taken as what is known, without an event */
        COMPARE_EVENTS,   /* and what differs from what was known is logged */
    } how;
    bool silent;                      /* nothing is told for now */
    bool compare_quietly;             /* the next diagnosis is remembered and makes no event: time has jumped */
    bool fresh;                       /* nothing was diagnosed yet: the first one at once */
    int64_t run_began, run_ended;     /* steady clock */
    double cost, whole_cost;          /* seconds that the last run took; that the last whole diagnosis took */
    unsigned updates;                 /* of the standing diagnosis since it was made */

    /* Last known data, until this run has its own. */
    struct observed *old_observed;
    struct diagnosis *old_diagnosis;
    bool begun;                       /* what this run sees is shown and compared: the first round is over, or was waited for */
    struct ev_timer begin;
    struct ev_timer keep;             /* writes the last readings now and then */

    struct event_log *log;
    struct live_events_state *events;
    struct live_trends *trends;
    struct live_rows *rows;

    /* One of the two. */
    struct look *look;
    struct live_replay *replay;
    struct live_question *questions;  /* oldest first */
};

/* live.c */
void live_tell(struct live *live, unsigned what);
int64_t live_now(const struct live *live);
void live_touch(struct live *live);          /* a reading has changed: diagnose when it is time */
void live_judge(struct live *live);          /* diagnose here and now; nothing runs beside */
void live_keep_last(struct live *live, size_t node, struct observation *seen); /* moved out of SEEN, for showing */
void live_begin(struct live *live);          /* from now on this run's own data are shown */


/* live_look.c */
int live_look_begin(struct live *live, const struct live_options *options, struct err *err);
void live_look_end(struct live *live);
void live_look_hold(struct live *live, bool hold);
void live_look_describe(struct live *live);  /* phases of the sessions, into live->nodes */

/* live_replay.c */
int live_replay_begin(struct live *live, FILE *file, const char *name, struct err *err);
void live_replay_end(struct live *live);
void live_replay_hold(struct live *live, bool hold);
void live_replay_describe(struct live *live);      /* who is waited for, into live->nodes */
int64_t live_replay_at(const struct live *live);   /* the recording's clock */
int64_t live_replay_line(const struct live *live); /* when the newest line that was taken was seen */
void live_replay_furnish(struct live *live);       /* once the rest of LIVE is there: begin */
bool live_replay_catch_up(struct live *live);      /* take at once all that leads to where it is going; true if there was any */

/* live_rows.c: around a change of a node's readings (the current one or the last one), so that the standing diagnosis never points to rows
 * that are gone. */
void live_rows_before(struct live *live, size_t node);
void live_rows_after(struct live *live, size_t node);
void live_rows_forget(struct live *live); /* no link points to a row until the next diagnosis */
void live_rows_free(struct live_rows *rows);

/* live_events.c */
struct live_events_state *live_events_new(size_t node_count);
void live_events_free(struct live_events_state *state);
/* What differs in the rows: it takes long in a large mesh, and needs nothing of the loop's thread. Before live_events_compare, which else does
 * it itself. */
void live_events_look(struct live_events_state *state, const struct diagnosis *diagnosis, const struct observed *observed);
void live_events_compare(struct live *live, struct diagnosis *diagnosis, const struct observed *observed, enum live_compare how);
void live_events_forget(struct live_events_state *state);      /* time has jumped: all readings are to be looked at anew */
bool live_events_lost(const struct live *live, size_t node);   /* it does not answer */
void live_events_set_lost(struct live *live, size_t node);     /* it did not when it was last looked at */

/* live_trends.c */
struct live_trends *live_trends_new(size_t node_count);
void live_trends_free(struct live_trends *trends);
void live_trends_sample(struct live *live);
void live_trends_rewind(struct live *live, int64_t at); /* forget what is newer than AT */

/* live_state.c */
void live_state_load(struct live *live);
void live_state_save(struct live *live);

#endif
