"""wgdeck path: the ladder driven from the operator's machine, over real NAT gateways: what can go direct does, what cannot says why; what dies goes back to the hub; what is interrupted leaves nothing."""
import json
import signal
import subprocess
import time

from deck import PROGRAM, wgdeck
from lab import Lab, Host
from run import timeout

# The joined ones have the addresses of RelayNetwork; their SSH is that of the lab.
RELAY = "RelayNetwork = 10.44.0.2/31, fd44::2/127"


def world(first, second, **options):
    """hub, web in the open; mail and db joined by the relay, behind NATs of these kinds (None: none)."""
    hosts = [Host("hub"), Host("mail", nat=first), Host("db", nat=second), Host("web")]
    return Lab(hosts, mesh="hub", hub="hub", keepalive=25, **options)


def prepare(lab, relay=False):
    lab.warm()
    conf = lab.operator.read("/root/mesh.conf").replace("Role = hub", "Role = relay").replace("Topology = hub", f"Topology = full\n{RELAY}")
    lab.operator.write("/root/mesh.conf", conf)
    if relay:
        lab.host("hub").spawn([PROGRAM, "relay", "wg0"], log="/tmp/relay.log")


def path(lab, *arguments, check=None):
    done = wgdeck(lab, "-m", "/root/mesh.conf", "path", "--json", *arguments, check=check)
    return json.loads(done.stdout)["pairs"]


def notes(lab, name):
    text = lab.host(name).out(["sh", "-c", "cat /run/wgdeck/wg0.paths 2>/dev/null; true"])
    return json.loads(text)["paths"] if text else []


def row(lab, holder, other):
    return lab.host(holder).rows().get(lab.host(other).public_key)


def is_as_before(lab, *names):
    """The rows of the ladder are gone, the hub's have everything."""
    for name in names:
        rows = lab.host(name).rows()
        assert set(rows) == {lab.host("hub").public_key}, rows
        assert not [n for n in notes(lab, name) if n["path"] != "hub"], notes(lab, name)


def goes_direct(lab, one, two):
    for holder, other in ((one, two), (two, one)):
        has = row(lab, holder, other)
        assert has and f"{lab.host(other).mesh[0]}/32" in has["allowed"], has
        assert f"{lab.host(other).mesh[0]}/32" not in row(lab, holder, "hub")["allowed"]
    before = row(lab, one, two)["tx"]
    assert lab.ping(one, two) and lab.ping(two, one) and lab.ping(one, two, family=6)
    assert row(lab, one, two)["tx"] - before >= 128, "the pings went another way"


def wait_for(what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.2)
    return False


@timeout(300)
def test_pairs():
    for first, second, can in ((None, None, True), (None, "symmetric", True), ("full-cone", "symmetric", True), ("port-restricted", "port-restricted", True),
                               ("port-restricted", "symmetric", False), ("symmetric", "symmetric", False)):
        with world(first, second) as lab:
            prepare(lab)
            pair, = path(lab, "mail", "db", check=[0 if can else 1])
            assert pair["path"] == ("direct" if can else "hub"), (first, second, pair)
            if can:
                assert pair["result"] == "changed" and pair["seconds"] < 10, pair
                goes_direct(lab, "mail", "db")
                assert path(lab, "mail", "db", check=[0])[0]["result"] == "kept"
                assert path(lab, "mail", "db", "--hub", check=[0])[0]["result"] == "changed"
            else:
                assert pair["result"] == "no way" and "change" in pair["reason"] and "the port" in pair["reason"], pair
            is_as_before(lab, "mail", "db")
            assert lab.ping("mail", "db") and lab.ping("db", "web")


@timeout(200)
def test_same_network():
    hosts = [Host("hub"), Host("mail", nat="symmetric", gateway="home"), Host("db", nat="symmetric", gateway="home"), Host("web")]
    with Lab(hosts, mesh="hub", hub="hub", keepalive=25) as lab:
        prepare(lab)
        pair, = path(lab, "mail", "db", check=[0])
        assert "in the same network" in pair["reason"], pair
        goes_direct(lab, "mail", "db")
        assert row(lab, "mail", "db")["endpoint"].split(":")[0] == lab.host("db").private


@timeout(200)
def test_all_and_by_the_relay():
    with world("symmetric", "symmetric") as lab:
        prepare(lab, relay=True)
        pairs = {tuple(p["nodes"]): p for p in path(lab, check=[0])}
        assert {k: p["path"] for k, p in pairs.items()} == {("mail", "db"): "relay", ("mail", "web"): "direct", ("db", "web"): "direct"}, pairs
        assert row(lab, "mail", "db")["endpoint"] == f"{lab.host('hub').address}:51821"
        assert lab.ping("mail", "db") and lab.ping("db", "mail") and lab.ping("mail", "web")
        # From the relay, a new try asks for something better, and comes back to it.
        pair, = path(lab, "mail", "db", check=[0])
        assert (pair["before"], pair["path"]) == ("relay", "relay"), pair
        lab.host("hub").signal("wgdeck", signal.SIGKILL)
        assert wait_for(lambda: not [n for name in ("mail", "db") for n in notes(lab, name) if n["path"] == "relay"], 25), notes(lab, "mail")
        assert wait_for(lambda: lab.ping("mail", "db"), 10)


@timeout(200)
def test_dies():
    with world("full-cone", "port-restricted") as lab:
        prepare(lab)
        path(lab, "mail", "db", check=[0])
        goes_direct(lab, "mail", "db")
        lab.drop_udp("mail", "db")
        lab.drop_udp("db", "mail")
        began = time.monotonic()
        assert wait_for(lambda: lab.ping("mail", "db", timeout=1), 30)
        assert time.monotonic() - began < 20
        pair, = path(lab, "mail", "db", check=[1])
        assert pair["path"] == "hub" and "no answer at" in pair["reason"], pair
        lab.heal_network()
        pair, = path(lab, "mail", "db", check=[0])
        assert pair["path"] == "direct", pair
        goes_direct(lab, "mail", "db")


@timeout(200)
def test_interrupted():
    with world("symmetric", "symmetric") as lab:
        prepare(lab)
        for _ in range(2):
            process = lab.operator.popen([PROGRAM, "-m", "/root/mesh.conf", "path", "mail", "db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
            assert wait_for(lambda: row(lab, "mail", "db") and row(lab, "db", "mail"), 15)
            lab.operator.signal("wgdeck", signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert process.returncode == 1 and "interrupted" in err, (out, err)
            is_as_before(lab, "mail", "db")


@timeout(200)
def test_killed():
    """Who drove a trial is gone: after three minutes each end forgets it. The notes are made older here."""
    with world("symmetric", "symmetric") as lab:
        prepare(lab)
        process = lab.operator.popen([PROGRAM, "-m", "/root/mesh.conf", "path", "mail", "db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        assert wait_for(lambda: row(lab, "mail", "db") and row(lab, "db", "mail"), 15)
        lab.operator.signal("wgdeck", signal.SIGKILL)
        process.wait(20)
        assert lab.ping("mail", "db")
        for name in ("mail", "db"):
            old = json.loads(lab.host(name).read("/run/wgdeck/wg0.paths"))
            for note in old["paths"]:
                assert note["path"] == "trying" and not row(lab, name, "db" if name == "mail" else "mail")["allowed"], note
                note["since"] -= 200
            lab.host(name).write("/run/wgdeck/wg0.paths", json.dumps(old), 0o600)
        assert wait_for(lambda: all(len(lab.host(n).rows()) == 1 for n in ("mail", "db")), 10), (notes(lab, "mail"), notes(lab, "db"))
        is_as_before(lab, "mail", "db")
        assert wait_for(lambda: not [a for n in ("mail", "db") for _, a in lab.host(n).processes() if "--paths" in a], 10), "a watcher is left"


@timeout(120)
def test_refused():
    with world("port-restricted", None) as lab:
        prepare(lab)
        for arguments, status, words in ((("mail",), 2, "two nodes"), (("mail", "mail"), 1, "the same node"), (("mail", "hub"), 1, "direct already"), (("mail", "dbb"), 1, "dbb"),
                                         (("mail", "db", "--hub", "--relay"), 2, "one of them")):
            done = wgdeck(lab, "-m", "/root/mesh.conf", "path", *arguments, check=[status])
            assert words in done.stderr, done.stderr
        lab.host("db").run(["ip", "link", "del", "wg0"])
        done = wgdeck(lab, "-m", "/root/mesh.conf", "path", "mail", "db", check=[1])
        assert "db: its WireGuard interface is not up" in done.stderr, done.stderr
        lab.host("db").signal("sshd", signal.SIGKILL)
        done = wgdeck(lab, "-m", "/root/mesh.conf", "path", "mail", "db", "--timeout", "2", check=[1])
        assert "db: " in done.stderr, done.stderr
        is_as_before(lab, "mail")
