"""A running signal: rings of the last seconds, a zero-phase low-pass on a fixed grid, detectors that go on.

Everything that depends on a decision (which contact counts, what it is measured with) is left to the caller: `run`
stops at the first sample at which there is something to decide, so that a decision falls on the same sample however
the signal is cut into blocks.
"""

cimport cython
from libc.math cimport NAN, fabs
from libc.string cimport memcpy

from balancecore._ext._contacts cimport detect_piece
from balancecore._ext._filters cimport pass_section

# Why `run` came back: all frames taken; something to decide at a grid point; the stretch of frames without gaps
# ended, or a new one began; the start-up look is due; the caller has to fetch events.
DONE, TICK, STRETCH_END, STRETCH_START, LOOK, EVENTS = range(6)
MAX_GROUPS = 16
MAX_ROWS = 16
# Numbers beyond this, in N or N m, are from no force plate; such a frame counts as missing.
LARGEST = 1e7

cdef enum:
    _DONE, _TICK, _STRETCH_END, _STRETCH_START, _LOOK, _EVENTS

cdef enum:
    GROUPS = 16
    ROWS = 16
    QUEUE = 256
    SECTIONS = 8

cdef double _LARGEST = 1e7
cdef long long FOREVER = 1LL << 62


cdef struct Group:
    Py_ssize_t n_plates
    Py_ssize_t plates[16]
    double z[16]              # forward pass: two values a section
    double offset             # taken off before the level is applied
    long long state[5]        # detector
    double memory[4]
    Py_ssize_t n_rows
    bint announced            # the caller knows the open contact
    bint ask                  # the open contact is long and strong enough to count
    long long due             # grid point from which on the caller wants to be asked
    double causal_z[16]       # provisional path
    double causal_previous
    double causal_cross       # when the candidate crossed
    Py_ssize_t causal_held
    bint causal_loaded
    bint causal_candidate


@cython.final
cdef class Engine:
    """Rings, filters and detectors of one stream.

    Parameters
    ----------
    groups : list of list of int
        Plates that make up each virtual plate; every plate in one group.
    measured : memoryview (n_plates, 6) of uint8
        Channels that exist: the others may be NaN.
    raw : memoryview (n_plates, 2 W, 6)
        Ring of frames; frame i is at i % W and at i % W + W, so that any window up to W frames lies in one piece.
    vertical, forward, smooth : memoryviews (n_groups, 2 W)
        Rings of the summed vertical force: as recorded, after the forward pass, zero phase (offset not removed).
    sos, zi : memoryviews (n_sections, 6), (n_sections, 2)
    padding, look_ahead, grid : int
        Odd extension at the ends of a stretch; samples beyond a grid block before it is finished (more than the
        padding); samples a grid block.
    hold_on, hold_off : int
        Confirmation times of the detector.
    causal_sos, causal_zi, causal_hold
        Low-pass and confirmation time of the provisional events.
    work : memoryview (2 (look_ahead + grid + padding) + ring,)
        Work space.
    """
    cdef Group g[GROUPS]
    cdef Py_ssize_t n_groups, n_plates, n_sections, n_causal, ring, pad, ahead, grid, hold_on, hold_off, causal_hold
    cdef double[:, :, ::1] raw
    cdef double[:, ::1] vertical
    cdef double[:, ::1] forward
    cdef double[:, ::1] smooth
    cdef double[::1] work
    cdef double sos[6 * SECTIONS]
    cdef double zi[2 * SECTIONS]
    cdef double causal_sos[6 * SECTIONS]
    cdef double causal_zi[2 * SECTIONS]
    cdef unsigned char measured[16 * 6]
    cdef bint all_measured, busy, holding, causal_ready
    cdef long long n_, low_, frontier_, hold_until
    cdef double rows[GROUPS][ROWS][6]
    cdef double queue[QUEUE][4]
    cdef Py_ssize_t n_events, most_events
    cdef readonly Py_ssize_t position
    cdef double level, level_off, least_peak
    cdef Py_ssize_t least_samples

    def __cinit__(self, list groups, const unsigned char[:, ::1] measured, double[:, :, ::1] raw,
                  double[:, ::1] vertical, double[:, ::1] forward, double[:, ::1] smooth, const double[:, ::1] sos,
                  const double[:, ::1] zi, Py_ssize_t padding, Py_ssize_t look_ahead, Py_ssize_t grid,
                  Py_ssize_t hold_on, Py_ssize_t hold_off, const double[:, ::1] causal_sos,
                  const double[:, ::1] causal_zi, Py_ssize_t causal_hold, double[::1] work):
        cdef Py_ssize_t k, j, p
        self.n_groups, self.n_plates = len(groups), raw.shape[0]
        self.n_sections, self.n_causal = sos.shape[0], causal_sos.shape[0]
        self.ring = raw.shape[1] // 2
        if not 1 <= self.n_groups <= GROUPS or not 1 <= self.n_plates <= 16 or raw.shape[2] != 6:
            raise ValueError("1 to 16 groups and plates of six channels")
        if measured.shape[0] != self.n_plates or measured.shape[1] != 6:
            raise ValueError("measured must have a row of six for each plate")
        if vertical.shape[0] != self.n_groups or vertical.shape[1] != 2 * self.ring \
                or forward.shape[0] != self.n_groups or forward.shape[1] != 2 * self.ring \
                or smooth.shape[0] != self.n_groups or smooth.shape[1] != 2 * self.ring:
            raise ValueError("the rings must be equally long, with a row for each group")
        if self.n_sections > SECTIONS or self.n_causal > SECTIONS or sos.shape[1] != 6 or causal_sos.shape[1] != 6 \
                or zi.shape[0] != self.n_sections or zi.shape[1] != 2 or causal_zi.shape[0] != self.n_causal \
                or causal_zi.shape[1] != 2:
            raise ValueError("sos must be (n_sections, 6) and zi (n_sections, 2), at most 8 sections")
        if padding < 0 or look_ahead <= padding or grid < 1 or self.ring < 2 * (look_ahead + grid):
            raise ValueError("the look-ahead must exceed the padding, and the ring hold both twice")
        if work.shape[0] < 2 * (look_ahead + grid + padding) + self.ring:
            raise ValueError("work is too short")
        self.raw, self.vertical, self.forward, self.smooth, self.work = raw, vertical, forward, smooth, work
        self.pad, self.ahead, self.grid = padding, look_ahead, grid
        self.hold_on, self.hold_off, self.causal_hold = hold_on, hold_off, causal_hold
        # What one group can bring within a grid block: the queue must take it.
        self.most_events = grid // max(causal_hold, 1) + 2
        if causal_hold < 1 or self.n_groups * self.most_events >= QUEUE:
            raise ValueError("the provisional confirmation is too short for the grid")
        for k in range(self.n_sections):
            for j in range(6):
                self.sos[6 * k + j] = sos[k, j]
            for j in range(2):
                self.zi[2 * k + j] = zi[k, j]
        for k in range(self.n_causal):
            for j in range(6):
                self.causal_sos[6 * k + j] = causal_sos[k, j]
            for j in range(2):
                self.causal_zi[2 * k + j] = causal_zi[k, j]
        self.all_measured = True
        for p in range(self.n_plates):
            for j in range(6):
                self.measured[6 * p + j] = measured[p, j]
                self.all_measured = self.all_measured and measured[p, j] != 0
        for k in range(self.n_groups):
            if not 1 <= len(groups[k]) <= 16:
                raise ValueError("a group has 1 to 16 plates")
            self.g[k].n_plates = len(groups[k])
            for j in range(self.g[k].n_plates):
                p = groups[k][j]
                if not 0 <= p < self.n_plates:
                    raise ValueError("a group names a plate that there is not")
                self.g[k].plates[j] = p
        self.n_ = 0
        self.low_ = -1
        self.level = self.level_off = 1.0
        self.hold_until = 0
        self.holding = False

    # -----------------------------------------------------------------------------------------------------------
    # What the caller reads and sets between two calls of `run`

    @property
    def n(self):
        """Frames taken, lost ones counted."""
        return self.n_

    @property
    def low(self):
        """First frame of the stretch without gaps, -1 in a gap."""
        return self.low_

    @property
    def frontier(self):
        """One past the last frame whose zero-phase force is finished and searched."""
        return self.frontier_

    def set_rules(self, double level, double level_off, Py_ssize_t least_samples, double least_peak):
        """Level and release level, N; shortest contact and smallest peak of which the caller is told while it lasts
        (a contact cut by the start of the stretch is told when it ends)."""
        self.level, self.level_off = level, level_off
        self.least_samples, self.least_peak = least_samples, least_peak

    def set_offset(self, Py_ssize_t group, double offset):
        """Vertical offset of a group from the next grid block on."""
        self.g[self._check(group)].offset = offset

    def set_due(self, Py_ssize_t group, long long frontier):
        """Come back at the first grid point at or after `frontier`; negative: no need."""
        self.g[self._check(group)].due = frontier if frontier >= 0 else FOREVER

    def set_announced(self, Py_ssize_t group):
        """The caller knows the contact that is open."""
        cdef Group* g = &self.g[self._check(group)]
        g.announced = True
        g.ask = False

    def hold(self, long long until):
        """Only store frames until frame `until`; then come back with LOOK."""
        self.holding = True
        self.hold_until = until

    def release(self):
        """End of the start-up look: detect from the start of the stretch on, trigger events from now on."""
        self.holding = False

    def open_contact(self, Py_ssize_t group):
        """Mode of the detector (0: none open), time on since the stretch began, not announced and worth it."""
        cdef Group* g = &self.g[self._check(group)]
        return (g.state[0], g.memory[1], g.ask)

    def take_rows(self, Py_ssize_t group):
        """Contacts closed since the last call: on, off, peak, cut at start, cut at end, dips bridged."""
        cdef Group* g = &self.g[self._check(group)]
        cdef Py_ssize_t k, j
        found = [tuple([self.rows[group][k][j] for j in range(6)]) for k in range(g.n_rows)]
        g.n_rows = 0
        return found

    def take_events(self):
        """Provisional events: group, 1 for on and 0 for off, crossing, frame that confirmed it."""
        cdef Py_ssize_t k
        found = [(int(self.queue[k][0]), int(self.queue[k][1]), self.queue[k][2], int(self.queue[k][3]))
                 for k in range(self.n_events)]
        self.n_events = 0
        return found

    cdef Py_ssize_t _check(self, Py_ssize_t group) except -1:
        if not 0 <= group < self.n_groups:
            raise ValueError("there is no such group")
        return group

    # -----------------------------------------------------------------------------------------------------------

    def run(self, const double[:, ::1] frames, Py_ssize_t start):
        """Take frames [start, n) of a block until there is something to decide; `position` says how far it came.

        Parameters
        ----------
        frames : memoryview (n, 6 n_plates)
            N and N m; may be read-only.
        start : int

        Returns
        -------
        int
            DONE, TICK, STRETCH_END, STRETCH_START, LOOK or EVENTS. With events waiting it is never DONE.
        """
        cdef Py_ssize_t n = frames.shape[0]
        cdef int code
        if frames.shape[1] != 6 * self.n_plates:
            raise ValueError("a frame must have six values for each plate")
        if start < 0 or start > n:
            raise ValueError("start must lie within the block")
        if self.busy:
            raise RuntimeError("two threads push the same stream at the same time")
        self.busy = True
        self.position = start
        with nogil:
            code = self._run(&frames[0, 0] if n else NULL, n)
        self.busy = False
        return code

    cdef int _run(self, const double* frames, Py_ssize_t n) noexcept nogil:
        cdef Py_ssize_t width = 6 * self.n_plates, room, good
        cdef long long next_tick
        cdef const double* row
        while True:
            if self.low_ >= 0 and not self.holding:
                next_tick = self.frontier_ + self.grid + self.ahead
                while self.n_ >= next_tick:
                    if self._tick():
                        return _TICK
                    next_tick += self.grid
            if self.n_events > QUEUE - self.n_groups * self.most_events:
                return _EVENTS
            if self.position >= n:
                return _EVENTS if self.n_events else _DONE
            row = frames + self.position * width
            if self.low_ < 0:  # in a gap, or at the very start
                if not self._good(row):
                    self._store_missing()
                    self.position += 1
                    continue
                self._begin()
                return _STRETCH_START
            if self.holding and self.n_ >= self.hold_until:
                return _LOOK
            # As many frames as come before the next thing to do: grid point, filter start, look, end of the ring.
            room = n - self.position
            if self.holding:
                room = min(room, <Py_ssize_t>(self.hold_until - self.n_))
            else:
                room = min(room, <Py_ssize_t>(next_tick - self.n_))
            if self.n_ - self.low_ <= self.pad:
                room = min(room, <Py_ssize_t>(self.pad + 1 - (self.n_ - self.low_)))
            room = min(room, self.ring - <Py_ssize_t>(self.n_ % self.ring))
            room = min(room, self.grid)
            good = 0
            while good < room and self._good(row + good * width):
                good += 1
            if good:
                self._take(row, good)
                self.position += good
            elif self.low_ >= 0:
                return _STRETCH_END

    cdef bint _good(self, const double* row) noexcept nogil:
        """Whether a frame is finite and believable on every channel that is measured."""
        cdef Py_ssize_t c, n = 6 * self.n_plates
        cdef bint good = True
        if self.all_measured:
            for c in range(n):
                good &= fabs(row[c]) <= _LARGEST
        else:
            for c in range(n):
                good &= (not self.measured[c]) or fabs(row[c]) <= _LARGEST
        return good

    cdef void _begin(self) noexcept nogil:
        cdef Py_ssize_t k, j
        self.low_ = self.frontier_ = self.n_
        self.causal_ready = False
        for k in range(self.n_groups):
            for j in range(5):
                self.g[k].state[j] = 0
            for j in range(4):
                self.g[k].memory[j] = 0.0
            self.g[k].n_rows = 0
            self.g[k].announced = self.g[k].ask = False
            self.g[k].due = FOREVER

    cdef void _store_missing(self) noexcept nogil:
        cdef Py_ssize_t p, c, at = <Py_ssize_t>(self.n_ % self.ring)
        for p in range(self.n_plates):
            for c in range(6):
                self.raw[p, at, c] = self.raw[p, at + self.ring, c] = NAN
        self.n_ += 1

    def skip(self, long long lost):
        """Count frames that never came. The stretch must have been ended."""
        cdef long long k
        if self.low_ >= 0 or lost < 0:
            raise ValueError("a stretch is open, or lost is negative")
        for k in range(min(lost, <long long>self.ring)):
            self._store_missing()
        self.n_ += max(lost - self.ring, 0)

    cdef void _take(self, const double* frames, Py_ssize_t m) noexcept nogil:
        """Store good frames that fit before the end of the ring, and filter what can be filtered."""
        cdef Py_ssize_t at = <Py_ssize_t>(self.n_ % self.ring), ring = self.ring, width = 6 * self.n_plates, i, p, k, j
        cdef const double* row
        cdef double* first
        cdef double* y
        cdef double total
        for p in range(self.n_plates):
            first = &self.raw[p, at, 0]
            for i in range(m):
                row = frames + i * width + 6 * p
                for j in range(6):
                    first[6 * i + j] = row[j]
            for j in range(6):  # whatever stands where nothing is measured must not pass for a measurement
                if not self.measured[6 * p + j]:
                    for i in range(m):
                        first[6 * i + j] = NAN
            memcpy(&self.raw[p, at + ring, 0], first, 6 * m * sizeof(double))
        for k in range(self.n_groups):
            y = &self.vertical[k, at]
            for i in range(m):
                row = frames + i * width
                total = row[6 * self.g[k].plates[0] + 2]
                for j in range(1, self.g[k].n_plates):
                    total += row[6 * self.g[k].plates[j] + 2]
                y[i] = total
            memcpy(y + ring, y, m * sizeof(double))
        self.n_ += m
        if self.n_ - self.low_ == self.pad + 1:
            for k in range(self.n_groups):
                self._prime(k)
        elif self.n_ - self.low_ > self.pad:
            for k in range(self.n_groups):
                self._forward(k, at, m)
        if not self.holding:
            for k in range(self.n_groups):
                self._causal(k, at, m)
            self.causal_ready = True

    cdef void _forward(self, Py_ssize_t k, Py_ssize_t at, Py_ssize_t m) noexcept nogil:
        """Forward pass over m samples that lie in one piece."""
        cdef double* y = &self.forward[k, at]
        cdef Py_ssize_t s
        memcpy(y, &self.vertical[k, at], m * sizeof(double))
        for s in range(self.n_sections):
            pass_section(y, y, m, 1, 1, &self.sos[6 * s], &self.g[k].z[2 * s], &self.g[k].z[2 * s + 1])
        memcpy(y + self.ring, y, m * sizeof(double))

    cdef void _prime(self, Py_ssize_t k) noexcept nogil:
        """Start of a stretch: odd extension and forward pass as the filter of a whole record does it."""
        cdef Py_ssize_t at = <Py_ssize_t>(self.low_ % self.ring), i, s, m, pad = self.pad
        cdef const double* x = &self.vertical[k, at]
        cdef double* tail = &self.work[0]
        cdef double ends = 2.0 * x[0], first
        for i in range(pad):
            tail[i] = ends - x[pad - i]
        first = tail[0] if pad > 0 else x[0]
        for s in range(self.n_sections):
            self.g[k].z[2 * s] = self.zi[2 * s] * first
            self.g[k].z[2 * s + 1] = self.zi[2 * s + 1] * first
            pass_section(tail, tail, pad, 1, 1, &self.sos[6 * s], &self.g[k].z[2 * s], &self.g[k].z[2 * s + 1])
        m = min(pad + 1, self.ring - at)
        self._forward(k, at, m)
        if m < pad + 1:
            self._forward(k, 0, pad + 1 - m)

    cdef void _backward(self, double* y, Py_ssize_t m) noexcept nogil:
        cdef double z[2]
        cdef double last = y[m - 1]
        cdef Py_ssize_t s
        for s in range(self.n_sections):
            z[0] = self.zi[2 * s] * last
            z[1] = self.zi[2 * s + 1] * last
            pass_section(y + m - 1, y + m - 1, m, -1, -1, &self.sos[6 * s], &z[0], &z[1])

    cdef void _search(self, Py_ssize_t k, double* y, Py_ssize_t m, bint finish) noexcept nogil:
        """Store m finished samples from the frontier on and run the detector over them; y is used up."""
        cdef Group* g = &self.g[k]
        cdef Py_ssize_t i, at, found
        cdef double length
        for i in range(m):
            at = <Py_ssize_t>((self.frontier_ + i) % self.ring)
            self.smooth[k, at] = self.smooth[k, at + self.ring] = y[i]
            y[i] -= g.offset
        found = detect_piece(y, m, self.level, self.level_off, self.hold_on, self.hold_off, &g.state[0],
                             &g.memory[0], &self.rows[k][g.n_rows][0], ROWS - g.n_rows, finish)
        if found:
            g.n_rows += min(found, ROWS - g.n_rows)
            g.announced = False
        g.ask = False
        if g.state[0] >= 2 and not g.announced and not g.state[4]:
            length = <double>(g.state[1] - 1) if g.memory[0] >= self.level else g.memory[2]
            g.ask = g.memory[3] >= self.least_peak and length - g.memory[1] >= <double>self.least_samples

    cdef bint _tick(self) noexcept nogil:
        """Finish one grid block; whether the caller has something to decide."""
        cdef Py_ssize_t at = <Py_ssize_t>(self.frontier_ % self.ring), m = self.grid + self.ahead, k
        cdef bint wanted = False
        cdef double* y = &self.work[0]
        for k in range(self.n_groups):
            memcpy(y, &self.forward[k, at], m * sizeof(double))
            self._backward(y, m)
            self._search(k, y, self.grid, False)
        self.frontier_ += self.grid
        for k in range(self.n_groups):
            wanted |= self.g[k].n_rows > 0 or self.g[k].ask or self.frontier_ >= self.g[k].due
        return wanted

    def end_stretch(self):
        """The stretch ends with the last frame: finish it as the filter of a whole record does, search it to its end.

        Returns
        -------
        bool
            False for a stretch that is not longer than the padding: nothing was searched.
        """
        if self.low_ < 0:
            raise ValueError("no stretch is open")
        if self.holding:
            raise ValueError("the start-up look comes first")
        cdef bint searched = self.n_ - self.low_ > self.pad
        if searched:
            with nogil:
                self._finish()
        return searched

    def close(self):
        """Whatever comes next belongs to another stretch."""
        self.low_ = -1

    cdef void _finish(self) noexcept nogil:
        cdef Py_ssize_t rest = <Py_ssize_t>(self.n_ - self.frontier_), pad = self.pad, i, k, s, at
        cdef Py_ssize_t end = <Py_ssize_t>((self.n_ - 1) % self.ring) + self.ring
        cdef double* y = &self.work[0]
        cdef const double* x
        cdef double z[2]
        for k in range(self.n_groups):
            at = <Py_ssize_t>(self.frontier_ % self.ring)
            memcpy(y, &self.forward[k, at], rest * sizeof(double))
            x = &self.vertical[k, end]  # the last sample, with a ring of samples before it
            for i in range(pad):
                y[rest + i] = 2.0 * x[0] - x[-1 - i]
            for s in range(self.n_sections):
                z[0], z[1] = self.g[k].z[2 * s], self.g[k].z[2 * s + 1]
                pass_section(y + rest, y + rest, pad, 1, 1, &self.sos[6 * s], &z[0], &z[1])
            self._backward(y, rest + pad)
            self._search(k, y, rest, True)
        self.frontier_ = self.n_

    # -----------------------------------------------------------------------------------------------------------
    # Provisional events: forward pass only, a level, a short confirmation

    cdef void _causal(self, Py_ssize_t k, Py_ssize_t at, Py_ssize_t m) noexcept nogil:
        cdef Group* g = &self.g[k]
        cdef double* y = &self.work[0]
        cdef Py_ssize_t i, s
        cdef long long first = self.n_ - m
        cdef double v
        memcpy(y, &self.vertical[k, at], m * sizeof(double))
        if not self.causal_ready:
            v = y[0]
            for s in range(self.n_causal):
                g.causal_z[2 * s], g.causal_z[2 * s + 1] = self.causal_zi[2 * s] * v, self.causal_zi[2 * s + 1] * v
            g.causal_loaded = v - g.offset >= self.level
            g.causal_candidate = False
            g.causal_previous = v - g.offset
        for s in range(self.n_causal):
            pass_section(y, y, m, 1, 1, &self.causal_sos[6 * s], &g.causal_z[2 * s], &g.causal_z[2 * s + 1])
        for i in range(m):
            v = y[i] - g.offset
            if g.causal_candidate and ((v >= self.level) if g.causal_loaded else (v < self.level_off)):
                g.causal_candidate = False
            elif not g.causal_candidate and ((v < self.level) if g.causal_loaded else (v >= self.level)):
                g.causal_candidate = True
                g.causal_held = 0
                g.causal_cross = <double>(first + i)
                if v != g.causal_previous:
                    g.causal_cross -= min(max((v - self.level) / (v - g.causal_previous), 0.0), 1.0)
            if g.causal_candidate:
                g.causal_held += 1
                if g.causal_held >= self.causal_hold and self.n_events < QUEUE:
                    g.causal_loaded = not g.causal_loaded
                    g.causal_candidate = False
                    self.queue[self.n_events][0] = <double>k
                    self.queue[self.n_events][1] = 1.0 if g.causal_loaded else 0.0
                    self.queue[self.n_events][2] = g.causal_cross
                    self.queue[self.n_events][3] = <double>(first + i)
                    self.n_events += 1
            g.causal_previous = v
