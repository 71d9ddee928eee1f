"""How memory, time, threads and latency grow, as Markdown tables.

    python benchmarks/scaling.py                      all four
    python benchmarks/scaling.py memory threads       some: memory, linearity, threads, latency

Wall clock throughout (a latency has no other, and threads are there to shorten it), so only an idle machine with two
free cores gives figures worth keeping. BALANCECORE_BENCH_SMALL=1 shrinks everything to a smoke run.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import gc
import multiprocessing
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import balancecore as bc
from balancecore import simulate
from compare import markdown

SMALL = os.environ.get("BALANCECORE_BENCH_SMALL") == "1"
#: A "minute" of the signals, s.
MINUTE_S = 3.0 if SMALL else 60.0
MASS_KG, SPEED_M_S = 70.0, 3.0
RUNS = 1 if SMALL else 5
MB = 1e6


def simulated(minutes: float, rate_hz: float, seed: int = 1) -> bc.Trial:
    sim = simulate.treadmill(
        duration_s=minutes * MINUTE_S,
        rate_hz=rate_hz,
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        noise_n=3.0,
        step_jitter=0.02,
        seed=seed,
    )
    return sim.trial


def frames_of(trial: bc.Trial) -> Any:
    return np.hstack([plate.wrench for plate in trial.plates])


def stream_for(trial: bc.Trial) -> bc.GaitStream:
    return bc.GaitStream(trial.layout, rate_hz=trial.rate_hz, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, n_boot=0)


def analyse(trial: bc.Trial, threads: int = 1) -> Any:
    return bc.analyze_gait(trial, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, threads=threads)


def wall(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# ---------------------------------------------------------------------------------------------------------------
# Memory


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a fresh process, so that nothing that was freed before can hide what is taken."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def resident(name: str) -> float:
    """A figure of /proc/self/status, bytes: VmRSS now, VmHWM the most so far. NaN where there is no such file."""
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.exists() else ():
        if line.startswith(f"{name}:"):
            return 1024.0 * float(line.split()[1])
    return float("nan")


def extra_memory(rate_hz: float) -> tuple[int, int, float]:
    """Trial's size, then most memory on top of it in `analyze_gait`: as NumPy and Python count it, and resident."""
    analyse(simulated(8.0 / MINUTE_S, 1000.0))  # imports and caches
    trial = simulated(10.0, rate_hz)
    gc.collect()
    size = sum(plate.wrench.nbytes for plate in trial.plates)
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5", encoding="ascii")  # VmHWM starts again from VmRSS
    before = resident("VmRSS")
    analyse(trial)
    grown = resident("VmHWM") - before
    tracemalloc.start()
    analyse(trial)
    counted = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size, counted, grown


def stream_memory(marks: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Contacts so far, memory held and most memory while a stream runs at 1 kHz, after each mark in minutes."""
    frames = frames_of(simulated(marks[-1], 1000.0))
    found, steps, pushed = [], 0, 0
    tracemalloc.start()
    stream = bc.GaitStream(
        bc.Layout.split_belt(), rate_hz=1000.0, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, n_channels=12, n_boot=0
    )
    for mark in marks:
        stop = round(mark * MINUTE_S * 1000.0)
        for k in range(pushed, stop, 100):
            steps += len(stream.push(frames[k : k + 100]))
        pushed = stop
        gc.collect()
        found.append((steps, *tracemalloc.get_traced_memory()))
        tracemalloc.reset_peak()
    tracemalloc.stop()
    return found


def memory() -> str:
    whole = [["10 min × 12 channels", "trial, MB", "on top, MB", "share", "on top resident, MB", "share"]]
    for rate in (1000, 10000):
        size, counted, grown = in_child(extra_memory, float(rate))
        row = [size / MB, counted / MB, counted / size, grown / MB, grown / size]
        whole.append(
            [f"{rate} Hz", *(f"{value:.{d}f}" for value, d in zip(row, (1, 1, 2, 1, 2), strict=True))]
        )
    marks = (1, 10, 60)
    running = in_child(stream_memory, marks)
    rows = [
        ["`GaitStream`, 1 kHz, after", "steps", "held, kB", "most since the row above, kB", "kB a step since"]
    ]
    before: tuple[int, int, int] | None = None
    for mark, now in zip(marks, running, strict=True):
        steps, held, most = now
        growth = "–" if before is None else f"{(held - before[1]) / 1e3 / (steps - before[0]):.2f}"
        rows.append([f"{mark} min", str(steps), f"{held / 1e3:.0f}", f"{most / 1e3:.0f}", growth])
        before = now
    return f"{markdown(whole)}\n\n{markdown(rows)}"


# ---------------------------------------------------------------------------------------------------------------
# Linearity


def linearity() -> str:
    minutes = (1, 5, 20, 60)
    taken = []
    for length in minutes:
        trial = simulated(length, 1000.0)
        taken.append(min(wall(lambda: analyse(trial)) for _ in range(RUNS)))  # noqa: B023
    slope, intercept = np.polyfit(minutes, taken, 1, w=1.0 / np.array(taken))
    exponent = np.polyfit(np.log(minutes), np.log(taken), 1)[0]
    last = np.log(taken[-1] / taken[-2]) / np.log(minutes[-1] / minutes[-2])
    rows = [["signal at 1 kHz", "time", "a minute of signal", "straight line"]]
    for length, seconds in zip(minutes, taken, strict=True):
        line = intercept + slope * length
        rows.append(
            [
                f"{length} min",
                f"{1e3 * seconds:.1f} ms",
                f"{1e3 * seconds / length:.2f} ms",
                f"{1e3 * line:.1f} ms",
            ]
        )
    return (
        f"{markdown(rows)}\n\nTime grows with length to the power {exponent:.2f} ({last:.2f} from {minutes[-2]} to "
        f"{minutes[-1]} min); line: {1e3 * intercept:.1f} ms + {1e3 * slope:.2f} ms a minute."
    )


# ---------------------------------------------------------------------------------------------------------------
# Threads


def push_all(trial: bc.Trial, frames: Any, size: int) -> None:
    stream = stream_for(trial)
    for k in range(0, len(frames), size):
        stream.push(frames[k : k + size])


def at_once(calls: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def best_of(one: Callable[[], Any], two: Callable[[], Any]) -> tuple[float, float]:
    """Shortest times of two calls that take turns."""
    pairs = [(wall(one), wall(two)) for _ in range(RUNS)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def threads() -> str:
    rows = [["", "one thread, ms", "two threads, ms", "faster"]]

    def add(title: str, one: float, two: float) -> None:
        rows.append([title, f"{1e3 * one:.0f}", f"{1e3 * two:.0f}", f"{one / two:.2f}"])

    for rate in (1000, 10000):
        trial = simulated(10.0, float(rate))
        one, two = best_of(lambda: analyse(trial), lambda: analyse(trial, threads=2))  # noqa: B023
        add(f"`analyze_gait`, 10 min, {rate} Hz: `threads=1`, `threads=2`", one, two)
    for rate in (1000, 10000):
        trial = simulated(1.0, float(rate))
        frames = frames_of(trial)
        for size in (10, 100, 1000):
            call = lambda: push_all(trial, frames, size)  # noqa: B023, E731
            one, two = best_of(lambda: (call(), call()), lambda: at_once([call, call]))  # noqa: B023
            add(
                f"two streams, 1 min in blocks of {size}, {rate} Hz: in turn, at once",
                one,
                two,
            )
    return markdown(rows)


# ---------------------------------------------------------------------------------------------------------------
# Latency


class Latency(NamedTuple):
    """Parts of the way of one event from the foot to the program, s.

    Attributes
    ----------
    confirm : float
        From the crossing of the level to the frame that confirmed it: filter and hold, the same on any machine.
    wait : float
        From that frame's time to its block being full and pushed: the acquisition's part.
    compute : float
        From the push into the ring buffer to the event in the consumer's hands.
    """

    confirm: float
    wait: float
    compute: float


Blocks = Iterator[Any]


def paced(rate_hz: float, size: int, seconds: float) -> Blocks:
    """The first frame's time, then each block when its last frame is due."""
    frames = frames_of(simulated(seconds / MINUTE_S, rate_hz))
    start = time.perf_counter()
    yield start
    for k in range(0, len(frames), size):
        block = frames[k : k + size]
        rest = start + (k + len(block) - 1) / rate_hz - time.perf_counter()
        if rest > 0.0:
            time.sleep(rest)
        yield block


def played(rate_hz: float, size: int, seconds: float) -> Blocks:
    """The same from the simulated device, which has its frames ready every 10 ms."""
    signal = f"rate_hz={rate_hz:g}&mass_kg={MASS_KG:g}&speed_m_s={SPEED_M_S:g}&noise_n=3&jitter=0.02&seed=1"
    with bc.open_device(f"simulated:treadmill?{signal}") as device:
        room = np.empty((size, 12))
        device.start()
        yield time.perf_counter()
        while device.frames_read < seconds * rate_hz:
            yield room[: device.read_into(room)]


def produce(blocks: Blocks, ring: bc.RingBuffer, ready: threading.Semaphore) -> tuple[float, Any, Any]:
    """Push all blocks; the first frame's time, and for each block how many frames had come with it, and when."""
    start, ends, times = next(blocks), [0], []
    for block in blocks:
        times.append(time.perf_counter())
        ends.append(ends[-1] + len(block))
        ring.push(block)
        ready.release()
    return start, np.array(ends[1:]), times


def latencies(blocks: Blocks, rate_hz: float) -> list[Latency]:
    """A producer thread at the signal's own pace, the ring buffer, and a stream in this thread."""
    stream = bc.GaitStream(
        bc.Layout.split_belt(),
        rate_hz=rate_hz,
        n_channels=12,
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        n_boot=0,
        tare=np.zeros(12),
    )
    ring, ready = bc.RingBuffer(round(rate_hz), 12), threading.Semaphore(0)
    room = np.empty((round(rate_hz), 12))
    seen: list[tuple[bc.ContactEvent, float]] = []
    with ThreadPoolExecutor(1) as pool:
        producer = pool.submit(produce, blocks, ring, ready)
        producer.add_done_callback(lambda _: ready.release())
        while not (producer.done() and not ring.available):
            ready.acquire()
            stream.push(room[: ring.pop_into(room)[0]])
            now = time.perf_counter()
            seen += [(event, now) for event in stream.events]
        start, ends, times = producer.result()
    found = []
    for event, available in seen:
        handed_over = times[np.searchsorted(ends, round(event.confirmed_s * rate_hz), side="right")]
        wait = handed_over - (start + event.confirmed_s)
        found.append(Latency(event.confirmed_s - event.time_s, wait, available - handed_over))
    return found


#: Where blocks come from, rate in Hz, most frames a block.
SOURCES = ((paced, 1000, 1), (paced, 10000, 10), (played, 1000, 10), (played, 10000, 100))[
    :: 2 if SMALL else 1
]


def latency() -> str:
    parts = ("confirmation", "wait for the block", "computation", "foot to program")
    rows = [["blocks", "events", *(f"{part}, ms" for part in parts)]]
    for source, rate, size in SOURCES:
        found = latencies(source(float(rate), size, MINUTE_S), float(rate))
        columns = np.array([(*way, sum(way)) for way in found]).T
        cells = [f"{1e3 * np.median(c):.2f} ({1e3 * np.percentile(c, 99):.2f})" for c in columns]
        name = "simulated device, " if source is played else ""
        rows.append([f"{name}{size} at {rate} Hz", str(len(found)), *cells])
    return f"Median (99th percentile) over the contact events of a minute:\n\n{markdown(rows)}"


PARTS = {"memory": memory, "linearity": linearity, "threads": threads, "latency": latency}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all, if none is named")
    asked = parser.parse_args().parts
    if unknown := set(asked) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    print("\n\n".join(PARTS[name]() for name in asked or PARTS))


if __name__ == "__main__":
    main()
