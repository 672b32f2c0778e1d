/* What a read of the TUN gives: 10 bytes of virtio header, then a packet. Every segment lies in the packet's room, the lengths add up, and each is a
 * packet whose checksums are right. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/engine/ip_fields.h"
#include "../../src/engine/offload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool right)
{
    if (!right)
        abort();
}

static void check_ip(const uint8_t *packet, size_t length, size_t transport)
{
    if (packet[0] >> 4 == 6) {
        expect(get16(packet + IP6_LENGTH) + (size_t)IP6_HEADER == length);
        return;
    }
    expect(get16(packet + IP4_LENGTH) == length);
    expect(checksum_fold(checksum_add(packet, transport, 0)) == 0xffff);
}

static void check_transport(const uint8_t *packet, size_t length, size_t transport, bool udp)
{
    uint64_t sum = packet[0] >> 4 == 6 ? checksum_add(packet + IP6_ADDRESSES, 32, 0) : checksum_add(packet + IP4_ADDRESSES, 8, 0);
    sum = checksum_fold(sum) + sum16(length - transport) + sum16(udp ? PROTOCOL_UDP : PROTOCOL_TCP);
    expect(checksum_fold(checksum_add(packet + transport, length - transport, sum)) == 0xffff);
    if (udp)
        expect(get16(packet + transport + UDP_LENGTH) == length - transport && get16(packet + transport + UDP_CHECKSUM));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_net_hdr header;
    struct segments segments;
    if (size < sizeof header)
        return 0;
    memcpy(&header, data, sizeof header);
    size_t length = size - sizeof header, given = 0, part;
    uint8_t *room = malloc(length + 16), *packet;
    memcpy(room, data + sizeof header, length);
    memset(room + length, 0, 16);
    if (!segments_begin(&segments, &header, room, length)) {
        size_t left = segments_left(&segments), padding = size % 17;
        while ((part = segment_next(&segments, padding, &packet))) {
            expect(left-- == segments_left(&segments) + 1);
            expect(packet >= room && packet + part <= room + length && part >= segments.header);
            given += part - segments.header;
            if (segments.header) {
                check_ip(packet, part, segments.state.transport);
                check_transport(packet, part, segments.state.transport, (header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == 5);
            }
            memset(packet + part, 0xaa, padding);
        }
        expect(!left && given == length - segments.header);
    }
    free(room);
    return 0;
}
