"""Batches: the same tables however they are run, a row for whatever goes wrong, and no work done twice."""

import concurrent.futures
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import balancecore as bc
from balancecore import cli, many, parts
from balancecore.parts import FACTS, Outcome, failed
from balancecore.progress import Progress
from balancecore.schema import COLUMNS
from balancecore.subjects import of_folder, of_table

#: A name that would show in any table that leaked a path.
FOLDER = "folder_of_subject_7"
TRIALS = 8
#: Before a process is taken for one that hangs, s; a busy machine takes long to start one.
PATIENCE_S = 300.0
#: Work that takes a worker down, or waits at a gate once a few have passed it; a new process can import it.
ODD_WORK = """
import os, signal, time
from balancecore import parts

def work(paths, settings):
    name = os.path.basename(paths[0])
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    gate = os.environ.get("BALANCECORE_TEST", "")
    if gate:
        os.close(os.open(os.path.join(gate, name + ".begun"), os.O_CREAT))
        while len(os.listdir(gate)) > 4 and not os.path.exists(os.path.join(gate, "go")):
            time.sleep(0.01)
    return parts.work(paths, settings)
"""


def write_run(path, seed):
    bc.write(bc.simulate.treadmill(n_steps=16, noise_n=2.0, step_jitter=0.02, seed=seed).trial, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trials in two folders, and files that are no such thing."""
    folder = tmp_path_factory.mktemp("many") / FOLDER
    (folder / "later").mkdir(parents=True)
    for k in range(TRIALS):
        write_run(folder / ("later" if k % 2 else "") / f"run{k}.csv", k)
    (folder / "words.csv").write_text("not a table\nof any kind\n")
    (folder / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    (folder / "notes.xlsx").write_bytes(b"PK\x03\x04")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The folder's tables from two threads of this process."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return bc.analyze_many(folder, executor=pool, n_boot=50)


def assert_same(one, other):
    for table in ("trials", "steps"):
        a, b = getattr(one, table), getattr(other, table)
        assert a.columns == b.columns
        for name in a.columns:
            assert a[name].dtype.kind == b[name].dtype.kind
            np.testing.assert_array_equal(a[name], b[name], err_msg=f"{table}, {name}")


@pytest.fixture
def odd_work(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "odd_work.py").write_text(ODD_WORK)
    monkeypatch.syspath_prepend(tmp_path / "code")
    import odd_work

    monkeypatch.setattr(many, "work", odd_work.work)
    yield odd_work
    sys.modules.pop("odd_work", None)


# --------------------------------------------------------------------------------------------- what is in them


def test_a_row_is_what_analyze_gait_says(folder, expected):
    row = {r["file"]: r for r in expected.trials}["later/run3.csv"]
    result = bc.analyze_gait(bc.read(folder / "later" / "run3.csv"), n_boot=50)
    steps = {
        name: expected.steps[name][expected.steps["trial"] == row["trial"]] for name in result.steps.columns
    }
    for name in result.steps.columns:
        np.testing.assert_array_equal(steps[name], result.steps[name])
    assert row["tc_left"] == result.summary["tc"]["L"].mean
    assert row["vilr_right_sd"] == result.summary["vilr"]["R"].sd
    assert row["imp_v_right_n"] == result.summary["imp_v"]["R"].n
    symmetry = result.symmetry["tc"]
    assert (row["tc_si"], row["tc_si_low"], row["tc_si_high"]) == (
        symmetry.si,
        symmetry.ci_low,
        symmetry.ci_high,
    )
    assert json.loads(row["provenance"])["options"]["n_boot"] == 50
    assert row["status"] == "ok"
    assert len(row["sha256"]) == 64
    assert row["cadence_spm"] == result.quality["cadence_spm"]


def test_every_column_says_what_it_is(expected):
    for table in (expected.trials, expected.steps):
        assert all(table.definitions.values())
        assert set(table.units) == set(table.columns)
    assert expected.trials.units["tc_left"] == "s"
    assert expected.steps.units["vilr"] == "BW/s"


def test_rows_are_in_the_order_of_names(expected):
    names = list(expected.trials["file"])
    assert names == sorted(names, key=lambda name: tuple(name.split("/")))
    assert list(expected.trials["trial"]) == list(range(TRIALS + 2))
    assert (np.diff(expected.steps["trial"]) >= 0).all()


def test_what_cannot_be_read_is_a_row_with_the_reason(expected):
    rows = {r["file"]: r for r in expected.trials}
    assert rows["words.csv"]["status"] == "error"
    assert rows["words.csv"]["error_type"] == "DataError"
    assert "no table of numbers" in rows["words.csv"]["error"]
    assert "damaged" in rows["damaged.npy"]["error"]
    assert np.isnan(rows["words.csv"]["tc_left"])
    assert rows["words.csv"]["trial"] not in expected.steps["trial"]
    assert expected.not_tried == ("notes.xlsx",)
    assert int((expected.trials["status"] == "ok").sum()) == TRIALS


def test_no_path_and_no_folder_in_the_tables(expected):
    for table in (expected.trials, expected.steps):
        for name in table.columns:
            if table[name].dtype.kind == "U":
                assert not any(FOLDER in cell for cell in table[name].tolist()), name


def test_hostile_names_and_contents(tmp_path):
    """Control characters, a FIFO that never ends, a link into nothing, a folder that looks like a file."""
    os.mkfifo(tmp_path / "endless.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "esc\x1b[2Jape.csv").write_text("Fz\n1e999\n-1e999\n")
    (tmp_path / "deep.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"PAR1")
    (tmp_path / "nul.txt").write_bytes(b"\x00" * 4096)
    (tmp_path / os.fsdecode(b"not\xffutf8.csv")).write_text("")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = bc.analyze_many(tmp_path, tmp_path / "out.csv", executor=pool, rate_hz=1000.0)
    assert len(found.trials) == 6
    assert set(found.trials["status"]) == {"error"}
    assert all(found.trials["error"])
    assert all(name.isprintable() for name in found.trials["file"].tolist())
    assert len(found.steps) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 6


def test_a_library_that_ends_the_program_costs_its_file_only(folder, tmp_path, monkeypatch):
    """Also where the work is done in this process: an exit, or the panic of a library written in Rust."""

    class PanicException(BaseException):
        """As PyO3 names it: no Exception."""

    def read(path, **options):
        if path.endswith("run0.csv"):
            raise SystemExit(3)
        if path.endswith("run2.csv"):
            raise PanicException("index out of bounds")
        return bc.read(path, **options)

    monkeypatch.setattr(parts, "read", read)
    found = threads([{"file": f"run{k}.csv"} for k in (0, 2, 4)], folder=folder, n_boot=0)
    assert found.trials["error_type"].tolist() == ["SystemExit", "PanicException", ""]
    assert found.trials["error"].tolist() == ["3", "index out of bounds", ""]

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        parts.work([str(folder / "run0.csv")], "{}")


def test_only_parts_are_skipped_in_a_folder_that_is_named_so(folder, tmp_path):
    """A name alone says nothing: a folder of recordings may be called so too."""
    for name in ("body.parts", "old.csv.parts", "mixed.parts"):
        (tmp_path / name).mkdir()
    run = (folder / "run0.csv").read_bytes()
    (tmp_path / "body.parts" / "run.csv").write_bytes(run)
    (tmp_path / "mixed.parts" / "run.csv").write_bytes(run)
    (tmp_path / "mixed.parts" / f"{'0' * 64}.part").write_bytes(b"")
    (tmp_path / "old.csv.parts" / f"{'0' * 64}.part").write_bytes(b"")
    (tmp_path / "old.csv.parts" / f"{'0' * 64}.4711").write_bytes(b"")  # a batch was killed there
    found = threads(tmp_path, n_boot=0)
    assert found.trials["file"].tolist() == ["body.parts/run.csv", "mixed.parts/run.csv"]
    assert found.not_tried == (f"mixed.parts/{'0' * 64}.part",)


def test_tables_of_an_earlier_batch_are_no_recordings(folder, tmp_path):
    """Also those of another name, and those of a command for one trial; the recordings themselves stay."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "run.csv").write_bytes((folder / "run0.csv").read_bytes())
    (here / "again.csv").write_bytes((folder / "run2.csv").read_bytes())
    for out in ("one.csv", "two.parquet", "three.csv"):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            found = bc.analyze_many(here, here / out, executor=pool, n_boot=0)
        bc.analyze_gait(bc.read(here / "run.csv"), n_boot=0).steps.save(here / f"steps of {out}.csv")
        (here / f"{Path(out).stem}_conditions{Path(out).suffix}").write_bytes(b"a comparison")
        assert found.trials["file"].tolist() == ["again.csv", "run.csv"], out
        assert found.not_tried == (), out


# --------------------------------------------------------------------------------------- however they are run


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_whatever_the_number_of_processes(folder, expected, workers, tmp_path):
    out = tmp_path / "out.parquet"
    found = bc.analyze_many(folder, out, workers=workers, n_boot=50)
    assert_same(found, expected)
    expected.trials.save(
        tmp_path / "expected.parquet", provenance={"options": {"n_boot": 50}, "trials": TRIALS + 2}
    )
    assert out.read_bytes() == (tmp_path / "expected.parquet").read_bytes()
    table = pq.read_table(tmp_path / "out_steps.parquet")
    assert table.num_rows == len(expected.steps)
    assert table.schema.field("tc").metadata[b"unit"] == b"s"


def test_a_worker_that_dies_costs_its_file_only(folder, expected, tmp_path, odd_work):
    """Two files take their worker down; all others are analysed, though the pool broke twice."""
    for name in ("a_crash.csv", "run99_crash.csv"):
        write_run(tmp_path / name, 1)
    rows = [{"file": str(path)} for path in sorted((*folder.glob("**/run*.csv"), *tmp_path.glob("*.csv")))]
    found = bc.analyze_many(rows, tmp_path / "out.parquet", workers=2, n_boot=50)
    died = found.trials["error_type"] == "WorkerDied"
    assert sorted(found.trials["file"][died]) == ["a_crash.csv", "run99_crash.csv"]
    assert all("died" in reason for reason in found.trials["error"][died])
    assert set(found.trials["status"][~died]) == {"ok"}
    assert len(found.steps) == len(expected.steps)
    # What a worker died of may be over, so that it is tried again.
    assert len(list((tmp_path / "out.parquet.parts").glob("*.part"))) == TRIALS


def test_processes_that_cannot_start_are_one_error(folder, tmp_path):
    """A script without a guard would start itself over and over."""
    script = tmp_path / "script.py"
    script.write_text(f"import balancecore as bc\nbc.analyze_many({str(folder)!r}, workers=1)\n")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    assert "BalanceCoreError: worker processes don't start" in done.stderr
    assert "__main__" in done.stderr


def test_an_executor_that_breaks_keeps_what_was_done(folder, tmp_path):
    class Breaks(concurrent.futures.ThreadPoolExecutor):
        left = 4

        def submit(self, *args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise concurrent.futures.BrokenExecutor("gone")
            return super().submit(*args, **kwargs)

    with Breaks(1) as pool, pytest.raises(bc.errors.BalanceCoreError, match="the executor broke"):
        bc.analyze_many(folder, tmp_path / "out.csv", executor=pool, n_boot=0)
    assert not (tmp_path / "out.csv").exists()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = bc.analyze_many(folder, tmp_path / "out.csv", executor=pool, n_boot=0)
    assert 0 < found.resumed <= 4
    assert len(found.trials) == TRIALS + 2


def test_an_executor_that_cannot_run_the_work_is_an_error_of_its_own(folder):
    class Wrong(concurrent.futures.ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            return super().submit(int, "no number")

    with Wrong(1) as pool, pytest.raises(bc.errors.BalanceCoreError, match="can't run a trial: ValueError"):
        bc.analyze_many(folder, executor=pool)


# ------------------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
            )
        )
        yield cluster


def test_dask_gives_the_same_table(folder, expected, cluster):
    assert_same(bc.analyze_many(folder, scheduler=cluster.scheduler_address, n_boot=50), expected)


def test_dask_gives_the_same_table_when_a_worker_is_killed(
    folder, expected, cluster, odd_work, monkeypatch, tmp_path
):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        gate = tmp_path / "gate"
        gate.mkdir()
        client.run(hold, str(tmp_path / "code"), str(gate))
        victim = next(iter(client.run(os.getpid).values()))
        killed = []

        def kill_half_way():
            parts = tmp_path / "out.csv.parts"
            while len(list(parts.glob("*.part"))) < 3:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)
            killed.append(len(list(parts.glob("*.part"))))
            (gate / "go").touch()

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        found = bc.analyze_many(folder, tmp_path / "out.csv", executor=client, n_boot=50)
        killer.join()
    assert killed
    assert killed[0] < TRIALS  # it was at work
    assert_same(found, expected)


def hold(code, gate):
    """In a worker of the cluster: find the odd work, and wait with it at the gate."""
    import os
    import sys

    sys.path.insert(0, code)
    os.environ["BALANCECORE_TEST"] = gate


def test_a_file_that_kills_every_worker_of_a_cluster(folder):
    """Dask gives a task up after several dead workers, also one that only happened to be there: it is tried alone."""

    class KilledWorker(Exception):
        """As Dask names it."""

    class Cluster(concurrent.futures.ThreadPoolExecutor):
        innocent = 1

        def get_executor(self, pure):
            assert not pure
            return self

        def submit(self, work, paths, settings):
            def dies(*_):
                raise KilledWorker

            dies_here = paths[0].endswith("run0.csv")
            if paths[0].endswith("run2.csv"):
                dies_here, self.innocent = self.innocent > 0, 0
            return super().submit(dies if dies_here else work, paths, settings)

    with Cluster(2) as cluster:
        found = bc.analyze_many(folder, executor=cluster, n_boot=0)
    reasons = dict(zip(found.trials["file"].tolist(), found.trials["error_type"].tolist(), strict=True))
    assert [name for name, reason in reasons.items() if reason == "WorkerDied"] == ["run0.csv"]
    assert reasons["run2.csv"] == ""


def test_no_scheduler_there(folder):
    pytest.importorskip("distributed")
    with pytest.raises(bc.errors.DataError, match="no Dask scheduler"):
        bc.analyze_many(folder, scheduler="nonsense://nowhere:1")


# ---------------------------------------------------------------------------------------------------- resuming


def installed():
    return str(Path(sysconfig.get_path("scripts")) / "balancecore")


def alive_in_group(group):
    """Processes of a group that are not merely waiting to be buried."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(stat.parent.name)
    return found


def killed_half_way(command, out):
    """The process group of a batch that was killed after some of its parts, and how many it had."""
    stopped = subprocess.Popen([*command, "-o", str(out)], start_new_session=True, stderr=subprocess.DEVNULL)
    parts = out.with_name(f"{out.name}.parts")
    while len(list(parts.glob("*.part"))) < 3 and stopped.poll() is None:
        time.sleep(0.01)
    stopped.kill()
    stopped.wait()
    return stopped, len(list(parts.glob("*.part")))


def test_a_killed_batch_goes_on_where_it_was(folder, tmp_path):
    command = [installed(), "batch", str(folder), "--workers", "2", "--bootstrap", "4000"]
    for k in range(5):  # where this process was away for too long, the batch was through before it was killed
        out = tmp_path / f"{k}" / "out.parquet"
        out.parent.mkdir()
        stopped, had = killed_half_way(command, out)
        if had < TRIALS + 2:
            break
    assert 3 <= had < TRIALS + 2
    assert not out.exists()
    # Its workers leave with it, unless they wait for work for ever.
    deadline = time.monotonic() + PATIENCE_S
    while alive_in_group(stopped.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive_in_group(stopped.pid)

    done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{had} of them taken from an earlier run" in done.stdout
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        whole = bc.analyze_many(folder, executor=pool, n_boot=4000)
    # Of the provenance only the options of the reading differ: the command line spells them out.
    found = pd.read_parquet(out).drop(columns="provenance")
    pd.testing.assert_frame_equal(
        found, whole.trials.to_pandas().drop(columns="provenance"), check_exact=True, check_dtype=False
    )
    steps = pd.read_parquet(out.with_name("out_steps.parquet"))
    pd.testing.assert_frame_equal(steps, whole.steps.to_pandas(), check_exact=True, check_dtype=False)


def test_only_what_changed_is_done_again(folder, tmp_path):
    def run(**options):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return bc.analyze_many(copies, tmp_path / "o.csv", executor=pool, replace=True, **options)

    copies = tmp_path / "copies"
    copies.mkdir()
    for name in ("run0.csv", "run2.csv", "words.csv"):
        (copies / name).write_bytes((folder / name).read_bytes())
    assert run(n_boot=0).resumed == 0
    assert run(n_boot=0).resumed == 3
    (copies / "run2.csv").write_bytes((folder / "run4.csv").read_bytes())
    changed = run(n_boot=0)
    assert changed.resumed == 2
    assert len(changed.steps) == 32
    assert run(n_boot=0, mass_kg=70.0).resumed == 0
    damaged = sorted((tmp_path / "o.csv.parts").glob("*.part"), key=lambda path: path.stat().st_size)
    for path in damaged[-6:]:
        path.write_bytes(path.read_bytes()[:-8] + b"damaged!")
    repaired = run(n_boot=0)
    assert repaired.resumed == 1
    assert_same(repaired, changed)
    assert run(n_boot=0, restart=True).resumed == 0


def test_outputs_are_never_overwritten_unasked(folder, tmp_path):
    (tmp_path / "out_steps.csv").write_text("mine")
    with pytest.raises(bc.errors.DataError, match=r"out_steps\.csv: the file exists already"):
        bc.analyze_many(folder, tmp_path / "out.csv", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out_steps.csv"]


# ------------------------------------------------------------------------------------------ tables of subjects


def threads(table, **options):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return bc.analyze_many(table, executor=pool, **options)


ROWS = [
    {"file": "run0.csv", "subject": "007", "surface": "track", "mass_kg": "70,5", "first_side": ""},
    {"file": "later/run1.csv", "subject": "012", "surface": "grass", "mass_kg": "", "first_side": "R"},
    {"file": "run2.csv", "subject": "012", "surface": "track", "mass_kg": "abc", "first_side": ""},
    {"file": "", "subject": "013", "surface": "track", "mass_kg": "70", "first_side": ""},
    {"file": "missing.csv", "subject": "013", "surface": "", "mass_kg": "9999", "first_side": ""},
]


def test_a_table_sets_options_row_by_row(folder, tmp_path):
    with (tmp_path / "subjects.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0], delimiter=";")
        writer.writeheader()
        writer.writerows(ROWS)
    found = threads(tmp_path / "subjects.csv", folder=folder, n_boot=0, mass_kg=64.0)
    assert list(found.trials["status"]) == ["ok", "ok", "error", "error", "error"]
    assert list(found.trials["error_type"][2:]) == ["RowError", "RowError", "DataError"]
    assert "mass_kg: 'abc'" in found.trials["error"][2]
    assert "names no file" in found.trials["error"][3]
    assert "no such file" in found.trials["error"][4]
    g = 9.80665
    np.testing.assert_allclose(found.trials["body_weight_n"][:2], [70.5 * g, 64.0 * g], rtol=1e-12)
    assert list(found.trials["subject"]) == ["007", "012", "012", "013", "013"]
    assert list(found.trials["surface"]) == ["track", "grass", "track", "track", ""]
    assert set(found.steps["subject"]) == {"007", "012"}
    assert found.steps["side"][0] == "L"  # by belt
    asked = [json.loads(text)["options"]["first_side"] for text in found.trials["provenance"][:2]]
    assert asked == [None, "R"]


def test_tables_in_memory_and_in_parquet_agree(folder, tmp_path):
    frame = pd.DataFrame(
        {"file": ["run0.csv", "later/run1.csv"], "age": [31, 40], "mass_kg": [70.0, None], "cue": ["a", None]}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    one = threads(frame, folder=folder, n_boot=0)
    assert_same(threads(tmp_path / "t.parquet", folder=folder, n_boot=0), one)
    assert_same(threads(tmp_path / "t.csv", folder=folder, n_boot=0), one)
    assert_same(threads(frame.to_dict("records"), folder=folder, n_boot=0), one)
    assert one.trials["age"].tolist() == [31, 40]
    assert one.trials["cue"].tolist() == ["a", ""]
    np.testing.assert_array_equal(one.trials["mass_kg"], [70.0, np.nan])


@pytest.mark.parametrize(("ending", "mark"), [("tsv", "\t"), ("csv", ",")])
def test_files_of_one_trial(tmp_path, ending, mark):
    """Plates of a trial: joined by hand in a table, and by name in a folder of QTM exports."""
    plates = bc.simulate.treadmill(n_steps=12, seed=1).trial.plates
    for k, plate in enumerate(plates, start=1):
        head = f"NO_OF_SAMPLES\t{len(plate.wrench)}\nFREQUENCY\t1000\nFORCE_PLATE_NAME\tplate {k}\n"
        columns = "\t".join(f"{what}_{a}" for what in ("Force", "Moment") for a in "XYZ")
        rows = "\n".join("\t".join(f"{-v:.6g}" for v in row) for row in plate.wrench)
        text = f"{head}{columns}\n{rows}\n".replace("\t", mark)
        (tmp_path / f"walk_f_{k}.{ending}").write_text(text)
    of_folder = threads(tmp_path, n_boot=0, mass_kg=70.0)
    assert of_folder.trials["file"].tolist() == [f"walk_f_1.{ending};walk_f_2.{ending}"]
    assert of_folder.trials["plates"][0] == 2
    joined = {"file": f"walk_f_1.{ending}; walk_f_2.{ending}"}
    by_hand = threads([joined], folder=tmp_path, n_boot=0, mass_kg=70.0)
    assert_same(by_hand, of_folder)


def test_plates_are_told_from_trials_that_are_only_called_so(tmp_path):
    for name in ("a_f_1.TSV", "a_f_2.tsv", "c_f_1.csv", "c_f_2.csv"):
        (tmp_path / name).write_text("NO_OF_SAMPLES\t9\n")
    for name in ("d_f_1.tsv", "d_f_01.tsv"):
        (tmp_path / name).write_text("NO_OF_SAMPLES\t9\n")
    (tmp_path / "c_f_2.csv").write_bytes(b"")
    for name in ("b_f_1.csv", "b_f_1b.csv", "b_f_2.csv"):
        (tmp_path / name).write_text("time,Fz (N)\n0.000,0\n0.001,5\n")
    specs, _ = of_folder(tmp_path)
    assert [spec.names for spec in specs] == [
        ("a_f_1.TSV", "a_f_2.tsv"),
        ("b_f_1.csv",),
        ("b_f_1b.csv",),
        ("b_f_2.csv",),
        ("c_f_1.csv", "c_f_2.csv"),
        # No trial has one plate twice.
        ("d_f_01.tsv",),
        ("d_f_1.tsv",),
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no rows"),
        ([{"name": "run0.csv"}], "needs one column called 'file'"),
        ([{"file": "a.csv", "mass": 70}], "call it 'mass_kg'"),
        ([{"file": "a.csv", "side": "L"}], "call it 'first_side'"),
        ([{"file": "a.csv", "rig": "rig.toml"}], "'rig', but a batch takes no rig files"),
        ([{"file": "a.csv", "tc": 1}], "'tc', which the results have too"),
        (7, "not int"),
    ],
)
def test_tables_that_make_no_sense(rows, reason):
    with pytest.raises(bc.errors.DataError, match=reason):
        bc.analyze_many(rows, workers=1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mass_kg": -1.0}, "mass_kg"),
        ({"speed": 3.0}, "speed: no such option"),
        ({"convention": "both"}, "convention"),
        ({"units": object()}, "plain values"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_wrong_options_stop_the_batch_before_it_starts(folder, options, reason):
    with pytest.raises(bc.errors.DataError, match=reason):
        bc.analyze_many(folder, **options)


def test_a_label_that_looks_like_speed_is_one(folder):
    found = threads([{"file": "run0.csv", "speed": "slow"}], folder=folder, n_boot=0)
    assert found.trials["speed"].tolist() == ["slow"]


def test_a_format_is_a_label_unless_it_is_the_options(tmp_path):
    labelled, asked = of_table([{"file": "a.c3d", "format": "c3d"}], tmp_path) + of_table(
        [{"file": "a.txt", "format": "netforce"}], tmp_path
    )
    assert (labelled.error, labelled.settings, labelled.cells) == ("", {}, {"format": "c3d"})
    assert (asked.error, asked.settings) == ("", {"format": "netforce"})


# ------------------------------------------------------------------------------------------- bytes of a result


def test_an_outcome_survives_its_bytes():
    result = bc.analyze_gait(bc.simulate.treadmill(n_steps=12, seed=1).trial, n_boot=0)
    steps = {name: result.steps[name] for name in result.steps.columns}
    outcome = Outcome("", "", {"sha256": "0" * 64, "tc_left": 0.1}, steps)
    back = Outcome.from_bytes(outcome.to_bytes())
    assert back.facts == outcome.facts
    for c in COLUMNS:
        np.testing.assert_array_equal(back.steps[c.id], steps[c.id])
    empty = Outcome.from_bytes(failed("DataError", "why\nnot\x1b").to_bytes())
    assert (empty.error, len(empty.steps["t_on"])) == ("why not\\x1b", 0)


def test_a_byte_too_few_or_too_many_is_noticed():
    data = Outcome("", "", {}, {}).to_bytes()
    for damaged in (data + b"x", data[:5], b""):
        with pytest.raises(ValueError):  # noqa: PT011
            Outcome.from_bytes(damaged)


def test_facts_have_names_of_their_own():
    assert len({c.id for c in (*FACTS, *COLUMNS)}) == len(FACTS) + len(COLUMNS)


# ------------------------------------------------------------------------------------------- the command line


def test_the_command_says_what_it_did(folder, tmp_path, capsys):
    table = tmp_path / "subjects.csv"
    surfaces = ("track", "grass")
    rows = [f"{'later/' if k % 2 else ''}run{k}.csv,{k // 2},{surfaces[k % 2]}" for k in range(6)]
    table.write_text("file,subject,surface\n" + "\n".join(rows) + "\nnone.csv,9,track\n")
    out = tmp_path / "out.csv"
    words = ["batch", str(folder), "-o", str(out), "--table", str(table), "--condition", "surface"]
    assert cli.main([*words, "--workers", "1", "--bootstrap", "50"]) == 0
    said = capsys.readouterr()
    assert "6 of 7 trials analysed; 96 contacts" in said.out
    assert "none.csv: DataError: none.csv: there is no such file" in said.out
    assert "7 of 7 trials, 1 failed" in said.err
    compared = pd.read_csv(tmp_path / "out_conditions.csv")
    assert set(compared["subject"]) == {"0", "1", "2", "(group)"}
    assert set(compared["condition"]) == {"grass"}
    assert FOLDER not in said.out + said.err + out.read_text()

    assert cli.main([*words, "--quiet"]) == 1
    assert "out_conditions.csv: the file exists already" in capsys.readouterr().err


SUBJECTS = "file,subject,cue\nrun0.csv,a,2.5\nrun2.csv,a,3\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--condition", "cue"], "--condition needs a table"),
        (
            ["--table", "T", "--condition", "surface"],
            "--condition surface: the table of subjects has no such column",
        ),
        (["--table", "T", "--condition", "cue", "--subject", "who"], "--subject who: the table"),
        (["--table", "T", "--condition", "subject"], "fewer than two conditions"),
        (
            ["--table", "T", "--condition", "cue", "--reference", "4"],
            "--reference 4: the conditions are 2.5, 3",
        ),
        (["--table", "T", "--reference", "3"], "--reference goes with --condition"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_before_the_work(folder, tmp_path, capsys, words, reason):
    table = tmp_path / "t.csv"
    table.write_text(SUBJECTS)
    words = [str(table) if word == "T" else word for word in words]
    assert cli.main(["batch", str(folder), "-o", str(tmp_path / "o.csv"), "--quiet", *words]) == 1
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_reference_of_the_command(folder, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(SUBJECTS)
    words = ["batch", str(folder), "--table", str(tmp_path / "t.csv"), "--condition", "cue", "--quiet"]
    monkeypatch.setattr(cli, "analyze_many", in_threads)
    for said, known in (((), 2.5), (("--reference", "3.0"), 3.0)):
        out = tmp_path / f"{known}.csv"
        assert cli.main([*words, "-o", str(out), "--bootstrap", "0", *said]) == 0
        found = pd.read_csv(tmp_path / f"{known}_conditions.csv")
        assert set(found["reference"]) == {known}


def in_threads(*args, workers, **options):
    """As the command calls it, without processes."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return bc.analyze_many(*args, executor=pool, **options)


def test_a_bar_where_someone_watches(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(3, "trials") as said:
        said.one_done()
        said.one_done(failed=True)
    shown = capsys.readouterr()
    assert "2/3" in shown.err
    assert "trials, 1 failed" in shown.err
    assert shown.out == ""


def test_a_batch_without_a_single_trial_fails(tmp_path, capsys):
    (tmp_path / "words.txt").write_text("words\n")
    assert cli.main(["batch", str(tmp_path), "-o", str(tmp_path / "o.csv"), "--workers", "1", "--quiet"]) == 1
    assert "no trial could be analysed" in capsys.readouterr().err
    assert cli.main(["batch", str(tmp_path / "nowhere"), "-o", str(tmp_path / "p.csv"), "--quiet"]) == 1
    assert "no such file" in capsys.readouterr().err
