/* What a join has made on this machine (join_parts.h): written down before the first touch, so that a failure, the same command after a kill, and "wgdeck leave" take away that, and nothing
 * that was there before. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_parts.h"
#include "join_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { TRACE_MAX = 64 << 10 };

/* What may come to be, in the order in which it goes. %i: the interface. SHARED: not while another interface needs it. */
static const struct {
    const char *path;
    bool folder, shared;
} table[] = {
    {"/var/lib/wgdeck/%i/private-key", false, false},
    {"/var/lib/wgdeck/%i/next-key", false, false},
    {"/var/lib/wgdeck/%i/generation", false, false},
    {"/var/lib/wgdeck/%i/restored", false, false},
    {"/var/lib/wgdeck/%i/guard.log", false, false},
    {"/run/wgdeck/%i.paths", false, false},
    {"/run/wgdeck/%i.paths.lock", false, false},
    {"/run/wgdeck/%i.lock", false, false},
    {"/run/wgdeck/%i.turn", false, false},
    {"/run/wgdeck", true, false},
    {"/run/wireguard", true, false},
    {"/etc/wireguard", true, false},
    {"/etc/systemd/system/wgdeck@.service", false, true},
    {"/etc/systemd/system/wgdeck-engine@.service", false, true},
    {"/etc/systemd/system/multi-user.target.wants", true, false},
    {"/etc/runlevels/default", true, false},
    {BOOT_PROGRAM, false, true},
    {BOOT_FOLDER, true, true},
    {"/usr/local/lib", true, true},
    {"/var/lib/wgdeck/%i.tai64n", false, false},
    {"/var/lib/wgdeck/%i/joined", false, false}, /* this account itself: the last of the files */
    {"/var/lib/wgdeck/%i", true, false},
    {"/var/lib/wgdeck", true, false},
};

static char *whole_path(const char *path, const char *interface)
{
    return boot_fill(change_root, path, interface);
}

static bool is_there(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

void join_trace_free(struct join_trace *trace)
{
    for (size_t i = 0; i < trace->made_count; i++)
        free(trace->made[i]);
    free(trace->made);
    free(trace->mesh);
    free(trace->name);
    free(trace->hub);
    *trace = (struct join_trace){0};
}

void join_trace_survey(struct join_trace *trace)
{
    trace->made = mem_alloc(COUNT_OF(table), sizeof *trace->made);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char *path = whole_path(table[i].path, trace->interface);
        if (!is_there(path))
            trace->made[trace->made_count++] = mem_text(table[i].path);
        free(path);
    }
}

/* --- the file */

int join_trace_write(const struct join_trace *trace, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    char *path = change_path(trace->interface, "joined"), key[KEY_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    json_object(&json, NULL);
    json_text(&json, "invitation", trace->id);
    json_text(&json, "mesh", trace->mesh);
    json_text(&json, "name", trace->name);
    json_text(&json, "hub", trace->hub);
    if (trace->hub_address.family) { /* for the talk with it through the tunnel (control.h) */
        key_text(&trace->hub_key, key);
        address_text(&trace->hub_address, address);
        json_text(&json, "hub_key", key);
        json_text(&json, "hub_address", address);
    }
    json_bool(&json, "relay", trace->relay);
    json_bool(&json, "kept", trace->kept);
    json_number(&json, "at", trace->at);
    json_list(&json, "made");
    for (size_t i = 0; i < trace->made_count; i++)
        json_text(&json, NULL, trace->made[i]);
    json_list_end(&json);
    json_object_end(&json);
    buf_add_char(&text, '\n');
    int result = change_make_folder(trace->interface, err) ? -1 : file_write(path, 0600, buf_text(&text), text.length, err);
    buf_free(&text);
    free(path);
    return result;
}

static bool is_of_table(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (!strcmp(path, table[i].path))
            return true;
    return false;
}

static char *name_in(const cJSON *object, const char *member)
{
    const char *text = json_get_text(object, member, "");
    return mem_text(text_is_name(text) ? text : "?");
}

static int take(const cJSON *object, struct join_trace *trace)
{
    const cJSON *list = json_get_list(object, "made"), *item;
    const char *id = json_get_text(object, "invitation", "");
    if (!change_id_is_valid(id) || !list || cJSON_GetArraySize(list) > (int)COUNT_OF(table) * 2)
        return -1;
    memcpy(trace->id, id, sizeof trace->id);
    trace->mesh = name_in(object, "mesh");
    trace->name = name_in(object, "name");
    trace->hub = name_in(object, "hub");
    if (key_parse(json_get_text(object, "hub_key", ""), &trace->hub_key) || address_parse(json_get_text(object, "hub_address", ""), &trace->hub_address))
        trace->hub_address = (struct address){0};
    trace->relay = json_get_bool(object, "relay", false);
    trace->kept = json_get_bool(object, "kept", false);
    trace->at = json_get_number(object, "at", 0, INT64_MAX / INT64_C(1000000000), 0);
    trace->made = mem_alloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *trace->made);
    cJSON_ArrayForEach(item, list)
        if (cJSON_IsString(item) && is_of_table(item->valuestring)) /* nothing else is ever removed */
            trace->made[trace->made_count++] = mem_text(item->valuestring);
    return 0;
}

int join_trace_read(const char *interface, struct join_trace *trace, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char *path = change_path(interface, "joined");
    int result = 0;
    *trace = (struct join_trace){0};
    snprintf(trace->interface, sizeof trace->interface, "%s", interface);
    if (!device_name_is_valid(interface) || !is_there(path)) {
        result = 1;
    } else if (file_read(path, TRACE_MAX, &text, err)) {
        result = -1;
    } else {
        cJSON *object = json_parse(buf_text(&text), text.length, NULL);
        if (!object || take(object, trace))
            result = err_set(err, "%s: it cannot be understood (remove it, if this machine has joined nothing by %s)", path, interface);
        cJSON_Delete(object);
    }
    buf_free(&text);
    free(path);
    return result;
}

char **join_trace_list(size_t *count)
{
    char *path = mem_format("%s/var/lib/wgdeck", change_root), **names = NULL;
    size_t capacity = 0;
    DIR *folder = opendir(path);
    *count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct join_trace trace;
        if (entry->d_name[0] == '.' || !device_name_is_valid(entry->d_name))
            continue;
        if (!join_trace_read(entry->d_name, &trace, NULL)) {
            MEM_GROW(names, *count, capacity);
            names[(*count)++] = mem_text(entry->d_name);
        }
        join_trace_free(&trace);
    }
    if (folder)
        closedir(folder);
    free(path);
    return names;
}

/* --- away with it */

/* Its own invitations to others: sshd starts the installed program for them. */
static bool invites(const char *interface)
{
    char *path = change_path(interface, "invitations");
    DIR *folder = opendir(path);
    bool some = false;
    for (struct dirent *entry; folder && !some && (entry = readdir(folder));)
        some = entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    free(path);
    return some;
}

/* Is the installed program for something else, too? What it brings up at boot, and whom this machine has invited. */
static bool is_needed(const char *interface)
{
    static const char *const folders[] = {"/var/lib/wgdeck", "/etc/wireguard"};
    bool needed = invites(interface);
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char *path = mem_format("%s%s", change_root, folders[i]);
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && !needed && (entry = readdir(folder));) {
            size_t length = strcspn(entry->d_name, "/");
            if (length > 5 && !strcmp(entry->d_name + length - 5, ".conf"))
                entry->d_name[length - 5] = '\0';
            if (entry->d_name[0] == '.' || !strcmp(entry->d_name, interface) || !boot_name_is_plain(entry->d_name))
                continue;
            char *boot = boot_find(change_root, entry->d_name);
            needed = (boot && *boot && strncmp(boot, "wg-quick", 8) != 0) || invites(entry->d_name);
            free(boot);
        }
        if (folder)
            closedir(folder);
        free(path);
    }
    return needed;
}

static bool was_made(const struct join_trace *trace, const char *path)
{
    for (size_t i = 0; i < trace->made_count; i++)
        if (!strcmp(trace->made[i], path))
            return true;
    return false;
}

/* Files of FOLDER that were being written when the power went (file_write's). */
static void sweep(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (!strncmp(entry->d_name, ".wgdeck-", 8))
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
}

/* Folders go only when nothing is in them. */
static void remove_one(const char *path, bool folder, struct buf *left)
{
    if (folder ? rmdir(path) == 0 || errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY : unlink(path) == 0)
        return;
    if (errno != ENOENT && errno != ENOTDIR)
        buf_add_format(left, "%s cannot be removed: %s\n", path, strerror(errno));
}

void join_trace_remove(const struct join_trace *trace, struct buf *left)
{
    bool needed = is_needed(trace->interface);
    change_sweep_folder(trace->interface);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        bool is_own = !strcmp(table[i].path, "/var/lib/wgdeck/%i/joined");
        if ((!is_own && !was_made(trace, table[i].path)) || (table[i].shared && needed))
            continue;
        char *path = whole_path(table[i].path, trace->interface);
        if (table[i].folder)
            sweep(path);
        remove_one(path, table[i].folder, left);
        free(path);
    }
}
