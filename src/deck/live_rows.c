/* The links of the standing diagnosis point to rows of the readings it was made of. Readings change while it stands: here the pointers follow,
 * row by row of the same key, or point to nothing any more. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "live_private.h"
#include "wgdeck/mem.h"

/* One device as it was before the change. */
struct rows_device {
    char name[IFNAMSIZ];
    const struct device *device;
    const struct device_peer *peers;
    size_t count, first_key;
};

struct live_rows {
    struct rows_device *devices;
    size_t device_count, device_capacity;
    struct key *keys; /* of all their rows */
    size_t key_count, key_capacity;
};

static void note_devices(struct live_rows *rows, const struct observation *seen)
{
    for (size_t i = 0; i < seen->device_count; i++) {
        const struct device *device = &seen->devices[i];
        MEM_GROW(rows->devices, rows->device_count, rows->device_capacity);
        struct rows_device *noted = &rows->devices[rows->device_count++];
        *noted = (struct rows_device){.device = device, .peers = device->peers, .count = device->peer_count, .first_key = rows->key_count};
        memcpy(noted->name, device->name, sizeof noted->name);
        if (rows->key_count + device->peer_count > rows->key_capacity) {
            rows->key_capacity = 2 * (rows->key_count + device->peer_count);
            rows->keys = mem_resize(rows->keys, rows->key_capacity, sizeof *rows->keys);
        }
        for (size_t k = 0; k < device->peer_count; k++)
            rows->keys[rows->key_count++] = device->peers[k].public_key;
    }
}

void live_rows_before(struct live *live, size_t node)
{
    if (!live->rows)
        live->rows = mem_alloc(1, sizeof *live->rows);
    live->rows->device_count = live->rows->key_count = 0;
    note_devices(live->rows, &live->observed->nodes[node]);
    note_devices(live->rows, &live->last[node]);
}

static bool has_device(const struct observation *seen, const struct rows_device *noted, const struct key *keys)
{
    for (size_t i = 0; i < seen->device_count; i++) {
        const struct device *device = &seen->devices[i];
        if (device != noted->device || device->peers != noted->peers || device->peer_count != noted->count)
            continue;
        for (size_t k = 0; k < noted->count; k++)
            if (memcmp(&device->peers[k].public_key, &keys[noted->first_key + k], sizeof *keys) != 0)
                return false;
        return true;
    }
    return false;
}

/* All that was there is where it was. */
static bool is_unmoved(const struct live *live, size_t node)
{
    const struct live_rows *rows = live->rows;
    for (size_t i = 0; i < rows->device_count; i++)
        if (!has_device(&live->observed->nodes[node], &rows->devices[i], rows->keys) &&
            !has_device(&live->last[node], &rows->devices[i], rows->keys))
            return false;
    return true;
}

/* The device of that name now: of the reading, else of the last good one. */
static const struct device *device_now(const struct live *live, size_t node, const char *name)
{
    const struct observation *places[] = {&live->observed->nodes[node], &live->last[node]};
    for (size_t i = 0; i < COUNT_OF(places); i++)
        for (size_t k = 0; k < places[i]->device_count; k++)
            if (!strncmp(places[i]->devices[k].name, name, IFNAMSIZ))
                return &places[i]->devices[k];
    return NULL;
}

static const struct device_peer *row_now(const struct live *live, size_t node, const struct device_peer *row)
{
    const struct live_rows *rows = live->rows;
    uintptr_t address = (uintptr_t)row; /* what it points to may be gone */
    for (size_t i = 0; row && i < rows->device_count; i++) {
        const struct rows_device *noted = &rows->devices[i];
        uintptr_t begin = (uintptr_t)noted->peers, offset = address - begin;
        if (address < begin || offset >= noted->count * sizeof *row)
            continue;
        const struct device *device = device_now(live, node, noted->name);
        return device ? device_find_peer(device, &rows->keys[noted->first_key + offset / sizeof *row]) : NULL;
    }
    return NULL;
}

static size_t first_link(const struct diagnosis *diagnosis, size_t a, size_t b)
{
    size_t low = 0, high = diagnosis->link_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct link *link = &diagnosis->links[middle];
        if (link->a < a || (link->a == a && link->b < b))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void follow(struct live *live, size_t node)
{
    struct diagnosis *diagnosis = live->diagnosis;
    for (size_t a = 0; a < node; a++) {
        size_t at = first_link(diagnosis, a, node);
        if (at < diagnosis->link_count && diagnosis->links[at].a == a && diagnosis->links[at].b == node)
            diagnosis->links[at].b_row = row_now(live, node, diagnosis->links[at].b_row);
    }
    for (size_t at = first_link(diagnosis, node, 0); at < diagnosis->link_count && diagnosis->links[at].a == node; at++)
        diagnosis->links[at].a_row = row_now(live, node, diagnosis->links[at].a_row);
    struct node_summary *summary = &diagnosis->nodes[node];
    const struct device *device = NULL;
    for (size_t i = 0; summary->device && i < live->rows->device_count; i++)
        if (live->rows->devices[i].device == summary->device)
            device = device_now(live, node, live->rows->devices[i].name);
    summary->device = device;
}

void live_rows_after(struct live *live, size_t node)
{
    if (live->diagnosis && live->rows && !is_unmoved(live, node))
        follow(live, node);
}

void live_rows_forget(struct live *live)
{
    live->updates = UINT_MAX; /* the next one is made anew */
    for (size_t i = 0; i < live->diagnosis->link_count; i++)
        live->diagnosis->links[i].a_row = live->diagnosis->links[i].b_row = NULL;
    for (size_t i = 0; i < live->diagnosis->node_count; i++)
        live->diagnosis->nodes[i].device = NULL;
}

void live_rows_free(struct live_rows *rows)
{
    if (!rows)
        return;
    free(rows->devices);
    free(rows->keys);
    free(rows);
}
