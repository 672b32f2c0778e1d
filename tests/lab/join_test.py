"""Joining with a token that is no good, at a hub that is another or away, on a machine where something is in the way, and by several at once: a clear line, and nothing is left at either end. And
what a token can be used for by whoever has stolen it."""
import re
import subprocess
import time

from deck import wgdeck
from join_broken_test import differs, what_is_there
from lab import Host, Lab
from ladder_test import FILE, STATIC, begin, join
from run import timeout


def token_of(lab, name):
    return wgdeck(lab, "-m", FILE, "invite", name, "--relay", check=(0,)).stdout.split()[-1]


def refused(lab, name, token, says, *words, at_most=30, user=None):
    """It fails with SAYS, in time, and the machine is as it was."""
    host = lab.host(name)
    before, began = what_is_there(host), time.monotonic()
    done = host.run([STATIC, "join", *words, "-"], input=token, check=False, timeout=120, user=user)
    taken = time.monotonic() - began
    assert done.returncode == 1, f"{says}: status {done.returncode}\n{done.stdout}{done.stderr}"
    assert re.search(says, done.stderr), f"{says!r} is not in\n{done.stderr}"
    assert taken < at_most, f"{says}: {taken:.0f} s"
    assert not differs(before, what_is_there(host)), f"{says}: {differs(before, what_is_there(host))}\n{done.stderr}"


@timeout(150)
def test_tokens_that_are_no_good():
    with Lab(["hub", "b", Host("m", wg=False, tools=False, sshd=False)], mesh="none") as lab:
        begin(lab)
        token = token_of(lab, "m")
        rows = set(lab.host("hub").rows())
        for cut in (len(token) - 1, len(token) // 2, 20):
            refused(lab, "m", token[:cut], r"cut|altered|token")
        for at in (9, len(token) // 3, len(token) - 2):
            refused(lab, "m", token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:], r"altered|cut|token")
        refused(lab, "m", "wgdeck9" + token[7:], r"token|version")
        refused(lab, "m", "", r"no token")
        refused(lab, "m", token, r"root", user="guest")
        wgdeck(lab, "-m", FILE, "invite", "revoke", "m", check=(0,))
        refused(lab, "m", token, r"revoked|used|expired|not accepted|refused|login")
        # Used: by another machine it is no good any more; the name is taken.
        token = token_of(lab, "m")
        done = lab.host("m").run([STATIC, "join", "-"], input=token, timeout=60)
        assert "joined mesh" in done.stdout
        with_m = set(lab.host("hub").rows())
        assert len(with_m) == len(rows) + 1
        again = wgdeck(lab, "-m", FILE, "invite", "m", "--relay", check=(1,))
        assert "m" in again.stderr and again.stdout == ""
        assert set(lab.host("hub").rows()) == with_m


@timeout(150)
def test_another_hub_and_none():
    with Lab(["hub", "b", Host("m", wg=False, tools=False, sshd=False)], mesh="none") as lab:
        begin(lab)
        token = token_of(lab, "m")
        hub = lab.host("hub")
        # Whoever answers there has another host key.
        hub.run("cp /etc/ssh/ssh_host_ed25519_key /tmp/k; cp /etc/ssh/ssh_host_ed25519_key.pub /tmp/k.pub; rm /etc/ssh/ssh_host_ed25519_key*;"
                "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; pkill -HUP -o sshd; sleep 0.5")
        refused(lab, "m", token, r"host key")
        hub.run("cp /tmp/k /etc/ssh/ssh_host_ed25519_key; cp /tmp/k.pub /etc/ssh/ssh_host_ed25519_key.pub; pkill -HUP -o sshd; sleep 0.5")
        # Nobody answers.
        hub.run(["nft", "-f", "-"], input="table inet cut {\n chain c { type filter hook input priority 0; tcp dport 22 drop\n }\n}\n")
        refused(lab, "m", token, r"timed out|no answer|reach")
        hub.run(["nft", "delete", "table", "inet", "cut"])
        # SSH works, and UDP does not: both ends are put back, and the token is still good.
        hub.run(["nft", "-f", "-"], input="table inet cut {\n chain c { type filter hook input priority 0; udp dport 51820 drop\n }\n}\n")
        refused(lab, "m", token, r"handshake|answer|UDP", at_most=60)
        hub.run(["nft", "delete", "table", "inet", "cut"])
        assert len(hub.rows()) == 1
        done = lab.host("m").run([STATIC, "join", "-"], input=token, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        lab.host("m").run([STATIC, "leave", "--yes"])


@timeout(150)
def test_something_in_the_way():
    with Lab(["hub", "b", Host("m", wg=False, tools=False, sshd=False)], mesh="none") as lab:
        begin(lab)
        token = token_of(lab, "m")
        m = lab.host("m")
        m.run("ip link add wg0 type bridge")
        refused(lab, "m", token, r"wg0.*(is there|exists|in use|already)")
        m.run("ip link del wg0; mkdir -p /etc/wireguard; echo '[Interface]' > /etc/wireguard/wg0.conf")
        refused(lab, "m", token, r"wg0\.conf")
        m.run("rm /etc/wireguard/wg0.conf")
        holder = m.popen(["/usr/bin/python3", "-c", "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 51820)); print('x', flush=True); time.sleep(60)"],
                         stdout=subprocess.PIPE, text=True)
        holder.stdout.readline()
        refused(lab, "m", token, r"51820")
        # With another port and another name it goes beside all that.
        done = m.run([STATIC, "join", "--interface", "mesh0", "--port", "51999", "-"], input=token, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert m.run(["ping", "-c", "1", "-W", "2", "10.44.0.2"], check=False).returncode == 0
        subprocess.run(["pkill", "-P", str(holder.pid)], check=False)
        m.run([STATIC, "leave", "--yes"])


@timeout(150)
def test_several_at_once():
    names = ["m1", "m2", "m3"]
    with Lab(["hub", "b", *[Host(name, wg=False, tools=False, sshd=False) for name in names]], mesh="none") as lab:
        begin(lab)
        # One token, two machines: one joins, the other is told so and has nothing of it.
        token = token_of(lab, "m1")
        before = {name: what_is_there(lab.host(name)) for name in names}
        both = {name: lab.host(name).popen([STATIC, "join", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name in ("m1", "m2")}
        for process in both.values():
            process.stdin.write(token + "\n")
            process.stdin.close()
        said = {name: process.stdout.read() for name, process in both.items()}
        status = {name: process.wait(90) for name, process in both.items()}
        assert sorted(status.values()) == [0, 1], f"{status}\n{said}"
        loser = next(name for name in status if status[name])
        assert not differs(before[loser], what_is_there(lab.host(loser))), f"{differs(before[loser], what_is_there(lab.host(loser)))}\n{said[loser]}"
        assert len(lab.host("hub").rows()) == 2
        # Two tokens at once: both join, one after the other.
        tokens = {name: token_of(lab, f"{name}x") for name in names if name not in status or status[name]}
        both = {name: lab.host(name).popen([STATIC, "join", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name in tokens}
        for name, process in both.items():
            process.stdin.write(tokens[name] + "\n")
            process.stdin.close()
        said = {name: process.stdout.read() for name, process in both.items()}
        assert all(process.wait(90) == 0 for process in both.values()), said
        assert len(lab.host("hub").rows()) == 4


@timeout(120)
def test_reaches_every_node_at_once_v4_and_v6():
    hosts = ["hub", "b", "c", Host("m", nat="symmetric", wg=False, tools=False, sshd=False, ipv6=False)]
    with Lab(hosts, mesh="none") as lab:
        for words in (["init", "--network", "10.44.0.0/24, fd44::/64", "--name", "prod"], ["set", "mesh", "RelayNetwork=10.44.0.192/26, fd44::ff00:0/112", "--yes"],
                      ["add", "hub", "hub", "--role", "relay", "--yes"], ["add", "b", "b", "c", "c", "--yes"]):
            wgdeck(lab, "-m", FILE, *words, check=(0,))
        began = time.monotonic()
        lab.host("m").run(["sh", "-c", f"{STATIC} join - && until ping -c 1 -W 1 10.44.0.2 >/dev/null; do :; done"], input=token_of(lab, "m"), timeout=60)
        taken = time.monotonic() - began
        assert taken < 3, f"{taken:.1f} s from the invitation to the first ping"
        for address in ("10.44.0.1", "10.44.0.2", "10.44.0.3", "fd44::1", "fd44::2", "fd44::3"):
            assert lab.host("m").run(["ping", "-c", "2", "-i", "0.2", "-W", "2", address], check=False).returncode == 0, address


@timeout(120)
def test_stolen_token_is_good_for_one_join_only():
    """The key in it, taken out with the program's own code, and used with OpenSSH: no shell, command, forwarding, files or terminal."""
    with Lab(["hub", "b", Host("thief", wg=False)], mesh="none") as lab:
        begin(lab)
        token = token_of(lab, "m")
        thief, hub = lab.host("thief"), lab.host("hub")
        thief.write("/root/key", key_of(token), mode=0o600)
        ssh = ["-i", "/root/key", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        before = what_is_there(hub)
        said = thief.run(["timeout", "10", "ssh", *ssh, f"root@{hub.address}", "id; touch /tmp/was-here"], check=False, input='{"id":1,"op":"observe"}\n').stdout
        assert "uid=" not in said and hub.run("ls /tmp/was-here", check=False).returncode != 0, said
        said = thief.run(["timeout", "10", "ssh", "-tt", *ssh, f"root@{hub.address}"], check=False, input="id\n", merge=True).stdout
        assert "uid=" not in said and "PTY allocation request failed" in said, said
        thief.run(["timeout", "10", "scp", *ssh, f"root@{hub.address}:/etc/shadow", "/root/shadow"], check=False)
        thief.run(["timeout", "10", "sftp", *ssh, f"root@{hub.address}:/etc/shadow", "/root/shadow"], check=False)
        assert thief.run("ls /root/shadow", check=False).returncode != 0, "a file came out"
        forward = thief.popen(["timeout", "8", "ssh", *ssh, "-o", "ExitOnForwardFailure=yes", "-N", "-L", "7000:127.0.0.1:22", f"root@{hub.address}"])
        time.sleep(2)
        said = thief.run(["timeout", "3", "sh", "-c", "exec 3<>/dev/tcp/127.0.0.1/7000; head -c 3 <&3"], check=False).stdout
        said += thief.run(["timeout", "4", "/usr/bin/python3", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 7000), 2); s.settimeout(2); print(s.recv(9))"], check=False).stdout
        forward.wait(20)
        assert "SSH" not in said, "a connection was forwarded"
        assert not [line for line in differs(before, what_is_there(hub)).splitlines() if "/root/" in line or "/etc/" in line], differs(before, what_is_there(hub))


def key_of(token):
    """The Ed25519 seed of the token, as OpenSSH keeps a private key (PROTOCOL.key). The place of the seed is found by what its public half must be: that of the line at the hub."""
    import base64
    import hashlib
    import struct
    text = token.split(".", 1)[1]
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    name = data.find(b"\x04prod") if b"\x04prod" in data else -1
    assert name >= 32, "the token has another form"
    seed = data[name - 32:name]
    public = ed25519_public(seed, hashlib)

    def text_of(value):
        return struct.pack(">I", len(value)) + value
    blob = text_of(b"ssh-ed25519") + text_of(public)
    secret = struct.pack(">II", 7, 7) + text_of(b"ssh-ed25519") + text_of(public) + text_of(seed + public) + text_of(b"")
    secret += bytes(range(1, 1 + -len(secret) % 8))
    whole = b"openssh-key-v1\0" + text_of(b"none") + text_of(b"none") + text_of(b"") + struct.pack(">I", 1) + text_of(blob) + text_of(secret)
    lines = base64.encodebytes(whole).decode().replace("\n", "")
    return "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "\n".join(lines[i:i + 70] for i in range(0, len(lines), 70)) + "\n-----END OPENSSH PRIVATE KEY-----\n"


def ed25519_public(seed, hashlib):
    """RFC 8032, section 5.1.5."""
    p = 2 ** 255 - 19
    d = -121665 * pow(121666, p - 2, p) % p

    def add(one, two):
        (x1, y1, z1, t1), (x2, y2, z2, t2) = one, two
        a, b, c, e = (y1 - x1) * (y2 - x2) % p, (y1 + x1) * (y2 + x2) % p, 2 * t1 * t2 * d % p, 2 * z1 * z2 % p
        return (b - a) * (e - c) % p, (e + c) * (b + a) % p, (e - c) * (e + c) % p, (b - a) * (b + a) % p

    y = 4 * pow(5, p - 2, p) % p
    square = (y * y - 1) * pow(d * y * y + 1, p - 2, p) % p
    x = pow(square, (p + 3) // 8, p)
    if (x * x - square) % p:
        x = x * pow(2, (p - 1) // 4, p) % p
    if x & 1:
        x = p - x
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & (2 ** 254 - 8) | 2 ** 254
    point, at = (0, 1, 1, 0), (x, y, 1, x * y % p)
    while scalar:
        if scalar & 1:
            point = add(point, at)
        at = add(at, at)
        scalar >>= 1
    inverse = pow(point[2], p - 2, p)
    return (point[1] * inverse % p | (point[0] * inverse % p & 1) << 255).to_bytes(32, "little")
