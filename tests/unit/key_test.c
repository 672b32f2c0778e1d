/* key.h: against wg(8)'s and sha256sum's own output. */
#include "unit.h"

#include "wgdeck/key.h"

/* A pair and a hash computed with wg genkey, wg pubkey and sha256sum. */
static const char private_text[] = "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o=";
static const char private_hex[] = "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34a";
static const char public_text[] = "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI=";
static const char salt[] = "0000000000000000000000000000000000000000000000000000000000000001";
static const uint8_t salted_hash[KEY_HASH_SIZE] = {0x39, 0x9d, 0x04, 0x30, 0x23, 0xbb, 0x2c, 0x05,
                                                   0xb4, 0xa6, 0xe1, 0x26, 0x6a, 0xb1, 0x08, 0xb5};

static void test_text(void **state)
{
    struct key key, same;
    char text[KEY_TEXT_SIZE];
    (void)state;
    assert_int_equal(key_parse(private_text, &key), 0);
    assert_int_equal(key_parse_hex(private_hex, &same), 0);
    assert_true(key_equal(&key, &same));
    key_text(&key, text);
    assert_string_equal(text, private_text);
    key_public(&key, &same);
    key_text(&same, text);
    assert_string_equal(text, public_text);
    assert_false(key_equal(&key, &same));
    key_wipe(&key);
    assert_true(key_is_zero(&key));
    key_text(&key, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

static void test_bad_text(void **state)
{
    static const char *const bad[] = {
        "", "(none)", "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o", "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o==",
        "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00p=", /* bits that belong to no byte */
        "uPcdV4AL-7gLWHx_N2v9KuVQ4zyErIeoF4szvRaE00o=", " PcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o=",
        "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00oA", "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00==",
        "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o=\n",
    };
    static const char *const bad_hex[] = {
        "", "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34", "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34a0",
        "g8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34a", "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d3 a",
        "b8:f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34",
    };
    struct key key;
    (void)state;
    memset(&key, 7, sizeof key);
    struct key before = key;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CASE_ASSERT(i, key_parse(bad[i], &key) == -1);
    for (size_t i = 0; i < COUNT_OF(bad_hex); i++)
        CASE_ASSERT(i, key_parse_hex(bad_hex[i], &key) == -1);
    assert_memory_equal(&key, &before, sizeof key);
}

static void test_round(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct key key, again;
        char text[KEY_TEXT_SIZE];
        key_make_preshared(&key);
        key_text(&key, text);
        CASE_ASSERT(i, strlen(text) == 44 && key_parse(text, &again) == 0 && key_equal(&key, &again));
        key_make_private(&key);
        CASE_ASSERT(i, (key.bytes[0] & 7) == 0 && (key.bytes[31] & 0xC0) == 0x40);
    }
}

static void test_hash(void **state)
{
    struct key key;
    uint8_t hash[KEY_HASH_SIZE];
    (void)state;
    assert_int_equal(key_parse(private_text, &key), 0);
    key_hash(&key, salt, hash);
    assert_memory_equal(hash, salted_hash, sizeof hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
