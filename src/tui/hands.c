/* The wizards of the deck: made, asked, and given up here; drawn by the screens "plan" and "wizard". */
#include "hands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui_loop.h"
#include "tui_private.h"
#include "wgdeck/mem.h"

#define SOURCE_BIT 62 /* and the one above: the fan-outs count their questions each for itself */

static enum hands_place place_of(enum wizard_kind kind)
{
    return kind == WIZARD_APPLY ? HANDS_PLAN : HANDS_WIZARD;
}

bool hands_are_there(const struct tui *tui)
{
    return tui->hands && tui->options.mesh_path && !tui->scene.read_only && !(tui->live && live_is_replay(tui->live));
}

struct wizard *hands_wizard(const struct hands *hands, enum hands_place place)
{
    return hands ? hands->wizards[place] : NULL;
}

/* The screens show a mesh that is no longer that of the file; outside of the wizard's own call. */
static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct hands *hands = timer->data;
    (void)loop, (void)events;
    if (hands->reload && hands->tui->options.reload)
        hands->tui->options.reload(hands->tui->options.context);
    hands->reload = false;
}

static void tell_end(struct hands *hands, enum hands_place place)
{
    static const char *const names[HANDS_PLACES] = {"plan", "wizard"};
    struct wizard *wizard = hands->wizards[place];
    if (hands->told[place])
        return;
    hands->told[place] = true;
    if (strcmp(tui_screen_name(hands->tui), names[place]))
        tui_notice(hands->tui, !wizard_succeeded(wizard), "%s: %s (the screen \"%s\" has the report)", wizard_title(wizard), wizard_succeeded(wizard) ? "done" : "not done", names[place]);
    if (wizard_changed_file(wizard) && hands->tui->loop) {
        hands->reload = true;
        ev_timer_start(hands->tui->loop, &hands->later);
    }
}

static void on_changed(void *context, struct wizard *wizard)
{
    struct hands *hands = context;
    for (int place = 0; place < HANDS_PLACES; place++)
        if (hands->wizards[place] == wizard) {
            hands->serial[place]++;
            if (wizard_step(wizard).way == WIZARD_ENDS)
                tell_end(hands, (enum hands_place)place);
        }
    hands->tui->dirty = true;
    if (hands->tui->watchers)
        tui_loop_news(hands->tui);
}

void hands_begin(struct tui *tui)
{
    if (!tui->options.mesh_path || !tui->loop)
        return;
    tui->hands = mem_alloc(1, sizeof *tui->hands);
    tui->hands->tui = tui;
    ev_timer_init(&tui->hands->later, on_later, 0., 0.);
    tui->hands->later.data = tui->hands;
    tui->scene.hands = tui->hands;
}

void hands_close(struct hands *hands, enum hands_place place)
{
    struct wizard *wizard = hands->wizards[place];
    hands->wizards[place] = NULL;
    hands->serial[place]++;
    wizard_free(wizard);
}

void hands_free(struct tui *tui)
{
    if (!tui->hands)
        return;
    for (int place = 0; place < HANDS_PLACES; place++)
        hands_close(tui->hands, (enum hands_place)place);
    ev_timer_stop(tui->loop, &tui->hands->later);
    free(tui->hands);
    tui->hands = NULL;
    tui->scene.hands = NULL;
}

static bool refuse(struct hands *hands, const char *why)
{
    snprintf(hands->why_not, sizeof hands->why_not, "%.*s", (int)sizeof hands->why_not - 1, why);
    return false;
}

static bool runs(const struct hands *hands, enum hands_place place)
{
    const struct wizard *wizard = hands->wizards[place];
    return wizard && wizard_step(wizard).way == WIZARD_RUNS;
}

bool hands_open(struct hands *hands, enum wizard_kind kind, const char *node)
{
    static const struct wizard_callbacks callbacks = {.changed = on_changed};
    struct err err;
    struct tui *tui = hands->tui;
    enum hands_place place = place_of(kind);
    struct wizard *there = hands->wizards[place];
    hands->why_not[0] = '\0';
    if (!hands_are_there(tui))
        return refuse(hands, tui->scene.read_only ? "read-only: nothing is changed from here" : "there is no mesh file that could be changed from here");
    if (there && wizard_step(there).way != WIZARD_ENDS && (runs(hands, place) || (!node && wizard_kind(there) == kind)))
        return runs(hands, place) && (node || wizard_kind(there) != kind) ? refuse(hands, "a change is under way: it has to end first") : true;
    if (runs(hands, HANDS_PLAN) || runs(hands, HANDS_WIZARD))
        return refuse(hands, "a change is under way: it has to end first");
    if (there)
        hands_close(hands, place);
    struct wizard_options options = {
        .kind = kind, .path = tui->options.mesh_path, .node = node, .state = tui->options.state, .within = 0,
        .look = {.fanout = {.ssh_config = tui->options.ssh_config}},
    };
    hands->told[place] = false;
    hands->wizards[place] = wizard_new(tui->loop, &options, &callbacks, hands, &err);
    hands->serial[place]++;
    return hands->wizards[place] ? true : refuse(hands, err.text);
}

bool hands_are_busy(const struct tui *tui)
{
    return tui->hands && (runs(tui->hands, HANDS_PLAN) || runs(tui->hands, HANDS_WIZARD));
}

void hands_stop(struct tui *tui)
{
    for (int place = 0; tui->hands && place < HANDS_PLACES; place++)
        if (runs(tui->hands, (enum hands_place)place))
            wizard_stop(tui->hands->wizards[place]);
}

/* --- questions */

const struct fanout_question *hands_question(struct tui *tui)
{
    for (int place = 0; tui->hands && place < HANDS_PLACES; place++) {
        const struct fanout_question *question = tui->hands->wizards[place] ? wizard_question(tui->hands->wizards[place]) : NULL;
        if (!question)
            continue;
        tui->hands->posed = *question;
        tui->hands->posed.id |= UINT64_C(1) << (SOURCE_BIT + place);
        return &tui->hands->posed;
    }
    return NULL;
}

bool hands_answer(struct tui *tui, uint64_t id, const char *text)
{
    for (int place = 0; tui->hands && place < HANDS_PLACES; place++)
        if (id >> SOURCE_BIT == UINT64_C(1) << place) {
            if (tui->hands->wizards[place])
                wizard_question_answer(tui->hands->wizards[place], id & ~(UINT64_C(3) << SOURCE_BIT), text);
            return true;
        }
    return false;
}

size_t hands_question_count(const struct tui *tui)
{
    size_t count = 0;
    for (int place = 0; tui->hands && place < HANDS_PLACES; place++)
        if (tui->hands->wizards[place])
            count += wizard_question_count(tui->hands->wizards[place]);
    return count;
}
