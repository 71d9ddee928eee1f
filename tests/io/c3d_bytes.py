"""C3D files made byte by byte, in any byte order, of floats or integers: nothing here knows ezc3d or the reader.

Layout: C3D user guide (c3d.org): header, parameter and data sections in blocks of 512 bytes.
"""

import struct

import numpy as np

PROCESSOR = {"intel": 84, "dec": 85, "mips": 86}


def _ints(values, order):
    kind = ">u2" if order == "mips" else "<u2"
    return np.asarray(values).astype(np.int64).astype(np.uint16).astype(kind).tobytes()


def _floats(values, order):
    array = np.asarray(values, dtype=np.float32)
    if order == "mips":
        return array.astype(">f4").tobytes()
    if order == "intel":
        return array.astype("<f4").tobytes()
    # VAX F: four times the value, its 16-bit words swapped; it has no NaN.
    words = (4.0 * array).astype("<f4").view("<u2").reshape(-1, 2)[:, ::-1]
    return np.ascontiguousarray(words).tobytes()


def _record(name, group, body, order, *, last=False):
    text = name.encode()
    offset = 0 if last else len(body) + 3
    following = struct.pack(">H" if order == "mips" else "<H", offset)
    return struct.pack("bb", len(text), group) + text + following + body + b"\x00"


def _body(value, order):
    """Type, dimensions and values; texts are padded to one length, numbers are stored first index first."""
    if isinstance(value, (list, tuple)) and (not value or isinstance(value[0], str)):
        width = max([len(text) for text in value], default=0)
        data = b"".join(text.encode().ljust(width) for text in value)
        return struct.pack("bB", -1, 2) + bytes((width, len(value))) + data
    array = np.asarray(value)
    dims = bytes((array.ndim,)) + bytes(array.shape)
    flat = array.ravel(order="F")
    if array.dtype.kind in "iu":
        return b"\x02" + dims + _ints(flat, order)
    return b"\x04" + dims + _floats(flat, order)


def c3d_bytes(
    parameters,
    analog,
    *,
    points=None,
    per_frame=1,
    point_rate=1000.0,
    analog_rate=None,
    order="intel",
    codes=False,
    first_frame=1,
    point_scale=0.01,
):
    """A C3D file.

    `parameters` maps (group, name) to values; `analog` (n_samples, n_channels) holds floats, or the codes that are
    stored if `codes`; `points` (n_frames, n_points, 4) with residuals. Counters of frames stop at 65535.
    """
    analog = np.asarray(analog)
    n_frames = len(analog) // per_frame
    if points is None:
        points = np.zeros((n_frames, 0, 4))
    n_points = points.shape[1]
    scale = point_scale if codes else -1.0
    analog_rate = point_rate * per_frame if analog_rate is None else analog_rate
    wanted = {
        ("POINT", "USED"): np.int64(n_points),
        ("POINT", "FRAMES"): np.int64(min(n_frames, 65535)),
        ("POINT", "SCALE"): np.float64(scale),
        ("POINT", "RATE"): np.float64(point_rate),
        ("POINT", "DATA_START"): np.int64(0),
        ("ANALOG", "USED"): np.int64(analog.shape[1]),
        ("ANALOG", "RATE"): np.float64(analog_rate),
        ("ANALOG", "GEN_SCALE"): np.float64(1.0),
        ("ANALOG", "SCALE"): np.ones(analog.shape[1]),
        ("ANALOG", "OFFSET"): np.zeros(analog.shape[1], dtype=np.int64),
        **parameters,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    for _ in range(2):
        section = _section(wanted, order)
        start = 2 + len(section) // 512
        if ("POINT", "DATA_START") in wanted:
            wanted["POINT", "DATA_START"] = np.int64(start)
    pack = ">" if order == "mips" else "<"
    header = bytearray(512)
    header[0:2] = b"\x02\x50"
    struct.pack_into(
        f"{pack}5H",
        header,
        2,
        n_points,
        analog.shape[1] * per_frame,
        first_frame,
        min(first_frame + n_frames - 1, 65535),
        10,
    )
    header[12:16] = _floats([scale], order)
    struct.pack_into(f"{pack}2H", header, 16, start, per_frame)
    header[20:24] = _floats([point_rate], order)
    return bytes(header) + section + _data(points, analog, n_frames, order, codes, scale)


def _section(wanted, order):
    groups = {name: k + 1 for k, name in enumerate(dict.fromkeys(group for group, _ in wanted))}
    records = b"".join(_record(name, -number, b"", order) for name, number in groups.items())
    for (group, name), value in wanted.items():
        records += _record(name, groups[group], _body(value, order), order)
    records += b"\x00\x00"
    size = -(-(len(records) + 4) // 512) * 512
    head = bytes((1, 0x50, size // 512, PROCESSOR[order]))
    return (head + records).ljust(size, b"\x00")


def _data(points, analog, n_frames, order, codes, scale):
    samples = analog[: n_frames * (len(analog) // n_frames)].reshape(n_frames, -1)
    if not codes:
        return _floats(np.hstack([points.reshape(n_frames, -1), samples]), order)
    stored = points.copy()
    stored[..., :3] = np.round(stored[..., :3] / scale)
    return _ints(np.hstack([stored.reshape(n_frames, -1), samples]), order)
