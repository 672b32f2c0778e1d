/* Most often a node has saved what it runs, and routes what its rows allow into the tunnel. Then the saved rows and these routes need not be
 * kept: a large mesh has a million rows and two million such routes. */
#include <stdlib.h>
#include <string.h>

#include "observed_shape.h"
#include "wgdeck/mem.h"

static bool same_row(const struct device_peer *a, const struct device_peer *b)
{
    return key_compare(&a->public_key, &b->public_key) == 0 && endpoint_equal(&a->endpoint, &b->endpoint) && a->keepalive == b->keepalive &&
           a->has_preshared == b->has_preshared && memcmp(a->preshared_hash, b->preshared_hash, KEY_HASH_SIZE) == 0 &&
           a->allowed_count == b->allowed_count &&
           (a->allowed == b->allowed || memcmp(a->allowed, b->allowed, a->allowed_count * sizeof *a->allowed) == 0);
}

static bool same_rows(const struct device *a, const struct device *b)
{
    bool same = a->peer_count == b->peer_count;
    for (size_t i = 0; same && i < a->peer_count; i++)
        same = same_row(&a->peers[i], &b->peers[i]);
    return same;
}

/* A saved row counts nothing. */
static bool counts_nothing(const struct device *saved)
{
    for (size_t i = 0; i < saved->peer_count; i++)
        if (saved->peers[i].handshake || saved->peers[i].rx_bytes || saved->peers[i].tx_bytes)
            return false;
    return true;
}

const struct device *observation_saved(const struct observation *observation, const struct observed_config *config)
{
    const struct device *running = config->rows_as_running ? observation_device(observation, config->device.name) : NULL;
    return running ? running : &config->device;
}

bool observation_is_packed(const struct observation *observation)
{
    for (size_t i = 0; i < observation->config_count; i++)
        if (observation->configs[i].rows_as_running)
            return true;
    for (size_t i = 0; i < observation->device_count; i++)
        if (observation->devices[i].routes_as_allowed)
            return true;
    return false;
}

/* ---- routes ------------------------------------------------------------------------------------------------------- */

static struct observed_route *find_route(struct observation *observation, const struct address *to)
{
    const struct observed_route *found = observation_route(observation, to);
    return found ? &observation->routes[found - observation->routes] : NULL;
}

/* Each prefix is answered for by the route to its target, all of these lead into the device, and all have one MTU. NEEDLESS: for each route,
 * whether it is such a one. */
static bool mark_needless(struct observation *observation, const struct device *device, bool *needless, uint32_t *mtu)
{
    bool any = false;
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_count; k++) {
            const struct prefix *prefix = &device->peers[i].allowed[k];
            struct address target = observed_route_target(prefix);
            const struct observed_route *route = find_route(observation, &target);
            bool other = address_compare(&target, &prefix->address) != 0 && find_route(observation, &prefix->address);
            if (!route || other || strcmp(route->device, device->name) != 0 || (any && route->mtu != *mtu))
                return false;
            *mtu = route->mtu;
            any = true;
            needless[route - observation->routes] = true;
        }
    return any;
}

static void pack_routes(struct observation *observation, struct device *device)
{
    bool *needless = mem_alloc(observation->route_count, sizeof *needless);
    uint32_t mtu = 0;
    size_t kept = 0;
    if (!mark_needless(observation, device, needless, &mtu)) {
        free(needless);
        return;
    }
    for (size_t i = 0; i < observation->device_count; i++)
        for (size_t k = 0; k < observation->devices[i].peer_count; k++) {
            const struct address *endpoint = &observation->devices[i].peers[k].endpoint.address;
            const struct observed_route *route = endpoint->family ? find_route(observation, endpoint) : NULL;
            if (route)
                needless[route - observation->routes] = false;
        }
    for (size_t i = 0; i < observation->route_count; i++)
        if (!needless[i])
            observation->routes[kept++] = observation->routes[i];
    observation->routes = mem_resize(observation->routes, kept, sizeof *observation->routes);
    observation->route_count = kept;
    device->routes_as_allowed = true;
    device->routes_mtu = mtu;
    free(needless);
}

static void unpack_routes(struct observation *observation, struct device *device)
{
    size_t capacity = observation->route_count;
    if (!device->routes_as_allowed)
        return;
    device->routes_as_allowed = false;
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_count; k++) {
            MEM_GROW(observation->routes, observation->route_count, capacity);
            struct observed_route *route = &observation->routes[observation->route_count++];
            *route = (struct observed_route){.to = observed_route_target(&device->peers[i].allowed[k]), .mtu = device->routes_mtu};
            memcpy(route->device, device->name, sizeof route->device);
        }
}

/* ---- both --------------------------------------------------------------------------------------------------------- */

void observation_pack(struct observation *observation)
{
    /* With several interfaces, whose routes are whose is not worth the trouble. */
    if (observation->device_count == 1 && !observation->devices[0].routes_as_allowed)
        pack_routes(observation, &observation->devices[0]);
    for (size_t i = 0; i < observation->config_count; i++) {
        struct observed_config *config = &observation->configs[i];
        const struct device *running = config->device.name[0] ? observation_device(observation, config->device.name) : NULL;
        if (config->rows_as_running || config->endpoint_hosts || !running || !config->device.peer_count || !same_rows(running, &config->device) ||
            !counts_nothing(&config->device))
            continue;
        device_free(&config->device);
        config->rows_as_running = true;
    }
}

void observation_unpack(struct observation *observation)
{
    size_t routes = observation->route_count;
    for (size_t i = 0; i < observation->device_count; i++)
        unpack_routes(observation, &observation->devices[i]);
    for (size_t i = 0; i < observation->config_count; i++) {
        struct observed_config *config = &observation->configs[i];
        const struct device *running = config->rows_as_running ? observation_device(observation, config->device.name) : NULL;
        config->rows_as_running = false;
        if (!running)
            continue;
        struct device rows;
        device_copy(&rows, running);
        for (size_t k = 0; k < rows.peer_count; k++)
            rows.peers[k].handshake = 0, rows.peers[k].rx_bytes = 0, rows.peers[k].tx_bytes = 0;
        config->device.peers = rows.peers;
        config->device.peer_count = rows.peer_count;
    }
    if (observation->route_count != routes)
        observation_sort(observation);
}

const struct observation *observation_unpacked(const struct observation *observation, struct observation *copy)
{
    if (!observation_is_packed(observation))
        return observation;
    observation_copy(copy, observation);
    observation_unpack(copy);
    return copy;
}
