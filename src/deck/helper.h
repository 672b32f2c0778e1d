/* A dialogue with "wgdeck node" on one session: started (and pushed, where it is not), asked, and heard. Private to src/deck. */
#ifndef WGDECK_DECK_HELPER_H
#define WGDECK_DECK_HELPER_H

#include <cjson/cJSON.h>
#include <ev.h>

#include "look_program.h"
#include "wgdeck/fanout.h"

struct helper; /* opaque */

struct helper_events {
    void (*ready)(void *context, struct helper *helper);                    /* it answers; may be NULL: requests wait by themselves */
    void (*lost)(void *context, struct helper *helper, const char *why);    /* could not be started, or has ended; what was asked has failed already. NULL: nobody cares */
};

/* The answer to one request, exactly once: ANSWER (an object with "ok":true, borrowed), or NULL with WHY (safe) and CODE ("locked", "failed", "lost", "late"...). */
typedef void helper_done(void *context, const cJSON *answer, const char *why, const char *code);
typedef void helper_told(void *context, const cJSON *event); /* an {"event":...} line of this request; borrowed */

/* SESSION may still be connecting. PROGRAM must outlive it. */
struct helper *helper_new(struct ev_loop *loop, struct fanout_session *session, const struct look_program *program, const struct helper_events *events, void *context);
/* No more calls. May be called inside one of its own: it is freed when that has returned. */
void helper_free(struct helper *helper);
/* MEMBERS: what stands in the object behind "id", as JSON ("\"op\":\"begin\",..."). SECONDS: until it counts as late; from when it is sent. TOLD may be NULL. */
void helper_ask(struct helper *helper, const char *members, double seconds, helper_done *done, helper_told *told, void *context);
bool helper_is_ready(const struct helper *helper);

#endif
