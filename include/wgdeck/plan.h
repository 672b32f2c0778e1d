/* The difference between what the mesh file asks for and what runs and is saved on each node, as operations that a node can carry out (DESIGN section 8). Pure. */
#ifndef WGDECK_PLAN_H
#define WGDECK_PLAN_H

#include <cjson/cJSON.h>

#include "wgdeck/desired.h"
#include "wgdeck/json.h"

/* kind, its word on the wire and in JSON, subtractive (done last, when all nodes have done the others and the links are verified), title */
#define PLAN_KINDS(X) \
    X(INTERFACE, "interface", false, "make the interface") \
    X(PRIVATE_KEY, "private-key", false, "a new private key, made on the node") \
    X(LISTEN_PORT, "listen-port", false, "listen port") \
    X(MTU, "mtu", false, "MTU") \
    X(ADDRESS, "address", false, "add an address") \
    X(ROW, "row", false, "add or change a row") \
    X(ROUTE, "route", false, "add a route") \
    X(FORWARDING, "forwarding", false, "let the kernel forward") \
    X(ROW_MOVE, "row-move", true, "what one row allows goes to another, as soon as that one has a handshake") \
    X(ROW_REMOVE, "row-remove", true, "remove a row") \
    X(ROUTE_REMOVE, "route-remove", true, "remove a route") \
    X(ADDRESS_REMOVE, "address-remove", true, "remove an address") \
    X(INTERFACE_REMOVE, "interface-remove", true, "take the interface down, and its file and service away") \
    X(FILE, "file", false, "write the saved file") \
    X(SERVICE, "service", false, "bring it up at boot")

enum plan_kind {
#define X(name, word, subtractive, title) PLAN_##name,
    PLAN_KINDS(X)
#undef X
    PLAN_KIND_COUNT
};
struct plan_kind_row { const char *word; bool subtractive; const char *title; };
extern const struct plan_kind_row plan_kinds[PLAN_KIND_COUNT];

enum plan_preshared {
    PLAN_PRESHARED_KEEP,   /* as it is */
    PLAN_PRESHARED_MAKE,   /* this node makes one, for both ends */
    PLAN_PRESHARED_TAKE,   /* the other end's, which reaches this node sealed */
    PLAN_PRESHARED_COPY,   /* of this node's row for the key in other_key (rotation) */
    PLAN_PRESHARED_NONE,   /* taken away */
};

/* One operation on one node. What a kind does not use is zero. */
struct plan_operation {
    enum plan_kind kind;
    bool running, saved;          /* where it is missing: in what runs, in the saved file, or both */
    size_t peer;                  /* ROW*: index of the other node, SIZE_MAX: a key that is in no node's section ([Removed], FormerKey) */
    struct key key;               /* ROW*: of the row; zero while the peer's key is not made yet (known before it is sent) */
    struct key other_key;         /* ROW_MOVE: the row that gives; ROW with PLAN_PRESHARED_COPY */
    char *name;                   /* ROW*: of the peer, for comments in the file and for messages; owned */
    bool is_new;                  /* ROW: there is none yet */
    bool set_allowed, set_endpoint, set_keepalive; /* ROW: which of these differ; a new row sets allowed (which may be none) */
    bool endpoint_saved_only;     /* ROW: the running endpoint is live by roaming and stays; the file's is mended */
    struct prefix *allowed;       /* ROW: all of them, as they should be; sorted; owned */
    size_t allowed_count;
    char *endpoint;               /* ROW: "host:port", NULL none; owned */
    uint16_t keepalive;           /* ROW */
    enum plan_preshared preshared;/* ROW */
    struct prefix prefix;         /* ADDRESS*, ROUTE*; FORWARDING: only its family */
    unsigned number;              /* LISTEN_PORT, MTU */
    enum engine_choice engine;    /* INTERFACE */
    char *before;                 /* what is there now, as text ("51821", "10.0.0.0/24, 10.1.0.0/24", "off"), for people; NULL: nothing. Owned */
    char *why;                    /* a few words where the reason is not plain ("db was removed on 2026-11-23"); NULL. Owned */
};

enum plan_node_state {
    PLAN_READY,      /* operations say what is to be done; none: as it should be */
    PLAN_PENDING,    /* not reached: nothing is known; why says so. Its rows elsewhere stay, and rows for it are still added there when its key is known */
    PLAN_UNMANAGED,  /* has no Ssh: it is configured by hand (wgdeck export), or joined by itself (then its key is learned where it did) */
    PLAN_BLOCKED,    /* seen, but must not be touched: not root, a key other than the pinned one, an interface of that name that is no WireGuard; why */
};

struct plan_node {
    enum plan_node_state state;
    char *why;                    /* owned; NULL with PLAN_READY */
    bool has_key;                 /* its public key is known: pinned, or seen */
    struct key public_key;
    bool learn_key;               /* seen, and not yet in the mesh file: to be pinned */
    bool make_key;                /* it has none yet: begin makes it */
    bool unfinished;              /* a change there was cut off: it is put back before anything else, so that the plan is not empty; then it has to be planned anew */
    struct plan_operation *operations; /* in the order in which they are done; owned */
    size_t count, capacity;
    char **notes;                 /* what was seen and is left alone, and why ("row of aGVsbG8… is in no mesh file: left alone"); owned */
    size_t note_count, note_capacity;
};

struct plan {
    const struct mesh *mesh;      /* borrowed */
    struct plan_node *nodes;      /* as mesh->nodes */
    size_t node_count;
    struct lint lint;
    char *generation;             /* of the desired state: "8-3fa94c12": one more than the highest seen (the same when the hash is the same), and a hash; owned */
};

struct plan_options {
    int64_t now;                  /* wall clock, ns: of the newest reading */
    bool prune;                   /* rows of keys that are in no mesh file are removed, too */
    bool new_preshared;           /* a new preshared key for every pair that has or should have one (rotate --psk) */
    const bool *leaving;          /* per node: it is taken out of the mesh: its interface goes, and the others' rows of it; NULL: none */
    const bool *only;             /* per node: only these are changed; NULL: all */
};

/* SEEN: one observation per node, REACH_OK or not. Never fails. A node that SSH cannot reach and that is to join by an invitation is planned as a bare host: an observation with reach
 * REACH_OK, privileged, kernel_has_wireguard, and nothing else; no PublicKey; Ssh or none. Rules: operations on a row name only what differs; a row of a key that is no node's, no [Removed]
 * and no FormerKey is left alone, with a note (with prune it goes, unless it joined by an invitation: observed_joined); rows of the ladder (mesh_may_link) stay in what runs, and keep what it has
 * lent them; a running endpoint is left alone while its handshake is younger than 180 s; saved and running are compared
 * one by one; a node without saved file for a running interface gets FILE; one whose boot service is not enabled gets SERVICE where that can be seen. */
struct plan *plan_new(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, const struct plan_options *options);
void plan_free(struct plan *plan);
/* The key that NODE, which had none (make_key), has made: it goes into the rows that wait for it. Where it is one that it had before after all, rows of it are not removed. */
void plan_set_key(struct plan *plan, size_t node, const struct key *key);
bool plan_is_empty(const struct plan *plan);                 /* no operation anywhere; pending nodes do not count */
size_t plan_operation_count(const struct plan *plan);

/* Rotation of NODE's key, when NEXT is the public key that it has made: operations for every node of which NODE has a row (or that has one of it): ROW for the new key (no
 * AllowedIPs yet, its preshared key a copy), then ROW_MOVE and ROW_REMOVE of the old; on NODE: PRIVATE_KEY and FILE. Others are empty.
 * NULL with err when a node that has a live link with it cannot be reached: it would lose the link. */
struct plan *plan_rotation(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, size_t node, const struct key *next,
                           const struct plan_options *options, struct err *err);

/* For people: per node, like a diff ("+ row web3  10.44.0.9/32  endpoint 192.0.2.9:51820", "~ row db  keepalive off -> 25", "- row old"); lines are safe. What is
 * the same on many nodes is told once when BRIEF. */
void plan_to_text(const struct plan *plan, bool brief, struct buf *buf);
void plan_operation_text(const struct plan_operation *operation, struct buf *buf); /* one line, with its sign */
/* {"schema":1,"mesh":…,"generation":…,"empty":bool,"nodes":[{"name","state","why","operations":[…],"notes":[…]}],"lint":[…]} */
void plan_to_json(const struct plan *plan, struct json *json);

/* The wire: one operation as a node gets it (an object of a list), and read back there. Everything is checked when it is read: words, keys, names, prefixes, host
 * names, counts. 0, or -1 with err that names the member. */
void plan_operation_to_json(const struct plan_operation *operation, struct json *json);
int plan_operation_from_json(const cJSON *object, struct plan_operation *operation, struct err *err);
void plan_operation_free(struct plan_operation *operation); /* what it owns */

#endif
