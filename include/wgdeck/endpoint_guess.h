/* Where the other nodes can send UDP for a host, from what it shows of itself. Pure. */
#ifndef WGDECK_ENDPOINT_GUESS_H
#define WGDECK_ENDPOINT_GUESS_H

#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* "203.0.113.7:51820", or NULL: behind NAT. WHY: a reason, for a person. Both malloc'd. */
char *endpoint_guess(const struct mesh *mesh, const struct observation *seen, uint16_t port, char **why);

#endif
