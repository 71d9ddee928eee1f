"""Damaged and hostile files end in one clear DataError: no crash, no hang, no huge allocation."""

import dataclasses
import io
import json
import resource
import struct

import nptdms
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import balancecore as bc
from balancecore.errors import DataError
from balancecore.io import _own, tdms

from .test_vendors import dat, nexus

FORMATS = ("csv", "mot", "parquet", "tdms")
MUTATIONS = 300
#: No damage may make a reader take more memory than this, on top of what it has.
MOST_BYTES = 1 << 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a written trial in each format, and of vendors' files."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(4)
    trial = bc.Trial.from_wrenches(
        [rng.normal(300.0, 20.0, (150, 6)) for _ in range(2)],
        rate_hz=1000.0,
        names=["a", "b"],
        sides=["L", "R"],
    )
    beside = {
        "analog": (bc.Analog("EMG", "V", 500.0, rng.normal(size=75)),),
        "markers": bc.Markers(("heel",), 250.0, rng.normal(size=(38, 1, 3))),
    }
    trial = dataclasses.replace(trial, **beside)
    for ending in FORMATS:
        bc.write(trial, folder / f"trial.{ending}")
    data = {ending: (folder / f"trial.{ending}").read_bytes() for ending in FORMATS}
    return data | {"dat": dat(copies=1, frames=100)[0], "nexus": nexus().encode()}


def outcome(path, data):
    """The trial, or the one DataError that names the file."""
    path.write_bytes(data)
    try:
        return bc.read(path)
    except DataError as error:
        said = str(error)
    assert said.startswith(path.name)
    assert len(said) < 2000
    return None


@pytest.mark.parametrize("kind", [*FORMATS, "dat", "nexus"])
def test_a_file_cut_anywhere_is_refused(tmp_path, whole, kind):
    data = whole[kind]
    where = [*range(1024, len(data), 1024), *range(1, 64), len(data) // 2, len(data) - 9, len(data) - 60]
    for length in where:
        found = outcome(tmp_path / "cut.bin", data[:length])
        # A Nexus export may end with any row of a section; so may a header of the text formats.
        assert found is None or (kind == "nexus" and len(found) <= 40), length


@pytest.mark.parametrize("kind", [*FORMATS, "dat"])
def test_flipped_bytes_never_crash(tmp_path, whole, kind):
    rng = np.random.default_rng(6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(MUTATIONS if kind in ("parquet", "tdms", "dat") else MUTATIONS // 10):
        data = bytearray(whole[kind])
        # Most of a file is numbers; headers are where damage does more.
        reach = len(data) if rng.random() < 0.5 else min(600, len(data))
        at = rng.integers(0, reach, size=rng.integers(1, 4))
        for k in at if rng.random() < 0.7 else len(data) - 1 - at:
            data[k] = rng.integers(0, 256)
        outcome(tmp_path / "flipped.bin", bytes(data))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MOST_BYTES


@pytest.mark.parametrize("kind", ["parquet", "tdms", "dat"])
def test_absurd_sizes_are_refused(tmp_path, whole, kind):
    """Every whole number of 32 bits in the file, one after another, says far too much."""
    data = whole[kind]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = [*range(0, min(len(data), 1200), 4), *range(max(0, len(data) - 1200), len(data) - 4, 4)]
    for at in ends:
        size = 0x7FFFFFFF if at % 8 else 0xFFFFFFFF
        outcome(tmp_path / "absurd.bin", data[:at] + struct.pack("<I", size) + data[at + 4 :])
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MOST_BYTES


ENTRIES = (
    "rate_hz",
    "n_frames",
    "plates",
    "analog",
    "markers",
    "events",
    "sources",
    "notes",
    "axes",
    "convention",
)
NONSENSE = (
    None,
    -1,
    0,
    10**30,
    1e300,
    float("nan"),
    "text",
    [],
    {},
    [[[]]],
    True,
    [None],
    [{}],
    {"names": 3},
)


@pytest.mark.parametrize("ending", ["csv", "mot", "parquet", "tdms"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_nonsense_about_the_trial_is_refused(tmp_path, whole, ending, entry):
    for nonsense in NONSENSE:
        changed = changed_entries(whole[ending], ending, lambda e, n=nonsense: {**e, entry: n})
        found = outcome(tmp_path / f"odd.{ending}", changed)
        if found is not None:
            # Some values have a meaning: no axes, no notes, another number of frames …
            assert len(found) <= 150
            assert found.rate_hz >= 1.0


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e: {**e, "n_frames": 10**12}, "cut short|damaged"),
        (lambda e: {**e, "version": 2}, "written by a newer balancecore"),
        (lambda e: {**e, "plates": e["plates"][:1]}, "columns more than it says|it says 1 plates|damaged"),
        (lambda e: {**e, "plates": e["plates"] * 9}, "damaged|it says 18 plates"),
        (lambda e: {**e, "rate_hz": float("nan")}, "sampling rate"),
        (lambda e: {k: v for k, v in e.items() if k != "events"}, "damaged"),
    ],
)
def test_a_trial_that_contradicts_its_columns_is_refused(tmp_path, whole, ending, change, reason):
    (tmp_path / f"odd.{ending}").write_bytes(changed_entries(whole[ending], ending, change))
    with pytest.raises(DataError, match=rf"^odd\.{ending}.*({reason})"):
        bc.read(tmp_path / f"odd.{ending}")


def changed_entries(data, ending, change):
    """The file with another text about its trial."""
    if ending in ("csv", "mot"):
        lines = data.decode().split("\n")
        mark = "# balancecore_trial " if ending == "csv" else "balancecore_trial="
        k = next(k for k, line in enumerate(lines) if line.startswith(mark))
        lines[k] = mark + json.dumps(change(json.loads(lines[k][len(mark) :]))).replace("=", "\\u003d")
        return "\n".join(lines).encode()
    out = io.BytesIO()
    if ending == "parquet":
        table = pq.read_table(pa.BufferReader(data))
        entries = change(json.loads(table.schema.metadata[b"balancecore_trial"]))
        pq.write_table(table.replace_schema_metadata({"balancecore_trial": json.dumps(entries)}), out)
        return out.getvalue()
    file = nptdms.TdmsFile.read(io.BytesIO(data))
    entries = change(json.loads(file.properties["balancecore_trial"]))
    objects = [nptdms.RootObject({"balancecore_trial": json.dumps(entries)})]
    for group in file.groups():
        objects.append(nptdms.GroupObject(group.name))
        objects += [nptdms.ChannelObject(group.name, c.name, c[:]) for c in group.channels()]
    with nptdms.TdmsWriter(out) as writer:
        writer.write_segment(objects)
    return out.getvalue()


def test_a_deep_nest_of_brackets_is_refused(tmp_path):
    (tmp_path / "deep.csv").write_text(f"# balancecore_trial {'[' * 100_000}\ntime,Fz\n0,1\n0.001,2\n")
    with pytest.raises(DataError, match=r"^deep\.csv: what it says of the trial is damaged"):
        bc.read(tmp_path / "deep.csv")


# ---------------------------------------------------------------------------------------------------------------
# Tables of other makes


def parquet(path, columns, **metadata):
    fields = [pa.field(k, pa.array(v).type, metadata=metadata.get(k)) for k, v in columns.items()]
    pq.write_table(
        pa.Table.from_arrays([pa.array(v) for v in columns.values()], schema=pa.schema(fields)), path
    )
    return path


def test_parquet_is_read_as_any_table(tmp_path):
    columns = {
        "time_ms": np.arange(20.0),
        "Fz1": np.arange(20) * 10,
        "Mx1 (N.mm)": np.arange(20, dtype=np.float32),
        "Fz2": [None, *range(19)],
        "Mx2 (N.mm)": np.zeros(20),
        "EMG": np.ones(20),
        "who": ["x"] * 20,
    }
    path = parquet(tmp_path / "run.parquet", columns, Fz1={"unit": "kN"}, EMG={"unit": "V"})
    trial = bc.read(path)
    assert (trial.rate_hz, len(trial.plates)) == (1000.0, 2)
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 2], np.arange(20) * 1e4)
    np.testing.assert_allclose(trial.plates[0].wrench[:, 3], np.arange(20) / 1e3)
    assert np.isnan(trial.plates[1].wrench[0, 2])
    assert [(c.name, c.unit) for c in trial.analog] == [("EMG", "V")]
    named = bc.read(path, columns={"Fz": "Fz1", "time": "time_ms"})
    assert [c.name for c in named.analog] == ["Mx1 (N.mm)", "Fz2", "Mx2 (N.mm)", "EMG"]
    with pytest.raises(DataError, match=r"column 6 \(Fz\): unit 'V' is not a known unit of force"):
        bc.read(path, columns={"Fz": "EMG", "time": "time_ms"})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"Fz": np.zeros(0)}, "no rows"),
        ({"who": ["x", "y"]}, "no column of numbers"),
        ({"Fz": [1.0, 2.0], "fz": [1.0, 2.0]}, "columns 1 and 2 are both Fz"),
        ({"time": [0.0, np.nan], "Fz": [1.0, 2.0]}, "row 2: the time is not a number here"),
        ({"time": [0.0, np.inf], "Fz": [1.0, 2.0]}, "row 2: the time is not a number here"),
        ({"time": [0.0, 0.0], "Fz": [1.0, 2.0]}, "row 2: the time does not increase"),
        ({"time": [0.0, 1e-9], "Fz": [1.0, 2.0]}, "the sampling rate must lie between"),
        ({"Fz": [1.0, 2.0]}, "no time column and no rate"),
    ],
)
def test_bad_parquet_tables_are_refused(tmp_path, columns, reason):
    with pytest.raises(DataError, match=rf"^bad\.parquet.*{reason}"):
        bc.read(parquet(tmp_path / "bad.parquet", columns))


def test_few_bytes_of_many_numbers_are_refused(tmp_path, monkeypatch):
    """Run-length encoding makes any number of equal numbers a few kilobytes."""
    path = parquet(tmp_path / "bomb.parquet", {"Fz": np.ones(1_000_000)})
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("balancecore.io.parquet.MAX_BYTES", 7_900_000)
    with pytest.raises(DataError, match=r"^bomb\.parquet: its table would take 0\.0 GB, more than"):
        bc.read(path)


def write_tdms(path, channels, root=()):
    """Channels are (group, name, values, properties)."""
    objects = [nptdms.RootObject(dict(root))] + [nptdms.ChannelObject(*channel) for channel in channels]
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment(objects)
    return path


def wave(step=0.001, unit="N"):
    return {"wf_increment": step, "unit_string": unit}


def test_tdms_is_read_as_any_table(tmp_path):
    ramp = np.arange(20)
    channels = [
        ("FP1", "Fz", ramp, wave(unit="kN")),
        ("FP1", "Mx", ramp * 1.0, wave(unit="N.mm")),
        ("FP2", "Fz", ramp.astype(np.float32), wave()),
        ("FP2", "Mx", ramp * 1.0, wave(unit="N.m")),
        ("Other", "EMG", np.arange(40.0), wave(0.0005, "V")),
        ("Other", "log", np.arange(3.0), {}),
        ("Other", "text", ["a", "b"], {}),
    ]
    trial = bc.read(write_tdms(tmp_path / "run.tdms", channels))
    assert (trial.rate_hz, len(trial), len(trial.plates)) == (1000.0, 20, 2)
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 2], ramp * 1e3)
    np.testing.assert_allclose(trial.plates[0].wrench[:, 3], ramp / 1e3)
    np.testing.assert_allclose(trial.plates[1].wrench[:, 3], ramp)
    assert [(c.name, c.unit, c.rate_hz) for c in trial.analog] == [("EMG", "V", 2000.0)]
    assert trial.notes == ("run.tdms: channel 'log' has another length and no rate: it was left out",)


def test_tdms_without_a_rate_takes_its_time_channel_or_the_callers(tmp_path):
    time = ("g", "Time", np.arange(10) / 500.0, {"unit_string": "s"})
    force = ("g", "Fz", np.ones(10), {"wf_increment": 0.0})
    assert bc.read(write_tdms(tmp_path / "a.tdms", [time, force])).rate_hz == 500.0
    path = write_tdms(tmp_path / "b.tdms", [force])
    assert bc.read(path, rate_hz=200.0).rate_hz == 200.0
    with pytest.raises(DataError, match=r"^b\.tdms: no time column and no rate in the header"):
        bc.read(path)
    path = write_tdms(tmp_path / "c.tdms", [("g", "kraft", np.ones(10), wave())])
    assert bc.read(path, columns={"Fz": "kraft"}).rate_hz == 1000.0


def test_tdms_in_many_segments_is_one_recording(tmp_path):
    with nptdms.TdmsWriter(tmp_path / "run.tdms") as writer:
        for k in range(50):
            values = np.arange(10.0) + 10 * k
            writer.write_segment([nptdms.ChannelObject("g", "Fz", values, wave())])
    assert bc.read(tmp_path / "run.tdms").plates[0].wrench[:, 2].tolist() == list(range(500))


@pytest.mark.parametrize(
    ("channels", "reason"),
    [
        ([], "no channel with numbers"),
        ([("g", "Fz", np.zeros(0), wave())], "no channel with numbers"),
        ([("g", "text", ["a"], {})], "no channel with numbers"),
        ([("g", "Fz", np.ones(5), wave(float("nan")))], "wf_increment=nan is not a time"),
        ([("g", "Fz", np.ones(5), wave(-0.001))], "wf_increment=-0.001 is not a time"),
        ([("g", "Fz", np.ones(5), wave(float("inf")))], "wf_increment=inf is not a time"),
        ([("g", "Fz", np.ones(5), {"wf_increment": "fast"})], "wf_increment='fast' is not a time"),
        ([("g", "Fz", np.ones(5), wave(1e-12))], "the sampling rate must lie between"),
        ([("g", "Fz", np.ones(5), wave()), ("g", "Fx", np.ones(5), wave(0.002))], "different rates"),
        ([("g", "Fz", np.ones(5), wave()), ("g", "fz ", np.ones(5), wave())], "are both Fz"),
        ([("g", "Fz", np.ones(5), wave(unit="kg"))], "unit 'kg' is not a known unit of force"),
    ],
)
def test_bad_tdms_is_refused(tmp_path, channels, reason):
    with pytest.raises(DataError, match=rf"^bad\.tdms.*{reason}"):
        bc.read(write_tdms(tmp_path / "bad.tdms", channels))


def test_tdms_of_countless_pieces_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tdms, "_MAX_PIECES", 20)
    with nptdms.TdmsWriter(tmp_path / "run.tdms") as writer:
        for _ in range(30):
            writer.write_segment([nptdms.ChannelObject("g", "Fz", np.ones(2), wave())])
    with pytest.raises(DataError, match=r"^run\.tdms: it is in more than 20 pieces: defragment it first"):
        bc.read(tmp_path / "run.tdms")


def test_tdms_in_turns_of_one_sample_is_read_up_to_a_limit(tmp_path, monkeypatch):
    out = io.BytesIO()
    with nptdms.TdmsWriter(out) as writer:
        one = [nptdms.ChannelObject("g", name, np.ones(1), wave()) for name in ("Fx", "Fz")]
        writer.write_segment(one)
    data = out.getvalue()
    turns = np.arange(100.0)
    # Lead-in, metadata of one sample a channel, and fifty turns of two samples.
    held = len(data) - 28 - 16
    data = data[:12] + struct.pack("<QQ", held + turns.nbytes, held) + data[28 : 28 + held] + turns.tobytes()
    (tmp_path / "run.tdms").write_bytes(data)
    assert bc.read(tmp_path / "run.tdms").plates[0].wrench[:, 2].tolist() == turns[1::2].tolist()
    monkeypatch.setattr(tdms, "_MAX_PIECES", 20)
    with pytest.raises(DataError, match=r"^run\.tdms: it is in more than 20 pieces: defragment it first"):
        bc.read(tmp_path / "run.tdms")


def test_version_is_part_of_the_layout(whole):
    assert b'"version": 1' in whole["csv"]
    assert _own.VERSION == 1
