# Low-pass kernels that other kernels call on their own buffers.

cdef void biquad_forward_backward(double* x, Py_ssize_t n, const double* sos, const double* zi,
                                  Py_ssize_t n_sections) noexcept nogil
cdef void biquad_forward_backward4(double* x, Py_ssize_t n, const double* sos, const double* zi,
                                   Py_ssize_t n_sections) noexcept nogil
