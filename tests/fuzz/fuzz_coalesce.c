/* Packets as they come out of the tunnel, each 2 bytes of length and the bytes: nothing is lost or made, what is joined is cut again by segment.c into
 * packets that came in, byte for byte, in the order of their flow. The first byte: what the TUN takes, and whether checksums are made right first. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/engine/ip_fields.h"
#include "../../src/engine/offload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 300
static struct {
    uint8_t *bytes, *copy;
    size_t length;
    bool seen;
} packets[MOST];
static size_t packet_count;

static void expect(bool right)
{
    if (!right)
        abort();
}

/* IDs of packets that may not be fragmented may come out anew. */
static bool same_packet(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (length >= IP4_HEADER && a[0] == 0x45 && a[IP4_FRAGMENT] & 0x40)
        return !memcmp(a, b, IP4_ID) && !memcmp(a + IP4_FRAGMENT, b + IP4_FRAGMENT, 4) && !memcmp(a + IP4_ADDRESSES, b + IP4_ADDRESSES, length - IP4_ADDRESSES);
    return !memcmp(a, b, length);
}

static void see(const uint8_t *packet, size_t length)
{
    for (size_t i = 0; i < packet_count; i++)
        if (!packets[i].seen && packets[i].length == length && same_packet(packet, packets[i].copy, length)) {
            packets[i].seen = true;
            return;
        }
    abort();
}

static void on_packet(void *argument, struct coalesced *packet)
{
    struct segments segments;
    uint8_t *whole = malloc(packet->length + 16), *part;
    size_t length = 0;
    (void)argument;
    expect(packet->part_count >= 2 && packet->part_count <= COALESCE_PARTS && packet->length <= 65535 && packet->parts[0].iov_len == sizeof packet->header);
    for (unsigned i = 1; i < packet->part_count; i++) {
        expect(length + packet->parts[i].iov_len <= packet->length);
        memcpy(whole + length, packet->parts[i].iov_base, packet->parts[i].iov_len);
        length += packet->parts[i].iov_len;
    }
    expect(length == packet->length);
    if (packet->header.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        expect(packet->part_count == 2 && !packet->header.flags);
        see(whole, length);
    } else {
        expect(!segments_begin(&segments, &packet->header, whole, length));
        expect(segments_left(&segments) == packet->part_count - 1 && segments.header == packet->header.hdr_len);
        while ((length = segment_next(&segments, 0, &part)))
            see(part, length);
    }
    free(whole);
}

static void make_right(uint8_t *packet, size_t length)
{
    size_t ip = packet[0] >> 4 == 6 ? IP6_HEADER : IP4_HEADER;
    bool v6 = ip == IP6_HEADER;
    if (length < ip)
        return;
    uint8_t protocol = v6 ? packet[IP6_NEXT] : packet[IP4_PROTOCOL];
    size_t field = ip + (protocol == PROTOCOL_UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
    if (v6) {
        put16(packet + IP6_LENGTH, length - ip);
    } else {
        put16(packet + IP4_LENGTH, length);
        put16(packet + IP4_CHECKSUM, 0);
        put_sum(packet + IP4_CHECKSUM, (uint16_t)~checksum_fold(checksum_add(packet, ip, 0)));
    }
    if (field + 2 > length)
        return;
    if (protocol == PROTOCOL_UDP)
        put16(packet + ip + UDP_LENGTH, length - ip);
    put16(packet + field, 0);
    uint64_t sum = checksum_fold(v6 ? checksum_add(packet + IP6_ADDRESSES, 32, 0) : checksum_add(packet + IP4_ADDRESSES, 8, 0));
    uint16_t checksum = (uint16_t)~checksum_fold(checksum_add(packet + ip, length - ip, sum + sum16(length - ip) + sum16(protocol)));
    put_sum(packet + field, checksum || protocol != PROTOCOL_UDP ? checksum : 0xffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t mode = data[0];
    struct coalescer coalescer = {.tcp = mode & 1, .udp = mode & 2, .emit = on_packet};
    packet_count = 0;
    for (size_t at = 1; at + 2 <= size && packet_count < MOST; packet_count++) {
        size_t length = get16(data + at) % 1500;
        at += 2;
        if (length > size - at)
            length = size - at;
        uint8_t *bytes = malloc(length + 1);
        memcpy(bytes, data + at, length);
        at += length;
        if (mode & 4 && length)
            make_right(bytes, length);
        packets[packet_count].bytes = realloc(bytes, length ? length : 1);
        packets[packet_count].copy = malloc(length + 1);
        memcpy(packets[packet_count].copy, bytes = packets[packet_count].bytes, length);
        packets[packet_count].length = length;
        packets[packet_count].seen = false;
    }
    for (size_t i = 0; i < packet_count; i++)
        coalesce_packet(&coalescer, packets[i].bytes, packets[i].length);
    coalesce_flush(&coalescer);
    expect(!coalescer.count);
    for (size_t i = 0; i < packet_count; i++) {
        expect(packets[i].seen);
        free(packets[i].bytes);
        free(packets[i].copy);
    }
    return 0;
}
