/* The handshake of WireGuard: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (whitepaper section 5.4). The names of the steps are the whitepaper's. */
#include "noise.h"
#include "keylog.h"

#include <sodium.h>
#include <string.h>

#include "blake2s.h"
#include "wgdeck/clock.h"

#define TAG 16
#define TAI_OFFSET UINT64_C(0x400000000000000a) /* TAI64 label of 1970, and the 10 s that TAI was ahead of UTC then */
#define WHITENED 0x00ffffff                     /* nanoseconds that a clock's fingerprint could be read from */

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

struct symmetric { /* Noise's SymmetricState */
    uint8_t hash[32], chaining_key[32];
};

/* Hash = HASH(Hash || bytes) */
static void mix_hash(struct symmetric *state, const void *bytes, size_t length)
{
    struct blake2s hash;
    blake2s_begin(&hash, 32, NULL, 0);
    blake2s_add(&hash, state->hash, 32);
    blake2s_add(&hash, bytes, length);
    blake2s_end(&hash, state->hash);
}

/* KDF_n (section 5.4): the outputs that are asked for, in turn. */
static void derive(const uint8_t chaining_key[32], const void *input, size_t length, uint8_t *first, uint8_t *second, uint8_t *third)
{
    uint8_t extracted[32], block[33];
    blake2s_hmac(extracted, chaining_key, 32, input, length);
    uint8_t *const outputs[3] = {first, second, third};
    for (uint8_t i = 0; i < 3 && outputs[i]; i++) {
        block[i ? 32 : 0] = (uint8_t)(i + 1);
        blake2s_hmac(block, extracted, 32, block, i ? 33 : 1);
        memcpy(outputs[i], block, 32);
    }
    sodium_memzero(extracted, sizeof extracted);
    sodium_memzero(block, sizeof block);
}

/* MixKey: the next chaining key, and the key of the field that follows if one is sealed. */
static void mix_key(struct symmetric *state, const void *input, uint8_t key[32])
{
    uint8_t unused[32];
    derive(state->chaining_key, input, 32, state->chaining_key, key ? key : unused, NULL);
    sodium_memzero(unused, sizeof unused);
}

/* 0, or -1: the other's point is of low order, and the secret would be known to all. */
static int dh(uint8_t out[32], const uint8_t private_key[32], const uint8_t public_key[32])
{
    return crypto_scalarmult(out, private_key, public_key) || sodium_is_zero(out, 32) ? -1 : 0;
}

static int mix_dh(struct symmetric *state, const uint8_t private_key[32], const uint8_t public_key[32], uint8_t key[32])
{
    uint8_t secret[32];
    int result = dh(secret, private_key, public_key);
    if (!result)
        mix_key(state, secret, key);
    sodium_memzero(secret, sizeof secret);
    return result;
}

static const uint8_t nonce_zero[12]; /* each of these keys seals one thing */

static void seal_field(struct symmetric *state, const uint8_t key[32], const void *plain, size_t length, uint8_t *to)
{
    crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, plain, length, state->hash, 32, NULL, nonce_zero, key);
    mix_hash(state, to, length + TAG);
}

static int open_field(struct symmetric *state, const uint8_t key[32], const uint8_t *sealed, size_t length, void *to)
{
    if (crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, sealed, length + TAG, state->hash, 32, nonce_zero, key))
        return -1;
    mix_hash(state, sealed, length + TAG);
    return 0;
}

/* Up to the responder's static key, which both know before. */
static void begin(struct symmetric *state, const struct key *responder)
{
    blake2s(state->chaining_key, 32, NULL, 0, construction, sizeof construction - 1);
    memcpy(state->hash, state->chaining_key, 32);
    mix_hash(state, identifier, sizeof identifier - 1);
    mix_hash(state, responder->bytes, KEY_SIZE);
}

static void write_number(uint8_t to[4], uint32_t number)
{
    to[0] = (uint8_t)number;
    to[1] = (uint8_t)(number >> 8);
    to[2] = (uint8_t)(number >> 16);
    to[3] = (uint8_t)(number >> 24);
}

static uint32_t read_number(const uint8_t from[4])
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void make_ephemeral(uint8_t private_key[32], uint8_t public_key[32])
{
    struct key made, its_public;
    key_make_private(&made);
    key_public(&made, &its_public);
    memcpy(private_key, made.bytes, 32);
    memcpy(public_key, its_public.bytes, 32);
    key_wipe(&made);
}

/* An ephemeral key goes into hash and chaining key both. */
static void mix_ephemeral(struct symmetric *state, const uint8_t public_key[32])
{
    mix_hash(state, public_key, 32);
    mix_key(state, public_key, NULL);
}

/* The preshared key's step, and the empty field that proves it. */
static void mix_preshared(struct symmetric *state, const struct key *preshared, uint8_t key[32])
{
    uint8_t mixed[32];
    derive(state->chaining_key, preshared->bytes, KEY_SIZE, state->chaining_key, mixed, key);
    mix_hash(state, mixed, 32);
    sodium_memzero(mixed, sizeof mixed);
}

void noise_static_prepare(struct noise_static *peer, const struct noise_identity *identity)
{
    peer->usable = identity->set && !dh(peer->static_static.bytes, identity->private_key.bytes, peer->public_key.bytes);
    if (!peer->usable)
        key_wipe(&peer->static_static);
}

int noise_initiation_make(struct noise_handshake *handshake, const struct noise_static *peer, const struct noise_identity *identity,
                          uint32_t local_index, const uint8_t timestamp[static TAI64N_SIZE], struct message_initiation *message)
{
    struct symmetric state;
    uint8_t ephemeral[32], key[32];
    int result = -1;
    if (!identity->set || !peer->usable)
        return -1;
    memset(message, 0, sizeof *message);
    message->type[0] = MESSAGE_INITIATION;
    write_number(message->sender, local_index);
    begin(&state, &peer->public_key);
    make_ephemeral(ephemeral, message->ephemeral);
    keylog_handshake(peer, ephemeral);
    mix_ephemeral(&state, message->ephemeral);
    if (!mix_dh(&state, ephemeral, peer->public_key.bytes, key)) {
        seal_field(&state, key, identity->public_key.bytes, KEY_SIZE, message->encrypted_static);
        mix_key(&state, peer->static_static.bytes, key);
        seal_field(&state, key, timestamp, TAI64N_SIZE, message->encrypted_timestamp);
        memcpy(handshake->hash, state.hash, 32);
        memcpy(handshake->chaining_key, state.chaining_key, 32);
        memcpy(handshake->ephemeral_private, ephemeral, 32);
        handshake->local_index = local_index;
        handshake->waiting = true;
        result = 0;
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(ephemeral, sizeof ephemeral);
    sodium_memzero(key, sizeof key);
    return result;
}

int noise_initiation_open(const struct message_initiation *message, const struct noise_identity *identity, struct noise_incoming *incoming)
{
    struct symmetric state;
    uint8_t key[32];
    int result = -1;
    memset(incoming, 0, sizeof *incoming);
    if (!identity->set)
        return -1;
    begin(&state, &identity->public_key);
    mix_ephemeral(&state, message->ephemeral);
    if (!mix_dh(&state, identity->private_key.bytes, message->ephemeral, key) &&
        !open_field(&state, key, message->encrypted_static, KEY_SIZE, incoming->initiator.bytes)) {
        memcpy(incoming->hash, state.hash, 32);
        memcpy(incoming->chaining_key, state.chaining_key, 32);
        memcpy(incoming->remote_ephemeral, message->ephemeral, 32);
        incoming->remote_index = read_number(message->sender);
        result = 0;
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(key, sizeof key);
    return result;
}

int noise_initiation_verify(const struct message_initiation *message, const struct noise_static *peer, struct noise_incoming *incoming)
{
    struct symmetric state;
    uint8_t key[32], timestamp[TAI64N_SIZE];
    int result = -1;
    if (!peer->usable)
        return -1;
    memcpy(state.hash, incoming->hash, 32);
    memcpy(state.chaining_key, incoming->chaining_key, 32);
    mix_key(&state, peer->static_static.bytes, key);
    if (!open_field(&state, key, message->encrypted_timestamp, TAI64N_SIZE, timestamp)) {
        memcpy(incoming->hash, state.hash, 32);
        memcpy(incoming->chaining_key, state.chaining_key, 32);
        memcpy(incoming->timestamp, timestamp, TAI64N_SIZE);
        result = 0;
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(key, sizeof key);
    return result;
}

int noise_response_make(const struct noise_incoming *incoming, const struct noise_static *peer, uint32_t local_index,
                        struct message_response *message, struct noise_keys *keys)
{
    struct symmetric state;
    uint8_t ephemeral[32], key[32];
    int result = -1;
    memcpy(state.hash, incoming->hash, 32);
    memcpy(state.chaining_key, incoming->chaining_key, 32);
    memset(message, 0, sizeof *message);
    message->type[0] = MESSAGE_RESPONSE;
    write_number(message->sender, local_index);
    write_number(message->receiver, incoming->remote_index);
    make_ephemeral(ephemeral, message->ephemeral);
    keylog_handshake(peer, ephemeral);
    mix_ephemeral(&state, message->ephemeral);
    if (!mix_dh(&state, ephemeral, incoming->remote_ephemeral, NULL) && !mix_dh(&state, ephemeral, peer->public_key.bytes, NULL)) {
        mix_preshared(&state, &peer->preshared, key);
        seal_field(&state, key, NULL, 0, message->encrypted_nothing);
        derive(state.chaining_key, NULL, 0, keys->receive, keys->send, NULL); /* the initiator's first */
        keys->remote_index = incoming->remote_index;
        result = 0;
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(ephemeral, sizeof ephemeral);
    sodium_memzero(key, sizeof key);
    return result;
}

int noise_response_consume(const struct message_response *message, struct noise_handshake *handshake, const struct noise_static *peer,
                           const struct noise_identity *identity, struct noise_keys *keys)
{
    struct symmetric state;
    uint8_t key[32], nothing[1];
    int result = -1;
    if (!handshake->waiting || !identity->set || read_number(message->receiver) != handshake->local_index)
        return -1;
    memcpy(state.hash, handshake->hash, 32);
    memcpy(state.chaining_key, handshake->chaining_key, 32);
    mix_ephemeral(&state, message->ephemeral);
    if (!mix_dh(&state, handshake->ephemeral_private, message->ephemeral, NULL) &&
        !mix_dh(&state, identity->private_key.bytes, message->ephemeral, NULL)) {
        mix_preshared(&state, &peer->preshared, key);
        if (!open_field(&state, key, message->encrypted_nothing, 0, nothing)) {
            derive(state.chaining_key, NULL, 0, keys->send, keys->receive, NULL);
            keys->remote_index = read_number(message->sender);
            sodium_memzero(handshake, sizeof *handshake);
            result = 0;
        }
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(key, sizeof key);
    return result;
}

void noise_incoming_wipe(struct noise_incoming *incoming)
{
    sodium_memzero(incoming, sizeof *incoming);
}

void noise_tai64n(int64_t wall, uint8_t out[static TAI64N_SIZE])
{
    uint64_t seconds = TAI_OFFSET + (uint64_t)(wall / CLOCK_SECOND);
    uint32_t nanoseconds = (uint32_t)(wall % CLOCK_SECOND) & ~(uint32_t)WHITENED;
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(seconds >> (56 - 8 * i));
    for (unsigned i = 0; i < 4; i++)
        out[8 + i] = (uint8_t)(nanoseconds >> (24 - 8 * i));
}
