/* A path-compressed binary trie for each family. A node stands for a prefix; it has a peer, or two children, or both. The writer publishes each change by one
 * pointer: a reader meets the trie as it was before or after. What leaves the trie keeps its own pointers until its grace period is over.
 *
 * With thousands of peers most rows are whole addresses, and the trie is a dozen nodes deep, each a miss in the cache. So these rows are also in a hash table:
 * no other row can be longer. The trie is what counts: who does not find an address in the table asks the trie, and the table may be rebuilt under readers. */
#include "trie.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "wgdeck/mem.h"

/* An address or prefix as the writer sees it, bit 0 highest; IPv4 in the upper half of HIGH. */
struct bits { uint64_t high, low; };

/* What a reader looks at comes first and fits half a cache line. Packed to 56 bytes (IPv4), 72 (IPv6). */
struct trie_node {
    union {
        struct trie_node *_Atomic child[2];
        struct trie_node *_Atomic host_next; /* a whole address has no children: chain of the hash table */
    };
    struct peer *_Atomic peer;          /* NULL: only a fork in the road */
    uint32_t bits4;                     /* IPv4, host order */
    uint8_t length, family;
    union {                             /* the writer's */
        struct { struct trie_node *next, *previous; } list; /* of the peer; a ring in the order of insertion */
        struct epoch_retired retired;   /* after it left the trie */
    } own;
    uint64_t bits6[];                   /* IPv6: two words */
};

void trie_begin(struct trie *trie, struct epoch *epoch)
{
    *trie = (struct trie){.epoch = epoch};
}

/* --- bits */

static uint64_t read_big(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

static uint64_t keep(uint64_t value, unsigned length)
{
    return length == 0 ? 0 : length >= 64 ? value : value & ~UINT64_C(0) << (64 - length);
}

static struct bits bits_of(const struct prefix *prefix)
{
    const uint8_t *bytes = prefix->address.bytes;
    struct bits bits = {read_big(bytes), prefix->address.family == AF_INET6 ? read_big(bytes + 8) : 0};
    bits.high = keep(bits.high, prefix->length);
    bits.low = keep(bits.low, prefix->length > 64 ? prefix->length - 64 : 0);
    return bits;
}

static struct bits node_bits(const struct trie_node *node)
{
    return node->family == AF_INET ? (struct bits){(uint64_t)node->bits4 << 32, 0} : (struct bits){node->bits6[0], node->bits6[1]};
}

static unsigned bit_at(struct bits bits, unsigned position)
{
    return (position < 64 ? bits.high >> (63 - position) : bits.low >> (127 - position)) & 1;
}

/* How many leading bits are equal, LIMIT at most. */
static unsigned common(struct bits a, struct bits b, unsigned limit)
{
    unsigned equal = a.high != b.high ? (unsigned)__builtin_clzll(a.high ^ b.high)
                     : a.low != b.low ? 64 + (unsigned)__builtin_clzll(a.low ^ b.low)
                                      : 128;
    return equal < limit ? equal : limit;
}

static struct bits cut(struct bits bits, unsigned length)
{
    return (struct bits){keep(bits.high, length), keep(bits.low, length > 64 ? length - 64 : 0)};
}

/* --- nodes */

static struct trie_node *node_new(struct trie *trie, uint8_t family, struct bits bits, unsigned length)
{
    struct trie_node *node = mem_alloc(1, sizeof *node + (family == AF_INET6 ? 2 * sizeof node->bits6[0] : 0));
    node->family = family;
    node->length = (uint8_t)length;
    bits = cut(bits, length);
    if (family == AF_INET) {
        node->bits4 = (uint32_t)(bits.high >> 32);
    } else {
        node->bits6[0] = bits.high;
        node->bits6[1] = bits.low;
    }
    trie->nodes++;
    return node;
}

static void node_release(struct epoch_retired *retired)
{
    free((char *)retired - offsetof(struct trie_node, own.retired));
}

static void node_retire(struct trie *trie, struct trie_node *node)
{
    trie->nodes--;
    epoch_retire(trie->epoch, &node->own.retired, node_release);
}

static void owner_clear(struct trie_node *node)
{
    struct peer *peer = atomic_load_explicit(&node->peer, memory_order_relaxed);
    struct trie_node *next = node->own.list.next, *previous = node->own.list.previous;
    next->own.list.previous = previous;
    previous->own.list.next = next;
    if (peer->prefixes == node)
        peer->prefixes = previous == node ? NULL : previous;
    peer->prefix_count--;
}

/* peer->prefixes is the newest; the oldest follows it in the ring. */
static void owner_set(struct trie_node *node, struct peer *peer)
{
    struct trie_node *last = peer->prefixes;
    struct trie_node *first = last ? last->own.list.next : node;
    node->own.list.next = first;
    node->own.list.previous = last ? last : node;
    first->own.list.previous = node;
    if (last)
        last->own.list.next = node;
    peer->prefixes = node;
    peer->prefix_count++;
    atomic_store(&node->peer, peer);
}

/* --- the table of whole addresses */

#define FEW_HOSTS 64 /* below it the trie alone is as fast */

struct trie_hosts {
    struct epoch_retired retired;
    unsigned size_bits;
    struct trie_node *_Atomic buckets[];
};

/* Multiplied by an odd constant, the high bits are well mixed also for addresses in a row. */
static size_t bucket4(const struct trie_hosts *hosts, uint32_t address)
{
    return address * UINT64_C(0x9e3779b97f4a7c15) >> (64 - hosts->size_bits);
}

static size_t bucket6(const struct trie_hosts *hosts, uint64_t high, uint64_t low)
{
    return (high ^ low * UINT64_C(0xff51afd7ed558ccd)) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - hosts->size_bits);
}

static struct trie_node *_Atomic *bucket_of(struct trie_hosts *hosts, const struct trie_node *node)
{
    return &hosts->buckets[node->family == AF_INET ? bucket4(hosts, node->bits4) : bucket6(hosts, node->bits6[0], node->bits6[1])];
}

static bool is_host(const struct trie_node *node)
{
    return node->length == (node->family == AF_INET ? 32 : 128);
}

static void bucket_put(struct trie_hosts *hosts, struct trie_node *node)
{
    struct trie_node *_Atomic *bucket = bucket_of(hosts, node);
    atomic_store(&node->host_next, atomic_load_explicit(bucket, memory_order_relaxed));
    atomic_store(bucket, node);
}

static void hosts_release(struct epoch_retired *retired)
{
    free((char *)retired - offsetof(struct trie_hosts, retired));
}

static void hosts_fill(struct trie_hosts *hosts, struct trie_node *node)
{
    if (!node)
        return;
    if (is_host(node)) {
        bucket_put(hosts, node);
        return;
    }
    hosts_fill(hosts, atomic_load_explicit(&node->child[0], memory_order_relaxed));
    hosts_fill(hosts, atomic_load_explicit(&node->child[1], memory_order_relaxed));
}

/* A reader in the old table may be led into a chain of the new one; it finds what it looks for there, or an end, and asks the trie. */
static void hosts_rebuild(struct trie *trie, struct trie_family *family)
{
    struct trie_hosts *old = atomic_load_explicit(&family->hosts, memory_order_relaxed), *new = NULL;
    if (family->host_count >= FEW_HOSTS) {
        unsigned size_bits = 65 - (unsigned)__builtin_clzll(family->host_count); /* 2 to 4 buckets a row */
        new = mem_alloc(1, sizeof *new + (sizeof new->buckets[0] << size_bits));
        new->size_bits = size_bits;
        hosts_fill(new, atomic_load_explicit(&family->root, memory_order_relaxed));
    }
    atomic_store(&family->hosts, new);
    if (old)
        epoch_retire(trie->epoch, &old->retired, hosts_release);
}

/* Too small, or four times too large, for so many rows. */
static bool hosts_misfit(const struct trie_hosts *hosts, size_t count)
{
    size_t size = hosts ? (size_t)1 << hosts->size_bits : 0;
    return hosts ? count > size || count < size / 8 : count >= FEW_HOSTS;
}

static void host_enter(struct trie *trie, struct trie_family *family, struct trie_node *node)
{
    struct trie_hosts *hosts = atomic_load_explicit(&family->hosts, memory_order_relaxed);
    if (hosts_misfit(hosts, ++family->host_count))
        hosts_rebuild(trie, family);
    else if (hosts)
        bucket_put(hosts, node);
}

/* NODE has left the trie; its host_next stays for who stands on it. */
static void host_leave(struct trie *trie, struct trie_family *family, struct trie_node *node)
{
    struct trie_hosts *hosts = atomic_load_explicit(&family->hosts, memory_order_relaxed);
    struct trie_node *_Atomic *place;
    struct trie_node *at;
    family->host_count--;
    if (!hosts)
        return;
    for (place = bucket_of(hosts, node); (at = atomic_load_explicit(place, memory_order_relaxed)) && at != node;)
        place = &at->host_next;
    if (at)
        atomic_store(place, atomic_load_explicit(&node->host_next, memory_order_relaxed));
    if (hosts_misfit(hosts, family->host_count))
        hosts_rebuild(trie, family);
}

/* --- the writer */

static struct trie_family *family_of(struct trie *trie, uint8_t family)
{
    return family == AF_INET ? &trie->v4 : &trie->v6;
}

static bool prefix_is_good(const struct prefix *prefix)
{
    return (prefix->address.family == AF_INET || prefix->address.family == AF_INET6) && prefix->length <= address_bits(&prefix->address);
}

static void hand_over(struct trie_node *node, struct peer *peer)
{
    struct peer *old = atomic_load_explicit(&node->peer, memory_order_relaxed);
    if (old == peer)
        return;
    if (old)
        owner_clear(node);
    owner_set(node, peer);
}

/* Where a row begins to differ from NODE, at bit AT: a new node takes NODE's place, and has it as a child. */
static struct trie_node *fork_at(struct trie *trie, struct trie_node *node, struct bits bits, unsigned at)
{
    struct trie_node *fork = node_new(trie, node->family, bits, at);
    atomic_init(&fork->child[bit_at(node_bits(node), at)], node);
    return fork;
}

static struct trie_node *leaf_new(struct trie *trie, const struct prefix *prefix, struct bits bits, struct peer *peer)
{
    struct trie_node *leaf = node_new(trie, prefix->address.family, bits, prefix->length);
    owner_set(leaf, peer);
    return leaf;
}

/* The row is not in the trie: put it at PLACE, where NODE is that is no prefix of it, or nothing. */
static void put(struct trie *trie, struct trie_node *_Atomic *place, struct trie_node *node, const struct prefix *prefix, struct peer *peer)
{
    struct bits bits = bits_of(prefix);
    struct trie_node *leaf = NULL, *fork;
    unsigned at = node ? common(bits, node_bits(node), prefix->length) : prefix->length;
    if (!node || at < prefix->length)
        leaf = leaf_new(trie, prefix, bits, peer);
    if (!node) {
        atomic_store(place, leaf);
    } else {
        fork = fork_at(trie, node, bits, at);
        if (leaf)
            atomic_init(&fork->child[bit_at(bits, at)], leaf);
        else
            owner_set(fork, peer);
        atomic_store(place, fork);
    }
    if (leaf && is_host(leaf))
        host_enter(trie, family_of(trie, leaf->family), leaf);
}

void trie_insert(struct trie *trie, const struct prefix *prefix, struct peer *peer)
{
    struct trie_node *_Atomic *place;
    struct trie_node *node;
    struct bits bits;
    if (!prefix_is_good(prefix))
        return;
    bits = bits_of(prefix);
    place = &family_of(trie, prefix->address.family)->root;
    while ((node = atomic_load_explicit(place, memory_order_relaxed))) {
        unsigned equal = common(bits, node_bits(node), node->length < prefix->length ? node->length : prefix->length);
        if (equal == node->length && equal == prefix->length) {
            hand_over(node, peer);
            return;
        }
        if (equal < node->length)
            break;
        place = &node->child[bit_at(bits, node->length)];
    }
    put(trie, place, node, prefix, peer);
}

/* NODE at PLACE has lost its peer: with less than two children it goes. Returns whether it did. */
static bool shrink(struct trie *trie, struct trie_node *_Atomic *place, struct trie_node *node)
{
    struct trie_node *left = NULL, *right = NULL;
    if (!is_host(node)) {
        left = atomic_load_explicit(&node->child[0], memory_order_relaxed);
        right = atomic_load_explicit(&node->child[1], memory_order_relaxed);
    }
    if (left && right)
        return false;
    atomic_store(place, left ? left : right);
    if (is_host(node))
        host_leave(trie, family_of(trie, node->family), node);
    node_retire(trie, node);
    return true;
}

void trie_remove(struct trie *trie, const struct prefix *prefix, const struct peer *peer)
{
    struct trie_node *_Atomic *place, *_Atomic *above = NULL;
    struct trie_node *node, *parent = NULL;
    struct bits bits;
    if (!prefix_is_good(prefix))
        return;
    bits = bits_of(prefix);
    place = &family_of(trie, prefix->address.family)->root;
    while ((node = atomic_load_explicit(place, memory_order_relaxed)) && node->length < prefix->length) {
        above = place;
        parent = node;
        place = &node->child[bit_at(bits, node->length)];
    }
    if (!node || node->length != prefix->length || common(bits, node_bits(node), 128) != 128 ||
        atomic_load_explicit(&node->peer, memory_order_relaxed) != peer || !peer)
        return;
    owner_clear(node);
    atomic_store(&node->peer, NULL);
    if (shrink(trie, place, node) && parent && !atomic_load_explicit(&parent->peer, memory_order_relaxed))
        shrink(trie, above, parent);
}

void trie_remove_peer(struct trie *trie, struct peer *peer)
{
    struct prefix prefix;
    while (trie_next(trie, peer, NULL, &prefix))
        trie_remove(trie, &prefix, peer);
}

static void prefix_of(const struct trie_node *node, struct prefix *prefix)
{
    struct bits bits = node_bits(node);
    uint64_t words[2] = {htobe64(bits.high), htobe64(bits.low)};
    *prefix = (struct prefix){.address.family = node->family, .length = node->length};
    memcpy(prefix->address.bytes, words, sizeof words);
}

struct trie_node *trie_next(struct trie *trie, const struct peer *peer, struct trie_node *cursor, struct prefix *prefix)
{
    (void)trie;
    if (!peer->prefixes || cursor == peer->prefixes)
        return NULL;
    cursor = (cursor ? cursor : peer->prefixes)->own.list.next;
    prefix_of(cursor, prefix);
    return cursor;
}

static void free_below(struct trie *trie, struct trie_node *node)
{
    if (!node)
        return;
    if (!is_host(node)) {
        free_below(trie, atomic_load_explicit(&node->child[0], memory_order_relaxed));
        free_below(trie, atomic_load_explicit(&node->child[1], memory_order_relaxed));
    }
    if (atomic_load_explicit(&node->peer, memory_order_relaxed))
        owner_clear(node);
    free(node);
    trie->nodes--;
}

void trie_end(struct trie *trie)
{
    struct trie_family *families[] = {&trie->v4, &trie->v6};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        free_below(trie, atomic_exchange(&families[i]->root, NULL));
        free(atomic_exchange(&families[i]->hosts, NULL));
        families[i]->host_count = 0;
    }
}

/* --- the readers */

static struct peer *walk4(const struct trie *trie, uint32_t address)
{
    struct peer *found = NULL;
    struct trie_node *node = atomic_load(&trie->v4.root);
    while (node && (uint64_t)(address ^ node->bits4) >> (32 - node->length) == 0) { /* in 64 bits: 32 is no shift for 32 */
        struct peer *peer = atomic_load(&node->peer);
        found = peer ? peer : found;
        if (node->length == 32)
            break;
        node = atomic_load(&node->child[address >> (31 - node->length) & 1]);
    }
    return found;
}

struct peer *trie_find4(const struct trie *trie, const uint8_t address[static 4])
{
    struct trie_hosts *hosts = atomic_load(&trie->v4.hosts);
    struct peer *peer;
    uint32_t word;
    memcpy(&word, address, sizeof word);
    word = ntohl(word);
    if (hosts)
        for (struct trie_node *node = atomic_load(&hosts->buckets[bucket4(hosts, word)]); node; node = atomic_load(&node->host_next))
            if (node->bits4 == word && (peer = atomic_load(&node->peer)))
                return peer;
    return walk4(trie, word);
}

static bool covers6(const struct trie_node *node, uint64_t high, uint64_t low)
{
    unsigned length = node->length;
    if (length <= 64)
        return length == 0 || (high ^ node->bits6[0]) >> (64 - length) == 0;
    return high == node->bits6[0] && (low ^ node->bits6[1]) >> (128 - length) == 0;
}

static struct peer *walk6(const struct trie *trie, uint64_t high, uint64_t low)
{
    struct peer *found = NULL;
    struct trie_node *node = atomic_load(&trie->v6.root);
    while (node && covers6(node, high, low)) {
        struct peer *peer = atomic_load(&node->peer);
        unsigned length = node->length;
        found = peer ? peer : found;
        if (length == 128)
            break;
        node = atomic_load(&node->child[(length < 64 ? high << length : low << (length - 64)) >> 63]);
    }
    return found;
}

struct peer *trie_find6(const struct trie *trie, const uint8_t address[static 16])
{
    struct trie_hosts *hosts = atomic_load(&trie->v6.hosts);
    struct peer *peer;
    uint64_t high = read_big(address), low = read_big(address + 8);
    if (hosts)
        for (struct trie_node *node = atomic_load(&hosts->buckets[bucket6(hosts, high, low)]); node; node = atomic_load(&node->host_next))
            if (node->bits6[0] == high && node->bits6[1] == low && (peer = atomic_load(&node->peer)))
                return peer;
    return walk6(trie, high, low);
}
