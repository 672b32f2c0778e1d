/* Adopting: from a mesh file to what its nodes would show, and back to a mesh file that asks for the same; and meshes that are not so
 * tidy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "observed_random.h"
#include "wgdeck/adopt.h"
#include "wgdeck/mem.h"

#define MESH "[Mesh]\nNetwork = 10.44.0.0/24\n"

static struct mesh *read_text(const char *text)
{
    struct err err;
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), &err);
    struct mesh *mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!mesh)
        fail_msg("%s\n%s", err.text, text);
    conf_free(conf);
    return mesh;
}

static struct key key_of(size_t node)
{
    return (struct key){{(uint8_t)(node + 1), [31] = 1}};
}

static void add_row(const struct mesh *mesh, struct device *device, size_t a, size_t b)
{
    struct device_peer *row = &device->peers[device->peer_count++];
    row->public_key = key_of(b);
    row->endpoint = mesh->nodes[b].endpoint;
    row->keepalive = mesh->keepalive;
    row->has_preshared = mesh->preshared_keys;
    mesh_wants_allowed(mesh, a, b, &row->allowed, &row->allowed_count);
}

/* The node as it would be if the file had been carried out on it. */
static void show_node(const struct mesh *mesh, size_t index, struct observation *o)
{
    const struct mesh_node *node = &mesh->nodes[index];
    o->reach = REACH_OK;
    o->hostname = mem_format("%s.example", node->name);
    o->devices = mem_alloc(1, sizeof *o->devices);
    o->device_count = 1;
    struct device *device = &o->devices[0];
    strncpy(device->name, node->interface, IFNAMSIZ - 1);
    device->has_private = true;
    device->public_key = key_of(index);
    device->listen_port = node->listen_port;
    device->peers = mem_alloc(mesh->node_count, sizeof *device->peers);
    for (size_t b = 0; b < mesh->node_count; b++)
        if (mesh_wants_link(mesh, index, b))
            add_row(mesh, device, index, b);
    o->links = mem_alloc(2, sizeof *o->links);
    o->link_count = 2;
    strncpy(o->links[0].name, node->interface, IFNAMSIZ - 1);
    o->links[0].mtu = node->mtu ? node->mtu : 1420;
    o->links[0].addresses = mem_alloc(node->address_count, sizeof *o->links[0].addresses);
    o->links[0].address_count = node->address_count;
    for (size_t i = 0; i < node->address_count; i++) {
        o->links[0].addresses[i] = node->addresses[i];
        o->links[0].addresses[i].length = node->addresses[i].address.family == AF_INET ? 24 : 64;
    }
    strncpy(o->links[1].name, "eth0", IFNAMSIZ - 1);
    if (node->endpoint.address.family) {
        o->links[1].addresses = mem_alloc(1, sizeof *o->links[1].addresses);
        o->links[1].address_count = 1;
        o->links[1].addresses[0] = prefix_host(&node->endpoint.address);
    }
    observation_sort(o);
}

struct scene {
    struct mesh *file, *targets;
    struct observed *seen;
    struct conf *conf;
    struct mesh *adopted;
    struct buf notes;
    struct err err;
};

static void begin(struct scene *scene, const char *file)
{
    *scene = (struct scene){.file = read_text(file)};
    const char **targets = mem_alloc(scene->file->node_count, sizeof *targets);
    for (size_t i = 0; i < scene->file->node_count; i++)
        targets[i] = scene->file->nodes[i].ssh ? scene->file->nodes[i].ssh : scene->file->nodes[i].name;
    scene->targets = mesh_from_targets(targets, scene->file->node_count, &scene->err);
    free(targets);
    if (!scene->targets)
        fail_msg("%s", scene->err.text);
    scene->seen = observed_new(scene->file->node_count);
    for (size_t i = 0; i < scene->file->node_count; i++)
        show_node(scene->file, i, &scene->seen->nodes[i]);
}

static void adopt(struct scene *scene)
{
    struct buf text = BUF_EMPTY;
    scene->conf = conf_new("adopted.conf");
    if (adopt_mesh(scene->targets, scene->seen, scene->conf, &scene->notes, &scene->err) != 0)
        fail_msg("%s", scene->err.text);
    conf_write(scene->conf, &text);
    scene->adopted = read_text(buf_text(&text));
    buf_free(&text);
}

static void end(struct scene *scene)
{
    mesh_free(scene->file);
    mesh_free(scene->targets);
    mesh_free(scene->adopted);
    observed_free(scene->seen);
    conf_free(scene->conf);
    buf_free(&scene->notes);
}

static void unreach(struct scene *scene, size_t node)
{
    observation_clear(&scene->seen->nodes[node]);
    scene->seen->nodes[node].reach = REACH_FAILED;
}

static void assert_noted(const struct scene *scene, const char *says)
{
    if (!strstr(buf_text(&scene->notes), says))
        fail_msg("the notes say\n%s\nnot '%s'", buf_text(&scene->notes), says);
}

static const char *const tidy[] = {
    MESH "PersistentKeepalive = 25\nPresharedKeys = yes\n"
         "[Node a]\nSsh = root@a\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1:51820\nAllowedIPs = 192.168.1.0/24, 192.168.3.0/24\n"
         "[Node b]\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2:51820\n"
         "[Node c]\nAddress = 10.44.0.3\nMTU = 1380\n",
    "[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nInterface = mesh0\nListenPort = 4500\nPersistentKeepalive = off\n"
         "[Node a]\nAddress = 10.44.0.1, fd44::1\nEndpoint = 203.0.113.1\nListenPort = 7\n"
         "[Node b]\nAddress = 10.44.0.2, fd44::2\nInterface = wg7\nEndpoint = [2001:db8::2]\n"
         "[Node c]\nAddress = 10.44.0.3, fd44::3\n",
    MESH "Topology = hub\nPersistentKeepalive = 25\n"
         "[Node a]\nAddress = 10.44.0.1\nAllowedIPs = 192.168.1.0/24\n"
         "[Node h]\nAddress = 10.44.0.9\nAllowedIPs = 172.16.0.0/12\nRole = hub\nEndpoint = 203.0.113.9\n"
         "[Node b]\nAddress = 10.44.0.2\nAllowedIPs = 192.168.2.0/24\n",
    MESH "Topology = groups\nPersistentKeepalive = off\n"
         "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\nEndpoint = 203.0.113.1\nAllowedIPs = 192.168.1.0/24\n"
         "[Node b]\nAddress = 10.44.0.2\nGroup = x\nAllowedIPs = 192.168.2.0/24\nEndpoint = 203.0.113.2\n"
         "[Node g]\nAddress = 10.44.0.7\nGroup = x\nEndpoint = 203.0.113.7\n"
         "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\nEndpoint = 203.0.113.3\n"
         "[Node d]\nAddress = 10.44.0.4\nGroup = y\nEndpoint = 203.0.113.4\n"
         "[Node e]\nAddress = 10.44.0.5\nGroup = z\nRole = gateway\nEndpoint = 203.0.113.5\n",
    MESH "Topology = groups\nPersistentKeepalive = off\n"
         "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\nEndpoint = 203.0.113.1\n"
         "[Node b]\nAddress = 10.44.0.2\nGroup = x\nEndpoint = 203.0.113.2\n"
         "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\nEndpoint = 203.0.113.3\n"
         "[Node e]\nAddress = 10.44.0.5\nGroup = z\nRole = gateway\nEndpoint = 203.0.113.5\n",
};

static void assert_same_rows(const struct mesh *one, const struct mesh *two)
{
    for (size_t a = 0; a < one->node_count; a++)
        for (size_t b = 0; b < one->node_count; b++) {
            struct prefix *first, *second;
            size_t first_count, second_count;
            assert_int_equal(mesh_wants_link(one, a, b), mesh_wants_link(two, a, b));
            if (!mesh_wants_link(one, a, b))
                continue;
            mesh_wants_allowed(one, a, b, &first, &first_count);
            mesh_wants_allowed(two, a, b, &second, &second_count);
            assert_int_equal(first_count, second_count);
            for (size_t i = 0; i < first_count; i++)
                assert_int_equal(prefix_compare(&first[i], &second[i]), 0);
            free(first);
            free(second);
        }
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT_OF(tidy); c++) {
        struct scene scene;
        begin(&scene, tidy[c]);
        adopt(&scene);
        const struct mesh *file = scene.file, *adopted = scene.adopted;
        assert_int_equal(adopted->node_count, file->node_count);
        assert_int_equal(adopted->topology, file->topology);
        assert_int_equal(adopted->keepalive_mode, file->keepalive_mode);
        assert_int_equal(adopted->keepalive, file->keepalive);
        assert_int_equal(adopted->preshared_keys, file->preshared_keys);
        assert_string_equal(adopted->interface, file->interface);
        assert_int_equal(adopted->listen_port, file->listen_port);
        assert_same_rows(file, adopted);
        for (size_t i = 0; i < file->node_count; i++) {
            const struct mesh_node *one = &file->nodes[i], *two = &adopted->nodes[i];
            struct key key = key_of(i);
            assert_string_equal(one->name, two->name);
            assert_int_equal(one->address_count, two->address_count);
            assert_true(two->has_public_key && key_equal(&two->public_key, &key));
            assert_true(endpoint_equal(&one->endpoint, &two->endpoint));
            assert_int_equal(one->allowed_count, two->allowed_count);
            assert_int_equal(one->role, two->role);
            assert_int_equal(one->mtu, two->mtu);
            assert_string_equal(one->interface, two->interface);
            assert_int_equal(one->listen_port, two->listen_port);
        }
        if (file->topology != TOPOLOGY_GROUPS)
            assert_string_equal(buf_text(&scene.notes), "");
        end(&scene);
    }
}

static const char three[] = MESH
    "[Node a]\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\n"
    "[Node b]\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\n"
    "[Node c]\nSsh = root@203.0.113.3\nAddress = 10.44.0.3\nEndpoint = 203.0.113.3\nAllowedIPs = 192.168.3.0/24\n";

static void test_unreached_node(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    unreach(&scene, 2);
    adopt(&scene);
    assert_int_equal(scene.adopted->node_count, 3);
    const struct mesh_node *c = &scene.adopted->nodes[2];
    struct key key = key_of(2);
    assert_string_equal(c->name, "203.0.113.3");
    assert_true(c->has_public_key && key_equal(&c->public_key, &key));
    assert_true(endpoint_equal(&c->endpoint, &scene.file->nodes[2].endpoint));
    assert_int_equal(c->allowed_count, 1);
    assert_same_rows(scene.file, scene.adopted);
    assert_noted(&scene, "203.0.113.3 was not reached: what is written of it is what the others' rows say\n");
    end(&scene);
}

static void test_unreached_and_unknown(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    unreach(&scene, 0); /* its target is a name that nobody resolved */
    adopt(&scene);
    assert_int_equal(scene.adopted->node_count, 2);
    assert_noted(&scene, "a was not reached, and no row of the others can be told to be its: left out\n");
    assert_noted(&scene, "the key AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= in rows of b, c is of no host named here; its endpoint is "
                         "203.0.113.1:51820: name its host too, or add [Node NAME] with Address = 10.44.0.1 and PublicKey =");
    end(&scene);
}

static void test_two_unreached_are_still_full(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    unreach(&scene, 1);
    scene.seen->nodes[1].dialled = mem_text("203.0.113.2");
    unreach(&scene, 2);
    adopt(&scene);
    assert_int_equal(scene.adopted->node_count, 3);
    assert_null(strstr(buf_text(&scene.notes), "fit no topology"));
    end(&scene);
}

static void test_hostname_for_an_address(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    adopt(&scene);
    assert_string_equal(scene.adopted->nodes[2].name, "c");
    assert_string_equal(scene.adopted->nodes[2].ssh, "root@203.0.113.3");
    end(&scene);
}

static void test_nat(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    struct observation *c = &scene.seen->nodes[2];
    free(c->links[0].addresses); /* eth0 */
    c->links[0].addresses = NULL;
    c->links[0].address_count = 0;
    c->dialled = mem_text("198.51.100.1"); /* a jump host */
    free(scene.targets->nodes[2].name);
    scene.targets->nodes[2].name = mem_text("c");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < scene.seen->nodes[i].devices[0].peer_count; j++)
            if (scene.seen->nodes[i].devices[0].peers[j].public_key.bytes[0] == 3)
                scene.seen->nodes[i].devices[0].peers[j].endpoint.port = 33333;
    adopt(&scene);
    assert_null(scene.adopted->nodes[2].endpoint_host);
    assert_noted(&scene, "c: no endpoint written; what the others see of it (203.0.113.3:33333) looks like a NAT's\n");
    end(&scene);
}

static void test_saved_host_name_wins(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    struct observation *a = &scene.seen->nodes[0];
    a->configs = mem_alloc(1, sizeof *a->configs);
    a->config_count = 1;
    a->configs[0].path = mem_text("/etc/wireguard/wg0.conf");
    device_copy(&a->configs[0].device, &a->devices[0]);
    a->configs[0].endpoint_hosts = mem_alloc(2, sizeof(char *));
    a->configs[0].endpoint_hosts[0] = mem_text("b.example.org:51820");
    adopt(&scene);
    assert_string_equal(scene.adopted->nodes[1].endpoint_host, "b.example.org");
    assert_noted(&scene, "b: 1 of 2 rows say that its endpoint is b.example.org:51820; the others say something else\n");
    end(&scene);
}

static void test_missing_pair(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, MESH "[Node a]\nAddress = 10.44.0.1\n[Node b]\nAddress = 10.44.0.2\n"
                       "[Node c]\nAddress = 10.44.0.3\n[Node d]\nAddress = 10.44.0.4\n");
    for (size_t i = 0; i < 4; i += 3) { /* a and d forget each other */
        struct device *device = &scene.seen->nodes[i].devices[0];
        for (size_t j = 0; j < device->peer_count; j++)
            if (device->peers[j].public_key.bytes[0] == (i == 0 ? 4 : 1)) {
                device_free_allowed(&device->peers[j]);
                memmove(&device->peers[j], &device->peers[j + 1], (--device->peer_count - j) * sizeof *device->peers);
                break;
            }
    }
    adopt(&scene);
    assert_int_equal(scene.adopted->topology, TOPOLOGY_FULL);
    assert_noted(&scene, "the rows fit no topology; Topology = full is written, and these pairs hold no rows for each other: a and d\n");
    end(&scene);
}

static void test_clones(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    scene.seen->nodes[1].devices[0].public_key = key_of(0);
    scene.seen->nodes[1].links[1].addresses[0].address.bytes[3] = 1;
    adopt(&scene);
    assert_int_equal(scene.adopted->node_count, 2);
    assert_noted(&scene, "b has the same key as a: one of the two needs a new one");
    assert_noted(&scene, "a and b both have the address 10.44.0.1: it is written for a only\n");
    assert_noted(&scene, "b has no usable address on wg0: left out\n");
    end(&scene);
}

static void test_host_addresses_only(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    for (size_t i = 0; i < 3; i++)
        scene.seen->nodes[i].links[1].addresses[0].length = 32;
    adopt(&scene);
    assert_int_equal(scene.adopted->network_count, 1);
    assert_int_equal(scene.adopted->networks[0].length, 24);
    assert_noted(&scene, "10.44.0.0/24 is a guess");
    end(&scene);
}

static void test_everything_through_one(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < scene.seen->nodes[i].devices[0].peer_count; j++) {
            struct device_peer *row = &scene.seen->nodes[i].devices[0].peers[j];
            if (row->public_key.bytes[0] == 3)
                row->allowed[row->allowed_count - 1] = (struct prefix){{AF_INET, {0}}, 0};
        }
    adopt(&scene);
    assert_int_equal(scene.adopted->nodes[2].allowed_count, 0);
    assert_noted(&scene, "rows for c send everything (0.0.0.0/0) to it");
    end(&scene);
}

static void test_nothing_to_adopt(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, three);
    unreach(&scene, 0);
    unreach(&scene, 1);
    observation_clear(&scene.seen->nodes[2]);
    scene.seen->nodes[2].reach = REACH_OK; /* reached, without WireGuard */
    scene.conf = conf_new("adopted.conf");
    assert_int_equal(adopt_mesh(scene.targets, scene.seen, scene.conf, &scene.notes, &scene.err), -1);
    assert_non_null(strstr(scene.err.text, "nothing to adopt"));
    assert_noted(&scene, "203.0.113.3 has no WireGuard interface: left out\n");
    end(&scene);
}

/* Whatever the nodes show, what is handed out can be read; the only excuse is that there is nothing. */
static void test_chaos(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "10.0.0.1", "::1", "root@d:7", "[fd00::1]:22", "f"};
    size_t adopted = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct chance chance = {seed};
        struct mesh *targets = mesh_from_targets(names, COUNT_OF(names), NULL);
        struct observed *seen = observed_new(COUNT_OF(names));
        struct conf *conf = conf_new("adopted.conf");
        struct buf notes = BUF_EMPTY;
        struct err err = {""};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            chance_observation(&chance, &seen->nodes[i]);
            seen->nodes[i].reach = chance_below(&chance, 4) ? REACH_OK : REACH_FAILED;
        }
        if (adopt_mesh(targets, seen, conf, &notes, &err) == 0)
            adopted++;
        else if (!strstr(err.text, "nothing to adopt"))
            fail_msg("seed %d: %s", (int)seed, err.text);
        buf_free(&notes);
        conf_free(conf);
        observed_free(seen);
        mesh_free(targets);
    }
    assert_true(adopted > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_unreached_node),
        cmocka_unit_test(test_unreached_and_unknown),
        cmocka_unit_test(test_two_unreached_are_still_full),
        cmocka_unit_test(test_hostname_for_an_address),
        cmocka_unit_test(test_nat),
        cmocka_unit_test(test_saved_host_name_wins),
        cmocka_unit_test(test_missing_pair),
        cmocka_unit_test(test_clones),
        cmocka_unit_test(test_host_addresses_only),
        cmocka_unit_test(test_everything_through_one),
        cmocka_unit_test(test_nothing_to_adopt),
        cmocka_unit_test(test_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
