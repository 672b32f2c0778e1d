/* Reading a link and the routes into it, by rtnetlink. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

struct link {
    unsigned mtu;
    bool up;
};

static int take_link(struct nl_msg *message, void *context)
{
    struct link *link = context;
    struct nlattr *part[IFLA_MAX + 1];
    struct nlmsghdr *answer = nlmsg_hdr(message);
    if (answer->nlmsg_type != RTM_NEWLINK || nlmsg_parse(answer, sizeof(struct ifinfomsg), part, IFLA_MAX, NULL) < 0)
        return NL_OK;
    const struct ifinfomsg *header = nlmsg_data(answer);
    link->up = header->ifi_flags & IFF_UP;
    link->mtu = part[IFLA_MTU] ? nla_get_u32(part[IFLA_MTU]) : 0;
    return NL_OK;
}

int state_link_read(struct nl_sock *socket, const char *name, unsigned *mtu, bool *up, struct err *err)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name)};
    struct link link = {0};
    int code = header.ifi_index ? up_netlink_ask(socket, up_netlink_begin(RTM_GETLINK, NLM_F_ACK, &header, sizeof header), take_link, &link) : -ENODEV;
    *mtu = link.mtu;
    *up = link.up;
    return code ? err_set(err, "%s: its link cannot be read: %s", name, up_netlink_reason(code)) : 0;
}

int state_link_mtu(struct nl_sock *socket, const char *name, unsigned mtu, struct err *err)
{
    struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name)};
    if (!header.ifi_index)
        return err_set(err, "%s is gone", name);
    struct nl_msg *message = up_netlink_begin(RTM_NEWLINK, NLM_F_ACK, &header, sizeof header);
    nla_put_u32(message, IFLA_MTU, mtu);
    int code = up_netlink_ask(socket, message, NULL, NULL);
    return code ? err_set(err, "%s: its MTU cannot be set to %u: %s", name, mtu, up_netlink_reason(code)) : 0;
}

struct route_list {
    struct state_route *items;
    size_t count, capacity;
    uint32_t index;
};

static int take_route(struct nl_msg *message, void *context)
{
    struct route_list *list = context;
    struct nlmsghdr *answer = nlmsg_hdr(message);
    struct nlattr *part[RTA_MAX + 1];
    if (answer->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(answer, sizeof(struct rtmsg), part, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *header = nlmsg_data(answer);
    struct state_route route = {.to = {.address.family = header->rtm_family, .length = header->rtm_dst_len}};
    unsigned bits = address_bits(&route.to.address);
    if (!part[RTA_OIF] || nla_get_u32(part[RTA_OIF]) != list->index || !bits || route.to.length > bits)
        return NL_OK;
    route.table = part[RTA_TABLE] ? nla_get_u32(part[RTA_TABLE]) : header->rtm_table;
    route.metric = part[RTA_PRIORITY] ? nla_get_u32(part[RTA_PRIORITY]) : 0;
    bool of_kernel = header->rtm_protocol == RTPROT_KERNEL || header->rtm_protocol == RTPROT_REDIRECT || header->rtm_protocol == RTPROT_RA;
    if (of_kernel || route.table == RT_TABLE_LOCAL || header->rtm_type != RTN_UNICAST || (header->rtm_flags & RTM_F_CLONED))
        return NL_OK;
    if (part[RTA_DST] && (unsigned)nla_len(part[RTA_DST]) * 8 >= bits)
        memcpy(route.to.address.bytes, nla_data(part[RTA_DST]), bits / 8);
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = route;
    return NL_OK;
}

int state_routes(struct nl_sock *socket, const char *name, struct state_route **routes, size_t *count, struct err *err)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct route_list list = {.index = if_nametoindex(name)};
    int code = 0;
    for (size_t i = 0; i < COUNT_OF(families) && !code; i++) {
        struct rtmsg header = {.rtm_family = (unsigned char)families[i]};
        code = up_netlink_ask(socket, up_netlink_begin(RTM_GETROUTE, NLM_F_DUMP, &header, sizeof header), take_route, &list);
    }
    *routes = list.items;
    *count = list.count;
    return code ? err_set(err, "%s: its routes cannot be read: %s", name, up_netlink_reason(code)) : 0;
}
