"""What only the kernel's own WireGuard can show, beside the rest of the lab's tests with LAB_ENGINE=kernel (make check-vm)."""
import os
import subprocess

from deck import PROGRAM
from lab import default_engine
from run import Skip


def test_netlink():
    """The unit test of the netlink client, of which a part needs the kernel's WireGuard."""
    if default_engine() != ["kernel"]:
        raise Skip("needs the kernel's WireGuard (make check-vm)")
    done = subprocess.run([os.path.join(os.path.dirname(PROGRAM), "tests", "netlink_test")], capture_output=True, text=True,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    print(done.stdout + done.stderr)
    assert done.returncode == 0 and "# SKIP" not in done.stdout
