/* A dialogue with a helper of our own ("wgdeck node", this very program) as a child over pipes, for who changes this machine without a deck: joining, and the hub's side of it. It waits for
 * answers. The child ends with its pipe, also when its parent is killed; a guard that it has started does not. Private to src/node. */
#ifndef WGDECK_NODE_HELPER_PIPE_H
#define WGDECK_NODE_HELPER_PIPE_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

struct helper_pipe; /* opaque; one thread */

enum { HELPER_PIPE_LINE_MAX = 4 << 20, HELPER_PIPE_CODE = 24 };

/* ARGUMENTS: of the child, whose program is this one (/proc/self/exe); NULL: "wgdeck node". It has a session of its own, so that ^C on the terminal is not for it. SIGPIPE is ignored
 * from then on. NULL with err. */
struct helper_pipe *helper_pipe_start(char *const arguments[], struct err *err);
/* Lines that belong to a request and are no answer ({"id":3,"event":"did",...}) while helper_pipe_ask waits. */
void helper_pipe_events(struct helper_pipe *pipe, void (*event)(void *context, const cJSON *event), void *context);
/* MEMBERS: what stands in the object behind "id" ("\"op\":\"hello\""). The answer, an object with "ok":true (cJSON_Delete); or NULL with err, and CODE as the helper gives it; ours are
 * "lost" (the helper has ended) and "late" (no answer within SECONDS; one that comes later is passed over). CODE "" when there is none. */
cJSON *helper_pipe_ask(struct helper_pipe *pipe, const char *members, double seconds, char code[static HELPER_PIPE_CODE], struct err *err);

/* The lines themselves, for who numbers requests on its own. LINE without its end. 0, or -1 with err: it is gone. */
int helper_pipe_send(struct helper_pipe *pipe, const char *line, size_t length, struct err *err);
/* 0; 1: none came within SECONDS, or a signal did; -1 with err: it is gone, or its line is too long. */
int helper_pipe_receive(struct helper_pipe *pipe, double seconds, struct buf *line, struct err *err);
int helper_pipe_process(const struct helper_pipe *pipe);

/* Closes its channel and waits for its end; killed after PATIENCE seconds. NULL is fine. */
void helper_pipe_end(struct helper_pipe *pipe, double patience);

#endif
