/* Messages of the kernel's generic netlink family "wireguard" (linux/wireguard.h), taken apart. */
#include "netlink.h"

#include <linux/wireguard.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "wgdeck/clock.h"

static const struct nla_policy device_policy[WGDEVICE_A_MAX + 1] = {
    [WGDEVICE_A_IFNAME] = {.type = NLA_NUL_STRING, .maxlen = IFNAMSIZ},
    [WGDEVICE_A_PRIVATE_KEY] = {.minlen = KEY_SIZE},
    [WGDEVICE_A_PUBLIC_KEY] = {.minlen = KEY_SIZE},
    [WGDEVICE_A_LISTEN_PORT] = {.type = NLA_U16},
    [WGDEVICE_A_FWMARK] = {.type = NLA_U32},
    [WGDEVICE_A_PEERS] = {.type = NLA_NESTED},
};

static const struct nla_policy peer_policy[WGPEER_A_MAX + 1] = {
    [WGPEER_A_PUBLIC_KEY] = {.minlen = KEY_SIZE},
    [WGPEER_A_PRESHARED_KEY] = {.minlen = KEY_SIZE},
    [WGPEER_A_ENDPOINT] = {.minlen = sizeof(struct sockaddr_in)},
    [WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL] = {.type = NLA_U16},
    [WGPEER_A_LAST_HANDSHAKE_TIME] = {.minlen = 2 * sizeof(int64_t)},
    [WGPEER_A_RX_BYTES] = {.type = NLA_U64},
    [WGPEER_A_TX_BYTES] = {.type = NLA_U64},
    [WGPEER_A_ALLOWEDIPS] = {.type = NLA_NESTED},
};

static const struct nla_policy allowed_policy[WGALLOWEDIP_A_MAX + 1] = {
    [WGALLOWEDIP_A_FAMILY] = {.type = NLA_U16},
    [WGALLOWEDIP_A_IPADDR] = {.minlen = 4},
    [WGALLOWEDIP_A_CIDR_MASK] = {.type = NLA_U8},
};

static int garbled(struct netlink_reading *reading, const char *what)
{
    return err_set(reading->err, "%s: the kernel's answer is garbled: %s", reading->build.device.name, what);
}

static void read_key(struct nlattr *attribute, struct key *key)
{
    memcpy(key->bytes, nla_data(attribute), KEY_SIZE);
}

static int read_endpoint(struct nlattr *attribute, struct endpoint *endpoint)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    size_t length = (size_t)nla_len(attribute);
    memset(&address, 0, sizeof address);
    memset(endpoint, 0, sizeof *endpoint);
    memcpy(&address, nla_data(attribute), length < sizeof address ? length : sizeof address);
    if (address.any.sa_family == AF_INET) {
        endpoint->address.family = AF_INET;
        memcpy(endpoint->address.bytes, &address.v4.sin_addr, 4);
        endpoint->port = ntohs(address.v4.sin_port);
        return 0;
    }
    if (address.any.sa_family != AF_INET6 || length < sizeof address.v6)
        return -1;
    endpoint->address.family = AF_INET6;
    memcpy(endpoint->address.bytes, &address.v6.sin6_addr, 16);
    endpoint->port = ntohs(address.v6.sin6_port);
    endpoint->scope = address.v6.sin6_scope_id;
    return 0;
}

/* Two signed 64-bit numbers: seconds and nanoseconds. */
static int read_time(struct nlattr *attribute, int64_t *time)
{
    int64_t parts[2];
    memcpy(parts, nla_data(attribute), sizeof parts);
    if (parts[0] < 0 || parts[0] >= INT64_MAX / CLOCK_SECOND || parts[1] < 0 || parts[1] >= CLOCK_SECOND)
        return -1;
    *time = parts[0] * CLOCK_SECOND + parts[1];
    return 0;
}

static int read_prefix(struct nlattr *attribute, struct prefix *prefix)
{
    struct nlattr *part[WGALLOWEDIP_A_MAX + 1];
    if (nla_parse_nested(part, WGALLOWEDIP_A_MAX, attribute, allowed_policy) < 0 || !part[WGALLOWEDIP_A_FAMILY] ||
        !part[WGALLOWEDIP_A_IPADDR] || !part[WGALLOWEDIP_A_CIDR_MASK])
        return -1;
    memset(prefix, 0, sizeof *prefix);
    uint16_t family = nla_get_u16(part[WGALLOWEDIP_A_FAMILY]);
    prefix->address.family = family == AF_INET || family == AF_INET6 ? (uint8_t)family : 0;
    prefix->length = nla_get_u8(part[WGALLOWEDIP_A_CIDR_MASK]);
    unsigned bits = address_bits(&prefix->address);
    if (!bits || prefix->length > bits || (unsigned)nla_len(part[WGALLOWEDIP_A_IPADDR]) * 8 < bits)
        return -1;
    memcpy(prefix->address.bytes, nla_data(part[WGALLOWEDIP_A_IPADDR]), bits / 8);
    return 0;
}

static int read_allowed(struct netlink_reading *reading, struct nlattr *list)
{
    struct nlattr *attribute;
    int left;
    nla_for_each_nested(attribute, list, left) {
        struct prefix prefix;
        if (read_prefix(attribute, &prefix))
            return garbled(reading, "a peer's allowed IPs");
        device_build_allowed(&reading->build, &prefix);
    }
    return 0;
}

static void read_preshared(struct netlink_reading *reading, struct nlattr *attribute, struct device_peer *peer)
{
    struct key key;
    read_key(attribute, &key);
    peer->has_preshared = !key_is_zero(&key);
    if (peer->has_preshared && reading->secrets)
        reading->secrets->take(reading->secrets->context, &peer->public_key, &key);
    if (peer->has_preshared)
        key_hash(&key, reading->salt, peer->preshared_hash);
    key_wipe(&key);
}

static int read_peer_values(struct netlink_reading *reading, struct nlattr **part, struct device_peer *peer)
{
    if (part[WGPEER_A_PRESHARED_KEY])
        read_preshared(reading, part[WGPEER_A_PRESHARED_KEY], peer);
    if (part[WGPEER_A_ENDPOINT] && read_endpoint(part[WGPEER_A_ENDPOINT], &peer->endpoint))
        return garbled(reading, "a peer's endpoint");
    if (part[WGPEER_A_LAST_HANDSHAKE_TIME] && read_time(part[WGPEER_A_LAST_HANDSHAKE_TIME], &peer->handshake))
        return garbled(reading, "a peer's last handshake");
    if (part[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL])
        peer->keepalive = nla_get_u16(part[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL]);
    if (part[WGPEER_A_RX_BYTES])
        peer->rx_bytes = nla_get_u64(part[WGPEER_A_RX_BYTES]);
    if (part[WGPEER_A_TX_BYTES])
        peer->tx_bytes = nla_get_u64(part[WGPEER_A_TX_BYTES]);
    return part[WGPEER_A_ALLOWEDIPS] ? read_allowed(reading, part[WGPEER_A_ALLOWEDIPS]) : 0;
}

/* The last peer again means that its prefixes did not fit into one message. */
static struct device_peer *find_or_begin_peer(struct netlink_reading *reading, const struct key *key)
{
    struct device *device = &reading->build.device;
    struct device_peer *last = device->peer_count ? &device->peers[device->peer_count - 1] : NULL;
    if (last && !key_compare(&last->public_key, key))
        return last;
    last = device_build_peer(&reading->build);
    last->public_key = *key;
    return last;
}

static int read_peer(struct netlink_reading *reading, struct nlattr *attribute)
{
    struct nlattr *part[WGPEER_A_MAX + 1];
    struct key key;
    if (nla_parse_nested(part, WGPEER_A_MAX, attribute, peer_policy) < 0 || !part[WGPEER_A_PUBLIC_KEY])
        return garbled(reading, "a peer");
    read_key(part[WGPEER_A_PUBLIC_KEY], &key);
    return read_peer_values(reading, part, find_or_begin_peer(reading, &key));
}

/* The kernel derives the public key itself; the private one is only asked whether it is there. */
static void read_device_values(struct netlink_reading *reading, struct nlattr **part)
{
    struct device *device = &reading->build.device;
    if (part[WGDEVICE_A_IFNAME])
        nla_strlcpy(device->name, part[WGDEVICE_A_IFNAME], sizeof device->name);
    if (part[WGDEVICE_A_LISTEN_PORT])
        device->listen_port = nla_get_u16(part[WGDEVICE_A_LISTEN_PORT]);
    if (part[WGDEVICE_A_FWMARK])
        device->fwmark = nla_get_u32(part[WGDEVICE_A_FWMARK]);
    if (!part[WGDEVICE_A_PRIVATE_KEY])
        return;
    struct key key;
    read_key(part[WGDEVICE_A_PRIVATE_KEY], &key);
    device->has_private = !key_is_zero(&key);
    if (device->has_private && reading->secrets)
        reading->secrets->take(reading->secrets->context, NULL, &key);
    if (device->has_private && part[WGDEVICE_A_PUBLIC_KEY])
        read_key(part[WGDEVICE_A_PUBLIC_KEY], &device->public_key);
    else if (device->has_private)
        key_public(&key, &device->public_key);
    key_wipe(&key);
}

int netlink_read_message(struct netlink_reading *reading, struct nlmsghdr *message)
{
    struct nlattr *part[WGDEVICE_A_MAX + 1], *peer;
    int left;
    if (!genlmsg_valid_hdr(message, 0) || genlmsg_parse(message, 0, part, WGDEVICE_A_MAX, device_policy) < 0)
        return garbled(reading, "a message");
    reading->build.device.engine = ENGINE_KERNEL;
    read_device_values(reading, part);
    if (!part[WGDEVICE_A_PEERS])
        return 0;
    nla_for_each_nested(peer, part[WGDEVICE_A_PEERS], left)
        if (read_peer(reading, peer))
            return -1;
    return 0;
}

const char *netlink_wireguard_name(struct nlmsghdr *message)
{
    struct nlattr *part[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
    if (message->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(message, sizeof(struct ifinfomsg)) ||
        nlmsg_parse(message, sizeof(struct ifinfomsg), part, IFLA_MAX, NULL) < 0 || !part[IFLA_IFNAME] || !part[IFLA_LINKINFO] ||
        nla_parse_nested(info, IFLA_INFO_MAX, part[IFLA_LINKINFO], NULL) < 0 || !info[IFLA_INFO_KIND])
        return NULL;
    if (nla_strcmp(info[IFLA_INFO_KIND], "wireguard"))
        return NULL;
    const char *name = nla_data(part[IFLA_IFNAME]);
    size_t length = (size_t)nla_len(part[IFLA_IFNAME]);
    return memchr(name, 0, length) && device_name_is_valid(name) ? name : NULL;
}
