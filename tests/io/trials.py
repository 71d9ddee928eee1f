"""Trials of every kind for round trips, and how two of them are compared."""

import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import balancecore as bc
from balancecore.trial import CHANNELS, Source

texts = st.text(st.characters(codec="utf-8"), max_size=12)
labels = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=12)
rates = st.floats(1.0, 1e5)
#: Gaps and infinite values are data too.
values = st.floats(width=64, allow_nan=True, allow_infinity=True)
plain = st.floats(-1e5, 1e5)


def columns(count, elements=values):
    return hnp.arrays(np.float64, count, elements=elements)


@st.composite
def plates(draw, n_frames, elements=values, whole=False):
    absent = frozenset() if whole else draw(st.frozensets(st.sampled_from(CHANNELS), max_size=5))
    wrench = draw(hnp.arrays(np.float64, (n_frames, 6), elements=elements))
    wrench[:, [CHANNELS.index(channel) for channel in absent]] = np.nan
    corners = draw(st.none() | hnp.arrays(np.float64, (4, 3), elements=st.floats(-10, 10)))
    return bc.Plate(
        wrench,
        draw(hnp.arrays(np.float64, 3, elements=st.floats(-10, 10))),
        draw(st.sampled_from(["L", "R", "?"])),
        draw(texts),
        corners,
        absent,
        draw(texts),
        draw(st.none() | hnp.arrays(np.bool_, n_frames)),
        draw(st.none() | st.floats(0, 1)),
    )


@st.composite
def markers(draw):
    names = tuple(draw(st.lists(labels, min_size=1, max_size=3)))
    count = draw(st.integers(0, 6))
    return bc.Markers(
        names, draw(rates), draw(hnp.arrays(np.float64, (count, len(names), 3), elements=values))
    )


@st.composite
def trials(draw, elements=values, whole=False, beside=True):
    """A trial; `whole`: with every channel of every plate; `beside`: with analog channels and markers."""
    n_frames = draw(st.integers(1, 8))
    analog, seen = (), None
    if beside:
        one = st.builds(bc.Analog, texts, texts, rates, st.integers(0, 9).flatmap(columns))
        analog, seen = tuple(draw(st.lists(one, max_size=3))), draw(st.none() | markers())
    events = draw(st.lists(st.builds(bc.Event, texts, st.sampled_from("LR?"), st.floats(0, 100)), max_size=3))
    return bc.Trial(
        tuple(draw(st.lists(plates(n_frames, elements, whole), min_size=1, max_size=3))),
        draw(rates),
        draw(st.booleans()),
        draw(st.sampled_from(["reaction", "action"])),
        draw(st.none() | st.just(("-x", "-y", "z"))),
        tuple(draw(st.lists(st.builds(Source, texts, st.just("ab" * 32)), max_size=2))),
        tuple(draw(st.lists(texts, max_size=2))),
        draw(st.just({}) | st.just({"rate_hz": 1000.0, "sides": ["L"]})),
        analog,
        tuple(sorted(events, key=lambda event: event.time_s)),
        seen,
    )


def assert_equal(found, wanted, *, atol=0.0, rtol=0.0):
    """Every field of two trials, but for how they were read; numbers within the tolerance."""
    assert len(found.plates) == len(wanted.plates)
    for one, other in zip(found.plates, wanted.plates, strict=True):
        np.testing.assert_allclose(one.wrench, other.wrench, atol=atol, rtol=rtol)
        np.testing.assert_array_equal(one.origin_m, other.origin_m)
        assert (one.corners_lab is None) == (other.corners_lab is None)
        if one.corners_lab is not None:
            np.testing.assert_array_equal(one.corners_lab, other.corners_lab)
        assert (one.saturated is None) == (other.saturated is None)
        if one.saturated is not None:
            np.testing.assert_array_equal(one.saturated, other.saturated)
        same(one, other, ("side", "name", "missing", "model", "skew_s"))
    same(
        found,
        wanted,
        ("rate_hz", "lateral_known", "convention", "axes", "sources", "notes", "events"),
    )
    assert len(found.analog) == len(wanted.analog)
    for one, other in zip(found.analog, wanted.analog, strict=True):
        same(one, other, ("name", "unit", "rate_hz"))
        np.testing.assert_array_equal(one.values, other.values)
    assert (found.markers is None) == (wanted.markers is None)
    if found.markers is not None:
        same(found.markers, wanted.markers, ("names", "rate_hz"))
        np.testing.assert_array_equal(found.markers.positions_m, wanted.markers.positions_m)


def same(one, other, fields):
    for name in fields:
        assert getattr(one, name) == getattr(other, name), name


def without_raw(trial):
    """What a `.mot` file has room for."""
    bare = tuple(dataclasses.replace(plate, saturated=None) for plate in trial.plates)
    return dataclasses.replace(trial, plates=bare, analog=(), markers=None)
