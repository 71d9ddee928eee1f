# The detector, for other kernels that keep its state themselves.

cdef Py_ssize_t detect_piece(const double* y, Py_ssize_t n, double level, double level_off, Py_ssize_t hold_on,
                             Py_ssize_t hold_off, long long* state, double* memory, double* out,
                             Py_ssize_t capacity, bint finish) noexcept nogil

cdef enum:
    DETECTOR_STATE = 5  # values of `state`, zero at the start of a stretch of signal
    DETECTOR_MEMORY = 4  # values of `memory`, the same
    DETECTOR_COLUMNS = 6  # of a row of `out`: on, off (samples since the start), peak, cut at start, at end, dips
