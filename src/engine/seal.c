/* Which sealing is used: the fastest that this machine has and that gives the known answers. */
#include "seal.h"

#include <string.h>

#include "seal_table.h"
#include "wgdeck/mem.h"

/* Best first. The speeds of each are in tests/bench/seal_bench.c. */
static const struct seal_ops *const TABLE[] = {
#ifdef WGDECK_IPSEC_MB
    &SEAL_IPSEC_MB_AVX512,
    &SEAL_IPSEC_MB_AVX2,
#endif
    &SEAL_LIBCRYPTO,
};

/* The messages are the bytes 7 i + length; the key is 128...159, the counter 0x8877665544332211 + length. The tags were made by libsodium; a tag over the
 * sealed bytes answers for all of them. The lengths are those at which the implementations take another way: none, one block, eight, sixteen, and more. */
static const struct known_answer {
    size_t length;
    uint8_t tag[SEAL_TAG];
} ANSWERS[] = {
    {0, {0x90, 0xcc, 0x99, 0x6e, 0xd4, 0xd1, 0xb7, 0x0b, 0x05, 0x90, 0x19, 0x37, 0x06, 0x78, 0x5d, 0x72}},
    {1, {0xf6, 0x7e, 0x58, 0x78, 0xa9, 0xe2, 0x9a, 0xb4, 0xf5, 0x26, 0xab, 0x7c, 0x0e, 0xfa, 0x38, 0xf2}},
    {15, {0x54, 0xc9, 0xe8, 0x9d, 0x1e, 0x91, 0x95, 0xd5, 0x17, 0x54, 0xb0, 0x2e, 0xce, 0x3c, 0x64, 0xda}},
    {64, {0x0d, 0x78, 0x22, 0x01, 0xed, 0xac, 0x82, 0xc8, 0x83, 0xfc, 0x9b, 0x08, 0x67, 0x01, 0xc7, 0x54}},
    {333, {0xd6, 0x44, 0xd5, 0x70, 0xa9, 0x60, 0x5e, 0x92, 0xf8, 0x39, 0x3b, 0x14, 0x51, 0x35, 0x3e, 0xc2}},
    {512, {0xa1, 0xa3, 0x83, 0xba, 0xe0, 0xed, 0xd2, 0x90, 0x32, 0x47, 0xa6, 0x71, 0x8b, 0x68, 0x5d, 0xe5}},
    {1024, {0xe4, 0x21, 0x8d, 0x1a, 0xec, 0xe9, 0x8b, 0xc9, 0x87, 0x31, 0x00, 0x39, 0x33, 0x93, 0x2f, 0x9b}},
    {1440, {0x4d, 0xed, 0x41, 0x95, 0x36, 0x06, 0xb4, 0x5a, 0xb1, 0xc8, 0xe9, 0x79, 0xce, 0xfc, 0x57, 0xc3}},
};
#define LONGEST 1440

static bool answers_right(const struct seal_ops *ops, void *context, const struct known_answer *answer)
{
    uint8_t key[32], plain[LONGEST], bytes[LONGEST + SEAL_TAG];
    uint64_t counter = UINT64_C(0x8877665544332211) + answer->length;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(128 + i);
    for (size_t i = 0; i < answer->length; i++)
        plain[i] = (uint8_t)(7 * i + answer->length);
    ops->seal(context, key, counter, plain, answer->length, bytes);
    if (memcmp(bytes + answer->length, answer->tag, SEAL_TAG))
        return false;
    if (ops->open(context, key, counter, bytes, answer->length) || memcmp(bytes, plain, answer->length))
        return false;
    /* And what was changed is refused. */
    ops->seal(context, key, counter, plain, answer->length, bytes);
    bytes[answer->length / 2] ^= 4;
    return ops->open(context, key, counter, bytes, answer->length) != 0;
}

static bool works(const struct seal_ops *ops)
{
    if (!ops->available())
        return false;
    void *context = ops->context_new();
    bool right = context != NULL;
    for (size_t i = 0; right && i < COUNT_OF(ANSWERS); i++)
        right = answers_right(ops, context, &ANSWERS[i]);
    if (context)
        ops->context_free(context);
    return right;
}

/* "ipsec-mb" stands for each of its kinds. */
static bool is_named(const struct seal_ops *ops, const char *named)
{
    size_t length = strlen(named);
    return !strncmp(ops->name, named, length) && (!ops->name[length] || ops->name[length] == '-');
}

const struct seal_ops *seal_choose(const char *named, struct err *err)
{
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(TABLE); i++) {
        if (named && !is_named(TABLE[i], named))
            continue;
        known = true;
        if (works(TABLE[i]))
            return TABLE[i];
    }
    if (named && !known)
        err_set(err, "ChaCha20-Poly1305 of %s is not in this program: leave the choice to the program, or name libcrypto", named);
    else if (named)
        err_set(err, "ChaCha20-Poly1305 of %s does not work on this machine: leave the choice to the program", named);
    else
        err_set(err, "no ChaCha20-Poly1305 works on this machine: OpenSSL's libcrypto may be restricted (a FIPS provider?); allow its default provider");
    return NULL;
}
