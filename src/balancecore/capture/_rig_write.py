"""Rig files as text, from what a device or a C3D file tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from balancecore.errors import RigError

if TYPE_CHECKING:
    from balancecore.capture.device import Address, Description, Device

__all__ = ["text_for_device"]


def toml(value: object) -> str:
    """A value as TOML; floats keep every bit."""
    if isinstance(value, str):
        # JSON's strings are TOML's basic strings, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, np.ndarray)):
        return f"[{', '.join(toml(entry) for entry in value)}]"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    raise TypeError(f"{type(value).__name__} has no place in a rig file")


def text_for_device(device: Device) -> str:
    """The rig of a device that gives wrenches itself."""
    description = device.description
    if description.layout is None:
        raise RigError(f"{device}: its channels are not wrenches; it needs a rig file (balancecore rig init)")
    return _wrench_rig(address_text(device.address), description)


def address_text(address: Address) -> str:
    """An address as it was written."""
    from urllib.parse import quote, urlencode

    host = f"//{address.host}/" if address.host else ""
    query = f"?{urlencode(dict(address.options))}" if address.options else ""
    return f"{address.scheme}:{host}{quote(address.path, safe='/:,+@ ')}{query}"


def _wrench_rig(address: str, description: Description) -> str:
    layout = description.layout
    assert layout is not None
    names = [channel.name for channel in description.channels]
    lines = ["format = 1", f"device = {toml(address)}", f"channels = {toml(names)}"]
    if layout.lateral_known:
        lines.append('lab_axes = ["x", "y", "z"]')
    for k in range(len(layout)):
        lines += [
            "",
            "[[plates]]",
            f"name = {toml(layout.names[k] or f'plate {k + 1}')}",
            f"side = {toml(layout.sides[k])}",
            'model = "calibrated"',
            'convention = "reaction"',
            f"channels = {toml(names[6 * k : 6 * k + 6])}",
            'axes = ["x", "y", "z"]',
            f"centre_m = {toml(layout.origins_m[k])}",
        ]
        corners = layout.corners_m[k]
        if corners is not None:
            lines.append(f"corners_m = {toml(corners)}")
        if layout.missing[k]:
            lines.append(f"missing = {toml(sorted(layout.missing[k]))}")
    for channel in description.channels[6 * len(layout) :]:
        lines += [
            "",
            "[[analog]]",
            f"name = {toml(channel.name)}",
            f"channel = {toml(channel.name)}",
            f"unit = {toml(channel.unit)}",
        ]
    return "\n".join(lines) + "\n"
