"""The tests of test_ni.py once more on the local path: ctypes, and a stand-in for libnidaqmx.so.1 compiled for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from .ni_simulators import library_environment

pytest.importorskip("nidaqmx")


def test_local_library(tmp_path, request):
    try:
        environment = library_environment(tmp_path)
    except RuntimeError as why:
        pytest.skip(str(why))
    suite = Path(__file__).with_name("test_ni.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(request.config.inipath),
    ]
    done = subprocess.run([*command, str(suite)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
