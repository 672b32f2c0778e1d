/* The document of a new mesh, with the words that its owner needs to go on by hand. */
#include "wgdeck/mesh_edit.h"

#include <stdlib.h>

#include "wgdeck/mem.h"

static const char *const before[] = {
    "A WireGuard mesh, for wgdeck. wgdeck-mesh(5) explains all keys. There is no secret in this file: keep it under version",
    "control. 'wgdeck plan' says what it would change on the nodes, 'wgdeck apply' does it.",
};
static const char *const after[] = {
    "",
    "Each node is a section. 'wgdeck add' writes it; by hand it looks like this:",
    "",
    "  [Node api]",
    "  Ssh = root@203.0.113.1            or an alias of ~/.ssh/config",
    "  Address = 10.44.0.1               a free address of each Network",
    "  Endpoint = 203.0.113.1:51820      where the others send to; none: the node is behind NAT",
};

int mesh_start(const struct mesh_start *start, struct conf *conf, struct err *err)
{
    struct mesh_edits edits = {0};
    char *port = start->listen_port ? mem_format("%u", (unsigned)start->listen_port) : NULL;
    const struct {
        const char *key, *value;
    } given[] = {
        {"Name", start->name},           {"Network", start->networks},
        {"Interface", start->interface}, {"ListenPort", port},
        {"Topology", start->topology},   {"PresharedKeys", start->preshared_keys ? "yes" : NULL},
    };
    int result = conf_section_count(conf) ? err_set(err, "%s: there is something in it already: a new mesh needs an empty file", conf_file(conf)) : 0;
    for (size_t i = 0; result == 0 && i < COUNT_OF(before); i++)
        conf_add_comment(conf, before[i]);
    if (result == 0)
        conf_add_section(conf, "Mesh", NULL);
    for (size_t i = 0; i < COUNT_OF(given); i++)
        if (given[i].value)
            mesh_edits_add(&edits, MESH_EDIT_SET, NULL, given[i].key, given[i].value);
    if (result == 0)
        result = mesh_edits_do(&edits, conf, err);
    for (size_t i = 0; result == 0 && i < COUNT_OF(after); i++)
        conf_add_comment(conf, after[i]);
    mesh_edits_free(&edits);
    free(port);
    return result;
}
