/* A mesh file for a mesh that was made by hand: from what its nodes hold to the document that describes it. Pure. */
#ifndef WGDECK_ADOPT_H
#define WGDECK_ADOPT_H

#include "wgdeck/conf.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* TARGETS: the nodes as named on the command line (mesh_from_targets); SEEN: one observation of each. Fills the empty document CONF with
 * [Mesh] and one [Node] a target; mesh_read accepts it, and it holds no secret. NOTES gets lines for a person: what could not be derived,
 * what was guessed, and which keys in the nodes' rows belong to no target. A node of which no mesh address is known is left out, with a
 * note. 0, or -1 with err when there is nothing to describe. */
int adopt_mesh(const struct mesh *targets, const struct observed *seen, struct conf *conf, struct buf *notes, struct err *err);

#endif
