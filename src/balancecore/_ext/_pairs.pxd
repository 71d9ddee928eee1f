# Two doubles at once, in one register: compilers don't see by themselves that four lanes of a filter, or six channels
# of a plate, are pairs. Every operation rounds each number as the plain one would, so the bits are the same on every
# processor; elsewhere, and in the checked build, a pair is a plain struct.

cdef extern from *:
    """
    #if defined(BALANCECORE_CHECKED)
      /* the plain struct below, so that the tests see it too */
    #elif defined(__SSE2__) || defined(_M_X64)
      #define BALANCECORE_PAIRS_SSE2
      #include <emmintrin.h>
    #elif defined(__aarch64__) || defined(_M_ARM64)
      #define BALANCECORE_PAIRS_NEON
      #include <arm_neon.h>
    #endif

    #if defined(BALANCECORE_PAIRS_SSE2)
    typedef __m128d bc_pair;
    static inline bc_pair bc_load(const double *p) { return _mm_loadu_pd(p); }
    static inline void bc_store(double *p, bc_pair a) { _mm_storeu_pd(p, a); }
    static inline void bc_store_past(double *p, bc_pair a) { _mm_stream_pd(p, a); }
    static inline void bc_past_done(void) { _mm_sfence(); }
    static inline bc_pair bc_of(double low, double high) { return _mm_set_pd(high, low); }
    static inline double bc_low(bc_pair a) { return _mm_cvtsd_f64(a); }
    static inline double bc_high(bc_pair a) { return _mm_cvtsd_f64(_mm_unpackhi_pd(a, a)); }
    static inline bc_pair bc_swap(bc_pair a) { return _mm_shuffle_pd(a, a, 1); }
    static inline bc_pair bc_add(bc_pair a, bc_pair b) { return _mm_add_pd(a, b); }
    static inline bc_pair bc_sub(bc_pair a, bc_pair b) { return _mm_sub_pd(a, b); }
    static inline bc_pair bc_mul(bc_pair a, bc_pair b) { return _mm_mul_pd(a, b); }
    static inline bc_pair bc_div(bc_pair a, bc_pair b) { return _mm_div_pd(a, b); }
    static inline bc_pair bc_min(bc_pair a, bc_pair b) { return _mm_min_pd(a, b); }
    static inline bc_pair bc_max(bc_pair a, bc_pair b) { return _mm_max_pd(a, b); }
    #elif defined(BALANCECORE_PAIRS_NEON)
    typedef float64x2_t bc_pair;
    static inline bc_pair bc_load(const double *p) { return vld1q_f64(p); }
    static inline void bc_store(double *p, bc_pair a) { vst1q_f64(p, a); }
    static inline bc_pair bc_of(double low, double high) { return vsetq_lane_f64(high, vdupq_n_f64(low), 1); }
    static inline double bc_low(bc_pair a) { return vgetq_lane_f64(a, 0); }
    static inline double bc_high(bc_pair a) { return vgetq_lane_f64(a, 1); }
    static inline bc_pair bc_swap(bc_pair a) { return vextq_f64(a, a, 1); }
    static inline bc_pair bc_add(bc_pair a, bc_pair b) { return vaddq_f64(a, b); }
    static inline bc_pair bc_sub(bc_pair a, bc_pair b) { return vsubq_f64(a, b); }
    static inline bc_pair bc_mul(bc_pair a, bc_pair b) { return vmulq_f64(a, b); }
    static inline bc_pair bc_div(bc_pair a, bc_pair b) { return vdivq_f64(a, b); }
    static inline bc_pair bc_min(bc_pair a, bc_pair b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
    static inline bc_pair bc_max(bc_pair a, bc_pair b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
    #else
    typedef struct { double low, high; } bc_pair;
    static inline bc_pair bc_of(double low, double high) { bc_pair p; p.low = low; p.high = high; return p; }
    static inline bc_pair bc_load(const double *p) { return bc_of(p[0], p[1]); }
    static inline void bc_store(double *p, bc_pair a) { p[0] = a.low; p[1] = a.high; }
    static inline double bc_low(bc_pair a) { return a.low; }
    static inline double bc_high(bc_pair a) { return a.high; }
    static inline bc_pair bc_swap(bc_pair a) { return bc_of(a.high, a.low); }
    static inline bc_pair bc_add(bc_pair a, bc_pair b) { return bc_of(a.low + b.low, a.high + b.high); }
    static inline bc_pair bc_sub(bc_pair a, bc_pair b) { return bc_of(a.low - b.low, a.high - b.high); }
    static inline bc_pair bc_mul(bc_pair a, bc_pair b) { return bc_of(a.low * b.low, a.high * b.high); }
    static inline bc_pair bc_div(bc_pair a, bc_pair b) { return bc_of(a.low / b.low, a.high / b.high); }
    static inline bc_pair bc_min(bc_pair a, bc_pair b) {
        return bc_of(a.low < b.low ? a.low : b.low, a.high < b.high ? a.high : b.high);
    }
    static inline bc_pair bc_max(bc_pair a, bc_pair b) {
        return bc_of(a.low > b.low ? a.low : b.low, a.high > b.high ? a.high : b.high);
    }
    #endif
    #if !defined(BALANCECORE_PAIRS_SSE2)
    static inline void bc_store_past(double *p, bc_pair a) { bc_store(p, a); }
    static inline void bc_past_done(void) {}
    #endif
    """
    ctypedef struct pair "bc_pair":
        pass
    pair load "bc_load" (const double*) noexcept nogil
    void store "bc_store" (double*, pair) noexcept nogil
    # Past the cache, where the processor can: for whole cache lines of results too many to stay there, which then
    # needn't be read before they are written. Places are multiples of 16 bytes; `past_done` comes before another
    # thread looks.
    void store_past "bc_store_past" (double*, pair) noexcept nogil
    void past_done "bc_past_done" () noexcept nogil
    pair pair_of "bc_of" (double low, double high) noexcept nogil
    double low_of "bc_low" (pair) noexcept nogil
    double high_of "bc_high" (pair) noexcept nogil
    pair swapped "bc_swap" (pair) noexcept nogil
    pair add "bc_add" (pair, pair) noexcept nogil
    pair sub "bc_sub" (pair, pair) noexcept nogil
    pair mul "bc_mul" (pair, pair) noexcept nogil
    pair divided "bc_div" (pair, pair) noexcept nogil
    # Lesser and greater as a < b ? a : b and a > b ? a : b: b where either is not a number.
    pair lesser "bc_min" (pair, pair) noexcept nogil
    pair greater "bc_max" (pair, pair) noexcept nogil
