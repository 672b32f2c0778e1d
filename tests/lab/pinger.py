"""Ping many addresses from one process until each has answered once: pinger.py SECONDS ADDRESS…

Runs inside a host, for Lab.warm().  Prints the addresses that did not answer, and ends with 1 when there are any.
A full mesh of 100 hosts is 4,950 first pings; as many ping processes would take longer than the lab's boot.
"""
import select
import socket
import struct
import sys
import time

BATCH = 16          # first packets under way at once: each costs a handshake
RETRY = 1.0         # seconds until the next try; the engine itself retries its handshake every 5


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def main():
    end = time.monotonic() + float(sys.argv[1])
    targets = sys.argv[2:]
    v6 = ":" in targets[0]
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                      socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    s.setblocking(False)
    ident = 0x7767
    packet = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, ident, 1)
    packet = packet[:2] + struct.pack("!H", 0 if v6 else checksum(packet)) + packet[4:]
    waiting, due, begun = set(targets), {}, 0
    while waiting and time.monotonic() < end:
        now = time.monotonic()
        while begun < len(targets) and len(due) < BATCH:
            due[targets[begun]] = now
            begun += 1
        for t in [t for t in due if due[t] <= now]:
            due[t] = now + RETRY
            try:
                s.sendto(packet, (t, 0))
            except OSError:
                pass                       # no route or no endpoint yet: the next try may do
        wait = max(0.0, min([end, *due.values()]) - time.monotonic())
        if not select.select([s], [], [], wait)[0]:
            # What is silent after its first try no longer holds up the others.
            late = [t for t in due if t in waiting]
            if len(late) >= BATCH and begun < len(targets):
                due[targets[begun]] = now
                begun += 1
            continue
        data, source = s.recvfrom(2048)
        body = data if v6 else data[(data[0] & 15) * 4:]
        if body[:1] == (b"\x81" if v6 else b"\x00") and struct.unpack("!H", body[4:6])[0] == ident:
            waiting.discard(source[0])
            due.pop(source[0], None)
    print(" ".join(sorted(waiting)))
    return 1 if waiting else 0


sys.exit(main())
