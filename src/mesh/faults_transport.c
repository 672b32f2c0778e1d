/* Faults of where packets are sent and whether they can come back (faults.md E1 to E4, E8 to E10): ports, endpoints, NAT. From
 * configurations and what others learned; counters come after, in faults_silence.c. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

static size_t other_of(const struct pair *pair, size_t holder)
{
    return holder == pair->a ? pair->b : pair->a;
}

/* ---- listen-port-drift (E4) ------------------------------------------------------------------------------------- */

static uint16_t wanted_port(const struct context *context, const struct node_view *view, const char **who)
{
    uint16_t running = view->device->listen_port;
    if (view->config && view->config->listen_port_given && view->config->device.listen_port && view->config->device.listen_port != running) {
        *who = view->config->path;
        return view->config->device.listen_port;
    }
    /* Nobody calls a node without an endpoint, so its port is its own business. */
    if (context->mesh->from_file && view->node->listen_port && view->node->endpoint_host && view->node->listen_port != running) {
        *who = "the mesh file";
        return view->node->listen_port;
    }
    return 0;
}

static void detect_port_drift(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        const char *who = NULL;
        uint16_t wanted = view->device && !view->stopped && view->root == NONE ? wanted_port(context, view, &who) : 0;
        if (!wanted)
            continue;
        struct fault *fault = fault_new(context, "listen-port-drift", i, NONE);
        struct buf device = BUF_EMPTY;
        words_add_shell(&device, view->interface_name);
        fault_summary(fault, "%s listens on UDP %u, and should on %u: nodes that call it at the old port find nobody", view->name,
                      view->device->listen_port, wanted);
        fault_remedy(fault, "on %s: wg set %s listen-port %u", view->name, buf_text(&device), wanted);
        view->port_fault = fault_index(context);
        fault_evidence(context, view->port_fault, "%s: the engine of %s listens on %u", view->name, view->interface_name, view->device->listen_port);
        fault_evidence(context, view->port_fault, "%s: %s says %u", view->name, who, wanted);
        buf_free(&device);
    }
}

/* ---- nat-port-clash (E10) ---------------------------------------------------------------------------------------- */

static bool already_named(const struct context *context, const char *id, size_t first, size_t second)
{
    for (size_t i = 0; i < context->finding_count; i++) {
        const struct fault *fault = &context->findings[i].fault;
        if (strcmp(fault->kind->id, id) == 0 && fault->nodes[0] == first && fault->nodes[1] == second)
            return true;
    }
    return false;
}

static void explain_if_there(struct context *context, size_t a, size_t b, size_t fault)
{
    struct pair *pair = pair_of(context, a, b);
    if (pair)
        pair_explained(context, pair, fault);
}

static void name_clash(struct context *context, size_t seer, size_t x, size_t y, const struct endpoint *endpoint, const char *how)
{
    const struct node_view *one = &context->views[x], *two = &context->views[y];
    char text[ENDPOINT_TEXT_SIZE];
    endpoint_text(endpoint, text);
    if (already_named(context, "nat-port-clash", x, y))
        return;
    struct fault *fault = fault_new(context, "nat-port-clash", x, y);
    fault_summary(fault, "%s and %s are behind one NAT and share its port %s: only one of them can be heard at a time", one->name, two->name, text);
    fault_remedy(fault, "give them different ports: on %s: wg set %s listen-port %u (free there); and ListenPort in its saved file; no one calls a node behind NAT by its port",
                 two->name, two->interface_name, two->device->listen_port < 65535 ? two->device->listen_port + 1u : 51821u);
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: %s", context->views[seer].name, how);
    fault_evidence(context, index, "%s listens on %u, %s on %u", one->name, one->device->listen_port, two->name, two->device->listen_port);
    for (size_t i = 0; i < context->count; i++) {
        explain_if_there(context, i == x ? y : x, i, index);
        explain_if_there(context, i == y ? x : y, i, index);
    }
}

static bool is_place_of_third(const struct context *context, const struct address *address, size_t x, size_t y)
{
    for (size_t i = 0; i < context->count; i++)
        if (i != x && i != y && view_is_at(&context->views[i], address) && !context->views[i].natted)
            return true;
    return false;
}

/* One node sees two others at one and the same endpoint; or it sees one of two behind the same NAT with the port kept as it is, and
 * hears nothing of the other one, which has the same port. An address that is another node's own is a relay, not a NAT. */
static void look_for_clash(struct context *context, size_t seer, size_t x, size_t y)
{
    struct pair *one = pair_of(context, seer, x), *two = pair_of(context, seer, y);
    const struct device_peer *row_x = one ? end_of(one, seer)->row : NULL, *row_y = two ? end_of(two, seer)->row : NULL;
    if (!row_x || !row_y)
        return;
    if (row_x->endpoint.address.family && endpoint_equal(&row_x->endpoint, &row_y->endpoint)) {
        if (!is_place_of_third(context, &row_x->endpoint.address, x, y))
            name_clash(context, seer, x, y, &row_x->endpoint, "the rows of both have this endpoint");
        return;
    }
    for (int side = 0; side < 2; side++) {
        const struct pair *live = side ? two : one, *dead = side ? one : two;
        const struct device_peer *row = side ? row_y : row_x;
        size_t silent = side ? x : y;
        bool same_port = context->views[x].device->listen_port == context->views[y].device->listen_port &&
                         row->endpoint.port == context->views[x].device->listen_port;
        if (link_is_live(context, live) && dead->troubled && dead->cause == NONE && same_port &&
            *direction_of(context, dead, silent) == DIRECTION_BLOCKED)
            name_clash(context, seer, x, y, &row->endpoint, "one of them is heard from this port, and of the other, with the same port, nothing arrives");
    }
}

static bool behind_one_nat(const struct node_view *x, const struct node_view *y)
{
    return x->natted && y->natted && x->device && y->device && address_compare(&x->seen_as, &y->seen_as) == 0;
}

static void detect_clash(struct context *context)
{
    for (size_t x = 0; x < context->count; x++)
        for (size_t y = x + 1; context->views[x].natted && y < context->count; y++)
            for (size_t seer = 0; behind_one_nat(&context->views[x], &context->views[y]) && seer < context->count; seer++)
                if (seer != x && seer != y)
                    look_for_clash(context, seer, x, y);
}

/* ---- no-path-nat (E9), endpoint-unknown (E1) ----------------------------------------------------------------------- */

/* It cannot reach the other from here: no endpoint, or only the outside of a NAT that lets nobody in. */
static bool has_way(const struct context *context, const struct pair *pair, size_t holder)
{
    const struct device_peer *row = pair->end[holder == pair->b].row;
    const struct node_view *peer = &context->views[other_of(pair, holder)];
    return row->endpoint.address.family && !(peer->shut && address_compare(&row->endpoint.address, &peer->seen_as) == 0);
}

static size_t live_with_both(const struct context *context, const struct pair *pair)
{
    for (size_t i = 0; i < context->count; i++) {
        struct pair *one = i == pair->a || i == pair->b ? NULL : pair_of(context, i, pair->a);
        struct pair *two = one ? pair_of(context, i, pair->b) : NULL;
        if (two && link_is_live(context, one) && link_is_live(context, two))
            return i;
    }
    return NONE;
}

static void name_no_path(struct context *context, struct pair *pair)
{
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    size_t hub = live_with_both(context, pair);
    struct fault *fault = fault_new(context, "no-path-nat", pair->a, pair->b);
    fault_summary(fault, "%s and %s are both behind NAT: neither can call the other first", a->name, b->name);
    fault_remedy(fault, "forward a UDP port to one of them at its router and write it as its Endpoint; or let them talk through %s: their addresses into the AllowedIPs of the rows for it, and net.ipv4.ip_forward=1 there",
                 hub == NONE ? "a node that both reach" : context->views[hub].name);
    fault_folds(context, "with");
    size_t index = fault_index(context);
    for (int side = 0; side < 2; side++) {
        const struct node_view *view = side ? b : a;
        char text[ADDRESS_TEXT_SIZE];
        address_text(&view->seen_as, text);
        fault_evidence(context, index, "%s: is seen at %s, which none of its interfaces has, and nobody has an endpoint for it", view->name, text);
    }
    if (hub != NONE)
        fault_evidence(context, index, "%s: has live links with both", context->views[hub].name);
    pair_explained(context, pair, index);
}

static bool was_up_once(const struct pair *pair)
{
    return !pair->troubled && ((pair->end[0].row->handshake > 0) || (pair->end[1].row->handshake > 0));
}

static bool can_judge_pair(const struct context *context, const struct pair *pair)
{
    return !link_is_live(context, pair) && pair->end[0].row && pair->end[1].row && pair->cause == NONE && !context->views[pair->a].stopped &&
           !context->views[pair->b].stopped;
}

/* All ways were tried, and the traffic goes by the hub: it works, and the hub can read it. */
static void name_hub_only(struct context *context, struct pair *pair, const struct observed_path *said)
{
    const char *a = context->views[pair->a].name, *b = context->views[pair->b].name, *relay = context->views[context->relay].name;
    struct fault *fault = fault_new(context, "no-path-nat", pair->a, pair->b);
    fault->severity = SEVERITY_INFO;
    fault_summary(fault, "%s and %s reach each other through %s only, which can read what they send", a, b, relay);
    fault_remedy(fault, "nothing has to be done; to let them meet, forward a UDP port to one of them at its router and write it as its Endpoint");
    fault_folds(context, "with");
    fault_evidence(context, fault_index(context), "%s and %s: %s", a, b, said->reason);
}

static void detect_no_path(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        const struct observed_path *said = pair->path == PATH_HUB && link_is_live(context, pair) ? paths_said(context, pair) : NULL;
        if (said && said->way == WAY_HUB && said->reason)
            name_hub_only(context, pair, said);
        if (can_judge_pair(context, pair) && context->views[pair->a].shut && context->views[pair->b].shut && !has_way(context, pair, pair->a) &&
            !has_way(context, pair, pair->b) && !was_up_once(pair))
            name_no_path(context, pair);
    }
}

static void name_unknown_endpoint(struct context *context, struct pair *pair)
{
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    struct fault *fault = fault_new(context, "endpoint-unknown", pair->a, pair->b);
    char *set_a = words_set_peer(a, &b->key), *set_b = words_set_peer(b, &a->key);
    fault_summary(fault, "neither %s nor %s has an endpoint for the other: neither knows where to send", a->name, b->name);
    fault_folds(context, "with");
    size_t index = fault_index(context);
    for (int side = 0; side < 2; side++) {
        const struct node_view *view = side ? b : a, *peer = side ? a : b;
        const struct device_peer *saved = pair->end[side].saved;
        char endpoint[ENDPOINT_TEXT_SIZE];
        fault_evidence(context, index, "%s: the row for %s has no endpoint, and none was learned", view->name, peer->name);
        endpoint_text(saved && saved->endpoint.address.family ? &saved->endpoint : &peer->node->endpoint, endpoint);
        if (saved && saved->endpoint.address.family)
            fault_evidence(context, index, "%s: %s has the endpoint %s for %s", view->name, view->config->path, endpoint, peer->name);
        fault_remedy_more(&context->findings[index].fault, "%son %s: %s endpoint %s", side ? "or " : "", view->name, side ? set_b : set_a,
                          *endpoint ? endpoint : "ADDRESS:PORT");
        end_of(pair, side ? pair->b : pair->a)->faults |= ROW_ENDPOINT;
    }
    pair_explained(context, pair, index);
    free(set_a);
    free(set_b);
}

static void detect_unknown_endpoint(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        if (can_judge_pair(context, pair) && !pair->end[0].row->endpoint.address.family && !pair->end[1].row->endpoint.address.family)
            name_unknown_endpoint(context, pair);
    }
}

/* ---- endpoint-stale (E2), endpoint-port (E3) ------------------------------------------------------------------------- */

/* An endpoint that is wrong matters only while the link is not live: a live one shows that it is right, whatever it looks like. */
static bool can_judge_endpoint(const struct context *context, const struct pair *pair, size_t holder)
{
    const struct device_peer *row = pair->end[holder == pair->b].row;
    const struct node_view *peer = &context->views[other_of(pair, holder)];
    return !link_is_live(context, pair) && pair->path == PATH_DIRECT && row && row->endpoint.address.family && peer->looked && peer->device && pair->cause == NONE &&
           !context->views[holder].stopped && !peer->stopped;
}

static const struct address *best_place(const struct node_view *view)
{
    for (size_t i = 0; i < view->own_count; i++)
        if (!address_is_private(&view->own[i]))
            return &view->own[i];
    for (size_t i = 0; i < view->reached_count; i++)
        if (!address_is_private(&view->reached[i]))
            return &view->reached[i];
    return view->own_count ? &view->own[0] : NULL;
}

static void name_endpoint(struct context *context, struct pair *pair, size_t holder, const char *id)
{
    size_t other = other_of(pair, holder);
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    struct end *end = end_of(pair, holder);
    struct fault *fault = fault_new(context, id, holder, other);
    char *set = words_set_peer(view, &peer->key), *row = words_row(context, holder, other, end);
    char wrong[ENDPOINT_TEXT_SIZE], right[ENDPOINT_TEXT_SIZE] = "ADDRESS:PORT";
    const struct address *place = best_place(peer);
    struct endpoint endpoint = {.port = peer->device->listen_port};
    if (strcmp(id, "endpoint-port") == 0)
        endpoint.address = end->row->endpoint.address;
    else if (place && !peer->natted)
        endpoint.address = *place;
    if (endpoint.address.family)
        endpoint_text(&endpoint, right);
    endpoint_text(&end->row->endpoint, wrong);
    if (!pair->troubled)
        fault->severity = SEVERITY_WARNING;
    fault_direction(fault, holder, other);
    if (strcmp(id, "endpoint-port") == 0)
        fault_summary(fault, "%s sends to %s at port %u, but %s listens on %u", view->name, peer->name, end->row->endpoint.port, peer->name,
                      peer->device->listen_port);
    else
        fault_summary(fault, "%s sends to %s at %s, which is not an address of %s", view->name, peer->name, wrong, peer->name);
    fault_remedy(fault, "on %s: %s endpoint %s; and the same in its saved file", view->name, set, right);
    fault_folds(context, "");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s", row);
    if (strcmp(id, "endpoint-port") == 0) {
        fault_evidence(context, index, "%s: listens on UDP %u and is not behind NAT", peer->name, peer->device->listen_port);
    } else {
        struct buf places = BUF_EMPTY;
        char text[ADDRESS_TEXT_SIZE];
        for (size_t i = 0; i < peer->own_count + peer->reached_count; i++) {
            address_text(i < peer->own_count ? &peer->own[i] : &peer->reached[i - peer->own_count], text);
            buf_add_format(&places, "%s%s", i ? ", " : "", text);
        }
        fault_evidence(context, index, "%s: its own addresses, and those at which it was reached: %s", peer->name, buf_text(&places));
        buf_free(&places);
    }
    end->faults |= ROW_ENDPOINT;
    pair_explained(context, pair, index);
    free(set);
    free(row);
}

static void detect_stale_endpoint(struct context *context)
{
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t holder = i % 2 ? pair->b : pair->a;
        const struct node_view *peer = &context->views[other_of(pair, holder)];
        if (!can_judge_endpoint(context, pair, holder) || !peer->knows_place || peer->own_count == 0)
            continue;
        const struct address *address = &pair->end[i % 2].row->endpoint.address;
        /* A NAT may have moved it while nobody spoke. */
        bool moved = peer->natted && !pair->troubled;
        if (!moved && !view_is_at(peer, address) && !(peer->natted && address_compare(&peer->seen_as, address) == 0))
            name_endpoint(context, pair, holder, "endpoint-stale");
    }
}

static bool is_own(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; i < view->own_count; i++)
        if (address_compare(&view->own[i], address) == 0)
            return true;
    return false;
}

static void detect_endpoint_port(struct context *context)
{
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t holder = i % 2 ? pair->b : pair->a;
        const struct node_view *peer = &context->views[other_of(pair, holder)];
        if (!can_judge_endpoint(context, pair, holder))
            continue;
        const struct endpoint *endpoint = &pair->end[i % 2].row->endpoint;
        if (peer->natted || !is_own(peer, &endpoint->address) || endpoint->port == peer->device->listen_port || !peer->device->listen_port)
            continue;
        if (peer->port_fault != NONE)
            pair_explained(context, pair, peer->port_fault);
        else
            name_endpoint(context, pair, holder, "endpoint-port");
    }
}

/* ---- keepalive-missing (E8) ------------------------------------------------------------------------------------------- */

static void name_keepalive(struct context *context, size_t node, const size_t *others, size_t count)
{
    const struct node_view *view = &context->views[node];
    char *names = words_names(context, others, count), text[ADDRESS_TEXT_SIZE];
    address_text(&view->seen_as, text);
    struct fault *fault = fault_new(context, "keepalive-missing", node, NONE);
    if (context->mesh->from_file && context->mesh->keepalive_mode == KEEPALIVE_OFF)
        fault->severity = SEVERITY_INFO;
    fault_summary(fault, "%s is behind NAT and sends no keepalives to %s: when it is quiet for a while, it can no longer be reached", view->name, names);
    for (size_t i = 0; i < count && i < 8; i++) {
        char *set = words_set_peer(view, &context->views[others[i]].key);
        fault_remedy_more(fault, "on %s: %s persistent-keepalive 25", view->name, set);
        free(set);
    }
    fault_remedy_more(fault, "and PersistentKeepalive = 25 in its saved file; the other side needs none");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: is seen at %s, which none of its interfaces has", view->name, text);
    for (size_t i = 0; i < count; i++) {
        struct pair *pair = pair_of(context, node, others[i]);
        char *row = words_row(context, node, others[i], end_of(pair, node));
        fault_evidence(context, index, "%s, persistent keepalive off", row);
        end_of(pair, node)->faults |= ROW_KEEPALIVE;
        if (pair->troubled || pair->quiet)
            pair_explained(context, pair, index);
        free(row);
    }
    free(names);
}

static void detect_keepalive(struct context *context)
{
    size_t *others = mem_alloc(context->count, sizeof *others);
    for (size_t i = 0; i < context->count; i++) {
        size_t count = 0;
        for (size_t k = 0; context->views[i].shut && !context->views[i].stopped && k < context->count; k++) {
            struct pair *pair = k == i ? NULL : pair_of(context, i, k);
            const struct end *end = pair ? end_of(pair, i) : NULL, *far = pair ? end_of(pair, k) : NULL;
            if (!end || !end->row || pair->cause != NONE || !end->row->endpoint.address.family || context->views[k].shut)
                continue;
            if (end->row->keepalive == 0 && (!far->row || far->row->keepalive == 0))
                others[count++] = k;
        }
        if (count)
            name_keepalive(context, i, others, count);
    }
    free(others);
}

static const struct detector detectors[] = {
    {"listen-port-drift", detect_port_drift},
    {"nat-port-clash", detect_clash},
    {"no-path-nat", detect_no_path},
    {"endpoint-unknown", detect_unknown_endpoint},
    {"keepalive-missing", detect_keepalive},
    {"endpoint-stale", detect_stale_endpoint},
    {"endpoint-port", detect_endpoint_port},
};
const struct stage stage_transport = {detectors, COUNT_OF(detectors)};
