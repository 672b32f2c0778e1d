/* Faults of cryptokey routing (faults.md A2 to A5): which row may carry which addresses. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- allowed-ips-stolen (A2), allowed-ips-missing (A4) ------------------------------------------------------------ */

static bool any_row_covers(const struct device *device, const struct prefix *prefix)
{
    for (size_t i = 0; i < device->peer_count; i++)
        if (allowed_covers(&device->peers[i], prefix))
            return true;
    return false;
}

static bool in_connected_network(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; view->interface && i < view->interface->address_count; i++) {
        const struct prefix *own = &view->interface->addresses[i];
        if (!prefix_is_host(own) && prefix_contains(own, address))
            return true;
    }
    return false;
}

static bool others_have(const struct context *context, size_t holder, size_t other, const struct prefix *prefix)
{
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == holder || i == other ? NULL : pair_of(context, i, other);
        if (pair && end_of(pair, i)->row && allowed_has(end_of(pair, i)->row, prefix))
            return true;
    }
    return false;
}

/* Without a mesh file: the other's own addresses, where the holder's network, or the other nodes, say that they belong in a row. */
static void lacking_by_addresses(const struct context *context, size_t holder, size_t other, const struct device_peer *row, struct prefix_list *list)
{
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    for (size_t i = 0; peer->interface && peer->address_fault == NONE && i < peer->interface->address_count; i++) {
        struct prefix host = prefix_host(&peer->interface->addresses[i].address);
        if (address_is_link_local(&host.address) || allowed_covers(row, &host) || !view_has_family(view, host.address.family))
            continue;
        bool belongs = in_connected_network(view, &host.address) || row->allowed_count == 0 || others_have(context, holder, other, &host);
        bool by_another = any_row_covers(view->device, &host);
        bool stolen = false;
        for (size_t k = 0; by_another && k < view->device->peer_count; k++)
            stolen |= allowed_has(&view->device->peers[k], &host);
        if (belongs && (!by_another || stolen))
            prefix_list_add(list, &host);
    }
}

/* The common case, told without any allocation. */
bool row_has_just_its_own(const struct context *context, size_t other, const struct device_peer *row)
{
    const struct mesh_node *node = &context->mesh->nodes[other];
    if (context->mesh->topology != TOPOLOGY_FULL || other == context->relay || row->allowed_count != node->address_count + node->allowed_count)
        return false;
    for (size_t i = 0; i < node->address_count; i++)
        if (!allowed_has(row, &node->addresses[i]))
            return false;
    for (size_t i = 0; i < node->allowed_count; i++)
        if (!allowed_has(row, &node->allowed[i]))
            return false;
    return true;
}

static void lacking_by_file(const struct context *context, size_t holder, size_t other, const struct device_peer *row, struct prefix_list *list)
{
    struct prefix *wanted;
    size_t count;
    if (row_has_just_its_own(context, other, row))
        return;
    mesh_wants_allowed(context->mesh, holder, other, &wanted, &count);
    for (size_t i = 0; i < count; i++)
        if (!allowed_covers(row, &wanted[i]))
            prefix_list_add(list, &wanted[i]);
    free(wanted);
}

/* What the holder's row for the other should have, by its saved file and the mesh, and has not. */
static void find_lacking(const struct context *context, const struct pair *pair, size_t holder, struct prefix_list *list)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct end *end = &pair->end[holder == pair->b];
    list->count = 0;
    for (size_t i = 0; end->saved && !allowed_same(end->row, end->saved) && i < end->saved->allowed_count; i++)
        if (!allowed_covers(end->row, &end->saved->allowed[i]))
            prefix_list_add(list, &end->saved->allowed[i]);
    if (pair->wanted || pair->may)
        lacking_by_file(context, holder, other, end->row, list);
    else if (!context->mesh->from_file)
        lacking_by_addresses(context, holder, other, end->row, list);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (pair->may || !paths_is_lent(context, holder, &list->items[i]))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

static const struct device_peer *find_thief(const struct node_view *view, const struct device_peer *row, const struct prefix *prefix)
{
    for (size_t i = 0; i < view->device->peer_count; i++)
        if (&view->device->peers[i] != row && allowed_has(&view->device->peers[i], prefix))
            return &view->device->peers[i];
    return NULL;
}

static void add_name_of_row(struct buf *buf, const struct context *context, const struct device_peer *row)
{
    uint32_t target = context_find_key(context, &row->public_key);
    char key[KEY_TEXT_SIZE];
    key_text(&row->public_key, key);
    if (target != TARGET_NONE)
        buf_add_text(buf, context->views[target & ~TARGET_OLD].name);
    else
        buf_add_format(buf, "the key %s", key);
}

/* The whole list of what the row should have, for a command that sets all of it. */
static char *whole_list(const struct device_peer *row, const struct prefix *lacking, size_t count)
{
    struct prefix_list list = {0};
    for (size_t i = 0; i < row->allowed_count; i++)
        prefix_list_add(&list, &row->allowed[i]);
    for (size_t i = 0; i < count; i++)
        prefix_list_add(&list, &lacking[i]);
    char *text = words_prefixes(list.items, list.count);
    free(list.items);
    return text;
}

static struct fault *name_lack(struct context *context, struct pair *pair, size_t holder, const char *id, const struct prefix_list *lacking)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    struct end *end = end_of(pair, holder);
    struct fault *fault = fault_new(context, id, holder, other);
    char *set = words_set_peer(view, &end->row->public_key), *all = whole_list(end->row, lacking->items, lacking->count);
    char *has = words_prefixes(end->row->allowed, end->row->allowed_count);
    fault_direction(fault, holder, other);
    fault_remedy(fault, "on %s: %s allowed-ips %s", view->name, set, all);
    if (!end->saved || !allowed_covers(end->saved, &lacking->items[0]))
        fault_remedy_more(fault, "and the same in its saved file");
    fault_folds(context, "");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: the row for %s has AllowedIPs %s", view->name, peer->name, *has ? has : "(none)");
    if (end->saved) {
        char *saved = words_prefixes(end->saved->allowed, end->saved->allowed_count);
        fault_evidence(context, index, "%s: %s has AllowedIPs %s for %s", view->name, view->config->path, *saved ? saved : "(none)", peer->name);
        free(saved);
    }
    end->faults |= ROW_ALLOWED;
    pair_explained(context, pair, index);
    free(set);
    free(all);
    free(has);
    return &context->findings[index].fault;
}

static void name_stolen(struct context *context, struct pair *pair, size_t holder, const struct prefix_list *stolen, const struct device_peer *thief)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    struct buf name = BUF_EMPTY;
    char *prefixes = words_prefixes(stolen->items, stolen->count);
    add_name_of_row(&name, context, thief);
    struct fault *fault = name_lack(context, pair, holder, "allowed-ips-stolen", stolen);
    fault_summary(fault, "on %s the row for %s has taken %s from the row for %s: %s's packets to %s go to %s", context->views[holder].name, buf_text(&name),
                  prefixes, context->views[other].name, context->views[holder].name, context->views[other].name, buf_text(&name));
    fault_remedy_more(fault, "a prefix has one owner, the last that asks: take it out of the row for %s, also where that is saved", buf_text(&name));
    char *has = words_prefixes(thief->allowed, thief->allowed_count);
    fault_evidence(context, fault_index(context), "%s: the row for %s has AllowedIPs %s", context->views[holder].name, buf_text(&name), has);
    uint32_t target = context_find_key(context, &thief->public_key);
    struct pair *of_thief = target == TARGET_NONE || (target & TARGET_OLD) || target == holder ? NULL : pair_of(context, holder, target);
    if (of_thief)
        end_of(of_thief, holder)->faults |= ROW_ALLOWED;
    free(has);
    free(prefixes);
    buf_free(&name);
}

static void name_lacking(struct context *context, struct pair *pair, size_t holder, const struct prefix_list *missing)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    char *prefixes = words_prefixes(missing->items, missing->count);
    struct fault *fault = name_lack(context, pair, holder, "allowed-ips-missing", missing);
    fault_summary(fault, "%s's row for %s lacks %s: packets between them with these addresses are dropped at %s", context->views[holder].name,
                  context->views[other].name, prefixes, context->views[holder].name);
    free(prefixes);
}

/* A node whose addresses are wrong themselves is named for that; rows that can't work at all, for their own fault. */
static bool can_judge_row(const struct context *context, const struct pair *pair, size_t holder)
{
    const struct end *end = &pair->end[holder == pair->b];
    return end->row && pair->cause == NONE && !(end->faults & ROW_ALLOWED) && !context->views[holder].stopped;
}

static void each_lack(struct context *context, bool want_stolen)
{
    struct prefix_list lacking = {0}, stolen = {0}, missing = {0};
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t holder = i % 2 ? pair->b : pair->a, other = i % 2 ? pair->a : pair->b;
        const struct device_peer *first = NULL;
        if (pair->end[i % 2].complete || !can_judge_row(context, pair, holder))
            continue;
        find_lacking(context, pair, holder, &lacking);
        pair->end[i % 2].complete = lacking.count == 0;
        stolen.count = missing.count = 0;
        for (size_t k = 0; k < lacking.count; k++) {
            const struct device_peer *thief = pair->may ? NULL : find_thief(&context->views[holder], pair->end[i % 2].row, &lacking.items[k]); /* the hub's row has it by right */
            prefix_list_add(thief ? &stolen : &missing, &lacking.items[k]);
            first = first ? first : thief;
        }
        /* Two nodes with one address, in saved files alike: that is the fault. */
        if (stolen.count && context->views[other].address_fault == NONE && want_stolen)
            name_stolen(context, pair, holder, &stolen, first);
        else if (missing.count && !want_stolen)
            name_lacking(context, pair, holder, &missing);
    }
    free(lacking.items);
    free(stolen.items);
    free(missing.items);
}

static void detect_stolen(struct context *context)
{
    each_lack(context, true);
}

static void detect_missing(struct context *context)
{
    each_lack(context, false);
}

/* ---- allowed-ips-too-wide (A5), allowed-ips-overlap (A3) ----------------------------------------------------------- */

/* The mesh file means it: the prefix is wanted, or the other node is there to forward. */
static bool is_meant(const struct context *context, size_t holder, size_t other, const struct prefix *prefix)
{
    struct prefix *wanted;
    size_t count;
    bool covered = false;
    if (!context->mesh->from_file)
        return false;
    if (context->mesh->nodes[other].role != ROLE_NONE)
        return true;
    mesh_wants_allowed(context->mesh, holder, other, &wanted, &count);
    for (size_t i = 0; i < count; i++)
        covered |= prefix_covers(&wanted[i], prefix);
    free(wanted);
    return covered;
}

/* A default route through the tunnel is usual, and wg-quick sees to it by a mark and a table of its own. It is an accident when it runs
 * without a mark and is not saved. */
static bool is_default_as_usual(const struct context *context, const struct node_view *view, const struct end *end, const struct prefix *prefix)
{
    if (prefix->length != 0 || context->mesh->from_file)
        return false;
    return view->device->fwmark || !end->saved || allowed_has(end->saved, prefix) || (view->config && view->config->table_off);
}

/* Wide, routed into the tunnel, and this address has a more special route past it: somebody took care. */
static bool is_taken_care_of(const struct node_view *view, const struct prefix *prefix, const struct address *address)
{
    const struct observed_route *route = observation_route(view->seen, address);
    if (!route || !route->device[0] || strcmp(route->device, view->interface_name) == 0)
        return false;
    for (size_t i = 0; i < view->seen->table_route_count; i++) {
        const struct observed_table_route *entry = &view->seen->table_routes[i];
        if (prefix_covers(prefix, &entry->to) && entry->to.length == prefix->length && strcmp(entry->device, view->interface_name) == 0)
            return true;
    }
    return false;
}

/* What would be drawn into the tunnel by the prefix, and must not be: the way to a peer, the way back to the operator, the node's own
 * network. Adds what and where to BUF. */
static bool is_dangerous(const struct context *context, const struct node_view *view, const struct prefix *prefix, struct buf *buf)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address from;
    for (size_t i = 0; i < view->device->peer_count; i++) {
        const struct address *endpoint = &view->device->peers[i].endpoint.address;
        if (!endpoint->family || !prefix_contains(prefix, endpoint) || is_taken_care_of(view, prefix, endpoint))
            continue;
        address_text(endpoint, text);
        buf_add_format(buf, "the endpoint %s of ", text);
        add_name_of_row(buf, context, &view->device->peers[i]);
        return true;
    }
    if (view->seen->seen_from && address_parse(view->seen->seen_from, &from) == 0 && prefix_contains(prefix, &from) &&
        !context_find_address(context, &from) && !is_taken_care_of(view, prefix, &from)) {
        address_text(&from, text);
        buf_add_format(buf, "%s, from where it is logged in to", text);
        return true;
    }
    for (size_t i = 0; i < view->own_count; i++)
        if (prefix_contains(prefix, &view->own[i])) {
            address_text(&view->own[i], text);
            buf_add_format(buf, "its own address %s", text);
            return true;
        }
    return false;
}

static void name_wide(struct context *context, struct pair *pair, size_t holder, const char *id, const struct prefix *prefix)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    struct end *end = end_of(pair, holder);
    const struct node_view *view = &context->views[holder];
    struct fault *fault = fault_new(context, id, holder, other);
    struct prefix_list rest = {0};
    for (size_t i = 0; i < end->row->allowed_count; i++)
        if (prefix_compare(&end->row->allowed[i], prefix) != 0)
            prefix_list_add(&rest, &end->row->allowed[i]);
    char *set = words_set_peer(view, &end->row->public_key), *list = words_prefixes(rest.items, rest.count);
    char *has = words_prefixes(end->row->allowed, end->row->allowed_count);
    fault_remedy(fault, "on %s: %s allowed-ips %s; and the same in its saved file; or, if %s is meant to forward, say so in the mesh file (Role, AllowedIPs)",
                 view->name, set, *list ? list : "ADDRESSES", context->views[other].name);
    fault_folds(context, "");
    fault_evidence(context, fault_index(context), "%s: the row for %s has AllowedIPs %s", view->name, context->views[other].name, has);
    end->faults |= ROW_ALLOWED;
    free(set);
    free(list);
    free(has);
    free(rest.items);
}

static void each_wide_prefix(struct context *context, bool (*look)(struct context *, struct pair *, size_t, const struct prefix *))
{
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t holder = i % 2 ? pair->b : pair->a, other = i % 2 ? pair->a : pair->b;
        const struct device_peer *row = pair->end[i % 2].row;
        for (size_t k = 0; pair->end[i % 2].wide && k < row->allowed_count; k++)
            if (!prefix_is_host(&row->allowed[k]) && can_judge_row(context, pair, holder) && context->views[holder].tunnel_fault == NONE &&
                !is_meant(context, holder, other, &row->allowed[k]) && look(context, pair, holder, &row->allowed[k]))
                break;
    }
}

static bool look_too_wide(struct context *context, struct pair *pair, size_t holder, const struct prefix *prefix)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder];
    struct buf what = BUF_EMPTY;
    char text[PREFIX_TEXT_SIZE];
    bool wide = !is_default_as_usual(context, view, end_of(pair, holder), prefix) && is_dangerous(context, view, prefix, &what);
    if (!wide && prefix->length == 0 && context->mesh->from_file) {
        buf_add_text(&what, "everything");
        wide = true;
    }
    if (wide) {
        prefix_text(prefix, text);
        name_wide(context, pair, holder, "allowed-ips-too-wide", prefix);
        fault_summary(&context->findings[fault_index(context)].fault, "%s's row for %s has %s, which takes in %s: a route for it cuts %s off", view->name,
                      context->views[other].name, text, buf_text(&what), view->name);
        fault_evidence(context, fault_index(context), "%s: %s contains %s", view->name, text, buf_text(&what));
    }
    buf_free(&what);
    return wide;
}

/* Without a mesh file: the others hold single addresses in their rows for this node, so it is no gateway; or it does not forward. */
static bool is_no_gateway(const struct context *context, size_t holder, size_t other, const struct prefix *prefix)
{
    const struct node_view *peer = &context->views[other];
    bool narrow = false;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == holder || i == other ? NULL : pair_of(context, i, other);
        const struct device_peer *row = pair ? end_of(pair, i)->row : NULL;
        if (!row || !row->allowed_count)
            continue;
        for (size_t k = 0; k < row->allowed_count; k++)
            if (!prefix_is_host(&row->allowed[k]) && prefix_overlaps(&row->allowed[k], prefix))
                return false;
        narrow = true;
    }
    return narrow || (peer->looked && (prefix->address.family == AF_INET ? peer->seen->forwarding4 : peer->seen->forwarding6) == 0);
}

static size_t overlapped_node(const struct context *context, size_t holder, size_t other, const struct prefix *prefix)
{
    for (size_t i = 0; i < context->address_count; i++) {
        const struct address_entry *entry = &context->addresses[i];
        struct pair *pair = entry->node == holder || entry->node == other ? NULL : pair_of(context, holder, entry->node);
        struct prefix host = prefix_host(&entry->address);
        if (pair && end_of(pair, holder)->row && prefix_covers(prefix, &host) && allowed_covers(end_of(pair, holder)->row, &host))
            return entry->node;
    }
    return NONE;
}

static bool look_overlap(struct context *context, struct pair *pair, size_t holder, const struct prefix *prefix)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder];
    char text[PREFIX_TEXT_SIZE];
    size_t third = overlapped_node(context, holder, other, prefix);
    if (third == NONE || (!context->mesh->from_file && !is_no_gateway(context, holder, other, prefix)))
        return false;
    prefix_text(prefix, text);
    name_wide(context, pair, holder, "allowed-ips-overlap", prefix);
    fault_summary(&context->findings[fault_index(context)].fault, "%s's row for %s has %s, in which %s lies that has a row of its own: %s may send as any of them",
                  view->name, context->views[other].name, text, context->views[third].name, context->views[other].name);
    fault_evidence(context, fault_index(context), "%s: it has a row for %s too; %s", view->name, context->views[third].name,
                   context->mesh->from_file ? "the mesh file does not make the other a hub or gateway" : "no other node sends a network through the other");
    return true;
}

static void detect_too_wide(struct context *context)
{
    each_wide_prefix(context, look_too_wide);
}

static void detect_overlap(struct context *context)
{
    each_wide_prefix(context, look_overlap);
}

static const struct detector detectors[] = {
    {"allowed-ips-stolen", detect_stolen},
    {"allowed-ips-missing", detect_missing},
    {"allowed-ips-too-wide", detect_too_wide},
    {"allowed-ips-overlap", detect_overlap},
};
const struct stage stage_allowed = {detectors, COUNT_OF(detectors)};
