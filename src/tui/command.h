/* The command line, for its own file and its test. */
#ifndef WGDECK_TUI_COMMAND_H
#define WGDECK_TUI_COMMAND_H

#include "tui_private.h"

/* A place in a replay: "14:02:11" of its day, a whole time, "+60" or "-60" seconds from where it is. */
bool command_time(const char *text, const struct live_replay_state *state, int64_t *at);

#endif
