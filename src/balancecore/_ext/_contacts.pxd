# The detector, for other kernels that keep its state themselves.

cdef Py_ssize_t detect_piece(const double* y, Py_ssize_t n, double level, double level_off, Py_ssize_t hold_on,
                             Py_ssize_t hold_off, long long* state, double* memory, double* out,
                             Py_ssize_t capacity, bint finish) noexcept nogil
