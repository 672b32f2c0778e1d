"""A bad peer: every kind of wrong datagram, and after each kind the same four questions.

The engine lives, an established session still answers, memory did not grow, and less went out than came in. What it counted says what it dropped.
"""
import contextlib
import os
import random
import socket
import struct
import time

import noise
from noise import COOKIE, DATA, INITIATION, LOW_ORDER, RESPONSE
from run import alone, timeout
from world import IS_OURS, SANITIZED, Capture, World, b64, until

UDP_SEGMENT = 103


class Victim:
    """An engine with one good peer that has a session, and all that left towards the bad place "b"."""

    def __init__(self, w):
        self.w = w
        w.link("a", "b")
        w.link("a", "good", ["198.51.100.1/24"], ["198.51.100.2/24"])
        self.engine = w.engine("a", "wg1").configure(51821).up("10.9.0.1/24")
        self.good = w.raw(self.engine, "good", "198.51.100.2", "10.9.0.250", target="198.51.100.1")
        self.good.connect()
        assert self.good.ping()

    def bad(self, inner="10.9.0.2", **more):
        return self.w.raw(self.engine, "b", "192.0.2.2", inner, **more)

    @contextlib.contextmanager
    def unharmed(self, grown=6000, answers=(), quiet=True, **counted):
        """What happens inside does no harm. answers: the types that may come back; counted: counters and how much each must go up at least."""
        before, counters = self.engine.memory(), self.engine.counters() if IS_OURS else {}
        sent = Capture(self.w["b"], "to_a", self.engine.port)
        yield
        time.sleep(0.1)
        assert self.engine.alive(), "the engine ended"
        assert self.good.ping(), "the established session does not answer"
        grew = self.engine.memory() - before
        if IS_OURS:
            assert grew < grown, f"{grew} KB more memory"
        packets = sent.end()
        coming, going = sum(len(p[2]) for p in packets if p[0]), sum(len(p[2]) for p in packets if not p[0])
        kinds = {p[2][0] for p in packets if not p[0] and p[2]}
        if quiet:
            assert going <= coming, f"{coming} bytes came, {going} went out"
            assert kinds <= set(answers), f"answered with types {kinds}"
        if IS_OURS and counted:
            now = self.engine.counters()
            for name, least in counted.items():
                most = None
                if isinstance(least, tuple):
                    least, most = least
                change = now[name] - counters[name]
                assert change >= least and (most is None or change <= most), f"{name}: {change} counted, not {least}; all: {now}"


def gently(send, messages, pause=64):
    """At a rate that nobody takes for load."""
    for i, m in enumerate(messages):
        send(m)
        if i % pause == pause - 1:
            time.sleep(0.01)


def samples(bad):
    """One right message of each type that the engine could be sent by this peer."""
    initiation = bad.party.initiation()
    return {INITIATION: initiation,
            RESPONSE: bad.party.macs(struct.pack("<III", RESPONSE, 1, 2) + os.urandom(48)),
            COOKIE: bad.party.cookie_reply(initiation),
            DATA: bad.session.seal(noise.echo(bad.inner, "10.9.0.1"))}


def fixed(party, message, bit, macs):
    """One bit turned; macs: the last step of the forger, mac1 made right again."""
    changed = bytearray(message)
    changed[bit // 8] ^= 1 << bit % 8
    if macs:
        changed = bytearray(party.macs(bytes(changed[:-32])))
    return bytes(changed)


def test_truncated_at_every_length():
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        all_samples = samples(bad)
        short = sum(min(len(m), 32 if t == DATA else len(m)) for t, m in all_samples.items())
        with v.unharmed(malformed=(short, short), bad_data=len(all_samples[DATA]) - 32):
            for kind, message in all_samples.items():
                gently(bad.send, [message[:n] for n in range(len(message))])
        bad.send(all_samples[DATA])
        assert bad.data(), "the whole one is good after all its parts"


def test_oversized():
    """Right messages with a tail, to the largest datagram there is."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        lengths = [1, 2, 15, 16, 17, 31, 32, 500, 1400, 2000, 9000, 30000, 65000]
        with v.unharmed(malformed=2 * len(lengths), bad_data=len(lengths) - 2):
            for kind, message in samples(bad).items():
                for extra in lengths + [65507 - len(message), 65506 - len(message)]:
                    bad.send(message + os.urandom(extra))
                    time.sleep(0.001)
        # The largest that is right: a packet larger than the MTU is for the TUN to say.
        with v.unharmed(quiet=False):
            bad.send(bad.session.seal(noise.echo(bad.inner, "10.9.0.1", size=65400)))
        assert bad.ping()


def test_initiation_every_bit():
    """Each bit of a right initiation turned, with mac1 as it was and made right again: never a response."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        time.sleep(0.05)                 # not so soon that it counts as a flood
        message = bad.party.initiation()
        bad.send(message)
        assert bad.receive(RESPONSE)
        handshake = v.engine.row(bad.public)["handshake"]
        with v.unharmed(answers=(COOKIE,), bad_mac1=(116 - 4 + 16) * 8, malformed=(32, 32)):
            gently(bad.send, [fixed(bad.party, message, bit, False) for bit in range(148 * 8)])
        with v.unharmed(answers=(COOKIE,), bad_initiation=1):
            gently(bad.send, [fixed(bad.party, message, bit, True) for bit in range(116 * 8)], 16)
        assert v.engine.row(bad.public)["handshake"] in (handshake, handshake + 1)
        time.sleep(1.1)
        bad.connect()
        assert bad.ping()


def test_response_every_bit():
    """The engine waits for a response and gets each wrong one first: the right one still counts."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad(endpoint=True)
        v.engine.set("peer", b64(bad.public), "persistent-keepalive", 25)
        initiation = bad.receive(INITIATION)
        message, session = bad.party.answer(initiation)
        with v.unharmed(answers=(COOKIE,), bad_mac1=1):
            # mac2 is not looked at without load, so turned bits in it are a right response.
            gently(bad.send, [fixed(bad.party, message, bit, False) for bit in range(76 * 8)])
            # And the sender's index is the sender's own affair.
            gently(bad.send, [fixed(bad.party, message, bit, True) for bit in range(60 * 8) if bit // 8 not in range(4, 8)], 16)
            assert bad.receive(DATA, 0.2) is None
        bad.send(message)
        bad.session = session
        assert bad.receive(DATA), "the right response was not taken after the wrong ones"
        assert bad.ping()


def test_data_every_bit():
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        message = bad.session.seal(noise.echo(bad.inner, "10.9.0.1"))
        with v.unharmed(malformed=24, unknown_index=32, bad_data=64):
            gently(bad.send, [fixed(bad.party, message, bit, False) for bit in range(len(message) * 8)])
            assert bad.data(0.2) is None
        bad.send(message)
        assert bad.data(), "the right one was not taken after the wrong ones"


def test_replayed():
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        initiation = bad.party.initiation()
        bad.send(initiation)
        bad.session = bad.party.response(bad.receive(RESPONSE))
        bad.send(bad.session.seal(b""))
        assert bad.ping()
        with v.unharmed(answers=(COOKIE,), replayed_timestamp=1):
            for _ in range(60):
                bad.send(initiation)
                time.sleep(0.021)
        data = bad.session.seal(noise.echo(bad.inner, "10.9.0.1"))
        with v.unharmed(quiet=False, replayed_data=(99, 99)):
            gently(bad.send, [data] * 100)
            assert bad.data(0.5) and bad.data(0.3) is None, "a packet was taken twice"
        assert bad.ping(), "a replayed handshake took the session away"


def test_reordered():
    """8,000 packets in any order are each taken once; then none of them again; far behind the newest none is taken."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        # ICMP echo replies that nobody waits for go to the kernel, which counts them.
        numbers = list(range(10, 7810))
        random.Random(3).shuffle(numbers)
        messages = [bad.session.seal(noise.udp4(bad.inner, "10.9.0.1", 9, 9, b"x"), n) for n in numbers]
        sink = w["a"].udp("10.9.0.1", 9)
        sink.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        with v.unharmed(quiet=False, replayed_data=7800):
            gently(bad.send, messages, 32)
            assert until(lambda: taken(sink, 7800), 3, "all are taken")
            gently(bad.send, messages, 32)
        bad.session.counter = 100000
        assert bad.ping()
        bad.send(bad.session.seal(noise.echo(bad.inner, "10.9.0.1"), 100000 - 8300))
        assert bad.data(0.3) is None, "older than the window"
        assert bad.ping()


SEEN = {}


def taken(sink, wanted):
    sink.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sink.recv(100)
            SEEN[sink] = SEEN.get(sink, 0) + 1
    assert SEEN.get(sink, 0) <= wanted, "packets were taken twice"
    return SEEN.get(sink, 0) == wanted


def test_low_order_points():
    """As ephemeral keys of initiations and of responses, the rest made to fit: refused, or all the world could read."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad(endpoint=True)
        with v.unharmed(answers=(COOKIE,), bad_initiation=len(LOW_ORDER)):
            for point in LOW_ORDER:
                bad.send(bad.party.initiation(ephemeral_public=point))
                assert bad.receive(RESPONSE, 0.15) is None, f"answered {point.hex()}"
        v.engine.set("peer", b64(bad.public), "persistent-keepalive", 25)
        initiation = bad.receive(INITIATION)
        with v.unharmed(quiet=IS_OURS, answers=(COOKIE,), bad_response=len(LOW_ORDER)):
            for point in LOW_ORDER:
                message, _ = bad.party.answer(initiation, ephemeral_public=point)
                bad.send(message)
                # wireguard-go of 2022 takes them, so that anyone could be the responder.
                assert bad.receive(DATA, 0.15) is None or not IS_OURS, f"took {point.hex()}"
        if IS_OURS:
            message, bad.session = bad.party.answer(initiation)
            bad.send(message)
            assert bad.receive(DATA)
            assert bad.ping()


def spoof(place, source, target, port_from, port_to, payload, sockets={}):
    """A UDP datagram of anybody's address."""
    if place not in sockets:
        sockets[place] = place.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sockets[place].sendto(noise.udp4(source, target, port_from, port_to, payload), (target, 0))


def test_spoofed_sources():
    """Replays, forgeries and floods that say they come from the good peer, or from everywhere: its endpoint stays, its session lives."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        w["a"].sysctl(net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__to_b__rp_filter=0)
        bad = v.bad()
        bad.connect()
        mine = v.engine.row(bad.public)["endpoint"]
        his = v.engine.row(v.good.public)["endpoint"]
        captured = bad.session.seal(noise.echo(bad.inner, "10.9.0.1"))
        bad.send(captured)
        assert bad.data()
        with v.unharmed(quiet=False, replayed_data=200, bad_data=200, bad_mac1=200):
            for i in range(200):
                source = f"203.0.{i % 7}.{i + 1}"
                for payload in (captured, captured[:-1] + b"!", bad.party.macs(bytes([1, 0, 0, 0]) + os.urandom(112), False)):
                    spoof(w["b"], source, "192.0.2.1", 1000 + i, 51821, payload)
                spoof(w["b"], "198.51.100.2", "192.0.2.1", int(his.split(":")[1]), 51821, struct.pack("<IIQ", 4, v.good.session.remote, i) + os.urandom(48))
                if i % 16 == 0:
                    time.sleep(0.01)
        assert v.engine.row(bad.public)["endpoint"] == mine and v.engine.row(v.good.public)["endpoint"] == his, "an endpoint moved"
        assert bad.ping()


def test_garbage():
    """Anything: random bytes, random heads, right heads with random rests."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        rnd = random.Random(5)
        messages = []
        for i in range(6000):
            body = rnd.randbytes(rnd.choice([0, 1, 3, 4, 15, 16, 31, 32, 33, 64, 92, 148, rnd.randrange(1500)]))
            head = struct.pack("<II", rnd.choice([0, 1, 2, 3, 4, 5, 255]), rnd.choice([bad.session.remote, v.good.session.remote, 0, 2 ** 32 - 1]))
            messages.append((head + body[8:]) if i % 3 and len(body) >= 8 else body)
        with v.unharmed(malformed=100, bad_mac1=1, unknown_index=1, bad_data=1):
            gently(bad.send, messages)
        assert bad.ping()


def test_sealed_garbage():
    """A peer with a session who sends what is no packet: dropped, counted, and the session goes on."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad(extra=",fd09::2/128")
        bad.connect()
        v4 = noise.echo(bad.inner, "10.9.0.1")
        v6 = bytes([0x60, 0, 0, 0, 0, 8, 17, 64]) + bytes.fromhex("fd090000000000000000000000000002") + bytes.fromhex("fd090000000000000000000000000001") + bytes(8)
        wrong = [bytes([n << 4]) + os.urandom(63) for n in range(16) if n not in (4, 6)]
        wrong += [v4[:n] for n in range(1, 20)] + [v6[:n] for n in range(1, 40)]
        wrong += [v4[:2] + struct.pack(">H", n) + v4[4:] for n in (0, 1, 19, 200, 65535)]         # total length
        wrong += [v6[:4] + struct.pack(">H", n) + v6[6:] for n in (500, 65535)]
        with v.unharmed(quiet=False, bad_packet=len(wrong) // 2):
            gently(bad.send, [bad.session.seal(p, pad=False) for p in wrong])
            gently(bad.send, [bad.session.seal(p) for p in wrong])
            # IP's own faults are the kernel's to find: header length, options, fragments, checksums.
            odd = [bytes([0x40 | n]) + v4[1:] for n in range(16)] + [v4[:6] + struct.pack(">H", f) + v4[8:] for f in (0x2000, 0x3fff, 0x1fff, 0x8000)]
            odd += [v4[:9] + bytes([n]) + v4[10:] for n in range(0, 256, 5)]
            gently(bad.send, [bad.session.seal(p, pad=False) for p in odd])
            # TCP and UDP too short for their headers, with lengths that lie: what coalescing reads.
            for protocol in (6, 17):
                for n in range(0, 24):
                    gently(bad.send, [bad.session.seal(noise.ipv4(bad.inner, "10.9.0.1", protocol, b"\xff" * n))] * 2)
                    gently(bad.send, [bad.session.seal(v6[:4] + struct.pack(">H", n) + bytes([protocol]) + v6[7:40] + b"\xff" * n)] * 2)
        bad.drain()
        assert bad.ping()


def test_trains_with_bad_members():
    """UDP_SEGMENT trains that reach the engine as one: of any segment size, with forged, short and strange ones among the good."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()

        def train(messages, size):
            control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))]
            try:
                bad.socket.sendmsg([b"".join(messages)], control, 0, bad.target)
            except OSError:
                pass                     # a train that this kernel does not send is no test

        sink = w["a"].udp("10.9.0.1", 9)
        with v.unharmed(quiet=False):
            good = 0
            for kind in range(60):
                messages = [bad.session.seal(noise.udp4(bad.inner, "10.9.0.1", 9, 9, bytes([kind]) * (10 * kind + 4))) for _ in range(20)]
                if kind % 3 == 1:
                    messages[7] = messages[7][:-1] + bytes([messages[7][-1] ^ 1])
                if kind % 3 == 2:
                    messages[19] = messages[19][:-5]
                train(messages, len(messages[0]))
                good += 20 - bool(kind % 3)
                time.sleep(0.002)
            until(lambda: taken(sink, good), 3, f"{good} good ones among the bad")
            for size in (1, 2, 3, 7, 15, 16, 31, 33, 60, 100, 1000, 1472):
                train([os.urandom(1 + size * 40)], size)
                train([samples(bad)[INITIATION]] * 3, size)
                train([samples(bad)[DATA]] * 30, size)
        bad.drain()
        assert bad.ping()


def test_strangers():
    """Initiations of 300 keys that have no row: none is answered, the engine can say who knocked, and the list is bounded."""
    with World("a", "b", "good") as w:
        v = Victim(w)
        first = v.bad(stranger=True)
        with v.unharmed(answers=(COOKIE,), unknown_initiator=1):
            first.send(first.party.initiation())
            assert first.receive(RESPONSE, 0.3) is None
            if IS_OURS:
                assert v.engine.strangers() == [first.public.hex()]
        many = [noise.Party(v.engine.public).initiation() for _ in range(300)]
        with v.unharmed(answers=(COOKIE,), unknown_initiator=30):
            gently(first.send, many, 4)
        if IS_OURS:
            assert 1 <= len(v.engine.strangers()) <= 32
        # One who knew our public key only may claim another's key; without the private one nothing comes of it.
        with v.unharmed(answers=(COOKIE,), bad_initiation=1):
            first.send(first.party.initiation(static=v.good.public))
            assert first.receive(RESPONSE, 0.3) is None


@timeout(60)
@alone
def test_floods():
    """Five seconds of everything as fast as it goes: established traffic goes on, memory stays, and less goes out than comes in."""
    import multiprocessing
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad()
        bad.connect()
        party = noise.Party(v.engine.public)
        pool = [party.initiation() for _ in range(64)] + [os.urandom(n) for n in (1, 31, 64, 92, 148, 1400)]
        pool += [struct.pack("<IIQ", 4, bad.session.remote, n) + os.urandom(64) for n in range(20)]
        pool += [struct.pack("<II", 2, 7) + os.urandom(84), struct.pack("<II", 3, 7) + os.urandom(56)]

        def work():
            end = time.monotonic() + 4
            while time.monotonic() < end:
                for m in pool:
                    try:
                        bad.socket.sendto(m, bad.target)
                    except OSError:
                        pass
        before = v.engine.memory()
        process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        process.start()
        time.sleep(0.5)
        answered = sum(v.good.ping(seconds=0.25) for _ in range(12))
        process.join(20)
        time.sleep(0.5)
        assert v.engine.alive()
        print(f"{answered} of 12 pings answered in the flood; memory {before} -> {v.engine.memory()} KB")
        assert answered >= (9 if IS_OURS and not SANITIZED else 0), f"{answered} of 12 pings answered in the flood"
        assert until(v.good.ping, 4, "the established session answers after it")
        if IS_OURS:
            assert v.engine.memory() - before < 12000, f"memory grew from {before} to {v.engine.memory()} KB"
            counters = v.engine.counters()
            assert counters["bad_data"] and counters["unknown_initiator"] + counters["handshake_limited"] + counters["cookies_sent"]


def test_cookie_replies_that_nobody_asked_for():
    with World("a", "b", "good") as w:
        v = Victim(w)
        bad = v.bad(endpoint=True)
        bad.connect()
        forged = bad.party.cookie_reply(bad.party.initiation())
        with v.unharmed(bad_cookie=50):
            gently(bad.send, [forged] * 50)
        assert bad.ping()
