/* Allowed IPs: longest-prefix match to a peer (cryptokey routing, whitepaper section 2). One writer (control thread), any readers online in the epoch. */
#ifndef WGDECK_ENGINE_TRIE_H
#define WGDECK_ENGINE_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "epoch.h"
#include "wgdeck/prefix.h"

struct peer;
struct trie_node;
struct trie_hosts;
struct trie_family {
    struct trie_node *_Atomic root;
    struct trie_hosts *_Atomic hosts; /* rows of whole addresses once more, by hash; NULL: there are few */
    size_t host_count;
};
struct trie {
    struct trie_family v4, v6;
    struct epoch *epoch;
    uint64_t nodes; /* for tests: goes back to 0 when all is removed */
};

void trie_begin(struct trie *trie, struct epoch *epoch);
void trie_insert(struct trie *trie, const struct prefix *prefix, struct peer *peer); /* host bits are cleared; an equal one changes hands */
void trie_remove(struct trie *trie, const struct prefix *prefix, const struct peer *peer); /* only if it is PEER's */
void trie_remove_peer(struct trie *trie, struct peer *peer);
/* PEER's prefixes, one a call: CURSOR begins as NULL; NULL returned at the end. Sorted is not promised. Control thread. */
struct trie_node *trie_next(struct trie *trie, const struct peer *peer, struct trie_node *cursor, struct prefix *prefix);
struct peer *trie_find4(const struct trie *trie, const uint8_t address[static 4]);  /* or NULL */
struct peer *trie_find6(const struct trie *trie, const uint8_t address[static 16]);
void trie_end(struct trie *trie);

#endif
