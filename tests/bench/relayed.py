"""The opaque relay: one TCP stream between two engines directly, and then by `wgdeck relay` on a third machine, all on these cores.

The direct way has two processes at work and the relay's has three, so on few cores what counts is processor time: what the relay uses a gigabyte beside what one
engine's end uses. The rate of a core of each is the inverse of that.
"""
import contextlib
import os
import pathlib
import time

import engine as engine_bench

RELAY_PORT = 51821


def cpu(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(hub, side, number):
    """A veth between the hub and SIDE, of a network of its own."""
    hub.run(["ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "veth1", "netns", str(side.holder.pid)])
    for one, link, last in ((hub, f"veth{number}", 1), (side, "veth1", 2)):
        one.run(["ip", "address", "add", f"198.51.100.{number * 4 + last}/30", "dev", link])
        one.run(["ip", "link", "set", link, "up"])


def stream(pair, relay=None):
    """(Gbit/s, seconds of processor time a gigabyte of one engine's end, of the relay)"""
    before = cpu(relay) if relay else 0
    document, used = pair.iperf()
    received = document["end"]["sum_received"]
    gigabytes = received["bytes"] / 1e9
    return received["bits_per_second"] / 1e9, used / 2 / gigabytes, (cpu(relay) - before) / gigabytes if relay else 0


@contextlib.contextmanager
def through_relay(pair, hub, command, program):
    """The rows of PAIR have the relay as their endpoint meanwhile."""
    hub.start(command)
    hub.run(["wg", "set", hub.interface, "private-key", "/dev/stdin", "peer", pair.a.public, "peer", pair.b.public], input=hub.private)
    hub.run(["ip", "address", "add", "10.9.0.9/24", "dev", hub.interface])
    hub.run(["ip", "link", "set", hub.interface, "up"])
    relay = hub.popen([program, "relay", hub.interface, "--port", str(RELAY_PORT)])
    try:
        time.sleep(1.5)     # the rows are read each second
        for side, other, number in ((pair.a, pair.b, 1), (pair.b, pair.a, 2)):
            side.run(["wg", "set", side.interface, "peer", other.public, "remove"])
            side.run(["wg", "set", side.interface, "peer", other.public, "endpoint", f"198.51.100.{number * 4 + 1}:{RELAY_PORT}",
                      "allowed-ips", f"10.9.0.{other.number}/32", "persistent-keepalive", "5"])
        pair.a.run(["ping", "-c", "1", "-W", "15", "10.9.0.2"])
        yield relay
    finally:
        relay.terminate()
        relay.wait()
        pathlib.Path(f"/run/wgdeck/{hub.interface}.relay").unlink(missing_ok=True)


def relay(build, row, rounds=2):
    name, command = engine_bench.engines(build)[0]
    with engine_bench.Pair() as pair:
        hub = engine_bench.Side("h", 9)
        try:
            hub.run(["ip", "link", "set", "lo", "up"])
            connect(hub, pair.a, 1)
            connect(hub, pair.b, 2)
            pair.start(command)
            direct = max(stream(pair) for _ in range(rounds))
            with through_relay(pair, hub, command, command[0]) as process:
                relayed = max(stream(pair, process) for _ in range(rounds))
        finally:
            hub.stop()
            hub.holder.kill()
            hub.holder.wait()
    row("one TCP stream through the relay", f"{relayed[0]:.2f} Gbit/s", f"direct {direct[0]:.2f} Gbit/s", f"{100 * relayed[0] / direct[0]:.0f} % (one machine does the work of all three)")
    row("relay CPU", f"{relayed[2]:.2f} s/GB", f"one {name} end, direct {direct[1]:.2f} s/GB", f"per core {100 * direct[1] / relayed[2]:.0f} %")
