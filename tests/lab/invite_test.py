"""Invitations on a real hub, without the deck and without a newcomer that is ours: the helper's operations, sshd as Debian configures it, and what whoever has the key can do there.
After each case the file of the keys, the records and the interface are what they should be."""
import json
import os
import pathlib
import re
import select
import subprocess
import time

from lab import Lab, Host, genkey, pubkey
from run import timeout
from guard_test import HELPER, Helper, Refused

ID, OTHER_ID = "0123456789abcdef", "fedcba9876543210"
PLACE = pubkey(genkey())
FOLDER = "/var/lib/wgdeck/wg0/invitations"
PROGRAM = "/usr/local/lib/wgdeck/wgdeck"
KEYS2 = "/root/.ssh/authorized_keys2"
ADDRESS = "10.44.0.193/32"
SEEN = "192.0.2.2"  # where the operator comes from
DEBIAN = pathlib.Path("/usr/share/openssh/sshd_config")


class Login(Helper):
    """`wgdeck node` on a host over SSH, as the deck has it."""

    def __init__(self, lab, target, command):
        self.number, self.events, self.rest = 0, [], b""
        self.process = lab.operator.popen(["ssh", target, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def as_root(lab, user="root"):
    return Login(lab, f"{user}@a", f"{HELPER} node" if user == "root" else f"sudo {HELPER} node")


def close(helper):
    helper.process.stdin.close()
    assert helper.process.wait(20) == 0


def with_debians_sshd(host, extra=""):
    """Debian's own configuration, and the lab's host key, which is the only one there."""
    text = DEBIAN.read_text() if DEBIAN.exists() else "KbdInteractiveAuthentication no\nUsePAM no\n"
    text = re.sub(r"(?m)^(Include|UsePAM) .*$", "", text)  # the lab has no PAM of its own
    host.write("/etc/ssh/sshd_config", f"{extra}\nHostKey /etc/ssh/ssh_host_ed25519_key\nPidFile /run/sshd.pid\nUsePAM no\n{text}")
    host.run(["sh", "-c", "kill -HUP $(cat /run/sshd.pid)"])
    time.sleep(0.3)


def token_key(host, name="token"):
    path = f"/tmp/{name}"
    host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path])
    return path, " ".join(host.read(path + ".pub").split()[:2])


def row(key, allowed, **more):
    return {"do": "row", "running": True, "saved": True, "key": key, "new": True, "allowed": allowed, **more}


def record(lab, public, **more):
    hub = lab.host("a")
    return {"interface": "wg0", "invitation": ID, "mesh": "prod", "name": "mail", "relay": True, "expires": int(time.time()) + 600, "by": "alice@laptop", "public": public, "place": PLACE,
            "hub": [row(PLACE, [ADDRESS], name="mail", keepalive=0), {"do": "file"}],
            "node": [{"do": "interface", "running": True, "saved": True, "engine": "auto"}, {"do": "address", "running": True, "saved": True, "prefix": ADDRESS},
                     row(hub.public_key, ["10.44.0.0/24"], name="a", endpoint=f"{hub.address}:51820", keepalive=25), {"do": "file"}],
            "addresses": [ADDRESS], "relay_port": 0, **more}


def refused(helper, op, **members):
    try:
        helper.ask(op, **members)
    except Refused as no:
        return no.answer
    raise AssertionError(f"{op} was not refused")


def lines(host, path=KEYS2):
    return [line for line in host.out(["sh", "-c", f"cat {path} 2>/dev/null; true"]).splitlines() if line]


def records(host):
    return host.out(["sh", "-c", f"ls {FOLDER} 2>/dev/null; true"]).split()


def login(lab, key, *command, user="root", seconds=20, stdin=b""):
    """Whoever has the one-time key: what they get."""
    words = ["ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none",
             f"{user}@{lab.host('a').address}", *command]
    return lab.operator.run(words, input=stdin, text=False, check=False, timeout=seconds)


class Newcomer(Helper):
    """The dialogue of a newcomer, over the one-time key."""

    def __init__(self, lab, key, user="root"):
        self.number, self.events, self.rest = 0, [], b""
        self.process = lab.operator.popen(["ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                                           "-o", "UserKnownHostsFile=/dev/null", f"{user}@{lab.host('a').address}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def join(self, key=None, **more):
        self.secret = key or genkey()
        self.public = pubkey(self.secret)
        return self.ask("join", public_key=self.public, box=pubkey(genkey()), hostname="mail-1", version="x", time=int(time.time()), candidates=[], **more)


def held(host):
    """Whether the hub's interface has the newcomer's address, running and saved."""
    return ADDRESS in host.out(["wg", "show", "wg0", "allowed-ips"]), ADDRESS in host.read("/etc/wireguard/wg0.conf")


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


def until_clean(host, before):
    assert wait_for(lambda: held(host) == (False, False)), host.out(["wg", "show", "wg0"])
    assert host.read("/etc/wireguard/wg0.conf") == before


def test_line_and_login():
    """Debian's sshd: the line is in the second file, the key gets the forced command and nothing else, and none of it is left after revoke."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        with_debians_sshd(a)
        key, public = token_key(lab.operator)
        before = a.read("/root/.ssh/authorized_keys")
        helper = as_root(lab)
        answer = helper.ask("invite", **record(lab, public))
        assert (answer["user"], answer["port"], answer["file"], answer["warnings"]) == ("root", 22, KEYS2, []), answer
        assert answer["host_keys"] == [" ".join(a.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])]
        assert len(lines(a)) == 1 and lines(a)[0].startswith("restrict,expiry-time=") and public in lines(a)[0]
        assert a.out(["stat", "-c", "%a %U", KEYS2]).split() == ["600", "root"]
        assert a.out(["stat", "-c", "%a %U", f"{FOLDER}/{ID}"]).split() == ["600", "root"]
        assert a.read("/root/.ssh/authorized_keys") == before
        # Whatever is asked for, it is the forced command; no terminal, no forwarding.
        done = login(lab, key, "cat", "/etc/shadow")
        assert done.returncode == 0 and done.stdout == b"", done
        done = login(lab, key, stdin=b'{"id":1,"op":"facts","interface":"wg0"}\n')
        assert json.loads(done.stdout) == {"id": 1, "ok": False, "error": "an invitation is for joining and nothing else", "code": "refused"}, done
        done = login(lab, key, stdin=b"hello\n")
        assert not json.loads(done.stdout)["ok"]
        done = login(lab, key, stdin=b"x" * 200000)
        assert "64 KiB" in json.loads(done.stdout)["error"]
        assert login(lab, key, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22", seconds=10).returncode != 0
        rows = helper.ask("invitations", interface="wg0")["invitations"]
        assert [(r["id"], r["name"], r["state"], r["by"], r["addresses"]) for r in rows] == [(ID, "mail", "open", "alice@laptop", [ADDRESS])]
        assert helper.ask("revoke", interface="wg0", invitation=ID)["was"] == "open"
        assert lines(a) == [] and a.read("/root/.ssh/authorized_keys") == before
        assert login(lab, key).returncode == 255
        assert helper.ask("revoke", interface="wg0", invitation=ID)["was"] == "revoked"
        assert refused(helper, "revoke", interface="wg0", invitation=OTHER_ID)["code"] == "refused"
        close(helper)


def test_sudo_and_other_lines():
    """An operator who becomes root by sudo: the line is in their own second file, whose other lines stay."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        with_debians_sshd(a, "PermitRootLogin no")
        a.run(["sh", "-c", "echo 'Defaults use_pty' >> /etc/sudoers"])  # as newer sudos have it
        keys2 = "/home/ops/.ssh/authorized_keys2"
        a.run(["sh", "-c", f"printf '# by hand\\nssh-ed25519 AAAAsomebody' > {keys2}; chown ops:ops {keys2}; chmod 640 {keys2}"])
        before = a.read(keys2)
        key, public = token_key(lab.operator)
        helper = as_root(lab, "ops")
        answer = helper.ask("invite", **record(lab, public))
        assert (answer["user"], answer["file"]) == ("ops", keys2), answer
        assert lines(a, keys2)[:2] == ["# by hand", "ssh-ed25519 AAAAsomebody"] and f'command="/usr/bin/sudo -n {PROGRAM} node --join {ID}"' in lines(a, keys2)[2]
        assert a.out(["stat", "-c", "%a %U", keys2]).split() == ["640", "ops"]
        newcomer = Newcomer(lab, key, "ops")
        seen = newcomer.join()
        assert seen["seen"] and seen["hub"]["name"] == "a" and seen["hub"]["addresses"] == [a.mesh[0]], seen
        newcomer.ask("give-up", why="no")
        assert newcomer.process.wait(20) == 0
        helper.ask("revoke", interface="wg0", invitation=ID)
        assert a.read(keys2).rstrip("\n") == before.rstrip("\n")
        close(helper)
        # A link out of the home leads no farther than the user could go.
        a.run(["sh", "-c", "mv /home/ops/.ssh /home/ops/kept && ln -s /root/.ssh /home/ops/.ssh"])
        helper = Helper(a, ("env", "SUDO_USER=ops"))
        answer = refused(helper, "invite", **record(lab, public))
        assert answer["code"] == "refused" and "Permission denied" in answer["error"], answer
        assert a.out(["ls", "/root/.ssh"]).split() == ["authorized_keys"] and records(a) == []
        close(helper)


def test_sudo_with_a_password():
    """The newcomer's login cannot type it: it is root's then, where sshd lets root in; and nothing is left at the other."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        with_debians_sshd(a)
        key, public = token_key(lab.operator)
        helper = Helper(a, ("env", "SUDO_USER=pw"))
        answer = helper.ask("invite", **record(lab, public))
        assert (answer["user"], answer["file"]) == ("root", KEYS2), answer
        assert login(lab, key).returncode == 0
        assert a.run(["test", "-e", "/home/pw/.ssh"], check=False).returncode == 1
        helper.ask("revoke", interface="wg0", invitation=ID)
        with_debians_sshd(a, "PermitRootLogin no")
        answer = refused(helper, "invite", **record(lab, public, invitation=OTHER_ID))
        assert "password" in answer["error"] and "PermitRootLogin" in answer["error"], answer
        assert records(a) == [ID] and lines(a) == []
        close(helper)


def test_two_at_once():
    """Two operators: of one name and address one gets it; of two names both, and the file holds both lines."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        _, public = token_key(lab.operator)
        helpers = [Helper(a), Helper(a)]
        numbers = [h.send("invite", **record(lab, public, invitation=i)) for h, i in zip(helpers, (ID, OTHER_ID))]
        answers = [h.hear(n) for h, n in zip(helpers, numbers)]
        assert sorted(answer["ok"] for answer in answers) == [False, True] and [x["code"] for x in answers if not x["ok"]] == ["taken"], answers
        assert len(lines(a)) == len(records(a)) == 1
        helpers[0].ask("revoke", interface="wg0", invitation=records(a)[0])
        ids = ["%016x" % (77 + i) for i in range(2)]
        numbers = [h.send("invite", **record(lab, public, invitation=i, name=f"n{i}", addresses=[f"10.44.0.{193 + k}/32"])) for k, (h, i) in enumerate(zip(helpers, ids))]
        assert all(h.hear(n)["ok"] for h, n in zip(helpers, numbers))
        assert len(lines(a)) == 2
        for helper in helpers:
            close(helper)


def test_refused_and_undone():
    """What this sshd would not take is said, with what to set; nothing is left of it."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        key, public = token_key(lab.operator)
        for extra, word in (("AuthorizedKeysFile .ssh/authorized_keys", "authorized_keys2"), ("PubkeyAuthentication no", "PubkeyAuthentication yes"), ("ForceCommand /bin/false", "ForceCommand"),
                            ("AllowUsers ops", "AllowUsers"), ("PermitRootLogin no", "PermitRootLogin"), ("AuthenticationMethods publickey,password", "AuthenticationMethods"),
                            ("PubkeyAcceptedAlgorithms rsa-sha2-512", "Ed25519"), ("Match User root\nForceCommand /bin/false\nMatch all", "ForceCommand")):
            a.write("/etc/ssh/sshd_config", f"{extra}\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\n")
            helper = Helper(a)
            answer = refused(helper, "invite", **record(lab, public))
            assert answer["code"] == "refused" and word in answer["error"], (extra, answer)
            assert lines(a) == [] and records(a) == [], extra
            close(helper)
        with_debians_sshd(a)
        helper = Helper(a)
        for more, code, word in (({"expires": int(time.time()) - 5}, "refused", "clock"), ({"expires": int(time.time()) + 90 * 86400}, "refused", "31 days"), ({"name": "../x"}, "refused", "name"),
                                 ({"interface": "wg7"}, "refused", "wg7"), ({"addresses": [f"{lab.host('b').mesh[0]}/32"]}, "taken", "row"), ({"hub": [{"do": "interface-remove"}]}, "refused", "")):
            answer = refused(helper, "invite", **record(lab, public, **more))
            assert answer["code"] == code and word in answer["error"], (more, answer)
            assert lines(a) == [] and records(a) == []
        # A folder that others can write to: sshd would not read the file, so it is not written.
        a.run(["chmod", "777", "/root/.ssh"])
        answer = refused(helper, "invite", **record(lab, public))
        assert answer["code"] == "refused" and "chmod" in answer["error"] and records(a) == [] and not lines(a), answer
        assert a.run(["test", "-e", PROGRAM], check=False).returncode == 1  # what was not there is gone
        a.run(["chmod", "700", "/root/.ssh"])
        helper.ask("invite", **record(lab, public))
        for more in ({"invitation": OTHER_ID}, {"invitation": OTHER_ID, "name": "other"}):
            assert refused(helper, "invite", **record(lab, public, **more))["code"] == "taken"
        close(helper)


def test_expired():
    """sshd itself refuses the key, whether or not anybody has taken the line away; the next look does."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        with_debians_sshd(a)
        if pathlib.Path("/usr/share/zoneinfo/Asia/Tokyo").exists():  # sshd reads the line in the hub's own time
            a.run(["ln", "-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime"])
        key, public = token_key(lab.operator)
        helper = as_root(lab)
        helper.ask("invite", **record(lab, public, expires=int(time.time()) + 4))
        assert login(lab, key).returncode == 0
        early = Newcomer(lab, key)
        time.sleep(5.2)
        assert len(lines(a)) == 1 and login(lab, key).returncode == 255
        # One that is logged in already comes too late as well.
        early.secret = None
        answer = refused(early, "join", public_key=pubkey(genkey()), box=pubkey(genkey()))
        assert answer["code"] == "expired", answer
        early.process.stdin.close()
        assert helper.ask("invitations", interface="wg0")["invitations"][0]["state"] == "expired"
        assert lines(a) == []
        assert helper.ask("revoke", interface="wg0", invitation=ID)["was"] == "expired"
        close(helper)


@timeout(240)
def test_join():
    """The dialogue: staged under a guard, put back or kept; used once; the same key gets the same answers again."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        with_debians_sshd(a)
        key, public = token_key(lab.operator)
        before = a.read("/etc/wireguard/wg0.conf")
        helper = as_root(lab)
        helper.ask("invite", **record(lab, public))

        # Given up, cut off, and another one at the same time.
        newcomer = Newcomer(lab, key)
        assert refused(newcomer, "keep")["code"] == "refused"
        answer = newcomer.join()
        assert (answer["mesh"], answer["interface"], answer["name"], answer["relay"], answer["sealed"], answer["within"]) == ("prod", "wg0", "mail", True, [], 45), answer
        assert answer["hub"]["key"] == a.public_key and answer["hub"]["addresses"] == [a.mesh[0]] and answer["seen"] == SEEN, answer
        assert held(a) == (True, False)
        assert helper.ask("invitations", interface="wg0")["invitations"][0]["state"] == "joining"
        second = Newcomer(lab, key)
        assert refused(second, "join", public_key=pubkey(genkey()), box=pubkey(genkey()))["code"] == "busy"
        newcomer.ask("give-up", why="no")
        until_clean(a, before)
        second.join()
        assert held(a) == (True, False)
        second.process.stdin.close()
        until_clean(a, before)
        assert wait_for(lambda: helper.ask("invitations", interface="wg0")["invitations"][0]["state"] == "open")

        fourth = Newcomer(lab, key)
        # A key that is somebody's, and nonsense; then kept.
        assert refused(fourth, "join", public_key=lab.host("b").public_key, box=pubkey(genkey()))["code"] == "taken"
        assert refused(fourth, "join", public_key=a.public_key, box=pubkey(genkey()))["code"] == "taken"
        assert refused(fourth, "join", public_key="x", box=pubkey(genkey()))["code"] == "refused"
        assert held(a) == (False, False)
        fourth.join()
        assert "no answer" in refused(fourth, "check")["error"]
        fourth.ask("keep")
        fourth.ask("keep")
        assert held(a) == (True, True) and len(lines(a)) == 1
        used = helper.ask("invitations", interface="wg0")["invitations"][0]
        assert (used["state"], used["key"], used["from"]) == ("used", fourth.public, SEEN), used

        # Its last answer was lost: the same key may ask again, another one not.
        fourth.process.stdin.close()
        thief = Newcomer(lab, key)
        answer = refused(thief, "join", public_key=pubkey(genkey()), box=pubkey(genkey()))
        assert answer["code"] == "used" and SEEN in answer["error"], answer
        thief.process.stdin.close()
        again = Newcomer(lab, key)
        again.join(fourth.secret)
        again.ask("keep")
        again.ask("bye")
        assert held(a) == (True, True) and lines(a) == []
        assert login(lab, key).returncode == 255
        assert helper.ask("invitations", interface="wg0")["invitations"][0]["state"] == "used"
        assert helper.ask("revoke", interface="wg0", invitation=ID)["was"] == "used"
        assert held(a) == (True, True)
        assert refused(helper, "invite", **record(lab, public, invitation=OTHER_ID))["code"] == "taken"
        close(helper)


@timeout(200)
def test_revoked_under_way():
    """Revoke ends a join that is under way: the hub is as it was, and what the newcomer says then changes nothing."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        key, public = token_key(lab.operator)
        before = a.read("/etc/wireguard/wg0.conf")
        helper = as_root(lab)
        helper.ask("invite", **record(lab, public))
        newcomer = Newcomer(lab, key)
        newcomer.join()
        assert held(a) == (True, False)
        assert helper.ask("revoke", interface="wg0", invitation=ID)["was"] == "open"
        assert held(a) == (False, False) and a.read("/etc/wireguard/wg0.conf") == before and lines(a) == []
        assert newcomer.process.wait(20) == 0
        assert not a.run(["pgrep", "-f", "node --(join|guard)"], check=False).stdout
        close(helper)


@timeout(200)
def test_killed():
    """The hub's side is killed while the newcomer waits: its guard puts back, and the invitation is open again."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        key, public = token_key(lab.operator)
        before = a.read("/etc/wireguard/wg0.conf")
        helper = as_root(lab)
        helper.ask("invite", **record(lab, public))
        third = Newcomer(lab, key)
        third.join()
        a.run(["sh", "-c", f"pkill -KILL -f '[n]ode --join {ID}'"])
        assert held(a)[0]
        answer = refused(helper, "begin", change="00112233445566aa", interface="wg0", mesh="prod", owner="bob")
        assert answer["code"] == "locked" and "join of mail" in answer["error"], answer
        fourth = Newcomer(lab, key)
        assert refused(fourth, "join", public_key=pubkey(genkey()), box=pubkey(genkey()))["code"] == "locked"
        assert wait_for(lambda: held(a) == (False, False), 60)
        assert a.read("/etc/wireguard/wg0.conf") == before
        assert helper.ask("invitations", interface="wg0")["invitations"][0]["state"] == "open"
        fourth.join()
        fourth.ask("keep")
        assert held(a) == (True, True)
        fourth.process.stdin.close()
        close(helper)


@timeout(200)
def test_preshared():
    """Where the mesh has preshared keys, the hub makes one and seals it to the newcomer."""
    with Lab([Host("a"), Host("b")]) as lab:
        a = lab.host("a")
        key, public = token_key(lab.operator)
        helper = as_root(lab)
        asked = record(lab, public)
        asked["hub"][0]["preshared"] = "make"
        asked["node"][2]["preshared"] = "take"
        helper.ask("invite", **asked)
        newcomer = Newcomer(lab, key)
        answer = newcomer.join()
        assert [s["key"] for s in answer["sealed"]] == [a.public_key] and len(answer["sealed"][0]["sealed"]) > 80, answer
        assert newcomer.public in a.out(["wg", "show", "wg0", "preshared-keys"]).replace("(none)", "")
        newcomer.process.stdin.close()
        assert wait_for(lambda: held(a) == (False, False))
        close(helper)
