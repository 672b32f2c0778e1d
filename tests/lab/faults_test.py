"""Each fault made for real, and exactly it named; and on healthy meshes, none.

The table is the test: id, how to make it, which nodes it must name, and what kind of lab it needs.
"""
import concurrent.futures
import contextlib
import dataclasses
import os
import subprocess
import time

from breaks import FAKETIME
from deck import describe, faults, report
from lab import Host, Lab, default_engine
from run import Skip, alone, timeout

KERNEL = default_engine() == ["kernel"]
LOOKS = ("--bare", "--push")         # one shell command and wg; the pushed program with netlink or UAPI
# In a guest without KVM time is dear: there each look is taken once, one with the mesh file and one from the rows alone.
ALL = not os.environ.get("WGDECK_GUEST") or os.environ.get("LAB_LOOKS") == "all"


@dataclasses.dataclass
class Fault:
    id: str
    make: object                     # function of the lab, before or after the mesh is warm
    nodes: set                       # it must name these nodes and no others
    what: str = ""                   # variant, for the test's name
    warm: bool = True                # ping all pairs before it is broken
    traffic: tuple = ()              # pairs that ping after it is broken (they may fail)
    hosts: object = ("a", "b", "c")
    lab: dict = dataclasses.field(default_factory=dict)
    wait: float = 0                  # seconds between breaking and looking
    looks: tuple = LOOKS
    engine: str | None = None        # only with the "kernel", or with a "process"
    hosts_mode: bool = True          # also seen without a mesh file, from the nodes' rows alone
    direction: str | None = None


def nat(name, **more):
    return Host(name, provider="home", nat="port-restricted", **more)


def forget_both(lab):
    lab.forget_endpoint("a", "b")
    lab.forget_endpoint("b", "a")


def stale(endpoint):
    def make(lab):
        lab.set_endpoint("a", "b", endpoint(lab), saved=True)
        lab.forget_endpoint("b", "a")
        lab.edit_saved_row("b", "a", {"Endpoint": None})
    return make


def missing_both(lab):
    lab.delete_row("a", "b", saved=True)
    lab.delete_row("b", "a", saved=True)


def half_rotated(lab):
    from topology import genkey, pubkey
    key = genkey()
    row = lab.host("a").rows()[lab.host("c").public_key]
    old = lab.host("c").public_key
    lab.set_private_key("c", key, saved=True)
    lab._wg("a", "peer", old, "remove")
    lab._wg("a", "peer", pubkey(key), "allowed-ips", ",".join(row["allowed"]), "endpoint", row["endpoint"])
    lab.edit_saved("a", lambda text: text.replace(old, pubkey(key)))


def clash(lab):
    # The gateway has one public port for both: after it forgets the first flow, the second gets the same port.  Whoever
    # sends first after that gets it, b's retries too: once more, until the break is made.
    endpoint = lambda name: lab.host("a").rows()[lab.host(name).public_key]["endpoint"]
    for _ in range(8):
        lab.ping("b", "a", count=2)
        lab.nat_forget("b")
        lab.ping("c", "a", count=3)
        if endpoint("b") and endpoint("b") == endpoint("c"):
            return
        lab.nat_forget("b")
    raise AssertionError("b and c never got the same public port")


def both_ways(lab):
    lab.drop_udp("a", "b")
    lab.drop_udp("b", "a")


FAULTS = [
    Fault("peer-missing", lambda lab: lab.delete_row("b", "a", saved=True), {"a", "b"}),
    Fault("peers-missing-both", missing_both, {"a", "b"}, hosts_mode=False),
    Fault("wrong-key", lambda lab: lab.set_row_key("a", "b", saved=True), {"a", "b"}),
    Fault("key-half-rotated", half_rotated, {"b", "c"}),
    Fault("ghost-peer", lambda lab: lab.add_row("a", saved=True), {"a"}, hosts_mode=False),
    Fault("duplicate-key", lambda lab: lab.clone_key("c", "b", saved=True), {"b", "c"}),
    Fault("no-private-key", lambda lab: lab.no_private_key("b"), {"b"}),
    Fault("psk-mismatch", lambda lab: lab.set_psk("a", "b", saved=True), {"a", "b"}, lab={"psk": True}),
    Fault("psk-mismatch", lambda lab: lab.set_psk("a", "b", "none", saved=True), {"a", "b"}, what="none", lab={"psk": True}),
    Fault("key-exposed", lambda lab: lab.chmod_saved("b", "644"), {"b"}),
    Fault("duplicate-address", lambda lab: lab.add_address("c", f"{lab.host('b').mesh[0]}/24"), {"b", "c"}),
    Fault("allowed-ips-stolen", lambda lab: lab.steal_allowed("a", thief="c", victim="b"), {"a", "b"}),
    Fault("allowed-ips-overlap", lambda lab: lab.set_allowed("a", "c", f"{lab.host('c').mesh[0]}/32,{lab.host('c').mesh[1]}/128,10.44.0.0/25", saved=True), {"a", "c"}),
    Fault("allowed-ips-missing", lambda lab: lab.set_allowed("a", "b", f"{lab.host('b').mesh[1]}/128", saved=True), {"a", "b"}),
    Fault("allowed-ips-too-wide", lambda lab: lab.set_allowed("a", "b", f"{lab.host('b').mesh[0]}/32,{lab.host('b').mesh[1]}/128,203.0.113.0/24", saved=True), {"a", "b"}),
    Fault("address-drift", lambda lab: lab.change_address("b", "10.44.0.77/24"), {"b"}),
    Fault("endpoint-unknown", forget_both, {"a", "b"}, warm=False, lab={"keepalive": 0}, traffic=(("a", "b"),)),
    Fault("endpoint-stale", stale(lambda lab: "203.0.113.250:51820"), {"a", "b"}, warm=False, traffic=(("a", "b"),)),
    Fault("endpoint-port", stale(lambda lab: f"{lab.host('b').address}:51999"), {"a", "b"}, warm=False, traffic=(("a", "b"),)),
    Fault("listen-port-drift", lambda lab: lab.set_listen_port("b", 51999), {"b"}),
    Fault("endpoint-in-tunnel", lambda lab: lab.host("a").run(["ip", "route", "add", lab.host("b").address + "/32", "dev", "wg0"]), {"a", "b"}),
    Fault("keepalive-missing", lambda lab: None, {"c"}, hosts=("a", "b", nat("c", keepalive=0))),
    Fault("no-path-nat", lambda lab: None, {"b", "c"}, hosts=("a", nat("b"), Host("c", provider="cafe", nat="symmetric")),
          traffic=(("b", "c"), ("c", "b"))),
    Fault("nat-port-clash", clash, {"b", "c"}, warm=False, lab={"keepalive": 0},
          hosts=("a", nat("b", gateway="gw", nat_ports=(51820, 51820), keepalive=25), nat("c", gateway="gw", nat_ports=(51820, 51820), keepalive=25))),
    Fault("udp-blocked", both_ways, {"a", "b"}, warm=False, traffic=(("a", "b"), ("b", "a"))),
    Fault("udp-blocked", lambda lab: lab.block_udp_in("b"), {"b"}, what="inbound at a node", warm=False, traffic=(("a", "b"), ("c", "b"), ("b", "a"))),
    Fault("udp-blocked-one-way", lambda lab: lab.drop_udp("a", "b"), {"a", "b"}, warm=False, traffic=(("a", "b"), ("b", "a")), direction="a→b"),
    Fault("mtu-mismatch", lambda lab: lab.set_mtu("b", 1500), {"b"}),
    Fault("route-missing", lambda lab: lab.delete_route("b"), {"b"}),
    Fault("route-shadowed", lambda lab: lab.shadow_route("b", f"{lab.host('a').mesh[0]}/32"), {"a", "b"}),
    Fault("interface-down", lambda lab: lab.link_down("b"), {"b"}),
    Fault("interface-down", lambda lab: lab.host("b").run(["ip", "link", "del", "wg0"]), {"b"}, what="deleted", engine="kernel"),
    Fault("engine-dead", lambda lab: lab.kill_engine("b"), {"b"}, engine="process"),
    Fault("config-drift", lambda lab: lab.set_keepalive("a", "b", 17), {"a"}),
    Fault("clock-skew", lambda lab: lab.shift_clock("b", 300), {"b"}, looks=("--bare",)),
    Fault("host-unreachable", lambda lab: lab.refuse("b"), {"b"}),
]


def check(fault, document, mode):
    found = faults(document)
    text = f"{mode}: wanted {fault.id} {sorted(fault.nodes)}\n{describe(document)}"
    assert [f["id"] for f in found] == [fault.id], text
    assert set(found[0]["nodes"]) <= fault.nodes and set(found[0]["nodes"]), text
    assert found[0]["evidence"] and found[0]["remedy"] and found[0]["summary"], text
    if fault.direction:
        assert found[0]["direction"] == fault.direction, text


def looks_at(lab, fault, env=None):
    """[(mode, document)]: by each look, with the mesh file and from the rows alone, all at the same time."""
    names = [h.name for h in lab.hosts]
    wanted = [(f"{look} with the mesh file", (look,)) for look in fault.looks]
    if fault.hosts_mode:
        by_rows = [(f"{look} from the rows alone", (look, *names)) for look in fault.looks]
        wanted = wanted + by_rows if ALL else wanted[:1] + by_rows[-1:]
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
        return list(zip([mode for mode, _ in wanted], pool.map(lambda one: report(lab, *one[1], env=env), wanted)))


def fault_test(fault):
    @timeout(180)
    def test():
        if fault.engine == "kernel" and not KERNEL:
            raise Skip("only the kernel's interface can be deleted while its engine lives (make check-vm)")
        if fault.engine == "process" and KERNEL:
            raise Skip("the kernel's engine is no process that could die")
        with Lab(list(fault.hosts), **fault.lab) as lab:
            if fault.warm:
                lab.warm()
            fault.make(lab)
            for a, b in fault.traffic:
                lab.ping(a, b, count=1, timeout=1)
            time.sleep(fault.wait)
            for mode, document in looks_at(lab, fault):
                check(fault, document, mode)
    return test


for fault in FAULTS:
    name = "test_" + fault.id.replace("-", "_") + ("_" + fault.what.replace(" ", "_") if fault.what else "")
    globals()[name] = fault_test(fault)


@timeout(120)
def test_block_on_a_link_that_is_still_live():
    """Its handshake is young, so that one reading shows nothing; who asks about the two nodes gets the second reading."""
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        lab.drop_udp("a", "b")
        traffic = lab.host("b").popen(["ping", "-q", "-i", "0.5", "-c", "100", lab.host("a").mesh[0]], stdout=subprocess.DEVNULL)
        time.sleep(1)
        document = report(lab, "a", "b")
        traffic.kill()
        traffic.wait()
        found = faults(document)
        assert [(f["id"], f["direction"]) for f in found] == [("udp-blocked-one-way", "a→b")], describe(document)


# ---- healthy meshes: nothing may be named ------------------------------------------------------------------------

def lossy(lab):
    for a, b in (("a", "b"), ("b", "c"), ("c", "a")):
        lab.set_keepalive(a, b, 11, saved=True)
    lab.lose(10)


HEALTHY = {
    "warm": dict(hosts=("a", "b", "c")),
    "fresh": dict(hosts=("a", "b", "c"), warm=False),
    "quiet_without_keepalive": dict(hosts=("a", "b", "c"), lab={"keepalive": 0}, wait=195),
    "preshared": dict(hosts=("a", "b", "c"), lab={"psk": True}),
    "hub": dict(hosts=("a", "b", "c", nat("d")), lab={"mesh": "hub"}),
    "nat": dict(hosts=("a", "b", nat("c"), Host("d", provider="cafe", nat="full-cone"))),
    "ipv6_outside": dict(hosts=("a", "b", "c"), lab={"family": 6}),
    "providers": dict(hosts=(Host("a", "one"), Host("b", "two"), Host("c", "three"), Host("d", "one"))),
    # Keepalives only when the links are up: set at both ends at once, both begin a handshake at once, and wireguard-go (2022) can collide again and again for a minute.
    "lossy": dict(hosts=("a", "b", "c"), lab={"keepalive": 0}, make=lambda lab: lossy(lab), wait=30),
    "keepalive": dict(hosts=("a", "b", "c"), lab={"keepalive": 25}, wait=30),
    "no_saved_files": dict(hosts=("a", "b", "c"), lab={"saved": False}),
    "other_mtu": dict(hosts=("a", "b", "c"), lab={"mtu": 1380}),
}


def healthy_test(hosts, lab=None, warm=True, make=None, wait=0):
    @timeout(330)
    def test():
        with Lab(list(hosts), **(lab or {})) as running:
            if warm:
                running.warm()
            if make:
                make(running)
            time.sleep(wait)
            names = [h.name for h in running.hosts]
            for arguments in ((), tuple(names), ("--bare",), ("--push",)):
                document = report(running, *arguments)
                assert not faults(document), f"{arguments}\n{describe(document)}"
                assert document["verdict"] == "ok", f"{arguments}\n{describe(document)}"
                states = {link["state"] for link in document["links"]}
                assert not states & {"dead", "half", "unknown"}, f"{arguments}\n{describe(document)}"
    return test


for name, options in HEALTHY.items():
    globals()["test_healthy_" + name] = healthy_test(**options)


# ---- clock-behind: the wall clock is the machine's, so only a guest's may be set -------------------------------------------

HOUR = 3600


@contextlib.contextmanager
def clock_set_back(seconds):
    """The wall clock of this whole machine; only where nobody else needs it."""
    true = time.time() - time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, time.time() - seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + true)


def needs_a_guest():
    if not os.environ.get("WGDECK_GUEST"):
        raise Skip("the wall clock of this machine must not be set: runs in the guest (make check-vm)")


def forget_sessions(lab, host):
    """Its engine forgets all sessions, as after a restart of the interface; time stamps that it took of others stay."""
    lab.link_down(host)
    lab.link_up(host)


def keep_pinging(lab, a, b):
    lab.host(a).spawn(["ping", "-q", "-i", "1", lab.host(b).mesh[0]])


@alone
@timeout(240)
def test_clock_behind():
    """All clocks here go back by an hour, and a and b begin anew: each refuses the other, and c, which nobody asks, is not named."""
    needs_a_guest()
    fault = Fault("clock-behind", None, {"a", "b"})
    with Lab(["a", "b", "c"], keepalive=0) as lab:
        lab.warm()
        # a began the first handshake of the two; after this one, a holds a stamp of b as well.
        forget_sessions(lab, "b")
        assert lab.ping("b", "a", count=5)
        with clock_set_back(HOUR):
            for host in "a", "b":
                forget_sessions(lab, host)
            keep_pinging(lab, "a", "b")
            keep_pinging(lab, "b", "a")
            time.sleep(12)
            assert not lab.ping("a", "b", count=3) and not lab.ping("b", "a", count=3), "the link lives though the clock went back"
            for mode, document in looks_at(lab, fault):
                check(fault, document, mode)


@alone
@timeout(240)
def test_clock_behind_of_one():
    """Only b's clock is behind: the machine's clock goes back, and what looks at the others and at the deck sees theirs right. b alone has
    begun handshakes and begins them still, and the others refuse; as it is 200 s after the change, when old sessions have ended."""
    needs_a_guest()
    fault = Fault("clock-behind", None, {"a", "b", "c"}, looks=("--bare",))
    passed = 200
    with Lab(["a", "b", "c"], keepalive=0) as lab:
        assert lab.ping("b", "a", count=5) and lab.ping("b", "c", count=5) and lab.ping("a", "c", count=5)
        with clock_set_back(HOUR - passed):
            for host in "a", "c":
                lab.shift_clock(host, HOUR)
            for host in "abc":
                forget_sessions(lab, host)
            keep_pinging(lab, "b", "a")
            keep_pinging(lab, "b", "c")
            time.sleep(12)
            assert not lab.ping("b", "a", count=3) and not lab.ping("b", "c", count=3), "the links live though the clock went back"
            ours = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"+{HOUR}s", "DONT_FAKE_MONOTONIC": "1"}
            for mode, document in looks_at(lab, fault, ours):
                check(fault, document, mode)
                assert faults(document)[0]["nodes"][0] == "b", f"{mode}\n{describe(document)}"
            # What the remedy says: the other side begins, and is heard.
            assert lab.ping("a", "b", count=5)


# ---- every id of the table that this suite can make is made ---------------------------------------------------------

def test_all_ids_are_covered():
    """A fault that the issue lists and nothing here makes would be a claim without proof."""
    listed = """peer-missing peers-missing-both wrong-key key-half-rotated ghost-peer duplicate-key no-private-key psk-mismatch key-exposed
        duplicate-address allowed-ips-stolen allowed-ips-overlap allowed-ips-missing allowed-ips-too-wide address-drift endpoint-unknown endpoint-stale
        endpoint-port listen-port-drift endpoint-in-tunnel keepalive-missing no-path-nat nat-port-clash udp-blocked udp-blocked-one-way mtu-mismatch
        route-missing route-shadowed interface-down engine-dead config-drift clock-behind clock-skew host-unreachable""".split()
    elsewhere = {"clock-behind": test_clock_behind}      # tests of their own, in the guest
    assert set(listed) == {f.id for f in FAULTS} | set(elsewhere)
