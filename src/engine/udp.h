/* The outer side: a UDP socket for IPv4 and one for IPv6 on the same port, addresses that stick, and the kernel's segmentation both ways. */
#ifndef WGDECK_ENGINE_UDP_H
#define WGDECK_ENGINE_UDP_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "epoch.h"
#include "wgdeck/err.h"
#include "wgdeck/prefix.h"

/* Where a peer is, and from which own address it was last heard (source family 0: the kernel chooses). A value, 64 bytes. */
struct udp_endpoint {
    union {
        struct sockaddr plain;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;                        /* sa_family 0: not known */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } source;
    uint32_t source_interface;   /* index */
    uint8_t source_family;       /* 0, AF_INET or AF_INET6 */
};
void udp_endpoint_from(const struct endpoint *endpoint, struct udp_endpoint *to); /* without a source */
void udp_endpoint_to(const struct udp_endpoint *endpoint, struct endpoint *to);
bool udp_endpoint_equal(const struct udp_endpoint *a, const struct udp_endpoint *b); /* address, port, scope, source and its interface */

#define UDP_QUEUES 16
/* Immutable once published, but for the switches; replaced as a whole, and closed when no thread can use it. */
struct udp_sockets {
    struct epoch_retired retired;
    uint16_t port;
    unsigned queues;
    int v4[UDP_QUEUES], v6[UDP_QUEUES];      /* -1: that family does not exist here */
    atomic_bool segment4, segment6;          /* UDP_SEGMENT: turned off for good at the first EIO */
    bool gro4, gro6;                         /* as getsockopt read back */
    bool sentinel;                           /* udp_needs_sentinel, of this kernel */
};

/* Bind both families to PORT (0: a random free one, the same for both), QUEUES sockets each (SO_REUSEPORT only if more than one, and only among these:
 * another program's use of the port is EADDRINUSE). FWMARK 0: none. Buffers of 7 MB where allowed. NULL with err and errno. */
struct udp_sockets *udp_open(uint16_t port, uint32_t fwmark, unsigned queues, bool segment, bool gro, struct err *err);
int udp_set_mark(struct udp_sockets *sockets, uint32_t fwmark); /* 0, or -1 with errno */
void udp_close(struct udp_sockets *sockets);

/* One train of datagrams to one endpoint. */
struct udp_train {
    struct udp_endpoint to;
    uint8_t *bytes;       /* contiguous */
    size_t length;
    uint16_t size;        /* of each datagram; the last may be shorter; length <= size: one datagram */
    uint8_t tos;          /* of the outer header: ECN bits of the inner one for data, 0x88 for handshakes */
};
#define UDP_TRAIN_SEGMENTS 64
#define UDP_TRAIN_BYTES 65507 /* less the 20 bytes more of IPv6's header in the same limit: udp_train_limit */
/* Send COUNT (<= 64) trains in as few calls as there is: UDP_SEGMENT, else sendmmsg datagram by datagram. A source address that the host no longer has
 * is dropped and the train sent again. Returns how many datagrams were refused. QUEUE chooses the socket. */
size_t udp_send(struct udp_sockets *sockets, unsigned queue, struct udp_train *trains, size_t count);
/* Whether the kernel of this RELEASE (uname -r) spoils UDP_SEGMENT sends whose datagrams are all of one size: Linux 7.0.0 to 7.1.4. There a datagram of one
 * byte, which every WireGuard drops, ends each such train, and short trains go singly. */
bool udp_needs_sentinel(const char *release);
bool udp_can_segment(const struct udp_sockets *sockets, int family);

/* One receive: up to 64 KB of datagrams of equal size from one source. */
struct udp_received {
    struct udp_endpoint from;  /* with the own address it came to */
    size_t length;
    uint16_t size;             /* segment size by UDP_GRO; = length when it is one datagram */
    uint8_t tos;
    bool truncated;            /* larger than the buffer: counted and dropped */
};
/* Read up to COUNT datagram trains of family into BUFFERS (each SPACE bytes) without waiting. How many; 0: nothing there; -1 with errno. */
int udp_receive(const struct udp_sockets *sockets, unsigned queue, int family, uint8_t **buffers, size_t space, struct udp_received *received, unsigned count);

#endif
