/* What people and programs read: columns, folded names, marks, verdicts; and whole pictures of recorded meshes against tests/golden/cli
 * (UPDATE_GOLDEN=1 writes them anew: then read the difference). */
#include "unit.h"

#include <unistd.h>

#include "cmd/columns.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "wgdeck/file.h"
#include "wgdeck/text.h"

static const struct terminal plain = {.width = 60};
static const struct terminal rich = {.width = 60, .colour = true, .utf8 = true, .interactive = true};

static const struct {
    const char *names[8];
    const char *folded;
} foldings[] = {
    {{"a"}, "a"},
    {{"n1", "n2"}, "n1,n2"},
    {{"n3", "n1", "n2"}, "n[1-3]"},
    {{"n10", "n9", "n8", "db"}, "db,n[8-10]"},
    {{"n08", "n09", "n10"}, "n[08-10]"},
    {{"n1", "n02", "n3"}, "n02,n1,n3"},
    {{"r1.fra", "r2.fra", "r3.fra", "r4.ams"}, "r[1-3].fra,r4.ams"},
    {{"n1", "n2", "n3", "n5", "n6", "n7"}, "n[1-3],n[5-7]"},
    {{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "10.0.0.[1-3]"},
    {{"n99999999999999999999", "n99999999999999999998"}, "n99999999999999999998,n99999999999999999999"},
};

static void test_folding(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(foldings); i++) {
        const char *names[8];
        size_t count = 0;
        struct buf text = BUF_EMPTY;
        for (; count < 8 && foldings[i].names[count]; count++)
            names[count] = foldings[i].names[count];
        add_folded_names(&text, names, count);
        if (strcmp(buf_text(&text), foldings[i].folded) != 0)
            fail_msg("case %zu: \"%s\", wanted \"%s\"", i, buf_text(&text), foldings[i].folded);
        buf_free(&text);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {1048576, "1.0 MiB"}, {1048575, "1.0 MiB"}, {UINT64_MAX, "16.0 EiB"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[BYTES_TEXT_SIZE];
        bytes_text(cases[i].bytes, text);
        CASE_ASSERT(i, !strcmp(text, cases[i].text));
    }
}

static void add_rows(struct columns *columns)
{
    *columns = (struct columns){.count = 4, .titles = {"NAME", "EMPTY", "N", "NOTE"}, .right = {[2] = true}};
    columns_row(columns, MARK_GOOD, (const char *const[]){"short", NULL, "1", NULL});
    columns_row(columns, MARK_BAD, (const char *const[]){"a longer name", NULL, "100", "a note that is too long for the rest of the line, by far"});
}

static void test_columns(void **state)
{
    (void)state;
    struct columns columns;
    struct buf text = BUF_EMPTY;
    add_rows(&columns);
    columns_write(&columns, &plain, &text);
    assert_string_equal(buf_text(&text), "  NAME             N  NOTE\n"
                                         "+ short            1\n"
                                         "x a longer name  100\n"
                                         "      a note that is too long for the rest of the line, by\n"
                                         "      far\n");
    buf_clear(&text);
    add_rows(&columns);
    columns_write(&columns, &rich, &text);
    assert_non_null(strstr(buf_text(&text), "\033[32m\xe2\x9c\x93\033[0m short"));
    assert_non_null(strstr(buf_text(&text), "\033[31m\xe2\x9c\x97\033[0m a longer"));
    buf_free(&text);
}

/* The whole program, its output in a file. */
static int call(char **words, int count, struct buf *said)
{
    char path[] = "/tmp/wgdeck-output-test-XXXXXX";
    int file = mkstemp(path), saved = dup(1);
    struct err err;
    fflush(stdout);
    dup2(file, 1);
    int status = cmd_main(count, words);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    close(file);
    assert_int_equal(file_read(path, 16 << 20, said, &err), 0);
    unlink(path);
    return status;
}

static const struct {
    const char *golden; /* in tests/golden/cli */
    const char *words[8];
    int status;
} pictures[] = {
    {"healthy.status", {"replay", "--ascii", "healthy.jsonl"}, 0},
    {"healthy.doctor", {"replay", "--ascii", "--doctor", "healthy.jsonl"}, 0},
    {"healthy.all", {"replay", "--all", "--ascii", "healthy.jsonl"}, 0},
    {"broken.status", {"replay", "--ascii", "broken.jsonl"}, 2},
    {"broken.doctor", {"replay", "--ascii", "-D", "broken.jsonl"}, 2},
    {"broken.one", {"replay", "--ascii", "-n", "api", "broken.jsonl"}, 0},
    {"broken.prom", {"replay", "--prom", "broken.jsonl"}, 2},
    {"broken.json", {"replay", "--json", "broken.jsonl"}, 2},
    {"joined.status", {"replay", "--ascii", "joined.jsonl"}, 0}, /* one straight, one by the hub, one in no section */
    {"joined.all", {"replay", "--all", "--ascii", "joined.jsonl"}, 0},
    {"joined.doctor", {"replay", "--ascii", "--doctor", "joined.jsonl"}, 0},
    {"joined.json", {"replay", "--json", "joined.jsonl"}, 0},
    {"broken.first", {"replay", "--ascii", "--at", "+1", "broken.jsonl"}, 2},
};

static void compare(const char *path, const struct buf *said)
{
    struct err err;
    struct buf wanted = BUF_EMPTY;
    if (getenv("UPDATE_GOLDEN"))
        assert_int_equal(file_write(path, 0644, buf_text(said), said->length, &err), 0);
    if (file_read(path, 16 << 20, &wanted, &err))
        fail_msg("%s", err.text);
    if (wanted.length != said->length || memcmp(buf_text(&wanted), buf_text(said), said->length) != 0)
        fail_msg("%s differs (UPDATE_GOLDEN=1 writes it anew); now it is:\n%s", path, buf_text(said));
    buf_free(&wanted);
}

static void test_pictures(void **state)
{
    (void)state;
    if (access("tests/golden/cli/healthy.jsonl", R_OK))
        skip(); /* not run from the top of the checkout */
    for (size_t i = 0; i < COUNT_OF(pictures); i++) {
        struct buf said = BUF_EMPTY;
        char *words[10] = {mem_text("wgdeck")}, path[100];
        int count = 1;
        for (; pictures[i].words[count - 1]; count++) {
            const char *word = pictures[i].words[count - 1];
            words[count] = strstr(word, ".jsonl") ? mem_format("tests/golden/cli/%s", word) : mem_text(word);
        }
        int status = call(words, count, &said);
        if (status != pictures[i].status)
            fail_msg("%s: status %d, wanted %d", pictures[i].golden, status, pictures[i].status);
        /* A line is for people: nothing in it moves a cursor. */
        for (const char *at = buf_text(&said); *at; at++)
            CASE_ASSERT(i, *at == '\n' || (unsigned char)*at >= 0x20);
        snprintf(path, sizeof path, "tests/golden/cli/%s", pictures[i].golden);
        compare(path, &said);
        for (int w = 0; w < count; w++)
            free(words[w]);
        buf_free(&said);
    }
}

/* Each part of a remedy on its line; commands whole, prose filled. */
static void test_remedies(void **state)
{
    (void)state;
    static const struct {
        const char *remedy, *wanted;
    } cases[] = {
        {"look there", "look there\n"},
        {"on a: wg set wg0 listen-port 1; on b: ip link set wg0 up", "on a: wg set wg0 listen-port 1\n  on b: ip link set wg0 up\n"},
        {"on a: wg set wg0 peer KEYKEYKEYKEYKEYKEYKEY remove", "on a:\n    wg set wg0 peer KEYKEYKEYKEYKEYKEYKEY remove\n"},
        {"wg set wg0 peer KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY remove", "wg set wg0 peer KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY remove\n"},
        {"a very long piece of prose that does not fit; more", "a very long piece of prose that does\n  not fit\n  more\n"},
        {"restart (or wg-quick down x; up x); node's end; 'q; r'", "restart (or wg-quick down x; up x)\n  node's end\n  'q; r'\n"},
        {"an 'open; quote", "an 'open; quote\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf text = BUF_EMPTY;
        add_remedy(&text, cases[i].remedy, 2, 40);
        assert_string_equal(buf_text(&text), cases[i].wanted);
        buf_free(&text);
    }
}

/* Prometheus: every sample belongs to a metric with HELP and TYPE, and label values are escaped. */
static void test_prom_is_well_formed(void **state)
{
    (void)state;
    static const char *const targets[] = {"root@a", "root@b"};
    struct err err;
    struct mesh *mesh = mesh_from_targets(targets, 2, &err);
    struct observed *observed = observed_new(2);
    free(mesh->name);
    mesh->name = mem_text("a \"strange\"\\name\nhere");
    struct diagnosis *diagnosis = diagnose(mesh, observed, NULL);
    struct report report = {.mesh = mesh, .observed = observed, .diagnosis = diagnosis, .terminal = &plain, .about = {SIZE_MAX, SIZE_MAX}};
    struct buf text = BUF_EMPTY;
    output_prom.status(&report, &text);
    assert_non_null(strstr(buf_text(&text), "wgdeck_verdict{mesh=\"a \\\"strange\\\"\\\\name\\nhere\"} 3\n"));
    char *copy = mem_text(buf_text(&text)), *rest = NULL, metric[100] = "";
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "# TYPE %99s", metric) == 1 || line[0] == '#')
            continue;
        size_t length = strcspn(line, "{");
        if (strlen(metric) != length || strncmp(metric, line, length) != 0)
            fail_msg("a sample under %s: %s", metric, line);
    }
    free(copy);
    buf_free(&text);
    diagnosis_free(diagnosis);
    observed_free(observed);
    mesh_free(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_pictures), cmocka_unit_test(test_remedies),
        cmocka_unit_test(test_prom_is_well_formed),
    };
    setenv("COLUMNS", "80", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
