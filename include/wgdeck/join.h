/* Joining a mesh from this machine with an invitation (DESIGN section 11), and leaving it. The newcomer's side of what invitation.h says: this machine's own helper ("wgdeck node") changes
 * it under a guard, the hub is spoken to over a channel of lines that the caller gives. Either it has joined, or it is as it was before.
 *
 * /var/lib/wgdeck/IF/joined says by which invitation IF came to be here, and what was not there before it: what leave takes away. */
#ifndef WGDECK_JOIN_H
#define WGDECK_JOIN_H

#include <signal.h>
#include <stdbool.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"
#include "wgdeck/invitation.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* A channel of lines, one way and the other. */
struct join_channel {
    int (*send)(void *context, const char *line, size_t length, struct err *err);       /* LINE without its end. 0, or -1: it is gone */
    int (*receive)(void *context, double seconds, struct buf *line, struct err *err);    /* one line, without its end. 0; 1: none came within SECONDS, or a signal did; -1: it is gone */
    void (*close)(void *context);              /* may be NULL */
    void *context;
};

struct join_options {
    const struct invitation *invitation;
    const char *interface;                     /* NULL: as the mesh has it */
    enum engine_choice engine;                 /* AUTO: as the mesh has it */
    uint16_t port;                             /* 0: as the mesh has it */
    const volatile sig_atomic_t *stop;         /* set by a signal: put back, and end. May be NULL */
    /* Logs in to the hub: HUB is the channel to its "wgdeck node --join", FROM the address that was dialled, FAMILY 0 when it is not known; PLACE "192.0.2.1:22" for people. Said once the
     * machine has been looked at. 0, or -1 with err. */
    int (*open)(void *context, struct join_channel *hub, struct address *from, char place[static 80], struct err *err);
    /* Starts this machine's helper; NULL: "wgdeck node", as a child. */
    int (*helper)(void *context, struct join_channel *helper, struct err *err);
    void (*say)(void *context, bool warning, const char *text); /* how far it is: safe lines */
    void *context;
    const struct observation *seen;            /* this machine, for tests; NULL: it is looked at */
};

enum join_result {
    JOIN_OK,
    JOIN_ALREADY,    /* it has joined by this very invitation before: nothing was done */
    JOIN_FAILED,     /* this machine is as it was */
    JOIN_LEFT_OVER,  /* it failed, and something could not be taken away: err says what, and what to do */
    JOIN_UNKNOWN,    /* stopped while nobody could tell whether the hub has kept it: the same command again finds out */
};

struct join_outcome {
    char interface[16], mesh[INVITATION_NAME], name[INVITATION_NAME], hub[INVITATION_NAME];
    struct prefix *addresses;                  /* this machine's in the mesh; owned */
    size_t address_count;
    char *boot;                                /* what brings it up at boot; NULL: nothing. Owned */
};
enum join_result join_run(const struct join_options *options, struct join_outcome *outcome, struct err *err);
void join_outcome_free(struct join_outcome *outcome);

struct leave_options {
    const char *interface;                     /* NULL: the only one that has joined */
    /* Before anything is done: WHAT will go, as lines for a person. False: leave it. NULL: yes. */
    bool (*confirm)(void *context, const char *what);
    int (*helper)(void *context, struct join_channel *helper, struct err *err); /* as above */
    void *context;
};
/* SAID: what was done, and what is left to do for the operator; lines. 0; 1: CONFIRM said no; -1 with err. */
int leave_run(const struct leave_options *options, struct buf *said, struct err *err);

#endif
