/* Where the other nodes can send UDP for a host. Only addresses that it has, or by which SSH came: nothing is asked of third parties. */
#include "wgdeck/endpoint_guess.h"

#include <string.h>

#include "wgdeck/mem.h"

/* An address that can be told to others: not of this host alone, and not of the mesh itself. */
static bool can_be_told(const struct mesh *mesh, const struct address *address)
{
    static const char *const own[] = {"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "0.0.0.0/8", "::/128"};
    struct prefix prefix;
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (!prefix_parse(own[i], &prefix) && prefix_contains(&prefix, address))
            return false;
    for (size_t i = 0; i < mesh->network_count; i++)
        if (prefix_contains(&mesh->networks[i], address))
            return false;
    return true;
}

static const char *interface_with(const struct observation *seen, const struct address *address)
{
    for (size_t i = 0; i < seen->link_count; i++)
        for (size_t j = 0; strcmp(seen->links[i].kind, "wireguard") && j < seen->links[i].address_count; j++)
            if (!address_compare(&seen->links[i].addresses[j].address, address))
                return seen->links[i].name;
    return NULL;
}

static char *endpoint_of(const struct address *address, uint16_t port)
{
    char text[ENDPOINT_TEXT_SIZE];
    struct endpoint endpoint = {.address = *address, .port = port};
    endpoint_text(&endpoint, text);
    return mem_text(text);
}

/* The public address that it has itself; IPv4 first, which every other node can send to. */
static const struct address *own_public(const struct mesh *mesh, const struct observation *seen, const char **interface)
{
    for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0)
        for (size_t i = 0; i < seen->link_count; i++)
            for (size_t j = 0; strcmp(seen->links[i].kind, "wireguard") && j < seen->links[i].address_count; j++) {
                const struct address *address = &seen->links[i].addresses[j].address;
                *interface = seen->links[i].name;
                if (address->family == family && !address_is_private(address) && can_be_told(mesh, address))
                    return address;
            }
    return NULL;
}

char *endpoint_guess(const struct mesh *mesh, const struct observation *seen, uint16_t port, char **why)
{
    struct address dialled;
    const char *interface;
    char text[ADDRESS_TEXT_SIZE];
    bool has_dialled = seen->dialled && !address_parse(seen->dialled, &dialled) && can_be_told(mesh, &dialled);
    if (has_dialled && (interface = interface_with(seen, &dialled))) {
        *why = mem_format("SSH dials this address, and the node has it on %s", interface);
        return endpoint_of(&dialled, port);
    }
    const struct address *own = own_public(mesh, seen, &interface);
    if (own) {
        *why = mem_format("a public address that it has on %s", interface);
        return endpoint_of(own, port);
    }
    /* An endpoint that is not one fails silently, and late: when the NAT has forgotten the node's own packets. None at all fails at once, if it is needed. */
    if (has_dialled && !address_is_private(&dialled)) {
        address_text(&dialled, text);
        *why = mem_format("SSH dials %s, which the node does not have itself: taken to be behind NAT, it opens its links itself; where UDP %u comes through to it, as in "
                          "most clouds, give %s as its endpoint", text, port, text);
    } else {
        *why = mem_text("it has no public address: taken to be behind NAT, it opens its links itself");
    }
    return NULL;
}
