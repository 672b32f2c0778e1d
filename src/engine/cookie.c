/* MAC1, MAC2 and cookies (whitepaper sections 5.4.4 and 5.4.7): what a node asks for before it calculates, under load. */
#include <sodium.h>
#include <string.h>

#include "blake2s.h"
#include "noise.h"
#include "wgdeck/clock.h"

#define MAC 16
#define SECRET_LIFE (120 * CLOCK_SECOND)
#define COOKIE_USED_FOR (115 * CLOCK_SECOND) /* 5 s before the other side's secret turns over: the message is on its way for a while */

static void label_key(struct mac_key *key, const char *label, const struct key *public_key)
{
    struct blake2s hash;
    blake2s_begin(&hash, 32, NULL, 0);
    blake2s_add(&hash, label, 8);
    blake2s_add(&hash, public_key->bytes, KEY_SIZE);
    blake2s_end(&hash, key->bytes);
}

void mac_key_make(struct mac_key *key, const struct key *public_key)
{
    label_key(key, "mac1----", public_key);
}

void cookie_key_make(struct mac_key *key, const struct key *public_key)
{
    label_key(key, "cookie--", public_key);
}

void mac1_write(const struct mac_key *key, void *message, size_t length)
{
    uint8_t *bytes = message;
    blake2s(bytes + length - 2 * MAC, MAC, key->bytes, 32, bytes, length - 2 * MAC);
}

bool mac1_is_good(const struct mac_key *key, const void *message, size_t length)
{
    const uint8_t *bytes = message;
    uint8_t mac[MAC];
    if (length < 2 * MAC)
        return false;
    blake2s(mac, MAC, key->bytes, 32, bytes, length - 2 * MAC);
    return !sodium_memcmp(mac, bytes + length - 2 * MAC, MAC);
}

void cookie_of(struct cookie_secret *secret, int64_t now, const void *source, size_t source_length, uint8_t cookie[static COOKIE_SIZE])
{
    if (!secret->born || now - secret->born >= SECRET_LIFE) {
        randombytes_buf(secret->bytes, sizeof secret->bytes);
        secret->born = now;
    }
    blake2s(cookie, COOKIE_SIZE, secret->bytes, 32, source, source_length);
}

static void mac2_make(const uint8_t cookie[static COOKIE_SIZE], const uint8_t *message, size_t length, uint8_t mac[static MAC])
{
    blake2s(mac, MAC, cookie, COOKIE_SIZE, message, length - MAC);
}

bool mac2_is_good(const uint8_t cookie[static COOKIE_SIZE], const void *message, size_t length)
{
    const uint8_t *bytes = message;
    uint8_t mac[MAC];
    if (length < 2 * MAC)
        return false;
    mac2_make(cookie, bytes, length, mac);
    return !sodium_memcmp(mac, bytes + length - MAC, MAC);
}

void cookie_reply_make(const struct mac_key *cookie_key, const void *message, size_t length, const uint8_t cookie[static COOKIE_SIZE],
                       struct message_cookie *reply)
{
    const uint8_t *bytes = message;
    memset(reply, 0, sizeof *reply);
    reply->type[0] = MESSAGE_COOKIE;
    memcpy(reply->receiver, bytes + 4, sizeof reply->receiver); /* the sender's index of what is answered */
    randombytes_buf(reply->nonce, sizeof reply->nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(reply->encrypted_cookie, NULL, cookie, COOKIE_SIZE, bytes + length - 2 * MAC, MAC, NULL, reply->nonce,
                                               cookie_key->bytes);
}

void macs_write(struct cookie_state *state, const struct mac_key *mac1_key, int64_t now, void *message, size_t length)
{
    uint8_t *bytes = message;
    mac1_write(mac1_key, message, length);
    memcpy(state->last_mac1, bytes + length - 2 * MAC, MAC);
    state->sent = true;
    if (state->born && now - state->born < COOKIE_USED_FOR)
        mac2_make(state->cookie, bytes, length, bytes + length - MAC);
    else
        memset(bytes + length - MAC, 0, MAC);
}

int cookie_reply_consume(struct cookie_state *state, const struct mac_key *cookie_key, int64_t now, const struct message_cookie *reply)
{
    uint8_t cookie[COOKIE_SIZE];
    if (!state->sent || crypto_aead_xchacha20poly1305_ietf_decrypt(cookie, NULL, NULL, reply->encrypted_cookie, sizeof reply->encrypted_cookie,
                                                                   state->last_mac1, MAC, reply->nonce, cookie_key->bytes))
        return -1;
    memcpy(state->cookie, cookie, COOKIE_SIZE);
    state->born = now;
    state->sent = false; /* one message has one answer */
    return 0;
}
