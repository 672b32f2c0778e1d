/* Putting received packets of a flow together into super-packets for the TUN: the other way of segment.c. What is joined here comes apart into the
 * same packets again: the rules are those of the kernel's own GRO (what differs in anything but sequence, id and PSH begins anew). */
#include "ip_fields.h"
#include "offload.h"

#define MOST_SEGMENTS 64 /* the kernel takes no more of UDP; of TCP it is about what fits */
#define GSO_UDP 5        /* VIRTIO_NET_HDR_GSO_UDP_L4: Linux 6.2 */

/* What one look at a packet gives. */
struct view {
    uint8_t *packet;
    size_t length;
    size_t ip, header; /* bytes of the IP header; with the transport's */
    bool v6, udp;
    bool ends;         /* PSH: the data goes to the program now */
};
enum sort {
    JOINABLE,
    ALONE,   /* of a flow that can be told, but never joined: goes after what the flow has here */
    FOREIGN, /* neither TCP nor UDP */
    STRANGE, /* a fragment, options: of a flow that cannot be told */
};

/* --- reading */

static enum sort look_ip(struct view *view, uint8_t *protocol)
{
    const uint8_t *packet = view->packet;
    if (view->length >= IP4_HEADER && packet[0] == 0x45) {
        view->ip = IP4_HEADER;
        *protocol = packet[IP4_PROTOCOL];
        if (get16(packet + IP4_LENGTH) != view->length || get16(packet + IP4_FRAGMENT) & ~IP4_DONT_FRAGMENT)
            return STRANGE;
        return JOINABLE;
    }
    if (view->length >= IP6_HEADER && packet[0] >> 4 == 6) {
        view->v6 = true;
        view->ip = IP6_HEADER;
        *protocol = packet[IP6_NEXT];
        return get16(packet + IP6_LENGTH) + (size_t)IP6_HEADER == view->length ? JOINABLE : STRANGE;
    }
    return STRANGE;
}

static enum sort look_tcp(struct view *view)
{
    const uint8_t *tcp = view->packet + view->ip;
    if (view->length < view->ip + TCP_HEADER)
        return STRANGE;
    view->header = view->ip + (size_t)(tcp[TCP_OFFSET] >> 4) * 4;
    view->ends = tcp[TCP_FLAGS] & TCP_PSH;
    if (view->header < view->ip + TCP_HEADER || view->header >= view->length || tcp[TCP_OFFSET] & 15 || (tcp[TCP_FLAGS] & ~TCP_PSH) != TCP_ACKS)
        return ALONE;
    return JOINABLE;
}

static enum sort look_udp(struct view *view)
{
    const uint8_t *udp = view->packet + view->ip;
    if (view->length < view->ip + UDP_HEADER)
        return STRANGE;
    view->udp = true;
    view->header = view->ip + UDP_HEADER;
    if (view->header >= view->length || get16(udp + UDP_LENGTH) != view->length - view->ip || !get16(udp + UDP_CHECKSUM))
        return ALONE;
    return JOINABLE;
}

static enum sort look(struct view *view)
{
    uint8_t protocol = 0;
    enum sort sort = look_ip(view, &protocol);
    if (sort != JOINABLE)
        return sort;
    return protocol == PROTOCOL_TCP ? look_tcp(view) : protocol == PROTOCOL_UDP ? look_udp(view) : FOREIGN;
}

/* The addresses stand right before the transport's header: the pseudo-header's sum is one with the packet's. */
static size_t addresses_length(const struct view *view)
{
    return view->v6 ? 32 : 8;
}

static bool checksum_right(const struct view *view)
{
    size_t inner = view->length - view->ip, addresses = addresses_length(view);
    uint64_t sum = checksum_fold(checksum_add(view->packet + view->ip - addresses, addresses + inner, 0));
    return checksum_fold(sum + sum16(inner) + sum16(view->udp ? PROTOCOL_UDP : PROTOCOL_TCP)) == 0xffff;
}

/* --- flows */

static inline bool same_bytes(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
    return !memcmp(a + from, b + from, to - from);
}

/* The two addresses and the two ports lie together. */
static bool same_flow(const struct coalesced *flow, const struct view *view)
{
    const uint8_t *first = flow->parts[1].iov_base;
    if (!flow->part_count || flow->v6 != view->v6 || flow->udp != view->udp)
        return false;
    return view->v6 ? same_bytes(first, view->packet, IP6_ADDRESSES, IP6_HEADER + 4) : same_bytes(first, view->packet, IP4_ADDRESSES, IP4_HEADER + 4);
}

static struct coalesced *find(struct coalescer *coalescer, const struct view *view)
{
    if (!coalescer->count)
        return NULL;
    if (same_flow(&coalescer->flows[coalescer->last], view))
        return &coalescer->flows[coalescer->last];
    for (unsigned i = 0; i < COALESCE_FLOWS; i++)
        if (same_flow(&coalescer->flows[i], view)) {
            coalescer->last = i;
            return &coalescer->flows[i];
        }
    return NULL;
}

/* Without "don't fragment" the id has a meaning: then it must be the one that cutting would give. */
static bool same_ip4(const struct coalesced *flow, const uint8_t *first, const uint8_t *packet)
{
    return same_bytes(first, packet, 0, IP4_LENGTH) && same_bytes(first, packet, IP4_FRAGMENT, IP4_TTL + 1) &&
           (packet[IP4_FRAGMENT] || get16(packet + IP4_ID) == (uint16_t)(get16(first + IP4_ID) + flow->segments));
}

static bool same_ip6(const uint8_t *first, const uint8_t *packet)
{
    return same_bytes(first, packet, 0, IP6_LENGTH) && packet[IP6_NEXT + 1] == first[IP6_NEXT + 1]; /* hop limit */
}

static bool follows_tcp(const struct coalesced *flow, const uint8_t *first, const uint8_t *tcp, size_t header)
{
    return get32(tcp + TCP_SEQUENCE) == flow->next_sequence && same_bytes(first, tcp, TCP_ACK, TCP_FLAGS) &&
           same_bytes(first, tcp, TCP_WINDOW, TCP_CHECKSUM) && same_bytes(first, tcp, TCP_CHECKSUM + 2, header);
}

/* Whether the packet may become part of what FLOW holds. */
static bool fits(const struct coalesced *flow, const struct view *view)
{
    const uint8_t *first = flow->parts[1].iov_base;
    size_t payload = view->length - view->header;
    if (view->header != flow->header_length || payload > flow->payload_size || flow->length + payload > IP_LONGEST)
        return false;
    if (view->v6 ? !same_ip6(first, view->packet) : !same_ip4(flow, first, view->packet))
        return false;
    return view->udp || follows_tcp(flow, first + view->ip, view->packet + view->ip, view->header - view->ip);
}

/* --- going out */

static void emit_alone(struct coalescer *coalescer, uint8_t *packet, size_t length)
{
    struct coalesced alone;
    alone.header = (struct virtio_net_hdr){0};
    alone.parts[0] = (struct iovec){&alone.header, sizeof alone.header};
    alone.parts[1] = (struct iovec){packet, length};
    alone.part_count = 2;
    alone.length = length;
    alone.segments = 1;
    coalescer->emit(coalescer->argument, &alone);
}

/* The first packet's headers become those of the whole; the checksum is left to the kernel, or to where the packet is cut again. */
static void write_headers(struct coalesced *flow)
{
    uint8_t *packet = flow->parts[1].iov_base;
    size_t ip = flow->v6 ? IP6_HEADER : IP4_HEADER, inner = flow->length - ip, field = flow->udp ? UDP_CHECKSUM : TCP_CHECKSUM;
    if (flow->v6) {
        put16(packet + IP6_LENGTH, inner);
    } else {
        put16(packet + IP4_LENGTH, flow->length);
        put16(packet + IP4_CHECKSUM, 0);
        put_sum(packet + IP4_CHECKSUM, (uint16_t)~checksum_fold(checksum_add(packet, IP4_HEADER, 0)));
    }
    if (flow->udp)
        put16(packet + ip + UDP_LENGTH, inner);
    uint64_t pseudo = checksum_fold(flow->v6 ? checksum_add(packet + IP6_ADDRESSES, 32, 0) : checksum_add(packet + IP4_ADDRESSES, 8, 0));
    put_sum(packet + ip + field, checksum_fold(pseudo + sum16(inner) + sum16(flow->udp ? PROTOCOL_UDP : PROTOCOL_TCP)));
    flow->header = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = flow->udp ? GSO_UDP : flow->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = flow->header_length,
        .gso_size = flow->payload_size,
        .csum_start = (uint16_t)ip,
        .csum_offset = (uint16_t)field,
    };
}

static void emit_flow(struct coalescer *coalescer, struct coalesced *flow)
{
    if (flow->segments > 1)
        write_headers(flow);
    coalescer->emit(coalescer->argument, flow);
    flow->part_count = 0;
    coalescer->count--;
}

void coalesce_flush(struct coalescer *coalescer)
{
    for (unsigned i = 0; coalescer->count && i < COALESCE_FLOWS; i++)
        if (coalescer->flows[i].part_count)
            emit_flow(coalescer, &coalescer->flows[i]);
}

/* --- coming in */

static struct coalesced *free_place(struct coalescer *coalescer)
{
    if (coalescer->count == COALESCE_FLOWS) {
        coalescer->victim = (coalescer->victim + 1) % COALESCE_FLOWS;
        emit_flow(coalescer, &coalescer->flows[coalescer->victim]);
    }
    for (coalescer->last = 0; coalescer->flows[coalescer->last].part_count;)
        coalescer->last++;
    coalescer->count++;
    return &coalescer->flows[coalescer->last];
}

static void begin(struct coalescer *coalescer, const struct view *view)
{
    struct coalesced *flow = free_place(coalescer);
    flow->header = (struct virtio_net_hdr){0};
    flow->parts[0] = (struct iovec){&flow->header, sizeof flow->header};
    flow->parts[1] = (struct iovec){view->packet, view->length};
    flow->part_count = 2;
    flow->length = view->length;
    flow->header_length = (uint16_t)view->header;
    flow->payload_size = (uint16_t)(view->length - view->header);
    flow->segments = 1;
    flow->v6 = view->v6;
    flow->udp = view->udp;
    if (!view->udp)
        flow->next_sequence = get32(view->packet + view->ip + TCP_SEQUENCE) + flow->payload_size;
}

static void append(struct coalescer *coalescer, struct coalesced *flow, const struct view *view)
{
    uint8_t *first = flow->parts[1].iov_base;
    size_t payload = view->length - view->header;
    flow->parts[flow->part_count++] = (struct iovec){view->packet + view->header, payload};
    flow->length += payload;
    flow->next_sequence += (uint32_t)payload;
    flow->segments++;
    if (view->ends)
        first[view->ip + TCP_FLAGS] |= TCP_PSH;
    if (view->ends || payload < flow->payload_size || flow->segments == MOST_SEGMENTS)
        emit_flow(coalescer, flow);
}

void coalesce_packet(struct coalescer *coalescer, uint8_t *packet, size_t length)
{
    struct view view = {.packet = packet, .length = length};
    enum sort sort = coalescer->tcp || coalescer->udp ? look(&view) : FOREIGN;
    if (sort == JOINABLE && (!(view.udp ? coalescer->udp : coalescer->tcp) || !checksum_right(&view)))
        sort = ALONE;
    if (sort == STRANGE)
        coalesce_flush(coalescer);
    struct coalesced *flow = sort == JOINABLE || sort == ALONE ? find(coalescer, &view) : NULL;
    if (flow && sort == JOINABLE && fits(flow, &view)) {
        append(coalescer, flow, &view);
        return;
    }
    if (flow)
        emit_flow(coalescer, flow);
    if (sort == JOINABLE && !view.ends)
        begin(coalescer, &view);
    else
        emit_alone(coalescer, packet, length);
}
