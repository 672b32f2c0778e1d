/* "wgdeck up" and "down": from a wg-quick file to the list of steps, without doing any. */
#include "unit.h"

#include <sodium.h>

#include "node/up.h"
#include "wgdeck/mem.h"

#define KEY_A "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define KEY_B "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define INTERFACE "[Interface]\nPrivateKey = " KEY_A "\n"
#define PEER "[Peer]\nPublicKey = " KEY_B "\n"

static void read_text(const char *text, struct up_file *file)
{
    struct err err = {{0}};
    if (up_file_parse("/etc/wireguard/wg0.conf", "wg0", text, strlen(text), file, &err))
        fail_msg("%s", err.text);
}

static void assert_steps(size_t index, const struct up_plan *plan, const char *expected)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < plan->count; i++) {
        up_step_text(&plan->steps[i], "wg0", &text);
        buf_add_char(&text, '\n');
    }
    if (strcmp(buf_text(&text), expected) != 0)
        fail_msg("case %zu:\n%s\nexpected:\n%s", index, buf_text(&text), expected);
    buf_free(&text);
}

#define BEGIN "link: make wg0\nengine: keys, port and rows of wg0\n"
#define START "link: wg0 mtu (of the way to its endpoints, less 80) up\n"

static void test_up(void **state)
{
    static const struct { const char *text, *steps; } cases[] = {
        {INTERFACE, BEGIN START},
        {INTERFACE "MTU = 1380\nAddress = 10.0.0.1/24, fd00::1/64\n", /* addresses keep their order and host bits */
         BEGIN "address: 10.0.0.1/24 dev wg0\naddress: fd00::1/64 dev wg0\nlink: wg0 mtu 1380 up\n"},
        {INTERFACE "Address = 10.0.0.1/24\n" PEER "AllowedIPs = 10.0.0.2/32, 10.1.0.0/16, 192.0.2.7\n", /* in an address' network; the longest first */
         BEGIN "address: 10.0.0.1/24 dev wg0\n" START "route: 192.0.2.7/32 dev wg0\nroute: 10.1.0.0/16 dev wg0\n"},
        {INTERFACE "Address = 10.0.0.1/32\n" PEER "AllowedIPs = 10.0.0.0/24\n", BEGIN "address: 10.0.0.1/32 dev wg0\n" START "route: 10.0.0.0/24 dev wg0\n"},
        {INTERFACE "Table = off\n" PEER "AllowedIPs = 0.0.0.0/0\n", BEGIN START},
        {INTERFACE "Address = 10.0.0.1/24\nTable = 7\n" PEER "AllowedIPs = 0.0.0.0/0, 10.0.0.0/24\n",
         BEGIN "address: 10.0.0.1/24 dev wg0\n" START "route: 10.0.0.0/24 dev wg0 table 7\nroute: 0.0.0.0/0 dev wg0 table 7\n"},
        {INTERFACE "Table = main\n" PEER "AllowedIPs = 0.0.0.0/0\n", BEGIN START "route: 0.0.0.0/0 dev wg0\n"},
        {INTERFACE PEER "AllowedIPs = 0.0.0.0/0, ::/0, 10.9.0.0/16\n",
         BEGIN START "route: 10.9.0.0/16 dev wg0\nengine: fwmark 51822\n"
         "nft: IPv4 table wg-quick-wg0\nsysctl: net.ipv4.conf.all.src_valid_mark = 1\nrule: IPv4 not fwmark 51822 table 51822\n"
         "rule: IPv4 table main suppress_prefixlength 0\nroute: 0.0.0.0/0 dev wg0 table 51822\n"
         "nft: IPv6 table wg-quick-wg0\nrule: IPv6 not fwmark 51822 table 51822\nrule: IPv6 table main suppress_prefixlength 0\n"
         "route: ::/0 dev wg0 table 51822\n"},
        {INTERFACE "FwMark = 0x10\nTable = auto\n" PEER "AllowedIPs = ::/0\n", /* a mark that is given is the table too */
         BEGIN START "nft: IPv6 table wg-quick-wg0\nrule: IPv6 not fwmark 16 table 16\nrule: IPv6 table main suppress_prefixlength 0\n"
         "route: ::/0 dev wg0 table 16\n"},
        {INTERFACE "PreUp = a %i %i\nPostUp = b\nPreUp = c\nPreDown = d\nDNS = 1.1.1.1\nDNS = lan\n",
         "PreUp: a wg0 wg0\nPreUp: c\n" BEGIN START "DNS: left alone: 1.1.1.1, lan\nPostUp: b\n"},
        {"[Interface]\nPostUp = wg set %i private-key /k\n" PEER "AllowedIPs = 10.0.0.1/32\nAllowedIPs = 10.0.0.1/32\n",
         BEGIN START "route: 10.0.0.1/32 dev wg0\nPostUp: wg set wg0 private-key /k\n"},
        {INTERFACE "PostUp = printf '\x1b[2J'\n", BEGIN START "PostUp: printf '\\x1b[2J'\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct up_file file;
        struct up_plan plan;
        read_text(cases[i].text, &file);
        up_plan_up(&file, 51822, &plan);
        assert_steps(i, &plan, cases[i].steps);
        up_plan_free(&plan);
        up_file_free(&file);
    }
}

#define DOWN "link: delete wg0\nnft: delete the tables wg-quick-wg0, if there are any\n"

static void test_down(void **state)
{
    static const struct { const char *text; uint32_t mark; const char *steps; } cases[] = {
        {INTERFACE, 0, DOWN},
        {NULL, 0, DOWN},
        {INTERFACE "SaveConfig = true\nPreDown = a %i\nPostDown = b\n", 0,
         "PreDown: a wg0\nsave: rows, endpoints, port and addresses into the file\n" DOWN "PostDown: b\n"},
        {INTERFACE PEER "AllowedIPs = 0.0.0.0/0\n", 51820, "rule: remove those of IPv4 and table 51820\n" DOWN},
        {INTERFACE "Table = 7\n" PEER "AllowedIPs = 0.0.0.0/0\n", 51820, DOWN},
        {INTERFACE PEER "AllowedIPs = 10.0.0.0/8, ::/0\n", 9, "rule: remove those of IPv6 and table 9\n" DOWN},
        {INTERFACE PEER "AllowedIPs = 10.0.0.0/8\n", 9, DOWN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct up_file file = {0};
        struct up_plan plan;
        struct device running = {0};
        if (cases[i].text) {
            read_text(cases[i].text, &file);
            device_copy(&running, &file.wanted.device);
        }
        running.fwmark = cases[i].mark;
        up_plan_down(cases[i].text ? &file : NULL, &running, &plan);
        assert_steps(i, &plan, cases[i].steps);
        up_plan_free(&plan);
        device_free(&running);
        if (cases[i].text)
            up_file_free(&file);
    }
}

static void test_refused(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {INTERFACE "Table = no-such-table\n", "wg0.conf:3: Table = no-such-table is no routing table"},
        {INTERFACE "Table = 0\n", "is no routing table"},
        {INTERFACE "Table = 4294967296\n", "is no routing table"},
        {"[Interface]\nPrivateKey = short\n", "wg0.conf:2: PrivateKey = (not shown)"},
        {INTERFACE "Address = nowhere\n", "wg0.conf:3: Address"},
        {INTERFACE "[Peer]\nAllowedIPs = 10.0.0.0/8\n", "without PublicKey"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct up_file file;
        struct err err = {{0}};
        CASE_ASSERT(i, up_file_parse("/etc/wireguard/wg0.conf", "wg0", cases[i].text, strlen(cases[i].text), &file, &err) == -1);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void test_names(void **state)
{
    static const struct { const char *target, *path, *name; } cases[] = {
        {"wg0", "/etc/wireguard/wg0.conf", "wg0"},
        {"wg0.conf", "wg0.conf", "wg0"},
        {"./a/wg-1.conf", "./a/wg-1.conf", "wg-1"},
        {"fifteen_letters", "/etc/wireguard/fifteen_letters.conf", "fifteen_letters"},
        {"sixteen__letters", NULL, NULL},
        {"", NULL, NULL},
        {"/a/b", NULL, NULL},
        {"/a/.conf", NULL, NULL},
        {"..", NULL, NULL},
        {"w$(x)", NULL, NULL},
        {"a b.conf", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *path = NULL, *name = NULL;
        struct err err = {{0}};
        int result = up_file_find(cases[i].target, &path, &name, &err);
        CASE_ASSERT(i, result == (cases[i].path ? 0 : -1));
        CASE_ASSERT(i, result ? *err.text : !strcmp(path, cases[i].path) && !strcmp(name, cases[i].name));
        if (!result) {
            free(path);
            free(name);
        }
    }
}

/* Each row finds its own key, also where there are many; a row without one has none. */
static void test_secrets(void **state)
{
    enum { ROWS = 300 };
    struct buf text = BUF_EMPTY;
    struct key public_keys[ROWS], preshared[ROWS];
    (void)state;
    assert_true(sodium_init() >= 0);
    buf_add_text(&text, INTERFACE);
    for (size_t i = 0; i < ROWS; i++) {
        char key[KEY_TEXT_SIZE];
        key_make_preshared(&public_keys[i]);
        key_make_preshared(&preshared[i]);
        key_text(&public_keys[i], key);
        buf_add_format(&text, "[Peer]\nPublicKey = %s\n", key);
        key_text(&preshared[i], key);
        if (i % 3)
            buf_add_format(&text, "PresharedKey = %s\n", key);
    }
    struct up_file file;
    read_text(buf_text(&text), &file);
    struct up_secrets *secrets = up_secrets_of_file(file.conf);
    char private_key[KEY_TEXT_SIZE];
    key_text(&secrets->private_key, private_key);
    assert_string_equal(private_key, KEY_A);
    for (size_t i = 0; i < ROWS; i++) {
        const struct key *found = up_secrets_preshared(secrets, &public_keys[i]);
        CASE_ASSERT(i, i % 3 ? found && key_equal(found, &preshared[i]) : !found);
    }
    up_secrets_free(secrets);
    up_file_free(&file);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),      cmocka_unit_test(test_down),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
