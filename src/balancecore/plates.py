"""Force plates: from raw channels to the wrench about the centre of the top surface, and to the centre of pressure.

Every linear plate is one matrix. A :class:`PlateModel` holds it with where the sensors sit under the surface, how the
plate lies in the lab and whose force it measures; all of that is folded into a single (6, m) matrix before a kernel
goes through the frames. Equations and sources: docs/plates.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore._ext import _wrench
from balancecore.errors import DataError
from balancecore.saturation import CLAMP_BAND, SATURATED_RUN, runs_of, smooth_peaks
from balancecore.trial import CHANNELS, COP_MIN_N, Convention, Plate, axis_rotation, check_rate

__all__ = [
    "PlateModel",
    "Tare",
    "amti",
    "bertec",
    "calibrated",
    "centre_of_pressure",
    "combine",
    "kistler",
    "kistler_newton_per_volt",
    "load_cells",
    "pose",
    "six_component",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A sample from this share of the range on is at its end (an amplifier saturates a little before its nominal range).
RANGE_FRACTION = 0.995
#: Shortest unloaded window that tells a zero.
TARE_S = 0.5
#: A zero further from nothing is taken for a load unless the caller knows better.
MAX_OFFSET_N = 100.0
#: Means over this time may differ from the window's mean by STEADY_N; otherwise somebody steps on the plate.
STEADY_BLOCK_S = 0.05
STEADY_N = 20.0
#: A force that was not measured may enter another channel by this much (1 %, or 10 mm of lever arm).
UNSEEN = 0.01
#: Corners of a plate: shortest and longest side, and how far the sides may be from a rectangle (share of a side).
SIDE_RANGE_M = (0.05, 10.0)
SKEWED = 0.1


@dataclass(frozen=True, eq=False)
class Tare:
    """What the channels show while nothing is on the plate.

    Attributes
    ----------
    mean, sd : ndarray (m,)
        Of each channel over the window, raw unit.
    n_frames : int
        Finite frames in the window.
    """

    mean: FloatArray
    sd: FloatArray
    n_frames: int


@dataclass(frozen=True, eq=False)
class PlateModel:
    """A plate whose wrench is a linear function of its raw channels.

    The constructors :func:`amti`, :func:`bertec`, :func:`kistler`, :func:`load_cells`, :func:`six_component` and
    :func:`calibrated` make one in the plate's own axes; :meth:`placed` says how it lies in the lab and whose force it
    measures, :meth:`tared` sets the zeros. Neither is ever guessed from the data.

    Attributes
    ----------
    name : str
        Kind of plate, such as "Kistler eight-component".
    channels : tuple of str
        Names of the m raw channels, in the order of the matrix's columns.
    matrix : ndarray (6, m)
        Fx Fy Fz Mx My Mz in N and N·m per raw unit, in the plate's own axes about the sensor origin.
    origin_m : ndarray (3,)
        From the sensor origin to the centre of the top surface, in the plate's own axes, m: with z down, as C3D and
        Kistler have it, the third number is negative.
    rotation : ndarray (3, 3)
        ``rotation @ plate_vector`` is the vector in the lab.
    centre_m : ndarray (3,)
        Centre of the top surface in the lab, m.
    convention : {"reaction", "action"}
        Whether the channels show the force on the body, or the force on the plate, which is its opposite.
    corners_lab : ndarray (4, 3) or None
        Corners in the lab, m.
    cop_polynomial : ndarray (12,) or None
        Kistler's correction of the centre of pressure, in m: six coefficients for x, then six for y.
    missing : frozenset of str
        Components among Fx..Mz, in the plate's own axes, that it does not measure.
    zero : ndarray (m,)
        Raw value of each channel without load.
    range_raw : ndarray (m, 2) or None
        Ends of each channel's range, raw unit: the narrower one of amplifier and converter; infinite if unknown.
    """

    name: str
    channels: tuple[str, ...]
    matrix: FloatArray
    origin_m: FloatArray = field(default_factory=lambda: np.zeros(3))
    rotation: FloatArray = field(default_factory=lambda: np.eye(3))
    centre_m: FloatArray = field(default_factory=lambda: np.zeros(3))
    convention: Convention = "reaction"
    corners_lab: FloatArray | None = None
    cop_polynomial: FloatArray | None = None
    missing: frozenset[str] = frozenset()
    zero: FloatArray = field(default_factory=lambda: np.zeros(0))
    range_raw: FloatArray | None = None

    def __post_init__(self) -> None:
        m = len(self.channels)
        if not 1 <= m <= _wrench.MAX_CHANNELS:
            raise DataError(f"{self.name}: {m} channels; a plate has 1 to {_wrench.MAX_CHANNELS}")
        shapes = {"matrix": (6, m), "origin_m": (3,), "rotation": (3, 3), "centre_m": (3,)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, _numbers(f"{self.name}: {name}", getattr(self, name), shape))
        zero = self.zero if len(self.zero) else np.zeros(m)
        object.__setattr__(self, "zero", _numbers(f"{self.name}: zero", zero, (m,)))
        if self.cop_polynomial is not None:
            polynomial = _numbers(f"{self.name}: cop_polynomial", self.cop_polynomial, (12,))
            object.__setattr__(self, "cop_polynomial", polynomial)
        if self.convention not in ("reaction", "action"):
            raise DataError(
                f"convention={self.convention!r}: it is 'reaction' (on the body) or 'action' (on the plate)"
            )
        if unknown := set(self.missing) - set(CHANNELS):
            raise DataError(f"{self.name}: missing={sorted(unknown)}; components are {', '.join(CHANNELS)}")
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-6):
            raise DataError(f"{self.name}: rotation is not a rotation (its rows are not orthonormal)")
        if np.linalg.det(self.rotation) < 0.0:
            raise DataError(f"{self.name}: rotation mirrors the plate (left-handed axes)")

    def placed(
        self,
        *,
        corners_m: ArrayLike | None = None,
        axes: Sequence[str] | None = None,
        centre_m: ArrayLike | None = None,
        convention: Convention | None = None,
    ) -> PlateModel:
        """The same plate, lying in the lab.

        Parameters
        ----------
        corners_m : array_like (4, 3), optional
            Corners of the top surface in the lab, in the order of :func:`pose`, m.
        axes : sequence of 3 str, optional
            Instead of corners: the plate's axes that point along the lab's x, y and z, such as ``("y", "x", "-z")``
            for a plate whose z points down (see :func:`balancecore.trial.axis_rotation`).
        centre_m : array_like (3,), optional
            Centre of the top surface in the lab, m; with corners it is their mean.
        convention : {"reaction", "action"}, optional
            Whose force the channels show.

        Raises
        ------
        DataError
            If corners and axes are both given, or are no plate's.
        """
        if corners_m is not None and (axes is not None or centre_m is not None):
            raise DataError("give the corners of a plate, or its axes and centre, not both")
        changed = self if convention is None else replace(self, convention=convention)
        if corners_m is not None:
            rotation, centre = pose(corners_m)
            corners = np.array(corners_m, dtype=np.float64)
            return replace(changed, rotation=rotation, centre_m=centre, corners_lab=corners)
        if axes is not None:
            changed = replace(changed, rotation=axis_rotation(axes), corners_lab=None)
        if centre_m is not None:
            changed = replace(changed, centre_m=_numbers("centre_m", centre_m, (3,)), corners_lab=None)
        return changed

    def tared(self, tare: Tare) -> PlateModel:
        """The same plate with the zeros of an unloaded window."""
        return replace(self, zero=tare.mean)

    def tare(
        self,
        raw: ArrayLike,
        rate_hz: float,
        *,
        start_s: float = 0.0,
        stop_s: float | None = None,
        max_offset_n: float = MAX_OFFSET_N,
    ) -> Tare:
        """Zeros of the channels from a window in which nothing is on the plate.

        Parameters
        ----------
        raw : array_like (n, m)
            Raw channels. A treadmill's belts should be running, since their vibration moves the mean.
        rate_hz : float
            Frames per second.
        start_s, stop_s : float
            The window; all frames by default. It takes 0.5 s of finite frames at least.
        max_offset_n : float
            Largest offset from the model's present zeros, N, that is not taken for a load. A deck on load cells, whose
            own weight is in the zeros, needs more than the default of 100 N; ``inf`` accepts any.

        Raises
        ------
        DataError
            If the window is too short, or somebody stands on the plate or steps on it.
        """
        rate = check_rate(rate_hz)
        frames = self._raw(raw)
        stop = len(frames) if stop_s is None else round(stop_s * rate)
        window = np.asarray(frames[max(round(start_s * rate), 0) : max(stop, 0)], dtype=np.float64)
        window = window[np.isfinite(window).all(axis=1)]
        if len(window) < max(TARE_S * rate, 2):
            raise DataError(
                f"{self.name}: {len(window) / rate:.2f} s of finite frames for the tare; {TARE_S} s are needed"
            )
        block = min(max(round(STEADY_BLOCK_S * rate), 1), len(window))
        whole = len(window) // block * block
        mean = window.mean(axis=0)
        means = window[:whole].reshape(-1, block, window.shape[1]).mean(axis=1)
        offset = self.matrix[:3] @ (mean - self.zero)
        if np.linalg.norm(offset) > max_offset_n:
            raise DataError(
                f"{self.name}: {np.linalg.norm(offset):.0f} N in the window for the tare: the plate is loaded "
                f"(max_offset_n={max_offset_n:g})"
            )
        swing = np.abs((means - mean) @ self.matrix[:3].T).max()
        if swing > STEADY_N:
            raise DataError(
                f"{self.name}: the force moves by {swing:.0f} N in the window for the tare: the plate is loaded in it"
            )
        return Tare(mean, window.std(axis=0, ddof=1), len(window))

    def wrench(self, raw: ArrayLike, out: FloatArray | None = None) -> FloatArray:
        """Wrench about the centre of the top surface, in the lab's axes, as the reaction on the body.

        Parameters
        ----------
        raw : array_like (n, m)
            Raw channels, any strides; not written to.
        out : ndarray (n, 6), optional
            C-contiguous float64 array to fill.

        Returns
        -------
        ndarray (n, 6)
            Fx Fy Fz Mx My Mz in N and N·m; NaN throughout in components that are missing, and in frames with a raw
            value that is not finite.

        Raises
        ------
        DataError
            If `raw` does not have a column for each channel, or is not numeric.
        """
        frames = self._raw(raw)
        out = _buffer(out, (len(frames), 6))
        if self.cop_polynomial is None:
            _wrench.to_wrench(frames, self.zero, self._to_lab_columns, False, out)
        else:
            _wrench.to_wrench(frames, self.zero, self._to_surface_columns, False, out)
            _wrench.correct_pressure_centre(out, self.cop_polynomial, COP_MIN_N)
            _wrench.to_wrench(out, np.zeros(6), _columns(self._to_lab()), False, out)
        if self.missing:
            out[:, [CHANNELS.index(name) for name in self.missing_lab]] = np.nan
        return out

    # Kept, since a running signal comes in blocks of a few frames.
    @cached_property
    def _to_lab_columns(self) -> FloatArray:
        return _columns(self._to_lab() @ (_shift(self.origin_m) @ self.matrix))

    @cached_property
    def _to_surface_columns(self) -> FloatArray:
        return _columns(_shift(self.origin_m) @ self.matrix)

    @cached_property
    def missing_lab(self) -> frozenset[str]:
        """Components of :meth:`wrench` that are not known, in the lab's axes."""
        return _unknown(self._to_lab() @ _shift(self.origin_m), self.missing)

    def plate(
        self,
        raw: ArrayLike,
        *,
        side: str = "?",
        name: str = "",
        codes: ArrayLike | None = None,
        code_range: tuple[int, int] | None = None,
        skew_s: float | None = None,
    ) -> Plate:
        """A plate of a trial; the lab's axes must be right, forward and up.

        Parameters
        ----------
        raw : array_like (n, m)
        side : {"L", "R", "?"}
        name : str
        codes, code_range
            See :meth:`saturated`.
        skew_s : float, optional
            Time between the first and the last channel of one frame (multiplexed converters); kept, not corrected.
        """
        wrench = self.wrench(raw)
        wrench.flags.writeable = False
        return Plate(
            wrench,
            self.centre_m,
            side,
            name,
            self.corners_lab,
            self.missing_lab,
            self.name,
            self.saturated(raw, codes=codes, code_range=code_range),
            skew_s,
        )

    def saturated(
        self, raw: ArrayLike, *, codes: ArrayLike | None = None, code_range: tuple[int, int] | None = None
    ) -> BoolArray:
        """Frames in which a raw channel is at an end of its range; nothing is clipped or mended.

        A channel is at the end from 99.5 % of `range_raw` on; where the converter's code is the first or last one; and
        in three or more equal samples at its own extreme, unless they are the flat top of a smooth, quantised peak.

        Parameters
        ----------
        raw : array_like (n, m)
        codes : array_like (n, m), optional
            The converter's integers; `raw` itself, by default, if `code_range` is given.
        code_range : (int, int), optional
            First and last code of the converter, such as (0, 65535).

        Returns
        -------
        ndarray (n,) of bool
        """
        frames = self._raw(raw)
        found = np.zeros(len(frames), dtype=bool)
        worth = np.abs(self.matrix).max(axis=0)
        for c in range(frames.shape[1]):
            x = frames[:, c]
            if self.range_raw is not None:
                low, high = self.range_raw[c].tolist()
                middle, half = 0.5 * (low + high), 0.5 * RANGE_FRACTION * (high - low)
                if math.isfinite(half):
                    found |= np.abs(x - middle) >= half
            found |= _flat_extremes(x, float(self.zero[c]), CLAMP_BAND / worth[c] if worth[c] else math.inf)
        if code_range is not None:
            values = frames if codes is None else self._raw(codes)
            if len(values) != len(frames):
                raise DataError(f"{self.name}: {len(values)} frames of codes for {len(frames)} of raw data")
            found |= ((values <= code_range[0]) | (values >= code_range[1])).any(axis=1)
        return found

    def _to_lab(self) -> FloatArray:
        """From the plate's axes to the lab's, as the reaction: (6, 6)."""
        out = np.zeros((6, 6))
        out[:3, :3] = out[3:, 3:] = self.rotation if self.convention == "reaction" else -self.rotation
        return out

    def _raw(self, raw: ArrayLike) -> NDArray[np.floating]:
        m = len(self.channels)
        try:
            frames = np.asarray(raw)
            if frames.dtype.kind not in "fiu":
                raise TypeError(f"its type is {frames.dtype}")
            if frames.ndim != 2 or frames.shape[1] != m:
                raise ValueError(f"its shape is {frames.shape}")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self.name}: raw data must be numbers of shape (n_frames, {m}) = {' '.join(self.channels)}; {error}"
            ) from error
        if frames.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            frames = frames.astype(np.float64)
        return frames


def six_component(
    matrix: ArrayLike,
    *,
    channels: Sequence[str] | None = None,
    origin_m: ArrayLike = (0.0, 0.0, 0.0),
    range_raw: ArrayLike | None = None,
    missing: Sequence[str] = (),
    name: str = "six-component",
) -> PlateModel:
    """A plate given by its calibration matrix, of six or any other number of channels.

    Parameters
    ----------
    matrix : array_like (6, m)
        Fx Fy Fz Mx My Mz in N and N·m per raw unit; cross-talk included.
    channels : sequence of str, optional
        Names of the m channels.
    origin_m : array_like (3,)
        See :class:`PlateModel`.
    range_raw : array_like, optional
        One number a channel, or one for all: the range goes from minus to plus that. Or (m, 2): both ends.
    missing : sequence of str
        Components that the plate does not measure.
    name : str

    Raises
    ------
    DataError
        If an argument has the wrong shape or is not finite.
    """
    array = _numbers(f"{name}: matrix", matrix, (6, np.shape(matrix)[-1] if np.ndim(matrix) == 2 else 6))
    m = array.shape[1]
    if channels is None:
        channels = CHANNELS if m == 6 else [f"ch{k + 1}" for k in range(m)]
    return PlateModel(
        name,
        tuple(channels),
        array,
        _numbers(f"{name}: origin_m", origin_m, (3,)),
        missing=frozenset(missing),
        range_raw=_ranges(name, range_raw, m),
    )


def calibrated(*, origin_m: ArrayLike = (0.0, 0.0, 0.0), name: str = "calibrated wrench") -> PlateModel:
    """A plate whose channels are Fx Fy Fz Mx My Mz already, in N and N·m about the sensor origin."""
    return six_component(np.eye(6), origin_m=origin_m, name=name)


def amti(
    sensitivity: ArrayLike,
    *,
    gain: ArrayLike,
    excitation_v: ArrayLike,
    origin_m: ArrayLike = (0.0, 0.0, 0.0),
    range_v: ArrayLike = 10.0,
) -> PlateModel:
    """An AMTI plate: channels in V behind the amplifier.

    ``V_i = gain_i · excitation_i · 1e-6 · (S [F; M])_i`` [AMTI, Force Calculations].

    Parameters
    ----------
    sensitivity : array_like (6, 6)
        S of the data sheet, µV per V of excitation and N (or N·m): the full matrix with its cross-talk. Read the unit
        on the sheet: some print the inverse, or mV/V.
    gain, excitation_v : array_like
        Of each channel, or one for all.
    origin_m : array_like (3,)
        See :class:`PlateModel`.
    range_v : array_like
        Smaller of the amplifier's (10 V) and the converter's range.

    Raises
    ------
    DataError
        If S can't be inverted, or an argument has the wrong shape.
    """
    s = _numbers("AMTI: sensitivity", sensitivity, (6, 6))
    volts = _each("AMTI: gain", gain, 6) * _each("AMTI: excitation_v", excitation_v, 6) * 1e-6
    _not_zero("AMTI: gain and excitation_v", volts)
    # Rows are scaled to 1 first: forces and moments have different units.
    scale = np.abs(s).max(axis=1, keepdims=True)
    if not scale.all() or np.linalg.cond(s / scale) > 1e8:
        raise DataError("AMTI: the sensitivity matrix can't be inverted")
    matrix = np.linalg.inv(s) / volts
    return six_component(matrix, origin_m=origin_m, range_raw=range_v, name="AMTI six-component")


def bertec(
    scale: ArrayLike,
    *,
    gain: ArrayLike = 1.0,
    origin_m: ArrayLike = (0.0, 0.0, 0.0),
    range_v: ArrayLike = 5.0,
) -> PlateModel:
    """A Bertec plate or treadmill belt: channels in V.

    ``F_i = scale_i · V_i / gain_i`` where the plate is calibrated inside, ``F = B V / gain`` for older ones.

    Parameters
    ----------
    scale : array_like (6,) or (6, 6)
        N/V and N·m/V of the data sheet, or B.
    gain : array_like
        Of each channel, or one for all.
    origin_m : array_like (3,)
        See :class:`PlateModel`.
    range_v : array_like
        Smaller of the plate's (5 V at the rated load) and the converter's range.
    """
    given = np.diag(_each("Bertec: scale", scale, 6)) if np.ndim(scale) < 2 else scale
    gains = _each("Bertec: gain", gain, 6)
    _not_zero("Bertec: gain", gains)
    matrix = _numbers("Bertec: scale", given, (6, 6)) / gains
    return six_component(matrix, origin_m=origin_m, range_raw=range_v, name="Bertec six-component")


KISTLER_CHANNELS = ("Fx12", "Fx34", "Fy14", "Fy23", "Fz1", "Fz2", "Fz3", "Fz4")


def kistler(
    *,
    a_m: float,
    b_m: float,
    az0_m: float,
    newton_per_unit: ArrayLike = 1.0,
    cop_polynomial_mm: ArrayLike | None = None,
    range_raw: ArrayLike | None = None,
) -> PlateModel:
    """A Kistler plate of eight channels, Fx12 Fx34 Fy14 Fy23 Fz1 Fz2 Fz3 Fz4.

    ``Fx = Fx12 + Fx34``, ``Fy = Fy14 + Fy23``, ``Fz = ΣFzi``, ``Mx = b (Fz1 + Fz2 - Fz3 - Fz4)``,
    ``My = a (-Fz1 + Fz2 + Fz3 - Fz4)``, ``Mz = b (-Fx12 + Fx34) + a (Fy14 - Fy23)`` [Kistler, Force Plate Formulae].

    Parameters
    ----------
    a_m, b_m : float
        Distance of the sensor axes from the centre, along x and y, m; positive.
    az0_m : float
        Height of the top surface in the plate's axes, m; negative, since z points down. The value that fits the data
        is the one of the plate's own sheet: file headers are not always right.
    newton_per_unit : array_like
        N per raw unit of each channel, or one for all; see :func:`kistler_newton_per_volt`. 1 for data in N.
    cop_polynomial_mm : array_like (12,), optional
        Correction of the centre of pressure as the sheet prints it (mm): Px0..Px5, Py0..Py5.
    range_raw : array_like, optional
        See :func:`six_component`; usually 10 V.
    """
    for name, value in (("a_m", a_m), ("b_m", b_m)):
        if not 0.0 < value < SIDE_RANGE_M[1]:
            raise DataError(
                f"Kistler: {name}={value}: the distance of the sensors from the centre is positive, in m"
            )
    a, b = float(a_m), float(b_m)
    components = np.array(
        [
            [1, 1, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 0, b, b, -b, -b],
            [0, 0, 0, 0, -a, a, a, -a],
            [-b, b, a, -a, 0, 0, 0, 0],
        ]
    )
    model = six_component(
        components * _each("Kistler: newton_per_unit", newton_per_unit, 8),
        channels=KISTLER_CHANNELS,
        origin_m=(0.0, 0.0, az0_m),
        range_raw=range_raw,
        name="Kistler eight-component",
    )
    if cop_polynomial_mm is None:
        return model
    return replace(model, cop_polynomial=polynomial_from_mm(cop_polynomial_mm))


#: A term of degree d keeps its value in m if its coefficient is multiplied by 1000^(d - 1).
_PER_MM = 1e3 ** (np.array([7, 5, 3, 5, 3, 1] * 2) - 1.0)


def polynomial_from_mm(cop_polynomial_mm: ArrayLike) -> FloatArray:
    """Coefficients of a COP polynomial in m, (12,), of those that a sheet prints for mm."""
    polynomial: FloatArray = _numbers("cop_polynomial_mm", cop_polynomial_mm, (12,)) * _PER_MM
    return polynomial


def polynomial_to_mm(cop_polynomial: ArrayLike) -> FloatArray:
    """The inverse of :func:`polynomial_from_mm`."""
    polynomial: FloatArray = _numbers("cop_polynomial", cop_polynomial, (12,)) / _PER_MM
    return polynomial


def kistler_newton_per_volt(
    *, range_pc: ArrayLike, sensitivity_pc_n: ArrayLike, full_scale_v: float = 10.0
) -> FloatArray:
    """Scale of the eight channels behind charge amplifiers: ``range / (full scale · sensitivity)``, N/V.

    Parameters
    ----------
    range_pc : array_like
        Range of each amplifier channel, pC, or one for all.
    sensitivity_pc_n : array_like
        Sensitivity of each channel of the plate, pC/N; negative values, as some sheets print them, count as positive.
    full_scale_v : float
        Output at the full range.
    """
    sensitivity = np.abs(_each("Kistler: sensitivity_pc_n", sensitivity_pc_n, 8))
    _not_zero("Kistler: sensitivity_pc_n", sensitivity)
    scale: FloatArray = _each("Kistler: range_pc", range_pc, 8) / (full_scale_v * sensitivity)
    return scale


def load_cells(
    positions_m: ArrayLike,
    *,
    gain: ArrayLike,
    offset: ArrayLike = 0.0,
    axes: str | Sequence[str] = "z",
    range_raw: ArrayLike | None = None,
    name: str = "load cells",
) -> PlateModel:
    """A deck on load cells, each with one to three axes: one cell, or any number of them.

    Parameters
    ----------
    positions_m : array_like (k, 3) or (k, 2)
        Where the cells are, from the centre of the top surface, in the deck's own axes, m. Cells that measure the
        vertical force only know nothing of the moment of horizontal forces, which then stays in the centre of
        pressure: height times horizontal over vertical force.
    gain : array_like
        N per raw unit of each channel, or one for all, with the sign of the cell.
    offset : array_like
        Raw value of each channel without load; a tare (:meth:`PlateModel.tared`) replaces it.
    axes : str or sequence of str
        Axes of force that each cell measures (it is taken to be free along the others), such as "z" or "xyz": one for
        all cells, or one a cell. Channels follow in that order, cell by cell.
    range_raw : array_like, optional
        See :func:`six_component`.
    name : str

    Raises
    ------
    DataError
        If shapes or axes don't fit, or no cell measures the vertical force.
    """
    if np.ndim(positions_m) != 2 or np.shape(positions_m)[1] not in (2, 3):
        raise DataError(
            f"{name}: positions_m must be (n_cells, 3) or (n_cells, 2), not {np.shape(positions_m)}"
        )
    cells = _numbers(f"{name}: positions_m", positions_m, np.shape(positions_m))
    places = np.zeros((len(cells), 3))
    places[:, : cells.shape[1]] = cells
    per_cell = [axes] * len(places) if isinstance(axes, str) else list(axes)
    if len(per_cell) != len(places) or not all(a and set(a) <= set("xyz") for a in per_cell):
        raise DataError(f"{name}: axes={axes!r}; each of the {len(places)} cells has some of x, y, z")
    columns, names = [], []
    for k, (place, letters) in enumerate(zip(places, per_cell, strict=True), start=1):
        for letter in letters:
            force = np.eye(3)["xyz".index(letter)]
            columns.append(np.concatenate((force, np.cross(place, force))))
            names.append(f"F{letter}{k}")
    if not any("z" in letters for letters in per_cell):
        raise DataError(f"{name}: no cell measures the vertical force")
    m = len(columns)
    gains = _each(f"{name}: gain", gain, m)
    _not_zero(f"{name}: gain", gains)
    matrix = np.column_stack(columns) * gains
    model = six_component(
        matrix,
        channels=names,
        range_raw=range_raw,
        missing=_unmeasured(per_cell, places),
        name=name,
    )
    return replace(model, zero=_each(f"{name}: offset", offset, m))


def _unmeasured(per_cell: Sequence[str], places: FloatArray) -> list[str]:
    """Components that such cells can't tell; a cell is free along an axis that it does not measure.

    Moments about x and y take vertical forces at different y and x, the moment about z takes both horizontal forces,
    one of them at different places.
    """

    def spread(letter: str, axis: int) -> bool:
        seen = [place[axis] for place, letters in zip(places, per_cell, strict=True) if letter in letters]
        return len(seen) > 1 and max(seen) > min(seen)

    missing = [f"F{axis}" for axis in "xyz" if not any(axis in letters for letters in per_cell)]
    if not spread("z", 1):
        missing.append("Mx")
    if not spread("z", 0):
        missing.append("My")
    if {"Fx", "Fy"} & set(missing) or not (spread("x", 1) or spread("y", 0)):
        missing.append("Mz")
    return missing


def pose(corners_m: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Where a plate lies, from its corners.

    Parameters
    ----------
    corners_m : array_like (4, 3)
        Corners of the top surface in the lab, m, in C3D's order: those at +x +y, -x +y, -x -y and +x -y of the
        plate's own axes.

    Returns
    -------
    rotation : ndarray (3, 3)
        From the plate's axes to the lab's: x = c1 - c2, z = x × (c1 - c4), y = z × x, normalised.
    centre_m : ndarray (3,)
        Mean of the corners.

    Raises
    ------
    DataError
        If the corners are not those of a plate: coincident, crossed, far from a rectangle, or not in m.
    """
    corners = _numbers("corners_m", corners_m, (4, 3))
    c1, c2, c3, c4 = corners
    x, y = c1 - c2, c1 - c4
    sides = np.linalg.norm([x, y], axis=1)
    low, high = SIDE_RANGE_M
    if not (low <= sides.min() and sides.max() <= high):
        raise DataError(
            f"corners of a plate with sides of {sides[0]:.3g} and {sides[1]:.3g}: {low:g} to {high:g} m are plausible"
        )
    open_by = np.linalg.norm(c1 - c2 + c3 - c4)
    if open_by > SKEWED * sides.min() or abs(x @ y) > SKEWED * sides[0] * sides[1]:
        raise DataError("the corners of the plate are no rectangle in the order +x+y, -x+y, -x-y, +x-y")
    z = np.cross(x, y)
    axes = np.array([x, np.cross(z, x), z])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return np.ascontiguousarray(axes.T), corners.mean(axis=0)


def combine(plates: Sequence[Plate], *, origin_m: ArrayLike | None = None, name: str = "") -> Plate:
    """Several plates as one: the sum of their wrenches about a common point, ``M = Σ (M_k + r_k × F_k)``.

    Parameters
    ----------
    plates : sequence of Plate
        Of the same length, in the same lab.
    origin_m : array_like (3,), optional
        The common point; the first plate's origin by default.
    name : str

    Returns
    -------
    Plate
        A component that a plate lacks, or that depends on one it lacks, is missing in the sum.

    Raises
    ------
    DataError
        Without plates, or if their lengths differ.
    """
    lengths = {len(p.wrench) for p in plates}
    if len(lengths) != 1:
        raise DataError(f"plates to combine must have the same number of frames, not {sorted(lengths)}")
    origin = np.array(plates[0].origin_m if origin_m is None else _numbers("origin_m", origin_m, (3,)))
    out = np.zeros((lengths.pop(), 6))
    missing: set[str] = set()
    for plate in plates:
        shift = _shift(origin - plate.origin_m)
        measured = [k for k, channel in enumerate(CHANNELS) if channel not in plate.missing]
        wrench = plate.wrench if len(measured) == 6 else plate.wrench[:, measured]
        _wrench.to_wrench(wrench, np.zeros(len(measured)), _columns(shift[:, measured]), True, out)
        missing |= _unknown(shift, plate.missing)
    out[:, [CHANNELS.index(channel) for channel in missing]] = np.nan
    out.flags.writeable = False
    seen = [p.saturated for p in plates if p.saturated is not None]
    skews = [p.skew_s for p in plates if p.skew_s is not None]
    return Plate(
        out,
        origin,
        plates[0].side if len({p.side for p in plates}) == 1 else "?",
        name,
        None,
        frozenset(missing),
        "combined",
        np.logical_or.reduce(seen) if seen else None,
        max(skews) if skews else None,
    )


def centre_of_pressure(
    wrench: ArrayLike,
    *,
    origin_m: ArrayLike = (0.0, 0.0, 0.0),
    min_force_n: float = COP_MIN_N,
    out: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Centre of pressure and free moment about the vertical through it.

    ``x = ox - My/Fz``, ``y = oy + Mx/Fz``, ``Tz = Mz - Fy (x - ox) + Fx (y - oy)`` (metrics 6.0).

    Parameters
    ----------
    wrench : array_like (n, 6)
        Reaction force and moments about `origin_m`, a point of the top surface; N and N·m.
    origin_m : array_like (3,)
        In the same axes, m.
    min_force_n : float
        Both are NaN where Fz is not at least this: the error of a centre of pressure is the noise of the moments
        divided by the force, 25 mm at 20 N with 0.5 N·m.
    out : pair of ndarray (n, 3), (n,), optional
        C-contiguous float64 arrays to fill.

    Returns
    -------
    cop : ndarray (n, 3)
        In m; z is that of `origin_m`.
    free_moment : ndarray (n,)
        In N·m.
    """
    try:
        frames = np.ascontiguousarray(wrench, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("a wrench must be numbers of shape (n_frames, 6)") from error
    if frames.ndim != 2 or frames.shape[1] != 6:
        raise DataError(f"a wrench must have the shape (n_frames, 6), not {frames.shape}")
    if not min_force_n > 0.0:
        raise DataError(f"min_force_n={min_force_n}: the least force for a centre of pressure is positive")
    cop = _buffer(None if out is None else out[0], (len(frames), 3))
    free_moment = _buffer(None if out is None else out[1], (len(frames),))
    origin = _numbers("origin_m", origin_m, (3,))
    _wrench.pressure_centre(frames, origin, min_force_n, cop, free_moment)
    return cop, free_moment


def _shift(to_m: FloatArray) -> FloatArray:
    """Moments about a point `to_m` away from the old one: M' = M + F × to, as a (6, 6) matrix."""
    x, y, z = to_m
    out = np.eye(6)
    out[3:, :3] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    return out


def _unknown(matrix: FloatArray, missing: frozenset[str]) -> frozenset[str]:
    """Rows of a (6, 6) matrix that draw on components that were not measured."""
    columns = [CHANNELS.index(name) for name in missing]
    drawn = np.abs(matrix[:, columns]).max(axis=1, initial=0.0) > UNSEEN
    return frozenset(name for name, hit in zip(CHANNELS, drawn.tolist(), strict=True) if hit)


def _flat_extremes(x: NDArray[np.floating], zero: float, rest: float) -> BoolArray:
    """Samples in runs of equal ones at the channel's own extremes, further than `rest` from its zero."""
    found = np.zeros(len(x), dtype=bool)
    finite = x[np.isfinite(x)]
    if not len(finite) or finite.min() == finite.max():
        return found
    for value in (finite.min(), finite.max()):
        if abs(float(value) - zero) <= rest:
            continue
        runs = runs_of(x == value)
        runs = runs[runs[:, 1] - runs[:, 0] >= SATURATED_RUN]
        if len(runs) and not smooth_peaks(x, runs):
            for start, stop in runs.tolist():
                found[start:stop] = True
    return found


def _columns(matrix: FloatArray) -> FloatArray:
    return np.ascontiguousarray(matrix.T)


def _numbers(what: str, values: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Finite numbers of that shape, or a DataError that says what is wrong with them."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers of shape {shape}") from error
    if array.shape != shape:
        raise DataError(f"{what} must have the shape {shape}, not {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{what} holds a value that is not finite")
    return array


def _each(what: str, values: ArrayLike, count: int) -> FloatArray:
    """One number for each of `count` channels."""
    return _numbers(what, np.full(count, values) if np.ndim(values) == 0 else values, (count,))


def _not_zero(what: str, values: FloatArray) -> None:
    if not values.all():
        raise DataError(f"{what} must not be 0")


def _ranges(name: str, values: ArrayLike | None, m: int) -> FloatArray | None:
    if values is None:
        return None
    ends = np.asarray(values, dtype=np.float64)
    if ends.ndim < 2:
        ends = np.multiply.outer(np.full(m, ends) if ends.ndim == 0 else ends, [-1.0, 1.0])
    if ends.shape != (m, 2) or not (ends[:, 0] < ends[:, 1]).all():
        raise DataError(f"{name}: range_raw must give each of the {m} channels a range, or one for all")
    return ends


def _buffer(out: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    if out is None:
        return np.empty(shape)
    if out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous or not out.flags.writeable:
        raise DataError(f"out must be a writable, C-contiguous float64 array of shape {shape}")
    return out
