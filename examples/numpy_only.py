"""Arrays in, steps and symmetry out: no files, no devices, nothing but NumPy arrays.

python examples/numpy_only.py
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import balancecore as bc

RATE_HZ = 1000.0
MASS_KG = 70.0


def measured() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stand-in for your own data: left and right belt, each (n_frames, 6) of Fx Fy Fz Mx My Mz in N and N·m."""
    sim = bc.simulate.treadmill("run", n_steps=60, rate_hz=RATE_HZ, mass_kg=MASS_KG, noise_n=3.0, seed=1)
    left, right = sim.trial.plates
    return left.wrench, right.wrench


def main() -> None:
    """Analyse arrays, as a whole and in part."""
    left, right = measured()

    # The whole path: contacts, steps and symmetry, with flags, checks and the definition of every number.
    trial = bc.Trial.from_wrenches([left, right], rate_hz=RATE_HZ, sides=["L", "R"])
    result = bc.analyze_gait(trial, mass_kg=MASS_KG)
    side = np.asarray(result.steps["side"])
    for limb in ("L", "R"):
        tc = np.asarray(result.steps["tc"])[side == limb]
        print(f"{limb}: {len(tc)} steps, contact time {1e3 * np.nanmean(tc):.1f} ms")
    row = result.symmetry["peak_active"]
    print(f"peak force: SI {row.si:.2f} % (95 % interval {row.ci_low:.2f} to {row.ci_high:.2f} %)")

    # Or one piece of it: the contacts in one vertical force.
    contacts = bc.find_contacts(left[:, 2] + right[:, 2], rate_hz=RATE_HZ, mass_kg=MASS_KG)
    print(
        f"vertical force alone: {int(contacts.complete.sum())} complete contacts at {contacts.level_n:.0f} N"
    )


if __name__ == "__main__":
    main()
