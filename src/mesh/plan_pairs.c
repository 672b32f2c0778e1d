/* Preshared keys: each pair decides once which end makes it. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

/* What runs counts; where the interface, or the row, is down, what is saved. A node that makes a key may find the pinned one again: rows of that count, too. */
static const struct device_peer *row_of(const struct planning *planning, size_t node, size_t peer, bool *runs)
{
    const struct plan_view *view = &planning->views[node];
    const struct key *key = &planning->plan->nodes[peer].public_key;
    bool known = !key_is_zero(key);
    const struct device_peer *running = view->running && known ? device_find_peer(view->running, key) : NULL;
    *runs = running != NULL;
    return running || !view->saved || !known ? running : device_find_peer(view->saved, key);
}

static bool has_own(const struct device_peer *row)
{
    return row && row->has_preshared;
}

static void add_pair(struct planning *planning, size_t a, size_t b, enum plan_preshared at_a, enum plan_preshared at_b)
{
    MEM_GROW(planning->pairs, planning->pair_count, planning->pair_capacity);
    planning->pairs[planning->pair_count++] = (struct plan_pair){(uint32_t)a, (uint32_t)b, at_a, at_b};
}

static bool is_ready(const struct planning *planning, size_t node)
{
    return planning->plan->nodes[node].state == PLAN_READY && (!planning->options->only || planning->options->only[node]);
}

static void note_unready(struct planning *planning, size_t a, size_t b, const struct device_peer *row_a, const struct device_peer *row_b)
{
    bool first = is_ready(planning, a);
    size_t ready = first ? a : b, other = first ? b : a;
    if (is_ready(planning, ready) && !has_own(first ? row_a : row_b))
        plan_note(&planning->plan->nodes[ready], "no preshared key with %s yet: it cannot be given one now", planning->mesh->nodes[other].name);
}

/* Kept where both ends run with the same one. Where only one end has one, or they differ, such a link cannot come about: both get a new one, also where the file
 * asks for none, since somebody wanted this link to have one. */
static void decide(struct planning *planning, size_t a, size_t b, bool wanted)
{
    bool runs_a, runs_b;
    const struct device_peer *row_a = row_of(planning, a, b, &runs_a), *row_b = row_of(planning, b, a, &runs_b);
    bool at_a = has_own(row_a), at_b = has_own(row_b), any = at_a || at_b;
    bool good = at_a && at_b && runs_a && runs_b && !memcmp(row_a->preshared_hash, row_b->preshared_hash, KEY_HASH_SIZE);
    if (!wanted && !any)
        return;
    if (is_ready(planning, a) && is_ready(planning, b)) {
        if (!good || planning->options->new_preshared)
            add_pair(planning, a, b, PLAN_PRESHARED_MAKE, PLAN_PRESHARED_TAKE);
    } else if (wanted)
        note_unready(planning, a, b, row_a, row_b);
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
