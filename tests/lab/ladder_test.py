"""The ladder without anybody who drives it: two machines join through a hub, and find each other by themselves, over real NAT gateways of every pair of kinds; the relay where no direct way can be;
back to the hub when the way dies. make check runs some of the pairs; all with WGDECK_LONG=1."""
import itertools
import json
import os
import re
import time

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout

FILE = "/root/new.conf"
STATIC = f"{PROGRAM}-x86_64"
KINDS = (None, "full-cone", "restricted", "port-restricted", "symmetric")
# The port that a symmetric NAT gives is known to nobody but the one it was given for: who lets in only that very port never hears it.
APART = {frozenset(("symmetric",)), frozenset(("symmetric", "port-restricted"))}
SOME = {("restricted", "symmetric"), ("port-restricted", "port-restricted"), ("port-restricted", "symmetric"), (None, "symmetric")}


def world(one, two):
    return Lab(["hub", "b", Host("m1", nat=one, wg=False, tools=False, sshd=False, ipv6=False), Host("m2", nat=two, wg=False, tools=False, sshd=False, ipv6=False)], mesh="none")


def begin(lab, topology="full"):
    for words in (["init", "--network", "10.44.0.0/24", "--name", "prod", "--topology", topology], ["set", "mesh", "RelayNetwork=10.44.0.192/26", "--yes"],
                  ["add", "hub", "hub", "--role", "relay", "--yes"], ["add", "b", "b", "--yes"]):
        wgdeck(lab, "-m", FILE, *words, check=(0,))


def join(lab, name):
    token = wgdeck(lab, "-m", FILE, "invite", name, "--relay", check=(0,)).stdout.split()[-1]
    done = lab.host(name).run([STATIC, "join", "-"], input=token, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return re.search(r"as \S+ \(([\d.]+)", done.stdout)[1]


def notes(lab, name):
    """{name of the other: its note}"""
    text = lab.host(name).run("cat /run/wgdeck/wg0.paths", check=False).stdout
    return {n["name"]: n for n in json.loads(text)["paths"]} if text else {}


def way(lab, one, two):
    return notes(lab, one).get(two, {}).get("path")


def wait_way(lab, wanted, seconds, one="m1", two="m2"):
    """Both ends at once. How long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if way(lab, one, two) in wanted and way(lab, two, one) in wanted:
            return time.monotonic() - begun
        time.sleep(0.1)
    raise AssertionError(f"not {wanted} within {seconds} s: {notes(lab, one)} {notes(lab, two)}")


def ping(lab, one, address, count=3):
    return lab.host(one).run(["ping", "-c", str(count), "-i", "0.2", "-W", "2", address], check=False, timeout=30)


def hops(lab, one, address):
    """64 - TTL of the answer: 0 straight, 1 through the hub."""
    found = re.search(r"ttl=(\d+)", ping(lab, one, address, 1).stdout)
    return 64 - int(found[1]) if found else None


def pair(one, two):
    apart = frozenset((one, two)) in APART
    with world(one, two) as lab:
        begin(lab)
        first = join(lab, "m1")
        second = join(lab, "m2")
        assert hops(lab, "m1", second) == 1 and hops(lab, "m2", first) == 1, "through the hub, at once"
        taken = wait_way(lab, ("relay",) if apart else ("direct",), 40 if apart else 10)
        print(f"{one} - {two}: {'relay' if apart else 'direct'} after {taken:.1f} s")
        assert hops(lab, "m1", second) == 0 and hops(lab, "m2", first) == 0
        # Not by the hub's WireGuard: what it has sent to m1 does not grow by these.
        before = {key: row["tx"] for key, row in lab.host("hub").rows().items()}
        assert ping(lab, "m1", second, 5).returncode == 0
        assert sum(row["tx"] - before[key] for key, row in lab.host("hub").rows().items()) < 2000
        assert ping(lab, "m1", "10.44.0.2").returncode == 0, "the others stay reached through the hub"


def name_of(kind):
    return (kind or "none").replace("-", "_")


for _one, _two in itertools.combinations_with_replacement(KINDS, 2):
    if os.environ.get("WGDECK_LONG") or (_one, _two) in SOME:
        def _test(one=_one, two=_two):
            pair(one, two)
        globals()[f"test_{name_of(_one)}_with_{name_of(_two)}"] = timeout(150)(_test)


@timeout(150)
def test_direct_way_that_dies_goes_back_to_the_hub_at_both_ends():
    with world("port-restricted", "port-restricted") as lab:
        begin(lab)
        first = join(lab, "m1")
        second = join(lab, "m2")
        wait_way(lab, ("direct",), 10)
        # What the two gateways say to each other is lost from here on; the hub is still reached.
        one, two = lab.host("m1").address, lab.host("m2").address
        lab.router.run(["nft", "-f", "-"], input=f"table ip cut {{ chain c {{ type filter hook forward priority -50; ip saddr {one} ip daddr {two} drop; ip saddr {two} ip daddr {one} drop; }}\n }}\n")
        taken = wait_way(lab, ("hub", "relay", "trying"), 20)
        print(f"both ends back after {taken:.1f} s")
        assert taken <= 16
        assert ping(lab, "m1", second).returncode == 0 and ping(lab, "m2", first).returncode == 0
        # Never again straight while it is dead, and not to and fro.
        seen = []
        end = time.monotonic() + 30
        while time.monotonic() < end:
            now = (way(lab, "m1", "m2"), way(lab, "m2", "m1"))
            if not seen or seen[-1] != now:
                seen.append(now)
            time.sleep(0.5)
        assert not any("direct" in now for now in seen), seen
        lab.router.run(["nft", "delete", "table", "ip", "cut"])


@timeout(300)
def test_after_a_power_cut_the_way_is_the_hubs_again():
    with world("port-restricted", None) as lab:
        begin(lab)
        first = join(lab, "m1")
        join(lab, "m2")
        wait_way(lab, ("direct",), 10)
        lab.power_cut("m2")
        lab.power_on("m2")
        for address, why in (("10.44.0.2", "not back after the boot"), (first, "m1 still sends straight to where nobody is")):
            end = time.monotonic() + 40
            while time.monotonic() < end and ping(lab, "m2", address, 1).returncode:
                time.sleep(0.2)
            assert ping(lab, "m2", address).returncode == 0, why
        assert way(lab, "m2", "m1") in (None, "hub", "trying"), "what the ladder had gained is not saved"
        if os.environ.get("WGDECK_LONG"):
            wait_way(lab, ("direct",), 200)          # it had died soon after it was found: it is tried again later, and later each time


@timeout(150)
def test_only_root_of_who_has_joined_is_believed_in_the_tunnel():
    """The hub takes a row away for whoever leaves: not for a program of another user there, nor for a node that is a member by the mesh file."""
    leave = "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', int(sys.argv[1])))\nfor i in range(5): s.sendto(b'{\"op\":\"leave\"}', ('10.44.0.1', 988))"
    with world(None, None) as lab:
        begin(lab)
        join(lab, "m1")
        join(lab, "m2")
        before = set(lab.host("hub").rows())
        assert len(before) == 3
        lab.host("m1").run(["/usr/bin/python3", "-c", leave, "40000"], user="guest")
        lab.host("b").run(["/usr/bin/python3", "-c", leave, "1000"])
        time.sleep(4)
        assert set(lab.host("hub").rows()) == before, "a row is gone"
        done = lab.host("m1").run([STATIC, "leave", "--yes"], timeout=30)
        end = time.monotonic() + 10
        while time.monotonic() < end and set(lab.host("hub").rows()) == before:
            time.sleep(0.2)
        assert len(set(lab.host("hub").rows())) == 2, done.stderr
        conf = lab.host("hub").read("/etc/wireguard/wg0.conf")
        assert all((key in conf) == (key in lab.host("hub").rows()) for key in before), "saved and running differ"
        time.sleep(1)
        assert "m1" not in wgdeck(lab, "-m", FILE, "invite", "list", check=(0,)).stdout
