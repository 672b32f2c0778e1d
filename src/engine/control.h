/* The control thread's own parts: what runs the engine around the data threads. run.c, loop.c, lifecycle.c. */
#ifndef WGDECK_ENGINE_CONTROL_H
#define WGDECK_ENGINE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "uapi.h"
#include "wgdeck/engine.h"

/* --- lifecycle.c: sockets that come and go with the interface, and the data threads. */
int workers_start(struct engine *engine, struct err *err);
void workers_stop(struct engine *engine);                 /* until the last has ended */
bool interface_is_up(const struct engine *engine);
int interface_up(struct engine *engine, struct err *err); /* opens the sockets; persistent keepalives begin. 0, or -1 */
void interface_down(struct engine *engine);               /* closes them; sessions end, as with the kernel's engine */
/* Another port or mark, now if the interface is up. 0, or a negative errno and all is as it was. */
int interface_configure(struct engine *engine, uint16_t port, uint32_t fwmark);

/* --- loop.c: the control thread. */
struct loop;
struct loop *loop_new(struct engine *engine, struct uapi_place *place, struct err *err); /* PLACE: listening */
void loop_run(struct loop *loop);                         /* until a signal, or the link or the socket's file is gone */
void loop_free(struct loop *loop);

#endif
