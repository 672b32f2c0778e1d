/* Adopting: where a node is sent to, as the others' saved and running rows have it. */
#include "adopt_parts.h"
#include "mesh_reading.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

/* One endpoint that some node has for another. */
struct heard {
    char text[ENDPOINT_TEXT_SIZE + 256];
    struct endpoint endpoint; /* family 0: a host name */
    size_t count;
    bool saved;               /* written by a person, not learned from packets */
};

struct hearsay {
    struct heard *items;
    size_t count, capacity;
    size_t rows;              /* that have any endpoint */
};

static void hear(struct hearsay *hearsay, const char *text, const struct endpoint *endpoint, bool saved)
{
    size_t i = 0;
    struct endpoint unused;
    char *host;
    if (strlen(text) >= sizeof hearsay->items[0].text || mesh_parse_endpoint(text, &host, &unused) != 0)
        return; /* nothing that a mesh file can hold, as link-local addresses */
    free(host);
    hearsay->rows++;
    while (i < hearsay->count && strcmp(hearsay->items[i].text, text) != 0)
        i++;
    if (i == hearsay->count) {
        MEM_GROW(hearsay->items, hearsay->count, hearsay->capacity);
        hearsay->items[hearsay->count] = (struct heard){.endpoint = *endpoint};
        strncpy(hearsay->items[hearsay->count++].text, text, sizeof hearsay->items[0].text - 1);
    }
    hearsay->items[i].count++;
    hearsay->items[i].saved = hearsay->items[i].saved || saved;
}

static void hear_of(const struct adopt *adopt, size_t index, struct hearsay *hearsay)
{
    static const struct endpoint none = {0};
    char text[ENDPOINT_TEXT_SIZE];
    for (size_t i = 0; i < adopt->count; i++) {
        const char *host = NULL;
        const struct device_peer *saved = adopt_saved_row(adopt, i, index, &host), *row = adopt_row(adopt, i, index);
        const struct endpoint *endpoint = saved && saved->endpoint.address.family ? &saved->endpoint : row ? &row->endpoint : &none;
        endpoint_text(endpoint, text);
        if (host)
            hear(hearsay, host, &none, true);
        else if (endpoint->address.family)
            hear(hearsay, text, endpoint, saved && endpoint == &saved->endpoint);
    }
}

static bool node_has_address(const struct adopt_node *node, const struct address *address)
{
    struct address outer;
    if (adopt_outer_address(node, &outer) && address_compare(&outer, address) == 0)
        return true;
    for (size_t i = 0; node->seen && i < node->seen->link_count; i++) {
        const struct observed_link *link = &node->seen->links[i];
        for (size_t j = 0; j < link->address_count; j++)
            if (address_compare(&link->addresses[j].address, address) == 0)
                return true;
    }
    return false;
}

/* An endpoint that was only learned may be the way through a NAT, which a file must not hold: it counts when the node has the address
 * itself, or when all agree on it with the very port on which the node listens. */
static bool can_be_believed(const struct adopt_node *node, const struct hearsay *hearsay, const struct heard *heard)
{
    if (heard->saved)
        return true;
    if (node->device && heard->endpoint.port != node->device->listen_port)
        return false;
    return node_has_address(node, &heard->endpoint.address) || (hearsay->count == 1 && hearsay->rows > 1);
}

void adopt_find_endpoints(struct adopt *adopt)
{
    for (size_t i = 0; i < adopt->count; i++) {
        struct adopt_node *node = &adopt->nodes[i];
        struct hearsay hearsay = {0};
        const struct heard *best = NULL;
        if (node->included && node->has_key)
            hear_of(adopt, i, &hearsay);
        for (size_t j = 0; j < hearsay.count; j++) {
            const struct heard *heard = &hearsay.items[j];
            if (!can_be_believed(node, &hearsay, heard))
                continue;
            if (!best || heard->saved > best->saved || (heard->saved == best->saved && heard->count > best->count))
                best = heard;
        }
        if (best) {
            node->endpoint = mem_text(best->text);
            if (best->count < hearsay.rows)
                adopt_note(adopt, "%s: %zu of %zu rows say that its endpoint is %s; the others say something else", node->name, best->count,
                           hearsay.rows, best->text);
        } else if (hearsay.rows) {
            adopt_note(adopt, "%s: no endpoint written; what the others see of it (%s) looks like a NAT's", node->name,
                       hearsay.items[0].text);
        }
        free(hearsay.items);
    }
}
