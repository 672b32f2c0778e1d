/* What the engine's threads share, and who may write it. Read this page before any other of src/engine.
 *
 * Threads: per queue one TX (TUN to UDP) and one RX (UDP to TUN); one control thread for handshakes, timers, the control socket. TX and RX run each packet to
 * completion; they never lock but for one uncontended lock a batch, never allocate, never queue (but for staging while there is no session).
 *
 * Written by control alone: peers, rows of the trie, keypairs' birth and death, sockets. Data threads see them by atomic pointers while they are online in the
 * epoch (epoch.h); what is taken away is freed later. Roaming, confirmation of a new key and staging are done by the thread that meets them, under the peer's
 * lock. Everything else that data threads tell control goes through peer_post: a few bits and a wake-up. */
#ifndef WGDECK_ENGINE_ENGINE_H
#define WGDECK_ENGINE_ENGINE_H

#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "epoch.h"
#include "noise.h"
#include "replay.h"
#include "seal.h"
#include "secret.h"
#include "trie.h"
#include "tun.h"
#include "udp.h"
#include "wgdeck/clock.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/key.h"
#include "wgdeck/prefix.h"

/* Whitepaper section 6.1, in nanoseconds. */
#define REKEY_AFTER_TIME (120 * CLOCK_SECOND)
#define REJECT_AFTER_TIME (180 * CLOCK_SECOND)
#define REKEY_ATTEMPT_TIME (90 * CLOCK_SECOND)
#define REKEY_TIMEOUT (5 * CLOCK_SECOND)
#define REKEY_JITTER (333 * CLOCK_MILLISECOND)
#define KEEPALIVE_TIMEOUT (10 * CLOCK_SECOND)
#define COOKIE_LIFE (120 * CLOCK_SECOND)
#define MAX_HANDSHAKE_TRIES 18
#define STAGED_PACKETS 128            /* a peer */
#define STAGED_BYTES (16u << 20)      /* all peers together */
#define PADDING 16

/* A lock that is nearly never contended. */
struct spin { atomic_flag held; };
static inline void spin_lock(struct spin *spin)
{
    for (unsigned tries = 0; atomic_flag_test_and_set_explicit(&spin->held, memory_order_acquire); tries++)
        if (tries > 100)
            sched_yield();
}
static inline bool spin_try_lock(struct spin *spin) { return !atomic_flag_test_and_set_explicit(&spin->held, memory_order_acquire); }
static inline void spin_unlock(struct spin *spin) { atomic_flag_clear_explicit(&spin->held, memory_order_release); }

struct keypair { /* in secret memory (engine->keypair_pool); constant once published, but for what is atomic or under replay_lock */
    uint8_t send_key[32], receive_key[32];
    uint32_t local_index, remote_index;
    int64_t born;                          /* clock_steady */
    bool initiator;                        /* this node began the handshake */
    atomic_bool late_asked;                /* RX asked for a new session at 165 s, once */
    struct peer *peer;
    struct engine *engine;
    struct keypair *_Atomic index_next;    /* chain of the index table */
    struct epoch_retired retired;
    _Atomic uint64_t send_counter __attribute__((aligned(64))); /* next nonce; TX reserves a run by fetch_add */
    struct spin replay_lock __attribute__((aligned(64)));
    struct replay replay;
};

enum peer_event { /* bits, data threads to control */
    PEER_WANTS_HANDSHAKE = 1,  /* no session, or it is time for a new one */
    PEER_WANTS_TIMER = 2,      /* a deadline may now be earlier than the one that is armed */
    PEER_CONFIRMED = 4,        /* a responder's new key was used by the other side */
    PEER_ROAMED = 8,
};

struct staged; /* a packet that waits for a session */

struct peer { /* in secret memory (engine->peer_pool): it holds its preshared key */
    struct engine *engine;
    struct peer *hash_next, *list_next, **list_back; /* control: by public key; in order of creation */
    atomic_bool dead;                        /* removed; waits for its grace period */
    bool listed;                             /* control, within one replace_peers: it stays */
    struct epoch_retired retired;

    /* Control only. */
    struct noise_static noise;
    struct noise_handshake handshake;
    uint8_t latest_timestamp[TAI64N_SIZE];   /* of an initiation received */
    int64_t latest_initiation;               /* clock_steady, for the 20 ms flood limit */
    struct mac_key mac1_key, cookie_key;
    struct cookie_state cookie;
    int64_t handshake_started, handshake_sent; /* this series; the last initiation; 0: none */
    unsigned handshake_tries;
    int64_t last_handshake_wall;             /* for UAPI; 0: never */
    int64_t session_died;                    /* when keys are to be wiped, 0: none (540 s) */
    uint64_t timer_slot;                     /* the wheel's (timers.c) */
    struct peer *timer_next, **timer_back;
    struct trie_node *prefixes;              /* the trie's list of its rows */
    size_t prefix_count;
    struct peer *handshake_next, **handshake_back; /* chain of the index table while a handshake waits (handshake.local_index) */

    /* Read by data threads. */
    _Atomic(struct keypair *) current __attribute__((aligned(64))), previous, next; /* written under lock */
    _Atomic uint16_t keepalive;              /* persistent, seconds; 0: off */
    struct spin lock;                        /* slots, endpoint, staged */
    _Atomic uint32_t endpoint_sequence;      /* odd while it is written (a seqlock); written under lock */
    struct udp_endpoint endpoint;
    struct staged *staged, **staged_end;     /* under lock */
    unsigned staged_count;

    /* Written by data threads (relaxed; ns of clock_steady, 0: none). */
    _Atomic int64_t last_sent __attribute__((aligned(64)));  /* any authenticated datagram */
    _Atomic int64_t last_received;           /* any authenticated datagram */
    _Atomic int64_t unanswered_since;        /* first data sent since the last authenticated datagram received: new handshake after 15 s */
    _Atomic int64_t unacknowledged_since;    /* first data received since the last datagram sent: keepalive after 10 s */
    _Atomic int64_t handshake_asked;         /* when PEER_WANTS_HANDSHAKE was last posted: at most once in REKEY_TIMEOUT */
    _Atomic int64_t armed;                   /* the deadline that the wheel has for it; INT64_MAX: none (written by control) */
    _Atomic uint64_t rx_bytes, tx_bytes;     /* as the kernel counts: handshake messages, padding and tags in, UDP and IP headers out */
    _Atomic uint32_t events;                 /* enum peer_event; nonzero: it is in the inbox */
    struct peer *inbox_next;
    struct peer_tally {
#define FIELD(name, words) _Atomic uint32_t name;
        ENGINE_PEER_COUNTERS(FIELD)
#undef FIELD
    } tally;
};

struct worker_tally { /* of one thread: only it writes, anyone reads */
#define FIELD(name, words) _Atomic uint64_t name;
    ENGINE_COUNTERS(FIELD)
#undef FIELD
};
/* No lock prefix: one writer. */
#define TALLY_ADD(tally, field, n) \
    atomic_store_explicit(&(tally)->field, atomic_load_explicit(&(tally)->field, memory_order_relaxed) + (n), memory_order_relaxed)
#define PEER_TALLY(peer, field) atomic_fetch_add_explicit(&(peer)->tally.field, 1, memory_order_relaxed)

struct tx; struct rx; /* the buffers of a thread: tx.c, rx.c */
struct worker { /* a queue's pair of threads; worker[0..queues-1] */
    struct engine *engine;
    unsigned queue;
    unsigned tx_reader, rx_reader;   /* epoch readers */
    pthread_t tx_thread, rx_thread;
    bool tx_runs, rx_runs;           /* control: the thread was begun */
    struct spin tun_reader;          /* held while the TUN's queue is read and what came is sent, so that the order stays */
    int tx_kick, rx_kick;            /* eventfds: look at engine->stopping and engine->sockets again */
    struct worker_tally tx_tally, rx_tally;
};

#define INDEX_BUCKETS 16384 /* a power of two */

/* A handshake message on its way from RX to control. */
struct handshake_message {
    struct udp_endpoint from;
    uint16_t length;                 /* 148, 92 or 64: exactly its type's */
    uint8_t bytes[sizeof(struct message_initiation)];
};
#define HANDSHAKE_QUEUE 4096
struct handshake_queue { /* bounded; RX threads put, control takes; under its lock */
    struct spin lock;
    unsigned first, count;
    struct handshake_message messages[HANDSHAKE_QUEUE]; /* about 900 KB, touched only in a flood */
};

struct engine {
    char name[IFNAMSIZ];
    struct epoch epoch;
    struct tun tun;
    struct udp_sockets *_Atomic sockets;     /* NULL: interface down */
    _Atomic int mtu;
    atomic_bool stopping;
    const struct seal_ops *seal;
    unsigned queues;
    struct worker workers[UDP_QUEUES];
    bool switch_segment, switch_gro;         /* from the environment */

    /* Written by control. */
    struct trie trie;
    struct keypair *_Atomic indices[INDEX_BUCKETS]; /* by local_index; indices are random, never counted up */
    struct peer *waiting[INDEX_BUCKETS];     /* by the local_index of a handshake; control reads it too */
    struct secret_pool *peer_pool, *keypair_pool, *identity_pool;
    struct noise_identity *identity;         /* in secret memory */
    struct mac_key mac1_key, cookie_key;     /* of this node: for messages to it; RX reads mac1_key under identity_sequence */
    _Atomic uint32_t identity_sequence;      /* seqlock */
    uint16_t listen_port;                    /* as asked; 0: random */
    uint16_t bound_port;                     /* the last one that was open: the next random one too, if it can be had */
    uint32_t fwmark;
    struct peer *peers, **peers_end;         /* in order of creation */
    size_t peer_count;
    struct peer **by_key;                    /* hash table, grown by control; keyed siphash (crypto_shorthash) */
    size_t by_key_size;
    uint8_t hash_key[16];
    unsigned control_reader;
    struct tx *control_tx;                   /* for staged packets and keepalives */
    struct worker_tally control_tally;
    struct protocol *protocol;               /* handshakes under load, limiter, timer wheel: protocol.c, timers.c */
    struct peer *_Atomic inbox;              /* of peer_post (LIFO; control takes all) */
    int control_kick;                        /* eventfd */
    atomic_bool control_awake;               /* no kick needed */
    struct handshake_queue *handshakes;
    atomic_size_t staged_bytes;
    struct engine_stranger strangers[ENGINE_STRANGERS];
    size_t stranger_count;
};

/* --- peers.c: tables of peers and keypairs; control thread unless said otherwise. */
/* Pools, tables, epoch and its readers, trie, handshakes; no thread, no descriptor. ENGINE is zeros. After the last fork: children find no secret memory. */
int engine_begin(struct engine *engine, const char *name, struct err *err);
void engine_end(struct engine *engine);                                   /* wipes and frees; no thread runs any more */
struct peer *peer_find(struct engine *engine, const struct key *public_key);
struct peer *peer_add(struct engine *engine, const struct key *public_key); /* a new one; the caller has looked for it */
void peer_remove(struct peer *peer);                                       /* rows, sessions, staged packets, timers; memory after the grace period */
void peer_endpoint_get(const struct peer *peer, struct udp_endpoint *endpoint);       /* any thread (seqlock) */
void peer_endpoint_set(struct peer *peer, const struct udp_endpoint *endpoint);       /* any thread; no write when equal */
void peer_endpoint_clear_source(struct peer *peer);                                   /* on a retry, and when the host lost that address */
void peer_expire(struct peer *peer);                                                  /* all sessions and the waiting handshake: wiped */
void peer_post(struct peer *peer, uint32_t events);                                   /* any thread */
void engine_wake(struct engine *engine);                                              /* any thread: control looks at its queues; posting does it, too */
/* Control: chain by inbox_next. For each: first read inbox_next, then exchange events with 0 (from then on it may be posted again). Before sleeping:
 * control_awake = false, then look once more. */
struct peer *engine_inbox_take(struct engine *engine);
bool engine_mac1_key(const struct engine *engine, struct mac_key *key);              /* any thread (seqlock); false: no private key */
void engine_set_private_key(struct engine *engine, const struct key *private_key);   /* zeros: none. DHs anew, sessions gone, the peer equal to itself removed */
void peer_set_preshared(struct peer *peer, const struct key *preshared);
/* A free random index, for a keypair or a waiting handshake. */
uint32_t index_new(struct engine *engine);
struct keypair *keypair_find(const struct engine *engine, uint32_t local_index);      /* any thread, online */
struct peer *handshake_find(const struct engine *engine, uint32_t local_index);      /* control: whose waiting handshake has it */
void handshake_waits(struct peer *peer);      /* control: peer->handshake.local_index is set: enter it (an older one of the peer leaves) */
void handshake_forget(struct peer *peer);     /* control: wiped, its index free */
/* A new session. INITIATOR: current at once (a next that waits for data becomes previous, else the old current does); responder: next, until data came
 * under it (previous goes). What loses its slot is not found any more and wiped after the grace period. Control. */
struct keypair *keypair_install(struct peer *peer, const struct noise_keys *keys, uint32_t local_index, bool initiator, int64_t now);
/* RX: data authenticated under KEYPAIR: if it is next, it becomes current. True if it did. */
bool keypair_confirm(struct keypair *keypair);

/* --- tx.c */
struct tx *tx_new(struct engine *engine, unsigned queue, unsigned reader, struct worker_tally *tally);
void tx_free(struct tx *tx);
void *tx_thread(void *worker);                                /* TUN to UDP, until engine->stopping */
void tx_drain(struct tx *tx);                                 /* all that the TUN has now; for the thread and tests */
/* RX, with a struct tx of its own: the kernel answers a packet (an echo, an ACK) while it is written to the TUN. That answer goes out here and now, while TX
 * still wakes up; when TX runs already, nothing is done. */
void tx_answer(struct tx *tx, struct worker *worker);
/* Control thread, with engine->control_tx: what waited for a session goes out (or is dropped and counted when there is no usable one: then false). */
bool tx_send_staged(struct tx *tx, struct peer *peer);
bool tx_send_keepalive(struct tx *tx, struct peer *peer);     /* an empty packet under the current key; false: no usable key or endpoint */
void staged_drop(struct peer *peer);                          /* all that waits; under no lock */
/* Handshake messages, from control: to PEER's endpoint or as an answer to FROM; counts tx_bytes of PEER if given. 0, or -1. */
int tx_send_message(struct engine *engine, struct peer *peer, const struct udp_endpoint *to, const void *message, size_t length);

/* --- rx.c */
void *rx_thread(void *worker);                                /* UDP to TUN, until engine->stopping */
/* One train of datagrams as received, for the thread, tests and the fuzzer. BYTES is written to. */
struct rx *rx_new(struct engine *engine, unsigned queue, unsigned reader, struct worker_tally *tally);
void rx_free(struct rx *rx);
void rx_train(struct rx *rx, uint8_t *bytes, const struct udp_received *received, int64_t now);
void rx_flush(struct rx *rx);

/* --- protocol.c: handshakes; control thread. */
void protocol_begin(struct engine *engine);
void protocol_end(struct engine *engine);
/* What CONTROL calls when engine->handshakes has something: takes all that is there, serves the likely ones first (load.c), some milliseconds at most.
 * True: more waits, call again after looking at the rest of the loop. */
bool protocol_turn(struct engine *engine, int64_t now);
void protocol_message(struct engine *engine, const struct handshake_message *message, size_t waiting, int64_t now); /* one at once; WAITING: messages behind it */
void protocol_event(struct engine *engine, struct peer *peer, uint32_t events, int64_t now);
/* Begin a handshake unless one was sent within REKEY_TIMEOUT; FRESH: a new series of tries (new traffic). */
void protocol_initiate(struct peer *peer, bool fresh, int64_t now);
/* After the persistent keepalive went from 0 to n, and for each peer when the interface comes up: one goes out at once (or a handshake begins). */
void protocol_keepalive_changed(struct peer *peer, int64_t now);
bool protocol_under_load(const struct engine *engine, int64_t now);
/* TAI64N: never less than the floor that was kept over restarts (a file per interface in $STATE_DIRECTORY or /var/lib/wgdeck; written ahead, rarely). */
void protocol_timestamp(struct engine *engine, int64_t now, uint8_t out[static TAI64N_SIZE]);

/* --- timers.c: one deadline a peer on a hierarchical wheel; what is due is found from the peer's times when it fires. */
void timers_begin(struct engine *engine, int64_t now);
void timers_end(struct engine *engine);
void timers_peer_changed(struct peer *peer, int64_t now);    /* compute its next deadline again and arm it */
void timers_peer_removed(struct peer *peer);
int64_t timers_next(const struct engine *engine);            /* when to call run; INT64_MAX: never */
void timers_run(struct engine *engine, int64_t now);         /* fires what is due; of very many a part, then timers_next is in the past */

#endif
