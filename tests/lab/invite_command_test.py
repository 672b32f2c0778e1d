"""wgdeck invite on the operator's machine, with real hubs and newcomers that have nothing but the static file: the token and nothing else on standard output, the mesh file before and after, the
list, what is refused, and what a node that joined is from then on."""
import json
import re
import time

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout

FILE = "/root/prod.conf"
STATIC = f"{PROGRAM}-x86_64"
TOKEN = re.compile(r"wgdeck1\.[A-Za-z0-9_-]{100,1000}\n")
NEWCOMERS = ("mail", "web")


def lab_of(**more):
    return Lab([Host("hub"), Host("n2"), Host("mail", nat="port-restricted", wg=False, tools=False), Host("web", nat="symmetric", wg=False, tools=False)], **more)


def write_mesh(lab, relay=True):
    sections = re.split(r"(?m)^(?=\[)", lab.operator.run("cat ~/mesh.conf").stdout)
    text = "".join(s for s in sections if not any(s.startswith(f"[Node {name}]") for name in NEWCOMERS))
    if relay:
        text = text.replace("[Mesh]\n", "[Mesh]\nRelayNetwork = 10.44.0.192/26, fd44::1:0/112\n").replace("[Node hub]\n", "[Node hub]\nRole = relay\n")
    lab.operator.write(FILE, text)
    wgdeck(lab, "-m", FILE, "apply", "--yes", check=(0,))
    return lab.operator.read(FILE)


def invite(lab, *arguments, check=(0,), **more):
    return wgdeck(lab, "-m", FILE, "invite", *arguments, check=check, **more)


def token(done):
    assert TOKEN.fullmatch(done.stdout), done.stdout
    assert done.stdout.strip() not in done.stderr
    return done.stdout


def join(lab, name, text, check=(0,)):
    done = lab.host(name).run([STATIC, "join", "-"], check=False, input=text, timeout=60)
    assert done.returncode in check, (done.stdout, done.stderr)
    return done


def states(lab):
    rows = json.loads(invite(lab, "list", "--json").stdout)["invitations"]
    return {row["name"]: row["state"] for row in reversed(rows)}  # the newest of each name


def keys_file(lab):
    return lab.host("hub").run("cat /root/.ssh/authorized_keys2 2>/dev/null", check=False).stdout


def begin_waiting(lab, name, *arguments):
    lab.operator.run(["rm", "-f", "/root/token"])
    process = lab.operator.popen(["sh", "-c", f"{PROGRAM} -m {FILE} invite {name} --wait {' '.join(arguments)} >/root/token 2>/root/told; echo $? >/root/status"])
    until = time.monotonic() + 20
    while not TOKEN.fullmatch(text := lab.operator.run("cat /root/token", check=False).stdout):
        assert time.monotonic() < until, lab.operator.read("/root/told")
        time.sleep(0.1)
    return process, text


def wait_end(lab, process, seconds=20):
    process.wait(seconds)
    return int(lab.operator.read("/root/status")), lab.operator.read("/root/told")


@timeout(120)
def test_relay_from_invitation_to_removal():
    with lab_of() as lab:
        before = write_mesh(lab)
        process, text = begin_waiting(lab, "mail", "--relay")
        assert lab.operator.read(FILE) == before  # nothing is written before it has joined
        join(lab, "mail", text)
        lab.host("mail").run(["ping", "-c", "1", "-W", "2", lab.host("n2").mesh[0]])
        status, told = wait_end(lab, process)
        assert status == 0 and "mail has joined from" in told, told
        section = lab.operator.read(FILE)[len(before):]
        for line in ("[Node mail]", "Address = 10.44.0.192, fd44::1:0", "Ssh = root@10.44.0.192", "Jump = hub", "HostKey = ssh-ed25519 AAAA", "PublicKey = "):
            assert line in section, section
        assert wgdeck(lab, "-m", FILE, "ssh", "mail", "hostname", check=(0,)).stdout == "mail\n"  # by the hub, to the host key that it told
        wgdeck(lab, "-m", FILE, "status", check=(0,))
        assert "Nothing to do" in wgdeck(lab, "-m", FILE, "plan", check=(0,)).stdout
        assert states(lab) == {"mail": "used"}
        assert "wgdeck-invitation" not in keys_file(lab)
        assert "has a node mail already" in invite(lab, "mail", "--relay", check=(1,)).stderr
        assert "wgdeck remove mail" in invite(lab, "revoke", "mail", check=(1,)).stderr
        done = wgdeck(lab, "-m", FILE, "remove", "mail", "--yes", check=(0,))
        assert "wgdeck leave wg0" in done.stdout, done.stdout
        token(invite(lab, "mail", "--relay"))  # the name is free again


@timeout(120)
def test_member():
    with lab_of(psk=True) as lab:
        before = write_mesh(lab, relay=False)
        assert "RelayNetwork" in invite(lab, "mail", "--relay", check=(1,)).stderr
        text = token(invite(lab, "web", "--hub", "hub"))
        reserved = lab.operator.read(FILE)
        assert reserved.startswith(before) and "[Node web]" in reserved[len(before):]
        assert "PublicKey" not in reserved[len(before):]
        wgdeck(lab, "-m", FILE, "apply", "--yes", check=(0,))  # in between: nobody is disturbed by one that has not come
        join(lab, "web", text)
        invite(lab, "record", "web")
        assert "PublicKey" in lab.operator.read(FILE)[len(before):]
        wgdeck(lab, "-m", FILE, "apply", "--yes", check=(0,))
        lab.host("web").run(["ping", "-c", "9", "-W", "1", lab.host("n2").mesh[0]])
        join(lab, "web", text)  # once more, by the same machine: it is told that it has


@timeout(120)
def test_revoked_and_refused():
    with lab_of() as lab:
        before = write_mesh(lab)
        relay, member = token(invite(lab, "mail", "--relay")), token(invite(lab, "web", "--expires", "2h"))
        assert states(lab) == {"mail": "open", "web": "open"}
        assert len(keys_file(lab).splitlines()) == 2
        assert "wgdeck invite revoke mail" in invite(lab, "mail", "--relay", check=(1,)).stderr
        invite(lab, "revoke", "web")
        assert lab.operator.read(FILE) == before
        invite(lab, "revoke", "mail")
        assert states(lab) == {"mail": "revoked", "web": "revoked"}
        assert not keys_file(lab)
        for name, text in (("mail", relay), ("web", member), ("mail", relay[:-20] + "\n"), ("mail", relay.swapcase())):
            join(lab, name, text, check=(1,))
            assert "wg0" not in lab.host(name).run("ip -br link").stdout
        assert "no invitation of post" in invite(lab, "revoke", "post", check=(1,)).stderr
        assert "no invitation of post" in invite(lab, "record", "post", check=(1,)).stderr
        lost = lab.operator.run(f"{PROGRAM} -m {FILE} invite disk --relay >/dev/full", check=False)
        assert lost.returncode == 1 and "wgdeck invite revoke disk" in lost.stderr, lost.stderr


@timeout(150)
def test_waiting():
    with lab_of() as lab:
        before = write_mesh(lab)
        process, text = begin_waiting(lab, "mail", "--relay")
        hub = lab.host("hub")
        for number in hub.run("pgrep -f '^sshd: root@notty'", check=False).stdout.split():  # the connection breaks, and the wait goes on
            hub.run(["kill", number])
        time.sleep(0.5)
        join(lab, "mail", text)
        status, told = wait_end(lab, process)
        assert status == 0 and "trying again" in told and "reached again" in told, told
        assert "[Node mail]" in lab.operator.read(FILE)
        begun = lab.operator.read(FILE)
        process, text = begin_waiting(lab, "web", "--expires", "60s")
        assert "[Node web]" in lab.operator.read(FILE)
        status, told = wait_end(lab, process, 75)
        assert status == 1 and "has expired" in told, told
        assert lab.operator.read(FILE) == begun and begun.startswith(before)
        assert join(lab, "web", text, check=(1,)).returncode == 1
