/* The wizard without a terminal: each step with right and wrong answers, back, left and resumed, nothing written before the plan was agreed to; and its screens, against tests/golden/wizard
 * (UPDATE=1 writes them anew: look at each). */
#include "unit.h"

#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deck/wizard_private.h"
#include "tui/tui_private.h"
#include "tui/wizard_face.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

static const char folder[] = "tests/golden/wizard";
static char work[] = "/tmp/wgdeck-wizard-XXXXXX";

static const char mesh_text[] =
    "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\n\n[Node api]\nSsh = root@203.0.113.1\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1:51820\nAllowedIPs = 192.168.7.0/24\n\n"
    "[Node db]\nSsh = root@203.0.113.2\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\n\n[Node phone]\nAddress = 10.44.0.3\n";
static const char groups_text[] =
    "[Mesh]\nName = g\nNetwork = 10.44.0.0/24\nTopology = groups\n\n[Node a]\nSsh = a\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nGroup = berlin\nRole = gateway\n\n"
    "[Node b]\nSsh = b\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\nGroup = paris\nRole = gateway\n";

struct setting {
    struct ev_loop *loop;
    struct wizard *wizard;
    char *path, *state;
    unsigned told;
};

static void changed(void *context, struct wizard *wizard)
{
    struct setting *setting = context;
    (void)wizard;
    setting->told++;
}

static struct setting begin(enum wizard_kind kind, const char *text, const char *node)
{
    static const struct wizard_callbacks callbacks = {.changed = changed};
    static struct setting setting;
    struct err err;
    setting = (struct setting){.loop = ev_loop_new(EVFLAG_AUTO), .path = mem_format("%s/mesh.conf", work), .state = mem_format("%s/state", work)};
    if (text)
        assert_int_equal(file_write(setting.path, 0644, text, strlen(text), &err), 0);
    else
        unlink(setting.path);
    const struct wizard_options options = {.kind = kind, .path = setting.path, .node = node, .state = setting.state};
    setting.wizard = wizard_new(setting.loop, &options, &callbacks, &setting, &err);
    if (!setting.wizard)
        fail_msg("%s", err.text);
    setting.wizard->context = NULL;
    setting.wizard->callbacks.changed = NULL;
    return setting;
}

static void end(struct setting *setting)
{
    wizard_free(setting->wizard);
    ev_loop_destroy(setting->loop);
    free(setting->path);
    free(setting->state);
}

static void forget(void)
{
    char *path = mem_format("%s/state/wizard.json", work);
    unlink(path);
    free(path);
}

/* What the host would have shown. */
static void host_is_seen(struct wizard *wizard)
{
    static const char facts[] =
        "{\"hostname\":\"web\",\"os\":\"Debian GNU/Linux 12\",\"system\":\"x86_64\",\"init\":\"systemd\",\"root\":true,\"kernel\":true,\"tun\":true,\"engine\":null,\"ports\":[53,51820],"
        "\"addresses\":[\"203.0.113.7/24\"],\"firewall\":[\"nft: input policy drop, nothing accepts udp 51820\"],\"service\":null,\"pending\":null}";
    struct err err;
    wizard->then = NULL;
    ev_timer_stop(wizard->loop, &wizard->later);
    wizard->seen = (struct observation){.reach = REACH_OK, .hostname = mem_text("web.example.org"), .dialled = mem_text("203.0.113.7")};
    wizard->has_seen = true;
    wizard->seen.links = mem_alloc(1, sizeof *wizard->seen.links);
    wizard->seen.link_count = 1;
    snprintf(wizard->seen.links[0].name, sizeof wizard->seen.links[0].name, "eth0");
    wizard->seen.links[0].addresses = mem_alloc(1, sizeof *wizard->seen.links[0].addresses);
    wizard->seen.links[0].address_count = 1;
    assert_int_equal(prefix_parse("203.0.113.7/24", &wizard->seen.links[0].addresses[0]), 0);
    wizard->facts = json_parse(facts, strlen(facts), &err);
    assert_non_null(wizard->facts);
    wizard_next(wizard);
}

static void assert_step(struct wizard *wizard, const char *name)
{
    assert_string_equal(wizard_step(wizard).name, name);
}

/* Refused, with a line that says what to write; the step stays. */
static void assert_refused(struct wizard *wizard, const char *text, const char *says)
{
    const char *name = wizard_step(wizard).name;
    if (!wizard_answer(wizard, text))
        fail_msg("%s: \"%s\" was taken", name, text);
    assert_step(wizard, name);
    const char *problem = wizard_step(wizard).problem;
    if (!problem || !strstr(problem, says) || strchr(problem, '\n'))
        fail_msg("%s: \"%s\": %s", name, text, problem ? problem : "no problem is told");
}

static void assert_taken(struct wizard *wizard, const char *text)
{
    if (wizard_answer(wizard, text))
        fail_msg("%s: \"%s\": %s", wizard_step(wizard).name, text, wizard_step(wizard).problem);
    assert_null(wizard_step(wizard).problem);
}

static void test_wrong_answers(void **state)
{
    static const struct { const char *step, *wrong, *says, *right; } cases[] = {
        {"target", "", "user@host", NULL},
        {"target", "-oProxyCommand=x", "no SSH target", NULL},
        {"target", "root@host;reboot", "no SSH target", NULL},
        {"target", "$(reboot)", "no SSH target", NULL},
        {"target", "a b", "no SSH target", NULL},
        {"target", "none", "wgdeck add NAME none", NULL},
        {"target", "root@203.0.113.1", "is the node api already", "root@203.0.113.7"},
        {"facts", NULL, NULL, ""},
        {"name", "two words", "no name of a node", NULL},
        {"name", "../etc", "no name of a node", NULL},
        {"name", "db", "write another name", ""},
        {"address", "10.99.0.1", "outside", NULL},
        {"address", "10.44.0.1", "10.44.0.1", NULL},
        {"address", "hello", "hello", ""},
        {"endpoint", "1.2.3.4:99999", "99999", NULL},
        {"endpoint", "a b", "write HOST:PORT", ""},
    };
    (void)state;
    forget();
    struct setting setting = begin(WIZARD_ADD, mesh_text, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_step(setting.wizard, cases[i].step);
        if (cases[i].wrong)
            assert_refused(setting.wizard, cases[i].wrong, cases[i].says);
        if (cases[i].right)
            assert_taken(setting.wizard, cases[i].right);
        if (wizard_step(setting.wizard).way == WIZARD_WORKS && !strcmp(wizard_step(setting.wizard).name, "probe"))
            host_is_seen(setting.wizard);
    }
    assert_step(setting.wizard, "planning");
    struct mesh_edits edits = {0};
    wizard_make_edits(setting.wizard, &edits);
    static const struct { const char *key, *value; } wanted[] = {{NULL, NULL}, {"Ssh", "root@203.0.113.7"}, {"Address", "10.44.0.4"}, {"Endpoint", "203.0.113.7:51820"}};
    assert_int_equal(edits.count, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_string_equal(edits.edits[i].node, "web");
        if (wanted[i].key) {
            assert_string_equal(edits.edits[i].key, wanted[i].key);
            assert_string_equal(edits.edits[i].value, wanted[i].value);
        }
    }
    mesh_edits_free(&edits);
    struct buf now = BUF_EMPTY;
    struct err err;
    assert_int_equal(file_read(setting.path, 1 << 20, &now, &err), 0);
    assert_string_equal(buf_text(&now), mesh_text);
    buf_free(&now);
    end(&setting);
}

static void test_group_and_role(void **state)
{
    (void)state;
    forget();
    struct setting setting = begin(WIZARD_ADD, groups_text, NULL);
    assert_taken(setting.wizard, "root@203.0.113.7");
    host_is_seen(setting.wizard);
    for (int i = 0; i < 4; i++)
        assert_taken(setting.wizard, "");
    assert_step(setting.wizard, "group");
    assert_string_equal(wizard_step(setting.wizard).proposal, "berlin");
    assert_refused(setting.wizard, "none", "every node has a group");
    assert_taken(setting.wizard, "oslo");
    assert_step(setting.wizard, "role");
    assert_string_equal(wizard_step(setting.wizard).proposal, "gateway"); /* a new group has none yet */
    assert_refused(setting.wizard, "boss", "none, hub, gateway or relay");
    wizard_back(setting.wizard);
    assert_step(setting.wizard, "group");
    assert_string_equal(wizard_step(setting.wizard).proposal, "oslo");
    end(&setting);
}

static void test_back_and_resume(void **state)
{
    struct stat status;
    (void)state;
    forget();
    struct setting setting = begin(WIZARD_ADD, mesh_text, NULL);
    assert_false(wizard_can_go_back(setting.wizard));
    assert_taken(setting.wizard, "root@203.0.113.7");
    host_is_seen(setting.wizard);
    assert_taken(setting.wizard, "");
    assert_taken(setting.wizard, "cache");
    wizard_back(setting.wizard);
    assert_step(setting.wizard, "name");
    assert_string_equal(wizard_step(setting.wizard).proposal, "cache");
    wizard_back(setting.wizard);
    wizard_back(setting.wizard);
    assert_step(setting.wizard, "target");
    end(&setting);

    char *kept = mem_format("%s/state/wizard.json", work);
    assert_int_equal(stat(kept, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    free(kept);
    setting = begin(WIZARD_ADD, mesh_text, NULL);
    assert_step(setting.wizard, "resume");
    assert_refused(setting.wizard, "perhaps", "yes or no");
    assert_taken(setting.wizard, "yes");
    assert_string_equal(wizard_step(setting.wizard).proposal, "root@203.0.113.7");
    assert_taken(setting.wizard, "");
    host_is_seen(setting.wizard);
    assert_taken(setting.wizard, "");
    assert_string_equal(wizard_step(setting.wizard).proposal, "cache");
    end(&setting);

    setting = begin(WIZARD_ADD, mesh_text, NULL); /* another host: nothing of the old one is proposed */
    assert_taken(setting.wizard, "yes");
    assert_taken(setting.wizard, "root@203.0.113.9");
    host_is_seen(setting.wizard);
    assert_taken(setting.wizard, "");
    assert_string_equal(wizard_step(setting.wizard).proposal, "web");
    end(&setting);
    forget();
}

static void test_kept_answers_are_checked(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"answers\":3}", "{\"answers\":{\"target\":7}}", "{\"answers\":{\"target\":\"a\\u001b[2J\"}}"};
    struct err err;
    (void)state;
    char *path = mem_format("%s/state/wizard.json", work);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(file_write(path, 0600, texts[i], strlen(texts[i]), &err), 0);
        struct setting setting = begin(WIZARD_ADD, mesh_text, NULL);
        CASE_ASSERT(i, !strcmp(wizard_step(setting.wizard).name, "target"));
        end(&setting);
    }
    free(path);
    forget();
}

static void test_remove(void **state)
{
    struct wizard_line lines[16];
    (void)state;
    struct setting setting = begin(WIZARD_REMOVE, groups_text, NULL);
    assert_refused(setting.wizard, "", "write its name");
    assert_refused(setting.wizard, "c", "no node \"c\"");
    assert_taken(setting.wizard, "a");
    assert_step(setting.wizard, "consequences");
    size_t count = wizard_lines(setting.wizard, lines, COUNT_OF(lines));
    assert_int_equal(count, 3);
    assert_string_equal(lines[0].text, "1 link with it ends: b");
    assert_true(lines[1].warning && strstr(lines[1].text, "only gateway of its group"));
    end(&setting);
    setting = begin(WIZARD_ROTATE, mesh_text, NULL);
    assert_string_equal(wizard_step(setting.wizard).proposal, "all");
    assert_refused(setting.wizard, "phone", "wgdeck export phone --new-key");
    assert_taken(setting.wizard, "api, db");
    assert_step(setting.wizard, "planning");
    end(&setting);
}

static void test_init(void **state)
{
    struct err err;
    (void)state;
    struct setting setting = begin(WIZARD_INIT, NULL, NULL);
    assert_refused(setting.wizard, "two words", "no name of a mesh");
    assert_taken(setting.wizard, "prod");
    assert_refused(setting.wizard, "10.0.0.0/99", "10.44.0.0/24");
    assert_taken(setting.wizard, "");
    assert_refused(setting.wizard, "star", "full, hub or groups");
    assert_int_not_equal(access(setting.path, F_OK), 0); /* nothing is written before the end */
    assert_taken(setting.wizard, "HUB");
    assert_step(setting.wizard, "end");
    assert_true(wizard_succeeded(setting.wizard));
    struct mesh_file file;
    assert_int_equal(mesh_file_read(setting.path, &file, NULL, &err), 0);
    assert_int_equal(file.mesh->topology, TOPOLOGY_HUB);
    mesh_file_free(&file);
    end(&setting);
}

/* --- screens */

static void compare(const char *name, const struct buf *text)
{
    struct err err;
    struct buf wanted = BUF_EMPTY;
    char *path = mem_format("%s/%s", folder, name);
    if (getenv("UPDATE")) {
        assert_int_equal(file_make_folders(folder, 0755, &err), 0);
        assert_int_equal(file_write(path, 0644, text->data, text->length, &err), 0);
    } else if (file_read(path, 1 << 20, &wanted, &err)) {
        fail_msg("%s (UPDATE=1 writes it)", err.text);
    } else {
        assert_string_equal(buf_text(text), buf_text(&wanted));
    }
    buf_free(&wanted);
    free(path);
}

static void draw(struct face *face, struct wizard *wizard, const char *name)
{
    static const struct { int rows, columns; bool ascii; const char *word; } sizes[] = {{24, 80, false, "80x24"}, {24, 80, true, "80x24-ascii"}, {60, 200, false, "200x60"}};
    struct scene scene = {.filter = ""};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct surface surface = {.ascii = sizes[i].ascii};
        struct buf text = BUF_EMPTY;
        surface_resize(&surface, sizes[i].rows, sizes[i].columns);
        struct area area = area_whole(&surface);
        area_fill(&area);
        face->spin = 0;
        face_draw(face, wizard, &scene, &area);
        surface_to_text(&surface, false, &text);
        char *file = mem_format("%s-%s.golden", name, sizes[i].word);
        compare(file, &text);
        free(file);
        buf_free(&text);
        surface_free(&surface);
    }
}

static void type(struct face *face, struct wizard *wizard, const char *text)
{
    for (; *text; text++)
        face_key(face, wizard, &(struct key_event){.code = *text == '\n' ? KEY_CODE_ENTER : (uint32_t)*text});
}

static void test_screens(void **state)
{
    struct face face = {.top = 0};
    struct err err;
    (void)state;
    forget();
    struct setting setting = begin(WIZARD_ADD, mesh_text, NULL);
    struct wizard *wizard = setting.wizard;
    draw(&face, wizard, "target");
    type(&face, wizard, "-x\n");
    draw(&face, wizard, "target-wrong");
    face_key(&face, wizard, &(struct key_event){.code = 21}); /* ctrl-u */
    type(&face, wizard, "root@203.0.113.7\n");
    draw(&face, wizard, "probe");
    host_is_seen(wizard);
    draw(&face, wizard, "facts");
    assert_taken(wizard, "");
    assert_taken(wizard, "");
    assert_taken(wizard, "");
    draw(&face, wizard, "endpoint");
    wizard_text(&wizard->answers[AT_ENDPOINT], "203.0.113.7:51820");

    /* The plan of the mesh with it, where nobody was reached but the new host. */
    mesh_file_read(setting.path, &wizard->planned, NULL, &err);
    wizard_make_edits(wizard, &wizard->edits);
    assert_int_equal(mesh_edits_do(&wizard->edits, wizard->planned.conf, &err), 0);
    struct mesh *mesh = mesh_read(wizard->planned.conf, NULL, &err);
    struct desired *desired = desired_new(mesh);
    struct observed *seen = observed_new(mesh->node_count);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].ssh && strcmp(mesh->nodes[i].name, "db")) {
            seen->nodes[i].reach = REACH_OK;
            seen->nodes[i].privileged = true;
            seen->nodes[i].kernel_has_wireguard = true;
        }
    struct plan *plan = plan_new(mesh, desired, seen, &(struct plan_options){.now = 1});
    wizard->given_plan = plan;
    wizard_enter(wizard, AT_PLAN);
    draw(&face, wizard, "plan");
    face.agreeing = true;
    type(&face, wizard, "ye");
    draw(&face, wizard, "plan-asked");
    type(&face, wizard, "ah\n");
    assert_step(wizard, "plan");
    assert_non_null(strstr(wizard_step(wizard).problem, "write yes"));
    wizard->given_plan = NULL;
    buf_add_text(&wizard->report, "web: port 51820 is in use there by dnsmasq: stop it, or set ListenPort\nEverything was put back.\n");
    wizard_enter(wizard, AT_END);
    draw(&face, wizard, "end-failed");
    plan_free(plan);
    observed_free(seen);
    desired_free(desired);
    mesh_free(mesh);
    face_free(&face);
    end(&setting);
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_answers), cmocka_unit_test(test_group_and_role), cmocka_unit_test(test_back_and_resume), cmocka_unit_test(test_kept_answers_are_checked),
        cmocka_unit_test(test_remove),        cmocka_unit_test(test_init),           cmocka_unit_test(test_screens),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    if (!mkdtemp(work))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *path = mem_format("%s/mesh.conf", work), *state = mem_format("%s/state", work);
    unlink(path);
    rmdir(state);
    rmdir(work);
    free(path);
    free(state);
    return failed;
}
