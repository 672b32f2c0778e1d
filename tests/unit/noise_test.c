/* The handshake against a transcript of another implementation, against itself, and against who bends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "engine/blake2s.h"
#include "engine/noise.h"
#include "noise_transcript.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

struct node {
    struct noise_identity identity;
    struct noise_static other;
};

static struct key key_of(const uint8_t bytes[32])
{
    struct key key;
    memcpy(key.bytes, bytes, KEY_SIZE);
    return key;
}

static void make_node(struct node *node, const struct key *private_key)
{
    memset(node, 0, sizeof *node);
    node->identity = (struct noise_identity){.private_key = *private_key, .set = true};
    key_public(private_key, &node->identity.public_key);
}

static void introduce(struct node *one, struct node *two, const struct key *psk)
{
    one->other.public_key = two->identity.public_key;
    two->other.public_key = one->identity.public_key;
    one->other.preshared = two->other.preshared = *psk;
    noise_static_prepare(&one->other, &one->identity);
    noise_static_prepare(&two->other, &two->identity);
    assert_true(one->other.usable && two->other.usable);
}

/* The two of the transcript. */
static void transcript(struct node *ours, struct node *theirs)
{
    const struct key a = key_of(our_private), b = key_of(their_private), psk = key_of(preshared);
    make_node(ours, &a);
    make_node(theirs, &b);
    introduce(ours, theirs, &psk);
}

static void strangers(struct node *one, struct node *two)
{
    struct key a, b, psk;
    key_make_private(&a);
    key_make_private(&b);
    key_make_preshared(&psk);
    make_node(one, &a);
    make_node(two, &b);
    introduce(one, two, &psk);
}

static void after_our_initiation(struct noise_handshake *handshake)
{
    *handshake = (struct noise_handshake){.waiting = true, .local_index = 0x01020304};
    memcpy(handshake->hash, state_hash, 32);
    memcpy(handshake->chaining_key, state_chaining_key, 32);
    memcpy(handshake->ephemeral_private, state_ephemeral, 32);
}

/* --- known answers */

/* The two values that every transcript begins with (whitepaper section 5.4.2), by the hash that the handshake uses. */
static void test_constants(void **state)
{
    static const uint8_t chaining_key[] = {0x60, 0xe2, 0x6d, 0xae}, hash[] = {0x22, 0x11, 0xb3, 0x61};
    static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
    uint8_t both[32 + sizeof identifier - 1], out[32];
    (void)state;
    blake2s(out, 32, NULL, 0, construction, sizeof construction - 1);
    assert_memory_equal(out, chaining_key, sizeof chaining_key);
    memcpy(both, out, 32);
    memcpy(both + 32, identifier, sizeof identifier - 1);
    blake2s(out, 32, NULL, 0, both, sizeof both);
    assert_memory_equal(out, hash, sizeof hash);
}

static void test_their_initiation(void **state)
{
    struct node ours, theirs;
    struct noise_incoming incoming;
    struct message_initiation message;
    struct mac_key mac1;
    (void)state;
    transcript(&ours, &theirs);
    memcpy(&message, their_initiation, sizeof message);
    mac_key_make(&mac1, &ours.identity.public_key);
    assert_true(mac1_is_good(&mac1, &message, sizeof message));
    assert_int_equal(noise_initiation_open(&message, &ours.identity, &incoming), 0);
    assert_true(key_equal(&incoming.initiator, &theirs.identity.public_key));
    assert_int_equal(noise_initiation_verify(&message, &ours.other, &incoming), 0);
    assert_memory_equal(incoming.timestamp, their_timestamp, TAI64N_SIZE);
}

static void test_our_initiation_at_their_end(void **state)
{
    struct node ours, theirs;
    struct noise_incoming incoming;
    struct message_initiation message;
    (void)state;
    transcript(&ours, &theirs);
    memcpy(&message, our_initiation, sizeof message);
    assert_int_equal(noise_initiation_open(&message, &theirs.identity, &incoming), 0);
    assert_true(key_equal(&incoming.initiator, &ours.identity.public_key));
    assert_int_equal(noise_initiation_verify(&message, &theirs.other, &incoming), 0);
    assert_int_equal(incoming.remote_index, 0x01020304);
    assert_memory_equal(incoming.hash, state_hash, 32);
    assert_memory_equal(incoming.chaining_key, state_chaining_key, 32);
}

static void test_their_response(void **state)
{
    struct node ours, theirs;
    struct noise_handshake handshake, wiped = {0};
    struct noise_keys keys;
    struct message_response message;
    uint8_t packet[sizeof their_packet], nonce[12] = {0};
    (void)state;
    transcript(&ours, &theirs);
    after_our_initiation(&handshake);
    memcpy(&message, their_response, sizeof message);
    assert_int_equal(noise_response_consume(&message, &handshake, &ours.other, &ours.identity, &keys), 0);
    assert_memory_equal(keys.send, send, 32);
    assert_memory_equal(keys.receive, receive, 32);
    assert_memory_equal(&handshake, &wiped, sizeof handshake);
    memcpy(nonce + 4, their_data + 8, 8);
    assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(packet, NULL, NULL, their_data + 16, sizeof their_data - 16, NULL, 0, nonce, keys.receive), 0);
    assert_memory_equal(packet, their_packet, sizeof packet);
}

static void test_cookie_reply(void **state)
{
    struct node ours, theirs;
    struct mac_key mac1, cookie_key;
    struct message_cookie reply;
    struct message_initiation message;
    struct cookie_state known = {.sent = true};
    (void)state;
    transcript(&ours, &theirs);
    mac_key_make(&mac1, &ours.identity.public_key);
    cookie_key_make(&cookie_key, &ours.identity.public_key);
    memcpy(&reply, cookie_reply, sizeof reply);
    memcpy(&message, their_initiation, sizeof message);
    memcpy(known.last_mac1, message.mac1, 16);
    assert_int_equal(cookie_reply_consume(&known, &cookie_key, 5, &reply), 0);
    assert_memory_equal(known.cookie, cookie, COOKIE_SIZE);
    assert_int_equal(cookie_reply_consume(&known, &cookie_key, 5, &reply), -1); /* one message has one answer */
    /* With it, the next message carries a mac2, for 115 seconds. */
    macs_write(&known, &mac1, 6, &message, sizeof message);
    assert_memory_equal(message.mac1, their_initiation + 116, 16);
    assert_true(mac2_is_good(cookie, &message, sizeof message));
    assert_false(mac2_is_good(cookie, &message, 31));
    for (size_t bit = 0; bit < sizeof message * 8; bit++) {
        ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(mac2_is_good(cookie, &message, sizeof message));
        ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    macs_write(&known, &mac1, 5 + 115 * CLOCK_SECOND, &message, sizeof message);
    assert_true(sodium_is_zero(message.mac2, 16));
}

/* --- both ends */

static void test_both_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct node one, two;
        struct noise_handshake handshake = {0};
        struct noise_incoming incoming;
        struct noise_keys first, second;
        struct message_initiation initiation;
        struct message_response response;
        uint8_t timestamp[TAI64N_SIZE];
        strangers(&one, &two);
        noise_tai64n(clock_wall(), timestamp);
        assert_int_equal(noise_initiation_make(&handshake, &one.other, &one.identity, 7, timestamp, &initiation), 0);
        assert_int_equal(noise_initiation_open(&initiation, &two.identity, &incoming), 0);
        assert_int_equal(noise_initiation_verify(&initiation, &two.other, &incoming), 0);
        assert_memory_equal(incoming.timestamp, timestamp, TAI64N_SIZE);
        assert_int_equal(noise_response_make(&incoming, &two.other, 9, &response, &second), 0);
        assert_int_equal(noise_response_consume(&response, &handshake, &one.other, &one.identity, &first), 0);
        assert_memory_equal(first.send, second.receive, 32);
        assert_memory_equal(first.receive, second.send, 32);
        assert_memory_not_equal(first.send, first.receive, 32);
        assert_int_equal(first.remote_index, 9);
        assert_int_equal(second.remote_index, 7);
    }
}

/* --- bent messages */

/* All but type, the reserved bytes and the macs is authenticated by the handshake itself; the sender's index is not (mac1 covers it). */
static void test_every_bit_of_an_initiation(void **state)
{
    struct node ours, theirs;
    struct noise_incoming incoming;
    (void)state;
    transcript(&ours, &theirs);
    for (size_t bit = 8 * 8; bit < 116 * 8; bit++) {
        struct message_initiation message;
        memcpy(&message, their_initiation, sizeof message);
        ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* X25519 takes no notice of the highest bit of a point; the hash does. */
        assert_true(noise_initiation_open(&message, &ours.identity, &incoming) || noise_initiation_verify(&message, &ours.other, &incoming));
    }
}

static void test_every_bit_of_a_response(void **state)
{
    struct node ours, theirs;
    struct noise_handshake handshake, before;
    struct noise_keys keys;
    struct message_response message;
    (void)state;
    transcript(&ours, &theirs);
    after_our_initiation(&handshake);
    before = handshake;
    for (size_t bit = 8 * 8; bit < 60 * 8; bit++) {
        memcpy(&message, their_response, sizeof message);
        ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(noise_response_consume(&message, &handshake, &ours.other, &ours.identity, &keys), -1);
        assert_memory_equal(&handshake, &before, sizeof before); /* it still waits */
    }
    memcpy(&message, their_response, sizeof message);
    assert_int_equal(noise_response_consume(&message, &handshake, &ours.other, &ours.identity, &keys), 0);
    assert_int_equal(noise_response_consume(&message, &handshake, &ours.other, &ours.identity, &keys), -1); /* once */
}

static void test_another_preshared_key(void **state)
{
    struct node ours, theirs;
    struct noise_handshake handshake;
    struct noise_keys keys;
    struct message_response message;
    (void)state;
    transcript(&ours, &theirs);
    ours.other.preshared.bytes[31] ^= 1;
    after_our_initiation(&handshake);
    memcpy(&message, their_response, sizeof message);
    assert_int_equal(noise_response_consume(&message, &handshake, &ours.other, &ours.identity, &keys), -1);
}

/* The points of small order: whatever the private key, the secret would be zero (RFC 7748 section 6.1). */
static const uint8_t low_order[7][32] = {
    {0},
    {1},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
     0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static void test_low_order_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(low_order); i++) {
        struct node ours, theirs;
        struct noise_handshake handshake;
        struct noise_incoming incoming;
        struct noise_keys keys;
        struct message_initiation initiation;
        struct message_response response;
        uint8_t timestamp[TAI64N_SIZE] = {0};
        transcript(&ours, &theirs);
        /* as an ephemeral key of a message */
        memcpy(&initiation, their_initiation, sizeof initiation);
        memcpy(initiation.ephemeral, low_order[i], 32);
        assert_int_equal(noise_initiation_open(&initiation, &ours.identity, &incoming), -1);
        after_our_initiation(&handshake);
        memcpy(&response, their_response, sizeof response);
        memcpy(response.ephemeral, low_order[i], 32);
        assert_int_equal(noise_response_consume(&response, &handshake, &ours.other, &ours.identity, &keys), -1);
        assert_true(handshake.waiting);
        /* as what a responder answers to */
        memcpy(&initiation, their_initiation, sizeof initiation);
        assert_int_equal(noise_initiation_open(&initiation, &ours.identity, &incoming), 0);
        memcpy(incoming.remote_ephemeral, low_order[i], 32);
        assert_int_equal(noise_response_make(&incoming, &ours.other, 1, &response, &keys), -1);
        /* as a row's key: nothing is ever sent, nothing taken */
        memcpy(ours.other.public_key.bytes, low_order[i], 32);
        noise_static_prepare(&ours.other, &ours.identity);
        assert_false(ours.other.usable);
        assert_int_equal(noise_initiation_make(&handshake, &ours.other, &ours.identity, 1, timestamp, &initiation), -1);
        assert_int_equal(noise_initiation_verify(&initiation, &ours.other, &incoming), -1);
    }
}

static void test_without_a_private_key(void **state)
{
    struct node ours, theirs;
    struct noise_incoming incoming;
    struct noise_handshake handshake = {0};
    struct message_initiation message;
    uint8_t timestamp[TAI64N_SIZE] = {0};
    (void)state;
    transcript(&ours, &theirs);
    ours.identity.set = false;
    noise_static_prepare(&ours.other, &ours.identity);
    memcpy(&message, their_initiation, sizeof message);
    assert_int_equal(noise_initiation_open(&message, &ours.identity, &incoming), -1);
    assert_int_equal(noise_initiation_make(&handshake, &ours.other, &ours.identity, 1, timestamp, &message), -1);
    assert_false(handshake.waiting);
}

/* --- macs, cookies, time */

static void test_mac1(void **state)
{
    struct mac_key right, wrong;
    struct node ours, theirs;
    uint8_t message[148];
    (void)state;
    transcript(&ours, &theirs);
    mac_key_make(&right, &ours.identity.public_key);
    mac_key_make(&wrong, &theirs.identity.public_key);
    memcpy(message, their_initiation, sizeof message);
    assert_true(mac1_is_good(&right, message, sizeof message));
    assert_false(mac1_is_good(&wrong, message, sizeof message));
    assert_false(mac1_is_good(&right, message, 31));
    for (size_t bit = 0; bit < 132 * 8; bit++) {
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(mac1_is_good(&right, message, sizeof message));
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_cookies_are_of_address_port_and_time(void **state)
{
    struct cookie_secret secret = {0};
    uint8_t first[COOKIE_SIZE], second[COOKIE_SIZE];
    const uint8_t here[6] = {192, 0, 2, 1, 0xca, 0x6c}, other_port[6] = {192, 0, 2, 1, 0xca, 0x6d};
    (void)state;
    cookie_of(&secret, 1, here, sizeof here, first);
    cookie_of(&secret, 1 + 119 * CLOCK_SECOND, here, sizeof here, second);
    assert_memory_equal(first, second, COOKIE_SIZE);
    cookie_of(&secret, 1 + 119 * CLOCK_SECOND, other_port, sizeof other_port, second);
    assert_memory_not_equal(first, second, COOKIE_SIZE);
    cookie_of(&secret, 1 + 120 * CLOCK_SECOND, here, sizeof here, second);
    assert_memory_not_equal(first, second, COOKIE_SIZE);
}

static void test_forged_cookie_replies(void **state)
{
    struct node ours, theirs;
    struct mac_key cookie_key;
    (void)state;
    transcript(&ours, &theirs);
    cookie_key_make(&cookie_key, &ours.identity.public_key);
    for (size_t bit = 8 * 8; bit < sizeof cookie_reply * 8; bit++) {
        struct cookie_state known = {.sent = true};
        struct message_cookie reply;
        memcpy(&reply, cookie_reply, sizeof reply);
        ((uint8_t *)&reply)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memcpy(known.last_mac1, their_initiation + 116, 16);
        assert_int_equal(cookie_reply_consume(&known, &cookie_key, 5, &reply), -1);
        assert_true(known.sent && !known.born);
    }
}

static void test_tai64n(void **state)
{
    uint8_t before[TAI64N_SIZE] = {0}, now[TAI64N_SIZE];
    static const uint8_t in_1970[TAI64N_SIZE] = {0x40, 0, 0, 0, 0, 0, 0, 0x0b, 0, 0, 0, 0};
    static const uint8_t nearly_two[TAI64N_SIZE] = {0x40, 0, 0, 0, 0, 0, 0, 0x0b, 0x3b, 0, 0, 0}; /* 999,999,999 ns is 0x3b9ac9ff */
    (void)state;
    noise_tai64n(CLOCK_SECOND, now);
    assert_memory_equal(now, in_1970, sizeof now);
    noise_tai64n(2 * CLOCK_SECOND - 1, now);
    assert_memory_equal(now, nearly_two, sizeof now);
    for (int64_t wall = 0; wall < 3 * CLOCK_SECOND; wall += CLOCK_MILLISECOND) {
        noise_tai64n(1795388400 * CLOCK_SECOND + wall, now);
        assert_true(memcmp(now, before, sizeof now) >= 0);
        assert_true(!(now[9] | now[10] | now[11])); /* 2^24 ns: no fingerprint of the clock */
        memcpy(before, now, sizeof now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_their_initiation),
        cmocka_unit_test(test_our_initiation_at_their_end),
        cmocka_unit_test(test_their_response),
        cmocka_unit_test(test_cookie_reply),
        cmocka_unit_test(test_both_ends),
        cmocka_unit_test(test_every_bit_of_an_initiation),
        cmocka_unit_test(test_every_bit_of_a_response),
        cmocka_unit_test(test_another_preshared_key),
        cmocka_unit_test(test_low_order_points),
        cmocka_unit_test(test_without_a_private_key),
        cmocka_unit_test(test_mac1),
        cmocka_unit_test(test_cookies_are_of_address_port_and_time),
        cmocka_unit_test(test_forged_cookie_replies),
        cmocka_unit_test(test_tai64n),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
