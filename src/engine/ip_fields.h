/* Where the fields of IPv4, IPv6, TCP and UDP headers are (RFC 791, 8200, 9293, 768), for the code that cuts and joins packets. */
#ifndef WGDECK_ENGINE_IP_FIELDS_H
#define WGDECK_ENGINE_IP_FIELDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    IP4_HEADER = 20, IP4_TOS = 1, IP4_LENGTH = 2, IP4_ID = 4, IP4_FRAGMENT = 6, IP4_TTL = 8, IP4_PROTOCOL = 9, IP4_CHECKSUM = 10, IP4_ADDRESSES = 12,
    IP6_HEADER = 40, IP6_LENGTH = 4, IP6_NEXT = 6, IP6_ADDRESSES = 8,
    TCP_HEADER = 20, TCP_SEQUENCE = 4, TCP_ACK = 8, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_WINDOW = 14, TCP_CHECKSUM = 16,
    UDP_HEADER = 8, UDP_LENGTH = 4, UDP_CHECKSUM = 6,
};
enum { IP4_DONT_FRAGMENT = 0x4000, IP4_FRAGMENTED = 0x3fff /* more, or an offset */ };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_ACKS = 0x10, TCP_CWR = 0x80 };
enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
#define IP_LONGEST 65535

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* A number as it adds to a checksum's sum: as its bytes lie in the packet. */
static inline uint64_t sum16(size_t value)
{
    uint8_t bytes[2];
    uint16_t word;
    put16(bytes, value);
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Put what checksum_fold gave, or its complement, where it belongs. */
static inline void put_sum(uint8_t *at, uint16_t sum)
{
    memcpy(at, &sum, sizeof sum);
}

#endif
