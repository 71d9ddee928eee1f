import numpy as np
from numpy.typing import NDArray

_F = NDArray[np.float64]

MAX_CHANNELS: int
MANY_FRAMES: int

def to_wrench(raw: NDArray[np.floating], zero: _F, columns: _F, add: bool, out: _F) -> None: ...
def pressure_centre(wrench: _F, origin: _F, least_n: float, cop: _F, free_moment: _F) -> None: ...
def correct_pressure_centre(wrench: _F, polynomial: _F, least_n: float) -> None: ...
