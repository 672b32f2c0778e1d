/* A name and a port become a connected socket: looked up off the loop's thread, v6 and v4 raced. */
#ifndef WGDECK_SSH_DIAL_H
#define WGDECK_SSH_DIAL_H

#include <ev.h>

#include "wgdeck/fanout.h"
#include "worker.h"

struct dial;

struct dial_events {
    void (*resolved)(void *context); /* connecting begins */
    /* Over, one of these; the dial is freed after it. DESCRIPTOR is non-blocking, close-on-exec, without delay, and the callee's. */
    void (*connected)(void *context, int descriptor, const char *address);
    void (*failed)(void *context, enum fanout_failure failure, bool passing, const char *why);
};

/* FAMILY: AF_UNSPEC, AF_INET or AF_INET6. Events never come from inside this call. */
struct dial *dial_start(struct ev_loop *loop, struct worker_pool *pool, const char *host, unsigned port, int family,
                        const struct dial_events *events, void *context);
void dial_cancel(struct dial *dial);              /* frees; NULL is fine */
const char *dial_address(const struct dial *dial); /* the address tried now, for messages; NULL before */

#endif
