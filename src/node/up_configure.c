/* An interface's keys, port, mark and rows, given to the kernel by netlink or to an engine by its control socket, straight from memory. What held a
 * key is wiped. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netdb.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "up.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* --- names of endpoints */

enum { RESOLVE_TRIES = 6 }; /* 1, 2, 4, 8, 16 s between them: at boot the resolver may be late */

static int resolve(char *host_and_port, struct endpoint *endpoint, struct err *err)
{
    char *colon = strrchr(host_and_port, ':');
    char *host = mem_text_part(host_and_port, (size_t)(colon - host_and_port));
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int result = EAI_AGAIN;
    for (int try = 0; try < RESOLVE_TRIES && !up_interrupted(); try++) {
        result = getaddrinfo(host, colon + 1, &hints, &found);
        if (result != EAI_AGAIN)
            break;
        log_notice("%s has no address yet: %s", host, gai_strerror(result));
        if (try + 1 < RESOLVE_TRIES)
            poll(NULL, 0, 1000 << try);
    }
    free(host);
    if (result)
        return err_set(err, "the endpoint %s: %s", host_and_port, gai_strerror(result));
    *endpoint = (struct endpoint){.address.family = (uint8_t)found->ai_family};
    if (found->ai_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)found->ai_addr;
        memcpy(endpoint->address.bytes, &address->sin6_addr, 16);
        endpoint->port = ntohs(address->sin6_port);
        endpoint->scope = address->sin6_scope_id;
    } else {
        const struct sockaddr_in *address = (const void *)found->ai_addr;
        memcpy(endpoint->address.bytes, &address->sin_addr, 4);
        endpoint->port = ntohs(address->sin_port);
    }
    freeaddrinfo(found);
    return 0;
}

int up_resolve(struct wgquick *wanted, struct err *err)
{
    for (size_t i = 0; i < wanted->device.peer_count; i++)
        if (wanted->endpoint_hosts[i] && resolve(wanted->endpoint_hosts[i], &wanted->device.peers[i].endpoint, err))
            return -1;
    return 0;
}

/* --- by the control socket */

static void add_key(struct buf *text, const char *name, const struct key *key)
{
    char hex[2 * KEY_SIZE + 1];
    sodium_bin2hex(hex, sizeof hex, key->bytes, sizeof key->bytes);
    buf_add_text(text, name);
    buf_add_char(text, '=');
    buf_add_text(text, hex);
    buf_add_char(text, '\n');
    sodium_memzero(hex, sizeof hex);
}

static void add_peer(struct buf *text, const struct device_peer *peer, const struct up_secrets *secrets)
{
    static const struct key none;
    const struct key *preshared = up_secrets_preshared(secrets, &peer->public_key);
    char word[PREFIX_TEXT_SIZE > ENDPOINT_TEXT_SIZE ? PREFIX_TEXT_SIZE : ENDPOINT_TEXT_SIZE];
    add_key(text, "public_key", &peer->public_key);
    add_key(text, "preshared_key", preshared ? preshared : &none);
    endpoint_text(&peer->endpoint, word);
    if (*word)
        buf_add_format(text, "endpoint=%s\n", word);
    buf_add_format(text, "persistent_keepalive_interval=%u\nreplace_allowed_ips=true\n", peer->keepalive);
    for (size_t i = 0; i < peer->allowed_count; i++) {
        prefix_text(&peer->allowed[i], word);
        buf_add_format(text, "allowed_ip=%s\n", word);
    }
}

/* So large that it need not move while it is filled: what has moved would leave keys behind. */
static size_t request_size(const struct device *device)
{
    size_t size = 1024;
    for (size_t i = 0; i < device->peer_count; i++)
        size += 400 + device->peers[i].allowed_count * (PREFIX_TEXT_SIZE + 16);
    return size;
}

static int read_set_answer(const char *name, const char *answer, struct err *err)
{
    const char *number = strncmp(answer, "errno=", 6) ? NULL : answer + 6;
    int code = number ? abs(atoi(number)) : EPROTO;
    if (!code)
        return 0;
    if (code == EADDRINUSE)
        return err_set(err, "%s: the listen port is taken by another program (ss -ulpn)", name);
    return err_set(err, "%s: its engine refuses the configuration: %s", name, strerror(code));
}

static int ask_to_set(const char *name, const struct buf *request, struct err *err)
{
    struct buf answer = BUF_EMPTY;
    int result = device_uapi_ask(name, request->data, request->length, &answer, err);
    if (!result)
        result = read_set_answer(name, buf_text(&answer), err);
    buf_wipe(&answer);
    return result;
}

static int configure_engine(const char *name, const struct device *device, const struct up_secrets *secrets, struct err *err)
{
    struct buf request = BUF_EMPTY;
    buf_reserve(&request, request_size(device));
    buf_add_text(&request, "set=1\n");
    add_key(&request, "private_key", &secrets->private_key);
    buf_add_format(&request, "listen_port=%u\nfwmark=%u\nreplace_peers=true\n", device->listen_port, device->fwmark);
    for (size_t i = 0; i < device->peer_count; i++)
        add_peer(&request, &device->peers[i], secrets);
    buf_add_char(&request, '\n');
    int result = ask_to_set(name, &request, err);
    buf_wipe(&request);
    return result;
}

/* --- by netlink */

enum { MESSAGE_SIZE = 32 << 10, PIECE = 2 << 10 /* more than a row without its prefixes, or one prefix, takes */ };

struct kernel_request {
    struct nl_sock *socket;
    int family;
    const char *name;
    struct nl_msg *message;
    struct nlattr *peers, *peer, *allowed;
};

static void wipe_message(struct nl_msg *message)
{
    sodium_memzero(nlmsg_hdr(message), nlmsg_get_max_size(message));
    nlmsg_free(message);
}

static void begin_message(struct kernel_request *request)
{
    request->message = nlmsg_alloc_size(MESSAGE_SIZE);
    if (!request->message ||
        !genlmsg_put(request->message, NL_AUTO_PORT, NL_AUTO_SEQ, request->family, 0, NLM_F_REQUEST | NLM_F_ACK, WG_CMD_SET_DEVICE, WG_GENL_VERSION))
        abort();
    nla_put_string(request->message, WGDEVICE_A_IFNAME, request->name);
}

static int take_code(struct sockaddr_nl *from, struct nlmsgerr *answer, void *code)
{
    (void)from;
    *(int *)code = answer->error;
    return NL_STOP;
}

/* Sends what there is. 0, or a negative errno. */
static int send_message(struct kernel_request *request)
{
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    int code = 0;
    if (!callbacks)
        abort();
    nl_cb_err(callbacks, NL_CB_CUSTOM, take_code, &code);
    int result = nl_send_auto(request->socket, request->message);
    wipe_message(request->message);
    request->message = NULL;
    if (result >= 0)
        result = nl_recvmsgs(request->socket, callbacks);
    nl_cb_put(callbacks);
    return code ? code : result < 0 ? -EIO : 0;
}

static void open_row(struct kernel_request *request, const struct device_peer *peer, const struct up_secrets *secrets, bool goes_on)
{
    struct nl_msg *message = request->message;
    static const struct key none;
    if (!request->peers)
        request->peers = nla_nest_start(message, WGDEVICE_A_PEERS);
    request->peer = nla_nest_start(message, 0);
    nla_put(message, WGPEER_A_PUBLIC_KEY, KEY_SIZE, peer->public_key.bytes);
    if (!goes_on) {
        const struct key *preshared = up_secrets_preshared(secrets, &peer->public_key);
        nla_put(message, WGPEER_A_PRESHARED_KEY, KEY_SIZE, preshared ? preshared->bytes : none.bytes);
        nla_put_u32(message, WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS);
        nla_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer->keepalive);
        if (peer->endpoint.address.family == AF_INET) {
            struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(peer->endpoint.port)};
            memcpy(&address.sin_addr, peer->endpoint.address.bytes, 4);
            nla_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
        } else if (peer->endpoint.address.family == AF_INET6) {
            struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(peer->endpoint.port), .sin6_scope_id = peer->endpoint.scope};
            memcpy(&address.sin6_addr, peer->endpoint.address.bytes, 16);
            nla_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
        }
    }
    request->allowed = nla_nest_start(message, WGPEER_A_ALLOWEDIPS);
}

static void close_row(struct kernel_request *request)
{
    nla_nest_end(request->message, request->allowed);
    nla_nest_end(request->message, request->peer);
}

static bool is_nearly_full(const struct kernel_request *request)
{
    return nlmsg_hdr(request->message)->nlmsg_len + PIECE > MESSAGE_SIZE;
}

/* What is full goes off, and a new one begins. */
static int turn_page(struct kernel_request *request)
{
    nla_nest_end(request->message, request->peers);
    request->peers = NULL;
    int code = send_message(request);
    begin_message(request);
    return code;
}

static int add_row(struct kernel_request *request, const struct device_peer *peer, const struct up_secrets *secrets)
{
    int code = 0;
    if (request->peers && is_nearly_full(request))
        code = turn_page(request);
    open_row(request, peer, secrets, false);
    for (size_t i = 0; i < peer->allowed_count && !code; i++) {
        if (is_nearly_full(request)) {
            close_row(request);
            code = turn_page(request);
            open_row(request, peer, secrets, true);
        }
        const struct prefix *prefix = &peer->allowed[i];
        struct nlattr *item = nla_nest_start(request->message, 0);
        nla_put_u16(request->message, WGALLOWEDIP_A_FAMILY, prefix->address.family);
        nla_put(request->message, WGALLOWEDIP_A_IPADDR, (int)address_bits(&prefix->address) / 8, prefix->address.bytes);
        nla_put_u8(request->message, WGALLOWEDIP_A_CIDR_MASK, prefix->length);
        nla_nest_end(request->message, item);
    }
    close_row(request);
    return code;
}

static int explain(const char *name, int code, struct err *err)
{
    if (code == -EADDRINUSE)
        return err_set(err, "%s: the listen port is taken by another program (ss -ulpn)", name);
    return err_set(err, "%s: the kernel refuses the configuration: %s", name, strerror(-code));
}

static int open_kernel(struct kernel_request *request, const char *name, struct err *err)
{
    *request = (struct kernel_request){.name = name, .socket = nl_socket_alloc()};
    if (!request->socket)
        abort();
    int result = nl_connect(request->socket, NETLINK_GENERIC);
    if (result >= 0)
        result = request->family = genl_ctrl_resolve(request->socket, WG_GENL_NAME);
    if (result >= 0)
        return 0;
    nl_socket_free(request->socket);
    return err_set(err, "%s: cannot ask the kernel for WireGuard: %s", name, nl_geterror(result));
}

static int configure_kernel(const char *name, const struct device *device, const struct up_secrets *secrets, struct err *err)
{
    struct kernel_request request;
    int code = 0;
    if (open_kernel(&request, name, err))
        return -1;
    begin_message(&request);
    nla_put(request.message, WGDEVICE_A_PRIVATE_KEY, KEY_SIZE, secrets->private_key.bytes);
    nla_put_u16(request.message, WGDEVICE_A_LISTEN_PORT, device->listen_port);
    nla_put_u32(request.message, WGDEVICE_A_FWMARK, device->fwmark);
    nla_put_u32(request.message, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
    for (size_t i = 0; i < device->peer_count && !code; i++)
        code = add_row(&request, &device->peers[i], secrets);
    if (request.peers)
        nla_nest_end(request.message, request.peers);
    if (!code)
        code = send_message(&request);
    else
        wipe_message(request.message);
    nl_socket_free(request.socket);
    return code ? explain(name, code, err) : 0;
}

/* --- either */

int up_configure(enum engine_kind engine, const char *name, const struct device *device, const struct up_secrets *secrets, struct err *err)
{
    return engine == ENGINE_KERNEL ? configure_kernel(name, device, secrets, err) : configure_engine(name, device, secrets, err);
}

static int mark_kernel(const char *name, uint32_t mark, struct err *err)
{
    struct kernel_request request;
    if (open_kernel(&request, name, err))
        return -1;
    begin_message(&request);
    nla_put_u32(request.message, WGDEVICE_A_FWMARK, mark);
    int code = send_message(&request);
    nl_socket_free(request.socket);
    return code ? explain(name, code, err) : 0;
}

int up_set_mark(enum engine_kind engine, const char *name, uint32_t mark, struct err *err)
{
    struct buf request = BUF_EMPTY;
    if (engine == ENGINE_KERNEL)
        return mark_kernel(name, mark, err);
    buf_add_format(&request, "set=1\nfwmark=%u\n\n", mark);
    int result = ask_to_set(name, &request, err);
    buf_free(&request);
    return result;
}
