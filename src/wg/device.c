/* A reading of a WireGuard interface as a value: order, copies, look-up. */
#include "wgdeck/device.h"

#include <stdlib.h>
#include <string.h>

#include "device_build.h"
#include "wgdeck/mem.h"

const char device_no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000";

static const char *const engine_kinds[] = {
    [ENGINE_UNKNOWN] = "unknown",
    [ENGINE_KERNEL] = "kernel",
    [ENGINE_EMBEDDED] = "embedded",
    [ENGINE_USERSPACE] = "userspace",
};

const char *engine_kind_text(enum engine_kind kind)
{
    return (size_t)kind < COUNT_OF(engine_kinds) ? engine_kinds[kind] : engine_kinds[ENGINE_UNKNOWN];
}

enum engine_kind engine_kind_parse(const char *text)
{
    for (size_t i = 0; i < COUNT_OF(engine_kinds); i++)
        if (!strcmp(text, engine_kinds[i]))
            return (enum engine_kind)i;
    return ENGINE_UNKNOWN;
}

bool device_name_is_valid(const char *name)
{
    size_t length = strnlen(name, IFNAMSIZ);
    if (!length || length >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || name[i] == ':')
            return false;
    return true;
}

void device_free(struct device *device)
{
    for (size_t i = 0; i < device->peer_count; i++)
        device_free_allowed(&device->peers[i]);
    free(device->peers);
    device->peers = NULL;
    device->peer_count = 0;
}

void device_copy(struct device *to, const struct device *from)
{
    *to = *from;
    to->peers = mem_alloc(from->peer_count, sizeof *to->peers);
    for (size_t i = 0; i < from->peer_count; i++) {
        struct device_peer *peer = &to->peers[i];
        *peer = from->peers[i];
        device_copy_allowed(peer, &from->peers[i]);
    }
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static int compare_peers(const void *a, const void *b)
{
    const struct device_peer *first = a, *second = b;
    return key_compare(&first->public_key, &second->public_key);
}

/* A prefix twice at one peer means no more than once. */
void device_peer_sort(struct device_peer *peer)
{
    size_t kept = 0;
    if (peer->allowed_shared)
        return; /* it was in order when it became so */
    for (size_t i = 0; i < peer->allowed_count; i++)
        peer->allowed[i] = prefix_network(&peer->allowed[i]);
    if (peer->allowed_count > 1)
        qsort(peer->allowed, peer->allowed_count, sizeof *peer->allowed, compare_prefixes);
    for (size_t i = 0; i < peer->allowed_count; i++)
        if (!kept || prefix_compare(&peer->allowed[i], &peer->allowed[kept - 1]))
            peer->allowed[kept++] = peer->allowed[i];
    peer->allowed_count = kept;
}

void device_sort(struct device *device)
{
    for (size_t i = 0; i < device->peer_count; i++)
        device_peer_sort(&device->peers[i]);
    if (device->peer_count > 1)
        qsort(device->peers, device->peer_count, sizeof *device->peers, compare_peers);
}

const struct device_peer *device_find_peer(const struct device *device, const struct key *public_key)
{
    size_t low = 0, high = device->peer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(&device->peers[middle].public_key, public_key);
        if (!order)
            return &device->peers[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct device_peer *device_build_peer(struct device_build *build)
{
    struct device *device = &build->device;
    MEM_GROW(device->peers, device->peer_count, build->peer_capacity);
    struct device_peer *peer = &device->peers[device->peer_count++];
    *peer = (struct device_peer){0};
    build->allowed_capacity = 0;
    return peer;
}

void device_build_allowed(struct device_build *build, const struct prefix *prefix)
{
    struct device_peer *peer = &build->device.peers[build->device.peer_count - 1];
    MEM_GROW(peer->allowed, peer->allowed_count, build->allowed_capacity);
    peer->allowed[peer->allowed_count++] = *prefix;
}

int device_build_finish(struct device_build *build, struct device *device, struct err *err)
{
    device_sort(&build->device);
    for (size_t i = 1; i < build->device.peer_count; i++) {
        const struct key *key = &build->device.peers[i].public_key;
        char text[KEY_TEXT_SIZE];
        if (key_compare(key, &build->device.peers[i - 1].public_key))
            continue;
        key_text(key, text);
        return err_set(err, "%s: the peer %s is there twice; the answer is garbled", build->device.name, text);
    }
    *device = build->device;
    build->device.peers = NULL;
    build->device.peer_count = 0;
    return 0;
}

int device_parse_endpoint(const char *text, struct endpoint *endpoint)
{
    char copy[128];
    const char *zone = strchr(text, '%'), *bracket = strchr(text, ']');
    if (endpoint_parse(text, endpoint) == 0)
        return 0;
    size_t before = zone ? (size_t)(zone - text) : 0;
    if (!zone || !bracket || bracket < zone || before + strlen(bracket) >= sizeof copy || (size_t)(bracket - zone) > IFNAMSIZ)
        return -1;
    char name[IFNAMSIZ] = "";
    memcpy(name, zone + 1, (size_t)(bracket - zone) - 1);
    if (!device_name_is_valid(name))
        return -1;
    memcpy(copy, text, before);
    strcpy(copy + before, bracket);
    return endpoint_parse(copy, endpoint);
}

/* --- sources */

bool device_source_lists(const struct device_source *source, const char *name)
{
    char **names = NULL;
    size_t count = 0;
    bool found = false;
    if (source->list(&names, &count, NULL))
        return false;
    for (size_t i = 0; i < count; i++) {
        found = found || !strcmp(names[i], name);
        free(names[i]);
    }
    free(names);
    return found;
}

const struct device_source *device_source_find(const char *name)
{
    if (device_source_lists(&device_source_netlink, name))
        return &device_source_netlink;
    return device_source_lists(&device_source_uapi, name) ? &device_source_uapi : NULL;
}
