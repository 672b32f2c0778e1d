/* A small world for the ladder: two hosts behind NATs of five kinds (and one that Linux is without a firewall), WireGuard's handshake and timers for the row that each has of the other, what a
 * node does with the ladder's orders, a relay, and a driver whose views and orders take time. Steps of 5 ms. */
#ifndef WGDECK_LADDER_WORLD_H
#define WGDECK_LADDER_WORLD_H

#include <sys/socket.h>

#include "wgdeck/clock.h"
#include "wgdeck/ladder.h"

#define MS CLOCK_MILLISECOND
#define STEP (5 * MS)
#define S(n) ((int64_t)((n) * (double)CLOCK_SECOND))

enum nat { NONE, FULL, RESTRICTED, PORT_RESTRICTED, SYMMETRIC, NAT_KINDS, OPEN_GATEWAY = NAT_KINDS };

enum { MAPPINGS = 256, PERMITS = 8, FLIGHT = 64 };

struct mapping {
    struct endpoint inside, to;     /* to: of symmetric ones */
    uint16_t port;
    struct endpoint permits[PERMITS];
    size_t permit_count;
    int64_t used;
};

struct gateway {
    enum nat kind;
    struct address address;
    struct mapping mappings[MAPPINGS];
    size_t mapping_count;
    uint16_t next_port;
    struct { struct endpoint from; uint16_t port; int64_t at; } strangers[8]; /* of an open gateway: what it took for its own */
};

enum packet_kind { INITIATION, RESPONSE, KEEPALIVE, PING, PONG };
struct packet {
    bool used;
    int64_t at;
    enum packet_kind kind;
    int from;                       /* end */
    unsigned initiation, session;
    struct endpoint source, to;
};

struct session { unsigned id; int64_t born; bool initiator; };

struct side {
    struct gateway *gateway;        /* NULL: none */
    struct endpoint inside;
    /* the row */
    bool row;
    struct endpoint endpoint;
    unsigned keepalive;
    int64_t last_initiation, retransmit, next_keepalive, handshake;
    unsigned tries, outstanding;
    struct session current, previous, next;
    uint64_t rx;
    /* the node */
    enum ladder_step carries;
    int64_t next_ping;
    unsigned missing;
    bool deaf;                      /* to the driver */
};

struct world {
    int64_t now, delay;             /* one way */
    struct side sides[2];
    struct gateway gateways[2];
    struct packet flight[FLIGHT];
    struct endpoint hub, relay, knocked[2];
    bool has_relay, lasting;        /* lasting: the rows are there, and no try makes them anew */
    bool direct_cut, relay_cut;
    uint64_t random;
    unsigned ids;
    /* the driver */
    struct ladder *ladder;
    int64_t view_delay, order_delay[2];
    int64_t look_at, turn_at;       /* the next look; its views arrive */
    struct ladder_end views[2];
    struct { int64_t at; struct ladder_order order; } orders[2][8];
    unsigned lose_orders;
    unsigned changes, tries_ordered;
    enum ladder_step was;
    void (*spoil)(struct world *world, struct ladder_end views[2]);
    struct ladder_order given[2];   /* the last ones */
};

static inline struct endpoint place(const char *text)
{
    struct endpoint endpoint;
    assert_int_equal(endpoint_parse(text, &endpoint), 0);
    return endpoint;
}

static inline uint64_t draw(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random % below;
}

/* --- NAT */

static inline bool mapping_matches(const struct gateway *gateway, const struct mapping *mapping, const struct endpoint *inside, const struct endpoint *to)
{
    return endpoint_equal(&mapping->inside, inside) && (!mapping->to.address.family || (endpoint_equal(&mapping->to, to) && gateway->kind >= SYMMETRIC));
}

static inline bool is_stranger(struct world *world, const struct gateway *gateway, const struct endpoint *from, uint16_t port)
{
    for (size_t i = 0; i < COUNT_OF(gateway->strangers); i++)
        if (gateway->strangers[i].port == port && endpoint_equal(&gateway->strangers[i].from, from) && world->now - gateway->strangers[i].at < S(30))
            return true;
    return false;
}

static inline struct endpoint translate(struct world *world, struct gateway *gateway, const struct endpoint *inside, const struct endpoint *to)
{
    struct mapping *found = NULL;
    for (size_t i = 0; i < gateway->mapping_count; i++) {
        struct mapping *mapping = &gateway->mappings[i];
        if (world->now - mapping->used < S(30) && mapping_matches(gateway, mapping, inside, to) && (!found || mapping->to.address.family))
            found = mapping;
    }
    bool clash = gateway->kind == OPEN_GATEWAY && found && !found->to.address.family && is_stranger(world, gateway, to, found->port);
    if (!found || clash) {
        size_t slot = gateway->mapping_count;
        for (size_t i = 0; i < gateway->mapping_count; i++)
            if (world->now - gateway->mappings[i].used >= S(30))
                slot = i;
        assert_true(slot < MAPPINGS);
        if (slot == gateway->mapping_count)
            gateway->mapping_count++;
        found = &gateway->mappings[slot];
        *found = (struct mapping){.inside = *inside, .port = gateway->next_port};
        gateway->next_port = (uint16_t)(gateway->next_port + 1 + draw(world, 7));
        if (gateway->kind == SYMMETRIC || clash)
            found->to = *to;
    }
    found->used = world->now;
    bool known = false;
    for (size_t i = 0; i < found->permit_count; i++)
        known |= endpoint_equal(&found->permits[i], to);
    if (!known)
        found->permits[found->permit_count++ % PERMITS] = *to;
    if (found->permit_count > PERMITS)
        found->permit_count = PERMITS;
    return (struct endpoint){.address = gateway->address, .port = found->port};
}

static inline bool let_in(struct world *world, struct gateway *gateway, uint16_t port, const struct endpoint *from)
{
    for (size_t i = 0; i < gateway->mapping_count; i++) {
        const struct mapping *mapping = &gateway->mappings[i];
        if (mapping->port != port || world->now - mapping->used >= S(30))
            continue;
        for (size_t k = 0; k < mapping->permit_count; k++)
            if (gateway->kind == FULL || (!address_compare(&mapping->permits[k].address, &from->address) && (gateway->kind == RESTRICTED || mapping->permits[k].port == from->port)))
                return true;
    }
    if (gateway->kind == OPEN_GATEWAY) {
        size_t oldest = 0;
        for (size_t i = 0; i < COUNT_OF(gateway->strangers); i++) {
            if (gateway->strangers[i].port == port && endpoint_equal(&gateway->strangers[i].from, from))
                gateway->strangers[oldest = i].at = world->now;
            if (gateway->strangers[i].at < gateway->strangers[oldest].at)
                oldest = i;
        }
        gateway->strangers[oldest].from = *from;
        gateway->strangers[oldest].port = port;
        gateway->strangers[oldest].at = world->now;
    }
    return false;
}

/* --- WireGuard */

static inline void put(struct world *world, struct packet packet, const struct endpoint *source, const struct endpoint *to)
{
    packet.used = true;
    packet.at = world->now + world->delay;
    packet.source = *source;
    packet.to = *to;
    for (size_t i = 0; i < FLIGHT; i++)
        if (!world->flight[i].used) {
            world->flight[i] = packet;
            return;
        }
    fail_msg("too many packets in flight");
}

static inline bool same_gateway(const struct world *world)
{
    return world->sides[0].gateway && world->sides[0].gateway == world->sides[1].gateway;
}

static inline void emit(struct world *world, int e, struct packet packet)
{
    struct side *side = &world->sides[e];
    if (!side->endpoint.address.family)
        return;
    packet.from = e;
    bool inside = same_gateway(world) && address_is_private(&side->endpoint.address);
    struct endpoint source = side->gateway && !inside ? translate(world, side->gateway, &side->inside, &side->endpoint) : side->inside;
    put(world, packet, &source, &side->endpoint);
}

static inline void initiate(struct world *world, int e)
{
    struct side *side = &world->sides[e];
    side->outstanding = ++world->ids;
    side->last_initiation = world->now;
    side->retransmit = world->now + S(5) + (int64_t)draw(world, 333) * MS;
    emit(world, e, (struct packet){.kind = INITIATION, .initiation = side->outstanding});
}

static inline void send_data(struct world *world, int e, enum packet_kind kind)
{
    struct side *side = &world->sides[e];
    int64_t age = world->now - side->current.born;
    bool live = side->current.id && age < S(180);
    side->next_keepalive = world->now + S(25);
    if (live)
        emit(world, e, (struct packet){.kind = kind, .session = side->current.id});
    if ((!live || (side->current.initiator && age >= S(120))) && world->now - side->last_initiation >= S(5)) {
        side->tries = 0;
        initiate(world, e);
    }
}

static inline void complete(struct world *world, struct side *side, struct session session)
{
    side->previous = side->current;
    side->current = session;
    side->handshake = world->now;
    side->retransmit = 0;
}

static inline void receive(struct world *world, int e, const struct packet *packet)
{
    static const unsigned sizes[] = {[INITIATION] = 148, [RESPONSE] = 92, [KEEPALIVE] = 32, [PING] = 128, [PONG] = 128};
    struct side *side = &world->sides[e];
    if (!side->row)
        return;
    if (packet->kind == RESPONSE && side->outstanding != packet->initiation)
        return;
    if (packet->kind >= KEEPALIVE && packet->session != side->current.id && packet->session != side->previous.id && packet->session != side->next.id)
        return;
    side->endpoint = packet->source; /* roaming */
    side->rx += sizes[packet->kind];
    if (packet->kind == INITIATION) {
        side->outstanding = 0;
        side->next = (struct session){.id = ++world->ids, .born = world->now};
        emit(world, e, (struct packet){.kind = RESPONSE, .initiation = packet->initiation, .session = side->next.id});
        return;
    }
    if (packet->kind == RESPONSE) {
        side->outstanding = 0;
        complete(world, side, (struct session){.id = packet->session, .born = world->now, .initiator = true});
        send_data(world, e, KEEPALIVE);
        return;
    }
    if (packet->session == side->next.id) {
        complete(world, side, side->next);
        side->next = (struct session){0};
    }
    bool carries = side->carries == LADDER_DIRECT || side->carries == LADDER_RELAY;
    if (packet->kind == PING && carries)
        send_data(world, e, PONG);
    if (packet->kind == PONG && carries)
        side->missing = 0;
}

static inline void arrive(struct world *world, const struct packet *packet)
{
    if (world->has_relay && endpoint_equal(&packet->to, &world->relay)) {
        world->knocked[packet->from] = packet->source;
        if (world->knocked[!packet->from].address.family && !world->relay_cut)
            put(world, *packet, &world->relay, &world->knocked[!packet->from]);
        return;
    }
    if (world->direct_cut && !(world->has_relay && endpoint_equal(&packet->source, &world->relay)))
        return;
    for (int e = 0; e < 2; e++) {
        struct side *side = &world->sides[e];
        if (e == packet->from)
            continue;
        if (endpoint_equal(&side->inside, &packet->to) && (!side->gateway || same_gateway(world)))
            receive(world, e, packet);
        else if (side->gateway && !address_compare(&side->gateway->address, &packet->to.address) && let_in(world, side->gateway, packet->to.port, &packet->source))
            receive(world, e, packet);
    }
}

/* --- the node */

static inline void obey(struct world *world, int e, const struct ladder_order *order)
{
    struct side *side = &world->sides[e];
    if (order->deed == LADDER_TRY) {
        if (!side->row || !world->lasting) {
            struct gateway *gateway = side->gateway;
            struct endpoint inside = side->inside;
            bool deaf = side->deaf;
            *side = (struct side){.gateway = gateway, .inside = inside, .deaf = deaf, .row = true, .last_initiation = world->now - S(6)};
        }
        side->endpoint = order->endpoint;
        side->keepalive = 25;
        side->carries = LADDER_TRYING;
        send_data(world, e, KEEPALIVE);
    } else if (order->deed == LADDER_CARRY) {
        side->carries = order->way;
        side->missing = 0;
        side->next_ping = world->now;
    } else if (order->deed == LADDER_YIELD) {
        side->carries = LADDER_HUB;
        side->keepalive = 0;
        if (order->forget && !world->lasting) {
            side->row = false;
            side->endpoint = (struct endpoint){0};
            side->handshake = side->retransmit = 0;
            side->rx = 0;
            side->current = side->previous = side->next = (struct session){0};
        }
    }
}

static inline void side_step(struct world *world, int e)
{
    struct side *side = &world->sides[e];
    if (side->gateway && world->now % S(20) == 0)
        translate(world, side->gateway, &side->inside, &world->hub);
    if (!side->row)
        return;
    if (side->retransmit && world->now >= side->retransmit) {
        side->retransmit = 0;
        if (side->tries++ < 18)
            initiate(world, e);
    }
    if (side->keepalive && world->now >= side->next_keepalive)
        send_data(world, e, KEEPALIVE);
    if ((side->carries == LADDER_DIRECT || side->carries == LADDER_RELAY) && world->now >= side->next_ping) {
        if (side->missing++ == 3) {
            obey(world, e, &(struct ladder_order){.deed = LADDER_YIELD});
            return;
        }
        side->next_ping = world->now + S(5);
        send_data(world, e, PING);
    }
}

/* --- the driver */

static inline struct endpoint seen_by_hub(struct world *world, int e)
{
    struct side *side = &world->sides[e];
    return side->gateway ? translate(world, side->gateway, &side->inside, &world->hub) : side->inside;
}

static inline void look(struct world *world)
{
    for (int e = 0; e < 2; e++) {
        struct side *side = &world->sides[e];
        struct ladder_end *view = &world->views[e];
        *view = (struct ladder_end){.answers = !side->deaf, .observed = seen_by_hub(world, e), .candidate_count = 1, .age = -1, .carries = side->carries};
        view->candidates[0] = side->inside;
        if (!side->row)
            continue;
        view->row = side->endpoint;
        view->age = side->handshake ? world->now - side->handshake : -1;
        view->rx = side->rx;
    }
    if (world->spoil)
        world->spoil(world, world->views);
}

static inline void turn(struct world *world)
{
    ladder_turn(world->ladder, world->now, world->views, world->given);
    for (int e = 0; e < 2; e++) {
        world->tries_ordered += world->given[e].deed == LADDER_TRY;
        if (world->given[e].deed == LADDER_NOTHING)
            continue;
        assert_true(strlen(world->given[e].reason) > 0);
        if (world->lose_orders) {
            world->lose_orders--;
            continue;
        }
        size_t i = 0;
        while (i < COUNT_OF(world->orders[e]) && world->orders[e][i].at)
            i++;
        assert_true(i < COUNT_OF(world->orders[e]));
        world->orders[e][i].at = world->now + world->order_delay[e] + 1;
        world->orders[e][i].order = world->given[e];
    }
    enum ladder_step step = ladder_step(world->ladder);
    if (step != LADDER_TRYING && step != world->was) {
        world->changes++;
        world->was = step;
    }
    assert_true(ladder_next(world->ladder) > world->now);
    world->look_at = ladder_next(world->ladder) - world->view_delay;
    if (world->look_at <= world->now)
        world->look_at = world->now + STEP;
    if (world->look_at > world->now + S(1)) /* a driver looks each second */
        world->look_at = world->now + S(1);
    world->turn_at = 0;
}

static inline void world_step(struct world *world)
{
    world->now += STEP;
    for (size_t i = 0; i < FLIGHT; i++)
        if (world->flight[i].used && world->flight[i].at <= world->now) {
            struct packet packet = world->flight[i];
            world->flight[i].used = false;
            arrive(world, &packet);
        }
    for (int e = 0; e < 2; e++) {
        side_step(world, e);
        for (size_t i = 0; i < COUNT_OF(world->orders[e]); i++)
            if (world->orders[e][i].at && world->orders[e][i].at <= world->now) {
                world->orders[e][i].at = 0;
                if (!world->sides[e].deaf)
                    obey(world, e, &world->orders[e][i].order);
            }
    }
    if (!world->turn_at && world->now >= world->look_at) {
        look(world);
        world->turn_at = world->now + world->view_delay;
    }
    if (world->turn_at && world->now >= world->turn_at)
        turn(world);
}

static inline void world_run(struct world *world, int64_t how_long)
{
    for (int64_t end = world->now + how_long; world->now < end;)
        world_step(world);
}

/* Until the ladder is at STEP, and both ends. The time it took, or -1. */
static inline int64_t world_until(struct world *world, enum ladder_step step, int64_t limit)
{
    for (int64_t begin = world->now; world->now < begin + limit; world_step(world))
        if (ladder_step(world->ladder) == step && world->sides[0].carries == step && world->sides[1].carries == step)
            return world->now - begin;
    return -1;
}

static inline struct world *world_new(enum nat first, enum nat second, unsigned seed, bool relay)
{
    static const char *const inside[] = {"192.168.1.5:51820", "172.20.0.7:51820"}, *const outside[] = {"198.51.100.1:51820", "203.0.113.1:51820"};
    struct world *world = mem_alloc(1, sizeof *world);
    const enum nat kinds[] = {first, second};
    world->now = S(10000);
    world->delay = 20 * MS;
    world->view_delay = 30 * MS;
    world->order_delay[0] = world->order_delay[1] = 20 * MS;
    world->random = 88172645463325252u + seed * 7919u;
    world->hub = place("192.0.2.1:51820");
    world->relay = place("192.0.2.1:51821");
    world->has_relay = relay;
    for (int e = 0; e < 2; e++) {
        struct endpoint public = place(outside[e]);
        world->sides[e].inside = kinds[e] == NONE ? public : place(inside[e]);
        world->sides[e].last_initiation = world->now - S(6);
        if (kinds[e] == NONE)
            continue;
        world->gateways[e] = (struct gateway){.kind = kinds[e], .address = public.address, .next_port = (uint16_t)(40000 + draw(world, 1000))};
        world->sides[e].gateway = &world->gateways[e];
    }
    world->was = LADDER_HUB;
    world->ladder = ladder_new(&(struct ladder_options){.direct = true, .relay = relay ? world->relay : (struct endpoint){.port = 0}});
    return world;
}

/* The rows are the mesh file's. */
static inline void world_lasting(struct world *world)
{
    world->lasting = world->sides[0].row = world->sides[1].row = true;
    ladder_free(world->ladder);
    world->ladder = ladder_new(&(struct ladder_options){.direct = true, .lasting_rows = true, .relay = world->has_relay ? world->relay : (struct endpoint){.port = 0}});
}

static inline void world_free(struct world *world)
{
    ladder_free(world->ladder);
    free(world);
}

#endif
