/* Where a change keeps what on a node, and the small files there that others read: generation, what is pending. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/apply.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { SMALL_FILE_MAX = 4096 };

const char *change_root = "";

char *change_path(const char *name, const char *file)
{
    return mem_format("%s/var/lib/wgdeck/%s%s%s", change_root, name, *file ? "/" : "", file);
}

char *change_config_path(const char *name)
{
    return mem_format("%s/etc/wireguard/%s.conf", change_root, name);
}

int change_make_folder(const char *name, struct err *err)
{
    char *shared = mem_format("%s/var/lib", change_root), *path = change_path(name, "");
    int result = file_make_folders(shared, 0755, err);
    if (!result)
        result = file_make_folders(path, 0700, err);
    free(shared);
    free(path);
    return result;
}

int change_sync_folder_of(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash && slash > path ? mem_text_part(path, (size_t)(slash - path)) : mem_text("/");
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = descriptor < 0 ? -1 : fsync(descriptor);
    if (result && descriptor >= 0 && errno == EINVAL) /* some file systems cannot */
        result = 0;
    if (result)
        err_set(err, "%s: %s", folder, strerror(errno));
    if (descriptor >= 0)
        close(descriptor);
    free(folder);
    return result;
}

void change_sweep_folder(const char *name)
{
    char *path = change_path(name, "");
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        if (!strncmp(entry->d_name, ".wgdeck-", 8)) /* file_write's */
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    free(path);
}

bool change_id_is_valid(const char *text)
{
    return text && strlen(text) == CHANGE_ID_LENGTH && strspn(text, "0123456789abcdef") == CHANGE_ID_LENGTH;
}

/* --- which boot this is */

/* Field 22 of /proc/1/stat: a container or a namespace that is started again has a new process 1 under the same kernel. */
static void first_process(char text[static 32])
{
    struct buf stat = BUF_EMPTY;
    text[0] = '\0';
    if (!file_read("/proc/1/stat", SMALL_FILE_MAX, &stat, NULL)) {
        const char *at = strrchr(buf_text(&stat), ')');
        for (int field = 2; at && field < 22; field++)
            at = strchr(at + 1, ' ');
        if (at)
            snprintf(text, 32, "%.*s", (int)strspn(at + 1, "0123456789"), at + 1);
    }
    buf_free(&stat);
}

void change_boot_identity(char text[static 96])
{
    struct buf boot = BUF_EMPTY;
    char first[32];
    first_process(first);
    if (file_read("/proc/sys/kernel/random/boot_id", SMALL_FILE_MAX, &boot, NULL))
        buf_clear(&boot);
    snprintf(text, 96, "%.*s/%s", (int)strspn(buf_text(&boot), "0123456789abcdef-"), buf_text(&boot), first);
    buf_free(&boot);
}

/* --- for the observation */

char *change_generation(const char *name)
{
    struct buf text = BUF_EMPTY;
    char *path = change_path(name, "generation"), *generation = NULL;
    if (device_name_is_valid(name) && !file_read(path, SMALL_FILE_MAX, &text, NULL)) {
        size_t length = strcspn(buf_text(&text), "\n");
        if (length && length <= CHANGE_GENERATION_MAX && strspn(buf_text(&text), "0123456789abcdef-") == length)
            generation = mem_text_part(buf_text(&text), length);
    }
    buf_free(&text);
    free(path);
    return generation;
}

static char *pending_of(const struct change_journal *journal)
{
    char boot[96];
    int64_t left = (journal->deadline - clock_steady()) / CLOCK_SECOND;
    change_boot_identity(boot);
    if (strcmp(boot, journal->boot) != 0) /* it has booted into its saved file since */
        return NULL;
    if (change_lock_is_free(journal->name))
        return mem_format("%s, " APPLY_UNFINISHED ": the next change puts it back first", journal->owner);
    return left > 0 ? mem_format("%s, %lld s left", journal->owner, (long long)left) : mem_format("%s, being put back", journal->owner);
}

char *change_pending(const char *name)
{
    struct change_journal journal;
    char *pending = NULL;
    if (device_name_is_valid(name) && !change_journal_read(name, &journal, NULL)) {
        pending = pending_of(&journal);
        change_journal_free(&journal);
    }
    return pending;
}
