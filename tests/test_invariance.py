"""What must not change the answer, and what must change it in one known way."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore import intake
from balancecore.simulate import RIGHT, Drift, WalkLimb, treadmill

MASS_KG = 70.0
LEVEL_BW = 0.04

#: Scaling and shifting change the rounding of every sum and nothing else.
ROUNDING = 1e-7
#: Steps cut out by whole frames are the same steps; body weight and baseline rest on other ends of the record.
RESAMPLED_MS = 0.1
RESAMPLED_VILR_SHARE = 0.005
#: Camber is the tilt of the trial's mean force, taken on blocks of frames that begin with the record.
CAMBER_BW = 1e-6
CAMBERED = {"imp_med", "imp_lat", "imp_ml_net", "peak_med", "peak_lat"}
#: A constant offset is seen exactly in every flight; only the time at which the filter settles differs.
OFFSET_SHARE = 1e-6
OFFSET_ABSOLUTE = 1e-6


#: 3 N of noise in one of some 28 frames of a window is 0.1 N, 2e-4 BW; loading rates take that over 15 ms.
ONE_FRAME = 2e-3
ONE_FRAME_RATE = 0.02
#: A steepest slope is looked for among whole samples: an event that lies beside one may take one more or less, which
#: happens to few steps.
BESIDE_A_SAMPLE = 1
STIFFNESS = {"k_vert", "k_vert_sine", "k_leg", "k_leg_sine"}


@cache
def run(**options):
    return treadmill(n_steps=24, noise_n=3.0, step_jitter=0.02, seed=5, **options)


@cache
def plain_result():
    return bc.analyze_gait(run().trial, mass_kg=MASS_KG, level_bw=LEVEL_BW, n_boot=0)


def remade(trial, change, sides=None, origins=None):
    """The trial with every wrench changed."""
    return bc.Trial.from_wrenches(
        [change(plate.wrench.copy()) for plate in trial.plates],
        rate_hz=trial.rate_hz,
        sides=sides or [plate.side for plate in trial.plates],
        origins_m=np.array([plate.origin_m for plate in trial.plates]) if origins is None else origins,
        axes=("x", "y", "z"),
    )


def assert_same(found, wanted, *, rtol, atol, but=(), shift_s=0.0):
    assert len(found) == len(wanted)
    for column in wanted.columns:
        if column in but:
            continue
        a, b = wanted[column], found[column]
        if a.dtype.kind != "f":
            assert a.tolist() == b.tolist(), column
            continue
        moved = shift_s if column in ("t_on", "t_off") else 0.0
        np.testing.assert_allclose(b, a + moved, rtol=rtol, atol=atol, err_msg=column)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.35, 2.5))
def test_a_heavier_runner_has_the_same_normalised_steps(factor):
    """Not for k in kN/m: stiffness grows with the runner. The path of the pressure needs a force in N."""
    trial = remade(run().trial, lambda w: w * factor)
    result = bc.analyze_gait(trial, mass_kg=MASS_KG * factor, level_bw=LEVEL_BW, n_boot=0)
    wanted = plain_result()
    stiff = {"k_vert", "k_vert_sine", "k_leg", "k_leg_sine"}
    pressure = {"cop_range_x", "cop_range_y", "cop_path"}
    assert_same(result.steps, wanted.steps, rtol=ROUNDING, atol=ROUNDING, but=stiff | pressure)
    np.testing.assert_allclose(result.steps["k_vert"], wanted.steps["k_vert"] * factor, rtol=ROUNDING)
    for row in wanted.symmetry:
        if row.metric not in pressure:
            np.testing.assert_allclose(result.symmetry[row.metric].si, row.si, rtol=1e-5, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 2000))
@example(frames=1)
def test_a_later_start_shifts_the_events_alone(frames):
    """The record before the first contact is longer, by repeating its unloaded first frames backwards.

    The first, rough round looks at means of three frames: other shifts than a multiple put other frames together,
    which can move the edge of an unloaded window, and with it the offset, by one noisy frame.
    """
    quiet = 400
    tile = -(-frames // quiet)

    def longer(w):
        head = np.concatenate([w[:quiet][:: (-1) ** (k + 1)] for k in range(tile, 0, -1)])
        return np.concatenate((head[len(head) - frames :], w))

    trial = remade(run().trial, longer)
    result = bc.analyze_gait(trial, mass_kg=MASS_KG, level_bw=LEVEL_BW, n_boot=0)
    shift = frames / 1000.0
    wanted = plain_result().steps
    if frames % 3:
        rates = {c for c, unit in wanted.units.items() if unit in ("BW/s", "%")}
        assert_same(result.steps, wanted, rtol=0, atol=ONE_FRAME, shift_s=shift, but=STIFFNESS | rates)
        for column in rates:
            moved = np.abs(result.steps[column] - wanted[column]) > ONE_FRAME_RATE
            assert np.array_equal(np.isnan(result.steps[column]), np.isnan(wanted[column])), column
            assert moved.sum() <= BESIDE_A_SAMPLE, column
        return
    assert_same(result.steps, wanted, rtol=ROUNDING, atol=ROUNDING, but=CAMBERED, shift_s=shift)
    for column in CAMBERED:
        np.testing.assert_allclose(result.steps[column], wanted[column], rtol=0, atol=CAMBER_BW)


@pytest.mark.parametrize("swap", ["labels", "mirror"])
def test_swapping_left_and_right_turns_every_index_round(swap):
    trial, wanted = run().trial, plain_result()
    origins = np.array([plate.origin_m for plate in trial.plates])
    if swap == "mirror":
        mirrored = remade(
            trial, lambda w: w * [-1, 1, 1, 1, -1, -1], sides=["R", "L"], origins=origins * [-1, 1, 1]
        )
    else:
        mirrored = remade(trial, lambda w: w, sides=["R", "L"], origins=origins * [-1, 1, 1])
    result = bc.analyze_gait(mirrored, mass_kg=MASS_KG, level_bw=LEVEL_BW, n_boot=0)
    turned = {"L": "R", "R": "L"}
    assert result.steps["side"].tolist() == [turned[s] for s in wanted.steps["side"]]
    compared = 0
    for row in wanted.symmetry:
        # Swapped labels alone turn medial into lateral as well
        if swap == "labels" and row.metric in ("imp_med", "imp_lat", "peak_med", "peak_lat"):
            continue
        if np.isfinite(row.si):
            np.testing.assert_allclose(
                result.symmetry[row.metric].si, -row.si, rtol=ROUNDING, atol=ROUNDING, err_msg=row.metric
            )
            compared += 1
    assert compared >= 20
    assert abs(wanted.symmetry["vilr"].si) > 10


def test_half_the_rate_gives_the_same_answer():
    """Every second frame of one 2000 Hz record, of two unlike limbs."""
    fast = treadmill(n_steps=20, rate_hz=2000.0)
    slow = bc.Trial.from_wrenches(
        [plate.wrench[::2].copy() for plate in fast.trial.plates],
        rate_hz=1000.0,
        sides=["L", "R"],
        origins_m=np.array([plate.origin_m for plate in fast.trial.plates]),
        axes=("x", "y", "z"),
    )
    for cutoff_hz in (50.0, None):
        a = bc.analyze_gait(fast.trial, mass_kg=MASS_KG, cutoff_hz=cutoff_hz, n_boot=0).steps
        b = bc.analyze_gait(slow, mass_kg=MASS_KG, cutoff_hz=cutoff_hz, n_boot=0).steps
        assert len(a) == len(b) == 20
        assert np.abs(a["tc"] - b["tc"]).max() * 1e3 < RESAMPLED_MS
        assert np.abs(b["vilr"] / a["vilr"] - 1).max() < RESAMPLED_VILR_SHARE


@settings(max_examples=15, deadline=None)
@given(offset=st.floats(-19.0, 19.0), belt=st.integers(0, 1))
def test_an_offset_below_the_level_goes_with_the_baseline(offset, belt):
    sim = run()
    trial = bc.Trial.from_wrenches(
        [w + (offset if k == belt else 0.0) * np.eye(6)[2] for k, w in enumerate(sim.wrenches)],
        rate_hz=1000.0,
        sides=["L", "R"],
        origins_m=np.array([plate.origin_m for plate in sim.trial.plates]),
        axes=("x", "y", "z"),
    )
    result = bc.analyze_gait(trial, mass_kg=MASS_KG, level_bw=LEVEL_BW, n_boot=0)
    assert_same(result.steps, plain_result().steps, rtol=OFFSET_SHARE, atol=OFFSET_ABSOLUTE)


# ---------------------------------------------------------------------------------------------------------------
# Provenance

ASKED = {
    "defaults": {},
    "runner": {
        "mass_kg": 70.0,
        "speed_m_s": 3.0,
        "leg_length_m": 0.9,
        "level_n": 25.0,
        "timing_cutoff_hz": 50.0,
        "first_side": "L",
        "poi": "13pct",
        "seed": 7,
    },
    "raw": {"mass_kg": np.float64(70.0), "cutoff_hz": None, "baseline": "linear", "gait": "run", "n_boot": 0},
    "uphill": {"mass_kg": 70, "incline_deg": 5.0, "level_bw": 0.05, "n_boot": np.int64(300)},
}


def as_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("asked", ASKED)
def test_provenance_repeats_the_analysis(asked):
    incline = ASKED[asked].get("incline_deg", 0.0)
    trial = treadmill(n_steps=20, noise_n=3.0, seed=6, step_jitter=0.02, incline_deg=incline).trial
    result = bc.analyze_gait(trial, **{"n_boot": 200} | ASKED[asked])
    again = bc.analyze_gait(trial, **as_json(result.provenance)["options"])
    for column in result.steps.columns:
        np.testing.assert_array_equal(again.steps[column], result.steps[column], err_msg=column)
    assert as_json(again.symmetry.to_dict()) == as_json(result.symmetry.to_dict())
    assert (again.quality, again.provenance) == (result.quality, result.provenance)


def test_signals_side_by_side_in_a_block_do_not_touch():
    room = intake.Room(10)
    signals = [room.take(n) for n in (7, 5, 0, 8, 3, 40)]  # the block has room for twice ten
    assert [len(s) for s in signals] == [7, 5, 0, 8, 3, 40]
    assert signals[0].base is signals[3].base is not None
    assert signals[4].base is signals[5].base is None
    for k, signal in enumerate(signals):
        signal[:] = k
    for k, signal in enumerate(signals):
        assert set(signal.tolist()) <= {float(k)}


@pytest.mark.parametrize("largest", [0, 30_000])
@pytest.mark.parametrize("gait", ["run", "walk"])
def test_signals_that_share_no_block_of_memory_give_the_same(gait, largest, monkeypatch):
    """As those of long trials do."""
    trial = treadmill(gait, n_steps=16, noise_n=3.0, seed=6, step_jitter=0.02, rate_hz=2000.0).trial
    shared = bc.analyze_gait(trial, n_boot=100)
    monkeypatch.setattr(intake, "LARGEST_ROOM", largest)
    apart = bc.analyze_gait(trial, n_boot=100)
    for column in shared.steps.columns:
        np.testing.assert_array_equal(apart.steps[column], shared.steps[column], err_msg=column)
    assert as_json(apart.symmetry.to_dict()) == as_json(shared.symmetry.to_dict())
    assert apart.quality == shared.quality


def test_provenance_of_an_array_holds_its_rate():
    fz = sum(w[:, 2] for w in run().wrenches)
    result = bc.analyze_gait(fz, rate_hz=1000.0, n_boot=0)
    again = bc.analyze_gait(fz, **result.provenance["options"])
    np.testing.assert_array_equal(again.steps["vilr"], result.steps["vilr"])
    assert again.provenance == result.provenance


def awkward():
    """Trials whose results hold NaN, flags, rejections, gaps and nothing at all."""
    sim = treadmill(n_steps=12, noise_n=3.0, seed=1)
    gap = [w.copy() for w in sim.wrenches]
    gap[0][1500:1600] = np.nan
    yield "run", sim.trial, {}
    yield "gap", bc.Trial.from_wrenches(gap, rate_hz=1000.0, sides=["L", "R"]), {}
    yield "unloaded", bc.Trial.from_wrenches([np.zeros((3000, 6))], rate_hz=1000.0), {}
    yield "one force, no mass", bc.Trial.from_wrenches([sim.wrenches[0][:2000, 2]], rate_hz=1000.0), {}
    yield "one step", treadmill(n_steps=1).trial, {"mass_kg": 70.0}
    walk = treadmill("walk", n_steps=20, left=WalkLimb(contact_s=0.7), crossovers=(7,), noise_n=3.0)
    yield "walk", walk.trial, {"mass_kg": 70.0}
    yield "drift", treadmill(n_steps=20, left=RIGHT, drift_n=Drift(linear_n=60.0)).trial, {"speed_m_s": 3.0}


@pytest.mark.parametrize(
    ("name", "trial", "options"), list(awkward()), ids=lambda v: v if type(v) is str else ""
)
def test_everything_is_json(name, trial, options):
    result = bc.analyze_gait(trial, n_boot=100, **options)
    for part in (result.provenance, result.quality, result.to_dict()):
        assert as_json(part) == part  # no tuple, no NumPy scalar, no NaN
