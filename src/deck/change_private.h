/* The inside of a change: change.c (its life and its phases), change_keys.c (keys that are learned and made), change_steps.c (what is asked of nodes), change_verify.c (both ends of links, over
 * fresh connections), change_rotate.c (one node's key after the other), change_report.c. Private to src/deck. */
#ifndef WGDECK_DECK_CHANGE_PRIVATE_H
#define WGDECK_DECK_CHANGE_PRIVATE_H

#include "helper.h"
#include "wgdeck/change.h"

#define BOX_TEXT_MOST 64       /* base64 of 32 bytes is 44 */
#define SEALED_TEXT_MOST 256   /* base64 of a sealed key is 108 */

enum change_end { END_NONE, END_OLD, END_NEW, END_GUARDED, END_UNKNOWN }; /* in which state a node is, when all is over */

/* A preshared key that goes from its maker to its taker: only sealed. */
struct change_sealed {
    size_t from, to;
    char text[SEALED_TEXT_MOST];
};

/* One link, judged by both ends. */
struct change_link {
    size_t a, b;               /* a < b */
    bool is_new;               /* has to come about; else it is told when it does not */
    bool ok[2];                /* by a, by b */
    char *why[2];              /* owned */
};

struct change_actor {
    struct change *change;
    size_t index;
    bool takes_part;           /* has operations */
    bool begun, staged, finished, confirmed, reverted;
    bool verifies;
    unsigned wanted;           /* answers that the phase waits for */
    struct helper *helper;     /* over the session of the look */
    struct fanout_session *fresh;
    struct helper *verifier;   /* over the fresh one */
    bool has_next;
    struct key next_key;
    char box[BOX_TEXT_MOST];
    enum change_end end;
    char *warning;             /* of confirm, verify; owned */
};

struct change {
    bool *only;                 /* per node, from the pattern of look_options: only these are changed; NULL: all */
    struct ev_loop *loop;
    struct change_options options;
    struct change_callbacks callbacks;
    void *context;
    struct conf *conf;
    struct mesh *mesh;
    struct look *look;
    struct desired *desired;
    struct plan *plan;
    enum change_phase phase;
    enum change_result result;
    struct change_node *nodes;
    struct change_actor *actors;
    struct change_sealed *sealed;
    size_t sealed_count;
    struct change_link *links;
    size_t link_count;
    size_t waiting;            /* answers that the phase waits for */
    bool failed;               /* in this phase: it goes back when all have answered */
    bool go, stopped;
    bool touched;              /* a node was told to change something, whatever came of it */
    unsigned relooks;          /* how often it has been planned anew */
    bool recovered;            /* a node has put back what an earlier change had left: what was planned is not for what is there now */
    size_t relooking;          /* readings that the new plan waits for */
    char id[17];
    char *owner;
    struct buf story;          /* what went wrong, a line each; and warnings */
    struct ev_prepare turn;    /* tells of progress once a turn */
    struct ev_timer later;     /* the next step, outside of anybody's call */
    bool dirty;
    size_t rotating;           /* the node whose key is rotated; SIZE_MAX */
    size_t rotated;            /* how many are done */
    struct plan *rotation;     /* its plan, in the place of plan */
};

/* change.c */
void change_touch(struct change *change);
void change_wait(struct change *change);                       /* one answer more */
void change_answered(struct change *change);                   /* the last one: the next phase, or the way back */
void change_say(struct change *change, size_t node, const char *format, ...) __attribute__((format(printf, 3, 4))); /* NODE SIZE_MAX: of none */
void change_node_text(struct change *change, size_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void change_node_failed(struct change *change, size_t node, const char *format, ...) __attribute__((format(printf, 3, 4))); /* and the phase with it */
struct plan *change_working_plan(struct change *change);
void change_end(struct change *change, enum change_result result);
void change_close_actors(struct change *change);               /* all helpers and fresh sessions */

/* change_steps.c: each asks all that take part, and counts what it waits for */
void change_step_lock(struct change *change);
void change_make_preshared(struct change *change);
void change_step_stage(struct change *change);
void change_step_finish(struct change *change);
void change_step_confirm(struct change *change);
void change_step_revert(struct change *change);

/* change_keys.c */
bool change_learn_keys(struct change *change);                 /* into operations and the mesh file; false: failed, said */
bool change_file_confirmed(struct change *change);             /* what is to stand in the file with the change: leaving nodes, rotated keys */
void change_log_rotated(struct change *change, size_t node);
void change_log_result(struct change *change);                 /* who did what where, and what came of it */

/* change_verify.c */
void change_open_fresh(struct change *change);
void change_verify(struct change *change);
void change_links_free(struct change *change);

/* change_rotate.c */
bool change_rotation_next(struct change *change);              /* begins the next node's; false: all are done */
bool change_rotation_plan(struct change *change);              /* when all have begun; false: failed, said */
void change_rotation_over(struct change *change);

#endif
