"""The engine beside another one (wireguard-go; in the guest the kernel's), each feature with either as the one who begins."""
import os
import re
import subprocess
import time

import noise
from run import Skip, alone, timeout
from world import OTHER, OURS, SLOW, Capture, Pinger, World, b64, needs, until

FIRST = {"ours": (OURS, OTHER), "theirs": (OTHER, OURS)}
MAKE = []


def both_roles(f):
    """Two tests: with our engine as the initiator, and as the responder."""
    for role in FIRST:
        def test(role=role):
            f(*FIRST[role])
        test.__name__ = f"test_{f.__name__}_{role}_first"
        test.__doc__ = f.__doc__
        for mark in ("timeout", "alone"):
            if hasattr(f, mark):
                setattr(test, mark, getattr(f, mark))
        globals()[test.__name__] = test
    return f


@both_roles
def ping(first, second):
    """IPv4 and IPv6 inside, all sizes around the padding, over IPv4; the second one knows no endpoint."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, endpoints=(True, False))
        w.ping(one, two)
        for size in list(range(0, 35)) + [1391, 1392, 1393, 4000]:
            w.ping(one, two, size=size)
        w.ping(one, two, family=6, count=20, size=1300)
        w.ping(two, one, count=20)
        w.ping(two, one, family=6, count=20)
        assert one.row(two)["handshake"] and two.row(one)["handshake"]
        assert two.row(one)["endpoint"] == f"192.0.2.1:{one.port}"


@both_roles
def outer_ipv6(first, second):
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, outer=6, endpoints=(True, False), mtu=1400)
        w.ping(one, two, count=20, size=1372)
        w.ping(two, one, count=20, family=6, size=1352)
        assert two.row(one)["endpoint"] == f"[2001:db8::1]:{one.port}"


@both_roles
def psk(first, second):
    """The same preshared key: traffic. Another one: none. Right again: traffic."""
    with World("a", "b") as w:
        w.link("a", "b")
        secret = os.urandom(32)
        one, two = w.pair(first, second, psk=secret, endpoints=(True, False))
        assert one.row(two)["psk"] == b64(secret)
        one.set("peer", b64(two.public), "preshared-key", "/dev/stdin", input=b64(os.urandom(32)) + "\n")
        w.deaf(one, two)
        assert not one.row(two)["handshake"]
        one.set("peer", b64(two.public), "preshared-key", "/dev/stdin", input=b64(secret) + "\n")
        w.ping(one, two, count=3, wait=7)


@both_roles
def roaming(first, second):
    """The first one's port, then its address, then its family change; the other follows by authenticated data alone."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, endpoints=(True, False))
        w.ping(one, two, count=2)
        one.set("listen-port", 3333)
        w.ping(one, two, count=2)
        assert two.row(one)["endpoint"] == "192.0.2.1:3333"
        one.place.ip("address del 192.0.2.1/24 dev to_b")
        one.place.ip("address add 192.0.2.77/24 dev to_b")
        if one.engine == ["wireguard-go"]:
            # It keeps the lost source address for ever where the kernel says ENETUNREACH about it.
            one.set("peer", b64(two.public), "endpoint", f"192.0.2.2:{two.port}")
        w.ping(one, two, count=2, lost=1)
        w.ping(one, two, count=2)
        assert two.row(one)["endpoint"] == "192.0.2.77:3333"
        one.set("peer", b64(two.public), "endpoint", f"[2001:db8::2]:{two.port}")
        w.ping(one, two, count=2)
        w.ping(two, one, count=2)
        assert two.row(one)["endpoint"] == "[2001:db8::1]:3333"


@both_roles
def tcp(first, second):
    """Streams both ways at once, one and many, with what the engine coalesces and segments: iperf3 says that it got through."""
    needs("iperf3")
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second)
        w.ping(one, two)
        for address in (two.address, two.address6):
            iperf(one, two, address, "-P", "4", "-t", "1")
            iperf(one, two, address, "-R", "-t", "1")
        iperf(one, two, two.address, "-u", "-b", "200M", "-l", "1300", "-t", "1")


def iperf(one, two, address, *options):
    server = two.place.popen(["iperf3", "-s", "-1", "-B", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: "5201" in two.place.run(["ss", "-Hltn"]).stdout, 5, "iperf3 listens")
    done = one.place.run(["iperf3", "-c", address, "-J", *map(str, options)], timeout=20)
    server.wait(10)
    rates = [float(n) for n in re.findall(r'"sum(?:_received)?":\s*{[^}]*"bits_per_second":\s*([0-9.e+]+)', done.stdout)]
    assert rates and rates[-1] > 5e6 / SLOW ** 2, f"{address} {options}: {rates}"
    return rates[-1]


@both_roles
def restart(first, second):
    """The one that answered comes back with nothing but its keys: the one that began notices by itself and traffic goes on."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second)
        w.ping(one, two, count=2)
        two.stop()
        until(lambda: two.kernel or not os.path.exists(two.socket_path), 5, "it ended")
        two.start()
        two.configure(51822).peer(one.public, "10.9.0.1/32,fd09::1/128", f"192.0.2.1:{one.port}").up("10.9.0.2/24", "fd09::2/64")
        # It begins itself: the other takes its handshake although it still holds a session.
        w.ping(two, one, count=2)
        w.ping(one, two, count=2)


def keepalives(first, second):
    """A ping and then silence: at most one passive keepalive each way, and none that answers a keepalive."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, endpoints=(True, False))
        capture = Capture(one.place, "to_b")
        w.ping(one, two)
        # Unanswered data: the receiver owes one keepalive, 10 s later.
        two.place.run(["nft", "-f", "-"], input="table inet t { chain o { type filter hook output priority 0; icmp type echo-reply drop; }; }\n")
        w.deaf(one, two)
        time.sleep(23)
        packets = [p for p in capture.end() if p[2][:1] == b"\4"]
        silent = [p for p in packets if len(p[2]) == 32]
        from_two = [p for p in silent if not p[0]]
        from_one = [p for p in silent if p[0]]
        assert len(from_two) == 1, f"{len(from_two)} keepalives for data"
        assert len(from_one) <= 1, f"{len(from_one)} keepalives that answer keepalives"
        assert capture.kinds().get(1, 0) <= 1, "a new handshake although nothing was lost"


keepalives_ = both_roles(timeout(60)(keepalives))


@both_roles
def persistent_keepalive(first, second):
    """Setting it on an idle tunnel begins a handshake at once; then one packet a second."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, endpoints=(True, False))
        capture = Capture(one.place, "to_b")
        one.set("peer", b64(two.public), "persistent-keepalive", 1)
        until(lambda: one.row(two)["handshake"], 1.5, "a handshake at once")
        time.sleep(3.2)
        capture.end()
        sent = len([p for p in capture.packets if p[0] and len(p[2]) == 32])
        assert 3 <= sent <= 6, f"{sent} keepalives in 3.2 s"
        assert not [p for p in capture.packets if not p[0] and p[2][:1] == b"\4"], "keepalives were answered"


def flood(engine, attacker, seconds, ports=64, source="198.51.100.2", target="198.51.100.1"):
    """Initiations with a right mac1 by nobody, many and from many ports, until told to end."""
    import multiprocessing
    party = noise.Party(engine.public)
    messages = [party.initiation() for _ in range(50)]
    target = (target, engine.port)

    def work():
        sockets = [attacker.udp(source) for _ in range(ports)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for s in sockets:
                for m in messages:
                    try:
                        s.sendto(m, target)
                    except OSError:
                        pass
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    return process


@both_roles
@alone
def cookie_under_load(first, second):
    """A flood of initiations at the first one: it answers with cookies, and the second still comes in, with the cookie it was given."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(first, second, endpoints=(False, True))
        w.link("a", "c", ["198.51.100.1/24"], ["198.51.100.2/24"])
        two.set("peer", b64(one.public), "remove")
        capture = Capture(two.place, "to_a", two.port)
        process = flood(one, w["c"], 14)
        time.sleep(1)
        two.peer(one.public, "10.9.0.1/32", f"192.0.2.1:{one.port}", keepalive=1)
        try:
            until(lambda: two.row(one)["handshake"], 12, "a handshake under load")
        finally:
            process.terminate()
            process.join()
        capture.end()
        with_mac2 = [p for p in capture.packets if p[0] and p[2][:1] == b"\1" and p[2][132:] != bytes(16)]
        cookies = capture.kinds(outgoing=False).get(3, 0)
        if cookies:
            assert with_mac2, "a cookie came, and no initiation carried it"
        print(f"{cookies} cookies to the second one; {len(with_mac2)} initiations with mac2")
        assert one.alive() and two.alive()
        # What still waits in the sockets of the flooded one is not the question.
        w.ping(two, one, count=30, interval=0.1, lost=29)
        w.ping(two, one, count=10)


@timeout(200)
@alone
def rekey(role):
    """135 s of pings every 10 ms beside one of 1 ms bursts: two sessions at least, and not one packet lost."""
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(*FIRST[role], endpoints=(True, False))
        w.ping(one, two)
        capture = Capture(one.place, "to_b")
        pingers = [Pinger(one.place, two.address), Pinger(two.place, one.address), Pinger(one.place, two.address6, 0.02)]
        first_handshake = one.row(two)["handshake"]
        time.sleep(int(os.environ.get("REKEY_SECONDS", "132")))
        ends = [p.end() for p in pingers]
        capture.end()
        assert all(lost == 0 for _, lost in ends), f"(sent, lost): {ends}"
        assert one.row(two)["handshake"] > first_handshake + 100, "no new handshake after 120 s"
        kinds = capture.kinds()
        assert kinds.get(1) == 1 and kinds.get(2) == 1, f"one handshake in this time, not {kinds}"
        assert capture.packets and [p for p in capture.packets if p[2][:1] == b"\1"][0][0], "the initiator renews, not the responder"


# Minutes each: not in `make check` but in `make check-engine` (INTEROP_LONG=1).
if os.environ.get("INTEROP_LONG"):
    for _role in FIRST:
        def _rekey(role=_role):
            rekey(role)
        _rekey.timeout = 200
        globals()[f"test_rekey_under_traffic_{_role}_first"] = _rekey
