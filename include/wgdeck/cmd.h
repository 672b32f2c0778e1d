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
    const char *fallback;    /* what holds when it is not given, for help and manual; NULL: nothing to say */
};

struct cmd_exit {
    int status;
    const char *meaning; /* NULL in the row that ends the list */
};

/* What stands before the subcommand or among its options, for all of them. */
struct cmd_globals {
    const char *mesh_file;   /* -m */
    const char *ssh_config;  /* -F */
    const char *nodes;       /* -n */
    bool ascii;              /* --ascii: no character beyond ASCII on the screen */
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
    bool judges;             /* exit statuses are STATUS_*: a usage error is STATUS_COULD_NOT_LOOK */
    bool options_first;      /* options end at the first operand: what follows belongs to another program */
    const struct cmd_exit *exits; /* NULL: 0, 1 and 2 as everywhere */
};

extern const struct cmd *const cmd_table[];   /* ends with NULL */
extern const char *const cmd_planned[];       /* names that DESIGN gives and that are not built yet; ends with NULL */
extern const struct cmd_option cmd_global_options[]; /* ends with a row without name */
extern const struct cmd_exit cmd_common_exits[], cmd_judging_exits[];

/* The whole program: options of all commands, then the subcommand. Returns the exit status. */
int cmd_main(int argc, char **argv);

#endif
