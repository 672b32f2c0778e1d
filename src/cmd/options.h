/* Command lines, read through the tables of struct cmd_option; help is printed from the same tables. */
#ifndef WGDECK_CMD_OPTIONS_H
#define WGDECK_CMD_OPTIONS_H

#include "wgdeck/buf.h"
#include "wgdeck/cmd.h"

#define OPTIONS_MAXIMUM 32 /* rows of one command's table and the global one together */

struct options {
    const struct cmd *cmd;
    struct cmd_globals globals;
    const char *values[OPTIONS_MAXIMUM]; /* of cmd->options, row by row: NULL if not given, "" for a switch */
    char **operands;                     /* borrowed from argv */
    int operand_count;
    int status;                          /* the exit status when options_parse says false */
};

/* Read a subcommand's command line (argv[0] is its name). False when nothing is left to do: --help was printed, or
 * an error was; options->status is then the exit status. */
bool options_parse(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv, struct options *options);

/* The value given for option NAME, or NULL. The name must stand in the command's table. */
const char *options_value(const struct options *options, const char *name);
bool options_given(const struct options *options, const char *name);
/* Seconds, as a decimal number within MINIMUM..MAXIMUM; FALLBACK when not given. False with a message when it is not one. */
bool options_seconds(struct options *options, const char *name, double minimum, double maximum, double fallback, double *seconds);

/* A usage error: "wgdeck: status: ..." and where help is. Returns the command's exit status for it. */
int options_usage_error(const struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "unknown command", or "not built yet", and what may have been meant. Returns the exit status. */
int options_unknown_command(const char *word);

/* Help as text, wrapped at WIDTH columns. cmd NULL: of the program. */
void help_write(const struct cmd *cmd, size_t width, struct buf *buf);
const struct cmd *cmd_find(const char *name); /* or NULL */

#endif
