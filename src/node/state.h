/* An interface with its secrets, as it is or should be: read from what runs, brought about row by row, written to disk and back, and written as the saved file. Private to src/node. */
#ifndef WGDECK_NODE_STATE_H
#define WGDECK_NODE_STATE_H

#include "up.h"
#include "wgdeck/plan.h"

/* All that a change may touch, so that it can be put back. Secrets are in memory that is locked, guarded and wiped. */
struct state {
    char name[IFNAMSIZ];
    bool exists;
    enum engine_kind engine;       /* of one that exists; of one to be made: ENGINE_UNKNOWN the kernel's if it has WireGuard, else this program's */
    bool up;
    unsigned mtu;                  /* 0 for one to be made: what is fitting */
    struct device device;          /* port, mark, rows; sorted; hashes in it mean nothing */
    struct up_secrets *secrets;    /* private key, preshared keys of rows; NULL: none */
    char **endpoint_hosts;         /* per row of device.peers: "host:port" where it is a name, for the saved file; NULL else; may be NULL as a whole; owned */
    bool *endpoints_stay;          /* per row: a row that is there keeps the endpoint it has then, which is live by roaming; may be NULL; owned (state_endpoints_stay) */
    struct prefix *addresses;      /* without those that the kernel made for itself; owned */
    size_t address_count;
    struct state_route { struct prefix to; uint32_t table, metric; } *routes; /* that lead into it, without the kernel's own of addresses; owned */
    size_t route_count;
    int forwarding4, forwarding6;  /* sysctl net.ipv4.ip_forward, net.ipv6.conf.all.forwarding: 0, 1, or -1 not known */
};

/* Reads what runs under NAME, private and preshared keys too (netlink, or UAPI). None there is no error: exists false. 0, or -1 with err. -2 with err: its engine is dead; STATE is
 * then one that does not exist, from which state_reach makes it anew. STATE is overwritten, and to be freed in each case. */
int state_read(const char *name, struct state *state, struct err *err);
void state_copy(struct state *to, const struct state *from); /* deep; TO is overwritten */
void state_free(struct state *state);                        /* what it owns; wipes secrets */

/* Before STATE is saved to be put back later: only the endpoints of rows whose endpoint OPERATIONS set are put back; others may have roamed meanwhile. */
void state_endpoints_stay(struct state *state, const struct plan_operation *operations, size_t count);
/* One preshared key in SECRETS (NULL: none yet; it may move), in order; PRESHARED NULL takes it away. For struct state_keys. */
void state_secrets_set(struct up_secrets **secrets, const struct key *public_key, const struct key *preshared);

/* Keys that operations need, beside what the state has. */
struct state_keys {
    struct key private_key;        /* for INTERFACE of one without, and for PRIVATE_KEY; zero: none. In guarded memory of the caller */
    const struct up_secrets *preshared; /* by public key: for rows that say MAKE or TAKE; NULL none */
};

enum state_phase { STATE_STAGE, STATE_FINISH }; /* apply.h: which operations are done in which */

/* What STATE is after OPERATIONS (those with .running) of the phase. Pure. A row that is not there is made by ROW; ROW_REMOVE of none is nothing. In STAGE keepalives of new rows stay off, and
 * PRIVATE_KEY is left out where there is a key; FINISH does them and what is subtractive. ROW_MOVE moves what OTHER_KEY's row allows (all of it) to KEY's row, with its keepalive.
 * 0, or -1 with err and *AT the index of the one that cannot be (a key that is missing, ROW_MOVE from a row that is not there). */
int state_after(const struct state *state, const struct plan_operation *operations, size_t count, enum state_phase phase, const struct state_keys *keys, struct state *after, size_t *at,
                struct err *err);

/* Bring what runs from FROM (as state_read has just read it) to TO: only what differs is touched, row by row (netlink WGPEER_F_UPDATE_ONLY and the like; UAPI update_only), never by replace_peers
 * and never by down and up; rows that are the same keep their sessions and counters; endpoints of rows are set only where TO's row has one that differs from FROM's. Order: link made,
 * port, key, rows added and changed, addresses, mtu, up, routes added; then routes, addresses and rows removed, link taken away. A port that is taken, an engine that refuses: -1
 * with err, and what is left is as far as it came (the caller goes back). A userspace engine of another kind stays what it is. */
int state_reach(const struct state *from, const struct state *to, struct err *err);
bool state_equal(const struct state *a, const struct state *b); /* in what state_reach sets; endpoints of rows count only when B's row gives one */

/* To a text that holds everything, and back: for the file (0600, of root) from which the guard, or the next helper after a power cut, puts back. Secrets are in it: buf_wipe. */
void state_write(const struct state *state, struct buf *text);
int state_parse(const char *bytes, size_t length, struct state *state, struct err *err);

/* The saved file after OPERATIONS (those with .saved) and FILE. AFTER: what runs when all are done. OLD: the bytes of the file, NULL when there is none: then it is made from AFTER. Comments, order, unknown keys, hooks and rows that no operation
 * names stay byte for byte. A new row gets a comment with its name above it; keys come from KEYS and AFTER's secrets (private key too, when the file has none or another one). 0, or -1 with
 * err (a file that cannot be read as wg-quick's is never rewritten). TEXT holds secrets: buf_wipe. */
int state_file(const char *path, const char *old, size_t old_length, const struct state *after, const struct plan_operation *operations, size_t count, const struct state_keys *keys, struct buf *text,
               struct err *err);

#endif
