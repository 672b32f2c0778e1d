/* Handshakes between nodes in one process, in virtual time: no socket, no thread. What goes out is taken by stand-ins for the TX side and carried to the node
 * that has the address; data packets are only their session's index. */
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
static void packet(struct peer *peer)
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

static void enqueue(struct node *node, const struct udp_endpoint *from, const void *bytes, size_t length)
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
static void settle(void)
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
static void run_until(int64_t until)
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

static struct peer *introduce(struct node *to, const struct node *node, bool endpoint)
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

static void pair(void)
{
    b_at_a = introduce(a, b, true);
    a_at_b = introduce(b, a, false);
}

static bool in_session(void)
{
    struct keypair *ours = atomic_load(&b_at_a->current), *theirs = atomic_load(&a_at_b->current);
    return ours && theirs && !memcmp(ours->send_key, theirs->receive_key, 32) && !memcmp(ours->receive_key, theirs->send_key, 32) &&
           ours->local_index == theirs->remote_index && ours->remote_index == theirs->local_index;
}

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

static struct datagram kept[4];
static unsigned kept_count;
static bool keep(struct datagram *datagram)
{
    if (kept_count < COUNT_OF(kept))
        kept[kept_count++] = *datagram;
    return false;
}

static struct datagram capture(void)
{
    kept_count = 0;
    meddle = keep;
    deliver_all();
    meddle = NULL;
    assert_int_equal(kept_count, 1);
    return kept[0];
}

static void inject(struct node *to, const struct datagram *datagram)
{
    enqueue(to, &datagram->from, datagram->bytes, datagram->length);
    while (turn(to)) {}
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

static bool lose(struct datagram *datagram)
{
    (void)datagram;
    return false;
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
    run_until(now + 300 * S);
    assert_int_equal(a->initiations, 0);
    assert_int_equal(b->initiations, 0);
    assert_int_equal(atomic_load(&b->engine.control_tally.no_endpoint), 1);
    assert_int_equal(atomic_load(&a_at_b->tally.no_endpoint), 1);
}

/* --- time */

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

/* --- under load */

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
    const struct CMUnitTest tests[] = {
        TEST(test_handshake),
        TEST(test_staged_goes_first),
        TEST(test_preshared),
        TEST(test_both_at_once),
        TEST(test_not_too_often),
        TEST(test_late_request),
        TEST(test_responder_after_180_s),
        TEST(test_the_others_handshake_is_enough),
        TEST(test_keepalives_that_fail),
        TEST(test_roaming),
        TEST(test_new_private_key),
        TEST(test_removed),
        TEST(test_malformed),
        TEST(test_every_bit_of_an_initiation),
        TEST(test_forged_responses),
        TEST(test_replayed_and_flooded),
        TEST(test_strangers),
        TEST(test_low_order_and_no_endpoint),
        TEST(test_tries),
        TEST(test_rekey),
        TEST(test_nothing_comes_back),
        TEST(test_keys_are_wiped),
        TEST(test_persistent_keepalive),
        TEST(test_floods),
        TEST(test_flood_in_its_name),
        TEST(test_cookie),
        TEST(test_cookie_over_the_turn),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
