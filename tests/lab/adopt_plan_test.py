"""A mesh made by hand: adopted, then planned. The plan is empty but for what can be said in a word, and nothing on any node is touched."""
import json

from crash_test import state
from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout
import os

STATIC = f"{PROGRAM}-{os.uname().machine}"


def adopted(lab, allowed=("service",)):
    names = [h.name for h in lab.hosts]
    before = {name: state(lab.host(name), STATIC) for name in names}
    files = {name: lab.host(name).out("find /etc /var/lib/wgdeck /usr/local -newer /etc/hostname -type f 2>/dev/null | sort", check=False) for name in names}
    wgdeck(lab, "adopt", *names, "-o", "hand.conf", check=(0,))
    document = json.loads(wgdeck(lab, "-m", "hand.conf", "plan", "--bare", "--json", check=(0,)).stdout)
    strange = [(node["name"], op["do"], op["text"]) for node in document["nodes"] for op in node["operations"] if op["do"] not in allowed]
    assert not strange, f"{strange}\n{lab.operator.read('hand.conf')}"
    assert not [f for f in document["lint"] if f["severity"] == "error"], document["lint"]
    assert all(node["state"] == "ready" for node in document["nodes"]), document["nodes"]
    for name in names:
        assert state(lab.host(name), STATIC) == before[name], name
        now = lab.host(name).out("find /etc /var/lib/wgdeck /usr/local -newer /etc/hostname -type f 2>/dev/null | sort", check=False)
        assert now == files[name], f"{name}: a plan wrote files: {set(now.split()) ^ set(files[name].split())}"
    return document


def test_full():
    with Lab(4) as lab:
        lab.warm()
        adopted(lab)


def test_preshared_keepalive():
    with Lab(3, psk=True, keepalive=25) as lab:
        lab.warm()
        adopted(lab)


def test_hub():
    with Lab(4, mesh="hub") as lab:
        lab.warm()
        adopted(lab)


@timeout(150)
def test_groups():
    with Lab([Host("a1", provider="a"), Host("a2", provider="a"), Host("b1", provider="b"), Host("b2", provider="b")], mesh="groups") as lab:
        lab.warm()
        adopted(lab)


def test_nat():
    with Lab([Host("a"), Host("b", nat="symmetric"), Host("c"), Host("d", allowed=["192.168.50.0/24"])]) as lab:
        lab.warm()
        adopted(lab, allowed=("service", "forwarding"))


def test_ipv6_underlay():
    with Lab(3, family=6) as lab:
        lab.warm()
        adopted(lab)


def test_without_saved_files():
    with Lab(3, saved=False) as lab:
        lab.warm()
        adopted(lab, allowed=("service", "file"))


def test_a_stranger_stays():
    """A row that is in no mesh file, a phone say, is noted and left alone, also by apply; --prune takes it away."""
    with Lab(3) as lab:
        lab.warm()
        lab.add_row("n1")
        document = adopted(lab, allowed=("service", "file"))
        notes = [note for node in document["nodes"] if node["name"] == "n1" for note in node["notes"]]
        assert any("no mesh file" in note for note in notes), document
        wgdeck(lab, "apply", "--yes", check=(0,))
        assert len(lab.host("n1").rows()) == 3
        wgdeck(lab, "apply", "--prune", "--yes", check=(0,))
        assert len(lab.host("n1").rows()) == 2
