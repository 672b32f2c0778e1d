/* Help is a screen like the others, but for one thing: it must know which one it is about, and whose keys. */
#ifndef WGDECK_TUI_HELP_H
#define WGDECK_TUI_HELP_H

#include "view.h"

struct tui;
void help_about(struct view *view, const struct tui *tui, const struct view_ops *about); /* ABOUT NULL: the deck as a whole */

#endif
