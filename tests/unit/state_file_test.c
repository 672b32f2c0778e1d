/* The saved file after a change: what must differ differs, all else stays byte for byte, and wg-quick takes it. */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "state_random.h"
#include "wgdeck/file.h"
#include "wgdeck/wgquick.h"

#define KEY_A "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define KEY_B "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_D "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PRIVATE_NEXT "GHuMwljFfqd2a7cs6BaUOmHflK23zME8VNvC5B37S3k="
#define PRESHARED "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="

static struct key key_of(const char *text)
{
    struct key key = {{0}};
    if (*text && key_parse(text, &key))
        fail_msg("%s", text);
    return key;
}

struct file_case {
    const char *old;
    struct plan_operation operation;
    const char *key, *other, *allowed, *prefix, *endpoint;
    const char *expected; /* NULL: it is left alone, with an error */
};

#define INTERFACE "[Interface]\nPrivateKey = " PRIVATE "\nListenPort = 51820 # the usual one\n"
#define ROW_A "\n# a, the first\n[Peer]\nPublicKey = " KEY_A "\n  AllowedIPs=10.0.0.1/32,10.1.0.0/16\nEndpoint = a.example.org:51820\nPersistentKeepalive = 25\n"
#define ROW_B "\n[Peer] # nobody's\nPublicKey = " KEY_B "\nPresharedKey = " PRESHARED "\nAllowedIPs = 10.0.0.2/32\nAllowedIPs = 10.2.0.0/16 # the office\nUnknownThing = yes\n"
#define ADDRESS(text) (char *)(uintptr_t)(text)

static const struct file_case file_cases[] = {
    {INTERFACE ROW_A ROW_B, {.kind = PLAN_FILE}, .expected = INTERFACE ROW_A ROW_B},
    {INTERFACE ROW_A, {.kind = PLAN_LISTEN_PORT, .number = 7}, .expected = "[Interface]\nPrivateKey = " PRIVATE "\nListenPort = 7 # the usual one\n" ROW_A},
    {INTERFACE ROW_A, {.kind = PLAN_MTU, .number = 1380}, .expected = INTERFACE "MTU = 1380\n" ROW_A},
    {INTERFACE ROW_A, {.kind = PLAN_ADDRESS}, .prefix = "10.0.0.9/24", .expected = INTERFACE "Address = 10.0.0.9/24\n" ROW_A},
    {INTERFACE "Address = 10.0.0.8/24 # old\nAddress = fd00::1/64\nPostUp = true %i\n" ROW_A, {.kind = PLAN_ADDRESS}, .prefix = "10.0.0.9/24",
     .expected = INTERFACE "Address = 10.0.0.8/24 # old\nAddress = fd00::1/64, 10.0.0.9/24\nPostUp = true %i\n" ROW_A},
    {INTERFACE "Address = 10.0.0.8/24, 10.0.0.9/24\nAddress = fd00::1/64\n", {.kind = PLAN_ADDRESS_REMOVE}, .prefix = "10.0.0.8/24",
     .expected = INTERFACE "Address = 10.0.0.9/24\nAddress = fd00::1/64\n"},
    {INTERFACE "Address = 10.0.0.8/24\nAddress = fd00::1/64 # six\n", {.kind = PLAN_ADDRESS_REMOVE}, .prefix = "10.0.0.8/24", .expected = INTERFACE "Address = fd00::1/64 # six\n"},
    /* rows */
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .is_new = true, .name = ADDRESS("web3"), .set_allowed = true, .set_endpoint = true, .set_keepalive = true, .keepalive = 25},
     .key = KEY_C, .allowed = "10.0.0.3/32, fd00::3/128", .endpoint = "[2001:db8::3]:51820",
     .expected = INTERFACE ROW_A "\n# web3\n[Peer]\nPublicKey = " KEY_C "\nAllowedIPs = 10.0.0.3/32, fd00::3/128\nEndpoint = [2001:db8::3]:51820\nPersistentKeepalive = 25\n"},
    {INTERFACE "# the end, no line end", {.kind = PLAN_ROW, .is_new = true, .name = ADDRESS("x\n[Interface]"), .set_allowed = true}, .key = KEY_C, .allowed = "10.0.0.3/32",
     .expected = INTERFACE "# the end, no line end\n\n[Peer]\nPublicKey = " KEY_C "\nAllowedIPs = 10.0.0.3/32\n"},
    {INTERFACE ROW_A ROW_B, {.kind = PLAN_ROW, .set_allowed = true}, .key = KEY_A, .allowed = "10.0.0.1/32, 10.3.0.0/16",
     .expected = INTERFACE "\n# a, the first\n[Peer]\nPublicKey = " KEY_A "\n  AllowedIPs=10.0.0.1/32, 10.3.0.0/16\nEndpoint = a.example.org:51820\nPersistentKeepalive = 25\n" ROW_B},
    {INTERFACE ROW_B ROW_A, {.kind = PLAN_ROW, .set_allowed = true}, .key = KEY_B, .allowed = "10.2.0.0/16",
     .expected = INTERFACE "\n[Peer] # nobody's\nPublicKey = " KEY_B "\nPresharedKey = " PRESHARED "\nAllowedIPs = 10.2.0.0/16 # the office\nUnknownThing = yes\n" ROW_A},
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .set_endpoint = true, .set_keepalive = true}, .key = KEY_A,
     .expected = INTERFACE "\n# a, the first\n[Peer]\nPublicKey = " KEY_A "\n  AllowedIPs=10.0.0.1/32,10.1.0.0/16\n"},
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .set_endpoint = true, .endpoint_saved_only = true}, .key = KEY_A, .endpoint = "192.0.2.1:51820",
     .expected = INTERFACE "\n# a, the first\n[Peer]\nPublicKey = " KEY_A "\n  AllowedIPs=10.0.0.1/32,10.1.0.0/16\nEndpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\n"},
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .set_endpoint = true}, .key = KEY_A, .endpoint = "a.example.org:51820", .expected = INTERFACE ROW_A},
    {INTERFACE ROW_B, {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_NONE}, .key = KEY_B,
     .expected = INTERFACE "\n[Peer] # nobody's\nPublicKey = " KEY_B "\nAllowedIPs = 10.0.0.2/32\nAllowedIPs = 10.2.0.0/16 # the office\nUnknownThing = yes\n"},
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_MAKE}, .key = KEY_A, .expected = INTERFACE ROW_A "PresharedKey = " PRESHARED "\n"},
    {INTERFACE ROW_A, {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_TAKE}, .key = KEY_D}, /* none has come */
    {INTERFACE ROW_B, {.kind = PLAN_ROW, .is_new = true, .preshared = PLAN_PRESHARED_COPY}, .key = KEY_C, .other = KEY_B,
     .expected = INTERFACE ROW_B "\n[Peer]\nPublicKey = " KEY_C "\nPresharedKey = " PRESHARED "\n"},
    {INTERFACE ROW_A ROW_B, {.kind = PLAN_ROW_REMOVE}, .key = KEY_A, .expected = INTERFACE "\n" "[Peer] # nobody's\nPublicKey = " KEY_B "\nPresharedKey = " PRESHARED "\nAllowedIPs = 10.0.0.2/32\nAllowedIPs = 10.2.0.0/16 # the office\nUnknownThing = yes\n"},
    {INTERFACE ROW_B ROW_A, {.kind = PLAN_ROW_REMOVE}, .key = KEY_A, .expected = INTERFACE ROW_B},
    {INTERFACE ROW_A, {.kind = PLAN_ROW_REMOVE}, .key = KEY_D, .expected = INTERFACE ROW_A},
    {INTERFACE ROW_B "\n[Peer]\nPublicKey = " KEY_C "\n", {.kind = PLAN_ROW_MOVE}, .key = KEY_C, .other = KEY_B,
     .expected = INTERFACE "\n[Peer] # nobody's\nPublicKey = " KEY_B "\nPresharedKey = " PRESHARED "\nUnknownThing = yes\n\n[Peer]\nPublicKey = " KEY_C "\nAllowedIPs = 10.0.0.2/32, 10.2.0.0/16\n"},
    {INTERFACE ROW_B, {.kind = PLAN_ROW_MOVE}, .key = KEY_B, .other = KEY_D, .expected = INTERFACE ROW_B},
    /* keys and hooks */
    {INTERFACE ROW_A, {.kind = PLAN_PRIVATE_KEY}, .expected = "[Interface]\nPrivateKey = " PRIVATE_NEXT "\nListenPort = 51820 # the usual one\n" ROW_A},
    {"[Interface]\nPostUp = wg set %i private-key /k\n", {.kind = PLAN_FILE}, .expected = "[Interface]\nPostUp = wg set %i private-key /k\n"},
    {"[Interface]\nPostUp = wg set %i private-key /k\n", {.kind = PLAN_PRIVATE_KEY}, .expected = NULL},
    {"[Interface]\nListenPort = 1\n", {.kind = PLAN_FILE}, .expected = "[Interface]\nListenPort = 1\nPrivateKey = " PRIVATE "\n"},
    {"[Interface]\r\nPrivateKey = " PRIVATE "\r\n", {.kind = PLAN_LISTEN_PORT, .number = 9}, .expected = "[Interface]\r\nPrivateKey = " PRIVATE "\r\nListenPort = 9\r\n"},
    {INTERFACE, {.kind = PLAN_FORWARDING}, .prefix = "0.0.0.0/0", .expected = INTERFACE "PostUp = sysctl -q -w net.ipv4.ip_forward=1\n"},
    {INTERFACE "PreUp = sysctl -w net.ipv4.ip_forward=1\n", {.kind = PLAN_FORWARDING}, .prefix = "0.0.0.0/0", .expected = INTERFACE "PreUp = sysctl -w net.ipv4.ip_forward=1\n"},
    /* what cannot be read is left alone */
    {"", {.kind = PLAN_FILE}, .expected = NULL},
    {"[Peer]\nPublicKey = " KEY_A "\n", {.kind = PLAN_FILE}, .expected = NULL},
    {"[Interface]\nListenPort = many\n", {.kind = PLAN_FILE}, .expected = NULL},
    {"[Interface\n", {.kind = PLAN_FILE}, .expected = NULL},
    {INTERFACE "[Peer]\nAllowedIPs = 10.0.0.0/8\n", {.kind = PLAN_FILE}, .expected = NULL},
};

static void fill(const struct file_case *row, struct plan_operation *operation, struct prefix *allowed)
{
    *operation = row->operation;
    operation->saved = true;
    operation->key = key_of(row->key ? row->key : "");
    operation->other_key = key_of(row->other ? row->other : "");
    operation->endpoint = (char *)(uintptr_t)row->endpoint;
    operation->allowed = allowed;
    char *copy = mem_text(row->allowed ? row->allowed : ""), *rest = NULL;
    for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest))
        assert_int_equal(prefix_parse(word, &allowed[operation->allowed_count++]), 0);
    free(copy);
    if (row->prefix)
        assert_int_equal(prefix_parse(row->prefix, &operation->prefix), 0);
}

/* wg-quick itself, if it is here. */
static void assert_strips(const struct buf *text)
{
    char folder[] = "/tmp/wgdeck-strip-XXXXXX";
    if (system("command -v wg-quick > /dev/null"))
        return;
    assert_non_null(mkdtemp(folder));
    char *path = mem_format("%s/wgt0.conf", folder), *command = mem_format("wg-quick strip %s > /dev/null", path);
    struct err err;
    assert_int_equal(file_write(path, 0600, text->data, text->length, &err), 0);
    if (system(command))
        fail_msg("wg-quick strip refuses\n%s", text->data);
    unlink(path);
    rmdir(folder);
    free(path);
    free(command);
}

static void test_files(void **unused)
{
    struct state after = {.name = "wg0", .exists = true, .up = true};
    struct key a = key_of(KEY_A), preshared = key_of(PRESHARED), now = key_of(PRIVATE);
    struct up_secrets *made = NULL;
    (void)unused;
    state_set_private(&after, &now);
    state_secrets_set(&made, &a, &preshared);
    const struct state_keys keys = {.private_key = key_of(PRIVATE_NEXT), .preshared = made};
    for (size_t i = 0; i < COUNT_OF(file_cases); i++) {
        struct plan_operation operation;
        struct prefix allowed[8];
        struct buf text = BUF_EMPTY, again = BUF_EMPTY;
        struct err err = {{0}};
        fill(&file_cases[i], &operation, allowed);
        int result = state_file("/etc/wireguard/wg0.conf", file_cases[i].old, strlen(file_cases[i].old), &after, &operation, 1, &keys, &text, &err);
        CASE_ASSERT(i, result == (file_cases[i].expected ? 0 : -1));
        CASE_ASSERT(i, !result || strstr(err.text, "/etc/wireguard/wg0.conf"));
        if (!result && strcmp(buf_text(&text), file_cases[i].expected) != 0)
            fail_msg("case %zu:\n%s\nexpected:\n%s", i, buf_text(&text), file_cases[i].expected);
        if (!result && !strstr(buf_text(&text), "UnknownThing") && !strstr(buf_text(&text), "\r\n"))
            assert_strips(&text);
        /* twice is once */
        if (!result && operation.kind != PLAN_ROW_MOVE) {
            if (operation.kind == PLAN_PRIVATE_KEY)
                state_set_private(&after, &keys.private_key);
            assert_int_equal(state_file("/etc/wireguard/wg0.conf", text.data, text.length, &after, &operation, 1, &keys, &again, &err), 0);
            CASE_ASSERT(i, !strcmp(buf_text(&again), buf_text(&text)));
            state_set_private(&after, &now);
        }
        buf_wipe(&text);
        buf_wipe(&again);
    }
    state_free(&after);
    up_secrets_free(made);
}

/* What runs, written as a file from nothing, means the same to wg-quick's reader. */
static void test_from_nothing(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct chance chance = {seed};
        struct state state;
        struct wgquick read;
        struct buf text = BUF_EMPTY;
        struct err err = {{0}};
        random_state(&chance, &state);
        struct key private_key = key_of(PRIVATE);
        state_set_private(&state, &private_key);
        struct plan_operation file = {.kind = PLAN_FILE, .saved = true};
        if (state_file("/etc/wireguard/wg0.conf", NULL, 0, &state, &file, 1, NULL, &text, &err))
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
        struct conf *conf = conf_parse("wg0.conf", text.data, text.length, &err);
        assert_non_null(conf);
        assert_int_equal(wgquick_read(conf, device_no_salt, &read, NULL, &err), 0);
        assert_int_equal(read.device.peer_count, state.device.peer_count);
        assert_int_equal(read.device.listen_port, state.device.listen_port);
        assert_int_equal(read.mtu, state.mtu);
        assert_true(key_equal(&read.device.public_key, &state.device.public_key));
        for (size_t i = 0; i < state.device.peer_count; i++) {
            const struct device_peer *row = &state.device.peers[i], *saved = &read.device.peers[i];
            assert_true(!key_compare(&row->public_key, &saved->public_key) && state_same_allowed(row, saved) && row->keepalive == saved->keepalive);
            assert_int_equal(row->has_preshared, saved->has_preshared);
            const char *host = state_row_host(&state, &row->public_key);
            assert_true(host ? !strcmp(host, read.endpoint_hosts[i]) : endpoint_equal(&row->endpoint, &saved->endpoint));
        }
        if (seed % 20 == 0)
            assert_strips(&text);
        wgquick_free(&read);
        conf_free(conf);
        buf_wipe(&text);
        state_free(&state);
    }
}

/* AFTER has what operations did to what runs already: they are not done to it twice. An endpoint is saved as it was asked for. */
static void test_from_nothing_after_operations(void **unused)
{
    struct state after = {.name = "wg0", .exists = true, .up = true};
    struct key a = key_of(KEY_A), b = key_of(KEY_B), private_key = key_of(PRIVATE);
    struct plan_operation operations[] = {
        {.kind = PLAN_INTERFACE, .running = true, .saved = true},
        {.kind = PLAN_ROW, .running = true, .saved = true, .key = a, .name = ADDRESS("db"), .is_new = true, .set_allowed = true, .set_endpoint = true, .endpoint_saved_only = true,
         .endpoint = ADDRESS("db.example.org:51820")},
        {.kind = PLAN_ROW_MOVE, .running = true, .saved = true, .key = a, .other_key = b},
        {.kind = PLAN_ROW_REMOVE, .running = true, .saved = true, .key = b},
    };
    struct buf text = BUF_EMPTY;
    struct err err = {{0}};
    (void)unused;
    state_set_private(&after, &private_key);
    struct device_peer *row = state_row_make(&after, &a);
    row->allowed = mem_alloc(1, sizeof *row->allowed);
    assert_int_equal(prefix_parse("10.0.0.1/32", &row->allowed[row->allowed_count++]), 0);
    assert_int_equal(endpoint_parse("192.0.2.77:4711", &row->endpoint), 0);
    after.mtu = 1420;
    assert_int_equal(state_file("wg0.conf", NULL, 0, &after, operations, COUNT_OF(operations), NULL, &text, &err), 0);
    assert_string_equal(buf_text(&text), "# Kept by wgdeck: it changes only the lines that must differ. Comments, hooks and other lines stay.\n[Interface]\nPrivateKey = " PRIVATE
                                         "\n\n# db\n[Peer]\nPublicKey = " KEY_A "\nAllowedIPs = 10.0.0.1/32\nEndpoint = db.example.org:51820\n");
    buf_wipe(&text);
    /* a tunnel that is not the node's way out must not become it at the next boot */
    assert_int_equal(prefix_parse("0.0.0.0/0", &row->allowed[0]), 0);
    after.routes = mem_alloc(1, sizeof *after.routes);
    after.routes[after.route_count++] = (struct state_route){.table = TABLE_MAIN};
    assert_int_equal(prefix_parse("10.9.0.0/16", &after.routes[0].to), 0);
    assert_int_equal(state_file("wg0.conf", NULL, 0, &after, operations, 0, NULL, &text, &err), 0);
    assert_non_null(strstr(buf_text(&text), "\nTable = off\n"));
    assert_non_null(strstr(buf_text(&text), "\nPostUp = ip -4 route replace 10.9.0.0/16 dev %i table 254 metric 0\n"));
    assert_strips(&text);
    buf_wipe(&text);
    state_free(&after);
}

/* Rows that no operation names stay byte for byte, whatever is done to others. */
static void test_others_stay(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct chance chance = {seed};
        struct state state, other;
        struct buf first = BUF_EMPTY, second = BUF_EMPTY, mine = BUF_EMPTY;
        struct err err = {{0}};
        struct plan_operation file = {.kind = PLAN_FILE, .saved = true};
        random_state(&chance, &state);
        random_state(&chance, &other);
        assert_int_equal(state_file("wg0.conf", NULL, 0, &state, &file, 1, NULL, &first, &err), 0);
        buf_reserve(&mine, first.length + 300);
        buf_add(&mine, first.data, first.length);
        buf_add_text(&mine, ROW_B "PostUp = not a hook, but kept\n");
        struct plan_operation *operations = mem_alloc(other.device.peer_count + 1, sizeof *operations);
        for (size_t i = 0; i < other.device.peer_count; i++) {
            const struct device_peer *row = &other.device.peers[i];
            operations[i] = (struct plan_operation){.kind = chance_below(&chance, 4) ? PLAN_ROW : PLAN_ROW_REMOVE, .saved = true, .key = row->public_key, .set_allowed = true,
                                                    .allowed = row->allowed, .allowed_count = row->allowed_count, .set_keepalive = true, .keepalive = row->keepalive};
        }
        if (state_file("wg0.conf", mine.data, mine.length, &state, operations, other.device.peer_count, NULL, &second, &err))
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
        assert_non_null(strstr(buf_text(&second), ROW_B "PostUp = not a hook, but kept\n"));
        for (size_t i = 0; i < other.device.peer_count; i++) {
            char key[KEY_TEXT_SIZE], line[80];
            key_text(&other.device.peers[i].public_key, key);
            snprintf(line, sizeof line, "\nPublicKey = %s\n", key);
            assert_int_equal(strstr(buf_text(&second), line) != NULL, operations[i].kind == PLAN_ROW);
        }
        free(operations);
        buf_wipe(&first);
        buf_wipe(&second);
        buf_wipe(&mine);
        state_free(&state);
        state_free(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_from_nothing),
        cmocka_unit_test(test_from_nothing_after_operations),
        cmocka_unit_test(test_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
