/* SSH targets and what ssh -G says of them. */
#include "unit.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/ssh_config.h"
#include "ssh/ssh_config_class.h"
#include "wgdeck/file.h"

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *host;
        unsigned port;
    } cases[] = {
        {"host", NULL, "host", 0}, {"root@host", "root", "host", 0}, {"host:2222", NULL, "host", 2222}, {"a@b@host:22", "a@b", "host", 22},
        {"2001:db8::1", NULL, "2001:db8::1", 0}, {"[2001:db8::1]:22", NULL, "2001:db8::1", 22}, {"u@[::1]", "u", "::1", 0},
        {"ssh://u@host:2200", "u", "host", 2200}, {"ssh://host/", NULL, "host", 0},
        {"un_der_score", NULL, "un_der_score", 0},       /* trap 13: libssh refuses it, and is never given it */
        {"DOM\\user,x@host", "DOM\\user,x", "host", 0},  /* the same */
        {"fe80::1%eth0", NULL, "fe80::1%eth0", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *user, *host;
        unsigned port;
        struct err err = {0};
        CASE_ASSERT(i, ssh_target_parse(cases[i].text, &user, &host, &port, &err) == 0);
        CASE_ASSERT(i, !strcmp(host, cases[i].host) && port == cases[i].port);
        CASE_ASSERT(i, cases[i].user ? user && !strcmp(user, cases[i].user) : !user);
        free(user);
        free(host);
    }
}

static void wrong_targets(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "-oProxyCommand=x", "user@", "@host", "host:0", "host:99999", "host:x", "[::1", "[::1]x", "a b", "a\nb",
                                        "$(reboot)", "a;b", "u'x@host", "-u@host", "host,other", "\x1b[2J"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *user = (char *)1, *host = (char *)1;
        unsigned port;
        struct err err = {0};
        CASE_ASSERT(i, ssh_target_parse(cases[i], &user, &host, &port, &err) == -1);
        CASE_ASSERT(i, !user && !host && strstr(err.text, "[user@]host[:port]") && !strpbrk(err.text, "\x1b\n"));
    }
}

/* Trap 11: what libssh's own parser ignores is honoured. */
static void answers(void **state)
{
    (void)state;
    setenv("HOME", "/home/me", 1);
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    struct err err = {0};
    struct ssh_target *target = ssh_target_from_answer(
        "host api\nuser ops\nhostname 203.0.113.1\nport 2222\naddressfamily inet6\nidentitiesonly yes\nhashknownhosts yes\n"
        "stricthostkeychecking accept-new\nserveraliveinterval 15\nserveralivecountmax 4\nhostkeyalias Api-Key\nproxyjump a,b:2200\n"
        "identityfile ~/.ssh/id_ed25519\nidentityfile /keys/%h-%r\ncertificatefile ~/.ssh/c-cert.pub\nidentityagent SSH_AUTH_SOCK\n"
        "userknownhostsfile /home/me/.ssh/known_hosts \"/with space/%n\"\nglobalknownhostsfile /dev/null\npasswordauthentication no\n"
        "kbdinteractiveauthentication no\npubkeyauthentication true\nsomethingnew 7\n", "api", &err);
    assert_non_null(target);
    assert_string_equal(target->host, "203.0.113.1");
    assert_string_equal(target->user, "ops");
    assert_int_equal(target->port, 2222);
    assert_int_equal(target->family, AF_INET6);
    assert_true(target->identities_only && target->hash_known_hosts && target->no_password && target->no_keyboard_interactive);
    assert_false(target->no_public_key);
    assert_int_equal(target->strictness, STRICT_ACCEPT_NEW);
    assert_int_equal(target->alive_interval * 10 + target->alive_count, 154);
    assert_string_equal(target->host_key_alias, "Api-Key");
    assert_string_equal(target->jump, "a,b:2200");
    assert_int_equal(target->identities.count, 2);
    assert_string_equal(target->identities.items[0], "/home/me/.ssh/id_ed25519");
    assert_string_equal(target->identities.items[1], "/keys/203.0.113.1-ops");
    assert_string_equal(target->certificates.items[0], "/home/me/.ssh/c-cert.pub");
    assert_int_equal(target->known_hosts.count, 2);
    assert_string_equal(target->known_hosts.items[1], "/with space/api");
    assert_int_equal(target->global_known_hosts.count, 0);
    assert_string_equal(target->agent, "/run/agent");
    assert_null(target->command);
    assert_null(target->needs_ssh);
    ssh_target_free(target);

    target = ssh_target_from_answer("user u\nhostname h\nport 22\nproxycommand nc %h %p\nidentityagent none\n", "h", &err);
    assert_non_null(strstr(target->needs_ssh, "ProxyCommand"));
    assert_null(target->agent);
    ssh_target_free(target);
    static const struct {
        const char *line, *needs;
    } judges[] = {{"revokedhostkeys /etc/ssh/revoked", "RevokedHostKeys"}, {"knownhostscommand /bin/keys %H", "KnownHostsCommand"},
                  {"revokedhostkeys none", NULL}, {"knownhostscommand none", NULL}};
    for (size_t i = 0; i < COUNT_OF(judges); i++) {
        char *answer = mem_format("user u\nhostname h\nport 22\n%s\n", judges[i].line);
        target = ssh_target_from_answer(answer, "h", &err);
        CASE_ASSERT(i, judges[i].needs ? target->needs_ssh && strstr(target->needs_ssh, judges[i].needs) : !target->needs_ssh);
        ssh_target_free(target);
        free(answer);
    }
    static const char *const poor[] = {"", "hostname h\nuser u\n", "port 22\nuser u\n", "hostname h\nuser u\nport 0\n", "hostname h\nuser u\nport 70000\n"};
    for (size_t i = 0; i < COUNT_OF(poor); i++)
        CASE_ASSERT(i, !ssh_target_from_answer(poor[i], "h", &err) && err.text[0]);
}

static char folder[] = "/tmp/wgdeck-config-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char *path = mem_format("%s/%s", folder, name);
    struct err err;
    assert_int_equal(file_write(path, 0600, text, strlen(text), &err), 0);
    free(path);
}

static void classes(void **state)
{
    (void)state;
    write_file("inner", "Host inner-*\n Port 9\n");
    char *text = mem_format("# x\nUser u\nHost api *.Example !not.example\n\tPort 2222\nhost=quick\n User q\nInclude %s/inner\nHost *\n Compression no\n",
                            folder);
    write_file("plain", text);
    write_file("match", "Host a\nMatch host b\n User x\n");
    write_file("canonical", "CanonicalizeHostname yes\n");
    write_file("all", "Match all\n User x\n");
    static const struct {
        const char *file, *a, *b;
        bool same;
    } cases[] = {
        {"plain", "203.0.113.1", "203.0.113.2", true}, {"plain", "api", "apj", false}, {"plain", "API", "api", true},
        {"plain", "x.example", "y.example", true}, {"plain", "not.example", "x.example", false}, {"plain", "not.example", "other", true},
        {"plain", "inner-1", "inner-2", true}, {"plain", "inner-1", "other", false}, {"plain", "quick", "other", false},
        {"match", "x", "y", false}, {"canonical", "x", "y", false}, {"all", "x", "y", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *path = mem_format("%s/%s", folder, cases[i].file);
        struct ssh_config_class *class = ssh_config_class_read(path);
        char *a = ssh_config_class_of(class, cases[i].a), *b = ssh_config_class_of(class, cases[i].b);
        CASE_ASSERT(i, (a && b && !strcmp(a, b)) == cases[i].same);
        free(a);
        free(b);
        free(path);
        ssh_config_class_free(class);
    }
    free(text);
    /* What is there and cannot be read may speak of any host; what is not there speaks of none. */
    static const struct {
        const char *path;
        bool sure;
    } unread[] = {{"/", false}, {"/nonexistent/wgdeck/config", true}};
    for (size_t i = 0; i < COUNT_OF(unread); i++) {
        struct ssh_config_class *class = ssh_config_class_read(unread[i].path);
        char *of = ssh_config_class_of(class, "a");
        CASE_ASSERT(i, (of != NULL) == unread[i].sure);
        free(of);
        ssh_config_class_free(class);
    }
    assert_true(ssh_config_class_shares("host a1\nhostname a1\nport 22\n", "a1"));
    assert_false(ssh_config_class_shares("host a1\nhostname a1.example\nport 22\n", "a1"));
    assert_false(ssh_config_class_shares("host a1\nhostname a1\nidentityfile /keys/a1\n", "a1"));
    assert_false(ssh_config_class_shares("host x\nhostname 203.0.113.1\n", "x"));
}

struct asked {
    char *host, *why;
    unsigned port;
};
static unsigned waiting;

static void answered(void *context, struct ssh_target *target, const char *why)
{
    struct asked *asked = context;
    asked->host = mem_text(target ? target->host : NULL);
    asked->port = target ? target->port : 0;
    asked->why = mem_text(why);
    ssh_target_free(target);
    if (!--waiting)
        ev_break(EV_DEFAULT, EVBREAK_ALL);
}

/* Many plain hosts cost one run of ssh; those that the configuration knows cost one each. */
static void asks_once(void **state)
{
    (void)state;
    if (access("/usr/bin/ssh", X_OK))
        skip();
    struct ev_loop *loop = ev_default_loop(0);
    write_file("hosts", "Host gate\n HostName 192.0.2.9\n Port 2200\nHost *\n User me\n");
    char *path = mem_format("%s/hosts", folder);
    struct ssh_config *config = ssh_config_new(loop, path);
    struct asked asked[64] = {0};
    waiting = 53;
    for (unsigned i = 0; i < 50; i++) {
        char target[32];
        snprintf(target, sizeof target, "192.0.2.%u", 10 + i);
        ssh_config_ask(config, target, answered, &asked[i]);
    }
    ssh_config_ask(config, "gate", answered, &asked[50]);
    ssh_config_ask(config, "-x", answered, &asked[51]);
    ssh_config_cancel(ssh_config_ask(config, "nobody", answered, &asked[60]));
    ssh_config_ask(config, "203.0.113.5:2222", answered, &asked[52]);
    ev_run(loop, 0);
    assert_string_equal(asked[0].host, "192.0.2.10");
    assert_string_equal(asked[49].host, "192.0.2.59");
    assert_int_equal(asked[49].port, 22);
    assert_string_equal(asked[50].host, "192.0.2.9");
    assert_int_equal(asked[50].port, 2200);
    assert_non_null(asked[51].why);
    assert_null(asked[51].host);
    assert_string_equal(asked[52].host, "203.0.113.5");
    assert_int_equal(asked[52].port, 2222);
    assert_null(asked[60].host);
    assert_int_equal(ssh_config_runs(config), 3); /* plain, gate, with a port */
    ssh_config_free(config);
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        free(asked[i].host);
        free(asked[i].why);
    }
    free(path);
}

static void an_unreadable_configuration_is_told(void **state)
{
    (void)state;
    if (access("/usr/bin/ssh", X_OK))
        skip();
    struct ev_loop *loop = ev_default_loop(0);
    write_file("bad", "NoSuchOption yes\n");
    char *path = mem_format("%s/bad", folder);
    struct ssh_config *config = ssh_config_new(loop, path);
    struct asked asked = {0};
    waiting = 1;
    ssh_config_ask(config, "host", answered, &asked);
    ev_run(loop, 0);
    assert_non_null(asked.why);
    assert_non_null(strstr(asked.why, "NoSuchOption") ? asked.why : strstr(asked.why, "nosuchoption"));
    ssh_config_free(config);
    free(asked.why);
    free(path);
}

static void a_configuration_that_hangs(void **state)
{
    (void)state;
    if (access("/usr/bin/ssh", X_OK))
        skip();
    struct ev_loop *loop = ev_loop_new(0); /* not the default one: a pidfd tells then */
    write_file("hangs", "Match exec \"sleep 60\"\n User x\n");
    char *path = mem_format("%s/hangs", folder);
    struct ssh_config *config = ssh_config_new(loop, path);
    struct asked hung = {0}, wrong = {0};
    waiting = 2;
    ssh_config_ask(config, "host", answered, &hung);
    ssh_config_ask(config, "a b", answered, &wrong);
    while (waiting && ev_run(loop, EVRUN_ONCE))
        continue;
    assert_non_null(strstr(hung.why, "no answer within 10 s"));
    assert_non_null(wrong.why);
    ssh_config_free(config);
    ev_loop_destroy(loop);
    free(hung.why);
    free(wrong.why);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    return !mkdtemp(folder);
}

static int tear_down(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets), cmocka_unit_test(wrong_targets), cmocka_unit_test(answers), cmocka_unit_test(classes),
        cmocka_unit_test(asks_once), cmocka_unit_test(an_unreadable_configuration_is_told),
        cmocka_unit_test(a_configuration_that_hangs),
    };
    return cmocka_run_group_tests_name("ssh_config", tests, set_up, tear_down);
}
