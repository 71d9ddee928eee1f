"""Is a rig wired and calibrated as its file says: offsets, noise, ends of the range, and a known weight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.rig import NOISY_N, Rig, RigPlate, RigTare
from balancecore.capture.treadmill import open_treadmill
from balancecore.errors import DataError, DeviceError, DeviceTimeoutError
from balancecore.plates import RANGE_FRACTION
from balancecore.weight import STANDARD_GRAVITY, SUSPECT_FRACTION

if TYPE_CHECKING:
    from balancecore.capture.device import Device

__all__ = [
    "ChannelCheck",
    "Finding",
    "Measured",
    "PlateCheck",
    "RigCheck",
    "WeightCheck",
    "check_belts",
    "check_rig",
    "measure",
    "plates_of",
    "weigh",
    "worst",
]

FloatArray = NDArray[np.float64]
Status = Literal["pass", "note", "fail"]

#: A device that gives nothing for so long is taken to be silent.
SILENT_S = 5.0
#: Longest and shortest time that is measured.
SECONDS = (0.5, 600.0)
#: A rig's look is renewed this often while it is measured.
LOOK_S = 0.25


@dataclass(frozen=True, eq=False)
class Measured:
    """Frames of a device.

    Attributes
    ----------
    raw : ndarray (n, n_channels)
    rate_hz : float
    lost : tuple of (row, count)
        So many frames were lost before that row.
    """

    raw: FloatArray
    rate_hz: float
    lost: tuple[tuple[int, int], ...] = ()

    @property
    def n_lost(self) -> int:
        """All frames that were lost."""
        return sum(count for _, count in self.lost)


@dataclass(frozen=True)
class ChannelCheck:
    """What a channel shows; in its unit, None where no frame has a value.

    Attributes
    ----------
    name, unit : str
    mean, sd, lowest, highest : float or None
    range_low, range_high : float or None
        Of the device, as far as it tells.
    n_at_end : int
        Frames at an end of that range.
    n_bad : int
        Frames without a finite value.
    """

    name: str
    unit: str
    mean: float | None
    sd: float | None
    lowest: float | None
    highest: float | None
    range_low: float | None
    range_high: float | None
    n_at_end: int
    n_bad: int


@dataclass(frozen=True)
class PlateCheck:
    """What a plate shows, with the zeros of the rig file.

    Attributes
    ----------
    name : str
    force_n : tuple of 3 float or None
        Mean force in the lab: its offset, where nothing is on it.
    offset_n : float or None
        Size of the mean of all measured forces.
    noise_n : tuple of 3 float or None
        SD of each force.
    n_saturated : int
        Frames with a raw channel at an end of its range.
    """

    name: str
    force_n: tuple[float | None, ...]
    offset_n: float | None
    noise_n: tuple[float | None, ...]
    n_saturated: int


@dataclass(frozen=True)
class Finding:
    """One line of a check."""

    status: Status
    what: str
    text: str


@dataclass(frozen=True)
class RigCheck:
    """What was seen of a rig without load."""

    channels: tuple[ChannelCheck, ...]
    plates: tuple[PlateCheck, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class WeightCheck:
    """A known mass on one plate.

    Attributes
    ----------
    plate : str
        The one whose vertical force changed most.
    mass_kg, expected_n, measured_n : float
        `measured_n` is the vertical force less that without the mass.
    deviation_n, deviation_pct : float
    noise_n : float
        SD of the vertical force.
    cop_m : tuple of 2 float or None
        Mean centre of pressure in the lab, x and y, m; None where the plate has no moments or the mass is too small.
    cop_sd_m : tuple of 2 float or None
    others_n : float
        Largest change of the vertical force of another plate.
    findings : tuple of Finding
    """

    plate: str
    mass_kg: float
    expected_n: float
    measured_n: float
    deviation_n: float
    deviation_pct: float
    noise_n: float
    cop_m: tuple[float, float] | None
    cop_sd_m: tuple[float, float] | None
    others_n: float
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(device: Device, seconds: float, look: Callable[[Measured], None] | None = None) -> Measured:
    """Start an open device, take its frames for a while, and stop it.

    Parameters
    ----------
    device : Device
        Open and not running.
    seconds : float
        0.5 to 600.
    look : callable, optional
        Called with what is there so far a few times a second.

    Raises
    ------
    DataError
        `seconds` is not in that range.
    DeviceTimeoutError
        No frame came for 5 s.
    DeviceError
        The device failed.
    """
    low, high = SECONDS
    if not low <= seconds <= high:
        raise DataError(f"{seconds:g} s to measure: {low:g} to {high:g} s are possible")
    rate = device.rate_hz
    raw = np.empty((max(round(seconds * rate), 1), len(device.channels)))
    lost: list[tuple[int, int]] = []
    done, heard, looked = 0, time.monotonic(), time.monotonic()
    device.start()
    try:
        while done < len(raw):
            n = device.read_into(raw[done:], timeout_s=LOOK_S)
            now = time.monotonic()
            if device.lost_before:
                lost.append((done, device.lost_before))
            done += n
            if n:
                heard = now
            elif now - heard > SILENT_S:
                raise DeviceTimeoutError(f"{device}: no frame came for {SILENT_S:g} s ({done} came before)")
            if look is not None and done and now - looked >= LOOK_S:
                look(Measured(raw[:done], rate, tuple(lost)))
                looked = now
    finally:
        device.stop()
    return Measured(raw, rate, tuple(lost))


def check_rig(rig: Rig, device: Device, seen: Measured) -> RigCheck:
    """Offsets, noise and ends of the range of every channel and plate, with nothing on the plates."""
    channels = tuple(_channel(rig, device, k, seen.raw[:, k]) for k in range(len(rig.channels)))
    plates = plates_of(rig, seen)
    findings = [_of_frames(seen)]
    findings += [finding for k, channel in enumerate(channels) for finding in _of_channel(rig, k, channel)]
    for plate, shown in zip(rig.plates, plates, strict=True):
        findings += _of_plate(plate, shown)
    if rig.treadmill is not None and rig.treadmill.address is not None:
        findings.append(check_belts(rig.treadmill.address))
    if not plates:
        findings.append(Finding("fail", "plates", "the rig file has no [[plates]] yet"))
    return RigCheck(channels, plates, tuple(findings))


def plates_of(rig: Rig, seen: Measured) -> tuple[PlateCheck, ...]:
    """What every plate shows."""
    return tuple(_plate(plate, seen.raw) for plate in rig.plates)


def weigh(
    rig: Rig, tare: RigTare, loaded: Measured, mass_kg: float, tolerance: float = SUSPECT_FRACTION
) -> WeightCheck:
    """Compare what a plate shows of a mass that rests on it with its weight.

    Parameters
    ----------
    rig : Rig
    tare : RigTare
        Of the plates without it.
    loaded : Measured
    mass_kg : float
        More than 0.
    tolerance : float
        Largest deviation that passes, as a share; 2 % by default.

    Raises
    ------
    DataError
        The mass is no positive number, or no frame has a value.
    """
    if not 0.0 < mass_kg < 10_000.0:
        raise DataError(f"{mass_kg:g} kg: the mass of the weight is a positive number")
    wrench = rig.wrenches(loaded.raw, tare)
    vertical = wrench[:, 2::6]
    vertical = vertical[np.isfinite(vertical).all(axis=1)]
    if not len(vertical):
        raise DataError("no frame with the weight has a value on every plate")
    means = vertical.mean(axis=0)
    k = int(np.abs(means).argmax())
    expected, measured = mass_kg * STANDARD_GRAVITY, float(means[k])
    deviation = measured - expected
    cop, cop_sd, inside = _spot(rig.plates[k], rig.trial(loaded.raw, loaded.rate_hz, tare).plates[k].cop)
    others = float(np.abs(np.delete(means, k)).max(initial=0.0))
    findings = [_of_weight(rig.plates[k], expected, measured, tolerance)]
    if inside is not None:
        findings.append(inside)
    if not others <= tolerance * expected:
        findings.append(
            Finding(
                "fail", "other plates", f"they change by {others:.1f} N: does the weight touch two plates?"
            )
        )
    return WeightCheck(
        rig.plates[k].name,
        float(mass_kg),
        expected,
        measured,
        deviation,
        100.0 * deviation / expected,
        float(vertical[:, k].std()),
        cop,
        cop_sd,
        others,
        tuple(findings),
    )


def _channel(rig: Rig, device: Device, k: int, values: FloatArray) -> ChannelCheck:
    channel = device.channels[k]
    finite = values[np.isfinite(values)]
    at_end = 0
    if channel.low is not None and channel.high is not None:
        middle, half = 0.5 * (channel.low + channel.high), 0.5 * (channel.high - channel.low)
        at_end = int((np.abs(finite - middle) >= RANGE_FRACTION * half).sum())
    there = len(finite) > 0
    return ChannelCheck(
        rig.channels[k],
        channel.unit,
        float(finite.mean()) if there else None,
        float(finite.std()) if there else None,
        float(finite.min()) if there else None,
        float(finite.max()) if there else None,
        channel.low,
        channel.high,
        at_end,
        len(values) - len(finite),
    )


def _plate(plate: RigPlate, raw: FloatArray) -> PlateCheck:
    frames = plate.raw(raw)
    forces = plate.model.wrench(frames)[:, :3]
    seen = np.isfinite(forces[:, 2])
    measured = [c for c in range(3) if seen.any() and np.isfinite(forces[seen, c]).all()]
    mean: list[float | None] = [None] * 3
    sd: list[float | None] = [None] * 3
    for c in measured:
        mean[c], sd[c] = float(forces[seen, c].mean()), float(forces[seen, c].std())
    offset = math.hypot(*(value for value in mean if value is not None)) if measured else None
    saturated = int(plate.model.saturated(frames).sum())
    return PlateCheck(plate.name, tuple(mean), offset, tuple(sd), saturated)


def _of_frames(seen: Measured) -> Finding:
    said = f"{len(seen.raw)} frames at {seen.rate_hz:g} Hz"
    if seen.n_lost:
        return Finding("fail", "frames", f"{said}, {seen.n_lost} lost in {len(seen.lost)} places")
    return Finding("pass", "frames", f"{said}, none lost")


def _of_channel(rig: Rig, k: int, channel: ChannelCheck) -> list[Finding]:
    what = f"channel {channel.name!r}"
    used = {column for plate in rig.plates for column in plate.columns}
    found = []
    if channel.n_bad:
        found.append(Finding("fail", what, f"{channel.n_bad} frames without a value"))
    if channel.n_at_end:
        found.append(Finding("fail", what, f"at an end of its range in {channel.n_at_end} frames"))
    if k in used and channel.sd == 0.0:
        found.append(
            Finding("note", what, f"always {channel.mean:g} {channel.unit}: is something connected to it?")
        )
    return found


def _of_plate(plate: RigPlate, seen: PlateCheck) -> list[Finding]:
    what = f"plate {plate.name!r}"
    if seen.offset_n is None:
        return [Finding("fail", what, "no frame has a value")]
    heaviest = max(value for value in seen.noise_n if value is not None)
    checks = [
        (
            seen.offset_n <= plate.max_tare_n,
            f"offset {seen.offset_n:.1f} N (limit {plate.max_tare_n:g} N)",
            ": is somebody on it?",
        ),
        (heaviest <= NOISY_N, f"noise {heaviest:.2f} N SD (limit {NOISY_N:g} N)", ""),
        (not seen.n_saturated, f"{seen.n_saturated} frames at an end of a channel's range", ""),
    ]
    return [
        Finding("pass" if good else "fail", what, text + ("" if good else hint))
        for good, text, hint in checks
    ]


def _of_weight(plate: RigPlate, expected: float, measured: float, tolerance: float) -> Finding:
    deviation = measured - expected
    text = f"{measured:.1f} N for {expected:.1f} N: {deviation:+.1f} N, {100.0 * deviation / expected:+.2f} %"
    if abs(deviation) <= tolerance * expected:
        return Finding("pass", f"weight on {plate.name!r}", f"{text} (limit {100.0 * tolerance:g} %)")
    hint = f" (limit {100.0 * tolerance:g} %): check gain, matrix and unit"
    if abs(measured + expected) <= 0.1 * expected:
        other = "action" if plate.model.convention == "reaction" else "reaction"
        hint = f': the sign is wrong; is convention = "{other}"?'
    elif abs(measured) < 0.05 * expected:
        hint = ": no plate shows it"
    return Finding("fail", f"weight on {plate.name!r}", text + hint)


def _spot(
    plate: RigPlate, cop: FloatArray
) -> tuple[tuple[float, float] | None, tuple[float, float] | None, Finding | None]:
    """Mean and SD of the centre of pressure, and whether it is on the plate."""
    seen = cop[np.isfinite(cop).all(axis=1)]
    if not len(seen):
        return None, None, None
    mean, sd = seen.mean(axis=0), seen.std(axis=0)
    text = (
        f"at x {1e3 * mean[0]:.0f} mm, y {1e3 * mean[1]:.0f} mm of the lab (SD {1e3 * sd[:2].max():.1f} mm)"
    )
    status: Status = "note"
    if plate.model.corners_lab is not None:
        own = (plate.model.corners_lab - plate.model.centre_m) @ plate.model.rotation
        place = (mean - plate.model.centre_m) @ plate.model.rotation
        on_it = bool(((own.min(axis=0) <= place) & (place <= own.max(axis=0)))[:2].all())
        status = "pass" if on_it else "fail"
        text += "" if on_it else ", which is not on the plate: check the moments and origin_m"
    return (
        (float(mean[0]), float(mean[1])),
        (float(sd[0]), float(sd[1])),
        Finding(status, "centre of pressure", text),
    )


def check_belts(address: str) -> Finding:
    """Whether the treadmill of a rig tells its speed now; it is only listened to."""
    try:
        with open_treadmill(address) as treadmill:
            state = treadmill.state()
    except (DeviceError, DataError) as error:
        return Finding("fail", "treadmill", str(error))
    speeds = f"{state.speed_left_m_s:.2f} and {state.speed_right_m_s:.2f} m/s"
    return Finding("pass", "treadmill", f"belts at {speeds}, incline {state.incline_deg:.1f} degrees")


def worst(findings: Sequence[Finding]) -> Status:
    """The gravest status among findings."""
    ranks: tuple[Status, ...] = ("pass", "note", "fail")
    return max((finding.status for finding in findings), key=ranks.index, default="pass")
