/* What the parts of importing share. Private to src/mesh. */
#ifndef WGDECK_MESH_IMPORT_PARTS_H
#define WGDECK_MESH_IMPORT_PARTS_H

#include "wgdeck/import.h"
#include "wgdeck/observed.h"

/* One node's file. */
struct import_file {
    char *path, *name;             /* name: what the file itself says; NULL. Owned */
    char *ssh;                     /* of JSON; NULL. Owned */
    struct observed_config config; /* owned */
};

/* A name that some file has for a key. */
struct import_label {
    struct key key;
    char *name;
};

struct import {
    struct import_file *files;
    size_t file_count, file_capacity;
    struct import_label *labels;
    size_t label_count, label_capacity;
    char *mesh_name;
};

void import_add_label(struct import *import, const struct key *key, const char *name);
const char *import_label(const struct import *import, const struct key *key); /* or NULL */

/* The lines of a wg-quick file before it is read: names from comments, and no secret any more (import_scan.c). */
struct import_scan {
    char *name, *mesh;         /* of the file's own node; NULL. Owned */
    bool has_key;
    struct key public_key;     /* of its private key */
};
void import_scan(struct import *import, char *bytes, size_t length, struct import_scan *scan);

#endif
