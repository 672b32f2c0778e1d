/* What the files of the diagnosis share: the nodes and pairs as its detectors see them, and how a detector says what it found.
 * The way of it: context (who is who) -> links (pairs, counters, states) -> faults_*.c (one detector a fault) -> grouping. */
#ifndef WGDECK_MESH_DIAGNOSIS_PRIVATE_H
#define WGDECK_MESH_DIAGNOSIS_PRIVATE_H

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/diagnosis.h"

#define NONE SIZE_MAX

/* faults.md section 1: ages of a link, and the sizes of handshake messages that the thresholds rest on. */
#define AGE_LIVE (135 * CLOCK_SECOND)
#define AGE_LATE (180 * CLOCK_SECOND)
enum {
    INITIATION_BYTES = 148,
    SENT_WHEN_DOWN = 180, /* more than one message of a handshake, whichever they are: it was tried again */
    SENT_WHEN_LIVE = 400, /* several data packets: one or two may be lost on a healthy path */
    SENT_EVER = 2 * INITIATION_BYTES, /* more than this, and never an answer: three tries or more, over 10 s */
};
#define INTERVAL_LEAST (CLOCK_SECOND * 11 / 2) /* longer than one retry of a handshake with its jitter */
#define INTERVAL_LIVE (10 * CLOCK_SECOND)
#define SKEW_LEAST (2 * CLOCK_SECOND)

/* A - B for times that a node chose: at the ends of the range it stays there. */
static inline int64_t time_between(int64_t a, int64_t b)
{
    int64_t difference;
    if (__builtin_sub_overflow(a, b, &difference) || difference == INT64_MIN)
        return a < b ? -INT64_MAX : INT64_MAX;
    return difference;
}

/* One node: where its parts are in the reading, and what follows from that. */
struct node_view {
    const char *name;
    const struct mesh_node *node;
    const struct observation *seen;       /* its newest reading */
    const struct counted_node *earlier;   /* an older one that can be compared with it, or NULL */
    const struct device *device;          /* running, or NULL */
    const struct counted_device *device_earlier;
    const struct observed_link *interface;
    const struct observed_config *config; /* saved and readable, or NULL */
    const struct device *saved;           /* its interface with the rows, or NULL */
    const char *interface_name;           /* never NULL */
    bool looked;                          /* its rows could be read: what is not there is not there */
    bool has_key, key_guessed;            /* guessed: from the rows of others */
    struct key key;
    uint32_t *targets, *saved_targets;    /* for each running and saved row: the node it is about, see TARGET_ */
    struct address *own;                  /* addresses of its other interfaces */
    size_t own_count;
    struct address *reached;              /* other addresses it was reached at: by the deck, by other nodes, as the mesh file says */
    size_t reached_count;
    bool routed_inside;                   /* some route of its list leads into the interface */
    bool mistaken;                        /* someone has a row that is meant for it, with another key */
    bool seen_elsewhere;                  /* some row sends to it at an address that is not its own */
    bool knows_place;                     /* one of own or reached is a public one */
    bool natted;                          /* others see it at an address that is not its own */
    bool shut;                            /* natted, and nobody has an endpoint at which it could be called first */
    struct address seen_as;               /* where others see it, when natted */
    bool skewed;                          /* its clock differs from the others' */
    int64_t skew;
    bool stopped;                         /* no packet can come or go through its interface; ROOT says why */
    size_t root;                          /* fault that explains what is wrong with all its links, or NONE */
    size_t address_fault;                 /* fault of its mesh addresses, or NONE */
    size_t port_fault;
    bool ways_right;                      /* all its prefixes were looked up, and go into the tunnel */
    size_t tunnel_fault;                  /* fault that an endpoint is routed into its own tunnel, or NONE */
    bool key_named;                       /* a fault says already that its key is not the one it should be */
    size_t cloned;                        /* another node with the same key, or NONE */
};

/* targets: a node; with TARGET_OLD when the row has a key that was or should be the node's, but is not the one it has. */
#define TARGET_NONE UINT32_MAX
#define TARGET_OLD (UINT32_C(1) << 31)

enum row_fault { ROW_MISSING = 1, ROW_KEY = 2, ROW_PSK = 4, ROW_ALLOWED = 8, ROW_ENDPOINT = 16, ROW_KEEPALIVE = 32 };

/* One end of a pair: what this node holds about the other one. */
struct end {
    const struct device_peer *row;     /* running, with the other's key; NULL */
    const struct device_peer *wrong;   /* running, meant for the other but with another key; NULL */
    const struct device_peer *saved;   /* NULL */
    int64_t age;                       /* of the handshake by its own clock; -1 never or unknown */
    uint32_t sent, heard;              /* differences between two readings; UINT32_MAX: that or more */
    bool counted;                      /* they are known */
    bool complete;                     /* its prefixes were looked at, and none lacks */
    bool wide;                         /* one of them is more than a single address */
    uint8_t faults;                    /* enum row_fault that are named, so that drift is not named again */
    uint32_t preshared;                /* see links.c: 0 without a preshared key, 1 when its hash is not known, else made of the hash */
};

/* A pair of nodes with a link: PAIR->end[0] is held by a. Index as diagnosis->links. */
struct pair {
    uint32_t a, b;
    struct end end[2];
    bool wanted;        /* the mesh file wants it */
    bool may;           /* the ladder may make rows for it (mesh_may_link) */
    enum link_path path;
    bool troubled;      /* it ought to work now, and does not */
    bool quiet;         /* not live, and nothing says that it should be */
    bool counters;      /* both ends have differences of the same span of time */
    size_t cause;       /* fault that explains it, or NONE */
};

struct key_entry {
    struct key key;
    uint32_t target;    /* node, with TARGET_OLD */
};

struct address_entry {
    struct address address;
    size_t node;
    bool meant;         /* the mesh file gives it to the node */
};

/* Prefixes, each once. */
struct prefix_list {
    struct prefix *items;
    size_t count, capacity;
};
void prefix_list_add(struct prefix_list *list, const struct prefix *prefix);
bool prefix_is_host(const struct prefix *prefix);

/* A fault with what grouping needs to know. */
struct finding {
    struct fault fault;
    size_t evidence_capacity, consequence_capacity;
    const char *folds;      /* see fault_folds; NULL: never */
    size_t merged_into;     /* index, or NONE */
};

struct context {
    const struct mesh *mesh;
    const struct observed *now;
    const struct counters *before;
    const struct known_ways *known;  /* what the diagnosis before this one knew; NULL */
    struct diagnosis *diagnosis;
    struct node_view *views;
    size_t count;
    struct key_entry *keys;          /* sorted; each key once */
    size_t key_count;
    struct address_entry *addresses; /* mesh addresses, sorted by address, then node; each address of a node once */
    size_t address_count;
    struct pair *pairs;
    size_t pair_count;
    size_t relay;                    /* mesh_relay, or NONE */
    bool *joins;                     /* per node: mesh_joins_by_relay; NULL without a relay */
    uint32_t *pair_at;               /* [a * count + b]: index of the pair and 1, or 0 */
    struct finding *findings;
    size_t finding_count, finding_capacity;
};

/* A detector finds one kind of fault, and marks what it explains so that later ones don't name that again. */
struct detector {
    const char *id;
    void (*detect)(struct context *context);
};
struct stage {
    const struct detector *detectors;
    size_t count;
};
extern const struct stage stage_node, stage_identity, stage_rows, stage_secrets, stage_tunnel, stage_addressing, stage_allowed, stage_routing, stage_transport,
    stage_silence, stage_upkeep;
extern const struct stage *const stages[];
extern const size_t stage_count;

/* diagnosis_context.c: who is who. */
void context_fill(struct context *context);
void context_look(struct context *context);  /* only views and clocks: no keys, addresses and pairs */
void context_clear(struct context *context);
uint32_t context_find_key(const struct context *context, const struct key *key);
/* The first entry with this address, or NULL; more of the same follow it. */
const struct address_entry *context_find_address(const struct context *context, const struct address *address);
bool view_has_address(const struct node_view *view, const struct address *address); /* on its WireGuard interface */
bool view_is_at(const struct node_view *view, const struct address *address);       /* in the network below */
bool view_has_family(const struct node_view *view, uint8_t family);                 /* on its WireGuard interface */
bool address_is_link_local(const struct address *address);
bool address_list_has(const struct address *list, size_t count, const struct address *address);
void address_list_add(struct address **list, size_t *count, const struct address *address); /* each once */

/* diagnosis_nat.c */
void context_find_nats(struct context *context); /* needs pairs */

/* diagnosis_paths.c: by which way the packets of a pair go. */
void paths_look(struct context *context);   /* who joins by the relay */
bool paths_wants_link(const struct context *context, size_t a, size_t b);
bool paths_may_link(const struct context *context, size_t a, size_t b);
bool paths_is_relay_place(const struct context *context, const struct endpoint *endpoint); /* of the opaque relay (relay.h) */
bool paths_has_joined(const struct context *context, const struct key *key); /* by an invitation, as some node says */
const struct observed_path *paths_said(const struct context *context, const struct pair *pair); /* what either end says of it; NULL */
bool paths_is_lent(const struct context *context, size_t holder, const struct prefix *prefix); /* by the hub's row, to a row of the ladder's */
void paths_find(struct context *context);   /* needs pairs; those that go by the hub have no ends after it */
void paths_derive(struct context *context); /* needs judged links */
void link_ways_judge(struct diagnosis *diagnosis); /* those that go by the hub, by the links on their way */
void link_ways_copy(const struct link_ways *ways, struct diagnosis *copy);
void link_ways_free(struct link_ways *ways);

/* links.c: pairs and their states. */
void links_build(struct context *context);
void links_judge(struct context *context);
/* Of one end, from its row's number: row, age, differences of counters. */
void end_count(const struct node_view *view, struct end *end, size_t row);
void pair_judge(const struct context *context, struct pair *pair, struct link *link, struct known_ways *ways); /* LINK is overwritten; WAYS: noted there, or NULL */
int64_t row_age(const struct node_view *view, const struct device_peer *row); /* of its handshake; may be negative; -1 never */
void end_name(struct pair *pair, size_t holder, unsigned faults); /* faults of this row are named */
enum direction_state *direction_of(const struct context *context, const struct pair *pair, size_t from);
bool allowed_has(const struct device_peer *row, const struct prefix *prefix);    /* exactly */
bool allowed_covers(const struct device_peer *row, const struct prefix *prefix);
bool allowed_same(const struct device_peer *a, const struct device_peer *b);
int64_t handshake_age(const struct node_view *view, const struct device_peer *row); /* -1: never, or not to be told */

/* These are asked for millions of times in a large mesh. NULL if there is no pair; quickest when A is what runs in the inner loop. */
static inline struct pair *pair_of(const struct context *context, size_t a, size_t b)
{
    uint32_t index = context->pair_at ? context->pair_at[b * context->count + a] : 0;
    return index ? &context->pairs[index - 1] : NULL;
}

static inline struct end *end_of(struct pair *pair, size_t holder)
{
    return &pair->end[holder == pair->b];
}

static inline struct link *link_of(const struct context *context, const struct pair *pair)
{
    return &context->diagnosis->links[pair - context->pairs];
}

/* Live or late, and no direction blocked. */
static inline bool link_is_live(const struct context *context, const struct pair *pair)
{
    const struct link *link = link_of(context, pair);
    return link->state == LINK_LIVE || link->state == LINK_LATE;
}

/* known_ways.c: a link with a direction that is cut, as the counters last said; STATE and AT (deck's clock) of a to b, then b to a. */
struct known_way {
    uint32_t a, b;
    enum direction_state state[2];
    int64_t at[2];
};
struct known_ways { /* in the order of the links */
    struct known_way *items;
    size_t count, capacity;
};
/* What was known of a direction that the counters say nothing of now, where it still holds; DIRECTION_UNKNOWN. */
enum direction_state known_way_of(const struct context *context, const struct pair *pair, size_t from);
/* COUNTED: what the counters say now, of a to b and of b to a. Does nothing for a link that has no cut direction. */
void known_ways_note(const struct context *context, struct known_ways *ways, const struct pair *pair, const enum direction_state counted[2]);
struct known_ways *known_ways_copy(const struct known_ways *ways);
void known_ways_free(struct known_ways *ways);

/* diagnosis_refresh.c: what a refresh rests on. After links_judge; after the last detector. */
void basis_note_links(struct context *context);
void basis_note_nodes(struct context *context);
void basis_free(struct diagnosis_basis *basis);
struct diagnosis_basis *basis_copy(const struct diagnosis_basis *basis, const struct diagnosis *diagnosis);

/* faults_allowed.c: the row wants nothing but what is at the other node itself, and has just that. */
bool row_has_just_its_own(const struct context *context, size_t other, const struct device_peer *row);

/* faults_silence.c: what its detectors go by. */
bool clock_is_behind(const struct context *context, const struct pair *pair, size_t sender, int64_t *by);
bool end_lost_much(const struct end *sender, const struct end *hearer);

/* diagnosis_words.c: saying it. */
/* A new fault; nodes may be NONE. The pointer holds until the next one. */
struct fault *fault_new(struct context *context, const char *id, size_t first, size_t second);
size_t fault_index(const struct context *context); /* of the newest */
void fault_direction(struct fault *fault, size_t from, size_t to);
void fault_summary(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fault_remedy(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fault_remedy_more(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fault_evidence(struct context *context, size_t fault, const char *format, ...) __attribute__((format(printf, 3, 4)));
void fault_explains(struct context *context, size_t fault, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Several of this kind with a node in common become one. WHAT "with": both nodes are alike ("the same with NAME, NAME");
 * "": they are not ("the same for NAME, NAME" if the first is in common, "the same at NAME, NAME" if the second). */
void fault_folds(struct context *context, const char *what);
void pair_explained(struct context *context, struct pair *pair, size_t fault); /* unless something else does already */
void words_add_shell(struct buf *buf, const char *text); /* quoted where it must be */
char *words_names(const struct context *context, const size_t *nodes, size_t count); /* "a, b, c and 5 more"; free */
char *words_prefixes(const struct prefix *prefixes, size_t count);                  /* "10.0.0.1/32,fd00::1/128", "" ; free */
/* "wg set wg0 peer KEY", for the node's interface; free. */
char *words_set_peer(const struct node_view *view, const struct key *key);
/* "a's row for b: handshake 12s ago, sent 444 B, received 0 B, endpoint 192.0.2.1:51820"; free. */
char *words_row(const struct context *context, size_t holder, size_t other, const struct end *end);

/* diagnosis_group.c */
void findings_fold(struct context *context);
void findings_add_consequences(struct context *context);
void findings_hand_over(struct context *context); /* to context->diagnosis, in order */

#endif
