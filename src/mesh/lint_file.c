/* Lint: what can be told from the mesh file, whatever the nodes are like. */
#include "lint_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

/* ---- prefix-twice: a prefix stands in one row of a node only, the last one takes it ---------------------------------- */

struct holding {
    struct prefix prefix;
    size_t peer;
};

static int compare_holdings(const void *a, const void *b)
{
    const struct holding *one = a, *two = b;
    int order = prefix_compare(&one->prefix, &two->prefix);
    return order ? order : (one->peer > two->peer) - (one->peer < two->peer);
}

static void look_at_holdings(struct lint_context *context, size_t node, const struct holding *holdings, size_t count)
{
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 1; i < count; i++) {
        if (prefix_compare(&holdings[i - 1].prefix, &holdings[i].prefix) != 0)
            continue;
        const char *one = lint_name(context, holdings[i - 1].peer), *two = lint_name(context, holdings[i].peer);
        prefix_text(&holdings[i].prefix, text);
        lint_find(context, node, holdings[i].peer, "%s: %s would stand in its rows of %s and of %s, and WireGuard gives a prefix to one row only: remove it from one "
                  "of them in the mesh file", lint_name(context, node), text, one, two);
    }
}

void lint_look_prefix_twice(struct lint_context *context)
{
    struct holding *holdings = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < context->desired->node_count; n++) {
        const struct desired_node *node = &context->desired->nodes[n];
        size_t count = 0;
        for (size_t r = 0; r < node->row_count; r++)
            for (size_t k = 0; k < node->rows[r].allowed_count; k++) {
                MEM_GROW(holdings, count, capacity);
                holdings[count++] = (struct holding){node->rows[r].allowed[k], node->rows[r].peer};
            }
        if (count)
            qsort(holdings, count, sizeof *holdings, compare_holdings);
        look_at_holdings(context, n, holdings, count);
    }
    free(holdings);
}

/* ---- endpoint-twice ------------------------------------------------------------------------------------------------- */

static int compare_endpoints(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    int order = (int)one->endpoint_port - (int)two->endpoint_port;
    order = order ? order : address_compare(&one->endpoint.address, &two->endpoint.address);
    if (!order && !one->endpoint.address.family)
        order = strcasecmp(one->endpoint_host, two->endpoint_host);
    return order ? order : (one > two) - (one < two);
}

static bool same_endpoint(const struct mesh_node *one, const struct mesh_node *two)
{
    if (one->endpoint_port != two->endpoint_port || address_compare(&one->endpoint.address, &two->endpoint.address) != 0)
        return false;
    return one->endpoint.address.family || strcasecmp(one->endpoint_host, two->endpoint_host) == 0;
}

void lint_look_endpoint_twice(struct lint_context *context)
{
    const struct mesh *mesh = context->mesh;
    const struct mesh_node **sorted = mem_alloc(mesh->node_count, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].endpoint_host)
            sorted[count++] = &mesh->nodes[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_endpoints);
    for (size_t i = 1; i < count; i++)
        if (same_endpoint(sorted[i - 1], sorted[i]))
            lint_find(context, (size_t)(sorted[i - 1] - mesh->nodes), (size_t)(sorted[i] - mesh->nodes),
                      "%s and %s have the same Endpoint, %s port %u: only one of them can get what is sent there; give one another port (and its ListenPort)",
                      sorted[i - 1]->name, sorted[i]->name, sorted[i]->endpoint_host, (unsigned)sorted[i]->endpoint_port);
    free(sorted);
}

/* ---- ssh-twice: two sections for one machine would undo each other's work --------------------------------------------- */

static int compare_machines(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    int order = strcmp(one->ssh, two->ssh);
    order = order ? order : strcmp(one->interface, two->interface);
    return order ? order : (one > two) - (one < two);
}

void lint_look_ssh_twice(struct lint_context *context)
{
    const struct mesh *mesh = context->mesh;
    const struct mesh_node **sorted = mem_alloc(mesh->node_count, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].ssh)
            sorted[count++] = &mesh->nodes[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_machines);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1]->ssh, sorted[i]->ssh) == 0 && strcmp(sorted[i - 1]->interface, sorted[i]->interface) == 0)
            lint_find(context, (size_t)(sorted[i - 1] - mesh->nodes), (size_t)(sorted[i] - mesh->nodes),
                      "%s and %s have the same Ssh, %s, and the same Interface: one machine cannot be both; mend the Ssh of one, or remove it", sorted[i - 1]->name,
                      sorted[i]->name, sorted[i]->ssh);
    free(sorted);
}

/* ---- endpoint-in-mesh, endpoint-through-tunnel ------------------------------------------------------------------------ */

static const struct prefix *network_with(const struct mesh *mesh, const struct address *address)
{
    for (size_t i = 0; address->family && i < mesh->network_count; i++)
        if (prefix_contains(&mesh->networks[i], address))
            return &mesh->networks[i];
    return NULL;
}

static const struct prefix *behind_with(const struct mesh_node *node, const struct address *address)
{
    for (size_t i = 0; address->family && i < node->allowed_count; i++)
        if (prefix_contains(&node->allowed[i], address))
            return &node->allowed[i];
    return NULL;
}

void lint_look_endpoint_in_mesh(struct lint_context *context)
{
    const struct mesh *mesh = context->mesh;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        const struct prefix *network = network_with(mesh, &node->endpoint.address), *behind = behind_with(node, &node->endpoint.address);
        if (!network && !behind)
            continue;
        prefix_text(network ? network : behind, text);
        lint_find(context, i, NONE, "%s: its Endpoint %s lies in %s%s: the tunnel would have to go through itself; write an address that is reached without the mesh",
                  node->name, node->endpoint_host, network ? "the mesh's own Network " : "AllowedIPs of its own, ", text);
    }
}

/* Those whose rows have the other's network send packets for the endpoint through the other. */
static size_t count_that_send_through(const struct mesh *mesh, size_t node, size_t other)
{
    size_t count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        count += i != node && i != other && mesh_wants_link(mesh, i, node) && mesh_wants_link(mesh, i, other);
    return count;
}

void lint_look_endpoint_through_tunnel(struct lint_context *context)
{
    const struct mesh *mesh = context->mesh;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < mesh->node_count; i++)
        for (size_t j = 0; mesh->nodes[i].endpoint.address.family && j < mesh->node_count; j++) {
            const struct prefix *behind = i == j ? NULL : behind_with(&mesh->nodes[j], &mesh->nodes[i].endpoint.address);
            if (!behind || count_that_send_through(mesh, i, j) == 0)
                continue;
            prefix_text(behind, text);
            lint_find(context, i, j, "%s: its Endpoint %s lies in %s, which is behind %s: the other nodes would reach it only through the tunnel to %s; write a public "
                      "address, or no Endpoint", lint_name(context, i), mesh->nodes[i].endpoint_host, text, lint_name(context, j), lint_name(context, j));
        }
}

/* ---- mtu-below-ipv6 --------------------------------------------------------------------------------------------------- */

/* RFC 8200 section 5: the kernel has no IPv6 on an interface with less. */
void lint_look_mtu_below_ipv6(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct desired_node *node = &context->desired->nodes[i];
        bool six = false;
        for (size_t k = 0; k < node->address_count; k++)
            six |= node->addresses[k].address.family == AF_INET6;
        if (six && node->mtu && node->mtu < 1280)
            lint_find(context, i, NONE, "%s: MTU = %u is too small for its IPv6 address: IPv6 needs 1280; write at least that, or remove the address",
                      lint_name(context, i), node->mtu);
    }
}

/* ---- role-unreachable, no-way-between ----------------------------------------------------------------------------------- */

/* Has the row of OTHER on NODE ever had a handshake? Then they do meet. */
static bool have_met(const struct lint_context *context, size_t node, size_t other)
{
    const struct device *device = lint_device(context, node);
    struct key key;
    const struct device_peer *row = device && lint_key(context, other, &key) ? device_find_peer(device, &key) : NULL;
    return row && row->handshake > 0;
}

static bool can_meet(const struct lint_context *context, size_t a, size_t b)
{
    const struct mesh *mesh = context->mesh;
    return mesh->nodes[a].endpoint_host || mesh->nodes[b].endpoint_host || have_met(context, a, b) || have_met(context, b, a);
}

static const char *forwarding_role(const struct mesh *mesh, const struct mesh_node *node)
{
    if (node->role == ROLE_HUB && mesh->topology == TOPOLOGY_HUB)
        return "hub";
    if (node->role == ROLE_GATEWAY && mesh->topology == TOPOLOGY_GROUPS)
        return "gateway";
    return node->role == ROLE_RELAY && mesh->relay_network_count ? "relay" : NULL;
}

void lint_look_role_unreachable(struct lint_context *context)
{
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct desired_node *node = &context->desired->nodes[i];
        const char *role = forwarding_role(context->mesh, &context->mesh->nodes[i]);
        bool found = node->row_count == 0;
        for (size_t r = 0; r < node->row_count && !found; r++)
            found = can_meet(context, i, node->rows[r].peer);
        if (role && !found)
            lint_find(context, i, NONE, "%s: the %s has no Endpoint, and none of the nodes that it is linked with has one: nobody can reach it; write Endpoint = HOST:PORT",
                      lint_name(context, i), role);
    }
}

static void say_no_way(struct lint_context *context, size_t node, const size_t *others, size_t count)
{
    struct buf names = BUF_EMPTY;
    size_t shown = count > 4 ? 3 : count;
    for (size_t i = 0; i < shown; i++)
        buf_add_format(&names, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", lint_name(context, others[i]));
    if (count > shown)
        buf_add_format(&names, " and %zu more", count - shown);
    lint_find(context, node, others[0], "%s and %s have no Endpoint: neither can begin, they meet only if both NATs let them; give one an Endpoint (a forwarded "
              "port), or link them through a hub or gateway", lint_name(context, node), buf_text(&names));
    buf_free(&names);
}

void lint_look_no_way_between(struct lint_context *context)
{
    size_t *others = mem_alloc(context->desired->node_count, sizeof *others);
    for (size_t i = 0; i < context->desired->node_count; i++) {
        const struct desired_node *node = &context->desired->nodes[i];
        size_t count = 0;
        for (size_t r = 0; r < node->row_count; r++)
            if (node->rows[r].peer > i && !can_meet(context, i, node->rows[r].peer))
                others[count++] = node->rows[r].peer;
        if (count)
            say_no_way(context, i, others, count);
    }
    free(others);
}

/* ---- preshared-without-ssh ------------------------------------------------------------------------------------------------ */

/* By an invitation: then it has got the key with the hub in that. Before it has, the bare host that stands for it is "seen". */
static bool has_joined(const struct lint_context *context, size_t node)
{
    if (mesh_joins_by_relay(context->mesh, node) || (context->seen && context->seen->nodes[node].reach == REACH_OK))
        return true;
    for (size_t i = 0; context->seen && i < context->mesh->node_count; i++)
        for (size_t j = 0; j < context->seen->nodes[i].joined_count; j++)
            if (strcmp(context->seen->nodes[i].joined[j].name, context->mesh->nodes[node].name) == 0)
                return true;
    return false;
}

void lint_look_preshared_without_ssh(struct lint_context *context)
{
    for (size_t i = 0; context->mesh->preshared_keys && i < context->mesh->node_count; i++)
        if (!context->mesh->nodes[i].ssh && context->desired->nodes[i].row_count && !has_joined(context, i))
            lint_find(context, i, NONE, "%s has no Ssh, so no preshared key can be brought there: its links stay as they are in that; write Ssh, or set them by hand "
                      "at both ends", lint_name(context, i));
}
