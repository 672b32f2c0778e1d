"""The deck from end to end: the real program, on a real terminal (tmux's), over real hosts; and the recorded incident, which needs no host."""
import os
import pathlib
import re
import signal
import time

from deck import CHECKOUT, PROGRAM
from lab import Host, Lab
from run import timeout
from screen import Screen

INTERVAL = 2
WELL = r"all well"
# What may be left of a second interval: the looks of the nodes are spread over one, and the machine is shared.
SLACK = 2.0
INCIDENT = str(CHECKOUT / "share/incident.jsonl")


def replay(*arguments):
    return [PROGRAM, "replay", *arguments]


def deck_in(screen, *arguments, wait=WELL):
    screen.type(" ".join(["clear;", PROGRAM, *arguments]) + "\n")
    if wait:
        screen.wait(wait)


def leave(screen):
    """The way out that works wherever one is."""
    screen.press("C-c")
    screen.assert_sane("after ctrl-c")


def processes_of(machine, program):
    return [pid for pid, argv in machine.processes() if os.path.basename(argv[0]).startswith(program)]


def seconds_until(screen, pattern, seconds, gone=False):
    began = time.monotonic()
    screen.wait(pattern, seconds, gone=gone)
    return time.monotonic() - began


# ---- the mesh is broken and mended before the deck's eyes ------------------------------------------------------------

@timeout(90)
def test_silent_node_is_marked_long_before_its_connection_is_lost():
    with Lab(3, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            lab.unreachable("n2")
            took = seconds_until(screen, r"n2 +silent.*no answer for", 20)
            assert took < 10 + SLACK, f"after {took:.1f} s"
            assert not re.search(WELL, screen.text()), screen.text()
            lab.heal_network()
            screen.wait(WELL, 30)
            leave(screen)


@timeout(150)
def test_row_deleted_is_named_within_an_interval_and_clears():
    with Lab(5, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            row = lab.host("n1").rows()[lab.host("n2").public_key]
            lab.delete_row("n1", "n2")
            took = seconds_until(screen, r"1 fault", 20)
            assert took < INTERVAL + SLACK, f"the fault was on the screen after {took:.1f} s"
            screen.wait(r"n1 has no row for n2")
            # Two keys away: the fault, with its evidence and what mends it.
            screen.press("5")
            screen.wait(r"wg set wg0 peer|wg addconf|wg-quick|syncconf")
            screen.press("q")
            lab.host("n1").run(["wg", "set", "wg0", "peer", lab.host("n2").public_key, "allowed-ips", ",".join(row["allowed"]), "endpoint", row["endpoint"],
                                "persistent-keepalive", "25"])
            lab.ping("n1", "n2", count=5)
            took = seconds_until(screen, WELL, 30)
            assert took < 2 * INTERVAL + SLACK, f"the fault was gone after {took:.1f} s"
            screen.press("6")
            screen.wait(r"n1 has no row for n2")
            leave(screen)


@timeout(120)
def test_udp_blocked_is_named_with_its_link_and_clears():
    with Lab(5, keepalive=25) as lab:
        lab.warm()
        for other in ("n1", "n2", "n4", "n5"):       # a link that carries nothing cannot show that it is cut
            lab.host(other).spawn(["ping", "-q", "-i", "1", lab.host("n3").mesh[0]])
        with Screen(lab.operator, 120, 30) as screen:
            deck_in(screen)
            lab.block_udp_in("n3")
            screen.wait(r"n3 cannot be reached by UDP", 60)
            screen.press("3")
            screen.wait(r"half|dead")
            screen.press("Enter")
            screen.wait(r"blocked")
            lab.heal_network()
            screen.wait(WELL, 40)
            leave(screen)


@timeout(200)
def test_node_unreachable_while_the_deck_runs():
    """sshd ends on one node: it is named at once and the others go on; it comes back by itself."""
    with Lab(4, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            lab.refuse("n2")
            screen.wait(r"n2.*(unreachable|not reached)|not reached", 20)
            lab.start_sshd("n2")
            screen.wait(WELL, 60)
            screen.press("6")
            screen.wait(r"n2")
            leave(screen)


@timeout(150)
def test_flapping_node():
    """The interface of a node goes down and up many times a second: the deck answers keys, and what flaps is counted, not listed a hundred times."""
    with Lab(3, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen, "tui", "--interval", "0.5")
            flap = lab.host("n2").popen(["sh", "-c", "while :; do ip link set wg0 down; sleep 0.05; ip link set wg0 up; sleep 0.05; done"])
            try:
                screen.wait(r"n2", 10)
                for key in "23456123456":
                    before = screen.text()
                    screen.press(key)
                    screen.wait_change(before, 2)
                time.sleep(3)                       # what is tested is what comes of three seconds of this
                screen.press("6")
                assert len(re.findall(r"interface-down", screen.text())) < 8, screen.text()
            finally:
                flap.kill()
                flap.wait()
            lab.link_up("n2")
            leave(screen)


# ---- questions ------------------------------------------------------------------------------------------------------

def mesh_of(lab, user="root"):
    return lab.operator.read("/root/mesh.conf").replace("root@", f"{user}@")


@timeout(120)
def test_unknown_host_key_is_asked_and_accepted():
    with Lab(3, keepalive=25) as lab:
        lab.warm()
        o = lab.operator
        o.write("/root/ask.conf", re.sub(r"(?m)^\s*StrictHostKeyChecking.*$", "StrictHostKeyChecking ask", o.read("/root/.ssh/config")), 0o600)
        known = o.read("/root/.ssh/known_hosts")
        o.write("/root/.ssh/known_hosts", "".join(line + "\n" for line in known.splitlines() if lab.host("n2").address not in line and "n2" not in line), 0o600)
        with Screen(o) as screen:
            deck_in(screen, "-F", "/root/ask.conf", wait=None)
            screen.wait(r"SHA256:")
            text = screen.wait(r"n2")
            assert "(y/n)" in text, f"the dialog does not say what to answer:\n{text}"
            screen.type("y\n")
            screen.wait(r"SHA256:", gone=True)
            screen.wait(WELL)
            leave(screen)
        assert lab.host("n2").address in o.read("/root/.ssh/known_hosts") or "n2" in o.read("/root/.ssh/known_hosts")


@timeout(120)
def test_password_is_asked_in_the_deck_and_never_shown():
    with Lab(2, keepalive=25) as lab:
        lab.warm()
        lab.operator.write("/root/pw.conf", mesh_of(lab, "pw"))
        with Screen(lab.operator) as screen:
            deck_in(screen, "-m", "/root/pw.conf", wait=None)
            for _ in range(4):               # two nodes; each is asked for login and for sudo
                text = screen.wait(r"[Pp]assword|" + WELL, 30)
                if re.search(WELL, text) and not re.search(r"[Pp]assword", text):
                    break
                screen.type("lab")
                assert not re.search(r"\blab\b", re.sub(r"lab\s+[✔?]|^ lab.*$", "", screen.text(), flags=re.M)), screen.text()
                before = screen.text()
                screen.press("Enter")
                screen.wait_change(before)
            screen.wait(WELL, 30)
            leave(screen)
            assert "secret" not in screen.text(history=True)


@timeout(120)
def test_shell_on_a_node_and_back():
    with Lab(2, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            screen.type(":shell n2\n")
            screen.wait(r"a shell on n2(.|\n)*[#$] ?$")
            screen.type("echo on-$(hostname)\n")
            screen.wait(r"^on-n2")
            assert screen.flag("alternate_on") == "0" and screen.flag("mouse_any_flag") == "0"
            screen.type("exit\n")
            screen.wait(WELL)
            screen.press("2")
            screen.wait(r"hear")
            leave(screen)


# ---- life ------------------------------------------------------------------------------------------------------------

SCREENS = ["overview", "matrix", "links", "map", "faults", "events", "help", ":node n1", ":link n1 n2"]


def go_to(screen, name):
    if name == "help":
        screen.press("?")
    elif name.startswith(":"):
        screen.type(name + "\n")
    else:
        screen.press(str(SCREENS.index(name) + 1))


@timeout(150)
def test_signals_leave_the_terminal_sane_on_every_screen():
    with Lab(2, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            for name in SCREENS:
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV):
                    if number == signal.SIGHUP and name not in ("overview", ":link n1 n2"):
                        continue
                    about = f"{number.name} on {name}"
                    screen.shell("ulimit -c 0")
                    deck_in(screen)
                    before = screen.text()
                    if name != "overview": # where it is already: a key that nobody waits for could be typed into the shell
                        go_to(screen, name)
                        screen.wait_change(before)
                    pids = processes_of(lab.operator, "wgdeck")
                    assert pids, about
                    for pid in pids:
                        os.kill(pid, number)
                    screen.assert_sane(about)
                    assert not processes_of(lab.operator, "wgdeck"), about


@timeout(120)
def test_suspend_and_foreground_on_every_screen():
    with Lab(2, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            for name in SCREENS:
                go_to(screen, name)
                text = screen.wait(r"prod|lab")
                screen.press("C-z")
                screen.wait(r"Stopped")
                screen.assert_sane(f"^Z on {name}")
                screen.type("fg\n")
                screen.wait(r"Stopped", gone=True)
                screen.wait(WELL)
                assert screen.flag("alternate_on") == "1", text
                screen.press("1")
            leave(screen)


@timeout(90)
def test_kill_of_the_terminal_leaves_no_process():
    with Lab(2, keepalive=25) as lab:
        lab.warm()
        with Screen(lab.operator) as screen:
            deck_in(screen)
            screen.kill_pane()
            end = time.monotonic() + 10
            while processes_of(lab.operator, "wgdeck") or processes_of(lab.operator, "ssh"):
                assert time.monotonic() < end, lab.operator.processes()
                time.sleep(0.05)


@timeout(90)
def test_resized_constantly():
    with Screen(columns=80, rows=24, argv=replay("--speed", "20", INCIDENT)) as screen:
        screen.wait(r"REPLAY")
        sizes = [(20, 5), (200, 60), (60, 16), (1, 1), (80, 2), (400, 100), (3, 50), (80, 24)]
        for i in range(6 * len(sizes)):
            screen.resize(*sizes[i % len(sizes)])
            if i % 4 == 0:
                screen.press(str(i // 4 % 6 + 1))
        assert screen.alive(), screen.text()
        screen.resize(80, 24)
        screen.press("2")
        screen.wait(r"hear")
        screen.press("1")
        screen.wait(r"REPLAY")


# ---- what a terminal can lack ----------------------------------------------------------------------------------------

def test_dumb_and_unknown_terminals_are_refused_with_what_to_use_instead():
    for term in ("dumb", "nonsense", ""):
        with Screen(term="xterm") as screen:
            text = screen.shell(f"TERM={term} {PROGRAM} replay {INCIDENT}; echo status=$?")
            assert "wgdeckstatus-w2" in re.sub(r"\s+", "", text) and "status=3" in text, f"TERM={term!r}:\n{text}"
            screen.assert_sane(f"TERM={term!r}")
    with Screen() as screen:
        text = screen.shell(f"{PROGRAM} replay {INCIDENT} </dev/null | head -c 300")
        assert "\x1b" not in text, text


def test_colours_and_charsets():
    for setting, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        with Screen(env=setting, argv=replay(INCIDENT)) as screen:
            screen.wait(r"REPLAY")
            coloured = re.search(r"\x1b\[[0-9;]*(3[1-7]|38|4[1-7]|48|9[1-7])[;m]", screen.colours())
            assert bool(coloured) == wanted, f"{setting}: {screen.colours()!r}"
    for options in ({"utf8": False}, {"env": {"LC_ALL": "POSIX"}}):
        with Screen(argv=replay(INCIDENT), **options) as screen:
            for key in "123456?":
                screen.press(key)
                time.sleep(0.2)
                text = screen.wait(r"REPLAY")
                assert text.isascii(), f"{options} {key}: {[c for c in text if not c.isascii()]}\n{text}"
    with Screen(argv=replay("--ascii", INCIDENT)) as screen:
        assert screen.wait(r"REPLAY").isascii()


def test_other_terminals():
    """From the smallest that has a cursor to the ones people have."""
    for term in ("vt100", "linux", "screen", "xterm", "xterm-256color", "rxvt"):
        with Screen(term=term, argv=replay(INCIDENT)) as screen:
            screen.wait(r"REPLAY")
            screen.press("2")
            screen.wait(r"hear")
            assert screen.alive(), term


# ---- without hosts ---------------------------------------------------------------------------------------------------

def test_replay_without_file_without_root_on_the_static_program():
    machine = os.uname().machine
    static = f"{PROGRAM}-{machine}"
    with Screen(argv=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "-i", "TERM=tmux-256color", "LANG=C.UTF-8", "HOME=/nonexistent",
                      static, "replay"]) as screen:
        screen.wait(r"prod")
        screen.wait(r"REPLAY")
        screen.wait(r"9 of 9|9/9")
        screen.press("2")
        screen.wait(r"nyc-db")
        screen.press("C-c")
        assert_ended(screen)


def assert_ended(screen, seconds=10):
    end = time.monotonic() + seconds
    while screen.alive():
        assert time.monotonic() < end, f"still there:\n{screen.text()}"
        time.sleep(0.02)


# ---- every key of the table --------------------------------------------------------------------------------------------

def actions():
    """{name: [keys]} from the table of which keymap, help and manual are made."""
    source = (CHECKOUT / "src/tui/action.h").read_text(encoding="utf-8")
    return {name: keys.split() for name, keys in re.findall(r'^    X\(\w+, "([^"]+)", "([^"]+)", ', source, re.M)}


def tmux_key(word):
    names = {"esc": "Escape", "space": "Space", "up": "Up", "down": "Down", "left": "Left", "right": "Right", "page-up": "PPage", "page-down": "NPage",
             "home": "Home", "end": "End", "enter": "Enter", "tab": "Tab"}
    if word in names:
        return names[word]
    if re.fullmatch(r"f\d+", word):
        return word.upper()
    return word.replace("ctrl-", "C-")


# What the key meets (keys pressed before it) and what it does then: a pattern that comes, or None: the screen
# changes, be it only its colours.
CHANGES = None
EFFECTS = {
    "help": ("3", r"Keys here|Keys everywhere|Links"), "back": ("3", r"WELL"), "command": ("", r"^:"), "filter": ("3", r"^filter:"), "filter-not": ("3", r"^hide:"),
    "next": ("3", CHANGES), "previous": ("3G", CHANGES), "faults-only": ("3", r"faults only"), "up": ("3G", CHANGES), "down": ("3", CHANGES), "left": ("2ll", CHANGES),
    "right": ("2", CHANGES), "page-up": ("3G", CHANGES), "page-down": ("3", CHANGES), "first": ("3G", CHANGES), "last": ("3", CHANGES), "enter": ("3", r"row for the other"),
    "pane": ("", CHANGES), "mark": ("3", CHANGES), "sort": ("3", r"sorted by"), "sort-invert": ("3", CHANGES), "columns": ("3", r"^:columns"), "group": ("2", CHANGES),
    "overview": ("3", r"WELL"), "matrix": ("", r"hear"), "links": ("", r"A→B"), "map": ("", r"─ fra ─"), "faults": ("", r"SEVERITY|Evidence|What to do"), "events": ("", r"TIME"),
    "refresh": ("", CHANGES), "freeze": ("", r"goes on|go on|paused"), "slower": ("", r"x2|speed 2"), "faster": ("", r"x0\.5|speed 0\.5"), "step": ("", CHANGES), "step-back": ("", CHANGES),
    "copy": ("3", r"copied|clipboard"), "save": ("3", r"^save as"), "shell": ("", r"replay|recording|shell|ssh"), "privacy": ("", r"node-1"), "theme": ("", r"theme \w+"),
    # In a recording nothing can be changed; wizard_test.py presses these where something can.
    "plan": ("", r"othing can be changed"), "wizard": ("", r"othing can be changed"), "apply": ("", r"there is no plan here"), "stop-change": ("", r"no change is under way"),
}


def press_one(screen, before, key, effect):
    """One key on a fresh deck over the incident, which stands still."""
    screen.wait(r"NOT WELL")
    screen.wait(r"paused")                # --at stands still
    for k in before:
        screen.press(k)
    stable = None
    while stable != (stable := screen.colours()):
        time.sleep(0.1)
    if effect is not None:
        assert not re.search(effect, screen.text(), re.M) or key in ("z", "$", "F9"), f"{effect!r} is there before {key!r} is pressed:\n{screen.text()}"
    screen.press(tmux_key(key))
    if effect is not None:
        screen.wait(effect, 5)
        return
    end = time.monotonic() + 5
    while screen.colours() == stable:
        assert time.monotonic() < end, f"{key!r} changes nothing:\n{screen.text()}"
        time.sleep(0.03)


def every_key(part):
    """The keys of every third action."""
    special = {"quit", "quit-keep", "redraw", "suspend"}       # see below
    table = actions()
    assert len(table) > 40, "the table of actions was not understood"
    missing = set(table) - set(EFFECTS) - special
    assert not missing, f"no test presses the keys of {', '.join(sorted(missing))}: say in EFFECTS what they do"
    for name in [n for n in table if n not in special][part::3]:
        for key in table[name]:
            with Screen(argv=replay("--at", "+80", INCIDENT)) as screen:
                try:
                    press_one(screen, *(EFFECTS[name][0], key, EFFECTS[name][1]))
                except AssertionError as error:
                    raise AssertionError(f"{name} ({key}): {error}") from None


@timeout(100)
def test_every_key_of_the_table_1():
    every_key(0)


@timeout(100)
def test_every_key_of_the_table_2():
    every_key(1)


@timeout(100)
def test_every_key_of_the_table_3():
    every_key(2)


@timeout(60)
def test_keys_that_leave():
    table = actions()
    command = " ".join(replay("--at", "+80", INCIDENT))
    with Screen() as screen:
        for key in table["quit"] + ["q", "esc"]:
            screen.type("clear; " + command + "\n")
            screen.wait("NOT WELL")
            screen.press(tmux_key(key))
            screen.assert_sane(key)
            assert "NOT WELL" not in screen.text(), key
        for key in table["quit-keep"]:
            screen.type("clear; " + command + "\n")
            screen.wait("NOT WELL")
            screen.press(tmux_key(key))
            screen.wait(r"shell\$ ?$")
            assert "NOT WELL" in screen.text(history=True), screen.text(history=True)
            screen.assert_sane(key)
        for key in table["suspend"]:
            screen.type("clear; " + command + "\n")
            screen.wait("NOT WELL")
            screen.press(tmux_key(key))
            screen.wait("Stopped")
            screen.type("fg\n")
            screen.wait("NOT WELL")
            screen.press("C-c")
            screen.assert_sane(key)


def test_redraw_mends_a_screen_that_another_program_has_written_on():
    with Screen(argv=replay("--at", "+80", INCIDENT)) as screen:
        screen.wait("NOT WELL")
        screen.wait("paused")
        with open(screen.flag("pane_tty"), "w", encoding="ascii") as terminal:
            terminal.write("\x1b[5;1HBroadcast message from root")
        screen.wait("Broadcast message")
        for key in actions()["redraw"]:
            screen.press(tmux_key(key))
        screen.wait("Broadcast message", gone=True)


# ---- bad input ---------------------------------------------------------------------------------------------------------

def test_deck_conf_and_theme_with_errors():
    """Each error is said with file and line, and the defaults go on."""
    with Screen() as screen:
        screen.shell("rm -rf /tmp/wgdeck-bad && mkdir -p /tmp/wgdeck-bad/wgdeck")
        try:
            folder = pathlib.Path("/tmp/wgdeck-bad/wgdeck")
            (folder / "deck.conf").write_text("[Deck]\nTheme = /tmp/wgdeck-bad/wgdeck/bad.theme\nNonsense = 7\n[Keys]\nquit = no-such-key\nfly = x\n", encoding="utf-8")
            (folder / "bad.theme").write_text("good = #12\nnonsense = #123456\nbad = #ff0000 bold\n", encoding="utf-8")
            screen.type(f"clear; XDG_CONFIG_HOME=/tmp/wgdeck-bad {PROGRAM} replay --at +80 {INCIDENT}\n")
            screen.wait("NOT WELL")
            screen.type(":warnings\n")
            seen = ""
            for _ in range(6):
                screen.wait(r"REPLAY")
                seen += screen.text()
                screen.press("NPage")
                time.sleep(0.1)
            for wanted in (r"deck\.conf:3", r"deck\.conf:5", r"deck\.conf:6", r"bad\.theme:1", r"bad\.theme:2"):
                assert re.search(wanted, seen), f"{wanted} is not said:\n{seen}"
            screen.press("C-c")
            screen.assert_sane("after a bad configuration")
        finally:
            screen.shell("rm -rf /tmp/wgdeck-bad")


def hostile_recording(path):
    """The incident, with the longest names, and nodes that say of themselves what should play tricks on a terminal. (A mesh file with other
    characters in a node's name is refused.)"""
    text = pathlib.Path(INCIDENT).read_text(encoding="utf-8")
    trick = "\\u001b[2J\\u0007\u202e\u200b\u5bff\U0001f363e\u0301\u0300\u0302\\n"
    text = text.replace("fra-1", "f" * 63).replace("ams-2", "a-" * 31 + "b")
    text = re.sub(r'"hostname":"[^"]*"', lambda m: f'"hostname":"{trick}"', text)
    text = re.sub(r'"kernel":"[^"]*"', lambda m: f'"kernel":"{trick}"', text)
    text = re.sub(r'"error":"[^"]*"', lambda m: f'"error":"{trick}"', text)
    path.write_text(text, encoding="utf-8")


@timeout(60)
def test_hostile_names():
    path = pathlib.Path(f"/tmp/wgdeck-hostile-{os.getpid()}.jsonl")
    try:
        hostile_recording(path)
        for size in ((80, 24), (60, 16), (20, 5)):
            with Screen(columns=size[0], rows=size[1], argv=replay("--at", "+205", str(path))) as screen:
                screen.wait(r"unknown|UNKNOWN")
                for key in ("2", "3", "4", "5", "6", "?", ":node ams-1\n", ":node nyc-db\n"):
                    screen.type(key)
                    screen.wait(r"\?")
                    for line in screen.text().splitlines():
                        assert "\u202e" not in line and "\u200b" not in line, line
                assert screen.alive()
    finally:
        path.unlink(missing_ok=True)
