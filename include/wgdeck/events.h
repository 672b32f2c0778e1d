/* What happened to a mesh: a log in memory and, as JSON lines, in a file, so that it can be said what happened before the deck was opened. */
#ifndef WGDECK_EVENTS_H
#define WGDECK_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/diagnosis.h"
#include "wgdeck/err.h"
#include "wgdeck/json.h"

/* One row a kind: name in the file, how bad it is, what it means (for the manual). */
#define EVENT_KINDS(X) \
    X(DECK_OPENED, "deck-opened", INFO, "a deck began to look at this mesh") \
    X(DECK_CLOSED, "deck-closed", INFO, "it ended; what happened from here to the next deck-opened was not seen") \
    X(NODE_LOST, "node-lost", WARNING, "a node that answered does no longer") \
    X(NODE_BACK, "node-back", INFO, "a node answers (again)") \
    X(INTERFACE_DOWN, "interface-down", ERROR, "a node's WireGuard interface is gone or stopped") \
    X(INTERFACE_UP, "interface-up", INFO, "a node's WireGuard interface works (again)") \
    X(LINK_BROKEN, "link-broken", ERROR, "a link, or one of its directions, carries nothing any more") \
    X(LINK_MENDED, "link-mended", INFO, "it carries packets again, both ways") \
    X(ENDPOINT_MOVED, "endpoint-moved", INFO, "a node hears another one from a new address or port") \
    X(KEY_CHANGED, "key-changed", WARNING, "a node has another public key than before") \
    X(SETTINGS_CHANGED, "settings-changed", INFO, "rows were added, removed or changed on a node") \
    X(FAULT_OPENED, "fault-opened", ERROR, "a fault is named that was not there before") \
    X(FAULT_CLOSED, "fault-closed", INFO, "a fault is no longer there") \
    X(CHANGE_APPLIED, "change-applied", INFO, "a change was carried out and confirmed; by whom stands in its text") \
    X(CHANGE_PUT_BACK, "change-put-back", WARNING, "a change failed, or was confirmed on some nodes only; what became of it stands in its text") \
    X(KEY_ROTATED, "key-rotated", INFO, "a node has a new key, made by wgdeck") \
    X(PATH, "path", INFO, "two nodes reach each other by another way: direct, by the relay, or by the hub") \
    X(JOINED, "joined", INFO, "a machine has joined by an invitation, as whoever had the token could; through which hub and from where stands in its text") \
    X(LEFT, "left", INFO, "a machine that had joined by an invitation has left, or was taken out")

enum event_kind {
#define X(name, text, severity, meaning) EVENT_##name,
    EVENT_KINDS(X)
#undef X
    EVENT_KIND_COUNT
};
struct event_kind_row { const char *name; enum severity severity; const char *meaning; };
extern const struct event_kind_row event_kinds[EVENT_KIND_COUNT];

struct event {
    int64_t at;            /* deck's wall clock, ns */
    enum event_kind kind;
    enum severity severity; /* of the kind, or of the fault */
    char *nodes[2];        /* names; "" if none. A direction is from 0 to 1. Owned */
    char *fault;           /* id of its kind, or NULL; owned */
    char *identity;        /* live_fault_identity, or NULL; owned */
    char *text;            /* one safe line, names in it; owned */
    unsigned times;        /* how often in a row, when something flaps: 1 */
    bool earlier;          /* read from the file: of an earlier run */
};

struct event_log; /* opaque */

/* PATH (0600, its folder made by the caller): read what is there (the last 2,000 events; damaged lines are skipped and counted in a
 * notice), then append. NULL: only in memory. Never fails: what cannot be written is said once by event_log_problem. At 4 MiB the file becomes PATH.1. */
struct event_log *event_log_new(const char *path);
void event_log_free(struct event_log *log);
/* Takes a copy. The same kind, nodes and fault within 10 s of its last time are counted (times) instead of added. */
void event_log_add(struct event_log *log, const struct event *event);
/* What was logged as later than AT never happened: a replay that goes back. Not for a log with a file. */
void event_log_forget_after(struct event_log *log, int64_t at);
size_t event_log_count(const struct event_log *log);                              /* at most 10,000 are kept in memory */
const struct event *event_log_get(const struct event_log *log, size_t index);     /* 0: the newest; borrowed until the next add */
uint64_t event_log_total(const struct event_log *log);                            /* grows with each add, also of a repetition */
/* Since when this fault is open, as the log says: the time of its fault-opened without a later fault-closed; 0 if it does not. */
int64_t event_log_open_since(const struct event_log *log, const char *identity);
const char *event_log_problem(const struct event_log *log);                       /* why nothing is kept, or NULL */
void event_to_json(const struct event *event, struct json *json);

#endif
