/* The saved file of a change: written and synced under another name before anything is touched, and given its name at the end. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { CONFIG_MAX = 64 << 20, REMOVED_TRIES = 1000 };

static void hash_of(const struct buf *bytes, uint8_t hash[static CHANGE_HASH_SIZE])
{
    crypto_generichash(hash, CHANGE_HASH_SIZE, (const unsigned char *)buf_text(bytes), bytes->length, NULL, 0);
}

int change_file_look(const char *name, struct change_journal *journal, struct buf *bytes, struct err *err)
{
    char real[PATH_MAX], *path = change_config_path(name);
    struct stat status;
    free(journal->file);
    journal->file = mem_text(realpath(path, real) ? real : path);
    journal->file_exists = lstat(journal->file, &status) == 0;
    free(path);
    if (!journal->file_exists)
        return 0;
    if (!S_ISREG(status.st_mode))
        return err_set(err, "%s: it is no file (or a link to nothing)", journal->file);
    if (file_read(journal->file, CONFIG_MAX, bytes, err))
        return -1;
    hash_of(bytes, journal->file_hash);
    return 0;
}

/* What rename would only say at the end: a file that must not be replaced, one that is a mount of its own. */
static int check_file(const char *path, struct err *err)
{
    struct statx about;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &about))
        return errno == ENOENT || errno == ENOSYS ? 0 : err_set(err, "%s: %s", path, strerror(errno));
    uint64_t set = about.stx_attributes & about.stx_attributes_mask;
    if (set & STATX_ATTR_IMMUTABLE)
        return err_set(err, "%s: it is read-only (immutable: chattr -i)", path);
    if (set & STATX_ATTR_APPEND)
        return err_set(err, "%s: it may only be appended to (chattr -a)", path);
#ifdef STATX_ATTR_MOUNT_ROOT
    if (set & STATX_ATTR_MOUNT_ROOT)
        return err_set(err, "%s: it is a mount of its own and cannot be replaced", path);
#endif
    return 0;
}

static char *beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    return mem_format("%.*s/.%s.wgdeck-new", (int)(slash - path), path, slash + 1);
}

static int make_config_folder(const char *path, struct err *err)
{
    char *folder = mem_text_part(path, (size_t)(strrchr(path, '/') - path));
    int result = file_make_folders(folder, 0700, err);
    free(folder);
    return result;
}

/* Straight into a file that nobody looks for, so that no other one is left over when this is cut off. */
static int write_prepared(const char *path, const char *old_path, const struct buf *text, struct err *err)
{
    struct stat old;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool has_owner = !stat(old_path, &old) && geteuid() == 0;
    int result = descriptor < 0 || fchmod(descriptor, 0600) || (has_owner && fchown(descriptor, old.st_uid, old.st_gid)) || file_write_all(descriptor, buf_text(text), text->length) ||
                         fsync(descriptor)
                     ? -1
                     : 0;
    if (result)
        err_set(err, "%s: %s", path, strerror(errno));
    if (descriptor >= 0 && close(descriptor) && !result)
        result = err_set(err, "%s: %s", path, strerror(errno));
    return result ? result : change_sync_folder_of(path, err);
}

int change_file_prepare(struct change_journal *journal, const struct buf *text, struct err *err)
{
    if (make_config_folder(journal->file, err) || check_file(journal->file, err))
        return -1;
    char *path = beside(journal->file);
    unlink(path); /* of a change long ago; whatever it is, it is not followed */
    if (write_prepared(path, journal->file, text, err)) {
        unlink(path);
        free(path);
        return -1;
    }
    free(journal->prepared);
    journal->prepared = path;
    return 0;
}

void change_file_forget(const char *name)
{
    struct change_journal journal = {0};
    struct buf bytes = BUF_EMPTY;
    if (!change_file_look(name, &journal, &bytes, NULL)) {
        char *path = beside(journal.file);
        unlink(path);
        free(path);
    }
    buf_wipe(&bytes);
    change_journal_free(&journal);
}

/* A file is to go away: can its folder be written? */
int change_file_check_folders(const struct change_journal *journal, struct err *err)
{
    char *folder = mem_text_part(journal->file, (size_t)(strrchr(journal->file, '/') - journal->file));
    int result = 0;
    if (journal->takes_away && journal->file_exists)
        result = access(folder, W_OK) ? err_set(err, "%s: %s", folder, strerror(errno)) : check_file(journal->file, err);
    free(folder);
    return result;
}

bool change_file_is_as_it_was(const struct change_journal *journal, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    uint8_t hash[CHANGE_HASH_SIZE];
    if (!journal->prepared && !journal->takes_away)
        return true;
    if (access(journal->file, F_OK)) {
        if (!journal->file_exists && errno == ENOENT)
            return true;
        err_set(err, "%s is gone since the change began", journal->file);
        return false;
    }
    if (!journal->file_exists) {
        err_set(err, "somebody else has made %s since the change began", journal->file);
        return false;
    }
    if (file_read(journal->file, CONFIG_MAX, &bytes, err))
        return false;
    hash_of(&bytes, hash);
    buf_wipe(&bytes);
    if (!memcmp(hash, journal->file_hash, sizeof hash))
        return true;
    err_set(err, "somebody else has changed %s since the change began", journal->file);
    return false;
}

bool change_file_is_swapped(const struct change_journal *journal)
{
    if (journal->takes_away)
        return access(journal->file, F_OK) != 0;
    return !journal->prepared || access(journal->prepared, F_OK) != 0;
}

/* wg0.conf.removed-2026-11-23, or with -2 behind it: none is overwritten. */
static int set_aside(const char *path, struct err *err)
{
    char date[16];
    time_t now = (time_t)(clock_wall() / CLOCK_SECOND);
    struct tm parts;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &parts));
    for (int i = 1; i <= REMOVED_TRIES; i++) {
        char *aside = i == 1 ? mem_format("%s.removed-%s", path, date) : mem_format("%s.removed-%s-%d", path, date, i);
        bool taken = access(aside, F_OK) == 0;
        int result = taken ? 1 : rename(path, aside);
        int reason = errno;
        free(aside);
        if (!result)
            return 0;
        if (!taken)
            return err_set(err, "%s: cannot be renamed: %s", path, strerror(reason));
    }
    return err_set(err, "%s: too many of its name were removed on one day", path);
}

int change_file_swap(const struct change_journal *journal, struct err *err)
{
    if (change_file_is_swapped(journal))
        return 0;
    if (journal->takes_away ? set_aside(journal->file, err) : rename(journal->prepared, journal->file))
        return journal->takes_away ? -1 : err_set(err, "%s: cannot take its name: %s", journal->prepared, strerror(errno));
    (void)change_sync_folder_of(journal->file, NULL); /* it has its name; what a power cut leaves is the old or the new one */
    return 0;
}

void change_file_drop(const struct change_journal *journal)
{
    if (journal->prepared)
        unlink(journal->prepared);
}
