"""What the live page shows: the newest state and a bounded history, however many browsers look at it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from balancecore.errors import DataError

__all__ = ["SHOWN_S", "VERSION", "Hub"]

#: Of the lines between the two processes.
VERSION = 1
#: Force that a browser shows, s; a little more is kept for one that comes late, but no more samples than these.
SHOWN_S, SPARE_S = 6.0, 1.0
MOST_SAMPLES = 4000
#: Steps that are kept: the last of each limb is shown, and a final step takes the place of an earlier one.
MOST_STEPS = 64
#: Of an update, what is shown as it comes.
_AS_IT_COMES = (
    "trial",
    "state",
    "message",
    "device_state",
    "elapsed_s",
    "file",
    "frames",
    "lost",
    "device_lost",
    "buffer",
    "markers",
    "rate_by_host_hz",
    "cadence",
    "symmetry",
)


class Hub:
    """Fed by one thread, read by others.

    Parameters
    ----------
    hello : mapping
        The first line of the program that captures: device, plates, metrics, targets.

    Raises
    ------
    DataError
        It is of another version.
    """

    def __init__(self, hello: Mapping[str, Any]) -> None:
        if hello.get("version") != VERSION:
            raise DataError(
                f"version {hello.get('version')!r} of the lines that feed the page, not {VERSION}"
            )
        self.hello = dict(hello)
        self._lock = threading.Lock()
        self._version = 0
        self._shown: dict[str, Any] = dict.fromkeys(_AS_IT_COMES)
        self._steps: deque[dict[str, Any]] = deque(maxlen=MOST_STEPS)
        #: Samples that are kept.
        self.kept = MOST_SAMPLES
        self._samples: deque[tuple[float, ...]] = deque(maxlen=self.kept)
        # Numbers of samples, from 1 on; 0 is before all of them.
        self._next_sample = self._first_sample = 1
        self._at_s = time.monotonic()

    def take(self, update: Mapping[str, Any]) -> None:
        """One update; what it doesn't name stays as it is."""
        with self._lock:
            if "trial" in update and update["trial"] != self._shown["trial"]:
                self._steps.clear()
                self._shown.update(cadence=None, symmetry=None)
            self._shown.update({key: update[key] for key in _AS_IT_COMES if key in update})
            for step in update.get("steps") or ():
                self._take_step(step)
            if update.get("trace"):
                self._take_trace(update["trace"])
            self._at_s = time.monotonic()
            self._version += 1

    def _take_step(self, step: dict[str, Any]) -> None:
        for k, known in enumerate(self._steps):
            if known["number"] == step["number"]:
                self._steps[k] = step
                return
        self._steps.append(step)

    def _take_trace(self, trace: Mapping[str, Any]) -> None:
        first_s, step_s = trace["first_s"], trace["step_s"]
        kept = min(MOST_SAMPLES, math.ceil((SHOWN_S + SPARE_S) / step_s))
        if kept != self.kept:
            self.kept, self._samples = kept, deque(self._samples, maxlen=kept)
        plates = [[math.nan if v is None else v for v in fz_n] for fz_n in trace["fz_n"]]
        last_s = self._samples[-1][0] if self._samples else first_s
        if first_s < last_s:
            # Time began anew: the old samples belong to another recording.
            self._samples.clear()
            self._next_sample += 1
            self._first_sample = self._next_sample
        elif self._samples and first_s > last_s + 1.5 * step_s:
            self._add((last_s + step_s, *(math.nan for _ in plates)))  # no line across what is missing
        for k, forces in enumerate(zip(*plates, strict=True)):
            self._add((first_s + k * step_s, *forces))

    def _add(self, sample: tuple[float, ...]) -> None:
        self._samples.append(sample)
        self._next_sample += 1

    def shown(self) -> tuple[int, dict[str, Any]]:
        """What has to be on the page, and a number that is another one after every update.

        Returns
        -------
        version : int
        shown : dict
            Plain values: the newest of each update; ``last`` and ``final``, the last step and the last final step of
            each limb; ``now_s``, time of the newest sample; ``silent_s``, how long nothing has come.
        """
        with self._lock:
            last = {step["side"]: step for step in self._steps}
            final = {step["side"]: step for step in self._steps if step["final"]}
            return self._version, {
                **self._shown,
                "last": last,
                "final": final,
                "now_s": self._samples[-1][0] if self._samples else None,
                "silent_s": round(time.monotonic() - self._at_s, 1),
            }

    def samples(self, since: int) -> tuple[int, bool, list[tuple[float, ...]]]:
        """Samples from number `since` on, as far as they are kept.

        Parameters
        ----------
        since : int
            What the call before returned as `next`; 0 at first.

        Returns
        -------
        next : int
            Number of the sample that will come next.
        whole : bool
            Something before these samples is missing or of another recording, so they stand alone.
        samples : list of tuple
            Time in s, then Fz of each plate in N; NaN in gaps.
        """
        with self._lock:
            kept_from = max(self._first_sample, self._next_sample - len(self._samples))
            whole = since < kept_from
            skip = 0 if whole else since - kept_from
            return self._next_sample, whole, list(islice(self._samples, skip, None))
