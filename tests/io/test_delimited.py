"""Delimited text: how it is written, what its columns are, and how it may be broken."""

import os

import numpy as np
import pytest

import balancecore as bc
from balancecore.errors import DataError

SIX = ["Fx", "Fy", "Fz", "Mx", "My", "Mz"]


def write(tmp_path, text, encoding="utf-8", name="run.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def table(names, values, sep=","):
    return "\n".join([sep.join(names), *(sep.join(repr(float(v)) for v in row) for row in values)]) + "\n"


@pytest.fixture
def six():
    return np.random.default_rng(3).normal(scale=100, size=(20, 6)).round(3)


@pytest.mark.parametrize(
    "names",
    [
        SIX,
        ["Force_X", "Force_Y", "Force_Z", "Moment_X", "Moment_Y", "Moment_Z"],
        ["Fx (N)", "Fy (N)", "Fz (N)", "Mx (N.m)", "My (N·m)", "Mz [Nm]"],
        ["FP1_Fx", "FP1_Fy", "FP1_Fz", "FP1_Mx", "FP1_My", "FP1_Mz"],
        ["Left Fx", "Left Fy", "Left Fz", "Left Mx", "Left My", "Left Mz"],
        ["Fx1", "Fy1", "Fz1", "Mx1", "My1", "Mz1"],
        ["fx_N", "fy_N", "fz_N", "mx_Nm", "my_Nm", "mz_Nm"],
        ["GRFx", "GRFy", "GRFz", "Mx", "My", "Mz"],
        ["Fx (left)", "Fy (left)", "Fz (left)", "Mx (left)", "My (left)", "Mz (left)"],
    ],
)
def test_usual_names(tmp_path, six, names):
    # The last three of a mixed scheme may belong to a plate without a name of its own.
    trial = bc.read(write(tmp_path, table(names, six)), rate_hz=500, sides=["L"])
    assert len(trial.plates) == 1
    np.testing.assert_array_equal(trial.plates[0].wrench, six)
    assert trial.notes == ()


def test_two_plates_and_time(tmp_path, six):
    names = ["time (ms)"] + [f"{c}_{side}" for side in ("left", "right") for c in SIX]
    values = np.column_stack([np.arange(20) * 2.0, six, six[::-1]])
    trial = bc.read(write(tmp_path, table(names, values)))
    assert trial.rate_hz == 500
    assert [p.name for p in trial.plates] == ["left", "right"]
    assert [p.side for p in trial.plates] == ["?", "?"]
    np.testing.assert_array_equal(trial.plates[1].wrench, six[::-1])
    assert "sides=" in trial.notes[0]


def test_units_of_header_row_and_caller(tmp_path):
    text = (
        "made by X\nRate: 100\n\nFx;Fy;Fz;Mx;My;Mz\nN;N;kN;N mm;Nmm;N.mm\n" + "1,5;2;0,7;1000;2000;3000\n" * 3
    )
    plate = bc.read(write(tmp_path, text, "cp1252"), rate_hz=100).plates[0]
    np.testing.assert_allclose(plate.wrench[0], [1.5, 2, 700, 1, 2, 3])
    plate = bc.read(write(tmp_path, text), rate_hz=100, units={"force": "N", "moment": "N.m"}).plates[0]
    np.testing.assert_allclose(plate.wrench[0], [1.5, 2, 0.7, 1000, 2000, 3000])
    with pytest.raises(DataError, match="unit 'BW' is not a known unit of force"):
        bc.read(write(tmp_path, text), rate_hz=100, units={"force": "BW"})
    with pytest.raises(DataError, match=r"run\.csv: column 1 \(Fz\): unit 'V' is not a known unit of force"):
        bc.read(write(tmp_path, "Fz (V)\n1\n2\n"), rate_hz=100)
    with pytest.raises(DataError, match="'mass'"):
        bc.read(write(tmp_path, text), rate_hz=100, units={"mass": "kg"})


def test_columns_by_name_and_position(tmp_path, six):
    path = write(tmp_path, table(["a", "b", "c (kN)", "d", "e", "f"], six))
    trial = bc.read(path, rate_hz=100, columns=[{"Fz": "C"}, {"Fz": 5}], sides=["L", "R"])
    np.testing.assert_allclose(trial.plates[0].wrench[:, 2], 1000 * six[:, 2])
    np.testing.assert_array_equal(trial.plates[1].wrench[:, 2], six[:, 5])
    assert trial.plates[0].missing == set(SIX) - {"Fz"}
    with pytest.raises(DataError, match=r"asks for 'g', the file has 'a', 'b', 'c \(kN\)'"):
        bc.read(path, rate_hz=100, columns={"Fz": "g"})
    with pytest.raises(DataError, match="column 6, the file has 0 to 5"):
        bc.read(path, rate_hz=100, columns={"Fz": 6})
    for bad in ({"Fq": 1}, {}, [], "Fz", {"Fz": True}, {"Fz": 1.5}, [3]):
        with pytest.raises(DataError, match="columns"):
            bc.read(path, rate_hz=100, columns=bad)
    with pytest.raises(DataError, match="no force column among 'a', 'b'"):
        bc.read(path, rate_hz=100)


def test_vertical_axis_y(tmp_path, six):
    path = write(tmp_path, table(["Fx", "Fy", "Mz"], six[:, :3]))
    plate = bc.read(path, rate_hz=100, axes=("z", "x", "y")).plates[0]
    np.testing.assert_array_equal(plate.wrench[:, 2], six[:, 1])
    # The file lacks Fz, Mx and My: sideways force, forward and upward moment of the trial.
    assert plate.missing == {"Fx", "My", "Mz"}
    assert np.isnan(plate.wrench[:, [0, 4, 5]]).all()
    assert np.isfinite(plate.wrench[:, [1, 2, 3]]).all()


def test_moments_from_cop(tmp_path):
    rng = np.random.default_rng(4)
    fx, fy, fz = rng.normal(size=(3, 10)) * 30 + np.array([[0], [0], [700]])
    px, py, tz = rng.normal(size=(3, 10)) * 100
    names = ["Fx", "Fy", "Fz", "COPx_mm", "COPy_mm", "Tz"]
    plate = bc.read(
        write(tmp_path, table(names, np.column_stack([fx, fy, fz, px, py, tz]))), rate_hz=100
    ).plates[0]
    np.testing.assert_allclose(plate.cop[:, :2], np.column_stack([px, py]) / 1e3, atol=1e-9)
    np.testing.assert_allclose(plate.free_moment, tz, atol=1e-9)
    assert plate.missing == set()
    # The COP alone gives the moments across, but neither a free moment nor what shear would add.
    plate = bc.read(write(tmp_path, table(names[2:5], np.column_stack([fz, px, py]))), rate_hz=100).plates[0]
    np.testing.assert_allclose(plate.wrench[:, 3], fz * py / 1e3)
    assert plate.missing == {"Fx", "Fy", "Mz"}
    with pytest.raises(DataError, match="needs both COPx and COPy"):
        bc.read(write(tmp_path, table(names[2:4], np.column_stack([fz, px]))), rate_hz=100)


def test_cop_without_force_is_no_gap(tmp_path):
    plate = bc.read(write(tmp_path, "Fz,COPx,COPy\n0,NaN,\n700,0.1,0.2\n700,,0.2\n"), rate_hz=100).plates[0]
    np.testing.assert_allclose(plate.wrench[:, 3], [0, 140, 140])
    np.testing.assert_allclose(plate.wrench[:, 4], [0, -70, np.nan])


def test_single_headerless_column_is_vertical_force(tmp_path):
    path = write(tmp_path, "329.14\r\n349.13\r\n401.31")
    assert bc.read(path, rate_hz=300).plates[0].wrench[:, 2].tolist() == [329.14, 349.13, 401.31]
    with pytest.raises(DataError, match="pass rate_hz="):
        bc.read(path)


def test_ambiguous_comma(tmp_path):
    headless = write(tmp_path, "329,14\n349,13\n401,31\n")
    with pytest.raises(DataError, match="decimal=',' or delimiter=','"):
        bc.read(headless, rate_hz=300)
    assert bc.read(headless, rate_hz=300, decimal=",").plates[0].wrench[0, 2] == 329.14
    with pytest.raises(DataError, match="2 columns without names"):
        bc.read(headless, rate_hz=300, delimiter=",")
    assert bc.read(write(tmp_path, "Fz\n329,14\n349,13\n"), rate_hz=300).plates[0].wrench[0, 2] == 329.14
    assert bc.read(write(tmp_path, "Fx,Fz\n329,14\n349,13\n"), rate_hz=300).plates[0].wrench[0, 2] == 14


def test_headerless_columns_need_names(tmp_path, six):
    with pytest.raises(DataError, match="6 columns without names"):
        bc.read(write(tmp_path, table(["1"] * 6, six)), rate_hz=100)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    text = end.join(["Läufer: Größe 1,80 m", "", "Fz;Mx (N·m)", "700,5;1", "701,5;2", ""])
    trial = bc.read(write(tmp_path, text, encoding), rate_hz=100)
    assert trial.plates[0].wrench[:, 2].tolist() == [700.5, 701.5]


def test_quotes_and_missing_values(tmp_path):
    text = '"Fx","Fz"\n"1,5","700"\nn/a,701\n,inf\nNaN,-1.#IND\n'
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"run\.csv, line 2: column 1: '1,5' is not a number"):
        bc.read(path, rate_hz=100)
    trial = bc.read(write(tmp_path, text.replace("1,5", "1.5")), rate_hz=100)
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 0], [1.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 2], [700, 701, np.inf, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (" \n\n", "only blank lines"),
        ("no numbers\nat all\n", "no table of numbers"),
        ("Fx,Fz\n1,2\n3\n4,5\n6,7\n", "line 3: this row has 1 column, the table has 2"),
        (
            "Fx,Fz\n1,2\n3,4\n4,5\n6\n",
            "line 5: this row has 1 column, the table has 2; the file is cut short",
        ),
        ("Fx,Fz\n1,2,3\n3,4\n4,5\n6,7\n", "line 2: this row has 3 columns, the table has 2"),
        ("Fx,Fz\n1,abc\n3,4\n4,5\n6,7\n", "line 2: column 2: 'abc' is not a number"),
        ("Fx,Fz\n1,2\n3,abc\n4,5\n6,7\n", "line 3: column 2: 'abc' is not a number"),
        ("Fx,Fz\n1,2\n\n4,5\n6,7\n", "line 3: an empty line inside the table"),
        ("Fx;Fz\n1,5;2\n3,5;4\n4;5.5\n6;7\n", "mixed|not a number"),
        ("Fz,Fz\n1,2\n3,4\n", r"columns 1 and 2 are both Fz \('Fz'\)"),
        ("Fz,Fz1,Fz2\n1,2,3\n3,4,5\n", "is one the sum of the others"),
        ("Fx1,Fz1,Fz2\n1,2,3\n3,4,5\n", "different columns"),
        ("time,Fz\n0,1\n0.1,1\nx,1\n", "line 4: column 1: 'x'"),
        ("time,Fz\n0,1\nnan,1\n0.3,1\n", "line 3: the time is not a number"),
        ("time,Fz\n0,1\n0.1,1\n0.1,1\n", r"line 4: the time does not increase: 0\.1 s is followed by 0\.1 s"),
        ("time,Fz\n0,1\n", "one row is not enough"),
    ],
)
def test_broken_text_is_named_with_its_place(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        bc.read(write(tmp_path, text))
    assert "run.csv" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\x01\x02" * 400, "binary|UTF-16"),
        (bytes(range(256)) * 8, "binary"),
        (b"Fz\n1\n2\n\x81\n", "neither UTF-8, UTF-16 nor cp1252"),
        (b"\xff\xfe1", "not valid UTF-16"),
        (b"PK\x03\x04" + b"x" * 600, "ZIP archive"),
        (b"\x02\x50" + bytes(600), "C3D"),
        (b"TDSm" + bytes(30), "TDMS"),
    ],
)
def test_what_is_not_text_is_said(tmp_path, data, message):
    path = tmp_path / "run.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        bc.read(path, rate_hz=100)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: there is no such file") as caught:
        bc.read(tmp_path / "gone.csv")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(DataError, match="folder"):
        bc.read(tmp_path)
    with pytest.raises(DataError, match="not a regular file"):
        bc.read(os.devnull)
    for bad in ([], 3, b"x", [3], None, "a\0b"):
        with pytest.raises(DataError):
            bc.read(bad)


@pytest.mark.parametrize(
    "option",
    [
        {"convention": "up"},
        {"axes": ("x", "y")},
        {"axes": ("x", "x", "z")},
        {"rate_hz": 0},
        {"rate_hz": "fast"},
        {"sides": ["L", "R"]},
        {"units": ["N"]},
        {"units": {"force": 1}},
        {"delimiter": "|"},
        {"decimal": "'"},
    ],
)
def test_options_are_checked(tmp_path, option):
    with pytest.raises(DataError):
        bc.read(write(tmp_path, "Fz\n1\n2\n"), **({"rate_hz": 100} | option))


def times_file(tmp_path, times):
    return write(tmp_path, "t,Fz\n" + "".join(f"{t:.6f},{k}\n" for k, t in enumerate(times)))


def test_rate_from_times(tmp_path):
    assert bc.read(times_file(tmp_path, np.arange(100) / 1000)).rate_hz == 1000
    # Rounded to 10 microseconds, as one exporter does at 2400 Hz.
    assert bc.read(times_file(tmp_path, (np.arange(5000) / 2400).round(5))).rate_hz == 2400
    assert bc.read(times_file(tmp_path, 7 + np.arange(500) / 59.94)).rate_hz == pytest.approx(59.94, rel=1e-6)
    with pytest.raises(DataError, match="given as 990 Hz but the time column says 1000 Hz"):
        bc.read(times_file(tmp_path, np.arange(1000) / 1000), rate_hz=990)
    path = times_file(tmp_path, np.arange(100) / 1000)
    assert bc.read(path, rate_hz=50, columns={"Fz": "Fz", "time": None}).rate_hz == 50


@pytest.mark.parametrize("lost", [1, 50, 98])
def test_one_lost_frame_is_found_and_stays_a_gap(tmp_path, lost):
    path = times_file(tmp_path, np.delete(np.arange(100), lost) / 1000)
    with pytest.raises(DataError, match=rf"run\.csv, line {lost + 2}: .*a step of 0\.002 s where 0\.001 s"):
        bc.read(path)
    trial = bc.read(path, resample=True)
    assert (trial.rate_hz, len(trial)) == (pytest.approx(1000), 100)
    assert np.flatnonzero(np.isnan(trial.plates[0].wrench[:, 2])).tolist() == [lost]
    assert "1 frames" in trial.notes[0]


def test_jitter_is_interpolated_on_request(tmp_path):
    times = np.arange(200) / 100 + np.random.default_rng(0).uniform(-0.004, 0.004, 200)
    times[[0, -1]] = 0, 1.99
    values = 3 * times + 1
    path = write(
        tmp_path,
        "t,Fz\n" + "".join(f"{t!r},{v!r}\n" for t, v in zip(times.tolist(), values.tolist(), strict=True)),
    )
    with pytest.raises(DataError, match="not even"):
        bc.read(path)
    trial = bc.read(path, rate_hz=100, resample=True)
    got = trial.plates[0].wrench[:, 2]
    np.testing.assert_allclose(
        got[np.isfinite(got)], (3 * np.arange(200) / 100 + 1)[np.isfinite(got)], atol=1e-9
    )
    with pytest.raises(DataError, match="check the times"):
        bc.read(times_file(tmp_path, [0, 0.001, 0.002, 90000]), resample=True)


def test_polarity_is_told_not_turned(tmp_path):
    path = write(tmp_path, "Fz\n" + "-700\n" * 50 + "3\n" * 50)
    trial = bc.read(path, rate_hz=100)
    assert trial.plates[0].wrench[0, 2] == -700
    assert "convention='action'" in trial.notes[0]
    trial = bc.read(path, rate_hz=100, convention="action")
    assert trial.plates[0].wrench[0, 2] == 700
    assert trial.notes == ()


def test_moments_about_another_point_are_told(tmp_path):
    row = "700,10,-70,0.15,0.014\n"
    trial = bc.read(write(tmp_path, "Fz,Mx,My,COPx,COPy\n" + row * 3), rate_hz=100)
    assert "50.0 mm" in trial.notes[0]


@pytest.mark.realdata
def test_real_headerless_column(data_dir):
    path = data_dir / "treadmill_run_drift" / "custom_drift_S001runT25.csv"
    trial = bc.read(path, rate_hz=300)
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 2], np.loadtxt(path))
    assert trial.duration_s == 30


@pytest.mark.realdata
def test_real_exports_of_other_makers(data_dir):
    kistler = bc.read(data_dir / "kistler_raw" / "kistler_CMJ_1plate.txt")
    assert (len(kistler), kistler.rate_hz, len(kistler.plates), kistler.notes) == (8000, 1000, 1, ())
    standing = bc.read(data_dir / "quiet_standing" / "BDS00001.txt")
    assert (len(standing), standing.rate_hz, standing.notes) == (6000, 100, ())
    jump = data_dir / "jumps" / "F02_CTRL1.txt"
    columns = [{name: first + k for k, name in enumerate(SIX)} for first in (0, 6)]
    trial = bc.read(jump, rate_hz=2000, columns=columns, sides=["L", "R"])
    assert all(np.nanmax(plate.wrench[:, 2]) > 300 for plate in trial.plates)
    # It is NetForce's, whose columns need no naming.
    known = bc.read(jump, rate_hz=2000, sides=["L", "R"])
    for plate, named in zip(known.plates, trial.plates, strict=True):
        np.testing.assert_array_equal(plate.wrench, named.wrench)
    assert any("read as AMTI NetForce text" in note for note in known.notes)


def test_how_a_file_was_read_is_in_the_provenance(tmp_path):
    path = tmp_path / "run.csv"
    fz = 1500.0 * np.clip(np.sin(2 * np.pi * np.arange(4000) / 700.0), 0, None)
    zeros = np.zeros_like(fz)
    np.savetxt(
        path,
        np.column_stack((zeros, zeros, fz, zeros, zeros, zeros)),
        delimiter=",",
        header="Fx,Fy,Fz,Mx,My,Mz",
        comments="",
    )
    seen = []
    for axes in (("x", "y", "z"), ("-x", "-y", "z")):
        trial = bc.read(path, rate_hz=1000.0, axes=axes)
        provenance = bc.analyze_gait(trial, mass_kg=70.0, n_boot=0).provenance
        assert provenance["reading"]["axes"] == list(axes)
        assert provenance["used"]["axes_of_source"] == list(axes)
        assert str(tmp_path) not in str(provenance)
        seen.append(provenance)
    assert seen[0] != seen[1]
