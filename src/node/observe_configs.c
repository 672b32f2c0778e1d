/* The saved configurations in /etc/wireguard. Read again only when a file or the folder has changed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "observer.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/wgquick.h"

enum { CONFIGS_MAX = 64, CONFIG_BYTES_MAX = 16 << 20 };
static const char folder_path[] = "/etc/wireguard";

struct config_file {
    char name[IFNAMSIZ + 8]; /* "wg0.conf" */
    struct stat status;
    int problem;             /* errno of stat */
};

struct config_list {
    struct config_file *items;
    size_t count, capacity, left_out;
    struct stat folder;
};

static bool is_config(const char *file)
{
    char interface[IFNAMSIZ] = "";
    size_t length = strlen(file);
    if (length < 6 || length - 5 >= sizeof interface || strcmp(file + length - 5, ".conf") != 0)
        return false;
    memcpy(interface, file, length - 5);
    return device_name_is_valid(interface);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct config_file *)a)->name, ((const struct config_file *)b)->name);
}

static void add_file(struct config_list *list, int folder, const char *name)
{
    if (list->count >= CONFIGS_MAX) {
        list->left_out++;
        return;
    }
    MEM_GROW(list->items, list->count, list->capacity);
    struct config_file *file = &list->items[list->count++];
    *file = (struct config_file){0};
    memcpy(file->name, name, strnlen(name, sizeof file->name - 1)); /* is_config has measured it */
    if (fstatat(folder, name, &file->status, 0) != 0)
        file->problem = errno;
}

/* 0, or the errno of looking. */
static int list_files(const char *path, struct config_list *list)
{
    DIR *folder = opendir(path);
    if (!folder)
        return errno;
    int result = fstat(dirfd(folder), &list->folder) == 0 ? 0 : errno;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (is_config(entry->d_name))
            add_file(list, dirfd(folder), entry->d_name);
    closedir(folder);
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_files);
    return result;
}

static uint64_t mark_of(const struct config_list *list)
{
    uint64_t mark = UINT64_C(0xcbf29ce484222325) ^ list->left_out;
    for (size_t i = 0; i <= list->count; i++) {
        const struct stat *status = i < list->count ? &list->items[i].status : &list->folder;
        const uint64_t parts[] = {status->st_ino,  (uint64_t)status->st_size, (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec,
                                  status->st_mode, status->st_uid,            (uint64_t)status->st_ctim.tv_sec, (uint64_t)status->st_ctim.tv_nsec};
        for (size_t j = 0; j < COUNT_OF(parts); j++)
            mark = (mark ^ parts[j]) * UINT64_C(0x9e3779b97f4a7c15) + (mark >> 29);
    }
    return mark ? mark : 1;
}

static int parse(struct observed_config *config, const struct buf *bytes, const char *salt, struct err *err)
{
    struct wgquick wgquick;
    struct conf *conf = conf_parse(config->path, buf_text(bytes), bytes->length, err);
    if (!conf)
        return -1;
    int result = wgquick_read(conf, salt, &wgquick, NULL, err);
    conf_free(conf);
    if (result != 0)
        return -1;
    observed_config_take(config, &wgquick);
    return 0;
}

static int read_config(const struct node_observer *observer, const struct config_file *file, const char *salt,
                       struct observed_config *config, struct err *err)
{
    if (file->problem)
        return err_set(err, "%s", strerror(file->problem));
    if (!S_ISREG(file->status.st_mode))
        return err_set(err, "not a file");
    char *path = mem_format("%s%s", observer->root, config->path);
    struct buf bytes = BUF_EMPTY;
    int result = file_read(path, CONFIG_BYTES_MAX, &bytes, err);
    if (result == 0)
        result = parse(config, &bytes, salt, err);
    buf_wipe(&bytes);
    free(path);
    return result;
}

/* An error shows the line that it is about, and a line that is wrong may hold a key in the wrong place: long runs of base64 stay here. */
static char *without_keys(const struct observed_config *config, const char *error)
{
    enum { HARMLESS = 19 };
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    struct buf text = BUF_EMPTY;
    size_t path = strlen(config->path), skip = strncmp(error, config->path, path) == 0 ? path : 0;
    buf_add(&text, error, skip);
    for (const char *at = error + skip; *at;) {
        size_t run = strspn(at, base64);
        if (run > HARMLESS)
            buf_add_text(&text, "(not shown)");
        else
            buf_add(&text, at, run ? run : 1);
        at += run ? run : 1;
    }
    return buf_take(&text);
}

static void add_config(struct node_observer *observer, const struct config_list *list, const struct config_file *file, const char *salt)
{
    struct observed_config *config = &observer->facts.configs[observer->facts.config_count++];
    struct err err;
    *config = (struct observed_config){.path = mem_format("%s/%s", folder_path, file->name),
                                       .mode = file->status.st_mode & 07777,
                                       .folder_mode = list->folder.st_mode & 07777,
                                       .owner_other = file->status.st_uid != 0};
    if (read_config(observer, file, salt, config, &err) != 0) {
        config->error = without_keys(config, err.text);
        memcpy(config->device.name, file->name, strlen(file->name) - 5);
    }
}

static void clear_configs(struct node_observer *observer)
{
    struct observation configs = {.configs = observer->facts.configs, .config_count = observer->facts.config_count};
    observation_clear(&configs);
    observer->facts.configs = NULL;
    observer->facts.config_count = 0;
}

static char *problem_of(int why)
{
    if (why == 0 || why == ENOENT || why == ENOTDIR) /* none saved: nothing is hidden from us */
        return NULL;
    return mem_format("cannot read %s: %s%s", folder_path, strerror(why), why == EACCES ? " (log in as root, or allow sudo)" : "");
}

/* Asked at each reading: what enables an interface lies in other folders, whose changes nobody tells. */
static void find_boot(struct node_observer *observer)
{
    for (size_t i = 0; i < observer->facts.config_count; i++) {
        struct observed_config *config = &observer->facts.configs[i];
        const char *file = strrchr(config->path, '/') + 1;
        char *name = mem_text_part(file, strlen(file) - strlen(".conf")), *found = boot_find(observer->root, name), *safe = text_safe(found);
        bool same = safe && config->boot ? strcmp(safe, config->boot) == 0 : safe == config->boot;
        if (!same) {
            free(config->boot);
            config->boot = mem_text(safe);
            observer->facts_version++;
        }
        free(safe);
        free(found);
        free(name);
    }
}

void observe_configs(struct node_observer *observer, const char *salt)
{
    struct config_list list = {0};
    char *path = mem_format("%s%s", observer->root, folder_path);
    int why = list_files(path, &list);
    uint64_t mark = mark_of(&list);
    if (mark != observer->config_mark || strncmp(salt, observer->config_salt, sizeof observer->config_salt) != 0 || why != 0) {
        clear_configs(observer);
        observer->facts_version++;
        observer->facts.configs = mem_alloc(list.count, sizeof *observer->facts.configs);
        for (size_t i = 0; i < list.count; i++)
            add_config(observer, &list, &list.items[i], salt);
        free(observer->config_problem);
        observer->config_problem = problem_of(why);
        if (!observer->config_problem && list.left_out)
            observer->config_problem = mem_format("%s has %zu more files: only %d are looked at", folder_path, list.left_out, CONFIGS_MAX);
        observer->config_mark = mark;
        snprintf(observer->config_salt, sizeof observer->config_salt, "%s", salt);
    }
    find_boot(observer);
    free(list.items);
    free(path);
}
