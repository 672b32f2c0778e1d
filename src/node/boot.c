/* Having an interface brought up at boot, or no longer (boot.h): files of init systems, and the program that they start. Only names that have been checked come to stand in them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot_parts.h"
#include "change.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { PROGRAM_LIMIT = 256 << 20, SMALL_FILE = 1 << 20, ROOM = 1 << 20 };
#define COMMAND_PATIENCE 10 /* seconds */

extern char **environ;

static int check_name(const char *name, struct err *err)
{
    if (boot_name_is_plain(name))
        return 0;
    return err_set(err, "%s: such a name cannot be brought up at boot (letters, digits and _=+.- only)", name);
}

/* --- programs of the system */

/* Says nothing: our own output is the channel to the deck. 0: it ran; -1: it is not there. */
static int run(const char *const words[BOOT_WORDS], const char *name)
{
    char *arguments[BOOT_WORDS + 1] = {0};
    pid_t pid;
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; i < BOOT_WORDS && words[i]; i++)
        arguments[i] = boot_fill("", words[i], name);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int result = posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; i < BOOT_WORDS; i++)
        free(arguments[i]);
    if (result)
        return -1;
    for (int i = 0; i < COMMAND_PATIENCE * 20; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return 0;
        poll(NULL, 0, 50);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}

/* Not for another root: they would change the system that runs. */
static void tell_system(const char *root, const struct boot_system *system, const char *name)
{
    for (size_t i = 0; !*root && i < BOOT_COMMANDS && system->commands[i][0]; i++)
        if (run(system->commands[i], name) == 0)
            return;
}

/* --- files */

static int make_folder_of(const char *path, struct err *err)
{
    char *folder = mem_text_part(path, (size_t)(strrchr(path, '/') - path));
    int result = file_make_folders(folder, 0755, err);
    free(folder);
    return result;
}

static int write_text(const struct boot_file *file, const char *path, const char *name, struct err *err)
{
    /* A unit is one file for all interfaces: its %i is systemd's own. */
    char *text = boot_fill("", file->text, strstr(file->path, "%i") ? name : "%i");
    struct buf old = BUF_EMPTY;
    int result = 0;
    if (file_read(path, SMALL_FILE, &old, NULL) || strcmp(buf_text(&old), text) != 0)
        result = file_write(path, file->mode, text, strlen(text), err);
    buf_free(&old);
    free(text);
    return result;
}

static int make_link(const char *path, const char *target, struct err *err)
{
    char old[512];
    ssize_t length = readlink(path, old, sizeof old);
    if (length >= 0 && (size_t)length == strlen(target) && !memcmp(old, target, (size_t)length))
        return 0;
    if ((unlink(path) && errno != ENOENT) || symlink(target, path))
        return err_set(err, "%s: cannot be made: %s", path, strerror(errno));
    return change_sync_folder_of(path, err);
}

static int put_file(const char *root, const struct boot_file *file, const char *name, struct err *err)
{
    char *path = boot_fill(root, file->path, name), *target = file->target ? boot_fill("", file->target, name) : NULL;
    int result = make_folder_of(path, err);
    if (!result)
        result = target ? make_link(path, target, err) : write_text(file, path, name, err);
    free(target);
    free(path);
    return result;
}

int boot_put_files(const char *root, const struct boot_system *system, const char *name, struct err *err)
{
    for (size_t i = 0; i < BOOT_FILES && system->files[i].path; i++)
        if (put_file(root, &system->files[i], name, err))
            return -1;
    tell_system(root, system, name);
    return 0;
}

int boot_enable(const char *root, const char *name, struct buf *said, struct err *err)
{
    const struct boot_system *system = boot_system_of(root);
    if (check_name(name, err))
        return -1;
    char *program = NULL, *found = boot_find(root, name);
    bool enabled = found && *found;
    if (enabled)
        buf_add_format(said, "%s brings %s up at boot", found, name);
    free(found);
    if (enabled)
        return 0;
    if (boot_install(root, &program, err))
        return -1;
    free(program);
    if (!system) {
        buf_add_format(said, "nothing brings %s up at boot: there is no init system here that wgdeck knows (have \"" BOOT_PROGRAM " up %s\" run when the network is up)", name, name);
        return 1;
    }
    if (boot_put_files(root, system, name, err))
        return -1;
    buf_add_format(said, "%s brings %s up at boot", system->name, name);
    return 0;
}

/* --- no longer */

struct removal {
    int result;
    bool removed;
    struct err *err;
};

static void take_away(void *context, const char *path)
{
    struct removal *removal = context;
    if (unlink(path) == 0) {
        removal->removed = true;
        if (change_sync_folder_of(path, removal->err))
            removal->result = -1;
    } else if (errno != ENOENT && errno != ENOTDIR) {
        removal->result = err_set(removal->err, "%s: cannot be removed: %s", path, strerror(errno));
    }
}

/* Only what is of this interface goes; the units serve all. */
static void take_away_of(const char *root, const struct boot_system *system, const char *name, struct removal *removal)
{
    for (size_t i = 0; i < BOOT_PLACES && system->places[i].folder; i++)
        boot_each(root, &system->places[i], name, take_away, removal);
    for (size_t i = BOOT_FILES; i-- > 0;) /* links before what they lead to */
        if (system->files[i].path && strstr(system->files[i].path, "%i")) {
            char *path = boot_fill(root, system->files[i].path, name);
            take_away(removal, path);
            free(path);
        }
}

int boot_disable(const char *root, const char *name, struct buf *said, struct err *err)
{
    struct removal removal = {.err = err};
    if (!device_name_is_valid(name))
        return err_set(err, "not the name of an interface");
    for (size_t s = 0; s < COUNT_OF(boot_systems); s++) {
        removal.removed = false;
        take_away_of(root, &boot_systems[s], name, &removal);
        if (removal.removed && &boot_systems[s] == boot_system_of(root) && !strcmp(boot_systems[s].name, "systemd"))
            tell_system(root, &boot_systems[s], name);
    }
    boot_relay_disable(root, name); /* without its interface it has nothing to do */
    if (removal.result)
        return -1;
    char *others = boot_find_others(root, name);
    if (others)
        buf_add_format(said, "%s still brings %s up at boot: take its lines out by hand", others, name);
    else
        buf_add_format(said, "nothing brings %s up at boot any more", name);
    int result = others ? 1 : 0;
    free(others);
    return result;
}

/* --- the program */

static bool is_same(const char *path, const struct buf *bytes)
{
    struct buf old = BUF_EMPTY;
    struct stat status;
    bool same = lstat(path, &status) == 0 && S_ISREG(status.st_mode) && (size_t)status.st_size == bytes->length && (status.st_mode & 07777) == 0755 &&
                status.st_uid == geteuid() && file_read(path, PROGRAM_LIMIT, &old, NULL) == 0 && old.length == bytes->length && !memcmp(old.data, bytes->data, bytes->length);
    buf_free(&old);
    return same;
}

/* What root runs at boot must lie where nobody else can put another program. */
static int check_owner(const char *folder, struct err *err)
{
    struct stat status;
    if (lstat(folder, &status))
        return err_set(err, "%s: %s", folder, strerror(errno));
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022))
        return err_set(err, "%s: is not a folder that only root can write to (chown root, chmod 755)", folder);
    return 0;
}

/* An older one goes first: file_write would keep its owner, and write through a link. */
static int put_program(const char *folder, const char *path, const struct buf *bytes, struct err *err)
{
    struct stat status;
    if (file_make_folders(folder, 0755, err) || check_owner(folder, err))
        return -1;
    if (lstat(path, &status) == 0 && (!S_ISREG(status.st_mode) || status.st_uid != geteuid()) && unlink(path))
        return err_set(err, "%s: cannot be replaced: %s", path, strerror(errno));
    return file_write(path, 0755, bytes->data, bytes->length, err);
}

int boot_install(const char *root, char **path, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    char *folder = mem_format("%s" BOOT_FOLDER, root);
    *path = mem_format("%s" BOOT_PROGRAM, root);
    int result = file_read("/proc/self/exe", PROGRAM_LIMIT, &bytes, err);
    if (!result && (!is_same(*path, &bytes) || check_owner(folder, NULL)))
        result = put_program(folder, *path, &bytes, err);
    buf_free(&bytes);
    free(folder);
    if (result) {
        free(*path);
        *path = NULL;
    }
    return result;
}

/* --- before a change */

/* The first folder on the way to PATH that is there already; the root itself is "". */
static char *standing_folder(const char *path)
{
    char *folder = mem_text(path);
    for (char *slash = strrchr(folder, '/'); slash; slash = strrchr(folder, '/')) {
        *slash = '\0';
        if (!*folder || access(folder, F_OK) == 0)
            break;
    }
    return folder;
}

static int check_folder(const char *path, size_t room, struct err *err)
{
    char *folder = standing_folder(path);
    const char *shown = *folder ? folder : "/";
    struct statvfs space;
    struct stat status;
    int result = 0;
    if (stat(shown, &status) == 0 && !S_ISDIR(status.st_mode))
        result = err_set(err, "%s: is not a folder (what brings the interface up at boot goes there)", shown);
    else if (access(shown, W_OK))
        result = err_set(err, "%s: cannot be written to: %s (what brings the interface up at boot goes there)", shown, strerror(errno));
    else if (statvfs(shown, &space) == 0 && space.f_blocks && (unsigned long long)space.f_bavail * space.f_frsize < room)
        result = err_set(err, "%s: the disk is full: %zu KiB are needed there for what brings the interface up at boot", shown, (room + 1023) / 1024);
    free(folder);
    return result;
}

static int check_program(const char *root, struct err *err)
{
    char *program = mem_format("%s" BOOT_PROGRAM, root), *folder = mem_format("%s" BOOT_FOLDER, root);
    struct stat own;
    size_t room = stat("/proc/self/exe", &own) == 0 ? (size_t)own.st_size + ROOM : ROOM;
    int result = check_folder(program, room, err);
    if (!result && access(folder, F_OK) == 0)
        result = check_owner(folder, err);
    free(folder);
    free(program);
    return result;
}

int boot_check(const char *root, const char *name, struct err *err)
{
    const struct boot_system *system = boot_system_of(root);
    if (check_name(name, err))
        return -1;
    char *found = boot_find(root, name);
    bool enabled = found && *found;
    free(found);
    int result = enabled ? 0 : check_program(root, err);
    for (size_t i = 0; !enabled && !result && system && i < BOOT_FILES && system->files[i].path; i++) {
        char *path = boot_fill(root, system->files[i].path, name);
        result = check_folder(path, strstr(path, ".wants") ? 0 : 1 << 12, err);
        free(path);
    }
    return result;
}
