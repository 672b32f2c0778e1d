"""What runs on a node, over real SSH and without the deck: the bare look, the bootstrap, the helper."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import time

from deck import describe, faults, report, wgdeck
from lab import Lab, Host, default_engine
from run import Skip

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
HELPER = TOP / os.environ.get("BUILD", "build") / f"wgdeck-{os.uname().machine}"
SALT = "0123456789abcdef" * 4


def one_line(name):
    """As tools/script-literal makes it."""
    lines = [line.strip() for line in (TOP / "src/node" / name).read_text().splitlines()]
    return "".join(line + " " for line in lines if line and not line.startswith("#"))


BARE = f"exec sh -c 'read -r salt; {one_line('bare.sh')}'"
BOOTSTRAP = f"exec sh -c '{one_line('bootstrap.sh')}{one_line('bare.sh')}'"


def helper():
    if not HELPER.exists():
        raise Skip(f"{HELPER} is not built")
    return HELPER.read_bytes()


def ssh(lab, target, command, stdin, check=True):
    done = lab.operator.run(["ssh", target, command], input=stdin, text=False, check=check)
    return done.stdout.decode(errors="replace")


def bare(lab, target="a"):
    text = ssh(lab, target, BARE, f"{SALT}\n".encode())
    assert text.startswith("wgdeck bare 1\n") and text.endswith("wgdeck end\n"), text
    return text


def first_line(mode, program):
    return f"{mode} {hashlib.sha256(program).hexdigest()} {len(program)} {SALT}\n".encode()


def request(**more):
    return (json.dumps({"id": 1, "op": "observe", "salt": SALT, **more}) + "\n").encode()


def push(lab, target="a"):
    """The helper is brought there; what it says of itself."""
    program = helper()
    channel = lab.operator.popen(["ssh", target, BOOTSTRAP], stdin=-1, stdout=-1)
    channel.stdin.write(first_line("helper", program))
    channel.stdin.flush()
    said = [channel.stdout.readline().decode()]
    while said[-1] and said[-1] != "wgdeck need\n":
        said.append(channel.stdout.readline().decode())
    channel.stdin.write(program)
    channel.stdin.flush()
    said.append(channel.stdout.readline().decode())
    channel.stdin.write(b'{"id":9,"op":"hello"}\n')
    channel.stdin.close()
    hello = json.loads(channel.stdout.read())
    assert channel.wait(10) == 0
    assert said[0] == f"wgdeck system Linux {os.uname().machine}\n" and re.match("wgdeck helper /", said[-1]), said
    assert hello["ok"] and hello["id"] == 9, hello
    return said[-1].split()[-1]


def observe(lab, target="a"):
    """One round trip: the helper is there."""
    said, _, answer = ssh(lab, target, BOOTSTRAP, first_line("auto", helper()) + request()).partition("\n")
    assert said.startswith("wgdeck helper "), said
    answer = json.loads(answer)
    assert answer["ok"], answer
    return answer["observation"]


def secrets(host):
    """All private and preshared keys on the host."""
    text = host.out("wg showconf wg0; cat /etc/wireguard/*.conf")
    return set(re.findall(r"(?:PrivateKey|PresharedKey)\s*=\s*(\S+)", text))


def test_no_secret_crosses():
    with Lab(["a", "b", "c"], psk=True) as lab:
        a = lab.host("a")
        conf = a.read("/etc/wireguard/wg0.conf")
        others = [a.out("wg genkey") for _ in range(4)]
        a.write("/etc/wireguard/wg0.conf", conf.replace("[Interface]", f"[Interface]\n# old: PrivateKey = {others[0]}\n"
                f"PostUp = wg set wg0 private-key <(echo {others[1]})\nPrivateKey{others[2]}\nMTU = 1400 {others[3]}", 1), 0o600)
        a.write("/etc/wireguard/short.conf", "[Interface]\n[Peer]\nPresharedKey = short=\nPresharedKey = `>/run/owned`$(>/run/owned)xxxxxxxxxxxxxxxxxx=\n", 0o600)
        a.write("/etc/wireguard/mac.conf", f"[Interface]\rListenPort = 5\rPrivateKey = {others[0]}\r", 0o600)
        hidden = secrets(a) | set(others)
        assert len(hidden) >= 7
        push(lab)
        for text in (bare(lab), json.dumps(observe(lab))):
            assert not [key for key in hidden if key in text or key[:20] in text]
            assert all(lab.host(n).public_key in text for n in "abc")
        assert not a.out("ls /run | grep owned; true")


def test_the_helper_and_the_bare_look_agree():
    """Rows, hashes, addresses and routes, as far as they can be read off both texts."""
    with Lab(["a", Host("b", nat="symmetric"), "c"], psk=True) as lab:
        lab.host("a").run("wg set wg0 fwmark 0x77; ip rule add fwmark 0x77 table 77; ip route add unreachable default table 77")
        push(lab)
        seen, text = observe(lab), bare(lab)
        device = seen["devices"][0]
        assert device["engine"] in ("userspace", "kernel", "embedded") and device["public_key"] == lab.host("a").public_key
        dump = {line.split("\t")[1]: line.split("\t") for line in re.findall(r"(?m)^d (.*)$", text) if line.count("\t") == 8}
        assert set(dump) == {row["key"] for row in device["peers"]} == {lab.host(n).public_key for n in "bc"}
        hashes = {f"#{number}": line for number, line in enumerate(re.findall(r"(?m)^h (.*)$", text), 1)}
        for row in device["peers"]:
            assert hashes[dump[row["key"]][2]] == row["preshared_hash"]
            assert dump[row["key"]][4].split(",") == row["allowed"]
        saved = seen["configs"][0]
        assert saved["mode"] == 0o600 and {row["preshared_hash"] for row in saved["device"]["peers"]} == set(hashes.values())
        # In the file's order, which need not be the engine's.
        saved_order = re.findall(r"(?m)^c PublicKey = (\S+)$", text)
        assert re.findall(r"(?m)^H (.*)$", text) == [dump[key][2] for key in saved_order] and len(saved_order) == 2, text
        routes = {r["to"]: r.get("device", "") for r in seen["routes"]}
        c = lab.host("c")
        assert routes[c.address] == "" and routes[c.mesh[0]] == routes[c.mesh[1]] == "wg0", routes  # the endpoint's way has the mark
        answers = [json.loads(line) for line in text.splitlines() if line.startswith("[")]
        asked = {a[0]["dst"]: a[0]["dev"] for a in answers[2:]}
        assert asked[c.mesh[0]] == asked[c.mesh[1]] == "wg0" and c.address not in asked and "127.0.0.1" in asked
        assert seen["seen_from"] == "192.0.2.2" and f"p {seen['seen_from']} " in text
        assert seen["reached_at"] == lab.host("a").address


def find(value, key):
    """The first member of this name anywhere inside."""
    if isinstance(value, dict) and key in value:
        return value[key]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in (find(item, key) for item in inside) if found), None)


def test_routes_that_were_not_asked():
    """With more than 8 rows and the usual rules the deck follows the routes itself: the helper, which asks the kernel, must agree."""
    odd = """
        ip route add 10.50.0.0/16 dev eth0; ip route add 10.50.0.0/24 dev wg0 metric 50; ip route add 10.50.0.0/24 dev eth0 metric 60
        ip route add unreachable 10.51.0.0/16; ip route add 10.51.1.0/24 dev wg0 mtu 1300; ip route add blackhole 10.52.0.0/16
        ip route add prohibit 10.53.0.0/16; ip route add throw 10.54.0.0/16; ip route add 10.54.0.0/16 dev wg0 table default
        ip route add 10.55.0.0/16 dev wg0 tos 0x10; ip route add local 10.56.0.0/16 dev wg0; ip route add 10.57.0.0/16 dev wg0 table 77
        ip route add 10.58.0.0/16 nexthop dev wg0 nexthop dev wg0 weight 2; ip link add down0 type dummy; ip route add 10.50.9.0/24 dev eth0
        ip -6 route add fd50::/16 dev eth0; ip -6 route add fd50::/64 dev wg0 metric 5; ip -6 route add fd50::/64 dev eth0 metric 9
        ip -6 route add unreachable fd51::/16; ip -6 route add fd51:1::/32 dev wg0 mtu 1310; ip -6 route add fd52::/16 from fd44::/64 dev wg0
        ip -6 route add local fd53::/16 dev lo; ip -6 route add throw fd54::/16; ip -6 route add blackhole fd55::/16""".replace("\n", ";")
    asked = ["10.50.0.9/32", "10.50.1.0/24", "10.50.9.0/24", "10.51.0.0/24", "10.51.1.7/32", "10.52.0.1/32", "10.53.0.1/32", "10.54.0.1/32", "10.55.0.1/32",
             "10.56.0.1/32", "10.57.0.1/32", "10.58.0.1/32", "10.44.0.1/32", "10.44.0.255/32", "127.0.0.9/32", "203.0.113.77/32", "0.0.0.0/0", "224.0.0.9/32",
             "fd50::9/128", "fd50:1::/64", "fd51::/64", "fd51:1::7/128", "fd52::1/128", "fd53::1/128", "fd54::1/128", "fd55::1/128", "fd44::1/128", "::/0",
             "2001:db8:1::a/128", "2001:db8:9::1/128"]
    with Lab(["a", "b"]) as lab:
        a = lab.host("a")
        for command in odd.split(";"):
            a.run(command.strip() or "true", check=False)     # what this kernel does not have is not compared
        rows = " ".join(f"peer {a.out('wg genkey')} endpoint 198.51.100.{i}:7 allowed-ips {prefix}" for i, prefix in enumerate(asked, 1))
        a.run(f"wg set wg0 {rows}")
        push(lab)
        answers = {}
        for mode in ("--bare", "--push"):
            wgdeck(lab, "record", "-d", "1", "-w", "30", mode, f"/root/recorded{mode}", "a", check=(0, 1, 2, 3))
            for line in lab.operator.read(f"/root/recorded{mode}").splitlines():
                routes = find(json.loads(line), "routes")
                if routes and len(routes) > 50:
                    answers[mode] = {r["to"]: (r.get("device"), r.get("mtu")) for r in routes}
        text = bare(lab)
        assert "\nr 1\n" in text and "route get" not in text
        differing = {to: (answers["--bare"].get(to), found) for to, found in answers["--push"].items() if answers["--bare"].get(to) != found}
        assert answers["--bare"].keys() == answers["--push"].keys() and not differing, f"bare and helper say: {differing}\n{answers}"


def test_without_rights():
    with Lab(["a"], psk=True) as lab:
        text = bare(lab, "guest@a")
        assert "\nu 1\n" not in text and "\nd wg0" not in text
        assert re.search(r"(?m)^x cannot read /etc/wireguard: .*\(log in as root, or allow sudo\)$", text)
        push(lab, "guest@a")
        seen = observe(lab, "guest@a")
        assert not seen.get("privileged") and not seen.get("devices") and not seen.get("dead_sockets")
        assert any("log in as root" in line for line in seen["skipped"]), seen["skipped"]
        assert seen["links"] and not seen.get("configs")


def test_sudo_keeps_the_way_here():
    with Lab(["a"]) as lab:
        text = ssh(lab, "ops@a", "sudo -n " + BARE.removeprefix("exec "), f"{SALT}\n".encode())
        assert "\nu 1\n" in text and "\np 192.0.2.2 " in text, text[:500]


def test_dead_and_stuck_engines():
    with Lab(["a", "b"]) as lab:
        push(lab), push(lab, "b")
        if not [p for p in lab.host("a").processes() if os.path.basename(p[1][0]) == "wireguard-go"]:
            raise Skip("no engine process here")
        lab.host("b").signal("wireguard-go", signal.SIGSTOP)
        began = time.monotonic()
        assert observe(lab, "b")["dead_sockets"] == ["wg0"] and time.monotonic() - began < 8
        lab.host("a").signal("wireguard-go", signal.SIGKILL)
        time.sleep(0.2)
        assert observe(lab)["dead_sockets"] == ["wg0"]
        for _ in range(2):  # wg, had it been asked, would have removed the socket
            assert "\nQ wg0\n" in bare(lab)
        text = bare(lab, "b")
        assert "\nQ wg0\n" in text and re.search(r"(?m)^x wg0: wg got no answer", text), text


def test_a_stuck_engine_is_named():
    """Its interface is there, and nobody answers: neither wg nor the helper may wait for ever, and the node is shown."""
    with Lab(["a", "b", "c"]) as lab:
        if not [p for p in lab.host("a").processes() if os.path.basename(p[1][0]) == "wireguard-go"]:
            raise Skip("no engine process here")
        lab.warm()
        lab.freeze_engine("b")
        for mode in ("--bare", "--push"):
            document = report(lab, mode, "--patience", "20", command="status")
            assert [f["id"] for f in faults(document)] == ["engine-dead"], f"{mode}\n{describe(document)}"
            assert {n["name"]: n["state"] for n in document["nodes"]} == {"a": "up", "b": "down", "c": "up"}, f"{mode}\n{describe(document)}"


def test_a_dead_socket_beside_a_living_engine():
    """wg is kept from the dead one, and the living one is read all the same; what wg cannot make sense of is no dead engine."""
    with Lab(["a", "b"]) as lab:
        a = lab.host("a")
        a.run(["/usr/bin/python3", "-c", "import os, socket; os.makedirs('/run/wireguard', exist_ok=True); socket.socket(socket.AF_UNIX).bind('/run/wireguard/old.sock')"])
        text = bare(lab)
        # The kernel's engine has no socket.
        living = [] if default_engine() == ["kernel"] else ["wg0"]
        assert "\nQ old\n" in text and all(f"\nq {name}\n" in text for name in living), text
        assert f"\nd wg0\t{lab.host('b').public_key}\t" in text, text
        assert a.out("ls /run/wireguard").split() == ["old.sock"] + [name + ".sock" for name in living]
        a.run("rm /run/wireguard/old.sock")
        a.spawn(["/usr/bin/python3", "-c", "import socket, os\ns = socket.socket(socket.AF_UNIX); s.bind('/run/wireguard/odd.sock'); s.listen(9)\n"
                 "while True:\n c = s.accept()[0]; c.recv(99); c.send(b'what?\\n\\n'); c.close()"])
        a.run("until [ -S /run/wireguard/odd.sock ]; do sleep 0.1; done; sleep 0.2")
        text = bare(lab)
        assert "\nq odd\n" in text and re.search(r"(?m)^w Unable to access interface odd: ", text) and "\nd wg0\t" in text, text
        document = report(lab, "--bare", command="status")
        assert "engine-dead" not in [f["id"] for f in document["faults"]], describe(document)


def test_changes_only():
    with Lab(["a", "b"]) as lab:
        push(lab)
        program = helper()
        channel = lab.operator.popen(["ssh", "a", BOOTSTRAP], stdin=-1, stdout=-1)
        channel.stdin.write(first_line("auto", program) + request(every=0.5))
        channel.stdin.flush()
        assert channel.stdout.readline().startswith(b"wgdeck helper")
        assert json.loads(channel.stdout.readline())["ok"]
        lab.host("a").run(["wg", "set", "wg0", "peer", lab.host("b").public_key, "persistent-keepalive", "33"])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            event = json.loads(channel.stdout.readline())
            rows = [row for device in event.get("change", {}).get("devices", []) for row in device.get("peers", [])]
            if any(row.get("keepalive") == 33 for row in rows):
                assert "hostname" not in event["change"] and "configs" not in event["change"]
                break
        else:
            raise AssertionError("the change never came")
        helpers = [pid for pid, argv in lab.host("a").processes() if argv[-1:] == ["node"]]
        assert helpers
        channel.stdin.close()
        channel.wait(10)
        time.sleep(0.2)
        assert not [pid for pid, argv in lab.host("a").processes() if argv[-1:] == ["node"]], "a helper stayed behind"


def test_chroot_that_holds_nothing_else():
    with Lab(["a"]) as lab:
        a = lab.host("a")
        a.run("mkdir /root/empty")
        a.run(["sh", "-c", "cat > /root/empty/wgdeck && chmod 755 /root/empty/wgdeck"], input=helper(), text=False)
        answer = json.loads(a.run(["chroot", "/root/empty", "/wgdeck", "node"], input=request().decode()).stdout)
        seen = answer["observation"]
        assert {"lo", "eth0", "wg0"} <= {link["name"] for link in seen["links"]}
        assert seen["hostname"] and any("/proc" in line for line in seen["skipped"]), seen["skipped"]
        assert "forwarding4" not in seen and "configs" not in seen


def test_old_helpers_go():
    with Lab(["a"]) as lab:
        folder = push(lab)
        a, own = lab.host("a"), hashlib.sha256(helper()).hexdigest()
        a.run(f"cd {folder} && touch -d '8 days ago' wgdeck-{'0' * 64} .wgdeck-{'1' * 64}.77 && touch wgdeck-{'2' * 64} && rm wgdeck-{own}")
        push(lab)
        assert sorted(a.out(["ls", "-A", folder]).split()) == sorted([f"wgdeck-{'2' * 64}", f"wgdeck-{own}"])


def test_a_private_key_is_in_no_argument():
    """mksh has no printf of its own: what it printed a key with would show the key to every user of the node."""
    if not shutil.which("mksh"):
        raise Skip("mksh is not installed")
    with Lab([Host("a")]) as lab:
        host = lab.host("a")
        key = host.run("wg genkey").stdout.strip()
        host.write("/etc/wireguard/other.conf", f"[Interface]\nPrivateKey = {key}\n")
        host.run("mkdir /tmp/fake")
        host.write("/tmp/fake/printf", '#!/bin/sh\necho "$*" >> /tmp/arguments\nexec /usr/bin/printf "$@"\n')
        host.run("chmod 755 /tmp/fake/printf")
        said = host.run(f"PATH=/tmp/fake:$PATH mksh -c 'read -r salt; {one_line('bare.sh')}'", input=SALT + "\n").stdout
        assert said.endswith("wgdeck end\n") and key not in said, said
        assert "other.conf" in said and key not in host.read("/tmp/arguments"), host.read("/tmp/arguments")
