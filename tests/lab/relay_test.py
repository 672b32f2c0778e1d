"""The opaque relay (wgdeck relay) between ordinary WireGuard configured by `wg set` alone: two nodes behind symmetric NATs come together through it, and their traffic goes through no tunnel of the hub.
With WGDECK_LONG=1 a ping goes on over a rekey."""
import os
import re
import time

from deck import PROGRAM
from lab import Host, Lab
from run import timeout


def meet(lab):
    """Rows for one another by the relay; seconds until a ping is answered."""
    place = lab.host("mail").rows()[lab.host("hub").public_key]["endpoint"].rsplit(":", 1)[0]
    for name, other in (("mail", "db"), ("db", "mail")):
        lab.host(name).run(["wg", "set", "wg0", "peer", lab.host(other).public_key, "endpoint", f"{place}:51821", "persistent-keepalive", "25",
                            "allowed-ips", f"{lab.host(other).mesh[0]}/32"])
    began = time.monotonic()
    while not lab.ping("mail", "db", timeout=1):
        assert time.monotonic() - began < 12, "they did not come together within two retries"
    return time.monotonic() - began


@timeout(240)
def test_symmetric_at_both_ends():
    with Lab([Host("hub"), Host("mail", nat="symmetric"), Host("db", nat="symmetric")], mesh="hub", hub="hub", keepalive=25) as lab:
        lab.warm()
        hub = lab.host("hub")
        hub.spawn([PROGRAM, "relay", "wg0"], log="/tmp/relay.log")
        time.sleep(1.5)
        print(f"together after {meet(lab):.1f} s")
        before = {key: row["rx"] for key, row in hub.rows().items()}
        count = 1300 if os.environ.get("WGDECK_LONG") else 100     # 130 s: a rekey comes after 120
        said = lab.host("mail").run(["ping", "-n", "-i", "0.1", "-c", str(count), "-s", "1000", lab.host("db").mesh[0]], check=False, timeout=200).stdout
        assert re.search(r" 0(\.0)?% packet loss", said), said[-300:]
        assert all(row["rx"] - before[key] < 50000 for key, row in hub.rows().items()), "it went through the hub's tunnel"
        assert lab.host("mail").rows()[lab.host("db").public_key]["tx"] > 100000
        hub.run("kill $(cat /run/wgdeck/wg0.relay)")
        time.sleep(0.5)
        assert not lab.ping("mail", "db", timeout=1), "nothing forwards any more"
