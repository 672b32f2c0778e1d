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

bool mesh_wants_link(const struct mesh *mesh, size_t a, size_t b)
{
    if (!mesh->from_file || a == b)
        return false;
    const struct mesh_node *one = &mesh->nodes[a], *two = &mesh->nodes[b];
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

static bool is_first_with_role(const struct mesh *mesh, size_t node, enum role role, bool in_its_group)
{
    if (mesh->nodes[node].role != role)
        return false;
    for (size_t i = 0; i < node; i++)
        if (mesh->nodes[i].role == role && (!in_its_group || same_group(&mesh->nodes[i], &mesh->nodes[node])))
            return false;
    return true;
}

/* What is at the node itself: its addresses, the networks behind it, and those that join through it. */
static void add_own(struct prefix_list *list, const struct mesh *mesh, size_t node)
{
    add_prefixes(list, mesh->nodes[node].addresses, mesh->nodes[node].address_count);
    add_prefixes(list, mesh->nodes[node].allowed, mesh->nodes[node].allowed_count);
    if (mesh->relay_network_count && is_first_with_role(mesh, node, ROLE_RELAY, false))
        add_prefixes(list, mesh->relay_networks, mesh->relay_network_count);
}

static void add_behind_hub(struct prefix_list *list, const struct mesh *mesh, size_t spoke, size_t hub)
{
    add_prefixes(list, mesh->networks, mesh->network_count);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (i != spoke && i != hub)
            add_own(list, mesh, i);
}

/* A's row for gateway B. Inside the group B stands for all other groups; for another group's gateway it stands for the nodes of its own
 * group that are no gateways. A gateway reaches other gateways by rows of its own. */
static void add_behind_gateway(struct prefix_list *list, const struct mesh *mesh, size_t a, size_t b)
{
    const struct mesh_node *from = &mesh->nodes[a], *gateway = &mesh->nodes[b];
    bool inside = same_group(from, gateway);
    if ((inside && from->role == ROLE_GATEWAY) || !is_first_with_role(mesh, b, ROLE_GATEWAY, true))
        return;
    for (size_t i = 0; i < mesh->node_count; i++) {
        bool of_its_group = same_group(&mesh->nodes[i], gateway);
        if (inside ? !of_its_group : of_its_group && mesh->nodes[i].role != ROLE_GATEWAY)
            add_own(list, mesh, i);
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
           (it->role == ROLE_RELAY && has_family(mesh->relay_networks, mesh->relay_network_count, family));
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
    add_own(&list, mesh, b);
    if (mesh->topology == TOPOLOGY_HUB && mesh->nodes[b].role == ROLE_HUB)
        add_behind_hub(&list, mesh, a, b);
    if (mesh->topology == TOPOLOGY_GROUPS && mesh->nodes[b].role == ROLE_GATEWAY)
        add_behind_gateway(&list, mesh, a, b);
    keep_spoken(&list, mesh, a);
    sort_and_reduce(&list);
    *allowed = list.prefixes;
    *count = list.count;
}
