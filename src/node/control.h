/* What a hub and the nodes that have joined through it say to each other through the tunnel (DESIGN section 11): UDP to the hub's mesh address, CONTROL_PORT, JSON in datagrams of at most
 * CONTROL_BYTES, on sockets bound to the interface. WireGuard itself has proven who speaks: a packet with an inner source came from the peer whose row allows it. Private to src/node.
 *
 *   node → hub {"op":"hello","key":ITS KEY,"name":...,"rows":[...],"candidates":[...],"port":N}   as path-look answers, as much as fits; every 5 s, every second while something is tried
 *   hub → node {"op":"path",...}                an order of ladder.h, without "interface"
 *   node → hub {"op":"leave"}                   its row goes, running and saved, if it has joined by an invitation; hub → node {"op":"left"} */
#ifndef WGDECK_NODE_CONTROL_H
#define WGDECK_NODE_CONTROL_H

#include <ev.h>
#include <stdint.h>

#include "wgdeck/err.h"

/* Below 1024 at both ends: WireGuard proves which node speaks, and such a port that it is root there, not any program of any user. */
enum { CONTROL_PORT = 988, CONTROL_BYTES = 1200 };

/* On a node that has joined: /var/lib/wgdeck/IF/joined says by which hub. NULL with err when it has not. */
struct control_agent;
struct control_agent *control_agent_new(struct ev_loop *loop, const char *interface, struct err *err);
void control_agent_free(struct control_agent *agent); /* NULL is fine */

/* On the hub, in the process of the relay: drives the ladder of each pair of nodes that it hears. RELAY_PORT: of the opaque relay, 0 none. REMOVER: of control_remover_start. */
struct control_hub;
struct control_hub *control_hub_new(struct ev_loop *loop, const char *interface, uint16_t relay_port, int remover, struct err *err);
void control_hub_free(struct control_hub *hub);

/* A child that takes out the row of who leaves, with the rights that it needs for that; whoever has started it can do without them from then on. The end of a pipe, which ends it when it is closed;
 * -1 with err. */
int control_remover_start(const char *interface, struct err *err);

/* Ask the hub to take this node's row away; waits at most 3 s. 0 when it has said that it did; -1 with err. */
int control_leave(const char *interface, struct err *err);

#endif
