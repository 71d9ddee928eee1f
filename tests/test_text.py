"""The summary as a person reads it: the right words, units and signs for what a result holds."""

import dataclasses
import re
from functools import cache

import numpy as np
import pytest

import balancecore as bc
from balancecore import schema, text
from balancecore.schema import COLUMNS

UNITS = {c.id: c.unit for c in COLUMNS}
#: Shown unit and factor for a unit of the table; others are shown as they are.
SHOWN_AS = {("s", "ms"): 1000.0, ("1", "%"): 100.0, ("m", "mm"): 1000.0}


@cache
def simulated(**options):
    return bc.simulate.treadmill(n_steps=20, noise_n=3.0, step_jitter=0.02, seed=2, **options)


@cache
def result():
    """Sides by belt, mass and speed given."""
    return bc.analyze_gait(simulated().trial, mass_kg=70.0, speed_m_s=3.0, leg_length_m=0.93, n_boot=200)


@cache
def vertical_only(first_side=None, n_boot=200, contacts=20):
    fz = sum(plate.wrench[:, 2] for plate in simulated().trial.plates)
    starts = np.flatnonzero(np.diff((fz > 50).astype(int)) == 1)
    end = len(fz) if contacts == 20 else starts[contacts] - 20
    return bc.analyze_gait(fz[:end], rate_hz=1000.0, mass_kg=70.0, first_side=first_side, n_boot=n_boot)


def line(summary, start):
    (found,) = (row for row in summary.splitlines() if row.startswith(start))
    return found


def test_str_of_a_result_is_its_summary():
    assert str(result()) == text.summary_text(result())


@pytest.mark.parametrize("name", text.LINES)
def test_units_and_factors_fit_the_column_table(name):
    shown = text.LINES[name]
    unit = UNITS[name].replace(" ", "·")
    if shown.unit == unit:
        assert shown.factor == 1.0
    else:
        assert shown.factor == SHOWN_AS[unit, shown.unit]


def test_a_row_has_the_means_the_index_and_its_interval():
    r = result()
    row, left, right = r.symmetry["tc"], r.summary["tc"]["L"], r.summary["tc"]["R"]
    wanted = (
        f"contact time tc ms {1000 * left.mean:.1f} ± {1000 * left.sd:.1f} "
        f"{1000 * right.mean:.1f} ± {1000 * right.sd:.1f} {row.si:+.2f} {row.ci_low:+.2f} to {row.ci_high:+.2f} "
        f"{row.noise_floor:.2f} yes {'yes' if row.beyond_variability else 'no'} -"
    )
    assert " ".join(line(str(r), "contact time").split()) == wanted
    assert row.distinguishable


def test_every_measured_metric_is_shown_once():
    table = str(result()).partition("-----\n")[2].partition("\nSI: ")[0]
    ids = [re.split(r" {2,}", row)[1] for row in table.splitlines()]
    rule = text.RATE_OF_RULE[result().quality["poi_rule"]]
    assert ids == [n for n in text._SHOWN if n == rule or not n.startswith("valr_")]


def test_every_compared_metric_has_its_words():
    assert set(text.LINES) == {*schema.SYMMETRY_METRICS, "step_width"}


def test_step_width_has_no_index():
    assert line(str(result()), "step width").count("±") == 2
    assert "step_width" not in result().symmetry
    assert "%" not in line(str(result()), "step width")
    assert " to " not in line(str(result()), "step width")


def test_the_table_is_as_wide_as_its_rule():
    rows = str(result()).splitlines()
    (rule,) = (k for k, row in enumerate(rows) if row.startswith("-----"))
    end = next(k for k, row in enumerate(rows) if row.startswith("SI: "))
    assert max(len(row) for row in rows[rule - 1 : end]) == len(rows[rule]) <= 130
    assert all(row == row.rstrip() for row in rows)


def test_head_of_a_split_belt_run():
    summary = str(result())
    assert line(summary, "Record").endswith("at 1000 Hz, 2 plates, running")
    assert line(summary, "Contacts").startswith("Contacts   20 complete of 20, 20 used; cadence 17")
    assert line(summary, "Level") == "Level      20 N; kinetics low-pass 50 Hz, zero phase"
    assert line(summary, "Weight") == "Weight     686.5 N (70.00 kg), given"
    assert line(summary, "Sides").startswith("Sides      L and R, by belt (100 % of ")


def test_head_of_a_vertical_force():
    named = str(vertical_only("L"))
    assert ", 1 plate, " in line(named, "Record")
    assert line(named, "Sides") == "Sides      L and R, from the first side given"
    assert "not known" not in named
    assert "braking" not in named
    unnamed = str(vertical_only())
    assert line(unnamed, "Sides") == "Sides      A and B, by alternation alone"
    assert "left is not known: give the first side" in unnamed
    assert "A mean ± SD" in unnamed
    assert "+ is A > B" in unnamed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level_n": 30.0}, "Level      30 N; kinetics low-pass 50 Hz, zero phase"),
        ({"level_bw": 0.05}, "Level      34.3 N; kinetics low-pass 50 Hz, zero phase"),
        ({"cutoff_hz": None, "level_n": 25}, "Level      25 N; kinetics low-pass off"),
        ({"cutoff_hz": 62.5}, "Level      20 N; kinetics low-pass 62.5 Hz, zero phase"),
    ],
)
def test_level_and_filter_as_used(options, words):
    found = bc.analyze_gait(simulated().trial, mass_kg=70.0, n_boot=0, **options)
    assert line(str(found), "Level") == words


def test_weight_tells_where_it_comes_from():
    strides = str(bc.analyze_gait(simulated().trial, n_boot=0))
    assert line(strides, "Weight").endswith("kg), the mean force over whole strides")
    assert set(text.WEIGHT) == {"given", "static", "whole_strides"}


def test_belts_of_a_walk_with_levels_of_their_own():
    walk = bc.analyze_gait(bc.simulate.treadmill("walk", n_steps=12, seed=1).trial, mass_kg=70.0, n_boot=0)
    levels = dict.fromkeys(f"{round(v, 1):g} N" for v in walk.quality["level_n"])
    assert len(walk.quality["level_n"]) == 2
    assert line(str(walk), "Level").startswith(f"Level      {' / '.join(levels)}; ")
    assert line(str(walk), "Record").endswith(", walking")


def test_without_contacts_no_gait_is_claimed_and_the_reason_stands():
    none = str(bc.analyze_gait(np.full(3000, 2.0), rate_hz=1000.0))
    assert line(none, "Record") == "Record     3.0 s at 1000 Hz, 1 plate"
    assert line(none, "Contacts") == "Contacts   0 complete of 0, 0 used"
    assert "  ! the plates are unloaded throughout" in none
    assert "mean ± SD" not in none
    assert "Weight" not in none
    assert "Sides" not in none


@pytest.mark.parametrize("contacts", [1, 2, 3])
def test_few_contacts_show_dashes_instead_of_what_cannot_be_had(contacts):
    few = vertical_only("L", contacts=contacts)
    assert few.quality["complete"] == contacts
    row = line(str(few), "contact time")
    assert row.count(" ± -") == {1: 1, 2: 2, 3: 1}[contacts]
    assert row.split()[-1] == "-"
    assert "nan" not in str(few).lower()


def test_no_interval_without_a_bootstrap():
    plain = str(vertical_only("L", n_boot=0))
    assert line(plain, "contact time").split()[-5] == "-"
    assert "95 % CI -" not in plain
    assert ", more than the steps" not in plain


@pytest.mark.parametrize(
    ("si", "low", "high", "distinguishable", "beyond", "words"),
    [
        (
            4.0,
            3.0,
            5.0,
            True,
            True,
            "L > R by 4.0 % (95 % CI 3.0 to 5.0), more than the steps of a limb vary.",
        ),
        (
            -4.0,
            -5.0,
            -3.0,
            True,
            False,
            "R > L by 4.0 % (95 % CI 3.0 to 5.0), but less than the steps of a limb vary.",
        ),
        (
            -1.0,
            -2.5,
            0.5,
            False,
            False,
            "no difference beyond chance between L and R (SI -1.0 %, 95 % CI -2.5 to +0.5).",
        ),
        (
            -0.04,
            -0.049,
            0.001,
            False,
            False,
            "no difference beyond chance between L and R (SI 0.0 %, 95 % CI 0.0 to 0.0).",
        ),
        (2.5, 1.0, 4.0, True, None, "L > R by 2.5 % (95 % CI 1.0 to 4.0)."),
    ],
)
def test_sentences(si, low, high, distinguishable, beyond, words):
    row = dataclasses.replace(
        result().symmetry["tc"],
        si=si,
        ci_low=low,
        ci_high=high,
        distinguishable=distinguishable,
        beyond_variability=beyond,
    )
    assert text.sentence(row, ("L", "R")) == f"Contact time: {words}"


def test_zero_has_no_sign_in_the_table():
    row = dataclasses.replace(result().symmetry["tc"], si=-0.001, ci_low=-0.004, ci_high=0.002)
    rows = tuple(row if r.metric == "tc" else r for r in result().symmetry)
    found = dataclasses.replace(result(), symmetry=dataclasses.replace(result().symmetry, rows=rows))
    line = next(line for line in str(found).splitlines() if line.startswith("contact time"))
    assert " 0.00 0.00 to 0.00 " in " ".join(line.split())
    line = next(line for line in str(found.symmetry).splitlines() if line.startswith("tc "))
    assert " 0.00 0.00 to 0.00 " in " ".join(line.split())


def test_checks_have_units_and_what_is_wanted():
    checks = str(result()).partition("\nChecks\n")[2]
    assert " ".join(checks.splitlines()[0].split()).startswith("mean Fz over whole strides 1.00")
    assert "BW" in checks.splitlines()[0]
    assert "m/s a stride" in checks
    assert "deg" in checks
    assert "flagged contacts" in checks
    # One force tells nothing of the horizontal ones.
    assert "fore-aft" not in str(vertical_only("L"))
    assert "camber" not in str(vertical_only("L"))


def test_warnings_come_before_notes():
    worth = str(result()).partition("Worth knowing\n")[2].splitlines()
    assert worth == [f"  ! {w}" for w in result().quality["warnings"]] + [
        f"  - {n}" for n in result().quality["notes"]
    ]
    assert worth[0].startswith("  ! 10 and 10 usable steps a limb")
    assert worth[-1] == "  - simulated: run, seed 2"


def test_a_metric_that_some_steps_lack_says_so():
    """Half-sines on one side only: no impact peak there."""
    smooth = bc.simulate.Limb(shape="half_sine")
    sim = bc.simulate.treadmill(n_steps=20, noise_n=1.0, right=smooth, seed=2)
    found = bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0)
    counts = [found.summary["peak_impact"][limb].n for limb in "LR"]
    assert counts == [10, 0]
    assert "Not in every step: impact peak (10 of 10 L, 0 of 10 R)." in str(found)
    assert "Not in every step" not in str(result())


def test_the_third_check_needs_the_labs_own_error():
    sim = bc.simulate.treadmill(duration_s=12.0, noise_n=2.0, seed=4)
    without = bc.analyze_gait(sim.trial, n_boot=100)
    assert without.symmetry["tc"].beyond_error is None
    known = bc.analyze_gait(sim.trial, n_boot=100, mdc95={"tc": 1.0, "imp_v": 50.0})
    assert known.symmetry["tc"].beyond_error is True
    assert known.symmetry["imp_v"].beyond_error is False
    again = bc.analyze_gait(sim.trial, **known.provenance["options"])
    assert again.symmetry["tc"] == known.symmetry["tc"]
    line = next(row for row in str(known).splitlines() if row.startswith("contact time"))
    assert line.split()[-1] == "yes"
