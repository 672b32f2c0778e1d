/* The event log's file: JSON lines, appended by any number of decks at once (one write a line, O_APPEND). What is read may be damaged. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events_private.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    FILE_LIMIT = 4 << 20,   /* then it becomes PATH.1 */
    READ_LIMIT = 16 << 20,
    READ_MOST = 2000,       /* events of earlier runs */
    LINE_LIMIT = 16 << 10,
    TEXT_LIMIT = 2000,
};

/* Lines, out */

static void event_members(const struct event *event, struct json *json)
{
    char time[CLOCK_TEXT_SIZE];
    clock_text(event->at, time);
    json_text(json, "time", time);
    json_number(json, "at", event->at);
    json_text(json, "kind", event_kinds[event->kind].name);
    json_text(json, "severity", severity_text(event->severity));
    json_list(json, "nodes");
    for (size_t i = 0; i < 2; i++)
        if (*event->nodes[i])
            json_text(json, NULL, event->nodes[i]);
    json_list_end(json);
    json_text(json, "fault", event->fault);
    json_text(json, "identity", event->identity);
    json_text(json, "text", event->text);
    json_unsigned(json, "times", event->times);
}

void event_to_json(const struct event *event, struct json *json)
{
    json_object(json, NULL);
    event_members(event, json);
    json_object_end(json);
}

/* Lines, in */

static int read_kind(const char *name)
{
    for (int i = 0; i < EVENT_KIND_COUNT; i++)
        if (!strcmp(event_kinds[i].name, name))
            return i;
    return -1;
}

static enum severity read_severity(const char *name, enum severity fallback)
{
    for (int i = SEVERITY_INFO; i <= SEVERITY_ERROR; i++)
        if (!strcmp(severity_text((enum severity)i), name))
            return (enum severity)i;
    return fallback;
}

/* A safe copy of at most TEXT_LIMIT bytes; NULL for NULL. */
static char *safe_part(const char *text)
{
    if (!text)
        return NULL;
    struct buf buf = BUF_EMPTY;
    text_add_safe(&buf, text, strnlen(text, TEXT_LIMIT));
    return buf_take(&buf);
}

static void read_nodes(const cJSON *object, char *nodes[2])
{
    const cJSON *list = json_get_list(object, "nodes"), *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, list)
        if (count < 2 && cJSON_IsString(item) && item->valuestring)
            nodes[count++] = safe_part(item->valuestring);
    while (count < 2)
        nodes[count++] = mem_text("");
}

struct entry *events_line_read(const char *line, size_t length)
{
    struct err err;
    cJSON *object = length <= LINE_LIMIT ? json_parse(line, length, &err) : NULL;
    int kind = object ? read_kind(json_get_text(object, "kind", "")) : -1;
    int64_t at = object ? json_get_number(object, "at", 1, INT64_MAX / 2, 0) : 0;
    if (kind < 0 || !at) {
        cJSON_Delete(object);
        return NULL;
    }
    struct entry *entry = mem_alloc(1, sizeof *entry);
    entry->event = (struct event){
        .at = at,
        .kind = (enum event_kind)kind,
        .severity = read_severity(json_get_text(object, "severity", ""), event_kinds[kind].severity),
        .fault = safe_part(json_get_text(object, "fault", NULL)),
        .identity = safe_part(json_get_text(object, "identity", NULL)),
        .text = safe_part(json_get_text(object, "text", "")),
        .times = (unsigned)json_get_number(object, "times", 1, 1000000000, 1),
        .earlier = true,
    };
    read_nodes(object, entry->event.nodes);
    entry->first = json_get_number(object, "first", 1, at, at);
    cJSON_Delete(object);
    return entry;
}

/* A repetition takes the place of what it repeats. */
static bool replace_repeated(struct event_log *log, struct entry *entry)
{
    size_t looked = 0;
    for (size_t i = log->count; i-- > 0 && looked++ < 200;) {
        struct entry *old = log->entries[i];
        if (old->first != entry->first || !events_same(&old->event, &entry->event))
            continue;
        entry_free(old);
        memmove(&log->entries[i], &log->entries[i + 1], (log->count - i - 1) * sizeof log->entries[0]);
        log->entries[log->count - 1] = entry;
        return true;
    }
    return false;
}

static const char *last_lines(const char *text, size_t length, size_t most)
{
    const char *at = text + length;
    for (size_t lines = 0; at > text; at--)
        if (at[-1] == '\n' && lines++ == most)
            break;
    return at;
}

static void take_lines(struct event_log *log, const char *text, size_t length)
{
    size_t damaged = 0;
    const char *end = text + length;
    for (const char *line = last_lines(text, length, READ_MOST), *next; line < end; line = next) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        next = newline ? newline + 1 : end;
        struct entry *entry = newline ? events_line_read(line, (size_t)(newline - line)) : NULL;
        if (!entry)
            damaged++;
        else if (entry->event.times == 1 || !replace_repeated(log, entry))
            events_append(log, entry);
    }
    if (damaged && !log->problem)
        log->problem = mem_format("%s: %zu damaged line%s skipped", log->path, damaged, damaged == 1 ? "" : "s");
}

static int by_time(const void *one, const void *two)
{
    const struct entry *a = *(struct entry *const *)one, *b = *(struct entry *const *)two;
    return (a->event.at > b->event.at) - (a->event.at < b->event.at);
}

/* What of PATH can be read is taken. False: nothing is there, or it cannot be read. */
static void read_one(struct event_log *log, const char *path)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    struct stat status;
    if (stat(path, &status))
        return;
    if (!S_ISREG(status.st_mode))
        log->problem = mem_format("%s: not a file; events are not kept", path);
    else if (file_read(path, READ_LIMIT, &text, &err))
        log->problem = mem_format("%s; events are not kept", err.text);
    else
        take_lines(log, buf_text(&text), text.length);
    log->stopped |= log->problem && !text.length;
    buf_free(&text);
}

void events_file_read(struct event_log *log)
{
    char *older = mem_format("%s.1", log->path);
    struct stat status;
    if (stat(log->path, &status) || status.st_size < FILE_LIMIT / 8) /* the newer one has only begun */
        read_one(log, older);
    free(older);
    read_one(log, log->path);
    if (log->count > 1)
        qsort(log->entries, log->count, sizeof log->entries[0], by_time);
    while (log->count > READ_MOST) {
        entry_free(log->entries[0]);
        memmove(log->entries, log->entries + 1, --log->count * sizeof log->entries[0]);
    }
    log->total = log->count;
}

/* Writing */

static void give_up(struct event_log *log)
{
    log->stopped = true;
    free(log->problem);
    log->problem = mem_format("%s: %s; events are not kept", log->path, strerror(errno));
    events_file_close(log);
}

/* Another deck may have moved the file away meanwhile; and a file that has grown is moved away here. */
static bool open_file(struct event_log *log)
{
    struct stat ours, there;
    if (log->descriptor && (stat(log->path, &there) || fstat(log->descriptor, &ours) || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev))
        events_file_close(log);
    if (!log->descriptor) {
        int descriptor = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (descriptor < 0 || fstat(descriptor, &ours))
            return false;
        log->descriptor = descriptor;
        if (ours.st_size && S_ISREG(ours.st_mode)) { /* a line that a crash has cut off ends here */
            char last = '\n';
            int reader = open(log->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
            if (reader >= 0 && pread(reader, &last, 1, ours.st_size - 1) == 1 && last != '\n')
                file_write_all(descriptor, "\n", 1);
            if (reader >= 0)
                close(reader);
        }
    }
    if (fstat(log->descriptor, &ours) || ours.st_size < FILE_LIMIT)
        return true;
    char *older = mem_format("%s.1", log->path);
    bool moved = !rename(log->path, older);
    free(older);
    events_file_close(log);
    log->descriptor = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->descriptor < 0)
        log->descriptor = 0;
    return moved && log->descriptor > 0;
}

void events_file_write(struct event_log *log, struct entry *entry)
{
    if (entry->unwritten)
        log->unwritten--;
    entry->unwritten = false;
    if (!log->path || log->stopped)
        return;
    errno = 0;
    if (!open_file(log)) {
        give_up(log);
        return;
    }
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    json_object(&json, NULL);
    event_members(&entry->event, &json);
    if (entry->event.times > 1)
        json_number(&json, "first", entry->first);
    json_object_end(&json);
    buf_add_char(&line, '\n');
    ssize_t written = write(log->descriptor, line.data, line.length); /* at once, or lines of two decks could mix */
    if (written != (ssize_t)line.length)
        give_up(log);
    buf_free(&line);
}

void events_file_flush(struct event_log *log, int64_t until)
{
    for (size_t i = 0; log->unwritten && i < log->count; i++)
        if (log->entries[i]->unwritten && log->entries[i]->event.at < until)
            events_file_write(log, log->entries[i]);
}

void events_file_close(struct event_log *log)
{
    if (log->descriptor)
        close(log->descriptor);
    log->descriptor = 0;
}
