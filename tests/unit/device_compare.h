/* A reading held against what wg(8) prints of the same interface. */
#ifndef WGDECK_DEVICE_COMPARE_H
#define WGDECK_DEVICE_COMPARE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/buf.h"
#include "wgdeck/device.h"

static int device_peer_differs(const struct device_peer *a, const struct device_peer *b)
{
    if (key_compare(&a->public_key, &b->public_key) || !endpoint_equal(&a->endpoint, &b->endpoint) || a->keepalive != b->keepalive ||
        a->has_preshared != b->has_preshared || memcmp(a->preshared_hash, b->preshared_hash, KEY_HASH_SIZE) ||
        a->allowed_count != b->allowed_count)
        return 1;
    for (size_t i = 0; i < a->allowed_count; i++)
        if (prefix_compare(&a->allowed[i], &b->allowed[i]))
            return 1;
    return 0;
}

/* 0 when they are the same. Every preshared key must be the one whose hash is PRESHARED. */
static int device_differs_from_wg(const struct device *device, const char *preshared)
{
    struct buf command = BUF_EMPTY, text = BUF_EMPTY;
    struct device *devices;
    struct err err;
    size_t count, got;
    char part[4096];
    buf_add_format(&command,
                   "wg show all dump | awk -F '\\t' -v OFS='\\t' 'NF == 5 { $2 = \"(hidden)\" } NF == 9 && $3 != \"(none)\" { $3 = \"%s\" } 1'",
                   preshared);
    FILE *pipe = popen(command.data, "r");
    while ((got = fread(part, 1, sizeof part, pipe)) > 0)
        buf_add(&text, part, got);
    pclose(pipe);
    int result = 0;
    if (device_parse_dump(buf_text(&text), text.length, &devices, &count, &err)) {
        fprintf(stderr, "%s\n", err.text);
        result = 20;
    } else if (count != 1 || devices[0].peer_count != device->peer_count || key_compare(&device->public_key, &devices[0].public_key) ||
               device->listen_port != devices[0].listen_port || device->fwmark != devices[0].fwmark || strcmp(device->name, devices[0].name)) {
        result = 21;
    }
    for (size_t i = 0; !result && i < device->peer_count; i++)
        result = device_peer_differs(&device->peers[i], &devices[0].peers[i]) ? 22 : 0;
    for (size_t i = 0; result != 20 && i < count; i++)
        device_free(&devices[i]);
    if (result != 20)
        free(devices);
    buf_free(&command);
    buf_free(&text);
    return result;
}

#endif
