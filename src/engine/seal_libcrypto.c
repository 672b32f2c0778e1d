/* Sealing by OpenSSL: for machines without ipsec-mb. One cipher context a thread, made once; only key and nonce change. */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "seal_table.h"
#include "wgdeck/mem.h"

static void context_free(void *context)
{
    EVP_CIPHER_CTX_free(context); /* cleanses the keys */
}

static void *context_new(void)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ready = cipher && context && EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, 1) == 1;
    EVP_CIPHER_free(cipher); /* the context holds its own */
    if (ready)
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

static bool available(void)
{
    void *context = context_new();
    context_free(context);
    return context != NULL;
}

static void seal(void *context, const uint8_t key[static 32], uint64_t counter, const uint8_t *from, size_t length, uint8_t *to)
{
    uint8_t nonce[12];
    int written = 0;
    seal_nonce(counter, nonce);
    if (EVP_CipherInit_ex(context, NULL, NULL, key, nonce, 1) != 1 || EVP_CipherUpdate(context, to, &written, from, (int)length) != 1 ||
        EVP_CipherFinal_ex(context, to + length, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, to + length) != 1)
        OPENSSL_cleanse(to, length + SEAL_TAG); /* it cannot fail after the known answers; if it does, nothing may leave in clear */
}

static int open_sealed(void *context, const uint8_t key[static 32], uint64_t counter, uint8_t *bytes, size_t length)
{
    uint8_t nonce[12], rest[16];
    int written = 0;
    seal_nonce(counter, nonce);
    if (EVP_CipherInit_ex(context, NULL, NULL, key, nonce, 0) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, bytes + length) != 1 ||
        EVP_CipherUpdate(context, bytes, &written, bytes, (int)length) != 1)
        return -1;
    return EVP_CipherFinal_ex(context, rest, &written) == 1 ? 0 : -1; /* compares the tag by CRYPTO_memcmp */
}

const struct seal_ops SEAL_LIBCRYPTO = {
    .name = "libcrypto",
    .available = available,
    .context_new = context_new,
    .context_free = context_free,
    .seal = seal,
    .open = open_sealed,
};
