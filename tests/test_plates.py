"""Plate models: a force of known size at a known place comes back from every kind of raw channels."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balancecore as bc
from balancecore import plates
from balancecore.errors import DataError
from balancecore.trial import CHANNELS

#: Rounding of two matrix products and an inverse, relative to loads of some kN.
FORCE_N = 1e-7
PLACE_M = 1e-9
MOMENT_NM = 1e-7
#: Printed digits of metrics 6.0.
PRINTED_M, PRINTED_NM = 5e-6, 5e-4
N_FRAMES = 12


# ---------------------------------------------------------------------------------------------------------------
# Models of every kind


def amti(rng, origin_m):
    """Diagonal of a data sheet with a few per cent of cross-talk."""
    sensitivity = np.diag([0.67, 0.67, 0.17, 1.7, 1.7, 3.4]) + rng.normal(0.0, 0.01, size=(6, 6))
    gain = rng.choice([1000.0, 2000.0, 4000.0], size=6)
    return plates.amti(sensitivity, gain=gain, excitation_v=10.0, origin_m=origin_m)


def bertec(rng, origin_m):
    scale = rng.uniform(100.0, 1000.0, size=6)
    return plates.bertec(scale, gain=rng.uniform(1.0, 10.0, size=6), origin_m=origin_m)


def old_bertec(rng, origin_m):
    matrix = np.diag([500.0, 500.0, 1000.0, 800.0, 400.0, 400.0]) + rng.normal(0.0, 5.0, size=(6, 6))
    return plates.bertec(matrix, gain=2.0, origin_m=origin_m)


def kistler(rng, origin_m):
    model = plates.kistler(
        a_m=0.21,
        b_m=0.35,
        az0_m=origin_m[2],
        newton_per_unit=plates.kistler_newton_per_volt(
            range_pc=[2500.0] * 4 + [10000.0] * 4, sensitivity_pc_n=[-7.8] * 4 + [-3.8] * 4
        ),
    )
    return dataclasses.replace(model, origin_m=np.array(origin_m))


def cells_of_three_axes(rng, origin_m):
    places = np.array([[0.3, 0.5, 0.0], [-0.3, 0.5, 0.0], [-0.3, -0.5, 0.0], [0.3, -0.5, 0.0]]) - origin_m
    gain = rng.uniform(50.0, 200.0, size=12) * rng.choice([-1.0, 1.0], size=12)
    return plates.load_cells(places, gain=gain, offset=rng.normal(0.0, 1.0, size=12), axes="xyz")


def twelve_channels(rng, origin_m):
    return plates.six_component(rng.normal(0.0, 100.0, size=(6, 12)), origin_m=origin_m)


KINDS = (amti, bertec, old_bertec, kistler, cells_of_three_axes, twelve_channels)


def sensed(model, wrench):
    """Raw channels that such a wrench, in the plate's own axes about its sensor origin, leads to."""
    return wrench @ np.linalg.pinv(model.matrix).T + model.zero


@dataclasses.dataclass
class Load:
    """Reaction forces at places of a plate's top surface, with a free moment about its normal."""

    rotation: np.ndarray
    corners_m: np.ndarray
    place_m: np.ndarray
    force_n: np.ndarray
    free_nm: np.ndarray

    @property
    def centre_m(self):
        return self.corners_m.mean(axis=0)

    def wrench(self, about_m):
        moment = np.cross(self.place_m - about_m, self.force_n)
        moment[:, 2] += self.free_nm
        return np.column_stack((self.force_n, moment))

    def raw(self, model, convention):
        """What the plate's channels show; `origin_m` of the model lies between its sensors and the surface."""
        sign = 1.0 if convention == "reaction" else -1.0
        top = self.wrench(self.centre_m)
        force, moment = sign * top[:, :3] @ self.rotation, sign * top[:, 3:] @ self.rotation
        return sensed(model, np.column_stack((force, moment + np.cross(model.origin_m, force))))


def a_load(rng, yaw, z_down):
    """A plate that lies flat, turned by yaw, with its z up or down."""
    c, s = math.cos(yaw), math.sin(yaw)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    if z_down:
        rotation = rotation @ np.diag([1.0, -1.0, -1.0])
    half = np.array([0.3, 0.45, 0.0])
    signs = np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
    centre = rng.normal(0.0, 2.0, size=3)
    places = rng.uniform(-0.9, 0.9, size=(N_FRAMES, 3)) * half
    force = rng.normal(0.0, 100.0, size=(N_FRAMES, 3))
    force[:, 2] = rng.uniform(50.0, 2500.0, size=N_FRAMES)
    return Load(
        rotation,
        centre + (signs * half) @ rotation.T,
        centre + places @ rotation.T,
        force,
        rng.normal(0.0, 20.0, size=N_FRAMES),
    )


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(0, 10_000),
    yaw=st.floats(-math.pi, math.pi),
    z_down=st.booleans(),
    convention=st.sampled_from(["reaction", "action"]),
    depth_m=st.floats(-0.1, 0.1),
)
def test_the_force_and_its_place_come_back(kind, seed, yaw, z_down, convention, depth_m):
    rng = np.random.default_rng(seed)
    load = a_load(rng, yaw, z_down)
    origin = np.array([*rng.normal(0.0, 0.2, size=2), depth_m])
    model = kind(rng, origin).placed(corners_m=load.corners_m, convention=convention)
    raw = load.raw(model, convention)
    raw.flags.writeable = False
    kept = raw.copy()
    plate = model.plate(raw)
    np.testing.assert_array_equal(raw, kept)
    np.testing.assert_allclose(plate.origin_m, load.centre_m, atol=PLACE_M)
    np.testing.assert_allclose(plate.wrench, load.wrench(load.centre_m), rtol=0, atol=FORCE_N)
    np.testing.assert_allclose(plate.cop, load.place_m, rtol=0, atol=PLACE_M)
    np.testing.assert_allclose(plate.free_moment, load.free_nm, rtol=0, atol=MOMENT_NM)
    assert plate.missing == frozenset()
    assert not plate.wrench.flags.writeable


@given(
    seed=st.integers(0, 10_000),
    yaws=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    given_origin=st.booleans(),
)
def test_two_plates_feel_what_one_would(seed, yaws, given_origin):
    rng = np.random.default_rng(seed)
    loads = [a_load(rng, yaw, k == 1) for k, yaw in enumerate(yaws)]
    both = [
        plates.calibrated(origin_m=rng.normal(size=3)).placed(corners_m=load.corners_m, convention="action")
        for load in loads
    ]
    single = [model.plate(load.raw(model, "action")) for model, load in zip(both, loads, strict=True)]
    about = rng.normal(size=3) if given_origin else single[0].origin_m
    one = plates.combine(single, origin_m=about if given_origin else None, name="both")
    expected = loads[0].wrench(about) + loads[1].wrench(about)
    np.testing.assert_allclose(one.origin_m, about)
    np.testing.assert_allclose(one.wrench, expected, rtol=0, atol=10 * FORCE_N)
    if abs(single[0].origin_m[2] - single[1].origin_m[2]) < 1e-12:
        share = loads[0].force_n[:, 2:] / one.wrench[:, 2:3]
        np.testing.assert_allclose(
            one.cop, share * loads[0].place_m + (1 - share) * loads[1].place_m, atol=1e-6
        )


def test_the_centre_of_two_plates_is_the_mean_weighted_by_force():
    """COP = (F1 COP1 + F2 COP2)/(F1 + F2) (metrics 6.0)."""
    wrench = np.zeros((3, 6))
    wrench[:, 2] = 300.0
    left = bc.Plate(wrench, np.array([-0.25, 0.1, 0.0]), "L")
    right = bc.Plate(2.0 * wrench, np.array([0.25, 0.4, 0.0]), "R")
    one = plates.combine([left, right])
    np.testing.assert_allclose(one.cop[:, :2], np.tile([0.25 / 3, 0.3], (3, 1)))
    assert (one.side, one.model, one.missing) == ("?", "combined", frozenset())
    assert plates.combine([left, left]).side == "L"


def test_what_one_plate_lacks_the_sum_lacks():
    rng = np.random.default_rng(5)
    whole = bc.Plate(rng.normal(100.0, 10.0, size=(4, 6)))
    vertical = bc.Trial.from_wrenches([np.full(4, 500.0)], rate_hz=100.0).plates[0]
    one = plates.combine([whole, vertical])
    assert one.missing == frozenset(CHANNELS) - {"Fz"}
    np.testing.assert_allclose(one.wrench[:, 2], whole.wrench[:, 2] + 500.0)
    assert np.isnan(one.wrench[:, [0, 1, 3, 4, 5]]).all()
    no_shear = np.full((4, 6), 7.0)
    no_shear[:, [0, 1, 5]] = np.nan
    level, deeper = (
        bc.Plate(no_shear, np.array([0.5, 0.0, z]), missing=frozenset({"Fx", "Fy", "Mz"}))
        for z in (0.0, -0.2)
    )
    assert plates.combine([whole, level]).missing == {"Fx", "Fy", "Mz"}
    # About a point 0.2 m higher, the moments of the forces that nobody measured count.
    assert plates.combine([whole, deeper]).missing == {"Fx", "Fy", "Mx", "My", "Mz"}


def test_the_sum_keeps_saturation_and_skew():
    wrench = np.ones((4, 6))
    first = bc.Plate(wrench, saturated=np.array([True, False, False, False]), skew_s=1e-5)
    second = bc.Plate(wrench, saturated=np.array([False, False, True, False]), skew_s=3e-5)
    one = plates.combine([first, second, bc.Plate(wrench)])
    assert one.saturated.tolist() == [True, False, True, False]
    assert one.skew_s == 3e-5
    assert plates.combine([bc.Plate(wrench)]).saturated is None


@pytest.mark.parametrize("lengths", [(), (3, 4)])
def test_plates_that_can_not_be_added(lengths):
    with pytest.raises(DataError, match="same number of frames"):
        plates.combine([bc.Plate(np.zeros((n, 6))) for n in lengths])


# ---------------------------------------------------------------------------------------------------------------
# Closed forms


def test_reference_of_metrics_6():
    model = plates.calibrated(origin_m=(0.0, 0.0, -0.048))
    cop, free_moment = plates.centre_of_pressure(model.wrench([[30.0, -10.0, 500.0, 25.0, -40.0, 5.0]]))
    np.testing.assert_allclose(cop[0], (0.07712, 0.05096, 0.0), rtol=0, atol=PRINTED_M)
    assert free_moment[0] == pytest.approx(7.300, abs=PRINTED_NM)


def test_amti_is_the_inverse_of_its_sensitivity():
    rng = np.random.default_rng(8)
    sensitivity = np.diag([0.67, 0.67, 0.17, 1.7, 1.7, 3.4]) + rng.normal(0.0, 0.02, size=(6, 6))
    gain, excitation = np.array([1000.0, 2000.0, 4000.0, 1000.0, 2000.0, 4000.0]), 5.0
    load = np.array([100.0, -50.0, 800.0, 20.0, -30.0, 5.0])
    volts = gain * excitation * 1e-6 * (sensitivity @ load)
    model = plates.amti(sensitivity, gain=gain, excitation_v=excitation)
    np.testing.assert_allclose(model.wrench(volts[None])[0], load, rtol=1e-12)
    diagonal_only = plates.amti(np.diag(np.diag(sensitivity)), gain=gain, excitation_v=excitation)
    assert np.abs(diagonal_only.wrench(volts[None])[0] - load).max() > 1.0  # the cross-talk counts


def test_bertec_scales_each_channel():
    model = plates.bertec([500.0, 500.0, 1000.0, 800.0, 400.0, 300.0], gain=[1.0, 1.0, 2.0, 1.0, 1.0, 5.0])
    volts = np.array([[0.1, -0.2, 2.0, 0.05, -0.04, 0.5]])
    np.testing.assert_allclose(model.wrench(volts)[0], [50.0, -100.0, 1000.0, 40.0, -16.0, 30.0], rtol=1e-12)


def test_kistler_closed_form():
    fx12, fx34, fy14, fy23, fz1, fz2, fz3, fz4 = raw = np.array(
        [3.0, -7.0, 11.0, 2.0, 90.0, 150.0, 210.0, 60.0]
    )
    a, b, az0 = 0.12, 0.2, -0.054
    fx, fy, fz = fx12 + fx34, fy14 + fy23, fz1 + fz2 + fz3 + fz4
    mx, my = b * (fz1 + fz2 - fz3 - fz4), a * (-fz1 + fz2 + fz3 - fz4)
    mz = b * (-fx12 + fx34) + a * (fy14 - fy23)
    wrench = plates.kistler(a_m=a, b_m=b, az0_m=az0).wrench(raw[None])
    np.testing.assert_allclose(wrench[0], [fx, fy, fz, mx + fy * az0, my - fx * az0, mz], rtol=1e-12)


def test_kistler_charge():
    """5000 pC at 10 V and 3.8 pC/N: 131.6 N/V; one number a channel, and one for all."""
    scale = plates.kistler_newton_per_volt(range_pc=5000.0, sensitivity_pc_n=[7.6] * 4 + [-3.8] * 4)
    np.testing.assert_allclose(scale, [5000.0 / 76.0] * 4 + [5000.0 / 38.0] * 4)


def test_kistler_polynomial_takes_the_uncorrected_place_for_both():
    """A sheet's numbers in mm; written out once more, in mm."""
    p = np.array([2.5e-15, -2.2e-10, -2.7e-7, -4.9e-11, 4.6e-6, -0.042])
    q = np.array([2.8e-15, -1.0e-10, -2.1e-6, -1.2e-10, 4.7e-6, 0.069])
    plain = plates.kistler(a_m=0.12, b_m=0.2, az0_m=-0.05)
    corrected = plates.kistler(a_m=0.12, b_m=0.2, az0_m=-0.05, cop_polynomial_mm=[*p, *q])
    rng = np.random.default_rng(3)
    raw = rng.uniform(20.0, 200.0, size=(50, 8)) * [0.1, -0.1, 0.1, -0.1, 1, 1, 1, 1]
    raw[-1] *= 0.001
    before, after = plain.wrench(raw), corrected.wrench(raw)
    x, y = 1e3 * plates.centre_of_pressure(before)[0][:-1, :2].T
    dx = (p[0] * y**4 + p[1] * y**2 + p[2]) * x**3 + (p[3] * y**4 + p[4] * y**2 + p[5]) * x
    dy = (q[0] * x**4 + q[1] * x**2 + q[2]) * y**3 + (q[3] * x**4 + q[4] * x**2 + q[5]) * y
    assert np.abs(dx).max() > 1.0
    cop, free_moment = plates.centre_of_pressure(after)
    np.testing.assert_allclose(1e3 * cop[:-1, :2], np.column_stack((x - dx, y - dy)), rtol=1e-12, atol=1e-9)
    fx, fy, _, _, _, mz = after[:-1].T
    np.testing.assert_allclose(free_moment[:-1], mz - fy * cop[:-1, 0] + fx * cop[:-1, 1], atol=1e-9)
    np.testing.assert_array_equal(after[:, [0, 1, 2, 5]], before[:, [0, 1, 2, 5]])
    np.testing.assert_array_equal(after[-1], before[-1])  # too little force for a centre to correct


def test_the_polynomial_is_taken_in_the_plates_own_axes():
    polynomial = np.zeros(12)
    polynomial[5] = 0.1  # x shrinks by a tenth, y stays
    model = plates.kistler(a_m=0.12, b_m=0.2, az0_m=-0.05, cop_polynomial_mm=polynomial)
    raw = np.array([[0.0, 0.0, 0.0, 0.0, 100.0, 150.0, 250.0, 120.0]])
    own = plates.centre_of_pressure(plates.kistler(a_m=0.12, b_m=0.2, az0_m=-0.05).wrench(raw))[0][0]
    lab = model.placed(axes=("y", "x", "-z"), convention="action").plate(raw).cop[0]
    np.testing.assert_allclose(lab, [own[1], 0.9 * own[0], 0.0], atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------
# Load cells


DECK_M = np.array([[0.25, 0.6], [-0.25, 0.6], [-0.25, -0.6], [0.25, -0.6]])


def test_cells_of_one_axis_know_the_vertical_force_and_its_place():
    """A load at (0.1, -0.3) shares itself among four corners by the lever rule."""
    share_x, share_y = 0.5 + 0.1 / 0.5, 0.5 - 0.3 / 1.2
    forces = 700.0 * np.array(
        [share_x * share_y, (1 - share_x) * share_y, (1 - share_x) * (1 - share_y), share_x * (1 - share_y)]
    )
    gain, offset = np.array([90.0, -110.0, 100.0, 105.0]), np.array([0.3, -0.2, 0.05, 1.1])
    model = plates.load_cells(DECK_M, gain=gain, offset=offset)
    plate = model.plate((forces / gain + offset)[None])
    assert plate.missing == {"Fx", "Fy", "Mz"}
    assert np.isnan(plate.wrench[0, [0, 1, 5]]).all()
    np.testing.assert_allclose(plate.wrench[0, [2, 3, 4]], [700.0, -210.0, -70.0], atol=1e-9)
    np.testing.assert_allclose(plate.cop[0], [0.1, -0.3, 0.0], atol=1e-12)
    assert np.isnan(plate.free_moment[0])


@pytest.mark.parametrize(
    ("places", "axes", "missing"),
    [
        ([[0.0, 0.0, 0.0]], "z", {"Fx", "Fy", "Mx", "My", "Mz"}),
        ([[0.0, 0.0, 0.0]], "xyz", {"Mx", "My", "Mz"}),
        ([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0]], "z", {"Fx", "Fy", "My", "Mz"}),
        ([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0]], "xyz", {"My"}),
        (DECK_M, "xz", {"Fy", "Mz"}),
        (DECK_M, ["z", "xz", "yz", "z"], {"Mz"}),
        (DECK_M, ["xz", "xz", "yz", "z"], {"Mz"}),
        (DECK_M, ["xz", "z", "xz", "yz"], set()),
    ],
)
def test_what_cells_can_not_tell(places, axes, missing):
    assert plates.load_cells(places, gain=1.0, axes=axes).missing == missing


def test_names_of_cells():
    assert plates.load_cells(DECK_M, gain=1.0, axes=["z", "xz", "yz", "z"]).channels == tuple(
        ["Fz1", "Fx2", "Fz2", "Fy3", "Fz3", "Fz4"]
    )


def test_missing_components_follow_the_axes():
    """A deck that is turned by a quarter, and one that lies askew: half of its Mx is the lab's My."""
    deck = plates.load_cells(DECK_M[:2], gain=1.0)
    assert deck.missing == {"Fx", "Fy", "Mx", "Mz"}
    turned = deck.placed(axes=("y", "-x", "z"))
    assert turned.missing_lab == {"Fx", "Fy", "My", "Mz"}
    c = math.sqrt(0.5)
    askew = dataclasses.replace(deck, rotation=np.array([[c, -c, 0.0], [c, c, 0.0], [0.0, 0.0, 1.0]]))
    assert askew.missing_lab == set(CHANNELS) - {"Fz"}
    assert np.isfinite(askew.wrench(np.ones((3, 2)))[:, 2]).all()


# ---------------------------------------------------------------------------------------------------------------
# Where a plate lies


def corners(half_x=0.3, half_y=0.45):
    return np.array([[half_x, half_y, 0], [-half_x, half_y, 0], [-half_x, -half_y, 0], [half_x, -half_y, 0]])


def test_corners_in_order_are_the_plates_axes():
    rotation, centre = plates.pose(corners() + np.array([1.0, 2.0, 0.3]))
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(centre, [1.0, 2.0, 0.3])
    down, _ = plates.pose(corners()[[3, 2, 1, 0]])
    np.testing.assert_allclose(down, np.diag([1.0, -1.0, -1.0]), atol=1e-15)


def test_corners_that_are_a_little_off_still_make_a_rotation():
    rotation, _ = plates.pose(corners() + np.random.default_rng(1).normal(0.0, 0.003, size=(4, 3)))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation, np.eye(3), atol=0.03)


CROSSED = [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros((4, 3)), "sides of 0 and 0"),
        (corners()[[0, 0, 2, 3]], "sides of 0"),
        (corners()[CROSSED], "no rectangle"),
        (corners() * 1000.0, "sides of 600 and 900"),
        (corners() * [1.0, 0.0, 0.0], "sides of 0.6 and 0"),
        (corners() * [[1.4, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]], "no rectangle"),
        (corners() @ np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]), "no rectangle"),
        (corners() * np.nan, "not finite"),
        (corners()[:3], "shape"),
        ("corners", "numbers"),
    ],
)
def test_corners_that_are_no_plate(bad, reason):
    with pytest.raises(DataError, match=reason):
        plates.pose(bad)


def test_axes_and_centre_instead_of_corners():
    model = plates.calibrated().placed(axes=("y", "x", "-z"), centre_m=(1.0, 2.0, 0.5), convention="action")
    plate = model.plate([[1.0, 2.0, 700.0, 3.0, 4.0, 5.0]], side="L", name="left", skew_s=1e-5)
    np.testing.assert_allclose(plate.wrench, [[-2.0, -1.0, 700.0, -4.0, -3.0, 5.0]])
    np.testing.assert_allclose(plate.cop[0], [1.0 + 3.0 / 700.0, 2.0 - 4.0 / 700.0, 0.5])
    assert (plate.side, plate.name, plate.skew_s, plate.model) == ("L", "left", 1e-5, "calibrated wrench")
    assert plate.corners_lab is None


# ---------------------------------------------------------------------------------------------------------------
# Gates


def test_no_centre_without_force():
    wrench = np.zeros((5, 6))
    wrench[:, 2] = [19.999, 20.0, 21.0, -700.0, np.nan]
    cop, free_moment = plates.centre_of_pressure(wrench)
    assert (
        np.isfinite(free_moment).tolist()
        == np.isfinite(cop[:, 2]).tolist()
        == [False, True, True, False, False]
    )
    assert (
        np.isfinite(plates.centre_of_pressure(wrench, min_force_n=5.0)[1]).tolist()
        == [True] * 3 + [False] * 2
    )


def test_results_go_where_the_caller_wants():
    wrench = np.random.default_rng(0).normal(500.0, 10.0, size=(6, 6)).astype(np.float32)[::2]
    out = np.empty((3, 3)), np.empty(3)
    cop, free_moment = plates.centre_of_pressure(wrench, out=out)
    assert cop is out[0]
    assert free_moment is out[1]
    model, into = plates.calibrated(), np.empty((3, 6))
    assert model.wrench(wrench, out=into) is into
    np.testing.assert_allclose(into, wrench)


# ---------------------------------------------------------------------------------------------------------------
# Tare


def bench(offset_v=0.02, noise_v=0.002, seconds=1.0):
    """A Bertec plate at rest: 1000 N/V, so 20 N of offset and 2 N of noise."""
    rng = np.random.default_rng(6)
    return plates.bertec(np.full(6, 1000.0)), offset_v + rng.normal(
        0.0, noise_v, size=(round(seconds * 1000), 6)
    )


def test_tare_takes_the_offset_of_each_channel():
    model, rest = bench()
    rest[:, 4] += 0.01
    tare = model.tare(rest, 1000.0)
    np.testing.assert_allclose(
        tare.mean, [0.02, 0.02, 0.02, 0.02, 0.03, 0.02], atol=5 * 0.002 / math.sqrt(1000)
    )
    np.testing.assert_allclose(tare.sd, 0.002, rtol=0.1)
    assert tare.n_frames == 1000
    np.testing.assert_allclose(model.tared(tare).wrench(rest).mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(model.tared(tare).wrench(tare.mean[None] + 0.5), 500.0)


def test_tare_of_a_window_leaves_out_missing_frames():
    model, rest = bench(seconds=2.0)
    rest[:1000] += 1.0  # somebody stands there first
    rest[1200:1300] = np.nan
    tare = model.tare(rest, 1000.0, start_s=1.0)
    assert tare.n_frames == 900
    np.testing.assert_allclose(tare.mean, 0.02, atol=5e-4)
    with pytest.raises(DataError, match=r"0\.40 s of finite frames"):
        model.tare(rest, 1000.0, start_s=1.0, stop_s=1.5)


@pytest.mark.parametrize(("from_s", "newtons"), [(0.0, 700.0), (0.7, 400.0), (0.95, 700.0)])
def test_a_loaded_plate_is_not_tared(from_s, newtons):
    """Standing, stepping on, and the last moment."""
    model, rest = bench()
    rest[round(1000 * from_s) :, 2] += newtons / 1000.0
    with pytest.raises(DataError, match="loaded"):
        model.tare(rest, 1000.0)


def test_a_step_between_two_blocks_is_seen():
    model, rest = bench()
    rest[480:560, 2] += 0.7
    with pytest.raises(DataError, match="moves by"):
        model.tare(rest, 1000.0)


def test_a_heavy_deck_is_tared_when_told():
    deck = plates.load_cells(DECK_M, gain=100.0)
    rest = np.random.default_rng(1).normal(0.75, 0.005, size=(600, 4))  # 300 N of deck
    with pytest.raises(DataError, match="300 N in the window"):
        deck.tare(rest, 1000.0)
    tare = deck.tare(rest, 1000.0, max_offset_n=math.inf)
    np.testing.assert_allclose(tare.mean, 0.75, atol=0.001)


# ---------------------------------------------------------------------------------------------------------------
# Saturation


def steps_v(peak_v=4.0, n=1000):
    """Half-sine loads on the vertical channel of a Bertec plate."""
    t = np.arange(n) / 1000.0
    raw = np.zeros((n, 6))
    raw[:, 2] = peak_v * np.clip(np.sin(2.0 * np.pi * 3.0 * t), 0.0, None)
    return raw + np.random.default_rng(0).normal(0.0, 0.002, size=raw.shape)


def test_nothing_is_saturated_within_the_range():
    assert not plates.bertec(np.full(6, 500.0)).saturated(steps_v()).any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_end_of_the_amplifiers_range(sign):
    raw = sign * steps_v(5.5)
    found = plates.bertec(np.full(6, 500.0)).saturated(raw)
    np.testing.assert_array_equal(found, np.abs(raw[:, 2]) >= 0.995 * 5.0)
    assert found.any()
    np.testing.assert_array_equal(found, plates.bertec(np.full(6, 500.0)).saturated(raw.astype(np.float32)))


def test_a_clipped_channel_of_an_unknown_range():
    raw = np.clip(steps_v(5.5), -3.0, 3.0)
    model = plates.six_component(np.eye(6) * 500.0)
    np.testing.assert_array_equal(model.saturated(raw), raw[:, 2] == 3.0)
    raw[300] = np.nan
    assert not model.saturated(raw)[300]


def test_flat_tops_of_quantised_peaks_are_not_saturated():
    raw = np.round(steps_v(4.0) / 0.05) * 0.05
    assert not plates.six_component(np.eye(6) * 500.0).saturated(raw).any()


def test_an_unloaded_channel_that_is_clamped_is_not_saturated():
    raw = np.where(np.abs(steps_v()) < 0.03, 0.0, steps_v())
    assert not plates.six_component(np.eye(6) * 500.0).saturated(raw).any()


def test_first_and_last_code_of_a_converter():
    codes = np.random.default_rng(2).integers(30000, 36000, size=(100, 6), dtype=np.uint16)
    codes[7, 1], codes[50, 4] = 0, 65535
    model = plates.six_component(np.eye(6) * 0.05)
    assert np.flatnonzero(model.saturated(codes, code_range=(0, 65535))).tolist() == [7, 50]
    volts = (codes.astype(float) - 32768) / 3276.8
    assert np.flatnonzero(model.saturated(volts, codes=codes, code_range=(0, 65535))).tolist() == [7, 50]
    assert not model.saturated(volts).any()


def test_a_saturated_raw_channel_flags_the_steps_it_touches():
    """One of four cells at its end: the wrench shows no flat top, and the steps are left out all the same."""
    sim = bc.simulate.treadmill(n_steps=30, noise_n=2.0, seed=11, belts="single")
    wrench = sim.wrenches[0]
    places = [[0.5, 0.8], [-0.5, 0.8], [-0.5, -0.8], [0.5, -0.8]]
    raw = wrench @ np.linalg.pinv(plates.load_cells(places, gain=100.0).matrix).T
    end = 0.97 * raw[:, 0].max()
    clipped = raw.copy()
    clipped[:, 0] = np.minimum(raw[:, 0], end)
    deck = plates.load_cells(places, gain=100.0, range_raw=[end, 100.0, 100.0, 100.0])
    plate = deck.placed(centre_m=sim.trial.plates[0].origin_m).plate(clipped)
    result = bc.analyze_gait(bc.Trial((plate,), sim.rate_hz), mass_kg=70.0, n_boot=0)
    hit = (result.steps["flags"] & int(bc.Flag.SATURATED)) != 0
    t = np.flatnonzero(clipped[:, 0] >= 0.995 * end) / sim.rate_hz
    touched = [
        ((t >= on) & (t <= off)).any()
        for on, off in zip(result.steps["t_on"], result.steps["t_off"], strict=True)
    ]
    assert hit.tolist() == touched
    assert 0 < hit.sum() < len(hit)
    (found,) = [s for s in result.quality["saturation"] if s["channel"] == "raw channels"]
    assert found["first_s"] == pytest.approx(t[0])
    assert found["value"] is None
    assert any("raw channels" in warning for warning in result.quality["warnings"])


# ---------------------------------------------------------------------------------------------------------------
# What is refused


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: plates.amti(np.zeros((6, 6)), gain=1000.0, excitation_v=10.0), "can't be inverted"),
        (lambda: plates.amti(np.ones((6, 6)), gain=1000.0, excitation_v=10.0), "can't be inverted"),
        (lambda: plates.amti(np.eye(5), gain=1000.0, excitation_v=10.0), "shape"),
        (lambda: plates.amti(np.eye(6), gain=0.0, excitation_v=10.0), "must not be 0"),
        (lambda: plates.amti(np.eye(6), gain=[1.0] * 5, excitation_v=10.0), "shape"),
        (lambda: plates.bertec(np.ones(5)), "shape"),
        (lambda: plates.bertec(np.ones(6), gain=0.0), "must not be 0"),
        (lambda: plates.bertec(np.full(6, np.nan)), "not finite"),
        (lambda: plates.kistler(a_m=-0.2, b_m=0.3, az0_m=-0.05), "positive"),
        (lambda: plates.kistler(a_m=0.2, b_m=350.0, az0_m=-0.05), "in m"),
        (lambda: plates.kistler(a_m=0.2, b_m=0.3, az0_m=-0.05, cop_polynomial_mm=[1.0] * 6), "shape"),
        (lambda: plates.kistler_newton_per_volt(range_pc=5000.0, sensitivity_pc_n=0.0), "must not be 0"),
        (lambda: plates.load_cells([[0.0, 0.0]], gain=0.0), "must not be 0"),
        (lambda: plates.load_cells([[0.0, 0.0]], gain=1.0, axes="xy"), "vertical"),
        (lambda: plates.load_cells([[0.0, 0.0]], gain=1.0, axes="w"), "some of x, y, z"),
        (lambda: plates.load_cells([[0.0, 0.0]], gain=1.0, axes=["z", "z"]), "some of x, y, z"),
        (lambda: plates.load_cells([0.0, 0.0], gain=1.0), "positions_m"),
        (lambda: plates.six_component(np.ones((6, 65))), "65 channels"),
        (lambda: plates.six_component(np.eye(6), missing=["Fw"]), "Fw"),
        (lambda: plates.six_component(np.eye(6), range_raw=[1.0, 2.0, 3.0]), "range"),
        (lambda: plates.six_component(np.eye(6), range_raw=-1.0), "range"),
        (lambda: plates.six_component("matrix"), "numbers"),
        (lambda: plates.calibrated().placed(convention="applied"), "convention"),
        (lambda: plates.calibrated().placed(corners_m=corners(), axes="xyz"), "not both"),
        (lambda: dataclasses.replace(plates.calibrated(), rotation=np.diag([1.0, 1.0, -1.0])), "mirrors"),
        (lambda: dataclasses.replace(plates.calibrated(), rotation=2.0 * np.eye(3)), "not a rotation"),
        (lambda: plates.calibrated().wrench(np.zeros((4, 5))), r"\(4, 5\)"),
        (lambda: plates.calibrated().wrench(np.zeros(6)), r"\(6,\)"),
        (lambda: plates.calibrated().wrench(np.zeros((4, 6), dtype=complex)), "complex"),
        (lambda: plates.calibrated().wrench([["a"] * 6]), "numbers"),
        (lambda: plates.calibrated().wrench(np.zeros((4, 6)), out=np.zeros((5, 6))), "out must"),
        (lambda: plates.calibrated().wrench(np.zeros((4, 6)), out=np.zeros((4, 12))[:, ::2]), "out must"),
        (lambda: plates.centre_of_pressure(np.zeros((4, 5))), r"\(4, 5\)"),
        (lambda: plates.centre_of_pressure([["a"] * 6]), "numbers"),
        (
            lambda: plates.calibrated().saturated(
                np.zeros((4, 6)), codes=np.zeros((3, 6)), code_range=(0, 9)
            ),
            "3 frames of codes for 4",
        ),
        (lambda: plates.centre_of_pressure(np.zeros((4, 6)), min_force_n=0.0), "positive"),
        (lambda: plates.centre_of_pressure(np.zeros((4, 6)), origin_m=(0.0, 0.0)), "shape"),
    ],
)
def test_bad_input_says_what_is_wrong(call, reason):
    with pytest.raises(DataError, match=reason):
        call()
