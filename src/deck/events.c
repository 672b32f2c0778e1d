/* What happened to a mesh: the log in memory. Its file is read and written in events_file.c. */
#include "wgdeck/events.h"

#include <stdlib.h>
#include <string.h>

#include "events_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { EVENTS_KEPT = 10000 };

const struct event_kind_row event_kinds[EVENT_KIND_COUNT] = {
#define X(name, text, severity, meaning) [EVENT_##name] = {text, SEVERITY_##severity, meaning},
    EVENT_KINDS(X)
#undef X
};

struct entry *entry_new(const struct event *event)
{
    struct entry *entry = mem_alloc(1, sizeof *entry);
    entry->event = *event;
    entry->event.nodes[0] = mem_text(event->nodes[0] ? event->nodes[0] : "");
    entry->event.nodes[1] = mem_text(event->nodes[1] ? event->nodes[1] : "");
    entry->event.fault = mem_text(event->fault);
    entry->event.identity = mem_text(event->identity);
    entry->event.text = mem_text(event->text ? event->text : "");
    if (!entry->event.times)
        entry->event.times = 1;
    entry->first = event->at;
    return entry;
}

void entry_free(struct entry *entry)
{
    if (!entry)
        return;
    free(entry->event.nodes[0]);
    free(entry->event.nodes[1]);
    free(entry->event.fault);
    free(entry->event.identity);
    free(entry->event.text);
    free(entry);
}

static bool same_text(const char *a, const char *b)
{
    return !strcmp(a ? a : "", b ? b : "");
}

bool events_same(const struct event *a, const struct event *b)
{
    return a->kind == b->kind && same_text(a->nodes[0], b->nodes[0]) && same_text(a->nodes[1], b->nodes[1]) && same_text(a->fault, b->fault) &&
           same_text(a->identity, b->identity);
}

struct event_log *event_log_new(const char *path)
{
    struct event_log *log = mem_alloc(1, sizeof *log);
    if (path) {
        log->path = mem_text(path);
        events_file_read(log);
    }
    return log;
}

void event_log_free(struct event_log *log)
{
    if (!log)
        return;
    events_file_flush(log, INT64_MAX);
    events_file_close(log);
    for (size_t i = 0; i < log->count; i++)
        entry_free(log->entries[i]);
    free(log->entries);
    free(log->path);
    free(log->problem);
    free(log);
}

void events_append(struct event_log *log, struct entry *entry)
{
    if (log->count == EVENTS_KEPT) { /* the oldest tenth goes */
        size_t gone = EVENTS_KEPT / 10;
        for (size_t i = 0; i < gone; i++) {
            if (log->entries[i]->unwritten)
                events_file_write(log, log->entries[i]);
            entry_free(log->entries[i]);
        }
        log->count -= gone;
        memmove(log->entries, log->entries + gone, log->count * sizeof log->entries[0]);
    }
    MEM_GROW(log->entries, log->count, log->capacity);
    log->entries[log->count++] = entry;
}

/* The entry that EVENT repeats. They are in the order of their last time. */
static size_t find_repeated(const struct event_log *log, const struct event *event)
{
    for (size_t i = log->count; i-- > 0;) {
        const struct event *old = &log->entries[i]->event;
        if (event->at - old->at > EVENTS_REPEAT)
            break;
        if (!old->earlier && events_same(old, event))
            return i;
    }
    return SIZE_MAX;
}

void event_log_add(struct event_log *log, const struct event *event)
{
    size_t repeated = find_repeated(log, event);
    log->total++;
    events_file_flush(log, event->at - EVENTS_REPEAT);
    if (repeated == SIZE_MAX) {
        struct entry *entry = entry_new(event);
        entry->event.earlier = false;
        events_append(log, entry);
        events_file_write(log, entry);
        return;
    }
    struct entry *entry = log->entries[repeated];
    entry->event.times++;
    entry->event.at = event->at;
    entry->event.severity = event->severity;
    free(entry->event.text);
    entry->event.text = mem_text(event->text ? event->text : "");
    log->unwritten += !entry->unwritten;
    entry->unwritten = true;
    memmove(&log->entries[repeated], &log->entries[repeated + 1], (log->count - repeated - 1) * sizeof log->entries[0]);
    log->entries[log->count - 1] = entry;
}

void event_log_forget_after(struct event_log *log, int64_t at)
{
    while (log->count && log->entries[log->count - 1]->event.at > at) {
        log->unwritten -= log->entries[log->count - 1]->unwritten;
        entry_free(log->entries[--log->count]);
    }
    log->total++;
}

size_t event_log_count(const struct event_log *log)
{
    return log->count;
}

const struct event *event_log_get(const struct event_log *log, size_t index)
{
    return index < log->count ? &log->entries[log->count - 1 - index]->event : NULL;
}

uint64_t event_log_total(const struct event_log *log)
{
    return log->total;
}

int64_t event_log_open_since(const struct event_log *log, const char *identity)
{
    for (size_t i = log->count; i-- > 0;) {
        const struct event *event = &log->entries[i]->event;
        if (!event->identity || strcmp(event->identity, identity) != 0)
            continue;
        if (event->kind == EVENT_FAULT_CLOSED)
            return 0;
        if (event->kind == EVENT_FAULT_OPENED)
            return event->at;
    }
    return 0;
}

const char *event_log_problem(const struct event_log *log)
{
    return log->problem;
}
