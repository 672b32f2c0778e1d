"""Changing a mesh under traffic: a node more, a mesh from nothing, all keys anew. Real sshd hosts in the lab; a ping every 10 ms on links that exist counts what
is lost.
"""
import re
import subprocess
import time

from deck import PROGRAM
from lab import Host, Lab


class Pings:
    """A ping at least every 10 ms on each of the links, until they are counted. (ping rounds 10 ms up to 16, and takes 8 as it is.)"""

    def __init__(self, lab, links):
        self.running = {(a, b): lab.host(a).popen(["ping", "-n", "-q", "-i", "0.008", "-W", "2", lab.host(b).mesh[0]], stdout=subprocess.PIPE, text=True)
                        for a, b in links}

    def end(self):
        """{link: (sent, lost)}. Who pings is told directly: nsenter hands no signal on."""
        out = {}
        for link, process in self.running.items():
            for pid in subprocess.run(["pgrep", "-P", str(process.pid)], stdout=subprocess.PIPE, text=True).stdout.split() or [process.pid]:
                subprocess.run(["kill", "-INT", str(pid)])
        for link, process in self.running.items():
            text = process.communicate(timeout=20)[0]
            found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
            if not found:
                raise SystemExit(f"ping {link}: {text}")
            sent, received = int(found[1]), int(found[2])
            out[link] = (sent, sent - received)
        return out


def wgdeck(lab, *arguments, timeout=300):
    """(seconds, output); the bench ends when it fails."""
    began = time.monotonic()
    done = lab.operator.run([PROGRAM, *arguments], check=False, timeout=timeout, merge=True)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"wgdeck {' '.join(arguments)}: status {done.returncode}\n{done.stdout[-4000:]}")
    return seconds, done.stdout


def handshakes(lab, names):
    """{(node, key): time} of all rows that have had one."""
    out = {}
    for name in names:
        for key, row in lab.host(name).rows().items():
            if row["handshake"]:
                out[name, key] = row["handshake"]
    return out


def healthy(lab):
    """All links live, both ways, as a look by itself says."""
    done = lab.operator.run([PROGRAM, "status"], check=False, timeout=60)
    if done.returncode:
        raise SystemExit(f"not healthy afterwards:\n{done.stdout[-3000:]}")


def grow(row, nodes=20):
    """One node more, from the command until both ends of all its links are verified."""
    print(f"grow: a bare host joins a mesh of {nodes}, ping every 10 ms on 10 links", flush=True)
    names = [f"n{i}" for i in range(1, nodes + 1)]
    with Lab([*names, Host("new", wg=False, tools=False)]) as lab:
        lab.warm()
        wgdeck(lab, "apply", "--yes")                # what the lab made is wgdeck's from now on; the helper is there
        before = handshakes(lab, names)
        pings = Pings(lab, [(names[2 * i], names[2 * i + 1]) for i in range(10)])
        time.sleep(1)
        seconds, _ = wgdeck(lab, "add", "new", "root@new", "--yes")
        time.sleep(1)
        lost = pings.end()
        after = handshakes(lab, names)
        anew = sum(after.get(key) != when for key, when in before.items())
        row(f"a node more in a mesh of {nodes}: from the command until both ends of {nodes} links are verified", f"{seconds:.2f} s")
        row("pings lost on 10 other links meanwhile", f"{sum(l for _, l in lost.values())} of {sum(s for s, _ in lost.values())}",
            "sessions that got new keys:", f"{anew} of {len(before)}")
        healthy(lab)
        seconds, text = wgdeck(lab, "apply", "--yes")
        row(f"apply again, {nodes + 1} nodes, nothing to do", f"{seconds:.2f} s")


def nothing(row, nodes=50):
    """A mesh of bare hosts, from the mesh file."""
    print(f"mesh: {nodes} bare hosts become a full mesh", flush=True)
    names = [f"n{i}" for i in range(1, nodes + 1)]
    with Lab([Host(n, wg=False, tools=False) for n in names]) as lab:
        lab.operator.run(["rm", "-f", "mesh.conf", ".config/wgdeck/mesh.conf"])
        wgdeck(lab, "init", "--name", "bench", "--network", "10.44.0.0/24", "-o", "mesh.conf")
        operands = [word for n in names for word in (n, f"root@{n}")]
        seconds, _ = wgdeck(lab, "add", *operands, "--yes")
        row(f"a full mesh of {nodes} bare hosts ({nodes * (nodes - 1) // 2} links), verified from both ends", f"{seconds:.1f} s")
        seconds, _ = wgdeck(lab, "apply", "--yes")
        row(f"apply again, {nodes} nodes, nothing to do", f"{seconds:.2f} s")
        healthy(lab)


def rotate(row, nodes=10):
    """All keys anew, under a ping every 10 ms on every link."""
    print(f"rotate: all keys of a mesh of {nodes}, ping every 10 ms on all its links", flush=True)
    names = [f"n{i}" for i in range(1, nodes + 1)]
    with Lab(names) as lab:
        lab.warm()
        wgdeck(lab, "apply", "--yes")
        before = {name: lab.host(name).out(["wg", "show", "wg0", "public-key"]) for name in names}
        pings = Pings(lab, [(a, b) for i, a in enumerate(names) for b in names[i + 1:]])
        time.sleep(1)
        seconds, _ = wgdeck(lab, "rotate", "--yes")
        time.sleep(1)
        lost = pings.end()
        kept = [name for name in names if lab.host(name).out(["wg", "show", "wg0", "public-key"]) == before[name]]
        if kept:
            raise SystemExit(f"the same key as before: {' '.join(kept)}")
        worst = max(lost.items(), key=lambda item: item[1][1])
        row(f"new keys for all {nodes} nodes", f"{seconds:.1f} s", "lost on the worst link, in total:", f"{worst[1][1] * 0.008:.2f} s")
        row("pings lost on all links", f"{sum(l for _, l in lost.values())} of {sum(s for s, _ in lost.values())}")
        healthy(lab)
