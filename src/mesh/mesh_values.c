/* What each key of the mesh file takes: one function a key, called through the table in mesh_keys.c. */
#include "mesh_reading.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static int choose(struct mesh_reading *reading, const struct conf_entry *entry, const char *const *words, size_t count,
                  const char *write, unsigned *chosen)
{
    for (unsigned i = 0; i < count; i++)
        if (strcasecmp(entry->value, words[i]) == 0) {
            *chosen = i;
            return 0;
        }
    return mesh_refuse(reading, entry->line, "%s = %s is not known: write %s", entry->key, entry->value, write);
}

static int take_number(struct mesh_reading *reading, const struct conf_entry *entry, unsigned minimum, unsigned maximum,
                       unsigned *number)
{
    unsigned long long found;
    if (text_to_number(entry->value, maximum, &found) != 0 || found < minimum)
        return mesh_refuse(reading, entry->line, "%s = %s is not possible: write a number from %u to %u", entry->key,
                           entry->value, minimum, maximum);
    *number = (unsigned)found;
    return 0;
}

/* The next part of a list with commas, trimmed; false at the end. */
static bool next_part(const char **rest, char **part)
{
    if (!*rest)
        return false;
    const char *comma = strchr(*rest, ',');
    size_t length = comma ? (size_t)(comma - *rest) : strlen(*rest);
    const char *start = *rest;
    while (length && (start[0] == ' ' || start[0] == '\t'))
        start++, length--;
    while (length && (start[length - 1] == ' ' || start[length - 1] == '\t'))
        length--;
    *part = mem_text_part(start, length);
    *rest = comma ? comma + 1 : NULL;
    return true;
}

typedef int prefix_judge(struct mesh_reading *reading, const struct conf_entry *entry, const char *text, struct prefix *prefix);

static int take_prefixes(struct mesh_reading *reading, const struct conf_entry *entry, const char *example,
                         prefix_judge *judge, struct prefix **prefixes, size_t *count)
{
    const char *rest = entry->value;
    for (char *part; next_part(&rest, &part); free(part)) {
        struct prefix prefix;
        int result = prefix_parse(part, &prefix);
        if (result != 0)
            mesh_refuse(reading, entry->line, "%s = %s: '%s' is not an address: write one like %s", entry->key, entry->value,
                        part, example);
        else
            result = judge(reading, entry, part, &prefix);
        if (result != 0) {
            free(part);
            return -1;
        }
        *prefixes = mem_resize(*prefixes, *count + 1, sizeof **prefixes);
        (*prefixes)[(*count)++] = prefix;
    }
    return 0;
}

static int judge_network(struct mesh_reading *reading, const struct conf_entry *entry, const char *text, struct prefix *prefix)
{
    struct prefix network = prefix_network(prefix);
    if (memcmp(&network.address, &prefix->address, sizeof network.address) != 0) {
        char better[PREFIX_TEXT_SIZE];
        prefix_text(&network, better);
        mesh_warn(reading, entry->line, "%s has bits behind its length: taken as %s", text, better);
    }
    *prefix = network;
    return 0;
}

static int judge_address(struct mesh_reading *reading, const struct conf_entry *entry, const char *text, struct prefix *prefix)
{
    (void)reading, (void)entry, (void)text;
    *prefix = prefix_host(&prefix->address); /* "10.44.0.1/24", as wg-quick has it, is the same address */
    return 0;
}

int mesh_take_network(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "10.44.0.0/24", judge_network, &reading->mesh->networks, &reading->mesh->network_count);
}

int mesh_take_relay_network(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "10.44.0.192/26", judge_network, &reading->mesh->relay_networks,
                         &reading->mesh->relay_network_count);
}

int mesh_take_address(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "10.44.0.1", judge_address, &reading->node->addresses, &reading->node->address_count);
}

int mesh_take_removed_address(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "10.44.0.1", judge_address, &reading->removed->addresses,
                         &reading->removed->address_count);
}

int mesh_take_reserved(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "10.44.0.1 or 10.44.0.0/28", judge_network, &reading->mesh->reserved,
                         &reading->mesh->reserved_count);
}

int mesh_take_allowed_ips(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_prefixes(reading, entry, "192.168.10.0/24", judge_network, &reading->node->allowed,
                         &reading->node->allowed_count);
}

static int take_text(char **to, const char *value)
{
    free(*to);
    *to = mem_text(value);
    return 0;
}

int mesh_take_name(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (!text_is_name(entry->value))
        return mesh_refuse(reading, entry->line, "%s is no name: write letters, digits, '.', '_' or '-', at most 63",
                           entry->value);
    return take_text(&reading->mesh->name, entry->value);
}

int mesh_take_group(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (!text_is_name(entry->value))
        return mesh_refuse(reading, entry->line, "Group = %s is no name: write letters, digits, '.', '_' or '-', at most 63",
                           entry->value);
    return take_text(&reading->node->group, entry->value);
}

/* As wg-quick restricts them: the name becomes part of file names and commands. */
static bool is_interface_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+.-";
    size_t length = strlen(text);
    return length > 0 && length < IFNAMSIZ && strspn(text, allowed) == length && text[0] != '-' && text[0] != '.';
}

int mesh_take_interface(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (!is_interface_name(entry->value))
        return mesh_refuse(reading, entry->line,
                           "Interface = %s is no name for an interface: write at most 15 letters, digits or _ = + . - (wg0)",
                           entry->value);
    return take_text(reading->node ? &reading->node->interface : &reading->mesh->interface, entry->value);
}

int mesh_take_listen_port(struct mesh_reading *reading, const struct conf_entry *entry)
{
    unsigned port = 0;
    if (take_number(reading, entry, 1, 65535, &port) != 0)
        return -1;
    *(reading->node ? &reading->node->listen_port : &reading->mesh->listen_port) = (uint16_t)port;
    return 0;
}

int mesh_take_relay_port(struct mesh_reading *reading, const struct conf_entry *entry)
{
    unsigned port = 0;
    int result = take_number(reading, entry, 1, 65535, &port);
    reading->mesh->relay_port = (uint16_t)port;
    return result;
}

int mesh_take_topology(struct mesh_reading *reading, const struct conf_entry *entry)
{
    static const char *const words[] = {"full", "hub", "groups"};
    unsigned chosen = 0;
    int result = choose(reading, entry, words, COUNT_OF(words), "full, hub or groups", &chosen);
    reading->mesh->topology = (enum topology)chosen;
    return result;
}

int mesh_take_role(struct mesh_reading *reading, const struct conf_entry *entry)
{
    static const char *const words[] = {"none", "hub", "gateway", "relay"};
    unsigned chosen = 0;
    int result = choose(reading, entry, words, COUNT_OF(words), "hub, gateway or relay, or leave the line out", &chosen);
    reading->node->role = (enum role)chosen;
    return result;
}

int mesh_take_engine(struct mesh_reading *reading, const struct conf_entry *entry)
{
    static const char *const words[] = {"auto", "kernel", "embedded"};
    unsigned chosen = 0;
    int result = choose(reading, entry, words, COUNT_OF(words), "auto, kernel or embedded", &chosen);
    reading->node->engine = (enum engine_choice)chosen;
    return result;
}

int mesh_take_keepalive(struct mesh_reading *reading, const struct conf_entry *entry)
{
    struct mesh *mesh = reading->mesh;
    unsigned long long seconds = 0;
    if (strcasecmp(entry->value, "auto") == 0)
        mesh->keepalive_mode = KEEPALIVE_AUTO;
    else if (strcasecmp(entry->value, "off") == 0 || strcmp(entry->value, "0") == 0)
        mesh->keepalive_mode = KEEPALIVE_OFF;
    else if (text_to_number(entry->value, 65535, &seconds) == 0)
        mesh->keepalive_mode = KEEPALIVE_SECONDS;
    else
        return mesh_refuse(reading, entry->line, "PersistentKeepalive = %s is not possible: write auto, off or a number of seconds "
                           "from 1 to 65535", entry->value);
    mesh->keepalive = (uint16_t)seconds;
    return 0;
}

int mesh_take_preshared_keys(struct mesh_reading *reading, const struct conf_entry *entry)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
    unsigned chosen = 0;
    int result = choose(reading, entry, words, COUNT_OF(words), "yes or no", &chosen);
    reading->mesh->preshared_keys = chosen % 2;
    return result;
}

int mesh_take_ssh(struct mesh_reading *reading, const struct conf_entry *entry)
{
    const char *fault = mesh_target_fault(entry->value);
    if (fault)
        return mesh_refuse(reading, entry->line, "Ssh = %s %s: write [USER@]HOST[:PORT] or an alias of ~/.ssh/config",
                           entry->value, fault);
    return take_text(&reading->node->ssh, entry->value);
}

int mesh_take_jump(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (!text_is_name(entry->value))
        return mesh_refuse(reading, entry->line, "Jump = %s is no name of a node: write the NAME of its [Node NAME] (for a host that is no node: ProxyJump in ~/.ssh/config)", entry->value);
    return take_text(&reading->node->jump, entry->value);
}

static bool is_host_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(text);
    return length > 0 && length <= 253 && strspn(text, allowed) == length && text[0] != '-' && text[0] != '.' &&
           strspn(text, "0123456789.") != length; /* digits and dots alone are a mistyped address */
}

/* "host", "host:port", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:port" taken apart. */
static int split_endpoint(const char *text, char **host, const char **port)
{
    const char *end, *colon = strrchr(text, ':');
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return -1;
        *port = end[1] ? end + 2 : NULL;
        *host = mem_text_part(text + 1, (size_t)(end - text - 1));
    } else if (!colon || strchr(text, ':') != colon) {
        *port = NULL; /* no port; several colons are a bare IPv6 address */
        *host = mem_text(text);
    } else {
        *port = colon + 1;
        *host = mem_text_part(text, (size_t)(colon - text));
    }
    return 0;
}

int mesh_parse_endpoint(const char *text, char **host, struct endpoint *endpoint)
{
    const char *port = NULL;
    unsigned long long number = 0;
    *host = NULL;
    *endpoint = (struct endpoint){0};
    bool good = split_endpoint(text, host, &port) == 0 &&
                (!port || (text_to_number(port, 65535, &number) == 0 && number > 0)) &&
                (address_parse(*host, &endpoint->address) == 0 || (text[0] != '[' && is_host_name(*host)));
    endpoint->port = (uint16_t)number;
    if (good)
        return 0;
    free(*host);
    *host = NULL;
    return -1;
}

int mesh_take_endpoint(struct mesh_reading *reading, const struct conf_entry *entry)
{
    struct mesh_node *node = reading->node;
    if (mesh_parse_endpoint(entry->value, &node->endpoint_host, &node->endpoint) != 0)
        return mesh_refuse(reading, entry->line,
                           "Endpoint = %s is not possible: write HOST:PORT, as in 203.0.113.1:51820, [2001:db8::1]:51820 or "
                           "vpn.example.org:51820", entry->value);
    node->endpoint_port = node->endpoint.port; /* 0: the listen port, known when all is read */
    return 0;
}

static int take_key(struct mesh_reading *reading, const struct conf_entry *entry, struct key *key)
{
    const char *interface = reading->node && reading->node->interface ? reading->node->interface : "wg0";
    if (key_parse(entry->value, key) == 0 && !key_is_zero(key))
        return 0;
    return mesh_refuse(reading, entry->line,
                       "%s of node %s is no WireGuard key: write the 44 characters that 'wg show %s public-key' prints there",
                       entry->key, reading->node_name, interface);
}

int mesh_take_public_key(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (take_key(reading, entry, &reading->node->public_key) != 0)
        return -1;
    reading->node->has_public_key = true;
    return 0;
}

static int take_more_keys(struct mesh_reading *reading, const struct conf_entry *entry, struct key **keys, size_t *count)
{
    struct key key;
    if (take_key(reading, entry, &key) != 0)
        return -1;
    *keys = mem_resize(*keys, *count + 1, sizeof **keys);
    (*keys)[(*count)++] = key;
    return 0;
}

int mesh_take_former_key(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_more_keys(reading, entry, &reading->node->former_keys, &reading->node->former_key_count);
}

int mesh_take_removed_key(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_more_keys(reading, entry, &reading->removed->keys, &reading->removed->key_count);
}

int mesh_take_host_key(struct mesh_reading *reading, const struct conf_entry *entry)
{
    static const char type[] = "abcdefghijklmnopqrstuvwxyz0123456789-@.";
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const char *value = entry->value;
    size_t type_length = strspn(value, type);
    size_t gap = strspn(value + type_length, " \t");
    size_t key_length = strspn(value + type_length + gap, base64);
    if (type_length == 0 || gap == 0 || key_length < 40 || value[type_length + gap + key_length] != '\0' ||
        strncmp(value + type_length + gap, "AAAA", 4) != 0)
        return mesh_refuse(reading, entry->line,
                           "HostKey of node %s is no SSH host key: write its type and base64, as in 'ssh-ed25519 AAAA...' "
                           "(ssh-keyscan HOST prints it)", reading->node->name);
    free(reading->node->host_key);
    reading->node->host_key = mem_format("%.*s %s", (int)type_length, value, value + type_length + gap);
    return 0;
}

int mesh_take_mtu(struct mesh_reading *reading, const struct conf_entry *entry)
{
    return take_number(reading, entry, 576, 65535, &reading->node->mtu);
}

static bool is_date(const char *text)
{
    static const char form[] = "dddd-dd-dd";
    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    int month = (text[5] - '0') * 10 + text[6] - '0', day = (text[8] - '0') * 10 + text[9] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

int mesh_take_date(struct mesh_reading *reading, const struct conf_entry *entry)
{
    if (!is_date(entry->value))
        return mesh_refuse(reading, entry->line, "Date = %s is no day: write it as in 2026-11-23", entry->value);
    return take_text(&reading->removed->date, entry->value);
}
