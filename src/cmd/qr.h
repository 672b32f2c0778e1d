/* A QR code on the terminal. */
#ifndef WGDECK_CMD_QR_H
#define WGDECK_CMD_QR_H

#include "terminal.h"
#include "wgdeck/buf.h"
#include "wgdeck/err.h"

/* TEXT as a QR code: half blocks, or two characters a module where the terminal has no UTF-8. 0, or -1 with err: too long, or this program was built without libqrencode. */
int qr_add(const char *text, const struct terminal *terminal, struct buf *out, struct err *err);

#endif
