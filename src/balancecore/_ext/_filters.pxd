# Low-pass kernels that other kernels call on their own buffers.

cdef void biquad_forward_backward(double* x, Py_ssize_t n, const double* sos, const double* zi,
                                  Py_ssize_t n_sections) noexcept nogil
cdef void seed4(double* z, const double* zi, const double* first, Py_ssize_t n_sections) noexcept nogil
cdef void biquad4(double* x, Py_ssize_t n, Py_ssize_t step, const double* sos, Py_ssize_t n_sections,
                  double* z) noexcept nogil

# For signals that arrive in pieces: one pass of one section with its state carried, and its steady state.
cdef void pass_section(const double* x, double* y, Py_ssize_t n, Py_ssize_t x_step, Py_ssize_t y_step,
                       const double* s, double* z0_, double* z1_) noexcept nogil
