# What other Cython code may cimport: `from balancecore cimport RingBuffer, sos_block`. docs/embedding.md shows how. All
# functions work on the caller's memory, allocate nothing, need no GIL, and rely on the caller for checks. These names
# follow Semantic Versioning as the Python names do; what only stands in the .pxd files of _ext may change.

from balancecore._ext._contacts cimport DETECTOR_COLUMNS, DETECTOR_MEMORY, DETECTOR_STATE, detect_piece
from balancecore._ext._filters cimport sos_block, sos_seed
from balancecore._ext._ring cimport RingBuffer
