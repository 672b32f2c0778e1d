/* Handshakes (whitepaper section 5.4, and the kernel's engine where the paper is silent). Control thread; time is handed in.
 *
 * The order of checks on an initiation: type, length and mac1 (the RX thread did them, they are not done again: mac1 only keeps strangers from costing anything
 * and proves nothing that decryption does not); then load.c: mac2, the rate of the address, whether there is time; here: step one (who does it claim to
 * be), the row, step two (is it), timestamp, 20 ms. Nothing of the peer changes before the last of them passed. */
#include "protocol.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "limiter.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

void protocol_begin(struct engine *engine)
{
    struct protocol *protocol = mem_alloc(1, sizeof *protocol);
    engine->protocol = protocol;
    protocol->load = load_new();
    randombytes_buf(&protocol->seed, sizeof protocol->seed);
    timestamp_open(&protocol->timestamp, engine->name, clock_steady());
}

void protocol_end(struct engine *engine)
{
    struct protocol *protocol = engine->protocol;
    if (!protocol)
        return;
    timestamp_close(&protocol->timestamp);
    load_free(protocol->load);
    free(protocol);
    engine->protocol = NULL;
}

static uint32_t little_endian(const uint8_t bytes[static 4])
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* For LOG_LEVEL=verbose: few lines a handshake. */
static void say(const struct peer *peer, const char *what)
{
    char key[KEY_TEXT_SIZE];
    key_text(&peer->noise.public_key, key);
    log_verbose("%s: peer %s: %s", peer->engine->name, key, what);
}

/* --- what a peer is told about its traffic */

static void note_sent(struct peer *peer, int64_t now)
{
    atomic_store_explicit(&peer->last_sent, now, memory_order_relaxed);
    atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
}

static void note_received(struct peer *peer, const struct handshake_message *message, int64_t now)
{
    atomic_store_explicit(&peer->last_received, now, memory_order_relaxed);
    atomic_store_explicit(&peer->unanswered_since, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->rx_bytes, message->length, memory_order_relaxed);
}

struct keypair *protocol_session(const struct peer *peer, int64_t now)
{
    struct keypair *keypair = atomic_load_explicit(&peer->current, memory_order_acquire);
    if (!keypair || now - keypair->born >= REJECT_AFTER_TIME ||
        atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) >= REJECT_AFTER_MESSAGES)
        return NULL;
    return keypair;
}

bool protocol_can_send(const struct peer *peer)
{
    struct udp_endpoint endpoint;
    if (!peer->noise.usable || !atomic_load_explicit(&peer->engine->sockets, memory_order_relaxed))
        return false;
    peer_endpoint_get(peer, &endpoint);
    return endpoint.to.plain.sa_family != 0;
}

/* What waited for the session goes out. False: nothing waited. */
static bool send_staged(struct peer *peer)
{
    spin_lock(&peer->lock);
    bool waits = peer->staged_count > 0;
    spin_unlock(&peer->lock);
    if (waits)
        tx_send_staged(peer->engine->control_tx, peer);
    return waits;
}

void protocol_keepalive(struct peer *peer, int64_t now)
{
    if (!protocol_session(peer, now))
        protocol_initiate(peer, true, now);
    else if (!send_staged(peer) && tx_send_keepalive(peer->engine->control_tx, peer))
        note_sent(peer, now);
}

/* A handshake is left to the wheel, which begins those of many peers in portions. */
void protocol_keepalive_changed(struct peer *peer, int64_t now)
{
    if (atomic_load_explicit(&peer->keepalive, memory_order_relaxed) && protocol_can_send(peer)) {
        if (protocol_session(peer, now))
            protocol_keepalive(peer, now);
        else if (!peer->handshake_started)
            peer->handshake_started = now;
    }
    timers_peer_changed(peer, now);
}

/* --- initiator */

/* The series of tries is over, well or not. */
static void series_ends(struct peer *peer)
{
    peer->handshake_started = 0;
    peer->handshake_tries = 0;
    handshake_forget(peer);
}

static void send_initiation(struct peer *peer, int64_t now)
{
    struct engine *engine = peer->engine;
    struct message_initiation message;
    uint8_t timestamp[TAI64N_SIZE];
    if (peer->handshake.waiting) /* perhaps the address it was sent from is why nothing came back */
        peer_endpoint_clear_source(peer);
    peer->handshake_sent = now;
    peer->handshake_tries++;
    handshake_forget(peer);
    protocol_timestamp(engine, now, timestamp);
    if (noise_initiation_make(&peer->handshake, &peer->noise, engine->identity, index_new(engine), timestamp, &message))
        return;
    handshake_waits(peer);
    macs_write(&peer->cookie, &peer->mac1_key, now, &message, sizeof message);
    note_sent(peer, now);
    tx_send_message(engine, peer, NULL, &message, sizeof message);
    say(peer, peer->handshake_tries > 1 ? "no answer; sent another initiation" : "sent an initiation");
}

/* What waits would wait for ever, and keep memory from peers that can be reached. TX may ask again in a second: perhaps there is an endpoint then. */
static void drop_unreachable(struct peer *peer, int64_t now)
{
    spin_lock(&peer->lock);
    unsigned count = peer->staged_count;
    spin_unlock(&peer->lock);
    staged_drop(peer);
    series_ends(peer);
    atomic_store_explicit(&peer->handshake_asked, now - REKEY_TIMEOUT + CLOCK_SECOND, memory_order_relaxed);
    TALLY_ADD(&peer->engine->control_tally, no_endpoint, count);
    atomic_fetch_add_explicit(&peer->tally.no_endpoint, count, memory_order_relaxed);
}

/* A fresh series that may not send yet (5 s between initiations) begins with the timer. */
void protocol_initiate(struct peer *peer, bool fresh, int64_t now)
{
    if (atomic_load_explicit(&peer->dead, memory_order_relaxed))
        return;
    if (!protocol_can_send(peer)) {
        drop_unreachable(peer, now);
        timers_peer_changed(peer, now);
        return;
    }
    if (fresh || !peer->handshake_started) {
        peer->handshake_started = now;
        peer->handshake_tries = 0;
    }
    if (!peer->handshake_sent || now - peer->handshake_sent >= REKEY_TIMEOUT)
        send_initiation(peer, now);
    timers_peer_changed(peer, now);
}

static void serve_response(struct engine *engine, const struct handshake_message *from, int64_t now)
{
    const struct message_response *message = (const void *)from->bytes;
    struct peer *peer = handshake_find(engine, little_endian(message->receiver));
    if (!peer) {
        TALLY_ADD(&engine->control_tally, unasked_response, 1);
        return;
    }
    /* On a copy: a forged response destroys nothing, and the index leaves its table by the old value. */
    struct noise_handshake handshake = peer->handshake;
    uint32_t local_index = handshake.local_index;
    struct noise_keys keys;
    if (noise_response_consume(message, &handshake, &peer->noise, engine->identity, &keys)) {
        TALLY_ADD(&engine->control_tally, bad_response, 1);
        PEER_TALLY(peer, bad_handshake);
        say(peer, "a response did not decrypt; does the preshared key differ?");
    } else {
        say(peer, "received a response; the session is made");
        series_ends(peer);
        peer_endpoint_set(peer, &from->from);
        note_received(peer, from, now);
        keypair_install(peer, &keys, local_index, true, now);
        peer->session_died = now + WIPE_AFTER;
        peer->last_handshake_wall = clock_wall();
        protocol_keepalive(peer, now); /* what waited, or an empty packet: it confirms the session to the other side */
        timers_peer_changed(peer, now);
    }
    sodium_memzero(&keys, sizeof keys);
    sodium_memzero(&handshake, sizeof handshake);
}

/* --- responder */

/* Who it is from, proved, and new; or NULL, and it is counted why not. */
static struct peer *open_initiation(struct engine *engine, const struct handshake_message *from, struct noise_incoming *incoming, int64_t now)
{
    const struct message_initiation *message = (const void *)from->bytes;
    struct worker_tally *tally = &engine->control_tally;
    if (!engine->identity->set || noise_initiation_open(message, engine->identity, incoming)) {
        TALLY_ADD(tally, bad_initiation, 1);
        return NULL;
    }
    struct peer *peer = peer_find(engine, &incoming->initiator);
    if (!peer) {
        TALLY_ADD(tally, unknown_initiator, 1);
        stranger_note(engine, &incoming->initiator, &from->from, now, clock_wall());
        return NULL;
    }
    if (noise_initiation_verify(message, &peer->noise, incoming)) {
        TALLY_ADD(tally, bad_initiation, 1);
        PEER_TALLY(peer, bad_handshake);
        return NULL;
    }
    if (memcmp(incoming->timestamp, peer->latest_timestamp, TAI64N_SIZE) <= 0) {
        TALLY_ADD(tally, replayed_timestamp, 1);
        PEER_TALLY(peer, replayed_timestamp);
        return NULL;
    }
    if (peer->latest_initiation && now - peer->latest_initiation < INITIATION_INTERVAL) {
        TALLY_ADD(tally, flooded_initiation, 1);
        return NULL;
    }
    return peer;
}

static void send_response(struct peer *peer, const struct noise_incoming *incoming, int64_t now)
{
    struct engine *engine = peer->engine;
    struct message_response message;
    struct noise_keys keys;
    uint32_t local_index = index_new(engine);
    if (noise_response_make(incoming, &peer->noise, local_index, &message, &keys) == 0) {
        keypair_install(peer, &keys, local_index, false, now);
        peer->session_died = now + WIPE_AFTER;
        macs_write(&peer->cookie, &peer->mac1_key, now, &message, sizeof message);
        note_sent(peer, now);
        tx_send_message(engine, peer, NULL, &message, sizeof message);
    }
    sodium_memzero(&keys, sizeof keys);
}

/* A handshake that this node began at the same time stays: both may end well, and neither side waits for the other's next try. */
static void serve_initiation(struct engine *engine, const struct handshake_message *from, int64_t now)
{
    struct noise_incoming incoming;
    struct peer *peer = open_initiation(engine, from, &incoming, now);
    if (peer) {
        say(peer, "received an initiation; sends a response");
        memcpy(peer->latest_timestamp, incoming.timestamp, TAI64N_SIZE);
        peer->latest_initiation = now;
        peer_endpoint_set(peer, &from->from);
        note_received(peer, from, now);
        send_response(peer, &incoming, now);
        timers_peer_changed(peer, now);
    }
    noise_incoming_wipe(&incoming);
}

/* --- both */

/* Only kept for the next message (section 6.6): it starts nothing and says nothing about where the peer is. */
static void serve_cookie(struct engine *engine, const struct handshake_message *from, int64_t now)
{
    const struct message_cookie *message = (const void *)from->bytes;
    uint32_t index = little_endian(message->receiver);
    struct peer *peer = handshake_find(engine, index);
    if (!peer) { /* it answers a response of this node */
        struct keypair *keypair = keypair_find(engine, index);
        peer = keypair ? keypair->peer : NULL;
    }
    if (peer && cookie_reply_consume(&peer->cookie, &peer->cookie_key, now, message) == 0)
        TALLY_ADD(&engine->control_tally, cookies_received, 1);
    else
        TALLY_ADD(&engine->control_tally, bad_cookie, 1);
}

void protocol_serve(struct engine *engine, const struct handshake_message *message, int64_t now)
{
    switch (message->bytes[0]) {
    case MESSAGE_INITIATION:
        serve_initiation(engine, message, now);
        break;
    case MESSAGE_RESPONSE:
        serve_response(engine, message, now);
        break;
    case MESSAGE_COOKIE:
        serve_cookie(engine, message, now);
        break;
    }
}

/* --- what the data threads say */

/* The other side used a session that this node answered for: now it is known to be whole. */
static void confirmed(struct peer *peer)
{
    peer->last_handshake_wall = clock_wall();
    series_ends(peer);
    send_staged(peer);
}

/* The request may be older than a session that came meanwhile. */
static bool wants_session(const struct peer *peer, int64_t now)
{
    const struct keypair *keypair = protocol_session(peer, now);
    return !keypair || (keypair->initiator && now - keypair->born >= REKEY_AFTER_TIME) ||
           atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) > REKEY_AFTER_MESSAGES;
}

void protocol_event(struct engine *engine, struct peer *peer, uint32_t events, int64_t now)
{
    (void)engine;
    if (atomic_load_explicit(&peer->dead, memory_order_relaxed))
        return;
    if (events & PEER_CONFIRMED)
        confirmed(peer);
    if (events & PEER_WANTS_HANDSHAKE) {
        if (wants_session(peer, now))
            protocol_initiate(peer, true, now);
        if (protocol_session(peer, now))
            send_staged(peer);
    }
    timers_peer_changed(peer, now);
}
