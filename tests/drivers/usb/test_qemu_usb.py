"""The drivers through the real libusb and Linux USB stack, in a guest; only where it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = os.environ.get("BALANCECORE_QEMU_KERNEL", "")


@pytest.mark.skipif(
    os.environ.get("BALANCECORE_QEMU") != "1",
    reason="set BALANCECORE_QEMU=1 and BALANCECORE_QEMU_KERNEL (see qemu_stage.sh): takes minutes",
)
def test_real_kernel_and_libusb():
    script = Path(__file__).with_name("qemu_stage.sh")
    done = subprocess.run([script, KERNEL, sys.executable], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "all passed" in done.stdout
