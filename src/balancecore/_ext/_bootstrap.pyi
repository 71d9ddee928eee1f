import numpy as np
from numpy.typing import NDArray

def circular_block_sums(values: NDArray[np.float64], length: int, out: NDArray[np.float64]) -> None: ...
def resample_sums(
    full: NDArray[np.float64],
    last: NDArray[np.float64],
    starts: NDArray[np.int64],
    out: NDArray[np.float64],
    work: NDArray[np.float64],
) -> None: ...
