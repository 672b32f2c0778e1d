/* What happened between two pictures of the mesh: each is compared with what is known, and what differs is an event. What cannot be seen now is
 * as it was known. The known faults are in live_faults.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live_events.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { TOGETHER = 6 }; /* so many links of one node are told in one event */

enum carried { CARRIED_UNKNOWN, CARRIED_YES, CARRIED_NO };

struct known_node {
    bool seen, lost, has_key;
    signed char up;              /* -1: unknown */
    bool has_settings;
    struct key key;
    uint64_t serial, settings, settings_now;
    bool renewed;                /* its reading has another serial */
    unsigned added, removed;     /* rows, in this comparison; then the names of the first ones */
    size_t first_added, first_removed;
};

/* A row as one end holds it. */
struct known_row {
    bool known, held;
    struct endpoint endpoint;
};

struct known_link {
    uint32_t a, b;
    enum carried carried;
    enum link_path path;
    uint8_t path_seen;           /* by which ends: 1 and 2; 0: it is not known */
    struct known_row rows[2];
};

/* A link that has changed; NODES in the direction that suffers, if it is one. */
struct change {
    size_t nodes[2];
    bool directed;
    const struct link *link;
    struct endpoint from, to;
    enum link_path path;         /* it went before */
    char reason[200];
};

struct changes {
    struct change *items;
    size_t count, capacity;
};

struct live_events_state {
    struct known_node *nodes;
    size_t node_count;
    struct known_link *links;
    size_t link_count;
    struct live_faults *faults;
    struct live_joined *joined;
    bool knows, looked;              /* anything; at the diagnosis in hand */
    struct changes broken, mended, moved, rerouted;
};

struct live_events_state *live_events_new(size_t node_count)
{
    struct live_events_state *state = mem_alloc(1, sizeof *state);
    state->nodes = mem_alloc(node_count, sizeof *state->nodes);
    state->node_count = node_count;
    for (size_t i = 0; i < node_count; i++)
        state->nodes[i].up = -1;
    state->faults = live_faults_new();
    state->joined = live_joined_new(node_count);
    return state;
}

void live_events_free(struct live_events_state *state)
{
    if (!state)
        return;
    live_faults_free(state->faults);
    live_joined_free(state->joined);
    free(state->broken.items);
    free(state->mended.items);
    free(state->moved.items);
    free(state->rerouted.items);
    free(state->nodes);
    free(state->links);
    free(state);
}

bool live_events_lost(const struct live *live, size_t node)
{
    return live->events->nodes[node].lost;
}

void live_events_forget(struct live_events_state *state)
{
    for (size_t i = 0; i < state->node_count; i++)
        state->nodes[i].has_settings = false;
}

void live_events_set_lost(struct live *live, size_t node)
{
    live->events->nodes[node].lost = true;
}

/* Emitting */

static char *node_name(const struct live *live, size_t node)
{
    return node < live->mesh->node_count ? live->mesh->nodes[node].name : NULL;
}

void live_event(struct live *live, enum event_kind kind, size_t one, size_t two, const char *format, ...)
{
    struct buf text = BUF_EMPTY, safe = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    text_add_safe(&safe, buf_text(&text), text.length);
    event_log_add(live->log, &(struct event){.at = live_now(live), .kind = kind, .severity = event_kinds[kind].severity,
                                             .nodes = {node_name(live, one), node_name(live, two)}, .text = safe.data});
    buf_free(&text);
    buf_free(&safe);
}

/* Nodes */

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Of what a person sets; not of where others are heard from. */
static uint64_t settings_of(const struct device *device)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    hash = mix(hash, &device->listen_port, sizeof device->listen_port);
    hash = mix(hash, &device->fwmark, sizeof device->fwmark);
    for (size_t i = 0; i < device->peer_count; i++) {
        const struct device_peer *row = &device->peers[i];
        hash = mix(hash, &row->public_key, sizeof row->public_key);
        hash = mix(hash, &row->keepalive, sizeof row->keepalive);
        hash = mix(hash, &row->has_preshared, sizeof row->has_preshared);
        for (size_t k = 0; k < row->allowed_count; k++) {
            hash = mix(hash, &row->allowed[k].address, sizeof row->allowed[k].address);
            hash = mix(hash, &row->allowed[k].length, sizeof row->allowed[k].length);
        }
    }
    return hash;
}

static void compare_reach(struct live *live, struct known_node *known, size_t node, const struct observation *seen, bool tell)
{
    if (seen->reach == REACH_UNKNOWN)
        return;
    if (seen->reach != REACH_OK) {
        if (tell && known->seen && !known->lost)
            live_event(live, EVENT_NODE_LOST, node, SIZE_MAX, "%s does not answer any more: %s", live->mesh->nodes[node].name,
                       seen->error ? seen->error : "no reason is known");
        known->lost = true;
        return;
    }
    if (tell && known->lost)
        live_event(live, EVENT_NODE_BACK, node, SIZE_MAX, "%s answers%s", live->mesh->nodes[node].name, known->seen ? " again" : "");
    known->seen = true;
    known->lost = false;
}

static void compare_interface(struct live *live, struct known_node *known, size_t node, const struct node_summary *summary, bool tell)
{
    bool up = summary->state != NODE_DOWN;
    const char *name = live->mesh->nodes[node].name;
    if (tell && known->up == 1 && !up)
        live_event(live, EVENT_INTERFACE_DOWN, node, SIZE_MAX, "%s: its WireGuard interface is gone or stopped", name);
    if (tell && known->up == 0 && up)
        live_event(live, EVENT_INTERFACE_UP, node, SIZE_MAX, "%s: its WireGuard interface works again", name);
    known->up = (signed char)up;
}

static void compare_key(struct live *live, struct known_node *known, size_t node, const struct device *device, bool tell)
{
    if (!device->has_private)
        return;
    if (tell && known->has_key && key_compare(&known->key, &device->public_key) != 0) {
        char before[KEY_TEXT_SIZE], now[KEY_TEXT_SIZE];
        key_text(&known->key, before);
        key_text(&device->public_key, now);
        live_event(live, EVENT_KEY_CHANGED, node, SIZE_MAX, "%s has another public key: %s, was %s", live->mesh->nodes[node].name, now, before);
    }
    known->key = device->public_key;
    known->has_key = true;
}

/* After the links, which have counted rows that came and went. */
static void compare_settings(struct live *live, struct known_node *known, size_t node, const struct observation *seen, bool tell)
{
    uint64_t settings = known->settings_now;
    if (!known->renewed)
        return;
    if (tell && known->has_settings && known->settings != settings) {
        struct buf text = BUF_EMPTY;
        buf_add_format(&text, "%s: ", live->mesh->nodes[node].name);
        if (known->added)
            buf_add_format(&text, known->added == 1 ? "a row for %s was added" : "rows for %s and others were added", node_name(live, known->first_added));
        if (known->removed)
            buf_add_format(&text, known->removed == 1 ? "%sits row for %s was removed" : "%sits rows for %s and others were removed",
                           known->added ? "; " : "", node_name(live, known->first_removed));
        if (!known->added && !known->removed)
            buf_add_text(&text, "settings of its interface or rows were changed");
        live_event(live, EVENT_SETTINGS_CHANGED, node, SIZE_MAX, "%s", buf_text(&text));
        buf_free(&text);
    }
    known->settings = settings;
    known->serial = seen->serial;
    known->has_settings = true;
}

/* Links */

static enum carried carried_by(const struct link *link, enum carried before)
{
    bool blocked = link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED;
    switch (link->state) {
    case LINK_LIVE: return blocked ? CARRIED_NO : CARRIED_YES;
    case LINK_LATE:
    case LINK_IDLE: return blocked ? CARRIED_NO : before == CARRIED_NO ? CARRIED_NO : CARRIED_YES;
    case LINK_DEAD:
    case LINK_NEVER:
    case LINK_HALF: return CARRIED_NO;
    case LINK_UNKNOWN: return blocked ? CARRIED_NO : before;
    }
    return before;
}

static struct change *add_change(struct changes *changes, size_t one, size_t two, const struct link *link)
{
    MEM_GROW(changes->items, changes->count, changes->capacity);
    struct change *change = &changes->items[changes->count++];
    *change = (struct change){.nodes = {one, two}, .link = link};
    return change;
}

static void compare_carried(struct live_events_state *state, struct known_link *known, const struct link *link)
{
    enum carried now = carried_by(link, known->carried);
    if (known->carried == CARRIED_YES && now == CARRIED_NO) {
        bool a_blocked = link->a_to_b == DIRECTION_BLOCKED, b_blocked = link->b_to_a == DIRECTION_BLOCKED;
        bool other = a_blocked ? link->b_to_a == DIRECTION_OK : link->a_to_b == DIRECTION_OK;
        bool turned = b_blocked && !a_blocked;
        struct change *change = add_change(&state->broken, turned ? link->b : link->a, turned ? link->a : link->b, link);
        change->directed = a_blocked != b_blocked && other;
    } else if (known->carried == CARRIED_NO && now == CARRIED_YES) {
        add_change(&state->mended, link->a, link->b, link);
    }
    known->carried = now;
}

/* The row that NODE holds for OTHER. */
static void compare_row(struct live_events_state *state, struct known_row *known, size_t node, size_t other, const struct device_peer *row,
                        const struct link *link)
{
    struct known_node *holder = &state->nodes[node];
    if (known->known && !known->held && row && !holder->added++)
        holder->first_added = other;
    if (known->known && known->held && !row && !holder->removed++)
        holder->first_removed = other;
    known->known = true;
    known->held = row != NULL;
    if (!row || !row->endpoint.address.family)
        return;
    if (known->endpoint.address.family && !endpoint_equal(&known->endpoint, &row->endpoint)) {
        struct change *change = add_change(&state->moved, node, other, link);
        change->from = known->endpoint;
        change->to = row->endpoint;
    }
    known->endpoint = row->endpoint;
}

/* What the ladder has found, or lost. Where fewer ends are seen than before, nothing new is known. */
static void compare_path(struct live_events_state *state, struct known_link *known, const struct link *link, const struct observed *observed)
{
    uint8_t seen = (uint8_t)((observed->nodes[link->a].reach == REACH_OK) | (observed->nodes[link->b].reach == REACH_OK) << 1);
    if (!seen || (known->path_seen & ~seen))
        return;
    if (known->path_seen && known->path != link->path) {
        struct change *change = add_change(&state->rerouted, link->a, link->b, link);
        change->path = known->path;
        snprintf(change->reason, sizeof change->reason, "%s", link->path_reason ? link->path_reason : "");
    }
    known->path = link->path;
    known->path_seen = seen;
}

static void compare_link(struct live_events_state *state, struct known_link *known, const struct link *link, const struct diagnosis *diagnosis,
                         const struct observed *observed)
{
    compare_path(state, known, link, observed);
    if (link->path == PATH_HUB)
        return; /* what happens to it happens to the links on its way, and is told of these */
    compare_carried(state, known, link);
    if (!state->nodes[link->a].renewed && !state->nodes[link->b].renewed)
        return; /* the rows are as they were but for counters */
    if (observed->nodes[link->a].reach == REACH_OK && diagnosis->nodes[link->a].device)
        compare_row(state, &known->rows[0], link->a, link->b, link->a_row, link);
    if (observed->nodes[link->b].reach == REACH_OK && diagnosis->nodes[link->b].device)
        compare_row(state, &known->rows[1], link->b, link->a, link->b_row, link);
}

/* Both lists are in the order of a, then b. Almost always they are of the same links. */
static void compare_links(struct live_events_state *state, const struct diagnosis *diagnosis, const struct observed *observed)
{
    bool same = state->link_count == diagnosis->link_count;
    for (size_t i = 0; same && i < state->link_count; i++)
        same = state->links[i].a == diagnosis->links[i].a && state->links[i].b == diagnosis->links[i].b;
    if (!same) {
        struct known_link *links = mem_alloc(diagnosis->link_count, sizeof *links);
        for (size_t i = 0, k = 0; i < diagnosis->link_count; i++) {
            const struct link *link = &diagnosis->links[i];
            while (k < state->link_count && (state->links[k].a < link->a || (state->links[k].a == link->a && state->links[k].b < link->b)))
                k++;
            if (k < state->link_count && state->links[k].a == link->a && state->links[k].b == link->b)
                links[i] = state->links[k];
            links[i].a = (uint32_t)link->a;
            links[i].b = (uint32_t)link->b;
        }
        free(state->links);
        state->links = links;
        state->link_count = diagnosis->link_count;
    }
    for (size_t i = 0; i < state->link_count; i++)
        compare_link(state, &state->links[i], &diagnosis->links[i], diagnosis, observed);
}

/* Telling of links: one by one, or together where one node has many */

static void tell_broken(struct live *live, const struct change *change)
{
    const char *one = node_name(live, change->nodes[0]), *two = node_name(live, change->nodes[1]);
    if (change->directed)
        live_event(live, EVENT_LINK_BROKEN, change->nodes[0], change->nodes[1], "%s to %s: nothing arrives any more; the other way works", one, two);
    else
        live_event(live, EVENT_LINK_BROKEN, change->nodes[0], change->nodes[1], "link %s - %s is broken (%s)", one, two,
                   link_state_text(change->link->state));
}

static void tell_mended(struct live *live, const struct change *change)
{
    live_event(live, EVENT_LINK_MENDED, change->nodes[0], change->nodes[1], "link %s - %s works again, both ways", node_name(live, change->nodes[0]),
               node_name(live, change->nodes[1]));
}

static void tell_moved(struct live *live, const struct change *change)
{
    char from[ENDPOINT_TEXT_SIZE], to[ENDPOINT_TEXT_SIZE];
    endpoint_text(&change->from, from);
    endpoint_text(&change->to, to);
    live_event(live, EVENT_ENDPOINT_MOVED, change->nodes[0], change->nodes[1], "%s hears %s from %s, was %s", node_name(live, change->nodes[0]),
               node_name(live, change->nodes[1]), to, from);
}

static void tell_rerouted(struct live *live, const struct change *change)
{
    live_event(live, EVENT_PATH, change->nodes[0], change->nodes[1], "%s - %s: %s -> %s%s%s", node_name(live, change->nodes[0]), node_name(live, change->nodes[1]),
               link_path_text(change->path), link_path_text(change->link->path), *change->reason ? ": " : "", change->reason);
}

static const struct telling {
    enum event_kind kind;
    void (*one)(struct live *live, const struct change *change);
    const char *many;
} broken = {EVENT_LINK_BROKEN, tell_broken, "of its links are broken"},
  mended = {EVENT_LINK_MENDED, tell_mended, "of its links work again"},
  moved = {EVENT_ENDPOINT_MOVED, tell_moved, "endpoints have moved"},
  rerouted = {EVENT_PATH, tell_rerouted, "of its links go another way"};

struct share {
    unsigned count, named;
    size_t others[2];
};

static void tell_changes(struct live *live, struct changes *changes, const struct telling *telling)
{
    struct share *shares = mem_alloc(live->mesh->node_count, sizeof *shares);
    for (size_t i = 0; i < changes->count; i++) {
        shares[changes->items[i].nodes[0]].count++;
        shares[changes->items[i].nodes[1]].count++;
    }
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        size_t first = shares[change->nodes[0]].count >= shares[change->nodes[1]].count ? 0 : 1;
        struct share *share = &shares[change->nodes[first]];
        if (share->count <= TOGETHER) {
            telling->one(live, change);
            continue;
        }
        if (share->named < 2)
            share->others[share->named] = change->nodes[!first];
        if (++share->named == 2)
            live_event(live, telling->kind, change->nodes[first], SIZE_MAX, "%s: %u %s (with %s, %s and others)",
                       node_name(live, change->nodes[first]), share->count, telling->many, node_name(live, share->others[0]),
                       node_name(live, share->others[1]));
    }
    free(shares);
}

/* The whole */

static void compare_nodes(struct live *live, const struct diagnosis *diagnosis, const struct observed *observed, bool tell)
{
    for (size_t i = 0; i < live->mesh->node_count; i++) {
        struct known_node *known = &live->events->nodes[i];
        const struct observation *seen = &observed->nodes[i];
        const struct device *device = diagnosis->nodes[i].device;
        compare_reach(live, known, i, seen, tell);
        if (seen->reach == REACH_OK)
            compare_interface(live, known, i, &diagnosis->nodes[i], tell);
        if (seen->reach == REACH_OK && device) {
            compare_key(live, known, i, device, tell);
            compare_settings(live, known, i, seen, tell);
        }
        known->added = known->removed = 0;
    }
}

void live_events_look(struct live_events_state *state, const struct diagnosis *diagnosis, const struct observed *observed)
{
    for (size_t i = 0; i < state->node_count; i++) {
        struct known_node *known = &state->nodes[i];
        const struct device *device = diagnosis->nodes[i].device;
        known->renewed = observed->nodes[i].reach == REACH_OK && device &&
                         (!known->has_settings || !observed->nodes[i].serial || known->serial != observed->nodes[i].serial);
        if (known->renewed)
            known->settings_now = settings_of(device);
    }
    compare_links(state, diagnosis, observed);
    state->looked = true;
}

void live_events_compare(struct live *live, struct diagnosis *diagnosis, const struct observed *observed, enum live_compare how)
{
    struct live_events_state *state = live->events;
    bool tell = how == COMPARE_EVENTS && state->knows;
    if (how != COMPARE_SINCE) {
        if (!state->looked)
            live_events_look(state, diagnosis, observed);
        compare_nodes(live, diagnosis, observed, tell);
        live_joined_compare(live, state->joined, observed, tell);
    }
    if (tell) {
        tell_changes(live, &state->broken, &broken);
        tell_changes(live, &state->mended, &mended);
        tell_changes(live, &state->moved, &moved);
        tell_changes(live, &state->rerouted, &rerouted);
    }
    state->broken.count = state->mended.count = state->moved.count = state->rerouted.count = 0;
    live_faults_compare(live, state->faults, diagnosis, observed, how == COMPARE_EVENTS && !state->knows ? COMPARE_REMEMBER : how);
    state->looked = false;
    state->knows |= how != COMPARE_SINCE;
}
