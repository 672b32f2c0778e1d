/* An interface made, of the kernel or of an engine, and taken away; and whether its port is free. */
#include <errno.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

/* --- making */

/* What an engine left behind that was killed; one that answers is not touched. */
static void remove_dead_socket(const char *name)
{
    struct device device = {0};
    char *path = mem_format("/var/run/wireguard/%s.sock", name);
    if (access(path, F_OK) == 0 && device_source_uapi.read(name, device_no_salt, &device, NULL) == -2)
        unlink(path);
    device_free(&device);
    free(path);
}

static int start_engine(const char *name, enum engine_kind *engine, struct err *err)
{
    struct device device = {0};
    remove_dead_socket(name);
    if (up_engine_start_apart(name, err))
        return -1;
    if (device_source_uapi.read(name, device_no_salt, &device, err))
        return err_prefix(err, "its engine was started, but");
    *engine = device.engine;
    device_free(&device);
    return 0;
}

int state_link_make(struct nl_sock *socket, const char *name, enum engine_kind *engine, struct err *err)
{
    bool only_kernel = *engine == ENGINE_KERNEL;
    if (*engine == ENGINE_EMBEDDED || *engine == ENGINE_USERSPACE)
        return start_engine(name, engine, err);
    int code = up_link_make(socket, name);
    *engine = ENGINE_KERNEL;
    if (!code)
        return 0;
    if (code == -EOPNOTSUPP && !only_kernel)
        return start_engine(name, engine, err);
    if (code == -EOPNOTSUPP)
        return err_set(err, "%s cannot be made: this kernel has no WireGuard; with Engine = auto this program's own is used", name);
    if (code == -EEXIST)
        return err_set(err, "%s cannot be made: an interface of this name has come meanwhile (ip link show %s); try again", name, name);
    return err_set(err, "%s cannot be made: %s", name, up_netlink_reason(code));
}

int state_link_delete(struct nl_sock *socket, const char *name, enum engine_kind engine, struct err *err)
{
    if (if_nametoindex(name) && up_link_delete(socket, name, err))
        return -1;
    if (engine != ENGINE_KERNEL)
        up_engine_wait_for_end(name);
    return 0;
}

/* --- the port */

static int try_port(int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr *address = family == AF_INET6 ? (const void *)&v6 : (const void *)&v4;
    const int on = 1;
    int descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), code = 0;
    if (descriptor < 0)
        return 0; /* no IPv6 here */
    if (family == AF_INET6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(descriptor, address, family == AF_INET6 ? sizeof v6 : sizeof v4) && errno == EADDRINUSE)
        code = EADDRINUSE;
    close(descriptor);
    return code;
}

/* An engine whose link has gone a moment ago may still hold it. */
int state_port_is_free(const char *name, uint16_t port, struct err *err)
{
    for (int i = 0; i < 50; i++) {
        if (!try_port(AF_INET, port) && !try_port(AF_INET6, port))
            return 0;
        poll(NULL, 0, 20);
    }
    return err_set(err, "%s: the UDP port %u is taken by another program or interface (ss -ulpn tells which); choose another ListenPort", name, port);
}
