"""Real walks over two plates, read from C3D: which foot, when, which way, and which hits are partial."""

import numpy as np
import pytest

import balancecore as bc
from balancecore.flags import Flag
from balancecore.steps import unusable

pytestmark = pytest.mark.realdata

#: Events of another implementation at a plain 10 N level, in whole frames of the cameras.
FRAMES = 1


def walk(data_dir, name, **options):
    trial = bc.read(data_dir / "c3d_plates" / name)
    return trial, bc.analyze_gait(trial, **({"mass_kg": 70.0, "n_boot": 0} | options))


@pytest.mark.parametrize(
    ("name", "method", "sides", "frames"),
    [
        ("PlugInC3D.c3d", "events", "RL", [(65, 116), (108, 150)]),
        ("Gait.c3d", "markers", "RL", [(209, 267), (257, 316)]),
    ],
)
def test_feet_and_times_of_a_walk(data_dir, name, method, sides, frames):
    trial, result = walk(data_dir, name, level_n=10.0)
    assert result.provenance["used"]["surface"] == "overground"
    assert result.provenance["used"]["side_method"] == method
    assert "".join(result.steps["side"]) == sides
    assert not unusable(result.steps["flags"]).any()
    # Frames count from 1: strike is the last one below the level, off the first one below it again
    rate = trial.markers.rate_hz
    found = np.column_stack(
        (np.floor(result.steps["t_on"] * rate) + 1, np.ceil(result.steps["t_off"] * rate) + 1)
    )
    np.testing.assert_allclose(found, frames, atol=FRAMES)


def test_events_and_markers_agree_where_a_file_has_both(data_dir):
    trial, result = walk(data_dir, "PlugInC3D.c3d")
    assert trial.events
    assert trial.markers is not None
    assert not (result.steps["flags"] & int(Flag.SIDE_AMBIGUOUS)).any()


@pytest.mark.parametrize(
    ("name", "axis"), [("PlugInC3D.c3d", "x"), ("Gait.c3d", "-x"), ("walking2.c3d", "x")]
)
def test_walks_along_any_axis_brake_then_push_and_lean_inwards(data_dir, name, axis):
    _, result = walk(data_dir, name)
    assert result.quality["overground"]["progression"] == {
        "axis": axis,
        "seen_in": "contacts",
        "turned": True,
    }
    assert result.quality["overground"]["no_brake_to_propulsion"] == []
    steps = result.steps
    assert (steps["t_peak_brake"] < steps["t_peak_prop"]).all()
    # In walking the body is pushed from the outer foot towards the other, whichever foot it is
    assert (steps["imp_med"] > -3.0 * steps["imp_lat"]).all()
    length, width = steps["step_length"][0], steps["step_width"][0]
    assert np.isnan(length) == (name == "walking2.c3d")
    if np.isfinite(length):
        assert 0.5 < length < 0.9
        assert 0.0 < width < 0.25


def test_feet_that_land_on_the_edge_are_left_out(data_dir):
    _, result = walk(data_dir, "walking2.c3d")
    steps = result.steps
    assert "".join(steps["side"]) == "LR"
    assert (
        (steps["flags"] & int(Flag.PLATE_EDGE | Flag.PARTIAL_HIT)) == int(Flag.PLATE_EDGE | Flag.PARTIAL_HIT)
    ).all()
    assert result.quality["used"] == 0


@pytest.mark.parametrize("name", ["TYPE-2.C3D", "TYPE-4.C3D"])
def test_a_single_hit_has_no_known_side_and_no_body_weight(data_dir, name):
    _, result = walk(data_dir, name, mass_kg=None)
    assert "".join(result.steps["side"]) == "A"
    assert result.limbs == ("A", "B")
    assert np.isfinite(result.steps["tc"]).all()
    assert np.isnan(result.steps["imp_v"]).all()
    assert (result.steps["flags"] & int(Flag.BW_SUSPECT)).all()
