"""Hold IP packets back for a while: relay.py TUN MILLISECONDS JITTER REORDER-PERCENT

Runs in the router, for Lab.delay(): policy routing sends packets into the TUN, and they are written back into it
later, which is as if they arrived just then.  What netem does, where the kernel has none.  Order is kept, save
that REORDER-PERCENT of the packets are not held at all and so overtake others.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
LIMIT = 10000          # packets held at once; more are dropped, as in any queue


def main():
    name, delay, jitter, reorder = sys.argv[1], *(float(x) for x in sys.argv[2:5])
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    held, last, n = [], 0.0, 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        if select.select([tun], [], [], wait)[0]:
            try:
                packet = os.read(tun, 65536)
            except BlockingIOError:
                continue
            now = time.monotonic()
            if reorder and random.random() * 100 < reorder:
                due = now
            else:
                due = last = max(last, now + (delay + random.uniform(-jitter, jitter)) / 1000)
            if len(held) < LIMIT:
                n += 1
                heapq.heappush(held, (due, n, packet))
        while held and held[0][0] <= time.monotonic():
            try:
                os.write(tun, heapq.heappop(held)[2])
            except OSError:
                pass           # the interface is not up yet, or the kernel refuses the packet: it is lost


main()
