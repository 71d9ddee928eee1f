"""Results of every kind that figures and reports have to cope with."""

import dataclasses
from functools import cache

import numpy as np

import balancecore as bc


def _simulated(gait="run", **options):
    return bc.simulate.treadmill(gait, noise_n=3.0, step_jitter=0.02, seed=2, **options)


def _run():
    sim = _simulated(n_steps=24)
    return bc.analyze_gait(sim.trial, mass_kg=70.0, speed_m_s=3.0, leg_length_m=0.93, n_boot=200)


def _walk():
    sim = _simulated("walk", n_steps=16)
    return bc.analyze_gait(sim.trial, mass_kg=70.0, speed_m_s=sim.speed_m_s, n_boot=200)


def _online():
    return bc.analyze_gait(_simulated(n_steps=24).trial, mass_kg=70.0, n_boot=200, online=True)


def _vertical_only():
    fz = sum(plate.wrench[:, 2] for plate in _simulated(n_steps=20).trial.plates)
    return bc.analyze_gait(fz, rate_hz=1000.0, n_boot=200)


def _unknown_sides():
    """Two limbs told apart, but which is left isn't known: the file didn't say which way x points."""
    trial = dataclasses.replace(_simulated(n_steps=20, belts="single").trial, lateral_known=False)
    return bc.analyze_gait(trial, mass_kg=70.0, speed_m_s=3.0, n_boot=200)


def _one_limb():
    """A walker with one foot beside the treadmill."""
    sim = _simulated("walk", n_steps=12)
    left, right = (plate.wrench for plate in sim.trial.plates)
    idle = np.random.default_rng(1).normal(size=right.shape)
    trial = bc.Trial.from_wrenches(
        [left, idle], rate_hz=1000.0, sides=["L", "R"], origins_m=[(-0.25, 0, 0), (0.25, 0, 0)]
    )
    return bc.analyze_gait(trial, mass_kg=70.0, gait="walk", n_boot=200)


def _two_contacts():
    return bc.analyze_gait(_simulated(n_steps=2).trial, mass_kg=70.0, n_boot=200)


def _no_contact():
    rng = np.random.default_rng(0)
    return bc.analyze_gait(rng.normal(size=(4000, 6)), rate_hz=1000.0)


def _gap():
    trial = _simulated(n_steps=20).trial
    wrenches = [plate.wrench.copy() for plate in trial.plates]
    for wrench in wrenches:
        wrench[2000:2400] = np.nan
    trial = bc.Trial.from_wrenches(
        wrenches, rate_hz=1000.0, sides=["L", "R"], origins_m=[(-0.25, 0, 0), (0.25, 0, 0)]
    )
    return bc.analyze_gait(trial, mass_kg=70.0, n_boot=0)


def _walkway():
    return bc.analyze_gait(bc.simulate.overground(seed=1).trial, mass_kg=70.0, first_side="L", n_boot=200)


KINDS = {
    "run": _run,
    "walk": _walk,
    "online": _online,
    "vertical only": _vertical_only,
    "unknown sides": _unknown_sides,
    "one limb": _one_limb,
    "two contacts": _two_contacts,
    "no contact": _no_contact,
    "gap": _gap,
    "walkway": _walkway,
}


@cache
def result(kind):
    return KINDS[kind]()
