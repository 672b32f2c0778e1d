"""Bad input from nodes, files and users: one clear line that names the node, the right exit status, no hang, nothing written by
halves, and never a control character on the operator's terminal."""
import re
import threading
import time

from deck import describe, faults, report, wgdeck
from lab import Lab
from run import timeout

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def replace_program(host, path, script):
    """Another program at this path, on this host only (a bind mount in its own mount namespace)."""
    host.write("/run/replacement", "#!/bin/sh\n" + script, 0o755)
    host.run(["mount", "--bind", "/run/replacement", path])


def clean(done):
    """What went to the terminal obeys nobody but wgdeck."""
    for stream in (done.stdout, done.stderr):
        hit = CONTROL.search(stream)
        assert not hit, f"control character {hit[0]!r} at {hit.start()}: {stream[max(0, hit.start() - 80):hit.start() + 80]!r}"


def spoiled(script, more=("--bare",), seconds=40, path="/usr/bin/wg"):
    """Status of three nodes, of which b answers as the script says; the others must be there, and b be named."""
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        replace_program(lab.host("b"), path, script)
        started = time.monotonic()
        document = report(lab, *more, command="status", timeout=seconds)
        done = wgdeck(lab, "status", *more, check=(1, 2, 3), timeout=seconds)
        took = time.monotonic() - started
        clean(done)
        nodes = {node["name"]: node for node in document["nodes"]}
        assert nodes["a"]["state"] == "up" and nodes["c"]["state"] == "up", describe(document)
        assert nodes["b"]["error"], describe(document)
        assert not CONTROL.search(nodes["b"]["error"]) and "\n" not in nodes["b"]["error"], repr(nodes["b"]["error"])
        assert re.search(r"\bb\b", done.stdout + done.stderr), done.stdout + done.stderr
        return nodes["b"]["error"], took, done


def test_dump_with_too_few_fields():
    spoiled("printf 'wg0\\tkey\\n'\n")


def test_dump_with_too_many_fields():
    spoiled("exec 3>&1; printf 'wg0\\ta\\tb\\tc\\td\\te\\tf\\tg\\th\\ti\\tj\\tk\\n'\n")


def test_dump_of_bytes():
    spoiled("head -c 200000 /dev/urandom\n")


def test_dump_with_escape_sequences():
    error, _, done = spoiled("printf '\\033]0;owned\\007\\t\\033[2J\\t(none)\\t51820\\toff\\n'\n")
    assert "\033" not in error


def test_answer_of_100_megabytes():
    error, took, _ = spoiled("yes 'wg0\t0123456789012345678901234567890123456789' | head -c 100000000\n", seconds=60)
    assert took < 60


def test_answer_without_end():
    _, took, _ = spoiled("while :; do printf 'wg0\\t(none)\\t(none)\\t0\\toff\\n'; done\n", seconds=90)
    assert took < 90


def test_truncated_answer():
    # The shell that takes the bare look is killed in the middle.
    spoiled("kill -9 $PPID; sleep 1\n")


@timeout(180)
def test_program_that_hangs():
    _, took, _ = spoiled("exec sleep 1000\n", seconds=80)
    assert took < 80


def test_names_with_escapes_and_commands():
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        b = lab.host("b")
        b.run(["/usr/bin/python3", "-c", "import socket, sys; socket.sethostname(sys.argv[1])", "x\033]0;owned\007$(touch /tmp/owned)'\";`id`"])
        conf = b.read("/etc/wireguard/wg0.conf", text=False)
        b.write("/etc/wireguard/wg0.conf", conf + b"\n# \x1b[31m$(touch /tmp/owned)\n[Interface]\nBad\x1bKey = \xc2\x9b\n", 0o600)
        b.run("cp /etc/wireguard/wg0.conf \"/etc/wireguard/x;touch owned'.conf\"; "
              "cp /etc/wireguard/wg0.conf \"/etc/wireguard/$(printf 'e\\033[2J').conf\"")
        for mode in ("--bare", "--push"):
            for command in ("status", "doctor"):
                clean(wgdeck(lab, command, mode, check=(0, 1, 2, 3)))
                clean(wgdeck(lab, command, mode, "--json", check=(0, 1, 2, 3)))
        for host in lab.hosts + [lab.operator]:
            assert not host.out("find / -xdev -name owned 2>/dev/null; ls /tmp | grep owned; true"), host


def test_changed_host_key():
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        lab.change_host_key("b")
        known = lab.operator.read("/root/.ssh/known_hosts")
        done = wgdeck(lab, "status", check=(3,))
        clean(done)
        text = done.stdout + done.stderr
        assert "host key" in text and re.search(r"known_hosts:\d+", text), text
        assert lab.operator.read("/root/.ssh/known_hosts") == known


def test_unknown_host_key():
    with Lab(["a", "b", "c"]) as lab:
        lab.operator.write("/root/.ssh/known_hosts", "", 0o600)
        done = wgdeck(lab, "status", check=(3,))
        text = done.stdout + done.stderr
        assert "SHA256:" in text, text
        assert lab.operator.read("/root/.ssh/known_hosts") == ""


def eventually_none(what, seconds=10):
    """The last answer of what(), or the first that is empty."""
    end = time.monotonic() + seconds
    while (answer := what()) and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def test_full_disk():
    with Lab(["a", "b", "c"], disk="3m") as lab:
        lab.warm()
        lab.fill_disk("b")
        document = report(lab, "--push", command="status")
        assert {n["name"]: n["state"] for n in document["nodes"]}["a"] == "up", describe(document)
        # Either another place held the program (memory), or the line says what is missing; never a half-written file.
        b = next(n for n in document["nodes"] if n["name"] == "b")
        assert b["state"] == "up" or "b" in (b["error"] or "") or "space" in b["error"], describe(document)
        # The deck does not wait for a node that is slow to tidy up.
        left = eventually_none(lambda: lab.host("b").out("find /root /var/tmp /tmp -xdev -name '*wgdeck*' -type f -exec ls -l {} + 2>/dev/null; true"))
        assert not left, left


def test_read_only_home():
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        lab.readonly_home("b")
        document = report(lab, "--push", command="status")
        assert {n["name"]: n["state"] for n in document["nodes"]} == {"a": "up", "b": "up", "c": "up"}, describe(document)


def test_node_that_dies_during_the_push():
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        lab.slow_line("b", "4mbit")
        timer = threading.Timer(3, lambda: lab.unreachable("b"))
        timer.start()
        started = time.monotonic()
        document = report(lab, "--push", command="status", timeout=100)
        timer.join()
        assert time.monotonic() - started < 90
        states = {n["name"]: n["state"] for n in document["nodes"]}
        assert states["a"] == states["c"] == "up" and states["b"] == "unreachable", describe(document)


def test_helper_that_is_killed_between_push_and_run():
    with Lab(["a", "b", "c"]) as lab:
        lab.warm()
        wgdeck(lab, "status", "--push", check=(0,))
        b = lab.host("b")
        place = b.out("find /root /var /tmp /run -xdev -name 'wgdeck-*' -type f 2>/dev/null | head -n 1")
        assert place, "no helper was pushed"
        # It is there and starts, and ends at once.
        b.write(place, "#!/bin/sh\nkill -9 $$\n", 0o700)
        document = report(lab, "--push", command="status")
        states = {n["name"]: n["state"] for n in document["nodes"]}
        assert states["a"] == states["c"] == "up", describe(document)
        assert states["b"] in ("up", "unreachable"), describe(document)
        if states["b"] != "up":
            assert next(n for n in document["nodes"] if n["name"] == "b")["error"], describe(document)


def mesh_file_refused(change, words):
    with Lab(["a", "b"], mesh="full") as lab:
        before = lab.operator.read("/root/mesh.conf")
        after = change(before)
        assert after != before
        lab.operator.write("/root/mesh.conf", after)
        done = wgdeck(lab, "status", check=(2, 3))
        lines = [line for line in done.stderr.splitlines() if line]
        assert len(lines) == 1 and re.match(r"wgdeck: .*mesh\.conf:\d+: ", lines[0]), done.stderr
        for word in words:
            assert word in lines[0], lines[0]
        clean(done)


def test_mesh_file_with_a_duplicate_node():
    mesh_file_refused(lambda text: text + "\n[Node a]\nSsh = a\nAddress = 10.44.0.9\n", ["a"])


def test_mesh_file_with_overlapping_addresses():
    mesh_file_refused(lambda text: text + "\n[Node z]\nSsh = a\nAddress = 10.44.0.1\n", ["10.44.0.1"])


def test_mesh_file_with_unknown_keys():
    with Lab(["a", "b"]) as lab:
        lab.warm()
        lab.operator.write("/root/mesh.conf", lab.operator.read("/root/mesh.conf").replace("[Mesh]\n", "[Mesh]\nAdress = x\n", 1))
        done = wgdeck(lab, "status", check=(0,))
        assert re.search(r"mesh\.conf:\d+: .*Adress", done.stderr), done.stderr


def test_unreachable_nodes_are_no_reason_to_wait():
    with Lab(20, keepalive=0) as lab:
        names = [f"n{i}" for i in range(1, 21)]
        started = time.monotonic()
        wgdeck(lab, "status", *names[:17], check=(0,))
        well = time.monotonic() - started
        lab.unreachable("n18")
        lab.freeze("n19")
        lab.refuse("n20")
        started = time.monotonic()
        document = report(lab, *names, command="status")
        ill = time.monotonic() - started
        assert ill < well + 1.0, f"{well:.2f} s without them, {ill:.2f} s with them"
        states = {n["name"]: n["state"] for n in document["nodes"]}
        assert sum(state == "up" for state in states.values()) == 17, describe(document)
        assert len(faults(document)) == 3, describe(document)
