/* The wizard as questions and answers on the command line: init, add, remove and rotate without arguments on a terminal. */
#ifndef WGDECK_CMD_WIZARD_H
#define WGDECK_CMD_WIZARD_H

#include "options.h"
#include "wgdeck/wizard.h"

/* Is there somebody who can be asked? Else the command says what arguments it wants. */
bool wizard_can_ask(void);
/* Until it is over or left. Of the command's own options "timeout" and "confirm-within" count, where it has them. The exit status. */
int wizard_command(const struct options *options, enum wizard_kind kind);

#endif
