/* Joining packets: what was cut is joined into the same again; what differs is not; each flow's order is kept; nothing is lost. */
#include "unit.h"

#include "super_packet.h"

#define ROOM 2048 /* of a packet in the receive buffers */
#define MOST 256

/* What came out, as the kernel would see it. */
static struct emitted {
    struct virtio_net_hdr header;
    uint8_t *bytes;
    size_t length;
    unsigned parts;
} out[MOST];
static size_t out_count;

static void collect(void *argument, struct coalesced *packet)
{
    (void)argument;
    assert_true(out_count < MOST && packet->part_count >= 2 && packet->part_count <= COALESCE_PARTS);
    struct emitted *emitted = &out[out_count++];
    assert_int_equal(packet->parts[0].iov_len, sizeof emitted->header);
    assert_int_equal(sizeof emitted->header, 10);
    memcpy(&emitted->header, packet->parts[0].iov_base, sizeof emitted->header);
    emitted->parts = packet->part_count;
    emitted->length = packet->length;
    emitted->bytes = mem_alloc(SUPER_ROOM, 1);
    size_t length = 0;
    for (unsigned i = 1; i < packet->part_count; i++) {
        memcpy(emitted->bytes + length, packet->parts[i].iov_base, packet->parts[i].iov_len);
        length += packet->parts[i].iov_len;
    }
    assert_int_equal(length, packet->length);
    assert_true(length <= 65535);
}

static void forget(void)
{
    while (out_count)
        free(out[--out_count].bytes);
}

static struct coalescer coalescer_new(void)
{
    return (struct coalescer){.tcp = true, .udp = true, .emit = collect};
}

static uint8_t packets[MOST][ROOM];
static size_t lengths[MOST], packet_count;
static struct super_packet super;

static void add_segments(void)
{
    size_t length, index = 0;
    while ((length = slow_segment(&super, index++, packets[packet_count])))
        lengths[packet_count++] = length;
}

static void put_all(struct coalescer *coalescer)
{
    for (size_t i = 0; i < packet_count; i++)
        coalesce_packet(coalescer, packets[i], lengths[i]);
}

/* `super` in, cut, joined: one packet comes out, and it is `super`. */
static void check_round(size_t row)
{
    struct coalescer coalescer = coalescer_new();
    packet_count = 0;
    add_segments();
    put_all(&coalescer);
    coalesce_flush(&coalescer);
    CASE_ASSERT(row, out_count == 1 && !coalescer.count);
    CASE_ASSERT(row, out[0].length == super.length);
    if (packet_count == 1) { /* it stays complete */
        super.header = (struct virtio_net_hdr){0};
        slow_complete(super.bytes, super.transport, super.length, super.udp, false);
    }
    CASE_ASSERT(row, !memcmp(out[0].bytes, super.bytes, super.length));
    CASE_ASSERT(row, !memcmp(&out[0].header, &super.header, sizeof super.header));
    forget();
}

static void test_round(void **state)
{
    (void)state;
    for (size_t row = 0; row < 3000; row++) {
        struct super_shape shape = {.v6 = random_below(2), .udp = random_below(2), .tcp_options = 4 * random_below(11), .size = 1 + random_below(1400)};
        shape.payload = 1 + random_below(shape.size * 64 < 65000 ? shape.size * 64 : 65000);
        if (shape.payload > shape.size * 64)
            shape.payload = shape.size * 64;
        super_make(&super, &shape);
        if (!shape.udp && random_below(2)) {
            super.bytes[super.transport + TCP_FLAGS] |= TCP_PSH;
        }
        check_round(row);
    }
}

/* And back by segment.c itself. */
static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t row = 0; row < 300; row++) {
        struct segments segments;
        uint8_t *packet;
        size_t index = 0;
        struct super_shape shape = {.v6 = row & 1, .udp = row & 2, .payload = 1000 * (row % 50) + 1001, .size = 1000};
        super_make(&super, &shape);
        struct coalescer coalescer = coalescer_new();
        packet_count = 0;
        add_segments();
        put_all(&coalescer);
        coalesce_flush(&coalescer);
        CASE_ASSERT(row, out_count == 1);
        CASE_ASSERT(row, !segments_begin(&segments, &out[0].header, out[0].bytes, out[0].length));
        for (size_t length; (length = segment_next(&segments, 0, &packet)); index++) {
            uint8_t expected[ROOM];
            CASE_ASSERT(row, length == slow_segment(&super, index, expected) && !memcmp(packet, expected, length));
        }
        CASE_ASSERT(row, index == packet_count);
        forget();
    }
}

/* --- what is not joined: the second of three segments is changed; then three packets (or as many as said) come out, bytes as they went in. */
static const struct difference {
    const char *what;
    bool v6, udp;
    bool in_transport;
    int at;
    uint8_t flip;
    bool wrong_checksum;
    unsigned come_out;
} DIFFERENCES[] = {
    {"nothing", .at = -1, .come_out = 1},
    {"DSCP", .at = IP4_TOS, .flip = 0x20, .come_out = 3},
    {"ECN", .at = IP4_TOS, .flip = 3, .come_out = 3},
    {"TTL", .at = IP4_TTL, .flip = 1, .come_out = 3},
    {"don't fragment", .at = IP4_FRAGMENT, .flip = 0x40, .come_out = 3},
    {"more fragments", .at = IP4_FRAGMENT, .flip = 0x20, .come_out = 3},
    {"fragment's offset", .at = IP4_FRAGMENT + 1, .flip = 1, .come_out = 3},
    {"the bit that must be zero", .at = IP4_FRAGMENT, .flip = 0x80, .come_out = 3},
    {"source", .at = IP4_ADDRESSES + 3, .flip = 1, .come_out = 3},       /* the third does not follow the first */
    {"destination", .at = IP4_ADDRESSES + 7, .flip = 1, .come_out = 3},
    {"another protocol", .at = IP4_PROTOCOL, .flip = 0x80, .come_out = 3},
    {"traffic class", .v6 = true, .at = 0, .flip = 2, .come_out = 3},
    {"flow label", .v6 = true, .at = 3, .flip = 1, .come_out = 3},
    {"hop limit", .v6 = true, .at = 7, .flip = 1, .come_out = 3},
    {"IPv6 source", .v6 = true, .at = 8, .flip = 1, .come_out = 3},
    {"source port", .in_transport = true, .at = 1, .flip = 1, .come_out = 3},
    {"destination port", .in_transport = true, .at = 3, .flip = 1, .come_out = 3},
    {"sequence", .in_transport = true, .at = TCP_SEQUENCE + 3, .flip = 1, .come_out = 3},
    {"acknowledgement", .in_transport = true, .at = TCP_ACK + 3, .flip = 1, .come_out = 3},
    {"reserved bits", .in_transport = true, .at = TCP_OFFSET, .flip = 1, .come_out = 3},
    {"FIN", .in_transport = true, .at = TCP_FLAGS, .flip = 1, .come_out = 3},
    {"SYN", .in_transport = true, .at = TCP_FLAGS, .flip = 2, .come_out = 3},
    {"RST", .in_transport = true, .at = TCP_FLAGS, .flip = 4, .come_out = 3},
    {"PSH", .in_transport = true, .at = TCP_FLAGS, .flip = 8, .come_out = 2},
    {"no ACK", .in_transport = true, .at = TCP_FLAGS, .flip = 0x10, .come_out = 3},
    {"URG", .in_transport = true, .at = TCP_FLAGS, .flip = 0x20, .come_out = 3},
    {"ECE", .in_transport = true, .at = TCP_FLAGS, .flip = 0x40, .come_out = 3},
    {"CWR", .in_transport = true, .at = TCP_FLAGS, .flip = 0x80, .come_out = 3},
    {"window", .in_transport = true, .at = TCP_WINDOW, .flip = 1, .come_out = 3},
    {"urgent pointer", .in_transport = true, .at = 18, .flip = 1, .come_out = 3},
    {"an option", .in_transport = true, .at = 25, .flip = 1, .come_out = 3},
    {"wrong checksum", .at = -1, .wrong_checksum = true, .come_out = 3},
    {"wrong checksum, UDP", .udp = true, .at = -1, .wrong_checksum = true, .come_out = 3},
    {"wrong checksum, IPv6", .v6 = true, .at = -1, .wrong_checksum = true, .come_out = 3},
    {"UDP port", .udp = true, .in_transport = true, .at = 1, .flip = 1, .come_out = 2}, /* first and third are joined: UDP has no sequence */
    {"UDP length", .udp = true, .in_transport = true, .at = UDP_LENGTH + 1, .flip = 1, .come_out = 3},
};

static void check_difference(const struct difference *difference)
{
    struct coalescer coalescer = coalescer_new();
    uint8_t before[3][ROOM];
    packet_count = 0;
    super_make(&super, &(struct super_shape){.v6 = difference->v6, .udp = difference->udp, .tcp_options = 12, .payload = 3000, .size = 1000});
    if (!difference->v6)
        put16(super.bytes + IP4_FRAGMENT, IP4_DONT_FRAGMENT);
    add_segments();
    assert_int_equal(packet_count, 3);
    uint8_t *packet = packets[1];
    if (difference->at >= 0) {
        packet[(difference->in_transport ? super.transport : 0) + (size_t)difference->at] ^= difference->flip;
        size_t field = super.transport + (difference->udp ? UDP_CHECKSUM : TCP_CHECKSUM);
        put16(packet + field, 0);
        uint32_t sum = slow_pseudo(packet, super.transport, lengths[1]);
        put16(packet + field, ~slow_sum(packet + super.transport, lengths[1] - super.transport, sum) & 0xffff);
    }
    if (difference->wrong_checksum)
        packet[lengths[1] - 1] ^= 1;
    memcpy(before, packets, sizeof before);
    put_all(&coalescer);
    coalesce_flush(&coalescer);
    if (out_count != difference->come_out)
        fail_msg("%s: %zu came out", difference->what, out_count);
    size_t total = 0;
    for (size_t i = 0; i < out_count; i++) {
        total += out[i].length - super.header_length;
        if (out_count == 3 && memcmp(out[i].bytes, before[i], lengths[i]) && difference->come_out == 3) {
            bool found = false;
            for (size_t k = 0; k < 3; k++)
                found |= out[i].length == lengths[k] && !memcmp(out[i].bytes, before[k], lengths[k]);
            if (!found)
                fail_msg("%s: packet %zu is not as it was", difference->what, i);
        }
    }
    assert_int_equal(total, 3000);
    forget();
}

static void test_differences(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(DIFFERENCES); row++)
        check_difference(&DIFFERENCES[row]);
}

/* Without "don't fragment" the id must go on by one. */
static void test_id(void **state)
{
    (void)state;
    for (unsigned fragment = 0; fragment < 2; fragment++) {
        struct coalescer coalescer = coalescer_new();
        packet_count = 0;
        super_make(&super, &(struct super_shape){.payload = 3000, .size = 1000});
        put16(super.bytes + IP4_FRAGMENT, fragment ? 0 : IP4_DONT_FRAGMENT);
        add_segments();
        packets[2][IP4_ID] ^= 1;
        put_all(&coalescer);
        coalesce_flush(&coalescer);
        assert_int_equal(out_count, fragment ? 2 : 1);
        forget();
    }
}

/* --- order and limits */

static void send_plain(struct coalescer *coalescer, const uint8_t *bytes, size_t length)
{
    memcpy(packets[packet_count], bytes, length);
    coalesce_packet(coalescer, packets[packet_count++], length);
}

/* An acknowledgement without data goes after the data before it; a larger payload begins anew; a shorter one ends. */
static void test_order(void **state)
{
    (void)state;
    struct coalescer coalescer = coalescer_new();
    uint8_t ack[ROOM];
    packet_count = 0;
    super_make(&super, &(struct super_shape){.payload = 3000, .size = 1000});
    add_segments();
    memcpy(ack, packets[0], super.header_length);
    slow_complete(ack, super.transport, super.header_length, false, false);
    put_all(&coalescer);
    assert_int_equal(out_count, 0);
    send_plain(&coalescer, ack, super.header_length);
    assert_int_equal(out_count, 2);
    assert_int_equal(out[0].length, super.length);
    assert_int_equal(out[1].length, super.header_length);
    assert_memory_equal(out[1].bytes, ack, super.header_length);
    assert_int_equal(out[1].header.flags | out[1].header.gso_type, 0);
    assert_int_equal(coalescer.count, 0);
    forget();

    packet_count = 0;
    super_make(&super, &(struct super_shape){.payload = 2500, .size = 1000});
    add_segments();
    put_all(&coalescer);
    assert_int_equal(out_count, 1); /* the short one ended it */
    assert_int_equal(out[0].length, super.length);
    forget();

    packet_count = 0;
    for (unsigned i = 0; i < 3; i++) { /* UDP of 500, 600, 600 */
        super_make(&super, &(struct super_shape){.udp = true, .payload = i ? 600 : 500, .size = 1000});
        memcpy(super.bytes, packets[0], i ? super.transport + 4 : 0);
        put16(super.bytes + IP4_FRAGMENT, IP4_DONT_FRAGMENT);
        slow_complete(super.bytes, super.transport, super.length, true, false);
        send_plain(&coalescer, super.bytes, super.length);
    }
    coalesce_flush(&coalescer);
    assert_int_equal(out_count, 2);
    assert_int_equal(out[1].header.gso_size, 600);
    assert_int_equal(out[1].length, super.length + 600);
    forget();
}

/* A fragment may belong to any flow: all that is held goes first. What is neither TCP nor UDP goes at once. */
static void test_strangers(void **state)
{
    (void)state;
    struct coalescer coalescer = coalescer_new();
    uint8_t other[60];
    packet_count = 0;
    super_make(&super, &(struct super_shape){.payload = 2000, .size = 1000});
    add_segments();
    put_all(&coalescer);
    memcpy(other, packets[0], sizeof other);
    put16(other + IP4_LENGTH, sizeof other);
    other[IP4_PROTOCOL] = 1;
    send_plain(&coalescer, other, sizeof other);
    assert_int_equal(out_count, 1);
    assert_int_equal(out[0].length, sizeof other);
    put16(other + IP4_FRAGMENT, 0x2000);
    send_plain(&coalescer, other, sizeof other);
    assert_int_equal(out_count, 3);
    assert_int_equal(out[1].length, super.length);
    assert_int_equal(out[2].length, sizeof other);
    forget();
}

/* More than 64 segments, more than 65535 bytes: the rest begins anew. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        size_t size, count, first;
        bool udp;
    } CASES[] = {{100, 100, 64, false}, {100, 100, 64, true}, {1400, 50, 46, false}, {1400, 50, 46, true}};
    for (size_t row = 0; row < COUNT_OF(CASES); row++) {
        struct coalescer coalescer = coalescer_new();
        packet_count = 0;
        super_make(&super, &(struct super_shape){.udp = CASES[row].udp, .payload = CASES[row].size, .size = CASES[row].size});
        put16(super.bytes + IP4_FRAGMENT, IP4_DONT_FRAGMENT);
        for (size_t i = 0; i < CASES[row].count; i++) {
            if (!CASES[row].udp && i)
                put32(super.bytes + super.transport + TCP_SEQUENCE,
                      get32(super.bytes + super.transport + TCP_SEQUENCE) + (uint32_t)CASES[row].size);
            slow_complete(super.bytes, super.transport, super.length, super.udp, false);
            send_plain(&coalescer, super.bytes, super.length);
        }
        coalesce_flush(&coalescer);
        CASE_ASSERT(row, out_count == 2);
        CASE_ASSERT(row, out[0].length == super.header_length + CASES[row].first * CASES[row].size);
        CASE_ASSERT(row, out[1].length == super.header_length + (CASES[row].count - CASES[row].first) * CASES[row].size);
        forget();
    }
}

/* More flows than places, mixed at random: nothing is lost, each flow's bytes come in their order. */
static void test_many_flows(void **state)
{
    (void)state;
    enum { FLOWS = 12, EACH = 20 };
    for (size_t row = 0; row < 50; row++) {
        struct coalescer coalescer = coalescer_new();
        struct super_packet flows[FLOWS];
        size_t next[FLOWS] = {0}, seen[FLOWS] = {0}, left = FLOWS * EACH;
        packet_count = 0;
        for (size_t i = 0; i < FLOWS; i++) {
            flows[i].bytes = mem_alloc(SUPER_ROOM, 1);
            super_make(&flows[i], &(struct super_shape){.v6 = i % 2, .udp = i % 3 == 0, .payload = EACH * 900, .size = 900});
        }
        while (left) {
            size_t i = random_below(FLOWS), run = 1 + random_below(4);
            for (; run && next[i] < EACH; run--, left--) {
                size_t length = slow_segment(&flows[i], next[i]++, packets[packet_count]);
                coalesce_packet(&coalescer, packets[packet_count++], length);
            }
        }
        coalesce_flush(&coalescer);
        for (size_t k = 0; k < out_count; k++) {
            size_t i = 0;
            while (i < FLOWS && (flows[i].v6 != (out[k].bytes[0] >> 4 == 6) ||
                                 memcmp(flows[i].bytes + flows[i].transport - 8, out[k].bytes + flows[i].transport - 8, 12)))
                i++;
            CASE_ASSERT(row, i < FLOWS);
            size_t payload = out[k].length - flows[i].header_length;
            CASE_ASSERT(row, !memcmp(out[k].bytes + flows[i].header_length, flows[i].bytes + flows[i].header_length + seen[i], payload));
            seen[i] += payload;
        }
        for (size_t i = 0; i < FLOWS; i++) {
            CASE_ASSERT(row, seen[i] == EACH * 900);
            free(flows[i].bytes);
        }
        forget();
    }
}

/* What the TUN does not take is not joined. */
static void test_switches(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 4; mask++)
        for (unsigned udp = 0; udp < 2; udp++) {
            struct coalescer coalescer = coalescer_new();
            coalescer.tcp = mask & 1;
            coalescer.udp = mask & 2;
            packet_count = 0;
            super_make(&super, &(struct super_shape){.udp = udp, .payload = 3000, .size = 1000});
            add_segments();
            put_all(&coalescer);
            coalesce_flush(&coalescer);
            assert_int_equal(out_count, (udp ? coalescer.udp : coalescer.tcp) ? 1 : 3);
            forget();
        }
}

int main(void)
{
    static uint8_t room[SUPER_ROOM];
    super.bytes = room;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),     cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_differences),
        cmocka_unit_test(test_id),        cmocka_unit_test(test_order),          cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_many_flows),     cmocka_unit_test(test_switches),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
