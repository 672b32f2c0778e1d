/* The deck as commands open it: wgdeck, wgdeck tui, wgdeck replay. */
#ifndef WGDECK_CMD_DECK_H
#define WGDECK_CMD_DECK_H

#include <stdio.h>

#include "gather.h"
#include "wgdeck/tui.h"

/* Rows of the deck's options, and their reading. */
#define DECK_OPTION_ROWS \
    {.name = "theme", .argument = "NAME", .help = "colours: a theme's name, or a file", .fallback = "deck.conf's, else \"default\""}, \
    {.name = "screen", .argument = "NAME", .help = "the screen to begin with", .fallback = "deck.conf's, else \"overview\""}, \
    {.name = "no-mouse", .help = "leave the mouse to the terminal"}, \
    {.name = "privacy", .help = "begin with names, addresses and keys hidden"}
void deck_read_options(const struct options *options, struct tui_options *wanted);

/* Until the person leaves; frees both. Returns the exit status. */
int deck_run(const struct options *options, struct tui *tui, struct live *live);
/* A recording in the deck, at START (wall clock; 0: its beginning) and SPEED. Returns the exit status. */
int deck_replay(const struct options *options, FILE *file, const char *name, int64_t start, double speed);
/* The incident that comes with the program. */
FILE *deck_incident(void);
extern const char deck_incident_name[];

#endif
