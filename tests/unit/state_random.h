/* Random states of an interface, for property tests: from a seed, valid as a node would have them. */
#ifndef WGDECK_TESTS_STATE_RANDOM_H
#define WGDECK_TESTS_STATE_RANDOM_H

#include "observed_random.h"

#include "node/state_parts.h"

/* One of a few, so that two states have some in common. */
static inline struct key random_key(struct chance *chance, size_t limit)
{
    struct key key = {{0}};
    key.bytes[0] = (uint8_t)(1 + chance_below(chance, limit));
    key.bytes[31] = (uint8_t)(key.bytes[0] * 37);
    return key;
}

static inline struct prefix random_prefix(struct chance *chance)
{
    struct prefix prefix = {.address.family = chance_below(chance, 3) ? AF_INET : AF_INET6};
    prefix.address.bytes[0] = prefix.address.family == AF_INET ? 10 : 0xfd;
    prefix.address.bytes[1] = (uint8_t)chance_below(chance, 3);
    prefix.address.bytes[2] = (uint8_t)chance_below(chance, 3);
    prefix.address.bytes[3] = (uint8_t)chance_below(chance, 6);
    prefix.length = (uint8_t)(8 * (1 + chance_below(chance, 4)));
    return prefix;
}

static inline struct endpoint random_endpoint(struct chance *chance)
{
    struct endpoint endpoint = {.address.family = chance_below(chance, 2) ? AF_INET : AF_INET6, .port = (uint16_t)(1 + chance_below(chance, 65535))};
    endpoint.address.bytes[0] = endpoint.address.family == AF_INET ? 192 : 0x20;
    endpoint.address.bytes[3] = (uint8_t)chance_below(chance, 3);
    return endpoint;
}

static inline bool is_taken(const struct state *state, const struct prefix *prefix)
{
    for (size_t i = 0; i < state->device.peer_count; i++)
        for (size_t k = 0; k < state->device.peers[i].allowed_count; k++)
            if (!prefix_compare(&state->device.peers[i].allowed[k], prefix))
                return true;
    return false;
}

static inline void random_row(struct chance *chance, struct state *state)
{
    struct key key = random_key(chance, 12), preshared = random_key(chance, 5);
    struct device_peer *row = state_row_make(state, &key);
    for (size_t i = chance_below(chance, 5); i; i--) {
        struct prefix prefix = random_prefix(chance);
        prefix = prefix_network(&prefix);
        if (is_taken(state, &prefix))
            continue;
        row->allowed = mem_resize(row->allowed, row->allowed_count + 1, sizeof *row->allowed);
        row->allowed[row->allowed_count++] = prefix;
    }
    row->keepalive = chance_below(chance, 2) ? 25 : 0;
    if (chance_below(chance, 2))
        row->endpoint = random_endpoint(chance);
    if (chance_below(chance, 3) == 0)
        state_set_preshared(state, &key, &preshared);
    if (chance_below(chance, 6) == 0)
        state_row_set_host(state, &key, "vpn.example.org:51820");
}

static inline void random_state(struct chance *chance, struct state *state)
{
    struct key private_key = random_key(chance, 3);
    *state = (struct state){.exists = true, .up = chance_below(chance, 2), .engine = (enum engine_kind)chance_below(chance, 4)};
    strcpy(state->name, "wg0");
    strcpy(state->device.name, "wg0");
    state->device.engine = state->engine;
    state->mtu = chance_below(chance, 2) ? 1420 : 1280;
    state->device.listen_port = (uint16_t)(51820 + chance_below(chance, 2));
    state->device.fwmark = (uint32_t)chance_below(chance, 3);
    state->forwarding4 = (int)chance_below(chance, 3) - 1;
    state->forwarding6 = (int)chance_below(chance, 3) - 1;
    if (chance_below(chance, 5))
        state_set_private(state, &private_key);
    for (size_t i = chance_below(chance, 14); i; i--)
        random_row(chance, state);
    device_sort(&state->device);
    state->addresses = mem_alloc(4, sizeof *state->addresses);
    for (size_t i = chance_below(chance, 4); i; i--)
        state->addresses[state->address_count++] = random_prefix(chance);
    state->routes = mem_alloc(4, sizeof *state->routes);
    for (size_t i = chance_below(chance, 4); i; i--) {
        struct prefix prefix = random_prefix(chance);
        state->routes[state->route_count++] = (struct state_route){prefix_network(&prefix), (uint32_t)chance_below(chance, 300), (uint32_t)chance_below(chance, 3)};
    }
}

#endif
