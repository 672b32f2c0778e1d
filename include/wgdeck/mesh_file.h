/* The mesh file on disk: read, and changed without ever losing what somebody else wrote into it meanwhile. */
#ifndef WGDECK_MESH_FILE_H
#define WGDECK_MESH_FILE_H

#include "wgdeck/mesh_edit.h"

struct mesh_file {
    char *path;
    struct conf *conf;
    struct mesh *mesh;
    struct buf bytes;      /* as they were when it was read or last written */
};

/* 0, or -1 with err. WARNINGS as mesh_read; may be NULL. */
int mesh_file_read(const char *path, struct mesh_file *file, struct buf *warnings, struct err *err);
void mesh_file_free(struct mesh_file *file);
/* Does the edits on the file as it is on disk NOW (read again; a change by hand is kept), checks that the result is a mesh, and writes it atomically. FILE is then what was
 * written. On an error nothing is written and FILE is as before. */
int mesh_file_edit(struct mesh_file *file, const struct mesh_edits *edits, struct err *err);
/* Puts the bytes back that stood there before, if the file still holds what was written last; else 1, and it is left alone. */
int mesh_file_undo(struct mesh_file *file, const struct buf *before, struct err *err);

#endif
