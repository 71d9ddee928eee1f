"""NumPy ``.npy``: a vertical force (n,), or six channels a plate (n, 6), (n, 12), …

Arrays of Python objects are refused: loading them would run code that the file brings along.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from balancecore.errors import DataError
from balancecore.io import _clock
from balancecore.io._columns import make_layout, make_plates
from balancecore.io._file import FileBytes, TextFile
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate
from balancecore.io._table import Table
from balancecore.trial import MAX_PLATES

__all__ = ["is_npy", "read_npy"]


def is_npy(file: FileBytes) -> bool:
    """Whether the bytes are a NumPy array, or the ending says that they should be."""
    return file.data.startswith(npy_format.MAGIC_PREFIX) or file.suffix == ".npy"


def read_npy(file: FileBytes, options: Options) -> RawFile:
    """Read an array; nothing is known about it but its numbers, so the rate must be given."""
    text = TextFile(file.name, file.suffix, [], "row")
    array = _array(text, file.data)
    # The units, the columns and the clock are those of any table.
    values = array[:, np.newaxis] if array.ndim == 1 else array
    width = values.shape[1]
    table = Table(values, None, [None] * width, 0)
    columns = options.columns
    if columns is None and width != 1:
        if width % 6 or width // 6 > MAX_PLATES:
            hint = "; transpose it" if len(array) % 6 == 0 and width > len(array) else ""
            raise text.error(
                f"its shape is {array.shape}; it must be (n,) or (n, 6) a plate, or use columns={hint}"
            )
        names = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")
        columns = tuple({name: 6 * plate + k for k, name in enumerate(names)} for plate in range(width // 6))
    layout = make_layout(text, table, columns)
    times = None if layout.time is None else values[:, layout.time] * options.units.to_si("time")
    clock = _clock.settle(
        text, values, times, first_line=0, given_hz=options.rate_hz, resample=options.resample
    )
    up = "xyz".index(options.axes[2].lstrip("+-").lower()) if options.axes else 2
    plates: list[RawPlate] = make_plates(text, clock.values, layout, options, up)
    return RawFile(plates, clock.rate_hz, "reaction", options.axes, clock.notes)


def _array(text: TextFile, data: bytes) -> FloatArray:
    """The array, after its header was found to fit the bytes: a header may claim more than there is."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = _header(text, stream)
    if dtype.hasobject:
        raise text.error(
            "it holds Python objects, which are not loaded for safety: save it as an array of numbers"
        )
    if dtype.kind not in "fiu":
        raise text.error(f"it holds {dtype} values: an array of plain numbers is needed")
    if len(shape) not in (1, 2):
        raise text.error(f"its shape is {shape}; it must be (n,) or (n, 6) a plate")
    if 0 in shape:
        raise text.error(f"its shape is {shape}: it holds no numbers")
    body = data[stream.tell() :]
    wanted = math.prod(shape) * dtype.itemsize
    if len(body) != wanted:
        what = "it is cut short" if len(body) < wanted else "something follows the array"
        raise text.error(f"its header says {wanted} bytes of numbers, there are {len(body)}: {what}")
    array = np.frombuffer(body, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array, dtype=np.float64)


def _header(text: TextFile, stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = npy_format.read_magic(stream)
            if version == (1, 0):
                return npy_format.read_array_header_1_0(stream)
            if version == (2, 0):
                return npy_format.read_array_header_2_0(stream)
    except DataError:
        raise
    # The header is Python source of any make; NumPy's parser may fail on it in many ways, all of which mean
    # this.
    except Exception as error:
        raise text.error("its .npy header is damaged") from error
    raise text.error(f"its .npy version {version[0]}.{version[1]} is not one of plain numbers")
