/* The outer side: opening the sockets of both families on one port, what they report of each datagram, and reading them. Sending: udp_send.c. */
#include "udp.h"

#include <errno.h>
#include <linux/udp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "wgdeck/mem.h"

#define SOCKET_BUFFER (7 << 20)
#define PORT_TRIES 100
#define RECEIVE_MOST 32

void udp_endpoint_from(const struct endpoint *endpoint, struct udp_endpoint *to)
{
    memset(to, 0, sizeof *to);
    if (endpoint->address.family == AF_INET) {
        to->to.v4.sin_family = AF_INET;
        to->to.v4.sin_port = htons(endpoint->port);
        memcpy(&to->to.v4.sin_addr, endpoint->address.bytes, 4);
    } else if (endpoint->address.family == AF_INET6) {
        to->to.v6.sin6_family = AF_INET6;
        to->to.v6.sin6_port = htons(endpoint->port);
        memcpy(&to->to.v6.sin6_addr, endpoint->address.bytes, 16);
        to->to.v6.sin6_scope_id = endpoint->scope;
    }
}

void udp_endpoint_to(const struct udp_endpoint *endpoint, struct endpoint *to)
{
    memset(to, 0, sizeof *to);
    if (endpoint->to.plain.sa_family == AF_INET) {
        to->address.family = AF_INET;
        memcpy(to->address.bytes, &endpoint->to.v4.sin_addr, 4);
        to->port = ntohs(endpoint->to.v4.sin_port);
    } else if (endpoint->to.plain.sa_family == AF_INET6) {
        to->address.family = AF_INET6;
        memcpy(to->address.bytes, &endpoint->to.v6.sin6_addr, 16);
        to->port = ntohs(endpoint->to.v6.sin6_port);
        to->scope = endpoint->to.v6.sin6_scope_id;
    }
}

static bool equal_destination(const struct udp_endpoint *a, const struct udp_endpoint *b)
{
    if (a->to.plain.sa_family != b->to.plain.sa_family)
        return false;
    switch (a->to.plain.sa_family) {
    case AF_INET:
        return a->to.v4.sin_port == b->to.v4.sin_port && a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr;
    case AF_INET6:
        return a->to.v6.sin6_port == b->to.v6.sin6_port && a->to.v6.sin6_scope_id == b->to.v6.sin6_scope_id &&
               !memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, 16);
    default:
        return true;
    }
}

bool udp_endpoint_equal(const struct udp_endpoint *a, const struct udp_endpoint *b)
{
    if (!equal_destination(a, b) || a->source_family != b->source_family)
        return false;
    switch (a->source_family) {
    case AF_INET:
        return a->source_interface == b->source_interface && a->source.v4.s_addr == b->source.v4.s_addr;
    case AF_INET6:
        return a->source_interface == b->source_interface && !memcmp(&a->source.v6, &b->source.v6, 16);
    default:
        return true;
    }
}

static void set(int descriptor, int level, int option, int value)
{
    (void)setsockopt(descriptor, level, option, &value, sizeof value); /* each is an improvement only */
}

/* As the kernel's WireGuard: what is larger than the path takes is fragmented, never refused. */
static void set_options(int descriptor, int family)
{
    const int size = SOCKET_BUFFER;
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        set(descriptor, SOL_SOCKET, SO_RCVBUF, size);
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        set(descriptor, SOL_SOCKET, SO_SNDBUF, size);
    if (family == AF_INET) {
        set(descriptor, IPPROTO_IP, IP_PKTINFO, 1);
        set(descriptor, IPPROTO_IP, IP_RECVTOS, 1);
        set(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    } else {
        set(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set(descriptor, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        set(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    }
}

bool udp_needs_sentinel(const char *release)
{
    unsigned major = 0, minor = 0, patch = 0;
    return sscanf(release, "%u.%u.%u", &major, &minor, &patch) >= 2 && major == 7 && (minor == 0 || (minor == 1 && patch <= 4));
}

static bool has_segment(int descriptor)
{
    const int off = 0;
    return setsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
}

/* Only if it reads back: kernels before 5.12 took the option and gave no sizes for some sockets. */
static bool set_gro(int descriptor)
{
    int value = 1;
    socklen_t length = sizeof value;
    return setsockopt(descriptor, IPPROTO_UDP, UDP_GRO, &value, sizeof value) == 0 &&
           getsockopt(descriptor, IPPROTO_UDP, UDP_GRO, &value, &length) == 0 && value == 1;
}

static int bind_port(int descriptor, int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    return family == AF_INET ? bind(descriptor, (struct sockaddr *)&v4, sizeof v4) : bind(descriptor, (struct sockaddr *)&v6, sizeof v6);
}

static uint16_t bound_port(int descriptor)
{
    union { struct sockaddr plain; struct sockaddr_in v4; struct sockaddr_in6 v6; } name;
    socklen_t length = sizeof name;
    if (getsockname(descriptor, &name.plain, &length) != 0)
        return 0;
    return ntohs(name.plain.sa_family == AF_INET ? name.v4.sin_port : name.v6.sin6_port);
}

static int open_one(int family, uint16_t port, uint32_t fwmark, bool shared)
{
    int descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP), error;
    const int one = 1;
    if (descriptor < 0)
        return -1;
    if (family == AF_INET6)
        set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_options(descriptor, family);
    if ((!fwmark || setsockopt(descriptor, SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) == 0) &&
        (!shared || setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) && bind_port(descriptor, family, port) == 0)
        return descriptor;
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

/* All queues of one family. The first socket is bound alone, so that a port in use is refused even if its user would share it; then the others
 * join it. SO_REUSEPORT stays on: it is by it that the kernel spreads datagrams over them. 0: done, or this family does not exist here; -1 with errno. */
static int open_family(struct udp_sockets *sockets, int family, uint32_t fwmark)
{
    int *descriptors = family == AF_INET ? sockets->v4 : sockets->v6;
    for (unsigned i = 0; i < sockets->queues; i++) {
        descriptors[i] = open_one(family, sockets->port, fwmark, i > 0);
        if (descriptors[i] < 0)
            return i == 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT) ? 0 : -1;
        if (i > 0)
            continue;
        if (sockets->port == 0)
            sockets->port = bound_port(descriptors[0]);
        if (sockets->queues > 1)
            set(descriptors[0], SOL_SOCKET, SO_REUSEPORT, 1);
    }
    return 0;
}

static void close_all(struct udp_sockets *sockets)
{
    for (unsigned i = 0; i < UDP_QUEUES; i++) {
        if (sockets->v4[i] >= 0)
            close(sockets->v4[i]);
        if (sockets->v6[i] >= 0)
            close(sockets->v6[i]);
        sockets->v4[i] = sockets->v6[i] = -1;
    }
}

/* Both families. A random port that only one of them could have is given up for another. */
static int open_both(struct udp_sockets *sockets, uint16_t port, uint32_t fwmark)
{
    for (int tries = 0;; tries++) {
        sockets->port = port;
        if (open_family(sockets, AF_INET, fwmark) == 0 && open_family(sockets, AF_INET6, fwmark) == 0)
            break;
        int error = errno;
        close_all(sockets);
        errno = error;
        if (port != 0 || errno != EADDRINUSE || tries == PORT_TRIES)
            return -1;
    }
    errno = EAFNOSUPPORT;
    return sockets->v4[0] < 0 && sockets->v6[0] < 0 ? -1 : 0;
}

static int refuse(uint16_t port, struct err *err)
{
    const int error = errno;
    switch (error) {
    case EADDRINUSE:
        err_set(err, "UDP port %u is used by another program: choose another ListenPort, or end that program (ss -lunp shows it)", port);
        break;
    case EPERM:
        err_set(err, "may not set a firewall mark on the UDP socket: this needs the capability CAP_NET_ADMIN");
        break;
    case EACCES:
        err_set(err, "may not listen on UDP port %u: ports below 1024 need the capability CAP_NET_BIND_SERVICE", port);
        break;
    case EAFNOSUPPORT:
        err_set(err, "this system has neither IPv4 nor IPv6");
        break;
    default:
        err_set(err, "cannot listen on UDP port %u: %s", port, strerror(error));
    }
    errno = error;
    return -1;
}

struct udp_sockets *udp_open(uint16_t port, uint32_t fwmark, unsigned queues, bool segment, bool gro, struct err *err)
{
    struct udp_sockets *sockets = mem_alloc(1, sizeof *sockets);
    sockets->queues = queues < 1 ? 1 : queues > UDP_QUEUES ? UDP_QUEUES : queues;
    for (unsigned i = 0; i < UDP_QUEUES; i++)
        sockets->v4[i] = sockets->v6[i] = -1;
    if (open_both(sockets, port, fwmark) != 0) {
        refuse(port, err);
        int error = errno;
        free(sockets);
        errno = error;
        return NULL;
    }
    struct utsname system;
    sockets->sentinel = uname(&system) == 0 && udp_needs_sentinel(system.release);
    atomic_init(&sockets->segment4, segment && sockets->v4[0] >= 0 && has_segment(sockets->v4[0]));
    atomic_init(&sockets->segment6, segment && sockets->v6[0] >= 0 && has_segment(sockets->v6[0]));
    sockets->gro4 = sockets->gro6 = gro;
    for (unsigned i = 0; gro && i < sockets->queues; i++) {
        sockets->gro4 = sockets->gro4 && sockets->v4[i] >= 0 && set_gro(sockets->v4[i]);
        sockets->gro6 = sockets->gro6 && sockets->v6[i] >= 0 && set_gro(sockets->v6[i]);
    }
    return sockets;
}

int udp_set_mark(struct udp_sockets *sockets, uint32_t fwmark)
{
    for (unsigned i = 0; i < sockets->queues; i++) {
        if (sockets->v4[i] >= 0 && setsockopt(sockets->v4[i], SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) != 0)
            return -1;
        if (sockets->v6[i] >= 0 && setsockopt(sockets->v6[i], SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) != 0)
            return -1;
    }
    return 0;
}

void udp_close(struct udp_sockets *sockets)
{
    if (!sockets)
        return;
    close_all(sockets);
    free(sockets);
}

/* --- reading */

/* What each datagram train brings beside its bytes: own address, traffic class, segment size. */
union received_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int))];
};

static void read_control(struct msghdr *message, struct udp_received *received)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        const void *data = CMSG_DATA(control);
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, data, sizeof info);
            received->from.source_family = AF_INET;
            received->from.source.v4 = info.ipi_spec_dst;
            received->from.source_interface = (uint32_t)info.ipi_ifindex;
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, data, sizeof info);
            received->from.source_family = AF_INET6;
            received->from.source.v6 = info.ipi6_addr;
            received->from.source_interface = info.ipi6_ifindex;
        } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
            received->tos = *(const uint8_t *)data;
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, data, sizeof value);
            received->tos = (uint8_t)value;
        } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, data, sizeof value);
            if (value > 0 && (size_t)value < received->length)
                received->size = (uint16_t)value;
        }
    }
}

int udp_receive(const struct udp_sockets *sockets, unsigned queue, int family, uint8_t **buffers, size_t space, struct udp_received *received, unsigned count)
{
    struct mmsghdr messages[RECEIVE_MOST];
    struct iovec parts[RECEIVE_MOST];
    union received_control controls[RECEIVE_MOST];
    const int descriptor = family == AF_INET ? sockets->v4[queue] : sockets->v6[queue];
    if (count > RECEIVE_MOST)
        count = RECEIVE_MOST;
    memset(received, 0, count * sizeof *received);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct iovec){buffers[i], space};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &received[i].from.to, .msg_namelen = sizeof received[i].from.to, .msg_iov = &parts[i],
                                                   .msg_iovlen = 1, .msg_control = controls[i].bytes, .msg_controllen = sizeof controls[i].bytes}};
    }
    int got = recvmmsg(descriptor, messages, count, MSG_DONTWAIT, NULL);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (int i = 0; i < got; i++) {
        const size_t length = messages[i].msg_len;
        received[i].length = length;
        received[i].size = (uint16_t)(length > UINT16_MAX ? UINT16_MAX : length);
        received[i].truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        read_control(&messages[i].msg_hdr, &received[i]);
    }
    return got;
}
