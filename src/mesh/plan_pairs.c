/* Preshared keys: each pair decides once which end makes it. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

static const struct device_peer *row_of(const struct planning *planning, size_t node, size_t peer)
{
    const struct device *device = planning->views[node].running;
    const struct plan_node *other = &planning->plan->nodes[peer];
    return device && other->has_key ? device_find_peer(device, &other->public_key) : NULL;
}

static bool has_own(const struct device_peer *row)
{
    return row && row->has_preshared;
}

static void add_pair(struct planning *planning, size_t a, size_t b, enum plan_preshared at_a, enum plan_preshared at_b)
{
    planning->pairs = mem_resize(planning->pairs, planning->pair_count + 1, sizeof *planning->pairs);
    planning->pairs[planning->pair_count++] = (struct plan_pair){(uint32_t)a, (uint32_t)b, at_a, at_b};
}

static bool is_ready(const struct planning *planning, size_t node)
{
    return planning->plan->nodes[node].state == PLAN_READY && (!planning->options->only || planning->options->only[node]);
}

static void decide(struct planning *planning, size_t a, size_t b, bool wanted)
{
    const struct device_peer *row_a = row_of(planning, a, b), *row_b = row_of(planning, b, a);
    bool at_a = has_own(row_a), at_b = has_own(row_b);
    bool same = at_a == at_b && (!at_a || !memcmp(row_a->preshared_hash, row_b->preshared_hash, KEY_HASH_SIZE));
    bool make = (wanted && (!at_a || !at_b || !same)) || (planning->options->new_preshared && (wanted || at_a || at_b)) || (at_a && at_b && !same);
    if (!is_ready(planning, a) || !is_ready(planning, b)) {
        size_t ready = is_ready(planning, a) ? a : b, other = ready == a ? b : a;
        if (is_ready(planning, ready) && wanted && !has_own(row_of(planning, ready, other)))
            plan_note(&planning->plan->nodes[ready], "no preshared key with %s yet: it cannot be given one now", planning->mesh->nodes[other].name);
        return;
    }
    if (make)
        add_pair(planning, a, b, PLAN_PRESHARED_MAKE, PLAN_PRESHARED_TAKE);
    else if (!same) /* one end has one, and none is asked for: such a link cannot come about */
        add_pair(planning, a, b, at_a ? PLAN_PRESHARED_NONE : PLAN_PRESHARED_KEEP, at_b ? PLAN_PRESHARED_NONE : PLAN_PRESHARED_KEEP);
}

void plan_decide_pairs(struct planning *planning)
{
    for (size_t a = 0; a < planning->desired->node_count; a++) {
        const struct desired_node *node = &planning->desired->nodes[a];
        for (size_t r = 0; r < node->row_count; r++)
            if (node->rows[r].peer > a && !plan_leaves(planning, a) && !plan_leaves(planning, node->rows[r].peer))
                decide(planning, a, node->rows[r].peer, node->rows[r].preshared);
    }
}

static int compare(const void *a, const void *b)
{
    const struct plan_pair *one = a, *two = b;
    return one->a != two->a ? (one->a > two->a) - (one->a < two->a) : (one->b > two->b) - (one->b < two->b);
}

enum plan_preshared plan_preshared_of(const struct planning *planning, size_t node, size_t peer)
{
    struct plan_pair wanted = {.a = (uint32_t)(node < peer ? node : peer), .b = (uint32_t)(node < peer ? peer : node)};
    const struct plan_pair *pair = planning->pair_count ? bsearch(&wanted, planning->pairs, planning->pair_count, sizeof wanted, compare) : NULL;
    return !pair ? PLAN_PRESHARED_KEEP : node < peer ? pair->at_a : pair->at_b;
}
