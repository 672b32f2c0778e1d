/* device_parse_dump: what wg(8) prints, and what a broken or hostile node may send instead. */
#include "unit.h"

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/device.h"

#define KEY_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_B "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define HASH "00112233445566778899aabbccddeeff"
#define DEVICE "wg0\t(hidden)\t" KEY_A "\t51820\toff\n"

static int parse(const char *text, struct device **devices, size_t *count, struct err *err)
{
    *err = (struct err){{0}};
    return device_parse_dump(text, strlen(text), devices, count, err);
}

static void free_all(struct device *devices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        device_free(&devices[i]);
    free(devices);
}

static void test_two_interfaces(void **state)
{
    static const char text[] =
        DEVICE
        "wg0\t" KEY_C "\t" HASH "\t192.0.2.1:51820\t10.1.0.7/16,fd00::5/128,10.0.0.2/32,10.0.0.2/32\t1700000000\t18446744073709551615\t5\t25\n"
        "wg0\t" KEY_B "\t(none)\t[fe80::1%eth0]:51820\t(none)\t0\t0\t0\toff\n"
        "wg1\t(none)\t(none)\t0\t0xca6c\n";
    struct device *devices;
    struct err err;
    size_t count;
    char shown[PREFIX_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
    static const char *const allowed[] = {"10.0.0.2/32", "10.1.0.0/16", "fd00::5/128"};
    (void)state;
    if (parse(text, &devices, &count, &err))
        fail_msg("%s", err.text);
    assert_int_equal(count, 2);
    const struct device *device = &devices[0];
    assert_string_equal(device->name, "wg0");
    assert_true(device->has_private);
    assert_int_equal(device->listen_port, 51820);
    assert_int_equal(device->fwmark, 0);
    assert_int_equal(device->peer_count, 2);
    struct key key;
    assert_int_equal(key_parse(KEY_C, &key), 0);
    const struct device_peer *peer = device_find_peer(device, &key);
    assert_non_null(peer);
    assert_true(peer->has_preshared);
    assert_int_equal(peer->preshared_hash[1], 0x11);
    assert_int_equal(peer->preshared_hash[15], 0xff);
    assert_true(peer->rx_bytes == UINT64_MAX && peer->tx_bytes == 5 && peer->keepalive == 25);
    assert_true(peer->handshake == 1700000000 * CLOCK_SECOND);
    assert_int_equal(peer->allowed_count, 3);
    for (size_t i = 0; i < 3; i++) {
        prefix_text(&peer->allowed[i], shown);
        assert_string_equal(shown, allowed[i]);
    }
    assert_int_equal(key_parse(KEY_B, &key), 0);
    peer = device_find_peer(device, &key);
    assert_non_null(peer);
    assert_false(peer->has_preshared);
    assert_int_equal(peer->allowed_count, 0);
    assert_true(peer->handshake == 0);
    endpoint_text(&peer->endpoint, endpoint);
    assert_string_equal(endpoint, "[fe80::1]:51820");
    assert_int_equal(key_parse(KEY_A, &key), 0);
    assert_null(device_find_peer(device, &key));
    assert_string_equal(devices[1].name, "wg1");
    assert_false(devices[1].has_private);
    assert_true(key_is_zero(&devices[1].public_key));
    assert_int_equal(devices[1].fwmark, 0xca6c);
    free_all(devices, count);
    assert_int_equal(parse("", &devices, &count, &err), 0);
    assert_int_equal(count, 0);
    free_all(devices, count);
    assert_int_equal(parse("wg0\t(none)\t" KEY_A "\t1\toff\n", &devices, &count, &err), 0);
    assert_true(devices[0].has_private); /* hidden as "(none)": the public key tells that there is one */
    free_all(devices, count);
}

#define PEER(key, psk, endpoint, allowed, time, rx, tx, alive) \
    DEVICE "wg0\t" key "\t" psk "\t" endpoint "\t" allowed "\t" time "\t" rx "\t" tx "\t" alive "\n"
#define GOOD_PEER PEER(KEY_B, "(none)", "(none)", "(none)", "0", "0", "0", "off")

static void test_refused(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {"wg0\n", "wg dump line 1: 1 fields, not 5 (interface) or 9 (peer)"},
        {DEVICE "\n", "wg dump line 2: 1 fields"},
        {"wg0\t(hidden)\t" KEY_A "\t51820\toff", "wg dump line 1: cut off"},
        {"wg0\t(hidden)\t" KEY_A "\t51820\toff\t\n", "line 1: 6 fields"},
        {"wg/0\t(hidden)\t" KEY_A "\t51820\toff\n", "line 1: field 1 (interface) is 'wg/0'"},
        {"wg\x1b[2J\t(hidden)\t" KEY_A "\t51820\toff\n", "(interface) is 'wg\\x1b[2J'"},
        {"wg0123456789012345\t(hidden)\t" KEY_A "\t51820\toff\n", "line 1: field 1 (interface)"},
        {DEVICE DEVICE, "line 2: field 1 (interface) is 'wg0', not a new"},
        {"wg0\t" KEY_B "\t" KEY_A "\t51820\toff\n", "field 2 (private key) is '(not shown)', not (none) or (hidden)"},
        {"wg0\t(hidden)\t(none)\t51820\toff\n", "field 3 (public key)"},
        {"wg0\t(hidden)\tshort\t51820\toff\n", "field 3 (public key) is 'short'"},
        {"wg0\t(hidden)\t" KEY_A "\t65536\toff\n", "field 4 (listen port)"},
        {"wg0\t(hidden)\t" KEY_A "\t1\t0x\n", "field 5 (fwmark)"},
        {"wg0\t(hidden)\t" KEY_A "\t1\t0x123456789\n", "field 5 (fwmark)"},
        {"wg0\t(hidden)\t" KEY_A "\t1\t12\n", "field 5 (fwmark)"},
        {"wg0\t" KEY_B "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n", "line 1: a peer of 'wg0', whose own line is not before it"},
        {DEVICE "wg1\t" KEY_B "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n", "line 2: a peer of 'wg1'"},
        {PEER("x", "(none)", "(none)", "(none)", "0", "0", "0", "off"), "line 2: field 2 (public key) is 'x', not a key"},
        {PEER(KEY_B, KEY_C, "(none)", "(none)", "0", "0", "0", "off"), "field 3 (preshared key) is '(not shown)'"},
        {PEER(KEY_B, "0011223344556677889 aabbccddeeff", "(none)", "(none)", "0", "0", "0", "off"), "field 3 (preshared key)"},
        {PEER(KEY_B, "(hidden)", "(none)", "(none)", "0", "0", "0", "off"), "field 3 (preshared key)"},
        {PEER(KEY_B, "(none)", "a.example:1", "(none)", "0", "0", "0", "off"), "field 4 (endpoint) is 'a.example:1'"},
        {PEER(KEY_B, "(none)", "(none)", "10.0.0.0/33", "0", "0", "0", "off"), "field 5 (allowed ips)"},
        {PEER(KEY_B, "(none)", "(none)", "10.0.0.0/8,", "0", "0", "0", "off"), "field 5 (allowed ips)"},
        {PEER(KEY_B, "(none)", "(none)", "", "0", "0", "0", "off"), "field 5 (allowed ips)"},
        {PEER(KEY_B, "(none)", "(none)", "(none)", "9223372037", "0", "0", "off"), "field 6 (latest handshake)"},
        {PEER(KEY_B, "(none)", "(none)", "(none)", "-1", "0", "0", "off"), "field 6 (latest handshake)"},
        {PEER(KEY_B, "(none)", "(none)", "(none)", "0", "18446744073709551616", "0", "off"), "field 7 (received bytes)"},
        {PEER(KEY_B, "(none)", "(none)", "(none)", "0", "0", "", "off"), "field 8 (sent bytes)"},
        {PEER(KEY_B, "(none)", "(none)", "(none)", "0", "0", "0", "65536"), "field 9 (persistent keepalive)"},
        {GOOD_PEER "wg0\t" KEY_B "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n", "the peer " KEY_B " is there twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct device *devices;
        struct err err;
        size_t count;
        CASE_ASSERT(i, parse(cases[i].text, &devices, &count, &err) == -1);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, !strstr(err.text, KEY_C));
    }
    struct device *devices;
    struct err err;
    size_t count;
    assert_int_equal(device_parse_dump("wg0\0\n", 5, &devices, &count, &err), -1);
    assert_int_equal(parse(GOOD_PEER, &devices, &count, &err), 0); /* the row that the cases above are made of */
    free_all(devices, count);
}

static void test_copy_and_order(void **state)
{
    struct device device = {.name = "wg0"}, copy;
    (void)state;
    device.peers = mem_alloc(50, sizeof *device.peers);
    device.peer_count = 50;
    for (size_t i = 0; i < 50; i++)
        key_make_preshared(&device.peers[i].public_key);
    device.peers[3].allowed = mem_alloc(2, sizeof(struct prefix));
    device.peers[3].allowed_count = 2;
    prefix_parse("10.1.0.1/16", &device.peers[3].allowed[0]);
    prefix_parse("10.0.0.1/16", &device.peers[3].allowed[1]);
    struct key key = device.peers[3].public_key;
    device_copy(&copy, &device);
    device_sort(&copy);
    device_free(&device);
    for (size_t i = 1; i < 50; i++)
        CASE_ASSERT(i, key_compare(&copy.peers[i - 1].public_key, &copy.peers[i].public_key) < 0);
    const struct device_peer *peer = device_find_peer(&copy, &key);
    assert_int_equal(peer->allowed_count, 2);
    char text[PREFIX_TEXT_SIZE];
    prefix_text(&peer->allowed[0], text);
    assert_string_equal(text, "10.0.0.0/16");
    device_free(&copy);
}

static void test_engine_kinds(void **state)
{
    (void)state;
    for (int kind = ENGINE_UNKNOWN; kind <= ENGINE_USERSPACE; kind++)
        assert_int_equal(engine_kind_parse(engine_kind_text((enum engine_kind)kind)), kind);
    assert_int_equal(engine_kind_parse("warp"), ENGINE_UNKNOWN);
    assert_string_equal(engine_kind_text((enum engine_kind)99), "unknown");
}

/* A node of a 1,000-node full mesh; the best of several, for the machine may be busy. */
static void test_speed(void **state)
{
    struct buf buf = BUF_EMPTY;
    int64_t best = INT64_MAX;
    (void)state;
    buf_add_text(&buf, DEVICE);
    for (unsigned i = 0; i < 999; i++) {
        struct key key;
        char text[KEY_TEXT_SIZE];
        key_make_preshared(&key);
        key_text(&key, text);
        buf_add_format(&buf, "wg0\t%s\t" HASH "\t192.0.%u.%u:51820\t10.44.%u.%u/32,fd44::%x/128\t1700000000\t123456789\t123456789\t25\n", text, i / 250,
                       i % 250, i / 250, i % 250, i);
    }
    for (int i = 0; i < 10; i++) {
        struct device *devices;
        struct err err;
        size_t count;
        int64_t start = clock_steady();
        assert_int_equal(device_parse_dump(buf.data, buf.length, &devices, &count, &err), 0);
        int64_t took = clock_steady() - start;
        best = took < best ? took : best;
        assert_int_equal(devices[0].peer_count, 999);
        free_all(devices, count);
    }
    print_message("999 rows: %.2f ms\n", (double)best / CLOCK_MILLISECOND);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(best < 5 * CLOCK_MILLISECOND);
#endif
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_interfaces), cmocka_unit_test(test_refused), cmocka_unit_test(test_copy_and_order),
        cmocka_unit_test(test_engine_kinds),   cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
