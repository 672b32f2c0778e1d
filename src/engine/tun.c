/* The inner side: making the TUN device, its offloads and limits, its state, and writing to it. Reading: tx.c. */
#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "udp.h"

#define TUN_QUEUE_LENGTH 1000
#define HEADER_AND_TAG 32 /* of a data message */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef IFLA_GSO_MAX_SEGS
#define IFLA_GSO_MAX_SEGS 40
#define IFLA_GSO_MAX_SIZE 41
#endif
#define GSO_MAX_SIZE 65536

/* An ioctl of the network device with this name, in this namespace. 0, or -1 with errno. */
static int device_ioctl(unsigned long request, struct ifreq *ifr)
{
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result, error;
    if (descriptor < 0)
        descriptor = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    result = ioctl(descriptor, request, ifr);
    error = errno;
    close(descriptor);
    errno = error;
    return result;
}

/* --- limits of a super-packet */

struct link_message {
    struct nlmsghdr header;
    struct ifinfomsg info;
    struct rtattr segments_attribute;
    uint32_t segments;
    struct rtattr size_attribute;
    uint32_t size;
};

static void tell_kernel(const void *message, size_t length)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (descriptor < 0)
        return;
    (void)!sendto(descriptor, message, length, MSG_DONTWAIT, (const struct sockaddr *)&kernel, sizeof kernel);
    close(descriptor);
}

static void send_limits(int index, uint32_t segments)
{
    struct link_message message = {
        .header = {.nlmsg_len = sizeof message, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
        .info = {.ifi_family = AF_UNSPEC, .ifi_index = index},
        .segments_attribute = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_GSO_MAX_SEGS},
        .segments = segments,
        .size_attribute = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_GSO_MAX_SIZE},
        .size = GSO_MAX_SIZE,
    };
    tell_kernel(&message, sizeof message);
}

void tun_fit(const struct tun *tun, int mtu)
{
    struct ifreq ifr = {0};
    uint32_t segments;
    if (!atomic_load(&tun->tso) || mtu < 576)
        return;
    segments = (uint32_t)(UDP_TRAIN_BYTES / (mtu + HEADER_AND_TAG));
    if (segments > UDP_TRAIN_SEGMENTS)
        segments = UDP_TRAIN_SEGMENTS;
    memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
    if (segments > 0 && device_ioctl(SIOCGIFINDEX, &ifr) == 0)
        send_limits(ifr.ifr_ifindex, segments);
}

/* --- opening */

/* No link-local address made by the kernel: its own WireGuard has none either, and SaveConfig would write it into the file. */
static void no_link_local(struct ifreq *ifr)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
        struct rtattr families, inet6, attribute;
        uint8_t mode, padding[3];
    } message = {
        .header = {.nlmsg_len = sizeof message, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
        .info = {.ifi_family = AF_UNSPEC},
        .families = {.rta_len = 2 * sizeof(struct rtattr) + RTA_LENGTH(sizeof(uint8_t)), .rta_type = IFLA_AF_SPEC},
        .inet6 = {.rta_len = sizeof(struct rtattr) + RTA_LENGTH(sizeof(uint8_t)), .rta_type = AF_INET6},
        .attribute = {.rta_len = RTA_LENGTH(sizeof(uint8_t)), .rta_type = IFLA_INET6_ADDR_GEN_MODE},
        .mode = IN6_ADDR_GEN_MODE_NONE,
    };
    if (device_ioctl(SIOCGIFINDEX, ifr) != 0)
        return;
    message.info.ifi_index = ifr->ifr_ifindex;
    tell_kernel(&message, sizeof message);
}

static int refuse_device(const char *name, bool taken_over, struct err *err)
{
    const int error = errno;
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        err_set(err, "/dev/net/tun is missing: load the module (modprobe tun), or give the container the device (--device /dev/net/tun)");
        break;
    case EACCES:
    case EPERM:
        err_set(err, "may not make the interface %s: this needs the capability CAP_NET_ADMIN (a container: --cap-add NET_ADMIN --device /dev/net/tun)", name);
        break;
    case EBUSY:
        err_set(err, "the interface %s is used by another program", name);
        break;
    case EINVAL:
        err_set(err, "cannot make the interface %s: the name is taken by another kind of interface, or is no valid name", name);
        break;
    default:
        err_set(err, "cannot %s the interface %s: %s", taken_over ? "take over" : "make", name, strerror(error));
    }
    errno = error;
    return -1;
}

enum { BUSY_TRIES = 20, BUSY_PAUSE = 25000 };

/* One more queue of the device; the first makes it. 0, or -1 with errno. */
static int attach(struct tun *tun, unsigned queue, bool vnet)
{
    struct ifreq ifr = {0};
    int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), error;
    if (descriptor < 0)
        return -1;
    memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
    ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0) | (tun->queues > 1 ? IFF_MULTI_QUEUE : 0));
    if (ioctl(descriptor, TUNSETIFF, &ifr) == 0) {
        memcpy(tun->name, ifr.ifr_name, sizeof tun->name);
        tun->descriptors[queue] = descriptor;
        return 0;
    }
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

/* One that somebody else made. */
static int take_over(struct tun *tun, int descriptor, struct err *err)
{
    struct ifreq ifr = {0};
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || ioctl(descriptor, TUNGETIFF, &ifr) != 0)
        return err_set(err, "the descriptor %d given in WG_TUN_FD is no TUN device", descriptor);
    if ((ifr.ifr_flags & (IFF_TUN | IFF_NO_PI)) != (IFF_TUN | IFF_NO_PI))
        return err_set(err, "the device given in WG_TUN_FD must be a TUN with IFF_NO_PI");
    if (fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0)
        return err_set(err, "cannot use the descriptor %d given in WG_TUN_FD: %s", descriptor, strerror(errno));
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    memcpy(tun->name, ifr.ifr_name, sizeof tun->name);
    tun->queues = 1;
    tun->descriptors[0] = descriptor;
    atomic_store(&tun->vnet, (ifr.ifr_flags & IFF_VNET_HDR) != 0);
    return 0;
}

/* The most that this kernel has, in steps. */
static void set_offloads(struct tun *tun, bool offload, bool uso)
{
    const unsigned long tso_bits = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, uso_bits = TUN_F_USO4 | TUN_F_USO6;
    const int descriptor = tun->descriptors[0];
    int size = sizeof(struct virtio_net_hdr);
    if (!atomic_load(&tun->vnet))
        return;
    for (unsigned i = 0; i < tun->queues; i++)
        (void)ioctl(tun->descriptors[i], TUNSETVNETHDRSZ, &size);
    if (offload && uso && ioctl(descriptor, TUNSETOFFLOAD, tso_bits | uso_bits) == 0)
        atomic_store(&tun->uso, true);
    if (offload && (atomic_load(&tun->uso) || ioctl(descriptor, TUNSETOFFLOAD, tso_bits) == 0))
        atomic_store(&tun->tso, true);
    else
        (void)ioctl(descriptor, TUNSETOFFLOAD, 0ul);
}

/* The kernel takes control characters; people and their terminals don't. */
static bool is_printable(const char *name)
{
    while (*name > ' ' && *name < 0x7f)
        name++;
    return !*name;
}

static int make(struct tun *tun, const char *name, unsigned queues, bool offload, struct err *err)
{
    struct ifreq ifr = {0};
    if (!*name || strlen(name) >= IFNAMSIZ) {
        errno = ENAMETOOLONG;
        return err_set(err, "\"%s\" is no name for an interface: 1 to %d characters", name, IFNAMSIZ - 1);
    }
    if (!is_printable(name)) {
        errno = EINVAL;
        return err_set(err, "this is no name for an interface: only letters, digits and signs of ASCII, no spaces");
    }
    memcpy(tun->name, name, strlen(name) + 1);
    tun->queues = queues < 1 ? 1 : queues > TUN_QUEUES ? TUN_QUEUES : queues;
    atomic_store(&tun->vnet, offload);
    for (unsigned i = 0, tries = 0; i < tun->queues; i++)
        while (attach(tun, i, offload) != 0) {
            /* An engine that was killed a moment ago holds its device until the kernel has taken it apart. */
            if (errno != EBUSY || tries++ == BUSY_TRIES)
                return refuse_device(name, false, err);
            usleep(BUSY_PAUSE);
        }
    memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
    ifr.ifr_mtu = TUN_MTU;
    if (device_ioctl(SIOCSIFMTU, &ifr) != 0)
        return refuse_device(name, false, err);
    ifr.ifr_qlen = TUN_QUEUE_LENGTH;
    (void)device_ioctl(SIOCSIFTXQLEN, &ifr);
    no_link_local(&ifr);
    return 0;
}

int tun_open(struct tun *tun, const char *name, int descriptor, unsigned queues, bool offload, bool uso, struct err *err)
{
    memset(tun, 0, sizeof *tun);
    for (unsigned i = 0; i < TUN_QUEUES; i++)
        tun->descriptors[i] = -1;
    if ((descriptor >= 0 ? take_over(tun, descriptor, err) : make(tun, name, queues, offload, err)) != 0) {
        const int error = errno;
        if (descriptor < 0)
            tun_close(tun);
        errno = error;
        return -1;
    }
    set_offloads(tun, offload, uso);
    tun_fit(tun, tun_mtu(tun));
    return 0;
}

void tun_close(struct tun *tun)
{
    for (unsigned i = 0; i < TUN_QUEUES; i++) {
        if (tun->descriptors[i] >= 0)
            close(tun->descriptors[i]);
        tun->descriptors[i] = -1;
    }
}

int tun_offload_off(struct tun *tun)
{
    atomic_store(&tun->tso, false);
    atomic_store(&tun->uso, false);
    return ioctl(tun->descriptors[0], TUNSETOFFLOAD, 0ul) == 0 ? 0 : -1;
}

/* --- its state */

/* The device is writable exactly while it is up. This has no effect on it, and needs no access to the namespace that it is in. */
enum tun_state tun_state(const struct tun *tun)
{
    struct pollfd wanted = {.fd = tun->descriptors[0], .events = POLLOUT};
    if (poll(&wanted, 1, 0) < 0 || (wanted.revents & (POLLERR | POLLNVAL)))
        return TUN_GONE;
    return wanted.revents & POLLOUT ? TUN_UP : TUN_DOWN;
}

int tun_mtu(struct tun *tun)
{
    struct ifreq ifr = {0};
    if (ioctl(tun->descriptors[0], TUNGETIFF, &ifr) == 0)
        memcpy(tun->name, ifr.ifr_name, sizeof tun->name);
    memcpy(ifr.ifr_name, tun->name, sizeof ifr.ifr_name);
    if (device_ioctl(SIOCGIFMTU, &ifr) == 0)
        tun->mtu = ifr.ifr_mtu;
    return tun->mtu > 0 ? tun->mtu : TUN_MTU;
}

int tun_write(struct tun *tun, unsigned queue, const struct iovec *parts, unsigned count)
{
    ssize_t written;
    do
        written = writev(tun->descriptors[queue], parts, (int)count);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -1 : 0;
}
