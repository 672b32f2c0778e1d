"""Rules of the protocol that a peer can see from outside, against the raw peer: marks of the outer header, what waits for a session, retries, cookies."""
import os
import socket
import struct
import time

import noise
from interop_test import flood
from noise import COOKIE, DATA, INITIATION, RESPONSE
from run import alone, timeout
from world import IS_OURS, Capture, World, b64, only_ours, until


def setting(w, **more):
    w.link("a", "b")
    engine = w.engine("a", "wg1").configure(51821).up("10.9.0.1/24")
    return engine, w.raw(engine, **more)


def test_marks_of_the_outer_header():
    """Handshakes are AF41; data has the inner ECN bits and no DSCP (as the kernel's); congestion on the way gets in."""
    only_ours()
    with World("a", "b") as w:
        engine, raw = setting(w, endpoint=True)
        capture = Capture(w["a"], "to_b")
        engine.set("peer", b64(raw.public), "persistent-keepalive", 25)
        message, raw.session = raw.party.answer(raw.receive(INITIATION))
        raw.send(message)
        raw.receive(DATA)
        time.sleep(0.05)
        raw.send(raw.party.initiation())
        raw.session = raw.party.response(raw.receive(RESPONSE))
        raw.send(raw.session.seal(b""))
        assert raw.ping()
        tos = {}
        for out, header, payload in capture.end():
            if out:
                tos.setdefault(payload[0], set()).add(header[1])
        assert tos[INITIATION] == {0x88} and tos[RESPONSE] == {0x88} and tos[DATA] == {0}, tos
        for inner, outer in ((0, 0), (1, 1), (2, 2), (3, 2), (0xb8, 0), (0xb9, 1)):
            capture = Capture(w["a"], "to_b")
            w["a"].run(["ping", "-n", "-c", "1", "-W", "0.1", "-Q", str(inner), "10.9.0.2"], check=False)
            marks = [header[1] for out, header, payload in capture.end() if out and payload[0] == DATA]
            # CE of the inner header is not shown outside: ECT(0) is, so that what is added on the way can be told.
            assert marks == [outer], f"inner {inner:#x} gave outer {marks}"
        # The answer to an echo carries the mark with which the question came out of the tunnel.
        for outer, inner, wanted in ((3, 2, 3), (3, 1, 3), (0, 2, 2), (0, 0, 0)):
            raw.drain()
            raw.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, outer)
            capture = Capture(w["a"], "wg1")
            del capture
            sniff = w["a"].socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            sniff.bind(("wg1", 3))
            sniff.settimeout(2)
            raw.send(raw.session.seal(noise.echo(raw.inner, "10.9.0.1", tos=inner)))
            while True:
                packet, source = sniff.recvfrom(2000)
                if packet[9] == 1 and packet[20] == 8:
                    break
            assert packet[1] & 3 == wanted, f"outer {outer}, inner {inner}: came out as {packet[1] & 3}"
            assert noise.checksum(packet[:20]) == 0, "the header's checksum does not fit the new mark"
            sniff.close()
        # Not-ECT inside, CE outside: dropped.
        raw.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0)
        assert raw.ping()


def test_packets_wait_for_the_session():
    """300 packets before there is a session: 128 wait, and go out in order when it is there; the rest is counted."""
    with World("a", "b") as w:
        engine, raw = setting(w, endpoint=True)
        s = w["a"].udp("10.9.0.1")
        for n in range(300):
            s.sendto(struct.pack(">I", n) + bytes(60), ("10.9.0.2", 9))
        initiation = raw.receive(INITIATION)
        assert raw.receive(INITIATION, 0.3) is None, "one initiation, however many packets wait"
        message, raw.session = raw.party.answer(initiation)
        raw.send(message)
        got = []
        while True:
            packet = raw.data(0.5)
            if packet is None:
                break
            got.append(struct.unpack(">I", packet[28:32])[0])
        assert got == sorted(got), "out of order"
        if IS_OURS:
            assert len(got) == 128, f"{len(got)} waited"
            assert engine.counters()["staged_overflow"] == 300 - 128
        assert raw.ping()


def test_no_endpoint_no_route():
    only_ours()
    with World("a", "b") as w:
        engine, raw = setting(w)
        w["a"].ip("route add 10.50.0.0/16 dev wg1")
        engine.peer(os.urandom(32), "10.50.1.0/24")
        before = engine.counters()
        s = w["a"].udp("10.9.0.1")
        for n in range(10):
            s.sendto(b"x", ("10.50.2.1", 9))
        until(lambda: engine.counters()["no_route"] >= before["no_route"] + 10, 2, "no_route is counted")
        s.sendto(b"x", ("10.50.1.1", 9))
        until(lambda: engine.counters()["no_endpoint"] > before["no_endpoint"], 2, "no_endpoint is counted")


@timeout(60)
def test_retries():
    """Nobody answers: an initiation each 5 s and up to a third of a second more, each a new one with a later time."""
    with World("a", "b") as w:
        engine, raw = setting(w, endpoint=True)
        s = w["a"].udp("10.9.0.1")
        s.sendto(b"x", ("10.9.0.2", 9))
        times, stamps = [], []
        end = time.monotonic() + 16.5
        while time.monotonic() < end:
            message = raw.receive(INITIATION, end - time.monotonic())
            if message:
                times.append(time.monotonic())
                raw.party.answer(message)
                stamps.append((raw.party.heard_time, message[4:8], message[8:40]))
        steps = [b - a for a, b in zip(times, times[1:])]
        assert len(times) in (3, 4) and all(4.9 < step < 5.6 for step in steps), steps
        assert all(a[0] < b[0] and a[2] != b[2] for a, b in zip(stamps, stamps[1:])), "a retry is a new initiation"
        # Whitened: the times say nothing finer than 2^24 ns about the clock.
        if IS_OURS:
            assert all(int.from_bytes(stamp[0][8:], "big") % 2 ** 24 == 0 for stamp in stamps)


def test_cookie_received_is_kept_for_the_next_try():
    """A cookie reply is no reason to send at once; the next initiation carries it; a forged one is not taken."""
    with World("a", "b") as w:
        engine, raw = setting(w, endpoint=True)
        engine.set("peer", b64(raw.public), "persistent-keepalive", 25)
        initiation = raw.receive(INITIATION)
        forged = bytearray(raw.party.cookie_reply(initiation, b"\7" * 16))
        forged[-1] ^= 1
        raw.send(bytes(forged))
        raw.send(raw.party.cookie_reply(initiation, b"\6" * 16))
        assert raw.receive(INITIATION, 1.5) is None, "a cookie reply made it send"
        # A second reply to the same message is none: it answers nothing any more.
        if IS_OURS:
            raw.send(raw.party.cookie_reply(initiation, b"\5" * 16))
        again = raw.receive(INITIATION, 6)
        assert again and again[132:] == noise.blake2s(again[:132], b"\6" * 16, 16), "mac2 is not that of the cookie"
        message, raw.session = raw.party.answer(again)
        raw.send(message)
        assert raw.receive(DATA) and raw.ping()
        if IS_OURS:
            assert engine.counters()["cookies_received"] == 1 and engine.counters()["bad_cookie"] >= 1


@timeout(60)
@alone
def test_response_under_load():
    """In a flood of initiations, the response that the engine waits for is taken: at once, or with the cookie that it was answered with."""
    only_ours()
    with World("a", "b", "c") as w:
        w.link("a", "c", ["198.51.100.1/24"], ["198.51.100.2/24"])
        engine, raw = setting(w, endpoint=True)
        process = flood(engine, w["c"], 9)
        try:
            until(lambda: engine.counters()["handshake_limited"] + engine.counters()["cookies_sent"] > 100, 5, "the flood is felt")
            engine.set("peer", b64(raw.public), "persistent-keepalive", 25)
            initiation = raw.receive(INITIATION)
            cookies, taken = 0, False
            for _ in range(40):
                message, session = raw.party.answer(initiation)
                raw.send(message)
                reply = raw.receive(None, 0.3)
                if reply and reply[0] == COOKIE:
                    raw.party.take_cookie(reply)
                    cookies += 1
                elif reply and reply[0] == DATA:
                    raw.session, taken = session, True
                    break
            assert taken, f"no response was taken under load ({cookies} cookies)"
            print(f"{cookies} cookies for responses")
        finally:
            process.terminate()
            process.join()
        assert until(raw.ping, 4, "a ping")
