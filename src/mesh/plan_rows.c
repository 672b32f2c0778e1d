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

bool plan_is_live(const struct plan_view *view, const struct device_peer *row)
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

static const char *saved_host(const struct plan_view *view, const struct device_peer *row)
{
    return view->config->endpoint_hosts ? view->config->endpoint_hosts[row - view->saved->peers] : NULL;
}

/* The saved one, as text: a file with a name in it is compared by that. */
static bool saved_endpoint_differs(const struct plan_view *view, const struct device_peer *row, const char *wanted)
{
    const char *host = saved_host(view, row);
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
        .endpoint = other && !plan_is_live(view, row),
        .endpoint_live = other && plan_is_live(view, row),
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

static char *before_text(const struct plan_view *view, const struct device_peer *row, bool is_saved, const struct plan_operation *operation)
{
    struct buf text = BUF_EMPTY;
    if (operation->set_allowed) {
        char *allowed = plan_prefixes_text(row->allowed, row->allowed_count);
        buf_add_format(&text, "allows %s", allowed);
        free(allowed);
    }
    if (operation->set_endpoint) {
        char endpoint[ENDPOINT_TEXT_SIZE];
        const char *host = is_saved ? saved_host(view, row) : NULL;
        endpoint_text(&row->endpoint, endpoint);
        buf_add_format(&text, "%sendpoint %s", text.length ? "; " : "", host ? host : *endpoint ? endpoint : "none");
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

/* A row that is missing at one of the two places is set there as a whole. */
static void fill_row(struct plan_operation *operation, const struct desired_row *wanted, const struct compared *running, const struct compared *saved)
{
    bool missing = running->missing || (operation->saved && saved->missing), runs = !running->missing;
    operation->is_new = running->missing;
    operation->set_allowed = missing || running->allowed || saved->allowed;
    operation->set_endpoint = wanted->endpoint && (missing || running->endpoint || saved->endpoint);
    operation->endpoint_saved_only = operation->set_endpoint && runs && !running->endpoint;
    operation->set_keepalive = (missing && wanted->keepalive) || running->keepalive || saved->keepalive;
    operation->allowed = mem_copy(wanted->allowed, wanted->allowed_count, sizeof *wanted->allowed);
    operation->allowed_count = wanted->allowed_count;
    operation->endpoint = mem_text(wanted->endpoint);
    operation->keepalive = wanted->keepalive;
}

/* Where the pair keeps what it has, the file gets what runs; but a key that only the file has is lost for good when the other end could not be seen. */
static enum plan_preshared saved_preshared(const struct device_peer *running, const struct device_peer *saved, bool has_file, bool other_seen)
{
    if (!has_file || !running || (!saved && !running->has_preshared) || (saved && !saved_preshared_differs(running, saved)))
        return PLAN_PRESHARED_KEEP;
    return running->has_preshared ? PLAN_PRESHARED_COPY : other_seen ? PLAN_PRESHARED_NONE : PLAN_PRESHARED_KEEP;
}

/* The other end makes its key anew, and may find the one again of which there is a row here: what that row has besides is not to stay. */
static void clear_left_over(const struct plan_view *view, const struct plan_node *other, struct plan_operation *operation)
{
    const struct key *key = &other->public_key;
    if (other->has_key || key_is_zero(key))
        return;
    const struct device_peer *rows[] = {view->running ? device_find_peer(view->running, key) : NULL, view->saved ? device_find_peer(view->saved, key) : NULL};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i] && rows[i]->has_preshared && operation->preshared == PLAN_PRESHARED_KEEP)
            operation->preshared = PLAN_PRESHARED_NONE;
        operation->set_keepalive |= rows[i] && rows[i]->keepalive != operation->keepalive;
    }
}

static const char *row_why(const struct compared *running, const struct compared *saved, bool file_preshared)
{
    if (running->missing || differs(running))
        return NULL;
    return file_preshared && !differs(saved) ? "the file has another preshared key than what runs" : saved->missing ? "it is not in the saved file" : NULL;
}

/* A row that is to be set: how, why, and where. */
struct row_need {
    size_t index;                 /* the node */
    const struct desired_row *wanted;
    const struct device_peer *running_row, *saved_row;
    struct compared running, saved;
    enum plan_preshared preshared;
    bool file_preshared, changes, saves;
};

static void add_row(struct planning *planning, const struct row_need *need)
{
    const struct plan_view *view = &planning->views[need->index];
    const struct plan_node *other = &planning->plan->nodes[need->wanted->peer];
    struct plan_operation *operation = plan_add(&planning->plan->nodes[need->index], PLAN_ROW, need->changes, need->saves);
    operation->peer = need->wanted->peer;
    operation->name = mem_text(planning->mesh->nodes[need->wanted->peer].name);
    if (other->has_key)
        operation->key = other->public_key;
    operation->preshared = need->preshared;
    if (need->preshared == PLAN_PRESHARED_COPY)
        operation->other_key = operation->key;
    fill_row(operation, need->wanted, &need->running, &need->saved);
    clear_left_over(view, other, operation);
    const struct device_peer *shown = differs(&need->running) ? need->running_row : need->saved_row;
    operation->before = shown ? before_text(view, shown, shown == need->saved_row, operation) : NULL;
    if (need->running_row && (need->preshared == PLAN_PRESHARED_MAKE || need->preshared == PLAN_PRESHARED_TAKE) && !planning->options->new_preshared)
        operation->why = mem_text("the two ends do not have the same now");
    else
        operation->why = mem_text(row_why(&need->running, &need->saved, need->file_preshared));
}

/* What the row should allow now, while the ladder has lent some of it to rows of its own; NOW's allowed is malloc'd. False: none is lent. */
static bool find_lent(const struct planning *planning, size_t index, const struct device_peer *row, const struct desired_row *wanted, struct desired_row *now)
{
    const struct device *running = planning->views[index].running;
    *now = *wanted;
    now->allowed = NULL;
    if (!planning->views[index].ladder || (row && plan_same_prefixes(row->allowed, row->allowed_count, wanted->allowed, wanted->allowed_count)))
        return false;
    now->allowed = mem_alloc(wanted->allowed_count, sizeof *now->allowed);
    now->allowed_count = 0;
    for (size_t i = 0; i < wanted->allowed_count; i++)
        if (!plan_is_lent(planning, index, running, &wanted->allowed[i]))
            now->allowed[now->allowed_count++] = wanted->allowed[i];
    return now->allowed_count < wanted->allowed_count;
}

/* What runs and what is saved are set one by one, each to what is right there. */
static void add_parted(struct planning *planning, const struct row_need *need, const struct desired_row *now)
{
    struct row_need running = *need, saved = *need;
    running.wanted = now;
    running.saved = saved.running = (struct compared){0};
    running.saves = saved.changes = false;
    if (need->file_preshared)
        running.preshared = PLAN_PRESHARED_KEEP;
    if (need->changes)
        add_row(planning, &running);
    if (need->saves)
        add_row(planning, &saved);
}

static void plan_row(struct planning *planning, size_t index, const struct desired_row *wanted)
{
    const struct plan_view *view = &planning->views[index];
    const struct plan_node *other = &planning->plan->nodes[wanted->peer];
    struct desired_row now;
    const struct device_peer *running = view->running && other->has_key ? device_find_peer(view->running, &other->public_key) : NULL;
    bool lent = find_lent(planning, index, running, wanted, &now);
    const struct device_peer *saved = view->saved && other->has_key ? device_find_peer(view->saved, &other->public_key) : NULL;
    struct compared compared = compare_running(view, running, lent ? &now : wanted), compared_saved = compare_saved(view, saved, wanted);
    enum plan_preshared preshared = plan_preshared_of(planning, index, wanted->peer);
    bool has_file = view->saved != NULL, file_preshared = false;
    if (!has_file) /* it is made from what runs, with the endpoint that is right now and may not be tomorrow */
        compared_saved = (struct compared){.missing = !running, .endpoint = compared.endpoint_live};
    if (preshared == PLAN_PRESHARED_KEEP) {
        preshared = saved_preshared(running, saved, has_file, other->state == PLAN_READY);
        file_preshared = preshared != PLAN_PRESHARED_KEEP;
    }
    bool changes = differs(&compared) || (preshared != PLAN_PRESHARED_KEEP && !file_preshared);
    bool saves = differs(&compared_saved) || preshared != PLAN_PRESHARED_KEEP || (changes && !has_file);
    struct row_need need = {index, wanted, running, saved, compared, compared_saved, preshared, file_preshared, changes, saves};
    if (lent && has_file)
        add_parted(planning, &need, &now);
    else if (changes || saves)
        add_row(planning, &need);
    free(now.allowed);
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

static void know(struct planning *planning, const struct key *key, enum plan_known_as as, size_t index)
{
    MEM_GROW(planning->known, planning->known_count, planning->known_capacity);
    planning->known[planning->known_count++] = (struct plan_known){.key = *key, .as = as, .index = index};
}

static void know_joined(struct planning *planning, size_t hub, const struct observed_joined *joined, void *context)
{
    (void)context;
    know(planning, &joined->key, KNOWN_JOINED, hub);
    planning->known[planning->known_count - 1].joined = joined;
}

/* Of the same key the surest comes first: a node's present one, then a former one, then a removed one's; one that only joined comes last. */
static int compare_known(const void *a, const void *b)
{
    const struct plan_known *one = a, *two = b;
    int order = key_compare(&one->key, &two->key);
    if (!order)
        order = (one->as > two->as) - (one->as < two->as);
    return order ? order : (one->index > two->index) - (one->index < two->index);
}

void plan_list_known(struct planning *planning)
{
    const struct mesh *mesh = planning->mesh;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (planning->plan->nodes[i].has_key)
            know(planning, &planning->plan->nodes[i].public_key, KNOWN_NODE, i);
        if (mesh->nodes[i].has_public_key)
            know(planning, &mesh->nodes[i].public_key, KNOWN_FORMER, i);
        for (size_t k = 0; k < mesh->nodes[i].former_key_count; k++)
            know(planning, &mesh->nodes[i].former_keys[k], KNOWN_FORMER, i);
    }
    for (size_t i = 0; i < mesh->removed_count; i++)
        for (size_t k = 0; k < mesh->removed[i].key_count; k++)
            know(planning, &mesh->removed[i].keys[k], KNOWN_REMOVED, i);
    plan_each_joined(planning, know_joined, NULL);
    if (planning->known_count)
        qsort(planning->known, planning->known_count, sizeof *planning->known, compare_known);
}

const struct plan_known *plan_find_known(const struct planning *planning, const struct key *key)
{
    size_t low = 0, high = planning->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_compare(&planning->known[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < planning->known_count && !key_compare(&planning->known[low].key, key) ? &planning->known[low] : NULL;
}

/* Why a row of this key is to go; NULL: it stays. */
static char *reason_to_go(const struct planning *planning, size_t index, const struct plan_known *known, bool running)
{
    const struct mesh *mesh = planning->mesh;
    if (!known)
        return planning->options->prune ? mem_text("its key is in no mesh file") : NULL;
    if (known->as == KNOWN_JOINED)
        return NULL;
    if (known->as == KNOWN_REMOVED) {
        const struct mesh_removed *removed = &mesh->removed[known->index];
        return removed->date ? mem_format("%s was removed on %s", removed->name, removed->date) : mem_format("%s was removed", removed->name);
    }
    const char *name = mesh->nodes[known->index].name;
    if (known->as == KNOWN_FORMER)
        return mem_format("an earlier key of %s", name);
    if (plan_leaves(planning, known->index))
        return mem_format("%s leaves the mesh", name);
    if (known->index == index)
        return mem_text("the node's own key");
    if (mesh_may_link(mesh, index, known->index)) /* a row of the ladder's: only ever in what runs */
        return running ? NULL : mem_text("ways to it are found while it runs");
    return desired_row_find(&planning->desired->nodes[index], known->index) ? NULL : mem_format("no link with %s in this topology", name);
}

/* A row that stays, and loses something all the same. */
static void note_theft(struct planning *planning, size_t index, const struct device_peer *row)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    char prefix[PREFIX_TEXT_SIZE], key[KEY_TEXT_SIZE];
    key_text(&row->public_key, key);
    for (size_t r = 0; r < desired->row_count; r++)
        for (size_t i = 0; i < desired->rows[r].allowed_count; i++)
            for (size_t k = 0; k < row->allowed_count; k++)
                if (!prefix_compare(&desired->rows[r].allowed[i], &row->allowed[k])) {
                    prefix_text(&row->allowed[k], prefix);
                    plan_note(&planning->plan->nodes[index], "the row of the key %.8s... loses %s, which is %s's", key, prefix, planning->mesh->nodes[desired->rows[r].peer].name);
                }
}

static void plan_removal(struct planning *planning, size_t index, const struct key *key, bool running, bool saved)
{
    struct plan_node *node = &planning->plan->nodes[index];
    const struct plan_known *known = plan_find_known(planning, key);
    if (running && saved && known && known->as == KNOWN_NODE && known->index != index && mesh_may_link(planning->mesh, index, known->index) && !plan_leaves(planning, known->index))
        running = false; /* it stays in what runs, and goes from the file */
    char *why = reason_to_go(planning, index, known, running), text[KEY_TEXT_SIZE];
    if (!why && !known) {
        key_text(key, text);
        plan_note(node, "a row of the key %.8s... is in no mesh file: left alone (to take such rows away: --prune)", text);
        const struct device_peer *row = running ? device_find_peer(planning->views[index].running, key) : NULL;
        if (row)
            note_theft(planning, index, row);
    }
    if (!why && known && known->as == KNOWN_JOINED)
        plan_note_joined(planning, index, known);
    if (!why)
        return;
    struct plan_operation *operation = plan_add(node, PLAN_ROW_REMOVE, running, saved);
    operation->key = *key;
    operation->why = why;
    if (known && known->as == KNOWN_NODE)
        operation->peer = known->index;
    if (known)
        operation->name = mem_text(known->as == KNOWN_REMOVED ? planning->mesh->removed[known->index].name : planning->mesh->nodes[known->index].name);
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
