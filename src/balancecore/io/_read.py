"""The front door: choose the format, read every file, and make one trial of their plates."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from balancecore.errors import DataError
from balancecore.io._columns import parse_columns
from balancecore.io._file import FileBytes, TextFile, decode, load
from balancecore.io._record import ColumnMap, FloatArray, Options, RawFile, RawPlate
from balancecore.io._units import Units
from balancecore.io.bioware import is_bioware, is_bioware_dat, read_bioware, read_bioware_dat
from balancecore.io.c3d import is_c3d, read_c3d
from balancecore.io.delimited import is_own_csv, read_delimited, read_own_csv
from balancecore.io.netforce import FORMAT as NETFORCE
from balancecore.io.netforce import is_netforce, read_netforce
from balancecore.io.npy import is_npy, read_npy
from balancecore.io.opensim import is_opensim, read_opensim
from balancecore.io.parquet import is_parquet, read_parquet
from balancecore.io.qtm import is_qtm, is_qtm_analog, read_qtm, read_qtm_analog
from balancecore.io.tdms import is_tdms, read_tdms
from balancecore.io.vicon import is_vicon, read_vicon
from balancecore.trial import CHANNELS, Convention, Markers, Plate, Trial, axis_rotation, check_rate

if TYPE_CHECKING:
    from balancecore.capture.rig import Rig

__all__ = [
    "LOADED_N",
    "is_binary",
    "join",
    "list_paths",
    "make_options",
    "points_down",
    "polarity_note",
    "read",
    "read_raw",
    "side_note",
]

T = TypeVar("T")
#: A plate is taken as loaded above this, for the check of polarity: more than any offset or belt noise.
LOADED_N = 100.0
_SAME_RATE = 1e-6


def read(
    path_or_paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    convention: Convention | None = None,
    axes: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    columns: ColumnMap | Sequence[ColumnMap] | None = None,
    rate_hz: float | None = None,
    sides: Sequence[str] | None = None,
    resample: bool = False,
    delimiter: str | None = None,
    decimal: str | None = None,
    format: str | None = None,
    plate_origin_m: Sequence[float] | Sequence[Sequence[float]] | None = None,
    plate_zero: bool = False,
    rig: Rig | str | os.PathLike[str] | None = None,
) -> Trial:
    r"""Read a recording.

    The format is chosen by what the file holds, then by its ending: C3D (extra ``c3d``), QTM force exports, Kistler
    BioWare text and ``.dat``, Vicon Nexus CSV, AMTI NetForce text, OpenSim ``.mot`` and ``.sto``, TDMS (extra
    ``record``), Parquet (extra ``tables``), NumPy ``.npy``, what :func:`write` wrote, and delimited text of any other
    make. Text may be UTF-8, UTF-16 or cp1252.

    Parameters
    ----------
    path_or_paths : path or sequence of paths
        A file, or several files that hold the plates of one trial.
    convention : {"reaction", "action"}, optional
        Whether the files hold the force on the body or on the plate. Default: what the format defines (QTM,
        BioWare, Nexus: on the plate, OpenSim: on the body), else the reaction. It is never guessed;
        `Trial.notes` tells if it looks wrong.
    axes : sequence of 3 str, optional
        Which of the file's axes point to the subject's right, forward and up (see
        :func:`balancecore.trial.axis_rotation`). Default: what the format defines (OpenSim's ground frame:
        ``("z", "x", "y")``, BioWare: ``("-x", "y", "-z")``), else as they are, without vouching for which
        way "right" is.
    units : dict, optional
        Unit by kind: ``{"force": "N", "moment": "N.mm", "length": "mm", "time": "ms"}``. It outranks units
        that a header names; where neither names one, SI.
    columns : dict or sequence of dict, optional
        Which column holds which channel, one dict a plate: ``{"Fz": "my column"}`` or ``{"Fz": 2}`` (counted
        from 0). Channels are Fx Fy Fz Mx My Mz (about the plate's origin on its top surface), COPx COPy COPz,
        Tx Ty Tz (free moment about the COP) and time; ``"time": None`` says not to use the file's time.
        Default: by the names in the header. Where a plate has a COP but no moments, these are made of it.
    rate_hz : float, optional
        Frames per second; needed where the file does not tell, and refused where it tells another (by 0.1 %).
    sides : sequence of {"L", "R", "?"}, optional
        Which foot belongs on which plate.
    resample : bool
        Interpolate unevenly timed frames linearly to `rate_hz` or their median rate. Without it they are
        refused. Frames in steps longer than 1.5 periods become NaN.
    delimiter, decimal : str, optional
        How delimited text is written (``" "`` = white space), for the rare file where that can't be told.
    format : {"netforce"}, optional
        That a text without names is AMTI NetForce's: Fx Fy Fz Mx My Mz of each plate. Needed only where the text was
        written anew; `rate_hz` is needed in any case.
    plate_origin_m : sequence of 3 float, or one a plate, optional
        C3D only: the plates' ORIGIN in m, which outranks the file's, whose sign and depth are often wrong. In the
        plate's own axes, from the sensors to the centre of the surface (z is negative where z points down); for types
        3, 6 and 7 half the distances of the sensors along x and y, and minus their depth.
    plate_zero : bool
        C3D only: subtract each channel's mean over the frames that FORCE_PLATFORM:ZERO names. Without it a note
        tells which these are.
    rig : Rig, or path of a rig file, optional
        What the columns of a table of raw channels (delimited text, TDMS, Parquet; in volts, say) mean: plates, other
        channels and their calibration, see docs/rig.md. Columns are found by the names of the rig's channels. For a
        recording of a device, a rig in place of the one in it.

    Returns
    -------
    Trial
        Reaction forces in N and N·m, with the sources' names and SHA-256 and notes on what was done or
        noticed.

    Raises
    ------
    DataError
        Whatever keeps a file from being read, with its name and the line and column.
    MissingExtraError
        A format that needs a package which is not installed.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "run.csv"
    >>> _ = path.write_text("time,Fz (N)\n0.000,0\n0.001,5\n0.002,9\n")
    >>> trial = read(path)
    >>> trial.rate_hz, trial.plates[0].wrench[:, 2].tolist()
    (1000.0, [0.0, 5.0, 9.0])
    >>> folder.cleanup()
    """
    options = make_options(
        convention=convention,
        axes=axes,
        units=units,
        columns=columns,
        rate_hz=rate_hz,
        resample=resample,
        delimiter=delimiter,
        decimal=decimal,
        format=format,
        plate_origin_m=plate_origin_m,
        plate_zero=plate_zero,
        rig=rig,
    )
    files = [load(path) for path in list_paths(path_or_paths)]
    raw = [read_raw(file, options) for file in files]
    trial = join(files, raw, options, sides)
    earlier = [
        {"name": file.name, "sha256": file.source.sha256, "written_from": dict(one.written.reading)}
        for file, one in zip(files, raw, strict=True)
        if one.written is not None
    ]
    reading = _as_asked(options, sides)
    return dataclasses.replace(trial, reading={**reading, "earlier": earlier} if earlier else reading)


def _as_asked(options: Options, sides: Sequence[str] | None) -> dict[str, object]:
    """The options of a reading in plain values, for provenance."""
    asked = {item.name: getattr(options, item.name) for item in dataclasses.fields(options)}
    asked["units"] = dict(options.units.named)
    asked["rig"] = None if options.rig is None else hashlib.sha256(options.rig.text.encode()).hexdigest()
    asked["columns"] = None if options.columns is None else [dict(c) for c in options.columns]
    return {**asked, "sides": None if sides is None else list(sides)}


def make_options(
    *,
    convention: Convention | None = None,
    axes: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    columns: object = None,
    rate_hz: float | None = None,
    resample: bool = False,
    delimiter: str | None = None,
    decimal: str | None = None,
    format: str | None = None,
    plate_origin_m: object = None,
    plate_zero: bool = False,
    rig: object = None,
) -> Options:
    """What the caller of :func:`read` asked for, checked."""
    if convention not in (None, "reaction", "action"):
        raise DataError(
            f"convention={convention!r}: it is 'reaction' (on the body) or 'action' (on the plate)"
        )
    if axes is not None:
        axis_rotation(axes)
    if delimiter not in (None, "\t", ",", ";", " "):
        raise DataError(f"delimiter={delimiter!r}: it is a tab, a comma, a semicolon or a space")
    if decimal not in (None, ".", ","):
        raise DataError(f"decimal={decimal!r}: it is '.' or ','")
    if format not in (None, NETFORCE):
        raise DataError(
            f"format={format!r}: it is {NETFORCE!r}; every other format is told by what the file holds"
        )
    if rig is not None and (axes is not None or convention is not None):
        raise DataError(
            "axes= and convention= have no use beside rig=: the rig file says both of each plate, and has lab_axes"
        )
    return Options(
        convention=convention,
        axes=None if axes is None else tuple(str(axis) for axis in axes),
        units=Units.parse(units),
        columns=parse_columns(columns),
        rate_hz=None if rate_hz is None else check_rate(rate_hz),
        resample=bool(resample),
        delimiter=delimiter,
        decimal=decimal,
        format=format,
        plate_origin_m=_origins(plate_origin_m),
        plate_zero=bool(plate_zero),
        rig=_rig(rig),
    )


def _rig(given: object) -> Rig | None:
    """The caller's ``rig=``."""
    if given is None:
        return None
    from balancecore.capture.rig import Rig, load_rig

    if isinstance(given, Rig):
        return given
    if not isinstance(given, (str, os.PathLike)):
        raise DataError(f"rig={given!r}: give a rig or the path of a rig file")
    return load_rig(os.fspath(given))


def _origins(given: object) -> tuple[tuple[float, float, float], ...] | None:
    """The caller's ``plate_origin_m=``: one origin, or one a plate."""
    if given is None:
        return None
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"plate_origin_m={given!r}: give three numbers in m, or three a plate") from error
    if array.shape == (3,):
        array = array[np.newaxis]
    if array.ndim != 2 or array.shape[1] != 3 or not len(array) or not np.isfinite(array).all():
        raise DataError(f"plate_origin_m={given!r}: give three numbers in m, or three a plate")
    return tuple((x, y, z) for x, y, z in array.tolist())


def list_paths(path_or_paths: object) -> list[str | os.PathLike[str]]:
    """One path or several as a list."""
    if isinstance(path_or_paths, (str, os.PathLike)):
        return [path_or_paths]
    if not isinstance(path_or_paths, Sequence) or isinstance(path_or_paths, bytes):
        raise DataError(f"give a path or a list of paths, not {type(path_or_paths).__name__}")
    if not path_or_paths:
        raise DataError("the list of paths is empty")
    return list(cast("Sequence[str | os.PathLike[str]]", path_or_paths))


#: Each format's name, how it is told by what the file holds (in words, and as a test), and its reader; the first
#: that fits.
_BINARY: tuple[tuple[str, str, Callable[[FileBytes], bool], Callable[[FileBytes, Options], RawFile]], ...] = (
    ("NumPy .npy", "its first bytes", is_npy, read_npy),
    ("C3D", "its second byte", is_c3d, read_c3d),
    ("TDMS", "its first bytes", is_tdms, read_tdms),
    ("Parquet", "its first bytes", is_parquet, read_parquet),
    ("Kistler BioWare .dat", "'CPlateEight' in its header", is_bioware_dat, read_bioware_dat),
)
#: Formats whose columns may be raw channels.
_QTM_ANALOG = "QTM analog export"
_RIGGED = ("TDMS", "Parquet", _QTM_ANALOG, "delimited text")
_NETFORCE = "AMTI NetForce text"
_TEXT: tuple[tuple[str, str, Callable[[TextFile], bool], Callable[[TextFile, Options], RawFile]], ...] = (
    ("balancecore CSV", "its first line", is_own_csv, read_own_csv),
    (_QTM_ANALOG, "'DATA_INCLUDED' with 'ANALOG' at its start", is_qtm_analog, read_qtm_analog),
    ("QTM force export", "'NO_OF_SAMPLES' at its start", is_qtm, read_qtm),
    ("Kistler BioWare text", "'BioWare' at its start", is_bioware, read_bioware),
    ("Vicon Nexus CSV", "'Devices' and 'Frame,Sub Frame'", is_vicon, read_vicon),
    ("OpenSim .mot/.sto", "'endheader'", is_opensim, read_opensim),
    (_NETFORCE, "an empty line, then numbers of five decimals between commas", is_netforce, read_netforce),
    ("delimited text", "being text of no other format", lambda text: True, read_delimited),
)


def is_binary(file: FileBytes) -> bool:
    """Whether a file is of a format that is no text."""
    return any(fits(file) for _, _, fits, _ in _BINARY)


def read_raw(file: FileBytes, options: Options) -> RawFile:
    """What one file holds, in the file's axes and sign."""
    if (options.plate_origin_m is not None or options.plate_zero) and not is_c3d(file):
        raise DataError(f"{file.name}: plate_origin_m= and plate_zero= are for C3D files only")
    # Numbers that overflow become infinite, which downstream treats as a gap.
    with np.errstate(all="ignore"):
        for name, known_by, fits, read_bytes in _BINARY:
            if fits(file):
                if options.format is not None:
                    raise DataError(f"{file.name}: format={options.format!r} is for text, this is {name}")
                _refuse_rig(file, name, options)
                return _called(read_bytes(file, options), name, known_by)
        text = decode(file)
        if options.format is not None:
            _refuse_rig(file, _NETFORCE, options)
            return _called(read_netforce(text, options), _NETFORCE, f"format={options.format!r}")
        for name, known_by, suits, read_text in _TEXT:
            if suits(text):
                _refuse_rig(file, name, options)
                return _called(read_text(text, options), name, known_by)
    raise AssertionError("delimited text fits every text")


def _refuse_rig(file: FileBytes, name: str, options: Options) -> None:
    if options.rig is not None and name not in _RIGGED:
        raise DataError(f"{file.name}: rig= is for raw channels; this is {name}, which says what it holds")


def _called(raw: RawFile, name: str, known_by: str) -> RawFile:
    raw.format, raw.known_by = name, known_by
    return raw


def join(files: list[FileBytes], raw: list[RawFile], options: Options, sides: Sequence[str] | None) -> Trial:
    """One trial of the plates of all files."""
    with np.errstate(all="ignore"):
        return _join(files, raw, options, sides)


def _join(files: list[FileBytes], raw: list[RawFile], options: Options, sides: Sequence[str] | None) -> Trial:
    first = raw[0]
    for file, other in zip(files, raw, strict=True):
        _refuse_mismatch(files[0].name, first, file.name, other)
    plates = [plate for one in raw for plate in one.plates]
    axes = options.axes or first.axes
    trial = Trial.from_wrenches(
        [plate.wrench for plate in plates],
        rate_hz=first.rate_hz,
        sides=[plate.side for plate in plates] if sides is None else sides,
        names=[plate.name for plate in plates],
        origins_m=np.array([plate.origin_m for plate in plates]),
        corners_m=[plate.corners_m for plate in plates],
        convention=options.convention or first.convention,
        axes=axes,
        sources=[file.source for file in files],
    )
    joined = tuple(
        _with_origin(plate, raw_plate, axes) for plate, raw_plate in zip(trial.plates, plates, strict=True)
    )
    notes = [note for one in raw for note in one.notes]
    if any(one.written is None for one in raw):
        noticed = [polarity_note(k, plate) for k, plate in enumerate(joined)]
        noticed += [side_note(joined)] if sides is None else []
        notes += [note for note in noticed if note is not None]
    return dataclasses.replace(
        _with_statements(trial, raw, options),
        plates=joined,
        notes=_without_repeats(notes, raw),
        analog=tuple(channel for one in raw for channel in one.analog),
        events=tuple(sorted((e for one in raw for e in one.events), key=lambda event: event.time_s)),
        markers=_lab_markers([one.markers for one in raw if one.markers is not None], files, axes),
    )


def _with_statements(trial: Trial, raw: list[RawFile], options: Options) -> Trial:
    """The trial with what its format says of axes and sources; a written trial keeps its own."""
    if options.axes is None:
        trial = dataclasses.replace(trial, lateral_known=trial.lateral_known and raw[0].lateral_known)
    written = [one.written for one in raw]
    first = written[0]
    if first is None:
        return trial
    return dataclasses.replace(
        trial,
        lateral_known=trial.lateral_known or all(w is not None and w.lateral_known for w in written),
        convention=options.convention or first.convention,
        axes=options.axes or first.axes,
        sources=_without_repeats(
            [
                source
                for own, read_from in zip(written, trial.sources, strict=True)
                for source in ((read_from,) if own is None else own.sources)
            ],
            raw,
        ),
    )


def _without_repeats(items: list[T], raw: list[RawFile]) -> tuple[T, ...]:
    """Plates of one trial that were written apart say the same twice."""
    return tuple(items) if len(raw) == 1 else tuple(dict.fromkeys(items))


def _lab_markers(found: list[Markers], files: list[FileBytes], axes: Sequence[str] | None) -> Markers | None:
    """The trial's markers in its lab frame; a trial has one set."""
    if not found:
        return None
    if len(found) > 1:
        raise DataError(f"{' and '.join(f.name for f in files)}: more than one file has markers")
    if axes is None:
        return found[0]
    return dataclasses.replace(found[0], positions_m=found[0].positions_m @ axis_rotation(axes).T)


def _refuse_mismatch(name: str, first: RawFile, other_name: str, other: RawFile) -> None:
    """Files of one trial must agree in whatever a trial has only one of."""
    if abs(other.rate_hz - first.rate_hz) > _SAME_RATE * first.rate_hz:
        raise DataError(
            f"{name} has {first.rate_hz:g} Hz but {other_name} {other.rate_hz:g} Hz: not one trial"
        )
    lengths = len(first.plates[0].wrench), len(other.plates[0].wrench)
    if lengths[0] != lengths[1]:
        raise DataError(f"{name} has {lengths[0]} frames but {other_name} {lengths[1]}: not one trial")
    if (first.convention, first.axes) != (other.convention, other.axes):
        raise DataError(
            f"{name} and {other_name} are of formats with different signs or axes: read them apart"
        )


def _with_origin(plate: Plate, raw: RawPlate, axes: Sequence[str] | None) -> Plate:
    """The plate with what its file says of it; the file's Fy may be the trial's Fz."""
    source = np.abs(np.eye(3) if axes is None else axis_rotation(axes)).argmax(axis=1)
    absent = {CHANNELS[k] for k in range(6) if CHANNELS[source[k % 3] + 3 * (k // 3)] in raw.missing}
    return dataclasses.replace(
        plate, missing=frozenset(absent), model=raw.model, saturated=raw.saturated, skew_s=raw.skew_s
    )


def points_down(fz: FloatArray) -> bool:
    """Whether the vertical force is negative under load."""
    size = np.abs(fz[np.isfinite(fz)])
    if not len(size) or float(size.max()) < LOADED_N:
        return False
    loaded = fz[np.abs(fz) >= max(LOADED_N, 0.5 * float(np.quantile(size, 0.99)))]
    return len(loaded) > 0 and float(np.median(loaded)) < 0.0


def polarity_note(index: int, plate: Plate) -> str | None:
    """Tell that the vertical force points down under load; turning it round is the caller's decision."""
    if not points_down(plate.wrench[:, 2]):
        return None
    return (
        f"plate {index + 1}{f' ({plate.name})' if plate.name else ''}: Fz is negative under "
        "load and was left so. Pass convention='action' if the file holds the force on the plate "
        "('reaction' if 'action' was used already), or axes= if its vertical axis points down"
    )


def side_note(plates: Sequence[Plate]) -> str | None:
    """Tell that the names of plates speak of sides, which proves nothing."""
    named = [
        plate.name
        for plate in plates
        if plate.side == "?" and any(side in plate.name.lower() for side in ("left", "right"))
    ]
    if not named:
        return None
    return f"plates are called {', '.join(named)}, but which foot landed on them is only taken from sides="
