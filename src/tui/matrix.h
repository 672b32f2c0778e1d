/* The matrix behind its screen: what a direction counts as, which nodes are rows and columns and in which order, and the same folded to groups. All of
 * it is computed when the picture changes; drawing only looks up. */
#ifndef WGDECK_TUI_MATRIX_H
#define WGDECK_TUI_MATRIX_H

#include "scene.h"
#include "style.h"
#include "wgdeck/buf.h"

/* A direction, from best to worst: which one stands for many. */
enum course { COURSE_NONE, COURSE_LIVE, COURSE_IDLE, COURSE_UNKNOWN, COURSE_LATE, COURSE_NEVER, COURSE_HALF, COURSE_DEAD, COURSE_COUNT };
enum course course_of(const struct link *link, bool a_to_b);
struct look_of course_look(enum course course);
const char *course_text(enum course course);      /* "live", "blocked" */
static inline bool course_is_bad(enum course course) { return course >= COURSE_LATE; }

/* Rates as the trend has them now, bytes per second; false: not known. */
bool course_rate(const struct scene *scene, const struct link *link, bool a_to_b, double *rate);
/* "db hears api: live, handshake 12s ago, 1.2 kB/s": how FROM is heard by TO. Added to BUF. LINK may be NULL. */
void course_sentence(const struct scene *scene, size_t from, size_t to, const struct link *link, struct buf *buf);

/* Where each node's links begin, so that a pair is found at once. */
struct link_index { size_t *starts; size_t nodes; };
void link_index_build(struct link_index *index, const struct scene *scene);
void link_index_free(struct link_index *index);
const struct link *link_index_find(const struct link_index *index, const struct scene *scene, size_t a, size_t b); /* either order */

/* Groups of the mesh, in the order of the file; nodes without one are a group of their own, the last. */
struct node_groups {
    uint32_t *of;          /* per node */
    size_t nodes, count;
    struct node_group { size_t first, size; } *list; /* its first node in the file, how many */
    bool named;            /* at least two nodes share a group */
};
void node_groups_build(struct node_groups *groups, const struct scene *scene);
void node_groups_free(struct node_groups *groups);
const char *node_group_name(const struct node_groups *groups, size_t group, const struct scene *scene); /* "(no group)" */

enum matrix_sort { MATRIX_PROBLEMS, MATRIX_GROUPS, MATRIX_FILE, MATRIX_SORTS };
extern const char *const matrix_sort_names[MATRIX_SORTS]; /* "problems first", ... */

/* Trouble of each node, with a memory: worse counts at once, better only after a while, so that the order does not jump about. */
struct trouble {
    uint32_t *bad_in, *bad_out;   /* directions that are not well: heard by it, sent by it */
    uint8_t *level;               /* what the order uses: 0 well, more is worse */
    int64_t *better_since;
    size_t nodes;
    size_t counts[COURSE_COUNT];  /* directions of the whole mesh */
};
enum { TROUBLE_PATIENCE = 10 }; /* seconds that a node must be better before it moves down */
void trouble_build(struct trouble *trouble, const struct scene *scene);
void trouble_free(struct trouble *trouble);

struct matrix_order {
    struct link_index links;
    struct node_groups groups;
    struct trouble trouble;
    uint32_t *rows, *columns;     /* nodes, in the order shown */
    size_t row_count, column_count, capacity;
    enum matrix_sort sort;
    size_t row_group, column_group; /* only these; SIZE_MAX: all */
    /* Folded: count x count of groups, [hearer][heard]. */
    struct fold { uint32_t directions, bad; uint8_t worst; } *folds;
    uint32_t *group_order;        /* groups, in the order shown */
    size_t group_order_count;
    const struct diagnosis *counted; /* whose links stand in links, trouble and folds, and the number of its picture */
    uint64_t counted_number;
};
void matrix_order_build(struct matrix_order *order, const struct scene *scene);
void matrix_order_free(struct matrix_order *order);
const struct fold *matrix_fold(const struct matrix_order *order, size_t hearer, size_t heard);

#endif
