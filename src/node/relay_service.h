/* What runs on a hub for those who join through it: the opaque relay (wgdeck/relay.h) and the talk with its joined nodes (control.h), in one process. Private to src/node. */
#ifndef WGDECK_NODE_RELAY_SERVICE_H
#define WGDECK_NODE_RELAY_SERVICE_H

#include <stdint.h>

#include "wgdeck/err.h"

/* Started detached, unless it runs already. When it has its port: 0; else -1 with err. */
int relay_service_start(const char *interface, uint16_t port, struct err *err);
uint16_t relay_service_port(const char *interface); /* that it was enabled with (boot.h); 0: it was not */

#endif
