"""Draw the pictures of the README anew: ``python docs/pictures/make.py [FOLDER]``."""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import balancecore as bc
from balancecore.cli import demo_run


def main(folder: Path) -> None:
    """The demo's run as three figures of the report."""
    sim = demo_run()
    result = bc.analyze_gait(sim.trial, mass_kg=sim.mass_kg, speed_m_s=sim.speed_m_s, leg_length_m=0.93)
    figure = Figure(figsize=(10.0, 5.8), layout="constrained")
    axes = figure.subplot_mosaic([["stance", "forest"], ["loading", "forest"]])
    bc.plot.stance(result, ax=axes["stance"])
    bc.plot.loading(result, ax=axes["loading"])
    bc.plot.forest(result, ax=axes["forest"])
    figure.savefig(folder / "report.png", dpi=96, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
