/* By which way single rows go, beside what the saved file says (wgdeck/ladder.h): orders of a driver carried out on what runs, noted in /run/wgdeck/IF.paths, and watched. Private to src/node. */
#ifndef WGDECK_NODE_PATHS_H
#define WGDECK_NODE_PATHS_H

#include <cjson/cJSON.h>
#include <net/if.h>

#include "wgdeck/device.h"
#include "wgdeck/json.h"
#include "wgdeck/observed.h"

enum { PATH_ALLOWED_MOST = 64, PATH_REASON = 160, PATH_NAME = 64, PATH_KEYS_MOST = 4096 };

enum path_deed { PATH_DEED_TRY, PATH_DEED_CARRY, PATH_DEED_YIELD };

/* --- paths_order.c: an order as it comes from outside, checked */

struct path_order {
    char interface[IFNAMSIZ], name[PATH_NAME], reason[PATH_REASON]; /* safe */
    enum path_deed deed;
    struct key key, hub;                         /* of the row; of the hub's row */
    struct endpoint endpoint;                    /* TRY */
    uint16_t keepalive;                          /* TRY: seconds, 1 to 600 */
    enum observed_way way;                       /* CARRY: WAY_DIRECT or WAY_RELAY */
    struct prefix allowed[PATH_ALLOWED_MOST];    /* CARRY, YIELD */
    size_t allowed_count;
    bool forget;                                 /* YIELD */
    bool by_hub;                                 /* it came through the tunnel: only rows that the ladder has made, or has moved before, are touched */
};
int path_order_read(const cJSON *object, struct path_order *order, struct err *err);
bool path_endpoint_is_sane(const struct endpoint *endpoint); /* unicast, of one host, not this one's loopback, with a port */

/* --- paths_notes.c: what is carried here, by IF.paths */

struct path_note {
    struct key key, hub;
    char name[PATH_NAME], reason[PATH_REASON];
    enum observed_way way;
    int64_t since;                               /* Unix seconds */
    bool made;                                   /* the row was made by a trial */
    uint16_t keepalive;                          /* of the row before the first trial */
    struct prefix *allowed;                      /* what the row was given; owned */
    size_t allowed_count;
};
struct path_notes {
    struct path_note *notes;                     /* owned */
    size_t count;
};
/* None there is no error. One that cannot be read counts as none: what it says is only of what runs. */
void path_notes_read(const char *interface, struct path_notes *notes);
int path_notes_write(const char *interface, const struct path_notes *notes, struct err *err); /* none: the file goes */
void path_notes_free(struct path_notes *notes);
struct path_note *path_note_find(const struct path_notes *notes, const struct key *key);      /* or NULL */
struct path_note *path_note_make(struct path_notes *notes, const struct key *key);            /* found, or a new one; others move */
void path_note_remove(struct path_notes *notes, const struct key *key);
void path_note_set_allowed(struct path_note *note, const struct prefix *allowed, size_t count);
void path_notes_to_json(const struct path_notes *notes, struct json *json);                   /* a list that is open */
void path_notes_from_json(const cJSON *list, struct path_notes *notes);
extern const char *const path_words[];           /* of enum observed_way */

/* --- paths.c */

/* Carries ORDER out, under the change lock of the interface. 0, or -1 with err and CODE ("locked", "refused", "failed"). */
int path_do(const struct path_order *order, const char **code, struct err *err);
/* Members "rows", "candidates" and "port" of an object that is open; KEYS NULL: all rows. */
int path_look(const char *interface, const struct key *keys, size_t count, struct json *json, struct err *err);

/* --- paths_watch.c: the watcher, "wgdeck node --paths IF" (node_paths of wgdeck/node.h) */

/* Started detached, unless one is there. */
int path_watch_start(const char *interface, struct err *err);

#endif
