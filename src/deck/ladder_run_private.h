/* What the files of the ladder's run share (wgdeck/ladder_run.h). */
#ifndef WGDECK_DECK_LADDER_RUN_PRIVATE_H
#define WGDECK_DECK_LADDER_RUN_PRIVATE_H

#include "helper.h"
#include "look_program.h"
#include "wgdeck/ladder_run.h"

/* A node that takes part: as an end, as the hub of others, or both. */
struct run_node {
    struct ladder_run *run;
    size_t index;
    bool wanted, ready;
    struct helper *helper;
    bool asking;
    int64_t heard;                 /* steady; INT64_MIN: not yet */
    char *problem;                 /* safe; why it cannot be asked, or what it said against an order; owned */
    struct key key;
    char interface[IFNAMSIZ];
    struct endpoint candidates[LADDER_CANDIDATES];
    size_t candidate_count;
};

struct run_end {
    struct run_pair *pair;
    size_t index;                  /* 0 or 1 */
    struct ladder_end view;
    bool seen;                     /* its row was asked for at least once */
    unsigned pending;              /* orders that are not answered yet */
};

struct run_pair {
    struct ladder_run *run;
    size_t ends[2], hub;
    struct run_end states[2];
    struct ladder *ladder;
    enum ladder_pair_state state;
    enum ladder_step before;
    bool hub_seen, has_before, leaving; /* leaving: goes back to the hub first */
    int64_t begun, ended, left_at; /* steady */
    char *text;                    /* owned */
    char *refusal;                 /* what an end said against an order; owned */
};

struct ladder_run {
    struct ev_loop *loop;
    const struct mesh *mesh;
    struct ladder_run_options options;
    struct ladder_run_callbacks callbacks;
    void *context;
    struct look_program program;
    struct look *look;
    struct buf names;
    struct run_node *nodes;        /* as mesh->nodes */
    struct run_pair *pairs;
    size_t pair_count;
    struct ev_timer tick;
    bool looked, stopped, over;
};

/* ladder_run_talk.c */
void ladder_run_look(struct ladder_run *run, struct run_node *node);                  /* path-look for all that runs there */
void ladder_run_order(struct run_pair *pair, size_t end, const struct ladder_order *order);

/* ladder_run_pair.c */
void ladder_run_begin(struct run_pair *pair);
void ladder_run_turn(struct run_pair *pair, int64_t now);
void ladder_run_leave(struct run_pair *pair);                                         /* both ends go back to the hub */
void ladder_run_end(struct run_pair *pair, enum ladder_pair_state state, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
