/* The plan: empty when all is as asked; what it does brings any damaged mesh there; golden plans in tests/golden/plan (UPDATE=1 writes them anew: look at each). */
#include "unit.h"

#include <errno.h>
#include <time.h>

#include "plan_world.h"

/* --- random meshes */

static uint32_t seed;

static unsigned pick(unsigned count)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % count;
}

static void add_key_line(struct buf *text, const char *name, unsigned number)
{
    char line[KEY_TEXT_SIZE];
    struct key key = world_key(number);
    key_text(&key, line);
    buf_add_format(text, "%s = %s\n", name, line);
}

enum { REMOVED_KEY = 200, FORMER_KEY = 210, STRANGER_KEY = 230 };

struct shape {
    unsigned nodes, topology, groups;
    bool six, preshared, keys, removed, relay; /* relay: the last node has joined by it */
    int keepalive; /* 0 auto, -1 off */
};

static void add_random_node(struct buf *text, const struct shape *shape, unsigned i)
{
    char address[ADDRESS_TEXT_SIZE], name[] = {(char)('a' + i), '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '\0'};
    struct address public = world_public(i);
    address_text(&public, address);
    bool joined = shape->relay && i + 1 == shape->nodes, six = shape->six && !joined;
    buf_add_format(text, "[Node %c]\nAddress = 10.44.0.%u%s", 'a' + (int)i, joined ? 193 : i + 1, six ? "" : "\n");
    if (six)
        buf_add_format(text, ", fd44::%x\n", i + 1);
    if (pick(12))
        buf_add_format(text, "Ssh = root@%s\n", address);
    bool is_hub = shape->topology == 1 && i == 0, is_gateway = shape->topology == 2 && i < shape->groups;
    if (is_hub || is_gateway || pick(4))
        buf_add_format(text, "Endpoint = %s:51820\n", pick(5) ? address : name);
    if (is_hub)
        buf_add_text(text, "Role = hub\n");
    if (is_gateway)
        buf_add_text(text, "Role = gateway\n");
    if (shape->relay && !is_hub && !is_gateway && i + 2 == shape->nodes)
        buf_add_text(text, "Role = relay\n");
    if (shape->topology == 2)
        buf_add_format(text, "Group = g%u\n", i % shape->groups);
    if (!pick(4))
        buf_add_format(text, "AllowedIPs = 192.168.%u.0/24\n", i);
    if (!pick(6))
        buf_add_text(text, "MTU = 1380\n");
    if (!pick(6))
        buf_add_format(text, "ListenPort = %u\n", 51900 + i);
    if (shape->keys)
        add_key_line(text, "PublicKey", i);
    if (!pick(5))
        add_key_line(text, "FormerKey", FORMER_KEY + i);
}

static char *random_mesh(struct shape *shape)
{
    static const char *const topologies[] = {"full", "hub", "groups"};
    struct buf text = BUF_EMPTY;
    *shape = (struct shape){.nodes = 2 + pick(7), .topology = pick(3), .groups = 2, .six = pick(2), .preshared = pick(2), .keys = pick(2), .removed = pick(2), .keepalive = (int)pick(3) - 1, .relay = !pick(3)};
    if (shape->nodes < 4 && shape->topology == 2)
        shape->topology = 0;
    buf_add_format(&text, "[Mesh]\nName = test\nNetwork = 10.44.0.0/24%s\nTopology = %s\nPresharedKeys = %s\nPersistentKeepalive = %s\n", shape->six ? ", fd44::/64" : "",
                   topologies[shape->topology], shape->preshared ? "yes" : "no", shape->keepalive < 0 ? "off" : shape->keepalive ? "21" : "auto");
    if (shape->relay)
        buf_add_text(&text, "RelayNetwork = 10.44.0.192/26\n");
    for (unsigned i = 0; i < shape->nodes; i++)
        add_random_node(&text, shape, i);
    if (shape->removed) {
        buf_add_text(&text, "[Removed gone]\nAddress = 10.44.0.200\nDate = 2026-11-20\n");
        add_key_line(&text, "PublicKey", REMOVED_KEY);
    }
    return buf_take(&text);
}

/* --- random damage */

struct hands {
    struct plan_world *world;
    size_t node;
    struct observation *seen;
    struct device *device;
    struct observed_config *config;
    struct observed_link *link;
};

static struct device_peer *some_row(struct device *device)
{
    return device && device->peer_count ? &device->peers[pick((unsigned)device->peer_count)] : NULL;
}

static void add_stray(struct device *device, struct observed_config *config, unsigned key, const char *allowed)
{
    struct key stray = world_key(key);
    struct device_peer *row = plan_simulate_make(config, device, &stray);
    world_allow(row, allowed);
    row->handshake = config ? 0 : WORLD_NOW - 5 * CLOCK_SECOND;
}

static void drop_running(struct hands *hands)
{
    struct device_peer *row = some_row(hands->device);
    if (row)
        plan_world_drop_row(NULL, hands->device, row);
}

static void drop_saved(struct hands *hands)
{
    struct device_peer *row = hands->config ? some_row(&hands->config->device) : NULL;
    if (row)
        plan_world_drop_row(hands->config, &hands->config->device, row);
}

static void change_allowed(struct hands *hands)
{
    struct device_peer *row = some_row(pick(2) && hands->config ? &hands->config->device : hands->device);
    if (row)
        world_allow(row, pick(2) ? "10.44.0.77" : "");
}

static void change_endpoint(struct hands *hands)
{
    struct device_peer *row = some_row(pick(2) && hands->config ? &hands->config->device : hands->device);
    if (!row)
        return;
    row->endpoint = world_endpoint(pick(3) ? "198.51.100.7:4000" : "");
    if (pick(2) && row->handshake)
        row->handshake -= 1000 * CLOCK_SECOND;
}

static void change_keepalive(struct hands *hands)
{
    struct device_peer *row = some_row(pick(2) && hands->config ? &hands->config->device : hands->device);
    if (row)
        row->keepalive = (uint16_t)(pick(2) ? 0 : 7);
}

static void change_preshared(struct hands *hands)
{
    struct device_peer *row = some_row(pick(2) && hands->config ? &hands->config->device : hands->device);
    if (!row)
        return;
    row->has_preshared = pick(2);
    memset(row->preshared_hash, row->has_preshared ? 200 : 0, KEY_HASH_SIZE);
}

static void add_removed(struct hands *hands)
{
    unsigned key = pick(2) ? REMOVED_KEY : FORMER_KEY + pick(4);
    if (hands->device && pick(3))
        add_stray(hands->device, NULL, key, "10.44.0.200/32");
    if (hands->config && pick(3))
        add_stray(&hands->config->device, hands->config, key, "10.44.0.200/32");
}

static void add_stranger(struct hands *hands)
{
    if (hands->device)
        add_stray(hands->device, NULL, STRANGER_KEY, "10.99.0.1/32");
}

static void lose_config(struct hands *hands)
{
    struct plan_simulated simulated = {hands->world, hands->seen, hands->node, hands->world->desired->nodes[hands->node].interface};
    if (hands->config && hands->device)
        plan_simulate_saved(&simulated, &(struct plan_operation){.kind = PLAN_INTERFACE_REMOVE}, 0);
}

static void go_down(struct hands *hands)
{
    struct plan_simulated simulated = {hands->world, hands->seen, hands->node, hands->world->desired->nodes[hands->node].interface};
    if (hands->device && hands->config)
        plan_simulate_running(&simulated, &(struct plan_operation){.kind = PLAN_INTERFACE_REMOVE}, 0);
}

static void link_down(struct hands *hands)
{
    struct observed_link *link = hands->link;
    if (!link)
        return;
    link->up = false;
    while (link->address_count && link->addresses[link->address_count - 1].address.family == AF_INET6)
        link->address_count--;
    for (size_t i = 0; i < hands->seen->table_route_count; i++)
        if (!strcmp(hands->seen->table_routes[i].device, link->name))
            hands->seen->table_routes[i--] = hands->seen->table_routes[--hands->seen->table_route_count];
}

static void go_bare(struct hands *hands)
{
    plan_world_bare(hands->seen, (unsigned)hands->node);
}

static void change_port(struct hands *hands)
{
    if (pick(2) && hands->config)
        hands->config->device.listen_port = 0;
    else if (hands->device)
        hands->device->listen_port = 40000;
}

static void change_mtu(struct hands *hands)
{
    if (hands->link)
        hands->link->mtu = 1280;
    if (hands->config && pick(2))
        hands->config->mtu = 0;
}

static void drop_address(struct hands *hands)
{
    if (hands->link && hands->link->address_count && pick(2)) {
        struct prefix address = hands->link->addresses[hands->link->address_count - 1];
        hands->link->address_count--;
        plan_simulate_table(hands->seen, &address, hands->link->name, false);
    }
    if (hands->config && hands->config->address_count && pick(2))
        hands->config->address_count--;
}

static void add_address(struct hands *hands)
{
    struct prefix extra = world_prefix("10.44.0.99/32");
    if (hands->link && pick(2))
        plan_simulate_address(&hands->link->addresses, &hands->link->address_count, &extra, true);
    if (hands->config && pick(2))
        plan_simulate_address(&hands->config->addresses, &hands->config->address_count, &extra, true);
}

static void drop_routes(struct hands *hands)
{
    for (size_t i = 0; hands->link && i < hands->seen->table_route_count; i++)
        if (!strcmp(hands->seen->table_routes[i].device, hands->link->name) && pick(2))
            hands->seen->table_routes[i--] = hands->seen->table_routes[--hands->seen->table_route_count];
}

static void stop_forwarding(struct hands *hands)
{
    hands->seen->forwarding4 = hands->seen->forwarding6 = 0;
}

static void forget_boot(struct hands *hands)
{
    if (hands->config) {
        free(hands->config->boot);
        hands->config->boot = pick(2) ? mem_text("") : NULL;
    }
}

static void (*const damages[])(struct hands *hands) = {
    drop_running, drop_saved, change_allowed, change_endpoint, change_keepalive, change_preshared, add_removed, add_stranger, lose_config, go_down,
    go_bare, change_port, change_mtu, drop_address, add_address, drop_routes, stop_forwarding, forget_boot, link_down,
};

static void damage(struct plan_world *world)
{
    for (unsigned count = 1 + pick(8); count; count--) {
        struct hands hands = {.world = world, .node = pick((unsigned)world->mesh->node_count)};
        const char *interface = world->desired->nodes[hands.node].interface;
        hands.seen = &world->seen->nodes[hands.node];
        if (!world->mesh->nodes[hands.node].ssh)
            continue;
        hands.device = plan_world_running(hands.seen, interface);
        hands.config = plan_world_saved(hands.seen, interface);
        hands.link = plan_world_link(hands.seen, interface);
        damages[pick(COUNT_OF(damages))](&hands);
        plan_simulate_routes(hands.seen, interface);
        observation_sort(hands.seen);
    }
}

static void hide_some(struct plan_world *world, struct observation *hidden)
{
    for (size_t i = 0; i < world->mesh->node_count; i++) {
        hidden[i] = (struct observation){0};
        if (!world->mesh->nodes[i].ssh || !pick(6)) {
            hidden[i] = world->seen->nodes[i];
            world->seen->nodes[i] = (struct observation){.reach = REACH_FAILED, .error = mem_text("connect: timed out")};
        }
    }
}

/* --- what must be true afterwards, by another way than the plan's */

static void show(const struct plan *plan)
{
    struct buf text = BUF_EMPTY;
    plan_to_text(plan, false, &text);
    print_error("%s\n", buf_text(&text));
    buf_free(&text);
}

static bool row_is_right(const struct device_peer *row, const struct desired_row *wanted)
{
    return row && row->allowed_count == wanted->allowed_count && (!wanted->allowed_count || !memcmp(row->allowed, wanted->allowed, wanted->allowed_count * sizeof *row->allowed)) &&
           (row->keepalive == wanted->keepalive || (!wanted->keepalive && !wanted->keepalive_exact));
}

static void check_node(struct plan_world *world, const struct plan *plan, size_t node, unsigned round)
{
    const struct desired_node *desired = &world->desired->nodes[node];
    struct device *device = plan_world_running(&world->seen->nodes[node], desired->interface);
    struct observed_config *config = plan_world_saved(&world->seen->nodes[node], desired->interface);
    CASE_ASSERT(round, device && config && device->listen_port == desired->listen_port && config->device.listen_port == desired->listen_port);
    for (size_t r = 0; r < desired->row_count; r++) {
        const struct plan_node *other = &plan->nodes[desired->rows[r].peer];
        if (!other->has_key)
            continue;
        const struct device_peer *running = plan_world_row(device, &other->public_key), *saved = plan_world_row(&config->device, &other->public_key);
        CASE_ASSERT(round, row_is_right(running, &desired->rows[r]) && row_is_right(saved, &desired->rows[r]));
        if (other->state != PLAN_READY)
            continue;
        CASE_ASSERT(round, running->has_preshared == saved->has_preshared && !memcmp(running->preshared_hash, saved->preshared_hash, KEY_HASH_SIZE));
        const struct device_peer *back = plan_world_row(plan_world_running(&world->seen->nodes[desired->rows[r].peer], world->desired->nodes[desired->rows[r].peer].interface),
                                                        &plan->nodes[node].public_key);
        CASE_ASSERT(round, back && back->has_preshared == running->has_preshared && (running->has_preshared || !desired->rows[r].preshared));
        CASE_ASSERT(round, !memcmp(back->preshared_hash, running->preshared_hash, KEY_HASH_SIZE));
    }
    for (unsigned k = REMOVED_KEY; k < STRANGER_KEY; k++) {
        struct key gone = world_key(k);
        bool is_named = k == REMOVED_KEY && world->mesh->removed_count;
        CASE_ASSERT(round, !is_named || (!plan_world_row(device, &gone) && !plan_world_row(&config->device, &gone)));
    }
    for (size_t i = 0; i < desired->address_count; i++) {
        bool there = false;
        const struct observed_link *link = plan_world_link(&world->seen->nodes[node], desired->interface);
        for (size_t k = 0; k < link->address_count; k++)
            there |= !address_compare(&link->addresses[k].address, &desired->addresses[i].address);
        CASE_ASSERT(round, there);
    }
}

static void check_order(const struct plan *plan, unsigned round)
{
    for (size_t i = 0; i < plan->node_count; i++)
        for (size_t o = 1; o < plan->nodes[i].count; o++) {
            enum plan_kind before = plan->nodes[i].operations[o - 1].kind, kind = plan->nodes[i].operations[o].kind;
            CASE_ASSERT(round, !plan_kinds[before].subtractive || plan_kinds[kind].subtractive || kind == PLAN_FILE || kind == PLAN_SERVICE);
        }
}

/* Sessions of rows whose endpoint is live, and rows of strangers: as they were. */
static bool is_of_made(const struct plan *plan, const struct key *key)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].make_key && !key_compare(&plan->nodes[i].public_key, key))
            return true;
    return false;
}

static void check_kept(struct plan_world *world, const struct plan *plan, const struct observed *before, unsigned round)
{
    for (size_t i = 0; i < before->node_count; i++)
        for (size_t d = 0; d < before->nodes[i].device_count; d++)
            for (size_t p = 0; p < before->nodes[i].devices[d].peer_count; p++) {
                const struct device_peer *was = &before->nodes[i].devices[d].peers[p];
                const struct device_peer *now = plan_world_row(plan_world_running(&world->seen->nodes[i], before->nodes[i].devices[d].name), &was->public_key);
                struct key stranger = world_key(STRANGER_KEY);
                if (!key_compare(&was->public_key, &stranger))
                    CASE_ASSERT(round, now && now->allowed_count == was->allowed_count);
                if (now && !is_of_made(plan, &now->public_key) && was->endpoint.address.family && was->handshake > WORLD_NOW - 180 * CLOCK_SECOND)
                    CASE_ASSERT(round, endpoint_equal(&now->endpoint, &was->endpoint));
            }
}

static void one_round(unsigned round)
{
    struct shape shape;
    seed = round * 7919 + 1;
    char *text = random_mesh(&shape);
    struct plan_world world = plan_world_new(text);
    struct observation *hidden = mem_alloc(world.mesh->node_count, sizeof *hidden);
    plan_world_set_up(&world);
    world.new_keys = pick(2);
    damage(&world);
    hide_some(&world, hidden);
    struct observed *before = observed_new(world.mesh->node_count);
    for (size_t i = 0; i < world.mesh->node_count; i++)
        observation_copy(&before->nodes[i], &world.seen->nodes[i]);
    struct plan *plan = plan_world_plan(&world);
    check_order(plan, round);
    plan_simulate(&world, plan);
    check_kept(&world, plan, before, round);
    struct plan *again = plan_world_plan(&world);
    if (getenv("SHOW") || !plan_is_empty(again)) {
        print_error("%s\nfirst:\n", text);
        show(plan);
        print_error("second:\n");
        show(again);
    }
    CASE_ASSERT(round, plan_is_empty(again));
    for (size_t i = 0; i < world.mesh->node_count; i++)
        if (again->nodes[i].state == PLAN_READY)
            check_node(&world, again, i, round);
    for (size_t i = 0; i < world.mesh->node_count; i++)
        observation_clear(&hidden[i]);
    free(hidden);
    observed_free(before);
    plan_free(plan);
    plan_free(again);
    plan_world_free(&world);
    free(text);
}

static void test_random(void **state)
{
    (void)state;
    const char *only = getenv("ROUND");
    unsigned from = only ? (unsigned)atoi(only) : 0, to = only ? from + 1 : 6000;
    for (unsigned round = from; round < to; round++)
        one_round(round);
}

/* --- golden plans */

static const char full3[] = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24, fd44::/64\n"
                            "[Node a]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1, fd44::1\nEndpoint = 203.0.113.11:51820\n"
                            "[Node b]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2, fd44::2\nEndpoint = b.example:51820\n"
                            "[Node c]\nSsh = root@203.0.113.13\nAddress = 10.44.0.3, fd44::3\n";
static const char preshared3[] = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\nPresharedKeys = yes\n"
                                 "[Node a]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\n"
                                 "[Node b]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2\nEndpoint = 203.0.113.12:51820\n"
                                 "[Node c]\nSsh = root@203.0.113.13\nAddress = 10.44.0.3\nEndpoint = 203.0.113.13:51820\n";
static const char hub4[] = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\nTopology = hub\n"
                           "[Node hub]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\nRole = hub\n"
                           "[Node office]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2\nAllowedIPs = 192.168.10.0/24\n"
                           "[Node laptop]\nAddress = 10.44.0.3\nPublicKey = CBMeKTQ/SlVga3aBjJeirbjDztnk7/oFEBsmMTxHANU=\n"
                           "[Node web]\nSsh = root@203.0.113.14\nAddress = 10.44.0.4\nEndpoint = 203.0.113.14:51820\nMTU = 1380\nEngine = embedded\n";
static const char groups4[] = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\nTopology = groups\nPersistentKeepalive = 25\n"
                              "[Node a1]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\nGroup = a\nRole = gateway\n"
                              "[Node a2]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2\nGroup = a\n"
                              "[Node b1]\nSsh = root@203.0.113.13\nAddress = 10.44.0.3\nEndpoint = 203.0.113.13:51820\nGroup = b\nRole = gateway\n"
                              "[Node b2]\nSsh = root@203.0.113.14\nAddress = 10.44.0.4\nGroup = b\nAllowedIPs = 192.168.7.0/24\n";

static struct device *device_of(struct plan_world *world, size_t node)
{
    return plan_world_running(&world->seen->nodes[node], "wg0");
}

static struct device_peer *row(struct plan_world *world, unsigned node, unsigned peer)
{
    struct key key = world_key(peer);
    return plan_world_row(device_of(world, node), &key);
}

static void hands_none(struct plan_world *world) { (void)world; }

static void hands_match(struct plan_world *world)
{
    plan_world_set_up(world);
}

/* D is new; the others run as three. */
static void hands_add(struct plan_world *world)
{
    struct buf text = BUF_EMPTY;
    plan_world_set_up(world);
    conf_write(world->conf, &text);
    buf_add_text(&text, "[Node d]\nSsh = root@203.0.113.14\nAddress = 10.44.0.4\nEndpoint = 203.0.113.14:51820\n");
    struct observed *more = observed_new(4);
    for (size_t i = 0; i < 3; i++) {
        more->nodes[i] = world->seen->nodes[i];
        world->seen->nodes[i] = (struct observation){0};
    }
    observed_free(world->seen);
    world->seen = more;
    plan_world_bare(&more->nodes[3], 3);
    plan_world_read(world, buf_text(&text));
    for (unsigned i = 0; i < 3; i++) {
        world->mesh->nodes[i].has_public_key = true;
        world->mesh->nodes[i].public_key = world_key(i);
    }
    buf_free(&text);
}

static void hands_drift(struct plan_world *world)
{
    plan_world_set_up(world);
    struct observation *a = &world->seen->nodes[0], *b = &world->seen->nodes[1], *c = &world->seen->nodes[2];
    world_allow(row(world, 0, 1), "10.44.0.2/32");
    row(world, 0, 2)->keepalive = 5; /* more than is asked for: left alone */
    device_of(world, 1)->listen_port = 4711;
    plan_world_drop_row(NULL, device_of(world, 1), row(world, 1, 2));
    struct key key = world_key(0);
    plan_world_drop_row(plan_world_saved(b, "wg0"), &plan_world_saved(b, "wg0")->device, plan_world_row(&plan_world_saved(b, "wg0")->device, &key));
    plan_world_link(c, "wg0")->address_count--;
    struct prefix six = world_prefix("fd44::/64");
    plan_simulate_table(c, &six, "wg0", false);
    free(plan_world_saved(a, "wg0")->boot);
    plan_world_saved(a, "wg0")->boot = mem_text("");
    plan_world_saved(a, "wg0")->save_config = true;
    row(world, 2, 0)->keepalive = 0;
    for (size_t i = 0; i < 3; i++)
        plan_simulate_routes(&world->seen->nodes[i], "wg0");
}

/* A's row of B is live elsewhere, B's of A not any more, and C's file has an old one. */
static void hands_roaming(struct plan_world *world)
{
    plan_world_set_up(world);
    struct device *saved = &plan_world_saved(&world->seen->nodes[2], "wg0")->device;
    struct key key = world_key(0);
    row(world, 0, 1)->endpoint = world_endpoint("198.51.100.1:999");
    row(world, 1, 0)->endpoint = world_endpoint("198.51.100.2:999");
    row(world, 1, 0)->handshake = WORLD_NOW - 181 * CLOCK_SECOND;
    row(world, 2, 0)->endpoint = world_endpoint("198.51.100.3:999");
    plan_world_row(saved, &key)->endpoint = world_endpoint("198.51.100.3:999");
}

static void hands_removed(struct plan_world *world)
{
    struct buf text = BUF_EMPTY;
    struct prefix old = world_prefix("10.44.0.9/32");
    plan_world_set_up(world);
    conf_write(world->conf, &text);
    add_key_line(&text, "FormerKey", FORMER_KEY);
    buf_add_text(&text, "[Removed db]\nAddress = 10.44.0.9\nDate = 2026-11-20\n");
    add_key_line(&text, "PublicKey", REMOVED_KEY);
    plan_world_read(world, buf_text(&text));
    buf_free(&text);
    for (size_t i = 0; i < 3; i++) {
        add_stray(device_of(world, i), NULL, REMOVED_KEY, "10.44.0.9/32 192.168.55.0/24");
        plan_simulate_table(&world->seen->nodes[i], &(struct prefix){old.address, 24}, "wg0", true);
        struct prefix behind = world_prefix("192.168.55.0/24");
        plan_simulate_table(&world->seen->nodes[i], &behind, "wg0", true);
    }
    struct observed_config *saved = plan_world_saved(&world->seen->nodes[0], "wg0");
    add_stray(&saved->device, saved, REMOVED_KEY, "10.44.0.9/32");
    add_stray(device_of(world, 0), NULL, FORMER_KEY, "");
    add_stray(device_of(world, 1), NULL, STRANGER_KEY, "10.99.0.1/32");
}

static void hands_prune(struct plan_world *world)
{
    hands_removed(world);
    world->options.prune = true;
}

static void hands_states(struct plan_world *world)
{
    plan_world_set_up(world);
    observation_clear(&world->seen->nodes[0]);
    world->seen->nodes[0].reach = REACH_FAILED;
    world->seen->nodes[0].error = mem_text("connect: timed out");
    world->seen->nodes[1].privileged = false;
    free(world->mesh->nodes[2].ssh);
    world->mesh->nodes[2].ssh = NULL;
}

static void hands_blocked(struct plan_world *world)
{
    plan_world_set_up(world);
    device_of(world, 0)->public_key = world_key(77);
    struct observation *b = &world->seen->nodes[1];
    device_free(&b->devices[0]);
    b->device_count = 0;
    world->seen->nodes[2].pending = mem_text("alice@laptop, 41 s left");
}

static void hands_preshared(struct plan_world *world)
{
    plan_world_set_up(world);
    row(world, 0, 1)->preshared_hash[5] ^= 1;
    row(world, 2, 1)->has_preshared = false;
    memset(row(world, 2, 1)->preshared_hash, 0, KEY_HASH_SIZE);
}

static void hands_new_preshared(struct plan_world *world)
{
    plan_world_set_up(world);
    world->options.new_preshared = true;
}

static const bool leaving[] = {false, true, false};

static void hands_leaving(struct plan_world *world)
{
    plan_world_set_up(world);
    world->options.leaving = leaving;
}

static void hands_only(struct plan_world *world)
{
    hands_drift(world);
    world->options.only = leaving;
}

static void hands_down(struct plan_world *world)
{
    plan_world_set_up(world);
    struct plan_simulated simulated = {world, &world->seen->nodes[0], 0, "wg0"};
    plan_simulate_running(&simulated, &(struct plan_operation){.kind = PLAN_INTERFACE_REMOVE}, 0);
    plan_world_bare(&world->seen->nodes[1], 1);
}

static const struct golden {
    const char *name, *mesh;
    void (*hands)(struct plan_world *world);
} goldens[] = {
    {"full-new", full3, hands_none},
    {"full-as-asked", full3, hands_match},
    {"preshared-new", preshared3, hands_none},
    {"preshared-differs", preshared3, hands_preshared},
    {"preshared-rotated", preshared3, hands_new_preshared},
    {"hub-new", hub4, hands_none},
    {"hub-as-asked", hub4, hands_match},
    {"groups-new", groups4, hands_none},
    {"groups-as-asked", groups4, hands_match},
    {"node-added", preshared3, hands_add},
    {"drift", full3, hands_drift},
    {"drift-only-b", full3, hands_only},
    {"roaming", full3, hands_roaming},
    {"removed", full3, hands_removed},
    {"removed-prune", full3, hands_prune},
    {"leaving", full3, hands_leaving},
    {"not-reached", full3, hands_states},
    {"blocked", full3, hands_blocked},
    {"down-and-bare", preshared3, hands_down},
};

static void compare_golden(const char *name, const char *kind, const struct buf *found)
{
    char *path = mem_format("tests/golden/plan/%s.%s", name, kind);
    struct buf expected = BUF_EMPTY;
    FILE *file = fopen(path, getenv("UPDATE") ? "w" : "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    if (getenv("UPDATE")) {
        fwrite(buf_text(found), 1, found->length, file);
    } else {
        for (int byte; (byte = getc(file)) != EOF;)
            buf_add_char(&expected, (char)byte);
        if (strcmp(buf_text(&expected), buf_text(found)) != 0) {
            print_error("%s\nwanted:\n%s\n", path, buf_text(&expected));
            print_error("found:\n%s\n", buf_text(found));
            fail_msg("%s differs", path);
        }
    }
    fclose(file);
    buf_free(&expected);
    free(path);
}

static void add_json(const struct plan *plan, struct buf *buf)
{
    struct buf one = BUF_EMPTY;
    struct err err;
    struct json json = json_begin(&one);
    plan_to_json(plan, &json);
    cJSON *object = json_parse(buf_text(&one), one.length, &err);
    if (!object)
        fail_msg("%s", err.text);
    char *text = cJSON_Print(object);
    buf_add_format(buf, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(object);
    buf_free(&one);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(goldens); i++) {
        struct plan_world world = plan_world_new(goldens[i].mesh);
        struct buf text = BUF_EMPTY, brief = BUF_EMPTY, json = BUF_EMPTY;
        goldens[i].hands(&world);
        struct plan *plan = plan_world_plan(&world);
        plan_to_text(plan, false, &text);
        plan_to_text(plan, true, &brief);
        if (strcmp(buf_text(&text), buf_text(&brief)) != 0) {
            buf_add_text(&text, "=== brief\n");
            buf_add(&text, buf_text(&brief), brief.length);
        }
        add_json(plan, &json);
        compare_golden(goldens[i].name, "text", &text);
        compare_golden(goldens[i].name, "json", &json);
        plan_free(plan);
        plan_world_free(&world);
        buf_free(&text);
        buf_free(&brief);
        buf_free(&json);
    }
}

/* --- rotation */

static void rotate_and_check(struct plan_world *world, size_t node, unsigned round)
{
    struct key next = world_key(400 + (unsigned)node);
    struct err err;
    struct desired_node *desired = &world->desired->nodes[node];
    for (size_t i = 0; i < world->seen->node_count; i++)
        observation_sort(&world->seen->nodes[i]);
    struct plan *plan = plan_rotation(world->mesh, world->desired, world->seen, node, &next, &world->options, &err);
    if (!plan) {
        CASE_ASSERT(round, strstr(err.text, "cannot be rotated"));
        return;
    }
    plan_simulate(world, plan);
    struct device *device = plan_world_running(&world->seen->nodes[node], desired->interface);
    struct observed_config *config = plan_world_saved(&world->seen->nodes[node], desired->interface);
    struct mesh_node *file = &world->mesh->nodes[node];
    file->former_keys = mem_resize(file->former_keys, file->former_key_count + 1, sizeof *file->former_keys);
    file->former_keys[file->former_key_count++] = device->public_key;
    device->public_key = config->device.public_key = next;
    file->public_key = next;
    file->has_public_key = true;
    struct plan *again = plan_world_plan(world);
    if (!plan_is_empty(again)) {
        show(plan);
        show(again);
    }
    CASE_ASSERT(round, plan_is_empty(again) && !strcmp(plan->generation, again->generation));
    for (size_t i = 0; i < world->mesh->node_count; i++)
        if (again->nodes[i].state == PLAN_READY)
            check_node(world, again, i, round);
    plan_free(again);
    plan_free(plan);
}

/* As the deck does it, one after the other. */
static void test_rotation(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        struct shape shape;
        seed = round * 104729 + 3;
        char *text = random_mesh(&shape);
        struct plan_world world = plan_world_new(text);
        plan_world_set_up(&world);
        struct plan *plan = plan_world_plan(&world);
        for (size_t i = 0; i < world.mesh->node_count; i++)
            if (plan->nodes[i].state == PLAN_READY) { /* the keys that were learnt are pinned */
                world.mesh->nodes[i].has_public_key = true;
                world.mesh->nodes[i].public_key = plan->nodes[i].public_key;
            }
        plan_free(plan);
        for (size_t i = 0; i < world.mesh->node_count; i++)
            if (pick(3))
                rotate_and_check(&world, i, round);
        plan_world_free(&world);
        free(text);
    }
}

static void test_rotation_golden(void **state)
{
    (void)state;
    struct plan_world world = plan_world_new(preshared3);
    struct key next = world_key(99);
    struct buf text = BUF_EMPTY, json = BUF_EMPTY;
    struct err err;
    plan_world_set_up(&world);
    row(&world, 1, 0)->endpoint = world_endpoint("198.51.100.7:999"); /* where it is now */
    struct plan *plan = plan_rotation(world.mesh, world.desired, world.seen, 0, &next, &world.options, &err);
    assert_non_null(plan);
    plan_to_text(plan, false, &text);
    add_json(plan, &json);
    compare_golden("rotation", "text", &text);
    compare_golden("rotation", "json", &json);
    plan_free(plan);
    plan_world_free(&world);
    buf_free(&text);
    buf_free(&json);
}

/* A rotation whose helper and guard were killed behind the key's switch: the node shows a key that no file has. It is put back by whoever changes it next, so it must not be refused. */
static void test_unfinished(void **state)
{
    (void)state;
    static const struct { const char *pending; bool pinned, only_others, blocked, unfinished; } cases[] = {
        {NULL, true, false, true, false},
        {"alice@laptop, left unfinished: the next change puts it back first", true, false, false, true},
        {"alice@laptop, left unfinished: the next change puts it back first", false, false, false, true},
        {"alice@laptop, left unfinished: the next change puts it back first", true, true, false, false},
        {"alice@laptop, 41 s left", true, false, false, false},
        {NULL, false, false, false, false},
    };
    static const bool others[] = {false, true, true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan_world world = plan_world_new(full3);
        plan_world_set_up(&world);
        world.mesh->nodes[0].has_public_key = true;
        world.mesh->nodes[0].public_key = world_key(0);
        if (cases[i].pinned)
            device_of(&world, 0)->public_key = world_key(77);
        world.seen->nodes[0].pending = cases[i].pending ? mem_text(cases[i].pending) : NULL;
        world.options.only = cases[i].only_others ? others : NULL;
        struct plan *plan = plan_new(world.mesh, world.desired, world.seen, &world.options);
        assert_int_equal(plan->nodes[0].state == PLAN_BLOCKED, cases[i].blocked);
        assert_int_equal(plan->nodes[0].unfinished, cases[i].unfinished);
        assert_true(!cases[i].unfinished || !plan_is_empty(plan));
        if (!cases[i].blocked) { /* the others go on as if it had been put back */
            struct key pinned = world_key(0);
            assert_memory_equal(&plan->nodes[0].public_key, &pinned, sizeof pinned);
            assert_false(plan->nodes[0].learn_key);
        }
        plan_free(plan);
        plan_world_free(&world);
    }
}

static void test_rotation_refused(void **state)
{
    (void)state;
    struct plan_world world = plan_world_new(preshared3);
    struct key next = world_key(99);
    struct err err;
    plan_world_set_up(&world);
    for (unsigned i = 0; i < 3; i++) {
        world.mesh->nodes[i].has_public_key = true;
        world.mesh->nodes[i].public_key = world_key(i);
    }
    world_fail(&(struct world){.now = world.seen}, 'b');
    observation_sort(&world.seen->nodes[0]);
    assert_null(plan_rotation(world.mesh, world.desired, world.seen, 0, &next, &world.options, &err));
    assert_non_null(strstr(err.text, "its link with b works, and would be lost"));
    row(&world, 0, 1)->handshake -= 200 * CLOCK_SECOND;
    struct plan *plan = plan_rotation(world.mesh, world.desired, world.seen, 0, &next, &world.options, &err);
    assert_non_null(plan);
    assert_int_equal(plan->nodes[1].count, 0);
    assert_int_equal(plan->nodes[0].operations[0].kind, PLAN_PRIVATE_KEY);
    assert_int_equal(plan->nodes[2].count, 3);
    assert_int_equal(plan->nodes[2].operations[0].preshared, PLAN_PRESHARED_COPY);
    assert_int_equal(plan->nodes[2].operations[0].allowed_count, 0);
    plan_free(plan);
    assert_null(plan_rotation(world.mesh, world.desired, world.seen, 1, &next, &world.options, &err));
    plan_world_free(&world);
}

/* --- the generation */

static void test_generation(void **state)
{
    (void)state;
    struct plan_world world = plan_world_new(preshared3);
    plan_world_set_up(&world);
    struct plan *first = plan_world_plan(&world);
    assert_int_equal(strncmp(first->generation, "1-", 2), 0);
    world.seen->nodes[0].generation = mem_text("7-00000000");
    struct plan *other = plan_world_plan(&world);
    assert_int_equal(strncmp(other->generation, "8-", 2), 0);
    assert_string_equal(first->generation + 2, other->generation + 2);
    free(world.seen->nodes[0].generation);
    world.seen->nodes[0].generation = mem_format("7-%s", first->generation + 2);
    world.seen->nodes[1].generation = mem_text("nonsense");
    struct plan *same = plan_world_plan(&world);
    assert_string_equal(same->generation, world.seen->nodes[0].generation);
    world.mesh->nodes[0].listen_port = 1;
    world.desired->nodes[0].listen_port = 1;
    struct plan *changed = plan_world_plan(&world);
    assert_int_equal(strncmp(changed->generation, "8-", 2), 0);
    assert_string_not_equal(changed->generation + 2, first->generation + 2);
    plan_free(first);
    plan_free(other);
    plan_free(same);
    plan_free(changed);
    plan_world_free(&world);
}

/* --- large */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_large(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    buf_add_text(&text, "[Mesh]\nName = large\nNetwork = 10.44.0.0/16, fd44::/64\nPresharedKeys = yes\n");
    for (unsigned i = 0; i < 200; i++) {
        char address[ADDRESS_TEXT_SIZE];
        struct address public = world_public(i);
        address_text(&public, address);
        buf_add_format(&text, "[Node n%u]\nSsh = root@%s\nAddress = 10.44.1.%u, fd44::%x\nEndpoint = %s:51820\n", i, address, i + 1, i + 1, address);
    }
    struct plan_world world = plan_world_new(buf_text(&text));
    double start = seconds();
    struct plan *plan = plan_world_plan(&world);
    double first = seconds() - start;
    plan_simulate(&world, plan);
    plan_free(plan);
    for (size_t i = 0; i < 200; i++)
        observation_pack(&world.seen->nodes[i]);
    start = seconds();
    struct lint lint = {0};
    lint_mesh(world.mesh, world.desired, world.seen, &lint);
    double lint_took = seconds() - start;
    lint_free(&lint);
    start = seconds();
    plan = plan_new(world.mesh, world.desired, world.seen, &world.options);
    double second = seconds() - start;
    assert_true(plan_is_empty(plan));
    if (getenv("TIMES"))
        print_message("from nothing %.3f s, nothing to do %.3f s (lint %.3f s)\n", first, second, lint_took);
    assert_true(second < 1.0); /* 0.08 s; sanitizers are slow */
    plan_free(plan);
    plan_world_free(&world);
    buf_free(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_random), cmocka_unit_test(test_rotation), cmocka_unit_test(test_rotation_refused), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_rotation_golden), cmocka_unit_test(test_generation), cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
