"""WireGuard's protocol once more, small and slow, for the tests' "bad peer": it can make every right message, and so every wrong one.

Written from the whitepaper (sections 5.4.2 to 5.4.7); nothing of the engine is used. libsodium gives X25519 and the AEADs, hashlib BLAKE2s.
"""
import ctypes
import ctypes.util
import hashlib
import os
import socket
import struct
import time

sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
sodium.sodium_init()

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
SIZES = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
ZERO = bytes(32)
# Points of small order, and the same not reduced: X25519 with any of them is zero (RFC 7748 section 6.1).
LOW_ORDER = [bytes.fromhex(h) for h in (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]


class Refused(Exception):
    """A message that does not authenticate."""


def blake2s(data, key=b"", size=32):
    return hashlib.blake2s(data, digest_size=size, key=key).digest()


def hmac(key, data):
    # HMAC proper (RFC 2104) over unkeyed BLAKE2s, block size 64: not the same as keyed BLAKE2s.
    key = key.ljust(64, b"\0")
    inner = blake2s(bytes(k ^ 0x36 for k in key) + data)
    return blake2s(bytes(k ^ 0x5c for k in key) + inner)


def kdf(n, key, data):
    secret, out, last = hmac(key, data), [], b""
    for i in range(1, n + 1):
        last = hmac(secret, last + bytes([i]))
        out.append(last)
    return out if n > 1 else out[0]


def x25519(private, public):
    out = ctypes.create_string_buffer(32)
    # A zero result is an error to libsodium; to a bad peer it is a value.
    return out.raw if sodium.crypto_scalarmult(out, private, public) == 0 else ZERO


def public_of(private):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_scalarmult_base(out, private)
    return out.raw


def aead(key, counter, text, additional=b""):
    out, n = ctypes.create_string_buffer(len(text) + 16), ctypes.c_ulonglong()
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, ctypes.byref(n), bytes(text), ctypes.c_ulonglong(len(text)), bytes(additional),
                                                     ctypes.c_ulonglong(len(additional)), None, struct.pack("<IQ", 0, counter), key)
    return out.raw


def open_aead(key, counter, text, additional=b""):
    if len(text) < 16:
        raise Refused("short")
    out, n = ctypes.create_string_buffer(max(1, len(text) - 16)), ctypes.c_ulonglong()
    if sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, ctypes.byref(n), None, bytes(text), ctypes.c_ulonglong(len(text)), bytes(additional),
                                                        ctypes.c_ulonglong(len(additional)), struct.pack("<IQ", 0, counter), key):
        raise Refused("does not decrypt")
    return out.raw[:n.value]


def xaead(key, nonce, text, additional):
    out, n = ctypes.create_string_buffer(len(text) + 16), ctypes.c_ulonglong()
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(out, ctypes.byref(n), text, ctypes.c_ulonglong(len(text)), additional,
                                                      ctypes.c_ulonglong(len(additional)), None, nonce, key)
    return out.raw


def open_xaead(key, nonce, text, additional):
    out, n = ctypes.create_string_buffer(len(text) - 16), ctypes.c_ulonglong()
    if sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(out, ctypes.byref(n), None, text, ctypes.c_ulonglong(len(text)), additional,
                                                         ctypes.c_ulonglong(len(additional)), nonce, key):
        raise Refused("cookie does not decrypt")
    return out.raw


def tai64n(now=None):
    now = time.time_ns() if now is None else now
    return struct.pack(">QI", 2 ** 62 + 10 + now // 10 ** 9, now % 10 ** 9)


def mac1(public, message):
    return blake2s(message, blake2s(b"mac1----" + public), 16)


class Session:
    """Keys of one direction each; `local` is the index at this end."""

    def __init__(self, send, receive, local, remote):
        self.send, self.receive, self.local, self.remote, self.counter = send, receive, local, remote, 0

    def seal(self, packet, counter=None, pad=True, remote=None):
        if counter is None:
            counter, self.counter = self.counter, self.counter + 1
        if pad:
            packet = packet + bytes(-len(packet) % 16)
        return struct.pack("<IIQ", DATA, self.remote if remote is None else remote, counter) + aead(self.send, counter, packet)

    def open(self, message):
        kind, index, counter = struct.unpack("<IIQ", message[:16])
        if kind != DATA or index != self.local:
            raise Refused("not of this session")
        return open_aead(self.receive, counter, message[16:])


class Party:
    """One end that knows the other's public key: it makes and reads handshakes, and remembers the last mac1 and the cookie it was given."""

    def __init__(self, remote_public, private=None, psk=ZERO):
        self.private = private or os.urandom(32)
        self.public = public_of(self.private)
        self.remote, self.psk = remote_public, psk
        self.cookie, self.last_mac1, self.last_time = b"", b"", 0

    def macs(self, body, with_mac1=True):
        self.last_mac1 = mac1(self.remote, body) if with_mac1 else os.urandom(16)
        body += self.last_mac1
        return body + (blake2s(body, self.cookie, 16) if self.cookie else bytes(16))

    def initiation(self, ephemeral=None, timestamp=None, local=None, ephemeral_public=None, static=None, good_mac1=True):
        """Keeps the state that `response` needs. ephemeral_public, static: lie about them."""
        e = ephemeral or os.urandom(32)
        e_public = ephemeral_public or public_of(e)
        if timestamp is None:
            # A clock that is read twice in one step must still go forward.
            self.last_time = max(time.time_ns(), self.last_time + 2 ** 25)
            timestamp = tai64n(self.last_time)
        self.local = struct.unpack("<I", os.urandom(4))[0] if local is None else local
        c = blake2s(CONSTRUCTION)
        h = blake2s(blake2s(c + IDENTIFIER) + self.remote)
        c, h = kdf(1, c, e_public), blake2s(h + e_public)
        # With a point of small order the other end's DH is zero, which anyone knows.
        c, k = kdf(2, c, ZERO if e_public in LOW_ORDER else x25519(e, self.remote))
        sealed_static = aead(k, 0, static or self.public, h)
        h = blake2s(h + sealed_static)
        c, k = kdf(2, c, x25519(self.private, self.remote))
        sealed_time = aead(k, 0, timestamp, h)
        h = blake2s(h + sealed_time)
        self.state = (e, c, h)
        return self.macs(struct.pack("<II", INITIATION, self.local) + e_public + sealed_static + sealed_time, good_mac1)

    def response(self, message):
        """The session that a response to the last initiation gives."""
        if len(message) != 92 or message[0] != RESPONSE:
            raise Refused("no response")
        sender, receiver = struct.unpack("<II", message[4:12])
        if receiver != self.local or mac1(self.public, message[:60]) != message[60:76]:
            raise Refused("not for us")
        e, c, h = self.state
        e_public, sealed = message[12:44], message[44:60]
        c, h = kdf(1, c, e_public), blake2s(h + e_public)
        c = kdf(1, c, x25519(e, e_public))
        c = kdf(1, c, x25519(self.private, e_public))
        c, t, k = kdf(3, c, self.psk)
        h = blake2s(h + t)
        open_aead(k, 0, sealed, h)
        send, receive = kdf(2, c, b"")
        return Session(send, receive, self.local, sender)

    def answer(self, message, local=None, ephemeral_public=None):
        """Read the other end's initiation; (the response, its session)."""
        if len(message) != 148 or message[0] != INITIATION or mac1(self.public, message[:116]) != message[116:132]:
            raise Refused("no initiation for us")
        remote_index = struct.unpack("<I", message[4:8])[0]
        re = message[8:40]
        c = blake2s(CONSTRUCTION)
        h = blake2s(blake2s(c + IDENTIFIER) + self.public)
        c, h = kdf(1, c, re), blake2s(h + re)
        c, k = kdf(2, c, x25519(self.private, re))
        static = open_aead(k, 0, message[40:88], h)
        h = blake2s(h + message[40:88])
        if static != self.remote:
            raise Refused("another key")
        c, k = kdf(2, c, x25519(self.private, static))
        self.heard_time = open_aead(k, 0, message[88:116], h)
        h = blake2s(h + message[88:116])
        e = os.urandom(32)
        e_public = ephemeral_public or public_of(e)
        local = struct.unpack("<I", os.urandom(4))[0] if local is None else local
        c, h = kdf(1, c, e_public), blake2s(h + e_public)
        low = e_public in LOW_ORDER
        c = kdf(1, c, ZERO if low else x25519(e, re))
        c = kdf(1, c, ZERO if low else x25519(e, static))
        c, t, k = kdf(3, c, self.psk)
        h = blake2s(h + t)
        sealed = aead(k, 0, b"", h)
        receive, send = kdf(2, c, b"")
        reply = self.macs(struct.pack("<III", RESPONSE, local, remote_index) + e_public + sealed)
        return reply, Session(send, receive, local, remote_index)

    def cookie_reply(self, message, cookie=None):
        """As a responder under load sends it for MESSAGE."""
        cookie, nonce = cookie or os.urandom(16), os.urandom(24)
        at = SIZES[message[0]] - 32
        key = blake2s(b"cookie--" + self.public)
        return struct.pack("<I", COOKIE) + message[4:8] + nonce + xaead(key, nonce, cookie, message[at:at + 16])

    def take_cookie(self, message):
        if len(message) != 64 or message[0] != COOKIE:
            raise Refused("no cookie")
        self.cookie = open_xaead(blake2s(b"cookie--" + self.remote), message[8:32], message[32:], self.last_mac1)


# ---- inner packets -------------------------------------------------------------------------------------------

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, target, protocol, payload, tos=0, ttl=64):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 0, 0, ttl, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def echo(source, target, identifier=7, sequence=1, size=32, tos=0):
    """An ICMP echo request."""
    body = struct.pack(">BBHHH", 8, 0, 0, identifier, sequence) + b"p" * size
    return ipv4(source, target, 1, body[:2] + struct.pack(">H", checksum(body)) + body[4:], tos)


def udp4(source, target, source_port, target_port, payload):
    return ipv4(source, target, 17, struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload)


def self_check():
    """Known answers: the two hashes that every transcript begins with (whitepaper), RFC 7748, and a handshake with itself."""
    c = blake2s(CONSTRUCTION)
    assert c.hex().startswith("60e26dae") and c.hex().endswith("cd36")
    assert blake2s(c + IDENTIFIER).hex().startswith("2211b361")
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert x25519(scalar, point).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    left = Party(ZERO)
    right = Party(left.public, psk=b"\5" * 32)
    left.remote, left.psk = right.public, right.psk
    reply, theirs = right.answer(left.initiation())
    ours = left.response(reply)
    assert theirs.open(ours.seal(b"x" * 16)) == b"x" * 16 and ours.open(theirs.seal(b"y" * 16)) == b"y" * 16
    left.take_cookie(right.cookie_reply(left.initiation(), b"\7" * 16))
    assert left.cookie == b"\7" * 16
