/* Inside the look: the set (look.c), one node's dialogue (look_node.c), what waits while the look is held (look_hold.c), the program that is
 * pushed (look_program.c). */
#ifndef WGDECK_DECK_LOOK_PRIVATE_H
#define WGDECK_DECK_LOOK_PRIVATE_H

#include "look_program.h"
#include "wgdeck/buf.h"
#include "wgdeck/look.h"

#define LOOK_SALT_SIZE 65

enum look_stage {
    STAGE_IDLE,     /* nothing runs on the node for us */
    STAGE_GREETING, /* the bootstrap runs; its first "wgdeck" line is awaited */
    STAGE_BARE,     /* lines of a bare look come in */
    STAGE_PUSHING,  /* the program goes out */
    STAGE_HELPER,   /* JSON lines, both ways */
};

struct look_node {
    struct look *look;
    size_t index;
    struct fanout_session *session;
    struct fanout_request *request;
    struct ev_timer deadline;  /* of the answer that is awaited */
    struct ev_timer again;     /* the next bare look, when readings are repeated */
    enum look_stage stage;
    bool waiting;              /* has neither answered nor failed yet */
    bool asked;                /* an answer is awaited */
    bool push;                 /* the dialogue in hand may push */
    bool without_root;         /* sudo is refused there: look as who we are */
    bool questioned;           /* someone is asked for its sudo password: no deadline runs */
    unsigned wrong_passwords;
    unsigned crashes;          /* since the last good reading */
    int64_t asked_at;          /* wall clock */
    int64_t heard_at;          /* steady clock: it last said something, or was begun anew */
    uint64_t id;               /* of the newest request to the helper */
    size_t prelude;            /* bytes before the first line of ours */
    size_t pushed;
    char *system;              /* "Linux x86_64" */
    struct buf input;          /* a line that is not whole yet; the whole bare look */
    size_t kept;               /* length of the answer that the standing reading was made of */
    struct buf problem;        /* the end of what came on stderr */
    unsigned turns;            /* grows when its request ends or is replaced */
    bool request_over;         /* the fan-out has ended the request, which is noticed when the look is let go */
    bool refresh_wanted;       /* asked for while held */
    struct look_held *held, **held_end;
    size_t held_bytes;
};

struct look {
    struct ev_loop *loop;
    const struct mesh *mesh;
    struct look_options options;
    struct look_events events;
    void *context;
    struct fanout *fanout;
    struct observed *observed;
    struct look_node *nodes;
    struct look_program program;
    bool has_program;
    bool first_round_told;
    struct ev_timer settled;
    bool is_held;
    size_t held_bytes;         /* of all nodes */
    char salt[LOOK_SALT_SIZE];
};

/* look_node.c */
extern const struct fanout_session_events look_session_events; /* context: struct look_node */
void look_node_begin(struct look_node *node);
void look_node_end(struct look_node *node);
void look_node_refresh(struct look_node *node);
int64_t look_node_silence(const struct look_node *node);

void look_node_set_every(struct look_node *node);
/* What the fan-out told; while held, through look_hold.c. */
void look_node_output(struct look_node *node, struct fanout_request *request, const char *bytes, size_t length);
void look_node_done(struct look_node *node, struct fanout_request *request, int status, const char *why);
void look_node_open(struct look_node *node, struct fanout_session *session);
void look_node_failed(struct look_node *node, struct fanout_session *session, enum fanout_failure failure, const char *why);
void look_node_too_much(struct look_node *node); /* more came in while held than may be kept */

/* look_hold.c */
enum look_held_kind { HELD_OUTPUT, HELD_DONE, HELD_OPEN, HELD_FAILED };
struct look_held {
    enum look_held_kind kind;
    struct fanout_request *request; /* to be compared, never followed */
    struct fanout_session *session;
    int status;
    enum fanout_failure failure;
    struct buf bytes;               /* of the output */
    bool too_much;
    char *why;
    struct look_held *next;
};
struct look_held *look_held_add(struct look_node *node, enum look_held_kind kind, const char *why);
void look_held_output(struct look_node *node, struct fanout_request *request, const char *bytes, size_t length);
void look_held_drop_request(struct look_node *node); /* what waits of its request is of no use any more */
void look_held_drop(struct look_node *node);

/* look.c: NODE's observation is about to change. */
void look_node_changing(struct look_node *node, bool lost);
/* look.c: NODE has a new reading, or has failed. */
void look_node_changed(struct look_node *node);

#endif
