/* Bringing a WireGuard interface up and taking it down by its wg-quick file (wg-quick(8)), without wg, ip or wg-quick. */
#ifndef WGDECK_UP_H
#define WGDECK_UP_H

#include <stdbool.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

enum up_engine {
    UP_ENGINE_ANY,      /* the kernel's if it has WireGuard, else this program's */
    UP_ENGINE_KERNEL,
    UP_ENGINE_EMBEDDED,
};

struct up_options {
    const char *target;    /* "wg0" (/etc/wireguard/wg0.conf), or the path of a file whose name ends in .conf */
    enum up_engine engine;
    bool dry_run;          /* nothing is done: the steps are written to SAID, one a line */
};

/* Every step, or none: when one fails, those before it are undone in reverse. Hooks are run by sh. SAID: a line that says what is there now.
 * Notices and warnings go to the log. 0, or -1 with err (which step, why). */
int up_run(const struct up_options *options, struct buf *said, struct err *err);
/* Takes away what up_run made, and what a wg-quick made. A failing PreDown hook leaves all as it is; behind it, everything is tried. */
int down_run(const struct up_options *options, struct buf *said, struct err *err);

#endif
