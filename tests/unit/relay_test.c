/* The opaque relay over loopback sockets: real handshake messages of our own engine, sources that are sockets. What comes in goes to whom it is for, once, as it is; nothing else goes anywhere. */
#include "unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/noise.h"
#include "wgdeck/clock.h"
#include "wgdeck/relay.h"

enum { NODES = 3, STRANGER = 3, SOCKETS = 12, PACKET_MOST = 2048 };

/* Nodes a, b, c with real keys; sockets 0.. are their places and others'. */
struct world {
    struct relay *relay;
    struct key private_keys[NODES], public_keys[NODES];
    int sockets[SOCKETS];
};

static struct world world_new(unsigned initiations)
{
    struct world world = {0};
    struct relay_options options = {.port = 0, .initiations = initiations};
    struct err err;
    for (int i = 0; i < NODES; i++) {
        randombytes_buf(world.private_keys[i].bytes, KEY_SIZE);
        crypto_scalarmult_base(world.public_keys[i].bytes, world.private_keys[i].bytes);
    }
    world.relay = relay_new(&options, &err);
    assert_non_null(world.relay);
    relay_set_nodes(world.relay, world.public_keys, NULL, NODES);
    struct sockaddr_in hub = {.sin_family = AF_INET, .sin_port = htons(relay_port(world.relay)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < SOCKETS; i++) {
        world.sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(connect(world.sockets[i], (struct sockaddr *)&hub, sizeof hub), 0);
    }
    return world;
}

static void world_free(struct world *world)
{
    for (int i = 0; i < SOCKETS; i++)
        close(world->sockets[i]);
    relay_free(world->relay);
}

static void turn(struct world *world)
{
    struct err err;
    for (int i = 0; i < 4; i++) /* loopback delivers at once */
        assert_int_equal(relay_turn(world->relay, &err), 0);
}

static void put(struct world *world, int from, const void *packet, size_t length)
{
    assert_int_equal(send(world->sockets[from], packet, length, 0), length);
    turn(world);
}

/* What has come to socket AT: its length, 0 nothing. */
static size_t got(struct world *world, int at, void *packet)
{
    ssize_t length = recv(world->sockets[at], packet, PACKET_MOST, MSG_DONTWAIT);
    return length > 0 ? (size_t)length : 0;
}

static bool is_quiet(struct world *world)
{
    uint8_t packet[PACKET_MOST];
    for (int i = 0; i < SOCKETS; i++)
        if (got(world, i, packet))
            return false;
    return true;
}

/* Of nobody in particular, for node TO: only its type, its index and its mac1 are ever looked at. */
static void initiation(const struct world *world, int to, uint32_t index, struct message_initiation *message)
{
    struct mac_key key;
    randombytes_buf(message, sizeof *message);
    memcpy(message->type, (uint8_t[4]){MESSAGE_INITIATION}, 4);
    memcpy(message->sender, &index, 4);
    mac_key_make(&key, &world->public_keys[to]);
    mac1_write(&key, message, sizeof *message);
}

static void response(const struct world *world, int to, uint32_t sender, uint32_t receiver, struct message_response *message)
{
    struct mac_key key;
    randombytes_buf(message, sizeof *message);
    memcpy(message->type, (uint8_t[4]){MESSAGE_RESPONSE}, 4);
    memcpy(message->sender, &sender, 4);
    memcpy(message->receiver, &receiver, 4);
    mac_key_make(&key, &world->public_keys[to]);
    mac1_write(&key, message, sizeof *message);
}

static size_t data(uint32_t receiver, size_t length, uint8_t *packet)
{
    randombytes_buf(packet, length);
    memcpy(packet, (uint8_t[4]){MESSAGE_DATA}, 4);
    memcpy(packet + 4, &receiver, 4);
    return length;
}

/* a at socket A knocks, b at socket B knocks, a answers; then both indices are latched: a's is 0x1a, b's 0xb. */
static void meet(struct world *world, int a, int b)
{
    struct message_initiation knock, second;
    struct message_response answer;
    uint8_t packet[PACKET_MOST];
    initiation(world, 1, 0xa, &knock); /* a → b: nobody is known yet */
    put(world, a, &knock, sizeof knock);
    assert_true(is_quiet(world));
    initiation(world, 0, 0xb, &second); /* b → a: goes to whoever asked for b */
    put(world, b, &second, sizeof second);
    assert_int_equal(got(world, a, packet), sizeof second);
    assert_memory_equal(packet, &second, sizeof second);
    response(world, 1, 0x1a, 0xb, &answer);
    put(world, a, &answer, sizeof answer);
    assert_int_equal(got(world, b, packet), sizeof answer);
    assert_memory_equal(packet, &answer, sizeof answer);
}

static void test_two_meet(void **state)
{
    (void)state;
    struct world world = world_new(0);
    uint8_t packet[PACKET_MOST], came[PACKET_MOST];
    struct relay_counters counters;
    meet(&world, 0, 1);
    for (size_t i = 0; i < 50; i++) { /* both ways, all lengths */
        bool to_a = i % 2;
        size_t length = data(to_a ? 0x1a : 0xb, 32 + i * 29, packet);
        put(&world, to_a ? 1 : 0, packet, length);
        assert_int_equal(got(&world, to_a ? 0 : 1, came), length);
        assert_memory_equal(came, packet, length);
    }
    assert_true(is_quiet(&world));
    relay_counters(world.relay, &counters);
    assert_int_equal(counters.sessions, 2);
    assert_int_equal(counters.answers, 1);
    world_free(&world);
}

/* Each of these comes while a and b talk, and must go nowhere. */
static void test_what_goes_nowhere(void **state)
{
    (void)state;
    struct world world = world_new(0);
    uint8_t packet[PACKET_MOST];
    struct message_initiation strange;
    struct message_response answer;
    struct relay_counters counters;
    meet(&world, 0, 1);
    put(&world, 5, packet, data(0x1a, 100, packet)); /* another source */
    put(&world, 5, packet, data(0xb, 100, packet));
    put(&world, 0, packet, data(0x1a, 100, packet)); /* one's own index */
    put(&world, 0, packet, data(0x77, 100, packet)); /* an index that nobody has */
    put(&world, 0, packet, data(0xb, 31, packet));   /* too short to be data */
    assert_true(is_quiet(&world));
    relay_counters(world.relay, &counters);
    assert_int_equal(counters.wrong_source, 3);
    assert_int_equal(counters.unknown_index, 1);
    assert_int_equal(counters.malformed, 1);
    initiation(&world, 0, 0x55, &strange);
    strange.mac1[3] ^= 1;
    put(&world, 5, &strange, sizeof strange);
    initiation(&world, 0, 0x55, &strange);
    put(&world, 5, &strange, sizeof strange - 1);
    strange.type[1] = 1;
    put(&world, 5, &strange, sizeof strange);
    response(&world, 0, 0x56, 0xb, &answer); /* an answer that nobody asked for: b's index was answered from a's place */
    put(&world, 5, &answer, sizeof answer);
    response(&world, 0, 0x56, 0x99, &answer);
    put(&world, 1, &answer, sizeof answer);
    for (size_t length = 1; length < 200; length++) {
        randombytes_buf(packet, length);
        packet[0] = (uint8_t)(length % 6);
        put(&world, 6, packet, length);
    }
    assert_true(is_quiet(&world));
    world_free(&world);
}

/* An answer whose mac1 is of nobody, or of the answerer itself, latches nothing. */
static void test_answers_must_say_who_asked(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct world world = world_new(0);
        struct message_initiation knock;
        struct message_response answer;
        uint8_t packet[PACKET_MOST];
        initiation(&world, 1, 0xa, &knock);
        put(&world, 0, &knock, sizeof knock);
        initiation(&world, 0, 0xb, &knock);
        put(&world, 1, &knock, sizeof knock);
        assert_int_equal(got(&world, 0, packet), sizeof knock);
        response(&world, wrong ? 0 : 1, 0x1a, 0xb, &answer);
        if (!wrong)
            answer.mac1[0] ^= 1;
        put(&world, 0, &answer, sizeof answer);
        put(&world, 1, packet, data(0x1a, 100, packet));
        assert_true(is_quiet(&world));
        world_free(&world);
    }
}

static void test_cookies_go_back(void **state)
{
    (void)state;
    struct world world = world_new(0);
    struct message_initiation knock;
    struct message_cookie cookie;
    uint8_t packet[PACKET_MOST];
    uint32_t index = 0xb;
    initiation(&world, 1, 0xa, &knock);
    put(&world, 0, &knock, sizeof knock);
    initiation(&world, 0, index, &knock);
    put(&world, 1, &knock, sizeof knock);
    assert_int_equal(got(&world, 0, packet), sizeof knock);
    randombytes_buf(&cookie, sizeof cookie);
    memcpy(cookie.type, (uint8_t[4]){MESSAGE_COOKIE}, 4);
    memcpy(cookie.receiver, &index, 4);
    put(&world, 4, &cookie, sizeof cookie); /* not from where it went */
    assert_true(is_quiet(&world));
    put(&world, 0, &cookie, sizeof cookie);
    assert_int_equal(got(&world, 1, packet), sizeof cookie);
    assert_memory_equal(packet, &cookie, sizeof cookie);
    world_free(&world);
}

/* b moves to another place: nothing of the old session goes there; its next handshake moves it, and the old place is heard no more for the new index. */
static void test_roaming(void **state)
{
    (void)state;
    struct world world = world_new(0);
    struct message_initiation knock;
    struct message_response answer;
    uint8_t packet[PACKET_MOST];
    meet(&world, 0, 1);
    put(&world, 2, packet, data(0x1a, 64, packet));
    assert_true(is_quiet(&world));
    initiation(&world, 0, 0xbb, &knock);
    put(&world, 2, &knock, sizeof knock);
    assert_int_equal(got(&world, 0, packet), sizeof knock); /* a is proven there */
    response(&world, 1, 0x2a, 0xbb, &answer);
    put(&world, 0, &answer, sizeof answer);
    assert_int_equal(got(&world, 2, packet), sizeof answer);
    put(&world, 0, packet, data(0xbb, 64, packet));
    assert_int_equal(got(&world, 2, packet), 64);
    put(&world, 2, packet, data(0x2a, 64, packet));
    assert_int_equal(got(&world, 0, packet), 64);
    initiation(&world, 1, 0xaa, &knock); /* a's own next one finds b where it is now */
    put(&world, 0, &knock, sizeof knock);
    assert_int_equal(got(&world, 2, packet), sizeof knock);
    assert_true(is_quiet(&world));
    world_free(&world);
}

/* The same indices at other pairs are other sessions. */
static void test_indices_that_collide(void **state)
{
    (void)state;
    struct world world = world_new(0);
    struct message_initiation knock;
    struct message_response answer;
    uint8_t packet[PACKET_MOST];
    meet(&world, 0, 1);
    initiation(&world, 0, 0xb, &knock); /* c, with b's index */
    put(&world, 2, &knock, sizeof knock);
    assert_int_equal(got(&world, 0, packet), sizeof knock);
    response(&world, 2, 0x1a, 0xb, &answer);
    put(&world, 0, &answer, sizeof answer);
    assert_int_equal(got(&world, 2, packet), sizeof answer);
    put(&world, 2, packet, data(0x1a, 80, packet));
    assert_int_equal(got(&world, 0, packet), 80);
    world_free(&world);
}

static void test_who_is_gone_is_not_forwarded_for(void **state)
{
    (void)state;
    struct world world = world_new(0);
    uint8_t packet[PACKET_MOST];
    struct key left[2] = {world.public_keys[0], world.public_keys[2]};
    meet(&world, 0, 1);
    relay_set_nodes(world.relay, left, NULL, 2);
    put(&world, 0, packet, data(0xb, 100, packet));
    put(&world, 1, packet, data(0x1a, 100, packet));
    assert_true(is_quiet(&world));
    world_free(&world);
}

/* A thousand initiations of the right mac1, unanswered, from one source and from many: what goes out is as long as what came in, never more, and to one place no more than its rate. */
static void test_floods_amplify_nothing(void **state)
{
    (void)state;
    for (int many = 0; many < 2; many++) {
        struct world world = world_new(0);
        struct message_initiation knock;
        uint8_t packet[PACKET_MOST];
        size_t in = 0, out = 0, to_one[SOCKETS] = {0};
        initiation(&world, 1, 0xa, &knock);
        put(&world, 0, &knock, sizeof knock); /* somebody who waits for b: the only place there is */
        in += sizeof knock;
        int64_t begun = clock_steady();
        for (uint32_t i = 0; i < 1000; i++) {
            initiation(&world, 0, i, &knock);
            put(&world, many ? 1 + (int)(i % (SOCKETS - 1)) : 1, &knock, sizeof knock);
            in += sizeof knock;
            for (int at = 0; at < SOCKETS; at++)
                for (size_t length; (length = got(&world, at, packet));) {
                    assert_int_equal(length, sizeof knock);
                    out += length;
                    to_one[at]++;
                }
        }
        double seconds = (double)(clock_steady() - begun) / (double)CLOCK_SECOND;
        assert_true(out < in);
        for (int at = 0; at < SOCKETS; at++)
            assert_true((double)to_one[at] <= 3 + 2 * seconds);
        world_free(&world);
    }
}

/* Where the hub has proven a node's address, nothing is believed of it elsewhere: neither where it is asked for, nor where it asks from. */
static void test_hints_bind(void **state)
{
    (void)state;
    struct world world = world_new(0);
    struct endpoint hints[NODES] = {0};
    struct message_initiation knock;
    uint8_t packet[PACKET_MOST];
    struct message_response answer;
    struct endpoint here = {.address = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .port = 51820}, elsewhere = {.address = {.family = AF_INET, .bytes = {192, 0, 2, 7}}, .port = 51820};
    for (int which = 0; which < 3; which++) {
        memset(hints, 0, sizeof hints);
        hints[0] = which == 0 ? here : elsewhere; /* which 2: of a, who asks; else of a, who is asked for */
        relay_set_nodes(world.relay, world.public_keys, hints, NODES);
        initiation(&world, which == 2 ? 0 : 1, 0xa0 + (uint32_t)which, &knock);
        put(&world, 3 * which, &knock, sizeof knock);
        (void)is_quiet(&world); /* of an earlier round somebody may be there, who is asked */
        initiation(&world, which == 2 ? 1 : 0, 0xb0 + (uint32_t)which, &knock);
        put(&world, 3 * which + 1, &knock, sizeof knock);
        size_t length = 0;
        for (int i = 0; i < SOCKETS && !length; i++)
            length = i == 3 * which + 1 ? 0 : got(&world, i, packet);
        assert_int_equal(length, which == 1 ? 0 : sizeof knock);
        if (which == 2) { /* b answers, and the answer says that a had asked from here: it cannot have */
            response(&world, 0, 0x77, 0xb0 + (uint32_t)which, &answer);
            put(&world, 3 * which, &answer, sizeof answer);
            assert_true(is_quiet(&world));
        }
    }
    for (int i = 0; i < NODES; i++) /* all are elsewhere: who comes from here is nobody */
        hints[i] = elsewhere;
    relay_set_nodes(world.relay, world.public_keys, hints, NODES);
    initiation(&world, 1, 0xcc, &knock);
    put(&world, 0, &knock, sizeof knock);
    assert_true(is_quiet(&world));
    world_free(&world);
}

/* An initiation is answered once: the same answer again is let through, other ones with new indices fill no table. */
static void test_one_answer(void **state)
{
    (void)state;
    struct world world = world_new(0);
    struct message_response answer;
    struct relay_counters counters;
    uint8_t packet[PACKET_MOST];
    meet(&world, 0, 1);
    for (uint32_t i = 0; i < 20; i++) {
        response(&world, 1, i < 2 ? 0x1a : 0x100 + i, 0xb, &answer);
        put(&world, 0, &answer, sizeof answer);
        assert_int_equal(got(&world, 1, packet), i < 2 ? sizeof answer : 0);
    }
    relay_counters(world.relay, &counters);
    assert_int_equal(counters.sessions, 2);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_meet), cmocka_unit_test(test_what_goes_nowhere), cmocka_unit_test(test_answers_must_say_who_asked), cmocka_unit_test(test_cookies_go_back),
        cmocka_unit_test(test_roaming), cmocka_unit_test(test_indices_that_collide), cmocka_unit_test(test_who_is_gone_is_not_forwarded_for), cmocka_unit_test(test_floods_amplify_nothing),
        cmocka_unit_test(test_hints_bind), cmocka_unit_test(test_one_answer),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
