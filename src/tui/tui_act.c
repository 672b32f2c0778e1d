/* What each action does: the deck's own ones here, the others are the screen's. */
#include <stdlib.h>
#include <string.h>

#include "privacy.h"
#include "tui_private.h"
#include "wgdeck/mem.h"

static bool screen_acts(struct tui *tui, enum action action)
{
    struct wish wish = {.notice = ""};
    tui_take_picture(tui);
    if (!tui->depth)
        return false;
    struct tui_screen *screen = tui_current(tui);
    if (!screen->ops->act || !screen->ops->act(screen->view, &tui->scene, action, &wish))
        return false;
    tui->dirty = true;
    tui_wish(tui, &wish);
    return true;
}

static void open_named(struct tui *tui, const char *name)
{
    const struct view_ops *ops = view_find(name);
    if (ops && tui->depth)
        tui_open(tui, ops, NULL);
}

static void do_help(struct tui *tui)
{
    open_named(tui, "help");
}

/* A change under way is put back first: leaving in the middle of it has to be wanted twice. */
static void leave(struct tui *tui)
{
    if (!hands_are_busy(tui) || tui->leaving) {
        tui_leave(tui);
        return;
    }
    tui->leaving = true;
    hands_stop(tui);
    tui_notice(tui, true, "a change is under way: it is being put back. Once more leaves that to the guards of the nodes");
}

static void begin_change(struct tui *tui, enum wizard_kind kind)
{
    if (!tui->hands)
        tui_notice(tui, true, "nothing can be changed from here: this is a recording, or a mesh without a mesh file");
    else if (!hands_open(tui->hands, kind, NULL))
        tui_notice(tui, true, "%s", tui->hands->why_not);
}

/* The same key again: a plan that is only looked at is made anew. */
static void do_plan(struct tui *tui)
{
    const struct wizard *wizard = hands_wizard(tui->hands, HANDS_PLAN);
    if (wizard && wizard_step(wizard).way == WIZARD_PLANS && !strcmp(tui_screen_name(tui), "plan"))
        hands_close(tui->hands, HANDS_PLAN);
    begin_change(tui, WIZARD_APPLY);
    open_named(tui, "plan");
}

static void do_wizard(struct tui *tui)
{
    const struct wizard *wizard = hands_wizard(tui->hands, HANDS_WIZARD);
    if (!wizard || wizard_step(wizard).way == WIZARD_ENDS)
        begin_change(tui, WIZARD_ADD);
    open_named(tui, "wizard");
}

static void do_apply(struct tui *tui)
{
    tui_notice(tui, false, "there is no plan here to apply: the plan's own screen makes one");
}

/* From wherever one is. */
static void do_stop_change(struct tui *tui)
{
    bool busy = hands_are_busy(tui);
    hands_stop(tui);
    tui_notice(tui, false, busy ? "putting back what is not confirmed" : "no change is under way");
}

/* One thing at a time: the notice, the filter, then the screen. */
static void do_back(struct tui *tui)
{
    if (screen_acts(tui, ACTION_BACK))
        return;
    if (*tui->filter)
        tui_set_filter(tui, "", false);
    else if (!tui_back(tui))
        leave(tui);
}

static void do_quit_keep(struct tui *tui)
{
    tui->keep_screen = true;
    leave(tui);
}

static void do_command(struct tui *tui)
{
    prompt_open(&tui->prompt, PROMPT_COMMAND, ":", "");
}

static void open_filter(struct tui *tui, bool inverted)
{
    snprintf(tui->filter_before, sizeof tui->filter_before, "%s", tui->filter);
    tui->filter_not_before = tui->scene.filter_not;
    prompt_open(&tui->prompt, PROMPT_FILTER, inverted ? "hide: " : "filter: ", tui->filter);
    tui->prompt_inverted = inverted;
    tui_set_filter(tui, tui->filter, inverted);
}

static void do_filter(struct tui *tui)
{
    open_filter(tui, false);
}

static void do_filter_not(struct tui *tui)
{
    open_filter(tui, true);
}

static void do_faults_only(struct tui *tui)
{
    tui->scene.faults_only = !tui->scene.faults_only;
    tui_scene_changed(tui);
    tui_notice(tui, false, tui->scene.faults_only ? "only what is not well" : "everything");
}

static void do_refresh(struct tui *tui)
{
    if (!tui->live)
        return;
    dialog_ask_again(&tui->dialog);
    live_look_now(tui->live);
    tui_notice(tui, false, live_is_replay(tui->live) ? "a step on" : "looking now");
}

static void do_freeze(struct tui *tui)
{
    if (tui->live && live_is_replay(tui->live)) {
        bool paused = !live_replay_state(tui->live).paused;
        live_replay_pause(tui->live, paused);
        tui_notice(tui, false, paused ? "paused" : "goes on");
        return;
    }
    tui_freeze(tui, !tui->scene.frozen);
    tui_notice(tui, false, tui->scene.frozen ? "frozen: this picture stays; looking goes on behind it" : "live again");
}

/* The speed of a replay, or the interval between looks, over a row of round numbers. */
static double next_of(const double *steps, size_t count, double now, bool up)
{
    if (up) {
        for (size_t i = 0; i < count; i++)
            if (steps[i] > now * 1.01)
                return steps[i];
        return steps[count - 1];
    }
    for (size_t i = count; i-- > 0;)
        if (steps[i] < now * 0.99)
            return steps[i];
    return steps[0];
}

static void change_pace(struct tui *tui, bool up)
{
    static const double intervals[] = {0.5, 1, 2, 3, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600};
    if (!tui->live)
        return;
    if (live_is_replay(tui->live)) {
        double speed = live_replay_state(tui->live).speed * (up ? 2 : 0.5);
        speed = speed < 0.125 ? 0.125 : speed > 1000 ? 1000 : speed;
        live_replay_set_speed(tui->live, speed);
        tui_notice(tui, false, "speed %g", speed);
        return;
    }
    double interval = next_of(intervals, COUNT_OF(intervals), live_interval(tui->live), up);
    live_set_interval(tui->live, interval);
    tui_notice(tui, false, "a look every %g s", interval);
}

static void do_slower(struct tui *tui)
{
    change_pace(tui, true);
}

static void do_faster(struct tui *tui)
{
    change_pace(tui, false);
}

static void step(struct tui *tui, int steps)
{
    if (!tui->live || !live_is_replay(tui->live))
        tui_notice(tui, false, "steps are for a replay (wgdeck replay FILE)");
    else
        live_replay_step(tui->live, steps);
}

static void do_step(struct tui *tui)
{
    step(tui, 1);
}

static void do_step_back(struct tui *tui)
{
    step(tui, -1);
}

static void do_save(struct tui *tui)
{
    char name[96];
    snprintf(name, sizeof name, "wgdeck-%s.txt", tui_screen_name(tui));
    prompt_open(&tui->prompt, PROMPT_SAVE, "save as (.txt .json .csv): ", name);
}

static void do_shell(struct tui *tui)
{
    struct subject subject;
    bool node = tui_subject(tui, &subject) && subject.a != SIZE_MAX && (subject.kind == SUBJECT_NODE || subject.kind == SUBJECT_LINK || subject.kind == SUBJECT_FAULT);
    if (!node)
        tui_notice(tui, false, "put the cursor on a node first, or write :shell NODE");
    else
        tui_shell(tui, subject.a);
}

static void do_privacy(struct tui *tui)
{
    tui->scene.privacy = !tui->scene.privacy;
    tui_scene_changed(tui);
    tui_notice(tui, false, tui->scene.privacy ? "names, addresses and keys are hidden" : "names, addresses and keys are shown");
}

static void do_theme(struct tui *tui)
{
    struct err err;
    char **names = theme_names();
    size_t count = 0, now = 0;
    while (names[count]) {
        if (!strcmp(names[count], tui->theme.name))
            now = count;
        count++;
    }
    if (count && tui_use_theme(tui, names[(now + 1) % count], &err))
        tui_notice(tui, true, "%s", err.text);
    else
        tui_notice(tui, false, "theme %s", tui->theme.name);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void do_redraw(struct tui *tui)
{
    tui->dirty = true;
    if (tui->has_terminal)
        terminal_redraw();
}

static void do_suspend(struct tui *tui)
{
    tui->dirty = true;
    if (tui->has_terminal)
        terminal_suspend();
}

static void do_columns(struct tui *tui)
{
    const char *values[1];
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    if (screen && screen->ops->values && screen->ops->values(screen->view, ACTION_COLUMNS, values, 1))
        prompt_open(&tui->prompt, PROMPT_COMMAND, ":", "columns ");
}

static void do_enter(struct tui *tui)
{
    struct subject subject;
    if (tui_subject(tui, &subject))
        tui_open_subject(tui, &subject);
}

/* FIRST: the deck's own, before the screen is asked; else only what the screen does not do itself. */
static const struct { void (*act)(struct tui *tui); bool first; } doings[ACTION_COUNT] = {
    [ACTION_HELP] = {do_help, true},
    [ACTION_BACK] = {do_back, true},
    [ACTION_QUIT] = {leave, true},
    [ACTION_PLAN] = {do_plan, true},
    [ACTION_APPLY] = {do_apply, false},
    [ACTION_STOP_CHANGE] = {do_stop_change, true},
    [ACTION_WIZARD] = {do_wizard, true},
    [ACTION_QUIT_KEEP] = {do_quit_keep, true},
    [ACTION_COMMAND] = {do_command, true},
    [ACTION_FILTER] = {do_filter, true},
    [ACTION_FILTER_NOT] = {do_filter_not, true},
    [ACTION_FAULTS_ONLY] = {do_faults_only, true},
    [ACTION_ENTER] = {do_enter, false},
    [ACTION_COLUMNS] = {do_columns, false},
    [ACTION_REFRESH] = {do_refresh, true},
    [ACTION_FREEZE] = {do_freeze, true},
    [ACTION_SLOWER] = {do_slower, true},
    [ACTION_FASTER] = {do_faster, true},
    [ACTION_STEP] = {do_step, true},
    [ACTION_STEP_BACK] = {do_step_back, true},
    [ACTION_COPY] = {tui_copy, false},
    [ACTION_SAVE] = {do_save, false},
    [ACTION_SHELL] = {do_shell, false},
    [ACTION_PRIVACY] = {do_privacy, true},
    [ACTION_THEME] = {do_theme, true},
    [ACTION_REDRAW] = {do_redraw, true},
    [ACTION_SUSPEND] = {do_suspend, true},
};

bool tui_act(struct tui *tui, enum action action)
{
    tui->dirty = true;
    if (doings[action].act && doings[action].first) {
        doings[action].act(tui);
        return true;
    }
    if (screen_acts(tui, action))
        return true;
    if (doings[action].act) {
        doings[action].act(tui);
        return true;
    }
    for (size_t i = 0; views[i]; i++)
        if (views[i]->action == action && action != ACTION_NONE) {
            open_named(tui, views[i]->name);
            return true;
        }
    return false;
}
