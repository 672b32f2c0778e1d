"""A mesh that grows, changes and gets new keys while it carries packets: nothing is lost that need not be, and no session is torn down. With every engine that is to be had here: the
lab's own (wireguard-go, or the kernel's in the guest), and wgdeck's."""
import os
import re
import subprocess
import time

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout

OWN = [f"{PROGRAM}-{os.uname().machine}", "engine"]
SLOW = 10 if os.environ.get("WGDECK_GUEST") else 1


class Pings:
    """A ping at least every 10 ms on each link, until it is counted. (ping rounds 10 ms up to 16, and takes 8 as it is.)"""

    def __init__(self, lab, links):
        self.interval = 0.008 * SLOW
        self.running = {(a, b): lab.host(a).popen(["ping", "-n", "-q", "-i", str(self.interval), "-W", "2", lab.host(b).mesh[0]], stdout=subprocess.PIPE, text=True)
                        for a, b in links}

    def lost(self):
        """{link: packets}, but for the one that may be on its way when ping is ended."""
        out = {}
        for process in self.running.values():
            subprocess.run(["pkill", "-INT", "-P", str(process.pid)], check=False)
        for link, process in self.running.items():
            text = process.communicate(timeout=30)[0]
            sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", text).groups()
            assert int(sent) > 50 / SLOW, f"{link}: only {sent} pings"
            out[link] = max(0, int(sent) - int(received) - 1)
        return out


def handshakes(lab, names):
    return {(name, key): row["handshake"] for name in names for key, row in lab.host(name).rows().items() if row["handshake"]}


def do(lab, *arguments):
    done = wgdeck(lab, *arguments, "--yes", check=(0,), timeout=200)
    return done.stdout + done.stderr


def nothing_left(lab):
    wgdeck(lab, "plan", "--detailed-exitcode", check=(0,), timeout=120)


def reaches(lab, one, address):
    return lab.host(one).run(["ping", "-c", "3", "-i", "0.2", "-W", "3", address], check=False, timeout=30).returncode == 0


def grow(engine):
    names = ["a", "b", "c", "d"]
    with Lab([*names, Host("new", wg=False, tools=False)], engine=engine) as lab:
        lab.warm()
        do(lab, "apply")
        nothing_left(lab)
        links = [("a", "b"), ("c", "d"), ("b", "d")]
        before, began = handshakes(lab, names), time.monotonic()

        pings = Pings(lab, links)
        text = do(lab, "add", "new", "root@new")
        assert re.search(r"4 links verified from both ends", text), text
        do(lab, "set", "d", "AllowedIPs=192.168.70.0/24")
        do(lab, "set", "mesh", "PresharedKeys=yes")
        do(lab, "remove", "new")
        lost = pings.lost()
        assert not any(lost.values()), f"lost {lost}\n{text}"
        after = handshakes(lab, names)
        if time.monotonic() - began < 60:       # the lab's own keys are young; an emulated guest may take until they are renewed anyway
            assert all(after.get(key) == when for key, when in before.items()), "sessions got new keys"
        nothing_left(lab)
        assert not lab.host("new").run(["ip", "link", "show", "wg0"], check=False).stdout, "the interface of the removed node is still there"
        rows = lab.host("a").rows()
        assert len(rows) == 3 and all(row["psk"] for row in rows.values()), rows
        pairs = {name: {key: row["psk"] for key, row in lab.host(name).rows().items()} for name in names}
        keys = {name: lab.host(name).out(["wg", "show", "wg0", "public-key"]) for name in names}
        for one in names:
            for other in names:
                assert one == other or pairs[one][keys[other]] == pairs[other][keys[one]], f"{one} and {other} hold different preshared keys"


def rotate(engine):
    names = ["a", "b", "c"]
    with Lab(names, engine=engine, psk=True) as lab:
        lab.warm()
        do(lab, "apply")
        links = [("a", "b"), ("b", "c"), ("c", "a")]
        old = {name: lab.host(name).out(["wg", "show", "wg0", "public-key"]) for name in names}
        pings = Pings(lab, links)
        time.sleep(0.5)
        do(lab, "rotate")
        do(lab, "rotate", "--psk")
        time.sleep(0.5)
        lost = pings.lost()
        assert all(count * pings.interval < 1 * max(1, SLOW / 3) for count in lost.values()), f"lost {lost}, {pings.interval} s apart"
        for name in names:
            rows = lab.host(name).rows()
            assert lab.host(name).out(["wg", "show", "wg0", "public-key"]) != old[name]
            assert len(rows) == 2 and not set(rows) & set(old.values()), f"{name} still has rows of old keys"
        for one, other in links:
            assert reaches(lab, one, lab.host(other).mesh[0])
        nothing_left(lab)


@timeout(180)
def test_grow():
    grow(None)


@timeout(180)
def test_grow_own_engine():
    grow(OWN)


@timeout(180)
def test_rotate():
    rotate(None)


@timeout(180)
def test_rotate_own_engine():
    rotate(OWN)


@timeout(180)
def test_confirmed_state_boots():
    """What was confirmed comes up by itself after a power cut: the interface, its rows and addresses, with the engine that wgdeck brought."""
    with Lab([Host(n, wg=False, tools=False) for n in ("a", "b")]) as lab:
        lab.operator.run(["rm", "-f", "mesh.conf"])
        wgdeck(lab, "init", "--network", "10.44.0.0/24", "--preshared-keys", "-o", "mesh.conf", check=(0,))
        do(lab, "add", "a", "root@a", "b", "root@b")
        assert reaches(lab, "a", "10.44.0.2")
        lab.power_cut("b")
        assert "pending" in wgdeck(lab, "plan", "--timeout", "3", check=(0, 1)).stdout
        lab.power_on("b")
        assert reaches(lab, "b", "10.44.0.1")
        nothing_left(lab)
        wgdeck(lab, "status", check=(0,))


def test_flushed_route():
    """A restart of systemd-networkd flushes routes: handshakes go on, data does not. The route that an address made is made again, and proved."""
    with Lab(["hub", "a", "b"], mesh="hub") as lab:
        lab.warm()
        do(lab, "apply")
        lab.host("a").run("ip route del 10.44.0.0/24 dev wg0")
        assert not reaches(lab, "a", lab.host("b").mesh[0])
        text = do(lab, "apply")
        assert "+ route 10.44.0.0/24" in text and "1 link verified" in text, text
        assert reaches(lab, "a", lab.host("b").mesh[0])
        nothing_left(lab)
