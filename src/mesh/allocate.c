/* Addresses for one more node: the lowest free one of each Network. */
#include "wgdeck/desired.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

struct taken {
    struct prefix *prefixes; /* sorted; none inside another one */
    size_t count, capacity;
};

static void take(struct taken *taken, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MEM_GROW(taken->prefixes, taken->count, taken->capacity);
        taken->prefixes[taken->count++] = prefix_network(&prefixes[i]);
    }
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static void sort(struct taken *taken)
{
    size_t kept = 0;
    if (taken->count)
        qsort(taken->prefixes, taken->count, sizeof *taken->prefixes, compare_prefixes);
    for (size_t i = 0; i < taken->count; i++)
        if (kept == 0 || !prefix_covers(&taken->prefixes[kept - 1], &taken->prefixes[i]))
            taken->prefixes[kept++] = taken->prefixes[i];
    taken->count = kept;
}

/* The taken prefix that holds ADDRESS, or NULL. */
static const struct prefix *holder(const struct taken *taken, const struct address *address)
{
    struct prefix host = prefix_host(address);
    size_t low = 0, high = taken->count;
    while (low < high) { /* the first that stands behind it */
        size_t middle = low + (high - low) / 2;
        if (prefix_compare(&taken->prefixes[middle], &host) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && prefix_contains(&taken->prefixes[low - 1], address) ? &taken->prefixes[low - 1] : NULL;
}

static struct address last_of(const struct prefix *prefix)
{
    struct prefix network = prefix_network(prefix);
    unsigned bits = address_bits(&network.address);
    for (unsigned bit = network.length; bit < bits; bit++)
        network.address.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
    return network.address;
}

/* The address behind it; false where there is none. */
static bool step(struct address *address)
{
    for (unsigned i = address_bits(address) / 8; i-- > 0;)
        if (++address->bytes[i] != 0)
            return true;
    return false;
}

/* Every node's own: not an IPv4 network's first and last address (but of a /31, RFC 3021), nor the first of an IPv6 one, which is its routers'
 * (RFC 4291 section 2.6.1; but of a /127, RFC 6164). */
static bool is_special(const struct prefix *network, const struct address *address)
{
    if (network->length + 1U >= address_bits(&network->address))
        return false;
    struct address last = last_of(network), first = prefix_network(network).address;
    return address_compare(address, &first) == 0 || (network->address.family == AF_INET && address_compare(address, &last) == 0);
}

static bool find_free(const struct prefix *network, const struct taken *taken, struct address *address)
{
    *address = prefix_network(network).address;
    while (prefix_contains(network, address)) {
        const struct prefix *there = holder(taken, address);
        if (!there && !is_special(network, address))
            return true;
        if (there)
            *address = last_of(there);
        if (!step(address))
            return false;
    }
    return false;
}

/* Without a date: before all that have one. */
static int compare_removals(const void *a, const void *b)
{
    const struct mesh_removed *one = *(const struct mesh_removed *const *)a, *two = *(const struct mesh_removed *const *)b;
    int order = strcmp(one->date ? one->date : "", two->date ? two->date : "");
    return order ? order : (one->line > two->line) - (one->line < two->line);
}

/* One of NETWORK that a removed node had, whose time is longest past. */
static bool find_removed(const struct mesh *mesh, const struct prefix *network, const struct taken *taken, struct address *address)
{
    const struct mesh_removed **sorted = mem_alloc(mesh->removed_count, sizeof *sorted);
    bool found = false;
    for (size_t i = 0; i < mesh->removed_count; i++)
        sorted[i] = &mesh->removed[i];
    if (mesh->removed_count)
        qsort(sorted, mesh->removed_count, sizeof *sorted, compare_removals);
    for (size_t i = 0; !found && i < mesh->removed_count; i++)
        for (size_t j = 0; !found && j < sorted[i]->address_count; j++) {
            *address = sorted[i]->addresses[j].address;
            found = prefix_contains(network, address) && !is_special(network, address) && !holder(taken, address);
        }
    free(sorted);
    return found;
}

int mesh_allocate(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err)
{
    struct taken never = {0}, now = {0};
    for (size_t i = 0; i < mesh->node_count; i++) {
        take(&never, mesh->nodes[i].addresses, mesh->nodes[i].address_count);
        take(&never, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count);
    }
    take(&never, mesh->reserved, mesh->reserved_count);
    take(&never, mesh->relay_networks, mesh->relay_network_count);
    take(&never, reserved, reserved_count);
    take(&now, never.prefixes, never.count);
    for (size_t i = 0; i < mesh->removed_count; i++)
        take(&now, mesh->removed[i].addresses, mesh->removed[i].address_count);
    sort(&never);
    sort(&now);
    *addresses = mem_alloc(mesh->network_count, sizeof **addresses);
    *count = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < mesh->network_count; i++) {
        struct address address;
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&mesh->networks[i], text);
        if (find_free(&mesh->networks[i], &now, &address) || find_removed(mesh, &mesh->networks[i], &never, &address))
            (*addresses)[(*count)++] = prefix_host(&address);
        else
            result = err_set(err, "%s is full: no address is left in it that is neither a node's nor Reserved; add another Network, or a wider one", text);
    }
    free(never.prefixes);
    free(now.prefixes);
    if (result != 0) {
        free(*addresses);
        *addresses = NULL;
        *count = 0;
    }
    return result;
}
