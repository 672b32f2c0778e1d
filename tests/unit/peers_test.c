/* engine.h, "peers.c": tables of peers and sessions. With several threads: peers_threads_test.c. */
#include "peers_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct engine *engine;

static int begin(void **state)
{
    (void)state;
    engine = mem_alloc(1, sizeof *engine);
    return engine_begin(engine, "wg0", NULL);
}

static int end(void **state)
{
    (void)state;
    engine_end(engine);
    free(engine);
    return 0;
}

static struct peer *add(uint32_t number)
{
    struct key key = test_key(number);
    return peer_add(engine, &key);
}

static void test_names(void **state)
{
    static const struct { const char *name; int code; } cases[] = {{"", EINVAL}, {"abcdefghijklmnop", ENAMETOOLONG}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct engine *other = mem_alloc(1, sizeof *other);
        struct err err = {{0}};
        CASE_ASSERT(i, engine_begin(other, cases[i].name, &err) == -1 && errno == cases[i].code);
        CASE_ASSERT(i, strstr(err.text, "1 to 15 characters"));
        free(other);
    }
}

static void test_tables(void **state)
{
    enum { COUNT = 1000 };
    static struct peer *peers[COUNT];
    struct key key;
    size_t count = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        key = test_key(i);
        assert_null(peer_find(engine, &key));
        peers[i] = add(i);
        assert_int_equal((uintptr_t)peers[i] % 64, 0);
        assert_int_equal(atomic_load(&peers[i]->armed), INT64_MAX);
    }
    for (uint32_t i = 0; i < COUNT; i += 3)
        peer_remove(peers[i]);
    for (uint32_t i = 0; i < COUNT; i++) {
        key = test_key(i);
        assert_ptr_equal(peer_find(engine, &key), i % 3 ? peers[i] : NULL);
    }
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next, count++)
        assert_ptr_equal(peer, peers[count / 2 * 3 + count % 2 + 1]); /* in order of creation */
    assert_int_equal(count, engine->peer_count);
    peers[0] = add(0);
    assert_null(peers[0]->list_next); /* the last now */
    while (engine->peers)
        peer_remove(engine->peers);
    assert_int_equal(engine->peer_count, 0);
    assert_int_equal(epoch_reclaim(&engine->epoch), 0);
    assert_true(secret_bytes(engine->peer_pool) < 100000); /* the rest went back */
    assert_non_null(add(7));
}

/* --- slots */

static char letter(struct keypair *keypair)
{
    return keypair ? (char)keypair->local_index : '-';
}

/* Sessions are letters; I installs one as initiator, R as responder, C confirms one, X expires all. After it: current, previous, next. */
static void test_slots(void **state)
{
    static const struct { const char *steps, *slots; } cases[] = {
        {"", "---"}, {"Ia", "a--"}, {"Ia Ib", "ba-"}, {"Ia Ib Ic", "cb-"},
        {"Ra", "--a"}, {"Ra Ca", "a--"}, {"Ra Rb", "--b"}, {"Ra Ca Rb", "a-b"}, {"Ra Ca Rb Cb", "ba-"}, {"Ra Ca Rb Cb Rc", "b-c"},
        {"Ra Ca Rb Cb Rc Cc", "cb-"},
        {"Ia Rb", "a-b"}, {"Ia Rb Ic", "cb-"}, {"Ia Rb Ic Cb", "cb-"}, /* both began: the other's session is still heard */
        {"Ia Ib Rc", "b-c"}, {"Ia Ca", "a--"}, {"Ia Rb Ca", "a-b"}, {"Ia Rb Cb Cb", "ba-"},
        {"Ra Ib", "ba-"}, {"Ia Ib Rc X", "---"}, {"X", "---"}, {"Ia X Ib", "b--"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct peer *peer = add((uint32_t)i);
        char slots[4] = {0};
        for (const char *step = cases[i].steps; *step; step += strcspn(step, " "), step += *step == ' ') {
            struct keypair *keypair;
            switch (*step) {
            case 'I': case 'R':
                keypair = test_session(peer, (uint32_t)step[1], *step == 'I');
                CASE_ASSERT(i, keypair->remote_index == ~(uint32_t)step[1] && keypair->born == 5 && keypair->peer == peer);
                CASE_ASSERT(i, keypair->initiator == (*step == 'I') && keypair->send_key[31] == (uint8_t)step[1]);
                break;
            case 'C':
                keypair = keypair_find(engine, (uint32_t)step[1]);
                CASE_ASSERT(i, keypair != NULL);
                bool was_next = peer->next == keypair;
                CASE_ASSERT(i, keypair_confirm(keypair) == was_next);
                break;
            case 'X': peer_expire(peer); break;
            default: break;
            }
        }
        slots[0] = letter(peer->current);
        slots[1] = letter(peer->previous);
        slots[2] = letter(peer->next);
        if (strcmp(slots, cases[i].slots))
            fail_msg("%s: %s, not %s", cases[i].steps, slots, cases[i].slots);
        for (char index = 'a'; index <= 'd'; index++) /* found exactly as long as it has a slot */
            CASE_ASSERT(i, (keypair_find(engine, (uint32_t)index) != NULL) == (strchr(slots, index) != NULL));
        peer_remove(peer);
        for (char index = 'a'; index <= 'd'; index++)
            CASE_ASSERT(i, !keypair_find(engine, (uint32_t)index));
    }
}

static void test_wiped(void **state)
{
    struct peer *peer = add(1), *other = add(2);
    struct keypair *old = test_session(peer, 0x4141, true);
    uint8_t *key = old->send_key;
    (void)state;
    test_session(other, 0x4242, true); /* keeps the slab */
    epoch_enter(&engine->epoch, 0);
    peer_expire(peer);
    epoch_reclaim(&engine->epoch);
    assert_int_equal(key[0], 0x41); /* somebody may be opening a packet under it */
    epoch_leave(&engine->epoch, 0);
    epoch_reclaim(&engine->epoch);
#ifndef __SANITIZE_ADDRESS__ /* it forbids the look */
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(key[i], 0);
#endif
}

static void test_same_bucket(void **state)
{
    struct peer *peer = add(1), *other = add(2);
    (void)state;
    test_session(peer, 5, true);
    test_session(peer, 5 + INDEX_BUCKETS, true);
    test_session(other, 5 + 2 * INDEX_BUCKETS, true);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(keypair_find(engine, 5 + i * INDEX_BUCKETS)->local_index, 5 + i * INDEX_BUCKETS);
    test_session(peer, 6, true); /* the first goes */
    assert_null(keypair_find(engine, 5));
    assert_non_null(keypair_find(engine, 5 + INDEX_BUCKETS));
    assert_non_null(keypair_find(engine, 5 + 2 * INDEX_BUCKETS));
}

/* --- waiting handshakes */

static void wait_under(struct peer *peer, uint32_t index)
{
    peer->handshake.waiting = true; /* as noise_initiation_make does, over what was there */
    peer->handshake.local_index = index;
    handshake_waits(peer);
}

static void test_handshakes(void **state)
{
    struct peer *a = add(1), *b = add(2);
    (void)state;
    assert_null(handshake_find(engine, 0));
    wait_under(a, 9);
    wait_under(b, 9 + INDEX_BUCKETS);
    assert_ptr_equal(handshake_find(engine, 9), a);
    assert_ptr_equal(handshake_find(engine, 9 + INDEX_BUCKETS), b);
    wait_under(a, 10);
    assert_null(handshake_find(engine, 9));
    assert_ptr_equal(handshake_find(engine, 10), a);
    assert_ptr_equal(handshake_find(engine, 9 + INDEX_BUCKETS), b);
    memset(a->handshake.ephemeral_private, 7, 32);
    memset(&a->handshake, 0, sizeof a->handshake); /* consumed */
    assert_null(handshake_find(engine, 10));
    assert_null(handshake_find(engine, 0));
    handshake_forget(a);
    handshake_forget(a);
    wait_under(a, 11);
    memset(a->handshake.ephemeral_private, 7, 32);
    peer_expire(a);
    assert_null(handshake_find(engine, 11));
    assert_int_equal(a->handshake.ephemeral_private[0], 0);
    wait_under(a, 12);
    peer_remove(a);
    assert_null(handshake_find(engine, 12));
    assert_ptr_equal(handshake_find(engine, 9 + INDEX_BUCKETS), b);
}

static void test_indices(void **state)
{
    uint32_t last = 0;
    unsigned near = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t index = index_new(engine);
        assert_int_not_equal(index, 0);
        near += index - last < 1000;
        last = index;
    }
    assert_true(near < 5);
}

/* --- endpoints */

static void test_endpoint(void **state)
{
    struct peer *peer = add(1);
    struct udp_endpoint endpoint = test_endpoint_of(77), got;
    uint32_t sequence;
    (void)state;
    peer_endpoint_get(peer, &got);
    assert_int_equal(got.to.plain.sa_family, 0);
    peer_endpoint_set(peer, &endpoint);
    sequence = peer->endpoint_sequence;
    peer_endpoint_set(peer, &endpoint);
    assert_int_equal(peer->endpoint_sequence, sequence); /* equal: not written */
    peer_endpoint_get(peer, &got);
    assert_memory_equal(&got, &endpoint, sizeof got);
    peer_endpoint_clear_source(peer);
    peer_endpoint_get(peer, &got);
    assert_int_equal(got.source_family, 0);
    assert_int_equal(got.source_interface, 0);
    assert_int_equal(got.to.v4.sin_port, htons(77));
    sequence = peer->endpoint_sequence;
    peer_endpoint_clear_source(peer);
    assert_int_equal(peer->endpoint_sequence, sequence);
}

/* --- inbox */

static uint64_t kicks(void)
{
    uint64_t value;
    return read(engine->control_kick, &value, sizeof value) == sizeof value ? value : 0;
}

static void test_inbox(void **state)
{
    struct peer *a = add(1), *b = add(2), *gone = add(3), *chain;
    (void)state;
    assert_true((engine->control_kick = eventfd(0, EFD_NONBLOCK)) >= 0);
    peer_post(a, PEER_WANTS_HANDSHAKE);
    peer_post(a, PEER_ROAMED);
    peer_post(b, PEER_CONFIRMED);
    peer_post(gone, PEER_ROAMED);
    assert_int_equal(kicks(), 1); /* one wakes it for all */
    peer_remove(gone);
    assert_int_equal(epoch_reclaim(&engine->epoch), 1); /* in the inbox: not freed */
    chain = engine_inbox_take(engine);
    assert_ptr_equal(chain, b);
    assert_ptr_equal(b->inbox_next, a);
    assert_null(a->inbox_next); /* who is removed is not told of */
    assert_int_equal(atomic_exchange(&a->events, 0), PEER_WANTS_HANDSHAKE | PEER_ROAMED);
    assert_int_equal(atomic_exchange(&b->events, 0), PEER_CONFIRMED);
    assert_int_equal(epoch_reclaim(&engine->epoch), 0);
    assert_null(engine_inbox_take(engine));
    peer_post(a, PEER_ROAMED); /* still awake */
    assert_int_equal(kicks(), 0);
    assert_ptr_equal(engine_inbox_take(engine), a);
    atomic_store(&a->events, 0);
    atomic_store(&engine->control_awake, false);
    peer_post(a, PEER_ROAMED);
    assert_int_equal(kicks(), 1);
    close(engine->control_kick);
}

/* --- this node's key */

static void test_private_key(void **state)
{
    struct key key, zero = {{0}}, public_key;
    struct mac_key mac, expected;
    struct peer *peer = add(1);
    (void)state;
    assert_false(engine_mac1_key(engine, &mac));
    assert_false(peer->noise.usable);
    memset(key.bytes, 0xff, sizeof key.bytes);
    key_public(&key, &public_key); /* libsodium clamps by itself */
    peer_add(engine, &public_key);
    test_session(peer, 5, true);
    engine_set_private_key(engine, &key);
    assert_int_equal(engine->identity->private_key.bytes[0], 0xf8); /* read back clamped */
    assert_int_equal(engine->identity->private_key.bytes[31], 0x7f);
    assert_memory_equal(&engine->identity->public_key, &public_key, sizeof public_key);
    assert_null(peer_find(engine, &public_key)); /* that is this node */
    assert_int_equal(engine->peer_count, 1);
    assert_true(peer->noise.usable);
    assert_null(keypair_find(engine, 5));
    mac_key_make(&expected, &public_key);
    assert_true(engine_mac1_key(engine, &mac));
    assert_memory_equal(&mac, &expected, sizeof mac);
    test_session(peer, 6, true);
    peer->handshake_sent = 7;
    engine_set_private_key(engine, &key); /* the same: nothing */
    assert_non_null(keypair_find(engine, 6));
    engine_set_private_key(engine, &zero);
    assert_null(keypair_find(engine, 6));
    assert_int_equal(peer->handshake_sent, 0);
    assert_false(peer->noise.usable);
    assert_false(engine->identity->set);
    assert_true(key_is_zero(&engine->identity->private_key));
    assert_false(engine_mac1_key(engine, &mac));
    peer_set_preshared(peer, &key);
    assert_memory_equal(&peer->noise.preshared, &key, sizeof key);
}

/* --- how much and how fast */

static size_t resident(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %zu", &pages) != 1)
        fail();
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_ten_thousand(void **state)
{
    enum { COUNT = 10000 };
    size_t before = resident(), after;
    clock_t begun = clock(), taken; /* of this process alone: the machine may be busy */
    struct key own = test_key(0);
    (void)state;
    engine_set_private_key(engine, &own);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct prefix prefix = {.address.family = AF_INET, .length = 32};
        uint32_t address = htonl(0x0a2c0000u + i);
        memcpy(prefix.address.bytes, &address, sizeof address);
        trie_insert(&engine->trie, &prefix, add(i + 1));
    }
    taken = clock() - begun;
    after = resident();
    print_message("10,000 peers with a row each: %.3f s, %.1f MB (a peer %zu bytes, a session %zu), %d slabs not locked\n", (double)taken / CLOCKS_PER_SEC,
                  (double)(after - before) / 1e6, sizeof(struct peer), sizeof(struct keypair), secret_unlocked());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(after - before < 20000000);
    assert_true(taken < CLOCKS_PER_SEC);
#endif
    begun = clock();
    while (engine->peers)
        peer_remove(engine->peers);
    while (epoch_reclaim(&engine->epoch)) {}
    print_message("removed in %.3f s\n", (double)(clock() - begun) / CLOCKS_PER_SEC);
    assert_int_equal(engine->trie.nodes, 0);
    assert_true(secret_bytes(engine->peer_pool) < 100000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), TEST(test_tables), TEST(test_slots), TEST(test_wiped), TEST(test_same_bucket), TEST(test_handshakes),
        TEST(test_indices), TEST(test_endpoint), TEST(test_inbox), TEST(test_private_key), TEST(test_ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
