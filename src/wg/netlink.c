/* The kernel's WireGuard interfaces, by netlink: which there are, and one of them read. The messages' contents are taken apart
 * in netlink_message.c. Receiving is done here and not by libnl, whose buffers go back to the heap with private keys in them. */
#include "netlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { RECEIVE_SIZE = 65536, SOCKET_BUFFER = 1 << 20, TRIES = 5 };
enum { MORE = 1, AGAIN, DONE }; /* how a dump stands: goes on; was disturbed by a change, ask again; is complete */
#define PATIENCE (5 * CLOCK_SECOND)

/* What happens with each message of a dump; 0, or a negative errno that ends it. */
typedef int (*message_handler)(struct nlmsghdr *message, void *context);

/* One datagram. Its length, or a negative errno. */
static int receive(int descriptor, char *bytes, int64_t deadline)
{
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t from_length = sizeof from;
        struct pollfd entry = {.fd = descriptor, .events = POLLIN};
        int64_t left = deadline - clock_steady();
        if (left <= 0)
            return -ETIMEDOUT;
        if (poll(&entry, 1, (int)(left / CLOCK_MILLISECOND) + 1) <= 0)
            continue;
        ssize_t got = recvfrom(descriptor, bytes, RECEIVE_SIZE, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_length);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return -errno;
        if (got > RECEIVE_SIZE)
            return -EMSGSIZE;
        if (from.nl_pid == 0) /* only the kernel is heard */
            return (int)got;
    }
}

/* The errno in an NLMSG_ERROR or at the end of an NLMSG_DONE; 0 if there is none. */
static int message_error(struct nlmsghdr *message)
{
    int code = 0;
    if (nlmsg_datalen(message) >= (int)sizeof code)
        memcpy(&code, nlmsg_data(message), sizeof code);
    return code < 0 ? code : 0;
}

/* All messages of one datagram. MORE, AGAIN, DONE, or a negative errno. */
static int take_datagram(char *bytes, int length, unsigned sequence, message_handler handle, void *context)
{
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)bytes;
    for (; nlmsg_ok(message, length); message = nlmsg_next(message, &length)) {
        if (message->nlmsg_seq != sequence)
            continue;
        if (message->nlmsg_flags & NLM_F_DUMP_INTR)
            return AGAIN;
        int code = 0;
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
            code = message_error(message);
            return code ? code : DONE;
        }
        if (message->nlmsg_type >= NLMSG_MIN_TYPE)
            code = handle(message, context);
        if (code)
            return code;
    }
    return MORE;
}

/* Ask and hear the whole answer. DONE; AGAIN when the kernel's tables changed meanwhile; or a negative errno. */
static int dump(struct nl_sock *socket, struct nl_msg *request, message_handler handle, void *context)
{
    nl_socket_set_buffer_size(socket, SOCKET_BUFFER, 0);
    nl_socket_disable_auto_ack(socket);
    if (nl_send_auto(socket, request) < 0)
        return -EIO;
    char *bytes = mem_alloc(RECEIVE_SIZE, 1);
    int64_t deadline = clock_steady() + PATIENCE;
    int result = MORE;
    while (result == MORE) {
        int length = receive(nl_socket_get_fd(socket), bytes, deadline);
        result = length < 0 ? length : take_datagram(bytes, length, nlmsg_hdr(request)->nlmsg_seq, handle, context);
    }
    sodium_memzero(bytes, RECEIVE_SIZE);
    free(bytes);
    return result;
}

static struct nl_sock *open_netlink(int protocol, struct err *err)
{
    struct nl_sock *socket = nl_socket_alloc();
    if (!socket)
        abort();
    int code = nl_connect(socket, protocol);
    if (!code)
        return socket;
    nl_socket_free(socket);
    err_set(err, "cannot open a netlink socket: %s", nl_geterror(code));
    return NULL;
}

struct name_list {
    char **names;
    size_t count, capacity;
};

static int add_name(struct nlmsghdr *message, void *context)
{
    struct name_list *list = context;
    const char *name = netlink_wireguard_name(message);
    if (name) {
        MEM_GROW(list->names, list->count, list->capacity);
        list->names[list->count++] = mem_text(name);
    }
    return 0;
}

static void free_names(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct name_list){0};
}

/* DONE, AGAIN, or -1 with err. */
static int list_once(struct name_list *list, struct err *err)
{
    struct nl_sock *socket = open_netlink(NETLINK_ROUTE, err);
    if (!socket)
        return -1;
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct nl_msg *request = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP);
    if (!request || nlmsg_append(request, &header, sizeof header, NLMSG_ALIGNTO) < 0)
        abort();
    int result = dump(socket, request, add_name, list);
    nlmsg_free(request);
    nl_socket_free(socket);
    return result < 0 ? err_set(err, "cannot list the interfaces: %s", strerror(-result)) : result;
}

static int list(char ***names, size_t *count, struct err *err)
{
    struct name_list found = {0};
    int result = AGAIN;
    for (int i = 0; i < TRIES && result == AGAIN; i++) {
        free_names(&found);
        result = list_once(&found, err);
    }
    if (result < 0) {
        free_names(&found);
        return -1;
    }
    *names = found.names; /* after TRIES disturbed dumps: the last one, rather than nothing */
    *count = found.count;
    return 0;
}

static int take_message(struct nlmsghdr *message, void *context)
{
    return netlink_read_message(context, message) ? -EBADMSG : 0;
}

static int explain(const char *name, int code, struct err *err)
{
    static const struct { int code; const char *why; } reasons[] = {
        {ENODEV, "no such interface"},
        {EOPNOTSUPP, "is not a WireGuard interface"},
        {EPERM, "permission denied (log in as root, or allow sudo)"},
        {ETIMEDOUT, "the kernel does not answer"},
    };
    if (code == -EBADMSG)
        return -1; /* said already */
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if (reasons[i].code == -code)
            return err_set(err, "%s: %s", name, reasons[i].why);
    return err_set(err, "%s: cannot be read: %s", name, strerror(-code));
}

/* DONE, AGAIN, or -1 with err. */
static int read_once(struct nl_sock *socket, int family, const char *name, struct netlink_reading *reading)
{
    struct nl_msg *request = nlmsg_alloc();
    if (!request || !genlmsg_put(request, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_REQUEST | NLM_F_DUMP, WG_CMD_GET_DEVICE, 1) ||
        nla_put_string(request, WGDEVICE_A_IFNAME, name) < 0)
        abort();
    int result = dump(socket, request, take_message, reading);
    nlmsg_free(request);
    return result < 0 ? explain(name, result, reading->err) : result;
}

static int resolve_family(struct nl_sock *socket, const char *name, struct err *err)
{
    int family = genl_ctrl_resolve(socket, "wireguard");
    if (family >= 0)
        return family;
    if (family == -NLE_OBJ_NOTFOUND)
        return err_set(err, "%s: this kernel has no WireGuard (module wireguard is not there)", name);
    return err_set(err, "%s: cannot ask the kernel for WireGuard: %s", name, nl_geterror(family));
}

static int read_any(const char *name, const char *salt, const struct device_secrets *secrets, struct device *device, struct err *err)
{
    if (!device_name_is_valid(name))
        return err_set(err, "'%.32s' is not the name of an interface", name);
    struct nl_sock *socket = open_netlink(NETLINK_GENERIC, err);
    if (!socket)
        return -1;
    int result = AGAIN, family = resolve_family(socket, name, err);
    struct netlink_reading reading = {.salt = salt, .secrets = secrets, .err = err};
    if (family < 0)
        result = -1;
    for (int i = 0; i < TRIES && result == AGAIN; i++) {
        device_free(&reading.build.device);
        reading.build = (struct device_build){0};
        nl_socket_free(socket); /* a fresh one each time: what is left of a disturbed dump goes with the old one */
        socket = open_netlink(NETLINK_GENERIC, err);
        result = socket ? read_once(socket, family, name, &reading) : -1;
    }
    if (result == AGAIN)
        result = err_set(err, "%s: it changes faster than it can be read; try again", name);
    if (result == DONE)
        result = device_build_finish(&reading.build, device, err);
    device_free(&reading.build.device);
    if (socket)
        nl_socket_free(socket);
    return result;
}

static int read_device(const char *name, const char *salt, struct device *device, struct err *err)
{
    return read_any(name, salt, NULL, device, err);
}

static int read_secrets(const char *name, const struct device_secrets *secrets, struct device *device, struct err *err)
{
    return read_any(name, device_no_salt, secrets, device, err);
}

const struct device_source device_source_netlink = {"netlink", list, read_device, read_secrets};
