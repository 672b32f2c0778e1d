/* What the relay knows (wgdeck/relay.h): nodes, who knocked, what waits for an answer, and the latched sessions. No I/O, no clock; all of it is bounded. Private to src/engine/relay*.c. */
#ifndef WGDECK_ENGINE_RELAY_TABLE_H
#define WGDECK_ENGINE_RELAY_TABLE_H

#include "noise.h"
#include "udp.h"
#include "wgdeck/relay.h"

enum { RELAY_KNOCKS = 1024, RELAY_WAITING = 4096, RELAY_CANDIDATES = 8 };

struct relay_node {
    struct key key;
    struct mac_key mac1;
    struct endpoint hint;            /* family 0: not known */
    struct udp_endpoint at;          /* where an answer has proven it to be; sa_family 0: nowhere */
    int64_t proven;
};

/* A source that sent an initiation for NODE. */
struct relay_knock {
    struct udp_endpoint from;        /* sa_family 0: a free place */
    size_t node;
    int64_t at;
    unsigned tries;                  /* initiations without an answer: each one goes to the next candidate */
};

/* "What comes from FROM for INDEX goes to TO." */
struct relay_way {
    uint32_t index;
    struct udp_endpoint from, to;    /* from's sa_family 0: a free place */
    size_t node;                     /* WAITING: for whom the initiation was; a session: whose TO is */
    size_t other;                    /* a session: whose FROM is */
    bool answered;                   /* WAITING: by an answer with the index ANSWER: another one is none of the same handshake */
    uint32_t answer;
    int64_t at;                      /* last used */
    uint32_t next;                   /* in its chain, +1; 0: the end */
};
struct relay_ways {
    struct relay_way *ways;          /* owned */
    uint32_t *heads;                 /* by hash, +1; owned */
    uint32_t *indices;               /* how many there are of each hash of the index alone; owned */
    uint32_t free;                   /* +1; 0: none */
    size_t size, used;
};

struct relay_table {
    struct relay_node *nodes;        /* owned */
    size_t node_count;
    struct relay_knock knocks[RELAY_KNOCKS];
    struct relay_ways waiting, sessions;
    uint8_t seed[16];                /* of the hash: nobody may choose where things lie */
    int64_t idle;
};

void relay_table_begin(struct relay_table *table, size_t sessions, int64_t idle);
void relay_table_end(struct relay_table *table);
void relay_table_set_nodes(struct relay_table *table, const struct key *keys, const struct endpoint *hints, size_t count);
bool relay_same_place(const struct udp_endpoint *a, const struct udp_endpoint *b); /* address and port */
/* The hub's own WireGuard knows, and has proven, at which address a node is, whatever the port: nothing else is believed of it. Where it does not know, anything. */
bool relay_may_be(const struct relay_table *table, size_t node, const struct udp_endpoint *place);
bool relay_may_be_anyone(const struct relay_table *table, const struct udp_endpoint *place);
bool relay_is_proven(const struct relay_table *table, const struct udp_endpoint *place); /* some node's */
/* Whose mac1 MESSAGE has; SIZE_MAX: nobody's. */
size_t relay_node_of(const struct relay_table *table, const void *message, size_t length);
/* An initiation for NODE from FROM at NOW: noted, and where it is to go: 0 nowhere yet, else TO with *PROVEN. */
bool relay_knock(struct relay_table *table, size_t node, const struct udp_endpoint *from, int64_t now, struct udp_endpoint *to, bool *proven);
void relay_answered(struct relay_table *table, const struct udp_endpoint *from, size_t node); /* FROM's initiations for NODE begin anew */

/* INDEX as it stands in the message. */
struct relay_way *relay_way_find(const struct relay_table *table, const struct relay_ways *ways, uint32_t index, const struct udp_endpoint *from); /* or NULL */
/* Some way has INDEX, from wherever (for counting: now and then true of one that none has). */
bool relay_index_is_known(const struct relay_table *table, const struct relay_ways *ways, uint32_t index);
/* Found or made. NULL: there is no room, until those that are idle are forgotten. */
struct relay_way *relay_way_make(struct relay_table *table, struct relay_ways *ways, uint32_t index, const struct udp_endpoint *from, int64_t now);
void relay_ways_forget(struct relay_table *table, struct relay_ways *ways, int64_t before); /* those not used since */

#endif
