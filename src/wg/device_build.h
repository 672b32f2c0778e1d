/* Building a device reading piece by piece; shared by the parsers of src/wg. */
#ifndef WGDECK_DEVICE_BUILD_H
#define WGDECK_DEVICE_BUILD_H

#include "wgdeck/device.h"

/* The device as far as it is known; device_free(&build.device) throws it away. */
struct device_build {
    struct device device;
    size_t peer_capacity;
    size_t allowed_capacity; /* of the last peer */
};

struct device_peer *device_build_peer(struct device_build *build);                            /* one more, zeroed */
void device_build_allowed(struct device_build *build, const struct prefix *prefix);           /* to the last peer */
void device_peer_sort(struct device_peer *peer);                                              /* its prefixes: order, host bits, doubles */
/* Sort and hand over to DEVICE; a peer that is there twice is an error. 0, or -1. */
int device_build_finish(struct device_build *build, struct device *device, struct err *err);

/* As endpoint_parse, but an IPv6 zone given as an interface's name is accepted too, and dropped: only the node knows its number.
 * wg(8) and wireguard-go print names. */
int device_parse_endpoint(const char *text, struct endpoint *endpoint);

#endif
