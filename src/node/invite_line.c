/* The line of an invitation in an authorized_keys file (invite_parts.h). In an account's home, and in its folders elsewhere, all is done by a child that is that account, so that a link or a
 * folder which its owner has put there leads no farther than they could go themselves; and only where sshd would take the file, whose rules for owners and modes are these. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "invite_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { FILE_MOST = 1 << 20 };

struct edit {
    const struct account *account;
    const char *path, *id, *line;
};

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    return !strncmp(path, folder, length) && path[length] == '/';
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? mem_text("/") : mem_text_part(path, (size_t)(slash - path));
}

/* --- what sshd asks of the file and the folders above it (StrictModes) */

static int check_one(const char *path, const struct account *account, struct err *err)
{
    struct stat status;
    if (stat(path, &status))
        return err_set(err, "%s: %s", path, strerror(errno));
    if (status.st_uid != 0 && status.st_uid != account->uid)
        return err_set(err, "%s: belongs to neither root nor %s, so sshd takes no keys from there (chown it)", path, account->name);
    if (status.st_mode & 022)
        return err_set(err, "%s: others can write there, so sshd takes no keys from it (chmod go-w it)", path);
    return 0;
}

/* PATH is there. Links are followed first: what counts is where it lies. */
static int check_path(const char *path, const struct account *account, struct err *err)
{
    char real[PATH_MAX], home[PATH_MAX];
    if (!realpath(path, real))
        return err_set(err, "%s: %s", path, strerror(errno));
    bool has_home = realpath(account->home, home) != NULL;
    if (check_one(real, account, err))
        return -1;
    while (strcmp(real, "/") != 0) {
        char *folder = folder_of(real);
        snprintf(real, sizeof real, "%s", folder);
        free(folder);
        if (check_one(real, account, err))
            return -1;
        if (has_home && !strcmp(real, home))
            return 0;
    }
    return 0;
}

/* --- the edit */

static int make_folder(const struct edit *edit, bool *made, struct err *err)
{
    char *folder = folder_of(edit->path);
    struct stat status;
    int result = 0;
    if (stat(folder, &status) && errno == ENOENT) {
        if (!is_below(edit->path, edit->account->home))
            result = err_set(err, "%s: is not there, though sshd looks for keys in it (make it, as root)", folder);
        else if (mkdir(folder, 0700))
            result = err_set(err, "%s: cannot be made: %s", folder, strerror(errno));
        else
            *made = true;
    }
    if (!result)
        result = check_path(folder, edit->account, err);
    free(folder);
    return result;
}

/* A new file outside of the home is read by sshd as the account, too. */
static int write_new(const struct edit *edit, const struct buf *text, mode_t mode, bool exists, struct err *err)
{
    if (file_write(edit->path, mode, buf_text(text), text->length, err))
        return -1;
    if (!exists && geteuid() == 0 && edit->account->uid != 0 && lchown(edit->path, edit->account->uid, edit->account->gid)) {
        int reason = errno;
        unlink(edit->path);
        return err_set(err, "%s: cannot be given to %s: %s", edit->path, edit->account->name, strerror(reason));
    }
    return 0;
}

static int change_text(const struct edit *edit, struct err *err)
{
    struct buf old = BUF_EMPTY, text = BUF_EMPTY;
    struct stat status;
    bool exists = stat(edit->path, &status) == 0;
    int result = 0;
    if (exists && !S_ISREG(status.st_mode))
        return err_set(err, "%s: is no file", edit->path);
    if (exists && (check_path(edit->path, edit->account, err) || file_read(edit->path, FILE_MOST, &old, err)))
        return -1;
    if (!invitation_file_edit(buf_text(&old), old.length, edit->id, edit->line, &text))
        goto out;
    if (!text.length && !edit->line)
        result = unlink(edit->path) && errno != ENOENT ? err_set(err, "%s: cannot be removed: %s", edit->path, strerror(errno)) : change_sync_folder_of(edit->path, err);
    else
        result = write_new(edit, &text, exists ? status.st_mode & 0755 : 0600, exists, err);
out:
    buf_free(&old);
    buf_free(&text);
    return result;
}

static int change_file(const struct edit *edit, bool *made, struct err *err)
{
    struct stat status;
    *made = false;
    umask(077);
    if (!edit->line && stat(edit->path, &status) && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    int result = edit->line ? make_folder(edit, made, err) : 0;
    if (!result)
        result = change_text(edit, err);
    if (result && *made)
        invite_line_remove_folder(edit->account, edit->path);
    return result;
}

/* --- as the account */

/* What the child has to say. */
struct said {
    int result;
    bool made;
    struct err err;
};

static int in_child(const struct edit *edit, void (*deed)(const struct edit *edit, struct said *said), struct said *said)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC))
        return err_set(&said->err, "%s: %s", edit->path, strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        *said = (struct said){.result = -1};
        if (account_become(edit->account))
            err_set(&said->err, "%s: cannot be done as %s: %s", edit->path, edit->account->name, strerror(errno));
        else
            deed(edit, said);
        _exit(file_write_all(ends[1], said, sizeof *said) != 0); /* less than a pipe takes at once */
    }
    close(ends[1]);
    ssize_t length = child > 0 ? read(ends[0], said, sizeof *said) : -1;
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (length == (ssize_t)sizeof *said)
        return said->result;
    *said = (struct said){.result = -1};
    return err_set(&said->err, "%s: cannot be changed as %s", edit->path, edit->account->name);
}

static void do_edit(const struct edit *edit, struct said *said)
{
    said->result = change_file(edit, &said->made, &said->err);
}

static void do_remove_folder(const struct edit *edit, struct said *said)
{
    char *folder = folder_of(edit->path);
    said->result = rmdir(folder);
    free(folder);
}

/* Is a folder above PATH the account's? Then they can put a link in its place. */
static bool is_in_own_folder(const char *path, const struct account *account)
{
    struct stat status;
    bool own = false;
    for (char *folder = folder_of(path), *above; folder; folder = above) {
        own = own || (!stat(folder, &status) && status.st_uid == account->uid);
        above = strcmp(folder, "/") != 0 ? folder_of(folder) : NULL;
        free(folder);
    }
    return own;
}

static bool needs_child(const struct edit *edit)
{
    return edit->account->uid != geteuid() && (is_below(edit->path, edit->account->home) || is_in_own_folder(edit->path, edit->account));
}

int invite_line_set(const struct account *account, const char *path, const char *id, const char *line, bool *made_folder, struct err *err)
{
    const struct edit edit = {account, path, id, line};
    struct said said = {0};
    if (needs_child(&edit)) {
        (void)in_child(&edit, do_edit, &said);
    } else {
        mode_t before = umask(077);
        do_edit(&edit, &said);
        umask(before);
    }
    if (made_folder)
        *made_folder = said.made;
    return said.result ? err_set(err, "%s", said.err.text) : 0;
}

void invite_line_remove_folder(const struct account *account, const char *path)
{
    const struct edit edit = {account, path, NULL, NULL};
    struct said said = {0};
    if (needs_child(&edit))
        (void)in_child(&edit, do_remove_folder, &said);
    else
        do_remove_folder(&edit, &said);
}
