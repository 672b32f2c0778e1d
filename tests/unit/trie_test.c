/* trie.h: allowed IPs, against tables of cases and a slow reference; their speed and memory. */
#include "peers_world.h"

#include <arpa/inet.h>
#include <time.h>

enum { PEERS = 12 };
static struct world {
    struct epoch epoch;
    struct trie trie;
    struct peer *peers[PEERS];
} world;

static int begin(void **state)
{
    (void)state;
    epoch_begin(&world.epoch);
    trie_begin(&world.trie, &world.epoch);
    for (size_t i = 0; i < PEERS; i++)
        world.peers[i] = lines_alloc(sizeof(struct peer));
    return 0;
}

static int end(void **state)
{
    (void)state;
    trie_end(&world.trie);
    epoch_reclaim(&world.epoch);
    for (size_t i = 0; i < PEERS; i++)
        free(world.peers[i]);
    return world.trie.nodes == 0 ? 0 : -1;
}

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    if (prefix_parse(text, &prefix) != 0)
        fail_msg("%s is no prefix", text);
    return prefix;
}

/* "-": nobody. */
static char who(const char *text)
{
    struct prefix prefix = prefix_of(text);
    struct peer *peer = (prefix.address.family == AF_INET ? trie_find4 : trie_find6)(&world.trie, prefix.address.bytes);
    for (size_t i = 0; i < PEERS; i++)
        if (peer == world.peers[i])
            return (char)('a' + i);
    return '-';
}

/* Steps one after another on one trie: + gives a row to a peer, - takes it from that peer, x removes a peer's rows, ? looks up. */
static void test_steps(void **state)
{
    static const struct { char step, peer; const char *text; } steps[] = {
        {'?', '-', "10.0.0.1"}, {'?', '-', "::"},
        {'+', 'a', "10.0.0.0/8"}, {'+', 'b', "10.1.0.0/16"}, {'+', 'c', "10.1.2.3/32"},
        {'?', 'a', "10.0.0.1"}, {'?', 'b', "10.1.0.1"}, {'?', 'c', "10.1.2.3"}, {'?', 'b', "10.1.2.2"}, {'?', '-', "11.0.0.1"},
        {'-', 'a', "10.1.0.0/16"}, {'?', 'b', "10.1.0.1"}, /* not its own */
        {'-', 'b', "10.1.0.0/17"}, {'?', 'b', "10.1.0.1"}, /* no such row */
        {'+', 'd', "10.1.99.7/16"}, {'?', 'd', "10.1.0.1"}, {'-', 'b', "10.1.0.0/16"}, {'?', 'd', "10.1.0.1"}, /* changed hands, host bits and all */
        {'-', 'd', "10.1.1.1/16"}, {'?', 'a', "10.1.0.1"}, {'?', 'c', "10.1.2.3"},
        {'+', 'e', "0.0.0.0/0"}, {'?', 'e', "11.0.0.1"}, {'?', 'e', "255.255.255.255"}, {'?', 'a', "10.255.255.255"}, {'?', '-', "fd00::1"},
        {'x', 'a', ""}, {'?', 'e', "10.0.0.1"}, {'?', 'c', "10.1.2.3"},
        {'+', 'a', "::/0"}, {'+', 'b', "fd00::/64"}, {'+', 'c', "fd00::/65"}, {'+', 'd', "fd00::1/128"}, {'+', 'f', "fd00::/63"},
        {'?', 'a', "2001:db8::1"}, {'?', 'd', "fd00::1"}, {'?', 'c', "fd00::2"}, {'?', 'b', "fd00::8000:0:0:1"}, {'?', 'f', "fd00:0:0:1::1"},
        {'?', 'a', "fd00:0:0:2::1"}, {'?', 'a', "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {'-', 'b', "fd00::/64"}, {'?', 'f', "fd00::8000:0:0:1"}, {'?', 'c', "fd00::2"},
        {'+', 'g', "10.1.2.3"}, {'?', 'g', "10.1.2.3"}, {'x', 'c', ""}, {'?', 'g', "10.1.2.3"}, {'?', 'f', "fd00::2"},
        {'+', 'h', "128.0.0.0/1"}, {'+', 'i', "0.0.0.0/1"}, {'?', 'h', "128.0.0.0"}, {'?', 'i', "127.255.255.255"}, {'?', 'g', "10.1.2.3"},
        {'x', 'h', ""}, {'?', 'e', "128.0.0.0"},
        {'x', 'd', ""}, {'x', 'e', ""}, {'x', 'f', ""}, {'x', 'g', ""}, {'x', 'i', ""}, {'x', 'a', ""}, {'?', '-', "10.1.2.3"}, {'?', '-', "fd00::1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct peer *peer = steps[i].peer == '-' ? NULL : world.peers[steps[i].peer - 'a'];
        struct prefix prefix = steps[i].step == 'x' ? (struct prefix){0} : prefix_of(steps[i].text);
        switch (steps[i].step) {
        case '+': trie_insert(&world.trie, &prefix, peer); break;
        case '-': trie_remove(&world.trie, &prefix, peer); break;
        case 'x': trie_remove_peer(&world.trie, peer); break;
        default: CASE_ASSERT(i, who(steps[i].text) == steps[i].peer);
        }
    }
    assert_int_equal(world.trie.nodes, 0);
}

static void test_nonsense(void **state)
{
    const struct prefix wrong[] = {{.address.family = AF_INET, .length = 33}, {.address.family = AF_INET6, .length = 129}, {.address.family = 0},
                                   {.address.family = AF_UNIX, .length = 3}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        trie_insert(&world.trie, &wrong[i], world.peers[0]);
        trie_remove(&world.trie, &wrong[i], world.peers[0]);
        CASE_ASSERT(i, world.trie.nodes == 0);
    }
}

static void test_walk(void **state)
{
    static const char *const rows[] = {"10.0.0.3/32", "10.0.0.1/32", "fd00::/8", "10.0.0.2/32", "0.0.0.0/0"};
    struct prefix prefix;
    struct trie_node *cursor = NULL;
    char text[PREFIX_TEXT_SIZE];
    (void)state;
    assert_null(trie_next(&world.trie, world.peers[0], NULL, &prefix));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        prefix = prefix_of(rows[i]);
        trie_insert(&world.trie, &prefix, world.peers[0]);
        trie_insert(&world.trie, &prefix, world.peers[0]); /* again: nothing */
    }
    assert_int_equal(world.peers[0]->prefix_count, COUNT_OF(rows));
    for (size_t i = 0; i < COUNT_OF(rows); i++) { /* in the order in which they were given */
        cursor = trie_next(&world.trie, world.peers[0], cursor, &prefix);
        assert_non_null(cursor);
        prefix_text(&prefix, text);
        assert_string_equal(text, rows[i]);
    }
    assert_null(trie_next(&world.trie, world.peers[0], cursor, &prefix));
    trie_remove_peer(&world.trie, world.peers[0]);
    assert_int_equal(world.peers[0]->prefix_count, 0);
    assert_null(world.peers[0]->prefixes);
}

/* --- against a list that is searched from end to end */

enum { ROWS = 500 };
static struct row { struct prefix prefix; struct peer *peer; } list[ROWS];

static uint64_t random_state = 88172645463325252u;
static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* Few different bits, so that prefixes meet. */
static struct address random_address(void)
{
    struct address address = {.family = random_number() & 1 ? AF_INET : AF_INET6};
    unsigned size = address.family == AF_INET ? 4 : 16;
    for (unsigned i = 0; i < size; i++)
        address.bytes[i] = random_number() % 8 ? (i == size - 1 || i == 7 || i == 8) ? (uint8_t)(random_number() & 0xc7) : 0x0a : (uint8_t)random_number();
    return address;
}

static struct prefix random_prefix(void)
{
    struct prefix prefix = {.address = random_address()};
    unsigned bits = address_bits(&prefix.address);
    prefix.length = (uint8_t)(random_number() % 3 ? bits : random_number() & 1 ? random_number() % (bits + 1) : bits - random_number() % 9);
    return prefix;
}

static struct row *list_find(const struct prefix *prefix)
{
    struct prefix network = prefix_network(prefix);
    struct row *room = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        if (list[i].peer && prefix_compare(&list[i].prefix, &network) == 0)
            return &list[i];
        if (!list[i].peer)
            room = &list[i];
    }
    if (room)
        room->prefix = network;
    return room;
}

static struct peer *list_lookup(const struct address *address)
{
    const struct row *best = NULL;
    for (size_t i = 0; i < ROWS; i++)
        if (list[i].peer && prefix_contains(&list[i].prefix, address) && (!best || list[i].prefix.length > best->prefix.length))
            best = &list[i];
    return best ? best->peer : NULL;
}

/* GROW: of 100 steps so many give a row. */
static void random_step(unsigned grow)
{
    struct prefix prefix = random_prefix();
    struct peer *peer = world.peers[random_number() % PEERS];
    struct row *row = list_find(&prefix);
    unsigned kind = (unsigned)(random_number() % 100);
    if (kind < grow && row) {
        trie_insert(&world.trie, &prefix, peer);
        row->peer = peer;
    } else if (kind < 99) {
        struct row *any = &list[random_number() % ROWS];
        if (random_number() & 1 && any->peer) { /* one that is there, mostly its own peer's */
            row = any;
            prefix = row->prefix;
            peer = random_number() % 4 ? row->peer : peer;
        }
        trie_remove(&world.trie, &prefix, peer);
        if (row && row->peer == peer)
            row->peer = NULL;
    } else {
        trie_remove_peer(&world.trie, peer);
        for (size_t i = 0; i < ROWS; i++)
            if (list[i].peer == peer)
                list[i].peer = NULL;
    }
}

static void test_random(void **state)
{
    unsigned tables = 0; /* how often the table of whole addresses came or went */
    void *hosts = NULL;
    (void)state;
    for (unsigned step = 0; step < 40000; step++) {
        size_t rows = 0, counted = 0;
        random_step(step / 2000 % 2 ? 20 : 80);
        for (unsigned i = 0; i < 3; i++) {
            struct address address = random_address();
            struct peer *peer = (address.family == AF_INET ? trie_find4 : trie_find6)(&world.trie, address.bytes);
            if (peer != list_lookup(&address))
                fail_msg("step %u: another answer than the list's", step);
        }
        for (size_t i = 0; i < ROWS; i++)
            rows += list[i].peer != NULL;
        for (size_t i = 0; i < PEERS; i++)
            counted += world.peers[i]->prefix_count;
        assert_int_equal(rows, counted);
        assert_true(world.trie.nodes <= (rows ? 2 * rows - 1 : 0)); /* no fork that forks nothing */
        tables += hosts != world.trie.v4.hosts;
        hosts = world.trie.v4.hosts;
        if (step % 64 == 0)
            epoch_reclaim(&world.epoch);
    }
    for (size_t i = 0; i < PEERS; i++)
        trie_remove_peer(&world.trie, world.peers[i]);
    assert_int_equal(world.trie.nodes, 0);
    assert_null(world.trie.v4.hosts);
    assert_true(tables > 3);
}

/* --- speed */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 100
#else
#define SLOWER 1
#endif

/* Of this process alone: the machine may be busy. */
static double seconds_since(clock_t begun)
{
    return (double)(clock() - begun) / CLOCKS_PER_SEC;
}

static struct prefix host(uint32_t address)
{
    struct prefix prefix = {.address.family = AF_INET, .length = 32};
    address = htonl(address);
    memcpy(prefix.address.bytes, &address, sizeof address);
    return prefix;
}

/* As the kernel's own test has them: 510 rows each for 256 peers; here all of one. */
static void test_many_rows(void **state)
{
    clock_t begun = clock();
    (void)state;
    for (uint32_t i = 0; i < 130560; i++) {
        struct prefix prefix = host(0x0a000000u + i * 2654435761u % 0x1000000);
        trie_insert(&world.trie, &prefix, world.peers[i % PEERS]);
    }
    print_message("130,560 rows given in %.3f s, %llu nodes\n", seconds_since(begun), (unsigned long long)world.trie.nodes);
    assert_true(seconds_since(begun) < 1 * SLOWER);
    begun = clock();
    for (size_t i = 0; i < PEERS; i++)
        trie_remove_peer(&world.trie, world.peers[i]);
    epoch_reclaim(&world.epoch);
    print_message("and taken in %.3f s\n", seconds_since(begun));
    assert_int_equal(world.trie.nodes, 0);
    assert_null(world.epoch.retired);
}

static void lookups(const char *words, uint32_t step)
{
    enum { COUNT = 10000, LOOKUPS = 4000000 };
    static uint8_t addresses[COUNT][4];
    static const unsigned prime = 7919;
    size_t found = 0;
    double best = 1e9;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct prefix prefix = host(0x0a000000u + i * step % 0x1000000);
        trie_insert(&world.trie, &prefix, world.peers[i % PEERS]);
        memcpy(addresses[i * prime % COUNT], prefix.address.bytes, 4); /* asked in another order */
    }
    for (unsigned round = 0; round < 5; round++) {
        clock_t begun = clock();
        double each;
        for (uint32_t i = 0; i < LOOKUPS / 5; i++)
            found += trie_find4(&world.trie, addresses[i % COUNT]) != NULL;
        each = seconds_since(begun) * 1e9 / (LOOKUPS / 5);
        best = each < best ? each : best;
    }
    assert_int_equal(found, LOOKUPS);
    print_message("a look-up among 10,000 %s: %.1f ns\n", words, best);
    assert_true(best < 40 * SLOWER);
    for (size_t i = 0; i < PEERS; i++)
        trie_remove_peer(&world.trie, world.peers[i]);
    epoch_reclaim(&world.epoch);
}

static void test_lookups(void **state)
{
    (void)state;
    lookups("addresses in a row", 1);
    lookups("addresses all over a /8", 2654435761u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps, begin, end),      cmocka_unit_test_setup_teardown(test_nonsense, begin, end),
        cmocka_unit_test_setup_teardown(test_walk, begin, end),       cmocka_unit_test_setup_teardown(test_random, begin, end),
        cmocka_unit_test_setup_teardown(test_many_rows, begin, end),  cmocka_unit_test_setup_teardown(test_lookups, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
