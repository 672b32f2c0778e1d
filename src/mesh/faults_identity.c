/* Faults of who has which key (faults.md K3, K4, K6): from the configurations of both ends, no counters. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- duplicate-key (K6) ---------------------------------------------------------------------------------------- */

static bool same_key(const struct node_view *a, const struct node_view *b)
{
    return a->has_key && b->has_key && !a->key_guessed && !b->key_guessed && key_compare(&a->key, &b->key) == 0;
}

static void explain_all_pairs(struct context *context, size_t node, size_t fault)
{
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        if (!pair)
            continue;
        pair_explained(context, pair, fault);
        end_name(pair, i, ROW_KEY);
        end_name(pair, node, ROW_KEY);
    }
}

static void name_duplicate(struct context *context, size_t owner, const size_t *all, size_t count)
{
    char key[KEY_TEXT_SIZE];
    char *names = words_names(context, all, count);
    size_t clone = all[0] == owner ? all[1] : all[0];
    key_text(&context->views[owner].key, key);
    struct fault *fault = fault_new(context, "duplicate-key", clone, owner);
    fault_summary(fault, "%s have one and the same key: the others can hold only one of them, and their sessions push each other out", names);
    fault_remedy(fault, "on %s make a new key (wg genkey), put it in its configuration, and give its public key to the other nodes; if the key may have been copied by others, on all of %s",
                 context->views[clone].name, names);
    size_t index = fault_index(context);
    for (size_t i = 0; i < count; i++) {
        struct node_view *view = &context->views[all[i]];
        fault_evidence(context, index, "%s: the public key of %s is %s", view->name, view->interface_name, key);
        view->key_named = true;
        if (view->root == NONE)
            view->root = index;
        explain_all_pairs(context, all[i], index);
    }
    free(names);
}

static void detect_duplicate_key(struct context *context)
{
    size_t *all = mem_alloc(context->count, sizeof *all);
    for (size_t i = 0; i < context->count; i++) {
        size_t count = 0;
        for (size_t k = i; context->views[i].cloned != NONE && !context->views[i].key_named && k < context->count; k++)
            if (context->views[k].cloned != NONE && same_key(&context->views[i], &context->views[k]))
                all[count++] = k;
        if (count > 1) {
            uint32_t owner = context_find_key(context, &context->views[i].key);
            name_duplicate(context, owner & ~TARGET_OLD, all, count);
        }
    }
    free(all);
}

/* ---- key-half-rotated (K4), wrong-key (K3) ---------------------------------------------------------------------- */

/* Who holds which key for a node: the right one, or another one in a row that is meant for it. */
struct holders {
    size_t *stale, *right;
    size_t stale_count, right_count;
    bool was_once;      /* the other key was this node's: it had handshakes, or it is saved or pinned, or two nodes hold it */
    bool all_the_same;
};

static void find_holders(const struct context *context, size_t node, struct holders *holders)
{
    const struct key *first = NULL;
    *holders = (struct holders){.stale = holders->stale, .right = holders->right, .all_the_same = true};
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        const struct end *end = pair ? end_of(pair, i) : NULL;
        if (!end || (end->faults & ROW_KEY))
            continue;
        if (end->row) {
            holders->right[holders->right_count++] = i;
            continue;
        }
        if (!end->wrong || context->views[i].cloned != NONE)
            continue;
        /* It lives under that key, and the node could not be asked: then the key that we have of it is the wrong one. */
        int64_t age = row_age(&context->views[i], end->wrong);
        if (!context->views[node].looked && age >= 0 && age <= AGE_LATE)
            continue;
        bool as_first = first && key_compare(first, &end->wrong->public_key) == 0;
        holders->all_the_same &= !first || as_first;
        holders->was_once |= as_first || end->wrong->handshake > 0 || context_find_key(context, &end->wrong->public_key) != TARGET_NONE;
        first = first ? first : &end->wrong->public_key;
        holders->stale[holders->stale_count++] = i;
    }
}

static void add_key_evidence(struct context *context, size_t fault, size_t node)
{
    const struct node_view *view = &context->views[node];
    char key[KEY_TEXT_SIZE];
    key_text(&view->key, key);
    fault_evidence(context, fault, "%s: %s %s", view->name, view->looked ? "its public key is" : "could not be read; by what is known its public key is", key);
    if (view->node->has_public_key && key_compare(&view->node->public_key, &view->key) != 0) {
        key_text(&view->node->public_key, key);
        fault_evidence(context, fault, "mesh file: PublicKey of %s is %s", view->name, key);
    }
}

static void add_holder_evidence(struct context *context, size_t fault, size_t holder, size_t node)
{
    const struct device_peer *row = end_of(pair_of(context, holder, node), holder)->wrong;
    char key[KEY_TEXT_SIZE];
    char *allowed = words_prefixes(row->allowed, row->allowed_count);
    key_text(&row->public_key, key);
    fault_evidence(context, fault, "%s: the row that is meant for %s (AllowedIPs %s) has the key %s", context->views[holder].name,
                   context->views[node].name, *allowed ? allowed : "(none)", key);
    free(allowed);
}

/* wg set on the holder: the wrong row away, the right one in, with what the wrong one had. */
static void add_replace_remedy(const struct context *context, struct fault *fault, size_t holder, size_t node)
{
    const struct node_view *view = &context->views[holder];
    const struct device_peer *row = end_of(pair_of(context, holder, node), holder)->wrong;
    char *remove = words_set_peer(view, &row->public_key), *add = words_set_peer(view, &context->views[node].key);
    char *allowed = words_prefixes(row->allowed, row->allowed_count);
    char endpoint[ENDPOINT_TEXT_SIZE];
    endpoint_text(&row->endpoint, endpoint);
    fault_remedy_more(fault, "on %s: %s remove && %s allowed-ips %s%s%s; and the same in its saved file%s", view->name, remove, add,
                      *allowed ? allowed : "''", *endpoint ? " endpoint " : "", endpoint,
                      row->has_preshared ? " (with a new preshared key at both ends)" : "");
    free(remove);
    free(add);
    free(allowed);
}

static void explain_stale(struct context *context, const struct holders *holders, size_t node, size_t index)
{
    for (size_t i = 0; i < holders->stale_count; i++) {
        struct pair *pair = pair_of(context, holders->stale[i], node);
        add_holder_evidence(context, index, holders->stale[i], node);
        add_replace_remedy(context, &context->findings[index].fault, holders->stale[i], node);
        end_name(pair, holders->stale[i], ROW_KEY | ROW_MISSING);
        pair_explained(context, pair, index);
    }
}

static void each_node_with_key(struct context *context, void (*look)(struct context *, size_t, const struct holders *))
{
    struct holders holders = {.stale = mem_alloc(context->count, sizeof(size_t)), .right = mem_alloc(context->count, sizeof(size_t))};
    for (size_t i = 0; i < context->count; i++) {
        if (!context->views[i].has_key || context->views[i].key_named || context->views[i].key_guessed)
            continue;
        holders = (struct holders){.stale = holders.stale, .right = holders.right, .all_the_same = true};
        if (context->views[i].mistaken)
            find_holders(context, i, &holders);
        look(context, i, &holders);
    }
    free(holders.stale);
    free(holders.right);
}

static void look_half_rotated(struct context *context, size_t node, const struct holders *holders)
{
    if (!holders->stale_count || !holders->right_count || !holders->was_once)
        return;
    char *stale = words_names(context, holders->stale, holders->stale_count);
    char *right = words_names(context, holders->right, holders->right_count);
    struct fault *fault = fault_new(context, "key-half-rotated", holders->stale[0], node);
    fault_summary(fault, "the new key of %s has not reached all: %s still hold%s an old one, %s ha%s the new one", context->views[node].name, stale,
                  holders->stale_count == 1 ? "s" : "", right, holders->right_count == 1 ? "s" : "ve");
    size_t index = fault_index(context);
    add_key_evidence(context, index, node);
    explain_stale(context, holders, node, index);
    context->views[node].key_named = true;
    free(stale);
    free(right);
}

/* The node's own key changed, and nobody was told. */
static void name_changed_key(struct context *context, size_t node, const struct holders *holders, bool pinned_other)
{
    struct node_view *view = &context->views[node];
    char *stale = words_names(context, holders->stale, holders->stale_count);
    struct fault *fault = fault_new(context, "wrong-key", node, holders->stale_count ? holders->stale[0] : NONE);
    if (holders->stale_count)
        fault_summary(fault, "%s has another key than the one that %s hold%s for it%s", view->name, stale, holders->stale_count == 1 ? "s" : "",
                      pinned_other ? " and that the mesh file has" : "");
    else
        fault_summary(fault, "%s shows another key than the one that the mesh file pins", view->name);
    if (view->config && key_compare(&view->config->device.public_key, &view->key) != 0)
        fault_remedy(fault, "on %s the saved key is still another one: bring it back with wg-quick down %s && wg-quick up %s; if the new key is meant", view->name,
                     view->interface_name, view->interface_name);
    else if (pinned_other)
        fault_remedy(fault, "if the new key of %s is meant, write it as PublicKey in the mesh file; if not, find out who changed it", view->name);
    size_t index = fault_index(context);
    add_key_evidence(context, index, node);
    explain_stale(context, holders, node, index);
    view->key_named = true;
    free(stale);
}

static void name_wrong_row(struct context *context, size_t holder, size_t node)
{
    struct pair *pair = pair_of(context, holder, node);
    struct fault *fault = fault_new(context, "wrong-key", holder, node);
    fault_summary(fault, "%s's row for %s has a key that is not %s's: no handshake between them can succeed", context->views[holder].name,
                  context->views[node].name, context->views[node].name);
    add_replace_remedy(context, fault, holder, node);
    size_t index = fault_index(context);
    add_holder_evidence(context, index, holder, node);
    add_key_evidence(context, index, node);
    end_name(pair, holder, ROW_KEY | ROW_MISSING);
    pair_explained(context, pair, index);
}

static void look_wrong_key(struct context *context, size_t node, const struct holders *holders)
{
    const struct node_view *view = &context->views[node];
    bool pinned_other = view->looked && view->node->has_public_key && key_compare(&view->node->public_key, &view->key) != 0;
    bool changed = holders->stale_count && !holders->right_count && holders->all_the_same && holders->was_once && view->looked;
    if (pinned_other || changed) {
        name_changed_key(context, node, holders, pinned_other);
        return;
    }
    for (size_t i = 0; i < holders->stale_count; i++)
        name_wrong_row(context, holders->stale[i], node);
}

static void detect_half_rotated(struct context *context)
{
    each_node_with_key(context, look_half_rotated);
}

static void detect_wrong_key(struct context *context)
{
    each_node_with_key(context, look_wrong_key);
}

static const struct detector detectors[] = {
    {"duplicate-key", detect_duplicate_key},
    {"key-half-rotated", detect_half_rotated},
    {"wrong-key", detect_wrong_key},
};
const struct stage stage_identity = {detectors, COUNT_OF(detectors)};
