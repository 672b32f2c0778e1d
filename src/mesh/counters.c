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

/* Where the rows begin whose first bytes are those of ROW, and how many they are. */
static size_t alike_now(const struct device *now, size_t row, uint32_t key, size_t *begin)
{
    size_t end = row + 1;
    for (*begin = row; *begin > 0 && row - *begin < ALIKE_MOST && first_bytes(&now->peers[*begin - 1].public_key) == key;)
        --*begin;
    while (end < now->peer_count && end - row < ALIKE_MOST && first_bytes(&now->peers[end].public_key) == key)
        end++;
    return end - *begin;
}

const struct counted_row *counters_row(const struct counted_device *device, const struct device *now, size_t row, size_t *hint)
{
    uint32_t key = first_bytes(&now->peers[row].public_key);
    size_t begin, alike = 0;
    while (*hint < device->row_count && device->rows[*hint].key < key)
        ++*hint;
    while (*hint + alike < device->row_count && alike < ALIKE_MOST && device->rows[*hint + alike].key == key)
        alike++;
    return alike && alike < ALIKE_MOST && alike_now(now, row, key, &begin) == alike ? &device->rows[*hint + (row - begin)] : NULL;
}

bool counters_difference(const struct counted_row *before, const struct device_peer *row, uint64_t *rx, uint64_t *tx)
{
    *rx = (row->rx_bytes - ((uint64_t)before->rx_high << 32 | before->rx_low)) & COUNTER_MASK;
    *tx = (row->tx_bytes - ((uint64_t)before->tx_high << 32 | before->tx_low)) & COUNTER_MASK;
    return *rx <= COUNTER_MASK / 2 && *tx <= COUNTER_MASK / 2;
}
