/* Cutting super-packets: against a slow way that copies, for all kinds and sizes; and what is malformed. */
#include "unit.h"

#include "super_packet.h"

static struct super_packet super, whole;

static void copy_super(struct super_packet *to, const struct super_packet *from)
{
    uint8_t *bytes = to->bytes;
    *to = *from;
    to->bytes = bytes;
    memcpy(bytes, from->bytes, from->length);
}

/* Cut `super` in place, with the caller's padding scribbled after each; each segment is what the slow way makes of the copy. */
static void check_cut(size_t row)
{
    struct segments segments;
    uint8_t expected[SUPER_ROOM], *packet;
    size_t length, index = 0;
    copy_super(&whole, &super);
    CASE_ASSERT(row, !segments_begin(&segments, &super.header, super.bytes, super.length));
    CASE_ASSERT(row, segments.header == super.header_length && segments.size == super.header.gso_size);
    size_t left = segments_left(&segments), padding = random_below(17);
    while ((length = segment_next(&segments, padding, &packet))) {
        size_t right = slow_segment(&whole, index++, expected);
        CASE_ASSERT(row, length == right);
        CASE_ASSERT(row, !memcmp(packet, expected, length));
        CASE_ASSERT(row, segments_left(&segments) == --left);
        memset(packet + length, 0xee, padding);
    }
    CASE_ASSERT(row, !left && !slow_segment(&whole, index, expected) && !segment_next(&segments, 0, &packet));
}

static const struct super_shape SHAPES[] = {
    {.payload = 60000, .size = 1380},
    {.payload = 65535 - 52, .size = 1368, .tcp_options = 12},
    {.v6 = true, .payload = 65535 - 72, .size = 1348, .tcp_options = 12},
    {.udp = true, .payload = 1200 * 40 + 7, .size = 1200},
    {.v6 = true, .udp = true, .payload = 1200 * 40, .size = 1200},
    {.options = true, .payload = 5000, .size = 1000, .tcp_options = 40},
    {.v6 = true, .options = true, .payload = 5000, .size = 999},
    {.v6 = true, .options = true, .udp = true, .payload = 5000, .size = 998},
    {.payload = 300, .size = 3},                                       /* smaller than the header that is written over it */
    {.v6 = true, .payload = 777, .size = 1, .tcp_options = 40},
    {.payload = 500, .size = 1400},                                    /* only one after all */
    {.payload = 1400, .size = 1400},
    {.payload = 0, .size = 1400},
    {.udp = true, .payload = 0, .size = 1400},
    {.payload = 65535 - 40, .size = 65535 - 41},
};

static void test_shapes(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(SHAPES); row++)
        for (unsigned flags = 0; flags < 256; flags++) {
            super_make(&super, &SHAPES[row]);
            if (!SHAPES[row].udp) {
                super.bytes[super.transport + TCP_FLAGS] = (uint8_t)flags;
                if (flags & TCP_CWR)
                    super.header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
            }
            check_cut(row);
            if (SHAPES[row].udp || SHAPES[row].size < 100)
                break;
        }
}

static void test_random(void **state)
{
    (void)state;
    for (size_t row = 0; row < 3000; row++) {
        struct super_shape shape = {
            .v6 = random_below(2), .udp = random_below(2), .options = !random_below(4), .tcp_options = 4 * random_below(11), .size = 1 + random_below(1500)};
        shape.payload = random_below(shape.size * 20 < 65000 ? shape.size * 20 : 65000);
        super_make(&super, &shape);
        if (row % 16 == 0) { /* sums that carry out of every word */
            size_t at = shape.v6 ? IP6_ADDRESSES : IP4_ADDRESSES;
            memset(super.bytes + at, 0xff, shape.v6 ? 32 : 8);
            memset(super.bytes + super.header_length, 0xff, shape.payload);
        }
        super.header.hdr_len = (uint16_t)randombytes_random(); /* the kernel's is not always right: not used */
        if (!random_below(4))
            super.header.flags = 0;
        check_cut(row);
    }
}

/* The checksum of a UDP packet that comes out as zero is sent as ones; of TCP too it is right either way. */
static void test_zero_checksum(void **state)
{
    (void)state;
    uint8_t *packet;
    for (unsigned udp = 0; udp < 2; udp++) {
        struct segments segments;
        super_make(&super, &(struct super_shape){.udp = udp, .payload = 100, .size = 100});
        slow_complete(super.bytes, super.transport, super.length, udp, false);
        uint8_t *field = super.bytes + super.transport + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
        /* One's complement: adding the checksum to the payload makes the checksum zero. */
        put16(super.bytes + super.header_length, slow_sum(field, 2, slow_sum(super.bytes + super.header_length, 2, 0)));
        assert_int_equal(segments_begin(&segments, &super.header, super.bytes, super.length), 0);
        assert_int_equal(segment_next(&segments, 0, &packet), super.length);
        if (udp)
            assert_int_equal(get16(field), 0xffff);
        uint32_t sum = slow_sum(super.bytes + super.transport, super.length - super.transport, slow_pseudo(super.bytes, super.transport, super.length));
        assert_int_equal(sum, 0xffff);
    }
}

static void test_single(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(SHAPES); row++) {
        struct segments segments;
        uint8_t *packet = NULL;
        super_make(&super, &SHAPES[row]);
        super.header.gso_type = VIRTIO_NET_HDR_GSO_NONE;
        super.header.gso_size = 0;
        copy_super(&whole, &super);
        slow_complete(whole.bytes, whole.transport, whole.length, whole.udp, false);
        CASE_ASSERT(row, !segments_begin(&segments, &super.header, super.bytes, super.length));
        CASE_ASSERT(row, segments.header == 0 && segments_left(&segments) == 1);
        CASE_ASSERT(row, segment_next(&segments, 15, &packet) == super.length && packet == super.bytes);
        CASE_ASSERT(row, !memcmp(packet, whole.bytes, whole.length));
        CASE_ASSERT(row, !segments_left(&segments) && !segment_next(&segments, 15, &packet));
        /* And one that is complete is left as it is. */
        struct virtio_net_hdr none = {0};
        CASE_ASSERT(row, !segments_begin(&segments, &none, super.bytes, super.length));
        CASE_ASSERT(row, segment_next(&segments, 15, &packet) == super.length && !memcmp(packet, whole.bytes, whole.length));
    }
}

/* What a kernel would not hand out, but a driver's fault could: each begins as a good packet. */
static const struct bad {
    const char *what;
    bool v6, udp, options;
    long length;          /* cut to this */
    int at, value;        /* byte changed; at < 0: none */
    int type, size, start, offset; /* of the virtio header; -1: as it was */
} BAD[] = {
    {"nothing", .length = 0, .at = -1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"less than an IPv4 header", .length = 19, .at = -1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"less than an IPv6 header", .v6 = true, .length = 39, .at = -1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"less than a TCP header", .length = 39, .at = -1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"less than a UDP header", .udp = true, .length = 27, .at = -1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"less than TCP's options", .length = 50, .at = 32, .value = 0x80, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"no IP version", .length = -1, .at = 0, .value = 0x55, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"IPv4 header too short", .length = -1, .at = 0, .value = 0x44, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"TCP header too short", .length = -1, .at = 32, .value = 0x40, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"another protocol", .length = -1, .at = 9, .value = 1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"another protocol, IPv6", .v6 = true, .length = -1, .at = 6, .value = 58, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"a fragment", .length = -1, .at = 6, .value = 0x20, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"a later fragment", .length = -1, .at = 7, .value = 1, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"an extension header past the end", .v6 = true, .options = true, .length = -1, .at = 41, .value = 255, .type = -1, .size = -1, .start = -1, .offset = -1},
    {"a segment size of zero", .length = -1, .at = -1, .type = -1, .size = 0, .start = -1, .offset = -1},
    {"a type that is not known", .length = -1, .at = -1, .type = 2, .size = -1, .start = -1, .offset = -1},
    {"UFO", .udp = true, .length = -1, .at = -1, .type = VIRTIO_NET_HDR_GSO_UDP, .size = -1, .start = -1, .offset = -1},
    {"TCP of the other family", .length = -1, .at = -1, .type = VIRTIO_NET_HDR_GSO_TCPV6, .size = -1, .start = -1, .offset = -1},
    {"UDP said, TCP there", .length = -1, .at = -1, .type = SUPER_GSO_UDP, .size = -1, .start = -1, .offset = -1},
    {"checksum begins elsewhere", .length = -1, .at = -1, .type = -1, .size = -1, .start = 24, .offset = -1},
    {"checksum of a single packet past the end", .length = -1, .at = -1, .type = 0, .size = 0, .start = -1, .offset = 65535},
    {"checksum at its very end", .length = 200, .at = -1, .type = 0, .size = 0, .start = 20, .offset = 179},
    {"checksum in the IP header", .length = -1, .at = -1, .type = 0, .size = 0, .start = 10, .offset = 0},
    {"checksum in the IPv6 header", .v6 = true, .length = -1, .at = -1, .type = 0, .size = 0, .start = 38, .offset = 0},
    {"checksum begins past the end", .length = 200, .at = -1, .type = 0, .size = 0, .start = 65535, .offset = 16},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(BAD); row++) {
        const struct bad *bad = &BAD[row];
        struct segments segments;
        super_make(&super, &(struct super_shape){.v6 = bad->v6, .udp = bad->udp, .options = bad->options, .payload = 3000, .size = 1000});
        copy_super(&whole, &super);
        CASE_ASSERT(row, !segments_begin(&segments, &whole.header, whole.bytes, whole.length));
        if (bad->at >= 0)
            super.bytes[bad->at] = (uint8_t)bad->value;
        if (bad->type >= 0)
            super.header.gso_type = (uint8_t)bad->type;
        if (bad->size >= 0)
            super.header.gso_size = (uint16_t)bad->size;
        if (bad->start >= 0)
            super.header.csum_start = (uint16_t)bad->start;
        if (bad->offset >= 0)
            super.header.csum_offset = (uint16_t)bad->offset;
        /* In a block of its own, for the sanitizer. */
        size_t length = bad->length >= 0 ? (size_t)bad->length : super.length;
        uint8_t *block = mem_copy(super.bytes, length + 1, 1);
        if (segments_begin(&segments, &super.header, block, length) != -1)
            fail_msg("taken: %s", bad->what);
        free(block);
    }
}

int main(void)
{
    static uint8_t rooms[2][SUPER_ROOM];
    super.bytes = rooms[0];
    whole.bytes = rooms[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_random),    cmocka_unit_test(test_single), cmocka_unit_test(test_zero_checksum),
        cmocka_unit_test(test_malformed),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
