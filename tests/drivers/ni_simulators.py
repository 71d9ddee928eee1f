"""The two simulators of NI-DAQmx that tests use and torment: over real gRPC, and as the local driver's library.

Both have the same devices, so that one set of tests runs on both: `Server` in any process; `Library` in one that was
started by `library_environment`, because the loader looks up LD_LIBRARY_PATH when a process starts.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPT = HERE / "ni_grpc" / "server.py"
SOURCE = HERE / "ni_stub" / "nidaqmx.c"
#: Says to a process that the local driver is the stand-in.
MARK = "BALANCECORE_TEST_NI_STUB"


def query(options):
    return "?" * bool(options) + "&".join(f"{name}={value}" for name, value in options.items())


class Server:
    """Use it in ``with``; `host` is its address."""

    LOCAL = False

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.host = f"127.0.0.1:{int(self.process.stdout.readline())}"
        return self

    def address(self, channels="Dev1/ai0:5", **options):
        return f"ni+grpc://{self.host}/{channels}{query(options)}"

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def freeze(self):
        """Stop its process, connections and all, until it is healed."""
        self.process.send_signal(signal.SIGSTOP)

    def heal(self):
        """Undo every torment, and clear what clients left behind."""
        if hasattr(signal, "SIGCONT"):
            self.process.send_signal(signal.SIGCONT)
        self.tell("heal")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class Library:
    """The stand-in for the local driver, in this process."""

    LOCAL = True

    def __enter__(self):
        self.library = ctypes.CDLL("libnidaqmx.so.1")
        return self

    def address(self, channels="Dev1/ai0:5", **options):
        return f"ni:{channels}{query(options)}"

    def tell(self, order):
        name, *what = order.split()
        getattr(self.library, f"sim_{name}")(*(one.encode() for one in what))

    def heal(self):
        self.tell("heal")

    def __exit__(self, *_):
        self.heal()


def library_environment(folder):
    """Compile the stand-in into `folder`, and say in which environment a process finds it.

    Raises RuntimeError where this computer has nothing to compile with.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if not sys.platform.startswith("linux") or compiler is None:
        raise RuntimeError("the stand-in for libnidaqmx.so.1 needs Linux and a C compiler")
    library = folder / "libnidaqmx.so.1"
    flags = [
        "-std=c11",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        f"-Wl,-soname,{library.name}",
    ]
    subprocess.run([compiler, *flags, "-o", str(library), str(SOURCE), "-lm", "-lpthread"], check=True)
    (folder / "libnidaqmx.so").symlink_to(library.name)  # the name by which the client's search finds it
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), MARK: "1"}


def simulator():
    """What this process has: the library where it was started for it, else a server."""
    return Library() if os.environ.get(MARK) else Server()
