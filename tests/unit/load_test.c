/* Floods of handshakes, and cookies. */
#include "protocol_world.h"

/* Initiations by keys that B does not know. */
static struct message_initiation bogus[64];

static void make_bogus(void)
{
    for (size_t i = 0; i < COUNT_OF(bogus); i++) {
        struct noise_identity identity = {.set = true};
        struct noise_static peer = {.public_key = b->public_key};
        struct noise_handshake handshake = {0};
        uint8_t timestamp[TAI64N_SIZE] = {0x40};
        key_make_private(&identity.private_key);
        key_public(&identity.private_key, &identity.public_key);
        noise_static_prepare(&peer, &identity);
        assert_int_equal(noise_initiation_make(&handshake, &peer, &identity, (uint32_t)i + 1, timestamp, &bogus[i]), 0);
        mac1_write(&b->engine.mac1_key, &bogus[i], sizeof bogus[i]);
    }
}

enum sources { ONE, SIXTY, INVENTED, THE_PEERS };

static struct udp_endpoint source(enum sources sources, uint32_t number)
{
    switch (sources) {
    case ONE: return address_v4(0x0a000001, (uint16_t)(1024 + number % 60000));
    case SIXTY: return address_v4(0x0a000001 + number % 60, (uint16_t)(1024 + number % 60000));
    case INVENTED: return address_v4(0x0b000000 + number * 2654435761u % 0x1000000, 1024);
    case THE_PEERS: break;
    }
    return address_v4(0xc0000201, (uint16_t)(1024 + number % 60000));
}

static uint64_t served(const struct engine *engine)
{
    return atomic_load(&engine->control_tally.unknown_initiator);
}

/* RATE a second for SECONDS; B's control thread is alone on its core, or gets PERCENT of it: 35 us for one served, 6 for a cookie, 1 for the sorting. After the
 * first second A wants in. When it was in, in ns; INT64_MAX: never. */
static int64_t flood(enum sources sources, double rate, int percent, int seconds)
{
    int64_t began = now, in_at = INT64_MAX, asked = now + S;
    uint32_t sent = 0;
    bool wanted = false;
    make_bogus();
    while (now < began + seconds * S) {
        for (uint32_t due = (uint32_t)((double)(now - began) / S * rate); sent < due; sent++) {
            struct udp_endpoint from = source(sources, sent);
            enqueue(b, &from, &bogus[sent % COUNT_OF(bogus)], sizeof bogus[0]);
        }
        if (!wanted && now >= asked) {
            packet(b_at_a);
            wanted = true;
        }
        while (turn(a)) {}
        deliver_all();
        uint64_t before = served(&b->engine), cookies = b->cookies, waiting = b->engine.handshakes->count;
        turn(b);
        int64_t cost = (int64_t)((served(&b->engine) - before) * 35000 + (b->cookies - cookies) * 6000 + waiting * 1000);
        now += (cost + 20000) * 100 / percent;
        if (in_at == INT64_MAX && in_session())
            in_at = now - asked;
    }
    return in_at;
}

static void test_floods(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum sources sources;
        bool known; /* B knew where A is before */
        double rate;
        int percent;
        bool loaded;
    } floods[] = {
        {"one source", ONE, false, 10000, 100, true},
        {"one source, a tenth of a core", ONE, false, 10000, 10, true},
        {"one source, 100,000 a second", ONE, false, 100000, 50, true},
        {"sixty sources", SIXTY, false, 10000, 50, true},
        {"invented sources", INVENTED, false, 10000, 100, false},
        {"invented sources, a fifth of a core", INVENTED, true, 10000, 20, true},
        {"invented sources, 60,000 a second", INVENTED, true, 60000, 50, true},
    };
    for (size_t i = 0; i < COUNT_OF(floods); i++) {
        world_end(NULL);
        world_begin(NULL);
        pair();
        if (floods[i].known)
            peer_endpoint_set(a_at_b, &a->address);
        int64_t in = flood(floods[i].sources, floods[i].rate, floods[i].percent, 3);
        if (in > 2 * S)
            fail_msg("%s: in after %lld ms", floods[i].words, in == INT64_MAX ? -1 : (long long)(in / MS));
        CASE_ASSERT(i, (b->cookies > 0) == floods[i].loaded);
        CASE_ASSERT(i, protocol_under_load(&b->engine, now) == floods[i].loaded);
        CASE_ASSERT(i, !protocol_under_load(&b->engine, now + S));
    }
}

/* Who floods in the very name of the peer does not keep it out: it gets a cookie, and with it its own rate. */
static void test_flood_in_its_name(void **state)
{
    (void)state;
    pair();
    peer_endpoint_set(a_at_b, &a->address);
    int64_t in = flood(THE_PEERS, 5000, 50, 12);
    assert_true(in < 6 * S);
    assert_true(served(&b->engine) < 12 * 600 + 256); /* and costs no more than the excess budget */
}

/* --- cookies */

static void test_cookie(void **state)
{
    (void)state;
    struct udp_endpoint before, after;
    pair();
    /* B is flooded from A's own address, so that A's first initiation is refused. */
    make_bogus();
    for (int i = 0; i < 2000; i++)
        enqueue(b, &a->address, &bogus[i % 64], sizeof bogus[0]);
    while (turn(b)) {}
    wire_count = 0;
    uint64_t cookies = b->cookies;
    protocol_initiate(b_at_a, true, now);
    deliver_all();
    while (turn(b)) {}
    assert_int_equal(b->cookies, cookies + 1);
    assert_int_equal(b->responses, 0);
    struct datagram cookie = capture(), forged = cookie;
    cookie.from = address_v4(0x01020304, 7);
    peer_endpoint_get(b_at_a, &before);
    forged.bytes[40] ^= 1;
    inject(a, &forged);
    assert_int_equal(atomic_load(&a->engine.control_tally.bad_cookie), 1);
    inject(a, &cookie);
    assert_int_equal(atomic_load(&a->engine.control_tally.cookies_received), 1);
    inject(a, &cookie); /* a second time: nothing was sent since */
    assert_int_equal(atomic_load(&a->engine.control_tally.bad_cookie), 2);
    peer_endpoint_get(b_at_a, &after);
    assert_true(udp_endpoint_equal(&before, &after)); /* it never roams */
    run_until(now + 4 * S);
    assert_int_equal(a->initiations, 1); /* and starts nothing */
    int64_t until = now + 2 * S;
    while (now < until && !in_session()) { /* with it, A is let in while the flood goes on in its name */
        for (int i = 0; i < 100; i++)
            enqueue(b, &a->address, &bogus[i % 64], sizeof bogus[0]);
        settle();
        wire_count = 0;
        now += 10 * MS;
    }
    assert_true(in_session());
    assert_int_equal(a->initiations, 2);
}

/* A cookie of the last seconds of a secret is still good when the next one came. */
static void test_cookie_over_the_turn(void **state)
{
    (void)state;
    pair();
    make_bogus();
    for (int round = 0; round < 2; round++) { /* the secret is made; 119 s later A gets a cookie */
        for (int i = 0; i < 2000; i++)
            enqueue(b, &a->address, &bogus[i % 64], sizeof bogus[0]);
        while (turn(b)) {}
        wire_count = 0;
        if (!round)
            now += 119 * S;
    }
    protocol_initiate(b_at_a, true, now);
    settle();
    assert_int_equal(atomic_load(&a->engine.control_tally.cookies_received), 1);
    now += 6 * S;
    for (int i = 0; i < 2000; i++)
        enqueue(b, &a->address, &bogus[i % 64], sizeof bogus[0]);
    settle();
    assert_true(in_session());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_floods),
        WORLD_TEST(test_flood_in_its_name),
        WORLD_TEST(test_cookie),
        WORLD_TEST(test_cookie_over_the_turn),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
