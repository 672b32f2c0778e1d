/* What is to change of an interface's keys, port, mark and rows, told to the kernel by netlink or to an engine by its control socket, straight from
 * memory. What held a key is wiped. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "up.h"
#include "wgdeck/mem.h"

static int port_is_taken(const struct up_set *set, struct err *err)
{
    return err_set(err, "%s: the UDP port %u is taken by another program or interface (ss -ulpn tells which); choose another ListenPort", set->name,
                   set->port);
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

static void add_row_text(struct buf *text, const struct up_row_set *row)
{
    char word[PREFIX_TEXT_SIZE > ENDPOINT_TEXT_SIZE ? PREFIX_TEXT_SIZE : ENDPOINT_TEXT_SIZE];
    add_key(text, "public_key", row->public_key);
    if (row->remove) {
        buf_add_text(text, "remove=true\n");
        return;
    }
    if (row->update_only)
        buf_add_text(text, "update_only=true\n");
    if (row->preshared)
        add_key(text, "preshared_key", row->preshared);
    endpoint_text(&row->endpoint, word);
    if (*word)
        buf_add_format(text, "endpoint=%s\n", word);
    if (row->set_keepalive)
        buf_add_format(text, "persistent_keepalive_interval=%u\n", row->keepalive);
    if (row->replace_allowed)
        buf_add_text(text, "replace_allowed_ips=true\n");
    for (size_t i = 0; i < row->allowed_count; i++) {
        prefix_text(&row->allowed[i], word);
        buf_add_format(text, "allowed_ip=%s\n", word);
    }
}

/* So large that it need not move while it is filled: what has moved would leave keys behind. */
static size_t text_size(const struct up_set *set)
{
    size_t size = 1024;
    for (size_t i = 0; i < set->row_count; i++)
        size += 512 + set->rows[i].allowed_count * (PREFIX_TEXT_SIZE + 16);
    return size;
}

void up_set_to_uapi(const struct up_set *set, struct buf *text)
{
    buf_reserve(text, text_size(set));
    buf_add_text(text, "set=1\n");
    if (set->private_key)
        add_key(text, "private_key", set->private_key);
    if (set->set_port)
        buf_add_format(text, "listen_port=%u\n", set->port);
    if (set->set_mark)
        buf_add_format(text, "fwmark=%u\n", set->mark);
    if (set->replace_peers)
        buf_add_text(text, "replace_peers=true\n");
    for (size_t i = 0; i < set->row_count; i++)
        add_row_text(text, &set->rows[i]);
    buf_add_char(text, '\n');
}

static int read_answer(const struct up_set *set, const char *answer, struct err *err)
{
    const char *number = strncmp(answer, "errno=", 6) ? NULL : answer + 6;
    int code = number ? abs(atoi(number)) : EPROTO;
    if (!code)
        return 0;
    return code == EADDRINUSE ? port_is_taken(set, err) : err_set(err, "%s: its engine refuses the configuration: %s", set->name, strerror(code));
}

static int set_engine(const struct up_set *set, struct err *err)
{
    struct buf request = BUF_EMPTY, answer = BUF_EMPTY;
    up_set_to_uapi(set, &request);
    int result = device_uapi_ask(set->name, request.data, request.length, &answer, err);
    if (!result)
        result = read_answer(set, buf_text(&answer), err);
    buf_wipe(&request);
    buf_wipe(&answer);
    return result;
}

/* --- by netlink */

enum { MESSAGE_SIZE = 32 << 10, PIECE = 2 << 10 /* more than a row without its prefixes, or one prefix, takes */ };

struct pages {
    const struct up_set *set;
    int family;
    int (*send)(struct nl_msg *message, void *context);
    void *context;
    struct nl_msg *message;
    struct nlattr *peers, *peer, *allowed;
};

static void begin_page(struct pages *pages)
{
    pages->message = nlmsg_alloc_size(MESSAGE_SIZE);
    if (!pages->message ||
        !genlmsg_put(pages->message, NL_AUTO_PORT, NL_AUTO_SEQ, pages->family, 0, NLM_F_REQUEST | NLM_F_ACK, WG_CMD_SET_DEVICE, WG_GENL_VERSION))
        abort();
    nla_put_string(pages->message, WGDEVICE_A_IFNAME, pages->set->name);
}

static int send_page(struct pages *pages)
{
    if (pages->peers)
        nla_nest_end(pages->message, pages->peers);
    struct nl_msg *message = pages->message;
    pages->peers = NULL;
    pages->message = NULL;
    return pages->send(message, pages->context);
}

static bool is_nearly_full(const struct pages *pages)
{
    return nlmsg_hdr(pages->message)->nlmsg_len + PIECE > MESSAGE_SIZE;
}

/* What is full goes off, and a new one begins. */
static int turn_page(struct pages *pages)
{
    int code = send_page(pages);
    begin_page(pages);
    return code;
}

static void put_endpoint(struct nl_msg *message, const struct endpoint *endpoint)
{
    if (endpoint->address.family == AF_INET) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&address.sin_addr, endpoint->address.bytes, 4);
        nla_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
    } else if (endpoint->address.family == AF_INET6) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port), .sin6_scope_id = endpoint->scope};
        memcpy(&address.sin6_addr, endpoint->address.bytes, 16);
        nla_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
    }
}

/* What goes on from the page before adds only its further prefixes. */
static void open_row(struct pages *pages, const struct up_row_set *row, bool goes_on)
{
    struct nl_msg *message = pages->message;
    uint32_t flags = (row->remove ? WGPEER_F_REMOVE_ME : 0) | (row->update_only ? WGPEER_F_UPDATE_ONLY : 0) |
                     (row->replace_allowed ? WGPEER_F_REPLACE_ALLOWEDIPS : 0);
    if (!pages->peers)
        pages->peers = nla_nest_start(message, WGDEVICE_A_PEERS);
    pages->peer = nla_nest_start(message, 0);
    nla_put(message, WGPEER_A_PUBLIC_KEY, KEY_SIZE, row->public_key->bytes);
    if (goes_on)
        flags = WGPEER_F_UPDATE_ONLY;
    if (flags)
        nla_put_u32(message, WGPEER_A_FLAGS, flags);
    if (!goes_on && !row->remove) {
        if (row->preshared)
            nla_put(message, WGPEER_A_PRESHARED_KEY, KEY_SIZE, row->preshared->bytes);
        if (row->set_keepalive)
            nla_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, row->keepalive);
        put_endpoint(message, &row->endpoint);
    }
    pages->allowed = row->allowed_count ? nla_nest_start(message, WGPEER_A_ALLOWEDIPS) : NULL;
}

static void close_row(struct pages *pages)
{
    if (pages->allowed)
        nla_nest_end(pages->message, pages->allowed);
    nla_nest_end(pages->message, pages->peer);
}

static int add_row(struct pages *pages, const struct up_row_set *row)
{
    int code = 0;
    if (pages->peers && is_nearly_full(pages))
        code = turn_page(pages);
    open_row(pages, row, false);
    for (size_t i = 0; i < row->allowed_count && !code; i++) {
        if (is_nearly_full(pages)) {
            close_row(pages);
            code = turn_page(pages);
            open_row(pages, row, true);
        }
        const struct prefix *prefix = &row->allowed[i];
        struct nlattr *item = nla_nest_start(pages->message, 0);
        nla_put_u16(pages->message, WGALLOWEDIP_A_FAMILY, prefix->address.family);
        nla_put(pages->message, WGALLOWEDIP_A_IPADDR, (int)address_bits(&prefix->address) / 8, prefix->address.bytes);
        nla_put_u8(pages->message, WGALLOWEDIP_A_CIDR_MASK, prefix->length);
        nla_nest_end(pages->message, item);
    }
    close_row(pages);
    return code;
}

static void wipe_message(struct nl_msg *message)
{
    sodium_memzero(nlmsg_hdr(message), nlmsg_get_max_size(message));
    nlmsg_free(message);
}

int up_set_to_netlink(const struct up_set *set, int family, int (*send)(struct nl_msg *message, void *context), void *context)
{
    struct pages pages = {.set = set, .family = family, .send = send, .context = context};
    int code = 0;
    begin_page(&pages);
    if (set->private_key)
        nla_put(pages.message, WGDEVICE_A_PRIVATE_KEY, KEY_SIZE, set->private_key->bytes);
    if (set->set_port)
        nla_put_u16(pages.message, WGDEVICE_A_LISTEN_PORT, set->port);
    if (set->set_mark)
        nla_put_u32(pages.message, WGDEVICE_A_FWMARK, set->mark);
    if (set->replace_peers)
        nla_put_u32(pages.message, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
    for (size_t i = 0; i < set->row_count && !code; i++)
        code = add_row(&pages, &set->rows[i]);
    if (!code)
        return send_page(&pages);
    wipe_message(pages.message);
    return code;
}

static int take_code(struct sockaddr_nl *from, struct nlmsgerr *answer, void *code)
{
    (void)from;
    *(int *)code = answer->error;
    return NL_STOP;
}

/* 0, or a negative errno. */
static int send_to_kernel(struct nl_msg *message, void *socket)
{
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    int code = 0;
    if (!callbacks)
        abort();
    nl_cb_err(callbacks, NL_CB_CUSTOM, take_code, &code);
    int result = nl_send_auto(socket, message);
    wipe_message(message);
    if (result >= 0)
        result = nl_recvmsgs(socket, callbacks);
    nl_cb_put(callbacks);
    return code ? code : result < 0 ? -EIO : 0;
}

static int explain(const struct up_set *set, int code, struct err *err)
{
    if (code == -EADDRINUSE)
        return port_is_taken(set, err);
    if (code == -EPERM)
        return err_set(err, "%s cannot be configured: permission denied (log in as root)", set->name);
    return err_set(err, "%s: the kernel refuses the configuration: %s", set->name, strerror(-code));
}

static int set_kernel(const struct up_set *set, struct err *err)
{
    struct nl_sock *socket = nl_socket_alloc();
    if (!socket)
        abort();
    int code = nl_connect(socket, NETLINK_GENERIC), family = code < 0 ? code : genl_ctrl_resolve(socket, WG_GENL_NAME);
    if (family < 0) {
        nl_socket_free(socket);
        return err_set(err, "%s: cannot ask the kernel for WireGuard: %s", set->name, nl_geterror(family));
    }
    code = up_set_to_netlink(set, family, send_to_kernel, socket);
    nl_socket_free(socket);
    return code ? explain(set, code, err) : 0;
}

int up_set(enum engine_kind engine, const struct up_set *set, struct err *err)
{
    return engine == ENGINE_KERNEL ? set_kernel(set, err) : set_engine(set, err);
}
