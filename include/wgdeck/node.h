/* What runs on a node: the observation of it, and the helper's side of the SSH channel (wgdeck node). */
#ifndef WGDECK_NODE_H
#define WGDECK_NODE_H

#include <stdbool.h>

#include "wgdeck/err.h"
#include "wgdeck/observed.h"

struct node_observer; /* keeps netlink sockets and what has not changed since the last reading */

/* ROOT "" for the system itself; tests give another folder for /etc/wireguard and /proc/sys. */
struct node_observer *node_observer_new(const char *root, struct err *err);
void node_observer_free(struct node_observer *observer);
/* One reading into OBSERVATION (cleared first; the deck's fields stay unset). SALT as in key_hash. What cannot be
 * looked at is said in skipped; only a failure of everything is -1. */
int node_observe(struct node_observer *observer, const char *salt, struct observation *observation, struct err *err);

/* Serve JSON lines on two descriptors until end of input (DESIGN section 6). Requests:
 *   {"id":1,"op":"hello"}                                -> {"id":1,"ok":true,"version":"...","system":"x86_64"}
 *   {"id":2,"op":"observe","salt":"64 hex"}              -> {"id":2,"ok":true,"observation":{...}}
 *   {"id":3,"op":"observe","salt":"...","every":2}       -> the same, then {"id":3,"event":"change","change":{...}} whenever something differs, and
 *                                                           {"id":3,"event":"same","node_time":...} when nothing does
 *      "interface":"wg0" looks at this one only. A second "every" takes the place of the first. While the deck does not read, readings are left out.
 *   {"id":4,"op":"stop","stop":3}                        -> {"id":4,"ok":true}
 * Errors: {"id":N,"ok":false,"error":"..."}. A line over 32 MiB or that is not JSON ends the session with one error line. Returns the exit status. */
int node_serve(int input, int output);
/* The guard of a change (apply.h): started by the helper, which hands it the lock as descriptor 3 and a pipe as 4. Ends when the change is confirmed or put back. 0, or 1. */
int node_guard(const char *interface);
/* The hub's side of a join by the invitation ID (invitation.h), as sshd runs it: JSON lines on two descriptors, at most two minutes. The exit status: 0, or 2 where ID is none. */
int node_join(const char *id, int input, int output);

/* The watcher of what the ladder carries on INTERFACE (ladder.h), and on a node that has joined the talk with its hub: started by the helper, by "wgdeck up" and by a join. Ends when there is nothing to
 * do any more. The exit status. */
int node_paths(const char *interface);

/* The hub's process for those who join through INTERFACE: the opaque relay (relay.h) on UDP PORT, and the talk with its joined nodes. READY: a byte is written there when it has its port, -1: nowhere. Ends
 * at SIGTERM, SIGINT, and when the interface is gone. 0, or -1 with err. */
int node_relay(const char *interface, uint16_t port, int ready, struct err *err);
/* The same, detached; nothing when it runs already. It has its port when this returns 0. PORT 0, here and above: that of the invitations, else RELAY_PORT. */
int node_relay_start(const char *interface, uint16_t port, struct err *err);

/* The fixed commands that the deck runs over SSH (src/node/bootstrap.c). They contain no data; data is on stdin. */
extern const char node_bare_command[];      /* reads one line "SALT" (64 hex) on stdin, prints the bare look */
extern const char node_bootstrap_command[]; /* reads one line "MODE SHA256 SIZE SALT"; see src/node/bootstrap.c for the dialogue */

#endif
