/* Changes of a mesh file: what the document is after each, and what is refused; and the document of a new mesh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/mesh_edit.h"

#define KEY_A "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_B "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_C "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

#define MESH "[Mesh]\nNetwork = 10.44.0.0/24  # ours\n"
#define NODE_A "\n# the first\n[Node a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\n"
#define NODE_B "\n[Node b]\nAddress = 10.44.0.2\nSsh = root@b\n"
#define FILE_AB MESH NODE_A NODE_B

static struct conf *parse(const char *text)
{
    struct err err;
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), &err);
    if (!conf)
        fail_msg("%s", err.text);
    return conf;
}

static char *written(const struct conf *conf)
{
    struct buf text = BUF_EMPTY;
    conf_write(conf, &text);
    buf_add(&text, "", 0);
    return buf_take(&text);
}

struct edit {
    enum mesh_edit_kind kind;
    const char *node, *key, *value;
};

#define ADD(node) {MESH_EDIT_ADD_NODE, node, NULL, NULL}
#define REMOVE(node, date) {MESH_EDIT_REMOVE_NODE, node, NULL, date}
#define SET(node, key, value) {MESH_EDIT_SET, node, key, value}
#define MORE(node, key, value) {MESH_EDIT_ADD_VALUE, node, key, value}
#define FORGET(node) {MESH_EDIT_FORGET, node, NULL, NULL}

struct edit_case {
    const char *before;
    struct edit edits[6]; /* up to the first without anything */
    const char *after;    /* the whole document, or the error's words */
};

static bool is_there(const struct edit *edit)
{
    return edit->node || edit->key;
}

/* The document after the edits; the error and an unchanged document when they are refused. */
static int carry_out(const struct edit_case *one, char **text, struct err *err)
{
    struct conf *conf = parse(one->before);
    struct mesh_edits edits = {0};
    for (size_t i = 0; i < COUNT_OF(one->edits) && is_there(&one->edits[i]); i++)
        mesh_edits_add(&edits, one->edits[i].kind, one->edits[i].node, one->edits[i].key, one->edits[i].value);
    int result = mesh_edits_do(&edits, conf, err);
    *text = written(conf);
    conf_free(conf);
    mesh_edits_free(&edits);
    return result;
}

static void test_changes(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {FILE_AB, {ADD("c"), SET("c", "Address", "10.44.0.3"), SET("c", "ssh", "root@c")}, FILE_AB "\n[Node c]\nAddress = 10.44.0.3\nSsh = root@c\n"},
        {FILE_AB, {SET("a", "Address", "10.44.0.9")}, MESH "\n# the first\n[Node a]\nAddress = 10.44.0.9\nPublicKey = " KEY_A "\n" NODE_B},
        {FILE_AB, {SET(NULL, "Network", "10.44.0.0/16")}, "[Mesh]\nNetwork = 10.44.0.0/16  # ours\n" NODE_A NODE_B},
        {FILE_AB, {SET(NULL, "Reserved", "10.44.0.100")}, MESH "Reserved = 10.44.0.100\n" NODE_A NODE_B},
        {FILE_AB, {SET("b", "Ssh", NULL)}, MESH NODE_A "\n[Node b]\nAddress = 10.44.0.2\n"},
        {FILE_AB, {SET("b", "MTU", NULL)}, FILE_AB},
        {FILE_AB, {SET("b", "Ssh", "root@b")}, FILE_AB},
        {FILE_AB, {MORE("a", "FormerKey", KEY_B), SET("a", "PublicKey", KEY_C)},
         MESH "\n# the first\n[Node a]\nAddress = 10.44.0.1\nPublicKey = " KEY_C "\nFormerKey = " KEY_B "\n" NODE_B},
        {FILE_AB, {MORE("a", "FormerKey", KEY_B), MORE("a", "FormerKey", KEY_C), MORE("a", "FormerKey", KEY_B)},
         MESH "\n# the first\n[Node a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\nFormerKey = " KEY_B "\nFormerKey = " KEY_C "\n" NODE_B},
        /* A rotation that was put back: the two keys change places. */
        {FILE_AB, {MORE("a", "FormerKey", KEY_A), SET("a", "PublicKey", KEY_B), MORE("a", "FormerKey", KEY_C), SET("a", "PublicKey", KEY_A)},
         MESH "\n# the first\n[Node a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\nFormerKey = " KEY_C "\nFormerKey = " KEY_B "\n" NODE_B},
        {MESH "[Node a]\nAddress = 10.44.0.1\nFormerKey = " KEY_A "\n", {SET("a", "PublicKey", KEY_A)}, MESH "[Node a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\n"},
        {FILE_AB, {MORE("b", "Address", "10.44.0.2")}, FILE_AB},
        {FILE_AB, {MORE("b", "Address", "10.44.0.22")}, MESH NODE_A "\n[Node b]\nAddress = 10.44.0.2\nAddress = 10.44.0.22\nSsh = root@b\n"},
        {MESH "\n[Node b]\nAddress = 10.44.0.2 , 10.44.0.3\n", {MORE("b", "Address", "10.44.0.2"), MORE("b", "Address", "10.44.0.3")}, MESH "\n[Node b]\nAddress = 10.44.0.2 , 10.44.0.3\n"},
        /* Two nodes change places: only the whole fits together. */
        {FILE_AB, {SET("a", "Address", "10.44.0.2"), SET("b", "Address", "10.44.0.1")},
         MESH "\n# the first\n[Node a]\nAddress = 10.44.0.2\nPublicKey = " KEY_A "\n" "\n[Node b]\nAddress = 10.44.0.1\nSsh = root@b\n"},
        /* What a node leaves behind. */
        {FILE_AB, {REMOVE("a", "2026-11-23")}, MESH NODE_B "\n[Removed a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\nDate = 2026-11-23\n"},
        {FILE_AB, {REMOVE("b", "2026-11-23")}, MESH NODE_A "\n[Removed b]\nAddress = 10.44.0.2\nDate = 2026-11-23\n"},
        {FILE_AB, {REMOVE("b", NULL)}, MESH NODE_A "\n[Removed b]\nAddress = 10.44.0.2\n"},
        {MESH "[Node a]\nAddress = 10.44.0.1\nFormerKey = " KEY_B "\nAddress = 10.44.0.5,10.44.0.6\npublickey = " KEY_A "\nformerkey = " KEY_C "\n", {REMOVE("a", "2026-11-23")},
         MESH "\n[Removed a]\nAddress = 10.44.0.1, 10.44.0.5, 10.44.0.6\nPublicKey = " KEY_A "\nFormerKey = " KEY_B "\nFormerKey = " KEY_C "\nDate = 2026-11-23\n"},
        /* Twice removed: its first key is still to go. */
        {FILE_AB, {REMOVE("a", "2026-11-23"), ADD("a"), SET("a", "Address", "10.44.0.7"), SET("a", "PublicKey", KEY_B), REMOVE("a", "2026-11-24")},
         MESH NODE_B "\n[Removed a]\nAddress = 10.44.0.7, 10.44.0.1\nPublicKey = " KEY_B "\nFormerKey = " KEY_A "\nDate = 2026-11-24\n"},
        /* Done before, by somebody else. */
        {FILE_AB, {REMOVE("a", "2026-11-23"), REMOVE("a", "2026-11-25")}, MESH NODE_B "\n[Removed a]\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\nDate = 2026-11-23\n"},
        {FILE_AB, {REMOVE("a", "2026-11-23"), FORGET("a")}, MESH NODE_B},
        {FILE_AB, {FORGET("a")}, FILE_AB},
        /* Unknown keys and comments stay; so do line ends. */
        {"[Mesh]\r\nNetwork = 10.44.0.0/24\r\nColour = red # nice\r\n", {ADD("c"), SET("c", "Address", "10.44.0.3")},
         "[Mesh]\r\nNetwork = 10.44.0.0/24\r\nColour = red # nice\r\n\r\n[Node c]\r\nAddress = 10.44.0.3\r\n"},
        {"[Mesh]\nNetwork = 10.44.0.0/24", {SET(NULL, "name", "prod")}, "[Mesh]\nNetwork = 10.44.0.0/24\nName = prod\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {""};
        char *text;
        if (carry_out(&cases[i], &text, &err) != 0)
            fail_msg("case %zu: %s", i, err.text);
        if (strcmp(text, cases[i].after) != 0)
            fail_msg("case %zu:\n%s\nnot:\n%s", i, text, cases[i].after);
        free(text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {FILE_AB, {ADD("a")}, "mesh.conf:5: there is a node a already"},
        {FILE_AB, {ADD("B")}, "there is a node b already"},
        {FILE_AB, {ADD("x y")}, "mesh.conf: 'x y' is no name for a node: write letters"},
        {FILE_AB, {ADD("x]\n[Mesh")}, "is no name for a node"},
        {FILE_AB, {ADD("-x")}, "is no name for a node"},
        {FILE_AB, {ADD("")}, "is no name for a node"},
        {FILE_AB, {ADD("c")}, "with this change: mesh.conf:13: node c has no Address"},
        {FILE_AB, {ADD("c"), SET("c", "Address", "10.44.0.1")}, "address 10.44.0.1 of node c is already that of node a"},
        {FILE_AB, {ADD("c"), SET("c", "Address", "10.44.0.3"), SET("c", "PublicKey", KEY_A)}, "nodes a and c have the same PublicKey"},
        {FILE_AB, {ADD("c"), SET("c", "Address", "10.45.0.3")}, "is outside the mesh's networks"},
        {MESH "[Node web3]\nAddress = 10.44.0.1\n", {SET("wbe3", "MTU", "1400")}, "mesh.conf: no node wbe3: did you mean web3?"},
        {FILE_AB, {SET("something", "MTU", "1400")}, "mesh.conf: no node something"},
        {FILE_AB, {SET("b", "Adress", "10.44.0.3")}, "mesh.conf: unknown key Adress: did you mean Address?"},
        {FILE_AB, {SET("b", "Zzzz", "1")}, "mesh.conf: unknown key Zzzz: wgdeck-mesh(5) lists the keys of [Node]"},
        {FILE_AB, {SET("b", "Network", "10.0.0.0/8")}, "Network is a key of [Mesh], not of [Node]"},
        {FILE_AB, {SET("b", "Date", "2026-11-23")}, "Date is a key of [Removed], not of [Node]"},
        {FILE_AB, {SET(NULL, "Topology", "star")}, "mesh.conf: Topology = star is not known: write full, hub or groups"},
        {FILE_AB, {SET(NULL, "Topology", "hub")}, "Topology = hub and no hub"},
        {FILE_AB, {SET(NULL, "Network", NULL)}, "[Mesh] has no Network"},
        {FILE_AB, {SET("b", "Address", NULL)}, "node b has no Address"},
        {FILE_AB, {SET("b", "Endpoint", "h:0")}, "mesh.conf: node b: Endpoint = h:0 is not possible: write HOST:PORT"},
        {FILE_AB, {SET("b", "Ssh", "-oProxyCommand=id")}, "mesh.conf: node b: Ssh = -oProxyCommand=id begins with '-'"},
        {FILE_AB, {SET("b", "Ssh", "a;id")}, "has a character that no user or host name has"},
        {FILE_AB, {SET("b", "Ssh", "a\n[Node c]")}, "mesh.conf: node b: the value of Ssh has a character that cannot be seen"},
        {FILE_AB, {SET("b", "Address", "10.44.0.2\nSsh = x")}, "the value of Address has a character that cannot be seen"},
        {FILE_AB, {SET("b", "Address", "10.44.0.2,\r10.44.0.3")}, "cannot be seen"},
        {FILE_AB, {SET("b", "Group", "a\x1b[2J")}, "cannot be seen"},
        {FILE_AB, {SET("b", "Group", "a\xe2\x80\xae" "b")}, "cannot be seen"},
        {FILE_AB, {SET("b", "Group", "a # b")}, "Group = a # b is no name"},
        {FILE_AB, {SET("b", "Address", " 10.44.0.3")}, "the value of Address begins or ends with a space"},
        {FILE_AB, {SET("b", "Address", "")}, "mesh.conf: node b: the value of Address is empty: write Address = ADDRESS, ..."},
        {FILE_AB, {SET("b", "PublicKey", "abc")}, "mesh.conf: node b: PublicKey of node b is no WireGuard key"},
        {FILE_AB, {SET("b", "MTU", "100")}, "mesh.conf: node b: MTU = 100 is not possible"},
        {FILE_AB, {SET("b", NULL, "100")}, "mesh.conf: unknown key"},
        {FILE_AB, {MORE("b", "MTU", "1400")}, "MTU has one value only"},
        {FILE_AB, {MORE("b", "FormerKey", KEY_A)}, "with this change: mesh.conf:12: this key is to be taken out everywhere, and it is the PublicKey of node a (line 7)"},
        {FILE_AB, {MORE("b", "Address", NULL)}, "no value for Address"},
        {FILE_AB, {REMOVE("cc", "2026-11-23")}, "mesh.conf: no node cc"},
        {FILE_AB, {REMOVE("a", "today")}, "mesh.conf: node a: Date = today is no day"},
        {FILE_AB, {REMOVE("a", "2026-11-23"), ADD("c"), SET("c", "Address", "10.44.0.1"), SET("c", "PublicKey", KEY_A)}, "this key is to be taken out everywhere"},
        {MESH "Topology = hub\n[Node h]\nAddress = 10.44.0.1\nRole = hub\n" NODE_B, {REMOVE("h", "2026-11-23")}, "Topology = hub and no hub"},
        {FILE_AB, {FORGET("a b")}, "is no name for a node"},
        {"", {SET(NULL, "Name", "x")}, "mesh.conf: no [Mesh] section"},
        /* The first of them are good: none is done. */
        {FILE_AB, {SET("a", "MTU", "1400"), REMOVE("b", "2026-11-23"), SET("b", "MTU", "1400")}, "no node b"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {""};
        char *text;
        if (carry_out(&cases[i], &text, &err) == 0)
            fail_msg("case %zu accepted: %s\n%s", i, cases[i].after, text);
        if (!strstr(err.text, cases[i].after))
            fail_msg("case %zu says '%s', not '%s'", i, err.text, cases[i].after);
        if (strcmp(text, cases[i].before) != 0)
            fail_msg("case %zu (%s): refused, and the document is\n%s", i, err.text, text);
        free(text);
    }
}

static const char started[] =
    "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24, fd44::/64\nInterface = wg7\nListenPort = 51821\nTopology = groups\nPresharedKeys = yes\n";

static void test_start(void **state)
{
    (void)state;
    struct err err = {""};
    struct conf *conf = conf_new("mesh.conf");
    struct mesh_start start = {"prod", "10.44.0.0/24, fd44::/64", "groups", "wg7", 51821, true};
    if (mesh_start(&start, conf, &err) != 0)
        fail_msg("%s", err.text);
    char *text = written(conf);
    if (!strstr(text, started))
        fail_msg("%s", text);
    assert_true(strncmp(text, "# ", 2) == 0 && strstr(text, "#   [Node api]\n"));
    conf_free(conf);

    /* A person's editor, or 'wgdeck add', goes on. */
    struct buf warnings = BUF_EMPTY;
    struct mesh_edits edits = {0};
    conf = parse(text);
    free(text);
    mesh_edits_add(&edits, MESH_EDIT_ADD_NODE, "a", NULL, NULL);
    mesh_edits_add(&edits, MESH_EDIT_SET, "a", "Address", "10.44.0.1");
    mesh_edits_add(&edits, MESH_EDIT_SET, "a", "Group", "x");
    if (mesh_edits_do(&edits, conf, &err) != 0)
        fail_msg("%s", err.text);
    struct mesh *mesh = mesh_read(conf, &warnings, &err);
    assert_non_null(mesh);
    assert_string_equal(buf_text(&warnings), "");
    assert_int_equal(mesh->node_count, 1);
    assert_true(mesh->preshared_keys);
    mesh_free(mesh);
    conf_free(conf);
    mesh_edits_free(&edits);

    conf = conf_new("mesh.conf");
    start = (struct mesh_start){.networks = "10.44.0.0/24"};
    assert_int_equal(mesh_start(&start, conf, &err), 0);
    text = written(conf);
    assert_non_null(strstr(text, "\n[Mesh]\nNetwork = 10.44.0.0/24\n\n# Each node"));
    free(text);
    assert_int_equal(mesh_start(&start, conf, &err), -1); /* there is something in it */
    assert_non_null(strstr(err.text, "mesh.conf: there is something in it already"));
    conf_free(conf);
}

static void test_start_refused(void **state)
{
    (void)state;
    static const struct {
        struct mesh_start start;
        const char *says;
    } cases[] = {
        {{.name = "prod"}, "[Mesh] has no Network"},
        {{.networks = "10.44.0.0/240"}, "mesh.conf: Network = 10.44.0.0/240"},
        {{.networks = "10.0.0.0/8, 10.1.0.0/16"}, "overlap"},
        {{.networks = "10.44.0.0/24", .name = "a b"}, "a b is no name"},
        {{.networks = "10.44.0.0/24", .topology = "ring"}, "Topology = ring is not known"},
        {{.networks = "10.44.0.0/24", .interface = "../../x"}, "is no name for an interface"},
        {{.networks = "10.44.0.0/24\nName = x"}, "cannot be seen"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {""};
        struct conf *conf = conf_new("mesh.conf");
        assert_int_equal(mesh_start(&cases[i].start, conf, &err), -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("says '%s', not '%s'", err.text, cases[i].says);
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes), cmocka_unit_test(test_refused), cmocka_unit_test(test_start), cmocka_unit_test(test_start_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
