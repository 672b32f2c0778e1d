/* Files read whole with a limit, and written whole or not at all. */
#include "wgdeck/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wgdeck/mem.h"

enum { FOLLOW_LINKS = 40 }; /* as many as the kernel follows */

/* Files may hold private keys, so no copy is left behind on the heap when the buffer moves. */
static void grow(struct buf *buf, size_t more)
{
    if (buf->capacity - buf->length > more)
        return;
    struct buf larger = BUF_EMPTY;
    buf_reserve(&larger, buf->length + more);
    buf_add(&larger, buf_text(buf), buf->length);
    buf_wipe(buf);
    *buf = larger;
}

static int read_descriptor(int descriptor, const char *path, size_t limit, struct buf *buf, struct err *err)
{
    struct stat status;
    if (fstat(descriptor, &status))
        return err_set(err, "%s: %s", path, strerror(errno));
    size_t expected = S_ISREG(status.st_mode) && status.st_size > 0 ? (size_t)status.st_size : 0;
    if (expected > limit)
        return err_set(err, "%s: larger than %zu bytes, not read", path, limit);
    grow(buf, expected + 1);
    for (;;) {
        grow(buf, 4096);
        size_t room = buf->capacity - buf->length - 1;
        ssize_t got = read(descriptor, buf->data + buf->length, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, "%s: %s", path, strerror(errno));
        buf->length += (size_t)got;
        buf->data[buf->length] = '\0';
        if (buf->length > limit)
            return err_set(err, "%s: larger than %zu bytes, not read", path, limit);
        if (got == 0)
            return 0;
    }
}

int file_read(const char *path, size_t limit, struct buf *buf, struct err *err)
{
    buf_clear(buf);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    int result = read_descriptor(descriptor, path, limit, buf, err);
    close(descriptor);
    if (result)
        buf_wipe(buf);
    return result;
}

int file_write_all(int descriptor, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length) {
        ssize_t written = write(descriptor, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

/* The folder part of PATH as a new string. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_text(".");
    return mem_text_part(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The file that PATH means when symbolic links are followed, whether it exists or not; a new string, or NULL with errno. */
static char *follow(const char *path)
{
    char *current = mem_text(path), target[PATH_MAX];
    for (int i = 0; i < FOLLOW_LINKS; i++) {
        ssize_t length = readlink(current, target, sizeof target - 1);
        if (length < 0)
            return current; /* not a link, or not there yet */
        target[length] = '\0';
        char *folder = folder_of(current);
        char *next = target[0] == '/' ? mem_text(target) : mem_format("%s/%s", folder, target);
        free(folder);
        free(current);
        current = next;
    }
    free(current);
    errno = ELOOP;
    return NULL;
}

/* A device, a pipe or a terminal (-o /dev/stdout) is written to as it is: replacing it with a file would break the system. */
static int write_special(const char *path, const void *bytes, size_t length, struct err *err)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    int result = descriptor < 0 ? -1 : file_write_all(descriptor, bytes, length);
    if (result)
        err_set(err, "%s: %s", path, strerror(errno));
    if (descriptor >= 0)
        close(descriptor);
    return result;
}

/* Owner and mode come before the first byte. Who may not give files away keeps what it has. */
static int fill_temporary(int descriptor, mode_t mode, const struct stat *old, const void *bytes, size_t length)
{
    if (old && geteuid() == 0 && fchown(descriptor, old->st_uid, old->st_gid))
        return -1;
    if (fchmod(descriptor, mode) || file_write_all(descriptor, bytes, length))
        return -1;
    return fsync(descriptor);
}

/* Some file systems cannot sync a folder and say EINVAL; nothing is to be done about that. */
static int sync_folder(const char *folder)
{
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    int result = fsync(descriptor);
    if (result && errno == EINVAL)
        result = 0;
    close(descriptor);
    return result;
}

static int replace(const char *path, const char *folder, mode_t mode, const struct stat *old, const void *bytes, size_t length,
                   struct err *err)
{
    char *temporary = mem_format("%s/.wgdeck-XXXXXX", folder);
    int result = 0, descriptor = mkostemp(temporary, O_CLOEXEC);
    if (descriptor < 0) {
        result = err_set(err, "%s: cannot make a temporary file beside it: %s", path, strerror(errno));
        goto out;
    }
    result = fill_temporary(descriptor, mode, old, bytes, length);
    int saved = errno;
    if (close(descriptor) && !result) {
        saved = errno;
        result = -1;
    }
    if (!result && rename(temporary, path)) {
        saved = errno;
        result = -1;
    }
    if (result) {
        unlink(temporary);
        err_set(err, "%s: %s; the file is as it was", path, strerror(saved));
    } else if (sync_folder(folder)) {
        result = err_set(err, "%s: written, but it may be lost in a power failure: %s", path, strerror(errno));
    }
out:
    free(temporary);
    return result;
}

int file_write(const char *path, mode_t mode, const void *bytes, size_t length, struct err *err)
{
    struct stat old;
    bool exists = stat(path, &old) == 0;
    if (exists && S_ISDIR(old.st_mode))
        return err_set(err, "%s: is a folder; name a file in it", path);
    if (exists && !S_ISREG(old.st_mode))
        return write_special(path, bytes, length, err);
    char *target = follow(path);
    if (!target)
        return err_set(err, "%s: %s", path, strerror(errno));
    char *folder = folder_of(target);
    int result = replace(target, folder, mode, exists ? &old : NULL, bytes, length, err);
    free(folder);
    free(target);
    return result;
}

static int make_folder(const char *path, mode_t mode, struct err *err)
{
    struct stat status;
    if (mkdir(path, mode) == 0) {
        if (chmod(path, mode)) /* mkdir's mode went through the umask */
            return err_set(err, "%s: %s", path, strerror(errno));
        return 0;
    }
    int reason = errno;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return 0;
        reason = ENOTDIR;
    }
    return err_set(err, "%s: cannot make the folder: %s", path, strerror(reason));
}

int file_make_folders(const char *path, mode_t mode, struct err *err)
{
    char *copy = mem_text(path);
    int result = 0;
    for (char *at = copy; *at && !result;) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        char end = *at;
        *at = '\0';
        result = make_folder(copy, mode, err);
        *at = end;
    }
    free(copy);
    return result;
}
