/* BLAKE2s: the RFC's example and its self-test, keyed and unkeyed; HMAC over it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "engine/blake2s.h"
#include "wgdeck/mem.h"

/* RFC 7693 appendix B */
static void test_abc(void **state)
{
    static const uint8_t wanted[32] = {0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb, 0x45, 0x2f,
                                       0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82};
    uint8_t digest[32];
    (void)state;
    blake2s(digest, 32, NULL, 0, "abc", 3);
    assert_memory_equal(digest, wanted, 32);
}

/* RFC 7693 appendix E: the hash of the hashes of a made-up sequence, of four digest and six input lengths, each without and with a key. */
static void sequence(uint8_t *out, size_t length, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed, b = 1;
    for (size_t i = 0; i < length; i++) {
        uint32_t sum = a + b;
        a = b;
        b = sum;
        out[i] = (uint8_t)(sum >> 24);
    }
}

static void test_grand_hash(void **state)
{
    static const uint8_t wanted[32] = {0x6a, 0x41, 0x1f, 0x08, 0xce, 0x25, 0xad, 0xcd, 0xfb, 0x02, 0xab, 0xa6, 0x41, 0x45, 0x1c, 0xec,
                                       0x53, 0xc5, 0x98, 0xb2, 0x4f, 0x4f, 0xc7, 0x87, 0xfb, 0xdc, 0x88, 0x79, 0x7f, 0x4c, 0x1d, 0xfe};
    static const size_t sizes[] = {16, 20, 28, 32}, lengths[] = {0, 3, 64, 65, 255, 1024};
    uint8_t input[1024], key[32], digest[32];
    struct blake2s all;
    (void)state;
    blake2s_begin(&all, 32, NULL, 0);
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (size_t l = 0; l < COUNT_OF(lengths); l++) {
            sequence(input, lengths[l], (uint32_t)lengths[l]);
            blake2s(digest, sizes[s], NULL, 0, input, lengths[l]);
            blake2s_add(&all, digest, sizes[s]);
            sequence(key, sizes[s], (uint32_t)sizes[s]);
            blake2s(digest, sizes[s], key, sizes[s], input, lengths[l]);
            blake2s_add(&all, digest, sizes[s]);
        }
    blake2s_end(&all, digest);
    assert_memory_equal(digest, wanted, 32);
}

static void test_in_pieces(void **state)
{
    uint8_t input[300], whole[32], pieces[32];
    (void)state;
    sequence(input, sizeof input, 7);
    for (size_t length = 0; length <= sizeof input; length++)
        for (size_t piece = 1; piece <= 130; piece += 43) {
            struct blake2s hash;
            blake2s(whole, 32, NULL, 0, input, length);
            blake2s_begin(&hash, 32, NULL, 0);
            for (size_t at = 0; at < length; at += piece)
                blake2s_add(&hash, input + at, length - at < piece ? length - at : piece);
            blake2s_end(&hash, pieces);
            assert_memory_equal(whole, pieces, 32);
        }
}

/* By Python's hmac with hashlib's blake2s. */
static void test_hmac(void **state)
{
    static const uint8_t wanted[32] = {0x83, 0x06, 0xd5, 0x7f, 0x78, 0xf7, 0xad, 0x1d, 0xed, 0x66, 0xb8, 0xb3, 0x33, 0xc1, 0x3c, 0xbb,
                                       0xc7, 0x74, 0xa0, 0x8d, 0xd4, 0xd0, 0xe4, 0xc5, 0x30, 0xb9, 0x22, 0x8b, 0xb4, 0x5e, 0x58, 0x59};
    uint8_t digest[32];
    (void)state;
    blake2s_hmac(digest, "a key of some length", 20, "and a text", 10);
    assert_memory_equal(digest, wanted, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abc),
        cmocka_unit_test(test_grand_hash),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_hmac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
