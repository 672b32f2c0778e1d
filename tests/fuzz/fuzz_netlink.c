/* A message of the kernel's family "wireguard", with any contents. */
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/wg/netlink.h"
#include "wgdeck/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct netlink_reading reading = {.salt = "00", .err = &err};
    struct device device;
    struct nlmsghdr *message = mem_alloc(NLMSG_HDRLEN + size, 1);
    message->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size);
    message->nlmsg_type = size % 2 ? 30 : 16; /* 16: RTM_NEWLINK */
    if (size)
        memcpy(message + 1, data, size);
    netlink_wireguard_name(message);
    if (netlink_read_message(&reading, message) == 0 && device_build_finish(&reading.build, &device, &err) == 0)
        device_free(&device);
    device_free(&reading.build.device);
    free(message);
    return 0;
}
