"""Rig files as text, with comments for people, from what a device or a C3D file tells.

Whatever is written here can be read again; what nobody knows yet stands there as a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import numpy as np

from balancecore.errors import DataError, RigError
from balancecore.io._units import RIG_UNITS
from balancecore.plates import PlateModel, polynomial_to_mm, pose

if TYPE_CHECKING:
    from balancecore.capture.device import Address, Device
    from balancecore.io._record import PlateHeader, RawPlate
    from balancecore.io.c3d import C3dSetup

__all__ = ["text_for_c3d", "text_for_device", "text_for_wrenches"]

#: Plates that an unknown device may have, in the order in which people look for theirs.
_TEMPLATE = """\
# One [[plates]] table for each plate. Take the '# ' away, and fill in what the plate's sheet says.
#
# [[plates]]
# name = "left belt"
# side = "L"                     # foot that belongs on it: "L", "R", or "?" for both
# model = "amti"                 # amti, bertec, kistler, load_cells, six_component or calibrated
# channels = [{channels}]
# convention = "action"          # whose force the channels show: "action" on the plate, "reaction" on the body
# sensitivity = [                # amti: µV/(V·N) and µV/(V·N·m), the whole matrix
#     [0.67, 0.0, 0.0, 0.0, 0.0, 0.0],
#     [0.0, 0.67, 0.0, 0.0, 0.0, 0.0],
#     [0.0, 0.0, 0.17, 0.0, 0.0, 0.0],
#     [0.0, 0.0, 0.0, 1.7, 0.0, 0.0],
#     [0.0, 0.0, 0.0, 0.0, 1.7, 0.0],
#     [0.0, 0.0, 0.0, 0.0, 0.0, 3.4],
# ]
# gain = 2000
# excitation_v = 10.0
# origin_m = [0.0, 0.0, -0.04]   # from the sensors to the centre of the surface, in the plate's own axes
# corners_m = [                  # in the lab, at +x+y, -x+y, -x-y and +x-y of the plate
#     [0.5, 1.6, 0.0],           # this plate's z points down
#     [0.5, 0.0, 0.0],
#     [0.0, 0.0, 0.0],
#     [0.0, 1.6, 0.0],
# ]
"""
_ANALOG_TEMPLATE = """\
# Other channels: one [[analog]] table each; its value is scale * (raw - offset).
#
# [[analog]]
# name = "belt speed"
# channel = {channel}
# unit = "m/s"
# scale = 0.5                    # m/s per V
# offset = 0.0                   # V
#
# [treadmill]
# speed = ["belt speed"]         # names of [[analog]] tables; or, of one that tells over the network:
# # address = "bertec://192.168.0.5:4000"
"""


def toml(value: object) -> str:
    """A value as TOML; floats keep every bit."""
    if isinstance(value, str):
        # Strings of JSON are basic strings of TOML, but for DEL, which has to be written as its code.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple, np.ndarray)):
        return f"[{', '.join(toml(entry) for entry in value)}]"
    if isinstance(value, (float, np.floating)):
        return repr(float(value) + 0.0)
    raise TypeError(f"{type(value).__name__} has no place in a rig file")


def address_text(address: Address) -> str:
    """An address as it could have been typed."""
    host = f"//{address.host}/" if address.host else ""
    query = f"?{urlencode(dict(address.options))}" if address.options else ""
    return f"{address.scheme}:{host}{quote(address.path, safe=' /:,+@')}{query}"


def known_unit(unit: str, known: Sequence[str]) -> str | None:
    """The name that a unit has in rig files, or None."""
    plain = re.sub(r"[\s.·⋅*_-]", "", unit).lower()
    by_plain = {re.sub(r"[\s.*]", "", name).lower(): name for name in known}
    # First as it is written: mV and MV differ only there.
    found = (
        unit if unit in known else RIG_UNITS.get(unit.lower()) or RIG_UNITS.get(plain) or by_plain.get(plain)
    )
    return found if found in known else None


def text_for_device(device: Device) -> str:
    """A rig file for an open device: whole where the device gives wrenches, else with its channels."""
    if device.description.layout is not None:
        return text_for_wrenches(device)
    description, address = device.description, address_text(device.address)
    names = [channel.name for channel in description.channels]
    first = ", ".join(toml(name) for name in names[:6])
    return "\n".join(
        [
            *_head(address, names, f"{description.model} {description.serial}".strip(), description.notes),
            "",
            _lab_axes_template(),
            _TEMPLATE.format(channels=first),
            _ANALOG_TEMPLATE.format(channel=toml(names[-1])),
        ]
    )


def text_for_wrenches(device: Device) -> str:
    """The rig file of an open device that gives wrenches itself."""
    description = device.description
    layout = description.layout
    if layout is None:
        raise RigError(
            f"{device}: a rig file has to say what its channels mean; 'balancecore rig init' writes one to fill in"
        )
    names = [channel.name for channel in description.channels]
    lines = _head(
        address_text(device.address),
        names,
        f"{description.model} {description.serial}".strip(),
        ("The device gives forces and moments itself.", *description.notes),
    )
    lines += ["", 'lab_axes = ["x", "y", "z"]' if layout.lateral_known else _lab_axes_template()]
    for k, name in enumerate(_unique([n or f"plate {k + 1}" for k, n in enumerate(layout.names)])):
        lines += [
            *_plate_head(name, layout.sides[k], "calibrated", names[6 * k : 6 * k + 6], "reaction"),
            'axes = ["x", "y", "z"]',
            f"centre_m = {toml(layout.origins_m[k])}",
            *_corners(layout.corners_m[k]),
        ]
        if layout.missing[k]:
            lines.append(f"missing = {toml(sorted(layout.missing[k]))}")
    others = [(channel.name, channel.unit) for channel in description.channels[6 * len(layout) :]]
    return "\n".join([*lines, *_analog_tables(others, [name for name, _ in others])]) + "\n"


def text_for_c3d(setup: C3dSetup, name: str, device: Device | None) -> str:
    """A rig file with the plates of a C3D file.

    Parameters
    ----------
    setup : C3dSetup
    name : str
        Of the file, without its folder.
    device : Device or None
        Open. Its channels are taken to be the file's, in the same order; without one the file's names stay.

    Raises
    ------
    DataError
        A plate can't be told by a matrix, or the device has fewer channels.
    """
    for k, plate in enumerate(setup.plates, start=1):
        if plate.header is None or plate.header.model is None:
            raise DataError(
                f"{name}: plate {k} is of type 1, which holds the centre of pressure instead of what was measured: "
                "it has no calibration"
            )
    labels = _unique(setup.channels)
    names, address, model = labels, "ni:Dev1/ai0:" + str(len(labels) - 1), f"plates of {name}"
    notes = [
        _without_advice(note.removeprefix(f"{name}: "))
        for note in setup.notes
        # A zero of another day is none of the rig's.
        if "FORCE_PLATFORM:ZERO" not in note
    ]
    if device is None:
        notes.append(
            "CHANGE the address, and the channels to those of your device: they stand here as in the file."
        )
    else:
        names, address = [c.name for c in device.description.channels], address_text(device.address)
        if len(names) < len(labels):
            raise DataError(f"{name}: it has {len(labels)} analog channels, {device} only {len(names)}")
        notes.append("CHECK that the device's channels are wired in the order of the file's.")
    lines = [*_head(address, names, model, notes), "", _lab_axes_template()]
    plate_names = _unique([plate.name or f"plate {k + 1}" for k, plate in enumerate(setup.plates)])
    for plate, plate_name in zip(setup.plates, plate_names, strict=True):
        lines += _c3d_plate(plate, plate_name, names)
    taken = {c for plate in setup.plates if plate.header is not None for c in plate.header.columns}
    others = [c for c in range(len(labels)) if c not in taken]
    if not others:
        return "\n".join([*lines, "", _ANALOG_TEMPLATE.format(channel=toml("ai12"))])
    lines += _analog_tables([(names[c], setup.units[c]) for c in others], [labels[c] for c in others])
    return "\n".join(lines) + "\n"


def _c3d_plate(plate: RawPlate, name: str, names: Sequence[str]) -> list[str]:
    header = plate.header
    assert header is not None
    model = header.model
    assert model is not None
    comments = [
        f"# From a plate of C3D type {header.kind}; channels there: {', '.join(map(repr, header.channels))}."
    ]
    comments += _sign_comment(plate)
    units = _raw_units(header)
    if not set(units) & {"V", "mV", "counts"}:
        comments.append(
            f"# The file holds {' and '.join(dict.fromkeys(units))}, not what the amplifier gave: for a device that "
            "gives volts, put the\n# calibration of the plate's sheet in the place of the one here."
        )
    kistler = header.kind == 3 and not model.missing
    kind, channels = "kistler" if kistler else "six_component", [names[c] for c in header.columns]
    lines = _plate_head(name, plate.side, kind, channels, model.convention)
    lines[1:1] = [line for comment in comments for line in comment.split("\n")]
    lines += _kistler(header, model) if kistler else _six_component(model)
    lines.append(f"unit = {toml(units[0] if len(set(units)) == 1 else list(units))}")
    if model.cop_polynomial is not None:
        lines.append(f"cop_polynomial_mm = {toml(polynomial_to_mm(model.cop_polynomial))}")
    return lines + _place(model)


def _kistler(header: PlateHeader, model: PlateModel) -> list[str]:
    assert header.origin_m is not None
    a, b, _ = np.abs(header.origin_m)
    return [
        f"a_m = {toml(a)}",
        f"b_m = {toml(b)}",
        f"az0_m = {toml(model.origin_m[2])}",
        # Each channel shows one component of the force.
        f"newton_per_unit = {toml(model.matrix[:3].sum(axis=0))}",
    ]


def _six_component(model: PlateModel) -> list[str]:
    lines = ["matrix = [", *(f"    {toml(row)}," for row in model.matrix), "]"]
    lines.append(f"origin_m = {toml(model.origin_m)}")
    if model.missing:
        lines.append(f"missing = {toml(sorted(model.missing))}")
    return lines


def _place(model: PlateModel) -> list[str]:
    if model.corners_lab is not None:
        return _corners(model.corners_lab)
    return [
        "# The file has no corners: here the plate's own axes are the lab's.",
        'axes = ["x", "y", "z"]',
        f"centre_m = {toml(model.centre_m)}",
    ]


def _without_advice(note: str) -> str:
    """A reader's note without what callers of `read` could do about it."""
    return re.sub(
        r"(\.|, so it has no moments;) ((pass )?plate_origin_m=|Say with axes=).*$",
        r"\1",
        note,
    )


def _sign_comment(plate: RawPlate) -> list[str]:
    """Whether the loads in the file speak for the other convention; that is for the user to decide."""
    fz = plate.wrench[:, 2]
    if not np.isfinite(fz).any() or abs(np.nanmin(fz)) <= np.nanmax(fz):
        return [
            "# Check the sign: standing on it, 'balancecore rig check --weight' must show a force upward."
        ]
    return ['# The loads in the file point DOWN with this convention: most likely it is "action".']


def _raw_units(header: PlateHeader) -> tuple[str, ...]:
    from balancecore.capture._rig_file import RAW_UNITS

    return tuple(known_unit(unit, RAW_UNITS) or "V" for unit in header.units)


def _head(address: str, names: Sequence[str], about: str, notes: Iterable[str]) -> list[str]:
    return [
        "# Rig file of balancecore: what the channels of a device mean. docs/rig.md explains every key.",
        *(f"# {_one_line(text)}" for text in (about, *notes) if text),
        "format = 1",
        "",
        "# Address of the device; 'balancecore devices' lists what is there. A rig has one device.",
        f"device = {toml(address)}",
        "# Every channel of the device, in its order.",
        "channels = [",
        *(f"    {toml(name)}," for name in names),
        "]",
    ]


def _lab_axes_template() -> str:
    return (
        "# Axes of the lab (as corners and centres have it) that point to the subject's right, forward and up.\n"
        "# Without them left and right can't be told from where the feet land.\n"
        '# lab_axes = ["x", "y", "z"]'
    )


def _plate_head(name: str, side: str, model: str, channels: Sequence[str], convention: str) -> list[str]:
    return [
        "",
        "[[plates]]",
        f"name = {toml(name)}",
        f"side = {toml(side)}",
        f"model = {toml(model)}",
        f"channels = {toml(channels)}",
        f"convention = {toml(convention)}",
    ]


def _corners(corners: np.ndarray | None) -> list[str]:
    if corners is None:
        return []
    try:
        pose(corners)
    except DataError as error:
        return [f"# Its corners were left out: {_one_line(str(error))}"]
    return ["corners_m = [", *(f"    {toml(corner)}," for corner in corners), "]"]


def _analog_tables(channels: Iterable[tuple[str, str]], names: Sequence[str]) -> list[str]:
    """Tables for channels given by the rig's name of them and their source's unit."""
    from balancecore.capture._rig_file import ANALOG_UNITS

    lines = []
    for (channel, theirs), name in zip(channels, names, strict=True):
        unit = known_unit(theirs, ANALOG_UNITS)
        lines += [
            "",
            "[[analog]]",
            f"name = {toml(name)}",
            f"channel = {toml(channel)}",
            f"unit = {toml(unit or '')}",
        ]
        if unit is None:
            lines[-1] += f"  # called {_one_line(repr(theirs))} by its source"
    return lines


def _unique(names: Iterable[str]) -> list[str]:
    """Names with a number where one comes again."""
    found: list[str] = []
    for name in names:
        fresh, k = name[:180], 2
        while fresh in found:
            fresh, k = f"{name[:180]} {k}", k + 1
        found.append(fresh)
    return found


def _one_line(text: str) -> str:
    """Safe in a comment: no control characters, which TOML forbids there."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
