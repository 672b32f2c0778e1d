/* Inside the event log: memory (events.c) and file (events_file.c). */
#ifndef WGDECK_DECK_EVENTS_PRIVATE_H
#define WGDECK_DECK_EVENTS_PRIVATE_H

#include "wgdeck/clock.h"
#include "wgdeck/events.h"

#define EVENTS_REPEAT (10 * CLOCK_SECOND)

struct entry {
    struct event event;  /* texts owned */
    int64_t first;       /* when it happened first */
    bool unwritten;      /* it was repeated since it was written */
};

struct event_log {
    struct entry **entries; /* by the time they happened last, oldest first */
    size_t count, capacity;
    uint64_t total;
    size_t unwritten;
    char *path;             /* NULL: only in memory */
    char *problem;
    int descriptor;         /* of the file, when it is open; 0: not */
    bool stopped;           /* nothing is written any more */
};

struct entry *entry_new(const struct event *event); /* a copy */
void entry_free(struct entry *entry);
bool events_same(const struct event *a, const struct event *b); /* but for time, severity and text */
void events_append(struct event_log *log, struct entry *entry); /* taken */

/* events_file.c */
void events_file_read(struct event_log *log);
void events_file_write(struct event_log *log, struct entry *entry);
void events_file_flush(struct event_log *log, int64_t until); /* repetitions whose last time is before UNTIL */
void events_file_close(struct event_log *log);
struct entry *events_line_read(const char *line, size_t length); /* NULL: damaged */

#endif
