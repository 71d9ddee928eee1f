"""Other people's Cython code: a small consumer is compiled against the installed package, and run."""

import importlib.util
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

import balancecore as bc
from balancecore._ext import _contacts, _filters
from balancecore.filters import lowpass

CONSUMER = '''
from balancecore cimport (
    DETECTOR_COLUMNS, DETECTOR_MEMORY, DETECTOR_STATE, RingBuffer, detect_piece, sos_block, sos_seed,
)


cdef class Counter:
    """Filters and detects without the GIL, frame by frame as they come out of a ring buffer."""
    cdef RingBuffer ring
    cdef long long state[DETECTOR_STATE]
    cdef double memory[DETECTOR_MEMORY]

    def __init__(self, RingBuffer ring):
        cdef Py_ssize_t i
        self.ring = ring
        for i in range(DETECTOR_STATE):
            self.state[i] = 0
        for i in range(DETECTOR_MEMORY):
            self.memory[i] = 0.0

    def run(self, const double[:, ::1] sos, const double[:, ::1] zi, double[:, :, ::1] z, double[:, ::1] block,
            double level, double release, Py_ssize_t hold_on, Py_ssize_t hold_off, double[:, ::1] rows):
        """Take what waits; frames taken, frames lost and contacts found."""
        cdef Py_ssize_t taken = 0, found = 0, n, m = block.shape[1], i
        cdef long long lost = 0, lost_before
        cdef bint first = self.state[1] == 0
        cdef double total[64]
        with nogil:
            while True:
                n = self.ring.pop_nogil(&block[0, 0], block.shape[0], &lost_before)
                lost += lost_before
                if n == 0:
                    break
                if first:
                    sos_seed(&z[0, 0, 0], &zi[0, 0], &block[0, 0], sos.shape[0], m)
                    first = False
                sos_block(&block[0, 0], &block[0, 0], n, m, &sos[0, 0], sos.shape[0], &z[0, 0, 0])
                for i in range(n):
                    total[i] = block[i, 2]
                found += detect_piece(total, n, level, release, hold_on, hold_off, self.state, self.memory,
                                      &rows[found, 0], rows.shape[0] - found, False)
                taken += n
        return taken, lost, found


def produce(RingBuffer ring, const double[:, ::1] frames):
    """Push without the GIL; what was stored, what waits, what fits, what was lost."""
    cdef Py_ssize_t stored
    with nogil:
        stored = ring.push_nogil(&frames[0, 0], frames.shape[0])
    return stored, ring.available_nogil(), ring.space_nogil(), ring.pushed_nogil(), ring.lost_nogil()


def race_in(RingBuffer ring, long long total, Py_ssize_t n):
    """Push frames 0 to total - 1, n at a time, as fast as they go; refused ones again ("fail")."""
    cdef double block[64]
    cdef long long number = 0
    cdef Py_ssize_t i, m, stored, again = 0
    with nogil:
        while number < total:
            m = min(n, total - number)
            for i in range(m):
                block[i] = <double>(number + i)
            stored = ring.push_nogil(block, m)
            if stored == 0 and ring.lost_nogil() == 0:
                again += 1
            else:
                number += m
    return again


def race_out(RingBuffer ring, long long total, Py_ssize_t n):
    """Pop up to the last frame; frames taken, told as lost, and out of order."""
    cdef double block[64]
    cdef long long number = 0, taken = 0, told = 0, lost_before, wrong = 0
    cdef Py_ssize_t i, got
    with nogil:
        while number < total:
            got = ring.pop_nogil(block, n, &lost_before)
            told += lost_before
            number += lost_before
            for i in range(got):
                wrong += block[i] != <double>(number + i)
            number += got
            taken += got
            if got == 0 and ring.pushed_nogil() + ring.lost_nogil() >= total and ring.available_nogil() == 0:
                break
    return taken, told, wrong


SIZES = DETECTOR_STATE, DETECTOR_MEMORY, DETECTOR_COLUMNS
'''

PAGE = Path(__file__).parents[1] / "docs" / "embedding.md"
BLOCKS = re.findall(r"^```cython\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

sources, home = sys.argv.pop(1), sys.argv.pop(1)
extension = Extension(sources.partition(".")[0], [sources], define_macros=[(name, None) for name in sys.argv[1:]])
modules = cythonize([extension], language_level=3, include_path=[home]) if sources.endswith(".pyx") else [extension]
setup(name="consumer", ext_modules=modules, script_args=["build_ext", "--inplace"])
"""


def build(folder, source, *macros):
    """Compile in a fresh interpreter, in the folder."""
    home = Path(bc.__file__).parents[1]  # on sys.path, unless the install is an editable one
    command = [sys.executable, "setup.py", source, str(home), *macros]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("consumer")
    (folder / "setup.py").write_text(SETUP)
    (folder / "probe.c").write_text(
        textwrap.dedent("""
        #include <Python.h>
        static struct PyModuleDef probe = {PyModuleDef_HEAD_INIT, "probe", 0, -1, 0, 0, 0, 0, 0};
        PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&probe); }
        """)
    )
    if build(folder, "probe.c").returncode:
        pytest.skip("no C compiler that builds extensions for this Python")
    (folder / "consumer.pyx").write_text("\n".join([CONSUMER, *BLOCKS]))
    return built(folder, "consumer")


def built(folder, name, *macros):
    done = build(folder, f"{name}.pyx", *macros)
    assert done.returncode == 0, done.stdout + done.stderr
    (library,) = [f for f in folder.glob(f"{name}.*") if f.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location(name, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RATE_HZ = 1000.0
#: The filter adds up in another order than SciPy's.
ROUNDING_N = 1e-9


def test_the_whole_path_without_the_gil(consumer):
    """Ring buffer, filter and detector give what SciPy and the Python kernels give on the whole signal."""
    wrench = bc.simulate.treadmill(duration_s=8.0, noise_n=3.0, seed=3).trial.plates[0].wrench
    design = lowpass(50.0, RATE_HZ)
    ring = bc.RingBuffer(200, 6)
    counter = consumer.Counter(ring)
    z, block, rows = np.zeros((len(design.sos), 2, 6)), np.empty((13, 6)), np.empty((100, 6))
    taken = found = 0
    for start in range(0, len(wrench), 37):
        ring.push(wrench[start : start + 37])
        n, lost, more = counter.run(design.sos, design.zi, z, block, 20.0, 10.0, 5, 10, rows[found:])
        taken, found = taken + n, found + more
        assert lost == 0
    assert taken == len(wrench)

    state = np.multiply.outer(design.zi, wrench[0])
    scipys, _ = signal.sosfilt(design.sos, wrench, axis=0, zi=state)
    filtered = np.empty_like(wrench)
    _filters.filter_block(wrench, design.sos, state, filtered)
    np.testing.assert_array_equal(z, state)  # the same operations in the same order
    np.testing.assert_allclose(filtered, scipys, rtol=0, atol=ROUNDING_N)
    fz = np.ascontiguousarray(filtered[:, 2])
    expected = np.empty((100, 6))
    count = _contacts.detect(
        fz,
        20.0,
        10.0,
        5,
        10,
        np.zeros(_contacts.STATE_SIZE, np.int64),
        np.zeros(_contacts.MEMORY_SIZE),
        expected,
        False,
    )
    assert found == count > 5
    np.testing.assert_array_equal(rows[:found], expected[:count])


def test_the_example_of_the_page(consumer):
    ring = bc.RingBuffer(1000, 1)
    counter = consumer.ContactCounter(ring)
    found = 0
    for _ in range(3):
        ring.push(np.repeat([0.0, 800.0, 0.0], [150, 250, 100])[:, None])
        found += counter.run()
    assert found == 3
    assert ring.available == 0


def test_push_without_the_gil(consumer):
    frames = np.arange(12.0).reshape(6, 2)
    ring, out = bc.RingBuffer(4, 2, overrun="gap"), np.empty((6, 2))
    assert consumer.produce(ring, frames) == (4, 4, 0, 4, 2)
    assert ring.pop_into(out) == (4, 0)
    np.testing.assert_array_equal(out[:4], frames[:4])
    assert consumer.produce(ring, frames[:1]) == (1, 1, 3, 5, 2)
    assert ring.pop_into(out) == (1, 2)
    refusing = bc.RingBuffer(4, 2)
    assert consumer.produce(refusing, frames) == (0, 0, 4, 0, 0)


@pytest.mark.parametrize("overrun", ["fail", "gap"])
@pytest.mark.parametrize(("capacity", "n_in", "n_out"), [(64, 7, 11), (1000, 48, 64), (5, 3, 2)])
def test_two_threads_at_full_speed(consumer, overrun, capacity, n_in, n_out):
    """Both sides without the GIL all the time: truly at once, where there are two cores."""
    total = 300_000
    ring = bc.RingBuffer(capacity, 1, overrun=overrun)
    with ThreadPoolExecutor(2) as threads:
        out = threads.submit(consumer.race_out, ring, total, n_out)
        threads.submit(consumer.race_in, ring, total, n_in).result()
        taken, told, wrong = out.result()
    assert wrong == 0
    assert taken == ring.pushed
    assert ring.pushed + ring.lost == total
    assert told <= ring.lost  # what was lost behind the last frame is not told
    assert overrun == "gap" or ring.lost == 0


def test_only_a_ring_buffer_is_taken(consumer):
    with pytest.raises(TypeError):
        consumer.produce(np.zeros((4, 2)), np.zeros((1, 2)))


def test_sizes_are_those_of_the_python_kernels(consumer):
    assert consumer.SIZES == (_contacts.STATE_SIZE, _contacts.MEMORY_SIZE, 6)


PAIRS = '''
from balancecore._ext._pairs cimport (
    add, divided, greater, high_of, lesser, load, low_of, mul, pair, pair_of, store, sub, swapped,
)


def every(const double[::1] a, const double[::1] b, double[:, ::1] out):
    """All operations on pairs of a and b, a row each."""
    cdef Py_ssize_t i
    cdef pair x, y
    for i in range(0, a.shape[0] - 1, 2):
        x, y = load(&a[i]), pair_of(b[i], b[i + 1])
        store(&out[0, i], add(x, y))
        store(&out[1, i], sub(x, y))
        store(&out[2, i], mul(x, y))
        store(&out[3, i], divided(x, y))
        store(&out[4, i], lesser(x, y))
        store(&out[5, i], greater(x, y))
        store(&out[6, i], swapped(x))
        out[7, i], out[7, i + 1] = low_of(x), high_of(x)
'''


def test_pairs_of_doubles_are_two_doubles(consumer, tmp_path):
    """Each operation gives the bits of the plain one, in the processor's registers and as the struct."""
    special = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 5e-324, 1.7e308]
    a, b = (np.ravel(side).copy() for side in np.meshgrid([*special, 0.1], special))
    a, b = a[: len(a) // 2 * 2], b[: len(b) // 2 * 2]
    with np.errstate(all="ignore"):
        lesser, greater = np.where(a < b, a, b), np.where(a > b, a, b)
        expected = np.array(
            [a + b, a - b, a * b, a / b, lesser, greater, a.reshape(-1, 2)[:, ::-1].ravel(), a]
        )
    (tmp_path / "setup.py").write_text(SETUP)
    for name, macros in (("registers", ()), ("struct", ("BALANCECORE_CHECKED",))):
        (tmp_path / f"{name}.pyx").write_text(PAIRS)
        out = np.empty_like(expected)
        built(tmp_path, name, *macros).every(a, b, out)
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(np.signbit(out[~np.isnan(out)]), np.signbit(expected[~np.isnan(out)]))
