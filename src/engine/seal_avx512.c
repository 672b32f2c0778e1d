/* Sealing with AVX-512: ChaCha20 written here, Poly1305 by ipsec-mb.
 *
 * ipsec-mb turns out 16 blocks at a time, word by word: a packet of 1420 bytes needs 24, so that it waits twice for the same chain of 20 rounds. Here
 * a register holds one row (RFC 8439 section 2.3) of four blocks, and as many groups of four run side by side as the packet needs: up to six, in one go,
 * without a transposition at the end. */
#include "seal_table.h"

#ifdef WGDECK_IPSEC_MB
#include <immintrin.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2")))
#define GROUPS 6          /* four registers each, of 32 */
#define GROUP_BYTES 256
#define BLOCK 64

/* ipsec-mb's Poly1305: STATE is three zeros at first; KEY is r, clamped, and s. The last bytes of an update are filled with zeros to 16. */
typedef void update_function(const void *bytes, uint64_t length, void *state, const void *key);
typedef void complete_function(const void *state, const void *key, void *tag);
update_function poly1305_aead_update_fma_avx512, poly1305_aead_update_avx512;
complete_function poly1305_aead_complete_fma_avx512, poly1305_aead_complete_avx512;

struct context {
    uint8_t *keystream;   /* GROUPS * GROUP_BYTES, at a cache line's beginning: the first block is Poly1305's key */
    update_function *update;
    complete_function *complete;
    uint8_t room[GROUPS * GROUP_BYTES + BLOCK];
};

/* --- ChaCha20 */

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define EACH(group) UNROLL for (unsigned group = 0; group < groups; group++)

/* As instructions, because gcc moves what it may move until there are not enough registers. */
#define ADD(x, y) __asm__("vpaddd %1, %0, %0" : "+v"(x) : "v"(y))
#define XOR(x, y) __asm__("vpxord %1, %0, %0" : "+v"(x) : "v"(y))
#define ROTATE(x, bits) __asm__("vprold %1, %0, %0" : "+v"(x) : "i"(bits))
#define SHUFFLE(x, order) __asm__("vpshufd %1, %0, %0" : "+v"(x) : "i"(order))

/* x += y; z = (z ^ x) <<< bits: a quarter of the quarter round, in all groups. */
#define STEP(x, y, z, bits)      \
    EACH(i) ADD(x[i], y[i]);     \
    EACH(i) XOR(z[i], x[i]);     \
    EACH(i) ROTATE(z[i], bits);
#define QUARTER_ROUNDS(a, b, c, d) STEP(a, b, d, 16) STEP(c, d, b, 12) STEP(a, b, d, 8) STEP(c, d, b, 7)
/* The rows are turned so that diagonals stand in columns. b stays: it is the last to be ready. */
#define TURN(a, c, d, by_a, by_c)          \
    EACH(i) SHUFFLE(a[i], by_a);           \
    EACH(i) SHUFFLE(d[i], _MM_PERM_BADC);  \
    EACH(i) SHUFFLE(c[i], by_c);

TARGET static inline __m512i block_numbers(unsigned group)
{
    const int n = (int)(4 * group);
    return _mm512_set_epi32(0, 0, 0, n + 3, 0, 0, 0, n + 2, 0, 0, 0, n + 1, 0, 0, 0, n);
}

/* Four rows of four blocks, written as four blocks. */
TARGET static inline void put_blocks(__m512i a, __m512i b, __m512i c, __m512i d, uint8_t *to)
{
    __m512i ab01 = _mm512_shuffle_i32x4(a, b, 0x44), ab23 = _mm512_shuffle_i32x4(a, b, 0xee);
    __m512i cd01 = _mm512_shuffle_i32x4(c, d, 0x44), cd23 = _mm512_shuffle_i32x4(c, d, 0xee);
    _mm512_store_si512((void *)to, _mm512_shuffle_i32x4(ab01, cd01, 0x88));
    _mm512_store_si512((void *)(to + BLOCK), _mm512_shuffle_i32x4(ab01, cd01, 0xdd));
    _mm512_store_si512((void *)(to + 2 * BLOCK), _mm512_shuffle_i32x4(ab23, cd23, 0x88));
    _mm512_store_si512((void *)(to + 3 * BLOCK), _mm512_shuffle_i32x4(ab23, cd23, 0xdd));
}

TARGET static inline __attribute__((always_inline)) void make_groups(const uint8_t *key, uint64_t counter, uint32_t block, uint8_t *to, const unsigned groups)
{
    const __m512i constants = _mm512_broadcast_i32x4(_mm_set_epi32(0x6b206574, 0x79622d32, 0x3320646e, 0x61707865));
    const __m512i key0 = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)key));
    const __m512i key1 = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(key + 16)));
    const __m512i nonce = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)counter, block));
    __m512i a[GROUPS], b[GROUPS], c[GROUPS], d[GROUPS];
    EACH(i) a[i] = constants;
    EACH(i) b[i] = key0;
    EACH(i) c[i] = key1;
    EACH(i) d[i] = _mm512_add_epi32(nonce, block_numbers(i));
    for (unsigned twice = 0; twice < 10; twice++) {
        QUARTER_ROUNDS(a, b, c, d)
        TURN(a, c, d, _MM_PERM_CBAD, _MM_PERM_ADCB)
        QUARTER_ROUNDS(a, b, c, d)
        TURN(a, c, d, _MM_PERM_ADCB, _MM_PERM_CBAD)
    }
    EACH(i) put_blocks(_mm512_add_epi32(a[i], constants), _mm512_add_epi32(b[i], key0), _mm512_add_epi32(c[i], key1),
                       _mm512_add_epi32(d[i], _mm512_add_epi32(nonce, block_numbers(i))), to + GROUP_BYTES * i);
}

#define MAKE(count)                                                                                                          \
    TARGET static __attribute__((noinline)) void make_##count(const uint8_t *key, uint64_t counter, uint32_t block, uint8_t *to) \
    {                                                                                                                        \
        make_groups(key, counter, block, to, count);                                                                         \
    }
MAKE(1)
MAKE(2)
MAKE(3)
MAKE(4)
MAKE(5)
MAKE(6)

/* Keystream from block number BLOCK on, for LENGTH bytes or as many as there is room for. How many there are. */
static size_t make_keystream(struct context *context, const uint8_t *key, uint64_t counter, uint32_t block, size_t length)
{
    static void (*const MAKES[GROUPS])(const uint8_t *, uint64_t, uint32_t, uint8_t *) = {make_1, make_2, make_3, make_4, make_5, make_6};
    size_t groups = (length + GROUP_BYTES - 1) / GROUP_BYTES;
    if (groups > GROUPS)
        groups = GROUPS;
    MAKES[groups - 1](key, counter, block, context->keystream);
    return groups * GROUP_BYTES;
}

TARGET static void add_keystream(const uint8_t *keystream, const uint8_t *from, uint8_t *to, size_t length)
{
    for (; length >= BLOCK; length -= BLOCK, keystream += BLOCK, from += BLOCK, to += BLOCK)
        _mm512_storeu_si512((void *)to, _mm512_xor_si512(_mm512_loadu_si512((const void *)from), _mm512_load_si512((const void *)keystream)));
    if (length) {
        __mmask64 mask = UINT64_MAX >> (BLOCK - length);
        __m512i bytes = _mm512_maskz_loadu_epi8(mask, from);
        _mm512_mask_storeu_epi8(to, mask, _mm512_xor_si512(bytes, _mm512_load_si512((const void *)keystream)));
    }
}

/* The rest of the packet; READY bytes of keystream are there, the first block of which is not for it. */
static void cipher(struct context *context, const uint8_t *key, uint64_t counter, size_t ready, const uint8_t *from, uint8_t *to, size_t length)
{
    uint32_t block = 0;
    for (size_t skip = BLOCK;; skip = 0) {
        size_t part = ready - skip < length ? ready - skip : length;
        add_keystream(context->keystream + skip, from, to, part);
        length -= part;
        if (!length)
            return;
        from += part;
        to += part;
        block += (uint32_t)(ready / BLOCK);
        ready = make_keystream(context, key, counter, block, length);
    }
}

/* --- Poly1305 (RFC 8439 section 2.8: the text, then both lengths), with the key that the first block is */

static void clamp(uint8_t *key)
{
    static const uint64_t CLAMP[2] = {0x0ffffffc0fffffff, 0x0ffffffc0ffffffc};
    uint64_t r[2];
    memcpy(r, key, sizeof r);
    r[0] &= CLAMP[0];
    r[1] &= CLAMP[1];
    memcpy(key, r, sizeof r);
}

static void make_tag(const struct context *context, const uint8_t *key, const uint8_t *bytes, size_t length, uint8_t *tag)
{
    uint64_t state[3] = {0}, lengths[2] = {0, length};
    context->update(bytes, length, state, key);
    context->update(lengths, sizeof lengths, state, key);
    context->complete(state, key, tag);
}

/* --- the table's row */

static void *context_new(void)
{
    struct context *context = mem_alloc(1, sizeof *context);
    bool ifma = __builtin_cpu_supports("avx512ifma");
    context->keystream = context->room + (BLOCK - (uintptr_t)context->room % BLOCK) % BLOCK;
    context->update = ifma ? poly1305_aead_update_fma_avx512 : poly1305_aead_update_avx512;
    context->complete = ifma ? poly1305_aead_complete_fma_avx512 : poly1305_aead_complete_avx512;
    return context;
}

static void context_free(void *context)
{
    sodium_memzero(context, sizeof(struct context));
    free(context);
}

static bool available(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

static void seal(void *opaque, const uint8_t key[static 32], uint64_t counter, const uint8_t *from, size_t length, uint8_t *to)
{
    struct context *context = opaque;
    uint8_t mac_key[32];
    size_t ready = make_keystream(context, key, counter, 0, BLOCK + length);
    memcpy(mac_key, context->keystream, sizeof mac_key);
    clamp(mac_key);
    cipher(context, key, counter, ready, from, to, length);
    make_tag(context, mac_key, to, length, to + length);
}

static int open_sealed(void *opaque, const uint8_t key[static 32], uint64_t counter, uint8_t *bytes, size_t length)
{
    struct context *context = opaque;
    uint8_t tag[SEAL_TAG];
    size_t ready = make_keystream(context, key, counter, 0, BLOCK + length);
    clamp(context->keystream);
    make_tag(context, context->keystream, bytes, length, tag);
    if (seal_compare_tags(tag, bytes + length))
        return -1; /* before anything was opened */
    cipher(context, key, counter, ready, bytes, bytes, length);
    return 0;
}

const struct seal_ops SEAL_IPSEC_MB_AVX512 = {
    .name = "ipsec-mb-avx512",
    .available = available,
    .context_new = context_new,
    .context_free = context_free,
    .seal = seal,
    .open = open_sealed,
};

#endif
