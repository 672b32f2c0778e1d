"""The lab's topology as values: which hosts there are, and every text that follows from that.

Pure: no process is started and no file is touched here, save that random keys are drawn.  lab.py asks for a
plan; supervisor.py carries it out without knowing what a provider, a NAT or WireGuard is.
"""
import base64
import dataclasses
import ipaddress
import os
import re

LISTEN_PORT = 51820
INTERFACE = "wg0"
MESHES = ("full", "hub", "groups", "none")
NATS = ("port-restricted", "symmetric", "full-cone", "restricted")
# Password of the user pw, "lab".  Written as a hash so that no deprecated crypt module is needed.
PW_HASH = ("$6$wgdecklab$0du8d8IFOad0SQ5.Wd2.iYvzMvz5Q5QqxPGpr1qttQIU1yiGsSQQC/bmJK6iPUIk"
           ".1bBmFGVuy5P0G0E4y.bk0")
# What WireGuard needs on a node; a host with tools=False has none of it, like a fresh server.
TOOL_FILES = ("/usr/bin/wg", "/usr/bin/wg-quick", "/usr/bin/wireguard-go", "/usr/bin/wireguard")


@dataclasses.dataclass
class Host:
    """One server of the lab.  Only the name is needed."""
    name: str
    provider: str = "p1"
    nat: str | None = None          # None, "port-restricted", "restricted" (to the address), "symmetric" or "full-cone"
    gateway: str | None = None      # NAT gateway to share with other hosts; default: one of its own
    nat_timeout: int | None = None  # seconds after which the gateway forgets a quiet UDP flow (default: 30/120)
    nat_ports: tuple | None = None  # (first, last) public UDP ports; default: any, the host's own where possible
    wg: bool = True                 # False: not in the mesh, no wg0, no config
    tools: bool = True              # False: no wg, wg-quick, wireguard-go to be found on it (implies wg=False)
    engine: list | None = None      # command started as CMD... -f wg0, or ["kernel"]; default: the lab's
    ipv6: bool = True               # public IPv6 too (never behind a NAT)
    keepalive: int | None = None    # seconds on every row of this host; default: the lab's rule
    mtu: int | None = None          # of wg0; default 1420
    max_startups: str | None = None # sshd's MaxStartups
    sshd: bool = True
    allowed: list = dataclasses.field(default_factory=list)  # networks behind this host, in the others' rows

    # Filled in by plan().
    number: int = 0
    address: str = ""               # where the internet reaches it: its own, or its gateway's
    address6: str = ""
    private: str = ""               # its LAN address when behind a NAT
    ssh_port: int = 22
    mesh: list = dataclasses.field(default_factory=list)     # its addresses in the mesh, without prefix length
    key: str = ""
    public_key: str = ""

    @property
    def endpoint(self):
        """Where others can start a handshake with it, or None."""
        if self.nat and self.nat != "full-cone":
            return None
        return f"{self.address}:{LISTEN_PORT}"


# ---- X25519 (RFC 7748 section 5), so that 100 key pairs cost no 200 processes -------------------------------

P25519 = 2 ** 255 - 19


def _x25519_base(scalar):
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for t in range(254, -1, -1):
        bit = (scalar >> t) & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b = x2 + z2, x2 - z2
        aa, bb = a * a % P25519, b * b % P25519
        e = aa - bb
        da, cb = (x3 - z3) * a % P25519, (x3 + z3) * b % P25519
        x3, z3 = (da + cb) ** 2 % P25519, x1 * (da - cb) ** 2 % P25519
        x2, z2 = aa * bb % P25519, e * (aa + 121665 * e) % P25519
    if swap:
        x2, z2 = x3, z3
    return x2 * pow(z2, P25519 - 2, P25519) % P25519


def genkey():
    """A private key as `wg genkey` prints it."""
    raw = bytearray(os.urandom(32))
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return base64.b64encode(raw).decode()


def pubkey(private):
    """What `wg pubkey` prints for it.  Not constant time: for the lab's throw-away keys only."""
    raw = bytearray(base64.b64decode(private))
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return base64.b64encode(_x25519_base(int.from_bytes(raw, "little")).to_bytes(32, "little")).decode()


def genpsk():
    return base64.b64encode(os.urandom(32)).decode()


# ---- the plan --------------------------------------------------------------------------------------------------

def provider_nets(providers):
    """name → (v4 network, v6 network): documentation prefixes (RFC 5737, RFC 3849), then the benchmark range
    (RFC 2544) for more providers than those suffice for.  192.0.2.0/24 is the operator's."""
    v4 = [ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("198.51.100.0/24")]
    v4 += list(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
    return {name: (v4[i], ipaddress.ip_network(f"2001:db8:{i + 1:x}::/48")) for i, name in enumerate(providers)}


class Plan:
    """Hosts with all their numbers, rows and texts."""

    def __init__(self, hosts, mesh="full", hub=None, keepalive="auto", psk=False, family=4,
                 network=None, network6="fd44::/64", name="lab", saved=True, log="error", mtu=None,
                 engine=None):
        if mesh not in MESHES:
            raise ValueError(f"mesh is {mesh!r}: it can be {', '.join(MESHES)}")
        if keepalive != "auto":
            keepalive = int(keepalive)
        self.hosts = [Host(h) if isinstance(h, str) else h for h in hosts]
        self.mesh, self.keepalive, self.psk, self.family = mesh, keepalive, psk, family
        self.name, self.saved, self.log, self.mtu = name, saved, log, mtu
        self.engine = engine or ["wireguard-go"]
        if network is None:
            network = "10.44.0.0/24" if len(self.hosts) < 250 else "10.44.0.0/16"
        self.network, self.network6 = ipaddress.ip_network(network), ipaddress.ip_network(network6)
        self.gateways = {}
        self.providers = list(dict.fromkeys(h.provider for h in self.hosts)) or ["p1"]
        self.nets = provider_nets(self.providers)
        self._check()
        self._number()
        members = [h.name for h in self.members()]
        self.hub = hub or (members[0] if members else None)
        if mesh == "hub" and members and self.hub not in members:
            raise ValueError(f"the hub {self.hub} is not a host with WireGuard")
        self._psks = {}

    def _check(self):
        seen = {"operator", "router"}
        for h in self.hosts:
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", h.name):
                raise ValueError(f"host name {h.name!r}: letters, digits and - only, please")
            if h.name in seen:
                raise ValueError(f"host name {h.name} is there twice, or reserved")
            if h.nat is not None and h.nat not in NATS:
                raise ValueError(f"{h.name}: nat {h.nat!r} is none of {', '.join(NATS)}")
            if not h.tools:
                h.wg = False
            seen.add(h.name)

    def _number(self):
        next_host = {p: 10 for p in self.providers}
        for i, h in enumerate(self.hosts, 1):
            h.number = i
            h.mesh = [str(self.network[i]), str(self.network6[i])]
            if h.wg and self.mesh != "none":
                h.key = h.key or genkey()
                h.public_key = pubkey(h.key)
            if h.nat:
                h.gateway = h.gateway or f"{h.name}-gw"
                gw = self.gateways.get(h.gateway)
                if gw is None:
                    gw = {"name": h.gateway, "number": 900 + len(self.gateways), "provider": h.provider, "nat": h.nat, "hosts": [],
                          "address": self._take(next_host, h.provider)[0],
                          "lan": ipaddress.ip_network(f"192.168.{len(self.gateways) % 250 + 1}.0/24")}
                    self.gateways[h.gateway] = gw
                elif (gw["nat"], gw["provider"]) != (h.nat, h.provider):
                    raise ValueError(f"{h.name}: its gateway {h.gateway} is of another provider or NAT kind")
                gw["hosts"].append(h)
                h.address, h.address6, h.ipv6 = gw["address"], "", False
                h.private = str(gw["lan"][1 + len(gw["hosts"])])
                h.ssh_port = 2200 + len(gw["hosts"])
            else:
                h.address, h.address6 = self._take(next_host, h.provider)
                if not h.ipv6:
                    h.address6 = ""

    def _take(self, next_host, provider):
        n = next_host[provider]
        if n > 250:
            raise ValueError(f"provider {provider} is full: use more providers")
        next_host[provider] += 1
        v4, v6 = self.nets[provider]
        return str(v4[n]), str(v6[n])

    def host(self, name):
        for h in self.hosts:
            if h.name == name:
                return h
        raise KeyError(f"no host {name} in this lab")

    def members(self):
        return [h for h in self.hosts if h.wg and self.mesh != "none"]

    def links(self):
        """Unordered pairs that hold rows for one another."""
        m = self.members()
        if self.mesh == "hub":
            return [(self.host(self.hub), h) for h in m if h.name != self.hub]
        if self.mesh == "groups":
            return [(a, b) for i, a in enumerate(m) for b in m[i + 1:]
                    if a.provider == b.provider or self.forwards(a) and self.forwards(b)]
        return [(a, b) for i, a in enumerate(m) for b in m[i + 1:]]

    def forwards(self, h):
        """Whether it is the hub, or the gateway of its group: a group is a provider, its gateway the first there."""
        if self.mesh == "hub":
            return h.name == self.hub
        return self.mesh == "groups" and h is next(x for x in self.members() if x.provider == h.provider)

    def through(self, a, b):
        """The other hosts that a reaches by way of b."""
        others = [h for h in self.members() if h is not a and h is not b]
        if self.mesh != "groups" or not self.forwards(b):
            return []
        if a.provider == b.provider:
            return [h for h in others if h.provider != a.provider]
        return [h for h in others if h.provider == b.provider]

    def can_start(self, a, b):
        """Whether a row of a for b has an endpoint."""
        if a.gateway and a.gateway == b.gateway:
            return True            # same LAN: reached by its private address
        return b.endpoint is not None

    def reachable_links(self):
        """(initiator, responder) of the links on which a handshake can happen as configured."""
        out = []
        for a, b in self.links():
            if self.can_start(a, b):
                out.append((a, b))
            elif self.can_start(b, a):
                out.append((b, a))
        return out

    def psk_of(self, a, b):
        if not self.psk:
            return None
        return self._psks.setdefault(frozenset((a.name, b.name)), genpsk())

    def rows(self, a):
        """a's rows, as dicts."""
        out = []
        for x, y in self.links():
            if a is not x and a is not y:
                continue
            b = y if a is x else x
            if self.mesh == "hub" and b.name == self.hub:
                allowed = [str(self.network), str(self.network6)]
                allowed += [n for h in self.members() if h is not a for n in h.allowed]
            else:
                allowed = [n for h in [b] + self.through(a, b)
                           for n in (h.mesh[0] + "/32", h.mesh[1] + "/128", *h.allowed)]
            endpoint = b.endpoint
            if a.gateway and a.gateway == b.gateway:
                endpoint = f"{b.private}:{LISTEN_PORT}"
            elif endpoint and self.family == 6 and a.address6 and b.address6:
                endpoint = f"[{b.address6}]:{LISTEN_PORT}"
            if a.keepalive is not None:
                keepalive = a.keepalive
            elif self.keepalive == "auto":
                keepalive = 25 if a.nat else 0
            else:
                keepalive = self.keepalive
            out.append({"name": b.name, "key": b.public_key, "psk": self.psk_of(a, b), "allowed": allowed,
                        "endpoint": endpoint, "keepalive": keepalive})
        return out

    def keepalives(self, a):
        """Arguments of `wg set wg0` that set a's keepalives: given once all engines run, since a keepalive sends
        an initiation at once, and when the other end is not up yet the next comes only 5 seconds later."""
        return [w for r in self.rows(a) if r["keepalive"]
                for w in ("peer", r["key"], "persistent-keepalive", str(r["keepalive"]))]

    def conf(self, a, full):
        """a's wg0.conf: with wg-quick's own keys when full, otherwise as `wg setconf` reads it, and without
        keepalives."""
        text = ["[Interface]"]
        if full:
            text += [f"Address = {a.mesh[0]}/{self.network.prefixlen}",
                     f"Address = {a.mesh[1]}/{self.network6.prefixlen}"]
            if a.mtu or self.mtu:
                text.append(f"MTU = {a.mtu or self.mtu}")
        text += [f"ListenPort = {LISTEN_PORT}", f"PrivateKey = {a.key}"]
        for row in self.rows(a):
            text += ["", f"# {row['name']}", "[Peer]", f"PublicKey = {row['key']}"]
            if row["psk"]:
                text.append(f"PresharedKey = {row['psk']}")
            text.append("AllowedIPs = " + ", ".join(row["allowed"]))
            if row["endpoint"]:
                text.append(f"Endpoint = {row['endpoint']}")
            if row["keepalive"] and full:
                text.append(f"PersistentKeepalive = {row['keepalive']}")
        return "\n".join(text) + "\n"

    def mesh_conf(self):
        """The mesh file (DESIGN section 4) that asks for exactly what this lab has."""
        ka = {"auto": "auto", 0: "off"}.get(self.keepalive, self.keepalive)
        text = ["[Mesh]", f"Name = {self.name}", f"Network = {self.network}, {self.network6}",
                f"Interface = {INTERFACE}", f"ListenPort = {LISTEN_PORT}",
                f"Topology = {'full' if self.mesh == 'none' else self.mesh}", f"PersistentKeepalive = {ka}",
                f"PresharedKeys = {'yes' if self.psk else 'no'}"]
        for h in self.hosts:
            if not h.wg:
                continue
            port = f":{h.ssh_port}" if h.ssh_port != 22 else ""
            text += ["", f"[Node {h.name}]", f"Ssh = root@{h.address}{port}", f"Address = {', '.join(h.mesh)}"]
            if h.endpoint:
                text.append(f"Endpoint = {h.endpoint}")
            if h.public_key:
                text.append(f"PublicKey = {h.public_key}")
            text.append(f"Group = {h.provider}")
            if h.public_key and self.forwards(h):
                text.append("Role = hub" if self.mesh == "hub" else "Role = gateway")
            if h.allowed:
                text.append("AllowedIPs = " + ", ".join(h.allowed))
            if h.mtu or self.mtu:
                text.append(f"MTU = {h.mtu or self.mtu}")
        return "\n".join(text) + "\n"

    # ---- what the supervisor executes ------------------------------------------------------------------------

    def machines(self):
        """One dict a namespace, in the order of their making."""
        out = [self._gateway_machine(gw) for gw in self.gateways.values()]
        out += [self._host_machine(h) for h in self.hosts]
        out.append(self._operator_machine())
        return out

    def _uplink(self, name, number, v4, gw4, v6):
        """A routed point-to-point line to the router, as clouds give it: a /32 and a gateway on link.  With all
        hosts of a provider in one Ethernet segment a full mesh of 100 would overflow the kernel's one neighbour
        table (gc_thresh3 = 1024 for the whole machine); and so the router sees, and can drop, every packet."""
        port = f"to-{name}" if len(name) <= 12 else f"to-{number}"
        router = [f"link set {port} up", f"addr add {gw4}/32 dev {port}", f"route add {v4}/32 dev {port}"]
        inside = ["link set lo up", "link set eth0 up", f"addr add {v4}/32 dev eth0",
                  f"route add {gw4}/32 dev eth0 scope link", f"route add default via {gw4} dev eth0"]
        if v6:
            router += [f"addr add fe80::1/64 dev {port} nodad", f"route add {v6}/128 dev {port}"]
            inside += [f"addr add {v6}/128 dev eth0 nodad", "route add ::/0 via fe80::1 dev eth0"]
        return {"port": port, "peer": "eth0", "router": router}, inside

    def _gateway_machine(self, gw):
        gw4 = str(self.nets[gw["provider"]][0][1])
        link, batch = self._uplink(gw["name"], gw["number"], gw["address"], gw4, "")
        batch += ["link add lan type bridge", "link set lan up",
                  f"addr add {gw['lan'][1]}/{gw['lan'].prefixlen} dev lan"]
        for i in range(len(gw["hosts"])):
            batch += [f"link set l{i} up", f"link set l{i} master lan"]
        # A port that is free is kept (endpoint-independent mapping); inbound needs a flow of exactly this remote
        # address and port: port-restricted cone.  fully-random draws a port for every flow: symmetric.
        kinds = {"port-restricted": "masquerade", "full-cone": "masquerade", "restricted": "masquerade",
                 "symmetric": "masquerade to :1024-65535 fully-random"}
        udp = kinds[gw["nat"]]
        ports = next((h.nat_ports for h in gw["hosts"] if h.nat_ports), None)
        if ports:
            udp = f"masquerade to :{ports[0]}-{ports[1]}" + (" fully-random" if gw["nat"] == "symmetric" else "")
        dnat = [f"tcp dport {h.ssh_port} dnat to {h.private}:22" for h in gw["hosts"] if h.sshd]
        if gw["nat"] == "full-cone":
            dnat.append(f"udp dport {LISTEN_PORT} dnat to {gw['hosts'][0].private}:{LISTEN_PORT}")
        # Address-restricted: whoever was sent to may answer from any port of its address.
        sent = []
        if gw["nat"] == "restricted":
            dnat.append(f"udp dport {LISTEN_PORT} ip saddr @sent dnat to {gw['hosts'][0].private}:{LISTEN_PORT}")
            sent = [" set sent { type ipv4_addr; flags dynamic, timeout; timeout 180s; }",
                    " chain note { type filter hook forward priority -10; policy accept;",
                    f"  oifname eth0 ip saddr {gw['hosts'][0].private} udp sport {LISTEN_PORT} update @sent {{ ip daddr }}", " }"]
        # Unasked packets are dropped in input, silently as home routers do.  Were they answered or accepted,
        # their conntrack entry would take the port that the host behind is going to need for this very remote.
        nft = "\n".join(["table ip nat {", *sent,
                         " chain pre { type nat hook prerouting priority dstnat; policy accept;",
                         *(f"  iifname eth0 {rule}" for rule in dnat), " }",
                         " chain post { type nat hook postrouting priority srcnat; policy accept;",
                         f"  oifname eth0 meta l4proto udp {udp}", "  oifname eth0 masquerade", " }", "}",
                         "table ip edge {",
                         " chain inward { type filter hook input priority filter; policy accept;",
                         "  iifname eth0 ct state established,related accept",
                         "  iifname eth0 meta l4proto { tcp, udp } drop", " }",
                         " chain through { type filter hook forward priority filter; policy accept;",
                         "  iifname eth0 ct state new ct status & dnat != dnat drop", " }", "}"]) + "\n"
        sysctl = {"net/ipv4/ip_forward": "1"}
        late = {}
        timeout = next((h.nat_timeout for h in gw["hosts"] if h.nat_timeout), None)
        if timeout:
            # These files exist only once conntrack is in use in the namespace, hence after nft.
            late = {"net/netfilter/nf_conntrack_udp_timeout": str(timeout),
                    "net/netfilter/nf_conntrack_udp_timeout_stream": str(timeout)}
        return {"name": gw["name"], "kind": "gateway", "link": link, "ip": batch, "nft": nft, "sysctl": sysctl,
                "late_sysctl": late}

    def _host_machine(self, h):
        if h.nat:
            gw = self.gateways[h.gateway]
            port = f"l{gw['hosts'].index(h)}"
            link = {"port": port, "peer": "eth0", "gateway": gw["name"]}
            batch = ["link set lo up", "link set eth0 up", f"addr add {h.private}/24 dev eth0",
                     f"route add default via {gw['lan'][1]} dev eth0"]
        else:
            link, batch = self._uplink(h.name, h.number, h.address, str(self.nets[h.provider][0][1]), h.address6)
        m = {"name": h.name, "kind": "host", "link": link, "ip": batch, "sshd": h.sshd, "users": True,
             "sysctl": {}, "files": {}, "hide": [] if h.tools else list(TOOL_FILES)}
        if h.max_startups:
            m["sshd_extra"] = [f"MaxStartups {h.max_startups}"]
        if h.wg and self.mesh != "none":
            if self.forwards(h):
                m["sysctl"] = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}
            m["wg"] = {"interface": INTERFACE, "engine": h.engine or self.engine, "log": self.log,
                       "conf": self.conf(h, full=False), "ip": self._wg_batch(h),
                       "keepalives": self.keepalives(h)}
            if self.saved:
                m["files"][f"/etc/wireguard/{INTERFACE}.conf"] = [0o600, self.conf(h, full=True)]
        return m

    def _wg_batch(self, h):
        i = INTERFACE
        return [f"addr add {h.mesh[0]}/{self.network.prefixlen} dev {i}",
                f"addr add {h.mesh[1]}/{self.network6.prefixlen} dev {i} nodad",
                f"link set {i} mtu {h.mtu or self.mtu or 1420} up",
                *(f"route add {net} dev {i}" for net in self._behind_others(h))]

    def _behind_others(self, h):
        return [n for b in self.members() if b is not h for n in b.allowed]

    def _operator_machine(self):
        link, batch = self._uplink("operator", 0, "192.0.2.2", "192.0.2.1", "2001:db8:ffff::2")
        config = ["Host *", "  IdentityFile ~/.ssh/id_ed25519", "  StrictHostKeyChecking yes",
                  "  UpdateHostKeys no", ""]
        for h in self.hosts:
            config += [f"Host {h.name}", f"  HostName {h.address}", f"  Port {h.ssh_port}", "  User root", ""]
        names = "".join(f"{h.address}\t{h.name}\n" for h in self.hosts)
        return {"name": "operator", "kind": "operator", "link": link, "ip": batch, "sysctl": {}, "users": True,
                "names": names,
                "files": {"/root/.ssh/config": [0o600, "\n".join(config)],
                          "/root/mesh.conf": [0o644, self.mesh_conf()]},
                "symlinks": {"/root/.config/wgdeck/mesh.conf": "/root/mesh.conf"},
                # known_hosts is completed when the hosts have made their keys.
                "known_hosts": {h.name: ([h.name, h.address] + ([h.address6] if h.address6 else []))
                                if h.ssh_port == 22 else [f"[{h.address}]:{h.ssh_port}"] for h in self.hosts}}
