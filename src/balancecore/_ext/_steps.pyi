import numpy as np
from numpy.typing import NDArray

_F = NDArray[np.float64]

COLUMNS: tuple[str, ...]
N_COLUMNS: int
CURVES: tuple[str, ...]
CURVE_POINTS: int
MAX_PLATES: int

def contact_metrics(
    wrenches: tuple[_F, ...],
    arms: _F,
    fz: _F,
    contacts: _F,
    segments: NDArray[np.int64],
    wanted: NDArray[np.uint8],
    rate_hz: float,
    weight_n: float,
    noise_n: float,
    sos: _F,
    zi: _F,
    margin: int,
    breaks: _F,
    baseline: _F,
    side_tilt: float,
    forward_tilt: float,
    cop_least_n: float,
    speed_m_s: float,
    origin: _F,
    out: _F,
    curves: _F,
    shares: _F,
    lanes: _F,
) -> None: ...
def mean_curves(curves: _F, limb: NDArray[np.int64], mean: _F, sd: _F, counts: NDArray[np.int64]) -> None: ...
def vertical_motion(
    fz: _F,
    strides: _F,
    both: NDArray[np.uint8],
    rate_hz: float,
    weight_n: float,
    g: float,
    hop: int,
    out: _F,
) -> None: ...
