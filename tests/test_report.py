"""The report: every number is the result's, nothing is loaded, nothing from outside is markup."""

import dataclasses
import html
import json
import math
import re
import sys
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest

import balancecore as bc
from balancecore import cli, flags, plot
from balancecore.errors import DataError, MissingExtraError
from balancecore.report import _Page, report_html
from balancecore.schema import COLUMNS, SYMMETRY_METRICS
from balancecore.text import LINES, RATE_OF_RULE

from .results import KINDS, result

HOSTILE = "<script>alert('x')</script>\"&<img src=http://example.org/x onerror=y>"
#: How a value of the result may be shown: as it is, as a size, in %, ms or mm.
FACTORS = (1, -1, 100, 1000)
#: Numbers of the method, not of the result.
OF_THE_METHOD = ("95 %", "1 ± 0.02", "within 0.05", "below 0.15", "0 on a level surface")


class Page(HTMLParser):
    """What a browser would make of a page, as far as these tests ask."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.data, self.loose, self.svg = [], [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "data":
            self.data.append((attrs, []))
        if tag not in self.VOID:
            self.open.append((tag, attrs))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, text):
        tags = [tag for tag, _ in self.open]
        classes = {c for _, attrs in self.open for c in attrs.get("class", "").split()}
        if "svg" in tags:
            if "text" in tags:
                self.svg.append(text)
        elif "data" in tags:
            self.data[-1][1].append(text)
        elif not {"style", "title", "h1"} & set(tags) and not {"definitions", "leaves"} & classes:
            self.loose.append((tags, text))


@cache
def page(kind):
    return report_html(result(kind))


def at(values, path):
    for key in path.split("."):
        values = values[int(key)] if isinstance(values, list) else values[key]
    return values


def check_numbers(r, text):
    """Every number in the page stands for one of the result; returns how many there are."""
    values, parsed = r.to_dict(), Page(text)
    assert not parsed.open
    numbers = 0
    for attrs, parts in parsed.data:
        value, shown = at(values, attrs["data-path"]), "".join(parts)
        if isinstance(value, str):
            assert shown == value[:500]
            continue
        assert float(attrs["value"]) == value
        assert not isinstance(value, bool)
        numbers += 1
        written = shown.replace("−", "-")
        digits = len(written.partition(".")[2]) if "e" not in written else 0
        fits = [
            f
            for f in FACTORS
            if f"{value * f:.{digits}f}" == written.lstrip("+") or f"{value:.6g}" == written
        ]
        assert fits, f"{attrs['data-path']}: {shown} for {value}"
    metrics = {c.id for c in COLUMNS}
    words = {line.words for line in LINES.values()}
    for tags, loose in parsed.loose:
        if "code" in tags:
            assert loose in metrics or loose in flags.Flag.__members__
        elif loose not in words:
            for known in OF_THE_METHOD:
                loose = loose.replace(known, "")
            assert not re.search(r"\d", loose), f"a number from nowhere: {loose!r}"
    return numbers


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_in_the_page_is_in_the_result(kind):
    found = check_numbers(result(kind), page(kind))
    assert found >= (300 if kind == "run" else 25)


def test_a_number_of_no_origin_would_be_found():
    text = page("run")
    with pytest.raises(AssertionError, match="from nowhere"):
        check_numbers(result("run"), text.replace("Each row is one measure", "Each row is 1 measure"))
    wrong = re.sub(r"(<data value=\"([\d.]+)\"[^>]*>)[\d.]+<", r"\g<1>123.4<", text, count=1)
    with pytest.raises(AssertionError, match=r"123\.4"):
        check_numbers(result("run"), wrong)


def test_numbers_written_in_figures_are_the_results():
    r = result("run")
    texts = set(Page(page("run")).svg)
    rate = RATE_OF_RULE[r.quality["poi_rule"]]
    for k, limb in enumerate(r.limbs):
        stat = r.summary[rate][limb]
        assert f"{plot.LIMBS[limb]}, {r.curves.n[k]} steps" in texts
        assert f"{plot.LIMBS[limb]}, {stat.mean:.1f} ± {stat.sd:.1f} BW/s" in texts
    ticks = re.compile(r"−?\d+(\.\d+)?")
    words = {line.words for line in LINES.values()}
    rest = [t for t in texts if not ticks.fullmatch(t) and t not in words and re.search(r"\d", t)]
    assert len(rest) == 2 * 2 + 1  # two legends, and "% of contact (0 touch-down, 100 toe-off)"


@pytest.mark.realdata
def test_every_number_of_a_real_run_is_in_the_result(data_dir):
    files = sorted((data_dir / "treadmill_run_bertec").glob("*.tsv"))
    r = bc.analyze_gait(bc.read(files, convention="action"), first_side="L")
    text = report_html(r)
    assert check_numbers(r, text) > 300
    assert f"<h1>{' + '.join(f.name for f in files)}</h1>" in text
    assert str(data_dir) not in text


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_from_anywhere(kind):
    text = page(kind)
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"@import|@font-face|<script|<link|<iframe|<object|<embed|\bon\w+=", text)
    for target in re.findall(r"url\(([^)]*)\)", text):
        assert target.strip("'\"").startswith("#")
    for tag, attrs in Page(text).tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
    assert "default-src 'none'" in text


@pytest.mark.parametrize("kind", ["run", "walk", "vertical only"])
def test_every_link_leads_to_one_place_in_the_page(kind):
    parsed = Page(page(kind))
    targets = [attrs["href"][1:] for tag, attrs in parsed.tags if attrs.get("href") and tag in ("a", "use")]
    assert len(targets) > 30
    assert len(parsed.ids) == len(set(parsed.ids))
    assert set(targets) <= set(parsed.ids)


def test_every_metric_has_its_definition_one_click_away():
    text = page("run")
    shown = {m[4:] for m in re.findall(r"href='#(def-\w+)'", text)}
    assert set(SYMMETRY_METRICS) <= shown
    for column in COLUMNS:
        if column.id in LINES:
            assert f"id='def-{column.id}'" in text
            assert html.escape(column.definition) in text


def test_links_of_the_forest_lead_to_definitions():
    inside = re.findall(r'<a href="#def-(\w+)"', page("run"))
    assert inside == [m for m in SYMMETRY_METRICS if math.isfinite(result("run").symmetry[m].si)]


# ---------------------------------------------------------------------------------------------------------------
# Words


def lead(text):
    found = re.search(r"<p class='lead'>(.*?)</p>", text, re.DOTALL)
    return re.sub(r"<[^>]+>", "", found[1])


def checks(text):
    return re.findall(r"<strong>(\w+)</strong>", text.partition("<ul class='also'>")[0])


def test_the_first_sentence_says_which_side_carries_more_and_how_sure_that_is():
    row = result("run").symmetry["imp_v"]
    assert row.distinguishable
    assert lead(page("run")) == (
        f"The left leg carries more: its vertical impulse per step is larger than that of the right leg by "
        f"{row.si:.1f} % (95 % interval {row.ci_low:.1f} to {row.ci_high:.1f} %)."
    )
    assert checks(page("run"))[2] == "open"


def with_load(**fields):
    """The run's result with another symmetry of the vertical impulse."""
    r = result("run")
    rows = tuple(dataclasses.replace(row, **fields) if row.metric == "imp_v" else row for row in r.symmetry)
    return dataclasses.replace(r, symmetry=dataclasses.replace(r.symmetry, rows=rows))


def words(r):
    """The sentences and checks, without the figures."""
    return _Page(r)._words()


def test_the_other_side_can_carry_more():
    said = lead(words(with_load(si=-3.26, ci_low=-4.04, ci_high=-2.51)))
    assert said.startswith("The right leg carries more")
    assert said.endswith("that of the left leg by 3.3 % (95 % interval 2.5 to 4.0 %).")


def test_no_difference_is_said_as_such():
    text = words(
        with_load(si=-0.46, ci_low=-1.04, ci_high=0.16, distinguishable=False, beyond_variability=False)
    )
    assert lead(text) == (
        "Neither side carries more beyond chance: the vertical impulse of the right leg is larger by 0.5 %, and the "
        "95 % interval (−1.0 to +0.2 %) includes zero."
    )
    assert checks(text)[:2] == ["no", "no"]


@pytest.mark.parametrize(("light", "word"), [(True, "yes"), (False, "no"), (None, "open")])
def test_each_check_says_yes_no_or_open(light, word):
    fields = ("distinguishable", "beyond_variability", "beyond_error")
    for k, field in enumerate(fields):
        assert checks(words(with_load(**{field: light})))[k] == word


def test_an_index_of_unknown_variation_is_an_index():
    few = words(with_load(beyond_variability=None))
    assert "too few steps to know the variation" in few
    assert "no index" not in few
    assert "no index" in words(with_load(si=math.nan, beyond_variability=None))


def test_the_lead_says_why_there_is_no_interval():
    assert result("gap").symmetry.n_boot == 0
    assert lead(page("gap")).endswith("no bootstrap was asked for.")
    assert lead(page("two contacts")).endswith("too few steps.")


def test_walking_has_no_flight_to_restate():
    for kind, told in (("run", "its flight time"), ("walk", "the time for which both feet are down")):
        assert f"restates its contact time and {told}: they are" in page(kind), kind
    assert "flight time: they" not in page("walk")


def test_the_forest_says_which_way_is_larger():
    said = re.sub(r"<[^>]+>", "", page("run"))
    assert "Right of zero: left is larger. Left of zero: right is larger." in said


def test_summed_plates_have_the_names_of_the_plates():
    """Numbers would start from zero beside plates that start from one."""
    trial = bc.simulate.treadmill(n_steps=12, seed=1).trial
    for names in (("belt of the left", "belt of the right"), ("", "")):
        plates = tuple(dataclasses.replace(p, name=name) for p, name in zip(trial.plates, names, strict=True))
        r = bc.analyze_gait(dataclasses.replace(trial, plates=plates), mass_kg=70.0, n_boot=0)
        assert r.provenance["used"]["summed_plates"] == [[0, 1]]
        found = re.findall(r"<dt>summed plates · 1 · \d</dt><dd>(.*?)</dd>", _Page(r)._provenance())
        shown = [re.sub(r"<[^>]+>", "", text) for text in found]
        assert shown == [name or f"plate {k}" for k, name in enumerate(names, start=1)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("one limb", "Only one limb (left)"),
        ("no contact", "No complete contact"),
        ("gap", "how sure that is can’t be said"),
        ("unknown sides", "Limb A carries more"),
        ("two contacts", "how sure that is can’t be said"),
    ],
)
def test_what_can_not_be_said_is_said(kind, said):
    assert said in lead(page(kind))


def test_warnings_come_first_and_notes_are_there():
    warnings = result("two contacts").quality["warnings"]
    assert warnings
    text = page("two contacts")
    for warning in warnings:
        assert html.escape(warning) in text
    assert text.index("Worth a look first") < text.index("class='lead'")
    assert "simulated: run, seed 2" in page("run")


def test_there_is_no_verdict():
    for kind in KINDS:
        text = re.sub(r"<style>.*?</style>", "", page(kind), flags=re.DOTALL)
        said = re.sub(r"<[^>]+>", " ", text).lower()
        assert not re.search(r"\b(abnormal|normal|pathologic\w*|injur\w+|risk|recommend\w*)\b", said)
        assert "not a medical device" in said


def test_provenance_has_everything_that_the_numbers_depend_on():
    r, text = result("run"), page("run")
    paths = {attrs["data-path"] for attrs, _ in Page(text).data}
    assert "provenance.options.mass_kg" in paths
    assert "provenance.used.kinetics_filter.cutoff_hz" in paths
    assert r.provenance["balancecore"] in text


# ---------------------------------------------------------------------------------------------------------------
# Text from outside


def hostile_trial():
    trial = bc.simulate.treadmill(n_steps=8, noise_n=3.0, seed=2).trial
    plates = tuple(dataclasses.replace(p, name=HOSTILE) for p in trial.plates)
    source = bc.trial.Source(name=HOSTILE, sha256="0" * 64)
    return dataclasses.replace(trial, plates=plates, sources=(source,), notes=(HOSTILE, "a\u202eb\x07c"))


def test_text_from_files_and_options_is_never_markup():
    r = bc.analyze_gait(hostile_trial(), mass_kg=70.0, n_boot=0)
    r.quality["warnings"].append(HOSTILE)
    for text in (report_html(r, title=HOSTILE), r._repr_html_()):
        assert "<script" not in text
        assert "<img" not in text
        assert html.escape(HOSTILE) in text
        assert "\u202e" not in text
        assert Page(text).open == []


def test_a_hostile_file_is_no_markup(tmp_path):
    trial = bc.simulate.treadmill(n_steps=8, noise_n=3.0, seed=2).trial
    channels = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")
    name = "<img src=x onerror=alert(1)>.csv"
    np.savetxt(
        tmp_path / name,
        np.column_stack([np.arange(len(trial)) / 1000.0, *trial.plates[0].wrench.T, np.zeros(len(trial))]),
        delimiter=",",
        header=",".join(["time", *channels, "<script>alert(1)</script>"]),
        comments="",
    )
    read = bc.read(tmp_path / name)
    found = bc.inspect(tmp_path / name)
    r = bc.analyze_gait(read, mass_kg=70.0, gait="run", n_boot=0)
    for text in (report_html(r), found._repr_html_()):
        assert "<script" not in text
        assert "<img" not in text
        assert html.escape("<img src=x onerror=alert(1)>") in text


# ---------------------------------------------------------------------------------------------------------------
# Files and the command line


def test_a_report_is_saved_and_never_overwritten(tmp_path):
    path = tmp_path / "run.html"
    result("run").save_report(path)
    assert path.read_text(encoding="utf-8") == page("run")
    with pytest.raises(DataError, match=r"run\.html: the file exists already"):
        result("run").save_report(path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.html"]


def test_without_matplotlib_nothing_is_written_and_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"balancecore\[plot\]"):
        result("run").save_report(tmp_path / "run.html")
    assert not list(tmp_path.iterdir())


def test_reports_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "demo.html"
    assert cli.main(["demo", "--seconds", "4", "--report", str(path)]) == 0
    assert "<h1>Simulated split-belt run</h1>" in path.read_text(encoding="utf-8")
    assert cli.main(["demo", "--seconds", "4", "--report", str(path)]) == 1
    assert "--report demo.html: the file exists already" in capsys.readouterr().err
    trial = bc.simulate.treadmill(n_steps=8, noise_n=3.0, seed=2).trial
    bc.write(trial, tmp_path / "run.mot")
    words = [
        "gait",
        str(tmp_path / "run.mot"),
        "--mass",
        "70",
        "--report",
        str(tmp_path / "run.html"),
        "--json",
    ]
    assert cli.main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<h1>run.mot</h1>" in text
    assert str(tmp_path) not in text
    shown = [(attrs, parts) for attrs, parts in Page(text).data if attrs["data-path"] == "summary.tc.L.mean"]
    assert shown
    for attrs, parts in shown:
        assert float(attrs["value"]) == printed["summary"]["tc"]["L"]["mean"]
        assert "".join(parts) == f"{1000 * printed['summary']['tc']['L']['mean']:.1f}"


def test_every_flag_has_its_words():
    assert set(flags.MEANINGS) == set(flags.Flag)


# ---------------------------------------------------------------------------------------------------------------
# In a notebook


@pytest.mark.parametrize("kind", KINDS)
def test_results_and_tables_show_themselves_in_a_notebook(kind):
    r = result(kind)
    for thing in (r, r.steps, r.symmetry):
        shown = thing._repr_html_()
        assert Page(shown).open == []
        assert "nan" not in re.sub(r"<[^>]+>", " ", shown).split()
        assert len(shown) < 20_000


def test_a_notebook_shows_the_same_numbers():
    r = result("run")
    row = r.symmetry["tc"]
    text = re.sub(r"<[^>]+>", " ", r._repr_html_())
    assert f"{1000 * r.summary['tc']['L'].mean:.1f} ± {1000 * r.summary['tc']['L'].sd:.1f}" in text
    assert f"{row.si:+.1f}" in text
    assert f"{row.ci_low:+.1f} to {row.ci_high:+.1f}" in text
    assert "… and 4 more" in r.steps._repr_html_()
    assert "OUTLIER_STEP" in r.steps._repr_html_()
    assert r.symmetry._repr_html_().count("<tr>") == len(r.symmetry) + 1
