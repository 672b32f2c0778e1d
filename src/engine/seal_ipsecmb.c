/* Sealing by Intel's multi-buffer library with AVX2 (x86-64): faster than libcrypto on such machines, most so for small packets.
 *
 * Its public interface is a table of pointers that drags the whole library (12.7 MB) into a static program. The functions behind the table's row for
 * ChaCha20-Poly1305 are called instead: 0.4 MB, and faster than INIT/UPDATE/FINALIZE; a burst of packets is no faster than one by one.
 * They are not in its header: the Makefile takes only the version that they are known of, and the known answers are asked at each start.
 * The function for SSE is not among them: it reads past the end of its input (seen at 161 bytes); such machines take libcrypto. */
#include "seal_table.h"

#ifdef WGDECK_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <stdlib.h>

#include "wgdeck/mem.h"

IMB_JOB *aead_chacha20_poly1305_avx2(IMB_MGR *manager, IMB_JOB *job);

/* Not looked at by this function. */
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

static void run(IMB_JOB *job, const uint8_t *key, uint64_t counter, const uint8_t *from, size_t length, uint8_t *to, uint8_t *tag)
{
    uint8_t nonce[12];
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
    aead_chacha20_poly1305_avx2(&manager, job);
}

static void seal(void *context, const uint8_t key[static 32], uint64_t counter, const uint8_t *from, size_t length, uint8_t *to)
{
    IMB_JOB *job = context;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    run(job, key, counter, from, length, to, to + length);
}

static int open_sealed(void *context, const uint8_t key[static 32], uint64_t counter, uint8_t *bytes, size_t length)
{
    IMB_JOB *job = context;
    uint8_t tag[SEAL_TAG];
    job->cipher_direction = IMB_DIR_DECRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    run(job, key, counter, bytes, length, bytes, tag);
    return seal_compare_tags(tag, bytes + length);
}

static bool available(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

const struct seal_ops SEAL_IPSEC_MB_AVX2 = {
    .name = "ipsec-mb-avx2",
    .available = available,
    .context_new = context_new,
    .context_free = context_free,
    .seal = seal,
    .open = open_sealed,
};

#endif
