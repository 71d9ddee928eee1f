import numpy as np
from numpy.typing import NDArray

CHECKED: bool
MAX_SECTIONS: int
MAX_CHANNELS: int

def zero_phase(
    x: NDArray[np.float64],
    sos: NDArray[np.float64],
    zi: NDArray[np.float64],
    padlen: int,
    out: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None: ...
def filter_block(
    x: NDArray[np.float64], sos: NDArray[np.float64], state: NDArray[np.float64], out: NDArray[np.float64]
) -> None: ...
