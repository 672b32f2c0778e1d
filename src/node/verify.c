/* Are links alive, seen from this end (verify.h): echo requests by the routes that all traffic takes, answers that come in through the interface, and the handshakes that the engine tells of. */
#include "verify.h"

#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define PING_PAUSE 0.2                    /* seconds between two pings of a link */
#define LOOK_PAUSE 0.05                   /* seconds between two looks at the handshakes: the other end waits for its turn */
#define HANDSHAKE_PAUSE 0.01              /* seconds until a handshake is looked for that an answer has told of */
#define LEAD_PATIENCE (2 * CLOCK_SECOND)  /* so long the other end may take to begin: two that begin at once get into each other's way */
#define HANDSHAKE_FRESH (180 * CLOCK_SECOND)
struct echo { /* what is sent, and must come back */
    uint64_t cookie;
    uint32_t link;
    uint32_t address;
    int64_t sent;
};

struct waited {
    struct verify_link link;
    bool begun, answered, done;
    bool known;               /* there is a row of its key */
    bool astray;              /* an answer came in elsewhere: a route leads past the interface */
    unsigned pings;
    int64_t rtt, handshake, handshake_before, pinged;
    int error;                /* errno of the last ping that could not be sent */
};

struct verify {
    struct ev_loop *loop;
    char name[IFNAMSIZ];
    const struct device_source *source;
    struct waited *links;
    size_t count, left;
    uint64_t cookie;
    uint16_t sequence;
    int64_t began, within;
    unsigned index;           /* of the interface */
    int sockets[2];           /* IPv4, IPv6; -1 */
    bool raw[2];              /* what is received begins with the header of IPv4 */
    int problems[2];          /* errno of opening them */
    struct ev_io readable[2];
    struct ev_timer timer;
    struct verify_events events;
    void *context;
    bool over;
};

/* --- handshakes */

static void read_handshakes(struct verify *verify, bool first)
{
    struct device device = {0};
    if (verify->source->read(verify->name, device_no_salt, &device, NULL))
        return;
    for (size_t i = 0; i < verify->count; i++) {
        const struct device_peer *row = device_find_peer(&device, &verify->links[i].link.key);
        verify->links[i].known = row != NULL;
        verify->links[i].handshake = row ? row->handshake : 0;
        if (first)
            verify->links[i].handshake_before = verify->links[i].handshake;
    }
    device_free(&device);
}

static bool is_fresh(const struct waited *link)
{
    return link->handshake > 0 && (link->handshake != link->handshake_before || clock_wall() - link->handshake < HANDSHAKE_FRESH);
}

static void look_again(struct verify *verify, double seconds)
{
    ev_timer_stop(verify->loop, &verify->timer);
    ev_timer_set(&verify->timer, seconds, LOOK_PAUSE);
    ev_timer_start(verify->loop, &verify->timer);
}

/* --- pings */

static uint16_t checksum(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static ssize_t send_echo(struct verify *verify, const struct address *to, const struct echo *echo)
{
    struct { uint8_t type, code; uint16_t checksum, id, sequence; struct echo echo; } __attribute__((packed)) packet = {.id = htons((uint16_t)getpid()), .echo = *echo};
    packet.sequence = htons(verify->sequence++);
    if (to->family == AF_INET) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        memcpy(&address.sin_addr, to->bytes, 4);
        packet.type = ICMP_ECHO;
        packet.checksum = checksum(&packet, sizeof packet);
        return sendto(verify->sockets[0], &packet, sizeof packet, 0, (const struct sockaddr *)&address, sizeof address);
    }
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    memcpy(&address.sin6_addr, to->bytes, 16);
    packet.type = ICMP6_ECHO_REQUEST; /* its checksum is the kernel's business */
    return sendto(verify->sockets[1], &packet, sizeof packet, 0, (const struct sockaddr *)&address, sizeof address);
}

static void ping(struct verify *verify, size_t index)
{
    struct waited *link = &verify->links[index];
    link->begun = true;
    link->pinged = clock_steady();
    for (size_t i = 0; i < link->link.address_count; i++) {
        struct echo echo = {verify->cookie, (uint32_t)index, (uint32_t)i, clock_steady()};
        const struct address *to = &link->link.addresses[i].address;
        if (verify->sockets[to->family == AF_INET6] < 0) {
            link->error = verify->problems[to->family == AF_INET6];
            continue;
        }
        if (send_echo(verify, to, &echo) < 0)
            link->error = errno;
        else
            link->pings++;
    }
}

static void verified(struct verify *verify, struct waited *link)
{
    if (link->done || !link->answered || !is_fresh(link))
        return;
    link->done = true;
    verify->left--;
    verify->events.link(verify->context, &link->link.key, link->rtt, clock_wall() - link->handshake);
}

static void take_echo(struct verify *verify, const struct echo *echo, const struct address *from, unsigned index)
{
    if (echo->cookie != verify->cookie || echo->link >= verify->count)
        return;
    struct waited *link = &verify->links[echo->link];
    if (echo->address >= link->link.address_count || address_compare(&link->link.addresses[echo->address].address, from))
        return;
    if (index != verify->index) {
        link->astray = true;
        return;
    }
    if (!link->answered)
        link->rtt = clock_steady() - echo->sent;
    link->answered = true;
    verified(verify, link);
    if (!link->done || !verify->left)
        look_again(verify, verify->left ? HANDSHAKE_PAUSE : 0.);
}

/* The index of the interface that a packet came in through; 0: not told. */
static unsigned arrived_through(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        struct in_pktinfo four;
        struct in6_pktinfo six;
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO && part->cmsg_len >= CMSG_LEN(sizeof four)) {
            memcpy(&four, CMSG_DATA(part), sizeof four);
            return (unsigned)four.ipi_ifindex;
        }
        if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO && part->cmsg_len >= CMSG_LEN(sizeof six)) {
            memcpy(&six, CMSG_DATA(part), sizeof six);
            return six.ipi6_ifindex;
        }
    }
    return 0;
}

static bool receive(struct verify *verify, int index)
{
    bool four = index == 0;
    uint8_t bytes[512];
    union { struct sockaddr_in four; struct sockaddr_in6 six; } from;
    union { struct cmsghdr aligned; char bytes[256]; } control;
    struct iovec piece = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(verify->sockets[index], &message, MSG_DONTWAIT);
    if (length <= 0)
        return length < 0 && errno != EAGAIN && errno != EINTR && errno != EBADF; /* an ICMP error of another ping */
    size_t header = four && verify->raw[0] ? (size_t)(bytes[0] & 15) * 4 : 0;
    struct address address = {.family = four ? AF_INET : AF_INET6};
    struct echo echo;
    if ((size_t)length < header + 8 + sizeof echo || bytes[header] != (four ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY))
        return true;
    memcpy(&echo, bytes + header + 8, sizeof echo);
    if (four)
        memcpy(address.bytes, &from.four.sin_addr, 4);
    else
        memcpy(address.bytes, &from.six.sin6_addr, 16);
    take_echo(verify, &echo, &address, arrived_through(&message));
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct verify *verify = watcher->data;
    (void)loop, (void)events;
    for (int round = 0; round < 256 && receive(verify, watcher == &verify->readable[1]); round++)
        continue;
}

/* --- time */

static char *why_failed(const struct verify *verify, const struct waited *link)
{
    struct buf why = BUF_EMPTY;
    buf_add_format(&why, "%s to %u ping%s", link->answered ? "an answer" : "no answer", link->pings, link->pings == 1 ? "" : "s");
    if (!link->link.address_count)
        buf_add_text(&why, " (it has no address to ping)");
    else if (link->astray && !link->answered)
        buf_add_format(&why, " through %s: it came through another interface, as a route leads past %s", verify->name, verify->name);
    else if (link->error)
        buf_add_format(&why, " (%s could not be sent: %s)", link->pings ? "others" : "they", strerror(link->error));
    buf_add_text(&why, !link->known ? "; no row of this key" : is_fresh(link) ? "; the handshake is done" : link->handshake ? "; no new handshake" : "; no handshake");
    return buf_take(&why);
}

static void say_failed(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++)
        if (!verify->links[i].done) {
            char *why = why_failed(verify, &verify->links[i]);
            verify->events.failed(verify->context, &verify->links[i].link.key, why);
            free(why);
        }
}

static bool may_begin(const struct verify *verify, const struct waited *link, int64_t now)
{
    return link->link.lead || link->begun || is_fresh(link) || now - verify->began >= LEAD_PATIENCE;
}

static bool is_due(const struct waited *link, int64_t now)
{
    return !link->begun || now - link->pinged >= (int64_t)((PING_PAUSE - LOOK_PAUSE / 2) * (double)CLOCK_SECOND);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct verify *verify = timer->data;
    int64_t now = clock_steady();
    (void)events;
    if (verify->over)
        return;
    read_handshakes(verify, false);
    double took = (double)(clock_steady() - now) / (double)CLOCK_SECOND; /* of thousands of rows: no more than a tenth of the time */
    timer->repeat = took * 10 > LOOK_PAUSE ? took * 10 < 1. ? took * 10 : 1. : LOOK_PAUSE;
    for (size_t i = 0; i < verify->count; i++)
        verified(verify, &verify->links[i]);
    if (verify->left && now - verify->began < verify->within) {
        for (size_t i = 0; i < verify->count; i++)
            if (!verify->links[i].done && !verify->links[i].answered && may_begin(verify, &verify->links[i], now) && is_due(&verify->links[i], now))
                ping(verify, i);
        return;
    }
    ev_timer_stop(loop, timer);
    say_failed(verify);
    verify->over = true;
    verify->events.done(verify->context);
}

/* --- life */

/* Raw; without the right to that, the sockets for pings that some systems let everybody have. */
static void open_socket(struct verify *verify, int index, int family, int protocol)
{
    int descriptor = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), one = 1, room = 1 << 20;
    verify->raw[index] = descriptor >= 0;
    if (descriptor < 0)
        descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    verify->sockets[index] = descriptor;
    verify->problems[index] = errno;
    ev_init(&verify->readable[index], on_readable);
    if (descriptor < 0)
        return;
    if (family == AF_INET6) {
        struct icmp6_filter filter;
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        setsockopt(descriptor, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
    } else {
        struct icmp_filter filter = {.data = ~(1u << ICMP_ECHOREPLY)};
        setsockopt(descriptor, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
        setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    }
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    ev_io_set(&verify->readable[index], descriptor, EV_READ);
    verify->readable[index].data = verify;
    ev_io_start(verify->loop, &verify->readable[index]);
}

struct verify *verify_new(struct ev_loop *loop, const char *interface, const struct verify_link *links, size_t count, double within, const struct verify_events *events, void *context,
                          struct err *err)
{
    const struct device_source *source = device_source_find(interface);
    if (!source) {
        err_set(err, "%s: no WireGuard interface of this name is here", interface);
        return NULL;
    }
    struct verify *verify = mem_alloc(1, sizeof *verify);
    *verify = (struct verify){.loop = loop, .source = source, .count = count, .left = count, .began = clock_steady(), .events = *events, .context = context};
    verify->within = (int64_t)(within * (double)CLOCK_SECOND);
    memcpy(verify->name, interface, strnlen(interface, sizeof verify->name - 1));
    verify->index = if_nametoindex(interface);
    randombytes_buf(&verify->cookie, sizeof verify->cookie);
    verify->links = mem_alloc(count, sizeof *verify->links);
    for (size_t i = 0; i < count; i++) {
        verify->links[i].link = links[i];
        verify->links[i].link.addresses = mem_copy(links[i].addresses, links[i].address_count, sizeof *links[i].addresses);
    }
    open_socket(verify, 0, AF_INET, IPPROTO_ICMP);
    open_socket(verify, 1, AF_INET6, IPPROTO_ICMPV6);
    read_handshakes(verify, true);
    ev_timer_init(&verify->timer, on_timer, 0., LOOK_PAUSE);
    verify->timer.data = verify;
    ev_timer_start(loop, &verify->timer);
    return verify;
}

void verify_free(struct verify *verify)
{
    if (!verify)
        return;
    ev_timer_stop(verify->loop, &verify->timer);
    for (int i = 0; i < 2; i++)
        if (verify->sockets[i] >= 0) {
            ev_io_stop(verify->loop, &verify->readable[i]);
            close(verify->sockets[i]);
        }
    for (size_t i = 0; i < verify->count; i++)
        free(verify->links[i].link.addresses);
    free(verify->links);
    free(verify);
}
