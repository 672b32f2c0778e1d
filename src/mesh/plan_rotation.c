/* The plan of one node's new key: every other end gets a row for it beside the old one, which takes over when it has a handshake. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

struct rotation {
    struct planning planning;
    size_t node;
    struct key old, next;
};

static bool is_live(const struct rotation *rotation, size_t peer)
{
    const struct plan_view *view = &rotation->planning.views[rotation->node];
    const struct plan_node *other = &rotation->planning.plan->nodes[peer];
    const struct device_peer *row = other->has_key ? device_find_peer(view->running, &other->public_key) : NULL;
    return row && plan_is_live(view, row);
}

static int check(const struct rotation *rotation, struct err *err)
{
    const struct plan *plan = rotation->planning.plan;
    const char *name = plan->mesh->nodes[rotation->node].name;
    const struct plan_node *node = &plan->nodes[rotation->node];
    if (node->state != PLAN_READY)
        return err_set(err, "%s: its key cannot be rotated now: %s", name, node->why ? node->why : "not reached");
    if (!node->has_key || !rotation->planning.views[rotation->node].running)
        return err_set(err, "%s: its key cannot be rotated while %s is not up there (wgdeck apply)", name, rotation->planning.desired->nodes[rotation->node].interface);
    for (size_t i = 0; i < plan->node_count; i++)
        if (i != rotation->node && plan->nodes[i].state != PLAN_READY && is_live(rotation, i) && !mesh_may_link(plan->mesh, rotation->node, i))
            return err_set(err, "%s: its key cannot be rotated now: its link with %s works, and would be lost, since %s cannot be changed: %s", name, plan->mesh->nodes[i].name,
                           plan->mesh->nodes[i].name, plan->nodes[i].why ? plan->nodes[i].why : "not reached");
    return 0;
}

/* One place (what runs, or what is saved) of another end: its row of the old key, of the new one, and what it is to be. */
struct place {
    const struct device_peer *old, *next;
    char *endpoint; /* owned */
    bool running;
};

/* Where the node really is, when the row says so now; in the file what the mesh file says, else what stands there. */
static char *endpoint_for(const struct place *place, const struct plan_view *view, const struct desired_row *wanted)
{
    char text[ENDPOINT_TEXT_SIZE];
    bool keep = place->old && place->old->endpoint.address.family && (!wanted || !wanted->endpoint || (place->running && plan_is_live(view, place->old)));
    if (!keep)
        return mem_text(wanted ? wanted->endpoint : NULL);
    endpoint_text(&place->old->endpoint, text);
    return mem_text(text);
}

static struct place look(const struct rotation *rotation, const struct plan_view *view, const struct device *device, const struct desired_row *wanted)
{
    struct place place = {.running = device == view->running};
    if (device) {
        place.old = device_find_peer(device, &rotation->old);
        place.next = device_find_peer(device, &rotation->next);
        place.endpoint = endpoint_for(&place, view, wanted);
    }
    return place;
}

static bool is_same(const struct place *a, const struct place *b)
{
    return !a->old == !b->old && !a->next == !b->next && (!a->endpoint == !b->endpoint) && (!a->endpoint || !strcmp(a->endpoint, b->endpoint));
}

static struct plan_operation *add(const struct rotation *rotation, size_t peer, enum plan_kind kind, const struct key *key, bool running, bool saved)
{
    struct plan_operation *operation = plan_add(&rotation->planning.plan->nodes[peer], kind, running, saved);
    operation->peer = rotation->node;
    operation->key = *key;
    operation->name = mem_text(rotation->planning.mesh->nodes[rotation->node].name);
    return operation;
}

/* A place without the old row gets the new one whole. */
static void add_row(const struct rotation *rotation, size_t peer, const struct place *place, const struct desired_row *wanted, bool running, bool saved)
{
    if (!place->old && !wanted)
        return;
    struct plan_operation *operation = add(rotation, peer, PLAN_ROW, &rotation->next, running, saved);
    operation->is_new = !place->next;
    operation->set_allowed = !place->next || !place->old;
    operation->endpoint = mem_text(place->endpoint);
    operation->set_endpoint = place->endpoint != NULL;
    operation->keepalive = place->old ? place->old->keepalive : wanted->keepalive;
    operation->set_keepalive = operation->keepalive > 0;
    if (place->old) {
        operation->preshared = PLAN_PRESHARED_COPY;
        operation->other_key = rotation->old;
    } else {
        operation->allowed = mem_copy(wanted->allowed, wanted->allowed_count, sizeof *wanted->allowed);
        operation->allowed_count = wanted->allowed_count;
    }
}

static void add_rows(const struct rotation *rotation, size_t peer)
{
    const struct plan_view *view = &rotation->planning.views[peer];
    const struct desired_row *wanted = desired_row_find(&rotation->planning.desired->nodes[peer], rotation->node);
    if (!view->running) {
        plan_note(&rotation->planning.plan->nodes[peer], "its interface is not up: wgdeck apply gives it the new key's row");
        return;
    }
    if (mesh_may_link(rotation->planning.mesh, peer, rotation->node)) { /* a row of the ladder's: the next one is for the new key; the traffic goes by the hub meanwhile */
        bool runs = device_find_peer(view->running, &rotation->old) != NULL, saves = view->saved && device_find_peer(view->saved, &rotation->old);
        add(rotation, peer, PLAN_ROW_REMOVE, &rotation->old, runs, saves)->why = mem_text("its old key");
        return;
    }
    struct place runs = look(rotation, view, view->running, wanted), saves = look(rotation, view, view->saved, wanted);
    bool has_file = view->saved != NULL, together = has_file && is_same(&runs, &saves);
    saves.running = false;
    add_row(rotation, peer, &runs, wanted, true, together);
    if (has_file && !together)
        add_row(rotation, peer, &saves, wanted, false, true);
    bool moves = runs.old != NULL, saved_moves = has_file && saves.old;
    if (moves || saved_moves) {
        add(rotation, peer, PLAN_ROW_MOVE, &rotation->next, moves, saved_moves)->other_key = rotation->old;
        add(rotation, peer, PLAN_ROW_REMOVE, &rotation->old, moves, saved_moves)->why = mem_text("its old key");
    }
    free(runs.endpoint);
    free(saves.endpoint);
}

static void plan_all(const struct rotation *rotation)
{
    struct plan *plan = rotation->planning.plan;
    for (size_t i = 0; i < plan->node_count; i++) {
        if (i == rotation->node || plan->nodes[i].state != PLAN_READY)
            continue;
        const struct plan_view *view = &rotation->planning.views[i];
        bool has_row = (view->running && device_find_peer(view->running, &rotation->old)) || (view->saved && device_find_peer(view->saved, &rotation->old));
        if (has_row || desired_row_find(&rotation->planning.desired->nodes[i], rotation->node))
            add_rows(rotation, i);
    }
    struct plan_node *node = &plan->nodes[rotation->node];
    plan_add(node, PLAN_PRIVATE_KEY, true, true);
    if (!rotation->planning.views[rotation->node].config)
        plan_add(node, PLAN_FILE, false, true);
}

struct plan *plan_rotation(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, size_t node, const struct key *next, const struct plan_options *options,
                           struct err *err)
{
    struct rotation rotation = {.node = node, .next = *next};
    plan_begin(&rotation.planning, mesh, desired, seen, options);
    struct plan *plan = rotation.planning.plan;
    rotation.old = plan->nodes[node].public_key;
    int result = check(&rotation, err);
    if (!result) {
        if (key_compare(&rotation.old, next))
            plan_all(&rotation);
        plan->nodes[node].public_key = *next;
        plan_set_generation(&rotation.planning);
        plan->nodes[node].public_key = rotation.old;
    }
    plan_end(&rotation.planning);
    if (result) {
        plan_free(plan);
        return NULL;
    }
    return plan;
}
