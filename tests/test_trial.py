"""Trials from arrays: signs, conventions, axes, and what is refused."""

import numpy as np
import pytest

from balancecore.errors import DataError
from balancecore.trial import COP_MIN_N, Plate, Trial, axis_rotation, check_rate

#: Metrics 6.0: transducer plane 48 mm below the surface, and what one frame gives.
FX, FY, FZ, MX, MY, MZ, AZ0 = 30.0, -10.0, 500.0, 25.0, -40.0, 5.0, -0.048
AX_M, AY_M, TZ_NM = 0.07712, 0.05096, 7.300
#: The printed values have five decimals, and three.
PRINTED_M = 0.5e-5
PRINTED_NM = 0.5e-3
ROUNDING = 1e-12


def surface_wrench():
    """The frame of metrics 6.0 with its moments moved to the surface."""
    return np.array([[FX, FY, FZ, MX + FY * AZ0, MY - FX * AZ0, MZ]])


def trial_of(wrench, **options):
    return Trial.from_wrenches([wrench], rate_hz=1000.0, **options)


def random_wrench(seed=0, n=50):
    wrench = np.random.default_rng(seed).normal(0.0, 50.0, (n, 6))
    wrench[:, 2] += 700.0
    return wrench


# --------------------------------------------------------------------------------------------------
# Centre of pressure and free moment


def test_reference_centre_of_pressure_and_free_moment():
    plate = trial_of(surface_wrench()).plates[0]
    np.testing.assert_allclose(plate.cop[0, :2], (AX_M, AY_M), atol=PRINTED_M)
    assert plate.cop[0, 2] == 0.0
    assert plate.free_moment[0] == pytest.approx(TZ_NM, abs=PRINTED_NM)


def test_force_and_moment_are_rebuilt_from_point_and_free_moment():
    plate = trial_of(random_wrench()).plates[0]
    rebuilt = np.cross(plate.cop, plate.force_lab)
    rebuilt[:, 2] += plate.free_moment
    np.testing.assert_allclose(rebuilt, plate.wrench[:, 3:], atol=1e-9)


def test_the_origin_moves_the_point_and_not_the_free_moment():
    at_zero = trial_of(random_wrench()).plates[0]
    moved = trial_of(random_wrench(), origins_m=[[0.3, -0.2, 0.1]]).plates[0]
    np.testing.assert_allclose(moved.cop - at_zero.cop, np.tile([0.3, -0.2, 0.1], (50, 1)), atol=ROUNDING)
    np.testing.assert_array_equal(moved.free_moment, at_zero.free_moment)


def test_no_point_without_load():
    wrench = np.zeros((5, 6))
    wrench[:, 2] = (-500.0, 0.0, COP_MIN_N - 0.001, COP_MIN_N, np.nan)
    plate = trial_of(wrench).plates[0]
    assert np.isnan(plate.cop).all(axis=1).tolist() == [True, True, True, False, True]
    assert np.isnan(plate.free_moment).tolist() == [True, True, True, False, True]


# --------------------------------------------------------------------------------------------------
# Conventions and axes


def test_action_flips_all_forces_and_keeps_the_point():
    wrench = random_wrench()
    reaction = trial_of(wrench).plates[0]
    action = trial_of(-wrench, convention="action")
    np.testing.assert_array_equal(action.plates[0].wrench, reaction.wrench)
    np.testing.assert_allclose(action.plates[0].cop, reaction.cop, atol=ROUNDING)
    assert action.convention == "action"


@pytest.mark.parametrize(
    "axes", [("x", "y", "z"), ("-x", "-y", "z"), ("y", "-x", "z"), ("z", "x", "y"), ("-y", "-z", "x")]
)
def test_axes_rotate_force_moment_origin_and_corners_together(axes):
    wrench = random_wrench()
    rotation = axis_rotation(axes)
    corners = np.random.default_rng(1).normal(0.0, 0.3, (4, 3))
    origin = np.array([0.1, 0.2, 0.3])
    plate = trial_of(wrench, axes=axes, origins_m=[origin], corners_m=[corners]).plates[0]
    np.testing.assert_array_equal(plate.wrench[:, :3], wrench[:, :3] @ rotation.T)
    np.testing.assert_array_equal(plate.wrench[:, 3:], wrench[:, 3:] @ rotation.T)
    np.testing.assert_allclose(plate.origin_m, rotation @ origin, atol=ROUNDING)
    np.testing.assert_allclose(plate.corners_lab, corners @ rotation.T, atol=ROUNDING)


def test_what_an_axis_means():
    # OpenSim: x forward, y up, z right
    wrench = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    plate = trial_of(wrench, axes=("z", "x", "y")).plates[0]
    assert plate.wrench[0].tolist() == [3.0, 1.0, 2.0, 6.0, 4.0, 5.0]
    assert axis_rotation(("+X", "-y", "-Z")).tolist() == np.diag([1.0, -1.0, -1.0]).tolist()


@pytest.mark.parametrize(
    "axes", [("x", "y", "z"), ("-x", "-y", "z"), ("z", "x", "y"), ("y", "z", "x"), ("x", "z", "-y")]
)
def test_rotations_are_rotations(axes):
    rotation = axis_rotation(axes)
    np.testing.assert_array_equal(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("xyz", "give three file axes"),
        (("x", "y"), "give three file axes"),
        (("x", "y", "z", "x"), "give three file axes"),
        (("x", "y", "up"), "is not one of"),
        (("x", "y", ""), "is not one of"),
        (("x", "y", 3), "is not one of"),
        (("x", "x", "z"), "used twice"),
        (("x", "-x", "z"), "used twice"),
        (("-x", "y", "z"), "mirrors"),
        (("y", "x", "z"), "mirrors"),
    ],
)
def test_axes_that_are_none(axes, words):
    with pytest.raises(DataError, match=words):
        axis_rotation(axes)


def test_the_right_is_known_only_if_somebody_says_so():
    assert not trial_of(random_wrench()).lateral_known
    assert trial_of(random_wrench(), axes=("x", "y", "z")).lateral_known


@pytest.mark.parametrize("convention", ["reaction", "action"])
def test_missing_channels_are_named_in_the_trial_s_axes(convention):
    plate = trial_of(
        random_wrench(), missing=["Fx", "Mz"], axes=("z", "x", "y"), convention=convention
    ).plates[0]
    assert plate.missing == {"Fy", "Mx"}
    assert np.isnan(plate.wrench).all(axis=0).tolist() == [False, True, False, True, False, False]


# --------------------------------------------------------------------------------------------------
# Arrays


def test_vertical_force_alone():
    plate = trial_of(np.array([1.0, 2.0, 3.0])).plates[0]
    assert plate.wrench[:, 2].tolist() == [1.0, 2.0, 3.0]
    assert plate.missing == {"Fx", "Fy", "Mx", "My", "Mz"}


def test_the_caller_keeps_his_array():
    wrench = random_wrench()
    before = wrench.tobytes()
    for options in ({}, {"convention": "action"}, {"missing": ["Mz"]}, {"axes": ("-x", "-y", "z")}):
        plate = trial_of(wrench, **options).plates[0]
        assert not plate.wrench.flags.writeable
        assert plate.wrench.flags.c_contiguous
        assert plate.wrench.dtype == np.float64
    assert wrench.tobytes() == before
    assert wrench.flags.writeable


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, ">f8"])
def test_other_number_types(dtype):
    values = np.arange(60).reshape(10, 6)
    assert (trial_of(values.astype(dtype)).plates[0].wrench == values).all()


def test_strided_and_fortran_arrays():
    wrench = random_wrench()
    for view in (np.asfortranarray(wrench), np.repeat(wrench, 2, axis=0)[::2], wrench[::-1].copy()[::-1]):
        assert (trial_of(view).plates[0].wrench == wrench).all()


def test_length_duration_and_name():
    trial = Trial.from_wrenches(
        [random_wrench(), random_wrench(1)], rate_hz=100.0, sides=["L", "R"], names=["one", "two"]
    )
    assert len(trial) == 50
    assert trial.duration_s == 0.5
    assert repr(trial) == "<Trial 0.50 s at 100 Hz: one (L), two (R)>"
    assert isinstance(trial.plates[0], Plate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sides": ["L"]}, "sides must name each"),
        ({"sides": "LR"}, "sides must name each"),
        ({"sides": ["L", "left"]}, "side 'left'"),
        ({"names": ["a"]}, "names must name each"),
        ({"origins_m": [[0, 0, 0]]}, "origins_m"),
        ({"origins_m": [[0, 0, 0], [0, 0, np.nan]]}, "origins_m"),
        ({"corners_m": [None]}, "corners_m"),
        ({"corners_m": [None, np.zeros((3, 3))]}, "corners of plate 2"),
        ({"convention": "down"}, "convention"),
        ({"missing": ["Fq"]}, "channels are"),
        ({"axes": ("x", "x", "z")}, "used twice"),
        ({"rate_hz": 0.0}, "rate"),
        ({"rate_hz": "1000"}, "rate"),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(DataError, match=words):
        Trial.from_wrenches([random_wrench(), random_wrench(1)], **({"rate_hz": 1000.0} | options))


def test_wrong_arrays():
    with pytest.raises(DataError, match="one a plate"):
        Trial.from_wrenches(random_wrench(), rate_hz=1000.0)
    with pytest.raises(DataError, match="0 plates"):
        Trial.from_wrenches([], rate_hz=1000.0)
    with pytest.raises(DataError, match="17 plates"):
        Trial.from_wrenches([random_wrench()] * 17, rate_hz=1000.0)
    with pytest.raises(DataError, match="same number of frames"):
        Trial.from_wrenches([random_wrench(), random_wrench(n=49)], rate_hz=1000.0)
    with pytest.raises(DataError, match="plate 2"):
        Trial.from_wrenches([random_wrench(), np.zeros((50, 7))], rate_hz=1000.0)


@pytest.mark.parametrize("rate_hz", [1, 1000, 1000.0, np.float32(300.0), np.int64(20000), 1e6])
def test_rates(rate_hz):
    assert check_rate(rate_hz) == float(rate_hz)


@pytest.mark.parametrize(
    "rate_hz", [0, 0.5, 2e6, -1000, np.nan, np.inf, "1000", b"1000", True, np.True_, None, [1000]]
)
def test_rates_that_are_none(rate_hz):
    with pytest.raises(DataError, match="rate_hz"):
        check_rate(rate_hz)
