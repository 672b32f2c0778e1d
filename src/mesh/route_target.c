/* Which address stands for an allowed prefix when a node is asked for its route. The shell of a bare look has the same rule (bare.sh). */
#include "wgdeck/observed.h"

struct address observed_route_target(const struct prefix *allowed)
{
    struct prefix network = prefix_network(allowed);
    struct address target = network.address;
    unsigned bits = address_bits(&target);
    if (network.length >= bits)
        return target;
    target.bytes[bits / 8 - 1] |= 1;
    /* 0.0.0.0/8 is nobody's, and ::1 is the loopback's: take an address that a default route is for. */
    if (target.family == AF_INET && network.length < 8 && target.bytes[0] == 0)
        return (struct address){.family = AF_INET, .bytes = {1, 0, 0, 1}};
    if (target.family == AF_INET6 && network.length < 3 && target.bytes[0] == 0)
        return (struct address){.family = AF_INET6, .bytes = {[0] = 0x20, [15] = 1}};
    return target;
}
