/* A path-compressed binary trie for each family. A node stands for a prefix; it has a peer, or two children, or both. The writer publishes each change by one
 * pointer: a reader meets the trie as it was before or after. What leaves the trie keeps its own pointers until its grace period is over. */
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
    struct trie_node *_Atomic child[2];
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
    atomic_init(&trie->root4, NULL);
    atomic_init(&trie->root6, NULL);
    trie->epoch = epoch;
    trie->nodes = 0;
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

/* --- the writer */

static struct trie_node *_Atomic *root_of(struct trie *trie, uint8_t family)
{
    return family == AF_INET ? &trie->root4 : family == AF_INET6 ? &trie->root6 : NULL;
}

static bool prefix_is_good(const struct prefix *prefix)
{
    return prefix->address.family && prefix->length <= address_bits(&prefix->address);
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

void trie_insert(struct trie *trie, const struct prefix *prefix, struct peer *peer)
{
    struct trie_node *_Atomic *place = root_of(trie, prefix->address.family);
    struct bits bits;
    struct trie_node *node, *new, *fork;
    if (!place || !prefix_is_good(prefix))
        return;
    bits = bits_of(prefix);
    while ((node = atomic_load_explicit(place, memory_order_relaxed))) {
        unsigned shorter = node->length < prefix->length ? node->length : prefix->length;
        unsigned equal = common(bits, node_bits(node), shorter);
        if (equal == node->length && equal == prefix->length) {
            hand_over(node, peer);
            return;
        }
        if (equal < node->length)
            break;
        place = &node->child[bit_at(bits, node->length)];
    }
    if (!node) {
        new = node_new(trie, prefix->address.family, bits, prefix->length);
        owner_set(new, peer);
        atomic_store(place, new);
        return;
    }
    fork = fork_at(trie, node, bits, common(bits, node_bits(node), prefix->length));
    if (fork->length == prefix->length) {
        owner_set(fork, peer);
    } else {
        new = node_new(trie, prefix->address.family, bits, prefix->length);
        owner_set(new, peer);
        atomic_init(&fork->child[bit_at(bits, fork->length)], new);
    }
    atomic_store(place, fork);
}

/* NODE at PLACE has lost its peer: with less than two children it goes. Returns whether it did. */
static bool shrink(struct trie *trie, struct trie_node *_Atomic *place, struct trie_node *node)
{
    struct trie_node *left = atomic_load_explicit(&node->child[0], memory_order_relaxed);
    struct trie_node *right = atomic_load_explicit(&node->child[1], memory_order_relaxed);
    if (left && right)
        return false;
    atomic_store(place, left ? left : right);
    node_retire(trie, node);
    return true;
}

void trie_remove(struct trie *trie, const struct prefix *prefix, const struct peer *peer)
{
    struct trie_node *_Atomic *place = root_of(trie, prefix->address.family);
    struct trie_node *_Atomic *above = NULL;
    struct trie_node *node, *parent = NULL;
    struct bits bits;
    if (!place || !prefix_is_good(prefix))
        return;
    bits = bits_of(prefix);
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
    free_below(trie, atomic_load_explicit(&node->child[0], memory_order_relaxed));
    free_below(trie, atomic_load_explicit(&node->child[1], memory_order_relaxed));
    if (atomic_load_explicit(&node->peer, memory_order_relaxed))
        owner_clear(node);
    free(node);
    trie->nodes--;
}

void trie_end(struct trie *trie)
{
    free_below(trie, atomic_exchange(&trie->root4, NULL));
    free_below(trie, atomic_exchange(&trie->root6, NULL));
}

/* --- the readers */

struct peer *trie_find4(const struct trie *trie, const uint8_t address[static 4])
{
    struct peer *found = NULL;
    uint32_t word;
    memcpy(&word, address, sizeof word);
    word = ntohl(word);
    /* In 64 bits, so that shifts by 32 need no case of their own; a node of 32 bits has no child. */
    for (struct trie_node *node = atomic_load(&trie->root4); node;
         node = atomic_load(&node->child[(uint64_t)word << node->length >> 31 & 1])) {
        struct peer *peer = atomic_load(&node->peer);
        if ((uint64_t)(word ^ node->bits4) >> (32 - node->length))
            break;
        found = peer ? peer : found;
    }
    return found;
}

static bool covers6(const struct trie_node *node, uint64_t high, uint64_t low)
{
    unsigned length = node->length;
    if (length <= 64)
        return length == 0 || (high ^ node->bits6[0]) >> (64 - length) == 0;
    return high == node->bits6[0] && (low ^ node->bits6[1]) >> (128 - length) == 0;
}

struct peer *trie_find6(const struct trie *trie, const uint8_t address[static 16])
{
    struct peer *found = NULL;
    uint64_t high = read_big(address), low = read_big(address + 8);
    for (struct trie_node *node = atomic_load(&trie->root6); node && covers6(node, high, low);) {
        struct peer *peer = atomic_load(&node->peer);
        unsigned length = node->length;
        found = peer ? peer : found;
        if (length == 128)
            break;
        node = atomic_load(&node->child[(length < 64 ? high << length : low << (length - 64)) >> 63]);
    }
    return found;
}
