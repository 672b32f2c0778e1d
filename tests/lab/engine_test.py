"""The embedded engine on the lab's hosts: meshes of it and mixed with others, behind NAT, and what the deck sees of them."""
import os

from deck import PROGRAM, describe, faults, report
from lab import Host, Lab
from run import Skip, timeout

OURS = [PROGRAM, "engine"]
OTHER = ["wireguard-go"]


def built():
    if not os.access(PROGRAM, os.X_OK):
        raise Skip(f"{PROGRAM} is not built")


def all_answer(lab, hosts):
    for a in hosts:
        for b in hosts:
            if a != b:
                assert lab.ping(a, b), f"{a} does not reach {b}"


def test_mesh_of_the_engine():
    """Five hosts, all links with preshared keys, one behind NAT; the deck finds nothing to say."""
    built()
    hosts = [Host("a"), Host("b"), Host("c"), Host("d", nat="symmetric"), Host("e", provider="hz")]
    with Lab(hosts, engine=OURS, psk=True) as lab:
        lab.warm()
        all_answer(lab, ["a", "b", "c", "d", "e"])
        document = report(lab)
        assert not faults(document), describe(document)


def test_mesh_of_both():
    built()
    hosts = [Host("a", engine=OURS), Host("b", engine=OTHER), Host("c", engine=OURS, nat="symmetric"), Host("d", engine=OTHER)]
    with Lab(hosts) as lab:
        lab.warm()
        all_answer(lab, ["a", "b", "c", "d"])
        document = report(lab)
        assert not faults(document), describe(document)


@timeout(100)
def test_large_mesh_of_the_engine():
    """30 hosts, 435 links: each engine has 29 peers."""
    built()
    with Lab(30, engine=OURS) as lab:
        lab.warm()
        rows = lab.host("n7").rows()
        assert len(rows) == 29
        assert lab.ping("n1", "n30") and lab.ping("n30", "n2")


def test_hub_of_the_engine():
    """All traffic through one host's engine: in by one session, out by another."""
    built()
    with Lab([Host("h", engine=OURS), Host("a", engine=OTHER), Host("b", engine=OURS)], mesh="hub", hub="h") as lab:
        lab.warm()
        all_answer(lab, ["h", "a", "b"])
