/* Any bytes as a mesh file: it is refused in one line, or what it asks for can be computed. */
#include <stdint.h>
#include <stdlib.h>

#include "wgdeck/mesh.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void ask(const struct mesh *mesh)
{
    for (size_t a = 0; a < mesh->node_count && a < 8; a++)
        for (size_t b = 0; b < mesh->node_count && b < 8; b++) {
            struct prefix *allowed;
            size_t count;
            if (mesh_wants_link(mesh, a, b) != mesh_wants_link(mesh, b, a))
                abort();
            if (a == b)
                continue;
            mesh_wants_allowed(mesh, a, b, &allowed, &count);
            if (count == 0)
                abort(); /* every node has an address */
            free(allowed);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err = {""};
    struct buf warnings = BUF_EMPTY;
    struct conf *conf = conf_parse("mesh.conf", (const char *)bytes, length, &err);
    struct mesh *mesh = conf ? mesh_read(conf, &warnings, &err) : NULL;
    if (mesh)
        ask(mesh);
    else if (err.text[0] == '\0')
        abort();
    mesh_free(mesh);
    conf_free(conf);
    buf_free(&warnings);
    return 0;
}
