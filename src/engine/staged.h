/* Packets of a peer that wait for a session: few, whole as the TUN gave them, in the order they came. */
#ifndef WGDECK_ENGINE_STAGED_H
#define WGDECK_ENGINE_STAGED_H

#include <linux/virtio_net.h>

#include "engine.h"

struct staged {
    struct staged *next;
    size_t length;
    struct virtio_net_hdr header;
    uint8_t packet[] __attribute__((aligned(16))); /* LENGTH bytes, and 16 to spare */
};

/* Keep a copy; the oldest of the peer makes room, and above STAGED_BYTES nothing is kept (counted in TALLY, too). False and nothing done: the peer's current
 * session is no longer SEEN, so look again. */
bool staged_put(struct peer *peer, const struct keypair *seen, const struct virtio_net_hdr *header, const uint8_t *packet, size_t length,
                struct worker_tally *tally);
struct staged *staged_take(struct peer *peer); /* all, by next; the caller frees each */
void staged_free(struct peer *peer, struct staged *staged);

#endif
