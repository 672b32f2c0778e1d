/* The replay window (RFC 6479; 8192 counters): checked only after a packet decrypted. Its caller holds the keypair's lock. */
#ifndef WGDECK_ENGINE_REPLAY_H
#define WGDECK_ENGINE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS 8192
#define REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_BITS)
#define REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)

struct replay {
    uint64_t next;                       /* one above the highest counter seen */
    uint64_t window[REPLAY_BITS / 64];   /* a ring */
};
bool replay_take(struct replay *replay, uint64_t counter); /* true: new, and marked; false: seen, too old, or above the limit */

#endif
