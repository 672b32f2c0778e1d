/* Allowed prefixes, kept once however many rows have the same ones: in a mesh of N nodes each list stands in N rows, and again in the
 * saved files. A list belongs to nobody alone and is never written. */
#include <pthread.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/device.h"
#include "wgdeck/mem.h"

struct shared {
    struct shared *next;    /* of the same slot */
    uint64_t hash;
    size_t users, count;
    struct prefix prefixes[];
};

static struct {
    pthread_mutex_t lock; /* a thread may free what another one made */
    struct shared **slots;
    size_t slot_count, count;
    bool keyed;
    unsigned char key[crypto_shorthash_KEYBYTES];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Over whole structs, which have no padding. Keyed, so that no node can choose lists that all fall into one slot. */
static uint64_t hash_of(const struct prefix *prefixes, size_t count)
{
    uint64_t hash;
    if (!table.keyed)
        randombytes_buf(table.key, sizeof table.key);
    table.keyed = true;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)prefixes, count * sizeof *prefixes, table.key);
    return hash;
}

static void grow(void)
{
    size_t count = table.slot_count ? table.slot_count * 2 : 64;
    struct shared **slots = mem_alloc(count, sizeof *slots);
    for (size_t i = 0; i < table.slot_count; i++)
        for (struct shared *shared = table.slots[i], *next; shared; shared = next) {
            next = shared->next;
            shared->next = slots[shared->hash & (count - 1)];
            slots[shared->hash & (count - 1)] = shared;
        }
    free(table.slots);
    table.slots = slots;
    table.slot_count = count;
}

static struct shared *find_or_add(const struct prefix *prefixes, size_t count)
{
    uint64_t hash = hash_of(prefixes, count);
    struct shared *shared = table.slot_count ? table.slots[hash & (table.slot_count - 1)] : NULL;
    while (shared && (shared->hash != hash || shared->count != count || memcmp(shared->prefixes, prefixes, count * sizeof *prefixes) != 0))
        shared = shared->next;
    if (shared)
        return shared;
    if (table.count == table.slot_count)
        grow();
    shared = mem_alloc(1, sizeof *shared + count * sizeof *prefixes);
    *shared = (struct shared){.next = table.slots[hash & (table.slot_count - 1)], .hash = hash, .count = count};
    memcpy(shared->prefixes, prefixes, count * sizeof *prefixes);
    table.slots[hash & (table.slot_count - 1)] = shared;
    table.count++;
    return shared;
}

static void drop(struct shared *shared)
{
    struct shared **at = &table.slots[shared->hash & (table.slot_count - 1)];
    if (--shared->users)
        return;
    while (*at != shared)
        at = &(*at)->next;
    *at = shared->next;
    free(shared);
    if (--table.count == 0) {
        free(table.slots);
        table.slots = NULL;
        table.slot_count = 0;
    }
}

static struct shared *shared_of(const struct device_peer *peer)
{
    return (void *)((char *)peer->allowed - offsetof(struct shared, prefixes));
}

void device_share_allowed(struct device_peer *peer)
{
    if (peer->allowed_shared || !peer->allowed_count)
        return;
    pthread_mutex_lock(&table.lock);
    struct shared *shared = find_or_add(peer->allowed, peer->allowed_count);
    shared->users++;
    pthread_mutex_unlock(&table.lock);
    free(peer->allowed);
    peer->allowed = shared->prefixes;
    peer->allowed_shared = true;
}

void device_copy_allowed(struct device_peer *to, const struct device_peer *from)
{
    to->allowed_count = from->allowed_count;
    to->allowed_shared = from->allowed_shared;
    if (from->allowed_shared) {
        pthread_mutex_lock(&table.lock);
        shared_of(from)->users++;
        pthread_mutex_unlock(&table.lock);
        to->allowed = from->allowed;
    } else {
        to->allowed = mem_copy(from->allowed, from->allowed_count, sizeof *from->allowed);
    }
}

void device_free_allowed(struct device_peer *peer)
{
    if (peer->allowed_shared) {
        pthread_mutex_lock(&table.lock);
        drop(shared_of(peer));
        pthread_mutex_unlock(&table.lock);
    } else {
        free(peer->allowed);
    }
    peer->allowed = NULL;
    peer->allowed_count = 0;
    peer->allowed_shared = false;
}
