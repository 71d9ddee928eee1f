"""The kernel of per-contact metrics against naive versions, whole-record filtering and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancecore._ext import _steps
from balancecore.contacts import LevelRule, segment
from balancecore.filters import lowpass, zero_phase
from balancecore.intake import take_in
from balancecore.simulate import STANDARD_GRAVITY, Drift, half_sine, treadmill
from balancecore.steps import measure

from ..golden import HALF_SINE
from . import reference

RATE_HZ = 1000.0
WEIGHT_N = 700.0
NONE = lowpass(None, RATE_HZ)
# Same formulas in another order. Slopes divide a difference of forces by a time of some samples, so a rounding
# of 1e-13 BW becomes up to 1e-9 BW/s.
COLUMN_RTOL, COLUMN_ATOL = 1e-9, 1e-9
# metrics 1.12: with a margin of 3/fc the window differs from the whole record by less than this.
WINDOW_BW = 1e-6
# A central difference over two samples of 1 ms makes 1e-6 BW into 1e-3 BW/s.
WINDOW_BW_S = 1e-3
# 1e-6 BW on an arm of up to 1 m, over at least 5 % BW of load: 20 µm.
WINDOW_COP_M = 2e-5
# Half a unit of the last printed digit of the example in metrics 3.2.
PRINTED_NS = 0.5e-6


def run(
    wrenches,
    fz,
    contacts,
    *,
    arms=None,
    segments=None,
    wanted=None,
    noise_n=0.0,
    design=NONE,
    breaks=(0.0,),
    baseline=None,
    side_tilt=0.0,
    forward_tilt=0.0,
    cop_least_n=50.0,
    speed_m_s=3.0,
    origin=(0.0, 0.0, 0.0),
    rate_hz=RATE_HZ,
    weight_n=WEIGHT_N,
):
    """The kernel with everything that a test doesn't care about filled in: columns by name, curves, shares."""
    contacts = np.array(contacts, dtype=float).reshape(-1, 2)
    k = len(contacts)
    segments = np.tile([[0, len(fz)]], (k, 1)) if segments is None else np.array(segments)
    out, curves = np.full((k, _steps.N_COLUMNS), -9.0), np.full((k, 5, 101), -9.0)
    shares = np.full((k, len(wrenches)), -9.0)
    longest = float(np.nan_to_num(np.ptp(contacts, axis=1)).max(initial=0.0))
    _steps.contact_metrics(
        tuple(wrenches),
        np.zeros((len(wrenches), 3)) if arms is None else np.array(arms),
        fz,
        contacts,
        segments.astype(np.int64),
        np.ones(k, np.uint8) if wanted is None else np.array(wanted, dtype=np.uint8),
        rate_hz,
        weight_n,
        noise_n,
        design.sos,
        design.zi,
        design.margin,
        np.array(breaks, dtype=float),
        np.zeros((4, 4, max(len(breaks) - 1, 1))) if baseline is None else baseline,
        side_tilt,
        forward_tilt,
        cop_least_n,
        speed_m_s,
        np.array(origin, dtype=float),
        out,
        curves,
        shares,
        np.empty((math.ceil(longest) + 2 * design.margin + 8, 4)),
    )
    return {name: out[:, j] for j, name in enumerate(_steps.COLUMNS)}, curves, shares


def expected_columns(row):
    return {name: row.get(name, math.nan) for name in _steps.COLUMNS}


def check_row(columns, k, row, rtol=COLUMN_RTOL, atol=COLUMN_ATOL):
    assert set(row) <= set(_steps.COLUMNS)
    for name, expected in expected_columns(row).items():
        np.testing.assert_allclose(columns[name][k], expected, rtol=rtol, atol=atol, err_msg=name)


# ---------------------------------------------------------------------------------------------------------------
# Random smooth forces against the naive version


def smooth(rng, n, size, waves=6):
    """A sum of sines of random amplitude, phase and period."""
    t = np.arange(n)[:, None] / n
    waves = rng.normal(size=waves) * np.sin(
        2 * np.pi * (t * rng.uniform(0.5, 9.0, waves) + rng.uniform(size=waves))
    )
    return size * waves.sum(axis=1)


def footfall(rng, n, on, off, impact_bw):
    """A hump over the contact with a second one early, so that an impact peak may or may not be there."""
    t = np.clip((np.arange(n) - on) / (off - on), 0.0, 1.0)
    width = rng.uniform(0.03, 0.08)
    bump = np.exp(-0.5 * ((t - rng.uniform(0.06, 0.2)) / width) ** 2) * np.sin(np.pi * t)
    return 20.0 + WEIGHT_N * (rng.uniform(0.5, 2.5) * np.sin(np.pi * t) ** 1.5 + impact_bw * bump)


def random_record(seed, n, on, off, impact_bw, plates):
    rng = np.random.default_rng(seed)
    force = footfall(rng, n, on, off, impact_bw) + smooth(rng, n, 8.0)
    split = rng.dirichlet(np.ones(plates))
    wrenches = []
    for k in range(plates):
        w = np.column_stack([smooth(rng, n, 40.0) for _ in range(6)])
        w[:, 2] = split[k] * force
        wrenches.append(w)
    arms = rng.uniform(-0.6, 0.6, size=(plates, 3))
    arms[0] = 0.0
    return wrenches, arms, sum(w[:, 2] for w in wrenches)


def reference_contact(
    wrenches, arms, fz, on, off, segment=None, *, rate_hz=RATE_HZ, noise_n=0.0, lanes=None, **more
):
    """Naive columns and curves of a contact, from what its stretch holds."""
    low, high = (0, len(fz)) if segment is None else segment
    lanes = reference.virtual_lanes(wrenches, arms) if lanes is None else lanes
    lines = [reference.Line(lanes[low:high, c], low) for c in range(4)]
    more = {"least": 50.0, "speed": 3.0, "origin": (0.0, 0.0, 0.0)} | more
    return reference.contact(
        reference.Line(fz[low:high], low), lines, on, off, rate_hz, WEIGHT_N, noise_n, **more
    )


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10_000),
    on=st.floats(20.0, 60.0),
    tc=st.floats(1.0, 320.0),
    impact_bw=st.floats(0.0, 2.5),
    plates=st.integers(1, 3),
    noise_n=st.sampled_from([0.0, 4.0, 30.0]),
    rate_hz=st.sampled_from([300.0, 1000.0, 2400.0]),
    whole=st.booleans(),
)
def test_every_column_agrees_with_the_naive_version(seed, on, tc, impact_bw, plates, noise_n, rate_hz, whole):
    if whole:  # events that fall on samples
        on, tc = float(round(on)), float(round(tc))
    off = on + tc
    wrenches, arms, fz = random_record(seed, 420, on, off, impact_bw, plates)
    for array in (*wrenches, arms, fz):
        array.flags.writeable = False
    before = [w.copy() for w in wrenches]
    origin = (0.3, -0.2, 0.0)
    columns, curves, shares = run(
        wrenches, fz, [(on, off)], arms=arms, noise_n=noise_n, rate_hz=rate_hz, origin=origin
    )
    row, expected = reference_contact(
        wrenches, arms, fz, on, off, rate_hz=rate_hz, noise_n=noise_n, origin=origin
    )
    check_row(columns, 0, row)
    np.testing.assert_allclose(curves[0], expected, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)
    inside = slice(math.ceil(on), math.floor(off) + 1)
    np.testing.assert_allclose(
        shares[0], [w[inside, 2].sum() for w in wrenches], rtol=COLUMN_RTOL, atol=COLUMN_ATOL
    )
    for w, same in zip(wrenches, before, strict=True):
        np.testing.assert_array_equal(w, same)


def test_the_random_footfalls_reach_every_column():
    """The comparison above would prove nothing about a column that is NaN in all of its examples."""
    filled = dict.fromkeys(_steps.COLUMNS, 0)
    edges = set()
    for seed in range(40):
        wrenches, arms, fz = random_record(seed, 420, 40.4, 290.7, 0.05 * seed, 1)
        columns, *_ = run(wrenches, fz, [(40.4, 290.7)], arms=arms)
        for name in filled:
            filled[name] += bool(np.isfinite(columns[name][0]))
        edges.add(columns["impact_at_edge"][0])
    assert {name for name, count in filled.items() if count < 3} == set()
    assert any(math.isnan(v) for v in edges)


def test_an_impact_peak_at_the_end_of_its_window_is_marked():
    """Window 5 ms to a quarter of 200 ms; a peak whose neighbour lies outside it was cut by the window."""
    for peak, expected in (
        (104.0, math.nan),
        (105.0, 1.0),
        (106.0, 0.0),
        (149.0, 0.0),
        (150.0, 1.0),
        (151.0, math.nan),
    ):
        i = np.arange(400.0)
        fz = 1500.0 - 40.0 * np.abs(i - peak)
        fz = np.maximum(fz, 2000.0 - 20.0 * np.abs(i - 220.0))
        fz[:100] = 0.0
        columns, *_ = run([np.zeros((400, 6))], fz, [(100.0, 300.0)])
        np.testing.assert_equal(columns["impact_at_edge"][0], expected)


def test_an_impact_peak_above_the_active_peak_is_not_taken_for_it():
    i = np.arange(400.0)
    fz = np.maximum(0.0, 1800.0 - 60.0 * np.abs(i - 130.0)) + np.maximum(
        0.0, 1200.0 - 16.0 * np.abs(i - 210.0)
    )
    columns, *_ = run([np.zeros((400, 6))], fz, [(100.0, 285.0)])
    assert columns["t_impact"][0] == pytest.approx(0.030)
    assert columns["peak_impact"][0] == pytest.approx(1800.0 / WEIGHT_N)
    assert columns["t_active"][0] == pytest.approx(0.110)
    assert columns["peak_active"][0] == pytest.approx(1200.0 / WEIGHT_N)


@pytest.mark.parametrize(
    ("fall_n", "noise_n", "found"), [(34.0, 0.0, False), (36.0, 0.0, True), (36.0, 8.0, False)]
)
def test_the_fall_after_an_impact_peak_is_5_percent_of_body_weight_or_five_sds(fall_n, noise_n, found):
    knots = [0, 100, 130, 145, 220, 300, 400], [0.0, 0.0, 900.0, 900.0 - fall_n, 1700.0, 0.0, 0.0]
    fz = np.interp(np.arange(400.0), *knots)
    columns, *_ = run([np.zeros((400, 6))], fz, [(101.0, 299.0)], noise_n=noise_n)
    assert np.isfinite(columns["peak_impact"][0]) == found
    assert np.isfinite(columns["valr_2080t"][0]) == found
    assert np.isfinite(columns["valr_2080_poi13"][0])


# ---------------------------------------------------------------------------------------------------------------
# Impulses


def test_the_impulse_example_with_partial_ends():
    fz = np.array([0.0, 0.0, 12.0, 37.0, 80.0, 60.0, 25.0, 8.0, 0.0, 0.0])
    off = 6 + 5 / 17
    columns, *_ = run([np.zeros((10, 6))], fz, [(2.32, off)])
    assert columns["imp_v"][0] * WEIGHT_N == pytest.approx(0.196998, abs=PRINTED_NS)


def test_an_impulse_inside_one_sample():
    fz = np.linspace(0.0, 90.0, 10)
    columns, *_ = run([np.zeros((10, 6))], fz, [(4.25, 4.75)])
    assert np.isnan(columns["imp_v"][0])  # no sample to find a peak in
    assert columns["imp_prop"][0] == 0.0


def test_signs_are_split_at_the_zero_crossing_between_samples():
    """A line from -30 N to 90 N over 12 samples: two triangles that meet between samples."""
    wrench = np.zeros((40, 6))
    wrench[:, 1] = np.linspace(-80.0, 115.0 + 80.0, 40) + 1.0
    slope = (wrench[1, 1] - wrench[0, 1]) * RATE_HZ
    on, off = 4.3, 30.6
    f_on, f_off = (np.interp(t, np.arange(40), wrench[:, 1]) for t in (on, off))
    columns, *_ = run([wrench], np.full(40, 500.0), [(on, off)])
    assert columns["imp_brake"][0] * WEIGHT_N == pytest.approx(-0.5 * f_on**2 / slope)
    assert columns["imp_prop"][0] * WEIGHT_N == pytest.approx(0.5 * f_off**2 / slope)
    # One rise through zero: both partitions agree.
    assert columns["imp_brake_phase"][0] == pytest.approx(columns["imp_brake"][0])
    assert columns["imp_prop_phase"][0] == pytest.approx(columns["imp_prop"][0])
    zero = -wrench[0, 1] / (wrench[1, 1] - wrench[0, 1])
    assert columns["t_zero_ap"][0] == pytest.approx(100.0 * (zero - on) / (off - on))


# ---------------------------------------------------------------------------------------------------------------
# Lanes: several plates, baseline, tilt, ends of a stretch, filter


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), plates=st.integers(2, 4))
def test_several_plates_are_one_plate_about_the_common_origin(seed, plates):
    wrenches, arms, fz = random_record(seed, 420, 50.3, 300.8, 1.0, plates)
    force = sum(w[:, :3] for w in wrenches)
    moment = sum(w[:, 3:] + np.cross(r, w[:, :3]) for w, r in zip(wrenches, arms, strict=True))
    design = lowpass(50.0, RATE_HZ)
    several, curves, _ = run(wrenches, fz, [(50.3, 300.8)], arms=arms, design=design)
    one, same, _ = run([np.hstack((force, moment))], fz, [(50.3, 300.8)], design=design)
    for name in _steps.COLUMNS:
        np.testing.assert_allclose(several[name], one[name], rtol=COLUMN_RTOL, atol=COLUMN_ATOL, err_msg=name)
    np.testing.assert_allclose(curves, same, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)


def test_the_centre_of_pressure_of_a_known_force():
    """10 N forward and 500 N down at (0.1, -0.2) on a plate whose origin is at (1, 2)."""
    force, place = np.array([0.0, 10.0, 500.0]), np.array([0.1, -0.2, 0.0])
    wrench = np.tile(np.concatenate((force, np.cross(place, force))), (300, 1))
    columns, *_ = run([wrench], wrench[:, 2].copy(), [(20.5, 280.5)], origin=(1.0, 2.0, 0.0), speed_m_s=0.0)
    assert columns["cop_x"][0] == pytest.approx(1.1)
    assert columns["cop_y"][0] == pytest.approx(1.8)
    for name in ("cop_range_x", "cop_range_y", "cop_path"):
        assert columns[name][0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("speed_m_s", [3.0, math.nan])
def test_range_and_path_follow_the_belt(speed_m_s):
    """A foot that stands still on a belt of 3 m/s moves backwards in the lab."""
    wrench = np.zeros((300, 6))
    wrench[:, 2] = 500.0
    wrench[:, 3] = 500.0 * (0.4 - 0.003 * np.arange(300))
    columns, *_ = run([wrench], wrench[:, 2].copy(), [(20.0, 270.0)], speed_m_s=speed_m_s)
    assert columns["cop_max_y"][0] - columns["cop_min_y"][0] == pytest.approx(0.75)
    for name in ("cop_range_y", "cop_path"):
        known = pytest.approx(0.0, abs=1e-12)
        assert math.isnan(columns[name][0]) if math.isnan(speed_m_s) else columns[name][0] == known


def test_baseline_and_tilt_are_taken_from_the_lanes():
    """What the caller corrects by hand equals what the kernel corrects, held at the ends of the breaks."""
    on, off = 50.3, 300.8
    wrenches, _, fz = random_record(3, 420, on, off, 1.0, 1)
    rng = np.random.default_rng(0)
    breaks, baseline = (
        np.array([80.0, 150.5, 260.0]),
        rng.normal(size=(4, 4, 2)) * [[[1e-6], [1e-4], [1e-2], [5.0]]],
    )
    t = np.clip(np.arange(420.0), breaks[0], breaks[-1])
    piece = (t > breaks[1]).astype(int)
    offset = np.array(
        [
            np.polyval(baseline[c][:, p], u)
            for c in range(4)
            for u, p in zip(t - breaks[piece], piece, strict=True)
        ]
    )
    corrected = wrenches[0].copy()
    corrected[:, [0, 1, 3, 4]] -= offset.reshape(4, 420).T
    corrected[:, 0] -= 0.02 * fz
    corrected[:, 1] -= -0.05 * fz
    expected, same, _ = run([corrected], fz, [(on, off)])
    columns, curves, _ = run(
        wrenches, fz, [(on, off)], breaks=breaks, baseline=baseline, side_tilt=0.02, forward_tilt=-0.05
    )
    for name in _steps.COLUMNS:
        np.testing.assert_allclose(
            columns[name], expected[name], rtol=COLUMN_RTOL, atol=COLUMN_ATOL, err_msg=name
        )
    np.testing.assert_allclose(curves, same, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    before=st.floats(0.0, 6.0),
    after=st.floats(0.0, 6.0),
    plates=st.integers(1, 2),
    whole=st.booleans(),
)
def test_a_contact_at_the_ends_of_its_stretch_reads_nothing_beyond(seed, before, after, plates, whole):
    if whole:
        before, after = float(round(before)), float(round(after))
    low, high = 30, 340
    on, off = low + before, high - 1 - after
    wrenches, arms, fz = random_record(seed, 420, on, off, 1.0, plates)
    row, expected = reference_contact(wrenches, arms, fz, on, off, (low, high))
    for w in (*wrenches, fz):
        w[:low] = np.nan
        w[high:] = np.inf
    columns, curves, _ = run(wrenches, fz, [(on, off)], arms=arms, segments=[(low, high)])
    check_row(columns, 0, row)
    np.testing.assert_allclose(curves[0], expected, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)


@pytest.mark.parametrize("segment_", [(30, 340), (45, 310), (50, 302)])
def test_the_filter_sees_an_odd_extension_at_the_ends_of_the_stretch(segment_):
    """The same as filtering the whole stretch, which has the same extension."""
    low, high = segment_
    on, off = 50.3, 300.8
    wrenches, _, fz = random_record(5, 420, on, off, 1.0, 1)
    design = lowpass(50.0, RATE_HZ)
    _, curves, _ = run(wrenches, fz, [(on, off)], segments=[segment_], design=design)
    whole = zero_phase(wrenches[0][low:high, :2], design.sos, padlen=design.padding) / WEIGHT_N
    times = on + (off - on) * np.arange(101) / 100.0
    for lane in (0, 1):
        expected = np.interp(times, np.arange(low, high), whole[:, lane])
        np.testing.assert_allclose(curves[0, lane], expected, rtol=0, atol=WINDOW_BW)


@pytest.mark.parametrize(
    ("gait", "options"),
    [
        ("run", {}),
        ("run", {"rate_hz": 2400.0, "noise_n": 5.0}),
        ("run", {"belts": "single", "noise_n": 3.0, "incline_deg": 5.0}),
        ("walk", {"noise_n": 3.0, "rate_hz": 500.0}),
    ],
)
def test_windows_around_contacts_agree_with_filtering_whole_records(gait, options):
    """The whole path on a realistic signal, against lanes that are filtered from end to end."""
    drift = Drift(linear_n=30.0, sine_n=15.0) if gait == "run" else 0.0
    sim = treadmill(gait, n_steps=8, drift_n=drift, seed=4, **options)
    trial, rate = sim.trial, sim.rate_hz
    found = segment(
        take_in(trial),
        mass_kg=sim.mass_kg,
        level=LevelRule(),
        cutoff_hz=50.0,
        timing_cutoff_hz=None,
        baseline="aerial_pchip",
        gait=gait,
    )
    weight, design, checked = found.weight.force_n, found.kinetics, 0
    for v in found.virtual:
        measured = measure(
            trial, v, design, weight_n=weight, speed_m_s=sim.speed_m_s, camber=0.01, incline=0.02
        )
        arms = v.arms_m(trial)
        lanes = zero_phase(
            reference.virtual_lanes(v.wrenches(trial), arms), design.sos, padlen=design.padding
        )
        offsets = v.baseline.at(np.arange(float(len(trial))))
        lanes -= reference.virtual_lanes([o.T for o in offsets], arms)
        lanes[:, :2] -= v.fz[:, None] * [0.01, 0.02]
        fz, lines = reference.Line(v.fz), [reference.Line(lane) for lane in lanes.T]
        for k in np.flatnonzero(v.contacts.complete):
            on, off = v.contacts.samples[k]
            least = max(50.0, 0.05 * weight)
            origin = v.origin_m(trial)
            row, curves = reference.contact(
                fz, lines, on, off, rate, weight, v.noise_n, least, sim.speed_m_s, origin
            )
            np.testing.assert_allclose(measured.curves[k, :3], curves[:3], rtol=0, atol=WINDOW_BW)
            np.testing.assert_allclose(measured.curves[k, 3:], curves[3:], rtol=0, atol=WINDOW_COP_M)
            for name, expected in expected_columns(row).items():
                atol = WINDOW_BW_S * rate / 1000.0 if name.startswith(("valr", "vilr", "blr")) else WINDOW_BW
                atol = WINDOW_COP_M if name.startswith("cop") else atol
                np.testing.assert_allclose(
                    measured.columns[name][k], expected, rtol=0, atol=atol, err_msg=name
                )
            checked += 1
    assert checked >= 6


def test_shares_are_sums_of_each_plates_raw_force():
    first, second = np.zeros((100, 6)), np.zeros((100, 6))
    first[:, 2], second[:, 2] = 300.0, 100.0
    _, _, shares = run([first, second], first[:, 2] + second[:, 2], [(10.5, 50.5), (60.0, 61.0)])
    assert shares.tolist() == [[40 * 300.0, 40 * 100.0], [600.0, 200.0]]


# ---------------------------------------------------------------------------------------------------------------
# Mean curves


def means(curves, limb):
    mean, sd = np.full((2, 2, *curves.shape[1:]), -9.0)
    counts = np.full(mean.shape, -9, dtype=np.int64)
    _steps.mean_curves(curves, np.array(limb, dtype=np.int64), mean, sd, counts)
    return mean, sd, counts


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    limb=st.lists(st.sampled_from([-1, 0, 1]), max_size=8),
    points=st.sampled_from([1, 7, 8, 20, 101]),
    missing=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
)
def test_mean_curves_agree_with_the_naive_version(seed, limb, points, missing):
    rng = np.random.default_rng(seed)
    curves = rng.normal(3.0, 1.0, size=(len(limb), 5, points))
    curves[rng.uniform(size=curves.shape) < missing] = np.nan
    curves.flags.writeable = False
    for found, expected in zip(means(curves, limb), reference.mean_curves(curves, limb), strict=True):
        np.testing.assert_allclose(found, expected, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)


def test_equal_curves_have_exactly_no_spread():
    curves = np.tile(np.linspace(0.1, 2.3, 101), (6, 5, 1))
    mean, sd, counts = means(curves, [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(mean[0], curves[0], rtol=1e-15)
    assert sd.max() < 1e-15
    assert (counts == 3).all()


@pytest.mark.parametrize(
    ("shape", "limbs", "of_mean"),
    [
        ((3, 5, 7), 2, (2, 5, 7)),
        ((3, 5, 7), 3, (1, 5, 7)),
        ((3, 5, 7), 3, (2, 5, 8)),
        ((3, 5, 0), 3, (2, 5, 0)),
        ((3, 5, 102), 3, (2, 5, 102)),
        ((3, 6, 7), 3, (2, 6, 7)),
    ],
)
def test_mean_curves_of_the_wrong_shape_are_refused(shape, limbs, of_mean):
    mean = np.empty(of_mean)
    with pytest.raises(ValueError, match="must have"):
        _steps.mean_curves(
            np.zeros(shape), np.zeros(limbs, np.int64), mean, mean.copy(), np.empty(of_mean, np.int64)
        )


# ---------------------------------------------------------------------------------------------------------------
# Contract


def test_unwanted_contacts_are_nan_and_do_not_touch_the_others():
    wrenches, arms, fz = random_record(1, 420, 50.0, 300.0, 1.0, 2)
    contacts = [(50.0, 300.0), (60.2, 290.1), (55.5, 310.0)]
    design = lowpass(50.0, RATE_HZ)
    every, curves, shares = run(wrenches, fz, contacts, arms=arms, design=design)
    some, c, s = run(wrenches, fz, contacts, arms=arms, design=design, wanted=[1, 0, 1])
    for name in _steps.COLUMNS:
        assert math.isnan(some[name][1])
        np.testing.assert_array_equal(some[name][[0, 2]], every[name][[0, 2]])
    assert np.isnan(c[1]).all()
    assert np.isnan(s[1]).all()
    np.testing.assert_array_equal(c[[0, 2]], curves[[0, 2]])
    np.testing.assert_array_equal(s[[0, 2]], shares[[0, 2]])


def test_an_unwanted_contact_may_lie_anywhere():
    columns, curves, shares = run(
        [np.zeros((20, 6))], np.zeros(20), [(math.nan, math.nan)], segments=[(-5, 90)], wanted=[0]
    )
    assert all(math.isnan(column[0]) for column in columns.values())
    assert np.isnan(curves).all()
    assert np.isnan(shares).all()


def test_an_unknown_weight_leaves_only_what_is_not_divided_by_it():
    wrenches, _, fz = random_record(1, 420, 50.0, 300.0, 1.0, 1)
    known, *_ = run(wrenches, fz, [(50.0, 300.0)])
    columns, curves, _ = run(wrenches, fz, [(50.0, 300.0)], weight_n=math.nan)
    assert np.isnan(curves).all()
    for name in ("imp_v", "peak_active", "vilr_poi13", "imp_brake", "peak_prop"):
        assert math.isnan(columns[name][0])
    for name in ("t_active", "t_zero_ap", "cop_x", "cop_path"):
        np.testing.assert_array_equal(columns[name], known[name])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), k=st.floats(0.1, 10.0), shift=st.integers(0, 50))
def test_scaling_force_and_weight_and_shifting_time_change_nothing(seed, k, shift):
    on, off = 50.3, 300.8
    wrenches, _, fz = random_record(seed, 420, on, off, 1.0, 1)
    expected, curves, _ = run(wrenches, fz, [(on, off)], noise_n=1.0)
    scaled = k * np.vstack((np.zeros((shift, 6)), wrenches[0]))
    columns, same, _ = run(
        [scaled],
        scaled[:, 2].copy(),
        [(on + shift, off + shift)],
        noise_n=k,
        weight_n=k * WEIGHT_N,
        cop_least_n=50.0 * k,
    )
    np.testing.assert_allclose(same, curves, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)
    for name in _steps.COLUMNS:
        np.testing.assert_allclose(columns[name], expected[name], rtol=1e-7, atol=1e-7, err_msg=name)


def metric_arguments():
    design = lowpass(50.0, RATE_HZ)
    return {
        "wrenches": (np.zeros((200, 6)), np.zeros((200, 6))),
        "arms": np.zeros((2, 3)),
        "fz": np.zeros(200),
        "contacts": np.array([[20.0, 80.0], [100.0, 160.0]]),
        "segments": np.array([[0, 200], [0, 200]]),
        "wanted": np.ones(2, np.uint8),
        "rate_hz": RATE_HZ,
        "weight_n": WEIGHT_N,
        "noise_n": 0.0,
        "sos": design.sos,
        "zi": design.zi,
        "margin": design.margin,
        "breaks": np.array([0.0, 50.0, 100.0]),
        "baseline": np.zeros((4, 4, 2)),
        "side_tilt": 0.0,
        "forward_tilt": 0.0,
        "cop_least_n": 50.0,
        "speed_m_s": 0.0,
        "origin": np.zeros(3),
        "out": np.empty((2, _steps.N_COLUMNS)),
        "curves": np.empty((2, 5, 101)),
        "shares": np.empty((2, 2)),
        "lanes": np.empty((200, 4)),
    }


def test_the_arguments_that_the_next_test_spoils_are_fine():
    assert _steps.contact_metrics(**metric_arguments()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"wrenches": (np.zeros((200, 6)),)},
        {"wrenches": (np.zeros((200, 6)), np.zeros((199, 6)))},
        {"wrenches": (np.zeros((200, 6)), np.zeros((200, 5)))},
        {"wrenches": (), "arms": np.zeros((0, 3)), "shares": np.empty((2, 0))},
        {"wrenches": (np.zeros((200, 6)),) * 17, "arms": np.zeros((17, 3)), "shares": np.empty((2, 17))},
        {"arms": np.zeros((2, 2))},
        {"fz": np.zeros(199)},
        {"contacts": np.array([[20.0], [100.0]])},
        {"contacts": np.array([[20.0, 80.0]])},
        {"contacts": np.array([[20.0, 80.0], [100.0, 199.5]])},
        {"contacts": np.array([[20.0, 80.0], [100.0, 90.0]])},
        {"contacts": np.array([[20.0, 80.0], [math.nan, 160.0]])},
        {"segments": np.array([[0, 200]])},
        {"segments": np.array([[0], [0]])},
        {"segments": np.array([[0, 200], [0, 201]])},
        {"segments": np.array([[0, 200], [-1, 200]])},
        {"segments": np.array([[30, 200], [0, 200]])},
        {"wanted": np.ones(1, np.uint8)},
        {"sos": np.zeros((1, 5))},
        {"zi": np.zeros((1, 1))},
        {"zi": np.zeros((0, 2))},
        {"margin": -1},
        {"margin": 0},
        {"breaks": np.empty(0)},
        {"baseline": np.zeros((4, 4, 1))},
        {"baseline": np.zeros((3, 4, 2))},
        {"baseline": np.zeros((4, 3, 2))},
        {"origin": np.zeros(2)},
        {"out": np.empty((1, _steps.N_COLUMNS))},
        {"out": np.empty((2, _steps.N_COLUMNS - 1))},
        {"curves": np.empty((1, 5, 101))},
        {"curves": np.empty((2, 3, 101))},
        {"curves": np.empty((2, 5, 100))},
        {"shares": np.empty((1, 2))},
        {"shares": np.empty((2, 1))},
        {"lanes": np.empty((200, 3))},
    ],
)
def test_wrong_shapes_are_refused(change):
    with pytest.raises(ValueError, match=r"."):
        _steps.contact_metrics(**(metric_arguments() | change))


# ---------------------------------------------------------------------------------------------------------------
# Vertical motion


def motion(fz, strides, *, both=1, rate_hz=RATE_HZ, weight_n=WEIGHT_N, g=9.81, hop=1):
    strides = np.array(strides, dtype=float).reshape(-1, 5)
    out = np.full((len(strides), 4), -9.0)
    _steps.vertical_motion(
        fz, strides, np.full(len(strides), both, dtype=np.uint8), rate_hz, weight_n, g, hop, out
    )
    return out


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    start=st.floats(0.0, 40.0),
    parts=st.lists(st.floats(20.0, 200.0), min_size=4, max_size=4),
    hop=st.integers(1, 4),
)
def test_vertical_motion_agrees_with_the_naive_version(seed, start, parts, hop):
    rng = np.random.default_rng(seed)
    stride = start + np.concatenate(([0.0], np.cumsum(parts)))
    stride[2:4], stride[1] = stride[2:4] + 5.0, stride[1]
    stride[4] = max(stride[4], stride[3]) + 5.0
    fz = WEIGHT_N + smooth(rng, 900, 300.0)
    fz.flags.writeable = False
    out = motion(fz, [stride, stride + 3.0], hop=hop)
    for k in (0, 1):
        expected = reference.vertical_motion(fz, stride + 3.0 * k, RATE_HZ, WEIGHT_N, 9.81, hop)
        np.testing.assert_allclose(out[k], expected, rtol=COLUMN_RTOL, atol=COLUMN_ATOL)
    alone = motion(fz, [stride, stride + 3.0], hop=hop, both=0)
    np.testing.assert_array_equal(alone[:, [0, 2]], out[:, [0, 2]])
    assert np.isnan(alone[:, [1, 3]]).all()


@pytest.mark.parametrize("on2", [10.8, 9.0])
def test_a_second_contact_at_the_start_of_the_stride_has_all_of_its_motion(on2):
    fz = WEIGHT_N + smooth(np.random.default_rng(0), 900, 300.0)
    found = motion(fz, [10.6, 100.0, on2, 200.0, 300.0])[0]
    whole = motion(fz, [10.6, 200.0, 301.0, 302.0, 300.0])[0]
    assert found[1] == whole[0]
    assert np.isnan(found[[0, 2]]).all()
    speed_m_s = (motion(fz, [10.5, 200.0, 301.0, 302.0, 300.0])[0, 2] - whole[2]) / (-0.1 / RATE_HZ)
    assert found[3] == pytest.approx(whole[2] + speed_m_s * (on2 - 10.6) / RATE_HZ, abs=COLUMN_ATOL)


@pytest.mark.parametrize("phase_s", [0.0, 0.0003, 0.0007])
@pytest.mark.parametrize(("rate_hz", "hop"), [(1000.0, 1), (2000.0, 2), (10000.0, 10)])
def test_vertical_motion_of_the_half_sine_run(phase_s, rate_hz, hop):
    """Closed form of metrics 4.1: 0.059954 m in contact, 0.072212 m in all."""
    t = np.arange(round(1.6 * rate_hz)) / rate_hz
    starts = 0.2 + phase_s + 0.35 * np.arange(4)
    fz = sum(half_sine(t - s, contact_s=0.25, flight_s=0.10, mass_kg=70.0) for s in starts)
    s = starts * rate_hz
    stride = [s[0], s[0] + 0.25 * rate_hz, s[1], s[1] + 0.25 * rate_hz, s[2]]
    out = motion(fz, [stride], rate_hz=rate_hz, weight_n=70.0 * STANDARD_GRAVITY, g=STANDARD_GRAVITY, hop=hop)
    # Integrated on 1 ms: touch-down falls at 0.5 m/s, so the corner at contact on costs up to some 10 µm.
    corner_m = 2e-5
    np.testing.assert_allclose(out[0, :2], HALF_SINE["vertical_oscillation_m"], rtol=0, atol=corner_m)
    np.testing.assert_allclose(out[0, 2:], HALF_SINE["dy_contact_m"], rtol=0, atol=corner_m)


def test_a_wrong_body_weight_scales_but_does_not_drift():
    """The stride is taken as periodic, so 1 % of weight is 1 % of motion, not a fall of 0.03 m/s a step."""
    fz = WEIGHT_N * (1.0 + np.sin(2 * np.pi * np.arange(900) / 350.0))
    stride = [10.0, 200.0, 360.0, 550.0, 710.0]
    right, wrong = motion(fz, [stride])[0], motion(fz, [stride], weight_n=1.01 * WEIGHT_N)[0]
    np.testing.assert_allclose(wrong, right / 1.01, rtol=COLUMN_RTOL)


@pytest.mark.parametrize(
    "stride",
    [[-2.0, 100.0, 200.0, 300.0, 400.0], [100.0, 200.0, 300.0, 400.0, 500.0], [10.0, 10.5, 11.0, 11.5, 12.0]],
)
def test_strides_beyond_the_record_or_too_short_are_nan(stride):
    assert np.isnan(motion(np.full(500, WEIGHT_N), [stride])).all()


def test_a_gap_makes_the_stride_nan():
    fz = np.full(500, WEIGHT_N)
    fz[250] = np.nan
    assert not np.isfinite(motion(fz, [[100.0, 200.0, 230.0, 330.0, 400.0]])).any()


@pytest.mark.parametrize(
    "change",
    [
        {"strides": np.zeros((2, 4))},
        {"out": np.empty((2, 3))},
        {"out": np.empty((1, 4))},
        {"both": np.ones(1, dtype=np.uint8)},
        {"hop": 0},
        {"hop": -1},
    ],
)
def test_vertical_motion_refuses_wrong_shapes(change):
    arguments = {"fz": np.zeros(100), "strides": np.zeros((2, 5)), "rate_hz": RATE_HZ, "weight_n": WEIGHT_N}
    arguments |= {"both": np.ones(2, dtype=np.uint8), "g": 9.81, "hop": 1, "out": np.empty((2, 4))}
    with pytest.raises(ValueError, match=r"."):
        _steps.vertical_motion(**(arguments | change))
