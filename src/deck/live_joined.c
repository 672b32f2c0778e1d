/* Who has joined by an invitation, and who has left: what each hub says is compared with what is known of it (live_events.c calls). */
#include <stdlib.h>
#include <string.h>

#include "live_events.h"
#include "wgdeck/mem.h"

/* Of one hub. */
struct known_hub {
    bool known;
    struct known_one { struct key key; char name[64]; } *ones;
    size_t count;
};

struct live_joined {
    struct known_hub *hubs;
    size_t count;
};

struct live_joined *live_joined_new(size_t node_count)
{
    struct live_joined *joined = mem_alloc(1, sizeof *joined);
    *joined = (struct live_joined){.hubs = mem_alloc(node_count, sizeof *joined->hubs), .count = node_count};
    return joined;
}

void live_joined_free(struct live_joined *joined)
{
    if (!joined)
        return;
    for (size_t i = 0; i < joined->count; i++)
        free(joined->hubs[i].ones);
    free(joined->hubs);
    free(joined);
}

/* A used invitation is remembered for a while after its machine has left; a row of it is not. */
static bool is_there(const struct observation *seen, const struct observed_joined *one)
{
    const struct device *device = observation_device(seen, one->interface);
    return device && device_find_peer(device, &one->key);
}

static bool has(const struct known_one *ones, size_t count, const struct key *key)
{
    for (size_t i = 0; i < count; i++)
        if (!key_compare(&ones[i].key, key))
            return true;
    return false;
}

static void tell_joined(struct live *live, size_t hub, const struct observed_joined *one)
{
    live_event(live, EVENT_JOINED, hub, mesh_find_node(live->mesh, one->name), "%s has joined through %s, by an invitation%s%s", one->name, live->mesh->nodes[hub].name, *one->from ? ", from " : "",
               one->from);
}

static void compare_hub(struct live *live, struct known_hub *hub, size_t node, const struct observation *seen, bool tell)
{
    struct known_hub now = {.known = true, .ones = mem_alloc(seen->joined_count, sizeof *now.ones)};
    for (size_t i = 0; i < seen->joined_count; i++) {
        const struct observed_joined *one = &seen->joined[i];
        if (!is_there(seen, one))
            continue;
        now.ones[now.count].key = one->key;
        memcpy(now.ones[now.count].name, one->name, sizeof one->name);
        now.count++;
        if (tell && hub->known && !has(hub->ones, hub->count, &one->key))
            tell_joined(live, node, one);
    }
    for (size_t i = 0; tell && i < hub->count; i++)
        if (!has(now.ones, now.count, &hub->ones[i].key))
            live_event(live, EVENT_LEFT, node, mesh_find_node(live->mesh, hub->ones[i].name), "%s, which had joined through %s, is gone from there", hub->ones[i].name, live->mesh->nodes[node].name);
    free(hub->ones);
    *hub = now;
}

void live_joined_compare(struct live *live, struct live_joined *joined, const struct observed *observed, bool tell)
{
    for (size_t i = 0; i < joined->count; i++)
        if (observed->nodes[i].reach == REACH_OK && (observed->nodes[i].joined_count || joined->hubs[i].count || !joined->hubs[i].known))
            compare_hub(live, &joined->hubs[i], i, &observed->nodes[i], tell);
}
