/* Most often a node has saved what it runs. Then the saved rows need not be kept a second time: a large mesh has a million of them. */
#include <stdlib.h>
#include <string.h>

#include "observed_shape.h"
#include "wgdeck/mem.h"

static bool same_row(const struct device_peer *a, const struct device_peer *b)
{
    return key_compare(&a->public_key, &b->public_key) == 0 && endpoint_equal(&a->endpoint, &b->endpoint) && a->keepalive == b->keepalive &&
           a->has_preshared == b->has_preshared && memcmp(a->preshared_hash, b->preshared_hash, KEY_HASH_SIZE) == 0 &&
           a->allowed_count == b->allowed_count &&
           (a->allowed == b->allowed || memcmp(a->allowed, b->allowed, a->allowed_count * sizeof *a->allowed) == 0);
}

static bool same_rows(const struct device *a, const struct device *b)
{
    bool same = a->peer_count == b->peer_count;
    for (size_t i = 0; same && i < a->peer_count; i++)
        same = same_row(&a->peers[i], &b->peers[i]);
    return same;
}

/* A saved row counts nothing. */
static bool counts_nothing(const struct device *saved)
{
    for (size_t i = 0; i < saved->peer_count; i++)
        if (saved->peers[i].handshake || saved->peers[i].rx_bytes || saved->peers[i].tx_bytes)
            return false;
    return true;
}

const struct device *observation_saved(const struct observation *observation, const struct observed_config *config)
{
    const struct device *running = config->rows_as_running ? observation_device(observation, config->device.name) : NULL;
    return running ? running : &config->device;
}

bool observation_is_packed(const struct observation *observation)
{
    for (size_t i = 0; i < observation->config_count; i++)
        if (observation->configs[i].rows_as_running)
            return true;
    return false;
}

void observation_pack(struct observation *observation)
{
    for (size_t i = 0; i < observation->config_count; i++) {
        struct observed_config *config = &observation->configs[i];
        const struct device *running = config->device.name[0] ? observation_device(observation, config->device.name) : NULL;
        if (config->rows_as_running || config->endpoint_hosts || !running || !config->device.peer_count || !same_rows(running, &config->device) ||
            !counts_nothing(&config->device))
            continue;
        device_free(&config->device);
        config->rows_as_running = true;
    }
}

void observation_unpack(struct observation *observation)
{
    for (size_t i = 0; i < observation->config_count; i++) {
        struct observed_config *config = &observation->configs[i];
        const struct device *running = config->rows_as_running ? observation_device(observation, config->device.name) : NULL;
        config->rows_as_running = false;
        if (!running)
            continue;
        struct device rows;
        device_copy(&rows, running);
        for (size_t k = 0; k < rows.peer_count; k++)
            rows.peers[k].handshake = 0, rows.peers[k].rx_bytes = 0, rows.peers[k].tx_bytes = 0;
        config->device.peers = rows.peers;
        config->device.peer_count = rows.peer_count;
    }
}

const struct observation *observation_unpacked(const struct observation *observation, struct observation *copy)
{
    if (!observation_is_packed(observation))
        return observation;
    observation_copy(copy, observation);
    observation_unpack(copy);
    return copy;
}
