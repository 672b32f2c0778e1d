/* Sessions: a peer's three slots, and the table of the indices by which messages name a session or a waiting handshake. The control thread writes; data
 * threads look up without a lock. A session can be found by its index as long as it is in a slot. */
#include <stddef.h>
#include <string.h>

#include <sodium.h>

#include "engine.h"
#include "wgdeck/mem.h"

static size_t bucket_of(uint32_t index)
{
    return index & (INDEX_BUCKETS - 1);
}

/* --- the table */

struct keypair *keypair_find(const struct engine *engine, uint32_t local_index)
{
    struct keypair *keypair = atomic_load(&engine->indices[bucket_of(local_index)]);
    while (keypair && keypair->local_index != local_index)
        keypair = atomic_load(&keypair->index_next);
    return keypair;
}

/* Whether the index stands for a handshake; also while its state is being written anew or is wiped already. */
static struct peer *waiting_at(const struct engine *engine, uint32_t local_index)
{
    struct peer *peer = engine->waiting[bucket_of(local_index)];
    while (peer && peer->handshake.local_index != local_index)
        peer = peer->handshake_next;
    return peer;
}

uint32_t index_new(struct engine *engine)
{
    uint32_t index;
    do
        index = randombytes_random();
    while (!index || keypair_find(engine, index) || waiting_at(engine, index));
    return index;
}

struct peer *handshake_find(const struct engine *engine, uint32_t local_index)
{
    struct peer *peer = waiting_at(engine, local_index);
    return peer && peer->handshake.waiting ? peer : NULL;
}

static void leave_table(struct peer *peer)
{
    if (!peer->handshake_back)
        return;
    *peer->handshake_back = peer->handshake_next;
    if (peer->handshake_next)
        peer->handshake_next->handshake_back = peer->handshake_back;
    peer->handshake_back = NULL;
    peer->handshake_next = NULL;
}

void handshake_waits(struct peer *peer)
{
    struct peer **bucket = &peer->engine->waiting[bucket_of(peer->handshake.local_index)];
    leave_table(peer);
    peer->handshake_next = *bucket;
    peer->handshake_back = bucket;
    if (*bucket)
        (*bucket)->handshake_back = &peer->handshake_next;
    *bucket = peer;
}

void handshake_forget(struct peer *peer)
{
    leave_table(peer);
    sodium_memzero(&peer->handshake, sizeof peer->handshake);
}

/* --- birth and death of sessions */

static void publish(struct engine *engine, struct keypair *keypair)
{
    struct keypair *_Atomic *bucket = &engine->indices[bucket_of(keypair->local_index)];
    atomic_init(&keypair->index_next, atomic_load_explicit(bucket, memory_order_relaxed));
    atomic_store(bucket, keypair);
}

static void unpublish(struct engine *engine, struct keypair *keypair)
{
    struct keypair *_Atomic *place = &engine->indices[bucket_of(keypair->local_index)];
    struct keypair *at;
    while ((at = atomic_load_explicit(place, memory_order_relaxed)) && at != keypair)
        place = &at->index_next;
    if (at) /* who stands on it goes on by its index_next, which stays */
        atomic_store(place, atomic_load_explicit(&keypair->index_next, memory_order_relaxed));
}

static void keypair_release(struct epoch_retired *retired)
{
    struct keypair *keypair = (void *)((char *)retired - offsetof(struct keypair, retired));
    secret_give(keypair->engine->keypair_pool, keypair); /* wipes */
}

/* It left its slot. */
static void keypair_retire(struct engine *engine, struct keypair *keypair)
{
    if (!keypair)
        return;
    unpublish(engine, keypair);
    epoch_retire(&engine->epoch, &keypair->retired, keypair_release);
}

static struct keypair *keypair_new(struct peer *peer, const struct noise_keys *keys, uint32_t local_index, bool initiator, int64_t now)
{
    struct keypair *keypair = secret_take(peer->engine->keypair_pool);
    memcpy(keypair->send_key, keys->send, sizeof keypair->send_key);
    memcpy(keypair->receive_key, keys->receive, sizeof keypair->receive_key);
    keypair->local_index = local_index;
    keypair->remote_index = keys->remote_index;
    keypair->born = now;
    keypair->initiator = initiator;
    keypair->engine = peer->engine;
    keypair->peer = peer;
    return keypair;
}

/* --- slots. Two rules of the kernel's engine keep PREVIOUS empty whenever NEXT is there: a responder's new session takes the place of both, an
 * initiator's takes NEXT away. So a confirmation, on a data thread, has no session to bury. */

static struct keypair *slot_swap(struct keypair *_Atomic *slot, struct keypair *keypair)
{
    return atomic_exchange(slot, keypair);
}

/* It is confirmed already: the response proved the other side. An unconfirmed NEXT is kept as PREVIOUS: when both began a handshake at once, the other
 * side sends under it until it hears from this one. */
static void install_initiator(struct peer *peer, struct keypair *keypair, struct keypair *out[static 2])
{
    struct keypair *next = slot_swap(&peer->next, NULL);
    struct keypair *current = slot_swap(&peer->current, keypair);
    out[0] = slot_swap(&peer->previous, next ? next : current);
    out[1] = next ? current : NULL;
}

static void install_responder(struct peer *peer, struct keypair *keypair, struct keypair *out[static 2])
{
    out[0] = slot_swap(&peer->next, keypair);
    out[1] = slot_swap(&peer->previous, NULL);
}

struct keypair *keypair_install(struct peer *peer, const struct noise_keys *keys, uint32_t local_index, bool initiator, int64_t now)
{
    struct engine *engine = peer->engine;
    struct keypair *keypair = keypair_new(peer, keys, local_index, initiator, now), *out[2];
    publish(engine, keypair);
    spin_lock(&peer->lock);
    (initiator ? install_initiator : install_responder)(peer, keypair, out);
    spin_unlock(&peer->lock);
    keypair_retire(engine, out[0]);
    keypair_retire(engine, out[1]);
    return keypair;
}

bool keypair_confirm(struct keypair *keypair)
{
    struct peer *peer = keypair->peer;
    bool is_next;
    if (atomic_load_explicit(&peer->next, memory_order_relaxed) != keypair)
        return false;
    spin_lock(&peer->lock);
    is_next = atomic_load_explicit(&peer->next, memory_order_relaxed) == keypair;
    if (is_next) {
        atomic_store(&peer->previous, slot_swap(&peer->current, keypair));
        atomic_store(&peer->next, NULL);
    }
    spin_unlock(&peer->lock);
    return is_next;
}

void peer_expire(struct peer *peer)
{
    struct keypair *out[3];
    spin_lock(&peer->lock);
    out[0] = slot_swap(&peer->current, NULL);
    out[1] = slot_swap(&peer->previous, NULL);
    out[2] = slot_swap(&peer->next, NULL);
    spin_unlock(&peer->lock);
    for (size_t i = 0; i < COUNT_OF(out); i++)
        keypair_retire(peer->engine, out[i]);
    handshake_forget(peer);
    peer->session_died = 0;
}
