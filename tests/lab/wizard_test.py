"""The wizard by keys alone: on the command line and in the deck, to the end, with a wrong answer at each step; left and resumed; what fails is put back."""
import re

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout
from screen import WAITING, Screen

FILE = "/root/new.conf"


def run(lab, *words, check=(0,)):
    done = wgdeck(lab, "-m", FILE, *words, check=check)
    return done.stdout + done.stderr


def mesh_file(lab):
    return lab.operator.read(FILE)


def begin(lab, *nodes):
    run(lab, "init", "--network", "10.44.0.0/24", "--name", "prod")
    if nodes:
        run(lab, "add", *[word for n in nodes for word in (n, n)], "--yes")


def ping(lab, a, address):
    return lab.host(a).run(["ping", "-c", "2", "-i", "0.2", "-W", "2", address], check=False).returncode == 0


def answer(screen, text, wait, seconds=30):
    screen.type(text + "\n")
    return screen.wait(wait, seconds)


@timeout(120)
def test_command_line_adds_a_node_to_the_end_with_a_wrong_answer_at_each_step():
    with Lab(3, mesh="none") as lab:
        begin(lab, "n1", "n2")
        with Screen(lab.operator, columns=100, rows=60) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE} add\n")
            screen.wait(r"^SSH target:")
            answer(screen, "-oProxyCommand=x", r"is no SSH target: write")
            answer(screen, "n1", r"n1 is the node n1 already")
            answer(screen, "root@192.0.2.1:1", r"192\.0\.2\.1.*(Write another target)", 60)
            before = mesh_file(lab)
            answer(screen, "n3", r"Enter goes on, < goes back:")
            text = screen.text()
            assert re.search(r"System: ", text) and re.search(r"Firewall: ", text) and re.search(r"UDP ports: ", text), text
            answer(screen, "", r"^Name \[n3\]")
            answer(screen, "n2", r"has a node n2 already: write another name")
            answer(screen, "a b", r"is no name of a node")
            answer(screen, "web", r"^Address \[10\.44\.0\.3\]")
            answer(screen, "10.99.0.1", r"^! .*10\.99\.0\.1")
            answer(screen, "<", r"^Name \[web\]")
            answer(screen, "", r"^Address \[10\.44\.0\.3\]")
            answer(screen, "", r"^Endpoint \[")
            answer(screen, "1.2.3.4:99999", r"^! .*99999")
            answer(screen, "", r"Apply now\? \[yes/N\]", 60)
            assert mesh_file(lab) == before, "the mesh file was edited before the plan was agreed to"
            answer(screen, "perhaps", r"write yes to apply")
            answer(screen, "yes", r"^Done: confirmed on 3 nodes", 60)
            screen.wait(WAITING)
        assert "[Node web]" in mesh_file(lab)
        for other in ("10.44.0.1", "10.44.0.2"):
            assert ping(lab, "n3", other), other
        assert "+ row" not in run(lab, "plan"), "the second plan is not empty"


@timeout(120)
def test_left_and_resumed_with_nothing_changed():
    with Lab(2, mesh="none") as lab:
        begin(lab, "n1")
        before = mesh_file(lab)
        with Screen(lab.operator, columns=100, rows=50) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE} add\n")
            screen.wait(r"^SSH target:")
            answer(screen, "n2", r"Enter goes on, < goes back:")
            answer(screen, "", r"^Name \[n2\]")
            answer(screen, "web", r"^Address")
            screen.press("C-c")
            screen.wait(r"left; nothing was changed")
            assert mesh_file(lab) == before
            mode = lab.operator.out(["sh", "-c", "stat -c %a ~/.local/state/wgdeck/*/wizard.json"]).strip()
            assert mode == "600", mode
            screen.type(f"clear; {PROGRAM} -m {FILE} add\n")
            screen.wait(r"^Go on \[yes\]")
            answer(screen, "maybe", r"neither: write yes or no")
            answer(screen, "", r"^SSH target \[n2\]")
            answer(screen, "", r"Enter goes on, < goes back:")
            answer(screen, "", r"^Name \[web\]")
            screen.press("C-d")
            screen.wait(r"left; nothing was changed")
        assert mesh_file(lab) == before


@timeout(180)
def test_deck_adds_and_removes_by_keys_alone():
    with Lab(3, mesh="none") as lab:
        begin(lab, "n1", "n2")
        with Screen(lab.operator, columns=80, rows=24) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE}\n")
            screen.wait(r"all well", 30)
            screen.press("a")
            screen.wait(r"Add a node +step 1 of")
            answer(screen, "n1", r"n1 is the node n1 already")
            screen.press("C-u")
            answer(screen, "n3", r"Enter goes on")
            screen.wait(r"System")
            screen.press("Enter")
            screen.wait(r"^ Name:")
            answer(screen, "n2", r"has a node n2 already")
            screen.press("C-u")
            answer(screen, "web", r"^ Address:")
            screen.press("BTab")
            screen.wait(r"^ Name:")
            screen.press("Enter")
            screen.wait(r"^ Address:")
            screen.press("Enter")
            screen.wait(r"^ Endpoint:")
            screen.press("Enter")
            screen.wait(r"A or Enter: apply", 60)
            screen.press("A")
            screen.wait(r"Apply now\?")
            answer(screen, "nonsense", r"write yes to apply")
            screen.press("A")
            screen.wait(r"Apply now\?")
            answer(screen, "yes", r"\+ Done\.", 60)
            assert "[Node web]" in mesh_file(lab)
            assert ping(lab, "n1", "10.44.0.3")
            # The deck shows the mesh as it is now.
            screen.press("Enter")
            screen.wait(r"web", 30)
            screen.wait(r"all well", 30)
            # Out with it again: its name has to be typed.
            screen.type(":remove web\n")
            screen.wait(r"2 links with it end")
            screen.press("Enter")
            screen.wait(r"A or Enter: apply", 60)
            screen.press("Enter")
            screen.wait(r"write its name \(web\)")
            answer(screen, "yes", r"to take it out, write its name")
            screen.press("A")
            screen.wait(r"write its name \(web\)")
            answer(screen, "web", r"\+ Done\.", 60)
            assert "[Removed web]" in mesh_file(lab)
            screen.press("Enter")
            screen.wait(r"\bweb\b", 30, gone=True)
            screen.press("C-c")
            screen.assert_sane("after the wizard")


@timeout(180)
def test_deck_rotates_and_plans():
    with Lab(2, mesh="none") as lab:
        begin(lab, "n1", "n2")
        old = lab.host("n1").out(["wg", "show", "wg0", "public-key"]).strip()
        with Screen(lab.operator, columns=120, rows=40) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE}\n")
            screen.wait(r"all well", 30)
            screen.type(":rotate n1\n")
            screen.wait(r"A or Enter: apply", 60)
            screen.press("A")
            screen.wait(r"Apply now\?")
            answer(screen, "y", r"\+ Done\.", 60)
            assert lab.host("n1").out(["wg", "show", "wg0", "public-key"]).strip() != old
            assert ping(lab, "n2", "10.44.0.1")
            screen.press("Enter", "p")
            screen.wait(r"A or Enter: apply|Nothing to apply", 60)
            screen.press("q")
            screen.press("C-c")
            screen.assert_sane("after the plan")


@timeout(180)
def test_what_fails_is_put_back_with_the_reason():
    with Lab([Host("n1"), Host("n2"), Host("n3")], mesh="none") as lab:
        begin(lab, "n1", "n2")
        before = mesh_file(lab)
        lab.drop_udp("n1", "n3")
        with Screen(lab.operator, columns=120, rows=40) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE}\n")
            screen.wait(r"all well", 30)
            screen.type(":add n3\n")
            screen.wait(r"SSH target")
            for wanted in (r"Enter goes on", r"^ Name:", r"^ Address:", r"^ Endpoint:", r"A or Enter: apply"):
                screen.press("Enter")
                screen.wait(wanted, 60)
            screen.press("A")
            screen.wait(r"Apply now\?")
            text = answer(screen, "yes", r"X Not done\.", 90)
            assert re.search(r"n3|n1", text), text
            assert mesh_file(lab) == before
            screen.press("C-c")
            screen.assert_sane("after a change that failed")


@timeout(120)
def test_unknown_host_key_is_asked_about_with_its_fingerprint_and_may_be_refused():
    with Lab(2, mesh="none") as lab:
        begin(lab, "n1")
        o = lab.operator
        o.write("/root/ask.conf", re.sub(r"(?m)^\s*StrictHostKeyChecking.*$", "StrictHostKeyChecking ask", o.read("/root/.ssh/config")), 0o600)
        known = o.read("/root/.ssh/known_hosts")
        fewer = "".join(line + "\n" for line in known.splitlines() if not re.search(r"n2|203\.0\.113\.11", line.split()[0]))
        assert fewer != known, known
        o.write("/root/.ssh/known_hosts", fewer, 0o600)
        with Screen(o, columns=80, rows=24) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE} -F /root/ask.conf\n")
            screen.wait(r"n1", 30)
            screen.type(":add n2\n")
            screen.wait(r"SSH target:")
            screen.press("Enter")
            screen.wait(r"Is it the right one\?", 30)
            screen.wait(r"SHA256:")
            screen.press("Escape")
            screen.wait(r"Write another target", 30)
            assert o.read("/root/.ssh/known_hosts") == fewer
            screen.press("C-c")
            screen.assert_sane("after a refusal")
            screen.type(f"clear; {PROGRAM} -m {FILE} -F /root/ask.conf add\n")
            screen.wait(r"^Go on \[yes\]")
            answer(screen, "no", r"^SSH target:")
            answer(screen, "n2", r"Is it the right one\?")
            answer(screen, "yes", r"Enter goes on, < goes back:")
            screen.press("C-c")
            screen.wait(WAITING)


@timeout(180)
def test_leaving_the_deck_in_the_middle_puts_back_first():
    with Lab([Host("n1"), Host("n2"), Host("n3")], mesh="none") as lab:
        begin(lab, "n1", "n2")
        before = mesh_file(lab)
        lab.drop_udp("n1", "n3")   # verifying waits
        with Screen(lab.operator, columns=120, rows=40) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE}\n")
            screen.wait(r"all well", 30)
            screen.type(":add n3\n")
            screen.wait(r"SSH target")
            for wanted in (r"Enter goes on", r"^ Name:", r"^ Address:", r"^ Endpoint:", r"A or Enter: apply"):
                screen.press("Enter")
                screen.wait(wanted, 60)
            screen.press("A")
            screen.wait(r"Apply now\?")
            answer(screen, "yes", r"verifying from both ends", 30)
            screen.press("1")
            screen.wait(r"\[1 overview\]")
            screen.press("C-c")
            screen.wait(r"it is being put back")
            screen.press("a")
            screen.wait(r"X Not done\.", 60)
            assert mesh_file(lab) == before
            screen.press("C-c")
            screen.assert_sane("after a change that was stopped")
        assert "n3" not in lab.host("n1").out(["wg", "show", "wg0"])


@timeout(120)
def test_mesh_file_edited_by_hand_before_the_answer_is_planned_anew_and_kept():
    with Lab(2, mesh="none") as lab:
        begin(lab, "n1")
        with Screen(lab.operator, columns=120, rows=50) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE} add\n")
            screen.wait(r"^SSH target:")
            for text, wanted in (("n2", r"Enter goes on"), ("", r"^Name \["), ("", r"^Address \["), ("", r"^Endpoint \["), ("", r"Apply now\? \[yes/N\]")):
                answer(screen, text, wanted, 60)
            lab.operator.write(FILE, mesh_file(lab) + "\n# by hand, meanwhile\n")
            answer(screen, "yes", r"was edited meanwhile: this is the plan for what it says now", 60)
            answer(screen, "yes", r"^Done: confirmed", 60)
        assert "# by hand, meanwhile" in mesh_file(lab) and "[Node n2]" in mesh_file(lab)
