/* Super-packets: a TUN's packets with a virtio-net header cut into segments on the way out, and segments put together on the way in.
 * Pure: bytes in, bytes out; for the data path, its tests and its fuzzers. Lengths from outside are checked. */
#ifndef WGDECK_ENGINE_OFFLOAD_H
#define WGDECK_ENGINE_OFFLOAD_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* One's-complement sum of LENGTH bytes added to SUM, not folded; any alignment. Vectorised where the CPU can.
 * A carry out of 64 bits is kept here, but not by a plain +: fold before adding to the result. */
uint64_t checksum_add(const void *bytes, size_t length, uint64_t sum);
uint16_t checksum_fold(uint64_t sum); /* not complemented */

/* --- out: cutting. */
struct segments {
    uint8_t *packet;        /* the super-packet: IP header first; written to while it is walked (see segment_next) */
    size_t length;
    size_t header;          /* bytes of IP and TCP/UDP headers; 0: a single packet that goes as it is */
    size_t size;            /* payload bytes a segment; the last may be shorter */
    size_t offset;          /* payload bytes already given out */
    /* what segment_next needs to make each header (ids, sequence number, flags); private to offload code */
    struct segment_state {
        uint8_t header[128];
        uint8_t saved[16];
        uint32_t sequence;
        uint16_t id;
        uint8_t kind, flags;
        uint16_t saved_at_end;
        uint16_t transport;                 /* where the TCP or UDP header begins */
        uint64_t ip_sum, transport_sum;     /* of what is the same in all segments */
    } state;
};
/* What a read of the TUN gave. GSO none with NEEDS_CSUM: the checksum is completed in place. 0, or -1: malformed (counted and dropped). */
int segments_begin(struct segments *segments, const struct virtio_net_hdr *header, uint8_t *packet, size_t length);
/* The next packet, contiguous, ready to be sealed (checksums complete): its header is written over the tail of the payload that was given out
 * before, so that nothing is copied. PADDING bytes after it (0...16) may be overwritten by the caller, with zero padding (segments.packet must have
 * 16 spare bytes at its end); what stood there is put back by the next call. Returns the length, 0 at the end. */
size_t segment_next(struct segments *segments, size_t padding, uint8_t **packet);
/* How many segments are left. */
size_t segments_left(const struct segments *segments);

/* --- in: putting together. */
#define COALESCE_FLOWS 8
#define COALESCE_PARTS 66 /* header and up to 64 payloads of one datagram train, and one more */

/* One packet being grown: PARTS[0] is room for the virtio header, PARTS[1] the first packet whole, then payloads. Nothing is copied: all points
 * into the receive buffers, which must stay until the flush. */
struct coalesced {
    struct virtio_net_hdr header;
    struct iovec parts[COALESCE_PARTS];
    unsigned part_count;
    size_t length;   /* of the packet, without the virtio header */
    /* private */
    uint32_t next_sequence;
    uint16_t payload_size, header_length;
    uint16_t segments;
    bool v6, udp;
};
struct coalescer {
    bool tcp, udp;   /* what the TUN takes (TUN_F_TSO4/6; TUN_F_USO4/6) */
    struct coalesced flows[COALESCE_FLOWS];
    unsigned count;  /* of flows that hold a packet (part_count > 0) */
    unsigned last;   /* the flow that the last packet belonged to: looked at first */
    unsigned victim; /* whose turn it is to leave when all are taken */
    /* Called for each packet that is ready, in an order that keeps each flow's; the virtio header is in parts[0]. */
    void (*emit)(void *argument, struct coalesced *packet);
    void *argument;
};
/* A decrypted IP packet (checked: version and length). Kept or emitted at once. Never merged: IP options, fragments, differing TTL, DSCP/ECN, DF, wrong
 * checksum, TCP flags other than ACK (PSH ends), options that differ, a payload larger than the first. */
void coalesce_packet(struct coalescer *coalescer, uint8_t *packet, size_t length);
void coalesce_flush(struct coalescer *coalescer); /* emits all; empty after */

#endif
