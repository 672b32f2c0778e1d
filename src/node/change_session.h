/* What one helper keeps of the change that was begun over its channel. Private to the change_*.c that answer requests. */
#ifndef WGDECK_NODE_CHANGE_SESSION_H
#define WGDECK_NODE_CHANGE_SESSION_H

#include "change.h"

struct change_session {
    struct server *server;
    char id[CHANGE_ID_LENGTH + 1], name[IFNAMSIZ];
    char *owner;
    int lock, guard;                    /* descriptors; guard -1: nothing is staged */
    int64_t deadline;                   /* of the guard, clock_steady */
    struct change_secrets *secrets;
    struct plan_operation *operations;  /* once staged */
    size_t operation_count;
    ev_timer idle;                      /* begun, and then no request */
    ev_io guard_end;
    struct change_wait *wait;           /* change_finish.c: a finish that waits for handshakes; NULL none */
};

/* The session of the request's change, with its lock held; else the request is refused and NULL. STAGED: it must be, or must not be. */
struct change_session *change_session_of(struct server *server, const cJSON *request, bool staged);
/* From now on the guard's end is noticed. */
void change_session_guarded(struct change_session *session, int guard);
/* The journal is gone: waits for the guard's end, and holds the lock again. False: somebody else has it now. */
bool change_session_unguarded(struct change_session *session);
struct state_keys *change_session_keys(const struct change_session *session, const struct plan_operation *operations, size_t count, struct err *err); /* guarded: sodium_free */
void change_session_drop_operations(struct change_session *session);

void change_stage(struct server *server, const cJSON *request);
void change_finish(struct server *server, const cJSON *request);
void change_wait_end(struct change_session *session, const char *why); /* the waiting request is refused; WHY NULL: nobody is there to be told */

#endif
