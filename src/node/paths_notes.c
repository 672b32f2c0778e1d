/* What the ladder has done to which rows (paths.h): /run/wgdeck/IF.paths, which goes with what runs at the next boot. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "paths.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { BYTES_MAX = 16 << 20, NOTES_MOST = 10000 };

const char *const path_words[] = {[WAY_TRYING] = "trying", [WAY_DIRECT] = "direct", [WAY_RELAY] = "relay", [WAY_HUB] = "hub"};

void path_note_set_allowed(struct path_note *note, const struct prefix *allowed, size_t count)
{
    free(note->allowed);
    note->allowed = count ? mem_copy(allowed, count, sizeof *allowed) : NULL;
    note->allowed_count = count;
}

struct path_note *path_note_find(const struct path_notes *notes, const struct key *key)
{
    for (size_t i = 0; i < notes->count; i++)
        if (!key_compare(&notes->notes[i].key, key))
            return &notes->notes[i];
    return NULL;
}

struct path_note *path_note_make(struct path_notes *notes, const struct key *key)
{
    struct path_note *found = path_note_find(notes, key);
    if (found)
        return found;
    notes->notes = mem_resize(notes->notes, notes->count + 1, sizeof *notes->notes);
    notes->notes[notes->count] = (struct path_note){.key = *key};
    return &notes->notes[notes->count++];
}

void path_note_remove(struct path_notes *notes, const struct key *key)
{
    struct path_note *note = path_note_find(notes, key);
    if (!note)
        return;
    free(note->allowed);
    *note = notes->notes[--notes->count];
}

void path_notes_free(struct path_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free(notes->notes[i].allowed);
    free(notes->notes);
    *notes = (struct path_notes){0};
}

static void note_to_json(const struct path_note *note, struct json *json)
{
    char key[KEY_TEXT_SIZE];
    json_object(json, NULL);
    key_text(&note->key, key);
    json_text(json, "key", key);
    key_text(&note->hub, key);
    json_text(json, "hub", key);
    json_text(json, "name", note->name);
    json_text(json, "path", path_words[note->way]);
    json_text(json, "reason", note->reason);
    json_number(json, "since", note->since);
    json_bool(json, "made", note->made);
    json_unsigned(json, "keepalive", note->keepalive);
    json_list(json, "allowed");
    for (size_t i = 0; i < note->allowed_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&note->allowed[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
    json_object_end(json);
}

void path_notes_to_json(const struct path_notes *notes, struct json *json)
{
    for (size_t i = 0; i < notes->count; i++)
        note_to_json(&notes->notes[i], json);
}

static void take_note(const cJSON *object, struct path_notes *notes)
{
    struct key key;
    const char *word = json_get_text(object, "path", "");
    size_t way = 0;
    while (way < COUNT_OF(path_words) && strcmp(word, path_words[way]) != 0)
        way++;
    if (way == COUNT_OF(path_words) || key_parse(json_get_text(object, "key", ""), &key) || notes->count >= NOTES_MOST)
        return;
    struct path_note *note = path_note_make(notes, &key);
    struct prefix allowed[PATH_ALLOWED_MOST];
    size_t count = 0;
    const cJSON *item;
    char *name = text_safe(json_get_text(object, "name", "")), *reason = text_safe(json_get_text(object, "reason", ""));
    snprintf(note->name, sizeof note->name, "%s", name);
    snprintf(note->reason, sizeof note->reason, "%s", reason);
    free(name);
    free(reason);
    note->way = (enum observed_way)way;
    note->since = json_get_number(object, "since", 0, INT64_C(1) << 50, 0);
    note->made = json_get_bool(object, "made", false);
    note->keepalive = (uint16_t)json_get_number(object, "keepalive", 0, UINT16_MAX, 0);
    if (key_parse(json_get_text(object, "hub", ""), &note->hub))
        note->hub = (struct key){{0}};
    cJSON_ArrayForEach(item, json_get_list(object, "allowed"))
        if (count < PATH_ALLOWED_MOST && cJSON_IsString(item) && !prefix_parse(item->valuestring, &allowed[count]))
            count++;
    path_note_set_allowed(note, allowed, count);
}

void path_notes_from_json(const cJSON *list, struct path_notes *notes)
{
    const cJSON *item;
    *notes = (struct path_notes){0};
    cJSON_ArrayForEach(item, list)
        take_note(item, notes);
}

static char *notes_path(const char *interface)
{
    return mem_format("%s/run/wgdeck/%s.paths", change_root, interface);
}

void path_notes_read(const char *interface, struct path_notes *notes)
{
    char *path = notes_path(interface);
    struct buf text = BUF_EMPTY;
    struct err err;
    cJSON *object = !file_read(path, BYTES_MAX, &text, &err) ? json_parse(buf_text(&text), text.length, &err) : NULL;
    path_notes_from_json(json_get_list(object, "paths"), notes);
    cJSON_Delete(object);
    buf_free(&text);
    free(path);
}

int path_notes_write(const char *interface, const struct path_notes *notes, struct err *err)
{
    char *path = notes_path(interface), *folder = mem_format("%s/run/wgdeck", change_root);
    struct buf text = BUF_EMPTY;
    int result = 0;
    if (!notes->count) {
        if (unlink(path) && errno != ENOENT)
            result = err_set(err, "%s: %s", path, strerror(errno));
    } else {
        struct json json = json_begin(&text);
        json_object(&json, NULL);
        json_list(&json, "paths");
        path_notes_to_json(notes, &json);
        json_list_end(&json);
        json_object_end(&json);
        buf_add_char(&text, '\n');
        result = file_make_folders(folder, 0700, err) || file_write(path, 0600, buf_text(&text), text.length, err) ? -1 : 0;
    }
    buf_free(&text);
    free(folder);
    free(path);
    return result;
}
