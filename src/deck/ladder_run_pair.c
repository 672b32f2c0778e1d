/* One pair of the ladder's run: from the first views to a way that is better, or to why there is none. */
#include <stdlib.h>
#include <string.h>

#include "ladder_run_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define FRESH (3 * CLOCK_SECOND)          /* an end that has not answered for longer gets no orders */
#define FIRST_VIEWS (20 * CLOCK_SECOND)   /* helpers may have to be copied over a slow line first */
#define LEAVE_WITHIN (10 * CLOCK_SECOND)
#define BEGIN_WITHIN (100 * CLOCK_SECOND) /* somebody else's trial may be under way: ladder.c waits 90 s */
#define OVER_WITHIN (240 * CLOCK_SECOND)

static void say(struct run_pair *pair, const char *text)
{
    char *safe = text_safe(text);
    bool same = pair->text && !strcmp(pair->text, safe);
    if (same) {
        free(safe);
        return;
    }
    free(pair->text);
    pair->text = safe;
    if (pair->run->callbacks.changed)
        pair->run->callbacks.changed(pair->run->context, pair->run, (size_t)(pair - pair->run->pairs));
}

void ladder_run_end(struct run_pair *pair, enum ladder_pair_state state, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    pair->state = state;
    pair->ended = clock_steady();
    free(pair->text); /* said in any case: the state is new */
    pair->text = NULL;
    say(pair, buf_text(&text));
    buf_free(&text);
}

/* --- the beginning */

/* The endpoint by which an end reaches the hub, with the relay's port: what is known to work from there. */
static struct endpoint relay_of(const struct run_pair *pair)
{
    const struct ladder_run *run = pair->run;
    const struct mesh_node *hub = &run->mesh->nodes[pair->hub];
    struct endpoint relay = {.port = run->mesh->relay_port};
    if (pair->hub != mesh_relay(run->mesh) || !relay.port || run->options.aim == LADDER_AIM_DIRECT)
        return (struct endpoint){.port = 0};
    if (hub->endpoint.address.family) {
        relay.address = hub->endpoint.address;
        return relay;
    }
    for (size_t e = 0; e < 2; e++) {
        const struct observation *seen = &look_observed(run->look)->nodes[pair->ends[e]];
        const struct device *device = observation_device(seen, run->nodes[pair->ends[e]].interface);
        const struct device_peer *row = device ? device_find_peer(device, &run->nodes[pair->hub].key) : NULL;
        if (row && row->endpoint.address.family)
            relay.address = row->endpoint.address;
    }
    return relay;
}

static const struct run_node *missing(const struct run_pair *pair)
{
    const size_t nodes[] = {pair->ends[0], pair->ends[1], pair->hub};
    for (size_t i = 0; i < COUNT_OF(nodes); i++)
        if (!pair->run->nodes[nodes[i]].ready)
            return &pair->run->nodes[nodes[i]];
    return NULL;
}

void ladder_run_begin(struct run_pair *pair)
{
    const struct ladder_run *run = pair->run;
    const struct run_node *lacks = missing(pair);
    pair->begun = clock_steady();
    if (lacks) {
        ladder_run_end(pair, LADDER_PAIR_FAILED, "%s: %s", run->mesh->nodes[lacks->index].name, lacks->problem ? lacks->problem : "cannot be asked");
        return;
    }
    pair->ladder = ladder_new(&(struct ladder_options){
        .relay = relay_of(pair), .direct = run->options.aim != LADDER_AIM_RELAY, .lasting_rows = mesh_wants_link(run->mesh, pair->ends[0], pair->ends[1]), .never = run->mesh->networks, .never_count = run->mesh->network_count});
    pair->state = LADDER_PAIR_RUNNING;
    say(pair, "looking at both ends");
}

/* --- while it runs */

static void take_views(const struct run_pair *pair, int64_t now, struct ladder_end views[2])
{
    for (size_t e = 0; e < 2; e++) {
        const struct run_node *node = &pair->run->nodes[pair->ends[e]];
        views[e] = pair->states[e].view;
        views[e].answers = pair->states[e].seen && node->heard != INT64_MIN && now - node->heard < FRESH;
        memcpy(views[e].candidates, node->candidates, sizeof views[e].candidates);
        views[e].candidate_count = node->candidate_count;
    }
}

static bool both_are(const struct ladder_end views[2], enum ladder_step step)
{
    return views[0].carries == step && views[1].carries == step;
}

/* A way that somebody has found before, and that is not what was asked for, is left first: the machine would keep it. */
static bool must_leave(const struct run_pair *pair, const struct ladder_end views[2])
{
    static const enum ladder_step kept[] = {
        [LADDER_AIM_BEST] = LADDER_DIRECT, [LADDER_AIM_DIRECT] = LADDER_DIRECT, [LADDER_AIM_RELAY] = LADDER_RELAY, [LADDER_AIM_HUB] = LADDER_HUB,
    };
    bool carries = false;
    for (size_t e = 0; e < 2; e++)
        carries |= views[e].carries == LADDER_DIRECT || views[e].carries == LADDER_RELAY || (views[e].carries == LADDER_TRYING && pair->run->options.aim == LADDER_AIM_HUB);
    return carries && !both_are(views, kept[pair->run->options.aim]);
}

void ladder_run_leave(struct run_pair *pair)
{
    struct ladder_order order = {.deed = LADDER_YIELD, .forget = true, .reason = "asked for by the operator"};
    pair->leaving = true;
    pair->left_at = clock_steady();
    for (size_t e = 0; e < 2; e++)
        ladder_run_order(pair, e, &order);
}

static const char *refusal_of(const struct run_pair *pair)
{
    return pair->refusal ? pair->refusal : "no reason is known";
}

/* True: nothing more is to be done now. */
static bool leave(struct run_pair *pair, int64_t now, const struct ladder_end views[2])
{
    bool hub_is_aim = pair->run->options.aim == LADDER_AIM_HUB || pair->run->stopped, hub = both_are(views, LADDER_HUB);
    if (!pair->leaving && !ladder_climbs(pair->ladder) && must_leave(pair, views)) {
        ladder_run_leave(pair);
        say(pair, hub_is_aim ? "going back to the hub" : "back to the hub first, to look for the way that was asked for");
        return true;
    }
    if (pair->leaving && !hub) {
        if (now - pair->left_at >= LEAVE_WITHIN)
            ladder_run_end(pair, LADDER_PAIR_FAILED, "an end does not go back to the hub: %s", refusal_of(pair));
        return true;
    }
    if (pair->leaving && pair->run->stopped)
        ladder_run_end(pair, LADDER_PAIR_NO_WAY, "stopped: goes by the hub");
    else if (hub_is_aim && hub)
        ladder_run_end(pair, pair->leaving ? LADDER_PAIR_CHANGED : LADDER_PAIR_KEPT, pair->leaving ? "goes by the hub again" : "goes by the hub already");
    pair->leaving = false;
    return pair->state != LADDER_PAIR_RUNNING;
}

static void settle(struct run_pair *pair, const struct ladder_end views[2])
{
    enum ladder_step step = ladder_step(pair->ladder);
    const char *reason = ladder_reason(pair->ladder);
    if (step == LADDER_DIRECT || step == LADDER_RELAY) {
        bool kept = ladder_climbs(pair->ladder) == 0;
        ladder_run_end(pair, kept ? LADDER_PAIR_KEPT : LADDER_PAIR_CHANGED, "%s", kept ? "both ends carry it already" : reason);
    } else if (step == LADDER_HUB && ladder_climbs(pair->ladder) && !pair->states[0].pending && !pair->states[1].pending) {
        struct buf text = BUF_EMPTY;
        const char *again = strstr(reason, "; tried again"); /* this one tries once */
        buf_add(&text, reason, again ? (size_t)(again - reason) : strlen(reason));
        if (pair->refusal)
            buf_add_format(&text, " (%s)", pair->refusal);
        ladder_run_end(pair, LADDER_PAIR_NO_WAY, "%s", buf_text(&text));
        buf_free(&text);
    } else if (step == LADDER_HUB && !ladder_climbs(pair->ladder) && both_are(views, LADDER_HUB) && strcmp(reason, "not tried yet") != 0) {
        ladder_run_end(pair, LADDER_PAIR_NO_WAY, "%s", reason); /* it found nothing to try */
    }
}

static bool has_views(const struct run_pair *pair, const struct ladder_end views[2])
{
    return views[0].answers && views[1].answers && pair->hub_seen;
}

static const struct run_node *who_is_silent(const struct run_pair *pair, const struct ladder_end views[2])
{
    return &pair->run->nodes[!views[0].answers ? pair->ends[0] : !views[1].answers ? pair->ends[1] : pair->hub];
}

static void never_seen(struct run_pair *pair, const struct ladder_end views[2])
{
    const struct run_node *silent = who_is_silent(pair, views);
    ladder_run_end(pair, LADDER_PAIR_FAILED, "%s: %s", pair->run->mesh->nodes[silent->index].name, silent->problem ? silent->problem : "it does not answer");
}

void ladder_run_turn(struct run_pair *pair, int64_t now)
{
    struct ladder_end views[2];
    struct ladder_order orders[2];
    take_views(pair, now, views);
    if (!pair->has_before) {
        if (!has_views(pair, views)) {
            if (now - pair->begun >= FIRST_VIEWS)
                never_seen(pair, views);
            return;
        }
        pair->has_before = true;
        pair->before = views[0].carries == views[1].carries && views[0].carries != LADDER_TRYING ? views[0].carries : LADDER_HUB;
    }
    if (leave(pair, now, views))
        return;
    ladder_turn(pair->ladder, now, views, orders);
    for (size_t e = 0; e < 2; e++)
        ladder_run_order(pair, e, &orders[e]);
    if (ladder_step(pair->ladder) == LADDER_TRYING)
        say(pair, ladder_reason(pair->ladder));
    else
        settle(pair, views);
    if (pair->state == LADDER_PAIR_RUNNING && !ladder_climbs(pair->ladder) && now - pair->begun >= BEGIN_WITHIN)
        ladder_run_end(pair, LADDER_PAIR_FAILED, "an end is busy with a trial of somebody else");
    else if (pair->state == LADDER_PAIR_RUNNING && now - pair->begun >= OVER_WITHIN)
        ladder_run_end(pair, LADDER_PAIR_FAILED, "no end after %d s: %s", (int)(OVER_WITHIN / CLOCK_SECOND), refusal_of(pair));
}
