/* Invitations from the operator's side (DESIGN section 11; what a hub is asked stands in invitation.h): made, listed, revoked, and a node that has joined written into the mesh file. One libev
 * loop; used by the command and the deck. */
#ifndef WGDECK_INVITE_H
#define WGDECK_INVITE_H

#include <ev.h>
#include <stdbool.h>

#include "wgdeck/invitation.h"
#include "wgdeck/look.h"
#include "wgdeck/mesh_file.h"

enum invite_task {
    INVITE_MAKE,   /* a new one: looks at the nodes, chooses hub and address, plans both ends, has the hub keep it; then the token is there */
    INVITE_LIST,
    INVITE_REVOKE, /* the open one of NAME (a node's name or an invitation's id); a node that was written into the mesh file for it goes out again */
    INVITE_RECORD, /* NAME, which has joined, into the mesh file: its key; and of one that joined by the relay all of it, with the SSH way through the hub */
};

enum { INVITE_SECONDS_DEFAULT = 1800, INVITE_SECONDS_LEAST = 60, INVITE_SECONDS_MOST = 7 * 24 * 3600 };

bool invite_read_seconds(const char *text, int64_t *seconds); /* "90s", "30m", "2h", "1d"; false: no such thing, or not from the least to the most */

/* One invitation, as its hub told it. Texts are safe. */
struct invite_row {
    size_t hub;                    /* index in invite_mesh */
    char id[INVITATION_ID_LENGTH + 1], name[INVITATION_NAME];
    char *by, *from, *hostname, *host_key; /* all but BY: who used it, and its sshd's key; NULL: nobody, none; owned */
    bool relay, has_key;
    int64_t made, expires, at;     /* Unix seconds of the hub's clock; 0: not said */
    enum invitation_state state;
    struct key key;
    struct prefix *addresses;      /* owned */
    size_t address_count;
};

struct invite_options {
    enum invite_task task;
    struct mesh_file *file;        /* borrowed; edited */
    struct look_options look;      /* .fanout, .deadline, .helper */
    const char *name;              /* MAKE, REVOKE, RECORD */
    const char *hub;               /* a node's name; NULL: MAKE chooses, the others ask all that may have been chosen */
    bool relay;                    /* MAKE */
    int64_t seconds;               /* MAKE: how long it holds; 0: the default */
    const char *address;           /* MAKE: HOST[:PORT] of the hub's sshd as the new machine reaches it, before those that are known; NULL */
    bool wait;                     /* MAKE: goes on until it was used or is over; who joined by the relay is then recorded */
    const char *owner;             /* "alice@laptop"; NULL: made from the system */
};

enum invite_result { INVITE_RUNNING, INVITE_DONE, INVITE_FAILED };

struct invite; /* opaque */

/* Nothing may be freed inside these. */
struct invite_callbacks {
    void (*changed)(void *context, struct invite *invite); /* invite_working says something new; may be NULL */
    void (*made)(void *context, struct invite *invite);    /* the token is there; may be NULL */
    void (*done)(void *context, struct invite *invite);    /* the result is there */
};

/* NULL with err for what can be told without a node: no such hub, no RelayNetwork, a name that is taken or is none. Copies the texts of OPTIONS but those of .look. */
struct invite *invite_new(struct ev_loop *loop, const struct invite_options *options, const struct invite_callbacks *callbacks, void *context, struct err *err);
void invite_free(struct invite *invite);  /* an invitation that the hub has stays there */

enum invite_result invite_result(const struct invite *invite);
const char *invite_error(const struct invite *invite);      /* FAILED: one safe line: what, why, what to do */
const char *invite_working(const struct invite *invite);    /* one safe line: what it waits for now */
const char *invite_warnings(const struct invite *invite);   /* safe lines; "" none */
const char *invite_said(const struct invite *invite);       /* DONE: what was done, and what comes next: safe lines */
const struct mesh *invite_mesh(const struct invite *invite); /* as the file was when it began */
struct fanout *invite_fanout(const struct invite *invite);   /* to answer questions; may be another one after changed */
const struct invite_row *invite_rows(const struct invite *invite, size_t *count); /* what the hubs keep, the newest first; of MAKE once its hub has said so */

/* From made on. */
const char *invite_token(const struct invite *invite);       /* a secret; NULL before */
const struct invitation *invite_invitation(const struct invite *invite); /* what is in it */
size_t invite_hub(const struct invite *invite);              /* index in invite_mesh */
const struct prefix *invite_addresses(const struct invite *invite, size_t *count); /* the newcomer's, as host prefixes */

#endif
