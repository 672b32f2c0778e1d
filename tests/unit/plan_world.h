/* A small world for tests of the plan: nodes as a mesh file describes them, bare or as they should be, hands to damage them, and a simulator that carries a plan's
 * operations out on what was seen of them, as the nodes do (src/node/state_after.c, state_file.c). Every operation goes over the wire's JSON first. */
#ifndef WGDECK_TESTS_PLAN_WORLD_H
#define WGDECK_TESTS_PLAN_WORLD_H

#include "diagnosis_world.h"
#include "wgdeck/plan.h"

struct plan_world {
    struct conf *conf;
    struct mesh *mesh;
    struct desired *desired;
    struct observed *seen;
    struct plan_options options;
    unsigned round;               /* of preshared keys that were made */
    bool new_keys;                /* nodes that make keys make others than they had */
};

static inline void plan_world_read(struct plan_world *world, const char *text)
{
    struct err err;
    struct buf warnings = BUF_EMPTY;
    desired_free(world->desired);
    mesh_free(world->mesh);
    conf_free(world->conf);
    world->conf = conf_parse("mesh.conf", text, strlen(text), &err);
    world->mesh = world->conf ? mesh_read(world->conf, &warnings, &err) : NULL;
    if (!world->mesh) {
        fprintf(stderr, "%s\n%s\n", text, err.text);
        abort();
    }
    buf_free(&warnings);
    world->desired = desired_new(world->mesh);
}

/* A host of the provider's: reached, root, no WireGuard on it. */
static inline void plan_world_bare(struct observation *seen, unsigned node)
{
    struct address address = world_public(node);
    observation_clear(seen);
    *seen = (struct observation){.reach = REACH_OK, .at = WORLD_NOW, .node_time = WORLD_NOW, .privileged = true, .kernel_has_wireguard = true};
    seen->hostname = mem_text("host");
    seen->seen_from = mem_text("192.0.2.2");
    seen->links = mem_alloc(1, sizeof *seen->links);
    seen->link_count = 1;
    seen->links[0] = (struct observed_link){.name = "eth0", .mtu = 1500, .up = true};
    seen->links[0].addresses = mem_alloc(1, sizeof(struct prefix));
    seen->links[0].addresses[0] = prefix_host(&address);
    seen->links[0].address_count = 1;
    world_add_table_route(seen, "0.0.0.0/0", "eth0");
}

static inline struct plan_world plan_world_new(const char *text)
{
    struct plan_world world = {.options = {.now = WORLD_NOW}};
    plan_world_read(&world, text);
    world.seen = observed_new(world.mesh->node_count);
    for (unsigned i = 0; i < world.mesh->node_count; i++)
        plan_world_bare(&world.seen->nodes[i], i);
    return world;
}

static inline void plan_world_free(struct plan_world *world)
{
    desired_free(world->desired);
    mesh_free(world->mesh);
    conf_free(world->conf);
    observed_free(world->seen);
}

static inline struct plan *plan_world_plan(struct plan_world *world)
{
    for (size_t i = 0; i < world->seen->node_count; i++)
        observation_sort(&world->seen->nodes[i]);
    return plan_new(world->mesh, world->desired, world->seen, &world->options);
}

/* ---- what a node has ---------------------------------------------------------------------------------------------- */

static inline struct device *plan_world_running(struct observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->device_count; i++)
        if (!strcmp(seen->devices[i].name, name))
            return &seen->devices[i];
    return NULL;
}

static inline struct observed_config *plan_world_saved(struct observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->config_count; i++)
        if (!strcmp(seen->configs[i].device.name, name))
            return &seen->configs[i];
    return NULL;
}

static inline struct observed_link *plan_world_link(struct observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->link_count; i++)
        if (!strcmp(seen->links[i].name, name))
            return &seen->links[i];
    return NULL;
}

static inline struct device_peer *plan_world_row(struct device *device, const struct key *key)
{
    for (size_t i = 0; device && i < device->peer_count; i++)
        if (!key_compare(&device->peers[i].public_key, key))
            return &device->peers[i];
    return NULL;
}

static inline void plan_world_drop_row(struct observed_config *config, struct device *device, struct device_peer *row)
{
    size_t at = (size_t)(row - device->peers), last = --device->peer_count;
    device_free_allowed(row);
    device->peers[at] = device->peers[last];
    if (config && config->endpoint_hosts) {
        free(config->endpoint_hosts[at]);
        config->endpoint_hosts[at] = config->endpoint_hosts[last];
        config->endpoint_hosts[last] = NULL;
    }
}

static inline void plan_world_set_allowed(struct device_peer *row, const struct prefix *allowed, size_t count)
{
    struct device one = {.peers = row, .peer_count = 1};
    device_free_allowed(row);
    row->allowed_shared = false;
    row->allowed = mem_copy(allowed, count, sizeof *allowed);
    row->allowed_count = count;
    device_sort(&one);
}

/* As the kernel does: what one row gets, the others lose. */
static inline void plan_world_steal(struct device *device, const struct device_peer *taker)
{
    for (size_t i = 0; i < device->peer_count; i++) {
        struct device_peer *row = &device->peers[i];
        size_t kept = 0;
        if (row == taker)
            continue;
        for (size_t k = 0; k < row->allowed_count; k++) {
            bool taken = false;
            for (size_t t = 0; t < taker->allowed_count; t++)
                taken |= !prefix_compare(&taker->allowed[t], &row->allowed[k]);
            if (!taken)
                row->allowed[kept++] = row->allowed[k];
        }
        row->allowed_count = kept;
    }
}

/* ---- the simulator ------------------------------------------------------------------------------------------------ */

struct plan_simulated {
    struct plan_world *world;
    struct observation *seen;
    size_t node;
    const char *interface;
};

static inline void plan_simulate_table(struct observation *seen, const struct prefix *to, const char *device, bool add)
{
    struct prefix network = prefix_network(to);
    size_t kept = 0;
    for (size_t i = 0; i < seen->table_route_count; i++)
        if (strcmp(seen->table_routes[i].device, device) != 0 || prefix_compare(&seen->table_routes[i].to, &network))
            seen->table_routes[kept++] = seen->table_routes[i];
    seen->table_route_count = kept;
    if (add) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&network, text);
        world_add_table_route(seen, text, device);
    }
}

/* What is missing in KEY's hash: of the pair's key of this round. */
static inline void plan_simulate_preshared(const struct plan_simulated *simulated, struct device *device, struct device_peer *row, const struct plan_operation *operation, size_t peer)
{
    size_t low = simulated->node < peer ? simulated->node : peer, high = simulated->node < peer ? peer : simulated->node;
    struct device_peer *other;
    switch (operation->preshared) {
    case PLAN_PRESHARED_KEEP:
        return;
    case PLAN_PRESHARED_MAKE:
    case PLAN_PRESHARED_TAKE:
        memset(row->preshared_hash, 0, KEY_HASH_SIZE);
        row->has_preshared = true;
        row->preshared_hash[0] = (uint8_t)low;
        row->preshared_hash[1] = (uint8_t)high;
        row->preshared_hash[2] = (uint8_t)simulated->world->round;
        row->preshared_hash[3] = 1;
        return;
    case PLAN_PRESHARED_COPY:
        other = plan_world_row(device, &operation->other_key);
        row->has_preshared = other && other->has_preshared;
        if (other)
            memmove(row->preshared_hash, other->preshared_hash, KEY_HASH_SIZE);
        return;
    case PLAN_PRESHARED_NONE:
        row->has_preshared = false;
        memset(row->preshared_hash, 0, KEY_HASH_SIZE);
    }
}

static inline struct device_peer *plan_simulate_make(struct observed_config *config, struct device *device, const struct key *key)
{
    struct device_peer *row = plan_world_row(device, key);
    if (row)
        return row;
    device->peers = mem_resize(device->peers, device->peer_count + 1, sizeof *device->peers);
    if (config && config->endpoint_hosts) {
        config->endpoint_hosts = mem_resize(config->endpoint_hosts, device->peer_count + 1, sizeof *config->endpoint_hosts);
        config->endpoint_hosts[device->peer_count] = NULL;
    }
    row = &device->peers[device->peer_count++];
    *row = (struct device_peer){.public_key = *key};
    return row;
}

/* A name means the public address of the node of that name: d.example.org. */
static inline struct endpoint plan_simulate_endpoint(const struct plan_operation *operation, char **host)
{
    struct endpoint endpoint = {0};
    if (operation->endpoint && endpoint_parse(operation->endpoint, &endpoint)) {
        *host = mem_text(operation->endpoint);
        endpoint.address = world_public((unsigned)(operation->endpoint[0] - 'a'));
        endpoint.port = 51820;
    }
    return endpoint;
}

static inline void plan_simulate_row(const struct plan_simulated *simulated, struct observed_config *config, struct device *device, const struct plan_operation *operation, size_t peer)
{
    bool is_new = !plan_world_row(device, &operation->key), saved = config != NULL;
    struct device_peer *row = plan_simulate_make(config, device, &operation->key);
    char *host = NULL;
    if (operation->set_allowed) {
        plan_world_set_allowed(row, operation->allowed, operation->allowed_count);
        plan_world_steal(device, row);
    }
    if (operation->set_keepalive)
        row->keepalive = operation->keepalive;
    if (operation->set_endpoint && (saved || is_new || !operation->endpoint_saved_only)) {
        row->endpoint = plan_simulate_endpoint(operation, &host);
        if (saved && !config->endpoint_hosts && host)
            config->endpoint_hosts = mem_alloc(device->peer_count, sizeof *config->endpoint_hosts);
        if (saved && config->endpoint_hosts) {
            size_t at = (size_t)(row - device->peers);
            free(config->endpoint_hosts[at]);
            config->endpoint_hosts[at] = mem_text(host);
        }
        if (saved && host)
            row->endpoint = (struct endpoint){0}; /* a file is not resolved when it is read */
    }
    free(host);
    struct device *running = plan_world_running(simulated->seen, simulated->interface);
    bool of_running = saved && operation->preshared == PLAN_PRESHARED_COPY && plan_world_row(running, &operation->key);
    plan_simulate_preshared(simulated, of_running ? running : device, row, operation, peer);
    if (of_running) {
        const struct device_peer *now = plan_world_row(running, &operation->key);
        row->has_preshared = now->has_preshared;
        memcpy(row->preshared_hash, now->preshared_hash, KEY_HASH_SIZE);
    }
}

static inline void plan_simulate_move(struct device *device, struct observed_config *config, const struct plan_operation *operation)
{
    struct device_peer *to = plan_simulate_make(config, device, &operation->key), *from = plan_world_row(device, &operation->other_key);
    if (!from)
        return;
    plan_world_set_allowed(to, from->allowed, from->allowed_count);
    from->allowed_count = 0;
    to->keepalive = from->keepalive ? from->keepalive : to->keepalive;
    from->keepalive = 0;
}

static inline void plan_simulate_address(struct prefix **addresses, size_t *count, const struct prefix *address, bool add)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (address_compare(&(*addresses)[i].address, &address->address) || (!add && (*addresses)[i].length != address->length))
            (*addresses)[kept++] = (*addresses)[i];
    *count = kept;
    if (add) {
        *addresses = mem_resize(*addresses, kept + 1, sizeof **addresses);
        (*addresses)[(*count)++] = *address;
    }
}

static inline void plan_simulate_interface(const struct plan_simulated *simulated)
{
    struct observation *seen = simulated->seen;
    const struct observed_config *config = plan_world_saved(seen, simulated->interface);
    struct observed_link *link = plan_world_link(seen, simulated->interface);
    if (link) { /* it was down */
        link->up = true;
        for (size_t i = 0; i < link->address_count; i++)
            if (link->addresses[i].length < address_bits(&link->addresses[i].address))
                plan_simulate_table(seen, &link->addresses[i], simulated->interface, true);
        return;
    }
    seen->devices = mem_resize(seen->devices, seen->device_count + 1, sizeof *seen->devices);
    struct device *device = &seen->devices[seen->device_count++];
    *device = (struct device){.engine = ENGINE_KERNEL, .has_private = true, .public_key = simulated->world->mesh->nodes[simulated->node].public_key};
    if (config && config->device.has_private)
        device->public_key = config->device.public_key;
    snprintf(device->name, sizeof device->name, "%s", simulated->interface);
    seen->links = mem_resize(seen->links, seen->link_count + 1, sizeof *seen->links);
    seen->links[seen->link_count] = (struct observed_link){.kind = "wireguard", .mtu = 1420, .up = true};
    snprintf(seen->links[seen->link_count++].name, IFNAMSIZ, "%s", simulated->interface);
}

static inline void plan_simulate_running(const struct plan_simulated *simulated, const struct plan_operation *operation, size_t peer)
{
    struct observation *seen = simulated->seen;
    struct device *device = plan_world_running(seen, simulated->interface);
    struct observed_link *link = plan_world_link(seen, simulated->interface);
    struct device_peer *row;
    switch (operation->kind) {
    case PLAN_INTERFACE:
        plan_simulate_interface(simulated);
        break;
    case PLAN_LISTEN_PORT:
        device->listen_port = (uint16_t)operation->number;
        break;
    case PLAN_MTU:
        link->mtu = operation->number;
        break;
    case PLAN_ADDRESS:
    case PLAN_ADDRESS_REMOVE:
        plan_simulate_address(&link->addresses, &link->address_count, &operation->prefix, operation->kind == PLAN_ADDRESS);
        if (operation->prefix.length < address_bits(&operation->prefix.address))
            plan_simulate_table(seen, &operation->prefix, simulated->interface, operation->kind == PLAN_ADDRESS);
        break;
    case PLAN_ROW:
        plan_simulate_row(simulated, NULL, device, operation, peer);
        break;
    case PLAN_ROW_MOVE:
        plan_simulate_move(device, NULL, operation);
        break;
    case PLAN_ROW_REMOVE:
        if ((row = plan_world_row(device, &operation->key)))
            plan_world_drop_row(NULL, device, row);
        break;
    case PLAN_ROUTE:
    case PLAN_ROUTE_REMOVE:
        plan_simulate_table(seen, &operation->prefix, simulated->interface, operation->kind == PLAN_ROUTE);
        break;
    case PLAN_FORWARDING:
        *(operation->prefix.address.family == AF_INET ? &seen->forwarding4 : &seen->forwarding6) = 1;
        break;
    case PLAN_INTERFACE_REMOVE:
        device_free(device);
        *device = seen->devices[--seen->device_count];
        free(link->addresses);
        *link = seen->links[--seen->link_count];
        for (size_t i = 0; i < seen->table_route_count; i++)
            if (!strcmp(seen->table_routes[i].device, simulated->interface))
                seen->table_routes[i--] = seen->table_routes[--seen->table_route_count];
        break;
    default:
        break;
    }
}

/* A file is made from what runs after all operations; later ones find it there. */
static inline struct observed_config *plan_simulate_file(const struct plan_simulated *simulated)
{
    struct observation *seen = simulated->seen;
    struct observed_config *config = plan_world_saved(seen, simulated->interface);
    if (config)
        return config;
    const struct device *device = plan_world_running(seen, simulated->interface);
    const struct observed_link *link = plan_world_link(seen, simulated->interface);
    seen->configs = mem_resize(seen->configs, seen->config_count + 1, sizeof *seen->configs);
    config = &seen->configs[seen->config_count++];
    *config = (struct observed_config){.path = mem_format("/etc/wireguard/%s.conf", simulated->interface), .mode = 0600, .folder_mode = 0700, .listen_port_given = true,
                                       .boot = mem_text("")};
    device_copy(&config->device, device);
    config->addresses = mem_copy(link->addresses, link->address_count, sizeof *link->addresses);
    config->address_count = link->address_count;
    config->mtu = link->mtu;
    return config;
}

static inline void plan_simulate_saved(const struct plan_simulated *simulated, const struct plan_operation *operation, size_t peer)
{
    struct observation *seen = simulated->seen;
    struct observed_config *config;
    struct device_peer *row;
    if (operation->kind == PLAN_INTERFACE_REMOVE) {
        config = plan_world_saved(seen, simulated->interface);
        free(config->path);
        free(config->boot);
        free(config->addresses);
        for (size_t i = 0; config->endpoint_hosts && i < config->device.peer_count; i++)
            free(config->endpoint_hosts[i]);
        free(config->endpoint_hosts);
        device_free(&config->device);
        *config = seen->configs[--seen->config_count];
        return;
    }
    config = plan_simulate_file(simulated);
    switch (operation->kind) {
    case PLAN_LISTEN_PORT:
        config->device.listen_port = (uint16_t)operation->number;
        break;
    case PLAN_MTU:
        config->mtu = operation->number;
        break;
    case PLAN_ADDRESS:
    case PLAN_ADDRESS_REMOVE:
        plan_simulate_address(&config->addresses, &config->address_count, &operation->prefix, operation->kind == PLAN_ADDRESS);
        break;
    case PLAN_ROW:
        plan_simulate_row(simulated, config, &config->device, operation, peer);
        break;
    case PLAN_ROW_MOVE:
        plan_simulate_move(&config->device, config, operation);
        break;
    case PLAN_ROW_REMOVE:
        if ((row = plan_world_row(&config->device, &operation->key)))
            plan_world_drop_row(config, &config->device, row);
        break;
    case PLAN_SERVICE:
        free(config->boot);
        config->boot = mem_text("wg-quick@.service");
        break;
    default:
        break;
    }
}

/* Where would a packet go? Longest prefix wins. */
static inline const char *plan_simulate_way(const struct observation *seen, const struct address *to)
{
    const struct observed_table_route *best = NULL;
    for (size_t i = 0; i < seen->table_route_count; i++)
        if (prefix_contains(&seen->table_routes[i].to, to) && (!best || seen->table_routes[i].to.length > best->to.length))
            best = &seen->table_routes[i];
    return best ? best->device : "";
}

static inline void plan_simulate_routes(struct observation *seen, const char *interface)
{
    const struct device *device = plan_world_running(seen, interface);
    free(seen->routes);
    seen->routes = NULL;
    seen->route_count = 0;
    for (size_t i = 0; device && i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_count; k++) {
            struct address target = observed_route_target(&device->peers[i].allowed[k]);
            world_add_route(seen, target, plan_simulate_way(seen, &target), 1420);
        }
}

/* Over the wire and back: what the node gets. */
static inline struct plan_operation plan_simulate_wire(struct plan_operation *operation)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    struct plan_operation got;
    struct err err;
    plan_operation_to_json(operation, &json);
    cJSON *object = json_parse(buf_text(&buf), buf.length, &err);
    if (!object || plan_operation_from_json(object, &got, &err)) {
        fprintf(stderr, "%s: %s\n", buf_text(&buf), err.text);
        abort();
    }
    cJSON_Delete(object);
    buf_free(&buf);
    return got;
}

/* A node makes its key, or finds the one that it had; the mesh file pins it. */
static inline void plan_simulate_keys(struct plan_world *world, struct plan *plan)
{
    for (unsigned i = 0; i < plan->node_count; i++) {
        struct mesh_node *node = &world->mesh->nodes[i];
        if (plan->nodes[i].make_key && plan->nodes[i].state == PLAN_READY) {
            struct key key = world_key(world->new_keys ? 300 + i : i);
            plan_set_key(plan, i, &key);
            node->public_key = key;
            node->has_public_key = true;
        }
    }
}

static inline void plan_simulate(struct plan_world *world, struct plan *plan)
{
    world->round++;
    plan_simulate_keys(world, plan);
    for (size_t i = 0; i < plan->node_count; i++) {
        struct plan_simulated simulated = {world, &world->seen->nodes[i], i, world->desired->nodes[i].interface};
        struct plan_node *node = &plan->nodes[i];
        for (int pass = 0; pass < 2; pass++) /* the file is written last */
            for (size_t o = 0; o < node->count; o++) {
                struct plan_operation got = plan_simulate_wire(&node->operations[o]);
                if (!pass && got.running)
                    plan_simulate_running(&simulated, &got, node->operations[o].peer);
                if (pass && got.saved)
                    plan_simulate_saved(&simulated, &got, node->operations[o].peer);
                plan_operation_free(&got);
            }
        if (world->seen->nodes[i].reach == REACH_OK) {
            plan_simulate_routes(&world->seen->nodes[i], simulated.interface);
            observation_sort(&world->seen->nodes[i]);
        }
    }
}

/* All nodes as the mesh file asks: by the plan itself, whose result the tests check against the desired state. */
static inline void plan_world_set_up(struct plan_world *world)
{
    struct plan *plan = plan_world_plan(world);
    plan_simulate(world, plan);
    plan_free(plan);
    for (size_t i = 0; i < world->seen->node_count; i++)
        for (size_t d = 0; d < world->seen->nodes[i].device_count; d++)
            for (size_t p = 0; p < world->seen->nodes[i].devices[d].peer_count; p++)
                world->seen->nodes[i].devices[d].peers[p].handshake = WORLD_NOW - 30 * CLOCK_SECOND;
}

#endif
