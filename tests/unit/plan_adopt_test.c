/* A mesh made by hand, adopted, then planned from the very same readings: nothing to do, or what is done is explained. Recordings of tests/golden/diagnosis; what comes
 * out is tests/golden/plan/adopt-NAME.text (UPDATE=1 writes it anew: look at each). */
#include "unit.h"

#include <dirent.h>
#include <errno.h>

#include "wgdeck/adopt.h"
#include "wgdeck/plan.h"
#include "wgdeck/record.h"

static const char folder[] = "tests/golden/diagnosis";

static void describe(const struct mesh *targets, const struct observed *seen, struct buf *found)
{
    struct err err;
    struct buf notes = BUF_EMPTY, warnings = BUF_EMPTY;
    struct conf *conf = conf_new("mesh.conf");
    if (adopt_mesh(targets, seen, conf, &notes, &err))
        fail_msg("%s", err.text);
    struct mesh *mesh = mesh_read(conf, &warnings, &err);
    if (!mesh)
        fail_msg("%s", err.text);
    conf_write(conf, found);
    buf_add_format(found, "=== notes\n%s=== plan\n", buf_text(&notes));
    if (mesh->node_count == seen->node_count) {
        struct desired *desired = desired_new(mesh);
        struct plan_options options = {.now = seen->nodes[0].at};
        struct plan *plan = plan_new(mesh, desired, seen, &options);
        plan_to_text(plan, false, found);
        plan_free(plan);
        desired_free(desired);
    }
    buf_free(&notes);
    buf_free(&warnings);
    mesh_free(mesh);
    conf_free(conf);
}

static void adopt_recording(const char *path, struct buf *found)
{
    struct err err;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    struct recording *recording = recording_open(file, path, &err);
    if (!recording)
        fail_msg("%s", err.text);
    while (recording_next(recording, &err) > 0)
        continue;
    describe(recording_mesh(recording), recording_observed(recording), found);
    recording_free(recording);
    fclose(file);
}

static bool is_as_before(const char *name, const struct buf *found)
{
    char *path = mem_format("tests/golden/plan/adopt-%s.text", name);
    struct buf expected = BUF_EMPTY;
    FILE *file = fopen(path, getenv("UPDATE") ? "w" : "r");
    bool same = true;
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    if (getenv("UPDATE")) {
        fwrite(buf_text(found), 1, found->length, file);
    } else {
        for (int byte; (byte = getc(file)) != EOF;)
            buf_add_char(&expected, (char)byte);
        same = !strcmp(buf_text(&expected), buf_text(found));
        if (!same)
            print_error("%s\nwanted:\n%s\nfound:\n%s\n", path, buf_text(&expected), buf_text(found));
    }
    fclose(file);
    buf_free(&expected);
    free(path);
    return same;
}

static void test_recordings(void **state)
{
    (void)state;
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), seen = 0, wrong = 0;
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        char *dot = strrchr(entries[i]->d_name, '.');
        if (dot && !strcmp(dot, ".jsonl")) {
            struct buf found = BUF_EMPTY;
            char *path = mem_format("%s/%s", folder, entries[i]->d_name);
            *dot = '\0';
            adopt_recording(path, &found);
            wrong += !is_as_before(entries[i]->d_name, &found);
            seen++;
            free(path);
            buf_free(&found);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(seen > 0);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_recordings)};
    return cmocka_run_group_tests_name("plan_adopt", tests, NULL, NULL);
}
