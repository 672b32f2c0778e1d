/* Whether the parts of a mesh file fit together: nothing twice, nothing overlapping, and what the topology needs. */
#include "mesh_reading.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

/* The line of KEY in NODE's section, else of the section itself. */
static size_t line_of(const struct mesh_reading *reading, size_t node, const char *key)
{
    size_t line = 0;
    if (!conf_get(reading->conf, reading->node_sections[node], key, &line))
        line = reading->mesh->nodes[node].line;
    return line;
}

static size_t mesh_line_of(const struct mesh_reading *reading, const char *key)
{
    const char *kind, *name;
    size_t line = 0;
    if (!conf_get(reading->conf, reading->mesh_section, key, &line))
        conf_section(reading->conf, reading->mesh_section, &kind, &name, &line);
    return line;
}

static int compare_names(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    int order = strcasecmp(one->name, two->name);
    return order ? order : (one->line > two->line) - (one->line < two->line);
}

static int compare_keys(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    int order = (one->has_public_key > two->has_public_key) - (one->has_public_key < two->has_public_key);
    order = order ? order : key_compare(&one->public_key, &two->public_key);
    return order ? order : (one->line > two->line) - (one->line < two->line);
}

static int check_nodes_once(const struct mesh_reading *reading)
{
    struct mesh *mesh = reading->mesh;
    const struct mesh_node **sorted = mem_alloc(mesh->node_count, sizeof *sorted);
    int result = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        sorted[i] = &mesh->nodes[i];
    qsort(sorted, mesh->node_count, sizeof *sorted, compare_names);
    for (size_t i = 1; result == 0 && i < mesh->node_count; i++)
        if (strcasecmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            result = mesh_refuse(reading, sorted[i]->line, "a second node %s (the first is in line %zu): give it another name",
                                 sorted[i]->name, sorted[i - 1]->line);
    qsort(sorted, mesh->node_count, sizeof *sorted, compare_keys);
    for (size_t i = 1; result == 0 && i < mesh->node_count; i++)
        if (sorted[i - 1]->has_public_key && key_equal(&sorted[i - 1]->public_key, &sorted[i]->public_key))
            result = mesh_refuse(reading, line_of(reading, (size_t)(sorted[i] - mesh->nodes), "PublicKey"),
                                 "nodes %s and %s have the same PublicKey: make a new key on one of them, and write it here",
                                 sorted[i - 1]->name, sorted[i]->name);
    free(sorted);
    return result;
}

struct key_use {
    struct key key;
    const char *name; /* of the node whose PublicKey it is, or NULL */
    size_t line;
};

static int compare_uses(const void *a, const void *b)
{
    const struct key_use *one = a, *two = b;
    int order = key_compare(&one->key, &two->key);
    return order ? order : (one->name == NULL) - (two->name == NULL);
}

static void add_uses(struct key_use **uses, size_t *count, const struct key *keys, size_t key_count, size_t line)
{
    *uses = mem_resize(*uses, *count + key_count + 1, sizeof **uses);
    for (size_t i = 0; i < key_count; i++)
        (*uses)[(*count)++] = (struct key_use){keys[i], NULL, line};
}

/* Rows of former and removed keys are to go: none of these may be a key that a node has. */
static int check_gone_keys(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    struct key_use *uses = NULL;
    size_t count = 0;
    int result = 0;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        add_uses(&uses, &count, node->former_keys, node->former_key_count, line_of(reading, i, "FormerKey"));
    }
    for (size_t i = 0; i < mesh->removed_count; i++)
        add_uses(&uses, &count, mesh->removed[i].keys, mesh->removed[i].key_count, mesh->removed[i].line);
    if (count == 0) {
        free(uses);
        return 0;
    }
    uses = mem_resize(uses, count + mesh->node_count, sizeof *uses);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].has_public_key)
            uses[count++] = (struct key_use){mesh->nodes[i].public_key, mesh->nodes[i].name, line_of(reading, i, "PublicKey")};
    qsort(uses, count, sizeof *uses, compare_uses);
    for (size_t i = 1; result == 0 && i < count; i++)
        if (uses[i - 1].name && !uses[i].name && key_compare(&uses[i - 1].key, &uses[i].key) == 0)
            result = mesh_refuse(reading, uses[i].line,
                                 "this key is to be taken out everywhere, and it is the PublicKey of node %s (line %zu): remove it "
                                 "here if it is the same machine, else make a new key there", uses[i - 1].name, uses[i - 1].line);
    free(uses);
    return result;
}

/* A prefix and who says it; node SIZE_MAX: the mesh's Network. */
struct claim {
    struct prefix prefix;
    size_t node;
};

static int compare_claims(const void *a, const void *b)
{
    const struct claim *one = a, *two = b;
    int order = prefix_compare(&one->prefix, &two->prefix);
    return order ? order : (one->node > two->node) - (one->node < two->node);
}

static int check_networks(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    char one[PREFIX_TEXT_SIZE], two[PREFIX_TEXT_SIZE];
    if (mesh->network_count == 0)
        return mesh_refuse(reading, mesh_line_of(reading, "Network"), "[Mesh] has no Network: write one, as in Network = "
                           "10.44.0.0/24");
    size_t line = mesh_line_of(reading, "Network");
    struct claim *claims = mem_alloc(mesh->network_count, sizeof *claims);
    for (size_t i = 0; i < mesh->network_count; i++)
        claims[i] = (struct claim){mesh->networks[i], SIZE_MAX};
    qsort(claims, mesh->network_count, sizeof *claims, compare_claims);
    int result = 0;
    for (size_t i = 1; result == 0 && i < mesh->network_count; i++) {
        if (!prefix_overlaps(&claims[i - 1].prefix, &claims[i].prefix))
            continue;
        prefix_text(&claims[i - 1].prefix, one);
        prefix_text(&claims[i].prefix, two);
        result = mesh_refuse(reading, line, "Network %s and Network %s overlap: keep the wider one", one, two);
    }
    free(claims);
    return result;
}

static const struct prefix *network_of(const struct mesh *mesh, const struct prefix *prefix)
{
    for (size_t i = 0; i < mesh->network_count; i++)
        if (prefix_covers(&mesh->networks[i], prefix))
            return &mesh->networks[i];
    return NULL;
}

static int check_relay_networks(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < mesh->relay_network_count; i++) {
        if (network_of(mesh, &mesh->relay_networks[i]))
            continue;
        prefix_text(&mesh->relay_networks[i], text);
        return mesh_refuse(reading, mesh_line_of(reading, "RelayNetwork"),
                           "RelayNetwork %s is not inside a Network: write a part of one, which no node uses", text);
    }
    return 0;
}

static void warn_idle_reserved(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < mesh->reserved_count; i++) {
        bool used = false;
        for (size_t j = 0; j < mesh->network_count; j++)
            used |= prefix_overlaps(&mesh->networks[j], &mesh->reserved[i]);
        prefix_text(&mesh->reserved[i], text);
        if (!used)
            mesh_warn(reading, mesh_line_of(reading, "Reserved"), "Reserved %s is in no Network: it has no effect", text);
    }
}

/* The first and the last address of an IPv4 network belong to nobody. */
static bool is_reserved(const struct prefix *network, const struct address *address)
{
    if (network->address.family != AF_INET || network->length >= 31)
        return false;
    uint32_t host = 0, mask = network->length ? UINT32_MAX >> network->length : UINT32_MAX;
    for (size_t i = 0; i < 4; i++)
        host = host << 8 | address->bytes[i];
    return (host & mask) == 0 || (host & mask) == mask;
}

static int check_address(const struct mesh_reading *reading, size_t node, const struct prefix *prefix)
{
    const struct mesh *mesh = reading->mesh;
    const struct prefix *network = network_of(mesh, prefix);
    const char *name = mesh->nodes[node].name;
    char text[ADDRESS_TEXT_SIZE], network_as_text[PREFIX_TEXT_SIZE];
    address_text(&prefix->address, text);
    if (!network) {
        struct buf networks = BUF_EMPTY;
        for (size_t i = 0; i < mesh->network_count && i < 4; i++) {
            prefix_text(&mesh->networks[i], network_as_text);
            buf_add_format(&networks, "%s%s", i ? ", " : "", network_as_text);
        }
        mesh_refuse(reading, line_of(reading, node, "Address"),
                    "address %s of node %s is outside the mesh's networks (%s): write one inside, or add its network to Network",
                    text, name, buf_text(&networks));
        buf_free(&networks);
        return -1;
    }
    if (!is_reserved(network, &prefix->address))
        return 0;
    prefix_text(network, network_as_text);
    return mesh_refuse(reading, line_of(reading, node, "Address"),
                       "address %s of node %s is the network's own or its broadcast address in %s: write another one", text, name,
                       network_as_text);
}

static int check_addresses_once(const struct mesh_reading *reading, const struct claim *claims, size_t count)
{
    char text[ADDRESS_TEXT_SIZE];
    for (size_t i = 1; i < count; i++) {
        if (prefix_compare(&claims[i - 1].prefix, &claims[i].prefix) != 0)
            continue;
        address_text(&claims[i].prefix.address, text);
        const struct mesh_node *first = &reading->mesh->nodes[claims[i - 1].node];
        const struct mesh_node *second = &reading->mesh->nodes[claims[i].node];
        size_t line = line_of(reading, claims[i].node, "Address");
        if (first == second)
            return mesh_refuse(reading, line, "address %s of node %s is given twice: remove one", text, first->name);
        return mesh_refuse(reading, line, "address %s of node %s is already that of node %s (line %zu): write another one", text,
                           second->name, first->name, line_of(reading, claims[i - 1].node, "Address"));
    }
    return 0;
}

static int check_addresses(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    struct claim *claims = NULL;
    size_t count = 0, capacity = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        if (node->address_count == 0)
            result = mesh_refuse(reading, node->line, "node %s has no Address: write a free one of Network below [Node %s]",
                                 node->name, node->name);
        for (size_t j = 0; result == 0 && j < node->address_count; j++) {
            result = check_address(reading, i, &node->addresses[j]);
            MEM_GROW(claims, count, capacity);
            claims[count++] = (struct claim){node->addresses[j], i};
        }
    }
    if (result == 0 && count) {
        qsort(claims, count, sizeof *claims, compare_claims);
        result = check_addresses_once(reading, claims, count);
    }
    free(claims);
    return result;
}

static int refuse_overlap(const struct mesh_reading *reading, const struct claim *outer, const struct claim *inner)
{
    const struct mesh *mesh = reading->mesh;
    char wide[PREFIX_TEXT_SIZE], narrow[PREFIX_TEXT_SIZE];
    const struct claim *said = outer->node == SIZE_MAX ? inner : outer, *other = said == outer ? inner : outer;
    prefix_text(&said->prefix, wide);
    prefix_text(&other->prefix, narrow);
    size_t line = line_of(reading, said->node, "AllowedIPs");
    const char *name = mesh->nodes[said->node].name;
    if (other->node == SIZE_MAX)
        return mesh_refuse(reading, line, "AllowedIPs %s of node %s overlaps the mesh's Network %s: write only networks behind the "
                           "node", wide, name, narrow);
    if (other->node == said->node)
        return mesh_refuse(reading, line, "AllowedIPs %s and %s of node %s overlap: keep the wider one", wide, narrow, name);
    return mesh_refuse(reading, line, "AllowedIPs %s of node %s overlaps %s of node %s (line %zu): a packet can go to one of them "
                       "only, so narrow one", wide, name, narrow, mesh->nodes[other->node].name,
                       line_of(reading, other->node, "AllowedIPs"));
}

/* Prefixes are disjoint or one holds the other, so in order an overlap always shows against the widest one before. */
static int check_allowed(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    struct claim *claims = NULL;
    size_t count = 0, capacity = 0;
    int result = 0;
    for (size_t i = 0; i < mesh->network_count; i++) {
        MEM_GROW(claims, count, capacity);
        claims[count++] = (struct claim){mesh->networks[i], SIZE_MAX};
    }
    for (size_t i = 0; i < mesh->node_count; i++)
        for (size_t j = 0; j < mesh->nodes[i].allowed_count; j++) {
            MEM_GROW(claims, count, capacity);
            claims[count++] = (struct claim){mesh->nodes[i].allowed[j], i};
        }
    qsort(claims, count, sizeof *claims, compare_claims);
    for (size_t i = 1, widest = 0; result == 0 && i < count; i++) {
        if (prefix_overlaps(&claims[widest].prefix, &claims[i].prefix))
            result = refuse_overlap(reading, &claims[widest], &claims[i]);
        else
            widest = i;
    }
    free(claims);
    return result;
}

static int check_hub(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    const struct mesh_node *hub = NULL;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (mesh->nodes[i].role != ROLE_HUB)
            continue;
        if (hub)
            return mesh_refuse(reading, line_of(reading, i, "Role"),
                               "a second hub, %s (the first is %s, line %zu): Topology = hub has exactly one", mesh->nodes[i].name,
                               hub->name, hub->line);
        hub = &mesh->nodes[i];
    }
    if (!hub && mesh->node_count)
        return mesh_refuse(reading, mesh_line_of(reading, "Topology"),
                           "Topology = hub and no hub: write Role = hub in the section of one node");
    if (hub && !hub->endpoint_host)
        mesh_warn(reading, hub->line, "the hub %s has no Endpoint: the other nodes cannot find it", hub->name);
    return 0;
}

static bool leads_out(const struct mesh *mesh, size_t node)
{
    for (size_t steps = 0; node != SIZE_MAX && steps <= mesh->node_count; steps++) {
        if (!mesh->nodes[node].jump)
            return true;
        node = mesh_find_node(mesh, mesh->nodes[node].jump);
    }
    return false;
}

/* A way through nodes that comes back to its start would have no beginning. Followed as many steps as there are nodes, so that a circle ends. */
static int check_jump(const struct mesh_reading *reading, size_t node)
{
    const struct mesh *mesh = reading->mesh;
    size_t line = line_of(reading, node, "Jump");
    size_t at = node;
    for (size_t steps = 0; mesh->nodes[at].jump; steps++) {
        size_t next = mesh_find_node(mesh, mesh->nodes[at].jump);
        if (next == SIZE_MAX && at == node)
            return mesh_refuse(reading, line, "Jump = %s: there is no node of that name: write the NAME of another [Node NAME]", mesh->nodes[at].jump);
        if (next == SIZE_MAX)
            return 0; /* said at that one */
        if (!mesh->nodes[next].ssh && at == node)
            return mesh_refuse(reading, line, "Jump = %s: node %s has no Ssh: write one there, or another node here", mesh->nodes[at].jump, mesh->nodes[at].jump);
        if (next == node && at == node)
            return mesh_refuse(reading, line, "Jump = %s is the node itself: write another node, or remove the line", mesh->nodes[at].jump);
        if (next != node && steps == MESH_JUMPS_MOST && leads_out(mesh, next))
            return mesh_refuse(reading, line, "Jump of node %s leads through more than %d nodes: name one that is nearer", mesh->nodes[node].name, MESH_JUMPS_MOST);
        if (next == node || steps > mesh->node_count)
            return mesh_refuse(reading, line, "Jump of node %s leads in a circle, back to %s: remove one of the lines", mesh->nodes[node].name, mesh->nodes[next].name);
        at = next;
    }
    return 0;
}

static int check_jumps(const struct mesh_reading *reading)
{
    for (size_t i = 0; i < reading->mesh->node_count; i++)
        if (reading->mesh->nodes[i].jump && check_jump(reading, i) != 0)
            return -1;
    return 0;
}

/* Both are UDP ports of one machine. */
static int check_relay_port(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    size_t relay = mesh_relay(mesh);
    if (relay == SIZE_MAX || mesh->nodes[relay].listen_port != mesh->relay_port)
        return 0;
    return mesh_refuse(reading, mesh_line_of(reading, "RelayPort"), "RelayPort %u is also the ListenPort of node %s, the relay: write another one, as in RelayPort = %u",
                       (unsigned)mesh->relay_port, mesh->nodes[relay].name, mesh->relay_port < 65535 ? mesh->relay_port + 1U : 51821U);
}

static int compare_groups(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    int order = strcmp(one->group, two->group);
    return order ? order : (two->role == ROLE_GATEWAY) - (one->role == ROLE_GATEWAY);
}

/* Sorted by group with the gateways first, the first node of each group must be one, if there are two groups. */
static int check_groups(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    size_t count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (!mesh->nodes[i].group && !mesh_joins_by_relay(mesh, i))
            return mesh_refuse(reading, mesh->nodes[i].line, "node %s has no Group, which Topology = groups needs: write Group = NAME",
                               mesh->nodes[i].name);
    const struct mesh_node **sorted = mem_alloc(mesh->node_count, sizeof *sorted);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (!mesh_joins_by_relay(mesh, i)) /* wherever it says it is, it is reached by the relay */
            sorted[count++] = &mesh->nodes[i];
    qsort(sorted, count, sizeof *sorted, compare_groups);
    bool several = count && strcmp(sorted[0]->group, sorted[count - 1]->group) != 0;
    int result = 0;
    for (size_t i = 0; several && result == 0 && i < count; i++)
        if ((i == 0 || strcmp(sorted[i - 1]->group, sorted[i]->group) != 0) && sorted[i]->role != ROLE_GATEWAY)
            result = mesh_refuse(reading, sorted[i]->line,
                                 "group %s has no gateway to the other groups: write Role = gateway in the section of one of its "
                                 "nodes", sorted[i]->group);
    free(sorted);
    return result;
}

/* A role that the topology does not know does no harm, but its author expects something of it. */
static void warn_idle_roles(const struct mesh_reading *reading)
{
    const struct mesh *mesh = reading->mesh;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (mesh->nodes[i].role == ROLE_HUB && mesh->topology != TOPOLOGY_HUB)
            mesh_warn(reading, line_of(reading, i, "Role"), "Role = hub has no effect without Topology = hub in [Mesh]");
        if (mesh->nodes[i].role == ROLE_GATEWAY && mesh->topology != TOPOLOGY_GROUPS)
            mesh_warn(reading, line_of(reading, i, "Role"), "Role = gateway has no effect without Topology = groups in [Mesh]");
        if (mesh->nodes[i].role == ROLE_RELAY && !mesh->relay_network_count)
            mesh_warn(reading, line_of(reading, i, "Role"), "Role = relay has no effect without RelayNetwork in [Mesh]");
    }
}

int mesh_check(struct mesh_reading *reading)
{
    if (check_networks(reading) != 0 || check_relay_networks(reading) != 0 || check_nodes_once(reading) != 0 ||
        check_gone_keys(reading) != 0 || check_addresses(reading) != 0 || check_allowed(reading) != 0 ||
        check_jumps(reading) != 0 || check_relay_port(reading) != 0)
        return -1;
    warn_idle_roles(reading);
    warn_idle_reserved(reading);
    if (reading->mesh->topology == TOPOLOGY_HUB)
        return check_hub(reading);
    return reading->mesh->topology == TOPOLOGY_GROUPS ? check_groups(reading) : 0;
}
