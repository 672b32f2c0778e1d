/* The engine's tables while data threads look on: what they find is whole and was not freed. It says most under TSan, and under ASan, which sees a use of
 * what was given back to secret memory. */
#include "peers_world.h"

#include "wgdeck/clock.h"

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

enum { READERS = 3, PLACES = 240, INDICES = 64, STRESS_MILLISECONDS = 1500 };
static atomic_bool stop;
static _Atomic uint32_t recent[INDICES]; /* indices of sessions that are or were */

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    return *random ^= *random << 17;
}

static bool endpoint_is_whole(const struct udp_endpoint *endpoint)
{
    struct udp_endpoint expected = test_endpoint_of(ntohs(endpoint->to.v4.sin_port));
    if (endpoint->to.plain.sa_family == 0)
        return true;
    if (!endpoint->source_family) {
        memset(&expected.source, 0, sizeof expected.source);
        expected.source_interface = 0;
        expected.source_family = 0;
    }
    return !memcmp(endpoint, &expected, sizeof expected);
}

static bool session_is_whole(const struct keypair *keypair)
{
    uint32_t index = keypair->local_index;
    for (unsigned i = 0; i < 32; i++)
        if (keypair->send_key[i] != (uint8_t)index || keypair->receive_key[i] != (uint8_t)(index >> 8))
            return false;
    return keypair->remote_index == ~index && keypair->peer;
}

/* One of both families in turn, so many that each has its hash table, at times. */
static struct prefix row_of(unsigned place)
{
    if (place % 2)
        return (struct prefix){.address = {.family = AF_INET, .bytes = {10, 0, 0, (uint8_t)place}}, .length = 32};
    return (struct prefix){.address = {.family = AF_INET6, .bytes = {0xfd, [15] = (uint8_t)place}}, .length = 128};
}

/* As TX does with a packet. */
static size_t send_one(uint64_t *random)
{
    struct prefix row = row_of((unsigned)(next_random(random) % (PLACES + 8)));
    struct peer *peer = (row.address.family == AF_INET ? trie_find4 : trie_find6)(&engine->trie, row.address.bytes);
    struct udp_endpoint endpoint;
    struct keypair *keypair;
    size_t wrong;
    if (!peer)
        return 0;
    peer_endpoint_get(peer, &endpoint);
    wrong = !endpoint_is_whole(&endpoint) || peer->engine != engine;
    keypair = atomic_load_explicit(&peer->current, memory_order_acquire);
    if (!keypair) {
        peer_post(peer, PEER_WANTS_HANDSHAKE);
        return wrong;
    }
    atomic_fetch_add_explicit(&keypair->send_counter, 1, memory_order_relaxed);
    return wrong + !session_is_whole(keypair);
}

/* As RX does with a datagram. */
static size_t receive_one(uint64_t *random)
{
    struct keypair *keypair = keypair_find(engine, atomic_load_explicit(&recent[next_random(random) % INDICES], memory_order_relaxed));
    struct udp_endpoint from = test_endpoint_of((uint16_t)(next_random(random) | 1));
    if (!keypair)
        return 0;
    spin_lock(&keypair->replay_lock);
    replay_take(&keypair->replay, next_random(random) % 100000);
    spin_unlock(&keypair->replay_lock);
    if (keypair_confirm(keypair))
        peer_post(keypair->peer, PEER_CONFIRMED);
    if (next_random(random) % 16 == 0) {
        peer_endpoint_set(keypair->peer, &from);
        peer_post(keypair->peer, PEER_ROAMED);
    }
    return !session_is_whole(keypair);
}

static void *data_thread(void *number)
{
    uint64_t random = 88172645463325252u + (uintptr_t)number * 977;
    struct mac_key mac;
    size_t wrong = 0;
    while (!atomic_load(&stop)) {
        epoch_enter(&engine->epoch, (unsigned)(uintptr_t)number);
        for (unsigned i = 0; i < 8; i++)
            wrong += send_one(&random) + receive_one(&random);
        engine_mac1_key(engine, &mac);
        epoch_leave(&engine->epoch, (unsigned)(uintptr_t)number);
    }
    return (void *)wrong;
}

static struct peer *places[PLACES];

static void renew_session(struct peer *peer, uint64_t *random)
{
    uint32_t index = index_new(engine);
    if (next_random(random) % 4 == 0) {
        peer_expire(peer);
        return;
    }
    test_session(peer, index, next_random(random) & 1);
    atomic_store_explicit(&recent[next_random(random) % INDICES], index, memory_order_relaxed);
}

static void change_something(unsigned place, uint64_t *random)
{
    struct peer *peer = places[place];
    struct prefix row = row_of(place);
    if (!peer) {
        peer = places[place] = add((uint32_t)next_random(random));
        trie_insert(&engine->trie, &row, peer);
        return;
    }
    switch (next_random(random) % 8) {
    case 0:
        peer_remove(peer);
        places[place] = NULL;
        break;
    case 1:
        row = row_of((unsigned)(next_random(random) % PLACES)); /* takes another's row */
        trie_insert(&engine->trie, &row, peer);
        break;
    case 2: trie_remove(&engine->trie, &row, peer); break;
    case 3: trie_insert(&engine->trie, &row, peer); break;
    case 4: peer_endpoint_clear_source(peer); break;
    default: renew_session(peer, random);
    }
}

static size_t read_inbox(uint64_t *random)
{
    size_t count = 0;
    for (struct peer *peer = engine_inbox_take(engine), *next; peer; peer = next, count++) {
        next = peer->inbox_next;
        atomic_exchange(&peer->events, 0);
        renew_session(peer, random);
    }
    return count;
}

static void change_much(uint64_t *random)
{
    struct key key = test_key((uint32_t)next_random(random));
    if (next_random(random) % 2) {
        engine_set_private_key(engine, &key);
        return;
    }
    for (unsigned i = 0; i < PLACES; i++) { /* few are left: tables shrink */
        if (places[i] && i % 16)
            peer_remove(places[i]);
        places[i] = i % 16 ? NULL : places[i];
    }
}

static void test_threads(void **state)
{
    pthread_t threads[READERS];
    uint64_t random = 12345;
    int64_t until = clock_steady() + STRESS_MILLISECONDS * CLOCK_MILLISECOND;
    size_t turns = 0, told = 0, tables = 0;
    void *wrong;
    (void)state;
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, data_thread, (void *)i), 0);
    for (; clock_steady() < until; turns++) {
        change_something((unsigned)(next_random(&random) % PLACES), &random);
        if (turns % 8 == 0) {
            told += read_inbox(&random);
            epoch_reclaim(&engine->epoch);
        }
        if (turns % 4096 == 4095)
            change_much(&random);
        tables += engine->trie.v4.hosts && engine->trie.v6.hosts;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    print_message("%zu changes, %zu events\n", turns, told);
    assert_true(told > 0);
    assert_true(tables > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
