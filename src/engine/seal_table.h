/* The implementations of sealing, for seal.c and the tests. */
#ifndef WGDECK_ENGINE_SEAL_TABLE_H
#define WGDECK_ENGINE_SEAL_TABLE_H

#include <string.h>

#include "seal.h"

#ifdef WGDECK_IPSEC_MB /* the Makefile found its archive */
extern const struct seal_ops SEAL_IPSEC_MB_AVX512, SEAL_IPSEC_MB_AVX2;
#endif
extern const struct seal_ops SEAL_LIBCRYPTO;

/* RFC 8439 section 2.3 as WireGuard uses it: four zero bytes, then the counter, little endian. */
static inline void seal_nonce(uint64_t counter, uint8_t nonce[static 12])
{
    for (unsigned i = 0; i < 4; i++)
        nonce[i] = 0;
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}

/* 0 or -1; takes the same time whatever the bytes are. */
static inline int seal_compare_tags(const uint8_t *a, const uint8_t *b)
{
    uint64_t x[2], y[2];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    uint64_t difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
    __asm__("" : "+r"(difference)); /* the compiler may not know that only zero matters until all is compared */
    return difference ? -1 : 0;
}

#endif
