/* What a packet costs in the engine beside the kernel's part: nanoseconds for checksum, sealing, opening, cutting and joining, in the first caches.
 * seal_bench [ROUNDS]: the best of ROUNDS (20). */
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ip_fields.h"
#include "engine/offload.h"
#include "engine/seal.h"
#include "wgdeck/clock.h"

#define SEGMENTS 44
static unsigned rounds = 20;
static uint8_t bytes[80000], other[80000];
static const size_t LENGTHS[] = {64, 576, 1420};

struct work {
    const struct seal_ops *ops;
    void *context;
    size_t length;
    uint64_t counter, sink;
    struct virtio_net_hdr header;
    struct coalescer coalescer;
    uint8_t (*packets)[2048];
};
typedef void work_function(struct work *work);

/* Best time of one call, divided by PER. */
static double measure(work_function *function, struct work *work, unsigned calls, unsigned per)
{
    double best = 1e12;
    for (unsigned round = 0; round < rounds; round++) {
        int64_t begun = clock_steady();
        for (unsigned call = 0; call < calls; call++)
            function(work);
        double took = (double)(clock_steady() - begun) / calls / per;
        best = took < best ? took : best;
    }
    return best;
}

static const uint8_t KEY[32] = {1, 2, 3};

static void do_checksum(struct work *work)
{
    work->sink += checksum_add(bytes, work->length, work->sink);
}

static void do_seal(struct work *work)
{
    work->ops->seal(work->context, KEY, work->counter++, bytes, work->length, other + 16);
}

static void do_open(struct work *work) /* refused, which costs the same: the text is opened and the tag made */
{
    work->sink += (uint64_t)work->ops->open(work->context, KEY, work->counter++, other, work->length);
}

static void make_super(struct work *work)
{
    size_t payload = work->length - 40;
    memset(bytes, 0x5a, sizeof bytes);
    memset(bytes, 0, 40);
    bytes[0] = 0x45;
    bytes[IP4_FRAGMENT] = 0x40;
    bytes[IP4_PROTOCOL] = PROTOCOL_TCP;
    bytes[20 + TCP_OFFSET] = 0x50;
    bytes[20 + TCP_FLAGS] = TCP_ACKS;
    work->header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = (uint16_t)payload,
                                           .csum_start = 20, .csum_offset = TCP_CHECKSUM};
}

static void do_segment(struct work *work)
{
    struct segments segments;
    uint8_t *packet;
    make_super(work);
    segments_begin(&segments, &work->header, bytes, 40 + SEGMENTS * (work->length - 40));
    while (segment_next(&segments, 15, &packet))
        work->sink += packet[0];
}

static void do_make_super(struct work *work)
{
    make_super(work);
}

static void on_packet(void *argument, struct coalesced *packet)
{
    struct work *work = argument;
    work->sink += packet->length;
}

static void do_coalesce(struct work *work)
{
    put16(work->packets[0] + IP4_LENGTH, work->length); /* the last round joined them */
    memcpy(work->packets[0] + 20 + TCP_CHECKSUM, work->packets[SEGMENTS] + 20 + TCP_CHECKSUM, 2);
    for (unsigned i = 0; i < SEGMENTS; i++)
        coalesce_packet(&work->coalescer, work->packets[i], work->length);
    coalesce_flush(&work->coalescer);
}

static void make_packets(struct work *work)
{
    struct segments segments;
    uint8_t *packet;
    make_super(work);
    segments_begin(&segments, &work->header, bytes, 40 + SEGMENTS * (work->length - 40));
    for (unsigned i = 0; i < SEGMENTS && segment_next(&segments, 15, &packet); i++)
        memcpy(work->packets[i], packet, work->length);
    memcpy(work->packets[SEGMENTS], work->packets[0], work->length);
}

static void bench_sealing(struct work *work)
{
    static const char *const NAMES[] = {"ipsec-mb-avx512", "ipsec-mb-avx2", "libcrypto"};
    struct err err;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        work->ops = seal_choose(NAMES[i], &err);
        if (!work->ops) {
            printf("%-18s %s\n", NAMES[i], err.text);
            continue;
        }
        work->context = work->ops->context_new();
        double seal = measure(do_seal, work, 2000, 1), open = measure(do_open, work, 2000, 1);
        printf("  %-16s seal %7.1f  open %7.1f\n", NAMES[i], seal, open);
        work->ops->context_free(work->context);
    }
}

int main(int count, char **words)
{
    struct work work = {.coalescer = {.tcp = true, .udp = true, .emit = on_packet}};
    if (count > 1)
        rounds = (unsigned)atoi(words[1]);
    work.coalescer.argument = &work;
    work.packets = calloc(SEGMENTS + 1, sizeof *work.packets);
    if (!work.packets)
        return 1;
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        work.length = LENGTHS[i];
        printf("%zu bytes, ns a packet\n", work.length);
        printf("  checksum %.1f\n", measure(do_checksum, &work, 20000, 1));
        double made = measure(do_make_super, &work, 200, SEGMENTS);
        printf("  segment  %.1f\n", measure(do_segment, &work, 200, SEGMENTS) - made);
        make_packets(&work);
        printf("  coalesce %.1f\n", measure(do_coalesce, &work, 200, SEGMENTS));
        bench_sealing(&work);
    }
    free(work.packets);
    return work.sink == 42;
}
