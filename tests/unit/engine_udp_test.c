/* udp.h: sockets, endpoints, trains out and in over the loopback, and what happens when the kernel refuses. */
#include "unit.h"

#include <errno.h>
#include <linux/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/udp.h"

/* --- the two ways to send, with errors to order: they stand before the C library's */

static int fail_segmented;     /* errno for each message with UDP_SEGMENT; 0: none */
static int fail_next;          /* errno for the next call; 0: none */
static unsigned most_a_call;   /* sendmmsg takes at most that many; 0: all */
static unsigned calls;

static bool is_segmented(const struct msghdr *message)
{
    struct msghdr copy = *message;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&copy); control; control = CMSG_NXTHDR(&copy, control))
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_SEGMENT)
            return true;
    return false;
}

static int injected(const struct msghdr *message)
{
    int error = fail_next;
    fail_next = 0;
    return error ? error : is_segmented(message) ? fail_segmented : 0;
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    int error = injected(message);
    calls++;
    if (!error)
        return syscall(SYS_sendmsg, descriptor, message, flags);
    errno = error;
    return -1;
}

int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags)
{
    int error = injected(&messages[0].msg_hdr);
    calls++;
    if (error) {
        errno = error;
        return -1;
    }
    for (unsigned i = 1; i < count; i++)
        if (fail_segmented && is_segmented(&messages[i].msg_hdr))
            count = i;
    if (most_a_call && count > most_a_call)
        count = most_a_call;
    return (int)syscall(SYS_sendmmsg, descriptor, messages, count, flags);
}

static int reset(void **state)
{
    (void)state;
    fail_segmented = fail_next = 0;
    most_a_call = calls = 0;
    return 0;
}

/* --- endpoints */

static struct udp_endpoint endpoint_of(const char *text)
{
    struct endpoint endpoint;
    struct udp_endpoint to;
    assert_int_equal(endpoint_parse(text, &endpoint), 0);
    udp_endpoint_from(&endpoint, &to);
    return to;
}

static void test_endpoints(void **state)
{
    static const char *const texts[] = {"192.0.2.1:51820", "192.0.2.1:51821", "192.0.2.2:51820", "[2001:db8::1]:51820", "[2001:db8::1]:51821",
                                        "[2001:db8::2]:51820", "[fe80::1%3]:51820", "[fe80::1%4]:51820"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        for (size_t j = 0; j < COUNT_OF(texts); j++) {
            struct udp_endpoint a = endpoint_of(texts[i]), b = endpoint_of(texts[j]), c = b;
            struct endpoint back;
            char text[ENDPOINT_TEXT_SIZE];
            CASE_ASSERT(i * 100 + j, udp_endpoint_equal(&a, &b) == (i == j));
            udp_endpoint_to(&b, &back);
            endpoint_text(&back, text);
            CASE_ASSERT(j, !strcmp(text, texts[j]));
            c.source_family = AF_INET;
            c.source.v4.s_addr = 1;
            CASE_ASSERT(j, !udp_endpoint_equal(&b, &c));
            b = c;
            b.source.v4.s_addr = 2;
            CASE_ASSERT(j, !udp_endpoint_equal(&b, &c));
            b = c;
            b.source_interface = 2;
            CASE_ASSERT(j, !udp_endpoint_equal(&b, &c));
        }
    struct endpoint none = {0}, back;
    struct udp_endpoint to;
    udp_endpoint_from(&none, &to);
    assert_int_equal(to.to.plain.sa_family, 0);
    udp_endpoint_to(&to, &back);
    assert_int_equal(back.address.family, 0);
}

/* --- ports */

static uint16_t port_of(int descriptor)
{
    struct sockaddr_in6 name;
    socklen_t length = sizeof name;
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin6_port); /* at the same place for both families */
}

static void test_ports(void **state)
{
    struct err err;
    (void)state;
    for (unsigned queues = 1; queues <= 3; queues++) {
        struct udp_sockets *sockets = udp_open(0, 0, queues, true, true, &err);
        assert_non_null(sockets);
        assert_true(sockets->port > 0);
        for (unsigned i = 0; i < queues; i++) {
            assert_int_equal(port_of(sockets->v4[i]), sockets->port);
            if (sockets->v6[i] >= 0)
                assert_int_equal(port_of(sockets->v6[i]), sockets->port);
        }
        assert_true(sockets->v4[queues] == -1 && sockets->v6[queues] == -1);
        for (unsigned others = 1; others <= 2; others++) { /* a second engine, with as many queues as it likes */
            errno = 0;
            assert_null(udp_open(sockets->port, 0, others, true, true, &err));
            assert_int_equal(errno, EADDRINUSE);
            assert_non_null(strstr(err.text, "is used by another program"));
        }
        uint16_t port = sockets->port;
        udp_close(sockets);
        sockets = udp_open(port, 0, queues, true, true, &err); /* free again */
        assert_non_null(sockets);
        udp_close(sockets);
    }
    udp_close(NULL);
}

/* A program that would share its port is still another program. */
static void test_shared_port(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    int one = 1, descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    struct err err;
    (void)state;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&name, sizeof name), 0);
    for (unsigned queues = 1; queues <= 2; queues++) {
        errno = 0;
        assert_null(udp_open(port_of(descriptor), 0, queues, true, true, &err));
        assert_int_equal(errno, EADDRINUSE);
    }
    close(descriptor);
}

/* --- trains */

static uint8_t sent[UDP_TRAIN_BYTES], got[UDP_TRAIN_BYTES];
static uint8_t memory[4][65536];
static uint8_t *const buffers[4] = {memory[0], memory[1], memory[2], memory[3]};

/* Read until LENGTH bytes are there, or nothing comes for a while. How many datagrams; the last received is in LAST. */
static unsigned collect(const struct udp_sockets *sockets, int family, size_t length, uint16_t size, struct udp_received *last)
{
    struct pollfd wanted = {.fd = family == AF_INET ? sockets->v4[0] : sockets->v6[0], .events = POLLIN};
    unsigned datagrams = 0;
    size_t total = 0;
    memset(got, 0, sizeof got);
    while (total < length && poll(&wanted, 1, 200) > 0) {
        struct udp_received received[4] = {0};
        int count = udp_receive(sockets, 0, family, (uint8_t **)(uintptr_t)buffers, sizeof memory[0], received, 4);
        assert_true(count > 0);
        for (int i = 0; i < count; i++) {
            assert_false(received[i].truncated);
            assert_true(received[i].length + total <= sizeof got);
            assert_true(received[i].size == size || (received[i].size < size && received[i].size == received[i].length));
            memcpy(got + total, buffers[i], received[i].length);
            total += received[i].length;
            datagrams += (unsigned)((received[i].length + received[i].size - 1) / received[i].size);
            *last = received[i];
        }
    }
    return datagrams;
}

static void fill(size_t length)
{
    for (size_t i = 0; i < length; i++)
        sent[i] = (uint8_t)random();
}

static struct udp_train train_of(const struct udp_endpoint *to, size_t length, uint16_t size, uint8_t tos)
{
    return (struct udp_train){.to = *to, .bytes = sent, .length = length, .size = size, .tos = tos};
}

static const struct train_case { size_t length; uint16_t size; unsigned datagrams; uint8_t tos; } train_cases[] = {
    {1, 1, 1, 0},           {32, 32, 1, 2},        {100, 1452, 1, 0},    {1452, 1452, 1, 1},      {1452 * 45, 1452, 45, 0},
    {1452 * 44 + 1, 1452, 45, 2}, {64 * 32, 32, 64, 0}, {64 * 128, 128, 64, 3}, {63 * 1000 + 500, 1000, 64, 0}, {3000, 2999, 2, 0x88},
};

static void run_trains(int family, bool segment, bool gro)
{
    struct err err;
    struct udp_sockets *a = udp_open(0, 0, 1, segment, gro, &err), *b = udp_open(0, 0, 1, segment, gro, &err);
    assert_true(a && b);
    if (family == AF_INET6 && b->v6[0] < 0)
        return;
    struct udp_endpoint to = endpoint_of(family == AF_INET ? "127.0.0.1:1" : "[::1]:1");
    if (family == AF_INET)
        to.to.v4.sin_port = htons(b->port);
    else
        to.to.v6.sin6_port = htons(b->port);
    assert_true(udp_can_segment(a, family) <= segment);
    for (size_t i = 0; i < COUNT_OF(train_cases); i++) {
        const struct train_case *c = &train_cases[i];
        struct udp_train train = train_of(&to, c->length, c->size, c->tos);
        struct udp_received last = {0};
        fill(c->length);
        CASE_ASSERT(i, udp_send(a, 0, &train, 1) == 0);
        CASE_ASSERT(i, collect(b, family, c->length, c->size, &last) == c->datagrams);
        CASE_ASSERT(i, !memcmp(got, sent, c->length));
        CASE_ASSERT(i, last.tos == c->tos);
        CASE_ASSERT(i, last.from.to.plain.sa_family == family);
        CASE_ASSERT(i, ntohs(last.from.to.v4.sin_port) == a->port);
        CASE_ASSERT(i, last.from.source_family == family && last.from.source_interface > 0);
        if (family == AF_INET)
            CASE_ASSERT(i, last.from.source.v4.s_addr == htonl(INADDR_LOOPBACK));
    }
    udp_close(a);
    udp_close(b);
}

static void test_trains(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        run_trains(i & 4 ? AF_INET6 : AF_INET, i & 1, i & 2);
}

struct ends { struct udp_sockets *a, *b; struct udp_endpoint to; };
static struct ends open_ends(void)
{
    struct err err;
    struct ends ends = {udp_open(0, 0, 1, true, true, &err), udp_open(0, 0, 1, true, true, &err), endpoint_of("127.0.0.1:1")};
    assert_true(ends.a && ends.b);
    ends.to.to.v4.sin_port = htons(ends.b->port);
    return ends;
}

static void close_ends(struct ends *ends)
{
    udp_close(ends->a);
    udp_close(ends->b);
}

/* Many trains at once, of one datagram and of many, all ways of refusing them: all arrive, in order. */
static void test_refusals(void **state)
{
    static const struct { int segmented, next; unsigned most; bool segment_after; size_t refused; } cases[] = {
        {0, 0, 0, true, 0},  {0, 0, 1, true, 0},   {0, 0, 3, true, 0},     {0, EINTR, 0, true, 0},
        {EIO, 0, 0, false, 0}, {EIO, 0, 2, false, 0}, {EINVAL, 0, 0, true, 0}, {EMSGSIZE, 0, 0, true, 0},
        {0, ENOBUFS, 0, true, 1}, {0, EAGAIN, 0, true, 1}, {0, EPERM, 0, true, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ends ends = open_ends();
        struct udp_received last = {0};
        struct udp_train trains[8];
        size_t length = 0;
        if (!udp_can_segment(ends.a, AF_INET))
            skip();
        fill(sizeof sent);
        for (size_t j = 0; j < COUNT_OF(trains); j++) {
            trains[j] = train_of(&ends.to, j % 3 ? 500 * j + 7 : 500, 500, 0);
            trains[j].bytes = sent + length;
            length += trains[j].length;
        }
        fail_segmented = cases[i].segmented;
        fail_next = cases[i].next;
        most_a_call = cases[i].most;
        size_t lost = cases[i].refused ? trains[0].length : 0; /* the first train has one datagram */
        CASE_ASSERT(i, udp_send(ends.a, 0, trains, COUNT_OF(trains)) == cases[i].refused);
        CASE_ASSERT(i, udp_can_segment(ends.a, AF_INET) == cases[i].segment_after);
        collect(ends.b, AF_INET, length - lost, 500, &last);
        CASE_ASSERT(i, !memcmp(got, sent + lost, length - lost));
        close_ends(&ends);
        reset(NULL);
    }
}

/* Datagram by datagram, one of them refused: the others go on. */
static void test_refused_singly(void **state)
{
    struct ends ends = open_ends();
    struct udp_train train = train_of(&ends.to, 2500, 1000, 0);
    struct udp_received last = {0};
    (void)state;
    atomic_store(&ends.a->segment4, false);
    fill(train.length);
    fail_next = ENOBUFS;
    assert_int_equal(udp_send(ends.a, 0, &train, 1), 1);
    assert_int_equal(collect(ends.b, AF_INET, 1500, 1000, &last), 2);
    assert_memory_equal(got, sent + 1000, 1500);
    close_ends(&ends);
}

static void test_sentinel_releases(void **state)
{
    static const struct { const char *release; bool needs; } cases[] = {
        {"6.18.44", false}, {"7.0.0", true}, {"7.0.0-14-generic", true}, {"7.0.12", true}, {"7.1.0", true}, {"7.1.4-1-amd64", true}, {"7.1.5", false},
        {"7.2.0", false}, {"7.10.1", false}, {"8.0.0", false}, {"5.10.0", false}, {"7", false}, {"", false}, {"x", false}, {"7.0", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CASE_ASSERT(i, udp_needs_sentinel(cases[i].release) == cases[i].needs);
}

/* On such a kernel: trains of one size end with a datagram of one byte or go singly, others are as they are. */
static void test_sentinel(void **state)
{
    static const struct { size_t length; uint16_t size; unsigned datagrams; bool sentinel; } cases[] = {
        {100, 100, 1, false}, {700, 100, 7, false}, {800, 100, 8, true}, {799, 100, 8, false}, {6400, 100, 64, true}, {45 * 1452, 1452, 45, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ends ends = open_ends();
        struct udp_train train = train_of(&ends.to, cases[i].length, cases[i].size, 0);
        struct udp_received last = {0};
        if (!udp_can_segment(ends.a, AF_INET))
            skip();
        ends.a->sentinel = true;
        fill(train.length);
        CASE_ASSERT(i, udp_send(ends.a, 0, &train, 1) == 0);
        CASE_ASSERT(i, collect(ends.b, AF_INET, train.length + cases[i].sentinel, train.size, &last) == cases[i].datagrams + cases[i].sentinel);
        CASE_ASSERT(i, !memcmp(got, sent, train.length));
        close_ends(&ends);
    }
}

/* One call for all trains while the kernel takes them. */
static void test_calls(void **state)
{
    struct ends ends = open_ends();
    struct udp_train trains[10];
    (void)state;
    for (size_t j = 0; j < COUNT_OF(trains); j++)
        trains[j] = train_of(&ends.to, 3000, 1000, 0);
    calls = 0;
    assert_int_equal(udp_send(ends.a, 0, trains, COUNT_OF(trains)), 0);
    if (udp_can_segment(ends.a, AF_INET))
        assert_int_equal(calls, 1);
    close_ends(&ends);
}

/* The own address that it came to is gone: sent from another, and the caller sees it. */
static void test_stale_source(void **state)
{
    (void)state;
    for (int many = 0; many < 2; many++) {
        struct ends ends = open_ends();
        struct udp_received last = {0};
        struct udp_train train = train_of(&ends.to, many ? 5000 : 700, 1000, 0);
        train.to.source_family = AF_INET;
        train.to.source.v4.s_addr = htonl(0xc0000263); /* 192.0.2.99 */
        fill(train.length);
        assert_int_equal(udp_send(ends.a, 0, &train, 1), 0);
        assert_int_equal(train.to.source_family, 0);
        collect(ends.b, AF_INET, train.length, 1000, &last);
        assert_memory_equal(got, sent, train.length);
        train.to.source_family = AF_INET; /* one that is there stays */
        train.to.source.v4.s_addr = htonl(0x7f000009);
        assert_int_equal(udp_send(ends.a, 0, &train, 1), 0);
        assert_int_equal(train.to.source_family, AF_INET);
        collect(ends.b, AF_INET, train.length, 1000, &last);
        assert_int_equal(last.from.to.v4.sin_addr.s_addr, htonl(0x7f000009));
        close_ends(&ends);
    }
}

static void test_truncated(void **state)
{
    struct ends ends = open_ends();
    struct udp_train train = train_of(&ends.to, 2000, 2000, 0);
    struct pollfd wanted = {.fd = ends.b->v4[0], .events = POLLIN};
    struct udp_received received[4] = {0};
    (void)state;
    assert_int_equal(udp_receive(ends.b, 0, AF_INET, (uint8_t **)(uintptr_t)buffers, 1500, received, 4), 0); /* nothing yet */
    assert_int_equal(udp_send(ends.a, 0, &train, 1), 0);
    assert_int_equal(poll(&wanted, 1, 1000), 1);
    assert_int_equal(udp_receive(ends.b, 0, AF_INET, (uint8_t **)(uintptr_t)buffers, 1500, received, 4), 1);
    assert_true(received[0].truncated);
    close_ends(&ends);
}

/* No address family that exists, no socket of it: refused, not sent elsewhere. */
static void test_no_family(void **state)
{
    struct ends ends = open_ends();
    struct udp_train train = train_of(&ends.to, 2000, 1000, 0);
    (void)state;
    train.to.to.plain.sa_family = 0;
    assert_int_equal(udp_send(ends.a, 0, &train, 1), 2);
    close(ends.a->v4[0]);
    ends.a->v4[0] = -1;
    train = train_of(&ends.to, 2000, 1000, 0);
    assert_int_equal(udp_send(ends.a, 0, &train, 1), 2);
    close_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_shared_port),
        cmocka_unit_test(test_trains),
        cmocka_unit_test_setup(test_refusals, reset),
        cmocka_unit_test_setup(test_refused_singly, reset),
        cmocka_unit_test(test_sentinel_releases),
        cmocka_unit_test_setup(test_sentinel, reset),
        cmocka_unit_test_setup(test_calls, reset),
        cmocka_unit_test_setup(test_stale_source, reset),
        cmocka_unit_test_setup(test_truncated, reset),
        cmocka_unit_test_setup(test_no_family, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
