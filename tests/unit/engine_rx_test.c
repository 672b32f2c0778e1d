/* rx.c: what comes from the net, honest and not, and what of it reaches the TUN. */
#include "unit.h"

#include "engine_world.h"

#include <sys/syscall.h>

/* --- the TUN's write, with an error to order for super-packets: it stands before the C library's */

static int refuse_large;

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    const struct virtio_net_hdr *header = parts[0].iov_base;
    if (refuse_large && parts[0].iov_len == VNET && header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        errno = refuse_large;
        return -1;
    }
    return syscall(SYS_writev, descriptor, parts, count);
}

static struct world *world;
static struct rx *rx;
static uint64_t next_counter;

static void begin_with(bool vnet, bool offload)
{
    world = world_new(vnet, offload);
    rx = rx_new(&world->engine, 0, 0, &world->tally);
    next_counter = 0;
}

static int begin(void **state)
{
    (void)state;
    begin_with(true, true);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rx_free(rx);
    world_free(world);
    refuse_large = 0;
    return 0;
}

static struct udp_received received_of(size_t length, size_t size, uint8_t tos)
{
    return (struct udp_received){.from = world_far(world), .length = length, .size = (uint16_t)size, .tos = tos};
}

static void feed(uint8_t *bytes, size_t length, uint8_t tos)
{
    struct udp_received received = received_of(length, length, tos);
    rx_train(rx, bytes, &received, world->now);
    rx_flush(rx);
}

/* Seal INNER under KEYPAIR's next counter and feed it. */
static void feed_inner(const struct keypair *keypair, const struct inner *inner, uint8_t tos)
{
    uint8_t packet[2048], message[2048];
    feed(message, world_seal(world, keypair, next_counter++, packet, inner_make(inner, packet), message), tos);
}

/* Whether just PACKET comes out of the TUN. */
static bool delivered(const uint8_t *packet, size_t length)
{
    struct virtio_net_hdr header = {0};
    uint8_t got[4096];
    size_t size = world_tun_read(world, &header, got, sizeof got);
    return size == length && !memcmp(got, packet, length) && world_tun_read(world, &header, got, sizeof got) == 0;
}

static bool nothing_delivered(void)
{
    struct virtio_net_hdr header;
    uint8_t got[4096];
    return world_tun_read(world, &header, got, sizeof got) == 0;
}

/* --- one packet */

static void test_good(void **state)
{
    static const struct inner cases[] = {
        {4, 2, 1, 0, false, 0, 28}, {4, 2, 1, 0, false, 0, 47}, {4, 2, 1, 0, true, 7, 1420}, {6, 2, 1, 0, false, 0, 48}, {6, 2, 1, 0, true, 7, 1400},
    };
    (void)state;
    for (int vnet = 0; vnet < 2; vnet++) {
        begin_with(vnet, vnet);
        uint64_t bytes = 0;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            uint8_t packet[2048];
            inner_make(&cases[i], packet);
            feed_inner(world->keypair, &cases[i], 0);
            CASE_ASSERT(i, delivered(packet, cases[i].length));
            bytes += (cases[i].length + 15) / 16 * 16 + 32;
            CASE_ASSERT(i, atomic_load(&world->peer->rx_bytes) == bytes);
        }
        struct udp_endpoint endpoint, far = world_far(world);
        peer_endpoint_get(world->peer, &endpoint);
        assert_true(udp_endpoint_equal(&endpoint, &far));
        assert_int_equal(atomic_load(&world->peer->last_received), world->now);
        assert_int_equal(atomic_load(&world->peer->unacknowledged_since), world->now);
        assert_true(atomic_load(&world->peer->events) & PEER_WANTS_TIMER);
        end(NULL);
    }
}

static void test_keepalive(void **state)
{
    uint8_t message[64];
    (void)state;
    atomic_store(&world->peer->unanswered_since, 5);
    feed(message, world_seal(world, world->keypair, 0, NULL, 0, message), 0);
    assert_true(nothing_delivered());
    assert_int_equal(atomic_load(&world->peer->rx_bytes), 32);
    assert_int_equal(atomic_load(&world->peer->unacknowledged_since), 0);
    assert_int_equal(atomic_load(&world->peer->unanswered_since), 0);
    assert_int_equal(atomic_load(&world->peer->last_received), world->now);
}

/* A byte changed anywhere, a byte cut off anywhere: nothing of it counts, and the session goes on. */
static void test_forged(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    uint8_t packet[64], message[256], changed[256];
    size_t length = world_seal(world, world->keypair, 0, packet, inner_make(&inner, packet), message);
    struct udp_endpoint endpoint;
    (void)state;
    for (size_t i = 0; i < length; i++) {
        memcpy(changed, message, length);
        changed[i] ^= 1;
        feed(changed, length, 0);
        memcpy(changed, message, length);
        feed(changed, i, 0);
        CASE_ASSERT(i, nothing_delivered());
    }
    memcpy(changed, message, length);
    feed(changed, length + 1, 0);
    assert_true(nothing_delivered());
    assert_true(atomic_load(&world->tally.malformed) && atomic_load(&world->tally.bad_data) && atomic_load(&world->tally.unknown_index));
    assert_int_equal(atomic_load(&world->tally.unknown_index), 4);
    assert_int_equal(atomic_load(&world->peer->tally.bad_data), atomic_load(&world->tally.bad_data));
    peer_endpoint_get(world->peer, &endpoint);
    assert_int_equal(endpoint.to.plain.sa_family, 0);
    assert_int_equal(atomic_load(&world->peer->last_received), 0);
    assert_int_equal(atomic_load(&world->peer->rx_bytes), 0);
    feed(message, length, 0);
    assert_true(delivered(packet, 60));
}

static void test_replayed(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    static const struct { uint64_t counter; bool taken; } cases[] = {
        {0, true}, {0, false}, {5, true}, {4, true}, {4, false}, {100000, true}, {100000 - REPLAY_BITS, false}, {100000 - REPLAY_BITS / 2, true},
        {99999, true}, {100000, false}, {5, false},
    };
    unsigned replayed = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t packet[64], message[256];
        feed(message, world_seal(world, world->keypair, cases[i].counter, packet, inner_make(&inner, packet), message), 0);
        CASE_ASSERT(i, cases[i].taken ? delivered(packet, 60) : nothing_delivered());
        replayed += !cases[i].taken;
        CASE_ASSERT(i, atomic_load(&world->tally.replayed_data) == replayed);
    }
}

static void test_expired(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    uint8_t packet[64], message[256];
    (void)state;
    feed(message, world_seal(world, world->keypair, REJECT_AFTER_MESSAGES, packet, inner_make(&inner, packet), message), 0);
    feed(message, world_seal(world, world->keypair, UINT64_MAX, packet, 60, message), 0);
    world->now += REJECT_AFTER_TIME;
    feed(message, world_seal(world, world->keypair, 0, packet, 60, message), 0);
    assert_true(nothing_delivered());
    assert_int_equal(atomic_load(&world->tally.expired_data), 3);
    world->now--;
    feed(message, world_seal(world, world->keypair, 1, packet, 60, message), 0);
    assert_true(delivered(packet, 60));
}

/* Authenticated, but from an inner address that is another's or nobody's: dropped; yet it was the peer, so its endpoint is known. */
static void test_wrong_source(void **state)
{
    static const struct inner cases[] = {{4, 3, 1, 0, false, 0, 60}, {4, 9, 1, 0, false, 0, 60}, {6, 3, 1, 0, false, 0, 60}, {6, 9, 1, 0, false, 0, 60}};
    struct udp_endpoint endpoint;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        feed_inner(world->keypair, &cases[i], 0);
        CASE_ASSERT(i, nothing_delivered());
        CASE_ASSERT(i, atomic_load(&world->tally.wrong_source) == i + 1 && atomic_load(&world->peer->tally.wrong_source) == i + 1);
    }
    peer_endpoint_get(world->peer, &endpoint);
    assert_int_equal(endpoint.to.plain.sa_family, AF_INET);
    assert_int_equal(atomic_load(&world->peer->rx_bytes), 0);
}

static void test_bad_packets(void **state)
{
    static const struct { size_t length; struct { uint8_t at, value; } change[2]; } cases[] = {
        {60, {{0, 0x05}, {0, 0x05}}}, {60, {{0, 0xf5}, {0, 0xf5}}}, {60, {{2, 1}, {3, 0}}}, {60, {{3, 65}, {3, 65}}}, {60, {{3, 19}, {3, 19}}},
        {60, {{3, 0}, {3, 0}}}, {60, {{0, 0x60}, {4, 1}}}, {16, {{0, 0x45}, {3, 16}}}, {32, {{0, 0x60}, {4, 0}}}, {1, {{0, 0x45}, {0, 0x45}}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
        uint8_t packet[64], message[256];
        inner_make(&inner, packet);
        for (size_t j = 0; j < 2; j++)
            packet[cases[i].change[j].at] = cases[i].change[j].value;
        feed(message, world_seal(world, world->keypair, i, packet, cases[i].length, message), 0);
        CASE_ASSERT(i, nothing_delivered());
        CASE_ASSERT(i, atomic_load(&world->tally.bad_packet) == i + 1);
    }
}

/* RFC 6040, section 4.2: inner, outer, what comes out. */
static void test_ecn(void **state)
{
    static const uint8_t out[4][4] = {{0, 0, 0, 0}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2)
        for (uint8_t inner = 0; inner < 4; inner++)
            for (uint8_t outer = 0; outer < 4; outer++) {
                struct inner sent = {version, 2, 1, (uint8_t)(0xb8 | inner), false, 0, 60}, expected = sent;
                uint8_t packet[64];
                expected.tos = (uint8_t)(0xb8 | out[inner][outer]);
                feed_inner(world->keypair, &sent, outer);
                inner_make(&expected, packet); /* with a checksum of its own */
                CASE_ASSERT(version * 100 + inner * 10 + outer, delivered(packet, 60));
            }
}

/* --- sessions */

static void test_next_is_confirmed(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    struct keypair *next = world_session(world, world->peer, 55, false, world->now);
    uint8_t message[256], packet[64];
    (void)state;
    size_t length = world_seal(world, next, 0, packet, inner_make(&inner, packet), message);
    message[20] ^= 1;
    feed(message, length, 0); /* not authenticated: nothing is confirmed */
    assert_ptr_equal(atomic_load(&world->peer->current), world->keypair);
    feed_inner(next, &inner, 0);
    assert_ptr_equal(atomic_load(&world->peer->current), next);
    assert_ptr_equal(atomic_load(&world->peer->previous), world->keypair);
    assert_true(atomic_load(&world->peer->events) & PEER_CONFIRMED);
    feed_inner(world->keypair, &inner, 0); /* what was under way under the old one */
    assert_int_equal(atomic_load(&world->tally.unknown_index), 0);
    assert_ptr_equal(atomic_load(&world->peer->current), next);
}

/* The initiator asks once for a new session when data comes under one of 165 s. */
static void test_late_rekey(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    (void)state;
    world->now += 165 * CLOCK_SECOND - 1;
    feed_inner(world->keypair, &inner, 0);
    assert_false(atomic_load(&world->peer->events) & PEER_WANTS_HANDSHAKE);
    world->now++;
    feed_inner(world->keypair, &inner, 0);
    assert_true(atomic_load(&world->peer->events) & PEER_WANTS_HANDSHAKE);
    atomic_store(&world->peer->events, 0);
    engine_inbox_take(&world->engine);
    feed_inner(world->keypair, &inner, 0);
    assert_false(atomic_load(&world->peer->events) & PEER_WANTS_HANDSHAKE);
}

static void test_roams(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    uint8_t packet[64], message[256];
    struct udp_endpoint endpoint;
    (void)state;
    feed_inner(world->keypair, &inner, 0);
    for (uint16_t port = 1; port < 4; port++) {
        struct udp_received received = received_of(0, 0, 0);
        received.from.to.v4.sin_port = htons(port);
        received.length = world_seal(world, world->keypair, 10 + port, packet, inner_make(&inner, packet), message);
        received.size = (uint16_t)received.length;
        if (port == 3)
            memcpy(message + 8, &(uint64_t){htole64(11)}, 8); /* forged: it stays where it was */
        rx_train(rx, message, &received, world->now);
        rx_flush(rx);
        peer_endpoint_get(world->peer, &endpoint);
        assert_int_equal(ntohs(endpoint.to.v4.sin_port), port == 3 ? 2 : port);
    }
    assert_true(atomic_load(&world->peer->events) & PEER_ROAMED);
}

/* --- handshakes */

static void test_handshakes(void **state)
{
    static const struct { uint8_t type, reserved; size_t length; bool mac; } cases[] = {
        {1, 0, 148, true}, {2, 0, 92, true}, {3, 0, 64, false},                          /* these three are for control */
        {1, 0, 148, false}, {2, 0, 92, false},                                           /* bad mac1 */
        {1, 0, 147, true}, {1, 0, 149, true}, {2, 0, 148, true}, {3, 0, 92, true}, {3, 0, 63, true}, {0, 0, 148, true}, {5, 0, 148, true}, {255, 0, 64, true},
        {1, 1, 148, true}, {4, 1, 148, true}, {3, 0, 32, true}, {4, 0, 31, true}, {1, 0, 1, true},
    };
    struct handshake_queue *queue = world->engine.handshakes;
    struct key private_key;
    struct mac_key mac;
    (void)state;
    memset(&private_key, 0x41, sizeof private_key);
    engine_set_private_key(&world->engine, &private_key);
    assert_true(engine_mac1_key(&world->engine, &mac));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t message[160] = {cases[i].type, 0, cases[i].reserved};
        if (cases[i].mac && cases[i].length >= 64)
            mac1_write(&mac, message, cases[i].length);
        feed(message, cases[i].length, 0);
        CASE_ASSERT(i, queue->count == (i < 3 ? i + 1 : 3));
        CASE_ASSERT(i, atomic_load(&world->tally.bad_mac1) == (i < 3 ? 0 : i < 5 ? i - 2 : 2));
        CASE_ASSERT(i, atomic_load(&world->tally.malformed) == (i < 5 ? 0 : i - 4));
    }
    for (size_t i = 0; i < 3; i++)
        CASE_ASSERT(i, queue->messages[i].bytes[0] == cases[i].type && queue->messages[i].length == cases[i].length);
    for (size_t i = 0; i < HANDSHAKE_QUEUE; i++) {
        uint8_t cookie[64] = {3};
        feed(cookie, sizeof cookie, 0);
    }
    assert_int_equal(queue->count, HANDSHAKE_QUEUE);
    assert_int_equal(atomic_load(&world->tally.handshake_overflow), 3);
}

/* Without a private key nothing is meant for this node. */
static void test_no_identity(void **state)
{
    uint8_t message[148] = {1};
    (void)state;
    feed(message, sizeof message, 0);
    assert_int_equal(world->engine.handshakes->count, 0);
    assert_int_equal(atomic_load(&world->tally.bad_mac1), 1);
}

/* --- trains */

#define SEGMENTS 45
#define SEGMENT 1368 /* a TCP payload */
static uint8_t train[SEGMENTS * 2048], payload[65536 + 64], got[65536 + 64];

/* SEGMENTS in order of one TCP stream, under counters from NEXT_COUNTER. Returns the size of each. */
static size_t make_train(void)
{
    size_t size = 0, at = 0;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct inner inner = {4, 2, 1, 0, true, i * SEGMENT, 40 + SEGMENT};
        uint8_t packet[2048];
        inner_make(&inner, packet);
        memcpy(payload + i * SEGMENT, packet + 40, SEGMENT);
        size = world_seal(world, world->keypair, next_counter++, packet, inner.length, train + at);
        at += size;
    }
    return size;
}

static void test_train(void **state)
{
    struct virtio_net_hdr header;
    (void)state;
    size_t size = make_train();
    struct udp_received received = received_of(size * SEGMENTS, size, 0);
    rx_train(rx, train, &received, world->now);
    assert_true(nothing_delivered()); /* until the flush */
    rx_flush(rx);
    assert_int_equal(world_tun_read(world, &header, got, sizeof got), 40 + SEGMENTS * SEGMENT);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(header.gso_size, SEGMENT);
    assert_memory_equal(got + 40, payload, SEGMENTS * SEGMENT);
    assert_true(nothing_delivered());
    assert_int_equal(atomic_load(&world->peer->rx_bytes), size * SEGMENTS);
}

/* The kernel does not take what it said it would: the same packets one by one, and no more super-packets. */
static void test_train_refused(void **state)
{
    struct virtio_net_hdr header;
    (void)state;
    size_t size = make_train();
    struct udp_received received = received_of(size * SEGMENTS, size, 0);
    refuse_large = EINVAL;
    rx_train(rx, train, &received, world->now);
    rx_flush(rx);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct inner inner = {4, 2, 1, 0, true, i * SEGMENT, 40 + SEGMENT};
        uint8_t packet[2048];
        inner_make(&inner, packet);
        CASE_ASSERT(i, world_tun_read(world, &header, got, sizeof got) == inner.length);
        CASE_ASSERT(i, header.gso_type == VIRTIO_NET_HDR_GSO_NONE && header.flags == 0);
        CASE_ASSERT(i, !memcmp(got + 40, packet + 40, SEGMENT));
        CASE_ASSERT(i, checksum_fold(checksum_add(got, 20, 0)) == 0xffff);
        CASE_ASSERT(i, checksum_fold(checksum_add(got + 12, inner.length - 12, (uint64_t)htons(20 + SEGMENT) + htons(6))) == 0xffff);
    }
    assert_true(nothing_delivered());
    assert_int_equal(atomic_load(&world->tally.tun_offload_off), 1);
    assert_false(atomic_load(&world->engine.tun.tso));
    size = make_train();
    rx_train(rx, train, &received, world->now);
    rx_flush(rx);
    for (unsigned i = 0; i < SEGMENTS; i++)
        CASE_ASSERT(i, world_tun_read(world, &header, got, sizeof got) == 40 + SEGMENT);
    assert_int_equal(atomic_load(&world->tally.tun_offload_off), 1);
}

/* Good, forged, replayed, unknown, a keepalive and of another session, in one train: each counts for itself. */
static void test_mixed_train(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60}, others = {4, 3, 1, 0, false, 0, 60};
    struct keypair *other = world_session(world, world->other, 66, true, world->now);
    uint8_t packet[64], message[8 * 128], at = 0;
    const size_t size = 64 + 32;
    struct virtio_net_hdr header;
    (void)state;
    for (uint64_t i = 0; i < 6; i++)
        world_seal(world, world->keypair, i, packet, inner_make(&inner, packet), message + size * at++);
    world_seal(world, other, 0, packet, inner_make(&others, packet), message + size * at++);
    size_t length = size * at + world_seal(world, world->keypair, 9, NULL, 0, message + size * at);
    message[size * 1 + 30] ^= 1;                          /* forged */
    memcpy(message + size * 2, message, size);            /* replayed */
    message[size * 3 + 4] ^= 1;                           /* unknown */
    struct udp_received received = received_of(length, size, 0);
    rx_train(rx, message, &received, world->now);
    rx_flush(rx);
    unsigned packets = 0;
    for (size_t bytes; (bytes = world_tun_read(world, &header, got, sizeof got)); )
        packets += header.gso_type ? (unsigned)((bytes - 28 + header.gso_size - 1) / header.gso_size) : 1;
    assert_int_equal(packets, 4);
    assert_int_equal(atomic_load(&world->tally.bad_data), 1);
    assert_int_equal(atomic_load(&world->tally.replayed_data), 1);
    assert_int_equal(atomic_load(&world->tally.unknown_index), 1);
    assert_int_equal(atomic_load(&world->peer->rx_bytes), 3 * size + 32);
    assert_int_equal(atomic_load(&world->other->rx_bytes), size);
}

/* More datagrams in one train than are opened before they are checked: all count, once. */
static void test_long_train(void **state)
{
    enum { COUNT = 300 };
    static uint8_t messages[COUNT * 32], again[COUNT * 32];
    struct udp_received received = received_of(sizeof messages, 32, 0);
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        world_seal(world, world->keypair, i, NULL, 0, messages + 32 * i);
    memcpy(again, messages, sizeof again);
    rx_train(rx, messages, &received, world->now);
    assert_int_equal(atomic_load(&world->peer->rx_bytes), COUNT * 32);
    rx_train(rx, again, &received, world->now);
    assert_int_equal(atomic_load(&world->tally.replayed_data), COUNT);
    rx_flush(rx);
}

static void test_truncated(void **state)
{
    static const struct inner inner = {4, 2, 1, 0, false, 0, 60};
    uint8_t packet[64], message[256];
    size_t length = world_seal(world, world->keypair, 0, packet, inner_make(&inner, packet), message);
    struct udp_received received = received_of(length, length, 0);
    (void)state;
    received.truncated = true;
    rx_train(rx, message, &received, world->now);
    received = received_of(0, 0, 0); /* an empty datagram */
    rx_train(rx, message, &received, world->now);
    rx_flush(rx);
    assert_true(nothing_delivered());
    assert_int_equal(atomic_load(&world->tally.malformed), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), TEST(test_keepalive), TEST(test_forged), TEST(test_replayed), TEST(test_expired), TEST(test_wrong_source),
        TEST(test_bad_packets), TEST(test_ecn), TEST(test_next_is_confirmed), TEST(test_late_rekey), TEST(test_roams), TEST(test_handshakes),
        TEST(test_no_identity), TEST(test_train), TEST(test_train_refused), TEST(test_mixed_train), TEST(test_long_train), TEST(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
