"""A device watched while it runs: recordings one after the other, running symmetry, a page in the browser."""

from balancecore.live.analysis import DEFAULT_METRICS, LiveAnalysis, Seen, SeenStep, Traces

__all__ = ["DEFAULT_METRICS", "LiveAnalysis", "Seen", "SeenStep", "Traces"]
