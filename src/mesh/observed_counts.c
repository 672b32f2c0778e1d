/* Changes in which only counters, handshakes and the time differ: nearly all there are. They are written into the rows where those stand, without
 * touching what is not named: in a large mesh a node's change names some dozens of rows of a thousand. */
#include <math.h>
#include <string.h>

#include "observed_read.h"
#include "wgdeck/text.h"

#define EXACT_MAX 9007199254740992.0 /* as in observed_json.c */

/* Only plain numbers; larger ones, which are strings, and wrong ones are left to the general way. */
static bool read_count(const cJSON *value, uint64_t *number)
{
    double found = value->valuedouble;
    if (!cJSON_IsNumber(value) || !(found >= 0) || found > EXACT_MAX || found != floor(found))
        return false;
    *number = (uint64_t)found;
    return true;
}

static bool read_any(const cJSON *value, uint64_t *number)
{
    unsigned long long parsed;
    if (!cJSON_IsString(value))
        return read_count(value, number);
    if (text_to_number(value->valuestring, INT64_MAX, &parsed) != 0)
        return false;
    *number = parsed;
    return true;
}

/* Both lists are in the order of keys, so the next row is not far. */
static struct device_peer *find_row(struct device *device, const struct key *key, size_t *from)
{
    for (size_t i = *from; i < device->peer_count && i < *from + 4; i++)
        if (key_compare(&device->peers[i].public_key, key) == 0) {
            *from = i + 1;
            return &device->peers[i];
        }
    size_t low = 0, high = device->peer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(&device->peers[middle].public_key, key);
        if (order == 0) {
            *from = middle + 1;
            return &device->peers[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool merge_row(struct device *device, const cJSON *change, size_t *from)
{
    const cJSON *value = cJSON_IsObject(change) ? change->child : NULL;
    struct key key;
    if (!value || strcmp(value->string, "key") != 0 || !cJSON_IsString(value) || key_parse(value->valuestring, &key) != 0)
        return false;
    struct device_peer *row = find_row(device, &key, from);
    uint64_t number;
    if (!row)
        return false;
    for (value = value->next; value; value = value->next) {
        if (!read_any(value, &number))
            return false;
        if (strcmp(value->string, "handshake") == 0)
            row->handshake = (int64_t)number;
        else if (strcmp(value->string, "rx") == 0)
            row->rx_bytes = number;
        else if (strcmp(value->string, "tx") == 0)
            row->tx_bytes = number;
        else
            return false;
    }
    return true;
}

static bool merge_device(struct observation *observation, const cJSON *change)
{
    const cJSON *name = cJSON_IsObject(change) ? change->child : NULL, *rows = name ? name->next : NULL;
    struct device *device = NULL;
    size_t from = 0;
    if (!rows || strcmp(name->string, "name") != 0 || !cJSON_IsString(name) || strcmp(rows->string, "peers") != 0 || !cJSON_IsArray(rows) || rows->next)
        return false;
    for (size_t i = 0; i < observation->device_count && !device; i++)
        if (strcmp(observation->devices[i].name, name->valuestring) == 0)
            device = &observation->devices[i];
    for (const cJSON *row = rows->child; device && row; row = row->next)
        if (!merge_row(device, row, &from))
            return false;
    return device != NULL;
}

bool observation_merge_counts(struct observation *observation, const cJSON *change)
{
    uint64_t number;
    if (!cJSON_IsObject(change))
        return false;
    for (const cJSON *value = change->child; value; value = value->next) {
        if (strcmp(value->string, "node_time") == 0 && read_any(value, &number)) {
            observation->node_time = (int64_t)number;
            continue;
        }
        if (strcmp(value->string, "devices") != 0 || !cJSON_IsArray(value))
            return false;
        for (const cJSON *device = value->child; device; device = device->next)
            if (!merge_device(observation, device))
                return false;
    }
    return true;
}
