/* WireGuard's keys. libsodium's base64 and hexadecimal are constant time in the key's value. */
#include "wgdeck/key.h"

#include <sodium.h>
#include <string.h>

int key_parse(const char *text, struct key *key)
{
    struct key parsed;
    size_t length = 0;
    int result = -1;
    if (strnlen(text, KEY_TEXT_SIZE) == KEY_TEXT_SIZE - 1 && text[KEY_TEXT_SIZE - 2] == '=' &&
        sodium_base642bin(parsed.bytes, KEY_SIZE, text, KEY_TEXT_SIZE - 1, NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
        length == KEY_SIZE) {
        *key = parsed;
        result = 0;
    }
    key_wipe(&parsed);
    return result;
}

void key_text(const struct key *key, char text[static KEY_TEXT_SIZE])
{
    sodium_bin2base64(text, KEY_TEXT_SIZE, key->bytes, KEY_SIZE, sodium_base64_VARIANT_ORIGINAL);
}

int key_parse_hex(const char *text, struct key *key)
{
    struct key parsed;
    size_t length = 0;
    int result = -1;
    if (strnlen(text, 2 * KEY_SIZE + 1) == 2 * KEY_SIZE &&
        sodium_hex2bin(parsed.bytes, KEY_SIZE, text, 2 * KEY_SIZE, NULL, &length, NULL) == 0 && length == KEY_SIZE) {
        *key = parsed;
        result = 0;
    }
    key_wipe(&parsed);
    return result;
}

bool key_is_zero(const struct key *key)
{
    return sodium_is_zero(key->bytes, KEY_SIZE) == 1;
}

bool key_equal(const struct key *a, const struct key *b)
{
    return sodium_memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

int key_compare(const struct key *a, const struct key *b)
{
    return memcmp(a->bytes, b->bytes, KEY_SIZE);
}

void key_make_private(struct key *key)
{
    key_make_preshared(key);
    key->bytes[0] &= 248;
    key->bytes[31] = (uint8_t)((key->bytes[31] & 127) | 64);
}

void key_make_preshared(struct key *key)
{
    randombytes_buf(key->bytes, KEY_SIZE);
}

/* Clamps the private key first, as WireGuard does, and cannot give zero then. */
void key_public(const struct key *private_key, struct key *public_key)
{
    crypto_scalarmult_base(public_key->bytes, private_key->bytes);
}

void key_wipe(struct key *key)
{
    sodium_memzero(key, sizeof *key);
}

void key_hash(const struct key *key, const char *salt, uint8_t hash[static KEY_HASH_SIZE])
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    text[KEY_TEXT_SIZE - 1] = '\n'; /* in the place of the NUL */
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)salt, strlen(salt));
    crypto_hash_sha256_update(&state, (const unsigned char *)text, KEY_TEXT_SIZE);
    crypto_hash_sha256_final(&state, digest);
    memcpy(hash, digest, KEY_HASH_SIZE);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(digest, sizeof digest);
    sodium_memzero(text, sizeof text);
}
