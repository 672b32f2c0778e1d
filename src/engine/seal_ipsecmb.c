/* Sealing by Intel's multi-buffer library (x86-64), three times as fast as libcrypto on small packets and twice on large ones.
 *
 * Its public interface is a table of pointers that drags the whole library (12.7 MB) into a static program. The functions behind the table's row for
 * ChaCha20-Poly1305 are called instead: 0.4 MB, and faster than INIT/UPDATE/FINALIZE; a burst of packets is no faster than one by one.
 * They are not in its header: the Makefile takes only the version that they are known of, and the known answers are asked at each start.
 * The function for SSE is not among them: it reads past the end of its input (seen at 161 bytes); such machines take libcrypto. */
#include "seal_table.h"

#ifdef WGDECK_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

IMB_JOB *aead_chacha20_poly1305_avx512(IMB_MGR *manager, IMB_JOB *job);
IMB_JOB *aead_chacha20_poly1305_avx2(IMB_MGR *manager, IMB_JOB *job);

typedef IMB_JOB *aead_function(IMB_MGR *manager, IMB_JOB *job);

/* Only its word of features is read, and by the AVX-512 function only. */
static IMB_MGR manager;

static void *context_new(void)
{
    IMB_JOB *job = mem_alloc(1, sizeof *job);
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->key_len_in_bytes = 32;
    job->iv_len_in_bytes = 12;
    job->auth_tag_output_len_in_bytes = SEAL_TAG;
    return job;
}

/* It holds no key, only where one was. */
static void context_free(void *context)
{
    free(context);
}

static inline void run(aead_function *function, IMB_JOB *job, const uint8_t *key, uint64_t counter, const uint8_t *from, size_t length, uint8_t *to,
                       uint8_t *tag)
{
    uint8_t nonce[16];
    seal_nonce(counter, nonce);
    job->enc_keys = key;
    job->dec_keys = key;
    job->iv = nonce;
    job->src = from;
    job->dst = to;
    job->msg_len_to_cipher_in_bytes = length;
    job->msg_len_to_hash_in_bytes = length;
    job->auth_tag_output = tag;
    job->u.CHACHA20_POLY1305.aad = nonce; /* no bytes of it: the length is 0 */
    function(&manager, job);
}

static inline void seal_by(aead_function *function, IMB_JOB *job, const uint8_t *key, uint64_t counter, const uint8_t *from, size_t length, uint8_t *to)
{
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    run(function, job, key, counter, from, length, to, to + length);
}

/* 0 or -1; takes the same time whatever the bytes are. */
static inline int compare_tags(const uint8_t *a, const uint8_t *b)
{
    uint64_t x[2], y[2];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    uint64_t difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
    __asm__("" : "+r"(difference)); /* the compiler may not know that only zero matters until all is compared */
    return difference ? -1 : 0;
}

static inline int open_by(aead_function *function, IMB_JOB *job, const uint8_t *key, uint64_t counter, uint8_t *bytes, size_t length)
{
    uint8_t tag[SEAL_TAG];
    job->cipher_direction = IMB_DIR_DECRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    run(function, job, key, counter, bytes, length, bytes, tag);
    return compare_tags(tag, bytes + length);
}

static bool available_avx512(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("bmi2"))
        return false;
    manager.features = __builtin_cpu_supports("avx512ifma") ? IMB_FEATURE_AVX512_IFMA : 0;
    return true;
}

static bool available_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

#define SEAL_OPS(constant, kind, shown)                                                                                             \
    static void seal_##kind(void *context, const uint8_t key[static 32], uint64_t counter, const uint8_t *from, size_t length, uint8_t *to) \
    {                                                                                                                               \
        seal_by(aead_chacha20_poly1305_##kind, context, key, counter, from, length, to);                                            \
    }                                                                                                                               \
    static int open_##kind(void *context, const uint8_t key[static 32], uint64_t counter, uint8_t *bytes, size_t length)            \
    {                                                                                                                               \
        return open_by(aead_chacha20_poly1305_##kind, context, key, counter, bytes, length);                                        \
    }                                                                                                                               \
    const struct seal_ops constant = {                                                                                              \
        .name = shown,                                                                                                              \
        .available = available_##kind,                                                                                              \
        .context_new = context_new,                                                                                                 \
        .context_free = context_free,                                                                                               \
        .seal = seal_##kind,                                                                                                        \
        .open = open_##kind,                                                                                                        \
    };

SEAL_OPS(SEAL_IPSEC_MB_AVX512, avx512, "ipsec-mb-avx512")
SEAL_OPS(SEAL_IPSEC_MB_AVX2, avx2, "ipsec-mb-avx2")

#endif
