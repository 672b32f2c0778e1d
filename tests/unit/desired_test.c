/* What each node should have, for each topology, as tables of rows. */
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

static void add_prefixes(struct buf *text, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char one[PREFIX_TEXT_SIZE];
        prefix_text(&prefixes[i], one);
        buf_add_format(text, " %s", one);
    }
}

/* "a wg0:51820 10.44.0.1/24" and what else it has, then each row: " b 10.44.0.2/32 @203.0.113.2:51820 every 25 exactly psk" */
static char *describe(const struct mesh *mesh, const struct desired *desired)
{
    static const char *const engines[] = {"", " kernel", " embedded"};
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < desired->node_count; i++) {
        const struct desired_node *node = &desired->nodes[i];
        buf_add_format(&text, "%s %s:%u", mesh->nodes[i].name, node->interface, (unsigned)node->listen_port);
        add_prefixes(&text, node->addresses, node->address_count);
        if (node->mtu)
            buf_add_format(&text, " mtu %u", node->mtu);
        buf_add_format(&text, "%s%s%s\n", engines[node->engine], node->forwards4 ? " forwards4" : "", node->forwards6 ? " forwards6" : "");
        for (size_t r = 0; r < node->row_count; r++) {
            const struct desired_row *row = &node->rows[r];
            buf_add_format(&text, "  %s", mesh->nodes[row->peer].name);
            add_prefixes(&text, row->allowed, row->allowed_count);
            if (row->endpoint)
                buf_add_format(&text, " @%s", row->endpoint);
            if (row->keepalive)
                buf_add_format(&text, " every %u", (unsigned)row->keepalive);
            buf_add_format(&text, "%s%s\n", row->keepalive_exact ? " exactly" : "", row->preshared ? " psk" : "");
        }
    }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

struct desired_case {
    const char *file, *desired;
};

static const struct desired_case full[] = {
    {"[Mesh]\nNetwork = 10.44.0.0/24\n", ""},
    {"[Mesh]\nNetwork = 10.44.0.0/24\n[Node a]\nAddress = 10.44.0.1\n", "a wg0:51820 10.44.0.1/24\n"},
    /* v4 and v6, a network behind, a name, one behind NAT, values of its own */
    {"[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nListenPort = 4000\n"
     "[Node a]\nAddress = 10.44.0.1, fd44::1\nEndpoint = 203.0.113.1\nAllowedIPs = 192.168.10.0/24\n"
     "[Node b]\nAddress = fd44::2, 10.44.0.2\nEndpoint = [2001:db8::2]:7\nMTU = 1380\nEngine = embedded\nInterface = wg7\nListenPort = 7\nAllowedIPs = fd99::/64\n"
     "[Node c]\nAddress = 10.44.0.3\nEngine = kernel\n"
     "[Node d]\nAddress = 10.44.0.4\nEndpoint = vpn.example.org\nListenPort = 4004\n",
     "a wg0:4000 10.44.0.1/24 fd44::1/64 forwards4\n"
     "  b 10.44.0.2/32 fd44::2/128 fd99::/64 @[2001:db8::2]:7\n"
     "  c 10.44.0.3/32\n"
     "  d 10.44.0.4/32 @vpn.example.org:4004\n"
     "b wg7:7 fd44::2/64 10.44.0.2/24 mtu 1380 embedded forwards6\n"
     "  a 10.44.0.1/32 192.168.10.0/24 fd44::1/128 @203.0.113.1:4000\n"
     "  c 10.44.0.3/32\n"
     "  d 10.44.0.4/32 @vpn.example.org:4004\n"
     "c wg0:4000 10.44.0.3/24 kernel\n"
     "  a 10.44.0.1/32 192.168.10.0/24 @203.0.113.1:4000 every 25\n" /* it has no IPv6 */
     "  b 10.44.0.2/32 @[2001:db8::2]:7 every 25\n"
     "  d 10.44.0.4/32 @vpn.example.org:4004 every 25\n"
     "d wg0:4004 10.44.0.4/24\n"
     "  a 10.44.0.1/32 192.168.10.0/24 @203.0.113.1:4000\n"
     "  b 10.44.0.2/32 @[2001:db8::2]:7\n"
     "  c 10.44.0.3/32\n"},
    /* two behind NAT; a number; off; preshared keys */
    {"[Mesh]\nNetwork = 10.44.0.0/24\n[Node a]\nAddress = 10.44.0.1\n[Node b]\nAddress = 10.44.0.2\n",
     "a wg0:51820 10.44.0.1/24\n  b 10.44.0.2/32 every 25\nb wg0:51820 10.44.0.2/24\n  a 10.44.0.1/32 every 25\n"},
    {"[Mesh]\nNetwork = 10.44.0.0/24\nPersistentKeepalive = 15\nPresharedKeys = yes\n[Node a]\nAddress = 10.44.0.1\nEndpoint = h\n[Node b]\nAddress = 10.44.0.2\n",
     "a wg0:51820 10.44.0.1/24\n  b 10.44.0.2/32 every 15 exactly psk\nb wg0:51820 10.44.0.2/24\n  a 10.44.0.1/32 @h:51820 every 15 exactly psk\n"},
    {"[Mesh]\nNetwork = 10.44.0.0/24\nPersistentKeepalive = off\n[Node a]\nAddress = 10.44.0.1\nEndpoint = h\n[Node b]\nAddress = 10.44.0.2\n",
     "a wg0:51820 10.44.0.1/24\n  b 10.44.0.2/32 exactly\nb wg0:51820 10.44.0.2/24\n  a 10.44.0.1/32 @h:51820 exactly\n"},
    /* two networks of one family: each address has the length of its own */
    {"[Mesh]\nNetwork = 10.44.0.0/24, 10.45.0.0/16\n[Node a]\nAddress = 10.44.0.1, 10.45.0.1\nEndpoint = h\n",
     "a wg0:51820 10.44.0.1/24 10.45.0.1/16\n"},
};

static const struct desired_case relay[] = {
    {"[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nRelayNetwork = 10.44.0.192/26\n"
     "[Node a]\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nRole = relay\n"
     "[Node b]\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\n"
     "[Node j]\nAddress = 10.44.0.200\nRole = relay\n", /* a second one only waits */
     "a wg0:51820 10.44.0.1/24 forwards4\n"
     "  b 10.44.0.2/32 @203.0.113.2:51820\n"
     "  j 10.44.0.200/32\n"
     "b wg0:51820 10.44.0.2/24\n"
     "  a 10.44.0.1/32 10.44.0.192/26 @203.0.113.1:51820\n"
     "j wg0:51820 10.44.0.200/24\n"
     "  a 10.44.0.0/24 @203.0.113.1:51820 every 25\n"},
    /* who joined keeps its way open whatever the mesh says; and what is behind it, the relay forwards */
    {"[Mesh]\nNetwork = 10.44.0.0/24\nRelayNetwork = 10.44.0.192/26\nPersistentKeepalive = off\nPresharedKeys = yes\n"
     "[Node a]\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nRole = relay\n"
     "[Node j]\nAddress = 10.44.0.200\nAllowedIPs = fd99::/64\n",
     "a wg0:51820 10.44.0.1/24 forwards4 forwards6\n"
     "  j 10.44.0.200/32 exactly psk\n"
     "j wg0:51820 10.44.0.200/24 forwards6\n"
     "  a 10.44.0.0/24 @203.0.113.1:51820 every 25 exactly psk\n"},
    {"[Mesh]\nNetwork = 10.44.0.0/24\nRelayNetwork = 10.44.0.192/26\nPersistentKeepalive = 15\n"
     "[Node a]\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nRole = relay\n"
     "[Node j]\nAddress = 10.44.0.200\nEndpoint = h\n",
     "a wg0:51820 10.44.0.1/24 forwards4\n"
     "  j 10.44.0.200/32 @h:51820 every 15 exactly\n"
     "j wg0:51820 10.44.0.200/24\n"
     "  a 10.44.0.0/24 @203.0.113.1:51820 every 15 exactly\n"},
    /* without a RelayNetwork the role is idle */
    {"[Mesh]\nNetwork = 10.44.0.0/24\n[Node a]\nAddress = 10.44.0.1\nRole = relay\nEndpoint = h\n", "a wg0:51820 10.44.0.1/24\n"},
};

static const struct desired_case hub[] = {
    {"[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nTopology = hub\n"
     "[Node a]\nAddress = 10.44.0.1, fd44::1\nAllowedIPs = 192.168.1.0/24\n"
     "[Node h]\nAddress = 10.44.0.9, fd44::9\nEndpoint = 203.0.113.9\nRole = hub\nAllowedIPs = 172.16.0.0/12\n"
     "[Node b]\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\n",
     "a wg0:51820 10.44.0.1/24 fd44::1/64 forwards4\n"
     "  h 10.44.0.0/24 172.16.0.0/12 fd44::/64 @203.0.113.9:51820 every 25\n"
     "h wg0:51820 10.44.0.9/24 fd44::9/64 forwards4 forwards6\n"
     "  a 10.44.0.1/32 192.168.1.0/24 fd44::1/128\n"
     "  b 10.44.0.2/32 @203.0.113.2:51820\n"
     "b wg0:51820 10.44.0.2/24\n"
     "  h 10.44.0.0/24 172.16.0.0/12 192.168.1.0/24 @203.0.113.9:51820\n"},
};

/* The relay is the hub, since no other node is; the others have it in the hub's row already. */
static const struct desired_case joined[] = {
    {"[Mesh]\nNetwork = 10.44.0.0/24\nTopology = hub\nRelayNetwork = 10.44.0.192/26\n"
     "[Node a]\nAddress = 10.44.0.1\n"
     "[Node h]\nAddress = 10.44.0.9\nEndpoint = 203.0.113.9\nRole = hub\n"
     "[Node j]\nAddress = 10.44.0.193\n",
     "a wg0:51820 10.44.0.1/24\n"
     "  h 10.44.0.0/24 @203.0.113.9:51820 every 25\n"
     "h wg0:51820 10.44.0.9/24 forwards4\n"
     "  a 10.44.0.1/32\n"
     "  j 10.44.0.193/32\n"
     "j wg0:51820 10.44.0.193/24\n"
     "  h 10.44.0.0/24 @203.0.113.9:51820 every 25\n"},
    {"[Mesh]\nNetwork = 10.44.0.0/24\nTopology = groups\nRelayNetwork = 10.44.0.192/26\n"
     "[Node a]\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nGroup = x\nRole = gateway\n"
     "[Node r]\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\nGroup = x\nRole = relay\n"
     "[Node c]\nAddress = 10.44.0.3\nEndpoint = 203.0.113.3\nGroup = y\nRole = gateway\n"
     "[Node d]\nAddress = 10.44.0.4\nEndpoint = 203.0.113.4\nGroup = y\n"
     "[Node j]\nAddress = 10.44.0.193\n",
     "a wg0:51820 10.44.0.1/24 forwards4\n"
     "  r 10.44.0.2/32 10.44.0.192/26 @203.0.113.2:51820\n"
     "  c 10.44.0.3/32 10.44.0.4/32 @203.0.113.3:51820\n"
     "r wg0:51820 10.44.0.2/24 forwards4\n"
     "  a 10.44.0.1/32 10.44.0.3/32 10.44.0.4/32 @203.0.113.1:51820\n"
     "  j 10.44.0.193/32\n"
     "c wg0:51820 10.44.0.3/24 forwards4\n"
     "  a 10.44.0.1/32 10.44.0.2/32 10.44.0.192/26 @203.0.113.1:51820\n"
     "  d 10.44.0.4/32 @203.0.113.4:51820\n"
     "d wg0:51820 10.44.0.4/24\n"
     "  c 10.44.0.1/32 10.44.0.2/32 10.44.0.3/32 10.44.0.192/26 @203.0.113.3:51820\n"
     "j wg0:51820 10.44.0.193/24\n"
     "  r 10.44.0.0/24 @203.0.113.2:51820 every 25\n"},
};

static const struct desired_case groups[] = {
    /* x: a, f are gateways, b; y: c is a gateway, d; z: e is a gateway. a is x's first: it stands for x, and in x for the others. */
    {"[Mesh]\nNetwork = 10.44.0.0/24\nTopology = groups\n"
     "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\nEndpoint = 203.0.113.1\n"
     "[Node b]\nAddress = 10.44.0.2\nGroup = x\nAllowedIPs = 192.168.2.0/24\n"
     "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\nEndpoint = 203.0.113.3\n"
     "[Node d]\nAddress = 10.44.0.4\nGroup = y\nEndpoint = 203.0.113.4\n"
     "[Node e]\nAddress = 10.44.0.5\nGroup = z\nRole = gateway\nEndpoint = 203.0.113.5\nAllowedIPs = 192.168.5.0/24\n"
     "[Node f]\nAddress = 10.44.0.6\nGroup = x\nRole = gateway\nEndpoint = 203.0.113.6\n",
     "a wg0:51820 10.44.0.1/24 forwards4\n"
     "  b 10.44.0.2/32 192.168.2.0/24\n"
     "  c 10.44.0.3/32 10.44.0.4/32 @203.0.113.3:51820\n"
     "  e 10.44.0.5/32 192.168.5.0/24 @203.0.113.5:51820\n"
     "  f 10.44.0.6/32 @203.0.113.6:51820\n"
     "b wg0:51820 10.44.0.2/24 forwards4\n"
     "  a 10.44.0.1/32 10.44.0.3/32 10.44.0.4/32 10.44.0.5/32 192.168.5.0/24 @203.0.113.1:51820 every 25\n"
     "  f 10.44.0.6/32 @203.0.113.6:51820 every 25\n"
     "c wg0:51820 10.44.0.3/24 forwards4\n"
     "  a 10.44.0.1/32 10.44.0.2/32 192.168.2.0/24 @203.0.113.1:51820\n"
     "  d 10.44.0.4/32 @203.0.113.4:51820\n"
     "  e 10.44.0.5/32 192.168.5.0/24 @203.0.113.5:51820\n"
     "  f 10.44.0.6/32 @203.0.113.6:51820\n"
     "d wg0:51820 10.44.0.4/24\n"
     "  c 10.44.0.1/32 10.44.0.2/32 10.44.0.3/32 10.44.0.5/32 10.44.0.6/32 192.168.2.0/24 192.168.5.0/24 @203.0.113.3:51820\n"
     "e wg0:51820 10.44.0.5/24 forwards4\n"
     "  a 10.44.0.1/32 10.44.0.2/32 192.168.2.0/24 @203.0.113.1:51820\n"
     "  c 10.44.0.3/32 10.44.0.4/32 @203.0.113.3:51820\n"
     "  f 10.44.0.6/32 @203.0.113.6:51820\n"
     "f wg0:51820 10.44.0.6/24 forwards4\n"
     "  a 10.44.0.1/32 @203.0.113.1:51820\n"
     "  b 10.44.0.2/32 192.168.2.0/24\n"
     "  c 10.44.0.3/32 10.44.0.4/32 @203.0.113.3:51820\n"
     "  e 10.44.0.5/32 192.168.5.0/24 @203.0.113.5:51820\n"},
    /* one group is a full mesh */
    {"[Mesh]\nNetwork = 10.44.0.0/24\nTopology = groups\n[Node a]\nAddress = 10.44.0.1\nGroup = x\nEndpoint = h\n[Node b]\nAddress = 10.44.0.2\nGroup = x\nEndpoint = i\n",
     "a wg0:51820 10.44.0.1/24\n  b 10.44.0.2/32 @i:51820\nb wg0:51820 10.44.0.2/24\n  a 10.44.0.1/32 @h:51820\n"},
};

static void check(const struct desired_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mesh *mesh = mesh_of(cases[i].file);
        struct desired *desired = desired_new(mesh);
        char *text = describe(mesh, desired);
        if (strcmp(text, cases[i].desired) != 0)
            fail_msg("%s\nasks for\n%s\nnot\n%s", cases[i].file, text, cases[i].desired);
        free(text);
        desired_free(desired);
        mesh_free(mesh);
    }
}

static void test_full(void **state)
{
    (void)state;
    check(full, COUNT_OF(full));
}

static void test_relay(void **state)
{
    (void)state;
    check(relay, COUNT_OF(relay));
}

static void test_hub(void **state)
{
    (void)state;
    check(hub, COUNT_OF(hub));
}

static void test_joined(void **state)
{
    (void)state;
    check(joined, COUNT_OF(joined));
}

static void test_groups(void **state)
{
    (void)state;
    check(groups, COUNT_OF(groups));
}

/* ---- whatever the topology ------------------------------------------------------------------------------------------------------ */

/* Which of NODE's rows takes a packet to ADDRESS, as WireGuard decides it. */
static const struct desired_row *row_for(const struct desired_node *node, const struct address *address)
{
    const struct desired_row *best = NULL;
    unsigned length = 0;
    for (size_t r = 0; r < node->row_count; r++)
        for (size_t k = 0; k < node->rows[r].allowed_count; k++) {
            const struct prefix *prefix = &node->rows[r].allowed[k];
            if (prefix_contains(prefix, address) && (!best || prefix->length > length)) {
                best = &node->rows[r];
                length = prefix->length;
            }
        }
    return best;
}

/* Follow a packet from node FROM to the first address of node TO over the rows; each hop must also let its source in. */
static bool arrives(const struct mesh *mesh, const struct desired *desired, size_t from, size_t to)
{
    const struct address *source = &mesh->nodes[from].addresses[0].address, *target = &mesh->nodes[to].addresses[0].address;
    size_t at = from;
    for (size_t hops = 0; at != to && hops < 4; hops++) {
        const struct desired_row *row = row_for(&desired->nodes[at], target);
        if (!row || (at != from && !desired->nodes[at].forwards4))
            return false;
        const struct desired_row *back = row_for(&desired->nodes[row->peer], source);
        if (!back || back->peer != at) /* WireGuard drops what comes by another row than the answer would take */
            return false;
        at = row->peer;
    }
    return at == to;
}

static void test_everybody_reaches_everybody(void **state)
{
    (void)state;
    static const struct {
        const struct desired_case *cases;
        size_t count;
    } tables[] = {{full, COUNT_OF(full)}, {relay, COUNT_OF(relay)}, {hub, COUNT_OF(hub)}, {groups, COUNT_OF(groups)}, {joined, COUNT_OF(joined)}};
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            struct mesh *mesh = mesh_of(tables[t].cases[i].file);
            struct desired *desired = desired_new(mesh);
            for (size_t from = 0; from < mesh->node_count; from++)
                for (size_t to = 0; to < mesh->node_count; to++)
                    if (from != to && mesh->nodes[from].addresses[0].address.family == mesh->nodes[to].addresses[0].address.family &&
                        !arrives(mesh, desired, from, to))
                        fail_msg("%s\nno packet from %s to %s", tables[t].cases[i].file, mesh->nodes[from].name, mesh->nodes[to].name);
            desired_free(desired);
            mesh_free(mesh);
        }
}

static void test_rows_are_found(void **state)
{
    (void)state;
    struct mesh *mesh = mesh_of(groups[0].file);
    struct desired *desired = desired_new(mesh);
    for (size_t i = 0; i < desired->node_count; i++)
        for (size_t peer = 0; peer < desired->node_count + 2; peer++) {
            const struct desired_row *row = desired_row_find(&desired->nodes[i], peer);
            bool wanted = peer < desired->node_count && mesh_wants_link(mesh, i, peer);
            assert_true(row ? wanted && row->peer == peer : !wanted);
        }
    desired_free(desired);
    mesh_free(mesh);
    desired_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),   cmocka_unit_test(test_relay),  cmocka_unit_test(test_hub),
        cmocka_unit_test(test_groups), cmocka_unit_test(test_joined), cmocka_unit_test(test_everybody_reaches_everybody), cmocka_unit_test(test_rows_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
