/* Exporting: each form against tests/golden/export (UPDATE_GOLDEN=1 writes them anew); wg-quick accepts each file; what is exported, imported again, asks for the same rows. */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cmd/qr.h"
#include "wgdeck/export.h"
#include "wgdeck/file.h"
#include "wgdeck/import.h"

#define KEY(c) "PublicKey = " c "nrPrr1H05FB2GY3u7wGyzLoP4VEN6cHUcQM5Jm3QaA=\n"

static const char full[] = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24, fd44::/64\nPresharedKeys = yes\n"
                           "[Node api]\nSsh = root@203.0.113.1\nAddress = 10.44.0.1, fd44::1\nEndpoint = 203.0.113.1:51820\n" KEY("A")
                           "[Node db]\nSsh = root@db\nAddress = 10.44.0.2, fd44::2\nEndpoint = db.example.org:51999\nListenPort = 51999\nAllowedIPs = 192.168.9.0/24\nMTU = 1380\n" KEY("B")
                           "[Node nat]\nSsh = root@nat\nAddress = 10.44.0.3, fd44::3\n" KEY("C")
                           "[Node fresh]\nSsh = root@fresh\nAddress = 10.44.0.4, fd44::4\nEndpoint = [2001:db8::4]:51820\n"
                           "[Node phone]\nAddress = 10.44.0.5, fd44::5\n" KEY("D");
static const char hub[] = "[Mesh]\nName = star\nNetwork = 10.45.0.0/16\nTopology = hub\nInterface = wg7\nPersistentKeepalive = off\n"
                          "[Node hub]\nSsh = root@203.0.113.1\nAddress = 10.45.0.1\nEndpoint = 203.0.113.1:51820\nRole = hub\n" KEY("A")
                          "[Node s1]\nSsh = root@s1\nAddress = 10.45.0.2\n" KEY("B")
                          "[Node s2]\nSsh = root@s2\nAddress = 10.45.0.3\nAllowedIPs = 172.20.0.0/16\n" KEY("C")
                          "[Node s3]\nSsh = root@s3\nAddress = 10.45.0.4\n" KEY("D");
static const char groups[] = "[Mesh]\nNetwork = 10.46.0.0/16\nTopology = groups\n"
                             "[Node a1]\nAddress = 10.46.1.1\nEndpoint = 203.0.113.1\nGroup = a\nRole = gateway\n" KEY("A")
                             "[Node a2]\nAddress = 10.46.1.2\nEndpoint = 203.0.113.2\nGroup = a\n" KEY("B")
                             "[Node b1]\nAddress = 10.46.2.1\nEndpoint = 203.0.113.3\nGroup = b\nRole = gateway\n" KEY("C")
                             "[Node b2]\nAddress = 10.46.2.2\nGroup = b\n" KEY("D");
static const char *const meshes[] = {full, hub, groups};

static struct mesh *read_mesh(const char *text)
{
    struct err err;
    struct conf *conf = conf_parse("mesh.conf", text, strlen(text), &err);
    struct mesh *mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!mesh)
        fail_msg("%s", err.text);
    conf_free(conf);
    return mesh;
}

static const struct {
    const char *golden, *mesh, *node;
    enum export_format format;
    bool with_key;
} goldens[] = {
    {"api.wg-quick", full, "api", EXPORT_WG_QUICK, false},   {"db.wg-quick", full, "db", EXPORT_WG_QUICK, false},
    {"phone.wg-quick", full, "phone", EXPORT_WG_QUICK, true}, {"db.networkd", full, "db", EXPORT_NETWORKD, false},
    {"nat.json", full, "nat", EXPORT_JSON, false},           {"hub.wg-quick", hub, "hub", EXPORT_WG_QUICK, false},
    {"s2.wg-quick", hub, "s2", EXPORT_WG_QUICK, false},      {"hub.networkd", hub, "hub", EXPORT_NETWORKD, false},
    {"a1.wg-quick", groups, "a1", EXPORT_WG_QUICK, false},   {"b2.networkd", groups, "b2", EXPORT_NETWORKD, false},
};

static void compare(const char *name, const struct exported *exported)
{
    struct err err;
    struct buf all = BUF_EMPTY, wanted = BUF_EMPTY;
    char *path = mem_format("tests/golden/export/%s", name);
    for (size_t i = 0; i < exported->count; i++)
        buf_add(&all, exported->parts[i].text.data, exported->parts[i].text.length);
    buf_add_format(&all, "--- notes\n%s", buf_text(&exported->notes));
    if (getenv("UPDATE_GOLDEN"))
        assert_int_equal(file_write(path, 0644, all.data, all.length, &err), 0);
    if (file_read(path, 1 << 20, &wanted, &err))
        fail_msg("%s", err.text);
    if (wanted.length != all.length || memcmp(wanted.data, all.data, all.length))
        fail_msg("%s differs (UPDATE_GOLDEN=1 writes it anew); now it is:\n%s", path, buf_text(&all));
    buf_free(&all);
    buf_free(&wanted);
    free(path);
}

static void test_goldens(void **state)
{
    (void)state;
    const struct key made = {{8, 1, [31] = 64}};
    if (access("tests/golden/export", R_OK))
        skip(); /* not run from the top of the checkout */
    for (size_t i = 0; i < COUNT_OF(goldens); i++) {
        struct mesh *mesh = read_mesh(goldens[i].mesh);
        struct desired *desired = desired_new(mesh);
        struct exported exported;
        export_node(mesh, desired, mesh_find_node(mesh, goldens[i].node), goldens[i].format, goldens[i].with_key ? &made : NULL, &exported);
        compare(goldens[i].golden, &exported);
        exported_free(&exported);
        desired_free(desired);
        mesh_free(mesh);
    }
}

/* The real wg-quick reads each file; what it strips away is its own, the rest wg's. */
static void test_wg_quick_accepts(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/export-test-XXXXXX";
    if (system("command -v wg-quick >/dev/null") || geteuid())
        skip();
    assert_non_null(mkdtemp(folder));
    char *path = mem_format("%s/wg0.conf", folder), *command = mem_format("wg-quick strip %s > %s/out 2>&1", path, folder), *out = mem_format("%s/out", folder);
    for (size_t m = 0; m < COUNT_OF(meshes); m++) {
        struct mesh *mesh = read_mesh(meshes[m]);
        struct desired *desired = desired_new(mesh);
        for (size_t i = 0; i < mesh->node_count; i++) {
            struct exported exported;
            struct buf said = BUF_EMPTY;
            export_node(mesh, desired, i, EXPORT_WG_QUICK, NULL, &exported);
            assert_int_equal(file_write(path, 0600, exported.parts[0].text.data, exported.parts[0].text.length, &err), 0);
            int status = system(command);
            assert_int_equal(file_read(out, 1 << 20, &said, &err), 0);
            if (status || strstr(buf_text(&said), "Address") || strstr(buf_text(&said), "PostUp"))
                fail_msg("%s: %s", mesh->nodes[i].name, buf_text(&said));
            buf_free(&said);
            exported_free(&exported);
        }
        desired_free(desired);
        mesh_free(mesh);
    }
    unlink(path);
    unlink(out);
    rmdir(folder);
    free(path);
    free(command);
    free(out);
}

static void assert_same_rows(const struct mesh *one, const struct mesh *two)
{
    struct desired *a = desired_new(one), *b = desired_new(two);
    assert_int_equal(one->node_count, two->node_count);
    for (size_t i = 0; i < one->node_count; i++) {
        size_t same = mesh_find_node(two, one->nodes[i].name);
        if (same == SIZE_MAX)
            fail_msg("%s is lost", one->nodes[i].name);
        assert_int_equal(a->nodes[i].row_count, b->nodes[same].row_count);
        for (size_t r = 0; r < a->nodes[i].row_count; r++) {
            const struct desired_row *row = &a->nodes[i].rows[r];
            const struct desired_row *other = desired_row_find(&b->nodes[same], mesh_find_node(two, one->nodes[row->peer].name));
            if (!other || other->allowed_count != row->allowed_count || other->keepalive != row->keepalive || !row->endpoint != !other->endpoint ||
                (row->endpoint && strcmp(row->endpoint, other->endpoint)))
                fail_msg("%s: its row of %s is another one", one->nodes[i].name, one->nodes[row->peer].name);
            for (size_t p = 0; p < row->allowed_count; p++)
                assert_int_equal(prefix_compare(&row->allowed[p], &other->allowed[p]), 0);
        }
    }
    desired_free(a);
    desired_free(b);
}

/* Out and in again: the same rows. The key that is not known yet is left out of the first mesh. */
static void test_round(void **state)
{
    (void)state;
    struct err err;
    for (size_t m = 0; m < COUNT_OF(meshes); m++)
        for (int format = EXPORT_WG_QUICK; format <= EXPORT_JSON; format += EXPORT_JSON - EXPORT_WG_QUICK) {
            char *text = mem_text(meshes[m]);
            char *fresh = strstr(text, "[Node fresh]"), *phone = strstr(text, "[Node phone]");
            if (fresh)
                memmove(fresh, phone, strlen(phone) + 1);
            struct mesh *mesh = read_mesh(text);
            struct desired *desired = desired_new(mesh);
            struct import *import = import_new();
            for (size_t i = 0; i < mesh->node_count; i++) {
                struct exported exported;
                char *path = mem_format("%s/%s.conf", mesh->nodes[i].name, mesh->interface);
                export_node(mesh, desired, i, (enum export_format)format, NULL, &exported);
                if (import_add(import, path, exported.parts[0].text.data, exported.parts[0].text.length, NULL, &err))
                    fail_msg("%s", err.text);
                exported_free(&exported);
                free(path);
            }
            struct conf *conf = conf_new("mesh.conf");
            if (import_mesh(import, conf, NULL, &err))
                fail_msg("%s", err.text);
            struct mesh *again = mesh_read(conf, NULL, &err);
            assert_non_null(again);
            assert_same_rows(mesh, again);
            mesh_free(again);
            conf_free(conf);
            import_free(import);
            desired_free(desired);
            mesh_free(mesh);
            free(text);
        }
}

static void test_qr(void **state)
{
    (void)state;
    struct err err;
    struct buf out = BUF_EMPTY;
    const struct terminal plain = {.width = 80}, utf8 = {.width = 80, .utf8 = true};
    char *long_text = mem_alloc(4000, 1);
    memset(long_text, 'x', 3999);
    if (qr_add("x", &plain, &out, &err)) {
        assert_non_null(strstr(err.text, "without libqrencode"));
        free(long_text);
        skip();
    }
    /* Version 1: 21 modules and a quiet zone of 2 on each side, two characters each. The finder's 7 dark modules begin the third line. */
    assert_int_equal(out.length, (25 * 2 + 1) * 25);
    assert_memory_equal(out.data + 2 * 51, "####              ##", 20);
    buf_clear(&out);
    assert_int_equal(qr_add("x", &utf8, &out, &err), 0);
    assert_non_null(strstr(buf_text(&out), "▀"));
    assert_int_equal(qr_add(long_text, &utf8, &out, &err), -1);
    assert_non_null(strstr(err.text, "2,953"));
    buf_free(&out);
    free(long_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens), cmocka_unit_test(test_wg_quick_accepts), cmocka_unit_test(test_round), cmocka_unit_test(test_qr)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
