/* Lint: the mesh's prefixes against what a node has already: addresses, routes, Docker's networks, the way of the operator's SSH. What runs
 * like that already is not made worse by a change, and only a warning. */
#include "lint_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

#define TABLE_MAIN 254

static bool is_docker(const char *device)
{
    return strncmp(device, "docker", 6) == 0 || strncmp(device, "br-", 3) == 0;
}

static bool is_link_local(const struct address *address)
{
    return address->family == AF_INET6 ? address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80 : address->bytes[0] == 169 && address->bytes[1] == 254;
}

static const char *who_has(const char *device)
{
    return is_docker(device) ? ", Docker's," : "";
}

/* A prefix that NODE would send into the tunnel. */
struct way {
    struct prefix prefix;
    size_t row;  /* of which node the row is; NONE: it is the interface's own network */
    bool found;
    bool around; /* it covers the whole of what was asked for; else a part of that only */
};

/* Of those around what is asked for the narrowest, which the kernel takes; of those inside it the widest. Around is the closer meeting. */
static bool is_closer(const struct way *way, const struct prefix *mine, bool around)
{
    if (!way->found || way->around != around)
        return !way->found || around;
    return around ? mine->length > way->prefix.length : mine->length < way->prefix.length;
}

static void meet(struct way *way, const struct prefix *mine, const struct prefix *prefix, size_t row)
{
    bool around = prefix_covers(mine, prefix);
    if ((around || prefix_covers(prefix, mine)) && is_closer(way, mine, around))
        *way = (struct way){prefix_network(mine), row, true, around};
}

static struct way way_for(const struct lint_context *context, size_t node, const struct prefix *prefix)
{
    const struct desired_node *desired = &context->desired->nodes[node];
    struct way way = {.row = NONE};
    for (size_t i = 0; i < desired->address_count; i++)
        meet(&way, &desired->addresses[i], prefix, NONE);
    for (size_t r = 0; r < desired->row_count; r++)
        for (size_t k = 0; k < desired->rows[r].allowed_count; k++)
            meet(&way, &desired->rows[r].allowed[k], prefix, desired->rows[r].peer);
    return way;
}

/* Most of what a node has is nowhere near the mesh. */
static bool concerns_mesh(const struct lint_context *context, const struct prefix *prefix)
{
    for (size_t i = 0; i < context->claim_count; i++)
        if (prefix_overlaps(&context->claims[i].prefix, prefix))
            return true;
    return false;
}

/* Is there a node, or a network behind one, at what PREFIX covers? */
static size_t used_within(const struct lint_context *context, const struct prefix *prefix)
{
    for (size_t i = 0; i < context->claim_count; i++)
        if (context->claims[i].node != NONE && prefix_overlaps(&context->claims[i].prefix, prefix))
            return context->claims[i].node;
    return NONE;
}

/* Does what runs on the node have it in the tunnel already? */
static bool runs_already(const struct lint_context *context, size_t node, const struct prefix *prefix)
{
    const struct device *device = lint_device(context, node);
    const struct observed_link *link = device ? observation_link(lint_seen(context, node), device->name) : NULL;
    for (size_t i = 0; link && i < link->address_count; i++)
        if (prefix_covers(&link->addresses[i], prefix))
            return true;
    for (size_t r = 0; device && r < device->peer_count; r++)
        for (size_t k = 0; k < device->peers[r].allowed_count; k++)
            if (prefix_covers(&device->peers[r].allowed[k], prefix))
                return true;
    return false;
}

/* "the mesh's Network 10.44.0.0/24", "192.168.10.0/24 behind gate" */
static char *way_words(const struct lint_context *context, const struct way *way)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_text(&way->prefix, text);
    if (way->row == NONE)
        return mem_format("the mesh's Network %s", text);
    return mem_format("%s of its row of %s", text, lint_name(context, way->row));
}

/* ---- address-collision ---------------------------------------------------------------------------------------------- */

static bool is_own(const struct mesh_node *node, const struct address *address)
{
    for (size_t i = 0; i < node->address_count; i++)
        if (address_compare(&node->addresses[i].address, address) == 0)
            return true;
    return false;
}

static void look_at_address(struct lint_context *context, size_t node, const struct observed_link *link, const struct prefix *there)
{
    struct prefix host = prefix_host(&there->address);
    if (is_link_local(&there->address) || is_own(&context->mesh->nodes[node], &there->address) || !concerns_mesh(context, &host))
        return;
    struct way way = way_for(context, node, &host);
    if (!way.found)
        return;
    char text[PREFIX_TEXT_SIZE], *words = way_words(context, &way);
    prefix_text(there, text);
    (runs_already(context, node, &way.prefix) ? lint_warn : lint_find)(
        context, node, way.row, "%s: its address %s on %s%s lies in %s: the two cannot be told apart there; take another Network or AllowedIPs, or renumber %s",
        lint_name(context, node), text, link->name, who_has(link->name), words, link->name);
    free(words);
}

void lint_look_address_collision(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        for (size_t l = 0; seen && l < seen->link_count; l++)
            for (size_t k = 0; strcmp(seen->links[l].name, context->desired->nodes[i].interface) != 0 && k < seen->links[l].address_count; k++)
                look_at_address(context, i, &seen->links[l], &seen->links[l].addresses[k]);
    }
}

/* ---- route-collision, route-overlap -------------------------------------------------------------------------------------- */

/* Its own address on that link says the same in clearer words. */
static bool said_by_address(const struct lint_context *context, size_t node, const struct observation *seen, const char *device, const struct prefix *to)
{
    const struct observed_link *link = observation_link(seen, device);
    for (size_t i = 0; link && i < link->address_count; i++) {
        struct prefix host = prefix_host(&link->addresses[i].address);
        if (prefix_covers(to, &host) && !is_own(&context->mesh->nodes[node], &host.address) && way_for(context, node, &host).found)
            return true;
    }
    return false;
}

/* How a route that is there and the tunnel get into each other's way. */
enum clash {
    CLASH_NONE,
    CLASH_TAKES,  /* it takes packets that belong into the tunnel */
    CLASH_FREE,   /* it would take those of a later node */
    CLASH_TAKEN,  /* the tunnel takes a part of it */
};

static enum clash clash_of(const struct lint_context *context, size_t node, const struct observed_table_route *route, struct way *way)
{
    const struct observation *seen = lint_seen(context, node);
    if (route->table != TABLE_MAIN || route->to.length == 0 || strcmp(route->device, context->desired->nodes[node].interface) == 0 || strcmp(route->device, "lo") == 0 ||
        is_link_local(&route->to.address) || !concerns_mesh(context, &route->to) || said_by_address(context, node, seen, route->device, &route->to))
        return CLASH_NONE;
    *way = way_for(context, node, &route->to);
    if (!way->found)
        return CLASH_NONE;
    if (!way->around)
        return route->device[0] ? CLASH_TAKEN : CLASH_NONE; /* a blackhole for what is not used is good practice */
    return route->to.length == way->prefix.length || used_within(context, &route->to) != NONE ? CLASH_TAKES : CLASH_FREE;
}

typedef void clash_teller(struct lint_context *context, size_t node, const struct observed_table_route *route, enum clash clash, const struct way *way);

static void each_clash(struct lint_context *context, clash_teller *tell)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        for (size_t r = 0; seen && r < seen->table_route_count; r++) {
            struct way way;
            enum clash clash = clash_of(context, i, &seen->table_routes[r], &way);
            if (clash != CLASH_NONE)
                tell(context, i, &seen->table_routes[r], clash, &way);
        }
    }
}

static void tell_collision(struct lint_context *context, size_t node, const struct observed_table_route *route, enum clash clash, const struct way *way)
{
    if (clash != CLASH_TAKES)
        return;
    char text[PREFIX_TEXT_SIZE], *words = way_words(context, way);
    prefix_text(&route->to, text);
    const char *device = route->device[0] ? route->device : "nowhere";
    (runs_already(context, node, &way->prefix) ? lint_warn : lint_find)(
        context, node, way->row, "%s: its route %s to %s%s overlaps %s: packets for other nodes would not go into the tunnel; take another Network or AllowedIPs, or remove that "
        "route", lint_name(context, node), text, device, who_has(device), words);
    free(words);
}

void lint_look_route_collision(struct lint_context *context)
{
    each_clash(context, tell_collision);
}

/* That the tunnel takes a part of a route is said before it does; once it runs, nobody misses those hosts. */
static void tell_overlap(struct lint_context *context, size_t node, const struct observed_table_route *route, enum clash clash, const struct way *way)
{
    if (clash == CLASH_TAKES || (clash == CLASH_TAKEN && runs_already(context, node, &way->prefix)))
        return;
    char text[PREFIX_TEXT_SIZE], *words = way_words(context, way);
    prefix_text(&route->to, text);
    if (clash == CLASH_TAKEN)
        lint_find(context, node, way->row, "%s: %s is a part of its route %s to %s%s: hosts there that have such addresses are no longer reached from it", lint_name(context, node), words,
                  text, route->device, who_has(route->device));
    else
        lint_find(context, node, way->row, "%s: its route %s to %s%s lies in %s: no node is there yet; write Reserved = %s so that none gets such an address",
                  lint_name(context, node), text, route->device[0] ? route->device : "nowhere", who_has(route->device), words, text);
    free(words);
}

void lint_look_route_overlap(struct lint_context *context)
{
    each_clash(context, tell_overlap);
}

/* ---- docker-pool ------------------------------------------------------------------------------------------------------------ */

/* What Docker takes its next network from, unless its daemon.json says otherwise. */
static const char *const pools[] = {"172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14", "192.168.0.0/16"};

static bool has_docker(const struct observation *seen)
{
    for (size_t i = 0; i < seen->link_count; i++)
        if (strcmp(seen->links[i].name, "docker0") == 0)
            return true;
    return false;
}

static bool is_docker_network(const struct observation *seen, const struct prefix *prefix)
{
    for (size_t i = 0; i < seen->link_count; i++)
        for (size_t k = 0; is_docker(seen->links[i].name) && k < seen->links[i].address_count; k++)
            if (prefix_overlaps(&seen->links[i].addresses[k], prefix))
                return true;
    return false;
}

/* Docker avoids what the node has a route to, but not when it starts before the interface. Said while another Network can still be chosen. */
static void look_at_pools(struct lint_context *context, size_t node, const struct observation *seen)
{
    for (size_t p = 0; p < COUNT_OF(pools); p++)
        for (size_t n = 0; n < context->mesh->network_count; n++) {
            struct prefix pool;
            char text[PREFIX_TEXT_SIZE];
            if (prefix_parse(pools[p], &pool) != 0 || !prefix_overlaps(&pool, &context->mesh->networks[n]) ||
                runs_already(context, node, &context->mesh->networks[n]) || is_docker_network(seen, &context->mesh->networks[n]))
                continue;
            prefix_text(&context->mesh->networks[n], text);
            lint_find(context, node, NONE, "%s: Docker runs there, and takes its networks from %s too, in which the mesh's Network %s lies: set default-address-pools in "
                      "/etc/docker/daemon.json, or take another Network", lint_name(context, node), pools[p], text);
            return;
        }
}

void lint_look_docker_pool(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        if (seen && has_docker(seen))
            look_at_pools(context, i, seen);
    }
}

/* ---- ssh-cut-off, ssh-through-tunnel --------------------------------------------------------------------------------------- */

/* Where the node's answers to the deck go, when that is into the tunnel. */
static bool answers_go_in(const struct lint_context *context, size_t node, const struct observation *seen, struct way *way, bool *already)
{
    struct address from;
    if (!seen->seen_from || address_parse(seen->seen_from, &from) != 0)
        return false;
    struct prefix host = prefix_host(&from);
    *way = concerns_mesh(context, &host) ? way_for(context, node, &host) : (struct way){.row = NONE};
    *already = runs_already(context, node, &host);
    return way->found;
}

void lint_look_ssh_cut_off(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        struct way way;
        bool already;
        if (!seen || !answers_go_in(context, i, seen, &way, &already) || already)
            continue;
        char *words = way_words(context, &way);
        lint_find(context, i, way.row, "%s: your SSH comes from %s, which lies in %s: its answers would go into the tunnel and you would lose it; narrow that prefix, or come from another "
                  "address", lint_name(context, i), seen->seen_from, words);
        free(words);
    }
}

static bool in_networks(const struct mesh *mesh, const char *text)
{
    struct address address;
    bool inside = false;
    if (!text || address_parse(text, &address) != 0)
        return false;
    for (size_t i = 0; i < mesh->network_count; i++)
        inside |= prefix_contains(&mesh->networks[i], &address);
    return inside;
}

void lint_look_ssh_through_tunnel(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        struct way way;
        bool already = false;
        bool answers = seen && answers_go_in(context, i, seen, &way, &already) && already;
        bool reached = seen && in_networks(context->mesh, seen->reached_at);
        if ((!answers && !reached) || context->mesh->nodes[i].jump) /* through another node's SSH there is no other way */
            continue;
        lint_find(context, i, NONE, "%s: your SSH runs through the tunnel itself (%s %s): if a change cuts it, the node puts its old state back by itself; an address outside "
                  "the mesh in Ssh is the safer way", lint_name(context, i), reached ? "to" : "from", reached ? seen->reached_at : seen->seen_from);
    }
}
