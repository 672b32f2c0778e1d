/* Adopting: the nodes' addresses in the mesh, and the networks they lie in. */
#include "adopt_parts.h"

#include <stdlib.h>

static bool is_link_local(const struct prefix *prefix)
{
    return prefix->address.family == AF_INET6 && prefix->address.bytes[0] == 0xfe && (prefix->address.bytes[1] & 0xc0) == 0x80;
}

/* The node's own addresses on its interface, with their lengths. One that is down has lost its IPv6 ones: then the file knows better. */
static const struct prefix *own_addresses(const struct adopt_node *node, size_t *count)
{
    const struct observed_link *link = node->device ? observation_link(node->seen, node->device->name) : NULL;
    *count = node->config ? node->config->address_count : 0;
    if (*count && (!link || !link->up || !link->address_count))
        return node->config->addresses;
    *count = link ? link->address_count : 0;
    return *count ? link->addresses : NULL;
}

/* A network counts once; a wider one takes the place of those inside it. */
static void add_network(struct adopt_prefixes *networks, const struct prefix *prefix)
{
    struct prefix network = prefix_network(prefix);
    size_t kept = 0;
    if (adopt_covered(networks, &network))
        return;
    for (size_t i = 0; i < networks->count; i++)
        if (!prefix_covers(&network, &networks->items[i]))
            networks->items[kept++] = networks->items[i];
    networks->count = kept;
    adopt_add(networks, &network);
}

/* Whole networks only: a /32 on an interface says nothing of the mesh's network. */
static void find_networks(struct adopt *adopt)
{
    for (size_t i = 0; i < adopt->count; i++) {
        size_t count;
        const struct prefix *own = own_addresses(&adopt->nodes[i], &count);
        for (size_t j = 0; j < count; j++)
            if (!is_link_local(&own[j]) && own[j].length > 0 && own[j].length < address_bits(&own[j].address))
                add_network(&adopt->networks, &own[j]);
    }
}

/* Host prefixes of the others' rows for a node that was not reached. */
static void addresses_from_rows(struct adopt *adopt, size_t index)
{
    for (size_t i = 0; i < adopt->count; i++) {
        const struct device_peer *row = adopt_row(adopt, i, index);
        for (size_t j = 0; row && j < row->allowed_count; j++) {
            const struct prefix *prefix = &row->allowed[j];
            if (prefix->length == address_bits(&prefix->address) &&
                (adopt_covered(&adopt->networks, prefix) || adopt->networks.count == 0))
                adopt_add(&adopt->nodes[index].addresses, prefix);
        }
    }
}

/* The first and the last address of an IPv4 network belong to nobody, and mesh_read says so. */
static bool is_reserved(const struct adopt_prefixes *networks, const struct prefix *host)
{
    for (size_t i = 0; i < networks->count; i++) {
        const struct prefix *network = &networks->items[i];
        if (network->address.family != AF_INET || network->length >= 31 || !prefix_contains(network, &host->address))
            continue;
        struct prefix last = *host;
        for (unsigned bit = network->length; bit < 32; bit++)
            last.address.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        return address_compare(&host->address, &network->address) == 0 || address_compare(&host->address, &last.address) == 0;
    }
    return false;
}

static const struct adopt_node *owner_of(const struct adopt *adopt, size_t before, const struct prefix *host)
{
    for (size_t i = 0; i < before; i++)
        for (size_t j = 0; j < adopt->nodes[i].addresses.count; j++)
            if (prefix_compare(&adopt->nodes[i].addresses.items[j], host) == 0)
                return &adopt->nodes[i];
    return NULL;
}

/* Drop what two nodes claim or nobody may have. */
static void keep_good_addresses(struct adopt *adopt, size_t index)
{
    struct adopt_node *node = &adopt->nodes[index];
    size_t kept = 0;
    char text[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < node->addresses.count; i++) {
        const struct prefix host = node->addresses.items[i];
        const struct adopt_node *owner = owner_of(adopt, index, &host);
        address_text(&host.address, text);
        if (owner)
            adopt_note(adopt, "%s and %s both have the address %s: it is written for %s only", owner->name, node->name, text,
                       owner->name);
        else if (is_reserved(&adopt->networks, &host))
            adopt_note(adopt, "%s has %s, a network's own or broadcast address: left out", node->name, text);
        else
            node->addresses.items[kept++] = host;
    }
    node->addresses.count = kept;
}

static unsigned common_bits(const struct address *a, const struct address *b)
{
    unsigned bits = 0;
    while (bits < address_bits(a) && ((a->bytes[bits / 8] ^ b->bytes[bits / 8]) & 0x80 >> bits % 8) == 0)
        bits++;
    return bits;
}

/* For addresses without a network: the one that holds all of them when that is a plausible one, else each its own. */
static void find_network_of_hosts(struct adopt *adopt, uint8_t family, unsigned usual, unsigned shortest)
{
    struct adopt_prefixes hosts = {0};
    unsigned length = usual;
    for (size_t i = 0; i < adopt->count; i++)
        for (size_t j = 0; j < adopt->nodes[i].addresses.count; j++) {
            const struct prefix *host = &adopt->nodes[i].addresses.items[j];
            if (host->address.family == family && !adopt_covered(&adopt->networks, host))
                adopt_add(&hosts, host);
        }
    for (size_t i = 1; i < hosts.count; i++) {
        unsigned bits = common_bits(&hosts.items[0].address, &hosts.items[i].address);
        length = bits < length ? bits : length;
    }
    if (hosts.count) {
        struct prefix network = hosts.items[0];
        struct adopt_prefixes alone = {.items = &network, .count = 1};
        network.length = (uint8_t)length;
        network = prefix_network(&network);
        bool plausible = length >= shortest && !adopt_overlaps(&adopt->networks, &network) && hosts.count > 1;
        for (size_t i = 0; i < hosts.count; i++)
            plausible = plausible && !is_reserved(&alone, &hosts.items[i]);
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&network, text);
        if (plausible)
            adopt_note(adopt, "no interface says how wide the network is: %s is a guess from the nodes' addresses", text);
        for (size_t i = 0; i < (plausible ? 1 : hosts.count); i++)
            adopt_add(&adopt->networks, plausible ? &network : &hosts.items[i]);
    }
    free(hosts.items);
}

static void decide_included(struct adopt *adopt, size_t index)
{
    struct adopt_node *node = &adopt->nodes[index];
    node->included = node->addresses.count > 0;
    if (node->included && !node->seen)
        adopt_note(adopt, "%s was not reached: what is written of it is what the others' rows say", node->name);
    if (node->included)
        return;
    if (!node->seen)
        adopt_note(adopt, "%s was not reached, and no row of the others can be told to be its: left out", node->name);
    else if (!node->device)
        adopt_note(adopt, "%s has no WireGuard interface: left out", node->name);
    else
        adopt_note(adopt, "%s has no usable address on %s: left out", node->name, node->device->name);
}

void adopt_find_addresses(struct adopt *adopt)
{
    find_networks(adopt);
    for (size_t i = 0; i < adopt->count; i++) {
        struct adopt_node *node = &adopt->nodes[i];
        size_t count;
        const struct prefix *own = own_addresses(node, &count);
        for (size_t j = 0; j < count; j++) {
            struct prefix host = prefix_host(&own[j].address);
            if (!is_link_local(&own[j]))
                adopt_add(&node->addresses, &host);
        }
    }
    find_network_of_hosts(adopt, AF_INET, 24, 16);
    find_network_of_hosts(adopt, AF_INET6, 64, 48);
    for (size_t i = 0; i < adopt->count; i++)
        if (!adopt->nodes[i].device)
            addresses_from_rows(adopt, i);
    find_network_of_hosts(adopt, AF_INET, 24, 16); /* when only the others' rows told of any */
    find_network_of_hosts(adopt, AF_INET6, 64, 48);
    for (size_t i = 0; i < adopt->count; i++) {
        keep_good_addresses(adopt, i);
        decide_included(adopt, i);
    }
}
