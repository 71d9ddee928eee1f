"""The command line: what it prints, writes and returns, and one line for whatever goes wrong."""

import csv
import io
import json
import math
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import balancecore as bc
from balancecore import cli
from balancecore.text import summary_text

HEADER = "time," + ",".join(f"{c}{k}" for k in (1, 2) for c in ("Fx", "Fy", "Fz", "Mx", "My", "Mz"))
#: A name that would show in any output that leaked a path.
FOLDER = "folder_of_subject_7"
#: Enough for the numbers of a table, quick for a test.
QUICK = ("--bootstrap", "50")


def save(path, columns, header=""):
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="", fmt="%.6g")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated run in the forms that a lab has it, and files that are no such thing."""
    folder = tmp_path_factory.mktemp("cli") / FOLDER
    folder.mkdir()
    sim = bc.simulate.treadmill(n_steps=14, noise_n=3.0, step_jitter=0.02, seed=1)
    left, right = (plate.wrench for plate in sim.trial.plates)
    t = np.arange(len(left)) / 1000.0
    save(folder / "run.csv", [t, left, right], HEADER)
    save(folder / "left.csv", [t, left], "time,Fx,Fy,Fz,Mx,My,Mz")
    save(folder / "right.csv", [t, right], "time,Fx,Fy,Fz,Mx,My,Mz")
    save(folder / "inverted.csv", [t, -left, -right], HEADER)
    save(folder / "fz.txt", [left[:, 2] + right[:, 2]])
    save(folder / "flat.txt", [np.full(3000, 3.0)])
    (folder / "empty.csv").write_bytes(b"")
    (folder / "blank.csv").write_bytes(b"\n \n")
    (folder / "garbage.csv").write_bytes(bytes(range(256)) * 20)
    (folder / "words.csv").write_text("not a table\nof any kind\n")
    (folder / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    return folder


@pytest.fixture
def run(folder, capsys):
    """Run a command; words that name a file of the folder get its path."""

    def run(*words):
        known = {path.name for path in folder.iterdir()}
        argv = [str(folder / w) if w in known else str(w) for w in words]
        try:
            status = cli.main(argv)
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def installed() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "balancecore")


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def as_json(result):
    return json.loads(json.dumps(result.to_dict(), allow_nan=False))


def test_summary_is_that_of_the_library(folder, run):
    status, out, err = run("gait", "run.csv", "--mass", 70, "--sides", "L,R")
    result = bc.analyze_gait(bc.read(folder / "run.csv", sides=["L", "R"]), mass_kg=70.0)
    assert (status, err) == (0, "")
    assert out == f"balancecore {bc.__version__}   run.csv\n\n{summary_text(result)}\n"


def test_a_recording_of_memory_has_the_files_name(run, tmp_path):
    """What balancecore has written names the files of the measurement, and a simulated one has none."""
    bc.write(bc.simulate.treadmill(n_steps=14, seed=1).trial, tmp_path / "made.csv")
    status, out, _ = run("gait", tmp_path / "made.csv", *QUICK)
    assert status == 0
    assert out.splitlines()[0] == f"balancecore {bc.__version__}   made.csv"


def test_several_files_are_plates_of_one_trial(folder, run):
    status, out, _ = run("gait", "left.csv", "right.csv", "--sides", "L,R", "--json", *QUICK)
    trial = bc.read([folder / "left.csv", folder / "right.csv"], sides=["L", "R"])
    assert status == 0
    assert strict(out) == as_json(bc.analyze_gait(trial, n_boot=50))
    assert "left.csv + right.csv" in run("gait", "left.csv", "right.csv")[1].splitlines()[0]


@pytest.mark.parametrize(
    ("words", "read", "analyse"),
    [
        ((), {}, {}),
        (("--mass", "70"), {}, {"mass_kg": 70.0}),
        (("--speed", "3.0"), {}, {"speed_m_s": 3.0}),
        (("--incline", "-1.5"), {}, {"incline_deg": -1.5}),
        (("--speed", "3", "--leg-length", "0.93"), {}, {"speed_m_s": 3.0, "leg_length_m": 0.93}),
        (("--first-side", "L"), {}, {"first_side": "L"}),
        (("--first-side", "R"), {}, {"first_side": "R"}),
        (("--level", "auto"), {}, {}),
        (("--level", "25"), {}, {"level_n": 25.0}),
        (("--level", "5%BW"), {}, {"level_bw": 0.05}),
        (("--level", "4.5 % bw"), {}, {"level_bw": 0.045}),
        (("--cutoff", "30"), {}, {"cutoff_hz": 30.0}),
        (("--cutoff", "off"), {}, {"cutoff_hz": None}),
        (("--baseline", "linear"), {}, {"baseline": "linear"}),
        (("--baseline", "none"), {}, {"baseline": "none"}),
        (("--gait", "walk"), {}, {"gait": "walk"}),
        (("--gait", "run"), {}, {"gait": "run"}),
        (("--seed", "3"), {}, {"seed": 3}),
        (("--timing-cutoff", "120"), {}, {"timing_cutoff_hz": 120.0}),
        (("--poi", "impact_peak"), {}, {"poi": "impact_peak"}),
        (("--mdc", "tc=3.1, imp_v=2"), {}, {"mdc95": {"tc": 3.1, "imp_v": 2.0}}),
        (("--threads", "2"), {}, {"threads": 2}),
        (("--rate", "1000"), {"rate_hz": 1000.0}, {}),
        (("--sides", "L,R"), {"sides": ["L", "R"]}, {}),
        (("--sides", "R,?"), {"sides": ["R", "?"]}, {}),
        (("--convention", "reaction"), {"convention": "reaction"}, {}),
        (("--axes=-x,-y,z",), {"axes": ["-x", "-y", "z"]}, {}),
    ],
)
def test_json_is_the_result_with_the_same_options(folder, run, words, read, analyse):
    status, out, err = run("gait", "run.csv", *words, "--json", *QUICK)
    result = bc.analyze_gait(bc.read(folder / "run.csv", **read), n_boot=50, **analyse)
    assert (status, err) == (0, "")
    found = strict(out)
    assert found == as_json(result)
    asked = found["provenance"]["options"]
    assert {name: asked[name] for name in analyse} == analyse
    assert FOLDER not in out


def test_force_on_the_plate_is_turned_when_told(folder, run):
    status, out, _ = run("gait", "inverted.csv", "--convention", "action", "--json", *QUICK)
    upright = strict(run("gait", "run.csv", "--json", *QUICK)[1])
    assert status == 0
    assert strict(out)["steps"] == upright["steps"]


def test_no_replicates_give_no_interval(run):
    status, out, _ = run("gait", "run.csv", "--bootstrap", 0, "--json")
    result = strict(out)
    assert status == 0
    assert result["provenance"]["options"]["n_boot"] == 0
    (row,) = (r for r in result["symmetry"]["rows"] if r["metric"] == "tc")
    assert row["ci_low"] is None
    assert row["si"] is not None


def test_a_force_without_a_clock_takes_the_rate_given(run):
    status, out, _ = run("gait", "fz.txt", "--rate", 1000, "--first-side", "L", *QUICK)
    assert status == 0
    assert "at 1000 Hz, 1 plate, running" in out
    assert "L and R, from the first side given" in out
    assert run("gait", "fz.txt")[0] == 1


def test_csv_holds_every_contact_and_reads_back_equal(folder, run, tmp_path):
    target = tmp_path / "steps.csv"
    status, out, _ = run("gait", "run.csv", "--mass", 70, "--csv", target, *QUICK)
    steps = bc.analyze_gait(bc.read(folder / "run.csv"), mass_kg=70.0, n_boot=0).steps
    assert status == 0
    assert "contact time" in out
    with target.open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    assert tuple(names) == steps.columns
    assert len(rows) == len(steps) > 10
    missing = 0
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if steps[name].dtype.kind == "f":
            missing += cells.count("")
            np.testing.assert_array_equal([float(c or "nan") for c in cells], steps[name], err_msg=name)
        else:
            assert list(cells) == [str(v) for v in steps[name].tolist()], name
    assert missing


def test_csv_never_overwrites(run, tmp_path):
    target = tmp_path / "steps.csv"
    target.write_text("mine")
    status, out, err = run("gait", "run.csv", "--csv", target, *QUICK)
    assert (status, out) == (1, "")
    assert err == "balancecore: --csv steps.csv: the file exists already; nothing was written to it\n"
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (1, ["missing.csv"], "missing.csv: there is no such file"),
        (1, ["."], "this is a folder"),
        (1, ["empty.csv"], "empty.csv: the file is empty"),
        (1, ["blank.csv"], "blank.csv: the file holds only blank lines"),
        (1, ["garbage.csv"], "garbage.csv"),
        (1, ["words.csv"], "words.csv"),
        (1, ["damaged.npy"], "damaged.npy: its .npy header is damaged"),
        (1, ["name\nof two lines.csv"], "name of two lines.csv: there is no such file"),
        (1, ["run.csv", "flat.txt", "--rate", "1000"], "frames but flat.txt 3000: not one trial"),
        (1, ["run.csv", "--level", "x"], "--level x: auto, a force in N"),
        (1, ["run.csv", "--level", "-3"], "level"),
        (1, ["run.csv", "--level", "nan"], "level"),
        (1, ["run.csv", "--level", "0%BW"], "fraction of body weight"),
        (1, ["run.csv", "--level", "x%BW"], "--level x%BW"),
        (1, ["run.csv", "--cutoff", "-5"], "cutoff_hz=-5"),
        (1, ["run.csv", "--cutoff", "wide"], "--cutoff wide: a frequency in Hz or off"),
        (1, ["run.csv", "--cutoff", "499"], "45 % of the sampling rate"),
        (1, ["run.csv", "--mass", "nan"], "mass_kg=nan"),
        (1, ["run.csv", "--mass", "0"], "mass_kg=0"),
        (1, ["run.csv", "--speed", "-1"], "speed_m_s=-1"),
        (1, ["run.csv", "--incline", "90"], "incline_deg=90"),
        (1, ["run.csv", "--leg-length", "93"], "leg_length_m=93"),
        (1, ["run.csv", "--bootstrap", "-1"], "n_boot=-1"),
        (1, ["run.csv", "--seed", "-1"], "seed=-1"),
        (1, ["run.csv", "--mdc", "tc"], "--mdc tc: metrics with numbers"),
        (1, ["run.csv", "--mdc", "speed=3"], "speed is none of"),
        (1, ["run.csv", "--threads", "0"], "threads=0"),
        (1, ["run.csv", "--rate", "500"], "500"),
        (1, ["run.csv", "--rate", "0"], "rate_hz=0"),
        (1, ["run.csv", "--sides", "L"], "each of the 2 plates"),
        (1, ["run.csv", "--sides", "L,X"], "side 'X'"),
        (1, ["run.csv", "--axes", "x,y"], "three file axes"),
        (1, ["run.csv", "--csv", "no_such_folder/out.csv"], "--csv out.csv: it can't be written"),
        (1, ["run.csv", "--csv", f"{__file__}/out.csv"], "--csv out.csv: it can't be written"),
        (2, [], "required: FILE"),
        (2, ["run.csv", "--mass", "abc"], "--mass"),
        (2, ["run.csv", "--mass"], "--mass"),
        (2, ["run.csv", "--bootstrap", "1.5"], "--bootstrap"),
        (2, ["run.csv", "--first-side", "A"], "--first-side"),
        (2, ["run.csv", "--baseline", "cubic"], "--baseline"),
        (2, ["run.csv", "--gait", "skip"], "--gait"),
        (2, ["run.csv", "--convention", "other"], "--convention"),
        (2, ["run.csv", "--poi", "highest"], "--poi"),
        (2, ["run.csv", "--colour"], "--colour"),
    ],
)
def test_bad_input_ends_in_one_line(run, status, words, reason):
    found, out, err = run("gait", *words)
    assert (found, out) == (status, "")
    assert err.startswith("balancecore")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert reason in err
    assert FOLDER not in err
    assert "tests" + os.sep not in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["flat.txt", "--rate", "1000"], "the plates are unloaded throughout"),
        (["inverted.csv"], "the vertical force points down"),
    ],
)
def test_a_trial_without_contacts_fails_and_still_reports(run, words, reason):
    status, out, err = run("gait", *words)
    assert status == 1
    assert err.startswith("balancecore: no complete contact found (")
    assert err.count("\n") == 1
    assert reason in err
    assert "Contacts   0 complete of 0" in out
    status, out, _ = run("gait", *words, "--json")
    assert status == 1
    assert strict(out)["quality"]["complete"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "inf"],
        ["--seconds", "1e9"],
        ["--rate", "10"],
        ["--seed", "-1"],
    ],
)
def test_an_impossible_demo_ends_in_one_line(run, words):
    status, out, err = run("demo", *words)
    assert (status, out) == (1, "")
    assert err.startswith("balancecore: ")
    assert err.count("\n") == 1


def test_demo_shows_the_measured_beside_the_truth(run):
    status, out, err = run("demo", "--seconds", 12, "--rate", 500, "--seed", 3)
    assert (status, err) == (0, "")
    assert "Record     12.0 s at 500 Hz, 2 plates, running" in out
    assert "  - simulated: run, seed 3" in out
    rows = [line.split() for line in out.partition("metric          measured    truth\n")[2].splitlines()]
    table = {row[0]: (float(row[1]), float(row[2])) for row in rows[:7]}
    assert set(table) == set(cli._TRUTH)
    for measured, truth in (table["tc"], table["imp_v"]):
        assert measured == pytest.approx(truth, abs=0.5)
    assert np.sign(table["valr_2080t"][1]) != np.sign(table["valr_0_50ms"][1])
    again = run("demo", "--seconds", 12, "--rate", 500, "--seed", 4)[1]
    assert again.partition("Worth")[0] != out.partition("Worth")[0]


def test_version_and_usage(run):
    assert run("--version") == (0, f"balancecore {bc.__version__}\n", "")
    status, out, err = run()
    assert (status, out) == (2, "")
    assert err.startswith("usage: balancecore")
    assert "gait" in err
    assert "demo" in err
    status, out, err = run("jump")
    assert (status, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("command", ["gait", "inspect", "demo"])
def test_help_explains_every_option(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    options = [a for a in _options(command) if a.option_strings]
    assert len(options) > 3
    for action in options:
        assert action.option_strings[-1] in out
        assert action.help, action.option_strings


def _options(command):
    (commands,) = (a for a in cli._parser()._actions if a.choices)
    return commands.choices[command]._actions


def test_interrupt_ends_without_a_traceback(run, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read", stop)
    assert run("gait", "run.csv") == (130, "", "balancecore: interrupted\n")


@pytest.mark.parametrize(
    ("encoding", "mean", "check"),
    [("ascii", "+/-", "CI!=0"), ("cp1252", "±", "CI!=0"), ("utf-8", "±", "CI≠0")],
)
def test_output_in_any_encoding(folder, monkeypatch, encoding, mean, check):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert cli.main(["gait", str(folder / "run.csv"), *QUICK]) == 0
    out = raw.getvalue().decode(encoding)
    assert f"mean {mean} SD" in out
    assert check in out
    assert "?" not in out


def test_the_installed_script(folder):
    """An environment of its own: here in ASCII, with the pipe closed at once, and misused."""
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [installed(), "gait", "run.csv", "--first-side", "L", *QUICK]
    done = subprocess.run(words, cwd=folder, env=plain, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"L mean +/- SD" in done.stdout
    missing = subprocess.run(
        [installed(), "gait", str(folder / "no.csv")], capture_output=True, timeout=60, check=False, text=True
    )
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "balancecore: no.csv: there is no such file\n"


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGPIPE; a closed pipe shows otherwise there"
)
def test_a_closed_pipe_is_quiet(folder):
    with subprocess.Popen(
        [installed(), "gait", "run.csv", "--json", *QUICK],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
        status = process.wait(timeout=60)
    assert (status, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [installed(), "gait", "run.csv", *QUICK],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("balancecore: the output can't be written: ")
    assert done.stderr.count("\n") == 1


def test_nan_is_an_empty_cell_not_a_word(folder, run, tmp_path):
    target = tmp_path / "fz.csv"
    assert run("gait", "fz.txt", "--rate", 1000, "--csv", target, *QUICK)[0] == 0
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["imp_brake"] for row in rows} == {""}
    assert all(math.isfinite(float(row["tc"])) for row in rows)
