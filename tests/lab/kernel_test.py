"""What only the kernel's own WireGuard can show, beside the rest of the lab's tests with LAB_ENGINE=kernel (make check-vm)."""
import os
import subprocess

from deck import PROGRAM
from lab import default_engine
from run import Skip, timeout


def unit(name):
    """A unit test's words, in TAP; some of its parts need the kernel's WireGuard."""
    if default_engine() != ["kernel"]:
        raise Skip("needs the kernel's WireGuard (make check-vm)")
    done = subprocess.run([os.path.join(os.path.dirname(PROGRAM), "tests", name)], capture_output=True, text=True,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    print(done.stdout + done.stderr)
    assert done.returncode == 0
    return done.stdout


def test_netlink():
    """The unit test of the netlink client."""
    assert "# SKIP" not in unit("netlink_test")


@timeout(300)
def test_states():
    """An interface of the kernel, brought row by row from one state to another."""
    lines = [line for line in unit("state_reach_test").splitlines() if "_kernel" in line]
    assert len(lines) == 3 and not any("SKIP" in line for line in lines), lines
