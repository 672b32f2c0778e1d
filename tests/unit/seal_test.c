/* Sealing: each implementation that this machine runs against libsodium, which itself is held against RFC 8439; ends of buffers against guard pages. */
#include "unit.h"

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/seal_table.h"

#define LONGEST 65536

/* Bytes that end where an unmapped page begins, and begin where one ends. */
struct guarded {
    uint8_t *map, *end;
    size_t size;
};

static struct guarded guarded_new(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded guarded = {.size = LONGEST + page};
    guarded.map = mmap(NULL, guarded.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guarded.map != MAP_FAILED);
    guarded.map += page;
    assert_return_code(mprotect(guarded.map, guarded.size, PROT_READ | PROT_WRITE), 0);
    guarded.end = guarded.map + guarded.size;
    return guarded;
}

static void sodium_seal(const uint8_t *key, uint64_t counter, const uint8_t *from, size_t length, uint8_t *to)
{
    uint8_t nonce[12];
    seal_nonce(counter, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, from, length, NULL, 0, NULL, nonce, key);
}

/* RFC 8439 section 2.8.2. */
static void test_reference(void **state)
{
    (void)state;
    static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    static const uint8_t nonce[12] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const uint8_t data[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const uint8_t tag[16] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    uint8_t key[32], out[sizeof text - 1 + 16];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(0x80 + i);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, (const uint8_t *)text, sizeof text - 1, data, sizeof data, NULL, nonce, key);
    assert_memory_equal(out + sizeof text - 1, tag, sizeof tag);
}

/* Sealed as the reference does, apart and in place; opened again; refused when one bit of text, tag, key or counter differs. */
static void check_length(const struct seal_ops *ops, void *context, size_t length, bool at_end)
{
    static struct guarded from, to;
    static uint8_t expected[LONGEST + SEAL_TAG];
    uint8_t key[32];
    uint64_t counter;
    if (!from.map) {
        from = guarded_new();
        to = guarded_new();
    }
    uint8_t *plain = at_end ? from.end - length : from.map, *sealed = at_end ? to.end - length - SEAL_TAG : to.map;
    randombytes_buf(key, sizeof key);
    randombytes_buf(&counter, sizeof counter);
    randombytes_buf(plain, length);
    sodium_seal(key, counter, plain, length, expected);
    ops->seal(context, key, counter, plain, length, sealed);
    CASE_ASSERT(length, !memcmp(sealed, expected, length + SEAL_TAG));
    CASE_ASSERT(length, !ops->open(context, key, counter, sealed, length) && !memcmp(sealed, plain, length));
    ops->seal(context, key, counter, sealed, length, sealed);
    CASE_ASSERT(length, !memcmp(sealed, expected, length + SEAL_TAG));

    size_t bit = randombytes_uniform((uint32_t)(8 * (length + SEAL_TAG)));
    sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    CASE_ASSERT(length, ops->open(context, key, counter, sealed, length) == -1);
    memcpy(sealed, expected, length + SEAL_TAG);
    CASE_ASSERT(length, ops->open(context, key, counter ^ UINT64_C(1) << randombytes_uniform(64), sealed, length) == -1);
    memcpy(sealed, expected, length + SEAL_TAG);
    key[randombytes_uniform(32)] ^= 1;
    CASE_ASSERT(length, ops->open(context, key, counter, sealed, length) == -1);
}

/* What the machine has must also give the known answers, and be chosen when it is named. */
static void check_implementation(const struct seal_ops *ops)
{
    struct err err;
    if (!ops || !ops->available())
        skip();
    assert_ptr_equal(seal_choose(ops->name, &err), ops);
    void *context = ops->context_new();
    for (size_t length = 0; length < 2200; length++)
        check_length(ops, context, length, length % 3 != 0);
    for (unsigned i = 0; i < 200; i++)
        check_length(ops, context, randombytes_uniform(LONGEST), i % 2);
    ops->context_free(context);
}

#ifdef WGDECK_IPSEC_MB
static const struct seal_ops *const AVX512 = &SEAL_IPSEC_MB_AVX512, *const AVX2 = &SEAL_IPSEC_MB_AVX2;
#else
static const struct seal_ops *const AVX512 = NULL, *const AVX2 = NULL;
#endif

static void test_avx512(void **state)
{
    (void)state;
    check_implementation(AVX512);
}

static void test_avx2(void **state)
{
    (void)state;
    check_implementation(AVX2);
}

static void test_libcrypto(void **state)
{
    (void)state;
    check_implementation(&SEAL_LIBCRYPTO);
}

static void test_choice(void **state)
{
    (void)state;
    struct err err;
    const struct seal_ops *best = seal_choose(NULL, &err);
    assert_non_null(best);
    assert_ptr_equal(seal_choose("libcrypto", &err), &SEAL_LIBCRYPTO);
    assert_null(seal_choose("rot13", &err));
    assert_non_null(strstr(err.text, "rot13"));
    assert_null(seal_choose("ipsec-m", &err)); /* a name's part is no name */
    const struct seal_ops *family = seal_choose("ipsec-mb", &err);
    if (family)
        assert_ptr_equal(family, best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_choice),    cmocka_unit_test(test_avx512),
        cmocka_unit_test(test_avx2),      cmocka_unit_test(test_libcrypto),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
