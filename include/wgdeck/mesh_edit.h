/* Changes of a mesh file, as a list that can be done again on a newer version of the same file. Pure. */
#ifndef WGDECK_MESH_EDIT_H
#define WGDECK_MESH_EDIT_H

#include "wgdeck/conf.h"
#include "wgdeck/mesh.h"

enum mesh_edit_kind {
    MESH_EDIT_ADD_NODE,    /* [Node NAME] at the end; refused if there is one */
    MESH_EDIT_REMOVE_NODE, /* its section goes; [Removed NAME] takes its place, with Address, PublicKey (and FormerKeys) and Date, so that rows for it are known and its
                            * addresses are not given away at once. value: the date, "2026-11-23" */
    MESH_EDIT_SET,         /* KEY = VALUE in [Node NAME], or in [Mesh] when node is NULL; value NULL removes the key. A PublicKey that is one of the node's
                            * FormerKeys changes places with the present one (a rotation that was put back) */
    MESH_EDIT_ADD_VALUE,   /* one more line of KEY */
    MESH_EDIT_FORGET,      /* [Removed NAME] goes */
};

struct mesh_edit {
    enum mesh_edit_kind kind;
    char *node, *key, *value; /* owned */
};
struct mesh_edits {
    struct mesh_edit *edits;
    size_t count, capacity;
};

void mesh_edits_add(struct mesh_edits *edits, enum mesh_edit_kind kind, const char *node, const char *key, const char *value); /* copies */
void mesh_edits_free(struct mesh_edits *edits);
/* All or none: CONF is as before on an error (which says FILE, node, key, why, what to write). Names, keys and values are checked as mesh_read checks them; an edit that
 * changes nothing is no error. KEY of SET is one of mesh_keys ("did you mean"). */
int mesh_edits_do(const struct mesh_edits *edits, struct conf *conf, struct err *err);

/* The document of a new, empty mesh: [Mesh] with what is given (NULL and 0: left out) and a few comments that say what goes where. */
struct mesh_start { const char *name, *networks, *topology, *interface; uint16_t listen_port; bool preshared_keys; };
int mesh_start(const struct mesh_start *start, struct conf *conf, struct err *err);

#endif
