/* Which screen is shown: each exists once and keeps its cursor; a stack tells the way back. */
#include <string.h>

#include "help.h"
#include "tui_private.h"

struct tui_screen *tui_current(struct tui *tui)
{
    return &tui->screens[tui->stack[tui->depth - 1].screen];
}

const char *tui_screen_name(const struct tui *tui)
{
    return tui->depth ? tui->screens[tui->stack[tui->depth - 1].screen].ops->name : "";
}

static size_t screen_of(struct tui *tui, const struct view_ops *ops)
{
    size_t i = 0;
    while (tui->screens[i].ops && tui->screens[i].ops != ops)
        i++;
    tui->screens[i].ops = ops;
    return i;
}

/* The columns and the order that deck.conf wants, once. */
static void set_up(struct tui *tui, struct tui_screen *screen)
{
    const struct config_list *list = config_list_of(&tui->config, screen->ops->name);
    if (!list || !screen->ops->menu)
        return;
    if (list->columns)
        screen->ops->menu(screen->view, &tui->scene, ACTION_COLUMNS, list->columns);
    if (list->sort)
        screen->ops->menu(screen->view, &tui->scene, ACTION_SORT, list->sort);
}

static void show(struct tui *tui, struct tui_screen *screen, const struct subject *subject)
{
    static const struct subject none = {.kind = SUBJECT_NONE, .a = SIZE_MAX, .b = SIZE_MAX};
    bool is_new = !screen->view, other = subject && !subject_equal(subject, &screen->subject);
    if (is_new)
        screen->view = view_new(screen->ops);
    if (is_new || other) {
        screen->subject = subject ? *subject : none;
        if (screen->ops->open)
            screen->ops->open(screen->view, &tui->scene, screen->subject.kind != SUBJECT_NONE ? &screen->subject : NULL);
        screen->number = 0;
    }
    if (is_new)
        set_up(tui, screen);
    tui->dirty = true;
    tui_refresh_screen(tui);
}

void tui_refresh_screen(struct tui *tui)
{
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    if (!tui->has_picture || !screen || !screen->view || screen->number == tui->scene.number)
        return;
    screen->number = tui->scene.number;
    if (screen->ops->refresh)
        screen->ops->refresh(screen->view, &tui->scene);
}

void tui_begin(struct tui *tui)
{
    const char *wanted = tui->options.screen ? tui->options.screen : tui->config.screen;
    const struct view_ops *ops = wanted ? view_find(wanted) : NULL;
    tui_open(tui, ops ? ops : views[0], NULL);
}

/* A screen of the first row (overview, matrix, ...) stands directly on the first one; what was opened from it goes away. */
static size_t depth_for(struct tui *tui, size_t screen, const struct view_ops *ops)
{
    for (size_t i = 0; ops->action != ACTION_NONE && i < tui->depth; i++)
        if (tui->stack[i].screen == screen)
            return i;
    if (ops->action != ACTION_NONE && ops->action != ACTION_HELP)
        return 1;
    if (tui->stack[tui->depth - 1].screen == screen && ops->action != ACTION_NONE)
        return tui->depth - 1;
    return tui->depth < TUI_DEPTH ? tui->depth : TUI_DEPTH - 1;
}

void tui_open(struct tui *tui, const struct view_ops *ops, const struct subject *subject)
{
    struct subject wanted = {.kind = SUBJECT_NONE, .a = SIZE_MAX, .b = SIZE_MAX};
    size_t screen = screen_of(tui, ops);
    const struct view_ops *before = tui->depth ? tui_current(tui)->ops : NULL;
    if (ops == before && ops == &view_help) { /* the same key again: away with it */
        tui_back(tui);
        return;
    }
    if (subject)
        wanted = *subject;
    if (tui->depth) {
        const struct subject *shown = &tui->stack[tui->depth - 1].subject;
        bool same = tui->stack[tui->depth - 1].screen == screen && subject_equal(shown, &wanted);
        tui->depth = same ? tui->depth - 1 : depth_for(tui, screen, ops);
    }
    tui->stack[tui->depth].screen = screen;
    tui->stack[tui->depth++].subject = wanted;
    show(tui, &tui->screens[screen], subject ? &wanted : NULL);
    if (ops == &view_help)
        help_about(tui->screens[screen].view, tui, before);
}

void tui_open_subject(struct tui *tui, const struct subject *subject)
{
    static const char *const names[] = {[SUBJECT_NODE] = "node", [SUBJECT_LINK] = "link", [SUBJECT_FAULT] = "faults", [SUBJECT_EVENT] = "events"};
    const struct view_ops *ops = subject->kind == SUBJECT_NONE ? NULL : view_find(names[subject->kind]);
    if (ops)
        tui_open(tui, ops, subject);
}

bool tui_back(struct tui *tui)
{
    if (tui->depth <= 1)
        return false;
    tui->depth--;
    const struct subject *subject = &tui->stack[tui->depth - 1].subject;
    show(tui, tui_current(tui), subject->kind != SUBJECT_NONE ? subject : NULL);
    return true;
}

void tui_wish(struct tui *tui, const struct wish *wish)
{
    if (wish->open) {
        tui_open_subject(tui, &wish->subject);
    } else if (wish->screen) {
        const struct view_ops *ops = view_find(wish->screen);
        if (ops)
            tui_open(tui, ops, wish->subject.kind != SUBJECT_NONE ? &wish->subject : NULL);
    }
    if (*wish->notice)
        tui_notice(tui, false, "%s", wish->notice);
}

bool tui_is_typing(struct tui *tui)
{
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    return screen && screen->view && screen->ops->typing && screen->ops->typing(screen->view, &tui->scene);
}

bool tui_subject(struct tui *tui, struct subject *subject)
{
    *subject = (struct subject){.kind = SUBJECT_NONE, .a = SIZE_MAX, .b = SIZE_MAX};
    tui_take_picture(tui);
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    return tui->has_picture && screen && screen->ops->subject && screen->ops->subject(screen->view, &tui->scene, subject) && subject->kind != SUBJECT_NONE;
}
