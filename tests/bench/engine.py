"""The embedded engine beside others: one run, both ends on the same cores, two network namespaces joined by a veth pair.

Each engine in turn gets the same two namespaces, keys and addresses, is configured by the same `wg`, and carries the same traffic. Nothing is pinned: the
scheduler treats all alike. Processor time is what the engine's own two processes used (user and system), as /proc tells; softirq work in the kernel's own threads is
in nobody's figure.
"""
import base64
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS = float(os.environ.get("ENGINE_SECONDS", "5"))
PORT = 51820
libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    libc.prctl(1, signal.SIGKILL)       # PR_SET_PDEATHSIG: a killed bench leaves nothing


class Side:
    """A namespace of its own, held by a process that dies with this one."""

    def __init__(self, name, number):
        self.name, self.number = name, number
        self.interface = f"wgb{name}{os.getpid() % 100000}"
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], preexec_fn=die_with_parent)
        mine = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == mine:
            time.sleep(0.01)
        self.engine = None
        self.private = subprocess.run(["wg", "genkey"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.public = subprocess.run(["wg", "pubkey"], input=self.private, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def command(self, command):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]

    def run(self, command, check=True, **more):
        return subprocess.run(self.command(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=check, **more)

    def popen(self, command, **more):
        return subprocess.Popen(self.command(command), preexec_fn=die_with_parent, **more)

    def start(self, command, env=None):
        self.log = tempfile.TemporaryFile()
        self.state = tempfile.TemporaryDirectory()      # where ours keeps its clock's floor
        self.engine = self.popen([*command, self.interface], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                 env={**os.environ, "LOG_LEVEL": "error", "STATE_DIRECTORY": self.state.name, **(env or {})})
        deadline = time.monotonic() + 10
        while not os.path.exists(f"/var/run/wireguard/{self.interface}.sock"):
            if self.engine.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError(f"{command[0]} did not start: {self.log.read().decode(errors='replace')[-500:]}")
            time.sleep(0.02)

    def stop(self):
        if self.engine:
            self.engine.terminate()
            try:
                self.engine.wait(5)
            except subprocess.TimeoutExpired:
                self.engine.kill()
                self.engine.wait()
            self.engine = None
            path = f"/var/run/wireguard/{self.interface}.sock"
            if os.path.exists(path):
                os.unlink(path)

    def cpu(self):
        """Seconds of processor time so far; nsenter became the engine, so that it is the process itself."""
        fields = pathlib.Path(f"/proc/{self.engine.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what="VmHWM"):
        """Kilobytes."""
        return int(re.search(rf"{what}:\s+(\d+)", pathlib.Path(f"/proc/{self.engine.pid}/status").read_text())[1])


class Pair:
    """Two sides and the veth between them, with or without an engine in use."""

    def __init__(self):
        self.a, self.b = Side("a", 1), Side("b", 2)
        a, b = self.a, self.b
        a.run(["ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", str(b.holder.pid)])
        for side in (a, b):
            side.run(["ip", "address", "add", f"192.0.2.{side.number}/24", "dev", "veth0"])
            side.run(["ip", "link", "set", "veth0", "up"])
            side.run(["ip", "link", "set", "lo", "up"])

    def start(self, command, env=None):
        for side, other in ((self.a, self.b), (self.b, self.a)):
            side.start(command, env)
            side.run(["wg", "set", side.interface, "private-key", "/dev/stdin", "listen-port", str(PORT), "peer", other.public,
                      "endpoint", f"192.0.2.{other.number}:{PORT}", "allowed-ips", f"10.9.0.{other.number}/32"], input=side.private)
            side.run(["ip", "address", "add", f"10.9.0.{side.number}/24", "dev", side.interface])
            side.run(["ip", "link", "set", side.interface, "up", "mtu", "1420"])
        self.a.run(["ping", "-c", "1", "-W", "6", "10.9.0.2"])

    def stop(self):
        self.a.stop()
        self.b.stop()

    def close(self):
        self.stop()
        for side in (self.a, self.b):
            side.holder.kill()
            side.holder.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def iperf(self, *more):
        """iperf3's own JSON, and the engines' processor seconds meanwhile."""
        server = self.b.popen(["iperf3", "-s", "-1", "-B", "10.9.0.2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.3)
            before = self.a.cpu() + self.b.cpu()
            text = self.a.run(["iperf3", "-J", "-c", "10.9.0.2", "-t", str(SECONDS), *more], check=False, timeout=SECONDS + 20).stdout
            used = self.a.cpu() + self.b.cpu() - before
        finally:
            server.terminate()
            server.wait()
        return json.loads(text), used

    def tcp(self, streams):
        """(Gbit/s received, processor seconds a gigabyte)"""
        document, used = self.iperf("-P", str(streams))
        received = document["end"]["sum_received"]
        return received["bits_per_second"] / 1e9, used / (received["bytes"] / 1e9)

    def small(self):
        """Packets of 64 bytes of payload that arrived, thousands a second, sent as fast as they go."""
        document, _ = self.iperf("-u", "-b", "0", "-l", "64")
        end = document["end"]["sum"]
        return (end["packets"] - end["lost_packets"]) / end["seconds"] / 1000

    def ping(self):
        """Median round trip in ms of 100 pings 50 ms apart: an idle tunnel, so that everything has to wake up."""
        text = self.a.run(["ping", "-n", "-i", "0.05", "-c", "100", "10.9.0.2"]).stdout
        return statistics.median(float(t) for t in re.findall(r"time=([\d.]+)", text))


def engines(build):
    """[(name, command)]: ours, the newest wireguard-go that can be had, the installed one, and those that WIREGUARD_GO names, separated by spaces."""
    found = [("wgdeck", [str(CHECKOUT / build / "wgdeck"), "engine", "-f"])]
    newer = subprocess.run([str(CHECKOUT / "tests/bench/newer-wireguard-go")], stdout=subprocess.PIPE, text=True).stdout.strip()
    for path in [newer, shutil.which("wireguard-go"), *os.environ.get("WIREGUARD_GO", "").split()]:
        if path and os.path.exists(path):
            version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
            number = re.search(r"v?(0\.0\.\d+)", version)
            found.append((f"wireguard-go {number[1] if number else '?'}", [path, "-f"]))
    return found


def measure(name, command, rounds=2):
    """Each figure of one engine, the best of ROUNDS (others use this machine, too); memory at the end."""
    with Pair() as pair:
        pair.start(command)
        figures = {"ping": min(pair.ping() for _ in range(rounds + 1))}
        runs = [pair.tcp(1) for _ in range(rounds)]
        figures["tcp1"], figures["cpu1"] = max(runs)
        figures["tcp4"], figures["cpu4"] = max(pair.tcp(4) for _ in range(rounds))
        figures["small"] = max(pair.small() for _ in range(rounds))
        figures["memory"] = (pair.a.memory() + pair.b.memory()) / 2 / 1024
    return figures


def idle_peers(command, count=10000):
    """(seconds to configure COUNT peers by wg, MB of memory after it)"""
    side = Side("p", 1)
    try:
        side.start(command)
        lines = ["[Interface]", f"PrivateKey = {side.private}"]
        for i in range(count):
            key = base64.b64encode(os.urandom(31) + b"\x10").decode()
            lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = 10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32", f"Endpoint = 192.0.2.9:{1 + i}"]
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("\n".join(lines) + "\n")
            f.flush()
            began = time.monotonic()
            done = side.run(["wg", "setconf", side.interface, f.name], check=False)
            took = time.monotonic() - began
            if done.returncode:
                raise RuntimeError(done.stdout)
        shown = side.run(["wg", "show", side.interface, "peers"]).stdout.split()
        assert len(shown) == count, len(shown)
        return took, side.memory("VmRSS") / 1024
    finally:
        side.stop()
        side.holder.kill()
        side.holder.wait()


def flood(build, row, rate=10000, seconds=8):
    """RATE initiations a second by unknown keys from 60 addresses: what remains of a stream that was there, and how soon a configured peer gets in."""
    command = engines(build)[0][1]
    flooder = str(CHECKOUT / build / "bench/flood_bench")
    with Pair() as pair:
        pair.start(command)
        newcomer = Side("c", 3)
        try:
            b = pair.b
            newcomer.run(["ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth1", "netns", str(b.holder.pid)])
            b.run(["ip", "address", "add", "198.51.100.1/24", "dev", "veth1"])
            b.run(["ip", "link", "set", "veth1", "up"])
            sources = [f"198.51.100.{i}" for i in range(10, 70)]
            for address in ["198.51.100.2", *sources]:
                newcomer.run(["ip", "address", "add", address + "/24", "dev", "veth1"])
            newcomer.run(["ip", "link", "set", "veth1", "up"])
            newcomer.run(["ip", "link", "set", "lo", "up"])
            b.run(["wg", "set", b.interface, "peer", newcomer.public, "allowed-ips", "10.9.0.3/32"])
            newcomer.start(command)
            newcomer.run(["wg", "set", newcomer.interface, "private-key", "/dev/stdin", "peer", b.public, "endpoint", f"198.51.100.1:{PORT}",
                          "allowed-ips", "10.9.0.2/32"], input=newcomer.private)
            newcomer.run(["ip", "address", "add", "10.9.0.3/24", "dev", newcomer.interface])
            newcomer.run(["ip", "link", "set", newcomer.interface, "up", "mtu", "1420"])
            # A sender with a pace: what is asked is whether established traffic still gets through, and the flooder takes a core of its own here.
            pace = ["-b", "500M"]
            quiet = pair.iperf(*pace)[0]["end"]["sum_received"]["bits_per_second"]
            attack = newcomer.popen([flooder, b.public, "198.51.100.1", str(PORT), str(rate), str(seconds), *sources], stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            began = time.monotonic()
            newcomer.run(["ping", "-c", "1", "-W", "10", "10.9.0.2"])
            joined = time.monotonic() - began
            before = b.cpu()
            busy = pair.iperf(*pace)[0]["end"]["sum_received"]["bits_per_second"]
            used = (b.cpu() - before) / SECONDS
            said = attack.communicate(timeout=seconds + 10)[0].strip()
            row(f"{rate} bogus handshakes a second ({said})", f"a configured peer connected after {joined:.2f} s",
                f"a 500 Mbit/s stream kept {100 * busy / quiet:.0f} %,", f"engine at {100 * used:.0f} % of a core")
        finally:
            newcomer.stop()
            newcomer.holder.kill()
            newcomer.holder.wait()


def table(build, row):
    """All engines in one run; every line says the ratio to the newest wireguard-go met."""
    seen = []
    for name, command in engines(build):
        try:
            seen.append((name, measure(name, command)))
        except RuntimeError as e:
            row(name, "could not run", str(e))
    if not seen:
        return
    ours = seen[0][1]
    others = seen[1:]
    for key, words, unit, digits in (("tcp1", "one TCP stream", "Gbit/s", 2), ("tcp4", "four TCP streams", "Gbit/s", 2),
                                     ("cpu1", "engine CPU, one stream", "s/GB", 2), ("small", "64-byte UDP packets arrived", "k/s", 0),
                                     ("ping", "ping", "ms", 3), ("memory", "memory after that load", "MB", 1)):
        row(words, f"wgdeck {ours[key]:.{digits}f} {unit}",
            ", ".join(f"{name} {figures[key]:.{digits}f}" for name, figures in others),
            ", ".join(f"{ours[key] / figures[key]:.2f}x" for _, figures in others))
    took, memory = idle_peers(engines(build)[0][1])
    row("10,000 idle peers", f"configured in {took:.2f} s, {memory:.1f} MB")
