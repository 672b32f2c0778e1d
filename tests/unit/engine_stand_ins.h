/* Peers for tests of the engine's tables, and weak copies of what these tables call in other parts of the engine: the parts are tested by themselves, and
 * a test of a table needs neither sockets nor handshakes. */
#ifndef WGDECK_ENGINE_STAND_INS_H
#define WGDECK_ENGINE_STAND_INS_H

#include <arpa/inet.h>

#include "unit.h"

#include "engine/engine.h"

void __attribute__((weak)) noise_static_prepare(struct noise_static *peer, const struct noise_identity *identity) { peer->usable = identity->set; }
void __attribute__((weak)) mac_key_make(struct mac_key *key, const struct key *public_key) { memcpy(key->bytes, public_key->bytes, 32); }
void __attribute__((weak)) cookie_key_make(struct mac_key *key, const struct key *public_key) { memcpy(key->bytes, public_key->bytes, 32); }
void __attribute__((weak)) staged_drop(struct peer *peer) { (void)peer; }
void __attribute__((weak)) timers_peer_removed(struct peer *peer) { (void)peer; }
bool __attribute__((weak)) udp_endpoint_equal(const struct udp_endpoint *a, const struct udp_endpoint *b) { return !memcmp(a, b, sizeof *a); }

/* These structs want whole cache lines. */
static inline void *lines_alloc(size_t size)
{
    size = (size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (!memory)
        abort();
    return memset(memory, 0, size);
}

/* Peers, endpoints and sessions by number, so that a torn one is known. */
static inline struct key test_key(uint32_t number)
{
    struct key key = {{1}};
    memcpy(key.bytes + 8, &number, sizeof number);
    return key;
}

static inline struct udp_endpoint test_endpoint_of(uint16_t number)
{
    struct udp_endpoint endpoint;
    memset(&endpoint, 0, sizeof endpoint);
    endpoint.to.v4.sin_family = AF_INET;
    endpoint.to.v4.sin_port = htons(number);
    endpoint.to.v4.sin_addr.s_addr = htonl(0x0a000000u + number);
    endpoint.source.v4.s_addr = htonl(0xc0000000u + number);
    endpoint.source_interface = number;
    endpoint.source_family = AF_INET;
    return endpoint;
}

static inline struct keypair *test_session(struct peer *peer, uint32_t index, bool initiator)
{
    struct noise_keys keys = {.remote_index = ~index};
    memset(keys.send, (int)index & 0xff, sizeof keys.send);
    memset(keys.receive, (int)(index >> 8) & 0xff, sizeof keys.receive);
    return keypair_install(peer, &keys, index, initiator, 5);
}

#endif
