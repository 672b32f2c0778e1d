/* Which nodes are behind NAT (faults.md E8), from where others see them: needs the pairs. */
#include <stdlib.h>

#include "diagnosis_private.h"

static void find_whether_place_is_known(struct node_view *view)
{
    for (size_t i = 0; i < view->own_count; i++)
        view->knows_place |= !address_is_private(&view->own[i]);
    for (size_t i = 0; i < view->reached_count; i++)
        view->knows_place |= !address_is_private(&view->reached[i]);
}

/* faults.md E8: a node is NATed when others have learned it at an address that none of its interfaces has. One that is also seen at a
 * public address of its own merely has two ways out. */
static void see_from(const struct context *context, size_t seer, size_t node, bool *foreign, bool *own_public)
{
    struct node_view *view = &context->views[node];
    struct pair *pair = pair_of(context, seer, node);
    const struct device_peer *row = pair ? end_of(pair, seer)->row : NULL;
    int64_t age = pair ? end_of(pair, seer)->age : -1;
    if (!row || !row->endpoint.address.family)
        return;
    const struct address *address = &row->endpoint.address;
    bool at_home = address_list_has(view->own, view->own_count, address), recent = age >= 0 && age <= AGE_LATE;
    view->seen_elsewhere |= !at_home;
    if (at_home)
        *own_public |= recent && !address_is_private(address);
    if (at_home || !recent)
        return;
    if (!view_has_address(view, address) && !address_is_private(address)) {
        *foreign = true;
        view->seen_as = *address;
    }
    address_list_add(&view->reached, &view->reached_count, address);
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
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        bool foreign = false, own_public = false;
        for (size_t k = 0; k < context->count; k++)
            if (k != i)
                see_from(context, k, i, &foreign, &own_public);
        find_whether_place_is_known(view);
        if (!view->looked || view->own_count == 0)
            continue;
        view->natted = foreign ? !own_public : !own_public && looks_natted(view);
        if (view->natted && !view->seen_as.family)
            (void)address_parse(view->seen->dialled, &view->seen_as);
        view->shut = view->natted && !has_endpoint_somewhere(context, i);
    }
}
