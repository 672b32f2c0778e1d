/* Which nodes are behind NAT (faults.md E8), from where others see them: needs the pairs. */
#include <stdlib.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

static void find_whether_place_is_known(struct node_view *view)
{
    for (size_t i = 0; i < view->own_count; i++)
        view->knows_place |= !address_is_private(&view->own[i]);
    for (size_t i = 0; i < view->reached_count; i++)
        view->knows_place |= !address_is_private(&view->reached[i]);
}

/* faults.md E8: a node is NATed when others have learned it at an address that none of its interfaces has. One that is also seen at a
 * public address of its own merely has two ways out. */
struct sight {
    bool foreign, own_public;
};

static void see(struct node_view *view, const struct device_peer *row, int64_t age, struct sight *sight)
{
    if (!row->endpoint.address.family)
        return;
    const struct address *address = &row->endpoint.address;
    bool at_home = address_list_has(view->own, view->own_count, address), recent = age >= 0 && age <= AGE_LATE;
    view->seen_elsewhere |= !at_home;
    if (at_home)
        sight->own_public |= recent && !address_is_private(address);
    if (at_home || !recent)
        return;
    if (!view_has_address(view, address) && !address_is_private(address)) {
        sight->foreign = true;
        view->seen_as = *address;
    }
    address_list_add(&view->reached, &view->reached_count, address);
}

/* Of all rows of one node, in their order: of large meshes that is much quicker than of all rows about one. */
static void see_from(const struct context *context, size_t seer, struct sight *sights)
{
    const struct node_view *view = &context->views[seer];
    for (size_t r = 0; view->device && r < view->device->peer_count; r++) {
        uint32_t target = view->targets[r];
        if (target != TARGET_NONE && !(target & TARGET_OLD) && target != seer && !paths_is_relay_place(context, &view->device->peers[r].endpoint))
            see(&context->views[target], &view->device->peers[r], handshake_age(view, &view->device->peers[r]), &sights[target]);
    }
}

/* Somebody can call it first when the mesh file or another node's saved row says where. */
static bool has_endpoint_somewhere(const struct context *context, size_t node)
{
    if (context->mesh->from_file)
        return context->mesh->nodes[node].endpoint_host != NULL;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        const struct device_peer *saved = pair ? end_of(pair, i)->saved : NULL;
        if (!saved)
            continue;
        const struct observed_config *config = context->views[i].config;
        size_t row = (size_t)(saved - context->views[i].saved->peers);
        if (saved->endpoint.address.family || (config->endpoint_hosts && config->endpoint_hosts[row]))
            return true;
    }
    return false;
}

/* Nobody has heard it lately: then by the addresses that the deck went to, and its own. */
static bool looks_natted(const struct node_view *view)
{
    struct address dialled;
    bool other = view->seen->dialled && address_parse(view->seen->dialled, &dialled) == 0 && !address_is_private(&dialled) &&
                 !address_list_has(view->own, view->own_count, &dialled) && !view_has_address(view, &dialled);
    if (view->own_count == 0)
        return false;
    for (size_t i = 0; i < view->own_count; i++)
        if (!address_is_private(&view->own[i]))
            return false;
    return other;
}

void context_find_nats(struct context *context)
{
    struct sight *sights = mem_alloc(context->count, sizeof *sights);
    for (size_t i = 0; i < context->count; i++)
        see_from(context, i, sights);
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        bool foreign = sights[i].foreign, own_public = sights[i].own_public;
        find_whether_place_is_known(view);
        if (!view->looked || view->own_count == 0)
            continue;
        view->natted = foreign ? !own_public : !own_public && looks_natted(view);
        if (view->natted && !view->seen_as.family)
            (void)address_parse(view->seen->dialled, &view->seen_as);
        view->shut = view->natted && !has_endpoint_somewhere(context, i);
    }
    free(sights);
}
