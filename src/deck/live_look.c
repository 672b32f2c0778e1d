/* The live mesh over SSH: a look that goes on for ever, its sessions' phases, and the questions that wait for a person. */
#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

struct live_question {
    struct fanout_question asked; /* texts owned */
    struct live_question *next;
};

/* Readings */

/* NODE is about to change. LOST: its reading is about to go; the last good one is kept for showing. */
static void on_changing(void *context, struct look *look, size_t node, struct observation *seen, bool lost)
{
    struct live *live = context;
    (void)look;
    live_rows_before(live, node);
    if (!lost || seen->reach != REACH_OK)
        return;
    live_keep_last(live, node, seen);
}

static void drop_question(struct live *live, struct live_question **at)
{
    struct live_question *question = *at;
    *at = question->next;
    free((char *)(uintptr_t)question->asked.session);
    free((char *)(uintptr_t)question->asked.target);
    free((char *)(uintptr_t)question->asked.prompt);
    free((char *)(uintptr_t)question->asked.fingerprint);
    free((char *)(uintptr_t)question->asked.key_type);
    free(question);
    (void)live;
}

/* A session that failed does not wait for its answer any more. */
static void drop_questions_of(struct live *live, const char *session)
{
    bool dropped = false;
    for (struct live_question **at = &live->questions; *at;)
        if ((*at)->asked.session && !strcmp((*at)->asked.session, session)) {
            drop_question(live, at);
            dropped = true;
        } else {
            at = &(*at)->next;
        }
    if (dropped)
        live_tell(live, LIVE_QUESTION);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    struct live *live = context;
    const struct observation *seen = &look_observed(look)->nodes[node];
    if (seen->reach == REACH_OK)
        observation_clear(&live->last[node]);
    else if (live->questions)
        drop_questions_of(live, live->mesh->nodes[node].name);
    live_rows_after(live, node);
    live_touch(live);
}

static void on_first_round(void *context, struct look *look)
{
    (void)look;
    live_begin(context);
}

/* Questions */

static void on_question(void *context, const struct fanout_question *asked)
{
    struct live *live = context;
    struct live_question *question = mem_alloc(1, sizeof *question), **end = &live->questions;
    question->asked = *asked;
    question->asked.session = mem_text(asked->session);
    question->asked.target = mem_text(asked->target);
    question->asked.prompt = mem_text(asked->prompt);
    question->asked.fingerprint = mem_text(asked->fingerprint);
    question->asked.key_type = mem_text(asked->key_type);
    while (*end)
        end = &(*end)->next;
    *end = question;
    live_tell(live, LIVE_QUESTION);
}

size_t live_question_count(const struct live *live)
{
    size_t count = 0;
    for (const struct live_question *question = live->questions; question; question = question->next)
        count++;
    return count;
}

const struct fanout_question *live_question(const struct live *live)
{
    return live->questions ? &live->questions->asked : NULL;
}

void live_answer(struct live *live, uint64_t id, const char *text)
{
    for (struct live_question **at = &live->questions; *at; at = &(*at)->next)
        if ((*at)->asked.id == id) {
            drop_question(live, at);
            break;
        }
    if (live->look)
        fanout_answer(look_fanout(live->look), id, text);
    live_tell(live, LIVE_QUESTION);
}

/* Beginning, end, settings */

int live_look_begin(struct live *live, const struct live_options *options, struct err *err)
{
    static const struct look_events events = {.changed = on_changed, .first_round = on_first_round, .changing = on_changing};
    struct look_options look_options = options->look;
    look_options.every = live->interval;
    look_options.fanout.keep = true;
    look_options.fanout.ask = on_question;
    look_options.fanout.context = live;
    live->look = look_new(live->loop, live->mesh, &look_options, &events, live, err);
    if (!live->look)
        return -1;
    live->observed = look_observed(live->look);
    return 0;
}

void live_look_end(struct live *live)
{
    look_free(live->look);
    live->look = NULL;
    while (live->questions)
        drop_question(live, &live->questions);
}

void live_look_hold(struct live *live, bool hold)
{
    look_hold(live->look, hold);
}

void live_look_describe(struct live *live)
{
    for (size_t i = 0; i < live->mesh->node_count; i++) {
        struct fanout_session *session = look_session(live->look, i);
        enum fanout_phase phase = session ? fanout_session_phase(session) : PHASE_CLOSED;
        live->nodes[i].waiting = look_is_waiting(live->look, i);
        char *text = live->nodes[i].phase;
        int64_t silence = look_silence(live->look, i);
        live->nodes[i].silent = silence > 0;
        if (session && phase < PHASE_OPEN)
            snprintf(text, sizeof live->nodes[i].phase, "%s", fanout_phase_text(phase));
        else if (silence)
            snprintf(text, sizeof live->nodes[i].phase, "no answer for %llds", (long long)(silence / CLOCK_SECOND));
    }
}

void live_look_now(struct live *live)
{
    if (live->look)
        look_refresh(live->look);
    else
        live_replay_step(live, 1);
}

void live_set_interval(struct live *live, double seconds)
{
    if (!(seconds >= 0.5))
        seconds = 0.5;
    if (seconds > 3600)
        seconds = 3600;
    if (!live->look)
        return; /* a recording has its own */
    live->interval = seconds;
    look_set_every(live->look, seconds);
}

bool live_is_root(const struct live *live, size_t node)
{
    struct fanout_session *session = live->look ? look_session(live->look, node) : NULL;
    return session && fanout_session_phase(session) == PHASE_OPEN && fanout_session_is_root(session);
}
