"""Writing a trial as C3D, with plates of type 2 so that other programs open it.

The lab is right, forward, up; forces are the reaction in N, moments in N·mm about the centre of each plate's surface
(ORIGIN is 0). The group BALANCECORE holds what C3D has no place for, so that :func:`balancecore.read` gives the trial
back as it was, within float32.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balancecore.errors import DataError, MissingExtraError
from balancecore.io import _own
from balancecore.io._c3d_layout import MAX_COUNTED, checked, mended
from balancecore.io._file import FileBytes
from balancecore.io._record import FloatArray
from balancecore.io._save import new_file
from balancecore.plates import pose
from balancecore.trial import CHANNELS, Analog, Event, Plate

if TYPE_CHECKING:
    from balancecore.trial import Trial

__all__ = ["OWN_GROUP", "OWN_PARAMETER", "write_c3d"]

OWN_GROUP, OWN_PARAMETER = "BALANCECORE", "TRIAL"
#: A dimension of a parameter is one byte, a parameter's length two.
_MOST = 255
_PART = 250
_OWN_BYTES = 60_000
#: Half a side of the square that stands for a plate whose corners are not known.
_SQUARE_M = 0.25
_MM = 1e3
_SAME_RATE = 1e-6
_CONTEXTS = {"L": "Left", "R": "Right", "?": "General"}
_LABELS = {"contact_on": "Foot Strike", "contact_off": "Foot Off"}


def write_c3d(trial: Trial, path: str | os.PathLike[str]) -> None:
    """Write a trial to a new C3D file.

    Parameters
    ----------
    trial : Trial
        Marker rates must divide the plates' rate, and so must those of analog channels, whose values are then held.
        Channels that a plate does not measure are written as 0, and a plate without corners as a square of 0.5 m;
        descriptions in the file say so.
    path : path
        The new file. An existing one is never overwritten.

    Raises
    ------
    DataError
        What C3D has no room for: more than 255 channels, markers or events, or rates that don't divide.
    MissingExtraError
        Without ezc3d.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise MissingExtraError("writing C3D needs ezc3d: pip install 'balancecore[c3d]'") from error
    per_frame = _samples_per_frame(trial)
    n_frames = max(
        math.ceil(len(trial) / per_frame), len(trial.markers.positions_m) if trial.markers is not None else 0
    )
    made = ezc3d.c3d()
    _put_points(made, trial, n_frames, trial.rate_hz / per_frame)
    _put_analog(made, trial, n_frames * per_frame)
    _put_plates(made, trial.plates)
    _put_events(made, trial.events)
    _put_own(made, trial)
    with new_file(path) as file:
        file.write(_bytes(made))


def _bytes(made: Any) -> bytearray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.c3d"
        made.write(str(path))
        data = path.read_bytes()
    # Rates are rounded to float32, which must not make their ratio a little less than the samples a frame.
    return mended(checked(FileBytes("the file", ".c3d", data)))


def _samples_per_frame(trial: Trial) -> int:
    """Samples of the plates in a frame of markers; without markers, few enough frames for their counter."""
    if not len(trial):
        raise DataError("the trial has no frames: there is nothing to write")
    if trial.markers is not None and trial.markers.names:
        return _divided("markers", trial.rate_hz, trial.markers.rate_hz)
    least = math.ceil(len(trial) / MAX_COUNTED)
    # A number that divides the length leaves nothing to fill up.
    return next((r for r in range(least, least + 100) if len(trial) % r == 0), least)


def _divided(what: str, rate_hz: float, slower_hz: float) -> int:
    ratio = rate_hz / slower_hz
    if ratio < 1.0 - _SAME_RATE or abs(ratio - round(ratio)) > _SAME_RATE * ratio:
        raise DataError(
            f"{what}: {slower_hz:g} Hz does not divide the plates' {rate_hz:g} Hz, which C3D needs"
        )
    return round(ratio)


def _put(made: Any, group: str, name: str, kind: int, value: Any, description: str = "") -> None:
    """A parameter of ezc3d's type: -1 text, 2 integer, 4 float."""
    groups = made["parameters"]
    groups.create_group_if_needed(group)
    groups[group][name] = {"type": kind, "description": description, "is_locked": False, "value": value}


def _put_points(made: Any, trial: Trial, n_frames: int, rate_hz: float) -> None:
    names = () if trial.markers is None else trial.markers.names
    _refuse_many("markers", len(names))
    points = np.full((4, len(names), n_frames), np.nan)
    points[3] = 1.0
    residuals = np.full((1, len(names), n_frames), -1.0)
    if trial.markers is not None and names:
        positions = trial.markers.positions_m
        points[:3, :, : len(positions)] = _MM * np.moveaxis(positions, 2, 0).swapaxes(1, 2)
        residuals[0, :, : len(positions)] = np.where(np.isfinite(positions).all(axis=2), 0.0, -1.0).T
    _put(made, "POINT", "LABELS", -1, _labels(names))
    _put(made, "POINT", "RATE", 4, [float(np.float32(rate_hz))])
    _put(made, "POINT", "UNITS", -1, ["mm"])
    _put(made, "POINT", "X_SCREEN", -1, ["+X"])
    _put(made, "POINT", "Y_SCREEN", -1, ["+Z"])
    if n_frames > MAX_COUNTED:
        # As C-Motion's programs and Vicon's count; ezc3d itself leaves POINT:FRAMES at its end.
        _put(made, "POINT", "LONG_FRAMES", 4, [float(n_frames)])
        _put(made, "TRIAL", "ACTUAL_START_FIELD", 2, [1, 0])
        _put(made, "TRIAL", "ACTUAL_END_FIELD", 2, [n_frames & 0xFFFF, n_frames >> 16])
    made["data"]["points"] = points
    made["data"]["meta_points"] = {
        "residuals": residuals,
        "camera_masks": np.zeros((7, len(names), n_frames), dtype=bool),
    }


def _put_analog(made: Any, trial: Trial, n_samples: int) -> None:
    names, units, descriptions = [], [], []
    rows: list[FloatArray] = []
    for number, plate in enumerate(trial.plates, 1):
        rows += list(_plate_channels(plate))
        for channel in CHANNELS:
            names.append(f"{channel}{number}")
            units.append("N" if channel[0] == "F" else "Nmm")
            descriptions.append("not measured; 0 stands for it" if channel in plate.missing else "")
    for number, plate in enumerate(trial.plates, 1):
        if plate.saturated is not None:
            rows.append(plate.saturated.astype(np.float64))
            names.append(f"saturated{number}")
            units.append("")
            descriptions.append("1 where a raw channel was at the end of its range")
    for other in trial.analog:
        rows.append(_held(other, trial.rate_hz))
        names.append(other.name)
        units.append(other.unit)
        descriptions.append("")
    _refuse_many("analog channels", len(names))
    samples = np.full((1, len(rows), n_samples), np.nan)
    for k, row in enumerate(rows):
        if len(row) > n_samples:
            raise DataError(
                f"analog channel {names[k]!r} is longer than the plates' record, which C3D can't hold"
            )
        samples[0, k, : len(row)] = row
    _put(made, "ANALOG", "LABELS", -1, _labels(names))
    _put(made, "ANALOG", "UNITS", -1, [_ascii(unit) for unit in units])
    _put(made, "ANALOG", "DESCRIPTIONS", -1, descriptions)
    _put(made, "ANALOG", "SCALE", 4, [1.0] * len(names))
    _put(
        made,
        "ANALOG",
        "RATE",
        4,
        [
            float(made["parameters"]["POINT"]["RATE"]["value"][0])
            * (n_samples // made["data"]["points"].shape[2])
        ],
    )
    made["data"]["analogs"] = samples


def _held(channel: Analog, rate_hz: float) -> FloatArray:
    """A slower channel at the plates' rate: each value stays until the next."""
    return np.repeat(channel.values, _divided(f"analog channel {channel.name!r}", rate_hz, channel.rate_hz))


def _frame_of(plate: Plate) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Corners, rotation and centre; a square along the lab's axes where the corners are not known."""
    if plate.corners_lab is not None:
        return plate.corners_lab, *pose(plate.corners_lab)
    square = _SQUARE_M * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], dtype=np.float64)
    return plate.origin_m + square, np.eye(3), plate.origin_m


def _plate_channels(plate: Plate) -> FloatArray:
    """Fx Fy Fz Mx My Mz about the centre of the corners, in the plate's own axes, N and N·mm: (6, n)."""
    _, rotation, centre = _frame_of(plate)
    wrench = plate.wrench.copy()
    wrench[:, [CHANNELS.index(name) for name in plate.missing]] = 0.0
    force, moment = wrench[:, :3], wrench[:, 3:]
    if not np.array_equal(centre, plate.origin_m):
        moment = moment + np.cross(force, centre - plate.origin_m)
    return np.concatenate(((force @ rotation).T, _MM * (moment @ rotation).T))


def _put_plates(made: Any, plates: tuple[Plate, ...]) -> None:
    count = len(plates)
    corners = np.stack([_frame_of(plate)[0].T for plate in plates], axis=2)
    group = "FORCE_PLATFORM"
    _put(made, group, "USED", 2, [count])
    _put(made, group, "TYPE", 2, [2] * count)
    _put(made, group, "ZERO", 2, [1, 0])
    _put(made, group, "CORNERS", 4, _MM * corners)
    _put(made, group, "ORIGIN", 4, np.zeros((3, count)))
    _put(made, group, "CHANNEL", 2, np.arange(1, 6 * count + 1).reshape(count, 6).T)
    _put(made, group, "CAL_MATRIX", 4, np.zeros((0,)))
    _put(made, group, "LABELS", -1, _labels([plate.name for plate in plates]))
    told = [
        "" if plate.corners_lab is not None else "corners not known; a square of 0.5 m" for plate in plates
    ]
    _put(made, group, "DESCRIPTIONS", -1, told)


def _put_events(made: Any, events: tuple[Event, ...]) -> None:
    if not events:
        return
    _refuse_many("events", len(events))
    times = np.array([[event.time_s // 60.0, event.time_s % 60.0] for event in events]).T
    _put(made, "EVENT", "USED", 2, [len(events)])
    _put(made, "EVENT", "CONTEXTS", -1, [_CONTEXTS[event.side] for event in events])
    _put(made, "EVENT", "LABELS", -1, [_ascii(_LABELS.get(event.label, event.label)) for event in events])
    _put(made, "EVENT", "TIMES", 4, times)


def _put_own(made: Any, trial: Trial) -> None:
    """What the trial is beyond the numbers, as JSON in pieces; without its notes and options where that is too much."""
    described = _own.describe(trial)
    if len(described) > _OWN_BYTES:
        entries = json.loads(described)
        entries["notes"] = [
            "notes and reading options were left out of the C3D file, which had no room for them"
        ]
        entries["reading"] = {}
        described = json.dumps(entries)
    if len(described) > _OWN_BYTES:
        raise DataError("names, events and sources of the trial are more than a C3D file has room for")
    # Spaces at the ends of texts get lost.
    parts = [f"|{described[k : k + _PART]}|" for k in range(0, len(described), _PART)]
    _put(made, OWN_GROUP, OWN_PARAMETER, -1, parts, "what balancecore wrote this file from, as JSON")


def _refuse_many(what: str, count: int) -> None:
    if count > _MOST:
        raise DataError(f"{count} {what} are more than the {_MOST} that a C3D file names")


def _labels(names: Any) -> list[str]:
    """Labels that are all different and not empty, which ezc3d needs; the true names are in the JSON."""
    found: list[str] = []
    for name in names:
        plain = _ascii(name).strip() or "unnamed"
        label, k = plain, 2
        while label in found:
            label, k = f"{plain}_{k}", k + 1
        found.append(label)
    return found


def _ascii(text: str) -> str:
    """Text of one byte a letter, as C3D has it, and of a length that a byte can hold."""
    return "".join(c if " " <= c <= "~" else "_" for c in text)[:100]
