/* Random super-packets as a TUN hands them out, and the slow and plain way to cut them, for the tests of segment.c and coalesce.c. */
#ifndef WGDECK_SUPER_PACKET_H
#define WGDECK_SUPER_PACKET_H

#include <sodium.h>

#include "engine/ip_fields.h"
#include "engine/offload.h"

#define SUPER_LONGEST 65535
#define SUPER_ROOM (SUPER_LONGEST + 16)
#define SUPER_GSO_UDP 5

struct super_packet {
    struct virtio_net_hdr header;
    uint8_t *bytes; /* SUPER_ROOM of them */
    size_t length, transport, header_length;
    bool v6, udp;
};

/* RFC 1071 as a loop over bytes; the result as a number (big endian). */
static inline uint32_t slow_sum(const uint8_t *bytes, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline uint32_t slow_pseudo(const uint8_t *packet, size_t transport, size_t length)
{
    bool v6 = packet[0] >> 4 == 6;
    uint8_t protocol = v6 ? packet[IP6_NEXT] : packet[IP4_PROTOCOL];
    if (v6 && transport > IP6_HEADER)
        protocol = packet[IP6_HEADER]; /* one extension header */
    uint32_t sum = v6 ? slow_sum(packet + IP6_ADDRESSES, 32, 0) : slow_sum(packet + IP4_ADDRESSES, 8, 0);
    sum += protocol + (uint32_t)(length - transport);
    return (sum & 0xffff) + (sum >> 16);
}

/* Lengths and checksums of a whole packet, right; PARTIAL: as the kernel leaves it for an offload. */
static inline void slow_complete(uint8_t *packet, size_t transport, size_t length, bool udp, bool partial)
{
    size_t field = transport + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
    if (packet[0] >> 4 == 6) {
        put16(packet + IP6_LENGTH, length - IP6_HEADER);
    } else {
        put16(packet + IP4_LENGTH, length);
        put16(packet + IP4_CHECKSUM, 0);
        put16(packet + IP4_CHECKSUM, ~slow_sum(packet, transport, 0) & 0xffff);
    }
    if (udp)
        put16(packet + transport + UDP_LENGTH, length - transport);
    put16(packet + field, 0);
    uint32_t sum = slow_pseudo(packet, transport, length);
    if (!partial) {
        sum = ~slow_sum(packet + transport, length - transport, sum) & 0xffff;
        if (udp && !sum)
            sum = 0xffff;
    }
    put16(packet + field, sum);
}

static inline size_t random_below(size_t limit)
{
    return randombytes_uniform((uint32_t)limit);
}

struct super_shape {
    bool v6, udp;
    bool options;        /* of IPv4, or an extension header of IPv6 */
    size_t tcp_options;  /* bytes, a multiple of 4 */
    size_t payload, size;
};

/* Everything that SHAPE does not say is random; TCP flags are ACK. */
static inline void super_make(struct super_packet *super, const struct super_shape *shape)
{
    uint8_t *packet = super->bytes;
    uint8_t protocol = shape->udp ? PROTOCOL_UDP : PROTOCOL_TCP;
    size_t ip = shape->v6 ? IP6_HEADER + (shape->options ? 16u : 0u) : IP4_HEADER + (shape->options ? 8u : 0u);
    super->v6 = shape->v6;
    super->udp = shape->udp;
    super->transport = ip;
    super->header_length = ip + (shape->udp ? UDP_HEADER : TCP_HEADER + shape->tcp_options);
    super->length = super->header_length + shape->payload;
    assert_true(super->length <= SUPER_LONGEST);
    randombytes_buf(packet, super->length);
    if (shape->v6) {
        packet[0] = 0x60 | (packet[0] & 15);
        packet[IP6_NEXT] = shape->options ? 60 : protocol;
        if (shape->options) {
            packet[IP6_HEADER] = protocol;
            packet[IP6_HEADER + 1] = 1;
        }
    } else {
        packet[0] = (uint8_t)(0x40 | ip / 4);
        packet[IP4_PROTOCOL] = protocol;
        put16(packet + IP4_FRAGMENT, random_below(2) ? IP4_DONT_FRAGMENT : 0);
    }
    if (!shape->udp) {
        packet[ip + TCP_OFFSET] = (uint8_t)((TCP_HEADER + shape->tcp_options) / 4 << 4);
        packet[ip + TCP_FLAGS] = TCP_ACKS;
    }
    slow_complete(packet, ip, super->length, shape->udp, true);
    super->header = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = shape->udp ? SUPER_GSO_UDP : shape->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = (uint16_t)super->header_length,
        .gso_size = (uint16_t)shape->size,
        .csum_start = (uint16_t)ip,
        .csum_offset = shape->udp ? UDP_CHECKSUM : TCP_CHECKSUM,
    };
}

/* Segment number INDEX of SUPER, copied into PACKET. Its length; 0: there is none. */
static inline size_t slow_segment(const struct super_packet *super, size_t index, uint8_t *packet)
{
    size_t payloads = super->length - super->header_length, size = super->header.gso_size, offset = index * size;
    if (offset >= payloads && index)
        return 0;
    size_t payload = payloads - offset < size ? payloads - offset : size;
    uint8_t *transport = packet + super->transport;
    memcpy(packet, super->bytes, super->header_length);
    memcpy(packet + super->header_length, super->bytes + super->header_length + offset, payload);
    if (!super->v6)
        put16(packet + IP4_ID, (get16(packet + IP4_ID) + index) & 0xffff);
    if (!super->udp) {
        put32(transport + TCP_SEQUENCE, get32(transport + TCP_SEQUENCE) + (uint32_t)offset);
        if (offset + payload < payloads)
            transport[TCP_FLAGS] &= (uint8_t)~(TCP_FIN | TCP_PSH);
        if (index)
            transport[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    }
    slow_complete(packet, super->transport, super->header_length + payload, super->udp, false);
    return super->header_length + payload;
}

#endif
