/* The outer side: sending trains of datagrams in as few system calls as there is, and going on when the kernel refuses a way of it. */
#include <errno.h>
#include <linux/udp.h>
#include <string.h>

#include "udp.h"

#define TRAINS_MOST 64
#define SENTINEL_FROM 8 /* datagrams */

bool udp_can_segment(const struct udp_sockets *sockets, int family)
{
    return atomic_load_explicit(family == AF_INET ? &sockets->segment4 : &sockets->segment6, memory_order_relaxed);
}

/* Lengths are exact and the bytes zeroed: some kernels refuse what is left over. */
struct send_control {
    size_t length;
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
};

static void add_control(struct send_control *control, int level, int type, const void *data, size_t length)
{
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control->bytes + control->length);
    memset(header, 0, CMSG_SPACE(length));
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(header), data, length);
    control->length += CMSG_SPACE(length);
}

/* The source address sticks, the interface does not (but for link-local ones, that mean nothing without): a better route may take over. */
static void add_source(struct send_control *control, const struct udp_endpoint *endpoint)
{
    if (endpoint->source_family == AF_INET && endpoint->to.plain.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = endpoint->source.v4};
        add_control(control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (endpoint->source_family == AF_INET6 && endpoint->to.plain.sa_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = endpoint->source.v6};
        if (IN6_IS_ADDR_LINKLOCAL(&endpoint->source.v6))
            info.ipi6_ifindex = endpoint->source_interface;
        add_control(control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

static void make_control(struct send_control *control, const struct udp_train *train, bool segment)
{
    const bool v4 = train->to.to.plain.sa_family == AF_INET;
    control->length = 0;
    if (train->to.source_family)
        add_source(control, &train->to);
    if (train->tos) {
        int tos = train->tos;
        add_control(control, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
    }
    if (segment)
        add_control(control, IPPROTO_UDP, UDP_SEGMENT, &train->size, sizeof train->size);
}

static void make_message(struct msghdr *message, struct udp_train *train, struct iovec *part, struct send_control *control)
{
    memset(message, 0, sizeof *message);
    message->msg_name = &train->to.to;
    message->msg_namelen = train->to.to.plain.sa_family == AF_INET ? sizeof train->to.to.v4 : sizeof train->to.to.v6;
    message->msg_iov = part;
    message->msg_iovlen = 1;
    if (control->length) {
        message->msg_control = control->bytes;
        message->msg_controllen = control->length;
    }
}

static int descriptor_of(const struct udp_sockets *sockets, unsigned queue, const struct udp_train *train)
{
    if (train->to.to.plain.sa_family == AF_INET)
        return sockets->v4[queue];
    return train->to.to.plain.sa_family == AF_INET6 ? sockets->v6[queue] : -1;
}

static size_t datagrams_of(const struct udp_train *train)
{
    return train->length <= train->size || train->size == 0 ? 1 : (train->length + train->size - 1) / train->size;
}

/* The host may have lost the address that a peer was last heard on. */
static bool is_stale_source(int error, const struct udp_train *train)
{
    return train->to.source_family && (error == EINVAL || error == EADDRNOTAVAIL || error == ENODEV || error == ENETUNREACH || error == EHOSTUNREACH);
}

/* One train datagram by datagram. Returns how many were refused. */
static size_t send_singly(int descriptor, struct udp_train *train)
{
    struct send_control control;
    size_t offset = 0, refused = 0;
    make_control(&control, train, false);
    while (offset < train->length) {
        struct mmsghdr messages[TRAINS_MOST];
        struct iovec parts[TRAINS_MOST];
        unsigned count = 0;
        int sent;
        for (size_t at = offset; at < train->length && count < TRAINS_MOST; at += parts[count].iov_len, count++) {
            const size_t left = train->length - at;
            parts[count] = (struct iovec){train->bytes + at, left < train->size ? left : train->size};
            make_message(&messages[count].msg_hdr, train, &parts[count], &control);
        }
        sent = sendmmsg(descriptor, messages, count, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && is_stale_source(errno, train)) {
            train->to.source_family = 0;
            make_control(&control, train, false);
            continue;
        }
        if (sent <= 0) { /* the first of them was refused */
            refused++;
            sent = 1;
        }
        for (int i = 0; i < sent; i++)
            offset += parts[i].iov_len;
    }
    return refused;
}

/* The kernel refused TRAIN whole. Drop what it did not like and try again. Returns how many datagrams are lost. */
static size_t send_again(struct udp_sockets *sockets, int descriptor, struct udp_train *train, int error)
{
    const bool segmented = train->length > train->size;
    if (segmented && error == EIO) /* the device can make no checksum for segments: never again */
        atomic_store_explicit(train->to.to.plain.sa_family == AF_INET ? &sockets->segment4 : &sockets->segment6, false, memory_order_relaxed);
    /* EMSGSIZE, EINVAL: segments are never fragmented, so one larger than the path takes cannot go this way; this time. */
    if (is_stale_source(error, train) || (segmented && (error == EIO || error == EMSGSIZE || error == EINVAL)))
        return send_singly(descriptor, train);
    return datagrams_of(train);
}

/* Whether TRAIN can go in one piece. */
static bool is_whole(const struct udp_sockets *sockets, const struct udp_train *train)
{
    if (train->length <= train->size)
        return true;
    if (!udp_can_segment(sockets, train->to.to.plain.sa_family))
        return false;
    return !sockets->sentinel || train->length % train->size || (datagrams_of(train) >= SENTINEL_FROM && train->length < UDP_TRAIN_BYTES);
}

/* COUNT trains, each in one piece, in one call. How many were sent, or -1 with errno for the first. */
static int send_whole(int descriptor, struct udp_train *trains, unsigned count, bool sentinel)
{
    static uint8_t zero;
    struct mmsghdr messages[TRAINS_MOST];
    struct iovec parts[TRAINS_MOST][2];
    struct send_control controls[TRAINS_MOST];
    for (unsigned i = 0; i < count; i++) {
        const bool segmented = trains[i].length > trains[i].size;
        parts[i][0] = (struct iovec){trains[i].bytes, trains[i].length};
        parts[i][1] = (struct iovec){&zero, 1};
        make_control(&controls[i], &trains[i], segmented);
        make_message(&messages[i].msg_hdr, &trains[i], parts[i], &controls[i]);
        if (sentinel && segmented && trains[i].length % trains[i].size == 0)
            messages[i].msg_hdr.msg_iovlen = 2;
    }
    if (count == 1)
        return sendmsg(descriptor, &messages[0].msg_hdr, MSG_DONTWAIT) < 0 ? -1 : 1;
    return sendmmsg(descriptor, messages, count, MSG_DONTWAIT);
}

size_t udp_send(struct udp_sockets *sockets, unsigned queue, struct udp_train *trains, size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count;) {
        const int family = trains[i].to.to.plain.sa_family, descriptor = descriptor_of(sockets, queue, &trains[i]);
        unsigned run = 0;
        if (descriptor < 0 || trains[i].size == 0) {
            refused += datagrams_of(&trains[i++]);
            continue;
        }
        while (i + run < count && run < TRAINS_MOST && trains[i + run].to.to.plain.sa_family == family && is_whole(sockets, &trains[i + run]))
            run++;
        if (run == 0) {
            refused += send_singly(descriptor, &trains[i++]);
            continue;
        }
        int sent = send_whole(descriptor, &trains[i], run, sockets->sentinel);
        if (sent > 0)
            i += (size_t)sent;
        else if (sent == 0 || errno != EINTR) {
            refused += send_again(sockets, descriptor, &trains[i], sent == 0 ? EIO : errno);
            i++;
        }
    }
    return refused;
}
