/* Every kind of fault: its id, which is a contract, and what the manual wgdeck-faults(7) says of it. Order and ids: the taxonomy. */
#include "wgdeck/diagnosis.h"

#include <string.h>

#include "wgdeck/mem.h"

const struct fault_kind fault_kinds[] = {
    {
        .id = "peer-missing",
        .title = "Peer missing",
        .severity = SEVERITY_ERROR,
        .meaning = "One node has a row for another one, and the other has none for it. All that the first one sends is dropped there "
                   "without an answer.",
        .detection = "The rows of both nodes are compared by public key, running ones, not saved ones. With a mesh file a row is also "
                     "missed when the other node cannot be read. A node whose key nobody knows is never missed.",
        .remedy = "Add the row on the node that lacks it, with wg set, and save it.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "peers-missing-both",
        .title = "Peer missing at both ends",
        .severity = SEVERITY_ERROR,
        .meaning = "Neither of two nodes has a row for the other, though they should be linked.",
        .detection = "The mesh file wants the link by its topology, or both nodes have saved rows for each other, and neither engine holds "
                     "one. Without a mesh file and saved rows there is nothing that says that the link should be.",
        .remedy = "Add a row at both ends.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "wrong-key",
        .title = "Wrong public key",
        .severity = SEVERITY_ERROR,
        .meaning = "A row that is meant for a node carries a key that is not its key; or a node shows another key than all others, or the "
                   "mesh file, have for it. No handshake can succeed.",
        .detection = "A row is taken to be meant for a node when its AllowedIPs hold the mesh address of that node, or its endpoint is a "
                     "public address and the port of that node, and its key is no other node's. Which of the two sides is the wrong one "
                     "cannot be told when only one node holds the row.",
        .remedy = "Replace the row by one with the right key; with a preshared key, set a new one at both ends.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "key-half-rotated",
        .title = "Key rotated by halves",
        .severity = SEVERITY_ERROR,
        .meaning = "A node has a new key. Some nodes hold it already, others still hold the old one, and their links are dead.",
        .detection = "Some rows for the node carry its key and some another one that was its key once: two nodes hold it, or it had "
                     "handshakes, or it is still saved or pinned.",
        .remedy = "Finish the rotation on the nodes that are named, then remove the old key.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "ghost-peer",
        .title = "Peer of nobody",
        .severity = SEVERITY_WARNING,
        .meaning = "A node has a row for a key that belongs to no node of the mesh file: a node that was taken out and not everywhere, a "
                   "device somebody added by hand, or an intruder. Whoever holds that key is inside the mesh.",
        .detection = "Rows whose key and addresses are no node's, when the keys of all nodes are known. Addresses of RelayNetwork, and "
                     "nodes that joined by an invitation, are not ghosts. Never without a mesh file: rows for nodes that were not named are none of our business.",
        .remedy = "Remove the row everywhere, or give its node a section in the mesh file.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "duplicate-key",
        .title = "Same key on two nodes",
        .severity = SEVERITY_ERROR,
        .meaning = "Two nodes run with the same private key, mostly because a machine was cloned. The others know only one peer of that "
                   "key, whose endpoint jumps between the two; and on the clone the row for its twin vanishes without a message.",
        .detection = "Two nodes report the same public key. Which of them is the clone is told by the mesh file; else the later one in the "
                     "list is named first.",
        .remedy = "Make a new key on the clone and give its public key to the others.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "no-private-key",
        .title = "No private key",
        .severity = SEVERITY_ERROR,
        .meaning = "The engine holds no private key. It can neither begin nor answer a handshake, so all links of the node are dead.",
        .detection = "The running interface reports no private key.",
        .remedy = "Set it from the saved file. If it is lost, make a new one and tell the others.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "psk-mismatch",
        .title = "Preshared keys differ",
        .severity = SEVERITY_ERROR,
        .meaning = "Two nodes hold different preshared keys for each other, or only one holds one. A link that lives goes on until its "
                   "next handshake, two minutes at most, and then dies.",
        .detection = "Hashes of the preshared keys, made on the nodes with a salt of this run, are compared. Where no hash could be had, "
                     "only the presence of a key is compared; two nodes that hear each other's handshakes and complete none are then named "
                     "as well. An answer that is lost on the way looks the same as a wrong preshared key when hashes are not to be had.",
        .remedy = "Set one new preshared key at both ends.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "key-exposed",
        .title = "Private key exposed",
        .severity = SEVERITY_WARNING,
        .meaning = "Others than root can read the file that holds the private key, or replace it; or the key is one that is printed in a "
                   "manual.",
        .detection = "Permission bits and owner of the saved file and its folder; the public key is compared with those of published "
                     "examples. Whether anyone did read the file cannot be known.",
        .remedy = "Mode 600 for the file, 700 for the folder; if it may have been read, rotate the key.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "duplicate-address",
        .title = "Same address on two nodes",
        .severity = SEVERITY_ERROR,
        .meaning = "Two nodes have the same mesh address. One of them is not reached by the others, and neither can reach the other.",
        .detection = "The addresses of all WireGuard interfaces are compared. Whose address it is, the mesh file says, or the saved files.",
        .remedy = "Give one of them another address, on the interface, in its file and in the rows of the others.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "allowed-ips-stolen",
        .title = "AllowedIPs taken by another row",
        .severity = SEVERITY_ERROR,
        .meaning = "A prefix can belong to one row only; the last one that asks for it gets it, without a message. The row that should "
                   "have it lacks it, and its packets go to the wrong node.",
        .detection = "The saved row, the mesh file or the addresses of the node say that the row should have a prefix; it has not, and "
                     "another row of the same interface has exactly that one.",
        .remedy = "Give each prefix to one row; /32 and /128 for nodes.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "allowed-ips-overlap",
        .title = "AllowedIPs overlap",
        .severity = SEVERITY_WARNING,
        .meaning = "A row for one node holds a network in which another node lies that has a row of its own. The longer prefix wins, so it "
                   "works, but the first node may send packets that claim to be the other, and gets its packets as soon as the other row "
                   "goes.",
        .detection = "The prefixes of all rows of a node are compared with the mesh addresses of the others. With a mesh file, hubs, "
                     "gateways and relays may have networks. Without one, a network is meant when another node has it in its row for the "
                     "same node too, and that node forwards.",
        .remedy = "Narrow it to the node's own addresses; or, if it is meant, make the node a hub or gateway in the mesh file.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "allowed-ips-missing",
        .title = "AllowedIPs missing",
        .severity = SEVERITY_ERROR,
        .meaning = "A row lacks an address of its node, or a network behind it. Packets there are refused on the way out, and packets from "
                   "there are dropped on the way in, though the link itself is live.",
        .detection = "Compared with the saved row, with what the mesh file wants, and without one with the address that the node has, if "
                     "it lies in the holder's network or other nodes have it in their rows.",
        .remedy = "Add it with wg set, to the whole list, and save it.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "allowed-ips-too-wide",
        .title = "AllowedIPs too wide",
        .severity = SEVERITY_WARNING,
        .meaning = "A row holds a network that takes in the endpoint of a peer, the node's own network, or the place from which it is "
                   "administered. As soon as a route follows it, the node cuts itself off.",
        .detection = "Prefixes of each row against endpoints, addresses of the other interfaces and the source of the SSH session. A "
                     "default route as wg-quick makes it (a mark and a table of its own), one that is saved, and one for which the "
                     "endpoint has a route past the tunnel are meant.",
        .remedy = "Narrow it; or give the endpoint a route of its own, or use Table and FwMark as wg-quick(8) says.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "subnet-collision",
        .title = "Network collides with another",
        .severity = SEVERITY_WARNING,
        .meaning = "A network of the mesh is also one of a bridge, a container pool, a VPC or a LAN on some node.",
        .detection = "Not looked for yet.",
        .remedy = "Renumber one of them.",
    },
    {
        .id = "address-drift",
        .title = "Interface address differs",
        .severity = SEVERITY_ERROR,
        .meaning = "The WireGuard interface of a node lacks its mesh address, or has another one, or with another prefix length. Packets "
                   "to its address find nobody; packets that it sends are dropped by the others.",
        .detection = "Addresses of the interface against the mesh file and the saved file; if there is neither, against the rows of two or "
                     "more other nodes that agree. An extra address alone is a warning.",
        .remedy = "ip address add and del; the interface need not go down.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "name-drift",
        .title = "Name resolves to another address",
        .severity = SEVERITY_WARNING,
        .meaning = "A name of a node resolves to another mesh address than it has.",
        .detection = "Not looked for yet.",
        .remedy = "Correct the hosts file or the DNS entry.",
    },
    {
        .id = "ipv6-broken",
        .title = "IPv6 cannot work there",
        .severity = SEVERITY_WARNING,
        .meaning = "A node has IPv6 prefixes in its rows, and IPv6 is disabled on it or its MTU is less than 1280.",
        .detection = "Not looked for yet.",
        .remedy = "Enable IPv6, or take the prefixes out.",
    },
    {
        .id = "endpoint-unknown",
        .title = "No endpoint at either end",
        .severity = SEVERITY_ERROR,
        .meaning = "Neither of two nodes has an endpoint for the other, and none was learned. Neither can begin.",
        .detection = "Both rows are without an endpoint and the link is not live. If both nodes are behind NAT it is no-path-nat.",
        .remedy = "Set an endpoint at one end at least.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "endpoint-stale",
        .title = "Endpoint is not the node's",
        .severity = SEVERITY_ERROR,
        .meaning = "A node sends to an address that is not, or no longer, an address of the other node.",
        .detection = "The endpoint is compared with the addresses of the other node's interfaces, and those at which the deck and other "
                     "nodes reach it. Only when the link is not live, and when a public address of the node is known. A live link proves "
                     "its endpoint, whatever it looks like.",
        .remedy = "Set the endpoint, in the saved file too.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "endpoint-port",
        .title = "Endpoint has the wrong port",
        .severity = SEVERITY_ERROR,
        .meaning = "A node sends to the right address and to a port on which the other one does not listen.",
        .detection = "The endpoint's port against the listening port, when the address is on an interface of the node, which is not behind "
                     "NAT, and the link is not live.",
        .remedy = "Correct the row or the port.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "listen-port-drift",
        .title = "Listening port differs",
        .severity = SEVERITY_WARNING,
        .meaning = "A node listens on another port than it has saved, or than the mesh file wants. Links that live have followed it; who "
                   "begins anew calls the old port.",
        .detection = "The engine's port against ListenPort in the saved file and in the mesh file. A node that nobody calls (no Endpoint) "
                     "may have any.",
        .remedy = "wg set INTERFACE listen-port PORT.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "endpoint-dns-drift",
        .title = "Endpoint name resolves to another address",
        .severity = SEVERITY_WARNING,
        .meaning = "The name of an endpoint resolves to another address than the one in use.",
        .detection = "Not looked for yet.",
        .remedy = "Set the endpoint again.",
    },
    {
        .id = "address-family",
        .title = "No route for the endpoint's address family",
        .severity = SEVERITY_ERROR,
        .meaning = "An endpoint is an IPv6 address and the node has no IPv6 route, or the reverse.",
        .detection = "Not looked for yet.",
        .remedy = "Use the other family.",
    },
    {
        .id = "endpoint-in-tunnel",
        .title = "Endpoint is routed into its own tunnel",
        .severity = SEVERITY_ERROR,
        .meaning = "The encrypted packets for a peer are routed into the very tunnel that they carry. Nothing leaves the node.",
        .detection = "The kernel's answer for the endpoint names the WireGuard interface itself. Where the engine marks its packets and "
                     "the link is live, the lookup was made without the mark and is not believed.",
        .remedy = "Give the endpoint a route past the tunnel, or narrow AllowedIPs, or set FwMark.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "keepalive-missing",
        .title = "No keepalive behind NAT",
        .severity = SEVERITY_WARNING,
        .meaning = "A node behind NAT sends no keepalives. When it is quiet for half a minute to some minutes, its router forgets it, and "
                   "nobody can reach it until it speaks itself.",
        .detection = "Others see it at an address that none of its interfaces has, nobody has an endpoint for it, and neither end of the "
                     "row has a persistent keepalive. A link that is busy is live all the same. A NAT that lets everyone in cannot be "
                     "told from others. With PersistentKeepalive = off in the mesh file it is only noted.",
        .remedy = "PersistentKeepalive = 25 on the node behind NAT; the other side needs none.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "no-path-nat",
        .title = "Both behind NAT",
        .severity = SEVERITY_WARNING,
        .meaning = "Two nodes are both behind NAT. Neither can call the other first, so their link never comes up.",
        .detection = "Both are seen by others at addresses that are not their own, nobody has an endpoint for either, neither row leads "
                     "anywhere else, and the link is not live. Of a node that joined through a relay it is told only as a note, with the "
                     "reason, when all ways were tried: its packets go by the hub, and arrive.",
        .remedy = "Forward a port to one of them, or let them talk through a node that both reach.",
        .detected = true,
    },
    {
        .id = "nat-port-clash",
        .title = "Two nodes on one NAT port",
        .severity = SEVERITY_ERROR,
        .meaning = "Two nodes behind one NAT use the same port, and the router gives both the same one outside. Only one of them is heard "
                   "at a time.",
        .detection = "One node has the same endpoint for both; or it hears one of them from its own port, and nothing from the other, "
                     "which has the same one. An address that is another node's is a relay.",
        .remedy = "Give them different listening ports.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "nat-rebinding",
        .title = "NAT changes the port often",
        .severity = SEVERITY_WARNING,
        .meaning = "The port at which a node behind NAT is seen changes often.",
        .detection = "Not looked for yet.",
        .remedy = "Shorter keepalives, another port.",
    },
    {
        .id = "udp-blocked",
        .title = "UDP does not arrive",
        .severity = SEVERITY_ERROR,
        .meaning = "Handshakes are sent and do not arrive, in one direction while the other is unknown, or in both, or at one node from "
                   "several others.",
        .detection = "Signatures S1 and S3: between two readings at least 12 s apart one end sent more than one handshake and the other "
                     "end, whose rows, keys, port and endpoint were compared and are right, received nothing. On a link that never had a "
                     "handshake one reading is enough when it has tried three times. If the counters tell nothing, it is a warning that "
                     "the link is dead, and says so. A firewall at the node, one of its provider, a filter that only lets answers in, and "
                     "a path that loses all UDP cannot be told apart by counters.",
        .remedy = "Open the UDP port in the firewalls of the node and of its provider.",
        .detected = true,
    },
    {
        .id = "udp-blocked-one-way",
        .title = "UDP arrives in one direction only",
        .severity = SEVERITY_ERROR,
        .meaning = "Packets of one end arrive at the other, and those of the other do not.",
        .detection = "Signature S2: what one end sends is received, and what the other sends is not, or the handshake that one end has was "
                     "never confirmed to the other (S6, a warning). With preshared keys that could not be compared, different ones look "
                     "the same.",
        .remedy = "Open the UDP port where nothing arrives, or outgoing UDP at the sender; look for a route that takes the answers "
                  "elsewhere.",
        .detected = true,
    },
    {
        .id = "udp-throttled",
        .title = "UDP is throttled",
        .severity = SEVERITY_WARNING,
        .meaning = "A link lives, and loses much or carries little, on UDP only.",
        .detection = "Not looked for yet.",
        .remedy = "Another port, a relay, the provider.",
    },
    {
        .id = "port-taken",
        .title = "Port taken by another process",
        .severity = SEVERITY_ERROR,
        .meaning = "The interface is missing because another process has its UDP port.",
        .detection = "Not looked for yet.",
        .remedy = "Stop it, or change the port.",
    },
    {
        .id = "mtu-blackhole",
        .title = "Big packets vanish",
        .severity = SEVERITY_ERROR,
        .meaning = "Small packets pass and big ones vanish without a message.",
        .detection = "Not looked for yet: it needs a probe.",
        .remedy = "Lower the MTU at both ends, clamp the MSS.",
    },
    {
        .id = "mtu-mismatch",
        .title = "MTU does not fit",
        .severity = SEVERITY_WARNING,
        .meaning = "The interface's MTU, with what the tunnel adds (60 bytes over IPv4, 80 over IPv6), is more than the path below "
                   "carries; or it differs from that of the other ends and nobody asked for it. Big packets are lost or cut in pieces.",
        .detection = "MTU of the interface against the MTU of the kernel's route to each endpoint; and against the other nodes, when it is "
                     "neither saved, nor in the mesh file, nor follows from the network below. What routers on the way carry is not seen.",
        .remedy = "Set the MTU, and save it.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "route-missing",
        .title = "Route into the tunnel missing",
        .severity = SEVERITY_ERROR,
        .meaning = "A row allows a prefix, and no route leads there through the interface. Packets take the default route, in the clear, "
                   "or are refused.",
        .detection = "The kernel's answer for an address of the prefix is another device or none, and the tables hold no route for it into "
                     "the tunnel. Not judged with Table = off, for default routes, or for families of which the interface has no address.",
        .remedy = "Add the route; wg set and wg syncconf do not make any.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "route-shadowed",
        .title = "Another route wins",
        .severity = SEVERITY_ERROR,
        .meaning = "There is a route into the tunnel, and another one, longer, with a lower metric or in another table, takes the packets.",
        .detection = "The kernel's answer is another device or none, though the tables hold a route into the tunnel, or a route made for "
                     "just these addresses points elsewhere.",
        .remedy = "Delete the other route, or change its metric, table or rule.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "routes-flushed",
        .title = "Routes were flushed",
        .severity = SEVERITY_ERROR,
        .meaning = "All routes into the tunnel vanished at once, mostly when systemd-networkd was restarted.",
        .detection = "Not looked for yet: it shows as route-missing.",
        .remedy = "Add them again; ManageForeignRoutes=no.",
    },
    {
        .id = "forwarding-off",
        .title = "Forwarding is off",
        .severity = SEVERITY_ERROR,
        .meaning = "A hub or gateway does not forward.",
        .detection = "Not looked for yet.",
        .remedy = "Enable net.ipv4.ip_forward and save it.",
    },
    {
        .id = "forward-dropped",
        .title = "Firewall drops what is forwarded",
        .severity = SEVERITY_ERROR,
        .meaning = "The FORWARD policy of a hub drops packets from tunnel to tunnel.",
        .detection = "Not looked for yet.",
        .remedy = "Accept them, in DOCKER-USER where Docker is.",
    },
    {
        .id = "rp-filter",
        .title = "Reverse path filter drops",
        .severity = SEVERITY_WARNING,
        .meaning = "A strict reverse path filter drops packets of the tunnel.",
        .detection = "Not looked for yet.",
        .remedy = "rp_filter = 2 on that interface.",
    },
    {
        .id = "firewall-on-interface",
        .title = "Firewall on the tunnel",
        .severity = SEVERITY_WARNING,
        .meaning = "A firewall drops what comes out of the tunnel.",
        .detection = "Not looked for yet: it needs a probe.",
        .remedy = "Open the mesh network on the interface.",
    },
    {
        .id = "host-unreachable",
        .title = "Host cannot be looked at",
        .severity = SEVERITY_ERROR,
        .meaning = "SSH does not reach a node, or it answers with nothing that can be used, or the login may not read its WireGuard. This "
                   "is no fault of WireGuard, and says nothing of its tunnels: a warning when others heard it lately.",
        .detection = "The result of the SSH connection, and what the rows of the other nodes tell of it. The node is never taken for one "
                     "that left the mesh.",
        .remedy = "What fits the failure: start the host or its sshd, open the way to it, mend the login. An unknown host key is compared with "
                  "the host's own before it is accepted; a changed one is understood before anyone logs in. Log in as root or allow sudo.",
        .detected = true,
    },
    {
        .id = "interface-down",
        .title = "Interface down or absent",
        .severity = SEVERITY_ERROR,
        .meaning = "The WireGuard interface of a node is down or not there. None of its links works.",
        .detection = "No such interface among those of the node, or its flags lack UP. Not concluded when the node's interfaces could not "
                     "be read.",
        .remedy = "Start its service, or wg-quick up.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "module-missing",
        .title = "Kernel has no WireGuard",
        .severity = SEVERITY_ERROR,
        .meaning = "The kernel module is missing, mostly after an upgrade without a reboot.",
        .detection = "Not looked for yet; interface-down mentions it.",
        .remedy = "Reboot, install it, or use the embedded engine.",
    },
    {
        .id = "engine-dead",
        .title = "Engine dead",
        .severity = SEVERITY_ERROR,
        .meaning = "The userspace engine of an interface is gone or hangs. None of the node's links works.",
        .detection = "Its control socket is there and nothing answers, and no kernel interface of that name has rows. Whether the process "
                     "died or is stopped is not told.",
        .remedy = "Restart its service.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "not-enabled-at-boot",
        .title = "Not started at boot",
        .severity = SEVERITY_WARNING,
        .meaning = "The interface is up and will not come back after a reboot.",
        .detection = "Not looked for yet.",
        .remedy = "systemctl enable.",
    },
    {
        .id = "config-drift",
        .title = "Running is not what is saved",
        .severity = SEVERITY_WARNING,
        .meaning = "Rows, keys, AllowedIPs, keepalives, preshared keys, mark or MTU that run differ from the saved file, and a restart "
                   "will change them; or a row runs that the mesh file does not ask for. Differences that have a fault of their own are "
                   "named there only.",
        .detection = "The saved file is compared with the engine, row by row. Endpoints that were learned, files with SaveConfig = "
                     "true, and rows that were made while they run for a node that joined through a relay, are no drift.",
        .remedy = "Save what runs, or apply what is saved.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "two-managers",
        .title = "Two programs manage the interface",
        .severity = SEVERITY_WARNING,
        .meaning = "Another program rewrites the interface.",
        .detection = "Not looked for yet.",
        .remedy = "Leave it to one of them.",
    },
    {
        .id = "clock-behind",
        .title = "Clock behind",
        .severity = SEVERITY_ERROR,
        .meaning = "A node's clock was set back. The far end refuses all handshakes that it begins, since their time stamps are older than "
                   "the last one that it took, until the clock has caught up.",
        .detection = "The clock stands before the last handshake that the node itself or the far end remembers, and the link is not live "
                     "although both configurations are right. The far end's memory of stamps itself cannot be read.",
        .remedy = "Set the clock; else remove and re-add the row at the far end, or let the far end begin.",
        .fixable = true,
        .detected = true,
    },
    {
        .id = "clock-skew",
        .title = "Clocks differ",
        .severity = SEVERITY_WARNING,
        .meaning = "A node's clock differs by more than 2 s from the others'. Ages and logs mislead, and after a correction backwards "
                   "handshakes are refused.",
        .detection = "The clock in the same reading, against the middle of all nodes' clocks and the deck's, beyond half the time that the "
                     "question took.",
        .remedy = "Let it keep time by NTP.",
        .detected = true,
    },
    {
        .id = "under-load",
        .title = "Engine under load",
        .severity = SEVERITY_WARNING,
        .meaning = "Handshakes are slow since the engine is under load.",
        .detection = "Not looked for yet.",
        .remedy = "Limit the rate, more cores.",
    },
    {
        .id = "partial-apply",
        .title = "Applied by halves",
        .severity = SEVERITY_WARNING,
        .meaning = "Nodes hold different generations of the mesh.",
        .detection = "Not looked for yet.",
        .remedy = "Apply again, or roll back.",
    },
};
const size_t fault_kind_count = COUNT_OF(fault_kinds);

const struct fault_kind *fault_kind_find(const char *id)
{
    for (size_t i = 0; i < fault_kind_count; i++)
        if (strcmp(fault_kinds[i].id, id) == 0)
            return &fault_kinds[i];
    return NULL;
}
