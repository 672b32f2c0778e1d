/* Recordings: what goes in comes out, no key of the mesh is in the file, and broken or hostile files are refused with their line. */
#include "unit.h"

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/history.h"
#include "wgdeck/record.h"

#define KEY_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_B "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="

#define KEY_FORMER "h6F0DcnR8HVKT8BjbPjXLJlrDhN8nyeqU4aOQHOGiUQ="
#define KEY_REMOVED "m2vWcKq0sZT4bXyFgN8hL3eRjD5uPaO7iQxC1tYkEws="

static const char mesh_text[] = "# a comment that is nobody's business\n"
                                "[Mesh]\nName = small\nNetwork = 10.44.0.0/24\n"
                                "[Node a]\nSsh = a.example\nAddress = 10.44.0.1\nPublicKey = " KEY_A "\nHostKey = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Itg5QHgrbuol7Ncij1e9s/ZsB15fm2ad9Jg6VxU7h\n"
                                "[Node b]\nSsh = b.example\nAddress = 10.44.0.2\nPublicKey = " KEY_B "\nFormerKey = " KEY_FORMER "\n"
                                "[Removed c]\nAddress = 10.44.0.3\nPublicKey = " KEY_REMOVED "\n";

static struct conf *conf;
static struct mesh *mesh;

static int set_up(void **state)
{
    struct err err;
    (void)state;
    conf = conf_parse("mesh.conf", mesh_text, strlen(mesh_text), &err);
    mesh = conf ? mesh_read(conf, NULL, &err) : NULL;
    if (!mesh)
        print_error("%s\n", err.text);
    return mesh ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mesh_free(mesh);
    conf_free(conf);
    return 0;
}

/* Node a's reading, at SECONDS, with RX bytes from b. */
static void fill(struct observation *seen, int64_t seconds, uint64_t rx)
{
    *seen = (struct observation){.reach = REACH_OK, .at = seconds * CLOCK_SECOND, .node_time = seconds * CLOCK_SECOND + 7, .clock_offset = 7,
                                 .clock_uncertainty = 1000, .hostname = mem_text("a"), .privileged = true};
    seen->devices = mem_alloc(1, sizeof *seen->devices);
    seen->device_count = 1;
    struct device *device = seen->devices;
    strcpy(device->name, "wg0");
    device->has_private = true;
    key_parse(KEY_A, &device->public_key);
    device->peers = mem_alloc(1, sizeof *device->peers);
    device->peer_count = 1;
    key_parse(KEY_B, &device->peers[0].public_key);
    device->peers[0].rx_bytes = rx;
}

static void record(struct buf *bytes)
{
    struct err err;
    struct observation seen;
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    struct recorder *recorder = recorder_new(file, "test", mesh, conf, &err);
    assert_non_null(recorder);
    for (int i = 0; i < 3; i++) {
        fill(&seen, 1700000000 + 10 * i, (uint64_t)(100 * i));
        assert_int_equal(recorder_add(recorder, 0, &seen, &err), 0);
        observation_clear(&seen);
    }
    seen = (struct observation){.reach = REACH_FAILED, .at = INT64_C(1700000025) * CLOCK_SECOND, .error = mem_text("gone away")};
    assert_int_equal(recorder_add(recorder, 1, &seen, &err), 0);
    observation_clear(&seen);
    recorder_free(recorder);
    fclose(file);
    buf_add(bytes, text, length);
    free(text);
}

static struct recording *open_text(const char *text, size_t length, FILE **file, struct err *err)
{
    *file = fmemopen((void *)(uintptr_t)text, length, "r");
    return recording_open(*file, "test.jsonl", err);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct buf bytes = BUF_EMPTY;
    struct err err = {.text = ""};
    FILE *file;
    record(&bytes);
    struct recording *recording = open_text(bytes.data, bytes.length, &file, &err);
    if (!recording)
        fail_msg("%s", err.text);
    const struct mesh *again = recording_mesh(recording);
    assert_true(again->from_file);
    assert_int_equal(again->node_count, 2);
    assert_string_equal(again->nodes[1].name, "b");
    assert_int_equal(again->nodes[1].former_key_count, 1);
    assert_int_equal(again->removed_count, 1);
    assert_int_equal(again->removed[0].key_count, 1);
    for (int i = 0; i < 3; i++) {
        assert_true(recording_peek(recording, &err) == (INT64_C(1700000000) + 10 * i) * CLOCK_SECOND);
        assert_int_equal(recording_next(recording, &err), 1);
        const struct observation *seen = &recording_observed(recording)->nodes[0];
        assert_int_equal(seen->reach, REACH_OK);
        assert_true(seen->at == (INT64_C(1700000000) + 10 * i) * CLOCK_SECOND && seen->node_time == seen->at + 7 && seen->clock_uncertainty == 1000);
        assert_int_equal(seen->devices[0].peers[0].rx_bytes, 100 * i);
        /* The same key is the same everywhere: the mesh's, the node's own, the row's. */
        assert_true(key_equal(&seen->devices[0].public_key, &again->nodes[0].public_key));
        assert_true(key_equal(&seen->devices[0].peers[0].public_key, &again->nodes[1].public_key));
    }
    assert_int_equal(recording_next(recording, &err), 1);
    assert_string_equal(recording_observed(recording)->nodes[1].error, "gone away");
    assert_true(recording_peek(recording, &err) == INT64_MAX);
    assert_int_equal(recording_next(recording, &err), 0);
    recording_free(recording);
    fclose(file);
    buf_free(&bytes);
}

static void test_no_key_is_in_it(void **state)
{
    (void)state;
    static const char *const secrets[] = {KEY_A, KEY_B, KEY_FORMER, KEY_REMOVED, "ssh-ed25519", "nobody's business"};
    struct buf bytes = BUF_EMPTY, other = BUF_EMPTY;
    record(&bytes);
    record(&other);
    for (size_t i = 0; i < COUNT_OF(secrets); i++)
        CASE_ASSERT(i, !strstr(bytes.data, secrets[i]));
    assert_string_not_equal(bytes.data, other.data); /* a salt of its own each time */
    buf_free(&bytes);
    buf_free(&other);
}

#define HEAD "{\"recording\":1,\"at\":\"2026-11-22T14:00:00Z\",\"targets\":[\"root@a\",\"b\"]}\n"

static const struct {
    const char *text;
    const char *says; /* NULL: all of it is read */
} files[] = {
    {HEAD, NULL},
    {HEAD "{\"node\":\"a\",\"at\":1,\"observation\":{\"reach\":\"ok\"}}\n", NULL},
    {HEAD "{\"node\":\"a\",\"at\":1,\"observ", NULL}, /* the end was never written */
    {"", "empty"},
    {"\n", "test.jsonl:1"},
    {"hello\n", "test.jsonl:1"},
    {"{}\n", "not a recording"},
    {"{\"recording\":2}\n", "newer"},
    {"{\"recording\":1}\n", "neither"},
    {"{\"recording\":1,\"targets\":[1]}\n", "targets"},
    {"{\"recording\":1,\"mesh\":\"[Mesh\"}\n", "test.jsonl:1"},
    {HEAD "[]\n", "test.jsonl:2"},
    {HEAD "{\"node\":\"z\",\"observation\":{}}\n", "not a node"},
    {HEAD "{\"node\":\"a\"}\n", "neither"},
    {HEAD "{\"node\":\"a\",\"change\":{}}\n", "not seen before"},
    {HEAD "{\"node\":\"a\",\"observation\":{\"devices\":3}}\n", "test.jsonl:2"},
    {HEAD "{\"node\":\"a\",\"observation\":{\"reach\":\"ok\"}}\n{\"node\":\"a\",\"change\":{\"links\":\"x\"}}\n", "test.jsonl:3"},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct err err = {.text = ""};
        FILE *file;
        int result = -1;
        size_t length = strlen(files[i].text);
        struct recording *recording = open_text(length ? files[i].text : " ", length ? length : 1, &file, &err);
        while (recording && (result = recording_next(recording, &err)) > 0)
            ;
        if (!files[i].says ? result != 0 : result >= 0 || !strstr(err.text, files[i].says))
            fail_msg("case %zu: result %d, \"%s\"", i, result, err.text);
        recording_free(recording);
        fclose(file);
    }
}

static void test_history_is_old_enough(void **state)
{
    (void)state;
    struct history *history = history_new();
    struct observed *now = observed_new(1);
    for (int second = 0; second < 100; second++) {
        int64_t at = second * CLOCK_SECOND;
        const struct counters *before = history_before(history, at);
        CASE_ASSERT(second, (before != NULL) == (second >= 12));
        CASE_ASSERT(second, !before || second - before->nodes[0].at / CLOCK_SECOND < 16);
        CASE_ASSERT(second, !before || second - before->nodes[0].at / CLOCK_SECOND >= 12);
        now->nodes[0].at = at;
        history_add(history, now, at);
    }
    observed_free(now);
    history_free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_key_is_in_it),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_history_is_old_enough),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
