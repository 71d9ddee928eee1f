# Asking for memory before it is needed: plates are long rows of six doubles, of which a kernel meets each cache line
# only once, faster than the processor's own prefetching brings them.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define BALANCECORE_PREFETCH(p) __builtin_prefetch((p), 0, 3)
    #else
    #define BALANCECORE_PREFETCH(p) ((void)(p))
    #endif
    """
    void prefetch "BALANCECORE_PREFETCH" (const void*) noexcept nogil

# How many doubles ahead: 64 frames of six channels. A prefetch beyond the end of the array does nothing.
cdef enum:
    AHEAD = 384
