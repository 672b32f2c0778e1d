/* What brings an interface up when the node boots: one row an init system, each with the files that it reads. Only interface names that have been checked come to stand in them. */
#include "boot.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit_texts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

#define PROGRAM_FOLDER "/usr/local/lib/wgdeck"
#define PROGRAM PROGRAM_FOLDER "/wgdeck"
enum { PROGRAM_LIMIT = 256 << 20, SMALL_FILE = 1 << 20, ROOM = 1 << 20 };

extern char **environ;

/* A file that is written for an interface, or a link that enables it. */
struct boot_file {
    const char *path;    /* with %i for the interface */
    const char *text;    /* of a file, with %i, @BIN@ and @PROGRAM@; NULL: a link */
    const char *target;  /* of a link */
    mode_t mode;
};

enum { FILES_MOST = 12 };
struct boot_system {
    const char *name;
    const char *signs[3];             /* it is there when one of these is */
    struct boot_file files[FILES_MOST];
    const char *enabled[4][2];        /* a path that says that an interface is brought up, and what is said of it; %i in both */
};

#define SCRIPT_HEAD "# Made by wgdeck: WireGuard interface %i (wgdeck up).\n"
static const char sysv_script[] =
    "#!/bin/sh\n" SCRIPT_HEAD
    "### BEGIN INIT INFO\n# Provides:          wgdeck-%i\n# Required-Start:    $remote_fs $network $named\n# Required-Stop:     $remote_fs $network\n"
    "# Default-Start:     2 3 4 5\n# Default-Stop:      0 1 6\n# Short-Description: WireGuard interface %i\n### END INIT INFO\n"
    "case \"$1\" in\nstart) exec @PROGRAM@ up %i ;;\nstop) exec @PROGRAM@ down %i ;;\nrestart|force-reload) @PROGRAM@ down %i; exec @PROGRAM@ up %i ;;\n"
    "status) exec @PROGRAM@ show %i ;;\n*) echo \"usage: $0 start|stop|restart|status\" >&2; exit 2 ;;\nesac\n";
static const char openrc_script[] =
    "#!/sbin/openrc-run\n" SCRIPT_HEAD
    "description=\"WireGuard interface %i\"\ndepend() {\n    need net\n    after dns\n}\nstart() {\n    ebegin \"Starting %i\"\n    @PROGRAM@ up %i\n    eend $?\n}\n"
    "stop() {\n    ebegin \"Stopping %i\"\n    @PROGRAM@ down %i\n    eend $?\n}\n";
static const char cron_line[] = SCRIPT_HEAD "@reboot root @PROGRAM@ up %i\n";

static const struct boot_system systems[] = {
    {.name = "systemd", .signs = {"/run/systemd/system"},
     .files = {{"/etc/systemd/system/wgdeck@.service", up_unit, NULL, 0644},
               {"/etc/systemd/system/wgdeck-engine@.service", engine_unit, NULL, 0644},
               {"/etc/systemd/system/multi-user.target.wants/wgdeck@%i.service", NULL, "/etc/systemd/system/wgdeck@.service", 0}},
     .enabled = {{"/etc/systemd/system/multi-user.target.wants/wgdeck@%i.service", "wgdeck@%i.service"},
                 {"/etc/systemd/system/multi-user.target.wants/wg-quick@%i.service", "wg-quick@%i.service"},
                 {"/etc/systemd/system/wg-quick.target.wants/wg-quick@%i.service", "wg-quick@%i.service"}}},
    {.name = "openrc", .signs = {"/run/openrc", "/sbin/openrc-run"},
     .files = {{"/etc/init.d/wgdeck.%i", openrc_script, NULL, 0755}, {"/etc/runlevels/default/wgdeck.%i", NULL, "/etc/init.d/wgdeck.%i", 0}},
     .enabled = {{"/etc/runlevels/default/wgdeck.%i", "openrc, wgdeck.%i"}, {"/etc/runlevels/default/wg-quick.%i", "openrc, wg-quick.%i"}}},
    {.name = "sysv", .signs = {"/etc/rc2.d"},
     .files = {{"/etc/init.d/wgdeck-%i", sysv_script, NULL, 0755},
               {"/etc/rc0.d/K01wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0}, {"/etc/rc1.d/K01wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0},
               {"/etc/rc2.d/S90wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0}, {"/etc/rc3.d/S90wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0},
               {"/etc/rc4.d/S90wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0}, {"/etc/rc5.d/S90wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0},
               {"/etc/rc6.d/K01wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0}},
     .enabled = {{"/etc/rc2.d/S90wgdeck-%i", "/etc/init.d/wgdeck-%i"}}},
    {.name = "cron", .signs = {"/etc/cron.d"},
     .files = {{"/etc/cron.d/wgdeck-%i", cron_line, NULL, 0644}},
     .enabled = {{"/etc/cron.d/wgdeck-%i", "cron"}}},
};

static const struct boot_system *find_system(const char *root)
{
    for (size_t i = 0; i < COUNT_OF(systems); i++)
        for (size_t s = 0; s < COUNT_OF(systems[i].signs) && systems[i].signs[s]; s++) {
            char *path = mem_format("%s%s", root, systems[i].signs[s]);
            bool there = access(path, F_OK) == 0;
            free(path);
            if (there)
                return &systems[i];
        }
    return NULL;
}

const char *boot_init(const char *root)
{
    const struct boot_system *system = find_system(root);
    return system ? system->name : "none";
}

/* ROOT, and TEXT with the interface and the program's places in it. */
static char *fill(const char *root, const char *text, const char *name)
{
    static const struct { const char *mark, *value; } marks[] = {{"%i", NULL}, {"@BIN@", PROGRAM_FOLDER}, {"@PROGRAM@", PROGRAM}};
    struct buf out = BUF_EMPTY;
    buf_add_text(&out, root);
    while (*text) {
        size_t i = 0;
        while (i < COUNT_OF(marks) && strncmp(text, marks[i].mark, strlen(marks[i].mark)) != 0)
            i++;
        if (i == COUNT_OF(marks)) {
            buf_add_char(&out, *text++);
            continue;
        }
        buf_add_text(&out, marks[i].value ? marks[i].value : name);
        text += strlen(marks[i].mark);
    }
    return buf_take(&out);
}

/* A unit is one file for all interfaces: its %i is systemd's own. */
static char *fill_file(const struct boot_file *file, const char *name)
{
    return fill("", file->text, strstr(file->path, "%i") ? name : "%i");
}

static bool is_there(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* "auto wg0" of ifupdown. */
static bool is_in_interfaces(const char *root, const char *name)
{
    char *path = mem_format("%s/etc/network/interfaces", root);
    struct buf text = BUF_EMPTY;
    bool found = false;
    if (file_read(path, SMALL_FILE, &text, NULL) == 0)
        for (const char *line = buf_text(&text); *line && !found; line += strcspn(line, "\n"), line += *line == '\n') {
            size_t length = strcspn(line, "\n"), gap = strspn(line, " \t");
            if (length > gap + 5 && !strncmp(line + gap, "auto ", 5)) {
                char *words = mem_text_part(line + gap + 5, length - gap - 5);
                char *rest = NULL;
                for (char *word = strtok_r(words, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
                    found = found || !strcmp(word, name);
                free(words);
            }
        }
    buf_free(&text);
    free(path);
    return found;
}

char *boot_find(const char *root, const char *name)
{
    const struct boot_system *system = find_system(root);
    if (!device_name_is_valid(name))
        return NULL;
    for (size_t i = 0; system && i < COUNT_OF(system->enabled) && system->enabled[i][0]; i++) {
        char *path = fill(root, system->enabled[i][0], name);
        bool there = is_there(path);
        free(path);
        if (there)
            return fill("", system->enabled[i][1], name);
    }
    return mem_text(is_in_interfaces(root, name) ? "ifupdown" : "");
}

/* --- files */

static int write_text(const char *root, const struct boot_file *file, const char *name, struct err *err)
{
    char *path = fill(root, file->path, name), *text = fill_file(file, name);
    struct buf old = BUF_EMPTY;
    int result = 0;
    if (file_read(path, SMALL_FILE, &old, NULL) || strcmp(buf_text(&old), text) != 0)
        result = file_write(path, file->mode, text, strlen(text), err);
    buf_free(&old);
    free(path);
    free(text);
    return result;
}

static int make_link(const char *root, const struct boot_file *file, const char *name, struct err *err)
{
    char *path = fill(root, file->path, name), *target = fill("", file->target, name), *folder = mem_text(path);
    int result = 0;
    *strrchr(folder, '/') = '\0';
    if (file_make_folders(folder, 0755, err))
        result = -1;
    else if (symlink(target, path) && errno != EEXIST)
        result = err_set(err, "%s: cannot be made: %s", path, strerror(errno));
    free(path);
    free(target);
    free(folder);
    return result;
}

/* systemctl daemon-reload, at most 10 s; that it fails is no harm: the next boot reads all units. */
static void reload(const char *root)
{
    static char program[] = "systemctl", verb[] = "daemon-reload";
    char *const arguments[] = {program, verb, NULL};
    pid_t pid;
    if (*root || posix_spawnp(&pid, program, NULL, NULL, arguments, environ))
        return;
    for (int i = 0; i < 200; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        poll(NULL, 0, 50);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int boot_enable(const char *root, const char *name, struct buf *said, struct err *err)
{
    const struct boot_system *system = find_system(root);
    char *program = NULL, *found = boot_find(root, name);
    bool enabled = found && *found;
    if (enabled)
        buf_add_format(said, "%s brings %s up at boot", found, name);
    free(found);
    if (!device_name_is_valid(name))
        return err_set(err, "no name of an interface");
    if (enabled)
        return 0;
    if (!system) {
        buf_add_format(said, "nothing here brings %s up at boot: no init system that wgdeck knows (have \"" PROGRAM " up %s\" run at boot)", name, name);
        return boot_install(root, &program, err) ? -1 : (free(program), 1);
    }
    if (boot_install(root, &program, err))
        return -1;
    free(program);
    for (size_t i = 0; i < FILES_MOST && system->files[i].path; i++)
        if (system->files[i].text ? write_text(root, &system->files[i], name, err) : make_link(root, &system->files[i], name, err))
            return -1;
    if (!strcmp(system->name, "systemd"))
        reload(root);
    buf_add_format(said, "%s brings %s up at boot", system->name, name);
    return 0;
}

/* Only what is of this interface goes; the units serve all. */
int boot_disable(const char *root, const char *name, struct buf *said, struct err *err)
{
    int result = 0;
    if (!device_name_is_valid(name))
        return err_set(err, "no name of an interface");
    for (size_t s = 0; s < COUNT_OF(systems); s++) {
        for (size_t i = 0; i < FILES_MOST && systems[s].files[i].path; i++) {
            char *path = fill(root, systems[s].files[i].path, name);
            if (strstr(systems[s].files[i].path, "%i") && unlink(path) && errno != ENOENT && errno != ENOTDIR)
                result = err_set(err, "%s: cannot be removed: %s", path, strerror(errno));
            free(path);
        }
        for (size_t i = 0; i < COUNT_OF(systems[s].enabled) && systems[s].enabled[i][0]; i++) {
            char *path = fill(root, systems[s].enabled[i][0], name);
            if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
                result = err_set(err, "%s: cannot be removed: %s", path, strerror(errno));
            free(path);
        }
    }
    if (is_in_interfaces(root, name)) {
        buf_add_format(said, "/etc/network/interfaces still brings %s up: take its lines out by hand", name);
        return result ? result : 1;
    }
    if (!result)
        buf_add_format(said, "nothing brings %s up at boot any more", name);
    return result;
}

/* --- the program */

static bool is_same(const char *path, const struct buf *bytes)
{
    struct buf old = BUF_EMPTY;
    struct stat status;
    bool same = stat(path, &status) == 0 && (size_t)status.st_size == bytes->length && (status.st_mode & 07777) == 0755 && file_read(path, PROGRAM_LIMIT, &old, NULL) == 0 &&
                old.length == bytes->length && !memcmp(old.data, bytes->data, bytes->length);
    buf_free(&old);
    return same;
}

int boot_install(const char *root, char **path, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    char *folder = mem_format("%s" PROGRAM_FOLDER, root);
    *path = mem_format("%s" PROGRAM, root);
    int result = file_read("/proc/self/exe", PROGRAM_LIMIT, &bytes, err);
    if (!result && !is_same(*path, &bytes)) {
        result = file_make_folders(folder, 0755, err);
        if (!result)
            result = file_write(*path, 0755, bytes.data, bytes.length, err);
    }
    buf_free(&bytes);
    free(folder);
    if (result) {
        free(*path);
        *path = NULL;
    }
    return result;
}

/* --- before a change */

/* The first folder on the way to PATH that is there already. */
static char *standing_folder(const char *path)
{
    char *folder = mem_text(path);
    for (char *slash = strrchr(folder, '/'); slash; slash = strrchr(folder, '/')) {
        *slash = '\0';
        if (access(*folder ? folder : "/", F_OK) == 0)
            break;
    }
    return folder;
}

static int check_folder(const char *path, size_t room, struct err *err)
{
    char *folder = standing_folder(path);
    const char *shown = *folder ? folder : "/";
    struct statvfs space;
    int result = 0;
    if (access(shown, W_OK))
        result = err_set(err, "%s: cannot be written: %s (it has to be brought up at boot)", shown, strerror(errno));
    else if (statvfs(shown, &space) == 0 && space.f_blocks && (unsigned long long)space.f_bavail * space.f_frsize < room)
        result = err_set(err, "%s: no room: %zu KiB are needed for the program that brings it up at boot", shown, room / 1024);
    free(folder);
    return result;
}

int boot_check(const char *root, const char *name, struct err *err)
{
    const struct boot_system *system = find_system(root);
    char *found = boot_find(root, name), *program = mem_format("%s" PROGRAM, root);
    struct stat status, own;
    bool enabled = found && *found, installed = stat(program, &status) == 0;
    size_t room = !installed && stat("/proc/self/exe", &own) == 0 ? (size_t)own.st_size + ROOM : ROOM / 16;
    int result = enabled ? 0 : check_folder(program, room, err);
    for (size_t i = 0; !enabled && !result && system && i < FILES_MOST && system->files[i].path; i++) {
        char *path = fill(root, system->files[i].path, name);
        result = check_folder(path, 0, err);
        free(path);
    }
    free(found);
    free(program);
    return result;
}
