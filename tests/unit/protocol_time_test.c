/* Handshakes and sessions over time: tries, rekeying, keepalives, the end of keys. */
#include "protocol_world.h"

static void test_tries(void **state)
{
    (void)state;
    struct udp_endpoint sourced = b->address, endpoint;
    pair();
    sourced.source_family = AF_INET;
    sourced.source.v4.s_addr = htonl(0x7f000001);
    peer_endpoint_set(b_at_a, &sourced);
    meddle = lose;
    int64_t began = now;
    packet(b_at_a);
    run_until(began + 4 * S);
    assert_int_equal(a->initiations, 1);
    peer_endpoint_get(b_at_a, &endpoint);
    assert_int_equal(endpoint.source_family, AF_INET);
    run_until(began + 6 * S);
    assert_int_equal(a->initiations, 2);
    peer_endpoint_get(b_at_a, &endpoint);
    assert_int_equal(endpoint.source_family, 0);
    assert_int_equal(a->staged_dropped, 0);
    run_until(began + 100 * S);
    assert_in_range(a->initiations, 17, 18);
    assert_int_equal(a->staged_dropped, 1);
    unsigned tries = a->initiations;
    run_until(began + 1000 * S); /* quiet */
    assert_int_equal(a->initiations, tries);
    meddle = NULL;
    packet(b_at_a); /* until there is new traffic */
    settle();
    assert_true(in_session());
}

/* A session that works, with traffic both ways: who began it makes the next at 120 s, the other never; nothing is lost. */
static void test_rekey(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    int64_t began = now;
    unsigned sent = 1;
    for (; now < began + 1000 * S; sent++) {
        run_until(now + S);
        packet(b_at_a);
        packet(a_at_b);
        settle();
    }
    assert_int_equal(a->initiations, 9); /* 0, 120, 240, ... 960 */
    assert_int_equal(b->initiations, 0);
    assert_int_equal(b->data_received, sent);
    assert_int_equal(a->data_received, sent - 1);
    assert_int_equal(a->keepalives + b->keepalives, 8); /* only those that confirm */
}

static void test_nothing_comes_back(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    packet(a_at_b);
    assert_true(in_session());
    run_until(now + 20 * S);
    peer_expire(a_at_b); /* B started anew */
    int64_t began = now;
    packet(b_at_a);
    run_until(began + 15 * S - 10 * MS);
    assert_int_equal(a->initiations, 1);
    run_until(began + 15 * S + REKEY_JITTER + 5 * MS);
    assert_int_equal(a->initiations, 2);
    assert_true(in_session());
}

static void test_keys_are_wiped(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    run_until(now + 539 * S);
    assert_non_null(atomic_load(&b_at_a->current));
    assert_non_null(atomic_load(&a_at_b->current));
    run_until(now + 2 * S);
    assert_null(atomic_load(&b_at_a->current));
    assert_null(atomic_load(&a_at_b->current));
    assert_true(timers_next(&a->engine) == INT64_MAX);
}

static void test_persistent_keepalive(void **state)
{
    (void)state;
    pair();
    atomic_store(&b_at_a->keepalive, 5);
    protocol_keepalive_changed(b_at_a, now); /* at once */
    run_until(now + 5 * MS);
    assert_true(in_session());
    unsigned at_first = a->keepalives;
    run_until(now + 51 * S);
    assert_int_equal(a->keepalives - at_first, 10);
    assert_int_equal(b->keepalives, 0); /* no ping-pong */
    for (int i = 0; i < 10; i++) { /* other traffic takes its place, whichever way it goes */
        packet(i % 2 ? b_at_a : a_at_b);
        run_until(now + 4 * S);
    }
    assert_int_equal(a->keepalives - at_first, 10);
    meddle = lose; /* it never stops trying */
    run_until(now + 2000 * S);
    unsigned tries = a->initiations;
    run_until(now + 100 * S);
    assert_true(a->initiations > tries + 10);
    meddle = NULL;
    run_until(now + 6 * S);
    assert_true(in_session());
    assert_true(a->initiations < 1 + 2200 / 5 + 20);
}

static void test_not_too_often(void **state)
{
    (void)state;
    pair();
    meddle = lose;
    int64_t began = now;
    for (int i = 0; i < 49; i++) { /* traffic all the time */
        packet(b_at_a);
        run_until(now + 100 * MS);
    }
    assert_int_equal(a->initiations, 1);
    run_until(began + 5 * S + REKEY_JITTER + 5 * MS);
    assert_int_equal(a->initiations, 2);
}

/* A request that is older than the session that it asked for. */
static void test_late_request(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    peer_post(b_at_a, PEER_WANTS_HANDSHAKE);
    peer_post(a_at_b, PEER_WANTS_HANDSHAKE);
    run_until(now + 20 * S);
    assert_int_equal(a->initiations, 1);
    assert_int_equal(b->initiations, 0);
}

/* Who answered needs a session of its own when that one is too old to send under. */
static void test_responder_after_180_s(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    settle();
    run_until(now + 179 * S);
    packet(a_at_b);
    settle();
    assert_int_equal(b->initiations, 0);
    run_until(now + 2 * S);
    packet(a_at_b);
    settle();
    assert_int_equal(b->initiations, 1);
    assert_int_equal(a->data_received, 2);
    assert_true(in_session());
}

/* A socket that takes nothing: no busy loop. */
static void test_keepalives_that_fail(void **state)
{
    (void)state;
    pair();
    packet(b_at_a);
    packet(b_at_a);
    settle();
    refuse_keepalives = true;
    run_until(now + 14 * S);
    assert_int_equal(refused_keepalives, 1); /* B's, for the data */
    atomic_store(&b_at_a->keepalive, 1);
    timers_peer_changed(b_at_a, now);
    run_until(now + 10 * S);
    assert_in_range(refused_keepalives, 8, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_tries),
        WORLD_TEST(test_rekey),
        WORLD_TEST(test_nothing_comes_back),
        WORLD_TEST(test_keys_are_wiped),
        WORLD_TEST(test_persistent_keepalive),
        WORLD_TEST(test_not_too_often),
        WORLD_TEST(test_late_request),
        WORLD_TEST(test_responder_after_180_s),
        WORLD_TEST(test_keepalives_that_fail),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
