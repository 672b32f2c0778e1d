/* Who is who: for each node of the mesh its device, saved file, keys and addresses, found once and indexed,
 * so that each row of anyone can be told to be about a node, by key, or failing that by address. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

bool address_is_link_local(const struct address *address)
{
    if (address->family == AF_INET6)
        return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
    return address->family == AF_INET && address->bytes[0] == 169 && address->bytes[1] == 254;
}

bool address_list_has(const struct address *list, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (address_compare(&list[i], address) == 0)
            return true;
    return false;
}

void address_list_add(struct address **list, size_t *count, const struct address *address)
{
    if (!address->family || address_list_has(*list, *count, address))
        return;
    *list = mem_resize(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = *address;
}

bool view_has_address(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; view->interface && i < view->interface->address_count; i++)
        if (address_compare(&view->interface->addresses[i].address, address) == 0)
            return true;
    return false;
}

bool view_has_family(const struct node_view *view, uint8_t family)
{
    for (size_t i = 0; view->interface && i < view->interface->address_count; i++) {
        const struct address *address = &view->interface->addresses[i].address;
        if (address->family == family && !address_is_link_local(address))
            return true;
    }
    return false;
}

bool view_is_at(const struct node_view *view, const struct address *address)
{
    return address_list_has(view->own, view->own_count, address) || address_list_has(view->reached, view->reached_count, address);
}

/* ---- views ---------------------------------------------------------------------------------------------------- */

static const char *wanted_interface(const struct mesh *mesh, const struct mesh_node *node)
{
    return node->interface ? node->interface : mesh->interface;
}

static const char *name_of_interface(const struct node_view *view, const char *wanted)
{
    if (view->device)
        return view->device->name;
    if (wanted)
        return wanted;
    if (view->seen->dead_socket_count)
        return view->seen->dead_sockets[0];
    if (view->seen->config_count && view->seen->configs[0].device.name[0])
        return view->seen->configs[0].device.name;
    return "wg0";
}

/* What the SSH target names when it is an address: user@192.0.2.1:22, [2001:db8::1]:22. */
static bool ssh_address(const char *target, struct address *address)
{
    const char *at = target ? strrchr(target, '@') : NULL;
    const char *host = at ? at + 1 : target;
    if (!host)
        return false;
    bool bracket = *host == '[';
    host += bracket;
    const char *end = bracket ? strchr(host, ']') : strchr(host, ':');
    if (end && !bracket && strchr(end + 1, ':'))
        end = NULL; /* a bare IPv6 address */
    char *text = end ? mem_text_part(host, (size_t)(end - host)) : mem_text(host);
    bool is = address_parse(text, address) == 0;
    free(text);
    return is;
}

static void add_reached(struct node_view *view, const char *text)
{
    struct address address;
    if (text && address_parse(text, &address) == 0)
        address_list_add(&view->reached, &view->reached_count, &address);
}

static void find_places(struct node_view *view)
{
    const struct observation *seen = view->seen;
    struct address address;
    for (size_t i = 0; i < seen->link_count; i++) {
        const struct observed_link *link = &seen->links[i];
        if (strcmp(link->name, view->interface_name) == 0 || strcmp(link->name, "lo") == 0)
            continue;
        for (size_t k = 0; k < link->address_count; k++)
            if (!address_is_link_local(&link->addresses[k].address))
                address_list_add(&view->own, &view->own_count, &link->addresses[k].address);
    }
    add_reached(view, seen->dialled);
    add_reached(view, seen->reached_at);
    address_list_add(&view->reached, &view->reached_count, &view->node->endpoint.address);
    if (ssh_address(view->node->ssh, &address))
        address_list_add(&view->reached, &view->reached_count, &address);
}

static void find_earlier(struct context *context, struct node_view *view, size_t index)
{
    if (!context->before || index >= context->before->node_count || view->seen->reach != REACH_OK)
        return;
    const struct counted_node *earlier = &context->before->nodes[index];
    if (earlier->reach != REACH_OK || time_between(view->seen->at, earlier->at) < INTERVAL_LEAST)
        return;
    view->earlier = earlier;
    view->device_earlier = view->device ? counters_device(earlier, view->device->name) : NULL;
}

/* An interface that is there and no rows of it: the engine was not read (no wg program, no right), which tells nothing. */
static bool was_looked_at(const struct node_view *view)
{
    if (view->seen->reach != REACH_OK)
        return false;
    if (view->device)
        return true;
    for (size_t i = 0; i < view->seen->dead_socket_count; i++)
        if (strcmp(view->seen->dead_sockets[i], view->interface_name) == 0)
            return true;
    return view->seen->privileged && !view->interface;
}

static const struct observation nothing_seen = {.reach = REACH_UNKNOWN, .clock_uncertainty = INT64_MAX, .forwarding4 = -1, .forwarding6 = -1};

static void fill_view(struct context *context, size_t index)
{
    struct node_view *view = &context->views[index];
    view->node = &context->mesh->nodes[index];
    view->name = view->node->name;
    view->seen = context->now && index < context->now->node_count ? &context->now->nodes[index] : &nothing_seen;
    view->root = view->address_fault = view->port_fault = view->tunnel_fault = view->cloned = NONE;
    const char *wanted = wanted_interface(context->mesh, view->node);
    bool answered = view->seen->reach == REACH_OK;
    view->device = answered ? observation_device(view->seen, wanted) : NULL;
    view->interface_name = name_of_interface(view, wanted);
    view->interface = answered ? observation_link(view->seen, view->interface_name) : NULL;
    view->config = answered ? observation_config(view->seen, view->interface_name) : NULL;
    if (view->config && view->config->error)
        view->config = NULL;
    view->saved = view->config ? observation_saved(view->seen, view->config) : NULL;
    view->looked = was_looked_at(view);
    find_earlier(context, view, index);
    find_places(view);
    for (size_t i = 0; answered && i < view->seen->route_count && !view->routed_inside; i++)
        view->routed_inside = strcmp(view->seen->routes[i].device, view->interface_name) == 0;
}

/* ---- clocks --------------------------------------------------------------------------------------------------- */

static int compare_offsets(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t distance(int64_t offset)
{
    return offset < 0 ? time_between(0, offset) : offset;
}

/* Against the middle of all clocks, the deck's (0) among them: one wrong clock, even the deck's, does not make all others wrong. */
static void find_skew(struct context *context)
{
    int64_t *offsets = mem_alloc(context->count + 1, sizeof *offsets);
    size_t known = 1;
    for (size_t i = 0; i < context->count; i++)
        if (context->views[i].seen->reach == REACH_OK && context->views[i].seen->clock_uncertainty != INT64_MAX)
            offsets[known++] = context->views[i].seen->clock_offset;
    qsort(offsets, known, sizeof *offsets, compare_offsets);
    int64_t middle = offsets[known / 2], lower = offsets[(known - 1) / 2];
    if (distance(lower) < distance(middle))
        middle = lower;
    free(offsets);
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        int64_t uncertainty = view->seen->clock_uncertainty;
        if (view->seen->reach != REACH_OK || uncertainty == INT64_MAX)
            continue;
        view->skew = time_between(view->seen->clock_offset, middle);
        int64_t size = distance(view->skew);
        view->skewed = uncertainty >= 0 && size > SKEW_LEAST && size - SKEW_LEAST > uncertainty;
    }
}

/* ---- keys ----------------------------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct key_entry *one = a, *two = b;
    int order = key_compare(&one->key, &two->key);
    if (order)
        return order;
    return (one->target > two->target) - (one->target < two->target);
}

struct key_list {
    struct key_entry *entries;
    size_t count, capacity;
};

static void add_key(struct key_list *list, const struct key *key, uint32_t target)
{
    if (key_is_zero(key))
        return;
    MEM_GROW(list->entries, list->count, list->capacity);
    list->entries[list->count++] = (struct key_entry){.key = *key, .target = target};
}

/* The key that runs is the node's; else the saved one, else the one that the mesh file pins. The others are old ones of it. */
static void add_keys_of(struct node_view *view, uint32_t index, struct key_list *list)
{
    const struct key *candidates[3] = {view->device && view->device->has_private ? &view->device->public_key : NULL,
                                       view->config ? &view->config->device.public_key : NULL,
                                       view->node->has_public_key ? &view->node->public_key : NULL};
    for (size_t i = 0; i < COUNT_OF(candidates); i++) {
        if (!candidates[i] || key_is_zero(candidates[i]))
            continue;
        if (!view->has_key) {
            view->key = *candidates[i];
            view->has_key = true;
        }
        add_key(list, candidates[i], key_compare(candidates[i], &view->key) == 0 ? index : index | TARGET_OLD);
    }
    if (view->key_guessed)
        add_key(list, &view->key, index);
}

/* Of two nodes with one key: the mesh file says whose it is; else the first one of the mesh. */
static bool is_owner(const struct context *context, uint32_t target, const struct key *key)
{
    const struct mesh_node *node = &context->mesh->nodes[target];
    return node->has_public_key && key_compare(&node->public_key, key) == 0;
}

static void keep_each_key_once(struct context *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < context->key_count; i++) {
        struct key_entry *entry = &context->keys[i], *last = kept ? &context->keys[kept - 1] : NULL;
        if (!last || key_compare(&last->key, &entry->key) != 0) {
            context->keys[kept++] = *entry;
            continue;
        }
        if ((entry->target & TARGET_OLD) || entry->target == last->target)
            continue; /* sorted: what is current stands before what is old */
        context->views[entry->target].cloned = last->target;
        context->views[last->target].cloned = entry->target;
        if (is_owner(context, entry->target, &entry->key) && !is_owner(context, last->target, &entry->key))
            last->target = entry->target;
    }
    context->key_count = kept;
}

static void index_keys(struct context *context)
{
    struct key_list list = {0};
    for (size_t i = 0; i < context->count; i++) {
        if (!context->views[i].key_guessed)
            context->views[i].has_key = false;
        add_keys_of(&context->views[i], (uint32_t)i, &list);
    }
    free(context->keys);
    context->keys = list.entries;
    context->key_count = list.count;
    if (list.count)
        qsort(context->keys, context->key_count, sizeof *context->keys, compare_entries);
    keep_each_key_once(context);
}

uint32_t context_find_key(const struct context *context, const struct key *key)
{
    size_t low = 0, high = context->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(key, &context->keys[middle].key);
        if (order == 0)
            return context->keys[middle].target;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return TARGET_NONE;
}

/* Rows and keys are both in order: one walk over both. */
static uint32_t *find_targets(const struct context *context, const struct device *device)
{
    uint32_t *targets = mem_alloc(device->peer_count, sizeof *targets);
    size_t k = 0;
    for (size_t i = 0; i < device->peer_count; i++) {
        int order = 1;
        while (k < context->key_count && (order = key_compare(&context->keys[k].key, &device->peers[i].public_key)) < 0)
            k++;
        targets[i] = k < context->key_count && order == 0 ? context->keys[k].target : TARGET_NONE;
    }
    return targets;
}

static void find_all_targets(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        free(view->targets);
        free(view->saved_targets);
        view->targets = view->device ? find_targets(context, view->device) : NULL;
        view->saved_targets = !view->saved                ? NULL
                              : view->saved == view->device ? mem_copy(view->targets, view->saved->peer_count, sizeof *view->targets)
                                                            : find_targets(context, view->saved);
    }
}

/* ---- mesh addresses ------------------------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
    const struct address_entry *one = a, *two = b;
    int order = address_compare(&one->address, &two->address);
    if (order)
        return order;
    if (one->node != two->node)
        return one->node < two->node ? -1 : 1;
    return two->meant - one->meant;
}

struct address_list {
    struct address_entry *entries;
    size_t count, capacity;
};

static void add_addresses(struct address_list *list, size_t node, const struct prefix *prefixes, size_t count, bool meant)
{
    for (size_t i = 0; i < count; i++) {
        if (address_is_link_local(&prefixes[i].address))
            continue;
        MEM_GROW(list->entries, list->count, list->capacity);
        list->entries[list->count++] = (struct address_entry){.address = prefixes[i].address, .node = node, .meant = meant};
    }
}

static void index_addresses(struct context *context)
{
    struct address_list list = {0};
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        add_addresses(&list, i, view->node->addresses, view->node->address_count, true);
        if (view->interface)
            add_addresses(&list, i, view->interface->addresses, view->interface->address_count, false);
        else if (view->config)
            add_addresses(&list, i, view->config->addresses, view->config->address_count, false);
    }
    if (list.count)
        qsort(list.entries, list.count, sizeof *list.entries, compare_addresses);
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct address_entry *last = kept ? &list.entries[kept - 1] : NULL;
        if (!last || last->node != list.entries[i].node || address_compare(&last->address, &list.entries[i].address) != 0)
            list.entries[kept++] = list.entries[i];
    }
    context->addresses = list.entries;
    context->address_count = kept;
}

const struct address_entry *context_find_address(const struct context *context, const struct address *address)
{
    size_t low = 0, high = context->address_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address_compare(&context->addresses[middle].address, address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == context->address_count || address_compare(&context->addresses[low].address, address) != 0)
        return NULL;
    return &context->addresses[low];
}

/* ---- nodes that could not be read: their keys, as others hold them -------------------------------------------- */

/* A row is of a node whose key nobody told when it has the node's mesh address, or is sent to where the node was reached. */
static bool row_is_of(const struct context *context, const struct device_peer *row, size_t node)
{
    const struct node_view *view = &context->views[node];
    for (size_t i = 0; i < row->allowed_count; i++) {
        if (row->allowed[i].length != address_bits(&row->allowed[i].address))
            continue;
        const struct address_entry *entry = context_find_address(context, &row->allowed[i].address);
        if (entry && entry->node == node)
            return true;
    }
    return row->endpoint.address.family && view_is_at(view, &row->endpoint.address);
}

static void count_candidate(struct node_view *view, const struct key *key, size_t *votes)
{
    if (!view->key_guessed || *votes == 0) {
        view->key = *key;
        view->key_guessed = view->has_key = true;
        *votes = 1;
    } else if (key_compare(&view->key, key) == 0) {
        ++*votes;
    } else {
        --*votes; /* the majority is left, if there is one */
    }
}

/* Several nodes at one address (behind one NAT) cannot be told apart by it: then the key stays unknown. */
static size_t sole_owner(const struct context *context, const struct device_peer *row, const size_t *keyless, size_t keyless_count)
{
    size_t owner = NONE;
    for (size_t i = 0; i < keyless_count; i++)
        if (row_is_of(context, row, keyless[i])) {
            if (owner != NONE)
                return NONE;
            owner = keyless[i];
        }
    return owner;
}

static void guess_keys(struct context *context)
{
    size_t *keyless = mem_alloc(context->count, sizeof *keyless), *votes = mem_alloc(context->count, sizeof *votes);
    size_t keyless_count = 0;
    for (size_t i = 0; i < context->count; i++)
        if (!context->views[i].has_key)
            keyless[keyless_count++] = i;
    for (size_t i = 0; keyless_count && i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        for (size_t r = 0; view->device && r < view->device->peer_count; r++) {
            if (view->targets[r] != TARGET_NONE)
                continue;
            size_t owner = sole_owner(context, &view->device->peers[r], keyless, keyless_count);
            if (owner != NONE)
                count_candidate(&context->views[owner], &view->device->peers[r].public_key, &votes[owner]);
        }
    }
    if (keyless_count) {
        index_keys(context);
        find_all_targets(context);
    }
    free(keyless);
    free(votes);
}

void context_look(struct context *context)
{
    context->count = context->mesh->node_count;
    context->views = mem_alloc(context->count, sizeof *context->views);
    for (size_t i = 0; i < context->count; i++)
        fill_view(context, i);
    find_skew(context);
    paths_look(context);
}

void context_fill(struct context *context)
{
    context_look(context);
    index_addresses(context);
    index_keys(context);
    find_all_targets(context);
    guess_keys(context);
}

void context_clear(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        free(context->views[i].targets);
        free(context->views[i].saved_targets);
        free(context->views[i].own);
        free(context->views[i].reached);
    }
    free(context->views);
    free(context->keys);
    free(context->addresses);
    free(context->pairs);
    free(context->pair_at);
    free(context->joins);
    free(context->findings);
}
