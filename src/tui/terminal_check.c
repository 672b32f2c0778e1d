/* Can a deck be shown here? Says what is missing, and what there is instead. */
#include "terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Last: term.h makes macros of everyday words. */
#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <term.h>

#define INSTEAD "'wgdeck status -w 2' shows the mesh as plain lines"

static int unusable(const char *name, int found, struct err *err)
{
    if (found < 0)
        return err_set(err, "there is no terminfo database on this machine, which tells how to draw on a terminal of TERM '%s' (Debian: "
                            "ncurses-base); " INSTEAD, name);
    return err_set(err, "TERM is '%s', which terminfo does not know on this machine (try TERM=xterm-256color); " INSTEAD, name);
}

int terminal_check(struct err *err)
{
    const char *name = getenv("TERM");
    int found = 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(err, "the deck needs a terminal, and standard %s is none; " INSTEAD, isatty(STDIN_FILENO) ? "output" : "input");
    if (!name || !*name)
        return err_set(err, "TERM is not set, so it is not known how to draw on this terminal (try TERM=xterm-256color); " INSTEAD);
    if (!strcmp(name, "dumb"))
        return err_set(err, "TERM is 'dumb': such a terminal cannot show a deck; " INSTEAD);
    if (setupterm(name, STDOUT_FILENO, &found) != OK || found != 1)
        return unusable(name, found, err);
    const char *position = tigetstr("cup"), *clear = tigetstr("clear");
    bool able = position && position != (const char *)-1 && clear && clear != (const char *)-1;
    del_curterm(cur_term);
    if (!able)
        return err_set(err, "a terminal of TERM '%s' cannot move its cursor, so no deck can be drawn on it; " INSTEAD, name);
    return 0;
}
