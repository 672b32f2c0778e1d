/* What a node is, for somebody who is about to put it into a mesh (wgdeck/apply.h, "facts"). Private to src/node. */
#ifndef WGDECK_NODE_FACTS_H
#define WGDECK_NODE_FACTS_H

#include "wgdeck/err.h"
#include "wgdeck/json.h"

/* Adds KEY with all that is known; what cannot be found out is null or left out. Takes no more than 2 s. 0, or -1 with err. */
int node_facts_to_json(const char *interface, struct json *json, const char *key, struct err *err);

#endif
