/* For debugging only: the keys of handshakes in the format of Wireshark's preference wg.keylog_file. Compiled with -DDEBUG_KEYLOG, never in a release. */
#ifndef WGDECK_ENGINE_KEYLOG_H
#define WGDECK_ENGINE_KEYLOG_H

#include <stddef.h>

#include "noise.h"

#ifdef DEBUG_KEYLOG
/* To the file WGDECK_KEYLOG, mode 0600; without it nothing is written. IDENTITY stays while the engine does. */
void keylog_begin(const struct noise_identity *identity);
/* For each message that this side makes: its private EPHEMERAL key. */
void keylog_handshake(const struct noise_static *peer, const uint8_t ephemeral[static KEY_SIZE]);
#else
static inline void keylog_begin(const struct noise_identity *identity) { (void)identity; }
static inline void keylog_handshake(const struct noise_static *peer, const uint8_t ephemeral[static KEY_SIZE])
{
    (void)peer;
    (void)ephemeral;
}
#endif

#endif
