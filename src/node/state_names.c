/* Names of endpoints looked up on the node: by a process of its own, so that a resolver that does not answer cannot hold up a change. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

#define PATIENCE (5 * CLOCK_SECOND)

struct found {
    size_t row;
    int code; /* of getaddrinfo */
    struct endpoint endpoint;
};

static bool is_wanted(const struct state *state, size_t row)
{
    return state->endpoint_hosts && state->endpoint_hosts[row] && !state->device.peers[row].endpoint.address.family;
}

static struct endpoint from_socket_address(const struct sockaddr *any)
{
    struct endpoint endpoint = {.address.family = (uint8_t)any->sa_family};
    if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)any;
        memcpy(endpoint.address.bytes, &address->sin6_addr, 16);
        endpoint.port = ntohs(address->sin6_port);
        endpoint.scope = address->sin6_scope_id;
    } else {
        const struct sockaddr_in *address = (const void *)any;
        memcpy(endpoint.address.bytes, &address->sin_addr, 4);
        endpoint.port = ntohs(address->sin_port);
    }
    return endpoint;
}

static struct found look_up(size_t row, const char *host_and_port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    const char *colon = strrchr(host_and_port, ':');
    char *host = mem_text_part(host_and_port, (size_t)(colon - host_and_port));
    struct addrinfo *list = NULL;
    struct found found = {.row = row, .code = getaddrinfo(host, colon + 1, &hints, &list)};
    if (!found.code)
        found.endpoint = from_socket_address(list->ai_addr);
    free(host);
    if (list)
        freeaddrinfo(list);
    return found;
}

static void look_up_all(const struct state *state, int output)
{
    for (size_t i = 0; i < state->device.peer_count; i++) {
        if (!is_wanted(state, i))
            continue;
        const struct found found = look_up(i, state->endpoint_hosts[i]);
        if (file_write_all(output, &found, sizeof found))
            break;
    }
}

/* One answer, until DEADLINE. False: no more come. */
static bool hear(int input, int64_t deadline, struct found *found)
{
    size_t have = 0;
    while (have < sizeof *found) {
        struct pollfd entry = {.fd = input, .events = POLLIN};
        int64_t left = deadline - clock_steady();
        if (left <= 0)
            return false;
        if (poll(&entry, 1, (int)(left / CLOCK_MILLISECOND) + 1) <= 0)
            continue;
        ssize_t got = read(input, (char *)found + have, sizeof *found - have);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static int no_address(const struct state *state, size_t row, const char *why, struct err *err)
{
    return err_set(err, "%s: the endpoint %s has no address here: %s; check the name and the node's resolver, or write the address", state->name,
                   state->endpoint_hosts[row], why);
}

static int hear_all(const struct state *state, int input, struct endpoint *endpoints, struct err *err)
{
    int64_t deadline = clock_steady() + PATIENCE;
    for (size_t i = 0; i < state->device.peer_count; i++) {
        struct found found;
        if (!is_wanted(state, i))
            continue;
        if (!hear(input, deadline, &found) || found.row != i)
            return no_address(state, i, "its resolver does not answer within 5 s", err);
        if (found.code)
            return no_address(state, i, gai_strerror(found.code), err);
        endpoints[i] = found.endpoint;
    }
    return 0;
}

static int ask_process(const struct state *state, struct endpoint *endpoints, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return err_set(err, "%s: names of endpoints cannot be looked up: %s", state->name, strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        close(ends[0]);
        look_up_all(state, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    int result = child < 0 ? err_set(err, "%s: names of endpoints cannot be looked up: %s", state->name, strerror(errno)) : hear_all(state, ends[0], endpoints, err);
    close(ends[0]);
    if (child > 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return result;
}

int state_endpoints(const struct state *state, struct endpoint **endpoints, struct err *err)
{
    bool any = false;
    *endpoints = mem_alloc(state->device.peer_count, sizeof **endpoints);
    for (size_t i = 0; i < state->device.peer_count; i++) {
        (*endpoints)[i] = state->device.peers[i].endpoint;
        any = any || is_wanted(state, i);
    }
    if (!any || !ask_process(state, *endpoints, err))
        return 0;
    free(*endpoints);
    *endpoints = NULL;
    return -1;
}
