/* The lowest free address of each Network, and what is not free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wgdeck/desired.h"
#include "wgdeck/mem.h"

static struct mesh *mesh_of(const char *text)
{
    struct err err;
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), &err);
    struct mesh *mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!mesh)
        fail_msg("%s\n%s", err.text, text);
    conf_free(conf);
    return mesh;
}

typedef int allocator(const struct mesh *mesh, const struct prefix *reserved, size_t reserved_count, struct prefix **addresses, size_t *count, struct err *err);

static char *allocate(allocator *give, const char *file, const struct prefix *reserved, size_t reserved_count)
{
    struct mesh *mesh = mesh_of(file);
    struct prefix *addresses;
    struct err err;
    size_t count;
    struct buf text = BUF_EMPTY;
    if (give(mesh, reserved, reserved_count, &addresses, &count, &err) != 0) {
        assert_null(addresses);
        buf_add_text(&text, err.text);
    }
    for (size_t i = 0; i < count; i++) {
        char one[PREFIX_TEXT_SIZE];
        prefix_text(&addresses[i], one);
        buf_add_format(&text, "%s%s", i ? " " : "", one);
    }
    free(addresses);
    mesh_free(mesh);
    return buf_take(&text);
}

#define NET(networks) "[Mesh]\nNetwork = " networks "\n"
#define NODE(name, addresses) "[Node " name "]\nAddress = " addresses "\n"
#define GONE(name, addresses, date) "[Removed " name "]\nAddress = " addresses "\nDate = " date "\n"

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *file, *reserved, *gives;
    } cases[] = {
        {NET("10.44.0.0/24"), NULL, "10.44.0.1/32"},
        {NET("10.44.0.0/24, fd44::/64") NODE("a", "10.44.0.1, fd44::1") NODE("b", "10.44.0.2, fd44::7"), NULL, "10.44.0.3/32 fd44::2/128"},
        {NET("10.44.0.0/24") NODE("a", "10.44.0.1") NODE("c", "10.44.0.3"), NULL, "10.44.0.2/32"}, /* a gap is filled */
        {NET("10.44.0.0/24\nReserved = 10.44.0.0/28, 10.44.0.16"), NULL, "10.44.0.17/32"},
        {NET("10.44.0.0/24\nRelayNetwork = 10.44.0.0/26"), NULL, "10.44.0.64/32"},
        {NET("10.44.0.0/24\nReserved = 10.44.0.8/29\nRelayNetwork = 10.44.0.0/29\nReserved = 10.44.0.0/28"), NULL, "10.44.0.16/32"},
        {NET("10.44.0.0/24\nReserved = 192.168.0.0/16, fd00::/8"), NULL, "10.44.0.1/32"},
        {NET("10.44.0.0/24") NODE("a", "10.44.0.1"), "10.44.0.2", "10.44.0.3/32"},
        {NET("10.44.0.0/22") NODE("a", "10.44.0.254") "[Removed x]\nAddress = 10.44.0.1\n", "10.44.0.0/24", "10.44.1.0/32"}, /* inside a /22 .0 is an address like others */
        /* What a removed node had comes last, and of these what is longest past. */
        {NET("10.44.0.0/29") GONE("x", "10.44.0.1", "2026-01-01"), NULL, "10.44.0.2/32"},
        {NET("10.44.0.0/30") NODE("a", "10.44.0.1") GONE("x", "10.44.0.2", "2026-01-01"), NULL, "10.44.0.2/32"},
        {NET("10.44.0.0/30") GONE("x", "10.44.0.1", "2026-11-23") GONE("y", "10.44.0.2", "2025-01-01"), NULL, "10.44.0.2/32"},
        {NET("10.44.0.0/30") GONE("y", "10.44.0.1", "2025-01-01") "[Removed z]\nAddress = 10.44.0.2\n", NULL, "10.44.0.2/32"},
        {NET("10.44.0.0/30") NODE("a", "10.44.0.2") GONE("x", "10.44.0.2, 10.44.0.1", "2026-01-01"), NULL, "10.44.0.1/32"},
        {NET("10.44.0.0/30") NODE("a", "10.44.0.1") GONE("x", "10.44.0.3, 10.44.0.0, 10.45.0.2", "2026-01-01"), NULL, "10.44.0.2/32"},
        {NET("10.44.0.0/30\nReserved = 10.44.0.2") NODE("a", "10.44.0.1") GONE("x", "10.44.0.2", "2026-01-01"), NULL, "10.44.0.0/30 is full: no address is left"},
        {NET("10.44.0.0/30") NODE("a", "10.44.0.1") GONE("x", "10.44.0.2", "2026-01-01"), "10.44.0.2", "10.44.0.0/30 is full"},
        /* Ends. */
        {NET("10.44.0.0/30") NODE("a", "10.44.0.1") NODE("b", "10.44.0.2"), NULL, "10.44.0.0/30 is full"},
        {NET("10.44.0.0/31"), NULL, "10.44.0.0/32"},
        {NET("10.44.0.0/31") NODE("a", "10.44.0.0"), NULL, "10.44.0.1/32"},
        {NET("10.44.0.0/31") NODE("a", "10.44.0.0") NODE("b", "10.44.0.1"), NULL, "10.44.0.0/31 is full"},
        {NET("10.44.0.7/32"), NULL, "10.44.0.7/32"},
        {NET("255.255.255.254/31") NODE("a", "255.255.255.254"), NULL, "255.255.255.255/32"},
        {NET("255.255.255.254/31") NODE("a", "255.255.255.254") NODE("b", "255.255.255.255"), NULL, "255.255.255.254/31 is full"},
        {NET("fd44::/64"), NULL, "fd44::1/128"},
        {NET("fd44::/127") NODE("a", "fd44::"), NULL, "fd44::1/128"},
        {NET("fd44::fffe/127") NODE("a", "fd44::fffe"), NULL, "fd44::ffff/128"}, /* the last of IPv6 is nobody's in particular */
        {NET("fd44::/112\nReserved = fd44::/113"), NULL, "fd44::8000/128"},
        {NET("::/0\nReserved = ::/1"), NULL, "8000::/128"},
        {NET("ffff::/16\nReserved = ffff::/16"), NULL, "ffff::/16 is full"},
        {NET("10.44.0.0/24, 10.45.0.0/30") NODE("a", "10.45.0.1") NODE("b", "10.45.0.2"), NULL, "10.45.0.0/30 is full"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct prefix reserved;
        if (cases[i].reserved && prefix_parse(cases[i].reserved, &reserved) != 0)
            fail_msg("%s", cases[i].reserved);
        char *got = allocate(mesh_allocate, cases[i].file, &reserved, cases[i].reserved != NULL);
        bool full = strstr(cases[i].gives, " is full") != NULL;
        if (full ? strncmp(got, cases[i].gives, strlen(cases[i].gives)) != 0 : strcmp(got, cases[i].gives) != 0)
            fail_msg("%s\ngives %s\nnot   %s", cases[i].file, got, cases[i].gives);
        free(got);
    }
}

/* One after the other, until a network is full: all of them, each once. */
static void test_fills_up(void **state)
{
    (void)state;
    struct mesh *mesh = mesh_of(NET("10.44.0.0/24\nReserved = 10.44.0.128/25\nRelayNetwork = 10.44.0.64/26"));
    struct prefix given[80];
    size_t count = 0;
    for (;; count++) {
        struct prefix *one;
        size_t ones;
        if (mesh_allocate(mesh, given, count, &one, &ones, NULL) != 0)
            break;
        assert_true(count < COUNT_OF(given));
        given[count] = *one;
        assert_int_equal(one->address.bytes[3], count + 1);
        free(one);
    }
    assert_int_equal(count, 63);
    mesh_free(mesh);
}

#define RELAYED "[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nRelayNetwork = 10.44.0.192/30\n[Node a]\nAddress = 10.44.0.1, fd44::1\nRole = relay\n"

static void test_relay_network(void **state)
{
    (void)state;
    static const struct {
        const char *file, *reserved, *gives; /* gives: the whole, or its beginning with "*" behind */
    } cases[] = {
        {RELAYED, NULL, "10.44.0.192/32"}, /* the first of the part is no network's own */
        {RELAYED NODE("j", "10.44.0.192"), NULL, "10.44.0.193/32"},
        {RELAYED NODE("j", "10.44.0.192"), "10.44.0.193", "10.44.0.194/32"},
        {RELAYED GONE("j", "10.44.0.192, fd44::2", "2026-01-01"), NULL, "10.44.0.193/32"},
        {RELAYED NODE("j", "10.44.0.192") GONE("k", "10.44.0.194", "2026-01-01"), "10.44.0.193", "10.44.0.195/32"},
        {RELAYED NODE("j", "10.44.0.192") NODE("l", "10.44.0.195") GONE("k", "10.44.0.194", "2026-01-01"), "10.44.0.193", "10.44.0.194/32"},
        {RELAYED, "10.44.0.192/30", "RelayNetwork 10.44.0.192/30 is full*"},
        {NET("10.44.0.0/24\nRelayNetwork = 10.44.0.252/30") NODE("a", "10.44.0.1") "Role = relay\n", "10.44.0.252/31", "10.44.0.254/32"},
        {NET("10.44.0.0/24\nRelayNetwork = 10.44.0.254/31") NODE("a", "10.44.0.1") "Role = relay\n", "10.44.0.254", "RelayNetwork 10.44.0.254/31 is full*"}, /* .255 is the broadcast */
        {NET("10.44.0.0/24, fd44::/64\nRelayNetwork = 10.44.0.192/26, fd44::8000/113\nReserved = 10.44.0.192/29") NODE("a", "10.44.0.1") "Role = relay\n", NULL, "10.44.0.200/32 fd44::8000/128"},
        {NET("10.44.0.0/24\nTopology = hub\nRelayNetwork = 10.44.0.192/26") NODE("a", "10.44.0.1") "Role = hub\n", NULL, "10.44.0.192/32"},
        /* Without one: what is to be written. */
        {NET("10.44.0.0/24\nRelayNetwork = 10.44.0.192/26") NODE("a", "10.44.0.1"), NULL, "no node carries RelayNetwork: write Role = relay*"},
        {NET("10.44.0.0/24") NODE("a", "10.44.0.1"), NULL, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay: write RelayNetwork = 10.44.0.192/26 in [Mesh], "
         "and Role = relay at the node that is to forward for them, then 'wgdeck apply'"},
        {NET("10.44.0.0/24") NODE("a", "10.44.0.200") "Role = relay\n", NULL, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay: write RelayNetwork = 10.44.0.128/26 in [Mesh], then*"},
        {NET("10.44.0.0/24, fd44::/64\nTopology = hub\nReserved = 10.44.0.128/25") NODE("a", "10.44.0.1") "Role = hub\n", NULL,
         "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay: write RelayNetwork = 10.44.0.64/26, fd44::ffff:ffff:ffff:0/112 in [Mesh], then*"},
        {NET("10.44.0.0/28") NODE("a", "10.44.0.1") NODE("b", "10.44.0.5") NODE("c", "10.44.0.9") NODE("d", "10.44.0.13"), NULL, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay, and no part*"},
        {NET("10.44.0.0/31"), NULL, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay, and no part*"},
        {NET("0.0.0.0/0"), NULL, "the mesh has no RelayNetwork, the part of Network for nodes that join through a relay: write RelayNetwork = 192.0.0.0/2*"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct prefix reserved;
        if (cases[i].reserved && prefix_parse(cases[i].reserved, &reserved) != 0)
            fail_msg("%s", cases[i].reserved);
        char *got = allocate(mesh_allocate_relay, cases[i].file, &reserved, cases[i].reserved != NULL);
        size_t length = strlen(cases[i].gives);
        bool begins = cases[i].gives[length - 1] == '*';
        if (begins ? strncmp(got, cases[i].gives, length - 1) != 0 : strcmp(got, cases[i].gives) != 0)
            fail_msg("%s\ngives %s\nnot   %s", cases[i].file, got, cases[i].gives);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_fills_up), cmocka_unit_test(test_relay_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
