/* A whole interface set up as its file has it: names of endpoints looked up, then keys, port, mark and rows at once. */
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "up.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

/* --- names of endpoints */

enum { RESOLVE_TRIES = 6 }; /* 1, 2, 4, 8, 16 s between them: at boot the resolver may be late */

static int resolve(char *host_and_port, struct endpoint *endpoint, struct err *err)
{
    char *colon = strrchr(host_and_port, ':');
    char *host = mem_text_part(host_and_port, (size_t)(colon - host_and_port));
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int result = EAI_AGAIN;
    for (int try = 0; try < RESOLVE_TRIES && !up_interrupted(); try++) {
        result = getaddrinfo(host, colon + 1, &hints, &found);
        if (result != EAI_AGAIN)
            break;
        log_notice("%s has no address yet: %s", host, gai_strerror(result));
        if (try + 1 < RESOLVE_TRIES)
            poll(NULL, 0, 1000 << try);
    }
    free(host);
    if (result)
        return err_set(err, "the endpoint %s: %s", host_and_port, gai_strerror(result));
    *endpoint = (struct endpoint){.address.family = (uint8_t)found->ai_family};
    if (found->ai_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)found->ai_addr;
        memcpy(endpoint->address.bytes, &address->sin6_addr, 16);
        endpoint->port = ntohs(address->sin6_port);
        endpoint->scope = address->sin6_scope_id;
    } else {
        const struct sockaddr_in *address = (const void *)found->ai_addr;
        memcpy(endpoint->address.bytes, &address->sin_addr, 4);
        endpoint->port = ntohs(address->sin_port);
    }
    freeaddrinfo(found);
    return 0;
}

int up_resolve(struct wgquick *wanted, struct err *err)
{
    for (size_t i = 0; i < wanted->device.peer_count; i++)
        if (wanted->endpoint_hosts[i] && resolve(wanted->endpoint_hosts[i], &wanted->device.peers[i].endpoint, err))
            return -1;
    return 0;
}

/* --- keys, port, mark, rows */

int up_configure(enum engine_kind engine, const char *name, const struct device *device, const struct up_secrets *secrets, struct err *err)
{
    static const struct key none;
    struct up_set set = {.name = name, .private_key = &secrets->private_key, .set_port = true, .port = device->listen_port, .set_mark = true,
                         .mark = device->fwmark, .replace_peers = true, .row_count = device->peer_count};
    set.rows = mem_alloc(device->peer_count, sizeof *set.rows);
    for (size_t i = 0; i < device->peer_count; i++) {
        const struct device_peer *peer = &device->peers[i];
        const struct key *preshared = up_secrets_preshared(secrets, &peer->public_key);
        set.rows[i] = (struct up_row_set){.public_key = &peer->public_key, .preshared = preshared ? preshared : &none, .endpoint = peer->endpoint,
                                          .set_keepalive = true, .keepalive = peer->keepalive, .replace_allowed = true, .allowed = peer->allowed,
                                          .allowed_count = peer->allowed_count};
    }
    int result = up_set(engine, &set, err);
    free(set.rows);
    return result;
}

int up_set_mark(enum engine_kind engine, const char *name, uint32_t mark, struct err *err)
{
    const struct up_set set = {.name = name, .set_mark = true, .mark = mark};
    return up_set(engine, &set, err);
}
