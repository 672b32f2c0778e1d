/* Who has joined through this node (the used invitations, invitation.h), and which ways the ladder has put its rows on (/run/wgdeck/IF.paths, ladder.h). Read again only when the folder or the
 * file has changed. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "observer.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/invitation.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { RECORD_BYTES_MAX = 4 << 20, PATHS_BYTES_MAX = 16 << 20, JOINED_MAX = 10000, PATHS_MAX = 10000 };

struct seen_file {
    char name[IFNAMSIZ];
    struct stat folder, paths; /* zero: not there */
};

static void add_interface(struct seen_file **files, size_t *count, const struct node_observer *observer, const char *name)
{
    if ((observer->only && strcmp(observer->only, name) != 0) || !device_name_is_valid(name))
        return;
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*files)[i].name, name) == 0)
            return;
    *files = mem_resize(*files, *count + 1, sizeof **files);
    struct seen_file *file = &(*files)[(*count)++];
    *file = (struct seen_file){0};
    snprintf(file->name, sizeof file->name, "%s", name);
    char *folder = mem_format("%s/var/lib/wgdeck/%s/invitations", observer->root, name), *paths = mem_format("%s/run/wgdeck/%s.paths", observer->root, name);
    if (stat(folder, &file->folder) != 0)
        file->folder = (struct stat){0};
    if (stat(paths, &file->paths) != 0)
        file->paths = (struct stat){0};
    free(folder);
    free(paths);
}

static uint64_t mix(uint64_t mark, uint64_t value)
{
    return (mark ^ value) * UINT64_C(0x100000001b3);
}

/* Changed so shortly ago that the next change may bear the same time: a file system's clock goes by ticks. */
static bool is_fresh(const struct stat *status, int64_t now)
{
    return status->st_ino && now - ((int64_t)status->st_mtim.tv_sec * CLOCK_SECOND + status->st_mtim.tv_nsec) < CLOCK_SECOND / 10;
}

static uint64_t mark_of(const struct seen_file *files, size_t count, int64_t now, bool *fresh)
{
    uint64_t mark = UINT64_C(0xcbf29ce484222325);
    *fresh = false;
    for (size_t i = 0; i < count; i++) {
        const struct stat *both[] = {&files[i].folder, &files[i].paths};
        for (const char *letter = files[i].name; *letter; letter++)
            mark = mix(mark, (unsigned char)*letter);
        for (size_t s = 0; s < COUNT_OF(both); s++) {
            *fresh |= is_fresh(both[s], now);
            mark = mix(mark, (uint64_t)both[s]->st_ino);
            mark = mix(mark, (uint64_t)both[s]->st_size);
            mark = mix(mark, (uint64_t)both[s]->st_mtim.tv_sec);
            mark = mix(mark, (uint64_t)both[s]->st_mtim.tv_nsec);
        }
    }
    return mark | 1; /* never 0, which is "not read yet" */
}

static cJSON *read_json(const char *path, size_t limit)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    cJSON *json = file_read(path, limit, &text, &err) == 0 ? json_parse(buf_text(&text), text.length, &err) : NULL;
    buf_free(&text);
    return json;
}

/* --- joined */

static void take_record(struct observation *facts, const char *interface, const struct invitation_record *record)
{
    if (record->state != INVITATION_USED || !record->has_key || facts->joined_count >= JOINED_MAX)
        return;
    facts->joined = mem_resize(facts->joined, facts->joined_count + 1, sizeof *facts->joined);
    struct observed_joined *joined = &facts->joined[facts->joined_count++];
    *joined = (struct observed_joined){.key = record->key, .relay = record->relay, .at = record->at};
    snprintf(joined->interface, sizeof joined->interface, "%s", interface);
    snprintf(joined->name, sizeof joined->name, "%s", record->name);
    snprintf(joined->from, sizeof joined->from, "%s", record->from ? record->from : "");
    joined->addresses = mem_copy(record->addresses, record->address_count, sizeof *record->addresses);
    joined->address_count = record->address_count;
}

static bool is_record(const char *name)
{
    return strlen(name) == INVITATION_ID_LENGTH && strspn(name, "0123456789abcdef") == INVITATION_ID_LENGTH;
}

/* One that cannot be read is passed over: it is no reason to see nothing of the node. */
static void read_records(const struct node_observer *observer, const char *interface, struct observation *facts)
{
    char *path = mem_format("%s/var/lib/wgdeck/%s/invitations", observer->root, interface);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!is_record(entry->d_name))
            continue;
        char *file = mem_format("%s/%s", path, entry->d_name);
        cJSON *object = read_json(file, RECORD_BYTES_MAX);
        struct invitation_record record = {0};
        struct err err;
        if (object && invitation_record_read(object, &record, &err) == 0)
            take_record(facts, interface, &record);
        invitation_record_free(&record);
        cJSON_Delete(object);
        free(file);
    }
    if (folder)
        closedir(folder);
    free(path);
}

/* --- paths */

static void take_path(struct observation *facts, const char *interface, const cJSON *object)
{
    static const char *const words[] = {[WAY_TRYING] = "trying", [WAY_DIRECT] = "direct", [WAY_RELAY] = "relay", [WAY_HUB] = "hub"};
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(object, "key"), *word = cJSON_GetObjectItemCaseSensitive(object, "path");
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(object, "reason"), *since = cJSON_GetObjectItemCaseSensitive(object, "since");
    struct observed_path path = {.since = cJSON_IsNumber(since) && since->valuedouble >= 0 && since->valuedouble < 1e15 ? (int64_t)since->valuedouble : 0};
    size_t way = 0;
    while (cJSON_IsString(word) && way < COUNT_OF(words) && strcmp(words[way], word->valuestring) != 0)
        way++;
    if (!cJSON_IsString(key) || key_parse(key->valuestring, &path.key) != 0 || !cJSON_IsString(word) || way == COUNT_OF(words) || facts->path_count >= PATHS_MAX)
        return;
    path.way = (enum observed_way)way;
    if (cJSON_IsString(reason) && reason->valuestring[0] && strlen(reason->valuestring) <= OBSERVED_TEXT_MAX)
        path.reason = text_safe(reason->valuestring);
    snprintf(path.interface, sizeof path.interface, "%s", interface);
    facts->paths = mem_resize(facts->paths, facts->path_count + 1, sizeof *facts->paths);
    facts->paths[facts->path_count++] = path;
}

static void read_paths(const struct node_observer *observer, const char *interface, struct observation *facts)
{
    char *file = mem_format("%s/run/wgdeck/%s.paths", observer->root, interface);
    cJSON *object = read_json(file, PATHS_BYTES_MAX);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "paths"), *item;
    if (cJSON_IsArray(list))
        cJSON_ArrayForEach(item, list)
            take_path(facts, interface, item);
    cJSON_Delete(object);
    free(file);
}

/* --- both */

static void forget(struct observation *facts)
{
    for (size_t i = 0; i < facts->joined_count; i++)
        free(facts->joined[i].addresses);
    for (size_t i = 0; i < facts->path_count; i++)
        free(facts->paths[i].reason);
    free(facts->joined);
    free(facts->paths);
    facts->joined = NULL;
    facts->paths = NULL;
    facts->joined_count = facts->path_count = 0;
}

void observe_joined(struct node_observer *observer, const struct observation *devices)
{
    struct seen_file *files = NULL;
    size_t count = 0;
    for (size_t i = 0; i < devices->device_count; i++)
        add_interface(&files, &count, observer, devices->devices[i].name);
    for (size_t i = 0; i < observer->facts.config_count; i++)
        add_interface(&files, &count, observer, observer->facts.configs[i].device.name);
    bool fresh;
    uint64_t mark = mark_of(files, count, clock_wall(), &fresh);
    if (mark != observer->joined_mark) {
        observer->joined_mark = fresh ? 0 : mark;
        forget(&observer->facts);
        for (size_t i = 0; i < count; i++) {
            if (files[i].folder.st_ino)
                read_records(observer, files[i].name, &observer->facts);
            if (files[i].paths.st_ino)
                read_paths(observer, files[i].name, &observer->facts);
        }
        struct observation both = {.joined = observer->facts.joined, .joined_count = observer->facts.joined_count, .paths = observer->facts.paths, .path_count = observer->facts.path_count};
        observation_sort(&both); /* in order, each key once, as whoever compares readings needs them */
        observer->facts.joined = both.joined;
        observer->facts.joined_count = both.joined_count;
        observer->facts.paths = both.paths;
        observer->facts.path_count = both.path_count;
    }
    free(files);
}
