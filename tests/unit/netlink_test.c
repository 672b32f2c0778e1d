/* The kernel's messages, built here with libnl as the kernel builds them (drivers/net/wireguard/netlink.c), and taken apart.
 * Where the kernel has WireGuard, it is asked too. */
#include "unit.h"

#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device_compare.h"
#include "wg/netlink.h"
#include "wgdeck/clock.h"

static const char salt[] = "0000000000000000000000000000000000000000000000000000000000000001";
static const uint8_t hash[KEY_HASH_SIZE] = {0x39, 0x9d, 0x04, 0x30, 0x23, 0xbb, 0x2c, 0x05, 0xb4, 0xa6, 0xe1, 0x26, 0x6a, 0xb1, 0x08, 0xb5};
#define SECRET "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define PUBLIC "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="

struct build {
    struct nl_msg *message;
    struct nlattr *peers, *peer, *allowed;
};

static struct build begin_message(void)
{
    struct build build = {.message = nlmsg_alloc()};
    genlmsg_put(build.message, 1, 1, 30, 0, NLM_F_MULTI, WG_CMD_GET_DEVICE, 1);
    return build;
}

static void put_key(struct nl_msg *message, int attribute, const char *text)
{
    struct key key = {{0}};
    if (text)
        assert_int_equal(key_parse(text, &key), 0);
    nla_put(message, attribute, KEY_SIZE, &key);
}

static void put_device(struct build *build, const char *secret)
{
    nla_put_string(build->message, WGDEVICE_A_IFNAME, "wg7");
    nla_put_u16(build->message, WGDEVICE_A_LISTEN_PORT, 51820);
    nla_put_u32(build->message, WGDEVICE_A_FWMARK, 77);
    if (secret) {
        put_key(build->message, WGDEVICE_A_PRIVATE_KEY, secret);
        put_key(build->message, WGDEVICE_A_PUBLIC_KEY, PUBLIC);
    }
}

static void put_allowed(struct build *build, const char *text)
{
    struct prefix prefix;
    assert_int_equal(prefix_parse(text, &prefix), 0);
    struct nlattr *nest = nla_nest_start(build->message, 0);
    nla_put_u8(build->message, WGALLOWEDIP_A_CIDR_MASK, prefix.length);
    nla_put_u16(build->message, WGALLOWEDIP_A_FAMILY, prefix.address.family);
    nla_put(build->message, WGALLOWEDIP_A_IPADDR, (int)address_bits(&prefix.address) / 8, prefix.address.bytes);
    nla_nest_end(build->message, nest);
}

static void begin_peer(struct build *build, const char *public_key)
{
    build->peer = nla_nest_start(build->message, 0);
    put_key(build->message, WGPEER_A_PUBLIC_KEY, public_key);
}

static void put_peer_values(struct build *build, bool v6, const char *preshared)
{
    struct sockaddr_in v4_endpoint = {.sin_family = AF_INET, .sin_port = htons(5), .sin_addr = {htonl(0xC0000201)}};
    struct sockaddr_in6 v6_endpoint = {.sin6_family = AF_INET6, .sin6_port = htons(6), .sin6_scope_id = 3, .sin6_addr = {{{0xFE, 0x80, [15] = 1}}}};
    int64_t time[2] = {1700000000, 9};
    put_key(build->message, WGPEER_A_PRESHARED_KEY, preshared);
    nla_put(build->message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof time, time);
    nla_put_u16(build->message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25);
    nla_put_u64(build->message, WGPEER_A_RX_BYTES, 11);
    nla_put_u64(build->message, WGPEER_A_TX_BYTES, 12);
    nla_put_u32(build->message, WGPEER_A_PROTOCOL_VERSION, 1);
    if (v6)
        nla_put(build->message, WGPEER_A_ENDPOINT, sizeof v6_endpoint, &v6_endpoint);
    else
        nla_put(build->message, WGPEER_A_ENDPOINT, sizeof v4_endpoint, &v4_endpoint);
}

static int give(struct build *build, struct netlink_reading *reading)
{
    struct nlmsghdr *header = nlmsg_hdr(build->message);
    void *exact = mem_alloc(header->nlmsg_len, 1); /* so that a sanitizer sees a read too far */
    memcpy(exact, header, header->nlmsg_len);
    int result = netlink_read_message(reading, exact);
    free(exact);
    nlmsg_free(build->message);
    return result;
}

#define SECOND_PEER "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

/* Three messages: the device and a peer whose prefixes do not fit; more of them; the rest and another peer. */
static void test_continued(void **state)
{
    struct err err = {{0}};
    struct netlink_reading reading = {.salt = salt, .err = &err};
    struct device device;
    char text[ENDPOINT_TEXT_SIZE];
    (void)state;
    for (int part = 0; part < 3; part++) {
        struct build build = begin_message();
        if (part == 0)
            put_device(&build, SECRET);
        build.peers = nla_nest_start(build.message, WGDEVICE_A_PEERS);
        begin_peer(&build, SECRET);
        if (part == 0)
            put_peer_values(&build, false, SECRET);
        build.allowed = nla_nest_start(build.message, WGPEER_A_ALLOWEDIPS);
        put_allowed(&build, part == 0 ? "10.9.0.0/16" : part == 1 ? "fd00::/64" : "10.8.0.1/32");
        nla_nest_end(build.message, build.allowed);
        nla_nest_end(build.message, build.peer);
        if (part == 2) {
            begin_peer(&build, SECOND_PEER);
            put_peer_values(&build, true, NULL);
            nla_nest_end(build.message, build.peer);
        }
        nla_nest_end(build.message, build.peers);
        assert_int_equal(give(&build, &reading), 0);
    }
    assert_int_equal(device_build_finish(&reading.build, &device, &err), 0);
    assert_string_equal(device.name, "wg7");
    assert_int_equal(device.engine, ENGINE_KERNEL);
    assert_true(device.has_private && device.listen_port == 51820 && device.fwmark == 77 && device.peer_count == 2);
    struct key key;
    key_parse(PUBLIC, &key);
    assert_int_equal(key_compare(&key, &device.public_key), 0);
    key_parse(SECRET, &key);
    const struct device_peer *peer = device_find_peer(&device, &key);
    assert_non_null(peer);
    assert_memory_equal(peer->preshared_hash, hash, sizeof hash);
    assert_true(peer->has_preshared && peer->keepalive == 25 && peer->rx_bytes == 11 && peer->tx_bytes == 12 && peer->allowed_count == 3);
    assert_true(peer->handshake == 1700000000 * CLOCK_SECOND + 9);
    endpoint_text(&peer->endpoint, text);
    assert_string_equal(text, "192.0.2.1:5");
    prefix_text(&peer->allowed[0], text);
    assert_string_equal(text, "10.8.0.1/32");
    key_parse(SECOND_PEER, &key);
    peer = device_find_peer(&device, &key);
    assert_non_null(peer);
    assert_true(!peer->has_preshared && peer->allowed_count == 0);
    endpoint_text(&peer->endpoint, text);
    assert_string_equal(text, "[fe80::1%3]:6");
    device_free(&device);
}

static void test_without_key(void **state)
{
    struct err err = {{0}};
    struct netlink_reading reading = {.salt = salt, .err = &err};
    struct device device;
    (void)state;
    struct build build = begin_message();
    put_device(&build, NULL);
    assert_int_equal(give(&build, &reading), 0);
    assert_int_equal(device_build_finish(&reading.build, &device, &err), 0);
    assert_false(device.has_private);
    assert_true(key_is_zero(&device.public_key));
    device_free(&device);
}

enum damage { SHORT_KEY, NO_KEY, SHORT_ENDPOINT, ODD_FAMILY, LONG_MASK, SHORT_ADDRESS, BAD_TIME, CUT, DAMAGES };

static void put_damage(struct build *build, enum damage damage)
{
    int64_t time[2] = {-1, 0};
    struct sockaddr short_endpoint = {.sa_family = AF_INET6};
    build->peer = nla_nest_start(build->message, 0);
    if (damage == SHORT_KEY)
        nla_put(build->message, WGPEER_A_PUBLIC_KEY, KEY_SIZE - 1, salt);
    else if (damage != NO_KEY)
        put_key(build->message, WGPEER_A_PUBLIC_KEY, PUBLIC);
    nla_put_u16(build->message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 1); /* libnl drops an empty nest */
    if (damage == SHORT_ENDPOINT)
        nla_put(build->message, WGPEER_A_ENDPOINT, sizeof short_endpoint, &short_endpoint);
    if (damage == BAD_TIME)
        nla_put(build->message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof time, time);
    if (damage == ODD_FAMILY || damage == LONG_MASK || damage == SHORT_ADDRESS) {
        build->allowed = nla_nest_start(build->message, WGPEER_A_ALLOWEDIPS);
        struct nlattr *nest = nla_nest_start(build->message, 0);
        nla_put_u8(build->message, WGALLOWEDIP_A_CIDR_MASK, damage == LONG_MASK ? 33 : 32);
        nla_put_u16(build->message, WGALLOWEDIP_A_FAMILY, damage == ODD_FAMILY ? AF_UNIX : damage == SHORT_ADDRESS ? AF_INET6 : AF_INET);
        nla_put(build->message, WGALLOWEDIP_A_IPADDR, 4, hash);
        nla_nest_end(build->message, nest);
        nla_nest_end(build->message, build->allowed);
    }
    nla_nest_end(build->message, build->peer);
}

static void test_garbled(void **state)
{
    (void)state;
    for (int damage = 0; damage < DAMAGES; damage++) {
        struct err err = {{0}};
        struct netlink_reading reading = {.salt = salt, .err = &err};
        struct build build = begin_message();
        put_device(&build, SECRET);
        build.peers = nla_nest_start(build.message, WGDEVICE_A_PEERS);
        put_damage(&build, (enum damage)damage);
        nla_nest_end(build.message, build.peers);
        if (damage == CUT)
            nlmsg_hdr(build.message)->nlmsg_len = NLMSG_HDRLEN + 2;
        CASE_ASSERT(damage, give(&build, &reading) == -1);
        CASE_ASSERT(damage, strstr(err.text, "garbled"));
        device_free(&reading.build.device);
    }
}

static void test_link_names(void **state)
{
    static const struct { const char *name, *kind; int type; bool found; } cases[] = {
        {"wg0", "wireguard", RTM_NEWLINK, true}, {"wg0", "wireguard", RTM_DELLINK, false}, {"eth0", "veth", RTM_NEWLINK, false},
        {"wg0", "wireguardx", RTM_NEWLINK, false}, {"lo", NULL, RTM_NEWLINK, false}, {"a b", "wireguard", RTM_NEWLINK, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ifinfomsg header = {.ifi_index = 5};
        struct nl_msg *message = nlmsg_alloc_simple(cases[i].type, 0);
        nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO);
        nla_put_string(message, IFLA_IFNAME, cases[i].name);
        if (cases[i].kind) {
            struct nlattr *info = nla_nest_start(message, IFLA_LINKINFO);
            nla_put_string(message, IFLA_INFO_KIND, cases[i].kind);
            nla_nest_end(message, info);
        }
        const char *name = netlink_wireguard_name(nlmsg_hdr(message));
        CASE_ASSERT(i, cases[i].found ? name && !strcmp(name, cases[i].name) : !name);
        nlmsg_free(message);
    }
}

/* The sockets are real, whatever this kernel has: asking must end, with an answer or with a reason. */
static void test_this_kernel(void **state)
{
    struct err err = {{0}};
    struct device device;
    char **names;
    size_t count;
    (void)state;
    if (device_source_netlink.list(&names, &count, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    assert_int_equal(device_source_netlink.read("wgdeck-no", salt, &device, &err), -1);
    assert_int_equal(strncmp(err.text, "wgdeck-no: ", 11), 0);
    assert_int_equal(device_source_netlink.read("a/b", salt, &device, &err), -1);
}

/* Many peers, one of them with more prefixes than a message holds, and keys of everybody in files. */
static const char set_up[] = "umask 077; mkdir -p /run/x; echo " SECRET " > /run/x/key; ip link add wg7 type wireguard && "
                             "wg set wg7 private-key /run/x/key listen-port 51820 fwmark 0x77 && "
                             "{ echo '[Interface]'; i=0; while [ $i -lt 300 ]; do i=$((i + 1)); echo '[Peer]'; echo PublicKey=$(wg genkey | wg pubkey); "
                             "echo PresharedKey=" SECRET "; echo AllowedIPs=10.1.$((i / 250)).$((i % 250))/32,fd00::$i/128; "
                             "echo Endpoint=192.0.2.$((i % 250)):$i; echo PersistentKeepalive=25; done; echo '[Peer]'; echo PublicKey=" SECOND_PEER
                             "; i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); echo AllowedIPs=10.2.$((i / 250)).$((i % 250))/32; done; } > /run/x/c && "
                             "wg addconf wg7 /run/x/c";

static int ask_kernel(void)
{
    struct device device;
    struct err err;
    char **names;
    size_t count;
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL) ||
        system("ip link add wg8 type wireguard 2> /dev/null && ip link delete wg8 && command -v wg > /dev/null"))
        return 77;
    if (system(set_up))
        return 1;
    if (device_source_netlink.list(&names, &count, &err) || count != 1 || strcmp(names[0], "wg7"))
        return 2;
    if (device_source_netlink.read("lo", salt, &device, &err) != -1 || !strstr(err.text, "not a WireGuard interface"))
        return 3;
    if (device_source_netlink.read("wg9", salt, &device, &err) != -1 || !strstr(err.text, "no such interface"))
        return 4;
    if (device_source_netlink.read("wg7", salt, &device, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 5;
    }
    if (device.peer_count != 301 || device.engine != ENGINE_KERNEL)
        return 6;
    return device_differs_from_wg(&device, "399d043023bb2c05b4a6e1266ab108b5");
}

static void test_kernel(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(ask_kernel());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("needs root, namespaces, wg, and a kernel with WireGuard (make check-vm has one)\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continued),  cmocka_unit_test(test_without_key), cmocka_unit_test(test_garbled),
        cmocka_unit_test(test_link_names), cmocka_unit_test(test_this_kernel),
        cmocka_unit_test(test_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
