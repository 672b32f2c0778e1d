/* What runs under a name, read whole: from the kernel or an engine, with its secrets, and its link, addresses and routes. */
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

/* As wg-quick has it: the name stands in its shell's commands. */
#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+.-"

static void take_secret(void *context, const struct key *public_key, const struct key *secret)
{
    struct state *state = context;
    if (public_key)
        state_set_preshared(state, public_key, secret);
    else
        state_set_private(state, secret);
}

/* A reading that was begun anew may have told of a row that was gone then. */
static void drop_strays(struct state *state)
{
    for (size_t i = state->secrets ? state->secrets->count : 0; i-- > 0;) {
        const struct key key = state->secrets->rows[i].public_key;
        const struct device_peer *row = device_find_peer(&state->device, &key);
        if (!row || !row->has_preshared)
            state_set_preshared(state, &key, NULL);
    }
}

/* 0; 1: there is none; -1, -2 as state_read. */
static int read_device(const char *name, struct state *state, struct err *err)
{
    const struct device_secrets secrets = {take_secret, state};
    const struct device_source *source = device_source_find(name);
    struct device device = {0};
    if (!source && if_nametoindex(name))
        return err_set(err, "%s is there, but is no WireGuard interface; choose another name, or take it away (ip link delete %s)", name, name);
    if (!source)
        return 1;
    int result = source->read_secrets(name, &secrets, &device, err);
    if (result)
        return result;
    state->device = device;
    state->engine = device.engine;
    drop_strays(state);
    return 0;
}

static int read_network(const char *name, struct state *state, struct err *err)
{
    struct nl_sock *socket = up_netlink_open(err);
    if (!socket)
        return -1;
    int result = state_link_read(socket, name, &state->mtu, &state->up, err);
    if (!result)
        result = up_addresses(socket, name, &state->addresses, &state->address_count, err);
    if (!result)
        result = state_routes(socket, name, &state->routes, &state->route_count, err);
    nl_socket_free(socket);
    return result;
}

static void begin(const char *name, struct state *state)
{
    *state = (struct state){.engine = ENGINE_UNKNOWN};
    snprintf(state->name, sizeof state->name, "%s", name);
    snprintf(state->device.name, sizeof state->device.name, "%s", name);
    state->forwarding4 = state_forwarding(AF_INET);
    state->forwarding6 = state_forwarding(AF_INET6);
}

int state_read(const char *name, struct state *state, struct err *err)
{
    *state = (struct state){0};
    if (!device_name_is_valid(name) || name[strspn(name, PLAIN)])
        return err_set(err, "'%.32s' is not the name of an interface that wgdeck sets up: 1 to 15 of a-z A-Z 0-9 _ = + . -", name);
    begin(name, state);
    int result = read_device(name, state, err);
    if (!result)
        result = read_network(name, state, err);
    if (!result)
        state->exists = true;
    if (result < 0) {
        state_free(state);
        begin(name, state);
    }
    return result == 1 ? 0 : result;
}
