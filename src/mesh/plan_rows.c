/* Rows of one node: what it should hold about the others, against what runs and what is saved; and rows that are to go. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

bool plan_same_prefixes(const struct prefix *a, size_t a_count, const struct prefix *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = prefix_compare(&a[i], &b[i]) == 0;
    return same;
}

char *plan_prefixes_text(const struct prefix *prefixes, size_t count)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++) {
        char one[PREFIX_TEXT_SIZE];
        prefix_text(&prefixes[i], one);
        buf_add_format(&text, "%s%s", i ? ", " : "", one);
    }
    if (!count)
        buf_add_text(&text, "nothing");
    return buf_take(&text);
}

/* --- endpoints */

/* Is the row's session alive now, by the node's own clock? Then its endpoint is where the other node really is. */
static bool is_live(const struct plan_view *view, const struct device_peer *row)
{
    return row->handshake > 0 && view->seen->node_time - row->handshake < PLAN_LIVE;
}

/* A name is not resolved here: what a row has is taken to be what the name said. */
static bool endpoint_differs(const struct device_peer *row, const char *wanted)
{
    struct endpoint endpoint;
    if (!wanted)
        return false; /* the other one is behind NAT: wherever it was heard from is right */
    if (!row->endpoint.address.family)
        return true;
    return !endpoint_parse(wanted, &endpoint) && !endpoint_equal(&endpoint, &row->endpoint);
}

/* The saved one, as text: a file with a name in it is compared by that. */
static bool saved_endpoint_differs(const struct plan_view *view, const struct device_peer *row, const char *wanted)
{
    size_t index = (size_t)(row - view->saved->peers);
    const char *host = view->config->endpoint_hosts && !view->config->rows_as_running ? view->config->endpoint_hosts[index] : NULL;
    if (!wanted)
        return false;
    return host ? strcmp(host, wanted) != 0 : endpoint_differs(row, wanted);
}

/* --- one row */

struct compared {
    bool missing, allowed, endpoint, endpoint_live, keepalive;
};

static bool keepalive_differs(const struct device_peer *row, const struct desired_row *wanted)
{
    return row->keepalive != wanted->keepalive && (wanted->keepalive_exact || wanted->keepalive);
}

static struct compared compare_running(const struct plan_view *view, const struct device_peer *row, const struct desired_row *wanted)
{
    if (!row)
        return (struct compared){.missing = true};
    bool other = endpoint_differs(row, wanted->endpoint);
    return (struct compared){
        .allowed = !plan_same_prefixes(row->allowed, row->allowed_count, wanted->allowed, wanted->allowed_count),
        .endpoint = other && !is_live(view, row),
        .endpoint_live = other && is_live(view, row),
        .keepalive = keepalive_differs(row, wanted),
    };
}

static struct compared compare_saved(const struct plan_view *view, const struct device_peer *row, const struct desired_row *wanted)
{
    if (!row)
        return (struct compared){.missing = true};
    return (struct compared){
        .allowed = !plan_same_prefixes(row->allowed, row->allowed_count, wanted->allowed, wanted->allowed_count),
        .endpoint = saved_endpoint_differs(view, row, wanted->endpoint),
        .keepalive = keepalive_differs(row, wanted),
    };
}

static bool differs(const struct compared *compared)
{
    return compared->missing || compared->allowed || compared->endpoint || compared->keepalive;
}

/* What runs and what is saved have another preshared key: the file would break the link at the next boot. */
static bool saved_preshared_differs(const struct device_peer *running, const struct device_peer *saved)
{
    return running && saved &&
           (running->has_preshared != saved->has_preshared || memcmp(running->preshared_hash, saved->preshared_hash, KEY_HASH_SIZE) != 0);
}

static char *before_text(const struct device_peer *row, const struct plan_operation *operation)
{
    struct buf text = BUF_EMPTY;
    if (operation->set_allowed) {
        char *allowed = plan_prefixes_text(row->allowed, row->allowed_count);
        buf_add_format(&text, "allows %s", allowed);
        free(allowed);
    }
    if (operation->set_endpoint) {
        char endpoint[ENDPOINT_TEXT_SIZE];
        endpoint_text(&row->endpoint, endpoint);
        buf_add_format(&text, "%sendpoint %s", text.length ? "; " : "", *endpoint ? endpoint : "none");
    }
    if (operation->set_keepalive) {
        buf_add_text(&text, text.length ? "; keepalive " : "keepalive ");
        if (row->keepalive)
            buf_add_format(&text, "%u", row->keepalive);
        else
            buf_add_text(&text, "off");
    }
    return text.length ? buf_take(&text) : NULL;
}

static void fill_row(struct plan_operation *operation, const struct desired_row *wanted, const struct compared *running, const struct compared *saved, bool has_file)
{
    bool file_only_endpoint = has_file && saved->endpoint && !running->missing && !running->endpoint;
    operation->is_new = running->missing;
    operation->set_allowed = running->missing || running->allowed || (has_file && (saved->missing || saved->allowed));
    operation->set_endpoint = wanted->endpoint && (running->missing || running->endpoint || (has_file && (saved->missing || saved->endpoint)));
    operation->endpoint_saved_only = operation->set_endpoint && (running->endpoint_live || file_only_endpoint);
    operation->set_keepalive = (running->missing || (has_file && saved->missing)) ? wanted->keepalive > 0 : running->keepalive || (has_file && saved->keepalive);
    operation->allowed = mem_copy(wanted->allowed, wanted->allowed_count, sizeof *wanted->allowed);
    operation->allowed_count = wanted->allowed_count;
    operation->endpoint = mem_text(wanted->endpoint);
    operation->keepalive = wanted->keepalive;
}

static void plan_row(struct planning *planning, size_t index, const struct desired_row *wanted)
{
    const struct plan_view *view = &planning->views[index];
    const struct plan_node *other = &planning->plan->nodes[wanted->peer];
    struct plan_node *node = &planning->plan->nodes[index];
    const struct device_peer *running = view->running && other->has_key ? device_find_peer(view->running, &other->public_key) : NULL;
    const struct device_peer *saved = view->saved && other->has_key ? device_find_peer(view->saved, &other->public_key) : NULL;
    struct compared compared = compare_running(view, running, wanted), compared_saved = compare_saved(view, saved, wanted);
    enum plan_preshared preshared = plan_preshared_of(planning, index, wanted->peer);
    bool has_file = view->saved != NULL;
    bool changes = differs(&compared) || preshared != PLAN_PRESHARED_KEEP;
    bool saves = !has_file || differs(&compared_saved) || preshared != PLAN_PRESHARED_KEEP || saved_preshared_differs(running, saved);
    if (!changes && !(has_file && saves))
        return;
    struct plan_operation *operation = plan_add(node, PLAN_ROW, changes, saves);
    operation->peer = wanted->peer;
    operation->name = mem_text(planning->mesh->nodes[wanted->peer].name);
    if (other->has_key)
        operation->key = other->public_key;
    operation->preshared = preshared;
    fill_row(operation, wanted, &compared, &compared_saved, has_file);
    if (running)
        operation->before = before_text(running, operation);
    if (!changes)
        operation->why = mem_text(saved_preshared_differs(running, saved) && !differs(&compared_saved) ? "the file has another preshared key than what runs"
                                                                                                        : "only in the saved file");
}

void plan_rows(struct planning *planning, size_t index)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    struct plan_node *node = &planning->plan->nodes[index];
    for (size_t i = 0; i < desired->row_count; i++) {
        const struct desired_row *wanted = &desired->rows[i];
        const struct plan_node *other = &planning->plan->nodes[wanted->peer];
        if (plan_leaves(planning, wanted->peer))
            continue;
        if (other->has_key || other->make_key)
            plan_row(planning, index, wanted);
        else
            plan_note(node, "no row for %s yet: its key is not known", planning->mesh->nodes[wanted->peer].name);
    }
}

/* --- rows that go */

enum keys_place { KEY_UNKNOWN, KEY_OF_NODE, KEY_FORMER, KEY_REMOVED };

struct known {
    enum keys_place place;
    size_t node;                        /* of a node */
    const struct mesh_removed *removed;
};

static struct known find_key(const struct planning *planning, const struct key *key)
{
    const struct mesh *mesh = planning->mesh;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct plan_node *node = &planning->plan->nodes[i];
        if (node->has_key && !key_compare(&node->public_key, key))
            return (struct known){KEY_OF_NODE, i, NULL};
    }
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (mesh->nodes[i].has_public_key && !key_compare(&mesh->nodes[i].public_key, key))
            return (struct known){KEY_FORMER, i, NULL};
        for (size_t k = 0; k < mesh->nodes[i].former_key_count; k++)
            if (!key_compare(&mesh->nodes[i].former_keys[k], key))
                return (struct known){KEY_FORMER, i, NULL};
    }
    for (size_t i = 0; i < mesh->removed_count; i++)
        for (size_t k = 0; k < mesh->removed[i].key_count; k++)
            if (!key_compare(&mesh->removed[i].keys[k], key))
                return (struct known){KEY_REMOVED, SIZE_MAX, &mesh->removed[i]};
    return (struct known){.node = SIZE_MAX};
}

/* Why a row of this key is to go; NULL: it stays. */
static char *reason_to_go(const struct planning *planning, size_t index, const struct known *known)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    const char *name = known->node != SIZE_MAX ? planning->mesh->nodes[known->node].name : NULL;
    switch (known->place) {
    case KEY_REMOVED:
        return known->removed->date ? mem_format("%s was removed on %s", known->removed->name, known->removed->date) : mem_format("%s was removed", known->removed->name);
    case KEY_FORMER:
        return mem_format("an earlier key of %s", name);
    case KEY_OF_NODE:
        if (plan_leaves(planning, known->node))
            return mem_format("%s leaves the mesh", name);
        if (known->node == index)
            return mem_text("the node's own key");
        return desired_row_find(desired, known->node) ? NULL : mem_format("no link with %s in this topology", name);
    case KEY_UNKNOWN:
        break;
    }
    return planning->options->prune ? mem_text("its key is in no mesh file") : NULL;
}

static void plan_removal(struct planning *planning, size_t index, const struct key *key, bool running, bool saved)
{
    struct plan_node *node = &planning->plan->nodes[index];
    struct known known = find_key(planning, key);
    char *why = reason_to_go(planning, index, &known), text[KEY_TEXT_SIZE];
    if (!why && known.place == KEY_UNKNOWN) {
        key_text(key, text);
        plan_note(node, "a row of the key %.8s... is in no mesh file: left alone (to take such rows away: --prune)", text);
    }
    if (!why)
        return;
    struct plan_operation *operation = plan_add(node, PLAN_ROW_REMOVE, running, saved);
    operation->key = *key;
    operation->peer = known.node;
    operation->name = mem_text(known.node != SIZE_MAX ? planning->mesh->nodes[known.node].name : known.removed ? known.removed->name : NULL);
    operation->why = why;
}

void plan_rows_removed(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    for (size_t i = 0; view->running && i < view->running->peer_count; i++) {
        const struct key *key = &view->running->peers[i].public_key;
        plan_removal(planning, index, key, true, view->saved && device_find_peer(view->saved, key));
    }
    for (size_t i = 0; view->saved && i < view->saved->peer_count; i++) {
        const struct key *key = &view->saved->peers[i].public_key;
        if (!view->running || !device_find_peer(view->running, key))
            plan_removal(planning, index, key, false, true);
    }
}
