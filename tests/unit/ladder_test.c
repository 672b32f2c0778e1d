/* The ladder of a pair, driven through a world of NATs and WireGuard's timers (ladder_world.h): every pair of NAT kinds, ways that die, orders and views that are late, lost or lies. */
#include "unit.h"

#include "ladder_world.h"
#include "mesh/ladder_private.h"

static const char *const nat_names[] = {"none", "full cone", "restricted", "port-restricted", "symmetric", "open gateway"};

/* Which pairs can: the table in ladder.c. */
static const bool can[NAT_KINDS][NAT_KINDS] = {
    [NONE] = {true, true, true, true, true},
    [FULL] = {true, true, true, true, true},
    [RESTRICTED] = {true, true, true, true, true},
    [PORT_RESTRICTED] = {true, true, true, true, false},
    [SYMMETRIC] = {true, true, true, false, false},
};

static const struct lag { int64_t delay, view, orders[2]; } lags[] = {
    {1 * MS, 5 * MS, {0, 0}}, {20 * MS, 30 * MS, {20 * MS, 20 * MS}}, {20 * MS, 60 * MS, {5 * MS, 150 * MS}}, {80 * MS, 200 * MS, {150 * MS, 40 * MS}}, {150 * MS, 400 * MS, {300 * MS, 290 * MS}},
};

static struct world *pair_world(enum nat a, enum nat b, unsigned seed, bool relay, const struct lag *lag, bool fresh)
{
    struct world *world = world_new(a, b, seed, relay);
    world->delay = lag->delay;
    world->view_delay = lag->view;
    world->order_delay[0] = lag->orders[0];
    world->order_delay[1] = lag->orders[1];
    if (!fresh)
        world_lasting(world);
    return world;
}

static void test_pairs(void **state)
{
    unsigned late = 0, runs = 0;
    (void)state;
    for (enum nat a = NONE; a < NAT_KINDS; a++)
        for (enum nat b = NONE; b < NAT_KINDS; b++)
            for (size_t l = 0; l < COUNT_OF(lags); l++)
                for (unsigned seed = 0; seed < 12; seed++) {
                    struct world *world = pair_world(a, b, seed, seed % 2, &lags[l], seed % 4 > 1);
                    enum ladder_step best = can[a][b] ? LADDER_DIRECT : seed % 2 ? LADDER_RELAY : LADDER_HUB;
                    int64_t took = world_until(world, best == LADDER_HUB ? LADDER_TRYING : best, best == LADDER_DIRECT ? S(30) : S(40));
                    if (took < 0)
                        fail_msg("%s and %s, lag %zu, seed %u: %s, %s", nat_names[a], nat_names[b], l, seed, ladder_words[ladder_step(world->ladder)], ladder_reason(world->ladder));
                    runs += best == LADDER_DIRECT;
                    late += best == LADDER_DIRECT && took > S(10);
                    if (best == LADDER_HUB)
                        took = world_until(world, LADDER_HUB, S(40));
                    assert_true(took >= 0);
                    world_run(world, S(50));
                    if (ladder_step(world->ladder) != best)
                        fail_msg("%s and %s, lag %zu, seed %u: left %s: %s", nat_names[a], nat_names[b], l, seed, ladder_words[best], ladder_reason(world->ladder));
                    world_free(world);
                }
    if (late)
        fail_msg("%u of %u direct ways took longer than 10 s", late, runs);
}

/* Ways die and come back. */

static struct world *settled(enum nat a, enum nat b, unsigned seed, bool relay, enum ladder_step step)
{
    struct world *world = world_new(a, b, seed, relay);
    if (world_until(world, step, S(40)) < 0)
        fail_msg("%s and %s: %s", nat_names[a], nat_names[b], ladder_reason(world->ladder));
    return world;
}

static void test_dies(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 6; seed++) {
        bool relay = seed % 2;
        struct world *world = settled(RESTRICTED, PORT_RESTRICTED, seed, false, LADDER_DIRECT);
        world_run(world, S(seed * 200));
        world->direct_cut = true;
        int64_t took = world_until(world, LADDER_HUB, S(60));
        assert_true(took > 0 && took <= S(22));
        assert_non_null(strstr(ladder_reason(world->ladder), "the direct way died after"));
        world_run(world, S(5));
        assert_int_equal(world->sides[0].carries, LADDER_HUB);
        world_run(world, S(100));
        world->direct_cut = false;
        assert_true(world_until(world, LADDER_DIRECT, S(400)) >= 0);
        assert_non_null(strstr(ladder_reason(world->ladder), "where they met last time"));
        world_free(world);
        world = settled(SYMMETRIC, SYMMETRIC, seed, true, LADDER_RELAY);
        world->relay_cut = true;
        took = world_until(world, LADDER_HUB, S(60));
        assert_true(took > 0 && took <= S(22));
        world->relay_cut = !relay;
        world_run(world, S(600));
        assert_int_equal(ladder_step(world->ladder), relay ? LADDER_RELAY : LADDER_HUB);
        world_free(world);
    }
}

/* A way that dies three minutes after it was carried, for 20 s, again and again. And places that change all the time. */
static void test_no_flapping(void **state)
{
    (void)state;
    for (int moving = 0; moving < 2; moving++) {
        struct world *world = settled(PORT_RESTRICTED, RESTRICTED, 3, false, LADDER_DIRECT);
        int64_t carried_at = world->now, end = world->now + S(3600);
        world->changes = 0;
        while (world->now < end) {
            if (world->was != LADDER_DIRECT)
                carried_at = world->now;
            world->direct_cut = world->now - carried_at >= S(180) && world->now - carried_at < S(200);
            if (moving && world->now % S(30) == 0)
                for (size_t i = 0; i < world->gateways[0].mapping_count; i++)
                    world->gateways[0].mappings[i].used = world->was == LADDER_DIRECT ? world->gateways[0].mappings[i].used : 0;
            world_step(world);
        }
        if (world->changes > (moving ? 20u : 14u) || world->changes < 4)
            fail_msg("%u changes in an hour", world->changes);
        world_free(world);
    }
    /* where nothing can go direct, it is not tried all the time */
    struct world *world = world_new(SYMMETRIC, SYMMETRIC, 1, false);
    world_run(world, S(3600));
    assert_in_range(ladder_climbs(world->ladder), 4, 7);
    assert_non_null(strstr(ladder_reason(world->ladder), "both NATs change the port"));
    assert_non_null(strstr(ladder_reason(world->ladder), "no answer at any place tried"));
    world_free(world);
    /* nor as often as the places change */
    world = world_new(SYMMETRIC, SYMMETRIC, 2, false);
    for (int64_t end = world->now + S(3600); world->now < end; world_step(world))
        if (world->now % S(15) == 0)
            for (size_t i = 0; i < world->gateways[0].mapping_count; i++)
                world->gateways[0].mappings[i].used = 0;
    assert_in_range(ladder_climbs(world->ladder), 6, 18);
    world_free(world);
}

/* A gateway that takes packets without a mapping for its own gives its node another port then: by the third climb each order of telling has been tried. */
static void test_open_gateways(void **state)
{
    static const enum nat kinds[][2] = {{OPEN_GATEWAY, PORT_RESTRICTED}, {PORT_RESTRICTED, OPEN_GATEWAY}, {OPEN_GATEWAY, OPEN_GATEWAY}, {OPEN_GATEWAY, RESTRICTED}, {OPEN_GATEWAY, NONE}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct world *world = world_new(kinds[i][0], kinds[i][1], (unsigned)i, false);
        world->order_delay[0] = 25 * MS;
        int64_t took = world_until(world, LADDER_DIRECT, S(300));
        if (took < 0)
            fail_msg("%s and %s: %s", nat_names[kinds[i][0]], nat_names[kinds[i][1]], ladder_reason(world->ladder));
        assert_true(ladder_climbs(world->ladder) <= 3);
        world_free(world);
    }
}

static void test_change_of_place(void **state)
{
    (void)state;
    struct world *world = world_new(SYMMETRIC, PORT_RESTRICTED, 5, false);
    world_run(world, S(300));
    assert_int_equal(ladder_step(world->ladder), LADDER_HUB);
    world->gateways[0] = (struct gateway){.kind = RESTRICTED, .address = place("198.51.100.77:1").address, .next_port = 2000}; /* the laptop is in another network */
    int64_t took = world_until(world, LADDER_DIRECT, S(60));
    assert_true(took >= 0 && took <= S(12));
    world_free(world);
}

static void test_same_network(void **state)
{
    (void)state;
    struct world *world = world_new(SYMMETRIC, NONE, 5, false);
    world->sides[1].gateway = world->sides[0].gateway;
    world->sides[1].inside = place("192.168.1.77:51820");
    assert_true(world_until(world, LADDER_DIRECT, S(8)) >= 0);
    assert_non_null(strstr(ladder_reason(world->ladder), "in the same network"));
    world_free(world);
    /* Two initiations that cross fail both; that something came is the sign that this place is worth more time. The next ones cross again only by bad luck. */
    unsigned found = 0;
    for (unsigned seed = 0; seed < 20; seed++) {
        world = world_new(SYMMETRIC, NONE, seed, false);
        world->sides[1].gateway = world->sides[0].gateway;
        world->sides[1].inside = place("192.168.1.77:51820");
        world->delay = 60 * MS;
        world->order_delay[0] = 500 * MS; /* the one that is told first, and hears it at the same time as the other */
        world->order_delay[1] = 100 * MS;
        int64_t took = world_until(world, LADDER_DIRECT, S(12));
        assert_true(took < 0 || took > S(4));
        found += took > 0 && strstr(ladder_reason(world->ladder), "in the same network");
        world_free(world);
    }
    assert_true(found >= 10);
}

static void test_only_relay_or_direct(void **state)
{
    (void)state;
    struct world *world = world_new(NONE, NONE, 1, true);
    ladder_free(world->ladder);
    world->ladder = ladder_new(&(struct ladder_options){.relay = world->relay});
    assert_true(world_until(world, LADDER_RELAY, S(5)) >= 0);
    world_run(world, S(7500)); /* direct is off: the relay is not left to look for it */
    assert_int_equal(ladder_climbs(world->ladder), 1);
    world_free(world);
    world = world_new(NONE, NONE, 1, false);
    ladder_free(world->ladder);
    world->ladder = ladder_new(&(struct ladder_options){.direct = false});
    world_run(world, S(100));
    assert_int_equal(world->tries_ordered, 0);
    assert_non_null(strstr(ladder_reason(world->ladder), "there is no relay"));
    world_free(world);
}

/* From the relay a direct way is looked for when places change, and once an hour. */
static void test_from_relay(void **state)
{
    (void)state;
    struct world *world = settled(SYMMETRIC, SYMMETRIC, 9, true, LADDER_RELAY);
    world_run(world, S(100));
    assert_int_equal(ladder_climbs(world->ladder), 1);
    world->gateways[0] = (struct gateway){.kind = FULL, .address = place("198.51.100.77:1").address, .next_port = 2000};
    assert_true(world_until(world, LADDER_DIRECT, S(40)) >= 0);
    world_free(world);
    world = settled(SYMMETRIC, SYMMETRIC, 9, true, LADDER_RELAY);
    world_run(world, S(4000));
    assert_int_equal(ladder_climbs(world->ladder), 2);
    assert_int_equal(ladder_step(world->ladder), LADDER_RELAY);
    world_free(world);
}

/* A session that lives already: no handshake is made, data arrives. */
static void test_live_session(void **state)
{
    (void)state;
    struct world *world = settled(FULL, RESTRICTED, 2, false, LADDER_DIRECT);
    int64_t handshake = world->sides[0].handshake;
    ladder_free(world->ladder);
    for (int e = 0; e < 2; e++)
        obey(world, e, &(struct ladder_order){.deed = LADDER_YIELD});
    world->lasting = true;
    world->ladder = ladder_new(&(struct ladder_options){.direct = true, .lasting_rows = true});
    assert_true(world_until(world, LADDER_DIRECT, S(10)) >= 0);
    assert_true(world->sides[0].handshake == handshake);
    world_free(world);
}

/* Views and orders that are missing, late, lost. */

static void late_ages(struct world *world, struct ladder_end views[2])
{
    (void)world;
    for (int e = 0; e < 2; e++)
        if (views[e].age >= 0)
            views[e].age = views[e].age > S(4) ? views[e].age - S(4) : 0; /* as old as they come, and said to be fresh */
}

static void test_late_and_lost(void **state)
{
    (void)state;
    struct world *world = world_new(PORT_RESTRICTED, FULL, 4, false);
    world_lasting(world);
    world->view_delay = S(2);
    world->order_delay[0] = S(1);
    assert_true(world_until(world, LADDER_DIRECT, S(20)) >= 0);
    world_run(world, S(900));
    assert_int_equal(world->changes, 1);
    world_free(world);
    world = world_new(PORT_RESTRICTED, FULL, 4, false);
    world->lose_orders = 3;
    assert_true(world_until(world, LADDER_DIRECT, S(20)) >= 0);
    world_free(world);
    world = world_new(NONE, FULL, 4, false); /* one end does not hear: nothing is begun */
    world->sides[1].deaf = true;
    world_run(world, S(120));
    assert_int_equal(world->tries_ordered, 0);
    world->sides[1].deaf = false;
    assert_true(world_until(world, LADDER_DIRECT, S(10)) >= 0);
    world->sides[1].deaf = true; /* it carries on: that nobody sees it is no reason */
    world_run(world, S(300));
    assert_int_equal(ladder_step(world->ladder), LADDER_DIRECT);
    world_free(world);
    world = world_new(SYMMETRIC, SYMMETRIC, 4, false); /* lost in the middle */
    world_run(world, S(2));
    assert_int_equal(ladder_step(world->ladder), LADDER_TRYING);
    world->sides[1].deaf = true;
    world_run(world, S(18));
    assert_int_equal(ladder_step(world->ladder), LADDER_HUB);
    assert_int_equal(world->sides[0].carries, LADDER_HUB);
    world->sides[1].deaf = false;
    world_run(world, S(5));
    world_free(world);
    world = settled(SYMMETRIC, SYMMETRIC, 4, true, LADDER_RELAY); /* an old handshake that looks young proves nothing */
    world->spoil = late_ages;
    world->direct_cut = world->relay_cut = true;
    world_run(world, S(20));
    world->changes = 0;
    world_run(world, S(1200));
    assert_int_equal(world->changes, 0);
    world_free(world);
}

/* What carries without this machine: another driver, an earlier one, an end alone. */
static void test_others(void **state)
{
    struct ladder_end ends[2];
    struct ladder_order orders[2];
    int64_t now = S(100);
    (void)state;
    struct ladder *ladder = ladder_new(&(struct ladder_options){.direct = true});
    for (int e = 0; e < 2; e++)
        ends[e] = (struct ladder_end){.answers = true, .observed = place(e ? "203.0.113.1:5" : "198.51.100.1:5"), .age = -1, .carries = LADDER_DIRECT};
    ladder_turn(ladder, now, ends, orders);
    assert_int_equal(ladder_step(ladder), LADDER_DIRECT); /* found so */
    assert_int_equal(orders[0].deed, LADDER_NOTHING);
    ends[0].carries = ends[1].carries = LADDER_RELAY;
    ladder_turn(ladder, now += S(1), ends, orders);
    assert_int_equal(ladder_step(ladder), LADDER_RELAY);
    assert_int_equal(orders[1].deed, LADDER_NOTHING);
    ladder_free(ladder);
    ladder = ladder_new(&(struct ladder_options){.direct = true});
    ends[0].carries = LADDER_TRYING;
    ends[1].carries = LADDER_HUB;
    for (int i = 0; i < 80; i++) { /* somebody else tries: left alone for a while */
        ladder_turn(ladder, now += S(1), ends, orders);
        assert_int_equal(orders[0].deed, LADDER_NOTHING);
        assert_int_equal(ladder_step(ladder), LADDER_HUB);
    }
    unsigned yields = 0;
    for (int i = 0; i < 20; i++) {
        ladder_turn(ladder, now += S(1), ends, orders);
        yields += orders[0].deed == LADDER_YIELD;
    }
    assert_in_range(yields, 1, 8);
    ends[0].carries = LADDER_HUB;
    ladder_turn(ladder, now += S(1), ends, orders);
    assert_int_equal(ladder_step(ladder), LADDER_TRYING);
    ladder_free(ladder);
    ladder = ladder_new(&(struct ladder_options){.direct = true});
    ends[1].carries = LADDER_RELAY; /* one alone */
    yields = 0;
    for (int i = 0; i < 14; i++) {
        ladder_turn(ladder, now += S(1), ends, orders);
        assert_int_equal(orders[0].deed, LADDER_NOTHING);
        yields += orders[1].deed == LADDER_YIELD;
    }
    assert_in_range(yields, 1, 3);
    ladder_free(ladder);
}

/* Ends that say that they carry, and nothing comes. */
static void test_silence(void **state)
{
    struct ladder_end ends[2];
    struct ladder_order orders[2];
    int64_t now = S(100);
    (void)state;
    struct ladder *ladder = ladder_new(&(struct ladder_options){.direct = true});
    for (int e = 0; e < 2; e++)
        ends[e] = (struct ladder_end){.answers = true, .observed = place(e ? "203.0.113.1:5" : "198.51.100.1:5"), .age = 0, .carries = LADDER_DIRECT};
    for (int i = 0; i < 200; i++) {
        ends[0].rx += 10;
        ends[1].rx += i < 100;
        ladder_turn(ladder, now += S(1), ends, orders);
        assert_int_equal(ladder_step(ladder) == LADDER_DIRECT, i < 144);
        if (ladder_step(ladder) != LADDER_DIRECT) {
            assert_int_equal(orders[0].deed, LADDER_YIELD);
            assert_int_equal(orders[1].deed, LADDER_YIELD);
            assert_non_null(strstr(orders[1].reason, "nothing comes by it"));
            break;
        }
    }
    unsigned again = 0; /* an order is lost: that end is told again, and nobody takes it for a way that was found */
    ends[1].carries = LADDER_HUB;
    for (int i = 0; i < 8; i++) {
        ladder_turn(ladder, now += S(1), ends, orders);
        again += orders[0].deed == LADDER_YIELD;
        assert_int_equal(orders[1].deed, LADDER_NOTHING);
        assert_int_equal(ladder_step(ladder), LADDER_HUB);
    }
    assert_in_range(again, 2, 3);
    ladder_free(ladder);
}

/* By script: ends that are told, and what they say then. */

static void script(struct ladder_end ends[2], const char *first, const char *second)
{
    for (int e = 0; e < 2; e++) {
        ends[e] = (struct ladder_end){.answers = true, .observed = place(e ? second : first), .age = -1, .carries = LADDER_HUB, .candidate_count = 1};
        ends[e].candidates[0] = place(e ? "172.20.0.7:51820" : "192.168.1.5:51820");
    }
}

/* Who is told first, in which climb: the one that seems easier to reach, both at once, the other one. */
static void test_order_of_telling(void **state)
{
    static const struct { const char *observed[2]; int64_t apart[4]; } rows[] = {
        {{"198.51.100.1:51820", "203.0.113.1:40000"}, {S(0.4), 0, -S(0.4), S(0.4)}},
        {{"198.51.100.1:40000", "203.0.113.1:51820"}, {-S(0.4), 0, S(0.4), -S(0.4)}},
    };
    (void)state;
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct ladder *ladder = ladder_new(&(struct ladder_options){.direct = true});
        struct ladder_end ends[2];
        struct ladder_order orders[2];
        int64_t told[4][2] = {{0}};
        script(ends, rows[r].observed[0], rows[r].observed[1]);
        for (int64_t now = S(1); now < S(700); now += S(0.1)) {
            ladder_turn(ladder, now, ends, orders);
            for (int e = 0; e < 2; e++) {
                unsigned climb = ladder_climbs(ladder);
                if (orders[e].deed == LADDER_TRY) {
                    ends[e].carries = LADDER_TRYING;
                    ends[e].row = orders[e].endpoint;
                    if (climb <= 4 && !told[climb - 1][e])
                        told[climb - 1][e] = now;
                } else if (orders[e].deed == LADDER_YIELD) {
                    ends[e].carries = LADDER_HUB;
                }
            }
        }
        for (size_t i = 0; i < 4; i++)
            CASE_ASSERT(r, told[i][0] && told[i][1] && told[i][1] - told[i][0] == rows[r].apart[i]);
        ladder_free(ladder);
    }
}

/* What is no proof: one end alone, and an old handshake in a view that is late. And rows that are made anew begin to count anew. */
static void test_proof(void **state)
{
    static const struct { int64_t before[2], age[2]; uint64_t grown[2]; bool carried; } rows[] = {
        {{-1, -1}, {S(0.1), S(0.1)}, {180, 124}, true},
        {{-1, -1}, {S(0.1), -1}, {92, 148}, false},
        {{-1, -1}, {-1, -1}, {148, 148}, false},
        {{S(60), S(60)}, {S(61), S(61)}, {32, 32}, true},   /* data of a live session */
        {{S(60), S(60)}, {S(61), S(61)}, {32, 0}, false},
        {{S(60), S(60)}, {0, 0}, {0, 0}, false},            /* late: nothing has come since */
        {{S(200), S(200)}, {S(201), S(201)}, {32, 32}, false}, /* too old to carry data */
        {{S(200), S(60)}, {S(0.1), S(0.1)}, {92, 148}, true},
    };
    (void)state;
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct ladder *ladder = ladder_new(&(struct ladder_options){.direct = true});
        struct ladder_end ends[2];
        struct ladder_order orders[2];
        unsigned carries = 0;
        script(ends, "198.51.100.1:40000", "203.0.113.1:40000");
        for (int e = 0; e < 2; e++) {
            ends[e].age = rows[r].before[e];
            ends[e].rx = 5000;
        }
        for (int64_t now = S(1); now < S(3); now += S(0.1)) {
            ladder_turn(ladder, now, ends, orders);
            for (int e = 0; e < 2; e++) {
                carries += orders[e].deed == LADDER_CARRY;
                if (orders[e].deed == LADDER_TRY)
                    ends[e].carries = LADDER_TRYING;
                if (now >= S(2)) {
                    ends[e].age = rows[r].age[e];
                    ends[e].rx = 5000 + rows[r].grown[e];
                }
            }
        }
        CASE_ASSERT(r, carries == (rows[r].carried ? 2u : 0u));
        ladder_free(ladder);
    }
}

static void test_rows_made_anew(void **state)
{
    struct ladder *ladder = ladder_new(&(struct ladder_options){.direct = true});
    struct ladder_end ends[2];
    struct ladder_order orders[2];
    int64_t began = 0;
    unsigned tries = 0;
    (void)state;
    script(ends, "198.51.100.1:40000", "203.0.113.1:40000");
    for (int64_t now = S(1); now < S(60); now += S(0.1)) {
        ladder_turn(ladder, now, ends, orders);
        if (orders[0].deed == LADDER_TRY && ++tries == 2)
            began = now;
        if (tries == 2 && orders[0].deed == LADDER_YIELD) { /* the second place was the last one; nothing came by it */
            assert_in_range(now - began, S(2), S(4));
            ladder_free(ladder);
            return;
        }
        for (int e = 0; e < 2; e++)
            if (orders[e].deed == LADDER_TRY)
                ends[e].carries = LADDER_TRYING;
        ends[1].rx = tries == 1 ? 148 : 0; /* one initiation came, once; then the row is a new one */
    }
    fail_msg("no end of the climb: %s", ladder_reason(ladder));
}

/* Places that are never tried, whoever names them. */
static void test_hostile_places(void **state)
{
    static const char *const bad[] = {
        "127.0.0.1:51820", "127.255.255.254:1", "0.0.0.0:51820", "0.1.2.3:51820", "224.0.0.1:51820", "239.255.255.250:1900", "255.255.255.255:51820", "240.0.0.1:5", "169.254.169.254:80",
        "[::1]:51820", "[::]:51820", "[ff02::1]:51820", "[fe80::1]:51820", "[fe80::1%2]:51820", "[::ffff:127.0.0.1]:51820", "[::ffff:10.44.0.1]:51820", "[::10.44.0.1]:5",
        "10.44.0.193:51820", "10.44.255.255:51820", "[fd00:44::7]:51820",
    };
    struct prefix never[2];
    (void)state;
    assert_int_equal(prefix_parse("10.44.0.0/16", &never[0]), 0);
    assert_int_equal(prefix_parse("fd00:44::/32", &never[1]), 0);
    struct ladder_options options = {.direct = true, .never = never, .never_count = 2};
    for (size_t i = 0; i <= COUNT_OF(bad); i++) {
        struct endpoint hostile = i < COUNT_OF(bad) ? place(bad[i]) : (struct endpoint){.address = place("203.0.113.1:1").address};
        CASE_ASSERT(i, !ladder_may_try(&options, &hostile));
        struct ladder *ladder = ladder_new(&options);
        struct ladder_end ends[2];
        struct ladder_order orders[2];
        for (int e = 0; e < 2; e++)
            ends[e] = (struct ladder_end){.answers = true, .age = e ? INT64_MAX : INT64_MIN, .rx = UINT64_MAX - (uint64_t)e};
        ends[0].observed = ends[1].observed = place("198.51.100.1:40000");
        ends[1].observed.port = 40001;
        for (size_t k = 0; k < LADDER_CANDIDATES; k++)
            ends[0].candidates[k] = hostile;
        ends[0].candidate_count = i % 2 ? LADDER_CANDIDATES : 4000000000u;
        ends[1].candidates[0] = place("192.168.1.7:51820");
        ends[1].candidate_count = 1;
        if (i % 3 == 0)
            ends[0].observed = hostile;
        for (int64_t now = S(1); now < S(200); now += S(0.5)) {
            ladder_turn(ladder, now, ends, orders);
            for (int e = 0; e < 2; e++) {
                CASE_ASSERT(i, orders[e].deed != LADDER_CARRY);
                CASE_ASSERT(i, orders[e].deed != LADDER_TRY || ladder_may_try(&options, &orders[e].endpoint));
            }
        }
        ladder_free(ladder);
    }
    struct endpoint good[] = {place("203.0.113.1:1"), place("[2001:db8::1]:65535"), place("10.45.0.1:51820"), place("100.64.0.1:5"), place("[fd00:45::1]:5")};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        CASE_ASSERT(i, ladder_may_try(&options, &good[i]));
}

/* Which places, in which order: "told[0] told[1]" of each, told[0] being where the first end looks for the second. */
static void test_places(void **state)
{
    static const struct {
        const char *observed[2], *candidates[2][4];
        const char *tries;
    } rows[] = {
        {{"198.51.100.1:40000", "203.0.113.1:40001"}, {{"192.168.1.5:51820"}, {"192.168.1.9:51820"}}, "seen 203.0.113.1:40001 198.51.100.1:40000, forward 203.0.113.1:51820 198.51.100.1:51820"},
        {{"198.51.100.1:51820", "203.0.113.1:51820"}, {{"10.1.0.5:51820"}, {"10.2.0.9:51820"}}, "seen 203.0.113.1:51820 198.51.100.1:51820, routed 10.2.0.9:51820 10.1.0.5:51820"},
        {{"198.51.100.1:40000", "198.51.100.1:40001"}, {{"172.17.0.1:51820", "192.168.1.5:51820", "10.0.0.3:51820"}, {"192.168.1.9:51820", "172.17.0.1:51820", "10.0.0.4:51820"}},
         "lan 10.0.0.4:51820 10.0.0.3:51820, seen 198.51.100.1:40001 198.51.100.1:40000, lan 192.168.1.9:51820 192.168.1.5:51820"},
        {{"198.51.100.1:40000", "203.0.113.1:51820"}, {{"[2001:db8::1]:51820", "192.168.1.5:51820"}, {"203.0.113.1:51820", "[2001:db8:9::1]:51820"}},
         "six [2001:db8:9::1]:51820 [2001:db8::1]:51820, seen 203.0.113.1:51820 198.51.100.1:40000, forward 203.0.113.1:51820 198.51.100.1:51820"},
        {{"198.51.100.1:40000", "[2001:db8::1]:7"}, {{"192.168.1.5:51820"}, {"203.0.113.9:51820"}},
         "seen [2001:db8::1]:7 198.51.100.1:40000, own 203.0.113.9:51820 198.51.100.1:40000, forward [2001:db8::1]:51820 198.51.100.1:51820"},
        {{"198.51.100.1:40000", "203.0.113.1:51820"}, {{"192.168.1.5:51820"}, {"198.51.100.1:51820"}}, ""}, /* nobody is sent to an address of its own */
        {{NULL, "203.0.113.1:51820"}, {{"192.168.1.5:51820"}, {"203.0.113.1:51820"}}, ""},
    };
    static const char *const words[] = {"last", "lan", "six", "seen", "own", "forward", "routed", "relay"};
    (void)state;
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct ladder_end ends[2] = {{.age = -1}, {.age = -1}};
        struct ladder_try tries[LADDER_TRIES];
        struct buf text = BUF_EMPTY;
        for (int e = 0; e < 2; e++) {
            if (rows[r].observed[e])
                ends[e].observed = place(rows[r].observed[e]);
            for (size_t i = 0; i < 4 && rows[r].candidates[e][i]; i++)
                ends[e].candidates[ends[e].candidate_count++] = place(rows[r].candidates[e][i]);
        }
        size_t count = ladder_places(&(struct ladder_options){.direct = true}, ends, NULL, tries);
        for (size_t i = 0; i < count; i++) {
            char told[2][ENDPOINT_TEXT_SIZE];
            endpoint_text(&tries[i].told[0], told[0]);
            endpoint_text(&tries[i].told[1], told[1]);
            buf_add_format(&text, "%s%s %s %s", i ? ", " : "", words[tries[i].place], told[0], told[1]);
        }
        if (strcmp(buf_text(&text), rows[r].tries) != 0)
            fail_msg("row %zu: %s", r, buf_text(&text));
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_no_flapping),
        cmocka_unit_test(test_open_gateways),
        cmocka_unit_test(test_change_of_place),
        cmocka_unit_test(test_same_network),
        cmocka_unit_test(test_only_relay_or_direct),
        cmocka_unit_test(test_from_relay),
        cmocka_unit_test(test_live_session),
        cmocka_unit_test(test_late_and_lost),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_order_of_telling),
        cmocka_unit_test(test_proof),
        cmocka_unit_test(test_rows_made_anew),
        cmocka_unit_test(test_hostile_places),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
