"""What is measured and found while it happens: recordings one after the other, and a page in any browser let in.

Two processes share this package and a pipe of JSON lines. The one that captures (`session`, `analysis`) feeds the page
(`view`, `feed`); the page (`page`) knows of no device, keeps what it shows (`hub`), and serves it to browsers (`site`,
`document`).
"""

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
