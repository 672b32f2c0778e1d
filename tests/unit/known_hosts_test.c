/* known_hosts files: every form of line, the verdicts, the index's cost. */
#include "unit.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ssh/host_key.h"
#include "ssh/known_hosts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"

/* Keys that are sound in form: the blob begins with the type's name. */
static char *make_key(const char *type, unsigned number)
{
    unsigned char blob[128] = {0, 0, 0, (unsigned char)strlen(type)};
    size_t length = 4 + strlen(type);
    memcpy(blob + 4, type, strlen(type));
    blob[length + 3] = 32;
    length += 4;
    memset(blob + length, (int)number, 32);
    length += 32;
    char text[256];
    sodium_bin2base64(text, sizeof text, blob, length, sodium_base64_VARIANT_ORIGINAL);
    return mem_text(text);
}

static void finds_lines_of_every_form(void **state)
{
    (void)state;
    char *a = make_key("ssh-ed25519", 1), *b = make_key("ssh-rsa", 2);
    struct buf file = BUF_EMPTY;
    buf_add_format(&file, "# a comment\n\nplain,Alias.Example ssh-ed25519 %s comment here\r\n", a);
    buf_add_format(&file, "[ported]:2222 ssh-ed25519 %s\n", a);
    buf_add_format(&file, "*.wild.example,!not.wild.example ssh-rsa %s\n", b);
    buf_add_format(&file, "\t192.0.2.? ssh-ed25519\t%s\n", a);
    buf_add_format(&file, "@revoked plain ssh-rsa %s\n@cert-authority *.ca.example ssh-ed25519 %s\n@other plain ssh-rsa %s\n", b, a, b);
    buf_add_format(&file, "broken\nplain ssh-ed25519\nplain ssh-rsa %s\nplain ssh-ed25519 !!!\n", a); /* type and blob differ */
    known_hosts_add_line(&file, "hashed.example", "ssh-ed25519", a, true);
    known_hosts_add_line(&file, "[hashed.example]:2200", "ssh-rsa", b, true);
    buf_add_format(&file, "|1|short|short ssh-rsa %s\n|1| ssh-rsa %s\n|2|a|b ssh-rsa %s\n", b, b, b);
    buf_add_format(&file, "last ssh-ed25519 %s", a);
    struct known_hosts *known = known_hosts_parse(file.data, file.length);
    static const struct {
        const char *name;
        size_t count;
        enum known_mark mark;
        size_t line;
    } cases[] = {
        {"plain", 2, KNOWN_KEY, 3}, {"alias.example", 1, KNOWN_KEY, 3}, {"[ported]:2222", 1, KNOWN_KEY, 4}, {"ported", 0, 0, 0},
        {"x.wild.example", 1, KNOWN_KEY, 5}, {"not.wild.example", 0, 0, 0}, {"192.0.2.7", 1, KNOWN_KEY, 6}, {"192.0.2.17", 0, 0, 0},
        {"h.ca.example", 1, KNOWN_AUTHORITY, 8}, {"hashed.example", 1, KNOWN_KEY, 14}, {"[hashed.example]:2200", 1, KNOWN_KEY, 15},
        {"last", 1, KNOWN_KEY, 19}, {"nobody", 0, 0, 0}, {"", 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct known_line *lines[8];
        size_t count = known_hosts_find(known, cases[i].name, lines, 8);
        CASE_ASSERT(i, count == cases[i].count);
        CASE_ASSERT(i, !count || (lines[0]->mark == cases[i].mark && lines[0]->line == cases[i].line));
    }
    known_hosts_free(known);
    buf_free(&file);
    free(a);
    free(b);
}

static void names_and_fingerprints(void **state)
{
    (void)state;
    char *name = known_hosts_name("Host.Example", 22), *ported = known_hosts_name("2001:DB8::1", 2222);
    assert_string_equal(name, "host.example");
    assert_string_equal(ported, "[2001:db8::1]:2222");
    free(name);
    free(ported);
    /* From ssh-keygen -lf for this key. */
    char text[FINGERPRINT_SIZE];
    known_hosts_fingerprint("AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", text);
    assert_string_equal(text, "SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk");
    known_hosts_fingerprint("not base64 at all!", text);
    assert_string_equal(text, "");
}

static char folder[] = "/tmp/wgdeck-known-XXXXXX";

static void add_path(struct text_list *list, const char *path)
{
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = mem_text(path);
}

static struct ssh_target *target_with(const char *path)
{
    struct ssh_target *target = mem_alloc(1, sizeof *target);
    target->host = mem_text("host");
    target->port = 22;
    add_path(&target->known_hosts, path);
    return target;
}

static void verdicts(void **state)
{
    (void)state;
    char *right = make_key("ssh-ed25519", 1), *wrong = make_key("ssh-ed25519", 2), *rsa = make_key("ssh-rsa", 3);
    char *path = mem_format("%s/verdicts", folder);
    char *pin_right = mem_format("ssh-ed25519 %s", right), *pin_wrong = mem_format("ssh-ed25519 %s operator", wrong);
    const struct {
        const char *mark, *type, *key; /* what the file has; NULL: nothing */
        const char *pinned, *shown_type, *shown;
        enum known_verdict verdict;
        const char *says;
    } cases[] = {
        {NULL, NULL, NULL, NULL, "ssh-ed25519", right, KNOWN_VERDICT_UNKNOWN, NULL},
        {"", "ssh-ed25519", right, NULL, "ssh-ed25519", right, KNOWN_VERDICT_OK, NULL},
        {"", "ssh-ed25519", right, NULL, "ssh-ed25519", wrong, KNOWN_VERDICT_CHANGED, "verdicts:1"},
        {"", "ssh-ed25519", right, NULL, "ssh-rsa", rsa, KNOWN_VERDICT_CHANGED, "HAS CHANGED"},
        {"@revoked ", "ssh-ed25519", right, NULL, "ssh-ed25519", right, KNOWN_VERDICT_REVOKED, "@revoked in"},
        {"@revoked ", "ssh-ed25519", wrong, NULL, "ssh-ed25519", right, KNOWN_VERDICT_UNKNOWN, NULL},
        {"@revoked ", "ssh-ed25519", right, pin_right, "ssh-ed25519", right, KNOWN_VERDICT_REVOKED, "@revoked"},
        {"@cert-authority ", "ssh-ed25519", right, NULL, "ssh-ed25519", right, KNOWN_VERDICT_UNKNOWN, NULL},
        {NULL, NULL, NULL, pin_right, "ssh-ed25519", right, KNOWN_VERDICT_OK, NULL},
        {NULL, NULL, NULL, pin_wrong, "ssh-ed25519", right, KNOWN_VERDICT_CHANGED, "pinned"},
        {"", "ssh-ed25519", right, pin_wrong, "ssh-ed25519", right, KNOWN_VERDICT_CHANGED, "pinned"},
        {"", "ssh-ed25519", wrong, pin_right, "ssh-ed25519", right, KNOWN_VERDICT_CHANGED, "HAS CHANGED"},
        {"", "ssh-rsa", rsa, pin_right, "ssh-ed25519", right, KNOWN_VERDICT_OK, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {0};
        struct buf text = BUF_EMPTY;
        if (cases[i].mark)
            buf_add_format(&text, "%shost %s %s\n", cases[i].mark, cases[i].type, cases[i].key);
        assert_int_equal(file_write(path, 0600, buf_text(&text), text.length, &err), 0);
        struct host_keys *keys = host_keys_new();
        struct ssh_target *target = target_with(path);
        struct host_key_list *list = host_keys_find(keys, target);
        CASE_ASSERT(i, host_key_check(list, cases[i].pinned, cases[i].shown_type, cases[i].shown, &err) == cases[i].verdict);
        CASE_ASSERT(i, !cases[i].says || strstr(err.text, cases[i].says));
        if (i == 2) { /* both fingerprints */
            char was[FINGERPRINT_SIZE], is[FINGERPRINT_SIZE];
            known_hosts_fingerprint(right, was);
            known_hosts_fingerprint(wrong, is);
            CASE_ASSERT(i, strstr(err.text, was) && strstr(err.text, is));
        }
        CASE_ASSERT(i, host_key_by_authority(list) == (cases[i].mark && !strcmp(cases[i].mark, "@cert-authority ")));
        host_key_list_free(list);
        ssh_target_free(target);
        host_keys_free(keys);
        buf_free(&text);
    }
    unlink(path);
    free(path);
    free(pin_right);
    free(pin_wrong);
    free(right);
    free(wrong);
    free(rsa);
}

/* Nothing is known of a file that is there and cannot be read; and no number of lines hides the one that revokes. */
static void what_must_not_be_missed(void **state)
{
    (void)state;
    char *key = make_key("ssh-ed25519", 1), *path = mem_format("%s/missed", folder), *pin = mem_format("ssh-ed25519 %s", key);
    struct host_keys *keys = host_keys_new();
    struct ssh_target *target = target_with(path);
    struct err err = {0};
    assert_int_equal(mkdir(path, 0700), 0);
    struct host_key_list *list = host_keys_find(keys, target);
    assert_int_equal(host_key_check(list, NULL, "ssh-ed25519", key, &err), KNOWN_VERDICT_UNREADABLE);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(host_key_check(list, pin, "ssh-ed25519", key, &err), KNOWN_VERDICT_UNREADABLE);
    host_key_list_free(list);
    rmdir(path);

    struct buf text = BUF_EMPTY, lines = BUF_EMPTY;
    for (unsigned char i = 2; i < 202; i++) {
        char *other = make_key("ssh-ed25519", i);
        buf_add_format(&text, "@revoked host ssh-ed25519 %s\n", other);
        free(other);
    }
    buf_add_format(&text, "host ssh-ed25519 %s\n@revoked * ssh-ed25519 %s\n", key, key);
    assert_int_equal(file_write(path, 0600, buf_text(&text), text.length, &err), 0);
    list = host_keys_find(keys, target); /* readable again, and noticed */
    assert_int_equal(host_key_check(list, NULL, "ssh-ed25519", key, &err), KNOWN_VERDICT_REVOKED);
    host_key_add_revoked(&lines, list, "alias");
    char *last = mem_format("@revoked alias ssh-ed25519 %s\n", key);
    assert_non_null(strstr(buf_text(&lines), last));
    host_key_list_free(list);
    ssh_target_free(target);
    host_keys_free(keys);
    unlink(path);
    buf_free(&text);
    buf_free(&lines);
    free(last);
    free(pin);
    free(path);
    free(key);
}

static void known_types_are_wanted_first(void **state)
{
    (void)state;
    char *rsa = make_key("ssh-rsa", 3), *path = mem_format("%s/types", folder), *line = mem_format("host ssh-rsa %s\n", rsa);
    struct err err;
    assert_int_equal(file_write(path, 0600, line, strlen(line), &err), 0);
    struct host_keys *keys = host_keys_new();
    struct ssh_target *target = target_with(path);
    struct host_key_list *list = host_keys_find(keys, target);
    char *algorithms = host_key_algorithms(list, NULL), *pinned = host_key_algorithms(list, "ecdsa-sha2-nistp256 AAAA");
    assert_true(!strncmp(algorithms, "rsa-sha2-256,rsa-sha2-512,ssh-ed25519,", 38));
    assert_true(!strncmp(pinned, "ecdsa-sha2-nistp256,ssh-ed25519,", 32));
    free(algorithms);
    free(pinned);
    host_key_list_free(list);
    ssh_target_free(target);
    host_keys_free(keys);
    unlink(path);
    free(rsa);
    free(path);
    free(line);
}

/* A key that was accepted is found at the next look, in the same run: the file is read again when it changes. */
static void learns(void **state)
{
    (void)state;
    char *key = make_key("ssh-ed25519", 9), *path = mem_format("%s/new/known_hosts", folder), *deep = mem_format("%s/new", folder);
    for (int hashed = 0; hashed < 2; hashed++) {
        struct err err = {0};
        struct host_keys *keys = host_keys_new();
        struct ssh_target *target = target_with(path);
        target->hash_known_hosts = hashed;
        target->port = 2200;
        struct host_key_list *list = host_keys_find(keys, target);
        assert_int_equal(host_key_check(list, NULL, "ssh-ed25519", key, &err), KNOWN_VERDICT_UNKNOWN);
        host_key_list_free(list);
        assert_int_equal(host_key_learn(keys, target, "ssh-ed25519", key, &err), 0);
        list = host_keys_find(keys, target);
        assert_int_equal(host_key_check(list, NULL, "ssh-ed25519", key, &err), KNOWN_VERDICT_OK);
        host_key_list_free(list);
        ssh_target_free(target);
        host_keys_free(keys);
        struct buf text = BUF_EMPTY;
        assert_int_equal(file_read(path, 65536, &text, &err), 0);
        assert_true(hashed ? !strncmp(buf_text(&text), "|1|", 3) : !strncmp(buf_text(&text), "[host]:2200 ssh-ed25519 ", 24));
        buf_free(&text);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        unlink(path);
    }
    /* A last line without its end is not run together with the new one. */
    struct err err;
    assert_int_equal(file_write(path, 0600, "other ssh-rsa AAAA", 18, &err), 0);
    assert_int_equal(known_hosts_append(path, "host ssh-rsa BBBB\n", &err), 0);
    struct buf text = BUF_EMPTY;
    assert_int_equal(file_read(path, 65536, &text, &err), 0);
    assert_string_equal(buf_text(&text), "other ssh-rsa AAAA\nhost ssh-rsa BBBB\n");
    buf_free(&text);
    unlink(path);
    rmdir(deep);
    free(key);
    free(path);
    free(deep);
}

/* Trap 7: libssh needs 27 ms for each connect with such a file. */
static void a_large_hashed_file_is_cheap(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    char *key = make_key("ssh-ed25519", 1);
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof name, "host-%u.example", i);
        known_hosts_add_line(&file, name, "ssh-ed25519", key, true);
    }
    struct known_hosts *known = known_hosts_parse(file.data, file.length);
    const struct known_line *lines[4];
    int64_t started = clock_steady();
    for (unsigned i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "host-%u.example", i * 99);
        assert_int_equal(known_hosts_find(known, name, lines, 4), 1);
    }
    double each = (double)(clock_steady() - started) / 20 / 1e6;
    print_message("lookup among 2,000 hashed lines: %.3f ms\n", each);
    assert_true(each < 10); /* 0.4 ms; sanitizers and a busy machine have their room */
    known_hosts_free(known);
    buf_free(&file);
    free(key);
}

static int set_up(void **state)
{
    (void)state;
    return sodium_init() < 0 || !mkdtemp(folder);
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_lines_of_every_form), cmocka_unit_test(names_and_fingerprints), cmocka_unit_test(verdicts),
        cmocka_unit_test(known_types_are_wanted_first), cmocka_unit_test(what_must_not_be_missed), cmocka_unit_test(learns), cmocka_unit_test(a_large_hashed_file_is_cheap),
    };
    return cmocka_run_group_tests_name("known_hosts", tests, set_up, tear_down);
}
