/* Which places two ends are told to look for each other at, and in which order (ladder.h). What the ends say of themselves is hostile until checked: a place costs its owner one packet of
 * 148 bytes every five seconds, so there are few, and none where a packet could only do harm. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "ladder_private.h"

const char *const ladder_place_words[][2] = {
#define X(name, one, two) [PLACE_##name] = {one, two},
    LADDER_PLACES(X)
#undef X
};

static const struct { uint8_t family, length, bytes[16]; } nowhere[] = {
    {AF_INET, 8, {0}}, {AF_INET, 8, {127}}, {AF_INET, 16, {169, 254}}, {AF_INET, 3, {224}}, /* 224/3: multicast, reserved, broadcast */
    {AF_INET6, 8, {0}},             /* ::, ::1, ::ffff:0:0/96 and other forms of IPv4 */
    {AF_INET6, 10, {0xfe, 0x80}}, {AF_INET6, 10, {0xfe, 0xc0}}, {AF_INET6, 8, {0xff}},
};

bool ladder_may_try(const struct ladder_options *options, const struct endpoint *endpoint)
{
    const struct address *address = &endpoint->address;
    if ((address->family != AF_INET && address->family != AF_INET6) || !endpoint->port)
        return false;
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        struct prefix prefix = {.address.family = nowhere[i].family, .length = nowhere[i].length};
        memcpy(prefix.address.bytes, nowhere[i].bytes, sizeof prefix.address.bytes);
        if (prefix_contains(&prefix, address))
            return false;
    }
    for (size_t i = 0; i < options->never_count; i++)
        if (prefix_contains(&options->never[i], address))
            return false;
    return true;
}

static unsigned common_bits(const struct address *a, const struct address *b)
{
    unsigned bits = 0, all = address_bits(a);
    if (a->family != b->family)
        return 0;
    while (bits < all && !((a->bytes[bits / 8] ^ b->bytes[bits / 8]) & (0x80u >> bits % 8)))
        bits++;
    return bits;
}

static size_t count_of(const struct ladder_end *end)
{
    return end->candidate_count < LADDER_CANDIDATES ? end->candidate_count : LADDER_CANDIDATES;
}

static bool owns(const struct ladder_end *end, const struct address *address)
{
    for (size_t i = 0; i < count_of(end); i++)
        if (!address_compare(&end->candidates[i].address, address))
            return true;
    return false;
}

struct list {
    const struct ladder_options *options;
    const struct ladder_end *ends;
    struct ladder_try *tries;
    size_t count;
};

/* FIRST: where the first end is. An end is never sent to an address that is its own. */
static void add(struct list *list, enum ladder_place place, const struct endpoint *first, const struct endpoint *second)
{
    if (list->count == LADDER_TRIES || !ladder_may_try(list->options, first) || !ladder_may_try(list->options, second))
        return;
    if (owns(&list->ends[0], &second->address) || owns(&list->ends[1], &first->address))
        return;
    for (size_t i = 0; i < list->count; i++)
        if (endpoint_equal(&list->tries[i].told[0], second) && endpoint_equal(&list->tries[i].told[1], first))
            return;
    struct ladder_try *try = &list->tries[list->count++];
    *try = (struct ladder_try){.told = {*second, *first}, .place = place};
    try->told[0].scope = try->told[1].scope = 0;
}

/* Seen at the same address: behind the same NAT (or both behind one of a provider's), or in the same IPv6 network. */
static bool seen_together(const struct ladder_end ends[2])
{
    const struct address *a = &ends[0].observed.address, *b = &ends[1].observed.address;
    return a->family && a->family == b->family && common_bits(a, b) >= (a->family == AF_INET ? 32 : 64);
}

/* The private addresses that are most alike, but for SKIPPED ones. False: there are none. */
static bool most_alike(const struct list *list, const bool skipped[LADDER_CANDIDATES][LADDER_CANDIDATES], size_t *first, size_t *second)
{
    const struct ladder_end *ends = list->ends;
    unsigned best = 0;
    for (size_t i = 0; i < count_of(&ends[0]); i++)
        for (size_t k = 0; k < count_of(&ends[1]); k++) {
            const struct address *a = &ends[0].candidates[i].address, *b = &ends[1].candidates[k].address;
            unsigned bits = common_bits(a, b);
            if (skipped[i][k] || !ladder_may_try(list->options, &ends[0].candidates[i]) || !ladder_may_try(list->options, &ends[1].candidates[k]))
                continue;
            if (!address_is_private(a) || !address_is_private(b) || owns(&ends[0], b) || owns(&ends[1], a) || bits <= best || bits < (a->family == AF_INET ? 8 : 48))
                continue;
            best = bits;
            *first = i;
            *second = k;
        }
    return best > 0;
}

static void add_lan(struct list *list, bool skipped[LADDER_CANDIDATES][LADDER_CANDIDATES])
{
    size_t i, k;
    if (!most_alike(list, skipped, &i, &k))
        return;
    add(list, PLACE_LAN, &list->ends[0].candidates[i], &list->ends[1].candidates[k]);
    for (size_t n = 0; n < LADDER_CANDIDATES; n++)
        skipped[i][n] = skipped[n][k] = true;
}

/* Private networks that are not the same one may be routed to each other, where an organisation has numbered them so; 192.168/16 is everybody's. */
static void add_routed(struct list *list)
{
    bool skipped[LADDER_CANDIDATES][LADDER_CANDIDATES] = {{false}};
    size_t i, k;
    if (!most_alike(list, skipped, &i, &k))
        return;
    const struct address *a = &list->ends[0].candidates[i].address, *b = &list->ends[1].candidates[k].address;
    bool near = common_bits(a, b) >= (a->family == AF_INET ? 24 : 64), homes = a->family == AF_INET && a->bytes[0] == 192;
    if (!near && !homes)
        add(list, PLACE_ROUTED, &list->ends[0].candidates[i], &list->ends[1].candidates[k]);
}

static const struct endpoint *public_of(const struct list *list, size_t end, uint8_t family)
{
    for (size_t i = 0; i < count_of(&list->ends[end]); i++) {
        const struct endpoint *candidate = &list->ends[end].candidates[i];
        if (candidate->address.family == family && !address_is_private(&candidate->address) && ladder_may_try(list->options, candidate))
            return candidate;
    }
    return NULL;
}

static void add_public(struct list *list, enum ladder_place place, uint8_t family)
{
    const struct endpoint *own[2] = {public_of(list, 0, family), public_of(list, 1, family)};
    for (size_t e = 0; e < 2; e++)
        if (!own[e] && list->ends[e].observed.address.family == family)
            own[e] = &list->ends[e].observed;
    if (own[0] && own[1] && (place == PLACE_SIX || own[0] != &list->ends[0].observed || own[1] != &list->ends[1].observed))
        add(list, place, own[0], own[1]);
}

/* A port that was forwarded by hand: the node's own, at the address that the hub sees. */
static void add_forward(struct list *list)
{
    struct endpoint at[2];
    for (size_t e = 0; e < 2; e++) {
        at[e] = list->ends[e].observed;
        if (count_of(&list->ends[e]))
            at[e].port = list->ends[e].candidates[0].port;
    }
    add(list, PLACE_FORWARD, &at[0], &at[1]);
}

size_t ladder_places(const struct ladder_options *options, const struct ladder_end ends[2], const struct ladder_try *last, struct ladder_try tries[static LADDER_TRIES])
{
    struct list list = {.options = options, .ends = ends, .tries = tries};
    bool skipped[LADDER_CANDIDATES][LADDER_CANDIDATES] = {{false}}, together = seen_together(ends);
    if (last)
        add(&list, PLACE_LAST, &last->told[1], &last->told[0]);
    if (together)
        add_lan(&list, skipped);
    add_public(&list, PLACE_SIX, AF_INET6);
    add(&list, PLACE_SEEN, &ends[0].observed, &ends[1].observed);
    if (together)
        add_lan(&list, skipped);
    add_public(&list, PLACE_OWN, AF_INET);
    if (!together) {
        add_forward(&list);
        add_routed(&list);
    }
    return list.count;
}

static uint64_t hash_of(const struct endpoint *endpoint, uint64_t hash)
{
    for (size_t i = 0; i < sizeof endpoint->address.bytes; i++)
        hash = (hash ^ endpoint->address.bytes[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ endpoint->address.family) * UINT64_C(0x100000001b3);
    hash = (hash ^ endpoint->port) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

uint64_t ladder_fingerprint(const struct ladder_options *options, const struct ladder_end *end)
{
    uint64_t sum = 0;
    if (ladder_may_try(options, &end->observed))
        sum += hash_of(&end->observed, UINT64_C(0x9ae16a3b2f90404f));
    for (size_t i = 0; i < count_of(end); i++)
        if (ladder_may_try(options, &end->candidates[i]))
            sum += hash_of(&end->candidates[i], UINT64_C(0xcbf29ce484222325));
    return sum;
}
