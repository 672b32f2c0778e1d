/* Both ends of each link that a change has touched, over fresh connections: that they come about proves that the way in still works. */
#include <stdlib.h>
#include <string.h>

#include "change_private.h"
#include "look_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define VERIFY_WITHIN 10 /* seconds */
#define LIVE (180 * CLOCK_SECOND)

/* --- which links */

/* Does NODE's whole interface change, so that all its links do? */
static bool changes_all(const struct plan_node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        enum plan_kind kind = node->operations[i].kind;
        if (node->operations[i].running && (kind == PLAN_INTERFACE || kind == PLAN_PRIVATE_KEY || kind == PLAN_LISTEN_PORT || kind == PLAN_MTU || kind == PLAN_ADDRESS))
            return true;
    }
    return false;
}

static const struct plan_operation *row_operation(const struct plan_node *node, size_t peer)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct plan_operation *operation = &node->operations[i];
        if (operation->peer == peer && operation->running && (operation->kind == PLAN_ROW || operation->kind == PLAN_ROW_MOVE))
            return operation;
    }
    return NULL;
}

static bool was_live(const struct change *change, size_t node, size_t peer)
{
    const struct observation *seen = &look_observed(change->look)->nodes[node];
    const struct plan_node *other = &change->plan->nodes[peer];
    const struct device *device = seen->reach == REACH_OK ? observation_device(seen, change->mesh->nodes[node].interface) : NULL;
    const struct device_peer *row = device && other->has_key ? device_find_peer(device, &other->public_key) : NULL;
    return row && row->handshake > 0 && seen->node_time - row->handshake < LIVE;
}

static bool leaves(const struct change *change, size_t node)
{
    return change->options.plan.leaving && change->options.plan.leaving[node];
}

static bool can_meet(const struct change *change, size_t a, size_t b)
{
    return change->mesh->nodes[a].endpoint_host || change->mesh->nodes[b].endpoint_host || was_live(change, a, b);
}

/* Does NODE get a route to what is at or behind PEER? */
static bool gets_route(const struct change *change, const struct plan_node *node, size_t peer)
{
    const struct mesh_node *there = &change->mesh->nodes[peer];
    for (size_t i = 0; i < node->count; i++) {
        const struct plan_operation *operation = &node->operations[i];
        if (operation->kind != PLAN_ROUTE || !operation->running)
            continue;
        for (size_t a = 0; a < there->address_count; a++)
            if (prefix_covers(&operation->prefix, &there->addresses[a]))
                return true;
    }
    return false;
}

static bool is_touched(const struct change *change, const struct plan *plan, size_t a, size_t b)
{
    return row_operation(&plan->nodes[a], b) || row_operation(&plan->nodes[b], a) || gets_route(change, &plan->nodes[a], b) ||
           gets_route(change, &plan->nodes[b], a) || changes_all(&plan->nodes[a]) || changes_all(&plan->nodes[b]) || change->rotating == a ||
           change->rotating == b;
}

static void add_link(struct change *change, const struct plan *plan, size_t a, size_t b)
{
    const struct plan_operation *at_a = row_operation(&plan->nodes[a], b), *at_b = row_operation(&plan->nodes[b], a);
    change->links = mem_resize(change->links, change->link_count + 1, sizeof *change->links);
    struct change_link *link = &change->links[change->link_count++];
    *link = (struct change_link){.a = a, .b = b};
    link->is_new = (at_a && at_a->is_new) || (at_b && at_b->is_new) || changes_all(&plan->nodes[a]) || changes_all(&plan->nodes[b]) || was_live(change, a, b);
    change->actors[a].verifies = change->actors[b].verifies = true;
    change->nodes[a].links++;
    change->nodes[b].links++;
}

void change_links_free(struct change *change)
{
    for (size_t i = 0; i < change->link_count; i++) {
        free(change->links[i].why[0]);
        free(change->links[i].why[1]);
    }
    free(change->links);
    change->links = NULL;
    change->link_count = 0;
}

static bool is_ready(const struct change *change, size_t node)
{
    return change->plan->nodes[node].state == PLAN_READY && !leaves(change, node);
}

static void find_links(struct change *change)
{
    const struct plan *plan = change_working_plan(change);
    change_links_free(change);
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        change->nodes[i].links = change->nodes[i].verified = 0;
        change->actors[i].verifies = false;
    }
    for (size_t a = 0; a < change->mesh->node_count; a++)
        for (size_t b = a + 1; b < change->mesh->node_count; b++)
            if (is_ready(change, a) && is_ready(change, b) && mesh_wants_link(change->mesh, a, b) && is_touched(change, plan, a, b) && can_meet(change, a, b))
                add_link(change, plan, a, b);
}

/* --- what the ends say */

static const struct key *key_of(const struct change *change, size_t node)
{
    return change->rotating == node ? &change->actors[node].next_key : &change->plan->nodes[node].public_key;
}

static struct change_link *link_of(struct change_actor *actor, const struct key *key, int *side)
{
    struct change *change = actor->change;
    for (size_t i = 0; i < change->link_count; i++) {
        struct change_link *link = &change->links[i];
        if (link->a != actor->index && link->b != actor->index)
            continue;
        size_t other = link->a == actor->index ? link->b : link->a;
        *side = link->a != actor->index;
        if (!key_compare(key_of(change, other), key))
            return link;
    }
    return NULL;
}

static void on_link(void *context, const cJSON *event)
{
    struct change_actor *actor = context;
    struct key key;
    int side;
    if (strcmp(json_get_text(event, "event", ""), "link") != 0 || key_parse(json_get_text(event, "key", ""), &key))
        return;
    struct change_link *link = link_of(actor, &key, &side);
    if (!link || link->ok[side])
        return;
    link->ok[side] = true;
    actor->change->nodes[actor->index].verified++;
    change_touch(actor->change);
}

static void take_failed(struct change_actor *actor, const cJSON *item)
{
    struct key key;
    int side;
    if (key_parse(json_get_text(item, "key", ""), &key))
        return;
    struct change_link *link = link_of(actor, &key, &side);
    if (!link)
        return;
    struct change *change = actor->change;
    const char *other = change->mesh->nodes[side ? link->a : link->b].name;
    link->ok[side] = false;
    if (link->is_new)
        change_node_failed(change, actor->index, "no connection with %s: %s", other, json_get_text(item, "why", "no reason"));
    else
        change_say(change, actor->index, "still no connection with %s: %s", other, json_get_text(item, "why", "no reason"));
}

/* What it did not say at all is not verified. */
static void check_all_told(struct change_actor *actor)
{
    struct change *change = actor->change;
    for (size_t i = 0; i < change->link_count; i++) {
        struct change_link *link = &change->links[i];
        int side = link->a != actor->index;
        if ((link->a == actor->index || link->b == actor->index) && !link->ok[side] && link->is_new && !change->nodes[actor->index].failed)
            change_node_failed(change, actor->index, "no connection with %s", change->mesh->nodes[side ? link->a : link->b].name);
    }
}

static void on_verified(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    const cJSON *item;
    (void)code;
    if (!answer) {
        change_node_failed(actor->change, actor->index, "cannot be reached again by SSH: %s", why);
    } else {
        cJSON_ArrayForEach(item, json_get_list(answer, "failed"))
            take_failed(actor, item);
        check_all_told(actor);
        if (!actor->change->nodes[actor->index].failed)
            change_node_text(actor->change, actor->index, "verified");
    }
    change_answered(actor->change);
}

/* --- asking */

/* Who can call begins: the end that the other one cannot; else the first. */
static bool leads(const struct change *change, size_t node, size_t other)
{
    bool here = change->mesh->nodes[node].endpoint_host != NULL, there = change->mesh->nodes[other].endpoint_host != NULL;
    return here == there ? node < other : there;
}

static void add_end(const struct change *change, size_t node, size_t other, struct json *json)
{
    char text[KEY_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    key_text(key_of(change, other), text);
    json_object(json, NULL);
    json_text(json, "key", text);
    json_list(json, "addresses");
    for (size_t i = 0; i < change->mesh->nodes[other].address_count; i++) {
        address_text(&change->mesh->nodes[other].addresses[i].address, address);
        json_text(json, NULL, address);
    }
    json_list_end(json);
    json_bool(json, "lead", leads(change, node, other));
    json_object_end(json);
}

static void on_fresh_open(void *context, struct fanout_session *session)
{
    (void)context, (void)session;
}

static void on_fresh_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    (void)context, (void)session, (void)failure, (void)why; /* what was asked over it fails, and says so */
}

void change_open_fresh(struct change *change)
{
    static const struct fanout_session_events events = {.open = on_fresh_open, .failed = on_fresh_failed};
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        const struct mesh_node *node = &change->mesh->nodes[i];
        if (!(actor->takes_part || actor->verifies) || actor->fresh || !node->ssh)
            continue;
        actor->fresh = look_open_node(look_fanout(change->look), change->mesh, i, &events, actor);
        actor->verifier = helper_new(change->loop, actor->fresh, &change->look->program, NULL, NULL);
    }
}

void change_verify(struct change *change)
{
    find_links(change);
    change_open_fresh(change);
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        struct buf members = BUF_EMPTY;
        if (!actor->verifier)
            continue;
        struct json json = json_begin(&members);
        json_text(&json, "op", leaves(change, i) ? "hello" : "verify"); /* one that leaves has no interface any more: only the way in is tried */
        json_text(&json, "interface", change->mesh->nodes[i].interface);
        json_unsigned(&json, "within", VERIFY_WITHIN);
        json_list(&json, "links");
        for (size_t l = 0; l < change->link_count; l++)
            if (change->links[l].a == i || change->links[l].b == i)
                add_end(change, i, change->links[l].a == i ? change->links[l].b : change->links[l].a, &json);
        json_list_end(&json);
        change_wait(change);
        change_node_text(change, i, "verifying");
        helper_ask(actor->verifier, buf_text(&members), VERIFY_WITHIN + 5., on_verified, on_link, actor);
        buf_free(&members);
    }
}
