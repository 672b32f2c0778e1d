/* The thread that diagnoses beside the loop: asked for one run at a time, answers by ev_async. */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/log.h"

/* The counters of a large mesh take long to copy: that is done here as well. */
static struct diagnosis *judge(struct live_worker *worker)
{
    history_add(worker->history, worker->now, worker->at);
    const struct counters *before = history_before(worker->history, worker->at);
    worker->whole = false;
    if (worker->earlier && worker->update) {
        struct diagnosis *copy = diagnosis_copy(worker->earlier);
        if (diagnosis_refresh(copy, worker->mesh, worker->now, before))
            return copy;
        diagnosis_free(copy);
    }
    worker->whole = true;
    return diagnose_after(worker->earlier, worker->mesh, worker->now, before);
}

static struct diagnosis *find_answer(struct live_worker *worker)
{
    struct diagnosis *answer = judge(worker);
    if (worker->events)
        live_events_look(worker->events, answer, worker->now);
    return answer;
}

static void *work(void *argument)
{
    struct live_worker *worker = argument;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (worker->state != WORKER_ASKED && worker->state != WORKER_ENDS)
            pthread_cond_wait(&worker->turn, &worker->lock);
        if (worker->state == WORKER_ENDS)
            break;
        pthread_mutex_unlock(&worker->lock);
        int64_t began = clock_steady();
        struct diagnosis *answer = find_answer(worker);
        pthread_mutex_lock(&worker->lock);
        worker->seconds = (double)(clock_steady() - began) / (double)CLOCK_SECOND;
        worker->answer = answer;
        worker->state = WORKER_ANSWERED;
        pthread_cond_broadcast(&worker->turn);
        ev_async_send(worker->loop, worker->answered);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

void live_worker_begin(struct live_worker *worker, struct ev_loop *loop, struct ev_async *answered)
{
    sigset_t all, old;
    mallopt(M_ARENA_MAX, 1); /* what one thread makes the other frees: two arenas would each keep a diagnosis of a large mesh in pieces */
    worker->loop = loop;
    worker->answered = answered;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->turn, NULL);
    sigfillset(&all); /* signals are the loop's business */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        log_error("no thread can be made: %s", strerror(error));
        abort();
    }
}

void live_worker_end(struct live_worker *worker)
{
    double seconds;
    bool whole;
    diagnosis_free(live_worker_take(worker, true, &seconds, &whole));
    pthread_mutex_lock(&worker->lock);
    worker->state = WORKER_ENDS;
    pthread_cond_broadcast(&worker->turn);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->turn);
    pthread_mutex_destroy(&worker->lock);
}

void live_worker_ask(struct live_worker *worker, const struct mesh *mesh, const struct observed *now, struct history *history, int64_t at,
                     const struct diagnosis *earlier, bool update, struct live_events_state *events)
{
    pthread_mutex_lock(&worker->lock);
    worker->mesh = mesh;
    worker->now = now;
    worker->history = history;
    worker->at = at;
    worker->earlier = earlier;
    worker->update = update;
    worker->events = events;
    worker->state = WORKER_ASKED;
    pthread_cond_broadcast(&worker->turn);
    pthread_mutex_unlock(&worker->lock);
}

struct diagnosis *live_worker_take(struct live_worker *worker, bool wait, double *seconds, bool *whole)
{
    struct diagnosis *answer = NULL;
    pthread_mutex_lock(&worker->lock);
    while (wait && worker->state == WORKER_ASKED)
        pthread_cond_wait(&worker->turn, &worker->lock);
    if (worker->state == WORKER_ANSWERED) {
        answer = worker->answer;
        *seconds = worker->seconds;
        *whole = worker->whole;
        worker->answer = NULL;
        worker->state = WORKER_IDLE;
    }
    pthread_mutex_unlock(&worker->lock);
    return answer;
}
