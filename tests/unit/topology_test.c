/* Which rows a mesh file asks for: pairs and prefixes, for each topology. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/mesh.h"

#define MESH "[Mesh]\nNetwork = 10.44.0.0/24\n"

/* Nodes are given by one character each in `pairs`, the first character of their names. */
struct topology_case {
    const char *file;
    const char *pairs;         /* wanted links, "ab ac", in order */
    struct {
        const char *row;       /* "ab": A's row for B */
        const char *allowed;
    } rows[10];
};

static const char full[] = MESH
    "[Node a]\nAddress = 10.44.0.1\nAllowedIPs = 192.168.1.0/24\n"
    "[Node b]\nAddress = 10.44.0.2\n"
    "[Node c]\nAddress = 10.44.0.3\n";

static const char relay[] = MESH "RelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\nRole = relay\n"
    "[Node b]\nAddress = 10.44.0.2\nRole = relay\n"
    "[Node c]\nAddress = 10.44.0.3\n";

/* j and k have joined through b, which is the relay; k has a network behind it */
static const char joined[] = MESH "RelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\nAllowedIPs = 192.168.1.0/24\n"
    "[Node b]\nAddress = 10.44.0.2\nRole = relay\n"
    "[Node j]\nAddress = 10.44.0.193\n"
    "[Node k]\nAddress = 10.44.0.194\nAllowedIPs = 192.168.7.0/24\n";

/* The same with the hub as relay, since there is no other, and with a spoke as relay. */
static const char hub_joined[] = MESH "Topology = hub\nRelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\n"
    "[Node h]\nAddress = 10.44.0.9\nRole = hub\nEndpoint = 203.0.113.9\n"
    "[Node j]\nAddress = 10.44.0.193\n"
    "[Node k]\nAddress = 10.44.0.194\nAllowedIPs = 192.168.7.0/24\n";
static const char spoke_joined[] = MESH "Topology = hub\nRelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\nAllowedIPs = 192.168.1.0/24\n"
    "[Node h]\nAddress = 10.44.0.9\nRole = hub\nEndpoint = 203.0.113.9\n"
    "[Node r]\nAddress = 10.44.0.3\nRole = relay\n"
    "[Node j]\nAddress = 10.44.0.193\nAllowedIPs = 192.168.7.0/24\n";

/* Groups: r, a plain node of x, is the relay; then without it a, the first gateway. j says that it is of y, k has no group: both are where the relay is. */
static const char groups_joined[] = MESH "Topology = groups\nRelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\n"
    "[Node r]\nAddress = 10.44.0.2\nGroup = x\nRole = relay\n"
    "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\n"
    "[Node d]\nAddress = 10.44.0.4\nGroup = y\n"
    "[Node j]\nAddress = 10.44.0.193\nGroup = y\nAllowedIPs = 192.168.7.0/24\n"
    "[Node k]\nAddress = 10.44.0.194\n";
static const char gateway_joined[] = MESH "Topology = groups\nRelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\n"
    "[Node b]\nAddress = 10.44.0.2\nGroup = x\n"
    "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\n"
    "[Node d]\nAddress = 10.44.0.4\nGroup = y\n"
    "[Node j]\nAddress = 10.44.0.193\nAllowedIPs = 192.168.7.0/24\n";

/* Not by the relay: j has an address elsewhere too; and who is the relay itself. */
static const char not_joined[] = "[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nRelayNetwork = 10.44.0.192/26\n"
    "[Node a]\nAddress = 10.44.0.1\n"
    "[Node r]\nAddress = 10.44.0.200\nRole = relay\n"
    "[Node j]\nAddress = 10.44.0.193, fd44::5\n";

/* Both families; a has no IPv6. */
static const char both_joined[] = "[Mesh]\nNetwork = 10.44.0.0/24, fd44::/64\nRelayNetwork = 10.44.0.192/26, fd44::8000/113\n"
    "[Node a]\nAddress = 10.44.0.1\n"
    "[Node r]\nAddress = 10.44.0.2, fd44::2\nRole = relay\n"
    "[Node j]\nAddress = 10.44.0.193, fd44::8001\n"
    "[Node k]\nAddress = 10.44.0.194\n";

static const char hub[] = MESH "Topology = hub\n"
    "[Node a]\nAddress = 10.44.0.1\nAllowedIPs = 192.168.1.0/24\n"
    "[Node h]\nAddress = 10.44.0.9\nAllowedIPs = 172.16.0.0/12\nRole = hub\nEndpoint = 203.0.113.9\n"
    "[Node b]\nAddress = 10.44.0.2\nAllowedIPs = 192.168.2.0/24\n";

/* x: a (gateway), b, f (second gateway); y: c (gateway), d; z: e (gateway) */
static const char groups[] = MESH "Topology = groups\n"
    "[Node a]\nAddress = 10.44.0.1\nGroup = x\nRole = gateway\n"
    "[Node b]\nAddress = 10.44.0.2\nGroup = x\nAllowedIPs = 192.168.2.0/24\n"
    "[Node c]\nAddress = 10.44.0.3\nGroup = y\nRole = gateway\n"
    "[Node d]\nAddress = 10.44.0.4\nGroup = y\n"
    "[Node e]\nAddress = 10.44.0.5\nGroup = z\nRole = gateway\n"
    "[Node f]\nAddress = 10.44.0.6\nGroup = x\nRole = gateway\n";

static const struct topology_case cases[] = {
    {full, "ab ac bc",
     {{"ab", "10.44.0.2/32"}, {"ba", "10.44.0.1/32 192.168.1.0/24"}, {"ca", "10.44.0.1/32 192.168.1.0/24"}}},
    {relay, "ab ac bc",
     {{"ca", "10.44.0.1/32 10.44.0.192/26"}, {"ba", "10.44.0.1/32 10.44.0.192/26"}, {"cb", "10.44.0.2/32"}, {"ac", "10.44.0.3/32"}}},
    {joined, "ab bj bk",
     {{"ab", "10.44.0.2/32 10.44.0.192/26 192.168.7.0/24"}, {"ba", "10.44.0.1/32 192.168.1.0/24"},
      {"jb", "10.44.0.0/24 192.168.1.0/24 192.168.7.0/24"}, {"kb", "10.44.0.0/24 192.168.1.0/24"},
      {"bj", "10.44.0.193/32"}, {"bk", "10.44.0.194/32 192.168.7.0/24"},
      {"aj", "10.44.0.193/32"}, {"ka", "10.44.0.1/32 192.168.1.0/24"}, {"jk", "10.44.0.194/32 192.168.7.0/24"}}}, /* these as the ladder carries them */
    {hub_joined, "ah hj hk",
     {{"ah", "10.44.0.0/24 192.168.7.0/24"}, {"ha", "10.44.0.1/32"}, {"hk", "10.44.0.194/32 192.168.7.0/24"},
      {"jh", "10.44.0.0/24 192.168.7.0/24"}, {"kh", "10.44.0.0/24"}, {"jk", "10.44.0.194/32 192.168.7.0/24"}}},
    {spoke_joined, "ah hr rj",
     {{"ah", "10.44.0.0/24 192.168.7.0/24"}, {"hr", "10.44.0.3/32 10.44.0.192/26 192.168.7.0/24"}, {"rh", "10.44.0.0/24 192.168.1.0/24"},
      {"rj", "10.44.0.193/32 192.168.7.0/24"}, {"jr", "10.44.0.0/24 192.168.1.0/24"}, {"jh", "10.44.0.9/32"}, {"hj", "10.44.0.193/32 192.168.7.0/24"}}},
    {groups_joined, "ar ac rj rk cd",
     {{"ar", "10.44.0.2/32 10.44.0.192/26 192.168.7.0/24"}, {"ra", "10.44.0.1/32 10.44.0.3/32 10.44.0.4/32"},
      {"ca", "10.44.0.1/32 10.44.0.2/32 10.44.0.192/26 192.168.7.0/24"}, {"ac", "10.44.0.3/32 10.44.0.4/32"},
      {"dc", "10.44.0.1/32 10.44.0.2/32 10.44.0.3/32 10.44.0.192/26 192.168.7.0/24"},
      {"rj", "10.44.0.193/32 192.168.7.0/24"}, {"jr", "10.44.0.0/24"}, {"kr", "10.44.0.0/24 192.168.7.0/24"}, {"jc", "10.44.0.3/32"}, {"dj", "10.44.0.193/32 192.168.7.0/24"}}},
    {gateway_joined, "ab ac aj cd",
     {{"ba", "10.44.0.1/32 10.44.0.3/32 10.44.0.4/32 10.44.0.192/26 192.168.7.0/24"}, {"ca", "10.44.0.1/32 10.44.0.2/32 10.44.0.192/26 192.168.7.0/24"},
      {"dc", "10.44.0.1/32 10.44.0.2/32 10.44.0.3/32 10.44.0.192/26 192.168.7.0/24"}, {"aj", "10.44.0.193/32 192.168.7.0/24"}, {"ja", "10.44.0.0/24"}}},
    {not_joined, "ar aj rj", {{"aj", "10.44.0.193/32"}, {"ar", "10.44.0.192/26"}, {"jr", "10.44.0.192/26"}}},
    {both_joined, "ar rj rk",
     {{"ar", "10.44.0.2/32 10.44.0.192/26"}, {"jr", "10.44.0.0/24 fd44::/64"}, {"kr", "10.44.0.0/24"}, {"rj", "10.44.0.193/32 fd44::8001/128"}, {"jk", "10.44.0.194/32"}}},
    {hub, "ah hb",
     {{"ah", "10.44.0.0/24 172.16.0.0/12 192.168.2.0/24"}, {"bh", "10.44.0.0/24 172.16.0.0/12 192.168.1.0/24"},
      {"ha", "10.44.0.1/32 192.168.1.0/24"}}},
    {groups, "ab ac ae af bf cd ce cf ef",
     {{"ba", "10.44.0.1/32 10.44.0.3/32 10.44.0.4/32 10.44.0.5/32"}, /* its first gateway stands for the other groups */
      {"bf", "10.44.0.6/32"},                                        /* the second one for itself */
      {"ab", "10.44.0.2/32 192.168.2.0/24"},
      {"af", "10.44.0.6/32"},
      {"ac", "10.44.0.3/32 10.44.0.4/32"},
      {"fc", "10.44.0.3/32 10.44.0.4/32"},
      {"ca", "10.44.0.1/32 10.44.0.2/32 192.168.2.0/24"},            /* without f, which has a row of its own */
      {"cf", "10.44.0.6/32"},
      {"dc", "10.44.0.1/32 10.44.0.2/32 10.44.0.3/32 10.44.0.5/32 10.44.0.6/32 192.168.2.0/24"},
      {"fa", "10.44.0.1/32"}}},
};

static struct mesh *read_text(const char *text)
{
    struct err err;
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), &err);
    struct mesh *mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!mesh)
        fail_msg("%s", err.text);
    conf_free(conf);
    return mesh;
}

static char *pairs_of(const struct mesh *mesh)
{
    struct buf text = BUF_EMPTY;
    for (size_t a = 0; a < mesh->node_count; a++)
        for (size_t b = 0; b < mesh->node_count; b++) {
            assert_int_equal(mesh_wants_link(mesh, a, b), mesh_wants_link(mesh, b, a));
            if (a < b && mesh_wants_link(mesh, a, b))
                buf_add_format(&text, "%s%c%c", text.length ? " " : "", mesh->nodes[a].name[0], mesh->nodes[b].name[0]);
        }
    return buf_take(&text);
}

static size_t node_at(const struct mesh *mesh, char letter)
{
    size_t node = mesh_find_node(mesh, (char[]){letter, '\0'});
    assert_true(node != SIZE_MAX);
    return node;
}

/* Every pair that is not linked for certain, with one that has joined, may be linked by the ladder; no other, and none is both. */
static void check_may_link(const struct mesh *mesh)
{
    for (size_t a = 0; a < mesh->node_count; a++)
        for (size_t b = 0; b < mesh->node_count; b++) {
            bool one_joined = a != b && (mesh_joins_by_relay(mesh, a) || mesh_joins_by_relay(mesh, b));
            assert_int_equal(mesh_may_link(mesh, a, b), one_joined && !mesh_wants_link(mesh, a, b));
        }
}

static char *allowed_of(const struct mesh *mesh, const char *row)
{
    struct buf text = BUF_EMPTY;
    struct prefix *allowed;
    size_t count;
    char prefix[PREFIX_TEXT_SIZE];
    mesh_wants_allowed(mesh, node_at(mesh, row[0]), node_at(mesh, row[1]), &allowed, &count);
    for (size_t i = 0; i < count; i++) {
        prefix_text(&allowed[i], prefix);
        buf_add_format(&text, "%s%s", i ? " " : "", prefix);
    }
    free(allowed);
    return buf_take(&text);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mesh *mesh = read_text(cases[i].file);
        char *pairs = pairs_of(mesh);
        assert_string_equal(pairs, cases[i].pairs);
        free(pairs);
        check_may_link(mesh);
        for (size_t j = 0; j < COUNT_OF(cases[i].rows) && cases[i].rows[j].row; j++) {
            char *allowed = allowed_of(mesh, cases[i].rows[j].row);
            if (strcmp(allowed, cases[i].rows[j].allowed) != 0)
                fail_msg("case %d, %s: %s, not %s", (int)i, cases[i].rows[j].row, allowed, cases[i].rows[j].allowed);
            free(allowed);
        }
        mesh_free(mesh);
    }
}

/* Follow a packet from every node to every address: by the one row that covers it, hop by hop, and at each hop the source must be
 * allowed in the row of the one it came from (cryptokey routing both ways). */
static size_t next_hop(const struct mesh *mesh, size_t from, const struct address *address)
{
    size_t found = SIZE_MAX;
    uint8_t longest = 0;
    for (size_t b = 0; b < mesh->node_count; b++) {
        struct prefix *allowed;
        size_t count;
        if (!mesh_wants_link(mesh, from, b))
            continue;
        mesh_wants_allowed(mesh, from, b, &allowed, &count);
        for (size_t i = 0; i < count; i++)
            if (prefix_contains(&allowed[i], address) && (found == SIZE_MAX || allowed[i].length >= longest)) {
                assert_true(found == SIZE_MAX || allowed[i].length > longest); /* a prefix can stand in one row only */
                found = b;
                longest = allowed[i].length;
            }
        free(allowed);
    }
    return found;
}

static void test_every_packet_arrives(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        struct mesh *mesh = read_text(cases[c].file);
        for (size_t a = 0; a < mesh->node_count; a++)
            for (size_t b = 0; b < mesh->node_count; b++) {
                const struct address *source = &mesh->nodes[a].addresses[0].address;
                size_t at = a;
                for (int hops = 0; at != b; hops++) {
                    size_t next = next_hop(mesh, at, &mesh->nodes[b].addresses[0].address);
                    assert_true(next != SIZE_MAX && hops < 4);
                    assert_int_equal(next_hop(mesh, next, source), at); /* the source check, and the way back */
                    at = next;
                }
            }
        mesh_free(mesh);
    }
}

static void test_relay_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *file, *relay, *joined;
    } relays[] = {
        {full, "", ""}, {relay, "a", ""}, {hub, "", ""}, {groups, "", ""}, {joined, "b", "jk"}, {hub_joined, "h", "jk"}, {spoke_joined, "r", "j"},
        {groups_joined, "r", "jk"}, {gateway_joined, "a", "j"}, {not_joined, "r", ""}, {both_joined, "r", "jk"},
        {MESH "RelayNetwork = 10.44.0.192/26\n[Node a]\nAddress = 10.44.0.1\n[Node j]\nAddress = 10.44.0.193\n", "", ""}, /* nobody carries it */
    };
    for (size_t i = 0; i < COUNT_OF(relays); i++) {
        struct mesh *mesh = read_text(relays[i].file);
        size_t found = mesh_relay(mesh);
        assert_string_equal(found == SIZE_MAX ? "" : mesh->nodes[found].name, relays[i].relay);
        for (size_t node = 0; node < mesh->node_count; node++)
            assert_int_equal(mesh_joins_by_relay(mesh, node), strchr(relays[i].joined, mesh->nodes[node].name[0]) != NULL);
        mesh_free(mesh);
    }
}

static void test_without_file(void **state)
{
    (void)state;
    const char *const targets[] = {"a", "b"};
    struct mesh *mesh = mesh_from_targets(targets, 2, NULL);
    assert_false(mesh_wants_link(mesh, 0, 1));
    assert_false(mesh_may_link(mesh, 0, 1));
    assert_true(mesh_relay(mesh) == SIZE_MAX);
    mesh_free(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_packet_arrives),
        cmocka_unit_test(test_relay_is_found),
        cmocka_unit_test(test_without_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
