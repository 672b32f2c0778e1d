/* The keys of the mesh file, one row each: the parser, wgdeck-mesh(5) and the completions are made from this table. */
#include "mesh_reading.h"

#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

/* section, name, may stand in several lines, handler, what may stand there, what it means */
#define MESH_KEYS(KEY)                                                                                                  \
    KEY("Mesh", "Name", false, mesh_take_name, "NAME",                                                                  \
        "What the mesh is called on screens and in reports. Letters, digits, '.', '_' and '-'; \"mesh\" by default.")   \
    KEY("Mesh", "Network", true, mesh_take_network, "PREFIX, ...",                                                      \
        "The private networks of the mesh, IPv4, IPv6 or both. Every node's address lies in one of them. Required.")    \
    KEY("Mesh", "Interface", false, mesh_take_interface, "NAME",                                                        \
        "The name of the WireGuard interface on the nodes; wg0 by default.")                                            \
    KEY("Mesh", "ListenPort", false, mesh_take_listen_port, "PORT",                                                     \
        "The UDP port on which the nodes listen, and the port of an Endpoint that names none; 51820 by default.")       \
    KEY("Mesh", "Topology", false, mesh_take_topology, "full | hub | groups",                                           \
        "Which nodes hold rows for each other. full: every pair; this is the default. hub: every node for the one with " \
        "Role = hub, which forwards between them. groups: every pair inside a Group; groups reach each other through "  \
        "their gateways.")                                                                                              \
    KEY("Mesh", "PersistentKeepalive", false, mesh_take_keepalive, "auto | SECONDS | off",                              \
        "How often a node that hears nothing sends, so that a NAT keeps its way open. auto, the default: every 25 "     \
        "seconds where one side is behind NAT. A number: everywhere. off: nowhere.")                                    \
    KEY("Mesh", "PresharedKeys", false, mesh_take_preshared_keys, "yes | no",                                           \
        "Whether each pair of nodes has a preshared key of its own on top of the public keys. It is made on one of the " \
        "two nodes and never stored anywhere else. no by default.")                                                     \
    KEY("Mesh", "RelayNetwork", true, mesh_take_relay_network, "PREFIX, ...",                                           \
        "A part of Network that is reserved for nodes which join through a relay. Every node sends it to the node "     \
        "with Role = relay; without one, to the hub (Topology = hub) or to the first gateway (Topology = groups). A "   \
        "node whose addresses all lie in it is linked with that one only, and reaches the others through it, or by "    \
        "ways that are found while it runs.")                                                                           \
    KEY("Mesh", "RelayPort", false, mesh_take_relay_port, "PORT",                                                       \
        "The UDP port on which the node of RelayNetwork forwards sealed packets, which it cannot read, between nodes "  \
        "that cannot reach each other; 51821 by default (51823 where its ListenPort is that).")                         \
    KEY("Mesh", "Reserved", true, mesh_take_reserved, "PREFIX, ...",                                                    \
        "Parts of Network, or single addresses, that wgdeck gives to no new node: those of a router, a printer, a "    \
        "range that something else hands out.")                                                                        \
    KEY("Node", "Ssh", false, mesh_take_ssh, "[USER@]HOST[:PORT]",                                                      \
        "How the deck reaches the node: as for ssh(1), or an alias of ~/.ssh/config, whose User, Port, ProxyJump and "  \
        "IdentityFile count. Without it the node is judged only by what the others see of it.")                         \
    KEY("Node", "Jump", false, mesh_take_jump, "NODE",                                                                  \
        "Another node, through whose SSH this one is reached: its Ssh is an address that only the mesh knows.")         \
    KEY("Node", "Address", true, mesh_take_address, "ADDRESS, ...",                                                     \
        "The node's own addresses in the mesh, one of each Network it takes part in. Required.")                        \
    KEY("Node", "Endpoint", false, mesh_take_endpoint, "HOST[:PORT]",                                                   \
        "Where the other nodes send UDP for this one: a name or an address, IPv6 in brackets when a port follows. "     \
        "Without it the node is taken to be behind NAT, and opens its links itself.")                                   \
    KEY("Node", "PublicKey", false, mesh_take_public_key, "KEY",                                                        \
        "The node's WireGuard public key, in base64. Written by wgdeck when it first learns the key; a node that shows " \
        "another one later is a fault.")                                                                                \
    KEY("Node", "FormerKey", true, mesh_take_former_key, "KEY",                                                         \
        "A public key that the node had before, one a line. Rows for it are taken out wherever they are still found. "  \
        "Written by wgdeck rotate; the line can go when every node has been reached since.")                            \
    KEY("Node", "HostKey", false, mesh_take_host_key, "TYPE BASE64",                                                    \
        "The node's SSH host key, as a line of known_hosts has it after the names. When it is given, no other key is "  \
        "accepted.")                                                                                                    \
    KEY("Node", "Group", false, mesh_take_group, "NAME",                                                                \
        "The group the node belongs to; with Topology = groups every node has one.")                                    \
    KEY("Node", "Role", false, mesh_take_role, "hub | gateway | relay | none",                                          \
        "What the node does for others. hub: forwards for all, with Topology = hub. gateway: joins its Group to the "   \
        "other groups. relay: forwards for the nodes of RelayNetwork; the first one counts. none by default.")          \
    KEY("Node", "AllowedIPs", true, mesh_take_allowed_ips, "PREFIX, ...",                                               \
        "Networks behind the node, which the others reach through it, beside the node's own addresses.")                \
    KEY("Node", "MTU", false, mesh_take_mtu, "BYTES",                                                                   \
        "The MTU of the node's WireGuard interface; by default what the network below it leaves room for.")             \
    KEY("Node", "Engine", false, mesh_take_engine, "auto | kernel | embedded",                                          \
        "What moves the packets. auto, the default: the kernel's WireGuard where there is one, else the one inside "    \
        "wgdeck.")                                                                                                      \
    KEY("Node", "Interface", false, mesh_take_interface, "NAME", "The interface's name on this node, if it is not the mesh's.") \
    KEY("Node", "ListenPort", false, mesh_take_listen_port, "PORT", "The UDP port on this node, if it is not the mesh's.") \
    KEY("Removed", "PublicKey", false, mesh_take_removed_key, "KEY",                                                    \
        "The key that the node had when it was taken out.")                                                             \
    KEY("Removed", "FormerKey", true, mesh_take_removed_key, "KEY", "A key that it had before, one a line.")            \
    KEY("Removed", "Address", true, mesh_take_removed_address, "ADDRESS, ...",                                          \
        "The addresses that the node had. A new node gets them only when no other one is free.")                        \
    KEY("Removed", "Date", false, mesh_take_date, "YYYY-MM-DD", "The day on which the node was taken out.")

#define PUBLIC_ROW(section, name, repeats, handler, values, help) {section, name, values, help},
#define HANDLER(section, name, repeats, handler, values, help) handler,
#define REPEATS(section, name, repeats, handler, values, help) repeats,

const struct mesh_key mesh_keys[] = {MESH_KEYS(PUBLIC_ROW)};
const size_t mesh_key_count = COUNT_OF(mesh_keys);
const char *const mesh_sections[] = {"Mesh", "Node", "Removed", NULL};
mesh_key_handler *const mesh_key_handlers[] = {MESH_KEYS(HANDLER)};
const bool mesh_key_repeats[] = {MESH_KEYS(REPEATS)};

size_t mesh_find_key(const char *section, const char *name)
{
    size_t i = 0;
    while (i < mesh_key_count && (strcmp(mesh_keys[i].section, section) != 0 || strcasecmp(mesh_keys[i].name, name) != 0))
        i++;
    return i;
}
