/* From the mesh file to what each node should have: its interface, its addresses, its rows. Which pairs and which prefixes: topology.c. */
#include "wgdeck/desired.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

#define KEEPALIVE_DEFAULT 25 /* seconds: NATs forget a UDP flow after 30 at the earliest (RFC 4787, REQ-5) */

static struct prefix with_network_length(const struct mesh *mesh, const struct prefix *host)
{
    struct prefix address = *host;
    for (size_t i = 0; i < mesh->network_count; i++)
        if (prefix_contains(&mesh->networks[i], &host->address))
            address.length = mesh->networks[i].length;
    return address;
}

static char *endpoint_of(const struct mesh_node *node)
{
    if (!node->endpoint_host)
        return NULL;
    const char *open = strchr(node->endpoint_host, ':') ? "[" : "", *close = *open ? "]" : "";
    return mem_format("%s%s%s:%u", open, node->endpoint_host, close, (unsigned)node->endpoint_port);
}

/* Auto: who cannot be called keeps its NAT's way open, towards everybody; when neither of two can be called, both do. Who joined by the relay does so whatever the mesh says:
 * it is reached by this one row only, and only as long as the relay knows where it is. */
static uint16_t keepalive_of(const struct mesh *mesh, size_t index)
{
    const struct mesh_node *node = &mesh->nodes[index];
    if (mesh->keepalive_mode == KEEPALIVE_SECONDS && mesh->keepalive)
        return mesh->keepalive;
    if (mesh_joins_by_relay(mesh, index))
        return KEEPALIVE_DEFAULT;
    if (mesh->keepalive_mode == KEEPALIVE_OFF || node->endpoint_host)
        return 0;
    return KEEPALIVE_DEFAULT;
}

static struct desired_row row_of(const struct mesh *mesh, size_t node, size_t peer)
{
    struct desired_row row = {.peer = peer, .endpoint = endpoint_of(&mesh->nodes[peer]), .keepalive = keepalive_of(mesh, node)};
    mesh_wants_allowed(mesh, node, peer, &row.allowed, &row.allowed_count);
    row.keepalive_exact = mesh->keepalive_mode != KEEPALIVE_AUTO;
    row.preshared = mesh->preshared_keys;
    return row;
}

static void add_rows(const struct mesh *mesh, size_t node, struct desired_node *desired)
{
    size_t capacity = 0;
    for (size_t peer = 0; peer < mesh->node_count; peer++) {
        if (!mesh_wants_link(mesh, node, peer))
            continue;
        MEM_GROW(desired->rows, desired->row_count, capacity);
        desired->rows[desired->row_count++] = row_of(mesh, node, peer);
    }
}

static void note_family(struct desired_node *desired, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        desired->forwards4 |= prefixes[i].address.family == AF_INET;
        desired->forwards6 |= prefixes[i].address.family == AF_INET6;
    }
}

/* What others reach through a node, that node must forward: packets between its rows, or from a row to the network behind it. */
static void find_forwarding(const struct mesh *mesh, size_t index, struct desired_node *desired)
{
    const struct mesh_node *node = &mesh->nodes[index];
    if ((mesh->topology == TOPOLOGY_HUB && node->role == ROLE_HUB) || (mesh->topology == TOPOLOGY_GROUPS && node->role == ROLE_GATEWAY))
        note_family(desired, mesh->networks, mesh->network_count);
    if (index == mesh_relay(mesh)) {
        note_family(desired, mesh->relay_networks, mesh->relay_network_count);
        for (size_t i = 0; i < mesh->node_count; i++)
            if (mesh->nodes[i].allowed_count && mesh_joins_by_relay(mesh, i))
                note_family(desired, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count);
    }
    note_family(desired, node->allowed, node->allowed_count);
}

static void desire_node(const struct mesh *mesh, size_t index, struct desired_node *desired)
{
    const struct mesh_node *node = &mesh->nodes[index];
    *desired = (struct desired_node){
        .interface = node->interface, .address_count = node->address_count, .listen_port = node->listen_port, .mtu = node->mtu, .engine = node->engine,
    };
    desired->addresses = mem_alloc(node->address_count, sizeof *desired->addresses);
    for (size_t i = 0; i < node->address_count; i++)
        desired->addresses[i] = with_network_length(mesh, &node->addresses[i]);
    find_forwarding(mesh, index, desired);
    add_rows(mesh, index, desired);
}

struct desired *desired_new(const struct mesh *mesh)
{
    struct desired *desired = mem_alloc(1, sizeof *desired);
    desired->node_count = mesh->node_count;
    desired->nodes = mem_alloc(mesh->node_count, sizeof *desired->nodes);
    for (size_t i = 0; i < mesh->node_count; i++)
        desire_node(mesh, i, &desired->nodes[i]);
    return desired;
}

void desired_free(struct desired *desired)
{
    if (!desired)
        return;
    for (size_t i = 0; i < desired->node_count; i++) {
        struct desired_node *node = &desired->nodes[i];
        for (size_t r = 0; r < node->row_count; r++) {
            free(node->rows[r].allowed);
            free(node->rows[r].endpoint);
        }
        free(node->rows);
        free(node->addresses);
    }
    free(desired->nodes);
    free(desired);
}

const struct desired_row *desired_row_find(const struct desired_node *node, size_t peer)
{
    size_t low = 0, high = node->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->rows[middle].peer == peer)
            return &node->rows[middle];
        if (node->rows[middle].peer < peer)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
