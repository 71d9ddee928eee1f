"""The examples run as a user runs them, and say what is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
#: What must stand in the output of each.
SAYS = {
    "asyncio_consumer.py": r"( +\d+\.\d{3} s  [LR]  contact \d{3} ms\n){20,}3\d steps, 0 frames lost, contact time SI",
    "embed_in_your_loop.py": r"peak \d\.\d\d BW(?s:.*)\d+ steps, \d+ triggers",
    "live_symmetry.py": r"( +\d+\.\d{3} s  [LR]  contact 2\d\d ms  symmetry index L - R .* strides .*%\n){20,}"
    r"recorded: \d\d steps, contact time SI -\d\.\d %\n20000 frames recorded, 0 lost",
    "live_steps.py": r"( +\d+\.\d{3} s  [LR]  contact 2\d\d ms\n){50,60}$",
    "numpy_only.py": r"(?s)L: 30 steps, contact time 2\d\d\.\d ms\n.*SI -?\d\.\d\d %.*60 complete contacts at 20 N",
    "send_steps_lsl.py": r"^5\d steps sent\n$",
    "send_steps_osc.py": r"^5\d steps sent to 127\.0\.0\.1:9000\n$",
    "send_steps_websocket.py": r"^ws://127\.0\.0\.1:\d+\n5\d steps sent\n$",
    "write_a_driver.py": r"Board: 4 channels at 3003\.00 Hz\n0 frames lost\n",
}
#: Packages that an example needs beyond the extras.
NEEDS = {
    "send_steps_lsl.py": "pylsl",
    "send_steps_osc.py": "pythonosc",
    "send_steps_websocket.py": "websockets",
}
#: A port of its own: the one that the example names may be taken here.
ARGUMENTS = {"send_steps_websocket.py": ["simulated:treadmill?seed=1&noise_n=3&pace=5&buffer_s=60", "0"]}
#: liblsl on this computer alone, and silent.
LSL = "[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n"


def test_every_example_is_looked_at():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_it_runs(name, tmp_path, tmp_path_factory):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    settings = tmp_path_factory.mktemp("lsl") / "lsl.cfg"
    settings.write_text(LSL)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *ARGUMENTS.get(name, ())],
        cwd=tmp_path,
        env={**os.environ, "LSLAPICFG": str(settings), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAYS[name], done.stdout), done.stdout
    assert not list(tmp_path.iterdir())
