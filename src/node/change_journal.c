/* The journal of a change: a line of JSON that says what is under way, and behind it the old state with its secrets. Written whole, synced, 0600. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { JOURNAL_MAX = 256 << 20, JOURNAL_LINE_MAX = 64 << 10, JOURNAL_VERSION = 1 };

static const char *const step_words[] = {
#define X(name, word) [CHANGE_##name] = word,
    CHANGE_STEPS(X)
#undef X
};

void change_journal_text(const struct change_journal *journal, struct buf *text)
{
    char hash[2 * CHANGE_HASH_SIZE + 1];
    sodium_bin2hex(hash, sizeof hash, journal->file_hash, sizeof journal->file_hash);
    struct json json = json_begin(text);
    json_object(&json, NULL);
    json_number(&json, "journal", JOURNAL_VERSION);
    json_text(&json, "change", journal->id);
    json_text(&json, "interface", journal->name);
    json_text(&json, "boot", journal->boot);
    json_text(&json, "owner", journal->owner);
    json_text(&json, "generation", journal->generation);
    json_number(&json, "began", journal->began);
    json_number(&json, "deadline", journal->deadline);
    json_text(&json, "step", step_words[journal->step]);
    json_bool(&json, "finish", journal->finish_needed);
    json_bool(&json, "takes_away", journal->takes_away);
    json_bool(&json, "service", journal->service);
    json_text(&json, "file", journal->file);
    json_text(&json, "prepared", journal->prepared);
    json_bool(&json, "file_exists", journal->file_exists);
    json_text(&json, "file_hash", hash);
    json_object_end(&json);
    buf_add_char(text, '\n');
    state_write(&journal->old, text);
}

/* Of the interface's own folder or below a symbolic link's: made by this program as root; still it must be a path. */
static char *path_of(const cJSON *object, const char *key)
{
    const char *path = json_get_text(object, key, NULL);
    return path && path[0] == '/' ? mem_text(path) : NULL;
}

static int parse_step(const char *word, enum change_step *step)
{
    for (size_t i = 0; i < COUNT_OF(step_words); i++)
        if (!strcmp(word, step_words[i])) {
            *step = (enum change_step)i;
            return 0;
        }
    return -1;
}

static int parse_line(const cJSON *object, struct change_journal *journal)
{
    const char *id = json_get_text(object, "change", ""), *name = json_get_text(object, "interface", ""), *generation = json_get_text(object, "generation", NULL);
    const char *hash = json_get_text(object, "file_hash", "");
    size_t length = 0;
    if (json_get_number(object, "journal", 0, 1000, 0) != JOURNAL_VERSION || !change_id_is_valid(id) || !device_name_is_valid(name))
        return -1;
    snprintf(journal->id, sizeof journal->id, "%s", id);
    snprintf(journal->name, sizeof journal->name, "%s", name);
    snprintf(journal->boot, sizeof journal->boot, "%s", json_get_text(object, "boot", ""));
    journal->owner = text_safe(json_get_text(object, "owner", "somebody"));
    journal->generation = mem_text(generation);
    journal->began = json_get_number(object, "began", 0, INT64_MAX, 0);
    journal->deadline = json_get_number(object, "deadline", 0, INT64_MAX, 0);
    journal->finish_needed = json_get_bool(object, "finish", true);
    journal->takes_away = json_get_bool(object, "takes_away", false);
    journal->service = json_get_bool(object, "service", false);
    journal->file = path_of(object, "file");
    journal->prepared = path_of(object, "prepared");
    journal->file_exists = json_get_bool(object, "file_exists", false);
    if (sodium_hex2bin(journal->file_hash, sizeof journal->file_hash, hash, strlen(hash), NULL, &length, NULL) || length != sizeof journal->file_hash)
        return -1;
    return journal->file ? parse_step(json_get_text(object, "step", ""), &journal->step) : -1;
}

int change_journal_parse(const char *bytes, size_t length, struct change_journal *journal, struct err *err)
{
    const char *end = memchr(bytes, '\n', length);
    *journal = (struct change_journal){0};
    cJSON *object = end ? json_parse(bytes, (size_t)(end - bytes), err) : NULL;
    int result = object && cJSON_IsObject(object) ? parse_line(object, journal) : -1;
    cJSON_Delete(object);
    if (result)
        err_set(err, "its first line is not that of a change");
    else
        result = state_parse(end + 1, length - (size_t)(end + 1 - bytes), &journal->old, err);
    if (!result && strcmp(journal->old.name, journal->name) != 0)
        result = err_set(err, "it is of another interface");
    if (result)
        change_journal_free(journal);
    return result;
}

int change_journal_write(const struct change_journal *journal, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char *path = change_path(journal->name, "change");
    change_journal_text(journal, &text);
    int result = file_write(path, 0600, text.data, text.length, err);
    buf_wipe(&text);
    free(path);
    return result;
}

int change_journal_read(const char *name, struct change_journal *journal, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char *path = change_path(name, "change");
    int result;
    *journal = (struct change_journal){0};
    if (access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
        result = 1;
    else
        result = file_read(path, JOURNAL_MAX, &text, err);
    if (!result && change_journal_parse(buf_text(&text), text.length, journal, err))
        result = err_prefix(err, "%s cannot be read (when what runs is right, remove it)", path);
    else if (!result && strcmp(journal->name, name) != 0) {
        change_journal_free(journal);
        result = err_set(err, "%s: it is of another interface", path);
    }
    buf_wipe(&text);
    free(path);
    return result;
}

bool change_journal_is_there(const char *name, const char *id)
{
    char *line = mem_alloc(1, JOURNAL_LINE_MAX), *path = change_path(name, "change");
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool is_there = descriptor >= 0 || (errno != ENOENT && errno != ENOTDIR);
    ssize_t length = descriptor < 0 ? -1 : read(descriptor, line, JOURNAL_LINE_MAX);
    const char *end = length > 0 ? memchr(line, '\n', (size_t)length) : NULL;
    cJSON *object = end ? json_parse(line, (size_t)(end - line), NULL) : NULL;
    if (object)
        is_there = !strcmp(json_get_text(object, "change", ""), id);
    cJSON_Delete(object);
    if (descriptor >= 0)
        close(descriptor);
    sodium_memzero(line, JOURNAL_LINE_MAX);
    free(line);
    free(path);
    return is_there;
}

int change_journal_remove(const char *name, struct err *err)
{
    char *path = change_path(name, "change");
    int result = 0;
    if (unlink(path) && errno != ENOENT)
        result = err_set(err, "%s: %s", path, strerror(errno));
    else
        result = change_sync_folder_of(path, err);
    free(path);
    return result;
}

void change_journal_free(struct change_journal *journal)
{
    free(journal->owner);
    free(journal->generation);
    free(journal->file);
    free(journal->prepared);
    state_free(&journal->old);
    *journal = (struct change_journal){0};
}
