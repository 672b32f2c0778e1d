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

/* The lowest one in PART of NETWORK. */
static bool find_free(const struct prefix *network, const struct prefix *part, const struct taken *taken, struct address *address)
{
    *address = prefix_network(part).address;
    while (prefix_contains(part, address)) {
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

/* One in PART of NETWORK that a removed node had, whose time is longest past. */
static bool find_removed(const struct mesh *mesh, const struct prefix *network, const struct prefix *part, const struct taken *taken, struct address *address)
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
            found = prefix_contains(part, address) && !is_special(network, address) && !holder(taken, address);
        }
    free(sorted);
    return found;
}

/* What is not free for anybody (NEVER), and what a removed node had besides (NOW). */
struct takings {
    struct taken never, now;
};

static struct takings take_all(const struct mesh *mesh, bool relay_networks, const struct prefix *reserved, size_t reserved_count)
{
    struct takings takings = {0};
    for (size_t i = 0; i < mesh->node_count; i++) {
        take(&takings.never, mesh->nodes[i].addresses, mesh->nodes[i].address_count);
        take(&takings.never, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count);
    }
    take(&takings.never, mesh->reserved, mesh->reserved_count);
    if (relay_networks)
        take(&takings.never, mesh->relay_networks, mesh->relay_network_count);
    take(&takings.never, reserved, reserved_count);
    take(&takings.now, takings.never.prefixes, takings.never.count);
    for (size_t i = 0; i < mesh->removed_count; i++)
        take(&takings.now, mesh->removed[i].addresses, mesh->removed[i].address_count);
    sort(&takings.never);
    sort(&takings.now);
    return takings;
}

static void free_takings(struct takings *takings)
{
    free(takings->never.prefixes);
    free(takings->now.prefixes);
}

static bool find_address(const struct mesh *mesh, const struct prefix *network, const struct prefix *part, const struct takings *takings, struct prefix *host)
{
    struct address address;
    if (!find_free(network, part, &takings->now, &address) && !find_removed(mesh, network, part, &takings->never, &address))
        return false;
    *host = prefix_host(&address);
    return true;
}

static int give_none(struct prefix **addresses, size_t *count)
{
    free(*addresses);
    *addresses = NULL;
    *count = 0;
    return -1;
}

int mesh_allocate(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err)
{
    struct takings takings = take_all(mesh, true, reserved, reserved_count);
    *addresses = mem_alloc(mesh->network_count, sizeof **addresses);
    *count = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < mesh->network_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&mesh->networks[i], text);
        if (find_address(mesh, &mesh->networks[i], &mesh->networks[i], &takings, &(*addresses)[*count]))
            (*count)++;
        else
            result = err_set(err, "%s is full: no address is left in it that is neither a node's nor Reserved; add another Network, or a wider one", text);
    }
    free_takings(&takings);
    return result == 0 ? 0 : give_none(addresses, count);
}

/* ---- in the RelayNetwork ---- */

static const struct prefix *network_around(const struct mesh *mesh, const struct prefix *part)
{
    for (size_t i = 0; i < mesh->network_count; i++)
        if (prefix_covers(&mesh->networks[i], part))
            return &mesh->networks[i];
    return part; /* mesh_check has refused such a file */
}

static bool is_untouched(const struct taken *taken, const struct prefix *part)
{
    for (size_t i = 0; i < taken->count; i++)
        if (prefix_overlaps(&taken->prefixes[i], part))
            return false;
    return true;
}

/* The part of NETWORK, as wide as can be had but at most a quarter, that is last in it and that nothing is in; tried: the last of each length. */
static bool find_part(const struct prefix *network, const struct taken *taken, struct prefix *part)
{
    unsigned bits = address_bits(&network->address);
    unsigned shortest = bits == 128 && network->length < 112 ? 112 : network->length + 2U;
    struct address last = last_of(network);
    for (unsigned length = shortest; length + 2 <= bits; length++) {
        *part = prefix_network(&(struct prefix){last, (uint8_t)length});
        for (int tries = 0; tries < 64 && prefix_covers(network, part); tries++) {
            if (is_untouched(taken, part))
                return true;
            struct address before = part->address;
            for (size_t i = bits / 8; i-- > 0 && before.bytes[i]-- == 0;)
                ; /* the address before its first */
            *part = prefix_network(&(struct prefix){before, (uint8_t)length});
        }
    }
    return false;
}

static int refuse_without_network(const struct mesh *mesh, const struct takings *takings, struct err *err)
{
    struct buf parts = BUF_EMPTY;
    for (size_t i = 0; i < mesh->network_count; i++) {
        struct prefix part;
        char text[PREFIX_TEXT_SIZE];
        if (!find_part(&mesh->networks[i], &takings->now, &part))
            continue;
        prefix_text(&part, text);
        buf_add_format(&parts, "%s%s", parts.length ? ", " : "", text);
    }
    bool has_relay = false;
    for (size_t i = 0; i < mesh->node_count; i++)
        has_relay |= mesh->nodes[i].role == ROLE_RELAY || (mesh->nodes[i].role == ROLE_HUB && mesh->topology == TOPOLOGY_HUB) ||
                     (mesh->nodes[i].role == ROLE_GATEWAY && mesh->topology == TOPOLOGY_GROUPS);
    const char *role = has_relay ? "" : ", and Role = relay at the node that is to forward for them";
    if (parts.length)
        err_set(err, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay: write RelayNetwork = %s in [Mesh]%s, then 'wgdeck apply'", buf_text(&parts), role);
    else
        err_set(err, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay, and no part of its Network is free for one: add a Network, "
                "write a part of it as RelayNetwork in [Mesh]%s, then 'wgdeck apply'", role);
    buf_free(&parts);
    return -1;
}

int mesh_allocate_relay(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err)
{
    struct takings takings = take_all(mesh, false, reserved, reserved_count);
    *addresses = mem_alloc(mesh->relay_network_count, sizeof **addresses);
    *count = 0;
    int result = 0;
    if (mesh->relay_network_count == 0)
        result = refuse_without_network(mesh, &takings, err);
    else if (mesh_relay(mesh) == SIZE_MAX)
        result = err_set(err, "no node carries RelayNetwork: write Role = relay in the section of the node that is to forward for it (one with an Endpoint), then 'wgdeck apply'");
    for (size_t i = 0; result == 0 && i < mesh->relay_network_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&mesh->relay_networks[i], text);
        if (find_address(mesh, network_around(mesh, &mesh->relay_networks[i]), &mesh->relay_networks[i], &takings, &(*addresses)[*count]))
            (*count)++;
        else
            result = err_set(err, "RelayNetwork %s is full: no address is left in it; revoke invitations that nobody uses, or add another part of Network to it", text);
    }
    free_takings(&takings);
    return result == 0 ? 0 : give_none(addresses, count);
}
