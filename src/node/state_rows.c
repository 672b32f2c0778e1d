/* What differs between two states in keys, port, mark and rows, as little of it as will do: what is not named here keeps its session. */
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

static const struct key no_key;

static const struct key *or_none(const struct key *key)
{
    return key ? key : &no_key;
}

/* --- prefixes */

static int compare(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static bool holds(const struct prefix *sorted, size_t count, const struct prefix *prefix)
{
    return count && bsearch(prefix, sorted, count, sizeof *sorted, compare);
}

/* All that rows of a state allow, in order: each prefix is at one row only. */
struct everything {
    struct prefix *prefixes;
    size_t count;
};

static struct everything all_allowed(const struct state *state)
{
    struct everything all = {0};
    for (size_t i = 0; i < state->device.peer_count; i++)
        all.count += state->device.peers[i].allowed_count;
    all.prefixes = mem_alloc(all.count, sizeof *all.prefixes);
    all.count = 0;
    for (size_t i = 0; i < state->device.peer_count; i++)
        for (size_t k = 0; k < state->device.peers[i].allowed_count; k++)
            all.prefixes[all.count++] = state->device.peers[i].allowed[k];
    if (all.count > 1)
        qsort(all.prefixes, all.count, sizeof *all.prefixes, compare);
    return all;
}

/* A prefix that goes to another row leaves this one by itself; only for others the row's must be replaced. */
static bool has_surplus(const struct device_peer *from, const struct device_peer *to, const struct everything *all)
{
    for (size_t i = 0; i < from->allowed_count; i++)
        if (!holds(to->allowed, to->allowed_count, &from->allowed[i]) && !holds(all->prefixes, all->count, &from->allowed[i]))
            return true;
    return false;
}

static struct prefix *missing(const struct device_peer *from, const struct device_peer *to, size_t *count)
{
    struct prefix *prefixes = mem_alloc(to->allowed_count, sizeof *prefixes);
    *count = 0;
    for (size_t i = 0; i < to->allowed_count; i++)
        if (!holds(from->allowed, from->allowed_count, &to->allowed[i]))
            prefixes[(*count)++] = to->allowed[i];
    return prefixes;
}

/* --- rows */

static bool says_nothing(const struct up_row_set *row)
{
    return row->update_only && !row->preshared && !row->endpoint.address.family && !row->set_keepalive && !row->replace_allowed && !row->allowed_count;
}

static void find_row(const struct state *from, const struct state *to, const struct device_peer *row, const struct endpoint *endpoint,
                     const struct everything *all, struct up_row_set *set)
{
    static const struct device_peer nothing;
    const struct device_peer *old = device_find_peer(&from->device, &row->public_key), *was = old ? old : &nothing;
    const struct key *preshared = state_preshared(to, &row->public_key);
    bool stays = old && to->endpoints_stay && to->endpoints_stay[row - to->device.peers];
    *set = (struct up_row_set){.public_key = &row->public_key, .update_only = old != NULL, .keepalive = row->keepalive};
    set->set_keepalive = row->keepalive != was->keepalive;
    if (!state_same_key(old ? state_preshared(from, &row->public_key) : NULL, preshared))
        set->preshared = or_none(preshared);
    if (!stays && endpoint->address.family && !endpoint_equal(endpoint, &was->endpoint))
        set->endpoint = *endpoint;
    set->replace_allowed = has_surplus(was, row, all);
    set->allowed = set->replace_allowed ? mem_copy(row->allowed, row->allowed_count, sizeof *row->allowed) : missing(was, row, &set->allowed_count);
    if (set->replace_allowed)
        set->allowed_count = row->allowed_count;
}

static void free_rows(struct up_set *set)
{
    for (size_t i = 0; i < set->row_count; i++)
        free((void *)(uintptr_t)set->rows[i].allowed);
    free(set->rows);
}

void state_change_find(const struct state *from, const struct state *to, const struct endpoint *endpoints, struct state_change *change)
{
    struct everything all = all_allowed(to);
    struct up_set *set = &change->set, *removal = &change->removal;
    *change = (struct state_change){.set = {.name = to->name}, .removal = {.name = to->name}};
    if (!state_same_key(state_private(from), state_private(to)))
        set->private_key = or_none(state_private(to));
    set->port = to->device.listen_port;
    set->set_port = to->device.listen_port && to->device.listen_port != from->device.listen_port;
    set->mark = to->device.fwmark;
    set->set_mark = to->device.fwmark != from->device.fwmark;
    set->rows = mem_alloc(to->device.peer_count, sizeof *set->rows);
    for (size_t i = 0; i < to->device.peer_count; i++) {
        struct up_row_set *row = &set->rows[set->row_count];
        find_row(from, to, &to->device.peers[i], &endpoints[i], &all, row);
        if (says_nothing(row))
            free((void *)(uintptr_t)row->allowed);
        else
            set->row_count++;
    }
    removal->rows = mem_alloc(from->device.peer_count, sizeof *removal->rows);
    for (size_t i = 0; i < from->device.peer_count; i++)
        if (!device_find_peer(&to->device, &from->device.peers[i].public_key))
            removal->rows[removal->row_count++] = (struct up_row_set){.public_key = &from->device.peers[i].public_key, .remove = true};
    free(all.prefixes);
}

bool state_change_is_empty(const struct up_set *set)
{
    return !set->private_key && !set->set_port && !set->set_mark && !set->row_count;
}

void state_change_free(struct state_change *change)
{
    free_rows(&change->set);
    free_rows(&change->removal);
}
