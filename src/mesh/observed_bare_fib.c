/* Where a packet would go, by the routes of all tables: for bare looks at nodes whose rules are the usual ones (all lookup local, then main,
 * then default), so that "ip route get" need not be run for each row. The order is the kernel's: the longest prefix, then the lowest
 * metric, then (IPv6) the preference. */
#include <stdlib.h>
#include <string.h>

#include "observed_bare.h"
#include "wgdeck/mem.h"

enum { RANKS = BARE_FIB_RANKS };

static unsigned family_index(const struct address *address)
{
    return address->family == AF_INET6;
}

void bare_fib_add(struct bare_fib *fib, const struct bare_fib_route *route)
{
    if (route->rank >= RANKS || fib->count >= 2 * OBSERVED_ROUTES_MAX)
        return;
    MEM_GROW(fib->routes, fib->count, fib->capacity);
    struct bare_fib_route *added = &fib->routes[fib->count];
    *added = *route;
    added->to = prefix_network(&route->to);
    added->order = fib->count++;
    fib->lengths[route->rank][family_index(&added->to.address)][added->to.length] = true;
}

static int compare_places(const struct bare_fib_route *a, const struct bare_fib_route *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->to.length != b->to.length)
        return a->to.length < b->to.length ? -1 : 1;
    return address_compare(&a->to.address, &b->to.address);
}

static int compare_routes(const void *a, const void *b)
{
    const struct bare_fib_route *first = a, *second = b;
    int order = compare_places(first, second);
    if (order)
        return order;
    if (first->metric != second->metric)
        return first->metric < second->metric ? -1 : 1;
    if (first->preference != second->preference)
        return first->preference > second->preference ? -1 : 1;
    return (first->order > second->order) - (first->order < second->order);
}

void bare_fib_sort(struct bare_fib *fib)
{
    if (fib->count > 1)
        qsort(fib->routes, fib->count, sizeof *fib->routes, compare_routes);
}

/* The best of those at this place: the first in order. */
static const struct bare_fib_route *find(const struct bare_fib *fib, const struct bare_fib_route *place)
{
    size_t low = 0, high = fib->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_places(&fib->routes[middle], place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < fib->count && compare_places(&fib->routes[low], place) == 0 ? &fib->routes[low] : NULL;
}

const struct bare_fib_route *bare_fib_lookup(const struct bare_fib *fib, const struct address *to)
{
    for (uint8_t rank = 0; rank < RANKS; rank++) {
        const bool *lengths = fib->lengths[rank][family_index(to)];
        for (unsigned length = address_bits(to) + 1; length-- > 0;) {
            if (!lengths[length])
                continue;
            struct prefix inside = {*to, (uint8_t)length};
            struct bare_fib_route place = {.rank = rank, .to = prefix_network(&inside)};
            const struct bare_fib_route *found = find(fib, &place);
            if (found && found->kind == FIB_THROWS)
                break; /* the next table */
            if (found)
                return found;
        }
    }
    return NULL;
}

void bare_fib_free(struct bare_fib *fib)
{
    free(fib->routes);
    *fib = (struct bare_fib){0};
}
