/* An interface's state as a value: copies, comparison, and its rows and secrets changed in memory. */
#include "state.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

/* --- secrets */

enum { SECRETS_LEAST = 8 };

/* Room is a power of two, so that what has grown full can be told from the count alone. */
static size_t room_for(size_t count)
{
    size_t room = SECRETS_LEAST;
    while (room < count)
        room *= 2;
    return room;
}

static struct up_secrets *secrets_new(size_t count)
{
    struct up_secrets *secrets = NULL;
    if (sodium_init() >= 0)
        secrets = sodium_malloc(sizeof *secrets + room_for(count) * sizeof *secrets->rows);
    if (!secrets) {
        fputs("wgdeck: out of memory that is guarded, for keys\n", stderr);
        abort();
    }
    sodium_memzero(secrets, sizeof *secrets + room_for(count) * sizeof *secrets->rows);
    return secrets;
}

static struct up_secrets *secrets_copy(const struct up_secrets *from, size_t room)
{
    struct up_secrets *secrets = secrets_new(room);
    secrets->private_key = from->private_key;
    secrets->count = from->count;
    memcpy(secrets->rows, from->rows, from->count * sizeof *from->rows);
    return secrets;
}

/* Where KEY's row is, or would stand. */
static size_t secrets_place(const struct up_secrets *secrets, const struct key *key, bool *found)
{
    size_t low = 0, high = secrets->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(&secrets->rows[middle].public_key, key);
        *found = !order;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

void state_secrets_set(struct up_secrets **secrets, const struct key *public_key, const struct key *preshared)
{
    bool found;
    if (!*secrets)
        *secrets = secrets_new(0);
    size_t at = secrets_place(*secrets, public_key, &found), behind = (*secrets)->count - at;
    if (found && !preshared) {
        memmove(&(*secrets)->rows[at], &(*secrets)->rows[at + 1], (behind - 1) * sizeof *(*secrets)->rows);
        (*secrets)->count--;
        sodium_memzero(&(*secrets)->rows[(*secrets)->count], sizeof *(*secrets)->rows);
        return;
    }
    if (!preshared)
        return;
    struct key copy = *preshared; /* it may stand in SECRETS, which move */
    if (!found) {
        if ((*secrets)->count == room_for((*secrets)->count)) {
            struct up_secrets *larger = secrets_copy(*secrets, (*secrets)->count + 1);
            sodium_free(*secrets);
            *secrets = larger;
        }
        memmove(&(*secrets)->rows[at + 1], &(*secrets)->rows[at], behind * sizeof *(*secrets)->rows);
        (*secrets)->count++;
        (*secrets)->rows[at].public_key = *public_key;
    }
    (*secrets)->rows[at].preshared = copy;
    key_wipe(&copy);
}

const struct key *state_private(const struct state *state)
{
    return state->secrets && !key_is_zero(&state->secrets->private_key) ? &state->secrets->private_key : NULL;
}

void state_set_private(struct state *state, const struct key *private_key)
{
    if (!state->secrets)
        state->secrets = secrets_new(0);
    key_wipe(&state->secrets->private_key);
    memset(&state->device.public_key, 0, sizeof state->device.public_key);
    state->device.has_private = private_key && !key_is_zero(private_key);
    if (!state->device.has_private)
        return;
    state->secrets->private_key = *private_key;
    key_public(private_key, &state->device.public_key);
}

const struct key *state_preshared(const struct state *state, const struct key *public_key)
{
    return state->secrets ? up_secrets_preshared(state->secrets, public_key) : NULL;
}

void state_set_preshared(struct state *state, const struct key *public_key, const struct key *preshared)
{
    struct device_peer *row = state_row(state, public_key);
    if (preshared && key_is_zero(preshared))
        preshared = NULL;
    if (preshared || state->secrets)
        state_secrets_set(&state->secrets, public_key, preshared);
    if (row)
        row->has_preshared = preshared != NULL;
}

/* --- rows */

struct device_peer *state_row(struct state *state, const struct key *public_key)
{
    const struct device_peer *row = device_find_peer(&state->device, public_key);
    return row ? &state->device.peers[row - state->device.peers] : NULL;
}

struct device_peer *state_row_make(struct state *state, const struct key *public_key)
{
    struct device *device = &state->device;
    struct device_peer *row = state_row(state, public_key);
    if (row)
        return row;
    size_t at = 0, count = device->peer_count;
    while (at < count && key_compare(&device->peers[at].public_key, public_key) < 0)
        at++;
    device->peers = mem_resize(device->peers, count + 1, sizeof *device->peers);
    memmove(&device->peers[at + 1], &device->peers[at], (count - at) * sizeof *device->peers);
    device->peers[at] = (struct device_peer){.public_key = *public_key};
    if (state->endpoint_hosts) {
        state->endpoint_hosts = mem_resize(state->endpoint_hosts, count + 1, sizeof *state->endpoint_hosts);
        memmove(&state->endpoint_hosts[at + 1], &state->endpoint_hosts[at], (count - at) * sizeof *state->endpoint_hosts);
        state->endpoint_hosts[at] = NULL;
    }
    if (state->endpoints_stay) {
        state->endpoints_stay = mem_resize(state->endpoints_stay, count + 1, sizeof *state->endpoints_stay);
        memmove(&state->endpoints_stay[at + 1], &state->endpoints_stay[at], (count - at) * sizeof *state->endpoints_stay);
        state->endpoints_stay[at] = false;
    }
    device->peer_count++;
    return &device->peers[at];
}

void state_row_remove(struct state *state, const struct key *public_key)
{
    struct device *device = &state->device;
    struct device_peer *row = state_row(state, public_key);
    if (!row)
        return;
    size_t at = (size_t)(row - device->peers), behind = device->peer_count - at - 1;
    state_set_preshared(state, public_key, NULL);
    device_free_allowed(row);
    memmove(row, row + 1, behind * sizeof *row);
    if (state->endpoint_hosts) {
        free(state->endpoint_hosts[at]);
        memmove(&state->endpoint_hosts[at], &state->endpoint_hosts[at + 1], behind * sizeof *state->endpoint_hosts);
    }
    if (state->endpoints_stay)
        memmove(&state->endpoints_stay[at], &state->endpoints_stay[at + 1], behind * sizeof *state->endpoints_stay);
    device->peer_count--;
}

void state_row_set_host(struct state *state, const struct key *public_key, const char *host)
{
    const struct device_peer *row = state_row(state, public_key);
    if (!row || (!host && !state->endpoint_hosts))
        return;
    if (!state->endpoint_hosts)
        state->endpoint_hosts = mem_alloc(state->device.peer_count, sizeof *state->endpoint_hosts);
    char **place = &state->endpoint_hosts[row - state->device.peers];
    free(*place);
    *place = mem_text(host);
}

const char *state_row_host(const struct state *state, const struct key *public_key)
{
    const struct device_peer *row = device_find_peer(&state->device, public_key);
    return row && state->endpoint_hosts ? state->endpoint_hosts[row - state->device.peers] : NULL;
}

static bool allows(const struct device_peer *row, const struct prefix *prefix)
{
    size_t low = 0, high = row->allowed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = prefix_compare(&row->allowed[middle], prefix);
        if (!order)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

void state_row_take_allowed(struct state *state, const struct device_peer *row)
{
    for (size_t i = 0; i < state->device.peer_count; i++) {
        struct device_peer *other = &state->device.peers[i];
        size_t kept = 0;
        for (size_t k = 0; other != row && k < other->allowed_count; k++)
            if (!allows(row, &other->allowed[k]))
                other->allowed[kept++] = other->allowed[k];
        if (other != row)
            other->allowed_count = kept;
    }
}

void state_endpoints_stay(struct state *state, const struct plan_operation *operations, size_t count)
{
    free(state->endpoints_stay);
    state->endpoints_stay = mem_alloc(state->device.peer_count, sizeof *state->endpoints_stay);
    memset(state->endpoints_stay, true, state->device.peer_count);
    for (size_t i = 0; i < count; i++) {
        const struct device_peer *row = operations[i].set_endpoint ? device_find_peer(&state->device, &operations[i].key) : NULL;
        if (row)
            state->endpoints_stay[row - state->device.peers] = false;
    }
}

/* --- the whole */

void state_copy(struct state *to, const struct state *from)
{
    size_t rows = from->device.peer_count;
    struct state copy = *from;
    device_copy(&copy.device, &from->device);
    copy.secrets = from->secrets ? secrets_copy(from->secrets, from->secrets->count) : NULL;
    if (from->endpoint_hosts) {
        copy.endpoint_hosts = mem_alloc(rows, sizeof *copy.endpoint_hosts);
        for (size_t i = 0; i < rows; i++)
            copy.endpoint_hosts[i] = mem_text(from->endpoint_hosts[i]);
    }
    if (from->endpoints_stay) {
        copy.endpoints_stay = mem_alloc(rows, sizeof *copy.endpoints_stay);
        memcpy(copy.endpoints_stay, from->endpoints_stay, rows * sizeof *copy.endpoints_stay);
    }
    copy.addresses = mem_copy(from->addresses, from->address_count, sizeof *from->addresses);
    copy.routes = mem_copy(from->routes, from->route_count, sizeof *from->routes);
    *to = copy;
}

void state_free(struct state *state)
{
    for (size_t i = 0; state->endpoint_hosts && i < state->device.peer_count; i++)
        free(state->endpoint_hosts[i]);
    free(state->endpoint_hosts);
    free(state->endpoints_stay);
    device_free(&state->device);
    up_secrets_free(state->secrets);
    free(state->addresses);
    free(state->routes);
    *state = (struct state){0};
}

/* --- comparison */

bool state_prefix_same(const struct prefix *a, const struct prefix *b)
{
    return a->length == b->length && !address_compare(&a->address, &b->address);
}

bool state_has_address(const struct state *state, const struct prefix *address)
{
    for (size_t i = 0; i < state->address_count; i++)
        if (state_prefix_same(&state->addresses[i], address))
            return true;
    return false;
}

bool state_has_route(const struct state *state, const struct state_route *route)
{
    for (size_t i = 0; i < state->route_count; i++) {
        const struct state_route *other = &state->routes[i];
        if (other->table == route->table && other->metric == route->metric && state_prefix_same(&other->to, &route->to))
            return true;
    }
    return false;
}

bool state_same_allowed(const struct device_peer *a, const struct device_peer *b)
{
    bool same = a->allowed_count == b->allowed_count;
    for (size_t i = 0; same && i < a->allowed_count; i++)
        same = prefix_compare(&a->allowed[i], &b->allowed[i]) == 0;
    return same;
}

bool state_same_key(const struct key *a, const struct key *b)
{
    return a && b ? key_equal(a, b) : a == b;
}

bool state_endpoint_differs(const struct state *from, const struct state *to, const struct device_peer *row)
{
    const struct device_peer *other = device_find_peer(&from->device, &row->public_key);
    bool stays = other && to->endpoints_stay && to->endpoints_stay[row - to->device.peers];
    return row->endpoint.address.family && !stays && (!other || !endpoint_equal(&other->endpoint, &row->endpoint));
}

static bool same_rows(const struct state *a, const struct state *b)
{
    bool same = a->device.peer_count == b->device.peer_count;
    for (size_t i = 0; same && i < a->device.peer_count; i++) {
        const struct device_peer *first = &a->device.peers[i], *second = &b->device.peers[i];
        same = !key_compare(&first->public_key, &second->public_key) && first->keepalive == second->keepalive && state_same_allowed(first, second) &&
               state_same_key(state_preshared(a, &first->public_key), state_preshared(b, &first->public_key)) && !state_endpoint_differs(a, b, second);
    }
    return same;
}

/* All of A's are B's, and all of B's A's. */
static bool same_addresses(const struct state *a, const struct state *b)
{
    bool same = true;
    for (size_t i = 0; same && i < a->address_count; i++)
        same = state_has_address(b, &a->addresses[i]);
    for (size_t i = 0; same && i < b->address_count; i++)
        same = state_has_address(a, &b->addresses[i]);
    return same;
}

static bool same_routes(const struct state *a, const struct state *b)
{
    bool same = true;
    for (size_t i = 0; same && i < a->route_count; i++)
        same = state_has_route(b, &a->routes[i]);
    for (size_t i = 0; same && i < b->route_count; i++)
        same = state_has_route(a, &b->routes[i]);
    return same;
}

bool state_equal(const struct state *a, const struct state *b)
{
    if (a->exists != b->exists || (b->forwarding4 >= 0 && a->forwarding4 != b->forwarding4) || (b->forwarding6 >= 0 && a->forwarding6 != b->forwarding6))
        return false;
    if (!a->exists)
        return true;
    return a->up == b->up && (!b->mtu || a->mtu == b->mtu) && (!b->device.listen_port || a->device.listen_port == b->device.listen_port) &&
           a->device.fwmark == b->device.fwmark && state_same_key(state_private(a), state_private(b)) && same_rows(a, b) && same_addresses(a, b) &&
           same_routes(a, b);
}
