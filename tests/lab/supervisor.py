"""The one process below which a whole lab lives: pid 1 of the outer namespaces, and the router between all hosts.

Started by lab.py as `unshare --mount --pid --net --uts --ipc --fork --kill-child python3 supervisor.py`, with the
plan on standard input.  When this process ends, in whatever way, the kernel ends every process below it, and with
the last of them every network namespace and mount goes too: nothing has to be cleaned up, so nothing can be missed.
It also ends by itself when its standard input closes, which is when the process that made the lab dies.
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = (
    1, 2, 4, 32, 4096, 8192, 16384, 1 << 18)
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
BASE = "/run/lab"          # below the supervisor's private /run
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEADLINE = 60              # seconds for any one step of the boot; a step that takes longer fails the lab
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags=0, data=""):
    check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()),
          f"mount {kind or source} on {target}")


def put(path, content, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        os.fchmod(f.fileno(), mode)
        f.write(content)


def tool(argv, text=None, **more):
    """Run a tool to its end; what it printed is in the error when it fails."""
    done = subprocess.run(argv, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE, env={"PATH": PATH}, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout


def ip_batch(lines):
    if lines:
        tool(["ip", "-batch", "-"], "\n".join(lines) + "\n")


def set_sysctl(values):
    for name, value in values.items():
        with open(f"/proc/sys/{name}", "w") as f:
            f.write(value)


# ---- one machine ---------------------------------------------------------------------------------------------

# Directories of the machine below, hidden from hosts: they start empty.
EMPTY = {"etc/ssh": 0o755, "etc/wireguard": 0o700, "etc/sudoers.d": 0o755, "etc/profile.d": 0o755, "root": 0o700,
         "home": 0o755, "tmp": 0o1777, "var/tmp": 0o1777, "var/log": 0o755, "run": 0o755}


def disk_of(m):
    return f"{BASE}/disks/{m['name']}"


def make_disk(m, plan):
    """The machine's disk belongs to the supervisor, so that it outlives a power cut."""
    base = disk_of(m)
    os.makedirs(base)
    mount("tmpfs", base, "tmpfs", MS_NOSUID, f"mode=0755,size={plan['disk']}")
    upper = f"{base}/upper"
    for d in ("upper", "work", "new"):
        os.mkdir(f"{base}/{d}", 0o755)
    for d, mode in EMPTY.items():
        os.makedirs(f"{upper}/{d}", 0o755, exist_ok=True)
        os.chmod(f"{upper}/{d}", mode)
        os.setxattr(f"{upper}/{d}", "trusted.overlay.opaque", b"y")
    for f in m.get("hide", []):
        f = os.path.realpath(f)
        if os.path.exists(f):
            os.makedirs(upper + os.path.dirname(f), 0o755, exist_ok=True)
            os.mknod(upper + f, 0o600 | 0o020000, 0)      # a whiteout


def build_root(m, plan):
    """A root file system of the machine's own: an overlay whose writable side is its disk, so that every file may be
    changed and none is changed outside.  Then this becomes / and the old one is let go."""
    base = disk_of(m)
    upper, work, new = f"{base}/upper", f"{base}/work", f"{base}/new"
    mount("overlay", new, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
    mount("/dev", f"{new}/dev", "", MS_BIND | MS_REC)
    mount("tmpfs", f"{new}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    mount("proc", f"{new}/proc", "proc")
    mount("sysfs", f"{new}/sys", "sysfs")
    mount("tmpfs", f"{new}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.mkdir(f"{new}/run/sshd", 0o755)
    os.mkdir(f"{new}/run/lock", 0o1777)
    os.mkdir(f"{new}/run/.disk", 0o700)                   # kept so that the "disk" can be made small later
    mount(base, f"{new}/run/.disk", "", MS_BIND)
    for path, read_only in plan["binds"]:
        os.makedirs(new + path, exist_ok=True)
        mount(path, new + path, "", MS_BIND | MS_REC)
        if read_only:
            mount("", new + path, "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    os.chdir(new)
    if libc.syscall(SYS_PIVOT_ROOT, b".", b".") == 0:
        check(libc.umount2(b".", MNT_DETACH), "umount the old root")
    else:
        # An initramfs cannot be pivoted away; cover it.  nsenter goes to the uppermost root as well.
        mount(".", "/", "", MS_MOVE)
        os.chroot(".")
    os.chdir("/")


def add_users(m, plan):
    """root, ops (sudo without password), pw (password "lab", sudo with it), guest (neither)."""
    users = [("ops", 2001, "*"), ("pw", 2002, plan["pw_hash"]), ("guest", 2003, "*")]
    names = {u[0] for u in users} | {"root"}

    def kept(path):
        with open(path) as f:
            return [line for line in f.read().splitlines() if line.split(":")[0] not in names]
    put("/etc/passwd", "\n".join(["root:x:0:0:root:/root:/bin/bash"] + kept("/etc/passwd") + [
        f"{n}:x:{uid}:{uid}::/home/{n}:/bin/bash" for n, uid, _ in users]) + "\n")
    put("/etc/shadow", "\n".join(["root:*:19000:0:99999:7:::"] + kept("/etc/shadow") + [
        f"{n}:{h}:19000:0:99999:7:::" for n, _, h in users]) + "\n", 0o640)
    put("/etc/group", "\n".join(["root:x:0:"] + kept("/etc/group") + [
        f"{n}:x:{uid}:" for n, uid, _ in users]) + "\n")
    # sudo's own files too: what the machine has for it is not to matter.
    pam = "".join(f"{kind} required pam_unix.so\n" for kind in ("auth", "account", "session"))
    os.makedirs("/etc/pam.d", exist_ok=True)
    for service in ("sudo", "sudo-i", "other"):
        put(f"/etc/pam.d/{service}", pam)
    put("/etc/sudoers", "Defaults env_reset\n"
        "Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n"
        "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n", 0o440)
    put("/etc/sudoers.d/lab", "ops ALL=(ALL:ALL) NOPASSWD: ALL\npw ALL=(ALL:ALL) ALL\n", 0o440)
    for n, uid, _ in users:
        os.mkdir(f"/home/{n}", 0o755)
        os.chown(f"/home/{n}", uid, uid)
        if m["kind"] == "host" and n != "pw":
            authorize(f"/home/{n}", plan["ssh_public"], uid)


def authorize(home, public, uid):
    os.mkdir(f"{home}/.ssh", 0o700)
    put(f"{home}/.ssh/authorized_keys", public + "\n", 0o600)
    for p in (f"{home}/.ssh", f"{home}/.ssh/authorized_keys"):
        os.chown(p, uid, uid)


def write_files(m, plan):
    name = m["name"]
    put("/etc/hostname", name + "\n")
    put("/etc/init.d/rc", "#!/bin/sh\n# By this wgdeck knows a System V init; boot_again does its work.\n", 0o755)
    put("/etc/hosts", f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t{name}\n" + m.get("names", ""))
    # No resolver is there: an empty file makes lookups fail at once instead of after a timeout.
    for path in ("/etc/resolv.conf", "/etc/environment", "/etc/bash.bashrc", "/etc/motd"):
        if os.path.islink(path):
            os.unlink(path)
        put(path, "")
    put("/etc/ssh/ssh_config", "")
    for path, (mode, content) in m.get("files", {}).items():
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        put(path, content, mode)
    for path, target in m.get("symlinks", {}).items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)


def host_key():
    """A fresh key of its own; returns the public half, as known_hosts wants it."""
    tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "/etc/ssh/ssh_host_ed25519_key"])
    with open("/etc/ssh/ssh_host_ed25519_key.pub") as f:
        return " ".join(f.read().split()[:2])


def start_sshd(m):
    put("/etc/ssh/sshd_config", "\n".join([
        "Port 22", "HostKey /etc/ssh/ssh_host_ed25519_key", "PidFile /run/sshd.pid", "PermitRootLogin yes",
        "PasswordAuthentication yes", "KbdInteractiveAuthentication no", "UsePAM no", "UseDNS no",
        "PrintMotd no", "AcceptEnv LANG LC_*", "Subsystem sftp internal-sftp",
        *m.get("sshd_extra", []), ""]))
    tool(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])


def answers(path):
    """Whether somebody listens there.  That the file exists is not enough: between the engine's bind and its
    listen, `wg` is refused, takes the socket for a dead engine's, and removes it."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


def start_engine(w):
    """Engine in the foreground below this pid 1, so that there is one process and its log is a plain file."""
    with open("/var/log/wireguard-go.log", "ab") as log:
        engine = subprocess.Popen(w["engine"] + ["-f", w["interface"]], stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, start_new_session=True, cwd="/",
                                  env={"PATH": PATH, "HOME": "/root", "LOG_LEVEL": w["log"]})
    path = f"/run/wireguard/{w['interface']}.sock"
    end = time.monotonic() + DEADLINE
    while not answers(path):
        if engine.poll() is not None or time.monotonic() > end:
            with open("/var/log/wireguard-go.log", errors="replace") as f:
                raise RuntimeError(f"{w['engine'][0]} did not start: {f.read().strip()[-600:]}")
        time.sleep(0.003)


def start_wireguard(w):
    if w["engine"] == ["kernel"]:
        tool(["ip", "link", "add", w["interface"], "type", "wireguard"])
    else:
        start_engine(w)
    put("/run/wg.setconf", w["conf"], 0o600)
    tool(["wg", "setconf", w["interface"], "/run/wg.setconf"])
    os.unlink("/run/wg.setconf")
    ip_batch(w["ip"])


def quiet_network():
    """No duplicate address detection (it would cost a second) and nothing learned from router advertisements."""
    for scope in ("all", "default"):
        set_sysctl({f"net/ipv6/conf/{scope}/accept_dad": "0", f"net/ipv6/conf/{scope}/accept_ra": "0",
                    f"net/ipv4/conf/{scope}/send_redirects": "0", f"net/ipv4/conf/{scope}/rp_filter": "0"})


def reap():
    """pid 1's lasting duty.  SIGCHLD is not blocked, since services would inherit that; so wait, or look again."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.2)


def furnish(m, plan, result):
    """A new machine's files."""
    write_files(m, plan)
    if m.get("users"):
        add_users(m, plan)
    if m["kind"] == "operator":
        put("/root/.ssh/id_ed25519", plan["ssh_private"], 0o600)
        put("/root/.ssh/id_ed25519.pub", plan["ssh_public"] + "\n")
    elif m["kind"] == "host":
        authorize("/root", plan["ssh_public"], 0)
        result["host_key"] = host_key()


def boot_scripts():
    """What wgdeck has enabled on this machine, in the order of a System V init."""
    return sorted(f"/etc/rc2.d/{f}" for f in os.listdir("/etc/rc2.d") if f.startswith("S") and "wgdeck" in f) \
        if os.path.isdir("/etc/rc2.d") else []


def boot_again(m):
    """After a power cut: what is enabled at boot; else the interface as it was when the lab was made."""
    scripts = boot_scripts()
    for script in scripts:
        with open("/var/log/boot.log", "ab") as log:
            subprocess.run([script, "start"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60,
                           env={"PATH": PATH})
    if m.get("wg") and not scripts:
        start_wireguard(m["wg"])


def machine(m, plan, report, go, again=False):
    """pid 1 of one host, gateway or operator.  Reports one line of JSON when it is up, and one more when its
    keepalives are set (see Plan.keepalives); then reaps for ever.  AGAIN: its disk is as the last power cut left it."""
    result = {"name": m["name"]}

    def tell():
        os.write(report, (json.dumps(result) + "\n").encode())
    try:
        quiet_network()
        socket.sethostname(m["name"])
        build_root(m, plan)
        if not again:
            furnish(m, plan, result)
        os.read(go[0], 1)                    # end of file: the router's side of all lines is there
        ip_batch(m["ip"])
        set_sysctl(m["sysctl"])
        if m.get("nft"):
            tool(["nft", "-f", "-"], m["nft"])
        set_sysctl(m.get("late_sysctl", {}))
        if m.get("sshd"):
            start_sshd(m)
        if again:
            boot_again(m)
        elif m.get("wg"):
            start_wireguard(m["wg"])
            if m["wg"]["keepalives"]:
                tell()
                os.read(go[1], 1)            # end of file: all engines are up
                tool(["wg", "set", m["wg"]["interface"], *m["wg"]["keepalives"]])
    except Exception:
        result["error"] = traceback.format_exc()[-3000:]
    tell()
    os.close(report)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    reap()


def start_machine(m, plan, report, go, close, again=False):
    """Fork it into namespaces of its own; returns its pid here.  Two forks, because a new pid namespace takes in
    only children of who made it."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for fd in close:
                os.close(fd)
            check(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET), "unshare")
            child = os.fork()
            if child == 0:
                machine(m, plan, report, go, again)
            os.write(w, str(child).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(w)
    os.waitpid(pid, 0)
    text = os.read(r, 32)
    os.close(r)
    if not text:
        raise RuntimeError(f"{m['name']}: no namespaces could be made")
    return int(text)


# ---- all of them -----------------------------------------------------------------------------------------------

def lines_to(machines, pids):
    """ip commands that lay the lines between the router, the gateways and the hosts."""
    lay, then = [], []
    for m in machines:
        link, pid = m["link"], pids[m["name"]]
        if "gateway" in link:
            gw = pids[link["gateway"]]
            lay.append(f"link add name {link['port']} netns {gw} type veth peer name {link['peer']} netns {pid}")
        else:
            lay.append(f"link add name {link['port']} type veth peer name {link['peer']} netns {pid}")
            then += link["router"]
    return lay + then


def boot(plan):
    """Bring everything up; returns {name: {"pid":…, "host_key":…}}."""
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.makedirs(f"{BASE}/disks")
    os.umask(0o022)
    socket.sethostname("lab-router")
    tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", f"{BASE}/id"])
    with open(f"{BASE}/id") as f, open(f"{BASE}/id.pub") as g:
        plan["ssh_private"], plan["ssh_public"] = f.read(), g.read().strip()
    quiet_network()
    set_sysctl({"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"})
    ip_batch(["link set lo up"])

    report_r, report_w = os.pipe()
    gates = [os.pipe(), os.pipe()]           # closing the writing end lets all machines through
    pids = {}
    for m in plan["machines"]:
        make_disk(m, plan)
    for m in plan["machines"]:
        pids[m["name"]] = start_machine(m, plan, report_w, [r for r, _ in gates], [w for _, w in gates])
    os.close(report_w)
    ip_batch(lines_to(plan["machines"], pids))
    # Everything that breaks the underlay goes into the chain `broken`, so that one flush heals it.  A packet that is
    # held back passes twice, and must be judged once.
    tool(["nft", "-f", "-"], 'table inet lab {\n chain broken {\n }\n chain forward {\n'
         '  type filter hook forward priority filter;\n  oifname "delay*" accept\n  jump broken\n }\n}\n')
    out = {name: {"pid": pid} for name, pid in pids.items()}
    out["router"] = {"pid": 1}
    os.close(gates[0][1])
    collect(out, set(pids), report_r)
    os.close(gates[1][1])
    collect(out, {m["name"] for m in plan["machines"] if m.get("wg") and m["wg"]["keepalives"]}, report_r)
    return out


def collect(out, waiting, report):
    """Wait for one line of each that is waited for.  A line belongs to this round: no machine writes its second
    before all have written their first."""
    pids, buffer = set(waiting), b""
    end = time.monotonic() + DEADLINE + len(pids)
    while waiting:
        if not select.select([report], [], [], max(0, end - time.monotonic()))[0]:
            raise RuntimeError(f"not up in time: {', '.join(sorted(waiting)[:10])}")
        chunk = os.read(report, 65536)
        if not chunk:
            raise RuntimeError(f"ended while starting: {', '.join(sorted(waiting)[:10])}")
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            r = json.loads(line)
            if "error" in r:
                raise RuntimeError(f"{r['name']}: {r['error']}")
            waiting.discard(r["name"])
            out[r["name"]].update(r)


def lay_again(lines):
    """The old line goes with the old namespace, a moment after the last process in it."""
    end = time.monotonic() + 5
    while True:
        try:
            return ip_batch(lines)
        except RuntimeError as e:
            if "File exists" not in str(e) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def power_on(plan, state, name):
    """A host whose pid 1 was killed, again: its disk is as it was, its line is new.  Not for those behind a NAT, whose
    line ends in their gateway."""
    m = next(m for m in plan["machines"] if m["name"] == name)
    if "gateway" in m["link"]:
        raise RuntimeError(f"{name} is behind a NAT: it cannot be switched on again")
    report_r, report_w = os.pipe()
    gates = [os.pipe(), os.pipe()]
    pid = start_machine(m, plan, report_w, [r for r, _ in gates], [w for _, w in gates] + [report_r], True)
    os.close(report_w)
    try:
        lay_again(lines_to([m], {name: pid}))
        for _, w in gates:
            os.close(w)
        state[name]["pid"] = pid
        collect(state, {name}, report_r)
    finally:
        for r, _ in gates:
            os.close(r)
        os.close(report_r)
    return state[name]


def known_hosts(plan, state):
    """Completed last, when every host has its key; the operator's home is reached through its pid's root."""
    names = next(m["known_hosts"] for m in plan["machines"] if m["kind"] == "operator")
    text = "".join(f"{','.join(names[n])} {state[n]['host_key']}\n" for n in names)
    put(f"/proc/{state['operator']['pid']}/root/root/.ssh/known_hosts", text, 0o600)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = os.dup(0)
    with os.fdopen(os.dup(0), "rb", buffering=0) as f:
        size = int.from_bytes(f.read(8), "big")
        data = b""
        while len(data) < size:
            chunk = f.read(size - len(data))
            if not chunk:
                return 1
            data += chunk
    plan = json.loads(data)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    try:
        state = boot(plan)
        known_hosts(plan, state)
    except Exception as e:
        os.write(1, (json.dumps({"error": str(e) if isinstance(e, RuntimeError) else traceback.format_exc()})
                     + "\n").encode())
        return 1
    os.write(1, (json.dumps({"machines": state}) + "\n").encode())
    answers = os.dup(1)
    os.set_inheritable(answers, False)
    os.dup2(null, 1)
    os.dup2(null, 2)
    return serve(control, plan, state, answers)


def command(plan, state, line):
    """One line of who made the lab: "on NAME"."""
    try:
        return power_on(plan, state, line.split()[1])
    except Exception as e:
        return {"error": str(e) if isinstance(e, RuntimeError) else traceback.format_exc()}


def serve(control, plan, state, answers):
    """Reap, and do what is asked, until the other end of standard input is closed (never, when detached)."""
    watched = [] if plan["detached"] else [control]
    while True:
        ready, _, _ = select.select(watched, [], [], 0.2)
        if ready:
            line = os.read(control, 256).decode()
            if not line:
                return 0
            os.write(answers, (json.dumps(command(plan, state, line)) + "\n").encode())
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    sys.exit(main())
