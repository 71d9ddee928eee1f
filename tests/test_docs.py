"""The pages tell the truth: links lead somewhere, examples run, and every file has its place in the architecture."""

import importlib.util
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import balancecore as bc
from balancecore import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
CHANNELS = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


PYTHON = [(page, k, code) for page in PAGES for k, code in enumerate(blocks(page, "python"))]
COMMANDS = [
    shlex.split(line)[1:]
    for block in blocks(ROOT / "README.md", "sh")
    for line in block.splitlines()
    if line.startswith(".venv/bin/balancecore gait ")
]


def qtm(wrench, name):
    """A QTM force export without geometry: force on the plate."""
    head = f"NO_OF_SAMPLES\t{len(wrench)}\nFREQUENCY\t1000\nFORCE_PLATE_NAME\t{name}\n"
    columns = ("Force_X", "Force_Y", "Force_Z", "Moment_X", "Moment_Y", "Moment_Z")
    rows = ("\t".join(f"{-v:.6g}" for v in row) for row in wrench)
    return head + "\n".join(["\t".join(columns), *rows]) + "\n"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Simulated recordings under the names that the pages use."""
    folder = tmp_path_factory.mktemp("recordings")
    wrenches = [plate.wrench for plate in bc.simulate.treadmill(n_steps=16, noise_n=3.0, seed=1).trial.plates]
    left, right = wrenches
    t = np.arange(len(left)) / 1000.0
    (folder / "left_belt.tsv").write_text(qtm(left, "Left"))
    (folder / "right_belt.tsv").write_text(qtm(right, "Right"))
    (folder / "run.tsv").write_text(qtm(left + right, "Treadmill"))

    def save(name, columns, header=""):
        np.savetxt(
            folder / name, np.column_stack(columns), fmt="%.6g", delimiter=",", header=header, comments=""
        )

    save("treadmill.csv", [1000 * t, left[:, 2] + right[:, 2]], "Zeit (ms),Kraft")
    save("headless.txt", [left, right])
    rig = (ROOT / "examples" / "rig.toml").read_text(encoding="utf-8")
    (folder / "rig.toml").write_text(rig)
    channels = tomllib.loads(rig)["channels"]
    save("walk.csv", [t, np.zeros((len(t), len(channels)))], ",".join(["time (s)", *channels]))
    in_pounds = left * ([1 / 4.4482216152605] * 3 + [1e3] * 3)
    save("old.csv", [t, in_pounds], "time," + ",".join(CHANNELS))
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or ROOT not in file.parents or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages == {name for name in re.findall(r"\]\(([^)/]+\.md)\)", index)}


@pytest.mark.parametrize(
    ("page", "number", "code"), PYTHON, ids=[f"{page.name}-{number}" for page, number, _ in PYTHON]
)
def test_python_blocks_run(page, number, code, recordings, monkeypatch, capsys):
    monkeypatch.chdir(recordings)
    names = {"bc": bc}
    if page.name == "symmetry.md":
        steps = bc.analyze_gait(bc.simulate.treadmill(n_steps=16, seed=1).trial, mass_kg=70.0, n_boot=0).steps
        names |= {
            "limb": np.where(steps["side"] == "L", 0, 1),
            "t_on": steps["t_on"],
            "tc": steps["tc"],
            "vilr": steps["vilr"],
        }
    exec(compile(code, f"{page.name}, block {number}", "exec"), names)
    said = capsys.readouterr()
    assert said.err == ""
    assert bool(said.out) == ("print(" in code)


def test_there_are_examples_to_run():
    assert {page.name for page, _, _ in PYTHON} >= {"README.md", "reading.md", "simulation.md", "symmetry.md"}
    assert len(COMMANDS) >= 2


def test_results_quoted_beside_examples(recordings, monkeypatch):
    """What the comments of an example promise: ``# 24.67 %``."""
    (code,) = blocks(ROOT / "docs" / "simulation.md", "python")
    names = {}
    exec(compile(code, "simulation.md", "exec"), names)
    quoted = re.findall(r"^(sim\.true_si\(.*?\))\s+# (-?[\d.]+) %", code, re.MULTILINE)
    assert len(quoted) == 2
    for call, value in quoted:
        assert f"{eval(call, names):.2f}" == value


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_of_the_readme_run(words, recordings, monkeypatch, tmp_path, capsys):
    for file in recordings.glob("*.tsv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 0
    assert "contact time" in capsys.readouterr().out
    if "--csv" in words:
        assert (tmp_path / words[words.index("--csv") + 1]).stat().st_size > 1000


def test_units_of_the_example_are_converted(recordings):
    old = bc.read(recordings / "old.csv", units={"force": "lbf", "moment": "N.mm", "length": "mm"})
    new = bc.read(
        recordings / "headless.txt", rate_hz=1000, columns=[dict(zip(CHANNELS, range(6), strict=True))]
    )
    np.testing.assert_allclose(old.plates[0].wrench, new.plates[0].wrench, rtol=1e-4, atol=1e-3)


def test_every_module_and_benchmark_has_its_place_in_the_architecture():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+?)(?:\.py|\.pyx)?`", text))
    modules = {p.stem for p in (ROOT / "src" / "balancecore").glob("*.py")} - {"__init__"}
    modules |= {p.stem for p in (ROOT / "src" / "balancecore" / "_ext").glob("*.pyx")}
    modules |= {p.stem for p in (ROOT / "src" / "balancecore" / "io").glob("[!_]*.py")}
    modules |= {p.stem for p in (ROOT / "src" / "balancecore" / "capture").glob("[!_]*.py")}
    modules |= {p.stem for p in (ROOT / "drivers").glob("[!_]*.py")}
    modules |= {p.stem for p in (ROOT / "benchmarks").glob("*.py")} - {"conftest"}
    assert len(modules) > 30
    assert sorted(modules - named) == []


def test_the_pictures_of_the_readme_are_made_by_their_command(tmp_path):
    shown = re.findall(
        r"!\[[^\]]*\]\((docs/pictures/[^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    script = runpy.run_path(str(ROOT / "docs" / "pictures" / "make.py"))
    script["main"](tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(Path(name).name for name in shown)


def load(script):
    """A script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.realdata
def test_the_validation_page_is_what_the_recordings_give(data_dir):
    made = load(ROOT / "docs" / "make_validation.py").make(data_dir)
    assert made == (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: balancecore\.(\w+)", page, re.MULTILINE))
    assert set(bc.__all__) - {"__version__"} == named
