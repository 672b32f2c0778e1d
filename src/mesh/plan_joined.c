/* The plan and nodes that SSH does not reach: who joined through a hub by an invitation, and what the ladder has put into the rows that run (ladder.h). */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Who has left, or was taken out, has no row there any more: its invitation is remembered for a while, and its key is nobody's. */
static bool has_row(const struct observation *seen, const struct observed_joined *joined)
{
    const struct observed_config *config = observation_config(seen, joined->interface);
    const struct device *saved = config && !config->error ? observation_saved(seen, config) : NULL;
    for (size_t i = 0; i < seen->device_count; i++)
        if (strcmp(seen->devices[i].name, joined->interface) == 0 && device_find_peer(&seen->devices[i], &joined->key))
            return true;
    return saved && device_find_peer(saved, &joined->key);
}

void plan_each_joined(struct planning *planning, plan_joined_visitor *visit, void *context)
{
    for (size_t i = 0; i < planning->mesh->node_count; i++) {
        const struct observation *seen = &planning->seen->nodes[i];
        for (size_t j = 0; seen->reach == REACH_OK && j < seen->joined_count; j++)
            if (strcmp(seen->joined[j].interface, planning->desired->nodes[i].interface) == 0 && text_is_name(seen->joined[j].name) &&
                has_row(seen, &seen->joined[j]))
                visit(planning, i, &seen->joined[j], context);
    }
}

/* Its name alone would not do: another machine may have been invited under it before. */
static bool is_meant(const struct mesh_node *node, const struct observed_joined *joined)
{
    if (strcmp(node->name, joined->name) != 0)
        return false;
    for (size_t i = 0; i < node->address_count; i++)
        for (size_t k = 0; k < joined->address_count; k++)
            if (address_compare(&node->addresses[i].address, &joined->addresses[k].address) == 0)
                return true;
    return false;
}

struct search {
    size_t node, hub;
    const struct observed_joined *found;
    bool differ;
};

static void take_joined(struct planning *planning, size_t hub, const struct observed_joined *joined, void *context)
{
    struct search *search = context;
    if (hub == search->node || !is_meant(&planning->mesh->nodes[search->node], joined))
        return;
    search->differ |= search->found && key_compare(&search->found->key, &joined->key) != 0;
    search->found = joined;
    search->hub = hub;
}

void plan_learn_joined(struct planning *planning, size_t index)
{
    struct plan_node *node = &planning->plan->nodes[index];
    struct search search = {.node = index};
    plan_each_joined(planning, take_joined, &search);
    if (!search.found)
        return;
    const char *hub = planning->mesh->nodes[search.hub].name;
    if (!node->has_key && search.differ) {
        plan_note(node, "it joined through more than one node, with different keys: its key is not taken from there; write its PublicKey");
        return;
    }
    if (node->has_key && key_compare(&node->public_key, &search.found->key) != 0) {
        char pinned[KEY_TEXT_SIZE], shown[KEY_TEXT_SIZE];
        key_text(&node->public_key, pinned);
        key_text(&search.found->key, shown);
        plan_note(node, "it joined through %s with the key %.8s..., and the mesh file pins %.8s...: if the new one is right: wgdeck set %s PublicKey=%s", hub, shown, pinned,
                  planning->mesh->nodes[index].name, shown);
        return;
    }
    node->learn_key = !node->has_key;
    node->has_key = true;
    node->public_key = search.found->key;
    if (node->state == PLAN_UNMANAGED) {
        free(node->why);
        node->why = mem_format("it joined through %s and has no Ssh: it is left as it is, the others get their rows for it", hub);
    }
}

void plan_note_joined(struct planning *planning, size_t index, const struct plan_known *known)
{
    const char *name = known->joined->name, *hub = planning->mesh->nodes[known->index].name;
    char key[KEY_TEXT_SIZE];
    key_text(&known->key, key);
    if (mesh_find_node(planning->mesh, name) == SIZE_MAX)
        plan_note(&planning->plan->nodes[index], "%s joined through %s: its row stays (to write it into the mesh file: wgdeck invite record %s)", name, hub, name);
    else
        plan_note(&planning->plan->nodes[index], "a row of the key %.8s..., with which %s joined through %s, and which is not %s's in the mesh file: left alone", key, name, hub, name);
}

static bool is_of_ladder(const struct planning *planning, size_t index, const struct key *key)
{
    const struct plan_known *known = plan_find_known(planning, key);
    return known && known->as == KNOWN_NODE && mesh_may_link(planning->mesh, index, known->index);
}

void plan_find_ladder(struct planning *planning)
{
    for (size_t i = 0; planning->mesh->relay_network_count && i < planning->mesh->node_count; i++) {
        struct plan_view *view = &planning->views[i];
        for (size_t r = 0; view->running && !view->ladder && r < view->running->peer_count; r++)
            view->ladder = is_of_ladder(planning, i, &view->running->peers[r].public_key);
    }
}

bool plan_is_lent(const struct planning *planning, size_t index, const struct device *device, const struct prefix *prefix)
{
    for (size_t i = 0; planning->views[index].ladder && i < device->peer_count; i++) {
        const struct device_peer *row = &device->peers[i];
        bool has = false;
        for (size_t k = 0; !has && k < row->allowed_count; k++)
            has = prefix_compare(&row->allowed[k], prefix) == 0;
        if (has && is_of_ladder(planning, index, &row->public_key))
            return true;
    }
    return false;
}
