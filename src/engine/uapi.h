/* The control socket, the server's side (wireguard.com/xplatform): requests as lines, answered one after the other on each connection. */
#ifndef WGDECK_ENGINE_UAPI_H
#define WGDECK_ENGINE_UAPI_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "wgdeck/buf.h"
#include "wgdeck/err.h"

#define UAPI_FOLDER "/var/run/wireguard"
enum {
    UAPI_LINE = 4096,           /* a longer one is refused; the longest with a meaning has 80 bytes */
    UAPI_REQUEST = 64 << 20,    /* of all requests under way together, what is free of each not counted */
    UAPI_FREE = 64 << 10,       /* so that a client which stalls in the middle of a large request cannot make the others' small ones fail */
    UAPI_CONNECTIONS = 32,      /* one more takes the place of the one that was silent longest */
    UAPI_OUT = 64 << 10,        /* of an answer held at a time */
    UAPI_PIECE = 1024,          /* more than the longest piece that is written at once */
};

/* --- uapi_set.c: a request is read as a whole, then done as a whole or not at all. */
struct uapi_set;
struct uapi_set *uapi_set_new(void);
void uapi_set_free(struct uapi_set *set); /* wiped; NULL is nothing */
/* One line, without its end, NUL behind it. After the first error the rest is only skipped. 0, or the first error's number (positive). */
int uapi_set_line(struct uapi_set *set, char *line, size_t length);
struct uapi_server;
/* 0, or a negative errno and nothing has changed. SERVER (may be NULL): its answers under way survive the change. */
int uapi_set_apply(struct uapi_set *set, struct engine *engine, struct uapi_server *server);

/* --- uapi_get.c: an answer told piece by piece, at the reader's speed. */
struct uapi_out { /* a fixed window: secrets pass through it and must not be moved about */
    char *bytes;
    size_t length, room;
};
void uapi_out_add(struct uapi_out *out, const char *text);
void uapi_out_number(struct uapi_out *out, const char *key, uint64_t number);     /* "key=number\n" */
void uapi_out_key(struct uapi_out *out, const char *key, const struct key *value); /* in hexadecimal */

enum uapi_question { UAPI_GET, UAPI_COUNTERS };
struct uapi_cursor {
    struct engine *engine;
    enum uapi_question question;
    bool head_told, in_rows, done;
    size_t part;                /* of the head of UAPI_COUNTERS */
    struct peer *peer;          /* the next to tell of, or whose rows are being told */
    struct trie_node *row;      /* the last one told */
    struct buf rest;            /* rows put aside because they are about to change */
    size_t rest_told;
};
void uapi_cursor_begin(struct uapi_cursor *cursor, struct engine *engine, enum uapi_question question);
void uapi_cursor_end(struct uapi_cursor *cursor);
void uapi_cursor_fill(struct uapi_cursor *cursor, struct uapi_out *out);  /* until the window is full, or cursor->done */
void uapi_cursor_settle(struct uapi_cursor *cursor);                     /* rows may change after this */
void uapi_cursor_peer_goes(struct uapi_cursor *cursor, const struct peer *peer);

/* --- uapi_counters.c */
bool uapi_counters_head(struct engine *engine, size_t *part, struct uapi_out *out); /* one piece a call; true: that was the last */
void uapi_counters_peer(struct peer *peer, struct uapi_out *out);                   /* nothing when it has no count */

/* --- uapi_socket.c: the socket's file. */
struct uapi_place {
    char path[108];             /* of the socket; empty: a descriptor was given, and no file is known */
    int folder;                 /* held while its lock is needed; -1 */
    int listening;
    uint64_t device, inode;
};
/* First, before anything is made: 0, and no other engine begins now; -1 with err: one of this name runs (EADDRINUSE). */
int uapi_place_lock(struct uapi_place *place, const char *folder, const char *name, struct err *err);
int uapi_place_listen(struct uapi_place *place, struct err *err); /* bound and listening before it has its name; then the lock is given back */
int uapi_place_given(struct uapi_place *place, int descriptor, struct err *err); /* WG_UAPI_FD */
bool uapi_place_stands(const struct uapi_place *place);          /* its file is still ours */
void uapi_place_leave(struct uapi_place *place);                 /* closes; removes the file if it is ours */

/* --- uapi_server.c: connections. */
struct uapi_server *uapi_server_new(struct ev_loop *loop, struct engine *engine, int listening);
void uapi_server_free(struct uapi_server *server);
void uapi_server_settle(struct uapi_server *server);                         /* before a change */
void uapi_server_peer_goes(struct uapi_server *server, const struct peer *peer);

/* One connection without its socket: bytes in, bytes out; for the server, its tests and its fuzzer. */
struct uapi_talk;
struct uapi_talk *uapi_talk_new(struct uapi_server *server, struct engine *engine, size_t *budget); /* BUDGET: UAPI_REQUEST; all talks share it */
struct uapi_cursor *uapi_talk_cursor(struct uapi_talk *talk);    /* of the answer under way, or NULL */
void uapi_talk_free(struct uapi_talk *talk);
char *uapi_talk_space(struct uapi_talk *talk, size_t *room);     /* where to read to; room 0: it must be written first */
void uapi_talk_read(struct uapi_talk *talk, size_t length);      /* that many bytes were put there */
const char *uapi_talk_pending(struct uapi_talk *talk, size_t *length); /* what is to be written; NULL: nothing, it may be read again */
void uapi_talk_written(struct uapi_talk *talk, size_t length);
bool uapi_talk_is_over(const struct uapi_talk *talk);            /* it was refused: write what is pending, then close */

#endif
