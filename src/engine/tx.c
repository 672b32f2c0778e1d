/* TUN to UDP: packets and super-packets are read, cut, sealed into trains of datagrams and sent, by one thread a queue, without a lock or a queue between.
 * The control thread uses the same way, with buffers of its own, for what waited for a session and for keepalives. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "offload.h"
#include "staged.h"
#include "wgdeck/mem.h"

#define TRAINS 64
#define TUN_BYTES (66 * 1024)        /* the largest super-packet, and room for padding */
#define TUN_FRONT 64                 /* room before it for the virtio header, so that one read takes both and the packet is aligned */
#define TRAIN_SPACE (128 * 1024)
#define TRAIN_ENOUGH (32 * 1024)     /* sealed and waiting: sent while it is in the cache */
#define HEADER sizeof(struct message_data)
#define ECN_MASK 3
#define ECN_ECT0 2
#define TOS_HANDSHAKE 0x88           /* AF41, as the kernel's */
#define NEW_HANDSHAKE_AFTER (15 * CLOCK_SECOND) /* KEEPALIVE_TIMEOUT + REKEY_TIMEOUT without an answer */
/* Sending under a key ends a little before REJECT_AFTER_MESSAGES, so that no run of nonces that threads reserve at once can pass it. */
#define SEND_LIMIT (REJECT_AFTER_MESSAGES - (UINT64_C(1) << 20))

struct tx {
    struct engine *engine;
    struct worker_tally *tally;
    unsigned queue, reader;
    int64_t now;
    void *seal;
    struct udp_sockets *sockets;    /* while online */
    uint8_t *packet;                /* TUN_BYTES after TUN_FRONT: what was read */
    uint8_t *space;                 /* TRAIN_SPACE: what is to be sent */
    size_t used;
    size_t count;                   /* trains */
    bool open;                      /* the last train may grow */
    unsigned segments;              /* of the last train */
    struct udp_train trains[TRAINS];
    struct peer *peers[TRAINS];
};

struct tx *tx_new(struct engine *engine, unsigned queue, unsigned reader, struct worker_tally *tally)
{
    struct tx *tx = mem_alloc(1, sizeof *tx);
    tx->engine = engine;
    tx->queue = queue;
    tx->reader = reader;
    tx->tally = tally;
    tx->seal = engine->seal->context_new();
    tx->packet = (uint8_t *)mem_alloc(1, TUN_FRONT + TUN_BYTES) + TUN_FRONT;
    tx->space = mem_alloc(1, TRAIN_SPACE);
    return tx;
}

void tx_free(struct tx *tx)
{
    if (!tx)
        return;
    tx->engine->seal->context_free(tx->seal);
    free(tx->packet - TUN_FRONT);
    free(tx->space);
    free(tx);
}

/* --- trains */

static void send_trains(struct tx *tx)
{
    size_t refused;
    bool segment4, segment6;
    if (tx->count == 0)
        return;
    segment4 = udp_can_segment(tx->sockets, AF_INET);
    segment6 = udp_can_segment(tx->sockets, AF_INET6);
    bool sourced[TRAINS];
    for (size_t i = 0; i < tx->count; i++)
        sourced[i] = tx->trains[i].to.source_family != 0;
    refused = udp_send(tx->sockets, tx->queue, tx->trains, tx->count);
    if (refused)
        TALLY_ADD(tx->tally, send_errors, refused);
    if (segment4 != udp_can_segment(tx->sockets, AF_INET) || segment6 != udp_can_segment(tx->sockets, AF_INET6))
        TALLY_ADD(tx->tally, udp_segment_off, 1);
    for (size_t i = 0; i < tx->count; i++)
        if (sourced[i] && !tx->trains[i].to.source_family)
            peer_endpoint_clear_source(tx->peers[i]);
    tx->count = 0;
    tx->used = 0;
    tx->open = false;
}

/* Room for a datagram of SIZE bytes to PEER, in the last train if it fits there. NULL: the peer has no endpoint. */
static uint8_t *train_room(struct tx *tx, struct peer *peer, size_t size, uint8_t tos)
{
    struct udp_train *train = tx->count ? &tx->trains[tx->count - 1] : NULL;
    if (tx->open && tx->peers[tx->count - 1] == peer && train->tos == tos && size <= train->size && tx->segments < UDP_TRAIN_SEGMENTS &&
        train->length + size <= UDP_TRAIN_BYTES && tx->used + size <= TRAIN_SPACE) {
        tx->open = size == train->size; /* a shorter one is the last */
        tx->segments++;
    } else {
        if (tx->count == TRAINS || tx->used + size > TRAIN_SPACE)
            send_trains(tx);
        train = &tx->trains[tx->count];
        peer_endpoint_get(peer, &train->to);
        if (!train->to.to.plain.sa_family)
            return NULL;
        train->bytes = tx->space + tx->used;
        train->length = 0;
        train->size = (uint16_t)size;
        train->tos = tos;
        tx->peers[tx->count++] = peer;
        tx->segments = 1;
        tx->open = true;
    }
    uint8_t *room = tx->space + tx->used;
    train->length += size;
    tx->used += size;
    return room;
}

static void seal_datagram(struct tx *tx, const struct keypair *keypair, uint64_t counter, const uint8_t *packet, size_t length, uint8_t *to)
{
    const uint32_t type = htole32(MESSAGE_DATA), receiver = htole32(keypair->remote_index);
    const uint64_t little = htole64(counter);
    memcpy(to, &type, 4);
    memcpy(to + 4, &receiver, 4);
    memcpy(to + 8, &little, 8);
    tx->engine->seal->seal(tx->seal, keypair->send_key, counter, packet, length, to + HEADER);
}

/* --- sessions */

static void want_handshake(struct peer *peer, int64_t now)
{
    int64_t asked = atomic_load_explicit(&peer->handshake_asked, memory_order_relaxed);
    if (asked && now - asked < REKEY_TIMEOUT)
        return;
    if (atomic_compare_exchange_strong(&peer->handshake_asked, &asked, now))
        peer_post(peer, PEER_WANTS_HANDSHAKE);
}

static bool may_send(const struct keypair *keypair, int64_t now)
{
    return keypair && now - keypair->born < REJECT_AFTER_TIME && atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) < SEND_LIMIT;
}

/* What a peer remembers of sending: BYTES in datagrams with counters up to COUNTER. DATA: not only a keepalive. */
static void note_sent(struct peer *peer, const struct keypair *keypair, uint64_t counter, size_t bytes, bool data, int64_t now)
{
    atomic_store_explicit(&peer->last_sent, now, memory_order_relaxed);
    if (atomic_load_explicit(&peer->unacknowledged_since, memory_order_relaxed))
        atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
    if (data && !atomic_load_explicit(&peer->unanswered_since, memory_order_relaxed)) {
        atomic_store(&peer->unanswered_since, now); /* in one order with armed, as timers.c reads them */
        if (atomic_load(&peer->armed) > now + NEW_HANDSHAKE_AFTER)
            peer_post(peer, PEER_WANTS_TIMER);
    }
    atomic_fetch_add_explicit(&peer->tx_bytes, bytes, memory_order_relaxed);
    if (counter > REKEY_AFTER_MESSAGES || (keypair->initiator && now - keypair->born >= REKEY_AFTER_TIME))
        want_handshake(peer, now);
}

/* --- packets */

static size_t padded_length(size_t length, size_t mtu)
{
    const size_t padded = (length + PADDING - 1) / PADDING * PADDING;
    return padded <= mtu ? padded : length < mtu ? mtu : length;
}

static uint8_t outer_tos(const uint8_t *packet)
{
    const unsigned traffic_class = packet[0] >> 4 == 4 ? packet[1] : (unsigned)(packet[0] << 4 | packet[1] >> 4);
    const unsigned ecn = traffic_class & ECN_MASK;
    return (uint8_t)(ecn == ECN_MASK ? ECN_ECT0 : ecn); /* a mark stays inside: what the outer way adds can be told apart */
}

static void count_no_endpoint(struct tx *tx, struct peer *peer)
{
    TALLY_ADD(tx->tally, no_endpoint, 1);
    PEER_TALLY(peer, no_endpoint);
}

/* Cut and seal. PACKET is written to. */
static void seal_packet(struct tx *tx, struct peer *peer, struct keypair *keypair, const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
    const size_t mtu = (size_t)atomic_load_explicit(&tx->engine->mtu, memory_order_relaxed);
    const uint8_t tos = outer_tos(packet);
    struct segments segments;
    uint8_t *segment;
    size_t size, bytes = 0;
    if (segments_begin(&segments, header, packet, length) != 0) {
        TALLY_ADD(tx->tally, tun_errors, 1);
        return;
    }
    uint64_t counter = atomic_fetch_add_explicit(&keypair->send_counter, segments_left(&segments), memory_order_relaxed);
    while ((size = segment_next(&segments, PADDING, &segment)) > 0) {
        const size_t padded = padded_length(size, mtu);
        if (HEADER + padded + SEAL_TAG > UDP_TRAIN_BYTES) { /* an MTU that no datagram can carry; its nonce stays unused */
            TALLY_ADD(tx->tally, send_errors, 1);
            counter++;
            continue;
        }
        uint8_t *room = train_room(tx, peer, HEADER + padded + SEAL_TAG, tos);
        if (!room) {
            count_no_endpoint(tx, peer);
            return;
        }
        memset(segment + size, 0, padded - size);
        seal_datagram(tx, keypair, counter++, segment, padded, room);
        bytes += HEADER + padded + SEAL_TAG;
    }
    if (bytes)
        note_sent(peer, keypair, counter, bytes, true, tx->now);
}

/* With a session: into a train. Without: kept, and a handshake asked for. */
static void packet_to_peer(struct tx *tx, struct peer *peer, const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
    for (;;) {
        struct keypair *keypair = atomic_load_explicit(&peer->current, memory_order_acquire);
        if (may_send(keypair, tx->now)) {
            seal_packet(tx, peer, keypair, header, packet, length);
            return;
        }
        if (staged_put(peer, keypair, header, packet, length, tx->tally))
            break;
    }
    want_handshake(peer, tx->now);
}

/* Whether PACKET is a datagram of this engine to PEER itself: a route sends its endpoint into the tunnel. Sealed again it would come back for ever. */
static bool is_looped(const struct tx *tx, const struct peer *peer, const uint8_t *packet, size_t length)
{
    const bool v4 = packet[0] >> 4 == 4;
    const size_t at = v4 ? (packet[0] & 15u) * 4u : 40;
    const uint8_t *udp = packet + at;
    const uint16_t port = htons(tx->sockets->port);
    struct udp_endpoint endpoint;
    if (packet[v4 ? 9 : 6] != IPPROTO_UDP || length < at + 8 || memcmp(udp, &port, 2) != 0)
        return false;
    peer_endpoint_get(peer, &endpoint);
    if (v4)
        return endpoint.to.plain.sa_family == AF_INET && !memcmp(udp + 2, &endpoint.to.v4.sin_port, 2) && !memcmp(packet + 16, &endpoint.to.v4.sin_addr, 4);
    return endpoint.to.plain.sa_family == AF_INET6 && !memcmp(udp + 2, &endpoint.to.v6.sin6_port, 2) && !memcmp(packet + 24, &endpoint.to.v6.sin6_addr, 16);
}

static struct peer *route(const struct engine *engine, const uint8_t *packet, size_t length)
{
    if (length >= 20 && packet[0] >> 4 == 4)
        return trie_find4(&engine->trie, packet + 16);
    if (length >= 40 && packet[0] >> 4 == 6)
        return trie_find6(&engine->trie, packet + 24);
    return NULL;
}

/* One read of the TUN. False: nothing there. */
static bool take_packet(struct tx *tx)
{
    struct virtio_net_hdr header = {0};
    const size_t front = atomic_load_explicit(&tx->engine->tun.vnet, memory_order_relaxed) ? sizeof header : 0;
    ssize_t length = read(tx->engine->tun.descriptors[tx->queue], tx->packet - front, front + TUN_BYTES - PADDING);
    struct peer *peer;
    if (length < 0)
        return errno == EINTR;
    length -= (ssize_t)front;
    if (length <= 0 || !tx->sockets)
        return true;
    memcpy(&header, tx->packet - front, front);
    peer = route(tx->engine, tx->packet, (size_t)length);
    if (!peer)
        TALLY_ADD(tx->tally, no_route, 1);
    else if (is_looped(tx, peer, tx->packet, (size_t)length))
        TALLY_ADD(tx->tally, looped, 1);
    else
        packet_to_peer(tx, peer, &header, tx->packet, (size_t)length);
    return true;
}

/* --- the thread */

/* One batch, from the TUN to the net. Whether there may be more. */
static bool take_batch(struct tx *tx)
{
    bool more = true;
    epoch_enter(&tx->engine->epoch, tx->reader);
    tx->sockets = atomic_load(&tx->engine->sockets);
    tx->now = clock_steady();
    while (tx->used < TRAIN_ENOUGH && more)
        more = take_packet(tx);
    send_trains(tx);
    epoch_leave(&tx->engine->epoch, tx->reader);
    return more;
}

void tx_drain(struct tx *tx)
{
    while (take_batch(tx) && !atomic_load_explicit(&tx->engine->stopping, memory_order_relaxed)) {}
}

void tx_answer(struct tx *tx, struct worker *worker)
{
    if (!spin_try_lock(&worker->tun_reader))
        return;
    (void)take_batch(tx);
    spin_unlock(&worker->tun_reader);
}

void *tx_thread(void *argument)
{
    struct worker *worker = argument;
    struct engine *engine = worker->engine;
    struct tx *tx = tx_new(engine, worker->queue, worker->tx_reader, &worker->tx_tally);
    struct pollfd wanted[2] = {{.fd = worker->tx_kick, .events = POLLIN}, {.fd = engine->tun.descriptors[worker->queue], .events = POLLIN}};
    uint64_t kicks;
    while (!atomic_load(&engine->stopping)) {
        if (poll(wanted, 2, -1) < 0)
            continue;
        if (wanted[0].revents)
            (void)!read(worker->tx_kick, &kicks, sizeof kicks);
        if (wanted[1].revents & (POLLERR | POLLNVAL)) /* the device is gone: control sees it and ends this */
            wanted[1].fd = -1;
        else if (wanted[1].revents) {
            spin_lock(&worker->tun_reader);
            tx_drain(tx);
            spin_unlock(&worker->tun_reader);
        }
    }
    tx_free(tx);
    return NULL;
}

/* --- for the control thread, which frees what data threads look at, and so needs no epoch */

static bool begin_control(struct tx *tx)
{
    tx->sockets = atomic_load(&tx->engine->sockets);
    tx->now = clock_steady();
    return tx->sockets != NULL;
}

bool tx_send_staged(struct tx *tx, struct peer *peer)
{
    const bool up = begin_control(tx);
    struct keypair *keypair = atomic_load_explicit(&peer->current, memory_order_acquire);
    const bool usable = up && may_send(keypair, tx->now);
    for (struct staged *staged = staged_take(peer), *next; staged; staged = next) {
        next = staged->next;
        if (usable) {
            seal_packet(tx, peer, keypair, &staged->header, staged->packet, staged->length);
        } else {
            TALLY_ADD(tx->tally, staged_overflow, 1);
            PEER_TALLY(peer, staged_overflow);
        }
        staged_free(peer, staged);
    }
    send_trains(tx);
    return usable;
}

bool tx_send_keepalive(struct tx *tx, struct peer *peer)
{
    struct keypair *keypair = atomic_load_explicit(&peer->current, memory_order_acquire);
    uint64_t counter;
    uint8_t *room;
    if (!begin_control(tx) || !may_send(keypair, tx->now))
        return false;
    if (!(room = train_room(tx, peer, HEADER + SEAL_TAG, 0))) {
        count_no_endpoint(tx, peer);
        return false;
    }
    counter = atomic_fetch_add_explicit(&keypair->send_counter, 1, memory_order_relaxed);
    seal_datagram(tx, keypair, counter, NULL, 0, room);
    send_trains(tx);
    note_sent(peer, keypair, counter, HEADER + SEAL_TAG, false, tx->now);
    return true;
}

int tx_send_message(struct engine *engine, struct peer *peer, const struct udp_endpoint *to, const void *message, size_t length)
{
    struct udp_sockets *sockets = atomic_load(&engine->sockets);
    uint8_t bytes[sizeof(struct message_initiation)];
    struct udp_train train = {.bytes = bytes, .length = length, .size = (uint16_t)length, .tos = TOS_HANDSHAKE};
    bool sourced;
    if (!sockets || length > sizeof bytes)
        return -1;
    memcpy(bytes, message, length);
    if (to)
        train.to = *to;
    else if (peer)
        peer_endpoint_get(peer, &train.to);
    if (!train.to.to.plain.sa_family)
        return -1;
    sourced = train.to.source_family != 0;
    if (udp_send(sockets, 0, &train, 1) != 0) {
        TALLY_ADD(&engine->control_tally, send_errors, 1);
        return -1;
    }
    if (peer) {
        if (sourced && !train.to.source_family)
            peer_endpoint_clear_source(peer);
        atomic_store_explicit(&peer->last_sent, clock_steady(), memory_order_relaxed);
        atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&peer->tx_bytes, length, memory_order_relaxed);
    }
    return 0;
}
