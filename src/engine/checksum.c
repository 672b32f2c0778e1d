/* The Internet checksum (RFC 1071), over bytes as they lie in memory: words are summed in this machine's order, and what is folded goes back by memcpy. */
#include <string.h>

#include "offload.h"

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;
    return sum + (sum < b);
}

static inline uint64_t load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The last 0...7 bytes. */
static inline uint64_t load_rest(const uint8_t *at, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, at, length);
    return word;
}

static uint64_t add_plain(const uint8_t *at, size_t length, uint64_t sum)
{
    uint64_t other = 0; /* two chains of carries side by side */
    for (; length >= 16; length -= 16, at += 16) {
        sum = add_carry(sum, load(at));
        other = add_carry(other, load(at + 8));
    }
    sum = add_carry(sum, other);
    if (length >= 8) {
        sum = add_carry(sum, load(at));
        at += 8;
        length -= 8;
    }
    return add_carry(sum, load_rest(at, length));
}

#ifdef __x86_64__
#include <immintrin.h>

/* Below this, the plain way is as fast. */
#define WIDE_FROM 128

/* Halves of 32 bits are added into lanes of 64: no carry is lost below 16 GB. */
__attribute__((target("avx2"))) static uint64_t add_avx2(const uint8_t *at, size_t length, uint64_t sum)
{
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (; length >= 64; length -= 64, at += 64) {
        __m256i first = _mm256_loadu_si256((const void *)at), second = _mm256_loadu_si256((const void *)(at + 32));
        a = _mm256_add_epi64(a, _mm256_and_si256(first, low));
        b = _mm256_add_epi64(b, _mm256_srli_epi64(first, 32));
        c = _mm256_add_epi64(c, _mm256_and_si256(second, low));
        d = _mm256_add_epi64(d, _mm256_srli_epi64(second, 32));
    }
    a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    sum = add_carry(sum, (uint64_t)_mm_cvtsi128_si64(half));
    sum = add_carry(sum, (uint64_t)_mm_extract_epi64(half, 1));
    return add_plain(at, length, sum);
}

static bool wide; /* set before main */

__attribute__((constructor)) static void look_at_machine(void)
{
    __builtin_cpu_init();
    wide = __builtin_cpu_supports("avx2");
}

uint64_t checksum_add(const void *bytes, size_t length, uint64_t sum)
{
    return wide && length >= WIDE_FROM ? add_avx2(bytes, length, sum) : add_plain(bytes, length, sum);
}
#else
uint64_t checksum_add(const void *bytes, size_t length, uint64_t sum)
{
    return add_plain(bytes, length, sum);
}
#endif

uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
