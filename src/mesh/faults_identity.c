/* Faults of keys and of who has rows for whom (faults.md K1 to K6, K8, K9): from the configurations of both ends, no counters. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

static void name_row(struct pair *pair, size_t holder, unsigned faults)
{
    end_of(pair, holder)->faults |= faults;
}

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
        name_row(pair, i, ROW_KEY);
        name_row(pair, node, ROW_KEY);
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

static int64_t wrong_age(const struct node_view *view, const struct device_peer *row)
{
    return row->handshake > 0 ? time_between(view->seen->node_time, row->handshake) : -1;
}

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
        int64_t age = wrong_age(&context->views[i], end->wrong);
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
    fault_remedy_more(fault, "on %s: %s remove && %s allowed-ips %s%s%s, and the same in its saved file%s", view->name, remove, add,
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
        name_row(pair, holders->stale[i], ROW_KEY | ROW_MISSING);
        pair_explained(context, pair, index);
    }
}

static void each_node_with_key(struct context *context, void (*look)(struct context *, size_t, const struct holders *))
{
    struct holders holders = {.stale = mem_alloc(context->count, sizeof(size_t)), .right = mem_alloc(context->count, sizeof(size_t))};
    for (size_t i = 0; i < context->count; i++) {
        if (!context->views[i].has_key || context->views[i].key_named || context->views[i].key_guessed)
            continue;
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
        fault_remedy(fault, "on %s the saved key is still another one: bring it back with wg-quick down %s; wg-quick up %s; if the new key is meant", view->name,
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
    name_row(pair, holder, ROW_KEY | ROW_MISSING);
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

/* ---- peers-missing-both (K2), peer-missing (K1) ------------------------------------------------------------------ */

static bool lacks(const struct context *context, const struct pair *pair, size_t holder)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder];
    const struct end *end = &pair->end[holder == pair->b];
    return view->looked && view->device && context->views[other].has_key && !end->row && !(end->faults & ROW_MISSING);
}

/* The command that makes the row, from what the saved file or the mesh file knows. */
static void add_row_remedy(const struct context *context, struct fault *fault, const struct pair *pair, size_t holder)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    const struct device_peer *saved = pair->end[holder == pair->b].saved;
    char *set = words_set_peer(view, &peer->key), *allowed = NULL;
    char endpoint[ENDPOINT_TEXT_SIZE] = "";
    struct prefix *wanted = NULL;
    size_t count = 0;
    if (saved) {
        allowed = words_prefixes(saved->allowed, saved->allowed_count);
        endpoint_text(&saved->endpoint, endpoint);
    } else if (context->mesh->from_file) {
        mesh_wants_allowed(context->mesh, holder, other, &wanted, &count);
        allowed = words_prefixes(wanted, count);
        endpoint_text(&peer->node->endpoint, endpoint);
    } else if (peer->interface && peer->interface->address_count) {
        struct buf buf = BUF_EMPTY;
        for (size_t i = 0; i < peer->interface->address_count; i++) {
            struct prefix host = prefix_host(&peer->interface->addresses[i].address);
            char text[PREFIX_TEXT_SIZE];
            prefix_text(&host, text);
            if (!address_is_link_local(&host.address))
                buf_add_format(&buf, "%s%s", buf.length ? "," : "", text);
        }
        allowed = buf_take(&buf);
    }
    fault_remedy_more(fault, "on %s: %s allowed-ips %s%s%s%s", view->name, set, allowed && *allowed ? allowed : "ADDRESSES", *endpoint ? " endpoint " : "",
                      endpoint, saved && saved->has_preshared ? " preshared-key FILE" : "");
    if (!saved)
        fault_remedy_more(fault, "and the same as a [Peer] in %s", view->config ? view->config->path : "its saved file");
    free(set);
    free(allowed);
    free(wanted);
}

static void add_row_evidence(struct context *context, size_t fault, const struct pair *pair, size_t holder)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const struct node_view *view = &context->views[holder];
    const struct end *end = &pair->end[holder == pair->b];
    if (view->looked && view->device)
        fault_evidence(context, fault, "%s: none of the %zu rows of %s has the key of %s", view->name, view->device->peer_count, view->interface_name,
                       context->views[other].name);
    if (end->saved)
        fault_evidence(context, fault, "%s: %s has the row, the engine does not", view->name, view->config->path);
}

static void detect_missing_both(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        bool meant = pair->wanted || (pair->end[0].saved && pair->end[1].saved);
        if (!meant || pair->cause != NONE || !lacks(context, pair, pair->a) || !lacks(context, pair, pair->b))
            continue;
        struct fault *fault = fault_new(context, "peers-missing-both", pair->a, pair->b);
        const char *a = context->views[pair->a].name, *b = context->views[pair->b].name;
        fault_summary(fault, "neither %s nor %s has a row for the other, though %s wants the link", a, b,
                      pair->wanted ? "the mesh file" : "what they have saved");
        add_row_remedy(context, fault, pair, pair->a);
        add_row_remedy(context, fault, pair, pair->b);
        fault_folds(context, "with");
        size_t index = fault_index(context);
        add_row_evidence(context, index, pair, pair->a);
        add_row_evidence(context, index, pair, pair->b);
        name_row(pair, pair->a, ROW_MISSING);
        name_row(pair, pair->b, ROW_MISSING);
        pair_explained(context, pair, index);
    }
}

static void name_missing(struct context *context, struct pair *pair, size_t holder)
{
    size_t other = holder == pair->a ? pair->b : pair->a;
    const char *name = context->views[holder].name, *peer = context->views[other].name;
    struct fault *fault = fault_new(context, "peer-missing", holder, other);
    fault_direction(fault, other, holder);
    fault_summary(fault, "%s has no row for %s: %s's packets to %s are dropped", name, peer, peer, name);
    add_row_remedy(context, fault, pair, holder);
    fault_folds(context, "");
    size_t index = fault_index(context);
    add_row_evidence(context, index, pair, holder);
    if (end_of(pair, other)->row) {
        char *row = words_row(context, other, holder, end_of(pair, other));
        fault_evidence(context, index, "%s", row);
        free(row);
    } else if (pair->wanted) {
        fault_evidence(context, index, "mesh file: wants a link between %s and %s; %s could not be read", name, peer, peer);
    }
    name_row(pair, holder, ROW_MISSING);
    pair_explained(context, pair, index);
}

static void detect_missing(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        if (pair->cause != NONE)
            continue;
        for (int side = 0; side < 2; side++) {
            size_t holder = side ? pair->b : pair->a, other = side ? pair->a : pair->b;
            bool told = end_of(pair, other)->row && (pair->wanted || !context->mesh->from_file);
            bool unseen = pair->wanted && !context->views[other].looked;
            if (lacks(context, pair, holder) && (told || unseen))
                name_missing(context, pair, holder);
        }
    }
}

/* ---- ghost-peer (K5) ---------------------------------------------------------------------------------------------- */

struct ghost {
    const struct device_peer *row;
    size_t holder;
};

static int compare_ghosts(const void *a, const void *b)
{
    const struct ghost *one = a, *two = b;
    int order = key_compare(&one->row->public_key, &two->row->public_key);
    return order ? order : (one->holder > two->holder) - (one->holder < two->holder);
}

/* Nodes that join through a relay have addresses of the relay network, and no section of their own. */
static bool joined_by_relay(const struct mesh *mesh, const struct device_peer *row)
{
    for (size_t i = 0; i < row->allowed_count; i++)
        for (size_t k = 0; k < mesh->relay_network_count; k++)
            if (prefix_covers(&mesh->relay_networks[k], &row->allowed[i]))
                return true;
    return false;
}

static bool is_meant_for_someone(const struct context *context, size_t holder, const struct device_peer *row)
{
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == holder ? NULL : pair_of(context, holder, i);
        if (pair && end_of(pair, holder)->wrong == row && !end_of(pair, holder)->row)
            return true;
    }
    return false;
}

static struct ghost *find_ghosts(const struct context *context, size_t *count)
{
    struct ghost *ghosts = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        for (size_t r = 0; view->device && r < view->device->peer_count; r++) {
            const struct device_peer *row = &view->device->peers[r];
            if (view->targets[r] != TARGET_NONE || joined_by_relay(context->mesh, row) || is_meant_for_someone(context, i, row))
                continue;
            MEM_GROW(ghosts, *count, capacity);
            ghosts[(*count)++] = (struct ghost){.row = row, .holder = i};
        }
    }
    if (*count)
        qsort(ghosts, *count, sizeof *ghosts, compare_ghosts);
    return ghosts;
}

static void name_ghost(struct context *context, const struct ghost *ghosts, size_t count)
{
    size_t *holders = mem_alloc(count, sizeof *holders);
    char key[KEY_TEXT_SIZE];
    bool live = false;
    key_text(&ghosts[0].row->public_key, key);
    for (size_t i = 0; i < count; i++) {
        int64_t age = wrong_age(&context->views[ghosts[i].holder], ghosts[i].row);
        holders[i] = ghosts[i].holder;
        live |= age >= 0 && age <= AGE_LATE;
    }
    char *names = words_names(context, holders, count);
    struct fault *fault = fault_new(context, "ghost-peer", ghosts[0].holder, NONE);
    fault_summary(fault, "%s ha%s a row for the key %s, which is no node's of the mesh file%s", names, count == 1 ? "s" : "ve", key,
                  live ? "; somebody uses it now" : "");
    size_t index = fault_index(context);
    for (size_t i = 0; i < count; i++) {
        const struct node_view *view = &context->views[ghosts[i].holder];
        char *set = words_set_peer(view, &ghosts[i].row->public_key), *allowed = words_prefixes(ghosts[i].row->allowed, ghosts[i].row->allowed_count);
        char endpoint[ENDPOINT_TEXT_SIZE], age[CLOCK_TEXT_SIZE];
        endpoint_text(&ghosts[i].row->endpoint, endpoint);
        clock_age_text(wrong_age(view, ghosts[i].row), age);
        if (i < 8)
            fault_remedy_more(&context->findings[index].fault, "on %s: %s remove, and out of its saved file", view->name, set);
        fault_evidence(context, index, "%s: a row with this key, AllowedIPs %s, endpoint %s, last handshake %s%s", view->name,
                       *allowed ? allowed : "(none)", *endpoint ? endpoint : "(none)", ghosts[i].row->handshake > 0 ? age : "never",
                       ghosts[i].row->handshake > 0 ? " ago" : "");
        free(set);
        free(allowed);
    }
    fault_remedy_more(&context->findings[index].fault, "if the node is meant to be there, give it a [Node] section in the mesh file instead");
    free(names);
    free(holders);
}

/* Only a mesh file says who belongs to the mesh; and only when every node's key is known is another key nobody's. */
static void detect_ghost(struct context *context)
{
    if (!context->mesh->from_file)
        return;
    for (size_t i = 0; i < context->count; i++)
        if (!context->views[i].has_key)
            return;
    size_t count;
    struct ghost *ghosts = find_ghosts(context, &count);
    for (size_t first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && key_compare(&ghosts[first].row->public_key, &ghosts[next].row->public_key) == 0;)
            next++;
        name_ghost(context, &ghosts[first], next - first);
    }
    free(ghosts);
}

/* ---- psk-mismatch (K8) --------------------------------------------------------------------------------------------- */

static bool hash_is_known(const struct device_peer *row)
{
    static const uint8_t zero[KEY_HASH_SIZE];
    return memcmp(row->preshared_hash, zero, sizeof zero) != 0;
}

static void name_psk(struct context *context, struct pair *pair)
{
    const struct device_peer *one = pair->end[0].row, *two = pair->end[1].row;
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    struct fault *fault = fault_new(context, "psk-mismatch", pair->a, pair->b);
    char *set_a = words_set_peer(a, &b->key), *set_b = words_set_peer(b, &a->key);
    if (one->has_preshared && two->has_preshared)
        fault_summary(fault, "%s and %s hold different preshared keys for each other: their next handshake fails", a->name, b->name);
    else
        fault_summary(fault, "%s holds a preshared key for %s, and %s holds none: their next handshake fails", one->has_preshared ? a->name : b->name,
                      one->has_preshared ? b->name : a->name, one->has_preshared ? b->name : a->name);
    fault_remedy(fault, "make one with wg genpsk and set it at both ends from a file, first on %s: %s preshared-key FILE; then on %s: %s preshared-key FILE; and in both saved files",
                 b->name, set_b, a->name, set_a);
    fault_folds(context, "with");
    size_t index = fault_index(context);
    for (int side = 0; side < 2; side++) {
        const struct device_peer *row = side ? two : one;
        fault_evidence(context, index, "%s: the row for %s has %s", side ? b->name : a->name, side ? a->name : b->name,
                       !row->has_preshared ? "no preshared key" : one->has_preshared && two->has_preshared ? "a preshared key of another hash" : "a preshared key");
    }
    name_row(pair, pair->a, ROW_PSK);
    name_row(pair, pair->b, ROW_PSK);
    pair_explained(context, pair, index);
    free(set_a);
    free(set_b);
}

static void detect_psk(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        const struct device_peer *one = pair->end[0].row, *two = pair->end[1].row;
        if (!one || !two || pair->cause != NONE)
            continue;
        bool differ = one->has_preshared != two->has_preshared;
        if (one->has_preshared && two->has_preshared && hash_is_known(one) && hash_is_known(two))
            differ = memcmp(one->preshared_hash, two->preshared_hash, KEY_HASH_SIZE) != 0;
        if (differ)
            name_psk(context, pair);
    }
}

/* ---- key-exposed (K9) ---------------------------------------------------------------------------------------------- */

/* Public keys of private keys that stand in manuals, and are copied from there. */
static const char *const published_keys[] = {
    "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", /* wg(8), section CONFIGURATION FILE FORMAT EXAMPLE */
};

static bool is_published(const struct key *key)
{
    for (size_t i = 0; i < COUNT_OF(published_keys); i++) {
        struct key known;
        if (key_parse(published_keys[i], &known) == 0 && key_compare(&known, key) == 0)
            return true;
    }
    return false;
}

static void name_readable(struct context *context, size_t node, const struct observed_config *config)
{
    const char *name = context->views[node].name;
    struct fault *fault = fault_new(context, "key-exposed", node, NONE);
    struct buf path = BUF_EMPTY, folder = BUF_EMPTY;
    const char *slash = strrchr(config->path, '/');
    words_add_shell(&path, config->path);
    buf_add(&folder, config->path, slash ? (size_t)(slash - config->path) : 0);
    if (config->mode & 077)
        fault_summary(fault, "others than root can read the private key of %s in %s", name, config->path);
    else
        fault_summary(fault, "others than root can replace %s on %s", config->path, name);
    fault_remedy(fault, "on %s: chown root:root %s && chmod 600 %s%s%s; if anyone may have read it, rotate the key of %s", name, buf_text(&path),
                 buf_text(&path), config->folder_mode & 022 ? " && chmod 700 " : "", config->folder_mode & 022 ? buf_text(&folder) : "", name);
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: %s has mode %04o%s, its folder %04o", name, config->path, config->mode & 07777,
                   config->owner_other ? " and is not root's" : "", config->folder_mode & 07777);
    buf_free(&path);
    buf_free(&folder);
}

static void detect_exposed(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        const struct observed_config *config = view->seen->reach == REACH_OK ? observation_config(view->seen, view->interface_name) : NULL;
        /* A mode of 0 was not told. */
        if (config && config->path && ((config->mode & 077) || (config->folder_mode & 022) || config->owner_other))
            name_readable(context, i, config);
        if (!view->has_key || !view->looked || !is_published(&view->key))
            continue;
        struct fault *fault = fault_new(context, "key-exposed", i, NONE);
        fault->severity = SEVERITY_ERROR;
        fault_summary(fault, "%s uses a private key that is printed in a manual: anyone can be %s", view->name, view->name);
        fault_remedy(fault, "make a new key on %s (wg genkey) and give its public key to the other nodes", view->name);
        char key[KEY_TEXT_SIZE];
        key_text(&view->key, key);
        fault_evidence(context, fault_index(context), "%s: its public key is %s, which is the example's in wg(8)", view->name, key);
    }
}

static const struct detector detectors[] = {
    {"duplicate-key", detect_duplicate_key},
    {"key-half-rotated", detect_half_rotated},
    {"wrong-key", detect_wrong_key},
    {"peers-missing-both", detect_missing_both},
    {"peer-missing", detect_missing},
    {"ghost-peer", detect_ghost},
    {"psk-mismatch", detect_psk},
    {"key-exposed", detect_exposed},
};
const struct stage stage_identity = {detectors, COUNT_OF(detectors)};
