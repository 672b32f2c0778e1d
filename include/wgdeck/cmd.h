/* Subcommands: one file each, ending in one of these; src/cmd/main.c holds the table. */
#ifndef WGDECK_CMD_H
#define WGDECK_CMD_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses. status and doctor speak as monitoring plugins do; all others: CMD_OK, CMD_FAILED, CMD_USAGE. */
enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };
enum { STATUS_OK = 0, STATUS_WARNING = 1, STATUS_FAULT = 2, STATUS_COULD_NOT_LOOK = 3 };

struct cmd_option {
    char letter;             /* 0: none */
    const char *name;        /* long form without the dashes */
    const char *argument;    /* what the value is, as shown ("FILE"), or NULL for a switch */
    const char *help;        /* one line; also the manual's */
};

/* What stands before the subcommand or among its options, for all of them. */
struct cmd_globals {
    const char *mesh_file;   /* -m */
    const char *ssh_config;  /* -F */
    const char *nodes;       /* -n */
};

struct cmd {
    const char *name;
    const char *arguments;   /* "[HOST...]" */
    const char *summary;     /* one line for wgdeck --help and the manual's list */
    const char *description; /* paragraphs for the manual and --help, mdoc-free plain text */
    const struct cmd_option *options; /* ends with a row without name */
    const char *const *examples;      /* command lines, each followed by what it does; ends with NULL; may be NULL */
    bool hidden;             /* not for people */
    int (*run)(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv); /* argv[0] is the name */
};

extern const struct cmd *const cmd_table[]; /* ends with NULL */

#endif
