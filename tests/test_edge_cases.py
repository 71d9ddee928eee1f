"""Input that a lab will meet one day: each gives its flags or one clear error, and never an invented number."""

import json
import math

import numpy as np
import pytest

import balancecore as bc
from balancecore.errors import DataError
from balancecore.flags import Flag
from balancecore.simulate import Drift, Limb, WalkLimb, treadmill

RATE_HZ = 1000.0
MASS_KG = 70.0
WEIGHT_N = MASS_KG * 9.80665
STEPS = 20
NOISE_N = 2.0
#: Whole strides of a run with 2 N noise: the level leaves out some 0.01 % of the impulse, the noise averages out.
WEIGHT_RTOL = 0.002
#: 2 N noise on the 200 Hz timing copy moves a crossing on a slope of some 10 kN/s by 0.1 ms; metrics 1.12.
TIMING_S = 0.6e-3
#: Noise alone, of the metrics that have to be there in a measured contact.
ALWAYS = ("tc", "imp_v", "peak_active", "valr_0_50ms", "vilr_50ms")


def run(**options):
    options = {"n_steps": STEPS, "noise_n": NOISE_N, "seed": 3} | options
    return treadmill("run", **options)


def vertical(sim):
    return np.sum([w[:, 2] for w in sim.wrenches], axis=0)


def analyse(data, **options):
    """The result, after the checks that hold for any input."""
    options.setdefault("n_boot", 0)
    if not isinstance(data, bc.Trial):
        options.setdefault("rate_hz", RATE_HZ)
    result = bc.analyze_gait(data, **options)
    steps = result.steps
    for name in ALWAYS:
        silent = ~np.isfinite(steps[name]) & (steps["flags"] == 0)
        assert not silent.any(), f"{name} is missing without a flag"
    assert result.quality["contacts"] == len(steps)
    json.dumps(result.to_dict(), allow_nan=False)
    return result


def count(result, flag):
    return int(((result.steps["flags"] & int(flag)) != 0).sum())


def said(result, words):
    return any(words in w for w in result.quality["warnings"])


@pytest.fixture(scope="module")
def fz():
    force = vertical(run())
    force.flags.writeable = False
    return force


@pytest.fixture(scope="module")
def truth():
    return run().truth()


# --------------------------------------------------------------------------------------------------
# Few contacts, or none


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
def test_a_handful_of_contacts(n, mass_kg):
    sim = run(n_steps=n)
    result = analyse(sim.trial, mass_kg=mass_kg)
    assert result.quality["complete"] == n
    np.testing.assert_allclose(result.steps["t_on"], sim.truth()["t_on"], atol=TIMING_S)
    assert math.isnan(result.steps["tf"][-1])
    assert math.isnan(result.steps["t_step"][-1])
    if mass_kg is None and n < 3:
        assert count(result, Flag.BW_SUSPECT) == count(result, Flag.NAN_IN_WINDOW) == n
        assert np.isnan(result.steps["imp_v"]).all()
        assert said(result, "body weight is unknown")
    else:
        assert np.isfinite(result.steps["imp_v"]).all()
        assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)


@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
@pytest.mark.parametrize("noise_n", [0.0, NOISE_N])
@pytest.mark.parametrize("offset_n", [0.0, 60.0, -60.0, -300.0])
def test_nobody_on_the_plate(noise_n, offset_n, mass_kg):
    silence = np.random.default_rng(0).normal(0.0, 1.0, (5000, 6)) * noise_n
    silence[:, 2] += offset_n
    result = analyse(silence, mass_kg=mass_kg)
    assert len(result.steps) == 0
    assert "BW_SUSPECT" in result.quality["trial_flags"]
    assert len(result.quality["warnings"]) == 1, result.quality["warnings"]
    assert result.quality["cadence_spm"] is None
    assert math.isnan(result.summary["tc"][result.limbs[0]].mean)


def test_unloaded_with_a_level_in_body_weights():
    with pytest.raises(DataError, match="level_bw needs a body weight"):
        analyse(np.zeros(5000), level_bw=0.05)


@pytest.mark.parametrize("frames", [600, 5000])
@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
@pytest.mark.parametrize("noise_n", [0.0, NOISE_N])
def test_standing_only(frames, mass_kg, noise_n):
    force = WEIGHT_N + np.random.default_rng(0).normal(0.0, 1.0, frames) * noise_n
    result = analyse(force, mass_kg=mass_kg)
    assert len(result.steps) == 1
    assert result.quality["complete"] == 0
    assert result.steps["flags"][0] & (Flag.INCOMPLETE_START | Flag.INCOMPLETE_END)
    assert np.isnan(result.steps["tc"]).all()
    if frames == 5000:
        assert result.quality["body_weight"]["standing_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)
        assert said(result, "never unloaded")


@pytest.mark.parametrize("first", ["stand", "run"])
def test_standing_beside_running(fz, first):
    stand = WEIGHT_N + np.random.default_rng(0).normal(0.0, NOISE_N, 3000)
    result = analyse(np.concatenate((stand, fz) if first == "stand" else (fz, stand)))
    assert result.quality["complete"] == STEPS
    assert result.quality["used"] == STEPS
    assert result.quality["body_weight"]["source"] == "static"
    assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)
    assert result.quality["gait"]["used"] == "run"


# --------------------------------------------------------------------------------------------------
# Wrong input


@pytest.mark.parametrize("shape", [(5000, 5), (5000, 6, 1), (6, 5000), ()])
def test_wrong_shape(shape):
    with pytest.raises(DataError, match="shape"):
        analyse(np.zeros(shape))


@pytest.mark.parametrize("rate_hz", [0, -1, math.nan, math.inf, "1000", "fast", True, [1000.0], 1j, None])
def test_wrong_rate(fz, rate_hz):
    with pytest.raises(DataError, match="rate"):
        analyse(fz, rate_hz=rate_hz)


def test_rates_that_are_too_low_say_so(fz):
    with pytest.raises(DataError, match="too low to see contacts"):
        analyse(fz, rate_hz=40)
    with pytest.raises(DataError, match="45 % of the sampling rate"):
        analyse(run(rate_hz=100).trial)


def test_a_rate_that_contradicts_the_trial():
    with pytest.raises(DataError, match="contradicts"):
        analyse(run(n_steps=2).trial, rate_hz=999.0)


@pytest.mark.parametrize("frames", [0, 1, 499])
@pytest.mark.parametrize("columns", [None, 6])
def test_too_short(frames, columns):
    with pytest.raises(DataError, match="too short"):
        analyse(np.zeros(frames if columns is None else (frames, columns)))


@pytest.mark.parametrize("data", [None, [[1, 2], [3]], np.ones(5000, bool), np.ones(5000) * 1j, ["a"] * 5000])
def test_not_numbers(data):
    with pytest.raises(DataError, match="numbers of shape"):
        analyse(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mass_kg", 0.0),
        ("mass_kg", -70.0),
        ("mass_kg", 700.0),
        ("mass_kg", math.nan),
        ("mass_kg", "70"),
        ("mass_kg", True),
        ("speed_m_s", -1.0),
        ("speed_m_s", 50.0),
        ("incline_deg", 90.0),
        ("incline_deg", None),
        ("leg_length_m", 90.0),
        ("level_n", 0.0),
        ("level_n", -20.0),
        ("level_n", math.nan),
        ("level_n", 1e4),
        ("level_n", "low"),
        ("level_n", None),
        ("level_bw", 0.0),
        ("level_bw", 0.5),
        ("level_bw", math.nan),
        ("level_bw", "5 %"),
        ("cutoff_hz", 0.0),
        ("cutoff_hz", -50.0),
        ("cutoff_hz", 500.0),
        ("cutoff_hz", math.nan),
        ("cutoff_hz", "low"),
        ("timing_cutoff_hz", 0.0),
        ("timing_cutoff_hz", 500.0),
        ("baseline", "spline"),
        ("baseline", None),
        ("gait", "hop"),
        ("first_side", "left"),
        ("first_side", "A"),
        ("poi", "12pct"),
        ("n_boot", -1),
        ("n_boot", 2.5),
        ("n_boot", None),
        ("seed", -1),
        ("seed", 0.5),
    ],
)
def test_an_option_out_of_range_is_named(fz, name, value):
    with pytest.raises(DataError, match=name):
        analyse(fz, **{name: value})


def test_two_levels_at_once(fz):
    with pytest.raises(DataError, match="not both"):
        analyse(fz, level_n=20.0, level_bw=0.05)


def test_the_other_entrances_refuse_too(fz):
    with pytest.raises(DataError, match="one vertical force"):
        bc.find_contacts(np.zeros((5000, 6)), rate_hz=RATE_HZ)
    contacts = bc.find_contacts(fz, rate_hz=RATE_HZ)
    with pytest.raises(DataError, match="don't fit"):
        bc.step_metrics(fz, contacts, rate_hz=500.0, mass_kg=MASS_KG)
    with pytest.raises(DataError, match="from another one"):
        bc.step_metrics(fz[:2000], contacts, rate_hz=RATE_HZ, mass_kg=MASS_KG)


def test_impossible_numbers_are_refused(fz):
    for wrong in (1e300, -1e200, 1e9):
        broken = fz.copy()
        broken[3000] = wrong
        with pytest.raises(DataError, match="more than any force plate measures"):
            analyse(broken)


def test_plates_that_lack_the_vertical_force():
    with pytest.raises(DataError, match="no vertical force"):
        analyse(bc.Trial.from_wrenches([np.zeros((5000, 6))], rate_hz=RATE_HZ, missing=["Fz"]))


# --------------------------------------------------------------------------------------------------
# Polarity and range


@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
def test_force_that_points_down_is_reported_and_never_flipped(fz, mass_kg):
    result = analyse(-fz, mass_kg=mass_kg)
    assert len(result.steps) == 0
    assert "BW_SUSPECT" in result.quality["trial_flags"]
    (warning,) = result.quality["warnings"]
    assert "convention='action'" in warning
    turned = bc.Trial.from_wrenches([-fz], rate_hz=RATE_HZ, convention="action")
    assert analyse(turned).quality["complete"] == STEPS


def test_a_spike_at_the_start_hides_no_polarity(fz):
    down = -fz
    down[0] = 3000.0
    assert said(analyse(down), "points down")


def test_one_plate_upside_down_is_named():
    left, right = run().wrenches
    result = analyse(bc.Trial.from_wrenches([left, -right], rate_hz=RATE_HZ))
    assert len(result.steps) == 0
    assert said(result, "plate 2")
    assert not said(result, "plate 1")


@pytest.mark.parametrize("offset_n", [-300.0, 100.0, 200.0])
def test_an_offset_is_not_a_polarity(fz, offset_n):
    result = analyse(fz + offset_n)
    assert result.quality["complete"] == STEPS
    assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)


def test_a_clipped_force_measures_nothing(fz):
    result = analyse(np.minimum(fz, 1400.0))
    assert count(result, Flag.SATURATED) == STEPS
    assert result.quality["used"] == 0
    assert count(result, Flag.BW_SUSPECT) == STEPS
    assert result.quality["body_weight"]["weight_n"] is None
    assert said(result, "end of the range on plate 1 Fz")
    assert analyse(np.minimum(fz, 1400.0), mass_kg=MASS_KG).quality["used"] == 0


def test_one_clipped_step_costs_itself_only(fz, truth):
    clipped = fz.copy()
    first, last = (int(truth[name][7] * RATE_HZ) for name in ("t_on", "t_off"))
    clipped[first:last] = np.minimum(1.5 * clipped[first:last], 2000.0)
    result = analyse(clipped)
    np.testing.assert_array_equal(np.flatnonzero(result.steps["flags"] & int(Flag.SATURATED)), [7])
    assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)


@pytest.mark.parametrize("band_n", [0.0, 15.0])
def test_zero_clamped_data_are_not_saturated(fz, band_n):
    clamped = np.where(fz < band_n, 0.0, fz)
    result = analyse(clamped)
    assert result.quality["complete"] == result.quality["used"] == STEPS
    assert not result.quality["saturation"]


@pytest.mark.parametrize(("rate_hz", "quantum_n"), [(1000.0, 1.0), (10000.0, 0.1)])
def test_the_flat_top_of_a_quantised_peak_is_not_saturation(rate_hz, quantum_n):
    smooth = vertical(treadmill(n_steps=8, rate_hz=rate_hz))
    coarse = np.round(smooth / quantum_n) * quantum_n
    top = coarse == coarse.max()
    assert (top[2:] & top[1:-1] & top[:-2]).any(), "the signal has no flat top to be mistaken"
    result = analyse(coarse, rate_hz=rate_hz)
    assert not result.quality["saturation"]
    clipped = analyse(np.minimum(coarse, 1400.0), rate_hz=rate_hz)
    assert count(clipped, Flag.SATURATED) == len(clipped.steps) == 8


# --------------------------------------------------------------------------------------------------
# Ends, gaps and disturbances


def test_starts_and_ends_in_stance(fz):
    loaded = np.flatnonzero(fz > 1000.0)
    result = analyse(fz[loaded[0] : loaded[-1]])
    flags = result.steps["flags"]
    assert flags[0] & Flag.INCOMPLETE_START
    assert flags[-1] & Flag.INCOMPLETE_END
    assert count(result, Flag.INCOMPLETE_START) == count(result, Flag.INCOMPLETE_END) == 1
    assert np.isnan(result.steps["tc"][[0, -1]]).all()
    assert np.isnan(result.steps["imp_v"][[0, -1]]).all()
    assert result.quality["complete"] == STEPS - 2


def test_a_signal_shorter_than_the_padding_is_refused(fz):
    with pytest.raises(DataError, match="longer than the low-pass needs"):
        analyse(fz[:700], cutoff_hz=2.0)


@pytest.mark.parametrize("spacing", [2, 3, 50])
def test_gaps_everywhere_are_refused(fz, spacing):
    holes = fz.copy()
    holes[::spacing] = np.nan
    with pytest.raises(DataError, match="without gaps"):
        analyse(holes)


@pytest.mark.parametrize("data", [np.full(5000, np.nan), np.full((5000, 6), np.nan), np.full(5000, np.inf)])
def test_nothing_finite(data):
    with pytest.raises(DataError, match="no frame of the record is finite"):
        analyse(data)


@pytest.mark.parametrize("spacing", [97, 300])
def test_gaps_in_every_step_leave_no_metrics(fz, spacing):
    holes = fz.copy()
    holes[::spacing] = np.nan
    result = analyse(holes, mass_kg=MASS_KG)
    assert count(result, Flag.GAP) == len(result.steps) > 0
    assert result.quality["used"] == 0
    assert np.isnan(result.steps["imp_v"]).all()


@pytest.mark.parametrize("length", [1, 5, 300])
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["stance", "flight"])
def test_a_gap_costs_only_the_steps_it_touches(fz, truth, length, fill, where):
    whole = analyse(fz, mass_kg=MASS_KG).steps
    start = truth["t_on"][8] + 0.1 if where == "stance" else 0.5 * (truth["t_off"][7] + truth["t_on"][8])
    holes = fz.copy()
    holes[int(start * RATE_HZ) : int(start * RATE_HZ) + length] = fill
    result = analyse(holes, mass_kg=MASS_KG)
    steps = result.steps
    reach = 1.5 / 50.0
    end = start + length / RATE_HZ
    touched = (truth["t_off"] + reach > start) & (truth["t_on"] - reach < end)
    clean = (steps["flags"] & int(Flag.GAP)) == 0
    # Whether the very flank of a contact is in reach depends on the level: one step on either side may differ.
    assert clean.sum() == pytest.approx((~touched).sum(), abs=1)
    assert np.isnan(steps["imp_v"][~clean]).all()
    far = [i for i in range(STEPS) if abs(truth["t_on"][i] - start) > 1.0]
    match = [int(np.nanargmin(np.abs(steps["t_on"] - t))) for t in truth["t_on"][far]]
    for name in ("tc", "imp_v", "peak_active", "vilr_50ms"):
        # The windows' filter differs from the whole record's by less than 1e-6 (metrics 1.12); the baseline's
        # knots near the gap move by the noise.
        np.testing.assert_allclose(steps[name][match], whole[name][far], rtol=2e-3)
    assert (steps["side"][match] == whole["side"][far]).all()
    crossing = (steps["t_on"] < start) & (steps["t_on"] + steps["t_step"] > end)
    assert not crossing.any(), "a step time spans the gap"


def test_gaps_at_both_ends(fz):
    holes = fz.copy()
    holes[:700] = np.nan
    holes[-700:] = np.nan
    result = analyse(holes)
    assert result.quality["complete"] == STEPS - 2
    assert count(result, Flag.GAP) == 2
    assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)


def test_a_spike_does_not_pass_for_a_contact(fz, truth):
    spiked = fz.copy()
    spiked[int(RATE_HZ * 0.5 * (truth["t_off"][5] + truth["t_on"][6]))] = 1e4
    result = analyse(spiked)
    assert result.quality["complete"] == STEPS
    np.testing.assert_allclose(result.steps["t_on"][7:], truth["t_on"][7:], atol=TIMING_S)


def test_a_spike_inside_a_contact_stands_out(fz, truth):
    spiked = fz.copy()
    spiked[int(RATE_HZ * truth["t_on"][6]) + 100] = 1e5
    result = analyse(spiked)
    assert result.quality["complete"] == STEPS
    assert result.steps["flags"][6] & Flag.OUTLIER_STEP


# --------------------------------------------------------------------------------------------------
# Bad steps


def _shorten(force, truth, i):
    force[int(truth["t_on"][i] * RATE_HZ) + 50 : int(truth["t_off"][i] * RATE_HZ) + 5] = 0.0


def _join(force, truth, i):
    """Fill the flight after a contact."""
    force[int(truth["t_off"][i] * RATE_HZ) - 15 : int(truth["t_on"][i + 1] * RATE_HZ) + 15] = 400.0


def test_two_short_contacts_in_a_row(fz, truth):
    force = fz.copy()
    for i in (9, 10):
        _shorten(force, truth, i)
    result = analyse(force)
    assert result.quality["complete"] == STEPS - 2
    assert [r["reason"].split(":")[0] for r in result.quality["rejected"]] == ["SHORT_CONTACT"] * 2
    kept = np.delete(np.arange(STEPS), (9, 10))
    np.testing.assert_allclose(result.steps["t_on"], truth["t_on"][kept], atol=TIMING_S)
    assert (result.steps["side"] == np.where(kept % 2 == 0, "A", "B")).all()
    assert math.isnan(result.steps["t_step"][8]), "a step time spans the missed contacts"


@pytest.mark.parametrize("flights", [(9,), (9, 10)])
def test_merged_contacts_are_long_and_left_out(fz, truth, flights):
    force = fz.copy()
    for i in flights:
        _join(force, truth, i)
    result = analyse(force)
    assert result.quality["complete"] == STEPS - len(flights)
    assert count(result, Flag.LONG_CONTACT) == 1
    assert result.steps["flags"][9] & Flag.LONG_CONTACT
    assert result.quality["used"] == STEPS - len(flights) - 1
    labels = {round(t, 2): s for t, s in zip(result.steps["t_on"], result.steps["side"], strict=True)}
    for i in (0, 5, 14, 19):
        assert labels[round(truth["t_on"][i], 2)] == "AB"[i % 2]


# --------------------------------------------------------------------------------------------------
# Extreme people, speeds and rates

SPRINT = Limb(contact_s=0.09, flight_after_s=0.12, impact_dv_m_s=1.2, impact_dt_s=0.02)


@pytest.mark.parametrize("mass_kg", [15.0, 180.0])
def test_light_and_heavy_people(mass_kg):
    sim = run(mass_kg=mass_kg)
    result = analyse(sim.trial)
    assert result.quality["used"] == STEPS
    assert result.quality["body_weight"]["mass_kg"] == pytest.approx(mass_kg, rel=5 * WEIGHT_RTOL)
    expected = 0.05 * mass_kg * 9.80665 if mass_kg < 40 else 20.0
    assert result.quality["level_n"][0] == pytest.approx(expected, rel=0.3)


def test_a_sprint():
    sim = run(left=SPRINT, right=SPRINT)
    result = analyse(sim.trial, mass_kg=MASS_KG)
    assert result.quality["used"] == STEPS
    np.testing.assert_allclose(result.steps["tc"], sim.truth()["tc"], atol=2 * TIMING_S)


def test_very_slow_walking():
    slow = WalkLimb(contact_s=1.4, double_support_after_s=0.35)
    sim = treadmill("walk", n_steps=12, left=slow, right=slow, noise_n=NOISE_N, seed=3)
    result = analyse(sim.trial, mass_kg=MASS_KG)
    assert result.quality["gait"]["used"] == "walk"
    assert result.quality["used"] == 12
    #: Slow flanks: 2 N of noise shift a crossing on 2 kN/s by ten times as much as in running.
    np.testing.assert_allclose(result.steps["tc"], sim.truth()["tc"], atol=10 * TIMING_S)


@pytest.mark.parametrize("rate_hz", [200.0, 250.0, 300.0, 20000.0])
def test_unusual_rates(rate_hz):
    sim = run(rate_hz=rate_hz, n_steps=10)
    result = analyse(sim.trial, mass_kg=MASS_KG)
    assert result.quality["used"] == 10
    assert count(result, Flag.LOW_FS) == (10 if rate_hz < 500 else 0)
    #: Linear interpolation errs by 1.2 ms at 200 Hz, 0.5 at 300 Hz (metrics 1.4).
    atol = 2.5e-3 if rate_hz < 500 else TIMING_S
    np.testing.assert_allclose(result.steps["tc"], sim.truth()["tc"], atol=atol)


def test_vilr_is_refused_at_low_rates():
    result = analyse(run(rate_hz=150.0).trial, mass_kg=MASS_KG)
    assert count(result, Flag.LOW_FS) == STEPS
    for name in ("vilr", "vilr_50ms"):
        assert np.isnan(result.steps[name]).all()


def test_drift_larger_than_the_level():
    sim = run(n_steps=60, drift_n=Drift(linear_n=100.0, sine_n=50.0))
    result = analyse(sim.trial)
    assert result.quality["used"] == 60
    assert result.quality["body_weight"]["weight_n"] == pytest.approx(WEIGHT_N, rel=WEIGHT_RTOL)
    assert said(result, "drifts by")


def test_a_mass_that_is_twice_too_large(fz):
    result = analyse(fz, mass_kg=2 * MASS_KG)
    assert count(result, Flag.BW_SUSPECT) == len(result.steps) == STEPS
    assert said(result, "body weight is doubtful")


def test_a_mass_so_large_that_nothing_is_a_contact(fz):
    result = analyse(fz, mass_kg=4 * MASS_KG)
    assert len(result.steps) == 0
    assert said(result, "were not taken for contacts")
    assert len(result.quality["rejected"]) == STEPS


@pytest.mark.parametrize("options", [{"level_n": 300.0}, {"level_n": 1000.0}, {"level_bw": 0.3}])
def test_a_huge_level_is_used_and_mentioned(options, truth):
    sim = run()
    result = analyse(sim.trial, mass_kg=MASS_KG, **options)
    level = options.get("level_n", 0.3 * WEIGHT_N)
    assert result.quality["level_n"][0] == pytest.approx(level)
    np.testing.assert_allclose(result.steps["tc"], sim.truth(level)["tc"], atol=2 * TIMING_S)
    assert said(result, "is high: contact times come out short")


# --------------------------------------------------------------------------------------------------
# Shapes of input, and what is done to it


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.float32),
        lambda x: x.astype(">f8"),
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: x.tolist(),
        lambda x: np.round(x * 10).astype(np.int64) / 10,
    ],
    ids=["float32", "big-endian", "strided", "reversed view", "list", "one decimal"],
)
def test_any_array_gives_the_same(fz, convert):
    expected = analyse(fz, mass_kg=MASS_KG).steps
    steps = analyse(convert(fz), mass_kg=MASS_KG).steps
    # float32 holds 1e-7 of the force; a decimal 0.05 N, far below the noise.
    np.testing.assert_allclose(steps["tc"], expected["tc"], atol=2e-5)
    np.testing.assert_allclose(steps["imp_v"], expected["imp_v"], rtol=1e-3)


def test_whole_newtons_are_enough(fz):
    steps = analyse(np.round(fz).astype(np.int32), mass_kg=MASS_KG).steps
    assert len(steps) == STEPS
    np.testing.assert_allclose(steps["tc"], analyse(fz, mass_kg=MASS_KG).steps["tc"], atol=TIMING_S)


def test_input_is_never_written_to():
    wrench = np.array(run().wrenches[0] + run().wrenches[1])
    before = wrench.tobytes()
    analyse(wrench)
    analyse(bc.Trial.from_wrenches([wrench], rate_hz=RATE_HZ, convention="action"))
    bc.find_contacts(wrench[:, 2], rate_hz=RATE_HZ)
    assert wrench.tobytes() == before
    assert wrench.flags.writeable
    wrench.flags.writeable = False
    assert analyse(wrench).quality["complete"] == STEPS


# --------------------------------------------------------------------------------------------------
# Plates


def test_vertical_force_alone_has_no_horizontal_metrics():
    sim = run()
    trial = bc.Trial.from_wrenches([w[:, 2] for w in sim.wrenches], rate_hz=RATE_HZ, sides=["L", "R"])
    result = analyse(trial, mass_kg=MASS_KG)
    full = analyse(sim.trial, mass_kg=MASS_KG)
    for name in ("imp_brake", "imp_prop", "imp_med", "cop_x", "step_width", "blr"):
        assert np.isnan(result.steps[name]).all(), name
    for name in ("tc", "imp_v", "valr_2080t"):
        # The knots of the baseline are dropped on all channels together, so other channels touch them.
        np.testing.assert_allclose(result.steps[name], full.steps[name], rtol=2e-3)
    assert (result.steps["side"] == sim.truth()["side"]).all()


def test_plates_with_missing_channels():
    sim = run()
    trial = bc.Trial.from_wrenches(
        list(sim.wrenches), rate_hz=RATE_HZ, sides=["L", "R"], missing=["Mx", "My"]
    )
    result = analyse(trial, mass_kg=MASS_KG)
    assert np.isfinite(result.steps["imp_brake"]).all()
    assert np.isnan(result.steps["cop_x"]).all()
    assert count(result, Flag.COP_LOW_FORCE) == 0, "a missing moment is not a low force"


def test_a_second_plate_that_is_never_loaded():
    sim = run()
    idle = np.random.default_rng(0).normal(0.0, NOISE_N, sim.wrenches[0].shape)
    both = bc.Trial.from_wrenches([sum(sim.wrenches), idle], rate_hz=RATE_HZ, sides=["L", "R"])
    result = analyse(both, mass_kg=MASS_KG)
    assert result.quality["used"] == STEPS
    assert result.quality["sides"]["method"] != "belt", "both feet use one belt: it says nothing of the side"


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_eight_plates(gait):
    sim = treadmill(gait, n_steps=STEPS, noise_n=NOISE_N, seed=3)
    quarters = [w / 4 for w in sim.wrenches for _ in range(4)]
    origins = np.repeat([p.origin_m for p in sim.trial.plates], 4, axis=0)
    trial = bc.Trial.from_wrenches(
        quarters, rate_hz=RATE_HZ, sides=["L"] * 4 + ["R"] * 4, origins_m=origins, axes=("x", "y", "z")
    )
    result = analyse(trial, mass_kg=MASS_KG)
    whole = analyse(sim.trial, mass_kg=MASS_KG)
    assert result.quality["gait"]["used"] == gait
    assert (result.steps["side"] == whole.steps["side"]).all()
    for name in ("tc", "imp_v", "imp_brake", "cop_x"):
        np.testing.assert_allclose(result.steps[name], whole.steps[name], rtol=1e-6, atol=1e-9)


def test_one_belt_of_two_does_not_pass_for_two_feet():
    """A foot that lands on one belt: alternation can't hold, and the centres of pressure say so."""
    result = analyse(run(n_steps=30).wrenches[0], mass_kg=MASS_KG)
    assert len(result.steps) == 15
    assert count(result, Flag.SIDE_AMBIGUOUS) == 15
    assert result.quality["used"] == 0
    assert said(result, "don't separate the feet")
