#!/usr/bin/python3
"""Run the lab's tests: run.py [-k SUBSTRING] [-j N] [-l] [FILE_test.py …]

Every function test_* of the files (default: all *_test.py beside this one) runs in a process of its own, with a
deadline (120 seconds, or what @timeout(n) says), and passes when it returns; those marked @alone come last, one at a
time.  A test that cannot run here raises Skip("why"); that is no pass.  Many of them measure times, which a full machine
spoils: one that failed beside others is shown, and runs once more with the machine to itself; what that run says counts, and
the end names all that needed it.  The last line is `N passed, N failed, N skipped`; the status is 1 when any failed, and
when there was nothing to run.
"""
import argparse
import importlib.util
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
SKIPPED = 77                 # exit status of a test's process, as automake has it
TIMEOUT = 120
SLOWER = 3 if os.environ.get("WGDECK_GUEST") else 1      # emulated, see tests/vm


class Skip(Exception):
    """This test cannot run here; say why."""


def timeout(seconds):
    """Decorator: the test may take this long."""
    def mark(f):
        f.timeout = seconds
        return f
    return mark


def alone(f):
    """Decorator: no other test runs at the same time (it changes what belongs to the machine)."""
    f.alone = True
    return f


def load(path):
    # Tests say `from run import Skip`; that must be this very module and not a second one named __main__.
    sys.modules.setdefault("run", sys.modules[__name__])
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def tests_of(module):
    """Their names, in the order of their definition (also of those that a file makes in a loop)."""
    return [n for n, f in vars(module).items() if n.startswith("test_") and callable(f)]


def one(path, name):
    """In the child: run this test."""
    try:
        getattr(load(pathlib.Path(path)), name)()
    except Skip as e:
        print(f"skip: {e}")
        return SKIPPED
    except Exception:
        traceback.print_exc()
        return 1
    return 0


class Running:
    def __init__(self, path, test, limit, others):
        self.path, self.test, self.name, self.limit = path, test, f"{path.stem}.{test}", limit
        self.others = others            # whether other tests run at the same time
        self.log = tempfile.TemporaryFile()
        self.began = time.monotonic()
        # Unbuffered, or a test that is killed takes its last words along.
        self.process = subprocess.Popen([sys.executable, "-u", str(HERE / "run.py"), "--one", str(path), test],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.fd = os.pidfd_open(self.process.pid)

    def ended(self):
        # Not reaped yet: its pid, and so its process group, stays its own until finish() has killed the group.
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def over(self):
        return time.monotonic() - self.began > self.limit

    def finish(self):
        """("ok" | "FAIL" | "skip", what it printed)"""
        late = not self.ended()
        try:
            # All of its session, whether it ended well or not: no test leaves processes to the next.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = self.process.wait()
        os.close(self.fd)
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        if late:
            return "FAIL", text + f"\nnot done after {self.limit} seconds"
        if status == SKIPPED:
            return "skip", text
        return ("ok" if status == 0 else "FAIL"), text + (f"\nended by signal {-status}" if status < 0 else "")


def report(r, counts, again):
    """Show how it ended, and count it.  True: it is to run once more, alone."""
    verdict, text = r.finish()
    retry = verdict == "FAIL" and r.others and again is not None
    if retry:
        again.append(r.name)
    else:
        counts[verdict] += 1
    why = ""
    if verdict == "skip":
        why = " " + next((line[6:] for line in text.splitlines() if line.startswith("skip: ")), "")
    print(f"{verdict:4} {r.name} ({time.monotonic() - r.began:.1f} s){why}", flush=True)
    if verdict == "FAIL":
        print("".join(f"    | {line}\n" for line in text.splitlines()), end="", flush=True)
    if retry:
        print(f"     {r.name} runs once more, alone, at the end", flush=True)
    return retry


def main():
    if sys.argv[1:2] == ["--one"]:
        return one(*sys.argv[2:4])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-k", metavar="SUBSTRING", help="only tests whose file.name contains it")
    p.add_argument("-j", metavar="N", type=int, default=int(os.environ.get("LAB_JOBS", "1")), help="so many at once (default: $LAB_JOBS, or 1)")
    p.add_argument("-l", action="store_true", help="list, do not run")
    p.add_argument("files", nargs="*", type=pathlib.Path)
    a = p.parse_args()
    queue, counts = [], {"ok": 0, "FAIL": 0, "skip": 0}
    for path in a.files or sorted(HERE.glob("*_test.py")):
        path = path.resolve()
        try:
            module = load(path)
        except Exception:
            counts["FAIL"] += 1
            print(f"FAIL {path.stem} (cannot be loaded)\n{traceback.format_exc()}", flush=True)
            continue
        queue += [(path, t, getattr(module, t)) for t in tests_of(module) if not a.k or a.k in f"{path.stem}.{t}"]
    if a.l:
        print("\n".join(f"{path.stem}.{t}" for path, t, _ in queue))
        return 0
    running, again = [], []
    queue.sort(key=lambda entry: getattr(entry[2], "alone", False))    # stable
    # Ended by ^C or by SIGTERM: each running test is killed, and its lab with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while queue or running:
            while queue and len(running) < (1 if getattr(queue[0][2], "alone", False) else max(1, a.j)):
                path, name, function = queue.pop(0)
                running.append(Running(path, name, getattr(function, "timeout", TIMEOUT) * SLOWER,
                                       a.j > 1 and not getattr(function, "alone", False) and f"{path.stem}.{name}" not in again))
            select.select([r.fd for r in running], [], [], 0.5)
            for r in [r for r in running if r.ended() or r.over()]:
                running.remove(r)
                if report(r, counts, again):
                    function = alone(timeout(r.limit / SLOWER)(lambda: None))
                    queue.append((r.path, r.test, function))
    finally:
        for r in running:
            r.finish()
    if again:
        print(f"failed beside others, and ran once more alone: {', '.join(again)}")
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] or not sum(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
