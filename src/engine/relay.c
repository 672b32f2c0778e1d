/* The opaque relay (wgdeck/relay.h): packets in by trains, each looked at no further than its type and index, and out again as they are. */
#include "wgdeck/relay.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "contain.h"
#include "limiter.h"
#include "relay_table.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum {
    BATCH = 16, SPACE = 65536,
    INITIATIONS = 50, BURST = 50,      /* a second to places that are not proven */
    PLACE_PACES = 1024, PLACE_BURST = 2, NODE_BURST = 20,
    SESSIONS = 65536,
};
static const int64_t idle_default = 180 * CLOCK_SECOND, place_interval = CLOCK_SECOND / 2, node_interval = CLOCK_SECOND / 20;
static const int64_t waiting_life = 10 * CLOCK_SECOND, sweep_pause = CLOCK_SECOND, refresh_pause = CLOCK_SECOND;

struct relay {
    struct udp_sockets *sockets;
    struct relay_table table;
    struct relay_counters counters;
    int64_t interval, ready;           /* of initiations to places that are not proven */
    int64_t place_ready[PLACE_PACES], node_ready[PLACE_PACES]; /* by a hash: who shares a place is only slowed down */
    uint8_t seed[16];
    int64_t swept;
    uint8_t *buffers[BATCH];
    struct udp_train out[UDP_TRAIN_SEGMENTS]; /* of this turn, in order; they lie in the buffers */
    size_t out_count;
};

/* --- out */

static void flush(struct relay *relay)
{
    if (relay->out_count)
        (void)udp_send(relay->sockets, 0, relay->out, relay->out_count);
    relay->out_count = 0;
}

static void forward(struct relay *relay, const struct udp_endpoint *to, const struct udp_received *in, uint8_t *bytes, size_t length, size_t packets)
{
    if (relay->out_count == UDP_TRAIN_SEGMENTS)
        flush(relay);
    relay->out[relay->out_count++] = (struct udp_train){.to = *to, .bytes = bytes, .length = length, .size = (uint16_t)(packets > 1 ? in->size : length), .tos = in->tos};
    relay->counters.packets += packets;
    relay->counters.bytes += length;
}

/* --- handshakes */

static size_t pace_slot(const struct relay *relay, const void *what, size_t length)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t number;
    crypto_shorthash(hash, what, length, relay->seed);
    memcpy(&number, hash, sizeof number);
    return (size_t)(number % PLACE_PACES);
}

/* To a place that nothing has proven goes little, and never more than came. */
static bool may_send(struct relay *relay, const struct udp_endpoint *from, const struct udp_endpoint *to, size_t node, bool proven, int64_t now)
{
    struct endpoint place = {0};
    /* Who is proven has a rate of its own: nobody else can use it up, and keep a session from getting its next keys. */
    struct { struct key key; uint8_t known; } proven_to = {.key = relay->table.nodes[node].key, .known = proven && relay_is_proven(&relay->table, from)};
    if (proven)
        return pace_take(&relay->node_ready[pace_slot(relay, &proven_to, sizeof proven_to)], node_interval, NODE_BURST, now);
    udp_endpoint_to(to, &place);
    struct { uint8_t address[16]; uint16_t port, family; } what = {.port = place.port, .family = place.address.family};
    memcpy(what.address, place.address.bytes, sizeof what.address);
    return pace_take(&relay->place_ready[pace_slot(relay, &what, sizeof what)], place_interval, PLACE_BURST, now) && pace_take(&relay->ready, relay->interval, BURST, now);
}

static uint32_t index_at(const uint8_t *bytes)
{
    uint32_t index;
    memcpy(&index, bytes, sizeof index);
    return index;
}

static void take_initiation(struct relay *relay, const struct udp_received *in, uint8_t *bytes, size_t length, int64_t now)
{
    const struct message_initiation *message = (const void *)bytes;
    size_t node = !relay_may_be_anyone(&relay->table, &in->from) ? SIZE_MAX : relay_node_of(&relay->table, bytes, length);
    struct udp_endpoint to;
    bool proven = false;
    if (node == SIZE_MAX) {
        relay->counters.unknown_mac1++;
        return;
    }
    relay->counters.initiations++;
    if (!relay_knock(&relay->table, node, &in->from, now, &to, &proven))
        return; /* nobody has come from there yet */
    if (!may_send(relay, &in->from, &to, node, proven, now)) {
        relay->counters.limited++;
        return;
    }
    struct relay_way *way = relay_way_make(&relay->table, &relay->table.waiting, index_at(message->sender), &to, now);
    if (!way) {
        relay->counters.limited++;
        return;
    }
    way->to = in->from;
    way->node = node;
    way->answered = false;
    forward(relay, &to, in, bytes, length, 1);
}

static void prove(struct relay *relay, size_t node, const struct udp_endpoint *at, int64_t now)
{
    relay->table.nodes[node].at = *at;
    relay->table.nodes[node].proven = now;
}

static void latch(struct relay *relay, uint32_t index, const struct udp_endpoint *from, const struct udp_endpoint *to, size_t node, size_t other, int64_t now)
{
    bool is_new = !relay_way_find(&relay->table, &relay->table.sessions, index, from);
    struct relay_way *way = relay_way_make(&relay->table, &relay->table.sessions, index, from, now);
    if (!way) {
        relay->counters.limited++;
        return;
    }
    way->from = *from;
    way->to = *to;
    way->node = node;
    way->other = other;
    relay->counters.sessions += is_new;
}

/* From where the initiation went, for its index; its mac1 says who had sent that. */
static void take_response(struct relay *relay, const struct udp_received *in, uint8_t *bytes, size_t length, int64_t now)
{
    const struct message_response *message = (const void *)bytes;
    struct relay_way *waiting = relay_way_find(&relay->table, &relay->table.waiting, index_at(message->receiver), &in->from);
    if (!waiting) {
        relay->counters.unknown_index++;
        return;
    }
    size_t asker = relay_node_of(&relay->table, bytes, length), answerer = waiting->node;
    if (asker == SIZE_MAX || asker == answerer) {
        relay->counters.unknown_mac1++;
        return;
    }
    struct udp_endpoint to = waiting->to;
    if (!relay_may_be(&relay->table, asker, &to) || (waiting->answered && waiting->answer != index_at(message->sender))) {
        relay->counters.wrong_source++;
        return;
    }
    waiting->answered = true;
    waiting->answer = index_at(message->sender);
    latch(relay, index_at(message->receiver), &in->from, &to, asker, answerer, now);
    latch(relay, index_at(message->sender), &to, &in->from, answerer, asker, now);
    prove(relay, answerer, &in->from, now);
    prove(relay, asker, &to, now);
    relay_answered(&relay->table, &to, answerer);
    relay->counters.answers++;
    forward(relay, &to, in, bytes, length, 1);
}

/* Of an initiation, or of an answer: both are known by their index and by where they went. */
static void take_cookie(struct relay *relay, const struct udp_received *in, uint8_t *bytes, size_t length)
{
    const struct message_cookie *message = (const void *)bytes;
    const struct relay_way *way = relay_way_find(&relay->table, &relay->table.waiting, index_at(message->receiver), &in->from);
    if (!way)
        way = relay_way_find(&relay->table, &relay->table.sessions, index_at(message->receiver), &in->from);
    if (way)
        forward(relay, &way->to, in, bytes, length, 1);
    else
        relay->counters.unknown_index++;
}

/* --- data */

static bool is_type(const uint8_t *bytes, uint8_t type)
{
    return bytes[0] == type && !bytes[1] && !bytes[2] && !bytes[3];
}

/* How many of the packets from here on are data for the same index: they go out as they came. */
static size_t run_of(const uint8_t *bytes, size_t length, size_t size)
{
    size_t count = 1;
    for (size_t at = size; at < length; at += size, count++)
        if (length - at < sizeof(struct message_data) + 16 || memcmp(bytes, bytes + at, 8) != 0)
            break;
    return count;
}

static void take_data(struct relay *relay, const struct udp_received *in, uint8_t *bytes, size_t length, size_t packets, int64_t now)
{
    const struct message_data *message = (const void *)bytes;
    struct relay_way *way = relay_way_find(&relay->table, &relay->table.sessions, index_at(message->receiver), &in->from);
    if (!way) {
        *(relay_index_is_known(&relay->table, &relay->table.sessions, index_at(message->receiver)) ? &relay->counters.wrong_source : &relay->counters.unknown_index) += packets;
        return;
    }
    way->at = now;
    struct relay_node *node = &relay->table.nodes[way->other];
    if (now - node->proven > refresh_pause && relay_same_place(&node->at, &in->from))
        node->proven = now; /* it is still there */
    forward(relay, &way->to, in, bytes, length, packets);
}

static void take_train(struct relay *relay, const struct udp_received *in, uint8_t *bytes, int64_t now)
{
    size_t size = in->size ? in->size : in->length;
    if (in->truncated) {
        relay->counters.malformed++;
        return;
    }
    for (size_t at = 0; at < in->length;) {
        uint8_t *packet = bytes + at;
        size_t left = in->length - at, length = left < size ? left : size, packets = 1;
        if (length >= sizeof(struct message_data) + 16 && is_type(packet, MESSAGE_DATA)) {
            packets = run_of(packet, left, size);
            size_t all = packets * size < left ? packets * size : left;
            take_data(relay, in, packet, all, packets, now);
            at += all;
            continue;
        }
        if (length == sizeof(struct message_initiation) && is_type(packet, MESSAGE_INITIATION))
            take_initiation(relay, in, packet, length, now);
        else if (length == sizeof(struct message_response) && is_type(packet, MESSAGE_RESPONSE))
            take_response(relay, in, packet, length, now);
        else if (length == sizeof(struct message_cookie) && is_type(packet, MESSAGE_COOKIE))
            take_cookie(relay, in, packet, length);
        else
            relay->counters.malformed++;
        at += length;
    }
}

/* --- its life */

struct relay *relay_new(const struct relay_options *options, struct err *err)
{
    struct relay *relay = mem_alloc(1, sizeof *relay);
    relay->sockets = udp_open(options->port, 0, 1, true, true, err);
    if (!relay->sockets) {
        free(relay);
        return NULL;
    }
    for (size_t i = 0; i < BATCH; i++)
        relay->buffers[i] = mem_alloc(1, SPACE);
    relay->interval = CLOCK_SECOND / (options->initiations ? options->initiations : INITIATIONS);
    randombytes_buf(relay->seed, sizeof relay->seed);
    relay_table_begin(&relay->table, options->sessions ? options->sessions : SESSIONS, options->idle ? options->idle : idle_default);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    udp_close(relay->sockets);
    for (size_t i = 0; i < BATCH; i++)
        free(relay->buffers[i]);
    relay_table_end(&relay->table);
    free(relay);
}

void relay_contain(void)
{
    contain_capabilities();
}

uint16_t relay_port(const struct relay *relay)
{
    return relay->sockets->port;
}

void relay_set_nodes(struct relay *relay, const struct key *keys, const struct endpoint *hints, size_t count)
{
    relay_table_set_nodes(&relay->table, keys, hints, count);
}

void relay_descriptors(const struct relay *relay, int descriptors[static 2])
{
    descriptors[0] = relay->sockets->v4[0];
    descriptors[1] = relay->sockets->v6[0];
}

void relay_counters(const struct relay *relay, struct relay_counters *counters)
{
    *counters = relay->counters;
}

static void sweep(struct relay *relay, int64_t now)
{
    if (now - relay->swept < sweep_pause)
        return;
    relay->swept = now;
    relay_ways_forget(&relay->table, &relay->table.waiting, now - waiting_life);
    relay_ways_forget(&relay->table, &relay->table.sessions, now - relay->table.idle);
}

int relay_turn(struct relay *relay, struct err *err)
{
    static const int families[] = {AF_INET, AF_INET6};
    int descriptors[2];
    int64_t now = clock_steady();
    relay_descriptors(relay, descriptors);
    sweep(relay, now);
    for (size_t f = 0; f < COUNT_OF(families); f++) {
        struct udp_received received[BATCH];
        int count = descriptors[f] >= 0 ? udp_receive(relay->sockets, 0, families[f], relay->buffers, SPACE, received, BATCH) : 0;
        if (count < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
            return err_set(err, "UDP port %u: %s", relay->sockets->port, strerror(errno));
        for (int i = 0; i < count; i++)
            take_train(relay, &received[i], relay->buffers[i], now);
        flush(relay);
    }
    return 0;
}

int relay_run(struct relay *relay, int64_t deadline, const volatile int *stop, struct err *err)
{
    int descriptors[2];
    relay_descriptors(relay, descriptors);
    while (!*stop) {
        int64_t left = deadline - clock_steady();
        struct pollfd polled[2] = {{.fd = descriptors[0], .events = POLLIN}, {.fd = descriptors[1], .events = POLLIN}};
        if (left <= 0)
            return 0;
        if (poll(polled, 2, (int)(left / CLOCK_MILLISECOND) + 1) > 0 && relay_turn(relay, err))
            return -1;
    }
    return 0;
}
