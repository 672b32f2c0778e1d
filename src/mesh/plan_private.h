/* The inside of the plan: what its parts share. plan.c (nodes, keys, generation), plan_joined.c (nodes that joined through another), plan_pairs.c (preshared keys), plan_rows.c, plan_interface.c, plan_rotation.c; plan_text.c and plan_json.c tell
 * it; plan_wire.c is what a node reads. Private to src/mesh. */
#ifndef WGDECK_PLAN_PRIVATE_H
#define WGDECK_PLAN_PRIVATE_H

#include "wgdeck/plan.h"

#define PLAN_LIVE (180 * CLOCK_SECOND) /* a session is refused when it is older (whitepaper, REJECT_AFTER_TIME) */

struct planning {
    const struct mesh *mesh;
    const struct desired *desired;
    const struct observed *seen;
    const struct plan_options *options;
    struct plan *plan;
    struct plan_view {                       /* per node: what it has of the mesh's interface; all NULL when it was not reached */
        const struct observation *seen;
        const struct device *running;
        const struct device *saved;          /* rows of the saved file */
        const struct observed_config *config;
        const struct observed_link *link;
        bool ladder;                         /* what runs has rows that the ladder has made */
    } *views;
    struct plan_pair { uint32_t a, b; enum plan_preshared at_a, at_b; } *pairs; /* those that get a preshared key, or lose one; sorted */
    size_t pair_count, pair_capacity;
    struct plan_known { struct key key; enum plan_known_as { KNOWN_NODE, KNOWN_FORMER, KNOWN_REMOVED, KNOWN_JOINED } as; size_t index; const struct observed_joined *joined; } *known; /* all keys that the file and
                                              * the nodes name, by key; JOINED: index is of the node through which it did */
    size_t known_count, known_capacity;
};

static inline bool plan_leaves(const struct planning *planning, size_t node)
{
    return planning->options->leaving && planning->options->leaving[node];
}

void plan_begin(struct planning *planning, const struct mesh *mesh, const struct desired *desired, const struct observed *seen, const struct plan_options *options); /* states and keys of all nodes */
void plan_set_generation(struct planning *planning);
void plan_end(struct planning *planning);                         /* all but the plan is freed */
struct plan_operation *plan_add(struct plan_node *node, enum plan_kind kind, bool running, bool saved); /* zeroed but for these; valid until the next */
bool plan_engine_is_dead(const struct observation *seen, const char *interface);
void plan_note(struct plan_node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The nodes that have joined through others (invitation.h). */
typedef void plan_joined_visitor(struct planning *planning, size_t hub, const struct observed_joined *joined, void *context);
void plan_each_joined(struct planning *planning, plan_joined_visitor *visit, void *context);
void plan_learn_joined(struct planning *planning, size_t node);   /* of one that cannot be seen itself: its key, as the hub knows it */
void plan_note_joined(struct planning *planning, size_t node, const struct plan_known *known); /* a row that stays */
void plan_find_ladder(struct planning *planning);                 /* views' ladder; when all keys are known */
/* Is PREFIX, which DEVICE of NODE has in a row of the ladder's now, only lent to that row? */
bool plan_is_lent(const struct planning *planning, size_t node, const struct device *device, const struct prefix *prefix);
const struct plan_known *plan_find_known(const struct planning *planning, const struct key *key); /* or NULL */

void plan_list_known(struct planning *planning);                   /* when the nodes' keys are known */
void plan_decide_pairs(struct planning *planning);
enum plan_preshared plan_preshared_of(const struct planning *planning, size_t node, size_t peer);
/* Is the row's session alive now, by the node's own clock? Then its endpoint is where the other node really is. */
bool plan_is_live(const struct plan_view *view, const struct device_peer *row);
void plan_rows(struct planning *planning, size_t node);           /* ROW */
void plan_rows_removed(struct planning *planning, size_t node);   /* ROW_REMOVE, and notes of rows that stay */
bool plan_is_up(const struct plan_view *view);                    /* it runs, and its link is up */
void plan_interface(struct planning *planning, size_t node);      /* INTERFACE, LISTEN_PORT, MTU */
void plan_addresses(struct planning *planning, size_t node);      /* ADDRESS, ROUTE, FORWARDING */
void plan_addresses_removed(struct planning *planning, size_t node); /* ROUTE_REMOVE, ADDRESS_REMOVE */
void plan_upkeep(struct planning *planning, size_t node);         /* FILE, SERVICE */
char *plan_prefixes_text(const struct prefix *prefixes, size_t count); /* "10.0.0.0/24, fd44::/64", "nothing"; malloc'd */
bool plan_same_prefixes(const struct prefix *a, size_t a_count, const struct prefix *b, size_t b_count); /* both sorted */

#endif
