/* UDP to TUN: trains of datagrams are read, opened in place, checked, put together to super-packets and written, by one thread a queue.
 * All that is read here is hostile until it is authenticated; what an authenticated peer wraps is hostile, too. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "offload.h"
#include "wgdeck/mem.h"

#define BUFFERS_LEAST 4      /* few, so that they stay in the cache when each holds a train */
#define BUFFERS_MOST 32      /* when datagrams come singly */
#define BATCH_LEAST 64       /* datagrams, below which a full batch was too small */
#define BATCH_MOST 256
#define FEW 2                /* datagrams in a wake-up, to which an answer is sent without waiting for TX; with more there, TX runs anyway */
#define BUFFER_BYTES 65536
#define BUFFER_STRIDE (BUFFER_BYTES + 4096 + 192) /* their beginnings do not share the same sets of the cache */
#define RUN 64               /* datagrams of one session that are opened, then checked under one lock */
#define HEADER sizeof(struct message_data)
#define LEAST (HEADER + SEAL_TAG)
#define LATE_REKEY (REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT)
#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT1 1

struct opened {
    uint8_t *packet;
    size_t length;
    uint64_t counter;
    bool fresh;
};

struct rx {
    struct engine *engine;
    struct worker_tally *tally;
    unsigned queue, reader;
    void *seal;
    struct coalescer coalescer;
    uint8_t *memory, *buffers[BUFFERS_MOST]; /* what is not used is not touched */
    unsigned buffer_count;           /* of the next batch */
    struct tx *answers;              /* for what the kernel answers at once */
    size_t datagrams;                /* since the thread woke up */
    uint8_t *scratch;                /* a super-packet that the TUN refused; made when first needed */

    /* Until rx_flush, for what stays the same from datagram to datagram. */
    struct keypair *keypair;         /* of the run */
    struct peer *source_peer;        /* whose the last inner source was */
    uint8_t source[16];
    unsigned source_length;
    struct opened run[RUN];
    unsigned run_count;
};

static void write_packet(void *argument, struct coalesced *packet);

static void see_offloads(struct rx *rx)
{
    rx->coalescer.tcp = atomic_load_explicit(&rx->engine->tun.tso, memory_order_relaxed);
    rx->coalescer.udp = atomic_load_explicit(&rx->engine->tun.uso, memory_order_relaxed);
}

struct rx *rx_new(struct engine *engine, unsigned queue, unsigned reader, struct worker_tally *tally)
{
    struct rx *rx = mem_alloc(1, sizeof *rx);
    rx->engine = engine;
    rx->queue = queue;
    rx->reader = reader;
    rx->tally = tally;
    rx->seal = engine->seal->context_new();
    rx->coalescer.emit = write_packet;
    rx->coalescer.argument = rx;
    see_offloads(rx);
    rx->memory = mem_alloc(BUFFERS_MOST, BUFFER_STRIDE);
    for (unsigned i = 0; i < BUFFERS_MOST; i++)
        rx->buffers[i] = rx->memory + i * BUFFER_STRIDE;
    rx->buffer_count = BUFFERS_LEAST;
    return rx;
}

void rx_free(struct rx *rx)
{
    if (!rx)
        return;
    rx->engine->seal->context_free(rx->seal);
    free(rx->memory);
    free(rx->scratch);
    free(rx);
}

/* --- to the TUN */

/* The kernel refused a super-packet: from now on none, and this one goes in pieces. */
static void write_singly(struct rx *rx, const struct coalesced *packet)
{
    struct virtio_net_hdr none = {0};
    struct segments segments;
    uint8_t *segment;
    size_t length = 0;
    if (!rx->scratch)
        rx->scratch = mem_alloc(1, 2 * BUFFER_BYTES);
    for (unsigned i = 1; i < packet->part_count && length + packet->parts[i].iov_len <= 2 * BUFFER_BYTES - PADDING; i++) {
        memcpy(rx->scratch + length, packet->parts[i].iov_base, packet->parts[i].iov_len);
        length += packet->parts[i].iov_len;
    }
    if (segments_begin(&segments, &packet->header, rx->scratch, length) != 0)
        return;
    while ((length = segment_next(&segments, 0, &segment)) > 0) {
        struct iovec parts[2] = {{&none, sizeof none}, {segment, length}};
        if (tun_write(&rx->engine->tun, rx->queue, parts, 2) != 0)
            TALLY_ADD(rx->tally, tun_errors, 1);
    }
}

static void write_packet(void *argument, struct coalesced *packet)
{
    struct rx *rx = argument;
    struct tun *tun = &rx->engine->tun;
    const bool vnet = atomic_load_explicit(&tun->vnet, memory_order_relaxed);
    if (tun_write(tun, rx->queue, vnet ? packet->parts : packet->parts + 1, vnet ? packet->part_count : packet->part_count - 1) == 0)
        return;
    if (errno == EINVAL && packet->header.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        TALLY_ADD(rx->tally, tun_offload_off, 1);
        (void)tun_offload_off(tun);
        write_singly(rx, packet);
        return;
    }
    TALLY_ADD(rx->tally, tun_errors, 1);
}

/* --- what is inside */

/* The length that the IP header gives, without padding; 0: no IP packet, or longer than what was received. */
static size_t inner_length(const uint8_t *packet, size_t length)
{
    size_t inner = 0;
    if (length >= 20 && packet[0] >> 4 == 4) {
        inner = (size_t)packet[2] << 8 | packet[3];
        if (inner < 20)
            return 0;
    } else if (length >= 40 && packet[0] >> 4 == 6) {
        inner = 40 + ((size_t)packet[4] << 8 | packet[5]);
    }
    return inner <= length ? inner : 0;
}

/* RFC 1624, for one 16-bit word of an IPv4 header. */
static void change_word(uint8_t *packet, size_t at, uint16_t value)
{
    const uint32_t old = (uint32_t)packet[at] << 8 | packet[at + 1], sum = (uint32_t)packet[10] << 8 | packet[11];
    uint32_t changed = (~sum & 0xffff) + (~old & 0xffff) + value;
    changed = (changed & 0xffff) + (changed >> 16);
    changed = ~((changed & 0xffff) + (changed >> 16)) & 0xffff;
    packet[at] = (uint8_t)(value >> 8);
    packet[at + 1] = (uint8_t)value;
    packet[10] = (uint8_t)(changed >> 8);
    packet[11] = (uint8_t)changed;
}

/* RFC 6040: congestion met on the outer way is told to who is inside, if it said that it understands. */
static void take_over_ecn(uint8_t *packet, uint8_t outer)
{
    const bool v4 = packet[0] >> 4 == 4;
    const unsigned inner = (v4 ? packet[1] : packet[1] >> 4) & ECN_MASK;
    unsigned now = inner;
    if (inner && (outer & ECN_MASK) == ECN_CE)
        now = ECN_CE;
    else if (inner && inner != ECN_CE && (outer & ECN_MASK) == ECN_ECT1)
        now = ECN_ECT1;
    if (now == inner)
        return;
    if (v4)
        change_word(packet, 0, (uint16_t)(packet[0] << 8 | (packet[1] & ~ECN_MASK) | (int)now));
    else
        packet[1] = (uint8_t)((packet[1] & ~(ECN_MASK << 4)) | (int)(now << 4));
}

/* Cryptokey routing: the inner source must be PEER's. */
static bool source_is(struct rx *rx, const struct peer *peer, const uint8_t *packet)
{
    const bool v4 = packet[0] >> 4 == 4;
    const unsigned length = v4 ? 4 : 16;
    const uint8_t *source = packet + (v4 ? 12 : 8);
    if (rx->source_length != length || memcmp(rx->source, source, length)) {
        rx->source_peer = v4 ? trie_find4(&rx->engine->trie, source) : trie_find6(&rx->engine->trie, source);
        rx->source_length = length;
        memcpy(rx->source, source, length);
    }
    return rx->source_peer == peer;
}

/* Returns whether it goes on to the TUN. */
static bool deliver(struct rx *rx, struct peer *peer, uint8_t *packet, size_t length, uint8_t tos)
{
    const size_t inner = inner_length(packet, length);
    if (!inner) {
        TALLY_ADD(rx->tally, bad_packet, 1);
        return false;
    }
    if (!source_is(rx, peer, packet)) {
        TALLY_ADD(rx->tally, wrong_source, 1);
        PEER_TALLY(peer, wrong_source);
        return false;
    }
    if (tos & ECN_MASK)
        take_over_ecn(packet, tos);
    coalesce_packet(&rx->coalescer, packet, inner);
    return true;
}

/* --- authenticated data */

/* Marks in the run what was not seen before; how many. */
static unsigned take_fresh(struct rx *rx, struct keypair *keypair)
{
    unsigned fresh = 0;
    spin_lock(&keypair->replay_lock);
    for (unsigned i = 0; i < rx->run_count; i++)
        fresh += rx->run[i].fresh = replay_take(&keypair->replay, rx->run[i].counter);
    spin_unlock(&keypair->replay_lock);
    if (fresh < rx->run_count) {
        TALLY_ADD(rx->tally, replayed_data, rx->run_count - fresh);
        atomic_fetch_add_explicit(&keypair->peer->tally.replayed_data, rx->run_count - fresh, memory_order_relaxed);
    }
    return fresh;
}

static void note_received(struct peer *peer, int64_t now)
{
    struct keypair *current = atomic_load_explicit(&peer->current, memory_order_acquire);
    atomic_store_explicit(&peer->last_received, now, memory_order_relaxed);
    if (atomic_load_explicit(&peer->unanswered_since, memory_order_relaxed))
        atomic_store_explicit(&peer->unanswered_since, 0, memory_order_relaxed);
    if (current && current->initiator && now - current->born >= LATE_REKEY && !atomic_load_explicit(&current->late_asked, memory_order_relaxed) &&
        !atomic_exchange(&current->late_asked, true))
        peer_post(peer, PEER_WANTS_HANDSHAKE);
}

static void note_data(struct peer *peer, int64_t now)
{
    if (atomic_load_explicit(&peer->unacknowledged_since, memory_order_relaxed))
        return;
    atomic_store(&peer->unacknowledged_since, now); /* in one order with armed, as timers.c reads them; only at the first packet of a wait */
    if (atomic_load(&peer->armed) > now + KEEPALIVE_TIMEOUT)
        peer_post(peer, PEER_WANTS_TIMER);
}

static void roam(struct peer *peer, const struct udp_endpoint *from)
{
    struct udp_endpoint before;
    peer_endpoint_get(peer, &before);
    if (udp_endpoint_equal(&before, from))
        return;
    peer_endpoint_set(peer, from);
    peer_post(peer, PEER_ROAMED);
}

/* All that was opened under one session. Order: replay, roaming, confirmation, times, then the packets (whitepaper sections 5.4.6 and 6.5). */
static void finish_run(struct rx *rx, const struct udp_received *received, int64_t now)
{
    struct keypair *keypair = rx->keypair;
    size_t bytes = 0;
    bool data = false;
    if (rx->run_count && take_fresh(rx, keypair)) {
        struct peer *peer = keypair->peer;
        roam(peer, &received->from);
        if (atomic_load_explicit(&peer->next, memory_order_relaxed) == keypair && keypair_confirm(keypair))
            peer_post(peer, PEER_CONFIRMED);
        note_received(peer, now);
        for (unsigned i = 0; i < rx->run_count; i++) {
            const struct opened *opened = &rx->run[i];
            if (!opened->fresh)
                continue;
            data = data || opened->length;
            if (!opened->length || deliver(rx, peer, opened->packet, opened->length, received->tos))
                bytes += opened->length + LEAST;
        }
        if (data)
            note_data(peer, now);
        atomic_fetch_add_explicit(&peer->rx_bytes, bytes, memory_order_relaxed);
    }
    rx->run_count = 0;
}

static uint32_t read32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static void take_data(struct rx *rx, uint8_t *bytes, size_t length, const struct udp_received *received, int64_t now)
{
    const uint32_t index = read32(bytes + 4);
    uint64_t counter;
    memcpy(&counter, bytes + 8, sizeof counter);
    counter = le64toh(counter);
    if (!rx->keypair || rx->keypair->local_index != index || rx->run_count == RUN) {
        finish_run(rx, received, now);
        rx->keypair = keypair_find(rx->engine, index);
    }
    if (!rx->keypair) {
        TALLY_ADD(rx->tally, unknown_index, 1);
    } else if (now - rx->keypair->born >= REJECT_AFTER_TIME || counter >= REJECT_AFTER_MESSAGES) {
        TALLY_ADD(rx->tally, expired_data, 1);
    } else if (rx->engine->seal->open(rx->seal, rx->keypair->receive_key, counter, bytes + HEADER, length - LEAST) != 0) {
        TALLY_ADD(rx->tally, bad_data, 1);
        PEER_TALLY(rx->keypair->peer, bad_data);
    } else {
        rx->run[rx->run_count++] = (struct opened){bytes + HEADER, length - LEAST, counter, false};
    }
}

/* --- handshakes: only checked for being meant for this node; control does the rest */

static bool queue_put(struct handshake_queue *queue, const uint8_t *bytes, size_t length, const struct udp_endpoint *from)
{
    bool room;
    spin_lock(&queue->lock);
    room = queue->count < HANDSHAKE_QUEUE;
    if (room) {
        struct handshake_message *message = &queue->messages[(queue->first + queue->count++) % HANDSHAKE_QUEUE];
        message->from = *from;
        message->length = (uint16_t)length;
        memcpy(message->bytes, bytes, length);
    }
    spin_unlock(&queue->lock);
    return room;
}

static void take_handshake(struct rx *rx, const uint8_t *bytes, size_t length, const struct udp_endpoint *from)
{
    struct mac_key key;
    if (bytes[0] != MESSAGE_COOKIE && !(engine_mac1_key(rx->engine, &key) && mac1_is_good(&key, bytes, length)))
        TALLY_ADD(rx->tally, bad_mac1, 1);
    else if (queue_put(rx->engine->handshakes, bytes, length, from))
        engine_wake(rx->engine);
    else
        TALLY_ADD(rx->tally, handshake_overflow, 1);
}

/* --- datagrams */

static void take_datagram(struct rx *rx, uint8_t *bytes, size_t length, const struct udp_received *received, int64_t now)
{
    static const size_t sizes[] = {[MESSAGE_INITIATION] = sizeof(struct message_initiation), [MESSAGE_RESPONSE] = sizeof(struct message_response),
                                   [MESSAGE_COOKIE] = sizeof(struct message_cookie)};
    const uint32_t type = length >= LEAST ? read32(bytes) : 0; /* the reserved bytes with it: zeros */
    if (type == MESSAGE_DATA)
        take_data(rx, bytes, length, received, now);
    else if (type >= MESSAGE_INITIATION && type <= MESSAGE_COOKIE && length == sizes[type])
        take_handshake(rx, bytes, length, &received->from);
    else if (length != 1 || bytes[0] != 0) /* one zero: the end of a train (udp_needs_sentinel) */
        TALLY_ADD(rx->tally, malformed, 1);
}

void rx_train(struct rx *rx, uint8_t *bytes, const struct udp_received *received, int64_t now)
{
    if (received->truncated || received->size == 0) {
        TALLY_ADD(rx->tally, malformed, 1);
        return;
    }
    for (size_t at = 0; at < received->length; at += received->size) {
        const size_t left = received->length - at;
        take_datagram(rx, bytes + at, left < received->size ? left : received->size, received, now);
    }
    finish_run(rx, received, now);
}

void rx_flush(struct rx *rx)
{
    coalesce_flush(&rx->coalescer);
    see_offloads(rx);
    rx->keypair = NULL;
    rx->source_length = 0;
}

/* --- the thread */

/* A batch from one socket. Whether there may be more. */
static bool receive(struct rx *rx, const struct udp_sockets *sockets, int family)
{
    struct udp_received received[BUFFERS_MOST];
    const unsigned most = rx->buffer_count;
    const int count = udp_receive(sockets, rx->queue, family, rx->buffers, BUFFER_BYTES, received, most);
    const int64_t now = clock_steady();
    size_t datagrams = 0;
    for (int i = 0; i < count; i++) {
        rx_train(rx, rx->buffers[i], &received[i], now);
        datagrams += received[i].size ? received[i].length / received[i].size : 1;
    }
    rx_flush(rx);
    rx->datagrams += datagrams;
    if (count < (int)most)
        return false;
    if (datagrams < BATCH_LEAST && most < BUFFERS_MOST)
        rx->buffer_count = 2 * most;
    else if (datagrams > BATCH_MOST && most > BUFFERS_LEAST)
        rx->buffer_count = most / 2;
    return true;
}

static void receive_all(struct rx *rx, bool v4, bool v6)
{
    struct engine *engine = rx->engine;
    while ((v4 || v6) && !atomic_load_explicit(&engine->stopping, memory_order_relaxed)) {
        epoch_enter(&engine->epoch, rx->reader);
        const struct udp_sockets *sockets = atomic_load(&engine->sockets);
        v4 = v4 && sockets && sockets->v4[rx->queue] >= 0 && receive(rx, sockets, AF_INET);
        v6 = v6 && sockets && sockets->v6[rx->queue] >= 0 && receive(rx, sockets, AF_INET6);
        epoch_leave(&engine->epoch, rx->reader);
    }
}

/* A descriptor read here may be closed, and even be another's, when it is waited for; then this wakes in vain and looks again. */
static void see_sockets(struct rx *rx, struct pollfd wanted[2])
{
    epoch_enter(&rx->engine->epoch, rx->reader);
    const struct udp_sockets *sockets = atomic_load(&rx->engine->sockets);
    wanted[0].fd = sockets ? sockets->v4[rx->queue] : -1;
    wanted[1].fd = sockets ? sockets->v6[rx->queue] : -1;
    epoch_leave(&rx->engine->epoch, rx->reader);
}

void *rx_thread(void *argument)
{
    struct worker *worker = argument;
    struct engine *engine = worker->engine;
    struct rx *rx = rx_new(engine, worker->queue, worker->rx_reader, &worker->rx_tally);
    struct pollfd wanted[3] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = worker->rx_kick, .events = POLLIN}};
    uint64_t kicks;
    rx->answers = tx_new(engine, worker->queue, worker->rx_reader, &worker->rx_tally);
    see_sockets(rx, wanted);
    while (!atomic_load(&engine->stopping)) {
        if (poll(wanted, 3, -1) < 0)
            continue;
        if (wanted[2].revents) {
            (void)!read(worker->rx_kick, &kicks, sizeof kicks);
            see_sockets(rx, wanted);
        }
        rx->datagrams = 0;
        receive_all(rx, wanted[0].revents != 0, wanted[1].revents != 0);
        if (rx->datagrams > 0 && rx->datagrams <= FEW)
            tx_answer(rx->answers, worker);
    }
    tx_free(rx->answers);
    rx_free(rx);
    return NULL;
}
