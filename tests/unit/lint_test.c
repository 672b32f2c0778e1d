/* The lint of a desired mesh: each kind is found where it is, and healthy meshes of every topology are not accused, before they run and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/desired.h"
#include "wgdeck/mem.h"

#define NOW (INT64_C(1800000000) * CLOCK_SECOND)

static struct address address_of(const char *text)
{
    struct address address;
    if (address_parse(text, &address) != 0)
        fail_msg("%s", text);
    return address;
}

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    if (prefix_parse(text, &prefix) != 0)
        fail_msg("%s", text);
    return prefix;
}

/* ---- nodes as they would be ------------------------------------------------------------------------------------------- */

struct world {
    struct mesh *mesh;
    struct desired *desired;
    struct observed *seen;
};

static struct key key_of(size_t node)
{
    struct key key = {{0}};
    key.bytes[0] = (uint8_t)(200 - node);
    key.bytes[1] = (uint8_t)(node >> 8);
    return key;
}

static struct observed_link *add_link(struct observation *seen, const char *name, const char *kind)
{
    seen->links = mem_resize(seen->links, seen->link_count + 1, sizeof *seen->links);
    struct observed_link *link = &seen->links[seen->link_count++];
    *link = (struct observed_link){.mtu = 1500, .up = true};
    snprintf(link->name, sizeof link->name, "%s", name);
    snprintf(link->kind, sizeof link->kind, "%s", kind);
    return link;
}

static void add_route(struct observation *seen, const char *to, const char *device)
{
    seen->table_routes = mem_resize(seen->table_routes, seen->table_route_count + 1, sizeof *seen->table_routes);
    struct observed_table_route *route = &seen->table_routes[seen->table_route_count++];
    *route = (struct observed_table_route){.to = prefix_of(to), .table = 254};
    route->to = prefix_network(&route->to);
    snprintf(route->device, sizeof route->device, "%s", device);
}

static void add_prefix_route(struct observation *seen, const struct prefix *to, const char *device)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_text(to, text);
    add_route(seen, text, device);
}

/* With the connected route that the kernel makes for it. */
static void add_address(struct observation *seen, const char *link, const char *address)
{
    for (size_t i = 0; i < seen->link_count; i++) {
        struct observed_link *to = &seen->links[i];
        if (strcmp(to->name, link) != 0)
            continue;
        to->addresses = mem_resize(to->addresses, to->address_count + 1, sizeof *to->addresses);
        to->addresses[to->address_count++] = prefix_of(address);
        add_route(seen, address, link);
    }
}

static void add_answer(struct observation *seen, const struct address *to, const char *device, uint32_t mtu)
{
    seen->routes = mem_resize(seen->routes, seen->route_count + 1, sizeof *seen->routes);
    struct observed_route *route = &seen->routes[seen->route_count++];
    *route = (struct observed_route){.to = *to, .mtu = mtu};
    snprintf(route->device, sizeof route->device, "%s", device);
}

static void add_device(struct observation *seen, const char *name, uint16_t port, const struct key *key)
{
    seen->devices = mem_resize(seen->devices, seen->device_count + 1, sizeof *seen->devices);
    struct device *device = &seen->devices[seen->device_count++];
    *device = (struct device){.engine = ENGINE_KERNEL, .has_private = true, .public_key = *key, .listen_port = port};
    snprintf(device->name, sizeof device->name, "%s", name);
}

/* Nodes without an Endpoint are behind routers of their own: 192.168.1.2 there, 198.51.100.N outside. */
static struct endpoint outside_of(const struct world *world, size_t node)
{
    struct endpoint endpoint = world->mesh->nodes[node].endpoint;
    if (!endpoint.address.family) {
        endpoint = (struct endpoint){.address = address_of("198.51.100.0"), .port = 51820};
        endpoint.address.bytes[3] = (uint8_t)(10 + node % 200);
        endpoint.port = (uint16_t)(endpoint.port + node / 200);
    }
    return endpoint;
}

static void run_interface(struct world *world, size_t node, struct observation *seen)
{
    const struct desired_node *desired = &world->desired->nodes[node];
    struct key key = key_of(node);
    char text[PREFIX_TEXT_SIZE];
    add_link(seen, desired->interface, "wireguard")->mtu = 1420;
    for (size_t i = 0; i < desired->address_count; i++) {
        prefix_text(&desired->addresses[i], text);
        add_address(seen, desired->interface, text);
    }
    add_device(seen, desired->interface, desired->listen_port, &key);
    struct device *device = &seen->devices[seen->device_count - 1];
    device->peers = mem_alloc(desired->row_count + 1, sizeof *device->peers);
    for (size_t r = 0; r < desired->row_count; r++) {
        const struct desired_row *row = &desired->rows[r];
        device->peers[device->peer_count++] = (struct device_peer){
            .public_key = key_of(row->peer), .endpoint = outside_of(world, row->peer), .handshake = NOW - 30 * CLOCK_SECOND, .keepalive = row->keepalive,
            .allowed = mem_copy(row->allowed, row->allowed_count, sizeof *row->allowed), .allowed_count = row->allowed_count,
        };
        for (size_t k = 0; k < row->allowed_count; k++)
            add_prefix_route(seen, &row->allowed[k], desired->interface);
    }
}

static void see_node(struct world *world, size_t node, bool running)
{
    struct observation *seen = &world->seen->nodes[node];
    const struct mesh_node *wanted = &world->mesh->nodes[node];
    struct endpoint outside = outside_of(world, node);
    char text[ADDRESS_TEXT_SIZE];
    seen->reach = REACH_OK;
    seen->privileged = seen->kernel_has_wireguard = true;
    seen->at = seen->node_time = NOW;
    seen->seen_from = mem_text("192.0.2.77");
    address_text(&outside.address, text);
    seen->dialled = mem_text(text);
    add_link(seen, "lo", "");
    add_address(seen, "lo", "127.0.0.1/8");
    add_link(seen, "eth0", "");
    if (wanted->endpoint_host) {
        char *address = mem_format("%s/%u", text, outside.address.family == AF_INET6 ? 64U : 24U);
        add_address(seen, "eth0", address);
        free(address);
    } else {
        add_address(seen, "eth0", "192.168.1.2/24");
    }
    add_address(seen, "eth0", "fe80::1/64");
    add_route(seen, "0.0.0.0/0", "eth0");
    add_route(seen, "::/0", "eth0");
    add_link(seen, "docker0", "bridge");
    add_address(seen, "docker0", "172.17.0.1/16");
    seen->reached_at = mem_text(wanted->endpoint_host ? text : "192.168.1.2");
    for (size_t i = 0; i < wanted->allowed_count; i++) { /* the network behind it is on another card */
        char behind[PREFIX_TEXT_SIZE];
        struct prefix own = wanted->allowed[i];
        own.address.bytes[own.address.family == AF_INET ? 3 : 15] |= 1;
        prefix_text(&own, behind);
        if (i == 0)
            add_link(seen, "eth1", "");
        add_address(seen, "eth1", behind);
    }
    if (running)
        run_interface(world, node, seen);
    for (size_t r = 0; r < world->desired->nodes[node].row_count; r++) {
        const struct address *to = &world->mesh->nodes[world->desired->nodes[node].rows[r].peer].endpoint.address;
        if (running && to->family)
            add_answer(seen, to, "eth0", 1500);
    }
}

static struct world make_world(const char *file, bool running)
{
    struct err err = {""};
    struct world world = {0};
    struct conf *conf = conf_parse("mesh.conf", file, strlen(file), &err);
    world.mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!world.mesh)
        fail_msg("%s\n%s", err.text, file);
    conf_free(conf);
    world.desired = desired_new(world.mesh);
    world.seen = observed_new(world.mesh->node_count);
    for (size_t i = 0; i < world.mesh->node_count; i++)
        see_node(&world, i, running);
    return world;
}

/* "E route-collision a b", one a line. */
static char *judge(struct world *world, bool with_seen)
{
    struct lint lint = {0};
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < world->mesh->node_count; i++)
        observation_sort(&world->seen->nodes[i]);
    lint_mesh(world->mesh, world->desired, with_seen ? world->seen : NULL, &lint);
    bool error = false;
    for (size_t i = 0; i < lint.count; i++) {
        const struct lint_finding *finding = &lint.findings[i];
        error |= finding->error;
        buf_add_format(&text, "%s%s %s", i ? "\n" : "", finding->error ? "E" : "W", finding->id);
        for (int n = 0; n < 2; n++)
            if (finding->nodes[n] != SIZE_MAX)
                buf_add_format(&text, " %s", world->mesh->nodes[finding->nodes[n]].name);
        assert_true(strlen(finding->text) > 30 && !strchr(finding->text, '\n'));
        if (getenv("LINT_SHOW"))
            printf("    %s %s\n", finding->id, finding->text);
    }
    assert_true(lint_has_error(&lint) == error);
    lint_free(&lint);
    assert_false(lint_has_error(&lint));
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static void free_world(struct world *world)
{
    desired_free(world->desired);
    mesh_free(world->mesh);
    observed_free(world->seen);
}

/* ---- healthy ones -------------------------------------------------------------------------------------------------------- */

#define MESH "[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\n"
#define OTHER_PORT "[Node a]\nSsh = root@203.0.113.1\nAddress = 10.44.0.1, fd44::1\nEndpoint = 203.0.113.1:51820\nListenPort = 51999\n"
#define NODE(name, number) "[Node " name "]\nSsh = root@203.0.113." #number "\nAddress = 10.44.0." #number ", fd44::" #number "\nEndpoint = 203.0.113." #number "\n"
#define NATED(name, number) "[Node " name "]\nSsh = root@198.51.100." #number "\nAddress = 10.44.0." #number ", fd44::" #number "\n"
#define FULL MESH NODE("a", 1) NODE("b", 2) NODE("c", 3)
#define KEY_A "yAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define KEY_B "xwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static const char *const healthy[] = {
    MESH,
    MESH NODE("a", 1),
    MESH NATED("a", 1),
    FULL,
    MESH "PresharedKeys = yes\nPersistentKeepalive = 15\n" NODE("a", 1) "PublicKey = " KEY_A "\nMTU = 1420\n" NODE("b", 2) "PublicKey = " KEY_B "\nMTU = 1280\n",
    MESH NODE("a", 1) "AllowedIPs = 192.168.10.0/24, fd99::/64\n" NODE("b", 2) "AllowedIPs = 172.30.0.0/16\n" NATED("c", 3),
    MESH "RelayNetwork = 10.44.0.192/26\nReserved = 10.44.0.100\n" NODE("a", 1) "Role = relay\n" NODE("b", 2) NODE("c", 200),
    MESH "Topology = hub\n" NODE("a", 1) "Role = hub\n" NATED("b", 2) NATED("c", 3) "AllowedIPs = 192.168.10.0/24\n",
    MESH "Topology = hub\n" NATED("a", 1) "Role = hub\n" NODE("b", 2) NODE("c", 3), /* the hub calls the others */
    MESH "Topology = groups\n" NODE("a", 1) "Group = x\nRole = gateway\n" NODE("b", 2) "Group = x\nAllowedIPs = 192.168.10.0/24\n"
        NODE("c", 3) "Group = y\nRole = gateway\n" NATED("d", 4) "Group = y\n" NODE("e", 5) "Group = x\nRole = gateway\n",
    "[Mesh]\nNetwork = fd44::/64\n[Node a]\nSsh = a\nAddress = fd44::1\nEndpoint = [2001:db8::1]:51820\n[Node b]\nSsh = b\nAddress = fd44::2\nEndpoint = [2001:db8::2]\nMTU = 1400\n"
        "[Node c]\nSsh = c\nAddress = fd44::3\n",
    MESH NODE("a", 1) NODE("b", 2) "[Node byhand]\nAddress = 10.44.0.9\nEndpoint = vpn.example.org\n",
    MESH NODE("a", 1) "[Node v4]\nSsh = x\nAddress = 10.44.0.7\nMTU = 1200\nEndpoint = 203.0.113.7\n",
};

static void test_healthy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(healthy); i++)
        for (int running = 0; running < 2; running++)
            for (int with_seen = 0; with_seen < 2; with_seen++) {
                struct world world = make_world(healthy[i], running);
                char *text = judge(&world, with_seen);
                if (*text)
                    fail_msg("%s\nrunning %d, seen %d: accused of\n%s", healthy[i], running, with_seen, text);
                free(text);
                free_world(&world);
            }
}

/* Nothing is known of nodes that were not reached, and nothing is said. */
static void test_unreached(void **state)
{
    (void)state;
    struct world world = make_world(FULL, true);
    for (size_t i = 0; i < 3; i++) {
        add_route(&world.seen->nodes[i], "10.44.0.0/24", "eth0");
        world.seen->nodes[i].reach = REACH_FAILED;
    }
    char *text = judge(&world, true);
    assert_string_equal(text, "");
    free(text);
    free_world(&world);
}

/* ---- of the file alone ------------------------------------------------------------------------------------------------------ */

static void test_file(void **state)
{
    (void)state;
    static const struct {
        const char *file, *finds;
    } cases[] = {
        {MESH "RelayNetwork = 10.44.0.200\n" NODE("a", 1) "Role = relay\n" NODE("b", 2) NODE("c", 200), "E prefix-twice b c"},
        {MESH NODE("a", 1) "[Node b]\nSsh = b\nAddress = 10.44.0.2\nEndpoint = 203.0.113.1:51820\n", "E endpoint-twice a b"},
        {MESH "[Node a]\nAddress = 10.44.0.1\nEndpoint = VPN.example.org\n[Node b]\nAddress = 10.44.0.2\nEndpoint = vpn.example.org:51820\n", "E endpoint-twice a b"},
        {MESH NODE("a", 1) "[Node b]\nSsh = b\nAddress = 10.44.0.2\nEndpoint = 203.0.113.1:51821\nListenPort = 51821\n", ""}, /* two behind one router */
        {MESH NODE("a", 1) "[Node b]\nSsh = root@203.0.113.1\nAddress = 10.44.0.2\nEndpoint = h\n", "E ssh-twice a b"},
        {MESH NODE("a", 1) "[Node b]\nSsh = root@203.0.113.1\nInterface = wg1\nListenPort = 51821\nAddress = 10.44.0.2\nEndpoint = h\n", ""},
        {MESH NODE("a", 1) "[Node b]\nAddress = 10.44.0.2\nEndpoint = 10.44.0.2\n", "E endpoint-in-mesh b"},
        {MESH NODE("a", 1) "[Node b]\nAddress = 10.44.0.2\nEndpoint = [fd44::2]:51820\n", "E endpoint-in-mesh b"},
        {MESH NODE("a", 1) "AllowedIPs = 203.0.113.0/24\n", "E endpoint-in-mesh a"},
        {MESH NODE("a", 1) "AllowedIPs = 192.168.10.0/24\n" "[Node b]\nAddress = 10.44.0.2\nEndpoint = 192.168.10.9\n" NODE("c", 3), "W endpoint-through-tunnel b a"},
        {MESH NODE("a", 1) "AllowedIPs = 192.168.10.0/24\n" "[Node b]\nAddress = 10.44.0.2\nEndpoint = 192.168.10.9\n", ""}, /* a is in that network itself */
        {MESH NODE("a", 1) "MTU = 1279\n" NODE("b", 2) "MTU = 1280\n", "E mtu-below-ipv6 a"},
        {MESH "Topology = hub\n" NATED("a", 1) "Role = hub\n" NATED("b", 2) NATED("c", 3), "E role-unreachable a\nW no-way-between a b"},
        {MESH "Topology = hub\n" NATED("a", 1) "Role = hub\n" NODE("b", 2) NATED("c", 3), "W no-way-between a c"},
        {MESH "RelayNetwork = 10.44.0.192/26\n" NATED("a", 1) "Role = relay\n" NATED("b", 2), "E role-unreachable a\nW no-way-between a b"},
        {MESH "Topology = groups\n" NATED("a", 1) "Group = x\nRole = gateway\n" NATED("b", 2) "Group = y\nRole = gateway\n",
         "E role-unreachable a\nE role-unreachable b\nW no-way-between a b"},
        {MESH NATED("a", 1) NODE("b", 2) NATED("c", 3) NATED("d", 4), "W no-way-between a c\nW no-way-between c d"},
        {MESH "PresharedKeys = yes\n" NODE("a", 1) "[Node b]\nAddress = 10.44.0.2\nEndpoint = h.example\n", "W preshared-without-ssh b"},
        {MESH "PresharedKeys = yes\n[Node b]\nAddress = 10.44.0.2\n", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world = make_world(cases[i].file, false);
        char *text = judge(&world, false);
        if (strcmp(text, cases[i].finds) != 0)
            fail_msg("%s\nfinds\n%s\nnot\n%s", cases[i].file, text, cases[i].finds);
        free(text);
        free_world(&world);
    }
}

/* ---- what the nodes say against it -------------------------------------------------------------------------------------------- */

typedef void breaker(struct world *world);

#define A (&world->seen->nodes[0])
#define B (&world->seen->nodes[1])

static void docker_on_network(struct world *world) { add_link(A, "br-12ab", "bridge"); add_address(A, "br-12ab", "10.44.0.1/24"); }
static void docker_in_network(struct world *world) { add_link(A, "br-12ab", "bridge"); add_address(A, "br-12ab", "10.44.0.129/25"); }
static void lan_around(struct world *world) { add_address(A, "eth0", "10.1.2.3/8"); }
static void lan_with_our_address(struct world *world) { add_address(A, "eth0", "10.44.0.77/16"); }
static void route_on_network(struct world *world) { add_route(A, "10.44.0.0/24", "eth0"); }
static void route_on_network6(struct world *world) { add_route(A, "fd44::/64", "eth0"); }
static void route_to_node(struct world *world) { add_route(A, "10.44.0.2/32", "eth0"); }
static void route_to_part_with_node(struct world *world) { add_route(A, "10.44.0.0/28", "tun9"); }
static void route_to_free_part(struct world *world) { add_route(A, "10.44.0.128/25", "tun9"); }
static void blackhole_on_network(struct world *world) { add_route(A, "10.44.0.0/24", ""); }
static void blackhole_around(struct world *world) { add_route(A, "10.0.0.0/8", ""); }
static void blackhole_inside(struct world *world) { add_route(A, "10.44.0.2/32", ""); }
static void route_elsewhere(struct world *world) { add_route(A, "10.45.0.0/24", "eth0"); add_route(A, "0.0.0.0/0", "tun9"); }
static void route_to_host_outside(struct world *world) { add_route(A, "203.0.113.2/32", "eth0"); }
static void route_in_other_table(struct world *world) { add_route(A, "10.44.0.0/24", "eth0"); A->table_routes[A->table_route_count - 1].table = 51820; }
static void same_network_behind(struct world *world) { add_link(B, "eth1", ""); add_address(B, "eth1", "192.168.10.5/24"); }
static void route_to_network_behind(struct world *world) { add_route(B, "192.168.10.0/24", "eth0"); }
static void route_to_own_network_behind(struct world *world) { add_route(A, "192.168.10.0/24", "eth0"); }
static void mesh_address_of_another(struct world *world) { add_address(A, "lo", "10.44.0.3/32"); }
static void own_mesh_address_on_lo(struct world *world) { add_address(A, "lo", "10.44.0.1/32"); }
static void no_docker(struct world *world) { snprintf(A->links[2].name, sizeof A->links[2].name, "%s", "br0"); snprintf(B->links[2].name, sizeof B->links[2].name, "%s", "br0"); }
static void old_interface(struct world *world)
{
    add_link(A, "wg9", "wireguard");
    add_address(A, "wg9", "10.44.0.1/24");
}
static void come_from(struct observation *seen, const char *from, const char *to)
{
    free(seen->seen_from);
    free(seen->reached_at);
    seen->seen_from = mem_text(from);
    seen->reached_at = mem_text(to);
}
static void ssh_from_behind(struct world *world) { come_from(B, "192.168.10.20", "203.0.113.2"); }
static void ssh_from_network(struct world *world) { come_from(B, "10.44.0.99", "203.0.113.2"); }
static void ssh_to_mesh(struct world *world) { come_from(B, "192.0.2.77", "10.44.0.2"); }
static void ssh_over_mesh(struct world *world) { come_from(B, "10.44.0.1", "10.44.0.2"); }
static void ssh_over_mesh6(struct world *world) { come_from(B, "fd44::1", "fd44::2"); }
static void other_wireguard(struct world *world)
{
    struct key key = key_of(90);
    add_device(A, "wg7", 51820, &key);
    add_device(B, "wg7", 51821, &key);
}
static void other_key(struct world *world) { A->devices[0].public_key = key_of(91); }
static void no_key(struct world *world) { A->devices[0].public_key = (struct key){{0}}; A->devices[0].has_private = false; B->devices[0].has_private = false; }
static void cloned(struct world *world) { B->devices[0].public_key = A->devices[0].public_key; }
static void bridge_of_that_name(struct world *world) { add_link(A, "wg0", "bridge"); }
static void engine_of_that_name(struct world *world)
{
    add_link(A, "wg0", "tun");
    A->dead_sockets = mem_alloc(1, sizeof *A->dead_sockets);
    A->dead_sockets[A->dead_socket_count++] = mem_text("wg0");
}
static void tun_without_root(struct world *world) { add_link(A, "wg0", "tun"); A->privileged = false; }
static void narrow_way(struct world *world) { A->routes[0].mtu = 1460; }
static void narrow_card(struct world *world) { A->links[1].mtu = 1460; }
static void one_nat(struct world *world)
{
    for (size_t i = 0; i < 3; i++)
        for (size_t r = 0; r < world->seen->nodes[i].devices[0].peer_count; r++)
            if (!world->mesh->nodes[world->desired->nodes[i].rows[r].peer].endpoint_host)
                world->seen->nodes[i].devices[0].peers[r].endpoint.address = address_of("198.51.100.200");
}
static void one_nat_other_ports(struct world *world)
{
    one_nat(world);
    for (size_t i = 0; i < 3; i++)
        for (size_t r = 0; r < world->seen->nodes[i].devices[0].peer_count; r++)
            if (world->desired->nodes[i].rows[r].peer == 1)
                world->seen->nodes[i].devices[0].peers[r].endpoint.port = 1025;
}
static void one_router(struct world *world)
{
    for (size_t i = 0; i < 2; i++) {
        free(world->seen->nodes[i].dialled);
        world->seen->nodes[i].dialled = mem_text("198.51.100.200");
    }
}
static void listens_elsewhere(struct world *world) { A->devices[0].listen_port = 51999; }
static void nat_before(struct world *world)
{
    for (size_t i = 0; i < world->seen->nodes[0].link_count; i++)
        world->seen->nodes[0].links[i].address_count = 0;
}
static void met_never(struct world *world)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t r = 0; r < A->devices[0].peer_count; r++)
            world->seen->nodes[i].devices[0].peers[r].handshake = 0;
}
static void nothing(struct world *world) { (void)world; }

#define BEHIND MESH NODE("a", 1) "AllowedIPs = 192.168.10.0/24\n" NODE("b", 2)
#define TWO_NATED MESH NATED("a", 1) NATED("b", 2) NODE("c", 3)

static void test_seen(void **state)
{
    (void)state;
    static const struct {
        const char *name, *file;
        bool running;
        breaker *hand;
        const char *finds;
    } cases[] = {
        {"docker_on_network", FULL, false, docker_on_network, "E route-collision a"},
        {"docker_in_network", FULL, false, docker_in_network, "E address-collision a"},
        {"docker_in_network", FULL, true, docker_in_network, "W address-collision a"}, /* it is like that already */
        {"lan_around", FULL, false, lan_around, "W route-overlap a"},
        {"lan_around", FULL, true, lan_around, ""}, /* it has been like that for long */
        {"route_to_free_part", FULL, true, route_to_free_part, "W route-overlap a"},
        {"lan_with_our_address", FULL, false, lan_with_our_address, "E address-collision a"},
        {"route_on_network", FULL, false, route_on_network, "E route-collision a"},
        {"route_on_network", FULL, true, route_on_network, "W route-collision a"},
        {"route_on_network6", FULL, false, route_on_network6, "E route-collision a"},
        {"route_to_node", FULL, false, route_to_node, "E route-collision a b"},
        {"route_to_part_with_node", FULL, false, route_to_part_with_node, "E route-collision a"},
        {"route_to_free_part", FULL, false, route_to_free_part, "W route-overlap a"},
        {"blackhole_on_network", FULL, false, blackhole_on_network, "E route-collision a"},
        {"blackhole_around", FULL, false, blackhole_around, ""},
        {"blackhole_inside", FULL, false, blackhole_inside, "E route-collision a b"},
        {"route_elsewhere", FULL, false, route_elsewhere, ""},
        {"route_to_host_outside", FULL, false, route_to_host_outside, ""},
        {"route_in_other_table", FULL, false, route_in_other_table, ""},
        {"old_interface", FULL, false, old_interface, "E route-collision a"},
        {"same_network_behind", BEHIND, false, same_network_behind, "E address-collision b a"},
        {"route_to_network_behind", BEHIND, false, route_to_network_behind, "E route-collision b a"},
        {"route_to_own_network_behind", BEHIND, false, route_to_own_network_behind, ""},
        {"mesh_address_of_another", FULL, false, mesh_address_of_another, "E address-collision a c"},
        {"own_mesh_address_on_lo", FULL, false, own_mesh_address_on_lo, ""},
        {"pool of docker", "[Mesh]\nNetwork = 172.20.0.0/24\n[Node a]\nSsh = a\nAddress = 172.20.0.1\n", false, nothing, "W docker-pool a"},
        {"pool of docker", "[Mesh]\nNetwork = 172.20.0.0/24\n[Node a]\nSsh = a\nAddress = 172.20.0.1\n", true, nothing, ""},
        {"pool of docker", "[Mesh]\nNetwork = 172.20.0.0/24\n[Node a]\nSsh = a\nAddress = 172.20.0.1\n[Node b]\nSsh = b\nAddress = 172.20.0.2\nEndpoint = 203.0.113.2\n", false, no_docker, ""},
        {"ssh_from_behind", BEHIND, false, ssh_from_behind, "E ssh-cut-off b a"},
        {"ssh_from_behind", BEHIND, true, ssh_from_behind, "W ssh-through-tunnel b"},
        {"ssh_from_network", BEHIND, false, ssh_from_network, "E ssh-cut-off b"},
        {"ssh_to_mesh", FULL, true, ssh_to_mesh, "W ssh-through-tunnel b"},
        {"ssh_over_mesh", FULL, true, ssh_over_mesh, "W ssh-through-tunnel b"},
        {"ssh_over_mesh6", FULL, true, ssh_over_mesh6, "W ssh-through-tunnel b"},
        {"other port", MESH OTHER_PORT NODE("b", 2), false, nothing, "E endpoint-port a"},
        {"other port", MESH OTHER_PORT NODE("b", 2), true, listens_elsewhere, "W endpoint-port a"},
        {"other port", MESH OTHER_PORT NODE("b", 2), false, nat_before, ""}, /* a NAT stands before it */
        {"other_wireguard", FULL, true, other_wireguard, "E port-taken a"},
        {"other_wireguard", FULL, false, other_wireguard, "E port-taken a"},
        {"other_key", FULL, true, other_key, ""}, /* not pinned */
        {"other_key", MESH NODE("a", 1) "PublicKey = " KEY_A "\n" NODE("b", 2), true, other_key, "W key-differs a"},
        {"no_key", MESH NODE("a", 1) "PublicKey = " KEY_A "\n" NODE("b", 2), true, no_key, ""},
        {"rotated", MESH NODE("a", 1) "PublicKey = " KEY_B "\nFormerKey = " KEY_A "\n" NODE("b", 2) "PublicKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n", true, nothing, "W key-differs b"},
        {"cloned", FULL, true, cloned, "E key-twice a b"},
        {"cloned", MESH NODE("a", 1) NODE("b", 2) "PublicKey = " KEY_B "\n", true, cloned, "W key-differs b"},
        {"back again", MESH NODE("a", 1) NODE("b", 2) "[Removed old]\nPublicKey = " KEY_B "\n", true, nothing, "E key-gone b"},
        {"back again", MESH NODE("a", 1) "FormerKey = " KEY_B "\n" NODE("b", 2), true, nothing, "E key-gone b a"},
        {"back again", MESH NODE("a", 1) "FormerKey = " KEY_A "\n" NODE("b", 2), true, nothing, ""}, /* its own again */
        {"back again", MESH NODE("a", 1) NODE("b", 2) "[Removed old]\nPublicKey = " KEY_B "\n", false, nothing, ""}, /* with a new key */
        {"bridge_of_that_name", FULL, false, bridge_of_that_name, "W interface-taken a"},
        {"engine_of_that_name", FULL, false, engine_of_that_name, ""},
        {"tun_without_root", FULL, false, tun_without_root, ""},
        {"narrow_way", MESH NODE("a", 1) "MTU = 1420\n" NODE("b", 2), true, narrow_way, "W mtu-too-large a b"},
        {"narrow_way", MESH NODE("a", 1) "MTU = 1400\n" NODE("b", 2), true, narrow_way, ""},
        {"narrow_way", FULL, true, narrow_way, ""}, /* the file asks for no MTU */
        {"narrow_card", MESH NODE("a", 1) "MTU = 1420\n" NODE("b", 2), false, narrow_card, "W mtu-too-large a b"},
        {"two behind NATs", TWO_NATED, true, nothing, ""}, /* as is seen, they do meet */
        {"two behind NATs", TWO_NATED, false, nothing, "W no-way-between a b"},
        {"met_never", MESH NATED("a", 1) NATED("b", 2), true, met_never, "W no-way-between a b"},
        {"one_nat", TWO_NATED, true, one_nat, "W nat-port-clash a b"},
        {"one_nat_other_ports", TWO_NATED, true, one_nat_other_ports, ""},
        {"one_router", TWO_NATED, false, one_router, "W nat-port-clash a b\nW no-way-between a b"},
        {"one_router", MESH NATED("a", 1) NATED("b", 2) "ListenPort = 51821\n" NODE("c", 3), false, one_router, "W no-way-between a b"},
        {"one_router", FULL, false, one_router, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world = make_world(cases[i].file, cases[i].running);
        if (getenv("LINT_SHOW"))
            printf("%s\n", cases[i].name);
        cases[i].hand(&world);
        char *text = judge(&world, true);
        if (strcmp(text, cases[i].finds) != 0)
            fail_msg("%s (running %d) finds\n%s\nnot\n%s", cases[i].name, cases[i].running, text, cases[i].finds);
        free(text);
        free_world(&world);
    }
}

/* Whatever is wrong with a node, it can be taken out. */
static void test_leaving(void **state)
{
    (void)state;
    struct world world = make_world(FULL, false);
    struct lint lint = {0};
    route_on_network(&world);
    add_route(&world.seen->nodes[2], "10.44.0.1/32", "eth0");
    add_route(&world.seen->nodes[2], "10.44.0.2/32", "eth0");
    for (size_t i = 0; i < 3; i++)
        observation_sort(&world.seen->nodes[i]);
    lint_mesh(world.mesh, world.desired, world.seen, &lint);
    assert_int_equal(lint.count, 3);
    lint_leave_out(&lint, (const bool[]){false, false, false});
    assert_int_equal(lint.count, 3);
    lint_leave_out(&lint, (const bool[]){true, false, false}); /* its own, and c's about it */
    assert_int_equal(lint.count, 1);
    assert_true(lint.findings[0].nodes[0] == 2 && lint.findings[0].nodes[1] == 1);
    lint_leave_out(&lint, (const bool[]){false, false, true});
    assert_false(lint_has_error(&lint));
    lint_free(&lint);
    free_world(&world);
}

/* A thousand nodes, each with a hundred routes of its own, are judged at once. */
static void test_large(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    buf_add_text(&file, "[Mesh]\nNetwork = 10.44.0.0/16\nTopology = hub\n");
    for (int i = 0; i < 1000; i++)
        buf_add_format(&file, "[Node n%d]\nSsh = n%d\nAddress = 10.44.%d.%d\n%s", i, i, i / 250, i % 250 + 1, i ? "" : "Role = hub\nEndpoint = 203.0.113.1\n");
    struct world world = make_world(buf_text(&file), true);
    for (size_t i = 0; i < 1000; i++)
        for (int r = 0; r < 100; r++) {
            char text[PREFIX_TEXT_SIZE];
            snprintf(text, sizeof text, "172.30.%d.0/24", r);
            add_route(&world.seen->nodes[i], text, "eth0");
        }
    char *text = judge(&world, true);
    assert_string_equal(text, "");
    free(text);
    free_world(&world);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy), cmocka_unit_test(test_unreached), cmocka_unit_test(test_file), cmocka_unit_test(test_seen), cmocka_unit_test(test_leaving), cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
