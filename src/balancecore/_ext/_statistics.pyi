import numpy as np
from numpy.typing import NDArray

def row_statistics(rows: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
def rows_settled(
    rows: NDArray[np.float64], known: NDArray[np.float64], tolerance_sd: float, needed: NDArray[np.int64]
) -> None: ...
