/* By which way the packets of a pair go (ladder.h), as the rows that run at its ends show it; and links that go by the hub, which are as good as the links on their way. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

enum { LEGS_MOST = 4, CHANGING = 30 /* seconds after a change at one end, in which the other may not have followed yet */ };

/* A link by the hub: the links that its packets take. */
struct link_way {
    uint32_t link, legs[LEGS_MOST];
    uint8_t count, turned; /* turned: bit i: leg i is taken from its b to its a; count 0: not known */
    bool cut;              /* a row on the way does not allow the addresses */
};
struct link_ways {
    struct link_way *items;
    size_t count, capacity;
    char **reasons;        /* links' path_reason, each owned here once */
    size_t reason_count, reason_capacity;
};

/* --- who is who */

void paths_look(struct context *context)
{
    context->relay = context->mesh->from_file ? mesh_relay(context->mesh) : NONE;
    if (context->relay == NONE)
        return;
    context->joins = mem_alloc(context->count, sizeof *context->joins);
    for (size_t i = 0; i < context->count; i++)
        context->joins[i] = mesh_joins_by_relay(context->mesh, i);
}

/* As mesh_wants_link and mesh_may_link, without looking for the relay each time. */
bool paths_wants_link(const struct context *context, size_t a, size_t b)
{
    if (!context->joins || (!context->joins[a] && !context->joins[b]))
        return mesh_wants_link(context->mesh, a, b);
    return context->joins[a] ? b == context->relay : a == context->relay;
}

bool paths_may_link(const struct context *context, size_t a, size_t b)
{
    return context->joins && a != b && (context->joins[a] || context->joins[b]) && !paths_wants_link(context, a, b);
}

bool paths_is_relay_place(const struct context *context, const struct endpoint *endpoint)
{
    return context->relay != NONE && endpoint->address.family && endpoint->port == context->mesh->relay_port && view_is_at(&context->views[context->relay], &endpoint->address);
}

bool paths_has_joined(const struct context *context, const struct key *key)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct observation *seen = context->views[i].seen;
        for (size_t j = 0; seen->reach == REACH_OK && j < seen->joined_count; j++)
            if (key_compare(&seen->joined[j].key, key) == 0)
                return true;
    }
    return false;
}

static const struct observed_path *path_at(const struct context *context, size_t holder, size_t other)
{
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    for (size_t i = 0; peer->has_key && view->seen->reach == REACH_OK && i < view->seen->path_count; i++)
        if (key_compare(&view->seen->paths[i].key, &peer->key) == 0 && strcmp(view->seen->paths[i].interface, view->interface_name) == 0)
            return &view->seen->paths[i];
    return NULL;
}

const struct observed_path *paths_said(const struct context *context, const struct pair *pair)
{
    const struct observed_path *one = path_at(context, pair->a, pair->b), *two = path_at(context, pair->b, pair->a);
    return one && (one->reason || !two) ? one : two;
}

/* --- the way of each pair */

static bool carries(const struct context *context, const struct pair *pair, size_t holder)
{
    const struct device_peer *row = pair->end[holder == pair->b].row;
    const struct mesh_node *other = &context->mesh->nodes[holder == pair->a ? pair->b : pair->a];
    for (size_t i = 0; row && i < other->address_count; i++)
        if (allowed_covers(row, &other->addresses[i]))
            return true;
    return false;
}

static bool changes_now(const struct context *context, const struct pair *pair)
{
    const size_t holders[] = {pair->a, pair->b};
    for (size_t i = 0; i < COUNT_OF(holders); i++) {
        const struct observed_path *path = path_at(context, holders[i], holders[!i]);
        if (path && path->since > 0 && context->views[holders[i]].seen->node_time / CLOCK_SECOND < path->since + CHANGING)
            return true;
    }
    return false;
}

static bool goes_by_relay(const struct context *context, const struct pair *pair)
{
    for (int side = 0; side < 2; side++)
        if (pair->end[side].row && paths_is_relay_place(context, &pair->end[side].row->endpoint))
            return true;
    return false;
}

/* Both ends must carry, or one whose other end cannot be seen. Where they differ for longer than a change takes, the link is what its rows make of it. */
static enum link_path path_of(const struct context *context, const struct pair *pair)
{
    bool one = carries(context, pair, pair->a), two = carries(context, pair, pair->b);
    bool differ = one != two && context->views[one ? pair->b : pair->a].looked;
    if ((!one && !two) || (differ && changes_now(context, pair)))
        return PATH_HUB;
    return goes_by_relay(context, pair) ? PATH_RELAY : PATH_DIRECT;
}

void paths_find(struct context *context)
{
    if (context->relay == NONE)
        return;
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        pair->may = paths_may_link(context, pair->a, pair->b);
        pair->path = pair->may ? path_of(context, pair) : goes_by_relay(context, pair) ? PATH_RELAY : PATH_DIRECT;
        if (pair->path == PATH_HUB) /* rows of a trial carry nothing, and nothing can be said against them */
            pair->end[0] = pair->end[1] = (struct end){.age = -1};
    }
}

bool paths_is_lent(const struct context *context, size_t holder, const struct prefix *prefix)
{
    const struct node_view *view = &context->views[holder];
    for (size_t r = 0; context->relay != NONE && view->device && r < view->device->peer_count; r++) {
        uint32_t target = view->targets[r];
        struct pair *pair = target == TARGET_NONE || (target & TARGET_OLD) || target == holder ? NULL : pair_of(context, holder, target);
        if (pair && pair->may && allowed_has(&view->device->peers[r], prefix))
            return true;
    }
    return false;
}

/* --- links by the hub */

static size_t first_with(const struct context *context, enum role role, size_t of_group)
{
    const struct mesh_node *nodes = context->mesh->nodes;
    for (size_t i = 0; i < context->count; i++)
        if (nodes[i].role == role &&
            (of_group == NONE || (nodes[i].group && nodes[of_group].group && strcmp(nodes[i].group, nodes[of_group].group) == 0)))
            return i;
    return NONE;
}

/* The node that AT sends to for TO: what the topology asks for, which is what its rows are compared with. */
static size_t next_on_the_way(const struct context *context, size_t at, size_t to)
{
    size_t goal = context->joins[to] ? context->relay : to;
    if (paths_wants_link(context, at, to))
        return to;
    if (context->joins[at])
        return context->relay;
    if (paths_wants_link(context, at, goal))
        return goal;
    if (context->mesh->topology == TOPOLOGY_HUB)
        return first_with(context, ROLE_HUB, NONE);
    return first_with(context, ROLE_GATEWAY, context->mesh->nodes[at].role == ROLE_GATEWAY ? goal : at);
}

static bool lets_through(const struct context *context, struct pair *pair, size_t holder, size_t to)
{
    const struct device_peer *row = end_of(pair, holder)->row;
    const struct mesh_node *other = &context->mesh->nodes[to];
    bool covered = !row || other->address_count == 0;
    for (size_t i = 0; !covered && i < other->address_count; i++)
        covered = allowed_covers(row, &other->addresses[i]);
    return covered;
}

static struct link_way find_way(const struct context *context, const struct pair *pair)
{
    struct link_way way = {.link = (uint32_t)(pair - context->pairs)};
    size_t at = pair->a;
    while (at != pair->b && way.count < LEGS_MOST) {
        size_t next = next_on_the_way(context, at, pair->b);
        struct pair *leg = next == NONE || next == at ? NULL : pair_of(context, at, next);
        if (!leg || leg->path == PATH_HUB)
            break;
        way.turned |= (uint8_t)((at == leg->b) << way.count);
        way.cut |= !lets_through(context, leg, at, pair->b) || !lets_through(context, leg, next, pair->a);
        way.legs[way.count++] = (uint32_t)(leg - context->pairs);
        at = next;
    }
    if (at != pair->b)
        way.count = 0;
    return way;
}

static enum direction_state add_direction(enum direction_state before, enum direction_state leg)
{
    if (before == DIRECTION_BLOCKED || leg == DIRECTION_BLOCKED)
        return DIRECTION_BLOCKED;
    return before == DIRECTION_OK && leg == DIRECTION_OK ? DIRECTION_OK : DIRECTION_UNKNOWN;
}

static void judge_by_legs(struct diagnosis *diagnosis, const struct link_way *way)
{
    static const int rank[] = {[LINK_LIVE] = 0, [LINK_LATE] = 1, [LINK_IDLE] = 2, [LINK_UNKNOWN] = 3, [LINK_HALF] = 4, [LINK_NEVER] = 5, [LINK_DEAD] = 6};
    struct link *link = &diagnosis->links[way->link];
    link->state = way->count ? LINK_LIVE : LINK_UNKNOWN;
    link->a_to_b = link->b_to_a = way->count ? DIRECTION_OK : DIRECTION_UNKNOWN;
    for (size_t i = 0; i < way->count; i++) {
        const struct link *leg = &diagnosis->links[way->legs[i]];
        bool turned = way->turned >> i & 1;
        if (rank[leg->state] > rank[link->state])
            link->state = leg->state;
        link->a_to_b = add_direction(link->a_to_b, turned ? leg->b_to_a : leg->a_to_b);
        link->b_to_a = add_direction(link->b_to_a, turned ? leg->a_to_b : leg->b_to_a);
    }
    if (way->cut) {
        link->state = LINK_DEAD;
        link->a_to_b = link->b_to_a = DIRECTION_BLOCKED;
    }
}

static const char *keep_reason(struct link_ways *ways, const char *reason)
{
    MEM_GROW(ways->reasons, ways->reason_count, ways->reason_capacity);
    return ways->reasons[ways->reason_count++] = mem_text(reason);
}

void paths_derive(struct context *context)
{
    struct diagnosis *diagnosis = context->diagnosis;
    if (context->relay == NONE)
        return;
    struct link_ways *ways = diagnosis->ways = mem_alloc(1, sizeof *ways);
    for (size_t i = 0; i < context->pair_count; i++) {
        const struct pair *pair = &context->pairs[i];
        const struct observed_path *said = pair->may ? paths_said(context, pair) : NULL;
        diagnosis->links[i].path = pair->path;
        if (said && said->reason)
            diagnosis->links[i].path_reason = keep_reason(ways, said->reason);
        if (pair->path != PATH_HUB)
            continue;
        MEM_GROW(ways->items, ways->count, ways->capacity);
        ways->items[ways->count++] = find_way(context, pair);
    }
    link_ways_judge(diagnosis);
}

void link_ways_judge(struct diagnosis *diagnosis)
{
    for (size_t i = 0; diagnosis->ways && i < diagnosis->ways->count; i++)
        judge_by_legs(diagnosis, &diagnosis->ways->items[i]);
}

/* The links of COPY point to its own reasons after. */
void link_ways_copy(const struct link_ways *ways, struct diagnosis *copy)
{
    if (!ways)
        return;
    struct link_ways *own = copy->ways = mem_alloc(1, sizeof *own);
    own->items = mem_copy(ways->items, ways->count, sizeof *own->items);
    own->count = own->capacity = ways->count;
    for (size_t i = 0; i < copy->link_count; i++)
        if (copy->links[i].path_reason)
            copy->links[i].path_reason = keep_reason(own, copy->links[i].path_reason);
}

void link_ways_free(struct link_ways *ways)
{
    if (!ways)
        return;
    for (size_t i = 0; i < ways->reason_count; i++)
        free(ways->reasons[i]);
    free(ways->reasons);
    free(ways->items);
    free(ways);
}
