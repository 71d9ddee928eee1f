# Low-pass kernels that other kernels call on their own buffers.

# Four interleaved channels in place, at most eight sections: their steady state, and a pass in either direction.
cdef void seed4(double* z, const double* zi, const double* first, Py_ssize_t n_sections) noexcept nogil
cdef void biquad4(double* x, Py_ssize_t n, Py_ssize_t step, const double* sos, Py_ssize_t n_sections,
                  double* z) noexcept nogil

# For signals that arrive in pieces: one pass of one section with its state carried, and its steady state.
cdef void pass_section(const double* x, double* y, Py_ssize_t n, Py_ssize_t x_step, Py_ssize_t y_step,
                       const double* s, double* z0_, double* z1_) noexcept nogil

# All sections, at least one, over n frames of m interleaved channels; y may be x. `state` holds (n_sections, 2, m)
# values, as scipy.signal.sosfilt has them: it is carried from block to block, and the cut changes no bit.
cdef void sos_block(const double* x, double* y, Py_ssize_t n, Py_ssize_t m, const double* sos, Py_ssize_t n_sections,
                    double* state) noexcept nogil
# The state z after an endless input of the frame x0; zi holds (n_sections, 2), from scipy.signal.sosfilt_zi.
cdef void sos_seed(double* z, const double* zi, const double* x0, Py_ssize_t n_sections,
                   Py_ssize_t n_channels) noexcept nogil
