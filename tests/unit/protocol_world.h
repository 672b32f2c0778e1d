/* Nodes in one process, in virtual time: no socket, no thread. What goes out is taken by stand-ins for the TX side and carried to the node that has the address;
 * data packets are only their session's index. */
#ifndef WGDECK_PROTOCOL_WORLD_H
#define WGDECK_PROTOCOL_WORLD_H

#include "unit.h"

#include <sodium.h>
#include <unistd.h>

#include "engine/protocol.h"
#include "wgdeck/log.h"

#define S CLOCK_SECOND
#define MS CLOCK_MILLISECOND
#define NODES 3

struct datagram {
    struct udp_endpoint from, to;
    uint16_t length;
    uint8_t bytes[sizeof(struct message_initiation)];
};

static struct node {
    struct engine engine;
    struct udp_sockets sockets;
    struct udp_endpoint address;
    struct key private_key, public_key;
    unsigned initiations, responses, cookies, keepalives, staged_sent, staged_dropped, data_received;
} nodes[NODES];
static struct datagram wire[8192];
static unsigned wire_first, wire_count;
static int64_t now;
static bool (*meddle)(struct datagram *datagram); /* false: lost */
static bool refuse_keepalives;
static unsigned refused_keepalives;

static struct node *node_of(struct engine *engine)
{
    for (size_t i = 0; i < NODES; i++)
        if (&nodes[i].engine == engine)
            return &nodes[i];
    fail_msg("no such node");
    return NULL;
}

static struct udp_endpoint address_v4(uint32_t address, uint16_t port)
{
    struct udp_endpoint from = {.to.v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)}};
    return from;
}

static uint32_t read32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void carry(struct engine *engine, const struct udp_endpoint *to, const void *bytes, size_t length)
{
    if (wire_count == COUNT_OF(wire))
        return;
    struct datagram *datagram = &wire[(wire_first + wire_count++) % COUNT_OF(wire)];
    datagram->from = node_of(engine)->address;
    datagram->to = *to;
    datagram->length = (uint16_t)length;
    memcpy(datagram->bytes, bytes, length);
}

/* --- stand-ins for tx.c and staged.c */

int tx_send_message(struct engine *engine, struct peer *peer, const struct udp_endpoint *to, const void *message, size_t length)
{
    struct node *node = node_of(engine);
    struct udp_endpoint endpoint;
    if (peer) {
        peer_endpoint_get(peer, &endpoint);
        atomic_fetch_add(&peer->tx_bytes, length);
    }
    switch (*(const uint8_t *)message) {
    case MESSAGE_INITIATION: node->initiations++; break;
    case MESSAGE_RESPONSE: node->responses++; break;
    case MESSAGE_COOKIE: node->cookies++; break;
    }
    carry(engine, to ? to : &endpoint, message, length);
    return 0;
}

/* A data message: type, index, and whether it is a keepalive. */
static bool send_data(struct peer *peer, bool keepalive)
{
    struct keypair *keypair = atomic_load(&peer->current);
    struct udp_endpoint endpoint;
    if (!keypair || now - keypair->born >= REJECT_AFTER_TIME)
        return false;
    uint8_t bytes[32] = {MESSAGE_DATA, [16] = keepalive};
    for (unsigned i = 0; i < 4; i++)
        bytes[4 + i] = (uint8_t)(keypair->remote_index >> 8 * i);
    atomic_store(&peer->last_sent, now);
    atomic_store(&peer->unacknowledged_since, 0);
    if (!keepalive && !atomic_load(&peer->unanswered_since)) {
        atomic_store(&peer->unanswered_since, now);
        if (atomic_load(&peer->armed) > now + 15 * S)
            peer_post(peer, PEER_WANTS_TIMER);
    }
    if (keypair->initiator && now - keypair->born >= REKEY_AFTER_TIME)
        peer_post(peer, PEER_WANTS_HANDSHAKE);
    peer_endpoint_get(peer, &endpoint);
    carry(peer->engine, &endpoint, bytes, sizeof bytes);
    return true;
}

bool tx_send_keepalive(struct tx *tx, struct peer *peer)
{
    (void)tx;
    refused_keepalives += refuse_keepalives;
    if (refuse_keepalives || !send_data(peer, true))
        return false;
    node_of(peer->engine)->keepalives++;
    return true;
}

bool tx_send_staged(struct tx *tx, struct peer *peer)
{
    (void)tx;
    node_of(peer->engine)->staged_sent += peer->staged_count;
    for (; peer->staged_count; peer->staged_count--)
        if (!send_data(peer, false))
            return false;
    return true;
}

void staged_drop(struct peer *peer)
{
    node_of(peer->engine)->staged_dropped += peer->staged_count;
    peer->staged_count = 0;
}

/* As TX with a packet from the TUN. */
__attribute__((unused)) static void packet(struct peer *peer)
{
    if (send_data(peer, false))
        return;
    if (peer->staged_count < STAGED_PACKETS)
        peer->staged_count++;
    peer_post(peer, PEER_WANTS_HANDSHAKE);
}

/* As RX. */
static void receive_data(struct node *node, const struct datagram *datagram)
{
    struct keypair *keypair = keypair_find(&node->engine, read32(datagram->bytes + 4));
    if (!keypair)
        return;
    struct peer *peer = keypair->peer;
    peer_endpoint_set(peer, &datagram->from);
    if (keypair_confirm(keypair))
        peer_post(peer, PEER_CONFIRMED);
    atomic_store(&peer->last_received, now);
    atomic_store(&peer->unanswered_since, 0);
    if (datagram->bytes[16])
        return;
    node->data_received++;
    if (!atomic_load(&peer->unacknowledged_since)) {
        atomic_store(&peer->unacknowledged_since, now);
        if (atomic_load(&peer->armed) > now + KEEPALIVE_TIMEOUT)
            peer_post(peer, PEER_WANTS_TIMER);
    }
}

/* --- the world */

__attribute__((unused)) static void enqueue(struct node *node, const struct udp_endpoint *from, const void *bytes, size_t length)
{
    struct handshake_queue *queue = node->engine.handshakes;
    if (queue->count == HANDSHAKE_QUEUE)
        return;
    struct handshake_message *message = &queue->messages[(queue->first + queue->count++) % HANDSHAKE_QUEUE];
    message->from = *from;
    message->length = (uint16_t)length;
    memcpy(message->bytes, bytes, length);
}

static void deliver_all(void)
{
    for (; wire_count; wire_count--, wire_first = (wire_first + 1) % COUNT_OF(wire)) {
        struct datagram datagram = wire[wire_first];
        if (meddle && !meddle(&datagram))
            continue;
        for (size_t i = 0; i < NODES; i++) {
            if (!udp_endpoint_equal(&nodes[i].address, &datagram.to))
                continue;
            if (datagram.bytes[0] == MESSAGE_DATA)
                receive_data(&nodes[i], &datagram);
            else
                enqueue(&nodes[i], &datagram.from, datagram.bytes, datagram.length);
        }
    }
}

/* One turn of a control thread's loop; whether more waits. */
static bool turn(struct node *node)
{
    struct engine *engine = &node->engine;
    for (struct peer *peer = engine_inbox_take(engine), *next; peer; peer = next) {
        next = peer->inbox_next;
        protocol_event(engine, peer, atomic_exchange(&peer->events, 0), now);
    }
    timers_run(engine, now);
    bool more = protocol_turn(engine, now);
    epoch_reclaim(&engine->epoch);
    return more || atomic_load(&engine->inbox);
}

static bool anything_waits(void)
{
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].engine.handshakes->count || atomic_load(&nodes[i].engine.inbox) || load_waiting(nodes[i].engine.protocol->load))
            return true;
    return wire_count > 0;
}

/* All that happens at this instant. */
__attribute__((unused)) static void settle(void)
{
    for (unsigned rounds = 0;; rounds++) {
        deliver_all();
        for (size_t i = 0; i < NODES; i++)
            while (turn(&nodes[i])) {}
        if (!anything_waits())
            return;
        assert_true(rounds < 1000);
    }
}

/* Sleeps as the control threads would. */
__attribute__((unused)) static void run_until(int64_t until)
{
    settle();
    for (unsigned wakes = 0;; wakes++) {
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < NODES; i++)
            next = timers_next(&nodes[i].engine) < next ? timers_next(&nodes[i].engine) : next;
        if (next > until)
            break;
        now = next > now ? next : now;
        settle();
        assert_true(wakes < 200000); /* no busy loop */
    }
    now = until;
    settle();
}

__attribute__((unused)) static struct peer *introduce(struct node *to, const struct node *node, bool endpoint)
{
    struct peer *peer = peer_add(&to->engine, &node->public_key);
    if (endpoint)
        peer_endpoint_set(peer, &node->address);
    return peer;
}

static char folder[] = "/tmp/wgdeck-protocol.XXXXXX";

static int world_begin(void **state)
{
    (void)state;
    memset(nodes, 0, sizeof nodes);
    wire_count = 0;
    meddle = NULL;
    refuse_keepalives = false;
    refused_keepalives = 0;
    now = 100000 * S;
    for (uint32_t i = 0; i < NODES; i++) {
        struct node *node = &nodes[i];
        char name[16];
        snprintf(name, sizeof name, "wg%u", i);
        assert_int_equal(engine_begin(&node->engine, name, NULL), 0);
        protocol_begin(&node->engine);
        timers_begin(&node->engine, now);
        atomic_store(&node->engine.sockets, &node->sockets);
        node->address = address_v4(0xc0000201 + i, 51820);
        key_make_private(&node->private_key);
        key_public(&node->private_key, &node->public_key);
        engine_set_private_key(&node->engine, &node->private_key);
    }
    return 0;
}

static int world_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < NODES; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/wg%zu.tai64n", folder, i);
        while (nodes[i].engine.peers)
            peer_remove(nodes[i].engine.peers);
        assert_true(timers_next(&nodes[i].engine) == INT64_MAX || timers_next(&nodes[i].engine) > 0);
        timers_end(&nodes[i].engine);
        protocol_end(&nodes[i].engine);
        engine_end(&nodes[i].engine);
        unlink(path);
    }
    return 0;
}

/* Two nodes that know each other; only the first knows where the other is. */
static struct peer *b_at_a, *a_at_b;
static struct node *const a = &nodes[0], *const b = &nodes[1];

__attribute__((unused)) static void pair(void)
{
    b_at_a = introduce(a, b, true);
    a_at_b = introduce(b, a, false);
}

__attribute__((unused)) static bool in_session(void)
{
    struct keypair *ours = atomic_load(&b_at_a->current), *theirs = atomic_load(&a_at_b->current);
    return ours && theirs && !memcmp(ours->send_key, theirs->receive_key, 32) && !memcmp(ours->receive_key, theirs->send_key, 32) &&
           ours->local_index == theirs->remote_index && ours->remote_index == theirs->local_index;
}

/* --- the way between them */

static struct datagram kept[4];
static unsigned kept_count;
__attribute__((unused)) static bool keep(struct datagram *datagram)
{
    if (kept_count < COUNT_OF(kept))
        kept[kept_count++] = *datagram;
    return false;
}

__attribute__((unused)) static struct datagram capture(void)
{
    kept_count = 0;
    meddle = keep;
    deliver_all();
    meddle = NULL;
    assert_int_equal(kept_count, 1);
    return kept[0];
}

__attribute__((unused)) static void inject(struct node *to, const struct datagram *datagram)
{
    enqueue(to, &datagram->from, datagram->bytes, datagram->length);
    while (turn(to)) {}
}

__attribute__((unused)) static bool lose(struct datagram *datagram)
{
    (void)datagram;
    return false;
}

static int group_begin(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_QUIET);
    assert_non_null(mkdtemp(folder));
    return setenv("STATE_DIRECTORY", folder, 1);
}

static int group_end(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)

#endif
