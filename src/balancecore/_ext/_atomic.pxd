# Whole numbers that two threads share without a lock: C11 atomics, or Microsoft's intrinsics where a compiler has none.
# What was written before `store_release` is seen by whoever reads the stored number with `load_acquire`.

cdef extern from *:
    """
    #if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_ATOMICS__)
      #include <stdatomic.h>
      typedef _Atomic(long long) balancecore_atomic;
      #define BALANCECORE_LOAD(p) atomic_load_explicit((p), memory_order_acquire)
      #define BALANCECORE_STORE(p, v) atomic_store_explicit((p), (v), memory_order_release)
      #define BALANCECORE_CLAIM(p) (atomic_exchange_explicit((p), 1, memory_order_acquire) == 0)
    #elif defined(_MSC_VER)
      #include <intrin.h>
      typedef volatile __int64 balancecore_atomic;
      /* Full barriers: a little dearer than needed, and right on every processor. */
      #define BALANCECORE_LOAD(p) ((long long)_InterlockedCompareExchange64((p), 0, 0))
      #define BALANCECORE_STORE(p, v) ((void)_InterlockedExchange64((p), (v)))
      #define BALANCECORE_CLAIM(p) (_InterlockedExchange64((p), 1) == 0)
    #else
      #error "balancecore needs a compiler with C11 atomics (<stdatomic.h>), or Microsoft's"
    #endif
    """
    ctypedef long long atomic_int64 "balancecore_atomic"
    long long load_acquire "BALANCECORE_LOAD" (atomic_int64*) noexcept nogil
    void store_release "BALANCECORE_STORE" (atomic_int64*, long long) noexcept nogil
    # 0 -> 1; true for the one thread that did it.
    bint claim "BALANCECORE_CLAIM" (atomic_int64*) noexcept nogil
