"""A recording that plays as if it were measured now: ``replay:trial.tdms?speed=1&loop=no``.

The path names any file that `balancecore.read` reads. After the last frame every read raises `EndOfDataError`, which
is a `DeviceLostError`: whoever records keeps what came before. With ``loop=yes`` frame 0 follows the last one, and
the frames are counted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Channel, Description, Discovery, Option
from balancecore.errors import (
    DataError,
    DeviceNotFoundError,
    DriverUnavailableError,
    EndOfDataError,
    MissingExtraError,
)
from balancecore.io import read
from balancecore.trial import CHANNELS, Analog, Trial

from ._played import PlayedDevice

__all__ = ["ReplayDevice"]


class ReplayDevice(PlayedDevice):
    """Plays the plates of a recording, and its analog channels of the same rate.

    Frames in which nothing was measured (all channels NaN) are told as lost, as they were when they were recorded.
    """

    SCHEMES: ClassVar[tuple[str, ...]] = ("replay",)
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("speed", 1.0, "seconds of the recording per second; 0: as fast as frames are asked for"),
        Option("loop", False, "whether to begin again at the end"),
        Option("rate_hz", None, "sampling rate, where the file does not say", kind=float),
        Option("sides", None, "foot on each plate, such as L,R", kind=str),
        Option("convention", None, "what the file holds: reaction or action", kind=str),
        Option("axes", None, "file axes that point right, forward and up, such as -x,-y,z", kind=str),
    )

    _frames: NDArray[np.float64]
    _empty: NDArray[np.bool_]

    @classmethod
    def discover(cls) -> Discovery:
        """Nothing: any readable file can be named."""
        return Discovery("replay")

    def __str__(self) -> str:
        return f"replay:{Path(self.address.path).name}"

    def _open(self) -> Description:
        path = Path(self.address.path)
        if not path.is_file() or self.address.host:
            raise DeviceNotFoundError(f"{self}: there is no such file")
        if self.options["speed"] < 0:
            raise DataError(f"{self}: speed={self.options['speed']:g}: a recording can't be played backwards")
        try:
            trial = read(path, **self._reading())
        except MissingExtraError as error:
            raise DriverUnavailableError(f"{self}: {error}") from error
        analog = [c for c in trial.analog if c.rate_hz == trial.rate_hz and len(c.values) == len(trial)]
        columns = [plate.wrench for plate in trial.plates] + [c.values[:, None] for c in analog]
        self._frames = np.hstack(columns)
        self._empty = np.asarray(np.isnan(self._frames).all(axis=1))
        if self._empty.all():
            raise DataError(f"{self}: nothing was measured in this recording")
        # Where a stretch with values, or one without, ends.
        self._ends = np.append(np.flatnonzero(np.diff(self._empty)) + 1, len(self._empty))
        return Description(
            f"replay of {path.name}",
            trial.sources[0].sha256[:12] if trial.sources else "",
            trial.rate_hz,
            _channels(trial, analog),
            simulated=True,
            layout=trial.layout,
            notes=(*trial.notes, *self._told(trial, analog)),
        )

    def _reading(self) -> dict[str, Any]:
        """The options of `balancecore.read`."""
        lists = {name: self.options[name] and self.options[name].split(",") for name in ("sides", "axes")}
        return {"rate_hz": self.options["rate_hz"], "convention": self.options["convention"], **lists}

    def _told(self, trial: Trial, played: Sequence[Analog]) -> list[str]:
        left = [c.name for c in trial.analog if c not in played]
        return [f"not played, because their rate is another one: {', '.join(left)}"] if left else []

    def _begin(self) -> float:
        self._at = 0
        return float(self.options["speed"])

    def _ready(self, due: int) -> int:
        due -= self._next
        while due > 0:
            if self._at == len(self._frames):
                if not self.options["loop"]:
                    raise EndOfDataError(f"{self}: the recording has come to its end")
                self._at = 0
            n = min(due, int(self._ends[np.searchsorted(self._ends, self._at, "right")]) - self._at)
            if not self._empty[self._at]:
                return n
            self._at += n
            self._next += n
            due -= n
            self._lose(n)
        return 0

    def _fill(self, out: NDArray[np.float64]) -> None:
        out[:] = self._frames[self._at : self._at + len(out)]
        self._at += len(out)

    def _close(self) -> None:
        self._frames = np.empty((0, 0))


def _channels(trial: Trial, analog: Sequence[Analog]) -> tuple[Channel, ...]:
    """Names that differ, whatever the file calls its plates and channels."""
    names = [plate.name or f"plate {k + 1}" for k, plate in enumerate(trial.plates)]
    if len(set(names)) < len(names):
        names = [f"plate {k + 1}" for k in range(len(names))]
    columns = [(f"{name} {c}", "N" if c[0] == "F" else "N*m") for name in names for c in CHANNELS]
    taken = {name for name, _ in columns}
    for k, channel in enumerate(analog):
        name = channel.name or "analog"
        name = name if name not in taken else f"{name} ({k + 1})"
        taken.add(name)
        columns.append((name, channel.unit))
    return tuple(Channel(name, unit) for name, unit in columns)
