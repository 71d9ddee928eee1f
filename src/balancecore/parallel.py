"""Kernels on several threads: they release the GIL, so that threads of one process are enough."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["parts", "side_by_side"]


def parts(n: int, threads: int, unit: int = 1) -> list[tuple[int, int]]:
    """Cut n items into at most `threads` ranges of whole units, so that where a range ends changes no result.

    Parameters
    ----------
    n : int
        Items.
    threads : int
        Ranges wanted.
    unit : int
        Every range but the last holds a multiple of this many items.

    Returns
    -------
    list of (int, int)
        First and one-past-last item of each range; one empty range for no items.
    """
    size = -(-n // (threads * unit)) * unit if n else 1
    return [(low, min(low + size, n)) for low in range(0, max(n, 1), size)]


def side_by_side(job: Callable[[int, int], object], ranges: list[tuple[int, int]]) -> None:
    """Run ``job(first, stop)`` for every range, each on a thread of its own; the first error is raised."""
    if len(ranges) == 1:
        job(*ranges[0])
        return
    with ThreadPoolExecutor(len(ranges)) as pool:
        for done in [pool.submit(job, *span) for span in ranges]:
            done.result()
