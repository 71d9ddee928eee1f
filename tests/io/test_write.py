"""What is written is read back equal, whole or not at all, and never over another file."""

import csv
import dataclasses
import json
import resource
import signal
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore.errors import DataError, MissingExtraError
from balancecore.schema import COLUMNS
from balancecore.trial import COP_MIN_N, Source

from .trials import assert_equal, plain, trials, without_raw

EXACT = ("csv", "parquet", "tdms")
#: A `.mot` file holds point and torque instead of moments. Each is a quotient and a few products of doubles, of
#: forces and moments up to 1e5, so that points lie up to 1e5 / COP_MIN_N m away: rounding of 1e-16 times force
#: times distance, a few times over.
MOT_ATOL = 1e-14 * 1e5 * 1e5 / COP_MIN_N

several = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def there_and_back(trial, folder, ending, **options):
    path = folder / f"trial.{ending}"
    path.unlink(missing_ok=True)
    bc.write(trial, path)
    return bc.read(path, **options)


@pytest.mark.parametrize("ending", EXACT)
@several
@given(trial=trials())
def test_a_trial_comes_back_to_the_bit(tmp_path, ending, trial):
    found = there_and_back(trial, tmp_path, ending)
    assert_equal(found, trial)
    assert [e["written_from"] for e in found.reading["earlier"]] == [trial.reading]


@several
@given(trial=trials(elements=plain, whole=True))
def test_a_mot_file_keeps_the_same_loads(tmp_path, trial):
    assert_equal(there_and_back(trial, tmp_path, "mot"), without_raw(trial), atol=MOT_ATOL)


@several
@given(trial=trials(elements=plain))
def test_a_mot_file_needs_every_channel(tmp_path, trial):
    if any(plate.missing for plate in trial.plates):
        with pytest.raises(DataError, match=r"plate \d lacks .*: a \.mot file needs all six"):
            there_and_back(trial, tmp_path, "mot")
        assert not list(tmp_path.iterdir())
    else:
        there_and_back(trial, tmp_path, "mot")


def test_opensim_sees_force_point_and_free_moment(tmp_path):
    wrench = np.array([[10.0, -50.0, 700.0, 35.0, -70.0, 3.0], [1.0, 2.0, 5.0, 0.1, 0.2, 0.3]])
    trial = bc.Trial.from_wrenches(
        [wrench], rate_hz=1000.0, axes=("x", "y", "z"), origins_m=[[0.5, 1.0, 0.1]]
    )
    bc.write(trial, tmp_path / "run.mot")
    head, _, body = (tmp_path / "run.mot").read_text().partition("endheader\n")
    assert {"version=1", "nRows=2", "nColumns=10", "inDegrees=no"} <= set(head.splitlines())
    names, *rows = body.splitlines()
    row = dict(zip(names.split("\t"), map(float, rows[0].split("\t")), strict=True))
    plate = trial.plates[0]
    # Forward, up, right.
    assert [row[f"ground_force_1_v{a}"] for a in "xyz"] == [-50.0, 700.0, 10.0]
    assert [row[f"ground_force_1_p{a}"] for a in "xyz"] == [*plate.cop[0, [1, 2, 0]]]
    torque = [row[f"ground_torque_1_{a}"] for a in "xyz"]
    # Nothing but the free moment turns about the centre of pressure, up to rounding.
    assert torque == pytest.approx([0.0, plate.free_moment[0], 0.0], abs=1e-12)
    # Below 20 N the point is the plate's origin, with all moments.
    row = dict(zip(names.split("\t"), map(float, rows[1].split("\t")), strict=True))
    assert [row[f"ground_force_1_p{a}"] for a in "xyz"] == [1.0, 0.1, 0.5]
    assert [row[f"ground_torque_1_{a}"] for a in "xyz"] == [0.2, 0.3, 0.1]
    # Without its own header line it is a file of any other make, moments about the lab's origin.
    stripped = [
        line
        for line in (tmp_path / "run.mot").read_text().splitlines()
        if not line.startswith("balancecore_")
    ]
    (tmp_path / "other.mot").write_text("\n".join(stripped) + "\n")
    other = bc.read(tmp_path / "other.mot")
    assert other.lateral_known
    assert other.plates[0].wrench[:, :3] == pytest.approx(wrench[:, :3])
    assert other.plates[0].cop[0, :2] == pytest.approx(plate.cop[0, :2])


@pytest.fixture(scope="module")
def run():
    sim = bc.simulate.treadmill(n_steps=8, noise_n=3.0, seed=1).trial
    emg = bc.Analog("EMG, left", "V", 2 * sim.rate_hz, np.arange(2.0 * len(sim)))
    seen = bc.Markers(("heel",), sim.rate_hz / 4, np.zeros((len(sim) // 4, 3, 1)).transpose(0, 2, 1))
    return dataclasses.replace(
        sim, sources=(Source("raw.tsv", "cd" * 32),), notes=("a note",), analog=(emg,), markers=seen
    )


@pytest.mark.parametrize("ending", [*EXACT, "mot"])
def test_provenance_survives(tmp_path, run, ending):
    found = there_and_back(run, tmp_path, ending)
    assert found.sources == run.sources
    assert found.notes == run.notes
    result = bc.analyze_gait(found, n_boot=0)
    assert result.provenance["sources"] == bc.analyze_gait(run, n_boot=0).provenance["sources"]
    earlier = result.provenance["reading"]["earlier"][0]
    assert earlier["name"] == f"trial.{ending}"
    assert len(earlier["sha256"]) == 64
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("ending", EXACT)
def test_a_written_trial_gives_the_same_result(tmp_path, run, ending):
    found, wanted = (bc.analyze_gait(t, n_boot=0).steps for t in (there_and_back(run, tmp_path, ending), run))
    for name in wanted.columns:
        np.testing.assert_array_equal(found[name], wanted[name])


def test_the_caller_outranks_the_file(tmp_path, run):
    found = there_and_back(run, tmp_path, "csv", sides=["R", "L"], axes=("-x", "-y", "z"))
    assert [plate.side for plate in found.plates] == ["R", "L"]
    np.testing.assert_array_equal(found.plates[0].wrench[:, 0], -run.plates[0].wrench[:, 0])
    assert found.axes == ("-x", "-y", "z")
    with pytest.raises(DataError, match=r"trial.csv: the rate is given as 500 Hz but the file says"):
        there_and_back(run, tmp_path, "csv", rate_hz=500.0)
    with pytest.raises(DataError, match=r"trial.csv: units= and resample= have no use here"):
        there_and_back(run, tmp_path, "csv", units={"force": "kN"})
    # With columns= it is a table as any other.
    table = there_and_back(run, tmp_path, "csv", columns={"Fz": "Fz2", "time": "time"})
    # Its rows go on where a faster channel needs more of them.
    assert len(table) == 2 * len(run)
    np.testing.assert_array_equal(table.plates[0].wrench[: len(run), 2], run.plates[1].wrench[:, 2])
    assert np.isnan(table.plates[0].wrench[len(run) :, 2]).all()


def test_written_trials_are_plates_of_one(tmp_path):
    trial = bc.simulate.treadmill(n_steps=4, seed=1).trial
    for k, name in enumerate(("left.tdms", "right.parquet")):
        bc.write(dataclasses.replace(trial, plates=trial.plates[k : k + 1]), tmp_path / name)
    found = bc.read([tmp_path / "left.tdms", tmp_path / "right.parquet"])
    assert_equal(found, trial)


@pytest.mark.parametrize("ending", [*EXACT, "mot"])
def test_an_existing_file_is_never_overwritten(tmp_path, run, ending):
    path = tmp_path / f"run.{ending}"
    path.write_text("mine")
    with pytest.raises(
        DataError, match=rf"^run\.{ending}: the file exists already; nothing was written to it$"
    ):
        bc.write(run, path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [*EXACT, "mot"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, run, ending):
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(DataError, match=rf"^run\.{ending}: it can't be written: "):
            bc.write(run, tmp_path / f"run.{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said(tmp_path, run):
    with pytest.raises(
        DataError, match=r"run\.xlsx: the ending 'xlsx' names no format to write; known: csv, mot"
    ):
        bc.write(run, tmp_path / "run.xlsx")
    with pytest.raises(DataError, match=r"run\.csv: format='hdf' names no format"):
        bc.write(run, tmp_path / "run.csv", format="hdf")
    with pytest.raises(DataError, match=r"run\.csv: it can't be written: No such file or directory"):
        bc.write(run, tmp_path / "nowhere" / "run.csv")
    with pytest.raises(DataError, match="takes a Trial or a StepTable, not list"):
        bc.write([1], tmp_path / "run.csv")
    empty = bc.Trial((bc.Plate(np.empty((0, 6))),), 1000.0)
    with pytest.raises(DataError, match="the trial has no frames"):
        bc.write(empty, tmp_path / "run.csv")
    bc.write(run, tmp_path / "no ending", format="csv")
    assert [file.name for file in tmp_path.iterdir()] == ["no ending"]


@pytest.mark.parametrize(
    ("module", "ending", "extra"),
    [("pyarrow", "parquet", "tables"), ("nptdms", "tdms", "record"), ("ezc3d", "c3d", "c3d")],
)
def test_a_missing_extra_says_what_to_install(tmp_path, monkeypatch, module, ending, extra):
    run = bc.simulate.treadmill(n_steps=4, seed=1).trial
    bc.write(run, tmp_path / f"run.{ending}")
    monkeypatch.setitem(sys.modules, module, None)
    for act in (
        lambda: bc.read(tmp_path / f"run.{ending}"),
        lambda: bc.write(run, tmp_path / f"new.{ending}"),
    ):
        with pytest.raises(MissingExtraError, match=rf"pip install 'balancecore\[{extra}\]'"):
            act()
    assert [file.name for file in tmp_path.iterdir()] == [f"run.{ending}"]


# ---------------------------------------------------------------------------------------------------------------
# Steps


@pytest.fixture(scope="module")
def result(run):
    return bc.analyze_gait(run, n_boot=0)


def test_steps_in_parquet_say_what_they_are(tmp_path, result):
    result.steps.save(tmp_path / "steps.parquet", provenance=result.provenance)
    table = pq.read_table(tmp_path / "steps.parquet")
    for name in result.steps.columns:
        np.testing.assert_array_equal(table[name].to_numpy(), result.steps[name])
    for column in COLUMNS:
        about = table.schema.field(column.id).metadata
        assert about[b"unit"].decode() == column.unit
        assert about[b"definition"].decode() == column.definition
    kept = json.loads(table.schema.metadata[b"balancecore_steps"])
    assert kept["provenance"] == json.loads(json.dumps(result.provenance))


def test_steps_in_csv_have_their_metadata_beside_them(tmp_path, result):
    bc.write(result.steps, tmp_path / "steps.csv")
    with (tmp_path / "steps.csv").open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    assert tuple(names) == result.steps.columns
    for name, *cells in zip(names, *rows, strict=True):
        kept = [c if name == "side" else float(c or "nan") for c in cells]
        np.testing.assert_array_equal(kept, result.steps[name])
    about = json.loads((tmp_path / "steps.csv-metadata.json").read_text())
    assert about["url"] == "steps.csv"
    assert [c["name"] for c in about["tableSchema"]["columns"]] == names
    assert {c["name"]: c["balancecore:unit"] for c in about["tableSchema"]["columns"]} == result.steps.units


def test_steps_are_no_trial_and_never_overwrite(tmp_path, result):
    result.steps.save(tmp_path / "steps.csv")
    result.steps.save(tmp_path / "steps.parquet")
    for ending in ("csv", "parquet"):
        with pytest.raises(DataError, match=rf"steps\.{ending}: the file exists already"):
            result.steps.save(tmp_path / f"steps.{ending}")
        with pytest.raises(DataError, match=rf"steps\.{ending}: no (force column among|table of numbers)"):
            bc.read(tmp_path / f"steps.{ending}")
    (tmp_path / "steps.csv").unlink()
    with pytest.raises(DataError, match=r"steps\.csv-metadata\.json: the file exists already"):
        result.steps.save(tmp_path / "steps.csv")
    assert not (tmp_path / "steps.csv").exists()
    with pytest.raises(DataError, match=r"names no format to write; known: csv, parquet"):
        result.steps.save(tmp_path / "steps.tdms")


@several
@given(name=st.text(max_size=30))
def test_any_label_can_be_written(tmp_path, name):
    analog = tuple(bc.Analog(name, name, 1000.0, np.arange(3.0)) for _ in range(2))
    trial = dataclasses.replace(bc.Trial.from_wrenches([np.ones((3, 6))], rate_hz=1000.0), analog=analog)
    for ending in EXACT:
        assert_equal(there_and_back(trial, tmp_path, ending), trial)
