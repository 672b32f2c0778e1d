/* Cutting a super-packet of the TUN into the packets it stands for (tun(4), IFF_VNET_HDR; struct virtio_net_hdr), in place. */
#include <stdbool.h>

#include "ip_fields.h"
#include "offload.h"

enum kind { IP6 = 1, UDP = 2, ENDED = 4 }; /* bits of state.kind */

/* --- single packets */

/* The sum over the rest of the packet includes the pseudo-header's, which the kernel left in the field. */
static int complete(const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
    size_t start = header->csum_start, field = start + header->csum_offset;
    if (start < (size_t)(packet[0] >> 4 == 6 ? IP6_HEADER : IP4_HEADER) || field + 2 > length)
        return -1;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(packet + start, length - start, 0));
    put_sum(packet + field, sum ? sum : 0xffff);
    return 0;
}

/* --- what the headers say */

/* Where the transport header of an IPv6 packet begins, past headers that may stand before it in whole packets; 0: none, or one that changes where the
 * packet goes (then the pseudo-header's address is another). */
static size_t ip6_transport(const uint8_t *packet, size_t length, uint8_t protocol)
{
    enum { HOP_BY_HOP = 0, ROUTING = 43, DESTINATION = 60, SEGMENTS_LEFT = 3 };
    size_t at = IP6_HEADER;
    uint8_t next = packet[IP6_NEXT];
    while (next != protocol) {
        if ((next != HOP_BY_HOP && next != ROUTING && next != DESTINATION) || at + 8 > length || (next == ROUTING && packet[at + SEGMENTS_LEFT]))
            return 0;
        next = packet[at];
        at += 8 * ((size_t)packet[at + 1] + 1);
    }
    return at;
}

static size_t ip4_transport(const uint8_t *packet, uint8_t protocol)
{
    size_t header = (size_t)(packet[0] & 15) * 4;
    if (header < IP4_HEADER || packet[IP4_PROTOCOL] != protocol || get16(packet + IP4_FRAGMENT) & IP4_FRAGMENTED)
        return 0;
    return header;
}

static int read_kind(uint8_t gso_type, uint8_t version, uint8_t *kind)
{
    uint8_t family = version == 6 ? IP6 : 0;
    switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        *kind = 0;
        return family ? -1 : 0;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        *kind = IP6;
        return family ? 0 : -1;
    case 5: /* VIRTIO_NET_HDR_GSO_UDP_L4: Linux 6.2 */
        *kind = UDP | family;
        return 0;
    default:
        return -1;
    }
}

/* Find the headers' ends. All that is read is inside LENGTH. */
static int read_headers(struct segments *segments, const uint8_t *packet, size_t length)
{
    struct segment_state *state = &segments->state;
    bool udp = state->kind & UDP;
    uint8_t protocol = udp ? PROTOCOL_UDP : PROTOCOL_TCP;
    size_t transport = state->kind & IP6 ? ip6_transport(packet, length, protocol) : ip4_transport(packet, protocol);
    if (!transport || transport + (udp ? UDP_HEADER : TCP_HEADER) > length)
        return -1;
    size_t own = udp ? UDP_HEADER : (size_t)(packet[transport + TCP_OFFSET] >> 4) * 4;
    if (own < (udp ? UDP_HEADER : TCP_HEADER) || transport + own > length || transport + own > sizeof state->header)
        return -1;
    state->transport = (uint16_t)transport;
    segments->header = transport + own;
    return 0;
}

/* The header that all segments begin with, with what differs set to zero, and its sums. */
static void make_template(struct segments *segments, const uint8_t *packet)
{
    struct segment_state *state = &segments->state;
    uint8_t *ip = state->header, *transport = ip + state->transport;
    bool udp = state->kind & UDP, v6 = state->kind & IP6;
    memcpy(ip, packet, segments->header);
    if (udp) {
        memset(transport + UDP_LENGTH, 0, 4); /* and the checksum */
    } else {
        state->sequence = get32(transport + TCP_SEQUENCE);
        state->flags = transport[TCP_FLAGS];
        memset(transport + TCP_SEQUENCE, 0, 4);
        transport[TCP_FLAGS] = 0;
        memset(transport + TCP_CHECKSUM, 0, 2);
    }
    if (!v6) {
        state->id = get16(ip + IP4_ID);
        memset(ip + IP4_LENGTH, 0, 4); /* and the id */
        memset(ip + IP4_CHECKSUM, 0, 2);
        state->ip_sum = checksum_add(ip, state->transport, 0);
    }
    uint64_t pseudo = checksum_fold(v6 ? checksum_add(ip + IP6_ADDRESSES, 32, 0) : checksum_add(ip + IP4_ADDRESSES, 8, 0));
    pseudo += sum16(udp ? PROTOCOL_UDP : PROTOCOL_TCP);
    state->transport_sum = checksum_fold(checksum_add(transport, segments->header - state->transport, pseudo));
    state->ip_sum = checksum_fold(state->ip_sum);
}

int segments_begin(struct segments *segments, const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
    *segments = (struct segments){.packet = packet, .length = length};
    if (length < IP4_HEADER || length > IP_LONGEST)
        return -1;
    uint8_t version = packet[0] >> 4;
    if ((version != 4 && version != 6) || (version == 6 && length < IP6_HEADER))
        return -1;
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? complete(header, packet, length) : 0;
    if (!header->gso_size || read_kind(header->gso_type, version, &segments->state.kind) || read_headers(segments, packet, length))
        return -1;
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && header->csum_start != segments->state.transport)
        return -1;
    segments->size = header->gso_size;
    make_template(segments, packet);
    return 0;
}

/* --- the walk */

static void finish_tcp(struct segment_state *state, uint8_t *tcp, size_t offset, bool last, uint64_t sum)
{
    uint8_t flags = state->flags;
    uint32_t sequence = state->sequence + (uint32_t)offset;
    if (!last)
        flags &= (uint8_t)~(TCP_FIN | TCP_PSH);
    if (offset)
        flags &= (uint8_t)~TCP_CWR;
    put32(tcp + TCP_SEQUENCE, sequence);
    tcp[TCP_FLAGS] = flags;
    sum += sum16(sequence >> 16) + sum16(sequence & 0xffff) + sum16(flags);
    put_sum(tcp + TCP_CHECKSUM, (uint16_t)~checksum_fold(sum));
}

static void finish_udp(uint8_t *udp, size_t length, uint64_t sum)
{
    put16(udp + UDP_LENGTH, length);
    uint16_t checksum = (uint16_t)~checksum_fold(sum + sum16(length));
    put_sum(udp + UDP_CHECKSUM, checksum ? checksum : 0xffff);
}

/* Write the header of the segment whose payload is at OFFSET; PACKET is where it begins. */
static void finish(struct segments *segments, uint8_t *packet, size_t payload, bool last)
{
    struct segment_state *state = &segments->state;
    size_t length = segments->header + payload, inner = length - state->transport;
    memcpy(packet, state->header, segments->header);
    if (state->kind & IP6) {
        put16(packet + IP6_LENGTH, length - IP6_HEADER);
    } else {
        uint16_t id = state->id++;
        put16(packet + IP4_LENGTH, length);
        put16(packet + IP4_ID, id);
        put_sum(packet + IP4_CHECKSUM, (uint16_t)~checksum_fold(state->ip_sum + sum16(length) + sum16(id)));
    }
    /* Folded, so that what is added to it cannot overflow. */
    uint64_t sum = checksum_fold(checksum_add(packet + segments->header, payload, 0)) + state->transport_sum + sum16(inner);
    if (state->kind & UDP)
        finish_udp(packet + state->transport, inner, sum);
    else
        finish_tcp(state, packet + state->transport, segments->offset, last, sum);
}

static size_t whole_packet(struct segments *segments, uint8_t **packet)
{
    if (segments->offset)
        return 0;
    segments->offset = segments->length;
    *packet = segments->packet;
    return segments->length;
}

size_t segment_next(struct segments *segments, size_t padding, uint8_t **packet)
{
    if (!segments->header)
        return whole_packet(segments, packet);
    struct segment_state *state = &segments->state;
    size_t payloads = segments->length - segments->header, offset = segments->offset;
    memcpy(segments->packet + segments->header + offset, state->saved, state->saved_at_end);
    state->saved_at_end = 0;
    if (state->kind & ENDED)
        return 0;
    size_t left = payloads - offset, payload = left < segments->size ? left : segments->size;
    bool last = payload == left;
    *packet = segments->packet + offset;
    finish(segments, *packet, payload, last);
    segments->offset = offset + payload;
    if (last) {
        state->kind |= ENDED;
        return segments->header + payload;
    }
    state->saved_at_end = (uint16_t)(padding < sizeof state->saved ? padding : sizeof state->saved);
    memcpy(state->saved, segments->packet + segments->header + segments->offset, state->saved_at_end);
    return segments->header + payload;
}

size_t segments_left(const struct segments *segments)
{
    if (!segments->header)
        return !segments->offset;
    if (segments->state.kind & ENDED)
        return 0;
    size_t left = segments->length - segments->header - segments->offset;
    return left ? (left + segments->size - 1) / segments->size : 1;
}
