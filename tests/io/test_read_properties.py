"""Any table survives being written and read; any damage ends in a DataError or a Trial, and soon."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import balancecore as bc
from balancecore.errors import DataError

RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)
SIX = ["Fx", "Fy", "Fz", "Mx", "My", "Mz"]
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False) | st.just(float("nan"))


@RELAXED
@given(
    values=hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(6)), elements=NUMBERS),
    writing=st.sampled_from(
        [("\t", "."), ("\t", ","), (";", "."), (";", ","), (",", "."), (" ", "."), ("  ", ",")]
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    preamble=st.sampled_from(
        ["", "Prüfung 5\n", "Rate: 100 Hz\n\n", "made by X 1.2, on 3.4.2020\nplate;1\n"]
    ),
    last_end=st.booleans(),
    trailing=st.booleans(),
)
def test_what_is_written_is_read(tmp_path, values, writing, encoding, end, preamble, last_end, trailing):
    delimiter, decimal = writing
    extra = delimiter if trailing and delimiter.strip(" ") else ""
    lines = [delimiter.join(SIX) + extra]
    lines += [delimiter.join(repr(float(v)).replace(".", decimal) for v in row) + extra for row in values]
    text = (preamble + "\n".join(lines) + ("\n" if last_end else "")).replace("\n", end)
    path = tmp_path / "run.txt"
    path.write_bytes(text.encode(encoding))
    trial = bc.read(path, rate_hz=100)
    np.testing.assert_array_equal(trial.plates[0].wrench, values)


def delimited_bytes():
    rows = np.random.default_rng(0).normal(size=(12, 4)).round(4)
    rows[:, 0] = np.arange(12) / 100
    return ("time;Fx (N);Fz (N);Mx [Nmm]\n" + "\n".join(";".join(map(str, r)) for r in rows)).encode()


def mot_bytes():
    names = ["time"] + [f"ground_{kind}{a}" for kind in ("force_v", "force_p", "torque_") for a in "xyz"]
    rows = np.random.default_rng(0).normal(size=(12, 10)).round(4)
    rows[:, 0] = np.arange(12) / 100
    head = f"run\nversion=1\nnRows=12\nnColumns=10\nendheader\n{chr(9).join(names)}\n"
    return (head + "\n".join("\t".join(map(str, r)) for r in rows) + "\n").encode("utf-16")


def qtm_bytes():
    head = "NO_OF_SAMPLES\t12\nFREQUENCY\t100\nFORCE_PLATE_NAME\tA\n"
    for corner, (x, y) in zip(
        ("POSX_POSY", "NEGX_POSY", "NEGX_NEGY", "POSX_NEGY"), ((0, 9), (9, 9), (9, 0), (0, 0)), strict=True
    ):
        for axis, value in zip("XYZ", (x, y, 0), strict=True):
            head += f"FORCE_PLATE_CORNER_{corner}_{axis}\t{value}\n"
    head += "".join(f"FORCE_PLATE_OFFSET_{axis}\t1\n" for axis in "XYZ")
    names = ["SAMPLE", "TIME"] + [f"{kind}_{a}" for kind in ("Force", "Moment", "COP") for a in "XYZ"]
    rows = [[k + 1, k / 100, *range(9)] for k in range(12)]
    return (head + "\t".join(names) + "\n" + "".join("\t".join(map(str, r)) + "\t\n" for r in rows)).encode()


def npy_bytes():
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).normal(size=(12, 6)))
    return stream.getvalue()


MAKERS = {"csv": delimited_bytes, "mot": mot_bytes, "tsv": qtm_bytes, "npy": npy_bytes}


def read_or_refuse(path, **options):
    try:
        assert isinstance(bc.read(path, **options), bc.Trial)
        return
    except DataError as error:
        message = str(error)
    assert str(path.parent) not in message
    assert path.name in message


@pytest.mark.parametrize("ending", MAKERS)
def test_the_undamaged_files_are_read(tmp_path, ending):
    path = tmp_path / f"run.{ending}"
    path.write_bytes(MAKERS[ending]())
    assert len(bc.read(path, rate_hz=100)) == 12


@pytest.mark.parametrize("ending", MAKERS)
def test_every_truncation(tmp_path, ending):
    data = MAKERS[ending]()
    path = tmp_path / f"run.{ending}"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        read_or_refuse(path, rate_hz=100)


@pytest.mark.parametrize("ending", MAKERS)
@RELAXED
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=6
    ),
    resample=st.booleans(),
)
def test_damage_at_random(tmp_path, ending, edits, resample):
    data = bytearray(MAKERS[ending]())
    for at, new, removed in edits:
        at %= len(data)
        data[at : at + removed] = new
    path = tmp_path / f"run.{ending}"
    path.write_bytes(data)
    read_or_refuse(path, rate_hz=100, resample=resample)


@RELAXED
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes(tmp_path, data):
    path = tmp_path / "run.txt"
    path.write_bytes(data)
    read_or_refuse(path, rate_hz=100)


NASTY = st.sampled_from(
    [
        ",",
        ";",
        "\t",
        " ",
        "\n",
        "\n\n",
        ".",
        "-",
        "1",
        "0,5",
        "1e999",
        "nan",
        '"',
        "Fz",
        "Fx1",
        "time",
        "(N)",
        "[mm]",
    ]
)


@RELAXED
@given(parts=st.lists(NASTY, max_size=60))
def test_any_table_like_text(tmp_path, parts):
    path = tmp_path / "run.txt"
    path.write_text("".join(parts))
    read_or_refuse(path, rate_hz=100)
    read_or_refuse(path, resample=True)


@pytest.mark.parametrize(
    "line", ["1" * 200_000 + "x", "(" * 100_000, "Fz_" * 50_000, "1," * 100_000, '"' * 50_001]
)
def test_long_lines_do_not_stall(tmp_path, line):
    path = tmp_path / "run.txt"
    path.write_text(f"{line}\n{line}\n")
    read_or_refuse(path, rate_hz=100)
