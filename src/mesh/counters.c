/* Counters of an older reading, small enough to keep several of a thousand nodes with a thousand rows each. */
#include "wgdeck/counters.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

#define COUNTER_MASK ((UINT64_C(1) << 48) - 1)

enum { ALIKE_MOST = 16 }; /* rows with the same first bytes: more were made so, to keep us busy */

/* Read as a big number, so that rows in the order of their keys are in the order of these. */
static uint32_t first_bytes(const struct key *key)
{
    return (uint32_t)key->bytes[0] << 24 | (uint32_t)key->bytes[1] << 16 | (uint32_t)key->bytes[2] << 8 | key->bytes[3];
}

static void take_device(struct counted_device *to, const struct device *from)
{
    memcpy(to->name, from->name, sizeof to->name);
    to->rows = mem_alloc(from->peer_count, sizeof *to->rows);
    to->row_count = from->peer_count;
    for (size_t i = 0; i < from->peer_count; i++) {
        const struct device_peer *row = &from->peers[i];
        to->rows[i] = (struct counted_row){.key = first_bytes(&row->public_key), .rx_high = (uint16_t)(row->rx_bytes >> 32),
                                           .tx_high = (uint16_t)(row->tx_bytes >> 32), .rx_low = (uint32_t)row->rx_bytes,
                                           .tx_low = (uint32_t)row->tx_bytes};
    }
}

struct counters *counters_take(const struct observed *observed)
{
    struct counters *counters = mem_alloc(1, sizeof *counters);
    counters->nodes = mem_alloc(observed->node_count, sizeof *counters->nodes);
    counters->node_count = observed->node_count;
    for (size_t i = 0; i < observed->node_count; i++) {
        const struct observation *seen = &observed->nodes[i];
        struct counted_node *node = &counters->nodes[i];
        *node = (struct counted_node){.reach = seen->reach, .at = seen->at, .node_time = seen->node_time, .device_count = seen->device_count};
        node->devices = mem_alloc(seen->device_count, sizeof *node->devices);
        for (size_t k = 0; k < seen->device_count; k++)
            take_device(&node->devices[k], &seen->devices[k]);
    }
    return counters;
}

void counters_free(struct counters *counters)
{
    if (!counters)
        return;
    for (size_t i = 0; i < counters->node_count; i++) {
        for (size_t k = 0; k < counters->nodes[i].device_count; k++)
            free(counters->nodes[i].devices[k].rows);
        free(counters->nodes[i].devices);
    }
    free(counters->nodes);
    free(counters);
}

const struct counted_device *counters_device(const struct counted_node *node, const char *name)
{
    for (size_t i = 0; i < node->device_count; i++)
        if (strcmp(node->devices[i].name, name) == 0)
            return &node->devices[i];
    return NULL;
}

/* How many rows there are with the same first bytes as row AT, and how many of them stand before it. */
static size_t alike_now(const struct device *now, size_t at, uint32_t key, size_t *before)
{
    size_t end = at + 1;
    for (*before = 0; *before < at && *before < ALIKE_MOST && first_bytes(&now->peers[at - *before - 1].public_key) == key;)
        ++*before;
    while (end < now->peer_count && end - at < ALIKE_MOST && first_bytes(&now->peers[end].public_key) == key)
        end++;
    return *before + (end - at);
}

/* The first row that is not before KEY. */
static size_t find_first(const struct counted_device *device, uint32_t key)
{
    size_t low = 0, high = device->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (device->rows[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct counted_row *counters_row(const struct counted_device *device, const struct device *now, size_t row)
{
    uint32_t key = first_bytes(&now->peers[row].public_key);
    /* Most often no row came or went. */
    if (device->row_count == now->peer_count && device->rows[row].key == key)
        return &device->rows[row];
    size_t first = find_first(device, key), alike = 0, before;
    while (first + alike < device->row_count && alike < ALIKE_MOST && device->rows[first + alike].key == key)
        alike++;
    return alike && alike < ALIKE_MOST && alike_now(now, row, key, &before) == alike ? &device->rows[first + before] : NULL;
}

bool counters_difference(const struct counted_row *before, const struct device_peer *row, uint64_t *rx, uint64_t *tx)
{
    *rx = (row->rx_bytes - ((uint64_t)before->rx_high << 32 | before->rx_low)) & COUNTER_MASK;
    *tx = (row->tx_bytes - ((uint64_t)before->tx_high << 32 | before->tx_low)) & COUNTER_MASK;
    return *rx <= COUNTER_MASK / 2 && *tx <= COUNTER_MASK / 2;
}
