"""A few network namespaces and engines in them, for tests of the engine: seconds instead of whole hosts (those are tests/lab's).

    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(OURS, OTHER)
        w.ping(one, two)

The test's process enters mounts and a network of its own with an empty /run; all that it starts lives in a process namespace that dies with it,
so nothing stays however it ends. OURS is the engine under test: $ENGINE, or the built wgdeck; OTHER is what it must get on with: $PEER, or wireguard-go;
`kernel` is the kernel's own.
"""
import base64
import contextlib
import ctypes
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
sys.path.insert(0, str(CHECKOUT / "tests" / "lab"))
from run import Skip                     # noqa: E402
import noise                             # noqa: E402

PROGRAM = CHECKOUT / os.environ.get("BUILD", "build") / "wgdeck"
OURS = shlex.split(os.environ.get("ENGINE", "")) or ["wgdeck-engine"]
OTHER = shlex.split(os.environ.get("PEER", "")) or ["wireguard-go"]
IS_OURS = "wgdeck" in OURS[0]
# Emulated (tests/vm): everything takes longer.
SLOW = 4 if os.environ.get("WGDECK_GUEST") else 1
# The sanitizers' own memory says nothing, and their leak check cannot look into a process that is shut in.
SANITIZED = any(word in str(PROGRAM) for word in ("asan", "tsan"))
PORT = 51820
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000


def die_with_parent():
    libc.prctl(1, signal.SIGKILL)


def only_ours():
    """For what wireguard-go is known not to do, or has no way to say."""
    if not IS_OURS:
        raise Skip(f"not promised by {OURS[0]}")


def needs(*tools):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        raise Skip(f"needs {', '.join(missing)}")


def until(condition, seconds, what="a condition"):
    """Wait for it; its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not in {seconds} s")
        time.sleep(0.02)


def b64(key):
    return base64.b64encode(key).decode()


def clamp(key):
    key = bytearray(key)
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return bytes(key)


class Failed(AssertionError):
    pass


class Place:
    """A network namespace with a name, as `ip netns` knows it."""

    def __init__(self, world, name):
        self.world, self.name, self.path = world, name, f"/run/netns/{name}"

    def __repr__(self):
        return self.name

    def command(self, cmd):
        cmd = ["sh", "-c", cmd] if isinstance(cmd, str) else [str(c) for c in cmd]
        return ["nsenter", f"--net={self.path}", *cmd]

    def popen(self, cmd, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(cmd), preexec_fn=die_with_parent, **more)

    def run(self, cmd, check=True, input=None, timeout=30, env=None):
        """Both outputs in stdout."""
        done = subprocess.run(self.command(cmd), input=input, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout * SLOW, env={**os.environ, **(env or {})}, **({} if input is not None else {"stdin": subprocess.DEVNULL}))
        if check and done.returncode:
            raise Failed(f"{self.name}: {cmd} ended with {done.returncode}: {done.stdout[-1500:]}")
        return done

    def ip(self, *arguments, check=True):
        return self.run(["ip", *" ".join(map(str, arguments)).split()], check)

    def sysctl(self, **values):
        for name, value in values.items():
            self.run(f"echo {value} >/proc/sys/{name.replace('__', '/')}")

    @contextlib.contextmanager
    def inside(self):
        """This thread is in here for a while; sockets made now stay here."""
        before, here = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(self.path, os.O_RDONLY)
        try:
            if libc.setns(here, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
            os.close(before)
            os.close(here)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, protocol=0):
        with self.inside():
            return socket.socket(family, kind, protocol)

    def udp(self, address, port=0):
        s = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.bind((address, port))
        s.settimeout(3 * SLOW)
        return s

    def udp_counters(self):
        """{name: value} of this namespace's UDP over IPv4 (InDatagrams, OutDatagrams, …)."""
        rows = [line.split()[1:] for line in self.run(["cat", "/proc/net/snmp"]).stdout.splitlines() if line.startswith("Udp:")]
        return dict(zip(rows[0], map(int, rows[1])))


class Engine:
    """One interface of one engine. Names are unique in a world: all control sockets are in one folder."""

    def __init__(self, place, name, command, private=None, env=None, start=True, level="error", arguments=None):
        self.place, self.name, self.engine = place, name, command
        self.private = private or clamp(os.urandom(32))
        self.public = noise.public_of(self.private)
        self.env, self.level, self.process = env or {}, level, None
        self.log_path = f"/run/logs/{name}"
        self.address = self.address6 = None
        self.arguments = ["-f", name] if arguments is None else arguments
        if start:
            self.start()

    @property
    def kernel(self):
        return self.engine == ["kernel"]

    @property
    def socket_path(self):
        return f"/var/run/wireguard/{self.name}.sock"

    def start(self, wait=True):
        if self.kernel:
            self.place.ip("link add", self.name, "type wireguard")
            return self
        with open(self.log_path, "ab") as log:
            self.process = self.place.popen([*self.engine, *self.arguments], stdout=log, stderr=log,
                                            env={**os.environ, "LOG_LEVEL": self.level, **self.env})
        if wait:
            until(lambda: os.path.exists(self.socket_path) or self.process.poll() is not None, 10, f"{self.engine[0]} starts")
            if self.process.poll() is not None:
                raise Failed(f"{self.engine[0]} ended with {self.process.returncode}: {self.log()[-1500:]}")
        return self

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace") if os.path.exists(self.log_path) else ""

    def alive(self):
        if self.kernel:
            return True
        return self.process.poll() is None

    def status(self, field):
        return re.search(rf"^{field}:\s+(.*)$", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), re.M)[1]

    def memory(self):
        """Resident kilobytes."""
        return 0 if self.kernel or SANITIZED else int(self.status("VmRSS").split()[0])

    def stop(self):
        if self.kernel:
            self.place.ip("link del", self.name, check=False)
        elif self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(5 * SLOW)

    # -- talking to it

    def wg(self, *arguments, input=None, check=True, timeout=30):
        """wg set NAME …; the output."""
        return self.place.run(["wg", *arguments], check, input, timeout).stdout

    def set(self, *arguments, input=None, check=True):
        return self.wg("set", self.name, *[str(a) for a in arguments], input=input, check=check)

    def configure(self, port=None):
        arguments = ["private-key", "/dev/stdin"] + (["listen-port", port] if port is not None else [])
        self.set(*arguments, input=b64(self.private) + "\n")
        return self

    def peer(self, public, allowed, endpoint=None, keepalive=None, psk=None):
        arguments = ["peer", b64(public), "allowed-ips", allowed]
        arguments += ["endpoint", endpoint] if endpoint else []
        arguments += ["persistent-keepalive", keepalive] if keepalive is not None else []
        if psk:
            arguments += ["preshared-key", "/dev/stdin"]
        self.set(*arguments, input=b64(psk) + "\n" if psk else None)
        return self

    def up(self, *addresses, mtu=1420):
        for address in addresses:
            self.place.ip("address add", address, "dev", self.name, "nodad" if ":" in address else "")
        self.place.ip("link set", self.name, "up mtu", mtu)
        return self

    def uapi(self, request, timeout=10):
        """The whole answer to one request, on a connection of its own."""
        with self.connect(timeout) as s:
            s.sendall(request.encode() if isinstance(request, str) else request)
            return answer(s)

    def connect(self, timeout=10):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout * SLOW)
        s.connect(self.socket_path)
        return s

    def dump(self):
        """{public key: its row} as `wg show NAME dump` has it."""
        rows = {}
        for line in self.wg("show", self.name, "dump").splitlines()[1:]:
            key, psk, endpoint, allowed, handshake, rx, tx, keepalive = line.split("\t")
            rows[base64.b64decode(key)] = {"psk": psk, "endpoint": endpoint, "allowed": allowed.split(",") if allowed != "(none)" else [],
                                           "handshake": int(handshake), "rx": int(rx), "tx": int(tx), "keepalive": keepalive}
        return rows

    def row(self, other):
        return self.dump()[other if isinstance(other, bytes) else other.public]

    @property
    def port(self):
        return int(self.wg("show", self.name, "listen-port"))

    def counters(self):
        """What this engine says it dropped: {name: number}, of the device only; {} from an engine that does not count."""
        text = self.uapi("counters=1\n\n")
        found = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key in ("public_key", "stranger", "features"):
                break
            if value.isdigit():
                found[key] = int(value)
        found.pop("errno", None)
        return found

    def strangers(self):
        return re.findall(r"^stranger=([0-9a-f]{64})$", self.uapi("counters=1\n\n"), re.M)

    def peer_counters(self, public):
        text = self.uapi("counters=1\n\n").partition(f"public_key={public.hex()}\n")[2].split("public_key=")[0]
        return {k: int(v) for k, v in re.findall(r"^(\w+)=(\d+)$", text, re.M)}


def answer(s):
    """One UAPI answer: all to the blank line, or what came before the other side closed."""
    text = b""
    while not text.endswith(b"\n\n"):
        more = s.recv(1 << 16)
        if not more:
            break
        text += more
    return text.decode()


def errno_of(text):
    found = re.search(r"errno=(-?\d+)\n\n$", text)
    return int(found[1]) if found else None


class World:
    def __init__(self, *names):
        self.names, self.places, self.engines, self.initial = names, {}, [], None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("needs root (namespaces)")
        if not os.path.exists("/dev/net/tun"):
            raise Skip("needs /dev/net/tun")
        needs("ip", "wg", "nsenter", "ping")
        if libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID):
            raise Skip("no namespaces may be made here")
        # The first child is the namespace's init: with it, everything started here ends; it ends with this process.
        mine = os.getpid()
        self.initial = os.fork()
        if self.initial == 0:
            die_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            if mine:
                while True:
                    signal.pause()
        run = lambda *c: subprocess.run(c, check=True, stdout=subprocess.DEVNULL)      # noqa: E731
        run("mount", "--make-rprivate", "/")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        for folder in ("netns", "logs", "bin", "state"):
            os.mkdir(f"/run/{folder}")
        os.symlink(PROGRAM, "/run/bin/wgdeck-engine")
        os.environ["PATH"] = "/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        os.environ["STATE_DIRECTORY"] = "/run/state"
        os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
        if "tsan" in str(PROGRAM):
            os.environ["WGDECK_SANDBOX"] = "0"
        os.environ.pop("WG_PROCESS_FOREGROUND", None)
        if IS_OURS and OURS == ["wgdeck-engine"] and not os.access(PROGRAM, os.X_OK):
            raise Failed(f"{PROGRAM} is not built")
        for name in self.names:
            self.place(name)
        return self

    def __exit__(self, kind, value, trace):
        if kind and not issubclass(kind, Skip):
            for engine in self.engines:
                if not engine.kernel:
                    state = "alive" if engine.alive() else f"ended with {engine.process.returncode if engine.process else None}"
                    print(f"-- {engine.name} ({engine.engine[0]}, {state}):\n{engine.log()[-800:]}")
        for engine in self.engines:
            if engine.process and engine.process.poll() is None:
                engine.process.kill()
        if self.initial:
            os.kill(self.initial, signal.SIGKILL)
            # The namespace's init is gone only when all in it are, so all are taken.
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)
        for engine in self.engines:
            assert not re.search(r"Sanitizer|runtime error", engine.log()), engine.log()

    def place(self, name):
        if name not in self.places:
            subprocess.run(["ip", "netns", "add", name], check=True)
            self.places[name] = Place(self, name)
            self.places[name].ip("link set lo up")
        return self.places[name]

    __getitem__ = place

    def link(self, a, b, a_addresses=("192.0.2.1/24", "2001:db8::1/64"), b_addresses=("192.0.2.2/24", "2001:db8::2/64"), mtu=1500, names=None):
        """A veth pair; each end is named after the other place."""
        a, b = self.place(a), self.place(b)
        left, right = names or (f"to_{b.name}", f"to_{a.name}")
        a.ip("link add", left, "mtu", mtu, "type veth peer name", right, "mtu", mtu, "netns", b.name)
        for place, name, addresses in ((a, left, a_addresses), (b, right, b_addresses)):
            for address in addresses:
                place.ip("address add", address, "dev", name, "nodad" if ":" in address else "")
            place.ip("link set", name, "up")
        return left, right

    def engine(self, place, name, command=None, **more):
        engine = Engine(self.place(place), name, OURS if command is None else command, start=False, **more)
        self.engines.append(engine)
        engine.start()
        return engine

    def raw_engine(self, place, name, command=None, **more):
        """Not started."""
        engine = Engine(self.place(place), name, OURS if command is None else command, start=False, **more)
        self.engines.append(engine)
        return engine

    def pair(self, first=None, second=None, outer=4, psk=None, mtu=1420, places=("a", "b"), keepalive=None, endpoints=(True, True)):
        """Two engines that know each other over link(places): 10.9.0.1 and .2, fd09::1 and ::2."""
        ends = []
        for number, (place, command) in enumerate(zip(places, (first or OURS, second or OURS)), 1):
            e = self.engine(place, f"wg{number}", command)
            e.configure(PORT + number)
            e.address, e.address6 = f"10.9.0.{number}", f"fd09::{number}"
            e.outer = f"192.0.2.{number}" if outer == 4 else f"[2001:db8::{number}]"
            ends.append(e)
        one, two = ends
        for e, other, known in ((one, two, endpoints[0]), (two, one, endpoints[1])):
            port = PORT + (2 if other is two else 1)
            e.peer(other.public, f"{other.address}/32,{other.address6}/128", f"{other.outer}:{port}" if known else None, keepalive, psk)
            e.up(f"{e.address}/24", f"{e.address6}/64", mtu=mtu)
        return one, two

    def ping(self, source, target, count=1, interval=0.01, size=56, wait=6, lost=0, family=4, place=None):
        """COUNT pings through the tunnel from one engine's place to the other's address; fails when more than LOST are lost."""
        address = target if isinstance(target, str) else (target.address if family == 4 else target.address6)
        done = (place or source.place).run(["ping", "-n", "-q", "-c", count, "-i", interval, "-s", size, "-W", wait * SLOW, address], check=False,
                                           timeout=count * interval + wait + 10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
        if not found:
            raise Failed(f"ping {address}: {done.stdout}")
        missing = int(found[1]) - int(found[2])
        if missing > lost:
            # Who dropped them: an engine says so, or the kernel, whose queues all namespaces share.
            counts = {e.name: {k: v for k, v in e.counters().items() if v} for e in self.engines if not e.kernel and "wgdeck" in e.engine[-1] and e.alive()}
            links = "".join(p.run("ip -s link; cat /proc/net/softnet_stat; grep Udp: /proc/net/snmp").stdout for p in self.places.values())
            raise Failed(f"ping {address}: {missing} of {found[1]} lost\n{done.stdout}\n{counts}\n{links}")
        return missing

    def deaf(self, source, target, seconds=0.5):
        """No answer comes."""
        address = target if isinstance(target, str) else target.address
        done = source.place.run(["ping", "-n", "-q", "-c", 2, "-i", 0.2, "-W", seconds, address], check=False)
        assert " 0 received" in done.stdout, done.stdout

    def raw(self, engine, place="b", address="192.0.2.2", inner="10.9.0.2", **more):
        return Raw(self, engine, self.place(place), address, inner, **more)


class Raw:
    """A bad peer: a UDP socket, and the whole protocol in Python. It is one row of ENGINE's (unless stranger)."""

    def __init__(self, world, engine, place, address, inner, private=None, psk=None, stranger=False, endpoint=False, port=0, extra="",
                 target="192.0.2.1", target_inner="10.9.0.1"):
        self.world, self.engine, self.place, self.inner = world, engine, place, inner
        self.party = noise.Party(engine.public, private, psk or noise.ZERO)
        self.public = self.party.public
        self.socket = place.udp(address, port)
        self.target, self.target_inner = (target, engine.port), target_inner
        self.session, self.sequence = None, 0
        if not stranger:
            own = self.socket.getsockname()
            host = f"[{own[0]}]" if ":" in own[0] else own[0]
            engine.peer(self.public, f"{inner}/32{extra}", f"{host}:{own[1]}" if endpoint else None, None, psk)

    def send(self, message, to=None):
        self.socket.sendto(message, to or self.target)

    def receive(self, kind=None, seconds=3):
        """The next message (of that kind); None when none came."""
        end = time.monotonic() + seconds * SLOW
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                message, self.heard_from = self.socket.recvfrom(65536)
            except (TimeoutError, socket.timeout):
                return None
            if kind is None or message[:1] == bytes([kind]):
                return message

    def drain(self):
        self.socket.setblocking(False)
        got = []
        with contextlib.suppress(BlockingIOError):
            while True:
                got.append(self.socket.recv(65536))
        self.socket.setblocking(True)
        return got

    def connect(self, seconds=3):
        """A handshake with this end as the initiator; confirmed by a keepalive."""
        for _ in range(4):
            self.send(self.party.initiation())
            reply = self.receive(noise.RESPONSE, seconds)
            if reply:
                self.session = self.party.response(reply)
                self.send(self.session.seal(b""))
                return self.session
            time.sleep(0.05)
        raise Failed("no response to a right initiation")

    def data(self, seconds=3):
        """The next data packet for the session, opened; keepalives passed over."""
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            message = self.receive(noise.DATA, end - time.monotonic())
            if message is None:
                return None
            try:
                packet = self.session.open(message)
            except noise.Refused:
                continue
            if packet:
                return packet
        return None

    def ping(self, counter=None, source=None, seconds=3):
        """An echo through the session; whether the answer came."""
        self.sequence = (self.sequence + 1) & 0xffff
        self.send(self.session.seal(noise.echo(source or self.inner, self.target_inner, sequence=self.sequence), counter))
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            packet = self.data(end - time.monotonic())
            if packet is None:
                return False
            if packet[20] == 0 and struct.unpack(">H", packet[26:28])[0] == self.sequence:
                return True
        return False


class Pinger:
    """Pings all the time from one place, in the background; lost() at its end."""

    def __init__(self, source, address, interval=0.01):
        self.process = source.popen(["ping", "-n", "-q", "-i", str(interval), "-W", "5", address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """(sent, lost)"""
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=15)[0]
        found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        return int(found[1]), int(found[1]) - int(found[2])


class Capture:
    """All UDP of one place's interface with its port, from a packet socket: [(outgoing, IP header, payload)]. It waits in the kernel until the end: after
    unshare no thread can be started here."""

    def __init__(self, place, interface, port=None):
        self.port, self.packets = port, []
        self.socket = place.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)       # SO_RCVBUFFORCE
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)

    def end(self):
        """May be called again: what came since is added."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, source = self.socket.recvfrom(70000)
                if len(packet) < 28 or packet[0] >> 4 not in (4, 6):
                    continue
                at, protocol = ((packet[0] & 15) * 4, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
                if protocol == 17 and (self.port is None or self.port in struct.unpack(">HH", packet[at:at + 4])):
                    self.packets.append((source[2] == socket.PACKET_OUTGOING, packet[:at], packet[at + 8:]))
        return self.packets

    def kinds(self, outgoing=None):
        """How many messages of each type: {1: n, …}."""
        count = {}
        for out, _, payload in self.end():
            if payload and (outgoing is None or out == outgoing):
                count[payload[0]] = count.get(payload[0], 0) + 1
        return count
