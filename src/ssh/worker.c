/* Worker threads (worker.h): started when there is work for them, detached, so that one stuck in a name lookup delays no exit. */
#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "wgdeck/mem.h"

enum { STACK_SIZE = 512 * 1024 }; /* name service modules want some room */

struct list {
    struct worker_job *first, **last;
};

struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ev_loop *loop;
    struct ev_async finished_signal;
    struct list waiting, finished;
    unsigned threads, idle, most;
    bool closed; /* the loop is not to be touched any more; the last thread frees the pool */
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct list *list, struct worker_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static struct worker_job *list_take(struct list *list)
{
    struct worker_job *job = list->first;
    if (job) {
        list->first = job->next;
        if (!list->first)
            list->last = &list->first;
    }
    return job;
}

static void pool_release(struct worker_pool *pool)
{
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    free(pool);
}

static void *thread_main(void *argument)
{
    struct worker_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closed) {
        struct worker_job *job = list_take(&pool->waiting);
        if (!job) {
            pool->idle++;
            pthread_cond_wait(&pool->wake, &pool->lock);
            pool->idle--;
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        job->work(job);
        pthread_mutex_lock(&pool->lock);
        if (pool->closed) {
            pthread_mutex_unlock(&pool->lock);
            job->drop(job);
            pthread_mutex_lock(&pool->lock);
            break;
        }
        list_add(&pool->finished, job);
        ev_async_send(pool->loop, &pool->finished_signal);
    }
    bool last = --pool->threads == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        pool_release(pool);
    return NULL;
}

static void finished(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    (void)loop, (void)events;
    struct worker_pool *pool = watcher->data;
    pthread_mutex_lock(&pool->lock);
    struct worker_job *job = pool->finished.first;
    list_init(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    while (job) {
        struct worker_job *next = job->next;
        if (job->abandoned)
            job->drop(job);
        else
            job->done(job);
        job = next;
    }
}

struct worker_pool *worker_pool_new(struct ev_loop *loop, unsigned threads)
{
    struct worker_pool *pool = mem_alloc(1, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    list_init(&pool->waiting);
    list_init(&pool->finished);
    pool->loop = loop;
    pool->most = threads;
    ev_async_init(&pool->finished_signal, finished);
    pool->finished_signal.data = pool;
    ev_async_start(loop, &pool->finished_signal);
    ev_unref(loop); /* a pool that idles keeps no loop alive */
    return pool;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return;
    ev_ref(pool->loop);
    ev_async_stop(pool->loop, &pool->finished_signal);
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    struct worker_job *job;
    while ((job = list_take(&pool->waiting)) || (job = list_take(&pool->finished)))
        job->drop(job);
    bool last = pool->threads == 0;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    if (last)
        pool_release(pool);
}

static bool start_thread(struct worker_pool *pool)
{
    sigset_t all, old;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's */
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    bool started = pthread_create(&thread, &attributes, thread_main, pool) == 0;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

void worker_run(struct worker_pool *pool, struct worker_job *job)
{
    pthread_mutex_lock(&pool->lock);
    list_add(&pool->waiting, job);
    if (pool->idle)
        pthread_cond_signal(&pool->wake);
    /* idle threads may already have been woken for earlier jobs: one more than needed is cheap, one less waits */
    if (pool->threads < pool->most && start_thread(pool))
        pool->threads++;
    bool alone = pool->threads == 0;
    if (alone)
        list_take(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    if (!alone)
        return;
    job->work(job); /* no thread can be had: slow is better than never */
    pthread_mutex_lock(&pool->lock);
    list_add(&pool->finished, job);
    pthread_mutex_unlock(&pool->lock);
    ev_async_send(pool->loop, &pool->finished_signal);
}

void worker_abandon(struct worker_job *job)
{
    job->abandoned = true;
}
