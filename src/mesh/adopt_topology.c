/* Adopting: which topology the rows come nearest to, and who announces which networks behind it. */
#include "adopt_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

#define NO_GROUP SIZE_MAX

static bool linked(const struct adopt *adopt, size_t a, size_t b)
{
    return adopt_row(adopt, a, b) || adopt_row(adopt, b, a);
}

/* Of two nodes that were both not reached nobody can say whether they hold rows for each other. */
static bool known(const struct adopt *adopt, size_t a, size_t b)
{
    return adopt->nodes[a].included && adopt->nodes[b].included && (adopt->nodes[a].device || adopt->nodes[b].device);
}

/* Does every pair of included nodes hold rows exactly when WANTED says so? */
static bool fits(const struct adopt *adopt, bool (*wanted)(const struct adopt *, size_t, size_t))
{
    for (size_t a = 0; a < adopt->count; a++)
        for (size_t b = a + 1; b < adopt->count; b++)
            if (known(adopt, a, b) && linked(adopt, a, b) != wanted(adopt, a, b))
                return false;
    return true;
}

static bool wanted_full(const struct adopt *adopt, size_t a, size_t b)
{
    (void)adopt, (void)a, (void)b;
    return true;
}

static bool wanted_hub(const struct adopt *adopt, size_t a, size_t b)
{
    return adopt->nodes[a].role == ROLE_HUB || adopt->nodes[b].role == ROLE_HUB;
}

static bool wanted_groups(const struct adopt *adopt, size_t a, size_t b)
{
    const struct adopt_node *one = &adopt->nodes[a], *two = &adopt->nodes[b];
    return one->group == two->group || (one->role == ROLE_GATEWAY && two->role == ROLE_GATEWAY);
}

/* Of the pairs without rows: how many there are, and in how many the one reaches the other through some row that it has. Forwarding
 * is what tells a hub or a gateway from a mesh in which rows are missing. */
struct detours {
    size_t pairs, routed;
};

static bool routed(const struct adopt *adopt, size_t a, size_t b)
{
    const struct device *device = adopt->nodes[a].device;
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t j = 0; j < device->peers[i].allowed_count; j++)
            if (prefix_covers(&device->peers[i].allowed[j], &adopt->nodes[b].addresses.items[0]))
                return true;
    return false;
}

static struct detours count_detours(const struct adopt *adopt)
{
    struct detours detours = {0};
    for (size_t a = 0; a < adopt->count; a++)
        for (size_t b = 0; adopt->nodes[a].device && b < adopt->count; b++) {
            if (a == b || !known(adopt, a, b) || linked(adopt, a, b))
                continue;
            detours.pairs++;
            detours.routed += routed(adopt, a, b);
        }
    return detours;
}

static size_t degree(const struct adopt *adopt, size_t node)
{
    size_t count = 0;
    for (size_t i = 0; i < adopt->count; i++)
        count += i != node && adopt->nodes[i].included && linked(adopt, node, i);
    return count;
}

static size_t included_count(const struct adopt *adopt)
{
    size_t count = 0;
    for (size_t i = 0; i < adopt->count; i++)
        count += adopt->nodes[i].included;
    return count;
}

/* Three nodes of which two hold no rows may as well be a full mesh with a gap: there only forwarding tells. */
static bool try_hub(struct adopt *adopt, const struct detours *detours)
{
    size_t count = included_count(adopt);
    for (size_t i = 0; count > (detours->routed ? 2 : 3) && i < adopt->count; i++) {
        if (!adopt->nodes[i].included || degree(adopt, i) != count - 1)
            continue;
        adopt->nodes[i].role = ROLE_HUB;
        if (fits(adopt, wanted_hub)) {
            if (detours->routed < detours->pairs)
                adopt_note(adopt, "the rows for the hub %s do not cover all nodes, as Topology = hub asks for", adopt->nodes[i].name);
            return true;
        }
        adopt->nodes[i].role = ROLE_NONE;
        return false; /* a second such node would be linked to others than this one */
    }
    return false;
}

struct ranked {
    size_t node, degree;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *one = a, *two = b;
    int order = (one->degree > two->degree) - (one->degree < two->degree);
    return order ? order : (one->node > two->node) - (one->node < two->node);
}

/* The node and all its neighbours, when all of these are linked to each other and none has a group yet: become group NUMBER. */
static bool take_group(struct adopt *adopt, size_t node, size_t number)
{
    size_t *members = mem_alloc(adopt->count, sizeof *members), count = 0;
    bool whole = adopt->nodes[node].group == NO_GROUP;
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt->nodes[i].included && (i == node || linked(adopt, node, i)))
            members[count++] = i;
    for (size_t i = 0; whole && i < count; i++) {
        whole = adopt->nodes[members[i]].group == NO_GROUP;
        for (size_t j = 0; whole && j < i; j++)
            whole = linked(adopt, members[i], members[j]);
    }
    for (size_t i = 0; whole && i < count; i++)
        adopt->nodes[members[i]].group = number;
    free(members);
    return whole;
}

/* A node that is no gateway knows its group and nothing else. So, beginning with those that know the fewest (or the most, when gateways of
 * groups of one mislead), each takes its neighbourhood for a group; who is left is a group of its own; who knows another group is a
 * gateway. Whether it was right is checked against all pairs. */
static bool try_groups(struct adopt *adopt, bool fewest_first)
{
    struct ranked *ranked = mem_alloc(adopt->count, sizeof *ranked);
    size_t count = 0, groups = 0;
    for (size_t i = 0; i < adopt->count; i++) {
        adopt->nodes[i].group = NO_GROUP;
        adopt->nodes[i].role = ROLE_NONE;
        if (adopt->nodes[i].included)
            ranked[count++] = (struct ranked){i, degree(adopt, i)};
    }
    if (count)
        qsort(ranked, count, sizeof *ranked, compare_ranked);
    for (size_t i = 0; i < count; i++)
        groups += take_group(adopt, ranked[fewest_first ? i : count - 1 - i].node, groups);
    for (size_t i = 0; i < count; i++)
        if (adopt->nodes[ranked[i].node].group == NO_GROUP)
            adopt->nodes[ranked[i].node].group = groups++;
    bool *has_gateway = mem_alloc(groups, sizeof *has_gateway), good = groups > 1;
    for (size_t a = 0; a < adopt->count; a++)
        for (size_t b = 0; b < adopt->count; b++) {
            struct adopt_node *one = &adopt->nodes[a], *two = &adopt->nodes[b];
            if (!one->included || !two->included || one->group == two->group || !linked(adopt, a, b))
                continue;
            one->role = ROLE_GATEWAY;
            has_gateway[one->group] = true;
        }
    for (size_t i = 0; i < groups; i++)
        good = good && has_gateway[i];
    free(has_gateway);
    free(ranked);
    return good && fits(adopt, wanted_groups);
}

static void note_missing_pairs(struct adopt *adopt)
{
    enum { SHOWN = 20 };
    size_t missing = 0;
    struct buf pairs = BUF_EMPTY;
    for (size_t a = 0; a < adopt->count; a++)
        for (size_t b = a + 1; b < adopt->count; b++) {
            if (!known(adopt, a, b) || linked(adopt, a, b))
                continue;
            if (missing++ < SHOWN)
                buf_add_format(&pairs, "%s%s and %s", missing > 1 ? ", " : "", adopt->nodes[a].name, adopt->nodes[b].name);
        }
    if (missing > SHOWN)
        buf_add_format(&pairs, ", and %zu more", missing - SHOWN);
    adopt_note(adopt, "the rows fit no topology; Topology = full is written, and these pairs hold no rows for each other: %s",
               buf_text(&pairs));
    buf_free(&pairs);
}

void adopt_find_topology(struct adopt *adopt)
{
    adopt->topology = TOPOLOGY_FULL;
    if (fits(adopt, wanted_full))
        return;
    struct detours detours = count_detours(adopt);
    if (try_hub(adopt, &detours)) {
        adopt->topology = TOPOLOGY_HUB;
    } else if (detours.routed == detours.pairs && (try_groups(adopt, true) || try_groups(adopt, false))) {
        adopt->topology = TOPOLOGY_GROUPS;
        adopt_note(adopt, "the rows form groups; their names (group1, ...) are made up: change them as you like");
    } else {
        for (size_t i = 0; i < adopt->count; i++)
            adopt->nodes[i].role = ROLE_NONE;
        note_missing_pairs(adopt);
    }
}

/* A network outside the mesh's stands in the rows for the node that has it, and in rows for those that forward to it. */
struct announced {
    struct prefix prefix;
    size_t best;        /* the node that most likely has it */
    unsigned long rank;
};

/* A node that forwards for nobody has what its rows say; among those that forward, the owner is known so by other groups too. */
static unsigned long rank_of(const struct adopt *adopt, size_t holder, size_t owner)
{
    const struct adopt_node *node = &adopt->nodes[owner];
    if (node->role != ROLE_HUB && node->role != ROLE_GATEWAY)
        return 1000000;
    return node->role == ROLE_GATEWAY && adopt->nodes[holder].group != node->group ? 1000 : 1;
}

struct announcements {
    struct announced *items;
    size_t count, capacity;
};

static void announce(struct announcements *all, const struct prefix *prefix, size_t owner, unsigned long rank)
{
    size_t i = 0;
    while (i < all->count && prefix_compare(&all->items[i].prefix, prefix) != 0)
        i++;
    if (i == all->count) {
        MEM_GROW(all->items, all->count, all->capacity);
        all->items[all->count++] = (struct announced){.prefix = *prefix, .best = owner};
    }
    if (rank > all->items[i].rank) {
        all->items[i].best = owner;
        all->items[i].rank = rank;
    }
}

static bool has_address(const struct adopt *adopt, const struct prefix *prefix)
{
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt_covered(&adopt->nodes[i].addresses, prefix))
            return true;
    return false;
}

/* Per owner, so that each row for it adds to the same rank. */
static void announcements_of(const struct adopt *adopt, size_t owner, struct announcements *all)
{
    struct announcements own = {0};
    for (size_t i = 0; i < adopt->count; i++) {
        const struct device_peer *row = adopt_row(adopt, i, owner);
        for (size_t j = 0; row && j < row->allowed_count; j++) {
            const struct prefix *prefix = &row->allowed[j];
            if (adopt_covered(&adopt->networks, prefix) || has_address(adopt, prefix))
                continue;
            size_t before = own.count;
            announce(&own, prefix, owner, 0);
            size_t k = own.count > before ? before : 0;
            while (prefix_compare(&own.items[k].prefix, prefix) != 0)
                k++;
            own.items[k].rank += rank_of(adopt, i, owner);
        }
    }
    for (size_t i = 0; i < own.count; i++)
        announce(all, &own.items[i].prefix, owner, own.items[i].rank);
    free(own.items);
}

static int compare_announced(const void *a, const void *b)
{
    return prefix_compare(&((const struct announced *)a)->prefix, &((const struct announced *)b)->prefix);
}

void adopt_find_allowed(struct adopt *adopt)
{
    struct announcements all = {0};
    struct adopt_prefixes taken = {0};
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt->nodes[i].included)
            announcements_of(adopt, i, &all);
    if (all.count)
        qsort(all.items, all.count, sizeof *all.items, compare_announced);
    for (size_t i = 0; i < all.count; i++) {
        const struct prefix *prefix = &all.items[i].prefix;
        struct adopt_node *node = &adopt->nodes[all.items[i].best];
        prefix_text(prefix, text);
        if (prefix->length == 0)
            adopt_note(adopt, "rows for %s send everything (%s) to it: that is not part of a mesh file, and left out", node->name, text);
        else if (adopt_overlaps(&adopt->networks, prefix))
            adopt_note(adopt, "rows for %s hold %s, which is wider than the mesh's networks: left out", node->name, text);
        else if (adopt_overlaps(&taken, prefix)) {
            if (!adopt_covered(&node->allowed, prefix)) /* inside a wider one of the same node it says nothing new */
                adopt_note(adopt, "rows for %s hold %s, which overlaps a network behind another node: left out", node->name, text);
        } else {
            adopt_add(&taken, prefix);
            adopt_add(&node->allowed, prefix);
        }
    }
    free(all.items);
    free(taken.items);
}
