"""Tables of raw channels read through a rig file: what the device would have given as a trial."""

import io

import numpy as np
import pytest

import balancecore as bc
from balancecore.capture import Rig
from balancecore.cli import main
from balancecore.errors import DataError

from .rigs import NAMES, TWO_PLATES

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
nptdms = pytest.importorskip("nptdms")

RATE = 1000.0
#: Seventeen digits bring a double back.
EXACT = "%.17g"


@pytest.fixture
def rig_path(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(TWO_PLATES)
    return path


@pytest.fixture
def volts():
    """(n, 14), in the order of the rig's channels."""
    return np.random.default_rng(3).uniform(-2.0, 2.0, (200, len(NAMES)))


def save(path, names, values, units=None, first=None):
    """A table of any format, with its times; `units` by name."""
    units = units or {}
    time = np.arange(len(values)) / RATE
    if path.suffix == ".csv":
        header = ["time (s)"] + [f"{name} ({units[name]})" if name in units else name for name in names]
        buffer = io.StringIO()
        np.savetxt(
            buffer,
            np.column_stack((time, values)),
            delimiter=",",
            header=",".join(header),
            comments="",
            fmt=EXACT,
        )
        path.write_text(buffer.getvalue())
    elif path.suffix == ".tdms":
        told = [{"wf_increment": 1 / RATE, "unit_string": units.get(name, "")} for name in names]
        channels = [
            nptdms.ChannelObject("daq", name, np.ascontiguousarray(column), properties)
            for name, column, properties in zip(names, values.T, told, strict=True)
        ]
        with nptdms.TdmsWriter(path) as writer:
            writer.write_segment(channels)
    else:
        fields = [pa.field("time", pa.float64(), metadata={"unit": "s"})]
        fields += [pa.field(name, pa.float64(), metadata={"unit": units.get(name, "")}) for name in names]
        arrays = [pa.array(column) for column in (time, *values.T)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)
    return path


@pytest.mark.parametrize("ending", ["csv", "tdms", "parquet"])
def test_a_table_of_volts_is_the_rigs_trial(tmp_path, rig_path, volts, ending):
    order = np.random.default_rng(1).permutation(len(NAMES))
    units = {name: "V" for name in NAMES}
    path = save(tmp_path / f"walk.{ending}", [NAMES[k] for k in order], volts[:, order], units)
    trial, expected = bc.read(path, rig=rig_path), Rig.parse(TWO_PLATES).trial(volts, RATE)
    assert (trial.rate_hz, trial.lateral_known, len(trial)) == (RATE, True, len(volts))
    for plate, wanted in zip(trial.plates, expected.plates, strict=True):
        np.testing.assert_allclose(plate.wrench, wanted.wrench, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(plate.corners_lab, wanted.corners_lab)
        assert (plate.name, plate.side, plate.model) == (wanted.name, wanted.side, wanted.model)
    assert [(c.name, c.unit) for c in trial.analog] == [(c.name, c.unit) for c in expected.analog]
    # The scale of this plate's sheet is in N and N·m per V, its axes are the lab's.
    newtons = volts[:, 6:12] * [500, 500, 1000, 800, 250, 400]
    np.testing.assert_allclose(trial.plates[1].wrench, newtons, rtol=0, atol=1e-9)
    assert trial.reading["rig"] is not None
    assert bc.inspect(path, rig=rig_path).files[0].plates[0].name == "left"
    # A rig that is open already does as well as its file.
    again = bc.read(path, rig=Rig.parse(TWO_PLATES))
    np.testing.assert_array_equal(again.plates[0].wrench, trial.plates[0].wrench)
    assert again.reading["rig"] == trial.reading["rig"]


def test_qtms_analog_export_is_raw_channels(tmp_path, rig_path, volts):
    head = "TOT_NO_OF_CHAN\t14\nFREQUENCY\t1000\nDATA_INCLUDED\tANALOG\nCHANNEL_NAMES\t" + "\t".join(NAMES)
    np.savetxt(tmp_path / "walk.tsv", volts, delimiter="\t", header=head, comments="", fmt=EXACT)
    trial, expected = bc.read(tmp_path / "walk.tsv", rig=rig_path), Rig.parse(TWO_PLATES).trial(volts, RATE)
    for plate, wanted in zip(trial.plates, expected.plates, strict=True):
        np.testing.assert_allclose(plate.wrench, wanted.wrench, rtol=0, atol=1e-12)


def test_units_may_be_spelled_out(tmp_path, rig_path, volts):
    units = {"a0": "Volts", "a1": "volt", "emg": "VOLT"}
    trial = bc.read(save(tmp_path / "walk.csv", NAMES, volts, units), rig=rig_path)
    assert len(trial.plates) == 2
    (tmp_path / "rig.toml").write_text(TWO_PLATES.replace('raw_unit = "V"', 'raw_unit = "uV"'))
    for unit in ("µV", "μV", "microvolts"):
        bc.read(save(tmp_path / "walk.csv", NAMES, volts, {"emg": unit}), rig=rig_path)
    with pytest.raises(DataError, match=r"\(emg\) is in MV, the rig wants uV"):
        bc.read(save(tmp_path / "walk.csv", NAMES, volts, {"emg": "MV"}), rig=rig_path)


@pytest.mark.parametrize("extra", [("emg 2", 2.0), ("Fz", 0.5)])
def test_the_rigs_channels_are_found_beside_any_others(tmp_path, rig_path, volts, extra):
    """In TDMS channels have lengths of their own: a longer one, and a shorter one that is called as a force."""
    path = save(tmp_path / "walk.tdms", NAMES, volts)
    name, factor = extra
    with nptdms.TdmsWriter(path, mode="a") as writer:
        values = np.ones(int(factor * len(volts)))
        writer.write_segment([nptdms.ChannelObject("daq", name, values, {"wf_increment": 1 / RATE / factor})])
    trial, expected = bc.read(path, rig=rig_path), Rig.parse(TWO_PLATES).trial(volts, RATE)
    for plate, wanted in zip(trial.plates, expected.plates, strict=True):
        np.testing.assert_allclose(plate.wrench, wanted.wrench, rtol=0, atol=1e-12)
    # What the rig does not name is left out of any table.
    assert [c.name for c in trial.analog] == ["vastus", "belt speed"]


def test_saturated_volts_and_gaps_are_marked(tmp_path, rig_path, volts):
    volts[50, 2], volts[60, 8] = 10.0, np.nan
    trial = bc.read(save(tmp_path / "walk.csv", NAMES, volts), rig=rig_path)
    assert np.flatnonzero(trial.plates[0].saturated).tolist() == [50]
    assert np.isnan(trial.plates[1].wrench[60]).all()
    assert np.isfinite(trial.plates[0].wrench).all()


def test_columns_of_no_use_to_the_rig_may_be_there_or_not(tmp_path, volts):
    text = TWO_PLATES.replace('"speed"]\nlab', '"speed", "spare"]\nlab')
    (tmp_path / "rig.toml").write_text(text)
    path = save(tmp_path / "walk.csv", [*NAMES, "comment"], np.column_stack((volts, volts[:, 0])))
    trial = bc.read(path, rig=tmp_path / "rig.toml")
    assert [c.name for c in trial.analog] == ["vastus", "belt speed"]


@pytest.mark.parametrize(
    ("names", "units", "options", "reason"),
    [
        (
            ["other", *NAMES[1:]],
            {},
            {},
            r"walk\.csv: the rig wants the channel 'a0', the file has 'time \(s\)', 'other'",
        ),
        (["A0 ", "a0 ", *NAMES[2:]], {}, {}, "the rig wants the channel 'a1'"),
        (NAMES, {"a3": "mV"}, {}, r"column 5 \(a3\) is in mV, the rig wants V"),
        (NAMES, {"emg": "N"}, {}, r"\(emg\) is in N, the rig wants V"),
        (NAMES, {}, {"columns": {"Fz": "a2"}}, "columns= have no use here"),
        (NAMES, {}, {"units": {"force": "kN"}}, "units= and columns= have no use"),
        (NAMES, {}, {"axes": ("y", "-x", "z")}, "axes= and convention= have no use beside rig="),
        (NAMES, {}, {"convention": "action"}, "axes= and convention= have no use beside rig="),
        (NAMES, {}, {"rate_hz": 900.0}, "given as 900 Hz but"),
    ],
)
def test_tables_that_do_not_fit_the_rig(tmp_path, rig_path, volts, names, units, options, reason):
    path = save(tmp_path / "walk.csv", names, volts, units)
    with pytest.raises(DataError, match=reason):
        bc.read(path, rig=rig_path, **options)


def test_files_that_need_no_rig_refuse_one(tmp_path, rig_path, volts):
    np.save(tmp_path / "a.npy", volts)
    with pytest.raises(DataError, match=r"a\.npy: rig= is for raw channels; this is NumPy"):
        bc.read(tmp_path / "a.npy", rig=rig_path, rate_hz=RATE)
    trial = bc.Trial.from_wrenches([volts[:, :6]], rate_hz=RATE)
    for ending in ("csv", "tdms", "parquet"):
        bc.write(trial, tmp_path / f"own.{ending}")
        with pytest.raises(DataError, match="rig= is for raw channels"):
            bc.read(tmp_path / f"own.{ending}", rig=rig_path)
    with pytest.raises(DataError, match="give a rig or the path of a rig file"):
        bc.read(tmp_path / "own.csv", rig=3)
    with pytest.raises(DataError, match=r"none\.toml: the rig file can't be read"):
        bc.read(tmp_path / "own.csv", rig=tmp_path / "none.toml")


def test_the_command_line_takes_a_rig(tmp_path, rig_path, volts, capsys):
    path = save(tmp_path / "walk.csv", NAMES, volts)
    assert main(["inspect", str(path), "--rig", str(rig_path)]) == 0
    shown = capsys.readouterr().out
    assert "left" in shown
    assert "vastus [mV]" in shown
    assert main(["inspect", str(path)]) != 0
