"""TDMS, LabVIEW's format for measurements, through npTDMS (extra ``record``).

A file of any make is read as delimited text is: its channels are columns, named by the channel, or by group and
channel where there are several groups (``FP1``, ``FP2``) and that tells plates apart. The rate is that of
``wf_increment``, units are those of ``unit_string``.

A recording of a device (docs/recording.md) becomes calibrated plates by the rig (or the one that the caller gives)
and the tare in it.

A trial that balancecore wrote has a group a plate (``plate 1`` …), then ``analog`` and ``markers``; each channel
has ``unit_string``, ``wf_increment`` and ``wf_samples``. The property ``balancecore_trial`` of the file has
everything else (see :mod:`._own`).
"""

from __future__ import annotations

import io
import logging
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from balancecore.errors import DataError, MissingExtraError
from balancecore.io import _own
from balancecore.io._columns import names_a_force
from balancecore.io._file import MAX_BYTES, FileBytes, TextFile
from balancecore.io._record import FloatArray, Options, RawFile
from balancecore.io._rigged import is_used, raw_of
from balancecore.io._table import Table
from balancecore.io.delimited import read_table
from balancecore.trial import Analog

if TYPE_CHECKING:
    from balancecore.trial import Trial

__all__ = ["is_tdms", "read_tdms", "write_tdms"]

_MAGIC = b"TDSm"
#: Recordings of devices name themselves at their very start (docs/recording.md).
_RECORDING, _HEAD_BYTES = b"balancecore_recording", 200
#: A piece takes about 10 µs to read: a file in more of them than this must be defragmented first.
_MAX_PIECES = 1 << 20
_SAME_RATE = 1e-9


def is_tdms(file: FileBytes) -> bool:
    """Whether the bytes are a TDMS file."""
    return file.data.startswith(_MAGIC)


def read_tdms(file: FileBytes, options: Options) -> RawFile:
    """Read a measurement or a written trial.

    Raises
    ------
    DataError
        A damaged file, one that claims more than it holds, or what any table may lack.
    MissingExtraError
        Without npTDMS.
    """
    nptdms = _nptdms("reading TDMS")
    text = TextFile(file.name, file.suffix, [], "row")
    if file.data[:_HEAD_BYTES].find(_RECORDING) > 0:
        return _read_recording(file, text, options)
    if len(file.data) > MAX_BYTES:
        raise text.error(f"{len(file.data) / 1e9:.1f} GB is more than the {MAX_BYTES / 1e9:.1f} GB read")
    try:
        # Every segment starts with the magic bytes, so that they are counted before any is looked at.
        _refuse_pieces(text, file.data.count(_MAGIC))
        # First what the file says of itself, then the numbers, once they are known to be there.
        said = nptdms.TdmsFile.read_metadata(io.BytesIO(file.data))
        _refuse_claims(text, said, len(file.data))
        opened = nptdms.TdmsFile.read(io.BytesIO(file.data))
        description = opened.properties.get(_own.KEY)
        channels = [(c, _numbers(c)) for group in opened.groups() for c in group.channels() if _is_number(c)]
    except DataError:
        raise
    # npTDMS does not promise which errors damage leads to.
    except Exception as error:
        raise text.error("the TDMS file is damaged or cut short") from error
    if description is not None and options.columns is None:
        return _own.restore(
            text, _own.parse(text, str(description)), [values for _, values in channels], options
        )
    return _read_any(text, channels, options)


def _read_recording(file: FileBytes, text: TextFile, options: Options) -> RawFile:
    """A recording by balancecore, with the rig and the tare that are in it."""
    # Loaded here: reading a table of numbers needs no devices.
    from balancecore.capture.recorded import Recording

    if options.units.named or options.resample or options.columns is not None:
        raise text.error(
            "units=, columns= and resample= have no use here: its rig says what its channels are"
        )
    trial = Recording.of(file).trial(rig=options.rig)
    if options.rate_hz is not None and not math.isclose(options.rate_hz, trial.rate_hz, rel_tol=1e-3):
        raise text.error(
            f"the rate is given as {options.rate_hz:g} Hz but the file says {trial.rate_hz:g} Hz"
        )
    return raw_of(trial)


def write_tdms(trial: Trial, file: BinaryIO) -> None:
    """Write a trial in one segment."""
    nptdms = _nptdms("writing TDMS")
    columns = _own.columns_of(trial)
    root = {_own.KEY: _own.describe(trial)}
    objects = [nptdms.RootObject(root)]
    for group in dict.fromkeys(column.group for column in columns):
        # Named here, because the library would put groups in the order of the alphabet.
        objects.append(nptdms.GroupObject(group))
        held = [column for column in columns if column.group == group]
        for column, label in zip(held, _own.unique_labels(held, lambda c: c.label), strict=True):
            properties = {
                "unit_string": column.unit.encode(errors="replace").decode(),
                "wf_start_offset": 0.0,
                "wf_increment": 1.0 / column.rate_hz,
                "wf_samples": len(column.values),
            }
            values = np.ascontiguousarray(column.values)
            objects.append(nptdms.ChannelObject(group, label, values, properties))
    with nptdms.TdmsWriter(file) as writer:
        writer.write_segment(objects)


def _nptdms(what: str) -> Any:
    try:
        import nptdms
    except ImportError as error:
        raise MissingExtraError(f"{what} needs npTDMS: pip install 'balancecore[record]'") from error
    # Whatever it logs of a damaged file is raised here.
    logging.getLogger("nptdms").setLevel(logging.CRITICAL)
    return nptdms


def _refuse_claims(text: TextFile, said: Any, held_bytes: int) -> None:
    """More numbers than bytes can't be, and an unfinished segment is a recording that was cut."""
    if said.file_status.incomplete_final_segment:
        raise text.error("its last segment is not complete: the file is cut short")
    # A segment may hold its channels in turns of one sample. The library does not publish how many turns.
    segments = getattr(getattr(said, "_reader", None), "_segments", None) or []
    _refuse_pieces(text, sum(segment.num_chunks for segment in segments))
    claimed = 0
    for group in said.groups():
        for channel in group.channels():
            size = getattr(channel.data_type, "size", None) or 1
            claimed += len(channel) * size
    if claimed > min(held_bytes, MAX_BYTES):
        raise text.error(
            f"it claims {claimed} bytes of numbers but is {held_bytes} bytes long: it is damaged"
        )


def _refuse_pieces(text: TextFile, pieces: int) -> None:
    if pieces > _MAX_PIECES:
        raise text.error(f"it is in more than {_MAX_PIECES} pieces: defragment it first")


def _is_number(channel: Any) -> bool:
    return np.dtype(channel.dtype).kind in "fiu"


def _numbers(channel: Any) -> FloatArray:
    return np.asarray(channel[:], dtype=np.float64)


def _read_any(text: TextFile, channels: list[tuple[Any, FloatArray]], options: Options) -> RawFile:
    """A table of the channels that are as long as the forces; the others become analog channels.

    With a rig, it is those as long as the first of its channels, and the others are left out, as from any table.
    """
    channels = [(channel, values) for channel, values in channels if len(values)]
    if not channels:
        raise text.error("no channel with numbers in this file")
    names = _names(channels)
    longest = max(range(len(channels)), key=lambda k: len(channels[k][1]))
    rig = options.rig
    leads = (
        k for k, name in enumerate(names) if (is_used(rig, name) if rig is not None else names_a_force(name))
    )
    lead = next(leads, longest)
    length = len(channels[lead][1])
    alike = [k for k, (_, values) in enumerate(channels) if len(values) == length]
    rates = {k: _rate(text, channels[k][0]) for k in range(len(channels))}
    stated = sorted({rate for k in alike if (rate := rates[k]) is not None})
    if stated and stated[-1] - stated[0] > _SAME_RATE * stated[-1]:
        raise text.error(f"its channels have different rates ({', '.join(f'{r:g} Hz' for r in stated)})")
    table = Table(
        np.column_stack([channels[k][1] for k in alike]),
        [names[k] for k in alike],
        [_unit(channels[k][0]) for k in alike],
        0,
    )
    raw = read_table(text, table, options, header_hz=stated[0] if stated else None)
    for k, (channel, values) in enumerate(channels):
        rate = rates[k]
        if k in alike or rig is not None:
            continue
        if rate is None:
            raw.notes.append(
                f"{text.name}: channel {names[k]!r} has another length and no rate: it was left out"
            )
        else:
            raw.analog.append(Analog(names[k], _unit(channel) or "", rate, values))
    return raw


def _names(channels: list[tuple[Any, FloatArray]]) -> list[str]:
    """Channels' names, with that of the group where this tells one from another."""
    if len({channel.group_name for channel, _ in channels}) == 1:
        return [channel.name for channel, _ in channels]
    plain = [channel.name for channel, _ in channels]
    return [
        f"{channel.group_name} {channel.name}" if plain.count(channel.name) > 1 else channel.name
        for channel, _ in channels
    ]


def _rate(text: TextFile, channel: Any) -> float | None:
    step = channel.properties.get("wf_increment")
    if step is None:
        return None
    if not isinstance(step, (int, float)) or not math.isfinite(step) or step < 0.0:
        raise text.error(f"channel {channel.name!r}: wf_increment={step!r} is not a time between samples")
    # LabVIEW writes 0 where it has no time axis.
    return 1.0 / float(step) if step > 0.0 else None


def _unit(channel: Any) -> str | None:
    unit = channel.properties.get("unit_string")
    return str(unit) if unit else None
