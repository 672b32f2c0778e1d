/* What a screen draws from: the picture of the mesh, and how the person wants to see it. Screens read it and change nothing in it. */
#ifndef WGDECK_TUI_SCENE_H
#define WGDECK_TUI_SCENE_H

#include "wgdeck/live.h"

/* What the cursor is on, by names that stay the same from one picture to the next. */
enum subject_kind { SUBJECT_NONE, SUBJECT_NODE, SUBJECT_LINK, SUBJECT_FAULT, SUBJECT_EVENT };
struct subject {
    enum subject_kind kind;
    size_t a, b;          /* node; or the ends of the link, a < b; SIZE_MAX: none. Of a fault: its two nodes */
    char identity[192];   /* of a fault: live_fault_identity; of an event: its time and text's beginning */
};
bool subject_equal(const struct subject *one, const struct subject *other);

struct hands;
struct scene {
    struct live *live;             /* for trends and events; NULL in some tests */
    struct live_picture picture;
    bool faults_only, privacy, frozen, read_only;
    const char *filter;            /* "" when there is none; matched without regard to case */
    bool filter_not;
    const uint8_t *node_matches;   /* per node: does its name, group or address match the filter? Already inverted for FILTER_NOT. NULL: all */
    uint64_t number;               /* grows whenever rows may be others: a new picture, filter, faults_only, privacy */
    struct privacy *hidden;        /* what was hidden so far, so that it is hidden the same way again; needed for privacy */
    struct hands *hands;           /* what can be changed from here; NULL: nothing */
    const struct scene_index *index; /* which fault a node or a link has, made once a picture; NULL: they are searched */
};

/* Made by the deck for each picture; the functions below use it where it is there. */
struct scene_index *scene_index_new(const struct live_picture *picture);
void scene_index_free(struct scene_index *index);
/* node_matches for a filter: by name, group and addresses. MATCHES has a place for each node. */
void scene_match_nodes(const struct mesh *mesh, const char *filter, bool inverted, uint8_t *matches);

/* Names and texts as they may be shown: with privacy, names become node-1, ..., addresses and keys are hidden. Into BUF (cleared first); returns its text. */
const char *scene_name(const struct scene *scene, size_t node, struct buf *buf);
const char *scene_text(const struct scene *scene, const char *text, struct buf *buf);
const char *scene_group(const struct scene *scene, size_t node); /* "" without one; not shown with privacy: "group-1" */
/* Does a row show, by the filter (any of its texts) and by faults_only? For small lists; links use scene_shows_link. */
bool scene_matches(const struct scene *scene, const char *text);
bool scene_shows_link(const struct scene *scene, const struct link *link); /* cheap: 500,000 links in a few milliseconds */
bool scene_shows_node(const struct scene *scene, size_t node);
bool link_is_well(const struct link *link);      /* live or idle, and no direction blocked: what faults_only hides */
const struct link *scene_link(const struct scene *scene, size_t a, size_t b); /* either order; NULL if there is none */
/* Faults that name the node, or the link: the worst; NULL if none. */
const struct fault *scene_fault_of_node(const struct scene *scene, size_t node);
bool scene_is_silent(const struct scene *scene, size_t node); /* its last reading stands, and may be over: it has said nothing for longer than usual */
const struct fault *scene_fault_of_link(const struct scene *scene, size_t a, size_t b);

#endif
