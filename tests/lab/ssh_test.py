"""wgdeck's sessions against the lab's real sshds and real sudo, through wgdeck exec. What needs no lab is in tests/unit/ssh_session_test.c."""
import json
import os
import pty
import select
import signal
import time

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout


def mesh_with(lab, **targets):
    """A mesh file in the operator's home in which these nodes have these SSH targets; its path."""
    text = lab.operator.read("/root/mesh.conf")
    lines, node = [], None
    for line in text.splitlines():
        if line.startswith("["):
            node = line.strip("[]").split()[-1]
        if line.lower().replace(" ", "").startswith("ssh=") and node in targets:
            line = f"Ssh = {targets[node]}"
        lines.append(line)
    lab.operator.write("/root/changed.conf", "\n".join(lines) + "\n")
    return "/root/changed.conf"


def run_exec(lab, *arguments, mesh="/root/mesh.conf", seconds=60, check=None):
    """{node: its object} of wgdeck exec --json."""
    done = wgdeck(lab, "-m", mesh, "exec", "--json", *arguments, timeout=seconds, check=check)
    return {node["name"]: node for node in json.loads(done.stdout)["nodes"]}


def test_users_and_sudo():
    with Lab(["a", "b", "c"], mesh="none") as lab:
        mesh = mesh_with(lab, a="root@a", b="ops@b", c="guest@c")
        plain = run_exec(lab, "whoami", mesh=mesh)
        assert [plain[n]["output"] for n in "abc"] == ["root\n", "ops\n", "guest\n"], plain
        asked = run_exec(lab, "--sudo", """whoami; echo "it's $((1+1))" '$x'; exit 3""", mesh=mesh)
        assert asked["a"]["output"] == asked["b"]["output"] == "root\nit's 2 $x\n", asked
        assert asked["a"]["status"] == asked["b"]["status"] == 3, asked
        assert asked["c"]["error"] and "sudo as guest" in asked["c"]["error"], asked


def talk(argv, answers, seconds=40):
    """Run argv on a terminal of its own; give each answer when its question is there. Returns what was shown and the status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    shown, answers, status, end = b"", list(answers), None, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    got = os.read(terminal, 65536)
                except OSError:
                    got = b""
                if not got:
                    status = os.waitpid(pid, 0)[1]
                    pid = None
                    break
                shown += got
            if answers and answers[0][0] in shown.lower():
                before = shown.lower().index(answers[0][0]) + len(answers[0][0])
                shown, rest = shown[:before].replace(answers[0][0], b"<asked>"), shown[before:]
                shown += rest
                os.write(terminal, answers.pop(0)[1] + b"\n")
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)
    return shown.decode(errors="replace"), None if status is None else os.waitstatus_to_exitcode(status)


def test_a_password_for_login_and_for_sudo():
    """Asked once each, never shown."""
    with Lab(["a"], mesh="none") as lab:
        lab.operator.run("mv /root/.ssh/id_ed25519 /root/kept; rm -f /root/.ssh/id_ed25519.pub; printf 'Host *\\n IdentityAgent none\\n' > /root/.ssh/config")
        mesh = mesh_with(lab, a="pw@a")
        argv = lab.operator.command([PROGRAM, "-m", mesh, "exec", "--sudo", "whoami"], terminal=True, env={"TERM": "xterm"})
        shown, status = talk(argv, [(b"password", b"lab"), (b"password for sudo", b"lab")])
        assert status == 0 and "root" in shown, (status, shown)
        shown, status = talk(argv, [(b"password", b"lab"), (b"password for sudo", b"wrong!")])
        assert status not in (0, None) and "the password is wrong" in shown and "wrong!" not in shown, (status, shown)


def test_a_password_is_for_one_host():
    """Each host is asked about by name; what was typed for one goes to no other."""
    with Lab(["a", "b"], mesh="none") as lab:
        lab.operator.run("mv /root/.ssh/id_ed25519 /root/kept; rm -f /root/.ssh/id_ed25519.pub; printf 'Host *\\n IdentityAgent none\\n' > /root/.ssh/config")
        mesh = mesh_with(lab, a="pw@a", b="pw@b")
        argv = lab.operator.command([PROGRAM, "-m", mesh, "exec", "whoami"], terminal=True, env={"TERM": "xterm"})
        shown, status = talk(argv, [(b"password for pw@", b"lab"), (b"password for pw@", b"lab")])
        assert status == 0 and shown.count("<asked>") == 2 and "a: <asked>" in shown and "b: <asked>" in shown, (status, shown)


def test_a_changed_host_key():
    with Lab(["a", "b"], mesh="none") as lab:
        key = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        lines = [line.split() for line in lab.operator.read("/root/.ssh/known_hosts").splitlines()]
        changed = [[names, kind, key if "a" in names.split(",") else old] for names, kind, old, *_ in lines]
        assert changed != [line[:3] for line in lines], lines
        lab.operator.write("/root/.ssh/known_hosts", "".join(" ".join(line) + "\n" for line in changed))
        answers = run_exec(lab, "true")
        assert answers["b"]["status"] == 0, answers
        assert "HAS CHANGED" in answers["a"]["error"] and answers["a"]["error"].count("SHA256:") == 2, answers
        assert "/root/.ssh/known_hosts:" in answers["a"]["error"], answers


def test_through_a_jump_host_and_over_ipv6():
    """b and c take SSH from a only; the deck logs in to a once, and reaches them through it."""
    with Lab(["a", "b", "c"], mesh="none") as lab:
        for name in "bc":
            lab.host(name).run(["nft", "add", "table", "inet", "only_a"])
            lab.host(name).run("nft 'add chain inet only_a in { type filter hook input priority 0; }'")
            lab.host(name).run(f"nft 'add rule inet only_a in tcp dport 22 ip saddr != {lab.host('a').address} drop'")
        inside = " ".join(lab.host(name).address for name in "bc")
        lab.operator.write("/root/.ssh/config", f"Host {inside} b c\n ProxyJump a\n", 0o600)
        answers = run_exec(lab, "hostname; echo $SSH_CONNECTION")
        for name in "abc":
            assert answers[name]["status"] == 0 and answers[name]["output"].startswith(name), answers
        assert lab.host("a").address in answers["b"]["output"], answers
    with Lab(["a"], mesh="none") as lab:
        address = lab.host("a").address6
        lab.operator.run(f"sed -i 's/^a\\([ ,]\\)/a,{address}\\1/' /root/.ssh/known_hosts")
        answers = run_exec(lab, "echo $SSH_CONNECTION", mesh=mesh_with(lab, a=f"root@[{address}]:22"))
        assert address in answers["a"]["output"], answers


@timeout(180)
def test_dead_hanging_and_refusing_hosts_delay_nobody():
    """Of 20 hosts one is gone, one has a stopped sshd and one refuses: the other 17 have answered within a second of 17 alone."""
    names = [f"n{i}" for i in range(1, 21)]
    with Lab([Host(name, sshd=name != "n3") for name in names], mesh="none") as lab:
        good = [n for n in names if n not in ("n1", "n2", "n3")]
        started = time.monotonic()
        wgdeck(lab, "-n", ",".join(good), "exec", "--", "date +%s.%N", check=(0,))
        alone = time.monotonic() - started
        lab.host("n1").run("nft add table inet gone; nft 'add chain inet gone in { type filter hook input priority 0; policy drop; }'")
        lab.host("n2").signal("sshd", signal.SIGSTOP)
        started = time.time()
        answers = run_exec(lab, "--connect-timeout", "5", "date +%s.%N")
        took = time.time() - started
        for name in good:
            assert answers[name]["status"] == 0, (name, answers[name])
        last = max(float(answers[name]["output"]) for name in good) - started
        assert last < alone + 1, (last, alone)
        assert took < 20, took
        for name, word in (("n1", "timed out"), ("n2", "timed out"), ("n3", "refused")):
            assert word in answers[name]["error"], answers[name]


def test_a_server_that_drops_some_logins():
    """MaxStartups is no phantom failure (the second unfinished login is dropped here; somebody holds the first place for a while)."""
    with Lab([Host("a", max_startups="1:100:1")], mesh="none") as lab:
        holder = lab.operator.popen(["bash", "-c", f"exec 3<>/dev/tcp/{lab.host('a').address}/22; sleep 1"])
        time.sleep(0.3)
        answers = run_exec(lab, "echo in")
        holder.wait()
        assert answers["a"]["output"] == "in\n", answers
