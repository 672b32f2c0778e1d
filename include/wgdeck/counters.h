/* What of an older reading a later diagnosis still wants: when it was, of which interfaces, and how far each row's counters were.
 * 16 bytes a row, where the reading itself has some hundreds. */
#ifndef WGDECK_COUNTERS_H
#define WGDECK_COUNTERS_H

#include "wgdeck/observed.h"

/* Of one row, in the order of keys. Counters count modulo 2^48, which no interface gets through between two readings. */
struct counted_row {
    uint32_t key;                 /* the first bytes of its public key: keys are random, so they tell rows of one node apart */
    uint16_t rx_high, tx_high;
    uint32_t rx_low, tx_low;
};

struct counted_device {
    char name[IFNAMSIZ];
    struct counted_row *rows;     /* owned */
    size_t row_count;
};

struct counted_node {
    enum observed_reach reach;
    int64_t at, node_time;        /* as in struct observation */
    struct counted_device *devices;
    size_t device_count;
};

/* All nodes at one time, in the order of the mesh's nodes. */
struct counters {
    struct counted_node *nodes;
    size_t node_count;
};

struct counters *counters_take(const struct observed *observed); /* devices must be in order (device_sort) */
void counters_free(struct counters *counters);
const struct counted_device *counters_device(const struct counted_node *node, const char *name); /* NULL: it was not there */
/* What was counted at row number ROW of NOW, or NULL if it was not there. Rows whose first bytes are alike are told apart by their order, if
 * they are as many as before. */
const struct counted_row *counters_row(const struct counted_device *device, const struct device *now, size_t row);
/* How much more was counted at ROW since. False: it was begun anew. */
bool counters_difference(const struct counted_row *before, const struct device_peer *row, uint64_t *rx, uint64_t *tx);

#endif
