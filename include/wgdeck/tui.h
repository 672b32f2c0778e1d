/* The deck on the terminal: screens of a live mesh, until the person leaves. */
#ifndef WGDECK_TUI_H
#define WGDECK_TUI_H

#include <ev.h>
#include <stdbool.h>

#include "wgdeck/err.h"
#include "wgdeck/live.h"

struct tui_options {
    const char *theme;       /* name or path; NULL: the configuration's, else "default" */
    const char *config;      /* path of deck.conf; NULL: $XDG_CONFIG_HOME/wgdeck/deck.conf if it is there */
    const char *screen;      /* name of the screen to begin with; NULL: overview */
    const char *ssh_config;  /* -F, for the shell on a node; NULL */
    const char *mesh_path;   /* the mesh file that can be changed from here; NULL: none (targets, a recording) */
    const char *state;       /* folder for the answers of a wizard that was left, and the event log; NULL */
    void (*reload)(void *context); /* the mesh file is another one now: tui_swap_live is to follow. NULL */
    void *context;
    double interval;         /* seconds between looks; 0: deck.conf's, else the live mesh's own */
    bool ascii, no_mouse, read_only, no_colour, privacy;
};

struct tui; /* opaque */

/* Can a deck be shown on this terminal? 0, or -1 with err: what is missing, and what to use instead ("wgdeck status -w 2"). */
int tui_check_terminal(struct err *err);
/* Takes the terminal. LIVE is given later, since what it asks and tells goes through the deck. NULL with err; the terminal is as before then. */
struct tui *tui_new(struct ev_loop *loop, const struct tui_options *options, struct err *err);
/* For struct live_callbacks; context: the tui. */
void tui_live_changed(void *context, unsigned what);
void tui_set_live(struct tui *tui, struct live *live);
/* Another live mesh in the place of the one there; the terminal and the screen stay. First with NULL: nothing is known of the old one any more, and it can be freed. */
void tui_swap_live(struct tui *tui, struct live *live);
void tui_quit(struct tui *tui); /* ends tui_run */
/* Runs the loop until the person leaves or a signal ends it; returns the signal, or 0. The terminal is as before then. */
int tui_run(struct tui *tui);
void tui_free(struct tui *tui); /* before live_free */

/* What puts TEXT onto the clipboard of the person's own terminal (OSC 52), over SSH and through tmux alike; TEXT may be a secret, and OUT then is one. */
void tui_clipboard_sequence(const char *text, size_t length, struct buf *out);

/* Tables that the manual is made from. */
struct tui_key_row { const char *action, *keys, *where, *help; };
size_t tui_key_rows(struct tui_key_row *rows, size_t most);           /* the count there is */
struct tui_named { const char *name, *help; };
size_t tui_style_rows(struct tui_named *rows, size_t most);           /* keys of a theme file */
size_t tui_command_rows(struct tui_named *rows, size_t most);         /* what ":" knows */
size_t tui_screen_rows(struct tui_named *rows, size_t most);
size_t tui_config_rows(struct tui_named *rows, size_t most);          /* keys of deck.conf */

#endif
