/* The records of invitations on their hub: files of root, written whole or not at all, and who may change them (invite_parts.h). */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "invite_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { RECORD_MAX = 8 << 20, LIST_MAX = 4096, PATH_TEXT_MAX = 4096 };
static const double patience = 15; /* seconds: a join that is being kept takes some */

bool invite_id_is_valid(const char *id)
{
    return change_id_is_valid(id); /* 16 hex digits as well */
}

static char *folder_of(const char *interface)
{
    return change_path(interface, "invitations");
}

static char *path_of(const char *interface, const char *id)
{
    char *folder = folder_of(interface), *path = mem_format("%s/%s", folder, id);
    free(folder);
    return path;
}

/* --- locks. No interface has a name with a colon, so these are nobody else's. */

int invite_lock(const char *interface, struct err *err)
{
    struct err why;
    char *name = mem_format("%s:invitations", interface);
    int descriptor = change_turn(name, patience, NULL, &why);
    free(name);
    if (descriptor < 0)
        err_set(err, "the invitations of %s are being changed by somebody else just now: try again", interface);
    return descriptor;
}

int invite_join_lock(const char *id, double seconds, pid_t *holder)
{
    char *name = mem_format("join:%s", id);
    int descriptor = change_turn(name, seconds, holder, NULL);
    free(name);
    return descriptor;
}

bool invite_is_joining(const char *id)
{
    int descriptor = invite_join_lock(id, 0, NULL);
    change_turn_end(descriptor);
    return descriptor < 0;
}

/* --- one record */

static int parse(const struct buf *text, struct invite_entry *entry, struct err *err)
{
    cJSON *object = json_parse(buf_text(text), text->length, err);
    const char *file = json_get_text(object, "file", ""), *user = json_get_text(object, "user", "");
    int result = object ? invitation_record_read(object, &entry->record, err) : -1;
    if (!result && file[0] == '/' && strlen(file) < PATH_TEXT_MAX)
        entry->file = mem_text(file);
    if (!result && *user)
        entry->user = mem_text(user);
    entry->burnt = json_get_bool(object, "burnt", false);
    cJSON_Delete(object);
    return result;
}

int invite_read(const char *interface, const char *id, struct invite_entry *entry, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char *path = path_of(interface, id);
    *entry = (struct invite_entry){0};
    int result = access(path, F_OK) && errno == ENOENT ? 1 : file_read(path, RECORD_MAX, &text, err);
    if (!result && (parse(&text, entry, err) || strcmp(entry->record.id, id) || strcmp(entry->record.interface, interface))) {
        err_prefix(err, "%s", path);
        invite_entry_free(entry);
        result = -1;
    }
    buf_free(&text);
    free(path);
    return result;
}

int invite_write(const struct invite_entry *entry, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    char *folder = folder_of(entry->record.interface), *path = path_of(entry->record.interface, entry->record.id);
    json_object(&json, NULL);
    invitation_record_write(&entry->record, &json);
    json_text(&json, "file", entry->file);
    json_text(&json, "user", entry->user);
    json_bool(&json, "burnt", entry->burnt);
    json_object_end(&json);
    buf_add_char(&text, '\n');
    int result = change_make_folder(entry->record.interface, err);
    if (!result)
        result = file_make_folders(folder, 0700, err);
    if (!result)
        result = file_write(path, 0600, buf_text(&text), text.length, err);
    buf_free(&text);
    free(folder);
    free(path);
    return result;
}

int invite_remove(const struct invite_entry *entry, struct err *err)
{
    char *path = path_of(entry->record.interface, entry->record.id), *lock = mem_format("%s/run/wgdeck/join:%s.turn", change_root, entry->record.id);
    int result = unlink(path) && errno != ENOENT ? err_set(err, "%s: cannot be removed: %s", path, strerror(errno)) : 0;
    if (!result)
        result = change_sync_folder_of(path, err);
    unlink(lock);
    free(lock);
    free(path);
    return result;
}

void invite_entry_free(struct invite_entry *entry)
{
    invitation_record_free(&entry->record);
    free(entry->file);
    free(entry->user);
    *entry = (struct invite_entry){0};
}

/* --- all of them */

static int by_age(const void *a, const void *b)
{
    const struct invite_entry *one = a, *other = b;
    if (one->record.made != other->record.made)
        return one->record.made < other->record.made ? -1 : 1;
    return strcmp(one->record.id, other->record.id);
}

void invite_list_read(const char *interface, struct invite_list *list, struct buf *warnings)
{
    char *path = folder_of(interface);
    DIR *folder = opendir(path);
    struct err err;
    *list = (struct invite_list){0};
    for (struct dirent *entry; folder && list->count < LIST_MAX && (entry = readdir(folder)) != NULL;) {
        if (!strncmp(entry->d_name, ".wgdeck-", 8)) /* file_write's, of one that was killed */
            unlinkat(dirfd(folder), entry->d_name, 0);
        if (!invite_id_is_valid(entry->d_name))
            continue;
        MEM_GROW(list->entries, list->count, list->capacity);
        int result = invite_read(interface, entry->d_name, &list->entries[list->count], &err);
        if (!result)
            list->count++;
        else if (result < 0 && warnings)
            buf_add_format(warnings, "%s\n", err.text);
    }
    if (folder)
        closedir(folder);
    if (list->count)
        qsort(list->entries, list->count, sizeof *list->entries, by_age);
    free(path);
}

void invite_list_free(struct invite_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        invite_entry_free(&list->entries[i]);
    free(list->entries);
    *list = (struct invite_list){0};
}

char *invite_interface_of(const char *id)
{
    char *path = change_path("", ""), *found = NULL;
    DIR *folder = invite_id_is_valid(id) ? opendir(path) : NULL;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder)) != NULL;) {
        if (!device_name_is_valid(entry->d_name))
            continue;
        char *file = path_of(entry->d_name, id);
        if (access(file, F_OK) == 0)
            found = mem_text(entry->d_name);
        free(file);
    }
    if (folder)
        closedir(folder);
    free(path);
    return found;
}
