/* tx.c, staged.c: what the TUN gives, and what of it the peer gets. */
#include "unit.h"

#include "engine_world.h"

#include <linux/udp.h>
#include <sys/syscall.h>

#include "engine/staged.h"

static struct world *world;
static struct tx *tx;

/* --- the way to send stands before the C library's: older kernels take 64 segments and 65,507 bytes */

static size_t most_segments;

static void check_train(const struct msghdr *message)
{
    struct msghdr copy = *message;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&copy); control; control = CMSG_NXTHDR(&copy, control))
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_SEGMENT) {
            uint16_t size;
            memcpy(&size, CMSG_DATA(control), sizeof size);
            const size_t length = message->msg_iov[0].iov_len, segments = (length + size - 1) / size;
            assert_true(length <= 65507 && segments <= 64);
            most_segments = segments > most_segments ? segments : most_segments;
        }
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    check_train(message);
    return syscall(SYS_sendmsg, descriptor, message, flags);
}

int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags)
{
    for (unsigned i = 0; i < count; i++)
        check_train(&messages[i].msg_hdr);
    return (int)syscall(SYS_sendmmsg, descriptor, messages, count, flags);
}

static int begin(void **state)
{
    struct udp_endpoint far;
    (void)state;
    world = world_new(true, true);
    tx = tx_new(&world->engine, 0, 0, &world->tally);
    far = world_far(world);
    peer_endpoint_set(world->peer, &far);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tx_free(tx);
    world_free(world);
    return 0;
}

/* --- the ends of the way */

static void tun_put(const struct virtio_net_hdr *header, const uint8_t *packet, size_t length)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)header, VNET}, {(void *)(uintptr_t)packet, length}};
    const bool vnet = atomic_load(&world->engine.tun.vnet);
    assert_true(writev(world->tun, vnet ? parts : parts + 1, vnet ? 2 : 1) > 0);
}

static void tun_put_inner(const struct inner *inner)
{
    static const struct virtio_net_hdr none;
    uint8_t packet[2048];
    tun_put(&none, packet, inner_make(inner, packet));
}

struct arrived { uint32_t type, index; uint64_t counter; size_t length, sealed; uint8_t tos, packet[2048]; };

/* The next datagram at the peer's, opened with its key. False: none. */
static bool arrive(const struct keypair *keypair, struct arrived *arrived)
{
    static uint8_t message[65536];
    uint8_t *buffer = message;
    struct udp_received received = {0};
    struct pollfd wanted = {.fd = world->far->v4[0], .events = POLLIN};
    if (poll(&wanted, 1, 0) <= 0)
        return false;
    assert_int_equal(udp_receive(world->far, 0, AF_INET, &buffer, sizeof message, &received, 1), 1);
    assert_true(received.length >= 32 && received.length <= sizeof arrived->packet);
    memcpy(&arrived->type, message, 4);
    memcpy(&arrived->index, message + 4, 4);
    memcpy(&arrived->counter, message + 8, 8);
    arrived->counter = le64toh(arrived->counter);
    arrived->sealed = received.length;
    arrived->length = received.length - 32;
    arrived->tos = received.tos;
    assert_int_equal(world->engine.seal->open(world->seal, keypair->send_key, arrived->counter, message + 16, arrived->length), 0);
    memcpy(arrived->packet, message + 16, arrived->length);
    return true;
}

/* --- single packets */

static void test_padding(void **state)
{
    static const struct { uint8_t version; size_t length, padded; } cases[] = {
        {4, 28, 32}, {4, 32, 32}, {4, 33, 48}, {4, 1404, 1408}, {4, 1408, 1408}, {4, 1409, 1420}, {4, 1420, 1420}, {4, 1421, 1421}, {6, 48, 48}, {6, 1300, 1312},
    };
    uint64_t bytes = 0;
    (void)state;
    for (int vnet = 0; vnet < 2; vnet++)
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct inner inner = {cases[i].version, 1, 2, 0, false, 0, cases[i].length};
            uint8_t packet[2048] = {0};
            struct arrived arrived;
            atomic_store(&world->engine.tun.vnet, vnet);
            inner_make(&inner, packet);
            tun_put_inner(&inner);
            tx_drain(tx);
            CASE_ASSERT(i, arrive(world->keypair, &arrived));
            CASE_ASSERT(i, arrived.length == cases[i].padded && !memcmp(arrived.packet, packet, cases[i].padded));
            CASE_ASSERT(i, arrived.type == htole32(4) && arrived.index == htole32(world->keypair->remote_index));
            CASE_ASSERT(i, arrived.counter == i + (vnet ? COUNT_OF(cases) : 0));
            bytes += cases[i].padded + 32;
            CASE_ASSERT(i, atomic_load(&world->peer->tx_bytes) == bytes);
        }
    assert_true(atomic_load(&world->peer->last_sent) > 0 && atomic_load(&world->peer->unanswered_since) > 0);
    assert_true(atomic_load(&world->peer->events) & PEER_WANTS_TIMER);
    assert_false(atomic_load(&world->peer->events) & PEER_WANTS_HANDSHAKE);
}

/* An MTU may be set that no datagram can carry (found in review: sizes went around 65,536, and the thread never came back). */
static void test_larger_than_any_datagram(void **state)
{
    static const size_t lengths[] = {65476, 65488, 65489, 65504, 65505, 65520};
    static uint8_t packet[65536];
    (void)state;
    atomic_store(&world->engine.mtu, 65535);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        static const struct virtio_net_hdr none;
        struct inner inner = {4, 1, 2, 0, false, 0, 1400};
        inner_make(&inner, packet);
        packet[2] = (uint8_t)(lengths[i] >> 8);
        packet[3] = (uint8_t)lengths[i];
        const uint64_t before = atomic_load(&world->tally.send_errors);
        tun_put(&none, packet, lengths[i]);
        tx_drain(tx);
        CASE_ASSERT(i, atomic_load(&world->tally.send_errors) == before + 1);
    }
}

/* Only ECN goes outside; a mark (3) becomes 2, the mark stays inside. */
static void test_ecn(void **state)
{
    static const uint8_t outer[4] = {0, 1, 2, 2};
    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2)
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            struct inner inner = {version, 1, 2, (uint8_t)(0xb8 | ecn), false, 0, 60};
            struct arrived arrived;
            tun_put_inner(&inner);
            tx_drain(tx);
            CASE_ASSERT(ecn, arrive(world->keypair, &arrived) && arrived.tos == outer[ecn]);
        }
}

static void test_nowhere(void **state)
{
    static const struct inner nobody = {4, 1, 9, 0, false, 0, 60}, nobody6 = {6, 1, 9, 0, false, 0, 60}, lost = {4, 1, 3, 0, false, 0, 60},
                              good = {4, 1, 2, 0, false, 0, 60};
    struct virtio_net_hdr none = {0}, bad = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 500, .csum_offset = 6};
    uint8_t packet[64];
    struct arrived arrived;
    (void)state;
    world_session(world, world->other, 7, true, clock_steady()); /* a session, but no endpoint */
    tun_put_inner(&nobody);
    tun_put_inner(&nobody6);
    tun_put_inner(&lost);
    tun_put(&none, (const uint8_t *)"\x45", 1);
    inner_make(&good, packet);
    tun_put(&bad, packet, 60);
    tx_drain(tx);
    assert_false(arrive(world->keypair, &arrived));
    assert_int_equal(atomic_load(&world->tally.no_route), 3);
    assert_int_equal(atomic_load(&world->tally.no_endpoint), 1);
    assert_int_equal(atomic_load(&world->other->tally.no_endpoint), 1);
    assert_int_equal(atomic_load(&world->tally.tun_errors), 1);
    assert_int_equal(atomic_load(&world->other->tx_bytes), 0);
    struct udp_sockets *sockets = atomic_exchange(&world->engine.sockets, NULL); /* down: read and dropped */
    tun_put_inner(&good);
    tx_drain(tx);
    atomic_store(&world->engine.sockets, sockets);
    tx_drain(tx);
    assert_false(arrive(world->keypair, &arrived));
}

/* --- super-packets */

#define SEGMENT 1368
static void test_super_packet(void **state)
{
    static const size_t payloads[] = {45 * SEGMENT, 44 * SEGMENT + 1, 2 * SEGMENT, SEGMENT + 700, 3 * SEGMENT};
    static uint8_t packet[65536];
    uint64_t counter = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        const struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 40, .gso_size = SEGMENT,
                                              .csum_start = 20, .csum_offset = 16};
        const struct inner inner = {4, 1, 2, 0, true, 99, 40 + payloads[i]};
        struct arrived arrived;
        size_t offset = 0;
        inner_make(&inner, packet);
        tun_put(&header, packet, inner.length);
        tx_drain(tx);
        while (offset < payloads[i]) {
            const size_t left = payloads[i] - offset, size = left < SEGMENT ? left : SEGMENT, whole = 40 + size;
            CASE_ASSERT(i, arrive(world->keypair, &arrived));
            CASE_ASSERT(i, arrived.counter == counter++);
            CASE_ASSERT(i, arrived.length == (whole + 15) / 16 * 16);
            CASE_ASSERT(i, !memcmp(arrived.packet + 40, packet + 40 + offset, size));
            CASE_ASSERT(i, checksum_fold(checksum_add(arrived.packet, 20, 0)) == 0xffff);
            CASE_ASSERT(i, checksum_fold(checksum_add(arrived.packet + 12, whole - 12, (uint64_t)htons((uint16_t)(20 + size)) + htons(6))) == 0xffff);
            offset += size;
        }
        CASE_ASSERT(i, !arrive(world->keypair, &arrived));
    }
    assert_int_equal(atomic_load(&world->keypair->send_counter), counter);
}

/* Many segments of few bytes, more than one train or the buffer takes: all arrive. */
static void test_small_segments(void **state)
{
    static uint8_t packet[65536];
    const struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 40, .gso_size = 100,
                                          .csum_start = 20, .csum_offset = 16};
    const struct inner inner = {4, 1, 2, 0, true, 99, 40 + 60000};
    struct arrived arrived;
    unsigned count = 0;
    (void)state;
    inner_make(&inner, packet);
    for (unsigned i = 0; i < 2; i++) {
        tun_put(&header, packet, inner.length);
        tx_drain(tx);
        for (; arrive(world->keypair, &arrived); count++)
            assert_memory_equal(arrived.packet + 40, packet + 40 + 100 * (count % 600), 100);
    }
    assert_int_equal(count, 1200);
}

/* Small packets one after another share trains, as long as trains may be. */
static void test_small_packets(void **state)
{
    static const struct inner inner = {4, 1, 2, 0, false, 0, 92};
    struct arrived arrived;
    unsigned count = 0;
    (void)state;
    for (unsigned i = 0; i < 150; i++)
        tun_put_inner(&inner);
    most_segments = 0;
    tx_drain(tx);
    while (arrive(world->keypair, &arrived))
        count++;
    assert_int_equal(count, 150);
    if (udp_can_segment(atomic_load(&world->engine.sockets), AF_INET))
        assert_int_equal(most_segments, 64);
}

/* Packets of all sizes and to several peers between each other arrive whole and in order. */
static void test_many(void **state)
{
    struct keypair *other = world_session(world, world->other, 7, true, clock_steady());
    struct udp_endpoint far = world_far(world);
    struct inner sent[300];
    struct arrived arrived;
    (void)state;
    peer_endpoint_set(world->other, &far);
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT_OF(sent); i++) {
            const size_t lengths[] = {60, 60, 60, 92, 1420, (size_t)(28 + random() % 1392)};
            sent[i] = (struct inner){4, 1, (uint8_t)(random() % 8 ? 2 : 3), random() % 9 ? 0 : 2, false, (uint32_t)i, lengths[random() % 6]};
            tun_put_inner(&sent[i]);
            if (random() % 40 == 0)
                tx_drain(tx);
        }
        tx_drain(tx);
        for (size_t i = 0; i < COUNT_OF(sent); i++) {
            uint8_t packet[2048];
            inner_make(&sent[i], packet);
            CASE_ASSERT(i, arrive(sent[i].destination == 2 ? world->keypair : other, &arrived));
            CASE_ASSERT(i, !memcmp(arrived.packet, packet, sent[i].length) && arrived.tos == sent[i].tos);
        }
        assert_false(arrive(world->keypair, &arrived));
    }
}

/* --- sessions */

static bool took(uint32_t events)
{
    uint32_t had = atomic_exchange(&world->peer->events, 0);
    engine_inbox_take(&world->engine);
    return (had & events) != 0;
}

static void test_staged(void **state)
{
    struct arrived arrived;
    (void)state;
    peer_expire(world->peer);
    for (uint32_t i = 0; i < STAGED_PACKETS + 20; i++) {
        struct inner inner = {4, 1, 2, 0, false, i, 60};
        tun_put_inner(&inner);
        tx_drain(tx);
        assert_int_equal(took(PEER_WANTS_HANDSHAKE), i == 0); /* at most once in 5 s */
    }
    assert_false(arrive(world->keypair, &arrived));
    assert_int_equal(world->peer->staged_count, STAGED_PACKETS);
    assert_int_equal(atomic_load(&world->tally.staged_overflow), 20);
    assert_int_equal(atomic_load(&world->peer->tally.staged_overflow), 20);
    struct keypair *keypair = world_session(world, world->peer, 9, true, clock_steady());
    assert_true(tx_send_staged(tx, world->peer));
    for (uint32_t i = 20; i < STAGED_PACKETS + 20; i++) { /* the oldest made room */
        struct inner inner = {4, 1, 2, 0, false, i, 60};
        uint8_t packet[64];
        inner_make(&inner, packet);
        assert_true(arrive(keypair, &arrived));
        assert_memory_equal(arrived.packet, packet, 60);
    }
    assert_int_equal(world->peer->staged_count, 0);
    assert_int_equal(atomic_load(&world->engine.staged_bytes), 0);
    assert_true(tx_send_staged(tx, world->peer)); /* none: fine */
}

/* A session came between the look at it and the lock: not kept, look again. */
static void test_staged_meanwhile(void **state)
{
    static const struct virtio_net_hdr none;
    uint8_t packet[64] = {0};
    (void)state;
    assert_false(staged_put(world->peer, NULL, &none, packet, sizeof packet, &world->tally));
    assert_int_equal(world->peer->staged_count, 0);
    assert_int_equal(atomic_load(&world->engine.staged_bytes), 0);
    assert_true(staged_put(world->peer, world->keypair, &none, packet, sizeof packet, &world->tally));
    assert_int_equal(world->peer->staged_count, 1);
}

/* All peers together keep no more than STAGED_BYTES; without a session it is dropped; dropped is forgotten. */
static void test_staged_bytes(void **state)
{
    static uint8_t packet[60000];
    static const struct virtio_net_hdr none;
    struct inner inner = {4, 1, 2, 0, false, 0, sizeof packet};
    struct peer *peers[5];
    (void)state;
    peer_expire(world->peer);
    inner_make(&inner, packet);
    for (uint8_t i = 0; i < COUNT_OF(peers); i++) {
        char text[32];
        peers[i] = world_peer(world, (uint8_t)(100 + i));
        snprintf(text, sizeof text, "10.0.0.%d/32", 100 + i);
        world_route(world, text, peers[i]);
        packet[19] = (uint8_t)(100 + i);
        for (unsigned j = 0; j < STAGED_PACKETS; j++) {
            tun_put(&none, packet, sizeof packet);
            tx_drain(tx);
        }
    }
    assert_true(atomic_load(&world->engine.staged_bytes) <= STAGED_BYTES);
    assert_true(atomic_load(&world->engine.staged_bytes) > STAGED_BYTES - sizeof packet - 100);
    assert_true(atomic_load(&world->tally.staged_overflow) > 0);
    assert_false(tx_send_staged(tx, peers[0]));
    for (size_t i = 0; i < COUNT_OF(peers); i++)
        staged_drop(peers[i]);
    assert_int_equal(atomic_load(&world->engine.staged_bytes), 0);
}

/* Age and count of the key: sent and nothing asked; sent and a new one asked for; not sent. */
static void test_ages(void **state)
{
    static const struct { int64_t age; uint64_t counter; bool initiator, sent, asked; } cases[] = {
        {0, 0, true, true, false},   {119, 0, true, true, false},  {121, 0, true, true, true},   {121, 0, false, true, false},
        {179, 0, true, true, true},  {179, 0, false, true, false}, {181, 0, true, false, true},  {181, 0, false, false, true},
        {0, REKEY_AFTER_MESSAGES - 2, false, true, false}, {0, REKEY_AFTER_MESSAGES + 1, false, true, true}, {0, REJECT_AFTER_MESSAGES, true, false, true},
        {0, UINT64_MAX, true, false, true},
    };
    static const struct inner inner = {4, 1, 2, 0, false, 0, 60};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct keypair *keypair = world_session(world, world->peer, (uint32_t)(300 + i), cases[i].initiator, clock_steady() - cases[i].age * CLOCK_SECOND);
        struct arrived arrived;
        if (!cases[i].initiator)
            assert_true(keypair_confirm(keypair));
        atomic_store(&keypair->send_counter, cases[i].counter);
        atomic_store(&world->peer->handshake_asked, 0);
        tun_put_inner(&inner);
        tx_drain(tx);
        CASE_ASSERT(i, arrive(keypair, &arrived) == cases[i].sent);
        CASE_ASSERT(i, (world->peer->staged_count == 0) == cases[i].sent);
        CASE_ASSERT(i, took(PEER_WANTS_HANDSHAKE) == cases[i].asked);
        CASE_ASSERT(i, tx_send_keepalive(tx, world->peer) == cases[i].sent);
        CASE_ASSERT(i, arrive(keypair, &arrived) == cases[i].sent);
        CASE_ASSERT(i, !cases[i].sent || arrived.length == 0);
        took(0);
        staged_drop(world->peer);
    }
}

static void test_keepalive(void **state)
{
    struct arrived arrived;
    (void)state;
    atomic_store(&world->peer->unacknowledged_since, 5);
    assert_true(tx_send_keepalive(tx, world->peer));
    assert_true(arrive(world->keypair, &arrived));
    assert_int_equal(arrived.sealed, 32);
    assert_int_equal(atomic_load(&world->peer->tx_bytes), 32);
    assert_int_equal(atomic_load(&world->peer->unanswered_since), 0);
    assert_int_equal(atomic_load(&world->peer->unacknowledged_since), 0);
    assert_false(tx_send_keepalive(tx, world->other));
    world_session(world, world->other, 7, true, clock_steady());
    assert_false(tx_send_keepalive(tx, world->other)); /* no endpoint */
    assert_int_equal(atomic_load(&world->tally.no_endpoint), 1);
}

static void test_message(void **state)
{
    uint8_t message[148] = {1}, got[200], *buffer = got;
    struct udp_endpoint far = world_far(world);
    struct udp_received received = {0};
    (void)state;
    for (int to = 0; to < 2; to++) {
        assert_int_equal(tx_send_message(&world->engine, to ? NULL : world->peer, to ? &far : NULL, message, sizeof message), 0);
        assert_int_equal(udp_receive(world->far, 0, AF_INET, &buffer, sizeof got, &received, 1), 1);
        assert_int_equal(received.length, 148);
        assert_int_equal(received.tos, 0x88);
        assert_int_equal(atomic_load(&world->peer->tx_bytes), 148);
    }
    assert_int_equal(tx_send_message(&world->engine, world->other, NULL, message, sizeof message), -1);
    assert_int_equal(tx_send_message(&world->engine, world->other, &far, message, sizeof message), 0);
}

/* The host lost the address that the peer was last heard on: the peer forgets it, too. */
static void test_stale_source(void **state)
{
    static const struct inner inner = {4, 1, 2, 0, false, 0, 60};
    struct udp_endpoint endpoint = world_far(world);
    struct arrived arrived;
    (void)state;
    endpoint.source_family = AF_INET;
    endpoint.source.v4.s_addr = htonl(0xc0000263); /* 192.0.2.99 */
    peer_endpoint_set(world->peer, &endpoint);
    tun_put_inner(&inner);
    tx_drain(tx);
    assert_true(arrive(world->keypair, &arrived));
    peer_endpoint_get(world->peer, &endpoint);
    assert_int_equal(endpoint.source_family, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_padding), TEST(test_larger_than_any_datagram), TEST(test_ecn), TEST(test_nowhere), TEST(test_super_packet), TEST(test_small_segments), TEST(test_small_packets), TEST(test_many), TEST(test_staged),
        TEST(test_staged_meanwhile),
        TEST(test_staged_bytes), TEST(test_ages), TEST(test_keepalive), TEST(test_message), TEST(test_stale_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
