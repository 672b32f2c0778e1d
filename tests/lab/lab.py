"""A network of real servers in namespaces of this machine, to run wgdeck against.

    from lab import Lab, Host
    with Lab(5) as lab:                                   # n1 … n5, full mesh
        print(lab.operator.run(["ssh", "n1", "wg show"]).stdout)

Each host has its own network, mounts, processes and name, OpenSSH, and Debian's wireguard-go.  README.md is the
introduction; topology.py says what is built, supervisor.py builds it, breaks.py breaks it.
"""
import atexit
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import topology                                          # noqa: E402
from breaks import Breaks                                # noqa: E402
from topology import Host, genkey, genpsk, pubkey        # noqa: E402,F401  (part of the lab's face)

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
STATE = pathlib.Path("/run/wgdeck-lab")                   # of labs that `lab up` left running
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDS = ("ip", "nft", "sshd", "ssh", "ssh-keygen", "wg", "unshare", "nsenter", "setpriv", "ping", "sudo")
BOOT_TIMEOUT = 200


class LabError(Exception):
    """Something in the lab itself failed."""


class CommandFailed(LabError, subprocess.CalledProcessError):
    """A command in a host ended with a status other than 0; says what it printed."""

    def __init__(self, where, done):
        subprocess.CalledProcessError.__init__(self, done.returncode, done.args, done.stdout, done.stderr)
        self.where = where

    def __str__(self):
        text = "\n".join(str(t).strip() for t in (self.stdout, self.stderr) if t)
        return f"{self.where}: {self.cmd!r} ended with {self.returncode}: {text[-2000:]}"


def default_engine():
    """What LAB_ENGINE says (kernel, or a command), or wireguard-go."""
    return shlex.split(os.environ.get("LAB_ENGINE", "")) or ["wireguard-go"]


def unavailable():
    """Why no lab can run here, or None."""
    if os.geteuid() != 0:
        return "the lab needs root"
    engine = default_engine()[0]
    needs = NEEDS + (() if engine == "kernel" else (engine,))
    missing = [t for t in needs if not shutil.which(t, path=PATH)]
    if missing:
        return f"the lab needs {', '.join(missing)} (apt-get install iproute2 nftables openssh-server " \
               "openssh-client wireguard-tools wireguard-go iputils-ping sudo util-linux)"
    if not os.path.exists("/dev/net/tun"):
        return "the lab needs /dev/net/tun"
    if subprocess.run(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true"],
                      capture_output=True).returncode:
        return "no namespaces may be made here"
    return None


class Node:
    """One machine of a running lab: a host, a gateway, the operator or the router."""

    def __init__(self, name, pid, facts=None):
        self.name, self.pid, self.facts = name, pid, facts
        # address, address6, private, ssh_port, mesh, public_key, endpoint, nat, gateway: see topology.Host.

    def __getattr__(self, what):
        facts = self.__dict__.get("facts")
        if facts is not None and hasattr(facts, what):
            return getattr(facts, what)
        raise AttributeError(what)

    def __repr__(self):
        return f"<{self.name}>"

    def command(self, cmd, user=None, cwd=None, env=None, terminal=False):
        """The argv that runs cmd in here, for those who start it themselves.  The command gets SIGKILL when
        nsenter ends, so that nobody who kills what he started leaves something behind.  With terminal, nsenter
        itself survives the ^C and ^\\ that are meant for the command."""
        if isinstance(cmd, str):
            cmd = ["sh", "-c", cmd]
        home = "/root" if user in (None, "root") else f"/home/{user}"
        names = {"PATH": PATH, "HOME": home, "USER": user or "root", "LOGNAME": user or "root",
                 "SHELL": "/bin/bash", "LANG": "C.UTF-8", **(env or {})}
        # The router shares its mount and pid namespaces with the supervisor; the same flags are right for it.
        argv = ["env", "--ignore-signal=INT,QUIT"] if terminal else []
        # -r: below a chroot, the root of the mount namespace is not the root of the processes in it.
        argv += ["nsenter", "-t", str(self.pid), "-m", "-r", "-u", "-i", "-n", "-p", "--"]
        argv += ["setpriv", "--pdeathsig", "KILL"]
        if user not in (None, "root"):
            argv += ["--reuid", user, "--regid", user, "--init-groups"]
        argv += ["env", "-i", *(["--default-signal=INT,QUIT"] if terminal else []), "-C", str(cwd or home)]
        return argv + [*(f"{k}={v}" for k, v in names.items()), *map(str, cmd)]

    def popen(self, cmd, user=None, cwd=None, env=None, terminal=False, **more):
        """subprocess.Popen inside this machine; all of Popen's own arguments can be given."""
        return subprocess.Popen(self.command(cmd, user, cwd, env, terminal), **more)

    def run(self, cmd, check=True, input=None, timeout=60, text=True, user=None, cwd=None, env=None, merge=False):
        """Run cmd (a list, or a string for sh -c) to its end inside this machine, not through ssh.
        Returns a CompletedProcess with stdout and stderr captured (merge: both in stdout, in order)."""
        p = self.popen(cmd, user, cwd, env, text=text, start_new_session=True,
                       stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT if merge else subprocess.PIPE)
        try:
            out, err = p.communicate(input, timeout)
        except BaseException:
            # The whole session, or a grandchild would hold the pipes open and the next line would wait for it.
            os.killpg(p.pid, signal.SIGKILL)
            p.communicate()
            raise
        done = subprocess.CompletedProcess(cmd, p.returncode, out, err)
        if check and p.returncode:
            raise CommandFailed(self.name, done)
        return done

    def out(self, cmd, **more):
        """What the command prints, without the last newline."""
        return self.run(cmd, **more).stdout.rstrip("\n")

    def spawn(self, cmd, log="/dev/null", env=None):
        """Start a service that outlives this call (a child of the host's pid 1), output to a log file there."""
        if isinstance(cmd, str):
            cmd = ["sh", "-c", cmd]
        self.run(["sh", "-c", 'log=$1; shift; setsid setpriv --pdeathsig clear "$@" </dev/null >>"$log" 2>&1 &',
                  "sh", log, *map(str, cmd)], env=env)

    def write(self, path, data, mode=0o644):
        """Atomically: the file is there with its mode and content, or as it was."""
        self.run(["sh", "-c", 'umask 077; cat >"$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"', "sh",
                  str(path), f"{mode:o}"], input=data, text=isinstance(data, str))

    def read(self, path, text=True):
        return self.run(["cat", str(path)], text=text).stdout

    def processes(self):
        """[(pid, argv)] of what runs in here, pid 1 left out; pids are those of the caller's namespace."""
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        out = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(pid) != self.pid and os.readlink(f"/proc/{pid}/ns/pid") == mine:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        out.append((int(pid), f.read().decode(errors="replace").rstrip("\0").split("\0")))
            except OSError:
                pass                     # it ended while we looked
        return out

    def signal(self, program, number):
        """Send a signal to each process here whose program has this base name ('' means all); raises when there
        is none."""
        hit = [pid for pid, argv in self.processes()
               if not program or os.path.basename(argv[0].split(":")[0].split(" ")[0]) == program]
        if not hit:
            raise LabError(f"{self.name}: no {program or 'process'} runs")
        for pid in hit:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def rows(self, interface=topology.INTERFACE):
        """`wg show dump` as {public key: {psk, endpoint, allowed, handshake, rx, tx, keepalive}}."""
        out = {}
        for line in self.out(["wg", "show", interface, "dump"]).splitlines()[1:]:
            key, psk, endpoint, allowed, hs, rx, tx, ka = line.split("\t")
            out[key] = {"psk": None if psk == "(none)" else psk,
                        "endpoint": None if endpoint == "(none)" else endpoint,
                        "allowed": [] if allowed == "(none)" else allowed.split(","),
                        "handshake": int(hs), "rx": int(rx), "tx": int(tx),
                        "keepalive": 0 if ka == "off" else int(ka)}
        return out


class Lab(Breaks):
    """A lab.  Hosts are a number (n1 … nN), names, or Host objects.

    mesh "full", "hub" (hub=NAME, default the first), "groups" (a provider is a group, its first host the gateway)
    or "none"; keepalive "auto" (25 on NATed hosts' rows only) or
    seconds for every row; psk=True gives each pair its own; family 6 prefers IPv6 endpoints; saved=False writes no
    wg0.conf; log is wireguard-go's LOG_LEVEL (error, verbose); engine is a command, started
    as CMD… -f wg0, or ["kernel"] (default: what $LAB_ENGINE says, or wireguard-go); disk is the size of each host's "disk";
    binds are further paths that stay visible in all hosts, each a path or (path, read_only).
    """

    def __init__(self, hosts=3, *, binds=(), disk="512m", detached=False, **options):
        if isinstance(hosts, int):
            hosts = [f"n{i}" for i in range(1, hosts + 1)]
        options["engine"] = options.get("engine") or default_engine()
        self.plan, self.options = topology.Plan(hosts, **options), options
        self.binds, self.disk, self.detached = list(binds), disk, detached
        self.supervisor = None            # the unshare process
        self.pid = None                   # pid 1 of the lab: killing it ends everything
        self.nodes, self.times = {}, {}

    # ---- life ----------------------------------------------------------------------------------------------

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        why = unavailable()
        if why:
            raise LabError(why)
        began = time.monotonic()
        plan = {"machines": self.plan.machines(), "disk": self.disk, "pw_hash": topology.PW_HASH,
                "detached": self.detached,
                "binds": [[str(CHECKOUT), False]] + [[b, False] if isinstance(b, str) else list(b) for b in self.binds]}
        data = json.dumps(plan).encode()
        argv = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
                "/usr/bin/python3", "-sE", str(HERE / "supervisor.py")]
        # A killed test must take its lab along.  The supervisor sees its standard input close; and, quicker and
        # even when it hangs, SIGKILL comes when the parent dies.  The kernel means the parent *thread*, so only
        # the main thread may ask for that.
        if not self.detached and threading.current_thread() is threading.main_thread():
            argv = ["setpriv", "--pdeathsig", "KILL"] + argv
        # Its errors go to a file and are shown when it fails: util-linux 2.38's unshare --fork prints a
        # "sigprocmask unblock failed" that means nothing.
        self._errors = tempfile.TemporaryFile()
        self.supervisor = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                                           start_new_session=True, cwd="/", env={"PATH": PATH})
        atexit.register(self.stop)
        try:
            self.supervisor.stdin.write(len(data).to_bytes(8, "big") + data)
            self.supervisor.stdin.flush()
            self.pid = self._child(self.supervisor.pid)
            answer = self._answer()
            self._meet(answer["machines"])
        except BaseException:
            self.stop()
            raise
        self.times["boot"] = time.monotonic() - began

    @staticmethod
    def _child(pid):
        """The one child of unshare.  setpriv and unshare take a moment to get there."""
        for _ in range(5000):
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    children = f.read().split()
            except FileNotFoundError:
                break
            if children:
                return int(children[0])
            time.sleep(0.002)
        raise LabError("the supervisor did not start (namespaces not allowed?)")

    def _answer(self):
        out, data = self.supervisor.stdout, b""
        end = time.monotonic() + BOOT_TIMEOUT
        while not data.endswith(b"\n"):
            if not select.select([out], [], [], max(0, end - time.monotonic()))[0]:
                raise LabError("the lab did not come up in time")
            chunk = os.read(out.fileno(), 65536)
            if not chunk:
                self._errors.seek(0)
                raise LabError("the supervisor ended while starting: "
                               + self._errors.read().decode(errors="replace").strip()[-2000:])
            data += chunk
        answer = json.loads(data)
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    def _meet(self, machines):
        """The supervisor knows its own pids of the hosts; find ours for them."""
        ours = {1: self.pid}
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            for pid in f.read().split():
                with open(f"/proc/{pid}/status") as s:
                    ids = next(line for line in s if line.startswith("NSpid:")).split()
                ours[int(ids[-2])] = int(pid)
        facts = {h.name: h for h in self.plan.hosts}
        self.nodes.update({n: Node(n, ours[m["pid"]], facts.get(n)) for n, m in machines.items()})

    def stop(self):
        """End the lab; returns when all of it is gone.  Harmless when it is gone already."""
        atexit.unregister(self.stop)
        if self.supervisor is None:
            return
        # Not unshare but its child, pid 1 of the lab: its end waits for all others' in the kernel, and unshare's
        # waits for that.
        for pid in (self.pid, None if self.pid else self.supervisor.pid):
            if pid and self.supervisor.poll() is None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.supervisor.wait(30)
        for f in (self.supervisor.stdin, self.supervisor.stdout):
            if f:
                try:
                    f.close()
                except OSError:
                    pass
        self.supervisor = None

    def alive(self):
        return self.supervisor is not None and self.supervisor.poll() is None

    # ---- power ---------------------------------------------------------------------------------------------

    def power_cut(self, name):
        """End the host at once: its pid 1 is killed, and all its processes, mounts and networks with it.  Its disk stays."""
        pid = self.host(name).pid
        started = _start_time(pid)
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while _start_time(pid) == started and self._state(pid) not in ("Z", None):
            if time.monotonic() > end:
                raise LabError(f"{name} does not end")
            time.sleep(0.005)

    def power_on(self, name):
        """Boot it again from its disk: sshd, and what is enabled at boot (else wg0 as the lab made it)."""
        self.supervisor.stdin.write(f"on {name}\n".encode())
        self.supervisor.stdin.flush()
        answer = self._answer()
        before = self.nodes[name]
        self._meet({name: answer})
        self.nodes[name].facts = before.facts

    @staticmethod
    def _state(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            return None

    # ---- its machines --------------------------------------------------------------------------------------

    def host(self, name):
        if name not in self.nodes:
            raise LabError(f"no host {name} in this lab (there are {', '.join(self.nodes)})")
        return self.nodes[name]

    __getitem__ = host

    @property
    def hosts(self):
        return [self.nodes[h.name] for h in self.plan.hosts]

    @property
    def operator(self):
        return self.nodes["operator"]

    @property
    def router(self):
        """The internet between all hosts; sees every packet of the underlay."""
        return self.nodes["router"]

    def gateway(self, name):
        """The NAT gateway of a host."""
        facts = self.host(name).facts
        if not facts.gateway:
            raise LabError(f"{name} is not behind a NAT")
        return self.nodes[facts.gateway]

    def links(self):
        """[(initiator, responder)] names of the pairs that can reach each other as built."""
        return [(a.name, b.name) for a, b in self.plan.reachable_links()]

    # ---- traffic -------------------------------------------------------------------------------------------

    def warm(self, timeout=60, family=4):
        """Ping each reachable pair through the mesh, so that every handshake has happened; raises with the pairs
        that did not answer in time."""
        began = time.monotonic()
        targets = {}
        for a, b in self.plan.reachable_links():
            targets.setdefault(a.name, []).append(b.mesh[0 if family == 4 else 1])
        pinger = str(HERE / "pinger.py")
        running, waiting, failed = [], sorted(targets), []
        end = began + timeout
        while running or waiting:
            # A few hosts at a time: handshakes are CPU, and all at once trip wireguard-go's under-load cookies.
            while waiting and len(running) < 6:
                n = waiting.pop(0)
                left = max(1, end - time.monotonic())
                running.append((n, self.host(n).popen(["/usr/bin/python3", "-SsE", pinger, f"{left:.1f}", *targets[n]],
                                                      text=True, start_new_session=True, stdin=subprocess.DEVNULL,
                                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)))
            n, p = running.pop(0)
            try:
                out, _ = p.communicate(timeout=max(1, end - time.monotonic()) + 5)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                out, _ = p.communicate()
                out += " (hung)"
            if p.returncode:
                failed.append(f"{n}: {out.strip()}")
        self.times["warm"] = time.monotonic() - began
        if failed:
            raise LabError("no answer through the mesh: " + "; ".join(failed)[:2000])

    def ping(self, a, b, count=1, timeout=2, size=None, df=False, family=4, underlay=False):
        """Whether b answers a's pings (any of count)."""
        to = self.host(b)
        target = (to.address if family == 4 else to.address6) if underlay else to.mesh[0 if family == 4 else 1]
        cmd = ["ping", "-q", "-n", f"-{family}", "-c", str(count), "-W", str(timeout), "-i", "0.2"]
        cmd += ["-s", str(size)] if size else []
        cmd += ["-M", "do"] if df else []
        return self.host(a).run(cmd + [target], check=False, timeout=timeout + count + 10).returncode == 0

    # ---- labs that stay (lab up) ------------------------------------------------------------------------------

    def save(self, name):
        STATE.mkdir(mode=0o700, exist_ok=True)
        state = {"name": name, "pid": self.pid, "started": _start_time(self.pid),
                 "nodes": {n: node.pid for n, node in self.nodes.items()},
                 "hosts": [h.__dict__ for h in self.plan.hosts],
                 "options": self.options, "disk": self.disk}
        tmp = STATE / f".{name}.new"
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w") as f:
            json.dump(state, f)
        os.rename(tmp, STATE / f"{name}.json")

    @classmethod
    def attach(cls, name):
        """A lab that `lab up` left running, with everything but stop()."""
        try:
            state = json.loads((STATE / f"{name}.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab {name} is up (lab list)") from None
        if _start_time(state["pid"]) != state["started"]:
            raise LabError(f"the lab {name} has ended")
        facts = [Host(**h) for h in state["hosts"]]
        lab = cls(facts, disk=state["disk"], **state["options"])
        for h, saved in zip(facts, state["hosts"]):
            vars(h).update(saved)          # the plan numbers anew; what was renumbered since stays so
        lab.pid = state["pid"]
        by_name = {h.name: h for h in facts}
        lab.nodes = {n: Node(n, pid, by_name.get(n)) for n, pid in state["nodes"].items()}
        return lab


def _start_time(pid):
    """In clock ticks since boot, or None when there is no such process: tells a reused pid from ours."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def down(name):
    """End a lab that `lab up` left running."""
    path = STATE / f"{name}.json"
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabError(f"no lab {name} is up (lab list)") from None
    end = time.monotonic() + 30
    while _start_time(state["pid"]) == state["started"]:
        os.kill(state["pid"], signal.SIGKILL)
        if time.monotonic() > end:
            raise LabError(f"pid {state['pid']} of the lab {name} does not end")
        time.sleep(0.02)
    path.unlink()


def running():
    """{name: state} of the labs that `lab up` left; state files of ended ones are removed."""
    out = {}
    for path in sorted(STATE.glob("*.json")):
        state = json.loads(path.read_text())
        if _start_time(state["pid"]) == state["started"]:
            out[path.stem] = state
        else:
            path.unlink()
    return out
