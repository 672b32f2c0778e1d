/* The inside of the observer: what it keeps between two readings. Private to src/node. */
#ifndef WGDECK_NODE_OBSERVER_H
#define WGDECK_NODE_OBSERVER_H

#include <netlink/netlink.h>

#include "wgdeck/node.h"

/* One question "where would a packet to this address go?", and its answer. */
struct route_question {
    struct address to;
    uint32_t mark;  /* of the interface, for endpoints: its own packets go out with it */
    uint32_t scope; /* interface index of a link-local endpoint */
    bool answered;
    struct observed_route answer;
};

struct node_observer {
    char *root;
    char *only;                      /* look at this interface; NULL: all */
    struct nl_sock *query, *notices; /* NULL: none to be had here */
    bool stale;                      /* links, addresses, routes or rules may have changed */
    /* What is copied into each reading: links, table_routes, routes, configs, kernel_has_wireguard, names. */
    struct observation facts;
    uint64_t facts_version;          /* rises whenever the lists in facts are made anew */
    int *link_indices;               /* of facts.links, the same order */
    char *link_problem;              /* why links and routes are unknown, or NULL */
    char *route_problem;             /* why table_routes are not all, or NULL */
    struct route_question *questions;
    size_t question_count;
    uint64_t question_mark;          /* fingerprint of the devices they were asked for; 0: none asked */
    uint64_t config_mark;            /* fingerprint of the files that facts.configs was read from */
    uint64_t joined_mark;            /* fingerprint of what facts.joined and facts.paths were read from; 0: not read */
    char *config_problem;
    char config_salt[72];
    bool names_known;
};

/* The descriptor that becomes readable when the network changes; -1 if there is none. */
int node_observer_descriptor(const struct node_observer *observer);
/* Takes what has arrived there; true if the network may have changed since the last reading. */
bool node_observer_noticed(struct node_observer *observer);
/* Look at this interface only (NULL: at all). */
void node_observer_only(struct node_observer *observer, const char *interface);

/* The long lists that seldom change: configs, routes, table_routes. */
struct observed_lists {
    struct observed_config *configs;
    struct observed_route *routes;
    struct observed_table_route *table_routes;
    size_t config_count, route_count, table_route_count;
};
struct observed_lists observe_take_lists(struct observation *observation); /* OBSERVATION is without them after */
void observe_put_lists(struct observation *observation, const struct observed_lists *lists);
/* As node_observe, but if the lists are still those of VERSION (observer->facts_version at an earlier reading) they are left out: who has the
 * earlier reading need not copy and compare a thousand rows of a file that did not change. *UNCHANGED says so. */
int node_observe_again(struct node_observer *observer, const char *salt, uint64_t version, struct observation *observation, bool *unchanged,
                       struct err *err);

/* The parts of a reading. A problem is a line for skipped. */
void observe_links(struct node_observer *observer);    /* when stale: facts.links, facts.table_routes */
void observe_counters(struct node_observer *observer, struct observation *observation); /* of the devices' links, now */
void observe_routes(struct node_observer *observer, const struct observation *observation, bool stale); /* facts.routes */
void observe_configs(struct node_observer *observer, const char *salt); /* facts.configs */
void observe_joined(struct node_observer *observer, const struct observation *devices); /* facts.joined, facts.paths; after the configurations */
void observe_node(struct node_observer *observer, struct observation *observation); /* names, sysctls, module, the way here */

/* A line more in skipped. */
void observe_skip(struct observation *observation, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Indices and names of links. */
const char *observe_link_name(const struct node_observer *observer, int index);  /* or NULL */
int observe_link_index(const struct node_observer *observer, const char *name);  /* or 0 */

#endif
