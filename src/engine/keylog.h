/* For debugging only: the keys of handshakes in the format of Wireshark's preference wg.keylog_file. Compiled with -DDEBUG_KEYLOG, never in a release. */
#ifndef WGDECK_ENGINE_KEYLOG_H
#define WGDECK_ENGINE_KEYLOG_H

#include <stddef.h>

#include "noise.h"

#ifdef DEBUG_KEYLOG
void keylog_begin(void); /* to the file WGDECK_KEYLOG, mode 0600; without it nothing is written */
/* After either message of a handshake was made here: EPHEMERAL is this side's private one. */
void keylog_handshake(const struct noise_identity *identity, const struct noise_static *peer, const uint8_t ephemeral[static KEY_SIZE]);
#else
static inline void keylog_begin(void) {}
#endif

#endif
