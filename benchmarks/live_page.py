"""Record while the live page is open in a browser; print what was lost, and how soon a step is on the screen.

``python benchmarks/live_page.py --seconds 60`` starts `balancecore live` on a simulated treadmill of 16 channels at
10 kHz, opens its page in headless Chromium (through Playwright), presses Start, and looks on. The recording is then
compared with the device's own signal, frame by frame.

A step is on the screen when its number stands in the page and the picture after that begins. Toe-off is when the foot
left, by the clock of the promptest block of the recording: packets of the device (10 ms) and blocks of the acquisition
(20 ms) are in the figure. Both times are of this computer's clock.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.capture import Recording, open_device
from soak_recording import quantiles

ADDRESS = "simulated:treadmill?rate_hz=10000&analog=4&noise_n=3&jitter=0.02&left_contact_s=0.25&right_contact_s=0.235"
PATIENCE_S = 60.0
#: Notes when a number is first in the picture, and when its foot left, s of the recording.
WATCH = """
window.seen = {};
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const number = /\\d+/.exec(document.getElementById("step-number").textContent)?.[0];
  if (number === undefined || window.seen[number]) return;
  const state = JSON.parse(Bokeh.documents[0].get_model_by_name("live").state);
  const step = Object.values(state.last).find((one) => one.number === +number);
  if (!step || state.state !== "recording") return;
  window.seen[number] = [step.t_off, step.final, 0];
  requestAnimationFrame(() => { window.seen[number][2] = Date.now(); });
}).observe(document.getElementById("step-number"), {childList: true, characterData: true, subtree: true}));
"""


class Live:
    """`balancecore live` in a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self._said = folder / "said.txt"
        program = "import sys; from balancecore.cli import main; sys.exit(main())"
        words = [sys.executable, "-c", program, "live", "--device", address, "--mass", "70", "--port", "0"]
        with self._said.open("w") as out:
            self.child = subprocess.Popen([*words, "--out", str(folder / "out")], stderr=out)

    def url(self) -> str:
        """Where the page is, once it is there."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.child.poll() is None:
            if found := re.search(r"page: (http\S+)", self._said.read_text()):
                return found.group(1)
            time.sleep(0.1)
        raise SystemExit(f"the page did not come: {self._said.read_text()}")

    def end(self) -> None:
        """As Ctrl-C does."""
        self.child.send_signal(signal.SIGINT)
        self.child.wait(PATIENCE_S)


def look_on(url: str, seconds: float, chromium: str, idle: int) -> dict[str, tuple[float, bool, float]]:
    """Press Start, look for a while, press Stop: when each step was seen, by its number."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        others = [browser.new_page() for _ in range(idle)]
        for other in others:
            other.goto(url)
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.add_init_script(WATCH)
        page.goto(url)
        page.click("#start:enabled")
        page.wait_for_selector("body[data-state=recording]")
        page.wait_for_timeout(1000.0 * seconds)
        seen: dict[str, tuple[float, bool, float]] = page.evaluate("() => window.seen")
        page.click("#stop:enabled")
        page.wait_for_selector("body[data-state=ready]")
        browser.close()
    return seen


def due_s(recording: Recording) -> float:
    """When frame 0 was due, s since 1970: told by the block that was here first for its frames."""
    first, utc_s = recording.clock
    return float((utc_s[:-1] - first[1:] / recording.rate_hz).min())


def report(recording: Recording, address: str, seen: dict[str, Any]) -> list[str]:
    """Print the figures; what is wrong."""
    lost = int(recording.gaps[:, 1].sum())
    seconds = recording.frames / recording.rate_hz
    print(
        f"{len(recording.description.channels)} channels at {recording.rate_hz:g} Hz, {seconds:.1f} s: {lost} lost"
    )
    shown = [(t_off, final, at_ms) for t_off, final, at_ms in seen.values() if at_ms and t_off is not None]
    # Those of the start-up look of 2 s come together, as soon as that is over.
    after_look = [(t_off, final, at_ms) for t_off, final, at_ms in shown if t_off > 2.5]
    delays = np.array([at_ms / 1000.0 - due_s(recording) - t_off for t_off, _, at_ms in after_look])
    print(quantiles("step on the screen after toe-off", delays, 1e3, "ms"))
    provisional = sum(not final for _, final, _ in after_look)
    print(f"{provisional} of {len(after_look)} were first shown before their next touch-down")
    wrong = [] if lost == 0 else [f"{lost} frames lost"]
    if len(after_look) < seconds:
        wrong.append(f"only {len(after_look)} steps were seen")
    if address.startswith("simulated:treadmill") and not lost and not is_signal(recording.raw(), address):
        wrong.append("the file differs from the device's signal")
    return wrong


def is_signal(raw: NDArray[np.float64], address: str) -> bool:
    """Whether a recording is what the simulated device plays, from some frame on, bit for bit."""
    out = np.empty((20_000, raw.shape[1]))
    done, waited = 0, 0
    with open_device(f"{address}{'&' if '?' in address else '?'}pace=0") as device:
        device.start()
        while done < len(raw) and waited < 120.0 * device.rate_hz:
            part = out[: device.read_into(out)]
            if not done:  # noise makes every frame another one
                found = np.flatnonzero((part == raw[0]).all(axis=1))
                waited += len(part)
                if not len(found):
                    continue
                part = part[found[0] :]
            part = part[: len(raw) - done]
            if not np.array_equal(part, raw[done : done + len(part)]):
                return False
            done += len(part)
    return done == len(raw)


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("address", nargs="?", default=ADDRESS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--idle", type=int, default=0, metavar="N", help="so many browsers more look on")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", metavar="PATH")
    asked = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live = Live(asked.address, folder)
        try:
            seen = look_on(live.url(), asked.seconds, asked.chromium, asked.idle)
        finally:
            live.end()
        (path,) = (folder / "out").iterdir()
        wrong = report(Recording(path), asked.address, seen)
    for line in wrong:
        print(f"WRONG: {line}")
    print("nothing lost" if not wrong else "failed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
