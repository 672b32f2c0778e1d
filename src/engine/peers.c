/* The engine's tables: peers by key and in order, their endpoints, what data threads tell control about them, and this node's own keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "engine.h"
#include "wgdeck/mem.h"

_Static_assert(sizeof ((struct engine *)0)->hash_key == crypto_shorthash_KEYBYTES, "siphash");

/* --- values that one thread writes while others read: copied word by word between two reads of a sequence number (a seqlock). Acquire and release on each
 * word cost nothing on x86 and need no fence. */

typedef uint32_t __attribute__((may_alias)) word;

static void words_write(_Atomic uint32_t *sequence, void *to, const void *from, size_t size)
{
    uint32_t before = atomic_load_explicit(sequence, memory_order_relaxed), value;
    atomic_store_explicit(sequence, before + 1, memory_order_relaxed);
    for (size_t i = 0; i < size / sizeof value; i++) {
        memcpy(&value, (const char *)from + i * sizeof value, sizeof value);
        __atomic_store_n((word *)to + i, value, __ATOMIC_RELEASE);
    }
    atomic_store_explicit(sequence, before + 2, memory_order_release);
}

static void words_read(const _Atomic uint32_t *sequence, void *to, const void *from, size_t size)
{
    uint32_t before, value;
    for (unsigned tries = 0;; tries++) {
        before = atomic_load_explicit(sequence, memory_order_acquire);
        for (size_t i = 0; i < size / sizeof value; i++) {
            value = __atomic_load_n((const word *)from + i, __ATOMIC_ACQUIRE);
            memcpy((char *)to + i * sizeof value, &value, sizeof value);
        }
        if (!(before & 1) && atomic_load_explicit(sequence, memory_order_relaxed) == before)
            return;
        if (tries > 100)
            sched_yield();
    }
}

_Static_assert(sizeof(struct udp_endpoint) % sizeof(word) == 0 && sizeof(struct mac_key) % sizeof(word) == 0, "whole words");

/* --- endpoints */

void peer_endpoint_get(const struct peer *peer, struct udp_endpoint *endpoint)
{
    words_read(&peer->endpoint_sequence, endpoint, &peer->endpoint, sizeof *endpoint);
}

void peer_endpoint_set(struct peer *peer, const struct udp_endpoint *endpoint)
{
    struct udp_endpoint old;
    peer_endpoint_get(peer, &old);
    if (udp_endpoint_equal(&old, endpoint))
        return;
    spin_lock(&peer->lock);
    words_write(&peer->endpoint_sequence, &peer->endpoint, endpoint, sizeof *endpoint);
    spin_unlock(&peer->lock);
}

void peer_endpoint_clear_source(struct peer *peer)
{
    struct udp_endpoint endpoint;
    spin_lock(&peer->lock);
    endpoint = peer->endpoint; /* nobody writes while the lock is held */
    if (endpoint.source_family) {
        memset(&endpoint.source, 0, sizeof endpoint.source);
        endpoint.source_family = 0;
        endpoint.source_interface = 0;
        words_write(&peer->endpoint_sequence, &peer->endpoint, &endpoint, sizeof endpoint);
    }
    spin_unlock(&peer->lock);
}

/* --- the inbox: a stack to which any thread adds, and which control takes whole */

void engine_wake(struct engine *engine)
{
    static const uint64_t one = 1;
    if (!atomic_load(&engine->control_awake) && !atomic_exchange(&engine->control_awake, true) && engine->control_kick >= 0)
        while (write(engine->control_kick, &one, sizeof one) < 0 && errno == EINTR) {}
}

void peer_post(struct peer *peer, uint32_t events)
{
    struct engine *engine = peer->engine;
    struct peer *top;
    if (atomic_fetch_or(&peer->events, events))
        return; /* it is in the inbox */
    top = atomic_load_explicit(&engine->inbox, memory_order_relaxed);
    do
        peer->inbox_next = top;
    while (!atomic_compare_exchange_weak(&engine->inbox, &top, peer));
    engine_wake(engine);
}

struct peer *engine_inbox_take(struct engine *engine)
{
    struct peer *peer = atomic_exchange(&engine->inbox, NULL), *first = NULL, **end = &first, *next;
    for (; peer; peer = next) {
        next = peer->inbox_next;
        if (atomic_load_explicit(&peer->dead, memory_order_relaxed)) {
            atomic_exchange(&peer->events, 0);
        } else {
            *end = peer;
            end = &peer->inbox_next;
        }
    }
    *end = NULL;
    return first;
}

/* --- the table by public key */

static size_t slot_of(const struct engine *engine, const struct key *public_key)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, public_key->bytes, sizeof public_key->bytes, engine->hash_key);
    return hash & (engine->by_key_size - 1);
}

struct peer *peer_find(struct engine *engine, const struct key *public_key)
{
    struct peer *peer = engine->by_key[slot_of(engine, public_key)];
    while (peer && key_compare(&peer->noise.public_key, public_key) != 0)
        peer = peer->hash_next;
    return peer;
}

static void hash_in(struct engine *engine, struct peer *peer)
{
    struct peer **slot = &engine->by_key[slot_of(engine, &peer->noise.public_key)];
    peer->hash_next = *slot;
    *slot = peer;
}

static void hash_out(struct engine *engine, struct peer *peer)
{
    struct peer **place = &engine->by_key[slot_of(engine, &peer->noise.public_key)];
    while (*place != peer)
        place = &(*place)->hash_next;
    *place = peer->hash_next;
}

static void hash_grow(struct engine *engine)
{
    free(engine->by_key);
    engine->by_key_size *= 2;
    engine->by_key = mem_alloc(engine->by_key_size, sizeof *engine->by_key);
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next)
        hash_in(engine, peer);
}

/* --- peers */

struct peer *peer_add(struct engine *engine, const struct key *public_key)
{
    struct peer *peer = secret_take(engine->peer_pool);
    if (engine->peer_count == engine->by_key_size)
        hash_grow(engine);
    peer->engine = engine;
    peer->noise.public_key = *public_key;
    noise_static_prepare(&peer->noise, engine->identity);
    mac_key_make(&peer->mac1_key, public_key);
    cookie_key_make(&peer->cookie_key, public_key);
    peer->staged_end = &peer->staged;
    atomic_init(&peer->armed, INT64_MAX);
    peer->list_back = engine->peers_end;
    *engine->peers_end = peer;
    engine->peers_end = &peer->list_next;
    hash_in(engine, peer);
    engine->peer_count++;
    return peer;
}

static void peer_release(struct epoch_retired *retired)
{
    struct peer *peer = (void *)((char *)retired - offsetof(struct peer, retired));
    struct engine *engine = peer->engine;
    staged_drop(peer); /* what a data thread that had seen it still put there */
    if (atomic_load(&peer->events)) { /* in the inbox: control will take it from there; then another try */
        epoch_retire(&engine->epoch, &peer->retired, peer_release);
        return;
    }
    secret_give(engine->peer_pool, peer);
}

void peer_remove(struct peer *peer)
{
    struct engine *engine = peer->engine;
    atomic_store(&peer->dead, true);
    trie_remove_peer(&engine->trie, peer);
    hash_out(engine, peer);
    *peer->list_back = peer->list_next;
    if (peer->list_next)
        peer->list_next->list_back = peer->list_back;
    else
        engine->peers_end = peer->list_back;
    engine->peer_count--;
    peer_expire(peer);
    staged_drop(peer);
    if (engine->protocol)
        timers_peer_removed(peer);
    epoch_retire(&engine->epoch, &peer->retired, peer_release);
}

void peer_set_preshared(struct peer *peer, const struct key *preshared)
{
    peer->noise.preshared = *preshared;
}

/* --- this node's keys */

static void node_macs(struct engine *engine)
{
    struct mac_key key = {0};
    if (engine->identity->set)
        mac_key_make(&key, &engine->identity->public_key);
    words_write(&engine->identity_sequence, &engine->mac1_key, &key, sizeof key);
    cookie_key_make(&engine->cookie_key, &engine->identity->public_key);
}

bool engine_mac1_key(const struct engine *engine, struct mac_key *key)
{
    static const struct mac_key none;
    words_read(&engine->identity_sequence, key, &engine->mac1_key, sizeof *key);
    return sodium_memcmp(key, &none, sizeof none) != 0;
}

/* As RFC 7748 section 5 wants it; the key is read back so. */
static void clamp(struct key *key)
{
    key->bytes[0] &= 248;
    key->bytes[31] = (uint8_t)((key->bytes[31] & 127) | 64);
}

void engine_set_private_key(struct engine *engine, const struct key *private_key)
{
    struct noise_identity *identity = engine->identity;
    struct key key = *private_key;
    struct peer *self;
    bool set = !key_is_zero(&key);
    if (set)
        clamp(&key);
    if (set == identity->set && key_equal(&key, &identity->private_key)) {
        key_wipe(&key);
        return;
    }
    sodium_memzero(identity, sizeof *identity);
    identity->set = set;
    identity->private_key = key;
    key_wipe(&key);
    if (set) {
        key_public(&identity->private_key, &identity->public_key);
        if ((self = peer_find(engine, &identity->public_key)))
            peer_remove(self);
    }
    node_macs(engine);
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next) {
        noise_static_prepare(&peer->noise, identity);
        peer_expire(peer);
        peer->handshake_sent = 0; /* the next packet may begin a handshake at once */
        atomic_store_explicit(&peer->handshake_asked, 0, memory_order_relaxed);
    }
}

/* --- the engine */

#define FIRST_TABLE 64 /* a power of two */

int engine_begin(struct engine *engine, const char *name, struct err *err)
{
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof engine->name) {
        errno = length ? ENAMETOOLONG : EINVAL;
        return err_set(err, "interface name \"%s\": it must have 1 to %zu characters", name, sizeof engine->name - 1);
    }
    if (sodium_init() < 0) {
        errno = EIO;
        return err_set(err, "no random numbers from this system (getrandom)");
    }
    memcpy(engine->name, name, length + 1);
    epoch_begin(&engine->epoch);
    trie_begin(&engine->trie, &engine->epoch);
    engine->peer_pool = secret_pool_new(sizeof(struct peer));
    engine->keypair_pool = secret_pool_new(sizeof(struct keypair));
    engine->identity_pool = secret_pool_new(sizeof(struct noise_identity));
    engine->identity = secret_take(engine->identity_pool);
    engine->peers_end = &engine->peers;
    engine->by_key_size = FIRST_TABLE;
    engine->by_key = mem_alloc(FIRST_TABLE, sizeof *engine->by_key);
    randombytes_buf(engine->hash_key, sizeof engine->hash_key);
    engine->handshakes = mem_alloc(1, sizeof *engine->handshakes);
    engine->control_kick = -1;
    engine->control_reader = 2 * UDP_QUEUES;
    for (unsigned i = 0; i < UDP_QUEUES; i++) {
        engine->workers[i].engine = engine;
        engine->workers[i].queue = i;
        engine->workers[i].tx_reader = 2 * i;
        engine->workers[i].rx_reader = 2 * i + 1;
        engine->workers[i].tx_kick = engine->workers[i].rx_kick = -1;
    }
    return 0;
}

void engine_end(struct engine *engine)
{
    while (engine->peers)
        peer_remove(engine->peers);
    engine_inbox_take(engine); /* all are dead: their events are forgotten */
    for (unsigned i = 0; i < EPOCH_READERS; i++)
        epoch_leave(&engine->epoch, i);
    while (epoch_reclaim(&engine->epoch)) {}
    trie_end(&engine->trie);
    free(engine->handshakes);
    free(engine->by_key);
    secret_pool_free(engine->peer_pool);
    secret_pool_free(engine->keypair_pool);
    secret_pool_free(engine->identity_pool);
    sodium_memzero(&engine->mac1_key, sizeof engine->mac1_key);
}
