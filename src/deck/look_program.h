/* The static program for nodes, read once and shared by all pushes. */
#ifndef WGDECK_DECK_LOOK_PROGRAM_H
#define WGDECK_DECK_LOOK_PROGRAM_H

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

#define LOOK_SHA256_TEXT_SIZE 65

struct look_program {
    struct buf bytes;
    char sha256[LOOK_SHA256_TEXT_SIZE];
    const char *machine; /* as uname -m of a node that can run it: "x86_64" */
};

/* Find (PATH NULL: beside the running program, or in its library folder) and read it. 0, or -1 with err. */
int look_program_load(const char *path, struct look_program *program, struct err *err);

#endif
