/* file.h: whole or not at all, also on a full disk, through a link, in a folder that takes no writing. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wgdeck/file.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wgdeck-file-test-XXXXXX");
    return mkdtemp(folder) && !chdir(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[192];
    (void)state;
    snprintf(command, sizeof command, "chmod -R u+rwx %s && rm -rf %s", folder, folder);
    return chdir("/") || system(command) ? -1 : 0;
}

static void assert_content(const char *path, const char *expected)
{
    struct buf buf = BUF_EMPTY;
    struct err err = {{0}};
    if (file_read(path, 1 << 20, &buf, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buf_text(&buf), expected);
    buf_free(&buf);
}

static unsigned file_count(const char *path)
{
    char command[128], text[16] = "";
    snprintf(command, sizeof command, "ls -A %s | wc -l", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return (unsigned)atoi(text);
}

static void test_write_and_read(void **state)
{
    struct stat status;
    struct buf buf = BUF_EMPTY;
    struct err err = {{0}};
    (void)state;
    umask(077);
    assert_int_equal(file_write("a", 0640, "one\n", 4, &err), 0);
    assert_content("a", "one\n");
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(file_write("a", 0600, "", 0, &err), 0);
    assert_content("a", "");
    assert_int_equal(file_write("a", 0600, "12345", 5, &err), 0);
    assert_int_equal(file_read("a", 5, &buf, &err), 0);
    assert_int_equal(file_read("a", 4, &buf, &err), -1);
    assert_string_equal(err.text, "a: larger than 4 bytes, not read");
    assert_int_equal(buf.length, 0);
    assert_int_equal(file_read("absent", 4, &buf, &err), -1);
    assert_string_equal(err.text, "absent: No such file or directory");
    assert_int_equal(file_read(".", 4, &buf, &err), -1);
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &buf, &err), 0); /* says it has 0 bytes */
    assert_true(buf.length > 100);
    assert_int_equal(file_read("/dev/zero", 100000, &buf, &err), -1);
    buf_free(&buf);
    assert_int_equal(file_count("."), 1);
}

static void test_links(void **state)
{
    struct stat status;
    struct err err = {{0}};
    (void)state;
    assert_int_equal(mkdir("sub", 0700) | symlink("sub/target", "link") | symlink("../link", "sub/back") | symlink("loop", "loop"), 0);
    assert_int_equal(file_write("sub/back", 0600, "x", 1, &err), 0); /* link to link, to a file that is not there yet */
    assert_content("sub/target", "x");
    assert_int_equal(file_write("link", 0600, "y", 1, &err), 0);
    assert_content("sub/target", "y");
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(file_write("loop", 0600, "y", 1, &err), -1);
    assert_int_equal(file_write("sub", 0600, "y", 1, &err), -1);
    assert_int_equal(file_write("nowhere/a", 0600, "y", 1, &err), -1);
    assert_int_equal(file_count("sub"), 2);
}

static void test_special_files(void **state)
{
    struct stat status;
    struct err err = {{0}};
    (void)state;
    assert_int_equal(file_write("/dev/null", 0600, "x", 1, &err), 0);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_int_equal(file_write("/dev/full", 0600, "x", 1, &err), -1);
    assert_string_equal(err.text, "/dev/full: No space left on device");
}

/* As root everything can be written, so the folder is asked for as somebody else, in a process of its own. */
static void test_read_only_folder(void **state)
{
    int status = 0;
    struct err err = {{0}};
    (void)state;
    assert_int_equal(mkdir("shut", 0755), 0);
    assert_int_equal(file_write("shut/a", 0644, "old", 3, &err), 0);
    assert_int_equal(chmod("shut", 0555) | chmod(".", 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534))
            _exit(9);
        _exit(file_write("shut/a", 0644, "new", 3, &err) == -1 && strstr(err.text, "ermission denied") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_content("shut/a", "old");
    assert_int_equal(file_count("shut"), 1);
}

static int full_disk(void)
{
    static char large[300000];
    struct err err = {{0}};
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir("small", 0700) ||
        mount("tmpfs", "small", "tmpfs", 0, "size=128k"))
        return 77;
    if (file_write("small/a", 0600, "old", 3, &err))
        return 1;
    if (file_write("small/a", 0600, large, sizeof large, &err) != -1 || !strstr(err.text, "No space left"))
        return 2;
    struct buf buf = BUF_EMPTY;
    if (file_read("small/a", 100, &buf, &err) || strcmp(buf_text(&buf), "old") || file_count("small") != 1)
        return 3;
    buf_free(&buf);
    return 0;
}

static void test_full_disk(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(full_disk());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 77) {
        print_message("a small disk of its own needs root and mount namespaces\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_folders(void **state)
{
    struct stat status;
    struct err err = {{0}};
    (void)state;
    umask(077);
    assert_int_equal(file_make_folders("p/q//r/", 0755, &err), 0);
    assert_int_equal(file_make_folders("p/q/r", 0700, &err), 0);
    assert_int_equal(stat("p/q/r", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_int_equal(file_write("p/file", 0600, "", 0, &err), 0);
    assert_int_equal(file_make_folders("p/file/x", 0755, &err), -1);
    assert_non_null(strstr(err.text, "p/file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_links, make_folder, remove_folder),
        cmocka_unit_test(test_special_files),
        cmocka_unit_test_setup_teardown(test_read_only_folder, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_full_disk, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folders, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
