/* Lint: what the nodes themselves say against the file, but for routes: ports, keys, interfaces, MTU, NAT. */
#include "lint_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

/* ---- endpoint-port: the others send to a port on which it does not listen, and no NAT stands between ------------------- */

static bool has_address(const struct observation *seen, const struct address *address)
{
    for (size_t i = 0; i < seen->link_count; i++)
        for (size_t k = 0; k < seen->links[i].address_count; k++)
            if (!address_compare(&seen->links[i].addresses[k].address, address))
                return true;
    return false;
}

void lint_look_endpoint_port(struct lint_context *context)
{
    for (size_t i = 0; i < context->mesh->node_count; i++) {
        const struct mesh_node *node = &context->mesh->nodes[i];
        const struct observation *seen = lint_seen(context, i);
        const struct device *device = lint_device(context, i);
        if (!seen || !node->endpoint.address.family || node->endpoint_port == node->listen_port || !has_address(seen, &node->endpoint.address))
            continue;
        /* What runs like that already has its reason, a redirection on the node say. */
        void (*say)(struct lint_context *, size_t, size_t, const char *, ...) = device && device->listen_port == node->listen_port ? lint_warn : lint_find;
        say(context, i, NONE, "%s listens on UDP %u, and the others are to send to %u, at an address of its own: give both the same port (wgdeck set %s "
            "ListenPort=%u Endpoint=%s:%u)", node->name, node->listen_port, node->endpoint_port, node->name, node->listen_port, node->endpoint_host, node->listen_port);
    }
}

/* ---- port-taken ------------------------------------------------------------------------------------------------------ */

void lint_look_port_taken(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct desired_node *node = &context->desired->nodes[i];
        const struct observation *seen = lint_seen(context, i);
        for (size_t d = 0; seen && d < seen->device_count; d++) {
            const struct device *device = &seen->devices[d];
            if (strcmp(device->name, node->interface) != 0 && device->listen_port == node->listen_port)
                lint_find(context, i, NONE, "%s: UDP port %u is held by its interface %s: write another ListenPort below [Node %s] (and in its Endpoint), or give %s another one",
                          lint_name(context, i), (unsigned)node->listen_port, device->name, lint_name(context, i), device->name);
        }
    }
}

/* ---- key-twice, key-differs, key-gone -------------------------------------------------------------------------------------------- */

struct owner {
    struct key key;
    size_t node;
};

static int compare_owners(const void *a, const void *b)
{
    const struct owner *one = a, *two = b;
    int order = key_compare(&one->key, &two->key);
    return order ? order : (one->node > two->node) - (one->node < two->node);
}

static struct owner *list_owners(const struct lint_context *context, size_t *count)
{
    struct owner *owners = mem_alloc(context->mesh->node_count, sizeof *owners);
    *count = 0;
    for (size_t i = 0; i < context->mesh->node_count; i++)
        if (lint_key(context, i, &owners[*count].key))
            owners[(*count)++].node = i;
    if (*count)
        qsort(owners, *count, sizeof *owners, compare_owners);
    return owners;
}

void lint_look_key_twice(struct lint_context *context)
{
    size_t count;
    struct owner *owners = list_owners(context, &count);
    for (size_t i = 1; i < count; i++)
        if (key_compare(&owners[i - 1].key, &owners[i].key) == 0) {
            const char *one = lint_name(context, owners[i - 1].node), *two = lint_name(context, owners[i].node);
            lint_find(context, owners[i - 1].node, owners[i].node, "%s and %s have the same key (is one a copy of the other?): only one of them could be heard; delete the "
                      "key on the copy, or let 'wgdeck rotate' make a new one", one, two);
        }
    free(owners);
}

static bool was_its_key(const struct mesh_node *node, const struct key *key)
{
    for (size_t i = 0; i < node->former_key_count; i++)
        if (key_compare(&node->former_keys[i], key) == 0)
            return true;
    return false;
}

void lint_look_key_differs(struct lint_context *context)
{
    char there[KEY_TEXT_SIZE], pinned[KEY_TEXT_SIZE];
    for (size_t i = 0; i < context->mesh->node_count; i++) {
        const struct mesh_node *node = &context->mesh->nodes[i];
        const struct device *device = lint_device(context, i);
        if (!node->has_public_key || !device || !device->has_private || key_compare(&device->public_key, &node->public_key) == 0 ||
            was_its_key(node, &device->public_key)) /* a rotation that is under way */
            continue;
        key_text(&device->public_key, there);
        key_text(&node->public_key, pinned);
        lint_find(context, i, NONE, "%s: %s has the key %.8s..., the mesh file has %.8s...: it is left alone; if it is the right machine, write PublicKey = %s",
                  node->name, device->name, there, pinned, there);
    }
}

/* Nothing is pinned yet, and the key that it shows is one whose rows are to go everywhere. */
static void look_for_gone_key(struct lint_context *context, size_t node, const struct key *key)
{
    const struct mesh *mesh = context->mesh;
    for (size_t r = 0; r < mesh->removed_count; r++)
        for (size_t k = 0; k < mesh->removed[r].key_count; k++)
            if (key_compare(&mesh->removed[r].keys[k], key) == 0) {
                lint_find(context, node, NONE, "%s has the key of %s, which was removed: if it is the same machine, 'wgdeck set %s forget' first; else delete the key there",
                          lint_name(context, node), mesh->removed[r].name, mesh->removed[r].name);
                return;
            }
    for (size_t other = 0; other < mesh->node_count; other++)
        if (other != node && was_its_key(&mesh->nodes[other], key)) { /* one of its own is taken back */
            lint_find(context, node, other, "%s has a key that was replaced (FormerKey of %s): delete the key there, and a new one is made",
                      lint_name(context, node), lint_name(context, other));
            return;
        }
}

void lint_look_key_gone(struct lint_context *context)
{
    for (size_t i = 0; i < context->mesh->node_count; i++) {
        const struct device *device = lint_device(context, i);
        if (!context->mesh->nodes[i].has_public_key && device && device->has_private)
            look_for_gone_key(context, i, &device->public_key);
    }
}

/* ---- interface-taken ----------------------------------------------------------------------------------------------------- */

static bool has_dead_socket(const struct observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->dead_socket_count; i++)
        if (strcmp(seen->dead_sockets[i], name) == 0)
            return true;
    return false;
}

/* A "tun" whose engine died, or that could not be asked without root, is WireGuard's all the same. */
void lint_look_interface_taken(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const char *name = context->desired->nodes[i].interface;
        const struct observation *seen = lint_seen(context, i);
        const struct observed_link *link = seen ? observation_link(seen, name) : NULL;
        if (!link || !seen->privileged || strcmp(link->kind, "wireguard") == 0 || lint_device(context, i) || has_dead_socket(seen, name))
            continue;
        lint_find(context, i, NONE, "%s: its interface %s is no WireGuard%s%s: it is left alone; write another Interface below [Node %s]", lint_name(context, i), name,
                  link->kind[0] ? " but a " : "", link->kind, lint_name(context, i));
    }
}

/* ---- mtu-too-large --------------------------------------------------------------------------------------------------------- */

/* Outer IP header, UDP 8, WireGuard 32. */
static unsigned overhead(const struct address *endpoint)
{
    return endpoint->family == AF_INET6 ? 80 : 60;
}

/* Of the link that the best default route of FAMILY leads to; 0 when there is none. */
static uint32_t default_mtu(const struct observation *seen, uint8_t family)
{
    const struct observed_table_route *best = NULL;
    for (size_t i = 0; i < seen->table_route_count; i++) {
        const struct observed_table_route *route = &seen->table_routes[i];
        if (route->to.length == 0 && route->to.address.family == family && (!best || route->metric < best->metric))
            best = route;
    }
    const struct observed_link *link = best ? observation_link(seen, best->device) : NULL;
    return link ? link->mtu : 0;
}

/* By the kernel's own answer where it was asked; a row that is not there yet goes by the default route. */
static uint32_t path_mtu(const struct observation *seen, const struct address *endpoint)
{
    const struct observed_route *route = observation_route(seen, endpoint);
    return route && route->mtu ? route->mtu : default_mtu(seen, endpoint->family);
}

static void look_at_mtu(struct lint_context *context, size_t node, const struct observation *seen)
{
    const struct desired_node *desired = &context->desired->nodes[node];
    unsigned room = 0;
    size_t narrowest = NONE;
    for (size_t r = 0; r < desired->row_count; r++) {
        const struct address *endpoint = &context->mesh->nodes[desired->rows[r].peer].endpoint.address;
        uint32_t mtu = endpoint->family ? path_mtu(seen, endpoint) : 0;
        if (mtu <= overhead(endpoint) || (narrowest != NONE && mtu - overhead(endpoint) >= room))
            continue;
        room = mtu - overhead(endpoint);
        narrowest = desired->rows[r].peer;
    }
    if (narrowest != NONE && desired->mtu > room)
        lint_find(context, node, narrowest, "%s: MTU = %u, but the way to %s leaves room for %u only: large packets would be lost; write MTU = %u, or leave it out",
                  lint_name(context, node), desired->mtu, lint_name(context, narrowest), room, room);
}

void lint_look_mtu_too_large(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct observation *seen = lint_seen(context, i);
        if (seen && context->desired->nodes[i].mtu)
            look_at_mtu(context, i, seen);
    }
}

/* ---- nat-port-clash --------------------------------------------------------------------------------------------------------- */

/* Where a node without an Endpoint is seen from outside. */
struct outside {
    struct endpoint endpoint; /* family 0: not known */
    bool learned;             /* from a handshake, with the NAT's own port; else the port is its ListenPort */
    size_t node;
};

static bool is_outside(const struct lint_context *context, size_t node, const struct address *address)
{
    const struct observation *seen = lint_seen(context, node);
    return address->family && !address_is_private(address) && !(seen && has_address(seen, address));
}

static void learn_outside(const struct lint_context *context, size_t seer, const struct owner *owners, size_t count, struct outside *outside)
{
    const struct device *device = lint_device(context, seer);
    for (size_t r = 0; device && r < device->peer_count; r++) {
        const struct device_peer *row = &device->peers[r];
        struct owner wanted = {.key = row->public_key};
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (compare_owners(&owners[middle], &wanted) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == count || key_compare(&owners[low].key, &row->public_key) != 0)
            continue;
        size_t node = owners[low].node;
        if (context->mesh->nodes[node].endpoint_host || row->handshake <= 0 || !is_outside(context, node, &row->endpoint.address))
            continue;
        outside[node].endpoint = row->endpoint;
        outside[node].learned = true;
    }
}

/* Nobody has heard it yet: it is where the deck reached it, if that is no address of its own. */
static void guess_outside(const struct lint_context *context, size_t node, struct outside *outside)
{
    const struct observation *seen = lint_seen(context, node);
    struct address dialled;
    if (outside->endpoint.address.family || !seen || context->mesh->nodes[node].endpoint_host || !seen->dialled || address_parse(seen->dialled, &dialled) != 0 ||
        !is_outside(context, node, &dialled))
        return;
    outside->endpoint = (struct endpoint){.address = dialled, .port = context->desired->nodes[node].listen_port};
}

static int compare_outsides(const void *a, const void *b)
{
    const struct outside *one = a, *two = b;
    int order = address_compare(&one->endpoint.address, &two->endpoint.address);
    order = order ? order : (int)one->endpoint.port - (int)two->endpoint.port;
    return order ? order : (one->node > two->node) - (one->node < two->node);
}

void lint_look_nat_port_clash(struct lint_context *context)
{
    size_t nodes = context->mesh->node_count, count;
    struct outside *outside = mem_alloc(nodes, sizeof *outside);
    struct owner *owners = list_owners(context, &count);
    char text[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < nodes; i++)
        outside[i].node = i;
    for (size_t i = 0; i < nodes; i++)
        learn_outside(context, i, owners, count, outside);
    for (size_t i = 0; i < nodes; i++)
        guess_outside(context, i, &outside[i]);
    if (nodes)
        qsort(outside, nodes, sizeof *outside, compare_outsides);
    for (size_t i = 1; i < nodes; i++) {
        const struct outside *one = &outside[i - 1], *two = &outside[i];
        if (!two->endpoint.address.family || !endpoint_equal(&one->endpoint, &two->endpoint))
            continue;
        address_text(&two->endpoint.address, text);
        lint_find(context, one->node, two->node, "%s and %s are behind one NAT (%s) with the same port %u: some NATs then take one's packets for the other's; write another "
                  "ListenPort below [Node %s]", lint_name(context, one->node), lint_name(context, two->node), text, (unsigned)two->endpoint.port,
                  lint_name(context, two->node));
    }
    free(owners);
    free(outside);
}
