/* wg-quick files of a node. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/text.h"
#include "wgdeck/wgquick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct wgquick wgquick;
    struct buf warnings = BUF_EMPTY;
    struct conf *conf = conf_parse("/etc/wireguard/wg0.conf", (const char *)data, size, &err);
    if (!conf)
        return 0;
    if (wgquick_read(conf, "00", &wgquick, &warnings, &err) == 0) {
        for (size_t i = 1; i < wgquick.device.peer_count; i++)
            if (key_compare(&wgquick.device.peers[i - 1].public_key, &wgquick.device.peers[i].public_key) >= 0)
                abort();
        wgquick_free(&wgquick);
    } else if (strncmp(err.text, "/etc/wireguard/wg0.conf:", 24) || !text_is_safe(err.text, strlen(err.text))) {
        abort();
    }
    buf_free(&warnings);
    conf_free(conf);
    return 0;
}
