"""A terminal for tests: tmux, with nobody in front of it. What stands on it is waited for, never slept for.

    with Screen(lab.operator, columns=80, rows=24) as screen:      # a shell on the operator's machine
        screen.type(f"{PROGRAM}\n")
        screen.wait("n1")
        screen.press("Down", "Enter")
"""
import os
import re
import shutil
import subprocess
import tempfile
import time

PROMPT = "shell$ "
WAITING = r"^(.*[^ ])?shell\$ ?$"     # tmux gives no spaces at the end of a line
WAIT = 15 * (3 if os.environ.get("WGDECK_GUEST") else 1)


class Screen:
    """machine: one of the lab's, or None for this one. The pane runs an interactive bash, so that ^Z, fg and what is left behind can be seen.
    argv: that program instead of the shell."""

    def __init__(self, machine=None, columns=80, rows=24, env=None, argv=None, term="tmux-256color", utf8=True):
        self.folder = tempfile.mkdtemp(prefix="wgdeck-screen-")
        self.socket = os.path.join(self.folder, "socket")
        self.commands = 0
        environment = {"TERM": term, "PS1": PROMPT, "LANG": "C.UTF-8" if utf8 else "C", "COLORTERM": "", **(env or {})}
        if not utf8:
            environment["LC_ALL"] = "C"
        command = argv or ["bash", "--norc", "--noprofile", "-i"]
        if machine is not None:
            command = machine.command(command, env=environment, terminal=True)
        else:
            command = ["env", "-u", "TMUX", *(f"{k}={v}" for k, v in environment.items()), *command]
        settings = os.path.join(self.folder, "tmux.conf")
        with open(settings, "w", encoding="utf-8") as out:
            out.write("set -g status off\nset -s escape-time 0\nset -g default-terminal tmux-256color\nset -g history-limit 1000\n"
                      "set -s set-clipboard on\nset -g remain-on-exit on\nset -g mouse on\n")
        tmux_environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        # Not as a daemon: a test that is killed takes its terminal along, and with it what runs there.
        self.server = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "tmux", "-D", "-S", self.socket, "-f", settings, "-u"], env=tmux_environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + WAIT
        while not os.path.exists(self.socket) and time.monotonic() < end:
            time.sleep(0.01)
        self.tmux("-u", "new-session", "-d", "-s", "s", "-x", str(columns), "-y", str(rows), *command, env=tmux_environment)
        if not argv:
            self.wait(WAITING)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def tmux(self, *arguments, env=None):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20, env=env,
                              stdin=subprocess.DEVNULL)
        if done.returncode:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def close(self):
        try:
            self.tmux("kill-server")
        except (AssertionError, subprocess.TimeoutExpired):
            self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what is there -----------------------------------------------------------------------------------------

    def text(self, history=False):
        return self.tmux("capture-pane", "-p", "-t", "s", *(["-S", "-"] if history else []))

    def colours(self):
        """The text with its escape sequences."""
        return self.tmux("capture-pane", "-p", "-e", "-t", "s")

    def wait(self, pattern, seconds=WAIT, gone=False):
        """Until the regular expression is on the screen (gone: until it is not). Returns the screen's text."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if bool(re.search(pattern, text, re.M)) != gone:
                return text
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s {'still' if gone else 'no'} {pattern!r} on the screen:\n{text}")
            time.sleep(0.03)

    def wait_change(self, before, seconds=WAIT):
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if text != before:
                return text
            if time.monotonic() > end:
                raise AssertionError(f"nothing changed on the screen within {seconds} s:\n{text}")
            time.sleep(0.02)

    def flag(self, name):
        """One of tmux's: alternate_on, cursor_flag, mouse_any_flag, keypad_cursor_flag, pane_dead, …"""
        return self.tmux("display-message", "-p", "-t", "s", f"#{{{name}}}").strip()

    def alive(self):
        return self.flag("pane_dead") != "1"

    def pid(self):
        return int(self.flag("pane_pid"))

    def clipboard(self):
        try:
            return self.tmux("show-buffer")
        except AssertionError:
            return None

    # ---- hands -------------------------------------------------------------------------------------------------

    def press(self, *keys):
        """tmux's names: Enter, Escape, Up, NPage, C-z, F5; or a character."""
        for key in keys:
            if len(key) == 1:
                self.tmux("send-keys", "-t", "s", "-l", "--", key)
            else:
                self.tmux("send-keys", "-t", "s", key)

    def type(self, text):
        for i, line in enumerate(text.split("\n")):
            if i:
                self.press("Enter")
            if line:
                self.tmux("send-keys", "-t", "s", "-l", "--", line)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "s", "-x", str(columns), "-y", str(rows))

    def kill_pane(self):
        self.tmux("set", "-g", "remain-on-exit", "off")
        self.tmux("kill-pane", "-t", "s")

    # ---- the shell that it was started from --------------------------------------------------------------------

    def shell(self, command, seconds=WAIT):
        """Runs a command in the pane's shell (a prompt stands there) and returns what it printed."""
        self.commands += 1
        self.tmux("clear-history", "-t", "s")
        self.type(f"clear; {command}; echo; echo end-$(({self.commands}+1000))\n")
        mark = f"end-{self.commands + 1000}"
        text = self.wait(f"^{mark}$", seconds)
        return text[:text.rindex(mark)].rstrip("\n")

    def assert_sane(self, about):
        """After a program has ended: the prompt is there, and the terminal as a shell wants it."""
        self.wait(WAITING)
        wrong = [f"{name} is {found}, not {wanted}" for name, wanted in
                 (("alternate_on", "0"), ("cursor_flag", "1"), ("mouse_any_flag", "0"), ("keypad_cursor_flag", "0"))
                 if (found := self.flag(name)) != wanted]
        if wrong:
            raise AssertionError(f"{about}: {', '.join(wrong)}\n{self.text()}")
        # Readline has its own modes while it waits for a line: what the program left is what a command sees.
        modes = self.shell("stty -a")
        for mode in ("icanon", "echo", "isig", "icrnl", "opost", "onlcr"):
            if not re.search(rf"(?<![-\w]){mode}\b", modes):
                raise AssertionError(f"{about}: the terminal has no {mode}\n{modes}")
