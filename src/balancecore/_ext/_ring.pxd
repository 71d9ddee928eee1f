# The ring buffer for other Cython code. One thread pushes and one pops; neither needs the GIL, waits or allocates.

cdef struct Ring  # private to _ring


cdef class RingBuffer:
    cdef Ring* _ring

    # `frames` holds n frames of n_channels doubles, C order. Returns how many were stored: all; or, where they don't
    # fit, none ("fail") or as many as fit ("gap", which drops and counts the others). `lost_before` frames (0 or more)
    # are missing before the first of them; a block that "fail" refuses keeps them.
    cdef Py_ssize_t push_nogil(self, const double* frames, Py_ssize_t n, long long lost_before=*) noexcept nogil
    # Writes at most n frames to `out` and returns how many; lost_before[0] frames were lost before the first of them,
    # and none between them: it stops in front of a gap. Nothing to pop: 0 frames, 0 lost.
    cdef Py_ssize_t pop_nogil(self, double* out, Py_ssize_t n, long long* lost_before) noexcept nogil
    cdef Py_ssize_t available_nogil(self) noexcept nogil
    cdef Py_ssize_t space_nogil(self) noexcept nogil
    cdef long long pushed_nogil(self) noexcept nogil
    cdef long long lost_nogil(self) noexcept nogil
