"""Joining by a token: how long until another node answers through the hub, and until two that joined find a better way, for each pair of NAT kinds. Real sshd, real NAT gateways, a new machine
with nothing but the static file.
"""
import itertools
import statistics
import time

from ladder_test import APART, FILE, KINDS, STATIC, begin, join, wait_way, world
from change import wgdeck
from lab import Host, Lab

RUNS = 5


def first_ping(row):
    """From the command until b, a node that knows nothing of the newcomer, has answered it."""
    print(f"join: {RUNS} machines, one after the other", flush=True)
    names = [f"m{i}" for i in range(RUNS)]
    with Lab(["hub", "b", *[Host(name, nat="port-restricted", wg=False, tools=False, sshd=False) for name in names]], mesh="none") as lab:
        begin(lab)
        seconds = []
        for name in names:
            token = wgdeck(lab, "-m", FILE, "invite", name, "--relay", "-q")[1].split()[-1]
            script = f"{STATIC} join - && until ping -c 1 -W 1 10.44.0.2 >/dev/null; do :; done"
            began = time.monotonic()
            lab.host(name).run(["sh", "-c", script], input=token, timeout=60)
            seconds.append(time.monotonic() - began)
    row(f"a machine behind a NAT joins: from the command to the first ping of another node, median of {RUNS} [under 3 s]", f"{statistics.median(seconds):.2f} s", f"worst {max(seconds):.2f} s")


def ways(row):
    """From the second one's join until both ends use it."""
    print("ladder: every pair of NAT kinds", flush=True)
    found = {}
    for one, two in itertools.combinations_with_replacement(KINDS, 2):
        apart = frozenset((one, two)) in APART
        with world(one, two) as lab:
            begin(lab)
            join(lab, "m1")
            join(lab, "m2")
            found[one, two] = ("relay" if apart else "direct", wait_way(lab, ("relay",) if apart else ("direct",), 60))
            print(f"  {one or 'none'} with {two or 'none'}: {found[one, two][0]} after {found[one, two][1]:.1f} s", flush=True)
    direct = [seconds for way, seconds in found.values() if way == "direct"]
    relay = [seconds for way, seconds in found.values() if way == "relay"]
    row(f"two that joined find their direct way by themselves ({len(direct)} of {len(found)} pairs of NAT kinds) [10 s]", f"median {statistics.median(direct):.1f} s", f"worst {max(direct):.1f} s")
    row(f"the others (symmetric with symmetric or port-restricted) are forwarded by the relay, after", f"{max(relay):.1f} s")


def bench(row):
    first_ping(row)
    ways(row)
