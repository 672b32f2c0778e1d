/* ChaCha20-Poly1305 (RFC 8439) for the data path: an ops table; each implementation passes a known-answer test before it is used. */
#ifndef WGDECK_ENGINE_SEAL_H
#define WGDECK_ENGINE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/err.h"

#define SEAL_TAG 16

/* The nonce is 4 zero bytes and the counter, little endian; no additional data (whitepaper section 5.4.6). A context belongs to one thread. */
struct seal_ops {
    const char *name; /* "ipsec-mb", "libcrypto" */
    bool (*available)(void);
    void *(*context_new)(void);
    void (*context_free)(void *context); /* wipes what it holds of keys */
    /* TO: length + SEAL_TAG bytes. TO may be FROM; otherwise they do not overlap. */
    void (*seal)(void *context, const uint8_t key[static 32], uint64_t counter, const uint8_t *from, size_t length, uint8_t *to);
    /* In place: LENGTH is without the tag that follows. The tag is compared in constant time before anything may read the plain text. 0, or -1 and
     * the bytes are worth nothing. */
    int (*open)(void *context, const uint8_t key[static 32], uint64_t counter, uint8_t *bytes, size_t length);
};

/* The fastest that is there and works, or the one NAMED (NULL: any). NULL with err. */
const struct seal_ops *seal_choose(const char *named, struct err *err);

#endif
