/* A session to a node as the mesh file describes the way there. */
#include "wgdeck/look.h"

struct fanout_session *look_open_node(struct fanout *fanout, const struct mesh *mesh, size_t node, const struct fanout_session_events *events, void *context)
{
    const struct mesh_node *to = &mesh->nodes[node];
    size_t jumps[MESH_JUMPS_MOST], count = mesh_jumps(mesh, node, jumps, MESH_JUMPS_MOST);
    struct fanout_hop hops[MESH_JUMPS_MOST];
    if (count == 0)
        return fanout_open(fanout, to->name, to->ssh, to->host_key, events, context);
    for (size_t i = 0; i < count; i++)
        hops[i] = (struct fanout_hop){.target = mesh->nodes[jumps[i]].ssh, .host_key = mesh->nodes[jumps[i]].host_key};
    return fanout_open_through(fanout, to->name, to->ssh, to->host_key, hops, count, events, context);
}
