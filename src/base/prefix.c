/* IPv4 and IPv6 addresses, prefixes and endpoints as values. */
#include "wgdeck/prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

int address_parse(const char *text, struct address *address)
{
    struct address parsed = {0};
    if (inet_pton(AF_INET, text, parsed.bytes) == 1)
        parsed.family = AF_INET;
    else if (inet_pton(AF_INET6, text, parsed.bytes) == 1)
        parsed.family = AF_INET6;
    else
        return -1;
    *address = parsed;
    return 0;
}

void address_text(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    if (!address_bits(address) || !inet_ntop(address->family, address->bytes, text, ADDRESS_TEXT_SIZE))
        text[0] = '\0';
}

/* AF_INET6 is greater than AF_INET, so v4 comes first. */
int address_compare(const struct address *a, const struct address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

unsigned address_bits(const struct address *address)
{
    return address->family == AF_INET ? 32 : address->family == AF_INET6 ? 128 : 0;
}

bool address_is_private(const struct address *address)
{
    static const struct prefix private_prefixes[] = {
        {{AF_INET, {10}}, 8},            {{AF_INET, {172, 16}}, 12},      {{AF_INET, {192, 168}}, 16}, {{AF_INET, {100, 64}}, 10},
        {{AF_INET, {169, 254}}, 16},     {{AF_INET, {127}}, 8},           {{AF_INET6, {0xFC}}, 7},     {{AF_INET6, {0xFE, 0x80}}, 10},
        {{AF_INET6, {[15] = 1}}, 128},
    };
    for (size_t i = 0; i < COUNT_OF(private_prefixes); i++)
        if (prefix_contains(&private_prefixes[i], address))
            return true;
    return false;
}

/* A decimal as it is written in canonical form: no "08", no "+8". */
static int parse_small(const char *text, unsigned maximum, unsigned *number)
{
    unsigned long long value;
    if ((text[0] == '0' && text[1]) || text_to_number(text, maximum, &value))
        return -1;
    *number = (unsigned)value;
    return 0;
}

int prefix_parse(const char *text, struct prefix *prefix)
{
    char host[ADDRESS_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof host)
        return -1;
    memcpy(host, text, length);
    host[length] = '\0';
    struct prefix parsed = {0};
    if (address_parse(host, &parsed.address))
        return -1;
    unsigned bits = address_bits(&parsed.address);
    if (slash && parse_small(slash + 1, bits, &bits))
        return -1;
    parsed.length = (uint8_t)bits;
    *prefix = parsed;
    return 0;
}

void prefix_text(const struct prefix *prefix, char text[static PREFIX_TEXT_SIZE])
{
    char host[ADDRESS_TEXT_SIZE];
    address_text(&prefix->address, host);
    text[0] = '\0';
    if (host[0])
        snprintf(text, PREFIX_TEXT_SIZE, "%s/%u", host, prefix->length);
}

struct prefix prefix_network(const struct prefix *prefix)
{
    struct prefix network = *prefix;
    size_t whole = prefix->length / 8;
    if (whole >= sizeof network.address.bytes)
        return network;
    network.address.bytes[whole] &= (uint8_t)(0xFF00 >> (prefix->length % 8));
    for (size_t i = whole + 1; i < sizeof network.address.bytes; i++)
        network.address.bytes[i] = 0;
    return network;
}

struct prefix prefix_host(const struct address *address)
{
    return (struct prefix){*address, (uint8_t)address_bits(address)};
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
    struct prefix first = prefix_network(a), second = prefix_network(b);
    int order = address_compare(&first.address, &second.address);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

bool prefix_contains(const struct prefix *outer, const struct address *address)
{
    if (!outer->address.family || outer->address.family != address->family)
        return false;
    size_t whole = outer->length / 8;
    if (memcmp(outer->address.bytes, address->bytes, whole))
        return false;
    if (outer->length % 8 == 0)
        return true;
    uint8_t mask = (uint8_t)(0xFF00 >> (outer->length % 8));
    return ((outer->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
    return outer->length <= inner->length && prefix_contains(outer, &inner->address);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return prefix_covers(a, b) || prefix_covers(b, a);
}

/* Cut TEXT ("HOST:PORT" or "[HOST]:PORT") into its host, without brackets and zone, the zone or NULL, and the port. */
static int endpoint_split(char *text, char **host, char **zone, char **port)
{
    char *colon;
    *zone = NULL;
    if (*text == '[') {
        *host = text + 1;
        colon = strchr(text, ']');
        if (!colon || colon[1] != ':')
            return -1;
        *colon++ = '\0';
        *zone = strchr(*host, '%');
        if (*zone)
            *(*zone)++ = '\0';
    } else {
        *host = text;
        colon = strchr(text, ':');
        if (!colon || strchr(colon + 1, ':'))
            return -1;
    }
    *colon = '\0';
    *port = colon + 1;
    return 0;
}

int endpoint_parse(const char *text, struct endpoint *endpoint)
{
    char copy[ENDPOINT_TEXT_SIZE + 16], *host, *zone, *port;
    struct endpoint parsed = {0};
    size_t length = strnlen(text, sizeof copy);
    unsigned number, scope = 0;
    if (length >= sizeof copy)
        return -1;
    memcpy(copy, text, length + 1);
    bool bracket = text[0] == '[';
    if (endpoint_split(copy, &host, &zone, &port) || address_parse(host, &parsed.address) ||
        bracket != (parsed.address.family == AF_INET6) || parse_small(port, UINT16_MAX, &number) || !number ||
        (zone && (parse_small(zone, UINT32_MAX, &scope) || !scope)))
        return -1;
    parsed.port = (uint16_t)number;
    parsed.scope = scope;
    *endpoint = parsed;
    return 0;
}

void endpoint_text(const struct endpoint *endpoint, char text[static ENDPOINT_TEXT_SIZE])
{
    char host[ADDRESS_TEXT_SIZE], zone[16] = "";
    address_text(&endpoint->address, host);
    if (endpoint->scope)
        snprintf(zone, sizeof zone, "%%%u", endpoint->scope);
    if (endpoint->address.family == AF_INET6)
        snprintf(text, ENDPOINT_TEXT_SIZE, "[%s%s]:%u", host, zone, endpoint->port);
    else if (endpoint->address.family == AF_INET)
        snprintf(text, ENDPOINT_TEXT_SIZE, "%s:%u", host, endpoint->port);
    else
        text[0] = '\0';
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return address_compare(&a->address, &b->address) == 0 && a->port == b->port && a->scope == b->scope;
}
