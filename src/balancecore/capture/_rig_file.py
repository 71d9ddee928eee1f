"""What may stand in a rig file, and how it becomes plates: needs msgspec, so it is imported only where one is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct, field

from balancecore import plates
from balancecore.capture._rig_text import line_of
from balancecore.capture.device import Address
from balancecore.capture.rig import Rig, RigAnalog, RigPlate, RigTreadmill
from balancecore.errors import DataError, RigError
from balancecore.plates import MAX_OFFSET_N, FloatArray, PlateModel
from balancecore.trial import CHANNELS, MAX_PLATES, Convention, axis_rotation

__all__ = [
    "ANALOG_UNITS",
    "MAKERS",
    "MODELS",
    "RAW_UNITS",
    "AnalogTable",
    "PlateBase",
    "RigTable",
    "TreadmillTable",
    "build",
]

#: Units in which a device may give a channel.
RAW_UNITS = ("V", "mV", "uV", "mV/V", "A", "mA", "counts", "N", "kN", "N*m", "N*mm")
#: Units of other channels, behind their scale; "" where there is none.
ANALOG_UNITS = (
    "",
    *RAW_UNITS,
    *("%", "m", "mm", "m/s", "km/h", "m/s^2", "g", "deg", "rad", "deg/s", "rad/s", "s", "Hz", "kg", "W", "J"),
    *("Pa", "kPa", "bar", "degC", "T", "uT"),
)
#: Larger files are no rig files.
MAX_BYTES = 1 << 18

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[list[Text], Meta(min_length=1)]
Numbers = float | list[float]
Matrix = list[list[float]]


class _Table(Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class PlateBase(_Table, kw_only=True, tag_field="model"):
    name: Annotated[Text, Meta(description="What you call it; unique.")]
    side: Annotated[
        Literal["L", "R", "?"], Meta(description='Foot that belongs on it: "L", "R", or "?" for both.')
    ] = "?"
    channels: Annotated[Names, Meta(description="Names among the rig's channels, in the order of the model.")]
    convention: Annotated[
        Convention,
        Meta(
            description='"reaction": the channels show the force on the body; "action": the force on the plate.'
        ),
    ]
    axes: Annotated[
        list[str] | None,
        Meta(
            description='The plate\'s axes that point along the lab\'s x, y and z, such as ["y", "x", "-z"].'
        ),
    ] = None
    centre_m: Annotated[
        list[float] | None,
        Meta(description="Centre of the top surface in the lab, m; the mean of the corners."),
    ] = None
    corners_m: Annotated[
        Matrix | None,
        Meta(
            description="Corners of the top surface in the lab, m: at +x+y, -x+y, -x-y and +x-y of the plate's own "
            "axes. Without axes they tell how the plate lies."
        ),
    ] = None
    max_tare_n: Annotated[
        float,
        Meta(gt=0.0, description="Largest offset that a tare takes for an offset and not for a load, N."),
    ] = MAX_OFFSET_N


class _Amti(PlateBase, kw_only=True, tag="amti"):
    sensitivity: Annotated[
        Matrix, Meta(description="6 × 6 of the data sheet, µV per V of excitation and N or N·m.")
    ]
    gain: Annotated[Numbers, Meta(description="Of the amplifier, one for all or six.")]
    excitation_v: Annotated[Numbers, Meta(description="Excitation of the bridges, V, one for all or six.")]
    origin_m: Annotated[
        list[float],
        Meta(description="From the sensors' origin to the centre of the top surface, plate's axes, m."),
    ] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    range_v: Annotated[Numbers, Meta(description="Largest voltage of the amplifier or converter, V.")] = 10.0


class _Bertec(PlateBase, kw_only=True, tag="bertec"):
    scale: Annotated[
        list[float | list[float]],
        Meta(description="Six numbers, N/V and N·m/V, or the 6 × 6 matrix of older plates."),
    ]
    gain: Annotated[Numbers, Meta(description="Of the amplifier, one for all or six.")]
    origin_m: Annotated[
        list[float],
        Meta(description="From the sensors' origin to the centre of the top surface, plate's axes, m."),
    ] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    range_v: Annotated[Numbers, Meta(description="Largest voltage of the amplifier or converter, V.")] = 5.0


class _Kistler(PlateBase, kw_only=True, tag="kistler"):
    a_m: Annotated[float, Meta(description="Distance of the sensors from the centre along x, m.")]
    b_m: Annotated[float, Meta(description="Distance of the sensors from the centre along y, m.")]
    az0_m: Annotated[float, Meta(description="Height of the top surface in the plate's axes, m; negative.")]
    newton_per_unit: Annotated[
        Numbers | None,
        Meta(description="N per unit of the channels, one for all or eight; or the next three keys."),
    ] = None
    range_pc: Annotated[
        Numbers | None, Meta(description="Range of the charge amplifiers, pC, one for all or eight.")
    ] = None
    sensitivity_pc_n: Annotated[
        Numbers | None, Meta(description="Sensitivity of the plate's sheet, pC/N, one for all or eight.")
    ] = None
    full_scale_v: Annotated[
        float, Meta(gt=0.0, description="Output of the charge amplifiers at the full range, V.")
    ] = 10.0
    cop_polynomial_mm: Annotated[
        list[float] | None, Meta(description="The twelve coefficients of the sheet, for mm.")
    ] = None
    range_raw: Annotated[Numbers | None, Meta(description="Largest value, in the channels' unit.")] = None
    unit: Annotated[
        str | list[str],
        Meta(description="Unit in which the device gives the channels: one for all, or one each."),
    ] = "V"


class _LoadCells(PlateBase, kw_only=True, tag="load_cells"):
    positions_m: Annotated[
        Matrix, Meta(description="Place of each cell from the centre of the top surface, m.")
    ]
    gain: Annotated[Numbers, Meta(description="N per unit of each channel, or one for all.")]
    offset: Annotated[
        Numbers, Meta(description="Value without load of each channel; a tare replaces it.")
    ] = 0.0
    cell_axes: Annotated[
        str | list[str],
        Meta(description='Axes that each cell measures, such as "z" or "xyz", or one a cell.'),
    ] = "z"
    range_raw: Annotated[Numbers | None, Meta(description="Largest value, in the channels' unit.")] = None
    unit: Annotated[
        str | list[str],
        Meta(description="Unit in which the device gives the channels: one for all, or one each."),
    ] = "V"


class _SixComponent(PlateBase, kw_only=True, tag="six_component"):
    matrix: Annotated[Matrix, Meta(description="Six rows, Fx to Mz in N and N·m, a column for each channel.")]
    origin_m: Annotated[
        list[float],
        Meta(description="From the sensors' origin to the centre of the top surface, plate's axes, m."),
    ] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    missing: Annotated[list[str], Meta(description="Components that it does not measure.")] = field(
        default_factory=list
    )
    cop_polynomial_mm: Annotated[
        list[float] | None,
        Meta(description="Kistler's correction: the twelve coefficients of the sheet, for mm."),
    ] = None
    range_raw: Annotated[Numbers | None, Meta(description="Largest value, in the channels' unit.")] = None
    unit: Annotated[
        str | list[str],
        Meta(description="Unit in which the device gives the channels: one for all, or one each."),
    ] = "V"


class _Calibrated(PlateBase, kw_only=True, tag="calibrated"):
    origin_m: Annotated[
        list[float], Meta(description="From the point of the moments to the centre of the top surface, m.")
    ] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    missing: Annotated[list[str], Meta(description="Components that it does not measure.")] = field(
        default_factory=list
    )


#: Names of the models, as `model` has them.
MODELS = ("amti", "bertec", "kistler", "load_cells", "six_component", "calibrated")
PlateTable = _Amti | _Bertec | _Kistler | _LoadCells | _SixComponent | _Calibrated


class AnalogTable(_Table, kw_only=True):
    """A channel beside the plates."""

    name: Annotated[Text, Meta(description="What you call it; unique.")]
    channel: Annotated[Text, Meta(description="Name among the rig's channels.")]
    unit: Annotated[str, Meta(description="Unit of the value.")]
    scale: Annotated[float, Meta(description="value = scale · (raw - offset).")] = 1.0
    offset: Annotated[float, Meta(description="In the unit of the device.")] = 0.0
    raw_unit: Annotated[
        Text | None, Meta(description="Unit in which the device gives it; not checked without.")
    ] = None


class TreadmillTable(_Table, kw_only=True):
    """The treadmill under the plates."""

    address: Annotated[
        Text | None,
        Meta(
            description="Address of a treadmill that tells its speed over the network, such as "
            '"bertec://192.168.0.5:4000"; it is only listened to.'
        ),
    ] = None
    speed: Annotated[
        list[Text], Meta(description="Names of [[analog]] entries with the speed of each belt.")
    ] = field(default_factory=list)
    incline: Annotated[Text | None, Meta(description="Name of an [[analog]] entry with the incline.")] = None


class RigTable(_Table, kw_only=True):
    """The whole file."""

    format: Annotated[Literal[1], Meta(description="Version of this format: 1.")]
    device: Annotated[Text, Meta(description="Address of the device.")]
    channels: Annotated[Names, Meta(description="Every channel of the device, in its order.")]
    lab_axes: Annotated[
        list[str] | None,
        Meta(description="The lab's axes that point to the subject's right, forward and up."),
    ] = None
    plates: Annotated[
        list[PlateTable],
        Meta(max_length=MAX_PLATES, description="One table a plate; a rig without any can't measure yet."),
    ] = field(default_factory=list)
    analog: Annotated[list[AnalogTable], Meta(description="One table a channel.")] = field(
        default_factory=list
    )
    treadmill: Annotated[TreadmillTable | None, Meta(description="One table.")] = None


class Refusal:
    """Makes the one RigError of a file: name, line, key, reason."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def __call__(self, key: str, reason: str) -> RigError:
        """The error for a key path such as ``plates[1].matrix``."""
        line = line_of(self.text, key)
        place = f"{self.name}, line {line}" if line else self.name
        return RigError(f"{place}: {key}: {reason}" if key else f"{place}: {reason}")

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Turn what goes wrong with a key's value into its RigError."""
        try:
            yield
        except RigError:
            raise
        except DataError as error:
            raise self(key, str(error)) from error


def decode(text: str, refuse: Refusal) -> RigTable:
    """The checked tables of a file; their values may still not fit one another."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise RigError(f"{refuse.name}: a rig file has {MAX_BYTES} bytes at most")
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise _syntax_error(refuse.name, error) from error
    try:
        return msgspec.convert(raw, RigTable, strict=True)
    except msgspec.ValidationError as error:
        raise refuse(*_key_and_reason(str(error))) from error


def _syntax_error(name: str, error: Exception) -> RigError:
    found = re.search(r"^(.*?) \(at line (\d+), column (\d+)\)$", str(error), re.DOTALL)
    if found:
        return RigError(f"{name}, line {found[2]}: no valid TOML: {found[1]} (column {found[3]})")
    return RigError(f"{name}: no valid TOML: {error or type(error).__name__}")


def _key_and_reason(message: str) -> tuple[str, str]:
    """What msgspec says, with the path and the words as the user of the file knows them."""
    reason, _, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    inner = re.match(r"Object (contains unknown|missing required) field `(.*)`$", reason, re.DOTALL)
    if inner is not None:
        key = f"{key}.{inner[2]}" if key else inner[2]
        return key, "there is no such key" if "unknown" in inner[1] else "this key is missing"
    if reason.startswith("Invalid") and (wanted := _CHOICES.get(key.rpartition(".")[2])):
        return key, f"{reason[reason.rfind(' ') + 1 :]} is none of {wanted}"
    for theirs, ours in _WORDS.items():
        reason = reason.replace(f"`{theirs}`", ours)
    return key, reason[:1].lower() + reason[1:]


_CHOICES = {
    "format": "1",
    "side": '"L", "R" and "?"',
    "convention": '"reaction" and "action"',
    "model": ", ".join(f'"{name}"' for name in MODELS),
}
#: What msgspec calls things, and what a person does.
_WORDS = {
    "array": "a list",
    "object": "a table",
    "str": "a text",
    "float": "a number",
    "int": "a number",
    "bool": "true or false",
    "str | null": "a text",
    "str | array": "a text or a list",
    "float | null": "a number",
    "float | array": "a number or a list",
    "float | array | null": "a number or a list",
    "array | null": "a list",
    "object | null": "a table",
}


def build(text: str, name: str) -> Rig:
    """The rig of a TOML text."""
    refuse = Refusal(name, text)
    table = decode(text, refuse)
    with refuse.at("device"):
        Address.parse(table.device)
    _unique(table.channels, lambda k: f"channels[{k}]", refuse)
    _unique([plate.name for plate in table.plates], lambda k: f"plates[{k}].name", refuse)
    _unique([entry.name for entry in table.analog], lambda k: f"analog[{k}].name", refuse)
    column = {channel: k for k, channel in enumerate(table.channels)}
    turn = None
    if table.lab_axes is not None:
        with refuse.at("lab_axes"):
            turn = axis_rotation(table.lab_axes)
    _check_plate_channels(table, column, refuse)
    made = tuple(_plate(plate, f"plates[{k}]", column, turn, refuse) for k, plate in enumerate(table.plates))
    analog = tuple(_analog(entry, f"analog[{k}]", column, refuse) for k, entry in enumerate(table.analog))
    return Rig(
        table.device,
        tuple(table.channels),
        made,
        analog,
        _treadmill(table, refuse),
        text,
        table.lab_axes is not None,
    )


def _unique(names: Sequence[str], key: Callable[[int], str], refuse: Refusal) -> None:
    seen: dict[str, int] = {}
    for k, name in enumerate(names):
        if name in seen:
            raise refuse(key(k), f"{name!r} is {key(seen[name])} already")
        seen[name] = k


def _check_plate_channels(table: RigTable, column: dict[str, int], refuse: Refusal) -> None:
    """Each exists, and belongs to one plate."""
    seen: dict[str, str] = {}
    for p, plate in enumerate(table.plates):
        for c, channel in enumerate(plate.channels):
            key = f"plates[{p}].channels[{c}]"
            if channel not in column:
                raise refuse(key, f"{channel!r} is none of the rig's channels")
            if channel in seen:
                raise refuse(key, f"{channel!r} is {seen[channel]} already")
            seen[channel] = key


def _plate(
    table: PlateTable, key: str, column: dict[str, int], turn: FloatArray | None, refuse: Refusal
) -> RigPlate:
    return RigPlate(
        table.name,
        table.side,
        build_plate(table, key, turn, refuse),
        tuple(column[channel] for channel in table.channels),
        tuple(table.channels),
        raw_units(table, key, refuse),
        table.max_tare_n,
    )


def _analog(table: AnalogTable, key: str, column: dict[str, int], refuse: Refusal) -> RigAnalog:
    if table.channel not in column:
        raise refuse(f"{key}.channel", f"{table.channel!r} is none of the rig's channels")
    if table.unit not in ANALOG_UNITS:
        raise refuse(f"{key}.unit", f"unknown unit {table.unit!r}; known: {_listed(ANALOG_UNITS)}")
    if table.raw_unit is not None and table.raw_unit not in ANALOG_UNITS:
        raise refuse(f"{key}.raw_unit", f"unknown unit {table.raw_unit!r}; known: {_listed(ANALOG_UNITS)}")
    if not (np.isfinite(table.scale) and table.scale):
        raise refuse(f"{key}.scale", "a finite number other than 0 is wanted")
    if not np.isfinite(table.offset):
        raise refuse(f"{key}.offset", "a finite number is wanted")
    return RigAnalog(
        table.name,
        table.unit,
        table.scale,
        table.offset,
        column[table.channel],
        table.channel,
        table.raw_unit,
    )


def _treadmill(table: RigTable, refuse: Refusal) -> RigTreadmill | None:
    if table.treadmill is None:
        return None
    given = table.treadmill
    units = {entry.name: entry.unit for entry in table.analog}
    wanted = [(f"treadmill.speed[{k}]", name, ("m/s", "km/h")) for k, name in enumerate(given.speed)]
    if given.incline is not None:
        wanted.append(("treadmill.incline", given.incline, ("deg", "%")))
    for key, name, fitting in wanted:
        if name not in units:
            raise refuse(key, f"{name!r} is the name of no [[analog]] entry")
        if units[name] not in fitting:
            raise refuse(key, f"{name!r} is in {units[name] or 'no unit'}, not in {' or '.join(fitting)}")
    if given.address is not None:
        with refuse.at("treadmill.address"):
            Address.parse(given.address)
    return RigTreadmill(tuple(given.speed), given.incline, given.address)


def _listed(units: Sequence[str]) -> str:
    return ", ".join(unit or '""' for unit in units)


def build_plate(table: PlateTable, key: str, turn: FloatArray | None, refuse: Refusal) -> PlateModel:
    """The plate of a table, lying in the lab whose axes `turn` takes to right, forward and up."""
    _check_numbers(table, key, refuse)
    with refuse.at(key), np.errstate(all="ignore"):
        # Absurd numbers overflow here; what they lead to is refused as not finite.
        model = MAKERS[type(table)](table)
    if len(model.channels) != len(table.channels):
        raise refuse(
            f"{key}.channels",
            f"{len(table.channels)} channels; this model has {len(model.channels)}: {' '.join(model.channels)}",
        )
    with np.errstate(all="ignore"):
        model = _placed(replace(model, convention=table.convention), table, key, refuse)
    if turn is not None:
        corners = None if model.corners_lab is None else model.corners_lab @ turn.T
        model = replace(
            model, rotation=turn @ model.rotation, centre_m=turn @ model.centre_m, corners_lab=corners
        )
    if "Fz" in model.missing_lab:
        raise refuse(key, "the vertical force can't be told from these channels")
    return model


def raw_units(table: PlateTable, key: str, refuse: Refusal) -> tuple[str, ...]:
    """Unit in which the device should give each channel of a plate."""
    if isinstance(table, _Calibrated):
        return ("N",) * 3 + ("N*m",) * 3
    if isinstance(table, _Amti | _Bertec):
        return ("V",) * len(table.channels)
    several = isinstance(table.unit, list)
    units = tuple(table.unit) if isinstance(table.unit, list) else (table.unit,) * len(table.channels)
    if len(units) != len(table.channels):
        raise refuse(f"{key}.unit", f"one unit, or {len(table.channels)} of them wanted, not {len(units)}")
    for k, unit in enumerate(units):
        if unit not in RAW_UNITS:
            place = f"{key}.unit[{k}]" if several else f"{key}.unit"
            raise refuse(place, f"unknown unit {unit!r}; known: {_listed(RAW_UNITS)}")
    return units


def _placed(model: PlateModel, table: PlateTable, key: str, refuse: Refusal) -> PlateModel:
    if table.axes is None and table.corners_m is None:
        raise refuse(key, "it needs corners_m, or axes and centre_m: how does the plate lie in the lab?")
    if table.axes is None:
        if table.centre_m is not None:
            raise refuse(f"{key}.centre_m", "the corners tell the centre, unless axes are given too")
        with refuse.at(f"{key}.corners_m"):
            return model.placed(corners_m=table.corners_m)
    with refuse.at(f"{key}.axes"):
        model = model.placed(axes=table.axes)
    if table.corners_m is None and table.centre_m is None:
        raise refuse(key, "with axes it needs centre_m, or corners_m, too")
    corners = None if table.corners_m is None else np.array(table.corners_m)
    if corners is not None:
        # Which corner is which is told by the axes; but they must be those of a plate.
        with refuse.at(f"{key}.corners_m"):
            plates.pose(corners)
    centre = (
        np.array(table.centre_m) if corners is None or table.centre_m is not None else corners.mean(axis=0)
    )
    return replace(model, centre_m=centre, corners_lab=corners)


def _amti_model(table: _Amti) -> PlateModel:
    return plates.amti(
        table.sensitivity,
        gain=table.gain,
        excitation_v=table.excitation_v,
        origin_m=table.origin_m,
        range_v=table.range_v,
    )


def _bertec_model(table: _Bertec) -> PlateModel:
    return plates.bertec(table.scale, gain=table.gain, origin_m=table.origin_m, range_v=table.range_v)


def _kistler_model(table: _Kistler) -> PlateModel:
    if table.range_pc is not None and table.sensitivity_pc_n is not None and table.newton_per_unit is None:
        newton_per_unit: Any = plates.kistler_newton_per_volt(
            range_pc=table.range_pc, sensitivity_pc_n=table.sensitivity_pc_n, full_scale_v=table.full_scale_v
        )
    elif table.range_pc is None and table.sensitivity_pc_n is None and table.newton_per_unit is not None:
        newton_per_unit = table.newton_per_unit
    else:
        raise DataError("it needs newton_per_unit, or range_pc and sensitivity_pc_n, and not both")
    return plates.kistler(
        a_m=table.a_m,
        b_m=table.b_m,
        az0_m=table.az0_m,
        newton_per_unit=newton_per_unit,
        cop_polynomial_mm=table.cop_polynomial_mm,
        range_raw=table.range_raw,
    )


def _load_cells_model(table: _LoadCells) -> PlateModel:
    return plates.load_cells(
        table.positions_m,
        gain=table.gain,
        offset=table.offset,
        axes=table.cell_axes,
        range_raw=table.range_raw,
    )


def _six_component_model(table: _SixComponent) -> PlateModel:
    model = plates.six_component(
        table.matrix,
        channels=table.channels,
        origin_m=table.origin_m,
        range_raw=table.range_raw,
        missing=table.missing,
    )
    if table.cop_polynomial_mm is None:
        return model
    return replace(model, cop_polynomial=plates.polynomial_from_mm(table.cop_polynomial_mm))


def _calibrated_model(table: _Calibrated) -> PlateModel:
    return replace(plates.calibrated(origin_m=table.origin_m), missing=frozenset(table.missing))


MAKERS: dict[type[Any], Callable[[Any], PlateModel]] = {
    _Amti: _amti_model,
    _Bertec: _bertec_model,
    _Kistler: _kistler_model,
    _LoadCells: _load_cells_model,
    _SixComponent: _six_component_model,
    _Calibrated: _calibrated_model,
}


def _check_numbers(table: PlateTable, key: str, refuse: Refusal) -> None:
    """Shape of each list of numbers, and that they are finite."""
    for name, shapes in _shapes(table).items():
        value = getattr(table, name, None)
        if value is None:
            continue
        try:
            array = np.array(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            array = None
        if array is None or array.shape not in shapes:
            found = "rows of different lengths" if array is None else _spelled(array.shape)
            wanted = " or ".join(_spelled(shape) for shape in shapes)
            raise refuse(f"{key}.{name}", f"{wanted} wanted, not {found}")
        if not np.isfinite(array).all():
            raise refuse(f"{key}.{name}", "every number must be finite")
    if unknown := sorted(set(getattr(table, "missing", ())) - set(CHANNELS)):
        raise refuse(f"{key}.missing", f"{unknown[0]!r} is none of {', '.join(CHANNELS)}")


def _shapes(table: PlateTable) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Shapes that each key of a plate may have."""
    m = len(table.channels)
    each: tuple[tuple[int, ...], ...] = ((), (m,))
    cells = len(table.positions_m) if isinstance(table, _LoadCells) else 0
    return {
        "corners_m": ((4, 3),),
        "centre_m": ((3,),),
        "origin_m": ((3,),),
        "sensitivity": ((6, 6),),
        "scale": ((6,), (6, 6)),
        "matrix": ((6, m),),
        "positions_m": ((cells, 3), (cells, 2)),
        "cop_polynomial_mm": ((12,),),
        **dict.fromkeys(("a_m", "b_m", "az0_m", "full_scale_v", "max_tare_n"), ((),)),
        **dict.fromkeys(("gain", "excitation_v", "range_v", "newton_per_unit", "offset", "range_raw"), each),
        **dict.fromkeys(("range_pc", "sensitivity_pc_n"), each),
    }


def _spelled(shape: tuple[int, ...]) -> str:
    if not shape:
        return "one number"
    if len(shape) == 1:
        return f"{shape[0]} numbers"
    return f"{' × '.join(map(str, shape))} numbers"
