"""An invitation by keys alone, in the deck: wrong answers, the token on the screen, the machine that joins with it seen live, and written into the mesh file."""
import re

from deck import PROGRAM, wgdeck
from lab import Host, Lab
from run import timeout
from screen import Screen

FILE = "/root/new.conf"
STATIC = f"{PROGRAM}-x86_64"


def token_on(text):
    found = re.search(r"(wgdeck1\..*?)\n\s*holds until", text, re.S)
    assert found, text
    return re.sub(r"\s+", "", found[1])


def answer(screen, text, wait, seconds=30):
    screen.type(text + "\n")
    return screen.wait(wait, seconds)


def begin(lab):
    for words in (["init", "--network", "10.44.0.0/24", "--name", "prod"], ["set", "mesh", "RelayNetwork=10.44.0.192/26", "--yes"],
                  ["add", "hub", "hub", "--role", "relay", "--yes"], ["add", "b", "b", "--yes"]):
        wgdeck(lab, "-m", FILE, *words, check=(0,))


@timeout(120)
def test_deck_invites_and_sees_who_joins():
    with Lab(["hub", "b", Host("m1", nat="port-restricted", wg=False, tools=False)], mesh="none") as lab:
        begin(lab)
        with Screen(lab.operator, columns=110, rows=40) as screen:
            screen.type(f"clear; {PROGRAM} -m {FILE}\n")
            screen.wait(r"all well", 30)
            screen.type(":invite\n")
            screen.wait(r"Invite a machine +step 1 of")
            answer(screen, "b", r"has a node b already")
            screen.press("C-u")
            answer(screen, "a/b", r"is no name of a node")
            screen.press("C-u")
            answer(screen, "m1", r"Through the relay, or as a member")
            screen.wait(r"hub is the relay")
            answer(screen, "perhaps", r"neither relay nor member")
            screen.press("C-u")
            answer(screen, "", r"How long may it be used")
            answer(screen, "5y", r"is no time from")
            screen.press("C-u")
            answer(screen, "10m", r"Give this to the new machine", 30)
            text = screen.wait(r"holds until")
            token = token_on(screen.text())
            done = lab.host("m1").run([STATIC, "join", "-"], input=token, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
            screen.wait(r"m1.*(joined|recorded|written)", 30)
            assert "[Node m1]" in lab.operator.read(FILE)
            screen.press("Enter")
            screen.wait(r"m1", 30)
            # Its links with the others go by the hub, and the Link screen says so.
            screen.type(":link b m1\n")
            screen.wait(r"Routed by the hub", 30)
            # A better way is asked for there, and is seen there.
            screen.type(":path\n")
            screen.wait(r"Look for a better way between these two")
            screen.wait(r"hub sees both")
            screen.press("Enter")
            screen.wait(r"hub -> direct, after", 30)
            screen.press("Enter")
            screen.type(":link b m1\n")
            screen.wait(r"Straight from one to the other", 30)
            screen.type(":path b nobody\n")
            screen.wait(r"nobody")
        assert lab.host("b").run(["ping", "-c", "1", "-W", "2", "10.44.0.193"], check=False).returncode == 0 or \
            lab.host("b").run(["ping", "-c", "1", "-W", "2", "10.44.0.192"], check=False).returncode == 0
