/* BLAKE2s by RFC 7693 section 3. */
#include "blake2s.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint8_t sigma[10][16] = { /* section 2.7 */
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint32_t rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

/* The mixing function G, section 3.1. */
static inline void mix(uint32_t *v, unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x, uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
}

/* Section 3.2. COUNT: bytes so far, this block's with them. */
static void compress(uint32_t h[8], const uint8_t *block, uint64_t count, int last)
{
    uint32_t m[16], v[16];
    memcpy(m, block, sizeof m);
    for (unsigned i = 0; i < 16; i++)
        m[i] = le32toh(m[i]);
    memcpy(v, h, 32);
    memcpy(v + 8, initial, 32);
    v[12] ^= (uint32_t)count;
    v[13] ^= (uint32_t)(count >> 32);
    if (last)
        v[14] = ~v[14];
#pragma GCC unroll 10
    for (unsigned round = 0; round < 10; round++) {
        const uint8_t *s = sigma[round];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

void blake2s_begin(struct blake2s *state, size_t size, const void *key, size_t key_length)
{
    memset(state, 0, sizeof *state);
    memcpy(state->h, initial, sizeof initial);
    state->h[0] ^= 0x01010000u ^ (uint32_t)key_length << 8 ^ (uint32_t)size;
    state->size = size;
    if (key_length) {
        memcpy(state->block, key, key_length);
        state->filled = BLAKE2S_BLOCK;
    }
}

void blake2s_add(struct blake2s *state, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        if (state->filled == BLAKE2S_BLOCK) { /* the last block stays, however full it is: it is compressed at the end */
            state->count += BLAKE2S_BLOCK;
            compress(state->h, state->block, state->count, 0);
            state->filled = 0;
        }
        size_t part = BLAKE2S_BLOCK - state->filled < length ? BLAKE2S_BLOCK - state->filled : length;
        memcpy(state->block + state->filled, from, part);
        state->filled += part;
        from += part;
        length -= part;
    }
}

void blake2s_end(struct blake2s *state, void *digest)
{
    uint32_t out[8];
    memset(state->block + state->filled, 0, BLAKE2S_BLOCK - state->filled);
    compress(state->h, state->block, state->count + state->filled, 1);
    for (unsigned i = 0; i < 8; i++)
        out[i] = htole32(state->h[i]);
    memcpy(digest, out, state->size);
    sodium_memzero(out, sizeof out);
    sodium_memzero(state, sizeof *state);
}

void blake2s(void *digest, size_t size, const void *key, size_t key_length, const void *bytes, size_t length)
{
    struct blake2s state;
    blake2s_begin(&state, size, key, key_length);
    blake2s_add(&state, bytes, length);
    blake2s_end(&state, digest);
}

void blake2s_hmac(uint8_t digest[static BLAKE2S_SIZE], const void *key, size_t key_length, const void *bytes, size_t length)
{
    struct blake2s state;
    uint8_t pad[BLAKE2S_BLOCK] = {0}, inner[BLAKE2S_SIZE];
    memcpy(pad, key, key_length);
    for (unsigned i = 0; i < BLAKE2S_BLOCK; i++)
        pad[i] ^= 0x36;
    blake2s_begin(&state, BLAKE2S_SIZE, NULL, 0);
    blake2s_add(&state, pad, sizeof pad);
    blake2s_add(&state, bytes, length);
    blake2s_end(&state, inner);
    for (unsigned i = 0; i < BLAKE2S_BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    blake2s_begin(&state, BLAKE2S_SIZE, NULL, 0);
    blake2s_add(&state, pad, sizeof pad);
    blake2s_add(&state, inner, sizeof inner);
    blake2s_end(&state, digest);
    sodium_memzero(pad, sizeof pad);
    sodium_memzero(inner, sizeof inner);
}
