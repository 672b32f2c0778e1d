/* What the standard streams are: a terminal or not, its width, its colours, its charset. */
#ifndef WGDECK_CMD_TERMINAL_H
#define WGDECK_CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/cmd.h"

struct terminal {
    size_t width;      /* columns to write in */
    bool interactive;  /* it is a terminal */
    bool colour;       /* and colours are wanted */
    bool utf8;
};

void terminal_begin(void);          /* locale; a broken pipe is no message, only an end */
int terminal_end(int status);       /* flushes stdout; a failed write (full disk) makes an error of success */
size_t terminal_width(int descriptor); /* $COLUMNS, else the terminal's, else 80 */
struct terminal terminal_of(int descriptor, const struct cmd_globals *globals);

#endif
