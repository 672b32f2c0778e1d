/* The mesh file: what is accepted, what is refused and in which words, and meshes of SSH targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mesh/mesh_reading.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh.h"

#define KEY_A "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_B "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

static struct mesh *read_text(const char *text, struct buf *warnings, struct err *err)
{
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), err);
    if (!conf)
        return NULL;
    struct mesh *mesh = mesh_read(conf, warnings, err);
    conf_free(conf);
    return mesh;
}

static const char whole[] =
    "[Mesh]\n"
    "Name = prod\n"
    "Network = 10.44.0.0/24, fd44::/64      # any number\n"
    "interface = wg1\n"
    "LISTENPORT = 51821\n"
    "Topology = Groups\n"
    "PersistentKeepalive = 25\n"
    "PresharedKeys = yes\n"
    "RelayNetwork = 10.44.0.192/26\n"
    "\n"
    "[Node api]\n"
    "Ssh = root@203.0.113.1:22\n"
    "Address = 10.44.0.1, fd44::1\n"
    "Endpoint = 203.0.113.1\n"
    "PublicKey = " KEY_A "\n"
    "HostKey = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrfXbN4SPkyLdHsTRTQ0WrB0rmJpsWP4bpbuy6Q7Kt5\n"
    "Group = hetzner\n"
    "Role = gateway\n"
    "AllowedIPs = 192.168.10.0/24\n"
    "AllowedIPs = 192.168.11.0/24\n"
    "MTU = 1380\n"
    "Engine = kernel\n"
    "[Node db]\n"
    "Address = 10.44.0.2/24\n"
    "Endpoint = [2001:db8::2]:7\n"
    "Group = hetzner\n"
    "Interface = wg7\n"
    "ListenPort = 7000\n"
    "[Node edge]\n"
    "Address = 10.44.0.3\n"
    "Endpoint = edge.example.org\n"
    "Group = home\n"
    "Jump = api\n"
    "Role = gateway\n"
    "ListenPort = 7001\n";

static void test_whole_file(void **state)
{
    (void)state;
    struct buf warnings = BUF_EMPTY;
    struct err err;
    struct mesh *mesh = read_text(whole, &warnings, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    assert_string_equal(buf_text(&warnings), "");
    assert_true(mesh->from_file && mesh->preshared_keys);
    assert_string_equal(mesh->name, "prod");
    assert_string_equal(mesh->interface, "wg1");
    assert_int_equal(mesh->listen_port, 51821);
    assert_int_equal(mesh->topology, TOPOLOGY_GROUPS);
    assert_int_equal(mesh->keepalive_mode, KEEPALIVE_SECONDS);
    assert_int_equal(mesh->keepalive, 25);
    assert_int_equal(mesh->network_count, 2);
    assert_int_equal(mesh->relay_network_count, 1);
    assert_int_equal(mesh->relay_port, 51823); /* 51821 is the ListenPort of the relay, which is the first gateway */
    assert_int_equal(mesh->node_count, 3);

    const struct mesh_node *api = &mesh->nodes[0], *db = &mesh->nodes[1], *edge = &mesh->nodes[2];
    assert_string_equal(api->ssh, "root@203.0.113.1:22");
    assert_int_equal(api->address_count, 2);
    assert_int_equal(api->addresses[1].length, 128);
    assert_string_equal(api->endpoint_host, "203.0.113.1");
    assert_int_equal(api->endpoint.port, 51821); /* the listen port, though it stands in another section */
    assert_true(api->has_public_key && api->public_key.bytes[0] == 1);
    assert_non_null(api->host_key);
    assert_int_equal(api->role, ROLE_GATEWAY);
    assert_int_equal(api->allowed_count, 2);
    assert_int_equal(api->mtu, 1380);
    assert_int_equal(api->engine, ENGINE_CHOICE_KERNEL);
    assert_int_equal(api->line, 11);
    assert_null(db->ssh);
    assert_int_equal(db->addresses[0].length, 32);
    assert_string_equal(db->endpoint_host, "2001:db8::2");
    assert_int_equal(db->endpoint.port, 7);
    assert_string_equal(db->interface, "wg7");
    assert_string_equal(edge->jump, "api");
    assert_string_equal(edge->endpoint_host, "edge.example.org");
    assert_int_equal(edge->endpoint.address.family, 0);
    assert_int_equal(edge->endpoint_port, 7001);
    assert_int_equal(mesh_find_node(mesh, "edge"), 2);
    assert_int_equal(mesh_find_node(mesh, "nobody"), SIZE_MAX);
    mesh_free(mesh);
    buf_free(&warnings);
}

static void test_defaults(void **state)
{
    (void)state;
    struct err err;
    struct mesh *mesh = read_text("[Node a]\r\nAddress = 10.0.0.1\r\n[Mesh]\r\nNetwork = 10.0.0.0/8\r\n", NULL, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    assert_string_equal(mesh->name, "mesh");
    assert_string_equal(mesh->nodes[0].interface, "wg0");
    assert_int_equal(mesh->nodes[0].listen_port, 51820);
    assert_int_equal(mesh->relay_port, 51821);
    assert_null(mesh->nodes[0].jump);
    assert_int_equal(mesh->keepalive_mode, KEEPALIVE_AUTO);
    assert_int_equal(mesh->topology, TOPOLOGY_FULL);
    mesh_free(mesh);
    /* A /31 has neither a network's own nor a broadcast address (RFC 3021). */
    mesh = read_text("[Mesh]\nNetwork = 10.0.0.0/31\n[Node a]\nAddress = 10.0.0.0\n[Node b]\nAddress = 10.0.0.1\n", NULL, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    mesh_free(mesh);
}

static void test_removed_and_former(void **state)
{
    (void)state;
    struct buf warnings = BUF_EMPTY;
    struct err err;
    struct mesh *mesh = read_text("[Mesh]\nNetwork = 10.44.0.0/24\nReserved = 10.44.0.2, 10.44.0.16/28\nReserved = 10.44.0.9\n"
                                  "[Node a]\nAddress = 10.44.0.1\nFormerKey = " KEY_A "\nFormerKey = " KEY_B "\n"
                                  "[removed b]\nAddress = 10.44.0.3, 10.44.0.4\nPublicKey = " KEY_A "\nFormerKey = " KEY_B "\nDate = 2026-11-23\n"
                                  "[Removed c]\n", &warnings, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    assert_string_equal(buf_text(&warnings), "");
    assert_int_equal(mesh->reserved_count, 3);
    assert_int_equal(mesh->reserved[1].length, 28);
    assert_int_equal(mesh->nodes[0].former_key_count, 2);
    assert_int_equal(mesh->nodes[0].former_keys[1].bytes[0], 2);
    assert_false(mesh->nodes[0].has_public_key);
    assert_int_equal(mesh->removed_count, 2);
    assert_string_equal(mesh->removed[0].name, "b");
    assert_string_equal(mesh->removed[0].date, "2026-11-23");
    assert_int_equal(mesh->removed[0].address_count, 2);
    assert_int_equal(mesh->removed[0].addresses[1].length, 32);
    assert_int_equal(mesh->removed[0].key_count, 2);
    assert_int_equal(mesh->removed[0].line, 9);
    assert_null(mesh->removed[1].date);
    assert_int_equal(mesh->removed[1].key_count, 0);
    mesh_free(mesh);
    buf_free(&warnings);
}

#define MESH "[Mesh]\nNetwork = 10.44.0.0/24\n"                      /* lines 1 and 2 */
#define NODE_A "[Node a]\nAddress = 10.44.0.1\n"                      /* lines 3 and 4 */
#define NODE_B "[Node b]\nAddress = 10.44.0.2\n"                      /* lines 5 and 6 */

#define HOP(name, number, jump) "[Node " name "]\nAddress = 10.44.0." #number "\nSsh = h\nJump = " jump "\n"

static void test_jumps(void **state)
{
    (void)state;
    struct err err;
    size_t hops[MESH_JUMPS_MOST];
    struct mesh *mesh = read_text(MESH NODE_A "Ssh = h\nJump = b\n" NODE_B "Ssh = h\nJump = c\n" HOP("c", 3, "d") HOP("d", 4, "e") "[Node e]\nAddress = 10.44.0.6\nSsh = h\n", NULL, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    assert_int_equal(mesh_jumps(mesh, 0, hops, MESH_JUMPS_MOST), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(hops[i], 4 - i); /* e is gone through first, b last */
    assert_int_equal(mesh_jumps(mesh, 3, hops, MESH_JUMPS_MOST), 1);
    assert_int_equal(hops[0], 4);
    assert_int_equal(mesh_jumps(mesh, 4, hops, MESH_JUMPS_MOST), 0);
    mesh_free(mesh);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
    } cases[] = {
        {"", "mesh.conf: no [Mesh] section: write one"},
        {"[Interface]\nPrivateKey = x\n", "mesh.conf: a file of wg-quick"},
        {"Network = 10.0.0.0/8\n[Mesh]\n", "mesh.conf:1: Network stands before any section: write [Mesh]"},
        {"[Mesh]\n", "mesh.conf:1: [Mesh] has no Network: write one"},
        {MESH "[Mesh]\n", "mesh.conf:3: a second [Mesh] section"},
        {MESH "[Node]\n", "mesh.conf:3: [Node] has no good name: write [Node NAME]"},
        {MESH "[Node a b]\n", "mesh.conf:3: [Node a b] has no good name"},
        {MESH "[Node -a]\n", "mesh.conf:3: [Node -a] has no good name"},
        {"[Mesh]\nNetwork = 10.44.0\n", "mesh.conf:2: Network = 10.44.0: '10.44.0' is not an address: write one like"},
        {"[Mesh]\nNetwork = 10.44.0.0/24,\n", "mesh.conf:2: Network = 10.44.0.0/24,: '' is not an address"},
        {"[Mesh]\nNetwork =\n", "mesh.conf:2: Network has no value: write Network = PREFIX, ..."},
        {"[Mesh]\nNetwork = 10.0.0.0/8\nNetwork = 10.1.0.0/16\n", "mesh.conf:3: Network 10.0.0.0/8 and Network 10.1.0.0/16 overlap"},
        {"[Mesh]\nName = a b\n", "mesh.conf:2: a b is no name: write letters"},
        {"[Mesh]\nName = a\nname = b\n", "mesh.conf:3: Name is given twice (first in line 2)"},
        {"[Mesh]\nInterface = a/b\n", "mesh.conf:2: Interface = a/b is no name for an interface"},
        {"[Mesh]\nInterface = sixteen-bytes-xx\n", "is no name for an interface"},
        {"[Mesh]\nListenPort = 0\n", "mesh.conf:2: ListenPort = 0 is not possible: write a number from 1 to 65535"},
        {"[Mesh]\nListenPort = 65536\n", "ListenPort = 65536 is not possible"},
        {"[Mesh]\nTopology = star\n", "mesh.conf:2: Topology = star is not known: write full, hub or groups"},
        {"[Mesh]\nPersistentKeepalive = often\n", "write auto, off or a number"},
        {"[Mesh]\nPresharedKeys = maybe\n", "write yes or no"},
        {MESH "RelayNetwork = 10.45.0.0/26\n", "mesh.conf:3: RelayNetwork 10.45.0.0/26 is not inside a Network"},
        {MESH "RelayPort = 0\n", "mesh.conf:3: RelayPort = 0 is not possible"},
        {MESH "RelayPort = 51820\nRelayNetwork = 10.44.0.192/26\n" NODE_A "Role = relay\n", "mesh.conf:3: RelayPort 51820 is also the ListenPort of node a, the relay: write another one, as in RelayPort = 51821"},
        {MESH NODE_A "Jump = a\n", "mesh.conf:5: Jump = a: node a has no Ssh"},
        {MESH NODE_A "Ssh = h\nJump = a\n", "mesh.conf:6: Jump = a is the node itself"},
        {MESH NODE_A "Ssh = h\nJump = x\n", "mesh.conf:6: Jump = x: there is no node of that name"},
        {MESH NODE_A "Ssh = h\nJump = root@x\n", "mesh.conf:6: Jump = root@x is no name of a node"},
        {MESH NODE_A "Ssh = h\nJump = b\n" NODE_B "Jump = a\n", "mesh.conf:6: Jump = b: node b has no Ssh: write one there"},
        {MESH NODE_A "Ssh = h\nJump = b\n" NODE_B "Ssh = i\nJump = a\n", "mesh.conf:6: Jump of node a leads in a circle, back to a: remove one of the lines"},
        {MESH NODE_A "Ssh = h\nJump = b\n" NODE_B "Ssh = i\nJump = c\n[Node c]\nAddress = 10.44.0.3\nSsh = j\nJump = b\n", "mesh.conf:6: Jump of node a leads in a circle, back to "},
        {MESH NODE_A "Ssh = h\nJump = b\n" NODE_B "Ssh = h\nJump = c\n" HOP("c", 3, "d") HOP("d", 4, "e") HOP("e", 5, "f") "[Node f]\nAddress = 10.44.0.6\nSsh = h\n",
         "mesh.conf:6: Jump of node a leads through more than 4 nodes: name one that is nearer"},
        {MESH "[Node a]\n", "mesh.conf:3: node a has no Address: write a free one"},
        {MESH "[Node a]\nAddress = 10.45.0.1\n", "mesh.conf:4: address 10.45.0.1 of node a is outside the mesh's networks (10.44.0.0/24)"},
        {MESH "[Node a]\nAddress = 10.44.0.0\n", "mesh.conf:4: address 10.44.0.0 of node a is the network's own"},
        {MESH "[Node a]\nAddress = 10.44.0.255\n", "or its broadcast address in 10.44.0.0/24"},
        {MESH NODE_A "[Node b]\nAddress = 10.44.0.1\n", "mesh.conf:6: address 10.44.0.1 of node b is already that of node a (line 4)"},
        {MESH "[Node a]\nAddress = 10.44.0.1, 10.44.0.1\n", "mesh.conf:4: address 10.44.0.1 of node a is given twice"},
        {MESH NODE_A "[Node a]\nAddress = 10.44.0.2\n", "mesh.conf:5: a second node a (the first is in line 3)"},
        {MESH NODE_A "[Node A]\nAddress = 10.44.0.2\n", "mesh.conf:5: a second node A"},
        {MESH NODE_A "PublicKey = " KEY_A "\n" NODE_B "PublicKey = " KEY_A "\n", "mesh.conf:8: nodes a and b have the same PublicKey"},
        {MESH NODE_A "PublicKey = abc\n", "mesh.conf:5: PublicKey of node a is no WireGuard key"},
        {MESH NODE_A "PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "is no WireGuard key"},
        {MESH NODE_A "HostKey = SHA256:abc\n", "mesh.conf:5: HostKey of node a is no SSH host key"},
        {MESH NODE_A "Ssh = -oProxyCommand=x\n", "mesh.conf:5: Ssh = -oProxyCommand=x begins with '-'"},
        {MESH NODE_A "Ssh = root@-h\n", "has a host that begins with '-'"},
        {MESH NODE_A "Ssh = a b\n", "has a character that no user or host name has"},
        {MESH NODE_A "Ssh = a$(x)\n", "has a character that no user or host name has"},
        {MESH NODE_A "Ssh = root@h:99999\n", "has a port that is not from 1 to 65535"},
        {MESH NODE_A "Endpoint = h:0\n", "mesh.conf:5: Endpoint = h:0 is not possible: write HOST:PORT"},
        {MESH NODE_A "Endpoint = 300.1.1.1:5\n", "Endpoint = 300.1.1.1:5 is not possible"},
        {MESH NODE_A "Endpoint = [h]:5\n", "Endpoint = [h]:5 is not possible"},
        {MESH NODE_A "Endpoint = -h:5\n", "is not possible"},
        {MESH NODE_A "Endpoint = [::1\n", "is not possible"},
        {MESH NODE_A "Group = a/b\n", "mesh.conf:5: Group = a/b is no name"},
        {MESH NODE_A "Role = king\n", "mesh.conf:5: Role = king is not known: write hub, gateway or relay"},
        {MESH NODE_A "PublicKey = " KEY_A "\nFormerKey = " KEY_A "\n", "mesh.conf:6: this key is to be taken out everywhere, and it is the PublicKey of node a (line 5)"},
        {MESH NODE_A "PublicKey = " KEY_A "\n[Removed b]\nPublicKey = " KEY_A "\n", "mesh.conf:6: this key is to be taken out everywhere"},
        {MESH NODE_A "FormerKey = abc\n", "mesh.conf:5: FormerKey of node a is no WireGuard key"},
        {MESH "[Removed b]\nPublicKey = abc\n", "mesh.conf:4: PublicKey of node b is no WireGuard key"},
        {MESH "[Removed]\n", "mesh.conf:3: [Removed] has no good name: write [Removed NAME]"},
        {MESH "[Removed b]\nDate = 2026-13-01\n", "mesh.conf:4: Date = 2026-13-01 is no day"},
        {MESH "[Removed b]\nDate = yesterday\n", "mesh.conf:4: Date = yesterday is no day: write it as in 2026-11-23"},
        {MESH "[Removed b]\nAddress = x\n", "mesh.conf:4: Address = x: 'x' is not an address"},
        {MESH "Reserved = ten\n", "mesh.conf:3: Reserved = ten: 'ten' is not an address"},
        {MESH NODE_A "MTU = 100\n", "mesh.conf:5: MTU = 100 is not possible: write a number from 576 to 65535"},
        {MESH NODE_A "Engine = v8\n", "write auto, kernel or embedded"},
        {MESH NODE_A "AllowedIPs = 0.0.0.0/0\n", "mesh.conf:5: AllowedIPs 0.0.0.0/0 of node a overlaps the mesh's Network 10.44.0.0/24"},
        {MESH NODE_A "AllowedIPs = 10.44.0.128/25\n", "mesh.conf:5: AllowedIPs 10.44.0.128/25 of node a overlaps the mesh's Network"},
        {MESH NODE_A "AllowedIPs = 10.1.0.0/16\n" NODE_B "AllowedIPs = 10.1.2.0/24\n", "AllowedIPs 10.1.0.0/16 of node a overlaps 10.1.2.0/24 of node b (line 8)"},
        {MESH NODE_A "AllowedIPs = 192.168.0.0/16\n" NODE_B "AllowedIPs = 192.168.7.0/24\n", "AllowedIPs 192.168.0.0/16 of node a overlaps 192.168.7.0/24 of node b"},
        {MESH NODE_A "AllowedIPs = 10.1.0.0/16, 10.1.2.0/24\n", "mesh.conf:5: AllowedIPs 10.1.0.0/16 and 10.1.2.0/24 of node a overlap"},
        {MESH "Topology = hub\n" NODE_A, "mesh.conf:3: Topology = hub and no hub: write Role = hub"},
        {MESH "Topology = hub\n" NODE_A "Role = hub\n" NODE_B "Role = hub\n", "mesh.conf:9: a second hub, b (the first is a, line 4)"},
        {MESH "Topology = groups\n" NODE_A "Group = x\n" NODE_B, "mesh.conf:7: node b has no Group"},
        {MESH "Topology = groups\n" NODE_A "Group = x\nRole = gateway\n" NODE_B "Group = y\n", "mesh.conf:8: group y has no gateway to the other groups"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {""};
        struct mesh *mesh = read_text(cases[i].file, NULL, &err);
        if (mesh)
            fail_msg("accepted:\n%s", cases[i].file);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s\nsays '%s'\nnot '%s'", cases[i].file, err.text, cases[i].says);
    }
}

static void test_warns(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says; /* the whole text */
    } cases[] = {
        {MESH NODE_A, ""},
        {MESH "[Node a]\nAdress = 1\nAddress = 10.44.0.1\n", "mesh.conf:4: unknown key Adress: did you mean Address?\n"},
        {MESH NODE_A "Frobnicate = 1\n", "mesh.conf:5: unknown key Frobnicate: it has no effect (wgdeck-mesh(5) lists the keys of [Node])\n"},
        {MESH "Endpoint = x\n", "mesh.conf:3: Endpoint is a key of [Node], not of [Mesh]: it has no effect here\n"},
        {MESH NODE_A "PrivateKey = " KEY_B "\n", "mesh.conf:5: PrivateKey: a mesh file holds no secret: remove this line, and make a new key for the node\n"},
        {MESH "Reserved = 10.45.0.0/24\n" NODE_A, "mesh.conf:3: Reserved 10.45.0.0/24 is in no Network: it has no effect\n"},
        {MESH "[Removed b]\nSsh = b\n", "mesh.conf:4: Ssh is a key of [Node], not of [Removed]: it has no effect here\n"},
        {MESH "Date = 2026-11-23\n", "mesh.conf:3: Date is a key of [Removed], not of [Mesh]: it has no effect here\n"},
        {MESH "[Removd api]\n", "mesh.conf:3: unknown section [Removd api]: did you mean [Removed api]?\n"},
        {MESH "[Nod api]\nAddress = x\n", "mesh.conf:3: unknown section [Nod api]: did you mean [Node api]?\n"},
        {MESH "[Completely]\n", "mesh.conf:3: unknown section [Completely]: it has no effect; a mesh file has [Mesh] and [Node NAME]\n"},
        {"[Mesh prod]\nNetwork = 10.0.0.0/8\n", "mesh.conf:1: [Mesh prod]: the name has no effect here: write Name = prod below it\n"},
        {"[Mesh]\nNetwork = 10.44.0.1/24\n", "mesh.conf:2: 10.44.0.1/24 has bits behind its length: taken as 10.44.0.0/24\n"},
        {MESH NODE_A "Role = hub\n", "mesh.conf:5: Role = hub has no effect without Topology = hub in [Mesh]\n"},
        {MESH NODE_A "Role = gateway\n", "mesh.conf:5: Role = gateway has no effect without Topology = groups in [Mesh]\n"},
        {MESH NODE_A "Role = relay\n", "mesh.conf:5: Role = relay has no effect without RelayNetwork in [Mesh]\n"},
        {MESH "Topology = hub\n" NODE_A "Role = hub\n", "mesh.conf:4: the hub a has no Endpoint: the other nodes cannot find it\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf warnings = BUF_EMPTY;
        struct err err = {""};
        struct mesh *mesh = read_text(cases[i].file, &warnings, &err);
        if (!mesh)
            fail_msg("%s\n%s", cases[i].file, err.text);
        assert_string_equal(buf_text(&warnings), cases[i].says);
        mesh_free(mesh);
        buf_free(&warnings);
    }
}

/* Every key is read through its own row: a value that nobody can want must be refused by each of them. */
static void test_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < mesh_key_count; i++) {
        const struct mesh_key *key = &mesh_keys[i];
        bool node = strcmp(key->section, "Node") == 0, removed = strcmp(key->section, "Removed") == 0;
        assert_true(node || removed || strcmp(key->section, "Mesh") == 0);
        assert_non_null(mesh_key_handlers[i]);
        assert_true(strlen(key->help) > 20 && key->help[strlen(key->help) - 1] == '.');
        char *text = mem_format("%s%s%s = <no value>\n", MESH, node ? NODE_A : removed ? "[Removed x]\n" : "", key->name);
        struct err err = {""};
        struct mesh *mesh = read_text(text, NULL, &err);
        if (mesh)
            fail_msg("accepted: %s", text);
        assert_true(strstr(err.text, "mesh.conf:") == err.text);
        free(text);
    }
}

static void test_many_nodes(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    struct err err;
    buf_add_text(&text, "[Mesh]\nNetwork = 10.0.0.0/8\n");
    for (int i = 0; i < 5000; i++)
        buf_add_format(&text, "[Node n%d]\nAddress = 10.1.%d.%d\nAllowedIPs = 172.16.%d.%d/32\n", i, i / 250, i % 250 + 1, i / 250, i % 250);
    struct mesh *mesh = read_text(buf_text(&text), NULL, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    assert_int_equal(mesh->node_count, 5000);
    mesh_free(mesh);
    buf_free(&text);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *targets[4], *names[4];
    } cases[] = {
        {{"api", "root@db"}, {"api", "db"}},
        {{"root@203.0.113.1:2222", "ssh://admin@host.example:22/"}, {"203.0.113.1", "host.example"}},
        {{"root@[2001:db8::1]:22", "2001:db8::2", "[2001:db8::3]"}, {"2001:db8::1", "2001:db8::2", "2001:db8::3"}},
        {{"root@h:1001", "root@h:1002", "x"}, {"h:1001", "h:1002", "x"}},
        {{"root@h", "root@h:1002"}, {"root@h", "h:1002"}},
        {{"root@h:1", "admin@h:1", "root@h:2"}, {"root@h:1", "admin@h:1", "h:2"}},
        {{"[2001:db8::1]:22", "[2001:db8::1]:23"}, {"[2001:db8::1]:22", "[2001:db8::1]:23"}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t count = 0;
        while (count < 4 && cases[i].targets[count])
            count++;
        struct err err;
        struct mesh *mesh = mesh_from_targets(cases[i].targets, count, &err);
        if (!mesh)
            fail_msg("%s", err.text);
        assert_false(mesh->from_file);
        assert_null(mesh->interface);
        for (size_t j = 0; j < count; j++) {
            assert_string_equal(mesh->nodes[j].name, cases[i].names[j]);
            assert_string_equal(mesh->nodes[j].ssh, cases[i].targets[j]);
        }
        mesh_free(mesh);
    }
}

static void test_targets_refused(void **state)
{
    (void)state;
    static const struct {
        const char *targets[2], *says;
    } cases[] = {
        {{"a", "a"}, "'a' is given twice"},
        {{"a", "-oProxyCommand=id"}, "'-oProxyCommand=id' begins with '-'"},
        {{"a", "b c"}, "has a character"},
        {{"a", "b\nc"}, "has a character"},
        {{"a", "b\x1b[2J"}, "has a character"},
        {{"a", "$(id)"}, "has a character"},
        {{"a", "root@"}, "names no host"},
        {{"a", "ssh://"}, "names no host"},
        {{"a", "ssh://-x"}, "begins with '-'"},
        {{"a", "u@h:"}, "has a port"},
        {{"a", "u@h:22x"}, "has a port"},
        {{"a", ""}, "'' is empty"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {""};
        if (mesh_from_targets(cases[i].targets, 2, &err))
            fail_msg("accepted: %s", cases[i].targets[1]);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: says '%s', not '%s'", cases[i].targets[1], err.text, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file),      cmocka_unit_test(test_defaults), cmocka_unit_test(test_jumps), cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_warns),           cmocka_unit_test(test_table_is_whole), cmocka_unit_test(test_many_nodes),
        cmocka_unit_test(test_targets),         cmocka_unit_test(test_targets_refused),
        cmocka_unit_test(test_removed_and_former),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
