/* Questions that only a person can answer (host keys, passwords), asked on /dev/tty while all other sessions go on. */
#ifndef WGDECK_CMD_ASK_H
#define WGDECK_CMD_ASK_H

#include <ev.h>
#include <stdbool.h>

#include "wgdeck/fanout.h"

struct ask;

/* NULL when there is no terminal to ask on: then every question is refused (fanout_options.ask NULL). */
struct ask *ask_new(struct ev_loop *loop);
void ask_free(struct ask *ask); /* restores the terminal; wipes what was typed */
void ask_attach(struct ask *ask, struct fanout *fanout);
void ask_question(void *context, const struct fanout_question *question); /* for fanout_options.ask; context: the struct ask */
bool ask_pending(const struct ask *ask); /* someone is being asked; ask may be NULL */

/* One line on the terminal that tells how far things are; it goes away by itself before anything else is written. */
void progress_show(const char *text);
void progress_clear(void);

#endif
