/* Adopting: which interface of a node is the mesh's, which key it has, what to call it. What a node itself says comes first; of one that
 * was not reached, the others' rows tell. */
#include "adopt_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* How many other nodes hold a row for this key, on any interface. */
static size_t count_holders(const struct adopt *adopt, size_t except, const struct key *key)
{
    size_t holders = 0;
    for (size_t i = 0; i < adopt->count; i++) {
        const struct observation *seen = adopt->nodes[i].seen;
        bool holds = false;
        for (size_t j = 0; seen && i != except && j < seen->device_count; j++)
            holds = holds || device_find_peer(&seen->devices[j], key);
        holders += holds;
    }
    return holders;
}

/* A node may have other tunnels: the mesh's is the one that most of the others know. */
static void choose_device(struct adopt *adopt, size_t index)
{
    struct adopt_node *node = &adopt->nodes[index];
    size_t most = 0;
    for (size_t i = 0; node->seen && i < node->seen->device_count; i++) {
        const struct device *device = &node->seen->devices[i];
        size_t holders = key_is_zero(&device->public_key) ? 0 : count_holders(adopt, index, &device->public_key);
        if (!node->device || holders > most) {
            node->device = device;
            most = holders;
        }
    }
    if (!node->device)
        return;
    node->config = observation_config(node->seen, node->device->name);
    node->key = node->device->public_key;
    node->has_key = !key_is_zero(&node->key);
    if (node->seen->device_count > 1)
        adopt_note(adopt, "%s has %zu WireGuard interfaces; %s is taken for the mesh's", node->target->name, node->seen->device_count,
                   node->device->name);
}

bool adopt_outer_address(const struct adopt_node *node, struct address *address)
{
    if (node->dialled && address_parse(node->dialled, address) == 0)
        return true;
    return address_parse(node->target->name, address) == 0;
}

static bool key_is_taken(const struct adopt *adopt, const struct key *key)
{
    for (size_t i = 0; i < adopt->count; i++)
        if (adopt->nodes[i].has_key && key_compare(&adopt->nodes[i].key, key) == 0)
            return true;
    return false;
}

/* A node that was not reached: the rows whose endpoint is its outer address have its key, when no other node has it. */
static void find_key_in_rows(struct adopt *adopt, size_t index)
{
    struct adopt_node *node = &adopt->nodes[index];
    struct address outer;
    if (!adopt_outer_address(node, &outer))
        return;
    for (size_t i = 0; i < adopt->count; i++) {
        const struct device *device = adopt->nodes[i].device;
        for (size_t j = 0; device && j < device->peer_count; j++) {
            const struct device_peer *row = &device->peers[j];
            if (key_is_zero(&row->public_key) || address_compare(&row->endpoint.address, &outer) != 0 || key_is_taken(adopt, &row->public_key))
                continue;
            node->key = row->public_key;
            node->has_key = true;
            return;
        }
    }
}

static bool name_is_taken(const struct adopt *adopt, size_t before, const char *name)
{
    for (size_t i = 0; i < before; i++)
        if (strcasecmp(adopt->nodes[i].name, name) == 0)
            return true;
    return false;
}

/* The host's own short name where the target is only an address; else the target's name, in characters that a node name has. */
static void choose_name(struct adopt *adopt, size_t index)
{
    struct adopt_node *node = &adopt->nodes[index];
    struct address address;
    const char *hostname = node->seen ? node->seen->hostname : NULL;
    bool use_hostname = hostname && address_parse(node->target->name, &address) == 0 && strncmp(hostname, "localhost", 9) != 0;
    char *name = use_hostname ? mem_text_part(hostname, strcspn(hostname, ".")) : mem_text(node->target->name);
    for (char *at = name; *at; at++)
        if (!text_is_name((char[]){'a', *at, '\0'}))
            *at = '-';
    size_t skip = strspn(name, "-.");
    char *base = mem_format("%.48s", name[skip] ? name + skip : "node");
    free(name);
    node->name = mem_text(base);
    for (unsigned i = 2; name_is_taken(adopt, index, node->name); i++) {
        free(node->name);
        node->name = mem_format("%s-%u", base, i);
    }
    free(base);
}

void adopt_find_devices(struct adopt *adopt)
{
    for (size_t i = 0; i < adopt->count; i++)
        choose_device(adopt, i);
    for (size_t i = 0; i < adopt->count; i++)
        if (!adopt->nodes[i].seen)
            find_key_in_rows(adopt, i);
    for (size_t i = 0; i < adopt->count; i++)
        choose_name(adopt, i);
    for (size_t i = 0; i < adopt->count; i++)
        for (size_t j = 0; j < i; j++)
            if (adopt->nodes[i].has_key && adopt->nodes[j].has_key && key_compare(&adopt->nodes[i].key, &adopt->nodes[j].key) == 0) {
                adopt_note(adopt, "%s has the same key as %s: one of the two needs a new one (its PublicKey is not written)",
                           adopt->nodes[i].name, adopt->nodes[j].name);
                adopt->nodes[i].has_key = false;
            }
}
