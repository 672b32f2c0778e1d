"""`wgdeck up` and `down` in hosts of the lab, with this program's own engine (or the kernel's, with LAB_ENGINE=kernel)."""
import difflib
import json
import os

from deck import PROGRAM
from lab import Lab, Host, default_engine, genkey, genpsk, pubkey
from run import timeout

KERNEL = default_engine() == ["kernel"]
KIND = "kernel" if KERNEL else "embedded"
PORT = 51999


def bare_lab():
    """Two hosts without any WireGuard of the lab's own."""
    return Lab([Host("a"), Host("b")], mesh="none")


def state(host):
    """All that an up could leave behind."""
    commands = ("ip -o link", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "ip -o addr",
                "nft list ruleset", "ls /var/run/wireguard 2>/dev/null | grep -v wg0 || true", "ps ax -o args | grep '[w]gdeck engine' || true")
    return "\n".join(c + "\n" + strip(host.run(c, check=False).stdout) for c in commands)


def assert_as(before, host):
    now = state(host)
    assert now == before, "\n".join(difflib.unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm=""))


def strip(text):
    """Times of router advertisements and such run on."""
    return "\n".join(line.split(" expires ")[0] for line in text.splitlines())


def write(host, private, own, others, more=""):
    """others: (public key, preshared key, endpoint, allowed)"""
    text = f"[Interface]\nPrivateKey = {private}\nAddress = {own}\nListenPort = {PORT}\n{more}\n"
    for public, preshared, endpoint, allowed in others:
        text += f"[Peer]\nPublicKey = {public}\nPresharedKey = {preshared}\nEndpoint = {endpoint}\nAllowedIPs = {allowed}\n"
    host.run(["mkdir", "-p", "/etc/wireguard"])
    host.write("/etc/wireguard/wgu.conf", text, mode=0o600)


def pair(lab, allowed_a="10.66.0.2/32, fd66::2/128", allowed_b="10.66.0.1/32, fd66::1/128", more=""):
    a, b = lab.host("a"), lab.host("b")
    key_a, key_b, preshared = genkey(), genkey(), genpsk()
    write(a, key_a, "10.66.0.1/24, fd66::1/64", [(pubkey(key_b), preshared, f"{b.address}:{PORT}", allowed_a)], more)
    write(b, key_b, "10.66.0.2/24, fd66::2/64", [(pubkey(key_a), preshared, f"{a.address}:{PORT}", allowed_b)])
    return a, b


def wgdeck(host, *words, check=True, **more):
    return host.run([PROGRAM, *words], check=check, **more)


@timeout(90)
def test_up_ping_down():
    """Two hosts reach each other over IPv4 and IPv6; the deck knows the engine; after down nothing is left."""
    with bare_lab() as lab:
        a, b = pair(lab)
        before = state(a), state(b)
        for host in (a, b):
            said = wgdeck(host, "up", "wgu").stderr
            assert f"wgu is up ({KIND}" in said, said
        a.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "10.66.0.2"])
        b.run(["ping", "-6", "-c", "2", "-i", "0.2", "-W", "5", "fd66::1"])
        shown = json.loads(wgdeck(a, "show", "wgu", "--json", "--counters").stdout)["interfaces"][0]
        assert shown["engine"] == KIND and shown["listen_port"] == PORT, shown
        assert (shown["counters"] is None) == KERNEL, shown
        again = wgdeck(a, "up", "wgu", check=False)
        assert again.returncode == 1 and "exists already" in again.stderr, again
        a.run(["ping", "-c", "1", "-W", "5", "10.66.0.2"])     # the refusal has done no harm
        for host in (a, b):
            wgdeck(host, "down", "wgu")
        assert (state(a), state(b)) == before
        gone = wgdeck(a, "down", "wgu", check=False)
        assert gone.returncode == 1 and "is not up" in gone.stderr, gone


@timeout(90)
def test_no_key_is_seen():
    """Private and preshared keys stand in no command line while hooks run, and in nothing that is said."""
    with bare_lab() as lab:
        a, _ = pair(lab, more="PostUp = cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' > /tmp/cmdlines; cat /proc/[0-9]*/environ > /tmp/environ")
        done = wgdeck(a, "-v", "up", "wgu")
        secrets = [line.split(" = ")[1] for line in a.read("/etc/wireguard/wgu.conf").splitlines()
                   if line.startswith(("PrivateKey", "PresharedKey"))]
        seen = a.read("/tmp/cmdlines", text=False) + a.read("/tmp/environ", text=False) + (done.stdout + done.stderr).encode()
        assert b"wgdeck" in seen
        assert not [s for s in secrets if s.encode() in seen]


@timeout(90)
def test_failing_hook_is_undone():
    """PostUp fails after everything was made, default routes too: all of it is gone again, and the error names the hook."""
    with bare_lab() as lab:
        a, _ = pair(lab, allowed_a="0.0.0.0/0, ::/0", more="PreUp = touch /tmp/pre-%i\nPostUp = ip rule > /tmp/rules\nPostUp = exit 7")
        before = state(a)
        done = wgdeck(a, "up", "wgu", check=False)
        assert done.returncode == 1 and "PostUp: exit 7" in done.stderr and "status 7" in done.stderr, done.stderr
        assert "lookup 51820" in a.read("/tmp/rules")
        a.run(["test", "-e", "/tmp/pre-wgu"])
        assert_as(before, a)


@timeout(90)
def test_failing_steps_are_undone():
    """An address that is no host's, a port that is taken, a route that is there: said, and undone."""
    with bare_lab() as lab:
        a, b = pair(lab, allowed_a="10.99.0.0/16")
        a.run("ip route add 10.99.0.0/16 via $(ip route show default | awk '{print $3; exit}') || ip route add blackhole 10.99.0.0/16")
        before = state(a)
        done = wgdeck(a, "up", "wgu", check=False)
        assert done.returncode == 1 and "10.99.0.0/16" in done.stderr and "leads there already" in done.stderr, done.stderr
        assert_as(before, a)
        before = state(b)
        taken = b.popen(["python3", "-c", f"import socket,time\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\ns.bind(('::',{PORT}))\nprint(flush=True)\n"
                                          "time.sleep(60)"], stdout=-1)
        taken.stdout.readline()
        done = wgdeck(b, "up", "wgu", check=False)
        taken.kill()
        taken.wait()
        assert done.returncode == 1 and "port 51999 is taken" in done.stderr, done.stderr
        assert_as(before, b)


@timeout(90)
def test_default_route():
    """All of a's traffic goes through b, a's own encrypted packets do not; down puts it back."""
    with bare_lab() as lab:
        a, b = pair(lab, allowed_a="0.0.0.0/0, ::/0", allowed_b="10.66.0.1/32, fd66::1/128")
        b.run("ip addr add 203.0.113.77/32 dev lo")
        before = state(a)
        wgdeck(a, "up", "wgu")
        wgdeck(b, "up", "wgu")
        assert "dev wgu" in a.out(["ip", "route", "get", "203.0.113.77"])
        assert "dev wgu" not in a.out(["ip", "route", "get", b.address, "mark", "51820"])
        a.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "203.0.113.77"])
        a.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "-6", "fd66::2"])
        rules = a.out("ip rule; ip -6 rule")
        assert rules.count("suppress_prefixlength 0") == 2 and rules.count("fwmark 0xca6c lookup 51820") == 2, rules
        wgdeck(a, "down", "wgu")
        assert_as(before, a)


@timeout(90)
def test_save_config():
    """A row added, one changed and one removed while it runs stand in the file after down; comments and hooks too; wg-quick reads it."""
    with bare_lab() as lab:
        a, b = pair(lab, more="SaveConfig = true\nPostDown = true # kept")
        third, fourth = pubkey(genkey()), pubkey(genkey())
        a.run(f"printf '# the third\\n[Peer]\\nPublicKey = {third}\\nAllowedIPs = 10.66.0.3/32\\n' >> /etc/wireguard/wgu.conf")
        wgdeck(a, "up", "wgu")
        other = [line.split(" = ")[1] for line in a.read("/etc/wireguard/wgu.conf").splitlines() if line.startswith("PublicKey")][0]
        a.run(["wg", "set", "wgu", "listen-port", "51998", "peer", third, "remove", "peer", fourth, "allowed-ips", "10.66.0.4/32,10.67.0.0/16",
               "persistent-keepalive", "25", "peer", other, "allowed-ips", "10.66.0.2/32"])
        expected = a.out(["wg", "showconf", "wgu"])
        wgdeck(a, "down", "wgu")
        saved = a.read("/etc/wireguard/wgu.conf")
        assert "# kept" in saved and "ListenPort = 51998" in saved and third not in saved, saved
        assert a.out("stat -c %a /etc/wireguard/wgu.conf") == "600"
        stripped = sorted(line.replace(" ", "") for line in a.out(["wg-quick", "strip", "wgu"]).splitlines() if "=" in line)
        assert stripped == sorted(line.replace(" ", "") for line in expected.splitlines() if "=" in line), (saved, expected)
        wgdeck(a, "up", "wgu")
        assert sorted(a.out(["wg", "showconf", "wgu"]).split()) == sorted(expected.split())


@timeout(90)
def test_alone_on_a_bare_host():
    """The static program needs neither wg, ip, nft nor a C library; only sh, for hooks."""
    static = [os.path.join(os.path.dirname(PROGRAM), f"wgdeck-{os.uname().machine}"), PROGRAM]
    program = next(p for p in static if os.path.exists(p))
    with bare_lab() as lab:
        a, b = pair(lab)
        for host in (a, b):
            done = host.run([program, "up", "wgu"], env={"PATH": "/nonexistent"})
            assert f"wgu is up ({KIND}" in done.stderr, done.stderr
        a.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "10.66.0.2"])


@timeout(90)
def test_waiting_engine_is_used():
    """An engine that runs and was not configured (as its service starts it) is taken, and is free again when up fails."""
    if KERNEL:
        return
    with bare_lab() as lab:
        a, b = pair(lab)
        for host in (a, b):
            wgdeck(host, "engine", "wgu")
        a.run("cp /etc/wireguard/wgu.conf /tmp/good; sed -i 's/^ListenPort.*/&\\nPostUp = false/' /etc/wireguard/wgu.conf")
        assert wgdeck(a, "up", "wgu", check=False).returncode == 1
        assert "private key" not in a.out(["wg", "show", "wgu"]) and "10.66" not in a.out(["ip", "-o", "addr"])
        a.run("cp /tmp/good /etc/wireguard/wgu.conf")
        for host in (a, b):
            wgdeck(host, "up", "wgu")
        a.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "10.66.0.2"])
        wgdeck(a, "down", "wgu")
        assert "wgu" not in a.out(["ip", "-o", "link"])


@timeout(90)
def test_engine_that_died():
    """Its interface went with it; down takes away the rules, the firewall and the socket that are left, and up works at once too."""
    if KERNEL:
        return
    with bare_lab() as lab:
        a, _ = pair(lab, allowed_a="0.0.0.0/0, ::/0", more="SaveConfig = true")
        before, saved = state(a), a.read("/etc/wireguard/wgu.conf")
        for again in (False, True):
            wgdeck(a, "up", "wgu")
            a.run("kill -9 $(pgrep -f 'engine wgu$'); while [ -e /sys/class/net/wgu ]; do sleep 0.1; done")
            if again:
                assert "is up" in wgdeck(a, "up", "wgu").stderr
                assert a.out("nft list ruleset").count("daddr 10.66.0.1") == 1
            else:
                assert "is dead" in wgdeck(a, "down", "wgu").stderr
                assert_as(before, a)
                assert a.read("/etc/wireguard/wgu.conf") == saved
        wgdeck(a, "down", "wgu")
        assert_as(before, a)


@timeout(90)
def test_interrupted():
    """SIGTERM in the middle: what was done is undone."""
    with bare_lab() as lab:
        a, _ = pair(lab, allowed_a="0.0.0.0/0", more="PostUp = touch /tmp/begun; sleep 1")
        before = state(a)
        done = a.run(f"{PROGRAM} up wgu & while [ ! -e /tmp/begun ]; do sleep 0.05; done; kill -TERM $!; wait $!", check=False)
        assert done.returncode == 1 and "interrupted" in done.stderr, done
        assert_as(before, a)


@timeout(90)
def test_wg_quick_takes_down_what_up_made():
    """The rules and the firewall are wg-quick's own, so that it can end what was begun here."""
    with bare_lab() as lab:
        a, _ = pair(lab, allowed_a="0.0.0.0/0, ::/0")
        before = state(a)
        wgdeck(a, "up", "wgu")
        a.run(["wg-quick", "down", "wgu"])
        a.run("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /var/run/wireguard/wgu.sock ] || exit 0; sleep 0.2; done; exit 1")
        a.run("sleep 0.3")
        assert_as(before, a)
