/* Handshakes: both roles, and what must not change anything. */
#include "protocol_world.h"

/* --- the handshake */

static void test_handshake(void **state)
{
    (void)state;
    pair();
    protocol_initiate(b_at_a, true, now);
    assert_int_equal(a->initiations, 1);
    deliver_all();
    turn(b);
    assert_int_equal(b->responses, 1);
    assert_null(atomic_load(&a_at_b->current)); /* not before data came under it */
    assert_non_null(atomic_load(&a_at_b->next));
    assert_int_equal(a_at_b->last_handshake_wall, 0);
    settle();
    assert_true(in_session());
    assert_int_equal(a->keepalives, 1); /* nothing waited: an empty packet confirms */
    assert_int_equal(b->keepalives, 0);
    assert_true(b_at_a->last_handshake_wall > 0 && a_at_b->last_handshake_wall > 0);
    assert_int_equal(atomic_load(&b_at_a->tx_bytes), 148);
    assert_int_equal(atomic_load(&b_at_a->rx_bytes), 92);
    assert_int_equal(atomic_load(&a_at_b->tx_bytes), 92);
    assert_int_equal(atomic_load(&a_at_b->rx_bytes), 148);
    struct udp_endpoint endpoint;
    peer_endpoint_get(a_at_b, &endpoint);
    assert_true(udp_endpoint_equal(&endpoint, &a->address)); /* learned */
    run_until(now + 100 * S); /* nothing to say: nobody does */
    assert_int_equal(a->keepalives + b->keepalives, 1);
    assert_int_equal(a->initiations + b->initiations, 1);
}

static void test_staged_goes_first(void **state)
{
    (void)state;
    pair();
    for (int i = 0; i < 3; i++)
        packet(b_at_a);
    settle();
    assert_true(in_session());
    assert_int_equal(a->staged_sent, 3);
    assert_int_equal(b->data_received, 3);
    assert_int_equal(a->keepalives, 0);
    run_until(now + 10 * S + 5 * MS); /* B had nothing to send: it says that it got them, once */
    assert_int_equal(b->keepalives, 1);
    run_until(now + 100 * S); /* and nobody answers a keepalive */
    assert_int_equal(a->keepalives, 0);
    assert_int_equal(b->keepalives, 1);
}

static void test_preshared(void **state)
{
    (void)state;
    struct key preshared;
    key_make_preshared(&preshared);
    pair();
    peer_set_preshared(b_at_a, &preshared);
    protocol_initiate(b_at_a, true, now);
    settle();
    assert_false(in_session());
    assert_int_equal(atomic_load(&a->engine.control_tally.bad_response), 1);
    assert_int_equal(atomic_load(&b_at_a->tally.bad_handshake), 1);
    peer_set_preshared(a_at_b, &preshared);
    run_until(now + 6 * S);
    assert_true(in_session());
}

static void test_both_at_once(void **state)
{
    (void)state;
    pair();
    peer_endpoint_set(a_at_b, &a->address);
    protocol_initiate(b_at_a, true, now);
    protocol_initiate(a_at_b, true, now);
    settle();
    for (int i = 0; i < 3; i++) {
        packet(b_at_a);
        packet(a_at_b);
        settle();
        assert_int_equal(a->data_received, i + 1);
        assert_int_equal(b->data_received, i + 1);
    }
    run_until(now + 30 * S);
    assert_int_equal(a->initiations, 1);
    assert_int_equal(b->initiations, 1);
}

static void test_roaming(void **state)
{
    (void)state;
    struct udp_endpoint endpoint;
    pair();
    a->address = address_v4(0xc6336401, 1000);
    protocol_initiate(b_at_a, true, now);
    deliver_all();
    turn(b);
    peer_endpoint_get(a_at_b, &endpoint);
    assert_true(udp_endpoint_equal(&endpoint, &a->address)); /* by the initiation */
    struct datagram response = capture();
    response.from = b->address = address_v4(0xc6336402, 2000);
    inject(a, &response);
    peer_endpoint_get(b_at_a, &endpoint);
    assert_true(udp_endpoint_equal(&endpoint, &b->address)); /* by the response */
    settle();
    assert_true(in_session());
}

static void test_new_private_key(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    key_make_private(&a->private_key);
    key_public(&a->private_key, &a->public_key);
    engine_set_private_key(&a->engine, &a->private_key);
    peer_remove(a_at_b);
    a_at_b = introduce(b, a, false);
    packet(b_at_a); /* less than 5 s after the last initiation, and yet at once */
    settle();
    assert_true(in_session());
}

static void test_removed(void **state)
{
    (void)state;
    pair();
    protocol_initiate(b_at_a, true, now);
    deliver_all();
    turn(b);
    struct datagram response = capture();
    peer_remove(b_at_a);
    assert_true(timers_next(&a->engine) > now);
    inject(a, &response);
    assert_int_equal(atomic_load(&a->engine.control_tally.unasked_response), 1);
    peer_post(a_at_b, PEER_WANTS_HANDSHAKE | PEER_CONFIRMED);
    peer_remove(a_at_b);
    run_until(now + 1000 * S);
    assert_int_equal(a->initiations, 1);
    assert_int_equal(b->initiations, 0);
}

/* Whatever RX lets through: nothing but the three types at their lengths goes on. */
static void test_malformed(void **state)
{
    (void)state;
    unsigned good = 0;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned length = 0; length <= sizeof(struct message_initiation); length++) {
            struct handshake_message message = {.from = a->address, .length = (uint16_t)length, .bytes = {(uint8_t)type}};
            uint64_t before = atomic_load(&b->engine.control_tally.malformed);
            protocol_message(&b->engine, &message, 0, now += S);
            good += atomic_load(&b->engine.control_tally.malformed) == before;
        }
    assert_int_equal(good, 3);
    struct handshake_message reserved = {.from = a->address, .length = 148, .bytes = {MESSAGE_INITIATION, 0, 0, 1}};
    uint64_t before = atomic_load(&b->engine.control_tally.malformed);
    protocol_message(&b->engine, &reserved, 0, now);
    assert_int_equal(atomic_load(&b->engine.control_tally.malformed), before + 1);
}

/* B's own initiation was lost; A's made the session: B does not go on. */
static void test_the_others_handshake_is_enough(void **state)
{
    (void)state;
    pair();
    peer_endpoint_set(a_at_b, &a->address);
    protocol_initiate(a_at_b, true, now);
    capture();
    packet(b_at_a);
    run_until(now + 8 * S);
    assert_true(in_session());
    assert_int_equal(a->initiations, 1);
    assert_int_equal(b->initiations, 1);
    assert_false(a_at_b->handshake.waiting);
}

/* --- what must not change anything */

static void test_every_bit_of_an_initiation(void **state)
{
    (void)state;
    struct udp_endpoint endpoint;
    pair();
    protocol_initiate(b_at_a, true, now);
    struct datagram good = capture();
    for (size_t bit = 8 * 8; bit < 8 * 116; bit++) { /* from the ephemeral key up to mac1: only that covers the rest, and RX checked it */
        struct datagram bad = good;
        bad.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        now += 100 * MS;
        inject(b, &bad);
    }
    assert_int_equal(b->responses, 0);
    assert_null(atomic_load(&a_at_b->next));
    assert_int_equal(atomic_load(&a_at_b->rx_bytes), 0);
    peer_endpoint_get(a_at_b, &endpoint);
    assert_int_equal(endpoint.to.plain.sa_family, 0);
    inject(b, &good);
    assert_int_equal(b->responses, 1);
}

static void test_forged_responses(void **state)
{
    (void)state;
    struct udp_endpoint before, after;
    pair();
    protocol_initiate(b_at_a, true, now);
    deliver_all();
    turn(b);
    struct datagram good = capture(), bad;
    peer_endpoint_get(b_at_a, &before);
    for (size_t bit = 8 * 12; bit < 8 * 60; bit++) {
        bad = good;
        bad.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bad.from = address_v4(0x01020300 + (uint32_t)bit, 5); /* within the rate of each */
        inject(a, &bad);
    }
    assert_true(atomic_load(&a->engine.control_tally.bad_response) == 48 * 8);
    assert_null(atomic_load(&b_at_a->current));
    peer_endpoint_get(b_at_a, &after);
    assert_true(udp_endpoint_equal(&before, &after));
    bad = good;
    bad.bytes[8] ^= 1; /* another receiver: nobody waits */
    inject(a, &bad);
    assert_true(atomic_load(&a->engine.control_tally.unasked_response) >= 1);
    inject(a, &good);
    assert_non_null(atomic_load(&b_at_a->current));
    inject(a, &good); /* a second time */
    assert_int_equal(a->keepalives, 1);
}

static void test_replayed_and_flooded(void **state)
{
    (void)state;
    pair();
    protocol_initiate(b_at_a, true, now);
    struct datagram first = capture();
    b_at_a->handshake_sent = 0;
    now += 100 * MS;
    protocol_initiate(b_at_a, true, now);
    struct datagram second = capture();
    b_at_a->handshake_sent = 0;
    now += 19 * MS; /* a newer timestamp, but too soon */
    protocol_initiate(b_at_a, true, now);
    struct datagram third = capture();
    inject(b, &second);
    assert_int_equal(b->responses, 1);
    inject(b, &second);
    inject(b, &first);
    assert_int_equal(atomic_load(&b->engine.control_tally.replayed_timestamp), 2);
    assert_int_equal(atomic_load(&a_at_b->tally.replayed_timestamp), 2);
    inject(b, &third);
    assert_int_equal(atomic_load(&b->engine.control_tally.flooded_initiation), 1);
    now += 20 * MS;
    inject(b, &third);
    assert_int_equal(b->responses, 2);
}

static void test_strangers(void **state)
{
    (void)state;
    struct peer *b_at_c = introduce(&nodes[2], b, true);
    struct key keys[100];
    for (size_t i = 0; i < COUNT_OF(keys); i++) { /* many keys from one place */
        struct key private_key;
        key_make_private(&private_key);
        key_public(&private_key, &keys[i]);
        engine_set_private_key(&nodes[2].engine, &private_key);
        for (int knocks = 0; knocks < 2; knocks++) {
            b_at_c->handshake_sent = 0;
            now += 2 * S;
            protocol_initiate(b_at_c, true, now);
            settle();
        }
    }
    assert_int_equal(atomic_load(&b->engine.control_tally.unknown_initiator), 200);
    assert_int_equal(b->engine.stranger_count, ENGINE_STRANGERS);
    unsigned found = 0; /* the last of them */
    for (size_t i = 0; i < ENGINE_STRANGERS; i++)
        for (size_t j = COUNT_OF(keys) - ENGINE_STRANGERS; j < COUNT_OF(keys); j++)
            found += key_equal(&b->engine.strangers[i].public_key, &keys[j]) && b->engine.strangers[i].count == 2;
    assert_int_equal(found, ENGINE_STRANGERS);
    assert_int_equal(b->responses, 0);
}

static void test_low_order_and_no_endpoint(void **state)
{
    (void)state;
    static const struct key zero, one = {{1}};
    struct peer *low[2] = {peer_add(&a->engine, &zero), peer_add(&a->engine, &one)};
    for (int i = 0; i < 2; i++) {
        peer_endpoint_set(low[i], &b->address);
        atomic_store(&low[i]->keepalive, 1);
        packet(low[i]);
    }
    pair();
    packet(a_at_b); /* B does not know where A is */
    settle();
    assert_true(atomic_load(&a_at_b->handshake_asked) == now - 4 * S); /* TX asks again after a second */
    run_until(now + 300 * S);
    assert_int_equal(a->initiations, 0);
    assert_int_equal(b->initiations, 0);
    assert_int_equal(atomic_load(&b->engine.control_tally.no_endpoint), 1);
    assert_int_equal(atomic_load(&a_at_b->tally.no_endpoint), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_handshake),
        WORLD_TEST(test_staged_goes_first),
        WORLD_TEST(test_preshared),
        WORLD_TEST(test_both_at_once),
        WORLD_TEST(test_roaming),
        WORLD_TEST(test_new_private_key),
        WORLD_TEST(test_removed),
        WORLD_TEST(test_malformed),
        WORLD_TEST(test_the_others_handshake_is_enough),
        WORLD_TEST(test_every_bit_of_an_initiation),
        WORLD_TEST(test_forged_responses),
        WORLD_TEST(test_replayed_and_flooded),
        WORLD_TEST(test_strangers),
        WORLD_TEST(test_low_order_and_no_endpoint),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
