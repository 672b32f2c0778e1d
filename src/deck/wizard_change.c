/* The end of every wizard: the plan, the word that agrees to it, the change, and the mesh file, which is edited only when the change begins and is put back when it fails. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

enum { FILE_LIMIT = 16 << 20 };

static bool is_kept(enum change_result result)
{
    return result == CHANGE_NOTHING || result == CHANGE_CONFIRMED || result == CHANGE_PARTLY;
}

/* The edit of the mesh file goes; what somebody else wrote stays. */
static void take_back(struct wizard *wizard)
{
    struct err err;
    if (!wizard->edited)
        return;
    int result = mesh_file_undo(&wizard->planned, &wizard->before, &err);
    wizard->edited = false;
    if (result < 0)
        buf_add_format(&wizard->report, "The edit of %s could not be taken back: %s\n", wizard->planned.path, err.text);
    else if (result > 0)
        buf_add_format(&wizard->report, "%s was edited by somebody else meanwhile, and is left as it is: look at it before the next apply.\n", wizard->planned.path);
    else
        buf_add_format(&wizard->report, "%s is as it was before.\n", wizard->planned.path);
    if (result)
        wizard->file_changed = true;
}

void wizard_change_end(struct wizard *wizard)
{
    /* Some nodes may have confirmed already: what the file says of them then stands, and the next apply completes it. */
    if (wizard->change && wizard->edited && change_phase(wizard->change) == CHANGE_CONFIRMING)
        wizard->edited = false;
    change_free(wizard->change);
    wizard->change = NULL;
    take_back(wizard);
    mesh_file_free(&wizard->planned);
    mesh_edits_free(&wizard->edits);
    wizard->edits = (struct mesh_edits){0};
    buf_free(&wizard->before);
    free(wizard->chosen);
    wizard->chosen = NULL;
    wizard_drop_questions(wizard);
}

/* --- plan */

static void on_planned(struct wizard *wizard)
{
    wizard_enter(wizard, AT_PLAN);
}

static void told_planned(void *context, struct change *change)
{
    (void)change;
    wizard_soon(context, on_planned);
}

static void told_progress(void *context, struct change *change)
{
    (void)change;
    wizard_tell(context);
}

static void told_done(void *context, struct change *change);

/* The file as it would be, in memory only. */
static int edit_planned(struct wizard *wizard, struct err *err)
{
    struct mesh_file *planned = &wizard->planned;
    wizard_make_edits(wizard, &wizard->edits);
    if (mesh_edits_do(&wizard->edits, planned->conf, err))
        return -1;
    struct mesh *mesh = mesh_read(planned->conf, NULL, err);
    if (!mesh)
        return -1;
    mesh_free(planned->mesh);
    planned->mesh = mesh;
    buf_clear(&planned->bytes);
    conf_write(planned->conf, &planned->bytes);
    return 0;
}

static int prepare(struct wizard *wizard, struct err *err)
{
    if (mesh_file_read(wizard->options.path, &wizard->planned, NULL, err))
        return -1;
    buf_add(&wizard->before, buf_text(&wizard->planned.bytes), wizard->planned.bytes.length);
    if (wizard->options.kind == WIZARD_ADD)
        return edit_planned(wizard, err);
    if (wizard->options.kind == WIZARD_REMOVE || wizard->options.kind == WIZARD_ROTATE)
        return wizard_choose_nodes(wizard, wizard->planned.mesh, wizard->answers[AT_NODES], &wizard->chosen, err);
    return 0;
}

static void set_date(struct wizard *wizard)
{
    char date[16];
    struct tm parts;
    time_t now = (time_t)(clock_wall() / CLOCK_SECOND);
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &parts));
    free(wizard->date);
    wizard->date = mem_text(date);
}

static int start_change(struct wizard *wizard, struct err *err)
{
    static const struct change_callbacks callbacks = {.planned = told_planned, .progress = told_progress, .done = told_done};
    bool remove = wizard->options.kind == WIZARD_REMOVE;
    struct change_options options = {.look = wizard->options.look, .file = &wizard->planned, .within = wizard->options.within};
    options.look.mode = LOOK_AUTO;
    options.look.interface = NULL;
    options.look.every = 0;
    set_date(wizard);
    if (!wizard->events && wizard->options.state)
        wizard->events = mem_format("%s/events.jsonl", wizard->options.state);
    options.events = wizard->events;
    options.plan.leaving = remove ? wizard->chosen : NULL;
    options.leaving_date = remove ? wizard->date : NULL;
    options.rotate = wizard->options.kind == WIZARD_ROTATE ? wizard->chosen : NULL;
    wizard->change = change_new(wizard->loop, &options, &callbacks, wizard, err);
    return wizard->change ? 0 : -1;
}

static void end_with(struct wizard *wizard, const char *text)
{
    buf_add_format(&wizard->report, "%s\n", text);
    wizard_enter(wizard, AT_END);
}

static void begin_plan(struct wizard *wizard)
{
    struct err err;
    buf_clear(&wizard->report);
    if (!prepare(wizard, &err) && !start_change(wizard, &err))
        return;
    wizard_change_end(wizard);
    end_with(wizard, err.text);
}

void wizard_make_plan(struct wizard *wizard)
{
    wizard_change_end(wizard);
    wizard_text(&wizard->working, "looking at all nodes, to make the plan (nothing is changed)");
    wizard_soon(wizard, begin_plan);
}

const struct plan *wizard_plan(const struct wizard *wizard)
{
    if (wizard->given_plan)
        return wizard->given_plan;
    return wizard->change && wizard->at >= AT_PLAN ? change_plan(wizard->change) : NULL;
}

const struct mesh *wizard_mesh(const struct wizard *wizard)
{
    const struct plan *plan = wizard_plan(wizard);
    return plan ? plan->mesh : wizard->change ? change_mesh(wizard->change) : wizard->file.mesh;
}

struct change *wizard_change(const struct wizard *wizard)
{
    return wizard->change;
}

/* --- the word */

/* Why the plan cannot be applied; NULL: it can. */
static const char *hindrance(const struct wizard *wizard)
{
    const struct plan *plan = wizard_plan(wizard);
    size_t pending = 0;
    if (!plan)
        return "there is no plan yet";
    if (lint_has_error(&plan->lint))
        return "what is marked as an error has to be mended first; nothing was changed";
    for (size_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i].state == PLAN_BLOCKED)
            return "a node must not be touched, as the plan says; nothing was changed";
        pending += plan->nodes[i].state == PLAN_PENDING;
    }
    if (plan->node_count && pending == plan->node_count)
        return "no node could be looked at; nothing was changed";
    if (wizard->options.kind == WIZARD_ADD && plan->nodes[plan->node_count - 1].state == PLAN_PENDING)
        return "the new node cannot be reached now; nothing was changed";
    if (wizard->options.kind == WIZARD_APPLY && plan_is_empty(plan))
        return "there is nothing to do";
    return NULL;
}

const char *wizard_agreement(const struct wizard *wizard)
{
    if (wizard->at != AT_PLAN || hindrance(wizard))
        return NULL;
    return wizard->options.kind == WIZARD_REMOVE ? wizard->answers[AT_NODES] : "yes";
}

int wizard_check_agreement(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    const char *why = hindrance(wizard), *wanted = wizard_agreement(wizard);
    (void)taken;
    if (why)
        return err_set(err, "%s", why);
    if (wizard->options.kind == WIZARD_REMOVE)
        return !strcmp(text, wanted) ? 0 : err_set(err, "to take it out, write its name: %s", wanted);
    if (!strcasecmp(text, "y") || !strcasecmp(text, "yes"))
        return 0;
    return err_set(err, "nothing was changed: write yes to apply this plan");
}

/* --- apply */

static bool file_is_as_planned(const struct wizard *wizard)
{
    struct err err;
    struct buf now = BUF_EMPTY;
    bool same = !file_read(wizard->options.path, FILE_LIMIT, &now, &err) && now.length == wizard->before.length &&
                (!now.length || !memcmp(now.data, wizard->before.data, now.length));
    buf_free(&now);
    return same;
}

static void go(struct wizard *wizard)
{
    struct err err;
    if (!file_is_as_planned(wizard)) {
        wizard_text(&wizard->problem, "%s was edited meanwhile: this is the plan for what it says now", wizard->options.path);
        wizard_enter(wizard, AT_PLANNING);
        return;
    }
    if (wizard->options.kind == WIZARD_ADD) {
        if (mesh_file_edit(&wizard->planned, &wizard->edits, &err)) {
            wizard_text(&wizard->problem, "nothing was changed: %s", err.text);
            wizard_enter(wizard, AT_PLAN);
            return;
        }
        wizard->edited = true;
    }
    change_go(wizard->change);
}

void wizard_apply(struct wizard *wizard)
{
    wizard_text(&wizard->working, "applying");
    wizard_soon(wizard, go);
}

/* The change stays until the wizard goes: its nodes are shown with the report. */
static void on_done(struct wizard *wizard)
{
    enum change_result result = change_result(wizard->change);
    change_report(wizard->change, &wizard->report);
    if (is_kept(result)) {
        wizard->file_changed = wizard->edited || result != CHANGE_NOTHING;
        wizard->edited = false;
    } else {
        take_back(wizard);
    }
    wizard->succeeded = result == CHANGE_NOTHING || result == CHANGE_CONFIRMED;
    if (is_kept(result))
        wizard_keep_forget(wizard);
    wizard_enter(wizard, AT_END);
}

static void told_done(void *context, struct change *change)
{
    (void)change;
    wizard_soon(context, on_done);
}
