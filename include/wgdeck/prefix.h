/* IPv4 and IPv6 addresses, prefixes and endpoints as values. */
#ifndef WGDECK_PREFIX_H
#define WGDECK_PREFIX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* family is AF_INET, AF_INET6, or 0 for "none"; v4 uses the first 4 bytes, the rest are zero. */
struct address {
    uint8_t family;
    uint8_t bytes[16];
};

struct prefix {
    struct address address; /* host bits are kept as written; prefix_network clears them */
    uint8_t length;         /* bits, at most 32 or 128 */
};

struct endpoint {
    struct address address; /* family 0: no endpoint */
    uint16_t port;          /* host byte order */
    uint32_t scope;         /* IPv6 zone index, 0 if none */
};

#define ADDRESS_TEXT_SIZE 48
#define PREFIX_TEXT_SIZE 52
#define ENDPOINT_TEXT_SIZE 72

/* Strict: the whole text, no host name, v4 in dotted decimal without leading zeros. 0, or -1. */
int address_parse(const char *text, struct address *address);
void address_text(const struct address *address, char text[static ADDRESS_TEXT_SIZE]);
int address_compare(const struct address *a, const struct address *b); /* by family, then bytes */
bool address_is_private(const struct address *address); /* RFC 1918, 6598 (CGNAT), 4193, link-local, loopback */
unsigned address_bits(const struct address *address);   /* 32, 128, or 0 */

/* "10.0.0.1/24", or without a length: the whole address. 0, or -1. */
int prefix_parse(const char *text, struct prefix *prefix);
void prefix_text(const struct prefix *prefix, char text[static PREFIX_TEXT_SIZE]); /* always with the length */
struct prefix prefix_network(const struct prefix *prefix);                         /* host bits cleared */
struct prefix prefix_host(const struct address *address);                          /* /32 or /128 */
int prefix_compare(const struct prefix *a, const struct prefix *b); /* by network address, shorter length first */
bool prefix_contains(const struct prefix *outer, const struct address *address);
bool prefix_covers(const struct prefix *outer, const struct prefix *inner); /* equal counts */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%3]:51820" (numeric zone). Port 1 to 65535. 0, or -1. */
int endpoint_parse(const char *text, struct endpoint *endpoint);
void endpoint_text(const struct endpoint *endpoint, char text[static ENDPOINT_TEXT_SIZE]); /* "" when none */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

#endif
