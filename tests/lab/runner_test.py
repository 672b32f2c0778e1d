"""The runner's own tests: a skip is no pass, a late test is a failure, and the last line counts."""
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def ran(text, *args):
    with tempfile.TemporaryDirectory() as d:
        path = pathlib.Path(d, "made_test.py")
        path.write_text("from run import Skip, alone, timeout\nimport os, subprocess, time\n" + text)
        return subprocess.run([sys.executable, str(HERE / "run.py"), *args, str(path)], capture_output=True, text=True)


def test_counts_and_output():
    done = ran("def test_a(): pass\n"
               "def test_b():\n print('said'); assert 1 == 2\n"
               "def test_c(): raise Skip('no such thing')\n")
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and lines[-1] == "1 passed, 1 failed, 1 skipped", done.stdout
    assert lines[0].startswith("ok   made_test.test_a (") and lines[-2].endswith("no such thing")
    assert "    | said" in lines and any("assert 1 == 2" in line for line in lines)


def test_all_well_is_0():
    assert ran("def test_a(): pass\ndef helper(): 1/0\n").returncode == 0


def test_nothing_to_run_is_no_success():
    done = ran("def test_a(): pass\n", "-k", "zzz")
    assert done.returncode == 1 and done.stdout == "0 passed, 0 failed, 0 skipped\n"


def test_broken_file_fails():
    done = ran("syntax error here\n")
    assert done.returncode == 1 and done.stdout.endswith("0 passed, 1 failed, 0 skipped\n")


def test_deadline_and_its_children():
    began = time.monotonic()
    done = ran("@timeout(4)\ndef test_a():\n subprocess.Popen(['sleep', '987'])\n print('half'); time.sleep(60)\n"
               "def test_b(): os.kill(os.getpid(), 11)\n", "-j", "2")
    assert time.monotonic() - began < 40
    assert "not done after 4 seconds" in done.stdout and "| half" in done.stdout, done.stdout
    assert "ended by signal 11" in done.stdout and done.stdout.endswith("0 passed, 2 failed, 0 skipped\n")
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert path.read_bytes() != b"sleep\x00987\x00", "a killed test leaves its child"
        except OSError:
            pass


def test_made_in_a_loop_and_chosen():
    text = ("def make(n):\n def test():\n  assert n\n return test\n"
            "for n in range(3): globals()[f'test_{n}'] = make(n)\n")
    assert ran(text).stdout.endswith("2 passed, 1 failed, 0 skipped\n")
    assert ran(text, "-k", "test_2").stdout.endswith("1 passed, 0 failed, 0 skipped\n")
    assert ran(text, "-l").stdout.splitlines() == [f"made_test.test_{n}" for n in range(3)]


def test_alone_has_the_machine_for_itself():
    text = ("def other(): time.sleep(0.5); assert not os.path.exists(HELD)\n"
            "@alone\ndef test_1(): open(HELD, 'w').close(); time.sleep(0.5); os.remove(HELD)\n"
            "test_2 = test_3 = test_4 = other\n"
            "@alone\ndef test_5(): assert not os.path.exists(HELD)\n")
    with tempfile.TemporaryDirectory() as d:
        done = ran(f"HELD = {d + '/held'!r}\n" + text, "-j", "5")
    assert done.stdout.endswith("5 passed, 0 failed, 0 skipped\n"), done.stdout
    assert [line.split("_test.")[1][:6] for line in done.stdout.splitlines()[-3:-1]] == ["test_1", "test_5"], done.stdout
