/* One join that is under way, and its steps (join_steps.c, join_keep.c). Private to src/node/join.c and those. */
#ifndef WGDECK_NODE_JOIN_STEPS_H
#define WGDECK_NODE_JOIN_STEPS_H

#include "join_parts.h"

/* Seconds. */
#define JOIN_BEGIN 20.
#define JOIN_ASK 60.
#define JOIN_STAGE 60.
#define JOIN_FINISH 40.
#define JOIN_CHECK 20.
#define JOIN_CONFIRM 40.
#define JOIN_KEEP 30.
#define JOIN_GIVE_UP 15.
#define JOIN_REVERT 40.

struct join {
    const struct join_options *options;
    char id[CHANGE_ID_LENGTH + 1];            /* of the helper's change */
    char interface[IFNAMSIZ];
    uint16_t port;
    struct join_machine machine;
    struct join_trace trace;
    struct join_talk hub, helper;
    struct join_answer answer;
    struct key own;                           /* public */
    char box[KEY_TEXT_SIZE];
    bool resumed;                             /* an earlier try with this invitation has made the interface */
    bool traced, begun, staged, confirmed, let_in, kept;
    int64_t guard_until;                      /* clock_steady: the hub's guard has ended by then */
};

/* What a step returns beside 0 and -1. */
enum { JOIN_STEP_ALREADY = 1, JOIN_STEP_OTHER, JOIN_STEP_UNKNOWN };

int join_step_look(struct join *join, struct err *err);
int join_step_log_in(struct join *join, struct err *err);
int join_step_key(struct join *join, struct err *err);
int join_step_ask(struct join *join, struct err *err);
int join_step_stage(struct join *join, struct err *err);
int join_step_verify(struct join *join, struct err *err);
int join_step_keep(struct join *join, struct err *err);

/* Of an earlier try: is its hub there at the other end of the tunnel? */
bool join_hub_answers(struct join *join);

void join_say(const struct join *join, bool warning, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* OPERATION of the helper's change; MORE: members, may be NULL. */
cJSON *join_local(struct join *join, const char *operation, const char *more, double seconds, struct err *err);

#endif
