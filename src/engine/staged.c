/* Packets of a peer that wait for a session (staged.h). Under the peer's lock, by whatever thread meets them. */
#include "staged.h"

#include <stdlib.h>
#include <string.h>

#define SPARE 16

static size_t bytes_of(size_t length)
{
    return sizeof(struct staged) + length + SPARE;
}

void staged_free(struct peer *peer, struct staged *staged)
{
    atomic_fetch_sub_explicit(&peer->engine->staged_bytes, bytes_of(staged->length), memory_order_relaxed);
    free(staged);
}

static void count_overflow(struct peer *peer, struct worker_tally *tally)
{
    TALLY_ADD(tally, staged_overflow, 1);
    PEER_TALLY(peer, staged_overflow);
}

/* Memory for one, from what all peers share; NULL when that is used up. */
static struct staged *reserve(struct engine *engine, size_t length)
{
    const size_t bytes = bytes_of(length);
    struct staged *staged = NULL;
    if (atomic_fetch_add_explicit(&engine->staged_bytes, bytes, memory_order_relaxed) + bytes <= STAGED_BYTES)
        staged = malloc(bytes); /* not mem_alloc: a packet may be lost, the engine may not */
    if (!staged)
        atomic_fetch_sub_explicit(&engine->staged_bytes, bytes, memory_order_relaxed);
    return staged;
}

static struct staged *oldest_out(struct peer *peer)
{
    struct staged *oldest = peer->staged;
    peer->staged = oldest->next;
    if (!peer->staged)
        peer->staged_end = &peer->staged;
    peer->staged_count--;
    return oldest;
}

bool staged_put(struct peer *peer, const struct keypair *seen, const struct virtio_net_hdr *header, const uint8_t *packet, size_t length,
                struct worker_tally *tally)
{
    struct staged *staged = reserve(peer->engine, length), *oldest = NULL;
    bool same;
    if (!staged) {
        count_overflow(peer, tally);
        return true;
    }
    staged->next = NULL;
    staged->length = length;
    staged->header = *header;
    memcpy(staged->packet, packet, length);
    spin_lock(&peer->lock);
    same = atomic_load_explicit(&peer->current, memory_order_relaxed) == seen;
    if (same) {
        if (peer->staged_count == STAGED_PACKETS)
            oldest = oldest_out(peer);
        *peer->staged_end = staged;
        peer->staged_end = &staged->next;
        peer->staged_count++;
    }
    spin_unlock(&peer->lock);
    if (!same)
        staged_free(peer, staged);
    if (oldest) {
        staged_free(peer, oldest);
        count_overflow(peer, tally);
    }
    return same;
}

struct staged *staged_take(struct peer *peer)
{
    struct staged *all;
    spin_lock(&peer->lock);
    all = peer->staged;
    peer->staged = NULL;
    peer->staged_end = &peer->staged;
    peer->staged_count = 0;
    spin_unlock(&peer->lock);
    return all;
}

void staged_drop(struct peer *peer)
{
    for (struct staged *staged = staged_take(peer), *next; staged; staged = next) {
        next = staged->next;
        staged_free(peer, staged);
    }
}
