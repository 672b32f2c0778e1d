/* Faults of who has a row for whom (faults.md K1, K2, K5): the rows of all nodes against each other and the mesh file. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

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
        end_name(pair, pair->a, ROW_MISSING);
        end_name(pair, pair->b, ROW_MISSING);
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
    end_name(pair, holder, ROW_MISSING);
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
            bool told = end_of(pair, other)->row && (pair->wanted || pair->may || !context->mesh->from_file);
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
            if (view->targets[r] != TARGET_NONE || joined_by_relay(context->mesh, row) || paths_has_joined(context, &row->public_key) || is_meant_for_someone(context, i, row))
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
        int64_t age = row_age(&context->views[ghosts[i].holder], ghosts[i].row);
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
        clock_ago_text(row_age(view, ghosts[i].row), age);
        if (i < 8)
            fault_remedy_more(&context->findings[index].fault, "on %s: %s remove; and out of its saved file", view->name, set);
        fault_evidence(context, index, "%s: a row with this key, AllowedIPs %s, endpoint %s, last handshake %s", view->name,
                       *allowed ? allowed : "(none)", *endpoint ? endpoint : "(none)", ghosts[i].row->handshake > 0 ? age : "never");
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

static const struct detector detectors[] = {
    {"peers-missing-both", detect_missing_both},
    {"peer-missing", detect_missing},
    {"ghost-peer", detect_ghost},
};
const struct stage stage_rows = {detectors, COUNT_OF(detectors)};
