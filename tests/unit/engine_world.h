/* An engine for the tests of its data path: its TUN is one end of a socket pair, its sockets are on the loopback, its sessions are made by hand. */
#ifndef WGDECK_ENGINE_WORLD_H
#define WGDECK_ENGINE_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/offload.h"

#define WORLD_MTU 1420
#define VNET sizeof(struct virtio_net_hdr)

struct world {
    struct engine engine;
    int tun;                       /* the other end */
    struct peer *peer, *other;     /* 10.0.0.2 and fd00::2; 10.0.0.3 and fd00::3 */
    struct keypair *keypair;       /* of the first: current, local index 101, remote index 201 */
    struct udp_sockets *far;       /* the peer's end on the loopback */
    struct worker_tally tally;
    void *seal;                    /* the peer's context */
    int64_t now;
};

static inline void world_route(struct world *world, const char *text, struct peer *peer)
{
    struct prefix prefix;
    assert_int_equal(prefix_parse(text, &prefix), 0);
    trie_insert(&world->engine.trie, &prefix, peer);
}

static inline struct keypair *world_session(struct world *world, struct peer *peer, uint32_t local, bool initiator, int64_t born)
{
    struct noise_keys keys = {.remote_index = local + 100};
    memset(keys.send, (int)local, sizeof keys.send);
    memset(keys.receive, (int)local + 1, sizeof keys.receive);
    (void)world;
    return keypair_install(peer, &keys, local, initiator, born);
}

static inline struct udp_endpoint world_far(const struct world *world)
{
    struct endpoint endpoint = {.address = {AF_INET, {127, 0, 0, 1}}, .port = world->far->port};
    struct udp_endpoint to;
    udp_endpoint_from(&endpoint, &to);
    return to;
}

static inline struct peer *world_peer(struct world *world, uint8_t number)
{
    struct key key;
    memset(&key, number, sizeof key);
    return peer_add(&world->engine, &key);
}

static inline struct world *world_new(bool vnet, bool offload)
{
    struct world *world = aligned_alloc(64, (sizeof *world + 63) / 64 * 64); /* the engine wants whole cache lines */
    assert_non_null(world);
    memset(world, 0, sizeof *world);
    struct engine *engine = &world->engine;
    struct err err;
    int pair[2], size = 4 << 20;
    assert_int_equal(engine_begin(engine, "test0", &err), 0);
    engine->seal = seal_choose(NULL, &err);
    assert_non_null(engine->seal);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    for (unsigned i = 0; i < TUN_QUEUES; i++)
        engine->tun.descriptors[i] = -1;
    engine->tun.descriptors[0] = pair[0];
    world->tun = pair[1];
    atomic_store(&engine->tun.vnet, vnet);
    atomic_store(&engine->tun.tso, offload);
    atomic_store(&engine->tun.uso, offload);
    atomic_store(&engine->mtu, WORLD_MTU);
    engine->queues = 1;
    atomic_store(&engine->sockets, udp_open(0, 0, 1, true, true, &err));
    world->far = udp_open(0, 0, 1, true, false, &err);
    assert_true(atomic_load(&engine->sockets) && world->far);
    world->seal = engine->seal->context_new();
    world->now = clock_steady();
    world->peer = world_peer(world, 2);
    world->other = world_peer(world, 3);
    world_route(world, "10.0.0.2/32", world->peer);
    world_route(world, "fd00::2/128", world->peer);
    world_route(world, "10.0.0.3/32", world->other);
    world_route(world, "fd00::3/128", world->other);
    world->keypair = world_session(world, world->peer, 101, true, world->now);
    return world;
}

static inline void world_free(struct world *world)
{
    udp_close(atomic_load(&world->engine.sockets));
    udp_close(world->far);
    close(world->engine.tun.descriptors[0]);
    close(world->tun);
    world->engine.seal->context_free(world->seal);
    engine_end(&world->engine);
    free(world);
}

/* An IPv4 or IPv6 packet with LENGTH bytes in all: UDP, or TCP with SEQUENCE. Checksums are right. Returns LENGTH. */
struct inner {
    uint8_t version, source, destination, tos; /* 10.0.0.SOURCE, fd00::SOURCE */
    bool tcp;
    uint32_t sequence;
    size_t length;
};

static inline void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline size_t inner_make(const struct inner *inner, uint8_t *packet)
{
    const bool v4 = inner->version == 4;
    const size_t ip = v4 ? 20 : 40, addresses = v4 ? 12 : 8, half = v4 ? 4 : 16, field = ip + (inner->tcp ? 16 : 6);
    uint16_t sum;
    memset(packet, 0, inner->length);
    if (v4) {
        packet[0] = 0x45;
        packet[1] = inner->tos;
        put16(packet + 2, inner->length);
        packet[6] = 0x40;
        packet[8] = 64;
        packet[9] = inner->tcp ? 6 : 17;
        packet[12] = packet[16] = 10;
    } else {
        packet[0] = (uint8_t)(0x60 | inner->tos >> 4);
        packet[1] = (uint8_t)(inner->tos << 4);
        put16(packet + 4, inner->length - 40);
        packet[6] = inner->tcp ? 6 : 17;
        packet[7] = 64;
        packet[8] = packet[24] = 0xfd;
    }
    packet[addresses + half - 1] = inner->source;
    packet[addresses + 2 * half - 1] = inner->destination;
    put16(packet + ip, 1234);
    put16(packet + ip + 2, 4321);
    if (inner->tcp) {
        put16(packet + ip + 4, inner->sequence >> 16);
        put16(packet + ip + 6, inner->sequence & 0xffff);
        packet[ip + 12] = 5 << 4;
        packet[ip + 13] = 0x10;
    } else {
        put16(packet + ip + 4, inner->length - ip);
    }
    for (size_t i = ip + (inner->tcp ? 20 : 8); i < inner->length; i++)
        packet[i] = (uint8_t)(i + inner->sequence);
    if (v4) {
        sum = (uint16_t)~checksum_fold(checksum_add(packet, 20, 0));
        memcpy(packet + 10, &sum, 2);
    }
    sum = (uint16_t)~checksum_fold(checksum_add(packet + addresses, inner->length - addresses,
                                                (uint64_t)htons((uint16_t)(inner->length - ip)) + htons(inner->tcp ? 6 : 17)));
    memcpy(packet + field, &sum, 2);
    return inner->length;
}

/* A data message as the peer of KEYPAIR would send it, padded to 16. Returns its length. */
static inline size_t world_seal(struct world *world, const struct keypair *keypair, uint64_t counter, const uint8_t *packet, size_t length, uint8_t *to)
{
    uint8_t plain[65536] = {0};
    const uint32_t type = htole32(MESSAGE_DATA), index = htole32(keypair->local_index);
    const uint64_t little = htole64(counter);
    const size_t padded = (length + 15) / 16 * 16;
    if (length)
        memcpy(plain, packet, length);
    memcpy(to, &type, 4);
    memcpy(to + 4, &index, 4);
    memcpy(to + 8, &little, 8);
    world->engine.seal->seal(world->seal, keypair->receive_key, counter, plain, padded, to + 16);
    return 16 + padded + SEAL_TAG;
}

/* What the engine wrote to its TUN: its length without the header, 0: nothing. */
static inline size_t world_tun_read(const struct world *world, struct virtio_net_hdr *header, uint8_t *packet, size_t space)
{
    const struct iovec parts[2] = {{header, VNET}, {packet, space}};
    const bool vnet = atomic_load(&world->engine.tun.vnet);
    ssize_t length = vnet ? readv(world->tun, parts, 2) : read(world->tun, packet, space);
    return length <= 0 ? 0 : (size_t)length - (vnet ? VNET : 0);
}

#endif
