/* A small world for tests of the diagnosis: a healthy full mesh as two readings of it, and hands to break it with.
 * Nodes are a, b, c, ... with 203.0.113.11, .12, ... below and 10.44.0.1, .2, ... and fd44::1, ... in the mesh. */
#ifndef WGDECK_TESTS_DIAGNOSIS_WORLD_H
#define WGDECK_TESTS_DIAGNOSIS_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/mem.h"

#define WORLD_NOW (INT64_C(1800000000) * CLOCK_SECOND)
#define WORLD_INTERVAL (13 * CLOCK_SECOND)

struct world {
    struct mesh *mesh;
    struct observed *now;
    struct counters *before;
    size_t count;
};

static inline struct key world_key(unsigned node)
{
    struct key key = {{0}};
    for (unsigned i = 0; i < KEY_SIZE; i++)
        key.bytes[i] = (uint8_t)((node + 1) * 37 + i * 11 + (node >> 3)); /* in another order than the nodes */
    key.bytes[30] = (uint8_t)(node >> 8);
    key.bytes[31] = (uint8_t)node;
    return key;
}

static inline struct address world_address(const char *text)
{
    struct address address;
    if (address_parse(text, &address) != 0)
        abort();
    return address;
}

static inline struct prefix world_prefix(const char *text)
{
    struct prefix prefix;
    if (prefix_parse(text, &prefix) != 0)
        abort();
    return prefix;
}

static inline struct endpoint world_endpoint(const char *text)
{
    struct endpoint endpoint = {0};
    if (*text && endpoint_parse(text, &endpoint) != 0)
        abort();
    return endpoint;
}

static inline struct prefix world_mesh4(unsigned node)
{
    char text[PREFIX_TEXT_SIZE];
    snprintf(text, sizeof text, "10.44.%u.%u", (node + 1) / 256, (node + 1) % 256);
    return world_prefix(text);
}

static inline struct prefix world_mesh6(unsigned node)
{
    char text[PREFIX_TEXT_SIZE];
    snprintf(text, sizeof text, "fd44::%x", node + 1);
    return world_prefix(text);
}

static inline struct address world_public(unsigned node)
{
    char text[ADDRESS_TEXT_SIZE];
    snprintf(text, sizeof text, "203.0.%u.%u", 113 + (node + 11) / 256, (node + 11) % 256);
    return world_address(text);
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static inline void world_set_prefixes(struct prefix **list, size_t *count, const char *text)
{
    char *copy = mem_text(text), *rest = copy, *part;
    free(*list);
    *list = NULL;
    *count = 0;
    while ((part = strsep(&rest, " ,")))
        if (*part) {
            *list = mem_resize(*list, *count + 1, sizeof **list);
            (*list)[(*count)++] = world_prefix(part);
        }
    free(copy);
}

static inline void world_two(struct prefix **list, size_t *count, struct prefix one, struct prefix two)
{
    *list = mem_alloc(2, sizeof **list);
    (*list)[0] = one;
    (*list)[1] = two;
    *count = 2;
}

static inline void world_fill_row(struct device_peer *row, unsigned other, bool saved)
{
    *row = (struct device_peer){.public_key = world_key(other), .endpoint = {.address = world_public(other), .port = 51820}};
    world_two(&row->allowed, &row->allowed_count, world_mesh4(other), world_mesh6(other));
    if (!saved) {
        row->handshake = WORLD_NOW - 30 * CLOCK_SECOND;
        row->rx_bytes = row->tx_bytes = 100000;
    }
}

static inline void world_fill_device(struct device *device, unsigned node, size_t count, bool saved)
{
    *device = (struct device){.name = "wg0", .engine = ENGINE_USERSPACE, .has_private = true, .public_key = world_key(node), .listen_port = 51820};
    device->peers = mem_alloc(count, sizeof *device->peers);
    for (unsigned i = 0; i < count; i++)
        if (i != node)
            world_fill_row(&device->peers[device->peer_count++], i, saved);
}

static inline void world_add_route(struct observation *seen, struct address to, const char *device, uint32_t mtu)
{
    seen->routes = mem_resize(seen->routes, seen->route_count + 1, sizeof *seen->routes);
    struct observed_route *route = &seen->routes[seen->route_count++];
    *route = (struct observed_route){.to = to, .mtu = mtu};
    snprintf(route->device, sizeof route->device, "%s", device);
}

static inline void world_add_table_route(struct observation *seen, const char *to, const char *device)
{
    seen->table_routes = mem_resize(seen->table_routes, seen->table_route_count + 1, sizeof *seen->table_routes);
    struct observed_table_route *route = &seen->table_routes[seen->table_route_count++];
    *route = (struct observed_table_route){.to = world_prefix(to), .table = 254};
    snprintf(route->device, sizeof route->device, "%s", device);
}

static inline void world_fill_links(struct observation *seen, unsigned node)
{
    seen->links = mem_alloc(2, sizeof *seen->links);
    seen->link_count = 2;
    seen->links[0] = (struct observed_link){.name = "eth0", .mtu = 1500, .up = true};
    seen->links[0].addresses = mem_alloc(1, sizeof(struct prefix));
    seen->links[0].addresses[0] = prefix_host(&(struct address){0});
    struct address address = world_public(node);
    seen->links[0].addresses[0] = prefix_host(&address);
    seen->links[0].address_count = 1;
    seen->links[1] = (struct observed_link){.name = "wg0", .kind = "tun", .mtu = 1420, .up = true};
    world_two(&seen->links[1].addresses, &seen->links[1].address_count, world_mesh4(node), world_mesh6(node));
    seen->links[1].addresses[0].length = 16;
    seen->links[1].addresses[1].length = 64;
}

static inline void world_fill_config(struct observation *seen, unsigned node, size_t count)
{
    seen->configs = mem_alloc(1, sizeof *seen->configs);
    seen->config_count = 1;
    struct observed_config *config = &seen->configs[0];
    *config = (struct observed_config){.path = mem_text("/etc/wireguard/wg0.conf"), .mode = 0600, .folder_mode = 0700, .listen_port_given = true};
    world_fill_device(&config->device, node, count, true);
    world_two(&config->addresses, &config->address_count, world_mesh4(node), world_mesh6(node));
    config->addresses[0].length = 16;
    config->addresses[1].length = 64;
}

static inline void world_fill_node(struct observation *seen, unsigned node, size_t count)
{
    seen->reach = REACH_OK;
    seen->at = seen->node_time = WORLD_NOW;
    seen->clock_uncertainty = 2 * CLOCK_MILLISECOND;
    seen->privileged = seen->kernel_has_wireguard = true;
    seen->hostname = mem_text("host");
    seen->seen_from = mem_text("192.0.2.2");
    seen->devices = mem_alloc(1, sizeof *seen->devices);
    seen->device_count = 1;
    world_fill_device(&seen->devices[0], node, count, false);
    world_fill_links(seen, node);
    world_fill_config(seen, node, count);
    seen->routes = mem_alloc(3 * count, sizeof *seen->routes);
    for (unsigned i = 0; i < count; i++) {
        if (i == node)
            continue;
        struct prefix four = world_mesh4(i), six = world_mesh6(i);
        struct observed_route *route = &seen->routes[seen->route_count];
        route[0] = (struct observed_route){.to = world_public(i), .device = "eth0", .mtu = 1500};
        route[1] = (struct observed_route){.to = four.address, .device = "wg0", .mtu = 1420};
        route[2] = (struct observed_route){.to = six.address, .device = "wg0", .mtu = 1420};
        seen->route_count += 3;
    }
    world_add_table_route(seen, "0.0.0.0/0", "eth0");
    world_add_table_route(seen, "10.44.0.0/16", "wg0");
    world_add_table_route(seen, "fd44::/64", "wg0");
}

static inline struct mesh *world_mesh(size_t count, bool from_file)
{
    struct mesh *mesh = mem_alloc(1, sizeof *mesh);
    mesh->name = mem_text("test");
    mesh->from_file = from_file;
    mesh->nodes = mem_alloc(count, sizeof *mesh->nodes);
    mesh->node_count = count;
    mesh->interface = from_file ? mem_text("wg0") : NULL;
    mesh->listen_port = 51820;
    if (from_file)
        world_set_prefixes(&mesh->networks, &mesh->network_count, "10.44.0.0/16 fd44::/64");
    for (unsigned i = 0; i < count; i++) {
        struct mesh_node *node = &mesh->nodes[i];
        node->name = i < 26 ? mem_format("%c", 'a' + (int)i) : mem_format("node%u", i);
        char text[ADDRESS_TEXT_SIZE];
        struct address public = world_public(i);
        address_text(&public, text);
        node->ssh = from_file ? mem_text(node->name) : mem_format("root@%s:22", text);
        if (!from_file)
            continue;
        world_two(&node->addresses, &node->address_count, world_mesh4(i), world_mesh6(i));
        node->endpoint = (struct endpoint){.address = world_public(i), .port = 51820};
        node->endpoint_host = mem_text(text);
        node->endpoint_port = node->listen_port = 51820;
        node->has_public_key = true;
        node->public_key = world_key(i);
        node->interface = mem_text("wg0");
    }
    return mesh;
}

static inline struct world world_new(size_t count, bool from_file)
{
    struct world world = {.mesh = world_mesh(count, from_file), .now = observed_new(count), .count = count};
    for (unsigned i = 0; i < count; i++)
        world_fill_node(&world.now->nodes[i], i, count);
    return world;
}

static inline void world_free(struct world *world)
{
    mesh_free(world->mesh);
    observed_free(world->now);
    counters_free(world->before);
}

/* ---- hands ------------------------------------------------------------------------------------------------------ */

static inline struct observation *world_node(struct world *world, char name)
{
    return &world->now->nodes[name - 'a'];
}

static inline struct device *world_device(struct world *world, char name)
{
    return &world_node(world, name)->devices[0];
}

static inline struct observed_config *world_config(struct world *world, char name)
{
    return &world_node(world, name)->configs[0];
}

static inline struct device_peer *world_find(struct device *device, struct key key)
{
    for (size_t i = 0; i < device->peer_count; i++)
        if (key_compare(&device->peers[i].public_key, &key) == 0)
            return &device->peers[i];
    abort();
}

static inline struct device_peer *world_row(struct world *world, char holder, char other)
{
    return world_find(world_device(world, holder), world_key((unsigned)(other - 'a')));
}

static inline struct device_peer *world_saved(struct world *world, char holder, char other)
{
    return world_find(&world_config(world, holder)->device, world_key((unsigned)(other - 'a')));
}

static inline void world_remove(struct device *device, char other)
{
    struct device_peer *row = world_find(device, world_key((unsigned)(other - 'a')));
    free(row->allowed);
    *row = device->peers[--device->peer_count];
}

static inline void world_allow(struct device_peer *row, const char *prefixes)
{
    world_set_prefixes(&row->allowed, &row->allowed_count, prefixes);
}

static inline void world_age(struct world *world, char a, char b, int seconds)
{
    int64_t at = seconds < 0 ? 0 : WORLD_NOW - seconds * CLOCK_SECOND;
    world_row(world, a, b)->handshake = world_row(world, b, a)->handshake = at;
    if (seconds < 0) {
        world_row(world, a, b)->rx_bytes = world_row(world, a, b)->tx_bytes = 0;
        world_row(world, b, a)->rx_bytes = world_row(world, b, a)->tx_bytes = 0;
    }
}

/* From here on counters are differences: the older reading is as it is now. */
static inline void world_keep_as_before(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        observation_sort(&world->now->nodes[i]);
    counters_free(world->before);
    world->before = counters_take(world->now);
    for (size_t i = 0; i < world->count; i++) {
        world->before->nodes[i].at -= WORLD_INTERVAL;
        world->before->nodes[i].node_time -= WORLD_INTERVAL;
    }
}

static inline void world_send(struct world *world, char from, char to, uint64_t bytes, bool arrives)
{
    world_row(world, from, to)->tx_bytes += bytes;
    if (arrives)
        world_row(world, to, from)->rx_bytes += bytes;
}

static inline struct prefix *world_interface_address(struct world *world, char name, size_t index)
{
    return &world_node(world, name)->links[1].addresses[index];
}

static inline void world_add_address(struct world *world, char name, const char *text)
{
    struct observed_link *link = &world_node(world, name)->links[1];
    link->addresses = mem_resize(link->addresses, link->address_count + 1, sizeof *link->addresses);
    link->addresses[link->address_count++] = world_prefix(text);
}

/* Behind NAT: private address, seen by the others at OUTSIDE; rows for it have no saved endpoint. */
static inline void world_nat(struct world *world, char name, const char *inside, const char *outside, uint16_t keepalive)
{
    unsigned index = (unsigned)(name - 'a');
    struct observation *seen = world_node(world, name);
    struct mesh_node *node = &world->mesh->nodes[index];
    seen->links[0].addresses[0] = world_prefix(inside);
    free(node->endpoint_host);
    node->endpoint_host = NULL;
    node->endpoint = (struct endpoint){0};
    node->endpoint_port = 0;
    for (char other = 'a'; other < 'a' + (char)world->count; other++) {
        if (other == name)
            continue;
        world_row(world, other, name)->endpoint = world_endpoint(outside);
        world_saved(world, other, name)->endpoint = (struct endpoint){0};
        world_row(world, name, other)->keepalive = world_saved(world, name, other)->keepalive = keepalive;
    }
    for (size_t i = 0; i < world->count; i++)
        world_add_route(&world->now->nodes[i], world_endpoint(outside).address, "eth0", 1500);
}

static inline void world_fail(struct world *world, char name)
{
    struct observation *seen = world_node(world, name);
    observation_clear(seen);
    seen->reach = REACH_FAILED;
    seen->error = mem_text("connect: connection refused");
    seen->at = WORLD_NOW;
}

static inline void world_sort(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        observation_sort(&world->now->nodes[i]);
}

#endif
