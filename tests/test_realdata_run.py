"""Two public recordings of running, against their published numbers and another implementation's events."""

import csv
import json

import numpy as np
import pytest
from scipy import signal

import balancecore as bc
from balancecore.contacts import LevelRule, segment
from balancecore.intake import take_in

pytestmark = pytest.mark.realdata

BERTEC = ("JDX_S999_run_0021_f_1.tsv", "JDX_S999_run_0021_f_2.tsv")
BERTEC_HZ = 2400.0
DRIFT_HZ = 300.0
LEVELS = (10.0, 20.0, 25.0, 30.0, 50.0, "auto")

#: Steps a minute and kg of the Bertec run, and how far another honest choice of level may move them.
CADENCE_SPM, CADENCE_TOLERANCE = 175.9, 0.3
MASS_KG, MASS_TOLERANCE = 82.85, 0.2
#: Limb means of the Bertec run at the auto level with a 50 Hz filter: limb at smaller lab x, then the other.
LIMB_MEANS = {
    "tc": (0.2508, 0.2546),
    "peak_active": (2.409, 2.325),
    "imp_v": (0.3399, 0.3415),
    "vilr_50ms": (47.5, 57.9),
    "valr_3_12": (37.6, 49.0),
    "valr_2080_poi13": (37.9, 47.1),
    "valr_0_50ms": (28.2, 27.9),
}
#: Those numbers were computed once, with crossings timed on the 50 Hz copy; a better timing may differ by this.
LIMB_MEAN_TOLERANCE = 0.02
#: Steps with an impact peak at 50 Hz, of 15 and 14.
IMPACT_PEAKS = (5, 14)
#: Offsets of the left and the right belt that the same independent computation saw in flight, N.
FLIGHT_OFFSETS_N = ((-6.5, -4.2), (-15.7, -14.7))
#: Those ranges were read from single flights with a window of their own.
OFFSET_TOLERANCE_N = 0.5
#: The other implementation's filter is of first order and uncorrected and its baseline lies lower: both open
#: contacts earlier and close them later, by up to 8 samples (3.3 ms).
OTHER_BERTEC_SAMPLES = 8
#: With that filter and that baseline our comparison must find their samples; their arithmetic isn't ours.
REPRODUCED_SAMPLES = 1
#: Same filter and almost the same baseline: only the meaning of "first sample" may differ.
OTHER_DRIFT_SAMPLES = 1.0
#: Published mid-flight values are single filtered samples of drift alone.
PUBLISHED_TOLERANCE_N = 1.0
#: Largest offset of the typical flight once the baseline is off.
LEFT_OVER_N = 0.10
#: A flight holds drift and next to no noise in this file; a sample this far from its surroundings is a spike.
SPIKE_N = 20.0
#: Within so many samples a spike is seen by the published tool's 50 Hz filter (its weight there is 3 % or more).
SPIKE_REACH = 3
#: A mean over half a flight (12 to 18 samples) dilutes a spike more than one 50 Hz filtered sample does (3 samples).
SPIKE_SHARE = 0.3


@pytest.fixture(scope="module")
def bertec(data_dir):
    return bc.read([data_dir / "treadmill_run_bertec" / name for name in BERTEC])


@pytest.fixture(scope="module")
def bertec_events(data_dir):
    return json.loads((data_dir / "treadmill_run_bertec" / "events_other_implementation.json").read_text())


@pytest.fixture(scope="module")
def bertec_result(bertec):
    return bc.analyze_gait(bertec, n_boot=0)


@pytest.fixture(scope="module")
def drift_fz(data_dir):
    return np.loadtxt(data_dir / "treadmill_run_drift" / "custom_drift_S001runT25.csv")


@pytest.fixture(scope="module")
def drift_plate(drift_fz):
    trial = bc.Trial.from_wrenches([drift_fz], rate_hz=DRIFT_HZ)
    found = segment(
        take_in(trial),
        mass_kg=None,
        level=LevelRule(),
        cutoff_hz=50.0,
        timing_cutoff_hz=None,
        baseline="aerial_pchip",
        gait="auto",
    )
    return found.virtual[0]


@pytest.fixture(scope="module")
def published(data_dir):
    """Sample and value of each mid-flight force before the original authors' correction."""
    with open(data_dir / "treadmill_run_drift" / "aerial_plots_data.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["signal"] == "original"]
    return np.array([int(r["aerial_loc"]) for r in rows]), np.array([float(r["aerial_val"]) for r in rows])


# ---------------------------------------------------------------------------------------------------------------
# treadmill_run_bertec: split belt, raw, 2400 Hz


@pytest.mark.parametrize("level", LEVELS)
def test_bertec_contacts_do_not_depend_on_the_level(bertec, level):
    result = bc.analyze_gait(bertec, level_n=level, n_boot=0)
    flags = result.steps["flags"]
    assert (result.quality["contacts"], result.quality["complete"]) == (30, 29)
    assert np.flatnonzero(flags & bc.Flag.INCOMPLETE_END).tolist() == [29]
    assert not (flags & (bc.Flag.SHORT_CONTACT | bc.Flag.LONG_CONTACT | bc.Flag.MERGED_GLITCH)).any()
    assert result.quality["gait"]["used"] == "run"
    assert abs(result.quality["cadence_spm"] - CADENCE_SPM) < CADENCE_TOLERANCE
    weight = result.quality["body_weight"]
    assert weight["source"] == "whole_strides"
    assert weight["whole_strides"] == 14
    assert abs(weight["mass_kg"] - MASS_KG) < MASS_TOLERANCE
    labels = "".join(result.steps["side"])
    assert labels in ("AB" * 15, "BA" * 15)
    vote = result.quality["sides"]["vote"]
    assert (vote["voters"], vote["share"]) == (27, 1.0)


def test_bertec_sides_follow_the_one_that_is_told(bertec, bertec_events):
    left = bc.analyze_gait(bertec, first_side="L", n_boot=0)
    right = bc.analyze_gait(bertec, first_side="R", n_boot=0)
    assert "".join(left.steps["side"]) == bertec_events["foot_labels_from_heel_markers"]
    assert "".join(right.steps["side"]) == "RL" * 15
    vote = left.quality["sides"]["vote"]
    assert (vote["voters"], vote["share"], left.quality["sides"]["ambiguous"]) == (27, 1.0, 0)


@pytest.mark.parametrize("timing_hz", [None, 50.0])
def test_bertec_limb_means(bertec, timing_hz):
    result = bc.analyze_gait(bertec, timing_cutoff_hz=timing_hz, n_boot=0)
    assert result.limbs == ("A", "B")
    assert result.quality["level_n"] == [20.0]
    for metric, wanted in LIMB_MEANS.items():
        found = [result.summary[metric][limb] for limb in result.limbs]
        assert [s.n for s in found] == [15, 14]
        np.testing.assert_allclose([s.mean for s in found], wanted, rtol=LIMB_MEAN_TOLERANCE, err_msg=metric)
    assert tuple(result.summary["peak_impact"][limb].n for limb in result.limbs) == IMPACT_PEAKS
    assert (
        result.quality["poi_rule"] == "13pct"
    )  # one limb has too few impact peaks, so neither is measured by them


def test_bertec_offsets_in_flight(bertec_result):
    baseline = bertec_result.quality["baseline"][0]
    assert baseline["method"] == "aerial_pchip"
    for belt, (low, high) in enumerate(FLIGHT_OFFSETS_N):
        assert low - OFFSET_TOLERANCE_N < baseline["fz_min_n"][belt]
        assert baseline["fz_max_n"][belt] < high + OFFSET_TOLERANCE_N


@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
def test_bertec_unloaded_belt_has_no_phantom_contact(data_dir, mass_kg):
    """Its reading swings from -38 to +73 N, well above the level."""
    belt = bc.read(data_dir / "treadmill_run_bertec" / BERTEC[0])
    assert np.ptp(belt.plates[0].wrench[:, 2]) > 100.0
    result = bc.analyze_gait(belt, mass_kg=mass_kg, n_boot=0)
    assert len(result.steps) == 0
    assert result.quality["trial_flags"] == ["BW_SUSPECT"]
    assert any("unloaded" in warning for warning in result.quality["warnings"])


@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
def test_bertec_loaded_belt_alone_gives_the_same_contacts(data_dir, bertec_result, mass_kg):
    belt = bc.read(data_dir / "treadmill_run_bertec" / BERTEC[1])
    result = bc.analyze_gait(belt, mass_kg=mass_kg, n_boot=0)
    assert (result.quality["contacts"], result.quality["complete"]) == (30, 29)
    # The other belt's vibration is the only difference
    np.testing.assert_allclose(result.steps["t_on"], bertec_result.steps["t_on"], atol=0.005)


def samples_at_or_above(result):
    """First sample of each contact, and the first after it, as an integer detector counts."""
    return np.ceil(result.steps["t_on"] * BERTEC_HZ), np.ceil(result.steps["t_off"] * BERTEC_HZ)


def test_bertec_events_lie_inside_the_other_implementations(bertec, bertec_events):
    result = bc.analyze_gait(bertec, level_n=30.0, timing_cutoff_hz=50.0, n_boot=0)
    on, off = samples_at_or_above(result)
    later, earlier = on - bertec_events["on"], (bertec_events["off"] - off)[:-1]
    assert later.min() > 0
    assert earlier.min() > 0
    assert later.max() <= OTHER_BERTEC_SAMPLES
    assert earlier.max() <= OTHER_BERTEC_SAMPLES


def test_bertec_events_of_the_other_implementation_come_from_its_filter_and_baseline(bertec, bertec_events):
    seconds = np.arange(len(bertec)) / BERTEC_HZ
    offset = sum(np.polyval(bertec_events[f"drift_poly_FP{k}_Fz"], seconds) for k in (1, 2))
    total = sum(plate.wrench[:, 2] for plate in bertec.plates) - offset
    b, a = signal.butter(1, 50.0, fs=BERTEC_HZ)
    loaded = signal.filtfilt(b, a, total) >= 30.0
    edges = np.diff(loaded.astype(int), prepend=0)
    on = np.flatnonzero(edges == 1)
    np.testing.assert_allclose(on[:30], bertec_events["on"], atol=REPRODUCED_SAMPLES)
    off = np.flatnonzero(edges == -1)
    np.testing.assert_allclose(off[:29], bertec_events["off"][:29], atol=REPRODUCED_SAMPLES)


# ---------------------------------------------------------------------------------------------------------------
# treadmill_run_drift: one vertical force, 300 Hz, drift of 0..112.6 N


def test_drift_needs_no_level_from_the_user(drift_fz):
    result = bc.analyze_gait(drift_fz, rate_hz=DRIFT_HZ, n_boot=0)
    flags = result.steps["flags"]
    assert (result.quality["contacts"], result.quality["complete"]) == (79, 77)
    assert np.flatnonzero(flags & bc.Flag.INCOMPLETE_START).tolist() == [0]
    assert np.flatnonzero(flags & bc.Flag.INCOMPLETE_END).tolist() == [78]
    assert (flags & bc.Flag.LOW_FS).all()
    assert result.quality["level_n"] == [20.0]
    assert any("drifts by 112 N" in warning for warning in result.quality["warnings"])


def spikes_near(fz, location):
    """Whether raw samples within the filter's reach stand out of the flight around them."""
    flight = fz[location - 12 : location + 13]
    near = fz[location - SPIKE_REACH : location + SPIKE_REACH + 1]
    return bool((np.abs(near - np.median(flight)) > SPIKE_N).any())


def test_drift_baseline_agrees_with_the_published_values(drift_fz, drift_plate, published):
    """Three published values rest on isolated 30 N spikes, which one filtered sample can't tell from drift."""
    location, value = published
    assert len(location) == 76
    spiky = np.array([spikes_near(drift_fz, k) for k in location])
    assert location[spiky].tolist() == [1020, 1599, 7680]
    difference = np.abs(drift_plate.baseline.at(location.astype(float))[0, 2] - value)
    assert difference[~spiky].max() < PUBLISHED_TOLERANCE_N
    # The smooth trend of the flights around says which of the two is off there
    for k in np.flatnonzero(spiky):
        around = [j for j in range(k - 4, k + 5) if not spiky[j]]
        trend = np.polynomial.Polynomial.fit(location[around], value[around], 2)(location[k])
        ours = drift_plate.baseline.at(location[[k]].astype(float))[0, 2, 0]
        assert abs(value[k] - trend) > 2 * PUBLISHED_TOLERANCE_N
        assert abs(ours - trend) < SPIKE_SHARE * abs(value[k] - trend)


def test_drift_is_gone_from_the_flights(drift_fz, drift_plate):
    corrected = drift_fz - drift_plate.baseline.at(np.arange(len(drift_fz), dtype=float))[0, 2]
    off, on = drift_plate.contacts.samples[:-1, 1], drift_plate.contacts.samples[1:, 0]
    flights = [
        corrected[int(np.ceil(a + 0.25 * (b - a))) : int(b - 0.25 * (b - a)) + 1]
        for a, b in zip(off, on, strict=True)
    ]
    assert len(flights) == 78
    assert abs(np.median([flight.mean() for flight in flights])) < LEFT_OVER_N
    # A flight with a spike has another mean than its neighbours; all others must be level, one by one
    clean = [flight for flight in flights if np.ptp(flight) < SPIKE_N]
    assert len(clean) >= 70
    assert max(abs(flight.mean()) for flight in clean) < PUBLISHED_TOLERANCE_N


def test_drift_events_of_the_other_implementation(data_dir, drift_fz):
    path = data_dir / "treadmill_run_drift" / "events_other_implementation.json"
    other = json.loads(path.read_text())
    found = bc.find_contacts(drift_fz, rate_hz=DRIFT_HZ, level_n=25.0, timing_cutoff_hz=50.0)
    inner = found.complete
    for times, name in ((found.t_on, "begin25_detrended"), (found.t_off, "end25_detrended")):
        assert len(other[name]) == inner.sum() == 77
        assert np.abs(times[inner] * DRIFT_HZ - other[name]).max() < OTHER_DRIFT_SAMPLES
