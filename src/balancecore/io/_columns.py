"""From named columns to plates: which column holds which channel of which plate, in which unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from balancecore.errors import DataError
from balancecore.io._file import TextFile
from balancecore.io._record import ColumnMap, FloatArray, Options, RawPlate
from balancecore.io._table import Table
from balancecore.io._units import is_unit
from balancecore.trial import CHANNELS, COP_MIN_N, Analog

#: Every channel that a column may hold: forces, moments about the plate's origin, free moment about the
#: centre of pressure, centre of pressure, time.
ROLES = (*CHANNELS, "Tx", "Ty", "Tz", "COPx", "COPy", "COPz", "time")
_KIND = {"F": "force", "M": "moment", "T": "moment", "C": "length", "t": "time"}
#: The file's COP and that of its wrench are compared where the force is large, and reported beyond this.
_COP_CHECK_N = 50.0
_COP_REPORT_M = 1e-3

_PLATE = (
    r"(?:(?:force_?)?(?:plate|platform|fp|belt|amti|bertec|kistler|treadmill)_?(?:\d{1,2}|[lrab])?"
    r"|left|right|[lrab]|\d{1,2})"
)
_PLATES = rf"{_PLATE}(?:_{_PLATE})*"
_CORES = (
    (r"(?:grf|force|f)_?v?_?(?P<axis>[xyz])", "F"),
    (r"(?:vgrf|v_grf|vertical(?:_ground_reaction)?_force)", "Fz"),
    (r"(?:moment|m)_?(?P<axis>[xyz])", "M"),
    (r"(?:free_?(?:moment|torque)|t)_?(?P<axis>[z])", "T"),
    (r"(?:cop|p)_?(?P<axis>[xyz])", "COP"),
)
_GENERIC = tuple(
    (re.compile(rf"(?:(?P<pre>{_PLATES})_?)??{core}(?:_?(?P<post>{_PLATES}))?"), role)
    for core, role in _CORES
)
_OPENSIM = re.compile(
    r"(?:(?P<pre>[a-z0-9]+)_)?ground_(?P<kind>force|torque|moment)_(?:(?P<mid>[a-z0-9]+)_)?(?P<part>[vp]?)"
    r"(?P<axis>[xyz])(?:_(?P<post>[a-z0-9]+))?"
)
#: ``f1_3``: force of plate 1 along its third axis, as OpenSim writes tables made of C3D files.
_NUMBERED = re.compile(r"(?P<kind>[fpm])(?P<plate>\d{1,2})_(?P<axis>[123])")
_TIME = re.compile(r"(?:abs_|abs|rel_|elapsed_)?(?:time|t)(?:_?stamp)?")
_BRACKET = re.compile(r"(?P<name>.*?)\s*[(\[](?P<inside>[^()\[\]]*)[)\]]")
_UNIT_AT_END = re.compile(r"(?P<name>.+?)(?:\s*[_ ,/]\s*)(?P<unit>[A-Za-zµ]+(?:[.·*][A-Za-z]+)?)")
_MAX_NAME = 80
#: A Kistler plate's single transducers, which a file may hold beside the forces that they make up.
_KISTLER_PARTS = frozenset(("fx12", "fx34", "fy14", "fy23"))


@dataclass
class PlateColumns:
    """Column and header unit of each channel of one plate."""

    name: str
    column: dict[str, int] = field(default_factory=dict)
    unit: dict[str, str | None] = field(default_factory=dict)

    @property
    def has_force(self) -> bool:
        """Whether any force is there: without, it is no plate."""
        return any(role in self.column for role in CHANNELS[:3])


@dataclass
class Layout:
    """Which columns are whose."""

    plates: list[PlateColumns]
    time: int | None = None
    time_unit: str | None = None
    is_ground: bool = False
    """Whether the names are those of OpenSim's ground frame, which fixes the axes."""


def make_layout(text: TextFile, table: Table, columns: tuple[ColumnMap, ...] | None) -> Layout:
    """Columns as the caller says, else as their names say.

    Raises
    ------
    DataError
        Columns that are not there, or names that don't tell.
    """
    found = _recognise(text, table)
    if columns is None:
        return _checked(text, table, found)
    layout = Layout([], found.time, found.time_unit)
    for number, mapping in enumerate(columns):
        plate = PlateColumns(f"plate {number + 1}" if len(columns) > 1 else "")
        for role, wanted in mapping.items():
            index = None if wanted is None else find_column(text, table, wanted)
            if role == "time":
                layout.time, layout.time_unit = index, None if index is None else unit_of(table, index)
            elif index is not None:
                plate.column[role] = index
                plate.unit[role] = unit_of(table, index)
        layout.plates.append(plate)
    return layout


def parse_columns(columns: object) -> tuple[ColumnMap, ...] | None:
    """Check the caller's ``columns=``: a dict, or a list of dicts, one a plate."""
    if columns is None:
        return None
    maps = [columns] if isinstance(columns, dict) else columns
    if not isinstance(maps, Sequence) or isinstance(maps, str) or not maps:
        raise DataError(
            f"columns={columns!r}: give a dict such as {{'Fz': 'my column'}}, or a list of them, one a plate"
        )
    for mapping in maps:
        if not isinstance(mapping, dict) or not mapping:
            raise DataError(f"columns holds {mapping!r}: it must be a dict such as {{'Fz': 'my column'}}")
        for role, column in mapping.items():
            if role not in ROLES:
                raise DataError(f"columns has the key {role!r}: it knows {', '.join(ROLES)}")
            if isinstance(column, bool) or not isinstance(column, (int, str, type(None))):
                raise DataError(f"columns[{role!r}]={column!r}: name a column, or count it from 0")
    return tuple(maps)


def make_plates(
    text: TextFile, values: FloatArray, layout: Layout, options: Options, up: int
) -> list[RawPlate]:
    """Plates in SI of a table; `up` is the file's vertical axis, 0 to 2."""
    plates = []
    for columns in layout.plates:
        channel = {}
        for role, index in columns.column.items():
            try:
                scale = options.units.to_si(_KIND[role[0]], columns.unit[role])
            except DataError as error:
                raise text.error(f"column {index + 1} ({role}): {error}") from error
            channel[role] = values[:, index] * scale
        if f"F{'xyz'[up]}" not in channel:
            raise text.error(f"no vertical force (F{'xyz'[up]}) for {columns.name or 'the plate'}")
        plates.append(_assemble(text, channel, columns.name, up))
    return plates


def other_columns(table: Table, layout: Layout, values: FloatArray, rate_hz: float) -> list[Analog]:
    """The named columns that belong to no plate and are not the time, as analog channels."""
    used = {index for plate in layout.plates for index in plate.column.values()} | {layout.time}
    names = [None] * values.shape[1] if table.names is None else table.names
    return [
        Analog(name.strip(), unit_of(table, index) or "", rate_hz, np.ascontiguousarray(values[:, index]))
        for index, name in enumerate(names)
        if name and index not in used
    ]


def names_a_force(name: str) -> bool:
    """Whether a column of this name would be taken as a force of some plate."""
    hit = _parse_name(name)
    return hit is not None and hit[0].startswith("F")


def cop_note(
    file_name: str, wrench: FloatArray, origin_m: FloatArray, cop_x: FloatArray, cop_y: FloatArray
) -> str | None:
    """What to tell if a file's own centre of pressure is not that of its wrench (z up), else None."""
    fz = wrench[:, 2]
    loaded = np.abs(fz) > _COP_CHECK_N
    if not loaded.any():
        return None
    dx = origin_m[0] - wrench[loaded, 4] / fz[loaded] - cop_x[loaded]
    dy = origin_m[1] + wrench[loaded, 3] / fz[loaded] - cop_y[loaded]
    distance = np.hypot(dx, dy)
    distance = distance[np.isfinite(distance)]
    if not len(distance) or float(np.median(distance)) <= _COP_REPORT_M:
        return None
    return (
        f"{file_name}: its centre of pressure is {1e3 * float(np.median(distance)):.1f} mm "
        "(median) from that of its moments, so these are not about the origin on the top surface; "
        "leave them out of columns= to use the COP instead"
    )


def _recognise(text: TextFile, table: Table) -> Layout:
    layout = Layout([])
    plates: dict[str, PlateColumns] = {}
    names = table.names or []
    parts = {_normal(name) for name in names}
    is_kistler = parts >= _KISTLER_PARTS
    for index, name in enumerate(names):
        normal = _normal(_split_unit(name)[0])
        if is_kistler and (normal in _KISTLER_PARTS or re.fullmatch(r"fz[1-4]", normal)):
            continue
        if _is_time(name):
            if layout.time is None:
                layout.time, layout.time_unit = index, unit_of(table, index)
            continue
        hit = _parse_name(name)
        if hit is None:
            continue
        role, key, ground = hit
        layout.is_ground |= ground
        plate = plates.setdefault(key, PlateColumns(key))
        if role in plate.column:
            raise text.error(
                f"columns {plate.column[role] + 1} and {index + 1} are both {role}"
                f"{f' of {key}' if key else ''} ({name!r}): say which with columns="
            )
        plate.column[role], plate.unit[role] = index, unit_of(table, index)
    layout.plates = [plate for plate in plates.values() if plate.has_force]
    return layout


def _checked(text: TextFile, table: Table, layout: Layout) -> Layout:
    """The recognised layout, if the names leave no doubt."""
    if not layout.plates:
        width = table.values.shape[1]
        if table.names is None and width == 1:
            return Layout([PlateColumns("", {"Fz": 0}, {"Fz": None})])
        if table.names is None:
            netforce = "format='netforce' if AMTI NetForce wrote it, with rate_hz=; else " * (width % 6 == 0)
            raise text.error(
                f"{width} columns without names that can be told apart: {netforce}say which is which, such as "
                "columns={'Fx': 0, 'Fy': 1, 'Fz': 2} (counted from 0), or a list of such dicts, one a plate"
            )
        raise text.error(
            f"no force column among {_listed(table.names)}: name them with columns=, or raw channels with rig="
        )
    first = layout.plates[0]
    for plate in layout.plates[1:]:
        if set(plate.column) != set(first.column):
            raise text.error(
                f"the plates {first.name or '(unnamed)'!r} ({', '.join(first.column)}) and "
                f"{plate.name or '(unnamed)'!r} ({', '.join(plate.column)}) have different columns: "
                "say which is which with columns="
            )
    if not layout.is_ground and len(layout.plates) > 1 and any(not plate.name for plate in layout.plates):
        raise text.error(
            "columns with and without a plate in their name: is one the sum of the others? Use columns="
        )
    return layout


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def find_column(text: TextFile, table: Table, wanted: str | int, asked: str | None = None) -> int:
    """Index of a column by its name or place; `asked` is what asks for it, for messages.

    Raises
    ------
    DataError
        No such column, or more than one.
    """
    width = table.values.shape[1]
    if isinstance(wanted, int):
        if not 0 <= wanted < width:
            raise text.error(f"columns= asks for column {wanted}, the file has 0 to {width - 1}")
        return wanted
    hint = ": count them from 0" if asked is None else ""
    asked = asked or f"columns= asks for {wanted!r}"
    if table.names is None:
        raise text.error(f"{asked}, but the columns have no names{hint}")
    for same in _SPELLINGS:
        hits = [k for k, name in enumerate(table.names) if same(name) == same(wanted)]
        if len(hits) > 1:
            raise text.error(f"{asked}, which {len(hits)} columns are called{hint}")
        if hits:
            return hits[0]
    raise text.error(f"{asked}, the file has {_listed(table.names)}")


def same_name(one: str, other: str) -> bool:
    """Whether a column of the one name would be found by the other."""
    return any(same(one) == same(other) for same in _SPELLINGS)


def find_time(table: Table) -> int | None:
    """Index of the column of times, if there is one."""
    names = table.names or []
    return next((k for k, name in enumerate(names) if _is_time(name)), None)


def _is_time(name: str) -> bool:
    return _TIME.fullmatch(_normal(_split_unit(name)[0])) is not None


def unit_of(table: Table, index: int) -> str | None:
    """Unit that the header states for a column."""
    if table.units[index] is not None or table.names is None:
        return table.units[index]
    return _split_unit(table.names[index])[1]


def _split_unit(name: str) -> tuple[str, str | None]:
    """Name and unit of ``Fz (N)``, ``Mx [Nmm]``, ``COPx_mm``; but ``(left)`` is a plate."""
    name = name.strip()[:_MAX_NAME]
    bracket = _BRACKET.fullmatch(name)
    if bracket:
        inside = bracket["inside"].strip()
        if not inside or (re.fullmatch(_PLATES, _normal(inside)) and not is_unit(inside)):
            return f"{bracket['name']} {inside}", None
        return bracket["name"], inside
    tail = _UNIT_AT_END.fullmatch(name)
    if tail and is_unit(tail["unit"]):
        return tail["name"], tail["unit"]
    return name, None


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


#: What two names may differ in and still be one, the strictest first.
_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.strip,
    str.casefold,
    _normal,
    lambda name: _normal(_split_unit(name)[0]),
)


def _parse_name(name: str) -> tuple[str, str, bool] | None:
    """Channel, plate and whether it is OpenSim's ground frame, from a column's name, if that says so."""
    normal = _normal(_split_unit(name)[0])
    ground = _OPENSIM.fullmatch(normal)
    if ground:
        letter = "T" if ground["kind"] != "force" else "COP" if ground["part"] == "p" else "F"
        return letter + ground["axis"], _key(ground["pre"], ground["mid"], ground["post"]), True
    numbered = _NUMBERED.fullmatch(normal)
    if numbered:
        letter = {"f": "F", "p": "COP", "m": "T"}[numbered["kind"]]
        return letter + "xyz"[int(numbered["axis"]) - 1], numbered["plate"], False
    for pattern, role in _GENERIC:
        hit = pattern.fullmatch(normal)
        if hit:
            axis = hit.groupdict().get("axis") or ""
            return role + axis, _key(hit["pre"], hit["post"]), False
    return None


def _key(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _assemble(text: TextFile, channel: dict[str, FloatArray], name: str, up: int) -> RawPlate:
    """The wrench of a plate; moments that the file lacks come from its centre of pressure."""
    axes = "xyz"
    n_frames = len(next(iter(channel.values())))
    wrench = np.full((n_frames, 6), np.nan)
    origin = np.zeros(3)
    missing = set(CHANNELS)
    across = [a for k, a in enumerate(axes) if k != up]
    has_cop = [f"COP{a}" in channel for a in across]
    if any(has_cop) and not all(has_cop):
        raise text.error(
            f"{name or 'the plate'}: a centre of pressure needs both COP{across[0]} and COP{across[1]}"
        )
    if all(has_cop):
        origin[up] = _surface_height(channel, axes[up])
        moments = _moments_from_cop(channel, origin, up)
    else:
        moments = {}
    for column, role in enumerate(CHANNELS):
        data = channel.get(role, moments.get(role))
        if data is not None:
            wrench[:, column] = data
            missing.discard(role)
    return RawPlate(wrench, frozenset(missing), name, origin)


def _surface_height(channel: dict[str, FloatArray], up: str) -> float:
    """Height of the surface: that of the centre of pressure under load, which most files keep at 0."""
    height = channel.get(f"COP{up}")
    if height is None:
        return 0.0
    loaded = height[(np.abs(channel[f"F{up}"]) >= COP_MIN_N) & np.isfinite(height)]
    return float(np.median(loaded)) if len(loaded) else 0.0


def _moments_from_cop(channel: dict[str, FloatArray], origin: FloatArray, up: int) -> dict[str, FloatArray]:
    """M = (COP - origin) x F + T about the plate's origin, for each axis whose parts are all there.

    With the vertical z and no free moment across: Mx = COPy·Fz, My = -COPx·Fz, Mz = COPx·Fy - COPy·Fx + Tz.
    """
    moments = {}
    arm = {}
    for k, a in enumerate("xyz"):
        position = channel.get(f"COP{a}")
        # A surface at its own height has no arm upwards; then a plate without shear forces still has moments.
        if position is not None and not (k == up and np.all(position == origin[k])):
            arm[a] = position - origin[k]
    for k, a in enumerate("xyz"):
        b, c = "xyz"[(k + 1) % 3], "xyz"[(k + 2) % 3]
        free = channel.get(f"T{a}")
        terms = [
            (sign, arm[p], channel.get(f"F{q}")) for sign, p, q in ((1.0, b, c), (-1.0, c, b)) if p in arm
        ]
        if (k == up and free is None) or any(force is None for _, _, force in terms):
            continue
        moment = np.zeros(len(channel[f"F{'xyz'[up]}"])) if free is None else free.copy()
        for sign, lever, force in terms:
            assert force is not None
            # Without force there is no moment, whatever a file writes for the point where it would act.
            moment += np.where(force == 0.0, 0.0, sign * lever * force)
        moments[f"M{a}"] = moment
    return moments
