"""Damage files of any format at random and read them: every read must end in a trial or one DataError.

The suite runs a few hundred mutations of C3D files in its own process; by hand, with many in child processes, so that
a crash in ezc3d, a hang or a huge allocation is seen rather than suffered::

    python tests/io/fuzz_files.py --runs 20000 --minutes 10 FILE [FILE ...]

The endings of the files tell the formats, as with :func:`balancecore.read`.
"""

import argparse
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np

#: Values that counts and lengths are most likely to break at.
EXTREME = (0, 1, 2, 3, 5, 6, 7, 127, 128, 129, 254, 255)
WORDS = (0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-30, 1e30, 0.5)

#: Reads of one child process, and seconds after which a read, usually of far less than one, counts as hanging.
BATCH, HANG_S = 100, 60


def mutated(data: bytes, rng: np.random.Generator, head: int) -> bytes:
    """One to four changes, mostly in the first `head` bytes, where the counts are; sometimes cut short."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, min(head, len(out) - 8)))
        if rng.random() < 0.3:
            at = int(rng.integers(0, 24))
        kind = rng.integers(0, 6)
        if kind == 0:
            out[at] = int(rng.integers(0, 256))
        elif kind == 1:
            out[at] = int(rng.choice(EXTREME))
        elif kind == 2:
            struct.pack_into("<H", out, at, int(rng.choice(WORDS)))
        elif kind == 3:
            struct.pack_into("<f", out, at, float(rng.choice(FLOATS)))
        elif kind == 4:
            out[at] ^= 1 << int(rng.integers(0, 8))
        else:
            at = int(rng.integers(0, len(out) - 8))
            struct.pack_into("<f", out, at, float(rng.choice(FLOATS)))
    if rng.random() < 0.1:
        del out[int(rng.integers(1, len(out))) :]
    return bytes(out)


def head_of(data: bytes, suffix: str = ".c3d") -> int:
    """Bytes before the numbers: of a C3D file as it says, else what most headers fit in."""
    if suffix.lower() != ".c3d":
        return min(len(data), 4096)
    return max((struct.unpack_from("<H", data, 16)[0] - 1) * 512, 1024)


def _child(base: bytes, seed: int, runs: int, last: Path) -> None:
    import resource
    import signal

    import balancecore as bc

    # A read of these small files that asks for more than this has believed a count.
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    # A read that takes longer than HANG_S ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    rng = np.random.default_rng(seed)
    head = head_of(base, last.suffix)
    counts = {"read": 0, "refused": 0}
    slowest = 0.0
    for _ in range(runs):
        data = mutated(base, rng, head)
        last.write_bytes(data)
        start = time.perf_counter()
        signal.alarm(HANG_S)
        try:
            bc.read(last)
            counts["read"] += 1
        except bc.errors.DataError as error:
            if isinstance(error.__cause__, MemoryError):
                raise
            counts["refused"] += 1
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - start)
    print(f"  {counts['read']} read, {counts['refused']} refused, slowest {slowest:.2f} s", flush=True)


def main() -> int:
    """Run the mutations in child processes; what makes one die is kept beside the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop at the next batch after these"
    )
    parser.add_argument("--keep", type=Path, default=Path("fuzz_crashes"))
    parser.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args()
    asked.keep.mkdir(exist_ok=True)
    bad, stop = 0, time.monotonic() + 60.0 * asked.minutes
    bases = [(file, file.read_bytes()) for file in asked.files]
    # In turns, so that every file has its share of the time.
    turns = ((start, *base) for start in range(0, asked.runs, BATCH) for base in bases)
    for start, file, base in turns:
        if time.monotonic() > stop:
            print(f"out of time before run {start + 1} of {file.name}", flush=True)
            break
        seed = asked.seed + start
        last = asked.keep / f"last{file.suffix}"
        print(f"{file.name}, seed {seed}", flush=True)
        child = os.fork()
        if child == 0:
            try:
                _child(base, seed, min(BATCH, asked.runs - start), last)
            except BaseException as error:
                print(f"  {type(error).__name__}: {error}", flush=True)
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            bad += 1
            kept = asked.keep / f"{file.stem}_{seed}{file.suffix}"
            last.replace(kept)
            print(f"{file.name}, seed {seed}: status {status}, kept as {kept.name}", flush=True)
    print(f"{bad} batches ended badly")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
