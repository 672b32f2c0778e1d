/* The inside of the netlink source: reading the messages of a WG_CMD_GET_DEVICE dump, without a socket (for tests). */
#ifndef WGDECK_NETLINK_H
#define WGDECK_NETLINK_H

#include <linux/netlink.h>

#include "device_build.h"

struct netlink_reading {
    struct device_build build; /* starts zeroed; device_build_finish when the dump has ended */
    const char *salt;
    const struct device_secrets *secrets; /* NULL: nobody is told */
    struct err *err;
};

/* One message of the dump. A peer that goes on from the message before adds only its further prefixes. 0, or -1 with err. */
int netlink_read_message(struct netlink_reading *reading, struct nlmsghdr *message);

/* The interface's name if an RTM_NEWLINK message tells of one of kind "wireguard"; else NULL. Points into the message. */
const char *netlink_wireguard_name(struct nlmsghdr *message);

#endif
