/* Interfaces, their addresses and the routes of the tables, by rtnetlink. Read again only after a notice that something changed;
 * the counters of WireGuard's own interfaces each time. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

#include "observer.h"
#include "wgdeck/mem.h"

/* A router with a full table has a million routes and changes them all the time: neither is for us. */
enum { TABLE_ROUTES_MAX = 10000, SOCKET_BYTES = 1 << 20, STOPPED = 1 };

static const int groups[] = {RTNLGRP_LINK,         RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                             RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE};

/* Sockets */

static struct nl_sock *open_socket(void)
{
    struct nl_sock *sock = nl_socket_alloc();
    if (!sock)
        return NULL;
    nl_socket_disable_auto_ack(sock);
    if (nl_connect(sock, NETLINK_ROUTE) < 0) {
        nl_socket_free(sock);
        return NULL;
    }
    nl_socket_set_buffer_size(sock, SOCKET_BYTES, 0);
    nl_socket_set_msg_buf_size(sock, 1 << 16);
    return sock;
}

static int notice(struct nl_msg *message, void *context)
{
    (void)message;
    *(bool *)context = true;
    return NL_OK;
}

static void open_notices(struct node_observer *observer)
{
    observer->notices = open_socket();
    if (!observer->notices)
        return;
    nl_socket_disable_seq_check(observer->notices);
    nl_socket_set_nonblocking(observer->notices);
    nl_socket_modify_cb(observer->notices, NL_CB_VALID, NL_CB_CUSTOM, notice, &observer->stale);
    for (size_t i = 0; i < COUNT_OF(groups); i++)
        nl_socket_add_membership(observer->notices, groups[i]);
}

int node_observer_descriptor(const struct node_observer *observer)
{
    return observer->notices ? nl_socket_get_fd(observer->notices) : -1;
}

bool node_observer_noticed(struct node_observer *observer)
{
    if (!observer->notices) {
        open_notices(observer);
        observer->stale = true;
    }
    int result = 0;
    /* No more than a few rounds: who changes routes without end must not hold up a reading. */
    for (int round = 0; observer->notices && result >= 0 && round < 64; round++)
        result = nl_recvmsgs_default(observer->notices);
    if (result < 0 && result != -NLE_AGAIN)
        observer->stale = true; /* notices were lost */
    return observer->stale;
}

/* Ask for a list, and call EACH with its messages. 0, or a negative error of libnl; STOPPED in *stop ends it early. */
static int dump(struct node_observer *observer, int type, const void *header, size_t length, int (*each)(struct nl_msg *, void *),
                void *context)
{
    if (!observer->query)
        observer->query = open_socket();
    if (!observer->query)
        return -NLE_BAD_SOCK;
    int result = nl_send_simple(observer->query, type, NLM_F_REQUEST | NLM_F_DUMP, (void *)(uintptr_t)header, length);
    if (result < 0)
        return result;
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, each, context);
    result = nl_recvmsgs(observer->query, callbacks);
    nl_cb_put(callbacks);
    return result < 0 ? result : 0;
}

/* What is left of an answer that was not read to its end must not be taken for the next one's. */
static void forget_query(struct node_observer *observer)
{
    if (observer->query)
        nl_socket_free(observer->query);
    observer->query = NULL;
}

/* Links */

struct link_list {
    struct node_observer *observer;
    size_t capacity, index_capacity;
};


static void read_counters(struct observed_link *link, const struct nlattr *attribute)
{
    struct rtnl_link_stats64 stats = {0};
    if (!attribute)
        return;
    size_t length = (size_t)nla_len(attribute);
    memcpy(&stats, nla_data(attribute), length < sizeof stats ? length : sizeof stats); /* older kernels have fewer */
    link->rx_packets = stats.rx_packets;
    link->tx_packets = stats.tx_packets;
    link->rx_errors = stats.rx_errors;
    link->tx_errors = stats.tx_errors;
    link->rx_dropped = stats.rx_dropped;
    link->tx_dropped = stats.tx_dropped;
    link->rx_frame_errors = stats.rx_frame_errors;
}

static void read_kind(struct observed_link *link, struct nlattr *information)
{
    struct nlattr *attributes[IFLA_INFO_MAX + 1];
    if (information && nla_parse_nested(attributes, IFLA_INFO_MAX, information, NULL) == 0 && attributes[IFLA_INFO_KIND])
        nla_strlcpy(link->kind, attributes[IFLA_INFO_KIND], sizeof link->kind);
}

static int each_link(struct nl_msg *message, void *context)
{
    struct link_list *list = context;
    struct observation *facts = &list->observer->facts;
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[IFLA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWLINK || nlmsg_parse(header, sizeof(struct ifinfomsg), attributes, IFLA_MAX, NULL) < 0 ||
        !attributes[IFLA_IFNAME] || facts->link_count >= OBSERVED_ROUTES_MAX)
        return NL_OK;
    const struct ifinfomsg *information = nlmsg_data(header);
    size_t index_count = facts->link_count;
    MEM_GROW(facts->links, facts->link_count, list->capacity);
    MEM_GROW(list->observer->link_indices, index_count, list->index_capacity);
    struct observed_link *link = &facts->links[facts->link_count];
    *link = (struct observed_link){.up = information->ifi_flags & IFF_UP};
    nla_strlcpy(link->name, attributes[IFLA_IFNAME], sizeof link->name);
    if (attributes[IFLA_MTU])
        link->mtu = nla_get_u32(attributes[IFLA_MTU]);
    read_kind(link, attributes[IFLA_LINKINFO]);
    list->observer->link_indices[facts->link_count++] = information->ifi_index;
    return NL_OK;
}

static size_t find_index(const struct node_observer *observer, int index)
{
    size_t i = 0;
    while (i < observer->facts.link_count && observer->link_indices[i] != index)
        i++;
    return i;
}

const char *observe_link_name(const struct node_observer *observer, int index)
{
    size_t i = find_index(observer, index);
    return i < observer->facts.link_count ? observer->facts.links[i].name : NULL;
}

int observe_link_index(const struct node_observer *observer, const char *name)
{
    for (size_t i = 0; i < observer->facts.link_count; i++)
        if (strcmp(observer->facts.links[i].name, name) == 0)
            return observer->link_indices[i];
    return 0;
}

/* Addresses */

static bool take_address(const struct nlattr *attribute, uint8_t family, struct address *address)
{
    size_t length = family == AF_INET ? 4 : 16;
    *address = (struct address){.family = family};
    if (!attribute || (size_t)nla_len(attribute) < length)
        return false;
    memcpy(address->bytes, nla_data(attribute), length);
    return true;
}

static int each_address(struct nl_msg *message, void *context)
{
    struct node_observer *observer = context;
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[IFA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWADDR || nlmsg_parse(header, sizeof(struct ifaddrmsg), attributes, IFA_MAX, NULL) < 0)
        return NL_OK;
    const struct ifaddrmsg *information = nlmsg_data(header);
    struct prefix prefix = {.length = information->ifa_prefixlen};
    size_t at = find_index(observer, (int)information->ifa_index);
    if ((information->ifa_family != AF_INET && information->ifa_family != AF_INET6) || at == observer->facts.link_count)
        return NL_OK;
    if (!take_address(attributes[IFA_LOCAL], information->ifa_family, &prefix.address) &&
        !take_address(attributes[IFA_ADDRESS], information->ifa_family, &prefix.address))
        return NL_OK;
    struct observed_link *link = &observer->facts.links[at];
    link->addresses = mem_resize(link->addresses, link->address_count + 1, sizeof prefix);
    link->addresses[link->address_count++] = prefix;
    return NL_OK;
}

/* Routes of the tables */

struct route_list {
    struct node_observer *observer;
    size_t capacity;
    bool too_many;
};

static int first_hop(struct nlattr *multipath)
{
    const struct rtnexthop *hop = multipath ? nla_data(multipath) : NULL;
    return hop && (size_t)nla_len(multipath) >= sizeof *hop ? hop->rtnh_ifindex : 0;
}

static int each_route(struct nl_msg *message, void *context)
{
    struct route_list *list = context;
    struct observation *facts = &list->observer->facts;
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[RTA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(header, sizeof(struct rtmsg), attributes, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *information = nlmsg_data(header);
    uint32_t table = attributes[RTA_TABLE] ? nla_get_u32(attributes[RTA_TABLE]) : information->rtm_table;
    bool is_ours = information->rtm_type == RTN_UNICAST && table != RT_TABLE_LOCAL && !(information->rtm_flags & RTM_F_CLONED) &&
                   (information->rtm_family == AF_INET || information->rtm_family == AF_INET6);
    if (!is_ours)
        return NL_OK;
    if (facts->table_route_count >= TABLE_ROUTES_MAX) {
        list->too_many = true;
        return NL_STOP;
    }
    struct observed_table_route route = {.table = table, .to.length = information->rtm_dst_len};
    if (!take_address(attributes[RTA_DST], information->rtm_family, &route.to.address) && route.to.length)
        return NL_OK;
    int index = attributes[RTA_OIF] ? (int)nla_get_u32(attributes[RTA_OIF]) : first_hop(attributes[RTA_MULTIPATH]);
    const char *device = observe_link_name(list->observer, index);
    if (device)
        memcpy(route.device, device, sizeof route.device);
    route.metric = attributes[RTA_PRIORITY] ? nla_get_u32(attributes[RTA_PRIORITY]) : 0;
    MEM_GROW(facts->table_routes, facts->table_route_count, list->capacity);
    facts->table_routes[facts->table_route_count++] = route;
    return NL_OK;
}

static void clear_links(struct node_observer *observer)
{
    struct observation *facts = &observer->facts;
    for (size_t i = 0; i < facts->link_count; i++)
        free(facts->links[i].addresses);
    free(facts->links);
    free(facts->table_routes);
    facts->links = NULL;
    facts->table_routes = NULL;
    facts->link_count = facts->table_route_count = 0;
    free(observer->link_indices);
    observer->link_indices = NULL;
    free(observer->link_problem);
    free(observer->route_problem);
    observer->link_problem = observer->route_problem = NULL;
}

/* Links by name, as observation_sort wants them, together with their indices. */
static void sort_links(struct node_observer *observer)
{
    struct observation *facts = &observer->facts;
    for (size_t i = 1; i < facts->link_count; i++) { /* few, and nearly in order */
        struct observed_link link = facts->links[i];
        int index = observer->link_indices[i];
        size_t at = i;
        for (; at > 0 && strcmp(facts->links[at - 1].name, link.name) > 0; at--) {
            facts->links[at] = facts->links[at - 1];
            observer->link_indices[at] = observer->link_indices[at - 1];
        }
        facts->links[at] = link;
        observer->link_indices[at] = index;
    }
}

void observe_links(struct node_observer *observer)
{
    struct link_list links = {.observer = observer};
    struct route_list routes = {.observer = observer};
    const struct ifinfomsg every_link = {.ifi_family = AF_UNSPEC};
    const struct ifaddrmsg every_address = {.ifa_family = AF_UNSPEC};
    const struct rtmsg every_route = {.rtm_family = AF_UNSPEC};
    clear_links(observer);
    observer->facts_version++;
    int result = dump(observer, RTM_GETLINK, &every_link, sizeof every_link, each_link, &links);
    if (result == 0)
        result = dump(observer, RTM_GETADDR, &every_address, sizeof every_address, each_address, observer);
    if (result < 0) {
        observer->link_problem = mem_format("cannot list the interfaces, addresses and routes: %s", nl_geterror(result));
        observer->stale = true;
        forget_query(observer);
        return;
    }
    sort_links(observer);
    result = dump(observer, RTM_GETROUTE, &every_route, sizeof every_route, each_route, &routes);
    if (result < 0 || routes.too_many)
        forget_query(observer);
    if (routes.too_many)
        observer->route_problem = mem_format("it has more than %d routes: only the first are looked at for collisions", TABLE_ROUTES_MAX);
    else if (result < 0)
        observer->route_problem = mem_format("cannot list the routes: %s", nl_geterror(result));
    observation_sort(&observer->facts);
}

/* Counters */

static int each_counter(struct nl_msg *message, void *context)
{
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[IFLA_MAX + 1];
    if (header->nlmsg_type == RTM_NEWLINK && nlmsg_parse(header, sizeof(struct ifinfomsg), attributes, IFLA_MAX, NULL) >= 0)
        read_counters(context, attributes[IFLA_STATS64]);
    return NL_OK;
}

/* Counters of other interfaces change all the time and tell nothing: they stay 0. */
void observe_counters(struct node_observer *observer, struct observation *observation)
{
    for (size_t i = 0; i < observation->device_count && observer->query; i++) {
        struct ifinfomsg one = {.ifi_family = AF_UNSPEC, .ifi_index = observe_link_index(observer, observation->devices[i].name)};
        struct observed_link *link = NULL;
        for (size_t j = 0; j < observation->link_count; j++)
            if (strcmp(observation->links[j].name, observation->devices[i].name) == 0)
                link = &observation->links[j];
        if (!link || !one.ifi_index || nl_send_simple(observer->query, RTM_GETLINK, NLM_F_REQUEST, &one, sizeof one) < 0)
            continue;
        struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
        nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, each_counter, link);
        if (nl_recvmsgs(observer->query, callbacks) < 0)
            observer->stale = true; /* gone meanwhile */
        nl_cb_put(callbacks);
    }
}
