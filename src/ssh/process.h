/* A child process on the loop: pipes to it, and when it ended. */
#ifndef WGDECK_SSH_PROCESS_H
#define WGDECK_SSH_PROCESS_H

#include <ev.h>

#include "wgdeck/err.h"

struct process;

/* Run ARGUMENTS (found in PATH). ENDS[0..2] become our non-blocking, close-on-exec ends of its stdin (a socket), stdout and stderr, the
 * caller's to close. EXITED (wait status) comes once, on the loop; the process is freed after it. NULL with err. */
struct process *process_start(struct ev_loop *loop, char *const *arguments, int ends[3], void (*exited)(void *context, int status),
                              void *context, struct err *err);
/* Nobody hears of it any more; SIGTERM, after a moment SIGKILL, and no zombie stays. Does not wait longer than 100 ms. */
void process_end(struct process *process);

#endif
