"""A device watched while it runs: recordings one after the other, running symmetry, a page in the browser."""

from balancecore.live.analysis import DEFAULT_METRICS, LiveAnalysis, Seen, SeenStep, Traces
from balancecore.live.session import LiveSession, Now
from balancecore.live.view import View, hello

__all__ = [
    "DEFAULT_METRICS",
    "LiveAnalysis",
    "LiveSession",
    "Now",
    "Seen",
    "SeenStep",
    "Traces",
    "View",
    "hello",
]
