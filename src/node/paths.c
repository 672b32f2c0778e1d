/* Orders of the ladder's driver, carried out on what runs (paths.h): a trial beside the traffic, what a row allows given to it, and back to the hub's. Nothing is saved. */
#include "paths.h"

#include <ifaddrs.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "state_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { CANDIDATES_MOST = 8, FRESH = 180 /* seconds: older keys carry nothing (whitepaper 6.1, Reject-After-Time) */ };
static const double lock_patience = 1.5;

/* --- what a row allows */

static bool allows(const struct device_peer *row, const struct prefix *prefix)
{
    for (size_t i = 0; row && i < row->allowed_count; i++)
        if (!prefix_compare(&row->allowed[i], prefix))
            return true;
    return false;
}

static bool covers(const struct device_peer *row, const struct prefix *prefix)
{
    for (size_t i = 0; row && i < row->allowed_count; i++)
        if (prefix_covers(&row->allowed[i], prefix))
            return true;
    return false;
}

/* How closely ROW stands for PREFIX: the length of the longest that holds it, -1 none. */
static int closeness(const struct device_peer *row, const struct prefix *prefix)
{
    int longest = -1;
    for (size_t i = 0; row && i < row->allowed_count; i++)
        if (prefix_covers(&row->allowed[i], prefix) && (int)row->allowed[i].length > longest)
            longest = row->allowed[i].length;
    return longest;
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static void set_allowed(struct device_peer *row, const struct prefix *allowed, size_t count)
{
    device_free_allowed(row);
    row->allowed = count ? mem_copy(allowed, count, sizeof *allowed) : NULL;
    row->allowed_count = count;
    if (count)
        qsort(row->allowed, count, sizeof *row->allowed, compare_prefixes);
}

static void give(struct device_peer *row, const struct prefix *allowed, size_t count)
{
    struct prefix *all = mem_alloc(row->allowed_count + count + 1, sizeof *all);
    size_t have = row->allowed_count;
    if (have)
        memcpy(all, row->allowed, have * sizeof *all);
    for (size_t i = 0; i < count; i++)
        if (!allows(row, &allowed[i]))
            all[have++] = allowed[i];
    set_allowed(row, all, have);
    free(all);
}

static void take(struct device_peer *row, const struct prefix *allowed, size_t count)
{
    struct prefix *rest = mem_alloc(row->allowed_count + 1, sizeof *rest);
    size_t left = 0;
    for (size_t i = 0; i < row->allowed_count; i++) {
        bool goes = false;
        for (size_t k = 0; k < count; k++)
            goes |= !prefix_compare(&row->allowed[i], &allowed[k]);
        if (!goes)
            rest[left++] = row->allowed[i];
    }
    set_allowed(row, rest, left);
    free(rest);
}

/* --- an order */

struct doing {
    const struct path_order *order;
    struct state now, then;
    struct path_notes notes;
};

static bool is_routed(const struct state *state, const struct prefix *prefix)
{
    for (size_t i = 0; i < state->route_count; i++)
        if (prefix_covers(&state->routes[i].to, prefix))
            return true;
    for (size_t i = 0; i < state->address_count; i++) {
        struct prefix network = prefix_network(&state->addresses[i]);
        if (prefix_covers(&network, prefix))
            return true;
    }
    return false;
}

/* What may be moved between rows: what the hub's row or the row itself stands for, and nothing of this machine's or of a third row's. */
static int check_allowed(const struct doing *doing, struct err *err)
{
    const struct path_order *order = doing->order;
    const struct device *device = &doing->now.device;
    const struct device_peer *hub = device_find_peer(device, &order->hub), *own = device_find_peer(device, &order->key);
    for (size_t i = 0; i < order->allowed_count; i++) {
        const struct prefix *prefix = &order->allowed[i];
        char text[PREFIX_TEXT_SIZE];
        int hubs = closeness(hub, prefix), owns = closeness(own, prefix), theirs = hubs > owns ? hubs : owns;
        prefix_text(prefix, text);
        for (size_t a = 0; a < doing->now.address_count; a++)
            if (prefix_contains(prefix, &doing->now.addresses[a].address))
                return err_set(err, "path: %s holds an address of this node itself", text);
        for (size_t p = 0; p < device->peer_count; p++)
            if (&device->peers[p] != hub && &device->peers[p] != own && theirs >= 0 && closeness(&device->peers[p], prefix) >= theirs)
                return err_set(err, "path: %s belongs to another row", text);
        if (theirs < 0)
            return err_set(err, "path: %s is neither in the hub's row nor in that of %s", text, *order->name ? order->name : "the other end");
        if (!is_routed(&doing->now, prefix))
            return err_set(err, "path: no route leads %s into %s", text, order->interface);
    }
    return 0;
}

static int reach(struct doing *doing, struct err *err)
{
    return state_reach(&doing->now, &doing->then, err);
}

static bool is_inside(const struct doing *doing, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < doing->now.address_count; i++) {
        struct prefix network = prefix_network(&doing->now.addresses[i]);
        if (network.length < address_bits(&network.address) && prefix_contains(&network, &endpoint->address))
            return true;
    }
    for (size_t p = 0; p < doing->now.device.peer_count; p++)
        for (size_t i = 0; i < doing->now.device.peers[p].allowed_count; i++)
            if (doing->now.device.peers[p].allowed[i].length && prefix_contains(&doing->now.device.peers[p].allowed[i], &endpoint->address))
                return true;
    return false;
}

static void note(struct doing *doing, enum observed_way way)
{
    struct path_note *note = path_note_make(&doing->notes, &doing->order->key);
    if (note->way != way || !note->since)
        note->since = clock_wall() / CLOCK_SECOND;
    note->way = way;
    note->hub = doing->order->hub;
    snprintf(note->name, sizeof note->name, "%s", doing->order->name);
    snprintf(note->reason, sizeof note->reason, "%s", doing->order->reason);
}

/* Going from keepalive 0 to a number is what makes WireGuard send, but not within 5 s of the last initiation. So a row that a trial has made is made anew. */
static int try_it(struct doing *doing, struct err *err)
{
    const struct path_order *order = doing->order;
    const struct device_peer *before = device_find_peer(&doing->now.device, &order->key);
    struct path_note *known = path_note_find(&doing->notes, &order->key);
    bool there = before != NULL, carries = known && (known->way == WAY_DIRECT || known->way == WAY_RELAY);
    uint16_t keepalive = before ? before->keepalive : 0;
    if (is_inside(doing, &order->endpoint))
        return err_set(err, "path: that endpoint lies inside of the tunnel itself");
    if (keepalive) {
        if (known && known->made && !carries)
            state_row_remove(&doing->then, &order->key);
        else
            state_row_make(&doing->then, &order->key)->keepalive = 0;
        if (reach(doing, err))
            return -1;
        state_free(&doing->now);
        state_copy(&doing->now, &doing->then);
    }
    struct device_peer *row = state_row_make(&doing->then, &order->key);
    row->endpoint = order->endpoint;
    row->keepalive = order->keepalive;
    if (reach(doing, err))
        return -1;
    known = path_note_make(&doing->notes, &order->key);
    if (!known->since && there)
        known->keepalive = keepalive;
    known->made |= !there;
    if (!carries)
        note(doing, WAY_TRYING);
    return 0;
}

static int carry(struct doing *doing, struct err *err)
{
    const struct path_order *order = doing->order;
    const struct device_peer *row = device_find_peer(&doing->now.device, &order->key);
    struct device_peer *then;
    if (!row || !row->handshake || clock_wall() - row->handshake > FRESH * CLOCK_SECOND)
        return err_set(err, "path: %s has no handshake of the last %d s: nothing would get through", *order->name ? order->name : "that row", FRESH);
    if (check_allowed(doing, err))
        return -1;
    then = state_row_make(&doing->then, &order->key);
    give(then, order->allowed, order->allowed_count);
    state_row_take_allowed(&doing->then, then);
    if (reach(doing, err))
        return -1;
    note(doing, order->way);
    path_note_set_allowed(path_note_find(&doing->notes, &order->key), order->allowed, order->allowed_count);
    return 0;
}

static int yield(struct doing *doing, struct err *err)
{
    const struct path_order *order = doing->order;
    struct path_note *known = path_note_find(&doing->notes, &order->key);
    struct device_peer *row = state_row(&doing->then, &order->key), *hub = state_row(&doing->then, &order->hub);
    bool forget = order->forget && known && known->made;
    if (!hub)
        return err_set(err, "path: there is no row of the hub that could take over");
    if (check_allowed(doing, err))
        return -1;
    if (row)
        take(row, order->allowed, order->allowed_count);
    for (size_t i = 0; i < order->allowed_count; i++)
        if (!covers(hub, &order->allowed[i]))
            give(hub, &order->allowed[i], 1);
    if (row && known)
        row->keepalive = known->keepalive;
    if (row && forget)
        state_row_remove(&doing->then, &order->key);
    if (reach(doing, err))
        return -1;
    note(doing, WAY_HUB);
    known = path_note_find(&doing->notes, &order->key);
    path_note_set_allowed(known, NULL, 0);
    if (!row || forget)
        known->made = false; /* whoever tries again makes it again */
    return 0;
}

static int do_locked(const struct path_order *order, const char **code, struct err *err)
{
    static int (*const deeds[])(struct doing *, struct err *) = {[PATH_DEED_TRY] = try_it, [PATH_DEED_CARRY] = carry, [PATH_DEED_YIELD] = yield};
    struct doing doing = {.order = order};
    int result = state_read(order->interface, &doing.now, err);
    if (!result && !doing.now.exists)
        result = err_set(err, "%s: there is no such WireGuard interface", order->interface);
    state_copy(&doing.then, &doing.now);
    path_notes_read(order->interface, &doing.notes);
    if (!result && order->by_hub && device_find_peer(&doing.now.device, &order->key) && !path_note_find(&doing.notes, &order->key))
        result = err_set(err, "path: that row is none of the ladder's: the hub has no say in it");
    *code = "failed";
    if (!result) {
        *code = "refused";
        result = deeds[order->deed](&doing, err);
    }
    if (!result)
        result = path_notes_write(order->interface, &doing.notes, err);
    if (!result && order->deed != PATH_DEED_YIELD)
        result = path_watch_start(order->interface, err);
    path_notes_free(&doing.notes);
    state_free(&doing.then);
    state_free(&doing.now);
    return result;
}

int path_do(const struct path_order *order, const char **code, struct err *err)
{
    char id[CHANGE_ID_LENGTH + 1];
    uint8_t bytes[CHANGE_ID_LENGTH / 2];
    struct buf holder = BUF_EMPTY;
    int lock;
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id, sizeof id, bytes, sizeof bytes);
    *code = "locked";
    int result = change_lock(order->interface, id, "wgdeck path", lock_patience, &lock, &holder, err);
    if (result > 0)
        result = err_set(err, "%s", buf_text(&holder));
    else if (!result) {
        char *pending = change_pending(order->interface); /* what is put back is what was known when it began: nothing is moved meanwhile */
        result = pending ? err_set(err, "a change of %s is neither confirmed nor put back yet: %s", order->interface, pending) : do_locked(order, code, err);
        free(pending);
        change_unlock(&lock);
    }
    buf_free(&holder);
    return result;
}

/* --- a look */

static void row_to_json(const struct device_peer *row, const struct path_note *note, struct json *json)
{
    char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
    key_text(&row->public_key, key);
    endpoint_text(&row->endpoint, endpoint);
    json_object(json, NULL);
    json_text(json, "key", key);
    json_text(json, "endpoint", *endpoint ? endpoint : NULL);
    if (row->handshake)
        json_number(json, "age", (clock_wall() - row->handshake) / CLOCK_MILLISECOND);
    else
        json_null(json, "age");
    json_unsigned(json, "rx", row->rx_bytes);
    json_unsigned(json, "tx", row->tx_bytes);
    json_text(json, "path", note ? path_words[note->way] : NULL);
    json_number(json, "since", note ? note->since : 0);
    json_object_end(json);
}

static bool may_be_reached_at(const char *interface, const struct ifaddrs *entry, struct endpoint *endpoint)
{
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP) || (entry->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) || !strcmp(entry->ifa_name, interface))
        return false;
    endpoint->address = (struct address){.family = (uint8_t)entry->ifa_addr->sa_family};
    if (entry->ifa_addr->sa_family == AF_INET)
        memcpy(endpoint->address.bytes, &((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr, 4);
    else if (entry->ifa_addr->sa_family == AF_INET6)
        memcpy(endpoint->address.bytes, &((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr, 16);
    else
        return false;
    return path_endpoint_is_sane(endpoint) && !(endpoint->address.family == AF_INET && endpoint->address.bytes[0] == 169 && endpoint->address.bytes[1] == 254);
}

static void add_candidates(const char *interface, uint16_t port, struct json *json)
{
    struct ifaddrs *list = NULL;
    size_t count = 0;
    if (getifaddrs(&list))
        return;
    for (const struct ifaddrs *entry = list; entry && count < CANDIDATES_MOST; entry = entry->ifa_next) {
        struct endpoint endpoint = {.port = port};
        char text[ENDPOINT_TEXT_SIZE];
        if (!may_be_reached_at(interface, entry, &endpoint))
            continue;
        endpoint_text(&endpoint, text);
        json_text(json, NULL, text);
        count++;
    }
    freeifaddrs(list);
}

static bool is_asked(const struct key *keys, size_t count, const struct key *key)
{
    for (size_t i = 0; i < count; i++)
        if (!key_compare(&keys[i], key))
            return true;
    return !keys;
}

int path_look(const char *interface, const struct key *keys, size_t count, struct json *json, struct err *err)
{
    const struct device_source *source = device_source_find(interface);
    struct device device = {0};
    struct path_notes notes;
    if (!source)
        return err_set(err, "%s: there is no such WireGuard interface", interface);
    if (source->read(interface, device_no_salt, &device, err))
        return -1;
    path_notes_read(interface, &notes);
    json_list(json, "rows");
    for (size_t i = 0; i < device.peer_count; i++)
        if (is_asked(keys, count, &device.peers[i].public_key))
            row_to_json(&device.peers[i], path_note_find(&notes, &device.peers[i].public_key), json);
    json_list_end(json);
    json_list(json, "candidates");
    add_candidates(interface, device.listen_port, json);
    json_list_end(json);
    json_unsigned(json, "port", device.listen_port);
    path_notes_free(&notes);
    device_free(&device);
    return 0;
}
