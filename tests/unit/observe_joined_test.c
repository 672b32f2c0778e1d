/* Who joined through a node and by which way its rows go, as the node finds it in its files: read once, and again when they change. */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "../../src/node/observer.h"
#include "wgdeck/file.h"
#include "wgdeck/invitation.h"

static char root[] = "/tmp/wgdeck-joined-test-XXXXXX";

#define ID_A "00112233445566aa"
#define ID_B "00112233445566bb"
#define KEY_A "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_B "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define SSH_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrfXbN4SPkyLdHsTRTQ0WrB0rmJpsWP4bpbuy6Q7Kt5"

static void write_text(const char *path, const char *text)
{
    char *whole = mem_format("%s%s", root, path);
    struct err err;
    char *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(file_make_folders(whole, 0755, &err), 0);
    *slash = '/';
    if (file_write(whole, 0600, text, strlen(text), &err) != 0)
        fail_msg("%s", err.text);
    free(whole);
}

/* As if it had been written long ago: what is fresh is read at each look. */
static void make_old(const char *path, time_t when)
{
    char *whole = mem_format("%s%s", root, path);
    assert_int_equal(utime(whole, &(struct utimbuf){when, when}), 0);
    free(whole);
}

static void write_record(const char *id, const char *name, enum invitation_state state, const char *key, const char *address)
{
    struct invitation_record record = {.interface = mem_text("wg0"), .mesh = mem_text("prod"), .name = mem_text(name), .by = mem_text("alice"), .public_line = mem_text(SSH_KEY),
                                       .relay = true, .made = 1795400000, .expires = 1795401800, .state = state, .hub = mem_text("[]"), .node = mem_text("[]"),
                                       .from = mem_text("198.51.100.7"), .at = 1795400100, .has_key = key != NULL};
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    memcpy(record.id, id, sizeof record.id);
    assert_int_equal(key_parse(KEY_B, &record.place), 0);
    record.place.bytes[1] = 9;
    if (key)
        assert_int_equal(key_parse(key, &record.key), 0);
    record.addresses = mem_alloc(1, sizeof *record.addresses);
    record.address_count = 1;
    assert_int_equal(prefix_parse(address, record.addresses), 0);
    json_object(&json, NULL);
    invitation_record_write(&record, &json);
    json_object_end(&json);
    char *path = mem_format("/var/lib/wgdeck/wg0/invitations/%s", id);
    write_text(path, buf_text(&text));
    free(path);
    buf_free(&text);
    invitation_record_free(&record);
}

static void look(struct node_observer *observer, struct observation *seen)
{
    struct err err;
    assert_int_equal(node_observe(observer, "salt", seen, &err), 0);
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    write_text("/etc/wireguard/wg0.conf", "[Interface]\nListenPort = 51820\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    char *command = mem_format("rm -rf '%s'", root);
    int result = system(command);
    free(command);
    return result;
}

static void test_joined(void **state)
{
    (void)state;
    struct err err;
    struct observation seen = {0};
    struct node_observer *observer = node_observer_new(root, &err);
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 0);
    write_record(ID_A, "mail", INVITATION_OPEN, NULL, "10.44.0.193/32");
    write_record(ID_B, "news", INVITATION_USED, KEY_B, "10.44.0.194/32");
    write_text("/var/lib/wgdeck/wg0/invitations/00112233445566cc", "{\"id\":"); /* cut by a crash */
    write_text("/var/lib/wgdeck/wg0/invitations/lock", "x");
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 1);
    assert_string_equal(seen.joined[0].name, "news");
    assert_string_equal(seen.joined[0].interface, "wg0");
    assert_string_equal(seen.joined[0].from, "198.51.100.7");
    assert_true(seen.joined[0].relay && seen.joined[0].at == 1795400100 && seen.joined[0].address_count == 1);
    write_record(ID_A, "mail", INVITATION_USED, KEY_A, "10.44.0.193/32"); /* at once: its folder may show the same time */
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 2);
    assert_string_equal(seen.joined[0].name, "mail"); /* by key */
    write_record(ID_A, "mail", INVITATION_REVOKED, KEY_A, "10.44.0.193/32");
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 1);
    observation_clear(&seen);
    node_observer_free(observer);
}

/* A folder that looks as before is not read again. */
static void test_read_once(void **state)
{
    (void)state;
    struct err err;
    struct observation seen = {0};
    struct node_observer *observer = node_observer_new(root, &err);
    write_record(ID_B, "news", INVITATION_USED, KEY_B, "10.44.0.194/32");
    make_old("/var/lib/wgdeck/wg0/invitations", 1000000000);
    look(observer, &seen);
    uint64_t mark = observer->joined_mark;
    assert_true(mark != 0 && seen.joined_count == 1);
    write_record(ID_A, "mail", INVITATION_USED, KEY_A, "10.44.0.193/32");
    make_old("/var/lib/wgdeck/wg0/invitations", 1000000000);
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 1);
    make_old("/var/lib/wgdeck/wg0/invitations", 1000000001);
    look(observer, &seen);
    assert_int_equal(seen.joined_count, 2);
    observation_clear(&seen);
    node_observer_free(observer);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text, *found; /* "way reason since" of each */
    } cases[] = {
        {"{\"paths\":[]}", ""},
        {"{\"paths\":[{\"key\":\"" KEY_A "\",\"path\":\"direct\",\"reason\":\"handshake\",\"since\":1795400000}]}", "1 handshake 1795400000;"},
        {"{\"paths\":[{\"key\":\"" KEY_B "\",\"path\":\"hub\"},{\"key\":\"" KEY_A "\",\"path\":\"relay\",\"reason\":\"\"}]}", "2 - 0;3 - 0;"}, /* by key */
        {"{\"paths\":[{\"key\":\"" KEY_A "\",\"path\":\"trying\",\"reason\":\"a\\u001bb\",\"since\":-5}]}", "0 a\\x1bb 0;"},
        {"{\"paths\":[{\"key\":\"x\",\"path\":\"hub\"},{\"key\":\"" KEY_A "\",\"path\":\"tunnel\"},5,{}]}", ""},
        {"{\"paths\":5}", ""},
        {"[]", ""},
        {"{\"paths\":[{\"key\":", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct observation seen = {0};
        struct buf found = BUF_EMPTY;
        struct node_observer *observer = node_observer_new(root, &err);
        write_text("/run/wgdeck/wg0.paths", cases[i].text);
        look(observer, &seen);
        for (size_t p = 0; p < seen.path_count; p++) {
            assert_string_equal(seen.paths[p].interface, "wg0");
            buf_add_format(&found, "%d %s %lld;", (int)seen.paths[p].way, seen.paths[p].reason ? seen.paths[p].reason : "-", (long long)seen.paths[p].since);
        }
        if (strcmp(buf_text(&found), cases[i].found) != 0)
            fail_msg("%s: %s, not %s", cases[i].text, buf_text(&found), cases[i].found);
        buf_free(&found);
        observation_clear(&seen);
        node_observer_free(observer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_joined), cmocka_unit_test(test_read_once), cmocka_unit_test(test_paths)};
    return cmocka_run_group_tests(tests, begin, end);
}
