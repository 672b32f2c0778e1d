/* What brings an interface up when the node boots: links and files of init systems, and of others. It is asked at each reading, so no process is started and little is read. */
#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { SMALL_FILE = 1 << 20, FILES_LOOKED_AT = 256 };

bool boot_name_is_plain(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+.-";
    return device_name_is_valid(name) && strspn(name, allowed) == strlen(name) && *name != '-' && *name != '.';
}

static bool is_there(const char *root, const char *path)
{
    char *whole = mem_format("%s%s", root, path);
    bool there = access(whole, F_OK) == 0;
    free(whole);
    return there;
}

static bool runs_here(const char *root, const struct boot_system *system)
{
    bool there = false;
    for (size_t s = 0; s < COUNT_OF(system->signs) && system->signs[s]; s++)
        there = there || is_there(root, system->signs[s]);
    return there && (!system->needs || is_there(root, system->needs));
}

const struct boot_system *boot_system_of(const char *root)
{
    for (size_t i = 0; i < COUNT_OF(boot_systems); i++)
        if (runs_here(root, &boot_systems[i]))
            return &boot_systems[i];
    return NULL;
}

const char *boot_init(const char *root)
{
    const struct boot_system *system = boot_system_of(root);
    return system ? system->name : "none";
}

char *boot_fill(const char *root, const char *text, const char *name)
{
    const struct { const char *mark, *value; } marks[] = {{"%i", name}, {"@BIN@", BOOT_FOLDER}, {"@PROGRAM@", BOOT_PROGRAM}};
    struct buf out = BUF_EMPTY;
    buf_add_text(&out, root);
    while (*text) {
        size_t i = 0;
        while (i < COUNT_OF(marks) && strncmp(text, marks[i].mark, strlen(marks[i].mark)) != 0)
            i++;
        if (i < COUNT_OF(marks)) {
            buf_add_text(&out, marks[i].value);
            text += strlen(marks[i].mark);
        } else {
            buf_add_char(&out, *text++);
        }
    }
    return buf_take(&out);
}

/* --- links */

static void take_numbered(const char *folder, const char *entry, void (*take)(void *context, const char *path), void *context)
{
    DIR *listing = opendir(folder);
    for (struct dirent *found; listing && (found = readdir(listing));) {
        const char *name = found->d_name;
        if ((name[0] == 'S' || name[0] == 'K') && strspn(name + 1, "0123456789") >= 2 && !strcmp(name + 3, entry)) {
            char *path = mem_format("%s/%s", folder, name);
            take(context, path);
            free(path);
        }
    }
    if (listing)
        closedir(listing);
}

static void take_plain(const char *folder, const char *entry, void (*take)(void *context, const char *path), void *context)
{
    struct stat status;
    char *path = mem_format("%s/%s", folder, entry);
    if (lstat(path, &status) == 0)
        take(context, path);
    free(path);
}

void boot_each(const char *root, const struct boot_place *place, const char *name, void (*take)(void *context, const char *path), void *context)
{
    char *folder = mem_format("%s%s", root, place->folder), *entry = boot_fill("", place->entry, name);
    void (*look)(const char *, const char *, void (*)(void *, const char *), void *) = place->numbered ? take_numbered : take_plain;
    DIR *listing = place->below ? opendir(folder) : NULL;
    if (!place->below)
        look(folder, entry, take, context);
    for (struct dirent *found; listing && (found = readdir(listing));)
        if (found->d_name[0] != '.' && fnmatch(place->below, found->d_name, 0) == 0) {
            char *below = mem_format("%s/%s", folder, found->d_name);
            look(below, entry, take, context);
            free(below);
        }
    if (listing)
        closedir(listing);
    free(entry);
    free(folder);
}

struct search {
    const char *root;
    bool found;
};

static char *read_link(const char *path)
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    return length < 0 ? NULL : mem_text_part(target, (size_t)length);
}

/* A link that leads nowhere (its package is gone) starts nothing, nor one to /dev/null; nor does one that stops. */
static void take_start(void *context, const char *path)
{
    struct search *search = context;
    const char *slash = strrchr(path, '/');
    char *target = read_link(path), *whole = NULL;
    if (!target)
        whole = mem_text(path);
    else if (target[0] == '/')
        whole = mem_format("%s%s", search->root, target);
    else
        whole = mem_format("%.*s/%s", (int)(slash - path), path, target);
    if ((!target || strcmp(target, "/dev/null") != 0) && access(whole, F_OK) == 0 && !(slash[1] == 'K' && strspn(slash + 2, "0123456789") >= 2))
        search->found = true;
    free(whole);
    free(target);
}

/* systemctl mask: the unit's own name leads to /dev/null. */
static bool is_masked(const char *root, const struct boot_place *place, const char *name)
{
    char *entry = boot_fill("", place->entry, name), *path = mem_format("%s%s/%s", root, place->folder, entry), *target = read_link(path);
    bool masked = target && !strcmp(target, "/dev/null");
    free(target);
    free(path);
    free(entry);
    return masked;
}

static char *find_in(const char *root, const struct boot_system *system, const char *name)
{
    struct search search = {.root = root};
    for (size_t i = 0; i < COUNT_OF(system->places) && system->places[i].folder; i++) {
        const struct boot_place *place = &system->places[i];
        boot_each(root, place, name, take_start, &search);
        if (search.found && place->below && is_masked(root, place, name))
            search.found = false;
        if (search.found)
            return boot_fill("", place->said, name);
    }
    return NULL;
}

/* --- others */

/* Does a line of the file begin with FIRST, and have NAME among the words after it? */
static bool has_line(const char *path, const char *first, const char *name)
{
    struct buf text = BUF_EMPTY;
    bool found = false;
    if (file_read(path, SMALL_FILE, &text, NULL) == 0)
        for (const char *line = buf_text(&text); *line && !found; line += strcspn(line, "\n"), line += *line == '\n') {
            char *words = mem_text_part(line, strcspn(line, "\n")), *rest = NULL;
            char *word = strtok_r(words, " \t\r=", &rest);
            if (word && !strcmp(word, first))
                while (!found && (word = strtok_r(NULL, " \t\r=", &rest)))
                    found = !strcmp(word, name);
            free(words);
        }
    buf_free(&text);
    return found;
}

static bool a_file_has_line(const char *root, const char *folder, const char *pattern, const char *first, const char *name)
{
    char *whole = mem_format("%s%s", root, folder);
    DIR *listing = opendir(whole);
    bool found = false;
    int looked_at = 0;
    for (struct dirent *entry; listing && !found && looked_at < FILES_LOOKED_AT && (entry = readdir(listing));)
        if (entry->d_name[0] != '.' && fnmatch(pattern, entry->d_name, 0) == 0) {
            char *path = mem_format("%s/%s", whole, entry->d_name);
            found = has_line(path, first, name);
            looked_at++;
            free(path);
        }
    if (listing)
        closedir(listing);
    free(whole);
    return found;
}

char *boot_find_others(const char *root, const char *name)
{
    char *interfaces = mem_format("%s/etc/network/interfaces", root);
    bool auto_up = has_line(interfaces, "auto", name) || has_line(interfaces, "allow-hotplug", name) || a_file_has_line(root, "/etc/network/interfaces.d", "*", "auto", name);
    free(interfaces);
    if (auto_up)
        return mem_text("ifupdown");
    if (is_there(root, "/run/systemd/system") && a_file_has_line(root, "/etc/systemd/network", "*.netdev", "Name", name))
        return mem_text("systemd-networkd");
    return NULL;
}

char *boot_find(const char *root, const char *name)
{
    if (!device_name_is_valid(name))
        return NULL;
    const struct boot_system *system = boot_system_of(root);
    char *found = system ? find_in(root, system, name) : NULL;
    for (size_t i = 0; !found && i < COUNT_OF(boot_systems); i++) /* cron may do it beside any other */
        if (&boot_systems[i] != system && boot_systems[i].needs && runs_here(root, &boot_systems[i]))
            found = find_in(root, &boot_systems[i], name);
    if (!found)
        found = boot_find_others(root, name);
    return found ? found : mem_text("");
}
