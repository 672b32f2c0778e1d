/* The mesh file on disk: what somebody else writes into it meanwhile is never lost. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh_file.h"

static const char begin[] = "# ours\n[Mesh]\nNetwork = 10.44.0.0/24\n\n[Node a]\nAddress = 10.44.0.1\n";
static char folder[] = "/tmp/wgdeck-mesh-file-XXXXXX";
static char *path;
static struct err err;

static void put(const char *text)
{
    assert_int_equal(file_write(path, 0640, text, strlen(text), &err), 0);
}

static char *get(void)
{
    struct buf bytes = BUF_EMPTY;
    assert_int_equal(file_read(path, 1 << 20, &bytes, &err), 0);
    return buf_take(&bytes);
}

static void expect(const char *wanted)
{
    char *now = get();
    assert_string_equal(now, wanted);
    free(now);
}

static int edit(struct mesh_file *file, enum mesh_edit_kind kind, const char *node, const char *key, const char *value)
{
    struct mesh_edits edits = {0};
    mesh_edits_add(&edits, kind, node, key, value);
    int result = mesh_file_edit(file, &edits, &err);
    mesh_edits_free(&edits);
    return result;
}

static void test_edit_keeps_what_was_written_meanwhile(void **state)
{
    struct mesh_file file;
    struct stat status;
    (void)state;
    put(begin);
    assert_int_equal(mesh_file_read(path, &file, NULL, &err), 0);
    char *meanwhile = mem_format("%s# by hand\n[Node b]\nAddress = 10.44.0.2\n", begin);
    put(meanwhile);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "1380"), 0);
    char *now = get();
    assert_non_null(strstr(now, "# by hand"));
    assert_non_null(strstr(now, "MTU = 1380"));
    assert_int_equal(file.mesh->node_count, 2);
    assert_string_equal(buf_text(&file.bytes), now);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640); /* as its owner has it */
    free(now);
    free(meanwhile);
    mesh_file_free(&file);
}

static void test_nothing_is_written_on_an_error(void **state)
{
    struct mesh_file file;
    (void)state;
    put(begin);
    assert_int_equal(mesh_file_read(path, &file, NULL, &err), 0);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "5"), -1);
    expect(begin);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "nobody", "MTU", "1380"), -1);
    expect(begin);
    put("[Mesh]\nNetwork = nonsense\n"); /* broken by hand meanwhile: it is not for us to mend */
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "1380"), -1);
    expect("[Mesh]\nNetwork = nonsense\n");
    assert_int_equal(file.mesh->node_count, 1);
    mesh_file_free(&file);
}

static void test_undo(void **state)
{
    struct mesh_file file;
    struct buf before = BUF_EMPTY;
    (void)state;
    put(begin);
    assert_int_equal(mesh_file_read(path, &file, NULL, &err), 0);
    buf_add(&before, file.bytes.data, file.bytes.length);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "1380"), 0);
    assert_int_equal(mesh_file_undo(&file, &before, &err), 0);
    expect(begin);
    assert_int_equal(file.mesh->nodes[0].mtu, 0);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "1380"), 0);
    char *edited = get(), *by_hand = mem_format("%s# mine\n", edited);
    put(by_hand);
    assert_int_equal(mesh_file_undo(&file, &before, &err), 1); /* somebody has written since: it stays */
    expect(by_hand);
    free(edited);
    free(by_hand);
    buf_free(&before);
    mesh_file_free(&file);
}

static void test_missing_and_unwritable(void **state)
{
    struct mesh_file file;
    (void)state;
    unlink(path);
    assert_int_equal(mesh_file_read(path, &file, NULL, &err), -1);
    assert_non_null(strstr(err.text, path));
    put(begin);
    assert_int_equal(mesh_file_read(path, &file, NULL, &err), 0);
    unlink(path);
    assert_int_equal(edit(&file, MESH_EDIT_SET, "a", "MTU", "1380"), -1);
    assert_int_not_equal(access(path, F_OK), 0); /* who took it away had a reason */
    mesh_file_free(&file);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    path = mem_format("%s/mesh.conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    return rmdir(folder); /* fails when a temporary file was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edit_keeps_what_was_written_meanwhile),
        cmocka_unit_test(test_nothing_is_written_on_an_error),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_missing_and_unwritable),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
