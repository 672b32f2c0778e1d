/* The live mesh: the picture, and when it is made anew. Readings come in on the loop's thread; a diagnosis runs beside it and, while it does,
 * readings wait where they come from (live_look_hold, live_replay_hold). */
#include "wgdeck/live.h"

#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

#define CHEAP 0.05               /* of the interval: such a diagnosis may follow at once */
#define SHARE 0.15               /* of the time that diagnosing may take, where it is not cheap */
#define PATIENCE 1.5             /* seconds that nodes may take before those that answered are shown without them */
#define UPDATES_MOST 10          /* then the evidence of faults is made anew as well */
#define KEEP_EVERY 180.0         /* seconds between two writings of the last readings */

void live_tell(struct live *live, unsigned what)
{
    if (live->callbacks.changed && !live->silent)
        live->callbacks.changed(live->context, what);
}

int64_t live_now(const struct live *live)
{
    return live->replay ? live_replay_at(live) : clock_wall();
}

/* When to diagnose */

static double seconds_since(int64_t then)
{
    return (double)(clock_steady() - then) / (double)CLOCK_SECOND;
}

static void hold(struct live *live, bool on)
{
    if (live->look)
        live_look_hold(live, on);
    if (live->replay)
        live_replay_hold(live, on);
}

/* Seconds until the next diagnosis may begin. */
static double wait_left(const struct live *live)
{
    if (live->fresh)
        return 0;
    if (live->cost < CHEAP * live_interval(live))
        return LIVE_GAP - seconds_since(live->run_began);
    double gap = live->cost * (1 - SHARE) / SHARE, room = live_interval(live) - live->cost;
    if (gap > room) /* what is broken has to be on the screen within one interval */
        gap = room;
    return (gap > LIVE_GAP ? gap : LIVE_GAP) - seconds_since(live->run_ended);
}

static void schedule(struct live *live)
{
    if (live->running || !live->dirty || ev_is_active(&live->due))
        return;
    double left = wait_left(live);
    ev_now_update(live->loop);
    ev_timer_set(&live->due, left > 0 ? left : 0, 0);
    ev_timer_start(live->loop, &live->due);
}

void live_touch(struct live *live)
{
    live->dirty = true;
    schedule(live);
}

/* The clock of the history. */
static int64_t time_of_readings(const struct live *live)
{
    return live->replay ? live_replay_line(live) : clock_steady();
}

static enum live_compare how_to_compare(struct live *live)
{
    if (!live->begun)
        return COMPARE_SINCE;
    bool quietly = live->compare_quietly;
    live->compare_quietly = false;
    return quietly ? COMPARE_REMEMBER : COMPARE_EVENTS;
}

static void start_run(struct live *live)
{
    ev_timer_stop(live->loop, &live->due);
    live->dirty = live->fresh = false;
    live->running = true;
    live->run_began = clock_steady();
    hold(live, true);
    const struct diagnosis *earlier = live->compare_quietly ? NULL : live->diagnosis;
    bool update = live->whole_cost >= CHEAP * live_interval(live) && live->updates < UPDATES_MOST;
    live->how = how_to_compare(live);
    live_worker_ask(&live->worker, live->mesh, live->observed, live->history, time_of_readings(live), earlier, update,
                    live->how == COMPARE_SINCE ? NULL : live->events);
}

static void publish(struct live *live, struct diagnosis *diagnosis)
{
    uint64_t events = event_log_total(live->log);
    live_events_compare(live, diagnosis, live->observed, live->how);
    diagnosis_free(live->diagnosis);
    live->diagnosis = diagnosis;
    live->number++;
    live_trends_sample(live);
    live_tell(live, LIVE_PICTURE | (event_log_total(live->log) != events ? LIVE_EVENTS : 0));
}

static void finish_run(struct live *live, bool wait)
{
    bool whole;
    struct diagnosis *diagnosis = live_worker_take(&live->worker, wait, &live->cost, &whole);
    if (!diagnosis)
        return;
    live->updates = whole ? 0 : live->updates + 1;
    if (whole)
        live->whole_cost = live->cost;
    live->run_ended = clock_steady();
    publish(live, diagnosis);
    live->running = false;
    hold(live, false); /* what waited comes in, and may ask for the next run */
    schedule(live);
}

static void on_answered(struct ev_loop *loop, struct ev_async *async, int events)
{
    (void)loop, (void)events;
    struct live *live = async->data;
    if (live->running)
        finish_run(live, false);
}

static void on_due(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct live *live = timer->data;
    if (!live->running && live->dirty)
        start_run(live);
}

void live_judge(struct live *live)
{
    live->dirty = live->fresh = false;
    live->run_began = clock_steady();
    const struct diagnosis *earlier = live->compare_quietly ? NULL : live->diagnosis;
    live->how = how_to_compare(live);
    int64_t at = time_of_readings(live);
    history_add(live->history, live->observed, at);
    struct diagnosis *diagnosis = diagnose_after(earlier, live->mesh, live->observed, history_before(live->history, at));
    live->run_ended = clock_steady();
    live->cost = (double)(live->run_ended - live->run_began) / (double)CLOCK_SECOND;
    publish(live, diagnosis);
}

void live_settle(struct live *live)
{
    do {
        while (live->running || live->dirty) {
            if (!live->running)
                start_run(live);
            finish_run(live, true);
        }
    } while (live->replay && live_replay_catch_up(live));
}

/* From last known data to this run's own */

void live_keep_last(struct live *live, size_t node, struct observation *seen)
{
    uint64_t serial = seen->serial;
    observation_clear(&live->last[node]);
    live->last[node] = *seen;
    *seen = (struct observation){0};
    observation_clear(seen); /* the members whose "unknown" is not zero */
    seen->serial = serial + 1;
}

static void drop_old(struct live *live)
{
    diagnosis_free(live->old_diagnosis);
    live->old_diagnosis = NULL;
    for (size_t i = 0; live->old_observed && i < live->mesh->node_count; i++)
        if (live->observed->nodes[i].reach != REACH_OK && live->last[i].reach != REACH_OK) {
            live->last[i] = live->old_observed->nodes[i];
            live->old_observed->nodes[i] = (struct observation){0};
        }
    if (live->old_observed)
        observed_free(live->old_observed);
    live->old_observed = NULL;
}

void live_begin(struct live *live)
{
    if (live->begun)
        return;
    live->begun = true;
    ev_timer_stop(live->loop, &live->begin);
    drop_old(live);
    live_tell(live, LIVE_PICTURE);
    live_touch(live);
}

static void on_begin(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct live *live = timer->data;
    (void)loop, (void)events;
    for (size_t i = 0; i < live->mesh->node_count; i++)
        if (live->observed->nodes[i].reach == REACH_OK) {
            live_begin(live);
            return;
        }
}

static void on_keep(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    live_state_save(timer->data);
}

/* Beginning and end */

static struct live *make(struct ev_loop *loop, const struct live_callbacks *callbacks, void *context)
{
    struct live *live = mem_alloc(1, sizeof *live);
    live->loop = loop;
    live->callbacks = *callbacks;
    live->context = context;
    live->interval = LIVE_INTERVAL_DEFAULT;
    live->fresh = true;
    live->history = history_new();
    ev_async_init(&live->answered, on_answered);
    ev_timer_init(&live->due, on_due, 0, 0);
    ev_timer_init(&live->begin, on_begin, PATIENCE, PATIENCE / 6);
    ev_timer_init(&live->keep, on_keep, KEEP_EVERY, KEEP_EVERY);
    live->answered.data = live->due.data = live->begin.data = live->keep.data = live;
    return live;
}

/* What depends on the size of the mesh. Called as soon as it is known. */
static void furnish(struct live *live)
{
    size_t count = live->mesh->node_count;
    live->nodes = mem_alloc(count, sizeof *live->nodes);
    live->last = mem_alloc(count, sizeof *live->last);
    live->events = live_events_new(count);
    live->trends = live_trends_new(count);
    ev_async_start(live->loop, &live->answered);
    ev_unref(live->loop); /* it waits for nothing by itself */
    live_worker_begin(&live->worker, live->loop, &live->answered);
}

static void deck_event(struct live *live, enum event_kind kind, const char *text)
{
    char none[] = "", *copy = mem_text(text);
    event_log_add(live->log, &(struct event){
        .at = live_now(live), .kind = kind, .severity = event_kinds[kind].severity, .nodes = {none, none}, .text = copy, .times = 1});
    free(copy);
}

static void prepare_state(struct live *live, const char *state)
{
    struct err err;
    char *path = NULL;
    if (state && !file_make_folders(state, 0700, &err)) {
        live->state = mem_text(state);
        path = mem_format("%s/events.jsonl", state);
    }
    live->log = event_log_new(path);
    free(path);
}

struct live *live_new(struct ev_loop *loop, const struct mesh *mesh, const struct live_options *options,
                      const struct live_callbacks *callbacks, void *context, struct err *err)
{
    struct live *live = make(loop, callbacks, context);
    live->mesh = mesh;
    if (options->look.every > 0)
        live->interval = options->look.every;
    prepare_state(live, options->state);
    if (live_look_begin(live, options, err)) {
        event_log_free(live->log);
        history_free(live->history);
        free(live->state);
        free(live);
        return NULL;
    }
    furnish(live);
    live->diagnosis = diagnose(mesh, live->observed, NULL);
    live_state_load(live);
    deck_event(live, EVENT_DECK_OPENED, "the deck was opened");
    ev_timer_start(loop, &live->begin);
    if (live->state) {
        ev_timer_start(loop, &live->keep);
        ev_unref(loop);
    }
    live_touch(live);
    return live;
}

struct live *live_replay(struct ev_loop *loop, FILE *file, const char *name, const struct live_callbacks *callbacks, void *context, struct err *err)
{
    struct live *live = make(loop, callbacks, context);
    if (live_replay_begin(live, file, name, err)) {
        history_free(live->history);
        free(live);
        return NULL;
    }
    live->log = event_log_new(NULL);
    furnish(live);
    live->diagnosis = diagnose(live->mesh, live->observed, NULL);
    live_replay_furnish(live);
    return live;
}

void live_free(struct live *live)
{
    if (!live)
        return;
    struct ev_loop *loop = live->loop;
    live->callbacks = (struct live_callbacks){0};
    live_worker_end(&live->worker);
    ev_ref(loop);
    ev_async_stop(loop, &live->answered);
    ev_timer_stop(loop, &live->due);
    ev_timer_stop(loop, &live->begin);
    if (ev_is_active(&live->keep)) {
        ev_ref(loop);
        ev_timer_stop(loop, &live->keep);
    }
    if (live->look) {
        live_state_save(live);
        deck_event(live, EVENT_DECK_CLOSED, "the deck was closed");
    }
    drop_old(live);
    diagnosis_free(live->diagnosis);
    for (size_t i = 0; i < live->mesh->node_count; i++)
        observation_clear(&live->last[i]);
    event_log_free(live->log);
    live_events_free(live->events);
    live_trends_free(live->trends);
    live_rows_free(live->rows);
    history_free(live->history);
    live_look_end(live);
    live_replay_end(live);
    free(live->last);
    free(live->nodes);
    free(live->state);
    free(live);
}

/* Pictures */

static void describe(struct live *live)
{
    for (size_t i = 0; i < live->mesh->node_count; i++) {
        const struct observation *now = live->old_observed ? &live->old_observed->nodes[i] : &live->observed->nodes[i];
        const struct observation *last = live->last[i].reach == REACH_OK ? &live->last[i] : NULL;
        const struct observation *good = now->reach == REACH_OK ? now : last;
        live->nodes[i] = (struct live_node){.seen_at = good ? good->at : 0, .last = good == now ? NULL : last};
    }
    if (live->look)
        live_look_describe(live);
    if (live->replay)
        live_replay_describe(live);
}

struct live_picture live_picture(const struct live *live)
{
    bool old = live->old_diagnosis != NULL;
    describe((struct live *)(uintptr_t)live); /* what it fills is the loop thread's scratch */
    return (struct live_picture){
        .mesh = live->mesh,
        .observed = old ? live->old_observed : live->observed,
        .diagnosis = old ? live->old_diagnosis : live->diagnosis,
        .nodes = live->nodes,
        .now = live_now(live),
        .old = old,
        .number = live->number,
    };
}

const struct event_log *live_events(const struct live *live)
{
    return live->log;
}

double live_interval(const struct live *live)
{
    return live->interval > 0 ? live->interval : LIVE_INTERVAL_DEFAULT;
}

bool live_is_replay(const struct live *live)
{
    return live->replay != NULL;
}
