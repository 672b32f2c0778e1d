/* The live mesh from a recording: its clock, and the ways through it. Lines are taken in slices that a key press does not notice; on the way to
 * another moment a small mesh is diagnosed as it was on the way, so that events and trends are whole. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define SLICE (6 * CLOCK_MILLISECOND)
#define MARK_EVERY (10 * CLOCK_SECOND)
enum {
    MARKS = 48,
    MARKS_ROWS = 30000,      /* rows that all marks together may keep */
    SMALL_ROWS = 2500,       /* a mesh up to here is diagnosed also on the way */
    TAIL = 1024,
};

struct mark {
    struct recording_mark place;
    int64_t at;
    struct observed *observed;
};

struct live_replay {
    FILE *file;
    struct recording *recording;
    int64_t start, end;
    int64_t first;            /* when the first round was over */
    int64_t line;             /* the newest line taken */
    int64_t base, base_steady; /* it was BASE on the recording's clock when it was BASE_STEADY here */
    double speed;
    bool paused, at_end, held, first_round;
    bool can_seek;
    uint64_t forgot;          /* number of the diagnosis whose rows were forgotten */
    int64_t wanted;           /* a moment that was asked for while readings may not change; 0: none */
    int64_t target;           /* going there as fast as it can be read; 0: playing */
    int64_t judged;           /* on the way: when it was last diagnosed */
    int64_t *seen_at;         /* per node: its last line */
    char *problem;
    struct ev_timer timer;
    struct recording_mark beginning;
    struct mark marks[MARKS]; /* in order of time */
    size_t mark_count;
    int64_t mark_every;
};

/* The clock */

static int64_t position(const struct live_replay *replay)
{
    if (replay->paused || replay->at_end || replay->target || replay->first_round)
        return replay->base;
    double passed = (double)(clock_steady() - replay->base_steady) * replay->speed;
    int64_t at = passed < 9e18 - (double)replay->base ? replay->base + (int64_t)passed : INT64_MAX;
    return replay->end && at > replay->end ? replay->end : at;
}

static void set_position(struct live_replay *replay, int64_t at)
{
    replay->base = at;
    replay->base_steady = clock_steady();
}

int64_t live_replay_at(const struct live *live)
{
    return position(live->replay);
}

/* While the first readings are taken: who has none yet is waited for. */
void live_replay_describe(struct live *live)
{
    for (size_t i = 0; live->replay->first_round && i < live->mesh->node_count; i++)
        live->nodes[i].waiting = live->replay->seen_at[i] == 0;
}

int64_t live_replay_line(const struct live *live)
{
    return live->replay->line;
}

static void wake(struct live *live, double seconds)
{
    struct live_replay *replay = live->replay;
    ev_timer_stop(live->loop, &replay->timer);
    ev_now_update(live->loop);
    ev_timer_set(&replay->timer, seconds > 0 ? seconds : 0, 0);
    ev_timer_start(live->loop, &replay->timer);
}

/* Marks: places to go back to, the fewer the longer the recording is. */

static size_t count_rows(const struct observed *observed)
{
    size_t rows = 0;
    for (size_t i = 0; i < observed->node_count; i++)
        for (size_t k = 0; k < observed->nodes[i].device_count; k++)
            rows += observed->nodes[i].devices[k].peer_count;
    return rows;
}

static bool is_small(const struct live *live)
{
    return live->mesh->node_count <= 100 && count_rows(live->observed) <= SMALL_ROWS;
}

static void drop_mark(struct live_replay *replay, size_t index)
{
    observed_free(replay->marks[index].observed);
    memmove(&replay->marks[index], &replay->marks[index + 1], (--replay->mark_count - index) * sizeof replay->marks[0]);
}

static void leave_mark(struct live *live)
{
    struct live_replay *replay = live->replay;
    int64_t last = replay->mark_count ? replay->marks[replay->mark_count - 1].at : replay->first;
    if (replay->first_round || replay->line < last || replay->line - last < replay->mark_every)
        return;
    size_t rows = count_rows(live->observed), most = rows ? MARKS_ROWS / rows : MARKS;
    if (most < 4)
        return;
    if (most > MARKS)
        most = MARKS;
    if (replay->mark_count >= most) { /* every second one goes */
        for (size_t i = replay->mark_count; i-- > 0;)
            if (i % 2 == 0)
                drop_mark(replay, i);
        replay->mark_every *= 2;
        return;
    }
    replay->marks[replay->mark_count++] =
        (struct mark){recording_mark(replay->recording), replay->line, observed_copy(live->observed)};
}

/* Taking lines */

static void stop_at(struct live *live, const char *problem)
{
    struct live_replay *replay = live->replay;
    free(replay->problem);
    replay->problem = mem_text(problem);
    int64_t at = problem ? replay->line : replay->end;
    if (at < replay->line)
        at = replay->line;
    set_position(replay, at);
    replay->at_end = true;
    replay->target = 0;
    replay->first_round = false;
    if (!replay->first)
        replay->first = replay->line;
    live->compare_quietly |= !live->begun;
    live->begun = true;
}

static void measure_interval(struct live *live, size_t node, int64_t at)
{
    struct live_replay *replay = live->replay;
    double seconds = (double)(at - replay->seen_at[node]) / (double)CLOCK_SECOND;
    if (replay->seen_at[node] && live->interval == 0 && seconds >= 0.2 && seconds <= 3600)
        live->interval = seconds;
}

static void forget_rows(struct live *live)
{
    if (live->replay->forgot == live->number + 1)
        return;
    live->replay->forgot = live->number + 1;
    live_rows_forget(live);
}

/* A reading that is about to be followed by a failure is kept for showing. */
static bool take_line(struct live *live, int64_t at, bool relink, struct err *err)
{
    struct live_replay *replay = live->replay;
    bool whole;
    size_t node = recording_next_node(replay->recording, &whole);
    if (node == SIZE_MAX)
        return recording_next(replay->recording, err) > 0;
    struct observation *seen = &((struct observed *)(uintptr_t)live->observed)->nodes[node];
    if (relink)
        live_rows_before(live, node);
    else
        forget_rows(live);
    if (whole && seen->reach == REACH_OK)
        live_keep_last(live, node, seen);
    bool good = recording_next(replay->recording, err) > 0;
    if (seen->reach == REACH_OK)
        observation_clear(&live->last[node]);
    if (relink)
        live_rows_after(live, node);
    replay->seen_at[node] = at;
    replay->line = at > replay->line ? at : replay->line;
    if (replay->target || is_small(live)) /* else each diagnosis adds its own, beside the loop */
        history_add(live->history, live->observed, replay->line);
    leave_mark(live);
    return good;
}

static bool is_round_over(const struct live *live)
{
    bool whole;
    size_t node = recording_next_node(live->replay->recording, &whole);
    return node != SIZE_MAX && live->replay->seen_at[node] != 0;
}

static void first_round_over(struct live *live)
{
    struct live_replay *replay = live->replay;
    replay->first_round = false;
    replay->first = replay->line;
    set_position(replay, replay->line);
    live->begun = true;
    live->compare_quietly = true;
    live_touch(live);
}

/* On the way, at each step of the recording. */
static void judge_on_the_way(struct live *live, int64_t next)
{
    struct live_replay *replay = live->replay;
    if (!replay->target || replay->line < replay->first || next / TREND_STEP == replay->judged / TREND_STEP || !is_small(live))
        return;
    replay->judged = next;
    set_position(replay, replay->line);
    live->silent = true;
    live_judge(live);
    live->silent = false;
}

static int64_t limit_of(const struct live_replay *replay)
{
    return replay->first_round ? INT64_MAX - 1 : replay->target ? replay->target : position(replay);
}

/* Take what is due. With WHOLE all of it, else a slice. True: something is left that is due now. */
static bool advance(struct live *live, bool all)
{
    struct live_replay *replay = live->replay;
    struct err err;
    int64_t began = clock_steady();
    size_t taken = 0;
    for (;;) {
        int64_t next = recording_peek(replay->recording, &err);
        if (next < 0 || next == INT64_MAX) {
            stop_at(live, next < 0 ? err.text : NULL);
            break;
        }
        bool whole;
        size_t node = recording_next_node(replay->recording, &whole);
        if (node != SIZE_MAX)
            measure_interval(live, node, next);
        if (replay->first_round && is_round_over(live)) {
            first_round_over(live);
            break;
        }
        if (next > limit_of(replay))
            break;
        judge_on_the_way(live, next);
        if (!take_line(live, next, !replay->target && !replay->first_round, &err)) {
            stop_at(live, err.text);
            break;
        }
        taken++;
        if (!all && clock_steady() - began > SLICE) {
            if (!replay->target && !replay->first_round)
                set_position(replay, replay->line > replay->base ? replay->line : replay->base);
            if (!replay->target && !replay->first_round)
                live_touch(live);
            return true;
        }
    }
    if (taken || replay->at_end)
        live_touch(live);
    return false;
}

static void go_to(struct live *live, int64_t at);

static void arrive(struct live *live)
{
    struct live_replay *replay = live->replay;
    if (replay->target && !replay->at_end)
        set_position(replay, replay->target);
    replay->target = 0;
    live_touch(live);
    live_tell(live, LIVE_REPLAY);
    if (replay->wanted)
        go_to(live, replay->wanted);
}

static void plan_next(struct live *live)
{
    struct live_replay *replay = live->replay;
    struct err err;
    if (replay->paused || replay->at_end)
        return;
    int64_t next = recording_peek(replay->recording, &err);
    double seconds = next < 0 || next == INT64_MAX ? 0 : (double)(next - position(replay)) / (double)CLOCK_SECOND / replay->speed;
    wake(live, seconds < 0.02 ? 0.02 : seconds > 3600 ? 3600 : seconds);
}

static void go_on(struct live *live, bool all)
{
    struct live_replay *replay = live->replay;
    if (replay->held || (replay->at_end && !replay->target))
        return;
    if (replay->paused && !replay->target && !replay->first_round)
        return;
    bool was_going = replay->target || replay->first_round;
    if (advance(live, all)) {
        wake(live, 0);
        return;
    }
    if (was_going)
        arrive(live);
    else
        live_tell(live, LIVE_REPLAY);
    plan_next(live);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    go_on(timer->data, false);
}

void live_replay_hold(struct live *live, bool hold)
{
    struct live_replay *replay = live->replay;
    replay->held = hold;
    if (hold)
        return;
    if (replay->wanted && !replay->first_round)
        go_to(live, replay->wanted);
    wake(live, 0);
}

bool live_replay_catch_up(struct live *live)
{
    struct live_replay *replay = live->replay;
    if (!replay->target && !replay->first_round)
        return false;
    go_on(live, true);
    return true;
}

/* Going elsewhere */

static void forget_after(struct live *live, int64_t at)
{
    event_log_forget_after(live->log, at);
    live_trends_rewind(live, at);
    live_events_forget(live->events);
    history_free(live->history);
    live->history = history_new();
    live->compare_quietly = true;
}

static bool go_back(struct live *live, int64_t at)
{
    struct live_replay *replay = live->replay;
    struct err err;
    struct recording_mark place = replay->beginning;
    struct observed *copy = NULL;
    int64_t from = replay->start;
    bool small = is_small(live);
    while (replay->mark_count && replay->marks[replay->mark_count - 1].at > at)
        drop_mark(replay, replay->mark_count - 1);
    if (replay->mark_count) {
        struct mark *mark = &replay->marks[replay->mark_count - 1];
        place = mark->place;
        copy = observed_copy(mark->observed);
        from = mark->at;
    }
    forget_rows(live);
    for (size_t i = 0; i < live->mesh->node_count; i++)
        observation_clear(&live->last[i]);
    int result = recording_return(replay->recording, place, copy, &err);
    if (copy)
        observed_free(copy);
    replay->at_end = false;
    free(replay->problem);
    replay->problem = NULL;
    memset(replay->seen_at, 0, live->mesh->node_count * sizeof *replay->seen_at);
    replay->line = replay->judged = from;
    forget_after(live, small ? from : at);
    if (result)
        stop_at(live, err.text);
    return !result;
}

static void go_to(struct live *live, int64_t at)
{
    struct live_replay *replay = live->replay;
    if (replay->held || replay->first_round) { /* as soon as readings may be changed */
        replay->wanted = at > 0 ? at : 1;
        return;
    }
    replay->wanted = 0;
    if (at < replay->first)
        at = replay->first;
    if (replay->end && at > replay->end)
        at = replay->end;
    bool back = at < replay->line && at < position(replay);
    if (back && !replay->can_seek) {
        free(replay->problem);
        replay->problem = mem_text("it is not read from a file, and cannot be gone back in");
    } else if (back ? go_back(live, at) : !replay->at_end) {
        replay->target = at > 0 ? at : 1;
        replay->judged = replay->line;
        wake(live, 0);
    }
}

static int64_t heading(const struct live_replay *replay)
{
    return replay->wanted ? replay->wanted : replay->target ? replay->target : position(replay);
}

struct live_replay_state live_replay_state(const struct live *live)
{
    const struct live_replay *replay = live->replay;
    if (!replay)
        return (struct live_replay_state){.speed = 1};
    return (struct live_replay_state){.start = replay->start, .end = replay->end, .at = heading(replay),
                                      .speed = replay->speed, .paused = replay->paused, .at_end = replay->at_end, .problem = replay->problem};
}

void live_replay_pause(struct live *live, bool paused)
{
    struct live_replay *replay = live->replay;
    if (!replay || paused == replay->paused)
        return;
    set_position(replay, position(replay));
    replay->paused = paused;
    if (!paused && replay->at_end && !replay->problem)
        go_to(live, replay->first); /* once more from the beginning */
    wake(live, 0);
    live_tell(live, LIVE_REPLAY);
}

void live_replay_set_speed(struct live *live, double speed)
{
    struct live_replay *replay = live->replay;
    if (!replay)
        return;
    set_position(replay, position(replay));
    replay->speed = speed >= 1000 ? 1000 : speed > 0.1 ? speed : 0.1;
    wake(live, 0);
    live_tell(live, LIVE_REPLAY);
}

void live_replay_step(struct live *live, int steps)
{
    struct live_replay *replay = live->replay;
    struct err err;
    if (!replay || !steps)
        return;
    int64_t interval = (int64_t)(live_interval(live) * (double)CLOCK_SECOND), at = heading(replay) + steps * interval;
    set_position(replay, position(replay));
    replay->paused = true;
    if (steps > 0 && !replay->held && !replay->target) { /* something is to be seen after it */
        int64_t next = recording_peek(replay->recording, &err);
        if (next > 0 && next != INT64_MAX && next > at)
            at = next;
    }
    go_to(live, at);
    live_tell(live, LIVE_REPLAY);
}

void live_replay_seek(struct live *live, int64_t at)
{
    if (!live->replay)
        return;
    go_to(live, at);
    live_tell(live, LIVE_REPLAY);
}

/* Beginning and end */

/* When the last whole line was seen; 0: not known. Only its beginning is looked at, since it may be long. */
static int64_t find_end(FILE *file)
{
    char piece[TAIL + 1];
    long size, at, line = -1, here = ftell(file);
    int64_t end = 0;
    if (here < 0 || fseek(file, 0, SEEK_END) || (size = ftell(file)) <= 0)
        return 0;
    bool ended = false; /* the newline that ends the last whole line was seen */
    for (at = size; at > 0 && line < 0;) {
        size_t length = at < TAIL ? (size_t)at : TAIL;
        at -= (long)length;
        if (fseek(file, at, SEEK_SET) || fread(piece, 1, length, file) != length)
            break;
        for (size_t i = length; i-- > 0 && line < 0;)
            if (piece[i] == '\n') {
                if (ended)
                    line = at + (long)i + 1;
                ended = true;
            }
    }
    if (line > 0 && !fseek(file, line, SEEK_SET)) {
        size_t length = fread(piece, 1, TAIL, file);
        piece[length] = '\0';
        const char *found = strstr(piece, "\"at\":");
        if (found) {
            found += 5;
            found += *found == '"';
            if (isdigit((unsigned char)*found))
                end = strtoll(found, NULL, 10);
        }
    }
    fseek(file, here, SEEK_SET);
    return end;
}

int live_replay_begin(struct live *live, FILE *file, const char *name, struct err *err)
{
    struct live_replay *replay = mem_alloc(1, sizeof *replay);
    int64_t end = find_end(file);
    replay->file = file;
    replay->speed = 1;
    replay->first_round = true;
    replay->mark_every = MARK_EVERY;
    replay->recording = recording_open(file, name, err);
    if (!replay->recording) {
        free(replay);
        return -1;
    }
    replay->beginning = recording_mark(replay->recording);
    replay->can_seek = ftell(file) >= 0;
    replay->start = recording_start(replay->recording);
    int64_t first = recording_peek(replay->recording, err);
    if (first > 0 && first != INT64_MAX)
        replay->start = first;
    replay->end = end;
    replay->line = replay->base = replay->start;
    live->replay = replay;
    live->mesh = recording_mesh(replay->recording);
    live->observed = recording_observed(replay->recording);
    live->interval = 0; /* measured */
    replay->seen_at = mem_alloc(live->mesh->node_count, sizeof *replay->seen_at);
    ev_timer_init(&replay->timer, on_timer, 0, 0);
    replay->timer.data = live;
    return 0;
}

void live_replay_furnish(struct live *live)
{
    wake(live, 0);
}

void live_replay_end(struct live *live)
{
    struct live_replay *replay = live->replay;
    if (!replay)
        return;
    ev_timer_stop(live->loop, &replay->timer);
    while (replay->mark_count)
        drop_mark(replay, replay->mark_count - 1);
    recording_free(replay->recording);
    free(replay->seen_at);
    free(replay->problem);
    free(replay);
    live->replay = NULL;
}
