"""A change under its guard, on one node, without the deck: the helper's own operations as JSON lines, and everything that can go wrong with them.  After each case the node is in its old or in its
new state, its keys are there, and its saved file is one that comes up at boot."""
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import time

from lab import Lab, Host, genkey, pubkey
from run import Skip, timeout

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
HELPER = TOP / os.environ.get("BUILD", "build") / f"wgdeck-{os.uname().machine}"
CONF = "/etc/wireguard/wg0.conf"
FOLDER = "/var/lib/wgdeck/wg0"
WITHIN = 10                       # the least that the guard takes
NEW_KEY = pubkey(genkey())
NEW_NETWORK = "192.168.77.0/24"


class Refused(Exception):
    """The helper said no; .answer is all of it."""

    def __init__(self, answer):
        super().__init__(answer.get("error"))
        self.answer = answer


class Helper:
    """`wgdeck node` in a host."""

    def __init__(self, host, wrap=()):
        self.host, self.number, self.events, self.rest = host, 0, [], b""
        self.process = host.popen([*wrap, str(HELPER), "node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, op, **members):
        self.number += 1
        self.process.stdin.write((json.dumps({"id": self.number, "op": op, **members}) + "\n").encode())
        self.process.stdin.flush()
        return self.number

    def hear(self, number, seconds=40):
        """The answer to request NUMBER; events go to .events."""
        end = time.monotonic() + seconds
        while True:
            while b"\n" in self.rest:
                line, self.rest = self.rest.split(b"\n", 1)
                answer = json.loads(line)
                if "event" in answer:
                    self.events.append(answer)
                elif answer["id"] == number:
                    return answer
            assert select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0], "the helper does not answer"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, "the helper has ended"
            self.rest += data

    def ask(self, op, **members):
        answer = self.hear(self.send(op, **members))
        if not answer["ok"]:
            raise Refused(answer)
        return answer

    def refused(self, op, code, says="", **members):
        try:
            answer = self.ask(op, **members)
        except Refused as refused:
            assert refused.answer["code"] == code, refused.answer
            assert re.search(says, refused.answer["error"]), f"/{says}/ is not in: {refused.answer['error']}"
            return refused.answer
        raise AssertionError(f"{op} was not refused: {answer}")

    def begin(self, change="0000000000000001", owner="alice@laptop", **members):
        return self.ask("begin", change=change, interface="wg0", mesh="prod", owner=owner, **members)

    def stage(self, operations, change="0000000000000001", within=WITHIN, **members):
        return self.ask("stage", change=change, within=within, generation="3-0123abcd", operations=operations, **members)

    def confirm(self, change="0000000000000001"):
        return self.ask("confirm", change=change, interface="wg0")

    def revert(self, change="0000000000000001"):
        return self.ask("revert", change=change, interface="wg0")

    def kill(self):
        """As kill -9: what started it in the host takes it along."""
        self.process.kill()
        self.process.wait()
        while os.read(self.process.stdout.fileno(), 65536):
            pass

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def pids(host, last):
    """Processes of wgdeck in the host: the helpers ("node") or the guards ("wg0")."""
    return [pid for pid, argv in host.processes() if "wgdeck" in argv[0] and "engine" not in argv and argv[-1] == last and "setpriv" not in argv[0]]


def guards(host):
    return pids(host, "wg0")


def row(key=NEW_KEY, **more):
    return {"do": "row", "running": True, "saved": True, "new": True, "name": "new", "key": key, "allowed": ["10.9.0.9/32"], "endpoint": "203.0.113.99:51820", "keepalive": 25, **more}


def operations(lab):
    """A row more, a network more behind an old one, a route for it, and a route less."""
    other = lab.host("b").public_key
    allowed = lab.host("a").rows()[other]["allowed"]
    return [{"do": "row", "running": True, "saved": True, "new": False, "name": "b", "key": other, "allowed": [*allowed, NEW_NETWORK]},
            row(),
            {"do": "route", "running": True, "saved": False, "prefix": NEW_NETWORK},
            {"do": "address", "running": True, "saved": True, "prefix": "10.99.0.1/24"}]


def state(host):
    """What runs: row by row, without what traffic changes; addresses, routes, and the sessions' keys as handshake times."""
    shown = host.run(["wg", "show", "wg0", "dump"], check=False).stdout.splitlines()
    if not shown:
        return None
    rows = sorted((f[0], f[1], tuple(sorted(f[3].split(","))), f[7]) for f in (line.split("\t") for line in shown[1:]))
    addresses = sorted(re.findall(r"inet6? (\S+) scope global", host.out("ip addr show dev wg0")))
    routes = sorted(line.split(" proto")[0].strip() for line in host.out("ip -4 route show dev wg0; ip -6 route show dev wg0").splitlines() if "fe80::" not in line and "ff00::" not in line)
    return shown[0].split("\t")[:3], rows, addresses, routes


def until(what, seconds, says):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, says
        time.sleep(0.05)


class Node:
    """A lab whose node a is changed; its old state, and what it must be at the end."""

    def __enter__(self):
        self.lab = Lab(["a", "b"])
        self.lab.__enter__()
        try:
            self.lab.warm()
            self.host = self.lab.host("a")
            self.old, self.old_file, self.handshake = state(self.host), self.host.read(CONF), self.last_handshake()
        except BaseException:
            self.lab.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self.lab.__exit__(*exception)

    def last_handshake(self):
        return self.host.rows()[self.lab.host("b").public_key]["handshake"]

    def is_old(self):
        return state(self.host) == self.old

    def no_traces(self):
        left = self.host.out("ls -A /etc/wireguard /var/lib/wgdeck/wg0; cat /run/wgdeck/wg0.turn")
        assert ".wg0.conf.wgdeck-new" not in left and "change" not in left.split(), left

    def put_back(self, seconds=3):
        """The old state runs again, with the same session, and the file was never touched."""
        until(self.is_old, seconds, f"the old state is not back: {state(self.host)}")
        until(lambda: self.host.run(["test", "-e", f"{FOLDER}/change"], check=False).returncode, 3, "the journal stays")
        assert self.host.read(CONF) == self.old_file, "the saved file is another one"
        assert self.last_handshake() >= self.handshake and self.lab.ping("a", "b", count=2), "the old link is cut"
        self.no_traces()
        until(lambda: not guards(self.host), 3, "the guard stays")

    def is_new(self):
        """The new state runs and is saved, with the same private key, and another apply may begin."""
        now, saved = state(self.host), self.host.read(CONF)
        assert now[0] == self.old[0], "another private key or port"
        assert NEW_KEY in [r[0] for r in now[1]] and any(NEW_NETWORK in r for r in now[3]) and "10.99.0.1/24" in now[2], now
        assert NEW_KEY in saved and NEW_NETWORK in saved and re.search("PrivateKey = (.*)", saved)[1] == re.search("PrivateKey = (.*)", self.old_file)[1], saved
        assert self.host.out(["stat", "-c", "%a", CONF]) == "600"
        assert self.host.out(["cat", f"{FOLDER}/generation"]).splitlines()[0] == "3-0123abcd"
        assert self.last_handshake() >= self.handshake and self.lab.ping("a", "b", count=2), "the old link is cut"
        self.no_traces()
        until(lambda: not guards(self.host), 3, "the guard stays")

    def helper(self):
        return Helper(self.host)

    def staged(self, **members):
        helper = self.helper()
        helper.begin()
        helper.stage(operations(self.lab), **members)
        return helper


def test_confirmed():
    with Node() as node:
        helper = node.helper()
        answer = helper.begin()
        assert answer["public_key"] == node.host.public_key and answer["next_public_key"] is None and answer["recovered"] is None and len(answer["box"]) == 44, answer
        helper.stage(operations(node.lab))
        assert [e["index"] for e in helper.events if e["event"] == "did"] == [0, 1, 2, 3], helper.events
        assert node.host.rows()[NEW_KEY]["keepalive"] == 0, "keepalives of new rows come with finish"
        assert node.host.read(CONF) == node.old_file and len(guards(node.host)) == 1
        helper.refused("confirm", "refused", "finish", change="0000000000000001", interface="wg0")
        helper.ask("finish", change="0000000000000001", within=5)
        assert node.host.rows()[NEW_KEY]["keepalive"] == 25
        other = node.helper()                          # a fresh connection confirms
        assert other.confirm() == {"id": 1, "ok": True, "warnings": []}
        assert other.confirm()["ok"] and helper.confirm()["ok"], "said twice"
        node.is_new()
        other.refused("revert", "refused", "confirmed", change="0000000000000001", interface="wg0")
        assert other.begin(change="0000000000000002")["recovered"] is None, "the lock is free"
        other.close()
        time.sleep(0.2)
        node.is_new()


def test_guard_process():
    """Of its own session, with nothing of the helper's channel, and the last that is ended when memory runs out; what is written down is for root only."""
    with Node() as node:
        helper = node.staged()
        pid, other = guards(node.host)[0], pids(node.host, "node")[0]
        assert os.getsid(pid) != os.getsid(other) and os.getpgid(pid) != os.getpgid(other)
        opened = sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
        assert all(re.search(r"/dev/null|wg0\.lock|pipe:|timerfd|signalfd|inotify", name) for name in opened) and opened.count("/dev/null") == 3, opened
        if not node.host.run("echo -900 > /proc/self/oom_score_adj", check=False).returncode:      # a container may not be allowed to
            assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "-900"
        assert b"=" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes().replace(b"PATH=", b"")
        for path in (f"{FOLDER}/change", "/etc/wireguard/.wg0.conf.wgdeck-new", "/run/wgdeck/wg0.lock"):
            assert node.host.out(["stat", "-c", "%a", path]) == "600", path
        for path in (FOLDER, "/run/wgdeck"):
            assert node.host.out(["stat", "-c", "%a", path]) == "700", path
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            os.kill(pid, number)
        time.sleep(0.2)
        assert guards(node.host) == [pid]
        os.kill(pid, signal.SIGTERM)       # put back now
        node.put_back()
        helper.refused("confirm", "unknown-change", "put back", change="0000000000000001", interface="wg0")


def test_facts_and_verify():
    """What is pending is told; a verify takes the lead or waits, and says why."""
    with Node() as node:
        helper = node.helper()
        other = node.lab.host("b")
        assert helper.ask("facts", interface="wg0")["facts"]["pending"] is None
        link = {"key": other.public_key, "addresses": [other.mesh[0]], "lead": True}
        assert helper.ask("verify", interface="wg0", within=5, links=[link])["failed"] == []
        event = helper.events[-1]
        assert event["event"] == "link" and event["key"] == other.public_key and 0 < event["rtt"] < 5_000_000 and event["age"] < 180_000, event
        failed = helper.ask("verify", interface="wg0", within=0.5, links=[{**link, "key": NEW_KEY, "addresses": ["10.44.0.77"]}])["failed"]
        assert failed[0]["key"] == NEW_KEY and "no answer" in failed[0]["why"], failed
        for members in ({"interface": "../x", "links": []}, {"interface": "wg9", "links": []}, {"interface": "wg0", "links": [{**link, "addresses": ["x"]}]},
                        {"interface": "wg0", "links": [{**link, "key": "x"}]}, {"interface": "wg0", "links": {}}, {"interface": "wg0", "links": [link], "within": -1}):
            helper.refused("verify", "refused", "", **members)
        first = helper.send("verify", interface="wg0", within=1, links=[{**link, "addresses": ["10.44.0.77"]}])
        helper.refused("verify", "busy", "", interface="wg0", links=[link])
        assert helper.hear(first)["failed"]
        helper.begin()
        helper.stage(operations(node.lab))
        pending = node.helper().ask("facts", interface="wg0")["facts"]["pending"]
        assert pending["change"] == "0000000000000001" and pending["owner"] == "alice@laptop" and 0 < pending["seconds"] <= WITHIN, pending


def test_one_after_the_other():
    """Begun and staged over one connection, confirmed over another, again and again, as a rotation does."""
    with Node() as node:
        first, fresh = node.helper(), node.helper()
        for i in range(1, 25):
            change = f"{i:016x}"
            first.begin(change=change)
            first.stage([row(allowed=[f"10.9.{i}.9/32"], new=i == 1)], change=change)
            first.ask("finish", change=change)
            if i % 5 == 0:
                fresh.revert(change)
            else:
                fresh.confirm(change)
            allowed = node.host.rows()[NEW_KEY]["allowed"]
            assert allowed == [f"10.9.{i - (i % 5 == 0)}.9/32"], allowed
        assert "10.9.24.9/32" in node.host.read(CONF)
        node.no_traces()


@timeout(120)
def test_not_confirmed():
    """The helper stays, and nobody confirms."""
    with Node() as node:
        helper = node.staged()
        began = time.monotonic()
        time.sleep(WITHIN - 3)
        assert not node.is_old(), "the guard was too early"
        node.put_back(8)
        assert WITHIN - 1 < time.monotonic() - began < WITHIN + 4
        helper.refused("confirm", "unknown-change", "put back at .*not confirmed in time", change="0000000000000001", interface="wg0")
        assert helper.begin(change="0000000000000002"), "the lock is free, although the first helper lives"


@timeout(120)
def test_helper_gone():
    """Its input ends, or it is killed: the guard stays and puts back in time."""
    for end in (Helper.close, Helper.kill):
        with Node() as node:
            end(node.staged())
            assert len(guards(node.host)) == 1 and not node.is_old()
            late = node.helper()
            late.refused("begin", "locked", r"alice@laptop changes wg0 since \d\d:\d\d:\d\d", change="0000000000000002", interface="wg0", owner="bob@desk")
            node.put_back(WITHIN + 3)
            late.begin(change="0000000000000002", owner="bob@desk")


def test_helper_gone_and_confirmed():
    with Node() as node:
        helper = node.staged()
        helper.ask("finish", change="0000000000000001")
        helper.kill()
        node.helper().confirm()
        node.is_new()


def test_guard_killed():
    """The helper sees it and starts another one; in the end the old state is back in time."""
    with Node() as node:
        helper = node.staged()
        for _ in range(3):
            pid = guards(node.host)
            os.kill(pid[0], signal.SIGKILL)
            until(lambda: guards(node.host) not in ([], pid), 3, "no other guard comes")
        helper.kill()
        node.put_back(WITHIN + 3)


def test_guard_and_helper_killed():
    """As after a crash: the next contact puts back, says so, and goes on."""
    for first in ("begin", "revert"):
        with Node() as node:
            helper = node.staged()
            for pid in pids(node.host, "node") + guards(node.host):
                os.kill(pid, signal.SIGKILL)
            helper.process.wait()
            assert not node.is_old()
            if first == "revert":
                assert node.helper().revert()["restored"] is True
                node.put_back()
                continue
            again = node.helper()
            assert re.search("alice@laptop.*put back", again.begin(change="0000000000000002")["recovered"])
            node.put_back()
            again.stage(operations(node.lab), change="0000000000000002")
            again.ask("finish", change="0000000000000002")
            again.confirm("0000000000000002")
            node.is_new()


@timeout(200)
def test_killed_anywhere():
    """The helper, or it and its guard, is killed after more and more of its work; what is found then is old or new, or is put back by the next."""
    for both in (False, True):
        with Node() as node:
            for round_number in range(14):
                change = f"{16 * (1 + round_number) + both:016x}"
                helper = node.helper()
                helper.begin(change=change)
                helper.send("stage", change=change, within=WITHIN, generation="1-00", operations=operations(node.lab))
                helper.send("finish", change=change)
                time.sleep(0.012 * round_number)
                victims = pids(node.host, "node") + (guards(node.host) if both else [])
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)
                helper.process.wait()
                assert node.host.read(CONF) == node.old_file
                again = node.helper()
                again.revert(change)
                answer = again.begin(change=f"{round_number + 9000:016x}")
                node.put_back()
                again.ask("release", change=f"{round_number + 9000:016x}")
                again.close()
                assert answer["public_key"] == node.host.public_key


@timeout(200)
def test_confirm_killed_anywhere():
    """Killed while it confirms: the file is the old or the new one, and what runs is of the same kind when the next one has looked."""
    with Node() as node:
        seen = set()
        for round_number in range(16):
            change = f"{16 * (1 + round_number):016x}"
            helper = node.helper()
            helper.begin(change=change)
            helper.stage([row(allowed=[f"10.9.{round_number}.9/32"], new=round_number == 0 or not seen)], change=change)
            helper.ask("finish", change=change)
            before = node.host.read(CONF)
            helper.send("confirm", change=change, interface="wg0")
            time.sleep(0.0015 * round_number)
            for pid in pids(node.host, "node") + guards(node.host):
                os.kill(pid, signal.SIGKILL)
            helper.process.wait()
            between = node.host.read(CONF)
            assert between == before or f"10.9.{round_number}.9/32" in between, between
            again = node.helper()
            answer = again.begin(change=f"{round_number + 9000:016x}")
            saved, rows = node.host.read(CONF), node.host.rows()
            new = f"10.9.{round_number}.9/32"
            assert (new in saved) == (NEW_KEY in rows and new in rows[NEW_KEY]["allowed"]), f"saved and running differ: {answer} {saved} {rows}"
            seen.add(new in saved)
            node.no_traces()
            again.close()
        assert node.last_handshake() >= node.handshake


def test_disk_full():
    with Node() as node:
        helper = node.helper()
        helper.begin()
        node.lab.fill_disk("a")
        answer = helper.refused("stage", "failed", "No space", change="0000000000000001", within=WITHIN, operations=operations(node.lab))
        assert "index" not in answer
        assert node.is_old() and node.host.read(CONF) == node.old_file and not guards(node.host)
        node.no_traces()


def test_disk_full_later():
    """Between stage and confirm: it is confirmed or put back, never half."""
    with Node() as node:
        helper = node.staged()
        node.lab.fill_disk("a")
        try:
            helper.ask("finish", change="0000000000000001")
            helper.confirm()
        except Refused as refused:
            assert re.search("No space.*put back", refused.answer["error"]), refused.answer
            node.put_back()
        else:
            node.is_new()


def test_read_only():
    for how in ("mount --bind /etc/wireguard /etc/wireguard && mount -o remount,bind,ro /etc/wireguard", f"mount --bind {CONF} {CONF}"):
        with Node() as node:
            node.host.run(how)
            helper = node.helper()
            helper.begin()
            helper.refused("stage", "failed", "[Rr]ead-only|mount", change="0000000000000001", within=WITHIN, operations=operations(node.lab))
            assert node.is_old() and node.host.read(CONF) == node.old_file and not guards(node.host)


def test_port_taken():
    with Node() as node:
        node.host.spawn(["python3", "-c", "import socket,time; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',5555)); time.sleep(99)"])
        time.sleep(0.3)
        helper = node.helper()
        helper.begin()
        port = {"do": "listen-port", "running": True, "saved": True, "number": 5555}
        helper.refused("stage", "failed", "5555", change="0000000000000001", within=WITHIN, operations=[port])
        assert node.is_old() and node.host.read(CONF) == node.old_file


def test_operation_fails():
    """One that cannot be is found before anything is touched; one that the kernel refuses takes the others back with it."""
    with Node() as node:
        helper = node.helper()
        helper.begin()
        bad = {"do": "row", "running": True, "saved": True, "new": True, "name": "x", "key": NEW_KEY, "allowed": [], "preshared": "take"}
        answer = helper.refused("stage", "failed", "", change="0000000000000001", within=WITHIN, operations=operations(node.lab)[:1] + [bad])
        assert answer["index"] == 1, answer
        assert node.is_old() and not guards(node.host)
        answer = helper.refused("stage", "refused", "operation", change="0000000000000001", within=WITHIN, operations=operations(node.lab)[:2] + [{"do": "dance"}])
        assert answer["index"] == 2 and node.is_old()
        # A route of the same metric that somebody else has: the kernel says so only when it is asked.
        node.host.run(["ip", "route", "add", "192.168.78.0/24", "dev", "eth0"])
        clash = {"do": "route", "running": True, "saved": False, "prefix": "192.168.78.0/24"}
        try:
            helper.stage(operations(node.lab) + [clash])
        except Refused as refused:
            assert refused.answer["code"] == "failed"
            node.put_back()
            assert "192.168.78.0/24 dev eth0" in node.host.out("ip route")
        # The same helper may try again.
        else:
            helper.revert()
            helper.begin()
        helper.stage(operations(node.lab))
        helper.ask("finish", change="0000000000000001")
        helper.confirm()
        node.is_new()


def engine(host):
    return [pid for pid, argv in host.processes() if "wireguard-go" in argv[0] or argv[1:2] == ["engine"]]


def test_engine_dies():
    """With its interface, in the middle of a change: what is put back is made anew, row by row."""
    if "kernel" in os.environ.get("LAB_ENGINE", ""):
        raise Skip("the kernel's engine does not die")
    for by_guard in (False, True):
        engine_dies(by_guard)


def engine_dies(by_guard):
    with Node() as node:
        helper = node.staged()
        for pid in engine(node.host):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not node.host.out("ip -o link").count("wg0"), 3, "the interface stays")
        if by_guard:
            helper.kill()
            until(node.is_old, WITHIN + 5, f"not put back: {state(node.host)}")
        else:
            helper.revert()
        assert node.is_old(), state(node.host)
        until(lambda: node.lab.ping("a", "b", count=1), 10, "the link is not up again")


@timeout(120)
def test_engine_hangs():
    """It is said, nothing is touched; in the middle of a change it is put back as soon as the engine answers again."""
    if "kernel" in os.environ.get("LAB_ENGINE", ""):
        raise Skip("the kernel's engine does not hang")
    with Node() as node:
        helper, wanted = node.helper(), operations(node.lab)
        helper.begin()
        for pid in engine(node.host):
            os.kill(pid, signal.SIGSTOP)
        helper.refused("stage", "failed", "hangs|answer", change="0000000000000001", within=WITHIN, operations=wanted)
        for pid in engine(node.host):
            os.kill(pid, signal.SIGCONT)
        node.put_back()
        helper.stage(wanted)
        for pid in engine(node.host):
            os.kill(pid, signal.SIGSTOP)
        helper.refused("revert", "guarded", "hangs|answer", change="0000000000000001", interface="wg0")
        helper.kill()
        time.sleep(WITHIN + 2)
        for pid in engine(node.host):
            os.kill(pid, signal.SIGCONT)
        node.put_back(25)


def test_two_operators():
    with Node() as node:
        first, second = node.helper(), node.helper()
        first.begin()
        second.refused("begin", "locked", "alice@laptop changes wg0", change="0000000000000002", interface="wg0", owner="bob@desk")
        second.refused("stage", "unknown-change", "", change="0000000000000001", operations=[])
        first.ask("release", change="0000000000000001")
        second.begin(change="0000000000000002", owner="bob@desk")
        first.refused("stage", "unknown-change", "", change="0000000000000001", operations=operations(node.lab))
        second.kill()
        first.begin()
        first.stage(operations(node.lab))
        first.ask("finish", change="0000000000000001")
        first.confirm()
        node.is_new()


def test_hung_helper():
    """Stopped, in whatever it does: the guard puts back, and the lock is free although the helper lives."""
    with Node() as node:
        helper = node.staged()
        os.kill(pids(node.host, "node")[0], signal.SIGSTOP)
        node.put_back(WITHIN + 3)
        node.helper().begin(change="0000000000000002")
        os.kill(pids(node.host, "node")[0], signal.SIGCONT)
        helper.process.kill()


@timeout(200)
def test_hung_in_the_middle():
    """Stopped while it acts: the guard waits for it a little, then ends it and puts back."""
    for _ in range(10):
        with Node() as node:
            helper = node.helper()
            helper.begin()
            many = [row(pubkey(genkey()), allowed=[f"10.{40 + i // 250}.{i % 250}.0/24"]) for i in range(1500)]
            helper.send("stage", change="0000000000000001", within=WITHIN, operations=many)
            until(lambda: guards(node.host), 3, "no guard")
            pid = pids(node.host, "node")[0]
            os.kill(pid, signal.SIGSTOP)
            in_the_middle = node.host.out("cat /run/wgdeck/wg0.turn") != ""
            try:
                if in_the_middle:
                    node.put_back(WITHIN + 5 + 3)
                    assert "ended" in node.host.read(f"{FOLDER}/guard.log")
                    node.helper().begin(change="0000000000000002")
                    return
            finally:                     # nsenter stops with what it has started, and its lab would wait for it
                for stopped in (pid, helper.process.pid):
                    try:
                        os.kill(stopped, signal.SIGCONT)
                    except ProcessLookupError:
                        pass
                helper.process.kill()
    raise AssertionError("it was never stopped in the middle")


def test_edited_by_hand():
    with Node() as node:
        helper = node.staged()
        helper.ask("finish", change="0000000000000001")
        node.host.run(f"echo '# by hand' >> {CONF}")
        helper.refused("confirm", "failed", "somebody else.*put back", change="0000000000000001", interface="wg0")
        until(node.is_old, 3, "not put back")
        assert node.host.read(CONF) == node.old_file + "# by hand\n"
        node.no_traces()


def test_power_cut():
    """Cut before it is confirmed: it boots into its old file; after: into the new one."""
    for confirmed in (False, True):
        with Node() as node:
            helper = node.staged()
            helper.ask("finish", change="0000000000000001")
            if confirmed:
                helper.confirm()
            node.lab.power_cut("a")
            node.lab.power_on("a")
            node.host = node.lab.host("a")
            saved = node.host.read(CONF)
            assert (NEW_KEY in saved) == confirmed and "PrivateKey" in saved
            answer = node.helper().begin(change="0000000000000002")
            assert (answer["recovered"] is None) == confirmed, answer
            node.no_traces()
            assert answer["public_key"] == node.host.public_key


def test_taken_away():
    """The interface goes at the end, its file is set aside, and a revert brings all of it back."""
    away = [{"do": "interface-remove", "running": True, "saved": True}]
    with Node() as node:
        helper = node.helper()
        helper.begin()
        helper.stage(away)
        assert node.is_old(), "it goes with finish, not before"
        helper.ask("finish", change="0000000000000001")
        assert state(node.host) is None
        helper.revert()
        until(node.is_old, 3, f"not back: {state(node.host)}\n{node.old}")
        assert node.host.read(CONF) == node.old_file
        helper.begin(change="0000000000000002")
        helper.stage(away, change="0000000000000002")
        helper.ask("finish", change="0000000000000002")
        helper.confirm("0000000000000002")
        assert state(node.host) is None and node.host.run(["test", "-e", CONF], check=False).returncode
        assert node.host.read(f"{CONF}.removed-{time.strftime('%Y-%m-%d', time.gmtime())}") == node.old_file


def test_new_node():
    """From nothing: a key is made and stays the same when the change is put back; with confirm it is in the file, and nowhere else."""
    with Lab(["b", Host("d", wg=False, tools=False)]) as lab:
        host = lab.host("d")
        helper = Helper(host)
        key = helper.begin(make_key=True)["public_key"]
        made = [{"do": "interface", "running": True, "saved": True, "engine": "auto"}, {"do": "listen-port", "running": True, "saved": True, "number": 51820},
                {"do": "address", "running": True, "saved": True, "prefix": "10.9.0.4/24"}, row(), {"do": "file", "running": False, "saved": True}]
        helper.stage(made)
        assert "10.9.0.4/24" in host.out("ip addr show dev wg0") and host.run(["test", "-e", CONF], check=False).returncode
        helper.revert()
        assert host.run(["ip", "link", "show", "wg0"], check=False).returncode and host.run(["test", "-e", CONF], check=False).returncode
        assert host.out(["stat", "-c", "%a", f"{FOLDER}/private-key", FOLDER]).split() == ["600", "700"]
        helper.close()
        helper = Helper(host)
        assert helper.begin(make_key=True)["public_key"] == key
        helper.stage(made)
        helper.ask("finish", change="0000000000000001")
        helper.confirm()
        private = re.search(r"PrivateKey = (\S+)", host.read(CONF))[1]
        assert pubkey(private) == key and host.out(["stat", "-c", "%a", CONF]) == "600"
        assert host.run(["test", "-e", f"{FOLDER}/private-key"], check=False).returncode
        assert NEW_KEY in host.run([str(HELPER), "show", "wg0"]).stdout


def test_preshared():
    """Made on one node, sealed to the other, the same at both ends; what crosses is no key."""
    with Lab(["a", "b"]) as lab:
        lab.warm()
        one, other = Helper(lab.host("a")), Helper(lab.host("b"))
        one.begin()
        box = other.begin()["box"]
        keys = lab.host("a").public_key, lab.host("b").public_key
        sealed = one.ask("preshared", change="0000000000000001", **{"for": [{"key": keys[1], "box": box}]})["sealed"]
        assert sealed[0]["key"] == keys[1]
        change = {"do": "row", "running": True, "saved": True, "new": False}
        one.stage([{**change, "name": "b", "key": keys[1], "preshared": "make"}])
        other.stage([{**change, "name": "a", "key": keys[0], "preshared": "take"}], sealed=[{"key": keys[0], "sealed": sealed[0]["sealed"]}])
        psk = lab.host("a").rows()[keys[1]]["psk"]
        assert psk and psk == lab.host("b").rows()[keys[0]]["psk"] and psk not in json.dumps(sealed)
        for helper in (one, other):
            helper.ask("finish", change="0000000000000001")
            helper.confirm()
        assert psk in lab.host("a").read(CONF) and psk in lab.host("b").read(CONF)


def test_rotation():
    """A new key on a: b gets its row, a switches, b's old row gives what it allows to the new one as soon as that has a handshake."""
    with Lab(["a", "b"]) as lab:
        lab.warm()
        one, other = Helper(lab.host("a")), Helper(lab.host("b"))
        answer = one.begin(next_key=True)
        old, new = answer["public_key"], answer["next_public_key"]
        assert old == lab.host("a").public_key and new not in (None, old)
        other.begin()
        address = lab.host("a").mesh[0]
        other.stage([{"do": "row", "running": True, "saved": True, "new": True, "name": "a", "key": new, "allowed": [], "preshared": "keep"},
                     {"do": "row-move", "running": True, "saved": True, "name": "a", "key": new, "other_key": old},
                     {"do": "row-remove", "running": True, "saved": True, "name": "a", "key": old}])
        one.stage([{"do": "private-key", "running": True, "saved": True}])
        assert lab.host("a").out(["wg", "show", "wg0", "public-key"]) == old
        waits = other.send("finish", change="0000000000000001", within=15)
        time.sleep(0.5)
        assert new in lab.host("b").rows() and address not in str(lab.host("b").rows()[new]["allowed"]), "moved before the new key works"
        other.refused("confirm", "busy", "finish", change="0000000000000001", interface="wg0")
        one.ask("finish", change="0000000000000001")
        assert other.hear(waits)["ok"], other.events
        rows = lab.host("b").rows()
        assert old not in rows and any(address in a for a in rows[new]["allowed"]), rows
        for helper in (one, other):
            helper.confirm()
        assert lab.ping("a", "b", count=2)
        saved = lab.host("a").read(CONF)
        assert pubkey(re.search(r"PrivateKey = (\S+)", saved)[1]) == new
        assert lab.host("a").run(["test", "-e", f"{FOLDER}/next-key"], check=False).returncode
        assert new in lab.host("b").read(CONF) and old not in lab.host("b").read(CONF)


def test_rotation_without_handshake():
    """The new key never comes: after its time finish puts everything back."""
    with Lab(["a", "b"]) as lab:
        lab.warm()
        other, old, new = Helper(lab.host("b")), lab.host("a").public_key, NEW_KEY
        before = state(lab.host("b"))
        other.begin()
        other.stage([{"do": "row", "running": True, "saved": True, "new": True, "name": "a", "key": new, "allowed": []},
                     {"do": "row-move", "running": True, "saved": True, "name": "a", "key": new, "other_key": old},
                     {"do": "row-remove", "running": True, "saved": True, "name": "a", "key": old}])
        answer = other.refused("finish", "failed", "no handshake.*put back", change="0000000000000001", within=1)
        assert answer["index"] == 1, answer
        assert state(lab.host("b")) == before and lab.ping("a", "b", count=2)
        other.begin(change="0000000000000002")


def test_not_allowed():
    """Who is not root is refused; what is no name, no ID, no owner is, too, and reaches no shell."""
    with Lab(["a"]) as lab:
        guest = Helper(lab.host("a"), wrap=["setpriv", "--reuid", "guest", "--regid", "guest", "--init-groups", "--"])
        guest.refused("begin", "refused", "root", change="0000000000000001", interface="wg0", owner="x")
        helper = Helper(lab.host("a"))
        for member, value in (("change", "x"), ("change", "../../etc/passwd"), ("interface", "wg0;touch /tmp/owned"), ("interface", "../x"), ("interface", ""), ("owner", ""), ("owner", "a\nb"),
                              ("owner", "x" * 129)):
            members = {"change": "0000000000000001", "interface": "wg0", "owner": "x", member: value}
            helper.refused("begin", "refused", "", **members)
        helper.begin()
        for within in (0, 9, 3601, "60", None, 1e99):
            helper.refused("stage", "refused", "within", change="0000000000000001", within=within, operations=[])
        helper.refused("stage", "refused", "generation", change="0000000000000001", within=60, generation="x;y", operations=[])
        helper.refused("stage", "refused", "list", change="0000000000000001", within=60, operations={})
        assert lab.host("a").run(["test", "-e", "/tmp/owned"], check=False).returncode
