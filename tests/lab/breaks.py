"""Ways to break a running lab: one method a fault, so that a test reads as what went wrong.

Each method returns nothing, and raises when the fault could not be made.  Hosts are named; `b` in a row's methods
is the host that the row is about, or a public key.  Methods change what runs; wg0.conf stays as it was (that is
drift) unless saved=True, which changes the file alike.  A host's public key means the one it was built with.
Public methods are also the verbs of `lab break`; their arguments are converted by the annotations.
"""
import ipaddress
import os
import pathlib
import re
import shutil
import signal
import time

import topology
from topology import INTERFACE, LISTEN_PORT

HERE = pathlib.Path(__file__).resolve().parent
CONF = f"/etc/wireguard/{INTERFACE}.conf"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class Breaks:
    """Mixed into Lab, which has host(), gateway(), router, operator and plan."""

    # ---- the underlay: rules in the router, where no host can see them -------------------------------------

    def _forward(self, *rules):
        self.router.run(["nft", "-f", "-"], input="".join(f"add rule inet lab broken {r}\n" for r in rules))

    def _addresses(self, name):
        """[(family, address)] under which the router knows it; a NATed host is its gateway there."""
        n = self.host(name)
        return [("ip", n.address)] + ([("ip6", n.address6)] if n.address6 else [])

    def _from_to(self, src, dst):
        """Matches for packets from one host to another, for each family that both have; None means any."""
        if src is None and dst is None:
            return [""]
        one = [f"{f} saddr {a}" for f, a in self._addresses(src)] if src else None
        two = [f"{f} daddr {a}" for f, a in self._addresses(dst)] if dst else None
        if one is None or two is None:
            return one or two
        return [f"{x} {y}" for x in one for y in two if x.split()[0] == y.split()[0]]

    def drop_udp(self, src: str, dst: str, port: int = 0):
        """All UDP from src to dst is lost on the way, one way only (to this port only, when given)."""
        udp = f"udp dport {port}" if port else "meta l4proto udp"
        self._forward(*(f"{m} {udp} drop" for m in self._from_to(src, dst)))

    def block_udp_in(self, host: str, port: int = LISTEN_PORT, where: str = "router", stateful: bool = False):
        """The provider's firewall (where=router) or the host's own (where=host) drops UDP that comes in for the
        port; stateful lets answers to what the host itself sent pass."""
        accept = "ct state established accept"
        if where == "host":
            chain = "table inet lab-firewall { chain input { type filter hook input priority 0; policy accept;\n"
            self.host(host).run(["nft", "-f", "-"], input=(
                chain + (accept + "\n" if stateful else "") + f"iifname eth0 udp dport {port} drop\n}}\n}}\n"))
            return
        for m in self._from_to(None, host):
            self._forward(*([f"{m} udp dport {port} {accept}"] if stateful else []), f"{m} udp dport {port} drop")

    def block_udp_out(self, host: str, port: int = LISTEN_PORT):
        """The provider drops UDP that the host sends to this port of anyone."""
        self._forward(*(f"{m} udp dport {port} drop" for m in self._from_to(host, None)))

    def lose(self, percent: int, src: str = None, dst: str = None):
        """This share of UDP packets is lost, at random: from src, to dst, both, or everywhere."""
        self._forward(*(f"{m} meta l4proto udp numgen random mod 100 < {percent} drop".strip()
                        for m in self._from_to(src, dst)))

    def throttle_udp(self, host: str, kbytes: int):
        """UDP from and to the host above this rate (kilobytes a second, each way) is dropped; TCP is not."""
        self._forward(*(f"{m} meta l4proto udp limit rate over {kbytes} kbytes/second drop"
                        for m in self._from_to(None, host) + self._from_to(host, None)))

    def black_hole(self, src: str, dst: str, size: int):
        """IP packets from src to dst longer than size bytes vanish without an ICMP message."""
        self._forward(*(f"{m} meta length > {size} drop" for m in self._from_to(src, dst)))

    def unreachable(self, host: str):
        """Nothing gets to the host and nothing from it."""
        self._forward(*(f"{m} drop" for m in self._from_to(None, host) + self._from_to(host, None)))

    def _port(self, host):
        """The router's interface towards a host, or towards its gateway."""
        facts = self.host(host).facts
        name, number = facts.name, facts.number
        if facts.gateway:
            name, number = facts.gateway, self.plan.gateways[facts.gateway]["number"]
        return f"to-{name}" if len(name) <= 12 else f"to-{number}"

    def slow_line(self, host: str, rate: str = "10mbit"):
        """The line towards the host carries no more than this (tc's words), with a short queue."""
        self.router.run(["tc", "qdisc", "replace", "dev", self._port(host), "root", "tbf", "rate", rate,
                         "burst", "32k", "latency", "50ms"])

    def delay(self, src: str, dst: str = None, ms: int = 50, jitter: int = 0, reorder: int = 0):
        """What src sends (to dst only, when given) arrives so much later, give or take jitter milliseconds; reorder
        percent of it overtakes the rest.  One way: ask for both when both are meant."""
        used = self.router.out(["ip", "-o", "link"])
        number = next(i for i in range(1000) if f"delay{i}:" not in used)
        tun, table = f"delay{number}", str(1000 + number)
        self.router.spawn(["/usr/bin/python3", "-SsE", str(HERE / "relay.py"), tun, ms, jitter, reorder])
        self._until(lambda: f" {tun}:" in self.router.out(["ip", "-o", "link"]), f"{tun} does not come up")
        to = [["to", a] for _, a in self._addresses(dst)] if dst else [[], ["to", "::/0"]]
        lines = [f"link set {tun} up", f"route add default dev {tun} table {table}",
                 f"route add ::/0 dev {tun} table {table}"]
        self.router.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        for t in to:
            self.router.run(["ip", "-6" if t and ":" in t[1] else "-4", "rule", "add", "pref", table,
                             "iif", self._port(src), *t, "lookup", table])

    def heal_network(self):
        """Take back all of the above, in the router and as hosts' firewalls."""
        self.router.run(["nft", "flush", "chain", "inet", "lab", "broken"])
        for pid, argv in self.router.processes():
            if any(a.endswith("/relay.py") for a in argv):
                os.kill(pid, signal.SIGKILL)
        self.router.run("for f in -4 -6; do ip $f rule | sed -n 's/^\\(1[0-9][0-9][0-9]\\):.*/\\1/p' |"
                        " while read p; do ip $f rule del pref $p; done; done")
        for h in self.hosts:
            self.router.run(f"tc qdisc del dev {self._port(h.name)} root 2>/dev/null; true")
            h.run("nft delete table inet lab-firewall 2>/dev/null; true")

    def firewall_mesh(self, host: str, port: int = 0):
        """The host's own firewall drops what comes out of its tunnel (to this TCP port only, when given)."""
        what = f"tcp dport {port} " if port else ""
        self.host(host).run(["nft", "-f", "-"], input=(
            "table inet lab-firewall { chain mesh { type filter hook input priority 0; policy accept;\n"
            f"iifname {INTERFACE} {what}drop\n}}\n}}\n"))

    def drop_forward(self, host: str):
        """The host's firewall has a FORWARD policy of drop, as Docker and ufw set it."""
        self.host(host).run(["nft", "-f", "-"], input=(
            "table inet lab-firewall { chain forward { type filter hook forward priority 0; policy drop;\n}\n}\n"))

    def sysctl(self, host: str, name: str, value: str):
        """Set a network sysctl of the host: net.ipv4.ip_forward, net.ipv4.conf.wg0.rp_filter, …"""
        self.host(host).run(["sysctl", "-q", "-w", f"{name}={value}"])

    # ---- NAT -----------------------------------------------------------------------------------------------

    def nat_forget(self, host: str):
        """The host's gateway forgets all UDP flows, as after a reboot or a timeout."""
        if not shutil.which("conntrack"):
            raise RuntimeError("nat_forget needs the conntrack tool (apt-get install conntrack)")
        done = self.gateway(host).run(["conntrack", "-D", "-p", "udp"], check=False)
        # It ends with 1 when there was nothing to forget, which is no error here.
        if done.returncode and "0 flow entries" not in done.stderr:
            raise RuntimeError(f"{host}: conntrack: {done.stderr.strip()}")

    def nat_rebind(self, host: str, first: int = 40000, last: int = 49999):
        """The gateway maps the host to another public port from now on."""
        gw = self.gateway(host)
        gw.run(["nft", "-f", "-"], input=(
            "flush chain ip nat post\n"
            f"add rule ip nat post oifname eth0 meta l4proto udp masquerade to :{first}-{last} random\n"
            "add rule ip nat post oifname eth0 masquerade\n"))
        self.nat_forget(host)

    # ---- keys and rows -------------------------------------------------------------------------------------

    def _key(self, name_or_key):
        if name_or_key in self.nodes:
            key = self.nodes[name_or_key].public_key
            if not key:
                raise ValueError(f"{name_or_key} has no WireGuard in this lab")
            return key
        if not re.fullmatch(r"[A-Za-z0-9+/]{43}=", name_or_key):
            raise ValueError(f"{name_or_key!r} is neither a host nor a public key")
        return name_or_key

    # Keys go in by standard input, under /proc: /dev/stdin is udev's, and not everywhere.
    def _wg(self, host, *args, input=None):
        self.host(host).run(["wg", "set", INTERFACE, *args], input=input)

    def _set_row(self, a, b, *args, input=None, saved=None):
        key = self._key(b)
        if key not in self.host(a).rows():
            raise ValueError(f"{a} has no row for {b}")
        self._wg(a, "peer", key, *args, input=input)
        if saved:
            self.edit_saved_row(a, b, saved)

    def set_private_key(self, host: str, key: str = "", saved: bool = False):
        """The host has another private key (a fresh one unless given): every other node holds its old public one."""
        key = key or topology.genkey()
        self._wg(host, "private-key", "/proc/self/fd/0", input=key + "\n")
        if saved:
            self.edit_saved(host, lambda t: re.sub(r"(?m)^PrivateKey = .*$", f"PrivateKey = {key}", t))

    def no_private_key(self, host: str):
        """The engine holds no private key at all."""
        self._wg(host, "private-key", "/dev/null")

    def clone_key(self, host: str, of: str, saved: bool = False):
        """The host is a cloned machine: it has the same key as another."""
        self.set_private_key(host, self.host(of).key, saved)

    def set_row_key(self, a: str, b: str, key: str = "", saved: bool = False):
        """a's row for b carries a wrong public key, everything else of it unchanged."""
        key = key or topology.pubkey(topology.genkey())
        old = self._key(b)
        row = self.host(a).rows().get(old)
        if row is None:
            raise ValueError(f"{a} has no row for {b}")
        args = ["allowed-ips", ",".join(row["allowed"])] + (["endpoint", row["endpoint"]] if row["endpoint"] else [])
        self._wg(a, "peer", old, "remove")
        self._wg(a, "peer", key, *args, "persistent-keepalive", str(row["keepalive"]),
                 *(["preshared-key", "/proc/self/fd/0"] if row["psk"] else []), input=row["psk"])
        if saved:
            self.edit_saved(a, lambda t: t.replace(old, key))

    def delete_row(self, a: str, b: str, saved: bool = False):
        """a has no row for b."""
        self._set_row(a, b, "remove")
        if saved:
            key = self._key(b)
            self.edit_saved(a, lambda t: "\n\n".join(s for s in t.split("\n\n") if key not in s))

    def add_row(self, a: str, key: str = "", allowed: str = "10.44.0.250/32", endpoint: str = "",
                saved: bool = False):
        """a has a row for a key of nobody (a fresh one unless given): a ghost."""
        key = key or topology.pubkey(topology.genkey())
        self._wg(a, "peer", key, "allowed-ips", allowed, *(["endpoint", endpoint] if endpoint else []))
        if saved:
            self.edit_saved(a, lambda t: t + f"\n[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed}\n"
                            + (f"Endpoint = {endpoint}\n" if endpoint else ""))

    def set_psk(self, a: str, b: str, psk: str = "", saved: bool = False):
        """a's row for b has another preshared key (a fresh one; "none" for none): b's side keeps the old."""
        psk = "" if psk == "none" else psk or topology.genpsk()
        self._set_row(a, b, "preshared-key", "/proc/self/fd/0" if psk else "/dev/null", input=psk + "\n",
                      saved={"PresharedKey": psk or None} if saved else None)

    def set_allowed(self, a: str, b: str, allowed: str, saved: bool = False):
        """a's row for b has these AllowedIPs: missing, overlapping, too wide, or stolen from another row (a prefix
        has one owner; the last to ask gets it)."""
        self._set_row(a, b, "allowed-ips", allowed, saved={"AllowedIPs": allowed or None} if saved else None)

    def steal_allowed(self, a: str, thief: str, victim: str):
        """On a, the row of thief takes the victim's addresses, which its row then no longer has."""
        rows = self.host(a).rows()
        both = rows[self._key(thief)]["allowed"] + rows[self._key(victim)]["allowed"]
        self._set_row(a, thief, "allowed-ips", ",".join(both))

    def set_endpoint(self, a: str, b: str, endpoint: str, saved: bool = False):
        """a's row for b points there (address:port)."""
        self._set_row(a, b, "endpoint", endpoint, saved={"Endpoint": endpoint} if saved else None)

    def forget_endpoint(self, a: str, b: str):
        """a's row for b has no endpoint: it is taken out and put back without (its session goes with it)."""
        row = self.host(a).rows()[self._key(b)]
        self._wg(a, "peer", self._key(b), "remove")
        self._wg(a, "peer", self._key(b), "allowed-ips", ",".join(row["allowed"]), "persistent-keepalive",
                 str(row["keepalive"]), *(["preshared-key", "/proc/self/fd/0"] if row["psk"] else []), input=row["psk"])

    def set_keepalive(self, a: str, b: str, seconds: int, saved: bool = False):
        """a's row for b has this PersistentKeepalive (0: none)."""
        self._set_row(a, b, "persistent-keepalive", str(seconds),
                      saved={"PersistentKeepalive": str(seconds) if seconds else None} if saved else None)

    def set_listen_port(self, host: str, port: int, saved: bool = False):
        """The host's engine listens on another port."""
        self._wg(host, "listen-port", str(port))
        if saved:
            self.edit_saved(host, lambda t: re.sub(r"(?m)^ListenPort = .*$", f"ListenPort = {port}", t))

    # ---- interface, addresses, routes ----------------------------------------------------------------------

    def add_address(self, host: str, address: str, device: str = INTERFACE):
        """The host has one more address (with its prefix length), perhaps that of another."""
        self.host(host).run(["ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else [])])

    def delete_address(self, host: str, address: str = "", device: str = INTERFACE):
        """The host's mesh address (its IPv4 one unless given) is gone, and with it the connected route."""
        address = address or f"{self.host(host).mesh[0]}/{self.plan.network.prefixlen}"
        self.host(host).run(["ip", "addr", "del", address, "dev", device])

    def change_address(self, host: str, address: str):
        """The host has this mesh IPv4 address (with prefix length) in place of its own."""
        self.delete_address(host)
        self.add_address(host, address)

    def set_mtu(self, host: str, mtu: int, device: str = INTERFACE):
        """Another MTU on wg0 (or eth0, which is the underlay)."""
        self.host(host).run(["ip", "link", "set", device, "mtu", str(mtu)])

    def delete_route(self, host: str, prefix: str = "", device: str = INTERFACE):
        """The route into the tunnel is gone (the mesh's IPv4 network unless given)."""
        self.host(host).run(["ip", "route", "del", prefix or str(self.plan.network), "dev", device])

    def shadow_route(self, host: str, prefix: str, device: str = "eth0"):
        """A more specific route sends the prefix past the tunnel: to a device, or device=blackhole."""
        where = [prefix, "dev", device] if device != "blackhole" else ["blackhole", prefix]
        # As strings, since ip wants the type before the prefix.
        self.host(host).run(["ip", "route", "add", *where])

    def link_down(self, host: str, device: str = INTERFACE):
        """The interface is down; its routes go with it."""
        self.host(host).run(["ip", "link", "set", device, "down"])

    def link_up(self, host: str, device: str = INTERFACE):
        """Up again (IPv6 addresses that the kernel dropped are put back)."""
        h = self.host(host)
        h.run(["ip", "link", "set", device, "up"])
        if device == INTERFACE:
            h.run(["ip", "addr", "replace", f"{h.mesh[1]}/{self.plan.network6.prefixlen}", "dev", device, "nodad"])

    # ---- engine --------------------------------------------------------------------------------------------

    def _engine(self, host):
        """Pids of the host's engine: what the lab started there, or what wgdeck brought itself."""
        h = self.host(host)
        own = h.engine or self.plan.engine
        hit = []
        for pid, argv in h.processes():
            name = argv[0].rsplit("/", 1)[-1]
            if name == own[0].rsplit("/", 1)[-1] and argv[1:len(own)] == own[1:] \
                    or name.startswith("wgdeck") and "engine" in argv[1:3]:
                hit.append(pid)
        return hit

    def _signal_engine(self, host, number):
        pids = self._engine(host)
        if not pids:
            raise RuntimeError(f"{host}: no engine runs (the kernel's is no process)")
        for pid in pids:
            os.kill(pid, number)

    def kill_engine(self, host: str):
        """kill -9 of the engine: its socket stays behind, stale, until somebody runs `wg`, which removes it.
        wireguard-go's TUN is not persistent, so the interface goes; an engine that makes it persistent leaves it."""
        self._signal_engine(host, signal.SIGKILL)
        self._until(lambda: not self._engine(host), f"{host}: the engine does not end")
        # The kernel takes its device apart after the process has no name any more.
        end = time.monotonic() + 1
        while INTERFACE in self.host(host).out(["ip", "-o", "link"]) and time.monotonic() < end:
            time.sleep(0.02)

    def start_engine(self, host: str):
        """Start it again, with the rows of the saved file."""
        h = self.host(host)
        engine = h.engine or self.plan.engine
        if engine == ["kernel"]:
            raise RuntimeError(f"{host}: the kernel's engine is no process")
        h.spawn([*engine, "-f", INTERFACE], log="/var/log/wireguard-go.log", env={"LOG_LEVEL": self.plan.log})
        # Not with `wg`: when it comes between the engine's bind and listen it removes the socket.
        self._until(lambda: f"/{INTERFACE}.sock" in h.out(["ss", "-Hxl"]),
                    f"{host}: the engine does not start")
        h.run(["bash", "-c", f"wg setconf {INTERFACE} <(wg-quick strip {INTERFACE})"])
        h.run(["ip", "-batch", "-"], input="\n".join(self.plan._wg_batch(h.facts)) + "\n")

    def freeze_engine(self, host: str):
        """The engine is stopped (SIGSTOP): interface and socket are there, and nobody answers."""
        self._signal_engine(host, signal.SIGSTOP)

    def occupy_port(self, host: str, port: int = LISTEN_PORT):
        """Another process of the host takes the UDP port (kill the engine first, when it is its own)."""
        self.host(host).spawn(["/usr/bin/python3", "-c", "import socket, time\n"
                               f"s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', {port}))\n"
                               "time.sleep(86400)"])
        self._until(lambda: f":{port} " in self.host(host).out(["ss", "-Hulpn"]), f"{host}: port {port} not taken")

    @staticmethod
    def _until(condition, message, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(message)
            time.sleep(0.02)

    # ---- files ---------------------------------------------------------------------------------------------

    def edit_saved(self, host, change):
        """Only the saved wg0.conf changes: change(text) → text.  (Python only.)"""
        h = self.host(host)
        before = h.read(CONF)
        after = change(before)
        if after == before:
            raise ValueError(f"{host}: the edit changed nothing in {CONF}")
        h.write(CONF, after, 0o600)

    def edit_saved_row(self, a, b, values):
        """Only the file: set keys of a's row for b, {"Endpoint": "…"}; None takes a key out.  (Python only.)"""
        key = self._key(b)

        def change(text):
            sections = text.split("\n\n")
            for i, s in enumerate(sections):
                if key in s:
                    for name, value in values.items():
                        s = re.sub(rf"(?m)^{name} = .*\n?", "", s).rstrip("\n")
                        s += f"\n{name} = {value}" if value else ""
                    sections[i] = s
            return "\n\n".join(s.rstrip("\n") for s in sections) + "\n"
        self.edit_saved(a, change)

    def drift(self, host: str, key: str, value: str):
        """Only the saved file changes: each line `key = …` gets this value ("" takes it out)."""
        line = f"{key} = {value}\n" if value else ""
        self.edit_saved(host, lambda t: re.sub(rf"(?m)^{key} = .*\n", line, t))

    def chmod_saved(self, host: str, mode: str = "644", directory: str = ""):
        """The saved file (and /etc/wireguard, when directory is a mode too) can be read by others."""
        self.host(host).run(["chmod", mode, CONF])
        if directory:
            self.host(host).run(["chmod", directory, "/etc/wireguard"])

    def delete_saved(self, host: str):
        """There is no saved file."""
        self.host(host).run(["rm", CONF])

    def fill_disk(self, host: str):
        """No byte is free on the host's disk (/run and /dev/shm are others, as on real servers)."""
        self.host(host).run("mount -o remount,size=$(df -k --output=used /run/.disk | tail -1 | tr -d ' ')k /run/.disk")

    def free_disk(self, host: str):
        """Room again."""
        self.host(host).run(["mount", "-o", f"remount,size={self.disk}", "/run/.disk"])

    def readonly_home(self, host: str, user: str = "root"):
        """The user's home cannot be written."""
        home = "/root" if user == "root" else f"/home/{user}"
        self.host(host).run(["sh", "-ec", 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', "sh", home])

    # ---- SSH and the host as a whole -----------------------------------------------------------------------

    def freeze(self, host: str, what: str = "sshd"):
        """SIGSTOP: sshd and its sessions (TCP still connects, then silence), or what=all: every process."""
        self.host(host).signal("" if what == "all" else what, signal.SIGSTOP)

    def thaw(self, host: str):
        """All go on."""
        self.host(host).signal("", signal.SIGCONT)

    def refuse(self, host: str, sessions: bool = True):
        """sshd is gone: connections are refused (open sessions end too, unless sessions is false)."""
        h = self.host(host)
        if sessions:
            h.signal("sshd", signal.SIGKILL)
        else:
            h.run("kill $(cat /run/sshd.pid)")
        self._until(lambda: f"{h.name}" and not h.out(["ss", "-Hltn", "sport", "=", ":22"]), f"{host}: still listens")

    def start_sshd(self, host: str):
        """sshd again, after refuse."""
        self.host(host).run(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])

    def _restart_sshd(self, h):
        h.run("kill $(cat /run/sshd.pid)")
        self._until(lambda: not h.out(["ss", "-Hltn", "sport", "=", ":22"]), f"{h.name}: sshd does not end")
        self.start_sshd(h.name)

    def change_host_key(self, host: str):
        """The host shows another SSH host key than known_hosts has."""
        h = self.host(host)
        h.run("cd /etc/ssh && rm ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -C '' -f ssh_host_ed25519_key")
        self._restart_sshd(h)

    def sshd_option(self, host: str, line: str):
        """One more line of sshd_config, before all others (the first one counts), and a restart."""
        h = self.host(host)
        h.write("/etc/ssh/sshd_config", line + "\n" + h.read("/etc/ssh/sshd_config"))
        self._restart_sshd(h)

    def shift_clock(self, host: str, seconds: int):
        """Programs that new SSH sessions start see a clock that is off by this much.

        It is libfaketime (Debian: faketime), preloaded by sshd's SetEnv; time namespaces do not have the wall
        clock.  Not shifted, because nothing is preloaded into them: static programs (so the node's wgdeck when
        it is the static file), Go programs (so wireguard-go: handshake times and TAI64N stay true), what sudo
        starts, sessions opened before, and everything not started by sshd."""
        h = self.host(host)
        if h.run(["test", "-e", FAKETIME], check=False).returncode:
            raise RuntimeError(f"shift_clock needs {FAKETIME} (apt-get install faketime)")
        self.sshd_option(host, f"SetEnv LD_PRELOAD={FAKETIME} FAKETIME={seconds:+d}s DONT_FAKE_MONOTONIC=1 "
                               "FAKETIME_DONT_FAKE_MONOTONIC=1")

    def renumber(self, host: str, address: str = ""):
        """The host gets another public IPv4 address, as after a move.  The operator's ssh configuration follows;
        rows and the mesh file do not."""
        h = self.host(host)
        if h.nat:
            raise ValueError(f"{host} is behind a NAT")
        net = self.plan.nets[h.provider][0]
        address = address or str(net[int(ipaddress.ip_address(h.address)) - int(net[0]) + 100 if h.number < 100 else 253])
        old, gw, port = h.address, str(net[1]), self._port(host)
        self.router.run(["ip", "-batch", "-"], input=f"route del {old}/32 dev {port}\nroute add {address}/32 dev {port}\n")
        h.run(["ip", "-batch", "-"], input=f"addr add {address}/32 dev eth0\naddr del {old}/32 dev eth0\n"
              f"route replace {gw}/32 dev eth0 scope link\nroute replace default via {gw} dev eth0\n")
        o = self.operator
        for path in ("/root/.ssh/config", "/root/.ssh/known_hosts", "/etc/hosts"):
            text = o.read(path)
            o.write(path, re.sub(rf"(?<![\d.]){re.escape(old)}(?![\d.])", address, text),
                    0o644 if path == "/etc/hosts" else 0o600)
        h.facts.address = address


def verbs():
    """{name: function} of what `lab break` can do."""
    return {n: f for n, f in vars(Breaks).items()
            if callable(f) and not n.startswith("_") and "(Python only.)" not in (f.__doc__ or "")}
