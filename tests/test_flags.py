"""Flags: values that never change, a scenario for every bit, and silence on clean data."""

import numpy as np
import pytest

import balancecore as bc
from balancecore.flags import Flag
from balancecore.simulate import Limb, treadmill

#: Bits of metrics section 0, in order, and what was appended since. Never edit a line: append.
ORDER = (
    "INCOMPLETE_START",
    "INCOMPLETE_END",
    "SHORT_CONTACT",
    "LONG_CONTACT",
    "MERGED_GLITCH",
    "NO_IMPACT_PEAK",
    "IP_AT_EDGE",
    "SIDE_AMBIGUOUS",
    "NON_ALTERNATING",
    "CROSSOVER",
    "PLATE_EDGE",
    "SATURATED",
    "NAN_IN_WINDOW",
    "DRIFT_SUSPECT",
    "SPEED_UNSTEADY",
    "LOW_FS",
    "FILTER_EDGE",
    "BW_SUSPECT",
    "COP_LOW_FORCE",
    "OUTLIER_STEP",
    "GAP",
    "COARSE_TIMING",
    "PARTIAL_HIT",
    "TWO_FEET",
    "JOINED_PLATES",
)
STEPS = 30
RATE_HZ = 1000.0


def run(**options):
    return treadmill(**({"n_steps": STEPS, "noise_n": 2.0, "seed": 11} | options))


def analyse(data, **options):
    if not isinstance(data, bc.Trial):
        options.setdefault("rate_hz", RATE_HZ)
    return bc.analyze_gait(data, **({"mass_kg": 70.0, "n_boot": 0} | options))


def vertical(sim):
    return np.sum([w[:, 2] for w in sim.wrenches], axis=0)


def at(time_s):
    return int(time_s * RATE_HZ)


def rows(result, flag):
    return np.flatnonzero(result.steps["flags"] & int(flag)).tolist()


def everyone(result):
    return list(range(len(result.steps)))


def test_values_are_fixed():
    assert [(f.name, int(f)) for f in Flag] == [(name, 1 << bit) for bit, name in enumerate(ORDER)]


@pytest.mark.parametrize(("gait", "belts"), [("run", "split"), ("run", "single"), ("walk", "split")])
@pytest.mark.parametrize("noise_n", [0.0, 2.0])
def test_clean_data_set_no_flag(gait, belts, noise_n):
    result = analyse(treadmill(gait, n_steps=STEPS, belts=belts, noise_n=noise_n, seed=11).trial)
    expected = Flag.NO_IMPACT_PEAK if gait == "walk" else Flag(0)
    assert [Flag(f) for f in result.steps["flags"].tolist()] == [expected] * STEPS


def test_incomplete_start_and_end():
    fz = vertical(run())
    loaded = np.flatnonzero(fz > 1000.0)
    result = analyse(fz[loaded[0] : loaded[-1]])
    assert rows(result, Flag.INCOMPLETE_START) == [0]
    assert rows(result, Flag.INCOMPLETE_END) == [STEPS - 1]
    assert rows(result, Flag.FILTER_EDGE) == [0, STEPS - 1]


def test_filter_edge_without_being_cut():
    sim = run()
    fz = vertical(sim)
    on = sim.truth()["t_on"][0]
    near = analyse(fz[at(on - 0.02) :])  # within 1.5/50 Hz of the start
    assert rows(near, Flag.FILTER_EDGE) == [0]
    assert not rows(near, Flag.INCOMPLETE_START)
    far = analyse(fz[at(on - 0.05) :])
    assert not rows(far, Flag.FILTER_EDGE)


def test_short_contacts_are_rejected_with_the_name_of_the_flag():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    fz[at(truth["t_on"][8] + 0.05) : at(truth["t_off"][8] + 0.01)] = 0.0
    result = analyse(fz)
    assert len(result.steps) == STEPS - 1
    (rejected,) = result.quality["rejected"]
    assert rejected["reason"].startswith("SHORT_CONTACT")
    assert rejected["t_on"] == pytest.approx(truth["t_on"][8], abs=0.01)


def pulses(width_s, rate_hz):
    t = np.arange(int(11.5 * rate_hz)) / rate_hz
    phase = (t - 0.5) % 0.35
    return np.where((t > 0.5) & (phase < width_s), 2500.0 * np.sin(np.pi * phase / width_s), 0.0)


def test_contacts_that_are_long_enough_on_the_detection_copy_only():
    result = analyse(pulses(0.0685, RATE_HZ), gait="run")
    assert (result.steps["tc"] < 0.07).all()
    assert rows(result, Flag.SHORT_CONTACT) == everyone(result)
    assert result.quality["used"] == 0


@pytest.mark.parametrize("rate_hz", [200.0, 300.0, 600.0, 1000.0, 1200.0, 2400.0])
def test_the_shortest_contact_is_a_whole_number_of_samples(rate_hz):
    # 0.07 * 2400 is 168.00000000000003 in floating point, which is not 169 samples.
    fz = np.zeros(int(8 * rate_hz))
    samples = round(0.07 * rate_hz)
    for start in np.arange(rate_hz, 7 * rate_hz, 0.35 * rate_hz).astype(int).tolist():
        fz[start : start + samples] = 1500.0
    contacts = bc.find_contacts(fz, rate_hz=rate_hz, mass_kg=70.0, cutoff_hz=None, gait="run")
    assert len(contacts) == len(np.arange(rate_hz, 7 * rate_hz, 0.35 * rate_hz))


def test_long_contact():
    limb = Limb(contact_s=0.55, flight_after_s=0.1, impact_dv_m_s=0.5)
    sim = run(left=limb)
    result = analyse(sim.trial, gait="run")
    assert rows(result, Flag.LONG_CONTACT) == list(range(0, STEPS, 2))


def test_merged_glitch():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    hole = at(truth["t_on"][5] + 0.1)
    fz[hole : hole + 8] = 0.0  # a dropout of 8 ms
    result = analyse(fz, cutoff_hz=None)
    assert rows(result, Flag.MERGED_GLITCH) == [5]
    assert len(result.steps) == STEPS


def test_no_impact_peak():
    sim = run(right=Limb(shape="half_sine"))
    result = analyse(sim.trial)
    assert rows(result, Flag.NO_IMPACT_PEAK) == list(range(1, STEPS, 2))
    assert np.isnan(result.steps["valr_2080t"][1::2]).all()
    assert np.isfinite(result.steps["valr_2080_poi13"]).all()


def test_impact_peak_at_the_edge_of_its_window():
    """A bump that comes half a millisecond later in each contact leaves the window of a quarter of the contact."""
    limb = Limb(shape="half_sine")
    sim = run(left=limb, right=limb, noise_n=0.0, belts="single")
    fz = np.array(vertical(sim))
    t = np.arange(len(fz)) / RATE_HZ
    for i, step in enumerate(sim.steps):
        phase = (t - step.t0 - 0.055 - 0.0005 * i) / 0.008
        fz += np.where(np.abs(phase) < 1.0, 400.0 * (1.0 + np.cos(np.pi * phase)), 0.0)
    result = analyse(fz, cutoff_hz=None)
    edge, without = rows(result, Flag.IP_AT_EDGE), rows(result, Flag.NO_IMPACT_PEAK)
    assert without == list(range(without[0], STEPS))
    assert edge
    assert edge == list(range(edge[0], without[0])), "the last peaks before the window closes, and only those"
    assert edge[0] > 5


def test_ambiguous_sides():
    crossing = Limb(cop_x_m=0.0)
    sim = run(belts="single", left=crossing, right=crossing, noise_n=10.0)
    result = analyse(sim.trial)
    assert rows(result, Flag.SIDE_AMBIGUOUS) == everyone(result)


def test_two_contacts_of_one_side_in_a_row():
    result = analyse(run(missed=(8,)).trial)
    assert rows(result, Flag.NON_ALTERNATING) == [8]


def test_crossover():
    result = analyse(treadmill("walk", n_steps=STEPS, noise_n=2.0, seed=11, crossovers=(10,)).trial)
    assert 1 <= len(rows(result, Flag.CROSSOVER)) <= 3
    assert set(rows(result, Flag.CROSSOVER)) <= {9, 10, 11}


def test_plate_edge():
    left, right = Limb(cop_x_m=0.49), Limb(cop_x_m=0.05)
    result = analyse(run(left=left, right=right).trial)
    assert rows(result, Flag.PLATE_EDGE) == list(range(0, STEPS, 2))


def test_saturated():
    fz = np.minimum(vertical(run()), 1760.0)
    result = analyse(fz)
    hit = rows(result, Flag.SATURATED)
    assert hit
    for row in hit:
        assert result.steps["peak_active"][row] == pytest.approx(1760.0 / 686.4655, abs=0.01)


def test_value_missing_in_the_window():
    result = analyse(run(n_steps=2).trial, mass_kg=None)
    assert rows(result, Flag.NAN_IN_WINDOW) == [0, 1]
    assert rows(result, Flag.BW_SUSPECT) == [0, 1]


def test_times_that_end_in_a_gap_say_so():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    flight = at(0.5 * (truth["t_off"][10] + truth["t_on"][11]))
    fz[flight : flight + 2] = np.nan
    result = analyse(fz)
    assert rows(result, Flag.GAP) == []
    assert rows(result, Flag.NAN_IN_WINDOW) == [9, 10]  # a stride and a step
    assert np.flatnonzero(np.isnan(result.steps["t_step"])).tolist() == [10, STEPS - 1]
    assert result.quality["used"] == STEPS


def test_a_signal_recorded_twice_is_reported():
    fz = vertical(run())
    once, twice = analyse(fz), analyse(np.concatenate((fz, fz)))
    assert not any("sample for sample" in w for w in once.quality["warnings"])
    assert any("sample for sample" in w for w in twice.quality["warnings"])


def test_drift_suspect():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    # Half of the force of one contact is missing: impulse and flights no longer agree
    a, b = at(truth["t_on"][12]), at(truth["t_off"][12])
    fz[a:b] *= 0.6
    result = analyse(fz)
    assert rows(result, Flag.DRIFT_SUSPECT) == [12]


def test_drift_suspect_where_less_than_asked_could_be_removed():
    fz = vertical(run(n_steps=2))
    loaded = np.flatnonzero(fz > 500.0)
    one_window = fz[loaded[0] : loaded[-1]]
    result = analyse(one_window)
    assert "constant" in result.quality["baseline"][0]["note"]
    assert rows(result, Flag.DRIFT_SUSPECT) == everyone(result)


def test_unsteady_speed():
    slow, fast = run(), run(left=Limb(contact_s=0.22), right=Limb(contact_s=0.22))
    wrenches = [
        np.concatenate((a[:-450], b[450:])) for a, b in zip(slow.wrenches, fast.wrenches, strict=True)
    ]
    trial = bc.Trial.from_wrenches(wrenches, rate_hz=RATE_HZ, sides=["L", "R"])
    hit = rows(analyse(trial), Flag.SPEED_UNSTEADY)
    assert hit
    assert all(STEPS - 7 <= row <= STEPS + 7 for row in hit)


@pytest.mark.parametrize("rate_hz", [400.0, 500.0])
def test_low_rate(rate_hz):
    result = analyse(run(rate_hz=rate_hz).trial)
    assert rows(result, Flag.LOW_FS) == (everyone(result) if rate_hz < 500.0 else [])


def test_doubtful_body_weight():
    result = analyse(run().trial, mass_kg=72.0)  # 2.9 % more than the strides carry
    assert rows(result, Flag.BW_SUSPECT) == everyone(result)
    assert not rows(analyse(run().trial, mass_kg=71.0), Flag.BW_SUSPECT)  # 1.4 %


def test_force_too_low_for_a_centre_of_pressure():
    """Contacts that were found elsewhere, on a plate that hardly feels them."""
    wrench = np.sum(run(belts="single").wrenches, axis=0)
    contacts = bc.find_contacts(wrench[:, 2], rate_hz=RATE_HZ)
    options = {"rate_hz": RATE_HZ, "mass_kg": 70.0}
    loaded = bc.step_metrics(wrench, contacts, **options)
    assert not (loaded["flags"] & int(Flag.COP_LOW_FORCE)).any()
    light = bc.step_metrics(0.02 * wrench, contacts, **options)
    assert (light["flags"] & int(Flag.COP_LOW_FORCE)).all()
    assert np.isnan(light["cop_range_x"]).all()


def test_outlier_step():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    fz[at(truth["t_on"][12]) : at(truth["t_off"][12]) + 1] *= 1.05
    assert rows(analyse(fz), Flag.OUTLIER_STEP) == [12]


def test_gap():
    sim = run()
    fz, truth = vertical(sim), sim.truth()
    fz[at(truth["t_on"][12] + 0.1)] = np.nan
    result = analyse(fz)
    assert rows(result, Flag.GAP) == [12, 13], "the two halves of the contact, and nobody else"


def test_coarse_timing():
    result = analyse(run().trial, cutoff_hz=8.0)
    assert rows(result, Flag.COARSE_TIMING), (
        "crossings on the 8 Hz copy are far from those on the 200 Hz copy"
    )
    assert not rows(analyse(run().trial, cutoff_hz=8.0, timing_cutoff_hz=8.0), Flag.COARSE_TIMING)
