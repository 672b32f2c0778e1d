/* Recordings of real meshes (wgdeck record, in the lab) and what is to be named in them: tests/golden/diagnosis/NAME.jsonl with NAME.faults
 * beside it, one fault of severity error or warning a line: its id, its nodes, and its direction if it has one. The first round of
 * readings is the older one, the last state the newer one. SHOW=1 prints what was found. */
#include "unit.h"

#include <dirent.h>

#include "wgdeck/clock.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/file.h"
#include "wgdeck/record.h"

static const char folder[] = "tests/golden/diagnosis";

static bool all_seen(const struct observed *observed)
{
    for (size_t i = 0; i < observed->node_count; i++)
        if (observed->nodes[i].reach == REACH_UNKNOWN)
            return false;
    return true;
}

static void list_faults(const struct mesh *mesh, const struct diagnosis *diagnosis, struct buf *buf)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        if (fault->severity == SEVERITY_INFO)
            continue;
        buf_add_text(buf, fault->kind->id);
        for (size_t k = 0; k < COUNT_OF(fault->nodes); k++)
            if (fault->nodes[k] < mesh->node_count)
                buf_add_format(buf, " %s", mesh->nodes[fault->nodes[k]].name);
        if (fault->directed)
            buf_add_format(buf, " %s->%s", mesh->nodes[fault->from].name, mesh->nodes[fault->to].name);
        buf_add_char(buf, '\n');
    }
}

static void diagnose_recording(const char *path, struct buf *found)
{
    struct err err;
    struct counters *before = NULL;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    struct recording *recording = recording_open(file, path, &err);
    if (!recording)
        fail_msg("%s", err.text);
    int more;
    while ((more = recording_next(recording, &err)) > 0)
        if (!before && all_seen(recording_observed(recording)))
            before = counters_take(recording_observed(recording));
    if (more < 0)
        fail_msg("%s", err.text);
    struct diagnosis *diagnosis = diagnose(recording_mesh(recording), recording_observed(recording), before);
    list_faults(recording_mesh(recording), diagnosis, found);
    for (size_t i = 0; getenv("SHOW") && i < diagnosis->fault_count; i++) {
        print_error("%s: %s\n", path, diagnosis->faults[i].summary);
        for (size_t k = 0; k < diagnosis->faults[i].evidence_count; k++)
            print_error("    %s\n", diagnosis->faults[i].evidence[k]);
    }
    diagnosis_free(diagnosis);
    counters_free(before);
    recording_free(recording);
    fclose(file);
}

static char *read_text(const char *path)
{
    struct buf buf = BUF_EMPTY;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    for (int byte; (byte = getc(file)) != EOF;)
        buf_add_char(&buf, (char)byte);
    fclose(file);
    return buf_take(&buf);
}

static void test_recordings(void **state)
{
    (void)state;
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), seen = 0, wrong = 0;
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        char *dot = strrchr(entries[i]->d_name, '.');
        if (dot && strcmp(dot, ".jsonl") == 0) {
            struct buf found = BUF_EMPTY;
            char *path = mem_format("%s/%s", folder, entries[i]->d_name);
            *dot = '\0';
            char *expected_path = mem_format("%s/%s.faults", folder, entries[i]->d_name), *expected = read_text(expected_path);
            diagnose_recording(path, &found);
            if (strcmp(expected, buf_text(&found)) != 0) {
                print_error("%s: wanted\n%sfound\n%s", path, expected, buf_text(&found));
                wrong++;
            }
            seen++;
            free(path);
            free(expected);
            free(expected_path);
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
    return cmocka_run_group_tests_name("diagnosis_golden", tests, NULL, NULL);
}
