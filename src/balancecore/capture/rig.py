"""What the channels of a device mean: the rig file.

A rig is one device, the plates that its channels show, and whatever else is wired to it. :func:`load_rig` reads it from
a TOML file (docs/rig.md); :meth:`Rig.for_device` makes one for devices that give wrenches themselves. Raw frames go in,
as the device gives them; wrenches, analog values and trials come out. Nothing here knows threads, files or time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore.capture.treadmill import BeltState, belt_values
from balancecore.errors import DataError, MissingExtraError, RigError
from balancecore.plates import MAX_OFFSET_N, TARE_S, PlateModel, Tare
from balancecore.trial import Analog, Layout, Trial, check_rate

if TYPE_CHECKING:
    from balancecore.capture.device import Description, Device

__all__ = ["Rig", "RigAnalog", "RigPlate", "RigTare", "RigTreadmill", "load_rig"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: SD of a force over the window of a tare, N, from which on something is wrong with the plate or its wiring: the belts
#: of a treadmill shake it by a few N to some tens.
NOISY_N = 50.0


@dataclass(frozen=True, eq=False)
class RigPlate:
    """A plate of a rig.

    Attributes
    ----------
    name : str
    side : {"L", "R", "?"}
    model : PlateModel
        As it lies in the lab (right, forward, up).
    columns : tuple of int
        Columns of the device that are its channels, in the model's order.
    channels, units : tuple of str
        Names of these columns, and the units they must have.
    max_tare_n : float
        Largest offset that a tare takes for an offset.
    skew_s : float or None
        Time between the first and the last of its channels, where the device tells it (see `Rig.bind`).
    """

    name: str
    side: str
    model: PlateModel
    columns: tuple[int, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    max_tare_n: float = MAX_OFFSET_N
    skew_s: float | None = None

    def raw(self, frames: NDArray[np.floating]) -> NDArray[np.floating]:
        """Its columns of the device's frames: a view where they follow one another."""
        first, count = self.columns[0], len(self.columns)
        if self.columns == tuple(range(first, first + count)):
            return frames[:, first : first + count]
        return frames[:, self.columns]


@dataclass(frozen=True)
class RigAnalog:
    """A channel beside the plates: its values are ``scale · (raw - offset)``.

    Attributes
    ----------
    name, unit : str
        Of the values.
    scale, offset : float
        `offset` is in the device's unit.
    column : int
        Column of the device.
    channel : str
        Name of that column.
    raw_unit : str or None
        Unit that the column must have; None: any.
    """

    name: str
    unit: str
    scale: float
    offset: float
    column: int
    channel: str
    raw_unit: str | None = None


@dataclass(frozen=True)
class RigTreadmill:
    """What tells how fast the belts run.

    Attributes
    ----------
    speed : tuple of str
        Names of the analog channels with the speed of each belt.
    incline : str or None
        Name of the analog channel with the incline.
    address : str or None
        Of a treadmill that tells both over the network (see :func:`balancecore.capture.open_treadmill`).
    """

    speed: tuple[str, ...] = ()
    incline: str | None = None
    address: str | None = None


@dataclass(frozen=True, eq=False)
class RigTare:
    """What every channel of a device shows while nothing is on the plates, in its own unit.

    Attributes
    ----------
    channels : tuple of str
    mean, sd : tuple of float
        One a channel.
    n_frames : int
        Finite frames in the window.
    rate_hz : float
    """

    channels: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    n_frames: int
    rate_hz: float

    def check(self, rig: Rig) -> None:
        """Whether these can be the zeros of a rig.

        Raises
        ------
        DataError
            Other channels, less than 0.5 s, a loaded plate, or one that is too noisy.
        """
        if self.channels != rig.channels:
            raise DataError("the tare is of other channels than the rig has")
        if self.n_frames < max(TARE_S * self.rate_hz, 2):
            raise DataError(
                f"the tare has {self.n_frames / self.rate_hz:.2f} s of finite frames; {TARE_S} s are needed"
            )
        for plate in rig.plates:
            columns = list(plate.columns)
            mean, sd = np.array(self.mean)[columns], np.array(self.sd)[columns]
            offset = float(np.linalg.norm(plate.model.matrix[:3] @ (mean - plate.model.zero)))
            if not offset <= plate.max_tare_n:
                raise DataError(
                    f"{plate.name}: {offset:.0f} N in the tare: the plate is loaded (max_tare_n={plate.max_tare_n:g})"
                )
            # As if the channels' noise had nothing in common.
            noise = float(np.linalg.norm(plate.model.matrix[:3] * sd, axis=1).max())
            if not noise <= NOISY_N:
                raise DataError(
                    f"{plate.name}: {noise:.0f} N of noise (SD) in the tare; at most {NOISY_N:g} N are plausible"
                )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "channels": list(self.channels),
            "mean": list(self.mean),
            "sd": list(self.sd),
            "n_frames": self.n_frames,
            "rate_hz": self.rate_hz,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; DataError where it can't have come from there."""
        try:
            tare = cls(
                tuple(str(name) for name in data["channels"]),
                tuple(float(v) for v in data["mean"]),
                tuple(float(v) for v in data["sd"]),
                int(data["n_frames"]),
                check_rate(data["rate_hz"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError("this is no tare of a rig") from error
        if len({len(tare.channels), len(tare.mean), len(tare.sd)}) != 1 or not np.isfinite(tare.mean).all():
            raise DataError("this is no tare of a rig: it needs a finite number for each channel")
        return tare


@dataclass(frozen=True, eq=False)
class Rig:
    """One device and what its channels mean.

    Attributes
    ----------
    device : str
        Its address.
    channels : tuple of str
        Every column of the device, in its order.
    plates : tuple of RigPlate
    analog : tuple of RigAnalog
    treadmill : RigTreadmill or None
    text : str
        The TOML that it was made of; ``Rig.parse(rig.text)`` gives it again.
    lateral_known : bool
        Whether +x is known to be the subject's right.
    """

    device: str
    channels: tuple[str, ...]
    plates: tuple[RigPlate, ...]
    analog: tuple[RigAnalog, ...] = ()
    treadmill: RigTreadmill | None = None
    text: str = ""
    lateral_known: bool = False
    _last: tuple[RigTare, Rig] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, name: str = "rig.toml") -> Rig:
        """Read a rig from TOML.

        Parameters
        ----------
        text : str
        name : str
            What errors call it.

        Raises
        ------
        RigError
            Naming the line and the key that is wrong.
        MissingExtraError
            Without msgspec.
        """
        try:
            from balancecore.capture import _rig_file
        except ImportError as error:
            raise MissingExtraError("rig files need msgspec: pip install 'balancecore[record]'") from error
        return _rig_file.build(text, name)

    @classmethod
    def for_device(cls, device: Device) -> Rig:
        """The rig of a device that gives wrenches itself (simulated ones, replay), so that it needs no file.

        Parameters
        ----------
        device : Device
            Open.

        Raises
        ------
        RigError
            It does not: a rig file has to say what its channels mean.
        """
        from balancecore.capture._rig_write import text_for_wrenches

        return cls.parse(text_for_wrenches(device), name=f"{device}")

    @property
    def layout(self) -> Layout:
        """What a stream must know of the plates; RigError where there are none."""
        self._need_plates()
        return Layout(
            np.array([plate.model.centre_m for plate in self.plates]),
            tuple(plate.side for plate in self.plates),
            tuple(plate.model.missing_lab for plate in self.plates),
            tuple(plate.model.corners_lab for plate in self.plates),
            tuple(plate.name for plate in self.plates),
            self.lateral_known,
        )

    def bind(self, description: Description) -> Rig:
        """The same rig, after it was seen to fit an open device, with what only the device knows.

        Parameters
        ----------
        description : Description

        Returns
        -------
        Rig
            Its plates' ranges are the narrower ones of rig and device, and they know the device's skew.

        Raises
        ------
        RigError
            The device has other channels, another order of them, or other units.
        """
        names = tuple(channel.name for channel in description.channels)
        if names != self.channels:
            raise RigError(f"{_first_difference(self.channels, names)} ({description.model})")
        units = [channel.unit for channel in description.channels]
        wanted = [
            (column, unit, f"plate {plate.name!r}")
            for plate in self.plates
            for column, unit in zip(plate.columns, plate.units, strict=True)
        ]
        wanted += [
            (entry.column, entry.raw_unit or units[entry.column], f"analog {entry.name!r}")
            for entry in self.analog
        ]
        for column, unit, user in wanted:
            if _plain(units[column]) != _plain(unit):
                raise RigError(
                    f"channels[{column}]: the device gives {names[column]!r} in {units[column] or 'no unit'}, "
                    f"but {user} wants {unit or 'no unit'}"
                )
        return replace(self, plates=tuple(_bound(plate, description) for plate in self.plates))

    def wrenches(
        self, raw: ArrayLike, tare: RigTare | None = None, out: FloatArray | None = None
    ) -> FloatArray:
        """Wrench on every plate in the lab, as a `GaitStream` wants it.

        Parameters
        ----------
        raw : array_like (k, n_channels)
            Frames as the device gives them; any number of them.
        tare : RigTare, optional
            Zeros instead of those of the rig.
        out : ndarray (k, 6 n_plates), optional
            Float64 array to fill.

        Returns
        -------
        ndarray (k, 6 n_plates)
            Fx Fy Fz Mx My Mz of each plate in N and N·m, reaction; NaN for what is missing and in frames that hold
            NaN.
        """
        self._need_plates()
        frames = self._frames(raw)
        if out is None:
            out = np.empty((len(frames), 6 * len(self.plates)))
        elif out.shape != (len(frames), 6 * len(self.plates)) or out.dtype != np.float64:
            raise DataError(f"out must be a float64 array of shape {(len(frames), 6 * len(self.plates))}")
        for k, plate in enumerate(self.tared(tare).plates):
            out[:, 6 * k : 6 * k + 6] = plate.model.wrench(plate.raw(frames))
        return out

    def tared(self, tare: RigTare | None) -> Rig:
        """The same rig with the zeros of a tare.

        Raises
        ------
        DataError
            The tare is of other channels.
        """
        if tare is None:
            return self
        # A loop asks for the same one at every block.
        if self._last is not None and self._last[0] is tare:
            return self._last[1]
        if tare.channels != self.channels:
            raise DataError("the tare is of other channels than the rig has")
        rig = replace(self, plates=tuple(_tared(plate, tare) for plate in self.plates), _last=None)
        object.__setattr__(self, "_last", (tare, rig))
        return rig

    def analog_values(self, raw: ArrayLike) -> FloatArray:
        """Values of the analog channels: (k, n_analog), in their units."""
        frames = self._frames(raw)
        out = np.empty((len(frames), len(self.analog)))
        for k, entry in enumerate(self.analog):
            np.subtract(frames[:, entry.column], entry.offset, out=out[:, k])
            out[:, k] *= entry.scale
        return out

    def saturated(self, raw: ArrayLike) -> BoolArray:
        """Frames of each plate with a raw channel at an end of its range: (k, n_plates)."""
        self._need_plates()
        frames = self._frames(raw)
        return np.column_stack([plate.model.saturated(plate.raw(frames)) for plate in self.plates])

    def tare(self, raw: ArrayLike, rate_hz: float) -> RigTare:
        """Zeros of all channels from frames in which nothing is on the plates.

        Parameters
        ----------
        raw : array_like (n, n_channels)
            At least 0.5 s. A treadmill's belts should be running.
        rate_hz : float

        Raises
        ------
        DataError
            Too short, too noisy, or somebody stands on a plate or steps on it.
        """
        self._need_plates()
        frames = self._frames(raw)
        for plate in self.plates:
            replace(plate.model, name=plate.name).tare(
                plate.raw(frames), rate_hz, max_offset_n=plate.max_tare_n
            )
        window = frames[np.isfinite(frames).all(axis=1)].astype(np.float64, copy=False)
        if len(window) < 2:
            raise DataError("the tare has no frames in which every channel is finite")
        tare = RigTare(
            self.channels,
            tuple(window.mean(axis=0).tolist()),
            tuple(window.std(axis=0, ddof=1).tolist()),
            len(window),
            check_rate(rate_hz),
        )
        tare.check(self)
        return tare

    def trial(
        self,
        raw: ArrayLike,
        rate_hz: float,
        tare: RigTare | None = None,
        lost: Iterable[tuple[int, int]] = (),
        *,
        notes: Sequence[str] = (),
        belts: Sequence[BeltState] = (),
        start_s: float = 0.0,
    ) -> Trial:
        """A trial of recorded frames.

        Parameters
        ----------
        raw : array_like (n, n_channels)
        rate_hz : float
        tare : RigTare, optional
        lost : iterable of (row, count)
            So many frames were lost before that row of `raw`. They become frames of NaN, so that time stays right.
        notes : sequence of str
            To stand before the rig's own.
        belts : sequence of BeltState
            What `Treadmill.samples` gave meanwhile. It becomes the channels "left belt" and "right belt" (m/s) and
            "incline" (degrees), at the rate of the frames.
        start_s : float
            When the first frame was taken, by the clock of `belts` (`time.monotonic`), s.

        Raises
        ------
        DataError
            Frames, rate or losses that can't be.
        """
        self._need_plates()
        rate = check_rate(rate_hz)
        frames, lost_notes = _with_losses(self._frames(raw), lost, rate)
        plates = tuple(
            plate.model.plate(plate.raw(frames), side=plate.side, name=plate.name, skew_s=plate.skew_s)
            for plate in self.tared(tare).plates
        )
        values = self.analog_values(frames)
        analog = tuple(
            Analog(entry.name, entry.unit, rate, np.ascontiguousarray(values[:, k]))
            for k, entry in enumerate(self.analog)
        )
        said = (
            "the rig's zeros were used, without a tare"
            if tare is None
            else (f"each channel's mean over {tare.n_frames / tare.rate_hz:.2f} s of tare was taken off")
        )
        conventions = {plate.model.convention for plate in self.plates}
        return Trial(
            plates,
            rate,
            self.lateral_known,
            conventions.pop() if len(conventions) == 1 else "reaction",
            notes=(*notes, said, *lost_notes),
            analog=analog + _of_belts(belts, start_s, rate, len(frames), {entry.name for entry in analog}),
        )

    def _need_plates(self) -> None:
        if not self.plates:
            raise RigError("plates: the rig has none yet: fill in a [[plates]] table for each (docs/rig.md)")

    def _frames(self, raw: ArrayLike) -> NDArray[np.floating]:
        frames = np.asarray(raw)
        if frames.dtype.kind not in "fiu" or frames.ndim != 2 or frames.shape[1] != len(self.channels):
            raise DataError(
                f"raw frames must be numbers of shape (k, {len(self.channels)}), a column for each channel of the "
                f"rig; not {frames.dtype} of shape {frames.shape}"
            )
        return frames if frames.dtype.kind == "f" else frames.astype(np.float64)


def load_rig(path: str | Path) -> Rig:
    """Read a rig file.

    Parameters
    ----------
    path : str or Path
        TOML; see docs/rig.md.

    Raises
    ------
    RigError
        Naming the file, the line and the key that is wrong.
    MissingExtraError
        Without msgspec.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise RigError(f"{file.name}: the rig file can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RigError(f"{file.name}: the rig file is no UTF-8 text") from error
    return Rig.parse(text, file.name)


def _with_losses(
    frames: NDArray[np.floating], lost: Iterable[tuple[int, int]], rate_hz: float
) -> tuple[NDArray[np.floating], list[str]]:
    """The frames with NaN where some were lost, and what to say of it."""
    gaps = [(int(row), int(count)) for row, count in lost]
    rows = [row for row, _ in gaps]
    if rows != sorted(rows) or any(not 0 <= row <= len(frames) or count < 0 for row, count in gaps):
        raise DataError(f"lost={gaps!r}: rows of the {len(frames)} frames in order, with counts, are wanted")
    total = sum(count for _, count in gaps)
    if not total:
        return frames, []
    filled = np.insert(frames, np.repeat(rows, [count for _, count in gaps]), np.nan, axis=0)
    where = "; ".join(f"{count} before frame {row}" for row, count in gaps[:5] if count)
    more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
    return filled, [f"{total} frames ({total / rate_hz:.3f} s) were lost: {where}{more}; they are gaps here"]


def _of_belts(
    belts: Sequence[BeltState], start_s: float, rate_hz: float, n_frames: int, taken: set[str]
) -> tuple[Analog, ...]:
    """Channels of the belts' feedback; the last status holds until the next."""
    if not belts:
        return ()
    values = belt_values(belts, start_s + np.arange(n_frames) / rate_hz)
    named = (("left belt", "m/s"), ("right belt", "m/s"), ("incline", "deg"))
    return tuple(
        Analog(
            f"{name} (treadmill)" if name in taken else name,
            unit,
            rate_hz,
            np.ascontiguousarray(values[:, k]),
        )
        for k, (name, unit) in enumerate(named)
    )


def _first_difference(wanted: Sequence[str], found: Sequence[str]) -> str:
    """Where the device's channels are not those of the rig."""
    for k, (name, other) in enumerate(zip(wanted, found, strict=False)):
        if name != other:
            return f"channels[{k}]: the rig says {name!r}, the device gives {other!r}"
    if len(wanted) > len(found):
        return f"channels[{len(found)}]: the device has no {wanted[len(found)]!r}, only {len(found)} channels"
    return f"channels: the rig lacks the device's channel {found[len(wanted)]!r}"


def _plain(unit: str) -> str:
    """The unit without the sign between its factors: N·m, N*m and Nm are one."""
    return "".join(c for c in unit if c not in " .·*")


def _tared(plate: RigPlate, tare: RigTare) -> RigPlate:
    columns = list(plate.columns)
    own = Tare(np.array(tare.mean)[columns], np.array(tare.sd)[columns], tare.n_frames)
    return replace(plate, model=plate.model.tared(own))


def _bound(plate: RigPlate, description: Description) -> RigPlate:
    """The plate with the narrower one of its own and the device's ranges, and the skew of its channels."""
    channels = [description.channels[column] for column in plate.columns]
    ends = np.array(
        [[-np.inf if c.low is None else c.low, np.inf if c.high is None else c.high] for c in channels]
    )
    if plate.model.range_raw is not None:
        own = plate.model.range_raw
        ends = np.column_stack((np.maximum(ends[:, 0], own[:, 0]), np.minimum(ends[:, 1], own[:, 1])))
    known = np.isfinite(ends).any()
    skews = [c.skew_s for c in channels]
    return replace(
        plate,
        model=replace(plate.model, range_raw=ends if known else None),
        skew_s=max(skews) - min(skews),
    )
