"""The design of the low-pass: what its cut-off means, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from balancecore.errors import DataError
from balancecore.filters import corrected_cutoff_hz, lowpass, zero_phase

# Coefficients were written with all digits; two ways to compute a tangent differ in the last ones.
PRINTED = 1e-13
# Gains come from the same formulas as the design: rounding only.
GAIN_ROUNDING = 1e-9
#: 2nd order, 50 Hz for both passes together, at two sampling rates (metrics 1.12).
BUTTER_50 = {
    300.0: {
        "design_hz": 59.569044005487704,
        "b": [0.20425381434740403, 0.40850762869480806, 0.20425381434740403],
        "a": [1.0, -0.38023185759339045, 0.19724711498300654],
    },
    1000.0: {
        "design_hz": 62.04504363048443,
        "b": [0.02956907471621274, 0.05913814943242548, 0.02956907471621274],
        "a": [1.0, -1.4581038604613412, 0.5763801593261921],
    },
}


def gain(design, rate_hz, frequency_hz, passes=2):
    _, response = signal.sosfreqz(design.sos, worN=[frequency_hz], fs=rate_hz)
    return abs(response[0]) ** passes


@pytest.mark.parametrize("rate_hz", BUTTER_50)
def test_golden_designs(rate_hz):
    golden, design = BUTTER_50[rate_hz], lowpass(50.0, rate_hz)
    assert design.design_hz == pytest.approx(golden["design_hz"], rel=PRINTED)
    assert corrected_cutoff_hz(50.0, rate_hz) == pytest.approx(golden["design_hz"], rel=PRINTED)
    assert design.sos.shape == (1, 6)
    np.testing.assert_allclose(design.sos[0, :3], golden["b"], rtol=PRINTED)
    np.testing.assert_allclose(design.sos[0, 3:], golden["a"], rtol=PRINTED)


@given(
    rate_hz=st.floats(100.0, 20000.0),
    part=st.floats(0.002, 0.45),
    order=st.integers(1, 6),
)
def test_the_cutoff_is_minus_3_db_after_both_passes(rate_hz, part, order):
    cutoff = part * rate_hz
    design = lowpass(cutoff, rate_hz, order=order)
    assert gain(design, rate_hz, cutoff) == pytest.approx(math.sqrt(0.5), abs=GAIN_ROUNDING)
    assert gain(design, rate_hz, 0.0) == pytest.approx(1.0, abs=GAIN_ROUNDING)


@given(passes=st.integers(1, 4), order=st.integers(1, 4))
def test_the_correction_holds_for_any_number_of_passes(passes, order):
    design_hz = corrected_cutoff_hz(50.0, 1000.0, order=order, passes=passes)
    sos = signal.butter(order, design_hz, fs=1000.0, output="sos")
    _, response = signal.sosfreqz(sos, worN=[50.0], fs=1000.0)
    assert abs(response[0]) ** passes == pytest.approx(math.sqrt(0.5), abs=GAIN_ROUNDING)
    assert design_hz == pytest.approx(50.0) if passes == 1 else design_hz > 50.0


def test_a_sine_at_the_cutoff_comes_out_at_0_707_and_unshifted():
    t = np.arange(2000) / 1000.0
    sine = np.sin(2 * np.pi * 50.0 * t)
    design = lowpass(50.0, 1000.0)
    middle = slice(500, 1500)
    filtered = zero_phase(sine, design.sos, padlen=design.padding)[middle]
    np.testing.assert_allclose(filtered, math.sqrt(0.5) * sine[middle], rtol=0, atol=GAIN_ROUNDING)


@pytest.mark.parametrize(
    ("cutoff_hz", "rate_hz", "samples"), [(50.0, 1000.0, 60), (50.0, 2400.0, 144), (70, 1000, 43)]
)
def test_padding_and_margin_are_three_periods_of_the_cutoff(cutoff_hz, rate_hz, samples):
    design = lowpass(cutoff_hz, rate_hz)
    assert design.padding == samples
    assert design.margin == samples


def test_no_cutoff_is_no_filter():
    design = lowpass(None, 1000.0)
    assert design.cutoff_hz is None
    assert design.design_hz is None
    assert design.sos.shape == (0, 6)
    assert design.zi.shape == (0, 2)
    assert design.padding == 0
    assert design.describe() == {"type": "none"}


def test_the_description_names_the_cutoff_asked_and_the_one_designed():
    described = lowpass(50, 1000.0).describe()
    assert described["cutoff_hz"] == 50.0
    assert described["design_cutoff_hz"] == pytest.approx(BUTTER_50[1000.0]["design_hz"])
    assert described["passes"] == 2
    assert described["order_per_pass"] == 2


@pytest.mark.parametrize("cutoff_hz", [0.0, -1.0, 450.1, math.nan, math.inf])
def test_cutoffs_out_of_range_are_refused(cutoff_hz):
    with pytest.raises(DataError, match=r"450 Hz"):
        lowpass(cutoff_hz, 1000.0)


def test_the_highest_cutoff_is_45_percent_of_the_rate():
    assert lowpass(450.0, 1000.0).design_hz < 500.0


@pytest.mark.parametrize("cutoff_hz", ["fifty", [50.0, 60.0], object()])
def test_a_cutoff_that_is_no_number_is_refused(cutoff_hz):
    with pytest.raises(DataError, match="a frequency in Hz"):
        lowpass(cutoff_hz, 1000.0)


SOS = lowpass(50.0, 1000.0).sos


@pytest.mark.parametrize(
    ("x", "sos", "padlen", "message"),
    [
        (np.ones(60), SOS, 60, "too few"),
        (np.ones(0), SOS, 0, "too few"),
        (np.ones(60), SOS, -1, "too few"),
        (np.float64(1.0), SOS, 0, "x has shape"),
        (np.ones((10, 2, 2)), SOS, 3, "x has shape"),
        (np.ones((10, 0)), SOS, 3, "x has shape"),
        (np.ones((10, 65)), SOS, 3, "x has shape"),
        (np.ones(60), SOS[0], 3, "sos has shape"),
        (np.ones(60), SOS[:, :5], 3, "sos has shape"),
        (np.ones(60), np.empty((0, 6)), 3, "sos has shape"),
        (np.ones(60), np.tile(SOS, (9, 1)), 3, "sos has shape"),
    ],
)
def test_zero_phase_refuses_what_it_cannot_filter(x, sos, padlen, message):
    with pytest.raises(DataError, match=message):
        zero_phase(x, sos, padlen=padlen)


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 5)])
def test_the_shape_stays(shape):
    x = np.random.default_rng(0).normal(size=shape)
    before = x.copy()
    filtered = zero_phase(x, SOS, padlen=60)
    assert filtered.shape == shape
    assert not np.shares_memory(filtered, x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(filtered, signal.sosfiltfilt(SOS, x, axis=0, padlen=60), rtol=0, atol=1e-12)
