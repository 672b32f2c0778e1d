/* From the mesh file to the rows it asks for: which pairs, and which prefixes in each row (DESIGN section 4).
 * Between groups the first gateway of each group, in the file's order, carries the traffic: a prefix can stand in one row only. */
#include "wgdeck/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

static bool same_group(const struct mesh_node *a, const struct mesh_node *b)
{
    return a->group == b->group || (a->group && b->group && strcmp(a->group, b->group) == 0);
}

static size_t first_with_role(const struct mesh *mesh, enum role role)
{
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].role == role)
            return i;
    return SIZE_MAX;
}

/* A node has one role: where none is a relay by name, who forwards for all anyway is it. */
size_t mesh_relay(const struct mesh *mesh)
{
    if (!mesh->from_file || mesh->relay_network_count == 0)
        return SIZE_MAX;
    size_t relay = first_with_role(mesh, ROLE_RELAY);
    if (relay == SIZE_MAX && mesh->topology == TOPOLOGY_HUB)
        relay = first_with_role(mesh, ROLE_HUB);
    if (relay == SIZE_MAX && mesh->topology == TOPOLOGY_GROUPS)
        relay = first_with_role(mesh, ROLE_GATEWAY);
    return relay;
}

static bool in_relay_network(const struct mesh *mesh, const struct address *address)
{
    for (size_t i = 0; i < mesh->relay_network_count; i++)
        if (prefix_contains(&mesh->relay_networks[i], address))
            return true;
    return false;
}

/* All of its addresses: one that is elsewhere would reach nobody by the relay. The search for the relay comes last: this is asked for every pair. */
bool mesh_joins_by_relay(const struct mesh *mesh, size_t node)
{
    const struct mesh_node *it = &mesh->nodes[node];
    if (mesh->relay_network_count == 0 || it->address_count == 0)
        return false;
    for (size_t i = 0; i < it->address_count; i++)
        if (!in_relay_network(mesh, &it->addresses[i].address))
            return false;
    size_t relay = mesh_relay(mesh);
    return relay != SIZE_MAX && relay != node;
}

bool mesh_may_link(const struct mesh *mesh, size_t a, size_t b)
{
    return a != b && (mesh_joins_by_relay(mesh, a) || mesh_joins_by_relay(mesh, b)) && !mesh_wants_link(mesh, a, b);
}

bool mesh_wants_link(const struct mesh *mesh, size_t a, size_t b)
{
    if (!mesh->from_file || a == b)
        return false;
    const struct mesh_node *one = &mesh->nodes[a], *two = &mesh->nodes[b];
    if (mesh_joins_by_relay(mesh, a))
        return b == mesh_relay(mesh);
    if (mesh_joins_by_relay(mesh, b))
        return a == mesh_relay(mesh);
    if (mesh->topology == TOPOLOGY_HUB)
        return (one->role == ROLE_HUB) != (two->role == ROLE_HUB);
    if (mesh->topology == TOPOLOGY_GROUPS)
        return same_group(one, two) || (one->role == ROLE_GATEWAY && two->role == ROLE_GATEWAY);
    return true;
}

struct prefix_list {
    struct prefix *prefixes;
    size_t count, capacity;
};

static void add_prefixes(struct prefix_list *list, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MEM_GROW(list->prefixes, list->count, list->capacity);
        list->prefixes[list->count++] = prefix_network(&prefixes[i]);
    }
}

static bool is_first_gateway(const struct mesh *mesh, size_t node)
{
    if (mesh->nodes[node].role != ROLE_GATEWAY)
        return false;
    for (size_t i = 0; i < node; i++)
        if (mesh->nodes[i].role == ROLE_GATEWAY && same_group(&mesh->nodes[i], &mesh->nodes[node]))
            return false;
    return true;
}

/* What is at NODE itself: its addresses, the networks behind it, and, where it is the relay, those that join through it with what is behind them; but nothing of FROM, whose row it is. */
static void add_own(struct prefix_list *list, const struct mesh *mesh, size_t from, size_t node)
{
    add_prefixes(list, mesh->nodes[node].addresses, mesh->nodes[node].address_count);
    add_prefixes(list, mesh->nodes[node].allowed, mesh->nodes[node].allowed_count);
    if (mesh->relay_network_count == 0 || node != mesh_relay(mesh))
        return;
    add_prefixes(list, mesh->relay_networks, mesh->relay_network_count);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (i != from && mesh->nodes[i].allowed_count && mesh_joins_by_relay(mesh, i))
            add_prefixes(list, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count);
}

/* The row for the one that leads to all others: of a spoke for its hub, of a node that joined for the relay. */
static void add_everything(struct prefix_list *list, const struct mesh *mesh, size_t a)
{
    add_prefixes(list, mesh->networks, mesh->network_count);
    bool is_relay = mesh->relay_network_count && a == mesh_relay(mesh);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (i != a && !(is_relay && mesh_joins_by_relay(mesh, i)))
            add_prefixes(list, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count);
}

/* A's row for gateway B. Inside the group B stands for all other groups; for another group's gateway it stands for the nodes of its own
 * group that are no gateways. A gateway reaches other gateways by rows of its own. */
static void add_behind_gateway(struct prefix_list *list, const struct mesh *mesh, size_t a, size_t b)
{
    const struct mesh_node *from = &mesh->nodes[a], *gateway = &mesh->nodes[b];
    bool inside = same_group(from, gateway);
    if ((inside && from->role == ROLE_GATEWAY) || !is_first_gateway(mesh, b))
        return;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (mesh_joins_by_relay(mesh, i))
            continue; /* it is where the relay is, whatever its own group */
        bool of_its_group = same_group(&mesh->nodes[i], gateway);
        if (inside ? !of_its_group : of_its_group && mesh->nodes[i].role != ROLE_GATEWAY)
            add_own(list, mesh, a, i);
    }
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

/* In order, a prefix that another one covers stands after it: what the last kept one covers is left out. */
static void sort_and_reduce(struct prefix_list *list)
{
    size_t kept = 0;
    if (list->count)
        qsort(list->prefixes, list->count, sizeof *list->prefixes, compare_prefixes);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || !prefix_covers(&list->prefixes[kept - 1], &list->prefixes[i]))
            list->prefixes[kept++] = list->prefixes[i];
    list->count = kept;
}

static bool has_family(const struct prefix *prefixes, size_t count, uint8_t family)
{
    for (size_t i = 0; i < count; i++)
        if (prefixes[i].address.family == family)
            return true;
    return false;
}

/* A node without an address in a family, that carries nothing of it for others either, has no use for such prefixes; and its kernel may have no IPv6. */
static bool speaks(const struct mesh *mesh, size_t node, uint8_t family)
{
    const struct mesh_node *it = &mesh->nodes[node];
    bool forwards = (mesh->topology == TOPOLOGY_HUB && it->role == ROLE_HUB) || (mesh->topology == TOPOLOGY_GROUPS && it->role == ROLE_GATEWAY);
    return forwards || has_family(it->addresses, it->address_count, family) || has_family(it->allowed, it->allowed_count, family) ||
           (has_family(mesh->relay_networks, mesh->relay_network_count, family) && node == mesh_relay(mesh));
}

/* Where nothing would be left, two nodes have no family in common, and the row stays as it is. */
static void keep_spoken(struct prefix_list *list, const struct mesh *mesh, size_t node)
{
    bool four = speaks(mesh, node, AF_INET), six = speaks(mesh, node, AF_INET6);
    size_t kept = 0;
    if ((four && six) || !((four && has_family(list->prefixes, list->count, AF_INET)) || (six && has_family(list->prefixes, list->count, AF_INET6))))
        return;
    for (size_t i = 0; i < list->count; i++)
        if (list->prefixes[i].address.family == AF_INET ? four : six)
            list->prefixes[kept++] = list->prefixes[i];
    list->count = kept;
}

void mesh_wants_allowed(const struct mesh *mesh, size_t a, size_t b, struct prefix **allowed, size_t *count)
{
    struct prefix_list list = {0};
    add_own(&list, mesh, a, b);
    bool joins = mesh_joins_by_relay(mesh, a), ladder = joins || mesh_joins_by_relay(mesh, b);
    if (joins ? b == mesh_relay(mesh) : !ladder && mesh->topology == TOPOLOGY_HUB && mesh->nodes[b].role == ROLE_HUB)
        add_everything(&list, mesh, a);
    else if (!ladder && mesh->topology == TOPOLOGY_GROUPS && mesh->nodes[b].role == ROLE_GATEWAY)
        add_behind_gateway(&list, mesh, a, b);
    keep_spoken(&list, mesh, a);
    sort_and_reduce(&list);
    *allowed = list.prefixes;
    *count = list.count;
}
