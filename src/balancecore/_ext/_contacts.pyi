import numpy as np
from numpy.typing import NDArray

_F = NDArray[np.float64]
_I = NDArray[np.int64]

STATE_SIZE: int
MEMORY_SIZE: int

def intake(
    wrench: _F,
    measured: NDArray[np.uint8],
    fz_sum: _F,
    first_plate: bool,
    block: int,
    vertical: _F,
    wide: int,
    means: _F,
    group: int,
    extremes: _F,
    gaps: _I,
) -> int: ...
def saturated_runs(
    wrench: _F, channel: int, extreme: float, start: int, stop: int, least: int, runs: _I, n_runs: int
) -> int: ...
def window_means(wrench: _F, means: _F, block: int, starts: _I, stops: _I, out: _F) -> None: ...
def rolling_percentile(x: _F, half: int, hop: int, fraction: float, out: _F, window: _F) -> None: ...
def detect(
    y: _F,
    level: float,
    level_off: float,
    hold_on: int,
    hold_off: int,
    state: _I,
    memory: _F,
    out: _F,
    finish: bool,
) -> int: ...
def theil_sen_residuals(t: _F, values: _F, neighbours: int, out: _F, first_knot: int = 0) -> None: ...
def subtract_cubic(y: _F, first: int, breaks: _F, coefficients: _F, out: _F) -> None: ...
def refine_crossings(
    raw: _F,
    segments: _I,
    times: _F,
    rising: NDArray[np.int8],
    level: float,
    offsets: _F,
    sos: _F,
    zi: _F,
    reach: int,
    margin: int,
    out: _F,
    work: _F,
) -> None: ...
def window_moments(y: _F, starts: _I, stops: _I, out: _F) -> None: ...
