/* The map behind its screen: which nodes are drawn, where they stand, and what runs between them. Laid out when the picture or the size changes;
 * the places depend on the mesh and the size alone, so that they stay the same from one picture to the next. */
#ifndef WGDECK_TUI_MAP_H
#define WGDECK_TUI_MAP_H

#include "canvas.h"
#include "matrix.h"

enum map_kind {
    MAP_RING,    /* each node on an ellipse */
    MAP_BOXES,   /* each node in the box of its group */
    MAP_COUNTS,  /* boxes with counts, in which only nodes with trouble are named */
};

/* How each node stands, whatever is drawn. A node most of whose links are bad is a star: it explains them, and they are not drawn singly. */
struct map_stats { uint32_t *links, *bad, *own; size_t nodes; }; /* OWN: bad ones that no star at the other end explains */
void map_stats_build(struct map_stats *stats, const struct scene *scene);
void map_stats_free(struct map_stats *stats);
bool map_is_star(const struct map_stats *stats, size_t node);
bool map_is_unwell(const struct scene *scene, const struct map_stats *stats, size_t node);

/* A place that the cursor can be on. */
struct map_spot {
    bool cluster;
    uint32_t item;             /* node, or cluster */
    int row, column, width;    /* of what is written; -1: not on the screen */
    int glyph_column;          /* where its lines begin */
};

struct map_cluster {
    size_t group;              /* of node_groups; SIZE_MAX: a bucket of nodes that follow each other */
    size_t begin, count;       /* in members */
    size_t unwell;             /* nodes with trouble */
    int row, column, rows, columns;
};

struct map_bundle { uint32_t well, bad; uint8_t worst; }; /* of two clusters; without the links of stars */
struct map_bad { uint32_t link; uint8_t course; bool star; }; /* STAR: one of its ends is one */

enum { MAP_BAD_MOST = 4096, MAP_CLUSTERS_MOST = 128 };

struct map_layout {
    enum map_kind kind;
    int rows, columns;
    uint32_t *members;         /* nodes, cluster by cluster */
    size_t count;
    uint32_t *cluster_of;      /* per node of the mesh; UINT32_MAX: not drawn */
    int32_t *spot_of;          /* per node; -1 */
    size_t nodes;
    struct map_cluster clusters[MAP_CLUSTERS_MOST];
    size_t cluster_count;
    struct map_bundle *bundles; /* cluster_count x cluster_count, [smaller][larger] */
    struct map_spot *spots;
    size_t spot_count, spot_capacity;
    struct map_bad bad[MAP_BAD_MOST]; /* worst first as far as they fit */
    size_t bad_count;          /* kept */
    size_t single;             /* of these without a star: they come first */
    size_t links, not_well;    /* among the nodes drawn */
    int label;                 /* columns of a node's name */
};

/* ONLY: these nodes; NULL: those that filter and faults-only leave. BY_GROUP: boxes, when the mesh has groups. */
void map_lay_out(struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, const struct map_stats *stats,
                 const uint32_t *only, size_t only_count, bool by_group, int rows, int columns);
void map_layout_free(struct map_layout *layout);
void map_collect(struct map_layout *layout, const struct scene *scene, const struct map_stats *stats); /* map_links.c: links of the nodes drawn */
const char *map_cluster_name(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, size_t cluster, struct buf *buf);

/* SELECTED: place in spots; SIZE_MAX: none. */
void map_draw(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, const struct map_stats *stats,
              size_t selected, const struct area *area);
void map_draw_broken(const struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, const struct area *area); /* the list of them */

#endif
