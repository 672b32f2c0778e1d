/* The bare look's answer while it is read: shared by the parser of its frame (observed_bare.c) and of what ip says (observed_bare_ip.c). */
#ifndef WGDECK_MESH_OBSERVED_BARE_H
#define WGDECK_MESH_OBSERVED_BARE_H

#include "wgdeck/observed.h"

/* An answer of "ip route get", in the order of asking. */
struct bare_answer {
    struct observed_route route;
    size_t order;
};

/* A route of the local, main or default table, as observed_bare_fib.c searches them. */
enum { BARE_FIB_RANKS = 3 }; /* the usual rules: local, main, default */
enum bare_fib_kind { FIB_GOES, FIB_REFUSES, FIB_THROWS };
struct bare_fib_route {
    struct prefix to;
    uint8_t rank;                    /* of its table in the usual rules */
    enum bare_fib_kind kind;
    uint8_t preference;              /* of IPv6: 2 high, 1 medium, 0 low */
    uint32_t metric, mtu;
    char device[IFNAMSIZ];
    size_t order;
};

struct bare_fib {
    struct bare_fib_route *routes;
    size_t count, capacity;
    bool lengths[BARE_FIB_RANKS][2][129]; /* which prefix lengths there are, of v4 and v6 */
};

struct bare_ip {
    struct observation *observation; /* links and table_routes go there at once */
    size_t link_capacity, table_route_capacity;
    size_t documents;                /* JSON documents seen: addresses, routes, then answers */
    struct bare_answer *answers;
    size_t answer_count, answer_capacity;
    bool all_answered;               /* what has no answer is unreachable, or (usual_rules) follows from the routes */
    bool usual_rules;
    struct bare_fib fib;
};

void bare_fib_add(struct bare_fib *fib, const struct bare_fib_route *route); /* of an unknown rank: left out */
void bare_fib_sort(struct bare_fib *fib);                                      /* before the first lookup */
const struct bare_fib_route *bare_fib_lookup(const struct bare_fib *fib, const struct address *to); /* NULL: unreachable */
void bare_fib_free(struct bare_fib *fib);

/* One line of the kinds "[", A, R and G; TEXT is without its letter. 0, or -1 with err. */
int bare_ip_json(struct bare_ip *ip, const char *text, size_t length, struct err *err);
int bare_ip_address_line(struct bare_ip *ip, const char *text, struct err *err);
int bare_ip_route_line(struct bare_ip *ip, const char *text, struct err *err);
int bare_ip_answer_line(struct bare_ip *ip, const char *text, struct err *err);
/* By name, in an observation that is in order; NULL if there is none. */
const struct observed_link *bare_ip_link(const struct observation *observation, const char *name);
/* When devices and links are known and in order: the observation's routes from the answers. Frees the answers. */
void bare_ip_finish(struct bare_ip *ip);
void bare_ip_free(struct bare_ip *ip);

#endif
