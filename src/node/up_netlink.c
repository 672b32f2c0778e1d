/* Links, addresses, routes and rules for "wgdeck up", by rtnetlink. One request, one answer; errors keep the kernel's errno. */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

#include "up.h"
#include "wgdeck/mem.h"

struct nl_sock *up_netlink_open(struct err *err)
{
    struct nl_sock *socket = nl_socket_alloc();
    if (!socket)
        abort();
    int result = nl_connect(socket, NETLINK_ROUTE);
    if (result < 0) {
        nl_socket_free(socket);
        err_set(err, "cannot ask the kernel for its network: %s", nl_geterror(result));
        return NULL;
    }
    return socket;
}

/* --- one request */

struct exchange {
    int code; /* the kernel's, 0 or a negative errno */
    bool over;
    int (*take)(struct nl_msg *message, void *context);
    void *context;
};

static int take_error(struct sockaddr_nl *from, struct nlmsgerr *answer, void *argument)
{
    struct exchange *exchange = argument;
    (void)from;
    exchange->code = answer->error;
    exchange->over = true;
    return NL_STOP;
}

static int take_end(struct nl_msg *message, void *argument)
{
    struct exchange *exchange = argument;
    (void)message;
    exchange->over = true;
    return NL_STOP;
}

static int take_valid(struct nl_msg *message, void *argument)
{
    struct exchange *exchange = argument;
    return exchange->take ? exchange->take(message, exchange->context) : NL_OK;
}

/* Sends MESSAGE and frees it. 0, or a negative errno. TAKE (may be NULL) sees each answer. */
int up_netlink_ask(struct nl_sock *socket, struct nl_msg *message, int (*take)(struct nl_msg *message, void *context), void *context)
{
    struct exchange exchange = {.take = take, .context = context};
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    if (!callbacks)
        abort();
    nl_cb_err(callbacks, NL_CB_CUSTOM, take_error, &exchange);
    nl_cb_set(callbacks, NL_CB_ACK, NL_CB_CUSTOM, take_end, &exchange);
    nl_cb_set(callbacks, NL_CB_FINISH, NL_CB_CUSTOM, take_end, &exchange);
    nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, take_valid, &exchange);
    int result = nl_send_auto(socket, message);
    nlmsg_free(message);
    while (result >= 0 && !exchange.over)
        result = nl_recvmsgs(socket, callbacks);
    nl_cb_put(callbacks);
    if (exchange.over)
        return exchange.code;
    return result == -NLE_PERM ? -EPERM : -EIO;
}

struct nl_msg *up_netlink_begin(int type, int flags, const void *header, size_t length)
{
    struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
    void *room = message ? nlmsg_reserve(message, length, NLMSG_ALIGNTO) : NULL;
    if (!room)
        abort();
    memcpy(room, header, length);
    return message;
}

const char *up_netlink_reason(int code)
{
    return code == -EPERM || code == -EACCES ? "permission denied (log in as root)" : strerror(-code);
}

/* --- links */

static int index_of(const char *name)
{
    return (int)if_nametoindex(name);
}

int up_link_make(struct nl_sock *socket, const char *name)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct nl_msg *message = up_netlink_begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &header, sizeof header);
    nla_put_string(message, IFLA_IFNAME, name);
    struct nlattr *information = nla_nest_start(message, IFLA_LINKINFO);
    nla_put_string(message, IFLA_INFO_KIND, "wireguard");
    nla_nest_end(message, information);
    return up_netlink_ask(socket, message, NULL, NULL);
}

int up_link_delete(struct nl_sock *socket, const char *name, struct err *err)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index_of(name)};
    int code = header.ifi_index ? up_netlink_ask(socket, up_netlink_begin(RTM_DELLINK, NLM_F_ACK, &header, sizeof header), NULL, NULL) : -ENODEV;
    return code ? err_set(err, "%s cannot be deleted: %s", name, up_netlink_reason(code)) : 0;
}

static int change_link(struct nl_sock *socket, const char *name, unsigned mtu, bool up, struct err *err)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index_of(name), .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0};
    if (!header.ifi_index)
        return err_set(err, "%s is gone", name);
    struct nl_msg *message = up_netlink_begin(RTM_NEWLINK, NLM_F_ACK, &header, sizeof header);
    if (mtu)
        nla_put_u32(message, IFLA_MTU, mtu);
    int code = up_netlink_ask(socket, message, NULL, NULL);
    if (!code)
        return 0;
    if (code == -EADDRINUSE) /* the kernel's WireGuard opens its sockets only now */
        return err_set(err, "%s: the listen port is taken by another program (ss -ulpn)", name);
    return mtu ? err_set(err, "%s cannot be set up with an MTU of %u: %s", name, mtu, up_netlink_reason(code))
               : err_set(err, "%s cannot be set %s: %s", name, up ? "up" : "down", up_netlink_reason(code));
}

int up_link_start(struct nl_sock *socket, const char *name, unsigned mtu, struct err *err)
{
    return change_link(socket, name, mtu, true, err);
}

int up_link_stop(struct nl_sock *socket, const char *name, struct err *err)
{
    return change_link(socket, name, 0, false, err);
}

/* --- addresses */

static int address_size(const struct prefix *prefix)
{
    return (int)address_bits(&prefix->address) / 8;
}

int up_address(struct nl_sock *socket, const char *name, const struct prefix *prefix, bool is_new, struct err *err)
{
    struct ifaddrmsg header = {.ifa_family = prefix->address.family, .ifa_prefixlen = prefix->length, .ifa_index = (uint32_t)index_of(name)};
    char text[PREFIX_TEXT_SIZE];
    struct nl_msg *message =
        up_netlink_begin(is_new ? RTM_NEWADDR : RTM_DELADDR, NLM_F_ACK | (is_new ? NLM_F_CREATE | NLM_F_EXCL : 0), &header, sizeof header);
    nla_put(message, IFA_LOCAL, address_size(prefix), prefix->address.bytes);
    nla_put(message, IFA_ADDRESS, address_size(prefix), prefix->address.bytes);
    int code = up_netlink_ask(socket, message, NULL, NULL);
    prefix_text(prefix, text);
    if (code == -EOPNOTSUPP || (code == -EACCES && prefix->address.family == AF_INET6))
        return err_set(err, "%s: the address %s cannot be given: IPv6 is switched off here", name, text);
    return code ? err_set(err, "%s: the address %s cannot be %s: %s", name, text, is_new ? "given" : "taken away", up_netlink_reason(code)) : 0;
}

struct address_list {
    struct prefix *items;
    size_t count, capacity;
    uint32_t index;
};

/* Its own link-local address the kernel makes again by itself. */
static bool is_link_local(const struct address *address)
{
    return address->family == AF_INET6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

static int take_address(struct nl_msg *message, void *context)
{
    struct address_list *list = context;
    struct nlmsghdr *answer = nlmsg_hdr(message);
    struct nlattr *part[IFA_MAX + 1];
    if (answer->nlmsg_type != RTM_NEWADDR || nlmsg_parse(answer, sizeof(struct ifaddrmsg), part, IFA_MAX, NULL) < 0)
        return NL_OK;
    const struct ifaddrmsg *header = nlmsg_data(answer);
    struct nlattr *local = part[IFA_LOCAL] ? part[IFA_LOCAL] : part[IFA_ADDRESS];
    struct prefix prefix = {.address.family = header->ifa_family, .length = header->ifa_prefixlen};
    if (header->ifa_index != list->index || !local || !address_size(&prefix) || nla_len(local) < address_size(&prefix))
        return NL_OK;
    memcpy(prefix.address.bytes, nla_data(local), (size_t)address_size(&prefix));
    if (is_link_local(&prefix.address))
        return NL_OK;
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = prefix;
    return NL_OK;
}

int up_addresses(struct nl_sock *socket, const char *name, struct prefix **addresses, size_t *count, struct err *err)
{
    struct ifaddrmsg header = {.ifa_family = AF_UNSPEC};
    struct address_list list = {.index = (uint32_t)index_of(name)};
    int code = up_netlink_ask(socket, up_netlink_begin(RTM_GETADDR, NLM_F_DUMP, &header, sizeof header), take_address, &list);
    *addresses = list.items;
    *count = list.count;
    return code ? err_set(err, "%s: its addresses cannot be read: %s", name, up_netlink_reason(code)) : 0;
}

/* --- routes */

int up_route(struct nl_sock *socket, const char *name, const struct prefix *prefix, uint32_t table, uint32_t metric, bool is_new, struct err *err)
{
    struct rtmsg header = {.rtm_family = prefix->address.family, .rtm_dst_len = prefix->length, .rtm_type = RTN_UNICAST, .rtm_protocol = RTPROT_BOOT,
                           .rtm_table = table < 256 ? (unsigned char)table : RT_TABLE_UNSPEC,
                           .rtm_scope = prefix->address.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE};
    char text[PREFIX_TEXT_SIZE];
    if (!is_new)
        header.rtm_scope = RT_SCOPE_NOWHERE;
    struct nl_msg *message =
        up_netlink_begin(is_new ? RTM_NEWROUTE : RTM_DELROUTE, NLM_F_ACK | (is_new ? NLM_F_CREATE | NLM_F_EXCL : 0), &header, sizeof header);
    if (prefix->length)
        nla_put(message, RTA_DST, address_size(prefix), prefix->address.bytes);
    nla_put_u32(message, RTA_OIF, (uint32_t)index_of(name));
    nla_put_u32(message, RTA_TABLE, table);
    if (metric)
        nla_put_u32(message, RTA_PRIORITY, metric);
    int code = up_netlink_ask(socket, message, NULL, NULL);
    prefix_text(prefix, text);
    if (code == -EEXIST)
        return err_set(err, "%s: the route to %s cannot be made: another one leads there already (ip route show %s)", name, text, text);
    return code ? err_set(err, "%s: the route to %s cannot be %s: %s", name, text, is_new ? "made" : "removed", up_netlink_reason(code)) : 0;
}

static uint32_t table_of(const struct rtmsg *header, struct nlattr *const *part)
{
    return part[RTA_TABLE] ? nla_get_u32(part[RTA_TABLE]) : header->rtm_table;
}

struct table_search {
    uint32_t table;
    bool found;
};

static int take_table(struct nl_msg *message, void *context)
{
    struct table_search *search = context;
    struct nlmsghdr *answer = nlmsg_hdr(message);
    struct nlattr *part[RTA_MAX + 1];
    if (answer->nlmsg_type == RTM_NEWROUTE && nlmsg_parse(answer, sizeof(struct rtmsg), part, RTA_MAX, NULL) >= 0 &&
        table_of(nlmsg_data(answer), part) == search->table)
        search->found = true;
    return NL_OK;
}

bool up_table_is_used(struct nl_sock *socket, int family, uint32_t table)
{
    struct table_search search = {.table = table};
    struct rtmsg header = {.rtm_family = (unsigned char)family};
    up_netlink_ask(socket, up_netlink_begin(RTM_GETROUTE, NLM_F_DUMP, &header, sizeof header), take_table, &search);
    return search.found;
}

/* --- the MTU of the way to an address */

struct way {
    unsigned mtu;
    int device;
    bool wants_default; /* of a dump: the default route of main */
};

static int take_way(struct nl_msg *message, void *context)
{
    struct way *way = context;
    struct nlmsghdr *answer = nlmsg_hdr(message);
    struct nlattr *part[RTA_MAX + 1], *metrics[RTAX_MAX + 1];
    if (answer->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(answer, sizeof(struct rtmsg), part, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *header = nlmsg_data(answer);
    if (way->device || (way->wants_default && (header->rtm_dst_len || table_of(header, part) != TABLE_MAIN)))
        return NL_OK;
    way->device = part[RTA_OIF] ? (int)nla_get_u32(part[RTA_OIF]) : 0;
    if (part[RTA_METRICS] && nla_parse_nested(metrics, RTAX_MAX, part[RTA_METRICS], NULL) >= 0 && metrics[RTAX_MTU])
        way->mtu = nla_get_u32(metrics[RTAX_MTU]);
    return NL_OK;
}

static int take_link_mtu(struct nl_msg *message, void *context)
{
    struct nlattr *part[IFLA_MAX + 1];
    struct nlmsghdr *answer = nlmsg_hdr(message);
    if (answer->nlmsg_type == RTM_NEWLINK && nlmsg_parse(answer, sizeof(struct ifinfomsg), part, IFLA_MAX, NULL) >= 0 && part[IFLA_MTU])
        *(unsigned *)context = nla_get_u32(part[IFLA_MTU]);
    return NL_OK;
}

static unsigned link_mtu(struct nl_sock *socket, int device)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = device};
    unsigned mtu = 0;
    up_netlink_ask(socket, up_netlink_begin(RTM_GETLINK, NLM_F_ACK, &header, sizeof header), take_link_mtu, &mtu);
    return mtu;
}

unsigned up_path_mtu(struct nl_sock *socket, const struct address *to)
{
    struct rtmsg header = {.rtm_family = to ? to->family : AF_INET, .rtm_dst_len = to ? (unsigned char)address_bits(to) : 0};
    struct way way = {.wants_default = !to};
    struct nl_msg *message = up_netlink_begin(RTM_GETROUTE, to ? NLM_F_ACK : NLM_F_DUMP, &header, sizeof header);
    if (to)
        nla_put(message, RTA_DST, (int)address_bits(to) / 8, to->bytes);
    up_netlink_ask(socket, message, take_way, &way);
    return way.mtu || !way.device ? way.mtu : link_mtu(socket, way.device);
}

/* As wg-quick: the largest of the ways to the endpoints, else the default route's; 80 bytes are WireGuard's over IPv6. */
unsigned up_fitting_mtu(struct nl_sock *socket, const struct device *device)
{
    unsigned most = 0;
    for (size_t i = 0; i < device->peer_count; i++) {
        const struct address *to = &device->peers[i].endpoint.address;
        unsigned mtu = to->family ? up_path_mtu(socket, to) : 0;
        most = mtu > most ? mtu : most;
    }
    if (!most)
        most = up_path_mtu(socket, NULL);
    return (most > 160 ? most : 1500) - 80;
}

/* --- rules */

static struct nl_msg *begin_rule(int family, bool is_new, unsigned flags, uint32_t table)
{
    struct fib_rule_hdr header = {.family = (unsigned char)family, .action = FR_ACT_TO_TBL, .flags = flags,
                                  .table = table < 256 ? (unsigned char)table : RT_TABLE_UNSPEC};
    struct nl_msg *message =
        up_netlink_begin(is_new ? RTM_NEWRULE : RTM_DELRULE, NLM_F_ACK | (is_new ? NLM_F_CREATE | NLM_F_EXCL : 0), &header, sizeof header);
    nla_put_u32(message, FRA_TABLE, table);
    return message;
}

/* 0; 1 when it was there already; -1 with err. */
static int finish_rule(struct nl_sock *socket, struct nl_msg *message, int family, bool is_new, const char *what, struct err *err)
{
    int code = up_netlink_ask(socket, message, NULL, NULL);
    if (!code || (is_new && code == -EEXIST))
        return code ? 1 : 0;
    return err_set(err, "the IPv%d routing rule \"%s\" cannot be %s: %s", family == AF_INET6 ? 6 : 4, what, is_new ? "made" : "removed", up_netlink_reason(code));
}

int up_rule_mark(struct nl_sock *socket, int family, uint32_t table, bool is_new, struct err *err)
{
    struct nl_msg *message = begin_rule(family, is_new, FIB_RULE_INVERT, table);
    nla_put_u32(message, FRA_FWMARK, table);
    return finish_rule(socket, message, family, is_new, "not fwmark, its table", err);
}

int up_rule_main(struct nl_sock *socket, int family, bool is_new, struct err *err)
{
    struct nl_msg *message = begin_rule(family, is_new, 0, RT_TABLE_MAIN);
    nla_put_u32(message, FRA_SUPPRESS_PREFIXLEN, 0);
    return finish_rule(socket, message, family, is_new, "table main suppress_prefixlength 0", err);
}

struct mark_rules {
    uint32_t marks[64], priorities[64];
    size_t count;
};

/* Rules as up_rule_mark makes them, of any table. */
static int take_mark_rule(struct nl_msg *message, void *context)
{
    struct mark_rules *rules = context;
    struct nlmsghdr *answer = nlmsg_hdr(message);
    struct nlattr *part[FRA_MAX + 1];
    if (answer->nlmsg_type != RTM_NEWRULE || nlmsg_parse(answer, sizeof(struct fib_rule_hdr), part, FRA_MAX, NULL) < 0)
        return NL_OK;
    const struct fib_rule_hdr *header = nlmsg_data(answer);
    uint32_t table = part[FRA_TABLE] ? nla_get_u32(part[FRA_TABLE]) : header->table;
    if ((header->flags & FIB_RULE_INVERT) && part[FRA_FWMARK] && nla_get_u32(part[FRA_FWMARK]) == table && rules->count < COUNT_OF(rules->marks)) {
        rules->priorities[rules->count] = part[FRA_PRIORITY] ? nla_get_u32(part[FRA_PRIORITY]) : 0;
        rules->marks[rules->count++] = table;
    }
    return NL_OK;
}

static struct mark_rules list_mark_rules(struct nl_sock *socket, int family)
{
    struct fib_rule_hdr header = {.family = (unsigned char)family};
    struct mark_rules rules = {.count = 0};
    up_netlink_ask(socket, up_netlink_begin(RTM_GETRULE, NLM_F_DUMP, &header, sizeof header), take_mark_rule, &rules);
    return rules;
}

int up_unrule(struct nl_sock *socket, int family, uint32_t table, struct err *err)
{
    struct mark_rules rules = list_mark_rules(socket, family);
    size_t at = 0;
    while (at < rules.count && rules.marks[at] != table)
        at++;
    if (at == rules.count)
        return 0;
    /* The one for main was made right after it, and stands right before it: another interface may have its own. */
    struct nl_msg *message = begin_rule(family, false, 0, RT_TABLE_MAIN);
    nla_put_u32(message, FRA_SUPPRESS_PREFIXLEN, 0);
    nla_put_u32(message, FRA_PRIORITY, rules.priorities[at] - 1);
    int code = up_netlink_ask(socket, message, NULL, NULL);
    int result = up_rule_mark(socket, family, table, false, err);
    if (code && rules.count == 1)
        result = up_rule_main(socket, family, false, err) || result ? -1 : 0;
    return result;
}

uint32_t up_mark_left_over(struct nl_sock *socket, int family)
{
    struct mark_rules rules = list_mark_rules(socket, family);
    for (size_t i = 0; i < rules.count; i++)
        if (!up_table_is_used(socket, family, rules.marks[i]))
            return rules.marks[i];
    return 0;
}
