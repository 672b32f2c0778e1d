/* Faults between the routing table and the tunnel (faults.md E7, D2, D3, D4): what the kernel would do with a packet. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- endpoint-in-tunnel (E7) ------------------------------------------------------------------------------------ */

static void name_in_tunnel(struct context *context, struct pair *pair, size_t holder)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    struct node_view *view = &context->views[holder];
    struct end *end = end_of(pair, holder);
    char endpoint[ENDPOINT_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    endpoint_text(&end->row->endpoint, endpoint);
    address_text(&end->row->endpoint.address, address);
    struct fault *fault = fault_new(context, "endpoint-in-tunnel", holder, other);
    fault_direction(fault, holder, other);
    fault_summary(fault, "%s sends what is for %s's endpoint %s into its own tunnel %s: nothing leaves %s", view->name, context->views[other].name,
                  endpoint, view->interface_name, view->name);
    fault_remedy(fault, "on %s: find the route (ip route get %s) and take it away, or give the endpoint one past the tunnel (ip route add %s/%u via GATEWAY dev DEVICE), or take its network out of the rows' AllowedIPs",
                 view->name, address, address, address_bits(&end->row->endpoint.address));
    fault_folds(context, "");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: a packet to %s would go to the device %s", view->name, address, view->interface_name);
    view->tunnel_fault = index;
    end->faults |= ROW_ENDPOINT;
    pair_explained(context, pair, index);
}

static void detect_in_tunnel(struct context *context)
{
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t holder = i % 2 ? pair->b : pair->a;
        const struct node_view *view = &context->views[holder];
        const struct end *end = &pair->end[i % 2];
        if (!view->routed_inside || !end->row || !end->row->endpoint.address.family || pair->cause != NONE || view->stopped)
            continue;
        const struct observed_route *route = observation_route(view->seen, &end->row->endpoint.address);
        if (!route || strcmp(route->device, view->interface_name) != 0)
            continue;
        /* The engine's own packets carry a mark; where the lookup had none, a live link proves it wrong. */
        if (!view->device->fwmark || !link_is_live(context, pair))
            name_in_tunnel(context, pair, holder);
    }
}

/* ---- route-missing (D3), route-shadowed (D4) --------------------------------------------------------------------- */

enum way { WAY_RIGHT, WAY_MISSING, WAY_SHADOWED };

/* The answer for a prefix: for a single address itself, else for the first address inside. */
static const struct observed_route *route_for(const struct node_view *view, const struct prefix *prefix)
{
    const struct observed_route *route = observation_route(view->seen, &prefix->address);
    if (!route && prefix->length < address_bits(&prefix->address)) {
        struct address first = prefix->address;
        first.bytes[first.family == AF_INET ? 3 : 15] |= 1;
        route = observation_route(view->seen, &first);
    }
    return route;
}

/* Shadowed: there is a route into the tunnel, and another one wins; or the one that wins was made for just these addresses. Else there is
 * none, and the packet takes the default route, or none. */
static enum way way_of(const struct node_view *view, const struct observed_route *route)
{
    bool into_tunnel = false, special = false;
    if (strcmp(route->device, view->interface_name) == 0 || strcmp(route->device, "lo") == 0)
        return WAY_RIGHT;
    for (size_t i = 0; i < view->seen->table_route_count; i++) {
        const struct observed_table_route *entry = &view->seen->table_routes[i];
        if (!prefix_contains(&entry->to, &route->to))
            continue;
        into_tunnel |= strcmp(entry->device, view->interface_name) == 0;
        special |= entry->to.length > 0 && strcmp(entry->device, route->device) == 0;
    }
    return into_tunnel || special ? WAY_SHADOWED : WAY_MISSING;
}

/* Which prefixes of a row must have a route: those that wg-quick would make one for, those that the mesh wants, and the other's own address.
 * A default route, and what somebody routes by hand (Table = off), is not ours to judge. */
static bool needs_route(const struct context *context, const struct pair *pair, size_t holder, const struct prefix *prefix)
{
    const struct node_view *view = &context->views[holder];
    const struct end *end = &pair->end[holder == pair->b];
    if (prefix->length == 0 || address_is_link_local(&prefix->address) || !view_has_family(view, prefix->address.family))
        return false;
    if (pair->wanted || (end->saved && allowed_has(end->saved, prefix)))
        return true;
    const struct address_entry *entry = context_find_address(context, &prefix->address);
    return prefix->length == address_bits(&prefix->address) && entry && entry->node == (holder == pair->a ? pair->b : pair->a);
}

struct wrong_way {
    const struct observed_route *route;
    struct prefix prefix;
    struct pair *pair;
};

struct wrong_ways {
    struct wrong_way *items;
    size_t count, capacity;
};

static void find_wrong_ways(struct context *context, size_t holder, enum way way, struct wrong_ways *ways)
{
    const struct node_view *view = &context->views[holder];
    bool right = true;
    ways->count = 0;
    for (size_t r = 0; r < view->device->peer_count; r++) {
        uint32_t target = view->targets[r];
        struct pair *pair = target == TARGET_NONE || (target & TARGET_OLD) || target == holder ? NULL : pair_of(context, holder, target);
        const struct device_peer *row = pair ? end_of(pair, holder)->row : NULL;
        if (!row || (end_of(pair, holder)->faults & (ROW_ALLOWED | ROW_KEY)))
            continue;
        for (size_t k = 0; k < row->allowed_count; k++) {
            const struct observed_route *route = route_for(view, &row->allowed[k]);
            enum way taken = route ? way_of(view, route) : WAY_RIGHT;
            right &= taken == WAY_RIGHT;
            if (taken != way || !needs_route(context, pair, holder, &row->allowed[k]))
                continue;
            MEM_GROW(ways->items, ways->count, ways->capacity);
            ways->items[ways->count++] = (struct wrong_way){.route = route, .prefix = row->allowed[k], .pair = pair};
        }
    }
    context->views[holder].ways_right = right;
}

static size_t other_of(const struct pair *pair, size_t holder)
{
    return holder == pair->a ? pair->b : pair->a;
}

/* Wrong addresses take the connected route with them. */
static bool explained_by_address(struct context *context, size_t holder, const struct wrong_ways *ways)
{
    size_t fault = context->views[holder].address_fault;
    if (fault == NONE)
        return false;
    for (size_t i = 0; i < ways->count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&ways->items[i].prefix, text);
        fault_explains(context, fault, "%s has no route into the tunnel for %s (%s)", context->views[holder].name, text,
                       context->views[other_of(ways->items[i].pair, holder)].name);
    }
    return true;
}

static void add_way_evidence(struct context *context, size_t fault, size_t holder, const struct wrong_way *way)
{
    const struct node_view *view = &context->views[holder];
    char prefix[PREFIX_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];
    prefix_text(&way->prefix, prefix);
    address_text(&way->route->to, to);
    fault_evidence(context, fault, "%s: AllowedIPs %s of the row for %s; a packet to %s would go to %s%s", view->name, prefix,
                   context->views[other_of(way->pair, holder)].name, to, way->route->device[0] ? "the device " : "nowhere (unreachable)",
                   way->route->device);
}

static void name_ways(struct context *context, size_t holder, enum way kind, const struct wrong_ways *ways)
{
    const struct node_view *view = &context->views[holder];
    size_t *others = mem_alloc(ways->count, sizeof *others), other_count = 0;
    for (size_t i = 0; i < ways->count; i++)
        if (i == 0 || ways->items[i].pair != ways->items[i - 1].pair)
            others[other_count++] = other_of(ways->items[i].pair, holder);
    char *names = words_names(context, others, other_count);
    char prefix[PREFIX_TEXT_SIZE];
    struct buf device = BUF_EMPTY;
    words_add_shell(&device, view->interface_name);
    prefix_text(&ways->items[0].prefix, prefix);
    struct fault *fault = fault_new(context, kind == WAY_MISSING ? "route-missing" : "route-shadowed", holder, other_count == 1 ? others[0] : NONE);
    if (other_count == 1)
        fault_direction(fault, holder, others[0]);
    if (kind == WAY_MISSING) {
        fault_summary(fault, "%s has no route into %s for what its row%s for %s allow%s: its packets to them do not enter the tunnel", view->name,
                      view->interface_name, other_count == 1 ? "" : "s", names, other_count == 1 ? "s" : "");
        for (size_t i = 0; i < ways->count && i < 4; i++) {
            prefix_text(&ways->items[i].prefix, prefix);
            fault_remedy_more(fault, "on %s: ip route add %s dev %s", view->name, prefix, buf_text(&device));
        }
        if (ways->count > 1)
            fault_remedy_more(fault, "or one route for the whole network; wg-quick down and up makes them all");
    } else {
        fault_summary(fault, "on %s another route wins over the tunnel's: its packets to %s go to %s", view->name, names,
                      ways->items[0].route->device[0] ? ways->items[0].route->device : "nowhere");
        fault_remedy(fault, "on %s: ip route show table all match %s, and ip rule; then delete the route that wins, or give it a higher metric", view->name, prefix);
    }
    size_t index = fault_index(context);
    for (size_t i = 0; i < ways->count; i++) {
        add_way_evidence(context, index, holder, &ways->items[i]);
        pair_explained(context, ways->items[i].pair, index);
        *direction_of(context, ways->items[i].pair, holder) = DIRECTION_BLOCKED;
    }
    buf_free(&device);
    free(names);
    free(others);
}

static void each_way(struct context *context, enum way kind)
{
    struct wrong_ways ways = {0};
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (!view->device || view->stopped || view->ways_right || view->device->routes_as_allowed || !view->seen->route_count || (view->config && view->config->table_off))
            continue;
        find_wrong_ways(context, i, kind, &ways);
        if (ways.count && !explained_by_address(context, i, &ways))
            name_ways(context, i, kind, &ways);
    }
    free(ways.items);
}

static void detect_route_missing(struct context *context)
{
    each_way(context, WAY_MISSING);
}

static void detect_route_shadowed(struct context *context)
{
    each_way(context, WAY_SHADOWED);
}

/* ---- mtu-mismatch (D2) --------------------------------------------------------------------------------------------- */

/* Outer IP header, UDP 8, WireGuard 32. */
static uint32_t overhead(const struct address *endpoint)
{
    return endpoint->family == AF_INET6 ? 80 : 60;
}

/* The row whose path below leaves the least room for an inner packet. */
static const struct device_peer *narrowest(const struct node_view *view, uint32_t *room, const struct observed_route **route)
{
    const struct device_peer *row = NULL;
    for (size_t i = 0; i < view->device->peer_count; i++) {
        const struct address *endpoint = &view->device->peers[i].endpoint.address;
        const struct observed_route *answer = endpoint->family ? observation_route(view->seen, endpoint) : NULL;
        if (!answer || answer->mtu <= overhead(endpoint) || !answer->device[0] || strcmp(answer->device, view->interface_name) == 0 ||
            strcmp(answer->device, "lo") == 0)
            continue;
        if (!row || answer->mtu - overhead(endpoint) < *room) {
            row = &view->device->peers[i];
            *room = answer->mtu - overhead(endpoint);
            *route = answer;
        }
    }
    return row;
}

/* No path below has less room than this. */
static uint32_t least_room(const struct node_view *view)
{
    uint32_t room = UINT32_MAX;
    for (size_t i = 0; i < view->seen->route_count; i++) {
        const struct observed_route *route = &view->seen->routes[i];
        if (route->mtu > overhead(&route->to) && route->mtu - overhead(&route->to) < room)
            room = route->mtu - overhead(&route->to);
    }
    return room;
}

/* Somebody chose it, or it follows from the network below: then another one at the other end is no fault. */
static bool is_explained_mtu(const struct node_view *view, uint32_t room, bool room_known)
{
    uint32_t mtu = view->interface->mtu;
    if ((view->config && view->config->mtu == mtu) || view->node->mtu == mtu)
        return true;
    return room_known && (mtu == room || mtu + 20 == room);
}

static uint32_t usual_mtu(const struct context *context, bool *majority)
{
    uint32_t best = 0;
    size_t best_count = 0, known = 0;
    for (size_t i = 0; i < context->count; i++) {
        const struct observed_link *one = context->views[i].interface;
        size_t same = 0;
        known += one != NULL;
        for (size_t k = 0; one && k < context->count; k++)
            same += context->views[k].interface && context->views[k].interface->mtu == one->mtu;
        if (same > best_count) {
            best = one->mtu;
            best_count = same;
        }
    }
    *majority = best_count * 2 > known || known == 2;
    return best;
}

static struct fault *name_mtu(struct context *context, size_t node, uint32_t right)
{
    const struct node_view *view = &context->views[node];
    struct fault *fault = fault_new(context, "mtu-mismatch", node, NONE);
    struct buf device = BUF_EMPTY;
    words_add_shell(&device, view->interface_name);
    fault_remedy(fault, "on %s: ip link set %s mtu %u; and MTU = %u in its saved file", view->name, buf_text(&device), right, right);
    fault_evidence(context, fault_index(context), "%s: the MTU of %s is %u", view->name, view->interface_name, view->interface->mtu);
    if (view->config && view->config->mtu)
        fault_evidence(context, fault_index(context), "%s: %s has MTU %u", view->name, view->config->path, view->config->mtu);
    buf_free(&device);
    return fault;
}

static void look_at_mtu(struct context *context, size_t node, uint32_t usual, bool majority)
{
    const struct node_view *view = &context->views[node];
    const struct observed_route *route = NULL;
    uint32_t room = 0, mtu = view->interface->mtu;
    bool odd = majority && mtu != usual;
    const struct device_peer *row = odd || mtu > least_room(view) ? narrowest(view, &room, &route) : NULL;
    if (row && mtu > room) {
        char to[ADDRESS_TEXT_SIZE];
        address_text(&row->endpoint.address, to);
        struct fault *fault = name_mtu(context, node, room);
        fault_summary(fault, "%s of %s has MTU %u, but the path to %s carries only %u: full packets do not fit", view->interface_name, view->name, mtu, to, room);
        fault_evidence(context, fault_index(context), "%s: the route to %s, by %s, has MTU %u, of which the tunnel takes %u", view->name, to, route->device,
                       route->mtu, overhead(&row->endpoint.address));
    } else if (odd && !is_explained_mtu(view, room, row != NULL)) {
        struct fault *fault = name_mtu(context, node, usual);
        fault_summary(fault, "%s of %s has MTU %u, the other ends have %u, and neither a file nor the network below asks for it", view->interface_name,
                      view->name, mtu, usual);
        fault_evidence(context, fault_index(context), "the usual MTU in this mesh is %u", usual);
    }
}

static void detect_mtu(struct context *context)
{
    bool majority;
    uint32_t usual = usual_mtu(context, &majority);
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (view->device && view->interface && view->interface->mtu && !view->stopped)
            look_at_mtu(context, i, usual, majority);
    }
}

static const struct detector tunnel_detectors[] = {
    {"endpoint-in-tunnel", detect_in_tunnel},
};
const struct stage stage_tunnel = {tunnel_detectors, COUNT_OF(tunnel_detectors)};

static const struct detector detectors[] = {
    {"route-missing", detect_route_missing},
    {"route-shadowed", detect_route_shadowed},
    {"mtu-mismatch", detect_mtu},
};
const struct stage stage_routing = {detectors, COUNT_OF(detectors)};
