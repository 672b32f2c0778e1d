"""Links verified from one end, and what a node says of itself: the helper's operations "verify" and "facts", without the deck."""
import time

from guard_test import Helper
from lab import Lab


def addresses(host):
    return [a.split("/")[0] for a in host.mesh]


def links(lab, names, **more):
    return [{"key": lab.host(n).public_key, "addresses": addresses(lab.host(n)), **more} for n in names]


def verify(lab, name, wanted, within=5):
    """(keys verified, {key: why}, seconds)"""
    helper = Helper(lab.host(name))
    began = time.monotonic()
    answer = helper.ask("verify", interface="wg0", within=within, links=wanted)
    seconds = time.monotonic() - began
    helper.close()
    return {e["key"]: e for e in helper.events}, {f["key"]: f["why"] for f in answer["failed"]}, seconds


def forget_sessions(lab, a, b):
    """The row of B at A, made anew: no session."""
    host, other = lab.host(a), lab.host(b)
    row = host.rows()[other.public_key]
    host.run(["wg", "set", "wg0", "peer", other.public_key, "remove"])
    host.run(["wg", "set", "wg0", "peer", other.public_key, "allowed-ips", ",".join(row["allowed"]), "endpoint", row["endpoint"]])


def test_all_links_at_once():
    with Lab(list("abcdef")) as lab:
        names = [h.name for h in lab.hosts if h.name != "a"]
        seen, failed, seconds = verify(lab, "a", links(lab, names))
        assert not failed and len(seen) == 5, (seen, failed)
        assert all(e["rtt"] > 0 and 0 <= e["age"] < 180000 for e in seen.values()), seen
        assert seconds < 2, seconds
        seen, failed, seconds = verify(lab, "a", links(lab, names, lead=False))
        assert not failed and seconds < 0.5, (failed, seconds)
        assert verify(lab, "a", [])[:2] == ({}, {})


def test_who_does_not_lead_waits():
    with Lab(["a", "b"], keepalive=0) as lab:
        if all(r["handshake"] for r in lab.host("a").rows().values()):
            forget_sessions(lab, "a", "b")
            forget_sessions(lab, "b", "a")
        seen, failed, seconds = verify(lab, "a", links(lab, ["b"], lead=False))
        assert not failed and len(seen) == 1 and 1.9 < seconds < 3.5, (seen, failed, seconds)


def test_what_fails_and_why():
    with Lab(list("abcd")) as lab:
        lab.warm()
        a = lab.host("a")
        keys = {n: lab.host(n).public_key for n in "bcd"}
        unknown = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
        lab.host("b").run(["wg", "set", "wg0", "peer", a.public_key, "remove"])
        forget_sessions(lab, "a", "b")
        for address in addresses(lab.host("c")):                       # a route that leads past wg0
            a.out(f"ip route add {address} dev lo 2>/dev/null || ip -6 route add {address} dev lo")
        wanted = links(lab, ["b", "c", "d"]) + [{"key": unknown, "addresses": ["10.44.0.250"]}, {"key": keys["d"], "addresses": []}]
        seen, failed, seconds = verify(lab, "a", wanted, within=2)
        assert list(seen) == [keys["d"]], (seen, failed)
        assert 1.8 < seconds < 3, seconds
        assert "no answer to" in failed[keys["b"]] and "no handshake" in failed[keys["b"]], failed
        assert keys["c"] in failed and "handshake is done" in failed[keys["c"]], failed
        assert "no row of this key" in failed[unknown], failed
        assert "no address to ping" in failed[keys["d"]], failed


def test_an_answer_that_comes_past_the_interface():
    """The other end's address is reached by the underlay: it answers, and still the link is not verified."""
    with Lab(["a", "b"]) as lab:
        lab.warm()
        a, b = lab.host("a"), lab.host("b")
        address = addresses(b)[0]
        route = a.out(f"ip -o route get {b.address}").split()
        a.out(f"ip route replace {address}/32 " + " ".join(route[1:route.index("dev") + 2]))
        seen, failed, _ = verify(lab, "a", [{"key": b.public_key, "addresses": [address]}], within=2)
        assert not seen and failed, (seen, failed)


def test_links_come_later():
    """What is not there yet when it is asked, and is a moment after."""
    with Lab(["a", "b"]) as lab:
        lab.warm()
        a, b = lab.host("a"), lab.host("b")
        b.out("ip link set wg0 down")
        helper = Helper(a)
        number = helper.send("verify", interface="wg0", within=10, links=links(lab, ["b"]))
        time.sleep(1)
        began = time.monotonic()
        b.out("ip link set wg0 up")
        assert helper.hear(number)["failed"] == []
        assert time.monotonic() - began < 8
        helper.close()


def test_facts():
    with Lab(["a", "b"]) as lab:
        a = lab.host("a")
        helper = Helper(a)
        began = time.monotonic()
        facts = helper.ask("facts", interface="wg0")["facts"]
        assert time.monotonic() - began < 2
        assert facts["hostname"] == "a" and facts["system"] == "x86_64" and facts["init"] == "sysv" and facts["root"] is True, facts
        assert facts["engine"] in ("kernel", "embedded", "userspace") and facts["public_key"] == a.public_key, facts
        assert 51820 in facts["ports"] and facts["mtu"] >= 1280 and facts["firewall"] == [], facts
        assert all("/" in x and not x.startswith(("127.", "::1/", "fe80:")) for x in facts["addresses"]) and facts["addresses"], facts
        assert facts["service"] is None and facts["pending"] is None and facts["generation"] is None, facts
        helper.begin()
        helper.stage([], within=30)
        pending = Helper(a)
        assert pending.ask("facts", interface="wg0")["facts"]["pending"].items() >= {"change": "0000000000000001", "owner": "alice@laptop"}.items()
        seen = pending.ask("observe", salt="0123456789abcdef" * 4)
        assert seen["observation"]["pending"].startswith("alice@laptop, ") and "generation" not in seen["observation"], seen
        pending.close()
        helper.ask("finish", change="0000000000000001", within=5)
        helper.confirm()
        facts = helper.ask("facts", interface="wg0")["facts"]
        assert facts["pending"] is None and facts["generation"] == "3-0123abcd", facts
        other = helper.ask("facts", interface="wg7")["facts"]
        assert other["engine"] is None and other["public_key"] is None and other["generation"] is None, other
        helper.refused("facts", "refused", interface="wg 0")
        helper.close()
