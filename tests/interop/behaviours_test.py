"""What the kernel's own self-tests of WireGuard expect, one by one, of the engine; numbered as in those (the gaps are kernel-only).

Both ends are the engine under test unless a test says otherwise; the other end of numbers is in interop_test.py.
"""
import base64
import os
import random
import re
import time

import noise
from interop_test import iperf
from run import Skip, timeout
from world import OTHER, OURS, IS_OURS, SANITIZED, Capture, World, b64, clamp, needs, only_ours, until


def basic(**options):
    """Pings and streams of both families through one tunnel."""
    needs("iperf3")
    mtu = options.pop("mtu", 1420)
    with World("a", "b") as w:
        w.link("a", "b", mtu=options.pop("link_mtu", 1500))
        one, two = w.pair(mtu=mtu, **options)
        for source, target in ((one, two), (two, one)):
            w.ping(source, target, count=20)
            w.ping(source, target, count=20, family=6)
        # Larger than any packet of the tunnel: in fragments.
        w.ping(one, two, count=5, size=min(3 * mtu, 60000), interval=0.1)     # its socket holds few of them
        for address in (two.address, two.address6):
            iperf(one, two, address, "-n", "20M")
            iperf(one, two, address, "-R", "-n", "20M")
            iperf(one, two, address, "-u", "-b", "0", "-n", "10M")
            iperf(two, one, {two.address: one.address, two.address6: one.address6}[address], "-n", "20M")
        for streams in (4, 5, 50):
            iperf(one, two, two.address, "-P", streams, "-t", "1")
        assert one.alive() and two.alive()


def test_01_ping_and_streams():
    basic()


def test_02_large_mtu():
    basic(mtu=34748, link_mtu=34828)


def test_03_outer_ipv6():
    basic(outer=6, mtu=1400)


def test_04_exact_counters():
    """10 pings: the initiator sent 148 + 32 + 10 × 128 = 1460 (or 1428, when no keepalive confirmed), received 92 + 10 × 128 = 1372."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(OURS, OTHER)
        w.ping(one, two, count=10)
        row, other = one.row(two), two.row(one)
        assert row["tx"] in (1428, 1460) and row["rx"] == 1372, row
        assert other["rx"] == row["tx"] and other["tx"] == row["rx"], (row, other)


def test_04_exact_counters_of_a_responder():
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(OTHER, OURS)
        w.ping(one, two, count=10)
        row = two.row(one)
        assert row["rx"] in (1428, 1460) and row["tx"] == 1372, row
        # Padding to 16, and not past the MTU: 1 byte of ping is 29 of IP, 32 with padding, 64 on the wire; 1420 stays 1420.
        before = two.row(one)["tx"]
        w.ping(one, two, size=1)
        assert two.row(one)["tx"] - before == 64
        before = two.row(one)["tx"]
        w.ping(one, two, size=1420 - 28)
        assert two.row(one)["tx"] - before == 1420 + 32
        before = two.row(one)["tx"]
        w.ping(one, two, size=1413 - 28)
        assert two.row(one)["tx"] - before == 1420 + 32, "padded past the MTU, or not at all"


def test_05_latest_handshake():
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        assert one.row(two)["handshake"] == 0
        w.ping(one, two)
        for e, other in ((one, two), (two, one)):
            assert abs(e.row(other)["handshake"] - time.time()) < 5
            assert e.wg("show", e.name, "latest-handshakes").split()[1] != "0"


def test_07_roaming():
    """By the source port, by the address, over both families; the endpoint is what came last."""
    with World("a", "b") as w:
        w.link("a", "b", ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"])
        one, two = w.pair(endpoints=(True, False))
        w.ping(one, two)
        for port in (9999, 5678):
            one.set("listen-port", port)
            w.ping(one, two, count=3)
            assert two.row(one)["endpoint"] == f"192.0.2.1:{port}"
        # The address goes while the session uses it.
        one.place.ip("address del 192.0.2.1/24 dev to_b")
        one.place.ip("address add 192.0.2.3/24 dev to_b")
        if not IS_OURS:
            one.set("peer", b64(two.public), "endpoint", f"192.0.2.2:{two.port}")
        w.ping(one, two, count=3, lost=1)
        assert two.row(one)["endpoint"] == "192.0.2.3:5678"
        one.set("peer", b64(two.public), "endpoint", f"[2001:db8::2]:{two.port}")
        w.ping(one, two, count=3)
        assert two.row(one)["endpoint"] == "[2001:db8::1]:5678"
        w.ping(two, one, count=3)


def test_08_wrong_inner_source_is_dropped_but_roams():
    with World("a", "b") as w:
        w.link("a", "b")
        w["b"].ip("address add 192.0.2.9/24 dev to_a")
        engine = w.engine("a", "wg1").configure(51821).up("10.9.0.1/24")
        peer, victim = w.raw(engine, inner="10.9.0.2"), w.raw(engine, inner="10.9.0.3")
        peer.connect()
        victim.connect()
        assert peer.ping()
        before = engine.row(peer.public)["endpoint"]
        moved = w["b"].udp("192.0.2.9")
        moved.sendto(peer.session.seal(noise.echo("10.9.0.3", "10.9.0.1")), peer.target)
        until(lambda: engine.row(peer.public)["endpoint"].startswith("192.0.2.9:"), 2, "it roams")
        assert before.startswith("192.0.2.2:")
        assert victim.data(0.3) is None, "the packet of another peer's address was taken"
        assert victim.ping(), "the other peer is unharmed"
        if IS_OURS:
            assert engine.counters()["wrong_source"] == 1 and engine.peer_counters(peer.public)["wrong_source"] == 1
            assert "wrong_source" not in engine.peer_counters(victim.public) or engine.peer_counters(victim.public)["wrong_source"] == 0


def test_09_new_private_key_means_a_new_handshake_at_once():
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        w.ping(one, two)
        new = clamp(os.urandom(32))
        one.private, one.public, old = new, noise.public_of(new), one.public
        one.configure()
        two.set("peer", b64(old), "remove")
        two.peer(one.public, "10.9.0.1/32,fd09::1/128", f"192.0.2.1:{one.port}")
        began = time.monotonic()
        w.ping(one, two, wait=3)
        assert time.monotonic() - began < 1.5
        assert two.row(one)["handshake"]


def test_10_wireguard_through_wireguard():
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        inside = []
        for e, other, n in ((one, two, 1), (two, one, 2)):
            i = w.engine(e.place.name, f"in{n}")
            i.configure(52000 + n)
            i.address = f"10.8.0.{n}"
            inside.append(i)
        inside[0].peer(inside[1].public, "10.8.0.2/32", "10.9.0.2:52002").up("10.8.0.1/24", mtu=1360)
        inside[1].peer(inside[0].public, "10.8.0.1/32", "10.9.0.1:52001").up("10.8.0.2/24", mtu=1360)
        w.ping(inside[0], inside[1], count=20, size=1300)
        w.ping(inside[1], inside[0], count=20, family=4)


@timeout(60)
def test_11_routing_loop():
    """The peer's endpoint is routed into the tunnel itself: little is sent, and the engine does not spin."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        w.ping(one, two)
        one.peer(two.public, "0.0.0.0/0")
        one.place.ip("route add 192.0.2.2/32 dev wg1")
        before, cpu = one.row(two)["tx"], used(one)
        one.place.run(["ping", "-n", "-q", "-c", "10", "-i", "0.05", "-W", "1", "10.9.0.2"], check=False)
        time.sleep(2)
        sent = one.row(two)["tx"] - before
        print(f"{sent} bytes")
        assert one.alive() and used(one) - cpu < (1 if IS_OURS else 5), "it spins"
        if IS_OURS:
            assert sent < 70000, f"{sent} bytes in a loop of 10 pings"
            assert one.counters()["looped"] >= 10


def used(engine):
    """Seconds of processor time."""
    fields = open(f"/proc/{engine.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@timeout(60)
def test_12_nat():
    """Behind a masquerade with short memory: the endpoint is what the NAT made of it; a persistent keepalive of 1 s keeps it open."""
    needs("nft")
    with World("inner", "nat", "outer") as w:
        w.link("inner", "nat", ["192.168.1.2/24"], ["192.168.1.1/24"])
        w.link("nat", "outer", ["192.0.2.1/24"], ["192.0.2.2/24"])
        w["inner"].ip("route add default via 192.168.1.1")
        w["nat"].sysctl(net__ipv4__ip_forward=1)
        done = w["nat"].run(["nft", "-f", "-"], input="table ip t { chain p { type nat hook postrouting priority 100; oifname to_outer masquerade random; }; }\n", check=False)
        if done.returncode:
            raise Skip("no NAT in this kernel: " + done.stdout.splitlines()[0])
        w["nat"].sysctl(net__netfilter__nf_conntrack_udp_timeout=2, net__netfilter__nf_conntrack_udp_timeout_stream=2)
        one = w.engine("inner", "wg1").configure(51821)
        two = w.engine("outer", "wg2").configure(51822)
        one.address, two.address = "10.9.0.1", "10.9.0.2"
        one.peer(two.public, "10.9.0.2/32", "192.0.2.2:51822").up("10.9.0.1/24")
        two.peer(one.public, "10.9.0.1/32").up("10.9.0.2/24")
        w.ping(one, two)
        learned = two.row(one)["endpoint"]
        assert learned.startswith("192.0.2.1:") and learned != "192.0.2.1:51821", learned
        time.sleep(3.5)
        w.deaf(two, one)
        one.set("peer", b64(two.public), "persistent-keepalive", 1)
        time.sleep(4)
        w.ping(two, one, count=3)


@timeout(60)
def test_14_onion_loop():
    """An interface whose peer is reached through another, whose peer is reached through the first: nothing hangs."""
    with World("a") as w:
        engines = [w.engine("a", f"wg{n}").configure(51820 + n) for n in (1, 2)]
        engines[0].peer(engines[1].public, "10.8.2.0/24", "10.8.1.7:51822").up("10.8.0.1/32")
        engines[1].peer(engines[0].public, "10.8.1.0/24", "10.8.2.7:51821").up("10.8.0.2/32")
        w["a"].ip("route add 10.8.2.0/24 dev wg1")
        w["a"].ip("route add 10.8.1.0/24 dev wg2")
        w["a"].run(["ping", "-n", "-q", "-c", "20", "-i", "0.05", "-W", "1", "10.8.2.9"], check=False)
        time.sleep(1)
        before = [used(e) for e in engines]
        time.sleep(1)
        for e, seconds in zip(engines, before):
            assert used(e) - seconds < 0.8, "it spins"
            e.wg("show", e.name)


def quick(w, place, action, path, check=True):
    tool = OURS if IS_OURS else OTHER
    return w[place].run(["ip", "netns", "exec", place, "wg-quick", action, path], check=check,
                        env={"WG_QUICK_USERSPACE_IMPLEMENTATION": tool[0]}, timeout=30)


@timeout(60)
def test_15_fwmark_and_wg_quick():
    """A default route through the tunnel by wg-quick: its own packets carry the mark and stay outside; flood pings of both families."""
    needs("wg-quick", "nft")
    if os.path.exists("/sys/module/wireguard"):
        raise Skip("wg-quick takes the kernel's own WireGuard here")
    with World("a", "b") as w:
        w.link("a", "b")
        two = w.engine("b", "wg2").configure(51822)
        private = clamp(os.urandom(32))
        two.peer(noise.public_of(private), "10.9.0.1/32,fd09::1/128").up("10.9.0.2/24", "fd09::2/64", "1.2.3.4/32", "2001:4860::8/128")
        os.makedirs("/run/quick")
        with open(os.open("/run/quick/wgq.conf", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(f"[Interface]\nPrivateKey = {b64(private)}\nAddress = 10.9.0.1/24, fd09::1/64\nPreUp = true\nMTU = 1400\n"
                    f"[Peer]\nPublicKey = {b64(two.public)}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.2:51822\n")
        quick(w, "a", "up", "/run/quick/wgq.conf")
        mark = w["a"].run(["wg", "show", "wgq", "fwmark"]).stdout.strip()
        assert mark != "off"
        for address in ("10.9.0.2", "1.2.3.4"):
            done = w["a"].run(["ping", "-n", "-q", "-f", "-c", "100", "-W", "3", address])
            assert " 0% packet loss" in done.stdout, done.stdout
        done = w["a"].run(["ping", "-n", "-q", "-f", "-c", "100", "-W", "3", "2001:4860::8"])
        assert " 0% packet loss" in done.stdout, done.stdout
        assert "192.0.2.1:" in two.wg("show", "wg2", "endpoints")
        quick(w, "a", "down", "/run/quick/wgq.conf")
        until(lambda: not os.path.exists("/var/run/wireguard/wgq.sock"), 5, "the engine ends with its link")
        assert "wgq" not in w["a"].run(["ip", "link"]).stdout
        assert w["a"].run(["ip", "rule"]).stdout.count("\n") == 3


@timeout(60)
def test_17_sticky_source():
    """Answers come from the address that was asked; when it is gone, from another."""
    with World("a", "b") as w:
        w.link("a", "b", ["192.0.2.1/24", "192.0.2.10/24", "2001:db8::1/64", "2001:db8::10/64"], ["192.0.2.2/24", "2001:db8::2/64"])
        one, two = w.pair(endpoints=(False, True))
        # Two addresses: the answer comes from the second, which is not what the kernel would choose.
        two.set("peer", b64(one.public), "endpoint", f"192.0.2.10:{one.port}")
        w.ping(two, one, count=2)
        assert two.row(one)["endpoint"] == f"192.0.2.10:{one.port}", "answered from another address"
        w.ping(one, two, count=2)
        assert two.row(one)["endpoint"] == f"192.0.2.10:{one.port}"
        two.set("peer", b64(one.public), "endpoint", f"[2001:db8::10]:{one.port}")
        w.ping(two, one, count=2)
        w.ping(one, two, count=2)
        assert two.row(one)["endpoint"] == f"[2001:db8::10]:{one.port}"
        # It goes: the traffic of this side moves to the other address.
        one.place.ip("address del 2001:db8::10/64 dev to_b")
        if IS_OURS:
            w.ping(one, two, count=3, lost=1)
            w.ping(one, two, count=3)
            assert two.row(one)["endpoint"] == f"[2001:db8::1]:{one.port}"
        two.set("peer", b64(one.public), "endpoint", f"192.0.2.10:{one.port}")
        w.ping(two, one, count=2)
        one.place.ip("address del 192.0.2.10/24 dev to_b")
        if IS_OURS:
            w.ping(one, two, count=3, lost=1)
            w.ping(one, two, count=3)
            assert two.row(one)["endpoint"] == f"192.0.2.1:{one.port}"


def test_17_sticky_source_on_another_interface():
    """The address that was asked is on another interface than the one the answer leaves by; then a better route comes."""
    with World("a", "b") as w:
        w.link("a", "b")
        w["a"].ip("address add 203.0.113.7/32 dev lo")
        w["b"].ip("route add 203.0.113.7/32 via 192.0.2.1")
        one, two = w.pair(endpoints=(False, True))
        two.set("peer", b64(one.public), "endpoint", f"203.0.113.7:{one.port}")
        w.ping(two, one, count=2)
        w.ping(one, two, count=2)
        assert two.row(one)["endpoint"] == f"203.0.113.7:{one.port}"
        # A second, better way between the two.
        w.link("a", "b", ["198.51.100.1/24"], ["198.51.100.2/24"], names=("second_a", "second_b"))
        w["a"].ip("route add 192.0.2.2/32 via 198.51.100.2 src 198.51.100.1")
        w["b"].ip("route replace 203.0.113.7/32 via 198.51.100.1")
        w.ping(one, two, count=3, lost=1)
        w.ping(one, two, count=3)
        w.ping(two, one, count=3)


def test_18_130560_allowed_ips():
    """The kernel's test: i.j.k.0/32 of 255 × 256 × 2 rows in one setconf, shown whole; then other shapes; memory comes back."""
    with World("a") as w:
        e = w.engine("a", "wg1")
        key = b64(os.urandom(32))
        text = f"[Interface]\nPrivateKey={b64(e.private)}\n[Peer]\nPublicKey={key}\n"
        text += "".join(f"AllowedIPs={a}.{b}.{c}.0/{mask}\n" for a in range(1, 3) for b in range(0, 255) for c in range(0, 256) for mask in (32,))
        with open("/run/many.conf", "w") as f:
            f.write(text)
        began = time.monotonic()
        e.wg("setconf", "wg1", "/run/many.conf", timeout=60)
        middle = time.monotonic()
        shown = e.wg("show", "wg1", "allowed-ips", timeout=60).split()[1:]
        print(f"{len(shown)} set in {middle - began:.2f} s, shown in {time.monotonic() - middle:.2f} s")
        assert len(shown) == 2 * 255 * 256 == 130560
        assert len(set(shown)) == 130560
        many = e.memory()
        rows = []
        for peer in range(40):
            rows.append(f"[Peer]\nPublicKey={b64(os.urandom(32))}\n" + "".join(f"AllowedIPs=10.{peer}.{i}.0/24\n" for i in range(52)))
        for peer in range(29):
            rows.append(f"[Peer]\nPublicKey={b64(os.urandom(32))}\n")
        with open("/run/many.conf", "w") as f:
            f.write(f"[Interface]\nPrivateKey={b64(e.private)}\n" + "".join(rows))
        e.wg("setconf", "wg1", "/run/many.conf")
        lines = e.wg("show", "wg1", "allowed-ips").splitlines()
        assert len(lines) == 69
        assert sorted(len(line.split()) - 1 for line in lines if "(none)" not in line) == [52] * 40
        with open("/run/many.conf", "w") as f:
            f.write(f"[Interface]\nPrivateKey={b64(e.private)}\n[Peer]\nPublicKey={key}\n" + "".join(f"AllowedIPs=2001:db8:{i:x}::/{64 - i % 17}\n" for i in range(197)))
        e.wg("setconf", "wg1", "/run/many.conf")
        assert len(e.wg("show", "wg1", "allowed-ips").split()) == 198
        if IS_OURS:
            e.set("peer", key, "remove")
            print(f"{many} KB with 130,560 rows")
            until(lambda: SANITIZED or e.memory() < many - 10000, 4, "rows that are gone give their memory back")


def test_19_minus_removes_an_allowed_ip():
    """allowed_ip=-ip/cidr over UAPI (wg of 2025 sends it): 388 of 394 are left."""
    only_ours()
    with World("a") as w:
        e = w.engine("a", "wg1").configure()
        key = os.urandom(32)
        rows = [f"192.168.{i}.0/24" for i in range(197)] + [f"fd00:{i:x}::/32" for i in range(197)]
        e.peer(key, ",".join(rows))
        gone = rows[:3] + rows[-3:]
        text = e.uapi(f"set=1\npublic_key={key.hex()}\nupdate_only=true\n" + "".join(f"allowed_ip=-{r}\n" for r in gone) + "\n")
        assert text == "errno=0\n\n", text
        left = e.row(key)["allowed"]
        assert len(left) == 388 and not set(left) & set(gone)
        # Not there, or another peer's: nothing happens.
        other = os.urandom(32)
        e.peer(other, "10.0.0.0/8")
        e.uapi(f"set=1\npublic_key={key.hex()}\nallowed_ip=-10.0.0.0/8\nallowed_ip=-1.2.3.4/32\n\n")
        assert e.row(other)["allowed"] == ["10.0.0.0/8"] and len(e.row(key)["allowed"]) == 388


def test_20_show_of_nothing_fails():
    with World("a") as w:
        e = w.engine("a", "wg1")
        assert e.place.run(["wg", "show", "doesnotexist"], check=False).returncode
        assert e.wg("show", "interfaces").split() == ["wg1"]
        assert "interface: wg1" in e.wg("show")


def test_21_keys_set_read_and_removed():
    with World("a") as w:
        e = w.engine("a", "wg1")

        def private():
            return e.wg("show", "wg1", "private-key").strip()
        assert private() == "(none)"
        # Not clamped as given, clamped as read: "/" comes back as "+" before the "=".
        e.set("private-key", "/dev/stdin", input="/" * 42 + "8=\n")
        if IS_OURS:
            assert base64.b64decode(private()) == clamp(base64.b64decode("/" * 42 + "8="))
        e.configure()
        assert private() == b64(e.private) and e.wg("show", "wg1", "public-key").strip() == b64(e.public)
        other = os.urandom(32)
        secret = os.urandom(32)
        e.peer(other, "10.0.0.0/8", psk=secret)
        assert e.row(other)["psk"] == b64(secret)
        e.set("peer", b64(other), "preshared-key", "/dev/null")
        assert e.row(other)["psk"] == "(none)"
        # This node's own public key: ignored.
        e.set("peer", b64(e.public), "allowed-ips", "10.1.0.0/16")
        assert list(e.dump()) == [other]
        # Becoming one's own peer: that peer goes.
        new = clamp(os.urandom(32))
        e.peer(noise.public_of(new), "10.2.0.0/16")
        assert len(e.dump()) == 2
        e.set("private-key", "/dev/stdin", input=b64(new) + "\n")
        assert list(e.dump()) == [other]
        e.set("private-key", "/dev/null")
        assert private() == "(none)"
        e.set("peer", b64(other), "remove")
        assert not e.dump()


def test_22_overlapping_allowed_ips():
    """The most exact row wins; a row given to another peer leaves the first; what is left is shown."""
    with World("a", "b") as w:
        w.link("a", "b")
        e = w.engine("a", "wg1").configure().up("10.9.0.1/32")
        one, two, three = (os.urandom(32) for _ in range(3))
        e.peer(one, "10.0.0.0/8,192.168.4.0/24")
        e.peer(two, "10.1.0.0/16,fd00::/8")
        e.peer(three, "10.1.2.3/32")
        assert e.row(one)["allowed"] == ["10.0.0.0/8", "192.168.4.0/24"]
        e.peer(two, "10.0.0.0/8")
        assert e.row(one)["allowed"] == ["192.168.4.0/24"] and e.row(two)["allowed"] == ["10.0.0.0/8"]
        # Host bits are cut off, and so the same row again.
        e.peer(three, "10.77.1.1/8,192.168.4.9/24")
        assert e.row(two)["allowed"] == [] and e.row(one)["allowed"] == []
        assert sorted(e.row(three)["allowed"]) == ["10.0.0.0/8", "192.168.4.0/24"]
        # Against a slow model, at random.
        random.seed(4)
        peers = [os.urandom(32) for _ in range(8)]
        e.set("peer", b64(one), "remove", "peer", b64(two), "remove", "peer", b64(three), "remove")
        owner = {}
        text = ["set=1"]
        for _ in range(600):
            p, mask = random.choice(peers), random.randrange(0, 33)
            address = random.getrandbits(32) & (0xffffffff << (32 - mask)) & 0xffffffff & 0x0f0f0000
            address &= (0xffffffff << (32 - mask)) & 0xffffffff
            row = ".".join(str(b) for b in address.to_bytes(4, "big")) + f"/{mask}"
            owner[row] = p
            text += [f"public_key={p.hex()}", f"allowed_ip={row}"]
        assert e.uapi("\n".join(text) + "\n\n") == "errno=0\n\n"
        dump = e.dump()
        for p in peers:
            assert sorted(dump[p]["allowed"] if p in dump else []) == sorted(r for r, o in owner.items() if o == p)


def test_23_low_order_public_keys():
    """Accepted as rows, shown, and never a packet is sent to them."""
    with World("a", "b") as w:
        w.link("a", "b")
        e = w.engine("a", "wg1").configure().up("10.9.0.1/24")
        capture = Capture(w["b"], "to_a", 51900)
        for n, key in enumerate(noise.LOW_ORDER):
            e.peer(key, f"10.9.0.{10 + n}/32", "192.0.2.2:51900", keepalive=1)
            w["a"].run(["ping", "-n", "-q", "-c", "1", "-W", "0.2", f"10.9.0.{10 + n}"], check=False)
        # All of them, or the all-zero key is nobody, as for wg itself.
        assert len(e.dump()) >= len(noise.LOW_ORDER) - 1
        time.sleep(1.2)
        assert not capture.end(), "something was sent to a low-order key"
        assert all(row["tx"] == 0 for row in e.dump().values())
        assert e.alive()
