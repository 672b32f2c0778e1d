/* Which handshake messages are served, in a flood. Control thread.
 *
 * An initiation costs one DH (40 us) before it shows who sent it, and 130 us in all when it is a peer's; a cookie reply costs 6 us. A peer that gets a cookie
 * comes back only after five seconds, so a cookie is what somebody gets who cannot be served, and nobody who can be served is asked for one.
 *
 * Each turn takes all that the RX threads put into the queue and sorts it, for about 1 us a message, into four lanes:
 *   known   answers to this node's own initiations, and initiations from an address where a peer was last heard;
 *   proved  those with a good mac2: the source showed that it receives there;
 *   fresh   from an address that has not used up its rate (20 a second, 5 at once, an IPv4 address or an IPv6 /64);
 *   excess  the rest: a flood from one place, or an office behind one address.
 * The lanes take turns by the rules below, so none can starve another: invented sources fill fresh, a spoofed source fills known only at the rate of that one
 * address and then falls to excess, and who proved its address has a rate of its own that nobody else can use up. A full lane keeps a random choice of
 * what came. Each is served as fast as its budget below allows; beyond that, and from a full lane, the sender gets a cookie (bounded too).
 *
 * Whoever is refused puts the node under load for the next second. Then, as in the kernel's engine, the rate of a proved address is binding. */
#include "protocol.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "limiter.h"
#include "wgdeck/mem.h"

enum lane_name { KNOWN, PROVED, FRESH, EXCESS, LANES };
enum {
    LANE_SLOTS = 256,
    TURN_MESSAGES = 64,  /* served in one turn: 3 ms of strangers, 8 ms of peers */
    CALM = 16,           /* so few at once need not be told apart by where peers are */
};

/* How many of a lane are served before the next has its turn; and its budget: so many a second, and at once. Together they are a core's worth at the most, and
 * strangers from few places 2 % of one; where the core is wanted elsewhere, the scheduler gives less. */
static const struct {
    unsigned share, burst;
    int64_t interval;
} rules[LANES] = {
    [KNOWN] = {4, 2048, CLOCK_SECOND / 10000},
    [PROVED] = {4, 1024, CLOCK_SECOND / 5000},
    [FRESH] = {2, 2048, CLOCK_SECOND / 10000},
    [EXCESS] = {1, 256, CLOCK_SECOND / 500},
};
#define COOKIE_INTERVAL (CLOCK_SECOND / 10000)
#define COOKIE_BURST 2048

#define LOAD_TIME CLOCK_SECOND
#define KNOWN_LIFE CLOCK_SECOND

struct lane {
    unsigned count;
    int64_t ready; /* the pace of its budget */
    struct handshake_message messages[LANE_SLOTS];
};

/* Addresses of peers: an open hash table of their hashes, made when it is wanted, at most once a second. */
struct known {
    uint64_t *slots;
    size_t size;    /* a power of two */
    int64_t made;
};

struct load {
    struct limiter *limiter;
    struct cookie_secret secret, previous; /* a cookie stays good until the secret after its own is over: at least 120 s */
    int64_t until;                         /* under load */
    int64_t cookie_ready;
    uint64_t random;
    struct known known;
    struct lane lanes[LANES];
};

struct load *load_new(void)
{
    struct load *load = mem_alloc(1, sizeof *load);
    load->limiter = limiter_new();
    randombytes_buf(&load->random, sizeof load->random);
    return load;
}

void load_free(struct load *load)
{
    if (!load)
        return;
    limiter_free(load->limiter);
    free(load->known.slots);
    sodium_memzero(&load->secret, sizeof load->secret);
    sodium_memzero(&load->previous, sizeof load->previous);
    free(load);
}

unsigned load_waiting(const struct load *load)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < LANES; i++)
        waiting += load->lanes[i].count;
    return waiting;
}

bool protocol_under_load(const struct engine *engine, int64_t now)
{
    return now < engine->protocol->load->until;
}

/* Fast, from a secret start; nobody sees what it gives (splitmix64). */
static unsigned random_below(struct load *load, unsigned limit)
{
    uint64_t mixed = load->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)(((mixed ^ mixed >> 31) >> 32) * limit >> 32);
}

/* --- where peers are */

static void known_add(struct known *known, uint64_t address)
{
    size_t at = address >> 1 & (known->size - 1);
    while (known->slots[at] && known->slots[at] != address)
        at = (at + 1) & (known->size - 1);
    known->slots[at] = address;
}

static void known_make(struct engine *engine, int64_t now)
{
    struct load *load = engine->protocol->load;
    struct known *known = &load->known;
    size_t size = 64;
    while (size < 2 * engine->peer_count)
        size *= 2;
    if (size != known->size) {
        free(known->slots);
        known->slots = mem_alloc(size, sizeof *known->slots);
        known->size = size;
    } else {
        memset(known->slots, 0, size * sizeof *known->slots);
    }
    known->made = now;
    for (const struct peer *peer = engine->peers; peer; peer = peer->list_next) {
        struct udp_endpoint endpoint;
        peer_endpoint_get(peer, &endpoint);
        if (endpoint.to.plain.sa_family)
            known_add(known, limiter_address(load->limiter, &endpoint));
    }
}

static bool is_known(struct engine *engine, uint64_t address, int64_t now)
{
    struct known *known = &engine->protocol->load->known;
    if (!known->slots || now - known->made >= KNOWN_LIFE)
        known_make(engine, now);
    size_t at = address >> 1 & (known->size - 1);
    while (known->slots[at] && known->slots[at] != address)
        at = (at + 1) & (known->size - 1);
    return known->slots[at] != 0;
}

/* --- cookies of this node */

struct source { uint8_t bytes[18]; size_t length; };

static struct source source_of(const struct udp_endpoint *from)
{
    struct source source;
    if (from->to.plain.sa_family == AF_INET6) {
        memcpy(source.bytes, &from->to.v6.sin6_addr, 16);
        memcpy(source.bytes + 16, &from->to.v6.sin6_port, 2);
        source.length = 18;
    } else {
        memcpy(source.bytes, &from->to.v4.sin_addr, 4);
        memcpy(source.bytes + 4, &from->to.v4.sin_port, 2);
        source.length = 6;
    }
    return source;
}

static void turn_secret(struct load *load, int64_t now)
{
    if (!load->secret.born || now - load->secret.born < COOKIE_LIFE)
        return;
    load->previous = load->secret;
    sodium_memzero(&load->secret, sizeof load->secret); /* cookie_of makes the next */
}

static bool is_proved(struct load *load, const struct handshake_message *message, int64_t now)
{
    uint8_t cookie[COOKIE_SIZE];
    if (sodium_is_zero(message->bytes + message->length - COOKIE_SIZE, COOKIE_SIZE))
        return false;
    struct source source = source_of(&message->from);
    turn_secret(load, now);
    if (load->secret.born) {
        cookie_of(&load->secret, now, source.bytes, source.length, cookie);
        if (mac2_is_good(cookie, message->bytes, message->length))
            return true;
    }
    if (!load->previous.born || now - load->previous.born >= 2 * COOKIE_LIFE)
        return false;
    cookie_of(&load->previous, load->previous.born, source.bytes, source.length, cookie);
    return mac2_is_good(cookie, message->bytes, message->length);
}

static void refuse(struct engine *engine, const struct handshake_message *message, int64_t now)
{
    struct load *load = engine->protocol->load;
    struct message_cookie reply;
    uint8_t cookie[COOKIE_SIZE];
    load->until = now + LOAD_TIME;
    if (!pace_take(&load->cookie_ready, COOKIE_INTERVAL, COOKIE_BURST, now)) {
        TALLY_ADD(&engine->control_tally, handshake_overflow, 1);
        return;
    }
    struct source source = source_of(&message->from);
    turn_secret(load, now);
    cookie_of(&load->secret, now, source.bytes, source.length, cookie);
    cookie_reply_make(&engine->cookie_key, message->bytes, message->length, cookie, &reply);
    TALLY_ADD(&engine->control_tally, cookies_sent, 1);
    tx_send_message(engine, NULL, &message->from, &reply, sizeof reply);
}

/* --- lanes */

static bool is_well_formed(const struct handshake_message *message)
{
    static const uint16_t lengths[] = {
        [MESSAGE_INITIATION] = sizeof(struct message_initiation),
        [MESSAGE_RESPONSE] = sizeof(struct message_response),
        [MESSAGE_COOKIE] = sizeof(struct message_cookie),
    };
    uint8_t type = message->bytes[0];
    return type >= MESSAGE_INITIATION && type <= MESSAGE_COOKIE && message->length == lengths[type] &&
           sodium_is_zero(message->bytes + 1, 3);
}

static bool is_asked_response(const struct engine *engine, const struct handshake_message *message)
{
    const uint8_t *receiver = ((const struct message_response *)(const void *)message->bytes)->receiver;
    return handshake_find(engine, (uint32_t)receiver[0] | (uint32_t)receiver[1] << 8 | (uint32_t)receiver[2] << 16 | (uint32_t)receiver[3] << 24);
}

/* LANES: it was dropped, and counted. */
static enum lane_name choose(struct engine *engine, const struct handshake_message *message, bool calm, int64_t now)
{
    struct load *load = engine->protocol->load;
    bool loaded = protocol_under_load(engine, now), is_response = message->bytes[0] == MESSAGE_RESPONSE;
    uint64_t address = limiter_address(load->limiter, &message->from);
    if (is_response && !is_asked_response(engine, message)) {
        TALLY_ADD(&engine->control_tally, unasked_response, 1);
        return LANES;
    }
    if (is_proved(load, message, now)) {
        if (limiter_take(load->limiter, address, true, now))
            return PROVED;
        if (loaded) {
            TALLY_ADD(&engine->control_tally, handshake_limited, 1);
            return LANES;
        }
        return EXCESS;
    }
    if (!limiter_take(load->limiter, address, false, now))
        return EXCESS;
    return is_response || ((!calm || loaded) && is_known(engine, address, now)) ? KNOWN : FRESH;
}

static void put(struct engine *engine, const struct handshake_message *message, bool calm, int64_t now)
{
    struct load *load = engine->protocol->load;
    if (!is_well_formed(message)) {
        TALLY_ADD(&engine->control_tally, malformed, 1);
        return;
    }
    if (message->bytes[0] == MESSAGE_COOKIE) { /* cheap, and nothing without an index that is in use */
        protocol_serve(engine, message, now);
        return;
    }
    enum lane_name name = choose(engine, message, calm, now);
    if (name == LANES)
        return;
    struct lane *lane = &load->lanes[name];
    if (lane->count < LANE_SLOTS) {
        lane->messages[lane->count++] = *message;
        return;
    }
    unsigned at = random_below(load, LANE_SLOTS + 1);
    refuse(engine, at < LANE_SLOTS ? &lane->messages[at] : message, now);
    if (at < LANE_SLOTS)
        lane->messages[at] = *message;
}

/* One of the lane, at random: when not all can be served, the order in which they came is the attacker's. True: it was served, not refused. */
static bool serve_one(struct engine *engine, enum lane_name name, int64_t now)
{
    struct load *load = engine->protocol->load;
    struct lane *lane = &load->lanes[name];
    unsigned at = random_below(load, lane->count);
    struct handshake_message message = lane->messages[at];
    lane->messages[at] = lane->messages[--lane->count];
    if (pace_take(&lane->ready, rules[name].interval, rules[name].burst, now)) {
        protocol_serve(engine, &message, now);
        return true;
    }
    refuse(engine, &message, now);
    return false;
}

/* Until LIMIT were served, or nothing waits. */
static void serve_lanes(struct engine *engine, unsigned limit, int64_t now)
{
    struct load *load = engine->protocol->load;
    unsigned served = 0;
    while (served < limit && load_waiting(load))
        for (unsigned name = 0; name < LANES; name++)
            for (unsigned share = rules[name].share; share && load->lanes[name].count; share--)
                served += serve_one(engine, (enum lane_name)name, now);
}

/* One message of the queue's, or false. It is copied out, so that RX waits for no more than that. */
static bool take(struct handshake_queue *queue, struct handshake_message *message)
{
    spin_lock(&queue->lock);
    bool there = queue->count > 0;
    if (there) {
        *message = queue->messages[queue->first];
        queue->first = (queue->first + 1) % HANDSHAKE_QUEUE;
        queue->count--;
    }
    spin_unlock(&queue->lock);
    return there;
}

bool protocol_turn(struct engine *engine, int64_t now)
{
    struct handshake_queue *queue = engine->handshakes;
    struct handshake_message message;
    spin_lock(&queue->lock);
    unsigned waiting = queue->count;
    spin_unlock(&queue->lock);
    bool calm = waiting + load_waiting(engine->protocol->load) <= CALM;
    for (unsigned i = 0; i < waiting && take(queue, &message); i++) /* no more than there were: RX may be faster */
        put(engine, &message, calm, now);
    serve_lanes(engine, TURN_MESSAGES, now);
    return load_waiting(engine->protocol->load) > 0;
}

void protocol_message(struct engine *engine, const struct handshake_message *message, size_t waiting, int64_t now)
{
    put(engine, message, waiting <= CALM, now);
    serve_lanes(engine, UINT32_MAX, now);
}
