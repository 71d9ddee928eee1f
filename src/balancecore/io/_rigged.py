"""A table of what an amplifier gave, in volts or counts, through a rig file (docs/rig.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from balancecore.io import _clock
from balancecore.io._columns import find_column, find_time, same_name, unit_of
from balancecore.io._file import TextFile
from balancecore.io._record import Options, RawFile, RawPlate
from balancecore.io._table import Table
from balancecore.io._units import same_unit

if TYPE_CHECKING:
    from balancecore.capture.rig import Rig
    from balancecore.trial import Trial

__all__ = ["is_used", "raw_of", "read_rigged"]


def read_rigged(
    text: TextFile, table: Table, options: Options, rig: Rig, header_hz: float | None = None
) -> RawFile:
    """Plates and other channels of a table whose columns are called as the rig's channels.

    Columns that the rig does not use may be missing or have any name; they are no part of the trial.

    Raises
    ------
    DataError
        A channel that is no column or has another unit, or options that say what the rig says.
    """
    if options.columns is not None or options.units.named.keys() - {"time"}:
        raise text.error("units= and columns= have no use here: the rig says what the channels are")
    time = find_time(table)
    clock = _clock.settle(
        text,
        table.values,
        None if time is None else table.values[:, time] * options.units.to_si("time", unit_of(table, time)),
        first_line=table.first_line,
        given_hz=options.rate_hz,
        header_hz=header_hz,
        resample=options.resample,
    )
    frames = np.full((len(clock.values), len(rig.channels)), np.nan)
    for column, name, unit in _used(rig):
        index = find_column(text, table, name, f"the rig wants the channel {name!r}")
        stated = unit_of(table, index)
        if stated is not None and unit is not None and not same_unit(stated, unit):
            raise text.error(f"column {index + 1} ({name}) is in {stated}, the rig wants {unit or 'no unit'}")
        frames[:, column] = clock.values[:, index]
    return raw_of(rig.trial(frames, clock.rate_hz, notes=clock.notes))


def is_used(rig: Rig, name: str) -> bool:
    """Whether a channel of this name is one that means something to the rig."""
    return any(same_name(name, wanted) for _, wanted, _ in _used(rig))


def _used(rig: Rig) -> list[tuple[int, str, str | None]]:
    """Column of the device, name and unit (None: any) of each channel that means something."""
    used: list[tuple[int, str, str | None]] = []
    for plate in rig.plates:
        used += zip(plate.columns, plate.channels, plate.units, strict=True)
    return used + [(entry.column, entry.channel, entry.raw_unit) for entry in rig.analog]


def raw_of(trial: Trial) -> RawFile:
    """A calibrated trial as a reader gives its file."""
    plates = [
        RawPlate(
            plate.wrench,
            plate.missing,
            plate.name,
            plate.origin_m,
            plate.corners_lab,
            plate.model,
            plate.saturated,
            plate.skew_s,
            plate.side,
        )
        for plate in trial.plates
    ]
    return RawFile(
        plates,
        trial.rate_hz,
        axes=("x", "y", "z") if trial.lateral_known else None,
        notes=list(trial.notes),
        analog=list(trial.analog),
        events=list(trial.events),
    )
