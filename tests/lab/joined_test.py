"""What the deck makes of nodes that joined with an invitation: plan, status, doctor, SSH through the hub; and of the rows that the ladder makes while it runs."""
import json
import os
import pathlib
import re

from lab import Lab, Host
from run import timeout

BUILD = pathlib.Path(__file__).resolve().parents[2] / os.environ.get("BUILD", "build")
DECK, PROGRAM = str(BUILD / "wgdeck"), str(BUILD / f"wgdeck-{os.uname().machine}")
FILE = "/root/joined.conf"


class Mesh:
    """A lab whose mesh file has a RelayNetwork and a relay, the first host."""

    def __init__(self, lab, more=""):
        self.lab, self.operator = lab, lab.operator
        text = self.operator.out(["sh", "-c", "cat ~/mesh.conf"])
        text = re.sub(r"(?m)^(Network = .*)$", r"\1\nRelayNetwork = 10.44.0.192/26" + more, text, count=1)
        text = re.sub(r"(?m)^(\[Node hub\])$", r"\1\nRole = relay", text)
        self.operator.write(FILE, text)
        lab.warm()
        self.wgdeck("apply", "--yes")

    def wgdeck(self, *words, status=0):
        done = self.operator.run([DECK, "-m", FILE, *words], check=False, timeout=60)
        assert status is None or done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def join(self, name, host, *words):
        token = self.wgdeck("invite", name, *words).strip()
        done = self.lab.host(host).run([PROGRAM, "join", "-"], input=token + "\n", check=False, timeout=60)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def status(self):
        return json.loads(self.wgdeck("status", "--json", status=None))

    def link(self, a, b):
        return next(link for link in self.status()["links"] if {link["a"], link["b"]} == {a, b})

    def is_as_asked(self):
        for words in (["plan"], ["plan", "--prune"]):
            said = self.wgdeck(*words)
            assert "Nothing to do" in said, said


def hosts():
    return [Host("hub"), Host("db"), Host("web", nat="symmetric"), Host("new", nat="port-restricted", wg=False)]


def carry(host, key, *words):
    host.run(["wg", "set", "wg0", "peer", key, *words])


@timeout(120)
def test_a_node_that_joined_is_seen_and_reached():
    with Lab(hosts()) as lab:
        mesh = Mesh(lab)
        mesh.join("mail", "new", "--relay")
        assert "mail joined through hub" in mesh.wgdeck("plan", "--prune")
        assert "wgdeck invite record mail" in mesh.wgdeck("status")
        assert "No fault" in mesh.wgdeck("doctor")
        mesh.wgdeck("invite", "record", "mail")
        mesh.is_as_asked()
        seen = mesh.status()
        assert seen["verdict"] == "ok" and not seen["faults"], seen
        assert len(seen["links"]) == 6 and all(link["state"] == "live" for link in seen["links"]), seen["links"]
        assert {link["a"] + link["b"]: link["path"] for link in seen["links"] if "mail" in (link["a"], link["b"])} == {"hubmail": "direct", "dbmail": "hub", "webmail": "hub"}
        assert "db and mail: routed by the hub" in mesh.wgdeck("doctor", "db", "mail")
        assert mesh.wgdeck("exec", "-n", "mail", "--", "hostname").split()[-1] == "new"
        assert mesh.wgdeck("ssh", "mail", "hostname").strip() == "new"


@timeout(120)
def test_rows_of_the_ladder_are_left_alone():
    with Lab(hosts()) as lab:
        mesh = Mesh(lab)
        mesh.join("mail", "new", "--relay")
        mesh.wgdeck("invite", "record", "mail")
        lab.host("hub").run(["sh", "-c", "kill $(cat /run/wgdeck/wg0.relay) 2>/dev/null; true"])  # who else would drive it
        db, mail = lab.host("db"), lab.host("new")
        key = next(node["public_key"] for node in mesh.status()["nodes"] if node["name"] == "mail")
        carry(db, key, "allowed-ips", "10.44.0.192/32")
        carry(mail, db.public_key, "allowed-ips", "10.44.0.2/32", "endpoint", f"{db.address}:51820", "persistent-keepalive", "25")
        mail.run(["ping", "-c", "3", "-i", "0.3", "-W", "2", "10.44.0.2"])
        assert mesh.link("db", "mail")["path"] == "direct"
        assert "No fault" in mesh.wgdeck("doctor")
        mesh.is_as_asked()
        carry(mail, db.public_key, "allowed-ips", "")  # only one end carries: packets of the other are dropped
        said = mesh.wgdeck("doctor", status=2)
        assert "allowed-ips-missing" in said and "mail's row for db lacks 10.44.0.2/32" in said, said
        carry(mail, db.public_key, "remove")
        carry(db, key, "remove")
        assert mesh.link("db", "mail")["path"] == "hub"
        assert "No fault" in mesh.wgdeck("doctor")


@timeout(120)
def test_an_ordinary_member_is_made_known_by_apply():
    with Lab(hosts()) as lab:
        mesh = Mesh(lab)
        mesh.join("mail", "new")
        said = mesh.wgdeck("apply", "--yes")
        assert "+ row mail" in said, said
        assert re.search(r"(?m)^PublicKey = ", mesh.operator.out(["sh", "-c", f"sed -n '/Node mail/,$p' {FILE}"]))
        lab.host("new").run(["ping", "-c", "2", "-w", "20", "10.44.0.2"])  # db: by a row of its own; a handshake is tried again every 5 s
        assert "mail" in mesh.wgdeck("status", "--all", status=None)
        assert mesh.link("db", "mail")["path"] == "direct"


@timeout(120)
def test_who_is_needed_by_others_stays():
    with Lab(hosts()) as lab:
        mesh = Mesh(lab)
        mesh.join("mail", "new", "--relay")
        mesh.wgdeck("invite", "record", "mail")
        done = mesh.operator.run([DECK, "-m", FILE, "remove", "hub", "--yes"], check=False, timeout=60)
        assert done.returncode == 1 and "mail has joined through hub" in done.stdout + done.stderr, (done.stdout, done.stderr)
        assert mesh.status()["verdict"] == "ok"
