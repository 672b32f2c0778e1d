"""What WireGuard counts when a link is broken: the pair signatures on which the diagnosis of counters rests (S0 to S6).

All cases stand at once in one lab, as pairs of a hub and a spoke that never had a handshake; the sender pings once a second for 13 s, and
the rows of both ends are compared before and after.

Seen alike with wireguard-go 0.0.20220316 and with the kernel's WireGuard (Linux 6.1).
"""
import dataclasses
import time

from lab import Lab
from run import timeout

SECONDS = 13
INITIATION, RESPONSE = 148, 92


@dataclasses.dataclass
class Case:
    signature: str
    what: str
    make: object                     # function of the lab and the spoke
    bytes: str                       # sender sent, sender heard, far end heard, far end sent; see fits()
    handshakes: str = "- -"          # the sender's and the far end's: "fresh", or "-" for never
    learned: bool | None = None      # the far end, which had no endpoint for the sender, has its address now
    both: bool = False               # both ends ping
    spoke_sends: bool = False        # the spoke is the sender
    size: int = 56


def nothing(lab, spoke):
    pass


def both_ways(lab, spoke):
    lab.drop_udp("hub", spoke)
    lab.drop_udp(spoke, "hub")


def only_initiations(lab, spoke):
    """Of what the hub sends to the spoke only initiations arrive: 148 bytes and UDP's own 8."""
    hub, far = lab.host("hub").address, lab.host(spoke).address
    lab._forward(f"ip saddr {hub} ip daddr {far} udp length != {INITIATION + 8} drop")


def big_packets_lost(lab, spoke):
    assert lab.ping("hub", spoke, count=5), "no handshake"
    lab.black_hole("hub", spoke, 1000)


CASES = [
    Case("S0", "works", nothing, "+ + + +", "fresh fresh", learned=True),
    # The sender cannot tell these apart: nothing comes back, and nothing is counted at the far end.
    Case("S1", "lost on the way", lambda lab, spoke: lab.drop_udp("hub", spoke), "i 0 0 0", learned=False),
    Case("S1", "wrong port", lambda lab, spoke: lab.set_endpoint("hub", spoke, f"{lab.host(spoke).address}:51999"), "i 0 0 0", learned=False),
    Case("S1", "no row at the far end", lambda lab, spoke: lab.delete_row(spoke, "hub"), "i 0 - -"),
    Case("S1", "wrong key for the far end", lambda lab, spoke: lab.set_row_key("hub", spoke), "i 0 0 0", learned=False),
    Case("S1", "no private key at the far end", lambda lab, spoke: lab.no_private_key(spoke), "i 0 0 0", learned=False),
    # The far end takes the initiations and learns from where they come, before any handshake is complete.
    Case("S2", "the way back is lost", lambda lab, spoke: lab.drop_udp(spoke, "hub"), "i 0 i r", learned=True),
    Case("S2", "preshared keys differ", lambda lab, spoke: lab.set_psk(spoke, "hub"), "i 0 i r", learned=True),
    Case("S3", "lost both ways, both send", both_ways, "i 0 0 i", both=True),
    Case("S4", "no endpoint", lambda lab, spoke: lab.forget_endpoint("hub", spoke), "0 0 0 0", learned=False),
    Case("S4", "no route", lambda lab, spoke: lab.shadow_route("hub", f"{lab.host(spoke).mesh[0]}/32", "blackhole"), "0 0 0 0", learned=False),
    Case("S4", "interface down", lambda lab, spoke: lab.link_down(spoke), "0 0 0 0", spoke_sends=True),
    # Fresh at both ends: the counters show a loss of big packets only when they are held against each other.
    Case("S5", "big packets lost", big_packets_lost, "d h h h", "fresh fresh", learned=True, size=1200),
    # The far end calls a handshake complete when the first packet under the new key comes, and none does. The sender has its response, so its
    # handshake is fresh; it begins anew 15 s after the first packet without an answer, for as long as there is traffic, so its age never grows
    # old. The far end's age is the one to believe. S5 on a new link is S6 at first, until a handshake comes to its end with nothing to send: then
    # a keepalive confirms it, which is small.
    Case("S6", "only initiations arrive", only_initiations, "+ 1r 1i 1r", "fresh -", learned=True),
]


def name_of(number):
    return f"s{number}"


def row(lab, rows, other, keys):
    """The row for the other, also when its key is not the other's (on the hub a wrong one took its place); None when there is none."""
    key = lab.host(other).public_key
    if key not in rows and other != "hub":
        key = next(k for k in rows if k not in keys)
    return rows.get(key)


def fits(pattern, value):
    """`+`: something; `d`: many packets of data; `h`: no more than handshakes; `i`, `r`: a whole number of initiations or responses, two or more (it was tried again); `1i`, `1r`: one or more."""
    if pattern == "-" or value is None:
        return pattern == "-" and value is None
    if pattern in "+0":
        return (value > 0) == (pattern == "+")
    if pattern in "dh":
        return value > 5000 if pattern == "d" else value < 1000
    unit = INITIATION if pattern[-1] == "i" else RESPONSE
    return value % unit == 0 and value // unit >= (1 if pattern[0] == "1" else 2)


def judge(lab, case, spoke, before, after):
    """(what was seen, as a line; what of it differs from the case)."""
    sender, far = (spoke, "hub") if case.spoke_sends else ("hub", spoke)
    ends = [(before[sender, far], after[sender, far]), (before[far, sender], after[far, sender])]
    counts = [None if one is None else two[what] - one[what] for (one, two), what in zip([ends[0], ends[0], ends[1], ends[1]], ["tx", "rx", "rx", "tx"])]
    handshakes = ["fresh" if two and two["handshake"] else "-" for _, two in ends]
    learned = bool(ends[1][1] and ends[1][1]["endpoint"] == lab.host(sender).endpoint)
    wrong = [text for text, right in [("bytes", all(map(fits, case.bytes.split(), counts))), ("handshakes", " ".join(handshakes) == case.handshakes),
                                      ("learned", case.learned is None or learned == case.learned)] if not right]
    return f"{case.signature} {case.what}: bytes {counts}, handshakes {handshakes}, learned {learned}", wrong


@timeout(180)
def test_signatures():
    spokes = [name_of(number) for number in range(len(CASES))]
    with Lab(["hub", *spokes], mesh="hub", hub="hub", keepalive=0) as lab:
        for case, spoke in zip(CASES, spokes):
            if case.learned is not None and lab.host("hub").public_key in lab.host(spoke).rows():
                lab.forget_endpoint(spoke, "hub")
            case.make(lab, spoke)
        keys = {host.public_key for host in lab.hosts}

        def sample():
            rows = {host.name: host.rows() for host in lab.hosts}
            return {pair: row(lab, rows[pair[0]], pair[1], keys) for spoke in spokes for pair in (("hub", spoke), (spoke, "hub"))}

        before = sample()
        for case, spoke in zip(CASES, spokes):
            for sender, far in (("hub", spoke), (spoke, "hub")):
                if case.both or (sender == spoke) == case.spoke_sends:
                    lab.host(sender).spawn(["ping", "-q", "-i", "1", "-s", str(case.size), lab.host(far).mesh[0]])
        time.sleep(SECONDS)
        after = sample()
        seen = [judge(lab, case, spoke, before, after) for case, spoke in zip(CASES, spokes)]
    for line, wrong in seen:
        print(line + (f"   WRONG: {', '.join(wrong)}" if wrong else ""))
    assert not [line for line, wrong in seen if wrong]
