"""The commands that set up and change a mesh, on real hosts: init, add, remove, set, plan, apply, rotate, export, import; what they say, what they leave on the nodes and in the mesh
file, and that a mesh made by hand is adopted without being touched."""
import difflib
import json
import os
import re
import signal
import subprocess
import time

from deck import PROGRAM, report, wgdeck
from lab import Host, Lab, default_engine, genkey, pubkey
from run import Skip, timeout
from screen import Screen

FILE = "/root/new.conf"
CONF = "/etc/wireguard/wg0.conf"


def run(lab, *words, check=(0,), **more):
    """wgdeck with the mesh file that the test makes; what it said on both streams."""
    done = wgdeck(lab, "-m", FILE, *words, check=check, **more)
    return done.stdout + done.stderr


def mesh_file(lab):
    return lab.operator.read(FILE)


def begin(lab, *nodes, more=(), options=()):
    """A mesh of NODES, from nothing."""
    run(lab, "init", "--network", "10.44.0.0/24,fd44::/64", *options)
    return run(lab, "add", *[word for n in nodes for word in (n, n)], "--yes", *more)


def ping(lab, a, address):
    return lab.host(a).run(["ping", "-c", "2", "-i", "0.2", "-W", "2", address], check=False).returncode == 0


def own_key(lab, node):
    return lab.host(node).out(["wg", "show", "wg0", "public-key"]).strip()


def assert_only_boot(plan):
    """Nothing, or that nothing brings the interface up at boot, which is so in the lab."""
    assert not [line for line in plan.splitlines() if re.match(r"  [-+~.]", line) and "+ service" not in line], plan


def fingerprint(host):
    """Everything that a change could touch, but counters and times."""
    rows = {key: (row["endpoint"] if str(row["endpoint"]).endswith(":51820") else "moves with its NAT", row["allowed"], row["keepalive"]) for key, row in host.rows().items()} if "wg0" in host.out("ls /sys/class/net") else None
    files = host.out("ls -lAR --time-style=full-iso /etc/wireguard /etc/systemd /etc/init.d /etc/cron.d /var/lib/wgdeck /var/run/wireguard 2>/dev/null; "
                     "sha256sum /etc/wireguard/* 2>/dev/null || true")
    return rows, files, host.out("ip -o addr; ip -4 route show table all; sysctl net.ipv4.ip_forward")


@timeout(180)
def test_from_nothing():
    """init, add two, add one more, nothing more to do; addresses and endpoints are chosen and told, every pair is linked, v4 and v6, and it is saved."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        text = begin(lab, "a", "b")
        assert "a: Address = 10.44.0.1, fd44::1" in text and "b: Endpoint = " in text, text
        text = run(lab, "add", "c", "root@c", "--yes")
        assert "c: Address = 10.44.0.3, fd44::3 (the lowest that are free)" in text, text
        for one, other in (("a", "10.44.0.2"), ("a", "10.44.0.3"), ("b", "10.44.0.3"), ("c", "10.44.0.1"), ("c", "fd44::2")):
            assert ping(lab, one, other), f"{one} does not reach {other}"
        assert "Nothing to do" in run(lab, "plan", "--detailed-exitcode")
        assert "Nothing to do" in run(lab, "apply", "--yes")
        text = mesh_file(lab)
        for n in "abc":
            own = own_key(lab, n)
            assert f"PublicKey = {own}" in text, text
            assert lab.host(n).out(["stat", "-c", "%a", CONF]).strip() == "600"
        assert "PrivateKey" not in text
        document = report(lab, "-m", FILE)
        assert document["verdict"] in ("ok", "warning"), document["faults"]


@timeout(120)
def test_adopt_and_plan_touch_nothing():
    """A mesh made by hand: adopted, its plan is empty; nothing on the nodes has changed, not even a file's time."""
    with Lab([Host("a"), Host("b"), Host("c", nat="symmetric")], psk=True) as lab:
        lab.warm()
        before = {n: fingerprint(lab.host(n)) for n in "abc"}
        for n in "abc":
            lab.host(n).run("touch /marker; sleep 0.02")
        lab.operator.run([PROGRAM, "adopt", "a", "b", "c", "-o", FILE])
        assert_only_boot(run(lab, "plan", "--detailed-exitcode", check=(0, 2)))
        document = json.loads(wgdeck(lab, "-m", FILE, "plan", "--json", check=(0,)).stdout)
        assert [n["state"] for n in document["nodes"]] == ["ready"] * 3, document
        after = {n: fingerprint(lab.host(n)) for n in "abc"}
        for n in "abc":
            for was, now in zip(before[n], after[n]):
                assert was == now, "\n".join(difflib.unified_diff(str(was).splitlines(), str(now).splitlines(), lineterm=""))
            written = lab.host(n).out("find /root /home /tmp /etc /run /var \\( -path /var/log -o -path /run/.disk \\) -prune -o -newer /marker -type f -print")
            assert not written.strip(), written


@timeout(150)
def test_remove_and_add_again():
    """A removed node loses its interface, its file and its rows at the others; its address is not given away at once."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b", "c")
        gone = own_key(lab, "c")
        text = run(lab, "remove", "c", "--yes")
        assert "interface" in text, text
        assert "wg0" not in lab.host("c").out("ls /sys/class/net") and lab.host("c").run(["test", "-e", CONF], check=False).returncode
        for n in "ab":
            assert gone not in lab.host(n).rows() and gone not in lab.host(n).read(CONF), n
        assert ping(lab, "a", "10.44.0.2")
        text = mesh_file(lab)
        assert "[Removed c]" in text and "[Node c]" not in text and gone in text, text
        assert "Nothing to do" in run(lab, "plan")
        text = run(lab, "add", "d", "c", "--yes")
        assert "d: Address = 10.44.0.4, fd44::4" in text and ping(lab, "a", "10.44.0.4"), text


@timeout(150)
def test_set_and_the_file_edited_by_hand():
    """set changes the file in place, comments stay; a wrong key or value changes nothing; a failed change takes the edit back; what was written by hand meanwhile stays."""
    with Lab([Host("a"), Host("b")], mesh="none") as lab:
        begin(lab, "a", "b")
        lab.operator.write(FILE, mesh_file(lab).replace("[Node b]", "# the second one\n[Node b]"))
        before = mesh_file(lab)
        for words, said in ((("set", "b", "MTUU=1300"), "did you mean MTU"), (("set", "b", "MTU=big"), "MTU"), (("set", "bb", "MTU=1300"), "no node"),
                            (("set", "b", "Address=10.44.0.1"), "10.44.0.1"), (("remove", "x"), "no node")):
            text = run(lab, *words, "--yes", check=(1,))
            assert said in text and mesh_file(lab) == before, text
        run(lab, "set", "b", "MTU=1300", "AllowedIPs=192.168.77.0/24", "--yes")
        text = mesh_file(lab)
        assert "# the second one\n[Node b]" in text and "MTU = 1300" in text and "AllowedIPs = 192.168.77.0/24" in text, text
        assert "mtu 1300" in lab.host("b").out(["ip", "link", "show", "wg0"])
        assert "192.168.77.0/24" in lab.host("a").out(["ip", "route"]) and "MTU = 1300" in lab.host("b").read(CONF)
        run(lab, "set", "b", "AllowedIPs=", "--yes")
        assert "192.168.77.0/24" not in lab.host("a").out(["ip", "route"]) and "AllowedIPs" not in mesh_file(lab)


@timeout(120)
def test_without_a_terminal_nothing_is_agreed_to():
    """Where nobody can be asked the plan is shown, nothing is changed, and the file's edit is taken back."""
    with Lab([Host("a"), Host("b")], mesh="none") as lab:
        begin(lab, "a")
        before, state = mesh_file(lab), fingerprint(lab.host("a"))
        text = run(lab, "add", "b", "b", check=(1,))
        assert "--yes" in text and "+ row b" in text and "as it was before" in text, text
        assert mesh_file(lab) == before and fingerprint(lab.host("a")) == state
        text = run(lab, "add", "b", "203.0.113.250", "--yes", "--timeout", "1", check=(1,))
        assert "b: " in text and mesh_file(lab) == before, text
        assert run(lab, "apply", "--json", check=(2,))


@timeout(150)
def test_asked_on_a_terminal():
    """The question, a no, a yes; and the lines of the progress give way to the report."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b")
        with Screen(lab.operator, columns=100, rows=30, argv=["sh"]) as screen:
            screen.type(f"{PROGRAM} -m {FILE} add c c\n")
            screen.wait(r"Apply\? \[y/N\]", 30)
            screen.type("n\n")
            screen.wait("as it was before", 10)
            assert "[Node c]" not in mesh_file(lab)
            screen.type("clear\n")
            screen.wait("as it was before", 10, gone=True)
            screen.type(f"{PROGRAM} -m {FILE} add c c && echo went-well\n")
            screen.wait(r"Apply\? \[y/N\]", 30)
            screen.type("y\n")
            screen.wait("^went-well", 60)
            text = screen.text()
            assert "put everything back" not in text, text
        assert ping(lab, "a", "10.44.0.3")


@timeout(150)
def test_interrupted():
    """^C while nodes are changed: everything is put back, and so is the file; what was linked stays so."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b")
        before, state = mesh_file(lab), fingerprint(lab.host("a"))[0]
        lab.drop_udp("c", "a")
        process = lab.operator.popen([PROGRAM, "-m", FILE, "add", "c", "c", "--yes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = ""
        for line in process.stdout:
            text += line
            if "verifying" in line:
                for pid in subprocess.run(["pgrep", "-P", str(process.pid)], stdout=subprocess.PIPE, text=True).stdout.split():
                    os.kill(int(pid), signal.SIGINT)
        assert process.wait() == 1, text
        assert "put back" in text.lower() and "as it was before" in text, text
        assert mesh_file(lab) == before and fingerprint(lab.host("a"))[0] == state
        assert "wg0" not in lab.host("c").out("ls /sys/class/net")
        assert ping(lab, "a", "10.44.0.2")


@timeout(150)
def test_a_failed_add_says_where_and_why():
    """UDP of the new node is closed: nothing of it stays, and the report names both ends of the link that did not come up."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b")
        before = mesh_file(lab)
        lab.drop_udp("c", "a")
        lab.drop_udp("a", "c")
        text = run(lab, "add", "c", "c", "--yes", check=(1,), timeout=120)
        assert re.search(r"\b[ac]\b.*\b[ac]\b.*(no answer|handshake)", text), text
        assert mesh_file(lab) == before and "wg0" not in lab.host("c").out("ls /sys/class/net")


@timeout(200)
def test_rotate():
    """New keys, one node after the other; the file has the new one and remembers the former; the links work. New preshared keys."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b", "c", options=("--preshared-keys",))
        old = {n: own_key(lab, n) for n in "abc"}
        text = run(lab, "rotate", "b", "--yes", timeout=120)
        new = own_key(lab, "b")
        assert new != old["b"] and f"PublicKey = {new}" in mesh_file(lab), text
        for n in "ac":
            rows = lab.host(n).rows()
            assert new in rows and old["b"] not in rows, (n, rows)
            assert ping(lab, n, "10.44.0.2")
        assert "Nothing to do" in run(lab, "plan", "--detailed-exitcode")
        psk = lab.host("a").out(["wg", "show", "wg0", "preshared-keys"])
        run(lab, "rotate", "--psk", "--yes", timeout=120)
        assert not set(psk.split()[1::2]) & set(lab.host("a").out(["wg", "show", "wg0", "preshared-keys"]).split()[1::2])
        assert ping(lab, "a", "10.44.0.2") and ping(lab, "b", "10.44.0.3")
        assert "Nothing to do" in run(lab, "plan", "--detailed-exitcode")


@timeout(150)
def test_export_to_wg_quick():
    """Two hosts that only wg-quick configures: keys made there, files exported, wg-quick up; a phone whose key is made here."""
    with Lab([Host("a"), Host("b"), Host("phone")], mesh="none") as lab:
        if lab.host("a").run("command -v wg-quick", check=False).returncode:
            raise Skip("no wg-quick on the hosts")
        keys = {n: genkey() for n in "ab"}
        text = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24, fd44::/64\n"
        for i, n in enumerate("ab", 1):
            text += f"[Node {n}]\nSsh = root@{n}\nAddress = 10.44.0.{i}, fd44::{i}\nEndpoint = {lab.host(n).address}:51820\nPublicKey = {pubkey(keys[n])}\n"
        lab.operator.write(FILE, text)
        run(lab, "add", "phone", "none")
        exported = wgdeck(lab, "-m", FILE, "export", "phone", "--new-key", check=(0,)).stdout
        private = re.search("PrivateKey = (.*)", exported).group(1)
        assert f"PublicKey = {pubkey(private)}" in mesh_file(lab) and private not in mesh_file(lab)
        lab.host("phone").run(["mkdir", "-p", "/etc/wireguard"])
        lab.host("phone").write(CONF, exported, mode=0o600)
        for n in "ab":
            host = lab.host(n)
            host.run(["mkdir", "-p", "/etc/wireguard"])
            host.write("/etc/wireguard/wg0.key", keys[n] + "\n", mode=0o600)
            text = wgdeck(lab, "-m", FILE, "export", n, check=(0,)).stdout
            assert "PrivateKey" not in text
            host.write(CONF, text, mode=0o600)
        for n in ("a", "b", "phone"):
            host = lab.host(n)
            engine = default_engine()
            done = host.run(["wg-quick", "up", "wg0"], check=False, env=None if engine == ["kernel"] else {"WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}, timeout=60)
            assert done.returncode == 0, f"{n}: {done.stdout}{done.stderr}"
        for one, other in (("a", "10.44.0.2"), ("b", "fd44::1"), ("phone", "10.44.0.1"), ("phone", "fd44::2")):
            assert ping(lab, one, other), f"{one} does not reach {other}"
        text = run(lab, "plan")
        assert not re.search(r"^  [~-] row", text, re.M), text


@timeout(150)
def test_import_of_saved_files():
    """The files of a mesh that runs, taken from its nodes, become a mesh file that asks for just what runs; none of its keys is in it."""
    with Lab([Host("a"), Host("b"), Host("c")], psk=True) as lab:
        lab.warm()
        folder = "/root/files"
        for n in "abc":
            lab.operator.run(["mkdir", "-p", f"{folder}/{n}"])
            lab.operator.write(f"{folder}/{n}/wg0.conf", lab.host(n).read(CONF), mode=0o600)
        lab.operator.run([PROGRAM, "import", folder, "-o", FILE])
        text = mesh_file(lab)
        for n in "abc":
            for secret in re.findall(r"(?:PrivateKey|PresharedKey) = (\S+)", lab.host(n).read(CONF)):
                assert secret not in text
            assert f"[Node {n}]" in text and lab.host(n).public_key in text, text
            run(lab, "set", n, f"Ssh=root@{n}", "--no-apply")
        assert_only_boot(run(lab, "plan", "--detailed-exitcode", check=(0, 2)))


@timeout(120)
def test_a_node_that_is_not_reached_is_pending():
    """It is named, its rows elsewhere stay; when it is back, apply brings it up to date."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b", "c")
        lab.refuse("c")
        rows = set(lab.host("a").rows())
        text = run(lab, "set", "b", "AllowedIPs=192.168.77.0/24", "--yes", "--timeout", "2", timeout=100)
        assert re.search(r"c.*pending", text), text
        assert set(lab.host("a").rows()) == rows
        lab.start_sshd("c")
        end = time.monotonic() + 30
        while "Nothing to do" not in run(lab, "apply", "--yes", check=(0, 1)) and time.monotonic() < end:
            time.sleep(1)
        assert "192.168.77.0/24" in lab.host("c").out(["ip", "route"])


@timeout(120)
def test_apply_json_and_some_nodes():
    """--json: what came of it, also of nothing; -n: the other nodes are left for later; keys that are seen for the first time are pinned."""
    with Lab([Host("a"), Host("b"), Host("c")], mesh="none") as lab:
        begin(lab, "a", "b", "c")
        run(lab, "set", "b", "AllowedIPs=192.168.77.0/24", "--no-apply")
        done = json.loads(wgdeck(lab, "-m", FILE, "-n", "a,b", "apply", "--yes", "--json", check=(0,)).stdout)
        assert done["result"] == "confirmed", done
        assert "192.168.77.0/24" in lab.host("a").out(["ip", "route"]) and "192.168.77.0/24" not in lab.host("c").out(["ip", "route"])
        text = run(lab, "plan", "--detailed-exitcode", check=(2,))
        assert re.search(r"^c$", text, re.M) and not re.search(r"^[ab]", text, re.M), text
        run(lab, "apply", "--yes")
        lab.operator.write(FILE, re.sub(r"PublicKey = .*\n", "", mesh_file(lab)))
        done = json.loads(wgdeck(lab, "-m", FILE, "apply", "--yes", "--json", check=(0,)).stdout)
        assert done["result"] == "nothing", done
        assert mesh_file(lab).count("PublicKey = ") == 3
        for n in "abc":
            lab.refuse(n)
        done = json.loads(wgdeck(lab, "-m", FILE, "apply", "--yes", "--json", "--timeout", "2", check=(1,)).stdout)
        assert all(n["pending"] for n in done["nodes"]), done


@timeout(120)
def test_interrupted_twice():
    """A second ^C leaves it to the guards, and says so; they put everything back in their time."""
    with Lab([Host("a"), Host("b")], mesh="none") as lab:
        begin(lab, "a")
        before = mesh_file(lab)
        lab.drop_udp("a", "b")
        process = lab.operator.popen([PROGRAM, "-m", FILE, "add", "b", "b", "--yes", "--confirm-within", "10"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True)
        text, pids = "", None
        for line in process.stdout:
            text += line
            if "verifying" in line:
                lab.freeze("b")
                pids = [int(p) for p in subprocess.run(["pgrep", "-P", str(process.pid)], stdout=subprocess.PIPE, text=True).stdout.split()]
                for _ in range(2):
                    for pid in pids:
                        os.kill(pid, signal.SIGINT)
                    time.sleep(0.5)
        assert process.wait() == 1, text
        assert "by itself within 10 s" in text, text
        assert mesh_file(lab) == before, text
        lab.thaw("b")
        end = time.monotonic() + 20
        while "wg0" in lab.host("b").out("ls /sys/class/net") and time.monotonic() < end:
            time.sleep(0.5)
        assert "wg0" not in lab.host("b").out("ls /sys/class/net")
        assert not lab.host("a").rows()
