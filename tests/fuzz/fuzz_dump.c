/* wg dumps from a node. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/device.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device *devices;
    struct err err = {{0}};
    size_t count;
    if (device_parse_dump((const char *)data, size, &devices, &count, &err)) {
        if (!err.text[0] || !text_is_safe(err.text, strlen(err.text)))
            abort();
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (!device_name_is_valid(devices[i].name))
            abort();
        for (size_t j = 0; j < devices[i].peer_count; j++)
            if (device_find_peer(&devices[i], &devices[i].peers[j].public_key) != &devices[i].peers[j])
                abort();
        device_free(&devices[i]);
    }
    free(devices);
    return 0;
}
