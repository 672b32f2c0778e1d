/* What a node is, for somebody who is about to put it into a mesh (wgdeck/apply.h, "facts"). Private to src/node. */
#ifndef WGDECK_NODE_FACTS_H
#define WGDECK_NODE_FACTS_H

#include "wgdeck/err.h"
#include "wgdeck/json.h"

/* Adds KEY with all that is known; what cannot be found out is null or left out. Takes no more than 2 s. 0, or -1 with err. */
int node_facts_to_json(const char *interface, struct json *json, const char *key, struct err *err);
/* The firewall, as far as it can be seen: lines for a person, into a list. What is not seen is not said. At most 1.5 s (nft is run when ROOT is ""). facts_firewall.c */
void facts_firewall(const char *root, unsigned port, struct json *json);
/* For tests: do the RULES, as "nft -j list ruleset" prints them, drop what comes in by UDP to PORT? 1 it seems so; 0 no, or it cannot be told. */
int facts_rules_drop(const char *rules, size_t length, unsigned port);

#endif
