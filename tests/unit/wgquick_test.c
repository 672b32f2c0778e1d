/* wgquick.h: files as people and wg-quick itself write them. */
#include "unit.h"

#include "wgdeck/wgquick.h"

#define KEY_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_B "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define ZERO_KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static const char salt[] = "0000000000000000000000000000000000000000000000000000000000000001";

static int read_text(const char *file, const char *text, struct wgquick *wgquick, struct buf *warnings, struct err *err)
{
    struct conf *conf = conf_parse(file, text, strlen(text), err);
    assert_non_null(conf);
    int result = wgquick_read(conf, salt, wgquick, warnings, err);
    conf_free(conf);
    return result;
}

static const char file_text[] = "[Interface]\n"
                                "PrivateKey = " KEY_B "\n"
                                "Address = 10.44.0.1/24, fd44::1/64\n"
                                "address = 10.45.0.1 # one more\n"
                                "ListenPort = 51820\n"
                                "FwMark = 0xca6c\n"
                                "DNS = 1.1.1.1, example.org\n"
                                "MTU = 1380\n"
                                "Table = off\n"
                                "PreUp = echo = %i\n"
                                "PostUp = iptables -A FORWARD -i %i -j ACCEPT; true\n"
                                "SaveConfig = true\n"
                                "ListenPrt = 5\n"
                                "\n"
                                "[peer]\n"
                                "publickey = " KEY_C "\n"
                                "PresharedKey = " KEY_B "\n"
                                "AllowedIPs = 10.44.0.3/24 , fd44::3\n"
                                "AllowedIPs = 10.44.0.9/32,\n"
                                "Endpoint = db.example.org:51820\n"
                                "PersistentKeepalive = 25\n"
                                "[Peer]\n"
                                "PublicKey = " KEY_A "\n"
                                "PresharedKey = " ZERO_KEY "\n"
                                "Endpoint = [2001:db8::1]:51820\n"
                                "PersistentKeepalive = off\n"
                                "AllowedIPs =\n"
                                "[Odd]\n"
                                "Key = value\n";

static void test_whole_file(void **state)
{
    static const uint8_t hash[KEY_HASH_SIZE] = {0x39, 0x9d, 0x04, 0x30, 0x23, 0xbb, 0x2c, 0x05,
                                                0xb4, 0xa6, 0xe1, 0x26, 0x6a, 0xb1, 0x08, 0xb5};
    static const char *const allowed[] = {"10.44.0.0/24", "10.44.0.9/32", "fd44::3/128"};
    static const char *const addresses[] = {"10.44.0.1/24", "fd44::1/64", "10.45.0.1/32"};
    struct wgquick wgquick;
    struct buf warnings = BUF_EMPTY;
    struct err err;
    struct key key;
    char text[PREFIX_TEXT_SIZE], shown[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
    (void)state;
    if (read_text("/etc/wireguard/wg0.conf", file_text, &wgquick, &warnings, &err))
        fail_msg("%s", err.text);
    assert_string_equal(wgquick.device.name, "wg0");
    assert_true(wgquick.device.has_private && wgquick.table_off && wgquick.save_config && wgquick.listen_port_given);
    key_text(&wgquick.device.public_key, shown);
    assert_string_equal(shown, KEY_A);
    assert_int_equal(wgquick.device.listen_port, 51820);
    assert_int_equal(wgquick.device.fwmark, 0xca6c);
    assert_int_equal(wgquick.mtu, 1380);
    assert_int_equal(wgquick.hooks, 2);
    assert_int_equal(wgquick.address_count, 3);
    for (size_t i = 0; i < 3; i++) {
        prefix_text(&wgquick.addresses[i], text);
        assert_string_equal(text, addresses[i]);
    }
    assert_int_equal(wgquick.device.peer_count, 2);
    key_parse(KEY_C, &key);
    const struct device_peer *peer = device_find_peer(&wgquick.device, &key);
    assert_non_null(peer);
    assert_string_equal(wgquick.endpoint_hosts[peer - wgquick.device.peers], "db.example.org:51820");
    assert_int_equal(peer->endpoint.address.family, 0);
    assert_true(peer->has_preshared && peer->keepalive == 25);
    assert_memory_equal(peer->preshared_hash, hash, sizeof hash);
    assert_int_equal(peer->allowed_count, 3);
    for (size_t i = 0; i < 3; i++) {
        prefix_text(&peer->allowed[i], text);
        assert_string_equal(text, allowed[i]);
    }
    key_parse(KEY_A, &key);
    peer = device_find_peer(&wgquick.device, &key);
    assert_non_null(peer);
    assert_null(wgquick.endpoint_hosts[peer - wgquick.device.peers]);
    endpoint_text(&peer->endpoint, endpoint);
    assert_string_equal(endpoint, "[2001:db8::1]:51820");
    assert_true(!peer->has_preshared && peer->keepalive == 0 && peer->allowed_count == 0);
    assert_string_equal(buf_text(&warnings), "/etc/wireguard/wg0.conf:13: the key 'ListenPrt' is not known to wg-quick; did you mean ListenPort?\n"
                                             "/etc/wireguard/wg0.conf:28: the section 'Odd' is not known to wg-quick\n");
    buf_free(&warnings);
    wgquick_free(&wgquick);
    assert_int_equal(read_text("x", "", &wgquick, NULL, &err), 0);
    assert_false(wgquick.device.has_private || wgquick.listen_port_given);
    wgquick_free(&wgquick);
}

/* As wg setconf applies it: the later section's prefixes win, the rest is kept. */
static void test_peer_twice(void **state)
{
    static const char text[] = "[Peer]\nPublicKey=" KEY_A "\nAllowedIPs=10.0.0.1/32\nEndpoint=a.example:1\nPersistentKeepalive=9\n"
                               "[Peer]\nPublicKey=" KEY_A "\nAllowedIPs=10.0.0.2/32\nPresharedKey=" KEY_B "\n";
    struct wgquick wgquick;
    struct err err;
    char shown[PREFIX_TEXT_SIZE];
    (void)state;
    assert_int_equal(read_text("x.conf", text, &wgquick, NULL, &err), 0);
    assert_int_equal(wgquick.device.peer_count, 1);
    const struct device_peer *peer = &wgquick.device.peers[0];
    assert_true(peer->allowed_count == 1 && peer->keepalive == 9 && peer->has_preshared);
    prefix_text(&peer->allowed[0], shown);
    assert_string_equal(shown, "10.0.0.2/32");
    assert_string_equal(wgquick.endpoint_hosts[0], "a.example:1");
    wgquick_free(&wgquick);
}

static void test_refused(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {"A=1\n", "w.conf:1: a line before the first section; write [Interface] above it"},
        {"[Interface]\nPrivateKey=Secret\n", "w.conf:2: PrivateKey = (not shown) is not usable; write a key of 44 characters, as wg genkey prints it"},
        {"[Interface]\nListenPort=65536\n", "w.conf:2: ListenPort = 65536 is not usable; write 0 to 65535"},
        {"[Interface]\nFwMark=0xg\n", "w.conf:2: FwMark"},
        {"[Interface]\nAddress=10.0.0.1/33\n", "w.conf:2: Address = 10.0.0.1/33 is not usable"},
        {"[Interface]\nAddress=10.0.0.1 10.0.0.2\n", "w.conf:2: Address"},
        {"[Interface]\nMTU=20\n", "w.conf:2: MTU"},
        {"[Interface]\nTable=\n", "w.conf:2: Table"},
        {"[Peer]\nPublicKey=x\x1b[2J\n", "w.conf:2: PublicKey = x\\x1b[2J is not usable"},
        {"[Peer]\nPublicKey=" KEY_A "\nPresharedKey=Secret\n", "w.conf:3: PresharedKey = (not shown)"},
        {"[Peer]\nPublicKey=" KEY_A "\nAllowedIPs=10.0.0.0/8, x\n", "w.conf:3: AllowedIPs"},
        {"[Peer]\nPublicKey=" KEY_A "\nEndpoint=192.0.2.1\n", "w.conf:3: Endpoint = 192.0.2.1 is not usable; write ADDRESS:PORT"},
        {"[Peer]\nPublicKey=" KEY_A "\nEndpoint=$(reboot):1\n", "w.conf:3: Endpoint"},
        {"[Peer]\nPublicKey=" KEY_A "\nEndpoint=a.example:0\n", "w.conf:3: Endpoint"},
        {"[Peer]\nPublicKey=" KEY_A "\nPersistentKeepalive=65536\n", "w.conf:3: PersistentKeepalive"},
        {"[Interface]\n[Peer]\nAllowedIPs=10.0.0.1\n", "w.conf:2: a [Peer] without PublicKey; write PublicKey = ... in it"},
        {"[Peer]\n", "w.conf:1: a [Peer] without PublicKey"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wgquick wgquick;
        struct err err = {{0}};
        CASE_ASSERT(i, read_text("w.conf", cases[i].text, &wgquick, NULL, &err) == -1);
        if (strncmp(err.text, cases[i].error, strlen(cases[i].error)))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, !strstr(err.text, "Secret"));
    }
}

static void test_small_values(void **state)
{
    static const struct { const char *text; uint32_t fwmark; bool table_off, save; } cases[] = {
        {"[Interface]\nFwMark = off\nTable = auto\nSaveConfig = false\n", 0, false, false},
        {"[Interface]\nFwMark = 51820\nTable = 1234\nSaveConfig = true\n", 51820, false, true},
        {"[Interface]\nFwMark = 0XFF\nTable = OFF\n", 255, true, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wgquick wgquick;
        struct err err;
        CASE_ASSERT(i, read_text("a-much-too-long-name.conf", cases[i].text, &wgquick, NULL, &err) == 0);
        CASE_ASSERT(i, wgquick.device.fwmark == cases[i].fwmark && wgquick.table_off == cases[i].table_off && wgquick.save_config == cases[i].save);
        CASE_ASSERT(i, !wgquick.device.name[0]);
        wgquick_free(&wgquick);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_peer_twice),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_small_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
