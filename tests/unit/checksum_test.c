/* The Internet checksum against the plainest way of RFC 1071, at every length and alignment. */
#include "unit.h"

#include <sodium.h>

#include "engine/offload.h"

static uint16_t slow(const uint8_t *bytes, size_t length, uint16_t begin)
{
    uint32_t sum = (uint32_t)(begin >> 8 | (begin & 255) << 8);
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum >> 8 | (sum & 255) << 8);
}

/* This machine's order of bytes is taken for little endian in the reference only. */
static uint16_t fast(const uint8_t *bytes, size_t length, uint64_t begin)
{
    return checksum_fold(checksum_add(bytes, length, begin));
}

static void test_lengths(void **state)
{
    (void)state;
    uint8_t bytes[2100];
    randombytes_buf(bytes, sizeof bytes);
    for (size_t length = 0; length <= 2000; length++) {
        size_t at = length * 7 % 64;
        uint16_t begin = (uint16_t)randombytes_random();
        CASE_ASSERT(length, fast(bytes + at, length, begin) == slow(bytes + at, length, begin));
    }
}

/* All carries: the places where a sum that loses one is wrong. */
static void test_full(void **state)
{
    (void)state;
    static uint8_t bytes[65600];
    memset(bytes, 0xff, sizeof bytes);
    for (size_t length = 0; length < 65536; length = length * 5 / 4 + 1)
        CASE_ASSERT(length, fast(bytes, length, 0xffff) == slow(bytes, length, 0xffff));
    assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
    assert_int_equal(checksum_fold(0), 0);
    assert_int_equal(checksum_fold(checksum_add(bytes, 64, UINT64_MAX)), 0xffff);
    assert_int_equal(checksum_fold(0x1000100010001), 4);
}

/* Exactly the bytes given are read, in heap blocks of that size (for the sanitizer). */
static void test_ends(void **state)
{
    (void)state;
    for (size_t length = 1; length < 400; length++) {
        uint8_t *bytes = malloc(length);
        randombytes_buf(bytes, length);
        CASE_ASSERT(length, fast(bytes, length, 0) == slow(bytes, length, 0));
        free(bytes);
    }
}

/* RFC 1071 section 3's example. */
static void test_known(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t sum = fast(bytes, sizeof bytes, 0);
    assert_memory_equal(&sum, "\xdd\xf2", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_ends),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
