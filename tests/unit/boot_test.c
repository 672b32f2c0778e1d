/* What brings an interface up at boot: each init system in a folder that stands for a node's root. */
#include "unit.h"

#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/boot.h"
#include "node/change.h"
#include "node/relay_service.h"
#include "wgdeck/file.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/wgdeck-boot-test-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *in_root(const char *path)
{
    return mem_format("%s%s", root, path);
}

static void make_folder_of(const char *path)
{
    char *whole = in_root(path);
    struct err err;
    *strrchr(whole, '/') = '\0';
    assert_int_equal(file_make_folders(whole, 0755, &err), 0);
    free(whole);
}

/* A folder when PATH ends in a slash. */
static void put(const char *path, const char *text)
{
    char *whole = in_root(path);
    struct err err;
    make_folder_of(path);
    if (path[strlen(path) - 1] != '/')
        assert_int_equal(file_write(whole, 0644, text, strlen(text), &err), 0);
    free(whole);
}

static void put_link(const char *path, const char *target)
{
    char *whole = in_root(path);
    make_folder_of(path);
    assert_int_equal(symlink(target, whole), 0);
    free(whole);
}

static bool is_there(const char *path)
{
    struct stat status;
    char *whole = in_root(path);
    bool there = lstat(whole, &status) == 0;
    free(whole);
    return there;
}

static mode_t mode_of(const char *path)
{
    struct stat status = {0};
    char *whole = in_root(path);
    int result = lstat(whole, &status);
    free(whole);
    return result ? 0 : status.st_mode & 07777;
}

static char *text_of(const char *path)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    char *whole = in_root(path);
    assert_int_equal(file_read(whole, 1 << 20, &text, &err), 0);
    free(whole);
    return buf_take(&text);
}

static void assert_found(const char *name, const char *wanted)
{
    char *found = boot_find(root, name);
    assert_non_null(found);
    assert_string_equal(found, wanted);
    free(found);
}

static int shell_accepts(const char *path)
{
    char *command = mem_format("sh -n %s%s", root, path);
    int status = system(command);
    free(command);
    return status;
}

static void enable(const char *name, int wanted, const char *words)
{
    struct buf said = BUF_EMPTY;
    struct err err = {""};
    assert_int_equal(boot_check(root, name, &err), 0);
    int result = boot_enable(root, name, &said, &err);
    if (result != wanted || !strstr(buf_text(&said), words))
        fail_msg("%d, \"%s\", %s", result, buf_text(&said), err.text);
    buf_free(&said);
}

static void disable(const char *name, int wanted, const char *words)
{
    struct buf said = BUF_EMPTY;
    struct err err = {""};
    int result = boot_disable(root, name, &said, &err);
    if (result != wanted || !strstr(buf_text(&said), words))
        fail_msg("%d, \"%s\", %s", result, buf_text(&said), err.text);
    buf_free(&said);
}

/* --- each init system */

static const struct {
    const char *name, *signs[3], *found, *script, *enabled, *has;
    bool shell;
} systems[] = {
    {"systemd", {"/run/systemd/system/"}, "wgdeck@wg0.service", "/etc/systemd/system/wgdeck@.service", "/etc/systemd/system/multi-user.target.wants/wgdeck@wg0.service",
     "ExecStart=/usr/local/lib/wgdeck/wgdeck up %i\n", false},
    {"openrc", {"/run/openrc/"}, "wgdeck.wg0", "/etc/init.d/wgdeck.wg0", "/etc/runlevels/default/wgdeck.wg0", "/usr/local/lib/wgdeck/wgdeck up wg0 ", true},
    {"sysv", {"/etc/init.d/rc"}, "/etc/init.d/wgdeck-wg0", "/etc/init.d/wgdeck-wg0", "/etc/rc2.d/S90wgdeck-wg0", "/usr/local/lib/wgdeck/wgdeck up wg0 ", true},
    {"cron", {"/usr/sbin/crond", "/etc/cron.d/"}, "cron", "/etc/cron.d/wgdeck-wg0", "/etc/cron.d/wgdeck-wg0", "/usr/local/lib/wgdeck/wgdeck up wg0 ", false},
};

static void test_systems(void **state)
{
    for (size_t i = 0; i < COUNT_OF(systems); i++) {
        assert_int_equal(make_root(state), 0);
        assert_string_equal(boot_init(root), "none");
        for (size_t s = 0; systems[i].signs[s]; s++)
            put(systems[i].signs[s], "");
        assert_string_equal(boot_init(root), systems[i].name);
        assert_found("wg0", "");
        enable("wg0", 0, systems[i].name);
        assert_found("wg0", systems[i].found);
        assert_found("wg", "");
        assert_found("wg01", "");
        assert_true(is_there(systems[i].enabled));
        char *text = text_of(systems[i].script);
        if (!strstr(text, systems[i].has) || strstr(text, "@PROGRAM@") || strstr(text, "@BIN@"))
            fail_msg("%s", text);
        free(text);
        if (systems[i].shell) {
            assert_int_equal(shell_accepts(systems[i].script), 0);
            assert_int_equal(mode_of(systems[i].script), 0755);
        }
        assert_int_equal(mode_of("/usr/local/lib/wgdeck/wgdeck"), 0755);
        enable("wg0", 0, systems[i].found); /* once more: it stays */
        enable("wg1", 0, systems[i].name);
        disable("wg0", 0, "any more");
        assert_false(is_there(systems[i].enabled));
        assert_found("wg0", "");
        disable("wg0", 0, "any more");
        char *other = boot_find(root, "wg1");
        assert_true(other && *other); /* another interface's stays */
        free(other);
        assert_int_equal(remove_root(state), 0);
    }
}

static void test_the_texts_can_be_run(void **state)
{
    (void)state;
    struct buf log = BUF_EMPTY;
    struct err err;
    put("/etc/init.d/rc", "");
    enable("nosuch9", 0, "sysv");
    char *script = in_root("/etc/init.d/wgdeck-nosuch9"), *text = text_of("/etc/init.d/wgdeck-nosuch9"), *program = in_root("/program"), *log_path = in_root("/log");
    struct buf changed = BUF_EMPTY; /* another program in the place of the installed one */
    for (const char *at = text; *at;) {
        static const char place[] = "/usr/local/lib/wgdeck/wgdeck";
        bool here = !strncmp(at, place, sizeof place - 1);
        buf_add_text(&changed, here ? program : "");
        if (here)
            at += sizeof place - 1;
        else
            buf_add_char(&changed, *at++);
    }
    assert_int_equal(file_write(script, 0755, buf_text(&changed), changed.length, &err), 0);
    char *answer = mem_format("#!/bin/sh\necho \"$@\" >>%s\n", log_path);
    assert_int_equal(file_write(program, 0755, answer, strlen(answer), &err), 0);
    char *command = mem_format("%s start && %s stop && %s status", script, script, script);
    assert_int_equal(system(command), 0);
    assert_int_equal(file_read(log_path, 1000, &log, &err), 0);
    assert_string_equal(buf_text(&log), "up nosuch9\nshow nosuch9\n"); /* what is not up need not be taken down */
    char *wrong = mem_format("%s nonsense 2>/dev/null", script);
    assert_int_equal(WEXITSTATUS(system(wrong)), 2);
    free(wrong), free(command), free(answer), free(script), free(text), free(program), free(log_path);
    buf_free(&changed);
    buf_free(&log);
}

static void test_none(void **state)
{
    (void)state;
    put("/etc/rc2.d/", ""); /* as in an image that has nothing to run it */
    put("/etc/cron.d/", "");
    assert_string_equal(boot_init(root), "none");
    enable("wg0", 1, "no init system");
    assert_true(is_there("/usr/local/lib/wgdeck/wgdeck"));
    assert_found("wg0", "");
}

/* --- what others have enabled */

static const struct {
    const char *what, *file, *text, *link, *target, *found;
} others[] = {
    {"wg-quick", "/lib/systemd/system/wg-quick@.service", "", "/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service", "wg-quick@wg0.service"},
    {"another target", "/lib/systemd/system/wg-quick@.service", "", "/etc/systemd/system/sshd.service.requires/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service", "wg-quick@wg0.service"},
    {"another interface", "/lib/systemd/system/wg-quick@.service", "", "/etc/systemd/system/multi-user.target.wants/wg-quick@wg00.service", "/lib/systemd/system/wg-quick@.service", ""},
    {"its package is gone", NULL, NULL, "/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service", ""},
    {"switched off by a link", NULL, NULL, "/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", "/dev/null", ""},
    {"not in a folder of wants", "/lib/systemd/system/wg-quick@.service", "", "/etc/systemd/system/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service", ""},
    {"ifupdown", "/etc/network/interfaces", "auto lo\n# auto wg0x\nauto eth0 wg0\n", NULL, NULL, "ifupdown"},
    {"ifupdown, a folder", "/etc/network/interfaces.d/wg", "  auto  wg0\n", NULL, NULL, "ifupdown"},
    {"ifupdown, by hand", "/etc/network/interfaces", "iface wg0 inet static\n#auto wg0\nauto wg00\n", NULL, NULL, ""},
    {"networkd", "/etc/systemd/network/10-wg.netdev", "[NetDev]\nName = wg0\nKind=wireguard\n", NULL, NULL, "systemd-networkd"},
    {"networkd, another", "/etc/systemd/network/10-wg.netdev", "[NetDev]\nName=wg1\n", NULL, NULL, ""},
};

static void test_others(void **state)
{
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_int_equal(make_root(state), 0);
        put("/run/systemd/system/", "");
        if (others[i].file)
            put(others[i].file, others[i].text);
        if (others[i].link)
            put_link(others[i].link, others[i].target);
        char *found = boot_find(root, "wg0");
        if (!found || strcmp(found, others[i].found) != 0)
            fail_msg("%s: \"%s\"", others[i].what, found ? found : "(null)");
        free(found);
        if (*others[i].found) { /* stays as it is: nothing of ours is written */
            enable("wg0", 0, others[i].found);
            assert_false(is_there("/etc/systemd/system/wgdeck@.service"));
            assert_false(is_there("/usr/local/lib"));
        }
        assert_int_equal(remove_root(state), 0);
    }
}

static void test_masked(void **state)
{
    (void)state;
    put("/run/systemd/system/", "");
    put("/lib/systemd/system/wg-quick@.service", "");
    put_link("/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service");
    put_link("/etc/systemd/system/wg-quick@wg0.service", "/dev/null");
    assert_found("wg0", "");
}

static void test_disable_others(void **state)
{
    (void)state;
    put("/run/systemd/system/", "");
    put("/lib/systemd/system/wg-quick@.service", "");
    put_link("/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", "/lib/systemd/system/wg-quick@.service");
    put_link("/etc/systemd/system/multi-user.target.wants/wg-quick@wg1.service", "/lib/systemd/system/wg-quick@.service");
    disable("wg0", 0, "any more");
    assert_found("wg0", "");
    assert_found("wg1", "wg-quick@wg1.service");
    assert_true(is_there("/lib/systemd/system/wg-quick@.service"));
    put("/etc/network/interfaces", "auto wg0\n");
    disable("wg0", 1, "by hand");
}

/* Of a renumbered script: insserv gives it another number. */
static void test_numbers(void **state)
{
    (void)state;
    put("/etc/init.d/rc", "");
    put("/etc/init.d/wgdeck-wg0", "");
    put_link("/etc/rc3.d/K01wgdeck-wg0", "../init.d/wgdeck-wg0");
    assert_found("wg0", "");
    put_link("/etc/rc3.d/S02wgdeck-wg0", "../init.d/wgdeck-wg0");
    assert_found("wg0", "/etc/init.d/wgdeck-wg0");
    disable("wg0", 0, "any more");
    assert_false(is_there("/etc/rc3.d/S02wgdeck-wg0"));
    assert_false(is_there("/etc/rc3.d/K01wgdeck-wg0"));
}

/* --- what must not be */

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a;reboot", "$(id)", "a b", "../wg0", "wg0\n", "-wg0", ".wg0", "wg'", "`id`", "wg%i", "a\\nb", "wg&", "abcdefghijklmnop", "w@g"};
    put("/etc/init.d/rc", "");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf said = BUF_EMPTY;
        struct err err = {""};
        assert_int_equal(boot_check(root, bad[i], &err), -1);
        assert_int_equal(boot_enable(root, bad[i], &said, &err), -1);
        assert_true(err.text[0]);
        buf_free(&said);
    }
    assert_false(is_there("/usr/local/lib"));
    enable("wg-0.a_b=c+d", 0, "sysv");
}

static void test_install(void **state)
{
    (void)state;
    char *path = NULL, *folder = in_root("/usr/local/lib/wgdeck");
    struct err err;
    struct stat before, after;
    assert_int_equal(boot_install(root, &path, &err), 0);
    assert_int_equal(stat(path, &before), 0);
    free(path);
    assert_int_equal(boot_install(root, &path, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* the same one stays */
    struct buf cut = BUF_EMPTY;
    buf_add_text(&cut, "not a program");
    assert_int_equal(file_write(path, 0644, cut.data, cut.length, &err), 0);
    buf_free(&cut);
    free(path);
    assert_int_equal(boot_install(root, &path, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size == before.st_size && (after.st_mode & 07777) == 0755);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0); /* is not written through */
    free(path);
    assert_int_equal(boot_install(root, &path, &err), 0);
    assert_int_equal(lstat(path, &after), 0);
    assert_true(S_ISREG(after.st_mode));
    free(path);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(boot_install(root, &path, &err), -1);
    assert_non_null(strstr(err.text, "only root"));
    assert_null(path);
    put("/etc/init.d/rc", "");
    assert_int_equal(boot_check(root, "wg0", &err), -1);
    free(folder);
}

static void test_check_says_why(void **state)
{
    (void)state;
    struct err err;
    put("/run/systemd/system/", "");
    put("/etc/systemd/system", "a file where a folder should be");
    assert_int_equal(boot_check(root, "wg0", &err), -1);
    assert_non_null(strstr(err.text, "/etc/systemd/system"));
    struct buf said = BUF_EMPTY;
    assert_int_equal(boot_enable(root, "wg0", &said, &err), -1);
    buf_free(&said);
}

/* The relay of a hub: its files for each init system, and none of them left. */
static void test_relay(void **state)
{
    static const struct { const char *sign, *file, *text, *link, *shared; } cases[] = {
        {"/run/systemd/system/", "/etc/systemd/system/wgdeck-relay@.service", "relay %i", "/etc/systemd/system/multi-user.target.wants/wgdeck-relay@wg0.service", "yes"},
        {"/run/openrc/", "/etc/init.d/wgdeck-relay.wg0", "relay --detach wg0", "/etc/runlevels/default/wgdeck-relay.wg0", NULL},
        {"/etc/init.d/rc", "/etc/init.d/wgdeck-relay-wg0", "relay --detach wg0", "/etc/rc3.d/S95wgdeck-relay-wg0", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct buf text = BUF_EMPTY;
        make_root(NULL);
        change_root = root;
        put(cases[i].sign, "x");
        assert_int_equal(boot_relay_enable(root, "wg0", 51999, &err), 0);
        char *file = in_root(cases[i].file);
        assert_int_equal(file_read(file, 1 << 16, &text, &err), 0);
        assert_non_null(strstr(buf_text(&text), cases[i].text));
        assert_null(strstr(buf_text(&text), "@PROGRAM@"));
        assert_true(is_there(cases[i].link));
        assert_int_equal(relay_service_port("wg0"), 51999);
        boot_relay_disable(root, "wg0");
        assert_false(is_there(cases[i].link));
        assert_int_equal(is_there(cases[i].file), cases[i].shared != NULL); /* a unit serves all interfaces */
        assert_int_equal(relay_service_port("wg0"), 0);
        assert_int_equal(boot_relay_enable(root, "w$(x)", 51999, &err), -1); /* never into a script */
        buf_free(&text);
        free(file);
        change_root = "";
        remove_root(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_systems),
        cmocka_unit_test_setup_teardown(test_the_texts_can_be_run, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_none, make_root, remove_root),
        cmocka_unit_test(test_others),
        cmocka_unit_test_setup_teardown(test_masked, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_disable_others, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_numbers, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_names, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_install, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_check_says_why, make_root, remove_root),
        cmocka_unit_test(test_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
