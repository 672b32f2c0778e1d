/* Handshake messages and cookie replies as they come from the net: any bytes, of any of the lengths. Nothing but a true one may be taken. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/noise_transcript.h"
#include "../../src/engine/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct noise_identity identity = {.set = true};
    static struct noise_static peer;
    if (!peer.usable) {
        struct key other;
        memcpy(identity.private_key.bytes, our_private, KEY_SIZE);
        memcpy(other.bytes, their_private, KEY_SIZE);
        memcpy(peer.preshared.bytes, preshared, KEY_SIZE);
        key_public(&identity.private_key, &identity.public_key);
        key_public(&other, &peer.public_key);
        noise_static_prepare(&peer, &identity);
    }
    if (length == sizeof(struct message_initiation)) {
        struct message_initiation message;
        struct noise_incoming incoming;
        memcpy(&message, bytes, sizeof message);
        if (!noise_initiation_open(&message, &identity, &incoming) && key_equal(&incoming.initiator, &peer.public_key) &&
            !noise_initiation_verify(&message, &peer, &incoming) && memcmp(bytes + 8, their_initiation + 8, 108) && memcmp(bytes + 8, our_initiation + 8, 108))
            abort();
    } else if (length == sizeof(struct message_response)) {
        struct message_response message;
        struct noise_keys keys;
        struct noise_handshake handshake = {.waiting = true, .local_index = 0x01020304};
        memcpy(handshake.hash, state_hash, 32);
        memcpy(handshake.chaining_key, state_chaining_key, 32);
        memcpy(handshake.ephemeral_private, state_ephemeral, 32);
        memcpy(&message, bytes, sizeof message);
        if (!noise_response_consume(&message, &handshake, &peer, &identity, &keys) ? memcmp(bytes + 8, their_response + 8, 52) != 0 : !handshake.waiting)
            abort();
    } else if (length == sizeof(struct message_cookie)) {
        struct message_cookie message;
        struct mac_key key;
        struct cookie_state known = {.sent = true};
        memcpy(&message, bytes, sizeof message);
        memcpy(known.last_mac1, their_initiation + 116, 16);
        cookie_key_make(&key, &identity.public_key);
        if (!cookie_reply_consume(&known, &key, 5, &message) && memcmp(bytes + 8, cookie_reply + 8, 56))
            abort();
    }
    return 0;
}
