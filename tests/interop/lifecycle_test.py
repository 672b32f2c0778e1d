"""How an engine begins, what it says when it cannot, how it ends, and what it keeps for itself while it runs."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from run import Skip, timeout
from world import IS_OURS, OURS, World, b64, needs, only_ours, until


def refused(engine, *words, seconds=5):
    """It does not start: a status of failure, and one sentence with these words that is no riddle."""
    engine.start(wait=False)
    try:
        status = engine.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it runs: {engine.log()}") from None
    text = engine.log()
    print(text)
    assert status > 0, f"status {status}"
    if IS_OURS:
        for word in words:
            assert re.search(word, text, re.I), f"no «{word}» in: {text}"
        assert "Sanitizer" not in text and len(text.splitlines()) <= 4, text
    return text


def links(place):
    return place.run(["ip", "-o", "link"]).stdout


def gone(w, e, status=0):
    """It ended well and left nothing."""
    e.process.wait(5)
    assert not IS_OURS or e.process.returncode == status, e.process.returncode
    assert not os.path.exists(e.socket_path), "its socket stays"
    assert e.name not in links(e.place), "its link stays"


def test_sigterm_and_sigint():
    with World("a") as w:
        for number in (signal.SIGTERM, signal.SIGINT):
            e = w.engine("a", f"wg{int(number)}").configure(51820).up("10.9.0.1/24")
            e.process.send_signal(number)
            gone(w, e)


def test_link_deleted():
    with World("a") as w:
        for up in (False, True):
            e = w.engine("a", f"wg{int(up)}").configure(51820)
            if up:
                e.up("10.9.0.1/24")
            w["a"].ip("link del", e.name)
            gone(w, e)


def test_socket_removed():
    with World("a") as w:
        e = w.engine("a", "wg1").configure(51820).up("10.9.0.1/24")
        os.unlink(e.socket_path)
        gone(w, e)


def test_killed_engine_can_be_started_again():
    """SIGKILL leaves the socket's file; the next one takes its place."""
    with World("a") as w:
        e = w.engine("a", "wg1").configure(51820)
        e.process.kill()
        e.process.wait()
        assert os.path.exists(e.socket_path)
        e.start(wait=False)
        until(lambda: b64(e.public) not in e.wg("show", "wg1", check=False) and "interface: wg1" in e.wg("show", check=False), 5, "it answers")
        e.configure(51820)
        assert e.port == 51820


def test_daemon_returns_when_the_socket_answers():
    """Without -f: the command ends with 0, and the socket is there at once; TUN and process stay until the link goes."""
    with World("a") as w:
        e = w.raw_engine("a", "wg1", arguments=["wg1"])
        e.start(wait=False)
        assert e.process.wait(10) == 0, e.log()
        assert "interface: wg1" in e.wg("show", "wg1")
        e.configure(51820).up("10.9.0.1/24")
        w["a"].ip("link del wg1")
        until(lambda: not os.path.exists(e.socket_path), 5, "it ends with its link")


def test_socket_is_shown_by_its_name():
    """Who looks for engines lists sockets: the kernel's list must show the name that clients use."""
    with World("a") as w:
        e = w.engine("a", "wg1")
        assert re.search(r"wireguard/wg1\.sock$", w["a"].run("cat /proc/net/unix").stdout, re.M)
        assert os.listdir("/run/wireguard") == ["wg1.sock"], os.listdir("/run/wireguard")
        assert e.alive()


def test_killed_and_started_at_once():
    """The process is gone; its device may not be yet."""
    only_ours()
    with World("a") as w:
        e = w.engine("a", "wg1")
        for _ in range(5):
            e.process.kill()
            e.process.wait()
            e.start(wait=False)
            until(lambda: "interface: wg1" in e.wg("show", check=False), 5, "it answers")


def test_foreground_by_environment():
    with World("a") as w:
        e = w.raw_engine("a", "wg1", arguments=["wg1"], env={"WG_PROCESS_FOREGROUND": "1"})
        e.start()
        time.sleep(0.2)
        assert e.alive()


def test_tun_moved_to_another_namespace():
    """The link moves, the UDP socket stays: traffic goes on, and deleting the moved link still ends the engine."""
    with World("a", "b", "inside") as w:
        w.link("a", "b")
        one = w.engine("a", "wg1").configure(51821)
        two = w.engine("b", "wg2").configure(51822)
        one.address, two.address = "10.9.0.1", "10.9.0.2"
        one.peer(two.public, "10.9.0.2/32", "192.0.2.2:51822")
        two.peer(one.public, "10.9.0.1/32").up("10.9.0.2/24")
        w["a"].ip("link set wg1 netns inside")
        w["inside"].ip("address add 10.9.0.1/24 dev wg1")
        w["inside"].ip("link set wg1 up mtu 1420")
        w.ping(one, "10.9.0.2", count=5, place=w["inside"])
        time.sleep(2.5)
        w.ping(one, "10.9.0.2", count=5, place=w["inside"])
        w["inside"].ip("link set wg1 down")
        w["inside"].ip("link set wg1 up")
        time.sleep(1.5)
        w.ping(one, "10.9.0.2", count=5, place=w["inside"], lost=1)
        w["inside"].ip("link del wg1")
        until(lambda: not one.alive(), 4, "it ends with the moved link")
        assert not os.path.exists(one.socket_path)


def test_down_is_silent_and_up_again_works():
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        w.ping(one, two)
        one.place.ip("link set wg1 down")
        time.sleep(0.3)
        w.deaf(two, one)
        assert "10.9.0" not in one.place.run(["ip", "route"]).stdout
        one.place.ip("link set wg1 up")
        time.sleep(0.2)
        w.ping(one, two, count=3, lost=1)


def test_port_taken():
    """EADDRINUSE to wg; the engine lives, and another port works."""
    with World("a") as w:
        taken = w["a"].udp("0.0.0.0", 51820)
        e = w.engine("a", "wg1").up("10.9.0.1/24")
        text = e.set("listen-port", 51820, check=False)
        assert "Address already in use" in text, text
        assert e.uapi("set=1\nlisten_port=51820\n\n").strip() == "errno=-98" or not IS_OURS
        e.set("listen-port", 51999)
        assert e.port == 51999
        taken.close()
        e.set("listen-port", 51820)
        assert e.port == 51820
        # Two engines never share a port.
        other = w.engine("a", "wg2").up("10.9.1.1/24")
        assert "in use" in other.set("listen-port", 51820, check=False)
        six = w["a"].socket(socket.AF_INET6)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", 52000))
        assert "in use" in e.set("listen-port", 52000, check=False), "half of a port is no port"


def test_second_engine_on_the_name():
    with World("a") as w:
        e = w.engine("a", "wg1").configure(51820)
        refused(w.raw_engine("a", "wg1"), "wg1")
        assert e.alive() and e.port == 51820, "the first one is unharmed"
        assert "interface: wg1" in e.wg("show")


def test_name_of_something_else():
    """A link of another kind has the name; a TUN of another process has it."""
    with World("a", "b") as w:
        w.link("a", "b")
        refused(w.raw_engine("a", "to_b"), "to_b")
        assert "to_b" in links(w["a"])
        with w["a"].inside():
            tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"busy0", 0x1001))
        refused(w.raw_engine("a", "busy0"), "busy")
        assert "busy0" in links(w["a"])


def test_bad_names():
    only_ours()
    with World("a") as w:
        for name in ("a" * 16, "a" * 200, "", ".", "..", "../x", "a/b", "a b", "a\nb", "\x1b[31mx", "a:b", "w\x7fg"):
            e = w.raw_engine("a", "bad", arguments=["-f", name])
            pathlib.Path(e.log_path).unlink(missing_ok=True)
            text = refused(e, "name|interface|usage")
            assert "\x1b" not in text
        for arguments in ([], ["-f"], ["-x", "wg1"], ["wg1", "wg2"]):
            e = w.raw_engine("a", "bad", arguments=arguments)
            e.start(wait=False)
            assert e.process.wait(5) > 0
        assert not os.path.exists("/run/wireguard") or not os.listdir("/run/wireguard")
        assert links(w["a"]).count("\n") == 1


def test_no_permission():
    only_ours()
    needs("setpriv", "capsh")
    with World("a") as w:
        e = w.raw_engine("a", "wg1", command=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *OURS])
        refused(e, "root|CAP_NET_ADMIN|permission")
        for path in (e.log_path,):
            os.unlink(path)
        # Root without any capability: what is missing has a name.
        e = w.raw_engine("a", "wg1", command=["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *OURS])
        refused(e, "NET_ADMIN")
        assert "wg1" not in links(w["a"])


def test_no_tun_device():
    only_ours()
    with World("a") as w:
        # No /dev/net at all, as in a container without --device.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/net"], check=True)
        e = w.raw_engine("a", "wg1")
        refused(e, "/dev/net/tun")
        assert not os.path.exists(e.socket_path)


def test_no_room_for_the_socket():
    """/run is read-only, or the folder is a file: said, and nothing is left."""
    only_ours()
    with World("a") as w:
        shutil.rmtree("/run/wireguard", ignore_errors=True)
        open("/run/wireguard", "w").close()
        refused(w.raw_engine("a", "wg1"), "/run/wireguard")
        assert "wg1" not in links(w["a"])


def container(w, e, *more):
    """Root with NET_ADMIN alone, no new privileges, as `docker run --cap-drop all --cap-add net_admin --device /dev/net/tun` gives."""
    return ["setpriv", "--no-new-privs", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all", *more, *OURS]


def test_container_with_net_admin_only():
    needs("setpriv")
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair(container(w, None), OURS)
        w.ping(one, two, count=5)
        w.ping(two, one, count=5)
        assert int(one.status("CapBnd"), 16) == 1 << 12
        one.set("listen-port", 40000, "fwmark", 77)
        w.ping(one, two, count=5)
        one.process.terminate()
        gone(w, one)


def test_container_with_its_own_user_namespace():
    """Rootless: root of a user namespace, with a network of its own."""
    only_ours()
    with World("a") as w:
        e = w.raw_engine("a", "wg1", command=["unshare", "--user", "--map-root-user", "--net", *OURS])
        e.start(wait=False)
        until(lambda: os.path.exists(e.socket_path) or not e.alive(), 5, "it starts or says why")
        print(e.log())
        if e.alive():
            assert "interface: wg1" in e.wg("show", "wg1")
        else:
            assert e.log() and e.process.returncode > 0


def test_contained():
    """CAP_NET_ADMIN alone, no_new_privs, a seccomp filter, not dumpable, on every thread."""
    only_ours()
    with World("a", "b") as w:
        w.link("a", "b")
        one, two = w.pair()
        w.ping(one, two)
        folder = f"/proc/{one.process.pid}/task"
        for task in os.listdir(folder):
            status = pathlib.Path(folder, task, "status").read_text()
            fields = dict(re.findall(r"^(\w+):\s+(\S+)", status, re.M))
            assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 1 << 12, (fields["Name"], fields["CapEff"])
            assert int(fields["CapInh"], 16) == 0 and int(fields["CapAmb"], 16) == 0
            assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", (fields["Name"], fields["NoNewPrivs"], fields["Seccomp"])
        limits = pathlib.Path(f"/proc/{one.process.pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits), limits
        # Not dumpable: its files in /proc belong to root whoever it is, and nobody attaches without a capability.
        done = subprocess.run(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "head", "-c", "1", f"/proc/{one.process.pid}/mem"], capture_output=True)
        assert done.returncode, "its memory can be read"
        # Locked memory: the keys.
        assert int(one.status("VmLck").split()[0]) > 0
        # Neither command line nor environment hold a key.
        for name in ("cmdline", "environ"):
            assert b64(one.private).encode() not in pathlib.Path(f"/proc/{one.process.pid}/{name}").read_bytes()
        # A system call that is not on the list ends it or is refused; the socket's permissions keep others out.
        assert os.stat(one.socket_path).st_mode & 0o777 & 0o077 == 0
        assert os.stat("/run/wireguard").st_mode & 0o777 in (0o755, 0o700)


def test_descriptors_given():
    """WG_TUN_FD and WG_UAPI_FD: what a service manager or a parent opened."""
    with World("a", "b") as w:
        w.link("a", "b")
        with w["a"].inside():
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"wg1", 0x1001 | (0x4000 if IS_OURS else 0)))
        os.makedirs("/run/wireguard", exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/run/wireguard/wg1.sock")
        listener.listen()
        for fd in (tun, listener.fileno()):
            os.set_inheritable(fd, True)
        e = w.raw_engine("a", "wg1", arguments=["-f", "wg1"], env={"WG_TUN_FD": str(tun), "WG_UAPI_FD": str(listener.fileno())})
        with open(e.log_path, "wb") as log:
            e.process = w["a"].popen([*e.engine, *e.arguments], stdout=log, stderr=log, close_fds=False, env={**os.environ, **e.env, "LOG_LEVEL": "error"})
        os.close(tun)
        until(lambda: "interface: wg1" in e.wg("show", check=False), 5, "it answers on the socket it was given")
        raw = w.raw(e.configure(51821).up("10.9.0.1/24"))
        raw.connect()
        assert raw.ping()


def test_bad_descriptors():
    only_ours()
    with World("a") as w:
        for env in ({"WG_TUN_FD": "99"}, {"WG_TUN_FD": "x"}, {"WG_UAPI_FD": "0"}, {"WG_TUN_FD": "-5"}, {"WG_UAPI_FD": "99999999999"}):
            e = w.raw_engine("a", "wg1", env=env)
            refused(e, next(iter(env)))
            os.unlink(e.log_path)


def test_log_levels_and_no_secrets():
    with World("a", "b") as w:
        w.link("a", "b")
        e = w.engine("a", "wg1", level="verbose").configure(51821).up("10.9.0.1/24")
        secret = os.urandom(32)
        raw = w.raw(e, psk=secret)
        raw.connect()
        raw.send(os.urandom(200))
        raw.send(raw.party.initiation()[:-1])
        e.uapi("set=1\nprivate_key=\x1b[2J\nnonsense\n\n")
        assert raw.ping()
        log = e.log()
        for key in (e.private, secret):
            assert key.hex() not in log and b64(key) not in log, "a secret is in the log"
        assert "\x1b" not in log
        if IS_OURS:
            silent = w.engine("a", "wg2", level="silent").configure(51822)
            assert silent.log() == ""


@timeout(60)
def test_wg_quick_up_and_down_many_times():
    """Ten times up and down: nothing is left of any."""
    needs("wg-quick")
    if os.path.exists("/sys/module/wireguard"):
        raise Skip("wg-quick takes the kernel's own WireGuard here")
    from behaviours_test import quick
    with World("a") as w:
        os.makedirs("/run/quick")
        with open(os.open("/run/quick/wgq.conf", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(f"[Interface]\nPrivateKey = {b64(os.urandom(32))}\nAddress = 10.9.0.1/24\nListenPort = 51820\n"
                    f"[Peer]\nPublicKey = {b64(os.urandom(32))}\nAllowedIPs = 10.9.0.0/24\n")
        for _ in range(10):
            quick(w, "a", "up", "/run/quick/wgq.conf")
            quick(w, "a", "down", "/run/quick/wgq.conf")
        until(lambda: not os.path.exists("/var/run/wireguard/wgq.sock"), 5, "the engine ends")
        assert "wgq" not in links(w["a"])
