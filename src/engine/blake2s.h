/* BLAKE2s (RFC 7693), unkeyed and keyed, and HMAC over it: WireGuard's only hash. Written from the RFC, since libcrypto builds without it exist. */
#ifndef WGDECK_ENGINE_BLAKE2S_H
#define WGDECK_ENGINE_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_SIZE 32  /* the longest digest */
#define BLAKE2S_BLOCK 64

struct blake2s {
    uint32_t h[8];
    uint64_t count;               /* bytes compressed */
    uint8_t block[BLAKE2S_BLOCK];
    size_t filled, size;          /* bytes in block; of the digest */
};

/* SIZE 1 to 32; KEY_LENGTH 0 to 32. */
void blake2s_begin(struct blake2s *state, size_t size, const void *key, size_t key_length);
void blake2s_add(struct blake2s *state, const void *bytes, size_t length);
void blake2s_end(struct blake2s *state, void *digest); /* wipes the state */
void blake2s(void *digest, size_t size, const void *key, size_t key_length, const void *bytes, size_t length);
/* HMAC (RFC 2104) with BLAKE2s-256; KEY is at most one block. */
void blake2s_hmac(uint8_t digest[static BLAKE2S_SIZE], const void *key, size_t key_length, const void *bytes, size_t length);

#endif
