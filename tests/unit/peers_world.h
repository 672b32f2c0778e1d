/* Peers, endpoints and sessions for tests of the engine's tables. */
#ifndef WGDECK_PEERS_WORLD_H
#define WGDECK_PEERS_WORLD_H

#include <arpa/inet.h>

#include "unit.h"

#include "engine/engine.h"

/* These structs want whole cache lines. */
static inline void *lines_alloc(size_t size)
{
    size = (size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (!memory)
        abort();
    return memset(memory, 0, size);
}

/* Each by its number, so that a torn one is known. */
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
