/* One thing broken, exactly it named; nothing broken, nothing named. Each case runs with a mesh file and without one. */
#include "unit.h"

#include "diagnosis_world.h"
#include "observed_random.h"
#include "mesh/diagnosis_private.h"
#include "wgdeck/text.h"

enum { FILE_ONLY = 1, HOSTS_ONLY = 2, ONE_READING = 4 };

struct test_case {
    const char *name;
    size_t nodes;           /* 0: 3 */
    void (*make)(struct world *world);
    const char *expected;   /* "id node node" of each error and warning, separated by ", "; "" for none */
    const char *link;       /* "a-b state a_to_b b_to_a", or NULL */
    unsigned flags;
    const char *direction;
    size_t consequences;    /* at least */
};

/* ---- healthy ---------------------------------------------------------------------------------------------------- */

static void nothing(struct world *world)
{
    (void)world;
}

static void idle(struct world *world)
{
    world_age(world, 'a', 'b', 4000);
    world_age(world, 'a', 'c', 181);
    world_keep_as_before(world);
}

static void fresh(struct world *world)
{
    for (char a = 'a'; a <= 'c'; a++)
        for (char b = a + 1; b <= 'c'; b++)
            world_age(world, a, b, -1);
    world_keep_as_before(world);
}

static void nat_learned(struct world *world)
{
    world_nat(world, 'c', "192.168.1.2", "198.51.100.7:40123", 25);
}

static void nat_quiet_port_forward(struct world *world)
{
    world_nat(world, 'c', "192.168.1.2", "198.51.100.7:51820", 0);
    struct mesh_node *node = &world->mesh->nodes[2];
    node->endpoint = world_endpoint("198.51.100.7:51820");
    node->endpoint_host = mem_text("198.51.100.7");
    world_saved(world, 'a', 'c')->endpoint = world_saved(world, 'b', 'c')->endpoint = node->endpoint;
    world_node(world, 'c')->dialled = mem_text("198.51.100.7");
    world_age(world, 'a', 'c', 500);
}

static void roamed(struct world *world)
{
    world_row(world, 'a', 'b')->endpoint = world_endpoint("198.51.100.99:1234");
}

static void lossy(struct world *world)
{
    world_row(world, 'a', 'b')->keepalive = world_saved(world, 'a', 'b')->keepalive = 25;
    world_age(world, 'a', 'b', 128);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 296, false);
    world_send(world, 'b', 'a', 32, true);
}

static void late_confirmation(struct world *world)
{
    world_row(world, 'a', 'b')->handshake = WORLD_NOW - 2 * CLOCK_SECOND;
    world_row(world, 'b', 'a')->handshake = WORLD_NOW - 122 * CLOCK_SECOND;
}

static void read_between(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_node(world, 'b')->at = WORLD_NOW - 4 * CLOCK_SECOND;
    world_node(world, 'b')->node_time = WORLD_NOW - 4 * CLOCK_SECOND;
    world_row(world, 'a', 'b')->handshake = WORLD_NOW - CLOCK_SECOND;
    world_row(world, 'a', 'b')->tx_bytes = 180;
    world_row(world, 'a', 'b')->rx_bytes = 92;
}

static void first_tries(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_row(world, 'a', 'b')->tx_bytes = 148;
}

static void hub(struct world *world)
{
    world->mesh->topology = TOPOLOGY_HUB;
    world->mesh->nodes[0].role = ROLE_HUB;
    for (char spoke = 'b'; spoke <= 'd'; spoke++) {
        for (char other = 'b'; other <= 'd'; other++)
            if (other != spoke) {
                world_remove(world_device(world, spoke), other);
                world_remove(&world_config(world, spoke)->device, other);
            }
        world_allow(world_row(world, spoke, 'a'), "10.44.0.0/16 fd44::/64");
        world_allow(world_saved(world, spoke, 'a'), "10.44.0.0/16 fd44::/64");
        for (char other = 'a'; other <= 'd'; other++)
            if (other != spoke)
                world_add_route(world_node(world, spoke), world_address("10.44.0.1"), "wg0", 1420);
    }
}

static void default_route_at_hub(struct world *world)
{
    hub(world);
    world_allow(world_row(world, 'b', 'a'), "0.0.0.0/0 ::/0");
    world_allow(world_saved(world, 'b', 'a'), "0.0.0.0/0 ::/0");
    world_device(world, 'b')->fwmark = 51820;
}

static void gateway_network(struct world *world)
{
    for (char holder = 'b'; holder <= 'c'; holder++) {
        world_allow(world_row(world, holder, 'a'), "10.44.0.1 fd44::1 192.168.10.0/24");
        world_allow(world_saved(world, holder, 'a'), "10.44.0.1 fd44::1 192.168.10.0/24");
        world_add_route(world_node(world, holder), world_address("192.168.10.1"), "wg0", 1420);
    }
    world_set_prefixes(&world->mesh->nodes[0].allowed, &world->mesh->nodes[0].allowed_count, "192.168.10.0/24");
}

static void different_ports(struct world *world)
{
    world_device(world, 'b')->listen_port = world_config(world, 'b')->device.listen_port = 41000;
    world->mesh->nodes[1].listen_port = world->mesh->nodes[1].endpoint_port = world->mesh->nodes[1].endpoint.port = 41000;
    world_row(world, 'a', 'b')->endpoint.port = world_row(world, 'c', 'b')->endpoint.port = 41000;
    world_saved(world, 'a', 'b')->endpoint.port = world_saved(world, 'c', 'b')->endpoint.port = 41000;
}

static void only_v6(struct world *world)
{
    for (char a = 'a'; a <= 'c'; a++) {
        char text[16];
        snprintf(text, sizeof text, "fd44::%d/64", a - 'a' + 1);
        struct observed_link *link = &world_node(world, a)->links[1];
        world_set_prefixes(&link->addresses, &link->address_count, text);
        world_set_prefixes(&world_config(world, a)->addresses, &world_config(world, a)->address_count, text);
        text[strlen(text) - 3] = '\0';
        if (world->mesh->from_file)
            world_set_prefixes(&world->mesh->nodes[a - 'a'].addresses, &world->mesh->nodes[a - 'a'].address_count, text);
        for (char b = 'a'; b <= 'c'; b++)
            if (a != b) {
                world_allow(world_row(world, b, a), text);
                world_allow(world_saved(world, b, a), text);
            }
    }
}

static void save_config(struct world *world)
{
    world_config(world, 'a')->save_config = true;
    world_remove(&world_config(world, 'a')->device, 'b');
    world_row(world, 'a', 'c')->keepalive = 7;
}

static void host_names(struct world *world)
{
    struct observed_config *config = world_config(world, 'a');
    config->endpoint_hosts = mem_alloc(config->device.peer_count, sizeof(char *));
    for (size_t i = 0; i < config->device.peer_count; i++) {
        config->endpoint_hosts[i] = mem_text("vpn.example.org:51820");
        config->device.peers[i].endpoint = (struct endpoint){0};
    }
}

static void no_saved(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        struct observation scratch = world->now->nodes[i];
        world->now->nodes[i].configs = NULL;
        world->now->nodes[i].config_count = 0;
        struct observation only = {.configs = scratch.configs, .config_count = scratch.config_count};
        observation_clear(&only);
    }
}

/* c is not named: its rows at a and b are nobody's, and no fault. */
static void not_all_named(struct world *world)
{
    free(world->mesh->nodes[2].name);
    free(world->mesh->nodes[2].ssh);
    world->mesh->node_count = 2;
}

static void other_mtu_saved(struct world *world)
{
    world_node(world, 'b')->links[1].mtu = 1380;
    world_config(world, 'b')->mtu = 1380;
}

static void relay_for_all(struct world *world)
{
    world_nat(world, 'b', "192.168.1.2", "203.0.113.11:7000", 25);
    world_nat(world, 'c', "192.168.9.2", "203.0.113.11:7000", 25);
    world_row(world, 'b', 'c')->endpoint = world_row(world, 'c', 'b')->endpoint = world_endpoint("203.0.113.11:7001");
}

static void counters_reset(struct world *world)
{
    world_row(world, 'a', 'b')->tx_bytes = 900000;
    world_keep_as_before(world);
    world_row(world, 'a', 'b')->tx_bytes = 5000;
    world_row(world, 'a', 'b')->rx_bytes = 4000;
}

static void engine_restarted_quietly(struct world *world)
{
    world_row(world, 'a', 'b')->handshake = WORLD_NOW - 100 * CLOCK_SECOND;
    world_row(world, 'b', 'a')->handshake = 0;
    world_row(world, 'b', 'a')->rx_bytes = world_row(world, 'b', 'a')->tx_bytes = 0;
}

static void clock_corrected(struct world *world)
{
    world_node(world, 'b')->node_time += 3000 * CLOCK_SECOND;
    world_node(world, 'b')->clock_offset = 3000 * CLOCK_SECOND;
}

/* ---- broken: nodes ------------------------------------------------------------------------------------------------ */

static void unreachable_but_alive(struct world *world)
{
    world_fail(world, 'b');
}

static void unreachable_and_dead(struct world *world)
{
    for (char other = 'a'; other <= 'c'; other += 2) {
        world_row(world, other, 'b')->handshake = WORLD_NOW - 600 * CLOCK_SECOND;
        world_row(world, other, 'b')->keepalive = world_saved(world, other, 'b')->keepalive = 25;
    }
    world_fail(world, 'b');
}

static void not_allowed_to_read(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    observation_clear(seen);
    seen->reach = REACH_OK;
    seen->at = seen->node_time = WORLD_NOW;
    seen->skipped = mem_alloc(1, sizeof(char *));
    seen->skipped[seen->skipped_count++] = mem_text("wg0: permission denied");
    world_fill_links(seen, 1);
}

static void lose_device(struct world *world, char name)
{
    struct observation *seen = world_node(world, name);
    struct observation only = {.devices = seen->devices, .device_count = 1};
    observation_clear(&only);
    seen->devices = NULL;
    seen->device_count = 0;
}

static void lose_interface(struct world *world, char name)
{
    struct observation *seen = world_node(world, name);
    free(seen->links[1].addresses);
    seen->link_count = 1;
}

static void engine_dead(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    lose_device(world, 'b');
    lose_interface(world, 'b');
    seen->dead_sockets = mem_alloc(1, sizeof(char *));
    seen->dead_sockets[seen->dead_socket_count++] = mem_text("wg0");
}

static void interface_gone(struct world *world)
{
    lose_device(world, 'b');
    lose_interface(world, 'b');
}

static void interface_down(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    seen->links[1].up = false;
    seen->links[1].address_count = 1; /* the kernel takes the IPv6 ones */
    for (size_t i = 0; i < seen->route_count; i++)
        if (strcmp(seen->routes[i].device, "wg0") == 0)
            snprintf(seen->routes[i].device, sizeof seen->routes[i].device, "eth0");
    world_device(world, 'b')->listen_port = 0;
}

static void no_private_key(struct world *world)
{
    world_device(world, 'b')->has_private = false;
    world_device(world, 'b')->public_key = (struct key){{0}};
}

/* ---- broken: identity ------------------------------------------------------------------------------------------------ */

static void peer_missing(struct world *world)
{
    world_remove(world_device(world, 'b'), 'a');
    world_age(world, 'a', 'c', 20);
}

static void peer_missing_saved_too(struct world *world)
{
    world_remove(world_device(world, 'b'), 'a');
    world_remove(&world_config(world, 'b')->device, 'a');
}

static void peer_missing_everywhere(struct world *world)
{
    for (char other = 'a'; other <= 'd'; other++)
        if (other != 'b')
            world_remove(world_device(world, other), 'b');
}

static void all_rows_lost(struct world *world)
{
    for (char other = 'a'; other <= 'd'; other++)
        if (other != 'b')
            world_remove(world_device(world, 'b'), other);
}

static void missing_both(struct world *world)
{
    world_remove(world_device(world, 'a'), 'b');
    world_remove(world_device(world, 'b'), 'a');
}

static void missing_both_saved_too(struct world *world)
{
    missing_both(world);
    world_remove(&world_config(world, 'a')->device, 'b');
    world_remove(&world_config(world, 'b')->device, 'a');
}

static void wrong_key(struct world *world)
{
    struct device_peer *row = world_row(world, 'a', 'b');
    row->public_key = world_key(77);
    row->handshake = 0;
    row->tx_bytes = row->rx_bytes = 0;
}

static void wrong_key_saved_too(struct world *world)
{
    world_saved(world, 'a', 'b')->public_key = world_key(77);
    wrong_key(world);
}

static void key_changed(struct world *world)
{
    world_device(world, 'b')->public_key = world_key(77);
}

static void key_changed_saved_too(struct world *world)
{
    world_device(world, 'b')->public_key = world_config(world, 'b')->device.public_key = world_key(77);
}

static void half_rotated(struct world *world)
{
    key_changed_saved_too(world);
    world_saved(world, 'a', 'b')->public_key = world_key(77);
    world_row(world, 'a', 'b')->public_key = world_key(77);
}

static void ghost(struct world *world)
{
    for (char holder = 'a'; holder <= 'b'; holder++) {
        struct device *lists[2] = {world_device(world, holder), &world_config(world, holder)->device};
        for (size_t i = 0; i < 2; i++) {
            lists[i]->peers = mem_resize(lists[i]->peers, lists[i]->peer_count + 1, sizeof *lists[i]->peers);
            world_fill_row(&lists[i]->peers[lists[i]->peer_count], 99, i == 1);
            lists[i]->peers[lists[i]->peer_count++].endpoint = (struct endpoint){0};
        }
    }
}

static void cloned(struct world *world)
{
    world_device(world, 'c')->public_key = world_config(world, 'c')->device.public_key = world_key(1);
    world_remove(world_device(world, 'c'), 'b');
    world_age(world, 'a', 'b', 20);
}

static void set_psk(struct device_peer *row, uint8_t first)
{
    row->has_preshared = true;
    memset(row->preshared_hash, first, sizeof row->preshared_hash);
}

static void psk_equal(struct world *world)
{
    set_psk(world_row(world, 'a', 'b'), 7);
    set_psk(world_row(world, 'b', 'a'), 7);
    set_psk(world_saved(world, 'a', 'b'), 7);
    set_psk(world_saved(world, 'b', 'a'), 7);
}

static void psk_differs(struct world *world)
{
    psk_equal(world);
    set_psk(world_row(world, 'a', 'b'), 8);
}

static void psk_at_one_end(struct world *world)
{
    set_psk(world_row(world, 'a', 'b'), 0); /* not hashed */
    set_psk(world_saved(world, 'a', 'b'), 0);
}

static void psk_not_hashed(struct world *world)
{
    set_psk(world_row(world, 'a', 'b'), 0);
    set_psk(world_row(world, 'b', 'a'), 3);
    set_psk(world_saved(world, 'a', 'b'), 0);
    set_psk(world_saved(world, 'b', 'a'), 3);
}

static void psk_by_counters(struct world *world)
{
    psk_not_hashed(world);
    world_age(world, 'a', 'b', 600);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, true);
    world_send(world, 'b', 'a', 444, true);
}

static void exposed(struct world *world)
{
    world_config(world, 'b')->mode = 0644;
}

static void from_the_manual(struct world *world)
{
    struct key key;
    if (key_parse("HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", &key) != 0)
        abort();
    world_device(world, 'b')->public_key = world_config(world, 'b')->device.public_key = world->mesh->nodes[1].public_key = key;
    for (char other = 'a'; other <= 'c'; other += 2)
        world_row(world, other, 'b')->public_key = world_saved(world, other, 'b')->public_key = key;
}

/* ---- broken: addressing ------------------------------------------------------------------------------------------------ */

static void duplicate_address(struct world *world)
{
    world_add_address(world, 'c', "10.44.0.2/16");
}

static void took_address(struct world *world)
{
    *world_interface_address(world, 'c', 0) = world_prefix("10.44.0.2/16");
    *world_interface_address(world, 'c', 1) = world_prefix("fd44::2/64");
}

static void address_changed(struct world *world)
{
    *world_interface_address(world, 'b', 0) = world_prefix("10.44.0.77/16");
}

static void address_gone(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    seen->links[1].addresses[0] = seen->links[1].addresses[1];
    seen->links[1].address_count = 1;
}

static void address_gone_and_route(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    address_gone(world);
    world_add_address(world, 'b', "10.44.9.9/32");
    for (size_t i = 0; i < seen->route_count; i++)
        if (seen->routes[i].to.family == AF_INET && strcmp(seen->routes[i].device, "wg0") == 0)
            snprintf(seen->routes[i].device, sizeof seen->routes[i].device, "eth0");
    seen->table_routes[1].to = world_prefix("10.99.0.0/16");
}

static void address_changed_no_saved(struct world *world)
{
    address_changed(world);
    no_saved(world);
}

static void stolen(struct world *world)
{
    world_allow(world_row(world, 'a', 'c'), "10.44.0.2 10.44.0.3 fd44::2 fd44::3");
    world_allow(world_row(world, 'a', 'b'), "");
}

static void stolen_no_saved(struct world *world)
{
    stolen(world);
    no_saved(world);
}

static void allowed_missing(struct world *world)
{
    world_allow(world_row(world, 'a', 'b'), "fd44::2");
    world_allow(world_saved(world, 'a', 'b'), "fd44::2");
}

static void allowed_lost(struct world *world)
{
    world_allow(world_row(world, 'a', 'b'), "");
}

static void overlap(struct world *world)
{
    world_allow(world_row(world, 'a', 'c'), "10.44.0.3 fd44::3 10.44.0.0/25");
    world_allow(world_saved(world, 'a', 'c'), "10.44.0.3 fd44::3 10.44.0.0/25");
}

static void too_wide(struct world *world)
{
    world_allow(world_row(world, 'a', 'b'), "10.44.0.2 fd44::2 203.0.113.0/24");
    world_allow(world_saved(world, 'a', 'b'), "10.44.0.2 fd44::2 203.0.113.0/24");
}

static void everything(struct world *world)
{
    world_allow(world_row(world, 'a', 'b'), "0.0.0.0/0 fd44::2");
}

/* ---- broken: routing ------------------------------------------------------------------------------------------------ */

static void send_way(struct world *world, char name, const char *to, const char *device)
{
    struct observation *seen = world_node(world, name);
    struct address address = world_address(to);
    for (size_t i = 0; i < seen->route_count; i++)
        if (address_compare(&seen->routes[i].to, &address) == 0)
            snprintf(seen->routes[i].device, sizeof seen->routes[i].device, "%s", device);
}

static void route_missing(struct world *world)
{
    send_way(world, 'b', "10.44.0.1", "eth0");
    send_way(world, 'b', "10.44.0.3", "eth0");
    world_node(world, 'b')->table_routes[1].to = world_prefix("10.99.0.0/16");
}

static void route_nowhere(struct world *world)
{
    send_way(world, 'b', "10.44.0.1", "");
    world_node(world, 'b')->table_routes[1].to = world_prefix("10.99.0.0/16");
}

static void route_shadowed(struct world *world)
{
    send_way(world, 'b', "10.44.0.1", "eth0");
    world_add_table_route(world_node(world, 'b'), "10.44.0.1/32", "eth0");
}

static void route_black_hole(struct world *world)
{
    send_way(world, 'b', "10.44.0.1", "");
}

static void table_off(struct world *world)
{
    route_missing(world);
    world_config(world, 'b')->table_off = true;
}

static void in_tunnel(struct world *world)
{
    send_way(world, 'a', "203.0.113.12", "wg0");
    world_add_table_route(world_node(world, 'a'), "203.0.113.12/32", "wg0");
}

static void mtu_too_big(struct world *world)
{
    world_node(world, 'b')->links[1].mtu = 1500;
}

static void mtu_of_path(struct world *world)
{
    struct observation *seen = world_node(world, 'b');
    for (size_t i = 0; i < seen->route_count; i++)
        if (strcmp(seen->routes[i].device, "eth0") == 0)
            seen->routes[i].mtu = 1460;
}

static void mtu_differs(struct world *world)
{
    world_node(world, 'b')->links[1].mtu = 1300;
}

/* ---- broken: transport ------------------------------------------------------------------------------------------------ */

static void port_drift(struct world *world)
{
    world_device(world, 'b')->listen_port = 51999;
    world_age(world, 'a', 'b', 600);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, false);
}

static void endpoint_unknown(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_row(world, 'a', 'b')->endpoint = world_row(world, 'b', 'a')->endpoint = (struct endpoint){0};
}

static void endpoint_stale(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_row(world, 'a', 'b')->endpoint = world_saved(world, 'a', 'b')->endpoint = world_endpoint("203.0.113.250:51820");
    world_row(world, 'b', 'a')->endpoint = world_saved(world, 'b', 'a')->endpoint = (struct endpoint){0};
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, false);
}

static void endpoint_stale_one_reading(struct world *world)
{
    endpoint_stale(world);
}

static void endpoint_port(struct world *world)
{
    endpoint_stale(world);
    world_row(world, 'a', 'b')->endpoint = world_saved(world, 'a', 'b')->endpoint = world_endpoint("203.0.113.12:51999");
}

static void keepalive_missing(struct world *world)
{
    world_nat(world, 'c', "192.168.1.2", "198.51.100.7:40123", 0);
}

static void keepalive_missing_dead(struct world *world)
{
    keepalive_missing(world);
    world_keep_as_before(world);
    world_send(world, 'a', 'c', 3000, false);
}

static void no_path(struct world *world)
{
    world_nat(world, 'b', "192.168.1.2", "198.51.100.7:40123", 25);
    world_nat(world, 'c', "192.168.7.2", "198.51.100.8:40124", 25);
    world_age(world, 'b', 'c', -1);
    world_row(world, 'b', 'c')->endpoint = world_row(world, 'c', 'b')->endpoint = (struct endpoint){0};
}

static void port_clash(struct world *world)
{
    world_nat(world, 'b', "192.168.1.2", "198.51.100.7:51820", 25);
    world_nat(world, 'c', "192.168.1.3", "198.51.100.7:51820", 25);
    world_row(world, 'b', 'c')->endpoint = world_saved(world, 'b', 'c')->endpoint = world_endpoint("192.168.1.3:51820");
    world_row(world, 'c', 'b')->endpoint = world_saved(world, 'c', 'b')->endpoint = world_endpoint("192.168.1.2:51820");
}

/* ---- broken: signatures of faults.md section 1 -------------------------------------------------------------------------- */

static void s1(struct world *world)
{
    world_age(world, 'a', 'b', 600);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, false);
}

static void s1_never_one_reading(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_row(world, 'a', 'b')->tx_bytes = 148 * 4;
}

static void s2(struct world *world)
{
    world_age(world, 'a', 'b', 600);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, true);
    world_send(world, 'b', 'a', 276, false);
}

static void s2_never_one_reading(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_send(world, 'a', 'b', 740, true);
    world_send(world, 'b', 'a', 460, false);
}

static void s3(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444, false);
    world_send(world, 'b', 'a', 444, false);
}

static void s4(struct world *world)
{
    world_age(world, 'a', 'b', 600);
    world_row(world, 'a', 'b')->keepalive = world_saved(world, 'a', 'b')->keepalive = 25;
    world_keep_as_before(world);
}

static void s6(struct world *world)
{
    world_row(world, 'a', 'b')->handshake = WORLD_NOW - 60 * CLOCK_SECOND;
    world_row(world, 'b', 'a')->handshake = WORLD_NOW - 300 * CLOCK_SECOND;
}

static void dead_one_reading(struct world *world)
{
    world_age(world, 'a', 'b', 600);
    world_row(world, 'a', 'b')->keepalive = world_saved(world, 'a', 'b')->keepalive = 25;
}

static void blocked_though_young(struct world *world)
{
    world_age(world, 'a', 'b', 40);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 1500, false);
    world_send(world, 'b', 'a', 1500, true);
}

/* Closed for what comes in: b itself still gets through to a, whose answers are lost. */
static void inbound_closed(struct world *world)
{
    for (char other = 'a'; other <= 'c'; other += 2)
        world_age(world, 'b', other, -1);
    world_keep_as_before(world);
    world_send(world, 'a', 'b', 444 + 276, false);
    world_send(world, 'c', 'b', 444, false);
    world_send(world, 'b', 'a', 444, true);
}

static void outbound_closed(struct world *world)
{
    for (char other = 'a'; other <= 'c'; other += 2)
        world_age(world, 'b', other, 600);
    world_keep_as_before(world);
    for (char other = 'a'; other <= 'c'; other += 2) {
        world_send(world, other, 'b', 444, true);
        world_send(world, 'b', other, 276, false);
    }
}

static void readings_too_close(struct world *world)
{
    s1(world);
    for (size_t i = 0; i < world->count; i++)
        world->before->nodes[i].at = WORLD_NOW - 3 * CLOCK_SECOND;
    world_row(world, 'a', 'b')->keepalive = world_saved(world, 'a', 'b')->keepalive = 25;
}

static void clock_behind(struct world *world)
{
    s1(world);
    world_node(world, 'a')->node_time -= 7200 * CLOCK_SECOND;
    world_node(world, 'a')->clock_offset = -7200 * CLOCK_SECOND;
}

/* The far end's clock was set back: it remembers a time that cannot be placed, and is the one to blame. */
static void clock_behind_at_b(struct world *world)
{
    world_age(world, 'a', 'b', 600);
    world_keep_as_before(world);
    world_send(world, 'b', 'a', 444, false);
    world_node(world, 'b')->node_time -= 7200 * CLOCK_SECOND;
    world_node(world, 'b')->clock_offset = -7200 * CLOCK_SECOND;
}

/* A clock that was always behind has sent stamps that are always behind: the link is dead for another reason. */
static void clock_always_behind(struct world *world)
{
    clock_behind(world);
    struct device *device = &world_node(world, 'a')->devices[0];
    for (size_t r = 0; r < device->peer_count; r++)
        device->peers[r].handshake -= 7200 * CLOCK_SECOND;
}

/* ---- broken: upkeep ------------------------------------------------------------------------------------------------ */

static void keepalive_drift(struct world *world)
{
    world_row(world, 'a', 'b')->keepalive = 17;
}

static void unsaved_row(struct world *world)
{
    world_remove(&world_config(world, 'a')->device, 'b');
}

static void endpoint_lost(struct world *world)
{
    world_age(world, 'a', 'b', -1);
    world_row(world, 'a', 'b')->endpoint = (struct endpoint){0};
}

static void clock_ahead(struct world *world)
{
    clock_corrected(world);
}

static void deck_clock_wrong(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        world->now->nodes[i].clock_offset = 900 * CLOCK_SECOND;
        world->now->nodes[i].node_time += 900 * CLOCK_SECOND;
        for (size_t r = 0; r < world->now->nodes[i].devices[0].peer_count; r++)
            world->now->nodes[i].devices[0].peers[r].handshake += 900 * CLOCK_SECOND;
    }
}

static void nothing_seen(struct world *world)
{
    for (char name = 'a'; name < 'a' + (char)world->count; name++)
        world_fail(world, name);
}

static const struct test_case cases[] = {
    {.name = "healthy", .make = nothing, .expected = "", .link = "a-b live ok ok"},
    {.name = "one node", .nodes = 1, .make = nothing, .expected = ""},
    {.name = "idle without keepalive", .make = idle, .expected = "", .link = "a-b idle unknown unknown"},
    {.name = "idle, one reading", .make = idle, .expected = "", .link = "a-b idle unknown unknown", .flags = ONE_READING},
    {.name = "fresh, never used", .make = fresh, .expected = "", .link = "a-b never unknown unknown"},
    {.name = "fresh, first try under way", .make = first_tries, .expected = "", .link = "a-b never unknown unknown", .flags = ONE_READING},
    {.name = "behind NAT", .make = nat_learned, .expected = "", .link = "a-c live ok ok"},
    {.name = "behind a NAT with a port forwarded", .make = nat_quiet_port_forward, .expected = "", .link = "a-c idle unknown unknown"},
    {.name = "roamed", .make = roamed, .expected = ""},
    {.name = "lossy", .make = lossy, .expected = "", .link = "a-b live ok ok"},
    {.name = "late confirmation", .make = late_confirmation, .expected = "", .link = "a-b live ok ok"},
    {.name = "handshake between the readings of both ends", .make = read_between, .expected = "", .link = "a-b live ok ok"},
    {.name = "hub", .nodes = 4, .make = hub, .expected = "", .link = "a-b live ok ok"},
    {.name = "default route through the hub", .nodes = 4, .make = default_route_at_hub, .expected = ""},
    {.name = "gateway", .make = gateway_network, .expected = ""},
    {.name = "different ports", .make = different_ports, .expected = ""},
    {.name = "only IPv6", .make = only_v6, .expected = ""},
    {.name = "SaveConfig", .make = save_config, .expected = ""},
    {.name = "endpoints by name", .make = host_names, .expected = ""},
    {.name = "no saved files", .make = no_saved, .expected = ""},
    {.name = "only some are named", .make = not_all_named, .expected = "", .link = "a-b live ok ok", .flags = HOSTS_ONLY},
    {.name = "another MTU, saved", .make = other_mtu_saved, .expected = ""},
    {.name = "all through one relay", .make = relay_for_all, .expected = "", .flags = FILE_ONLY},
    {.name = "counters begun anew", .make = counters_reset, .expected = "", .link = "a-b live ok ok"},
    {.name = "engine restarted, no traffic since", .make = engine_restarted_quietly, .expected = "", .link = "a-b half unknown ok"},
    {.name = "preshared keys", .make = psk_equal, .expected = ""},
    {.name = "preshared keys that were not hashed", .make = psk_not_hashed, .expected = ""},
    {.name = "Table = off", .make = table_off, .expected = ""},
    {.name = "the deck's clock is the wrong one", .make = deck_clock_wrong, .expected = ""},

    {.name = "unreachable, alive", .make = unreachable_but_alive, .expected = "host-unreachable b", .link = "a-b live unknown ok"},
    {.name = "unreachable, dead", .make = unreachable_and_dead, .expected = "host-unreachable b", .link = "a-b dead unknown unknown", .consequences = 2},
    {.name = "not allowed to read", .make = not_allowed_to_read, .expected = "host-unreachable b"},
    {.name = "nobody reached", .nodes = 2, .make = nothing_seen, .expected = "host-unreachable a, host-unreachable b"},
    {.name = "engine dead", .make = engine_dead, .expected = "engine-dead b", .link = "a-b dead blocked blocked", .consequences = 2},
    {.name = "interface gone", .make = interface_gone, .expected = "interface-down b", .consequences = 2},
    {.name = "interface down", .make = interface_down, .expected = "interface-down b", .consequences = 2},
    {.name = "no private key", .make = no_private_key, .expected = "no-private-key b", .consequences = 2},

    {.name = "peer missing", .make = peer_missing, .expected = "peer-missing b a", .link = "a-b dead blocked blocked", .direction = "a-b", .consequences = 1},
    {.name = "peer missing, saved too", .make = peer_missing_saved_too, .expected = "peer-missing b a"},
    {.name = "peer missing everywhere", .nodes = 4, .make = peer_missing_everywhere, .expected = "peer-missing b", .consequences = 3},
    {.name = "all rows lost", .nodes = 4, .make = all_rows_lost, .expected = "peer-missing b", .consequences = 3},
    {.name = "missing at both", .make = missing_both, .expected = "peers-missing-both a b", .link = "a-b never blocked blocked", .consequences = 1},
    {.name = "missing at both, saved too", .make = missing_both_saved_too, .expected = "peers-missing-both a b", .flags = FILE_ONLY},
    {.name = "wrong key", .make = wrong_key, .expected = "wrong-key a b", .link = "a-b dead blocked blocked", .consequences = 1},
    {.name = "wrong key, saved too", .make = wrong_key_saved_too, .expected = "wrong-key a b"},
    {.name = "key changed", .make = key_changed, .expected = "wrong-key b a", .consequences = 2},
    {.name = "key changed, saved too", .make = key_changed_saved_too, .expected = "wrong-key b a", .consequences = 2},
    {.name = "half rotated", .make = half_rotated, .expected = "key-half-rotated c b", .consequences = 1},
    {.name = "ghost", .make = ghost, .expected = "ghost-peer a", .flags = FILE_ONLY},
    {.name = "cloned", .make = cloned, .expected = "duplicate-key c b"},
    {.name = "preshared keys differ", .make = psk_differs, .expected = "psk-mismatch a b"},
    {.name = "preshared key at one end", .make = psk_at_one_end, .expected = "psk-mismatch a b"},
    {.name = "preshared keys by counters", .make = psk_by_counters, .expected = "psk-mismatch a b", .link = "a-b dead ok ok"},
    {.name = "key file readable", .make = exposed, .expected = "key-exposed b"},
    {.name = "key from the manual", .make = from_the_manual, .expected = "key-exposed b"},

    {.name = "duplicate address", .make = duplicate_address, .expected = "duplicate-address c b"},
    {.name = "address of another", .make = took_address, .expected = "duplicate-address c b"},
    {.name = "address changed", .make = address_changed, .expected = "address-drift b"},
    {.name = "address gone", .make = address_gone, .expected = "address-drift b"},
    {.name = "address gone, route with it", .make = address_gone_and_route, .expected = "address-drift b", .consequences = 1},
    {.name = "address changed, nothing saved", .make = address_changed_no_saved, .expected = "address-drift b"},
    {.name = "stolen", .make = stolen, .expected = "allowed-ips-stolen a b", .direction = "a-b"},
    {.name = "stolen, nothing saved", .make = stolen_no_saved, .expected = "allowed-ips-stolen a b"},
    {.name = "allowed IPs missing", .make = allowed_missing, .expected = "allowed-ips-missing a b"},
    {.name = "allowed IPs lost", .make = allowed_lost, .expected = "allowed-ips-missing a b"},
    {.name = "overlap", .make = overlap, .expected = "allowed-ips-overlap a c"},
    {.name = "too wide", .make = too_wide, .expected = "allowed-ips-too-wide a b"},
    {.name = "everything", .make = everything, .expected = "allowed-ips-too-wide a b"},

    {.name = "route missing", .make = route_missing, .expected = "route-missing b", .link = "a-b live ok blocked", .consequences = 2},
    {.name = "route nowhere", .make = route_nowhere, .expected = "route-missing b a", .link = "a-b live ok blocked", .direction = "b-a"},
    {.name = "route shadowed", .make = route_shadowed, .expected = "route-shadowed b a", .link = "a-b live ok blocked", .direction = "b-a"},
    {.name = "black hole", .make = route_black_hole, .expected = "route-shadowed b a"},
    {.name = "endpoint in tunnel", .make = in_tunnel, .expected = "endpoint-in-tunnel a b", .direction = "a-b"},
    {.name = "MTU too big", .make = mtu_too_big, .expected = "mtu-mismatch b"},
    {.name = "MTU of the path", .make = mtu_of_path, .expected = "mtu-mismatch b"},
    {.name = "MTU differs", .make = mtu_differs, .expected = "mtu-mismatch b"},

    {.name = "listen port", .make = port_drift, .expected = "listen-port-drift b", .link = "a-b dead blocked unknown", .consequences = 1},
    {.name = "endpoint unknown", .make = endpoint_unknown, .expected = "endpoint-unknown a b"},
    {.name = "endpoint stale", .make = endpoint_stale, .expected = "endpoint-stale a b", .link = "a-b never blocked unknown", .direction = "a-b", .consequences = 1},
    {.name = "endpoint stale, one reading", .make = endpoint_stale_one_reading, .expected = "endpoint-stale a b", .flags = ONE_READING},
    {.name = "endpoint port", .make = endpoint_port, .expected = "endpoint-port a b", .direction = "a-b", .consequences = 1},
    {.name = "keepalive missing", .make = keepalive_missing, .expected = "keepalive-missing c", .link = "a-c live ok ok"},
    {.name = "keepalive missing, dead", .make = keepalive_missing_dead, .expected = "keepalive-missing c", .link = "a-c half blocked unknown", .consequences = 1},
    {.name = "no path", .make = no_path, .expected = "no-path-nat b c", .link = "b-c never unknown unknown"},
    {.name = "port clash", .make = port_clash, .expected = "nat-port-clash b c"},

    {.name = "S1", .make = s1, .expected = "udp-blocked b a", .link = "a-b dead blocked unknown", .direction = "a-b", .consequences = 1},
    {.name = "S1, never, one reading", .make = s1_never_one_reading, .expected = "udp-blocked b a", .link = "a-b never blocked unknown", .flags = ONE_READING, .direction = "a-b", .consequences = 1},
    {.name = "S2", .make = s2, .expected = "udp-blocked-one-way a b", .link = "a-b dead ok blocked", .direction = "b-a", .consequences = 1},
    {.name = "S2, never, one reading", .make = s2_never_one_reading, .expected = "udp-blocked-one-way a b", .flags = ONE_READING, .direction = "b-a", .consequences = 1},
    {.name = "S3", .make = s3, .expected = "udp-blocked b a", .link = "a-b never blocked blocked", .consequences = 1},
    {.name = "S4", .make = s4, .expected = "udp-blocked a b", .link = "a-b dead unknown unknown", .consequences = 1},
    {.name = "S6", .make = s6, .expected = "udp-blocked-one-way b a", .link = "a-b half unknown ok", .flags = ONE_READING, .direction = "a-b"},
    {.name = "dead, one reading", .make = dead_one_reading, .expected = "udp-blocked a b", .link = "a-b dead unknown unknown", .flags = ONE_READING},
    {.name = "dead, readings too close", .make = readings_too_close, .expected = "udp-blocked a b", .link = "a-b dead unknown unknown"},
    {.name = "blocked while the session lives", .make = blocked_though_young, .expected = "udp-blocked-one-way b a", .link = "a-b half blocked ok", .direction = "a-b", .consequences = 1},
    {.name = "inbound closed", .make = inbound_closed, .expected = "udp-blocked b", .link = "a-b never blocked ok", .consequences = 2},
    {.name = "outbound closed", .make = outbound_closed, .expected = "udp-blocked-one-way b", .consequences = 2},
    {.name = "clock behind", .make = clock_behind, .expected = "clock-behind a b", .direction = "a-b", .consequences = 2},
    {.name = "clock behind at b", .make = clock_behind_at_b, .expected = "clock-behind b a", .direction = "b-a", .consequences = 2},
    {.name = "clock always behind", .make = clock_always_behind, .expected = "udp-blocked b a, clock-skew a", .direction = "a-b"},

    {.name = "keepalive drift", .make = keepalive_drift, .expected = "config-drift a"},
    {.name = "row not saved", .make = unsaved_row, .expected = "config-drift a"},
    {.name = "endpoint lost", .make = endpoint_lost, .expected = "config-drift a"},
    {.name = "clock ahead", .make = clock_ahead, .expected = "clock-skew b", .link = "a-b live ok ok"},
};

/* ---- running ------------------------------------------------------------------------------------------------------------ */

static void list_faults(const struct world *world, const struct diagnosis *diagnosis, struct buf *buf)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        if (fault->severity == SEVERITY_INFO)
            continue;
        buf_add_format(buf, "%s%s", buf->length ? ", " : "", fault->kind->id);
        for (int k = 0; k < 2; k++)
            if (fault->nodes[k] != SIZE_MAX)
                buf_add_format(buf, " %s", world->mesh->nodes[fault->nodes[k]].name);
    }
}

static void show(const struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        print_error("  [%s] %s: %s\n", severity_text(fault->severity), fault->kind->id, fault->summary);
        for (size_t k = 0; k < fault->evidence_count; k++)
            print_error("      %s\n", fault->evidence[k]);
        print_error("      mend: %s\n", fault->remedy);
        for (size_t k = 0; k < fault->consequence_count; k++)
            print_error("      => %s\n", fault->consequences[k]);
    }
}

static void check_words(const struct fault *fault)
{
    if (!fault->summary || !*fault->summary || !fault->remedy || !*fault->remedy || !fault->evidence_count)
        fail_msg("%s lacks words", fault->kind->id);
    assert_true(text_is_safe(fault->summary, strlen(fault->summary)));
    assert_true(text_is_safe(fault->remedy, strlen(fault->remedy)));
    for (size_t i = 0; i < fault->evidence_count; i++)
        assert_true(text_is_safe(fault->evidence[i], strlen(fault->evidence[i])));
}

static bool link_is(const struct world *world, const struct diagnosis *diagnosis, const char *wanted)
{
    struct buf seen = BUF_EMPTY;
    bool found = false;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        buf_clear(&seen);
        buf_add_format(&seen, "%s-%s %s %s %s", world->mesh->nodes[link->a].name, world->mesh->nodes[link->b].name, link_state_text(link->state),
                       direction_state_text(link->a_to_b), direction_state_text(link->b_to_a));
        found |= strcmp(buf_text(&seen), wanted) == 0;
        if (strncmp(buf_text(&seen), wanted, 4) == 0 && strcmp(buf_text(&seen), wanted) != 0)
            print_error("link: wanted \"%s\", got \"%s\"\n", wanted, buf_text(&seen));
    }
    buf_free(&seen);
    return found;
}

static bool run_once(const struct test_case *test, bool from_file)
{
    struct world world = world_new(test->nodes ? test->nodes : 3, from_file);
    struct buf got = BUF_EMPTY;
    test->make(&world);
    world_sort(&world);
    bool two = !(test->flags & ONE_READING) && world.before && world.before->nodes[0].reach == REACH_OK;
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, two ? world.before : NULL);
    list_faults(&world, diagnosis, &got);
    bool right = strcmp(buf_text(&got), test->expected) == 0 && (!test->link || link_is(&world, diagnosis, test->link));
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        check_words(&diagnosis->faults[i]);
    if (right && test->direction)
        right = diagnosis->faults[0].directed && diagnosis->faults[0].from == (size_t)(test->direction[0] - 'a') &&
                diagnosis->faults[0].to == (size_t)(test->direction[2] - 'a');
    if (right && diagnosis->fault_count)
        right = diagnosis->faults[0].consequence_count >= test->consequences;
    bool bad = *test->expected != '\0';
    if (right && diagnosis->verdict != VERDICT_UNKNOWN)
        right = bad ? diagnosis->verdict == VERDICT_WARNING || diagnosis->verdict == VERDICT_FAULT : diagnosis->verdict == VERDICT_OK;
    if (!right || getenv("SHOW")) {
        print_error("%s (%s): wanted \"%s\", got \"%s\", verdict %s\n", test->name, from_file ? "mesh file" : "hosts", test->expected, buf_text(&got),
                    verdict_text(diagnosis->verdict));
        show(diagnosis);
    }
    buf_free(&got);
    diagnosis_free(diagnosis);
    world_free(&world);
    return right;
}

static void test_case_of_table(void **state)
{
    const struct test_case *test = *state;
    bool right = true;
    if (!(test->flags & HOSTS_ONLY))
        right &= run_once(test, true);
    if (!(test->flags & FILE_ONLY))
        right &= run_once(test, false);
    assert_true(right);
}

/* ---- the table of kinds ---------------------------------------------------------------------------------------------------- */

static bool has_detector(const char *id)
{
    for (size_t i = 0; i < stage_node.count; i++)
        if (strcmp(stage_node.detectors[i].id, id) == 0)
            return true;
    for (size_t s = 0; s < stage_count; s++)
        for (size_t i = 0; i < stages[s]->count; i++)
            if (strcmp(stages[s]->detectors[i].id, id) == 0)
                return true;
    return false;
}

static void test_kinds_and_detectors(void **state)
{
    (void)state;
    assert_int_equal(fault_kind_count, 53);
    for (size_t i = 0; i < fault_kind_count; i++) {
        const struct fault_kind *kind = &fault_kinds[i];
        assert_true(kind == fault_kind_find(kind->id)); /* no id twice */
        assert_true(*kind->title && *kind->meaning && *kind->detection && *kind->remedy);
        if (has_detector(kind->id) != kind->detected)
            fail_msg("%s: the table and the detectors differ", kind->id);
    }
    assert_null(fault_kind_find("no-such-fault"));
}

/* Every fault that is detected is made by some case. */
static void test_kinds_are_made(void **state)
{
    (void)state;
    for (size_t i = 0; i < fault_kind_count; i++) {
        bool made = !fault_kinds[i].detected;
        for (size_t k = 0; k < COUNT_OF(cases); k++)
            made |= strncmp(cases[k].expected, fault_kinds[i].id, strlen(fault_kinds[i].id)) == 0;
        if (!made)
            fail_msg("%s: no case makes it", fault_kinds[i].id);
    }
}

static void test_unknown_when_nothing_was_seen(void **state)
{
    (void)state;
    struct world world = world_new(2, true);
    nothing_seen(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
    assert_int_equal(diagnosis->verdict, VERDICT_UNKNOWN);
    assert_int_equal(diagnosis->link_count, 1);
    assert_int_equal(diagnosis->links[0].state, LINK_UNKNOWN);
    assert_int_equal(diagnosis->nodes[0].state, NODE_UNREACHABLE);
    diagnosis_free(diagnosis);
    diagnosis = diagnose(world.mesh, NULL, NULL);
    assert_int_equal(diagnosis->verdict, VERDICT_UNKNOWN);
    diagnosis_free(diagnosis);
    world_free(&world);
}

/* A hostile node's texts come out harmless, and quoted where a shell would read them. */
static void test_hostile_names(void **state)
{
    (void)state;
    struct world world = world_new(2, false);
    const char *name = "w g;$(x)";
    for (unsigned i = 0; i < 2; i++) {
        snprintf(world.now->nodes[i].devices[0].name, IFNAMSIZ, "%s", name);
        snprintf(world.now->nodes[i].links[1].name, IFNAMSIZ, "%s", name);
        snprintf(world.now->nodes[i].configs[0].device.name, IFNAMSIZ, "%s", name);
    }
    world_device(&world, 'a')->peers[0].keepalive = 9;
    world_device(&world, 'a')->listen_port = 7;
    world_node(&world, 'b')->links[1].mtu = 1500;
    world_sort(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
    assert_true(diagnosis->fault_count >= 3);
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const char *at = strstr(diagnosis->faults[i].remedy, name);
        check_words(&diagnosis->faults[i]);
        if (at)
            assert_true(at > diagnosis->faults[i].remedy && at[-1] == '\'');
    }
    diagnosis_free(diagnosis);
    world_free(&world);
}

static void test_json(void **state)
{
    (void)state;
    struct world world = world_new(3, true);
    peer_missing(&world);
    world_sort(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    diagnosis_to_json(world.mesh, world.now, diagnosis, &json);
    struct err err;
    cJSON *root = json_parse(buf_text(&buf), buf.length, &err);
    if (!root)
        fail_msg("%s", err.text);
    assert_int_equal(json_get_number(root, "schema", 0, 100, -1), 1);
    assert_string_equal(json_get_text(root, "verdict", ""), "fault");
    assert_string_equal(json_get_text(root, "at", ""), "2027-01-15T08:00:00Z");
    const cJSON *node = cJSON_GetArrayItem(json_get_list(root, "nodes"), 1);
    assert_string_equal(json_get_text(node, "state", ""), "degraded");
    assert_int_equal(json_get_number(node, "peers", 0, 100, -1), 1);
    assert_int_equal(json_get_number(node, "live", 0, 100, -1), 1);
    const cJSON *link = cJSON_GetArrayItem(json_get_list(root, "links"), 0);
    assert_string_equal(json_get_text(link, "state", ""), "dead");
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(link, "b_endpoint_of_a")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(link, "rtt_ms")));
    const cJSON *fault = cJSON_GetArrayItem(json_get_list(root, "faults"), 0);
    static const char *const keys[] = {"id", "severity", "nodes", "direction", "summary", "evidence", "remedy", "fix", "since", "consequences"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_non_null(cJSON_GetObjectItemCaseSensitive(fault, keys[i]));
    assert_int_equal(cJSON_GetArraySize(fault), COUNT_OF(keys));
    assert_string_equal(json_get_text(fault, "id", ""), "peer-missing");
    assert_string_equal(json_get_text(fault, "direction", ""), "a\xe2\x86\x92" "b");
    assert_string_equal(json_get_text(fault, "summary", ""), "b has no row for a: a's packets to b are dropped");
    cJSON_Delete(root);
    buf_free(&buf);
    diagnosis_free(diagnosis);
    world_free(&world);
}

/* A dead link in use looks idle in one reading without keepalive: noted, and no alarm; with two readings it is named. */
static void test_doubtful_quiet(void **state)
{
    (void)state;
    struct world world = world_new(3, true);
    s1(&world);
    world_row(&world, 'a', 'b')->tx_bytes += 200000;
    world_sort(&world);
    for (int two = 0; two < 2; two++) {
        struct diagnosis *diagnosis = diagnose(world.mesh, world.now, two ? world.before : NULL);
        assert_int_equal(diagnosis->fault_count, 1);
        assert_string_equal(diagnosis->faults[0].kind->id, "udp-blocked");
        assert_int_equal(diagnosis->faults[0].severity, two ? SEVERITY_ERROR : SEVERITY_INFO);
        assert_int_equal(diagnosis->verdict, two ? VERDICT_FAULT : VERDICT_OK);
        assert_int_equal(diagnosis->links[0].state, two ? LINK_DEAD : LINK_IDLE);
        diagnosis_free(diagnosis);
    }
    world_free(&world);
}

static void test_folded_words(void **state)
{
    (void)state;
    struct world world = world_new(4, true);
    all_rows_lost(&world);
    world_sort(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
    assert_int_equal(diagnosis->fault_count, 1);
    assert_string_equal(diagnosis->faults[0].summary, "b has no row for a: a's packets to b are dropped; the same for c, d");
    assert_string_equal(diagnosis->faults[0].consequences[2], "link b-d is dead");
    diagnosis_free(diagnosis);
    world_free(&world);
}

/* Whatever nodes say, in whatever combination, the judgement ends, and its words are safe: rows of the world with parts of random ones. */
static void test_random(void **state)
{
    (void)state;
    struct chance chance = {.state = 2};
    for (int round = 0; round < 1500; round++) {
        struct world world = world_new(1 + chance_below(&chance, 5), chance_below(&chance, 2));
        world_sort(&world);
        world_keep_as_before(&world);
        for (size_t i = 0; i < world.count; i++) {
            struct observation *seen = &world.now->nodes[i];
            if (chance_below(&chance, 3) == 0) {
                observation_clear(seen);
                chance_observation(&chance, seen);
                seen->reach = (enum observed_reach)chance_below(&chance, 4);
                for (size_t d = 0; d < seen->device_count; d++)
                    if (chance_below(&chance, 2))
                        snprintf(seen->devices[d].name, IFNAMSIZ, "wg0");
            }
            for (size_t r = 0; seen->device_count && r < seen->devices[0].peer_count; r++) {
                struct device_peer *row = &seen->devices[0].peers[r];
                if (chance_below(&chance, 3) == 0)
                    row->public_key = world_key((unsigned)chance_below(&chance, world.count + 1));
                if (chance_below(&chance, 3) == 0) {
                    free(row->allowed);
                    row->allowed = chance_prefixes(&chance, &row->allowed_count);
                }
                if (chance_below(&chance, 3) == 0)
                    row->handshake = chance_signed(&chance);
                if (chance_below(&chance, 3) == 0)
                    row->tx_bytes = chance_number(&chance);
            }
            if (chance_below(&chance, 4) == 0)
                seen->node_time = chance_signed(&chance);
            if (chance_below(&chance, 4) == 0)
                seen->at = chance_signed(&chance);
            if (chance_below(&chance, 4) == 0)
                seen->clock_offset = chance_signed(&chance);
            observation_sort(seen);
        }
        struct diagnosis *diagnosis = diagnose(world.mesh, world.now, chance_below(&chance, 2) ? world.before : NULL);
        for (size_t i = 0; i < diagnosis->fault_count; i++) {
            check_words(&diagnosis->faults[i]);
            assert_true(diagnosis->faults[i].nodes[0] < world.count);
        }
        struct buf buf = BUF_EMPTY;
        struct json json = json_begin(&buf);
        diagnosis_to_json(world.mesh, world.now, diagnosis, &json);
        cJSON *root = json_parse(buf_text(&buf), buf.length, NULL);
        assert_non_null(root);
        cJSON_Delete(root);
        buf_free(&buf);
        diagnosis_free(diagnosis);
        world_free(&world);
    }
}

/* A changed host key and a machine that is switched off are not mended in the same way. */
static void test_remedy_fits_the_failure(void **state)
{
    (void)state;
    static const struct {
        enum observed_failure failure;
        const char *ssh, *wanted;
    } reasons[] = {
        {FAILED_OTHERWISE, "root@b", "ssh -v root@b"},
        {FAILED_OTHERWISE, "root@b:2222", "ssh -v ssh://root@b:2222"},
        {FAILED_OTHERWISE, "root@[fd00::2]:22", "ssh -v ssh://root@[fd00::2]:22"},
        {FAILED_UNRESOLVED, "root@b", "mend the name"},
        {FAILED_REFUSED, "root@b", "no sshd listens there"},
        {FAILED_TIMED_OUT, "root@b", "whether b runs"},
        {FAILED_NETWORK, "root@b", "nothing leads there"},
        {FAILED_HOST_KEY_UNKNOWN, "root@b", "only if they are the same, accept it"},
        {FAILED_HOST_KEY_CHANGED, "root@b", "do not log in there"},
        {FAILED_HOST_KEY_REVOKED, "root@b", "marked as revoked"},
        {FAILED_LOGIN, "root@b", "authorized_keys"},
        {FAILED_SETTINGS, "root@b", "ssh -G root@b"},
        {FAILED_SETTINGS, NULL, "give b its Ssh"},
        {FAILED_AFTER_LOGIN, "root@b", "the login works"},
    };
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        struct world world = world_new(3, true);
        world_fail(&world, 'b');
        world_node(&world, 'b')->failure = reasons[i].failure;
        free(world.mesh->nodes[1].ssh);
        world.mesh->nodes[1].ssh = reasons[i].ssh ? mem_text(reasons[i].ssh) : NULL;
        struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
        const char *remedy = diagnosis->faults[0].remedy;
        if (!strstr(remedy, reasons[i].wanted) || !strstr(remedy, "keep its rows"))
            fail_msg("case %zu: wanted \"%s\" in: %s", i, reasons[i].wanted, remedy);
        diagnosis_free(diagnosis);
        world_free(&world);
    }
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_kinds_and_detectors), cmocka_unit_test(test_kinds_are_made), cmocka_unit_test(test_unknown_when_nothing_was_seen),
        cmocka_unit_test(test_hostile_names),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_folded_words), cmocka_unit_test(test_remedy_fits_the_failure),
        cmocka_unit_test(test_doubtful_quiet),
        cmocka_unit_test(test_random),
    };
    struct CMUnitTest all[COUNT_OF(others) + COUNT_OF(cases)];
    memcpy(all, others, sizeof others);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct test_case *one = mem_alloc(1, sizeof *one);
        *one = cases[i];
        all[COUNT_OF(others) + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = test_case_of_table, .initial_state = one};
    }
    int status = _cmocka_run_group_tests("diagnosis", all, COUNT_OF(all), NULL, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        free(all[COUNT_OF(others) + i].initial_state);
    return status;
}
