/* Which mesh a command is about: the operands as SSH targets, or nodes of the mesh file. */
#ifndef WGDECK_CMD_MESH_CHOICE_H
#define WGDECK_CMD_MESH_CHOICE_H

#include "options.h"
#include "wgdeck/mesh.h"

struct mesh_choice {
    struct conf *conf;   /* the mesh file; NULL when targets were given */
    struct mesh *mesh;
    const char *look;    /* patterns of the nodes to look at (-n), or NULL: all; borrowed */
    char *show;          /* patterns of the nodes to show, or NULL: all; owned. Links are judged from both ends, so all are looked at */
    size_t named[2];     /* the first two operands that are node names; SIZE_MAX */
    size_t named_count;
};

/* Operands that are names of the mesh file's nodes choose among them; others are SSH targets, and no mesh file is needed.
 * False with a message when there is neither, or a name is misspelt; the caller ends with its status for "could not". */
bool mesh_choose(const struct options *options, struct mesh_choice *choice);
/* All operands are SSH targets, whatever mesh file there is. */
bool mesh_choose_targets(const struct options *options, struct mesh_choice *choice);
void mesh_choice_free(struct mesh_choice *choice);

/* The mesh file in the order of DESIGN section 4, or NULL when there is none (free). */
char *mesh_file_path(const struct cmd_globals *globals);

#endif
