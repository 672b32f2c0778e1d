/* Pairs of nodes from the rows of both ends, and what state each link and each direction is in (faults.md section 1). */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

void end_name(struct pair *pair, size_t holder, unsigned faults)
{
    end_of(pair, holder)->faults |= (uint8_t)faults;
}

int64_t row_age(const struct node_view *view, const struct device_peer *row)
{
    return row->handshake > 0 ? time_between(view->seen->node_time, row->handshake) : -1;
}

enum direction_state *direction_of(const struct context *context, const struct pair *pair, size_t from)
{
    struct link *link = link_of(context, pair);
    return from == pair->a ? &link->a_to_b : &link->b_to_a;
}

/* Nearly all prefixes are equal byte for byte, which is quickly seen. */
bool allowed_has(const struct device_peer *row, const struct prefix *prefix)
{
    for (size_t i = 0; i < row->allowed_count; i++)
        if (memcmp(&row->allowed[i], prefix, sizeof *prefix) == 0)
            return true;
    for (size_t i = 0; i < row->allowed_count; i++)
        if (prefix_compare(&row->allowed[i], prefix) == 0)
            return true;
    return false;
}

bool allowed_covers(const struct device_peer *row, const struct prefix *prefix)
{
    if (allowed_has(row, prefix))
        return true;
    for (size_t i = 0; i < row->allowed_count; i++)
        if (prefix_covers(&row->allowed[i], prefix))
            return true;
    return false;
}

void prefix_list_add(struct prefix_list *list, const struct prefix *prefix)
{
    for (size_t i = 0; i < list->count; i++)
        if (prefix_compare(&list->items[i], prefix) == 0)
            return;
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = *prefix;
}

bool prefix_is_host(const struct prefix *prefix)
{
    return prefix->length == address_bits(&prefix->address);
}

bool allowed_same(const struct device_peer *a, const struct device_peer *b)
{
    return a->allowed_count == b->allowed_count && (a->allowed == b->allowed || a->allowed_count == 0 || memcmp(a->allowed, b->allowed, a->allowed_count * sizeof *a->allowed) == 0);
}

/* ---- pairs ---------------------------------------------------------------------------------------------------- */

static void mark(struct context *context, size_t a, size_t b)
{
    if (a != b)
        context->pair_at[a < b ? a * context->count + b : b * context->count + a] = 1;
}

/* A row with a key that no node has may still be meant for one: by the mesh address in it, or by the place that it is sent to. With NONE
 * for a node that the mesh does not name, or a former one. */
static size_t meant_for(const struct context *context, size_t holder, const struct device_peer *row)
{
    for (size_t i = 0; i < row->allowed_count; i++) {
        if (row->allowed[i].length != address_bits(&row->allowed[i].address))
            continue;
        const struct address_entry *entry = context_find_address(context, &row->allowed[i].address);
        if (entry && entry->node != holder)
            return entry->node;
    }
    for (size_t i = 0; row->endpoint.address.family && i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (i == holder || !view->device || view->device->listen_port != row->endpoint.port)
            continue;
        for (size_t k = 0; k < view->own_count; k++)
            if (!address_is_private(&view->own[k]) && address_compare(&view->own[k], &row->endpoint.address) == 0)
                return i;
    }
    return NONE;
}

static size_t target_of(const struct context *context, size_t holder, size_t row)
{
    uint32_t target = context->views[holder].targets[row];
    if (target != TARGET_NONE)
        return target & ~TARGET_OLD;
    return meant_for(context, holder, &context->views[holder].device->peers[row]);
}

static void mark_all(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        for (size_t r = 0; view->device && r < view->device->peer_count; r++) {
            size_t target = target_of(context, i, r);
            if (target != NONE)
                mark(context, i, target);
        }
        for (size_t r = 0; view->saved && r < view->saved->peer_count; r++)
            if (view->saved_targets[r] != TARGET_NONE)
                mark(context, i, view->saved_targets[r] & ~TARGET_OLD);
        for (size_t k = i + 1; k < context->count; k++)
            if ((context->joins && (context->joins[i] || context->joins[k])) || mesh_wants_link(context->mesh, i, k))
                mark(context, i, k);
    }
}

static void number_pairs(struct context *context)
{
    size_t count = context->count;
    for (size_t i = 0; i < count * count; i++)
        context->pair_count += context->pair_at[i];
    context->pairs = mem_alloc(context->pair_count, sizeof *context->pairs);
    context->diagnosis->links = mem_alloc(context->pair_count, sizeof *context->diagnosis->links);
    context->diagnosis->link_count = context->pair_count;
    uint32_t number = 0;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count; b++) {
            if (!context->pair_at[a * count + b])
                continue;
            struct pair *pair = &context->pairs[number];
            pair->a = (uint32_t)a;
            pair->b = (uint32_t)b;
            pair->end[0].age = pair->end[1].age = -1;
            pair->wanted = paths_wants_link(context, a, b);
            pair->cause = NONE;
            number++;
            context->pair_at[a * count + b] = context->pair_at[b * count + a] = number;
        }
}


/* By the node's own clock, in the same reading. -1: never, or the clock was set back since. */
int64_t handshake_age(const struct node_view *view, const struct device_peer *row)
{
    if (row->handshake <= 0)
        return -1;
    int64_t age = time_between(view->seen->node_time, row->handshake);
    if (age < 0)
        return age > -CLOCK_SECOND ? 0 : -1;
    return age;
}

/* A handshake since then, and not a byte more: the row was made anew, and has counted up to the same number by chance. */
static bool began_anew(const struct node_view *view, const struct device_peer *row, int64_t age, uint64_t heard)
{
    return heard == 0 && age >= 0 && time_between(row->handshake, view->earlier->node_time) > CLOCK_SECOND;
}

void end_count(const struct node_view *view, struct end *end, size_t row)
{
    const struct device_peer *now = &view->device->peers[row];
    const struct counted_row *before = view->device_earlier ? counters_row(view->device_earlier, view->device, row) : NULL;
    uint64_t sent = 0, heard = 0;
    end->row = now;
    end->age = handshake_age(view, now);
    /* Counters that went down were begun anew with the row or the engine: the difference says nothing. */
    end->counted = before && counters_difference(before, now, &heard, &sent) && !began_anew(view, now, end->age, heard);
    end->sent = sent < UINT32_MAX ? (uint32_t)sent : UINT32_MAX;
    end->heard = heard < UINT32_MAX ? (uint32_t)heard : UINT32_MAX;
}

/* Of the preshared key's hash, as much as tells two of them apart. */
static uint32_t preshared_of(const struct device_peer *row)
{
    uint32_t parts[KEY_HASH_SIZE / sizeof(uint32_t)], mixed = 0;
    if (!row->has_preshared)
        return 0;
    memcpy(parts, row->preshared_hash, sizeof parts);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        mixed = (mixed ^ parts[i]) * UINT32_C(0x9E3779B1) + (parts[i] != 0);
    return mixed ? mixed | 2 : 1;
}

/* All that a detector of prefixes would ask of a usual row, while it is at hand. */
static void look_at_prefixes(const struct context *context, struct end *end, size_t other)
{
    for (size_t i = 0; i < end->row->allowed_count; i++)
        end->wide |= !prefix_is_host(&end->row->allowed[i]);
    end->complete = context->mesh->from_file && (!end->saved || allowed_same(end->row, end->saved)) && row_has_just_its_own(context, other, end->row);
}

static void fill_row(struct context *context, size_t holder, size_t row, const struct device_peer *saved)
{
    const struct node_view *view = &context->views[holder];
    size_t target = target_of(context, holder, row);
    struct pair *pair = target == NONE || target == holder ? NULL : pair_of(context, target, holder);
    if (!pair)
        return;
    struct end *end = end_of(pair, holder);
    if (view->targets[row] != target) {
        end->wrong = &view->device->peers[row];
        context->views[target].mistaken = true;
        return;
    }
    end_count(view, end, row);
    end->preshared = preshared_of(end->row);
    end->saved = saved;
    look_at_prefixes(context, end, target);
}

static void fill_saved(struct context *context, size_t holder, size_t row)
{
    const struct node_view *view = &context->views[holder];
    uint32_t target = view->saved_targets[row];
    struct pair *pair = target == TARGET_NONE || (target & TARGET_OLD) || target == holder ? NULL : pair_of(context, target, holder);
    if (pair)
        end_of(pair, holder)->saved = &view->saved->peers[row];
}

/* Running and saved rows are both in the order of their keys. */
static void fill_ends(struct context *context, size_t holder)
{
    const struct node_view *view = &context->views[holder];
    size_t rows = view->device ? view->device->peer_count : 0, saved_rows = view->saved ? view->saved->peer_count : 0;
    for (size_t r = 0, s = 0; r < rows || s < saved_rows;) {
        int order = r == rows ? 1 : s == saved_rows ? -1 : view->saved == view->device ? 0
                    : key_compare(&view->device->peers[r].public_key, &view->saved->peers[s].public_key);
        if (order <= 0)
            fill_row(context, holder, r, order == 0 ? &view->saved->peers[s] : NULL);
        else
            fill_saved(context, holder, s);
        r += order <= 0;
        s += order >= 0;
    }
}

/* What one end sent can be held against what the other heard only when both were read over the same time. */
static bool same_span(const struct node_view *a, const struct node_view *b)
{
    if (!a->earlier || !b->earlier)
        return false;
    int64_t begin = a->earlier->at > b->earlier->at ? a->earlier->at : b->earlier->at;
    int64_t end = a->seen->at < b->seen->at ? a->seen->at : b->seen->at;
    int64_t apart = time_between(a->seen->at, b->seen->at);
    return time_between(end, begin) >= INTERVAL_LEAST && apart < 5 * CLOCK_SECOND && apart > -5 * CLOCK_SECOND;
}

void links_build(struct context *context)
{
    context->pair_at = mem_alloc(context->count * context->count, sizeof *context->pair_at);
    mark_all(context);
    number_pairs(context);
    for (size_t i = 0; i < context->count; i++)
        fill_ends(context, i);
}

/* ---- states --------------------------------------------------------------------------------------------------- */

static bool is_fresh(int64_t age)
{
    return age >= 0 && age <= AGE_LIVE;
}

static bool is_recent(int64_t age)
{
    return age >= 0 && age <= AGE_LATE;
}

/* It sends of itself, whether there is traffic or not. */
static bool keeps_alive(const struct end *end)
{
    return end->row && end->row->keepalive && end->row->endpoint.address.family;
}

static bool was_ever(const struct end *end)
{
    return end->row && end->row->handshake > 0;
}

/* Only handshakes go out on a link that never had one, so the bytes sent since the row was made are tries. */
static bool tried_in_vain(const struct end *end)
{
    return end->row && !was_ever(end) && end->row->tx_bytes > SENT_EVER;
}

static bool is_trying(const struct end *end)
{
    return keeps_alive(end) || (end->counted && end->sent >= SENT_WHEN_DOWN) || tried_in_vain(end);
}

/* Do packets from one end arrive at the other? As the counters say; if there is only one reading, as those of a link without any
 * handshake do, where all that was ever counted is handshakes. */
static enum direction_state heard_by_counters(const struct context *context, const struct pair *pair, size_t from, bool live)
{
    const struct end *sender = from == pair->a ? &pair->end[0] : &pair->end[1];
    const struct end *hearer = from == pair->a ? &pair->end[1] : &pair->end[0];
    const struct node_view *view = &context->views[pair->a];
    if (!sender->row || !hearer->row)
        return DIRECTION_UNKNOWN;
    if (pair->counters) {
        if (hearer->heard > 0)
            return DIRECTION_OK;
        bool long_enough = !live || time_between(view->seen->at, view->earlier->at) >= INTERVAL_LIVE;
        return long_enough && sender->sent >= (live ? SENT_WHEN_LIVE : SENT_WHEN_DOWN) ? DIRECTION_BLOCKED : DIRECTION_UNKNOWN;
    }
    if (was_ever(sender) || was_ever(hearer))
        return DIRECTION_UNKNOWN;
    if (hearer->row->rx_bytes > 0)
        return DIRECTION_OK;
    return sender->row->tx_bytes > SENT_EVER ? DIRECTION_BLOCKED : DIRECTION_UNKNOWN;
}

static void judge_broken(const struct pair *pair, struct link *link)
{
    link->state = was_ever(&pair->end[0]) || was_ever(&pair->end[1]) ? LINK_DEAD : LINK_NEVER;
    link->a_to_b = link->b_to_a = DIRECTION_BLOCKED;
}

/* Only one end's row can be seen. A fresh handshake there tells that packets came in; of the way out nothing is seen. */
static void judge_one_end(const struct end *end, enum direction_state *towards, struct link *link)
{
    if (is_recent(end->age))
        link->state = is_fresh(end->age) ? LINK_LIVE : LINK_LATE;
    else if (!was_ever(end))
        link->state = LINK_NEVER;
    else
        link->state = is_trying(end) ? LINK_DEAD : LINK_IDLE;
    if (is_recent(end->age) || (end->counted && end->heard > 0))
        *towards = DIRECTION_OK;
}

/* A clock that was set since the handshake makes its age wrong; then the other end's is the better one (S6). */
static void choose_ages(const struct context *context, const struct pair *pair, int64_t *a, int64_t *b)
{
    const struct node_view *one = &context->views[pair->a], *two = &context->views[pair->b];
    *a = pair->end[0].age;
    *b = pair->end[1].age;
    bool set_one = one->skewed || (*a < 0 && was_ever(&pair->end[0])), set_two = two->skewed || (*b < 0 && was_ever(&pair->end[1]));
    if (set_one && !set_two && was_ever(&pair->end[0]))
        *a = *b;
    else if (set_two && !set_one && was_ever(&pair->end[1]))
        *b = *a;
}

/* Did the handshake that only one end knows of happen after the other end was read? */
static bool happened_between(const struct node_view *knows, int64_t age, const struct node_view *other)
{
    return time_between(knows->seen->at, age) > time_between(other->seen->at, 5 * CLOCK_SECOND);
}

static enum link_state state_by_ages(const struct context *context, const struct pair *pair)
{
    int64_t a, b;
    choose_ages(context, pair, &a, &b);
    bool fresh_a = is_fresh(a), fresh_b = is_fresh(b);
    if (fresh_a || fresh_b) {
        if (is_recent(a) && is_recent(b))
            return LINK_LIVE;
        const struct node_view *one = &context->views[pair->a], *two = &context->views[pair->b];
        return (fresh_a ? happened_between(one, a, two) : happened_between(two, b, one)) ? LINK_LIVE : LINK_HALF;
    }
    if (is_recent(a) || is_recent(b))
        return LINK_LATE;
    if (!was_ever(&pair->end[0]) && !was_ever(&pair->end[1]))
        return LINK_NEVER;
    return is_trying(&pair->end[0]) || is_trying(&pair->end[1]) ? LINK_DEAD : LINK_IDLE;
}

/* What the counters say of both directions; where they say nothing, what is known of a cut. */
static void judge_directions(const struct context *context, const struct pair *pair, bool live, struct link *link, struct known_ways *ways)
{
    enum direction_state counted[] = {heard_by_counters(context, pair, pair->a, live), heard_by_counters(context, pair, pair->b, live)};
    if (ways)
        known_ways_note(context, ways, pair, counted);
    link->a_to_b = counted[0] == DIRECTION_UNKNOWN ? known_way_of(context, pair, pair->a) : counted[0];
    link->b_to_a = counted[1] == DIRECTION_UNKNOWN ? known_way_of(context, pair, pair->b) : counted[1];
}

static void judge_both_ends(const struct context *context, const struct pair *pair, struct link *link, struct known_ways *ways)
{
    link->state = state_by_ages(context, pair);
    bool live = link->state == LINK_LIVE || link->state == LINK_LATE;
    judge_directions(context, pair, live, link, ways);
    if (live) {
        bool blocked = link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED;
        if (link->a_to_b == DIRECTION_BLOCKED && link->b_to_a == DIRECTION_BLOCKED)
            link->state = LINK_DEAD;
        else if (blocked)
            link->state = LINK_HALF;
        if (link->a_to_b == DIRECTION_UNKNOWN && !blocked)
            link->a_to_b = DIRECTION_OK;
        if (link->b_to_a == DIRECTION_UNKNOWN && !blocked)
            link->b_to_a = DIRECTION_OK;
    } else if (link->state == LINK_HALF) {
        /* Who knows of the handshake has heard the other. */
        enum direction_state *towards = is_fresh(pair->end[0].age) ? &link->b_to_a : &link->a_to_b;
        if (*towards == DIRECTION_UNKNOWN)
            *towards = DIRECTION_OK;
    }
}

void pair_judge(const struct context *context, struct pair *pair, struct link *link, struct known_ways *ways)
{
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    const struct end *one = &pair->end[0], *two = &pair->end[1];
    pair->counters = one->counted && two->counted && same_span(a, b);
    *link = (struct link){.a = pair->a, .b = pair->b, .state = LINK_UNKNOWN, .a_to_b = DIRECTION_UNKNOWN, .b_to_a = DIRECTION_UNKNOWN,
                          .a_row = one->row, .b_row = two->row, .a_age = one->age, .b_age = two->age, .rtt = -1};
    /* A row for a node whose key nobody knows cannot be recognised, so it cannot be said to be missing. */
    bool absent = (a->looked && !one->row && b->has_key) || (b->looked && !two->row && a->has_key);
    if (absent || a->stopped || b->stopped)
        judge_broken(pair, link);
    else if (one->row && two->row)
        judge_both_ends(context, pair, link, ways);
    else if (one->row)
        judge_one_end(one, &link->b_to_a, link);
    else if (two->row)
        judge_one_end(two, &link->a_to_b, link);
    bool trying = is_trying(one) || is_trying(two);
    bool blocked = link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED;
    pair->troubled = link->state == LINK_DEAD || blocked || (link->state == LINK_NEVER && trying) ||
                     (link->state == LINK_HALF && two->row && one->row && one->row->rx_bytes && two->row->rx_bytes);
    pair->quiet = !pair->troubled && (link->state == LINK_IDLE || link->state == LINK_NEVER);
}

void links_judge(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        if (pair->path == PATH_HUB)
            *link_of(context, pair) = (struct link){.a = pair->a, .b = pair->b, .state = LINK_UNKNOWN, .a_to_b = DIRECTION_UNKNOWN, .b_to_a = DIRECTION_UNKNOWN,
                                                    .a_age = -1, .b_age = -1, .rtt = -1};
        else
            pair_judge(context, pair, link_of(context, pair), context->diagnosis->known);
    }
    paths_derive(context);
}
