/* What a state is after operations. Pure: one function a kind, in a table. */
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

struct step {
    struct state *state;
    const struct state *before; /* any operation */
    const struct plan_operation *operation;
    const struct state_keys *keys;
    enum state_phase phase;
    struct err *err;
};

/* --- the interface */

static int after_interface(const struct step *step)
{
    static const enum engine_kind kinds[] = {
        [ENGINE_CHOICE_AUTO] = ENGINE_UNKNOWN, [ENGINE_CHOICE_KERNEL] = ENGINE_KERNEL, [ENGINE_CHOICE_EMBEDDED] = ENGINE_EMBEDDED};
    struct state *state = step->state;
    bool has_key = step->keys && !key_is_zero(&step->keys->private_key);
    if (!state->exists)
        state->engine = kinds[step->operation->engine];
    if (!state_private(state) && !has_key)
        return err_set(step->err, "%s: there is no private key for it", state->name);
    if (!state_private(state))
        state_set_private(state, &step->keys->private_key);
    state->exists = state->up = true;
    return 0;
}

/* A key that is there is changed last, when all others know the new one. */
static int after_private_key(const struct step *step)
{
    if (!step->keys || key_is_zero(&step->keys->private_key))
        return err_set(step->err, "%s: there is no new private key for it", step->state->name);
    if (step->phase == STATE_FINISH || !state_private(step->state))
        state_set_private(step->state, &step->keys->private_key);
    return 0;
}

static int after_listen_port(const struct step *step)
{
    step->state->device.listen_port = (uint16_t)step->operation->number;
    return 0;
}

static int after_mtu(const struct step *step)
{
    step->state->mtu = step->operation->number;
    return 0;
}

static int after_interface_remove(const struct step *step)
{
    struct state *state = step->state, empty = {.forwarding4 = state->forwarding4, .forwarding6 = state->forwarding6};
    memcpy(empty.name, state->name, sizeof empty.name);
    memcpy(empty.device.name, state->name, sizeof empty.device.name);
    state_free(state);
    *state = empty;
    return 0;
}

static int after_forwarding(const struct step *step)
{
    if (step->operation->prefix.address.family == AF_INET6)
        step->state->forwarding6 = 1;
    else
        step->state->forwarding4 = 1;
    return 0;
}

/* --- addresses and routes */

/* The kernel makes this route itself, of an address. */
static bool is_of_address(const struct state *state, const struct state_route *route)
{
    for (size_t i = 0; i < state->address_count; i++) {
        struct prefix network = prefix_network(&state->addresses[i]);
        if (route->table == TABLE_MAIN && network.length < address_bits(&network.address) && state_prefix_same(&network, &route->to))
            return true;
    }
    return false;
}

static int after_address(const struct step *step)
{
    struct state *state = step->state;
    if (state_has_address(state, &step->operation->prefix))
        return 0;
    state->addresses = mem_resize(state->addresses, state->address_count + 1, sizeof *state->addresses);
    state->addresses[state->address_count++] = step->operation->prefix;
    return 0;
}

static int after_address_remove(const struct step *step)
{
    struct state *state = step->state;
    size_t kept = 0;
    for (size_t i = 0; i < state->address_count; i++)
        if (!state_prefix_same(&state->addresses[i], &step->operation->prefix))
            state->addresses[kept++] = state->addresses[i];
    state->address_count = kept;
    return 0;
}

static bool is_routed(const struct state *state, const struct prefix *to)
{
    for (size_t i = 0; i < state->route_count; i++)
        if (state->routes[i].table == TABLE_MAIN && state_prefix_same(&state->routes[i].to, to))
            return true;
    return false;
}

static int after_route(const struct step *step)
{
    struct state *state = step->state;
    struct state_route route = {.to = prefix_network(&step->operation->prefix), .table = TABLE_MAIN};
    route.metric = route.to.address.family == AF_INET6 ? STATE_METRIC_V6 : 0;
    /* The kernel makes it of an address that is new. Of one that was there, it made it once, and somebody has taken it away: a restart of networkd does. */
    if (is_routed(state, &route.to) || (is_of_address(state, &route) && !(step->before->exists && is_of_address(step->before, &route))))
        return 0;
    state->routes = mem_resize(state->routes, state->route_count + 1, sizeof *state->routes);
    state->routes[state->route_count++] = route;
    return 0;
}

/* Those of main, whatever their metric; other tables are somebody's own doing. */
static int after_route_remove(const struct step *step)
{
    struct state *state = step->state;
    struct prefix to = prefix_network(&step->operation->prefix);
    size_t kept = 0;
    for (size_t i = 0; i < state->route_count; i++)
        if (state->routes[i].table != TABLE_MAIN || !state_prefix_same(&state->routes[i].to, &to))
            state->routes[kept++] = state->routes[i];
    state->route_count = kept;
    return 0;
}

/* --- rows */

static const char *row_name(const struct plan_operation *operation)
{
    return operation->name ? operation->name : "(no name)";
}

static int set_endpoint(const struct step *step, struct device_peer *row)
{
    const char *text = step->operation->endpoint;
    struct endpoint endpoint = {0};
    bool is_name = text && endpoint_parse(text, &endpoint);
    if (is_name && !strrchr(text, ':'))
        return err_set(step->err, "%s: the endpoint of %s has no port", step->state->name, row_name(step->operation));
    row->endpoint = endpoint;
    state_row_set_host(step->state, &row->public_key, is_name ? text : NULL);
    return 0;
}

static void set_allowed(const struct step *step, struct device_peer *row)
{
    const struct device_peer wanted = {.allowed = step->operation->allowed, .allowed_count = step->operation->allowed_count};
    device_free_allowed(row);
    row->allowed_shared = false;
    row->allowed = mem_copy(wanted.allowed, wanted.allowed_count, sizeof *wanted.allowed);
    row->allowed_count = wanted.allowed_count;
    struct device one = {.peers = row, .peer_count = 1};
    device_sort(&one); /* the order in which they came is not relied on */
    state_row_take_allowed(step->state, row);
}

static int set_preshared(const struct step *step)
{
    const struct plan_operation *operation = step->operation;
    struct state *state = step->state;
    const struct key *preshared = NULL;
    switch (operation->preshared) {
    case PLAN_PRESHARED_KEEP:
        return 0;
    case PLAN_PRESHARED_MAKE:
    case PLAN_PRESHARED_TAKE:
        preshared = step->keys && step->keys->preshared ? up_secrets_preshared(step->keys->preshared, &operation->key) : NULL;
        if (!preshared)
            return err_set(step->err, "%s: the preshared key of %s has not come", state->name, row_name(operation));
        break;
    case PLAN_PRESHARED_COPY:
        if (!device_find_peer(&state->device, &operation->other_key))
            return err_set(step->err, "%s: the row whose preshared key %s shall have is not there", state->name, row_name(operation));
        preshared = state_preshared(state, &operation->other_key);
        break;
    case PLAN_PRESHARED_NONE:
        break;
    }
    state_set_preshared(state, &operation->key, preshared);
    return 0;
}

/* A new row stays silent until its other end knows it; in FINISH only that is left to do. */
static int after_row(const struct step *step)
{
    const struct plan_operation *operation = step->operation;
    struct device_peer *row = state_row(step->state, &operation->key);
    bool is_new = !row;
    if (row && step->phase == STATE_FINISH) {
        if (operation->set_keepalive)
            row->keepalive = operation->keepalive;
        return 0;
    }
    row = state_row_make(step->state, &operation->key);
    if (operation->set_allowed)
        set_allowed(step, row);
    if (operation->set_keepalive && (!is_new || step->phase == STATE_FINISH))
        row->keepalive = operation->keepalive;
    if (operation->set_endpoint && !(operation->endpoint_saved_only && !is_new) && set_endpoint(step, row))
        return -1;
    return set_preshared(step);
}

static int after_row_move(const struct step *step)
{
    const struct plan_operation *operation = step->operation;
    struct device_peer *to = state_row(step->state, &operation->key), *from = state_row(step->state, &operation->other_key);
    if (!to || !from || to == from)
        return err_set(step->err, "%s: what a row of %s allows cannot move: the row that %s is not there", step->state->name, row_name(operation),
                       to ? "gives it" : "gets it");
    to->allowed = mem_resize(to->allowed, to->allowed_count + from->allowed_count, sizeof *to->allowed);
    for (size_t i = 0; i < from->allowed_count; i++)
        to->allowed[to->allowed_count++] = from->allowed[i];
    from->allowed_count = 0;
    to->keepalive = from->keepalive ? from->keepalive : to->keepalive;
    from->keepalive = 0;
    struct device one = {.peers = to, .peer_count = 1};
    device_sort(&one);
    return 0;
}

static int after_row_remove(const struct step *step)
{
    state_row_remove(step->state, &step->operation->key);
    return 0;
}

/* --- all kinds */

enum { IN_STAGE = 1, IN_FINISH = 2 };

static const struct {
    int (*apply)(const struct step *step); /* NULL: not of what runs */
    unsigned phases;
} kinds[PLAN_KIND_COUNT] = {
    [PLAN_INTERFACE] = {after_interface, IN_STAGE},
    [PLAN_PRIVATE_KEY] = {after_private_key, IN_STAGE | IN_FINISH},
    [PLAN_LISTEN_PORT] = {after_listen_port, IN_STAGE},
    [PLAN_MTU] = {after_mtu, IN_STAGE},
    [PLAN_ADDRESS] = {after_address, IN_STAGE},
    [PLAN_ROW] = {after_row, IN_STAGE | IN_FINISH},
    [PLAN_ROUTE] = {after_route, IN_STAGE},
    [PLAN_FORWARDING] = {after_forwarding, IN_STAGE},
    [PLAN_ROW_MOVE] = {after_row_move, IN_FINISH},
    [PLAN_ROW_REMOVE] = {after_row_remove, IN_FINISH},
    [PLAN_ROUTE_REMOVE] = {after_route_remove, IN_FINISH},
    [PLAN_ADDRESS_REMOVE] = {after_address_remove, IN_FINISH},
    [PLAN_INTERFACE_REMOVE] = {after_interface_remove, IN_FINISH},
};

int state_after(const struct state *state, const struct plan_operation *operations, size_t count, enum state_phase phase, const struct state_keys *keys, struct state *after, size_t *at,
                struct err *err)
{
    unsigned now = phase == STATE_STAGE ? IN_STAGE : IN_FINISH;
    state_copy(after, state);
    for (size_t i = 0; i < count; i++) {
        const struct step step = {after, state, &operations[i], keys, phase, err};
        if (!operations[i].running || !(kinds[operations[i].kind].phases & now))
            continue;
        if (kinds[operations[i].kind].apply(&step)) {
            *at = i;
            state_free(after);
            return -1;
        }
    }
    return 0;
}
