/* What "up" and "down" share. */
#ifndef WGDECK_CMD_UP_COMMAND_H
#define WGDECK_CMD_UP_COMMAND_H

#include "wgdeck/cmd.h"
#include "wgdeck/up.h"

/* Reads the command line, acts, tells the outcome. The exit status. */
int up_command(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv,
               int (*act)(const struct up_options *options, struct buf *said, struct err *err));

#endif
