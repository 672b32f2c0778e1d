/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (whitepaper section 5.4): messages and keys, no I/O, no clock, no lock.
 * All state lives in the caller's secret memory. Nothing in a handshake changes before the message's last check passed. */
#ifndef WGDECK_ENGINE_NOISE_H
#define WGDECK_ENGINE_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/key.h"

enum { MESSAGE_INITIATION = 1, MESSAGE_RESPONSE = 2, MESSAGE_COOKIE = 3, MESSAGE_DATA = 4 };

/* On the wire, little endian; sizes 148, 92, 64 and at least 32 (section 5.4.2 to 5.4.7). */
struct message_initiation {
    uint8_t type[4];
    uint8_t sender[4];
    uint8_t ephemeral[32];
    uint8_t encrypted_static[32 + 16];
    uint8_t encrypted_timestamp[12 + 16];
    uint8_t mac1[16], mac2[16];
};
struct message_response {
    uint8_t type[4];
    uint8_t sender[4], receiver[4];
    uint8_t ephemeral[32];
    uint8_t encrypted_nothing[16];
    uint8_t mac1[16], mac2[16];
};
struct message_cookie {
    uint8_t type[4];
    uint8_t receiver[4];
    uint8_t nonce[24];
    uint8_t encrypted_cookie[16 + 16];
};
struct message_data {
    uint8_t type[4];
    uint8_t receiver[4];
    uint8_t counter[8];
    /* then the sealed packet and its 16-byte tag */
};
_Static_assert(sizeof(struct message_initiation) == 148 && sizeof(struct message_response) == 92 && sizeof(struct message_cookie) == 64 &&
               sizeof(struct message_data) == 16, "as on the wire");

#define TAI64N_SIZE 12

/* This node. */
struct noise_identity {
    struct key private_key, public_key;
    bool set;
};

/* What is known of a peer before any handshake. */
struct noise_static {
    struct key public_key;
    struct key preshared;      /* zeros: none */
    struct key static_static;  /* DH of both static keys; noise_static_prepare */
    bool usable;               /* false: low-order key, or no private key here; then nothing is ever sent (never a zero DH) */
};
void noise_static_prepare(struct noise_static *peer, const struct noise_identity *identity); /* after either key changed */

/* A handshake that this node began and waits for the response of. */
struct noise_handshake {
    bool waiting;
    uint32_t local_index;
    uint8_t hash[32], chaining_key[32];
    uint8_t ephemeral_private[32];
};

struct noise_keys { /* the outcome */
    uint8_t send[32], receive[32];
    uint32_t remote_index;
};

/* Write an initiation (all but the macs) and the state that waits for its response. TIMESTAMP: tai64n. 0, or -1 (not usable). */
int noise_initiation_make(struct noise_handshake *handshake, const struct noise_static *peer, const struct noise_identity *identity,
                          uint32_t local_index, const uint8_t timestamp[static TAI64N_SIZE], struct message_initiation *message);

/* What reading an initiation gives, between its two steps; wiped by noise_incoming_wipe. */
struct noise_incoming {
    uint8_t hash[32], chaining_key[32], remote_ephemeral[32];
    uint32_t remote_index;
    struct key initiator;              /* the static key it claims; proved by step two */
    uint8_t timestamp[TAI64N_SIZE];    /* after step two */
};
/* Step one: the claimed static key. 0, or -1: it did not decrypt. */
int noise_initiation_open(const struct message_initiation *message, const struct noise_identity *identity, struct noise_incoming *incoming);
/* Step two: with the row found. 0, or -1. The caller then checks the timestamp before anything else is done. */
int noise_initiation_verify(const struct message_initiation *message, const struct noise_static *peer, struct noise_incoming *incoming);
/* The response and the session's keys of the responder. 0, or -1 (zero DH). */
int noise_response_make(const struct noise_incoming *incoming, const struct noise_static *peer, uint32_t local_index,
                        struct message_response *message, struct noise_keys *keys);
/* The initiator's end. On 0 KEYS is filled and HANDSHAKE wiped; on -1 HANDSHAKE is as it was (a forged response destroys nothing). */
int noise_response_consume(const struct message_response *message, struct noise_handshake *handshake, const struct noise_static *peer,
                           const struct noise_identity *identity, struct noise_keys *keys);
void noise_incoming_wipe(struct noise_incoming *incoming);

/* WALL (ns since 1970) as TAI64N whitened to 2^24 ns (section 5.1, and what the kernel does about clock fingerprints). */
void noise_tai64n(int64_t wall, uint8_t out[static TAI64N_SIZE]);

/* MAC1 and MAC2 (section 5.4.4) and cookies (5.4.7). */
struct mac_key { uint8_t bytes[32]; };                               /* HASH(label-mac1 || public key) */
void mac_key_make(struct mac_key *key, const struct key *public_key);
void cookie_key_make(struct mac_key *key, const struct key *public_key); /* HASH(label-cookie || public key) */
/* MESSAGE is the whole message; mac1 covers all before it. */
void mac1_write(const struct mac_key *key, void *message, size_t length);
bool mac1_is_good(const struct mac_key *key, const void *message, size_t length); /* constant time */

#define COOKIE_SIZE 16
/* Responder: the cookie of a source address AND port under a secret that turns over every 120 s. */
struct cookie_secret {
    uint8_t bytes[32];
    int64_t born; /* clock_steady; 0: none yet */
};
void cookie_of(struct cookie_secret *secret, int64_t now, const void *source, size_t source_length, uint8_t cookie[static COOKIE_SIZE]);
bool mac2_is_good(const uint8_t cookie[static COOKIE_SIZE], const void *message, size_t length);
/* RECEIVER: the sender index of the message that is answered; its mac1 is the additional data. */
void cookie_reply_make(const struct mac_key *cookie_key, const void *message, size_t length, const uint8_t cookie[static COOKIE_SIZE],
                       struct message_cookie *reply);
/* Initiator: what it knows of the peer's cookies. */
struct cookie_state {
    uint8_t cookie[COOKIE_SIZE];
    int64_t born;            /* clock_steady; 0: none; not used when older than 115 s */
    uint8_t last_mac1[16];   /* of the last message sent to that peer */
    bool sent;               /* whether last_mac1 waits for a cookie */
};
/* Writes both macs of a message to be sent, remembers mac1. */
void macs_write(struct cookie_state *state, const struct mac_key *mac1_key, int64_t now, void *message, size_t length);
/* 0 and the cookie is kept; -1: it did not decrypt or nothing was sent that it could answer. */
int cookie_reply_consume(struct cookie_state *state, const struct mac_key *cookie_key, int64_t now, const struct message_cookie *reply);

#endif
