"""The examples run as a user runs them, and say what is true."""

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
    "numpy_only.py": r"(?s)L: 30 steps, contact time 2\d\d\.\d ms\n.*SI -?\d\.\d\d %.*60 complete contacts at 20 N",
    "write_a_driver.py": r"Board: 4 channels at 3003\.00 Hz\n0 frames lost\n",
}


def test_every_example_is_looked_at():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_it_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAYS[name], done.stdout), done.stdout
    assert not list(tmp_path.iterdir())
