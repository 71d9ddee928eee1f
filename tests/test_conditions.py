"""Conditions within subjects: against slow NumPy written from the definition, and against what was simulated."""

import numpy as np
import pandas as pd
import pytest

import balancecore as bc
from balancecore.conditions import GROUP, QUANTITIES
from balancecore.flags import Flag
from balancecore.symmetry import pair_strides

#: Sums in another order.
ROUNDING = 1e-11


def steps_of(rng, trials, n=30, metrics=("tc", "peak_brake"), missing=0.05):
    """A table of steps: for each (trial, subject, surface, limb means) n contacts, L and R by turns."""
    parts = []
    for trial, subject, surface, means in trials:
        side = np.array(["L", "R"] * (n // 2))
        part = pd.DataFrame({"trial": trial, "subject": subject, "surface": surface, "side": side})
        part["t_on"] = np.arange(n) * 0.35
        part["flags"] = np.where(rng.random(n) < missing, int(Flag.CROSSOVER), 0)
        for k, name in enumerate(metrics):
            sign = -1.0 if name == "peak_brake" else 1.0
            centre = np.where(side == "L", *means) * sign * (k + 1)
            part[name] = centre * (1.0 + 0.05 * rng.standard_normal(n))
            part.loc[rng.random(n) < missing, name] = np.nan
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


TRIALS = [
    (0, "a", "track", (0.25, 0.24)),
    (1, "a", "grass", (0.27, 0.25)),
    (2, "b", "track", (0.22, 0.23)),
    (3, "a", "track", (0.26, 0.24)),
    (4, "b", "grass", (0.23, 0.23)),
    (5, "c", "grass", (0.21, 0.22)),
    (6, "c", "track", (0.21, 0.21)),
]


@pytest.fixture(scope="module")
def table():
    return steps_of(np.random.default_rng(3), TRIALS)


def by_key(found):
    return {(r["subject"], r["condition"], r["metric"], r["quantity"]): r for r in found}


# -------------------------------------------------------------------------------------------- naive reference


def naive_starts(n, n_boot, n_blocks, seed):
    raw = np.random.PCG64(seed).random_raw(n_boot * n_blocks)
    return [[(int(raw[i * n_blocks + j]) >> 32) * n >> 32 for j in range(n_blocks)] for i in range(n_boot)]


def naive_percentiles(values):
    finite = sorted(v for v in values if np.isfinite(v))
    return np.percentile(finite, [2.5, 97.5], method="linear")


def naive_si(left, right):
    return 100.0 * (left - right) / (0.5 * (left + right))


def naive_pairs(trial, metric):
    """Values (n_pairs, 2) of one trial, and its usable values by limb."""
    bad = (trial["flags"] != 0).to_numpy()
    limb = np.where(bad, -1, np.where(trial["side"] == "L", 0, 1))
    values = trial[metric].to_numpy()
    return [[values[i] for i in pair] for pair in pair_strides(limb, trial["t_on"].to_numpy()).tolist()], [
        [v for v, which in zip(values, limb, strict=True) if which == k and np.isfinite(v)] for k in range(2)
    ]


def naive_condition(table, subject, surface, metric, n_boot, role, seed):
    """Limb means of a condition, and those of every replicate, by strides."""
    rows = table[(table["subject"] == subject) & (table["surface"] == surface)]
    trials = [naive_pairs(rows[rows["trial"] == k], metric) for k in dict.fromkeys(rows["trial"])]
    means = [np.mean([v for _, limbs in trials for v in limbs[k]]) for k in range(2)]
    drawn = []
    for k, (pairs, _) in enumerate(trials):
        n = len(pairs)
        length = int(np.ceil(round(n ** (1 / 3), 9)))
        blocks = -(-n // length)
        drawn.append(
            [
                [pairs[(start + i) % n] for start in starts for i in range(length)][:n]
                for starts in naive_starts(n, n_boot, blocks, [seed, role, k])
            ]
        )
    replicates = []
    for i in range(n_boot):
        everything = np.array([pair for trial in drawn for pair in trial[i]])
        replicates.append(np.nanmean(everything, axis=0))
    return means, replicates


@pytest.mark.parametrize("metric", ["tc", "peak_brake"])
@pytest.mark.parametrize("subject", ["a", "b"])
def test_values_and_intervals_equal_the_naive_ones(table, subject, metric):
    found = by_key(bc.compare_conditions(table, "surface", metrics=["tc", "peak_brake"], n_boot=60, seed=5))
    (before, drawn_before), (after, drawn_after) = (
        naive_condition(table, subject, surface, metric, 60, role, 5)
        for role, surface in enumerate(("track", "grass"))
    )
    quantities = {
        "mean": lambda left, right: 0.5 * (left + right),
        "left": lambda left, right: left,
        "right": lambda left, right: right,
        "si": naive_si,
    }
    for name, of in quantities.items():
        row = found[subject, "grass", metric, name]
        assert row["at_reference"] == pytest.approx(of(*before), rel=ROUNDING)
        assert row["at_condition"] == pytest.approx(of(*after), rel=ROUNDING)
        assert row["difference"] == pytest.approx(of(*after) - of(*before), rel=ROUNDING, abs=1e-13)
        changes = [of(*b) - of(*a) for a, b in zip(drawn_before, drawn_after, strict=True)]
        low, high = naive_percentiles(changes)
        assert row["ci_low"] == pytest.approx(low, rel=1e-8, abs=1e-12)
        assert row["ci_high"] == pytest.approx(high, rel=1e-8, abs=1e-12)
        assert row["resampled"] == "stride pairs"


def test_the_group_is_the_mean_of_its_subjects(table):
    found = by_key(bc.compare_conditions(table, "surface", metrics=["tc"], n_boot=80, seed=2))
    for quantity in QUANTITIES:
        rows = [found[s, "grass", "tc", quantity] for s in "abc"]
        group = found[GROUP, "grass", "tc", quantity]
        differences = [row["difference"] for row in rows]
        assert group["difference"] == pytest.approx(np.mean(differences), rel=ROUNDING)
        assert group["at_reference"] == pytest.approx(
            np.mean([r["at_reference"] for r in rows]), rel=ROUNDING
        )
        drawn = [np.mean([differences[i] for i in starts]) for starts in naive_starts(3, 80, 3, [2, 2])]
        low, high = naive_percentiles(drawn)
        assert (group["ci_low"], group["ci_high"]) == (pytest.approx(low), pytest.approx(high))
        assert (group["n_reference"], group["resampled"]) == (3, "subjects")
        assert "3 subjects is too narrow" in group["note"]


def test_trials_are_resampled_where_there_are_enough(table):
    rng = np.random.default_rng(1)
    trials = [
        (k, "a", ("before", "after")[k // 6], (0.25 + 0.01 * rng.standard_normal(), 0.25)) for k in range(12)
    ]
    many = steps_of(rng, trials, n=8, missing=0.0)
    found = by_key(bc.compare_conditions(many, "surface", metrics=["tc"], n_boot=60, seed=4))
    row = found["a", "after", "tc", "left"]
    means = [many[(many["trial"] == k) & (many["side"] == "L")]["tc"].mean() for k in range(12)]
    assert row["resampled"] == "trials"
    assert (row["n_reference"], row["n_condition"]) == (6, 6)
    assert row["difference"] == pytest.approx(np.mean(means[6:]) - np.mean(means[:6]), rel=ROUNDING)
    drawn = [naive_starts(6, 60, 6, [4, role, 0]) for role in range(2)]
    changes = [
        np.mean([means[6 + i] for i in after]) - np.mean([means[i] for i in before])
        for before, after in zip(*drawn, strict=True)
    ]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(naive_percentiles(changes)))
    forced = by_key(bc.compare_conditions(many, "surface", metrics=["tc"], n_boot=60, unit="strides"))
    assert forced["a", "after", "tc", "left"]["resampled"] == "stride pairs"


def test_what_is_given_does_not_depend_on_who_else_is_there(table):
    everyone = by_key(bc.compare_conditions(table, "surface", metrics=["tc", "peak_brake"], n_boot=60))
    alone = table[table["subject"] == "b"]
    for key, row in by_key(bc.compare_conditions(alone, "surface", metrics=["tc"], n_boot=60)).items():
        assert repr(row) == repr(everyone[key])  # NaN equals NaN
    assert GROUP not in {
        key[0] for key in by_key(bc.compare_conditions(alone, "surface", n_boot=0, metrics=["tc"]))
    }


def test_the_reference_turns_the_sign(table):
    one = by_key(bc.compare_conditions(table, "surface", metrics=["tc"], n_boot=0))
    other = by_key(bc.compare_conditions(table, "surface", metrics=["tc"], n_boot=0, reference="grass"))
    for subject in "abc":
        a, b = one[subject, "grass", "tc", "mean"], other[subject, "track", "tc", "mean"]
        assert a["difference"] == -b["difference"]
        assert np.isnan(a["ci_low"])
        assert a["difference_pct"] == pytest.approx(100.0 * a["difference"] / a["at_reference"])


def test_more_than_two_conditions_and_numbers_as_conditions(table):
    numbered = table.assign(
        speed=np.where(table["trial"] % 3 == 0, 2.5, np.where(table["trial"] % 3 == 1, 3.0, 3.5))
    )
    numbered = numbered.assign(subject="a")
    found = bc.compare_conditions(numbered, "speed", metrics=["tc"], n_boot=40, reference=3.0)
    assert set(found["condition"]) == {"2.5", "3.5"}
    assert set(found["reference"]) == {"3"}


def test_unknown_sides_give_the_mean_only(table):
    blind = table.assign(side=np.where(table["side"] == "L", "A", "B"))
    for row in bc.compare_conditions(blind, "surface", metrics=["tc"], n_boot=40):
        assert np.isfinite(row["difference"]) == (row["quantity"] == "mean")
        assert row["subject"] == GROUP or "sides are A and B" in row["note"]


def test_too_little_to_resample(table):
    """One stride a trial, two trials: a difference without an interval, and the reason."""
    short = table[table["t_on"] < 0.7].assign(flags=0)
    short = short[short["subject"] == "b"]
    for row in bc.compare_conditions(short, "surface", metrics=["tc"], n_boot=40):
        assert np.isfinite(row["difference"]) or row["quantity"] != "mean" or np.isnan(short["tc"]).any()
        assert np.isnan(row["ci_low"])
        assert "no interval" in row["note"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"condition": "camber"}, "no column 'camber'"),
        ({"subject": "runner"}, "no column 'runner'"),
        ({"metrics": ["loading_rate"]}, "loading_rate"),
        ({"metrics": []}, "nothing is no metric"),
        ({"reference": "sand"}, "the conditions are track, grass"),
        ({"unit": "steps"}, "unit='steps'"),
        ({"n_boot": 5}, "n_boot=5"),
        ({"seed": -1}, "no negative seed"),
        ({"condition": "one"}, "fewer than two"),
    ],
)
def test_questions_that_make_no_sense(table, change, reason):
    options = {"condition": "surface", "metrics": ["tc"]} | change
    with pytest.raises(bc.errors.DataError, match=reason):
        bc.compare_conditions(table.assign(one="x"), **options)


def test_a_batch_of_simulated_subjects_finds_what_was_simulated(tmp_path):
    """A cue that shortens the contact by a known time, the same in both ways of asking."""
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    rows, truth = [], {}
    for subject in range(3):
        for cue in ("none", "faster"):
            limbs = [
                replace(limb, contact_s=limb.contact_s - 0.015 * (cue == "faster"))
                for limb in (bc.simulate.LEFT, bc.simulate.RIGHT)
            ]
            sim = bc.simulate.treadmill(
                n_steps=30, noise_n=2.0, step_jitter=0.01, left=limbs[0], right=limbs[1], seed=subject
            )
            name = f"{subject}{cue}.csv"
            bc.write(sim.trial, tmp_path / name)
            truth[subject, cue] = 0.5 * sum(sim.limb_means()["tc"])
            rows.append({"file": name, "subject": f"s{subject}", "cue": cue})
    with ThreadPoolExecutor(2) as pool:
        batch = bc.analyze_many(rows, folder=tmp_path, executor=pool, n_boot=0, mass_kg=70.0)
    found = by_key(bc.compare_conditions(batch, "cue", metrics=["tc"]))
    for subject in range(3):
        row = found[f"s{subject}", "faster", "tc", "mean"]
        known = truth[subject, "faster"] - truth[subject, "none"]
        # 30 steps that vary by 1 %: the mean is known to 0.5 ms.
        assert row["difference"] == pytest.approx(known, abs=1e-3)
        assert row["ci_low"] < known < row["ci_high"]
        assert row["ci_high"] < 0
    by_trials = by_key(bc.compare_conditions(batch.trials, "cue", metrics=["tc"]))
    for key, row in found.items():
        assert by_trials[key]["difference"] == pytest.approx(row["difference"], rel=1e-9, abs=1e-9)
        if key[0] != GROUP:
            assert np.isnan(by_trials[key]["ci_low"])
            assert "fewer than 3 of them" in by_trials[key]["note"]


# ----------------------------------------------------------------------- trials that failed, subjects that lack one


@pytest.fixture(scope="module")
def with_failures(tmp_path_factory):
    """A batch whose very first trial, and one subject's only other trial, can't be read."""
    from concurrent.futures import ThreadPoolExecutor

    folder = tmp_path_factory.mktemp("failures")
    for k in range(2):
        bc.write(bc.simulate.treadmill(n_steps=12, seed=k).trial, folder / f"{k}.csv")
    rows = [
        {"file": name, "subject": who, "surface": surface}
        for who, surface, name in (
            ("a", "track", "lost.csv"),
            ("a", "grass", "0.csv"),
            ("b", "grass", "0.csv"),
            ("b", "track", "1.csv"),
            ("b", "track", "lost.csv"),
            ("c", "grass", "1.csv"),
            ("c", "track", "0.csv"),
        )
    ]
    with ThreadPoolExecutor(2) as pool:
        found = bc.analyze_many(
            rows, folder / "out.csv", folder=folder, executor=pool, n_boot=0, mass_kg=70.0
        )
    return folder, found


def forms_of(folder, batch):
    """The table of trials as it comes back from everywhere."""
    read_back = pd.read_csv(folder / "out.csv")
    yield "batch", batch
    yield "trials", batch.trials
    yield "csv", read_back
    yield "nullable", read_back.convert_dtypes()
    yield "arrow", batch.trials.to_arrow()
    import pyarrow as pa

    yield "arrow with nulls", pa.Table.from_pandas(read_back)


def test_failed_trials_do_not_count_wherever_the_table_comes_from(with_failures):
    folder, batch = with_failures
    expected = by_key(bc.compare_conditions(batch.trials, "surface", metrics=["tc"], n_boot=0))
    assert {key[0] for key in expected} == {"b", "c", GROUP}
    for name, table in forms_of(folder, batch):
        found = by_key(bc.compare_conditions(table, "surface", metrics=["tc"], n_boot=0))
        assert found.keys() == expected.keys(), name
        for key, row in found.items():
            assert np.isfinite(row["difference"]), (name, key)
            assert row["reference"] == "track", name  # the first in the table, though that trial failed
            assert row["difference"] == pytest.approx(expected[key]["difference"], rel=1e-9, abs=1e-9), name
            if name != "batch":  # its strides are counted, not its trials
                assert (row["n_reference"], row["n_condition"]) == (
                    expected[key]["n_reference"],
                    expected[key]["n_condition"],
                )
        assert "2 of 3 subjects have both" in found[GROUP, "grass", "tc", "mean"]["note"], name


def test_a_reference_without_an_analysed_trial_is_an_error(with_failures):
    _, batch = with_failures
    only = {name: batch.trials[name][:4] for name in batch.trials.columns}
    only["surface"] = np.array(["sand", "grass", "grass", "track"])
    with pytest.raises(bc.errors.DataError, match="no trial of the reference, 'sand'"):
        bc.compare_conditions(only, "surface", metrics=["tc"], n_boot=0)
    one = by_key(bc.compare_conditions(only, "surface", metrics=["tc"], n_boot=0, reference="grass"))
    assert "1 of 2 subjects have both" in one["b", "track", "tc", "mean"]["note"]
    nobody = one[GROUP, "sand", "tc", "mean"]
    assert np.isnan(nobody["difference"])
    assert nobody["n_condition"] == 0
    assert "0 of 2 subjects have both" in nobody["note"]


def test_conditions_of_different_subjects_are_no_comparison(table):
    apart = table[(table["subject"] == "a") == (table["surface"] == "track")]
    with pytest.raises(bc.errors.DataError, match="no subject has analysed trials of 'track' and"):
        bc.compare_conditions(apart, "surface", metrics=["tc"])


def test_the_note_of_the_group_speaks_of_the_interval_that_is_there(table):
    two = table[table["subject"] != "c"].assign(flags=0)
    for n_boot in (0, 40):
        for row in bc.compare_conditions(two, "surface", metrics=["tc"], n_boot=n_boot):
            if row["subject"] == GROUP:
                assert np.isnan(row["ci_low"])
                assert row["note"] == "no interval: 2 subjects have a value"
    three = bc.compare_conditions(table, "surface", metrics=["tc"], n_boot=0)
    assert {row["note"] for row in three if row["subject"] == GROUP} == {""}
    # One of the three has unknown sides: of left and right there are two subjects.
    part = table.assign(
        side=np.where(
            table["subject"] == "c", np.where(table["side"] == "L", "A", "B"), table["side"].astype(str)
        )
    )
    found = by_key(bc.compare_conditions(part, "surface", metrics=["tc"], n_boot=40))
    assert "3 subjects is too narrow" in found[GROUP, "grass", "tc", "mean"]["note"]
    assert found[GROUP, "grass", "tc", "left"]["note"] == "no interval: 2 subjects have a value"
