/* The life of a change: from the look to the end, phase after phase. In each phase all nodes work at the same time; when the last has answered the next begins, or, when one has failed, the way
 * back. */
#include "change_private.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "look_private.h"
#include "owner.h"
#include "wgdeck/apply.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define RELOOK_WITHIN 15. /* seconds */
enum { RELOOKS_MOST = 2 }; /* a node that says each time that it has put something back must not keep all others waiting */

const char *change_phase_text(enum change_phase phase)
{
    static const char *const texts[] = {
#define X(name, text) text,
        CHANGE_PHASES(X)
#undef X
    };
    return texts[phase];
}

/* --- what is told */

void change_touch(struct change *change)
{
    change->dirty = true;
}

static void on_turn(struct ev_loop *loop, struct ev_prepare *watcher, int events)
{
    struct change *change = watcher->data;
    (void)loop, (void)events;
    if (!change->dirty)
        return;
    change->dirty = false;
    if (change->callbacks.progress)
        change->callbacks.progress(change->context, change);
}

static void set_text(char **to, const char *format, va_list arguments)
{
    struct buf text = BUF_EMPTY;
    buf_add_vformat(&text, format, arguments);
    free(*to);
    *to = text_safe(buf_text(&text));
    buf_free(&text);
}

void change_node_text(struct change *change, size_t node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(&change->nodes[node].text, format, arguments);
    va_end(arguments);
    change_touch(change);
}

void change_say(struct change *change, size_t node, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    set_text(&text, format, arguments);
    va_end(arguments);
    if (node != SIZE_MAX)
        buf_add_format(&change->story, "%s: ", change->mesh->nodes[node].name);
    buf_add_format(&change->story, "%s\n", text);
    free(text);
    change_touch(change);
}

void change_node_failed(struct change *change, size_t node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(&change->nodes[node].text, format, arguments);
    va_end(arguments);
    change->nodes[node].failed = true;
    change->failed = true;
    change_say(change, node, "%s", change->nodes[node].text);
}

struct plan *change_working_plan(struct change *change)
{
    return change->rotation ? change->rotation : change->plan;
}

/* --- phases */

static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events);

static void soon(struct change *change)
{
    ev_timer_stop(change->loop, &change->later);
    ev_timer_set(&change->later, 0., 0.);
    ev_timer_start(change->loop, &change->later);
}

static void enter(struct change *change, enum change_phase phase)
{
    change->phase = phase;
    change->waiting = 0;
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (change->actors[i].takes_part && !change->nodes[i].failed)
            change->nodes[i].phase = phase;
    change_touch(change);
    change_wait(change); /* one of the phase's own, so that it does not end while it begins */
}

void change_wait(struct change *change)
{
    change->waiting++;
}

void change_answered(struct change *change)
{
    change_touch(change);
    if (--change->waiting == 0)
        soon(change);
}

void change_close_actors(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        helper_free(actor->helper);
        helper_free(actor->verifier);
        if (actor->fresh)
            fanout_session_close(actor->fresh);
        actor->helper = actor->verifier = NULL;
        actor->fresh = NULL;
    }
}

void change_end(struct change *change, enum change_result result)
{
    change->phase = CHANGE_DONE;
    change->result = result;
    change->waiting = 0;
    change_close_actors(change);
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (change->actors[i].takes_part && !change->nodes[i].failed)
            change->nodes[i].phase = CHANGE_DONE;
    change->dirty = false;
    change_log_result(change);
    if (change->callbacks.progress)
        change->callbacks.progress(change->context, change);
    if (change->callbacks.done)
        change->callbacks.done(change->context, change);
}

static bool any(const struct change *change, bool (*is)(const struct change_actor *actor))
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (is(&change->actors[i]))
            return true;
    return false;
}

static bool was_staged(const struct change_actor *actor)
{
    return actor->staged;
}

static bool is_confirmed(const struct change_actor *actor)
{
    return actor->confirmed;
}

static bool is_guarded(const struct change_actor *actor)
{
    return actor->end == END_GUARDED || actor->end == END_UNKNOWN;
}

static void begin_phase(struct change *change, enum change_phase phase)
{
    static void (*const steps[])(struct change *change) = {
        [CHANGE_LOCKING] = change_step_lock, [CHANGE_KEYS] = change_make_preshared, [CHANGE_STAGING] = change_step_stage, [CHANGE_FINISHING] = change_step_finish,
        [CHANGE_VERIFYING] = change_verify, [CHANGE_CONFIRMING] = change_step_confirm, [CHANGE_REVERTING] = change_step_revert, [CHANGE_DONE] = NULL,
    };
    enter(change, phase);
    steps[phase](change);
    change_answered(change);
}

static void go_back(struct change *change)
{
    change->failed = false;
    if (any(change, was_staged))
        begin_phase(change, CHANGE_REVERTING);
    else
        change_end(change, change->touched ? CHANGE_PUT_BACK : CHANGE_REFUSED);
}

static void all_confirmed(struct change *change)
{
    if (change->options.rotate) {
        change_rotation_over(change);
        if (!change->stopped && change_rotation_next(change)) {
            begin_phase(change, CHANGE_LOCKING);
            return;
        }
    }
    change_end(change, CHANGE_CONFIRMED);
}

/* What was planned is for another state than what is there now: the nodes are let go, looked at again, and planned anew. What is asked for is the same. */
static void look_again(struct change *change)
{
    change->recovered = false;
    change_close_actors(change);
    plan_free(change->plan);
    plan_free(change->rotation);
    desired_free(change->desired);
    change->plan = change->rotation = NULL;
    change->desired = NULL;
    change->rotating = SIZE_MAX;
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        change->actors[i] = (struct change_actor){.change = change, .index = i, .warning = change->actors[i].warning};
        change->nodes[i].failed = false;
    }
    enter(change, CHANGE_LOOKING);
    change->relooking = 0;
    for (size_t i = 0; i < change->mesh->node_count; i++)
        change->relooking += look_session(change->look, i) && fanout_session_phase(look_session(change->look, i)) == PHASE_OPEN;
    look_refresh(change->look);
    ev_timer_stop(change->loop, &change->later); /* who does not answer is planned without its answer, and refuses the change that does not fit */
    ev_timer_set(&change->later, change->relooking ? RELOOK_WITHIN : 0., 0.);
    ev_timer_start(change->loop, &change->later);
}

/* What follows the phase that has just been answered by all. */
static void phase_over(struct change *change)
{
    bool failed = change->failed || (change->stopped && change->phase < CHANGE_CONFIRMING);
    if (change->stopped && !change->failed && change->phase < CHANGE_CONFIRMING)
        change_say(change, SIZE_MAX, "stopped by the operator");
    switch (change->phase) {
    case CHANGE_LOCKING:
        if (!failed && change->recovered && change->relooks++ < RELOOKS_MOST)
            look_again(change);
        else if (failed || (change->options.rotate && !change_rotation_plan(change)) || !change_learn_keys(change))
            go_back(change);
        else
            begin_phase(change, CHANGE_KEYS);
        break;
    case CHANGE_KEYS:
        if (failed)
            go_back(change);
        else
            begin_phase(change, CHANGE_STAGING);
        break;
    case CHANGE_STAGING:
        if (failed)
            go_back(change);
        else
            begin_phase(change, CHANGE_FINISHING);
        break;
    case CHANGE_FINISHING:
        if (failed)
            go_back(change);
        else
            begin_phase(change, CHANGE_VERIFYING);
        break;
    case CHANGE_VERIFYING:
        if (failed || !change_file_confirmed(change))
            go_back(change);
        else
            begin_phase(change, CHANGE_CONFIRMING);
        break;
    case CHANGE_CONFIRMING:
        if (!failed)
            all_confirmed(change);
        else if (any(change, is_confirmed))
            change_end(change, CHANGE_PARTLY);
        else
            go_back(change);
        break;
    case CHANGE_REVERTING:
        change_end(change, any(change, is_guarded) ? CHANGE_GUARDED : CHANGE_PUT_BACK);
        break;
    case CHANGE_LOOKING:
    case CHANGE_PLANNED:
    case CHANGE_DONE:
        break;
    }
}

/* --- the look, and the plan */

static bool has_blocked(struct change *change)
{
    bool blocked = false;
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        const struct plan_node *node = &change->plan->nodes[i];
        if (node->state != PLAN_BLOCKED || (change->options.plan.only && !change->options.plan.only[i]))
            continue;
        change_say(change, i, "%s", node->why);
        change->nodes[i].failed = true;
        blocked = true;
    }
    return blocked;
}

static bool has_lint_error(struct change *change)
{
    for (size_t i = 0; i < change->plan->lint.count; i++)
        if (change->plan->lint.findings[i].error)
            change_say(change, SIZE_MAX, "%s", change->plan->lint.findings[i].text);
    return lint_has_error(&change->plan->lint);
}

static void make_plan(struct change *change)
{
    const struct observed *seen = look_observed(change->look);
    change->desired = desired_new(change->mesh);
    for (size_t i = 0; i < seen->node_count; i++)
        if (seen->nodes[i].at > change->options.plan.now)
            change->options.plan.now = seen->nodes[i].at;
    change->plan = plan_new(change->mesh, change->desired, seen, &change->options.plan);
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        change->nodes[i].pending = change->plan->nodes[i].state == PLAN_PENDING;
        change->nodes[i].operations = change->plan->nodes[i].count;
        change->actors[i].takes_part = change->plan->nodes[i].count > 0 || change->plan->nodes[i].unfinished;
        if (change->plan->nodes[i].why)
            change_node_text(change, i, "%s", change->plan->nodes[i].why);
    }
}

static void planned(struct change *change)
{
    make_plan(change);
    change->phase = CHANGE_PLANNED;
    change_touch(change);
    if (change->callbacks.planned && !change->go)
        change->callbacks.planned(change->context, change);
    if (change->go)
        soon(change);
}

static void on_first_round(void *context, struct look *look)
{
    struct change *change = context;
    (void)look;
    if (change->phase == CHANGE_LOOKING)
        soon(change);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    struct change *change = context;
    const struct observation *seen = &look_observed(look)->nodes[node];
    if (change->phase != CHANGE_LOOKING)
        return;
    if (seen->error)
        change_node_text(change, node, "%s", seen->error);
    if (change->relooking && --change->relooking == 0)
        soon(change);
    change_touch(change);
}

static bool refuses(struct change *change)
{
    bool lint = has_lint_error(change), blocked = has_blocked(change);
    return lint || blocked;
}

static void begin_work(struct change *change)
{
    if (refuses(change)) {
        change_end(change, CHANGE_REFUSED);
    } else if (change->options.rotate) {
        if (change_rotation_next(change))
            begin_phase(change, CHANGE_LOCKING);
        else
            change_end(change, change->story.length ? CHANGE_REFUSED : CHANGE_NOTHING);
    } else if (plan_is_empty(change->plan)) {
        change_end(change, CHANGE_NOTHING);
    } else {
        begin_phase(change, CHANGE_LOCKING);
    }
}

static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct change *change = timer->data;
    (void)loop, (void)events;
    if (change->phase == CHANGE_LOOKING)
        planned(change);
    else if (change->phase == CHANGE_PLANNED)
        begin_work(change);
    else if (change->phase != CHANGE_DONE)
        phase_over(change);
}

void change_go(struct change *change)
{
    if (change->phase > CHANGE_PLANNED || change->go)
        return;
    change->go = true;
    if (change->phase == CHANGE_PLANNED)
        soon(change);
}

void change_stop(struct change *change)
{
    change->stopped = true;
    if (change->phase <= CHANGE_PLANNED) {
        change_end(change, CHANGE_REFUSED);
    } else if (change->phase == CHANGE_VERIFYING && change->waiting) { /* pings change no node: nobody waits for them to end */
        for (size_t i = 0; i < change->mesh->node_count; i++) {
            helper_free(change->actors[i].verifier);
            change->actors[i].verifier = NULL;
        }
        change->waiting = 0;
        soon(change);
    }
}

/* --- life */

static void new_id(struct change *change)
{
    unsigned char bytes[8];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(change->id, sizeof change->id, bytes, sizeof bytes);
}

/* A mesh of its own: the file's is replaced whenever the file is edited. */
static int read_mesh(struct change *change, struct err *err)
{
    const struct mesh_file *file = change->options.file;
    change->conf = conf_parse(file->path, buf_text(&file->bytes), file->bytes.length, err);
    change->mesh = change->conf ? mesh_read(change->conf, NULL, err) : NULL;
    return change->mesh ? 0 : -1;
}

struct change *change_new(struct ev_loop *loop, const struct change_options *options, const struct change_callbacks *callbacks, void *context, struct err *err)
{
    static const struct look_events look_events = {.changed = on_changed, .first_round = on_first_round};
    if (sodium_init() < 0) {
        err_set(err, "no random numbers on this machine");
        return NULL;
    }
    struct change *change = mem_alloc(1, sizeof *change);
    *change = (struct change){.loop = loop, .options = *options, .callbacks = *callbacks, .context = context, .rotating = SIZE_MAX};
    ev_prepare_init(&change->turn, on_turn);
    ev_init(&change->later, on_later);
    change->turn.data = change->later.data = change;
    change->owner = options->owner ? text_safe(options->owner) : owner_of_change();
    if (!(change->options.within > 0))
        change->options.within = APPLY_WITHIN_DEFAULT;
    new_id(change);
    if (read_mesh(change, err)) {
        change_free(change);
        return NULL;
    }
    change->nodes = mem_alloc(change->mesh->node_count, sizeof *change->nodes);
    change->actors = mem_alloc(change->mesh->node_count, sizeof *change->actors);
    for (size_t i = 0; i < change->mesh->node_count; i++)
        change->actors[i] = (struct change_actor){.change = change, .index = i};
    struct look_options look = options->look;
    look.nodes = NULL; /* links are judged from both ends: all are looked at */
    if (options->look.nodes && !options->plan.only) {
        change->only = mem_alloc(change->mesh->node_count, sizeof *change->only);
        for (size_t i = 0; i < change->mesh->node_count; i++)
            change->only[i] = text_matches(options->look.nodes, change->mesh->nodes[i].name);
        change->options.plan.only = change->only;
    }
    if (look.mode == LOOK_AUTO && !options->only_plan)
        look.mode = LOOK_HELPER;
    change->look = look_new(loop, change->mesh, &look, &look_events, change, err);
    if (!change->look) {
        change_free(change);
        return NULL;
    }
    ev_prepare_start(loop, &change->turn);
    return change;
}

void change_free(struct change *change)
{
    if (!change)
        return;
    ev_prepare_stop(change->loop, &change->turn);
    ev_timer_stop(change->loop, &change->later);
    if (change->actors)
        change_close_actors(change);
    for (size_t i = 0; change->actors && i < change->mesh->node_count; i++) {
        free(change->actors[i].warning);
        free(change->nodes[i].text);
    }
    look_free(change->look);
    change_links_free(change);
    plan_free(change->plan);
    plan_free(change->rotation);
    desired_free(change->desired);
    if (change->mesh)
        mesh_free(change->mesh);
    if (change->conf)
        conf_free(change->conf);
    free(change->actors);
    free(change->only);
    free(change->nodes);
    free(change->sealed);
    free(change->owner);
    buf_free(&change->story);
    free(change);
}

enum change_phase change_phase(const struct change *change)
{
    return change->phase;
}

enum change_result change_result(const struct change *change)
{
    return change->result;
}

const struct mesh *change_mesh(const struct change *change)
{
    return change->mesh;
}

const struct plan *change_plan(const struct change *change)
{
    return change->rotation ? change->rotation : change->plan;
}

const struct observed *change_observed(const struct change *change)
{
    return look_observed(change->look);
}

const struct change_node *change_nodes(const struct change *change)
{
    return change->nodes;
}

struct fanout *change_fanout(const struct change *change)
{
    return look_fanout(change->look);
}
