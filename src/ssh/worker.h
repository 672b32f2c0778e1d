/* A few threads for what may block: name lookups, agents, private keys. Results come back on the loop's thread. */
#ifndef WGDECK_SSH_WORKER_H
#define WGDECK_SSH_WORKER_H

#include <ev.h>
#include <stdbool.h>

struct worker_pool;

/* The first member of what a job works on. WORK runs in a thread; then, on the loop's thread, DONE, or DROP when it was
 * abandoned. When the pool has gone DROP runs in the thread. DONE and DROP own the job. */
struct worker_job {
    void (*work)(struct worker_job *job);
    void (*done)(struct worker_job *job);
    void (*drop)(struct worker_job *job);
    bool abandoned;
    struct worker_job *next;
};

struct worker_pool *worker_pool_new(struct ev_loop *loop, unsigned threads);
void worker_pool_free(struct worker_pool *pool); /* does not wait: a running job is dropped when it ends */
void worker_run(struct worker_pool *pool, struct worker_job *job);
void worker_abandon(struct worker_job *job);     /* loop's thread only; nobody hears of the job again */

#endif
