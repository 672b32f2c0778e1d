/* Adopting a mesh that was made by hand: the parts are put together and written as a mesh file. */
#include "adopt_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

void adopt_add(struct adopt_prefixes *list, const struct prefix *prefix)
{
    for (size_t i = 0; i < list->count; i++)
        if (prefix_compare(&list->items[i], prefix) == 0)
            return;
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = *prefix;
}

bool adopt_covered(const struct adopt_prefixes *list, const struct prefix *prefix)
{
    for (size_t i = 0; i < list->count; i++)
        if (prefix_covers(&list->items[i], prefix))
            return true;
    return false;
}

bool adopt_overlaps(const struct adopt_prefixes *list, const struct prefix *prefix)
{
    for (size_t i = 0; i < list->count; i++)
        if (prefix_overlaps(&list->items[i], prefix))
            return true;
    return false;
}

const struct device_peer *adopt_row(const struct adopt *adopt, size_t a, size_t b)
{
    const struct adopt_node *one = &adopt->nodes[a], *two = &adopt->nodes[b];
    return a != b && one->device && two->has_key ? device_find_peer(one->device, &two->key) : NULL;
}

const struct device_peer *adopt_saved_row(const struct adopt *adopt, size_t a, size_t b, const char **host)
{
    const struct adopt_node *one = &adopt->nodes[a], *two = &adopt->nodes[b];
    const struct device_peer *row = a != b && one->config && two->has_key ? device_find_peer(observation_saved(one->seen, one->config), &two->key) : NULL;
    *host = row && one->config->endpoint_hosts ? one->config->endpoint_hosts[row - observation_saved(one->seen, one->config)->peers] : NULL;
    return row;
}

void adopt_note(struct adopt *adopt, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    if (!adopt->notes)
        return;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    text_add_safe(adopt->notes, buf_text(&text), text.length);
    buf_add_char(adopt->notes, '\n');
    buf_free(&text);
}

/* The value that most of the included nodes with an interface have; NULL entries of TEXTS don't count. */
static const char *most_common(const char *const *texts, size_t count)
{
    const char *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        for (size_t j = 0; texts[i] && j < count; j++)
            same += texts[j] && strcmp(texts[i], texts[j]) == 0;
        if (same > most) {
            most = same;
            best = texts[i];
        }
    }
    return best;
}

/* What the rows between the nodes have in common. */
struct row_facts {
    size_t rows, with_keepalive, with_preshared;
    uint16_t keepalive;
    bool keepalive_differs;
};

static struct row_facts look_at_rows(const struct adopt *adopt)
{
    struct row_facts facts = {0};
    for (size_t a = 0; a < adopt->count; a++)
        for (size_t b = 0; b < adopt->count; b++) {
            const struct device_peer *row = adopt->nodes[b].included ? adopt_row(adopt, a, b) : NULL;
            if (!row)
                continue;
            facts.keepalive_differs = facts.keepalive_differs || (facts.rows && row->keepalive != facts.keepalive);
            facts.keepalive = row->keepalive;
            facts.rows++;
            facts.with_keepalive += row->keepalive > 0;
            facts.with_preshared += row->has_preshared;
        }
    return facts;
}

/* The document's writing; the first failure is kept. */
struct writing {
    struct conf *conf;
    size_t section;
    struct err *err;
    int result;
};

static void write_text(struct writing *writing, const char *key, const char *value)
{
    if (writing->result == 0 && value)
        writing->result = conf_set(writing->conf, writing->section, key, value, writing->err);
}

static void write_number(struct writing *writing, const char *key, unsigned value)
{
    char *text = mem_format("%u", value);
    write_text(writing, key, text);
    free(text);
}

static void write_prefixes(struct writing *writing, const char *key, const struct adopt_prefixes *prefixes, bool as_addresses)
{
    struct buf list = BUF_EMPTY;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < prefixes->count; i++) {
        if (as_addresses)
            address_text(&prefixes->items[i].address, text);
        else
            prefix_text(&prefixes->items[i], text);
        buf_add_format(&list, "%s%s", i ? ", " : "", text);
    }
    if (prefixes->count)
        write_text(writing, key, buf_text(&list));
    buf_free(&list);
}

static void write_row_facts(struct writing *writing, struct adopt *adopt)
{
    struct row_facts facts = look_at_rows(adopt);
    if (facts.rows && !facts.keepalive_differs && facts.keepalive)
        write_number(writing, "PersistentKeepalive", facts.keepalive);
    else if (facts.rows && !facts.with_keepalive)
        write_text(writing, "PersistentKeepalive", "off");
    if (facts.rows)
        write_text(writing, "PresharedKeys", 2 * facts.with_preshared > facts.rows ? "yes" : "no");
    if (facts.with_preshared && facts.with_preshared < facts.rows)
        adopt_note(adopt, "%zu of %zu rows have a preshared key", facts.with_preshared, facts.rows);
}

/* Interface and listen port of the mesh; returns them for the nodes that differ. */
static void choose_common(const struct adopt *adopt, const char **interface, uint16_t *port)
{
    const char **names = mem_alloc(adopt->count, sizeof *names);
    char **ports = mem_alloc(adopt->count, sizeof *ports);
    for (size_t i = 0; i < adopt->count; i++) {
        const struct device *device = adopt->nodes[i].included ? adopt->nodes[i].device : NULL;
        names[i] = device ? device->name : NULL;
        ports[i] = device && device->listen_port ? mem_format("%u", device->listen_port) : NULL;
    }
    *interface = most_common(names, adopt->count);
    const char *common = most_common((const char *const *)ports, adopt->count);
    *port = common ? (uint16_t)strtoul(common, NULL, 10) : 51820;
    for (size_t i = 0; i < adopt->count; i++)
        free(ports[i]);
    free(ports);
    free(names);
}

/* The MTU where it is neither wg-quick's 1420 nor what the ways to the other nodes leave room for (80 bytes of headers). */
static unsigned unusual_mtu(const struct adopt_node *node)
{
    const struct observed_link *link = node->device ? observation_link(node->seen, node->device->name) : NULL;
    uint32_t below = 0;
    for (size_t i = 0; link && i < node->device->peer_count; i++) {
        const struct observed_route *route = observation_route(node->seen, &node->device->peers[i].endpoint.address);
        if (route && route->mtu && (!below || route->mtu < below))
            below = route->mtu;
    }
    if (!link || link->mtu == 1420 || link->mtu < 576 || link->mtu > 65535 || link->mtu + 80 == below)
        return 0;
    return link->mtu;
}

static void write_mesh(struct writing *writing, struct adopt *adopt, const char *name, const char *interface, uint16_t port)
{
    static const char *const topologies[] = {"full", "hub", "groups"};
    writing->section = conf_add_section(writing->conf, "Mesh", NULL);
    write_text(writing, "Name", text_is_name(name) ? name : "mesh");
    write_prefixes(writing, "Network", &adopt->networks, false);
    write_text(writing, "Interface", interface);
    write_number(writing, "ListenPort", port);
    write_text(writing, "Topology", topologies[adopt->topology]);
    write_row_facts(writing, adopt);
}

static void write_group(struct writing *writing, const struct adopt *adopt, const struct adopt_node *node)
{
    if (adopt->topology == TOPOLOGY_GROUPS) {
        char *group = mem_format("group%zu", node->group + 1);
        write_text(writing, "Group", group);
        free(group);
    }
    if (node->role == ROLE_HUB || node->role == ROLE_GATEWAY)
        write_text(writing, "Role", node->role == ROLE_HUB ? "hub" : "gateway");
}

static void write_node(struct writing *writing, const struct adopt *adopt, const struct adopt_node *node, const char *interface,
                       uint16_t port)
{
    char key[KEY_TEXT_SIZE];
    writing->section = conf_add_section(writing->conf, "Node", node->name);
    write_text(writing, "Ssh", node->target->ssh);
    write_prefixes(writing, "Address", &node->addresses, true);
    write_text(writing, "Endpoint", node->endpoint);
    if (node->has_key) {
        key_text(&node->key, key);
        write_text(writing, "PublicKey", key);
    }
    write_group(writing, adopt, node);
    write_prefixes(writing, "AllowedIPs", &node->allowed, false);
    if (unusual_mtu(node))
        write_number(writing, "MTU", unusual_mtu(node));
    if (node->device && interface && strcmp(node->device->name, interface) != 0)
        write_text(writing, "Interface", node->device->name);
    if (node->device && node->device->listen_port && node->device->listen_port != port)
        write_number(writing, "ListenPort", node->device->listen_port);
}

/* A key in the rows that none of the targets has: a node that was not named, or one that is no more. */
struct stranger {
    struct key key;
    const struct device_peer *row; /* the first one seen */
    struct buf holders;
};

static bool is_known(const struct adopt *adopt, const struct key *key)
{
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt->nodes[i].has_key && key_compare(&adopt->nodes[i].key, key) == 0)
            return true;
    return false;
}

static int compare_strangers(const void *a, const void *b)
{
    return key_compare(&((const struct stranger *)a)->key, &((const struct stranger *)b)->key);
}

static void note_stranger(struct adopt *adopt, const struct stranger *stranger)
{
    char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE], address[ADDRESS_TEXT_SIZE] = "";
    key_text(&stranger->key, key);
    endpoint_text(&stranger->row->endpoint, endpoint);
    if (stranger->row->allowed_count)
        address_text(&stranger->row->allowed[0].address, address);
    adopt_note(adopt, "the key %s in rows of %s is of no host named here%s%s: name its host too, or add [Node NAME] with Address = %s and "
               "PublicKey = %s", key, buf_text(&stranger->holders), endpoint[0] ? "; its endpoint is " : "", endpoint,
               address[0] ? address : "...", key);
}

static void note_strangers(struct adopt *adopt)
{
    struct stranger *strangers = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < adopt->count; i++) {
        const struct device *device = adopt->nodes[i].device;
        for (size_t j = 0; device && j < device->peer_count; j++) {
            const struct device_peer *row = &device->peers[j];
            if (is_known(adopt, &row->public_key))
                continue;
            MEM_GROW(strangers, count, capacity);
            strangers[count] = (struct stranger){.key = row->public_key, .row = row};
            buf_add_text(&strangers[count++].holders, adopt->nodes[i].name);
        }
    }
    if (count)
        qsort(strangers, count, sizeof *strangers, compare_strangers);
    for (size_t i = 0; i < count; i++) {
        size_t next = i + 1;
        for (; next < count && key_compare(&strangers[i].key, &strangers[next].key) == 0; next++)
            buf_add_format(&strangers[i].holders, ", %s", buf_text(&strangers[next].holders));
        note_stranger(adopt, &strangers[i]);
        i = next - 1;
    }
    for (size_t i = 0; i < count; i++)
        buf_free(&strangers[i].holders);
    free(strangers);
}

/* Whatever was concluded above, what is handed out can be read. */
static int check_readable(const struct conf *conf, struct err *err)
{
    struct mesh *mesh = mesh_read(conf, NULL, err);
    if (!mesh)
        return err_prefix(err, "the mesh as it is cannot be written as a mesh file");
    mesh_free(mesh);
    return 0;
}

static int write_document(struct adopt *adopt, const char *name, struct conf *conf, struct err *err)
{
    struct writing writing = {.conf = conf, .err = err};
    const char *interface;
    uint16_t port;
    choose_common(adopt, &interface, &port);
    write_mesh(&writing, adopt, name, interface, port);
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt->nodes[i].included)
            write_node(&writing, adopt, &adopt->nodes[i], interface, port);
    return writing.result == 0 ? check_readable(conf, err) : -1;
}

static void free_adopt(struct adopt *adopt)
{
    for (size_t i = 0; i < adopt->count; i++) {
        free(adopt->nodes[i].name);
        free(adopt->nodes[i].endpoint);
        free(adopt->nodes[i].addresses.items);
        free(adopt->nodes[i].allowed.items);
    }
    free(adopt->nodes);
    free(adopt->networks.items);
}

int adopt_mesh(const struct mesh *targets, const struct observed *seen, struct conf *conf, struct buf *notes, struct err *err)
{
    struct adopt adopt = {.nodes = mem_alloc(targets->node_count, sizeof *adopt.nodes), .count = targets->node_count, .notes = notes};
    bool any = false;
    for (size_t i = 0; i < adopt.count; i++) {
        const struct observation *observation = i < seen->node_count ? &seen->nodes[i] : NULL;
        adopt.nodes[i].target = &targets->nodes[i];
        adopt.nodes[i].seen = observation && observation->reach == REACH_OK ? observation : NULL;
        adopt.nodes[i].dialled = observation ? observation->dialled : NULL;
    }
    adopt_find_devices(&adopt);
    adopt_find_addresses(&adopt);
    for (size_t i = 0; i < adopt.count; i++)
        any = any || (adopt.nodes[i].included && adopt.nodes[i].seen);
    int result;
    if (any) {
        adopt_find_topology(&adopt);
        adopt_find_endpoints(&adopt);
        adopt_find_allowed(&adopt);
        note_strangers(&adopt);
        result = write_document(&adopt, targets->name, conf, err);
    } else {
        result = err_set(err, "none of the hosts shows a WireGuard interface with an address: nothing to adopt");
    }
    free_adopt(&adopt);
    return result;
}
