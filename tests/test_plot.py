"""Figures: what is drawn is what the result holds, and what it lacks is said in the axes. No pixels."""

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import balancecore as bc
from balancecore import plot
from balancecore.errors import DataError, MissingExtraError
from balancecore.schema import SYMMETRY_METRICS
from balancecore.text import LINES

from .results import KINDS, result

FIGURES = {
    "stance": plot.stance,
    "fore-aft": lambda r, ax=None: plot.stance(r, curve="fy", ax=ax),
    "sideways": lambda r, ax=None: plot.stance(r, curve="f_med", ax=ax),
    "loading": plot.loading,
    "steps": lambda r, ax=None: plot.steps(r, "vilr", ax=ax),
    "forest": plot.forest,
    "cop": plot.cop,
    "butterfly": plot.butterfly,
}


def words(ax):
    """Everything that is written in the axes."""
    legend = ax.get_legend()
    texts = [*ax.texts, *([] if legend is None else legend.get_texts())]
    return " ".join(t.get_text() for t in texts)


def lines(ax, label):
    return [x for x in ax.lines if str(x.get_label()) == label]


def curve(ax, limb):
    """The line of a limb, whatever its label says besides."""
    (found,) = [x for x in ax.lines if str(x.get_label()).split(",")[0] == limb]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_every_result_can_be_drawn(kind, name):
    figure = Figure()
    ax = figure.subplots()
    assert FIGURES[name](result(kind), ax=ax) is ax
    figure.draw_without_rendering()
    drawn = bool(ax.lines or ax.collections)
    assert drawn or words(ax), "an empty figure has to say why"
    if kind == "no contact":
        assert not drawn
        assert words(ax)


@pytest.mark.parametrize("name", FIGURES)
def test_without_axes_a_figure_of_its_own_is_made(name):
    ax = FIGURES[name](result("run"))
    assert isinstance(ax.figure, Figure)
    assert ax.figure.canvas.manager is None  # not one of pyplot's


def test_stance_curves_are_those_of_the_result():
    r = result("run")
    ax = plot.stance(r)
    for k, limb in enumerate(r.limbs):
        line = curve(ax, plot.LIMBS[limb])
        np.testing.assert_array_equal(line.get_ydata(), r.curves.get("fz", limb))
        assert to_hex(line.get_color()) == plot.COLOURS[limb].lower()
        assert str(line.get_label()) == f"{plot.LIMBS[limb]}, {r.curves.n[k]} steps"
        band = ax.collections[k].get_paths()[0].vertices
        at = r.curves.names.index("fz")
        assert band[:, 1].max() == pytest.approx((r.curves.mean + r.curves.sd)[k, at].max())
        (peak,) = lines(ax, f"_peak_impact {limb}")
        assert peak.get_ydata()[0] == r.summary["peak_impact"][limb].mean
        share = r.summary["t_impact"][limb].mean / r.summary["tc"][limb].mean
        assert peak.get_xdata()[0] == pytest.approx(100 * share)
    assert ax.get_xlim() == (0, 100)


def test_walking_shows_when_the_other_foot_leaves_and_lands():
    r = result("walk")
    at = sorted(float(x.get_xdata()[0]) for x in lines(plot.stance(r), "_other foot"))
    tc, tf = (r.summary[m]["L"].mean for m in ("tc", "tf"))
    assert len(at) == 4
    assert min(abs(x - 100 * (tc + tf) / tc) for x in at) < 1e-9
    assert not lines(plot.stance(result("run")), "_other foot")


def test_unknown_curves_and_columns_are_refused():
    with pytest.raises(DataError, match="fz, fy, f_med"):
        plot.stance(result("run"), curve="mz")
    with pytest.raises(DataError, match="no such column"):
        plot.steps(result("run"), "side")


@pytest.mark.parametrize("kind", ["run", "walk"])
def test_the_loading_rate_is_the_slope_over_its_window(kind):
    r = result(kind)
    rate = "valr_2080t" if kind == "run" else "valr_2080_poi13"
    ax = plot.loading(r)
    for limb in r.limbs:
        (slope,) = lines(ax, f"_slope {limb}")
        (window,) = lines(ax, f"_window {limb}")
        t, force = slope.get_data()
        end = r.summary["t_impact"][limb].mean if kind == "run" else 0.13 * r.summary["tc"][limb].mean
        np.testing.assert_allclose(t, [200 * end, 800 * end])
        np.testing.assert_array_equal(window.get_xdata(), t)
        assert 1000 * np.ptp(force) / np.ptp(t) == pytest.approx(r.summary[rate][limb].mean)
        assert f"{r.summary[rate][limb].mean:.1f} ± {r.summary[rate][limb].sd:.1f} BW/s" in words(ax)


def test_every_step_is_drawn_by_its_limb_and_its_flags():
    r = result("gap")
    ax = plot.steps(r, "imp_v")
    usable = np.isfinite(r.steps["imp_v"])
    flagged = usable & (np.isin(np.arange(len(r.steps)), np.flatnonzero(flags_of_the_step(r))))
    assert sum(len(x.get_xdata()) for x in lines(ax, "_flagged")) == flagged.sum() > 0
    plain = sum(len(curve(ax, plot.LIMBS[limb]).get_xdata()) for limb in r.limbs)
    assert plain == (usable & ~flagged).sum()
    lacking = np.isfinite(r.steps["t_on"]) & ~usable
    assert sum(len(x.get_xdata()) for x in lines(ax, "_no value")) == lacking.sum() > 0
    assert {"left", "right", "flagged", "no value"} <= {t.get_text() for t in ax.get_legend().get_texts()}
    (gap,) = [p for p in ax.patches if p.get_label() == "_gap"]
    assert (gap.get_x(), gap.get_x() + gap.get_width()) == pytest.approx(r.quality["gaps_s"][0])
    assert plot.steps(r, "imp_v", legend=False).get_legend() is None


def flags_of_the_step(r):
    odd = bc.Flag.OUTLIER_STEP | bc.Flag.SPEED_UNSTEADY | bc.Flag.FILTER_EDGE
    return r.steps["flags"] & int(odd)


def test_a_drift_is_the_line_through_the_steps():
    r = result("run")
    ax = plot.steps(r, "tc")
    drifts = lines(ax, "_drift")
    assert len(drifts) == 2
    flags = r.steps["flags"] & int(bc.Flag.OUTLIER_STEP)
    mine = (r.steps["side"] == "L") & (flags == 0)
    slope, start = np.polyfit(r.steps["t_on"][mine], 1000 * r.steps["tc"][mine], 1)
    t, value = drifts[0].get_data()
    np.testing.assert_allclose(value, start + slope * t)


def test_the_forest_has_every_index_with_its_interval_and_noise():
    r = result("run")
    ax = plot.forest(r)
    rows = [r.symmetry[m] for m in SYMMETRY_METRICS if math.isfinite(r.symmetry[m].si)]
    assert [t.get_text() for t in ax.get_yticklabels()] == [LINES[row.metric].words for row in rows]
    assert len(lines(ax, "_interval")) == len(lines(ax, "_noise")) == len(rows) > 30
    reach = ax.get_xlim()[1]
    for row, interval in zip(rows, lines(ax, "_interval"), strict=True):
        (mark,) = lines(ax, f"_{row.metric}")
        if abs(row.si) < 0.98 * reach:
            assert mark.get_xdata()[0] == row.si
        larger = r.limbs[0] if row.si > 0 else r.limbs[1]
        wanted = plot.COLOURS[larger] if row.distinguishable else plot._GREY
        assert to_hex(mark.get_markeredgecolor()) == wanted.lower()
        hollow = to_hex(mark.get_markerfacecolor()) == "#ffffff"
        assert hollow == (not row.distinguishable)
        np.testing.assert_array_equal(interval.get_xdata(), np.clip([row.ci_low, row.ci_high], -reach, reach))


def test_an_index_beyond_the_scale_is_an_arrow():
    r = result("walk")
    ends = {row.metric: abs(row.si) for row in r.symmetry if math.isfinite(row.si)}
    widest = max(ends, key=ends.get)
    ax = plot.forest(r)
    (mark,) = lines(ax, f"_{widest}")
    beyond = ends[widest] > ax.get_xlim()[1]
    assert mark.get_marker() == ((">" if r.symmetry[widest].si > 0 else "<") if beyond else "o")
    assert abs(mark.get_xdata()[0]) <= ax.get_xlim()[1]


def test_a_few_metrics_can_be_chosen():
    ax = plot.forest(result("run"), metrics=["tc", "nonsense", "vilr"])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["contact time", "loading rate, highest"]


def test_the_path_under_the_foot_has_the_belts_way_taken_off():
    """The simulated centre of pressure goes forward under the foot and backwards on the plates."""
    shoe = curve(plot.cop(result("run")), "left").get_ydata()
    plates = curve(plot.cop(result("gap")), "left").get_ydata()  # there the belt's speed is not given
    assert np.nanargmax(shoe) > np.nanargmin(shoe)
    assert np.nanargmax(plates) < np.nanargmin(plates)
    assert "speed not given" in plot.cop(result("gap")).get_xlabel()
    assert "speed" not in plot.cop(result("run")).get_xlabel()


def test_feet_stand_as_far_apart_as_they_are():
    r = result("run")
    ax = plot.cop(r)
    left, right = (np.nanmean(curve(ax, limb).get_xdata()) for limb in ("left", "right"))
    assert right - left == pytest.approx(
        1000 * r.summary["step_width"]["L"].mean, abs=1.0
    )  # mm, other weighting


def test_the_butterfly_crosses_where_both_feet_are_down():
    assert {t.get_text() for t in plot.butterfly(result("walk")).get_legend().get_texts()} == {
        "left",
        "right",
        "both feet",
    }
    run = plot.butterfly(result("run"))
    assert {t.get_text() for t in run.get_legend().get_texts()} == {"left", "right"}
    assert len(lines(run, "_flight")) == 2


def test_long_records_are_drawn_as_a_picture_inside_the_figure(monkeypatch):
    monkeypatch.setattr(plot, "MOST_POINTS", 5)
    assert curve(plot.steps(result("run"), "tc"), "left").get_rasterized()
    monkeypatch.undo()
    assert not curve(plot.steps(result("run"), "tc"), "left").get_rasterized()


def test_limbs_have_different_colours():
    assert len(set(plot.COLOURS.values())) == len(plot.COLOURS)
    assert set(plot.COLOURS) == set(plot.LIMBS) == {"L", "R", "A", "B", "?"}


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"balancecore\[plot\]"):
        plot.stance(result("run"))


def test_the_core_does_not_import_matplotlib():
    code = "import balancecore.report, sys; print('matplotlib' in sys.modules, hasattr(balancecore, 'plot'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]
