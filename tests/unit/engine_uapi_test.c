/* The control socket of the engine: requests and answers, all or nothing, answers while things change, clients that misbehave. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/control.h"
#include "wgdeck/buf.h"

#define A "1111111111111111111111111111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222222222222222222222222222"
#define P "4040404040404040404040404040404040404040404040404040404040404040" /* private, clamped already */
#define Z "0000000000000000000000000000000000000000000000000000000000000000"

static struct err err;
static char folder[] = "/tmp/engine-uapi-XXXXXX";

static struct engine *engine_new(void)
{
    struct engine *engine = mem_alloc(1, sizeof *engine);
    assert_int_equal(engine_begin(engine, "uapi0", &err), 0);
    engine->seal = seal_choose("libcrypto", &err);
    engine->queues = 0;
    protocol_begin(engine);
    timers_begin(engine, clock_steady());
    engine->control_tx = tx_new(engine, 0, engine->control_reader, &engine->control_tally);
    return engine;
}

static void engine_free(struct engine *engine)
{
    while (engine->peers)
        peer_remove(engine->peers);
    tx_free(engine->control_tx);
    timers_end(engine);
    protocol_end(engine);
    engine_end(engine);
    free(engine);
}

/* TEXT in pieces of PIECE bytes, through one talk; what it answers. */
static char *say_in_pieces(struct engine *engine, const char *text, size_t total, size_t piece)
{
    size_t budget = UAPI_REQUEST, room, length;
    struct uapi_talk *talk = uapi_talk_new(NULL, engine, &budget);
    struct buf answer = BUF_EMPTY;
    const char *bytes;
    for (size_t at = 0; at < total && !uapi_talk_is_over(talk);) {
        char *space = uapi_talk_space(talk, &room);
        size_t part = total - at < piece ? total - at : piece;
        assert_true(room > 0);
        part = part < room ? part : room;
        memcpy(space, text + at, part);
        uapi_talk_read(talk, part);
        at += part;
        while ((bytes = uapi_talk_pending(talk, &length))) {
            size_t some = length < piece ? length : piece;
            buf_add(&answer, bytes, some);
            uapi_talk_written(talk, some);
        }
    }
    uapi_talk_free(talk);
    assert_int_equal(budget, UAPI_REQUEST);
    return answer.data ? answer.data : mem_text("");
}

static char *say(struct engine *engine, const char *text)
{
    return say_in_pieces(engine, text, strlen(text), 4096);
}

static void expect(struct engine *engine, const char *request, const char *answer)
{
    char *got = say(engine, request);
    assert_string_equal(got, answer);
    free(got);
}

#define DONE "errno=0\n\n"
#define PEER(key, psk, keepalive) \
    "public_key=" key "\npreshared_key=" psk "\nprotocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n" \
    "persistent_keepalive_interval=" keepalive "\n"

/* --- one request */

static const struct {
    const char *request, *answer;
} refused[] = {
    {"set=1\nlisten_port=65536\n\n", "errno=-22\n\n"},
    {"set=1\nlisten_port=\n\n", "errno=-22\n\n"},
    {"set=1\nlisten_port=-1\n\n", "errno=-22\n\n"},
    {"set=1\nfwmark=4294967296\n\n", "errno=-22\n\n"},
    {"set=1\nprivate_key=11\n\n", "errno=-22\n\n"},
    {"set=1\nreplace_peers=false\n\n", "errno=-22\n\n"},
    {"set=1\nreplace_peers=1\n\n", "errno=-22\n\n"},
    {"set=1\nnothing_known=1\n\n", "errno=-22\n\n"},
    {"set=1\nallowed_ip=10.0.0.0/8\n\n", "errno=-22\n\n"},       /* of which peer? */
    {"set=1\npublic_key=" A "\nlisten_port=1\n\n", "errno=-22\n\n"}, /* of no peer */
    {"set=1\npublic_key=" A "0\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nprotocol_version=2\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nendpoint=10.0.0.1\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nendpoint=[fe80::1%nosuch0]:1\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nallowed_ip=10.0.0.0/33\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nallowed_ip=--10.0.0.0/8\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\npersistent_keepalive_interval=65536\n\n", "errno=-22\n\n"},
    {"set=1\npublic_key=" A "\nremove=yes\n\n", "errno=-22\n\n"},
    {"set=1\nno equals sign\n\n", "errno=-71\n\n"},
    {"set=1\npublic_key=" A "\nallowed_ip\nnothing_known=1\n\n", "errno=-71\n\n"}, /* the first error counts */
    {"get=1\nlisten_port=1\n\n", "errno=22\n\n"},                /* asked, not set: never negative */
    {"counters=1\nx=1\n\n", "errno=22\n\n"},
    {"get=2\n\n", "errno=22\n\n"},
    {"hello\n\n", "errno=71\n\n"},
};

static void test_refused(void **state)
{
    struct engine *engine = engine_new();
    (void)state;
    expect(engine, "set=1\nprivate_key=" P "\nfwmark=7\npublic_key=" B "\nallowed_ip=10.0.0.0/8\n\n", DONE);
    char *before = say(engine, "get=1\n\n");
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        char *got = say(engine, refused[i].request);
        CASE_ASSERT(i, strcmp(got, refused[i].answer) == 0);
        free(got);
        char *after = say(engine, "get=1\n\n");
        CASE_ASSERT(i, strcmp(after, before) == 0);
        free(after);
    }
    free(before);
    engine_free(engine);
}

/* Each row goes on from the one before. */
static const struct {
    const char *set, *get; /* without what "get" says last */
} steps[] = {
    {"", ""},
    {"private_key=ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n",
     "private_key=f8ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f\n"}, /* read back clamped */
    {"private_key=" Z "\nfwmark=16\n", "fwmark=16\n"},
    {"fwmark=0\nlisten_port=0\n", ""},
    {"public_key=" A "\npreshared_key=" B "\nendpoint=192.0.2.1:55\npersistent_keepalive_interval=25\nallowed_ip=10.1.2.3/24\n",
     "public_key=" A "\npreshared_key=" B "\nprotocol_version=1\nendpoint=192.0.2.1:55\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
     "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=25\nallowed_ip=10.1.2.0/24\n"},
    {"public_key=" A "\npreshared_key=" Z "\npersistent_keepalive_interval=0\nendpoint=[2001:db8::1]:9\n",
     "public_key=" A "\npreshared_key=" Z "\nprotocol_version=1\nendpoint=[2001:db8::1]:9\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
     "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\nallowed_ip=10.1.2.0/24\n"},
    {"public_key=" A "\nremove=true\n", ""},
    {"public_key=" A "\nremove=true\n", ""},                                                /* of nobody: no error */
    {"public_key=" A "\nupdate_only=true\nallowed_ip=10.0.0.0/8\n", ""},
    {"public_key=" A "\nprotocol_version=1\nallowed_ip=10.0.0.1/32\n", PEER(A, Z, "0") "allowed_ip=10.0.0.1/32\n"},
    {"public_key=" A "\nupdate_only=true\nreplace_allowed_ips=true\n", PEER(A, Z, "0")},
    {"public_key=" A "\nallowed_ip=10.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=fd00::/8\n", PEER(A, Z, "0") "allowed_ip=fd00::/8\n"},
    {"public_key=" B "\nallowed_ip=fd00::1/8\n", PEER(A, Z, "0") PEER(B, Z, "0") "allowed_ip=fd00::/8\n"}, /* taken away from the other */
    {"public_key=" B "\nallowed_ip=-fd00::/9\n", PEER(A, Z, "0") PEER(B, Z, "0") "allowed_ip=fd00::/8\n"},
    {"public_key=" A "\nallowed_ip=-fd00::/8\n", PEER(A, Z, "0") PEER(B, Z, "0") "allowed_ip=fd00::/8\n"}, /* not this one's */
    {"public_key=" B "\nallowed_ip=-fd00::/8\n", PEER(A, Z, "0") PEER(B, Z, "0")},
    {"public_key=" A "\nremove=true\npublic_key=" A "\npersistent_keepalive_interval=3\n", PEER(B, Z, "0") PEER(A, Z, "3")},
    {"replace_peers=true\npublic_key=" A "\npersistent_keepalive_interval=4\n", PEER(A, Z, "4")},
    {"replace_peers=true\npublic_key=" A "\n", PEER(A, Z, "0")},                            /* what is not said is as in a new one */
    {"replace_peers=true\npublic_key=" A "\nupdate_only=true\n", ""},                       /* it was replaced: none is left to update */
    {"replace_peers=true\npublic_key=" A "\npublic_key=" B "\npublic_key=" A "\nremove=true\n", PEER(B, Z, "0")},
    {"replace_peers=true\n", ""},
};

static void test_steps(void **state)
{
    struct engine *engine = engine_new();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        char *request = mem_format("set=1\n%s\nget=1\n\n", steps[i].set), *answer = mem_format(DONE "%s" DONE, steps[i].get);
        char *got = say(engine, request);
        if (strcmp(got, answer) != 0)
            fail_msg("step %zu: %s", i, got);
        free(got);
        for (size_t piece = 1; piece < 4; piece++) { /* what is done once more changes nothing; the pieces do not matter */
            char *again = say_in_pieces(engine, "get=1\n\n", strlen("get=1\n\n"), piece);
            CASE_ASSERT(i, strcmp(again, answer + strlen(DONE)) == 0);
            free(again);
        }
        free(request);
        free(answer);
    }
    engine_free(engine);
}

/* This node's own key is no peer: its lines are read, and nothing is done. */
static void test_own_key(void **state)
{
    struct engine *engine = engine_new();
    struct key private_key, public_key;
    char text[2 * KEY_SIZE + 1] = "";
    (void)state;
    assert_int_equal(key_parse_hex(P, &private_key), 0);
    key_public(&private_key, &public_key);
    for (size_t i = 0; i < KEY_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", public_key.bytes[i]);
    char *add = mem_format("set=1\npublic_key=%s\nallowed_ip=10.0.0.0/8\n\n", text);
    char *both = mem_format("set=1\nprivate_key=" P "\npublic_key=%s\nallowed_ip=10.0.0.0/8\n\n", text);
    char *wrong = mem_format("set=1\npublic_key=%s\nallowed_ip=x\n\n", text);
    expect(engine, add, DONE);
    assert_int_equal(engine->peer_count, 1);
    expect(engine, both, DONE); /* the peer that it now is goes, and is not made again */
    assert_int_equal(engine->peer_count, 0);
    expect(engine, add, DONE);
    assert_int_equal(engine->peer_count, 0);
    expect(engine, wrong, "errno=-22\n\n");
    free(add);
    free(both);
    free(wrong);
    engine_free(engine);
}

/* --- sessions outlive a request that says the same again */

static void test_sessions_stay(void **state)
{
    struct engine *engine = engine_new();
    const struct noise_keys keys = {{1}, {2}, 3};
    struct key key;
    (void)state;
    static const char request[] =
        "set=1\nprivate_key=" P "\nreplace_peers=true\npublic_key=" A "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/8\nallowed_ip=fd00::/8\nendpoint=192.0.2.1:5\n\n";
    expect(engine, request, DONE);
    key_parse_hex(A, &key);
    struct peer *peer = peer_find(engine, &key);
    struct keypair *keypair = keypair_install(peer, &keys, index_new(engine), true, clock_steady());
    expect(engine, request, DONE);
    assert_ptr_equal(peer_find(engine, &key), peer);
    assert_ptr_equal(atomic_load(&peer->current), keypair);
    assert_int_equal(peer->prefix_count, 2);
    expect(engine, "set=1\nreplace_peers=true\npublic_key=" A "\nallowed_ip=fd00::/8\n\n", DONE);
    assert_ptr_equal(atomic_load(&peer->current), keypair);
    assert_int_equal(peer->prefix_count, 1);
    assert_int_equal(peer->endpoint.to.plain.sa_family, AF_INET); /* where the session goes stays too */
    expect(engine, "set=1\nprivate_key=" B "\n\n", DONE);
    assert_null(atomic_load(&peer->current));
    engine_free(engine);
}

/* --- ports */

static void test_port_taken(void **state)
{
    struct engine *engine = engine_new();
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    (void)state;
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
    char *request = mem_format("set=1\nprivate_key=" P "\nlisten_port=%u\npublic_key=" A "\n\n", ntohs(address.sin_port));
    expect(engine, request, "errno=-98\n\n");
    expect(engine, "get=1\n\n", DONE);
    close(descriptor);
    expect(engine, request, DONE);
    free(request);
    engine_free(engine);
}

/* --- bytes that are no requests */

static void test_garbage(void **state)
{
    struct engine *engine = engine_new();
    char *line = mem_alloc(1, 20000);
    (void)state;
    memset(line, 'a', 20000);
    memcpy(line, "set=1\n", 6);
    for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
        char *got = say_in_pieces(engine, line, 20000, piece);
        assert_string_equal(got, "errno=-71\n\n");
        free(got);
    }
    memcpy(line, "set=1\n\0=1\n\n", 11);
    char *got = say_in_pieces(engine, line, 11, 4096);
    assert_string_equal(got, "errno=-71\n\n");
    free(got);
    free(line);
    expect(engine, "", "");
    expect(engine, "\n\n\n", "");
    expect(engine, "set=1\npublic_key=" A "\n", ""); /* not ended: not done */
    assert_int_equal(engine->peer_count, 0);
    engine_free(engine);
}

/* Feeds TALK lines without meaning until it has BYTES of a request, or is over. */
static void feed_long(struct uapi_talk *talk, size_t bytes)
{
    static const char line[] = "allowed_ip=10.0.0.0/8\n";
    size_t room, fed = 0;
    char *space = uapi_talk_space(talk, &room);
    size_t length = (size_t)snprintf(space, room, "set=1\npublic_key=" A "\n");
    uapi_talk_read(talk, length);
    while (fed < bytes && !uapi_talk_is_over(talk)) {
        space = uapi_talk_space(talk, &room);
        size_t lines = room / (sizeof line - 1);
        for (size_t i = 0; i < lines; i++)
            memcpy(space + i * (sizeof line - 1), line, sizeof line - 1);
        uapi_talk_read(talk, lines * (sizeof line - 1));
        fed += lines * (sizeof line - 1);
    }
}

/* All that is under way together has a limit; what is small is served nevertheless, however much others hold. */
static void test_budget(void **state)
{
    struct engine *engine = engine_new();
    size_t budget = 32 << 10, room;
    struct uapi_talk *first = uapi_talk_new(NULL, engine, &budget), *second = uapi_talk_new(NULL, engine, &budget), *small = uapi_talk_new(NULL, engine, &budget);
    (void)state;
    feed_long(first, UAPI_FREE + (16 << 10));
    assert_false(uapi_talk_is_over(first));
    feed_long(second, UAPI_FREE + (32 << 10));
    assert_true(uapi_talk_is_over(second));
    static const char request[] = "\n\n\nget=1\n\n";
    memcpy(uapi_talk_space(small, &room), request, sizeof request - 1);
    uapi_talk_read(small, sizeof request - 1);
    assert_false(uapi_talk_is_over(small));
    size_t length;
    assert_non_null(uapi_talk_pending(small, &length));
    uapi_talk_free(first);
    uapi_talk_free(second);
    uapi_talk_free(small);
    assert_int_equal(budget, 32 << 10);
    engine_free(engine);
}

/* Blank lines between requests are nobody's. */
static void test_blank_lines(void **state)
{
    struct engine *engine = engine_new();
    size_t budget = 10, room;
    struct uapi_talk *talk = uapi_talk_new(NULL, engine, &budget);
    (void)state;
    for (int i = 0; i < 20; i++) {
        char *space = uapi_talk_space(talk, &room);
        memset(space, '\n', room);
        uapi_talk_read(talk, room);
    }
    assert_false(uapi_talk_is_over(talk));
    assert_int_equal(budget, 10);
    uapi_talk_free(talk);
    engine_free(engine);
}

/* --- with sockets */

struct server {
    struct engine *engine;
    struct ev_loop *loop;
    struct uapi_place place;
    struct uapi_server *server;
};

static struct server serve(void)
{
    struct server server = {.engine = engine_new(), .loop = ev_loop_new(EVBACKEND_EPOLL)};
    assert_int_equal(uapi_place_lock(&server.place, folder, "uapi0", &err), 0);
    assert_int_equal(uapi_place_listen(&server.place, &err), 0);
    server.server = uapi_server_new(server.loop, server.engine, server.place.listening);
    return server;
}

static void serve_end(struct server *server)
{
    uapi_server_free(server->server);
    uapi_place_leave(&server->place);
    ev_loop_destroy(server->loop);
    engine_free(server->engine);
}

static int call(const struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, server->place.path, strlen(server->place.path) + 1);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

static void turns(struct server *server, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ev_run(server->loop, EVRUN_NOWAIT);
}

/* Everything until the answer's end, or the connection's. */
static void hear(struct server *server, int descriptor, struct buf *answer)
{
    char bytes[4096];
    for (unsigned quiet = 0; quiet < 100;) {
        turns(server, 1);
        ssize_t got = recv(descriptor, bytes, sizeof bytes, 0);
        if (got == 0)
            return;
        quiet = got < 0 ? quiet + 1 : 0;
        if (got > 0)
            buf_add(answer, bytes, (size_t)got);
    }
}

static void tell(struct server *server, int descriptor, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t sent = send(descriptor, bytes + at, length - at, MSG_NOSIGNAL);
        if (sent > 0)
            at += (size_t)sent;
        turns(server, 1);
    }
}

static void ask(struct server *server, const char *request, const char *wanted)
{
    struct buf answer = BUF_EMPTY;
    int descriptor = call(server);
    tell(server, descriptor, request, strlen(request));
    hear(server, descriptor, &answer);
    assert_string_equal(buf_text(&answer), wanted);
    buf_free(&answer);
    close(descriptor);
    turns(server, 2);
}

static char *many_peers(unsigned count, unsigned rows)
{
    struct buf request = BUF_EMPTY;
    buf_add_text(&request, "set=1\n");
    for (unsigned i = 0; i < count; i++) {
        buf_add_format(&request, "public_key=%064x\n", i + 1);
        for (unsigned j = 0; j < rows; j++)
            buf_add_format(&request, "allowed_ip=10.%u.%u.%u/32\n", i, j >> 8, j & 255);
    }
    buf_add_text(&request, "\n");
    return buf_take(&request);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)); text++)
        count++;
    return count;
}

enum { PEERS = 20, ROWS = 1500, TOUCHED = 3 };

/* How many rows of peer AT are told, once it is told at all; those that no change touched must be all there, also when they went meanwhile. */
static bool rows_are_whole(const char *text, unsigned at, bool must)
{
    char key[128], row[32];
    snprintf(key, sizeof key, "public_key=%064x\n", at + 1);
    snprintf(row, sizeof row, "\nallowed_ip=10.%u.", at);
    size_t told = count_of(text, key), rows = count_of(text, row);
    return told == 1 ? rows == ROWS : told == 0 && rows == 0 && !must;
}

/* A reader who stops in the middle, while peers and rows go: it hears each peer that stays exactly once, whole lines, and an end. */
static void test_change_under_reader(void **state)
{
    static const char *const changes[] = {
        "set=1\nreplace_peers=true\n\n",
        "set=1\npublic_key=0000000000000000000000000000000000000000000000000000000000000001\nreplace_allowed_ips=true\n"
        "public_key=0000000000000000000000000000000000000000000000000000000000000002\nremove=true\n\n",
        "set=1\npublic_key=" A "\nallowed_ip=10.0.0.0/32\nallowed_ip=10.1.0.0/32\nallowed_ip=10.2.0.0/32\n\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct server server = serve();
        char *request = many_peers(PEERS, ROWS);
        ask(&server, "set=1\nprivate_key=" P "\n\n", DONE);
        int writer = call(&server), reader = call(&server);
        struct buf answer = BUF_EMPTY;
        tell(&server, writer, request, strlen(request));
        hear(&server, writer, &answer);
        assert_string_equal(buf_text(&answer), DONE);
        buf_clear(&answer);
        tell(&server, reader, "get=1\n\n", 7);
        turns(&server, 20); /* the socket's buffer is full, the answer not at its end */
        ask(&server, changes[i], DONE);
        while (epoch_reclaim(&server.engine->epoch)) {} /* what went is gone */
        hear(&server, reader, &answer);
        const char *text = buf_text(&answer);
        CASE_ASSERT(i, answer.length > sizeof DONE && !strcmp(text + answer.length - strlen("\n" DONE), "\n" DONE));
        CASE_ASSERT(i, count_of(text, "0000000000000000000000000000000000000000000000000000000000000001\npreshared_key") == 1);
        CASE_ASSERT(i, count_of(text, "\nallowed_ip=10.0.0.1/32\n") == 1);
        for (unsigned at = TOUCHED; at < PEERS; at++)
            CASE_ASSERT(i, rows_are_whole(text, at, i != 0));
        CASE_ASSERT(i, count_of(text, "public_key=") == (i == 0 ? count_of(text, "preshared_key=") : i == 1 ? PEERS : PEERS + 1));
        CASE_ASSERT(i, !strstr(text, "public_key=" Z)); /* memory that was given back, and wiped */
        CASE_ASSERT(i, i != 0 || (count_of(text, "public_key=") > TOUCHED && count_of(text, "public_key=") < PEERS));
        buf_free(&answer);
        free(request);
        close(writer);
        close(reader);
        serve_end(&server);
    }
}

static void test_many_connections(void **state)
{
    struct server server = serve();
    int idle[200];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(idle); i++) {
        idle[i] = call(&server);
        tell(&server, idle[i], "set=1\nfwm", 9);
    }
    ask(&server, "set=1\nfwmark=9\n\nget=1\n\n", DONE "fwmark=9\n" DONE);
    for (size_t i = 0; i < COUNT_OF(idle); i++)
        close(idle[i]);
    turns(&server, 100);
    ask(&server, "get=1\n\n", "fwmark=9\n" DONE);
    serve_end(&server);
}

/* --- the file */

static void test_place(void **state)
{
    struct uapi_place first, second;
    struct stat status;
    (void)state;
    assert_int_equal(uapi_place_lock(&first, folder, "a", &err), 0);
    assert_int_equal(uapi_place_listen(&first, &err), 0);
    assert_int_equal(stat(first.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(uapi_place_lock(&second, folder, "a", &err), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_non_null(strstr(err.text, "runs already"));
    assert_true(uapi_place_stands(&first));
    close(first.listening); /* dead: its file stays */
    first.listening = -1;
    assert_int_equal(uapi_place_lock(&second, folder, "a", &err), 0);
    assert_int_equal(uapi_place_listen(&second, &err), 0);
    assert_false(uapi_place_stands(&first)); /* another's file now: it must not be removed */
    assert_true(uapi_place_stands(&second));
    unlink(second.path);
    assert_false(uapi_place_stands(&second));
    uapi_place_leave(&second);
    assert_int_equal(uapi_place_lock(&first, folder, "../a", &err), -1);
    assert_int_equal(uapi_place_lock(&first, folder, "", &err), -1);
    assert_int_equal(uapi_place_given(&first, STDIN_FILENO, &err), -1);
    assert_int_equal(errno, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_own_key),
        cmocka_unit_test(test_sessions_stay),
        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_blank_lines),
        cmocka_unit_test(test_change_under_reader),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_place),
    };
    if (!mkdtemp(folder))
        return 1;
    setenv("STATE_DIRECTORY", folder, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *path = mem_format("%s/uapi0.tai64n", folder);
    unlink(path);
    free(path);
    rmdir(folder);
    return failed;
}
